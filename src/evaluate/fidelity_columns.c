/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One column's cells in all tables, in a lane's room. */
typedef struct column_data {
    const sotto_column *column;
    const sotto_coded_column *coded;
    size_t rows[SOTTO_TABLE_COUNT], present[SOTTO_TABLE_COUNT];
    double *values[SOTTO_TABLE_COUNT]; /* numeric: those present, ascending */
    size_t *counts[SOTTO_TABLE_COUNT]; /* of each code */
} column_data;

/* What is said of one column; NaN for null. */
typedef struct column_figures {
    double similarity[FIDELITY_SIDES];
    double wasserstein, wasserstein_scaled, adherence, coverage, missing, spikes;
    json_t *marginal;
} column_figures;

/* ------------------------------------------------------------------ gathering */

static int ascending(const void *left, const void *right)
{
    const double one = *(const double *)left, other = *(const double *)right;
    return (one > other) - (one < other);
}

static void gather(const fidelity *in, size_t coded, const fidelity_lane *lane, column_data *data)
{
    data->column = fidelity_column(in, coded);
    data->coded = &in->codes->columns[coded];
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        const sotto_table *table = sotto_evaluation_table(in->evaluation, t);
        const uint16_t *codes = data->coded->codes[t];
        double *values = data->values[t] = lane->values[t];
        size_t *counts = data->counts[t] = lane->counts[t];
        data->rows[t] = in->codes->rows[t];
        memset(counts, 0, data->coded->count * sizeof *counts);
        for (size_t row = 0; row < data->rows[t]; row++)
            counts[codes[row]]++;
        data->present[t] = data->rows[t] - counts[data->coded->absent];
        if (!data->coded->numeric)
            continue;
        size_t found = 0;
        for (size_t row = 0; row < data->rows[t]; row++)
            if (codes[row] != data->coded->absent)
                values[found++] = sotto_table_number(table, row, data->coded->column);
        qsort(values, found, sizeof *values, ascending);
    }
}

/* -------------------------------------------------------------------- numbers */

/*
 * 1 − sup |F − G| and ∫ |F − G| of two samples' distribution functions in one walk over their values. F − G
 * is (i·m − j·n)/nm where i of n and j of m values have been passed: whole numbers below 2⁶⁴.
 */
static double compare_numbers(const column_data *data, size_t other, double *wasserstein)
{
    const double *a = data->values[SOTTO_TRAIN], *b = data->values[other];
    const uint64_t n = data->present[SOTTO_TRAIN], m = data->present[other];
    uint64_t i = 0, j = 0, widest = 0;
    double area = 0;
    *wasserstein = NAN;
    if (n == 0 || m == 0)
        return n == m ? 1 : 0;
    while (i < n && j < m) {
        const double at = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] == at)
            i++;
        while (j < m && b[j] == at)
            j++;
        const uint64_t left = i * m, right = j * n, gap = left > right ? left - right : right - left;
        widest = gap > widest ? gap : widest;
        if (i < n || j < m) {
            const double next = j == m || (i < n && a[i] < b[j]) ? a[i] : b[j];
            area += (double)gap * (next - at);
        }
    }
    /* One sample is passed; the other's rest closes the gap value by value. */
    for (; i + 1 < n; i++)
        area += (double)((n - i - 1) * m) * (a[i + 1] - a[i]);
    for (; j + 1 < m; j++)
        area += (double)((m - j - 1) * n) * (b[j + 1] - b[j]);
    *wasserstein = area / (double)(n * m);
    return 1 - (double)widest / (double)(n * m);
}

/* Whether missing cells are among what adherence asks of is up to the real table, as in SDMetrics. */
static double number_adherence(const column_data *data)
{
    const size_t real = data->present[SOTTO_TRAIN], present = data->present[SOTTO_SYNTHETIC];
    const size_t asked = real < data->rows[SOTTO_TRAIN] ? present : data->rows[SOTTO_SYNTHETIC];
    size_t inside = 0;
    for (size_t i = 0; real && i < present; i++) {
        const double value = data->values[SOTTO_SYNTHETIC][i];
        inside += value >= data->values[SOTTO_TRAIN][0] && value <= data->values[SOTTO_TRAIN][real - 1];
    }
    return asked ? (double)inside / (double)asked : NAN;
}

