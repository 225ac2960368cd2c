/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/marginals.h"

#include <stdlib.h>
#include <string.h>

/* Tables of pairs are scored in one piece: see sotto_picks_query. */
static const size_t most_pair_cells = (size_t)1 << 21;

/* ---- making ---- */

static void marginals_destroy(sotto_model *base)
{
    sotto_arena_destroy(((marginals *)base)->arena);
}

static sotto_status take_column(marginals *model, size_t block, sotto_error *err)
{
    marginals_column *column = &model->columns[model->column_count++];
    column->block = block;
    column->slots = column->groups = sotto_encoder_block(model->base.encoder, block)->slot_count;
    column->parent = SOTTO_NONE;
    column->group_of = sotto_arena_take(model->arena, column->slots, sizeof(uint16_t), err);
    column->slot_of = sotto_arena_take(model->arena, column->slots, sizeof(uint16_t), err);
    column->rare = sotto_arena_take(model->arena, column->slots, sizeof(uint16_t), err);
    return column->group_of && column->slot_of && column->rare ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status refuse_pair(const marginals *model, const sotto_node *section, size_t largest,
                                size_t second, sotto_error *err)
{
    return sotto_node_error(
        section, err,
        "two columns have %zu and %zu values or bins, for each of %zu labels: counts of such a "
        "pair would be all noise; declare fewer bins in the schema, or leave a column out",
        largest, second, model->labels);
}

/* What AIM holds: columns by number in one word, and tables of all cliques. */
static sotto_status check_aim(const marginals *model, const sotto_node *section, size_t slots, size_t largest,
                              sotto_error *err)
{
    if (model->column_count > MARGINALS_MOST_COLUMNS)
        return sotto_node_error(section, err,
                                "model.algorithm aim holds at most %d columns, and the schema has %zu; write "
                                "`algorithm: mst`, or leave columns out",
                                MARGINALS_MOST_COLUMNS, model->column_count);
    if (model->labels * slots > MARGINALS_MOST_CELLS)
        return sotto_node_error(
            section, err,
            "model.algorithm aim holds tables of %d cells in all, and columns alone have %zu values or bins (the "
            "largest %zu), for each of %zu labels; declare fewer bins in the schema, leave a column out, or write "
            "`algorithm: mst`",
            MARGINALS_MOST_CELLS, slots, largest, model->labels);
    return SOTTO_OK;
}

static sotto_status take_columns(marginals *model, const sotto_node *section, sotto_error *err)
{
    size_t largest = 0, second = 0, all = 0;
    for (size_t b = 0; b < model->blocks; b++) {
        const size_t slots = sotto_encoder_block(model->base.encoder, b)->slot_count;
        if (b == model->target_block || slots < 2)
            continue;
        const sotto_status status = take_column(model, b, err);
        if (status != SOTTO_OK)
            return status;
        second = slots > largest ? largest : slots > second ? slots : second;
        largest = slots > largest ? slots : largest;
        all += slots;
    }
    if (model->column_count == 0)
        return sotto_node_error(
            section, err,
            "no column of the schema but the target can have more than one value: there is "
            "nothing to count");
    if (model->algorithm == MARGINALS_AIM)
        return check_aim(model, section, all, largest, err);
    return model->labels * largest * second > most_pair_cells
               ? refuse_pair(model, section, largest, second, err)
               : SOTTO_OK;
}

static sotto_status lay_out(marginals *model, const sotto_node *section, sotto_error *err)
{
    const sotto_encoder *encoder = model->base.encoder;
    model->blocks = sotto_encoder_block_count(encoder);
    model->labels = 1;
    model->target_block = SOTTO_NONE;
    if (model->target != SOTTO_NONE) {
        model->target_block = sotto_encoder_find(encoder, model->target);
        model->labels = sotto_encoder_block(encoder, model->target_block)->slot_count;
    }
    model->columns = sotto_arena_take(model->arena, model->blocks, sizeof *model->columns, err);
    model->order = sotto_arena_take(model->arena, model->blocks, sizeof *model->order, err);
    model->label_frequency = sotto_arena_take(model->arena, model->labels, sizeof(double), err);
    model->label_cumulative = sotto_arena_take(model->arena, model->labels, sizeof(double), err);
    model->cliques = sotto_arena_take(model->arena, model->blocks, sizeof *model->cliques, err);
    if (!model->columns || !model->order || !model->cliques || !model->label_frequency ||
        !model->label_cumulative)
        return SOTTO_ERROR_MEMORY;
    return take_columns(model, section, err);
}

static sotto_status read_section(marginals *model, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"type", "target", "algorithm", NULL};
    static const char *const algorithms[] = {[MARGINALS_MST] = "mst", [MARGINALS_AIM] = "aim", NULL};
    size_t choice = MARGINALS_AIM;
    model->target = SOTTO_NONE;
    sotto_status status = sotto_node_expect_map(section, "model", known, err);
    const sotto_node *target = sotto_node_get(section, "target"),
                     *algorithm = sotto_node_get(section, "algorithm");
    if (status == SOTTO_OK && target)
        status =
            sotto_model_read_target(target, sotto_encoder_schema(model->base.encoder), &model->target, err);
    if (status == SOTTO_OK && algorithm)
        status = sotto_node_choice(algorithm, "model.algorithm", algorithms, &choice, err);
    model->algorithm = (marginals_algorithm)choice;
    return status;
}

