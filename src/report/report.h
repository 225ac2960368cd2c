/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_REPORT_H
#define SOTTO_REPORT_H

/**
 * report: records for people.
 *
 *     privacy.json ─► statement (checked) ─► HTML, the page that a data protection officer files
 *                                         └► text, the same on a terminal
 *     evaluation.json, sweep.json ─► record (checked) ─► page ─► HTML, with pictures that gnuplot draws;
 * private └► text in short
 *
 * It formats and never computes a privacy figure: each ε, δ and σ on the page is one of the record. Only what
 * ε means as odds, e^ε, is spelled out here. docs/records.md lists the record's keys.
 *
 * Everything in the record is taken for hostile text: checked for presence, type and range, escaped, and
 * stripped of control and text-direction characters. No error quotes a value of it.
 */

#include "base/base.h"
#include "report/pages.h"

/** What `"format"` must say. Its number changes when the meaning of a key does. */
#define SOTTO_STATEMENT_FORMAT "sotto privacy statement 1"

/**
 * The statement as one HTML page: no scripts, nothing loaded, well-formed as XML too; caller frees `*html`.
 * \param privacy_json_text NUL-terminated
 * \return SOTTO_ERROR_INPUT with line, or the key at fault, where the text is no such record;
 * SOTTO_ERROR_MEMORY
 */
sotto_status sotto_report_html(const char *privacy_json_text, char **html, sotto_error *err);

/** The statement as plain text of at most 80 columns; as above. */
sotto_status sotto_report_text(const char *privacy_json_text, char **text, sotto_error *err);

/**
 * Read `release/privacy.json` of a run directory and write `release/privacy.html` beside it, whole or not at
 * all, mode 0644. Errors as above, and SOTTO_ERROR_IO.
 */
sotto_status sotto_report_write(const char *run_directory, sotto_error *err);

/** The text of `release/privacy.json` of a run directory; caller frees. SOTTO_ERROR_INPUT where there is
 * none. */
sotto_status sotto_report_read(const char *run_directory, char **privacy_json_text, sotto_error *err);

/* ------------------------------------------------------------------ pages */

/** What `"format"` of the two private records must say. */
#define SOTTO_REPORT_EVALUATION_FORMAT "sotto evaluation 1"
#define SOTTO_REPORT_SWEEP_FORMAT      "sotto sweep 1"

/**
 * An evaluation as one HTML page: no scripts, nothing loaded, well-formed as XML too; caller frees `*html`.
 * gnuplot, where PATH has it, draws the pictures; without it the page says so and its tables are whole. The
 * page is computed from real data and says that it is to be kept inside. \param evaluation_json,
 * metrics_json, privacy_json NUL-terminated records; the last two of the run that made the synthetic table,
 * or NULL \return SOTTO_ERROR_INPUT with line, or the key at fault, where a text is no such record;
 * SOTTO_ERROR_MEMORY
 */
sotto_status sotto_report_evaluation_html(const char *evaluation_json, const char *metrics_json,
                                          const char *privacy_json, char **html, sotto_error *err);

/** The same in short, as plain text of at most 80 columns. */
sotto_status sotto_report_evaluation_text(const char *evaluation_json, char **text, sotto_error *err);

/** A sweep as a page, and in short; as above. */
sotto_status sotto_report_sweep_html(const char *sweep_json, char **html, sotto_error *err);
sotto_status sotto_report_sweep_text(const char *sweep_json, char **text, sotto_error *err);

/**
 * Read DIRECTORY/evaluation.json (and, where DIRECTORY is the private/ of a run, metrics.json beside it and
 * ../release/privacy.json) and write DIRECTORY/report.html, whole or not at all, mode 0600. Errors as above,
 * and SOTTO_ERROR_IO.
 */
sotto_status sotto_report_evaluation_write(const char *directory, sotto_error *err);

/** Read DIRECTORY/sweep.json and write DIRECTORY/sweep.html in the same way. */
sotto_status sotto_report_sweep_write(const char *directory, sotto_error *err);

/* --------------------------------------------------------------- statement */

