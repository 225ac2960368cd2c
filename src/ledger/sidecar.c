/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The head file beside a ledger, and its mirror. It says how far the ledger had come, so that an older one,
 * or one without its write-ahead log, is found out; and, while nobody has the ledger open, the digest of its
 * file, so that one flipped bit is.
 *
 * Whoever has the ledger open shares an flock on it. Who finds himself alone, coming or going, compares or
 * records the digest. A change from an exclusive lock to a shared one is not one step: who comes looks for a
 * digest again once he shares it, and where there is one, starts again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger/inner.h"

/* ------------------------------------------------------------------- a record */

void ledger_record_format(const ledger_record *record, char *text)
{
    char check[65];
    const int length = snprintf(
        text, LEDGER_RECORD + 1,
        "sotto ledger head 1\nledger %.32s\nentries %020llu\nhash %.64s\nrest %.64s\n", record->head.ledger,
        (unsigned long long)record->head.entries, record->head.hash, record->rest);
    sotto_sha256_hex(text, (size_t)length, check);
    (void)snprintf(text + length, (size_t)(LEDGER_RECORD + 1 - length), "check %s\n", check);
}

/* Where each field begins is known; that nothing else is amiss shows when it is written again. */
bool ledger_record_parse(const char *bytes, size_t length, ledger_record *record)
{
    char again[LEDGER_RECORD + 1];
    if (length != LEDGER_RECORD)
        return false;
    *record = (ledger_record){0};
    const char *at = bytes + 20 + 7;
    memcpy(record->head.ledger, at, 32);
    for (at += 33 + 8; at[0] >= '0' && at[0] <= '9' && record->head.entries <= UINT64_MAX / 100; at++)
        record->head.entries = 10 * record->head.entries + (uint64_t)(at[0] - '0');
    at = bytes + 20 + 40 + 29 + 5;
    memcpy(record->head.hash, at, 64);
    memcpy(record->rest, at + 65 + 5, 64);
    ledger_record_format(record, again);
    return memcmp(again, bytes, LEDGER_RECORD) == 0 && ledger_is_hex(record->head.ledger, 32) &&
           ledger_is_hex(record->head.hash, 64) && ledger_is_hex(record->rest, 64);
}

static sotto_status damaged(const char *path, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, 0, 0,
        "this is no ledger's head file, or it was damaged; where the ledger beside it is known "
        "to be whole and the newest, move this file away and run sotto ledger adopt");
}

/* ---------------------------------------------------------------- the sidecar */

static void wait_a_little(void)
{
    const struct timespec little = {.tv_nsec = 1000000 + 100000 * (getpid() % 20)};
    (void)nanosleep(&little, NULL);
}

static ssize_t read_all(int descriptor, char *bytes, size_t size)
{
    size_t used = 0;
    while (used < size) {
        const ssize_t got = pread(descriptor, bytes + used, size - used, (off_t)used);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return -1;
        used += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)used;
}

/* Another process may be writing it: what looks damaged is looked at again. */
sotto_status ledger_sidecar_read(const sotto_ledger *ledger, ledger_record *record, bool *empty,
                                 sotto_error *err)
{
    char bytes[LEDGER_RECORD + 1];
    *empty = false;
    for (int tries = 0; tries < 10; tries++) {
        const ssize_t length = read_all(ledger->descriptor, bytes, sizeof bytes);
        if (length < 0)
            return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                                      "cannot read the ledger's head file: %s", strerror(errno));
        *empty = length == 0;
        if (*empty || ledger_record_parse(bytes, (size_t)length, record))
            return SOTTO_OK;
        if (ledger->alone)
            break;
        wait_a_little();
    }
    return damaged(ledger->sidecar, err);
}

