/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Caps: what all runs of a data set come to is what the accountant says of all their charges at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_ledger.h"

static const double delta = 1e-5;

/* What the accountant itself says of so many lists of charges. */
static double epsilon_of(const sotto_charge *charges, size_t count)
{
    sotto_accountant *accountant;
    double epsilon;
    OK(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, &err));
    for (size_t i = 0; i < count; i++)
        OK(sotto_accountant_compose(accountant, &charges[i].mechanism, charges[i].count, &err));
    OK(sotto_accountant_epsilon(accountant, delta, &epsilon, NULL, &err));
    sotto_accountant_destroy(accountant);
    return epsilon;
}

static sotto_ledger *capped_at(double epsilon)
{
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    OK(sotto_ledger_declare(ledger, "adult", NULL, epsilon, delta, &err));
    return ledger;
}

static void expect_over(sotto_ledger *ledger, const sotto_charge *charge)
{
    const uint64_t before = sotto_ledger_last(ledger).entries;
    ck_assert_ptr_null(begin(ledger, charge));
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert(strstr(err.message, "adult has a cap of epsilon"));
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before);
}

/* Two runs whose own ε's add up to more than the cap fit, since they are composed; a cap smaller than their
 * composition does not bear them; and however they go on, it is never crossed. */
START_TEST(the_cap_is_of_the_composition)
{
    sotto_charge both[] = {{"steps", sampled(0.02, 1.3), 500}, {"counts", gaussian(9), 14}};
    const double together = epsilon_of(both, 2), apart = epsilon_of(&both[0], 1) + epsilon_of(&both[1], 1);
    ck_assert_double_lt(1.02 * together, 0.9 * apart);
    sotto_ledger *ledger = capped_at(together * (1 - 1e-7));
    sotto_ledger_run *first = begin(ledger, &both[0]);
    ck_assert_ptr_nonnull(first);
    expect_over(ledger, &both[1]);
    sotto_ledger_run_destroy(first);
    sotto_ledger_close(ledger);
    scene_end();
    scene_begin();
    ledger = capped_at(1.02 * together);
    first = begin(ledger, &both[0]);
    sotto_ledger_run *second = begin(ledger, &both[1]);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    OK(sotto_ledger_run_charge(first, &both[0].mechanism, 500, "steps", &err));
    OK(sotto_ledger_run_charge(second, &both[1].mechanism, 14, "counts", &err));
    while (sotto_ledger_run_charge(second, &both[1].mechanism, 1, "counts", &err) == SOTTO_OK)
        both[1].count++;
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert_double_le(epsilon_of(both, 2), 1.02 * together);
    ck_assert_double_gt(epsilon_of(both, 2), 0.97 * together);
    sotto_ledger_run_destroy(second);
    sotto_ledger_run_destroy(first);
    sotto_ledger_close(ledger);
}
END_TEST

static double order_now(sotto_ledger *ledger)
{
    return ledger_book_set(&ledger->book, "adult")->order;
}

/* By an order that is chosen in the end, no sum of runs that were chosen by looking at releases is bounded:
 * it is fixed with the first run, as that which tells least of as many such runs as the cap bears, and stays.
 */
START_TEST(the_order_is_fixed_before_the_first_release)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500}, ten = {"", plan.mechanism, 5000};
    const sotto_charge other = {"counts", gaussian(30), 1};
    sotto_accountant *whole;
    double epsilon, best;
    OK(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &whole, &err));
    OK(sotto_accountant_compose(whole, &ten.mechanism, ten.count, &err));
    OK(sotto_accountant_epsilon(whole, delta, &epsilon, &best, &err));
    sotto_ledger *ledger = capped_at(1.0001 * epsilon);
    ck_assert_double_eq(order_now(ledger), 0.0);
    sotto_ledger_run *first = begin(ledger, &plan), *second = begin(ledger, &other);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    ck_assert_double_eq(order_now(ledger), best);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 2 * epsilon, delta, &err));
    ck_assert_double_eq(order_now(ledger), best);
    sotto_ledger_run_destroy(second);
    sotto_ledger_run_destroy(first);
    sotto_ledger_close(ledger);
    ledger = ledger_at("ledger.db", false);
    ck_assert_double_eq(order_now(ledger), best);
    sotto_ledger_close(ledger);
    sotto_accountant_destroy(whole);
}
END_TEST

