/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_LOSS_H
#define SOTTO_NETWORK_LOSS_H

/** Losses of single examples, and their gradients. */

#include "base/base.h"

/* Each loss is per example: values [rows] (may be NULL) and gradients [rows] with respect to the logit,
 * unreduced. */

/** The losses of a generative adversarial pair. */
typedef enum sotto_adversarial_loss {
    SOTTO_ADVERSARIAL_CROSS_ENTROPY = 1, /**< D: log-loss; G: the non-saturating −log sigmoid(f) */
    SOTTO_ADVERSARIAL_WASSERSTEIN,       /**< D: −f on real, +f on fake; G: −f */
    SOTTO_ADVERSARIAL_HINGE,             /**< D: max(0, 1 − f) on real, max(0, 1 + f) on fake; G: −f */
} sotto_adversarial_loss;

/** The discriminator's loss on `rows` logits that are all real or all fake. */
void sotto_loss_discriminator(sotto_adversarial_loss kind, bool real, size_t rows, const float *logits,
                              double *values, float *gradients);

/** The generator's loss on the discriminator's logits for its fakes. */
void sotto_loss_generator(sotto_adversarial_loss kind, size_t rows, const float *logits, double *values,
                          float *gradients);

/** Binary cross-entropy with logits: log(1 + e^f) − t·f for targets t in [0, 1]; stable for every finite f.
 */
void sotto_loss_cross_entropy(size_t rows, const float *logits, const float *targets, double *values,
                              float *gradients);

/** ½‖prediction − target‖² for each row of [rows, columns]; gradients [rows, columns]. */
void sotto_loss_squared_error(size_t rows, size_t columns, const float *predictions, const float *targets,
                              double *values, float *gradients);

#endif
