/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "report/report.h"

static const char none[] = "–";

/* ----------------------------------------------------------------- figures */

const char *sotto_figure_percent(double share, char figure[SOTTO_FIGURE_SIZE])
{
    const double percent = 100 * share;
    if (!isfinite(share))
        return none;
    if (percent > 0 && percent < 0.05)
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, percent < 0.001 ? "<\u00a00.001\u00a0%%" : "%.1g\u00a0%%",
                       percent);
    else if (percent < 100 && percent >= 99.95)
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, ">\u00a099.9\u00a0%%");
    else
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, "%.1f\u00a0%%", percent);
    return figure;
}

static const char *show_score(double value, char figure[SOTTO_FIGURE_SIZE])
{
    if (!isfinite(value))
        return none;
    (void)snprintf(figure, SOTTO_FIGURE_SIZE, fabs(value) < 1e6 ? "%.3f" : "%.3g", value);
    return figure;
}

const char *sotto_figure_show(const json_t *value, sotto_show show, char figure[SOTTO_FIGURE_SIZE])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (!json_is_number(value))
        return json_is_true(value) ? "yes" : json_is_false(value) ? "no" : none;
    const double number = json_number_value(value);
    switch (show) {
    case SOTTO_SHOW_PERCENT:
    case SOTTO_SHOW_BAR:
        return sotto_figure_percent(number, figure);
    case SOTTO_SHOW_SCORE:
        return show_score(number, figure);
    case SOTTO_SHOW_COUNT:
        if (number < 0 || number >= 1e18)
            return sotto_figure_number(number, figure);
        sotto_figure_count((uint64_t)number, figure);
        return figure;
    case SOTTO_SHOW_EPSILON:
        if (number < 0)
            return none;
        sotto_figure_up(number, 4, figure);
        return figure;
    case SOTTO_SHOW_SECONDS:
        sotto_figure_seconds(number, figure);
        return figure;
    default:
        return sotto_figure_number(number, figure);
    }
}

/* ------------------------------------------------------------------ values */

static double middle_of(const json_t *interval)
{
    static const char *const keys[] = {"rate", "value", "mean", "auc", "share_closer_to_train"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const double found = sotto_record_number(interval, keys[i]);
        if (isfinite(found))
            return found;
    }
    return (double)NAN;
}

/* "8.2 %" and beneath it "7.0 to 9.4 %". */
static void put_interval(FILE *file, const json_t *interval, sotto_show show)
{
    char figure[SOTTO_FIGURE_SIZE];
    const bool shares = show == SOTTO_SHOW_INTERVAL;
    const double middle = middle_of(interval), scale = shares ? 100 : 1;
    const double low = sotto_record_number(interval, "low"), high = sotto_record_number(interval, "high");
    (void)fputs(shares ? sotto_figure_percent(middle, figure) : show_score(middle, figure), file);
    if (isfinite(low) && isfinite(high))
        (void)fprintf(file, "<span class=\"beneath\">%.*f to %.*f%s</span>", shares ? 1 : 3, scale * low,
                      shares ? 1 : 3, scale * high, shares ? "\u00a0%" : "");
}

static void put_verdict(FILE *file, const char *verdict)
{
    const bool leak = strcmp(verdict, "leak") == 0;
    (void)fprintf(file, "<span class=\"verdict%s\">", leak ? " leak" : "");
    sotto_text_put(file, *verdict ? verdict : none, true);
    (void)fputs("</span>", file);
}

void sotto_page_value(FILE *file, const json_t *value, sotto_show show)
{
    char figure[SOTTO_FIGURE_SIZE];
    const double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (show == SOTTO_SHOW_INTERVAL || show == SOTTO_SHOW_SPREAD)
        put_interval(file, value, show);
    else if (show == SOTTO_SHOW_VERDICT)
        put_verdict(file, json_is_string(value) ? json_string_value(value) : "");
    else if (show == SOTTO_SHOW_NAMES) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)fputs(i ? ", <code>" : "<code>", file);
            sotto_text_put(file, sotto_figure_show(json_array_get(value, i), show, figure), true);
            (void)fputs("</code>", file);
        }
    } else {
        const bool name = show == SOTTO_SHOW_NAME && json_is_string(value);
        (void)fputs(name ? "<code>" : "", file);
        sotto_text_put(file, sotto_figure_show(value, show, figure), true);
        (void)fputs(name ? "</code>" : "", file);
    }
    if (show == SOTTO_SHOW_BAR && isfinite(number))
        (void)fprintf(file, "<i class=\"bar\" style=\"--share:%.1f%%\"></i>", 100 * fmin(fmax(number, 0), 1));
}

