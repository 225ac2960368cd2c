/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "document/document.h"

enum {
    MAX_COLUMNS = 10000,
    MAX_CATEGORIES = 60000, /* with "missing" they are slots and codes of 16 bits */
    MAX_SPIKES = 100,
    MAX_BINS = 1000,
    DEFAULT_BINS = 20,
    DEFAULT_DECIMALS = 2,
};

static const char *const type_names[] = {"integer", "number", "category", "date", "identifier", NULL};

const char *sotto_column_type_name(sotto_column_type type)
{
    return type_names[type];
}

/* A schema on its way from a document. */
typedef struct reading {
    sotto_schema *schema;
    sotto_arena *arena;
    sotto_error *err;
    char what[120]; /* "column 'age'", for messages */
} reading;

/* --------------------------------------------------------- numbers and dates */

static bool is_numeric(sotto_column_type type)
{
    return type == SOTTO_COLUMN_INTEGER || type == SOTTO_COLUMN_NUMBER || type == SOTTO_COLUMN_DATE;
}

static sotto_status read_date(reading *in, const sotto_node *node, const char *what, double *value)
{
    const char *text = node ? sotto_node_text(node) : NULL;
    int64_t days;
    if (!text || !sotto_cell_date(text, &days))
        return sotto_node_error(node, in->err, "%s must be a date such as 2024-02-29, year-month-day", what);
    *value = (double)days;
    return SOTTO_OK;
}

/* A bound or spike: a number or a date that lies on the column's grid. */
static sotto_status read_point(reading *in, const sotto_node *node, const sotto_column *column,
                               const char *key, double *value)
{
    char what[160];
    (void)snprintf(what, sizeof what, "%s of %s", key, in->what);
    if (column->type == SOTTO_COLUMN_DATE)
        return read_date(in, node, what, value);
    double limit = (double)SOTTO_GRID_LIMIT / sotto_power_of_ten(column->decimals);
    sotto_status status = sotto_node_double(node, what, -limit, limit, value, in->err);
    if (status)
        return status;
    int64_t point;
    if (!sotto_grid_point(*value, column->decimals, &point))
        return column->type == SOTTO_COLUMN_INTEGER
                   ? sotto_node_error(node, in->err,
                                      "%s must be a whole number; the column's type is integer", what)
                   : sotto_node_error(
                         node, in->err,
                         "%s has more than %u digits after the point; round it, or raise decimals", what,
                         column->decimals);
    return SOTTO_OK;
}

