/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- nonsense ---- */

static const sotto_accountant_kind both[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};

/* What each kind of number may not be. */
static const double no_noise[] = {NAN, -NAN, INFINITY, -INFINITY, -1.0, -DBL_TRUE_MIN};
static const double no_rate[] = {NAN,           INFINITY,          -INFINITY, -0.1,
                                 -DBL_TRUE_MIN, 1.0 + DBL_EPSILON, 2.0,       DBL_MAX};
static const double no_delta[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -1e-9, 1.5, DBL_MAX};
static const double no_target[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, -1.0, -DBL_TRUE_MIN};
static const uint64_t no_steps[] = {0, SOTTO_ACCOUNTANT_MAX_COUNT + 1, UINT64_MAX};
static const int no_kind[] = {0, 3, -1, 1000, INT32_MAX, INT32_MIN};

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

static sotto_error err;

/* Refused as nonsense, with words, and with nothing written but those. */
#define REFUSED(call)                                                                                        \
    do {                                                                                                     \
        err = (sotto_error){0};                                                                              \
        ck_assert_int_eq(call, SOTTO_ERROR_INPUT);                                                           \
        ck_assert_int_eq(err.code, SOTTO_ERROR_INPUT);                                                       \
        ck_assert_uint_gt(strlen(err.message), 20);                                                          \
    } while (0)

typedef sotto_status (*constructor)(sotto_mechanism *out, double parameter, sotto_error *err);
typedef sotto_status (*sampled_constructor)(sotto_mechanism *out, double rate, double noise,
                                            sotto_error *err);

static const constructor plain[] = {sotto_mechanism_gaussian, sotto_mechanism_discrete_gaussian,
                                    sotto_mechanism_laplace,  sotto_mechanism_pure,
                                    sotto_mechanism_zcdp,     sotto_mechanism_exponential};
static const sampled_constructor over_samples[] = {sotto_mechanism_sampled_gaussian,
                                                   sotto_mechanism_gaussian_without_replacement,
                                                   sotto_mechanism_sampled_discrete_gaussian};

START_TEST(no_mechanism_of_nonsense)
{
    sotto_mechanism untouched, before;
    memset(&untouched, 0x5a, sizeof untouched);
    before = untouched;
    for (int i = 0; i < LENGTH(no_noise); i++) {
        for (int k = 0; k < LENGTH(plain); k++)
            REFUSED(plain[k](&untouched, no_noise[i], &err));
        for (int k = 0; k < LENGTH(over_samples); k++)
            REFUSED(over_samples[k](&untouched, 0.5, no_noise[i], &err));
    }
    for (int i = 0; i < LENGTH(no_rate); i++)
        for (int k = 0; k < LENGTH(over_samples); k++)
            REFUSED(over_samples[k](&untouched, no_rate[i], 1.0, &err));
    const sotto_mechanism one = gaussian(1.0);
    REFUSED(sotto_mechanism_group(&untouched, NULL, 2, &err));
    REFUSED(sotto_mechanism_with_adjacency(&untouched, NULL, SOTTO_ADJACENCY_ADD_REMOVE, &err));
    REFUSED(sotto_mechanism_group(&untouched, &one, 0, &err));
    REFUSED(sotto_mechanism_group(&untouched, &one, UINT64_MAX, &err));
    for (int i = 0; i < LENGTH(no_kind); i++)
        REFUSED(sotto_mechanism_with_adjacency(&untouched, &one, (sotto_adjacency)no_kind[i], &err));
    ck_assert_int_eq(memcmp(&untouched, &before, sizeof before), 0);
}
END_TEST

/* A mechanism that no constructor made: each field spoilt in turn. */
static int spoilt(sotto_mechanism *out)
{
    const sotto_mechanism fine[] = {gaussian(1.0), sampled(0.1, 1.0)};
    int count = 0;
    for (int f = 0; f < 2; f++) {
        for (int i = 0; i < LENGTH(no_noise); i++, count++)
            out[count] = fine[f], out[count].noise_multiplier = no_noise[i];
        for (int i = 0; i < LENGTH(no_rate); i++, count++)
            out[count] = fine[f], out[count].sample_rate = no_rate[i];
        for (int i = 0; i < LENGTH(no_kind); i++, count++)
            out[count] = fine[f], out[count].adjacency = (sotto_adjacency)no_kind[i];
        out[count] = fine[f], out[count++].kind = (sotto_mechanism_kind)0;
        out[count] = fine[f], out[count++].kind = (sotto_mechanism_kind)-1;
        out[count] = fine[f], out[count++].kind = (sotto_mechanism_kind)INT32_MAX;
        out[count] = fine[f], out[count++].group_size = 0;
        out[count] = fine[f], out[count++].group_size = UINT64_MAX;
        out[count] = fine[f], out[count++].epsilon = 1.0;
        out[count] = fine[f], out[count++].rho = NAN;
    }
    return count;
}