/* ------------------------------------------------------------------ tables */

/* Is there a figure or a text? An interval without its middle is none. */
static bool is_there(const json_t *value, sotto_show show)
{
    if (show == SOTTO_SHOW_INTERVAL || show == SOTTO_SHOW_SPREAD)
        return isfinite(middle_of(value));
    return value && !json_is_null(value);
}

static bool is_used(const json_t *list, const sotto_page_column *column)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_there(sotto_record_get(json_array_get(list, i), column->path), column->show))
            return true;
    return false;
}

static bool is_text(sotto_show show)
{
    return show <= SOTTO_SHOW_NAMES || show == SOTTO_SHOW_VERDICT;
}

/* The looks of a cell: a figure or words, and on narrow screens nothing where there is nothing. */
static void put_looks(FILE *file, const sotto_page_column *column, bool there)
{
    (void)fprintf(file, " class=\"%s%s\"", is_text(column->show) ? "words" : "number", there ? "" : " none");
}

static void put_row(FILE *file, const json_t *list, const json_t *row, const sotto_page_column *columns,
                    size_t count)
{
    bool first = true;
    (void)fputs("<tr>", file);
    for (size_t i = 0; i < count; i++) {
        if (!is_used(list, &columns[i]))
            continue;
        const json_t *value = sotto_record_get(row, columns[i].path);
        (void)fputs(first ? "<th scope=\"row\"" : "<td", file);
        put_looks(file, &columns[i], is_there(value, columns[i].show));
        (void)fprintf(file, " data-label=\"%s\"><span>", columns[i].label);
        sotto_page_value(file, value, columns[i].show);
        (void)fprintf(file, "</span></%s>", first ? "th" : "td");
        first = false;
    }
    (void)fputs("</tr>\n", file);
}

void sotto_page_table(FILE *file, const char *caption, const json_t *list, const sotto_page_column *columns,
                      size_t count)
{
    if (json_array_size(list) == 0) {
        (void)fputs("<p>None.</p>\n", file);
        return;
    }
    (void)fputs("<div class=\"scroll\"><table class=\"wide figures\">\n", file);
    if (*caption)
        sotto_page_element(file, "caption", caption);
    (void)fputs("<thead><tr>", file);
    for (size_t i = 0; i < count; i++)
        if (is_used(list, &columns[i]))
            (void)fprintf(file, "<th scope=\"col\"%s>%s</th>",
                          is_text(columns[i].show) ? "" : " class=\"number\"", columns[i].label);
    (void)fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < json_array_size(list); i++)
        put_row(file, list, json_array_get(list, i), columns, count);
    (void)fputs("</tbody></table></div>\n", file);
}

void sotto_page_pairs(FILE *file, const json_t *object, const sotto_page_column *columns, size_t count)
{
    (void)fputs("<dl>\n", file);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = sotto_record_get(object, columns[i].path);
        if (!is_there(value, columns[i].show))
            continue;
        sotto_page_element(file, "dt", columns[i].label);
        (void)fputs("<dd>", file);
        sotto_page_value(file, value, columns[i].show);
        (void)fputs("</dd>\n", file);
    }
    (void)fputs("</dl>\n", file);
}

/* ------------------------------------------------------------- small parts */

void sotto_page_card(FILE *file, const char *figure, const char *words, bool alarm)
{
    (void)fprintf(file, "<p class=\"card%s\"><b>", alarm ? " alarm" : "");
    sotto_text_put(file, figure, true);
    (void)fputs("</b><span>", file);
    sotto_text_put(file, words, true);
    (void)fputs("</span></p>\n", file);
}

void sotto_page_section(FILE *file, const char *id, const char *title, const char *lead)
{
    (void)fprintf(file, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title);
    if (lead)
        sotto_page_element(file, "p", lead);
}

void sotto_page_section_end(FILE *file)
{
    (void)fputs("</section>\n", file);
}

void sotto_page_skipped(FILE *file, const char *what, const char *why)
{
    (void)fprintf(file, "<p class=\"skipped\">%s: ", what);
    sotto_text_put(file, *why ? why : "not in the record", true);
    (void)fputs(".</p>\n", file);
}
