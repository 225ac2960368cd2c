/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* ----------------------------------------------------------------- summary */

static void put_utility_card(FILE *file, const json_t *utility)
{
    const char *model = sotto_record_skipped(utility) ? NULL : sotto_utility_best(utility);
    char figure[SOTTO_FIGURE_SIZE], words[160];
    if (!model)
        return;
    const bool classes = strcmp(sotto_utility_measure(utility), "auc") == 0;
    const double synthetic = sotto_utility_score(utility, model, "synthetic");
    if (!isfinite(synthetic))
        return;
    (void)snprintf(figure, sizeof figure, "%.3f", synthetic);
    (void)snprintf(words, sizeof words, "%s of %.60s; trained on real %.3f", classes ? "AUC" : "R²", model,
                   sotto_utility_score(utility, model, "real"));
    sotto_page_card(file, figure, words, false);
}

static size_t count_verdicts(const json_t *part, const char *verdict)
{
    const json_t *attacks = json_object_get(part, "attacks");
    size_t count = strcmp(sotto_record_text(part, "distance.verdict"), verdict) == 0;
    count += strcmp(sotto_record_text(part, "membership.verdict"), verdict) == 0;
    for (size_t i = 0; i < json_array_size(attacks); i++)
        count += strcmp(sotto_record_text(json_array_get(attacks, i), "verdict"), verdict) == 0;
    return count;
}

static void put_attack_card(FILE *file, const json_t *part)
{
    char figure[SOTTO_FIGURE_SIZE], words[160];
    if (sotto_record_skipped(part))
        return;
    const size_t leaks = count_verdicts(part, "leak"), silent = count_verdicts(part, "inconclusive");
    const size_t all = leaks + silent + count_verdicts(part, "no excess");
    (void)snprintf(figure, sizeof figure, leaks == 1 ? "%zu leak" : "%zu leaks", leaks);
    (void)snprintf(words, sizeof words, "found by %zu attacks, %zu of them inconclusive", all, silent);
    sotto_page_card(file, figure, words, leaks > 0);
}

static void put_cards(FILE *file, const json_t *root, const sotto_statement *statement)
{
    static const char *const keys[][2] = {{"column_shapes", "alike, single columns"},
                                          {"pair_trends", "alike, pairs of columns"}};
    const json_t *fidelity = json_object_get(root, "fidelity");
    char figure[SOTTO_FIGURE_SIZE], epsilon[SOTTO_FIGURE_SIZE], words[120];
    (void)fputs("<div class=\"cards\">\n", file);
    for (size_t i = 0; i < 2; i++) {
        const double value = sotto_record_number(fidelity, keys[i][0]);
        if (isfinite(value))
            sotto_page_card(file, sotto_figure_percent(value, figure), keys[i][1], false);
    }
    put_utility_card(file, json_object_get(root, "utility"));
    put_attack_card(file, json_object_get(root, "attacks"));
    if (statement && !statement->not_private) {
        sotto_figure_up(statement->epsilon, 4, epsilon);
        (void)snprintf(figure, sizeof figure, "ε = %.30s", epsilon);
        sotto_figure_exact(statement->delta, epsilon);
        (void)snprintf(words, sizeof words, "spent, at δ = %s", epsilon);
        sotto_page_card(file, figure, words, false);
    }
    (void)fputs("</div>\n", file);
}

typedef struct listing {
    FILE *file;
    sotto_advice kind;
    size_t count;
} listing;

static void list_one(void *to, sotto_advice kind, const char *sentence)
{
    listing *list = to;
    if (kind != list->kind)
        return;
    sotto_page_element(list->file, "li", sentence);
    list->count++;
}

static void put_advice(FILE *file, const json_t *root, sotto_advice kind, const char *title, const char *none)
{
    listing list = {file, kind, 0};
    (void)fprintf(file, "<div>\n<h3>%s</h3>\n<ul>\n", title);
    sotto_advice_give(root, list_one, &list);
    if (!list.count)
        sotto_page_element(file, "li", none);
    (void)fputs("</ul>\n</div>\n", file);
}

static void put_summary(FILE *file, const json_t *root, const sotto_statement *statement)
{
    sotto_page_section(file, "summary", "In short", NULL);
    put_cards(file, root, statement);
    (void)fputs("<div class=\"grid two\">\n", file);
    put_advice(file, root, SOTTO_ADVICE_GOOD, "What is good", "Nothing stands out.");
    put_advice(file, root, SOTTO_ADVICE_SHORT, "What fell short", "Nothing by these measures.");
    (void)fputs("</div>\n", file);
    sotto_page_section_end(file);
    sotto_page_section(file, "next", "What to do next", NULL);
    (void)fputs("<ul class=\"next\">\n", file);
    listing list = {file, SOTTO_ADVICE_NEXT, 0};
    sotto_advice_give(root, list_one, &list);
    if (!list.count)
        sotto_page_element(file, "li", "Nothing follows from these figures by rule.");
    (void)fputs(
        "</ul>\n<p class=\"note\">Each choice that is made by looking at this page uses the real table once more: "
        "where several runs are compared, let sotto sweep account for the choice.</p>\n",
        file);
    sotto_page_section_end(file);
}