/* Over runs that were made already it is fixed when the cap is declared. */
START_TEST(a_cap_over_runs_has_an_order_at_once)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan);
    ck_assert_ptr_nonnull(run);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 3, delta, &err));
    ck_assert_double_gt(order_now(ledger), 1.0);
    OK(sotto_ledger_run_charge(run, &plan.mechanism, 500, "steps", &err));
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(an_open_run_holds_its_plan_until_it_is_closed)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    sotto_ledger *ledger = capped_at(1.2 * epsilon_of(&plan, 1));
    sotto_ledger_run *first = begin(ledger, &plan);
    OK(sotto_ledger_run_charge(first, &plan.mechanism, 10, "steps", &err));
    expect_over(ledger, &plan);
    OK(sotto_ledger_run_close(ledger, sotto_ledger_run_id(first), "abandoned", &err));
    sotto_ledger_run *second = begin(ledger, &plan);
    ck_assert_ptr_nonnull(second);
    const sotto_charge spent[] = {{"", plan.mechanism, 510}};
    const sotto_charge more = {"steps", plan.mechanism, 1000};
    expect_over(ledger, &more);
    /* what was charged before the close still counts */
    json_t *record = NULL;
    OK(sotto_ledger_show(ledger, "adult", &record, &err));
    const json_t *sum = json_array_get(json_object_get(record, "spent"), 0);
    const double told = json_number_value(json_object_get(sum, "epsilon_with_held"));
    ck_assert_double_ge(told,
                        epsilon_of(spent, 1)); /* by the cap's order, which another suits a little better */
    ck_assert_double_le(told, 1.001 * epsilon_of(spent, 1));
    json_decref(record);
    sotto_ledger_run_destroy(first);
    sotto_ledger_run_destroy(second);
    sotto_ledger_close(ledger);
}
END_TEST

/* What a resumed run does anew is charged beyond its plan, one use at a time until the cap is reached. */
START_TEST(a_resumed_run_is_borne_as_far_as_the_cap_reaches)
{
    const sotto_charge plan = {"steps", sampled(0.05, 1.1), 200}, other = {"x", gaussian(20), 3};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_accountant *rest;
    uint64_t most, charged = 0;
    sotto_ledger *ledger = capped_at(6);
    sotto_ledger_run *counts = begin(ledger, &other), *first = begin(ledger, &plan), *again = NULL;
    ck_assert_ptr_nonnull(counts);
    ck_assert_ptr_nonnull(first);
    OK(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &rest, &err));
    OK(sotto_accountant_compose(rest, &other.mechanism, 3, &err));
    OK(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 6, delta, &plan.mechanism, rest, &most, &err));
    ck_assert_uint_gt(most, 205);
    OK(sotto_ledger_run_charge(first, &plan.mechanism, 150, "steps", &err));
    OK(sotto_ledger_run_resume(&again, ledger, sotto_ledger_run_id(first), &table,
                               plan_of(&plan).config_sha256, &err));
    sotto_status status = SOTTO_OK;
    while (status == SOTTO_OK && charged < 10000) {
        status = sotto_ledger_run_charge(again, &plan.mechanism, 1, "steps", &err);
        charged += status == SOTTO_OK;
    }
    ck_assert_int_eq(status, SOTTO_ERROR_BUDGET);
    ck_assert_uint_le(150 + charged, most);
    ck_assert_uint_ge(150 + charged, most - most / 10);
    /* and by a ledger that is read anew */
    sotto_ledger_run_destroy(again);
    sotto_ledger_run_destroy(first);
    sotto_ledger_run_destroy(counts);
    sotto_ledger_close(ledger);
    ledger = ledger_at("ledger.db", false);
    OK(sotto_ledger_run_resume(&again, ledger, ledger->book.runs[1].id, &table, plan_of(&plan).config_sha256,
                               &err));
    REFUSED(sotto_ledger_run_charge(again, &plan.mechanism, 1, "steps", &err), SOTTO_ERROR_BUDGET, "cap");
    sotto_ledger_run_destroy(again);
    sotto_ledger_close(ledger);
    sotto_accountant_destroy(rest);
}
END_TEST

