/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/account.h"
#include "document/document.h"

static const char help[] =
    "Usage: sotto account compose FILE [--delta D | --epsilon E] [OPTIONS]\n"
    "\n"
    "What a list of releases from one table costs all told, and each alone.\n"
    "\n"
    "  --delta D                ask for the ε kept at δ; takes the place of what the file says\n"
    "  --epsilon E              ask for the δ kept at ε\n"
    "  --accountant rdp|pld     rdp (where not given): Rényi divergences over all orders; pld: privacy-loss\n"
    "                           distributions, tighter, certified from both sides, milliseconds\n"
    "  --gap G                  pld: how far apart the two sides may be, of ε; 1e-3 where not given\n"
    "  --json                   print the releases and the answers as JSON, 17 digits\n"
    "  --quiet                  print what all of it costs alone, 17 digits\n"
    "\n"
    "FILE is YAML:\n"
    "  delta: 1e-5                      # or epsilon\n"
    "  accountant: pld                  # rdp where not given\n"
    "  adjacency: add or remove one     # or replace one: what all noise is measured by\n"
    "  releases:\n"
    "    - {label: counts, mechanism: gaussian, noise_multiplier: 20, times: 15}\n"
    "    - {label: training, mechanism: sampled gaussian, sample_rate: 0.01, noise_multiplier: 1.1,\n"
    "       times: 10000}\n"
    "and any of: label, times (1 where not given), group (rows that join or leave together), and\n"
    "  gaussian, discrete gaussian      noise_multiplier\n"
    "  laplace                          noise_multiplier: the noise's scale over the L1 sensitivity\n"
    "  sampled gaussian, sampled discrete gaussian, gaussian without replacement\n"
    "                                   sample_rate, noise_multiplier\n"
    "  pure, exponential                epsilon\n"
    "  zcdp                             rho\n"
    "  selection                        the best of a random number of runs: mean (how many), shape\n"
    "                                   (above -1, or poisson), run (a list of releases)\n"
    "All parameters must have been fixed before anything was released, or chosen without looking at it.\n"
    "\n"
    "Example:\n"
    "  sotto account compose docs/examples/compose.yaml --delta 1e-6\n";

/* ------------------------------------------------------------------- asking */

/* What each release costs alone, and all of them: `answers` has one place more than the list. */
static sotto_status find_all(const sotto_releases *list, const sotto_account_wish *wish,
                             sotto_account_answer *answers, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i <= list->count; i++) {
        sotto_accountant *accountant = NULL;
        sotto_releases part = *list;
        if (i < list->count)
            part.items = &list->items[i], part.count = 1;
        status = sotto_accountant_create(wish->kind, &accountant, err);
        if (status == SOTTO_OK)
            status = sotto_releases_compose(&part, accountant, err);
        if (status == SOTTO_OK)
            status = sotto_account_find(accountant, wish, &answers[i], err);
        sotto_accountant_destroy(accountant);
    }
    return status;
}

/* -------------------------------------------------------------------- JSON */

/* The parameters that the file gives it. */
static bool put_parameters(json_t *record, const sotto_release *release)
{
    const sotto_mechanism *m = &release->mechanism;
    const struct {
        const char *key, *name; /* in the file, in JSON */
        double value;
    } parts[] = {
        {"sample_rate", "sample_rate", m->sample_rate},
        {"noise_multiplier", "noise_multiplier", m->noise_multiplier},
        {"epsilon", "epsilon_of_one", m->epsilon},
        {"rho", "rho", m->rho},
        {"mean", "mean", m->mean},
    };
    bool sound = true;
    for (size_t i = 0; sound && i < sizeof parts / sizeof *parts; i++)
        if (sotto_node_get(release->node, parts[i].key))
            sound = json_object_set_new(record, parts[i].name, json_real(parts[i].value)) == 0;
    if (sound && m->kind == SOTTO_MECHANISM_SELECTION)
        sound = json_object_set_new(record, "shape",
                                    isinf(m->shape) ? json_string("poisson") : json_real(m->shape)) == 0;
    return sound;
}

