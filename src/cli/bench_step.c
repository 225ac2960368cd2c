/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/bench.h"

/* How the figures of one line are derived from its times. */
static double ratio(const sotto_bench_step *line, sotto_bench_mode mode)
{
    return line->seconds[mode] / line->seconds[SOTTO_BENCH_PLAIN];
}

static double over_floor(const sotto_bench_step *line, sotto_bench_mode mode)
{
    return line->seconds[mode] / line->floor;
}

static double speedup(const sotto_bench_step *line, sotto_bench_mode mode)
{
    return line->seconds_alone[mode] / line->seconds[mode];
}

/* ------------------------------------------------------------------------- JSON */

static void put(json_t *record, const char *mode, const char *figure, double value)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s_%s", mode, figure);
    (void)json_object_set_new(record, key, json_real(value));
}

static json_t *line_json(const sotto_bench_options *options, const sotto_bench_step *line)
{
    json_t *record = json_pack("{s:I, s:f, s:f, s:f}", "batch", (json_int_t)line->batch, "operations",
                               line->operations, "gemm_rate", line->rate, "floor_seconds", line->floor);
    for (sotto_bench_mode mode = SOTTO_BENCH_PLAIN; record && mode < SOTTO_BENCH_MODES; mode++) {
        const char *name = sotto_bench_mode_name(mode);
        put(record, name, "seconds", line->seconds[mode]);
        if (mode != SOTTO_BENCH_PLAIN)
            put(record, name, "ratio", ratio(line, mode));
        put(record, name, "over_floor", over_floor(line, mode));
        if (options->scaling) {
            put(record, name, "seconds_alone", line->seconds_alone[mode]);
            put(record, name, "speedup", speedup(line, mode));
        }
    }
    if (record && line->machine_speedup > 0)
        (void)json_object_set_new(record, "machine_speedup", json_real(line->machine_speedup));
    return record;
}

static json_t *figures_json(const sotto_bench_options *options, const sotto_bench_steps_figures *figures)
{
    json_t *list = json_array();
    for (size_t i = 0; i < figures->count; i++)
        (void)json_array_append_new(list, line_json(options, &figures->lines[i]));
    return json_pack("{s:s, s:s, s:I, s:f, s:o}", "bench", "step", "case",
                     sotto_bench_case_name(options->which), "threads", (json_int_t)options->threads,
                     "seconds", options->seconds, "lines", list);
}

/* ------------------------------------------------------------------------- text */

static void print_times(const sotto_bench_options *options, const sotto_bench_steps_figures *figures)
{
    (void)printf("%s, %u thread%s\n", sotto_bench_case_name(options->which), options->threads,
                 options->threads > 1 ? "s" : "");
    (void)printf("%9s%43s%20s%26s%10s\n", "", "milliseconds for a step", "times plain", "times the floor",
                 "sgemm");
    (void)printf("%9s   %10s%10s%10s%10s   %9s%8s   %9s%7s%7s%10s\n", "batch", "floor", "plain", "float",
                 "exact", "float", "exact", "plain", "float", "exact", "GFLOP/s");
    for (size_t i = 0; i < figures->count; i++) {
        const sotto_bench_step *line = &figures->lines[i];
        (void)printf("%9zu   %10.4g", line->batch, 1e3 * line->floor);
        for (sotto_bench_mode mode = SOTTO_BENCH_PLAIN; mode < SOTTO_BENCH_MODES; mode++)
            (void)printf("%10.4g", 1e3 * line->seconds[mode]);
        (void)printf("   %9.2f%8.2f   %9.2f%7.2f%7.2f%10.1f\n", ratio(line, SOTTO_BENCH_FLOAT),
                     ratio(line, SOTTO_BENCH_EXACT), over_floor(line, SOTTO_BENCH_PLAIN),
                     over_floor(line, SOTTO_BENCH_FLOAT), over_floor(line, SOTTO_BENCH_EXACT),
                     line->rate / 1e9);
    }
}

static void print_scaling(const sotto_bench_options *options, const sotto_bench_steps_figures *figures)
{
    (void)printf("\n%9s%43s%9s%u threads are faster by\n", "", "milliseconds for a step on one thread", "",
                 options->threads);
    (void)printf("%9s   %20s%10s%10s   %9s%8s%8s%16s\n", "batch", "plain", "float", "exact", "plain", "float",
                 "exact", "registers alone");
    for (size_t i = 0; i < figures->count; i++) {
        const sotto_bench_step *line = &figures->lines[i];
        (void)printf("%9zu   %10s", line->batch, "");
        for (sotto_bench_mode mode = SOTTO_BENCH_PLAIN; mode < SOTTO_BENCH_MODES; mode++)
            (void)printf("%10.4g", 1e3 * line->seconds_alone[mode]);
        (void)printf("   %9.2f%8.2f%8.2f", speedup(line, SOTTO_BENCH_PLAIN), speedup(line, SOTTO_BENCH_FLOAT),
                     speedup(line, SOTTO_BENCH_EXACT));
        if (line->machine_speedup > 0)
            (void)printf("%16.2f", line->machine_speedup);
        (void)printf("\n");
    }
}

static void print_figures(const sotto_cli_bench *wish, const sotto_bench_steps_figures *figures)
{
    if (!wish->quiet) {
        print_times(&wish->step, figures);
        if (wish->step.scaling)
            print_scaling(&wish->step, figures);
        return;
    }
    for (size_t i = 0; i < figures->count; i++)
        (void)printf("%.17g %.17g\n", ratio(&figures->lines[i], SOTTO_BENCH_FLOAT),
                     ratio(&figures->lines[i], SOTTO_BENCH_EXACT));
}

int sotto_cli_bench_step(const sotto_cli_bench *wish)
{
    sotto_error err = {0};
    sotto_bench_steps_figures figures;
    if (sotto_bench_steps(&wish->step, &figures, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (wish->as_json)
        return sotto_cli_bench_print(figures_json(&wish->step, &figures));
    print_figures(wish, &figures);
    return sotto_cli_finish();
}