START_TEST(caps_are_raised_and_lowered)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500}, one = {"x", gaussian(50), 1};
    const double alone = epsilon_of(&plan, 1);
    sotto_ledger *ledger = capped_at(alone);
    sotto_ledger_run *run = begin(ledger, &plan), *other;
    ck_assert_ptr_nonnull(run);
    expect_over(ledger, &one);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 2 * alone, delta, &err));
    other = begin(ledger, &one);
    ck_assert_ptr_nonnull(other);
    OK(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err));
    OK(sotto_ledger_declare(ledger, "adult", NULL, alone / 2, delta, &err));
    REFUSED(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err), SOTTO_ERROR_BUDGET, "cap");
    REFUSED(sotto_ledger_declare(ledger, "adult", NULL, 0, delta, &err), SOTTO_ERROR_INPUT,
            "cap of epsilon 0");
    REFUSED(sotto_ledger_declare(ledger, "adult", NULL, NAN, delta, &err), SOTTO_ERROR_INPUT,
            "cap of epsilon");
    REFUSED(sotto_ledger_declare(ledger, "adult", NULL, INFINITY, delta, &err), SOTTO_ERROR_INPUT,
            "cap of epsilon");
    REFUSED(sotto_ledger_declare(ledger, "adult", NULL, 1, 0, &err), SOTTO_ERROR_INPUT, "delta 0");
    REFUSED(sotto_ledger_declare(ledger, "adult", NULL, 1, 1, &err), SOTTO_ERROR_INPUT, "delta 1");
    REFUSED(sotto_ledger_declare(ledger, "-adult", NULL, 1, delta, &err), SOTTO_ERROR_INPUT,
            "begins with '-'");
    REFUSED(sotto_ledger_declare(ledger, "", NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "is empty");
    REFUSED(sotto_ledger_declare(ledger, "a\nb", NULL, 1, delta, &err), SOTTO_ERROR_INPUT,
            "a space, a slash");
    REFUSED(sotto_ledger_declare(ledger, "a\xff", NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "UTF-8");
    REFUSED(sotto_ledger_declare(ledger, "my clinic", NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "a space");
    REFUSED(sotto_ledger_declare(ledger, "a/b", NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "a slash");
    char name[102] = "";
    memset(name, 'x', 101);
    REFUSED(sotto_ledger_declare(ledger, name, NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "too long");
    name[100] = '\0';
    OK(sotto_ledger_declare(ledger, name, NULL, 1, delta, &err));
    sotto_ledger_run_destroy(run);
    sotto_ledger_run_destroy(other);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(what_cannot_be_added_up_is_refused)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 5};
    sotto_charge replaced = {"counts", gaussian(9), 14};
    sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_ledger_plan seeded = plan_of(&plan);
    sotto_ledger_run *run = NULL;
    sotto_ledger *ledger = capped_at(3);
    seeded.not_private = true;
    REFUSED(sotto_ledger_run_begin(&run, ledger, &table, &seeded, &err), SOTTO_ERROR_INPUT, "NOT PRIVATE");
    REFUSED(sotto_ledger_bears(ledger, &table, &seeded, 1, &err), SOTTO_ERROR_INPUT, "NOT PRIVATE");
    table.unit = "person";
    ck_assert_ptr_null(begin_on(ledger, table, &plan));
    ck_assert(strstr(err.message, "person"));
    table.unit = NULL;
    run = begin_on(ledger, table, &plan);
    ck_assert_ptr_nonnull(run);
    OK(sotto_mechanism_with_adjacency(&replaced.mechanism, &replaced.mechanism, SOTTO_ADJACENCY_REPLACE_ONE,
                                      &err));
    ck_assert_ptr_null(begin_on(ledger, table, &replaced)); /* not the table's */
    ck_assert(strstr(err.message, "adjacency"));
    table.adjacency = SOTTO_ADJACENCY_REPLACE_ONE;
    ck_assert_ptr_null(begin_on(ledger, table, &replaced)); /* not the other run's */
    ck_assert(strstr(err.message, "adjacency"));
    sotto_ledger_run_destroy(run);
    /* where there is no cap both are recorded, and none can be declared any more */
    sotto_ledger_table free_table = table_of("free", "other rows", "free.csv");
    sotto_ledger_run_destroy(begin_on(ledger, free_table, &plan));
    free_table.unit = "person";
    sotto_ledger_run_destroy(begin_on(ledger, free_table, &plan));
    REFUSED(sotto_ledger_declare(ledger, "free", NULL, 1, delta, &err), SOTTO_ERROR_INPUT, "units of person");
    REFUSED(sotto_ledger_declare(ledger, "free", "person", 1, delta, &err), SOTTO_ERROR_INPUT,
            "units of one row");
    json_t *record = NULL;
    OK(sotto_ledger_show(ledger, "free", &record, &err));
    ck_assert_uint_eq(json_array_size(json_object_get(record, "spent")), 2);
    json_decref(record);
    sotto_ledger_close(ledger);
}
END_TEST

/* What a statement promises counts, though the run ended before it was all charged: two of them would promise
 * more than the cap together. */
START_TEST(a_released_run_counts_with_what_it_promises)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    const sotto_ledger_artefact file = {"rows.csv", "rows", plan_of(&plan).config_sha256};
    sotto_ledger *ledger = capped_at(1.2 * epsilon_of(&plan, 1));
    sotto_ledger_run *first = begin(ledger, &plan);
    OK(sotto_ledger_run_charge(first, &plan.mechanism, 10, "steps", &err));
    OK(sotto_ledger_run_release(first, &file, 1, &err));
    expect_over(ledger, &plan);
    sotto_ledger_run_destroy(first);
    sotto_ledger_close(ledger);
}
END_TEST

/* Let in under a larger cap, stopped early: its release would promise the plan all the same. */
START_TEST(a_release_above_a_lowered_cap_is_refused)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    const double alone = epsilon_of(&plan, 1);
    const sotto_ledger_artefact file = {"rows.csv", "rows", plan_of(&plan).config_sha256};
    sotto_ledger *ledger = capped_at(1.2 * alone);
    sotto_ledger_run *run = begin(ledger, &plan);
    OK(sotto_ledger_run_charge(run, &plan.mechanism, 10, "steps", &err));
    OK(sotto_ledger_declare(ledger, "adult", NULL, 0.9 * alone, delta, &err));
    const uint64_t before = sotto_ledger_last(ledger).entries;
    REFUSED(sotto_ledger_run_release(run, &file, 1, &err), SOTTO_ERROR_BUDGET, "would promise epsilon 1 at");
    ck_assert_msg(strstr(err.message, "sotto ledger close") && strstr(err.message, "larger cap"), "%s",
                  err.message);
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before);
    ck_assert(sotto_ledger_is_open(ledger, sotto_ledger_run_id(run)));
    /* the two ways out that it names */
    OK(sotto_ledger_declare(ledger, "adult", NULL, 1.2 * alone, delta, &err));
    OK(sotto_ledger_run_release(run, &file, 1, &err));
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

/* A cap that is all taken, to the last digit, is no reason to refuse what was let in under it. */
START_TEST(what_was_let_in_may_be_released)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500 + 37 * (uint64_t)_i};
    const sotto_ledger_artefact file = {"rows.csv", "rows", plan_of(&plan).config_sha256};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_ledger *ledger = capped_at(epsilon_of(&plan, 1));
    sotto_ledger_run *run = begin(ledger, &plan), *again;
    ck_assert_ptr_nonnull(run);
    OK(sotto_ledger_run_charge(run, &plan.mechanism, plan.count, "steps", &err));
    OK(sotto_ledger_run_resume(&again, ledger, sotto_ledger_run_id(run), &table, plan_of(&plan).config_sha256,
                               &err)); /* something is recorded since it was let in */
    OK(sotto_ledger_run_release(again, &file, 1, &err));
    sotto_ledger_run_destroy(again);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

