/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A sweep's runs as processes. A run is charged when it is begun: its number goes into DIR/begun, and onto
 * the disk, before its process is made. What was killed stays charged, and a run that has a cell.json is
 * never made again.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "report/report.h"
#include "run/sweep.h"

enum { MOST_JOBS = 256 };

/* One process, and how far it is, in memory that both share. */
struct slot {
    pid_t process; /* 0 where none is at work */
    size_t cell;
};

struct work {
    const sotto_sweep_options *options;
    sotto_sweep sweep;
    sotto_sweep_cost *costs;
    const char *directory;
    int journal; /* DIR/begun, locked */
    size_t *begun;
    json_t **cells;
    unsigned jobs, threads; /* at once; of each */
    struct slot slots[MOST_JOBS];
    _Atomic double *shares; /* [jobs] */
    char tuning[400];
    size_t done_before; /* cells done when this began */
    double start;
    bool stopping;
};

static sotto_status io_error(const char *path, const char *what, sotto_error *err)
{
    return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "%s: %s", what, strerror(errno));
}

/* ------------------------------------------------------------------- directory */

static sotto_status make_folder(const char *path, sotto_error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return io_error(path, "cannot make the directory", err);
    return chmod(path, 0700) == 0 ? SOTTO_OK : io_error(path, "cannot close the directory to others", err);
}

/* The config as this sweep began with it: a resumed one must have the same. */
static sotto_status check_config(const struct work *work, bool fresh, sotto_error *err)
{
    char *text = NULL, *old = NULL, *path = sotto_path_join(work->directory, "config.yaml");
    size_t length;
    sotto_status status = path ? sotto_config_format(&work->sweep.config, &text, err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && fresh)
        status = sotto_file_write(path, 0600, text, strlen(text), err);
    else if (status == SOTTO_OK)
        status = sotto_file_read(path, 1 << 22, &old, &length, err);
    if (status == SOTTO_OK && !fresh && strcmp(old, text) != 0)
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                               "the config is not the one that this sweep began with; go on with that one, "
                               "or begin anew in another --output");
    free(text);
    free(old);
    free(path);
    return status;
}

/* Which runs were begun, and how often. A last line cut short can only be a number cut short. */
static sotto_status read_journal(struct work *work, const char *path, sotto_error *err)
{
    char *text = NULL;
    size_t length;
    sotto_status status = sotto_file_read(path, 1 << 26, &text, &length, err);
    for (char *line = text; status == SOTTO_OK && *line;) {
        char *end;
        const unsigned long number = strtoul(line, &end, 10);
        if (end == line || *end != '\n' || number == 0 || number > work->sweep.cells)
            status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                        "this list of runs that were begun is damaged, so what the sweep has "
                                        "spent is not known; begin anew in another --output");
        else
            work->begun[number - 1]++;
        line = end + 1;
    }
    free(text);
    return status;
}

static sotto_status open_journal(struct work *work, bool *fresh, sotto_error *err)
{
    char *path = sotto_path_join(work->directory, "begun");
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = SOTTO_OK;
    *fresh = access(path, F_OK) != 0;
    if (!*fresh && !work->options->resume)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                    "a sweep lies there already; go on with it by --resume, or name another "
                                    "--output");
    else if (*fresh && work->options->resume)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                    "there is no sweep to go on with; leave --resume away to begin one");
    if (status == SOTTO_OK && *fresh)
        status = sotto_run_directory_check(work->directory, err);
    if (status == SOTTO_OK)
        status = make_folder(work->directory, err);
    if (status == SOTTO_OK) {
        work->journal = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (work->journal < 0)
            status = io_error(path, "cannot open the list of runs", err);
        else if (flock(work->journal, LOCK_EX | LOCK_NB) != 0)
            status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->directory, 0, 0,
                                        "another process is at work on this sweep; let it end, or stop it");
    }
    if (status == SOTTO_OK && !*fresh)
        status = read_journal(work, path, err);
    free(path);
    return status;
}

