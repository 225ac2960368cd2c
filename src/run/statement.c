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
#include "run/statement.h"

static bool is_exact(const sotto_training_record *record)
{
    return record->config->arithmetic == SOTTO_ARITHMETIC_EXACT;
}

/* Of how many parts of the units vectors are told, in the place of private steps; 0 for none. */
static size_t parts_of(const sotto_training_record *record)
{
    return sotto_model_private_wanted(record->plan->model).parts;
}

/* How many numbers were trained on, or are, what noise was put on. */
static size_t noisy_numbers(const sotto_training_record *record)
{
    const sotto_model_private wanted = sotto_model_private_wanted(record->plan->model);
    return wanted.parts > 0 ? sotto_model_parameters(record->plan->model)
                            : sotto_network_parameters(wanted.network);
}

static void add_text(json_t *list, const char *text)
{
    (void)json_array_append_new(list, json_string(text));
}

static json_t *preprocessing(const sotto_training_record *record)
{
    json_t *list = json_array();
    add_text(
        list,
        sotto_statement_by_row(record)
            ? "bounds, categories, bins, spikes and the row count are those that the schema declares as public; "
              "this program took none of them from the data, and that nobody else did is the custodian's word"
            : "bounds, categories, bins, spikes and the numbers of rows and of units are those that the schema "
              "declares as public; this program took none of them from the data, and that nobody else did is the "
              "custodian's word");
    add_text(
        list,
        "values outside the declared bounds were set to the bound, undeclared categories to the declared "
        "`other` or to missing");
    if (record->config->holdout > 0)
        add_text(
            list,
            sotto_statement_by_row(record)
                ? "each row was kept out of training by an independent coin; no reduction of epsilon is claimed "
                  "for that"
                : "each unit was kept out of training, with all its rows, by an independent coin; no reduction of "
                  "epsilon is claimed for that");
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
        "other releases from the same table: what all runs on it cost together stands in the custodian's ledger, and "
        "not here",
        sotto_statement_choices,
        parts_of(record) > 0
            ? "running time, memory use and other side channels of the machine during training: how long a turn "
              "takes depends on whether there are rows in its part, and a little on the noise that was drawn"
        : steps
            ? "running time, memory use and other side channels of the machine during training: how long a step "
              "takes depends on how many rows its coins chose, and a little on the noise that was drawn"
            : "running time, memory use and other side channels of the machine while it counts: how long that takes "
              "depends on how many rows there are, and a little on what was drawn",
        "tables without rows, or with cells that the schema has no place for: they end in an error instead of a release",
        sotto_statement_by_row(record)
            ? "what follows about one person from the population as a whole, as it would without that person's row"
            : "what follows about one person from the population as a whole, as it would without that person's rows",
        record->finished_early || record->attempts > 1
            ? "when this run was stopped, how often it was gone on with and by whom: somebody may have looked at "
              "private/ before deciding, and what made a process end may depend on the machine, and on rows"
            : NULL,
        NULL,
    };
    json_t *list = json_array();
    if (record->not_private[0])
        add_text(list, "anything at all: the noise was made from a fixed seed");
    if (sotto_statement_by_row(record))
        add_text(list, "several rows of one person: the unit is a row");
    add_texts(list, !steps || parts_of(record) > 0 ? of_releases : is_exact(record) ? of_exact : of_float);
    add_texts(list, of_both);
    sotto_statement_unit_gaps(record, list);
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
    char clipping[SOTTO_STATEMENT_CLIPPING_SIZE];
    if (!sotto_plan_takes_steps(plan))
        return json_pack(
            "{s:s, s:I, s:I, s:n, s:n, s:n, s:s, s:I}", "model", sotto_model_type(plan->model),
            "steps_planned", (json_int_t)0, "steps_taken", (json_int_t)0, "noise_multiplier", "max_grad_norm",
            "clipping", "stopped",
            "at its plan's end: this model learns from the accesses above alone, and takes no private "
            "steps",
            "private_parameters", (json_int_t)0);
    sotto_statement_clipping(record, clipping);
    char stopped[SOTTO_HEALTH_VERDICT + 160];
    if (record->diverged[0])
        (void)snprintf(stopped, sizeof stopped,
                       "%s, since it was diverging: %s; neither rows nor a model were made of it",
                       record->config->training.keep_on ? "without a release" : "by itself",
                       record->diverged);
    else
        (void)snprintf(
            stopped, sizeof stopped, "%s",
            record->finished_early ? "on request, before the planned steps"
            : record->spent
                ? "at the end of the budget, before the planned steps: work that was lost stays charged"
                : "at the planned steps");
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:s, s:s, s:s?, s:I}", "model", sotto_model_type(plan->model),
                     "steps_planned", (json_int_t)plan->training.steps, "steps_taken",
                     (json_int_t)record->steps_taken, "noise_multiplier", plan->step.noise_multiplier,
                     "max_grad_norm", plan->clipping.max_grad_norm, "clipping", clipping, "stopped", stopped,
                     "diverged", record->diverged[0] ? record->diverged : NULL, "private_parameters",
                     (json_int_t)noisy_numbers(record));
}

