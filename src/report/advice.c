/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* Sentences by rule. The thresholds are ours, coarse, and not scores of anything. */
#define ALIKE        0.95 /* a column or a mean of columns that looks right */
#define UNLIKE       0.90 /* a column worth a word */
#define BELOW_TEST   0.05 /* so far below what other real rows reach */
#define DEPENDENT    0.10 /* normalised mutual information of columns that have to do with each other */
#define KEPT_WELL    0.90 /* of the way from guessing to the model trained on the real table */
#define KEPT_BADLY   0.50
#define OUT_OF_RANGE 0.98
#define UNCOVERED    0.80
#define UNFAIR       0.05 /* more difference between groups than by the real table */

typedef struct adviser {
    const json_t *root;
    void (*tell)(void *to, sotto_advice kind, const char *sentence);
    void *to;
} adviser;

static void say(const adviser *by, sotto_advice kind, const char *format, ...) SOTTO_PRINTF(3, 4);

static void say(const adviser *by, sotto_advice kind, const char *format, ...)
{
    char *sentence = NULL;
    va_list values;
    va_start(values, format);
    if (vasprintf(&sentence, format, values) >= 0) {
        by->tell(by->to, kind, sentence);
        free(sentence);
    }
    va_end(values);
}

#define PERCENT(share) sotto_figure_percent(share, (char[SOTTO_FIGURE_SIZE]){0})

/* ---------------------------------------------------------------- fidelity */

/* The mean of a figure over columns that have it; NaN where none has. */
static double mean_of(const json_t *columns, const char *key)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const double value = sotto_record_number(json_array_get(columns, i), key);
        sum += isfinite(value) ? value : 0;
        count += isfinite(value);
    }
    return count ? sum / (double)count : (double)NAN;
}

/* The least figure, its column, and how many lie below `bound`. */
static double worst_of(const json_t *columns, const char *key, double bound, const char **name, size_t *below)
{
    double least = HUGE_VAL;
    *below = 0;
    *name = "";
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const double value = sotto_record_number(column, key);
        *below += value < bound;
        if (value < least) {
            least = value;
            *name = sotto_record_text(column, "name");
        }
    }
    return least;
}

static void advise_shapes(const adviser *by, const json_t *fidelity)
{
    const json_t *columns = json_object_get(fidelity, "columns");
    const double alike = sotto_record_number(fidelity, "column_shapes"),
                 control = mean_of(columns, "control");
    const char *name;
    size_t below;
    const double least = worst_of(columns, "similarity", UNLIKE, &name, &below);
    if (isfinite(control) && alike >= control - BELOW_TEST / 2)
        say(by, SOTTO_ADVICE_GOOD,
            "Single columns are %s alike on average, about as much as other real rows (%s).", PERCENT(alike),
            PERCENT(control));
    else if (alike >= ALIKE)
        say(by, SOTTO_ADVICE_GOOD, "Single columns are %s alike on average.", PERCENT(alike));
    else if (isfinite(alike))
        say(by, SOTTO_ADVICE_SHORT, "Single columns are %s alike on average%s%s%s.", PERCENT(alike),
            isfinite(control) ? "; other real rows reach " : "", isfinite(control) ? PERCENT(control) : "",
            "");
    if (below) {
        say(by, SOTTO_ADVICE_SHORT, "%zu of %zu columns %s less than %s alike; the worst is %s (%s).", below,
            json_array_size(columns), below == 1 ? "is" : "are", PERCENT(UNLIKE), name, PERCENT(least));
        say(by, SOTTO_ADVICE_NEXT,
            "Look at %s first. Bounds in the schema that are much wider than the values, or many rare categories, spend "
            "budget on cells that are nearly empty: declare tighter bounds or fewer categories from public knowledge, "
            "never from this table.",
            name);
    }
}