/* A run whose noise can be foretold is not gone on with once its data set has a cap. */
START_TEST(a_cap_ends_runs_that_are_not_private)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 5};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_ledger_plan seeded = plan_of(&plan);
    sotto_ledger_run *run = NULL, *again = NULL;
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    seeded.not_private = true;
    OK(sotto_ledger_run_begin(&run, ledger, &table, &seeded, &err));
    OK(sotto_ledger_declare(ledger, "adult", NULL, 3, delta, &err));
    REFUSED(
        sotto_ledger_run_resume(&again, ledger, sotto_ledger_run_id(run), &table, seeded.config_sha256, &err),
        SOTTO_ERROR_INPUT, "NOT PRIVATE");
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

/* A capped table that was edited in place does not get out of the cap's sight under another id. */
START_TEST(a_capped_path_keeps_its_id)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 5};
    sotto_ledger *ledger = capped_at(3);
    sotto_ledger_run_destroy(begin_on(ledger, table_of("adult", "rows", "adult.csv"), &plan));
    ck_assert_ptr_null(begin_on(ledger, table_of("fresh", "edited rows", "adult.csv"), &plan));
    ck_assert(strstr(err.message, "write data.id: adult"));
    sotto_ledger_run *run = begin_on(ledger, table_of("fresh", "edited rows", "elsewhere.csv"), &plan);
    ck_assert_ptr_nonnull(run);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

