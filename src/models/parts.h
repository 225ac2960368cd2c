/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MODEL_PARTS_H
#define SOTTO_MODEL_PARTS_H

/* Inside this room: what models that are networks are made of. */

#include "data/data.h"
#include "document/document.h"

/* ------------------------------------------------------------------ sections */

enum { SOTTO_MODEL_HIDDEN = 8 }; /**< the most hidden layers of a network */

/** The widths of a network's hidden layers, as configured. */
typedef struct sotto_hidden {
    size_t width[SOTTO_MODEL_HIDDEN];
    size_t count;
} sotto_hidden;

/** Read a list of 1 to SOTTO_MODEL_HIDDEN widths; `what` names it in errors. */
sotto_status sotto_model_read_hidden(const sotto_node *node, const char *what, sotto_hidden *hidden,
                                     sotto_error *err);

/** Write it as a YAML list. */
void sotto_model_format_hidden(const sotto_hidden *hidden, FILE *file);

/**
 * SOTTO_ERROR_INPUT where the map asks for a layer that mixes the rows of a batch, saying why: it would break
 * the one-row-one-gradient rule that clipping rests on (contract rule P13).
 */
sotto_status sotto_model_refuse_coupling(const sotto_node *node, sotto_error *err);

/* ---------------------------------------------------------------------- rows */

/** Rows by their entries that need not be zero, in ascending columns: a slot and a value of each block. */
typedef struct sotto_entries {
    uint32_t *columns; /**< [rows, entries of a row] */
    float *values;     /**< [rows, entries of a row] */
    size_t count;      /**< given so far, over all rows */
} sotto_entries;

/** How many entries a row has. */
size_t sotto_entries_of_row(const sotto_encoder *encoder);

/** Room for so many rows of so many entries, of the arena. SOTTO_ERROR_MEMORY. */
sotto_status sotto_entries_take(sotto_entries *entries, sotto_arena *arena, size_t each, size_t rows,
                                sotto_error *err);

/** Append one block of a row. */
void sotto_entries_add(sotto_entries *to, const sotto_block *block, size_t slot, float value);

/* --------------------------------------------------------------------- draws */

/** The index that `u` in (0, 1) picks by `weights` [count], which sum to 1 about: the last where rounding
 * leaves a rest. */
size_t sotto_model_pick(const float *weights, size_t count, float u);

/** An index drawn by `frequency` [count], which sums to 1. */
size_t sotto_model_draw(const double *frequency, size_t count, sotto_stream *stream);

/** `count` uniform draws in (0, 1), never 0 or 1. */
void sotto_model_uniforms(sotto_stream *stream, float *uniforms, size_t count);

#endif
