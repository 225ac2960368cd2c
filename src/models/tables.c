/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Two models without a network, which any other must beat: noisy counts of each column, drawn on its own
 * (`independent`), or given the target's value (`per-label`). One Gaussian release, and no private step.
 */
#include <stdlib.h>
#include <string.h>

#include "models/kind.h"

typedef struct tables {
    sotto_model base;
    sotto_arena *arena;
    size_t target;       /* schema column, or SOTTO_NONE */
    size_t target_block; /* or SOTTO_NONE */
    size_t width, blocks, classes;
    size_t *table_size;  /* [blocks], of the counts wanted */
    size_t *table_block; /* [blocks]: which block a table counts; SOTTO_NONE for the label alone */
    size_t table_count;
    float *frequencies;      /* [classes, width]: of slots given the label; what is released */
    double *label_frequency; /* [classes], sums to 1 */
    double *cumulative;      /* [classes, width]: of `frequencies`, within each block */
    double *label_cumulative;
    const sotto_encoded *data;
} tables;

/* ---- making ---- */

static void tables_destroy(sotto_model *base)
{
    sotto_arena_destroy(((tables *)base)->arena);
}

/* A column that can have one value only needs no counts. */
static void plan_tables(tables *model)
{
    for (size_t b = 0; b < model->blocks; b++) {
        const size_t slots = sotto_encoder_block(model->base.encoder, b)->slot_count;
        if (b == model->target_block || slots < 2)
            continue;
        model->table_size[model->table_count] = model->classes * slots;
        model->table_block[model->table_count++] = b;
    }
    if (model->table_count == 0 && model->classes > 1) {
        model->table_size[0] = model->classes;
        model->table_block[0] = SOTTO_NONE;
        model->table_count = 1;
    }
}

static sotto_status lay_out(tables *model, const sotto_node *section, sotto_error *err)
{
    const sotto_encoder *encoder = model->base.encoder;
    model->width = sotto_encoder_width(encoder);
    model->blocks = sotto_encoder_block_count(encoder);
    model->classes = 1;
    model->target_block = SOTTO_NONE;
    if (model->target != SOTTO_NONE) {
        model->target_block = sotto_encoder_find(encoder, model->target);
        model->classes = sotto_encoder_block(encoder, model->target_block)->slot_count;
    }
    const size_t cells = model->classes * model->width; /* at most 64 times the slots of a schema */
    model->table_size = sotto_arena_take(model->arena, model->blocks, sizeof(size_t), err);
    model->table_block = sotto_arena_take(model->arena, model->blocks, sizeof(size_t), err);
    model->frequencies = sotto_arena_take(model->arena, cells, sizeof(float), err);
    model->cumulative = sotto_arena_take(model->arena, cells, sizeof(double), err);
    model->label_frequency = sotto_arena_take(model->arena, model->classes, sizeof(double), err);
    model->label_cumulative = sotto_arena_take(model->arena, model->classes, sizeof(double), err);
    if (!model->table_size || !model->table_block || !model->frequencies || !model->cumulative ||
        !model->label_frequency || !model->label_cumulative)
        return SOTTO_ERROR_MEMORY;
    plan_tables(model);
    return model->table_count > 0
               ? SOTTO_OK
               : sotto_node_error(section, err,
                                  "no column of the schema can have more than one value: there is "
                                  "nothing to count");
}

static sotto_status read_section(tables *model, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"type", "target", NULL};
    const bool per_label = model->base.kind == &sotto_per_label_kind;
    const sotto_node *target = sotto_node_get(section, "target");
    model->target = SOTTO_NONE;
    sotto_status status = sotto_node_expect_map(section, "model", known, err);
    if (status == SOTTO_OK && target)
        status =
            sotto_model_read_target(target, sotto_encoder_schema(model->base.encoder), &model->target, err);
    if (status == SOTTO_OK && !per_label && model->target != SOTTO_NONE)
        return sotto_node_error(
            target, err,
            "model.target does nothing for model.type independent, which draws each column on "
            "its own; remove it, or write `type: per-label`");
    if (status == SOTTO_OK && per_label && model->target == SOTTO_NONE)
        return sotto_node_error(
            section, err,
            "model.target is missing: model.type per-label counts every column for each value "
            "of a category column; name it, or write `type: independent`");
    return status;
}

