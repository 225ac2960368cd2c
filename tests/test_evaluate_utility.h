/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_EVALUATE_UTILITY_H
#define TEST_EVALUATE_UTILITY_H

/* What the tests of utility share. */

#include <math.h>

#include "evaluate/utility.h"
#include "test_data.h"

/* "PATH below the root of the sources"; one at a time. */
static inline const char *below_root(const char *path)
{
    static char whole[4096];
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    snprintf(whole, sizeof whole, "%s/%s", root ? root : ".", path);
    return whole;
}

static inline sotto_table *table_at(const sotto_schema *schema, const char *path)
{
    const sotto_table_options any = {.any_row_count = true};
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_msg(sotto_table_load(&table, schema, path, &any, &err) == SOTTO_OK, "%zu: %s", err.line,
                  err.message);
    return table;
}

static inline sotto_random *random_of(uint64_t seed)
{
    sotto_random *random = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    return random;
}

static inline sotto_stream *stream_of(sotto_random *random)
{
    sotto_stream *stream = NULL;
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_EVALUATION, NULL), SOTTO_OK);
    return stream;
}

/* A table that is written row by row. */
typedef struct draft {
    char *text;
    size_t length;
    FILE *file;
} draft;

/* The stream writes to the draft itself, which therefore stays where it is. */
static inline void start(draft *made, const char *header)
{
    made->file = open_memstream(&made->text, &made->length);
    ck_assert_ptr_nonnull(made->file);
    fprintf(made->file, "%s\n", header);
}

static inline sotto_table *finish(draft *made, const sotto_schema *schema)
{
    const sotto_table_options any = {.any_row_count = true};
    sotto_table *table = NULL;
    sotto_error err = {0};
    fclose(made->file);
    ck_assert_msg(load_bytes(&table, schema, made->text, made->length, &any, &err) == SOTTO_OK, "%zu: %s",
                  err.line, err.message);
    free(made->text);
    return table;
}

/* A model fitted to a whole table and its predictions for another, [rows of test, max(classes, 1)]; free().
 */
static inline double *predictions(sotto_classifier_kind kind, size_t classes, const sotto_table *train,
                                  const sotto_table *test, const size_t *targets, size_t target_count,
                                  uint64_t seed)
{
    const sotto_features_source from = {train, NULL, sotto_table_rows(train)};
    const sotto_features_source to = {test, NULL, sotto_table_rows(test)};
    const sotto_schema *schema = sotto_table_schema(train);
    bool *left_out = calloc(schema->column_count, sizeof *left_out);
    for (size_t i = 0; i < target_count; i++)
        left_out[targets[i]] = true;
    double *labels = calloc(from.count, sizeof *labels);
    for (size_t i = 0; i < from.count; i++)
        labels[i] = classes > 0 ? (double)sotto_table_category(train, i, targets[0])
                                : sotto_table_number(train, i, targets[0]);
    double *out = calloc(to.count * (classes > 0 ? classes : 1), sizeof *out);
    sotto_random *random = random_of(seed);
    sotto_stream *stream = stream_of(random);
    const sotto_classifier_options options = {.kind = kind, .classes = classes, .stream = stream};
    sotto_features_plan *plan = NULL;
    sotto_features *seen = NULL, *new = NULL;
    sotto_classifier *model = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_features_plan_create(&plan, &from, 1, left_out, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_create(&seen, plan, from.count, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_fill(seen, 0, &from, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_create(&new, plan, to.count, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_features_fill(new, 0, &to, NULL, NULL), SOTTO_OK);
    ck_assert_msg(sotto_classifier_fit(&model, &options, seen, labels, &err) == SOTTO_OK, "%s", err.message);
    sotto_features_destroy(seen); /* a model needs them no more */
    ck_assert_msg(sotto_classifier_predict(model, new, out, &err) == SOTTO_OK, "%s", err.message);
    sotto_classifier_destroy(model);
    sotto_features_destroy(new);
    sotto_features_plan_destroy(plan);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    free(left_out);
    free(labels);
    return out;
}

/* The suites' cases. */
TCase *utility_model_tests(void);
TCase *utility_scene_tests(void);

#endif
