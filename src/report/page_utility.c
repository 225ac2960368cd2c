/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

enum { MODELS = 12 /* more are in the table alone */ };

static const struct {
    const char *key, *label;
    sotto_role role;
} trained[] = {
    {"real", "trained on the real table", SOTTO_ROLE_REAL},
    {"synthetic", "trained on the synthetic table", SOTTO_ROLE_SYNTHETIC},
    {"independent", "control: independent columns", SOTTO_ROLE_CONTROL},
    {"permuted", "control: target permuted", SOTTO_ROLE_BASELINE},
};

enum { TRAINED = sizeof trained / sizeof *trained };

/* The models in the order of their first results. */
static size_t list_models(const json_t *results, const char *models[MODELS])
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(results); i++) {
        const char *model = sotto_record_text(json_array_get(results, i), "model");
        size_t k = 0;
        while (k < count && strcmp(models[k], model) != 0)
            k++;
        if (k == count && count < MODELS)
            models[count++] = model;
    }
    return count;
}

static void put_dots(sotto_page *page, const json_t *utility, bool classes)
{
    const char *models[MODELS] = {0};
    const size_t count = list_models(json_object_get(utility, "results"), models);
    sotto_point points[TRAINED][MODELS];
    sotto_series series[TRAINED];
    sotto_legend legend[TRAINED];
    double low = classes ? 0.45 : 0;
    for (size_t t = 0; t < TRAINED; t++) {
        for (size_t m = 0; m < count; m++) {
            const double score = sotto_utility_score(utility, models[m], trained[t].key);
            points[t][m] = (sotto_point){score, 0, (double)NAN, (double)NAN};
            if (score < low) /* a model much worse than the mean would squeeze all others */
                low = fmax(floor(10 * score) / 10, -1);
            if (score < -1)
                points[t][m].x = (double)NAN;
        }
        series[t] = (sotto_series){trained[t].role, 0, points[t], count};
        legend[t] = (sotto_legend){trained[t].role, trained[t].label, false};
    }
    const sotto_dots dots = {
        .title = classes ? "AUC by model and by what it was trained on"
                         : "R² by model and by what it was trained on",
        .words =
            "Rows of dots, one row for each model; a dot for each table that it was trained on, farther to the right "
            "where it does better on the real test table. The table below gives each figure.",
        .labels = models,
        .rows = count,
        .series = series,
        .series_count = TRAINED,
        .low = low,
        .high = 1};
    if (sotto_picture_dots(page, &dots))
        sotto_page_figure_end(page,
                              classes ? "AUC on the real test table; 0.5 is guessing, 1 is perfect"
                                      : "R² on the real test table; 0 is guessing the mean, 1 is perfect",
                              legend, TRAINED);
}

static void put_results(sotto_page *page, const json_t *utility)
{
    static const sotto_page_column columns[] = {
        {"Model", "model", SOTTO_SHOW_TEXT},
        {"Trained on", "trained_on", SOTTO_SHOW_TEXT},
        {"Rows", "rows", SOTTO_SHOW_COUNT},
        {"AUC", "auc", SOTTO_SHOW_SCORE},
        {"F1", "f1", SOTTO_SHOW_SCORE},
        {"Balanced accuracy", "balanced_accuracy", SOTTO_SHOW_SCORE},
        {"Log loss", "log_loss", SOTTO_SHOW_SCORE},
        {"R²", "r2", SOTTO_SHOW_SCORE},
        {"RMSE", "rmse", SOTTO_SHOW_NUMBER},
        {"Time", "seconds", SOTTO_SHOW_SECONDS},
    };
    static const sotto_page_column left_out[] = {{"Model", "model", SOTTO_SHOW_TEXT},
                                                 {"Why it was left out", "reason", SOTTO_SHOW_TEXT}};
    sotto_page_table(page->file, "", json_object_get(utility, "results"), columns,
                     sizeof columns / sizeof *columns);
    if (json_array_size(json_object_get(utility, "left_out")))
        sotto_page_table(page->file, "", json_object_get(utility, "left_out"), left_out, 2);
}

