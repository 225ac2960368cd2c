/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Features, and what each kind of model learns from them. */

#include "test_evaluate_utility.h"

static const sotto_classifier_kind kinds[] = {SOTTO_CLASSIFIER_LINEAR, SOTTO_CLASSIFIER_TREES,
                                              SOTTO_CLASSIFIER_MLP};

/* ---------------------------------------------------------------- features */

static const char small_schema[] =
    "rows: 4\n"
    "missing: \"?\"\n"
    "columns:\n"
    "  - {name: id, type: identifier}\n"
    "  - {name: n, type: integer, min: 0, max: 10, spikes: [0, 7], missing: allowed}\n"
    "  - {name: c, type: category, values: [a, b], missing: allowed}\n"
    "  - {name: same, type: number, decimals: 1, min: 0, max: 9}\n"
    "  - {name: day, type: date, min: 2000-01-01, max: 2000-12-31}\n"
    "  - {name: y, type: category, values: [u, v]}\n";

START_TEST(reads_rows_as_promised)
{
    static const char text[] =
        "id,n,c,same,day,y\n1,7,b,.3,2000-01-01,u\n2,?,?,.3,2000-01-03,v\n3,1,a,.3,2000-01-02,u\n";
    const sotto_table_options any = {.any_row_count = true};
    sotto_schema *schema = schema_of(small_schema);
    sotto_table *table = NULL;
    ck_assert_int_eq(load_bytes(&table, schema, text, strlen(text), &any, NULL), SOTTO_OK);
    const bool left_out[6] = {[5] = true};
    const sotto_features_source source = {table, NULL, 3};
    sotto_features_plan *plan = NULL;
    sotto_features *features = NULL;
    ck_assert_int_eq(sotto_features_plan_create(&plan, &source, 1, left_out, NULL), SOTTO_OK);
    /* n: value, missing, 0, 7; c: a, b, missing; same; day */
    ck_assert_uint_eq(plan->width, 9);
    ck_assert_uint_eq(plan->entries, 5);
    ck_assert_uint_eq(plan->field_count, 4);
    ck_assert_int_eq(sotto_features_create(&features, plan, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_fill(features, 0, &source, NULL, NULL), SOTTO_OK);
    const float s = sqrtf(1.5f);
    const float whole[3][9] = {
        {1, 0, 0, 1, 0, 1, 0, 0, -s}, {0, 1, 0, 0, 0, 0, 1, 0, s}, {-1, 0, 0, 0, 1, 0, 0, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        float row[9] = {0};
        for (size_t e = 0; e < 5; e++) {
            ck_assert(e == 0 || features->columns[i * 5 + e] > features->columns[i * 5 + e - 1]);
            row[features->columns[i * 5 + e]] = features->values[i * 5 + e];
        }
        for (size_t j = 0; j < 9; j++)
            ck_assert_msg(fabsf(row[j] - whole[i][j]) < 1e-6f, "row %zu, element %zu: %g", i, j,
                          (double)row[j]);
    }
    float dense[12];
    const float fields[12] = {1, 1, 0, -s, NAN, NAN, 0, s, -1, 0, 0, 0};
    sotto_features_dense(features, dense);
    for (size_t i = 0; i < 12; i++)
        ck_assert(isnan(fields[i]) ? isnan(dense[i]) : fabsf(dense[i] - fields[i]) < 1e-6f);
    ck_assert_int_eq(sotto_features_fill(features, 1, &source, NULL, NULL), SOTTO_ERROR_INPUT);
    sotto_features_destroy(features);
    sotto_features_plan_destroy(plan);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* Two columns that say the same: shuffled on their own they keep their values and lose what they shared. */
START_TEST(shuffles_columns_one_by_one)
{
    sotto_schema *schema = schema_of("rows: 500\ncolumns:\n  - {name: a, type: integer, min: 0, max: 499}\n"
                                     "  - {name: b, type: integer, min: 0, max: 499}\n");
    draft text = {0};
    start(&text, "a,b");
    for (int i = 0; i < 500; i++)
        fprintf(text.file, "%d,%d\n", i, i);
    sotto_table *table = finish(&text, schema);
    sotto_random *random = random_of(3);
    sotto_stream *stream = stream_of(random);
    const sotto_features_source source = {table, NULL, 500};
    sotto_features_plan *plan = NULL;
    sotto_features *features = NULL;
    ck_assert_int_eq(sotto_features_plan_create(&plan, &source, 1, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_create(&features, plan, 500, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_fill(features, 0, &source, stream, NULL), SOTTO_OK);
    double together = 0, sums[2] = {0}, squares[2] = {0};
    for (size_t i = 0; i < 500; i++) {
        const double a = (double)features->values[2 * i], b = (double)features->values[2 * i + 1];
        together += a * b / 500;
        sums[0] += a;
        sums[1] += b;
        squares[0] += a * a / 500;
        squares[1] += b * b / 500;
    }
    /* A correlation of 500 independent pairs beyond 0.25 is 5.6 deviations out: below 1e-7. */
    ck_assert_double_lt(fabs(together), 0.25);
    for (size_t k = 0; k < 2; k++) {
        ck_assert_double_eq_tol(sums[k], 0, 1e-3);
        ck_assert_double_eq_tol(squares[k], 1, 1e-4);
    }
    sotto_features_destroy(features);
    sotto_features_plan_destroy(plan);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(samples_without_replacement)
{
    sotto_random *random = random_of(4);
    sotto_stream *stream = stream_of(random);
    uint32_t rows[100];
    bool seen[100] = {false};
    for (uint32_t i = 0; i < 100; i++)
        rows[i] = i;
    ck_assert_uint_eq(sotto_rows_sample(rows, 100, 200, stream), 100);
    for (uint32_t i = 0; i < 100; i++)
        ck_assert_uint_eq(rows[i], i);
    ck_assert_uint_eq(sotto_rows_sample(rows, 100, 30, stream), 30);
    size_t moved = 0;
    for (size_t i = 0; i < 100; i++) {
        ck_assert(rows[i] < 100 && !seen[rows[i]]);
        seen[rows[i]] = true;
        moved += i < 30 && rows[i] >= 30;
    }
    ck_assert_uint_ge(moved, 5); /* of 21 expected; fewer: below 1e-9 */
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

/* ------------------------------------------------------------------ models */

static const char toy_schema[] =
    "rows: 2000\n"
    "missing: \"?\"\n"
    "columns:\n"
    "  - {name: x, type: number, decimals: 3, min: -1, max: 1}\n"
    "  - {name: z, type: number, decimals: 3, min: -1, max: 1, missing: allowed}\n"
    "  - {name: c, type: category, values: [a, b]}\n"
    "  - {name: sum, type: category, values: [low, high]}\n"
    "  - {name: both, type: category, values: [equal, unequal]}\n"
    "  - {name: part, type: category, values: [low, never, middle, high]}\n"
    "  - {name: n, type: number, decimals: 3, min: -9, max: 9}\n";
enum { X, Z, C, SUM, BOTH, PART, N };
static const size_t toy_targets[][5] = {[SUM] = {SUM, BOTH, PART, N},
                                        [BOTH] = {BOTH, SUM, PART, N},
                                        [PART] = {PART, SUM, BOTH, N},
                                        [N] = {N, SUM, BOTH, PART}};

/* sum: x + z + (c is b) > ½; both: x > 0 is the same as (c is b); part: x in thirds; n: x + |z|. */
static sotto_table *toy(const sotto_schema *schema, size_t rows, uint64_t seed)
{
    sotto_random *random = random_of(seed);
    sotto_stream *stream = stream_of(random);
    draft text = {0};
    start(&text, "x,z,c,sum,both,part,n");
    for (size_t i = 0; i < rows; i++) {
        const double x = 2 * sotto_stream_uniform(stream) - 1, z = 2 * sotto_stream_uniform(stream) - 1;
        const bool b = sotto_stream_coin(stream, 0.5), missing = sotto_stream_coin(stream, 0.05);
        char cell[32] = "?";
        if (!missing)
            snprintf(cell, sizeof cell, "%.3f", z);
        const double known = missing ? 0 : z;
        fprintf(text.file, "%.3f,%s,%s,%s,%s,%s,%.3f\n", x, cell, b ? "b" : "a",
                x + known + (b ? 1 : 0) > 0.5 ? "high" : "low", (x > 0) == b ? "equal" : "unequal",
                x < -0.33  ? "low"
                : x > 0.33 ? "high"
                           : "middle",
                x + fabs(known));
    }
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    return finish(&text, schema);
}

typedef struct pair {
    sotto_schema *schema;
    sotto_table *train, *test;
} pair;

static pair toys_of(size_t train, size_t test)
{
    pair made = {.schema = schema_of(toy_schema)};
    made.train = toy(made.schema, train, 11);
    made.test = toy(made.schema, test, 12);
    return made;
}

static void toys_drop(const pair *made)
{
    sotto_table_destroy(made->train);
    sotto_table_destroy(made->test);
    sotto_schema_destroy(made->schema);
}

static sotto_utility_score try_toy(const pair *toys, sotto_classifier_kind kind, size_t target,
                                   size_t classes)
{
    const size_t rows = sotto_table_rows(toys->test);
    double *p = predictions(kind, classes, toys->train, toys->test, toy_targets[target], 4, 5);
    double *truth = calloc(rows, sizeof *truth);
    sotto_utility_score score;
    for (size_t i = 0; i < rows; i++)
        truth[i] = classes > 0 ? (double)sotto_table_category(toys->test, i, target)
                               : sotto_table_number(toys->test, i, target);
    for (size_t i = 0; classes > 0 && i < rows; i++) {
        double sum = 0;
        for (size_t k = 0; k < classes; k++)
            sum += p[i * classes + k];
        ck_assert_double_eq_tol(sum, 1, 1e-12);
    }
    if (classes > 0)
        ck_assert_int_eq(sotto_utility_judge_classes(&score, rows, classes, 1, truth, p, NULL), SOTTO_OK);
    else
        score = sotto_utility_judge_numbers(rows, truth, p);
    free(p);
    free(truth);
    return score;
}

/* Each kind learns a sum; what is not one, all but the linear model. */
START_TEST(every_model_learns_what_it_can)
{
    const sotto_classifier_kind kind = kinds[_i];
    if (sotto_classifier_unavailable(kind))
        return;
    const pair toys = toys_of(4000, 1000);
    ck_assert_double_gt(try_toy(&toys, kind, SUM, 2).auc, 0.97);
    const double both = try_toy(&toys, kind, BOTH, 2).auc, n = try_toy(&toys, kind, N, 0).r2;
    if (kind == SOTTO_CLASSIFIER_LINEAR) {
        ck_assert_double_lt(fabs(both - 0.5), 0.1);
        ck_assert_double_lt(n, 0.9);
        ck_assert_double_gt(n, 0.6); /* |z| is a quarter of the variance of x + |z|, near enough */
    } else {
        ck_assert_double_gt(both, 0.97);
        ck_assert_double_gt(n, 0.95);
    }
    toys_drop(&toys);
}
END_TEST

/* "never" never occurs: probability 0, and the other three are learned. */
START_TEST(a_class_that_does_not_occur_gets_nothing)
{
    const sotto_classifier_kind kind = kinds[_i];
    if (sotto_classifier_unavailable(kind))
        return;
    const pair toys = toys_of(3000, 500);
    double *p = predictions(kind, 4, toys.train, toys.test, toy_targets[PART], 4, 5);
    for (size_t i = 0; i < 500; i++)
        ck_assert_double_eq(p[4 * i + 1], 0);
    free(p);
    ck_assert_double_gt(try_toy(&toys, kind, PART, 4).auc, kind == SOTTO_CLASSIFIER_LINEAR ? 0.8 : 0.97);
    toys_drop(&toys);
}
END_TEST

/* The same seed gives the same bits, and another one other bits where there is randomness at all. */
START_TEST(a_seed_decides_everything)
{
    const sotto_classifier_kind kind = kinds[_i];
    if (sotto_classifier_unavailable(kind))
        return;
    const pair toys = toys_of(1000, 300);
    double *first = predictions(kind, 2, toys.train, toys.test, toy_targets[SUM], 4, 5);
    double *again = predictions(kind, 2, toys.train, toys.test, toy_targets[SUM], 4, 5);
    double *other = predictions(kind, 2, toys.train, toys.test, toy_targets[SUM], 4, 6);
    ck_assert_mem_eq(first, again, 600 * sizeof *first);
    ck_assert_int_eq(memcmp(first, other, 600 * sizeof *first) == 0, kind != SOTTO_CLASSIFIER_MLP);
    free(first);
    free(again);
    free(other);
    toys_drop(&toys);
}
END_TEST

/* Without a target that varies, or without features, the shares and the mean are all that can be said. */
START_TEST(says_the_shares_where_nothing_can_be_learned)
{
    const sotto_classifier_kind kind = kinds[_i];
    if (sotto_classifier_unavailable(kind))
        return;
    sotto_schema *schema = schema_of(toy_schema);
    sotto_table *table = toy(schema, 40, 1);
    const sotto_features_source source = {table, NULL, 40};
    const bool all_out[7] = {true, true, true, true, true, true, true};
    double labels[40] = {0}, out[120];
    for (size_t blind = 0; blind < 2; blind++) {
        sotto_features_plan *plan = NULL;
        sotto_features *features = NULL;
        sotto_classifier *model = NULL;
        ck_assert_int_eq(sotto_features_plan_create(&plan, &source, 1, blind ? all_out : NULL, NULL),
                         SOTTO_OK);
        ck_assert_int_eq(sotto_features_create(&features, plan, 40, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_features_fill(features, 0, &source, NULL, NULL), SOTTO_OK);
        for (size_t i = 0; i < 40; i++)
            labels[i] = blind ? (i < 10 ? 2 : 1) : 2;
        sotto_classifier_options options = {.kind = kind, .classes = 3};
        ck_assert_int_eq(sotto_classifier_fit(&model, &options, features, labels, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_classifier_predict(model, features, out, NULL), SOTTO_OK);
        for (size_t i = 0; i < 40; i++) {
            ck_assert_double_eq(out[3 * i], 0);
            ck_assert_double_eq(out[3 * i + 1], blind ? 0.75 : 0);
            ck_assert_double_eq(out[3 * i + 2], blind ? 0.25 : 1);
        }
        sotto_classifier_destroy(model);
        options.classes = 0;
        ck_assert_int_eq(sotto_classifier_fit(&model, &options, features, labels, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_classifier_predict(model, features, out, NULL), SOTTO_OK);
        for (size_t i = 0; i < 40; i++)
            ck_assert_double_eq_tol(out[i], blind ? 1.25 : 2, 1e-12);
        sotto_classifier_destroy(model);
        sotto_features_destroy(features);
        sotto_features_plan_destroy(plan);
    }
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(refuses_what_it_cannot_fit)
{
    sotto_schema *schema = schema_of(toy_schema);
    sotto_table *table = toy(schema, 5, 1);
    const sotto_features_source source = {table, NULL, 5};
    sotto_features_plan *plan = NULL;
    sotto_features *features = NULL, *none = NULL;
    sotto_classifier *model = NULL;
    ck_assert_int_eq(sotto_features_plan_create(&plan, &source, 1, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_create(&features, plan, 5, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_create(&none, plan, 0, NULL), SOTTO_OK);
    const double good[] = {0, 1, 0, 1, 0}, high[] = {0, 1, 2, 1, 0}, half[] = {0, 1, .5, 1, 0},
                 nan[] = {0, NAN, 0, 1, 0};
    const sotto_classifier_options two = {.kind = SOTTO_CLASSIFIER_MLP, .classes = 2},
                                   one = {.kind = SOTTO_CLASSIFIER_MLP, .classes = 1},
                                   number = {.kind = SOTTO_CLASSIFIER_MLP},
                                   unknown = {.kind = 9, .classes = 2};
    ck_assert_int_eq(sotto_classifier_fit(&model, &two, none, good, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &two, features, high, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &two, features, half, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &two, features, nan, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &number, features, nan, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &one, features, good, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &unknown, features, good, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_classifier_fit(&model, &two, features, good, NULL),
                     SOTTO_ERROR_INPUT); /* no stream */
    ck_assert_ptr_null(model);
    sotto_features_destroy(none);
    sotto_features_destroy(features);
    sotto_features_plan_destroy(plan);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* liblinear and XGBoost like to talk. */
START_TEST(nothing_is_printed)
{
    const sotto_classifier_kind kind = kinds[_i];
    if (sotto_classifier_unavailable(kind))
        return;
    const pair toys = toys_of(500, 100);
    char path[] = "/tmp/sotto-test-quiet-XXXXXX";
    const int file = mkstemp(path), out = dup(1), wrong = dup(2);
    fflush(NULL);
    ck_assert(file >= 0 && dup2(file, 1) == 1 && dup2(file, 2) == 2);
    double *p = predictions(kind, 2, toys.train, toys.test, toy_targets[SUM], 4, 5);
    fflush(NULL);
    ck_assert(dup2(out, 1) == 1 && dup2(wrong, 2) == 2);
    ck_assert_int_eq(lseek(file, 0, SEEK_END), 0);
    close(file);
    close(out);
    close(wrong);
    unlink(path);
    free(p);
    toys_drop(&toys);
}
END_TEST

TCase *utility_model_tests(void)
{
    TCase *tests = tcase_create("models");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, reads_rows_as_promised);
    tcase_add_test(tests, shuffles_columns_one_by_one);
    tcase_add_test(tests, samples_without_replacement);
    tcase_add_loop_test(tests, every_model_learns_what_it_can, 0, 3);
    tcase_add_loop_test(tests, a_class_that_does_not_occur_gets_nothing, 0, 3);
    tcase_add_loop_test(tests, a_seed_decides_everything, 0, 3);
    tcase_add_loop_test(tests, says_the_shares_where_nothing_can_be_learned, 0, 3);
    tcase_add_test(tests, refuses_what_it_cannot_fit);
    tcase_add_loop_test(tests, nothing_is_printed, 0, 3);
    return tests;
}
