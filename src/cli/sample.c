/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto sample RUN|MODEL --output FILE [--rows N] [--where COLUMN=VALUE]...\n"
    "                    [--balance COLUMN] [OPTIONS]\n"
    "\n"
    "Makes more synthetic rows from a trained model: from a run directory, or from its release/model.sotto.\n"
    "It reads no real data and costs no privacy, however many rows are made.\n"
    "\n"
    "Options:\n"
    "  --rows N              how many; without it, as many as the schema declares\n"
    "  --where COLUMN=VALUE  only rows with this category; may be given again, then all must hold.\n"
    "                        Asked of the model outright where it is conditional on the column, else by\n"
    "                        drawing again\n"
    "  --balance COLUMN      each declared value of this category column equally often: more of the rare ones\n"
    "  --output FILE         CSV file to write, which must not be there yet; - for standard output\n"
    "  --test-only-insecure-seed N\n"
    "                        take all randomness from N, for tests only\n"
    "  --json                print the outcome as JSON\n"
    "  --quiet               no progress and no closing words; warnings and errors only\n"
    "\n"
    "Example:\n"
    "  sotto sample runs/adult --rows 1000 --where sex=Female --output women.csv\n"
    "  sotto sample runs/adult --balance income --output balanced.csv\n";

static void print_outcome(FILE *file, const json_t *outcome)
{
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE], time[SOTTO_FIGURE_SIZE];
    sotto_figure_up(sotto_cli_member(outcome, "epsilon"), 4, epsilon);
    sotto_figure_exact(sotto_cli_member(outcome, "delta"), delta);
    sotto_figure_seconds(sotto_cli_member(outcome, "seconds"), time);
    (void)fprintf(file, "Made %.0f synthetic rows in %s: ", sotto_cli_member(outcome, "rows"), time);
    bool to_stdout = strcmp(sotto_cli_text(outcome, "output"), "-") == 0;
    sotto_text_put(file, to_stdout ? "on standard output" : sotto_cli_text(outcome, "output"), false);
    (void)putc('\n', file);
    sotto_cli_put_balance(file, outcome);
    if (*sotto_cli_text(outcome, "not_private"))
        (void)fprintf(file, "NOT PRIVATE: do not share them.\n");
    else
        (void)fprintf(file,
                      "They cost nothing beyond what the model cost, ε = %s at δ = %s, and may be shared "
                      "under its statement.\n",
                      epsilon, delta);
}

static int report(const char *json, FILE *words, bool as_json)
{
    sotto_error err = {0};
    json_t *outcome = sotto_cli_record(json, &err);
    if (!outcome)
        return sotto_cli_fail(&err);
    if (as_json)
        sotto_cli_print_json(outcome);
    else if (words)
        print_outcome(words, outcome);
    (void)fflush(stdout);
    sotto_cli_warn(outcome);
    json_decref(outcome);
    return sotto_cli_finish();
}

/* The rows themselves go to standard output where that is asked for; words then go elsewhere. */
static int sample(const sotto_sample_options *asked, bool as_json, bool quiet)
{
    sotto_sample_options options = *asked;
    sotto_error err = {0};
    char *json = NULL;
    sotto_bar bar;
    bool to_stdout = strcmp(options.output, "-") == 0;
    if (to_stdout && as_json)
        return sotto_cli_usage("sample", "--json and --output - both want standard output; expected one");
    sotto_bar_start(&bar);
    if (!quiet) {
        options.progress = sotto_bar_show;
        options.progress_context = &bar;
    }
    options.stop = sotto_cli_stop_asked;
    sotto_cli_guard_keys();
    sotto_cli_catch_signals();
    sotto_status status = sotto_run_sample(&options, &json, &err);
    sotto_bar_finish(&bar);
    FILE *words = to_stdout ? stderr : stdout;
    int ended = status == SOTTO_OK ? report(json, quiet ? NULL : words, as_json) : sotto_cli_fail(&err);
    free(json);
    return ended;
}

int sotto_command_sample(int argc, char **argv)
{
    static const char *const names[] = {"RUN|MODEL"};
    sotto_sample_options run = {0};
    sotto_list where = {0};
    uint64_t rows = 0;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "rows", .kind = SOTTO_OPTION_COUNT, .value = &rows, .low = 1, .high = 1e12},
        {.name = "where", .kind = SOTTO_OPTION_LIST, .value = &where},
        {.name = "balance", .kind = SOTTO_OPTION_TEXT, .value = &run.balance},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &run.output, .required = true},
        {.name = "test-only-insecure-seed", .kind = SOTTO_OPTION_COUNT, .value = &run.seed, .high = HUGE_VAL},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"sample", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &run.model);
    if (ended == SOTTO_CLI_GO_ON) {
        run.rows = rows;
        run.where = where.items;
        run.where_count = where.count;
        run.insecure_test_only_seed = options[4].given;
        ended = sample(&run, as_json, quiet);
    }
    sotto_cli_release(&usage);
    return ended;
}
