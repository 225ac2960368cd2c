/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_BENCH_H
#define SOTTO_CLI_BENCH_H

/** The benchmarks of `sotto bench`, each with a file of its own. */

#include "bench/bench.h"
#include "cli/cli.h"

/** What was asked on the command line. */
typedef struct sotto_cli_bench {
    sotto_bench_options step; /**< of which all use `seconds` and `watch` */
    bool peers, as_json, quiet;
    uint64_t runs;      /**< of the ledger */
    const char *folder; /**< of the ledger; NULL: TMPDIR or /var/tmp */
} sotto_cli_bench;

/** One benchmark: times, prints, and gives the exit status. */
typedef int sotto_cli_benchmark(const sotto_cli_bench *wish);

sotto_cli_benchmark sotto_cli_bench_step, sotto_cli_bench_accountant, sotto_cli_bench_noise,
    sotto_cli_bench_gemm, sotto_cli_bench_ledger;

/** Not for people: OpenBLAS's rate alone, of a process that `bench gemm` starts in another environment. */
sotto_cli_benchmark sotto_cli_bench_gemm_rate;
#define SOTTO_CLI_GEMM_RATE "gemm-rate"

/** Print a record, of which NULL means that memory was short, and release it; the exit status. */
int sotto_cli_bench_print(json_t *record);

#endif