static json_t *release_json(const sotto_release *release, const sotto_account_wish *wish,
                            const sotto_account_answer *answer)
{
    json_t *record = json_object();
    const char *name = sotto_mechanism_kind_name(release->mechanism.kind);
    bool sound = !release->label || json_object_set_new(record, "label", json_string(release->label)) == 0;
    sound =
        sound && json_object_set_new(record, "mechanism", json_string(name)) == 0 &&
        put_parameters(record, release) &&
        json_object_set_new(record, "times", json_integer((json_int_t)release->times)) == 0 &&
        json_object_set_new(record, "group", json_integer((json_int_t)release->mechanism.group_size)) == 0 &&
        json_object_set_new(record, wish->for_delta ? "delta" : "epsilon",
                            sotto_account_figure_json(answer->figure)) == 0 &&
        sotto_account_put_proof(record, wish, answer);
    if (!sound) {
        json_decref(record);
        record = NULL;
    }
    return record;
}

static int print_json(const sotto_releases *list, const sotto_account_wish *wish,
                      const sotto_account_answer *answers)
{
    json_t *record = json_object();
    json_t *releases = json_array();
    const char *given = wish->for_delta ? "epsilon" : "delta";
    bool sound =
        json_object_set_new(record, given, json_real(wish->for_delta ? wish->epsilon : wish->delta)) == 0;
    for (size_t i = 0; sound && i < list->count; i++)
        sound = json_array_append_new(releases, release_json(&list->items[i], wish, &answers[i])) == 0;
    sound =
        sound &&
        json_object_set_new(record, "adjacency", json_string(sotto_adjacency_name(list->adjacency))) == 0 &&
        json_object_set(record, "releases", releases) == 0 &&
        json_object_set_new(record, wish->for_delta ? "delta" : "epsilon",
                            sotto_account_figure_json(answers[list->count].figure)) == 0 &&
        sotto_account_put_kind(record, wish, true) &&
        sotto_account_put_proof(record, wish, &answers[list->count]);
    json_decref(releases);
    return sotto_account_print_record(record, sound);
}

/* ------------------------------------------------------------------- words */

enum { WIDEST_LABEL = 40 };

static size_t label_width(const sotto_releases *list)
{
    size_t most = strlen("release");
    for (size_t i = 0; i < list->count; i++) {
        const size_t width = list->items[i].label ? sotto_text_width(list->items[i].label) : 1;
        most = width > most ? width : most;
    }
    return most < WIDEST_LABEL ? most : WIDEST_LABEL;
}

static void put_padded(const char *text, size_t width)
{
    sotto_text_put(stdout, text, false);
    for (size_t i = sotto_text_width(text); i < width; i++)
        (void)putchar(' ');
}

static void print_release(const sotto_release *release, double figure, size_t width)
{
    char times[SOTTO_FIGURE_SIZE], alone[SOTTO_FIGURE_SIZE];
    sotto_figure_count(release->times, times);
    sotto_figure_up(figure, 6, alone);
    put_padded(release->label ? release->label : "-", width);
    (void)printf("  %12s  ", times);
    put_padded(alone, 12);
    (void)printf("  %s", sotto_mechanism_kind_name(release->mechanism.kind));
    if (release->mechanism.group_size > 1)
        (void)printf(", groups of %llu", (unsigned long long)release->mechanism.group_size);
    (void)putchar('\n');
}

static void print_table(const sotto_releases *list, const sotto_account_wish *wish,
                        const sotto_account_answer *answers)
{
    const size_t width = label_width(list);
    put_padded("release", width);
    (void)printf("  %12s  ", "times");
    put_padded(wish->for_delta ? "δ alone" : "ε alone", 12);
    (void)printf("  mechanism\n");
    for (size_t i = 0; i < list->count; i++)
        print_release(&list->items[i], answers[i].figure, width);
    (void)printf("\nall told, for neighbours that %s:\n", list->adjacency == SOTTO_ADJACENCY_REPLACE_ONE
                                                              ? "have one unit replaced"
                                                              : "have one unit more or less");
    sotto_account_print_words(wish, &answers[list->count]);
}