static void advise_support(const adviser *by, const json_t *fidelity)
{
    const json_t *columns = json_object_get(fidelity, "columns");
    const char *name;
    size_t below;
    double least = worst_of(columns, "coverage", UNCOVERED, &name, &below);
    if (below) {
        say(by, SOTTO_ADVICE_SHORT,
            "%zu column%s cover%s less than %s of the real range or categories; %s covers %s.", below,
            below == 1 ? "" : "s", below == 1 ? "s" : "", PERCENT(UNCOVERED), name, PERCENT(least));
        say(by, SOTTO_ADVICE_NEXT,
            "Rare values are what noise hides first, and rightly so. Where they matter, group rare categories in the "
            "schema or give more budget to the counts.");
    }
    least = worst_of(columns, "adherence", OUT_OF_RANGE, &name, &below);
    if (below)
        say(by, SOTTO_ADVICE_SHORT,
            "Only %s of the values of %s lie in the real range or among the real categories.", PERCENT(least),
            name);
}

static const char *text_of(const json_t *list, size_t i)
{
    const char *text = json_string_value(json_array_get(list, i));
    return text ? text : "";
}

/*
 * A mean over all pairs flatters: most columns have little to do with each other, and columns that are drawn
 * independently get those right. So look at the pairs that depend on each other in the real table.
 */
static void advise_dependence(const adviser *by, const json_t *fidelity)
{
    const json_t *names = sotto_record_get(fidelity, "mutual_information.columns");
    const json_t *real = sotto_record_get(fidelity, "mutual_information.real");
    const json_t *synthetic = sotto_record_get(fidelity, "mutual_information.synthetic");
    const size_t count = json_array_size(names);
    size_t depend = 0, lost = 0, first = 0, second = 0;
    double strongest = 0;
    if (!sotto_record_fits(real, count, count) || !sotto_record_fits(synthetic, count, count))
        return;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            const double is = json_number_value(json_array_get(json_array_get(real, i), j));
            const double kept = json_number_value(json_array_get(json_array_get(synthetic, i), j));
            if (is < DEPENDENT)
                continue;
            depend++;
            lost += kept < is / 2;
            if (kept < is / 2 && is > strongest) {
                strongest = is;
                first = i;
                second = j;
            }
        }
    }
    if (depend > 0 && lost == 0)
        say(by, SOTTO_ADVICE_GOOD, "All %zu pairs of columns that clearly depend on each other still do.",
            depend);
    if (lost > 0)
        say(by, SOTTO_ADVICE_SHORT,
            "%zu of the %zu pairs of columns that clearly depend on each other have lost most of it; the strongest of "
            "them is %s and %s.",
            lost, depend, text_of(names, first), text_of(names, second));
}

static void advise_pairs(const adviser *by, const json_t *fidelity)
{
    const double alike = sotto_record_number(fidelity, "pair_trends");
    const double shapes = sotto_record_number(fidelity, "column_shapes");
    const double other = sotto_record_number(fidelity, "control.pair_trends");
    const bool well = alike >= UNLIKE && !(alike < other - BELOW_TEST / 2);
    if (well)
        say(by, SOTTO_ADVICE_GOOD, "Pairs of columns go together as in the real table, %s alike on average.",
            PERCENT(alike));
    else if (isfinite(alike))
        say(by, SOTTO_ADVICE_SHORT,
            "Relations between columns are kept in part: pairs are %s alike on average%s%s.", PERCENT(alike),
            isfinite(other) ? "; other real rows reach " : "", isfinite(other) ? PERCENT(other) : "");
    if (!well && isfinite(alike) && shapes >= UNLIKE)
        say(by, SOTTO_ADVICE_NEXT,
            "Columns are right and their relations less so: train for more steps, spend more ε on the model than on "
            "the counts, try another model, or leave out columns that nobody needs.");
    advise_dependence(by, fidelity);
    const json_t *ways = json_object_get(fidelity, "ways");
    const json_t *most = json_array_get(ways, json_array_size(ways) ? json_array_size(ways) - 1 : 0);
    const double distance = sotto_record_number(most, "mean_tvd"),
                 control = sotto_record_number(most, "control_mean_tvd");
    if (isfinite(control) && distance > 2 * control && distance - control > BELOW_TEST)
        say(by, SOTTO_ADVICE_SHORT,
            "Tables of %.0f columns are %s apart on average; other real rows are %s apart.",
            sotto_record_number(most, "k"), PERCENT(distance), PERCENT(control));
}

