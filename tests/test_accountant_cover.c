/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/internal.h"
#include "test_accountant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: the linker hands every allocation of the library and of these tests to the functions below
 * ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

static long allocations;       /* so far */
static long failing_from = -1; /* from which on there is no memory; −1: never */

static bool is_out_of_memory(void)
{
    return failing_from >= 0 && allocations++ >= failing_from;
}

void *__wrap_malloc(size_t size)
{
    return is_out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_out_of_memory() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_out_of_memory() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return is_out_of_memory() ? NULL : __real_strdup(text);
}

/* Allocations are counted from here, and those from the `first` on fail. */
static void fail_from(long first)
{
    allocations = 0;
    failing_from = first;
}

/* ---- the cover, with a judge that needs no ε ---- */

enum { MECHANISMS = 3 };

/* Uses cost what they cost, and there is 1 in all. Costs are whole multiples of 2^-40: sums are exact. */
typedef struct prices {
    sotto_mechanism mechanisms[MECHANISMS];
    double costs[MECHANISMS];
    int calls;
} prices;

static sotto_status judge_prices(const sotto_accountant *composition, const void *context, bool *keeps,
                                 sotto_error *err)
{
    (void)err;
    prices *p = (prices *)context;
    double sum = 0.0;
    for (size_t i = 0; i < composition->length; i++)
        for (int k = 0; k < MECHANISMS; k++)
            if (sotto_mechanism_equal(&composition->uses[i].mechanism, &p->mechanisms[k]))
                sum += (double)composition->uses[i].count * p->costs[k];
    *keeps = sum <= 1.0;
    p->calls++;
    return SOTTO_OK;
}

static int in_turn(int turn, int mechanisms, uint64_t *state)
{
    (void)state;
    return turn % mechanisms;
}

static int at_random(int turn, int mechanisms, uint64_t *state)
{
    (void)turn;
    return (int)between(state, 0, mechanisms);
}

static int seldom(int turn, int mechanisms, uint64_t *state)
{
    (void)state;
    return turn % 20 ? 0 : 1 + turn / 20 % (mechanisms - 1);
}

static int in_blocks(int turn, int mechanisms, uint64_t *state)
{
    (void)state;
    return turn / 50 % mechanisms;
}

typedef int (*pattern)(int turn, int mechanisms, uint64_t *state);

/* Play one loop until each mechanism was refused; how often the judge was asked. */
static int play(prices *p, int mechanisms, pattern next, int *turns, int *wrong)
{
    accountant_cover cover = {0};
    double spent = 0.0;
    uint64_t state = 5;
    unsigned open = (1u << mechanisms) - 1u;
    *turns = *wrong = 0;
    p->calls = 0;
    for (int i = 0; open; i++) {
        const int k = next(i, mechanisms, &state);
        accountant_cover_line *line = NULL;
        bool allowed;
        (void)accountant_cover_line_of(&cover, &p->mechanisms[k], &line, NULL);
        if (!accountant_cover_knows(&cover, line, 1, &allowed))
            (void)accountant_cover_ask(&cover, line, 1, judge_prices, p, &allowed, NULL);
        *wrong += allowed != (spent + p->costs[k] <= 1.0);
        *wrong += allowed && accountant_cover_room(&cover, line) < 1;
        line->charged += allowed;
        spent += allowed ? p->costs[k] : 0.0;
        *turns += allowed;
        if (!allowed)
            open &= ~(1u << k);
    }
    accountant_cover_free(&cover);
    return p->calls;
}

/* The cover says what its judge says, and asks it ever less: some times the logarithm of the turns. */
START_TEST(a_cover_asks_as_often_as_the_logarithm_of_the_turns)
{
    const pattern patterns[] = {in_turn, at_random, seldom, in_blocks};
    const double costs[][MECHANISMS] = {{1, 1, 1}, {1, 0.01, 0.3}, {0.001, 1, 0.001}, {1, 0.1, 0.01}};
    prices p = {.mechanisms = {gaussian(1.0), gaussian(2.0), gaussian(3.0)}};
    for (int which = 0; which < 4; which++)
        for (int c = 0; c < 4; c++)
            for (int mechanisms = 2; mechanisms <= MECHANISMS; mechanisms++)
                for (double length = 100; length <= 1e5; length *= 10) {
                    int turns, wrong;
                    for (int k = 0; k < MECHANISMS; k++)
                        p.costs[k] = ldexp(ceil(ldexp(costs[c][k] / length, 40)), -40);
                    const int calls = play(&p, mechanisms, patterns[which], &turns, &wrong);
                    ck_assert_int_eq(wrong, 0);
                    ck_assert_int_ge(turns, 90);
                    ck_assert_msg(calls <= 10.0 * log2(turns), "%d for %d turns of %d, pattern %d, costs %d",
                                  calls, turns, mechanisms, which, c);
                }
}
END_TEST

