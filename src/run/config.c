/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/run.h"

static const double most_steps = 1e12;

/* Not a limit of the noise: below this δ means nothing any more beside what is assumed of machine and people.
 */
static const double least_delta = 1e-12;

/* ---- paths ---- */

char *sotto_path_join(const char *root, const char *name)
{
    const size_t root_length = strlen(root);
    char *path = malloc(root_length + strlen(name) + 2);
    if (!path)
        return NULL;
    if (name[0] == '/' || root_length == 0)
        return strcpy(path, name);
    (void)sprintf(path, "%s%s%s", root, root[root_length - 1] == '/' ? "" : "/", name);
    return path;
}

/* A path in the config file is relative to that file. */
sotto_status sotto_config_path(const sotto_config *config, const sotto_node *node, const char *what,
                               char **path, sotto_error *err)
{
    const char *text;
    sotto_status status = sotto_node_string(node, what, &text, err);
    if (status != SOTTO_OK)
        return status;
    const char *slash = strrchr(config->path, '/');
    char *folder = slash ? strndup(config->path, (size_t)(slash - config->path) + 1) : strdup("");
    *path = folder ? sotto_path_join(folder, text) : NULL;
    free(folder);
    return *path ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
}

/* A path given on the command line is relative to the current directory, as everywhere on a command line. */
static sotto_status apply_path(sotto_document *document, const char *key, const char *value, sotto_error *err)
{
    char *here = getcwd(NULL, 0);
    char *path = here ? sotto_path_join(here, value) : NULL;
    char *quoted = path ? malloc(2 * strlen(path) + 3) : NULL;
    sotto_status status;
    if (!quoted) {
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory, or the current directory is gone");
    } else {
        char *at = quoted;
        *at++ = '\'';
        for (const char *from = path; *from; from++) {
            if (*from == '\'')
                *at++ = '\'';
            *at++ = *from;
        }
        *at++ = '\'';
        *at = '\0';
        status = sotto_document_set(document, key, quoted, err);
    }
    free(here);
    free(path);
    free(quoted);
    return status;
}

static sotto_status apply_settings(sotto_config *config, const sotto_run_options *options, sotto_error *err)
{
    for (size_t i = 0; i < options->setting_count; i++) {
        const char *setting = options->settings[i];
        const char *equals = strchr(setting, '=');
        if (!equals || equals == setting)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "--set \"%s\" has no KEY=VALUE; write it like --set privacy.epsilon=3",
                                   setting);
        char *key = strndup(setting, (size_t)(equals - setting));
        if (!key)
            return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading --set");
        const bool path = strcmp(key, "data.table") == 0 || strcmp(key, "data.schema") == 0 ||
                          strcmp(key, "output") == 0 || strcmp(key, "ledger") == 0 ||
                          strcmp(key, "ledger.file") == 0 || strcmp(key, "ledger.mirror") == 0;
        sotto_status status = path && equals[1] ? apply_path(config->document, key, equals + 1, err)
                                                : sotto_document_set(config->document, key, equals + 1, err);
        free(key);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

/* ---- sections ---- */

static sotto_status require(const sotto_node *section, const char *key, const char *what,
                            const sotto_node **node, sotto_error *err)
{
    *node = sotto_node_get(section, key);
    if (!*node)
        return sotto_node_error(section, err, "%s is missing; it has no default: add it", what);
    return SOTTO_OK;
}

/* Optional readers: leave `*value` as it is where the key is absent. */
static sotto_status read_double(const sotto_node *section, const char *key, const char *what, double low,
                                double high, double *value, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(section, key);
    return node ? sotto_node_double(node, what, low, high, value, err) : SOTTO_OK;
}

static bool is_auto(const sotto_node *node)
{
    const char *text = sotto_node_text(node);
    return text && strcmp(text, "auto") == 0;
}

static sotto_status read_data(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"table", "schema", "holdout", "id", NULL};
    const sotto_node *node;
    sotto_status status = sotto_node_expect_map(section, "data", known, err);
    if (status == SOTTO_OK)
        status = require(section, "table", "data.table", &node, err);
    if (status == SOTTO_OK)
        status = sotto_config_path(config, node, "data.table", &config->table, err);
    if (status == SOTTO_OK)
        status = require(section, "schema", "data.schema", &node, err);
    if (status == SOTTO_OK)
        status = sotto_config_path(config, node, "data.schema", &config->schema, err);
    if (status == SOTTO_OK)
        status = read_double(section, "holdout", "data.holdout", 0.0, 0.9, &config->holdout, err);
    return status;
}

