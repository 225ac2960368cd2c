/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

static const sotto_rule rules[] = {
    {"made_by", SOTTO_VALUE_TEXT, false},
    {"date", SOTTO_VALUE_TEXT, false},
    {"not_private", SOTTO_VALUE_TEXT, true},
    {"notice", SOTTO_VALUE_TEXT, false},
    {"config", SOTTO_VALUE_TEXT, false},
    {"delta", SOTTO_VALUE_SHARE, true},
    {"repeats", SOTTO_VALUE_COUNT, false},
    {"seconds", SOTTO_VALUE_POSITIVE, true},
    {"keys[].key", SOTTO_VALUE_TEXT, false},
    {"keys[].values[]", SOTTO_VALUE_SCALAR, false},
    {"metrics[].key", SOTTO_VALUE_TEXT, false},
    {"metrics[].label", SOTTO_VALUE_TEXT, false},
    {"metrics[].better", SOTTO_VALUE_TEXT, false},
    {"cells[].id", SOTTO_VALUE_TEXT, false},
    {"cells[].settings", SOTTO_VALUE_OBJECT, false},
    {"cells[].repeat", SOTTO_VALUE_COUNT, true},
    {"cells[].status", SOTTO_VALUE_TEXT, false},
    {"cells[].reason", SOTTO_VALUE_TEXT, true},
    {"cells[].epsilon", SOTTO_VALUE_POSITIVE, true},
    {"cells[].seconds", SOTTO_VALUE_POSITIVE, true},
    {"cells[].figures", SOTTO_VALUE_OBJECT, true},
    {"groups[].settings", SOTTO_VALUE_OBJECT, false},
    {"groups[].epsilon", SOTTO_VALUE_POSITIVE, true},
    {"groups[].runs", SOTTO_VALUE_COUNT, false},
    {"groups[].figures", SOTTO_VALUE_OBJECT, false},
    {"groups[].seconds", SOTTO_VALUE_POSITIVE, true},
    {"lines[].metric", SOTTO_VALUE_TEXT, false},
    {"lines[].label", SOTTO_VALUE_TEXT, false},
    {"lines[].value", SOTTO_VALUE_NUMBER, true},
    {"privacy.delta", SOTTO_VALUE_SHARE, true},
    {"privacy.each.least", SOTTO_VALUE_POSITIVE, true},
    {"privacy.each.most", SOTTO_VALUE_POSITIVE, true},
    {"privacy.all", SOTTO_VALUE_POSITIVE, true},
    {"privacy.best_of_random?.epsilon", SOTTO_VALUE_POSITIVE, true},
    {"privacy.best_of_random?.mean_runs", SOTTO_VALUE_POSITIVE, true},
    {"privacy.best_of_random?.distribution", SOTTO_VALUE_TEXT, true},
    {"privacy.best_of_random?.explanation", SOTTO_VALUE_TEXT, true},
    {"privacy.budget?.epsilon", SOTTO_VALUE_POSITIVE, true},
    {"privacy.budget?.delta", SOTTO_VALUE_SHARE, true},
    {"privacy.statement", SOTTO_VALUE_TEXT, false},
    {"best?.settings", SOTTO_VALUE_OBJECT, false},
    {"best?.metric", SOTTO_VALUE_TEXT, false},
    {"best?.value", SOTTO_VALUE_NUMBER, true},
    {"selected?.id", SOTTO_VALUE_TEXT, false},
    {"selected?.settings", SOTTO_VALUE_OBJECT, false},
    {"selected?.by", SOTTO_VALUE_TEXT, false},
    {"selected?.score", SOTTO_VALUE_NUMBER, true},
    {"selected?.epsilon", SOTTO_VALUE_POSITIVE, true},
    {"selected?.delta", SOTTO_VALUE_SHARE, true},
    {"selected?.release", SOTTO_VALUE_TEXT, false},
};

static sotto_status refuse(const char *name, const char *key, const char *wanted, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, name, 0, 0,
        "a value of \"%s\" is not what it should be; expected %s; take the record as the run "
        "wrote it",
        key, wanted);
}

