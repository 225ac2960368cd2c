/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What is in the ledger, for people and machines. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"

static const char *const states[] = {
    [LEDGER_RUN_OPEN] = "open", [LEDGER_RUN_RELEASED] = "released", [LEDGER_RUN_CLOSED] = "closed"};

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record of the ledger");
}

static json_t *drop(json_t *object)
{
    json_decref(object);
    return NULL;
}

static bool put_count(json_t *object, const char *key, uint64_t count)
{
    return ledger_put(object, key, json_integer((json_int_t)count));
}

static json_t *head_json(const sotto_ledger *ledger)
{
    const sotto_ledger_head head = sotto_ledger_last(ledger);
    json_t *object = json_object();
    return ledger_put(object, "ledger", json_string(head.ledger)) &&
                   put_count(object, "entries", head.entries) &&
                   ledger_put(object, "hash", json_string(head.hash))
               ? object
               : drop(object);
}

/* What every record begins with. */
json_t *ledger_record_json(const sotto_ledger *ledger)
{
    json_t *object = json_object();
    char *path = ledger_readable(ledger->path);
    const bool sound = path && ledger_put(object, "file", json_string(path)) &&
                       ledger_put(object, "head", head_json(ledger));
    free(path);
    return sound ? object : drop(object);
}

sotto_status ledger_put_adoptions(const ledger_book *book, json_t *record, sotto_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < book->adoption_count; i++) {
        json_t *one = json_object();
        if (!(ledger_put(one, "time", json_string(book->adoptions[i].time)) &&
              ledger_put(one, "why", json_string(book->adoptions[i].why))))
            one = drop(one);
        if (json_array_append_new(list, one) != 0)
            list = drop(list);
    }
    return ledger_put(record, "adoptions", list) ? SOTTO_OK : no_memory(err);
}

/* -------------------------------------------------------------------- data sets */

static json_t *cap_json(const ledger_cap *cap)
{
    json_t *object = json_object();
    return ledger_put(object, "epsilon", json_real(cap->epsilon)) &&
                   ledger_put(object, "delta", json_real(cap->delta)) &&
                   ledger_put(object, "unit", ledger_text_json(cap->unit)) &&
                   ledger_put(object, "declared", json_string(cap->time))
               ? object
               : drop(object);
}

/* The δ that a data set's spending is told at: its cap's, or the least that a run of it promises. */
static double delta_of(const ledger_book *book, size_t set)
{
    double least = 1.0;
    if (book->sets[set].capped)
        return book->sets[set].delta;
    for (size_t i = 0; i < book->run_count; i++)
        if (book->runs[i].data_set == set && book->runs[i].delta > 0.0 && book->runs[i].delta < least)
            least = book->runs[i].delta;
    return least < 1.0 ? least : 1e-5;
}

/* ε, and the share of the cap by its order; INFINITY where there is none. */
static sotto_status find_epsilon(const ledger_book *book, const ledger_choice *choice, double delta,
                                 double *epsilon, double *share, sotto_error *err)
{
    const ledger_data_set *set = &book->sets[choice->set];
    sotto_accountant *accountant;
    double draws;
    sotto_status status = ledger_compose(book, choice, NULL, 0, &accountant, &draws, err);
    if (status != SOTTO_OK)
        return status;
    status = ledger_epsilon(accountant, draws, delta, epsilon, NULL, err);
    *share = set->capped && set->order > 0.0 ? ledger_cap_share(set, accountant, draws) : INFINITY;
    sotto_accountant_destroy(accountant);
    return status;
}

/* What runs for one kind of unit, under one adjacency, come to: what was charged, and with what is held. */
static sotto_status put_spending(const ledger_book *book, ledger_choice choice, json_t *list,
                                 sotto_error *err)
{
    double charged, held, share;
    const double delta = delta_of(book, choice.set);
    choice.held = false;
    sotto_status status = find_epsilon(book, &choice, delta, &charged, &share, err);
    choice.held = true;
    if (status == SOTTO_OK)
        status = find_epsilon(book, &choice, delta, &held, &share, err);
    if (status != SOTTO_OK)
        return status;
    json_t *object = json_object();
    if (!(ledger_put(object, "unit", ledger_text_json(choice.unit)) &&
          ledger_put(object, "adjacency", json_string(sotto_adjacency_name(choice.adjacency))) &&
          ledger_put(object, "epsilon", ledger_real_json(charged)) &&
          ledger_put(object, "epsilon_with_held", ledger_real_json(held)) &&
          ledger_put(object, "share_of_cap", ledger_real_json(share)) &&
          ledger_put(object, "delta", json_real(delta))))
        object = drop(object);
    return json_array_append_new(list, object) == 0 ? SOTTO_OK : no_memory(err);
}

