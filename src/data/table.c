/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

/* One column's codes. Categories: 0 is missing, 1 + index otherwise. Integers and dates: the type's least
 * value is missing. Numbers: NaN is missing. */
typedef enum store_kind { STORE_NONE, STORE_U8, STORE_U16, STORE_I32, STORE_I64, STORE_F64 } store_kind;

static const size_t store_sizes[] = {0, 1, 2, 4, 8, 8};

typedef struct store {
    store_kind kind;
    void *data;
} store;

struct sotto_table {
    const sotto_schema *schema;
    size_t rows, capacity;
    store *stores;
    sotto_column_counts *counts;
    uint32_t **units;    /* for each column, each row's unit; NULL where none are told */
    size_t *unit_counts; /* for each column */
    char sha256[65];
    bool stamped;
};

/* -------------------------------------------------------------------- codes */

static store_kind kind_of(const sotto_column *column)
{
    switch (column->type) {
    case SOTTO_COLUMN_IDENTIFIER:
        return STORE_NONE;
    case SOTTO_COLUMN_CATEGORY:
        return column->value_count < 256 ? STORE_U8 : STORE_U16;
    case SOTTO_COLUMN_NUMBER:
        return STORE_F64;
    case SOTTO_COLUMN_INTEGER:
    case SOTTO_COLUMN_DATE:
        break;
    }
    return column->min > INT32_MIN && column->max <= INT32_MAX ? STORE_I32 : STORE_I64;
}

static void put_category(const store *to, size_t row, size_t code)
{
    if (to->kind == STORE_U8)
        ((uint8_t *)to->data)[row] = (uint8_t)code;
    else
        ((uint16_t *)to->data)[row] = (uint16_t)code;
}

/* A value inside the bounds; NaN for missing. */
static void put_number(const store *to, size_t row, double value)
{
    if (to->kind == STORE_F64)
        ((double *)to->data)[row] = value;
    else if (to->kind == STORE_I32)
        ((int32_t *)to->data)[row] = isnan(value) ? INT32_MIN : (int32_t)value;
    else
        ((int64_t *)to->data)[row] = isnan(value) ? INT64_MIN : (int64_t)value;
}

size_t sotto_table_category(const sotto_table *table, size_t row, size_t column)
{
    const store *from = &table->stores[column];
    size_t code = 0;
    if (from->kind == STORE_U8)
        code = ((const uint8_t *)from->data)[row];
    else if (from->kind == STORE_U16)
        code = ((const uint16_t *)from->data)[row];
    return code ? code - 1 : SOTTO_NONE;
}

double sotto_table_number(const sotto_table *table, size_t row, size_t column)
{
    const store *from = &table->stores[column];
    if (from->kind == STORE_F64)
        return ((const double *)from->data)[row];
    if (from->kind == STORE_I32) {
        int32_t value = ((const int32_t *)from->data)[row];
        return value == INT32_MIN ? NAN : value;
    }
    if (from->kind == STORE_I64) {
        int64_t value = ((const int64_t *)from->data)[row];
        return value == INT64_MIN ? NAN : (double)value;
    }
    return NAN;
}

bool sotto_table_missing(const sotto_table *table, size_t row, size_t column)
{
    if (table->schema->columns[column].type == SOTTO_COLUMN_CATEGORY)
        return sotto_table_category(table, row, column) == SOTTO_NONE;
    return isnan(sotto_table_number(table, row, column));
}

const sotto_schema *sotto_table_schema(const sotto_table *table)
{
    return table->schema;
}

size_t sotto_table_rows(const sotto_table *table)
{
    return table->rows;
}

size_t sotto_table_units(const sotto_table *table, size_t column)
{
    return table->unit_counts[column];
}

uint32_t sotto_table_unit(const sotto_table *table, size_t row, size_t column)
{
    return table->units[column][row];
}

bool sotto_table_stamped(const sotto_table *table)
{
    return table->stamped;
}

const char *sotto_table_sha256(const sotto_table *table)
{
    return table->sha256;
}

const sotto_column_counts *sotto_table_counts(const sotto_table *table, size_t column)
{
    return &table->counts[column];
}

/* ------------------------------------------------------------------ loading */

typedef struct category {
    const char *text;
    size_t code;
} category;

typedef struct loader {
    sotto_table *table;
    const sotto_schema *schema;
    const char *path;
    bool any_row_count, strict, units;
    sotto_arena *arena;      /* of what only loading needs */
    sotto_unit_texts *texts; /* for each column: of the identifiers that tell units */
    category **by_text;      /* for each category column, its values sorted */
    size_t *column_of;       /* schema column of each cell */
    size_t seen;             /* rows in the file; those beyond the declared count are counted, not kept */
    const sotto_csv_row *row;
} loader;

