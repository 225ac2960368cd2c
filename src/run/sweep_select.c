/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Choosing a run of a sweep so that the choice is covered: by a figure that every run bought, and nothing
 * else. All runs, their figures included, are composed; given these, the choice is post-processing. What is
 * chosen is published in DIR/release/, with a statement of all runs' ε.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run/figures.h"
#include "run/sweep.h"

/* ------------------------------------------------------------------------- config */

sotto_status sotto_sweep_read_select(sotto_sweep *sweep, const sotto_node *node, sotto_error *err)
{
    static const char *const ways[] = {"best", "prediction", "likeness", NULL};
    const sotto_node *figures = sweep->config.figures;
    size_t choice;
    if (!node)
        return SOTTO_OK;
    sotto_status status = sotto_node_choice(node, "sweep.select", ways, &choice, err);
    if (status != SOTTO_OK)
        return status;
    const bool predict = sotto_node_get(figures, "predict") != NULL;
    if (!figures)
        return sotto_node_error(
            node, err,
            "sweep.select chooses by figures that every run buys with a part of its ε, and the config buys none; "
            "add `figures: {predict: COLUMN}`, or `figures: {}` to go by single columns alone");
    if (choice == 1 && !predict)
        return sotto_node_error(node, err,
                                "sweep.select is prediction, and `figures` has no `predict`; add `predict: "
                                "COLUMN` there, or select by likeness");
    for (size_t k = 0; k < sweep->key_count; k++) {
        const char *key = sweep->keys[k].key;
        if (strncmp(key, "figures", 7) == 0)
            return sotto_node_error(
                node, err, "sweep.select compares the runs' figures, so sweep.%s cannot vary; remove it",
                key);
        if (strcmp(key, "privacy.noise") == 0 || strcmp(key, "privacy.accountant") == 0)
            return sotto_node_error(
                node, err,
                "sweep.select publishes one statement for all runs, so sweep.%s cannot vary; name one of its "
                "values in `privacy`",
                key);
    }
    sweep->select = predict && choice != 2 ? SOTTO_SELECT_PREDICTION : SOTTO_SELECT_LIKENESS;
    return SOTTO_OK;
}

/* -------------------------------------------------------------------------- score */

static const char *score_name(const sotto_sweep *sweep)
{
    return sweep->select == SOTTO_SELECT_PREDICTION ? "prediction.balanced_accuracy" : "mean_total_variation";
}

/* "cells/ID/run/release/NAME" below the sweep's directory; caller frees. */
static char *released_path(const char *directory, size_t cell, const char *name)
{
    char id[SOTTO_SWEEP_ID_SIZE], inner[SOTTO_SWEEP_ID_SIZE + 64];
    sotto_sweep_id(cell, id);
    (void)snprintf(inner, sizeof inner, "cells/%s/run/release/%s", id, name);
    return sotto_path_join(directory, inner);
}

static json_t *released_json(const char *directory, size_t cell, const char *name)
{
    char *path = released_path(directory, cell, name);
    json_t *json = path ? sotto_json_read_file(path) : NULL;
    free(path);
    return json;
}

/* From what the run has released alone; NaN where it has no such figure. */
static double score_of(const sotto_sweep *sweep, const char *directory, size_t cell)
{
    json_t *figures = released_json(directory, cell, "figures.json");
    const json_t *value = sweep->select == SOTTO_SELECT_PREDICTION
                              ? json_object_get(json_object_get(figures, "prediction"), "balanced_accuracy")
                              : json_object_get(figures, "mean_total_variation");
    const double score = json_is_number(value) ? json_number_value(value) : (double)NAN;
    json_decref(figures);
    return score;
}

static bool is_better(const sotto_sweep *sweep, double score, double than)
{
    return isnan(than) || (sweep->select == SOTTO_SELECT_PREDICTION ? score > than : score < than);
}

/* The best run, the first of equals, among those whose releases are whole: a run that ended itself, or made
 * no rows, has no figure and ranks below any that has. NULL in `*why`, or why there is none. */
static size_t choose(const sotto_sweep_outcome *outcome, const char *directory, double *best,
                     const char **why)
{
    size_t chosen = 0;
    *best = (double)NAN;
    *why = NULL;
    for (size_t i = 0; i < outcome->sweep->cells; i++) {
        if (!sotto_sweep_cell_trained(directory, i)) {
            /* Whether a run fails may depend on rows, and no charge covers that. */
            *why =
                "not every run has ended with its release, and a choice among those that have could tell of "
                "rows; go on by --resume";
            return 0;
        }
        const double score = score_of(outcome->sweep, directory, i);
        if (!isnan(score) && is_better(outcome->sweep, score, *best)) {
            *best = score;
            chosen = i;
        }
    }
    if (isnan(*best))
        *why =
            "no run has a figure to be chosen by: all of them diverged, or made no rows; lower their learning "
            "rates, and begin anew";
    return chosen;
}

