/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/bench.h"

static const char *const words[SOTTO_BENCH_NOISE_KINDS] = {
    [SOTTO_BENCH_NOISE_EXACT] = "exact noise, one coordinate",
    [SOTTO_BENCH_NOISE_FLOAT] = "floating-point noise, one coordinate",
    [SOTTO_BENCH_NOISE_REFERENCE] = "the same by rational arithmetic, which the tests trust",
    [SOTTO_BENCH_NOISE_CIPHER] = "8 bytes of the random stream alone",
    [SOTTO_BENCH_NOISE_COINS] = "one unit's coin of Poisson sampling",
};
enum { WORDS_WIDTH = 56 };

static json_t *figures_json(double seconds, const double nanoseconds[SOTTO_BENCH_NOISE_KINDS])
{
    json_t *list = json_array();
    for (size_t i = 0; i < SOTTO_BENCH_NOISE_KINDS; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:f}", "kind",
                                                    sotto_bench_noise_name((sotto_bench_noise_kind)i),
                                                    "nanoseconds", nanoseconds[i]));
    return json_pack("{s:s, s:f, s:o}", "bench", "noise", "seconds", seconds, "lines", list);
}

int sotto_cli_bench_noise(const sotto_cli_bench *wish)
{
    sotto_error err = {0};
    double nanoseconds[SOTTO_BENCH_NOISE_KINDS];
    if (sotto_bench_noises(wish->step.seconds, wish->step.watch, nanoseconds, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (wish->as_json)
        return sotto_cli_bench_print(figures_json(wish->step.seconds, nanoseconds));
    for (size_t i = 0; i < SOTTO_BENCH_NOISE_KINDS; i++)
        if (wish->quiet)
            (void)printf("%.17g\n", nanoseconds[i]);
        else
            (void)printf("%-*s%10.3g ns\n", WORDS_WIDTH, words[i], nanoseconds[i]);
    return sotto_cli_finish();
}
