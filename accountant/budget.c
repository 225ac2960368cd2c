/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sotto_budget {
    double epsilon, delta;
    sotto_accountant *accountant; /* all charges, composed */
    accountant_filter *filter;    /* NULL where the parameters are fixed in advance */
    sotto_charge *charges;        /* the same, by label */
    uint64_t *ahead;              /* of each: uses that were committed and not asked for yet */
    size_t length, capacity;
    sotto_journal journal; /* commit is NULL where there is none */
    bool recalled;         /* some charges were made without asking this budget */
    /* The answer to the last question about remaining uses, kept true by every charge. */
    bool has_answer;
    sotto_mechanism asked; /* owned, while there is an answer */
    uint64_t remaining;
    accountant_cover cover; /* what else is known; unused with a filter */
};

sotto_status sotto_budget_create(sotto_accountant_kind kind, double epsilon, double delta, sotto_budget **out,
                                 sotto_error *err)
{
    sotto_status status = accountant_check_kind(kind, err);
    if (status == SOTTO_OK)
        status = accountant_check_target(epsilon, delta, err);
    if (status != SOTTO_OK)
        return status;
    sotto_budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a privacy budget");
    budget->epsilon = epsilon;
    budget->delta = delta;
    status = sotto_accountant_create(kind, &budget->accountant, err);
    if (status != SOTTO_OK)
        sotto_budget_destroy(budget);
    else
        *out = budget;
    return status;
}

/* The last answer no longer holds. */
static void forget(sotto_budget *budget)
{
    if (budget->has_answer)
        accountant_mechanism_release(&budget->asked);
    budget->has_answer = false;
}

void sotto_budget_destroy(sotto_budget *budget)
{
    if (!budget)
        return;
    for (size_t i = 0; i < budget->length; i++)
        free((char *)budget->charges[i].label);
    free(budget->charges);
    free(budget->ahead);
    forget(budget);
    sotto_accountant_destroy(budget->accountant);
    accountant_filter_destroy(budget->filter);
    accountant_cover_free(&budget->cover);
    free(budget);
}

sotto_status sotto_budget_create_filter(double epsilon, double delta, const sotto_accountant *plan,
                                        sotto_budget **out, sotto_error *err)
{
    sotto_budget *budget;
    sotto_status status = sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &budget, err);
    if (status != SOTTO_OK)
        return status;
    status = accountant_filter_create(plan, epsilon, delta, &budget->filter, err);
    if (status != SOTTO_OK)
        sotto_budget_destroy(budget);
    else
        *out = budget;
    return status;
}

static bool is_answered(const sotto_budget *budget, const sotto_mechanism *mechanism)
{
    return budget->has_answer && mechanism && sotto_mechanism_equal(&budget->asked, mechanism);
}

static sotto_status ask_filter(sotto_budget *budget, const sotto_mechanism *mechanism, sotto_error *err)
{
    const sotto_status status = accountant_check_use(budget->accountant, mechanism, err);
    if (status != SOTTO_OK)
        return status;
    const uint64_t most = SOTTO_ACCOUNTANT_MAX_COUNT - accountant_count(budget->accountant, mechanism);
    return accountant_filter_remaining(budget->filter, mechanism, most, &budget->remaining, err);
}

/* At least what would be allowed without asking: a composition within one that keeps the target keeps it,
 * whatever the last digits of its own ε say. */
static sotto_status ask_accountant(sotto_budget *budget, const sotto_mechanism *mechanism, sotto_error *err)
{
    accountant_cover_line *line;
    sotto_status status = accountant_check_use(budget->accountant, mechanism, err);
    if (status == SOTTO_OK)
        status = accountant_cover_line_of(&budget->cover, mechanism, &line, err);
    if (status == SOTTO_OK)
        status = sotto_calibrate_steps(budget->accountant->kind, budget->epsilon, budget->delta, mechanism,
                                       budget->accountant, &budget->remaining, err);
    if (status == SOTTO_OK) {
        const uint64_t known = accountant_cover_room(&budget->cover, line);
        budget->remaining = known > budget->remaining ? known : budget->remaining;
    }
    return status;
}