/* Where tables of two data sets were at one path, what comes there new is of the last one's, or of neither.
 */
START_TEST(a_shared_path_leads_past_no_cap)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 5};
    sotto_ledger *ledger = capped_at(3);
    sotto_ledger_run *run = begin_on(ledger, table_of("adult", "rows", "elsewhere.csv"), &plan);
    sotto_ledger_run_destroy(run);
    run = begin_on(ledger, table_of("other", "other rows", "adult.csv"), &plan);
    ck_assert_ptr_nonnull(run);
    sotto_ledger_run_destroy(run);
    sotto_ledger_run_destroy(begin_on(ledger, table_of("adult", "rows", "adult.csv"), &plan));
    /* the capped one's table is there now, and is edited */
    run = begin_on(ledger, table_of(NULL, "edited rows", "adult.csv"), &plan);
    ck_assert_ptr_nonnull(run);
    ck_assert_str_eq(sotto_ledger_run_data_set(run), "adult");
    sotto_ledger_run_destroy(run);
    ck_assert_ptr_null(begin_on(ledger, table_of("third", "more edited rows", "adult.csv"), &plan));
    ck_assert(strstr(err.message, "write data.id: adult"));
    /* the other one's comes back, and is edited */
    sotto_ledger_run_destroy(begin_on(ledger, table_of("other", "other rows", "adult.csv"), &plan));
    ck_assert_ptr_null(begin_on(ledger, table_of("third", "new rows", "adult.csv"), &plan));
    ck_assert_ptr_null(begin_on(ledger, table_of(NULL, "new rows", "adult.csv"), &plan));
    ck_assert(strstr(err.message, "say by data.id which of them it is"));
    run = begin_on(ledger, table_of("other", "new rows", "adult.csv"), &plan);
    ck_assert_ptr_nonnull(run);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(plans_are_asked_about_together_and_not_recorded)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    const sotto_charge five = {"steps", plan.mechanism, 2500}, four = {"steps", plan.mechanism, 2000};
    const double cap = (epsilon_of(&four, 1) + epsilon_of(&five, 1)) / 2;
    sotto_ledger *ledger = capped_at(cap);
    sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_ledger_plan plans[5];
    for (size_t i = 0; i < 5; i++)
        plans[i] = plan_of(&plan);
    const uint64_t before = sotto_ledger_last(ledger).entries;
    OK(sotto_ledger_bears(ledger, &table, plans, 4, &err));
    REFUSED(sotto_ledger_bears(ledger, &table, plans, 5, &err), SOTTO_ERROR_BUDGET, "cap");
    table.sha256 = NULL; /* by its id alone */
    OK(sotto_ledger_bears(ledger, &table, plans, 4, &err));
    REFUSED(sotto_ledger_bears(ledger, &table, plans, 5, &err), SOTTO_ERROR_BUDGET, "cap");
    /* exact noise takes its share of delta */
    plans[0].draws = 1e32;
    REFUSED(sotto_ledger_bears(ledger, &table, plans, 1, &err), SOTTO_ERROR_BUDGET, "cap");
    plans[0].draws = 1e12;
    OK(sotto_ledger_bears(ledger, &table, plans, 1, &err));
    plans[0].draws = NAN;
    REFUSED(sotto_ledger_bears(ledger, &table, plans, 1, &err), SOTTO_ERROR_INPUT, "draws");
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before);
    sotto_ledger_close(ledger);
}
END_TEST

