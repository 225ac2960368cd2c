/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A sweep's runs as processes. A run is charged when it is begun: its number goes into DIR/begun, and onto
 * the disk, before its process is made. What was killed stays charged, and a run that has a cell.json is
 * never made again.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "report/report.h"
#include "run/sweep_work.h"

/* ----------------------------------------------------------------------- budget */

/* Nothing more is to be charged for it. */
static bool is_trained(const sotto_sweep_work *work, size_t cell)
{
    return sotto_sweep_cell_settled(work->cells[cell]) ||
           (work->begun[cell] > 0 && sotto_sweep_cell_trained(work->directory, cell));
}

/* ε of all that was begun, and of what is still to be done. */
static sotto_status total(const sotto_sweep_work *work, double *epsilon, sotto_error *err)
{
    size_t *runs = calloc(work->sweep.combinations, sizeof *runs);
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < work->sweep.cells; i++)
        runs[sotto_sweep_combination(&work->sweep, i)] += work->begun[i] + !is_trained(work, i);
    sotto_status status = sotto_sweep_epsilon(&work->sweep, work->costs, runs, epsilon, err);
    free(runs);
    return status;
}

/* What every run's statement says. It follows from the plan alone: how many runs failed may depend on rows.
 */
static sotto_status say_tuning(sotto_sweep_work *work, sotto_error *err)
{
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    size_t *runs = calloc(work->sweep.combinations, sizeof *runs);
    double planned;
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < work->sweep.combinations; i++)
        runs[i] = work->sweep.repeats;
    const sotto_status status = sotto_sweep_epsilon(&work->sweep, work->costs, runs, &planned, err);
    free(runs);
    sotto_figure_up(planned, 6, epsilon);
    sotto_figure_up(work->sweep.delta, 6, delta);
    (void)snprintf(
        work->tuning, sizeof work->tuning,
        "this run is one of %zu of a sweep over this table. What it cost stands here, and choosing it "
        "among them is not covered by that: all of them together, as planned, cost epsilon %s at delta %s, "
        "and runs that had to be begun again add to it",
        work->sweep.cells, epsilon, delta);
    return status;
}

static sotto_status check_budget(sotto_sweep_work *work, sotto_error *err)
{
    double epsilon;
    const double most = work->sweep.budget_epsilon;
    sotto_status status = total(work, &epsilon, err);
    if (status != SOTTO_OK || most == 0.0 || epsilon <= most)
        return status;
    return sotto_error_set_at(
        err, SOTTO_ERROR_BUDGET, work->sweep.config.path, 0, 0,
        "all runs of the sweep together cost epsilon %.6g at delta %g%s, and sweep.budget "
        "allows %g; try fewer values or repeats, smaller epsilons, or a larger budget",
        epsilon, work->sweep.delta, work->options->resume ? ", those that were interrupted included" : "",
        most);
}

/* Does the data set's cap bear the runs that are still to be made? Of a sweep that is gone on with that is
 * known once it is open. */
static sotto_status check_cap(const sotto_sweep_work *work, sotto_error *err)
{
    if (work->options->resume && work->journal < 0)
        return SOTTO_OK;
    size_t *runs = calloc(work->sweep.combinations, sizeof *runs);
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < work->sweep.cells; i++)
        runs[sotto_sweep_combination(&work->sweep, i)] += !is_trained(work, i);
    const sotto_status status = sotto_sweep_check_cap(work, runs, err);
    free(runs);
    return status;
}

/* -------------------------------------------------------------------- processes */

static void tell_share(void *context, double share)
{
    atomic_store((_Atomic double *)context, share);
}

/* The child. It ends without the parent's ways of ending: nothing of the parent's is flushed twice. */
static void live(sotto_sweep_work *work, unsigned slot, size_t cell, pid_t parent)
{
    const sotto_sweep_part part = {&work->costs[sotto_sweep_combination(&work->sweep, cell)], work->tuning};
    sotto_error err = {0};
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getppid() != parent)
        _exit(1); /* it died before this child could ask to die with it */
    const sotto_status status = sotto_sweep_run_cell(&work->sweep, work->directory, cell, work->threads,
                                                     &part, tell_share, &work->shares[slot], &err);
    _exit(status == SOTTO_OK ? 0 : 1);
}

static sotto_status begin(sotto_sweep_work *work, unsigned slot, size_t cell, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    if (!is_trained(work, cell))
        status = sotto_sweep_begin(work, cell, err);
    if (status != SOTTO_OK)
        return status;
    atomic_store(&work->shares[slot], 0.0);
    json_decref(work->cells[cell]);
    work->cells[cell] = NULL;
    const pid_t parent = getpid(), process = fork();
    if (process < 0)
        return sotto_sweep_io_error(work->directory, "cannot begin a process", err);
    if (process == 0)
        live(work, slot, cell, parent);
    work->slots[slot] = (sotto_sweep_slot){process, cell};
    return SOTTO_OK;
}

/* A process that has ended: its record, or word that it left none. */
static void take_in(sotto_sweep_work *work, unsigned slot, int ended)
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

static void tell(const sotto_sweep_work *work)
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

static bool any_at_work(const sotto_sweep_work *work)
{
    for (unsigned i = 0; i < work->jobs; i++)
        if (work->slots[i].process)
            return true;
    return false;
}

