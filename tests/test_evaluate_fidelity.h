/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_EVALUATE_FIDELITY_H
#define TEST_EVALUATE_FIDELITY_H

/* What the tests of fidelity share: tables from text, records, figures by their path. */

#include "evaluate/evaluate.h"
#include "suite.h"

/* Check takes note of every assertion that holds; here there are thousands. */
#define EXPECT(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg(__VA_ARGS__);                                                                       \
    } while (0)

/** Three tables under one schema and an evaluation of them by one thread with a fixed seed. */
typedef struct scene {
    sotto_schema *schema;
    sotto_table *tables[3]; /* train, test or NULL, synthetic */
    sotto_random *random;
    sotto_evaluation evaluation;
} scene;

/** `test` may be NULL. */
void scene_make(scene *made, const char *schema, const char *train, const char *test, const char *synthetic);

/** The tables and schema of tests/vectors/evaluate/fidelity_*. */
void scene_read(scene *made);
void scene_free(scene *made);

/** The record of fidelity, the caller's. */
json_t *record_of(const scene *from);

/** What lies at a path of keys and indices such as "columns.2.similarity"; aborts where nothing does. */
json_t *at(const json_t *record, const char *path, ...) __attribute__((format(printf, 2, 3)));

/** The same as a number, which it must be. */
double number_at(const json_t *record, const char *path, ...) __attribute__((format(printf, 2, 3)));

/** |found − wanted| ≤ 1e-9; a null stands only for a null. */
void expect_same(const json_t *found, const json_t *wanted, const char *what);

/** Every key that the record promises, every similarity and share inside [0, 1]. */
void expect_whole(const json_t *record);

TCase *codes_case(void);
TCase *hostility_case(void);

#endif
