/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A run's place in the ledger: which data set it is charged to, and the budget that has each charge committed
 * there before it is made (P7).
 */
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "run/train.h"

static const unsigned blocks_in_a_run = 20; /* lost by a crash: a twentieth of the steps, at most */

/* -------------------------------------------------------------------- plan */

static sotto_charge charge_of(const char *label, sotto_mechanism mechanism, uint64_t count)
{
    return (sotto_charge){.label = label, .mechanism = mechanism, .count = count};
}

size_t sotto_plan_charges(const sotto_plan *plan, sotto_charge charges[SOTTO_PLAN_CHARGES])
{
    size_t count = 0;
    for (size_t i = 0; i < plan->release_count; i++)
        charges[count++] =
            charge_of(plan->releases[i].label, plan->release_mechanisms[i], plan->releases[i].uses);
    if (plan->figures)
        charges[count++] = charge_of(SOTTO_FIGURES_LABEL, plan->figures_counts, 1);
    if (sotto_plan_takes_steps(plan))
        charges[count++] =
            charge_of(sotto_model_private_wanted(plan->model).label, plan->step, plan->training.steps);
    if (plan->prediction_counts.kind != 0)
        charges[count++] = charge_of(SOTTO_PREDICTION_LABEL, plan->prediction_counts, 1);
    return count;
}

/* ------------------------------------------------------------------- ledger */

sotto_status sotto_config_ledger(const sotto_config *config, bool create, sotto_ledger **ledger,
                                 sotto_error *err)
{
    char *path = NULL;
    *ledger = NULL;
    sotto_status status = sotto_ledger_find(config->ledger, &path, err);
    if (status == SOTTO_OK) {
        const sotto_ledger_options options = {.path = path, .mirror = config->mirror, .create = create};
        status = sotto_ledger_open(ledger, &options, err);
    }
    free(path);
    return status;
}

sotto_status sotto_config_table(const sotto_config *config, const char *sha256, sotto_ledger_table *table,
                                char **path, sotto_error *err)
{
    *path = realpath(config->table, NULL);
    if (!*path)
        *path = strdup(config->table);
    *table = (sotto_ledger_table){.id = config->data_id,
                                  .sha256 = sha256,
                                  .path = *path,
                                  .unit = config->unit,
                                  .adjacency = SOTTO_ADJACENCY_ADD_REMOVE};
    return *path ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
}

