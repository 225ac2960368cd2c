/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_EVALUATE_ATTACKS_H
#define TEST_EVALUATE_ATTACKS_H

/* What the attacks' tests share: schemas and tables from text, and a population to draw people from. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evaluate/attacks.h"

static inline sotto_schema *schema_of(const char *text)
{
    sotto_schema *schema = NULL;
    sotto_error err = {0};
    const sotto_status status = sotto_schema_parse(&schema, "test.yaml", text, strlen(text), &err);
    ck_assert_msg(status == SOTTO_OK, "%zu:%zu: %s", err.line, err.column, err.message);
    return schema;
}

static inline sotto_table *table_of(const sotto_schema *schema, const char *csv)
{
    char path[] = "/tmp/sotto-test-attacks-XXXXXX";
    const int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, csv, strlen(csv)), (ssize_t)strlen(csv));
    close(descriptor);
    sotto_table *table = NULL;
    sotto_error err = {0};
    const sotto_table_options options = {.any_row_count = true};
    const sotto_status status = sotto_table_load(&table, schema, path, &options, &err);
    unlink(path);
    ck_assert_msg(status == SOTTO_OK, "%zu:%zu: %s", err.line, err.column, err.message);
    return table;
}

static inline sotto_points *points_of(const sotto_table *table)
{
    sotto_points *points = NULL;
    ck_assert_int_eq(sotto_points_create(&points, table, NULL, 0, NULL), SOTTO_OK);
    return points;
}

static inline json_t *attack_tables(const sotto_table *train, const sotto_table *test,
                                    const sotto_table *synthetic, unsigned threads, uint64_t seed)
{
    sotto_random *random = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, &err), SOTTO_OK);
    const sotto_evaluation evaluation = {
        .train = train, .test = test, .synthetic = synthetic, .threads = threads, .random = random};
    json_t *record = NULL;
    const sotto_status status = sotto_evaluate_attacks(&evaluation, &record, &err);
    ck_assert_msg(status == SOTTO_OK, "%s", err.message);
    sotto_random_destroy(random);
    return record;
}

/* The record of the attack `key` (on the column `secret`, where it is not NULL); borrowed. */
static inline const json_t *attack_in(const json_t *record, const char *key, const char *secret)
{
    const json_t *attacks = json_object_get(record, "attacks");
    for (size_t i = 0; i < json_array_size(attacks); i++) {
        const json_t *attack = json_array_get(attacks, i);
        const char *inferred = json_string_value(json_object_get(attack, "secret"));
        if (strcmp(json_string_value(json_object_get(attack, "key")), key) == 0 &&
            (!secret || (inferred && strcmp(inferred, secret) == 0)))
            return attack;
    }
    ck_abort_msg("no attack %s on %s", key, secret ? secret : "anything");
    return NULL;
}

static inline double figure(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    ck_assert_msg(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static inline const char *verdict_of(const json_t *record)
{
    return json_string_value(json_object_get(record, "verdict"));
}

Suite *figures_suite(void);
Suite *neighbours_suite(void);
Suite *records_suite(void);

#endif