static void advise_fidelity(const adviser *by)
{
    const json_t *fidelity = json_object_get(by->root, "fidelity");
    if (sotto_record_skipped(fidelity))
        return;
    advise_shapes(by, fidelity);
    advise_support(by, fidelity);
    advise_pairs(by, fidelity);
    const double shapes = sotto_record_number(fidelity, "column_shapes");
    const double control = mean_of(json_object_get(fidelity, "columns"), "control");
    if (shapes < UNLIKE || shapes < control - 2 * BELOW_TEST)
        say(by, SOTTO_ADVICE_NEXT,
            "The whole table falls short of what other real rows reach. A larger ε, more rows or another model are the "
            "three ways up; sotto plan says what a budget buys before any of it is spent.");
}

/* ----------------------------------------------------------------- utility */

static void advise_score(const adviser *by, const json_t *utility, const char *model)
{
    const bool classes = strcmp(sotto_utility_measure(utility), "auc") == 0;
    const char *measure = classes ? "AUC" : "R²";
    const double real = sotto_utility_score(utility, model, "real");
    const double synthetic = sotto_utility_score(utility, model, "synthetic"), floor = classes ? 0.5 : 0;
    const double control = fmax(sotto_utility_score(utility, model, "independent"),
                                sotto_utility_score(utility, model, "permuted")); /* fmax skips NaN */
    const double kept = (synthetic - floor) / (real - floor);
    if (!isfinite(synthetic) || !isfinite(real))
        return;
    if (real <= floor) {
        say(by, SOTTO_ADVICE_SHORT,
            "Even trained on the real table, %s does no better than guessing (%s %.3f): the target cannot be predicted "
            "from the other columns, and says nothing about the synthetic table.",
            model, measure, real);
        return;
    }
    const bool at_control = isfinite(control) && synthetic <= control + 0.01;
    say(by, kept >= KEPT_WELL && !at_control ? SOTTO_ADVICE_GOOD : SOTTO_ADVICE_SHORT,
        "Trained on the synthetic table, %s reaches %s %.3f on real people, trained on the real one %.3f%s.",
        model, measure, synthetic, real,
        at_control ? ", no better than where the target has nothing to do with the rest" : "");
    if (at_control || kept < KEPT_BADLY)
        say(by, SOTTO_ADVICE_NEXT,
            "What other columns say about the target is largely lost. Give more ε, keep fewer columns, or train for "
            "longer; judge by this figure and not by single columns, which look right even where all relations are "
            "gone.");
}

static void advise_groups(const adviser *by, const json_t *utility, const char *model)
{
    static const char key[] = "demographic_parity_difference";
    const json_t *results = sotto_record_get(utility, "groups.results");
    double differences[2] = {(double)NAN, (double)NAN};
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        const bool synthetic = strcmp(sotto_record_text(result, "trained_on"), "synthetic") == 0;
        if (strcmp(sotto_record_text(result, "model"), model) == 0)
            differences[synthetic] = sotto_record_number(result, key);
    }
    if (differences[1] > differences[0] + UNFAIR)
        say(by, SOTTO_ADVICE_SHORT,
            "The groups of %s are treated less alike: by %s trained on the synthetic table the difference in being "
            "predicted positive is %.3f, on the real one %.3f.",
            sotto_record_text(utility, "groups.column"), model, differences[1], differences[0]);
    if (differences[1] > differences[0] + UNFAIR)
        say(by, SOTTO_ADVICE_NEXT,
            "Small groups suffer most from noise. Do not use models trained on this table for decisions about people "
            "before the groups' own figures are in order.");
}

