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
    "                        directory (and that release/ has the files that were entered and no others; or\n"
    "                        its checkpoint, where it is not released yet), a privacy.json, or a head file\n"
    "                        (FILE-head beside a ledger, a mirror). Each is told of\n"
    "  export                all entries as lines of JSON\n"
    "  declare ID            cap a data set, known yet or not:\n"
    "    --epsilon E           what all runs together may come to, composed\n"
    "    --delta D\n"
    "    --unit COLUMN         for units of privacy other than rows\n"
    "  close RUN             give back what an abandoned run holds and has not spent; refused while a\n"
    "                        process is at work on it\n"
    "    --why TEXT            what to write down; \"closed by hand\" where not given\n"
    "  adopt                 go on with a copy or a backup whose head file is missing or newer; what the lost\n"
    "                        entries spent is forgotten, and that this was done is written down. Refused\n"
    "                        while a mirror knows more\n"
    "\n"
    "Options:\n" LEDGER_HELP "  --json            print the record as JSON, 17 digits\n"
    "  --quiet           print nothing where all is well\n"
    "\n"
    "SOTTO_LEDGER_MIRROR names a head file elsewhere, by its whole path, that every command holds the ledger\n"
    "to, and every entry moves on: an older ledger that is put back with its head file is found out by it.\n"
    "\n"
    "Exit status: 2 where the ledger, or an artefact, does not agree with the rest; its message says which.\n"
    "\n"
    "Example: cap a table at ε = 3 over all runs to come, train, and see what is left\n"
    "  sotto ledger declare adult --epsilon 3 --delta 1e-5\n"
    "  sotto train adult.yaml           with `data: {id: adult, ...}`\n"
    "  sotto ledger show adult\n";

/* Reading, unless the options say what for. */
static sotto_status open_ledger(const sotto_ledger_request *wish, sotto_ledger_options options, char **path,
                                sotto_ledger **ledger, sotto_error *err)
{
    *ledger = NULL;
    const sotto_status status = sotto_ledger_request_path(wish, path, err);
    options.path = *path;
    return status == SOTTO_OK ? sotto_ledger_open(ledger, &options, err) : status;
}

static const sotto_ledger_options reading = {.read_only = true};

sotto_status sotto_ledger_request_path(const sotto_ledger_request *wish, char **path, sotto_error *err)
{
    if (!wish->ledger)
        return sotto_ledger_find(NULL, path, err);
    *path = strdup(wish->ledger);
    return *path ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
}

