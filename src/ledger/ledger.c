/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger/inner.h"

/* -------------------------------------------------------------------- opening */

static sotto_status make_names(sotto_ledger *ledger, const sotto_ledger_options *options, sotto_error *err)
{
    sotto_status status = ledger_path_settle(options->path, options->create, &ledger->path, err);
    if (status == SOTTO_OK)
        status = ledger_mirror_find(options->mirror, ledger->path, &ledger->mirror, err);
    if (status != SOTTO_OK)
        return status;
    if (asprintf(&ledger->sidecar, "%s-head", ledger->path) < 0) {
        ledger->sidecar = NULL;
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory opening the ledger");
    }
    return ledger_book_create(&ledger->book, err);
}

/* Whoever does not say which entry was the last one knows its hash. */
static sotto_status find(sotto_ledger *ledger, const sotto_ledger_head *head, const char *where,
                         sotto_error *err)
{
    bool found;
    const sotto_status status = ledger_has_hash(ledger, head->hash, &found, err);
    return status != SOTTO_OK || found
               ? status
               : sotto_error_set_at(
                     err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                     "no entry of this ledger has the hash %.16s… that %.300s knows: it is an older "
                     "copy, or lost its log; restore the newest, see docs/ledger.md",
                     head->hash, where);
}

sotto_status ledger_compare(sotto_ledger *ledger, const sotto_ledger_head *head, const char *where,
                            sotto_error *err)
{
    unsigned char hash[LEDGER_HASH];
    char hex[65];
    const char *path = ledger->path;
    if (strcmp(head->ledger, ledger->id) != 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this is another ledger (%.32s) than %.300s names (%.32s); name the right one with "
            "SOTTO_LEDGER or ledger:",
            ledger->id, where, head->ledger);
    if (head->entries == UINT64_MAX)
        return find(ledger, head, where, err);
    if (head->entries > ledger->known)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this ledger has %llu entries, and %.300s knows of %llu: it is an older copy, or lost "
            "its log; restore the newest, see docs/ledger.md",
            (unsigned long long)ledger->known, where, (unsigned long long)head->entries);
    const sotto_status status = ledger_hash_at(ledger, head->entries, hash, err);
    if (status != SOTTO_OK)
        return status;
    ledger_hex(hash, LEDGER_HASH, hex);
    if (strcmp(hex, head->hash) != 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "entry %llu of this ledger has the hash %.16s…, and %.300s knows it by %.16s…: they "
            "went different ways from one copy; restore the right one, see docs/ledger.md",
            (unsigned long long)head->entries, hex, where, head->hash);
    return SOTTO_OK;
}

/* What is known of the ledger beside it and elsewhere. */
struct heads {
    ledger_record sidecar, mirror;
    bool no_sidecar, no_mirror;
};

static sotto_status read_heads(const sotto_ledger *ledger, struct heads *heads, sotto_error *err)
{
    heads->no_mirror = true;
    const sotto_status status = ledger_sidecar_read(ledger, &heads->sidecar, &heads->no_sidecar, err);
    return status == SOTTO_OK && ledger->mirror
               ? ledger_mirror_read(ledger->mirror, &heads->mirror, &heads->no_mirror, err)
               : status;
}

static sotto_status compare_heads(sotto_ledger *ledger, const struct heads *heads, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    if (heads->no_sidecar && ledger->known > 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "this ledger has %llu entries, and no head file: it is a copy, or that was deleted; "
            "where it is known to be the newest, sotto ledger adopt goes on with it",
            (unsigned long long)ledger->known);
    if (!heads->no_sidecar)
        status = ledger_compare(ledger, &heads->sidecar.head, ledger->sidecar, err);
    if (status == SOTTO_OK && !heads->no_mirror)
        status = ledger_compare(ledger, &heads->mirror.head, ledger->mirror, err);
    return status;
}

/*
 * Read all, and hold it to its heads. Others may commit meanwhile: the heads are read first, the entries
 * then, or the heads would know of more. Where there was no head at first and there are entries then,
 * somebody may just have made both: once more tells.
 */
