/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_H
#define SOTTO_EVALUATE_H

/**
 * evaluate: is a synthetic table any good, and what does it give away? Three parts, each a record in JSON:
 *
 *     train, test, synthetic ─► fidelity (fidelity*.c): do columns, pairs and triples look alike
 *                            ├► utility (utility*.c, classifier*.c): does a model learned from it work
 *                            └► attacks (attack*.c): what an attacker learns from it about the train table
 *
 * Everything here is computed from real data without noise, so it belongs into private/ and never leaves the
 * building (contract rule P12). docs/evaluation.md defines each figure; docs/records.md lists the keys.
 */

#include <jansson.h>

#include "data/data.h"

/** What `"format"` of the whole record says. */
#define SOTTO_EVALUATION_FORMAT "sotto evaluation 1"

/** The tables, all read under one schema, and how to work. */
typedef struct sotto_evaluation {
    const sotto_table *train; /**< what the synthetic table was learned from */
    const sotto_table *test;  /**< other rows of the same population: the control; may be NULL */
    const sotto_table *synthetic;
    unsigned threads;     /**< ≥ 1; no figure depends on it */
    sotto_random *random; /**< of samples, controls and attacks */
    void (*progress)(void *context, const char *phase, size_t done, size_t total); /**< may be NULL */
    void *context;
} sotto_evaluation;

/** Tell whoever watches that `done` of `total` units of `phase` ("fidelity") are done. */
void sotto_evaluation_tell(const sotto_evaluation *evaluation, const char *phase, size_t done, size_t total);

/** A new stream of the evaluation's random numbers; caller destroys. */
sotto_status sotto_evaluation_stream(const sotto_evaluation *evaluation, sotto_stream **stream,
                                     sotto_error *err);

/** Columns, pairs, triples, and how well a model tells the tables apart. New reference in `*record`. */
sotto_status sotto_evaluate_fidelity(const sotto_evaluation *evaluation, json_t **record, sotto_error *err);

/** What is to be predicted. */
typedef struct sotto_utility_options {
    size_t target;    /**< a column of the schema: a category (classification) or a number (regression) */
    size_t sensitive; /**< a category column whose groups are compared, or SOTTO_NONE */
} sotto_utility_options;

/** Train on real, synthetic and control tables, test on the test table, which must be there. */
sotto_status sotto_evaluate_utility(const sotto_evaluation *evaluation, const sotto_utility_options *options,
                                    json_t **record, sotto_error *err);

/** Singling out, linking, inferring, distances, matches, membership. */
sotto_status sotto_evaluate_attacks(const sotto_evaluation *evaluation, json_t **record, sotto_error *err);

/**
 * All three, as the whole record but for what says who made it and when. What is not asked, or cannot be for
 * want of a test table, is left out with its reason.
 * \param options NULL: no utility
 */
sotto_status sotto_evaluate(const sotto_evaluation *evaluation, const sotto_utility_options *options,
                            bool attacks, json_t **record, sotto_error *err);

/**
 * Let a logistic regression learn category column `target` from `synthetic`, and write of each of `rows`
 * [count] of `real` (of the same schema) to `right`, by number of row, whether it is guessed rightly: 1 or 0.
 * What is written for a row depends on that row and the synthetic table alone, so it may be counted by a
 * mechanism; as it stands it is private.
 */
sotto_status sotto_evaluate_guesses(const sotto_table *synthetic, const sotto_table *real,
                                    const uint32_t *rows, size_t count, size_t target, uint8_t *right,
                                    sotto_error *err);

/** NULL, or why this build has no such regression. */
const char *sotto_evaluate_no_guesses(void);

#endif
