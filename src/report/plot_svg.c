/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* What gnuplot wrote is not trusted: its SVG is taken apart, and only known shapes with known attributes of
 * harmless characters are written again. Colours become the style sheet's, labels come back in for their
 * tokens. */

typedef struct tag {
    const char *name, *attributes; /* where the text of the attributes begins */
    size_t length;                 /* of the name */
    bool closes, alone;            /* </x>, <x/> */
    const char *end;               /* behind the > */
} tag;

/* ------------------------------------------------------------------ taking */

/* The tag at `at`; false where none is whole before the end of the text. */
static bool take_tag(const char *at, tag *found)
{
    found->closes = at[1] == '/';
    found->name = at + 1 + found->closes;
    found->length = strcspn(found->name, " \t\r\n/>");
    found->attributes = found->name + found->length;
    char quote = '\0';
    for (at = found->attributes; *at && (quote || *at != '>'); at++) {
        if (quote && *at == quote)
            quote = '\0';
        else if (!quote && (*at == '"' || *at == '\''))
            quote = *at;
    }
    if (!*at)
        return false;
    found->alone = at[-1] == '/';
    found->end = at + 1;
    return true;
}

static bool is_named(const tag *found, const char *name)
{
    return strlen(name) == found->length && strncmp(found->name, name, found->length) == 0;
}

static bool is_same(const tag *opening, const tag *closing)
{
    return opening->length == closing->length && strncmp(opening->name, closing->name, opening->length) == 0;
}

/* The next `name = 'value'` before `end`; the value's length in `length`. */
static bool take_attribute(const char **at, const char *end, char name[32], const char **value,
                           size_t *length)
{
    const char *from = *at;
    while (from < end && !isalpha((unsigned char)*from))
        from++;
    const size_t letters = strspn(from, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:_");
    if (from >= end || letters >= 32)
        return false;
    memcpy(name, from, letters);
    name[letters] = '\0';
    from += letters;
    from += strspn(from, " \t\r\n=");
    if (from >= end || (*from != '"' && *from != '\''))
        return false;
    *value = from + 1;
    const char *close = strchr(*value, *from);
    if (!close || close >= end)
        return false;
    *length = (size_t)(close - *value);
    *at = close + 1;
    return true;
}

/* ----------------------------------------------------------------- colours */

static const char *const role_names[SOTTO_ROLE_COUNT] = {
    "ink",  "axis",  "grid",     "ink",      "real",     "synthetic", "control",  "baseline", "limit",
    "plus", "minus", "series-1", "series-2", "series-3", "series-4",  "series-5", "series-6"};

const char *sotto_role_name(sotto_role role)
{
    return role_names[role < SOTTO_ROLE_COUNT ? role : SOTTO_ROLE_INK];
}

unsigned sotto_role_colour(sotto_role role, double opacity)
{
    const unsigned percent = opacity >= 1 ? 100 : opacity > 0 ? (unsigned)(opacity * 100 + 0.5) : 0;
    return (unsigned)role << 16 | percent << 8 | SOTTO_ROLE_MARK;
}

/* Our colours are roles in disguise; every other one becomes that of an axis. */
static void put_colour(FILE *file, const char *property, const char *value, size_t length)
{
    unsigned role = 0, percent = 0, mark = 0;
    char text[40];
    if (length >= sizeof text || (length == 12 && strncmp(value, "currentColor", length) == 0))
        return;
    memcpy(text, value, length);
    text[length] = '\0';
    if (strcmp(text, "none") == 0)
        (void)fprintf(file, "%s:none;", property);
    else if (strcmp(text, "white") == 0 || strcmp(text, "black") == 0)
        (void)fprintf(file, "%s:var(--%s);", property, *text == 'w' ? "paper" : "ink");
    else if ((sscanf(text, "rgb( %u , %u , %u", &role, &percent, &mark) == 3 ||
              sscanf(text, "#%2x%2x%2x", &role, &percent, &mark) == 3) &&
             mark == SOTTO_ROLE_MARK && role < SOTTO_ROLE_COUNT && percent <= 100) {
        (void)fprintf(file, "%s:var(--%s);", property, role_names[role]);
        if (percent < 100)
            (void)fprintf(file, "%s-opacity:%.2f;", property, percent / 100.0);
    } else
        (void)fprintf(file, "%s:var(--axis);", property);
}

/* -------------------------------------------------------------- attributes */

static bool is_harmless(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)value[i]) && !strchr(" .,()+-\n\t", value[i]))
            return false;
    return true;
}

static void put_attributes(FILE *file, const tag *found)
{
    static const char *const known[] = {"transform",
                                        "d",
                                        "points",
                                        "x",
                                        "y",
                                        "width",
                                        "height",
                                        "x1",
                                        "y1",
                                        "x2",
                                        "y2",
                                        "cx",
                                        "cy",
                                        "r",
                                        "stroke-width",
                                        "stroke-linecap",
                                        "stroke-linejoin",
                                        "stroke-dasharray",
                                        "text-anchor",
                                        "font-size",
                                        "shape-rendering"};
    const char *at = found->attributes, *value;
    char name[32];
    size_t length;
    bool seen[sizeof known / sizeof *known] = {false};
    while (take_attribute(&at, found->end, name, &value, &length))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (!seen[i] && strcmp(name, known[i]) == 0 && is_harmless(value, length)) {
                (void)fprintf(file, " %s=\"%.*s\"", name, (int)length, value);
                seen[i] = true;
            }
}

