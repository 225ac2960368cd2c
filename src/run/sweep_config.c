/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The section `sweep`: a grid over keys of the config, and what is asked of all its runs together. */
#include <stdlib.h>
#include <string.h>

#include "run/sweep.h"

enum { MOST_CELLS = 10000, MOST_REPEATS = 1000 };

static sotto_status out_of_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
}

/* ----------------------------------------------------------------------- reading */

/* Keys that are not of the grid, and keys that may not be: the grid is over one table. */
static bool is_own(const char *key)
{
    return strcmp(key, "repeats") == 0 || strcmp(key, "evaluate") == 0 || strcmp(key, "budget") == 0 ||
           strcmp(key, "best_of") == 0 || strcmp(key, "select") == 0;
}

static bool is_fixed(const char *key)
{
    return strncmp(key, "data.", 5) == 0 || strcmp(key, "output") == 0 || strncmp(key, "sweep", 5) == 0 ||
           strcmp(key, "data") == 0;
}

static sotto_status read_values(sotto_sweep *sweep, sotto_sweep_key *key, const sotto_node *list,
                                sotto_error *err)
{
    if (sotto_node_kind_of(list) != SOTTO_NODE_LIST || sotto_node_count(list) == 0)
        return sotto_node_error(list, err, "sweep.%s must list the values to try, like [0.3, 1, 3]",
                                key->key);
    key->count = sotto_node_count(list);
    key->values = sotto_arena_take(sweep->arena, key->count, sizeof *key->values, err);
    if (!key->values)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < key->count; i++) {
        const sotto_node *value = sotto_node_at(list, i);
        const char *text = sotto_node_text(value);
        if (!text || !*text)
            return sotto_node_error(
                value, err,
                "a value of sweep.%s is a list, a map or empty; the values to try must be "
                "numbers or words",
                key->key);
        for (size_t j = 0; j < i; j++)
            if (strcmp(key->values[j], text) == 0)
                return sotto_node_error(value, err,
                                        "sweep.%s lists \"%s\" twice; use `repeats` to run a "
                                        "combination again",
                                        key->key, text);
        key->values[i] = text;
    }
    return SOTTO_OK;
}

static sotto_status read_keys(sotto_sweep *sweep, const sotto_node *section, sotto_error *err)
{
    sweep->combinations = 1;
    sweep->keys = sotto_arena_take(sweep->arena, sotto_node_count(section), sizeof *sweep->keys, err);
    if (!sweep->keys)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < sotto_node_count(section); i++) {
        sotto_sweep_key *key = &sweep->keys[sweep->key_count];
        key->key = sotto_node_key(section, i);
        if (is_own(key->key))
            continue;
        if (strcmp(key->key, "privacy.unit") == 0)
            return sotto_node_error(sotto_node_key_at(section, i), err,
                                    "sweep.privacy.unit: what all runs cost together is told for one kind of "
                                    "unit; set privacy.unit for the whole sweep");
        if (is_fixed(key->key))
            return sotto_node_error(sotto_node_key_at(section, i), err,
                                    "sweep.%s: a sweep is over one table and one output; sweep over keys of "
                                    "privacy, model, training or sample",
                                    key->key);
        sotto_status status = read_values(sweep, key, sotto_node_at(section, i), err);
        if (status != SOTTO_OK)
            return status;
        sweep->combinations *= key->count;
        sweep->key_count++;
        if (sweep->combinations > MOST_CELLS)
            return sotto_node_error(section, err, "the grid has more than %d combinations", MOST_CELLS);
    }
    return SOTTO_OK;
}

static sotto_status read_evaluate(sotto_sweep *sweep, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"test", "target", "sensitive", "attacks", NULL};
    const struct {
        const char *key, *what;
        const char **value;
    } names[] = {{"target", "sweep.evaluate.target", &sweep->target},
                 {"sensitive", "sweep.evaluate.sensitive", &sweep->sensitive}};
    if (!section)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(section, "sweep.evaluate", known, err);
    const sotto_node *node = sotto_node_get(section, "test");
    if (status == SOTTO_OK && node) {
        char *path = NULL;
        status = sotto_config_path(&sweep->config, node, "sweep.evaluate.test", &path, err);
        if (status == SOTTO_OK)
            sweep->test = sotto_arena_copy(sweep->arena, path, strlen(path), err);
        free(path);
        if (status == SOTTO_OK && !sweep->test)
            status = SOTTO_ERROR_MEMORY;
    }
    for (size_t i = 0; i < 2 && status == SOTTO_OK; i++) {
        node = sotto_node_get(section, names[i].key);
        if (node)
            status = sotto_node_string(node, names[i].what, names[i].value, err);
    }
    node = sotto_node_get(section, "attacks");
    if (status == SOTTO_OK && node)
        status = sotto_node_bool(node, "sweep.evaluate.attacks", &sweep->attacks, err);
    if (status == SOTTO_OK && sweep->target && !sweep->test)
        return sotto_node_error(section, err,
                                "sweep.evaluate has a target and no test table: a model that learns the "
                                "target must be tested on other rows; add `test: FILE`");
    return status;
}

