/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* Every kind that can be priced. */
static const accountant_kind *const kinds[] = {
    [SOTTO_MECHANISM_GAUSSIAN] = &accountant_gaussian,
    [SOTTO_MECHANISM_SAMPLED_GAUSSIAN] = &accountant_sampled_gaussian,
    [SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT] = &accountant_gaussian_without_replacement,
    [SOTTO_MECHANISM_DISCRETE_GAUSSIAN] = &accountant_discrete_gaussian,
    [SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN] = &accountant_sampled_discrete_gaussian,
    [SOTTO_MECHANISM_LAPLACE] = &accountant_laplace,
    [SOTTO_MECHANISM_PURE] = &accountant_pure,
    [SOTTO_MECHANISM_ZCDP] = &accountant_zcdp,
    [SOTTO_MECHANISM_EXPONENTIAL] = &accountant_exponential,
    [SOTTO_MECHANISM_SELECTION] = &accountant_selection,
};

static const accountant_kind *find_kind(sotto_mechanism_kind kind)
{
    const size_t index = (size_t)kind;
    return index < sizeof kinds / sizeof *kinds ? kinds[index] : NULL;
}

/* One parameter: within its range where the kind has it, as the constructors leave it where not. */
static sotto_status check_parameter(const accountant_kind *kind, unsigned parameter, const char *name,
                                    double value, double neutral, double most, sotto_error *err)
{
    if (!(kind->parameters & parameter) && value != neutral)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%s mechanism has %s %g; it has none to choose: make mechanisms with their "
                               "constructors",
                               kind->name, name, value);
    if (!(value >= 0.0 && value <= most))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%s mechanism has %s %g; expected a finite number of at least 0%s", kind->name,
                               name, value, most == 1.0 ? " and at most 1" : "");
    return SOTTO_OK;
}

static sotto_status check_parameters(const accountant_kind *kind, const sotto_mechanism *m, sotto_error *err)
{
    const double most = DBL_MAX;
    sotto_status status =
        check_parameter(kind, ACCOUNTANT_SAMPLE_RATE, "sample rate", m->sample_rate, 1.0, 1.0, err);
    if (status == SOTTO_OK)
        status = check_parameter(kind, ACCOUNTANT_NOISE_MULTIPLIER, "noise multiplier", m->noise_multiplier,
                                 0.0, most, err);
    if (status == SOTTO_OK)
        status = check_parameter(kind, ACCOUNTANT_EPSILON, "epsilon", m->epsilon, 0.0, most, err);
    if (status == SOTTO_OK)
        status = check_parameter(kind, ACCOUNTANT_RHO, "rho", m->rho, 0.0, most, err);
    if (status != SOTTO_OK)
        return status;
    if (kind->parameters & ACCOUNTANT_SELECTION)
        return accountant_check_selection(m, err);
    if (m->shape != 0.0 || m->mean != 0.0 || m->run)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%s mechanism has a selection's parameters; make mechanisms with their "
                               "constructors",
                               kind->name);
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
    return check_parameters(kind, mechanism, err);
}

sotto_status accountant_mechanism_make(sotto_mechanism *out, sotto_mechanism draft, sotto_error *err)
{
    const accountant_kind *kind = find_kind(draft.kind);
    if (!draft.adjacency)
        draft.adjacency = kind->adjacencies & ACCOUNTANT_ADD_REMOVE ? SOTTO_ADJACENCY_ADD_REMOVE
                                                                    : SOTTO_ADJACENCY_REPLACE_ONE;
    draft.group_size = 1;
    if (!(kind->parameters & ACCOUNTANT_SAMPLE_RATE))
        draft.sample_rate = 1.0;
    /* + 0.0 turns a negative zero into zero, so that equal parameters are also equal bit for bit. */
    draft.sample_rate += 0.0;
    draft.noise_multiplier += 0.0;
    draft.epsilon += 0.0;
    draft.rho += 0.0;
    const sotto_status status = sotto_mechanism_check(&draft, err);
    if (status == SOTTO_OK)
        *out = draft;
    return status;
}

sotto_status sotto_mechanism_with_adjacency(sotto_mechanism *out, const sotto_mechanism *one,
                                            sotto_adjacency adjacency, sotto_error *err)
{
    sotto_status status = sotto_mechanism_check(one, err);
    if (status != SOTTO_OK)
        return status;
    sotto_mechanism other = *one;
    other.adjacency = adjacency;
    status = sotto_mechanism_check(&other, err);
    if (status == SOTTO_OK)
        *out = other;
    return status;
}