/* A row of several charges is all recorded, or none. */
START_TEST(charges_in_a_row_are_one)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    const sotto_charge both[] = {{"x", gaussian(50), 1}, {"steps", plan.mechanism, 5000}};
    sotto_ledger *ledger = capped_at(1.3 * epsilon_of(&plan, 1));
    sotto_ledger_run *run = begin(ledger, &plan);
    const uint64_t before = sotto_ledger_last(ledger).entries;
    size_t count;
    REFUSED(sotto_ledger_run_charge_all(run, both, 2, &err), SOTTO_ERROR_BUDGET, "cap");
    json_t *record = NULL;
    OK(sotto_ledger_list(ledger, &record, &err)); /* the book is that of the file again */
    json_decref(record);
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before);
    (void)sotto_ledger_run_charges(run, &count);
    ck_assert_uint_eq(count, 0);
    OK(sotto_ledger_run_charge_all(run, both, 1, &err));
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before + 1);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

enum { STARTERS = 32, ADMITTED = 10 };

/* One of many: 0 admitted and done, 3 refused by the cap, 1 anything else. */
static int start(const sotto_charge *plan)
{
    sotto_ledger *ledger = NULL;
    int ended = 1;
    sotto_ledger_run *run = NULL;
    if (try_ledger_at("ledger.db", false, &ledger) == SOTTO_OK)
        run = begin(ledger, plan);
    if (!run)
        ended = err.code == SOTTO_ERROR_BUDGET ? 3 : 1;
    else {
        sotto_status status = SOTTO_OK;
        for (int block = 0; status == SOTTO_OK && block < 5; block++)
            status = sotto_ledger_run_charge(run, &plan->mechanism, 100, "steps", &err);
        ended = status == SOTTO_OK ? 0 : 1;
    }
    if (ended == 1)
        (void)fprintf(stderr, "%s: %s\n", err.file, err.message);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
    return ended;
}