static json_t *sampling_facts(const sotto_training_record *record)
{
    const sotto_plan *plan = record->plan;
    if (!sotto_plan_takes_steps(plan))
        return json_pack(
            "{s:s, s:s, s:n, s:n, s:I}", "assumed",
            sotto_statement_by_row(record) ? "none: every access reads every row for training"
                                           : "none: every access reads every row kept for training",
            "actual", "none", "sample_rate", "expected_batch_size", "rows", (json_int_t)plan->schema->rows);
    if (parts_of(record) > 0)
        return json_pack(
            "{s:s, s:s, s:n, s:n, s:I}", "assumed",
            "none: each round reads all that is for training, and no reduction of epsilon is claimed for who is in "
            "which part",
            "actual",
            sotto_statement_by_row(record)
                ? "each row is in one part, by one coin from an AES-256-CTR stream, tossed before the first round"
                : "each unit is in one part with all its kept rows, by one coin from an AES-256-CTR stream, tossed "
                  "before the first round",
            "sample_rate", "expected_batch_size", "rows", (json_int_t)plan->schema->rows);
    return json_pack(
        "{s:s, s:s, s:f, s:f, s:I}", "assumed",
        sotto_statement_by_row(record)
            ? "Poisson: each row is in a step's batch independently"
            : "Poisson: each unit is in a step's batch independently, with one row",
        "actual",
        sotto_statement_by_row(record)
            ? "Poisson: one coin for each row and step from an AES-256-CTR stream, never likelier "
              "than the rate"
            : "Poisson: one coin for each unit and step from an AES-256-CTR stream, never likelier "
              "than the rate; which of its kept rows a sampled unit brings is drawn anew in each step",
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
        "{s:n, s:n, s:n, s:n, s:f, s:o, s:o, s:s}", "sentence", "epsilon", "epsilon_of_steps_taken", "delta",
        "target_epsilon", record->config->epsilon, "unit", sotto_statement_unit(record), "adjacency",
        sotto_statement_adjacency(record), "trust_model",
        "central: the custodian who runs this program sees the real rows; everyone else sees release/ only");
}

