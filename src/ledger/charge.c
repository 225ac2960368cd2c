/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a run spends, and how it ends. */
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"

/* The run, which must be open and this its newest attempt. */
static sotto_status find_own(const sotto_ledger_run *run, ledger_run_record **record, sotto_error *err)
{
    *record = ledger_book_run(&run->ledger->book, run->id);
    if (!*record)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "run %s is no longer in the ledger", run->id);
    if ((*record)->attempt != run->attempt)
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "run %s was resumed elsewhere, in attempt %llu; this one, attempt %llu, may spend no "
            "more, and publishes nothing",
            run->id, (unsigned long long)(*record)->attempt, (unsigned long long)run->attempt);
    if ((*record)->state != LEDGER_RUN_OPEN)
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "run %s was %s meanwhile; it may spend no more and publishes nothing, and what it charged stays "
            "charged",
            run->id, (*record)->state == LEDGER_RUN_RELEASED ? "released" : "closed");
    return SOTTO_OK;
}

/*
 * Does the cap bear these uses? Those that the run holds count already: where nothing else was recorded since
 * the sum was last found within the cap, it still is.
 */
static sotto_status check_cap(sotto_ledger *ledger, const ledger_run_record *run, const sotto_charge *charge,
                              sotto_error *err)
{
    ledger_data_set *set = &ledger->book.sets[run->data_set];
    const sotto_charge *line =
        ledger_find_line(run->charges, run->charge_count, charge->label, &charge->mechanism);
    const uint64_t spent = line ? line->count : 0, counted = ledger_run_counts(run, charge, true);
    if (charge->count > SOTTO_ACCOUNTANT_MAX_COUNT - spent)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "more than 2^53 uses for \"%.60s\"", charge->label);
    const uint64_t after = spent + charge->count;
    const sotto_charge more = {charge->label, charge->mechanism, after > counted ? after - counted : 0};
    const ledger_extra extra = {.charges = &more, .count = 1};
    const size_t added = more.count > 0;
    if (!set->capped || (more.count == 0 && set->passed == set->changed))
        return SOTTO_OK;
    const sotto_status status =
        ledger_cap_check(&ledger->book, run->data_set, &extra, added, set->order, err);
    if (status == SOTTO_OK && more.count == 0)
        set->passed = set->changed;
    return status;
}

static sotto_status charge_within(const sotto_ledger_run *run, const sotto_charge *charge, sotto_error *err)
{
    ledger_run_record *record;
    sotto_status status = find_own(run, &record, err);
    if (status == SOTTO_OK && charge->mechanism.adjacency != record->adjacency)
        status = sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "\"%.60s\" is under another adjacency than its run; one sum has one",
                                 charge->label);
    if (status == SOTTO_OK)
        status = check_cap(run->ledger, record, charge, err);
    if (status != SOTTO_OK)
        return status;
    json_t *body = ledger_charge_json(charge);
    if (ledger_put(body, "run", json_string(run->id)) &&
        ledger_put(body, "attempt", json_integer((json_int_t)run->attempt)))
        return ledger_append(run->ledger, "charge", body, err);
    json_decref(body);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a charge, or its label is not UTF-8");
}

static sotto_status check_charge(const sotto_charge *charge, sotto_error *err)
{
    const size_t length = charge->label ? strlen(charge->label) : 0;
    const sotto_status status = sotto_mechanism_check(&charge->mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (length < 1 || length > LEDGER_LABEL)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a charge needs a label of 1 to %d bytes",
                               (int)LEDGER_LABEL);
    if (charge->mechanism.kind == SOTTO_MECHANISM_SELECTION)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "\"%.60s\" is a selection, which cannot be recorded; charge its runs themselves", charge->label);
    if (charge->count > SOTTO_ACCOUNTANT_MAX_COUNT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%llu uses for \"%.60s\"; at most 2^53 can be charged",
                               (unsigned long long)charge->count, charge->label);
    return SOTTO_OK;
}

sotto_status sotto_ledger_run_charge_all(sotto_ledger_run *run, const sotto_charge *charges, size_t count,
                                         sotto_error *err)
{
    uint64_t uses = 0;
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        status = check_charge(&charges[i], err);
        uses |= charges[i].count;
    }
    if (status != SOTTO_OK || uses == 0)
        return status;
    status = ledger_begin(run->ledger, true, err);
    if (status != SOTTO_OK)
        return status;
    for (size_t i = 0; status == SOTTO_OK && i < count; i++)
        if (charges[i].count > 0)
            status = charge_within(run, &charges[i], err);
    return ledger_end(run->ledger, status, err);
}

sotto_status sotto_ledger_run_charge(sotto_ledger_run *run, const sotto_mechanism *mechanism, uint64_t count,
                                     const char *label, sotto_error *err)
{
    const sotto_charge charge = {label, *mechanism, count};
    return sotto_ledger_run_charge_all(run, &charge, 1, err);
}

/* ----------------------------------------------------------------------- ending */

