/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* ------------------------------------------------------- intervals of rates */

static sotto_point rate_of(const json_t *attack, const char *side)
{
    const json_t *interval = json_object_get(attack, side);
    return (sotto_point){100 * sotto_record_number(interval, "rate"), 0,
                         100 * sotto_record_number(interval, "low"),
                         100 * sotto_record_number(interval, "high")};
}

/* "linkability" or "attribute inference: income"; the caller frees. */
static char *name_of(const json_t *attack)
{
    const char *secret = sotto_record_text(attack, "secret"), *name = sotto_record_text(attack, "name");
    char *label = NULL;
    if (!*secret || strstr(name, secret))
        return strdup(name);
    return asprintf(&label, "%s: %s", name, secret) < 0 ? NULL : label;
}

static void put_dots(sotto_page *page, const json_t *attacks)
{
    enum { SIDES = 3 };
    static const char *const sides[SIDES] = {"train", "control", "baseline"};
    static const sotto_legend legend[SIDES] = {
        {SOTTO_ROLE_SYNTHETIC, "people in the train table", false},
        {SOTTO_ROLE_CONTROL, "control: other people", false},
        {SOTTO_ROLE_BASELINE, "baseline: without the synthetic table", false}};
    const size_t count = json_array_size(attacks);
    sotto_point *points = calloc(SIDES * count + 1, sizeof *points);
    char **labels = calloc(count + 1, sizeof *labels);
    double most = 0;
    bool sound = points && labels;
    for (size_t i = 0; i < count && sound; i++) {
        const json_t *attack = json_array_get(attacks, i);
        labels[i] = name_of(attack);
        sound = labels[i] != NULL;
        for (size_t s = 0; s < SIDES; s++) {
            points[s * count + i] = rate_of(attack, sides[s]);
            most = fmax(most, fmax(points[s * count + i].x, points[s * count + i].high));
        }
    }
    page->failed = page->failed || !sound;
    sotto_series series[SIDES];
    for (size_t s = 0; s < SIDES; s++)
        series[s] = (sotto_series){legend[s].role, 0, points ? points + s * count : NULL, count};
    const sotto_dots dots = {
        .title = "How often each attack succeeded",
        .words =
            "Rows of dots with 95 % intervals, one row for each attack: on people in the train table, on other "
            "people, and without the synthetic table. The table below gives each figure.",
        .format = "%g %%",
        .labels = (const char *const *)labels,
        .rows = count,
        .series = series,
        .series_count = SIDES,
        .low = 0,
        .high = most > 0 ? 1.08 * most : 1};
    if (sound && count && sotto_picture_dots(page, &dots))
        sotto_page_figure_end(page, "Share of attempts that succeeded, with 95 % intervals", legend, SIDES);
    for (size_t i = 0; labels && i < count; i++)
        free(labels[i]);
    free(labels);
    free(points);
}

/* Does an earlier attack have this verdict for the same reason? */
static bool is_told(const json_t *attacks, size_t index)
{
    const json_t *attack = json_array_get(attacks, index);
    for (size_t i = 0; i < index; i++) {
        const json_t *earlier = json_array_get(attacks, i);
        if (strcmp(sotto_record_text(earlier, "verdict"), sotto_record_text(attack, "verdict")) == 0 &&
            strcmp(sotto_record_text(earlier, "explanation"), sotto_record_text(attack, "explanation")) == 0)
            return true;
    }
    return false;
}

/* What the verdicts mean, each reason once. */
static void put_explanations(FILE *file, const json_t *attacks)
{
    (void)fputs("<dl>\n", file);
    for (size_t i = 0; i < json_array_size(attacks); i++) {
        const json_t *attack = json_array_get(attacks, i);
        if (is_told(attacks, i))
            continue;
        (void)fputs("<dt>", file);
        sotto_page_value(file, json_object_get(attack, "verdict"), SOTTO_SHOW_VERDICT);
        (void)fputs("</dt>\n", file);
        sotto_page_element(file, "dd", sotto_record_text(attack, "explanation"));
    }
    (void)fputs("</dl>\n", file);
}

static void put_table(sotto_page *page, const json_t *attacks)
{
    static const sotto_page_column columns[] = {
        {"Attack", "name", SOTTO_SHOW_TEXT},         {"Secret", "secret", SOTTO_SHOW_NAME},
        {"Attempts", "attempts", SOTTO_SHOW_COUNT},  {"On train", "train", SOTTO_SHOW_INTERVAL},
        {"Control", "control", SOTTO_SHOW_INTERVAL}, {"Baseline", "baseline", SOTTO_SHOW_INTERVAL},
        {"Risk", "risk", SOTTO_SHOW_INTERVAL},       {"Verdict", "verdict", SOTTO_SHOW_VERDICT},
    };
    sotto_page_table(page->file, "", attacks, columns, sizeof columns / sizeof *columns);
    put_explanations(page->file, attacks);
    (void)fputs(
        "<p class=\"note\">Risk: the success on people in the train table beyond that on others, as a share of what "
        "was left to gain. A leak: the attack beats its baseline and the risk's whole interval lies above zero.</p>\n",
        page->file);
}

/* --------------------------------------------------------------- distances */

