/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* ----------------------------------------------------------------- columns */

static const sotto_page_column column_columns[] = {
    {"Column", "name", SOTTO_SHOW_NAME},
    {"Type", "type", SOTTO_SHOW_TEXT},
    {"Measure", "measure", SOTTO_SHOW_TEXT},
    {"Alike", "similarity", SOTTO_SHOW_BAR},
    {"Test table", "control", SOTTO_SHOW_PERCENT},
    {"Wasserstein", "wasserstein", SOTTO_SHOW_NUMBER},
    {"of the range", "wasserstein_scaled", SOTTO_SHOW_PERCENT},
    {"In range", "adherence", SOTTO_SHOW_PERCENT},
    {"Covered", "coverage", SOTTO_SHOW_PERCENT},
    {"Missing", "missing_similarity", SOTTO_SHOW_PERCENT},
    {"Spikes", "spike_similarity", SOTTO_SHOW_PERCENT},
};

static bool is_number(const json_t *column)
{
    return strcmp(sotto_record_text(column, "measure"), "KS") == 0;
}

static double share_at(const json_t *marginal, const char *side, size_t i)
{
    const json_t *share = json_array_get(json_object_get(marginal, side), i);
    return json_is_number(share) ? json_number_value(share) : (double)NAN;
}

static const char *label_at(const json_t *marginal, size_t i)
{
    const char *label = json_string_value(json_array_get(json_object_get(marginal, "labels"), i));
    return label ? label : "";
}

/* Bins side by side: the real ones filled, the synthetic ones as a line of steps. */
static bool put_histogram(sotto_page *page, const json_t *marginal, const char *title, const char *words)
{
    enum { MOST = 64 };
    const size_t all = json_array_size(json_object_get(marginal, "labels")), count = all < MOST ? all : MOST;
    sotto_point real[MOST], synthetic[MOST];
    for (size_t i = 0; i < count; i++) {
        const double nan = (double)NAN;
        real[i] = (sotto_point){(double)i, 100 * share_at(marginal, "real", i), nan, nan};
        synthetic[i] = (sotto_point){(double)i, 100 * share_at(marginal, "synthetic", i), nan, nan};
    }
    const sotto_series series[] = {{SOTTO_ROLE_REAL, SOTTO_DRAW_FILL, real, count},
                                   {SOTTO_ROLE_SYNTHETIC, SOTTO_DRAW_STEPS, synthetic, count}};
    const size_t last = count ? count - 1 : 0;
    const sotto_chart chart = {.title = title,
                               .words = words,
                               .y_format = "%g %%",
                               .width = 320,
                               .height = 190,
                               .x_low = -1,
                               .x_high = (double)count,
                               .from_zero = true,
                               .ends = {label_at(marginal, 0),
                                        count > 2 ? label_at(marginal, last / 2) : NULL,
                                        count > 1 ? label_at(marginal, last) : NULL},
                               .series = series,
                               .series_count = 2};
    return count > 0 && sotto_picture_lines(page, &chart);
}

/* The first eight bars, and the others as one; all are in the table below. */
static bool put_categories(sotto_page *page, const json_t *marginal, const char *title, const char *words)
{
    enum { ROWS = 9 };
    const size_t all = json_array_size(json_object_get(marginal, "labels"));
    const size_t rows = all < ROWS ? all : ROWS, single = all > ROWS ? ROWS - 1 : rows;
    const char *labels[ROWS];
    double pairs[2 * ROWS] = {0};
    for (size_t i = 0; i < all; i++) {
        const size_t row = i < single ? i : single;
        const double shares[] = {share_at(marginal, "real", i), share_at(marginal, "synthetic", i)};
        labels[row] = i < single ? label_at(marginal, i) : "all others";
        for (size_t side = 0; side < 2; side++)
            pairs[2 * row + side] += isfinite(shares[side]) ? shares[side] : 0;
    }
    return rows > 0 && sotto_picture_bars(page, title, words, labels, pairs, rows);
}