static bool is_told(const ledger_book *book, size_t run)
{
    for (size_t i = 0; i < run; i++)
        if (book->runs[i].data_set == book->runs[run].data_set &&
            book->runs[i].adjacency == book->runs[run].adjacency &&
            ledger_same_unit(book->runs[i].unit, book->runs[run].unit))
            return true;
    return false;
}

static sotto_status put_spendings(const ledger_book *book, size_t set, json_t *object, sotto_error *err)
{
    json_t *list = json_array();
    sotto_status status = list ? SOTTO_OK : no_memory(err);
    for (size_t i = 0; status == SOTTO_OK && i < book->run_count; i++) {
        const ledger_run_record *run = &book->runs[i];
        if (run->data_set == set && !is_told(book, i))
            status = put_spending(
                book, (ledger_choice){.set = set, .unit = run->unit, .adjacency = run->adjacency}, list, err);
    }
    if (status == SOTTO_OK)
        return ledger_put(object, "spent", list) ? SOTTO_OK : no_memory(err);
    json_decref(list);
    return status;
}

static bool put_run_counts(const ledger_book *book, size_t set, json_t *object)
{
    uint64_t runs = 0, open = 0, released = 0, not_private = 0;
    for (size_t i = 0; i < book->run_count; i++) {
        if (book->runs[i].data_set != set)
            continue;
        runs++;
        open += book->runs[i].state == LEDGER_RUN_OPEN;
        released += book->runs[i].state == LEDGER_RUN_RELEASED;
        not_private += book->runs[i].not_private;
    }
    return put_count(object, "runs", runs) && put_count(object, "open", open) &&
           put_count(object, "released", released) && put_count(object, "not_private", not_private);
}

static sotto_status put_data_set(const ledger_book *book, size_t place, json_t *object, sotto_error *err)
{
    const ledger_data_set *set = &book->sets[place];
    const bool sound =
        ledger_put(object, "data_set", json_string(set->id)) &&
        ledger_put(object, "cap", set->capped ? cap_json(&set->caps[set->cap_count - 1]) : json_null()) &&
        put_run_counts(book, place, object);
    return sound ? put_spendings(book, place, object, err) : no_memory(err);
}

/* ------------------------------------------------------------------------- runs */

static bool put_run(const ledger_book *book, const ledger_run_record *run, json_t *object)
{
    return ledger_put(object, "run", json_string(run->id)) &&
           ledger_put(object, "data_set", json_string(book->sets[run->data_set].id)) &&
           ledger_put(object, "state", json_string(states[run->state])) &&
           ledger_put(object, "began", json_string(run->began)) &&
           ledger_put(object, "ended", ledger_text_json(run->ended)) &&
           put_count(object, "attempt", run->attempt) && put_count(object, "blocks", run->blocks) &&
           ledger_put(object, "epsilon", ledger_real_json(run->epsilon)) &&
           ledger_put(object, "delta", ledger_real_json(run->delta)) &&
           ledger_put(object, "unit", ledger_text_json(run->unit)) &&
           ledger_put(object, "output", ledger_text_json(run->output)) &&
           ledger_put(object, "not_private", json_boolean(run->not_private));
}

static json_t *run_json(const ledger_book *book, const ledger_run_record *run)
{
    json_t *object = json_object();
    return put_run(book, run, object) ? object : drop(object);
}

static bool put_lines(const ledger_run_record *run, const sotto_charge *lines, size_t count, bool planned,
                      json_t *list)
{
    for (size_t i = 0; i < count; i++) {
        const sotto_charge *line = &lines[i];
        const sotto_charge *plan =
            ledger_find_line(run->plan, run->plan_count, line->label, &line->mechanism);
        if (plan && !planned)
            continue;
        json_t *object = json_object();
        if (!(ledger_put(object, "label", json_string(line->label)) &&
              ledger_put(object, "mechanism", ledger_mechanism_json(&line->mechanism)) &&
              put_count(object, "planned", plan ? plan->count : 0) &&
              put_count(object, "charged", ledger_run_counts(run, line, false))))
            object = drop(object);
        if (json_array_append_new(list, object) != 0)
            return false;
    }
    return true;
}

static bool put_charges(const ledger_run_record *run, json_t *object)
{
    json_t *list = json_array();
    if (list && put_lines(run, run->plan, run->plan_count, true, list) &&
        put_lines(run, run->charges, run->charge_count, false, list))
        return ledger_put(object, "charges", list);
    json_decref(list);
    return false;
}

static bool put_artefacts(const ledger_run_record *run, json_t *object)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < run->artefact_count; i++) {
        const sotto_ledger_artefact *artefact = &run->artefacts[i];
        json_t *one = json_object();
        if (!(ledger_put(one, "file", json_string(artefact->file)) &&
              ledger_put(one, "what", ledger_text_json(artefact->what)) &&
              ledger_put(one, "sha256", json_string(artefact->sha256))))
            one = drop(one);
        if (json_array_append_new(list, one) != 0)
            list = drop(list);
    }
    return ledger_put(object, "artefacts", list);
}