/* One large request is one question, a refusal two at most, and neither is asked again. */
START_TEST(a_cover_remembers_either_answer)
{
    prices p = {.mechanisms = {gaussian(1.0), gaussian(2.0), gaussian(3.0)}, .costs = {0x1p-10, 0x1p-12, 0}};
    accountant_cover cover = {0};
    accountant_cover_line *line;
    bool allowed;
    ck_assert_int_eq(accountant_cover_line_of(&cover, &p.mechanisms[0], &line, NULL), SOTTO_OK);
    ck_assert(!accountant_cover_knows(&cover, line, 1000, &allowed));
    ck_assert_int_eq(accountant_cover_ask(&cover, line, 1000, judge_prices, &p, &allowed, NULL), SOTTO_OK);
    ck_assert(allowed && p.calls == 1);
    ck_assert(accountant_cover_knows(&cover, line, 1000, &allowed) && allowed);
    ck_assert_uint_eq(accountant_cover_room(&cover, line), 1000);
    line->charged = 1000;
    ck_assert(!accountant_cover_knows(&cover, line, 25, &allowed));
    ck_assert_int_eq(accountant_cover_ask(&cover, line, 25, judge_prices, &p, &allowed, NULL), SOTTO_OK);
    ck_assert(!allowed && p.calls <= 3);
    p.calls = 0;
    ck_assert(accountant_cover_knows(&cover, line, 25, &allowed) && !allowed);
    ck_assert(accountant_cover_knows(&cover, line, SOTTO_ACCOUNTANT_MAX_COUNT, &allowed) && !allowed);
    ck_assert(accountant_cover_knows(&cover, line, UINT64_MAX, &allowed) && !allowed);
    ck_assert(accountant_cover_knows(&cover, line, 0, &allowed) && allowed);
    ck_assert(!accountant_cover_knows(&cover, line, 24, &allowed));

    /* what was only asked about leaves one line at most, and another's question does not undo the refusal */
    for (int i = 0; i < 100; i++) {
        const sotto_mechanism other = gaussian(4.0 + i);
        ck_assert_int_eq(accountant_cover_line_of(&cover, &other, &line, NULL), SOTTO_OK);
    }
    ck_assert_uint_eq(cover.length, 2);
    ck_assert_int_eq(accountant_cover_line_of(&cover, &p.mechanisms[0], &line, NULL), SOTTO_OK);
    ck_assert_uint_eq(line->charged, 1000);
    ck_assert(accountant_cover_knows(&cover, line, 25, &allowed) && !allowed);
    ck_assert_int_eq(p.calls, 0);
    accountant_cover_free(&cover);
}
END_TEST

/* ---- budgets ---- */

static const sotto_accountant_kind both[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};

static sotto_budget *budget_by(sotto_accountant_kind kind, double epsilon, double delta)
{
    sotto_budget *budget;
    ck_assert_int_eq(sotto_budget_create(kind, epsilon, delta, &budget, NULL), SOTTO_OK);
    return budget;
}

/* What the accountant says of all charges and `count` uses more. */
static double epsilon_after(const sotto_budget *budget, const sotto_mechanism *m, uint64_t count)
{
    const sotto_accountant *charged = sotto_budget_accountant(budget);
    double epsilon;
    ck_assert_int_eq(accountant_epsilon_with(charged->kind, charged, m, count, sotto_budget_delta(budget),
                                             &epsilon, NULL, NULL),
                     SOTTO_OK);
    return epsilon;
}

/* Allowed is what a budget that asks its accountant each time would allow, but for what ε may waver by. */
static void check_answer(const sotto_budget *budget, const sotto_mechanism *m, uint64_t count, bool allowed)
{
    const double waver = sotto_budget_accountant(budget)->kind == both[0] ? 1e-9 : 1e-4,
                 target = sotto_budget_target_epsilon(budget), epsilon = epsilon_after(budget, m, count);
    ck_assert_msg(allowed ? epsilon <= target * (1.0 + waver) : epsilon > target * (1.0 - waver),
                  "%llu uses %s at %.9g of %g", (unsigned long long)count, allowed ? "allowed" : "refused",
                  epsilon, target);
}