/* Make `remaining` the answer for this mechanism. */
static sotto_status ask(sotto_budget *budget, const sotto_mechanism *mechanism, sotto_error *err)
{
    if (is_answered(budget, mechanism))
        return SOTTO_OK;
    forget(budget);
    sotto_status status =
        budget->filter ? ask_filter(budget, mechanism, err) : ask_accountant(budget, mechanism, err);
    if (status == SOTTO_OK) {
        budget->asked = *mechanism;
        status = accountant_mechanism_own(&budget->asked, err);
        budget->has_answer = status == SOTTO_OK;
    }
    return status;
}

/* By privacy-loss distributions, ε is never above that by Rényi divergences, which is had at once. */
static sotto_status keeps_target(const sotto_accountant *composition, const void *context, bool *keeps,
                                 sotto_error *err)
{
    const sotto_budget *budget = context;
    sotto_accountant whole = *composition;
    whole.kind = budget->accountant->kind;
    double epsilon;
    sotto_status status = accountant_rdp_epsilon(&whole, budget->delta, &epsilon, NULL, err);
    if (status == SOTTO_OK && epsilon > budget->epsilon && whole.kind != SOTTO_ACCOUNTANT_RDP)
        status = sotto_accountant_epsilon(&whole, budget->delta, &epsilon, NULL, err);
    *keeps = status == SOTTO_OK && epsilon <= budget->epsilon;
    return status;
}

/*
 * Of a mechanism that comes several times in a row: how many uses remain answers all of the loop at once. By
 * Rényi divergences first: many a loop ends before they do, and the exact number takes a search.
 */
static sotto_status may_streak(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                               accountant_cover_line *line, bool *allowed, sotto_error *err)
{
    uint64_t by_renyi = 0;
    sotto_status status = SOTTO_OK;
    if (budget->accountant->kind != SOTTO_ACCOUNTANT_RDP)
        status = sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, budget->epsilon, budget->delta, mechanism,
                                       budget->accountant, &by_renyi, err);
    *allowed = status == SOTTO_OK && count <= by_renyi;
    if (*allowed)
        accountant_cover_extend(&budget->cover, line, by_renyi);
    else if (status == SOTTO_OK) {
        status = ask(budget, mechanism, err);
        *allowed = status == SOTTO_OK && count <= budget->remaining;
    }
    return status;
}

/*
 * Do `count` more uses keep within the target? What the accountant would say. Where several
 * mechanisms take turns, each charge unsettles the answer about the others; the cover stands in for it.
 */
static sotto_status may(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count, bool *allowed,
                        sotto_error *err)
{
    *allowed = false;
    if (budget->filter || is_answered(budget, mechanism)) {
        const sotto_status status = ask(budget, mechanism, err);
        *allowed = status == SOTTO_OK && count <= budget->remaining;
        return status;
    }
    accountant_cover_line *line = NULL;
    sotto_status status = accountant_check_use(budget->accountant, mechanism, err);
    if (status == SOTTO_OK)
        status = accountant_cover_line_of(&budget->cover, mechanism, &line, err);
    if (status != SOTTO_OK || accountant_cover_knows(&budget->cover, line, count, allowed))
        return status;
    if (accountant_cover_is_streak(&budget->cover, line))
        return may_streak(budget, mechanism, count, line, allowed, err);
    return accountant_cover_ask(&budget->cover, line, count, keeps_target, budget, allowed, err);
}

uint64_t sotto_budget_remaining(sotto_budget *budget, const sotto_mechanism *mechanism)
{
    return ask(budget, mechanism, NULL) == SOTTO_OK ? budget->remaining : 0;
}

bool sotto_budget_allows(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count)
{
    bool allowed;
    (void)may(budget, mechanism, count, &allowed, NULL);
    return allowed;
}

static sotto_status refuse_by_filter(const sotto_budget *budget, const sotto_mechanism *mechanism,
                                     uint64_t count, const char *label, sotto_error *err)
{
    char what[160];
    accountant_mechanism_describe(mechanism, what, sizeof what);
    return sotto_error_set(
        err, SOTTO_ERROR_BUDGET,
        "charging %llu uses of a %s for \"%s\" "
        "would exceed the privacy filter's share of some order, and so perhaps epsilon %g at delta %g; "
        "%llu uses are left",
        (unsigned long long)count, what, label, budget->epsilon, budget->delta,
        (unsigned long long)budget->remaining);
}