START_TEST(spoilt_mechanisms_are_refused_everywhere)
{
    sotto_mechanism bad[80];
    const int count = spoilt(bad);
    ck_assert_int_gt(count, 50);
    sotto_accountant *plan = composed(sampled(0.1, 2.0), 10);
    for (int k = 0; k < 3; k++) {
        sotto_accountant *accountant;
        sotto_budget *budget;
        ck_assert_int_eq(sotto_accountant_create(both[k % 2], &accountant, NULL), SOTTO_OK);
        ck_assert_int_eq(k < 2 ? sotto_budget_create(both[k], 5, 1e-5, &budget, NULL)
                               : sotto_budget_create_filter(5, 1e-5, plan, &budget, NULL),
                         SOTTO_OK);
        for (int i = -1; i < count; i++) {
            const sotto_mechanism *m = i < 0 ? NULL : bad + i;
            uint64_t steps = 42;
            REFUSED(sotto_mechanism_check(m, &err));
            REFUSED(sotto_accountant_compose(accountant, m, 1, &err));
            REFUSED(sotto_accountant_compose(accountant, m, 0, &err));
            REFUSED(sotto_budget_charge(budget, m, 1, "bad", &err));
            REFUSED(sotto_budget_charge(budget, m, 0, "bad", &err));
            REFUSED(sotto_calibrate_steps(both[k % 2], 1, 1e-5, m, NULL, &steps, &err));
            ck_assert(!sotto_budget_allows(budget, m, 0) && sotto_budget_remaining(budget, m) == 0);
            ck_assert_double_eq(sotto_mechanism_rdp(m, 2.0), INFINITY);
            ck_assert_uint_eq(steps, 42);
        }
        size_t lines;
        (void)sotto_budget_charges(budget, &lines);
        ck_assert_uint_eq(lines, 0);
        ck_assert_double_eq(sotto_accountant_rdp(accountant, 2.0), 0.0);
        sotto_budget_destroy(budget);
        sotto_accountant_destroy(accountant);
    }
    sotto_accountant_destroy(plan);
}
END_TEST

START_TEST(no_order_of_nonsense)
{
    const double no_order[] = {NAN, INFINITY, -INFINITY, 0.0, -1.0, 1.0 - DBL_EPSILON, DBL_TRUE_MIN};
    const sotto_mechanism m = gaussian(1.0);
    sotto_accountant *accountant = composed(m, 3);
    for (int i = 0; i < LENGTH(no_order); i++) {
        ck_assert_double_eq(sotto_mechanism_rdp(&m, no_order[i]), INFINITY);
        ck_assert_double_eq(sotto_accountant_rdp(accountant, no_order[i]), INFINITY);
    }
    ck_assert(sotto_accountant_rdp(accountant, DBL_MAX) > 0.0);
    sotto_accountant_destroy(accountant);
}
END_TEST

START_TEST(no_question_of_nonsense)
{
    for (int k = 0; k < 2; k++) {
        sotto_accountant *accountant;
        const sotto_mechanism m = sampled(0.1, 1.0);
        double value = 42.0, order = 43.0;
        ck_assert_int_eq(sotto_accountant_create(both[k], &accountant, NULL), SOTTO_OK);
        for (int full = 0; full < 2; full++) {
            for (int i = 0; i < LENGTH(no_delta); i++) {
                REFUSED(sotto_accountant_epsilon(accountant, no_delta[i], &value, &order, &err));
                REFUSED(sotto_accountant_epsilon_bounds(accountant, no_delta[i], 1e-3, &value, &order, &err));
            }
            for (int i = 0; i < LENGTH(no_target); i++) {
                REFUSED(
                    sotto_accountant_epsilon_bounds(accountant, 1e-5, no_target[i], &value, &order, &err));
                REFUSED(sotto_accountant_delta_bounds(accountant, 1.0, no_target[i], &value, &order, &err));
                if (no_target[i] != 0.0)
                    REFUSED(
                        sotto_accountant_delta_bounds(accountant, no_target[i], 1e-3, &value, &order, &err));
            }
            for (int i = 0; i < LENGTH(no_target); i++)
                if (no_target[i] != 0.0)
                    REFUSED(sotto_accountant_delta(accountant, no_target[i], &value, &order, &err));
            ck_assert_int_eq(sotto_accountant_compose(accountant, &m, 3, NULL), SOTTO_OK);
        }
        REFUSED(sotto_accountant_compose(accountant, &m, UINT64_MAX, &err));
        REFUSED(sotto_accountant_compose(accountant, &m, SOTTO_ACCOUNTANT_MAX_COUNT - 5, &err));
        ck_assert(value == 42.0 && order == 43.0);
        sotto_accountant_destroy(accountant);
    }
    for (int i = 0; i < LENGTH(no_kind); i++) {
        sotto_accountant *none = NULL;
        sotto_budget *nothing = NULL;
        if (no_kind[i] == SOTTO_ACCOUNTANT_RDP || no_kind[i] == SOTTO_ACCOUNTANT_PLD)
            continue;
        REFUSED(sotto_accountant_create((sotto_accountant_kind)no_kind[i], &none, &err));
        REFUSED(sotto_budget_create((sotto_accountant_kind)no_kind[i], 1, 1e-5, &nothing, &err));
        ck_assert(!none && !nothing && !sotto_accountant_kind_name((sotto_accountant_kind)no_kind[i]));
        ck_assert_ptr_null(sotto_adjacency_name((sotto_adjacency)no_kind[i]));
    }
    sotto_accountant_destroy(NULL);
    sotto_budget_destroy(NULL);
}
END_TEST