static void put_bars_table(FILE *file, const json_t *marginal)
{
    char figure[SOTTO_FIGURE_SIZE];
    (void)fputs(
        "<details><summary>Figures</summary><table class=\"narrow figures\"><thead><tr><th scope=\"col\">Value"
        "</th><th scope=\"col\" class=\"number\">Real</th><th scope=\"col\" class=\"number\">Synthetic</th>"
        "</tr></thead><tbody>\n",
        file);
    for (size_t i = 0; i < json_array_size(json_object_get(marginal, "labels")); i++) {
        (void)fputs("<tr>", file);
        sotto_page_element(file, "th scope=\"row\"", label_at(marginal, i));
        sotto_page_element(file, "td class=\"number\"",
                           sotto_figure_percent(share_at(marginal, "real", i), figure));
        sotto_page_element(file, "td class=\"number\"",
                           sotto_figure_percent(share_at(marginal, "synthetic", i), figure));
        (void)fputs("</tr>\n", file);
    }
    (void)fputs("</tbody></table></details>\n", file);
}

static void put_marginal(sotto_page *page, const json_t *column)
{
    char *title = NULL, *words = NULL, figure[SOTTO_FIGURE_SIZE];
    const char *name = sotto_record_text(column, "name");
    const json_t *marginal = json_object_get(column, "marginal");
    const size_t bars = json_array_size(json_object_get(marginal, "labels"));
    const char *alike = sotto_figure_percent(sotto_record_number(column, "similarity"), figure);
    if (asprintf(&title, "%s, real and synthetic", name) < 0 ||
        asprintf(&words,
                 "%zu bars for each table; they are %s alike. The table below the picture gives each bar.",
                 bars, alike) < 0) {
        page->failed = true;
        free(title);
        return;
    }
    (void)fputs("<div class=\"small\">\n<h4>", page->file);
    sotto_text_put(page->file, name, true);
    (void)fprintf(page->file, " <span>%s</span></h4>\n", alike);
    if (is_number(column) ? put_histogram(page, marginal, title, words)
                          : put_categories(page, marginal, title, words))
        sotto_page_figure_end(page, "", NULL, 0);
    put_bars_table(page->file, marginal);
    (void)fputs("</div>\n", page->file);
    free(title);
    free(words);
}

static void put_marginals(sotto_page *page, const json_t *columns, bool numbers)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (is_number(column) != numbers)
            continue;
        if (!any)
            (void)fprintf(
                page->file,
                "<h3>%s</h3>\n<ul class=\"legend\"><li><i class=\"swatch\" style=\"color:var(--real)\"></i>"
                "real</li><li><i class=\"swatch\" style=\"color:var(--synthetic)\"></i>synthetic</li></ul>\n"
                "<div class=\"grid\">\n",
                numbers ? "Numbers and dates" : "Categories");
        any = true;
        put_marginal(page, column);
    }
    if (any)
        (void)fputs("</div>\n", page->file);
}

static void put_columns(sotto_page *page, const json_t *fidelity)
{
    const json_t *columns = json_object_get(fidelity, "columns");
    sotto_page_section(
        page->file, "columns", "Each column",
        "How alike a column's values are in the real (train) and the synthetic table: one minus the "
        "Kolmogorov–Smirnov distance (KS) of numbers and dates, one minus the total variation distance "
        "(TV) of categories. “Test table” is the same figure for other real rows: more can hardly be had.");
    sotto_page_table(page->file, "", columns, column_columns, sizeof column_columns / sizeof *column_columns);
    (void)fputs(
        "<p class=\"note\">Wasserstein: how far values must be moved on average, in the column's unit and as a "
        "share of its declared range. In range: synthetic values inside the real range, or among the real "
        "categories. Covered: how much of that range, or of those categories, occurs. Missing, spikes: how "
        "alike their shares are.</p>\n",
        page->file);
    put_marginals(page, columns, true);
    put_marginals(page, columns, false);
    sotto_page_section_end(page->file);
}

/* --------------------------------------------------------------- heat maps */

enum { HEAT_LIMIT = 40 /* columns; names of more cannot be read */ };

/* Cell (i, j) of `left`, less that of `right` where there is one. */
static double cell(const json_t *left, const json_t *right, size_t i, size_t j)
{
    const json_t *one = json_array_get(json_array_get(left, i), j);
    const json_t *other = json_array_get(json_array_get(right, i), j);
    if (!json_is_number(one) || (right && !json_is_number(other)))
        return (double)NAN;
    return json_number_value(one) - (right ? json_number_value(other) : 0);
}

