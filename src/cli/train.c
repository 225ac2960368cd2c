/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto train CONFIG [--set KEY=VALUE]... [OPTIONS]\n"
    "\n"
    "Trains by CONFIG until the planned steps are taken or the privacy budget is spent, then samples. It\n"
    "writes a run directory with two folders:\n"
    "  release/   synthetic rows, the model, the privacy statement: covered by the guarantee, may be shared\n"
    "  private/   log, losses, batch sizes: computed from the real rows, must stay where the rows are\n"
    "Sums and noise are exact integers unless CONFIG says `noise: float`; keys are kept out of core dumps.\n"
    "Every access to the table is charged in the ledger (`sotto ledger`) before it is made. Ctrl-C stops\n"
    "after the step at work and saves the run, and --resume goes on. A second Ctrl-C ends at once, and loses\n"
    "what was done since the last checkpoint, never a charge. Work that is done again is charged again.\n"
    "A run that diverges ends itself with exit status 1, and keeps what it has not spent. With status 3 the\n"
    "budget of the run, or the cap of its data set, does not suffice.\n"
    "\n"
    "Options:\n"
    "  --set KEY=VALUE   override a setting of the config; may be given again\n"
    "  --output DIR      the run directory, instead of the config's\n"
    "  --resume          go on with the run in its directory, with new random keys\n"
    "  --finish          with --resume: take no further step, and make the release of what there is\n"
    "  --threads N       without it, as many as the machine has; the result does not depend on it\n"
    "  --test-only-insecure-seed N\n"
    "                    take all randomness from N. Whoever knows N can undo the noise, so every file is\n"
    "                    stamped NOT PRIVATE. For tests and benchmarks only\n"
    "  --json            print the outcome as JSON\n"
    "  --quiet           no progress and no closing words; warnings and errors only\n"
    "\n"
    "Example:\n"
    "  sotto train adult.yaml --set training.steps=2000 --output runs/adult-2000\n"
    "  sotto train adult.yaml --set training.steps=2000 --output runs/adult-2000 --resume\n";

/* ------------------------------------------------------------- closing words */

static void print_files(const char *title, const json_t *outcome, const char *key)
{
    const json_t *files = json_object_get(outcome, key);
    (void)printf("%s\n", title);
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *path = json_string_value(json_array_get(files, i));
        (void)fputs("  ", stdout);
        sotto_text_put(stdout, sotto_cli_text(outcome, "output"), false);
        (void)putchar('/');
        sotto_text_put(stdout, path ? path : "", false);
        (void)putchar('\n');
    }
}

static void put_text(const json_t *object, const char *key)
{
    sotto_text_put(stdout, sotto_cli_text(object, key), false);
}

/* On the terminal alone: it depends on other runs. */
static void print_ledger(const json_t *outcome)
{
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    const json_t *ledger = json_object_get(outcome, "ledger"), *cap = json_object_get(ledger, "cap");
    const double share = sotto_cli_member(ledger, "share_of_cap");
    if (!*sotto_cli_text(ledger, "data_set"))
        return;
    (void)printf("Charged to the data set ");
    put_text(ledger, "data_set");
    (void)printf(" in ");
    put_text(ledger, "file");
    if (!json_is_object(cap)) {
        (void)printf(", which has no cap.\n");
        return;
    }
    sotto_figure_exact(sotto_cli_member(cap, "epsilon"), epsilon);
    sotto_figure_exact(sotto_cli_member(cap, "delta"), delta);
    (void)printf(", whose cap is ε = %s at δ = %s", epsilon, delta);
    if (share >= 0)
        (void)printf(": %.3g %% of it is taken", ceil(1000 * share) / 10);
    (void)printf(".\n");
}

static void print_private(const json_t *outcome)
{
    (void)printf("Must not leave it (computed from the real rows, without noise):\n  ");
    put_text(outcome, "output");
    (void)printf("/private/ (all of it)\n");
}

/* Of a run that has made no release: it was stopped, or its release is an earlier attempt's. */
static void print_unfinished(const json_t *outcome, const char *epsilon, const char *target,
                             const char *delta)
{
    const bool stopped = strcmp(sotto_cli_text(outcome, "stopped"), "interrupted") == 0;
    (void)printf("%s after %.0f of %.0f steps. ", stopped ? "Stopped" : "Ended",
                 sotto_cli_member(outcome, "steps"), sotto_cli_member(outcome, "steps_planned"));
    if (stopped)
        (void)printf("Nothing was released; what is done is saved.\n");
    else
        (void)printf("Its release was made before, and appears now.\n");
    (void)printf("Charged so far: ε = %s of %s, at δ = %s.\n", epsilon, target, delta);
    print_ledger(outcome);
    if (stopped)
        (void)printf(
            "\nThe same command with --resume goes on; with --resume --finish it makes a release of what "
            "there is.\n");
}

