/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "test_evaluate_attacks.h"

/* The figures that the attacks are made of, against what others have published or computed. */

static FILE *vectors(const char *name)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/tests/vectors/evaluate/%s", root ? root : ".", name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    return file;
}

/* Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
 * Table I, method 3. */
START_TEST(wilson_intervals_are_newcombes)
{
    static const struct {
        double successes, attempts, low, high;
    } published[] = {
        {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const sotto_rate rate = sotto_wilson(published[i].successes, published[i].attempts);
        ck_assert_double_eq_tol(rate.low, published[i].low, 5.1e-5);
        ck_assert_double_eq_tol(rate.high, published[i].high, 5.1e-5);
    }
}
END_TEST

START_TEST(rates_and_risks_are_anonymeters)
{
    FILE *file = vectors("attacks_rates.csv");
    char line[512];
    size_t seen = 0;
    while (fgets(line, sizeof line, file)) {
        double s, n, c, m, rate, error, control, control_error, value, risk_error;
        if (sscanf(line, "%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &s, &n, &c, &m, &rate, &error, &control,
                   &control_error, &value, &risk_error) != 10)
            continue;
        const sotto_rate a = sotto_wilson(s, n), b = sotto_wilson(c, m);
        ck_assert_double_eq_tol(a.rate, rate, 1e-14);
        ck_assert_double_eq_tol(a.error, error, 1e-14);
        ck_assert_double_eq_tol(b.rate, control, 1e-14);
        ck_assert_double_eq_tol(b.error, control_error, 1e-14);
        const sotto_risk risk = sotto_risk_of(&a, &b, SOTTO_Z95);
        ck_assert_double_eq_tol(risk.value, value, 1e-12);
        ck_assert_double_eq_tol(risk.low, value - risk_error, 1e-11);
        ck_assert_double_eq_tol(risk.high, fmin(value + risk_error, 1), 1e-11);
        const sotto_risk wide = sotto_risk_of(&a, &b, 2 * SOTTO_Z95);
        ck_assert_double_eq_tol(wide.low, value - 2 * risk_error, 1e-11);
        seen++;
    }
    (void)fclose(file);
    ck_assert_uint_eq(seen, 12);
}
END_TEST

START_TEST(no_attempts_are_defined)
{
    const sotto_rate none = sotto_wilson(0, 0);
    ck_assert_double_eq(none.rate, 0.5);
    ck_assert_double_eq(none.low, 0);
    ck_assert_double_eq(none.high, 1);
    ck_assert(isfinite(sotto_risk_of(&none, &none, 3).low));
}
END_TEST

/* Quantiles of the normal distribution at 1 − 0.025 / k, by SciPy. */
START_TEST(joint_intervals_are_bonferronis)
{
    ck_assert_double_eq_tol(sotto_joint_z(1), 1.959963984540054, 1e-12);
    ck_assert_double_eq_tol(sotto_joint_z(5), 2.5758293035489004, 1e-12);
    ck_assert_double_eq_tol(sotto_joint_z(18), 2.991316115183781, 1e-12);
}
END_TEST

/* By hand: of 4 pairs 3 are won and 1 is a tie; both placements are 1/8 off their mean. */
START_TEST(delong_by_hand)
{
    double members[] = {2, 3}, others[] = {2, 1};
    const sotto_roc roc = sotto_roc_of(members, 2, others, 2);
    ck_assert_double_eq(roc.auc, 0.875);
    ck_assert_double_eq_tol(roc.low, 0.875 - SOTTO_Z95 * sqrt(2 * 0.015625), 1e-15);
    ck_assert_double_eq(roc.high, 1);
    ck_assert_double_eq(roc.true_positive_rate, 0.5);
}
END_TEST

START_TEST(one_in_a_hundred_may_be_called_wrongly)
{
    double members[4] = {99.5, 99, 98.5, 97}, others[200];
    for (size_t i = 0; i < 200; i++)
        others[i] = (double)i / 2; /* 0, 0.5, …, 99.5: two may be above, 99 and 99.5 */
    ck_assert_double_eq(sotto_roc_of(members, 4, others, 200).true_positive_rate, 0.5);
    double few[99];
    memcpy(few, others, sizeof few); /* of 99 none may be above */
    ck_assert_double_eq(sotto_roc_of(members, 4, few, 99).true_positive_rate, 1);
}
END_TEST

START_TEST(equal_scores_tell_nothing)
{
    double members[30] = {0}, others[40] = {0};
    const sotto_roc roc = sotto_roc_of(members, 30, others, 40);
    ck_assert_double_eq(roc.auc, 0.5);
    ck_assert_double_eq(roc.low, 0.5);
    ck_assert_double_eq(roc.true_positive_rate, 0);
}
END_TEST

/* Each row is in a sample of 3 of 10 with probability 0.3: 20,000 samples, 5.5 standard deviations; a false
 * alarm in fewer than one of 10^6 runs, were the seed not fixed. */
START_TEST(samples_are_fair)
{
    sotto_random *random = NULL;
    sotto_stream *stream = NULL;
    sotto_arena *arena = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 11, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_EVALUATION, NULL), SOTTO_OK);
    size_t seen[10] = {0};
    for (size_t i = 0; i < 20000; i++) {
        ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
        const uint32_t *rows = sotto_sample_rows(stream, 10, 3, arena, NULL);
        ck_assert(rows[0] < rows[1] && rows[1] < rows[2] && rows[2] < 10);
        for (size_t k = 0; k < 3; k++)
            seen[rows[k]]++;
        sotto_arena_destroy(arena);
    }
    for (size_t row = 0; row < 10; row++)
        ck_assert_double_eq_tol((double)seen[row], 6000, 5.5 * sqrt(20000 * 0.3 * 0.7));
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

Suite *figures_suite(void)
{
    Suite *suite = suite_create("figures of attacks");
    TCase *figures = tcase_create("figures");
    tcase_set_timeout(figures, 120);
    tcase_add_test(figures, wilson_intervals_are_newcombes);
    tcase_add_test(figures, rates_and_risks_are_anonymeters);
    tcase_add_test(figures, no_attempts_are_defined);
    tcase_add_test(figures, joint_intervals_are_bonferronis);
    tcase_add_test(figures, delong_by_hand);
    tcase_add_test(figures, one_in_a_hundred_may_be_called_wrongly);
    tcase_add_test(figures, equal_scores_tell_nothing);
    tcase_add_test(figures, samples_are_fair);
    suite_add_tcase(suite, figures);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(figures_suite());
    srunner_add_suite(runner, neighbours_suite());
    srunner_add_suite(runner, records_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