/* The word row, or a column: which columns there are, the plan knows. */
static sotto_status read_unit(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(section, "unit");
    const sotto_node *most = sotto_node_get(section, "max_rows_per_unit");
    const char *text = "row";
    config->max_rows_per_unit = 1;
    sotto_status status = node ? sotto_node_string(node, "privacy.unit", &text, err) : SOTTO_OK;
    if (status != SOTTO_OK)
        return status;
    if (strcmp(text, "row") == 0)
        return most ? sotto_node_error(most, err,
                                       "privacy.max_rows_per_unit says nothing where each row is a unit; "
                                       "remove it, or name a column with `unit: COLUMN`")
                    : SOTTO_OK;
    config->unit = strdup(text);
    if (!config->unit)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
    return most ? sotto_node_size(most, "privacy.max_rows_per_unit", 1, 1000, &config->max_rows_per_unit, err)
                : SOTTO_OK;
}

static sotto_status read_accountant(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const names[] = {"rdp", "pld", NULL};
    static const sotto_accountant_kind kinds[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};
    const sotto_node *node = sotto_node_get(section, "accountant");
    size_t choice = 0;
    sotto_status status = SOTTO_OK;
    if (node)
        status = sotto_node_choice(node, "privacy.accountant", names, &choice, err);
    config->accountant = kinds[choice];
    return status;
}

static const char *const arithmetics[] = {"exact", "float", NULL};
static const char *const clippings[] = {"flat", "automatic", "per-layer", "adaptive", NULL};

const char *sotto_arithmetic_name(sotto_arithmetic arithmetic)
{
    return arithmetics[arithmetic];
}

const char *sotto_clipping_name(sotto_clipping_kind kind)
{
    return clippings[kind];
}

static sotto_status read_noise(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(section, "noise");
    size_t choice = SOTTO_ARITHMETIC_EXACT;
    sotto_status status =
        node ? sotto_node_choice(node, "privacy.noise", arithmetics, &choice, err) : SOTTO_OK;
    config->arithmetic = (sotto_arithmetic)choice;
    return status;
}

/* What tunes one kind of clipping says nothing to another: there it is a mistake. */
static sotto_status read_clipping_numbers(sotto_clipping *clipping, const sotto_node *node, sotto_error *err)
{
    const struct {
        const char *key;
        sotto_clipping_kind kind;
        double low, high;
        double *value;
    } numbers[] = {
        {"stability", SOTTO_CLIPPING_AUTOMATIC, 1e-9, 1e6, &clipping->stability},
        {"target_quantile", SOTTO_CLIPPING_ADAPTIVE, 0.001, 0.999, &clipping->target_quantile},
        {"learning_rate", SOTTO_CLIPPING_ADAPTIVE, 1e-6, 100.0, &clipping->learning_rate},
        {"count_noise", SOTTO_CLIPPING_ADAPTIVE, 1e-3, 1e6, &clipping->count_noise},
    };
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SOTTO_OK; i++) {
        const sotto_node *number = sotto_node_get(node, numbers[i].key);
        char what[48];
        if (!number)
            continue;
        (void)snprintf(what, sizeof what, "privacy.clipping.%s", numbers[i].key);
        if (numbers[i].kind != clipping->kind)
            return sotto_node_error(number, err, "%s is for `type: %s`, and the type is %s; remove it", what,
                                    clippings[numbers[i].kind], clippings[clipping->kind]);
        status = sotto_node_double(number, what, numbers[i].low, numbers[i].high, numbers[i].value, err);
    }
    return status;
}

/* A word, or a map with a type and what tunes it. */
static sotto_status read_clipping(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"type",          "stability",   "target_quantile",
                                        "learning_rate", "count_noise", NULL};
    const sotto_node *node = sotto_node_get(section, "clipping");
    const sotto_node *type = node;
    size_t choice;
    sotto_status status = SOTTO_OK;
    if (node && sotto_node_kind_of(node) == SOTTO_NODE_MAP) {
        status = sotto_node_expect_map(node, "privacy.clipping", known, err);
        if (status == SOTTO_OK)
            status = require(node, "type", "privacy.clipping.type", &type, err);
    }
    if (status != SOTTO_OK || !type)
        return status;
    status = sotto_node_choice(type, "privacy.clipping", clippings, &choice, err);
    if (status != SOTTO_OK)
        return status;
    config->clipping.kind = (sotto_clipping_kind)choice;
    return read_clipping_numbers(&config->clipping, node, err);
}