static void put_style(FILE *file, const tag *found)
{
    const char *at = found->attributes, *value;
    char name[32], *style = NULL;
    size_t length, size;
    FILE *text = sotto_memory_open(&style, &size);
    if (!text)
        return;
    while (take_attribute(&at, found->end, name, &value, &length))
        if (strcmp(name, "fill") == 0 || strcmp(name, "stroke") == 0)
            put_colour(text, name, value, length);
    if (fclose(text) == 0 && size > 0)
        (void)fprintf(file, " style=\"%s\"", style);
    free(style);
}

static const char *point_shape(unsigned kind)
{
    return kind == 4    ? "M-1,-1H1V1H-1Z"
           : kind == 12 ? "M0,-1.3L1.3,0L0,1.3L-1.3,0Z"
                        : "M-1,0A1,1 0 1 1 1,0A1,1 0 1 1 -1,0Z";
}

/* A point is a reference to a shape; we write the shape: filled or hollow circle, filled square or diamond.
 * Dots, which are of no size, go. */
static void put_point(FILE *file, const tag *found)
{
    const char *at = found->attributes, *value, *place = "", *colour = "";
    char name[32];
    unsigned kind = 0;
    size_t length, place_length = 0, colour_length = 0;
    while (take_attribute(&at, found->end, name, &value, &length)) {
        if (strcmp(name, "transform") == 0 && is_harmless(value, length)) {
            place = value;
            place_length = length;
        } else if (strcmp(name, "color") == 0) {
            colour = value;
            colour_length = length;
        } else if (strcmp(name, "xlink:href") == 0 && strncmp(value, "#gpPt", 5) == 0)
            kind = (unsigned)strtoul(value + 5, NULL, 10);
    }
    if (!kind)
        return;
    (void)fprintf(file, "<path transform=\"%.*s\" d=\"%s\" style=\"", (int)place_length, place,
                  point_shape(kind));
    put_colour(file, kind == 5 ? "stroke" : "fill", colour, colour_length);
    (void)fprintf(file, "%s\"/>\n", kind == 5 ? "fill:var(--paper);stroke-width:.45" : "stroke:none");
}

/* ------------------------------------------------------------------- texts */

/* Numbers as gnuplot formats them; for a token "Q012QQQ" the label of that number. */
static void put_words(FILE *file, const char *from, const char *end, const char *const *labels, size_t count)
{
    while (from < end && isspace((unsigned char)*from))
        from++;
    if (from < end && *from == 'Q') {
        const size_t index = (size_t)strtoul(from + 1, NULL, 10);
        if (index < count)
            sotto_text_put(file, labels[index], true);
        return;
    }
    for (; from < end; from++)
        if (isdigit((unsigned char)*from) || strchr(" .,%e+-", *from))
            (void)fputc(*from, file);
}

/* ---------------------------------------------------------------- pictures */

static bool is_shape(const tag *found)
{
    static const char *const shapes[] = {"g",    "path", "polygon", "polyline", "line",
                                         "rect", "text", "tspan",   "circle"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (is_named(found, shapes[i]))
            return true;
    return false;
}

static void put_shape(FILE *file, const tag *found)
{
    (void)fprintf(file, "<%.*s", (int)found->length, found->name);
    put_attributes(file, found);
    put_style(file, found);
    (void)fputs(found->alone ? "/>" : ">", file);
}

/* Everything inside one <svg>: unknown elements go with all that is in them. False where tags do not pair. */
static bool put_inside(FILE *file, const char *at, const char *end, const char *const *labels, size_t count)
{
    enum { DEPTH = 32 };
    tag found, open[DEPTH];
    size_t depth = 0, hidden = 0;
    while (at < end) {
        const char *next = memchr(at, '<', (size_t)(end - at));
        if (!hidden)
            put_words(file, at, next ? next : end, labels, count);
        if (!next)
            break;
        if (!take_tag(next, &found) || found.end > end)
            return false;
        at = found.end;
        if (hidden || *found.name == '!' || *found.name == '?') { /* a hidden element's, or no element */
            hidden += !hidden ? 0 : found.closes ? (size_t)-1 : !found.alone;
            continue;
        }
        if (found.closes) {
            if (depth == 0 || !is_same(&open[--depth], &found))
                return false;
            (void)fprintf(file, "</%.*s>\n", (int)found.length, found.name);
        } else if (is_named(&found, "use"))
            put_point(file, &found);
        else if (is_shape(&found)) {
            if (depth == DEPTH)
                return false;
            put_shape(file, &found);
            open[depth] = found;
            depth += !found.alone;
        } else
            hidden += !found.alone;
    }
    return depth == 0 && hidden == 0;
}

const char *sotto_plot_take(const char *answer, const char **begin, const char **end)
{
    tag opening;
    const char *at = strstr(answer, "<svg");
    if (!at || !take_tag(at, &opening) || !is_named(&opening, "svg") || opening.alone)
        return NULL;
    *begin = opening.end;
    *end = strstr(*begin, "</svg>");
    return *end ? *end + strlen("</svg>") : NULL;
}

bool sotto_plot_put(FILE *file, const char *begin, const char *end, const char *const *labels, size_t count)
{
    return put_inside(file, begin, end, labels, count);
}
