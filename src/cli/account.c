/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/account.h"

/* ----------------------------------------------------------------- questions */

/* What a question takes, one bit each. */
enum {
    RATE = 1,
    NOISE = 2,
    STEPS = 4,
    EPSILON = 8,
    DELTA = 16,
    ORDERS = 32,
    GAP = 64,
    SAMPLING = 128,
    GROUP = 256,
};

typedef struct query {
    double sample_rate, noise_multiplier, epsilon, delta, gap;
    uint64_t steps, group;
    const char *orders;   /* as given: "2,4.5,8" */
    const char *sampling; /* NULL: Poisson */
    sotto_account_wish wish;
} query;

static bool without_replacement(const query *q)
{
    return q->sampling && strcmp(q->sampling, "without-replacement") == 0;
}

static sotto_status make_step(const query *q, sotto_mechanism *step, sotto_error *err)
{
    sotto_status status =
        without_replacement(q)
            ? sotto_mechanism_gaussian_without_replacement(step, q->sample_rate, q->noise_multiplier, err)
            : sotto_mechanism_sampled_gaussian(step, q->sample_rate, q->noise_multiplier, err);
    return status == SOTTO_OK ? sotto_mechanism_group(step, step, q->group, err) : status;
}

/* What the plan costs: ε at δ, or δ at ε. */
static sotto_status answer_cost(const query *q, sotto_account_answer *out, sotto_error *err)
{
    sotto_accountant *accountant = NULL;
    sotto_mechanism step;
    sotto_status status = make_step(q, &step, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(q->wish.kind, &accountant, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_compose(accountant, &step, q->steps, err);
    if (status == SOTTO_OK)
        status = sotto_account_find(accountant, &q->wish, out, err);
    sotto_accountant_destroy(accountant);
    return status;
}

/* How a plan that was found keeps its promise: the order, or what it costs at the least. */
static sotto_status prove(const query *found, double figure, sotto_account_answer *out, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    if (found->sample_rate > 0 && found->steps > 0)
        status = answer_cost(found, out, err);
    else
        *out = (sotto_account_answer){.order = 1}; /* nothing is done, so nothing is spent */
    out->figure = figure;
    return status;
}

static sotto_status answer_noise(const query *q, sotto_account_answer *out, sotto_error *err)
{
    query found = *q;
    sotto_status status = sotto_calibrate_noise_multiplier(q->wish.kind, q->epsilon, q->delta, q->sample_rate,
                                                           q->steps, NULL, &found.noise_multiplier, err);
    return status == SOTTO_OK ? prove(&found, found.noise_multiplier, out, err) : status;
}

static sotto_status answer_steps(const query *q, sotto_account_answer *out, sotto_error *err)
{
    query found = *q;
    sotto_mechanism step;
    sotto_status status = make_step(q, &step, err);
    if (status == SOTTO_OK)
        status = sotto_calibrate_steps(q->wish.kind, q->epsilon, q->delta, &step, NULL, &found.steps, err);
    /* at most 2^53, so that a double holds it */
    return status == SOTTO_OK ? prove(&found, (double)found.steps, out, err) : status;
}

static sotto_status answer_rate(const query *q, sotto_account_answer *out, sotto_error *err)
{
    query found = *q;
    sotto_status status = sotto_calibrate_sample_rate(q->wish.kind, q->epsilon, q->delta, q->noise_multiplier,
                                                      q->steps, NULL, &found.sample_rate, err);
    return status == SOTTO_OK ? prove(&found, found.sample_rate, out, err) : status;
}

typedef struct question {
    const char *name, *key; /* on the command line, in JSON */
    const char *help;
    unsigned takes;
    sotto_status (*answer)(const query *q, sotto_account_answer *out,
                           sotto_error *err); /* NULL: a list, by order */
} question;

#define ACCOUNTANT_HELP                                                                                         \
    "  --accountant rdp|pld     rdp (where not given): Rényi divergences over all orders; pld: privacy-loss\n" \
    "                           distributions, tighter, certified from both sides, milliseconds\n"
#define GAP_HELP                                                                                             \
    "  --gap G                  pld: how far apart the two sides may be, of ε; 1e-3 where not given\n"
#define OUTPUT_HELP                                                                                          \
    "  --json                   print the inputs and the answer as JSON, 17 digits\n"                        \
    "  --quiet                  print the answer alone, 17 digits\n"                                         \
    "\n"
#define SAMPLING_HELP                                                                                        \
    "  --sampling KIND          poisson (where not given), or without-replacement: batches of fixed size,\n" \
    "                           drawn afresh each step; rdp only. Neighbouring tables then have one row\n"   \
    "                           replaced, and S is over twice the clipping norm\n"                           \
    "  --group K                what is kept for K rows that join or leave together; 1 where not given\n"
#define PLAN_HELP                                                                                            \
    "A neighbouring table has one row more or less. Each step takes each row by an independent coin\n"       \
    "(Poisson sampling) and adds Gaussian noise of S times the clipping norm.\n"
#define ROUNDING_HELP                                                                                        \
    "ε, δ and noise are rounded up, steps and rates down.\n"                                               \
    "\n"                                                                                                     \
    "Example:\n"
#define COST_TAIL SAMPLING_HELP ACCOUNTANT_HELP GAP_HELP OUTPUT_HELP PLAN_HELP ROUNDING_HELP
#define PLAN_TAIL ACCOUNTANT_HELP OUTPUT_HELP PLAN_HELP ROUNDING_HELP
#define RDP_TAIL                                                                                             \
    "  --accountant rdp         the only one that this question has\n" OUTPUT_HELP PLAN_HELP "\nExample:\n"
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
     "\n" RATE_HELP NOISE_HELP STEPS_HELP DELTA_HELP COST_TAIL
     "  sotto account epsilon --sample-rate 0.01 --noise-multiplier 4 --steps 10000 --delta 1e-5\n",
     RATE | NOISE | STEPS | DELTA | GAP | SAMPLING | GROUP, answer_cost},
    {"delta", "delta",
     "Usage: sotto account delta --sample-rate Q --noise-multiplier S --steps T --epsilon E\n"
     "\n"
     "The δ that T steps keep at ε.\n"
     "\n" RATE_HELP NOISE_HELP STEPS_HELP EPSILON_HELP COST_TAIL
     "  sotto account delta --sample-rate 0.01 --noise-multiplier 4 --steps 10000 --epsilon 1\n",
     RATE | NOISE | STEPS | EPSILON | GAP | SAMPLING | GROUP, answer_cost},
    {"noise", "noise_multiplier",
     "Usage: sotto account noise --sample-rate Q --steps T --epsilon E --delta D\n"
     "\n"
     "The smallest noise multiplier at which T steps keep ε at δ.\n"
     "\n" RATE_HELP STEPS_HELP EPSILON_HELP DELTA_HELP PLAN_TAIL
     "  sotto account noise --sample-rate 0.01 --steps 10000 --epsilon 1 --delta 1e-5\n",
     RATE | STEPS | EPSILON | DELTA, answer_noise},
    {"steps", "steps",
     "Usage: sotto account steps --sample-rate Q --noise-multiplier S --epsilon E --delta D\n"
     "\n"
     "The largest number of steps that keep ε at δ.\n"
     "\n" RATE_HELP NOISE_HELP EPSILON_HELP DELTA_HELP SAMPLING_HELP PLAN_TAIL
     "  sotto account steps --sample-rate 0.01 --noise-multiplier 4 --epsilon 1 --delta 1e-5\n",
     RATE | NOISE | EPSILON | DELTA | SAMPLING | GROUP, answer_steps},
    {"rate", "sample_rate",
     "Usage: sotto account rate --noise-multiplier S --steps T --epsilon E --delta D\n"
     "\n"
     "The largest sample rate at which T steps keep ε at δ: rows of the table times this are the largest\n"
     "expected batch.\n"
     "\n" NOISE_HELP STEPS_HELP EPSILON_HELP DELTA_HELP PLAN_TAIL
     "  sotto account rate --noise-multiplier 1.1 --steps 10000 --epsilon 1 --delta 1e-5\n",
     NOISE | STEPS | EPSILON | DELTA, answer_rate},
    {"rdp", "rdp",
     "Usage: sotto account rdp --sample-rate Q --noise-multiplier S --order A[,A...]\n"
     "\n"
     "The Rényi divergence of one step at each order, in nats; at order 1 the Kullback-Leibler divergence.\n"
     "\n" RATE_HELP NOISE_HELP "  --order A[,A...]         orders of 1 or more, apart by commas\n" RDP_TAIL
     "  sotto account rdp --sample-rate 0.01 --noise-multiplier 1 --order 2,4.5,32\n",
     RATE | NOISE | ORDERS, NULL},
};
static const size_t question_count = sizeof questions / sizeof *questions;