static void advise_utility(const adviser *by)
{
    const json_t *utility = json_object_get(by->root, "utility");
    const char *skipped = sotto_record_skipped(utility),
               *model = skipped ? NULL : sotto_utility_best(utility);
    if (skipped)
        say(by, SOTTO_ADVICE_NEXT,
            "No model was trained on the table. Name a test table and a target (--test, "
            "--target): single columns alone say little.");
    if (!model)
        return;
    advise_score(by, utility, model);
    advise_groups(by, utility, model);
}

/* ----------------------------------------------------------------- attacks */

static const char leak_advice[] =
    "A verdict “leak” means that the table tells more about the people it was made from than about others, beyond "
    "chance. Do not release it before you know why: is ε large, has a person several rows, was the schema written by "
    "looking at this table, or was the table made from more than what is called the train table here?";

static void advise_attacks(const adviser *by)
{
    const json_t *part = json_object_get(by->root, "attacks"), *attacks = json_object_get(part, "attacks");
    size_t leaks = 0, silent = 0, count = json_array_size(attacks);
    if (sotto_record_skipped(part)) {
        say(by, SOTTO_ADVICE_NEXT, "No attack was tried; nothing here speaks about single people.");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *attack = json_array_get(attacks, i);
        const char *verdict = sotto_record_text(attack, "verdict"),
                   *secret = sotto_record_text(attack, "secret");
        silent += strcmp(verdict, "inconclusive") == 0;
        if (strcmp(verdict, "leak") != 0)
            continue;
        leaks++;
        say(by, SOTTO_ADVICE_SHORT,
            "Leak: %s%s%s succeeds on %s of attempts on people in the train table, on %s of "
            "attempts on others.",
            sotto_record_text(attack, "name"), *secret ? ", " : "", secret,
            PERCENT(sotto_record_number(attack, "train.rate")),
            PERCENT(sotto_record_number(attack, "control.rate")));
    }
    static const char *const others[][2] = {{"distance", "distances to the closest row"},
                                            {"membership", "membership"}};
    for (size_t i = 0; i < 2; i++) {
        const json_t *other = json_object_get(part, others[i][0]);
        if (strcmp(sotto_record_text(other, "verdict"), "leak") != 0)
            continue;
        leaks++;
        say(by, SOTTO_ADVICE_SHORT, "Leak: %s tell people in the train table from others.", others[i][1]);
    }
    if (!leaks && count > silent)
        say(by, SOTTO_ADVICE_GOOD,
            "None of %zu attacks that beat their baseline learned more about people in the train "
            "table than about others; a better attack may.",
            count - silent);
    if (silent)
        say(by, SOTTO_ADVICE_SHORT,
            "%zu of %zu attacks are inconclusive: they do not beat guessing and say nothing "
            "either way.",
            silent, count);
    if (leaks)
        say(by, SOTTO_ADVICE_NEXT, "%s", leak_advice);
}

void sotto_advice_give(const json_t *evaluation,
                       void (*tell)(void *to, sotto_advice kind, const char *sentence), void *to)
{
    const adviser by = {evaluation, tell, to};
    advise_fidelity(&by);
    advise_utility(&by);
    advise_attacks(&by);
    if (!json_is_number(sotto_record_get(evaluation, "rows.test")))
        say(&by, SOTTO_ADVICE_NEXT,
            "There is no test table: without people whom the model has never seen, attacks cannot tell what was "
            "remembered from what holds for everybody. Hold some rows back and give them with --test.");
    if (json_is_string(json_object_get(evaluation, "not_private")))
        say(&by, SOTTO_ADVICE_NEXT,
            "What was evaluated is not private: nothing here speaks for a private run.");
}
