/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_UTILITY_H
#define SOTTO_EVALUATE_UTILITY_H

/**
 * utility: a model is trained on each of four tables and judged on the test table. Private to utility*.c.
 *
 *     utility.c         what is predicted, all trials at once, the record
 *     utility_trial.c   one model on one table
 *     utility_score.c   figures; utility_groups.c: figures by group
 */

#include "evaluate/classifier.h"

/** A predicted probability counts as at least this (and at most 1) in the log loss. */
#define SOTTO_UTILITY_LEAST_PROBABILITY 1e-15

/** NaN where a figure is not defined. */
typedef struct sotto_utility_score {
    double auc, f1, balanced_accuracy, log_loss; /**< of classes */
    double r2, rmse;                             /**< of numbers */
} sotto_utility_score;

/** One in which nothing is defined. */
sotto_utility_score sotto_utility_no_score(void);

/**
 * Judge `probabilities` [rows, classes] by the true classes `truth` [rows]. For two classes: the AUC and F1
 * of class `positive`, which is predicted where its probability is above ½. For more, `positive` is ignored:
 * the first most probable class is predicted, the AUC is the mean over the classes of each against the rest
 * (of those that have both among the truth), and F1 the mean over the classes that are true or predicted
 * somewhere. Balanced accuracy is the mean recall of the classes that are true somewhere. SOTTO_ERROR_MEMORY.
 */
sotto_status sotto_utility_judge_classes(sotto_utility_score *score, size_t rows, size_t classes,
                                         size_t positive, const double *truth, const double *probabilities,
                                         sotto_error *err);

/** R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)², not defined where the truth does not vary, and √(mean (y − ŷ)²). */
sotto_utility_score sotto_utility_judge_numbers(size_t rows, const double *truth, const double *predicted);

/** The class predicted from `probabilities` [classes], as above. */
size_t sotto_utility_predicted(const double *probabilities, size_t classes, size_t positive);

/** A number, or null where it is NaN or infinite. New reference. */
json_t *sotto_utility_number(double value);

/** What a sensitive column splits the test rows into. */
typedef struct sotto_utility_groups {
    size_t rows;
    size_t count;             /**< groups, the last of which is "missing" */
    const size_t *of;         /**< [rows] */
    const char *const *names; /**< [count] */
} sotto_utility_groups;

/**
 * {"groups": …, "demographic_parity_difference", "equalised_odds_difference"} from each test row's truth and
 * prediction, 1 for the positive class: the largest less the smallest positive rate over the groups; and the
 * larger of those two differences for the true and the false positive rate. Groups without rows are left out,
 * and rates without rows are null. NULL where memory is short.
 */
json_t *sotto_utility_compare_groups(const sotto_utility_groups *groups, const uint8_t *truth,
                                     const uint8_t *predicted);

/** What all trials have in common. */
typedef struct sotto_utility_problem {
    const sotto_evaluation *evaluation;
    size_t target;       /**< column of the schema */
    size_t classes;      /**< that occur in any of the tables; 0: a number is predicted */
    size_t positive;     /**< of two classes the one that is rarer in the train table */
    size_t *class_of;    /**< [categories of the target] → class, or SOTTO_NONE */
    const char **names;  /**< [classes] */
    bool *left_out;      /**< [columns] what is not a feature: the target */
    uint32_t *test_rows; /**< [test_count] whose target is known */
    size_t test_count;
    double *truth; /**< [test_count] */
    bool has_groups;
    sotto_utility_groups groups; /**< of the test rows, where has_groups */
    uint8_t *truly_positive;     /**< [test_count], where has_groups */
    sotto_arena *arena;
} sotto_utility_problem;

/** The target of a row: a class, or a number; NaN where missing. */
double sotto_utility_target(const sotto_utility_problem *problem, const sotto_table *table, size_t row);

/**
 * How many rows a model is trained on or tested on at most: fewer with many classes, each of which takes a
 * model of its own.
 */
size_t sotto_utility_rows_most(const sotto_utility_problem *problem, sotto_classifier_kind kind);

/** What a model is trained on. */
typedef enum sotto_utility_table {
    SOTTO_UTILITY_REAL,
    SOTTO_UTILITY_SYNTHETIC,
    SOTTO_UTILITY_INDEPENDENT, /**< the synthetic table, each column shuffled on its own */
    SOTTO_UTILITY_PERMUTED,    /**< the synthetic table, the target shuffled */
} sotto_utility_table;

/** One model on one table. */
typedef struct sotto_utility_trial {
    sotto_classifier_kind kind;
    sotto_utility_table table;
    sotto_stream *stream; /**< its own, so that the order in which trials run does not matter */
    size_t rows;          /**< it was trained on */
    double seconds;
    sotto_utility_score score;
    uint8_t *predicted; /**< [test_count] 1 for the positive class; NULL where no groups are compared */
    sotto_status status;
    sotto_error error;
} sotto_utility_trial;

/** Train, predict, judge; may run in several threads at once. A table without known targets gives no score.
 */
void sotto_utility_try(const sotto_utility_problem *problem, sotto_utility_trial *trial);

#endif
