/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Transactions. Each first reads what others appended, so that the book is that of all entries. An entry goes
 * into the book before it is committed: where anything fails afterwards the book is stale, and made anew from
 * the file before it is used again.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ledger/inner.h"

/* -------------------------------------------------------------------- reading */

static sotto_status broken(const sotto_ledger *ledger, uint64_t seq, const char *what, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
        "entry %llu %s: the ledger was changed after it was written; restore the newest copy, and "
        "see docs/ledger.md for what then",
        (unsigned long long)seq, what);
}

static bool column_text(sqlite3_stmt *row, int column, const char **text, size_t *length)
{
    if (sqlite3_column_type(row, column) != SQLITE_TEXT)
        return false;
    *text = (const char *)sqlite3_column_text(row, column);
    *length = (size_t)sqlite3_column_bytes(row, column);
    return *text && *length <= LEDGER_BODY && strlen(*text) == *length;
}

/* The row that `select` stands on. */
static sotto_status take_row(sotto_ledger *ledger, uint64_t expected, sotto_error *err)
{
    sqlite3_stmt *row = ledger->select;
    unsigned char hash[LEDGER_HASH];
    ledger_entry entry = {.seq = (uint64_t)sqlite3_column_int64(row, 0)};
    size_t time_length, kind_length;
    if (sqlite3_column_type(row, 0) != SQLITE_INTEGER || entry.seq != expected)
        return broken(ledger, expected, "is missing", err);
    if (!column_text(row, 1, &entry.time, &time_length) || !column_text(row, 2, &entry.kind, &kind_length) ||
        !column_text(row, 3, &entry.body, &entry.body_length) || time_length > 64 || kind_length > 64)
        return broken(ledger, expected, "is not made of texts", err);
    const void *stored = sqlite3_column_blob(row, 4);
    if (sqlite3_column_type(row, 4) != SQLITE_BLOB || !stored || sqlite3_column_bytes(row, 4) != LEDGER_HASH)
        return broken(ledger, expected, "has no hash", err);
    ledger_chain(ledger->known_hash, &entry, hash);
    if (memcmp(hash, stored, LEDGER_HASH) != 0)
        return broken(ledger, expected, "does not follow from the one before", err);
    sotto_status status = ledger_book_apply(&ledger->book, &entry, err);
    if (status == SOTTO_OK) {
        ledger->known = entry.seq;
        memcpy(ledger->known_hash, hash, LEDGER_HASH);
    }
    return status;
}

/* The last row that is known must still be there as it was. */
static sotto_status check_known(sotto_ledger *ledger, int *code, sotto_error *err)
{
    if (ledger->known == 0)
        return SOTTO_OK;
    *code = sqlite3_step(ledger->select);
    if (*code != SQLITE_ROW && *code != SQLITE_DONE)
        return ledger_sqlite_error(ledger, *code, "reading", err);
    const void *stored = *code == SQLITE_ROW ? sqlite3_column_blob(ledger->select, 4) : NULL;
    if (!stored || sqlite3_column_bytes(ledger->select, 4) != LEDGER_HASH ||
        sqlite3_column_int64(ledger->select, 0) != (sqlite3_int64)ledger->known ||
        memcmp(stored, ledger->known_hash, LEDGER_HASH) != 0)
        return broken(ledger, ledger->known, "is no longer what it was", err);
    return SOTTO_OK;
}

static sotto_status read_new(sotto_ledger *ledger, sotto_error *err)
{
    int code = sqlite3_bind_int64(ledger->select, 1, (sqlite3_int64)(ledger->known ? ledger->known : 0));
    sotto_status status = code == SQLITE_OK ? check_known(ledger, &code, err)
                                            : ledger_sqlite_error(ledger, code, "reading", err);
    if (status == SOTTO_OK)
        ledger->stale = true; /* until all of it is read */
    while (status == SOTTO_OK && (code = sqlite3_step(ledger->select)) == SQLITE_ROW)
        status = take_row(ledger, ledger->known + 1, err);
    if (status == SOTTO_OK && code != SQLITE_DONE)
        status = ledger_sqlite_error(ledger, code, "reading", err);
    (void)sqlite3_reset(ledger->select);
    if (status == SOTTO_OK)
        ledger->stale = false;
    return status;
}