static sotto_status open_directory(struct work *work, sotto_error *err)
{
    bool fresh;
    char *cells = sotto_path_join(work->directory, "cells");
    sotto_status status = cells ? open_journal(work, &fresh, err)
                                : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = check_config(work, fresh, err);
    if (status == SOTTO_OK)
        status = make_folder(cells, err);
    free(cells);
    for (size_t i = 0; i < work->sweep.cells && status == SOTTO_OK; i++) {
        work->cells[i] = sotto_sweep_cell_record(work->directory, i);
        work->done_before += sotto_sweep_cell_done(work->cells[i]);
    }
    return status;
}

/* ----------------------------------------------------------------------- budget */

/* ε of all that was begun, and of what is still to be done. */
static sotto_status total(const struct work *work, double *epsilon, sotto_error *err)
{
    size_t *runs = calloc(work->sweep.combinations, sizeof *runs);
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < work->sweep.cells; i++)
        runs[sotto_sweep_combination(&work->sweep, i)] +=
            work->begun[i] + !sotto_sweep_cell_done(work->cells[i]);
    sotto_status status = sotto_sweep_epsilon(&work->sweep, work->costs, runs, epsilon, err);
    free(runs);
    return status;
}

static sotto_status check_budget(struct work *work, sotto_error *err)
{
    double epsilon;
    const double most = work->sweep.budget_epsilon;
    sotto_status status = total(work, &epsilon, err);
    if (status != SOTTO_OK)
        return status;
    (void)snprintf(
        work->tuning, sizeof work->tuning,
        "this run is one of %zu of a sweep over this table; what it cost stands here, and choosing "
        "it among them is not covered by that: all runs together cost at most epsilon %.6g at delta "
        "%g",
        work->sweep.cells, epsilon * (1 + 1e-6), work->sweep.delta);
    if (most == 0.0 || epsilon <= most)
        return SOTTO_OK;
    return sotto_error_set_at(
        err, SOTTO_ERROR_BUDGET, work->sweep.config.path, 0, 0,
        "all runs of the sweep together cost epsilon %.6g at delta %g%s, and sweep.budget "
        "allows %g; try fewer values or repeats, smaller epsilons, or a larger budget",
        epsilon, work->sweep.delta, work->options->resume ? ", those that were interrupted included" : "",
        most);
}

/* -------------------------------------------------------------------- processes */

static void tell_share(void *context, double share)
{
    atomic_store((_Atomic double *)context, share);
}

/* What an earlier try has left is kept, out of the way. */
static sotto_status put_aside(const struct work *work, size_t cell, sotto_error *err)
{
    char id[SOTTO_SWEEP_ID_SIZE], name[64], other[96];
    sotto_sweep_id(cell, id);
    (void)snprintf(name, sizeof name, "cells/%s", id);
    (void)snprintf(other, sizeof other, "%s.interrupted-%zu", name, work->begun[cell]);
    char *from = sotto_path_join(work->directory, name), *to = sotto_path_join(work->directory, other);
    sotto_status status =
        from && to ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && rename(from, to) != 0 && errno != ENOENT)
        status = io_error(from, "cannot put the interrupted run aside", err);
    if (status == SOTTO_OK)
        status = make_folder(from, err);
    free(from);
    free(to);
    return status;
}

/* The charge: on the disk before the process that spends it is made. */
static sotto_status charge(struct work *work, size_t cell, sotto_error *err)
{
    char line[32];
    const int length = snprintf(line, sizeof line, "%zu\n", cell + 1);
    if (write(work->journal, line, (size_t)length) != length || fsync(work->journal) != 0)
        return io_error(work->directory, "cannot write down that a run begins", err);
    work->begun[cell]++;
    return SOTTO_OK;
}

/* The child. It ends without the parent's ways of ending: nothing of the parent's is flushed twice. */
static void live(struct work *work, unsigned slot, size_t cell)
{
    sotto_error err = {0};
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    const sotto_status status = sotto_sweep_run_cell(&work->sweep, work->directory, cell, work->threads,
                                                     work->tuning, tell_share, &work->shares[slot], &err);
    _exit(status == SOTTO_OK ? 0 : 1);
}

