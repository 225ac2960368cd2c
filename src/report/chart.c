/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "report/report.h"

/* The ε(δ) curve: δ on a logarithmic axis to the right, ε on a linear one upward. Lengths in user units. */
enum { WIDTH = 480, HEIGHT = 300, LEFT = 52, RIGHT = 14, TOP = 30, BOTTOM = 50 };

typedef struct chart {
    const json_t *points; /* drawn in the record's order */
    size_t count;
    double low, high;  /* decades of δ */
    double tick, most; /* spacing and end of the ε axis */
} chart;

static double decade_at(const chart *c, size_t i)
{
    return log10(json_number_value(json_object_get(json_array_get(c->points, i), "delta")));
}

static double epsilon_at(const chart *c, size_t i)
{
    return json_number_value(json_object_get(json_array_get(c->points, i), "epsilon"));
}

/* 1, 2 or 5 times a power of ten: at most five ticks up to `most`. */
static double round_tick(double most)
{
    double unit = pow(10, floor(log10(most / 5)));
    static const double factors[] = {1, 2, 5, 10};
    for (size_t i = 0; i < 4; i++)
        if (factors[i] * unit * 5 >= most * (1 - 1e-12))
            return factors[i] * unit;
    return 10 * unit;
}

static double across(const chart *c, double x)
{
    return LEFT + (x - c->low) / (c->high - c->low) * (WIDTH - LEFT - RIGHT);
}

static double upward(const chart *c, double epsilon)
{
    return HEIGHT - BOTTOM - epsilon / c->most * (HEIGHT - TOP - BOTTOM);
}

static void measure(chart *c, const sotto_statement *statement)
{
    double most = statement->epsilon;
    c->low = c->high = log10(statement->delta);
    for (size_t i = 0; i < c->count; i++) {
        c->low = fmin(c->low, decade_at(c, i));
        c->high = fmax(c->high, decade_at(c, i));
        most = fmax(most, epsilon_at(c, i));
    }
    c->low = floor(c->low + 1e-9);
    c->high = ceil(c->high - 1e-9);
    if (c->high <= c->low)
        c->high = c->low + 1;
    /* Outside these bounds ticks would over- or underflow; nobody's ε lies there. */
    most = fmin(fmax(most, 1e-9), 1e300);
    c->tick = round_tick(most);
    c->most = ceil(most / c->tick - 1e-9) * c->tick;
}

