/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The privacy statement, privacy.json: written from the charges that were made, not from the config. Nothing
 * in it is computed from real rows except through a charged mechanism, so the hash of the table is not in it:
 * it would tell two neighbouring tables apart for certain. It lies in private/metrics.json.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report/report.h"
#include "run/figures.h"

static bool is_exact(const sotto_training_record *record)
{
    return record->config->arithmetic == SOTTO_ARITHMETIC_EXACT;
}

static void add_text(json_t *list, const char *text)
{
    (void)json_array_append_new(list, json_string(text));
}

static sotto_status epsilon_alone(const sotto_training_record *record, const sotto_charge *charge,
                                  double *epsilon, sotto_error *err)
{
    sotto_accountant *accountant;
    sotto_status status = sotto_accountant_create(record->config->accountant, &accountant, err);
    if (status != SOTTO_OK)
        return status;
    status = sotto_accountant_compose(accountant, &charge->mechanism, charge->count, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_epsilon(accountant, record->plan->shares.accountant, epsilon, NULL, err);
    sotto_accountant_destroy(accountant);
    return status;
}

enum { SENSITIVITY_SIZE = 320, CLIPPING_SIZE = 480 };

/* How far one row can move what a private step reads. */
static void step_sensitivity(const sotto_plan *plan, char text[SENSITIVITY_SIZE])
{
    const sotto_clipping *c = &plan->clipping;
    if (c->kind == SOTTO_CLIPPING_ADAPTIVE)
        (void)snprintf(
            text, SENSITIVITY_SIZE,
            "each row's gradient is clipped to the L2 norm C in force, and the row adds 1/2 or -1/2 to a "
            "count; over their noise, σ_g·C = %.6g·C and %.6g, both together are one vector whose L2 norm "
            "is 1/σ at most",
            sotto_plan_gradient_noise(plan), c->count_noise);
    else
        (void)snprintf(text, SENSITIVITY_SIZE, "each row's gradient is clipped to L2 norm %g",
                       c->max_grad_norm);
}

static void clipping_facts(const sotto_plan *plan, char text[CLIPPING_SIZE])
{
    const sotto_clipping *c = &plan->clipping;
    switch (c->kind) {
    case SOTTO_CLIPPING_FLAT:
        (void)snprintf(text, CLIPPING_SIZE, "flat: each row's whole gradient to one L2 norm, C");
        break;
    case SOTTO_CLIPPING_AUTOMATIC:
        (void)snprintf(
            text, CLIPPING_SIZE,
            "automatic: each row's whole gradient is scaled by C/(its L2 norm + %g), which leaves it "
            "shorter than C",
            c->stability);
        break;
    case SOTTO_CLIPPING_PER_LAYER:
        (void)snprintf(
            text, CLIPPING_SIZE,
            "per-layer: each row's gradient of each of %zu layers to the L2 norm C/√%zu, the whole to C",
            sotto_network_blocks(sotto_model_private_wanted(plan->model).network),
            sotto_network_blocks(sotto_model_private_wanted(plan->model).network));
        break;
    case SOTTO_CLIPPING_ADAPTIVE:
        (void)snprintf(
            text, CLIPPING_SIZE,
            "adaptive: each row's whole gradient to one L2 norm, which begins at C and moves after each step, at rate "
            "%g, to where a share of %g of the rows is not clipped. That share is learned from a noisy count "
            "(standard deviation %.6g), which is part of the step and charged with it: of the step's noise "
            "multiplier σ, σ_g = %.6g is left to the gradient, (2·%.6g)⁻² + σ_g⁻² = σ⁻²",
            c->learning_rate, c->target_quantile, c->count_noise, sotto_plan_gradient_noise(plan),
            c->count_noise);
        break;
    }
}

static const sotto_model_release *find_release(const sotto_plan *plan, const char *label)
{
    for (size_t i = 0; i < plan->release_count; i++)
        if (strcmp(plan->releases[i].label, label) == 0)
            return &plan->releases[i];
    return NULL;
}

/* What one charge paid for, and how far one row can move it. */
static const char *describe(const sotto_plan *plan, const sotto_charge *charge,
                            char sensitivity[SENSITIVITY_SIZE])
{
    if (charge->mechanism.kind == SOTTO_MECHANISM_SAMPLED_GAUSSIAN) {
        step_sensitivity(plan, sensitivity);
        return sotto_model_private_wanted(plan->model).what;
    }
    const sotto_model_release *release = find_release(plan, charge->label);
    if (charge->mechanism.kind == SOTTO_MECHANISM_EXPONENTIAL) {
        (void)snprintf(
            sensitivity, SENSITIVITY_SIZE,
            "1: each row adds 1 to one cell of each candidate's table, and the score is how far its counts "
            "are from public guesses, all told; a candidate has odds of e^(ε·score/2), ε = %.6g",
            charge->mechanism.epsilon);
        return release->what;
    }
    const bool prediction = !release && strcmp(charge->label, SOTTO_PREDICTION_LABEL) == 0;
    const size_t tables = release ? release->tables : prediction ? 1 : sotto_figures_tables(plan->figures);
    (void)snprintf(sensitivity, SENSITIVITY_SIZE,
                   "L2 norm √%zu: each row adds 1 to one cell in each of %zu tables", tables, tables);
    return release ? release->what : prediction ? SOTTO_PREDICTION_WHAT : SOTTO_FIGURES_WHAT;
}

static sotto_status accesses(const sotto_training_record *record, json_t *list, sotto_error *err)
{
    size_t count;
    const sotto_charge *charges = sotto_budget_charges(record->budget, &count);
    for (size_t i = 0; i < count; i++) {
        double epsilon;
        char sensitivity[SENSITIVITY_SIZE];
        sotto_status status = epsilon_alone(record, &charges[i], &epsilon, err);
        if (status != SOTTO_OK)
            return status;
        const char *what = describe(record->plan, &charges[i], sensitivity);
        json_t *access =
            json_pack("{s:s, s:s, s:s, s:f, s:I, s:s, s:f}", "name", charges[i].label, "what", what,
                      "mechanism", sotto_mechanism_kind_name(charges[i].mechanism.kind), "sample_rate",
                      charges[i].mechanism.sample_rate, "count", (json_int_t)charges[i].count, "sensitivity",
                      sensitivity, "epsilon_alone", epsilon);
        sotto_mechanism_facts(&charges[i].mechanism, access);
        (void)json_array_append_new(list, access);
    }
    return SOTTO_OK;
}

static json_t *uncharged_accesses(const sotto_training_record *record)
{
    const bool steps = sotto_plan_takes_steps(record->plan);
    return json_pack(
        "[{s:s, s:s}, {s:s, s:s}]", "what",
        "while reading, the table is checked against the schema: columns, types, declared categories", "why",
        "a failed check ends the run with a message to the custodian alone, before anything is charged or "
        "released; that there is a release tells that every cell could be read under the schema",
        "what",
        steps
            ? "losses, realised batch sizes, the number of rows and how many values were clamped are written to "
              "private/"
            : "the number of rows and how many values were clamped are written to private/",
        "why",
        "they are computed from real data without noise, are not covered by the guarantee, and must stay "
        "with the custodian");
}

static json_t *preprocessing(const sotto_training_record *record)
{
    json_t *list = json_array();
    add_text(
        list,
        "bounds, categories, bins, spikes and the row count are those that the schema declares as public; "
        "this program took none of them from the data, and that nobody else did is the custodian's word");
    add_text(
        list,
        "values outside the declared bounds were set to the bound, undeclared categories to the declared "
        "`other` or to missing");
    if (record->config->holdout > 0)
        add_text(
            list,
            "each row was kept out of training by an independent coin; no reduction of epsilon is claimed "
            "for that");
    return list;
}

static void add_texts(json_t *list, const char *const *texts)
{
    for (; *texts; texts++)
        add_text(list, *texts);
}

const char sotto_statement_choices[] =
    "choices made by looking at the data: a schema drafted from the table, settings tuned on it, or a run picked among "
    "several";

/* With exact noise what is computed is what is proved, and what is left is the machine around it. */
static json_t *not_covered(const sotto_training_record *record)
{
    static const char *const of_releases[] = {
        "an attacker who can tell the stream of AES-256 in counter mode, from which all noise and all coins come, "
        "from true randomness: none is known",
        "faults of the processor or the compiler",
        NULL,
    };
    static const char *const of_exact[] = {
        "an attacker who can tell the stream of AES-256 in counter mode, from which all noise and all coins come, "
        "from true randomness: none is known",
        "faults of the processor or the compiler: that a row's gradient does not depend on the other rows of its "
        "batch is how the program computes it, and was tried on this machine before the first step, on made-up rows",
        NULL,
    };
    static const char *const of_float[] = {
        "floating-point Gaussian noise: the proof is for real numbers. The noise lies on a grid, is rounded to 32 bits "
        "and added to 32-bit sums, and the low-order bits of the result can tell more than the formula says; `noise: "
        "exact` does not have this gap",
        "floating-point sums: added up in 32 bits, the clipped gradients of a step can move by more than the clipping "
        "norm when one row is added: slightly, more so in larger batches; and by much more for a row made to that end",
        "an attacker who can tell the stream of AES-256 in counter mode, from which all noise and all coins come, "
        "from true randomness: none is known",
        NULL,
    };
    const bool steps = sotto_plan_takes_steps(record->plan);
    const char *const of_both[] = {
        "the files in private/, which are computed from real data without noise",
        "other releases from the same table: epsilons of several runs add up, and no ledger keeps the sum yet",
        sotto_statement_choices,
        steps
            ? "running time, memory use and other side channels of the machine during training: how long a step "
              "takes depends on how many rows its coins chose, and a little on the noise that was drawn"
            : "running time, memory use and other side channels of the machine while it counts: how long that takes "
              "depends on how many rows there are, and a little on what was drawn",
        "tables without rows, or with cells that the schema has no place for: they end in an error instead of a release",
        "what follows about one person from the population as a whole, as it would without that person's row",
        "several rows of one person: the unit is a row",
        NULL,
    };
    json_t *list = json_array();
    if (record->not_private[0])
        add_text(list, "anything at all: the noise was made from a fixed seed");
    add_texts(list, !steps ? of_releases : is_exact(record) ? of_exact : of_float);
    add_texts(list, of_both);
    return list;
}

/* SHA-256 of the running program, where the system can name it. */
static void code_hash(char text[96])
{
    char hex[65];
    if (sotto_sha256_file("/proc/self/exe", hex, NULL) == SOTTO_OK)
        (void)snprintf(text, 96, "sotto %s, program sha256 %s", SOTTO_VERSION, hex);
    else
        (void)snprintf(text, 96, "sotto %s", SOTTO_VERSION);
}

static sotto_status hashes(const sotto_training_record *record, json_t **hashes, sotto_error *err)
{
    char code[96];
    char config[65];
    char *text = NULL;
    sotto_status status = sotto_config_format(record->config, &text, err);
    if (status != SOTTO_OK)
        return status;
    sotto_sha256_hex(text, strlen(text), config);
    free(text);
    code_hash(code);
    *hashes =
        json_pack("{s:s, s:s, s:s}", "code", code, "config", config, "schema", record->plan->schema_sha256);
    return SOTTO_OK;
}

static json_t *training_facts(const sotto_training_record *record)
{
    const sotto_plan *plan = record->plan;
    char clipping[CLIPPING_SIZE];
    if (!sotto_plan_takes_steps(plan))
        return json_pack(
            "{s:s, s:I, s:I, s:n, s:n, s:n, s:s, s:I}", "model", sotto_model_type(plan->model),
            "steps_planned", (json_int_t)0, "steps_taken", (json_int_t)0, "noise_multiplier", "max_grad_norm",
            "clipping", "stopped",
            "at its plan's end: this model learns from the accesses above alone, and takes no private "
            "steps",
            "private_parameters", (json_int_t)0);
    clipping_facts(plan, clipping);
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:s, s:s, s:I}", "model", sotto_model_type(plan->model),
                     "steps_planned", (json_int_t)plan->training.steps, "steps_taken",
                     (json_int_t)record->steps_taken, "noise_multiplier", plan->step.noise_multiplier,
                     "max_grad_norm", plan->clipping.max_grad_norm, "clipping", clipping, "stopped",
                     record->interrupted ? "on request, before the planned steps" : "at the planned steps",
                     "private_parameters",
                     (json_int_t)sotto_network_parameters(sotto_model_private_wanted(plan->model).network));
}

