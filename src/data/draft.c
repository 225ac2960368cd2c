/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum {
    MAX_DISTINCT = 4096,   /* texts remembered of one column */
    MAX_CATEGORIES = 1000, /* a longer list of texts is no category */
    MAX_CODES = 10,        /* so few different whole numbers are codes */
    ENOUGH = 100,          /* cells below which "all differ" says nothing */
};

static const double SKEWED = 2, COMMON = 0.3;

/* One text and how often it was seen. */
typedef struct tally {
    const char *text;
    size_t count;
} tally;

/* What was seen in one column. */
typedef struct profile {
    const char *name;
    size_t cells, missing;
    size_t numbers, finite, dates;
    unsigned decimals;           /* digits that the numbers seen so far need */
    double min, max;             /* of finite numbers, or of dates in days */
    double mean, squares, cubes; /* running central moments of finite numbers */
    tally *slots;                /* open addressing, `size` a power of two; NULL texts are free */
    size_t size, distinct;
    size_t full_at; /* cells seen when the memory was full; 0 while it is not */
} profile;

typedef struct drafter {
    const char *path, *missing;
    sotto_arena *arena;
    profile *profiles;
    size_t columns, rows;
} drafter;

/* ----------------------------------------------------------------- counting */

static size_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

static tally *slot_of(tally *slots, size_t size, const char *text)
{
    size_t at = hash_of(text) & (size - 1);
    while (slots[at].text && strcmp(slots[at].text, text) != 0)
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static sotto_status widen(drafter *in, profile *of, sotto_error *err)
{
    size_t size = of->size ? 2 * of->size : 16;
    tally *slots = sotto_arena_take(in->arena, size, sizeof *slots, err);
    if (!slots)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < of->size; i++)
        if (of->slots[i].text)
            *slot_of(slots, size, of->slots[i].text) = of->slots[i];
    of->slots = slots;
    of->size = size;
    return SOTTO_OK;
}

static sotto_status count_text(drafter *in, profile *of, const char *text, sotto_error *err)
{
    if (2 * (of->distinct + 1) > of->size) {
        sotto_status status = widen(in, of, err);
        if (status)
            return status;
    }
    tally *slot = slot_of(of->slots, of->size, text);
    if (!slot->text && of->distinct == MAX_DISTINCT) {
        if (of->full_at == 0)
            of->full_at = of->cells;
        return SOTTO_OK;
    }
    if (!slot->text) {
        slot->text = sotto_arena_copy(in->arena, text, strlen(text), err);
        if (!slot->text)
            return SOTTO_ERROR_MEMORY;
        of->distinct++;
    }
    slot->count++;
    return SOTTO_OK;
}

static void count_value(profile *of, double value)
{
    if (of->finite + of->dates == 0 || value < of->min)
        of->min = value;
    if (of->finite + of->dates == 0 || value > of->max)
        of->max = value;
}

/* Moments in one pass: P. Pébay, "Formulas for robust, one-pass parallel computation of covariances and
 * arbitrary-order statistical moments", Sandia report SAND2008-6212. */
static void count_finite(profile *of, double value)
{
    int64_t point;
    count_value(of, value);
    while (of->decimals < 9 && !sotto_grid_point(value, of->decimals, &point) && fabs(value) < 1e9)
        of->decimals++;
    double n = (double)++of->finite, delta = value - of->mean, step = delta / n,
           term = delta * step * (n - 1);
    of->mean += step;
    of->cubes += term * step * (n - 2) - 3 * step * of->squares;
    of->squares += term;
}

static sotto_status count_cell(drafter *in, profile *of, const char *text, sotto_error *err)
{
    double value;
    int64_t days;
    if (text[0] == '\0' || strcmp(text, in->missing) == 0) {
        of->missing++;
        return SOTTO_OK;
    }
    of->cells++;
    if (sotto_cell_date(text, &days)) {
        count_value(of, (double)days);
        of->dates++;
    } else if (sotto_cell_number(text, &value)) {
        of->numbers++;
        if (isfinite(value))
            count_finite(of, value);
    }
    return count_text(in, of, text, err);
}

/* ------------------------------------------------------------------ the file */

