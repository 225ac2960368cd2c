/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "sotto/accountant.h"

/* ----------------------------------------------------------------- questions */

/* What a question takes, one bit each. */
enum { RATE = 1, NOISE = 2, STEPS = 4, EPSILON = 8, DELTA = 16, ORDERS = 32 };

typedef struct query {
    double sample_rate, noise_multiplier, epsilon, delta;
    uint64_t steps;
    const char *orders; /* as given: "2,4.5,8" */
} query;

typedef struct answer {
    double figure;
    double order; /* that gave the ε of the answer */
} answer;

static sotto_status compose(const query *q, sotto_accountant **accountant, sotto_error *err)
{
    sotto_mechanism step;
    sotto_status status = sotto_mechanism_sampled_gaussian(&step, q->sample_rate, q->noise_multiplier, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, accountant, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_compose(*accountant, &step, q->steps, err);
    return status;
}

static sotto_status answer_epsilon(const query *q, answer *out, sotto_error *err)
{
    sotto_accountant *accountant = NULL;
    sotto_status status = compose(q, &accountant, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_epsilon(accountant, q->delta, &out->figure, &out->order, err);
    sotto_accountant_destroy(accountant);
    return status;
}

static sotto_status answer_delta(const query *q, answer *out, sotto_error *err)
{
    sotto_accountant *accountant = NULL;
    sotto_status status = compose(q, &accountant, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_delta(accountant, q->epsilon, &out->figure, &out->order, err);
    sotto_accountant_destroy(accountant);
    return status;
}

/* The order at which the plan that was found keeps its promise. */
static sotto_status find_order(const query *found, answer *out, sotto_error *err)
{
    answer check;
    sotto_status status = answer_epsilon(found, &check, err);
    if (status == SOTTO_OK)
        out->order = check.order;
    return status;
}

static sotto_status answer_noise(const query *q, answer *out, sotto_error *err)
{
    query found = *q;
    sotto_status status = sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, q->epsilon, q->delta,
                                                           q->sample_rate, q->steps, NULL, &out->figure, err);
    found.noise_multiplier = out->figure;
    return status == SOTTO_OK ? find_order(&found, out, err) : status;
}

static sotto_status answer_steps(const query *q, answer *out, sotto_error *err)
{
    query found = *q;
    sotto_mechanism step;
    sotto_status status = sotto_mechanism_sampled_gaussian(&step, q->sample_rate, q->noise_multiplier, err);
    if (status == SOTTO_OK)
        status =
            sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, q->epsilon, q->delta, &step, NULL, &found.steps, err);
    out->figure = (double)found.steps; /* at most 2^53 */
    return status == SOTTO_OK ? find_order(&found, out, err) : status;
}

typedef struct question {
    const char *name, *key; /* on the command line, in JSON */
    const char *help;
    unsigned takes;
    sotto_status (*answer)(const query *q, answer *out, sotto_error *err); /* NULL: a list, by order */
} question;

#define USAGE_TAIL                                                                                           \
    "  --accountant rdp         the only one in this version: Rényi, over all orders\n"                     \
    "  --json                   print the inputs and the answer as JSON, 17 digits\n"                        \
    "  --quiet                  print the answer alone, 17 digits\n"                                         \
    "\n"                                                                                                     \
    "A neighbouring table has one row more or less. Each step takes each row by an independent coin\n"       \
    "(Poisson sampling) and adds Gaussian noise of NOISE times the clipping norm. ε, δ and noise are\n"    \
    "rounded up, steps down.\n"                                                                              \
    "\n"                                                                                                     \
    "Example:\n"
#define RATE_HELP    "  --sample-rate Q          chance that a row is in a batch, above 0, at most 1\n"
#define NOISE_HELP   "  --noise-multiplier S     σ, standard deviation over clipping norm, above 0\n"
#define STEPS_HELP   "  --steps T                how many steps, 1 or more\n"
#define EPSILON_HELP "  --epsilon E              the ε to keep\n"
#define DELTA_HELP   "  --delta D                the δ to keep, between 0 and 1\n"

static const question questions[] = {
    {"epsilon", "epsilon",
     "Usage: sotto account epsilon --sample-rate Q --noise-multiplier S --steps T --delta D\n"
     "\n"
     "The ε that T steps keep at δ.\n"
     "\n" RATE_HELP NOISE_HELP STEPS_HELP DELTA_HELP USAGE_TAIL
     "  sotto account epsilon --sample-rate 0.01 --noise-multiplier 4 --steps 10000 --delta 1e-5\n",
     RATE | NOISE | STEPS | DELTA, answer_epsilon},
    {"delta", "delta",
     "Usage: sotto account delta --sample-rate Q --noise-multiplier S --steps T --epsilon E\n"
     "\n"
     "The δ that T steps keep at ε.\n"
     "\n" RATE_HELP NOISE_HELP STEPS_HELP EPSILON_HELP USAGE_TAIL
     "  sotto account delta --sample-rate 0.01 --noise-multiplier 4 --steps 10000 --epsilon 1\n",
     RATE | NOISE | STEPS | EPSILON, answer_delta},
    {"noise", "noise_multiplier",
     "Usage: sotto account noise --sample-rate Q --steps T --epsilon E --delta D\n"
     "\n"
     "The smallest noise multiplier at which T steps keep ε at δ.\n"
     "\n" RATE_HELP STEPS_HELP EPSILON_HELP DELTA_HELP USAGE_TAIL
     "  sotto account noise --sample-rate 0.01 --steps 10000 --epsilon 1 --delta 1e-5\n",
     RATE | STEPS | EPSILON | DELTA, answer_noise},
    {"steps", "steps",
     "Usage: sotto account steps --sample-rate Q --noise-multiplier S --epsilon E --delta D\n"
     "\n"
     "The largest number of steps that keep ε at δ.\n"
     "\n" RATE_HELP NOISE_HELP EPSILON_HELP DELTA_HELP USAGE_TAIL
     "  sotto account steps --sample-rate 0.01 --noise-multiplier 4 --epsilon 1 --delta 1e-5\n",
     RATE | NOISE | EPSILON | DELTA, answer_steps},
    {"rdp", "rdp",
     "Usage: sotto account rdp --sample-rate Q --noise-multiplier S --order A[,A...]\n"
     "\n"
     "The Rényi divergence of one step at each order, in nats; at order 1 the Kullback-Leibler divergence.\n"
     "\n" RATE_HELP NOISE_HELP "  --order A[,A...]         orders of 1 or more, apart by commas\n" USAGE_TAIL
     "  sotto account rdp --sample-rate 0.01 --noise-multiplier 1 --order 2,4.5,32\n",
     RATE | NOISE | ORDERS, NULL},
};
static const size_t question_count = sizeof questions / sizeof *questions;

static const char help[] =
    "Usage: sotto account epsilon|delta|noise|steps|rdp [OPTIONS]\n"
    "\n"
    "Answers questions about a plan with the accountant that training charges with. It reads no files.\n"
    "  epsilon   what T steps cost, at δ\n"
    "  delta     what T steps cost, at ε\n"
    "  noise     the smallest noise multiplier that keeps (ε, δ)\n"
    "  steps     the largest number of steps that keep (ε, δ)\n"
    "  rdp       one step's Rényi divergence at each order\n"
    "`sotto account QUESTION --help` lists what each takes. All print JSON with --json, and the answer\n"
    "alone with --quiet.\n"
    "\n"
    "Example:\n"
    "  sotto account noise --sample-rate 0.01 --steps 10000 --epsilon 1 --delta 1e-5\n";

/* ------------------------------------------------------------------- answers */

/* JSON knows no infinity: null is "no guarantee". */
static json_t *figure_json(double figure, bool whole)
{
    if (!isfinite(figure))
        return json_null();
    return whole ? json_integer((json_int_t)figure) : json_real(figure);
}

static json_t *inputs_json(const question *asked, const query *q)
{
    json_t *record = json_object();
    bool sound = record != NULL;
    if (sound && asked->takes & RATE)
        sound = json_object_set_new(record, "sample_rate", json_real(q->sample_rate)) == 0;
    if (sound && asked->takes & NOISE)
        sound = json_object_set_new(record, "noise_multiplier", json_real(q->noise_multiplier)) == 0;
    if (sound && asked->takes & STEPS)
        sound = json_object_set_new(record, "steps", json_integer((json_int_t)q->steps)) == 0;
    if (sound && asked->takes & EPSILON)
        sound = json_object_set_new(record, "epsilon", json_real(q->epsilon)) == 0;
    if (sound && asked->takes & DELTA)
        sound = json_object_set_new(record, "delta", json_real(q->delta)) == 0;
    if (!sound) {
        json_decref(record);
        record = NULL;
    }
    return record;
}

static int print_record(json_t *record, bool sound)
{
    sotto_error err = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
    if (record && sound)
        sotto_cli_print_json(record);
    json_decref(record);
    return record && sound ? sotto_cli_finish() : sotto_cli_fail(&err);
}

static int print_answer_json(const question *asked, const query *q, const answer *a)
{
    json_t *record = inputs_json(asked, q);
    bool whole = asked->answer == answer_steps;
    bool sound = record && json_object_set_new(record, asked->key, figure_json(a->figure, whole)) == 0 &&
                 json_object_set_new(record, "accountant", json_string("rdp")) == 0 &&
                 json_object_set_new(record, "order", figure_json(a->order, false)) == 0;
    return print_record(record, sound);
}

static void print_answer_words(const question *asked, const query *q, const answer *a)
{
    char figure[SOTTO_FIGURE_SIZE], order[SOTTO_FIGURE_SIZE], epsilon[SOTTO_FIGURE_SIZE],
        delta[SOTTO_FIGURE_SIZE];
    sotto_figure_up(a->figure, 6, figure);
    sotto_figure_exact(q->epsilon, epsilon);
    sotto_figure_exact(q->delta, delta);
    (void)snprintf(order, sizeof order, "%.6g", a->order);
    if (asked->answer == answer_epsilon)
        (void)printf("ε = %s at δ = %s", figure, delta);
    else if (asked->answer == answer_delta)
        (void)printf("δ = %s at ε = %s", figure, epsilon);
    else if (asked->answer == answer_noise)
        (void)printf("noise multiplier %s keeps ε = %s at δ = %s", figure, epsilon, delta);
    else
        (void)printf("%.0f steps keep ε = %s at δ = %s", a->figure, epsilon, delta);
    bool none = !isfinite(a->figure) || (asked->answer == answer_delta && a->figure >= 1);
    if (none)
        (void)printf(": no guarantee (Rényi accountant)\n");
    else
        (void)printf(" (Rényi accountant, order %s)\n", order);
}

static int answer_one(const question *asked, const query *q, bool as_json, bool quiet)
{
    sotto_error err = {0};
    answer a = {0};
    if (asked->answer(q, &a, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (as_json)
        return print_answer_json(asked, q, &a);
    if (quiet)
        (void)printf("%.17g\n", a.figure);
    else
        print_answer_words(asked, q, &a);
    return sotto_cli_finish();
}

/* --------------------------------------------------------------------- rdp */

/* Reads orders and divergences into the two lists. */
static int collect_orders(const char *text, const sotto_mechanism *step, json_t *orders, json_t *divergences)
{
    sotto_error memory = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
    for (;; text++) {
        char piece[64];
        double order;
        size_t length = strcspn(text, ",");
        (void)snprintf(piece, sizeof piece, "%.*s", (int)(length < 63 ? length : 63), text);
        const char *wrong = length > 63 ? "is too long" : sotto_cli_number(piece, &order);
        if (!wrong && order < 1)
            wrong = "is below 1";
        if (wrong)
            return sotto_cli_usage("account rdp",
                                   "--order '%s' %s; expected numbers of at least 1, apart by "
                                   "commas",
                                   piece, wrong);
        if (json_array_append_new(orders, json_real(order)) != 0 ||
            json_array_append_new(divergences, figure_json(sotto_mechanism_rdp(step, order), false)) != 0)
            return sotto_cli_fail(&memory);
        text += length;
        if (*text == '\0')
            return SOTTO_CLI_GO_ON;
    }
}

static void print_divergences(const json_t *orders, const json_t *divergences, bool quiet)
{
    for (size_t i = 0; i < json_array_size(orders); i++) {
        const json_t *item = json_array_get(divergences, i);
        double divergence = json_is_null(item) ? HUGE_VAL : json_number_value(item);
        if (!quiet)
            (void)printf("order %-12.10g ", json_number_value(json_array_get(orders, i)));
        (void)printf("%.17g\n", divergence);
    }
}

static int answer_rdp(const question *asked, const query *q, bool as_json, bool quiet)
{
    sotto_error err = {0};
    sotto_mechanism step;
    if (sotto_mechanism_sampled_gaussian(&step, q->sample_rate, q->noise_multiplier, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    json_t *orders = json_array();
    json_t *divergences = json_array();
    int ended = collect_orders(q->orders, &step, orders, divergences);
    if (ended == SOTTO_CLI_GO_ON && as_json) {
        json_t *record = inputs_json(asked, q);
        bool sound = record && json_object_set(record, "order", orders) == 0 &&
                     json_object_set(record, "rdp", divergences) == 0 &&
                     json_object_set_new(record, "accountant", json_string("rdp")) == 0;
        ended = print_record(record, sound);
    } else if (ended == SOTTO_CLI_GO_ON) {
        print_divergences(orders, divergences, quiet);
        ended = sotto_cli_finish();
    }
    json_decref(orders);
    json_decref(divergences);
    return ended;
}

/* ------------------------------------------------------------------ command */

static int check_accountant(const char *command, const char *name)
{
    if (!name || strcmp(name, "rdp") == 0)
        return SOTTO_CLI_GO_ON;
    return sotto_cli_usage(command,
                           "--accountant '%.60s' is not in this version, which has rdp; leave the option out "
                           "or give rdp",
                           name);
}

static int ask(const question *asked, int argc, char **argv)
{
    query q = {0};
    const char *accountant = NULL;
    bool as_json = false, quiet = false;
    const sotto_option numbers[] = {
        {"sample-rate", SOTTO_OPTION_NUMBER, &q.sample_rate, true, 0, 1, SOTTO_LIMITS_OPEN_LOW, false},
        {"noise-multiplier", SOTTO_OPTION_NUMBER, &q.noise_multiplier, true, 0, HUGE_VAL,
         SOTTO_LIMITS_OPEN_LOW, false},
        {"steps", SOTTO_OPTION_COUNT, &q.steps, true, 1, (double)SOTTO_ACCOUNTANT_MAX_COUNT,
         SOTTO_LIMITS_CLOSED, false},
        {"epsilon", SOTTO_OPTION_NUMBER, &q.epsilon, true, 0, HUGE_VAL,
         asked->answer == answer_delta ? SOTTO_LIMITS_CLOSED : SOTTO_LIMITS_OPEN_LOW, false},
        {"delta", SOTTO_OPTION_NUMBER, &q.delta, true, 0, 1, SOTTO_LIMITS_OPEN, false},
        {.name = "order", .kind = SOTTO_OPTION_TEXT, .value = &q.orders, .required = true},
    };
    sotto_option options[9] = {
        {.name = "accountant", .kind = SOTTO_OPTION_TEXT, .value = &accountant},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    size_t count = 3;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (asked->takes & (1u << i)) /* in the order of the bits */
            options[count++] = numbers[i];
    char command[32];
    (void)snprintf(command, sizeof command, "account %s", asked->name);
    sotto_usage usage = {command, asked->help, options, count, NULL, 0, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_accountant(command, accountant);
    if (ended == SOTTO_CLI_GO_ON)
        ended = asked->answer ? answer_one(asked, &q, as_json, quiet) : answer_rdp(asked, &q, as_json, quiet);
    sotto_cli_release(&usage);
    return ended;
}

int sotto_command_account(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < question_count; i++)
        if (strcmp(argv[1], questions[i].name) == 0)
            return ask(&questions[i], argc - 1, argv + 1);
    sotto_usage usage = {.command = "account", .help = help};
    if (argc > 1 && argv[1][0] != '-')
        return sotto_cli_usage(
            "account", "unknown question '%.60s'; expected epsilon, delta, noise, steps or rdp", argv[1]);
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON)
        ended = sotto_cli_usage("account", "no question; expected epsilon, delta, noise, steps or rdp");
    return ended;
}
