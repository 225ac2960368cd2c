/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_STATE_H
#define SOTTO_BASE_STATE_H

/**
 * What objects know, as bytes, so that another process can go on where this one stopped.
 *
 * Each object has one function that visits its fields in a fixed order, `sotto_OBJECT_state`: with a writer
 * the fields become bytes, with a reader the bytes become fields. So nothing is written that is not read, nor
 * otherwise. Names, kinds and sizes are the object's own: bytes that have others are refused before anything
 * is copied, and nothing is ever allocated by a size that bytes tell. What a value may be is said where it is
 * visited.
 *
 * Never a key of a random stream, nor where one stands (contract rule P8): an object that is read into keeps
 * the streams that its own process gave it.
 *
 * The first thing that does not fit ends it: from then on no call does anything, and sotto_state_end says
 * what it was. An object may be half changed then; it can still be destroyed, and is good for nothing else.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sotto/status.h"

typedef struct sotto_state sotto_state;

/** The largest counter of steps and the like: far beyond any run, and exact as a double. */
#define SOTTO_STATE_MOST_COUNT (UINT64_C(1) << 53)

/** Of nothing yet. SOTTO_ERROR_MEMORY. Caller destroys. */
sotto_status sotto_state_create_writer(sotto_state **state, sotto_error *err);

/** Of bytes (borrowed), which are taken for hostile. `name` (copied; may be NULL) is the file at fault in
 * errors. SOTTO_ERROR_MEMORY. Caller destroys. */
sotto_status sotto_state_create_reader(sotto_state **state, const void *bytes, size_t length,
                                       const char *name, sotto_error *err);
void sotto_state_destroy(sotto_state *state);

/** Does it read? Then fields are overwritten. */
bool sotto_state_reads(const sotto_state *state);

/** Has all gone well so far? Where not, what was to be read is not there. */
bool sotto_state_is_sound(const sotto_state *state);

/** An object's fields follow. Names are of at most 255 bytes; they need to differ from nothing but what could
 * be mistaken for them. */
void sotto_state_object(sotto_state *state, const char *name);

/** `count` values, whatever they are, NaN too: parameters, which training may have driven anywhere. */
void sotto_state_floats(sotto_state *state, const char *name, float *values, size_t count);
void sotto_state_doubles(sotto_state *state, const char *name, double *values, size_t count);
void sotto_state_u32s(sotto_state *state, const char *name, uint32_t *values, size_t count);
void sotto_state_u64s(sotto_state *state, const char *name, uint64_t *values, size_t count);

/** `count` values, each in [least, most] where it is read, and so no NaN. */
void sotto_state_floats_in(sotto_state *state, const char *name, float *values, size_t count, float least,
                           float most);
void sotto_state_doubles_in(sotto_state *state, const char *name, double *values, size_t count, double least,
                            double most);

/** One value, in [least, most] where it is read. */
void sotto_state_u64(sotto_state *state, const char *name, uint64_t *value, uint64_t least, uint64_t most);
void sotto_state_size(sotto_state *state, const char *name, size_t *value, size_t least, size_t most);

/** `count` yeses and noes. */
void sotto_state_flags(sotto_state *state, const char *name, bool *values, size_t count);

/** A text in room for `size` bytes, NUL included; where it is read, of printable ASCII. */
void sotto_state_text(sotto_state *state, const char *name, char *text, size_t size);

/** An object says that it cannot be written now, or that what was read cannot be: the rest of a sentence
 * whose subject is the state. No bytes of a state belong into it, since anyone may have written them. */
void sotto_state_refuse(sotto_state *state, const char *format, ...) SOTTO_PRINTF(2, 3);

/** The same of something else that went wrong, such as memory; a status of SOTTO_OK is none. Where it is the
 * input's fault, the file at fault is the reader's. */
void sotto_state_fail(sotto_state *state, sotto_status status, const sotto_error *err);

/** Did all go well? A reader's bytes must have been read to the last. */
sotto_status sotto_state_end(sotto_state *state, sotto_error *err);

/** Of a writer that ended well; valid until it is destroyed. */
const void *sotto_state_bytes(const sotto_state *state, size_t *length);

#endif
