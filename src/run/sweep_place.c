/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A sweep's directory. What was killed stays charged: a run's number goes into DIR/begun, and onto the disk,
 * before its folder and its process are made. That file is all that is known of what was spent, so it is
 * believed only where it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/sweep_work.h"

sotto_status sotto_sweep_io_error(const char *path, const char *what, sotto_error *err)
{
    return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "%s: %s", what, strerror(errno));
}

/* ------------------------------------------------------------------- directory */

static sotto_status make_folder(const char *path, sotto_error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return sotto_sweep_io_error(path, "cannot make the directory", err);
    return chmod(path, 0700) == 0 ? SOTTO_OK
                                  : sotto_sweep_io_error(path, "cannot close the directory to others", err);
}

/* A path that does not depend on where the command is run, where there is such a file; caller frees. */
static char *settled(const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;
    return real ? real : strdup(path ? path : "none");
}

/* All that every run of the sweep must have in common, however often it is resumed: what is charged follows
 * from it. Caller frees. */
static sotto_status identity(const sotto_sweep_work *work, char **text, sotto_error *err)
{
    const sotto_sweep *sweep = &work->sweep;
    char *config = NULL, *schema = settled(sweep->config.schema), *table = settled(sweep->config.table),
         *test = settled(sweep->test);
    sotto_status status = sotto_config_format(&sweep->config, &config, err);
    *text = NULL;
    if (status == SOTTO_OK &&
        (!schema || !table || !test ||
         asprintf(
             text,
             "# The config that a sweep by sotto %s began with. %s\n# schema %s\n# of sha256 %s\n# table %s\n"
             "# test table %s\n# random numbers: %s\n%s",
             SOTTO_VERSION, sotto_sweep_notice, schema, work->costs[0].schema_sha256, table, test,
             sweep->options->insecure_test_only_seed ? SOTTO_NOT_PRIVATE : "the system's", config) < 0)) {
        *text = NULL;
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    }
    free(config);
    free(schema);
    free(table);
    free(test);
    return status;
}

static sotto_status check_identity(const sotto_sweep_work *work, bool fresh, sotto_error *err)
{
    char *text = NULL, *old = NULL, *path = sotto_path_join(work->directory, "config.yaml");
    size_t length;
    sotto_status status = path ? identity(work, &text, err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && fresh)
        status = sotto_file_write(path, 0600, text, strlen(text), err);
    else if (status == SOTTO_OK)
        status = sotto_file_read(path, 1 << 22, &old, &length, err);
    if (status == SOTTO_OK && !fresh && strcmp(old, text) != 0)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "the config, the schema, the files, the version or the kind of random numbers is "
            "not the one that this sweep began with; go on with those, or begin anew in "
            "another --output");
    free(text);
    free(old);
    free(path);
    return status;
}

static sotto_status damaged(const char *path, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, 0, 0,
        "this list of runs that were begun is damaged, so what the sweep has spent is not "
        "known; begin anew in another --output");
}

/* Is there anything in cells/ of this name? */
static bool is_there(const sotto_sweep_work *work, const char *format, size_t cell, size_t number)
{
    char id[SOTTO_SWEEP_ID_SIZE], name[96];
    sotto_sweep_id(cell, id);
    (void)snprintf(name, sizeof name, "cells/%s", id);
    if (format)
        (void)snprintf(name, sizeof name, "cells/%s.%s-%zu", id, format, number);
    char *path = sotto_path_join(work->directory, name);
    const bool there = !path || access(path, F_OK) == 0;
    free(path);
    return there;
}

/* A run's folder is made after its charge, and what an interrupted one left is numbered by its charges: more
 * of them than charges are charges lost. */
static bool has_lost(const sotto_sweep_work *work, size_t cell)
{
    enum { MORE = 8 };
    bool lost = work->begun[cell] == 0 && is_there(work, NULL, cell, 0);
    for (size_t n = 1; n <= MORE; n++)
        lost = lost || is_there(work, "interrupted", cell, work->begun[cell] + n);
    return lost;
}

/* Which runs were begun, and how often: whole lines of digits, nothing else. */
static sotto_status read_journal(sotto_sweep_work *work, const char *path, sotto_error *err)
{
    char *text = NULL;
    size_t length;
    sotto_status status = sotto_file_read(path, 1 << 26, &text, &length, err);
    if (status == SOTTO_OK && strlen(text) != length)
        status = damaged(path, err);
    for (char *line = text; status == SOTTO_OK && *line;) {
        const size_t digits = strspn(line, "0123456789");
        char *end;
        const unsigned long number = strtoul(line, &end, 10);
        if (digits == 0 || digits > 6 || *line == '0' || *end != '\n' || number > work->sweep.cells)
            status = damaged(path, err);
        else
            work->begun[number - 1]++;
        line = end + 1;
    }
    for (size_t i = 0; i < work->sweep.cells && status == SOTTO_OK; i++)
        if (has_lost(work, i))
            status = damaged(path, err);
    free(text);
    return status;
}

