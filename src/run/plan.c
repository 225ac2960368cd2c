/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a config would do and cost, from config and schema alone: no row is read here. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"

static size_t parts_of(const sotto_plan *plan)
{
    return sotto_model_private_wanted(plan->model).parts;
}

/* A round of parts reads every row, by no chance that is accounted for. */
static double sample_rate(const sotto_plan *plan, const sotto_config *config)
{
    return parts_of(plan) > 0 ? 1.0 : (double)config->expected_batch_size / plan->public_units;
}

/* Coordinates to which noise is added in one private step, or in one round. */
static double noisy_numbers(const sotto_plan *plan)
{
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    return wanted.parts > 0 ? (double)wanted.parts * (double)wanted.dimension
                            : (double)sotto_network_parameters(wanted.network);
}

static const sotto_node *privacy_node(const sotto_config *config, const char *key)
{
    const sotto_node *privacy = sotto_node_get(sotto_document_root(config->document), "privacy");
    const sotto_node *node = sotto_node_get(privacy, key);
    return node ? node : privacy;
}

/* Whose presence is to be hidden, and how many of them there are as far as the public knows. */
static sotto_status plan_units(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    const sotto_schema *schema = plan->schema;
    plan->unit_column = SOTTO_NONE;
    plan->units = schema->rows;
    if (config->unit) {
        const sotto_node *node = privacy_node(config, "unit");
        const size_t column = sotto_schema_find(schema, config->unit);
        if (column == SOTTO_NONE)
            return sotto_node_error(
                node, err,
                "privacy.unit is \"%.100s\", which is no column of the schema; write row, or "
                "the name of an identifier",
                config->unit);
        if (schema->columns[column].type != SOTTO_COLUMN_IDENTIFIER)
            return sotto_node_error(
                node, err,
                "privacy.unit is \"%.100s\", which the schema declares as %s; it must be of type: identifier, "
                "which is never modelled",
                config->unit, sotto_column_type_name(schema->columns[column].type));
        if (schema->columns[column].units == 0)
            return sotto_node_error(
                node, err,
                "privacy.unit is \"%.100s\", and the schema does not say how many units it tells apart; add "
                "their public number to the column there, like `units: 1000`",
                config->unit);
        plan->unit_column = column;
        plan->units = schema->columns[column].units;
    }
    plan->public_units = (double)plan->units * (1.0 - config->holdout);
    return SOTTO_OK;
}

static sotto_status check_against_schema(const sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    const sotto_node *root = sotto_document_root(config->document);
    const char *noun = config->unit ? "unit" : "row";
    if (config->delta >= 1.0 / (double)plan->units)
        return sotto_node_error(
            privacy_node(config, "delta"), err,
            "privacy.delta is %g; it must be below 1/%ss = %g, or a mechanism that publishes a "
            "%s at random would pass; 1e-5 or smaller is usual",
            config->delta, noun, 1.0 / (double)plan->units, noun);
    if (sotto_model_takes_steps(plan->model) && (double)config->expected_batch_size > plan->public_units) {
        const sotto_node *training = sotto_node_get(root, "training");
        const sotto_node *batch = sotto_node_get(training, "expected_batch_size");
        return sotto_node_error(
            batch ? batch : root, err,
            "training.expected_batch_size is %zu, but the schema declares %zu %ss and %g are for "
            "training; choose a batch of at most that many",
            config->expected_batch_size, plan->units, noun, plan->public_units);
    }
    return SOTTO_OK;
}

/* As many steps as are planned; where they are left to the budget, no fewer than it could bear: what would
 * fit if nothing else were bought and all of δ were the accountant's. */
static sotto_status most_steps(const sotto_plan *plan, const sotto_config *config, uint64_t *steps,
                               sotto_error *err)
{
    sotto_mechanism step;
    *steps = plan->training.steps;
    if (*steps > 0)
        return SOTTO_OK;
    sotto_status status =
        sotto_mechanism_sampled_gaussian(&step, sample_rate(plan, config), config->noise_multiplier, err);
    return status == SOTTO_OK ? sotto_calibrate_steps(config->accountant, config->epsilon, config->delta,
                                                      &step, NULL, steps, err)
                              : status;
}