static sotto_status cell_error(const loader *in, size_t cell, sotto_error *err, const char *found,
                               const char *remedy)
{
    const sotto_column *column = &in->schema->columns[in->column_of[cell]];
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, in->row->line, cell + 1,
                              "cell %zu, column '%.100s': %s, but the schema declares %s%s; %s", cell + 1,
                              column->name, found, sotto_column_type_name(column->type),
                              column->missing_allowed ? " with missing: allowed" : "", remedy);
}

static void note_mapped(const loader *in, sotto_column_counts *counts, size_t *which)
{
    ++*which;
    if (counts->first_line == 0)
        counts->first_line = in->row->line;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(((const category *)left)->text, ((const category *)right)->text);
}

static sotto_status take_category(const loader *in, size_t cell, const char *text, size_t *code,
                                  sotto_error *err)
{
    size_t index = in->column_of[cell];
    const sotto_column *column = &in->schema->columns[index];
    category wanted = {.text = text};
    const category *found = bsearch(&wanted, in->by_text[index], column->value_count, sizeof wanted, by_text);
    if (found) {
        *code = found->code;
        return SOTTO_OK;
    }
    if (column->other == SOTTO_NONE && !column->missing_allowed)
        return cell_error(
            in, cell, err, "a value that is none of the declared ones",
            "add it to values, or declare other: or missing: allowed to take what is undeclared");
    sotto_column_counts *counts = &in->table->counts[index];
    note_mapped(in, counts, &counts->undeclared);
    *code = column->other == SOTTO_NONE ? 0 : column->other + 1;
    return SOTTO_OK;
}

/* A number as the schema lets it in: clamped, and a NaN mapped. */
static double into_bounds(const loader *in, size_t index, double value)
{
    const sotto_column *column = &in->schema->columns[index];
    sotto_column_counts *counts = &in->table->counts[index];
    if (isnan(value)) {
        note_mapped(in, counts, &counts->not_a_number);
        return column->missing_allowed ? value : column->min;
    }
    if (value < column->min) {
        note_mapped(in, counts, &counts->clamped_low);
        return column->min;
    }
    if (value > column->max) {
        note_mapped(in, counts, &counts->clamped_high);
        return column->max;
    }
    return value;
}

static sotto_status take_number(const loader *in, size_t cell, const char *text, double *value,
                                sotto_error *err)
{
    size_t index = in->column_of[cell];
    sotto_column_type type = in->schema->columns[index].type;
    int64_t days;
    if (type == SOTTO_COLUMN_DATE) {
        if (!sotto_cell_date(text, &days))
            return cell_error(in, cell, err, "not a date",
                              "write dates as 2024-02-29, or correct the schema");
        *value = (double)days;
    } else if (!sotto_cell_number(text, value)) {
        return cell_error(in, cell, err, "not a number", "correct the cell or the schema's type");
    } else if (type == SOTTO_COLUMN_INTEGER && isfinite(*value) && *value != nearbyint(*value)) {
        return cell_error(in, cell, err, "not a whole number", "correct the cell, or declare type: number");
    }
    *value = into_bounds(in, index, *value);
    return SOTTO_OK;
}

static bool tells_units(const loader *in, size_t index)
{
    return in->units && in->schema->columns[index].units > 0;
}

/* A row that nobody's identifier is on cannot be told from others of the same person: only where the schema
 * says that this may be is it a unit of its own. */
static sotto_status take_identifier(const loader *in, size_t cell, bool missing, sotto_error *err)
{
    const size_t index = in->column_of[cell];
    if (!tells_units(in, index))
        return SOTTO_OK;
    if (missing && !in->schema->columns[index].missing_allowed)
        return cell_error(
            in, cell, err, "missing",
            "fill it, or declare missing: allowed, which makes each such row a unit of its own");
    in->table->counts[index].missing += missing;
    return sotto_unit_texts_add(&in->texts[index], missing ? NULL : in->row->cells[cell], err);
}

static sotto_status take_cell(const loader *in, size_t cell, size_t row, sotto_error *err)
{
    size_t index = in->column_of[cell];
    const sotto_column *column = &in->schema->columns[index];
    const store *to = &in->table->stores[index];
    const char *text = in->row->cells[cell];
    bool missing = text[0] == '\0' || strcmp(text, in->schema->missing) == 0;
    if (column->type == SOTTO_COLUMN_IDENTIFIER)
        return take_identifier(in, cell, missing, err);
    if (missing && !column->missing_allowed)
        return cell_error(in, cell, err, "missing", "fill it, or declare missing: allowed");
    sotto_status status = SOTTO_OK;
    if (column->type == SOTTO_COLUMN_CATEGORY) {
        size_t code = 0;
        if (!missing)
            status = take_category(in, cell, text, &code, err);
        put_category(to, row, code);
    } else {
        double value = NAN;
        if (!missing)
            status = take_number(in, cell, text, &value, err);
        if (!status)
            put_number(to, row, value);
    }
    if (!status)
        in->table->counts[index].missing += sotto_table_missing(in->table, row, index);
    return status;
}

