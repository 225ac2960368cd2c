/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

static size_t count_status(const json_t *cells, const char *status)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(cells); i++)
        count += strcmp(sotto_record_text(json_array_get(cells, i), "status"), status) == 0;
    return count;
}

/* The label of a metric by its key; the key itself where no metric has it. */
static const char *label_of(const json_t *root, const char *metric)
{
    const json_t *metrics = json_object_get(root, "metrics");
    for (size_t i = 0; i < json_array_size(metrics); i++)
        if (strcmp(sotto_record_text(json_array_get(metrics, i), "key"), metric) == 0)
            return sotto_record_text(json_array_get(metrics, i), "label");
    return metric;
}

/* ----------------------------------------------------------------- summary */

static void put_card(FILE *file, const json_t *value, sotto_show show, const char *prefix, const char *words)
{
    char figure[SOTTO_FIGURE_SIZE], text[2 * SOTTO_FIGURE_SIZE];
    if (!json_is_number(value))
        return;
    (void)snprintf(text, sizeof text, "%s%s", prefix, sotto_figure_show(value, show, figure));
    sotto_page_card(file, text, words, false);
}

static void put_best(FILE *file, const json_t *root)
{
    const json_t *best = json_object_get(root, "best");
    char figure[SOTTO_FIGURE_SIZE];
    if (sotto_record_skipped(best)) {
        sotto_page_element(file, "p", "No run has the figure that was to choose the best.");
        return;
    }
    char *settings = sotto_sweep_settings(json_object_get(best, "settings"), true);
    (void)fputs("<p class=\"sentence\">Best by ", file);
    sotto_text_put(file, label_of(root, sotto_record_text(best, "metric")), true);
    (void)fputs(": <strong>", file);
    sotto_text_put(file, settings && *settings ? settings : "the only setting", true);
    (void)fprintf(file, "</strong>, with %s.</p>\n",
                  sotto_figure_show(json_object_get(best, "value"), SOTTO_SHOW_SCORE, figure));
    free(settings);
    sotto_page_element(file, "p class=\"note\"",
                       "It was chosen by looking at figures of the real table. Choosing is not "
                       "free: what it costs stands under privacy.");
}

/* The run that was chosen by noisy figures alone, if one was asked for. */
static void put_selected(FILE *file, const json_t *selected)
{
    char figure[SOTTO_FIGURE_SIZE];
    const char *skipped = sotto_record_skipped(selected);
    if (!selected || json_is_null(selected))
        return;
    if (skipped) {
        sotto_page_skipped(file, "Nothing was selected", skipped);
        return;
    }
    char *settings = sotto_sweep_settings(json_object_get(selected, "settings"), true);
    (void)fputs("<p class=\"sentence\">Selected for release: run ", file);
    sotto_text_put(file, sotto_record_text(selected, "id"), true);
    (void)fputs(", <strong>", file);
    sotto_text_put(file, settings && *settings ? settings : "the only setting", true);
    (void)fputs("</strong>, by its noisy ", file);
    sotto_text_put(file, sotto_record_text(selected, "by"), true);
    (void)fprintf(file, " of %s. ",
                  sotto_figure_show(json_object_get(selected, "score"), SOTTO_SHOW_SCORE, figure));
    (void)fprintf(file,
                  "It may leave the building as it lies in release/, at ε = %s for all runs together.</p>\n",
                  sotto_figure_show(json_object_get(selected, "epsilon"), SOTTO_SHOW_EPSILON, figure));
    free(settings);
    sotto_page_element(
        file, "p class=\"note\"",
        "It was chosen by figures that every run bought with a part of its ε, and by nothing else, "
        "so the choice is covered. The figures below took no part in it.");
}

static void put_summary(FILE *file, const json_t *root)
{
    const json_t *cells = json_object_get(root, "cells");
    const size_t all = json_array_size(cells), done = count_status(cells, "done"),
                 failed = count_status(cells, "failed"), diverged = count_status(cells, "diverged");
    char figure[SOTTO_FIGURE_SIZE], words[120];
    sotto_page_section(file, "summary", "In short", NULL);
    (void)fputs("<div class=\"cards\">\n", file);
    (void)snprintf(figure, sizeof figure, "%zu of %zu", done, all);
    const int used = snprintf(words, sizeof words, "runs done; %zu failed, %zu missing", failed,
                              count_status(cells, "missing"));
    if (diverged > 0 && used > 0)
        (void)snprintf(words + used, sizeof words - (size_t)used, ", %zu diverged", diverged);
    sotto_page_card(file, figure, words, failed + diverged > 0);
    put_card(file, sotto_record_get(root, "privacy.all"), SOTTO_SHOW_EPSILON, "ε = ", "of all runs together");
    put_card(file, sotto_record_get(root, "privacy.each.most"), SOTTO_SHOW_EPSILON, "ε ≤ ",
             "of each run alone");
    put_card(file, sotto_record_get(root, "seconds"), SOTTO_SHOW_SECONDS, "", "of wall time in all");
    (void)fputs("</div>\n", file);
    put_selected(file, json_object_get(root, "selected"));
    put_best(file, root);
    sotto_page_section_end(file);
}

