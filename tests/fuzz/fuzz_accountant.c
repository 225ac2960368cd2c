/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sotto/accountant.h"

/*
 * Bytes become calls of the accountant's public functions. Whatever they are, each call must end in a status
 * with words or in a number that can be one, what was refused must leave no trace, and what is handed out
 * must keep what it promises.
 */

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* How far a search over orders may miss the best where a curve has kinks, as interpolated ones do. */
static const double ACCURACY = 1e-4;

enum { MECHANISMS = 6, MOST_CALLS = 24, MOST_SEARCHES = 4 };

typedef struct state {
    const uint8_t *data;
    size_t size;
    sotto_accountant *accountant;
    sotto_accountant *run;         /* what one run of a selection costs; NULL before it is made */
    sotto_budget *budget, *filter; /* NULL before they are made */
    sotto_mechanism mechanisms[MECHANISMS];
    int known;
    int searches;       /* calibrations and the like, which take milliseconds */
    bool has_valleys;   /* was a release composed whose bound is the lesser of two? */
    bool distributions; /* has the one question that takes longest been asked? */
    sotto_error err;
} state;

static unsigned byte(state *s)
{
    if (s->size == 0)
        return 0;
    s->size--;
    return *s->data++;
}

/* Any double, a notable one, or one between powers of ten in 256 or 65536 steps. */
static double number(state *s, double low, double high)
{
    static const double notable[] = {
        0.0,     -0.0,         1.0,     -1.0,   0.5,   NAN,  INFINITY,          -INFINITY,
        DBL_MIN, DBL_TRUE_MIN, DBL_MAX, 1e-300, 1e300, 1e15, 1.0 - DBL_EPSILON, 1.0 + DBL_EPSILON};
    const unsigned how = byte(s);
    if (how < 24)
        return notable[how % (sizeof notable / sizeof *notable)];
    if (how < 32) {
        uint64_t bits = 0;
        double value;
        for (int i = 0; i < 8; i++)
            bits = bits << 8 | byte(s);
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    const double share = how < 128 ? byte(s) / 255.0 : (256 * byte(s) + byte(s)) / 65535.0;
    return pow(10.0, low + share * (high - low));
}

static double delta_of(state *s)
{
    return number(s, -12.0, -0.01);
}

static double epsilon_of(state *s)
{
    return number(s, -3.0, 2.0);
}

static uint64_t count_of(state *s)
{
    const unsigned how = byte(s);
    if (how < 8)
        return ((const uint64_t[]){0, 1, SOTTO_ACCOUNTANT_MAX_COUNT, SOTTO_ACCOUNTANT_MAX_COUNT + 1,
                                   UINT64_MAX, SOTTO_ACCOUNTANT_MAX_COUNT - 1, 2, 3})[how];
    return (uint64_t)pow(10.0, how % 64 / 10.0);
}

/* A refusal has its code and words; a success left the error alone. */
static bool succeeded(state *s, sotto_status status)
{
    if (status == SOTTO_OK) {
        REQUIRE(s->err.message[0] == '\0');
        return true;
    }
    REQUIRE(status == SOTTO_ERROR_INPUT || status == SOTTO_ERROR_BUDGET || status == SOTTO_ERROR_NUMERIC);
    REQUIRE(s->err.code == status && strlen(s->err.message) > 10);
    s->err = (sotto_error){0};
    return false;
}

static sotto_status construct(state *s, sotto_mechanism *out, unsigned which)
{
    typedef sotto_status (*plain)(sotto_mechanism *, double, sotto_error *);
    static const plain unsampled[] = {sotto_mechanism_gaussian, sotto_mechanism_discrete_gaussian,
                                      sotto_mechanism_laplace,  sotto_mechanism_pure,
                                      sotto_mechanism_zcdp,     sotto_mechanism_exponential};
    if (which == 9)
        return sotto_mechanism_selection(out, s->run, number(s, -1.0, 1.0), number(s, 0.0, 3.0), &s->err);
    if (which < 6)
        return unsampled[which](out, number(s, -2.0, 3.0), &s->err);
    const double rate = number(s, -5.0, 0.0), noise = number(s, -0.7, 2.0);
    if (which == 6)
        return sotto_mechanism_sampled_discrete_gaussian(out, rate, noise, &s->err);
    if (which == 7)
        return sotto_mechanism_gaussian_without_replacement(out, rate, noise, &s->err);
    return sotto_mechanism_sampled_gaussian(out, rate, noise, &s->err);
}

static void check_mechanism(state *s, const sotto_mechanism *m)
{
    REQUIRE(sotto_mechanism_check(m, NULL) == SOTTO_OK && sotto_mechanism_equal(m, m));
    REQUIRE(sotto_mechanism_kind_name(m->kind) && sotto_adjacency_name(m->adjacency));
    const double low = 1.0 + number(s, -4.0, 4.0), high = low + fabs(number(s, -3.0, 4.0));
    const double at_low = sotto_mechanism_rdp(m, low), at_high = sotto_mechanism_rdp(m, high);
    REQUIRE(at_low >= 0.0 && at_high >= 0.0);
    if (low >= 1.0 && isfinite(high)) /* never falling */
        REQUIRE(at_high >= at_low * (1.0 - 1e-9));
}

static void make_mechanism(state *s)
{
    sotto_mechanism made, other;
    if (!succeeded(s, construct(s, &made, byte(s) % 12)))
        return;
    const unsigned further = byte(s);
    if (further % 8 == 1 && succeeded(s, sotto_mechanism_with_adjacency(
                                             &other, &made, (sotto_adjacency)(further / 8 % 4), &s->err)))
        made = other;
    if (further % 8 == 2 && succeeded(s, sotto_mechanism_group(&other, &made, count_of(s) % 65, &s->err)))
        made = other;
    check_mechanism(s, &made);
    if (further % 8 == 3) /* spoilt: no function may fall for it */
        ((uint8_t *)&made)[byte(s) % offsetof(sotto_mechanism, run)] ^= (uint8_t)byte(s);
    s->mechanisms[s->known++ % MECHANISMS] = made;
}

static const sotto_mechanism *some_mechanism(state *s);

/* What a selection repeats: made once, since selections borrow it. */
static void make_run(state *s)
{
    const sotto_mechanism *m = some_mechanism(s);
    if (!m || s->run || !succeeded(s, sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &s->run, &s->err)))
        return;
    (void)succeeded(s, sotto_accountant_compose(s->run, m, count_of(s), &s->err));
}

