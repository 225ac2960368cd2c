/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whether a ledger is whole; what it is held to; and all of it, to take away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger/inner.h"

/* ------------------------------------------------------------------ verifying */

/* SQLite's own check: "ok", or what is amiss. */
static sotto_status check_structure(const sotto_ledger *ledger, sotto_error *err)
{
    sqlite3_stmt *statement = NULL;
    char found[200] = "nothing";
    int code = sqlite3_prepare_v2(ledger->database, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        (void)snprintf(found, sizeof found, "%s", text ? text : "nothing");
    }
    const int ended = sqlite3_finalize(statement);
    if (code != SQLITE_ROW || ended != SQLITE_OK)
        return ledger_sqlite_error(ledger, ended != SQLITE_OK ? ended : code, "verifying", err);
    if (strcmp(found, "ok") == 0)
        return SOTTO_OK;
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                              "the file's structure is damaged (%.200s); restore the newest copy", found);
}

sotto_status sotto_ledger_verify(const sotto_ledger_options *options, json_t **record, sotto_error *err)
{
    sotto_ledger_options reading = *options;
    sotto_ledger *ledger;
    *record = NULL;
    reading.create = reading.adopt = false;
    reading.read_only = true;
    sotto_status status = sotto_ledger_open(&ledger, &reading, err);
    if (status != SOTTO_OK)
        return status;
    status = check_structure(ledger, err);
    if (status == SOTTO_OK) {
        const ledger_book *book = &ledger->book;
        json_t *made = ledger_record_json(ledger);
        if (ledger_put_adoptions(book, made, err) == SOTTO_OK && ledger_put(made, "sound", json_true()) &&
            ledger_put(made, "data_sets", json_integer((json_int_t)book->set_count)) &&
            ledger_put(made, "runs", json_integer((json_int_t)book->run_count)) &&
            ledger_put(made, "charges", json_integer((json_int_t)book->charges)))
            *record = made;
        else {
            json_decref(made);
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record of the ledger");
        }
    }
    sotto_ledger_close(ledger);
    return status;
}

/* ---------------------------------------------------------------------- heads */

static sotto_status no_head(const char *path, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, 0, 0,
        "no ledger's head is in this; expected a head file, a privacy.json that was made with a "
        "ledger, or a run directory that has one");
}

/* What is taken from an artefact: its head, and of a statement the run that made it. */
typedef struct said {
    sotto_ledger_head head;
    char run[LEDGER_RUN_ID + 1]; /* "" where it names none */
} said;

/* A statement says more than this of its ledger. */
static bool read_statement(const json_t *root, said *found)
{
    ledger_reader reader = {.object = json_object_get(root, "ledger")};
    const char *id = ledger_read_text(&reader, "ledger", 32), *hash = ledger_read_hash(&reader, "hash");
    const char *run = json_string_value(json_object_get(reader.object, "run"));
    if (reader.wrong || strlen(id) != 32 || !ledger_is_hex(id, 32))
        return false;
    *found = (said){.head.entries = UINT64_MAX};
    memcpy(found->head.ledger, id, 33);
    memcpy(found->head.hash, hash, 65);
    (void)snprintf(found->run, sizeof found->run, "%s", run ? run : "");
    return true;
}

static sotto_status read_head(const char *path, said *found, sotto_error *err)
{
    enum { MOST = 64 << 20 };
    char *bytes;
    size_t length;
    ledger_record record;
    sotto_status status = sotto_file_read(path, MOST, &bytes, &length, err);
    if (status != SOTTO_OK)
        return status;
    if (ledger_record_parse(bytes, length, &record))
        *found = (said){.head = record.head};
    else {
        json_t *root;
        status = sotto_json_parse(&root, bytes, length, NULL);
        if (status == SOTTO_ERROR_MEMORY)
            (void)sotto_error_set(err, status, "out of memory reading %.300s", path);
        else
            status = read_statement(root, found) ? SOTTO_OK : no_head(path, err);
        json_decref(root);
    }
    free(bytes);
    return status;
}

static bool is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static sotto_status read_artefact(const char *artefact, said *found, sotto_error *err)
{
    char *statement = NULL;
    if (!is_directory(artefact))
        return read_head(artefact, found, err);
    if (asprintf(&statement, "%s/release/privacy.json", artefact) < 0)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const sotto_status status = read_head(statement, found, err);
    free(statement);
    return status;
}

static sotto_status compare_file(const char *folder, const sotto_ledger_artefact *entered, sotto_error *err)
{
    char hash[65], *path = NULL;
    if (asprintf(&path, "%s/release/%s", folder, entered->file) < 0)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = sotto_sha256_file(path, hash, err);
    if (status == SOTTO_OK && strcmp(hash, entered->sha256) != 0)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this is not the file that was released: its SHA-256 is %.16s…, and the ledger "
            "knows it by %.16s…",
            hash, entered->sha256);
    free(path);
    return status;
}

