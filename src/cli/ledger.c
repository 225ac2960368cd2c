/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ledger.h"

#define LEDGER_HELP                                                                                          \
    "  --ledger FILE     another one than SOTTO_LEDGER names, or ~/.local/state/sotto/ledger.db\n"

static const char help[] =
    "Usage: sotto ledger list|show|verify|export|declare|close|adopt [OPTIONS]\n"
    "\n"
    "What every run has spent on each data set. A privacy budget belongs to the data set: every training run\n"
    "charges the ledger before it looks at a row, and a data set with a cap refuses the run that would cross\n"
    "it, whoever starts it and whatever became of the others.\n"
    "\n"
    "  list                  all data sets with caps and spending, all runs\n"
    "  show ID               one data set, or one run with its charges\n"
    "  verify [ARTEFACT...]  check every entry, and that the ledger is not older than each artefact: a run\n"
    "                        directory (and that release/ has the files that were entered), a privacy.json,\n"
    "                        or a head file (FILE-head beside a ledger, a mirror)\n"
    "  export                all entries as lines of JSON\n"
    "  declare ID            cap a data set, known yet or not:\n"
    "    --epsilon E           what all runs together may come to, composed\n"
    "    --delta D\n"
    "    --unit COLUMN         for units of privacy other than rows\n"
    "  close RUN             give back what an abandoned run holds and has not spent\n"
    "    --why TEXT            what to write down; \"closed by hand\" where not given\n"
    "  adopt                 go on with a copy or a backup whose head file is missing or newer; what the lost\n"
    "                        entries spent is forgotten, and that this was done is written down\n"
    "\n"
    "Options:\n" LEDGER_HELP "  --json            print the record as JSON, 17 digits\n"
    "  --quiet           print nothing where all is well\n"
    "\n"
    "Exit status: 2 where the ledger, or an artefact, does not agree with the rest; its message says which.\n"
    "\n"
    "Example: cap a table at ε = 3 over all runs to come, train, and see what is left\n"
    "  sotto ledger declare adult --epsilon 3 --delta 1e-5\n"
    "  sotto train adult.yaml           with `data: {id: adult, ...}`\n"
    "  sotto ledger show adult\n";

enum { MOST_ARTEFACTS = 64 };

/* What was asked. */
typedef struct request {
    const char *ledger, *unit, *why;
    double epsilon, delta;
    bool as_json, quiet;
    const char *operands[1 + MOST_ARTEFACTS]; /* the first is what to do */
} request;

static sotto_status open_ledger(const request *wish, bool create, bool adopt, char **path,
                                sotto_ledger **ledger, sotto_error *err)
{
    *ledger = NULL;
    *path = wish->ledger ? strdup(wish->ledger) : NULL;
    sotto_status status = SOTTO_OK;
    if (!wish->ledger)
        status = sotto_ledger_find(NULL, path, err);
    else if (!*path)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const sotto_ledger_options options = {.path = *path, .create = create, .adopt = adopt};
    return status == SOTTO_OK ? sotto_ledger_open(ledger, &options, err) : status;
}

/* The last word: a record, whose reference is taken, or an error. */
static int finish(const request *wish, sotto_status status, json_t *record,
                  void (*words)(const json_t *record), const sotto_error *err)
{
    if (status != SOTTO_OK) {
        json_decref(record);
        return sotto_cli_fail(err);
    }
    if (wish->as_json)
        sotto_cli_print_json(record);
    else if (!wish->quiet)
        words(record);
    json_decref(record);
    return sotto_cli_finish();
}

/* --------------------------------------------------------------------- reading */

static int list_or_show(const request *wish, const char *id)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    json_t *record = NULL;
    sotto_status status = open_ledger(wish, false, false, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status = id ? sotto_ledger_show(ledger, id, &record, &err) : sotto_ledger_list(ledger, &record, &err);
    sotto_ledger_close(ledger);
    free(path);
    return finish(wish, status, record, id ? sotto_ledger_print_shown : sotto_ledger_print_list, &err);
}