/* One draw for each parameter and step, or each number of a part's vector and turn; for each step's count of
 * the adaptive bound, and for each cell. */
static sotto_status share_delta(sotto_plan *plan, const sotto_config *config, uint64_t *most,
                                sotto_error *err)
{
    double cells = 0.0;
    *most = UINT64_MAX;
    if (config->arithmetic != SOTTO_ARITHMETIC_EXACT)
        return sotto_delta_shares_make(&plan->shares, config, 0.0, err);
    for (size_t i = 0; i < plan->release_count; i++)
        cells += (double)plan->releases[i].cells * (double)plan->releases[i].uses;
    if (plan->figures)
        cells += (double)sotto_figures_cells(plan->figures);
    if (!sotto_model_takes_steps(plan->model))
        return sotto_delta_shares_make(&plan->shares, config, cells, err);
    double each = noisy_numbers(plan);
    if (config->clipping.kind == SOTTO_CLIPPING_ADAPTIVE)
        each += 1.0;
    sotto_status status = most_steps(plan, config, most, err);
    return status == SOTTO_OK
               ? sotto_delta_shares_make(&plan->shares, config, each * (double)*most + cells, err)
               : status;
}

static sotto_status plan_steps(sotto_plan *plan, const sotto_config *config, const sotto_accountant *rest,
                               uint64_t most, sotto_error *err)
{
    const double rate = sample_rate(plan, config);
    const double epsilon = config->epsilon, delta = plan->shares.accountant;
    double noise_multiplier = config->noise_multiplier;
    sotto_status status = SOTTO_OK;
    if (noise_multiplier == 0.0)
        status = sotto_calibrate_noise_multiplier(config->accountant, epsilon, delta, rate,
                                                  plan->training.steps, rest, &noise_multiplier, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&plan->step, rate, noise_multiplier, err);
    if (status == SOTTO_OK)
        status = sotto_calibrate_steps(config->accountant, epsilon, delta, &plan->step, rest,
                                       &plan->steps_allowed, err);
    if (status != SOTTO_OK)
        return status;
    if (plan->training.steps == 0)
        plan->training.steps = plan->steps_allowed < most ? plan->steps_allowed : most;
    if (plan->training.steps == 0 || plan->training.steps > plan->steps_allowed)
        return sotto_error_set_at(
            err, SOTTO_ERROR_BUDGET, config->path, 0, 0,
            "at noise multiplier %g the budget of epsilon %g bears %llu private steps, or rounds of parts, and "
            "%llu are planned; raise privacy.noise_multiplier (or write auto), or lower training.steps",
            noise_multiplier, epsilon, (unsigned long long)plan->steps_allowed,
            (unsigned long long)plan->training.steps);
    return SOTTO_OK;
}

/*
 * A draft is made by looking at the data, so its bounds are not public. Each line that a person must replace
 * is marked, and a schema that still holds a mark is not one to train with (P11).
 */
static sotto_status refuse_draft(const char *path, const char *text, sotto_error *err)
{
    const char *mark = strstr(text, "# check:");
    if (!mark)
        return SOTTO_OK;
    size_t line = 1;
    for (const char *at = text; at < mark; at++)
        line += *at == '\n';
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, line, 0,
        "this line still holds a \"# check:\" of `sotto schema draft`, which looked at the data; "
        "replace what it marks by public knowledge, then remove the mark");
}

static sotto_status read_schema(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    char *text;
    size_t length;
    sotto_status status = sotto_file_read(config->schema, 1 << 20, &text, &length, err);
    if (status != SOTTO_OK)
        return status;
    sotto_sha256_hex(text, length, plan->schema_sha256);
    status = sotto_schema_parse(&plan->schema, config->schema, text, length, err);
    if (status == SOTTO_OK)
        status = refuse_draft(config->schema, text, err);
    free(text);
    return status;
}

