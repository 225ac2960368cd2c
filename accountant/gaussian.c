/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/*
 * αk²/(2σ²): Mironov 2017, Prop. 7, at the sensitivity k of a group. Divided twice by σ, since σ² could
 * underflow or overflow.
 */
static double rdp(const sotto_mechanism *mechanism, double t)
{
    const double sigma = mechanism->noise_multiplier;
    const double mean = (double)mechanism->group_size;
    return sigma > 0.0 ? 0.5 * (1.0 + t) * (mean / sigma) * (mean / sigma) : INFINITY;
}

const accountant_kind accountant_gaussian = {
    .name = "gaussian",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_NOISE_MULTIPLIER,
    .groups = true,
    .rdp = rdp,
    .losses = &accountant_gaussian_losses,
};

sotto_status sotto_mechanism_gaussian(sotto_mechanism *out, double noise_multiplier, sotto_error *err)
{
    return accountant_mechanism_make(
        out, (sotto_mechanism){.kind = SOTTO_MECHANISM_GAUSSIAN, .noise_multiplier = noise_multiplier}, err);
}
