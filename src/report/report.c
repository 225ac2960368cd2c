/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/report.h"

enum { RECORD_LIMIT = 64 << 20 /* bytes; a record has a few kilobytes, metrics a few megabytes */ };

typedef void form(const sotto_statement *statement, FILE *file);

/* Parse, then let `write` fill a stream in memory. */
static sotto_status render(form *write, const char *name, const char *json, char **text, sotto_error *err)
{
    sotto_statement statement;
    size_t length;
    *text = NULL;
    sotto_status status = sotto_statement_parse(&statement, name, json, err);
    if (status != SOTTO_OK)
        return status;
    FILE *file = sotto_memory_open(text, &length);
    bool sound = file != NULL;
    if (sound) {
        write(&statement, file);
        sound = !ferror(file);
        sound = fclose(file) == 0 && sound;
    }
    sotto_statement_release(&statement);
    if (sound)
        return SOTTO_OK;
    free(*text);
    *text = NULL;
    return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, name, 0, 0, "out of memory writing the statement");
}

sotto_status sotto_report_html(const char *privacy_json_text, char **html, sotto_error *err)
{
    return render(sotto_statement_html, "privacy.json", privacy_json_text, html, err);
}

sotto_status sotto_report_text(const char *privacy_json_text, char **text, sotto_error *err)
{
    return render(sotto_statement_text, "privacy.json", privacy_json_text, text, err);
}

/* "DIRECTORY/NAME"; NULL where memory is short. */
static char *path_of(const char *directory, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* A record's text; the caller frees. */
static sotto_status read_record(const char *directory, const char *name, char **text, sotto_error *err)
{
    size_t length;
    *text = NULL;
    char *path = path_of(directory, name);
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    sotto_status status = sotto_file_read(path, RECORD_LIMIT, text, &length, err);
    if (status == SOTTO_OK && strlen(*text) != length) {
        free(*text);
        *text = NULL;
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "holds a NUL byte; take the record as the run wrote it");
    }
    free(path);
    return status;
}

sotto_status sotto_report_read(const char *run_directory, char **privacy_json_text, sotto_error *err)
{
    return read_record(run_directory, "release/privacy.json", privacy_json_text, err);
}

sotto_status sotto_report_write(const char *run_directory, sotto_error *err)
{
    char *json = NULL, *html = NULL;
    char *from = path_of(run_directory, "release/privacy.json");
    char *to = path_of(run_directory, "release/privacy.html");
    sotto_status status = from && to ? sotto_report_read(run_directory, &json, err)
                                     : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    if (status == SOTTO_OK)
        status = render(sotto_statement_html, from, json, &html, err);
    if (status == SOTTO_OK)
        status = sotto_file_write(to, 0644, html, strlen(html), err);
    free(json);
    free(html);
    free(from);
    free(to);
    return status;
}

/* ------------------------------------------------------------ private pages */

/* Write a page beside its record, for the owner alone. Takes the page. */
static sotto_status write_private(const char *directory, const char *name, char *html, sotto_error *err)
{
    char *path = path_of(directory, name);
    sotto_status status = path ? sotto_file_write(path, 0600, html, strlen(html), err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    free(path);
    free(html);
    return status;
}

/* A record that need not be there; `*text` is NULL where it is not. */
static sotto_status read_optional(const char *directory, const char *name, char **text, sotto_error *err)
{
    char *path = path_of(directory, name);
    *text = NULL;
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there ? read_record(directory, name, text, err) : SOTTO_OK;
}

/* The run's folder is recognised by both of its records; without them an evaluation stands alone. */
static sotto_status read_run(const char *directory, char **metrics, char **privacy, sotto_error *err)
{
    sotto_status status = read_optional(directory, "metrics.json", metrics, err);
    *privacy = NULL;
    if (status == SOTTO_OK && *metrics)
        status = read_optional(directory, "../release/privacy.json", privacy, err);
    return status;
}

sotto_status sotto_report_evaluation_write(const char *directory, sotto_error *err)
{
    char *evaluation = NULL, *metrics = NULL, *privacy = NULL, *html = NULL;
    sotto_status status = read_record(directory, "evaluation.json", &evaluation, err);
    if (status == SOTTO_OK)
        status = read_run(directory, &metrics, &privacy, err);
    if (status == SOTTO_OK)
        status = sotto_report_evaluation_html(evaluation, metrics, privacy, &html, err);
    if (status == SOTTO_OK)
        status = write_private(directory, "report.html", html, err);
    free(evaluation);
    free(metrics);
    free(privacy);
    return status;
}

sotto_status sotto_report_sweep_write(const char *directory, sotto_error *err)
{
    char *sweep = NULL, *html = NULL;
    sotto_status status = read_record(directory, "sweep.json", &sweep, err);
    if (status == SOTTO_OK)
        status = sotto_report_sweep_html(sweep, &html, err);
    if (status == SOTTO_OK)
        status = write_private(directory, "sweep.html", html, err);
    free(sweep);
    return status;
}