/* The keys of settings and figures are the record's own: each value is checked, and no key is quoted. */
static sotto_status check_free(const json_t *root, const char *name, sotto_error *err)
{
    static const char *const lists[] = {"cells", "groups"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *list = json_object_get(root, lists[i]);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *item = json_array_get(list, k);
            const char *key;
            json_t *value;
            json_object_foreach(json_object_get(item, "settings"), key,
                                value) if (json_is_object(value) ||
                                           json_is_array(value)) return refuse(name, "settings",
                                                                               "a number or a text", err);
            json_object_foreach(json_object_get(item, "figures"), key,
                                value) if (!json_is_null(value) &&
                                           (i ? !json_is_object(value)
                                              : !json_is_number(value))) return refuse(name, "figures",
                                                                                       i ? "an object"
                                                                                         : "a number or null",
                                                                                       err);
        }
    }
    return SOTTO_OK;
}

static sotto_status check_spreads(const json_t *root, const char *name, sotto_error *err)
{
    static const sotto_rule spread[] = {{"mean", SOTTO_VALUE_NUMBER, true},
                                        {"low", SOTTO_VALUE_NUMBER, true},
                                        {"high", SOTTO_VALUE_NUMBER, true},
                                        {"least", SOTTO_VALUE_NUMBER, true},
                                        {"most", SOTTO_VALUE_NUMBER, true}};
    const json_t *groups = json_object_get(root, "groups");
    for (size_t k = 0; k < json_array_size(groups); k++) {
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(json_array_get(groups, k), "figures"), key, value)
        {
            sotto_status status =
                json_is_null(value)
                    ? SOTTO_OK
                    : sotto_record_check(value, name, spread, sizeof spread / sizeof *spread, err);
            if (status != SOTTO_OK)
                return status;
        }
    }
    return SOTTO_OK;
}

