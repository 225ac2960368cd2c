/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Budgets that keep a journal: what is made is never more than what was committed. */
#include "test_accountant.h"

#include <stdio.h>

/* A journal in memory, that fails when it is told to. */
struct book {
    uint64_t block;     /* as many at once, where no more are wanted */
    uint64_t committed; /* of whatever label */
    int commits, fail_at;
    char label[32];
};

static uint64_t block(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label)
{
    const struct book *book = context;
    (void)mechanism;
    (void)label;
    return count > book->block ? count : book->block;
}

static sotto_status commit(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label,
                           sotto_error *err)
{
    struct book *book = context;
    ck_assert_int_eq(sotto_mechanism_check(mechanism, NULL), SOTTO_OK);
    if (++book->commits == book->fail_at)
        return sotto_error_set(err, SOTTO_ERROR_IO, "the disk is full");
    book->committed += count;
    (void)snprintf(book->label, sizeof book->label, "%s", label);
    return SOTTO_OK;
}

static sotto_budget *budget_with(struct book *book, sotto_accountant_kind kind)
{
    sotto_budget *budget;
    ck_assert_int_eq(sotto_budget_create(kind, 2.0, 1e-6, &budget, NULL), SOTTO_OK);
    const sotto_journal journal = {.context = book, .block = block, .commit = commit};
    sotto_budget_keep(budget, &journal);
    return budget;
}

static uint64_t recorded(const sotto_budget *budget)
{
    size_t lines;
    uint64_t sum = 0;
    const sotto_charge *charges = sotto_budget_charges(budget, &lines);
    for (size_t i = 0; i < lines; i++)
        sum += charges[i].count;
    return sum;
}

/* Block by block to the very last use, as many as without a journal; at no time more uses than committed. */
START_TEST(blocks_are_committed_before_their_uses)
{
    const sotto_accountant_kind kind = _i ? SOTTO_ACCOUNTANT_PLD : SOTTO_ACCOUNTANT_RDP;
    const sotto_mechanism step = sampled(0.05, 1.5);
    struct book book = {.block = 37};
    sotto_budget *budget = budget_with(&book, kind), *plain;
    ck_assert_int_eq(sotto_budget_create(kind, 2.0, 1e-6, &plain, NULL), SOTTO_OK);
    const uint64_t most = sotto_budget_remaining(plain, &step);
    uint64_t made = 0;
    while (sotto_budget_charge(budget, &step, 1, "steps", NULL) == SOTTO_OK) {
        made++;
        ck_assert_uint_ge(book.committed, made);
        ck_assert_uint_lt(book.committed, made + book.block);
        ck_assert_uint_eq(recorded(budget), book.committed);
    }
    ck_assert_uint_eq(made, most);
    ck_assert_uint_eq(book.committed, most);
    ck_assert_int_eq(book.commits, (int)((most + book.block - 1) / book.block));
    sotto_budget_destroy(plain);
    sotto_budget_destroy(budget);
}
END_TEST

/* What was committed ahead under one label, or of one mechanism, pays for no other. */
START_TEST(what_is_ahead_pays_for_its_own_line_alone)
{
    const sotto_mechanism step = sampled(0.001, 2.0), other = sampled(0.001, 3.0);
    struct book book = {.block = 10};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_OK);
    ck_assert_uint_eq(book.committed, 10);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "figures", NULL), SOTTO_OK);
    ck_assert_str_eq(book.label, "figures");
    ck_assert_uint_eq(book.committed, 20);
    ck_assert_int_eq(sotto_budget_charge(budget, &other, 1, "steps", NULL), SOTTO_OK);
    ck_assert_uint_eq(book.committed, 30);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 9, "steps", NULL), SOTTO_OK);
    ck_assert_uint_eq(book.committed, 30);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 25, "steps", NULL),
                     SOTTO_OK); /* none is left ahead */
    ck_assert_uint_eq(book.committed, 55);
    sotto_budget_destroy(budget);
}
END_TEST