START_TEST(turns_end_where_a_naive_budget_ends)
{
    const sotto_mechanism mechanisms[] = {sampled(0.05, 1.5), gaussian(40.0), sampled(0.05, 9.0)};
    for (int k = 0; k < 2; k++)
        for (int turns = 2; turns <= 3; turns++) {
            const double target = 1.2;
            sotto_budget *budget = budget_by(both[k], target, 1e-5);
            int taken = 0, refused = 0;
            for (int i = 0; refused < turns; i++) {
                const sotto_mechanism *m = &mechanisms[i % turns];
                const bool allowed = sotto_budget_allows(budget, m, 1);
                check_answer(budget, m, 1, allowed);
                ck_assert_int_eq(sotto_budget_charge(budget, m, 1, "turn", NULL),
                                 allowed ? SOTTO_OK : SOTTO_ERROR_BUDGET);
                taken += allowed;
                refused = allowed ? 0 : refused + 1; /* all of them, one after the other */
            }
            ck_assert_int_gt(taken, 40);
            double spent;
            ck_assert_int_eq(sotto_budget_epsilon(budget, &spent, NULL, NULL), SOTTO_OK);
            ck_assert(spent <= target && spent > 0.98 * target);
            for (int i = 0; i < turns; i++)
                ck_assert_uint_eq(sotto_budget_remaining(budget, &mechanisms[i]), 0);
            sotto_budget_destroy(budget);
        }
}
END_TEST

/* Questions of every sort between the charges, of one and of several, and every answer agrees with the
 * others. */
START_TEST(questions_and_charges_mix)
{
    const sotto_mechanism mechanisms[] = {sampled(0.05, 1.5), gaussian(40.0), sampled(0.02, 6.0)};
    for (int k = 0; k < 2; k++) {
        sotto_budget *budget = budget_by(both[k], 2.0, 1e-5);
        uint64_t state = 21;
        int refused = 0, allowed_so_far = 0;
        for (int i = 0; i < 60; i++) {
            const sotto_mechanism *m = &mechanisms[(int)between(&state, 0, 3)];
            const uint64_t count = (uint64_t)power_between(&state, 0, i % 5 ? 1.2 : 2.5);
            const bool allowed = sotto_budget_allows(budget, m, count);
            check_answer(budget, m, count, allowed);
            if (i % 3 == 0) {
                const uint64_t left = sotto_budget_remaining(budget, m);
                check_answer(budget, m, left, true);
                check_answer(budget, m, left + 1, false);
                ck_assert_int_eq(allowed, count <= left);
                ck_assert(sotto_budget_allows(budget, m, left));
                ck_assert(!sotto_budget_allows(budget, m, left + 1));
            }
            (void)sotto_budget_allows(budget, &mechanisms[i % 3], 7);
            ck_assert_int_eq(sotto_budget_charge(budget, m, count, "mixed", NULL),
                             allowed ? SOTTO_OK : SOTTO_ERROR_BUDGET);
            refused += !allowed;
            allowed_so_far += allowed;
        }
        ck_assert_msg(refused > 2 && allowed_so_far > 15, "%d refused, %d allowed", refused, allowed_so_far);
        sotto_budget_destroy(budget);
    }
}
END_TEST

/* Loops over one mechanism, and over several, end exactly whatever came in between. */
START_TEST(a_loop_counts_down_by_either_kind)
{
    const sotto_mechanism step = sampled(0.05, 1.5), count = gaussian(60.0);
    for (int k = 0; k < 2; k++) {
        sotto_budget *budget = budget_by(both[k], 2.0, 1e-5);
        uint64_t taken = 0;
        ck_assert_int_eq(sotto_budget_charge(budget, &count, 1, "count", NULL), SOTTO_OK);
        while (sotto_budget_allows(budget, &step, 1)) {
            ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_OK);
            taken++;
        }
        sotto_accountant *rest;
        uint64_t steps;
        ck_assert_int_eq(sotto_accountant_create(both[k], &rest, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_accountant_compose(rest, &count, 1, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_calibrate_steps(both[k], 2.0, 1e-5, &step, rest, &steps, NULL), SOTTO_OK);
        ck_assert_uint_eq(taken, steps);
        check_answer(budget, &step, 1, false);
        sotto_accountant_destroy(rest);
        sotto_budget_destroy(budget);
    }
}
END_TEST

START_TEST(mechanisms_without_losses_are_refused_alike)
{
    sotto_mechanism choice;
    ck_assert_int_eq(sotto_mechanism_zcdp(&choice, 0.001, NULL), SOTTO_OK);
    sotto_budget *budget = budget_by(SOTTO_ACCOUNTANT_PLD, 2.0, 1e-5);
    for (uint64_t count = 0; count <= 1; count++) {
        ck_assert(!sotto_budget_allows(budget, &choice, count));
        ck_assert_int_eq(sotto_budget_charge(budget, &choice, count, "choice", NULL), SOTTO_ERROR_INPUT);
    }
    ck_assert_uint_eq(sotto_budget_remaining(budget, &choice), 0);
    sotto_budget_destroy(budget);
}
END_TEST

/* A training loop asks for memory at its beginning only: the same mechanism, and the same label again. */
START_TEST(the_steady_state_allocates_nothing)
{
    const sotto_mechanism step = sampled(0.001, 2.0), count = sampled(0.001, 20.0);
    for (int k = 0; k < 2; k++)
        for (int several = 0; several < 2; several++) {
            sotto_budget *budget = budget_by(both[k], 8.0, 1e-5);
            for (int i = 0; i < 5; i++) {
                ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_OK);
                if (several)
                    ck_assert_int_eq(sotto_budget_charge(budget, &count, 1, "counts", NULL), SOTTO_OK);
            }
            fail_from(0);
            int taken = 0;
            for (int i = 0; i < (several ? 2 : 20000); i++)
                taken += sotto_budget_allows(budget, &step, 1) &&
                         sotto_budget_charge(budget, &step, 1, "steps", NULL) == SOTTO_OK;
            const long made = allocations;
            fail_from(-1);
            ck_assert_int_eq(taken, several ? 2 : 20000);
            ck_assert_int_eq(made, 0);
            sotto_budget_destroy(budget);
        }
}
END_TEST

