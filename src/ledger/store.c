/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The SQLite file: how it is made, opened and checked, and what its errors mean. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger/inner.h"

enum { APPLICATION = 0x736F7474 /* "sott" */, FORMAT = 1 };

/*
 * All that a ledger's file consists of, as SQLite keeps the words. Triggers stand in the way of whoever would
 * change an entry with a SQL program; the chain finds out who took them away. The views are for readers.
 */
static const char *const schema[] = {
    "CREATE TABLE origin (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL CHECK (typeof(id) = 'text'), "
    "salt BLOB NOT NULL CHECK (typeof(salt) = 'blob' AND length(salt) = 32))",
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY CHECK (seq >= 1), time TEXT NOT NULL CHECK (typeof(time) = 'text'), "
    "kind TEXT NOT NULL CHECK (typeof(kind) = 'text'), body TEXT NOT NULL CHECK (typeof(body) = 'text'), "
    "hash BLOB NOT NULL CHECK (typeof(hash) = 'blob' AND length(hash) = 32))",
    "CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN "
    "SELECT RAISE(ABORT, 'entries of a ledger are never changed'); END",
    "CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries BEGIN "
    "SELECT RAISE(ABORT, 'entries of a ledger are never deleted'); END",
    "CREATE TRIGGER entries_follow BEFORE INSERT ON entries "
    "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries) BEGIN "
    "SELECT RAISE(ABORT, 'an entry of a ledger follows the last one'); END",
    "CREATE TRIGGER origin_stays BEFORE UPDATE ON origin BEGIN "
    "SELECT RAISE(ABORT, 'the origin of a ledger is never changed'); END",
    "CREATE TRIGGER origin_is_kept BEFORE DELETE ON origin BEGIN "
    "SELECT RAISE(ABORT, 'the origin of a ledger is never deleted'); END",
    "CREATE TRIGGER origin_is_one BEFORE INSERT ON origin WHEN EXISTS (SELECT 1 FROM origin) BEGIN "
    "SELECT RAISE(ABORT, 'a ledger has one origin'); END",
    "CREATE VIEW data_sets AS SELECT seq, time, kind, json_extract(body, '$.data_set') AS data_set, "
    "json_extract(body, '$.path') AS path, json_extract(body, '$.unit') AS unit, "
    "json_extract(body, '$.epsilon') AS epsilon, json_extract(body, '$.delta') AS delta "
    "FROM entries WHERE kind IN ('table', 'cap')",
    "CREATE VIEW runs AS SELECT seq, time, kind, json_extract(body, '$.run') AS run, "
    "json_extract(body, '$.data_set') AS data_set, json_extract(body, '$.attempt') AS attempt, "
    "json_extract(body, '$.epsilon') AS epsilon, json_extract(body, '$.delta') AS delta, "
    "json_extract(body, '$.output') AS output, json_extract(body, '$.why') AS why "
    "FROM entries WHERE kind IN ('run', 'attempt', 'release', 'close')",
    "CREATE VIEW charges AS SELECT seq, time, json_extract(body, '$.run') AS run, "
    "json_extract(body, '$.attempt') AS attempt, json_extract(body, '$.label') AS label, "
    "json_extract(body, '$.mechanism') AS mechanism, json_extract(body, '$.count') AS count "
    "FROM entries WHERE kind = 'charge'",
    "CREATE VIEW releases AS SELECT seq, time, json_extract(body, '$.run') AS run, "
    "json_extract(body, '$.artefacts') AS artefacts FROM entries WHERE kind = 'release'",
};
enum { SCHEMA = sizeof schema / sizeof *schema };

/* --------------------------------------------------------------------- errors */

static sotto_status busy_error(const sotto_ledger *ledger, const char *doing, sotto_error *err)
{
    char who[64] = "another process";
    const long process = ledger_who_writes(ledger);
    if (process > 0)
        (void)snprintf(who, sizeof who, "process %ld", process);
    return sotto_error_set_at(
        err, SOTTO_ERROR_IO, ledger->path, 0, 0,
        "%s the ledger failed: %s has been writing to it, and process %ld waited for %d seconds; "
        "see what that one does, and try again",
        doing, who, (long)getpid(), (int)LEDGER_PATIENCE_S);
}