static void put_histogram(sotto_page *page, const json_t *histogram)
{
    enum { SIDES = 2 };
    static const char *const keys[SIDES] = {"train", "test"};
    static const sotto_legend legend[SIDES] = {{SOTTO_ROLE_SYNTHETIC, "to the closest train row", false},
                                               {SOTTO_ROLE_CONTROL, "to the closest test row", false}};
    const json_t *edges = json_object_get(histogram, "edges");
    const size_t count = json_array_size(edges) ? json_array_size(edges) - 1 : 0;
    sotto_point *points = calloc(SIDES * count + 1, sizeof *points);
    page->failed = page->failed || !points;
    for (size_t s = 0; s < SIDES && points; s++)
        for (size_t i = 0; i < count; i++) {
            const json_t *share = json_array_get(json_object_get(histogram, keys[s]), i);
            points[s * count + i] =
                (sotto_point){(json_number_value(json_array_get(edges, i)) +
                               json_number_value(json_array_get(edges, i + 1))) /
                                  2,
                              json_is_number(share) ? 100 * json_number_value(share) : (double)NAN,
                              (double)NAN, (double)NAN};
        }
    const sotto_series series[SIDES] = {
        {SOTTO_ROLE_SYNTHETIC, SOTTO_DRAW_FILL | SOTTO_DRAW_STEPS, points, count},
        {SOTTO_ROLE_CONTROL, SOTTO_DRAW_STEPS, points ? points + count : NULL, count}};
    const sotto_chart chart = {
        .title = "Distance from synthetic rows to the closest real row",
        .words = "Two histograms, of distances to the train and to the test table. Were the train "
                 "table's farther to the left, rows would have been copied.",
        .x_label = "distance",
        .y_format = "%g %%",
        .from_zero = true,
        .width = 420,
        .height = 250,
        .series = series,
        .series_count = SIDES};
    if (points && sotto_picture_lines(page, &chart))
        sotto_page_figure_end(page, "Share of synthetic rows by distance to the closest real row", legend,
                              SIDES);
    free(points);
}

static void put_distance(sotto_page *page, const json_t *distance)
{
    static const sotto_page_column columns[] = {
        {"Closer to a train row than to any test row", "", SOTTO_SHOW_INTERVAL},
        {"Expected without copying", "expected", SOTTO_SHOW_PERCENT},
        {"Median distance to train", "median_to_train", SOTTO_SHOW_NUMBER},
        {"Median distance to test", "median_to_test", SOTTO_SHOW_NUMBER},
        {"Synthetic rows sampled", "sampled", SOTTO_SHOW_COUNT},
        {"Verdict", "verdict", SOTTO_SHOW_VERDICT},
        {"Which means", "explanation", SOTTO_SHOW_TEXT},
    };
    const char *skipped = sotto_record_skipped(distance);
    (void)fputs("<h3 id=\"distance\">Distances to the closest real row</h3>\n", page->file);
    if (skipped) {
        sotto_page_skipped(page->file, "Not measured", skipped);
        return;
    }
    put_histogram(page, json_object_get(distance, "histogram"));
    sotto_page_pairs(page->file, distance, columns, sizeof columns / sizeof *columns);
}

static void put_matches(sotto_page *page, const json_t *matches)
{
    static const sotto_page_column columns[] = {
        {"Equal a train row", "exact_train", SOTTO_SHOW_PERCENT},
        {"Equal a test row", "exact_test", SOTTO_SHOW_PERCENT},
        {"Nearly equal a train row", "near_train", SOTTO_SHOW_PERCENT},
        {"Nearly equal a test row", "near_test", SOTTO_SHOW_PERCENT},
        {"Nearly equal means", "near", SOTTO_SHOW_TEXT},
        {"Synthetic rows sampled", "sampled", SOTTO_SHOW_COUNT},
    };
    const char *skipped = sotto_record_skipped(matches);
    (void)fputs("<h3 id=\"matches\">Rows that match</h3>\n", page->file);
    if (skipped) {
        sotto_page_skipped(page->file, "Not counted", skipped);
        return;
    }
    (void)fputs(
        "<p>How many synthetic rows equal a real one. Common rows recur by chance, and as often of people whom "
        "the model has never seen: compare both tables.</p>\n",
        page->file);
    sotto_page_pairs(page->file, matches, columns, sizeof columns / sizeof *columns);
}

static void put_membership(sotto_page *page, const json_t *membership)
{
    static const sotto_page_column columns[] = {
        {"AUC, 0.5 is guessing", "", SOTTO_SHOW_SPREAD},
        {"Members found at 1 % false alarms", "true_positive_rate_at_1_percent", SOTTO_SHOW_PERCENT},
        {"Rows sampled", "sampled", SOTTO_SHOW_COUNT},
        {"Verdict", "verdict", SOTTO_SHOW_VERDICT},
        {"Which means", "explanation", SOTTO_SHOW_TEXT},
    };
    const char *skipped = sotto_record_skipped(membership);
    (void)fputs("<h3 id=\"membership\">Who was in the table?</h3>\n", page->file);
    if (skipped)
        sotto_page_skipped(page->file, "Not asked", skipped);
    else
        sotto_page_pairs(page->file, membership, columns, sizeof columns / sizeof *columns);
}

void sotto_page_attacks(sotto_page *page)
{
    const json_t *attacks = json_object_get(page->root, "attacks");
    const char *skipped = sotto_record_skipped(attacks);
    sotto_page_section(
        page->file, "attacks", "What an attacker learns",
        "An attack succeeds on other people too, by what holds for everybody. What it learns beyond that "
        "of the people whose rows were trained on is the leak. Attacks find leaks; that one finds none "
        "proves nothing, for a better one may. The guarantee is the privacy statement's alone.");
    if (skipped)
        sotto_page_skipped(page->file, "Not tried", skipped);
    else {
        put_dots(page, json_object_get(attacks, "attacks"));
        put_table(page, json_object_get(attacks, "attacks"));
        put_distance(page, json_object_get(attacks, "distance"));
        put_matches(page, json_object_get(attacks, "matches"));
        put_membership(page, json_object_get(attacks, "membership"));
    }
    sotto_page_section_end(page->file);
}
