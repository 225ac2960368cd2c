/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs: what each may spend, and what it has. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "ledger/inner.h"

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                           "out of memory for an entry of the ledger, or a name in it is not UTF-8");
}

/* ----------------------------------------------------------------------- plans */

static sotto_status check_charge(const sotto_charge *charge, sotto_adjacency adjacency, sotto_error *err)
{
    const size_t length = charge->label ? strlen(charge->label) : 0;
    if (length < 1 || length > LEDGER_LABEL)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a charge needs a label of 1 to %d bytes",
                               (int)LEDGER_LABEL);
    if (charge->count > SOTTO_ACCOUNTANT_MAX_COUNT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%llu uses for \"%.60s\"; at most 2^53 can be charged",
                               (unsigned long long)charge->count, charge->label);
    const sotto_status status = sotto_mechanism_check(&charge->mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (charge->mechanism.kind == SOTTO_MECHANISM_SELECTION)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "\"%.60s\" is a selection, whose cost is that of runs not yet made: it cannot be "
            "recorded; charge the runs themselves",
            charge->label);
    if (charge->mechanism.adjacency != adjacency)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "\"%.60s\" is under the adjacency \"%s\", and the table under \"%s\"; one sum has one",
            charge->label, sotto_adjacency_name(charge->mechanism.adjacency),
            sotto_adjacency_name(adjacency));
    return SOTTO_OK;
}

/* With lines of one label and mechanism added up, and those of no use left out; the caller frees. */
static sotto_status gather_plan(const sotto_ledger_plan *plan, sotto_adjacency adjacency,
                                sotto_charge **lines, size_t *count, sotto_error *err)
{
    *count = 0;
    *lines = plan->count <= LEDGER_LINES ? calloc(plan->count + 1, sizeof **lines) : NULL;
    if (!*lines)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a plan of %zu lines", plan->count);
    if (!(plan->draws >= 0.0 && isfinite(plan->draws)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a plan of %g draws of noise", plan->draws);
    for (size_t i = 0; i < plan->count; i++) {
        const sotto_charge *charge = &plan->charges[i];
        const sotto_status status = check_charge(charge, adjacency, err);
        if (status != SOTTO_OK)
            return status;
        if (charge->count == 0)
            continue;
        sotto_charge *line = ledger_find_line(*lines, *count, charge->label, &charge->mechanism);
        if (!line) {
            line = &(*lines)[(*count)++];
            *line = *charge;
        } else if (charge->count > SOTTO_ACCOUNTANT_MAX_COUNT - line->count)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "more than 2^53 uses for \"%.60s\"",
                                   charge->label);
        else
            line->count += charge->count;
    }
    return SOTTO_OK;
}

/* Rules that a data set with a cap has beyond its sum. */
static sotto_status check_capped(const sotto_ledger *ledger, const ledger_identity *identity,
                                 const sotto_ledger_table *table, bool not_private, sotto_error *err)
{
    const ledger_data_set *set = identity->set == SIZE_MAX ? NULL : &ledger->book.sets[identity->set];
    if (!set || !set->capped)
        return SOTTO_OK;
    if (not_private)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "the data set %s has a cap, and this run would be NOT PRIVATE, which no epsilon bounds; "
            "take the test seed out of the config, or use another table",
            set->id);
    if (!ledger_same_unit(set->unit, table->unit))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "the cap of the data set %s is for units of %.60s, and this run's units are those of "
            "%.60s; they cannot be added up: train for the same units",
            set->id, set->unit ? set->unit : "one row", table->unit ? table->unit : "one row");
    for (size_t i = 0; i < ledger->book.run_count; i++) {
        const ledger_run_record *run = &ledger->book.runs[i];
        if (run->data_set == identity->set && run->adjacency != table->adjacency)
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "run %s of the data set %s was charged under the adjacency \"%s\"; this one cannot be "
                "added to it",
                run->id, set->id, sotto_adjacency_name(run->adjacency));
    }
    return SOTTO_OK;
}

/* By the order of the data set's cap; before its first run by that which it would have. 0: no cap. */
static sotto_status check_cap(const ledger_book *book, size_t place, const ledger_extra *extras, size_t count,
                              double *order, sotto_error *err)
{
    const ledger_data_set *set = &book->sets[place];
    sotto_status status = SOTTO_OK;
    *order = set->order;
    if (set->capped && !(*order > 0.0))
        status = ledger_cap_order(book, set, place, extras, count, order, err);
    return status == SOTTO_OK ? ledger_cap_check(book, place, extras, count, *order, err) : status;
}

