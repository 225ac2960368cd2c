/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* The private records in short, for a terminal. */

static void set_head(FILE *file, const json_t *root, const char *title)
{
    sotto_text_banner(file, json_string_value(json_object_get(root, "not_private")));
    (void)fprintf(file, "%s\n", title);
    (void)fputs("Made by ", file);
    sotto_text_put(file, sotto_record_text(root, "made_by"), false);
    (void)fputs(" on ", file);
    sotto_text_put(file, sotto_record_text(root, "date"), false);
    (void)fputs(".\n", file);
    sotto_text_paragraph(file, 0, "PRIVATE. " SOTTO_PAGE_NOTICE);
}

static void set_figure(FILE *file, const char *label, const json_t *value, sotto_show show)
{
    char figure[SOTTO_FIGURE_SIZE];
    if (json_is_number(value))
        sotto_text_pair(file, 2, 28, label, sotto_figure_show(value, show, figure));
}

/* A text cut or filled to `width` columns. */
static void set_cell(FILE *file, const char *text, size_t width)
{
    size_t bytes = 0, used = 0;
    char piece[128];
    const bool fits = sotto_text_width(text) <= width;
    while (text[bytes] && used < (fits ? width : width - 1) && bytes + 5 < sizeof piece) {
        piece[bytes] = text[bytes];
        for (bytes++; ((unsigned char)text[bytes] & 0xC0) == 0x80 && bytes + 2 < sizeof piece; bytes++)
            piece[bytes] = text[bytes];
        used++;
    }
    piece[bytes] = '\0';
    sotto_text_put(file, piece, false);
    (void)fputs(fits ? "" : "…", file);
    for (used += !fits; used < width; used++)
        (void)fputc(' ', file);
}

static void set_number(FILE *file, const json_t *value, sotto_show show, size_t width)
{
    char figure[SOTTO_FIGURE_SIZE];
    const char *text = sotto_figure_show(value, show, figure);
    for (size_t used = sotto_text_width(text); used < width; used++)
        (void)fputc(' ', file);
    sotto_text_put(file, text, false);
}

/* -------------------------------------------------------------- evaluation */

typedef struct listing {
    FILE *file;
    sotto_advice kind;
    const char *title;
} listing;

static void list_one(void *to, sotto_advice kind, const char *sentence)
{
    listing *list = to;
    if (kind != list->kind)
        return;
    if (list->title)
        (void)fprintf(list->file, "\n%s\n", list->title);
    list->title = NULL;
    sotto_text_item(list->file, sentence);
}

static void set_columns(FILE *file, const json_t *columns)
{
    (void)fputs("\nEach column                     alike  test table  in range   covered\n", file);
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        (void)fputs("  ", file);
        set_cell(file, sotto_record_text(column, "name"), 24);
        set_number(file, json_object_get(column, "similarity"), SOTTO_SHOW_PERCENT, 11);
        set_number(file, json_object_get(column, "control"), SOTTO_SHOW_PERCENT, 12);
        set_number(file, json_object_get(column, "adherence"), SOTTO_SHOW_PERCENT, 10);
        set_number(file, json_object_get(column, "coverage"), SOTTO_SHOW_PERCENT, 10);
        (void)fputc('\n', file);
    }
}

static void set_utility(FILE *file, const json_t *utility)
{
    const json_t *results = json_object_get(utility, "results");
    if (sotto_record_skipped(utility))
        return;
    const char *measure = sotto_utility_measure(utility);
    (void)fprintf(file, "\nModels, tried on the test table   trained on         %6s\n",
                  strcmp(measure, "auc") == 0 ? "AUC" : "R2");
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        (void)fputs("  ", file);
        set_cell(file, sotto_record_text(result, "model"), 32);
        set_cell(file, sotto_record_text(result, "trained_on"), 18);
        set_number(file, json_object_get(result, measure), SOTTO_SHOW_SCORE, 8);
        (void)fputc('\n', file);
    }
}

