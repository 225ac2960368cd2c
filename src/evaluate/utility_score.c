/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/utility.h"

#include <math.h>
#include <stdlib.h>

sotto_utility_score sotto_utility_no_score(void)
{
    return (sotto_utility_score){NAN, NAN, NAN, NAN, NAN, NAN};
}

json_t *sotto_utility_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

size_t sotto_utility_predicted(const double *probabilities, size_t classes, size_t positive)
{
    if (classes == 2)
        return probabilities[positive] > 0.5 ? positive : 1 - positive;
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (probabilities[k] > probabilities[best])
            best = k;
    return best;
}

/* --------------------------------------------------------------------- AUC */

typedef struct scored {
    double probability;
    bool positive;
} scored;

static int by_probability(const void *a, const void *b)
{
    const double x = ((const scored *)a)->probability, y = ((const scored *)b)->probability;
    return (x > y) - (x < y);
}

/* The share of pairs of a positive and a negative row in which the positive one has more, equals counting one
 * half (Mann and Whitney 1947); NaN where there are no pairs. */
static double auc_of(scored *rows, size_t count)
{
    double below = 0, won = 0, positives = 0;
    qsort(rows, count, sizeof *rows, by_probability);
    for (size_t first = 0, next; first < count; first = next) {
        double equal = 0, here = 0;
        for (next = first; next < count && rows[next].probability == rows[first].probability; next++) {
            here += rows[next].positive ? 1 : 0;
            equal += rows[next].positive ? 0 : 1;
        }
        won += here * (below + equal / 2);
        below += equal;
        positives += here;
    }
    return positives > 0 && below > 0 ? won / (positives * below) : NAN;
}

static double mean_auc(size_t rows, size_t classes, size_t positive, const double *truth,
                       const double *probabilities, scored *scratch)
{
    double sum = 0, defined = 0;
    for (size_t k = 0; k < classes; k++) {
        if (classes == 2 && k != positive)
            continue;
        for (size_t i = 0; i < rows; i++)
            scratch[i] = (scored){probabilities[i * classes + k], (size_t)truth[i] == k};
        const double auc = auc_of(scratch, rows);
        if (!isnan(auc)) {
            sum += auc;
            defined += 1;
        }
    }
    return defined > 0 ? sum / defined : NAN;
}

/* -------------------------------------------------------------- the others */

/* Of one class. */
typedef struct tally {
    double real, predicted, both;
} tally;

static double f1_of(const tally *of)
{
    return of->both > 0 ? 2 * of->both / (of->real + of->predicted) : 0;
}

static void judge_tallies(sotto_utility_score *score, size_t classes, size_t positive, const tally *tallies)
{
    double recall = 0, real = 0, f1 = 0, seen = 0;
    for (size_t k = 0; k < classes; k++) {
        const tally *at = &tallies[k];
        recall += at->real > 0 ? at->both / at->real : 0;
        real += at->real > 0 ? 1 : 0;
        f1 += f1_of(at);
        seen += at->real + at->predicted > 0 ? 1 : 0;
    }
    score->balanced_accuracy = recall / real;
    score->f1 = classes == 2 ? f1_of(&tallies[positive]) : f1 / seen;
}

sotto_status sotto_utility_judge_classes(sotto_utility_score *score, size_t rows, size_t classes,
                                         size_t positive, const double *truth, const double *probabilities,
                                         sotto_error *err)
{
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    *score = sotto_utility_no_score();
    if (status != SOTTO_OK || rows == 0) {
        sotto_arena_destroy(scratch);
        return status;
    }
    tally *tallies = sotto_arena_take(scratch, classes, sizeof *tallies, err);
    scored *sorted = sotto_arena_take(scratch, rows, sizeof *sorted, err);
    if (!tallies || !sorted) {
        sotto_arena_destroy(scratch);
        return SOTTO_ERROR_MEMORY;
    }
    score->log_loss = 0;
    for (size_t i = 0; i < rows; i++) {
        const double *row = probabilities + i * classes;
        const size_t real = (size_t)truth[i], predicted = sotto_utility_predicted(row, classes, positive);
        score->log_loss -= log(fmin(fmax(row[real], SOTTO_UTILITY_LEAST_PROBABILITY), 1));
        tallies[real].real += 1;
        tallies[predicted].predicted += 1;
        tallies[real].both += real == predicted ? 1 : 0;
    }
    score->log_loss /= (double)rows;
    judge_tallies(score, classes, positive, tallies);
    score->auc = mean_auc(rows, classes, positive, truth, probabilities, sorted);
    sotto_arena_destroy(scratch);
    return SOTTO_OK;
}

sotto_utility_score sotto_utility_judge_numbers(size_t rows, const double *truth, const double *predicted)
{
    sotto_utility_score score = sotto_utility_no_score();
    double mean = 0, missed = 0, varies = 0;
    bool constant = true;
    if (rows == 0)
        return score;
    for (size_t i = 0; i < rows; i++) {
        mean += truth[i] / (double)rows;
        constant = constant && truth[i] == truth[0];
    }
    for (size_t i = 0; i < rows; i++) {
        missed += (truth[i] - predicted[i]) * (truth[i] - predicted[i]);
        varies += (truth[i] - mean) * (truth[i] - mean);
    }
    if (!constant)
        score.r2 = 1 - missed / varies;
    score.rmse = sqrt(missed / (double)rows);
    return score;
}