/* ---------------------------------------------------------------------- records */

static sotto_status put_list(const sotto_ledger *ledger, json_t *record, sotto_error *err)
{
    const ledger_book *book = &ledger->book;
    json_t *sets = json_array(), *runs = json_array();
    sotto_status status = sets && runs ? SOTTO_OK : no_memory(err);
    for (size_t i = 0; status == SOTTO_OK && i < book->set_count; i++) {
        json_t *object = json_object();
        status = put_data_set(book, i, object, err);
        if (json_array_append_new(sets, object) != 0 && status == SOTTO_OK)
            status = no_memory(err);
    }
    for (size_t i = 0; status == SOTTO_OK && i < book->run_count; i++)
        if (json_array_append_new(runs, run_json(book, &book->runs[i])) != 0)
            status = no_memory(err);
    if (status == SOTTO_OK &&
        (json_object_set(record, "data_sets", sets) != 0 || json_object_set(record, "runs", runs) != 0))
        status = no_memory(err);
    json_decref(sets);
    json_decref(runs);
    return status;
}

static sotto_status put_shown_set(const ledger_book *book, size_t place, json_t *record, sotto_error *err)
{
    const ledger_data_set *set = &book->sets[place];
    const sotto_status status = put_data_set(book, place, record, err);
    json_t *caps = json_array(), *tables = json_array(), *runs = json_array();
    bool sound = status == SOTTO_OK && caps && tables && runs;
    for (size_t i = 0; sound && i < set->cap_count; i++)
        sound = json_array_append_new(caps, cap_json(&set->caps[i])) == 0;
    for (size_t i = 0; sound && i < set->version_count; i++)
        sound = json_array_append_new(tables, json_string(set->versions[i].path)) == 0;
    for (size_t i = 0; sound && i < book->run_count; i++)
        if (book->runs[i].data_set == place)
            sound = json_array_append_new(runs, run_json(book, &book->runs[i])) == 0;
    sound = sound && json_object_set(record, "caps", caps) == 0 &&
            json_object_set(record, "tables", tables) == 0 && json_object_set(record, "its_runs", runs) == 0;
    json_decref(caps);
    json_decref(tables);
    json_decref(runs);
    return status != SOTTO_OK ? status : sound ? SOTTO_OK : no_memory(err);
}

static sotto_status put_shown_run(const ledger_book *book, const ledger_run_record *run, json_t *record,
                                  sotto_error *err)
{
    return put_run(book, run, record) && ledger_put(record, "table", json_string(run->path)) &&
                   ledger_put(record, "adjacency", json_string(sotto_adjacency_name(run->adjacency))) &&
                   ledger_put(record, "version", ledger_text_json(run->version)) &&
                   ledger_put(record, "config_sha256", json_string(run->config)) &&
                   ledger_put(record, "draws", json_real(run->draws)) &&
                   ledger_put(record, "why", ledger_text_json(run->why)) && put_charges(run, record) &&
                   put_artefacts(run, record)
               ? SOTTO_OK
               : no_memory(err);
}

static sotto_status put_shown(const sotto_ledger *ledger, const char *id, json_t *record, sotto_error *err)
{
    const ledger_book *book = &ledger->book;
    const ledger_data_set *set = ledger_book_set(book, id);
    const ledger_run_record *run = ledger_book_run(book, id);
    if (set)
        return put_shown_set(book, (size_t)(set - book->sets), record, err);
    if (run)
        return put_shown_run(book, run, record, err);
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
        "there is no data set and no run %.128s in this ledger; sotto ledger list tells which "
        "there are",
        id);
}

/* A record of what the ledger says now; NULL `id` for all of it. */
static sotto_status make_record(sotto_ledger *ledger, const char *id, json_t **record, sotto_error *err)
{
    *record = NULL;
    sotto_status status = ledger_begin(ledger, false, err);
    if (status != SOTTO_OK)
        return status;
    (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL); /* all is in the book */
    json_t *made = ledger_record_json(ledger);
    if (!made)
        return no_memory(err);
    status = ledger_put_adoptions(&ledger->book, made, err);
    if (status == SOTTO_OK)
        status = id ? put_shown(ledger, id, made, err) : put_list(ledger, made, err);
    if (status == SOTTO_OK)
        *record = made;
    else
        json_decref(made);
    return status;
}

sotto_status sotto_ledger_list(sotto_ledger *ledger, json_t **record, sotto_error *err)
{
    return make_record(ledger, NULL, record, err);
}

sotto_status sotto_ledger_show(sotto_ledger *ledger, const char *id, json_t **record, sotto_error *err)
{
    return make_record(ledger, id, record, err);
}