static sotto_status marginals_create(sotto_model **out, const sotto_node *section,
                                     const sotto_encoder *encoder, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    marginals *model = sotto_arena_take(arena, 1, sizeof *model, err);
    if (!model) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    model->base = (sotto_model){.kind = &sotto_marginals_kind, .encoder = encoder};
    model->arena = arena;
    status = read_section(model, section, err);
    if (status == SOTTO_OK)
        status = lay_out(model, section, err);
    if (status == SOTTO_OK)
        *out = &model->base;
    else
        marginals_destroy(&model->base);
    return status;
}

static size_t marginals_releases(const sotto_model *base, sotto_model_release *releases)
{
    const marginals *model = (const marginals *)base;
    return model->algorithm == MARGINALS_MST ? marginals_mst_releases(model, releases)
                                             : marginals_aim_releases(model, releases);
}

static sotto_status marginals_learn(sotto_model *base, const sotto_release_door *door, sotto_error *err)
{
    marginals *model = (marginals *)base;
    return model->algorithm == MARGINALS_MST ? marginals_mst_learn(model, door, err)
                                             : marginals_aim_learn(model, door, err);
}

static sotto_status marginals_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    (void)section, (void)err;
    *numbers = SOTTO_NUMBERS_BINNED;
    return SOTTO_OK;
}

static sotto_status marginals_prepare(sotto_model *base, const sotto_training *training, sotto_random *random,
                                      sotto_error *err)
{
    (void)base, (void)training, (void)random, (void)err;
    return SOTTO_OK;
}

static void marginals_data(sotto_model *base, const sotto_encoded *data)
{
    ((marginals *)base)->data = data;
}

/* ---- sampling ---- */

/* The groups of one row, from the root down. */
static void draw_groups(const marginals *model, sotto_stream *stream, size_t label, size_t *groups)
{
    for (size_t i = 0; i < model->column_count; i++) {
        const size_t c = model->order[i];
        const marginals_column *column = &model->columns[c];
        size_t row = label;
        if (column->parent != SOTTO_NONE)
            row = label * model->columns[column->parent].groups + groups[column->parent];
        groups[c] = sotto_cumulative_draw(model->cumulative + column->chances + row * column->groups,
                                          column->groups, stream);
    }
}

/* One row. `groups` [column_count] is scratch. */
static void draw_row(const marginals *model, sotto_stream *stream, size_t label, size_t *groups,
                     uint16_t *slots)
{
    for (size_t b = 0; b < model->blocks; b++)
        slots[b] = 0;
    if (model->target_block != SOTTO_NONE)
        slots[model->target_block] = (uint16_t)label;
    if (model->algorithm == MARGINALS_MST)
        draw_groups(model, stream, label, groups);
    else
        marginals_cliques_draw(model, stream, label, groups);
    for (size_t c = 0; c < model->column_count; c++) {
        const marginals_column *column = &model->columns[c];
        if (column->rare_count > 0 && groups[c] + 1 == column->groups)
            slots[column->block] = column->rare[sotto_cumulative_draw(
                model->cumulative + column->rare_chances + label * column->rare_count, column->rare_count,
                stream)];
        else
            slots[column->block] = column->slot_of[groups[c]];
    }
}