/* Room for one more row in every column. */
static sotto_status grow(const loader *in, sotto_error *err)
{
    sotto_table *table = in->table;
    if (table->rows < table->capacity)
        return SOTTO_OK;
    size_t capacity = table->capacity ? table->capacity + table->capacity / 2 : 1024;
    if (!in->any_row_count && capacity > in->schema->rows)
        capacity = in->schema->rows;
    for (size_t i = 0; i < in->schema->column_count; i++) {
        store *to = &table->stores[i];
        if (to->kind == STORE_NONE)
            continue;
        void *larger = realloc(to->data, capacity * store_sizes[to->kind]);
        if (!larger)
            return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, in->path, 0, 0, "out of memory at %zu rows",
                                      table->rows);
        to->data = larger;
    }
    table->capacity = capacity;
    return SOTTO_OK;
}

static sotto_status take_row(loader *in, sotto_error *err)
{
    if (in->row->count != in->schema->column_count)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, in->row->line, 0,
                                  "%zu cells in this row; wanted %zu, as in the header", in->row->count,
                                  in->schema->column_count);
    if (in->seen == UINT32_MAX - 1)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, in->row->line, 0,
                                  "more than 2^32 - 2 rows");
    in->seen++;
    if (!in->any_row_count && in->seen > in->schema->rows)
        return SOTTO_OK;
    sotto_status status = grow(in, err);
    for (size_t i = 0; !status && i < in->row->count; i++)
        status = take_cell(in, i, in->table->rows, err);
    if (!status)
        in->table->rows++;
    return status;
}

/* ------------------------------------------------------------------- header */

static size_t match_header(const loader *in)
{
    size_t matches = 0;
    for (size_t i = 0; i < in->row->count; i++)
        matches += sotto_schema_find(in->schema, in->row->cells[i]) != SOTTO_NONE;
    return matches;
}

static sotto_status header_error(const loader *in, size_t cell, sotto_error *err, const char *what)
{
    char name[61];
    (void)snprintf(name, sizeof name, "%s", in->row->cells[cell]);
    for (char *at = name; *at; at++)
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, in->row->line, cell + 1,
                              "the header's cell %zu, '%s', %s", cell + 1, name, what);
}

static sotto_status find_absent(const loader *in, const bool *present, sotto_error *err)
{
    for (size_t i = 0; i < in->schema->column_count; i++)
        if (!present[i])
            return sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, in->path, in->row->line, 0,
                "the header does not name column '%.100s' of the schema; add the column, or "
                "take it out of the schema",
                in->schema->columns[i].name);
    return SOTTO_OK;
}

static sotto_status take_header(loader *in, sotto_error *err)
{
    /* A file without a header begins with private cells, which must not be quoted as if they were names. */
    size_t matches = match_header(in);
    if (2 * matches < in->row->count)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, in->path, in->row->line, 0,
            "the first row has %zu cells, of which %zu name columns of the schema; the table must "
            "begin with a header line that names its %zu columns, with commas between",
            in->row->count, matches, in->schema->column_count);
    bool *present = sotto_arena_take(in->arena, in->schema->column_count, sizeof *present, err);
    in->column_of = sotto_arena_take(in->arena, in->row->count, sizeof *in->column_of, err);
    if (!present || !in->column_of)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < in->row->count; i++) {
        size_t index = sotto_schema_find(in->schema, in->row->cells[i]);
        if (index == SOTTO_NONE)
            return header_error(in, i, err,
                                "is no column of the schema; declare it there, or drop it from the table");
        if (present[index])
            return header_error(in, i, err, "stands there twice; keep one");
        present[index] = true;
        in->column_of[i] = index;
    }
    return find_absent(in, present, err);
}

static sotto_status visit(void *context, const sotto_csv_row *row, sotto_error *err)
{
    loader *in = context;
    in->row = row;
    in->table->stamped = row->stamped;
    return row->number == 0 ? take_header(in, err) : take_row(in, err);
}

/* ---------------------------------------------------------------- the table */

static sotto_status check_rows(const loader *in, sotto_error *err)
{
    if (!in->column_of)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, 0, 0,
                                  "the file is empty; wanted a header line and rows");
    if (in->seen == 0)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, 0, 0, "no rows below the header");
    if (!in->any_row_count && in->seen != in->schema->rows)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, 0, 0,
                                  "%zu rows, but the schema declares rows: %zu; correct whichever is wrong",
                                  in->seen, in->schema->rows);
    return SOTTO_OK;
}