sotto_status ledger_sidecar_write(const sotto_ledger *ledger, const ledger_record *record, bool sync,
                                  sotto_error *err)
{
    char text[LEDGER_RECORD + 1];
    size_t written = 0;
    ledger_record_format(record, text);
    while (written < LEDGER_RECORD) {
        const ssize_t more =
            pwrite(ledger->descriptor, text + written, LEDGER_RECORD - written, (off_t)written);
        if (more < 0 && errno != EINTR)
            break;
        written += more > 0 ? (size_t)more : 0;
    }
    if (written == LEDGER_RECORD && (!sync || fsync(ledger->descriptor) == 0))
        return SOTTO_OK;
    return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                              "cannot write the ledger's head file: %s; see to the disk, then go on",
                              strerror(errno));
}

void ledger_sidecar_hold(const sotto_ledger *ledger, bool hold)
{
#ifdef F_OFD_SETLKW
    struct flock lock = {
        .l_type = hold ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)1 << 41, .l_len = 1};
    while (fcntl(ledger->descriptor, F_OFD_SETLKW, &lock) != 0 && errno == EINTR)
        continue; /* a signal asks to stop, which is heeded after the step */
#else
    (void)ledger, (void)hold; /* a head may go back by what others commit at the same moment */
#endif
}

static bool have_log(const sotto_ledger *ledger)
{
    char name[LEDGER_TEXT + 8];
    struct stat about;
    (void)snprintf(name, sizeof name, "%s-wal", ledger->path);
    return stat(name, &about) == 0 && about.st_size > 0;
}

/* Why the file is not the one that was closed, as far as it says so itself. */
static sotto_status other_file(const sotto_ledger *ledger, const ledger_record *record, sotto_error *err)
{
    char id[33], why[200] = "";
    uint64_t entries;
    const bool known = ledger_store_peek(ledger->path, id, &entries);
    if (known && strcmp(id, record->head.ledger) != 0)
        (void)snprintf(why, sizeof why, "it is another ledger (%.32s, not %.32s); ", id, record->head.ledger);
    else if (known && entries != record->head.entries)
        (void)snprintf(why, sizeof why, "it has %llu entries, not %llu: %s; ", (unsigned long long)entries,
                       (unsigned long long)record->head.entries,
                       entries < record->head.entries ? "an older copy" : "something else wrote to it");
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
        "the ledger's file was changed since it was last closed: its digest is not the one in "
        "%.160s; %srestore the newest copy, and see docs/ledger.md for what then",
        ledger->sidecar, why);
}

/* Nobody else has the ledger open, and nobody can come: compare the digest, and forget it. */
static sotto_status compare_rest(const sotto_ledger *ledger, sotto_error *err)
{
    ledger_record record;
    bool empty;
    char digest[65];
    sotto_status status = ledger_sidecar_read(ledger, &record, &empty, err);
    if (status != SOTTO_OK || empty || strcmp(record.rest, LEDGER_NO_REST) == 0)
        return status;
    if (!have_log(ledger)) {
        status = sotto_sha256_file(ledger->path, digest, err);
        if (status != SOTTO_OK)
            return status;
        if (strcmp(digest, record.rest) != 0 && !ledger->adopt)
            return other_file(ledger, &record, err);
    }
    memcpy(record.rest, LEDGER_NO_REST, sizeof record.rest);
    return ledger_sidecar_write(ledger, &record, true, err);
}

static bool try_lock(const sotto_ledger *ledger, int kind)
{
    int result;
    do
        result = flock(ledger->descriptor, kind | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* One try: alone first, then with others. `entered` where no digest is left. */
static sotto_status try_to_enter(sotto_ledger *ledger, bool *entered, sotto_error *err)
{
    ledger_record record;
    bool empty;
    sotto_status status = SOTTO_OK;
    *entered = false;
    ledger->alone = try_lock(ledger, LOCK_EX);
    if (!ledger->alone && errno != EWOULDBLOCK)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                                  "cannot lock the ledger's head file: %s", strerror(errno));
    if (ledger->alone)
        status = compare_rest(ledger, err);
    ledger->alone = false;
    if (status != SOTTO_OK || !try_lock(ledger, LOCK_SH))
        return status;
    status = ledger_sidecar_read(ledger, &record, &empty, err);
    *entered = status == SOTTO_OK && (empty || strcmp(record.rest, LEDGER_NO_REST) == 0);
    if (!*entered)
        (void)flock(ledger->descriptor, LOCK_UN);
    return status;
}

static bool too_late(const struct timespec *since)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - since->tv_sec > LEDGER_PATIENCE_S;
}

