/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "bench/bench.h"
#include "cli/bench.h"

static const char help[] =
    "Usage: sotto bench [step|accountant] [OPTIONS]\n"
    "\n"
    "How fast this machine is.\n"
    "\n"
    "`step` (where nothing is said) times the private step of a discriminator 128-256-256-1 (sampling,\n"
    "per-example clipping, noise, Adam) against the same network's step without privacy, on made-up rows,\n"
    "at four batch sizes. The two alternate in one run, so that the ratio means something on a busy\n"
    "machine too.\n"
    "\n"
    "`accountant` times ε and σ by either accountant at q = 0.01, σ = 1, T = 10,000, δ = 1e-5, in turns; the\n"
    "question that training asks its budget before each step; and how much memory ε takes at T = 1,000,000.\n"
    "\n"
    "Options:\n"
    "  --threads N       step: 1 where not given\n"
    "  --peers           accountant: ask Google's dp_accounting the same, if python3 has it, and print how\n"
    "                    many times as long it takes\n"
    "  --seconds S       how long to time each line, 0.05 to 600; 2 where not given\n"
    "  --json            print the lines as JSON\n"
    "  --quiet           print the ratios alone; of accountant the seconds, and bytes of memory\n"
    "\n"
    "Example:\n"
    "  sotto bench step --threads 4\n";

static json_t *lines_json(const sotto_bench_options *options, const sotto_bench_step *lines)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SOTTO_BENCH_STEP_LINES; i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:I, s:f, s:f, s:f}", "batch", (json_int_t)lines[i].batch,
                                              "private_steps_per_second", lines[i].private_steps_per_second,
                                              "plain_steps_per_second", lines[i].plain_steps_per_second,
                                              "ratio", lines[i].ratio));
    return json_pack("{s:s, s:I, s:f, s:o}", "bench", "step", "threads", (json_int_t)options->threads,
                     "seconds", options->seconds, "lines", list);
}

static void print_lines(const sotto_bench_step *lines, bool quiet)
{
    if (!quiet)
        (void)printf("%8s  %16s  %16s  %8s\n", "batch", "private steps/s", "plain steps/s", "ratio");
    for (size_t i = 0; i < SOTTO_BENCH_STEP_LINES; i++)
        if (quiet)
            (void)printf("%.17g\n", lines[i].ratio);
        else
            (void)printf("%8zu  %16.1f  %16.1f  %8.2f\n", lines[i].batch, lines[i].private_steps_per_second,
                         lines[i].plain_steps_per_second, lines[i].ratio);
}

static int bench(const sotto_bench_options *options, bool as_json, bool quiet)
{
    sotto_error err = {0};
    sotto_bench_step lines[SOTTO_BENCH_STEP_LINES];
    if (sotto_bench_steps(options, lines, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (!as_json) {
        print_lines(lines, quiet);
        return sotto_cli_finish();
    }
    json_t *record = lines_json(options, lines);
    if (!record) {
        (void)sotto_error_set(&err, SOTTO_ERROR_MEMORY, "out of memory");
        return sotto_cli_fail(&err);
    }
    sotto_cli_print_json(record);
    json_decref(record);
    return sotto_cli_finish();
}

static int check_what(const char *what, bool is_accountant, bool with_threads, bool with_peers)
{
    if (what && !is_accountant && strcmp(what, "step") != 0)
        return sotto_cli_usage("bench", "unknown benchmark '%.60s'; expected step or accountant", what);
    if (is_accountant && with_threads)
        return sotto_cli_usage("bench", "--threads is for step; the accountant has one");
    if (!is_accountant && with_peers)
        return sotto_cli_usage("bench", "--peers is for accountant; expected sotto bench accountant --peers");
    return SOTTO_CLI_GO_ON;
}

int sotto_command_bench(int argc, char **argv)
{
    static const char *const names[] = {"BENCHMARK"};
    const char *what = NULL;
    uint64_t threads = 1;
    sotto_bench_options wish = {.seconds = 2};
    bool as_json = false, quiet = false, peers = false;
    sotto_option options[] = {
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "peers", .kind = SOTTO_OPTION_FLAG, .value = &peers},
        {.name = "seconds", .kind = SOTTO_OPTION_NUMBER, .value = &wish.seconds, .low = 0.05, .high = 600},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"bench", help, options, sizeof options / sizeof *options, names, 1, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, &what);
    const bool is_accountant = what && strcmp(what, "accountant") == 0;
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_what(what, is_accountant, options[0].given, peers);
    wish.threads = (unsigned)threads;
    if (ended == SOTTO_CLI_GO_ON)
        ended = is_accountant ? sotto_cli_bench_accountant(wish.seconds, peers, as_json, quiet)
                              : bench(&wish, as_json, quiet);
    sotto_cli_release(&usage);
    return ended;
}