static double number_coverage(const column_data *data)
{
    const size_t real = data->present[SOTTO_TRAIN], present = data->present[SOTTO_SYNTHETIC];
    if (real == 0)
        return NAN;
    const double low = data->values[SOTTO_TRAIN][0], high = data->values[SOTTO_TRAIN][real - 1];
    if (low == high)
        return NAN;
    if (present == 0)
        return 0;
    const double below = (data->values[SOTTO_SYNTHETIC][0] - low) / (high - low);
    const double above = (high - data->values[SOTTO_SYNTHETIC][present - 1]) / (high - low);
    return fmax(1 - (fmax(below, 0) + fmax(above, 0)), 0);
}

/* counts [spike_count + 1]: how many of one table's numbers lie on each spike's grid point, and the rest. */
static void count_spikes(const column_data *data, size_t table, size_t *counts)
{
    const sotto_column *column = data->column;
    const double power = pow(10, column->decimals);
    size_t spike = 0;
    memset(counts, 0, (column->spike_count + 1) * sizeof *counts);
    for (size_t i = 0; i < data->present[table]; i++) {
        const double point = nearbyint(data->values[table][i] * power);
        while (spike < column->spike_count && nearbyint(column->spikes[spike] * power) < point)
            spike++;
        const bool on = spike < column->spike_count && nearbyint(column->spikes[spike] * power) == point;
        counts[on ? spike : column->spike_count]++;
    }
}

static sotto_status compare_spikes(const column_data *data, double *similarity, sotto_error *err)
{
    const size_t slots = data->column->spike_count + 1;
    *similarity = NAN;
    if (slots == 1)
        return SOTTO_OK;
    size_t *counts = calloc(2 * slots, sizeof *counts);
    if (!counts)
        return fidelity_no_memory(err);
    count_spikes(data, SOTTO_TRAIN, counts);
    count_spikes(data, SOTTO_SYNTHETIC, counts + slots);
    *similarity = fidelity_overlap(counts, data->present[SOTTO_TRAIN], counts + slots,
                                   data->present[SOTTO_SYNTHETIC], slots);
    free(counts);
    return SOTTO_OK;
}

static sotto_status measure_numbers(const column_data *data, column_figures *figures, sotto_error *err)
{
    double unused;
    const double range = data->column->max - data->column->min;
    figures->similarity[FIDELITY_SYNTHETIC] = compare_numbers(data, SOTTO_SYNTHETIC, &figures->wasserstein);
    figures->similarity[FIDELITY_CONTROL] =
        data->rows[SOTTO_TEST] ? compare_numbers(data, SOTTO_TEST, &unused) : NAN;
    figures->wasserstein_scaled = range > 0 ? figures->wasserstein / range : NAN;
    figures->adherence = number_adherence(data);
    figures->coverage = number_coverage(data);
    return compare_spikes(data, &figures->spikes, err);
}

/* ----------------------------------------------------------------- categories */

static double compare_categories(const column_data *data, size_t other)
{
    return fidelity_overlap(data->counts[SOTTO_TRAIN], data->present[SOTTO_TRAIN], data->counts[other],
                            data->present[other], data->coded->absent);
}

static void measure_categories(const column_data *data, column_figures *figures)
{
    const size_t *real = data->counts[SOTTO_TRAIN], *synthetic = data->counts[SOTTO_SYNTHETIC];
    size_t known = 0, covered = 0, adhering = 0;
    for (size_t i = 0; i < data->coded->count; i++)
        adhering += real[i] ? synthetic[i] : 0;
    for (size_t i = 0; i < data->coded->absent; i++) {
        known += real[i] > 0;
        covered += real[i] > 0 && synthetic[i] > 0;
    }
    figures->similarity[FIDELITY_SYNTHETIC] = compare_categories(data, SOTTO_SYNTHETIC);
    figures->similarity[FIDELITY_CONTROL] =
        data->rows[SOTTO_TEST] ? compare_categories(data, SOTTO_TEST) : NAN;
    figures->adherence = (double)adhering / (double)data->rows[SOTTO_SYNTHETIC];
    figures->coverage = known ? (double)covered / (double)known : NAN;
    figures->wasserstein = figures->wasserstein_scaled = figures->spikes = NAN;
}