#define QUESTIONS "epsilon, delta, noise, steps, rate, rdp or compose"

static const char help[] =
    "Usage: sotto account epsilon|delta|noise|steps|rate|rdp|compose [OPTIONS]\n"
    "\n"
    "Answers questions about a plan with the accountant that training charges with.\n"
    "  epsilon   what T steps cost, at δ\n"
    "  delta     what T steps cost, at ε\n"
    "  noise     the smallest noise multiplier that keeps (ε, δ)\n"
    "  steps     the largest number of steps that keep (ε, δ)\n"
    "  rate      the largest sample rate that keeps (ε, δ)\n"
    "  rdp       one step's Rényi divergence at each order\n"
    "  compose   what a list of releases of different kinds costs; read from a file\n"
    "`sotto account QUESTION --help` lists what each takes. All print JSON with --json, and the answer\n"
    "alone with --quiet.\n"
    "\n"
    "Example:\n"
    "  sotto account noise --sample-rate 0.01 --steps 10000 --epsilon 1 --delta 1e-5\n";

/* ------------------------------------------------------------------- answers */

static bool put_sampling(json_t *record, const question *asked, const query *q)
{
    const bool fixed = without_replacement(q);
    const char *adjacency =
        sotto_adjacency_name(fixed ? SOTTO_ADJACENCY_REPLACE_ONE : SOTTO_ADJACENCY_ADD_REMOVE);
    bool sound = json_object_set_new(record, "adjacency", json_string(adjacency)) == 0;
    if (sound && asked->takes & SAMPLING)
        sound = json_object_set_new(record, "sampling",
                                    json_string(fixed ? "without-replacement" : "poisson")) == 0;
    if (sound && asked->takes & GROUP)
        sound = json_object_set_new(record, "group", json_integer((json_int_t)q->group)) == 0;
    return sound;
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
    if (sound && asked->answer)
        sound = put_sampling(record, asked, q);
    if (!sound) {
        json_decref(record);
        record = NULL;
    }
    return record;
}