static sotto_status marginals_sample(sotto_model *base, sotto_stream *stream, size_t target_slot,
                                     size_t count, uint16_t *slots, float *values, sotto_error *err)
{
    const marginals *model = (const marginals *)base;
    if (count > SOTTO_MODEL_ROWS)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "at most %d rows are sampled at once",
                               SOTTO_MODEL_ROWS);
    if (model->target_block == SOTTO_NONE)
        target_slot = SOTTO_NONE;
    if (target_slot != SOTTO_NONE && target_slot >= model->labels)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no label number %zu", target_slot);
    size_t *groups = calloc(model->column_count, sizeof *groups);
    if (!groups)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for sampling");
    for (size_t i = 0; i < count; i++) {
        const size_t label = target_slot != SOTTO_NONE
                                 ? target_slot
                                 : sotto_cumulative_draw(model->label_cumulative, model->labels, stream);
        draw_row(model, stream, label, groups, slots + i * model->blocks);
    }
    memset(values, 0, count * model->blocks * sizeof *values);
    free(groups);
    return SOTTO_OK;
}

static size_t marginals_target(const sotto_model *base)
{
    return ((const marginals *)base)->target_block;
}

/* ---- files ---- */

static void marginals_format(const sotto_model *base, FILE *file)
{
    const marginals *model = (const marginals *)base;
    (void)fprintf(file, "  type: marginals\n  algorithm: %s\n",
                  model->algorithm == MARGINALS_MST ? "mst" : "aim");
    if (model->target == SOTTO_NONE)
        return;
    (void)fputs("  target: ", file);
    sotto_model_format_quoted(sotto_encoder_schema(base->encoder)->columns[model->target].name, file);
    (void)fputc('\n', file);
}

static void format_tree(const marginals *model, FILE *file)
{
    (void)fputs("  tree: [", file);
    for (size_t i = 1; i < model->column_count; i++)
        (void)fprintf(file, "%s[%zu, %zu]", i > 1 ? ", " : "", model->order[i],
                      model->columns[model->order[i]].parent);
}

static void format_cliques(const marginals *model, FILE *file)
{
    (void)fputs("  cliques: [", file);
    for (size_t i = 0; i < model->clique_count; i++) {
        (void)fputs(i ? ", [" : "[", file);
        for (marginals_set left = model->cliques[i].columns; left; left &= left - 1)
            (void)fprintf(file, "%s%d", left == model->cliques[i].columns ? "" : ", ", __builtin_ctzll(left));
        (void)fputc(']', file);
    }
}

/* Which columns hang on which, and which slots of each are one group. */
static void marginals_format_learned(const sotto_model *base, FILE *file)
{
    const marginals *model = (const marginals *)base;
    if (model->algorithm == MARGINALS_MST)
        format_tree(model, file);
    else
        format_cliques(model, file);
    (void)fputs("]\n  rare: [", file);
    for (size_t c = 0; c < model->column_count; c++) {
        (void)fputs(c ? ", [" : "[", file);
        for (size_t i = 0; i < model->columns[c].rare_count; i++)
            (void)fprintf(file, "%s%u", i ? ", " : "", (unsigned)model->columns[c].rare[i]);
        (void)fputc(']', file);
    }
    (void)fputs("]\n", file);
}

static sotto_status read_tree(marginals *model, const sotto_node *node, sotto_error *err)
{
    const size_t edges = model->column_count - 1;
    if (!node || sotto_node_kind_of(node) != SOTTO_NODE_LIST || sotto_node_count(node) != edges)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "its tree does not fit its schema");
    size_t(*read)[2] = calloc(edges + 1, sizeof *read);
    sotto_status status =
        read ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading a model");
    for (size_t e = 0; e < edges && status == SOTTO_OK; e++) {
        const sotto_node *edge = sotto_node_at(node, e);
        if (sotto_node_kind_of(edge) != SOTTO_NODE_LIST || sotto_node_count(edge) != 2)
            status = sotto_error_set(err, SOTTO_ERROR_INPUT, "its tree has an edge that is no pair");
        for (size_t i = 0; i < 2 && status == SOTTO_OK; i++)
            status = sotto_node_size(sotto_node_at(edge, i), "tree", 0, edges, &read[e][i], err);
    }
    if (status == SOTTO_OK && !marginals_root(model, (const size_t(*)[2])read))
        status = sotto_error_set(err, SOTTO_ERROR_INPUT, "its tree is none");
    free(read);
    return status;
}