static int list_all(const request *wish)
{
    return list_or_show(wish, NULL);
}

static int show_one(const request *wish)
{
    return list_or_show(wish, wish->operands[1]);
}

static int export_all(const request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    sotto_status status = open_ledger(wish, false, false, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status = sotto_ledger_export(ledger, stdout, &err);
    sotto_ledger_close(ledger);
    free(path);
    return status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
}

/* ------------------------------------------------------------------- verifying */

static sotto_status hold_to(sotto_ledger *ledger, const char *artefact, json_t *list, sotto_error *err)
{
    sotto_ledger_head head;
    size_t files;
    const sotto_status status = sotto_ledger_hold(ledger, artefact, &head, &files, err);
    if (status != SOTTO_OK)
        return status;
    json_t *one = json_object();
    if (json_object_set_new(one, "artefact", json_string(artefact)) == 0 &&
        json_object_set_new(one, "entries",
                            head.entries == UINT64_MAX ? json_null()
                                                       : json_integer((json_int_t)head.entries)) == 0 &&
        json_object_set_new(one, "files", json_integer((json_int_t)files)) == 0 &&
        json_array_append(list, one) == 0) {
        json_decref(one);
        return SOTTO_OK;
    }
    json_decref(one);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory, or a name is not UTF-8");
}

static sotto_status hold_to_all(const request *wish, const char *path, json_t *record, sotto_error *err)
{
    const sotto_ledger_options options = {.path = path, .read_only = true};
    sotto_ledger *ledger;
    json_t *list = json_array();
    sotto_status status = sotto_ledger_open(&ledger, &options, err);
    for (size_t i = 1; status == SOTTO_OK && i <= MOST_ARTEFACTS && wish->operands[i]; i++)
        status = hold_to(ledger, wish->operands[i], list, err);
    sotto_ledger_close(ledger);
    if (json_object_set_new(record, "artefacts", list) != 0 && status == SOTTO_OK)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record of the ledger");
    return status;
}

static int verify(const request *wish)
{
    sotto_error err = {0};
    char *path = NULL;
    json_t *record = NULL;
    sotto_status status = SOTTO_OK;
    if (!wish->ledger)
        status = sotto_ledger_find(NULL, &path, &err);
    const sotto_ledger_options options = {.path = wish->ledger ? wish->ledger : path};
    if (status == SOTTO_OK)
        status = sotto_ledger_verify(&options, &record, &err);
    if (status == SOTTO_OK)
        status = hold_to_all(wish, options.path, record, &err);
    free(path);
    return finish(wish, status, record, sotto_ledger_print_verified, &err);
}

/* --------------------------------------------------------------------- writing */

/* Says what is now recorded: the data set or run, as `show` does. */
static int finish_change(const request *wish, sotto_status status, sotto_ledger *ledger, char *path,
                         sotto_error *err)
{
    json_t *record = NULL;
    if (status == SOTTO_OK)
        status = wish->operands[1] ? sotto_ledger_show(ledger, wish->operands[1], &record, err)
                                   : sotto_ledger_list(ledger, &record, err);
    sotto_ledger_close(ledger);
    free(path);
    return finish(wish, status, record,
                  wish->operands[1] ? sotto_ledger_print_shown : sotto_ledger_print_list, err);
}

static int declare(const request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    if (isnan(wish->epsilon) || isnan(wish->delta))
        return sotto_cli_usage("ledger",
                               "declare needs --epsilon and --delta: what all runs together may come to");
    sotto_status status = open_ledger(wish, true, false, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status =
            sotto_ledger_declare(ledger, wish->operands[1], wish->unit, wish->epsilon, wish->delta, &err);
    return finish_change(wish, status, ledger, path, &err);
}

static int close_run(const request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    sotto_status status = open_ledger(wish, false, false, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status =
            sotto_ledger_run_close(ledger, wish->operands[1], wish->why ? wish->why : "closed by hand", &err);
    return finish_change(wish, status, ledger, path, &err);
}

static int adopt(const request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    const sotto_status status = open_ledger(wish, false, true, &path, &ledger, &err);
    return finish_change(wish, status, ledger, path, &err);
}

/* --------------------------------------------------------------------- command */

static const struct action {
    const char *name;
    int (*run)(const request *wish);
    const char *operand; /* what it is about; NULL: nothing */
    size_t least, most;  /* how many of them */
} actions[] = {
    {"list", list_all, NULL, 0, 0},
    {"show", show_one, "a data set's id or a run's", 1, 1},
    {"verify", verify, "artefacts", 0, MOST_ARTEFACTS},
    {"export", export_all, NULL, 0, 0},
    {"declare", declare, "a data set's id", 1, 1},
    {"close", close_run, "a run's id", 1, 1},
    {"adopt", adopt, NULL, 0, 0},
};
enum { ACTIONS = sizeof actions / sizeof *actions };

/* Options that one action alone has. */
static int check_options(const sotto_usage *usage, const char *action)
{
    static const char *const owners[][2] = {
        {"epsilon", "declare"}, {"delta", "declare"}, {"unit", "declare"}, {"why", "close"}};
    for (size_t i = 0; i < usage->option_count; i++)
        for (size_t j = 0; j < sizeof owners / sizeof *owners; j++)
            if (usage->options[i].given && strcmp(usage->options[i].name, owners[j][0]) == 0 &&
                strcmp(action, owners[j][1]) != 0)
                return sotto_cli_usage("ledger", "--%s is for %s; expected sotto ledger %s without it",
                                       owners[j][0], owners[j][1], action);
    return SOTTO_CLI_GO_ON;
}

static int act(const sotto_usage *usage, const request *wish)
{
    size_t given = 0;
    const struct action *action = actions;
    while (action < actions + ACTIONS && strcmp(action->name, wish->operands[0]) != 0)
        action++;
    if (action == actions + ACTIONS)
        return sotto_cli_usage(
            "ledger", "unknown action '%.60s'; expected list, show, verify, export, declare, close or adopt",
            wish->operands[0]);
    while (given < MOST_ARTEFACTS && wish->operands[1 + given])
        given++;
    if (given < action->least)
        return sotto_cli_usage("ledger", "%s needs %s", action->name, action->operand);
    if (given > action->most)
        return sotto_cli_usage("ledger", "%s takes %s; '%.60s' is too much", action->name,
                               action->operand ? action->operand : "nothing else",
                               wish->operands[1 + action->most]);
    const int ended = check_options(usage, action->name);
    return ended == SOTTO_CLI_GO_ON ? action->run(wish) : ended;
}

int sotto_command_ledger(int argc, char **argv)
{
    const char *names[1 + MOST_ARTEFACTS] = {"ACTION"};
    request wish = {.epsilon = NAN, .delta = NAN};
    for (size_t i = 1; i <= MOST_ARTEFACTS; i++)
        names[i] = "ARTEFACT";
    sotto_option options[] = {
        {.name = "ledger", .kind = SOTTO_OPTION_TEXT, .value = &wish.ledger},
        {"epsilon", SOTTO_OPTION_NUMBER, &wish.epsilon, false, 0, HUGE_VAL, SOTTO_LIMITS_OPEN_LOW, false},
        {"delta", SOTTO_OPTION_NUMBER, &wish.delta, false, 0, 1, SOTTO_LIMITS_OPEN, false},
        {.name = "unit", .kind = SOTTO_OPTION_TEXT, .value = &wish.unit},
        {.name = "why", .kind = SOTTO_OPTION_TEXT, .value = &wish.why},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &wish.as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &wish.quiet},
    };
    sotto_usage usage = {"ledger",           help, options, sizeof options / sizeof *options, names,
                         1 + MOST_ARTEFACTS, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, wish.operands);
    if (ended == SOTTO_CLI_GO_ON)
        ended = act(&usage, &wish);
    sotto_cli_release(&usage);
    return ended;
}
