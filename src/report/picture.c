/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* The kinds of pictures, as gnuplot scripts. Only numbers that we print and tokens for labels stand in a
 * script. */

/* --------------------------------------------------------- lines and dots */

static bool is_drawn(const sotto_point *point)
{
    return isfinite(point->x) && isfinite(point->y);
}

static void put_points(FILE *script, const sotto_series *series, size_t index)
{
    (void)fprintf(script, "$d%zu << E\n", index);
    for (size_t i = 0; i < series->count; i++) {
        const sotto_point *p = &series->points[i];
        if (is_drawn(p))
            (void)fprintf(script, "%.9g %.9g %.9g %.9g\n", p->x, p->y, isfinite(p->low) ? p->low : p->y,
                          isfinite(p->high) ? p->high : p->y);
    }
    (void)fputs("E\n", script);
}

static bool has_points(const sotto_series *series)
{
    for (size_t i = 0; i < series->count; i++)
        if (is_drawn(&series->points[i]))
            return true;
    return false;
}

/* "plot " before the first part of a plot, ", " before all others. */
static const char *part(bool *first)
{
    const char *text = *first ? "plot " : ", ";
    *first = false;
    return text;
}

static void put_series(FILE *script, const sotto_series *series, size_t index, bool *first)
{
    const unsigned colour = sotto_role_colour(series->role, 1);
    if (!has_points(series))
        return;
    if (series->style & SOTTO_DRAW_FILL)
        (void)fprintf(script, "%s$d%zu using 1:2 with boxes fs solid noborder lc rgb %u", part(first), index,
                      sotto_role_colour(series->role, 0.35));
    if (series->style & SOTTO_DRAW_WHISKERS)
        (void)fprintf(script, "%s$d%zu using 1:2:3:4 with yerrorbars pt 0 ps 0 lw 1.5 lc rgb %u", part(first),
                      index, colour);
    if (series->style & SOTTO_DRAW_LINE)
        (void)fprintf(script, "%s$d%zu using 1:2 with lines lw 2 dt %s lc rgb %u", part(first), index,
                      series->style & SOTTO_DRAW_DASHED ? "(6,4)" : "1", colour);
    if (series->style & SOTTO_DRAW_STEPS)
        (void)fprintf(script, "%s$d%zu using 1:2 with histeps lw 2 lc rgb %u", part(first), index, colour);
    if (series->style & SOTTO_DRAW_DOTS)
        (void)fprintf(script, "%s$d%zu using 1:2 with points pt 7 ps 0.8 lc rgb %u", part(first), index,
                      colour);
}

/* 1, 2 or 5 times a power of ten, at most four of which reach `most`. */
static double tick_below(double most)
{
    static const double factors[] = {1, 2, 5, 10};
    const double unit = pow(10, floor(log10(most / 4)));
    for (size_t i = 0; i < 4; i++)
        if (factors[i] * unit * 4 >= most * (1 - 1e-9))
            return factors[i] * unit;
    return 10 * unit;
}

/* From the least to the most of all points and whiskers, with a little room, where the chart does not say. */
static void measure(const sotto_chart *chart, double *low, double *high)
{
    double least = HUGE_VAL, most = -HUGE_VAL;
    *low = chart->y_low;
    *high = chart->y_high;
    for (size_t s = 0; s < chart->series_count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++) {
            const sotto_point *p = &chart->series[s].points[i];
            least = is_drawn(p) ? fmin(least, fmin(p->y, p->low)) : least; /* fmin and fmax skip NaN */
            most = is_drawn(p) ? fmax(most, fmax(p->y, p->high)) : most;
        }
    const double room = most > least ? 0.06 * (most - least) : 0.1 * fabs(most) + 1e-9;
    if (*high > *low)
        return;
    *low = chart->from_zero ? 0 : least - room;
    *high = most > 0 || !chart->from_zero ? most + room : 1;
}

/* Ends of the axes; `low` = `high` leaves them to gnuplot. */
static void put_range(FILE *script, char axis, double low, double high)
{
    if (high > low)
        (void)fprintf(script, "set %crange [%.9g:%.9g]\n", axis, low, high);
}

