/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "cli/bench.h"

static json_t *figures_json(const sotto_bench_ledger *l)
{
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f, s:f}", "bench", "ledger", "runs",
                     (json_int_t)l->runs, "charges", (json_int_t)l->charges, "bytes", l->bytes, "open",
                     l->open, "verify", l->verify, "begin", l->begin, "reserves", (json_int_t)l->reserves,
                     "reserve", l->reserve, "reserve_most", l->reserve_most);
}

static void print_figures(const sotto_bench_ledger *l)
{
    (void)printf("a ledger of %llu charges in %llu runs, %.1f MB\n", (unsigned long long)l->charges,
                 (unsigned long long)l->runs, l->bytes / 1e6);
    (void)printf("open it, every entry verified          %8.3g s\n", l->open);
    (void)printf("sotto ledger verify                    %8.3g s\n", l->verify);
    (void)printf("begin a run under the data set's cap   %8.3g ms\n", 1e3 * l->begin);
    (void)printf("reserve a block, until it is on disk   %8.3g ms on average, %.3g ms at most of %llu\n",
                 1e3 * l->reserve, 1e3 * l->reserve_most, (unsigned long long)l->reserves);
}

int sotto_cli_bench_ledger(const sotto_cli_bench *wish)
{
    sotto_error err = {0};
    sotto_bench_ledger figures;
    const char *folder = wish->folder ? wish->folder : getenv("TMPDIR");
    if (!folder || !*folder)
        folder = "/var/tmp"; /* a disk, where /tmp is often none */
    if (sotto_bench_ledgers(folder, (size_t)wish->runs, wish->step.seconds, wish->step.watch, &figures,
                            &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (wish->as_json)
        return sotto_cli_bench_print(figures_json(&figures));
    if (wish->quiet)
        (void)printf("%.17g\n%.17g\n%.17g\n%.17g\n%.17g\n", figures.open, figures.verify, figures.begin,
                     figures.reserve, figures.reserve_most);
    else
        print_figures(&figures);
    return sotto_cli_finish();
}
