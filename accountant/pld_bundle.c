/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>
#include <stdlib.h>

/*
 * What was composed, ready for grids: what is free left out, and all that is Gaussian as one release, since
 * Gaussian losses of variance μ² add up (Dong, Roth, Su 2022, Cor. 3.3).
 */

void pld_bundle_free(pld_bundle *bundle)
{
    free(bundle->mechanisms);
    free(bundle->counts);
    *bundle = (pld_bundle){0};
}

static bool is_gaussian(const sotto_mechanism *m)
{
    return m->kind == SOTTO_MECHANISM_GAUSSIAN ||
           (m->kind == SOTTO_MECHANISM_SAMPLED_GAUSSIAN && m->sample_rate == 1.0);
}

/* Sensitivity over noise of `count` uses together. */
static double mean_of(const sotto_mechanism *m, uint64_t count)
{
    return sqrt((double)count) * ((double)m->group_size / m->noise_multiplier);
}

sotto_status pld_gather(const sotto_accountant *accountant, pld_bundle *out, sotto_error *err)
{
    pld_bundle b = {.symmetric = true};
    b.mechanisms = malloc((accountant->length + 1) * sizeof *b.mechanisms);
    b.counts = malloc((accountant->length + 1) * sizeof *b.counts);
    if (!b.mechanisms || !b.counts) {
        pld_bundle_free(&b);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu privacy-loss distributions",
                               accountant->length);
    }
    for (size_t i = 0; i < accountant->length; i++) {
        const sotto_mechanism *m = &accountant->uses[i].mechanism;
        const uint64_t count = accountant->uses[i].count;
        if (accountant_mechanism_rdp(m, 0.0) == 0.0)
            continue;
        b.largest += (double)count * accountant_mechanism_losses(m)->largest(m);
        if (is_gaussian(m)) {
            b.mu = hypot(b.mu, mean_of(m, count));
            continue;
        }
        b.symmetric = b.symmetric && accountant_mechanism_losses(m)->symmetric;
        b.mechanisms[b.length] = *m;
        b.counts[b.length++] = count;
        b.steps += (double)count;
    }
    b.largest *= 1.0 + 1e-14; /* each end of a law, and their sum, was rounded to nearest */
    if (b.mu > 0.0 && b.length > 0) {
        b.steps += 1.0;
        b.counts[b.length] = 1;
        const sotto_status status =
            sotto_mechanism_gaussian(&b.mechanisms[b.length++], 1.0 / b.mu * (1.0 - 1e-15), err);
        if (status != SOTTO_OK) {
            pld_bundle_free(&b);
            return status;
        }
    }
    *out = b;
    return SOTTO_OK;
}

void pld_releases_free(pld_use *uses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pld_release_free(&uses[i].release);
    free(uses);
}

sotto_status pld_releases_make(const pld_bundle *b, double spacing, double tail, pld_use **out,
                               sotto_error *err)
{
    pld_use *uses = calloc(b->length, sizeof *uses);
    if (!uses)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu privacy-loss distributions",
                               b->length);
    sotto_status status = SOTTO_OK;
    size_t atoms = 0;
    for (size_t i = 0; i < b->length && status == SOTTO_OK; i++) {
        uses[i].count = b->counts[i];
        status = pld_release_make(&b->mechanisms[i], spacing, tail, &uses[i].release, err);
        atoms += uses[i].release.atoms[PLD_REMOVE][PLD_ABOVE].length;
        if (status == SOTTO_OK && atoms > PLD_MAX_CELLS)
            status = sotto_error_set(err, SOTTO_ERROR_NUMERIC,
                                     "%zu mechanisms do not fit one grid of spacing %g", b->length, spacing);
    }
    if (status == SOTTO_OK)
        *out = uses;
    else
        pld_releases_free(uses, b->length);
    return status;
}

/* The finest grid that has room for all the losses. */
double pld_finest_spacing(const pld_bundle *bundle, double tail)
{
    double length = 0.0;
    for (size_t i = 0; i < bundle->length; i++) {
        const sotto_mechanism *m = &bundle->mechanisms[i];
        const struct accountant_losses *losses = accountant_mechanism_losses(m);
        double low, high;
        if (losses->feasible && !losses->feasible(m))
            return INFINITY;
        losses->range(m, tail, &low, &high);
        length += (high - low) * (losses->effort ? losses->effort(m) : 1.0);
    }
    return length / ((double)PLD_MAX_CELLS - 4.0 * (double)bundle->length);
}
