/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Losses of single examples. A loss that couples examples has no place here (contract rule P13). */

#include "network/loss.h"

#include <math.h>

/* log(1 + e^x), without overflow. */
static double softplus(double x)
{
    return fmax(x, 0.0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x)
{
    const double small = exp(-fabs(x));
    return (x >= 0.0 ? 1.0 : small) / (1.0 + small);
}

typedef struct loss {
    double value, gradient;
} loss;

/* The logit is to be high (`sign` 1) or low (−1): the losses below are functions of sign·f. */
static loss adversarial(sotto_adversarial_loss kind, bool hinge, double sign, double logit)
{
    const double margin = sign * logit;
    if (kind == SOTTO_ADVERSARIAL_CROSS_ENTROPY) {
        /* fmax would turn a NaN logit into a finite loss. */
        return (loss){isnan(logit) ? NAN : softplus(-margin), -sign * sigmoid(-margin)};
    }
    if (kind == SOTTO_ADVERSARIAL_HINGE && hinge)
        return margin >= 1.0 ? (loss){0.0, 0.0} : (loss){1.0 - margin, -sign};
    return (loss){-margin, -sign};
}

static void put(size_t i, loss found, double *values, float *gradients)
{
    if (values)
        values[i] = found.value;
    gradients[i] = (float)found.gradient;
}

void sotto_loss_discriminator(sotto_adversarial_loss kind, bool real, size_t rows, const float *logits,
                              double *values, float *gradients)
{
    for (size_t i = 0; i < rows; i++)
        put(i, adversarial(kind, true, real ? 1.0 : -1.0, (double)logits[i]), values, gradients);
}

void sotto_loss_generator(sotto_adversarial_loss kind, size_t rows, const float *logits, double *values,
                          float *gradients)
{
    for (size_t i = 0; i < rows; i++)
        put(i, adversarial(kind, false, 1.0, (double)logits[i]), values, gradients);
}

void sotto_loss_cross_entropy(size_t rows, const float *logits, const float *targets, double *values,
                              float *gradients)
{
    for (size_t i = 0; i < rows; i++) {
        /* As the mixture of "is one" and "is zero", so that neither gradient cancels against its target. */
        const double t = targets[i];
        const loss one = adversarial(SOTTO_ADVERSARIAL_CROSS_ENTROPY, false, 1.0, (double)logits[i]);
        const loss zero = adversarial(SOTTO_ADVERSARIAL_CROSS_ENTROPY, false, -1.0, (double)logits[i]);
        put(i, (loss){t * one.value + (1.0 - t) * zero.value, t * one.gradient + (1.0 - t) * zero.gradient},
            values, gradients);
    }
}

void sotto_loss_squared_error(size_t rows, size_t columns, const float *predictions, const float *targets,
                              double *values, float *gradients)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0.0;
        for (size_t j = i * columns; j < (i + 1) * columns; j++) {
            const double difference = (double)predictions[j] - (double)targets[j];
            sum += difference * difference;
            gradients[j] = (float)difference;
        }
        if (values)
            values[i] = 0.5 * sum;
    }
}