static sotto_status read_budget(sotto_sweep *sweep, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"epsilon", "delta", NULL};
    sweep->delta = sweep->config.delta;
    if (!section)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(section, "sweep.budget", known, err);
    const sotto_node *node = sotto_node_get(section, "epsilon");
    if (status == SOTTO_OK && !node)
        status = sotto_node_error(section, err,
                                  "sweep.budget.epsilon is missing: how much may all runs cost together?");
    if (status == SOTTO_OK)
        status = sotto_node_double(node, "sweep.budget.epsilon", 1e-4, 1e5, &sweep->budget_epsilon, err);
    node = sotto_node_get(section, "delta");
    if (status == SOTTO_OK && node)
        status = sotto_node_double(node, "sweep.budget.delta", 1e-12, 0.999, &sweep->delta, err);
    return status;
}

static sotto_status read_section(sotto_sweep *sweep, const sotto_node *section, sotto_error *err)
{
    const sotto_node *node;
    if (!section)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, sweep->config.path, 0, 0,
            "the config has no section `sweep`; add one, like `sweep: {privacy.epsilon: "
            "[0.3, 1, 3], repeats: 3}`");
    if (sotto_node_kind_of(section) != SOTTO_NODE_MAP)
        return sotto_node_error(section, err, "sweep must be a map of keys and the values to try");
    sotto_status status = read_keys(sweep, section, err);
    sweep->repeats = 1;
    node = sotto_node_get(section, "repeats");
    if (status == SOTTO_OK && node)
        status = sotto_node_size(node, "sweep.repeats", 1, MOST_REPEATS, &sweep->repeats, err);
    if (status == SOTTO_OK)
        status = read_evaluate(sweep, sotto_node_get(section, "evaluate"), err);
    if (status == SOTTO_OK)
        status = read_budget(sweep, sotto_node_get(section, "budget"), err);
    if (status == SOTTO_OK)
        status = sotto_sweep_read_select(sweep, sotto_node_get(section, "select"), err);
    sweep->cells = sweep->combinations * sweep->repeats;
    if (status == SOTTO_OK && sweep->cells > MOST_CELLS)
        return sotto_node_error(section, err, "the sweep has %zu runs; %d are the most", sweep->cells,
                                MOST_CELLS);
    sweep->mean_runs = (double)sweep->cells;
    node = sotto_node_get(section, "best_of");
    if (status == SOTTO_OK && node)
        status = sotto_node_double(node, "sweep.best_of", 1.0, MOST_CELLS, &sweep->mean_runs, err);
    return status;
}

sotto_status sotto_sweep_load(sotto_sweep *sweep, const sotto_run_options *options, sotto_error *err)
{
    *sweep = (sotto_sweep){.options = options};
    sotto_status status = sotto_config_load(&sweep->config, options, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&sweep->arena, err);
    return status == SOTTO_OK ? read_section(sweep, sweep->config.sweep, err) : status;
}

void sotto_sweep_destroy(sotto_sweep *sweep)
{
    sotto_config_destroy(&sweep->config);
    sotto_arena_destroy(sweep->arena);
    *sweep = (sotto_sweep){0};
}

/* ------------------------------------------------------------------ combinations */

size_t sotto_sweep_combination(const sotto_sweep *sweep, size_t cell)
{
    return cell % sweep->combinations;
}

const char *sotto_sweep_value(const sotto_sweep *sweep, size_t combination, size_t k)
{
    for (size_t later = sweep->key_count - 1; later > k; later--)
        combination /= sweep->keys[later].count;
    return sweep->keys[k].values[combination % sweep->keys[k].count];
}

json_t *sotto_sweep_chosen(const sotto_sweep *sweep, size_t combination)
{
    json_t *settings = json_object();
    for (size_t k = 0; k < sweep->key_count; k++) {
        const char *text = sotto_sweep_value(sweep, combination, k);
        double number;
        (void)json_object_set_new(settings, sweep->keys[k].key,
                                  sotto_text_double(text, &number) ? json_real(number) : json_string(text));
    }
    return settings;
}

sotto_status sotto_sweep_options_of(sotto_sweep *sweep, size_t combination, const char ***settings,
                                    sotto_run_options *options, sotto_error *err)
{
    const sotto_run_options *all = sweep->options;
    const size_t count = all->setting_count + sweep->key_count;
    const char **list = sotto_arena_take(sweep->arena, count, sizeof *list, err);
    if (!list)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < all->setting_count; i++)
        list[i] = all->settings[i];
    for (size_t k = 0; k < sweep->key_count; k++) {
        const char *key = sweep->keys[k].key, *value = sotto_sweep_value(sweep, combination, k);
        const size_t length = strlen(key) + strlen(value) + 1;
        char *text = sotto_arena_take(sweep->arena, length + 1, 1, err);
        if (!text)
            return out_of_memory(err);
        (void)snprintf(text, length + 1, "%s=%s", key, value);
        list[all->setting_count + k] = text;
    }
    *settings = list;
    *options = *all;
    options->settings = list;
    options->setting_count = count;
    return SOTTO_OK;
}