/* Some charges of several mechanisms, with memory until it ends; how many uses of each were taken. Nothing is
 * asserted here: that would ask for memory, too. */
static void charge_some(sotto_budget *budget, const sotto_mechanism *mechanisms, uint64_t *taken,
                        sotto_status *worst)
{
    const char *labels[] = {"a", "b", "c"};
    for (int i = 0; i < 9; i++) {
        const int m = i % 3;
        const uint64_t count = i == 7 ? 100000 : 1;
        (void)sotto_budget_allows(budget, &mechanisms[2 - m], 1);
        const sotto_status status = sotto_budget_charge(budget, &mechanisms[m], count, labels[m], NULL);
        taken[m] += status == SOTTO_OK ? count : 0;
        if (status != SOTTO_OK && (i != 7 || status != SOTTO_ERROR_BUDGET))
            *worst = status;
    }
}

/* Wherever memory ends, what was charged is on record, nothing else is, and the budget goes on. */
START_TEST(a_budget_outlives_the_lack_of_memory)
{
    sotto_accountant *run = composed(sampled(0.01, 4.0), 20);
    sotto_mechanism mechanisms[] = {sampled(0.05, 1.5), gaussian(60.0), gaussian(90.0)};
    for (int k = 0; k < 2; k++) {
        if (k == 0) /* one that owns memory itself */
            ck_assert_int_eq(sotto_mechanism_selection(&mechanisms[2], run, 1.0, 2.0, NULL), SOTTO_OK);
        else
            mechanisms[2] = gaussian(90.0);
        sotto_status worst = SOTTO_ERROR_MEMORY;
        long failures = 0;
        for (; worst == SOTTO_ERROR_MEMORY; failures += failures < 60 ? 1 : 17) {
            sotto_budget *budget = budget_by(both[k], 4.0, 1e-5);
            uint64_t taken[3] = {0};
            worst = SOTTO_OK;
            fail_from(failures);
            charge_some(budget, mechanisms, taken, &worst);
            const bool failed = allocations > failures;
            fail_from(-1);
            ck_assert(worst == SOTTO_OK || worst == SOTTO_ERROR_MEMORY);
            for (int m = 0; m < 3; m++)
                ck_assert_uint_eq(accountant_count(sotto_budget_accountant(budget), &mechanisms[m]),
                                  taken[m]);
            size_t lines;
            uint64_t sum = 0;
            const sotto_charge *charges = sotto_budget_charges(budget, &lines);
            for (size_t l = 0; l < lines; l++)
                sum += charges[l].count;
            ck_assert_uint_eq(sum, taken[0] + taken[1] + taken[2]);
            for (int m = 0; m < 3 && failures % 10 == 0; m++) {
                ck_assert_int_eq(sotto_budget_charge(budget, &mechanisms[m], 1, "later", NULL), SOTTO_OK);
                check_answer(budget, &mechanisms[m], 1, sotto_budget_allows(budget, &mechanisms[m], 1));
            }
            sotto_budget_destroy(budget);
            if (worst == SOTTO_OK && failed) /* it was a growth that failed, or words */
                worst = SOTTO_ERROR_MEMORY;
        }
        ck_assert_int_gt(failures, 10);
    }
    sotto_accountant_destroy(run);
}
END_TEST

TCase *cover_tests(void)
{
    TCase *tests = tcase_create("cover");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_cover_asks_as_often_as_the_logarithm_of_the_turns);
    tcase_add_test(tests, a_cover_remembers_either_answer);
    tcase_add_test(tests, turns_end_where_a_naive_budget_ends);
    tcase_add_test(tests, questions_and_charges_mix);
    tcase_add_test(tests, a_loop_counts_down_by_either_kind);
    tcase_add_test(tests, mechanisms_without_losses_are_refused_alike);
    tcase_add_test(tests, the_steady_state_allocates_nothing);
    tcase_add_test(tests, a_budget_outlives_the_lack_of_memory);
    return tests;
}