static sotto_status verify_all(sotto_ledger *ledger, sotto_error *err)
{
    struct heads heads;
    sotto_status status = SOTTO_OK;
    memcpy(ledger->known_hash, ledger->origin, LEDGER_HASH);
    for (int tries = 0; tries < 2 && status == SOTTO_OK; tries++) {
        status = read_heads(ledger, &heads, err);
        if (status == SOTTO_OK)
            status = ledger_begin(ledger, false, err);
        if (status != SOTTO_OK)
            return status;
        if (heads.no_sidecar && ledger->known > 0 && tries == 0) {
            (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
            continue;
        }
        status = compare_heads(ledger, &heads, err);
        (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
        break;
    }
    return status;
}

/* The heads that are there are written anew where there are none, so that whoever comes finds them. */
static sotto_status write_missing_heads(sotto_ledger *ledger, sotto_error *err)
{
    ledger_record record = {.head = sotto_ledger_last(ledger), .rest = LEDGER_NO_REST}, found;
    bool empty, absent = false;
    sotto_status status = ledger_sidecar_read(ledger, &found, &empty, err);
    if (status == SOTTO_OK && empty)
        status = ledger_sidecar_write(ledger, &record, true, err);
    if (status == SOTTO_OK && ledger->mirror)
        status = ledger_mirror_read(ledger->mirror, &found, &absent, err);
    if (status == SOTTO_OK && absent && !ledger->read_only)
        status = ledger_mirror_write(ledger->mirror, &record.head, err);
    return status;
}

static sotto_status write_missing_heads_alone(sotto_ledger *ledger, sotto_error *err)
{
    ledger_sidecar_hold(ledger, true);
    const sotto_status status = write_missing_heads(ledger, err);
    ledger_sidecar_hold(ledger, false);
    return status;
}

static sotto_status open_all(sotto_ledger *ledger, const sotto_ledger_options *options, sotto_error *err)
{
    ledger_record record;
    bool fresh = true; /* no head file yet, or an empty one: a new ledger, or a copy */
    sotto_status status = make_names(ledger, options, err);
    if (status == SOTTO_OK)
        status = ledger_path_check(ledger, options->create, err);
    if (status == SOTTO_OK)
        status = ledger_sidecar_enter(ledger, options->create || options->adopt, err);
    if (status == SOTTO_OK)
        status = ledger_sidecar_read(ledger, &record, &fresh, err);
    if (status == SOTTO_OK)
        status = ledger_store_open(ledger, options->create && fresh, err);
    if (status == SOTTO_OK)
        status = options->adopt ? ledger_adopt(ledger, err) : verify_all(ledger, err);
    if (status == SOTTO_OK && !ledger->looking)
        status = write_missing_heads_alone(ledger, err);
    ledger->sound = status == SOTTO_OK;
    return status;
}

sotto_status sotto_ledger_open(sotto_ledger **ledger, const sotto_ledger_options *options, sotto_error *err)
{
    *ledger = NULL;
    sotto_ledger *made = calloc(1, sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory opening the ledger");
    made->descriptor = -1;
    made->process = getpid();
    made->read_only = options->read_only;
    made->adopt = options->adopt;
    const sotto_status status = open_all(made, options, err);
    if (status == SOTTO_OK)
        *ledger = made;
    else
        sotto_ledger_close(made);
    return status;
}

void sotto_ledger_close(sotto_ledger *ledger)
{
    if (!ledger)
        return;
    /* In a forked child the database is the parent's: to close it there could take its locks from it. */
    if (ledger->process == getpid())
        ledger_store_close(ledger);
    ledger_sidecar_leave(ledger);
    ledger_book_release(&ledger->book);
    OPENSSL_cleanse(ledger->salt, sizeof ledger->salt);
    free(ledger->path);
    free(ledger->sidecar);
    free(ledger->mirror);
    free(ledger);
}

const char *sotto_ledger_path(const sotto_ledger *ledger)
{
    return ledger->path;
}

sotto_ledger_head sotto_ledger_last(const sotto_ledger *ledger)
{
    sotto_ledger_head head = {.entries = ledger->known};
    memcpy(head.ledger, ledger->id, sizeof head.ledger);
    ledger_hex(ledger->known_hash, LEDGER_HASH, head.hash);
    return head;
}

sotto_status sotto_ledger_expect(sotto_ledger *ledger, const sotto_ledger_head *head, const char *where,
                                 sotto_error *err)
{
    sotto_status status = ledger_begin(ledger, false, err);
    if (status != SOTTO_OK)
        return status;
    status = ledger_compare(ledger, head, where, err);
    (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
    return status;
}

/* ------------------------------------------------------------------- data sets */

static sotto_status check_units(const sotto_ledger *ledger, const ledger_data_set *set, const char *unit,
                                sotto_error *err)
{
    const ledger_run_record *first = NULL;
    for (size_t i = 0; set && i < ledger->book.run_count; i++) {
        const ledger_run_record *run = &ledger->book.runs[i];
        if (&ledger->book.sets[run->data_set] != set)
            continue;
        if (!ledger_same_unit(run->unit, unit))
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "run %s of %s was charged for units of %.60s; a cap for units of %.60s would not "
                "count it: declare it in those",
                run->id, set->id, run->unit ? run->unit : "one row", unit ? unit : "one row");
        if (first && first->adjacency != run->adjacency)
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "runs %s and %s of %s were charged under two adjacencies, which no sum has", first->id,
                run->id, set->id);
        first = run;
    }
    return SOTTO_OK;
}

static sotto_status append_cap(sotto_ledger *ledger, const char *id, const char *unit, double epsilon,
                               double delta, double order, sotto_error *err)
{
    json_t *body = json_object();
    if (ledger_put(body, "data_set", json_string(id)) && ledger_put(body, "unit", ledger_text_json(unit)) &&
        ledger_put(body, "epsilon", json_real(epsilon)) && ledger_put(body, "delta", json_real(delta)) &&
        (order == 0.0 || ledger_put(body, "order", json_real(order))))
        return ledger_append(ledger, "cap", body, err);
    json_decref(body);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a cap, or its unit is not UTF-8");
}

/* Of a data set that has runs already; 0 where it has none, or an order. */
static sotto_status order_of_runs(const ledger_book *book, const char *id, const char *unit, double epsilon,
                                  double delta, double *order, sotto_error *err)
{
    const ledger_data_set *set = ledger_book_set(book, id);
    *order = 0.0;
    if (!set || set->order > 0.0 || set->version_count == 0)
        return SOTTO_OK;
    ledger_data_set capped = *set;
    capped.unit = unit;
    capped.epsilon = epsilon;
    capped.delta = delta;
    return ledger_cap_order(book, &capped, (size_t)(set - book->sets), NULL, 0, order, err);
}

sotto_status sotto_ledger_declare(sotto_ledger *ledger, const char *id, const char *unit, double epsilon,
                                  double delta, sotto_error *err)
{
    const char *trouble = sotto_ledger_id_trouble(id);
    if (trouble)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the data set's id '%.110s' %s", id, trouble);
    if (!(epsilon > 0.0 && isfinite(epsilon) && delta > 0.0 && delta < 1.0))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "a cap of epsilon %g at delta %g; expected a finite epsilon above 0, and a delta "
            "between 0 and 1",
            epsilon, delta);
    if (unit && (strlen(unit) < 1 || strlen(unit) > LEDGER_LABEL))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the unit is no column's name");
    double order;
    sotto_status status = ledger_begin(ledger, true, err);
    if (status != SOTTO_OK)
        return status;
    status = check_units(ledger, ledger_book_set(&ledger->book, id), unit, err);
    if (status == SOTTO_OK)
        status = order_of_runs(&ledger->book, id, unit, epsilon, delta, &order, err);
    if (status == SOTTO_OK)
        status = append_cap(ledger, id, unit, epsilon, delta, order, err);
    return ledger_end(ledger, status, err);
}