sotto_status sotto_mechanism_group(sotto_mechanism *out, const sotto_mechanism *one, uint64_t group_size,
                                   sotto_error *err)
{
    sotto_status status = sotto_mechanism_check(one, err);
    if (status != SOTTO_OK)
        return status;
    sotto_mechanism group = *one;
    if (group_size > SOTTO_ACCOUNTANT_MAX_COUNT / one->group_size)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%llu groups of %llu units; expected 2^53 units at most",
                               (unsigned long long)group_size, (unsigned long long)one->group_size);
    group.group_size *= group_size;
    status = sotto_mechanism_check(&group, err);
    if (status == SOTTO_OK)
        *out = group;
    return status;
}

static int compare_numbers(double a, double b)
{
    return a < b ? -1 : a > b;
}

int accountant_mechanism_compare(const sotto_mechanism *a, const sotto_mechanism *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->adjacency != b->adjacency)
        return a->adjacency < b->adjacency ? -1 : 1;
    if (a->group_size != b->group_size)
        return a->group_size < b->group_size ? -1 : 1;
    int order = compare_numbers(a->sample_rate, b->sample_rate);
    order = order ? order : compare_numbers(a->noise_multiplier, b->noise_multiplier);
    order = order ? order : compare_numbers(a->epsilon, b->epsilon);
    order = order ? order : compare_numbers(a->rho, b->rho);
    order = order ? order : compare_numbers(a->shape, b->shape);
    order = order ? order : compare_numbers(a->mean, b->mean);
    return order ? order : accountant_run_compare(a->run, b->run);
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

void accountant_mechanism_describe(const sotto_mechanism *mechanism, char *text, size_t size)
{
    const accountant_kind *kind = kinds[mechanism->kind];
    const struct {
        unsigned bit;
        const char *name;
        double value;
    } parts[] = {
        {ACCOUNTANT_SAMPLE_RATE, "sample rate", mechanism->sample_rate},
        {ACCOUNTANT_NOISE_MULTIPLIER, "noise multiplier", mechanism->noise_multiplier},
        {ACCOUNTANT_EPSILON, "epsilon", mechanism->epsilon},
        {ACCOUNTANT_RHO, "rho", mechanism->rho},
        {ACCOUNTANT_SELECTION, "shape", mechanism->shape},
        {ACCOUNTANT_SELECTION, "mean", mechanism->mean},
    };
    int length = snprintf(text, size, "%s mechanism", kind->name);
    const char *before = " (";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (kind->parameters & parts[i].bit && length >= 0 && (size_t)length < size) {
            length += snprintf(text + length, size - (size_t)length, "%s%s %g", before, parts[i].name,
                               parts[i].value);
            before = ", ";
        }
    if (length >= 0 && (size_t)length < size)
        (void)snprintf(text + length, size - (size_t)length,
                       mechanism->group_size > 1 ? ", groups of %llu)" : ")",
                       (unsigned long long)mechanism->group_size);
}

double accountant_interpolate(double (*at_integer)(const sotto_mechanism *mechanism, double t),
                              const sotto_mechanism *mechanism, double t)
{
    if (t <= 1.0)
        return at_integer(mechanism, 1.0);
    const double whole = floor(t), part = t - whole;
    const double low = at_integer(mechanism, whole);
    if (part == 0.0)
        return low;
    return low * ((1.0 - part) * whole / t) + at_integer(mechanism, whole + 1.0) * (part * (whole + 1.0) / t);
}

double accountant_mechanism_rdp(const sotto_mechanism *mechanism, double t)
{
    return kinds[mechanism->kind]->rdp(mechanism, t);
}

const struct accountant_losses *accountant_mechanism_losses(const sotto_mechanism *mechanism)
{
    const struct accountant_losses *losses = kinds[mechanism->kind]->losses;
    return losses && losses->covers && !losses->covers(mechanism) ? NULL : losses;
}

double sotto_mechanism_rdp(const sotto_mechanism *mechanism, double order)
{
    if (!(order >= 1.0 && isfinite(order)) || sotto_mechanism_check(mechanism, NULL) != SOTTO_OK)
        return INFINITY;
    return accountant_mechanism_rdp(mechanism, order - 1.0);
}