sotto_status ledger_hash_at(sotto_ledger *ledger, uint64_t seq, unsigned char hash[LEDGER_HASH],
                            sotto_error *err)
{
    sqlite3_stmt *row = ledger->hash_at;
    int code = sqlite3_bind_int64(row, 1, (sqlite3_int64)seq);
    memcpy(hash, ledger->origin, LEDGER_HASH);
    if (seq == 0)
        return SOTTO_OK;
    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    const void *stored = code == SQLITE_ROW ? sqlite3_column_blob(row, 0) : NULL;
    if (stored && sqlite3_column_bytes(row, 0) == LEDGER_HASH)
        memcpy(hash, stored, LEDGER_HASH);
    else if (code == SQLITE_ROW || code == SQLITE_DONE)
        code = SQLITE_CORRUPT;
    (void)sqlite3_reset(row);
    return code == SQLITE_ROW ? SOTTO_OK : ledger_sqlite_error(ledger, code, "reading", err);
}

sotto_status ledger_has_hash(sotto_ledger *ledger, const char *hash, bool *found, sotto_error *err)
{
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(ledger->database, "SELECT 1 FROM entries WHERE lower(hex(hash)) = ?1", -1,
                                  &row, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 1, hash, -1, SQLITE_TRANSIENT);
    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    (void)sqlite3_finalize(row);
    *found = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SOTTO_OK
                                                     : ledger_sqlite_error(ledger, code, "reading", err);
}

static sotto_status start_over(sotto_ledger *ledger, sotto_error *err)
{
    ledger_book_release(&ledger->book);
    ledger->known = 0;
    memcpy(ledger->known_hash, ledger->origin, LEDGER_HASH);
    return ledger_book_create(&ledger->book, err);
}

static void undo(sotto_ledger *ledger)
{
    if (sqlite3_get_autocommit(ledger->database))
        return;
    if (sqlite3_exec(ledger->database, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
        !sqlite3_get_autocommit(ledger->database))
        ledger->poisoned = true;
}

sotto_status ledger_begin(sotto_ledger *ledger, bool write, sotto_error *err)
{
    if (ledger->process != getpid())
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "the ledger was opened before this process was forked; open it anew in each");
    if (ledger->poisoned)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->path, 0, 0,
                                  "the ledger failed before, and what it holds is not known; open it anew");
    if (write && ledger->read_only)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                                  "the ledger was opened for reading");
    const int code = sqlite3_exec(ledger->database, write ? "BEGIN IMMEDIATE" : "BEGIN", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        undo(ledger);
        return ledger_sqlite_error(ledger, code, write ? "writing" : "reading", err);
    }
    sotto_status status = ledger->stale ? start_over(ledger, err) : SOTTO_OK;
    if (status == SOTTO_OK)
        status = read_new(ledger, err);
    if (status != SOTTO_OK)
        undo(ledger);
    return status;
}

/* -------------------------------------------------------------------- writing */

