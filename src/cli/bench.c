/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "bench/bench.h"
#include "cli/cli.h"

static const char help[] =
    "Usage: sotto bench [step] [OPTIONS]\n"
    "\n"
    "How fast this machine is. `step` times the private step of a discriminator 128-256-256-1 (sampling,\n"
    "per-example clipping, noise, Adam) against the same network's step without privacy, on made-up rows,\n"
    "at four batch sizes. The two alternate in one run, so that the ratio means something on a busy\n"
    "machine too.\n"
    "\n"
    "Options:\n"
    "  --threads N       1 where not given\n"
    "  --seconds S       how long to time each line, 0.05 to 600; 2 where not given\n"
    "  --json            print the lines as JSON\n"
    "  --quiet           print the ratios alone\n"
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

int sotto_command_bench(int argc, char **argv)
{
    static const char *const names[] = {"step"};
    const char *what = NULL;
    uint64_t threads = 1;
    sotto_bench_options wish = {.seconds = 2};
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "seconds", .kind = SOTTO_OPTION_NUMBER, .value = &wish.seconds, .low = 0.05, .high = 600},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"bench", help, options, sizeof options / sizeof *options, names, 1, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, &what);
    if (ended == SOTTO_CLI_GO_ON && what && strcmp(what, "step") != 0)
        ended = sotto_cli_usage("bench", "unknown benchmark '%.60s'; expected step", what);
    if (ended == SOTTO_CLI_GO_ON) {
        wish.threads = (unsigned)threads;
        ended = bench(&wish, as_json, quiet);
    }
    sotto_cli_release(&usage);
    return ended;
}