/* A schema is UTF-8 text. RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        unsigned lead = *at++, more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4)
            return false;
        if ((lead == 0xE0 && *at < 0xA0) || (lead == 0xED && *at > 0x9F) || (lead == 0xF0 && *at < 0x90) ||
            (lead == 0xF4 && *at > 0x8F))
            return false;
        for (; more; more--, at++)
            if ((*at & 0xC0) != 0x80)
                return false;
    }
    return true;
}

static sotto_status read_header(drafter *in, const sotto_csv_row *row, sotto_error *err)
{
    in->columns = row->count;
    in->profiles = sotto_arena_take(in->arena, row->count, sizeof *in->profiles, err);
    if (!in->profiles)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < row->count; i++) {
        const char *name = row->cells[i];
        if (name[0] == '\0' || !is_utf8(name))
            return sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, in->path, row->line, i + 1,
                "the header's cell %zu is empty or no UTF-8 text; give the column a name", i + 1);
        in->profiles[i].name = sotto_arena_copy(in->arena, name, strlen(name), err);
        if (!in->profiles[i].name)
            return SOTTO_ERROR_MEMORY;
    }
    return SOTTO_OK;
}

static sotto_status visit(void *context, const sotto_csv_row *row, sotto_error *err)
{
    drafter *in = context;
    if (row->number == 0 && row->count == 1 && strpbrk(row->cells[0], ";\t|"))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, in->path, row->line, 0,
            "the header is one cell with semicolons, tabs or bars in it; cells are separated by commas: "
            "convert the table");
    if (row->number == 0)
        return read_header(in, row, err);
    if (row->count != in->columns)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, row->line, 0,
                                  "%zu cells in this row; wanted %zu, as in the header", row->count,
                                  in->columns);
    in->rows++;
    for (size_t i = 0; i < row->count; i++) {
        sotto_status status = count_cell(in, &in->profiles[i], row->cells[i], err);
        if (status)
            return status;
    }
    return SOTTO_OK;
}

/* ----------------------------------------------------------------- judgement */

static bool all_differ(const profile *of)
{
    return of->cells >= ENOUGH && (of->full_at ? of->full_at == MAX_DISTINCT + 1 : of->distinct == of->cells);
}

static bool nearly_all_differ(const profile *of)
{
    size_t among = of->full_at ? of->full_at : of->cells;
    return of->cells >= ENOUGH && of->distinct > among - among / 10;
}

static int64_t floor_to(int64_t value, int64_t step)
{
    int64_t down = value / step * step;
    return down > value ? down - step : down;
}

/* A whole number of steps of the grid, as near as the grid's ends allow. */
static int64_t to_grid(double steps)
{
    double limit = (double)SOTTO_GRID_LIMIT;
    return (int64_t)fmax(fmin(steps, limit), -limit);
}

/* Bounds outward to a round number: half a power of ten, not above half the range. */
static void round_bounds(sotto_column *column, double min, double max)
{
    double power = sotto_power_of_ten(column->decimals);
    int64_t low = to_grid(floor(min * power)), high = to_grid(ceil(max * power)), step = 1;
    while (step <= (high - low) / 10)
        step *= 10;
    step = step > 1 ? step / 2 : 1;
    column->min = (double)to_grid((double)floor_to(low, step)) / power;
    column->max = (double)to_grid((double)-floor_to(-high, step)) / power;
}

static double skewness(const profile *of)
{
    return of->squares > 0 ? sqrt((double)of->finite) * of->cubes / pow(of->squares, 1.5) : 0;
}

/* Values that hold a large share of the rows, low to high. */
static sotto_status find_spikes(drafter *in, const profile *of, sotto_column *column, sotto_error *err)
{
    double *spikes = sotto_arena_take(in->arena, 4, sizeof *spikes, err);
    if (!spikes)
        return SOTTO_ERROR_MEMORY;
    column->spikes = spikes;
    for (size_t i = 0; i < of->size && column->spike_count < 3; i++) {
        double value;
        int64_t point;
        if (!of->slots[i].text || (double)of->slots[i].count <= COMMON * (double)in->rows ||
            !sotto_cell_number(of->slots[i].text, &value) ||
            !sotto_grid_point(value, column->decimals, &point) || value < column->min || value > column->max)
            continue;
        size_t at = 0;
        while (at < column->spike_count && spikes[at] < value)
            at++;
        if (at < column->spike_count && spikes[at] == value)
            continue;
        for (size_t j = column->spike_count++; j > at; j--)
            spikes[j] = spikes[j - 1];
        spikes[at] = value + 0.0;
    }
    return SOTTO_OK;
}

static sotto_status judge_number(drafter *in, const profile *of, sotto_column *column, const char **note,
                                 sotto_error *err)
{
    column->type = of->decimals ? SOTTO_COLUMN_NUMBER : SOTTO_COLUMN_INTEGER;
    column->decimals = of->decimals;
    double largest = fmax(fabs(of->min), fabs(of->max));
    while (column->decimals && largest * sotto_power_of_ten(column->decimals) > (double)SOTTO_GRID_LIMIT)
        column->decimals--;
    column->missing_allowed = column->missing_allowed || of->numbers < of->cells || of->finite < of->numbers;
    round_bounds(column, of->min, of->max);
    column->log_scale = of->min >= 0 && column->max - column->min >= 100 && skewness(of) > SKEWED;
    sotto_status status = find_spikes(in, of, column, err);
    if (status)
        return status;
    if (column->log_scale)
        *note = "check: bounds were read off the data; scale: log because most amounts are small";
    else if (column->spike_count)
        *note = "check: bounds were read off the data; spikes because one value is so common";
    else
        *note = "check: bounds were read off the data and rounded outward";
    return SOTTO_OK;
}

static int by_number_then_text(const void *left, const void *right)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    double x, y;
    if (sotto_cell_number(a, &x) && sotto_cell_number(b, &y) && x != y)
        return x < y ? -1 : 1;
    return strcmp(a, b);
}