static void put_ticks(sotto_page *page, const sotto_chart *chart)
{
    FILE *script = page->script;
    if (!chart->tick_count)
        return;
    (void)fputs("set xtics (", script);
    for (size_t i = 0; i < chart->tick_count; i++) {
        (void)fputs(i ? ", " : "", script);
        sotto_page_label(page, chart->ticks[i].label, 16);
        (void)fprintf(script, " %.9g", chart->ticks[i].at);
    }
    (void)fputs(")\n", script);
}

/* Long labels below the axis: one at each end and one in the middle, if they leave room for it. */
static void put_ends(sotto_page *page, const sotto_chart *chart)
{
    enum { MOST = 20, HALF = 13 /* characters, of half the axis */ };
    static const char *const places[] = {"0", "0.5", "1"}, *const aligned[] = {"left", "center", "right"};
    size_t widths[3] = {0};
    (void)fputs("unset xtics\nset bmargin 2\n", page->script);
    for (size_t i = 0; i < 3; i++)
        widths[i] = chart->ends[i] ? sotto_text_width(chart->ends[i]) : 0;
    const bool fits = widths[1] / 2 + (widths[0] > widths[2] ? widths[0] : widths[2]) < HALF;
    for (size_t i = 0; i < 3; i++) {
        if (!chart->ends[i] || (i == 1 && !fits))
            continue;
        (void)fputs("set label ", page->script);
        sotto_page_label(page, chart->ends[i], MOST);
        (void)fprintf(page->script, " at graph %s, graph 0 %s offset 0,-1 textcolor rgb %u\n", places[i],
                      aligned[i], sotto_role_colour(SOTTO_ROLE_AXIS, 1));
    }
}

bool sotto_picture_lines(sotto_page *page, const sotto_chart *chart)
{
    bool any = false;
    for (size_t i = 0; i < chart->series_count; i++)
        any = any || has_points(&chart->series[i]);
    if (!any)
        return false;
    FILE *script = sotto_page_figure(page, chart->width, chart->height, chart->title, chart->words);
    (void)fprintf(script, "set grid ytics lc rgb %u lw 1 dt 1\nset bars 0.6\n",
                  sotto_role_colour(SOTTO_ROLE_GRID, 1));
    (void)fprintf(script, "set format y '%s'\nset tmargin 1\nset rmargin 2\n",
                  chart->y_format ? chart->y_format : "%g");
    (void)fprintf(script, "set border 1 lc rgb %u\nset ytics scale 0\n",
                  sotto_role_colour(SOTTO_ROLE_AXIS, 1));
    put_range(script, 'x', chart->x_low, chart->x_high);
    double low, high;
    measure(chart, &low, &high);
    put_range(script, 'y', low, high);
    (void)fprintf(script, "set ytics %.9g\n", tick_below(high - low));
    if (chart->x_log)
        (void)fputs("set logscale x\n", script);
    if (chart->ends[0])
        put_ends(page, chart);
    else
        put_ticks(page, chart);
    if (chart->x_label) {
        (void)fprintf(script, "set xlabel textcolor rgb %u ", sotto_role_colour(SOTTO_ROLE_INK, 1));
        sotto_page_label(page, chart->x_label, 60);
        (void)fputc('\n', script);
    }
    for (size_t i = 0; i < chart->series_count; i++)
        put_points(script, &chart->series[i], i);
    bool first = true;
    for (size_t i = 0; i < chart->series_count; i++)
        put_series(script, &chart->series[i], i, &first);
    (void)fputc('\n', script);
    return true;
}

/* --------------------------------------------------------------- two bars */

static bool any_finite(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            return true;
    return false;
}

enum { BARS_BELOW = 36 /* room for the axis */ };

