/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cli/bench.h"

static const char help[] =
    "Usage: sotto bench [step|noise|gemm|accountant|ledger] [OPTIONS]\n"
    "\n"
    "How fast this machine is. All that is compared takes turns in one run, so that the ratios mean something\n"
    "on a busy machine too.\n"
    "\n"
    "`step` (where nothing is said) times the private step (sampling, per-example clipping, noise, Adam), with\n"
    "sums in floats and in exact integers, against the same network's step without privacy, on made-up rows.\n"
    "The floor is what the matrix products of that plain step would take if they all ran as fast as large\n"
    "square ones do in OpenBLAS: no step on this machine's floats is much faster.\n"
    "\n"
    "`noise` times one coordinate of Gaussian noise and what it is made of. `gemm` times matrix products, ours\n"
    "and OpenBLAS's, against the CPU's peak; and says what OPENBLAS_CORETYPE costs where it is set.\n"
    "\n"
    "`accountant` times ε and σ by either accountant at q = 0.01, σ = 1, T = 10,000, δ = 1e-5, in turns; the\n"
    "question that training asks its budget before each step; and how much memory ε takes at T = 1,000,000.\n"
    "\n"
    "`ledger` makes a ledger of 100,000 charges and times opening and verifying it, beginning a run under a\n"
    "cap, and reserving a block: until it is on the disk.\n"
    "\n"
    "Options of step:\n"
    "  --case CASE       dense  128-256-256-1 at batches of 64, 256, 1024 and 4096 (where nothing is said)\n"
    "                    wide   512-1024-1024-1 at 256\n"
    "                    conv   images of 28 x 28 at 256: two convolutions, one dense layer\n"
    "                    gan    dense on 256 rows and 256 fakes, then their generator's step, 128-256-256-128\n"
    "  --batch N         another batch, 1 to 65536\n"
    "  --threads N       1 where not given\n"
    "  --scaling         time one thread as well, in turns, and print how many times as fast N are\n"
    "\n"
    "Options:\n"
    "  --peers           accountant: ask Google's dp_accounting the same, if python3 has it, and print how\n"
    "                    many times as long it takes\n"
    "  --runs N          ledger: of 1,000 charges each; 100 where not given\n"
    "  --folder DIR      ledger: on which disk; TMPDIR or /var/tmp where not given\n"
    "  --seconds S       how long to time each line, 0.05 to 600; 2 where not given\n"
    "  --json            print the lines as JSON\n"
    "  --quiet           no progress, and bare figures: of step the ratios private/plain (float, exact); of\n"
    "                    noise nanoseconds; of gemm GFLOP/s, OpenBLAS's last; of accountant seconds, and bytes\n"
    "                    of memory; of ledger seconds\n"
    "\n"
    "Example:\n"
    "  sotto bench step --case dense --threads 2 --scaling\n";

int sotto_cli_bench_print(json_t *record)
{
    if (!record) {
        const sotto_error err = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
        return sotto_cli_fail(&err);
    }
    sotto_cli_print_json(record);
    json_decref(record);
    return sotto_cli_finish();
}

/* --------------------------------------------------------------- what was asked */

struct benchmark {
    const char *name;
    sotto_cli_benchmark *run;
};

static const struct benchmark benchmarks[] = {
    {"step", sotto_cli_bench_step},     {"noise", sotto_cli_bench_noise},
    {"gemm", sotto_cli_bench_gemm},     {"accountant", sotto_cli_bench_accountant},
    {"ledger", sotto_cli_bench_ledger}, {SOTTO_CLI_GEMM_RATE, sotto_cli_bench_gemm_rate},
};
enum { BENCHMARKS = sizeof benchmarks / sizeof *benchmarks };

static const struct benchmark *find_benchmark(const char *name)
{
    for (size_t i = 0; i < BENCHMARKS; i++)
        if (strcmp(name, benchmarks[i].name) == 0)
            return &benchmarks[i];
    return NULL;
}