static json_t *artefact_json(const sotto_ledger_artefact *artefact)
{
    json_t *object = json_object();
    char *file = ledger_readable(artefact->file);
    const bool sound = file && ledger_put(object, "file", json_string(file)) &&
                       ledger_put(object, "what", ledger_text_json(artefact->what)) &&
                       ledger_put(object, "sha256", json_string(artefact->sha256));
    free(file);
    if (sound)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *artefacts_json(const sotto_ledger_artefact *artefacts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, artefact_json(&artefacts[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

/* A release promises the whole plan, which the run holds already: only where something else was recorded
 * since the sum was last found within the cap, such as a lower cap, it may not be any more. */
static sotto_status check_promise(sotto_ledger *ledger, const ledger_run_record *run, sotto_error *err)
{
    const ledger_data_set *set = &ledger->book.sets[run->data_set];
    char epsilon[LEDGER_FIGURE], delta[LEDGER_FIGURE];
    sotto_error why = {0};
    if (!set->capped || set->passed == set->changed)
        return SOTTO_OK;
    const sotto_status status = ledger_cap_check(&ledger->book, run->data_set, NULL, 0, set->order, &why);
    if (status == SOTTO_ERROR_BUDGET)
        return sotto_error_set(
            err, status, "the release of run %s would promise epsilon %s at delta %s: %.500s", run->id,
            ledger_figure_exact(run->epsilon, epsilon), ledger_figure_exact(run->delta, delta), why.message);
    if (status != SOTTO_OK && err)
        *err = why;
    return status;
}

static sotto_status release_within(const sotto_ledger_run *run, const sotto_ledger_artefact *artefacts,
                                   size_t count, sotto_error *err)
{
    ledger_run_record *record;
    const sotto_ledger_head head = sotto_ledger_last(run->ledger);
    sotto_status status = find_own(run, &record, err);
    if (status == SOTTO_OK)
        status = check_promise(run->ledger, record, err);
    if (status != SOTTO_OK)
        return status;
    json_t *body = json_object();
    if (ledger_put(body, "run", json_string(run->id)) &&
        ledger_put(body, "attempt", json_integer((json_int_t)run->attempt)) &&
        ledger_put(body, "after", json_string(head.hash)) &&
        ledger_put(body, "artefacts", artefacts_json(artefacts, count)))
        return ledger_append(run->ledger, "release", body, err);
    json_decref(body);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                           "out of memory for a release, or a name in it is not UTF-8");
}

sotto_status sotto_ledger_run_release(sotto_ledger_run *run, const sotto_ledger_artefact *artefacts,
                                      size_t count, sotto_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const sotto_ledger_artefact *a = &artefacts[i];
        if (!a->file || !*a->file || strlen(a->file) > LEDGER_TEXT || !a->sha256 || strlen(a->sha256) != 64 ||
            !ledger_is_hex(a->sha256, 64) || (a->what && (!*a->what || strlen(a->what) > LEDGER_LABEL)))
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "artefact %zu of a release needs a file, and its SHA-256 in 64 hex digits",
                                   i + 1);
    }
    const sotto_status status = ledger_begin(run->ledger, true, err);
    return status == SOTTO_OK ? ledger_end(run->ledger, release_within(run, artefacts, count, err), err)
                              : status;
}

static sotto_status close_within(sotto_ledger *ledger, const char *id, const char *why, sotto_error *err)
{
    const ledger_run_record *run = ledger_book_run(&ledger->book, id);
    if (!run)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "there is no run %.40s in this ledger; sotto ledger list tells which there are", id);
    if (run->state != LEDGER_RUN_OPEN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "run %s is closed already, since %s", id, run->ended);
    json_t *body = json_object();
    if (ledger_put(body, "run", json_string(id)) && ledger_put(body, "why", json_string(why)))
        return ledger_append(ledger, "close", body, err);
    json_decref(body);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for an entry, or the reason is not UTF-8");
}

sotto_status sotto_ledger_run_close(sotto_ledger *ledger, const char *id, const char *why, sotto_error *err)
{
    if (!why || !*why || strlen(why) > LEDGER_LABEL)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "closing a run needs a reason of 1 to %d bytes",
                               (int)LEDGER_LABEL);
    const sotto_status status = ledger_begin(ledger, true, err);
    return status == SOTTO_OK ? ledger_end(ledger, close_within(ledger, id, why, err), err) : status;
}

bool sotto_ledger_run_released(sotto_ledger *ledger, const char *id, const sotto_ledger_artefact **artefacts,
                               size_t *count)
{
    const sotto_status status = ledger_begin(ledger, false, NULL);
    *artefacts = NULL;
    *count = 0;
    if (status != SOTTO_OK)
        return false;
    (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
    const ledger_run_record *run = ledger_book_run(&ledger->book, id);
    if (!run || run->state != LEDGER_RUN_RELEASED)
        return false;
    *artefacts = run->artefacts;
    *count = run->artefact_count;
    return true;
}