/* ------------------------------------------------------------------ command */

static int answer(const sotto_releases *list, const sotto_account_wish *wish, bool as_json, bool quiet)
{
    sotto_error err = {0};
    int ended;
    sotto_account_answer *answers = calloc(list->count + 1, sizeof *answers);
    sotto_status status = answers ? find_all(list, wish, answers, &err)
                                  : sotto_error_set(&err, SOTTO_ERROR_MEMORY, "out of memory");
    if (status != SOTTO_OK)
        ended = sotto_cli_fail(&err);
    else if (as_json)
        ended = print_json(list, wish, answers);
    else {
        if (quiet)
            (void)printf("%.17g\n", answers[list->count].figure);
        else
            print_table(list, wish, answers);
        ended = sotto_cli_finish();
    }
    free(answers);
    return ended;
}

/* What the command line says goes before what the file says. */
static int settle(const sotto_releases *list, const char *path, const char *accountant, double gap,
                  sotto_account_wish *wish)
{
    static const char command[] = "account compose";
    const bool asked = !isnan(wish->epsilon) || !isnan(wish->delta);
    if (!asked) {
        wish->epsilon = list->epsilon;
        wish->delta = list->delta;
    }
    wish->for_delta = !isnan(wish->epsilon);
    if (!wish->for_delta && isnan(wish->delta)) {
        sotto_error err = {0};
        (void)sotto_error_set_at(&err, SOTTO_ERROR_INPUT, path, 0, 0,
                                 "neither delta nor epsilon is there; expected one of them, or --delta or "
                                 "--epsilon on the command line");
        return sotto_cli_fail(&err);
    }
    return sotto_account_read_kind(command, accountant ? accountant : list->accountant, gap, wish);
}

static int compose_file(const char *path, const char *accountant, double gap, sotto_account_wish *wish,
                        bool as_json, bool quiet)
{
    sotto_error err = {0};
    sotto_releases list;
    int ended = sotto_releases_load(&list, path, &err) == SOTTO_OK ? SOTTO_CLI_GO_ON : sotto_cli_fail(&err);
    if (ended == SOTTO_CLI_GO_ON)
        ended = settle(&list, path, accountant, gap, wish);
    if (ended == SOTTO_CLI_GO_ON)
        ended = answer(&list, wish, as_json, quiet);
    sotto_releases_release(&list);
    return ended;
}

int sotto_command_account_compose(int argc, char **argv)
{
    static const char *const names[] = {"FILE"};
    const char *path = NULL, *accountant = NULL;
    double gap = NAN;
    sotto_account_wish wish = sotto_account_wish_default();
    bool as_json = false, quiet = false;
    wish.epsilon = wish.delta = NAN;
    sotto_option options[] = {
        {"delta", SOTTO_OPTION_NUMBER, &wish.delta, false, 0, 1, SOTTO_LIMITS_OPEN, false},
        {"epsilon", SOTTO_OPTION_NUMBER, &wish.epsilon, false, 0, HUGE_VAL, SOTTO_LIMITS_CLOSED, false},
        {.name = "accountant", .kind = SOTTO_OPTION_TEXT, .value = &accountant},
        {"gap", SOTTO_OPTION_NUMBER, &gap, false, SOTTO_ACCOUNTANT_LEAST_GAP, 1, SOTTO_LIMITS_CLOSED, false},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"account compose", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &path);
    if (ended == SOTTO_CLI_GO_ON && !isnan(wish.epsilon) && !isnan(wish.delta))
        ended =
            sotto_cli_usage("account compose", "--delta and --epsilon are both given; expected --delta to be "
                                               "told ε, or --epsilon to be told δ");
    if (ended == SOTTO_CLI_GO_ON)
        ended = compose_file(path, accountant, gap, &wish, as_json, quiet);
    sotto_cli_release(&usage);
    return ended;
}