/* Options that one benchmark alone has. */
static const char *owner(const char *option)
{
    static const char *const owners[][2] = {
        {"case", "step"},        {"batch", "step"},    {"threads", "step"}, {"scaling", "step"},
        {"peers", "accountant"}, {"folder", "ledger"}, {"runs", "ledger"}};
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        if (strcmp(option, owners[i][0]) == 0)
            return owners[i][1];
    return NULL;
}

static int check_options(const sotto_usage *usage, const char *benchmark)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        const char *name = usage->options[i].name, *of = owner(name);
        if (usage->options[i].given && of && strcmp(of, benchmark) != 0)
            return sotto_cli_usage("bench", "--%s is for %s; expected sotto bench %s without it", name, of,
                                   benchmark);
    }
    return SOTTO_CLI_GO_ON;
}

static int find_case(const char *name, sotto_bench_case *which)
{
    for (*which = SOTTO_BENCH_DENSE; name && *which < SOTTO_BENCH_CASES; (*which)++)
        if (strcmp(name, sotto_bench_case_name(*which)) == 0)
            break;
    if (*which == SOTTO_BENCH_CASES)
        return sotto_cli_usage("bench", "unknown case '%.60s'; expected dense, wide, conv or gan", name);
    return SOTTO_CLI_GO_ON;
}

static int run_benchmark(const struct benchmark *benchmark, sotto_cli_bench *wish)
{
    sotto_bar bar;
    const sotto_bench_watch watch = {.show = sotto_bar_show, .context = &bar};
    sotto_bar_start(&bar);
    /* Elsewhere than on a terminal, lines would end up among the figures of whoever keeps both. */
    wish->step.watch = bar.terminal && !wish->quiet ? &watch : NULL;
    const int ended = benchmark->run(wish);
    sotto_bar_finish(&bar);
    return ended;
}

static int check_step(const char *which, sotto_cli_bench *wish)
{
    if (wish->step.scaling && wish->step.threads == 1)
        return sotto_cli_usage("bench",
                               "--scaling compares several threads with one; expected --threads N too");
    return find_case(which, &wish->step.which);
}

int sotto_command_bench(int argc, char **argv)
{
    static const char *const names[] = {"BENCHMARK"};
    const char *what = NULL, *which = NULL;
    uint64_t threads = 1, batch = 0;
    sotto_cli_bench wish = {.step.seconds = 2, .runs = 100};
    sotto_option options[] = {
        {.name = "case", .kind = SOTTO_OPTION_TEXT, .value = &which},
        {.name = "batch", .kind = SOTTO_OPTION_COUNT, .value = &batch, .low = 1, .high = 65536},
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "scaling", .kind = SOTTO_OPTION_FLAG, .value = &wish.step.scaling},
        {.name = "runs", .kind = SOTTO_OPTION_COUNT, .value = &wish.runs, .low = 1, .high = 1000},
        {.name = "folder", .kind = SOTTO_OPTION_TEXT, .value = &wish.folder},
        {.name = "peers", .kind = SOTTO_OPTION_FLAG, .value = &wish.peers},
        {.name = "seconds",
         .kind = SOTTO_OPTION_NUMBER,
         .value = &wish.step.seconds,
         .low = 0.05,
         .high = 600},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &wish.as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &wish.quiet},
    };
    sotto_usage usage = {"bench", help, options, sizeof options / sizeof *options, names, 1, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, &what);
    const struct benchmark *benchmark = find_benchmark(what ? what : "step");
    wish.step.threads = (unsigned)threads;
    wish.step.batch = (size_t)batch;
    if (ended == SOTTO_CLI_GO_ON && !benchmark)
        ended = sotto_cli_usage(
            "bench", "unknown benchmark '%.60s'; expected step, noise, gemm, accountant or ledger", what);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_options(&usage, benchmark->name);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_step(which, &wish);
    if (ended == SOTTO_CLI_GO_ON)
        ended = run_benchmark(benchmark, &wish);
    sotto_cli_release(&usage);
    return ended;
}