static sotto_status begin(struct training *training, const sotto_ledger_table *table,
                          const sotto_run_options *options, sotto_error *err)
{
    const sotto_config *config = &training->config;
    sotto_charge charges[SOTTO_PLAN_CHARGES];
    char *output = realpath(training->directory.path, NULL);
    const sotto_ledger_plan plan = {.charges = charges,
                                    .count = sotto_plan_charges(&training->plan, charges),
                                    .draws = training->plan.shares.draws,
                                    .epsilon = config->epsilon,
                                    .delta = config->delta,
                                    .config_sha256 = training->identity.config,
                                    .output = output ? output : training->directory.path,
                                    .version = SOTTO_VERSION,
                                    .run = training->identity.run,
                                    .not_private = !training->identity.private};
    sotto_status status = sotto_config_check_data_set(config, training->ledger, table, options->warn,
                                                      options->warn_context, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_run_begin(&training->ledger_run, training->ledger, table, &plan, err);
    free(output);
    return status;
}

/* Its name goes onto the disk before the ledger is told of it: without one nothing was charged. */
static sotto_status name_and_begin(struct training *training, const sotto_ledger_table *table,
                                   const sotto_run_options *options, sotto_error *err)
{
    sotto_status status = sotto_ledger_name(training->identity.run, err);
    if (status == SOTTO_OK)
        status = sotto_run_identity_write(&training->directory, &training->identity, err);
    if (status == SOTTO_OK)
        status = sotto_run_directory_write_config(&training->directory, &training->config,
                                                  training->identity.private ? "" : SOTTO_NOT_PRIVATE, err);
    return status == SOTTO_OK ? begin(training, table, options, err) : status;
}

static sotto_status enroll_new(struct training *training, const sotto_ledger_table *table,
                               const sotto_run_options *options, sotto_error *err)
{
    const sotto_status status =
        sotto_run_directory_open(&training->directory, training->config.output,
                                 training->identity.private ? "" : SOTTO_NOT_PRIVATE, err);
    return status == SOTTO_OK ? name_and_begin(training, table, options, err) : status;
}

/* The same run in the same ledger, by a config that promises the same? */
static sotto_status check_identity(const struct training *training, const sotto_run_identity *found,
                                   sotto_error *err)
{
    const sotto_run_identity *wanted = &training->identity;
    const char *path = training->directory.path;
    if (strcmp(found->ledger, wanted->ledger) != 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this run is recorded in the ledger %s, and %s is the ledger %s; name the right one by SOTTO_LEDGER "
            "or `ledger:`",
            found->ledger, sotto_ledger_path(training->ledger), wanted->ledger);
    if (found->private != wanted->private)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                  "this run was begun with %s noise, and cannot be gone on with %s",
                                  found->private ? "private" : "a test seed's",
                                  found->private ? "a test seed's" : "private noise");
    if (strcmp(found->config, wanted->config) != 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, training->config.path, 0, 0,
            "the run in %s was begun with other sections `privacy`, `model`, `training`, `figures` or "
            "data.holdout, another schema or another version of sotto; what its guarantee depends on may not "
            "change: put it back (private/config.yaml has what it began with), or begin another run",
            path);
    return SOTTO_OK;
}

static bool was_released(const struct training *training, const char *run)
{
    const sotto_ledger_artefact *artefacts;
    size_t count;
    return sotto_ledger_run_released(training->ledger, run, &artefacts, &count);
}

/* A run whose process ended before it had a name, or before the ledger knew it, has charged nothing, and
 * begins now. */
static sotto_status enroll_again(struct training *training, const sotto_ledger_table *table,
                                 const sotto_run_options *options, sotto_error *err)
{
    sotto_run_identity found;
    if (!sotto_run_identity_is_there(&training->directory))
        return name_and_begin(training, table, options, err);
    sotto_status status = sotto_run_identity_read(&training->directory, &found, err);
    if (status == SOTTO_OK)
        status = check_identity(training, &found, err);
    if (status != SOTTO_OK)
        return status;
    training->identity = found;
    status = sotto_training_look_for_checkpoint(training, err);
    if (status != SOTTO_OK)
        return status;
    if (!sotto_ledger_knows(training->ledger, found.run))
        return begin(training, table, options, err);
    if (was_released(training, found.run))
        return SOTTO_OK; /* all that is left is to let it appear */
    return sotto_ledger_run_resume(&training->ledger_run, training->ledger, found.run, table, found.config,
                                   err);
}

sotto_status sotto_training_enroll(struct training *training, const sotto_run_options *options,
                                   sotto_error *err)
{
    sotto_ledger_table table;
    char *path = NULL;
    sotto_status status = SOTTO_OK;
    if (options->resume)
        status = sotto_run_directory_reopen(&training->directory, training->config.output, err);
    if (status == SOTTO_OK)
        status = sotto_config_ledger(&training->config, !options->resume, &training->ledger, err);
    if (status == SOTTO_OK)
        status = sotto_config_digest(&training->config, training->plan.schema_sha256, training->in_sweep,
                                     training->identity.config, err);
    if (status == SOTTO_OK)
        status =
            sotto_config_table(&training->config, sotto_table_sha256(training->table), &table, &path, err);
    if (status == SOTTO_OK) {
        const sotto_ledger_head head = sotto_ledger_last(training->ledger);
        memcpy(training->identity.ledger, head.ledger, sizeof training->identity.ledger);
        training->identity.private = !options->insecure_test_only_seed;
        status = options->resume ? enroll_again(training, &table, options, err)
                                 : enroll_new(training, &table, options, err);
    }
    free(path);
    return status;
}

