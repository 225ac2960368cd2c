/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Where a ledger is, and whether it can be there. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "ledger/inner.h"

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the ledger's path");
}

/* ---------------------------------------------------------------- which file */

static const char *set_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The same text, the same place, or the same file. */
sotto_status ledger_path_same(const char *a, const char *b, bool *same, sotto_error *err)
{
    char *one = NULL, *other = NULL;
    *same = strcmp(a, b) == 0;
    if (*same)
        return SOTTO_OK;
    sotto_status status = ledger_path_settle(a, false, &one, NULL);
    if (status == SOTTO_OK)
        status = ledger_path_settle(b, false, &other, NULL);
    struct stat first, second;
    *same = status == SOTTO_OK &&
            (strcmp(one, other) == 0 || (stat(one, &first) == 0 && stat(other, &second) == 0 &&
                                         first.st_dev == second.st_dev && first.st_ino == second.st_ino));
    free(one);
    free(other);
    return status == SOTTO_ERROR_MEMORY ? no_memory(err) : SOTTO_OK;
}

static sotto_status find_default(char **path, sotto_error *err)
{
    const char *state = set_variable("XDG_STATE_HOME"), *home = set_variable("HOME");
    int length = -1;
    if (state && state[0] == '/') /* the specification says to ignore any other */
        length = asprintf(path, "%s/sotto/ledger.db", state);
    else if (home && home[0] == '/')
        length = asprintf(path, "%s/.local/state/sotto/ledger.db", home);
    else
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "there is no home folder for the ledger: HOME is not set; name a file with the "
            "variable SOTTO_LEDGER, or with ledger: in the config");
    if (length >= 0)
        return SOTTO_OK;
    *path = NULL;
    return no_memory(err);
}

sotto_status sotto_ledger_find(const char *configured, char **path, sotto_error *err)
{
    const char *variable = set_variable("SOTTO_LEDGER");
    bool same = true;
    *path = NULL;
    if (variable && variable[0] != '/')
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "SOTTO_LEDGER is %.200s, which is another file in every folder; name the ledger by its "
            "whole path, from / on",
            variable);
    if (!variable && !configured)
        return find_default(path, err);
    sotto_status status =
        variable && configured ? ledger_path_same(variable, configured, &same, err) : SOTTO_OK;
    if (status != SOTTO_OK)
        return status;
    if (!same)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "two ledgers are named: %.200s by SOTTO_LEDGER and %.200s by ledger: in the config; "
            "leave one of them out",
            variable, configured);
    *path = strdup(configured ? configured : variable);
    return *path ? SOTTO_OK : no_memory(err);
}

/* ------------------------------------------------------------------- folders */

/* For their owner alone, whatever the umask. */
static sotto_status make_folders(char *path, sotto_error *err)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        const bool made = mkdir(path, 0700) == 0;
        const int cause = errno;
        const bool sound = made ? chmod(path, 0700) == 0 : cause == EEXIST || cause == EISDIR;
        if (!sound) {
            (void)sotto_error_set_at(
                err, SOTTO_ERROR_IO, path, 0, 0,
                "cannot make the ledger's folder: %s; name another place with SOTTO_LEDGER",
                strerror(made ? errno : cause));
            *at = '/';
            return SOTTO_ERROR_IO;
        }
        *at = '/';
    }
    return SOTTO_OK;
}

static sotto_status join(const char *path, char **settled, sotto_error *err)
{
    char *folder = strdup(path), *name = strdup(path);
    char *real = folder ? realpath(dirname(folder), NULL) : NULL;
    const int cause = errno;
    int length = -1;
    if (real && name)
        length = asprintf(settled, "%s/%s", strcmp(real, "/") == 0 ? "" : real, basename(name));
    const bool memory = !folder || !name || (!real && cause == ENOMEM) || (real && length < 0);
    free(folder);
    free(name);
    free(real);
    if (length >= 0)
        return SOTTO_OK;
    *settled = NULL;
    return memory
               ? no_memory(err)
               : sotto_error_set_at(
                     err, SOTTO_ERROR_INPUT, path, 0, 0,
                     "there is no ledger here%s%s: the first sotto train or sotto ledger declare makes one; or "
                     "name another with SOTTO_LEDGER",
                     cause == ENOENT ? " yet" : ", ", cause == ENOENT ? "" : strerror(cause));
}

sotto_status ledger_path_settle(const char *path, bool create, char **settled, sotto_error *err)
{
    *settled = NULL;
    const size_t length = strlen(path);
    if (length == 0 || length > LEDGER_TEXT - 64 || path[length - 1] == '/')
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the ledger's path '%.100s' names no file", path);
    *settled = realpath(path, NULL); /* links in it would give one ledger two head files */
    if (*settled)
        return SOTTO_OK;
    if (errno == ENOMEM)
        return no_memory(err);
    if (create) {
        char *copy = strdup(path);
        if (!copy)
            return no_memory(err);
        const sotto_status status = make_folders(copy, err);
        free(copy);
        if (status != SOTTO_OK)
            return status;
    }
    return join(path, settled, err);
}

/* ---------------------------------------------------------------- what is there */

static bool begins_as_database(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char bytes[sizeof magic];
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return true; /* opening it says why it cannot be read */
    const ssize_t got = read(file, bytes, sizeof bytes);
    (void)close(file);
    return got < 0 || (got == sizeof bytes && memcmp(bytes, magic, sizeof magic) == 0);
}