/* Every calibration, with these arguments. */
static void calibrations_refuse(sotto_accountant_kind kind, double epsilon, double delta, double q,
                                double sigma, uint64_t steps, unsigned which)
{
    double value = 42.0;
    if (which & 1)
        REFUSED(sotto_calibrate_noise_multiplier(kind, epsilon, delta, q, steps, NULL, &value, &err));
    if (which & 2)
        REFUSED(sotto_calibrate_sample_rate(kind, epsilon, delta, sigma, steps, NULL, &value, &err));
    if (which & 4)
        REFUSED(sotto_calibrate_delta(kind, epsilon, q, sigma, steps, NULL, &value, &err));
    if (which & 8)
        REFUSED(sotto_calibrate_gaussian(kind, epsilon, delta, &value, &err));
    if (which & 16) {
        const sotto_mechanism m = gaussian(1.0);
        uint64_t count = 42;
        REFUSED(sotto_calibrate_steps(kind, epsilon, delta, &m, NULL, &count, &err));
        ck_assert_uint_eq(count, 42);
    }
    ck_assert_double_eq(value, 42.0);
}

START_TEST(no_calibration_of_nonsense)
{
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < LENGTH(no_target); i++)
            calibrations_refuse(both[k], no_target[i], 1e-5, 0.1, 1.0, 10, 1 | 2 | 4 | 8 | 16);
        for (int i = 0; i < LENGTH(no_delta); i++)
            calibrations_refuse(both[k], 1.0, no_delta[i], 0.1, 1.0, 10, 1 | 2 | 8 | 16);
        for (int i = 0; i < LENGTH(no_rate); i++)
            calibrations_refuse(both[k], 1.0, 1e-5, no_rate[i], 1.0, 10, 1 | 4);
        for (int i = 0; i < LENGTH(no_noise); i++)
            calibrations_refuse(both[k], 1.0, 1e-5, 0.1, no_noise[i], 10, 2 | 4);
        for (int i = 0; i < LENGTH(no_steps); i++)
            calibrations_refuse(both[k], 1.0, 1e-5, 0.1, 1.0, no_steps[i], 1 | 2 | 4);
    }
    for (int i = 0; i < LENGTH(no_kind); i++)
        if (no_kind[i] != SOTTO_ACCOUNTANT_RDP && no_kind[i] != SOTTO_ACCOUNTANT_PLD)
            calibrations_refuse((sotto_accountant_kind)no_kind[i], 1.0, 1e-5, 0.1, 1.0, 10,
                                1 | 2 | 4 | 8 | 16);
}
END_TEST

/* Extreme and yet valid: whatever the answer, it is one. */
START_TEST(extremes_have_answers)
{
    const double noises[] = {0.0, DBL_TRUE_MIN, 1e-300, 1e-9, 1.0, 1e9, 1e300, DBL_MAX},
                 rates[] = {0.0, DBL_TRUE_MIN, 1e-300, 1e-12, 0.5, 1.0 - DBL_EPSILON / 2, 1.0},
                 deltas[] = {DBL_TRUE_MIN, 1e-300, 1e-5, 0.5, 1.0 - DBL_EPSILON / 2};
    const uint64_t counts[] = {1, 1000000, SOTTO_ACCOUNTANT_MAX_COUNT};
    for (int n = 0; n < LENGTH(noises); n++)
        for (int r = 0; r < LENGTH(rates); r++)
            for (int c = 0; c < LENGTH(counts); c++) {
                sotto_accountant *accountant = composed(sampled(rates[r], noises[n]), counts[c]);
                for (int d = 0; d < LENGTH(deltas); d++)
                    ck_assert(epsilon_of(accountant, deltas[d]) >= 0.0);
                ck_assert(delta_of(accountant, 0.0) >= delta_of(accountant, 1.0));
                ck_assert(delta_of(accountant, DBL_MAX) >= 0.0);
                sotto_accountant_destroy(accountant);
            }
}
END_TEST