static const sotto_mechanism *some_mechanism(state *s)
{
    const int known = s->known < MECHANISMS ? s->known : MECHANISMS;
    return known ? &s->mechanisms[byte(s) % known] : NULL;
}

static void compose(state *s)
{
    const sotto_mechanism *m = some_mechanism(s);
    const double before = sotto_accountant_rdp(s->accountant, 3.0);
    const sotto_status status = sotto_accountant_compose(s->accountant, m, count_of(s), &s->err);
    const double after = sotto_accountant_rdp(s->accountant, 3.0);
    REQUIRE(after >= before);
    if (!succeeded(s, status))
        REQUIRE(after == before);
    else if (m->kind == SOTTO_MECHANISM_SELECTION || m->kind == SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT)
        s->has_valleys = true;
}

static void ask_epsilon(state *s)
{
    const double delta = delta_of(s);
    double epsilon = -1.0, order = -1.0, other = -1.0;
    if (!succeeded(s, sotto_accountant_epsilon(s->accountant, delta, &epsilon, &order, &s->err))) {
        REQUIRE(epsilon == -1.0 && order == -1.0);
        return;
    }
    REQUIRE(delta > 0.0 && delta < 1.0 && epsilon >= 0.0 && order >= 1.0);
    if (succeeded(s, sotto_accountant_epsilon(s->accountant, sqrt(delta), &other, NULL, &s->err)))
        REQUIRE(other <= epsilon * (1.0 + ACCURACY) + 1e-300);
    /* the last digits of more are whole nats; and a search in a curve of several valleys may end in either */
    if (epsilon < 1e6 && !s->has_valleys) {
        REQUIRE(succeeded(s, sotto_accountant_delta(s->accountant, epsilon, &other, NULL, &s->err)));
        REQUIRE(other <= delta * (1.0 + ACCURACY) + 1e-300);
    }
}

static void ask_delta(state *s)
{
    const double epsilon = epsilon_of(s);
    double delta = -1.0, order = -1.0;
    if (succeeded(s, sotto_accountant_delta(s->accountant, epsilon, &delta, &order, &s->err)))
        REQUIRE(epsilon >= 0.0 && delta >= 0.0 && delta <= 1.0 && order >= 1.0);
    else
        REQUIRE(delta == -1.0 && order == -1.0);
}

static void make_budgets(state *s)
{
    sotto_budget *made = NULL;
    const double epsilon = epsilon_of(s), delta = delta_of(s);
    if (succeeded(s, sotto_budget_create((sotto_accountant_kind)(byte(s) % 16 ? 1 : 3), epsilon, delta, &made,
                                         &s->err))) {
        sotto_budget_destroy(s->budget);
        s->budget = made;
    }
    made = NULL;
    if (succeeded(s, sotto_budget_create_filter(epsilon, delta, s->accountant, &made, &s->err))) {
        double guaranteed;
        REQUIRE(sotto_budget_epsilon(made, &guaranteed, NULL, NULL) == SOTTO_OK && guaranteed <= epsilon);
        sotto_budget_destroy(s->filter);
        s->filter = made;
    } else {
        REQUIRE(!made);
    }
}

