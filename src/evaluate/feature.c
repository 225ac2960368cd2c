/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/feature.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------- plans */

/* A number on the column's scale; NaN where missing. */
static double scaled(const sotto_column *column, double value)
{
    return column->log_scale ? log1p(value - column->min) : value;
}

static double number_at(const sotto_features_source *source, size_t i, size_t column)
{
    return sotto_table_number(source->table, source->rows ? source->rows[i] : i, column);
}

/* Mean and 1/deviation in two passes: one pass would lose the deviation of dates and other large numbers. */
static void measure(sotto_features_field *field, const sotto_column *column,
                    const sotto_features_source *sources, size_t count)
{
    double sum = 0, squares = 0, low = INFINITY, high = -INFINITY;
    size_t known = 0;
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < sources[s].count; i++) {
            const double value = scaled(column, number_at(&sources[s], i, field->column));
            if (isnan(value))
                continue;
            known++;
            sum += value;
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
    field->mean = known > 0 ? sum / (double)known : 0;
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < sources[s].count; i++) {
            const double value = scaled(column, number_at(&sources[s], i, field->column));
            squares += isnan(value) ? 0 : (value - field->mean) * (value - field->mean);
        }
    field->factor = low < high && squares > 0 ? sqrt((double)known / squares) : 0;
}

static void add_field(sotto_features_plan *plan, size_t index)
{
    const sotto_column *column = &plan->schema->columns[index];
    sotto_features_field *field = &plan->fields[plan->field_count++];
    field->column = index;
    field->category = column->type == SOTTO_COLUMN_CATEGORY;
    field->missing = column->missing_allowed;
    field->offset = plan->width;
    field->width =
        (field->category ? column->value_count : 1 + column->spike_count) + (field->missing ? 1 : 0);
    field->entry = plan->entries;
    plan->width += field->width;
    plan->entries += field->category || field->width == 1 ? 1 : 2;
}

sotto_status sotto_features_plan_create(sotto_features_plan **plan, const sotto_features_source *sources,
                                        size_t count, const bool *left_out, sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(sources[0].table);
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_features_plan *made = sotto_arena_take(arena, 1, sizeof *made, err);
    sotto_features_field *fields = sotto_arena_take(arena, schema->column_count, sizeof *fields, err);
    if (!made || !fields) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_features_plan){.fields = fields, .schema = schema, .arena = arena};
    for (size_t c = 0; c < schema->column_count; c++)
        if (schema->columns[c].type != SOTTO_COLUMN_IDENTIFIER && !(left_out && left_out[c]))
            add_field(made, c);
    for (size_t f = 0; f < made->field_count; f++)
        if (!fields[f].category)
            measure(&fields[f], &schema->columns[fields[f].column], sources, count);
    *plan = made;
    return SOTTO_OK;
}

void sotto_features_plan_destroy(sotto_features_plan *plan)
{
    if (plan)
        sotto_arena_destroy(plan->arena);
}

/* -------------------------------------------------------------------- rows */

sotto_status sotto_features_create(sotto_features **features, const sotto_features_plan *plan, size_t rows,
                                   sotto_error *err)
{
    if (plan->entries > 0 && rows > SIZE_MAX / plan->entries)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "%zu rows of %zu features cannot be addressed", rows,
                               plan->entries);
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_features *made = sotto_arena_take(arena, 1, sizeof *made, err);
    uint32_t *columns = sotto_arena_take(arena, rows * plan->entries, sizeof *columns, err);
    float *values = sotto_arena_take(arena, rows * plan->entries, sizeof *values, err);
    if (!made || !columns || !values) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made =
        (sotto_features){.plan = plan, .rows = rows, .columns = columns, .values = values, .arena = arena};
    for (size_t i = 0; i < rows; i++)
        for (size_t f = 0; f < plan->field_count; f++) {
            const sotto_features_field *field = &plan->fields[f];
            uint32_t *at = columns + i * plan->entries + field->entry;
            at[0] = (uint32_t)field->offset;
            if (!field->category && field->width > 1)
                at[1] = (uint32_t)field->offset + 1;
        }
    *features = made;
    return SOTTO_OK;
}

void sotto_features_destroy(sotto_features *features)
{
    if (features)
        sotto_arena_destroy(features->arena);
}

static void fill_categories(sotto_features *features, const sotto_features_field *field, size_t first,
                            const sotto_features_source *source)
{
    const size_t entries = features->plan->entries;
    for (size_t i = 0; i < source->count; i++) {
        const size_t row = source->rows ? source->rows[i] : i;
        const size_t category = sotto_table_category(source->table, row, field->column);
        const size_t at = (first + i) * entries + field->entry;
        features->columns[at] =
            (uint32_t)(field->offset + (category == SOTTO_NONE ? field->width - 1 : category));
        features->values[at] = 1;
    }
}