static sotto_status refuse(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                           const char *label, sotto_error *err)
{
    if (!err)
        return SOTTO_ERROR_BUDGET; /* the words would cost evaluations of ε */
    if (budget->filter)
        return refuse_by_filter(budget, mechanism, count, label, err);
    const uint64_t left = count > 1 ? sotto_budget_remaining(budget, mechanism) : 0;
    double epsilon = INFINITY;
    (void)accountant_epsilon_with(budget->accountant->kind, budget->accountant, mechanism, count,
                                  budget->delta, &epsilon, NULL, NULL);
    char what[160];
    accountant_mechanism_describe(mechanism, what, sizeof what);
    return sotto_error_set(
        err, SOTTO_ERROR_BUDGET,
        "charging %llu uses of a %s for \"%s\" "
        "would bring epsilon to %.6g at delta %g, above the budget of %g; %llu uses are left",
        (unsigned long long)count, what, label, epsilon, budget->delta, budget->epsilon,
        (unsigned long long)(left < count ? left : count - 1));
}

static bool make_room(sotto_budget *budget)
{
    if (budget->length < budget->capacity)
        return true;
    const size_t capacity = budget->capacity ? 2 * budget->capacity : 4;
    if (capacity > SIZE_MAX / sizeof *budget->charges)
        return false;
    sotto_charge *charges = realloc(budget->charges, capacity * sizeof *charges);
    if (charges)
        budget->charges = charges;
    uint64_t *ahead = realloc(budget->ahead, capacity * sizeof *ahead);
    if (ahead)
        budget->ahead = ahead;
    if (charges && ahead)
        budget->capacity = capacity;
    return charges && ahead;
}

/* The line of this label and mechanism; NULL where there is none. */
static const sotto_charge *line_of(const sotto_budget *budget, const sotto_mechanism *mechanism,
                                   const char *label)
{
    for (size_t i = 0; i < budget->length; i++)
        if (sotto_mechanism_equal(&budget->charges[i].mechanism, mechanism) &&
            strcmp(budget->charges[i].label, label) == 0)
            return &budget->charges[i];
    return NULL;
}

/* The line for this label and mechanism: an old one, or a new one of count 0 that is not yet part of the
 * record. */
static sotto_status find_line(sotto_budget *budget, const sotto_mechanism *mechanism, const char *label,
                              size_t *place, sotto_error *err)
{
    const sotto_charge *line = line_of(budget, mechanism, label);
    if (line) {
        *place = (size_t)(line - budget->charges);
        return SOTTO_OK;
    }
    const char *copy = make_room(budget) ? strdup(label) : NULL;
    if (!copy)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a charge");
    *place = budget->length;
    budget->charges[*place] = (sotto_charge){.label = copy, .mechanism = *mechanism};
    budget->ahead[*place] = 0;
    return SOTTO_OK;
}

/* Into the record, whatever the target. */
static sotto_status enter(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                          const char *label, size_t *place, sotto_error *err)
{
    accountant_cover_line *line = NULL;
    sotto_status status = SOTTO_OK;
    if (!budget->filter)
        status = accountant_cover_line_of(&budget->cover, mechanism, &line, err);
    if (status == SOTTO_OK)
        status = find_line(budget, mechanism, label, place, err);
    if (status != SOTTO_OK)
        return status;
    status = sotto_accountant_compose(budget->accountant, mechanism, count, err);
    if (status != SOTTO_OK) {
        if (*place == budget->length)
            free((char *)budget->charges[*place].label);
        return status;
    }
    if (budget->filter)
        accountant_filter_take(budget->filter, mechanism, count);
    else
        line->charged += count;
    if (*place == budget->length)
        budget->length++;
    budget->charges[*place].count += count;
    /* which lives as long as the record */
    budget->charges[*place].mechanism = *accountant_kept(budget->accountant, mechanism);
    return SOTTO_OK;
}

