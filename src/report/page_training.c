/* SPDX-License-Identifier: GPL-3.0-or-later */

/* How training went: losses, and signs that made rows collapse. */
#include <math.h>

#include "report/report.h"

enum { DRAWN = 200 };

bool sotto_page_has_training(const json_t *metrics)
{
    return json_array_size(json_object_get(metrics, "health")) > 0;
}

/* Means of `key` over at most DRAWN stretches of equal length: single steps jump about. */
static size_t curve_of(const json_t *list, const char *key, sotto_point points[DRAWN])
{
    const size_t count = json_array_size(list), drawn = count < DRAWN ? count : DRAWN;
    size_t used = 0;
    for (size_t i = 0; i < drawn; i++) {
        const size_t first = i * count / drawn, end = (i + 1) * count / drawn;
        double sum = 0, steps = 0;
        size_t finite = 0;
        for (size_t k = first; k < end; k++) {
            const json_t *entry = json_array_get(list, k);
            const double value = sotto_record_number(entry, key);
            if (!isfinite(value))
                continue;
            sum += value;
            steps += sotto_record_number(entry, "step");
            finite++;
        }
        if (finite)
            points[used++] = (sotto_point){steps / (double)finite, sum / (double)finite, NAN, NAN};
    }
    return used;
}

typedef struct curve {
    const char *key, *label;
    sotto_role role;
} curve;

enum { MOST_CURVES = 3 };

/* A chart of those of `curves` that have points, with a legend of the same. */
static void put_curves(sotto_page *page, const json_t *list, const curve *curves, size_t count,
                       sotto_chart chart)
{
    sotto_point points[MOST_CURVES][DRAWN];
    sotto_series series[MOST_CURVES];
    sotto_legend legend[MOST_CURVES];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t drawn = curve_of(list, curves[i].key, points[used]);
        if (drawn == 0)
            continue;
        series[used] = (sotto_series){curves[i].role, SOTTO_DRAW_LINE, points[used], drawn};
        legend[used] = (sotto_legend){curves[i].role, curves[i].label, false};
        used++;
    }
    chart.x_label = "steps";
    chart.width = 420;
    chart.height = 270;
    chart.series = series;
    chart.series_count = used;
    (void)fprintf(page->file, "<div>\n<h3>%s</h3>\n", chart.title);
    if (used > 0 && sotto_picture_lines(page, &chart))
        sotto_page_figure_end(page, "", legend, used);
    (void)fputs("</div>\n", page->file);
}

static void put_losses(sotto_page *page, const json_t *steps)
{
    static const curve curves[] = {{"loss_real", "real rows", SOTTO_ROLE_REAL},
                                   {"loss_fake", "made rows", SOTTO_ROLE_SYNTHETIC},
                                   {"loss_generator", "generator", SOTTO_ROLE_BASELINE}};
    put_curves(page, steps, curves, 3,
               (sotto_chart){.title = "Losses",
                             .words =
                                 "A line for each kind of loss, means over stretches of steps. A loss that "
                                 "runs away tells of rates that are too high."});
}

static void put_rows_made(sotto_page *page, const json_t *health)
{
    static const curve curves[] = {{"distinct", "different rows, of all", SOTTO_ROLE_SYNTHETIC},
                                   {"distance", "distance of columns from noisy counts", SOTTO_ROLE_ALARM}};
    put_curves(page, health, curves, 2,
               (sotto_chart){.title = "Rows made on the way",
                             .words =
                                 "The share of different rows among rows made on the way, which falls to "
                                 "nothing where they collapse, and how far their columns are from the noisy "
                                 "counts, where those were bought. The table below has the figures.",
                             .from_zero = true,
                             .y_low = 0,
                             .y_high = 1.05});
}

/* About a dozen of the looks at the model. */
static void put_looks(FILE *file, const json_t *health)
{
    enum { ROWS = 12 };
    static const sotto_page_column columns[] = {
        {"Step", "step", SOTTO_SHOW_COUNT},         {"Different rows", "distinct", SOTTO_SHOW_PERCENT},
        {"Entropy", "entropy", SOTTO_SHOW_NUMBER},  {"of noisy counts", "wanted_entropy", SOTTO_SHOW_NUMBER},
        {"Distance", "distance", SOTTO_SHOW_SCORE}, {"Parameters", "parameters", SOTTO_SHOW_NUMBER}};
    const size_t count = json_array_size(health), shown = count < ROWS ? count : ROWS;
    json_t *some = json_array();
    for (size_t i = 0; i < shown; i++)
        (void)json_array_append(some, json_array_get(health, shown > 1 ? i * (count - 1) / (shown - 1) : 0));
    (void)fputs("<details><summary>Figures</summary>\n", file);
    sotto_page_table(
        file,
        "Rows made on the way. Entropy in nats and distance (total variation from noisy counts) are means over "
        "columns; of the parameters the root mean square.",
        some, columns, sizeof columns / sizeof *columns);
    (void)fputs("</details>\n", file);
    json_decref(some);
}

void sotto_page_training(sotto_page *page, const json_t *metrics)
{
    const json_t *health = json_object_get(metrics, "health");
    if (!sotto_page_has_training(metrics))
        return;
    sotto_page_section(
        page->file, "training", "How training went",
        "Losses on real rows are computed without noise. Rows made on the way come from what was already "
        "private.");
    (void)fputs("<div class=\"grid two\">\n", page->file);
    put_losses(page, json_object_get(metrics, "steps"));
    put_rows_made(page, health);
    (void)fputs("</div>\n", page->file);
    put_looks(page->file, health);
    sotto_page_section_end(page->file);
}
