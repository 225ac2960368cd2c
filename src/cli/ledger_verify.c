/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto ledger verify`: every entry, and all that is known of the ledger elsewhere, one after the other. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/ledger.h"
#include "ledger/ledger.h"
#include "run/run.h"

/* What was found of an artefact. */
typedef struct finding {
    sotto_ledger_head head; /* entries: UINT64_MAX where it does not say */
    size_t files;
    const char *state; /* "released", "stopped", "begun"; NULL: it is no run */
} finding;

static bool is_there(const char *folder, const char *name)
{
    struct stat about;
    char *path = sotto_path_join(folder, name);
    const bool there = path && stat(path, &about) == 0;
    free(path);
    return there;
}

/* Of a run that is not released its checkpoint knows a head; of one without, its name alone is known. */
static sotto_status hold_unfinished(sotto_ledger *ledger, const char *directory, finding *found,
                                    sotto_error *err)
{
    char run[17] = "";
    sotto_status status = SOTTO_OK;
    found->state = is_there(directory, "private/checkpoint/state") ? "stopped" : "begun";
    found->head.entries = UINT64_MAX;
    if (strcmp(found->state, "stopped") == 0)
        status = sotto_run_checkpoint_head(directory, run, &found->head, err);
    else {
        char *path = sotto_path_join(directory, "private/run.json");
        json_t *identity = path ? sotto_json_read_file(path) : NULL;
        (void)snprintf(run, sizeof run, "%s", sotto_cli_text(identity, "run"));
        json_decref(identity);
        free(path);
    }
    if (status == SOTTO_OK && found->head.entries != UINT64_MAX)
        status = sotto_ledger_expect(ledger, &found->head, directory, err);
    if (status == SOTTO_OK && run[0] && sotto_ledger_knows(ledger, run) &&
        !sotto_ledger_is_open(ledger, run)) {
        const sotto_ledger_artefact *artefacts;
        size_t count;
        if (sotto_ledger_run_released(ledger, run, &artefacts, &count))
            status = sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, directory, 0, 0,
                "the ledger knows of a release of run %s, and there is no release/ here", run);
        found->state = "closed";
    }
    return status;
}

static sotto_status hold(sotto_ledger *ledger, const char *artefact, finding *found, sotto_error *err)
{
    *found = (finding){0};
    if (is_there(artefact, "private") && !is_there(artefact, "release"))
        return hold_unfinished(ledger, artefact, found, err);
    if (is_there(artefact, "release"))
        found->state = "released";
    return sotto_ledger_hold(ledger, artefact, &found->head, &found->files, err);
}

/* null for what is not known or does not agree. */
static json_t *finding_json(const char *artefact, const finding *found, const sotto_error *trouble)
{
    char what[sizeof trouble->file + sizeof trouble->message + 2];
    (void)snprintf(what, sizeof what, "%s%s%s", trouble->file, trouble->file[0] ? ": " : "",
                   trouble->message);
    const bool numbered = !trouble->code && found->head.entries != UINT64_MAX;
    return json_pack("{s:s, s:b, s:o, s:I, s:s?, s:s?}", "artefact", artefact, "sound", !trouble->code,
                     "entries", numbered ? json_integer((json_int_t)found->head.entries) : json_null(),
                     "files", (json_int_t)found->files, "state", found->state, "trouble",
                     trouble->code ? what : NULL);
}

/* The worst of what was found is the exit status; each trouble is told as it is found. */
static sotto_status hold_to_all(const sotto_ledger_request *wish, sotto_ledger *ledger, json_t *list,
                                int *worst, sotto_error *err)
{
    for (size_t i = 1; wish->operands[i]; i++) {
        sotto_error trouble = {0};
        finding found;
        if (hold(ledger, wish->operands[i], &found, &trouble) != SOTTO_OK) {
            const int ended = sotto_cli_fail(&trouble);
            *worst =
                ended > *worst ? ended : *worst; /* what does not agree is worse than what cannot be read */
        }
        if (json_array_append_new(list, finding_json(wish->operands[i], &found, &trouble)) != 0)
            return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory, or a name is not UTF-8");
    }
    return SOTTO_OK;
}

static sotto_status open_and_hold(const sotto_ledger_request *wish, const char *path, json_t *record,
                                  int *worst, sotto_error *err)
{
    const sotto_ledger_options options = {.path = path, .read_only = true};
    sotto_ledger *ledger;
    json_t *list = json_array();
    sotto_status status = sotto_ledger_open(&ledger, &options, err);
    if (status == SOTTO_OK)
        status = hold_to_all(wish, ledger, list, worst, err);
    sotto_ledger_close(ledger);
    if (json_object_set_new(record, "artefacts", list) != 0 && status == SOTTO_OK)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record of the ledger");
    return status;
}

int sotto_ledger_request_verify(const sotto_ledger_request *wish)
{
    sotto_error err = {0};
    char *path = NULL;
    json_t *record = NULL;
    int worst = SOTTO_EXIT_DONE;
    sotto_status status = sotto_ledger_request_path(wish, &path, &err);
    const sotto_ledger_options options = {.path = path};
    if (status == SOTTO_OK)
        status = sotto_ledger_verify(&options, &record, &err);
    if (status == SOTTO_OK)
        status = open_and_hold(wish, path, record, &worst, &err);
    free(path);
    const int ended = sotto_ledger_request_finish(wish, status, record, sotto_ledger_print_verified, &err);
    return ended == SOTTO_EXIT_DONE ? worst : ended;
}
