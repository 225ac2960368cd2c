/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

enum { RECORD_LIMIT = 16 << 20 /* bytes; a record has a few kilobytes */ };

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
    FILE *file = open_memstream(text, &length);
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

/* "DIRECTORY/release/NAME"; NULL where memory is short. */
static char *release_path(const char *run_directory, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/release/%s", run_directory, name) < 0 ? NULL : path;
}

sotto_status sotto_report_read(const char *run_directory, char **privacy_json_text, sotto_error *err)
{
    size_t length;
    *privacy_json_text = NULL;
    char *path = release_path(run_directory, "privacy.json");
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    sotto_status status = sotto_file_read(path, RECORD_LIMIT, privacy_json_text, &length, err);
    if (status == SOTTO_OK && strlen(*privacy_json_text) != length) {
        free(*privacy_json_text);
        *privacy_json_text = NULL;
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "holds a NUL byte; take the record as the run wrote it");
    }
    free(path);
    return status;
}

sotto_status sotto_report_write(const char *run_directory, sotto_error *err)
{
    char *json = NULL, *html = NULL;
    char *from = release_path(run_directory, "privacy.json");
    char *to = release_path(run_directory, "privacy.html");
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