sotto_status sotto_sweep_parse(json_t **root, const char *name, const char *text, sotto_error *err)
{
    sotto_status status = sotto_record_parse(root, name, text, SOTTO_REPORT_SWEEP_FORMAT, rules,
                                             sizeof rules / sizeof *rules, err);
    if (status == SOTTO_OK)
        status = check_free(*root, name, err);
    if (status == SOTTO_OK)
        status = check_spreads(*root, name, err);
    if (status != SOTTO_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return status;
}

/* ---------------------------------------------------------------- settings */

static const char epsilon_key[] = "privacy.epsilon";

/* "model.kind gan, privacy.epsilon 1", without ε where that is the axis; the caller frees. */
char *sotto_sweep_settings(const json_t *settings, bool with_epsilon)
{
    char *text = NULL, figure[SOTTO_FIGURE_SIZE];
    size_t size, count = 0;
    const char *key;
    json_t *value;
    FILE *file = sotto_memory_open(&text, &size);
    if (!file)
        return NULL;
    json_object_foreach((json_t *)settings, key, value)
    {
        if (!with_epsilon && strcmp(key, epsilon_key) == 0)
            continue;
        (void)fprintf(file, "%s%s %s", count++ ? ", " : "", key,
                      sotto_figure_show(value, SOTTO_SHOW_NUMBER, figure));
    }
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

/* ------------------------------------------------------------------ charts */

enum { LINES = 6, POINTS = 256 };

/* The groups that differ in ε alone are one line. */
typedef struct lines {
    char *names[LINES];
    size_t of[POINTS]; /* line of each group; LINES: none */
    size_t count, groups, left_out;
} lines;

static bool sort_lines(lines *into, const json_t *groups)
{
    *into = (lines){.groups = json_array_size(groups)};
    into->groups = into->groups < POINTS ? into->groups : POINTS;
    for (size_t i = 0; i < into->groups; i++) {
        char *name = sotto_sweep_settings(json_object_get(json_array_get(groups, i), "settings"), false);
        size_t k = 0;
        if (!name)
            return false;
        while (k < into->count && strcmp(into->names[k], name) != 0)
            k++;
        into->of[i] = k;
        into->left_out += k == LINES;
        if (k == into->count && k < LINES)
            into->names[into->count++] = name;
        else
            free(name);
    }
    return true;
}

static void free_lines(lines *sorted)
{
    for (size_t i = 0; i < sorted->count; i++)
        free(sorted->names[i]);
}

static int by_epsilon(const void *left, const void *right)
{
    const double a = ((const sotto_point *)left)->x, b = ((const sotto_point *)right)->x;
    return a < b ? -1 : a > b;
}

/* One point of a group: its mean and interval; between its least and most where it has no interval. NULL:
 * seconds. */
static sotto_point point_of(const json_t *group, const char *metric)
{
    const double epsilon = sotto_record_number(group, "epsilon");
    const double x = epsilon > 0 ? epsilon : (double)NAN; /* the axis is logarithmic */
    if (!metric)
        return (sotto_point){x, sotto_record_number(group, "seconds"), (double)NAN, (double)NAN};
    const json_t *figure = json_object_get(json_object_get(group, "figures"), metric);
    const bool interval = json_is_number(json_object_get(figure, "low"));
    return (sotto_point){x, sotto_record_number(figure, "mean"),
                         sotto_record_number(figure, interval ? "low" : "least"),
                         sotto_record_number(figure, interval ? "high" : "most")};
}

/* A figure whose means are all in [0, 1] is taken for one that cannot leave it, however wide an interval may
 * be. */
static void clip_whiskers(sotto_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (points[i].y < 0 || points[i].y > 1)
            return;
    for (size_t i = 0; i < count; i++) {
        points[i].low = points[i].low < 0 ? 0 : points[i].low;
        points[i].high = points[i].high > 1 ? 1 : points[i].high;
    }
}

static size_t take_points(const json_t *groups, const lines *sorted, size_t line, const char *metric,
                          sotto_point *points)
{
    size_t count = 0;
    for (size_t i = 0; i < sorted->groups; i++) {
        const sotto_point point = point_of(json_array_get(groups, i), metric);
        if (sorted->of[i] == line && isfinite(point.x) && isfinite(point.y))
            points[count++] = point;
    }
    qsort(points, count, sizeof *points, by_epsilon);
    if (metric)
        clip_whiskers(points, count);
    return count;
}

/* Ticks at the ε that occur, but for those too close to the one before. */
static size_t take_ticks(const json_t *groups, sotto_tick ticks[12], char labels[12][SOTTO_FIGURE_SIZE])
{
    double all[POINTS];
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < json_array_size(groups) && count < POINTS; i++) {
        const double epsilon = sotto_record_number(json_array_get(groups, i), "epsilon");
        if (epsilon > 0)
            all[count++] = epsilon;
    }
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && all[k] < all[k - 1]; k--) {
            const double swap = all[k];
            all[k] = all[k - 1];
            all[k - 1] = swap;
        }
    for (size_t i = 0; i < count && kept < 12; i++) {
        if (kept && all[i] < ticks[kept - 1].at * pow(all[count - 1] / all[0], 1.0 / 9))
            continue;
        sotto_figure_up(all[i], 2, labels[kept]);
        ticks[kept] = (sotto_tick){all[i], labels[kept]};
        kept++;
    }
    return kept;
}

/* Constant lines of a metric: the ceiling without privacy and the controls. */
typedef struct levels {
    sotto_point points[4][2];
    const char *labels[4];
    size_t count;
} levels;

static void take_levels(levels *into, const json_t *root, const char *metric, double low, double high)
{
    const json_t *all = json_object_get(root, "lines");
    into->count = 0;
    for (size_t i = 0; i < json_array_size(all) && into->count < 4; i++) {
        const json_t *line = json_array_get(all, i);
        const double value = sotto_record_number(line, "value"), nan = (double)NAN;
        if (!metric || strcmp(sotto_record_text(line, "metric"), metric) != 0 || !isfinite(value))
            continue;
        into->points[into->count][0] = (sotto_point){low, value, nan, nan};
        into->points[into->count][1] = (sotto_point){high, value, nan, nan};
        into->labels[into->count++] = sotto_record_text(line, "label");
    }
}