/* Nothing was charged: the ledger need not hold anything for it, and nobody will miss the folder. */
void sotto_training_withdraw(struct training *training)
{
    size_t lines = 0;
    if (training->budget)
        (void)sotto_budget_charges(training->budget, &lines);
    if (!training->directory.fresh || lines > 0)
        return;
    if (training->ledger_run)
        (void)sotto_ledger_run_close(training->ledger, training->identity.run,
                                     "ended before its first access to the table", NULL);
    sotto_run_directory_discard(&training->directory);
}

/* ------------------------------------------------------------------- budget */

static bool is_of_steps(const struct training *training, const char *label)
{
    const char *steps = sotto_model_private_wanted(training->plan.model).label;
    return sotto_plan_takes_steps(&training->plan) && strcmp(steps, label) == 0;
}

/* From the plan alone; never more than will be asked for. */
static uint64_t block(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label)
{
    const struct training *training = context;
    const uint64_t steps = training->plan.training.steps;
    const uint64_t most =
        training->config.block ? training->config.block : (steps + blocks_in_a_run - 1) / blocks_in_a_run;
    const uint64_t left = training->last_step - training->record.steps_taken;
    (void)mechanism;
    if (!is_of_steps(training, label))
        return count;
    return most < left ? most : left;
}

static sotto_status commit(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label,
                           sotto_error *err)
{
    struct training *training = context;
    training->epsilon_known = false;
    const sotto_status status = sotto_ledger_run_charge(training->ledger_run, mechanism, count, label, err);
    training->charge_failed = status != SOTTO_OK;
    if (status == SOTTO_OK)
        sotto_run_log(&training->directory, "charged %llu for \"%s\"", (unsigned long long)count, label);
    return status;
}

/* What earlier attempts were charged. */
static sotto_status recall(struct training *training, sotto_error *err)
{
    size_t count;
    sotto_status status = SOTTO_OK;
    const sotto_charge *charges = sotto_ledger_run_charges(training->ledger_run, &count);
    for (size_t i = 0; i < count && status == SOTTO_OK; i++)
        status = sotto_budget_recall(training->budget, &charges[i].mechanism, charges[i].count,
                                     charges[i].label, err);
    return status;
}

sotto_status sotto_training_open_budget(struct training *training, sotto_error *err)
{
    const sotto_config *config = &training->config;
    sotto_plan *plan = &training->plan;
    const uint64_t attempts = sotto_ledger_run_attempt(training->ledger_run);
    const sotto_journal journal = {.context = training, .block = block, .commit = commit};
    sotto_status status = SOTTO_OK;
    /* Each attempt draws as much noise as the plan does, at most. */
    if (attempts > 1)
        status = sotto_delta_shares_make(&plan->shares, config, plan->shares.draws * (double)attempts, err);
    if (status == SOTTO_OK)
        status = sotto_budget_create(config->accountant, config->epsilon, plan->shares.accountant,
                                     &training->budget, err);
    if (status == SOTTO_OK)
        status = recall(training, err);
    if (status == SOTTO_OK)
        sotto_budget_keep(training->budget, &journal);
    training->record.attempts = attempts;
    return status;
}

/* What is planned and not bought yet, beside the steps. */
static sotto_status compose_rest(const struct training *training, sotto_accountant *rest, sotto_error *err)
{
    sotto_charge planned[SOTTO_PLAN_CHARGES];
    const size_t count = sotto_plan_charges(&training->plan, planned);
    sotto_status status = SOTTO_OK;
    size_t lines;
    const sotto_charge *charged = sotto_budget_charges(training->budget, &lines);
    for (size_t i = 0; i < lines && status == SOTTO_OK; i++)
        status = sotto_accountant_compose(rest, &charged[i].mechanism, charged[i].count, err);
    for (size_t i = 0; i < count && status == SOTTO_OK; i++) {
        const bool later = strcmp(planned[i].label, SOTTO_PREDICTION_LABEL) == 0;
        if (!is_of_steps(training, planned[i].label) && (later || !training->restored))
            status = sotto_accountant_compose(rest, &planned[i].mechanism, planned[i].count, err);
    }
    return status;
}