static sotto_status read_privacy(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {
        "epsilon",    "delta", "unit", "max_rows_per_unit", "max_grad_norm", "clipping", "noise_multiplier",
        "accountant", "noise", NULL};
    const sotto_node *node;
    sotto_status status = sotto_node_expect_map(section, "privacy", known, err);
    if (status == SOTTO_OK)
        status = require(section, "epsilon", "privacy.epsilon", &node, err);
    if (status == SOTTO_OK)
        status = sotto_node_double(node, "privacy.epsilon", 1e-4, 1000.0, &config->epsilon, err);
    if (status == SOTTO_OK)
        status = require(section, "delta", "privacy.delta", &node, err);
    if (status == SOTTO_OK)
        status = sotto_node_double(node, "privacy.delta", least_delta, 0.999, &config->delta, err);
    if (status == SOTTO_OK)
        status = read_unit(config, section, err);
    if (status == SOTTO_OK)
        status = read_noise(config, section, err);
    if (status == SOTTO_OK)
        status = read_clipping(config, section, err);
    if (status == SOTTO_OK)
        status = read_accountant(config, section, err);
    if (status == SOTTO_OK)
        status = read_double(section, "max_grad_norm", "privacy.max_grad_norm", 1e-6, 1e6,
                             &config->clipping.max_grad_norm, err);
    node = sotto_node_get(section, "noise_multiplier");
    if (status == SOTTO_OK && node && !is_auto(node))
        status =
            sotto_node_double(node, "privacy.noise_multiplier", 0.05, 1e6, &config->noise_multiplier, err);
    return status;
}

static sotto_status read_optimizer(const sotto_node *node, const char *name, sotto_optimizer_options *options,
                                   double *rate, sotto_error *err)
{
    static const char *const known[] = {"type",    "learning_rate", "momentum",         "beta1", "beta2",
                                        "epsilon", "floor",         "decay_to_initial", NULL};
    static const char *const types[] = {"sgd", "adam", "dp-adam", NULL};
    static const sotto_optimizer_kind kinds[] = {SOTTO_OPTIMIZER_SGD, SOTTO_OPTIMIZER_ADAM,
                                                 SOTTO_OPTIMIZER_DP_ADAM};
    if (!node)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(node, name, known, err);
    const sotto_node *type = sotto_node_get(node, "type");
    if (status == SOTTO_OK && type) {
        size_t choice = 0;
        status = sotto_node_choice(type, "optimizer type", types, &choice, err);
        if (status == SOTTO_OK)
            options->kind = kinds[choice];
    }
    const struct {
        const char *key;
        double low, high;
        double *value;
    } numbers[] = {
        {"learning_rate", 1e-9, 100.0, rate},
        {"momentum", 0.0, 0.9999, &options->momentum},
        {"beta1", 0.0, 0.9999, &options->beta1},
        {"beta2", 0.0, 0.999999, &options->beta2},
        {"epsilon", 1e-16, 1.0, &options->epsilon},
        {"floor", 1e-30, 1.0, &options->floor},
        {"decay_to_initial", 0.0, 1e4, &options->decay},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SOTTO_OK; i++) {
        char what[80];
        (void)snprintf(what, sizeof what, "%s.%s", name, numbers[i].key);
        status =
            read_double(node, numbers[i].key, what, numbers[i].low, numbers[i].high, numbers[i].value, err);
    }
    return status;
}

static sotto_status read_steps(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(section, "steps");
    size_t steps = 0;
    sotto_status status = SOTTO_OK;
    if (node && !is_auto(node)) {
        status = sotto_node_size(node, "training.steps", 1, (size_t)most_steps, &steps, err);
        config->training.steps = steps;
    } else if (node) {
        config->training.steps = 0;
    }
    size_t each = (size_t)config->training.discriminator_steps;
    node = sotto_node_get(section, "discriminator_steps");
    if (status == SOTTO_OK && node && is_auto(node))
        each = 0;
    else if (status == SOTTO_OK && node)
        status = sotto_node_size(node, "training.discriminator_steps", 1, 100000, &each, err);
    config->training.discriminator_steps = each;
    return status;
}

static sotto_status read_training(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"expected_batch_size",
                                        "steps",
                                        "discriminator_steps",
                                        "optimizer",
                                        "generator_optimizer",
                                        "decay_fraction",
                                        "stop_if_diverging",
                                        "ema",
                                        NULL};
    sotto_training *training = &config->training;
    if (!section)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(section, "training", known, err);
    const sotto_node *node = sotto_node_get(section, "expected_batch_size");
    if (status == SOTTO_OK && node)
        status = sotto_node_size(node, "training.expected_batch_size", 1, 1 << 24,
                                 &config->expected_batch_size, err);
    if (status == SOTTO_OK)
        status = read_steps(config, section, err);
    if (status == SOTTO_OK)
        status = read_optimizer(sotto_node_get(section, "optimizer"), "training.optimizer",
                                &training->optimizer, &training->learning_rate, err);
    if (status == SOTTO_OK)
        status =
            read_optimizer(sotto_node_get(section, "generator_optimizer"), "training.generator_optimizer",
                           &training->generator_optimizer, &training->generator_learning_rate, err);
    if (status == SOTTO_OK && training->generator_optimizer.kind == SOTTO_OPTIMIZER_DP_ADAM)
        status = sotto_node_error(
            sotto_node_get(section, "generator_optimizer"), err,
            "training.generator_optimizer is dp-adam, which subtracts the noise's variance, but "
            "the generator's gradient carries no noise; write `type: adam`");
    if (status == SOTTO_OK)
        status = read_double(section, "decay_fraction", "training.decay_fraction", 0.0, 1.0,
                             &training->decay_fraction, err);
    if (status == SOTTO_OK)
        status = read_double(section, "ema", "training.ema", 0.0, 0.999999, &training->ema, err);
    bool stop = true;
    node = sotto_node_get(section, "stop_if_diverging");
    if (status == SOTTO_OK && node)
        status = sotto_node_bool(node, "training.stop_if_diverging", &stop, err);
    training->keep_on = !stop;
    return status;
}

