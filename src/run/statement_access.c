/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What the privacy statement says of the real rows: whose presence is hidden, every access to them, how far
 * one unit can move it, and what it cost.
 */
#include <string.h>

#include "run/statement.h"

enum { SENSITIVITY_SIZE = 400 };

/* ------------------------------------------------------------------- units */

bool sotto_statement_by_row(const sotto_training_record *record)
{
    return record->plan->unit_column == SOTTO_NONE;
}

/* Whose presence is hidden, in a word. */
static const char *unit_noun(const sotto_training_record *record)
{
    return sotto_statement_by_row(record) ? "row" : "unit";
}

/* Names of columns go in whole: cut within a character they would be no text, and the statement would be
 * lost. */
json_t *sotto_statement_unit(const sotto_training_record *record)
{
    return sotto_statement_by_row(record)
               ? json_string("row")
               : json_sprintf("all rows with one value of %s, however many; %zu such units are declared",
                              record->config->unit, record->plan->units);
}

json_t *sotto_statement_adjacency(const sotto_training_record *record)
{
    return sotto_statement_by_row(record)
               ? json_string("add or remove one row")
               : json_sprintf("add or remove all rows with one value of %s", record->config->unit);
}

/* Rows are somebody's by one column's word. */
void sotto_statement_unit_gaps(const sotto_training_record *record, json_t *list)
{
    if (sotto_statement_by_row(record))
        return;
    (void)json_array_append_new(
        list,
        json_sprintf(
            "one person under several values of %s: they are compared byte by byte, and what differs is "
            "two units",
            record->config->unit));
    if (record->plan->schema->columns[record->plan->unit_column].missing_allowed)
        (void)json_array_append_new(
            list, json_sprintf(
                      "several rows of one person without a value of %s: each of them is a unit of its own",
                      record->config->unit));
}

/* -------------------------------------------------------- charged accesses */

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

/* How far one unit can move what a round tells. */
static void round_sensitivity(const sotto_training_record *record, char text[SENSITIVITY_SIZE])
{
    const sotto_model_private wanted = sotto_model_private_wanted(record->plan->model);
    const char *noun = unit_noun(record);
    (void)snprintf(
        text, SENSITIVITY_SIZE,
        "2·%g: each vector of %zu numbers is clipped to L2 norm %g, and one %s can turn it into any other. "
        "Each %s is in one of %zu parts, by a secret coin of its own, and of the %zu vectors of a round one "
        "was computed from that part: a round is one use",
        record->plan->clipping.max_grad_norm, wanted.dimension, record->plan->clipping.max_grad_norm, noun,
        noun, wanted.parts, wanted.parts);
}

/* How far one unit can move what a private step reads. */
static void step_sensitivity(const sotto_training_record *record, char text[SENSITIVITY_SIZE])
{
    const sotto_plan *plan = record->plan;
    const sotto_clipping *c = &plan->clipping;
    const char *noun = unit_noun(record);
    const char *which = sotto_statement_by_row(record) ? "" : ", that of one of its rows,";
    if (c->kind == SOTTO_CLIPPING_ADAPTIVE)
        (void)snprintf(
            text, SENSITIVITY_SIZE,
            "each %s's gradient%s is clipped to the L2 norm C in force, and the %s adds 1/2 or -1/2 to a "
            "count; over their noise, σ_g·C = %.6g·C and %.6g, both together are one vector whose L2 norm "
            "is 1/σ at most",
            noun, which, noun, sotto_plan_gradient_noise(plan), c->count_noise);
    else
        (void)snprintf(text, SENSITIVITY_SIZE, "each %s's gradient%s is clipped to L2 norm %g", noun, which,
                       c->max_grad_norm);
}

