/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto report RUN|SWEEP|DIR [OPTIONS]\n"
    "\n"
    "Writes pages again from their records, and prints the same as text:\n"
    "  of a run         RUN/release/privacy.html, and RUN/private/report.html where the run was evaluated\n"
    "  of a sweep       SWEEP/sweep.html\n"
    "  of an evaluation DIR/report.html\n"
    "It computes no figure and reads no table: it formats the records.\n"
    "\n"
    "Options:\n"
    "  --evaluation      of a run, print what its evaluation found instead of the statement\n"
    "  --json            print the record itself\n"
    "  --quiet           write the pages and print nothing\n"
    "\n"
    "Example:\n"
    "  sotto report runs/adult | less\n";

/* What can lie in a directory that is reported on. */
typedef struct subject {
    const char *record; /* the file that shows what the directory is, and the record that is printed */
    const char *folder; /* that the pages lie in, below the directory; "" for itself */
    bool release;       /* a run */
    sotto_status (*write)(const char *directory, sotto_error *err);
    sotto_status (*text)(const char *json, char **text, sotto_error *err);
} subject;

static const subject subjects[] = {
    {"sweep.json", "", false, sotto_report_sweep_write, sotto_report_sweep_text},
    {"evaluation.json", "", false, sotto_report_evaluation_write, sotto_report_evaluation_text},
    {"private/evaluation.json", "private", true, sotto_report_evaluation_write, sotto_report_evaluation_text},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects, EVALUATED_RUN = 2 };

static char *join(const char *directory, const char *name)
{
    const size_t length = strlen(directory) + strlen(name) + 2;
    char *path = malloc(length);
    if (path)
        (void)snprintf(path, length, "%s/%s", directory, name);
    return path;
}

static bool has(const char *directory, const char *name)
{
    char *path = join(directory, name);
    const bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

static sotto_status report_on(const char *directory, const subject *what, bool show, bool as_json,
                              sotto_error *err)
{
    char *json = NULL, *record = join(directory, what->record), *folder = join(directory, what->folder);
    size_t length;
    sotto_status status = record && folder
                              ? what->write(what->folder[0] ? folder : directory, err)
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && show)
        status = sotto_file_read(record, (size_t)1 << 30, &json, &length, err);
    if (status == SOTTO_OK && show)
        status = sotto_cli_show(json, what->text, as_json, err);
    free(json);
    free(record);
    free(folder);
    return status;
}

/* A run: its statement, and its evaluation where it has one. */
static sotto_status report_on_run(const char *run, bool evaluation, bool show, bool as_json, sotto_error *err)
{
    char *json = NULL;
    sotto_status status = sotto_report_write(run, err);
    if (status == SOTTO_OK && evaluation && !has(run, subjects[EVALUATED_RUN].record))
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, run, 0, 0,
                                    "this run was not evaluated; run `sotto evaluate --run` first");
    if (status == SOTTO_OK && has(run, subjects[EVALUATED_RUN].record))
        status = report_on(run, &subjects[EVALUATED_RUN], show && evaluation, as_json, err);
    if (status == SOTTO_OK && show && !evaluation) {
        status = sotto_report_read(run, &json, err);
        if (status == SOTTO_OK)
            status = sotto_cli_show(json, sotto_report_text, as_json, err);
    }
    free(json);
    return status;
}

static sotto_status report(const char *directory, bool evaluation, bool show, bool as_json, sotto_error *err)
{
    for (size_t i = 0; i < SUBJECTS; i++)
        if (!subjects[i].release && has(directory, subjects[i].record))
            return report_on(directory, &subjects[i], show, as_json, err);
    if (sotto_run_check_finished(directory, err) != SOTTO_OK)
        return SOTTO_ERROR_INPUT;
    return report_on_run(directory, evaluation, show, as_json, err);
}

int sotto_command_report(int argc, char **argv)
{
    static const char *const names[] = {"RUN"};
    const char *directory = NULL;
    bool evaluation = false, as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "evaluation", .kind = SOTTO_OPTION_FLAG, .value = &evaluation},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"report", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &directory);
    if (ended == SOTTO_CLI_GO_ON) {
        sotto_error err = {0};
        const sotto_status status = report(directory, evaluation, as_json || !quiet, as_json, &err);
        ended = status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
    }
    sotto_cli_release(&usage);
    return ended;
}