static sotto_status read_bounds(reading *in, const sotto_node *node, sotto_column *column)
{
    const sotto_node *min = sotto_node_get(node, "min"), *max = sotto_node_get(node, "max");
    if (!min || !max)
        return sotto_node_error(node, in->err,
                                "%s has no %s; declare public bounds, values outside them are clamped",
                                in->what, min ? "max" : "min");
    sotto_status status = read_point(in, min, column, "min", &column->min);
    if (!status)
        status = read_point(in, max, column, "max", &column->max);
    if (!status && column->min > column->max)
        status = sotto_node_error(max, in->err, "max of %s is below its min; exchange them", in->what);
    return status;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static sotto_status check_spike(reading *in, const sotto_node *node, const sotto_column *column,
                                const double *spikes, size_t i)
{
    if (spikes[i] < column->min || spikes[i] > column->max)
        return sotto_node_error(
            node, in->err, "a spike of %s lies outside its bounds; move the bounds or drop it", in->what);
    for (size_t j = 0; j < i; j++)
        if (spikes[j] == spikes[i])
            return sotto_node_error(node, in->err, "%s has this spike twice; keep one", in->what);
    return SOTTO_OK;
}

static sotto_status read_spikes(reading *in, const sotto_node *list, sotto_column *column)
{
    size_t count = 0;
    if (list && sotto_node_kind_of(list) != SOTTO_NODE_LIST)
        return sotto_node_error(list, in->err, "spikes of %s must be a list such as [0]", in->what);
    if (list)
        count = sotto_node_count(list);
    if (list && (count == 0 || count > MAX_SPIKES))
        return sotto_node_error(list, in->err,
                                "spikes of %s must list 1 to %d values; leave the key out for none", in->what,
                                MAX_SPIKES);
    double *spikes = sotto_arena_take(in->arena, count + 1, sizeof *spikes, in->err);
    if (!spikes)
        return SOTTO_ERROR_MEMORY;
    bool low = false;
    for (size_t i = 0; i < count; i++) {
        const sotto_node *node = sotto_node_at(list, i);
        sotto_status status = read_point(in, node, column, "a spike", &spikes[i]);
        if (!status)
            status = check_spike(in, node, column, spikes, i);
        if (status)
            return status;
        low = low || spikes[i] == column->min;
    }
    if (column->log_scale && !low)
        spikes[count++] = column->min;
    qsort(spikes, count, sizeof *spikes, by_value);
    column->spikes = spikes;
    column->spike_count = count;
    return SOTTO_OK;
}

static sotto_status read_scale(reading *in, const sotto_node *node, sotto_column *column)
{
    static const char *const scales[] = {"linear", "log", NULL};
    const sotto_node *scale = sotto_node_get(node, "scale"), *decimals = sotto_node_get(node, "decimals");
    const sotto_node *bins = sotto_node_get(node, "bins");
    size_t choice = 0, digits = column->type == SOTTO_COLUMN_NUMBER ? DEFAULT_DECIMALS : 0;
    column->bins = DEFAULT_BINS;
    sotto_status status = SOTTO_OK;
    if (scale)
        status = sotto_node_choice(scale, "scale", scales, &choice, in->err);
    if (!status && decimals)
        status = sotto_node_size(decimals, "decimals", 0, 9, &digits, in->err);
    if (!status && bins)
        status = sotto_node_size(bins, "bins", 1, MAX_BINS, &column->bins, in->err);
    column->log_scale = choice == 1;
    column->decimals = (unsigned)digits;
    return status;
}

/* A cell that holds the marker is missing, so no value may be spelled like it. */
static sotto_status check_marker(reading *in, const sotto_node *node, const sotto_column *column)
{
    double value;
    int64_t days;
    const char *marker = in->schema->missing;
    bool inside = false;
    if (column->type == SOTTO_COLUMN_DATE)
        inside = sotto_cell_date(marker, &days) && (double)days >= column->min && (double)days <= column->max;
    else
        inside = sotto_text_double(marker, &value) && value >= column->min && value <= column->max;
    if (inside)
        return sotto_node_error(
            node, in->err,
            "the missing marker is a value inside the bounds of %s; choose bounds without it, or "
            "another marker",
            in->what);
    return SOTTO_OK;
}

static sotto_status read_numeric(reading *in, const sotto_node *node, sotto_column *column)
{
    sotto_status status = read_scale(in, node, column);
    if (!status)
        status = read_bounds(in, node, column);
    if (!status)
        status = read_spikes(in, sotto_node_get(node, "spikes"), column);
    return status ? status : check_marker(in, node, column);
}

/* ---------------------------------------------------------------- categories */

typedef struct place {
    const char *text;
    size_t index;
} place;

static int by_text(const void *left, const void *right)
{
    const place *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* Sorted rather than pairwise: lists may be long. */
static sotto_status check_distinct(reading *in, const sotto_node *list, const char *const *values)
{
    size_t count = sotto_node_count(list);
    place *sorted = sotto_arena_take(in->arena, count, sizeof *sorted, in->err);
    if (!sorted)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (place){values[i], i};
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1].text, sorted[i].text) == 0)
            return sotto_node_error(sotto_node_at(list, sorted[i].index), in->err,
                                    "%s has the category '%.60s' twice; keep one", in->what, sorted[i].text);
    return SOTTO_OK;
}

static sotto_status read_value(reading *in, const sotto_node *node, const char **value)
{
    const char *text;
    sotto_status status = sotto_node_string(node, "a category", &text, in->err);
    if (status)
        return status;
    if (strcmp(text, in->schema->missing) == 0)
        return sotto_node_error(
            node, in->err, "%s lists the missing marker as a category; drop it and write missing: allowed",
            in->what);
    *value = sotto_arena_copy(in->arena, text, strlen(text), in->err);
    return *value ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status read_other(reading *in, const sotto_node *node, sotto_column *column)
{
    const char *name;
    column->other = SOTTO_NONE;
    if (!node)
        return SOTTO_OK;
    sotto_status status = sotto_node_string(node, "other", &name, in->err);
    if (status)
        return status;
    column->other = sotto_column_find(column, name);
    if (column->other == SOTTO_NONE)
        return sotto_node_error(node, in->err, "other of %s must be one of its values; add '%.60s' to them",
                                in->what, name);
    return SOTTO_OK;
}

static sotto_status read_category(reading *in, const sotto_node *node, sotto_column *column)
{
    const sotto_node *list = sotto_node_get(node, "values");
    size_t count = list && sotto_node_kind_of(list) == SOTTO_NODE_LIST ? sotto_node_count(list) : 0;
    if (count == 0 || count > MAX_CATEGORIES)
        return sotto_node_error(list ? list : node, in->err, "%s needs values: a list of 1 to %d categories",
                                in->what, MAX_CATEGORIES);
    const char **values = sotto_arena_take(in->arena, count, sizeof *values, in->err);
    if (!values)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        sotto_status status = read_value(in, sotto_node_at(list, i), &values[i]);
        if (status)
            return status;
    }
    column->values = values;
    column->value_count = count;
    sotto_status status = check_distinct(in, list, values);
    return status ? status : read_other(in, sotto_node_get(node, "other"), column);
}