/* What there is only one way of where a part's vector is told. */
static sotto_status check_parts(const sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    if (parts_of(plan) == 0)
        return SOTTO_OK;
    if (config->clipping.kind != SOTTO_CLIPPING_FLAT)
        return sotto_node_error(
            privacy_node(config, "clipping"), err,
            "privacy.clipping is %s, but with model.scope generator a single vector is clipped, which has no rows or "
            "layers of its own; remove it, or write `clipping: flat`",
            sotto_clipping_name(config->clipping.kind));
    if (config->arithmetic != SOTTO_ARITHMETIC_EXACT)
        return sotto_node_error(
            privacy_node(config, "noise"), err,
            "privacy.noise float would do nothing: with model.scope generator vectors are integers "
            "with exact noise in any case; remove it");
    if ((double)parts_of(plan) > plan->public_units)
        return sotto_node_error(
            config->model, err,
            "model.parts is %zu, and %g %ss are for training: most parts would be empty; write "
            "fewer",
            parts_of(plan), plan->public_units, config->unit ? "unit" : "row");
    return SOTTO_OK;
}

/* Kinds of clipping that look at the noise can be checked now. */
static sotto_status plan_clipping(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    sotto_error reason = {0};
    plan->clipping = config->clipping;
    const sotto_status status = sotto_clipping_complete(
        &plan->clipping, plan->step.sample_rate * plan->public_units, plan->step.noise_multiplier, &reason);
    return status == SOTTO_OK ? SOTTO_OK
                              : sotto_node_error(privacy_node(config, "clipping"), err,
                                                 "privacy.clipping: %s", reason.message);
}

/* Now, since after training it would be too late. "none" is no column, unless the schema has one of that
 * name. */
static sotto_status plan_balance(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    const char *name;
    sotto_error reason = {0};
    plan->balance = SOTTO_NONE;
    if (!config->balance)
        return SOTTO_OK;
    sotto_status status = sotto_node_string(config->balance, "sample.balance", &name, err);
    if (status != SOTTO_OK ||
        (strcmp(name, "none") == 0 && sotto_schema_find(plan->schema, name) == SOTTO_NONE))
        return status;
    status = sotto_balance_find(plan->encoder, name, &plan->balance, &reason);
    return status == SOTTO_OK ? SOTTO_OK
                              : sotto_node_error(config->balance, err, "sample.%s", reason.message);
}

static sotto_status make_model(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    sotto_numbers numbers;
    sotto_status status = read_schema(plan, config, err);
    if (status == SOTTO_OK)
        status = plan_units(plan, config, err);
    if (status == SOTTO_OK)
        status = sotto_model_numbers(config->model, &numbers, err);
    if (status == SOTTO_OK)
        status = sotto_encoder_create(&plan->encoder, plan->schema, numbers, err);
    if (status == SOTTO_OK)
        status = plan_balance(plan, config, err);
    if (status == SOTTO_OK)
        status = sotto_model_create(&plan->model, config->model, plan->encoder, err);
    if (status == SOTTO_OK)
        plan->release_count = sotto_model_releases(plan->model, plan->releases);
    if (status == SOTTO_OK)
        status = sotto_figures_create(&plan->figures, config, plan->schema, plan->public_units, err);
    return status;
}

/* What the model finds wrong with the settings of training. */
static sotto_status check_fit(const sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    sotto_error reason = {0};
    if (sotto_model_fits(plan->model, &plan->training, &reason) == SOTTO_OK)
        return SOTTO_OK;
    const sotto_node *training = sotto_node_get(sotto_document_root(config->document), "training");
    const sotto_node *node = sotto_node_get(training, "discriminator_steps");
    return sotto_node_error(node ? node : sotto_document_root(config->document), err, "%s", reason.message);
}