static json_t *sampling_facts(const sotto_plan *plan)
{
    if (!sotto_plan_takes_steps(plan))
        return json_pack("{s:s, s:s, s:n, s:n, s:I}", "assumed",
                         "none: every access reads every row for training", "actual", "none", "sample_rate",
                         "expected_batch_size", "rows", (json_int_t)plan->schema->rows);
    return json_pack("{s:s, s:s, s:f, s:f, s:I}", "assumed",
                     "Poisson: each row is in a step's batch independently", "actual",
                     "Poisson: one coin for each row and step from an AES-256-CTR stream, never likelier "
                     "than the rate",
                     "sample_rate", plan->step.sample_rate, "expected_batch_size",
                     plan->step.sample_rate * plan->public_units, "rows", (json_int_t)plan->schema->rows);
}

static void today(char text[16])
{
    const time_t now = time(NULL);
    struct tm parts;
    if (!gmtime_r(&now, &parts) || strftime(text, 16, "%Y-%m-%d", &parts) == 0)
        (void)snprintf(text, 16, "unknown");
}

/* What was spent is not in it yet. */
static json_t *guarantee(const sotto_training_record *record)
{
    return json_pack(
        "{s:n, s:n, s:n, s:f, s:s, s:s, s:s}", "sentence", "epsilon", "delta", "target_epsilon",
        record->config->epsilon, "unit", "row", "adjacency", "add or remove one row", "trust_model",
        "central: the custodian who runs this program sees the real rows; everyone else sees release/ only");
}