static sotto_status create(sotto_model **out, const sotto_node *section, const sotto_encoder *encoder,
                           const sotto_model_kind *kind, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    tables *model = sotto_arena_take(arena, 1, sizeof *model, err);
    if (!model) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    model->base = (sotto_model){.kind = kind, .encoder = encoder};
    model->arena = arena;
    status = read_section(model, section, err);
    if (status == SOTTO_OK)
        status = lay_out(model, section, err);
    if (status == SOTTO_OK)
        *out = &model->base;
    else
        tables_destroy(&model->base);
    return status;
}

static sotto_status create_independent(sotto_model **out, const sotto_node *section,
                                       const sotto_encoder *encoder, sotto_error *err)
{
    return create(out, section, encoder, &sotto_independent_kind, err);
}

static sotto_status create_per_label(sotto_model **out, const sotto_node *section,
                                     const sotto_encoder *encoder, sotto_error *err)
{
    return create(out, section, encoder, &sotto_per_label_kind, err);
}

/* ---- learning ---- */

static sotto_status tables_prepare(sotto_model *base, const sotto_training *training, sotto_random *random,
                                   sotto_error *err)
{
    (void)base, (void)training, (void)random, (void)err;
    return SOTTO_OK;
}

static size_t cell(const void *context, uint32_t unit, size_t table)
{
    const tables *model = context;
    const size_t block = model->table_block[table];
    const size_t label =
        model->target_block == SOTTO_NONE ? 0 : sotto_encoded_slot(model->data, unit, model->target_block);
    if (block == SOTTO_NONE)
        return label;
    return label * sotto_encoder_block(model->base.encoder, block)->slot_count +
           sotto_encoded_slot(model->data, unit, block);
}

static sotto_model_counts tables_counts_wanted(const sotto_model *base)
{
    const tables *model = (const tables *)base;
    return (sotto_model_counts){
        .label = "marginals",
        .what = model->classes == 1 && model->target == SOTTO_NONE
                    ? "how many rows fall into each slot of each column"
                    : "how many rows fall into each slot of each column, for each value of the target column",
        .share = 1.0,
        .query = {.tables = model->table_count,
                  .table_size = model->table_size,
                  .cell = cell,
                  .context = model},
    };
}

/* Make `cumulative` of what was learned or read; false where a block's frequencies are none. */
static bool add_up(tables *model)
{
    double sum = 0.0;
    for (size_t k = 0; k < model->classes; k++)
        model->label_cumulative[k] = sum += model->label_frequency[k];
    bool sound = sum > 0.0;
    for (size_t k = 0; k < model->classes; k++)
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            const size_t first = k * model->width + block->slot_offset;
            sum = 0.0;
            for (size_t s = first; s < first + block->slot_count; s++) {
                sound = sound && model->frequencies[s] >= 0.0f;
                model->cumulative[s] = sum += (double)model->frequencies[s];
            }
            sound = sound && (block->slot_count == 0 || sum > 0.0);
        }
    return sound;
}

/* A block that is not counted: the label itself, or one slot. */
static void fill_uncounted(tables *model)
{
    for (size_t k = 0; k < model->classes; k++)
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            if (b == model->target_block)
                model->frequencies[k * model->width + block->slot_offset + k] = 1.0f;
            else if (block->slot_count == 1)
                model->frequencies[k * model->width + block->slot_offset] = 1.0f;
        }
}

static void take_table(tables *model, size_t table, const double *counts, const double *totals,
                       double *scratch)
{
    const sotto_block *block = sotto_encoder_block(model->base.encoder, model->table_block[table]);
    const size_t slots = block->slot_count;
    for (size_t k = 0; k < model->classes; k++) {
        memcpy(scratch, counts + k * slots, slots * sizeof *scratch);
        sotto_simplex_project(scratch, slots, totals[k], scratch + slots);
        for (size_t s = 0; s < slots; s++)
            model->frequencies[k * model->width + block->slot_offset + s] = (float)(scratch[s] / totals[k]);
    }
}