static void print_outcome(const json_t *outcome)
{
    char epsilon[SOTTO_FIGURE_SIZE], target[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    char time[SOTTO_FIGURE_SIZE];
    bool private = *sotto_cli_text(outcome, "not_private") == '\0';
    sotto_figure_up(sotto_cli_member(outcome, "epsilon"), 4, epsilon);
    sotto_figure_up(sotto_cli_member(outcome, "target_epsilon"), 4, target);
    sotto_figure_exact(sotto_cli_member(outcome, "delta"), delta);
    sotto_figure_seconds(sotto_cli_member(outcome, "seconds"), time);
    if (!private)
        (void)printf("NOT PRIVATE: this run protects nobody and is for tests only.\n\n");
    if (json_array_size(json_object_get(outcome, "release")) == 0) {
        print_unfinished(outcome, epsilon, target, delta);
        return;
    }
    (void)printf("Made %.0f synthetic rows ", sotto_cli_member(outcome, "rows"));
    if (sotto_cli_member(outcome, "steps_planned") > 0)
        (void)printf("after %.0f of %.0f steps, ", sotto_cli_member(outcome, "steps"),
                     sotto_cli_member(outcome, "steps_planned"));
    (void)printf("in %s; stopped: ", time);
    sotto_text_put(stdout, sotto_cli_text(outcome, "stopped"), false);
    (void)printf(".\n");
    sotto_cli_put_balance(stdout, outcome);
    (void)printf("Spent ε = %s of %s, at δ = %s.\n", epsilon, target, delta);
    if (sotto_cli_member(outcome, "promised") > sotto_cli_member(outcome, "epsilon")) {
        sotto_figure_up(sotto_cli_member(outcome, "promised"), 4, epsilon);
        (void)printf("The statement promises ε = %s: all of what was planned, since the run ended before.\n",
                     epsilon);
    }
    print_ledger(outcome);
    (void)putchar('\n');
    print_files(private ? "May leave the building (covered by the guarantee):"
                        : "Would be covered by the guarantee, were the run private; do not share:",
                outcome, "release");
    print_private(outcome);
}

static int report(const char *json, bool as_json, bool quiet)
{
    sotto_error err = {0};
    json_t *outcome = sotto_cli_record(json, &err);
    if (!outcome)
        return sotto_cli_fail(&err);
    if (as_json)
        sotto_cli_print_json(outcome);
    else if (!quiet)
        print_outcome(outcome);
    (void)fflush(stdout);
    sotto_cli_warn_stamp(outcome); /* its warnings were given before anything was charged */
    json_decref(outcome);
    return sotto_cli_finish();
}

static void warn(void *context, const char *text)
{
    (void)context;
    sotto_cli_warning(text);
}

static int train(const sotto_run_options *asked, bool as_json, bool quiet)
{
    sotto_run_options run = *asked;
    sotto_error err = {0};
    char *json = NULL;
    sotto_bar bar;
    sotto_bar_start(&bar);
    if (!quiet) {
        run.progress = sotto_bar_show;
        run.progress_context = &bar;
    }
    run.warn = warn;
    run.stop = sotto_cli_stop_asked;
    sotto_cli_guard_keys();
    sotto_cli_catch_signals();
    sotto_status status = sotto_run_train(&run, &json, &err);
    sotto_bar_finish(&bar);
    int ended;
    if (json && (status == SOTTO_OK || status == SOTTO_INTERRUPTED || status == SOTTO_DIVERGED)) {
        ended = report(json, as_json, quiet);
        if (ended == SOTTO_EXIT_DONE && status == SOTTO_INTERRUPTED)
            ended = SOTTO_EXIT_INTERRUPTED;
        if (status == SOTTO_DIVERGED)
            ended = sotto_cli_fail(&err);
    } else {
        err.code = status;
        ended = sotto_cli_fail(&err);
    }
    free(json);
    return ended;
}

int sotto_command_train(int argc, char **argv)
{
    static const char *const names[] = {"CONFIG"};
    sotto_run_options run = {0};
    sotto_list settings = {0};
    uint64_t threads = 0;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "set", .kind = SOTTO_OPTION_LIST, .value = &settings},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &run.output},
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "test-only-insecure-seed", .kind = SOTTO_OPTION_COUNT, .value = &run.seed, .high = HUGE_VAL},
        {.name = "resume", .kind = SOTTO_OPTION_FLAG, .value = &run.resume},
        {.name = "finish", .kind = SOTTO_OPTION_FLAG, .value = &run.finish},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"train", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &run.config);
    if (ended == SOTTO_CLI_GO_ON && run.finish && !run.resume) {
        ended = sotto_cli_usage("train", "--finish is for a run that was stopped: give it with --resume");
    }
    if (ended == SOTTO_CLI_GO_ON) {
        run.settings = settings.items;
        run.setting_count = settings.count;
        run.threads = (unsigned)threads;
        run.insecure_test_only_seed = options[3].given;
        ended = train(&run, as_json, quiet);
    }
    sotto_cli_release(&usage);
    return ended;
}