/* The last word: a record, whose reference is taken, or an error. */
int sotto_ledger_request_finish(const sotto_ledger_request *wish, sotto_status status, json_t *record,
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

static int list_or_show(const sotto_ledger_request *wish, const char *id)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    json_t *record = NULL;
    sotto_status status = open_ledger(wish, reading, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status = id ? sotto_ledger_show(ledger, id, &record, &err) : sotto_ledger_list(ledger, &record, &err);
    sotto_ledger_close(ledger);
    free(path);
    return sotto_ledger_request_finish(wish, status, record,
                                       id ? sotto_ledger_print_shown : sotto_ledger_print_list, &err);
}

static int list_all(const sotto_ledger_request *wish)
{
    return list_or_show(wish, NULL);
}

static int show_one(const sotto_ledger_request *wish)
{
    return list_or_show(wish, wish->operands[1]);
}

static int export_all(const sotto_ledger_request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    sotto_status status = open_ledger(wish, reading, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status = sotto_ledger_export(ledger, stdout, &err);
    sotto_ledger_close(ledger);
    free(path);
    return status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
}

/* --------------------------------------------------------------------- writing */

/* Says what is now recorded: the data set or run, as `show` does. */
static int finish_change(const sotto_ledger_request *wish, sotto_status status, sotto_ledger *ledger,
                         char *path, sotto_error *err)
{
    json_t *record = NULL;
    if (status == SOTTO_OK)
        status = wish->operands[1] ? sotto_ledger_show(ledger, wish->operands[1], &record, err)
                                   : sotto_ledger_list(ledger, &record, err);
    sotto_ledger_close(ledger);
    free(path);
    return sotto_ledger_request_finish(
        wish, status, record, wish->operands[1] ? sotto_ledger_print_shown : sotto_ledger_print_list, err);
}

static int declare(const sotto_ledger_request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    if (isnan(wish->epsilon) || isnan(wish->delta))
        return sotto_cli_usage("ledger",
                               "declare needs --epsilon and --delta: what all runs together may come to");
    sotto_status status = open_ledger(wish, (sotto_ledger_options){.create = true}, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status =
            sotto_ledger_declare(ledger, wish->operands[1], wish->unit, wish->epsilon, wish->delta, &err);
    return finish_change(wish, status, ledger, path, &err);
}

/* ε of all that the run's data set has spent and holds, for its units; NaN where none is proved. */
static sotto_status find_held(sotto_ledger *ledger, const char *run, double *epsilon, sotto_error *err)
{
    json_t *record = NULL, *set = NULL;
    *epsilon = NAN;
    sotto_status status = sotto_ledger_show(ledger, run, &record, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_show(ledger, sotto_cli_text(record, "data_set"), &set, err);
    const json_t *spent = json_object_get(set, "spent");
    for (size_t i = 0; i < json_array_size(spent); i++) {
        const json_t *one = json_array_get(spent, i);
        if (json_equal(json_object_get(one, "unit"), json_object_get(record, "unit")) &&
            json_equal(json_object_get(one, "adjacency"), json_object_get(record, "adjacency")))
            *epsilon = sotto_cli_member(one, "epsilon_with_held");
    }
    json_decref(record);
    json_decref(set);
    return status;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* The closed run, and what its data set came to before and comes to now. */
static sotto_status tell_closed(sotto_ledger *ledger, const char *run, double before, json_t **record,
                                sotto_error *err)
{
    double after;
    sotto_status status = find_held(ledger, run, &after, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_show(ledger, run, record, err);
    if (status == SOTTO_OK && json_object_set_new(*record, "data_set_epsilon",
                                                  json_pack("{s:o, s:o}", "before", number_or_null(before),
                                                            "after", number_or_null(after))) != 0)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record of the ledger");
    return status;
}

static sotto_status close_one(const sotto_ledger_request *wish, sotto_ledger *ledger, json_t **record,
                              sotto_error *err)
{
    const char *run = wish->operands[1], *why = wish->why ? wish->why : "closed by hand";
    double before;
    if (!sotto_ledger_knows(ledger, run)) /* an id of a data set is none of a run */
        return sotto_ledger_run_close(ledger, run, why, err);
    if (sotto_ledger_is_at_work(ledger, run))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "a process is at work on run %s in its directory; stop it first (Ctrl-C there), or let "
            "it end",
            run);
    sotto_status status = find_held(ledger, run, &before, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_run_close(ledger, run, why, err);
    return status == SOTTO_OK ? tell_closed(ledger, run, before, record, err) : status;
}

static int close_run(const sotto_ledger_request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    json_t *record = NULL;
    sotto_status status = open_ledger(wish, (sotto_ledger_options){0}, &path, &ledger, &err);
    if (status == SOTTO_OK)
        status = close_one(wish, ledger, &record, &err);
    sotto_ledger_close(ledger);
    free(path);
    return sotto_ledger_request_finish(wish, status, record, sotto_ledger_print_closed, &err);
}

static int adopt(const sotto_ledger_request *wish)
{
    sotto_error err = {0};
    sotto_ledger *ledger;
    char *path;
    const sotto_status status =
        open_ledger(wish, (sotto_ledger_options){.adopt = true}, &path, &ledger, &err);
    if (status == SOTTO_OK && !wish->quiet)
        sotto_cli_warning(
            "what lost entries spent is counted by nobody now; where there may be any, declare lower "
            "caps");
    return finish_change(wish, status, ledger, path, &err);
}

/* --------------------------------------------------------------------- command */

static const struct action {
    const char *name;
    int (*run)(const sotto_ledger_request *wish);
    const char *operand; /* what it is about; NULL: nothing */
    size_t least, most;  /* how many of them */
} actions[] = {
    {"list", list_all, NULL, 0, 0},
    {"show", show_one, "a data set's id or a run's", 1, 1},
    {"verify", sotto_ledger_request_verify, "artefacts", 0, SIZE_MAX},
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

static int act(const sotto_usage *usage, const sotto_ledger_request *wish)
{
    size_t given = 0;
    const struct action *action = actions;
    while (action < actions + ACTIONS && strcmp(action->name, wish->operands[0]) != 0)
        action++;
    if (action == actions + ACTIONS)
        return sotto_cli_usage(
            "ledger", "unknown action '%.60s'; expected list, show, verify, export, declare, close or adopt",
            wish->operands[0]);
    while (wish->operands[1 + given])
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

static int parse_and_act(sotto_ledger_request *wish, const char **names, int argc, char **argv)
{
    sotto_option options[] = {
        {.name = "ledger", .kind = SOTTO_OPTION_TEXT, .value = &wish->ledger},
        {"epsilon", SOTTO_OPTION_NUMBER, &wish->epsilon, false, 0, HUGE_VAL, SOTTO_LIMITS_OPEN_LOW, false},
        {"delta", SOTTO_OPTION_NUMBER, &wish->delta, false, 0, 1, SOTTO_LIMITS_OPEN, false},
        {.name = "unit", .kind = SOTTO_OPTION_TEXT, .value = &wish->unit},
        {.name = "why", .kind = SOTTO_OPTION_TEXT, .value = &wish->why},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &wish->as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &wish->quiet},
    };
    sotto_usage usage = {"ledger", help, options, sizeof options / sizeof *options, names, (size_t)argc, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, wish->operands);
    if (ended == SOTTO_CLI_GO_ON)
        ended = act(&usage, wish);
    sotto_cli_release(&usage);
    return ended;
}

/* As many artefacts as there are words: all of a keeper's heads may be named at once. */
int sotto_command_ledger(int argc, char **argv)
{
    const char **names = calloc((size_t)argc + 1, sizeof *names);
    sotto_ledger_request wish = {
        .epsilon = NAN, .delta = NAN, .operands = calloc((size_t)argc + 1, sizeof *names)};
    int ended;
    for (int i = 0; names && i < argc; i++)
        names[i] = i ? "ARTEFACT" : "ACTION";
    if (names && wish.operands)
        ended = parse_and_act(&wish, names, argc, argv);
    else {
        const sotto_error err = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
        ended = sotto_cli_fail(&err);
    }
    free(names);
    free(wish.operands);
    return ended;
}