static int insert(sotto_ledger *ledger, const ledger_entry *entry, const unsigned char *hash)
{
    sqlite3_stmt *row = ledger->insert;
    int code = sqlite3_bind_int64(row, 1, (sqlite3_int64)entry->seq);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 2, entry->time, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 3, entry->kind, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 4, entry->body, (int)entry->body_length, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_blob(row, 5, hash, LEDGER_HASH, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    (void)sqlite3_reset(row);
    (void)sqlite3_clear_bindings(row);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static sotto_status append_entry(sotto_ledger *ledger, const ledger_entry *entry, sotto_error *err)
{
    unsigned char hash[LEDGER_HASH];
    ledger->stale = true; /* the book is ahead of the file until it is committed */
    sotto_status status = ledger_book_apply(&ledger->book, entry, err);
    if (status != SOTTO_OK)
        return status;
    ledger_chain(ledger->known_hash, entry, hash);
    const int code = insert(ledger, entry, hash);
    if (code != SQLITE_OK)
        return ledger_sqlite_error(ledger, code, "writing", err);
    ledger->known = entry->seq;
    memcpy(ledger->known_hash, hash, LEDGER_HASH);
    return SOTTO_OK;
}

sotto_status ledger_append(sotto_ledger *ledger, const char *kind, json_t *body, sotto_error *err)
{
    char now[32];
    const time_t clock = time(NULL);
    struct tm utc = {0};
    if (!gmtime_r(&clock, &utc) || strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        (void)snprintf(now, sizeof now, "unknown");
    char *text = body ? sotto_json_dump(body, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(body);
    if (!text)
        return sotto_error_set(
            err, SOTTO_ERROR_MEMORY,
            "an entry for the ledger could not be made: memory is short, or a name is not UTF-8");
    const ledger_entry entry = {
        .seq = ledger->known + 1, .time = now, .kind = kind, .body = text, .body_length = strlen(text)};
    sotto_status status =
        entry.body_length <= LEDGER_BODY
            ? append_entry(ledger, &entry, err)
            : sotto_error_set(err, SOTTO_ERROR_INPUT,
                              "an entry of %zu bytes is too long for the ledger; at most %d are kept",
                              entry.body_length, (int)LEDGER_BODY);
    free(text);
    return status;
}

/* ------------------------------------------------------------------ committing */

/* After a commit that failed: is our last entry there all the same? What cannot be read stays unknown. */
static sotto_status find_out(sotto_ledger *ledger, sotto_status status, sotto_error *err)
{
    const uint64_t ours = ledger->known;
    unsigned char hash[LEDGER_HASH];
    sotto_error before = {0};
    memcpy(hash, ledger->known_hash, LEDGER_HASH);
    if (err)
        before = *err;
    unsigned char found[LEDGER_HASH] = {0};
    bool known = !ledger->poisoned && ledger_begin(ledger, false, NULL) == SOTTO_OK;
    if (known && ledger->known >= ours)
        known = ledger_hash_at(ledger, ours, found, NULL) == SOTTO_OK;
    undo(ledger);
    if (!known) {
        ledger->poisoned = true;
        return sotto_error_set_at(
            err, status, ledger->path, 0, 0,
            "%.300s; whether entry %llu was recorded is not known: take it as spent, and open "
            "the ledger anew",
            before.message, (unsigned long long)ours);
    }
    const bool there = memcmp(hash, found, LEDGER_HASH) == 0;
    /* What the disk was told and did not take may come back, or not, when the machine starts again. */
    ledger->poisoned = ledger->poisoned || there;
    return sotto_error_set_at(err, status, ledger->path, 0, 0, "%.400s; %s", before.message,
                              there ? "the entry was recorded all the same, and counts as spent"
                                    : "nothing was recorded");
}

/* Whoever committed after this process may have told of it already. */
static bool is_ahead(const ledger_record *record, const ledger_record *told)
{
    return record->head.entries >= told->head.entries;
}

/* Who was faster may have had another mirror, or none. */
static sotto_status tell_mirror(const sotto_ledger *ledger, const ledger_record *record, sotto_error *err)
{
    ledger_record told;
    bool absent;
    const sotto_status status = ledger_mirror_read(ledger->mirror, &told, &absent, err);
    if (status == SOTTO_OK && !absent && !ledger->adopt && strcmp(told.head.ledger, ledger->id) != 0)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->mirror, 0, 0,
                                  "the mirror is another ledger's now (%.32s); name another one",
                                  told.head.ledger);
    if (status != SOTTO_OK || (!absent && !ledger->adopt && !is_ahead(record, &told)))
        return status;
    return ledger_mirror_write(ledger->mirror, &record->head, err);
}

/* Under a lock of their own the heads never go back, whoever is the last to write what he committed. */
static sotto_status tell_head(sotto_ledger *ledger, sotto_error *err)
{
    ledger_record record = {.head = sotto_ledger_last(ledger), .rest = LEDGER_NO_REST}, newer;
    bool empty;
    sotto_status status = ledger_sidecar_read(ledger, &newer, &empty, err);
    if (status == SOTTO_OK && (ledger->adopt || empty || is_ahead(&record, &newer)))
        status = ledger_sidecar_write(ledger, &record, false, err);
    return status == SOTTO_OK && ledger->mirror ? tell_mirror(ledger, &record, err) : status;
}

sotto_status ledger_end(sotto_ledger *ledger, sotto_status status, sotto_error *err)
{
    if (status != SOTTO_OK) {
        undo(ledger);
        return status;
    }
    if (!ledger->stale) { /* nothing was written */
        undo(ledger);
        return SOTTO_OK;
    }
    const int code = sqlite3_exec(ledger->database, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        status = ledger_sqlite_error(ledger, code, "writing", err);
        undo(ledger);
        return find_out(ledger, status, err);
    }
    ledger->stale = false;
    ledger_sidecar_hold(ledger, true);
    status = tell_head(ledger, err);
    ledger_sidecar_hold(ledger, false);
    if (status != SOTTO_OK && err) {
        const sotto_error why = *err;
        (void)sotto_error_set_at(err, status, why.file, 0, 0,
                                 "%.400s (entry %llu of the ledger is recorded, and counts)", why.message,
                                 (unsigned long long)ledger->known);
    }
    return status;
}
