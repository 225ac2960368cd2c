/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_H
#define SOTTO_CLI_H

/**
 * cli: the `sotto` command. One table of subcommands in main.c, one file for each. What is asked for goes to
 * standard output; progress, remarks and errors go to standard error.
 */

#include "base/base.h"
#include "report/report.h"
#include "sotto/run.h"

/** What the shell is told. */
enum {
    SOTTO_EXIT_DONE = 0,
    SOTTO_EXIT_FAILED = 1,
    SOTTO_EXIT_USAGE = 2,  /**< wrong usage, config, schema or table */
    SOTTO_EXIT_BUDGET = 3, /**< the privacy budget refuses */
    SOTTO_EXIT_INTERRUPTED = 130,
};

/** A subcommand: `argv[0]` is its name. Gives the exit status. */
typedef int sotto_command(int argc, char **argv);

sotto_command sotto_command_plan, sotto_command_train, sotto_command_sample, sotto_command_evaluate,
    sotto_command_sweep, sotto_command_report, sotto_command_account, sotto_command_schema,
    sotto_command_ledger, sotto_command_bench;

/* ------------------------------------------------------------------- errors */

/** "sotto: FILE:LINE:COLUMN: message" on standard error; the exit status that belongs to `err->code`. */
int sotto_cli_fail(const sotto_error *err);

/** A mistake on the command line: says so, points to `sotto COMMAND --help`; SOTTO_EXIT_USAGE. */
int sotto_cli_usage(const char *command, const char *format, ...) SOTTO_PRINTF(2, 3);

/** The last word of a command that printed to standard output: DONE, or FAILED where that could not be
 * written. */
int sotto_cli_finish(void);

/**
 * For a command to call before it makes keys: forbids core dumps, which would carry them, and the rows beside
 * them, to a disk. Where the system refuses, a warning: the guarantee is about release/, which a dump is no
 * part of, so the job need not fail; but whoever runs it should know.
 */
void sotto_cli_guard_keys(void);

/* ------------------------------------------------------------------ options */

typedef enum sotto_option_kind {
    SOTTO_OPTION_FLAG,   /**< `value` is a bool * */
    SOTTO_OPTION_TEXT,   /**< const char ** */
    SOTTO_OPTION_LIST,   /**< sotto_list *; may be given again and again */
    SOTTO_OPTION_NUMBER, /**< double *, finite, within the limits */
    SOTTO_OPTION_COUNT,  /**< uint64_t *, decimal digits, within the limits */
} sotto_option_kind;

typedef struct sotto_list {
    const char **items; /**< into argv */
    size_t count;
} sotto_list;

/** How the limits of a number are meant. */
typedef enum sotto_limits {
    SOTTO_LIMITS_CLOSED,   /**< low ≤ x ≤ high */
    SOTTO_LIMITS_OPEN_LOW, /**< low < x ≤ high */
    SOTTO_LIMITS_OPEN,     /**< low < x < high */
} sotto_limits;

/** One option of a command, and where its value goes. */
typedef struct sotto_option {
    const char *name; /**< without dashes; but "CONFIG" and the like for what has no name */
    sotto_option_kind kind;
    void *value;
    bool required;
    double low, high; /**< of a NUMBER or COUNT */
    sotto_limits limits;
    bool given; /**< filled in: was it there? */
} sotto_option;

/** A command's line: its options, and operands in order, the first `operands_required` of which must be
 * there. */
typedef struct sotto_usage {
    const char *command; /**< "account epsilon" */
    const char *help;    /**< what --help prints */
    sotto_option *options;
    size_t option_count;
    const char *const *operand_names;
    size_t operand_count, operands_required;
} sotto_usage;

/** sotto_cli_parse: go on. */
#define SOTTO_CLI_GO_ON (-1)

/**
 * Read a command's line. `operands` has `usage->operand_count` places; absent ones become NULL. Lists point
 * into memory that `sotto_cli_release` frees, to be called in each case.
 * \return SOTTO_CLI_GO_ON; or the exit status with which to end, all being said
 */
int sotto_cli_parse(sotto_usage *usage, int argc, char **argv, const char **operands);
void sotto_cli_release(sotto_usage *usage);

/** A decimal number, all of it: finite, and not lost to over- or underflow. NULL, or what is wrong with it.
 */
const char *sotto_cli_number(const char *text, double *value);

/* ------------------------------------------------------------------ figures */

/** Print JSON as all of sotto does: two blanks, 17 digits, a newline. */
void sotto_cli_print_json(const json_t *json);

/** Print a record's text as it stands, whose figures were written with 17 digits, or in the form for people.
 */
sotto_status sotto_cli_show(const char *json,
                            sotto_status (*form)(const char *json, char **text, sotto_error *err),
                            bool as_json, sotto_error *err);

/** Parse a record that the run room made. NULL, with `err` filled, where that fails. */
json_t *sotto_cli_record(const char *text, sotto_error *err);

/** A member of a record: NaN, "" or an empty list where there is none such. */
double sotto_cli_member(const json_t *record, const char *key);
const char *sotto_cli_text(const json_t *record, const char *key);

/** A line that says so, where the outcome's rows are rebalanced. */
void sotto_cli_put_balance(FILE *file, const json_t *outcome);

/** "sotto: warning: TEXT" on standard error. */
void sotto_cli_warning(const char *text);

/** The NOT PRIVATE stamp of a record, where it has one, as a warning. */
void sotto_cli_warn_stamp(const json_t *record);

/** Warnings of a record, and its stamp. */
void sotto_cli_warn(const json_t *record);

/* ----------------------------------------------------------------- stopping */

/** SIGINT and SIGTERM ask to stop, and say so; the second one ends the process. */
void sotto_cli_catch_signals(void);

/** For the `stop` of run and sample options; the context is not looked at. */
bool sotto_cli_stop_asked(void *context);

/* ----------------------------------------------------------------- progress */

/** A progress bar on a terminal, a plain line for each tenth elsewhere; on standard error. */
typedef struct sotto_bar {
    bool terminal;
    bool open; /**< a bar stands on the line */
    double drawn_at;
    char phase[32]; /**< of the last call */
    unsigned tenths;
} sotto_bar;

void sotto_bar_start(sotto_bar *bar);

/** For `sotto_run_options.progress`; `bar` is the context. */
void sotto_bar_show(void *bar, const sotto_progress *progress);

/** End the bar's line. */
void sotto_bar_finish(sotto_bar *bar);

/** One line of at most `width` columns, without a newline; apart for the tests. */
void sotto_bar_compose(const sotto_progress *progress, size_t width, char *line, size_t size);

#endif
