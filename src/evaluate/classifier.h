/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_CLASSIFIER_H
#define SOTTO_EVALUATE_CLASSIFIER_H

/**
 * classifier: one face for the models that an evaluation trains, of classes or of a number.
 *
 * A model fits and predicts in the thread that calls, and starts none: so that no figure depends on how many
 * there are, and many models can be fitted at once. Nothing here prints or ends the process.
 */

#include "evaluate/evaluate.h"
#include "evaluate/feature.h"

typedef enum sotto_classifier_kind {
    SOTTO_CLASSIFIER_LINEAR = 1, /**< logistic regression, one class against the rest; or ridge (liblinear) */
    SOTTO_CLASSIFIER_TREES,      /**< gradient-boosted trees (XGBoost) */
    SOTTO_CLASSIFIER_MLP,        /**< two hidden layers of 64 (the network room) */
} sotto_classifier_kind;

typedef struct sotto_classifier_options {
    sotto_classifier_kind kind;
    size_t classes; /**< 0: predict a number; else ≥ 2 */
    double
        cost; /**< linear: what one example's loss weighs against ½‖w‖²; 0 stands for 1. Large: unpenalised */
    sotto_stream *stream; /**< mlp: first weights and batches. Others need none */
} sotto_classifier_options;

typedef struct sotto_classifier sotto_classifier;

/** "logistic", "trees", "mlp"; for a number "ridge", "trees", "mlp". */
const char *sotto_classifier_name(sotto_classifier_kind kind, bool number);

/** NULL, or why this build cannot fit such models: a sentence for "left_out". */
const char *sotto_classifier_unavailable(sotto_classifier_kind kind);

/**
 * Fit to `features` and `targets` [rows]: each a class in [0, classes), or a finite number. A class that does
 * not occur gets probability 0; where only one occurs, or there is nothing to read, the shares (or the mean)
 * are predicted. SOTTO_ERROR_INPUT without rows, for a target out of range, or where the kind is unavailable.
 * Caller destroys.
 */
sotto_status sotto_classifier_fit(sotto_classifier **model, const sotto_classifier_options *options,
                                  const sotto_features *features, const double *targets, sotto_error *err);

/**
 * Probabilities `out` [rows, classes], each row summing to 1, or numbers [rows], for features of a plan of
 * the same schema and the same columns.
 */
sotto_status sotto_classifier_predict(const sotto_classifier *model, const sotto_features *features,
                                      double *out, sotto_error *err);

void sotto_classifier_destroy(sotto_classifier *model);

/**
 * How well logistic regression tells synthetic from real rows (pmse.c): {"ratio", "value", "expected", …} or
 * {"skipped": why}. New reference in `*record`.
 */
sotto_status sotto_evaluate_pmse(const sotto_evaluation *evaluation, json_t **record, sotto_error *err);

/* ------------------------------------------------ private to classifier*.c */

/*
 * One way to learn. `targets` [rows] are classes in [0, classes), all of which occur and classes ≥ 2; or
 * numbers of mean 0 and deviation 1, classes 0. Predictions are [rows, max(classes, 1)].
 */
typedef struct sotto_learner {
    sotto_status (*fit)(void **state, const sotto_classifier_options *options, size_t classes,
                        const sotto_features *features, const double *targets, sotto_error *err);
    sotto_status (*predict)(const void *state, const sotto_features *features, double *out, sotto_error *err);
    void (*destroy)(void *state);
} sotto_learner;

extern const sotto_learner sotto_learner_linear, sotto_learner_trees, sotto_learner_mlp;

#endif