static void set_attacks(FILE *file, const json_t *part)
{
    const json_t *attacks = json_object_get(part, "attacks");
    if (json_array_size(attacks) == 0)
        return;
    (void)fputs("\nAttacks                                on train  control baseline  verdict\n", file);
    for (size_t i = 0; i < json_array_size(attacks); i++) {
        const json_t *attack = json_array_get(attacks, i);
        const char *secret = sotto_record_text(attack, "secret");
        char *name = NULL;
        /* The column first: of the attack's name not all may have room. */
        if (asprintf(&name, "%s%s%s", secret, *secret ? ": " : "", sotto_record_text(attack, "name")) < 0)
            return;
        (void)fputs("  ", file);
        set_cell(file, name, 36);
        free(name);
        set_number(file, sotto_record_get(attack, "train.rate"), SOTTO_SHOW_PERCENT, 9);
        set_number(file, sotto_record_get(attack, "control.rate"), SOTTO_SHOW_PERCENT, 9);
        set_number(file, sotto_record_get(attack, "baseline.rate"), SOTTO_SHOW_PERCENT, 9);
        (void)fputs("  ", file);
        set_cell(file, sotto_record_text(attack, "verdict"), 13);
        (void)fputc('\n', file);
    }
}

static void set_skipped(FILE *file, const json_t *root)
{
    static const char *const parts[][2] = {
        {"fidelity", "Not compared"}, {"utility", "No models"}, {"attacks", "No attacks"}};
    for (size_t i = 0; i < 3; i++) {
        const char *why = sotto_record_skipped(json_object_get(root, parts[i][0]));
        if (why)
            sotto_text_pair(file, 2, 28, parts[i][1], *why ? why : "not in the record");
    }
}

static void set_evaluation(FILE *file, const json_t *root)
{
    static const struct {
        sotto_advice kind;
        const char *title;
    } lists[] = {{SOTTO_ADVICE_GOOD, "What is good"},
                 {SOTTO_ADVICE_SHORT, "What fell short"},
                 {SOTTO_ADVICE_NEXT, "What to do next"}};
    set_head(file, root, "Evaluation of a synthetic table");
    (void)fputc('\n', file);
    set_figure(file, "Rows, train", sotto_record_get(root, "rows.train"), SOTTO_SHOW_COUNT);
    set_figure(file, "Rows, test", sotto_record_get(root, "rows.test"), SOTTO_SHOW_COUNT);
    set_figure(file, "Rows, synthetic", sotto_record_get(root, "rows.synthetic"), SOTTO_SHOW_COUNT);
    set_figure(file, "Single columns, alike", sotto_record_get(root, "fidelity.column_shapes"),
               SOTTO_SHOW_PERCENT);
    set_figure(file, "Pairs of columns, alike", sotto_record_get(root, "fidelity.pair_trends"),
               SOTTO_SHOW_PERCENT);
    set_skipped(file, root);
    for (size_t i = 0; i < 3; i++) {
        listing list = {file, lists[i].kind, lists[i].title};
        sotto_advice_give(root, list_one, &list);
    }
    set_columns(file, sotto_record_get(root, "fidelity.columns"));
    set_utility(file, json_object_get(root, "utility"));
    set_attacks(file, json_object_get(root, "attacks"));
}

/* ------------------------------------------------------------------- sweep */

static void set_groups(FILE *file, const json_t *root)
{
    const json_t *groups = json_object_get(root, "groups"), *metrics = json_object_get(root, "metrics");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        char *settings = sotto_sweep_settings(json_object_get(group, "settings"), true);
        (void)fputc('\n', file);
        sotto_text_paragraph(file, 2, settings && *settings ? settings : "as the config says");
        free(settings);
        set_figure(file, "  ε, each run", json_object_get(group, "epsilon"), SOTTO_SHOW_EPSILON);
        for (size_t k = 0; k < json_array_size(metrics); k++) {
            const json_t *metric = json_array_get(metrics, k);
            const json_t *figure =
                json_object_get(json_object_get(group, "figures"), sotto_record_text(metric, "key"));
            char mean[SOTTO_FIGURE_SIZE], low[SOTTO_FIGURE_SIZE], high[SOTTO_FIGURE_SIZE],
                value[4 * SOTTO_FIGURE_SIZE];
            const bool interval = json_is_number(json_object_get(figure, "low"));
            (void)snprintf(value, sizeof value, interval ? "%s (%s to %s)" : "%s",
                           sotto_figure_show(json_object_get(figure, "mean"), SOTTO_SHOW_SCORE, mean),
                           sotto_figure_show(json_object_get(figure, "low"), SOTTO_SHOW_SCORE, low),
                           sotto_figure_show(json_object_get(figure, "high"), SOTTO_SHOW_SCORE, high));
            (void)fputs("    ", file);
            set_cell(file, sotto_record_text(metric, "label"), 40);
            (void)fprintf(file, "  %s\n", value);
        }
    }
}