static sotto_status check_plans(sotto_ledger *ledger, const sotto_ledger_table *table,
                                const sotto_ledger_plan *plans, ledger_extra *extras, sotto_charge **lines,
                                size_t count, sotto_error *err)
{
    ledger_identity identity = {0};
    double order;
    sotto_status status = ledger_begin(ledger, false, err);
    if (status != SOTTO_OK)
        return status;
    status = ledger_identify(ledger, table, &identity, err);
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        status = check_capped(ledger, &identity, table, plans[i].not_private, err);
        if (status == SOTTO_OK)
            status = gather_plan(&plans[i], table->adjacency, &lines[i], &extras[i].count, err);
        extras[i].charges = lines[i];
        extras[i].draws = plans[i].draws;
    }
    if (status == SOTTO_OK && identity.set != SIZE_MAX)
        status = check_cap(&ledger->book, identity.set, extras, count, &order, err);
    ledger_identity_release(&identity);
    (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
    return status;
}

sotto_status sotto_ledger_bears(sotto_ledger *ledger, const sotto_ledger_table *table,
                                const sotto_ledger_plan *plans, size_t count, sotto_error *err)
{
    ledger_extra *extras = calloc(count + 1, sizeof *extras);
    sotto_charge **lines = calloc(count + 1, sizeof *lines);
    sotto_status status =
        extras && lines ? check_plans(ledger, table, plans, extras, lines, count, err)
                        : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu plans", count);
    for (size_t i = 0; lines && i < count; i++)
        free(lines[i]);
    free(lines);
    free(extras);
    return status;
}

/* ------------------------------------------------------------------- beginning */

static sotto_status make_handle(sotto_ledger_run **run, sotto_ledger *ledger, const char *id,
                                const char *data_set, uint64_t attempt, sotto_error *err)
{
    *run = calloc(1, sizeof **run);
    if (!*run)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a run");
    (*run)->ledger = ledger;
    (*run)->attempt = attempt;
    (void)snprintf((*run)->id, sizeof(*run)->id, "%s", id);
    (void)snprintf((*run)->data_set, sizeof(*run)->data_set, "%s", data_set);
    return SOTTO_OK;
}

static sotto_status append_table(sotto_ledger *ledger, const ledger_identity *identity, sotto_error *err)
{
    json_t *body = json_object();
    if (ledger_put(body, "data_set", json_string(identity->id)) &&
        ledger_put(body, "content", json_string(identity->content)) &&
        ledger_put(body, "path", json_string(identity->path)))
        return ledger_append(ledger, "table", body, err);
    json_decref(body);
    return no_memory(err);
}

static bool put_readable(json_t *body, const char *key, const char *text)
{
    char *readable = text ? ledger_readable(text) : NULL;
    const bool sound = (!text || readable) && ledger_put(body, key, ledger_text_json(readable));
    free(readable);
    return sound;
}

static sotto_status append_run(sotto_ledger *ledger, const ledger_identity *identity,
                               const sotto_ledger_table *table, const sotto_ledger_plan *plan,
                               const ledger_extra *lines, const char *id, double order, sotto_error *err)
{
    json_t *body = json_object();
    if (ledger_put(body, "run", json_string(id)) && ledger_put(body, "data_set", json_string(identity->id)) &&
        ledger_put(body, "unit", ledger_text_json(table->unit)) &&
        ledger_put(body, "adjacency", json_string(sotto_adjacency_name(table->adjacency))) &&
        ledger_put(body, "content", json_string(identity->content)) &&
        ledger_put(body, "path", json_string(identity->path)) &&
        ledger_put(body, "plan", ledger_charges_json(lines->charges, lines->count)) &&
        ledger_put(body, "draws", json_real(plan->draws)) &&
        ledger_put(body, "epsilon", ledger_real_json(plan->epsilon)) &&
        ledger_put(body, "delta", ledger_real_json(plan->delta)) &&
        ledger_put(body, "config", json_string(plan->config_sha256)) &&
        put_readable(body, "output", plan->output) && put_readable(body, "version", plan->version) &&
        ledger_put(body, "not_private", json_boolean(plan->not_private)) &&
        (order == 0.0 || ledger_put(body, "order", json_real(order))))
        return ledger_append(ledger, "run", body, err);
    json_decref(body);
    return no_memory(err);
}

sotto_status sotto_ledger_name(char name[17], sotto_error *err)
{
    unsigned char bytes[LEDGER_RUN_ID / 2];
    if (getentropy(bytes, sizeof bytes) != 0)
        return sotto_error_set(err, SOTTO_ERROR_ENTROPY, "the system gives no randomness for a run's id");
    ledger_hex(bytes, sizeof bytes, name);
    return SOTTO_OK;
}