static void put_axes(const chart *c, FILE *file)
{
    for (int i = 0; i * c->tick <= c->most * (1 + 1e-9); i++) {
        double y = upward(c, i * c->tick);
        (void)fprintf(file, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, y,
                      WIDTH - RIGHT, y);
        (void)fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n", LEFT - 7, y + 4.5,
                      i * c->tick);
    }
    double stride = ceil((c->high - c->low) / 7);
    for (double decade = c->high; decade >= c->low - 1e-9; decade -= stride) {
        double x = across(c, decade);
        (void)fprintf(file, "<line class=\"axis\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x,
                      HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5);
        (void)fprintf(file,
                      "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">10<tspan class=\"power\" "
                      "dy=\"-5\">%.0f</tspan></text>\n",
                      x, HEIGHT - BOTTOM + 22, decade);
    }
    (void)fprintf(file, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", LEFT,
                  HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
    (void)fprintf(
        file, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">δ (chance left over)</text>\n",
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    (void)fprintf(file, "<text class=\"label\" x=\"%d\" y=\"%d\">ε</text>\n", LEFT - 7, TOP - 12);
}

static void put_line(const chart *c, FILE *file)
{
    (void)fputs("<polyline class=\"curve\" points=\"", file);
    for (size_t i = 0; i < c->count; i++)
        (void)fprintf(file, "%s%.2f,%.2f", i ? " " : "", across(c, decade_at(c, i)),
                      upward(c, fmin(epsilon_at(c, i), c->most)));
    (void)fputs("\"/>\n", file);
}

static void put_description(const chart *c, FILE *file)
{
    char first[SOTTO_FIGURE_SIZE], last[SOTTO_FIGURE_SIZE];
    sotto_figure_up(epsilon_at(c, 0), 4, first);
    sotto_figure_up(epsilon_at(c, c->count - 1), 4, last);
    (void)fprintf(file,
                  "<title id=\"curve-title\">ε as a function of δ</title>\n"
                  "<desc id=\"curve-words\">A line chart with %zu points. At δ = 10^%.2f, ε is %s; at δ = "
                  "10^%.2f, ε is %s. The table below gives each point.</desc>\n",
                  c->count, decade_at(c, 0), first, decade_at(c, c->count - 1), last);
}

/* The point that the statement promises. The curve falls, so above it to the right and below it to the left
 * there is room for words. */
static void put_promise(const chart *c, const sotto_statement *statement, FILE *file)
{
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    sotto_figure_up(statement->epsilon, 4, epsilon);
    sotto_figure_exact(statement->delta, delta);
    double x = across(c, log10(statement->delta));
    double y = upward(c, fmin(statement->epsilon, c->most));
    bool left = x < (LEFT + WIDTH - RIGHT) / 2.0;
    (void)fprintf(file, "<circle class=\"promise\" cx=\"%.2f\" cy=\"%.2f\" r=\"5\"/>\n", x, y);
    (void)fprintf(file,
                  "<text class=\"promise\" x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\">ε = %s at δ = "
                  "%s</text>\n",
                  x, left ? y - 10 : fmin(y + 24, HEIGHT - BOTTOM - 6), left ? "start" : "end", epsilon,
                  delta);
}

void sotto_statement_chart(const sotto_statement *statement, FILE *file)
{
    chart c = {.points = json_object_get(statement->root, "curve")};
    c.count = json_array_size(c.points);
    if (c.count < 2)
        return;
    measure(&c, statement);
    (void)fprintf(file,
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"curve-title curve-words\">\n",
                  WIDTH, HEIGHT);
    put_description(&c, file);
    put_axes(&c, file);
    put_line(&c, file);
    put_promise(&c, statement, file);
    (void)fputs("</svg>\n", file);
}

/* ------------------------------------------------------- the trade-off curve */

/* Both rates from 0 to 1; the plot is square. */
enum { SIDE = 300, SQUARE = SIDE - TOP - BOTTOM };

static double rate_across(double rate)
{
    return LEFT + rate * SQUARE;
}

static double rate_upward(double rate)
{
    return SIDE - BOTTOM - rate * SQUARE;
}

static double rate_at(const json_t *points, size_t i, const char *key)
{
    return json_number_value(json_object_get(json_array_get(points, i), key));
}

static void put_rate_axes(FILE *file)
{
    for (int i = 0; i <= 4; i++) {
        const double rate = i / 4.0, x = rate_across(rate), y = rate_upward(rate);
        (void)fprintf(file, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, y,
                      LEFT + SQUARE, y);
        (void)fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 7, y + 4.5,
                      rate);
        (void)fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", x,
                      SIDE - BOTTOM + 20, rate);
    }
    (void)fprintf(file, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", LEFT,
                  SIDE - BOTTOM, LEFT + SQUARE, SIDE - BOTTOM);
    (void)fprintf(file,
                  "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">claims it wrongly</text>\n",
                  LEFT + SQUARE / 2, SIDE - 8);
    (void)fprintf(file, "<text class=\"label\" x=\"%d\" y=\"%d\">misses it, at least</text>\n", LEFT - 7,
                  TOP - 12);
}

/* Guessing without looking: what no release at all would leave. */
static void put_guessing(FILE *file)
{
    (void)fprintf(file, "<line class=\"guess\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  rate_across(0), rate_upward(1), rate_across(1), rate_upward(0));
    (void)fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">guessing blindly</text>\n", rate_across(0.5) + 8,
                  rate_upward(0.5) - 4);
}

void sotto_statement_attack_chart(const sotto_statement *statement, FILE *file)
{
    const json_t *points = json_object_get(statement->root, "attack");
    const size_t count = json_array_size(points);
    if (count < 2)
        return;
    (void)fprintf(file,
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"attack-title attack-words\">\n"
                  "<title id=\"attack-title\">How often an attacker must miss a unit</title>\n"
                  "<desc id=\"attack-words\">A line chart with %zu points, below the straight line of blind "
                  "guessing. The table below gives each point.</desc>\n",
                  WIDTH, SIDE, count);
    put_rate_axes(file);
    put_guessing(file);
    (void)fputs("<polyline class=\"curve\" points=\"", file);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(file, "%s%.2f,%.2f", i ? " " : "",
                      rate_across(rate_at(points, i, "false_positive_rate")),
                      rate_upward(rate_at(points, i, "false_negative_rate")));
    (void)fputs("\"/>\n</svg>\n", file);
}