/* The run that was chosen by noisy figures alone, if one was asked for. */
static void set_selected(FILE *file, const json_t *selected)
{
    const char *skipped = sotto_record_skipped(selected);
    if (!selected || json_is_null(selected))
        return;
    if (skipped) {
        sotto_text_pair(file, 2, 28, "Selected", skipped);
        return;
    }
    char *settings = sotto_sweep_settings(json_object_get(selected, "settings"), true);
    sotto_text_pair(file, 2, 28, "Selected by noisy figure", settings && *settings ? settings : "a repeat");
    sotto_text_pair(file, 2, 28, "which is run", sotto_record_text(selected, "id"));
    sotto_text_pair(file, 2, 28, "by", sotto_record_text(selected, "by"));
    set_figure(file, "with", json_object_get(selected, "score"), SOTTO_SHOW_SCORE);
    set_figure(file, "ε of it, choice included", json_object_get(selected, "epsilon"), SOTTO_SHOW_EPSILON);
    sotto_text_pair(file, 2, 28, "may leave the building", sotto_record_text(selected, "release"));
    free(settings);
}

static void set_sweep(FILE *file, const json_t *root)
{
    const json_t *best = json_object_get(root, "best"), *cells = json_object_get(root, "cells");
    size_t done = 0;
    char figure[SOTTO_FIGURE_SIZE];
    set_head(file, root, "Sweep");
    for (size_t i = 0; i < json_array_size(cells); i++)
        done += strcmp(sotto_record_text(json_array_get(cells, i), "status"), "done") == 0;
    (void)snprintf(figure, sizeof figure, "%zu of %zu", done, json_array_size(cells));
    (void)fputc('\n', file);
    sotto_text_pair(file, 2, 28, "Runs done", figure);
    set_figure(file, "ε of one run, the least", sotto_record_get(root, "privacy.each.least"),
               SOTTO_SHOW_EPSILON);
    set_figure(file, "ε of one run, the most", sotto_record_get(root, "privacy.each.most"),
               SOTTO_SHOW_EPSILON);
    set_figure(file, "ε of all runs together", sotto_record_get(root, "privacy.all"), SOTTO_SHOW_EPSILON);
    set_figure(file, "ε of the best of randomly many",
               sotto_record_get(root, "privacy.best_of_random.epsilon"), SOTTO_SHOW_EPSILON);
    set_figure(file, "Wall time", json_object_get(root, "seconds"), SOTTO_SHOW_SECONDS);
    if (!sotto_record_skipped(best)) {
        char *settings = sotto_sweep_settings(json_object_get(best, "settings"), true);
        sotto_text_pair(file, 2, 28, "Best setting", settings && *settings ? settings : "as the config says");
        sotto_text_pair(file, 2, 28, "by", sotto_record_text(best, "metric"));
        set_figure(file, "with", json_object_get(best, "value"), SOTTO_SHOW_SCORE);
        free(settings);
    }
    set_selected(file, json_object_get(root, "selected"));
    (void)fputc('\n', file);
    sotto_text_paragraph(file, 2, sotto_record_text(root, "privacy.statement"));
    set_groups(file, root);
}

/* ------------------------------------------------------------------- both */

static sotto_status write_text(json_t *root, void (*set)(FILE *file, const json_t *root), char **text,
                               sotto_error *err)
{
    size_t size;
    FILE *file = sotto_memory_open(text, &size);
    bool sound = file != NULL;
    if (sound) {
        set(file, root);
        sound = !ferror(file);
        sound = fclose(file) == 0 && sound;
    }
    json_decref(root);
    if (sound)
        return SOTTO_OK;
    free(*text);
    *text = NULL;
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory writing the report");
}

sotto_status sotto_report_evaluation_text(const char *evaluation_json, char **text, sotto_error *err)
{
    json_t *root;
    *text = NULL;
    sotto_status status = sotto_evaluation_parse(&root, "evaluation.json", evaluation_json, err);
    return status == SOTTO_OK ? write_text(root, set_evaluation, text, err) : status;
}

sotto_status sotto_report_sweep_text(const char *sweep_json, char **text, sotto_error *err)
{
    json_t *root;
    *text = NULL;
    sotto_status status = sotto_sweep_parse(&root, "sweep.json", sweep_json, err);
    return status == SOTTO_OK ? write_text(root, set_sweep, text, err) : status;
}