/* Nothing may be released after a commit that failed; whether it is durable is unknown, so it counts. */
START_TEST(a_failed_commit_is_charged_and_pays_for_nothing)
{
    const sotto_mechanism step = sampled(0.001, 2.0);
    struct book book = {.block = 10, .fail_at = 2};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_ERROR_IO);
    ck_assert_uint_eq(recorded(budget), 20);
    ck_assert_uint_eq(book.committed, 10);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_OK);
    ck_assert_uint_eq(book.committed, 20); /* a commit of its own: the failed one was not drawn on */
    sotto_budget_destroy(budget);
}
END_TEST

START_TEST(a_refused_charge_is_not_committed)
{
    const sotto_mechanism large = gaussian(0.01);
    struct book book = {.block = 1};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP);
    ck_assert_int_eq(sotto_budget_charge(budget, &large, 1, "counts", NULL), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(book.commits, 0);
    sotto_budget_destroy(budget);
}
END_TEST

/* Charges of an earlier process count in full, are not committed twice, and none of them is drawn on. */
START_TEST(recalled_charges_count_and_pay_for_nothing)
{
    const sotto_mechanism step = sampled(0.05, 1.5);
    struct book book = {.block = 37};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP), *plain;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 2.0, 1e-6, &plain, NULL), SOTTO_OK);
    const uint64_t most = sotto_budget_remaining(plain, &step), before = most / 3;
    ck_assert_int_eq(sotto_budget_recall(budget, &step, before, "steps", NULL), SOTTO_OK);
    ck_assert_int_eq(book.commits, 0);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &step), most - before);
    uint64_t made = 0;
    while (sotto_budget_charge(budget, &step, 1, "steps", NULL) == SOTTO_OK)
        made++;
    ck_assert_uint_eq(made, most - before);
    ck_assert_uint_eq(book.committed, made);
    sotto_budget_destroy(plain);
    sotto_budget_destroy(budget);
}
END_TEST

/* Whoever made them, charges beyond the target are told as what they are, and nothing more is allowed. */
START_TEST(recalled_charges_are_told_in_full)
{
    const sotto_mechanism step = sampled(0.05, 1.5);
    struct book book = {.block = 1};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP);
    const uint64_t most = sotto_budget_remaining(budget, &step);
    double epsilon;
    ck_assert_int_eq(sotto_budget_recall(budget, &step, 2 * most, "steps", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_epsilon(budget, &epsilon, NULL, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon, epsilon_for(step, 2 * most, 1e-6));
    ck_assert_double_gt(epsilon, 2.0);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "steps", NULL), SOTTO_ERROR_BUDGET);
    sotto_budget_destroy(budget);
}
END_TEST

START_TEST(what_cannot_be_recalled_is_refused)
{
    const sotto_mechanism step = sampled(0.05, 1.5), none = {0};
    struct book book = {.block = 1};
    sotto_budget *budget = budget_with(&book, SOTTO_ACCOUNTANT_RDP), *filter;
    ck_assert_int_eq(sotto_budget_recall(budget, &none, 1, "steps", NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_budget_recall(budget, &step, 1, "", NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(recorded(budget), 0);
    sotto_accountant *plan = composed(step, 10);
    ck_assert_int_eq(sotto_budget_create_filter(2.0, 1e-6, plan, &filter, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_recall(filter, &step, 1, "steps", NULL), SOTTO_ERROR_INPUT);
    sotto_accountant_destroy(plan);
    sotto_budget_destroy(filter);
    sotto_budget_destroy(budget);
}
END_TEST

TCase *journal_tests(void)
{
    TCase *tests = tcase_create("journal");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, blocks_are_committed_before_their_uses, 0, 2);
    tcase_add_test(tests, what_is_ahead_pays_for_its_own_line_alone);
    tcase_add_test(tests, a_failed_commit_is_charged_and_pays_for_nothing);
    tcase_add_test(tests, a_refused_charge_is_not_committed);
    tcase_add_test(tests, recalled_charges_count_and_pay_for_nothing);
    tcase_add_test(tests, recalled_charges_are_told_in_full);
    tcase_add_test(tests, what_cannot_be_recalled_is_refused);
    return tests;
}