/* Who has the lock is alone with the sweep; only then it is looked at. */
static sotto_status lock(sotto_sweep_work *work, const char *path, sotto_error *err)
{
    work->journal = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (work->journal < 0)
        return sotto_sweep_io_error(path, "cannot open the list of runs", err);
    if (flock(work->journal, LOCK_EX | LOCK_NB) != 0)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                  "another process is at work on this sweep; let it end, or stop it");
    return SOTTO_OK;
}

/* Before anything is made: does the wish fit what is there? */
static sotto_status check_place(const sotto_sweep_work *work, const char *begun, sotto_error *err)
{
    const bool there = access(begun, F_OK) == 0;
    if (there && !work->options->resume)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                  "a sweep lies there already; go on with it by --resume, or name another "
                                  "--output");
    if (!there && work->options->resume)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                  "there is no sweep to go on with; leave --resume away to begin one");
    return there ? SOTTO_OK : sotto_run_directory_check(work->directory, err);
}

static sotto_status open_journal(sotto_sweep_work *work, sotto_error *err)
{
    char *path = sotto_path_join(work->directory, "begun");
    char *config = sotto_path_join(work->directory, "config.yaml");
    struct stat facts = {0};
    sotto_status status = path && config
                              ? check_place(work, path, err)
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = sotto_make_folders(work->directory, err);
    if (status == SOTTO_OK)
        status = make_folder(work->directory, err);
    if (status == SOTTO_OK)
        status = lock(work, path, err);
    if (status == SOTTO_OK && fstat(work->journal, &facts) != 0)
        status = sotto_sweep_io_error(path, "cannot look at the list of runs", err);
    /* A sweep that was killed before its config was written has begun nothing. */
    const bool fresh = status == SOTTO_OK && facts.st_size == 0 && access(config, F_OK) != 0;
    if (status == SOTTO_OK && !fresh && !work->options->resume)
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                               "another process has begun a sweep there meanwhile; name another --output");
    if (status == SOTTO_OK)
        status = check_identity(work, fresh, err);
    if (status == SOTTO_OK && !fresh)
        status = read_journal(work, path, err);
    free(path);
    free(config);
    return status;
}

sotto_status sotto_sweep_open(sotto_sweep_work *work, sotto_error *err)
{
    char *cells = sotto_path_join(work->directory, "cells");
    sotto_status status = cells ? open_journal(work, err)
                                : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = make_folder(cells, err);
    free(cells);
    for (size_t i = 0; i < work->sweep.cells && status == SOTTO_OK; i++) {
        work->cells[i] = sotto_sweep_cell_record(work->directory, i);
        work->done_before += sotto_sweep_cell_settled(work->cells[i]);
    }
    return status;
}

/* ------------------------------------------------------------------------- charges */

/* What an earlier try has left is kept, out of the way. */
static sotto_status put_aside(const sotto_sweep_work *work, size_t cell, sotto_error *err)
{
    char id[SOTTO_SWEEP_ID_SIZE], name[64], other[96];
    sotto_sweep_id(cell, id);
    (void)snprintf(name, sizeof name, "cells/%s", id);
    (void)snprintf(other, sizeof other, "%s.interrupted-%zu", name, work->begun[cell]);
    char *from = sotto_path_join(work->directory, name), *to = sotto_path_join(work->directory, other);
    sotto_status status =
        from && to ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && rename(from, to) != 0 && errno != ENOENT)
        status = sotto_sweep_io_error(from, "cannot put the interrupted run aside", err);
    free(from);
    free(to);
    return status;
}

/* The charge: on the disk before the process that spends it is made. */
static sotto_status charge(sotto_sweep_work *work, size_t cell, sotto_error *err)
{
    char line[32];
    const int length = snprintf(line, sizeof line, "%zu\n", cell + 1);
    if (write(work->journal, line, (size_t)length) != length || fsync(work->journal) != 0)
        return sotto_sweep_io_error(work->directory, "cannot write down that a run begins", err);
    work->begun[cell]++;
    return SOTTO_OK;
}

static sotto_status make_cell(const sotto_sweep_work *work, size_t cell, sotto_error *err)
{
    char id[SOTTO_SWEEP_ID_SIZE], name[64];
    sotto_sweep_id(cell, id);
    (void)snprintf(name, sizeof name, "cells/%s", id);
    char *path = sotto_path_join(work->directory, name);
    const sotto_status status =
        path ? make_folder(path, err) : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    free(path);
    return status;
}

sotto_status sotto_sweep_begin(sotto_sweep_work *work, size_t cell, sotto_error *err)
{
    sotto_status status = put_aside(work, cell, err);
    if (status == SOTTO_OK)
        status = charge(work, cell, err);
    return status == SOTTO_OK ? make_cell(work, cell, err) : status;
}
