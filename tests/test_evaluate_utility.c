/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Figures of utility, held against scikit-learn's (tests/vectors/evaluate/utility_make.py) and against
 * counting. */

#include "test_evaluate_utility.h"

static json_t *vectors(const char *key)
{
    json_error_t error;
    json_t *all = json_load_file(below_root("tests/vectors/evaluate/utility.json"), 0, &error);
    ck_assert_msg(all != NULL, "%s", error.text);
    json_t *part = json_incref(json_object_get(all, key));
    ck_assert_ptr_nonnull(part);
    json_decref(all);
    return part;
}

/* A list of numbers, or of lists of `columns` numbers each; free(). */
static double *numbers_of(const json_t *list, size_t columns)
{
    const size_t count = json_array_size(list);
    double *numbers = calloc(count * columns + 1, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(list, i);
        for (size_t k = 0; k < columns; k++)
            numbers[i * columns + k] = json_number_value(json_is_array(row) ? json_array_get(row, k) : row);
    }
    return numbers;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    ck_assert_msg(json_is_number(value), "%s is not a number", key);
    return json_number_value(value);
}

START_TEST(judges_classes_as_scikit_learn_does)
{
    json_t *cases = vectors("classes"), *at;
    size_t i;
    ck_assert_uint_ge(json_array_size(cases), 5);
    json_array_foreach(cases, i, at)
    {
        const json_t *truths = json_object_get(at, "truth");
        const size_t rows = json_array_size(truths), classes = (size_t)number(at, "classes");
        double *truth = numbers_of(truths, 1), *p = numbers_of(json_object_get(at, "probabilities"), classes);
        sotto_utility_score score;
        ck_assert_int_eq(sotto_utility_judge_classes(&score, rows, classes, (size_t)number(at, "positive"),
                                                     truth, p, NULL),
                         SOTTO_OK);
        ck_assert_double_eq_tol(score.auc, number(at, "auc"), 1e-12);
        ck_assert_double_eq_tol(score.f1, number(at, "f1"), 1e-12);
        ck_assert_double_eq_tol(score.balanced_accuracy, number(at, "balanced_accuracy"), 1e-12);
        ck_assert_double_eq_tol(score.log_loss, number(at, "log_loss"), 1e-12);
        ck_assert(isnan(score.r2) && isnan(score.rmse));
        free(truth);
        free(p);
    }
    json_decref(cases);
}
END_TEST

START_TEST(judges_numbers_as_scikit_learn_does)
{
    json_t *cases = vectors("numbers"), *at;
    size_t i;
    json_array_foreach(cases, i, at)
    {
        double *truth = numbers_of(json_object_get(at, "truth"), 1),
               *predicted = numbers_of(json_object_get(at, "predicted"), 1);
        const sotto_utility_score score =
            sotto_utility_judge_numbers(json_array_size(json_object_get(at, "truth")), truth, predicted);
        ck_assert_double_eq_tol(score.r2, number(at, "r2"), 1e-12);
        ck_assert_double_eq_tol(score.rmse, number(at, "rmse"), 1e-10);
        free(truth);
        free(predicted);
    }
    json_decref(cases);
}
END_TEST

START_TEST(says_what_is_not_defined)
{
    /* One class among the truth: no pairs for an AUC. One number: nothing to explain. */
    const double truth[] = {1, 1, 1}, p[] = {.2, .8, .6, .4, .5, .5}, same[] = {4, 4, 4};
    sotto_utility_score score;
    ck_assert_int_eq(sotto_utility_judge_classes(&score, 3, 2, 1, truth, p, NULL), SOTTO_OK);
    ck_assert(isnan(score.auc));
    ck_assert_double_eq_tol(score.balanced_accuracy, 1.0 / 3, 1e-15); /* ½ is not above ½ */
    ck_assert_double_eq_tol(score.f1, 0.5, 1e-15);
    score = sotto_utility_judge_numbers(3, same, p);
    ck_assert(isnan(score.r2) && score.rmse > 3);
    ck_assert_int_eq(sotto_utility_judge_classes(&score, 0, 2, 1, truth, p, NULL), SOTTO_OK);
    ck_assert(isnan(score.auc) && isnan(score.f1) && isnan(score.log_loss));
    ck_assert(isnan(sotto_utility_judge_numbers(0, same, p).rmse));
    json_t *null = sotto_utility_number(NAN);
    ck_assert(json_is_null(null));
    json_decref(null);
}
END_TEST

START_TEST(bounds_what_an_impossible_class_costs)
{
    const double truth[] = {0, 1}, p[] = {1, 0, 0, 1}, wrong[] = {0, 1, 1, 0};
    sotto_utility_score score;
    ck_assert_int_eq(sotto_utility_judge_classes(&score, 2, 2, 1, truth, p, NULL), SOTTO_OK);
    ck_assert_double_eq(score.log_loss, 0);
    ck_assert_double_eq(score.auc, 1);
    ck_assert_int_eq(sotto_utility_judge_classes(&score, 2, 2, 1, truth, wrong, NULL), SOTTO_OK);
    ck_assert_double_eq_tol(score.log_loss, 15 * log(10), 1e-9);
    ck_assert_double_eq(score.auc, 0);
    ck_assert_double_eq(score.f1, 0);
}
END_TEST

/* Rates by hand: group a has 2 positives (1 found) and 2 negatives (1 mistaken), b 1 (1) and 3 (1), c none.
 */