static void put_bar_axes(FILE *script, const double *pairs, size_t rows)
{
    double most = 1e-3;
    for (size_t i = 0; i < 2 * rows; i++)
        most = fmax(most, 100 * pairs[i]); /* skips NaN */
    (void)fprintf(script,
                  "set lmargin at screen 0.38\nset rmargin at screen 0.95\nset tmargin at screen 0.99\n"
                  "set bmargin at screen %.4f\nset yrange [%.1f:-0.5]\nset xrange [0:%.9g]\nset border 0\n"
                  "set grid xtics lc rgb %u lw 1 dt 1\nset format x '%%g %%%%'\nset xtics scale 0 0,%.9g\n",
                  (double)BARS_BELOW / (BARS_BELOW + 4 + 24 * (double)rows), (double)rows - 0.5, 1.02 * most,
                  sotto_role_colour(SOTTO_ROLE_GRID, 1), tick_below(most));
}

/* Rows from the top: the label at the left, two bars, `pairs[2·row]` above `pairs[2·row + 1]`. */
bool sotto_picture_bars(sotto_page *page, const char *title, const char *words, const char *const *labels,
                        const double *pairs, size_t rows)
{
    static const sotto_role roles[] = {SOTTO_ROLE_REAL, SOTTO_ROLE_SYNTHETIC};
    if (!any_finite(pairs, 2 * rows))
        return false;
    FILE *script = sotto_page_figure(page, 320, BARS_BELOW + 4 + 24 * (int)rows, title, words);
    put_bar_axes(script, pairs, rows);
    (void)fputs("set ytics scale 0 font ',12' (", script);
    for (size_t i = 0; i < rows; i++) {
        (void)fputs(i ? ", " : "", script);
        sotto_page_label(page, labels[i], 14);
        (void)fprintf(script, " %zu", i);
    }
    (void)fputs(")\n$d << E\n", script);
    for (size_t i = 0; i < 2 * rows; i++) {
        const double middle = (double)(i / 2) + (i % 2 ? 0.2 : -0.2);
        if (isfinite(pairs[i]))
            (void)fprintf(script, "%.9g %.9g 0 %.9g %.9g %.9g %u\n", 50 * pairs[i], middle, 100 * pairs[i],
                          middle - 0.18, middle + 0.18, sotto_role_colour(roles[i % 2], 1));
    }
    (void)fputs("E\nplot $d using 1:2:3:4:5:6:7 with boxxyerror fs solid noborder lc rgb variable\n", script);
    return true;
}

/* ------------------------------------------------------------ dots in rows */

/* Series `s` has a dot in some row. */
static bool has_dots(const sotto_dots *dots, size_t s)
{
    for (size_t i = 0; i < dots->rows; i++)
        if (isfinite(dots->series[s].points[i].x))
            return true;
    return false;
}

enum { DOTS_BELOW = 36 };