/* ----------------------------------------------------------------- privacy */

static const sotto_rule metrics_rules[] = {
    {"format", SOTTO_VALUE_TEXT, false},
    {"epsilon_by_step?[][]", SOTTO_VALUE_POSITIVE, false},
    {"steps?[].step", SOTTO_VALUE_COUNT, false},
    {"steps?[].loss_real", SOTTO_VALUE_NUMBER, true},
    {"steps?[].loss_fake", SOTTO_VALUE_NUMBER, true},
    {"steps?[].loss_generator", SOTTO_VALUE_NUMBER, true},
    {"health?[].step", SOTTO_VALUE_COUNT, false},
    {"health?[].parameters", SOTTO_VALUE_POSITIVE, true},
    {"health?[].entropy", SOTTO_VALUE_POSITIVE, true},
    {"health?[].wanted_entropy", SOTTO_VALUE_POSITIVE, true},
    {"health?[].distance", SOTTO_VALUE_SHARE, true},
    {"health?[].distinct", SOTTO_VALUE_SHARE, true},
};

enum { STEPS_DRAWN = 400 };

/* Step and ε of entry `i`; not finite where the entry is no pair. */
static sotto_point spent_at(const json_t *list, size_t i)
{
    const json_t *entry = json_array_get(list, i);
    const bool pair = json_array_size(entry) == 2;
    return (sotto_point){pair ? json_number_value(json_array_get(entry, 0)) : (double)NAN,
                         pair ? json_number_value(json_array_get(entry, 1)) : (double)NAN, (double)NAN,
                         (double)NAN};
}

static void put_spending_table(FILE *file, const json_t *list)
{
    enum { ROWS = 12 };
    const size_t count = json_array_size(list), shown = count < ROWS ? count : ROWS;
    (void)fputs(
        "<details><summary>Figures</summary><table class=\"narrow figures\"><thead><tr><th scope=\"col\" "
        "class=\"number\">Steps</th><th scope=\"col\" class=\"number\">ε, spent</th></tr></thead><tbody>\n",
        file);
    for (size_t i = 0; i < shown; i++) {
        const sotto_point at = spent_at(list, shown > 1 ? i * (count - 1) / (shown - 1) : 0);
        char step[SOTTO_FIGURE_SIZE], epsilon[SOTTO_FIGURE_SIZE];
        if (!isfinite(at.x))
            continue;
        sotto_figure_count((uint64_t)fmin(at.x, 1e15), step);
        sotto_figure_up(at.y, 4, epsilon);
        (void)fprintf(file, "<tr><td class=\"number\">%s</td><td class=\"number\">%s</td></tr>\n", step,
                      epsilon);
    }
    (void)fputs("</tbody></table></details>\n", file);
}

static void put_spending(sotto_page *page, const json_t *list, const sotto_statement *statement)
{
    const size_t count = json_array_size(list), drawn = count < STEPS_DRAWN ? count : STEPS_DRAWN;
    sotto_point points[STEPS_DRAWN] = {{0}}, budget[2];
    for (size_t i = 0; i < drawn; i++)
        points[i] = spent_at(list, drawn > 1 ? i * (count - 1) / (drawn - 1) : 0);
    const double end = drawn ? points[drawn - 1].x : 0,
                 target = statement ? statement->target_epsilon : (double)NAN;
    budget[0] = (sotto_point){0, target, (double)NAN, (double)NAN};
    budget[1] = (sotto_point){end, target, (double)NAN, (double)NAN};
    const sotto_series series[] = {{SOTTO_ROLE_ALARM, SOTTO_DRAW_LINE | SOTTO_DRAW_DASHED, budget, 2},
                                   {SOTTO_ROLE_SYNTHETIC, SOTTO_DRAW_LINE, points, drawn}};
    const sotto_legend legend[] = {{SOTTO_ROLE_SYNTHETIC, "ε spent", false},
                                   {SOTTO_ROLE_ALARM, "the budget", true}};
    const double most = fmax(drawn ? points[drawn - 1].y : 0, isfinite(target) ? target : 0);
    const sotto_chart chart = {
        .title = "ε against steps",
        .words = "A rising line, ε spent after each step, below the dashed line of the budget. The "
                 "table below it gives some of its points.",
        .x_label = "steps",
        .width = 420,
        .height = 270,
        .x_low = 0,
        .x_high = end,
        .y_low = 0,
        .y_high = most > 0 && most < 1e15 ? 1.1 * most : 0,
        .series = series,
        .series_count = 2};
    (void)fputs("<div>\n<h3>ε against steps</h3>\n", page->file);
    if (sotto_picture_lines(page, &chart))
        sotto_page_figure_end(page, "", legend, statement ? 2 : 1);
    put_spending_table(page->file, list);
    (void)fputs("</div>\n", page->file);
}

