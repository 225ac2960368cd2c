/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "run/figures.h"

#include <math.h>
#include <stdlib.h>

struct sotto_figures {
    sotto_arena *arena;
    const sotto_schema *schema;
    sotto_encoder *encoder; /* with numbers in bins, whatever the model's has */
    double share;
    double rows;        /* that are counted, at least, as is public: one of each unit */
    size_t count;       /* tables */
    size_t *blocks;     /* [count] */
    size_t *table_size; /* [count] */
    size_t cells;
    sotto_prediction *prediction; /* or NULL */
    double *noisy;                /* [cells] */
    double deviation;             /* of each */
    sotto_encoded *counted;       /* while counting */
};

/* ------------------------------------------------------------------------ columns */

static sotto_status add_column(sotto_figures *figures, const sotto_node *node, size_t column,
                               sotto_error *err)
{
    const size_t block = sotto_encoder_find(figures->encoder, column);
    const char *name = figures->schema->columns[column].name;
    if (block == SOTTO_NONE)
        return sotto_node_error(node, err,
                                "figures.columns: \"%s\" is an identifier, of which nothing is kept", name);
    const size_t slots = sotto_encoder_block(figures->encoder, block)->slot_count;
    if (slots < 2)
        return sotto_node_error(node, err, "figures.columns: \"%s\" can have one value only", name);
    for (size_t i = 0; i < figures->count; i++)
        if (figures->blocks[i] == block)
            return sotto_node_error(node, err, "figures.columns names \"%s\" twice", name);
    figures->blocks[figures->count] = block;
    figures->table_size[figures->count++] = slots;
    figures->cells += slots;
    return SOTTO_OK;
}

/* All columns that can differ. */
static void add_all(sotto_figures *figures)
{
    for (size_t b = 0; b < sotto_encoder_block_count(figures->encoder); b++) {
        const size_t slots = sotto_encoder_block(figures->encoder, b)->slot_count;
        if (slots < 2)
            continue;
        figures->blocks[figures->count] = b;
        figures->table_size[figures->count++] = slots;
        figures->cells += slots;
    }
}