sotto_status ledger_sqlite_error(const sotto_ledger *ledger, int code, const char *doing, sotto_error *err)
{
    static const struct {
        int code;
        sotto_status status;
        const char *remedy;
    } known[] = {
        {SQLITE_FULL, SOTTO_ERROR_IO, "the disk is full; make room and go on"},
        {SQLITE_IOERR, SOTTO_ERROR_IO,
         "the disk does not read or write; see to it, then sotto ledger verify"},
        {SQLITE_LOCKED, SOTTO_ERROR_IO, "another process has it locked; try again"},
        {SQLITE_CORRUPT, SOTTO_ERROR_INPUT,
         "the file is damaged; restore the newest copy, see docs/ledger.md"},
        {SQLITE_NOTADB, SOTTO_ERROR_INPUT, "this is no ledger; check the path"},
        {SQLITE_CANTOPEN, SOTTO_ERROR_IO,
         "the file or its folder cannot be opened; check permissions, and that "
         "there are not too many open files"},
        {SQLITE_READONLY, SOTTO_ERROR_IO, "the file or its folder cannot be written; check permissions"},
        {SQLITE_PERM, SOTTO_ERROR_IO, "the file cannot be written; check permissions"},
        {SQLITE_TOOBIG, SOTTO_ERROR_INPUT, "an entry is larger than any that sotto writes"},
        {SQLITE_CONSTRAINT, SOTTO_ERROR_INPUT, "the file's own rules refuse the entry: it was tampered with"},
    };
    if ((code & 0xFF) == SQLITE_NOMEM)
        return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, ledger->path, 0, 0, "out of memory %s the ledger",
                                  doing);
    if ((code & 0xFF) == SQLITE_BUSY)
        return busy_error(ledger, doing, err);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == (code & 0xFF))
            return sotto_error_set_at(err, known[i].status, ledger->path, 0, 0,
                                      "%s the ledger failed (SQLite: %s): %s", doing, sqlite3_errstr(code),
                                      known[i].remedy);
    return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->path, 0, 0, "%s the ledger failed (SQLite: %s)",
                              doing, sqlite3_errstr(code));
}

/* ------------------------------------------------------------------- settings */

/* SQLite's own waits up to a tenth of a second at a time, which is long where dozens take turns. */
static int wait_for_others(void *context, int calls)
{
    const struct timespec little = {.tv_nsec = 1000000L * (1 + (calls + getpid()) % 7)};
    (void)context;
    (void)nanosleep(&little, NULL);
    return calls < LEDGER_PATIENCE_S * 1000 / 4;
}

static int run_sql(const sotto_ledger *ledger, const char *sql)
{
    return sqlite3_exec(ledger->database, sql, NULL, NULL, NULL);
}

