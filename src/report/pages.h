/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_REPORT_PAGES_H
#define SOTTO_REPORT_PAGES_H

/**
 * What the private pages are made of: records checked by rules, pictures drawn by gnuplot, parts of pages.
 * What the statement uses too: figures and texts. Part of report.h, which includes it.
 */

#include <jansson.h>

#include "base/base.h"

/* ----------------------------------------------------------------- figures */

enum { SOTTO_FIGURE_SIZE = 40 /**< bytes that every figure below fits into */ };

/** A privacy figure for people: `value` ≥ 0 rounded up to `digits` (1 to 15) significant digits; "∞". */
void sotto_figure_up(double value, int digits, char text[SOTTO_FIGURE_SIZE]);

/** The same for what nothing may be below: rounded down. */
void sotto_figure_down(double value, int digits, char text[SOTTO_FIGURE_SIZE]);

/** A number by the fewest digits that read back as the same double: "0.1", "1e-5". */
void sotto_figure_exact(double value, char text[SOTTO_FIGURE_SIZE]);

/** A whole number with its thousands apart: "100,000". */
void sotto_figure_count(uint64_t value, char text[SOTTO_FIGURE_SIZE]);

/** A time span for people: "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h". Below 10 s with one decimal. */
void sotto_figure_seconds(double seconds, char text[SOTTO_FIGURE_SIZE]);

/** A chance in (0, 1) as "1 in 100,000", never made smaller than it is. */
void sotto_figure_chance(double chance, char text[SOTTO_FIGURE_SIZE]);

/**
 * Print UTF-8 text of unknown origin: control characters, text-direction overrides and what is not UTF-8
 * become U+FFFD, so that it can neither steer a terminal nor reorder what is read; blanks and newlines become
 * one blank each. With `markup`, & < > " ' are escaped for HTML.
 */
void sotto_text_put(FILE *file, const char *text, bool markup);

/** Columns that UTF-8 text takes on a terminal, one for each character. */
size_t sotto_text_width(const char *text);

/* ------------------------------------------------------------------ records */

/** What a value must be. */
typedef enum sotto_value_kind {
    SOTTO_VALUE_TEXT,
    SOTTO_VALUE_NUMBER,
    SOTTO_VALUE_POSITIVE,     /**< a number ≥ 0 */
    SOTTO_VALUE_SHARE,        /**< in [0, 1], but for rounding */
    SOTTO_VALUE_SIGNED_SHARE, /**< in [-1, 1] */
    SOTTO_VALUE_COUNT,        /**< a whole number, 0 to 2^53 */
    SOTTO_VALUE_LIST,
    SOTTO_VALUE_OBJECT,
    SOTTO_VALUE_SCALAR, /**< number, text, true, false or null */
} sotto_value_kind;

/**
 * One rule of a record. A path is keys joined by dots; `[]` after a key stands for each item of its list, and
 * `?` lets the rule rest where the value is absent, null or an object with a text under "skipped".
 */
typedef struct sotto_rule {
    const char *path;
    sotto_value_kind kind;
    bool open; /**< may be absent or null; shown as "–" */
} sotto_rule;

/** A JSON text; no error quotes it. `name` stands for the file in errors. Release by `json_decref`. */
sotto_status sotto_record_load(const char *name, const char *text, json_t **root, sotto_error *err);

/** Hold a value against rules; the error names the key at fault. */
sotto_status sotto_record_check(const json_t *root, const char *name, const sotto_rule *rules, size_t count,
                                sotto_error *err);

/** Both, for a record of this format, which has also the key "not_private". `*root` is NULL after a failure.
 */
sotto_status sotto_record_parse(json_t **root, const char *name, const char *text, const char *format,
                                const sotto_rule *rules, size_t count, sotto_error *err);

/** The value under a path of keys, NULL where there is none; as number (NaN) and as text (""). */
const json_t *sotto_record_get(const json_t *here, const char *path);
double sotto_record_number(const json_t *here, const char *path);
const char *sotto_record_text(const json_t *here, const char *path);