static sotto_status plan_training(sotto_plan *plan, const sotto_config *config, unsigned threads,
                                  sotto_error *err)
{
    plan->training = config->training;
    plan->training.batch = config->expected_batch_size;
    plan->training.threads = threads;
    if (!sotto_model_takes_steps(plan->model)) {
        plan->training.steps = 0;
        plan->training.batch = 0;
        return sotto_plan_refuse_idle(plan, config, err);
    }
    if (config->noise_multiplier == 0.0 && config->training.steps == 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, config->path, 0, 0,
            "training.steps and privacy.noise_multiplier are both auto; name one of them");
    return check_fit(plan, config, err);
}

sotto_status sotto_plan_make(sotto_plan *plan, const sotto_config *config, unsigned threads, sotto_error *err)
{
    *plan = (sotto_plan){0};
    sotto_accountant *rest = NULL;
    uint64_t most;
    sotto_status status = make_model(plan, config, err);
    if (status != SOTTO_OK)
        return status;
    status = sotto_plan_check_memory(plan, config, sotto_machine_memory(), err);
    if (status != SOTTO_OK)
        return status;
    status = plan_training(plan, config, threads, err);
    if (status == SOTTO_OK)
        status = check_against_schema(plan, config, err);
    if (status == SOTTO_OK)
        status = check_parts(plan, config, err);
    if (status == SOTTO_OK)
        status = share_delta(plan, config, &most, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(config->accountant, &rest, err);
    if (status == SOTTO_OK)
        status = sotto_plan_releases(plan, config, rest, err);
    if (status == SOTTO_OK && sotto_model_takes_steps(plan->model))
        status = plan_steps(plan, config, rest, most, err);
    if (status == SOTTO_OK && sotto_plan_takes_steps(plan))
        status = plan_clipping(plan, config, err);
    sotto_accountant_destroy(rest);
    if (status == SOTTO_OK)
        status = sotto_plan_epsilon(plan, config, plan->training.steps, &plan->epsilon, &plan->order, err);
    return status;
}

void sotto_plan_destroy(sotto_plan *plan)
{
    sotto_model_destroy(plan->model);
    sotto_figures_destroy(plan->figures);
    sotto_encoder_destroy(plan->encoder);
    sotto_schema_destroy(plan->schema);
    *plan = (sotto_plan){0};
}

sotto_status sotto_plan_epsilon(const sotto_plan *plan, const sotto_config *config, uint64_t steps,
                                double *epsilon, double *order, sotto_error *err)
{
    sotto_accountant *accountant;
    sotto_status status = sotto_accountant_create(config->accountant, &accountant, err);
    if (status != SOTTO_OK)
        return status;
    status = sotto_plan_compose_releases(plan, accountant, err);
    if (status == SOTTO_OK && sotto_plan_takes_steps(plan))
        status = sotto_accountant_compose(accountant, &plan->step, steps, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_epsilon(accountant, plan->shares.accountant, epsilon, order, err);
    sotto_accountant_destroy(accountant);
    return status;
}

sotto_run_cost sotto_plan_cost(const sotto_plan *plan, const sotto_config *config)
{
    sotto_run_cost cost = {.release_count = plan->release_count,
                           .step = plan->step,
                           .steps = plan->training.steps,
                           .draws = plan->shares.draws,
                           .epsilon = plan->epsilon,
                           .unit_column = plan->unit_column,
                           .max_rows_per_unit = config->max_rows_per_unit};
    for (size_t i = 0; i < plan->release_count; i++) {
        cost.releases[i] = plan->release_mechanisms[i];
        cost.uses[i] = plan->releases[i].uses;
    }
    if (plan->figures) {
        cost.releases[cost.release_count] = plan->figures_counts;
        cost.uses[cost.release_count++] = 1;
    }
    if (plan->prediction_counts.kind != 0) {
        cost.releases[cost.release_count] = plan->prediction_counts;
        cost.uses[cost.release_count++] = 1;
    }
    memcpy(cost.schema_sha256, plan->schema_sha256, sizeof cost.schema_sha256);
    return cost;
}

const char *sotto_plan_balance(const sotto_plan *plan)
{
    return plan->balance == SOTTO_NONE
               ? NULL
               : plan->schema->columns[sotto_encoder_block(plan->encoder, plan->balance)->column].name;
}

double sotto_plan_gradient_noise(const sotto_plan *plan)
{
    return sotto_clipping_gradient_noise(&plan->clipping, plan->step.noise_multiplier);
}

sotto_dpsgd_options sotto_plan_step_options(const sotto_plan *plan, const sotto_config *config)
{
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    return (sotto_dpsgd_options){
        .mechanism = plan->step,
        .clipping = plan->clipping,
        .arithmetic = config->arithmetic,
        .public_units = plan->public_units,
        .views = wanted.views,
        .penalties = wanted.penalties,
        .label = wanted.label,
        .optimizer = plan->training.optimizer,
        .schedule = {.rate = plan->training.learning_rate,
                     .steps = plan->training.steps,
                     .decay_fraction = plan->training.decay_fraction},
        .threads = plan->training.threads,
    };
}

sotto_parts_options sotto_plan_parts_options(const sotto_plan *plan, const sotto_config *config)
{
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    return (sotto_parts_options){
        .mechanism = plan->step,
        .clipping = plan->clipping,
        .parts = wanted.parts,
        .dimension = wanted.dimension,
        .batch = config->expected_batch_size,
        .label = wanted.label,
        .network = wanted.network,
        .optimizer = plan->training.optimizer,
        .schedule = {.rate = plan->training.learning_rate,
                     .steps = plan->training.steps,
                     .decay_fraction = plan->training.decay_fraction},
        .threads = plan->training.threads,
    };
}

double sotto_plan_signal_to_noise(const sotto_plan *plan)
{
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    if (wanted.parts > 0)
        return 1.0 / (2.0 * plan->step.noise_multiplier * sqrt((double)wanted.dimension));
    const size_t parameters = sotto_network_parameters(wanted.network);
    return (double)plan->training.batch / (sotto_plan_gradient_noise(plan) * sqrt((double)parameters));
}

static void warn(json_t *list, const char *format, ...) SOTTO_PRINTF(2, 3);

static void warn(json_t *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *text = json_vsprintf(format, arguments);
    va_end(arguments);
    (void)json_array_append_new(list, text);
}

static void warn_of_steps(const sotto_plan *plan, json_t *list)
{
    const double signal = sotto_plan_signal_to_noise(plan);
    if (parts_of(plan) > 0 && signal * sqrt((double)parts_of(plan) * (double)plan->training.steps) < 0.2)
        warn(
            list,
            "even all vectors together would hardly show through the noise: more parts with fewer rounds, fewer "
            "latent numbers or a larger epsilon would teach the generator more");
    else if (parts_of(plan) == 0 && signal < 0.2)
        warn(list,
             "in each step the noise is %.0f times as long as the largest possible signal: a larger batch, "
             "fewer "
             "steps, a smaller network or a larger epsilon would learn more",
             1.0 / signal);
    if (plan->training.steps < plan->steps_allowed)
        warn(list,
             "the budget bears %llu steps and only %llu are planned: the noise could be smaller (write "
             "noise_multiplier: auto)",
             (unsigned long long)plan->steps_allowed, (unsigned long long)plan->training.steps);
    if (parts_of(plan) == 0 && plan->training.steps < plan->training.discriminator_steps)
        warn(list, "there are fewer private steps than discriminator_steps: the generator would never learn");
}

json_t *sotto_plan_warnings(const sotto_plan *plan, const sotto_config *config)
{
    json_t *list = json_array();
    const double delta_units = config->delta * (double)plan->units;
    const char *noun = config->unit ? "unit" : "row";
    if (sotto_plan_takes_steps(plan))
        warn_of_steps(plan, list);
    if (config->epsilon > 10.0)
        warn(list, "epsilon %g is a weak promise: it lets the odds about one %s change by a factor of e^%g",
             config->epsilon, noun, config->epsilon);
    if (delta_units > 0.5)
        warn(list, "delta is %.2g of 1/%ss; a delta of 1/%ss² or at most 1e-6 leaves more room for error",
             delta_units, noun, noun);
    return list;
}
