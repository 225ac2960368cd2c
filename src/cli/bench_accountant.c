/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

static const char *const words[SOTTO_BENCH_QUESTIONS] = {
    [SOTTO_BENCH_EPSILON_RDP] = "ε by Rényi divergences",
    [SOTTO_BENCH_EPSILON_PLD] = "ε by privacy-loss distributions",
    [SOTTO_BENCH_EPSILON_PLD_FINE] = "the same, gap 1e-4",
    [SOTTO_BENCH_NOISE_RDP] = "σ for ε = 3 by Rényi divergences",
    [SOTTO_BENCH_NOISE_PLD] = "σ for ε = 3 by privacy-loss distributions",
    [SOTTO_BENCH_BUDGET] = "may I, and charge",
};
enum { WORDS_WIDTH = 43 };

/* A time for people: "58 µs". */
static void format_time(double seconds, char text[SOTTO_FIGURE_SIZE])
{
    static const struct {
        double least;
        const char *unit;
        double unit_seconds;
    } units[] = {{1, "s", 1}, {1e-3, "ms", 1e-3}, {1e-6, "µs", 1e-6}, {0, "ns", 1e-9}};
    size_t i = 0;
    while (seconds < units[i].least)
        i++;
    (void)snprintf(text, SOTTO_FIGURE_SIZE, "%.3g %s", seconds / units[i].unit_seconds, units[i].unit);
}

static void put_right(const char *text, size_t width)
{
    for (size_t i = sotto_text_width(text); i < width; i++)
        (void)putchar(' ');
    sotto_text_put(stdout, text, false);
}

/* The peers' line of the same question; NULL where there is none. */
static const json_t *peer_line(const json_t *peers, size_t question)
{
    return json_object_get(json_object_get(peers, "lines"),
                           sotto_bench_question_name((sotto_bench_question)question));
}

static void print_line(const sotto_bench_line *line, const char *name, const json_t *peer)
{
    char time[SOTTO_FIGURE_SIZE];
    format_time(line->seconds, time);
    sotto_text_put(stdout, name, false);
    put_right(time, 12 + WORDS_WIDTH - sotto_text_width(name));
    if (line->answer > 0)
        (void)printf("  %10.6g", line->answer);
    if (peer) {
        const double seconds = sotto_cli_member(peer, "seconds");
        format_time(seconds, time);
        put_right(time, line->answer > 0 ? 14 : 26);
        (void)printf("  %10.6g  %10.1f", sotto_cli_member(peer, "answer"), seconds / line->seconds);
    }
    (void)putchar('\n');
}

static void print_table(const sotto_bench_accountant *figures, const json_t *peers)
{
    (void)printf("q = 0.01, σ = 1, T = 10,000, δ = 1e-5\n");
    put_right("time", WORDS_WIDTH + 12);
    (void)printf("  %10s", "answer");
    if (peers)
        (void)printf("%14s  %10s  %10s", "dp_accounting", "answer", "ratio");
    (void)putchar('\n');
    for (size_t i = 0; i < SOTTO_BENCH_QUESTIONS; i++)
        print_line(&figures->lines[i], words[i], peer_line(peers, i));
    (void)printf("peak memory of ε by privacy-loss distributions at T = 1,000,000: %.0f MB\n",
                 ceil(figures->peak_bytes / 1e6));
}

static json_t *lines_json(const sotto_bench_accountant *figures, const json_t *peers)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SOTTO_BENCH_QUESTIONS; i++) {
        const sotto_bench_line *line = &figures->lines[i];
        const json_t *peer = peer_line(peers, i);
        json_t *record =
            json_pack("{s:s, s:f}", "question", sotto_bench_question_name((sotto_bench_question)i), "seconds",
                      line->seconds);
        if (line->answer > 0)
            (void)json_object_set_new(record, "answer", json_real(line->answer));
        if (peer) {
            const double seconds = sotto_cli_member(peer, "seconds");
            (void)json_object_set_new(record, "peer_seconds", json_real(seconds));
            (void)json_object_set_new(record, "peer_answer", json_real(sotto_cli_member(peer, "answer")));
            (void)json_object_set_new(record, "ratio", json_real(seconds / line->seconds));
        }
        (void)json_array_append_new(list, record);
    }
    return list;
}

static int print_json(const sotto_bench_accountant *figures, double seconds, bool asked, const json_t *peers)
{
    json_t *record = json_pack("{s:s, s:f, s:o, s:f}", "bench", "accountant", "seconds", seconds, "lines",
                               lines_json(figures, peers), "peak_bytes", figures->peak_bytes);
    if (record && asked)
        (void)json_object_set_new(record, "peer",
                                  peers ? json_sprintf("dp_accounting %s", sotto_cli_text(peers, "version"))
                                        : json_null());
    return sotto_cli_bench_print(record);
}

static int print_figures(const sotto_bench_accountant *figures, const json_t *peers, bool asked, bool quiet)
{
    if (!quiet) {
        print_table(figures, peers);
        if (asked && !peers)
            (void)printf("dp_accounting: not installed (python3 -m pip install dp-accounting)\n");
        return sotto_cli_finish();
    }
    for (size_t i = 0; i < SOTTO_BENCH_QUESTIONS; i++)
        (void)printf("%.17g\n", figures->lines[i].seconds);
    (void)printf("%.17g\n", figures->peak_bytes);
    return sotto_cli_finish();
}

static sotto_status ask_peers(double seconds, json_t **peers, sotto_error *err)
{
    char *text = NULL;
    sotto_status status = sotto_bench_peers(seconds, &text, err);
    if (status == SOTTO_OK && text) {
        *peers = sotto_json_read(text);
        if (!*peers)
            status =
                sotto_error_set(err, SOTTO_ERROR_IO,
                                "cannot read what the script for dp_accounting printed; leave --peers out");
    }
    free(text);
    return status;
}

int sotto_cli_bench_accountant(const sotto_cli_bench *wish)
{
    const double seconds = wish->step.seconds;
    sotto_error err = {0};
    sotto_bench_accountant figures;
    json_t *peers = NULL;
    int ended;
    sotto_status status = sotto_bench_accountants(seconds, wish->step.watch, &figures, &err);
    if (status == SOTTO_OK && wish->peers)
        status = ask_peers(seconds, &peers, &err);
    if (status != SOTTO_OK)
        ended = sotto_cli_fail(&err);
    else if (wish->as_json)
        ended = print_json(&figures, seconds, wish->peers, peers);
    else
        ended = print_figures(&figures, peers, wish->peers, wish->quiet);
    json_decref(peers);
    return ended;
}