typedef struct map {
    const char *caption, *title, *words;
    const json_t *left, *right; /* matrices; the second may be NULL */
    bool from_one;              /* shows one minus the value */
    bool two_sided;             /* has values below 0 */
    double most;                /* has full strength; 0: what the values need */
} map;

/* Full strength of a map's colours: what the largest value needs of 0.1, 0.25, 0.5 and 1. */
static double strength_of(const double *values, size_t count)
{
    static const double steps[] = {0.1, 0.25, 0.5};
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs(values[i])); /* skips NaN */
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (most <= steps[i])
            return steps[i];
    return 1;
}

static void put_scale(FILE *file, double most, bool two_sided)
{
    (void)fprintf(file, "<p class=\"scale\"><span>%s%.4g</span><i class=\"%s\"></i><span>%.4g</span></p>\n",
                  two_sided ? "−" : "", two_sided ? most : 0, two_sided ? "two" : "one", most);
}

static void put_heat(sotto_page *page, const json_t *columns, const map *shown)
{
    const size_t count = json_array_size(columns);
    double *values = calloc(count * count + 1, sizeof *values);
    const char **labels = calloc(count + 1, sizeof *labels);
    page->failed = page->failed || !values || !labels;
    for (size_t i = 0; i < count && !page->failed; i++) {
        labels[i] = json_string_value(json_array_get(columns, i));
        for (size_t j = 0; j < count; j++) {
            const double value = cell(shown->left, shown->right, i, j);
            values[i * count + j] = i == j ? (double)NAN : shown->from_one ? 1 - value : value;
        }
    }
    const double most = page->failed ? 1 : shown->most > 0 ? shown->most : strength_of(values, count * count);
    const sotto_heat heat = {shown->title, shown->words, labels, values, count, most};
    if (!page->failed && sotto_picture_heat(page, &heat)) {
        sotto_page_element(page->file, "figcaption", shown->caption);
        put_scale(page->file, most, shown->two_sided);
        sotto_page_figure_end(page, "", NULL, 0);
    }
    free(values);
    free(labels);
}

/* ------------------------------------------------------------- worst pairs */

typedef struct pair {
    size_t first, second;
    double left, right, gap;
} pair;

static int by_gap(const void *one, const void *other)
{
    const double a = ((const pair *)one)->gap, b = ((const pair *)other)->gap;
    return a < b ? 1 : a > b ? -1 : 0;
}

/* The pairs of columns that differ most; the caller frees. */
static pair *rank_pairs(const json_t *left, const json_t *right, size_t columns, size_t *count)
{
    pair *pairs = calloc(columns * columns / 2 + 1, sizeof *pairs);
    *count = 0;
    for (size_t i = 0; pairs && i < columns; i++)
        for (size_t j = 0; j < i; j++) {
            const double one = cell(left, NULL, i, j), other = right ? cell(right, NULL, i, j) : 1;
            if (isfinite(one) && isfinite(other))
                pairs[(*count)++] = (pair){j, i, one, other, fabs(one - other)};
        }
    if (pairs)
        qsort(pairs, *count, sizeof *pairs, by_gap);
    return pairs;
}

static void put_pair(FILE *file, const json_t *columns, const pair *p, bool two)
{
    (void)fputs("<tr><th scope=\"row\"><code>", file);
    sotto_text_put(file, json_string_value(json_array_get(columns, p->first)), true);
    (void)fputs("</code> and <code>", file);
    sotto_text_put(file, json_string_value(json_array_get(columns, p->second)), true);
    (void)fputs("</code></th>", file);
    char figure[SOTTO_FIGURE_SIZE];
    if (two)
        (void)fprintf(file, "<td class=\"number\">%.2f</td><td class=\"number\">%.2f</td>", p->left,
                      p->right);
    else
        (void)fprintf(file, "<td class=\"number\">%s</td>", sotto_figure_percent(p->left, figure));
    (void)fputs("</tr>\n", file);
}