static sotto_status tables_counts_give(sotto_model *base, const double *counts, sotto_error *err)
{
    tables *model = (tables *)base;
    double *totals = calloc(model->classes + 2 * model->width, sizeof *totals);
    if (!totals)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for noisy counts");
    double all = 0.0;
    sotto_label_totals(counts, model->table_size, model->table_count, model->classes, totals);
    for (size_t k = 0; k < model->classes; k++)
        all += totals[k];
    for (size_t k = 0; k < model->classes; k++)
        model->label_frequency[k] = totals[k] / all;
    fill_uncounted(model);
    for (size_t t = 0; t < model->table_count; t++) {
        if (model->table_block[t] != SOTTO_NONE)
            take_table(model, t, counts, totals, totals + model->classes);
        counts += model->table_size[t];
    }
    (void)add_up(model);
    free(totals);
    return SOTTO_OK;
}

static void tables_data(sotto_model *base, const sotto_encoded *data)
{
    ((tables *)base)->data = data;
}

static void tables_state(sotto_model *base, sotto_state *state)
{
    tables *model = (tables *)base;
    sotto_state_doubles_in(state, "label_frequency", model->label_frequency, model->classes, 0.0, 1.0 + 1e-6);
    sotto_state_floats_in(state, "frequencies", model->frequencies, model->classes * model->width, 0.0f,
                          1.0f + 1e-5f);
    if (sotto_state_reads(state) && sotto_state_is_sound(state) && !add_up(model))
        sotto_state_refuse(state, "has frequencies that are none");
}

/* ---- sampling and files ---- */

static sotto_status tables_sample(sotto_model *base, sotto_stream *stream, size_t target_slot, size_t count,
                                  uint16_t *slots, float *values, sotto_error *err)
{
    const tables *model = (const tables *)base;
    if (count > SOTTO_MODEL_ROWS)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "at most %d rows are sampled at once",
                               SOTTO_MODEL_ROWS);
    if (model->target_block == SOTTO_NONE)
        target_slot = SOTTO_NONE;
    if (target_slot != SOTTO_NONE && target_slot >= model->classes)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no label number %zu", target_slot);
    for (size_t i = 0; i < count; i++) {
        const size_t label = target_slot != SOTTO_NONE
                                 ? target_slot
                                 : sotto_cumulative_draw(model->label_cumulative, model->classes, stream);
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(base->encoder, b);
            slots[i * model->blocks + b] = (uint16_t)sotto_cumulative_draw(
                model->cumulative + label * model->width + block->slot_offset, block->slot_count, stream);
            values[i * model->blocks + b] = 0.0f;
        }
    }
    return SOTTO_OK;
}

static size_t tables_target(const sotto_model *base)
{
    return ((const tables *)base)->target_block;
}

static void tables_format(const sotto_model *base, FILE *file)
{
    const tables *model = (const tables *)base;
    (void)fprintf(file, "  type: %s\n", base->kind->type);
    if (model->target == SOTTO_NONE)
        return;
    (void)fputs("  target: ", file);
    sotto_model_format_quoted(sotto_encoder_schema(base->encoder)->columns[model->target].name, file);
    (void)fputc('\n', file);
}

static float *tables_released(sotto_model *base, size_t *count)
{
    tables *model = (tables *)base;
    *count = model->classes * model->width;
    return model->frequencies;
}

static double *tables_frequencies(sotto_model *base, size_t *count)
{
    tables *model = (tables *)base;
    *count = model->classes;
    return model->label_frequency;
}

static sotto_status tables_loaded(sotto_model *base, sotto_error *err)
{
    tables *model = (tables *)base;
    return add_up(model) ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_INPUT, "its frequencies are none");
}

static sotto_status tables_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    (void)section, (void)err;
    *numbers = SOTTO_NUMBERS_BINNED;
    return SOTTO_OK;
}

/* All but the names and what may stand in the section is the same. */
#define TABLES_KIND(name, make)                                                                              \
    {                                                                                                        \
        .type = (name), .create = (make), .destroy = tables_destroy, .numbers = tables_numbers,              \
        .prepare = tables_prepare, .counts_wanted = tables_counts_wanted, .counts_give = tables_counts_give, \
        .data = tables_data, .state = tables_state, .sample = tables_sample, .target = tables_target,        \
        .format = tables_format, .released = tables_released, .frequencies = tables_frequencies,             \
        .loaded = tables_loaded                                                                              \
    }

const sotto_model_kind sotto_independent_kind = TABLES_KIND("independent", create_independent);
const sotto_model_kind sotto_per_label_kind = TABLES_KIND("per-label", create_per_label);