static void put_chart(sotto_page *page, const lines *sorted, const char *metric, const char *label)
{
    static const sotto_role level_roles[4] = {SOTTO_ROLE_REAL, SOTTO_ROLE_CONTROL, SOTTO_ROLE_BASELINE,
                                              SOTTO_ROLE_ALARM};
    const json_t *groups = json_object_get(page->root, "groups");
    sotto_point *points = calloc((size_t)LINES * POINTS, sizeof *points);
    char *title = NULL, labels[12][SOTTO_FIGURE_SIZE];
    sotto_series series[LINES + 4];
    sotto_legend legend[LINES + 4];
    sotto_tick ticks[12];
    levels constant;
    size_t count = 0;
    const size_t tick_count = take_ticks(groups, ticks, labels);
    if (!points || asprintf(&title, "%s against ε", label) < 0) {
        page->failed = true;
        free(points);
        return;
    }
    const double low = tick_count ? ticks[0].at : 1, high = tick_count ? ticks[tick_count - 1].at : 1;
    take_levels(&constant, page->root, metric, low / 1.25, high * 1.25);
    for (size_t k = 0; k < sorted->count; k++, count++) {
        const sotto_role role = (sotto_role)(SOTTO_ROLE_SERIES + k);
        const size_t found = take_points(groups, sorted, k, metric, points + k * POINTS);
        for (size_t i = 0; i < found; i++) /* side by side, or whiskers would hide one another */
            points[k * POINTS + i].x *= pow(1.03, (double)k - (double)(sorted->count - 1) / 2);
        series[count] = (sotto_series){role, SOTTO_DRAW_LINE | SOTTO_DRAW_DOTS | SOTTO_DRAW_WHISKERS,
                                       points + k * POINTS, found};
        legend[count] = (sotto_legend){role, *sorted->names[k] ? sorted->names[k] : "private runs", false};
    }
    for (size_t k = 0; k < constant.count; k++, count++) {
        series[count] =
            (sotto_series){level_roles[k], SOTTO_DRAW_LINE | SOTTO_DRAW_DASHED, constant.points[k], 2};
        legend[count] = (sotto_legend){level_roles[k], constant.labels[k], true};
    }
    const sotto_chart chart = {
        .title = title,
        .words = "Points with intervals over repeats, joined by lines, against ε on a logarithmic "
                 "axis, and dashed lines for what could be had without privacy and for the "
                 "controls. The table of settings gives each figure.",
        .x_label = "ε, spent by each run (logarithmic)",
        .width = 420,
        .height = 290,
        .x_log = true,
        .x_low = low / 1.25,
        .x_high = high * 1.25,
        .ticks = ticks,
        .tick_count = tick_count,
        .series = series,
        .series_count = count};
    (void)fputs("<div>\n", page->file);
    sotto_page_element(page->file, "h3", label);
    if (tick_count && sotto_picture_lines(page, &chart))
        sotto_page_figure_end(page, "", legend, count);
    else
        sotto_page_element(page->file, "p", "No run has this figure yet.");
    (void)fputs("</div>\n", page->file);
    free(points);
    free(title);
}

void sotto_page_sweep_charts(sotto_page *page)
{
    const json_t *metrics = json_object_get(page->root, "metrics");
    lines sorted;
    page->failed = !sort_lines(&sorted, json_object_get(page->root, "groups")) || page->failed;
    sotto_page_section(
        page->file, "figures", "Against ε",
        "Each point is the mean over a setting's repeats. Whiskers are 95 % intervals of that mean, or "
        "reach from the least to the most where there are too few repeats for one; those of shares and the like end at 0 and 1.");
    (void)fputs("<div class=\"grid two\">\n", page->file);
    for (size_t i = 0; i < json_array_size(metrics) && !page->failed; i++) {
        const json_t *metric = json_array_get(metrics, i);
        put_chart(page, &sorted, sotto_record_text(metric, "key"), sotto_record_text(metric, "label"));
    }
    if (!page->failed)
        put_chart(page, &sorted, NULL, "Wall time of a run, seconds");
    (void)fputs("</div>\n", page->file);
    if (sorted.left_out)
        sotto_page_element(
            page->file, "p class=\"note\"",
            "Only the first six combinations of the other settings are drawn; the tables have all.");
    sotto_page_section_end(page->file);
    free_lines(&sorted);
}
