/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* ------------------------------------------------------------------- errors */

static int exit_status(sotto_status status)
{
    switch (status) {
    case SOTTO_OK:
        return SOTTO_EXIT_DONE;
    case SOTTO_ERROR_INPUT:
        return SOTTO_EXIT_USAGE;
    case SOTTO_ERROR_BUDGET:
        return SOTTO_EXIT_BUDGET;
    case SOTTO_INTERRUPTED:
        return SOTTO_EXIT_INTERRUPTED;
    case SOTTO_ERROR_IO:
    case SOTTO_ERROR_MEMORY:
    case SOTTO_ERROR_NUMERIC:
    case SOTTO_ERROR_ENTROPY:
    case SOTTO_DIVERGED:
        break;
    }
    return SOTTO_EXIT_FAILED;
}

int sotto_cli_fail(const sotto_error *err)
{
    (void)fputs("sotto: ", stderr);
    if (err->file[0]) {
        sotto_text_put(stderr, err->file, false);
        if (err->line)
            (void)fprintf(stderr, ":%zu", err->line);
        if (err->line && err->column)
            (void)fprintf(stderr, ":%zu", err->column);
        (void)fputs(": ", stderr);
    }
    sotto_text_put(stderr, err->message[0] ? err->message : sotto_status_name(err->code), false);
    (void)fputc('\n', stderr);
    return exit_status(err->code);
}

int sotto_cli_usage(const char *command, const char *format, ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)fputs("sotto: ", stderr);
    sotto_text_put(stderr, message, false);
    (void)fprintf(stderr, "; see sotto %s%s--help\n", command, *command ? " " : "");
    return SOTTO_EXIT_USAGE;
}

sotto_status sotto_cli_show(const char *json, sotto_status (*form)(const char *, char **, sotto_error *),
                            bool as_json, sotto_error *err)
{
    char *text = NULL;
    if (as_json) {
        (void)fputs(json, stdout);
        return SOTTO_OK;
    }
    sotto_status status = form(json, &text, err);
    if (status == SOTTO_OK)
        (void)fputs(text, stdout);
    free(text);
    return status;
}

static bool left_out; /* from standard output, for want of memory */

int sotto_cli_finish(void)
{
    if (left_out) {
        (void)fputs("sotto: what was done is done, but memory is too short to tell of it\n", stderr);
        return SOTTO_EXIT_FAILED;
    }
    if (fflush(stdout) == 0 && !ferror(stdout))
        return SOTTO_EXIT_DONE;
    (void)fputs("sotto: cannot write to standard output; is the disk full, or the reader gone?\n", stderr);
    return SOTTO_EXIT_FAILED;
}

void sotto_cli_guard_keys(void)
{
    sotto_error err = {0};
    if (sotto_random_forbid_dumps(&err) != SOTTO_OK)
        sotto_cli_warning(err.message);
}

/* ------------------------------------------------------------------ figures */

void sotto_cli_print_json(const json_t *json)
{
    char *text = sotto_json_dump(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    left_out = left_out || !text;
    if (text)
        (void)puts(text);
    free(text);
}

json_t *sotto_cli_record(const char *text, sotto_error *err)
{
    json_t *record = sotto_json_read(text);
    if (!record)
        (void)sotto_error_set(err, SOTTO_ERROR_MEMORY,
                              "what was done is done, but memory is too short to tell of it");
    return record;
}

double sotto_cli_member(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *sotto_cli_text(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

void sotto_cli_put_balance(FILE *file, const json_t *outcome)
{
    const char *column = sotto_cli_text(outcome, "balance");
    if (!*column)
        return;
    (void)fputs("Rebalanced: each value of ", file);
    sotto_text_put(file, column, false);
    (void)fputs(" equally often.\n", file);
}

void sotto_cli_warning(const char *text)
{
    (void)fputs("sotto: warning: ", stderr);
    sotto_text_put(stderr, text, false);
    (void)fputc('\n', stderr);
}

void sotto_cli_warn_stamp(const json_t *record)
{
    const char *stamp = sotto_cli_text(record, "not_private");
    if (*stamp)
        sotto_cli_warning(stamp);
}

void sotto_cli_warn(const json_t *record)
{
    const json_t *warnings = json_object_get(record, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        sotto_cli_warning(text ? text : "");
    }
    sotto_cli_warn_stamp(record);
}