static const char *adaptivity(const sotto_training_record *record)
{
    if (!sotto_plan_takes_steps(record->plan))
        return "the kind, the parameters and the number of all accesses were fixed before the first";
    return record->config->clipping.kind == SOTTO_CLIPPING_ADAPTIVE
               ? "all sample rates and noise multipliers were fixed before the first step, and the clipping norm "
                 "follows from noisy counts that are charged; a run stopped early is charged the steps it took"
               : "all parameters were fixed before the first step; a run stopped early is charged the steps it "
                 "took";
}

static json_t *noise_facts(const sotto_training_record *record)
{
    const char *source =
        record->not_private[0] ? "a fixed seed for tests: NOT PRIVATE"
        : sotto_plan_takes_steps(record->plan)
            ? "AES-256-CTR streams keyed by 32 bytes of operating-system entropy, mixed anew in each step"
            : "AES-256-CTR streams keyed by 32 bytes of operating-system entropy";
    if (!is_exact(record))
        return json_pack(
            "{s:s, s:s, s:s}", "mode", "float", "what",
            "gradients: discrete Gaussian draws on a grid of 2⁻²⁷ standard deviations, scaled and rounded "
            "to 32-bit floats, added to 32-bit sums; counts: as in exact mode, but without its charge to δ",
            "random_source", source);
    return json_pack(
        "{s:s, s:s, s:s}", "mode", "exact", "what",
        sotto_plan_takes_steps(record->plan)
            ? "discrete Gaussian noise with a standard deviation of 2²⁷ steps of a grid, added in integers: each row's "
              "contribution is a vector of integers whose norm is checked in integers, and sums are exact"
            : "discrete Gaussian noise with a standard deviation of 2²⁷ steps of a grid, added to counts in integers, "
              "and exact coins for what is picked",
        "random_source", source);
}