static void put_privacy(sotto_page *page, const json_t *metrics, const sotto_statement *statement)
{
    const json_t *spent = json_object_get(metrics, "epsilon_by_step");
    sotto_page_section(page->file, "privacy", "What was spent", NULL);
    if (statement && statement->not_private)
        sotto_page_element(page->file, "p", "The run was not private: no figure of privacy holds for it.");
    else if (!statement && !spent)
        sotto_page_element(page->file, "p",
                           "No run's records lie beside this evaluation, so nothing is known of ε. An "
                           "evaluation says nothing about a guarantee.");
    else {
        if (statement)
            sotto_page_element(page->file, "p class=\"sentence\"", statement->sentence);
        (void)fputs("<div class=\"grid two\">\n", page->file);
        if (json_array_size(spent))
            put_spending(page, spent, statement);
        if (statement) {
            (void)fputs("<div>\n<h3>What an attacker must get wrong</h3>\n", page->file);
            sotto_statement_attack_chart(statement, page->file);
            (void)fputs(
                "<p class=\"note\">Somebody who knows all of the table but whether one unit is in it must miss "
                "it at least this often. The privacy statement has the figures.</p>\n</div>\n",
                page->file);
        }
        (void)fputs("</div>\n", page->file);
    }
    sotto_page_section_end(page->file);
}

/* -------------------------------------------------------------------- page */

static void put_origin(sotto_page *page, bool training)
{
    char figure[SOTTO_FIGURE_SIZE];
    static const char *const keys[][2] = {
        {"rows.train", "train"}, {"rows.test", "test"}, {"rows.synthetic", "synthetic"}};
    (void)fputs(". Rows: ", page->file);
    for (size_t i = 0; i < 3; i++)
        (void)fprintf(page->file, "%s%s %s", i ? ", " : "", keys[i][1],
                      sotto_figure_show(sotto_record_get(page->root, keys[i][0]), SOTTO_SHOW_COUNT, figure));
    (void)fputs(".</p>\n", page->file);
    sotto_page_element(page->file, "p class=\"note\"", sotto_record_text(page->root, "notice"));
    (void)fprintf(
        page->file,
        "<nav aria-label=\"Contents\"><a href=\"#summary\">In short</a> <a href=\"#next\">Next</a> <a "
        "href=\"#privacy\">Privacy</a>%s <a href=\"#columns\">Columns</a> <a href=\"#pairs\">Pairs</a> <a "
        "href=\"#ways\">Several</a> <a href=\"#utility\">Models</a> <a href=\"#attacks\">Attacks</a> <a "
        "href=\"#times\">About</a></nav>\n</header>\n",
        training ? " <a href=\"#training\">Training</a>" : "");
    sotto_page_note(page);
}

static void put_times(sotto_page *page)
{
    static const sotto_page_column times[] = {
        {"Comparing tables took", "seconds.fidelity", SOTTO_SHOW_SECONDS},
        {"Training models took", "seconds.utility", SOTTO_SHOW_SECONDS},
        {"Attacks took", "seconds.attacks", SOTTO_SHOW_SECONDS},
        {"Made by", "made_by", SOTTO_SHOW_TEXT},
        {"Format", "format", SOTTO_SHOW_NAME}};
    sotto_page_section(page->file, "times", "About this page",
                       "Every figure here is one of evaluation.json, the record beside this page.");
    sotto_page_pairs(page->file, page->root, times, 5);
    sotto_page_section_end(page->file);
}

static sotto_status write_page(const json_t *root, const json_t *metrics, const sotto_statement *statement,
                               char **html, sotto_error *err)
{
    sotto_page page;
    sotto_status status = sotto_page_open(&page, root, "Evaluation of a synthetic table", err);
    if (status != SOTTO_OK)
        return status;
    put_origin(&page, sotto_page_has_training(metrics));
    put_summary(page.file, root, statement);
    put_privacy(&page, metrics, statement);
    sotto_page_training(&page, metrics);
    sotto_page_fidelity(&page);
    sotto_page_utility(&page);
    sotto_page_attacks(&page);
    put_times(&page);
    return sotto_page_close(&page, SOTTO_REPORT_EVALUATION_FORMAT, html, err);
}

sotto_status sotto_report_evaluation_html(const char *evaluation_json, const char *metrics_json,
                                          const char *privacy_json, char **html, sotto_error *err)
{
    json_t *root = NULL, *metrics = NULL;
    sotto_statement statement = {0};
    *html = NULL;
    sotto_status status = sotto_evaluation_parse(&root, "evaluation.json", evaluation_json, err);
    if (status == SOTTO_OK && metrics_json)
        status = sotto_record_parse(&metrics, "metrics.json", metrics_json, "sotto metrics 1", metrics_rules,
                                    sizeof metrics_rules / sizeof *metrics_rules, err);
    if (status == SOTTO_OK && privacy_json)
        status = sotto_statement_parse(&statement, "privacy.json", privacy_json, err);
    if (status == SOTTO_OK)
        status = write_page(root, metrics, privacy_json ? &statement : NULL, html, err);
    sotto_statement_release(&statement);
    json_decref(metrics);
    json_decref(root);
    return status;
}