START_TEST(of_many_started_at_once_those_are_admitted_that_fit)
{
    const sotto_charge plan = {"steps", sampled(0.02, 1.3), 500};
    const sotto_charge ten = {"", plan.mechanism, 500 * ADMITTED},
                       eleven = {"", plan.mechanism, 500 * (ADMITTED + 1)};
    const double cap = (epsilon_of(&ten, 1) + epsilon_of(&eleven, 1)) / 2;
    int gate[2], admitted = 0, refused = 0;
    sotto_ledger_close(capped_at(cap));
    ck_assert_int_eq(pipe(gate), 0);
    for (int i = 0; i < STARTERS; i++)
        if (fork() == 0) {
            char byte;
            (void)close(gate[1]);
            if (read(gate[0], &byte, 1) < 0) /* until all are there */
                _exit(1);
            _exit(start(&plan));
        }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (int i = 0; i < STARTERS; i++) {
        int ended = -1;
        ck_assert_int_gt(wait(&ended), 0);
        ck_assert(WIFEXITED(ended));
        admitted += WEXITSTATUS(ended) == 0;
        refused += WEXITSTATUS(ended) == 3;
    }
    ck_assert_int_eq(admitted, ADMITTED);
    ck_assert_int_eq(refused, STARTERS - ADMITTED);
    sotto_ledger *ledger = ledger_at("ledger.db", false);
    json_t *record = NULL;
    OK(sotto_ledger_show(ledger, "adult", &record, &err));
    const json_t *sum = json_array_get(json_object_get(record, "spent"), 0);
    ck_assert_double_eq(json_number_value(json_object_get(sum, "epsilon")), epsilon_of(&ten, 1));
    json_decref(record);
    sotto_ledger_close(ledger);
}
END_TEST

/* Many make the same ledger at once: it is one. */
START_TEST(of_many_who_make_a_ledger_one_does)
{
    for (int i = 0; i < STARTERS / 2; i++)
        if (fork() == 0) {
            sotto_ledger *ledger = NULL;
            char name[32];
            (void)snprintf(name, sizeof name, "set-%d", i);
            sotto_status status = try_ledger_at("new/folder/ledger.db", true, &ledger);
            if (status == SOTTO_OK)
                status = sotto_ledger_declare(ledger, name, NULL, 1, delta, &err);
            if (status != SOTTO_OK)
                (void)fprintf(stderr, "%s: %s\n", err.file, err.message);
            sotto_ledger_close(ledger);
            _exit(status == SOTTO_OK ? 0 : 1);
        }
    for (int i = 0; i < STARTERS / 2; i++) {
        int ended = -1;
        ck_assert_int_gt(wait(&ended), 0);
        ck_assert_int_eq(ended, 0);
    }
    sotto_ledger *ledger = ledger_at("new/folder/ledger.db", false);
    ck_assert_uint_eq(ledger->book.set_count, STARTERS / 2);
    sotto_ledger_close(ledger);
}
END_TEST

TCase *ledger_cap_case(void)
{
    TCase *caps = tcase_create("caps");
    tcase_set_timeout(caps, 120);
    tcase_add_checked_fixture(caps, scene_begin, scene_end);
    tcase_add_test(caps, the_cap_is_of_the_composition);
    tcase_add_test(caps, the_order_is_fixed_before_the_first_release);
    tcase_add_test(caps, a_cap_over_runs_has_an_order_at_once);
    tcase_add_test(caps, a_released_run_counts_with_what_it_promises);
    tcase_add_test(caps, a_release_above_a_lowered_cap_is_refused);
    tcase_add_loop_test(caps, what_was_let_in_may_be_released, 0, 8);
    tcase_add_test(caps, a_cap_ends_runs_that_are_not_private);
    tcase_add_test(caps, a_capped_path_keeps_its_id);
    tcase_add_test(caps, a_shared_path_leads_past_no_cap);
    tcase_add_test(caps, an_open_run_holds_its_plan_until_it_is_closed);
    tcase_add_test(caps, a_resumed_run_is_borne_as_far_as_the_cap_reaches);
    tcase_add_test(caps, caps_are_raised_and_lowered);
    tcase_add_test(caps, what_cannot_be_added_up_is_refused);
    tcase_add_test(caps, plans_are_asked_about_together_and_not_recorded);
    tcase_add_test(caps, charges_in_a_row_are_one);
    tcase_add_test(caps, of_many_started_at_once_those_are_admitted_that_fit);
    tcase_add_test(caps, of_many_who_make_a_ledger_one_does);
    return caps;
}