static const char *adaptivity(const sotto_training_record *record)
{
    if (!sotto_plan_takes_steps(record->plan))
        return "the kind, the parameters and the number of all accesses were fixed before the first";
    if (record->diverged[0])
        return "all parameters were fixed before the first step; that the run made nothing, and when it ended, follows "
               "from what private steps and counts had told, so the promise is that of all planned steps and releases, "
               "which bounds any outcome; the steps taken bound outcomes that end after as many";
    return record->config->clipping.kind == SOTTO_CLIPPING_ADAPTIVE
               ? "all sample rates and noise multipliers were fixed before the first step, and the clipping norm "
                 "follows from noisy counts that are charged; a run that ended before its plan promises all of it"
               : "all parameters were fixed before the first step; a run that ended before its plan promises all of "
                 "it";
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
        parts_of(record) > 0
            ? "discrete Gaussian noise with a standard deviation of 2²⁷ steps of a grid, added in integers: a vector "
              "becomes integers whose norm is checked in integers, so that no two can differ by more than is charged "
              "for"
        : sotto_plan_takes_steps(record->plan)
            ? "discrete Gaussian noise with a standard deviation of 2²⁷ steps of a grid, added in integers: each "
              "example's contribution is a vector of integers whose norm is checked in integers, and sums are exact"
            : "discrete Gaussian noise with a standard deviation of 2²⁷ steps of a grid, added to counts in integers, "
              "and exact coins for what is picked",
        "random_source", source);
}

json_t *sotto_statement_ledger(const sotto_ledger_run *run, const sotto_ledger *ledger, const char *id)
{
    const sotto_ledger_head head = sotto_ledger_last(ledger);
    return json_pack("{s:s?, s:s, s:I, s:s, s:s}", "data_set", id, "run", sotto_ledger_run_id(run),
                     "attempts", (json_int_t)sotto_ledger_run_attempt(run), "ledger", head.ledger, "hash",
                     head.hash);
}

/* All but what follows from what was spent. Lists are taken over. */
static json_t *assemble(const sotto_training_record *record, json_t *released, json_t *accesses,
                        json_t *hashed)
{
    char date[16];
    today(date);
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:O, s:o, s:o, s:{s:s}, s:[], s:[], s:o, s:s, s:o, s:o, s:o, s:o}",
        "format", "sotto privacy statement 1", "made_by", "sotto " SOTTO_VERSION, "date", date, "not_private",
        record->not_private[0] ? record->not_private : NULL, "guarantee", guarantee(record), "accesses",
        accesses, "uncharged_accesses", sotto_statement_uncharged(record), "released", released, "sampling",
        sampling_facts(record), "training", training_facts(record), "accounting", "adaptivity",
        adaptivity(record), "curve", "attack", "preprocessing", preprocessing(record), "tuning",
        record->tuning, "noise", noise_facts(record), "hashes", hashed, "not_covered", not_covered(record),
        "ledger", sotto_statement_ledger(record->ledger_run, record->ledger, record->config->data_id));
}

/* How often this was to be done in all: as planned; steps, as far as the budget bore them after what was
 * lost. */
static uint64_t intended(const sotto_training_record *record, const sotto_charge *planned)
{
    const char *steps = sotto_model_private_wanted(record->plan->model).label;
    return sotto_plan_takes_steps(record->plan) && strcmp(planned->label, steps) == 0 ? record->steps_intended
                                                                                      : planned->count;
}

/* What is still missing of what was intended: what the promise is larger by than what was charged. */
static sotto_status compose_missing(const sotto_training_record *record, sotto_accountant *all, bool *missing,
                                    sotto_error *err)
{
    sotto_charge planned[SOTTO_PLAN_CHARGES];
    const size_t count = sotto_plan_charges(record->plan, planned);
    size_t lines;
    const sotto_charge *charges = sotto_budget_charges(record->budget, &lines);
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < count && status == SOTTO_OK; i++) {
        const uint64_t wanted = intended(record, &planned[i]);
        uint64_t was = 0;
        for (size_t k = 0; k < lines; k++)
            if (sotto_mechanism_equal(&charges[k].mechanism, &planned[i].mechanism) &&
                strcmp(charges[k].label, planned[i].label) == 0)
                was += charges[k].count;
        if (was >= wanted)
            continue;
        *missing = true;
        status = sotto_accountant_compose(all, &planned[i].mechanism, wanted - was, err);
    }
    return status;
}