/* At most eight pairs: both figures, or one that should be 1. */
static void put_worst(sotto_page *page, const char *title, const json_t *columns, const json_t *left,
                      const json_t *right)
{
    enum { MOST = 8 };
    size_t count;
    pair *pairs = rank_pairs(left, right, json_array_size(columns), &count);
    page->failed = page->failed || !pairs;
    if (count) {
        (void)fprintf(page->file,
                      "<div class=\"worst\"><h4>%s</h4>\n<table class=\"narrow figures\"><thead><tr>"
                      "<th scope=\"col\">Columns</th>%s</tr></thead><tbody>\n",
                      title,
                      right
                          ? "<th scope=\"col\" class=\"number\">Real</th><th scope=\"col\" class=\"number\">"
                            "Synthetic</th>"
                          : "<th scope=\"col\" class=\"number\">Alike</th>");
        for (size_t i = 0; i < count && i < MOST; i++)
            put_pair(page->file, columns, &pairs[i], right != NULL);
        (void)fputs("</tbody></table></div>\n", page->file);
    }
    free(pairs);
}

/* ------------------------------------------------------------------- pairs */

/* One scale for two maps that are to be compared. */
static double strength_of_both(const json_t *real, const json_t *synthetic)
{
    double most = 0;
    for (size_t i = 0; i < json_array_size(real); i++)
        for (size_t j = 0; j < i; j++) {
            const double values[] = {most, cell(real, NULL, i, j), cell(synthetic, NULL, i, j)};
            most = strength_of(values, 3);
        }
    return most;
}

/* Real, synthetic and their difference side by side, and the pairs that differ most. */
static void put_both(sotto_page *page, const json_t *part, const char *what, bool two_sided)
{
    const json_t *columns = json_object_get(part, "columns");
    const json_t *real = json_object_get(part, "real"), *synthetic = json_object_get(part, "synthetic");
    const double most = strength_of_both(real, synthetic);
    char titles[3][96];
    static const char *const sides[] = {"in the real table", "in the synthetic table", "synthetic less real"};
    static const char *const captions[] = {"Real", "Synthetic", "Difference (synthetic less real)"};
    const map maps[] = {{captions[0], titles[0], NULL, real, NULL, false, two_sided, most},
                        {captions[1], titles[1], NULL, synthetic, NULL, false, two_sided, most},
                        {captions[2], titles[2], NULL, synthetic, real, false, true, 0}};
    (void)fputs("<div class=\"grid maps\">\n", page->file);
    for (size_t i = 0; i < 3 && json_array_size(columns) <= HEAT_LIMIT; i++) {
        map shown = maps[i];
        (void)snprintf(titles[i], sizeof titles[i], "%s, %s", what, sides[i]);
        shown.words =
            "A square of cells, one for each pair of columns, the stronger the colour the farther from zero. "
            "The table beside it gives the pairs that differ most.";
        put_heat(page, columns, &shown);
    }
    put_worst(page, "Pairs that differ most", columns, real, synthetic);
    (void)fputs("</div>\n", page->file);
}

static void put_headed(FILE *file, const char *title, const char *figure, const char *lead)
{
    (void)fprintf(file, "<h3>%s <span>%s</span></h3>\n<p>%s</p>\n", title, figure, lead);
}

static void put_contingency(sotto_page *page, const json_t *part)
{
    char figure[SOTTO_FIGURE_SIZE];
    const json_t *columns = json_object_get(part, "columns"), *alike = json_object_get(part, "similarity");
    put_headed(
        page->file, "Pairs as tables", sotto_figure_percent(sotto_record_number(part, "mean"), figure),
        "The table of two columns' values together, numbers in bins: one minus the total variation distance "
        "between the real and the synthetic one. The map shows what is missing to 100 %.");
    (void)fputs("<div class=\"grid maps\">\n", page->file);
    const map shown = {
        "Unlike, of two columns together",
        "How unlike pairs of columns are",
        "A square of cells, one for each pair of columns, the stronger the colour the less alike the pair "
        "is. The table beside it gives the pairs that are least alike.",
        alike,
        NULL,
        true,
        false,
        0};
    if (json_array_size(columns) <= HEAT_LIMIT)
        put_heat(page, columns, &shown);
    put_worst(page, "Least alike", columns, alike, NULL);
    (void)fputs("</div>\n", page->file);
}