/* ----------------------------------------------------------------- privacy */

static void put_privacy(FILE *file, const json_t *root)
{
    static const sotto_page_column totals[] = {
        {"One run, the least", "each.least", SOTTO_SHOW_EPSILON},
        {"One run, the most", "each.most", SOTTO_SHOW_EPSILON},
        {"All runs composed", "all", SOTTO_SHOW_EPSILON},
        {"The sweep's budget", "budget.epsilon", SOTTO_SHOW_EPSILON},
        {"δ of the budget", "budget.delta", SOTTO_SHOW_NUMBER},
        {"δ of these figures", "delta", SOTTO_SHOW_NUMBER},
    };
    static const sotto_page_column best[] = {
        {"ε, of the best of a random number of runs", "epsilon", SOTTO_SHOW_EPSILON},
        {"Runs, on average", "mean_runs", SOTTO_SHOW_NUMBER},
        {"Distribution of their number", "distribution", SOTTO_SHOW_TEXT},
        {"Which means", "explanation", SOTTO_SHOW_TEXT},
    };
    const json_t *privacy = json_object_get(root, "privacy"),
                 *random = json_object_get(privacy, "best_of_random");
    const char *skipped = sotto_record_skipped(random);
    sotto_page_section(
        file, "privacy", "What the sweep costs",
        "Each run used the same real table. Releasing one run costs its own ε only where it was not "
        "chosen by looking at the others.");
    sotto_page_element(file, "p class=\"sentence\"", sotto_record_text(privacy, "statement"));
    (void)fputs("<h3>In figures</h3>\n", file);
    sotto_page_pairs(file, privacy, totals, sizeof totals / sizeof *totals);
    (void)fputs("<h3>Choosing the best of randomly many</h3>\n", file);
    if (skipped)
        sotto_page_skipped(file, "Not given", skipped);
    else
        sotto_page_pairs(file, random, best, sizeof best / sizeof *best);
    sotto_page_section_end(file);
}

/* ------------------------------------------------------------------ tables */

enum { METRICS = 24 /* columns of figures; the record has all */ };

static void put_heads(FILE *file, const json_t *root, const char *const *first, size_t count, size_t metrics)
{
    (void)fprintf(file, "<div class=\"scroll\"><table class=\"wide figures%s\">\n<thead><tr>",
                  metrics > 4 ? " many" : "");
    for (size_t i = 0; i < count; i++)
        (void)fprintf(file, "<th scope=\"col\"%s>%s</th>", i ? " class=\"number\"" : "", first[i]);
    for (size_t i = 0; i < metrics; i++)
        sotto_page_element(file, "th scope=\"col\" class=\"number\"",
                           sotto_record_text(json_array_get(json_object_get(root, "metrics"), i), "label"));
    (void)fputs("<th scope=\"col\" class=\"number\">Time</th></tr></thead>\n<tbody>\n", file);
}

static void put_cell(FILE *file, const char *label, const json_t *value, sotto_show show)
{
    (void)fprintf(file, "<td class=\"number%s\" data-label=\"", value && !json_is_null(value) ? "" : " none");
    sotto_text_put(file, label, true);
    (void)fputs("\"><span>", file);
    sotto_page_value(file, value, show);
    (void)fputs("</span></td>", file);
}

/* Figures by metric, and the time: what both tables end by. */
static void put_figures(FILE *file, const json_t *root, const json_t *item, sotto_show show, size_t metrics)
{
    for (size_t i = 0; i < metrics; i++) {
        const json_t *metric = json_array_get(json_object_get(root, "metrics"), i);
        put_cell(file, sotto_record_text(metric, "label"),
                 json_object_get(json_object_get(item, "figures"), sotto_record_text(metric, "key")), show);
    }
    put_cell(file, "Time", json_object_get(item, "seconds"), SOTTO_SHOW_SECONDS);
    (void)fputs("</tr>\n", file);
}

static void put_settings(FILE *file, const json_t *item)
{
    char *settings = sotto_sweep_settings(json_object_get(item, "settings"), true);
    sotto_text_put(file, settings && *settings ? settings : "as the config says", true);
    free(settings);
}

static size_t metric_count(const json_t *root)
{
    const size_t count = json_array_size(json_object_get(root, "metrics"));
    return count < METRICS ? count : METRICS;
}