static sotto_status begin(struct work *work, unsigned slot, size_t cell, sotto_error *err)
{
    sotto_status status = put_aside(work, cell, err);
    if (status == SOTTO_OK)
        status = charge(work, cell, err);
    if (status != SOTTO_OK)
        return status;
    atomic_store(&work->shares[slot], 0.0);
    json_decref(work->cells[cell]);
    work->cells[cell] = NULL;
    const pid_t process = fork();
    if (process < 0)
        return io_error(work->directory, "cannot begin a process", err);
    if (process == 0)
        live(work, slot, cell);
    work->slots[slot] = (struct slot){process, cell};
    return SOTTO_OK;
}

/* A process that has ended: its record, or word that it left none. */
static void take_in(struct work *work, unsigned slot, int ended)
{
    const size_t cell = work->slots[slot].cell;
    work->slots[slot].process = 0;
    atomic_store(&work->shares[slot], 0.0);
    json_decref(work->cells[cell]);
    work->cells[cell] = sotto_sweep_cell_record(work->directory, cell);
    if (!work->cells[cell] && !work->stopping) {
        char id[SOTTO_SWEEP_ID_SIZE];
        sotto_sweep_id(cell, id);
        work->cells[cell] = json_pack(
            "{s:s, s:o, s:I, s:s, s:o, s:n, s:f, s:{}, s:{}}", "id", id, "settings",
            sotto_sweep_chosen(&work->sweep, sotto_sweep_combination(&work->sweep, cell)), "repeat",
            (json_int_t)(cell / work->sweep.combinations + 1), "status", "failed", "reason",
            WIFSIGNALED(ended) ? json_sprintf("its process was ended by signal %d", WTERMSIG(ended))
                               : json_sprintf("its process ended with status %d", WEXITSTATUS(ended)),
            "epsilon", "seconds", 0.0, "figures", "lines");
    }
}

static void tell(const struct work *work)
{
    const sotto_run_options *run = &work->options->run;
    size_t done = 0;
    double shares = 0.0;
    for (size_t i = 0; i < work->sweep.cells; i++)
        done += work->cells[i] != NULL;
    for (unsigned i = 0; i < work->jobs; i++)
        shares += atomic_load(&work->shares[i]);
    const double here = (double)(done - work->done_before) + shares;
    const double left = (double)(work->sweep.cells - done) - shares;
    const sotto_progress facts = {.phase = "sweep",
                                  .step = done,
                                  .steps = work->sweep.cells,
                                  .seconds_left =
                                      here > 0.02 ? (sotto_seconds() - work->start) / here * left : -1.0};
    if (run->progress)
        run->progress(run->progress_context, &facts);
}

static bool any_at_work(const struct work *work)
{
    for (unsigned i = 0; i < work->jobs; i++)
        if (work->slots[i].process)
            return true;
    return false;
}

static void stop_all(struct work *work)
{
    for (unsigned i = 0; i < work->jobs; i++)
        if (work->slots[i].process)
            (void)kill(work->slots[i].process, SIGTERM);
    work->stopping = true;
}

static void collect(struct work *work)
{
    for (unsigned i = 0; i < work->jobs; i++) {
        int ended;
        if (work->slots[i].process && waitpid(work->slots[i].process, &ended, WNOHANG) > 0)
            take_in(work, i, ended);
    }
}

static sotto_status run_all(struct work *work, sotto_error *err)
{
    const sotto_run_options *run = &work->options->run;
    const struct timespec nap = {.tv_nsec = 50000000};
    sotto_status status = SOTTO_OK;
    size_t next = 0;
    work->start = sotto_seconds();
    for (;;) {
        for (unsigned i = 0; i < work->jobs && !work->stopping && status == SOTTO_OK; i++) {
            while (next < work->sweep.cells && sotto_sweep_cell_done(work->cells[next]))
                next++;
            if (!work->slots[i].process && next < work->sweep.cells)
                status = begin(work, i, next++, err);
        }
        if ((status != SOTTO_OK || (run->stop && run->stop(run->stop_context))) && !work->stopping)
            stop_all(work);
        if (!any_at_work(work))
            break;
        collect(work);
        tell(work);
        (void)nanosleep(&nap, NULL);
    }
    if (status == SOTTO_OK && work->stopping)
        status = sotto_error_set(err, SOTTO_INTERRUPTED, "stopped on request; go on by --resume");
    return status;
}

