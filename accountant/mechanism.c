/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/* Every kind that can be priced. */
static const accountant_kind *const kinds[] = {
    [SOTTO_MECHANISM_GAUSSIAN] = &accountant_gaussian,
    [SOTTO_MECHANISM_SAMPLED_GAUSSIAN] = &accountant_sampled_gaussian,
};

static const accountant_kind *find_kind(sotto_mechanism_kind kind)
{
    const size_t index = (size_t)kind;
    return index < sizeof kinds / sizeof *kinds ? kinds[index] : NULL;
}

sotto_status accountant_check_noise_multiplier(double noise_multiplier, sotto_error *err)
{
    if (!(noise_multiplier >= 0.0 && isfinite(noise_multiplier)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "noise multiplier is %g; expected a finite number of at least 0: the noise's "
                               "standard deviation over the sensitivity",
                               noise_multiplier);
    return SOTTO_OK;
}

sotto_status sotto_mechanism_check(const sotto_mechanism *mechanism, sotto_error *err)
{
    if (!mechanism)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "mechanism is NULL; expected one made by a constructor");
    const accountant_kind *kind = find_kind(mechanism->kind);
    if (!kind)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "mechanism is of unknown kind %d; make mechanisms with their constructors",
                               (int)mechanism->kind);
    const char *adjacency = sotto_adjacency_name(mechanism->adjacency);
    if (!adjacency)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "%s mechanism has unknown adjacency %d; expected add or remove one unit (%d) or "
            "replace one unit (%d)",
            kind->name, (int)mechanism->adjacency, (int)SOTTO_ADJACENCY_ADD_REMOVE,
            (int)SOTTO_ADJACENCY_REPLACE_ONE);
    if (!(kind->adjacencies & 1u << mechanism->adjacency))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%s mechanism cannot be priced under the adjacency %s",
                               kind->name, adjacency);
    if (mechanism->group_size < 1 || mechanism->group_size > SOTTO_ACCOUNTANT_MAX_COUNT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%s mechanism has a group of %llu units; expected 1 to 2^53", kind->name,
                               (unsigned long long)mechanism->group_size);
    if (mechanism->group_size > 1 && !kind->groups)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%s mechanism cannot be priced for groups; expected one unit", kind->name);
    return kind->check(mechanism, err);
}

static sotto_status make(sotto_mechanism *out, sotto_mechanism_kind kind, double sample_rate,
                         double noise_multiplier, sotto_error *err)
{
    const sotto_mechanism mechanism = {
        .kind = kind,
        .adjacency = SOTTO_ADJACENCY_ADD_REMOVE,
        /* + 0.0 turns a negative zero into zero, so that equal parameters are also equal bit for bit. */
        .sample_rate = sample_rate + 0.0,
        .noise_multiplier = noise_multiplier + 0.0,
        .group_size = 1,
    };
    const sotto_status status = sotto_mechanism_check(&mechanism, err);
    if (status == SOTTO_OK)
        *out = mechanism;
    return status;
}

sotto_status sotto_mechanism_gaussian(sotto_mechanism *out, double noise_multiplier, sotto_error *err)
{
    return make(out, SOTTO_MECHANISM_GAUSSIAN, 1.0, noise_multiplier, err);
}

sotto_status sotto_mechanism_sampled_gaussian(sotto_mechanism *out, double sample_rate,
                                              double noise_multiplier, sotto_error *err)
{
    return make(out, SOTTO_MECHANISM_SAMPLED_GAUSSIAN, sample_rate, noise_multiplier, err);
}

int accountant_mechanism_compare(const sotto_mechanism *a, const sotto_mechanism *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->adjacency != b->adjacency)
        return a->adjacency < b->adjacency ? -1 : 1;
    if (a->sample_rate != b->sample_rate)
        return a->sample_rate < b->sample_rate ? -1 : 1;
    if (a->noise_multiplier != b->noise_multiplier)
        return a->noise_multiplier < b->noise_multiplier ? -1 : 1;
    if (a->group_size != b->group_size)
        return a->group_size < b->group_size ? -1 : 1;
    return 0;
}

bool sotto_mechanism_equal(const sotto_mechanism *a, const sotto_mechanism *b)
{
    return accountant_mechanism_compare(a, b) == 0;
}

const char *sotto_adjacency_name(sotto_adjacency adjacency)
{
    switch (adjacency) {
    case SOTTO_ADJACENCY_ADD_REMOVE:
        return "add or remove one";
    case SOTTO_ADJACENCY_REPLACE_ONE:
        return "replace one";
    }
    return NULL;
}

const char *sotto_mechanism_kind_name(sotto_mechanism_kind kind)
{
    const accountant_kind *found = find_kind(kind);
    return found ? found->name : NULL;
}

double accountant_mechanism_rdp(const sotto_mechanism *mechanism, double t)
{
    return kinds[mechanism->kind]->rdp(mechanism, t);
}

double sotto_mechanism_rdp(const sotto_mechanism *mechanism, double order)
{
    if (!(order >= 1.0 && isfinite(order)) || sotto_mechanism_check(mechanism, NULL) != SOTTO_OK)
        return INFINITY;
    return accountant_mechanism_rdp(mechanism, order - 1.0);
}