static void put_lead(FILE *file, const json_t *utility, bool classes)
{
    (void)fputs("<p>Models learn to predict <code>", file);
    sotto_text_put(file, sotto_record_text(utility, "target"), true);
    (void)fputs("</code>", file);
    if (classes && *sotto_record_text(utility, "positive")) {
        (void)fputs(" (<code>", file);
        sotto_text_put(file, sotto_record_text(utility, "positive"), true);
        (void)fputs("</code> is the positive class)", file);
    }
    (void)fputs(
        " from the other columns, and are tried on the real test table. Trained on the real table they show "
        "what could be had; the controls, whose target has nothing to do with the rest, what is had for "
        "nothing. The synthetic table lies between.</p>\n",
        file);
}

/* -------------------------------------------------------------------- groups */

static void put_group_table(FILE *file, const json_t *result)
{
    static const sotto_page_column columns[] = {
        {"Group", "group", SOTTO_SHOW_TEXT},
        {"Rows", "rows", SOTTO_SHOW_COUNT},
        {"Predicted positive", "positive_rate", SOTTO_SHOW_PERCENT},
        {"True positives found", "true_positive_rate", SOTTO_SHOW_PERCENT},
        {"Negatives mistaken", "false_positive_rate", SOTTO_SHOW_PERCENT},
    };
    (void)fputs("<h4>", file);
    sotto_text_put(file, sotto_record_text(result, "model"), true);
    (void)fputs(", trained on the ", file);
    sotto_text_put(file, sotto_record_text(result, "trained_on"), true);
    (void)fputs(" table</h4>\n", file);
    sotto_page_table(file, "", json_object_get(result, "groups"), columns, sizeof columns / sizeof *columns);
}

static void put_groups(sotto_page *page, const json_t *utility)
{
    static const sotto_page_column columns[] = {
        {"Model", "model", SOTTO_SHOW_TEXT},
        {"Trained on", "trained_on", SOTTO_SHOW_TEXT},
        {"Demographic parity difference", "demographic_parity_difference", SOTTO_SHOW_SCORE},
        {"Equalised odds difference", "equalised_odds_difference", SOTTO_SHOW_SCORE},
    };
    const json_t *groups = json_object_get(utility, "groups");
    const char *skipped = sotto_record_skipped(groups);
    sotto_page_section(page->file, "groups", "Groups of people", NULL);
    if (skipped) {
        sotto_page_skipped(page->file, "Not compared", *skipped ? skipped : "no sensitive column was named");
        sotto_page_section_end(page->file);
        return;
    }
    (void)fputs("<p>Do the models treat the groups of <code>", page->file);
    sotto_text_put(page->file, sotto_record_text(groups, "column"), true);
    (void)fputs(
        "</code> alike? The differences are between the groups at the ends: of being predicted positive "
        "(demographic parity), and of being predicted rightly or wrongly (equalised odds). 0 is alike.</p>\n",
        page->file);
    const json_t *results = json_object_get(groups, "results");
    sotto_page_table(page->file, "", results, columns, sizeof columns / sizeof *columns);
    (void)fputs("<details><summary>Each group</summary>\n", page->file);
    for (size_t i = 0; i < json_array_size(results); i++)
        put_group_table(page->file, json_array_get(results, i));
    (void)fputs("</details>\n", page->file);
    sotto_page_section_end(page->file);
}

void sotto_page_utility(sotto_page *page)
{
    const json_t *utility = json_object_get(page->root, "utility");
    const char *skipped = sotto_record_skipped(utility);
    const bool classes = !skipped && strcmp(sotto_utility_measure(utility), "auc") == 0;
    sotto_page_section(page->file, "utility", "What models learn from it", NULL);
    if (skipped)
        sotto_page_skipped(page->file, "Not asked", skipped);
    else {
        put_lead(page->file, utility, classes);
        put_dots(page, utility, classes);
        put_results(page, utility);
    }
    sotto_page_section_end(page->file);
    if (!skipped)
        put_groups(page, utility);
}
