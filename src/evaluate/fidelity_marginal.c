/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

/* A column's shares as bars for drawing. Bins are a public partition of the declared domain, so two tables'
 * bars can be laid over each other. */

enum { MOST_BINS = 20, MOST_BARS = 24 };

static const size_t drawn[] = {SOTTO_TRAIN, SOTTO_SYNTHETIC};
static const char *const drawn_keys[] = {"real", "synthetic"};

enum { DRAWN = sizeof drawn / sizeof *drawn };

typedef struct bars {
    size_t count;
    json_t *labels;
    double shares[DRAWN][MOST_BARS];
} bars;

static void add_bar(bars *to, json_t *label, const fidelity *in, const size_t counts[DRAWN])
{
    (void)json_array_append_new(to->labels, label); /* counted at the end */
    for (size_t d = 0; d < DRAWN; d++)
        to->shares[d][to->count] = (double)counts[d] / (double)in->codes->rows[drawn[d]];
    to->count++;
}

static void add_missing(bars *to, const fidelity *in, const size_t present[SOTTO_TABLE_COUNT])
{
    size_t counts[DRAWN];
    for (size_t d = 0; d < DRAWN; d++)
        counts[d] = in->codes->rows[drawn[d]] - present[drawn[d]];
    add_bar(to, json_string("(missing)"), in, counts);
}

/* -------------------------------------------------------------------- numbers */

/* Bins of equal width on the declared scale, in grid points: bin i holds edges[i] to edges[i+1] − 1. */
typedef struct bins {
    size_t count;
    double power; /* grid points in a unit */
    int64_t edges[MOST_BINS + 1];
} bins;

static void make_bins(bins *made, const sotto_column *column)
{
    made->power = pow(10, column->decimals);
    const int64_t low = (int64_t)nearbyint(column->min * made->power);
    const int64_t high = (int64_t)nearbyint(column->max * made->power);
    const int64_t points = high - low + 1; /* at most 2·10¹⁵ + 1 */
    const int64_t wanted = points < MOST_BINS ? points : MOST_BINS;
    made->count = 0;
    made->edges[0] = low;
    for (int64_t i = 1; i <= wanted; i++) {
        int64_t edge = low + (i * points + wanted - 1) / wanted;
        if (column->log_scale && i < wanted) {
            const double whole = log1p((double)points / made->power) * (double)i / (double)wanted;
            edge = low + (int64_t)ceil(expm1(whole) * made->power);
        }
        /* On a log scale the first bins may be narrower than the grid: those without a point fall away. */
        if (edge > made->edges[made->count])
            made->edges[++made->count] = edge;
    }
}

static size_t bin_of(const bins *made, double value)
{
    const double point = nearbyint(value * made->power);
    size_t bin = 0;
    while (bin + 1 < made->count && point >= (double)made->edges[bin + 1])
        bin++;
    return bin;
}

enum { POINT_SIZE = 48 };

static void write_point(const sotto_column *column, const bins *made, int64_t point, char text[POINT_SIZE])
{
    if (column->type == SOTTO_COLUMN_DATE) {
        struct tm day = {0};
        const time_t seconds = (time_t)point * 86400;
        if (gmtime_r(&seconds, &day))
            (void)strftime(text, POINT_SIZE, "%Y-%m-%d", &day);
    } else {
        (void)snprintf(text, POINT_SIZE, "%.*f", (int)column->decimals, (double)point / made->power);
    }
}

/* "17–20"; "−5 to −1" and dates, where a dash would be read as another. */
static json_t *bin_label(const sotto_column *column, const bins *made, size_t bin)
{
    char first[POINT_SIZE] = "", last[POINT_SIZE] = "";
    write_point(column, made, made->edges[bin], first);
    if (made->edges[bin] == made->edges[bin + 1] - 1)
        return json_string(first);
    write_point(column, made, made->edges[bin + 1] - 1, last);
    const bool words = column->min < 0 || column->type == SOTTO_COLUMN_DATE;
    return json_sprintf(words ? "%s to %s" : "%s\xE2\x80\x93%s", first, last);
}

static void add_numbers(bars *to, const fidelity *in, const sotto_column *column,
                        const fidelity_marginal_input *input)
{
    bins made;
    size_t counts[MOST_BINS][DRAWN] = {{0}};
    make_bins(&made, column);
    for (size_t d = 0; d < DRAWN; d++)
        for (size_t i = 0; i < input->present[drawn[d]]; i++)
            counts[bin_of(&made, input->values[drawn[d]][i])][d]++;
    for (size_t bin = 0; bin < made.count; bin++)
        add_bar(to, bin_label(column, &made, bin), in, counts[bin]);
}

/* ----------------------------------------------------------------- categories */

typedef struct ranked {
    size_t count, category;
} ranked;

static int by_count(const void *left, const void *right)
{
    const ranked *one = left, *other = right;
    if (one->count != other->count)
        return one->count < other->count ? 1 : -1;
    return one->category > other->category ? 1 : -1;
}

static bool add_categories(bars *to, const fidelity *in, const sotto_column *column,
                           const fidelity_marginal_input *input)
{
    const size_t room = MOST_BARS - (column->missing_allowed ? 1 : 0);
    const size_t single = column->value_count <= room ? column->value_count : room - 1;
    ranked *order = calloc(column->value_count, sizeof *order);
    if (!order)
        return false;
    for (size_t i = 0; i < column->value_count; i++)
        order[i] = (ranked){input->counts[SOTTO_TRAIN][i], i};
    qsort(order, column->value_count, sizeof *order, by_count);
    size_t others[DRAWN] = {0};
    for (size_t i = 0; i < column->value_count; i++) {
        size_t counts[DRAWN];
        for (size_t d = 0; d < DRAWN; d++) {
            counts[d] = input->counts[drawn[d]][order[i].category];
            others[d] += i < single ? 0 : counts[d];
        }
        if (i < single)
            add_bar(to, json_string(column->values[order[i].category]), in, counts);
    }
    if (single < column->value_count)
        add_bar(to, json_sprintf("(other %zu)", column->value_count - single), in, others);
    free(order);
    return true;
}

/* ----------------------------------------------------------------- the record */

static json_t *bars_record(bars *from)
{
    json_t *record = json_object();
    if (!record || json_array_size(from->labels) != from->count ||
        json_object_set(record, "labels", from->labels))
        goto failed;
    for (size_t d = 0; d < DRAWN; d++) {
        json_t *list = json_array();
        if (json_object_set_new(record, drawn_keys[d], list))
            goto failed;
        for (size_t i = 0; i < from->count; i++)
            if (json_array_append_new(list, json_real(from->shares[d][i])))
                goto failed;
    }
    return record;
failed:
    json_decref(record);
    return NULL;
}

json_t *fidelity_marginal(const fidelity *in, size_t coded, const fidelity_marginal_input *input)
{
    const sotto_column *column = fidelity_column(in, coded);
    bars made = {.labels = json_array()};
    json_t *record = NULL;
    bool good = made.labels != NULL;
    if (good && in->codes->columns[coded].numeric)
        add_numbers(&made, in, column, input);
    else if (good)
        good = add_categories(&made, in, column, input);
    if (good && column->missing_allowed)
        add_missing(&made, in, input->present);
    if (good)
        record = bars_record(&made);
    json_decref(made.labels);
    return record;
}