void sotto_statement_clipping(const sotto_training_record *record, char text[SOTTO_STATEMENT_CLIPPING_SIZE])
{
    const sotto_plan *plan = record->plan;
    const sotto_clipping *c = &plan->clipping;
    const char *noun = unit_noun(record);
    if (sotto_model_private_wanted(plan->model).parts > 0) {
        (void)snprintf(
            text, SOTTO_STATEMENT_CLIPPING_SIZE,
            "flat: each vector, of all that a part's discriminator would teach, to one L2 norm, C");
        return;
    }
    switch (c->kind) {
    case SOTTO_CLIPPING_FLAT:
        (void)snprintf(text, SOTTO_STATEMENT_CLIPPING_SIZE,
                       "flat: each %s's whole gradient to one L2 norm, C", noun);
        break;
    case SOTTO_CLIPPING_AUTOMATIC:
        (void)snprintf(
            text, SOTTO_STATEMENT_CLIPPING_SIZE,
            "automatic: each %s's whole gradient is scaled by C/(its L2 norm + %g), which leaves it "
            "shorter than C",
            noun, c->stability);
        break;
    case SOTTO_CLIPPING_PER_LAYER:
        (void)snprintf(
            text, SOTTO_STATEMENT_CLIPPING_SIZE,
            "per-layer: each %s's gradient of each of %zu layers to the L2 norm C/√%zu, the whole to C", noun,
            sotto_network_blocks(sotto_model_private_wanted(plan->model).network),
            sotto_network_blocks(sotto_model_private_wanted(plan->model).network));
        break;
    case SOTTO_CLIPPING_ADAPTIVE:
        (void)snprintf(
            text, SOTTO_STATEMENT_CLIPPING_SIZE,
            "adaptive: each %s's whole gradient to one L2 norm, which begins at C and moves after each step, at rate "
            "%g, to where a share of %g of the %ss is not clipped. That share is learned from a noisy count "
            "(standard deviation %.6g), which is part of the step and charged with it: of the step's noise "
            "multiplier σ, σ_g = %.6g is left to the gradient, (2·%.6g)⁻² + σ_g⁻² = σ⁻²",
            noun, c->learning_rate, c->target_quantile, noun, c->count_noise, sotto_plan_gradient_noise(plan),
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

static void picks_sensitivity(const sotto_training_record *record, const sotto_charge *charge,
                              char text[SENSITIVITY_SIZE])
{
    const size_t most = record->config->max_rows_per_unit;
    if (most == 1)
        (void)snprintf(
            text, SENSITIVITY_SIZE,
            "1: each %s adds 1 to one cell of each candidate's table, and the score is how far its counts "
            "are from public guesses, all told, less a public number, if any; a candidate has odds of e^(ε·score/2), ε = %.6g",
            unit_noun(record), charge->mechanism.epsilon);
    else
        (void)snprintf(
            text, SENSITIVITY_SIZE,
            "%zu: each unit's rows, %zu at most, each add 1 to one cell of each candidate's table, and the score "
            "is how far its counts are from public guesses, all told, less a public number, if any; a candidate has odds of "
            "e^(ε·score/(2·%zu)), ε = %.6g",
            most, most, most, charge->mechanism.epsilon);
}

static void counts_sensitivity(const sotto_training_record *record, size_t tables,
                               char text[SENSITIVITY_SIZE])
{
    const size_t most = record->config->max_rows_per_unit;
    if (most == 1)
        (void)snprintf(text, SENSITIVITY_SIZE,
                       "L2 norm √%zu: each %s adds 1 to one cell in each of %zu tables", tables,
                       unit_noun(record), tables);
    else
        (void)snprintf(
            text, SENSITIVITY_SIZE,
            "L2 norm %zu·√%zu: each unit's rows, %zu at most, each add 1 to one cell in each of %zu "
            "tables, and may all fall into the same",
            most, tables, most, tables);
}

/* What one charge paid for, and how far one unit can move it. */
static const char *describe(const sotto_training_record *record, const sotto_charge *charge,
                            char sensitivity[SENSITIVITY_SIZE])
{
    const sotto_plan *plan = record->plan;
    if (charge->mechanism.kind == SOTTO_MECHANISM_SAMPLED_GAUSSIAN) {
        if (sotto_model_private_wanted(plan->model).parts > 0)
            round_sensitivity(record, sensitivity);
        else
            step_sensitivity(record, sensitivity);
        return sotto_model_private_wanted(plan->model).what;
    }
    const sotto_model_release *release = find_release(plan, charge->label);
    if (charge->mechanism.kind == SOTTO_MECHANISM_EXPONENTIAL) {
        picks_sensitivity(record, charge, sensitivity);
        return release->what;
    }
    const bool prediction = !release && strcmp(charge->label, SOTTO_PREDICTION_LABEL) == 0;
    counts_sensitivity(record,
                       release      ? release->tables
                       : prediction ? 1
                                    : sotto_figures_tables(plan->figures),
                       sensitivity);
    return release ? release->what : prediction ? SOTTO_PREDICTION_WHAT : SOTTO_FIGURES_WHAT;
}

sotto_status sotto_statement_accesses(const sotto_training_record *record, json_t *list, sotto_error *err)
{
    size_t count;
    const sotto_charge *charges = sotto_budget_charges(record->budget, &count);
    for (size_t i = 0; i < count; i++) {
        double epsilon;
        char sensitivity[SENSITIVITY_SIZE];
        sotto_status status = epsilon_alone(record, &charges[i], &epsilon, err);
        if (status != SOTTO_OK)
            return status;
        const char *what = describe(record, &charges[i], sensitivity);
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

/* ------------------------------------------------------ uncharged accesses */

/* That a unit's rows are found together and cut down looks at real rows too. */
static void add_grouping(const sotto_training_record *record, json_t *list)
{
    if (sotto_statement_by_row(record))
        return;
    json_t *what = json_sprintf(
        "rows with the same value of %s are put together as a unit; of each unit %zu row%s at most "
        "%s kept for training, drawn by coins of its own, and %s counted and sampled from; the "
        "others are not read again",
        record->config->unit, record->config->max_rows_per_unit,
        record->config->max_rows_per_unit == 1 ? "" : "s",
        record->config->max_rows_per_unit == 1 ? "is" : "are",
        record->config->max_rows_per_unit == 1 ? "is" : "are");
    (void)json_array_append_new(
        list,
        json_pack(
            "{s:o, s:s}", "what", what, "why",
            "which of a unit's rows are kept depends on that unit's rows and on coins alone, so a unit more or "
            "less changes nothing of any other; what the unit itself can change is what the accesses above are "
            "charged for"));
}

json_t *sotto_statement_uncharged(const sotto_training_record *record)
{
    const bool steps = sotto_plan_takes_steps(record->plan);
    json_t *list = json_pack(
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
    add_grouping(record, list);
    return list;
}
