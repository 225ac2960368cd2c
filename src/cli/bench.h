/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_BENCH_H
#define SOTTO_CLI_BENCH_H

/** The benchmarks of `sotto bench` that have a file of their own. */

#include "cli/cli.h"

/** `sotto bench accountant`; the exit status. */
int sotto_cli_bench_accountant(double seconds, bool with_peers, bool as_json, bool quiet);

#endif