/* ------------------------------------------------------------------ a column */

/* Which settings each type takes besides name and type. */
static const struct {
    const char *key, *types[5];
} settings[] = {
    {"min", {"integer", "number", "date"}},
    {"max", {"integer", "number", "date"}},
    {"scale", {"integer", "number"}},
    {"decimals", {"number"}},
    {"spikes", {"integer", "number", "date"}},
    {"bins", {"integer", "number", "date"}},
    {"values", {"category"}},
    {"other", {"category"}},
    {"missing", {"integer", "number", "date", "category", "identifier"}},
    {"units", {"identifier"}},
};

static bool takes(size_t setting, const char *type)
{
    for (size_t i = 0; i < sizeof settings->types / sizeof *settings->types && settings[setting].types[i];
         i++)
        if (strcmp(settings[setting].types[i], type) == 0)
            return true;
    return false;
}

static sotto_status check_settings(reading *in, const sotto_node *node, const sotto_column *column)
{
    const char *type = type_names[column->type];
    for (size_t i = 0; i < sotto_node_count(node); i++)
        for (size_t j = 0; j < sizeof settings / sizeof *settings; j++)
            if (strcmp(sotto_node_key(node, i), settings[j].key) == 0 && !takes(j, type))
                return sotto_node_error(sotto_node_key_at(node, i), in->err,
                                        "%s is of type %s, which has no setting '%s'; drop it", in->what,
                                        type, settings[j].key);
    return SOTTO_OK;
}

/* Names and markers stand in messages and headers: no line breaks or other control characters. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static sotto_status read_name(reading *in, const sotto_node *node, sotto_column *column)
{
    const char *name;
    const sotto_node *at = sotto_node_get(node, "name");
    if (!at)
        return sotto_node_error(node, in->err,
                                "a column without a name; write its name in the table's header");
    sotto_status status = sotto_node_string(at, "name", &name, in->err);
    if (status)
        return status;
    if (!is_printable(name))
        return sotto_node_error(at, in->err,
                                "a column's name holds a line break or another control character");
    column->name = sotto_arena_copy(in->arena, name, strlen(name), in->err);
    (void)snprintf(in->what, sizeof in->what, "column '%.100s'", name);
    return column->name ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status read_type(reading *in, const sotto_node *node, sotto_column *column)
{
    static const char *const only[] = {"allowed", NULL};
    size_t choice = 0;
    const sotto_node *type = sotto_node_get(node, "type"), *missing = sotto_node_get(node, "missing");
    if (!type)
        return sotto_node_error(
            node, in->err, "%s has no type; wanted integer, number, category, date or identifier", in->what);
    sotto_status status = sotto_node_choice(type, "type", type_names, &choice, in->err);
    if (status)
        return status;
    column->type = (sotto_column_type)choice;
    status = check_settings(in, node, column);
    if (!status && missing)
        status = sotto_node_choice(missing, "missing", only, &choice, in->err);
    column->missing_allowed = missing != NULL;
    return status;
}

/* Whose values tell units apart, how many of them there are is public; more than rows there cannot be. */
static sotto_status read_identifier(reading *in, const sotto_node *node, sotto_column *column)
{
    const sotto_node *units = sotto_node_get(node, "units"), *missing = sotto_node_get(node, "missing");
    if (!units)
        return missing ? sotto_node_error(missing, in->err,
                                          "%s is an identifier without `units`, whose cells are not read: "
                                          "drop `missing`, or declare `units`",
                                          in->what)
                       : SOTTO_OK;
    char what[160];
    (void)snprintf(what, sizeof what, "units of %s", in->what);
    sotto_status status = sotto_node_size(units, what, 1, UINT32_MAX - 1, &column->units, in->err);
    if (!status && column->units > in->schema->rows)
        return sotto_node_error(units, in->err, "%s are %zu, more than the %zu rows that are declared", what,
                                column->units, in->schema->rows);
    return status;
}

static sotto_status read_column(reading *in, const sotto_node *node, sotto_column *column)
{
    static const char *const keys[] = {"name",  "type",    "min",    "max",  "scale", "decimals", "values",
                                       "other", "missing", "spikes", "bins", "units", NULL};
    sotto_status status = sotto_node_expect_map(node, "a column", keys, in->err);
    if (!status)
        status = read_name(in, node, column);
    if (!status)
        status = read_type(in, node, column);
    column->other = SOTTO_NONE;
    if (!status && is_numeric(column->type))
        status = read_numeric(in, node, column);
    else if (!status && column->type == SOTTO_COLUMN_CATEGORY)
        status = read_category(in, node, column);
    else if (!status && column->type == SOTTO_COLUMN_IDENTIFIER)
        status = read_identifier(in, node, column);
    return status;
}