/* The first column of the first row, a number. */
static int ask_number(const sotto_ledger *ledger, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    const int ended = sqlite3_finalize(statement);
    return code == SQLITE_ROW ? ended : code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

/* Changing to the log may find another process doing the same, and does not wait for it by itself. */
static int use_log(const sotto_ledger *ledger)
{
    int code = SQLITE_BUSY;
    for (int tries = 0; tries < 2000 && (code & 0xFF) == SQLITE_BUSY; tries++) {
        sqlite3_stmt *statement = NULL;
        code = sqlite3_prepare_v2(ledger->database, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            const char *mode = (const char *)sqlite3_column_text(statement, 0);
            code = !mode ? SQLITE_NOMEM : strcmp(mode, "wal") == 0 ? SQLITE_OK : SQLITE_BUSY;
        }
        (void)sqlite3_finalize(statement);
        if ((code & 0xFF) == SQLITE_BUSY)
            (void)wait_for_others(NULL, tries);
    }
    return code;
}

static int settle_settings(const sotto_ledger *ledger)
{
    (void)sqlite3_extended_result_codes(ledger->database, 1);
    (void)sqlite3_limit(ledger->database, SQLITE_LIMIT_LENGTH, 2 * LEDGER_BODY);
    int code = sqlite3_busy_handler(ledger->database, wait_for_others, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(ledger->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK)
        code = run_sql(
            ledger, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY");
    if (code == SQLITE_OK && !ledger->looking)
        code = use_log(ledger);
    if (code == SQLITE_OK)
        code = run_sql(ledger,
                       "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
    return code;
}

/* --------------------------------------------------------------------- schema */

static sotto_status write_origin(sotto_ledger *ledger, sotto_error *err)
{
    unsigned char id[16], salt[LEDGER_HASH];
    char hex[33];
    sqlite3_stmt *statement = NULL;
    if (getentropy(id, sizeof id) != 0 || getentropy(salt, sizeof salt) != 0)
        return sotto_error_set(err, SOTTO_ERROR_ENTROPY, "the system gives no randomness for a new ledger");
    ledger_hex(id, sizeof id, hex);
    int code =
        sqlite3_prepare_v2(ledger->database, "INSERT INTO origin VALUES (1, ?, ?)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, hex, -1, SQLITE_TRANSIENT);
    if (code == SQLITE_OK)
        code = sqlite3_bind_blob(statement, 2, salt, sizeof salt, SQLITE_TRANSIENT);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SOTTO_OK : ledger_sqlite_error(ledger, code, "making", err);
}

static sotto_status make_schema(sotto_ledger *ledger, sotto_error *err)
{
    char marks[96];
    (void)snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION,
                   FORMAT);
    int code = run_sql(ledger, marks);
    for (size_t i = 0; i < SCHEMA && code == SQLITE_OK; i++)
        code = run_sql(ledger, schema[i]);
    return code == SQLITE_OK ? write_origin(ledger, err) : ledger_sqlite_error(ledger, code, "making", err);
}

/* Exactly what is above, and nothing else: no trigger gone, no view that does something. */
static sotto_status check_schema(const sotto_ledger *ledger, sotto_error *err)
{
    sqlite3_stmt *statement = NULL;
    size_t found = 0, others = 0;
    int code = sqlite3_prepare_v2(ledger->database, "SELECT sql FROM sqlite_master", -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(statement, 0);
        size_t i = 0;
        while (sql && i < SCHEMA && strcmp(sql, schema[i]) != 0)
            i++;
        found += sql && i < SCHEMA;
        others += !sql || i == SCHEMA;
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return ledger_sqlite_error(ledger, code, "opening", err);
    if (found == SCHEMA && others == 0)
        return SOTTO_OK;
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
        "this is no ledger of this version of sotto: of its %d tables, triggers and views %zu "
        "are there, and %zu others; check the path, or restore the newest copy",
        (int)SCHEMA, found, others);
}

static sotto_status read_origin(sotto_ledger *ledger, sotto_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool sound = false;
    int code = sqlite3_prepare_v2(ledger->database, "SELECT id, salt FROM origin", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(statement, 0);
        const void *salt = sqlite3_column_blob(statement, 1);
        sound = id && salt && sqlite3_column_bytes(statement, 0) == 32 && ledger_is_hex(id, 32) &&
                sqlite3_column_bytes(statement, 1) == LEDGER_HASH;
        if (sound) {
            memcpy(ledger->id, id, 33);
            memcpy(ledger->salt, salt, LEDGER_HASH);
        }
        code = SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return ledger_sqlite_error(ledger, code, "opening", err);
    ledger_chain_origin(ledger->salt, ledger->id, ledger->origin);
    return sound ? SOTTO_OK
                 : sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                                      "the ledger has lost its origin; restore the newest copy");
}

static sotto_status make_or_check(sotto_ledger *ledger, bool create, sotto_error *err)
{
    int64_t application = 0, format = 0, objects = 0;
    int code = run_sql(ledger, create ? "BEGIN IMMEDIATE" : "BEGIN");
    if (code == SQLITE_OK)
        code = ask_number(ledger, "SELECT count(*) FROM sqlite_master", &objects);
    if (code == SQLITE_OK)
        code = ask_number(ledger, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = ask_number(ledger, "PRAGMA user_version", &format);
    sotto_status status = code == SQLITE_OK ? SOTTO_OK : ledger_sqlite_error(ledger, code, "opening", err);
    if (status == SOTTO_OK && objects == 0 && application == 0 && create)
        status = make_schema(ledger, err);
    else if (status == SOTTO_OK && application != APPLICATION)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                                    "this is no ledger; check the path");
    else if (status == SOTTO_OK && format != FORMAT)
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                               "this ledger has the format %lld, and this version of sotto reads format %d",
                               (long long)format, (int)FORMAT);
    if (status == SOTTO_OK)
        status = check_schema(ledger, err);
    if (status == SOTTO_OK)
        status = read_origin(ledger, err);
    if (status == SOTTO_OK && (code = run_sql(ledger, "COMMIT")) != SQLITE_OK)
        status = ledger_sqlite_error(ledger, code, "making", err);
    if (!sqlite3_get_autocommit(ledger->database))
        (void)run_sql(ledger, "ROLLBACK");
    return status;
}

/* -------------------------------------------------------------------- opening */

/* SQLite gives its log and the rest the mode that the file itself has. */
static sotto_status make_file(const sotto_ledger *ledger, bool create, sotto_error *err)
{
    const int made =
        create ? open(ledger->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    bool sound = made >= 0 ? fchmod(made, 0600) == 0 : !create || errno == EEXIST;
    const int cause = errno;
    if (made >= 0)
        (void)close(made);
    if (!sound)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->path, 0, 0,
                                  "cannot make a ledger here: %s; name another place with SOTTO_LEDGER",
                                  strerror(cause));
    return ledger_path_check(ledger, false, err);
}

/* "file:" and the path, with what has a meaning there percent-encoded. */
static bool make_address(const char *path, char *address, size_t size)
{
    size_t used = (size_t)snprintf(address, size, "file:");
    for (; *path && used + 4 < size; path++)
        used += (size_t)snprintf(address + used, size - used, strchr("%?#", *path) ? "%%%02X" : "%c",
                                 (unsigned char)*path);
    if (*path || used + 32 >= size)
        return false;
    (void)snprintf(address + used, size - used, "?immutable=1");
    return true;
}

static int prepare(sotto_ledger *ledger)
{
    int code = sqlite3_prepare_v3(
        ledger->database, "SELECT seq, time, kind, body, hash FROM entries WHERE seq >= ? ORDER BY seq", -1,
        SQLITE_PREPARE_PERSISTENT, &ledger->select, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(ledger->database, "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", -1,
                                  SQLITE_PREPARE_PERSISTENT, &ledger->insert, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(ledger->database, "SELECT hash FROM entries WHERE seq = ?", -1,
                                  SQLITE_PREPARE_PERSISTENT, &ledger->hash_at, NULL);
    return code;
}

static int open_file(sotto_ledger *ledger)
{
    char address[3 * LEDGER_TEXT];
    if (!ledger->looking)
        return sqlite3_open_v2(ledger->path, &ledger->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                               NULL);
    return make_address(ledger->path, address, sizeof address)
               ? sqlite3_open_v2(address, &ledger->database,
                                 SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL)
               : SQLITE_CANTOPEN;
}

sotto_status ledger_store_open(sotto_ledger *ledger, bool create, sotto_error *err)
{
    sotto_status status = make_file(ledger, create, err);
    if (status != SOTTO_OK)
        return status;
    int code = open_file(ledger);
    if (code == SQLITE_OK)
        code = settle_settings(ledger);
    if (code != SQLITE_OK)
        return ledger_sqlite_error(ledger, code, "opening", err);
    status = make_or_check(ledger, create, err);
    if (status == SOTTO_OK && (code = prepare(ledger)) != SQLITE_OK)
        status = ledger_sqlite_error(ledger, code, "opening", err);
    return status;
}

void ledger_store_close(sotto_ledger *ledger)
{
    (void)sqlite3_finalize(ledger->select);
    (void)sqlite3_finalize(ledger->insert);
    (void)sqlite3_finalize(ledger->hash_at);
    (void)sqlite3_close(ledger->database);
    ledger->select = ledger->insert = ledger->hash_at = NULL;
    ledger->database = NULL;
}

/* ------------------------------------------------------------------ only looking */

bool ledger_store_peek(const char *path, char id[33], uint64_t *entries)
{
    char address[3 * LEDGER_TEXT];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bool found = false;
    if (!make_address(path, address, sizeof address))
        return false;
    if (sqlite3_open_v2(address, &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(database, "SELECT id, (SELECT max(seq) FROM entries) FROM origin", -1, &statement,
                           NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        found = text && sqlite3_column_bytes(statement, 0) == 32 && ledger_is_hex(text, 32);
        if (found)
            memcpy(id, text, 33);
        *entries = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    return found;
}