/* All that was charged, and what is missing of what was intended. */
static sotto_status compose_promise(const sotto_training_record *record, sotto_accountant **all,
                                    bool *missing, sotto_error *err)
{
    size_t lines;
    const sotto_charge *charges = sotto_budget_charges(record->budget, &lines);
    *missing = false;
    sotto_status status = sotto_accountant_create(record->config->accountant, all, err);
    for (size_t i = 0; i < lines && status == SOTTO_OK; i++)
        status = sotto_accountant_compose(*all, &charges[i].mechanism, charges[i].count, err);
    return status == SOTTO_OK ? compose_missing(record, *all, missing, err) : status;
}

/*
 * What is promised: what was charged; but where a run ended before it did all that was intended, all of that.
 * When it ended may be seen from what steps told, so that the steps taken bound outcomes that end after as
 * many, and no others.
 */
static sotto_status promise(const sotto_training_record *record, sotto_accountant **all,
                            sotto_spending *spending, sotto_error *err)
{
    const sotto_delta_shares *shares = &record->plan->shares;
    bool missing;
    *all = NULL;
    *spending = (sotto_spending){.kind = record->config->accountant,
                                 .accountant = sotto_budget_accountant(record->budget),
                                 .delta = record->config->delta,
                                 .draws = shares->draws,
                                 .noise_delta = shares->noise,
                                 .accountant_delta = shares->accountant};
    sotto_status status = compose_promise(record, all, &missing, err);
    if (status != SOTTO_OK || !missing)
        return status == SOTTO_OK
                   ? sotto_budget_epsilon(record->budget, &spending->epsilon, &spending->order, err)
                   : status;
    spending->accountant = *all;
    return sotto_accountant_epsilon(*all, shares->accountant, &spending->epsilon, &spending->order, err);
}

sotto_status sotto_statement_promise(const sotto_training_record *record, double *epsilon, sotto_error *err)
{
    sotto_accountant *all;
    sotto_spending spending;
    const sotto_status status = promise(record, &all, &spending, err);
    *epsilon = spending.epsilon;
    sotto_accountant_destroy(all);
    return status;
}

/* Beside the promise, what holds of outcomes like this one alone. */
static sotto_status put_steps_taken(const sotto_training_record *record, json_t *promised, sotto_error *err)
{
    double epsilon;
    char figure[SOTTO_FIGURE_SIZE];
    if (!record->diverged[0])
        return SOTTO_OK;
    const sotto_status status = sotto_budget_epsilon(record->budget, &epsilon, NULL, err);
    if (status != SOTTO_OK)
        return status;
    (void)json_object_set_new(promised, "epsilon_of_steps_taken", json_real(epsilon));
    sotto_figure_up(epsilon, 6, figure);
    if (!record->not_private[0])
        (void)json_object_set_new(
            promised, "sentence",
            json_sprintf(
                "%s Of outcomes in which the run ends after these %llu steps, as it did, the factor is at "
                "most e^%s, up to the same additional probability.",
                json_string_value(json_object_get(promised, "sentence")),
                (unsigned long long)record->steps_taken, figure));
    return SOTTO_OK;
}

sotto_status sotto_statement_make(const sotto_training_record *record, json_t *released, json_t **statement,
                                  sotto_error *err)
{
    sotto_spending spending;
    sotto_accountant *all;
    json_t *list = json_array(), *hashed = NULL;
    *statement = NULL;
    sotto_status status = promise(record, &all, &spending, err);
    if (status == SOTTO_OK)
        status = sotto_statement_accesses(record, list, err);
    if (status == SOTTO_OK)
        status = hashes(record, &hashed, err);
    if (status != SOTTO_OK) {
        json_decref(list);
        goto done;
    }
    *statement = assemble(record, released, list, hashed);
    if (!*statement) {
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the privacy statement");
        goto done;
    }
    status = sotto_statement_spend(*statement, &spending, err);
    if (status == SOTTO_OK)
        status = put_steps_taken(record, json_object_get(*statement, "guarantee"), err);
    if (status != SOTTO_OK) {
        json_decref(*statement);
        *statement = NULL;
    }
done:
    sotto_accountant_destroy(all);
    return status;
}