static int print_answer_json(const question *asked, const query *q, const sotto_account_answer *a)
{
    json_t *record = inputs_json(asked, q);
    json_t *figure = asked->answer == answer_steps ? json_integer((json_int_t)a->figure)
                                                   : sotto_account_figure_json(a->figure);
    bool sound = json_object_set_new(record, asked->key, figure) == 0 &&
                 sotto_account_put_kind(record, &q->wish, asked->takes & GAP) &&
                 sotto_account_put_proof(record, &q->wish, a);
    return sotto_account_print_record(record, sound);
}

/* "noise multiplier 0.9 keeps ε = 1 at δ = 1e-5 (…)" */
static void print_plan_words(const question *asked, const query *q, const sotto_account_answer *a)
{
    char figure[SOTTO_FIGURE_SIZE], epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE],
        lower[SOTTO_FIGURE_SIZE];
    sotto_figure_exact(q->epsilon, epsilon);
    sotto_figure_exact(q->delta, delta);
    sotto_figure_up(a->figure, 6, figure);
    sotto_account_figure_down(a->lower, 6, lower);
    if (asked->answer == answer_noise)
        (void)printf("noise multiplier %s keeps", figure);
    else if (asked->answer == answer_steps)
        (void)printf("%.0f steps keep", a->figure);
    else {
        sotto_account_figure_down(a->figure, 6, figure);
        (void)printf("sample rate %s keeps", figure);
    }
    (void)printf(" ε = %s at δ = %s", epsilon, delta);
    if (q->wish.kind == SOTTO_ACCOUNTANT_RDP)
        (void)printf(" (Rényi accountant, order %.6g)\n", a->order);
    else
        (void)printf(" (certified: what is kept is no less than %s; privacy-loss distributions)\n", lower);
}

/* Whom the promise is for, where that is not what everybody takes for granted. */
static void print_neighbours(const query *q)
{
    if (without_replacement(q))
        (void)printf("for tables of one size in which one row is replaced by another; the noise is over "
                     "twice the clipping norm\n");
    if (q->group > 1)
        (void)printf("for any %llu rows that join or leave together\n", (unsigned long long)q->group);
}

static int answer_one(const question *asked, const query *q, bool as_json, bool quiet)
{
    sotto_error err = {0};
    sotto_account_answer a = {0};
    if (asked->answer(q, &a, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (as_json)
        return print_answer_json(asked, q, &a);
    if (quiet)
        (void)printf("%.17g\n", a.figure);
    else {
        if (asked->answer == answer_cost)
            sotto_account_print_words(&q->wish, &a);
        else
            print_plan_words(asked, q, &a);
        print_neighbours(q);
    }
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
            json_array_append_new(divergences, sotto_account_figure_json(sotto_mechanism_rdp(step, order))) !=
                0)
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
                     sotto_account_put_kind(record, &q->wish, false);
        ended = sotto_account_print_record(record, sound);
    } else if (ended == SOTTO_CLI_GO_ON) {
        print_divergences(orders, divergences, quiet);
        ended = sotto_cli_finish();
    }
    json_decref(orders);
    json_decref(divergences);
    return ended;
}

