/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

static sotto_status check(const sotto_mechanism *mechanism, sotto_error *err)
{
    if (mechanism->sample_rate != 1.0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "gaussian mechanism has sample rate %g; expected 1: for a sampled release use "
                               "sotto_mechanism_sampled_gaussian",
                               mechanism->sample_rate);
    return accountant_check_noise_multiplier(mechanism->noise_multiplier, err);
}

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
    .groups = true,
    .check = check,
    .rdp = rdp,
};