/* ----------------------------------------------------------------- the record */

static double missing_share(const column_data *data, size_t table)
{
    return (double)(data->rows[table] - data->present[table]) / (double)data->rows[table];
}

static sotto_status measure(const fidelity *in, size_t coded, const fidelity_lane *lane,
                            column_figures *figures, sotto_error *err)
{
    column_data data;
    sotto_status status = SOTTO_OK;
    gather(in, coded, lane, &data);
    if (data.coded->numeric)
        status = measure_numbers(&data, figures, err);
    else
        measure_categories(&data, figures);
    if (status)
        return status;
    figures->missing =
        data.column->missing_allowed
            ? 1 - fabs(missing_share(&data, SOTTO_TRAIN) - missing_share(&data, SOTTO_SYNTHETIC))
            : NAN;
    fidelity_marginal_input input;
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        input.values[t] = data.values[t];
        input.counts[t] = data.counts[t];
        input.present[t] = data.present[t];
    }
    figures->marginal = fidelity_marginal(in, coded, &input);
    return figures->marginal ? SOTTO_OK : fidelity_no_memory(err);
}

static void work(const fidelity *in, void *context, fidelity_lane *lane)
{
    column_figures *figures = context;
    for (size_t i = lane->number; !lane->status && i < in->codes->column_count; i += in->evaluation->threads)
        lane->status = measure(in, i, lane, &figures[i], &lane->err);
}

/* Takes the marginal. */
static json_t *column_record(const sotto_column *column, column_figures *figures)
{
    json_t *marginal = figures->marginal;
    figures->marginal = NULL;
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", column->name, "type",
        sotto_column_type_name(column->type), "measure", column->type == SOTTO_COLUMN_CATEGORY ? "TV" : "KS",
        "similarity", fidelity_number(figures->similarity[FIDELITY_SYNTHETIC]), "wasserstein",
        fidelity_number(figures->wasserstein), "wasserstein_scaled",
        fidelity_number(figures->wasserstein_scaled), "adherence", fidelity_number(figures->adherence),
        "coverage", fidelity_number(figures->coverage), "missing_similarity",
        fidelity_number(figures->missing), "spike_similarity", fidelity_number(figures->spikes), "control",
        fidelity_number(figures->similarity[FIDELITY_CONTROL]), "marginal", marginal);
}

sotto_status fidelity_columns(const fidelity *in, json_t **columns, double shapes[FIDELITY_SIDES],
                              sotto_error *err)
{
    const size_t count = in->codes->column_count;
    fidelity_mean means[FIDELITY_SIDES] = {{0}};
    column_figures *figures = sotto_arena_take(in->arena, count, sizeof *figures, err);
    if (!figures)
        return SOTTO_ERROR_MEMORY;
    json_t *list = json_array();
    sotto_status status = list ? fidelity_share(in, true, work, figures, err) : fidelity_no_memory(err);
    for (size_t i = 0; !status && i < count; i++) {
        for (size_t side = 0; side < FIDELITY_SIDES; side++)
            fidelity_mean_add(&means[side], figures[i].similarity[side]);
        if (json_array_append_new(list, column_record(fidelity_column(in, i), &figures[i])))
            status = fidelity_no_memory(err);
    }
    for (size_t i = 0; i < count; i++)
        json_decref(figures[i].marginal);
    if (status) {
        json_decref(list);
        return status;
    }
    for (size_t side = 0; side < FIDELITY_SIDES; side++)
        shapes[side] = fidelity_mean_of(&means[side]);
    *columns = list;
    return SOTTO_OK;
}