static sotto_status choose_id(const ledger_book *book, const char *wanted, char id[LEDGER_RUN_ID + 1],
                              sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    if (wanted && (strlen(wanted) != LEDGER_RUN_ID || !ledger_is_hex(wanted, LEDGER_RUN_ID) ||
                   ledger_book_run(book, wanted)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a run's name has %d hex digits, and no two runs have one",
                               (int)LEDGER_RUN_ID);
    if (wanted)
        memcpy(id, wanted, LEDGER_RUN_ID + 1);
    do
        status = wanted ? SOTTO_OK : sotto_ledger_name(id, err);
    while (status == SOTTO_OK && !wanted && ledger_book_run(book, id));
    return status;
}

bool sotto_ledger_knows(const sotto_ledger *ledger, const char *run)
{
    return ledger_book_run(&ledger->book, run) != NULL;
}

bool sotto_ledger_is_open(const sotto_ledger *ledger, const char *run)
{
    const ledger_run_record *record = ledger_book_run(&ledger->book, run);
    return record && record->state == LEDGER_RUN_OPEN;
}

/* The directory may be another run's by now. */
static bool lies_in(const char *folder, const char *run)
{
    char path[LEDGER_TEXT + 32];
    (void)snprintf(path, sizeof path, "%.4096s/private/run.json", folder);
    json_t *identity = sotto_json_read_file(path);
    const char *found = json_string_value(json_object_get(identity, "run"));
    const bool same = found && strcmp(found, run) == 0;
    json_decref(identity);
    return same;
}

/* A run's process has a lock on the private folder as long as it lives. */
bool sotto_ledger_is_at_work(const sotto_ledger *ledger, const char *run)
{
    const ledger_run_record *record = ledger_book_run(&ledger->book, run);
    char path[LEDGER_TEXT + 32];
    if (!record || record->state != LEDGER_RUN_OPEN || !record->output || !lies_in(record->output, run))
        return false;
    (void)snprintf(path, sizeof path, "%.4096s/private", record->output);
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool locked = folder >= 0 && flock(folder, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (folder >= 0)
        (void)close(folder);
    return locked;
}

static sotto_status begin_within(sotto_ledger_run **run, sotto_ledger *ledger,
                                 const sotto_ledger_table *table, const sotto_ledger_plan *plan,
                                 const ledger_extra *lines, sotto_error *err)
{
    ledger_identity identity = {0};
    char id[LEDGER_RUN_ID + 1];
    double order = 0.0;
    sotto_status status = ledger_identify(ledger, table, &identity, err);
    if (status == SOTTO_OK)
        status = check_capped(ledger, &identity, table, plan->not_private, err);
    if (status == SOTTO_OK && identity.set != SIZE_MAX)
        status = check_cap(&ledger->book, identity.set, lines, 1, &order, err);
    if (status == SOTTO_OK)
        status = choose_id(&ledger->book, plan->run, id, err);
    if (status == SOTTO_OK)
        status = make_handle(run, ledger, id, identity.id, 1, err);
    if (status == SOTTO_OK && identity.tell)
        status = append_table(ledger, &identity, err);
    const bool fixed = identity.set != SIZE_MAX && ledger->book.sets[identity.set].order > 0.0;
    if (status == SOTTO_OK)
        status = append_run(ledger, &identity, table, plan, lines, id, fixed ? 0.0 : order, err);
    ledger_identity_release(&identity);
    return status;
}

static sotto_status check_texts(const sotto_ledger_table *table, const sotto_ledger_plan *plan,
                                sotto_error *err)
{
    const bool sound =
        table->sha256 && plan->config_sha256 && strlen(plan->config_sha256) == 64 &&
        ledger_is_hex(plan->config_sha256, 64) &&
        (!table->unit || (strlen(table->unit) >= 1 && strlen(table->unit) <= LEDGER_LABEL)) &&
        (!plan->output || (strlen(plan->output) >= 1 && strlen(plan->output) <= LEDGER_TEXT)) &&
        (!plan->version || (strlen(plan->version) >= 1 && strlen(plan->version) <= LEDGER_LABEL / 4));
    return sound ? SOTTO_OK
                 : sotto_error_set(
                       err, SOTTO_ERROR_INPUT,
                       "a run needs the hashes of its table and of its config, and names that are not "
                       "empty and not longer than paths are");
}

sotto_status sotto_ledger_run_begin(sotto_ledger_run **run, sotto_ledger *ledger,
                                    const sotto_ledger_table *table, const sotto_ledger_plan *plan,
                                    sotto_error *err)
{
    sotto_charge *lines = NULL;
    ledger_extra extra = {.draws = plan->draws};
    *run = NULL;
    sotto_status status = check_texts(table, plan, err);
    if (status == SOTTO_OK)
        status = gather_plan(plan, table->adjacency, &lines, &extra.count, err);
    extra.charges = lines;
    if (status == SOTTO_OK)
        status = ledger_begin(ledger, true, err);
    if (status == SOTTO_OK)
        status = ledger_end(ledger, begin_within(run, ledger, table, plan, &extra, err), err);
    free(lines);
    if (status != SOTTO_OK) {
        sotto_ledger_run_destroy(*run);
        *run = NULL;
    }
    return status;
}

/* -------------------------------------------------------------------- resuming */

static sotto_status find_open(const sotto_ledger *ledger, const char *id, ledger_run_record **run,
                              sotto_error *err)
{
    *run = ledger_book_run(&ledger->book, id);
    if (!*run)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "there is no run %.40s in this ledger; sotto ledger list tells which there are", id);
    if ((*run)->state == LEDGER_RUN_OPEN)
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_INPUT,
                           "run %s was %s at %s; it spends no more: begin a new one, which is charged anew",
                           id, (*run)->state == LEDGER_RUN_RELEASED ? "released" : "closed", (*run)->ended);
}

