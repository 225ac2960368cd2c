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

static sotto_status check_digest(const sotto_ledger *ledger, const ledger_record *record, bool *same,
                                 sotto_error *err)
{
    char digest[65];
    const sotto_status status = sotto_sha256_file(ledger->path, digest, err);
    *same = status == SOTTO_OK && strcmp(digest, record->rest) == 0;
    return status;
}

/* Nobody else has the ledger open, and nobody can come: compare the digest, and forget it. */
static sotto_status compare_rest(sotto_ledger *ledger, sotto_error *err)
{
    ledger_record record;
    bool empty, same = true;
    sotto_status status = ledger_sidecar_read(ledger, &record, &empty, err);
    if (status != SOTTO_OK || empty || strcmp(record.rest, LEDGER_NO_REST) == 0)
        return status;
    if (!have_log(ledger))
        status = check_digest(ledger, &record, &same, err);
    if (status != SOTTO_OK)
        return status;
    if (!same && !ledger->adopt)
        return other_file(ledger, &record, err);
    ledger->changed = !same;
    ledger->rested = record;
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

static sotto_status cannot_lock(const sotto_ledger *ledger, sotto_error *err)
{
    return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                              "cannot lock the ledger's head file: %s", strerror(errno));
}

/* Who made the head file and came to nothing takes it away again, when nobody has it open. */
static bool is_there(const sotto_ledger *ledger)
{
    struct stat about;
    return fstat(ledger->descriptor, &about) == 0 && about.st_nlink > 0;
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
        return cannot_lock(ledger, err);
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

/*
 * One try of somebody who cannot write here. With a lock that is shared nobody can come who writes; with a
 * digest that holds, and no log, all is in the file, and it is read as it lies there.
 */
static sotto_status try_to_look(const sotto_ledger *ledger, bool *entered, sotto_error *err)
{
    ledger_record record;
    bool empty, same = false;
    *entered = try_lock(ledger, LOCK_SH);
    if (!*entered)
        return errno == EWOULDBLOCK ? SOTTO_OK : cannot_lock(ledger, err);
    sotto_status status = ledger_sidecar_read(ledger, &record, &empty, err);
    if (status == SOTTO_OK && (empty || have_log(ledger) || strcmp(record.rest, LEDGER_NO_REST) == 0))
        return sotto_error_set_at(
            err, SOTTO_ERROR_IO, ledger->path, 0, 0,
            "somebody has the ledger open, or left it with a log; this account cannot write here, and reads it only "
            "when it was closed: try again then, or ask who may write for sotto ledger verify, or for sotto ledger "
            "export");
    if (status == SOTTO_OK)
        status = check_digest(ledger, &record, &same, err);
    return status == SOTTO_OK && !same ? other_file(ledger, &record, err) : status;
}

static bool too_late(const struct timespec *since)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - since->tv_sec > LEDGER_PATIENCE_S;
}

static bool is_forbidden(const char *path)
{
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0 &&
           (errno == EACCES || errno == EROFS || errno == EPERM);
}

/* Whoever only reads, and may do no more: in the files, or with a log beside them. */
static bool can_only_look(const sotto_ledger *ledger)
{
    char folder[LEDGER_TEXT + 8];
    (void)snprintf(folder, sizeof folder, "%s", ledger->path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    return ledger->read_only &&
           (is_forbidden(ledger->path) || is_forbidden(ledger->sidecar) || is_forbidden(folder));
}

static void make_sidecar(sotto_ledger *ledger, int flags)
{
    ledger->descriptor = open(ledger->sidecar, flags | O_CREAT, 0600);
    ledger->made = ledger->descriptor >= 0;
    if (ledger->made && fchmod(ledger->descriptor, 0600) != 0) {
        (void)close(ledger->descriptor);
        ledger->descriptor = -1;
    }
}

static sotto_status open_sidecar(sotto_ledger *ledger, bool create, sotto_error *err)
{
    ledger->looking = can_only_look(ledger);
    const int flags = (ledger->looking ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW;
    struct stat about;
    ledger->descriptor = open(ledger->sidecar, flags);
    if (ledger->descriptor < 0 && errno == ENOENT && create)
        make_sidecar(ledger, flags);
    if (ledger->descriptor < 0 && errno == ENOENT)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "the ledger's head file %s-head is missing, as it is of a copy; where this is known to be the newest, "
            "sotto ledger adopt goes on with it",
            ledger->path);
    if (ledger->descriptor < 0)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->sidecar, 0, 0,
                                  "cannot open the ledger's head file: %s", strerror(errno));
    if (fstat(ledger->descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        return damaged(ledger->sidecar, err);
    return ledger->looking ? SOTTO_OK : ledger_path_check_locks(ledger->sidecar, ledger->descriptor, err);
}

/* Once more, where it was taken away meanwhile. */
static sotto_status open_again(sotto_ledger *ledger, bool create, sotto_error *err)
{
    (void)close(ledger->descriptor);
    return open_sidecar(ledger, create, err);
}

sotto_status ledger_sidecar_enter(sotto_ledger *ledger, bool create, sotto_error *err)
{
    struct timespec since;
    bool entered = false;
    sotto_status status = open_sidecar(ledger, create, err);
    (void)clock_gettime(CLOCK_MONOTONIC, &since);
    while (status == SOTTO_OK && !entered) {
        status = ledger->looking ? try_to_look(ledger, &entered, err) : try_to_enter(ledger, &entered, err);
        if (status == SOTTO_OK && entered && !is_there(ledger)) {
            entered = false;
            status = open_again(ledger, create, err);
        }
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

/* An adoption that came to nothing leaves the head file as it was: with its digest, or not at all. */
static void put_back(const sotto_ledger *ledger)
{
    ledger_record record;
    bool empty;
    if (ledger_sidecar_read(ledger, &record, &empty, NULL) != SOTTO_OK)
        return;
    if (empty && ledger->made)
        (void)unlink(ledger->sidecar);
    if (empty || !ledger->rested.rest[0] || have_log(ledger) ||
        strcmp(record.head.hash, ledger->rested.head.hash) != 0)
        return;
    memcpy(record.rest, ledger->rested.rest, sizeof record.rest);
    (void)ledger_sidecar_write(ledger, &record, true, NULL);
}

/* What cannot be recorded is not: without a digest the chain alone decides. */
void ledger_sidecar_leave(sotto_ledger *ledger)
{
    ledger_record record;
    bool empty;
    if (ledger->descriptor < 0)
        return;
    if (!ledger->looking && ledger->process == getpid() && try_lock(ledger, LOCK_EX)) {
        if (!ledger->sound && ledger->adopt)
            put_back(ledger);
        else if (ledger->sound && !have_log(ledger) &&
                 ledger_sidecar_read(ledger, &record, &empty, NULL) == SOTTO_OK && !empty &&
                 sotto_sha256_file(ledger->path, record.rest, NULL) == SOTTO_OK)
            (void)ledger_sidecar_write(ledger, &record, true, NULL);
    }
    (void)close(ledger->descriptor);
    ledger->descriptor = -1;
}