static bool is_entered(const char *name, const sotto_ledger_artefact *entered, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(entered[i].file, name) == 0)
            return true;
    return false;
}

/* What lies in release/ is taken for released: nothing else may. */
static sotto_status find_foreign(const char *path, const sotto_ledger_artefact *entered, size_t count,
                                 sotto_error *err)
{
    DIR *folder = opendir(path);
    sotto_status status = SOTTO_OK;
    if (!folder)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot look into the folder: %s",
                                  strerror(errno));
    for (struct dirent *one; status == SOTTO_OK && (one = readdir(folder));) {
        struct stat about;
        if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
            continue;
        char *name = ledger_readable(one->d_name);
        if (!name)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a name");
        else if (!is_entered(name, entered, count))
            status = sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, path, 0, 0,
                "%.200s was never released: the ledger knows of no such file of this run; take it away",
                name);
        else if (fstatat(dirfd(folder), one->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
                 !S_ISREG(about.st_mode))
            status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                        "%.200s is no plain file, as what was released is", name);
        free(name);
    }
    (void)closedir(folder);
    return status;
}

static sotto_status compare_folder(const char *folder, const sotto_ledger_artefact *entered, size_t count,
                                   sotto_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/release", folder) < 0)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const sotto_status status = find_foreign(path, entered, count, err);
    free(path);
    return status;
}

static sotto_status compare_release(sotto_ledger *ledger, const char *folder, const char *run, size_t *files,
                                    sotto_error *err)
{
    const sotto_ledger_artefact *entered;
    sotto_status status = SOTTO_OK;
    if (!sotto_ledger_run_released(ledger, run, &entered, files))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, folder, 0, 0,
            "the ledger knows of no release of the run '%.16s' that this statement is of", run);
    for (size_t i = 0; status == SOTTO_OK && i < *files; i++)
        status = compare_file(folder, &entered[i], err);
    return status == SOTTO_OK ? compare_folder(folder, entered, *files, err) : status;
}

sotto_status sotto_ledger_hold(sotto_ledger *ledger, const char *artefact, sotto_ledger_head *head,
                               size_t *files, sotto_error *err)
{
    said found;
    *files = 0;
    sotto_status status = read_artefact(artefact, &found, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_expect(ledger, &found.head, artefact, err);
    if (status == SOTTO_OK && is_directory(artefact))
        status = compare_release(ledger, artefact, found.run, files, err);
    if (status == SOTTO_OK)
        *head = found.head;
    return status;
}

/* ------------------------------------------------------------------ exporting */

static bool write_line(json_t *object, FILE *file)
{
    char *text = object ? sotto_json_dump(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    const bool sound = text && fputs(text, file) != EOF && fputc('\n', file) != EOF;
    free(text);
    json_decref(object);
    return sound;
}

static json_t *entry_json(sqlite3_stmt *row)
{
    const char *time = (const char *)sqlite3_column_text(row, 1),
               *kind = (const char *)sqlite3_column_text(row, 2);
    const char *body = (const char *)sqlite3_column_text(row, 3);
    const unsigned char *hash = sqlite3_column_blob(row, 4);
    char hex[2 * LEDGER_HASH + 1];
    json_t *object = json_object();
    if (time && kind && body && hash && sqlite3_column_bytes(row, 4) == LEDGER_HASH) {
        ledger_hex(hash, LEDGER_HASH, hex);
        if (ledger_put(object, "seq", json_integer(sqlite3_column_int64(row, 0))) &&
            ledger_put(object, "time", json_string(time)) && ledger_put(object, "kind", json_string(kind)) &&
            ledger_put(object, "body", sotto_json_read(body)) && ledger_put(object, "hash", json_string(hex)))
            return object;
    }
    json_decref(object);
    return NULL;
}

sotto_status sotto_ledger_export(sotto_ledger *ledger, FILE *file, sotto_error *err)
{
    sotto_status status = ledger_begin(ledger, false, err);
    if (status != SOTTO_OK)
        return status;
    bool sound = write_line(ledger_record_json(ledger), file);
    int code = sqlite3_bind_int64(ledger->select, 1, 0);
    while (sound && code == SQLITE_OK && (code = sqlite3_step(ledger->select)) == SQLITE_ROW) {
        sound = write_line(entry_json(ledger->select), file);
        code = SQLITE_OK;
    }
    (void)sqlite3_reset(ledger->select);
    if (sound && code != SQLITE_DONE)
        status = ledger_sqlite_error(ledger, code, "reading", err);
    else if (!sound)
        status =
            sotto_error_set(err, SOTTO_ERROR_IO, "cannot write what is in the ledger: %s", strerror(errno));
    (void)ledger_end(ledger, SOTTO_ERROR_INPUT, NULL);
    return status;
}