static sotto_status judge_category(drafter *in, const profile *of, sotto_column *column, const char **note,
                                   sotto_error *err)
{
    const char **values = sotto_arena_take(in->arena, of->distinct, sizeof *values, err);
    if (!values)
        return SOTTO_ERROR_MEMORY;
    column->type = SOTTO_COLUMN_CATEGORY;
    for (size_t i = 0; i < of->size; i++) {
        if (!of->slots[i].text)
            continue;
        if (!is_utf8(of->slots[i].text))
            return sotto_error_set_at(err, SOTTO_ERROR_INPUT, in->path, 0, 0,
                                      "column '%.100s' holds text that is no UTF-8; convert the table first",
                                      of->name);
        values[column->value_count++] = of->slots[i].text;
    }
    qsort(values, column->value_count, sizeof *values, by_number_then_text);
    column->values = values;
    *note = of->numbers == of->cells
                ? "check: so few whole numbers look like codes; type: integer if they are amounts"
                : "check: the values were read off the data; list those of the code book";
    return SOTTO_OK;
}

static void judge_date(const profile *of, sotto_column *column, const char **note)
{
    char text[SOTTO_CELL_SIZE] = {0};
    int64_t days = 0;
    column->type = SOTTO_COLUMN_DATE;
    /* Outward to whole years. */
    (void)sotto_cell_format_date((int64_t)of->min, text);
    memcpy(text + 4, "-01-01", 7);
    (void)sotto_cell_date(text, &days);
    column->min = (double)days;
    (void)sotto_cell_format_date((int64_t)of->max, text);
    memcpy(text + 4, "-12-31", 7);
    (void)sotto_cell_date(text, &days);
    column->max = (double)days;
    *note = "check: bounds were read off the data, outward to whole years";
}

static sotto_status judge(drafter *in, const profile *of, sotto_column *column, const char **note,
                          sotto_error *err)
{
    *column =
        (sotto_column){.name = of->name, .type = SOTTO_COLUMN_IDENTIFIER, .other = SOTTO_NONE, .bins = 20};
    bool numeric = of->numbers == of->cells && of->finite > 0;
    bool whole = numeric && of->decimals == 0 && of->finite == of->cells;
    if (of->cells == 0) {
        *note = "check: every cell is missing; say what the column is";
    } else if (whole && all_differ(of)) {
        *note = "check: no number comes twice, as in an identifier; type: integer if they are amounts";
    } else if (!numeric && of->dates < of->cells && nearly_all_differ(of)) {
        *note = "check: hardly a text comes twice, as in an identifier; units: N if each is a person";
    } else if (!numeric && of->dates < of->cells && (of->full_at || of->distinct > MAX_CATEGORIES)) {
        *note = "check: too many different texts for a category; group them first, or leave them out as here";
    } else {
        column->missing_allowed = of->missing > 0;
        if (of->dates == of->cells)
            judge_date(of, column, note);
        else if (!numeric || (whole && of->distinct <= MAX_CODES))
            return judge_category(in, of, column, note, err);
        else
            return judge_number(in, of, column, note, err);
    }
    return SOTTO_OK;
}

static sotto_status write_draft(drafter *in, char **yaml, sotto_error *err)
{
    static const char head[] =
        "# A FIRST DRAFT, READ OFF THE TABLE ITSELF. NOT PUBLIC, AND NOT YET FIT FOR USE.\n"
        "# The row count, bounds, categories and spikes below are facts about private rows: using them as "
        "they\n"
        "# stand gives those facts away outside the privacy guarantee. Replace each by what is known "
        "without\n"
        "# looking at the table (a code book, a form, a law, physics), then delete its \"check:\" comment "
        "and\n"
        "# these lines.\n";
    sotto_column *columns = sotto_arena_take(in->arena, in->columns, sizeof *columns, err);
    const char **notes = sotto_arena_take(in->arena, in->columns, sizeof *notes, err);
    if (!columns || !notes)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < in->columns; i++) {
        sotto_status status = judge(in, &in->profiles[i], &columns[i], &notes[i], err);
        if (status)
            return status;
    }
    sotto_schema schema = {
        .rows = in->rows, .missing = in->missing, .columns = columns, .column_count = in->columns};
    sotto_schema_notes with = {
        .head = head, .rows = "check: counted in the table; is it public?", .columns = notes};
    return sotto_schema_write(&schema, &with, yaml, err);
}

sotto_status sotto_schema_draft(const char *path, const char *missing, char **yaml, sotto_error *err)
{
    drafter in = {.path = path, .missing = missing};
    sotto_status status = sotto_arena_create(&in.arena, err);
    if (status)
        return status;
    status = sotto_csv_read(path, visit, &in, NULL, err);
    if (!status && in.rows == 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "no rows; wanted a header line and rows below it");
    if (!status)
        status = write_draft(&in, yaml, err);
    sotto_arena_destroy(in.arena);
    return status;
}