static sotto_status check_label(const char *label, sotto_error *err)
{
    return label && *label
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "a charge has no label; expected words that say what it pays for");
}

/* How many uses to charge where `count` are wanted, which are allowed. */
static uint64_t block_of(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                         const char *label)
{
    const sotto_journal *journal = &budget->journal;
    const uint64_t wanted =
        journal->block ? journal->block(journal->context, mechanism, count, label) : count;
    if (wanted <= count)
        return count;
    if (sotto_budget_allows(budget, mechanism, wanted))
        return wanted;
    const uint64_t left = sotto_budget_remaining(budget, mechanism);
    return left < count ? count : left < wanted ? left : wanted;
}

/* Charge, and commit. Memory is short before anything is committed, or not at all. */
static sotto_status charge(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                           const char *label, sotto_error *err)
{
    bool allowed;
    size_t place;
    sotto_status status = may(budget, mechanism, count, &allowed, err);
    if (status != SOTTO_OK || count == 0)
        return status;
    if (!allowed)
        return refuse(budget, mechanism, count, label, err);
    const sotto_journal *journal = &budget->journal;
    const uint64_t block = journal->commit ? block_of(budget, mechanism, count, label) : count;
    status = enter(budget, mechanism, block, label, &place, err);
    if (status != SOTTO_OK)
        return status;
    if (!is_answered(budget, mechanism))
        forget(budget);
    if (budget->has_answer)
        budget->remaining -= block;
    if (journal->commit)
        status = journal->commit(journal->context, mechanism, block, label, err);
    if (status == SOTTO_OK)
        budget->ahead[place] += block - count;
    return status;
}

sotto_status sotto_budget_charge(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                                 const char *label, sotto_error *err)
{
    sotto_status status = check_label(label, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_check(mechanism, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_charge *line = budget->journal.commit ? line_of(budget, mechanism, label) : NULL;
    const size_t place = line ? (size_t)(line - budget->charges) : 0;
    const uint64_t ahead = line ? budget->ahead[place] : 0;
    const uint64_t drawn = ahead < count ? ahead : count;
    if (drawn < count || count == 0)
        status = charge(budget, mechanism, count - drawn, label, err);
    if (status == SOTTO_OK && drawn > 0)
        budget->ahead[place] -= drawn;
    return status;
}

void sotto_budget_keep(sotto_budget *budget, const sotto_journal *journal)
{
    budget->journal = *journal;
}

sotto_status sotto_budget_recall(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count,
                                 const char *label, sotto_error *err)
{
    size_t place;
    sotto_status status = check_label(label, err);
    if (status == SOTTO_OK && budget->filter)
        status = sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "a privacy filter takes over no charges: its shares are of what it allowed");
    if (status == SOTTO_OK)
        status = accountant_check_use(budget->accountant, mechanism, err);
    if (status == SOTTO_OK && count > 0)
        status = enter(budget, mechanism, count, label, &place, err);
    if (status == SOTTO_OK) {
        budget->recalled = true;
        forget(budget);
    }
    return status;
}

sotto_status sotto_budget_epsilon(const sotto_budget *budget, double *epsilon, double *order,
                                  sotto_error *err)
{
    if (budget->filter) {
        *epsilon = accountant_filter_epsilon(budget->filter, order);
        return SOTTO_OK;
    }
    double found;
    const sotto_status status =
        sotto_accountant_epsilon(budget->accountant, budget->delta, &found, order, err);
    /* All that was charged is part of something that was found to keep the target. Privacy-loss distributions
     * may waver by a few last digits and say otherwise of the part. What was recalled, nobody here asked for.
     */
    if (status == SOTTO_OK)
        *epsilon = budget->recalled ? found : fmin(found, budget->epsilon);
    return status;
}

double sotto_budget_target_epsilon(const sotto_budget *budget)
{
    return budget->epsilon;
}

double sotto_budget_delta(const sotto_budget *budget)
{
    return budget->delta;
}

const sotto_charge *sotto_budget_charges(const sotto_budget *budget, size_t *count)
{
    *count = budget->length;
    return budget->charges;
}

const sotto_accountant *sotto_budget_accountant(const sotto_budget *budget)
{
    return budget->accountant;
}