/* Steps that the budget bears beside all that was charged and is still to be bought; none where it bears not
 * even that. */
static sotto_status ask_allowed(const struct training *training, uint64_t *allowed, sotto_error *err)
{
    const sotto_config *config = &training->config;
    const sotto_plan *plan = &training->plan;
    sotto_accountant *rest = NULL;
    *allowed = 0;
    sotto_status status = sotto_accountant_create(config->accountant, &rest, err);
    if (status == SOTTO_OK)
        status = compose_rest(training, rest, err);
    if (status == SOTTO_OK)
        status = sotto_calibrate_steps(config->accountant, config->epsilon, plan->shares.accountant,
                                       &plan->step, rest, allowed, err);
    sotto_accountant_destroy(rest);
    return status == SOTTO_ERROR_BUDGET ? SOTTO_OK : status;
}

static uint64_t steps_charged(const struct training *training)
{
    size_t lines;
    uint64_t sum = 0;
    const sotto_charge *charges = sotto_budget_charges(training->budget, &lines);
    for (size_t i = 0; i < lines; i++)
        sum += is_of_steps(training, charges[i].label) ? charges[i].count : 0;
    return sum;
}

/* Whoever goes on hears at once what is lost, and where the run will end. */
static void tell_lost(struct training *training, const sotto_run_options *options, uint64_t lost)
{
    char text[320], rest[160];
    size_t lines;
    const unsigned long long step = training->record.steps_taken, last = training->last_step,
                             planned = training->plan.training.steps;
    (void)sotto_budget_charges(training->budget, &lines);
    (void)snprintf(rest, sizeof rest,
                   training->record.spent
                       ? "the budget was planned to its end, so the run will end after step %llu of %llu"
                       : "the budget bears them: the run will go on to step %llu of %llu",
                   last, planned);
    if (training->restored)
        (void)snprintf(
            text, sizeof text,
            "%llu step%s that were charged ahead or lost are not in the checkpoint of step %llu, and stay "
            "charged; %s",
            (unsigned long long)lost, lost == 1 ? "" : "s", step, rest);
    else
        (void)snprintf(text, sizeof text,
                       "this run was never saved, so all that it was charged is lost, and stays charged; it "
                       "begins again%s%s",
                       planned > 0 ? ", and " : "", planned > 0 ? rest : "");
    if (options->warn && (lost > 0 || (!training->restored && lines > 0)))
        options->warn(options->warn_context, text);
}

sotto_status sotto_training_settle_last_step(struct training *training, const sotto_run_options *options,
                                             sotto_error *err)
{
    const bool finish = options->finish;
    sotto_training_record *record = &training->record;
    const uint64_t taken = record->steps_taken, planned = training->plan.training.steps;
    uint64_t allowed = planned - taken;
    sotto_status status = SOTTO_OK;
    if (record->attempts > 1 && sotto_plan_takes_steps(&training->plan))
        status = ask_allowed(training, &allowed, err);
    if (status != SOTTO_OK)
        return status;
    record->spent = allowed < planned - taken;
    training->last_step = record->spent ? taken + allowed : planned;
    record->steps_intended = steps_charged(training) + training->last_step - taken;
    record->finished_early = finish && taken < training->last_step;
    if (options->resume && !finish)
        tell_lost(training, options, record->steps_intended - training->last_step);
    if (finish)
        training->last_step = taken;
    else if (record->spent)
        sotto_run_log(&training->directory,
                      "work that was lost stays charged: the budget ends after step %llu of %llu",
                      (unsigned long long)training->last_step, (unsigned long long)planned);
    return SOTTO_OK;
}