/* ---- no memory ---- */

/*
 * The allocator of the whole program, GSL's and the C library's calls included, so that the n-th request can
 * be made to fail and what is never given back be seen. Sanitizers bring their own.
 */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INTERPOSED 1

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *old);

static bool watched;      /* are requests counted? */
static long requests;     /* so far */
static long first_denied; /* from this one on */
static long last_denied;  /* up to this one; none where it is below the first */
static long held;         /* given out and not given back */

static bool is_denied(void)
{
    if (!watched)
        return false;
    requests++;
    if (requests >= first_denied && requests <= last_denied) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static void *count_held(void *given)
{
    held += watched && given;
    return given;
}

void *malloc(size_t size)
{
    return is_denied() ? NULL : count_held(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return is_denied() ? NULL : count_held(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (is_denied())
        return NULL;
    void *given = __libc_realloc(old, size);
    return old ? given : count_held(given);
}

void *memalign(size_t alignment, size_t size);

void *memalign(size_t alignment, size_t size)
{
    return is_denied() ? NULL : count_held(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *given = memalign(alignment, size);
    if (!given)
        return ENOMEM;
    *out = given;
    return 0;
}

void free(void *old)
{
    held -= watched && old;
    __libc_free(old);
}
#endif

enum { RESULTS = 12 };

/* Stops at the first failure; what was found before is a right answer, what comes after stays 0. */
typedef struct scenario {
    sotto_accountant_kind kind;
    sotto_status status;
    double found[RESULTS];
    int count;
} scenario;

static void note(scenario *s, double value)
{
    if (s->status == SOTTO_OK && s->count < RESULTS)
        s->found[s->count++] = value;
}

static void ask_accountant(scenario *s)
{
    sotto_accountant *accountant = NULL;
    double value = NAN;
    s->status = sotto_accountant_create(s->kind, &accountant, &err);
    for (int i = 0; s->status == SOTTO_OK && i < 6; i++) {
        sotto_mechanism m;
        s->status = sotto_mechanism_sampled_gaussian(&m, 0.1, 3.0 + i, &err);
        if (s->status == SOTTO_OK)
            s->status = sotto_accountant_compose(accountant, &m, 2, &err);
    }
    if (s->status == SOTTO_OK)
        s->status = sotto_accountant_epsilon(accountant, 1e-5, &value, NULL, &err);
    note(s, value);
    if (s->status == SOTTO_OK)
        s->status = sotto_accountant_delta(accountant, 0.5, &value, NULL, &err);
    note(s, value);
    sotto_accountant_destroy(accountant);
}

static void spend(scenario *s, sotto_budget *budget)
{
    double value = NAN;
    for (int i = 0; s->status == SOTTO_OK && i < 6; i++) {
        sotto_mechanism m;
        const char label[] = {(char)('a' + i), '\0'};
        s->status = sotto_mechanism_sampled_gaussian(&m, 0.1, 6.0 + i / 3, &err);
        if (s->status == SOTTO_OK)
            s->status = sotto_budget_charge(budget, &m, 1, label, &err);
        size_t lines;
        (void)sotto_budget_charges(budget, &lines);
        if (lines != (size_t)(i + (s->status == SOTTO_OK))) /* all or nothing */
            s->status = SOTTO_ERROR_NUMERIC;
    }
    if (s->status == SOTTO_OK)
        s->status = sotto_budget_epsilon(budget, &value, NULL, &err);
    note(s, value);
}

static void ask_budgets(scenario *s)
{
    sotto_budget *budget = NULL, *filter = NULL;
    sotto_accountant *plan = NULL;
    sotto_mechanism m;
    if (s->status == SOTTO_OK)
        s->status = sotto_budget_create(s->kind, 2.0, 1e-5, &budget, &err);
    if (s->status == SOTTO_OK)
        spend(s, budget);
    if (s->status == SOTTO_OK)
        s->status = sotto_accountant_create(s->kind, &plan, &err);
    if (s->status == SOTTO_OK)
        s->status = sotto_mechanism_sampled_gaussian(&m, 0.1, 6.0, &err);
    if (s->status == SOTTO_OK)
        s->status = sotto_accountant_compose(plan, &m, 30, &err);
    if (s->status == SOTTO_OK)
        s->status = sotto_budget_create_filter(2.0, 1e-5, plan, &filter, &err);
    if (s->status == SOTTO_OK)
        spend(s, filter);
    sotto_budget_destroy(budget);
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(plan);
}

static void ask_calibration(scenario *s)
{
    const double epsilon = 1.0, delta = 1e-5;
    double value = NAN;
    uint64_t steps = 0;
    sotto_mechanism m;
    if (s->status == SOTTO_OK)
        s->status = sotto_calibrate_noise_multiplier(s->kind, epsilon, delta, 0.1, 20, NULL, &value, &err);
    note(s, value);
    if (s->status == SOTTO_OK)
        s->status = sotto_calibrate_sample_rate(s->kind, epsilon, delta, 2.0, 20, NULL, &value, &err);
    note(s, value);
    if (s->status == SOTTO_OK)
        s->status = sotto_calibrate_delta(s->kind, epsilon, 0.1, 2.0, 20, NULL, &value, &err);
    note(s, value);
    if (s->status == SOTTO_OK)
        s->status = sotto_mechanism_gaussian(&m, 9.0, &err);
    if (s->status == SOTTO_OK)
        s->status = sotto_calibrate_steps(s->kind, epsilon, delta, &m, NULL, &steps, &err);
    note(s, (double)steps);
}

static scenario play(sotto_accountant_kind kind)
{
    scenario s = {.kind = kind};
    ask_accountant(&s);
    ask_budgets(&s);
    ask_calibration(&s);
    return s;
}

#ifdef INTERPOSED
static scenario play_denied(sotto_accountant_kind kind, long first, long last)
{
    requests = held = 0;
    first_denied = first;
    last_denied = last;
    watched = true;
    const scenario s = play(kind);
    watched = false;
    return s;
}

/* One request denied, or all from one on; at each, or a sample of them where there are many. */
static void deny_each(sotto_accountant_kind kind, int most)
{
    const scenario whole = play_denied(kind, 1, 0);
    const long total = requests;
    ck_assert_int_eq(whole.status, SOTTO_OK);
    ck_assert_int_eq(whole.count, 8);
    ck_assert_int_eq(held, 0);
    ck_assert_int_gt(total, 50);
    int failed = 0;
    for (long n = 1; n <= total; n += 1 + total / most)
        for (int on = 0; on < 2; on++) {
            err = (sotto_error){0};
            const scenario s = play_denied(kind, n, on ? total : n);
            ck_assert_msg(s.status == SOTTO_ERROR_MEMORY || s.status == SOTTO_OK,
                          "request %ld: status %d: %s", n, (int)s.status, err.message);
            ck_assert_msg(held == 0, "request %ld: %ld blocks were not given back", n, held);
            if (s.status != SOTTO_OK)
                ck_assert_ptr_nonnull(strstr(err.message, "memory"));
            for (int i = 0; i < s.count; i++)
                ck_assert_double_eq(s.found[i], whole.found[i]);
            failed += s.status != SOTTO_OK;
        }
    ck_assert_int_gt(failed, 10);
}
#endif

START_TEST(no_memory_is_survived)
{
#ifdef INTERPOSED
    deny_each(SOTTO_ACCOUNTANT_RDP, 2000);
#else
    ck_assert_int_eq(play(SOTTO_ACCOUNTANT_RDP).status, SOTTO_OK);
#endif
}
END_TEST

START_TEST(no_memory_is_survived_by_distributions)
{
#ifdef INTERPOSED
    deny_each(SOTTO_ACCOUNTANT_PLD, 60);
#else
    ck_assert_int_eq(play(SOTTO_ACCOUNTANT_PLD).status, SOTTO_OK);
#endif
}
END_TEST

TCase *hostility_tests(void)
{
    TCase *tests = tcase_create("hostility");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, no_mechanism_of_nonsense);
    tcase_add_test(tests, spoilt_mechanisms_are_refused_everywhere);
    tcase_add_test(tests, no_order_of_nonsense);
    tcase_add_test(tests, no_question_of_nonsense);
    tcase_add_test(tests, no_calibration_of_nonsense);
    tcase_add_test(tests, extremes_have_answers);
    tcase_add_test(tests, no_memory_is_survived);
    tcase_add_test(tests, no_memory_is_survived_by_distributions);
    return tests;
}