static sotto_status check_same(const sotto_ledger *ledger, const ledger_run_record *run,
                               const sotto_ledger_table *table, const char *config_sha256, sotto_error *err)
{
    ledger_identity identity = {0};
    sotto_status status = ledger_identify(ledger, table, &identity, err);
    if (status == SOTTO_OK && (identity.set != run->data_set || strcmp(identity.content, run->content) != 0))
        status = sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "run %s was begun on another table than this one; restore its table, or begin a new "
            "run",
            run->id);
    if (status == SOTTO_OK &&
        (!ledger_same_unit(run->unit, table->unit) || run->adjacency != table->adjacency))
        status = sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "run %s was begun for other units of privacy than now", run->id);
    if (status == SOTTO_OK && (!config_sha256 || strcmp(run->config, config_sha256) != 0))
        status = sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "run %s was begun with another config than this one; restore its config, or begin a "
            "new run",
            run->id);
    if (status == SOTTO_OK) /* a cap may have been declared meanwhile */
        status = check_capped(ledger, &identity, table, run->not_private, err);
    ledger_identity_release(&identity);
    return status;
}

/* "run" and "attempt", as several kinds of entries begin. */
static json_t *attempt_json(const char *id, uint64_t attempt)
{
    json_t *body = json_object();
    if (ledger_put(body, "run", json_string(id)) &&
        ledger_put(body, "attempt", json_integer((json_int_t)attempt)))
        return body;
    json_decref(body);
    return NULL;
}

static sotto_status resume_within(sotto_ledger_run **run, sotto_ledger *ledger, const char *id,
                                  const sotto_ledger_table *table, const char *config_sha256,
                                  sotto_error *err)
{
    ledger_run_record *record;
    sotto_status status = find_open(ledger, id, &record, err);
    if (status == SOTTO_OK)
        status = check_same(ledger, record, table, config_sha256, err);
    if (status == SOTTO_OK)
        status = make_handle(run, ledger, record->id, ledger->book.sets[record->data_set].id,
                             record->attempt + 1, err);
    return status == SOTTO_OK ? ledger_append(ledger, "attempt", attempt_json(id, (*run)->attempt), err)
                              : status;
}

sotto_status sotto_ledger_run_resume(sotto_ledger_run **run, sotto_ledger *ledger, const char *id,
                                     const sotto_ledger_table *table, const char *config_sha256,
                                     sotto_error *err)
{
    *run = NULL;
    sotto_status status = ledger_begin(ledger, true, err);
    if (status == SOTTO_OK)
        status = ledger_end(ledger, resume_within(run, ledger, id, table, config_sha256, err), err);
    if (status != SOTTO_OK) {
        sotto_ledger_run_destroy(*run);
        *run = NULL;
    }
    return status;
}

const char *sotto_ledger_run_id(const sotto_ledger_run *run)
{
    return run->id;
}

uint64_t sotto_ledger_run_attempt(const sotto_ledger_run *run)
{
    return run->attempt;
}

const char *sotto_ledger_run_data_set(const sotto_ledger_run *run)
{
    return run->data_set;
}

const sotto_charge *sotto_ledger_run_charges(const sotto_ledger_run *run, size_t *count)
{
    const ledger_run_record *record = ledger_book_run(&run->ledger->book, run->id);
    *count = record ? record->charge_count : 0;
    return *count > 0 ? record->charges : NULL;
}

void sotto_ledger_run_destroy(sotto_ledger_run *run)
{
    free(run);
}