/** Why a part is not there: "" where it is null or absent, its "skipped"; NULL where it is there. */
const char *sotto_record_skipped(const json_t *part);

/** Is this a list of `rows`, each (where `columns` is not 0) a list of `columns`? */
bool sotto_record_fits(const json_t *list, size_t rows, size_t columns);

/* ------------------------------------------------------------------ gnuplot */

/** What a colour means; the style sheet has one for each, in either scheme. */
typedef enum sotto_role {
    SOTTO_ROLE_AXIS = 1,
    SOTTO_ROLE_GRID,
    SOTTO_ROLE_INK,
    SOTTO_ROLE_REAL,
    SOTTO_ROLE_SYNTHETIC,
    SOTTO_ROLE_CONTROL,
    SOTTO_ROLE_BASELINE,
    SOTTO_ROLE_ALARM,
    SOTTO_ROLE_PLUS,
    SOTTO_ROLE_MINUS,
    SOTTO_ROLE_SERIES, /**< the first of six */
    SOTTO_ROLE_COUNT = SOTTO_ROLE_SERIES + 6
} sotto_role;

enum { SOTTO_ROLE_MARK = 0x5A /**< the blue of every colour that is a role in disguise */ };

/** The role's name in the style sheet, without "--". */
const char *sotto_role_name(sotto_role role);

/** A role and an opacity from 0 to 1 as the 24-bit colour under which it goes through gnuplot. */
unsigned sotto_role_colour(sotto_role role, double opacity);

/** The gnuplot of PATH, the caller's to free; NULL where there is none. */
char *sotto_plot_find(void);

/** What gnuplot says to a script, within half a minute; the caller's to free; NULL where it fails. */
char *sotto_plot_run(const char *program, const char *script);

/** The inside of the next <svg> in `answer`; where to look for one more, or NULL where there is none. */
const char *sotto_plot_take(const char *answer, const char **begin, const char **end);

/**
 * Write the inside of an <svg> again: known shapes, harmless attributes, the style sheet's colours, and for
 * each token "Q12Q" the escaped label of that number. \return false where it is not well-formed
 */
bool sotto_plot_put(FILE *file, const char *begin, const char *end, const char *const *labels, size_t count);

/* --------------------------------------------------------------- page parts */

#define SOTTO_PAGE_NOTICE                                                                                    \
    "Computed from real data without noise; no guarantee covers it. Keep it inside, never release it."

/** One picture of a page: from `begin` to `end` stands its figure, and at `at` in there goes the SVG. */
typedef struct sotto_picture {
    size_t begin, at, end;
    int width, height;
    char *title, *words;
} sotto_picture;

/** A page being written; all pictures are drawn by one gnuplot when it is closed. */
typedef struct sotto_page {
    const json_t *root;
    FILE *file;   /**< HTML */
    FILE *script; /**< gnuplot; holds no text of the record, only tokens for it */
    char *text, *commands;
    size_t size, length;
    sotto_picture *pictures;
    size_t picture_count;
    char **labels;
    size_t label_count;
    size_t note_at; /**< where it is said that pictures are missing; 0: nowhere */
    bool failed;    /**< memory was short */
} sotto_page;

/** A page's first lines, up to <body>; of a private page with what that adds to the style sheet. */
void sotto_page_head(FILE *file, const char *title, const char *date, bool not_private, bool private_page);

/** The banner over a run that is not private; nothing where `not_private` is NULL. */
void sotto_page_banner(FILE *file, const char *not_private);

/** An element with escaped text. `name` may have attributes. */
void sotto_page_element(FILE *file, const char *name, const char *text);

/** Begin a private page; it stands in the paragraph that says who made it. */
sotto_status sotto_page_open(sotto_page *page, const json_t *root, const char *title, sotto_error *err);

/** Here, before the first picture, it is said where pictures are missing. */
void sotto_page_note(sotto_page *page);

/** Draw, put together and free; `*html` is the caller's to free. */
sotto_status sotto_page_close(sotto_page *page, const char *format, char **html, sotto_error *err);
void sotto_page_abandon(sotto_page *page);