static void stop_all(sotto_sweep_work *work)
{
    for (unsigned i = 0; i < work->jobs; i++)
        if (work->slots[i].process)
            (void)kill(work->slots[i].process, SIGTERM);
    work->stopping = true;
}

static void collect(sotto_sweep_work *work)
{
    for (unsigned i = 0; i < work->jobs; i++) {
        int ended;
        if (work->slots[i].process && waitpid(work->slots[i].process, &ended, WNOHANG) > 0)
            take_in(work, i, ended);
    }
}

static sotto_status run_all(sotto_sweep_work *work, sotto_error *err)
{
    const sotto_run_options *run = &work->options->run;
    const struct timespec nap = {.tv_nsec = 50000000};
    sotto_status status = SOTTO_OK;
    size_t next = 0;
    work->start = sotto_seconds();
    for (;;) {
        for (unsigned i = 0; i < work->jobs && !work->stopping && status == SOTTO_OK; i++) {
            while (next < work->sweep.cells && sotto_sweep_cell_settled(work->cells[next]))
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

static sotto_status write_record(const sotto_sweep_outcome *outcome, const sotto_sweep_work *work,
                                 char **json, sotto_error *err)
{
    char *csv = NULL, *csv_path = sotto_path_join(work->directory, "sweep.csv");
    char *path = sotto_path_join(work->directory, "sweep.json");
    json_t *record = NULL;
    sotto_status status = path && csv_path ? sotto_sweep_record(outcome, &record, err)
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

/* Choose where that was asked for, and write down all there is to tell. A choice that cannot be made does not
 * lose the record. */
static sotto_status conclude(const sotto_sweep_work *work, char **json, sotto_error *err)
{
    sotto_sweep_outcome outcome = {.sweep = &work->sweep,
                                   .costs = work->costs,
                                   .begun = work->begun,
                                   .cells = work->cells,
                                   .seconds = sotto_seconds() - work->start};
    sotto_error while_writing = {0};
    sotto_status status = SOTTO_OK;
    if (work->sweep.select != SOTTO_SELECT_NONE)
        status = sotto_sweep_select(&outcome, work->directory, &outcome.selected, err);
    const sotto_status written =
        write_record(&outcome, work, json, status == SOTTO_OK ? err : &while_writing);
    json_decref(outcome.selected);
    return status == SOTTO_OK ? written : status;
}

static sotto_status set_up(sotto_sweep_work *work, sotto_error *err)
{
    const unsigned threads = sotto_run_threads(work->options->run.threads);
    work->jobs = work->options->jobs ? work->options->jobs : threads;
    work->jobs = work->jobs < SOTTO_SWEEP_JOBS ? work->jobs : SOTTO_SWEEP_JOBS;
    work->threads = threads / work->jobs > 1 ? threads / work->jobs : 1;
    work->begun = calloc(work->sweep.cells, sizeof *work->begun);
    work->cells = calloc(work->sweep.cells, sizeof(json_t *));
    void *shared = mmap(NULL, SOTTO_SWEEP_JOBS * sizeof *work->shares, PROT_READ | PROT_WRITE,
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

/* What would fail after a run was paid for fails now. */
static sotto_status check_evaluation(const sotto_sweep_work *work, sotto_error *err)
{
    const sotto_evaluate_options options = sotto_sweep_evaluation(&work->sweep, NULL, 1);
    return sotto_evaluate_check(&options, err);
}

static void release(sotto_sweep_work *work)
{
    for (size_t i = 0; work->cells && i < work->sweep.cells; i++)
        json_decref(work->cells[i]);
    free(work->cells);
    free(work->begun);
    if (work->shares)
        (void)munmap((void *)work->shares, SOTTO_SWEEP_JOBS * sizeof *work->shares);
    if (work->journal >= 0)
        (void)close(work->journal);
    sotto_sweep_destroy(&work->sweep);
}

sotto_status sotto_run_sweep(const sotto_sweep_options *options, char **json, sotto_error *err)
{
    sotto_sweep_work work = {.options = options, .journal = -1};
    sotto_error while_writing = {0};
    *json = NULL;
    sotto_status status = sotto_sweep_load(&work.sweep, &options->run, err);
    if (status == SOTTO_OK)
        status = sotto_sweep_plan(&work.sweep, &work.costs, err);
    if (status == SOTTO_OK)
        status = set_up(&work, err);
    if (status == SOTTO_OK)
        status = check_evaluation(&work, err);
    if (status == SOTTO_OK) /* before anything is made, and again with what an earlier try has spent */
        status = check_budget(&work, err);
    if (status == SOTTO_OK)
        status = say_tuning(&work, err);
    if (status == SOTTO_OK)
        status = check_cap(&work, err);
    if (status == SOTTO_OK)
        status = sotto_sweep_open(&work, err);
    if (status == SOTTO_OK)
        status = check_budget(&work, err);
    if (status == SOTTO_OK && options->resume)
        status = sotto_sweep_let_go(&work, err);
    if (status == SOTTO_OK && options->resume)
        status = check_cap(&work, err);
    if (status == SOTTO_OK) {
        status = run_all(&work, err);
        const sotto_status written = conclude(&work, json, status == SOTTO_OK ? err : &while_writing);
        status = status == SOTTO_OK ? written : status;
    }
    release(&work);
    return status;
}