/* Which element of a number's field says what it is beside its value; 0 for none. Spikes ascend, and lie on a
 * grid that value is on. */
static size_t state_of(const sotto_features_field *field, const sotto_column *column, double value)
{
    const size_t first_spike = field->missing ? 2 : 1;
    const double half = 0.5 / sotto_power_of_ten(column->decimals);
    if (isnan(value))
        return field->missing ? 1 : 0;
    for (size_t k = 0; k < column->spike_count && column->spikes[k] < value + half; k++)
        if (column->spikes[k] > value - half)
            return first_spike + k;
    return 0;
}

static void fill_numbers(sotto_features *features, const sotto_features_field *field, size_t first,
                         const sotto_features_source *source)
{
    const sotto_column *column = &features->plan->schema->columns[field->column];
    const size_t entries = features->plan->entries;
    for (size_t i = 0; i < source->count; i++) {
        const double value = number_at(source, i, field->column);
        const size_t at = (first + i) * entries + field->entry;
        features->values[at] =
            isnan(value) ? 0 : (float)((scaled(column, value) - field->mean) * field->factor);
        if (field->width == 1)
            continue;
        const size_t state = state_of(field, column, value);
        features->columns[at + 1] = (uint32_t)(field->offset + (state > 0 ? state : 1));
        features->values[at + 1] = state > 0 ? 1 : 0;
    }
}

sotto_status sotto_features_fill(sotto_features *features, size_t first, const sotto_features_source *source,
                                 sotto_stream *shuffle, sotto_error *err)
{
    const sotto_features_plan *plan = features->plan;
    const size_t count = source->count;
    if (first > features->rows || count > features->rows - first)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%zu rows from row %zu on do not fit into %zu rows of features", count, first,
                               features->rows);
    sotto_features_source use = *source;
    sotto_arena *scratch = NULL;
    uint32_t *order = NULL;
    if (shuffle) {
        sotto_status status = sotto_arena_create(&scratch, err);
        if (status != SOTTO_OK)
            return status;
        order = sotto_arena_take(scratch, count, sizeof *order, err);
        if (!order) {
            sotto_arena_destroy(scratch);
            return SOTTO_ERROR_MEMORY;
        }
        for (size_t i = 0; i < count; i++)
            order[i] = source->rows ? source->rows[i] : (uint32_t)i;
        use.rows = order;
    }
    for (size_t f = 0; f < plan->field_count; f++) {
        if (shuffle)
            sotto_rows_shuffle(order, count, shuffle);
        (plan->fields[f].category ? fill_categories : fill_numbers)(features, &plan->fields[f], first, &use);
    }
    sotto_arena_destroy(scratch);
    return SOTTO_OK;
}

/* A number's state is set, and it is the first one. */
static bool number_missing(const sotto_features *features, const sotto_features_field *field, size_t at)
{
    return features->values[at + 1] != 0 && features->columns[at + 1] == field->offset + 1;
}

void sotto_features_dense(const sotto_features *features, float *out)
{
    const sotto_features_plan *plan = features->plan;
    for (size_t i = 0; i < features->rows; i++)
        for (size_t f = 0; f < plan->field_count; f++) {
            const sotto_features_field *field = &plan->fields[f];
            const size_t at = i * plan->entries + field->entry;
            const size_t slot = features->columns[at] - field->offset;
            float *to = &out[i * plan->field_count + f];
            *to = field->category ? (float)slot : features->values[at];
            if (field->missing &&
                (field->category ? slot == field->width - 1 : number_missing(features, field, at)))
                *to = NAN;
        }
}

/* ----------------------------------------------------------------- samples */

size_t sotto_rows_sample(uint32_t *rows, size_t count, size_t wanted, sotto_stream *stream)
{
    if (count <= wanted)
        return count;
    for (size_t i = 0; i < wanted; i++) {
        const size_t k = i + (size_t)sotto_stream_below(stream, count - i);
        const uint32_t kept = rows[k];
        rows[k] = rows[i];
        rows[i] = kept;
    }
    return wanted;
}

void sotto_rows_shuffle(uint32_t *rows, size_t count, sotto_stream *stream)
{
    for (size_t i = count; i > 1; i--) {
        const size_t k = (size_t)sotto_stream_below(stream, i);
        const uint32_t last = rows[i - 1];
        rows[i - 1] = rows[k];
        rows[k] = last;
    }
}