/* ---------------------------------------------------------------------- statement */

/* Runs may differ in what they did free of charge, and in what they leave uncovered: all of it holds. */
static void add_others(json_t *list, const json_t *more)
{
    size_t i, k;
    const json_t *one, *known;
    json_array_foreach(more, i, one)
    {
        bool new = true;
        json_array_foreach(list, k, known) new = new && !json_equal(one, known);
        if (new)
            (void)json_array_append(list, (json_t *)one);
    }
}

/* Every access of every run that was begun. An attempt that was interrupted is charged as if it had ended. */
static sotto_status all_accesses(const sotto_sweep_outcome *outcome, const char *directory, json_t *list,
                                 json_t *whole, sotto_error *err)
{
    static const char *const merged[] = {"uncharged_accesses", "preprocessing", "not_covered"};
    for (size_t i = 0; i < outcome->sweep->cells; i++) {
        char id[SOTTO_SWEEP_ID_SIZE];
        json_t *statement = released_json(directory, i, "privacy.json");
        const json_t *access, *accesses = json_object_get(statement, "accesses");
        sotto_sweep_id(i, id);
        if (json_array_size(accesses) == 0) {
            json_decref(statement);
            return sotto_error_set_at(err, SOTTO_ERROR_INPUT, directory, 0, 0,
                                      "the privacy statement of run %s cannot be read; nothing is selected",
                                      id);
        }
        /* One that ended itself lists the steps it took, and is charged with those that were planned. */
        const bool ended =
            json_is_string(json_object_get(json_object_get(statement, "training"), "diverged"));
        for (size_t attempt = 1; attempt <= outcome->begun[i]; attempt++) {
            size_t k;
            json_array_foreach(accesses, k, access)
            {
                json_t *one = json_copy((json_t *)access);
                const char *name = json_string_value(json_object_get(access, "name"));
                (void)json_object_set_new(
                    one, "name",
                    json_sprintf("run %s, attempt %zu%s: %s", id, attempt,
                                 ended ? ", which ended itself and is charged as planned" : "", name));
                (void)json_array_append_new(list, one);
            }
        }
        for (size_t k = 0; k < sizeof merged / sizeof *merged; k++)
            add_others(json_object_get(whole, merged[k]), json_object_get(statement, merged[k]));
        json_decref(statement);
    }
    return SOTTO_OK;
}

static size_t count_begun(const sotto_sweep_outcome *outcome)
{
    size_t begun = 0;
    for (size_t i = 0; i < outcome->sweep->cells; i++)
        begun += outcome->begun[i];
    return begun;
}

/* What tells of one run alone says so: the accesses list them all. */
static void name_chosen(json_t *section, const char *key)
{
    const char *text = json_string_value(json_object_get(section, key));
    if (text)
        (void)json_object_set_new(section, key, json_sprintf("in the chosen run: %s", text));
}

/* Choosing among these runs is covered now. */
static void cover_choice(json_t *not_covered)
{
    size_t i;
    const json_t *text;
    json_array_foreach(not_covered, i, text)
    {
        if (strcmp(json_string_value(text), sotto_statement_choices) == 0)
            (void)json_array_set_new(
                not_covered, i,
                json_string("choices made by looking at the data before the sweep: a schema "
                            "drafted from the table, or settings tuned on it"));
    }
}