typedef struct sotto_legend {
    sotto_role role;
    const char *label;
    bool dashed;
} sotto_legend;

/** Begin a figure; its gnuplot commands go to the stream returned. `words` say what is to be seen. */
FILE *sotto_page_figure(sotto_page *page, int width, int height, const char *title, const char *words);

/** End it by its caption ("" for none) and legend, which stand above the picture. */
void sotto_page_figure_end(sotto_page *page, const char *caption, const sotto_legend *legend, size_t count);

/** Write to the script, in quotes, a token that stands for text of unknown origin, cut to `most` characters.
 */
void sotto_page_label(sotto_page *page, const char *text, size_t most);

/** How a value is shown. */
typedef enum sotto_show {
    SOTTO_SHOW_TEXT,
    SOTTO_SHOW_NAME,     /**< fixed-width */
    SOTTO_SHOW_NAMES,    /**< a list of names */
    SOTTO_SHOW_PERCENT,  /**< of a share */
    SOTTO_SHOW_BAR,      /**< the same with a bar */
    SOTTO_SHOW_NUMBER,   /**< four digits */
    SOTTO_SHOW_SCORE,    /**< three decimals */
    SOTTO_SHOW_COUNT,    /**< 12,345 */
    SOTTO_SHOW_EPSILON,  /**< rounded up */
    SOTTO_SHOW_SECONDS,  /**< a time span */
    SOTTO_SHOW_INTERVAL, /**< {rate or value or mean, low, high}, shares: percent, the interval beneath */
    SOTTO_SHOW_SPREAD,   /**< {mean, low, high}: three decimals */
    SOTTO_SHOW_VERDICT,  /**< a text with the look of a verdict */
} sotto_show;

/** One column of a table: a path within each row's object. */
typedef struct sotto_page_column {
    const char *label, *path;
    sotto_show show;
} sotto_page_column;

/** A figure as text, "–" where it is null or absent; `figure` lends the room. Not for names, intervals. */
const char *sotto_figure_show(const json_t *value, sotto_show show, char figure[SOTTO_FIGURE_SIZE]);
const char *sotto_figure_percent(double share, char figure[SOTTO_FIGURE_SIZE]);
const char *sotto_figure_number(double value, char figure[SOTTO_FIGURE_SIZE]);

/** A value as HTML. */
void sotto_page_value(FILE *file, const json_t *value, sotto_show show);

/** A table of a list of objects; columns in which no row has a value are left out. Rows become blocks on
 * narrow screens. */
void sotto_page_table(FILE *file, const char *caption, const json_t *list, const sotto_page_column *columns,
                      size_t count);

/** The same for one object, as label and value. */
void sotto_page_pairs(FILE *file, const json_t *object, const sotto_page_column *columns, size_t count);

/** A card of a summary. */
void sotto_page_card(FILE *file, const char *figure, const char *words, bool alarm);

/** Begin and end a section; in the contents it goes by `id`. */
void sotto_page_section(FILE *file, const char *id, const char *title, const char *lead);
void sotto_page_section_end(FILE *file);

/** "Skipped: why". */
void sotto_page_skipped(FILE *file, const char *what, const char *why);

/* ----------------------------------------------------------------- pictures */

/** Where a point lies; its whiskers along y, or along x in rows of dots. Not finite: none. */
typedef struct sotto_point {
    double x, y, low, high;
} sotto_point;

typedef enum sotto_draw {
    SOTTO_DRAW_LINE = 1,
    SOTTO_DRAW_DOTS = 2,
    SOTTO_DRAW_WHISKERS = 4,
    SOTTO_DRAW_STEPS = 8,
    SOTTO_DRAW_FILL = 16,
    SOTTO_DRAW_DASHED = 32,
} sotto_draw;

typedef struct sotto_series {
    sotto_role role;
    unsigned style; /**< of sotto_draw */
    const sotto_point *points;
    size_t count;
} sotto_series;