static sotto_status read_sample(sotto_config *config, const sotto_node *section, sotto_error *err)
{
    static const char *const known[] = {"rows", "balance", NULL};
    if (!section)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(section, "sample", known, err);
    const sotto_node *rows = sotto_node_get(section, "rows");
    if (status == SOTTO_OK && rows)
        status = sotto_node_size(rows, "sample.rows", 1, (size_t)1 << 40, &config->sample_rows, err);
    config->balance = sotto_node_get(section, "balance");
    return status;
}

static sotto_status read_all(sotto_config *config, const sotto_run_options *options, sotto_error *err)
{
    static const char *const known[] = {"data",  "privacy", "model",  "training",   "sample", "output",
                                        "sweep", "figures", "ledger", "checkpoint", NULL};
    const sotto_node *root = sotto_document_root(config->document);
    const sotto_node *node;
    sotto_status status = sotto_node_expect_map(root, "the config", known, err);
    if (status == SOTTO_OK)
        status = require(root, "data", "the section `data`", &node, err);
    if (status == SOTTO_OK)
        status = read_data(config, node, err);
    if (status == SOTTO_OK)
        status = require(root, "privacy", "the section `privacy`", &node, err);
    if (status == SOTTO_OK)
        status = read_privacy(config, node, err);
    config->model = sotto_node_get(root, "model");
    const sotto_node *training = sotto_node_get(root, "training");
    if (status == SOTTO_OK)
        status = sotto_model_training(config->model, training, &config->training, err);
    if (status == SOTTO_OK)
        status = read_training(config, training, err);
    if (status == SOTTO_OK)
        status = read_sample(config, sotto_node_get(root, "sample"), err);
    if (status == SOTTO_OK)
        status = sotto_config_read_records(config, root, err);
    config->sweep = sotto_node_get(root, "sweep");
    config->figures = sotto_node_get(root, "figures");
    if (status == SOTTO_OK &&
        options->output) { /* not in the document: where a run lies is no part of what it is */
        config->output = strdup(options->output);
        if (!config->output)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
    } else if (status == SOTTO_OK && (node = sotto_node_get(root, "output"))) {
        status = sotto_config_path(config, node, "output", &config->output, err);
    }
    return status;
}

static void set_defaults(sotto_config *config)
{
    config->clipping.max_grad_norm = 1.0;
    config->expected_batch_size = 512;
    config->training = (sotto_training){
        .steps = 500,
        .discriminator_steps = 1,
        .learning_rate = 2e-3,
        .decay_fraction = 0.5,
        .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM),
        .generator_learning_rate = 3e-4,
        .generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM),
        .ema = 0.99,
    };
    config->training.optimizer.beta1 = config->training.generator_optimizer.beta1 = 0.5;
    config->training.optimizer.beta2 = config->training.generator_optimizer.beta2 = 0.99;
    config->training.optimizer.decay = 10.0;
}

sotto_status sotto_config_load(sotto_config *config, const sotto_run_options *options, sotto_error *err)
{
    *config = (sotto_config){0};
    set_defaults(config);
    config->path = strdup(options->config);
    if (!config->path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
    sotto_status status = sotto_document_load(&config->document, options->config, err);
    if (status == SOTTO_OK)
        status = apply_settings(config, options, err);
    return status == SOTTO_OK ? read_all(config, options, err) : status;
}

void sotto_config_destroy(sotto_config *config)
{
    sotto_document_destroy(config->document);
    free(config->path);
    free(config->table);
    free(config->schema);
    free(config->output);
    free(config->unit);
    free(config->data_id);
    free(config->ledger);
    free(config->mirror);
    *config = (sotto_config){0};
}

sotto_status sotto_config_format(const sotto_config *config, char **text, sotto_error *err)
{
    return sotto_document_format(config->document, text, err);
}