/* The chosen run's statement, made one of all runs. */
static sotto_status state(const sotto_sweep_outcome *outcome, const char *directory,
                          const sotto_spending *all, const sotto_sweep_choice *made, json_t *statement,
                          sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    json_t *accesses = json_array(), *guarantee = json_object_get(statement, "guarantee");
    sotto_status status = all_accesses(outcome, directory, accesses, statement, err);
    if (status != SOTTO_OK) {
        json_decref(accesses);
        return status;
    }
    (void)json_object_set_new(statement, "accesses", accesses);
    (void)json_object_set_new(statement, "ledger",
                              sotto_statement_ledger(made->run, made->ledger, sweep->config.data_id));
    (void)json_object_set_new(guarantee, "target_epsilon",
                              json_real(sweep->budget_epsilon > 0 ? sweep->budget_epsilon : all->epsilon));
    (void)json_object_set_new(
        statement, "tuning",
        json_sprintf(
            "chosen among the %zu runs of a sweep over this table, of which %zu were begun in all, by %s, "
            "a noisy figure that each of them bought. Every run that was begun is charged in full, and "
            "epsilon is that of all of them together, so the choice is covered; how the sweep's own "
            "config came about is not",
            sweep->cells, count_begun(outcome), score_name(sweep)));
    cover_choice(json_object_get(statement, "not_covered"));
    (void)json_array_append_new(
        json_object_get(statement, "not_covered"),
        json_string(
            "how many attempts were begun, which the accesses tell: what made one end too early may depend "
            "on the machine, and on rows"));
    name_chosen(json_object_get(statement, "sampling"), "assumed");
    name_chosen(json_object_get(statement, "sampling"), "actual");
    name_chosen(json_object_get(statement, "training"), "model");
    name_chosen(json_object_get(statement, "training"), "stopped");
    name_chosen(json_object_get(statement, "noise"), "what");
    name_chosen(json_object_get(statement, "accounting"), "adaptivity");
    return sotto_statement_spend(statement, all, err);
}

/* ------------------------------------------------------------------------ release */

static sotto_status copy(const char *from, const char *to, sotto_error *err)
{
    char buffer[1 << 15];
    sotto_atomic_file *file = NULL;
    size_t count;
    FILE *source = fopen(from, "rbe");
    if (!source)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, from, 0, 0, "cannot open: %s", strerror(errno));
    sotto_status status = sotto_atomic_file_open(&file, to, 0644, err);
    while (status == SOTTO_OK && (count = fread(buffer, 1, sizeof buffer, source)) > 0)
        (void)fwrite(buffer, 1, count, sotto_atomic_file_stream(file));
    if (status == SOTTO_OK && ferror(source)) {
        sotto_atomic_file_abandon(file);
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, from, 0, 0, "cannot read: %s", strerror(errno));
    } else if (status == SOTTO_OK) {
        status = sotto_atomic_file_commit(file, err);
    }
    (void)fclose(source);
    return status;
}

/* The chosen model says in its file what it cost: now that is all runs. */
static sotto_status write_model(const char *from, const char *to, const sotto_spending *all, sotto_error *err)
{
    sotto_saved_model saved = {0};
    char *bytes = NULL;
    size_t length = 0;
    sotto_status status = sotto_model_load(&saved, from, 1, err);
    if (status == SOTTO_OK) {
        const sotto_model_facts facts = {all->epsilon, all->delta, saved.facts.not_private};
        status = sotto_model_save(saved.model, &facts, &bytes, &length, err);
    }
    if (status == SOTTO_OK)
        status = sotto_file_write(to, 0644, bytes, length, err);
    free(bytes);
    sotto_saved_model_destroy(&saved);
    return status;
}

/* One file of the release, and its hash into the statement. */
static sotto_status publish_file(const char *directory, size_t chosen, const char *folder, json_t *entry,
                                 const sotto_spending *all, sotto_error *err)
{
    char hex[65];
    const char *name = json_string_value(json_object_get(entry, "file"));
    char *from = name ? released_path(directory, chosen, name) : NULL;
    char *to = name ? sotto_path_join(folder, name) : NULL;
    sotto_status status = SOTTO_OK;
    if (!from || !to || strchr(name, '/'))
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    else
        status = strcmp(name, "model.sotto") == 0 ? write_model(from, to, all, err) : copy(from, to, err);
    if (status == SOTTO_OK)
        status = sotto_sha256_file(to, hex, err);
    if (status == SOTTO_OK)
        (void)json_object_set_new(entry, "sha256", json_string(hex));
    free(from);
    free(to);
    return status;
}

static sotto_status fill(const sotto_sweep_outcome *outcome, const char *directory, size_t chosen,
                         const char *folder, const sotto_spending *all, const sotto_sweep_choice *made,
                         json_t *released, sotto_error *err)
{
    size_t i;
    json_t *entry, *statement = released_json(directory, chosen, "privacy.json");
    sotto_status status = sotto_release_folder(folder, err);
    if (status == SOTTO_OK)
        status = state(outcome, directory, all, made, statement, err);
    json_array_foreach(json_object_get(statement, "released"), i, entry)
    {
        if (status == SOTTO_OK)
            status = publish_file(directory, chosen, folder, entry, all, err);
    }
    if (status == SOTTO_OK)
        status = sotto_statement_write(folder, json_incref(statement), err);
    if (status == SOTTO_OK)
        (void)json_array_extend(released, json_object_get(statement, "released"));
    json_decref(statement);
    return status;
}