/* ------------------------------------------------------------------------- whole */

static sotto_status write_record(const struct work *work, char **json, sotto_error *err)
{
    const sotto_sweep_outcome outcome = {.sweep = &work->sweep,
                                         .costs = work->costs,
                                         .begun = work->begun,
                                         .cells = work->cells,
                                         .seconds = sotto_seconds() - work->start};
    char *csv = NULL, *csv_path = sotto_path_join(work->directory, "sweep.csv");
    char *path = sotto_path_join(work->directory, "sweep.json");
    json_t *record = NULL;
    sotto_status status = path && csv_path ? sotto_sweep_record(&outcome, &record, err)
                                           : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    if (status == SOTTO_OK)
        status = sotto_sweep_csv(record, &csv, err);
    if (status == SOTTO_OK)
        status = sotto_file_write(csv_path, 0600, csv, strlen(csv), err);
    if (status == SOTTO_OK)
        status = sotto_json_text(record, json, err);
    else
        json_decref(record);
    if (status == SOTTO_OK)
        status = sotto_file_write(path, 0600, *json, strlen(*json), err);
    if (status == SOTTO_OK)
        status = sotto_report_sweep_write(work->directory, err);
    free(csv);
    free(csv_path);
    free(path);
    return status;
}

static sotto_status set_up(struct work *work, sotto_error *err)
{
    const unsigned threads = sotto_run_threads(work->options->run.threads);
    work->jobs = work->options->jobs ? work->options->jobs : threads;
    work->jobs = work->jobs < MOST_JOBS ? work->jobs : MOST_JOBS;
    work->threads = threads / work->jobs > 1 ? threads / work->jobs : 1;
    work->begun = calloc(work->sweep.cells, sizeof *work->begun);
    work->cells = calloc(work->sweep.cells, sizeof(json_t *));
    void *shared = mmap(NULL, MOST_JOBS * sizeof *work->shares, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    work->shares = shared == MAP_FAILED ? NULL : shared;
    if (!work->begun || !work->cells || !work->shares)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    work->directory = work->sweep.config.output;
    return work->directory
               ? SOTTO_OK
               : sotto_error_set_at(err, SOTTO_ERROR_INPUT, work->sweep.config.path, 0, 0,
                                    "there is no output; add `output: sweeps/NAME` or give --output DIR");
}

static void release(struct work *work)
{
    for (size_t i = 0; work->cells && i < work->sweep.cells; i++)
        json_decref(work->cells[i]);
    free(work->cells);
    free(work->begun);
    if (work->shares)
        (void)munmap((void *)work->shares, MOST_JOBS * sizeof *work->shares);
    if (work->journal >= 0)
        (void)close(work->journal);
    sotto_sweep_destroy(&work->sweep);
}

sotto_status sotto_run_sweep(const sotto_sweep_options *options, char **json, sotto_error *err)
{
    struct work work = {.options = options, .journal = -1};
    sotto_error while_writing = {0};
    *json = NULL;
    sotto_status status = sotto_sweep_load(&work.sweep, &options->run, err);
    if (status == SOTTO_OK)
        status = sotto_sweep_plan(&work.sweep, &work.costs, err);
    if (status == SOTTO_OK)
        status = set_up(&work, err);
    if (status == SOTTO_OK) /* before anything is made, and again with what an earlier try has spent */
        status = check_budget(&work, err);
    if (status == SOTTO_OK)
        status = open_directory(&work, err);
    if (status == SOTTO_OK)
        status = check_budget(&work, err);
    if (status == SOTTO_OK) {
        status = run_all(&work, err);
        const sotto_status written = write_record(&work, json, status == SOTTO_OK ? err : &while_writing);
        status = status == SOTTO_OK ? written : status;
    }
    release(&work);
    return status;
}