static sotto_status read_cliques(marginals *model, const sotto_node *node, sotto_error *err)
{
    marginals_set cliques[MARGINALS_MOST_COLUMNS] = {0};
    if (!node || sotto_node_kind_of(node) != SOTTO_NODE_LIST || sotto_node_count(node) > model->column_count)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "its cliques do not fit its schema");
    const size_t count = sotto_node_count(node);
    for (size_t i = 0; i < count; i++) {
        const sotto_node *clique = sotto_node_at(node, i);
        if (sotto_node_kind_of(clique) != SOTTO_NODE_LIST)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "its cliques are no lists");
        for (size_t c = 0; c < sotto_node_count(clique); c++) {
            size_t column;
            const sotto_status status = sotto_node_size(sotto_node_at(clique, c), "cliques", 0,
                                                        model->column_count - 1, &column, err);
            if (status != SOTTO_OK)
                return status;
            cliques[i] |= (marginals_set)1 << column;
        }
    }
    return marginals_cliques_set(model, cliques, count)
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT, "its cliques do not add up to all columns");
}

static sotto_status read_rare(marginals_column *column, const sotto_node *node, bool *is_rare,
                              sotto_error *err)
{
    if (sotto_node_kind_of(node) != SOTTO_NODE_LIST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "its rare values are no list");
    for (size_t s = 0; s < column->slots; s++)
        is_rare[s] = false;
    for (size_t i = 0; i < sotto_node_count(node); i++) {
        size_t slot;
        const sotto_status status =
            sotto_node_size(sotto_node_at(node, i), "rare", 0, column->slots - 1, &slot, err);
        if (status != SOTTO_OK)
            return status;
        is_rare[slot] = true;
    }
    marginals_group(column, is_rare);
    return SOTTO_OK;
}

static sotto_status marginals_read_learned(sotto_model *base, const sotto_node *node, sotto_error *err)
{
    static const char *const of_mst[] = {"tree", "rare", NULL}, *const of_aim[] = {"cliques", "rare", NULL};
    marginals *model = (marginals *)base;
    const bool mst = model->algorithm == MARGINALS_MST;
    sotto_status status = sotto_node_expect_map(node, "learned", mst ? of_mst : of_aim, err);
    if (status == SOTTO_OK)
        status = mst ? read_tree(model, sotto_node_get(node, "tree"), err)
                     : read_cliques(model, sotto_node_get(node, "cliques"), err);
    const sotto_node *rare = sotto_node_get(node, "rare");
    if (status != SOTTO_OK)
        return status;
    if (!rare || sotto_node_kind_of(rare) != SOTTO_NODE_LIST || sotto_node_count(rare) != model->column_count)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "its rare values do not fit its schema");
    bool *is_rare = calloc((size_t)UINT16_MAX + 1, sizeof *is_rare);
    if (!is_rare)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading a model");
    for (size_t c = 0; c < model->column_count && status == SOTTO_OK; c++)
        status = read_rare(&model->columns[c], sotto_node_at(rare, c), is_rare, err);
    free(is_rare);
    return status == SOTTO_OK ? marginals_take(model, err) : status;
}

static float *marginals_released(sotto_model *base, size_t *count)
{
    marginals *model = (marginals *)base;
    *count = model->released_count;
    return model->released;
}

static double *marginals_frequencies(sotto_model *base, size_t *count)
{
    marginals *model = (marginals *)base;
    *count = model->labels;
    return model->label_frequency;
}

static sotto_status marginals_loaded(sotto_model *base, sotto_error *err)
{
    return marginals_add_up((marginals *)base)
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT, "its chances are none");
}

const sotto_model_kind sotto_marginals_kind = {
    .type = "marginals",
    .create = marginals_create,
    .destroy = marginals_destroy,
    .numbers = marginals_numbers,
    .prepare = marginals_prepare,
    .releases = marginals_releases,
    .learn = marginals_learn,
    .state = marginals_state,
    .data = marginals_data,
    .sample = marginals_sample,
    .target = marginals_target,
    .format = marginals_format,
    .format_learned = marginals_format_learned,
    .read_learned = marginals_read_learned,
    .released = marginals_released,
    .frequencies = marginals_frequencies,
    .loaded = marginals_loaded,
};