static void put_group_table(FILE *file, const json_t *root)
{
    static const char *const heads[] = {"Setting", "ε", "Runs"};
    const json_t *groups = json_object_get(root, "groups");
    sotto_page_section(file, "settings", "Each setting",
                       "Means over repeats, and their 95 % intervals where there are any.");
    put_heads(file, root, heads, 3, metric_count(root));
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        (void)fputs("<tr><th scope=\"row\" data-label=\"Setting\"><span>", file);
        put_settings(file, group);
        (void)fputs("</span></th>", file);
        put_cell(file, "ε", json_object_get(group, "epsilon"), SOTTO_SHOW_EPSILON);
        put_cell(file, "Runs", json_object_get(group, "runs"), SOTTO_SHOW_COUNT);
        put_figures(file, root, group, SOTTO_SHOW_SPREAD, metric_count(root));
    }
    (void)fputs("</tbody></table></div>\n", file);
    sotto_page_section_end(file);
}

static void put_cell_table(FILE *file, const json_t *root)
{
    static const char *const heads[] = {"Run", "Repeat", "ε"};
    const json_t *cells = json_object_get(root, "cells");
    sotto_page_section(file, "runs", "Each run", NULL);
    put_heads(file, root, heads, 3, metric_count(root));
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *cell = json_array_get(cells, i);
        const char *status = sotto_record_text(cell, "status"), *reason = sotto_record_text(cell, "reason");
        (void)fputs("<tr><th scope=\"row\" data-label=\"Run\"><span><code>", file);
        sotto_text_put(file, sotto_record_text(cell, "id"), true);
        (void)fputs("</code> ", file);
        put_settings(file, cell);
        if (strcmp(status, "done") != 0) {
            (void)fputs("<span class=\"beneath\"><span class=\"verdict\">", file);
            sotto_text_put(file, status, true);
            (void)fputs("</span> ", file);
            sotto_text_put(file, reason, true);
            (void)fputs("</span>", file);
        }
        (void)fputs("</span></th>", file);
        put_cell(file, "Repeat", json_object_get(cell, "repeat"), SOTTO_SHOW_COUNT);
        put_cell(file, "ε", json_object_get(cell, "epsilon"), SOTTO_SHOW_EPSILON);
        put_figures(file, root, cell, SOTTO_SHOW_SCORE, metric_count(root));
    }
    (void)fputs("</tbody></table></div>\n", file);
    sotto_page_section_end(file);
}

/* -------------------------------------------------------------------- page */

static void put_origin(sotto_page *page)
{
    char figure[SOTTO_FIGURE_SIZE];
    (void)fputs(", from <code>", page->file);
    sotto_text_put(page->file, sotto_record_text(page->root, "config"), true);
    (void)fprintf(page->file, "</code>. Repeats of each setting: %s.</p>\n",
                  sotto_figure_show(json_object_get(page->root, "repeats"), SOTTO_SHOW_COUNT, figure));
    sotto_page_element(page->file, "p class=\"note\"", sotto_record_text(page->root, "notice"));
    (void)fputs(
        "<nav aria-label=\"Contents\"><a href=\"#summary\">In short</a> <a href=\"#privacy\">Privacy</a> <a "
        "href=\"#figures\">Against ε</a> <a href=\"#settings\">Settings</a> <a href=\"#runs\">Runs</a></nav>\n"
        "</header>\n",
        page->file);
    sotto_page_note(page);
}

static void put_lines(FILE *file, const json_t *root)
{
    static const sotto_page_column columns[] = {{"For comparison", "label", SOTTO_SHOW_TEXT},
                                                {"Figure", "metric", SOTTO_SHOW_NAME},
                                                {"Value", "value", SOTTO_SHOW_SCORE}};
    if (json_array_size(json_object_get(root, "lines")))
        sotto_page_table(file, "", json_object_get(root, "lines"), columns, 3);
}

sotto_status sotto_report_sweep_html(const char *sweep_json, char **html, sotto_error *err)
{
    json_t *root;
    sotto_page page;
    *html = NULL;
    sotto_status status = sotto_sweep_parse(&root, "sweep.json", sweep_json, err);
    if (status != SOTTO_OK)
        return status;
    status = sotto_page_open(&page, root, "Sweep", err);
    if (status == SOTTO_OK) {
        put_origin(&page);
        put_summary(page.file, root);
        put_privacy(page.file, root);
        sotto_page_sweep_charts(&page);
        put_lines(page.file, root);
        put_group_table(page.file, root);
        put_cell_table(page.file, root);
        status = sotto_page_close(&page, SOTTO_REPORT_SWEEP_FORMAT, html, err);
    }
    json_decref(root);
    return status;
}