/* Something else that was named by mistake is no ledger without its head file, to be adopted. */
static sotto_status check_kind(const char *path, const struct stat *about, bool alone, sotto_error *err)
{
    if (S_ISDIR(about->st_mode))
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                  "this is a folder, and a ledger is a file; name the file in it");
    if (!S_ISREG(about->st_mode) || about->st_nlink != 1)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "a ledger must be a file with one name, not a folder, a device or a hard link");
    if (alone && !begins_as_database(path))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this is no ledger, but a file of another kind; check the path, or name another "
            "with SOTTO_LEDGER");
    return SOTTO_OK;
}

static sotto_status check_absent(const sotto_ledger *ledger, bool create, sotto_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    ledger_record record;
    const bool knows = access(ledger->sidecar, F_OK) == 0 &&
                       sotto_file_read(ledger->sidecar, LEDGER_RECORD, &bytes, &length, NULL) == SOTTO_OK &&
                       ledger_record_parse(bytes, length, &record);
    free(bytes);
    if (knows)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "the ledger is gone: its head file %.300s knows of %llu entries; restore the ledger, and do not delete the "
            "head file, which tells its newest copy from older ones",
            ledger->sidecar, (unsigned long long)record.head.entries);
    return create
               ? SOTTO_OK
               : sotto_error_set_at(
                     err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
                     "there is no ledger here yet: the first sotto train or sotto ledger declare makes one; or name "
                     "another with SOTTO_LEDGER");
}

sotto_status ledger_path_check(const sotto_ledger *ledger, bool create, sotto_error *err)
{
    struct stat about;
    if (stat(ledger->path, &about) != 0)
        return errno == ENOENT ? check_absent(ledger, create, err)
                               : sotto_error_set_at(err, SOTTO_ERROR_IO, ledger->path, 0, 0,
                                                    "cannot look at the ledger: %s", strerror(errno));
    const bool alone = access(ledger->sidecar, F_OK) != 0 && !(create && about.st_size == 0);
    return check_kind(ledger->path, &about, alone, err);
}

/* --------------------------------------------------------------------- locks */

const char *ledger_file_system_trouble(unsigned long magic)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0x6969, "NFS"},        {0x517B, "SMB"},           {0xFE534D42, "SMB"},    {0xFF534D42, "CIFS"},
        {0x5346414F, "AFS"},    {0x6B414653, "AFS"},       {0x73757245, "Coda"},   {0x01021997, "9P"},
        {0x65735546, "FUSE"},   {0x564C, "NCP"},           {0x00C36400, "Ceph"},   {0x0BD00BD0, "Lustre"},
        {0x01161970, "GFS2"},   {0x7461636F, "OCFS2"},     {0x47504653, "GPFS"},   {0x786F4256, "VirtualBox"},
        {0xBACBACBC, "VMware"}, {0x20030528, "OrangeFS"},  {0x19830326, "BeeGFS"}, {0xAAD7AAEA, "Panasas"},
        {0x013111A8, "IBRIX"},  {0x6E736673, "a network"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((magic & 0xFFFFFFFFUL) == known[i].magic)
            return known[i].name;
    return NULL;
}

/* A lock on one description of the file must be in the way of every other. */
static bool locks_hold(const char *path, int descriptor)
{
#ifdef F_OFD_SETLK
    const int other = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)1 << 40, .l_len = 1};
    if (other < 0)
        return false;
    bool hold = fcntl(other, F_OFD_SETLK, &lock) == 0;
    if (!hold && (errno == EAGAIN || errno == EACCES)) {
        (void)close(other);
        return true; /* another process asks the same at this moment: its lock was seen */
    }
    lock.l_pid = 0;
    hold = hold && fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(other);
    return hold;
#else
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1 << 20, .l_len = 1};
    (void)path;
    const bool hold = fcntl(descriptor, F_SETLK, &lock) == 0 || errno == EAGAIN || errno == EACCES;
    lock.l_type = F_UNLCK;
    (void)fcntl(descriptor, F_SETLK, &lock);
    return hold;
#endif
}

sotto_status ledger_path_check_locks(const char *path, int descriptor, sotto_error *err)
{
    const char *remedy =
        "keep the ledger on a disk of one machine, by naming a file there with SOTTO_LEDGER or "
        "ledger: in the config";
#ifdef __linux__
    struct statfs about;
    if (fstatfs(descriptor, &about) != 0)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot ask for the file system: %s",
                                  strerror(errno));
    const char *name = ledger_file_system_trouble((unsigned long)about.f_type);
    if (name)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "this is on a file system (%s) on which locks do not surely hold, so that two "
            "processes could spend one budget twice; %s",
            name, remedy);
#endif
    if (!locks_hold(path, descriptor))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "locks do not hold on this file system: one that was set here is not seen; %s", remedy);
    return SOTTO_OK;
}

long ledger_who_writes(const sotto_ledger *ledger)
{
    enum {
        WRITE_LOCK = 120
    }; /* the byte of the log's index that who writes has locked; sqlite.org/walformat.html */
    char name[LEDGER_TEXT + 8], line[256];
    struct stat about;
    long found = 0;
    (void)snprintf(name, sizeof name, "%s-shm", ledger->path);
    FILE *locks = stat(name, &about) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (locks && found == 0 && fgets(line, sizeof line, locks)) {
        long process;
        unsigned long inode;
        long long start;
        if (sscanf(line, "%*d: POSIX %*s WRITE %ld %*x:%*x:%lu %lld", &process, &inode, &start) == 3 &&
            inode == (unsigned long)about.st_ino && start == WRITE_LOCK && process > 0)
            found = process;
    }
    if (locks)
        (void)fclose(locks);
    return found;
}