bool sotto_picture_dots(sotto_page *page, const sotto_dots *dots)
{
    bool some = false;
    for (size_t s = 0; s < dots->series_count; s++)
        some = some || has_dots(dots, s);
    if (!some)
        return false;
    const int height = DOTS_BELOW + 6 + 66 * (int)dots->rows;
    FILE *script = sotto_page_figure(page, 420, height, dots->title, dots->words);
    (void)fprintf(
        script,
        "set lmargin at screen 0.04\nset rmargin at screen 0.95\nset tmargin at screen 0.995\n"
        "set bmargin at screen %.4f\nset yrange [%.1f:-0.6]\nset border 0\n"
        "set grid xtics lc rgb %u lw 1 dt 1\nset format x '%s'\nset xtics scale 0\nunset ytics\nset bars 0\n",
        (double)DOTS_BELOW / height, (double)dots->rows - 0.5, sotto_role_colour(SOTTO_ROLE_GRID, 1),
        dots->format ? dots->format : "%g");
    put_range(script, 'x', dots->low, dots->high);
    for (size_t i = 0; i < dots->rows; i++) {
        (void)fputs("set label ", script);
        sotto_page_label(page, dots->labels[i], 56);
        (void)fprintf(script, " at graph 0, first %.2f left front textcolor rgb %u\n", (double)i - 0.41,
                      sotto_role_colour(SOTTO_ROLE_INK, 1));
    }
    for (size_t s = 0; s < dots->series_count; s++) {
        (void)fprintf(script, "$d%zu << E\n", s);
        const double down =
            dots->series_count > 1 ? -0.16 + 0.44 * (double)s / (double)(dots->series_count - 1) : 0.1;
        for (size_t i = 0; i < dots->rows; i++) {
            const sotto_point *p = &dots->series[s].points[i];
            if (isfinite(p->x))
                (void)fprintf(script, "%.9g %.9g %.9g %.9g\n", p->x, (double)i + down,
                              isfinite(p->low) ? p->low : p->x, isfinite(p->high) ? p->high : p->x);
        }
        (void)fputs("E\n", script);
    }
    bool first = true;
    for (size_t s = 0; s < dots->series_count; s++) {
        const unsigned colour = sotto_role_colour(dots->series[s].role, 1);
        if (has_dots(dots, s))
            (void)fprintf(
                script,
                "%s$d%zu using 1:2:3:4 with xerrorbars pt 0 ps 0 lw 2 lc rgb %u, $d%zu using 1:2 with "
                "points pt 7 ps 0.8 lc rgb %u",
                part(&first), s, colour, s, colour);
    }
    (void)fputc('\n', script);
    return true;
}

/* --------------------------------------------------------------- heat maps */

static void put_cells(FILE *script, const sotto_heat *heat)
{
    (void)fputs("$d << E\n", script);
    for (size_t i = 0; i < heat->count; i++)
        for (size_t j = 0; j < heat->count; j++) {
            const double value = heat->values[i * heat->count + j];
            if (!isfinite(value))
                continue;
            const double strength = fmin(fabs(value) / heat->most, 1);
            (void)fprintf(script, "%zu %zu %u\n", j, i,
                          sotto_role_colour(value < 0 ? SOTTO_ROLE_MINUS : SOTTO_ROLE_PLUS, strength));
        }
    (void)fputs("E\n", script);
}

static void put_names(sotto_page *page, const sotto_heat *heat)
{
    for (size_t i = 0; i < heat->count; i++) {
        (void)fputs(i ? ", " : "", page->script);
        sotto_page_label(page, heat->labels[i], 14);
        (void)fprintf(page->script, " %zu", i);
    }
}

bool sotto_picture_heat(sotto_page *page, const sotto_heat *heat)
{
    if (!any_finite(heat->values, heat->count * heat->count))
        return false;
    enum { WIDTH = 440, LEFT = 124, BELOW = 120, RIGHT = 8, TOP = 6 };
    const int side = WIDTH - LEFT - RIGHT, height = TOP + side + BELOW;
    const int size = heat->count > 24 ? 9 : heat->count > 18 ? 11 : 12;
    FILE *script = sotto_page_figure(page, WIDTH, height, heat->title, heat->words);
    (void)fprintf(script,
                  "set lmargin at screen %.4f\nset rmargin at screen %.4f\nset tmargin at screen %.4f\n"
                  "set bmargin at screen %.4f\nset border 15 lc rgb %u\nset xrange [-0.5:%.1f]\n"
                  "set yrange [%.1f:-0.5]\nset ytics scale 0 font ',%d' (",
                  (double)LEFT / WIDTH, 1 - (double)RIGHT / WIDTH, 1 - (double)TOP / height,
                  (double)BELOW / height, sotto_role_colour(SOTTO_ROLE_GRID, 1), (double)heat->count - 0.5,
                  (double)heat->count - 0.5, size);
    put_names(page, heat);
    (void)fprintf(script, ")\nset xtics scale 0 rotate by 90 right font ',%d' (", size);
    put_names(page, heat);
    (void)fputs(")\n", script);
    put_cells(script, heat);
    (void)fputs("plot $d using 1:2:($1-.5):($1+.5):($2-.5):($2+.5):3 with boxxyerror fs solid noborder "
                "lc rgb variable\n",
                script);
    return true;
}