/* What lies there says what all runs cost, and which was chosen: the same as now, or else runs were made
 * since. */
static bool is_current(const char *finished, const sotto_spending *all)
{
    char *path = sotto_path_join(finished, "privacy.json");
    json_t *statement = path ? sotto_json_read_file(path) : NULL;
    const json_t *epsilon = json_object_get(json_object_get(statement, "guarantee"), "epsilon");
    const bool same = json_is_number(epsilon) && json_number_value(epsilon) == all->epsilon;
    json_decref(statement);
    free(path);
    return same;
}

/* DIR/release, whole or not at all. Where it is there already it stays, as long as it is true. */
static sotto_status publish(const sotto_sweep_outcome *outcome, const char *directory, size_t chosen,
                            const sotto_spending *all, sotto_error *err)
{
    struct stat facts;
    sotto_sweep_choice made = {0};
    json_t *released = json_array();
    char *unfinished = sotto_path_join(directory, "release.unfinished");
    char *finished = sotto_path_join(directory, "release");
    sotto_status status = unfinished && finished
                              ? SOTTO_OK
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const bool there = status == SOTTO_OK && stat(finished, &facts) == 0;
    if (there && !is_current(finished, all))
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, finished, 0, 0,
            "another release lies there, and runs were begun since, so its statement is too "
            "small for a choice among them; move it away, and go on by --resume");
    if (status == SOTTO_OK && !there)
        status = sotto_sweep_enroll_choice(outcome->sweep, directory, all->epsilon, &made, err);
    if (status == SOTTO_OK && !there)
        status = fill(outcome, directory, chosen, unfinished, all, &made, released, err);
    if (status == SOTTO_OK && !there)
        status = sotto_release_publish(made.run, released, unfinished, finished, err);
    sotto_sweep_choice_destroy(&made);
    json_decref(released);
    free(unfinished);
    free(finished);
    return status;
}

/* -------------------------------------------------------------------------- whole */

/* What all that was begun cost together. `accountant` is the caller's to destroy. */
static sotto_status spent(const sotto_sweep_outcome *outcome, sotto_accountant **accountant,
                          sotto_spending *all, sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    size_t *runs = calloc(sweep->combinations, sizeof *runs);
    double draws;
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < sweep->cells; i++)
        runs[sotto_sweep_combination(sweep, i)] += outcome->begun[i];
    sotto_status status = sotto_sweep_compose(sweep, outcome->costs, runs, accountant, &draws, err);
    free(runs);
    *all = (sotto_spending){.kind = sweep->config.accountant, .delta = sweep->delta, .draws = draws};
    all->accountant = *accountant;
    return status == SOTTO_OK ? sotto_spending_find(all, err) : status;
}

sotto_status sotto_sweep_select(const sotto_sweep_outcome *outcome, const char *directory, json_t **selected,
                                sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    char id[SOTTO_SWEEP_ID_SIZE];
    const char *why;
    double score;
    sotto_accountant *accountant = NULL;
    sotto_spending all;
    const size_t chosen = choose(outcome, directory, &score, &why);
    if (why) {
        *selected = json_pack("{s:s}", "skipped", why);
        return SOTTO_OK;
    }
    sotto_status status = spent(outcome, &accountant, &all, err);
    if (status == SOTTO_OK && !isfinite(all.epsilon))
        status = sotto_error_set_at(
            err, SOTTO_ERROR_BUDGET, directory, 0, 0,
            "all runs together keep no epsilon at delta %g that could be stated, so nothing is "
            "selected; fewer runs or smaller epsilons would",
            sweep->delta);
    if (status == SOTTO_OK)
        status = publish(outcome, directory, chosen, &all, err);
    if (status == SOTTO_OK) {
        sotto_sweep_id(chosen, id);
        *selected = json_pack("{s:s, s:o, s:s, s:f, s:f, s:f, s:s}", "id", id, "settings",
                              sotto_sweep_chosen(sweep, sotto_sweep_combination(sweep, chosen)), "by",
                              score_name(sweep), "score", score, "epsilon", all.epsilon, "delta", all.delta,
                              "release", "release");
    }
    sotto_accountant_destroy(accountant);
    return status;
}