/* ---------------------------------------------------------------- the schema */

static sotto_status read_rows(reading *in, const sotto_node *root)
{
    const sotto_node *rows = sotto_node_get(root, "rows");
    if (!rows)
        return sotto_node_error(root, in->err, "rows is missing; declare the public number of rows");
    if (sotto_node_kind_of(rows) == SOTTO_NODE_MAP)
        return sotto_node_error(
            rows, in->err,
            "this version wants a public row count, such as rows: 32561; a private count that is "
            "bought with budget is not read yet");
    return sotto_node_size(rows, "rows", 1, UINT32_MAX - 1, &in->schema->rows, in->err);
}

static sotto_status read_marker(reading *in, const sotto_node *root)
{
    const sotto_node *node = sotto_node_get(root, "missing");
    const char *text = node ? sotto_node_text(node) : "";
    if (!text || !is_printable(text))
        return sotto_node_error(node, in->err,
                                "missing must be the text that marks a missing cell, such as \"?\" or \"\"");
    in->schema->missing = sotto_arena_copy(in->arena, text, strlen(text), in->err);
    return in->schema->missing ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status check_names(reading *in, const sotto_node *list)
{
    const sotto_column *columns = in->schema->columns;
    bool modelled = false;
    for (size_t i = 0; i < in->schema->column_count; i++) {
        modelled = modelled || columns[i].type != SOTTO_COLUMN_IDENTIFIER;
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns[i].name, columns[j].name) == 0)
                return sotto_node_error(sotto_node_get(sotto_node_at(list, i), "name"), in->err,
                                        "column '%.100s' is declared twice; keep one", columns[i].name);
    }
    if (!modelled)
        return sotto_node_error(list, in->err, "every column is an identifier, so there is nothing to model");
    return SOTTO_OK;
}

static sotto_status read_columns(reading *in, const sotto_node *root)
{
    const sotto_node *list = sotto_node_get(root, "columns");
    size_t count = list && sotto_node_kind_of(list) == SOTTO_NODE_LIST ? sotto_node_count(list) : 0;
    if (count == 0 || count > MAX_COLUMNS)
        return sotto_node_error(list ? list : root, in->err, "columns must list 1 to %d columns",
                                MAX_COLUMNS);
    sotto_column *columns = sotto_arena_take(in->arena, count, sizeof *columns, in->err);
    if (!columns)
        return SOTTO_ERROR_MEMORY;
    in->schema->columns = columns;
    in->schema->column_count = count;
    for (size_t i = 0; i < count; i++) {
        sotto_status status = read_column(in, sotto_node_at(list, i), &columns[i]);
        if (status)
            return status;
    }
    return check_names(in, list);
}

static sotto_status read_document(sotto_schema **schema, const sotto_document *document, sotto_error *err)
{
    static const char *const keys[] = {"rows", "missing", "columns", NULL};
    const sotto_node *root = sotto_document_root(document);
    reading in = {.err = err};
    sotto_status status = sotto_arena_create(&in.arena, err);
    if (status)
        return status;
    in.schema = sotto_arena_take(in.arena, 1, sizeof *in.schema, err);
    status = in.schema ? sotto_node_expect_map(root, "a schema", keys, err) : SOTTO_ERROR_MEMORY;
    if (!status)
        status = read_rows(&in, root);
    if (!status)
        status = read_marker(&in, root);
    if (!status)
        status = read_columns(&in, root);
    if (status) {
        sotto_arena_destroy(in.arena);
        return status;
    }
    in.schema->arena = in.arena;
    *schema = in.schema;
    return SOTTO_OK;
}

sotto_status sotto_schema_load(sotto_schema **schema, const char *path, sotto_error *err)
{
    sotto_document *document;
    sotto_status status = sotto_document_load(&document, path, err);
    if (status)
        return status;
    status = read_document(schema, document, err);
    sotto_document_destroy(document);
    return status;
}

sotto_status sotto_schema_parse(sotto_schema **schema, const char *name, const char *text, size_t length,
                                sotto_error *err)
{
    sotto_document *document;
    sotto_status status = sotto_document_parse(&document, name, text, length, err);
    if (status)
        return status;
    status = read_document(schema, document, err);
    sotto_document_destroy(document);
    return status;
}

void sotto_schema_destroy(sotto_schema *schema)
{
    if (schema)
        sotto_arena_destroy(schema->arena);
}

size_t sotto_schema_find(const sotto_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->column_count; i++)
        if (strcmp(schema->columns[i].name, name) == 0)
            return i;
    return SOTTO_NONE;
}

size_t sotto_column_find(const sotto_column *column, const char *value)
{
    for (size_t i = 0; i < column->value_count; i++)
        if (strcmp(column->values[i], value) == 0)
            return i;
    return SOTTO_NONE;
}