/** What a field of the record holds, and so how it is checked and shown. */
typedef enum sotto_field_kind {
    SOTTO_FIELD_TEXT,    /**< text */
    SOTTO_FIELD_NAME,    /**< text that is a name or a hash: shown in a fixed-width face */
    SOTTO_FIELD_EPSILON, /**< ≥ 0, finite */
    SOTTO_FIELD_DELTA,   /**< in (0, 1) */
    SOTTO_FIELD_RATE,    /**< in [0, 1] */
    SOTTO_FIELD_LEAST,   /**< ≥ 0, finite: what something is no smaller than */
    SOTTO_FIELD_NUMBER,  /**< ≥ 0, finite */
    SOTTO_FIELD_COUNT,   /**< a whole number, 0 to 2^53 */
} sotto_field_kind;

typedef struct sotto_field {
    const char *key, *label;
    sotto_field_kind kind;
    bool beneath;     /**< in a table: stands in the cell of the field before it, below that one's text */
    const char *when; /**< demanded and shown only where the first field has this text; NULL: always */
} sotto_field;

/** As `when`: demanded everywhere, but may be null, and is then not shown. */
#define SOTTO_UNLESS_NULL ""

/** As `when`: may be null or absent, and is then not shown. */
#define SOTTO_WHERE_GIVEN "?"

typedef enum sotto_section_shape {
    SOTTO_SECTION_FIELDS, /**< an object with `fields` */
    SOTTO_SECTION_TABLE,  /**< a list of objects with `fields` */
    SOTTO_SECTION_LIST,   /**< a list of texts */
    SOTTO_SECTION_TEXT,   /**< one text */
} sotto_section_shape;

/** One section of the statement: a key of the record, and a section of the page. */
typedef struct sotto_section {
    const char *key, *title;
    const char *lead; /**< a sentence for people before the figures; may be NULL */
    sotto_section_shape shape;
    const sotto_field *fields;
    size_t field_count;
} sotto_section;

/** All sections in the order of reading. What is listed here is demanded of the record and shown by every
 * form.
 */
const sotto_section *sotto_statement_sections(size_t *count);

/** Is the field demanded of this object, and shown? */
bool sotto_statement_has(const sotto_section *section, size_t field, const json_t *object);

/** A record that was checked against all sections: reading it cannot fail. */
typedef struct sotto_statement {
    json_t *root;
    const char *not_private; /**< NULL, or why nothing here is private */
    const char *made_by, *date, *sentence;
    double epsilon, delta, target_epsilon;
} sotto_statement;

/** Parse and check; `name` stands for the file in errors. Release with `sotto_statement_release`. */
sotto_status sotto_statement_parse(sotto_statement *statement, const char *name, const char *text,
                                   sotto_error *err);
void sotto_statement_release(sotto_statement *statement);

/** The value of one section, of the shape that the section declares. */
const json_t *sotto_statement_get(const sotto_statement *statement, const sotto_section *section);

/** A field's value as text for people. Whole numbers stand as they are; others have six digits and are
 * rounded up, bounds from below down, so that no promise looks better than it is: the record is exact.
 * `figure` lends the room for a number. */
const char *sotto_statement_figure(sotto_field_kind kind, const json_t *value,
                                   char figure[SOTTO_FIGURE_SIZE]);

/** A sentence below a section's figures, where they want one; or NULL. */
const char *sotto_statement_note(const sotto_statement *statement, const sotto_section *section);

/** "about 2.72 times": e^ε rounded up, in words that fit any size of ε. */
void sotto_statement_odds(double epsilon, char text[SOTTO_FIGURE_SIZE]);

/** How sure, in percent and rounded up, an even guess can become under pure ε: 100·e^ε/(1 + e^ε). */
double sotto_statement_posterior(double epsilon);

/** The page and the text, to a stream whose errors are the caller's to check. */
void sotto_statement_html(const sotto_statement *statement, FILE *file);
void sotto_statement_text(const sotto_statement *statement, FILE *file);

/** The ε(δ) curve as an SVG element, points in the record's order; nothing where the record has fewer than
 * two points. */
void sotto_statement_chart(const sotto_statement *statement, FILE *file);

/** The trade-off between an attacker's two kinds of error, in the same way. */
void sotto_statement_attack_chart(const sotto_statement *statement, FILE *file);

/** The page's style sheet, what private pages add (colours, parts), and after them what differs on narrow
 * screens and on paper. */
extern const char sotto_report_style[], sotto_report_style_roles[], sotto_report_style_pages[],
    sotto_report_style_media[];

#endif
