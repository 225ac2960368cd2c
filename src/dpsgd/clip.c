/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "dpsgd/dpsgd.h"

float sotto_clip_factor(double max_grad_norm, double norm2)
{
    if (!isfinite(norm2))
        return 0.0f;
    double norm = sqrt(norm2);
    /*
     * The factor is applied to float32 rows and the norm was computed from float32 rows: 2⁻²⁰ is room for
     * every rounding of both, so that what is added up has a norm of at most C, never a little more.
     */
    double factor = norm > max_grad_norm * (1.0 - 0x1p-20) ? max_grad_norm * (1.0 - 0x1p-20) / norm : 1.0;
    float rounded = (float)factor;
    return (double)rounded > factor ? nextafterf(rounded, 0.0f) : rounded;
}