START_TEST(compares_groups_as_counted_by_hand)
{
    const size_t of[] = {0, 0, 0, 0, 1, 1, 1, 1, 3};
    const uint8_t truth[] = {1, 1, 0, 0, 1, 0, 0, 0, 1}, predicted[] = {1, 0, 1, 0, 1, 1, 0, 0, 1};
    const char *const names[] = {"a", "b", "c", "missing"};
    const sotto_utility_groups groups = {9, 4, of, names};
    json_t *found = sotto_utility_compare_groups(&groups, truth, predicted);
    const json_t *list = json_object_get(found, "groups");
    ck_assert_uint_eq(json_array_size(list), 3); /* c has no rows */
    const double expected[3][4] = {{4, .5, .5, .5}, {4, .5, 1, 1.0 / 3}, {1, 1, 1, NAN}};
    const char *const said[] = {"a", "b", "missing"};
    for (size_t g = 0; g < 3; g++) {
        const json_t *at = json_array_get(list, g);
        ck_assert_str_eq(json_string_value(json_object_get(at, "group")), said[g]);
        ck_assert_double_eq(number(at, "rows"), expected[g][0]);
        ck_assert_double_eq(number(at, "positive_rate"), expected[g][1]);
        ck_assert_double_eq(number(at, "true_positive_rate"), expected[g][2]);
        if (isnan(expected[g][3]))
            ck_assert(json_is_null(json_object_get(at, "false_positive_rate")));
        else
            ck_assert_double_eq(number(at, "false_positive_rate"), expected[g][3]);
    }
    ck_assert_double_eq(number(found, "demographic_parity_difference"), 0.5);
    ck_assert_double_eq(number(found, "equalised_odds_difference"), 0.5);
    json_decref(found);
}
END_TEST

START_TEST(compares_nothing_to_a_single_group)
{
    const size_t of[] = {0, 0};
    const uint8_t truth[] = {1, 0}, predicted[] = {1, 0};
    const char *const names[] = {"a", "missing"};
    const sotto_utility_groups groups = {2, 2, of, names};
    json_t *found = sotto_utility_compare_groups(&groups, truth, predicted);
    ck_assert(json_is_null(json_object_get(found, "demographic_parity_difference")));
    ck_assert(json_is_null(json_object_get(found, "equalised_odds_difference")));
    json_decref(found);
}
END_TEST

/* ------------------------------------------------- models against scikit-learn */

static const char golden_schema[] =
    "rows: 400\n"
    "missing: \"?\"\n"
    "columns:\n"
    "  - {name: age, type: integer, min: 18, max: 90}\n"
    "  - {name: dose, type: number, decimals: 1, min: 0, max: 100, scale: log, spikes: [0, 2.5], missing: allowed}\n"
    "  - {name: colour, type: category, values: [red, green, blue], missing: allowed}\n"
    "  - {name: outcome, type: category, values: [\"no\", \"yes\"]}\n"
    "  - {name: shade, type: category, values: [light, middle, dark]}\n"
    "  - {name: weight, type: number, decimals: 1, min: 0, max: 200}\n";

/* The solvers stop early: so far from where scikit-learn's ends may they be. */
static void check_golden(const char *key, size_t target, size_t classes, double tolerance)
{
    if (sotto_classifier_unavailable(SOTTO_CLASSIFIER_LINEAR)) {
        printf("skipped: %s\n", sotto_classifier_unavailable(SOTTO_CLASSIFIER_LINEAR));
        return;
    }
    sotto_schema *schema = schema_of(golden_schema);
    sotto_table *train = table_at(schema, below_root("tests/vectors/evaluate/utility_train.csv"));
    sotto_table *test = table_at(schema, below_root("tests/vectors/evaluate/utility_test.csv"));
    const size_t targets[] = {target, 3, 4, 5}, columns = classes > 0 ? classes : 1;
    double *found = predictions(SOTTO_CLASSIFIER_LINEAR, classes, train, test, targets, 4, 1);
    json_t *rows = vectors(key);
    double *expected = numbers_of(rows, columns);
    ck_assert_uint_eq(json_array_size(rows), sotto_table_rows(test));
    for (size_t i = 0; i < json_array_size(rows) * columns; i++)
        ck_assert_msg(fabs(found[i] - expected[i]) < tolerance, "%s %zu: %.6f, not %.6f", key, i, found[i],
                      expected[i]);
    free(found);
    free(expected);
    json_decref(rows);
    sotto_table_destroy(train);
    sotto_table_destroy(test);
    sotto_schema_destroy(schema);
}

START_TEST(predicts_two_classes_as_scikit_learn_does)
{
    check_golden("outcome", 3, 2, 2e-3);
}
END_TEST

START_TEST(predicts_three_classes_as_scikit_learn_does)
{
    check_golden("shade", 4, 3, 2e-3);
}
END_TEST

START_TEST(predicts_numbers_as_scikit_learn_does)
{
    check_golden("weight", 5, 0, 2e-2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate-utility");
    TCase *figures = tcase_create("figures");
    tcase_add_test(figures, judges_classes_as_scikit_learn_does);
    tcase_add_test(figures, judges_numbers_as_scikit_learn_does);
    tcase_add_test(figures, says_what_is_not_defined);
    tcase_add_test(figures, bounds_what_an_impossible_class_costs);
    tcase_add_test(figures, compares_groups_as_counted_by_hand);
    tcase_add_test(figures, compares_nothing_to_a_single_group);
    tcase_add_test(figures, predicts_two_classes_as_scikit_learn_does);
    tcase_add_test(figures, predicts_three_classes_as_scikit_learn_does);
    tcase_add_test(figures, predicts_numbers_as_scikit_learn_does);
    suite_add_tcase(suite, figures);
    suite_add_tcase(suite, utility_model_tests());
    suite_add_tcase(suite, utility_scene_tests());
    return run_suite(suite);
}