static sotto_status add_named(sotto_figures *figures, const sotto_node *list, sotto_error *err)
{
    if (sotto_node_kind_of(list) != SOTTO_NODE_LIST)
        return sotto_node_error(list, err, "figures.columns must be a list of column names");
    for (size_t i = 0; i < sotto_node_count(list); i++) {
        const char *name;
        const sotto_node *node = sotto_node_at(list, i);
        sotto_status status = sotto_node_string(node, "a name in figures.columns", &name, err);
        if (status != SOTTO_OK)
            return status;
        const size_t column = sotto_schema_find(figures->schema, name);
        if (column == SOTTO_NONE)
            return sotto_node_error(node, err, "figures.columns: the schema has no column \"%s\"", name);
        status = add_column(figures, node, column, err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

static sotto_status fill(sotto_figures *figures, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"share", "columns", "predict", "predict_share", NULL};
    sotto_status status = sotto_node_expect_map(section, "figures", known, err);
    const sotto_node *share = sotto_node_get(section, "share"), *columns = sotto_node_get(section, "columns");
    figures->share = 0.05;
    if (status == SOTTO_OK && share)
        status = sotto_node_double(share, "figures.share", 0.001, 0.9, &figures->share, err);
    if (status == SOTTO_OK)
        status = sotto_prediction_create(&figures->prediction, section, figures->schema, err);
    if (status == SOTTO_OK)
        status = sotto_encoder_create(&figures->encoder, figures->schema, SOTTO_NUMBERS_BINNED, err);
    if (status != SOTTO_OK)
        return status;
    const size_t most = figures->schema->column_count;
    figures->blocks = sotto_arena_take(figures->arena, most, sizeof *figures->blocks, err);
    figures->table_size = sotto_arena_take(figures->arena, most, sizeof *figures->table_size, err);
    if (!figures->blocks || !figures->table_size)
        return SOTTO_ERROR_MEMORY;
    if (columns)
        status = add_named(figures, columns, err);
    else
        add_all(figures);
    if (status == SOTTO_OK && figures->count == 0)
        return sotto_node_error(section, err, "figures: there is no column to tell of; remove the section");
    figures->noisy =
        status == SOTTO_OK ? sotto_arena_take(figures->arena, figures->cells, sizeof(double), err) : NULL;
    return status == SOTTO_OK && !figures->noisy ? SOTTO_ERROR_MEMORY : status;
}

sotto_status sotto_figures_create(sotto_figures **figures, const sotto_config *config,
                                  const sotto_schema *schema, double units, sotto_error *err)
{
    sotto_arena *arena;
    *figures = NULL;
    if (!config->figures)
        return SOTTO_OK;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_figures *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->schema = schema;
    made->rows = units;
    status = fill(made, config->figures, err);
    if (status == SOTTO_OK)
        *figures = made;
    else
        sotto_figures_destroy(made);
    return status;
}

void sotto_figures_destroy(sotto_figures *figures)
{
    if (!figures)
        return;
    sotto_prediction_destroy(figures->prediction);
    sotto_encoder_destroy(figures->encoder);
    sotto_arena_destroy(figures->arena);
}

double sotto_figures_share(const sotto_figures *figures)
{
    return figures->share;
}

size_t sotto_figures_cells(const sotto_figures *figures)
{
    return figures->cells + (figures->prediction ? sotto_prediction_cells(figures->prediction) : 0);
}

sotto_prediction *sotto_figures_prediction(const sotto_figures *figures)
{
    return figures->prediction;
}

size_t sotto_figures_tables(const sotto_figures *figures)
{
    return figures->count;
}

/* ----------------------------------------------------------------------- counting */

static size_t cell(const void *context, uint32_t row, size_t table)
{
    const sotto_figures *figures = context;
    return sotto_encoded_slot(figures->counted, row, figures->blocks[table]);
}

sotto_status sotto_figures_buy(sotto_figures *figures, const sotto_table *table,
                               const sotto_mechanism *mechanism, sotto_budget *budget,
                               const sotto_units *units, sotto_random *random, sotto_error *err)
{
    const sotto_counts_query query = {
        .tables = figures->count, .table_size = figures->table_size, .cell = cell, .context = figures};
    sotto_status status = sotto_encode(&figures->counted, figures->encoder, table, err);
    if (status != SOTTO_OK)
        return status;
    figures->deviation =
        mechanism->noise_multiplier * sqrt((double)figures->count) * (double)sotto_units_most(units);
    status = sotto_counts_release(&query, mechanism, budget, SOTTO_FIGURES_LABEL, units, random,
                                  figures->noisy, err);
    sotto_encoded_destroy(figures->counted);
    figures->counted = NULL;
    return status;
}

/* Noisy counts are whole numbers; none is anywhere near so large. */
void sotto_figures_state(sotto_figures *figures, sotto_state *state)
{
    sotto_state_object(state, "figures");
    sotto_state_doubles_in(state, "noisy", figures->noisy, figures->cells, -1e15, 1e15);
    sotto_state_doubles_in(state, "deviation", &figures->deviation, 1, 0.0, 1e15);
}

/* ------------------------------------------------------------------------ figures */

/* ½Σ|p − q|, p the noisy counts without those below zero as shares, q the synthetic ones. */
static double total_variation(const double *noisy, const double *synthetic, size_t count)
{
    double all_noisy = 0.0, all_synthetic = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        all_noisy += fmax(noisy[i], 0.0);
        all_synthetic += synthetic[i];
    }
    for (size_t i = 0; i < count; i++) {
        const double p = all_noisy > 0 ? fmax(noisy[i], 0.0) / all_noisy : 0.0;
        sum += fabs(p - synthetic[i] / all_synthetic);
    }
    return sum / 2;
}

/* What noise of this deviation alone puts between two equal columns, at most about: ½ Σ E|noise| / rows. */
static double from_noise(const sotto_figures *figures, size_t slots)
{
    return fmin(0.5 * (double)slots * figures->deviation * sqrt(2 / 3.14159265358979323846) / figures->rows,
                1.0);
}

static json_t *column_record(const sotto_figures *figures, size_t table, const double *noisy,
                             const double *synthetic, double *distance)
{
    const sotto_block *block = sotto_encoder_block(figures->encoder, figures->blocks[table]);
    *distance = total_variation(noisy, synthetic, figures->table_size[table]);
    return json_pack("{s:s, s:I, s:f, s:f}", "name", figures->schema->columns[block->column].name, "values",
                     (json_int_t)figures->table_size[table], "total_variation", *distance, "from_noise_alone",
                     from_noise(figures, figures->table_size[table]));
}

static json_t *whole_record(const sotto_figures *figures, const sotto_encoded *rows, const char *not_private,
                            double *synthetic)
{
    const double *noisy = figures->noisy;
    double sum = 0.0;
    json_t *columns = json_array();
    for (size_t t = 0; t < figures->count; t++) {
        double distance;
        for (size_t i = 0; i < figures->table_size[t]; i++)
            synthetic[i] = 0.0;
        for (size_t row = 0; row < sotto_encoded_rows(rows); row++)
            synthetic[sotto_encoded_slot(rows, row, figures->blocks[t])] += 1.0;
        (void)json_array_append_new(columns, column_record(figures, t, noisy, synthetic, &distance));
        noisy += figures->table_size[t];
        sum += distance;
    }
    return json_pack(
        "{s:s, s:s, s:s?, s:s, s:f, s:o, s:o*}", "format", "sotto figures 1", "made_by",
        "sotto " SOTTO_VERSION, "not_private", not_private[0] ? not_private : NULL, "what",
        "Total variation distance between each column of the synthetic rows and noisy counts of the same column of "
        "the real ones, numbers in the schema's bins: 0 is the same, 1 entirely different. `from_noise_alone` is about "
        "what equal columns would show. The counts are covered by the guarantee and charged to it.",
        "mean_total_variation", sum / (double)figures->count, "columns", columns, "prediction",
        figures->prediction ? sotto_prediction_record(figures->prediction) : NULL);
}

sotto_status sotto_figures_record(const sotto_figures *figures, const char *path, const char *not_private,
                                  json_t **record, sotto_error *err)
{
    const sotto_table_options any_rows = {.any_row_count = true};
    sotto_table *table = NULL;
    sotto_encoded *rows = NULL;
    double *synthetic = calloc(figures->cells, sizeof *synthetic);
    sotto_status status = synthetic ? sotto_table_load(&table, figures->schema, path, &any_rows, err)
                                    : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for figures");
    if (status == SOTTO_OK)
        status = sotto_encode(&rows, figures->encoder, table, err);
    if (status == SOTTO_OK) {
        *record = whole_record(figures, rows, not_private, synthetic);
        if (!*record)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for figures");
    }
    sotto_encoded_destroy(rows);
    sotto_table_destroy(table);
    free(synthetic);
    return status;
}
