/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto sweep CONFIG [--set KEY=VALUE]... [OPTIONS]\n"
    "\n"
    "Trains and evaluates once for each combination of the values that CONFIG's section `sweep` lists, and for\n"
    "each repeat, in processes of their own. Writes sweep.json, sweep.csv and the page sweep.html: what\n"
    "privacy costs in utility. `sotto plan CONFIG` prints first what all of it will cost.\n"
    "\n"
    "  sweep:\n"
    "    privacy.epsilon: [0.3, 1, 3, 10]        any keys of the config, each with the values to try\n"
    "    repeats: 3                              runs of each combination\n"
    "    evaluate: {test: adult_test.csv, target: income}\n"
    "    budget: {epsilon: 40}                   of all runs together; more is refused before the first\n"
    "    select: best                            choose a run by noisy figures that are paid for\n"
    "\n"
    "Every run that begins is charged, also one that is killed. The page and the tables are computed from real\n"
    "rows without noise and must not leave the building; whoever chooses a run by them and releases it is\n"
    "covered by the ε of all runs together, which is stated. With `select` the choice is made for you, and the\n"
    "folder release/ in the sweep's directory is what may leave.\n"
    "\n"
    "Options:\n"
    "  --set KEY=VALUE   override a setting of the config in all runs; may be given again\n"
    "  --output DIR      the sweep's directory, instead of the config's\n"
    "  --resume          go on with the sweep in that directory: finished runs are not made again\n"
    "  --jobs N          runs at once; without it, as many as threads\n"
    "  --threads N       threads of all runs together; without it, as many as the machine has\n"
    "  --test-only-insecure-seed N\n"
    "                    take all randomness from N, for tests; everything is stamped NOT PRIVATE\n"
    "  --json            print the record\n"
    "  --quiet           no progress and no closing words\n"
    "\n"
    "Example:\n"
    "  sotto sweep adult-sweep.yaml --output sweeps/adult\n";

static int report(const char *json, bool as_json, bool quiet)
{
    sotto_error err = {0};
    const sotto_status status =
        quiet && !as_json ? SOTTO_OK : sotto_cli_show(json, sotto_report_sweep_text, as_json, &err);
    return status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
}

/* Runs that failed make the sweep a failed job, though its record is whole. */
static bool any_failed(const char *json)
{
    bool failed = false;
    size_t i;
    const json_t *cell;
    json_t *record = sotto_json_read(json);
    json_array_foreach(json_object_get(record, "cells"), i, cell)
    {
        const char *status = sotto_cli_text(cell, "status");
        failed = failed || status[0] == 'f';
    }
    json_decref(record);
    return failed;
}

/* A choice was asked for, and none could be made. */
static bool none_selected(const char *json)
{
    json_t *record = sotto_json_read(json);
    const bool none = json_object_get(json_object_get(record, "selected"), "skipped") != NULL;
    json_decref(record);
    return none;
}

static int sweep(const sotto_sweep_options *asked, bool as_json, bool quiet)
{
    sotto_sweep_options options = *asked;
    sotto_error err = {0};
    char *json = NULL;
    sotto_bar bar;
    sotto_bar_start(&bar);
    if (!quiet) {
        options.run.progress = sotto_bar_show;
        options.run.progress_context = &bar;
    }
    options.run.stop = sotto_cli_stop_asked;
    sotto_cli_guard_keys();
    sotto_cli_catch_signals();
    const sotto_status status = sotto_run_sweep(&options, &json, &err);
    sotto_bar_finish(&bar);
    int ended;
    if (status == SOTTO_OK || (status == SOTTO_INTERRUPTED && json)) {
        ended = report(json, as_json, quiet);
        if (ended == SOTTO_EXIT_DONE && any_failed(json)) {
            sotto_cli_warning("some runs failed; the record says why, and --resume tries them again");
            ended = SOTTO_EXIT_FAILED;
        }
        if (status == SOTTO_OK && ended == SOTTO_EXIT_DONE && none_selected(json)) {
            sotto_cli_warning("no run was selected, and nothing is released; the record says why");
            ended = SOTTO_EXIT_FAILED;
        }
        if (status == SOTTO_INTERRUPTED)
            ended = sotto_cli_fail(&err);
    } else {
        ended = sotto_cli_fail(&err);
    }
    free(json);
    return ended;
}

int sotto_command_sweep(int argc, char **argv)
{
    static const char *const names[] = {"CONFIG"};
    sotto_sweep_options asked = {0};
    sotto_list settings = {0};
    uint64_t threads = 0, jobs = 0;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "set", .kind = SOTTO_OPTION_LIST, .value = &settings},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &asked.run.output},
        {.name = "resume", .kind = SOTTO_OPTION_FLAG, .value = &asked.resume},
        {.name = "jobs", .kind = SOTTO_OPTION_COUNT, .value = &jobs, .low = 1, .high = 256},
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "test-only-insecure-seed",
         .kind = SOTTO_OPTION_COUNT,
         .value = &asked.run.seed,
         .high = HUGE_VAL},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"sweep", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &asked.run.config);
    if (ended == SOTTO_CLI_GO_ON) {
        asked.run.settings = settings.items;
        asked.run.setting_count = settings.count;
        asked.run.threads = (unsigned)threads;
        asked.run.insecure_test_only_seed = options[5].given;
        asked.jobs = (unsigned)jobs;
        ended = sweep(&asked, as_json, quiet);
    }
    sotto_cli_release(&usage);
    return ended;
}
