/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A head file elsewhere, that follows the ledger: which one, and that it is nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/inner.h"

/* One of the ledger's own files would be overwritten, and vouch for itself. */
static sotto_status check_elsewhere(const char *mirror, const char *ledger, sotto_error *err)
{
    static const char *const own[] = {"", "-head", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char name[LEDGER_TEXT + 8];
        bool same;
        (void)snprintf(name, sizeof name, "%s%s", ledger, own[i]);
        const sotto_status status = ledger_path_same(mirror, name, &same, err);
        if (status != SOTTO_OK)
            return status;
        if (same)
            return sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, mirror, 0, 0,
                "the mirror is the ledger's own file %.300s, which can vouch for nothing; name a file elsewhere, best on "
                "another disk or machine",
                name);
    }
    return SOTTO_OK;
}

sotto_status ledger_mirror_find(const char *configured, const char *ledger, char **mirror, sotto_error *err)
{
    const char *variable = getenv("SOTTO_LEDGER_MIRROR");
    bool same = true;
    *mirror = NULL;
    if (variable && !*variable)
        variable = NULL;
    if (variable && variable[0] != '/')
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "SOTTO_LEDGER_MIRROR is %.200s, which is another file in every folder; name the mirror by its whole path, "
            "from / on",
            variable);
    sotto_status status =
        variable && configured ? ledger_path_same(variable, configured, &same, err) : SOTTO_OK;
    if (status == SOTTO_OK && !same)
        status = sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "two mirrors are named: %.200s by SOTTO_LEDGER_MIRROR and %.200s by ledger.mirror in the config; leave one "
            "of them out",
            variable, configured);
    const char *chosen = configured ? configured : variable;
    if (status == SOTTO_OK && chosen)
        status = check_elsewhere(chosen, ledger, err);
    if (status != SOTTO_OK || !chosen)
        return status;
    *mirror = strdup(chosen);
    return *mirror ? SOTTO_OK
                   : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the mirror's path");
}

/* It may be anything: a typing error that names a table must not become a reason to touch a ledger. */
static sotto_status no_mirror(const char *path, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, 0, 0,
        "this is named as the ledger's mirror (SOTTO_LEDGER_MIRROR or ledger.mirror), and is not a ledger's head file; "
        "name another mirror");
}

sotto_status ledger_mirror_read(const char *path, ledger_record *record, bool *absent, sotto_error *err)
{
    struct stat about;
    char *bytes = NULL;
    size_t length = 0;
    const bool there = stat(path, &about) == 0;
    *absent = !there && errno == ENOENT;
    if (*absent)
        return SOTTO_OK;
    if (there && (!S_ISREG(about.st_mode) || about.st_size != LEDGER_RECORD))
        return no_mirror(path, err);
    sotto_status status = sotto_file_read(path, LEDGER_RECORD, &bytes, &length, err);
    if (status == SOTTO_OK && !ledger_record_parse(bytes, length, record))
        status = no_mirror(path, err);
    free(bytes);
    return status;
}

/* It is replaced at each commit, and stays open to whom its keeper has opened it. */
sotto_status ledger_mirror_write(const char *path, const sotto_ledger_head *head, sotto_error *err)
{
    struct stat about;
    const unsigned mode = stat(path, &about) == 0 ? about.st_mode & 0666 : 0600;
    ledger_record record = {.head = *head, .rest = LEDGER_NO_REST};
    char text[LEDGER_RECORD + 1];
    ledger_record_format(&record, text);
    return sotto_file_write(path, mode, text, LEDGER_RECORD, err);
}