typedef struct sotto_tick {
    double at;
    const char *label;
} sotto_tick;

/** Lines, steps, bars and dots over one axis. `low` = `high`: the points decide. */
typedef struct sotto_chart {
    const char *title, *words, *x_label;
    const char *y_format; /**< gnuplot's, of our own text; NULL: plain */
    int width, height;
    bool x_log, from_zero; /**< the y axis begins at 0 */
    double x_low, x_high, y_low, y_high;
    const sotto_tick *ticks; /**< of the x axis; none: gnuplot's */
    size_t tick_count;
    const char *ends[3]; /**< instead of ticks: labels at the left, in the middle and at the right; or NULL */
    const sotto_series *series;
    size_t series_count;
} sotto_chart;

/** Rows of dots with whiskers, each below its label; each series has one point for each row. */
typedef struct sotto_dots {
    const char *title, *words, *format;
    const char *const *labels;
    size_t rows;
    const sotto_series *series;
    size_t series_count;
    double low, high;
} sotto_dots;

/** A square of cells, count × count, the stronger the farther from 0; `most` has full strength. */
typedef struct sotto_heat {
    const char *title, *words;
    const char *const *labels;
    const double *values;
    size_t count;
    double most;
} sotto_heat;

/** Each begins a figure, to be ended by the caller; false, and nothing begun, where there is nothing to draw.
 */
bool sotto_picture_lines(sotto_page *page, const sotto_chart *chart);
bool sotto_picture_bars(sotto_page *page, const char *title, const char *words, const char *const *labels,
                        const double *pairs, size_t rows);
bool sotto_picture_dots(sotto_page *page, const sotto_dots *dots);
bool sotto_picture_heat(sotto_page *page, const sotto_heat *heat);

/* ------------------------------------------------------------ private pages */

/** Parse and check; release by `json_decref`. */
sotto_status sotto_evaluation_parse(json_t **root, const char *name, const char *text, sotto_error *err);
sotto_status sotto_sweep_parse(json_t **root, const char *name, const char *text, sotto_error *err);

/** The sections of an evaluation's page. */
void sotto_page_fidelity(sotto_page *page);
void sotto_page_utility(sotto_page *page);
void sotto_page_attacks(sotto_page *page);

/** The section about training, of a run's metrics.json (may be NULL); whether there is one. */
void sotto_page_training(sotto_page *page, const json_t *metrics);
bool sotto_page_has_training(const json_t *metrics);

/** The charts of a sweep's page, and settings in words ("model.kind gan"), the caller's to free. */
void sotto_page_sweep_charts(sotto_page *page);
char *sotto_sweep_settings(const json_t *settings, bool with_epsilon);

/** What a sentence about an evaluation is for. */
typedef enum sotto_advice {
    SOTTO_ADVICE_GOOD,
    SOTTO_ADVICE_SHORT, /**< fell short */
    SOTTO_ADVICE_NEXT   /**< what to do */
} sotto_advice;

/**
 * Say by rule, and from the figures alone, what is good, what fell short and what to do next: `tell` gets one
 * sentence at a time, which holds text of the record. Nothing is ever called safe.
 */
void sotto_advice_give(const json_t *evaluation,
                       void (*tell)(void *to, sotto_advice kind, const char *sentence), void *to);

/** Of all models' results the one that did best on real data, and its figures: NULL where there is none. */
const char *sotto_utility_measure(const json_t *utility);
double sotto_utility_score(const json_t *utility, const char *model, const char *trained_on);
const char *sotto_utility_best(const json_t *utility);

/** Set text into lines of at most 80 columns, begun by `indent` blanks; and "label  value". */
void sotto_text_paragraph(FILE *file, size_t indent, const char *text);
void sotto_text_pair(FILE *file, size_t indent, size_t label_width, const char *label, const char *value);

/** An item of a list: its first line begins by a dash, the others hang below. */
void sotto_text_item(FILE *file, const char *text);

/** The lines above what is not private; nothing where `not_private` is NULL. */
void sotto_text_banner(FILE *file, const char *not_private);

#endif
