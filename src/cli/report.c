/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto report RUN [OPTIONS]\n"
    "\n"
    "Writes RUN/release/privacy.html again from the record RUN/release/privacy.json, and prints the same\n"
    "statement as text. It computes no privacy figure and reads no data: it formats the record.\n"
    "\n"
    "Options:\n"
    "  --json            print the record itself\n"
    "  --quiet           write the page and print nothing\n"
    "\n"
    "Example:\n"
    "  sotto report runs/adult | less\n";

/* The record's text as it stands: its figures were written with 17 digits. */
static sotto_status print_statement(const char *json, bool as_json, sotto_error *err)
{
    char *text = NULL;
    if (as_json) {
        (void)fputs(json, stdout);
        return SOTTO_OK;
    }
    sotto_status status = sotto_report_text(json, &text, err);
    if (status == SOTTO_OK)
        (void)fputs(text, stdout);
    free(text);
    return status;
}

int sotto_command_report(int argc, char **argv)
{
    static const char *const names[] = {"RUN"};
    const char *run = NULL;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"report", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &run);
    if (ended == SOTTO_CLI_GO_ON) {
        sotto_error err = {0};
        char *json = NULL;
        sotto_status status = sotto_report_write(run, &err);
        if (status == SOTTO_OK)
            status = sotto_report_read(run, &json, &err);
        if (status == SOTTO_OK && (as_json || !quiet))
            status = print_statement(json, as_json, &err);
        ended = status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
        free(json);
    }
    sotto_cli_release(&usage);
    return ended;
}