/* All but what follows from what was spent. Lists are taken over. */
static json_t *assemble(const sotto_training_record *record, json_t *released, json_t *accesses,
                        json_t *hashed)
{
    char date[16];
    today(date);
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:O, s:o, s:o, s:{s:s}, s:[], s:[], s:o, s:s, s:o, s:o, s:o}",
        "format", "sotto privacy statement 1", "made_by", "sotto " SOTTO_VERSION, "date", date, "not_private",
        record->not_private[0] ? record->not_private : NULL, "guarantee", guarantee(record), "accesses",
        accesses, "uncharged_accesses", uncharged_accesses(record), "released", released, "sampling",
        sampling_facts(record->plan), "training", training_facts(record), "accounting", "adaptivity",
        adaptivity(record), "curve", "attack", "preprocessing", preprocessing(record), "tuning",
        record->tuning, "noise", noise_facts(record), "hashes", hashed, "not_covered", not_covered(record));
}

static sotto_status spent(const sotto_training_record *record, sotto_spending *spending, sotto_error *err)
{
    const sotto_delta_shares *shares = &record->plan->shares;
    *spending = (sotto_spending){.kind = record->config->accountant,
                                 .accountant = sotto_budget_accountant(record->budget),
                                 .delta = record->config->delta,
                                 .draws = shares->draws,
                                 .noise_delta = shares->noise,
                                 .accountant_delta = shares->accountant};
    return sotto_budget_epsilon(record->budget, &spending->epsilon, &spending->order, err);
}

sotto_status sotto_statement_make(const sotto_training_record *record, json_t *released, json_t **statement,
                                  sotto_error *err)
{
    sotto_spending spending;
    json_t *list = json_array(), *hashed = NULL;
    sotto_status status = spent(record, &spending, err);
    if (status == SOTTO_OK)
        status = accesses(record, list, err);
    if (status == SOTTO_OK)
        status = hashes(record, &hashed, err);
    if (status != SOTTO_OK) {
        json_decref(list);
        return status;
    }
    *statement = assemble(record, released, list, hashed);
    if (!*statement)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the privacy statement");
    status = sotto_statement_spend(*statement, &spending, err);
    if (status != SOTTO_OK) {
        json_decref(*statement);
        *statement = NULL;
    }
    return status;
}