/* ------------------------------------------------------------------ command */

static int check_sampling(const char *command, const query *q)
{
    if (!q->sampling || strcmp(q->sampling, "poisson") == 0)
        return SOTTO_CLI_GO_ON;
    if (!without_replacement(q))
        return sotto_cli_usage(
            command, "--sampling '%.60s' is unknown; expected poisson or without-replacement", q->sampling);
    if (q->wish.kind != SOTTO_ACCOUNTANT_RDP)
        return sotto_cli_usage(command,
                               "--sampling without-replacement is for --accountant rdp; no privacy-loss "
                               "distribution is known");
    return SOTTO_CLI_GO_ON;
}

static int check_kind(const question *asked, const char *command, const char *name, query *q)
{
    if (!asked->answer && name && strcmp(name, "rdp") != 0)
        return sotto_cli_usage(command, "--accountant '%.60s' has no Rényi divergence; expected rdp", name);
    q->wish.for_delta = asked->answer && strcmp(asked->key, "delta") == 0;
    q->wish.epsilon = q->epsilon;
    q->wish.delta = q->delta;
    int ended = sotto_account_read_kind(command, name, q->gap, &q->wish);
    return ended == SOTTO_CLI_GO_ON ? check_sampling(command, q) : ended;
}

static int ask(const question *asked, int argc, char **argv)
{
    query q = {.group = 1, .gap = NAN, .wish = sotto_account_wish_default()};
    const char *accountant = NULL;
    bool as_json = false, quiet = false;
    const bool wants_delta = strcmp(asked->key, "delta") == 0;
    const double most = (double)SOTTO_ACCOUNTANT_MAX_COUNT;
    const sotto_option all[] = {
        {"sample-rate", SOTTO_OPTION_NUMBER, &q.sample_rate, true, 0, 1, SOTTO_LIMITS_OPEN_LOW, false},
        {"noise-multiplier", SOTTO_OPTION_NUMBER, &q.noise_multiplier, true, 0, HUGE_VAL,
         SOTTO_LIMITS_OPEN_LOW, false},
        {"steps", SOTTO_OPTION_COUNT, &q.steps, true, 1, most, SOTTO_LIMITS_CLOSED, false},
        {"epsilon", SOTTO_OPTION_NUMBER, &q.epsilon, true, 0, HUGE_VAL,
         wants_delta ? SOTTO_LIMITS_CLOSED : SOTTO_LIMITS_OPEN_LOW, false},
        {"delta", SOTTO_OPTION_NUMBER, &q.delta, true, 0, 1, SOTTO_LIMITS_OPEN, false},
        {.name = "order", .kind = SOTTO_OPTION_TEXT, .value = &q.orders, .required = true},
        {"gap", SOTTO_OPTION_NUMBER, &q.gap, false, SOTTO_ACCOUNTANT_LEAST_GAP, 1, SOTTO_LIMITS_CLOSED,
         false},
        {.name = "sampling", .kind = SOTTO_OPTION_TEXT, .value = &q.sampling},
        {"group", SOTTO_OPTION_COUNT, &q.group, false, 1, most, SOTTO_LIMITS_CLOSED, false},
    };
    sotto_option options[3 + sizeof all / sizeof *all] = {
        {.name = "accountant", .kind = SOTTO_OPTION_TEXT, .value = &accountant},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    size_t count = 3;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (asked->takes & (1u << i)) /* in the order of the bits */
            options[count++] = all[i];
    char command[32];
    (void)snprintf(command, sizeof command, "account %s", asked->name);
    sotto_usage usage = {command, asked->help, options, count, NULL, 0, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_kind(asked, command, accountant, &q);
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
    if (argc > 1 && strcmp(argv[1], "compose") == 0)
        return sotto_command_account_compose(argc - 1, argv + 1);
    sotto_usage usage = {.command = "account", .help = help};
    if (argc > 1 && argv[1][0] != '-')
        return sotto_cli_usage("account", "unknown question '%.60s'; expected " QUESTIONS, argv[1]);
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON)
        ended = sotto_cli_usage("account", "no question; expected " QUESTIONS);
    return ended;
}
