/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

enum { SHORTEST_BAR = 8, LONGEST_BAR = 40, PIECES = 4 };
static const double seconds_between_draws = 0.2;

static double now(void)
{
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t terminal_width(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

static double share_done(const sotto_progress *progress)
{
    if (progress->steps == 0)
        return 1;
    return fmin(1, (double)progress->step / (double)progress->steps);
}

/* What is said beside the bar, the most important first. Empty pieces have nothing to say. */
static void compose_pieces(const sotto_progress *progress, char pieces[PIECES][64])
{
    char spent[SOTTO_FIGURE_SIZE], budget[SOTTO_FIGURE_SIZE];
    (void)snprintf(pieces[0], 64, "%llu/%llu", (unsigned long long)progress->step,
                   (unsigned long long)progress->steps);
    for (size_t i = 1; i < PIECES; i++)
        pieces[i][0] = '\0';
    if (progress->epsilon > 0) {
        sotto_figure_up(progress->epsilon, 3, spent);
        sotto_figure_up(progress->target_epsilon, 3, budget);
        (void)snprintf(pieces[1], 64, "ε %.24s of %.24s", spent, budget);
    }
    if (progress->seconds_left >= 0) {
        char left[SOTTO_FIGURE_SIZE];
        sotto_figure_seconds(progress->seconds_left, left);
        (void)snprintf(pieces[2], 64, "%s left", left);
    }
    if (progress->steps_per_second > 0)
        (void)snprintf(pieces[3], 64, progress->steps_per_second < 100 ? "%.3g/s" : "%.0f/s",
                       progress->steps_per_second);
}

static void put_bar(char *line, size_t size, double share, size_t cells)
{
    size_t full = (size_t)(share * (double)cells);
    size_t used = strlen(line);
    for (size_t i = 0; i < cells + 2 && used + 2 < size; i++)
        line[used++] = i == 0 ? '[' : i == cells + 1 ? ']' : i <= full ? '#' : '-';
    line[used++] = ' ';
    line[used] = '\0';
}

void sotto_bar_compose(const sotto_progress *progress, size_t width, char *line, size_t size)
{
    char pieces[PIECES][64];
    char head[64];
    size_t kept = PIECES;
    size_t words;
    compose_pieces(progress, pieces);
    (void)snprintf(head, sizeof head, "%.30s %3d%% ", progress->phase ? progress->phase : "",
                   (int)(100 * share_done(progress)));
    for (;; kept--) { /* drop the least important pieces until the rest fits */
        words = sotto_text_width(head);
        for (size_t i = 0; i < kept; i++)
            words += pieces[i][0] ? sotto_text_width(pieces[i]) + (i > 0 ? 2 : 0) : 0;
        if (words <= width || kept == 0)
            break;
    }
    line[0] = '\0';
    if (words > width) {
        (void)snprintf(line, size, "%.*s", (int)(width < size ? width : size - 1), head);
        return;
    }
    (void)snprintf(line, size, "%s", head);
    size_t room = width - words;
    size_t cells = width / 4 < LONGEST_BAR ? width / 4 : LONGEST_BAR; /* does not waver with the words */
    if (room >= SHORTEST_BAR + 3)
        put_bar(line, size, share_done(progress), room - 3 < cells ? room - 3 : cells);
    for (size_t i = 0; i < kept; i++) {
        size_t used = strlen(line);
        (void)snprintf(line + used, size - used, "%s%s", i > 0 && pieces[i][0] ? "  " : "", pieces[i]);
    }
}

void sotto_bar_start(sotto_bar *bar)
{
    const char *kind = getenv("TERM");
    *bar = (sotto_bar){.terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0,
                       .drawn_at = -HUGE_VAL};
}

void sotto_bar_finish(sotto_bar *bar)
{
    if (bar->open)
        (void)fputc('\n', stderr);
    bar->open = false;
}

static void draw(sotto_bar *bar, const sotto_progress *progress, bool done)
{
    char line[512];
    double time = now();
    if (!done && time - bar->drawn_at < seconds_between_draws)
        return;
    bar->drawn_at = time;
    size_t width = terminal_width();
    sotto_bar_compose(progress, width > 1 ? width - 1 : 1, line, sizeof line); /* the last column may wrap */
    (void)fprintf(stderr, "\r%s\033[K", line);
    (void)fflush(stderr);
    bar->open = true;
}

/* One line whenever another tenth is done. */
static void write_line(sotto_bar *bar, const sotto_progress *progress, bool begun)
{
    char pieces[PIECES][64];
    unsigned tenths = (unsigned)(10 * share_done(progress) + 1e-9);
    if (!begun && tenths <= bar->tenths)
        return;
    bar->tenths = tenths;
    compose_pieces(progress, pieces);
    (void)fprintf(stderr, "%s %u%%: %s", progress->phase ? progress->phase : "", 10 * tenths, pieces[0]);
    for (size_t i = 1; i < PIECES; i++)
        (void)fprintf(stderr, "%s%s", pieces[i][0] ? ", " : "", pieces[i]);
    (void)fputc('\n', stderr);
}

void sotto_bar_show(void *context, const sotto_progress *progress)
{
    sotto_bar *bar = context;
    bool done = progress->step >= progress->steps;
    const char *phase = progress->phase ? progress->phase : "";
    bool begun = strncmp(bar->phase, phase, sizeof bar->phase - 1) != 0;
    if (begun) {
        sotto_bar_finish(bar);
        (void)snprintf(bar->phase, sizeof bar->phase, "%s", phase);
        bar->tenths = 0;
        bar->drawn_at = -HUGE_VAL;
    }
    if (bar->terminal)
        draw(bar, progress, done);
    else
        write_line(bar, progress, begun);
}