static void charge(state *s, sotto_budget *budget)
{
    const sotto_mechanism *m = some_mechanism(s);
    if (!budget || !m)
        return;
    const uint64_t left = sotto_budget_remaining(budget, m),
                   count = byte(s) % 2 ? count_of(s) : left + byte(s) % 2;
    const bool fine = sotto_mechanism_check(m, NULL) == SOTTO_OK,
               fits = sotto_budget_allows(budget, m, count);
    size_t before, after;
    double spent = -1.0, now = -1.0;
    const double target = sotto_budget_target_epsilon(budget);
    REQUIRE(left <= SOTTO_ACCOUNTANT_MAX_COUNT && (fine || (left == 0 && !fits)) && (!fits || count <= left));
    (void)sotto_budget_charges(budget, &before);
    REQUIRE(sotto_budget_epsilon(budget, &spent, NULL, NULL) == SOTTO_OK && spent <= target);
    const bool done =
        succeeded(s, sotto_budget_charge(budget, m, count, byte(s) % 8 ? "some" : "other", &s->err));
    REQUIRE(done == fits);
    (void)sotto_budget_charges(budget, &after);
    REQUIRE(sotto_budget_epsilon(budget, &now, NULL, NULL) == SOTTO_OK && now <= target);
    REQUIRE(sotto_budget_remaining(budget, m) == (done ? left - count : left));
    REQUIRE(done ? after >= before && after <= before + 1 : after == before && now == spent);
}

/* What was calibrated is borne by a budget: asked once in an input, since it searches all over again. */
static void require_borne(const state *s, double epsilon, double delta, const sotto_mechanism *m,
                          uint64_t steps)
{
    sotto_budget *budget = NULL;
    if (s->searches > 1)
        return;
    REQUIRE(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &budget, NULL) == SOTTO_OK);
    REQUIRE(sotto_budget_allows(budget, m, steps));
    sotto_budget_destroy(budget);
}

static void calibrate_number(state *s, unsigned which)
{
    const double epsilon = epsilon_of(s), delta = delta_of(s), rate = number(s, -4.0, 0.0),
                 noise = number(s, -0.3, 1.5);
    const uint64_t steps = count_of(s) % 100000;
    const sotto_accountant *rest = byte(s) % 2 ? s->accountant : NULL;
    double found = -1.0;
    sotto_mechanism m;
    if (which == 0) {
        if (succeeded(s, sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, epsilon, delta, rate, steps,
                                                          rest, &found, &s->err))) {
            REQUIRE(found > 0.0 && found <= 1e15);
            REQUIRE(sotto_mechanism_sampled_gaussian(&m, rate, found, NULL) == SOTTO_OK);
            if (!rest)
                require_borne(s, epsilon, delta, &m, steps);
        }
    } else if (which == 1) {
        if (succeeded(s, sotto_calibrate_sample_rate(SOTTO_ACCOUNTANT_RDP, epsilon, delta, noise, steps, rest,
                                                     &found, &s->err))) {
            REQUIRE(found >= 0.0 && found <= 1.0);
            REQUIRE(sotto_mechanism_sampled_gaussian(&m, found, noise, NULL) == SOTTO_OK);
            if (!rest)
                require_borne(s, epsilon, delta, &m, steps);
        }
    } else if (succeeded(s, sotto_calibrate_delta(SOTTO_ACCOUNTANT_RDP, epsilon, rate, noise, steps, rest,
                                                  &found, &s->err))) {
        REQUIRE(found >= 0.0 && found < 1.0);
        REQUIRE(sotto_mechanism_sampled_gaussian(&m, rate, noise, NULL) == SOTTO_OK);
        if (!rest && found > 0.0)
            require_borne(s, epsilon, found, &m, steps);
    }
}

static void calibrate_steps(state *s)
{
    const double epsilon = epsilon_of(s), delta = delta_of(s);
    const sotto_mechanism *m = some_mechanism(s);
    uint64_t steps = 42;
    if (succeeded(s, sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, epsilon, delta, m, NULL, &steps, &s->err))) {
        REQUIRE(steps <= SOTTO_ACCOUNTANT_MAX_COUNT);
        require_borne(s, epsilon, delta, m, steps);
    } else {
        REQUIRE(steps == 42);
    }
}