/* From texts to numbers of units; and are they as many as the schema declares? */
static sotto_status number_units(const loader *in, sotto_error *err)
{
    for (size_t i = 0; i < in->schema->column_count; i++) {
        const sotto_column *column = &in->schema->columns[i];
        size_t *count = &in->table->unit_counts[i];
        if (!tells_units(in, i))
            continue;
        sotto_status status = sotto_unit_texts_number(&in->texts[i], &in->table->units[i], count, err);
        if (status)
            return status;
        if (!in->any_row_count && *count != column->units)
            return sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, in->path, 0, 0,
                "%zu units by column '%.100s', but the schema declares units: %zu of it; correct whichever "
                "is wrong",
                *count, column->name, column->units);
    }
    return SOTTO_OK;
}

/* Strict: one message for the first columns with findings; all counts are there for whoever loads without it.
 */
static sotto_status check_findings(const loader *in, sotto_error *err)
{
    char list[480] = "";
    size_t used = 0, columns = 0, first_line = 0;
    for (size_t i = 0; i < in->schema->column_count; i++) {
        const sotto_column_counts *counts = &in->table->counts[i];
        if (counts->first_line == 0)
            continue;
        if (columns++ == 0 || counts->first_line < first_line)
            first_line = counts->first_line;
        if (used < sizeof list - 160)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s'%.60s' %zu (first on line %zu)",
                                     used ? ", " : "", in->schema->columns[i].name,
                                     counts->clamped_low + counts->clamped_high + counts->not_a_number +
                                         counts->undeclared,
                                     counts->first_line);
    }
    if (columns == 0)
        return SOTTO_OK;
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, in->path, first_line, 0,
        "values outside the declared domain in %zu column%s: %s; correct the table, or widen the "
        "schema",
        columns, columns == 1 ? "" : "s", list);
}

static sotto_status sort_categories(loader *in, size_t index, sotto_error *err)
{
    const sotto_column *column = &in->schema->columns[index];
    category *sorted = sotto_arena_take(in->arena, column->value_count, sizeof *sorted, err);
    if (!sorted)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < column->value_count; i++)
        sorted[i] = (category){column->values[i], i + 1};
    qsort(sorted, column->value_count, sizeof *sorted, by_text);
    in->by_text[index] = sorted;
    return SOTTO_OK;
}

static sotto_status prepare(loader *in, sotto_error *err)
{
    size_t columns = in->schema->column_count;
    sotto_status status = sotto_arena_create(&in->arena, err);
    if (status)
        return status;
    in->by_text = sotto_arena_take(in->arena, columns, sizeof *in->by_text, err);
    in->texts = sotto_arena_take(in->arena, columns, sizeof *in->texts, err);
    in->table = calloc(1, sizeof *in->table);
    if (in->table) {
        in->table->schema = in->schema;
        in->table->stores = calloc(columns, sizeof *in->table->stores);
        in->table->counts = calloc(columns, sizeof *in->table->counts);
        in->table->units = calloc(columns, sizeof *in->table->units);
        in->table->unit_counts = calloc(columns, sizeof *in->table->unit_counts);
    }
    if (!in->by_text || !in->texts || !in->table || !in->table->stores || !in->table->counts ||
        !in->table->units || !in->table->unit_counts)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a table of %zu columns", columns);
    for (size_t i = 0; !status && i < columns; i++) {
        in->table->stores[i].kind = kind_of(&in->schema->columns[i]);
        status = sort_categories(in, i, err);
    }
    return status;
}

sotto_status sotto_table_load(sotto_table **table, const sotto_schema *schema, const char *path,
                              const sotto_table_options *options, sotto_error *err)
{
    loader in = {.schema = schema,
                 .path = path,
                 .any_row_count = options && options->any_row_count,
                 .strict = options && options->strict,
                 .units = options && options->units};
    sotto_status status = prepare(&in, err);
    if (!status)
        status = sotto_csv_read(path, visit, &in, in.table->sha256, err);
    if (!status)
        status = check_rows(&in, err);
    if (!status)
        status = number_units(&in, err);
    if (!status && in.strict)
        status = check_findings(&in, err);
    for (size_t i = 0; in.texts && i < schema->column_count; i++)
        sotto_unit_texts_release(&in.texts[i]);
    sotto_arena_destroy(in.arena);
    if (status)
        sotto_table_destroy(in.table);
    else
        *table = in.table;
    return status;
}

void sotto_table_destroy(sotto_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; table->stores && i < table->schema->column_count; i++)
        free(table->stores[i].data);
    for (size_t i = 0; table->units && i < table->schema->column_count; i++)
        free(table->units[i]);
    free(table->units);
    free(table->unit_counts);
    free(table->stores);
    free(table->counts);
    free(table);
}