static void put_pairs(sotto_page *page, const json_t *fidelity)
{
    char figure[SOTTO_FIGURE_SIZE];
    const json_t *correlation = json_object_get(fidelity, "correlation");
    const json_t *information = json_object_get(fidelity, "mutual_information");
    const json_t *contingency = json_object_get(fidelity, "contingency");
    sotto_page_section(page->file, "pairs", "Pairs of columns", NULL);
    if (!sotto_record_skipped(correlation) && json_array_size(json_object_get(correlation, "columns")) > 1) {
        put_headed(page->file, "Correlation of numbers",
                   sotto_figure_percent(sotto_record_number(correlation, "similarity"), figure),
                   "Pearson's coefficient of each two number columns, and how alike it is in both tables.");
        put_both(page, correlation, "Correlation", true);
    }
    if (!sotto_record_skipped(information)) {
        char words[SOTTO_FIGURE_SIZE + 24];
        (void)snprintf(words, sizeof words, "mean difference %s",
                       sotto_figure_percent(sotto_record_number(information, "mean_difference"), figure));
        put_headed(
            page->file, "Dependence of all columns", words,
            "Normalised mutual information: 0 where one column tells nothing of the other, 1 where it tells "
            "all. It sees relations of every kind, and of categories.");
        put_both(page, information, "Mutual information", false);
    }
    if (!sotto_record_skipped(contingency))
        put_contingency(page, contingency);
    sotto_page_section_end(page->file);
}

/* -------------------------------------------------------------------- ways */

static void put_ways(sotto_page *page, const json_t *fidelity)
{
    static const sotto_page_column ways[] = {{"Columns together", "k", SOTTO_SHOW_COUNT},
                                             {"Sets compared", "sets", SOTTO_SHOW_COUNT},
                                             {"Mean distance", "mean_tvd", SOTTO_SHOW_PERCENT},
                                             {"Test table", "control_mean_tvd", SOTTO_SHOW_PERCENT},
                                             {"Largest", "max_tvd", SOTTO_SHOW_PERCENT},
                                             {"The worst set", "worst", SOTTO_SHOW_NAMES}};
    static const sotto_page_column pmse[] = {
        {"pMSE, over its expectation", "ratio", SOTTO_SHOW_NUMBER},
        {"pMSE", "value", SOTTO_SHOW_NUMBER},
        {"expected of the same distribution", "expected", SOTTO_SHOW_NUMBER},
        {"Model", "model", SOTTO_SHOW_TEXT}};
    const json_t *found = json_object_get(fidelity, "pmse");
    const char *skipped = sotto_record_skipped(found);
    sotto_page_section(
        page->file, "ways", "Several columns at once",
        "Total variation distance between real and synthetic tables of one, two and three columns at a "
        "time, numbers in bins. Smaller is better; “test table” is what other real rows would have.");
    sotto_page_table(page->file, "", json_object_get(fidelity, "ways"), ways, sizeof ways / sizeof *ways);
    (void)fputs("<h3>Can a model tell the tables apart?</h3>\n", page->file);
    if (skipped)
        sotto_page_skipped(page->file, "Not asked", skipped);
    else {
        (void)fputs(
            "<p>A model is trained to tell real from synthetic rows. A ratio of 1 is what two samples of one "
            "population would have; the larger, the easier the tables are to tell apart.</p>\n",
            page->file);
        sotto_page_pairs(page->file, found, pmse, 4);
    }
    sotto_page_section_end(page->file);
}

void sotto_page_fidelity(sotto_page *page)
{
    const json_t *fidelity = json_object_get(page->root, "fidelity");
    const char *skipped = sotto_record_skipped(fidelity);
    if (skipped) {
        sotto_page_section(page->file, "columns", "Each column", NULL);
        sotto_page_skipped(page->file, "Not compared", skipped);
        sotto_page_section_end(page->file);
        return;
    }
    put_columns(page, fidelity);
    put_pairs(page, fidelity);
    put_ways(page, fidelity);
}