/* The other kind of accountant, over parameters that it answers in milliseconds. */
static void ask_distributions(state *s)
{
    sotto_accountant *by_losses = NULL, *by_renyi = NULL;
    sotto_mechanism m;
    double tight = -1.0, loose = -1.0, delta = pow(10.0, -1.0 - byte(s) / 32.0);
    REQUIRE(sotto_accountant_create(SOTTO_ACCOUNTANT_PLD, &by_losses, NULL) == SOTTO_OK);
    REQUIRE(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &by_renyi, NULL) == SOTTO_OK);
    for (int i = 0; i < 2; i++) {
        const double rate = pow(10.0, byte(s) / -85.0), noise = 0.5 + byte(s) / 16.0;
        const uint64_t count = 1 + byte(s);
        REQUIRE(sotto_mechanism_sampled_gaussian(&m, rate, noise, NULL) == SOTTO_OK);
        REQUIRE(sotto_accountant_compose(by_losses, &m, count, NULL) == SOTTO_OK);
        REQUIRE(sotto_accountant_compose(by_renyi, &m, count, NULL) == SOTTO_OK);
    }
    REQUIRE(sotto_accountant_epsilon(by_losses, delta, &tight, NULL, NULL) == SOTTO_OK);
    REQUIRE(sotto_accountant_epsilon(by_renyi, delta, &loose, NULL, NULL) == SOTTO_OK);
    REQUIRE(tight >= 0.0 && tight <= loose);
    REQUIRE(sotto_accountant_delta(by_losses, tight, &delta, NULL, NULL) == SOTTO_OK);
    REQUIRE(delta >= 0.0 && delta <= 1.0);
    sotto_accountant_destroy(by_losses);
    sotto_accountant_destroy(by_renyi);
}

/* Certified bounds and error rates of whatever was composed, at a gap so wide that most need one grid. */
static void ask_bounds(state *s)
{
    const double gap = 1.0, delta = delta_of(s), epsilon = epsilon_of(s);
    const double wrongly[] = {0.0, number(s, -9.0, 0.0), 1.0};
    double lower = -1.0, upper = -1.0, missed[3] = {-1.0, -1.0, -1.0}, loose = -1.0;
    if (succeeded(s, sotto_accountant_epsilon_bounds(s->accountant, delta, gap, &lower, &upper, &s->err))) {
        REQUIRE(lower >= 0.0 && lower <= upper);
        REQUIRE(sotto_accountant_epsilon(s->accountant, delta, &loose, NULL, NULL) == SOTTO_OK &&
                upper <= loose);
    } else {
        REQUIRE(lower == -1.0 && upper == -1.0);
    }
    if (succeeded(s, sotto_accountant_delta_bounds(s->accountant, epsilon, gap, &lower, &upper, &s->err)))
        REQUIRE(lower >= 0.0 && lower <= upper && upper <= 1.0);
    if (succeeded(s, sotto_accountant_tradeoff(s->accountant, wrongly, 3, missed, &s->err)))
        for (int i = 0; i < 3; i++)
            REQUIRE(missed[i] >= 0.0 && missed[i] <= 1.0 - wrongly[i]);
}

/* One of the calls that take milliseconds, of which an input has only so many. */
static void search(state *s, unsigned call)
{
    if (s->searches++ >= MOST_SEARCHES)
        return;
    if (call < 11)
        charge(s, call == 8 || call == 9 ? s->budget : s->filter);
    else if (call < 14)
        calibrate_number(s, call - 11);
    else if (call == 14)
        calibrate_steps(s);
    else if (!s->distributions && byte(s) % 4 == 0) {
        s->distributions = true;
        if (byte(s) % 2)
            ask_distributions(s);
        else
            ask_bounds(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    state s = {.data = data, .size = size};
    REQUIRE(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &s.accountant, NULL) == SOTTO_OK);
    for (int i = 0; i < MOST_CALLS && s.size > 0; i++) {
        const unsigned call = byte(&s) % 16;
        if (call < 3)
            make_mechanism(&s);
        else if (call == 3)
            byte(&s) % 4 ? compose(&s) : make_run(&s);
        else if (call == 4)
            compose(&s);
        else if (call == 5)
            ask_epsilon(&s);
        else if (call == 6)
            ask_delta(&s);
        else if (call == 7)
            make_budgets(&s);
        else
            search(&s, call);
    }
    sotto_budget_destroy(s.budget);
    sotto_budget_destroy(s.filter);
    sotto_accountant_destroy(s.accountant);
    sotto_accountant_destroy(s.run);
    return 0;
}