static sotto_status open_sidecar(sotto_ledger *ledger, bool create, sotto_error *err)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    struct stat about;
    ledger->descriptor = open(ledger->sidecar, flags);
    if (ledger->descriptor < 0 && errno == ENOENT && create) {
        ledger->descriptor = open(ledger->sidecar, flags | O_CREAT, 0600);
        if (ledger->descriptor >= 0 && fchmod(ledger->descriptor, 0600) != 0) {
            (void)close(ledger->descriptor);
            ledger->descriptor = -1;
        }
    }
    if (ledger->descriptor < 0 && errno == ENOENT)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "there is no ledger here, or its head file %s-head is missing, as it is of a copy; "
            "where this is known to be the newest, sotto ledger adopt goes on with it",
            ledger->path);
    if (ledger->descriptor < 0)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                                  "cannot open the ledger's head file: %s", strerror(errno));
    if (fstat(ledger->descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        return damaged(ledger->sidecar, err);
    return SOTTO_OK;
}

sotto_status ledger_sidecar_enter(sotto_ledger *ledger, bool create, sotto_error *err)
{
    struct timespec since;
    bool entered = false;
    sotto_status status = open_sidecar(ledger, create, err);
    if (status == SOTTO_OK)
        status = ledger_path_check_locks(ledger->sidecar, ledger->descriptor, err);
    (void)clock_gettime(CLOCK_MONOTONIC, &since);
    while (status == SOTTO_OK && !entered) {
        status = try_to_enter(ledger, &entered, err);
        if (status == SOTTO_OK && !entered && too_late(&since))
            status = sotto_error_set_at(
                err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                "another process has kept the ledger to itself for %d seconds; wait for it, or "
                "ask fuser %s which one it is",
                LEDGER_PATIENCE_S, ledger->sidecar);
        if (status == SOTTO_OK && !entered)
            wait_a_little();
    }
    return status;
}

/* What cannot be recorded is not: without a digest the chain alone decides. */
void ledger_sidecar_leave(sotto_ledger *ledger)
{
    ledger_record record;
    bool empty;
    if (ledger->descriptor < 0)
        return;
    if (ledger->sound && ledger->process == getpid() && try_lock(ledger, LOCK_EX) && !have_log(ledger) &&
        ledger_sidecar_read(ledger, &record, &empty, NULL) == SOTTO_OK && !empty &&
        sotto_sha256_file(ledger->path, record.rest, NULL) == SOTTO_OK)
        (void)ledger_sidecar_write(ledger, &record, true, NULL);
    (void)close(ledger->descriptor);
    ledger->descriptor = -1;
}

/* ----------------------------------------------------------------- the mirror */

sotto_status ledger_mirror_read(const char *path, ledger_record *record, bool *absent, sotto_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    *absent = access(path, F_OK) != 0 && errno == ENOENT;
    if (*absent)
        return SOTTO_OK;
    sotto_status status = sotto_file_read(path, LEDGER_RECORD, &bytes, &length, err);
    if (status == SOTTO_OK && !ledger_record_parse(bytes, length, record))
        status = damaged(path, err);
    free(bytes);
    return status;
}

sotto_status ledger_mirror_write(const char *path, const sotto_ledger_head *head, sotto_error *err)
{
    ledger_record record = {.head = *head, .rest = LEDGER_NO_REST};
    char text[LEDGER_RECORD + 1];
    ledger_record_format(&record, text);
    return sotto_file_write(path, 0600, text, LEDGER_RECORD, err);
}
