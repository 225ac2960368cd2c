/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A list of releases, read from a file: docs/commands.md says what may be in it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/account.h"
#include "document/document.h"

static const double most_figure = 1e15;

/* The library's word, at the place in the file. */
static sotto_status at_node(const sotto_node *node, sotto_status status, sotto_error *err)
{
    if (status == SOTTO_OK)
        return status;
    const sotto_error said = *err;
    if (said.code != SOTTO_ERROR_INPUT || said.line)
        return status;
    return sotto_node_error(node, err, "%s", said.message);
}

/* ----------------------------------------------------------- what kinds take */

/* Keys of a release beside those that all have, one bit each. */
enum { RATE = 1, NOISE = 2, EPSILON = 4, RHO = 8, MEAN = 16, SHAPE = 32, RUN = 64 };

static const struct {
    const char *key;
    unsigned bit;
} own_keys[] = {{"sample_rate", RATE}, {"noise_multiplier", NOISE},
                {"epsilon", EPSILON},  {"rho", RHO},
                {"mean", MEAN},        {"shape", SHAPE},
                {"run", RUN}};
enum { OWN_KEYS = sizeof own_keys / sizeof *own_keys };

static unsigned keys_of(sotto_mechanism_kind kind)
{
    switch (kind) {
    case SOTTO_MECHANISM_GAUSSIAN:
    case SOTTO_MECHANISM_DISCRETE_GAUSSIAN:
    case SOTTO_MECHANISM_LAPLACE:
        return NOISE;
    case SOTTO_MECHANISM_SAMPLED_GAUSSIAN:
    case SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT:
    case SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN:
        return RATE | NOISE;
    case SOTTO_MECHANISM_PURE:
    case SOTTO_MECHANISM_EXPONENTIAL:
        return EPSILON;
    case SOTTO_MECHANISM_ZCDP:
        return RHO;
    case SOTTO_MECHANISM_SELECTION:
        return MEAN | SHAPE | RUN;
    }
    return 0;
}

/* A key that the kind does not have, or lacks. */
static sotto_status check_keys(const sotto_node *node, sotto_mechanism_kind kind, sotto_error *err)
{
    const char *name = sotto_mechanism_kind_name(kind);
    for (size_t i = 0; i < OWN_KEYS; i++) {
        const bool wanted = keys_of(kind) & own_keys[i].bit;
        const bool given = sotto_node_get(node, own_keys[i].key) != NULL;
        if (wanted && !given)
            return sotto_node_error(node, err, "%s is missing; a %s release needs it", own_keys[i].key, name);
        for (size_t j = 0; given && !wanted && j < sotto_node_count(node); j++)
            if (strcmp(sotto_node_key(node, j), own_keys[i].key) == 0)
                return sotto_node_error(sotto_node_key_at(node, j), err,
                                        "%s is not for a %s release; take it out, or correct the mechanism",
                                        own_keys[i].key, name);
    }
    return SOTTO_OK;
}

/* ------------------------------------------------------------------ numbers */

typedef struct parameters {
    double sample_rate, noise_multiplier, epsilon, rho, mean, shape;
} parameters;

/* Within (low, high]. */
static sotto_status read_above(const sotto_node *node, const char *what, double low, double high,
                               double *value, sotto_error *err)
{
    sotto_status status = sotto_node_double(node, what, low, high, value, err);
    if (status == SOTTO_OK && !(*value > low))
        return sotto_node_error(node, err, "%s is %g; wanted a number above that", what, low);
    return status;
}

static sotto_status read_shape(const sotto_node *node, double *shape, sotto_error *err)
{
    const char *text = sotto_node_text(node);
    if (text && strcmp(text, "poisson") == 0) {
        *shape = INFINITY;
        return SOTTO_OK;
    }
    if (sotto_node_double(node, "shape", -1, most_figure, shape, NULL) != SOTTO_OK || !(*shape > -1))
        return sotto_node_error(
            node, err, "shape is %.40s; wanted a number above -1 (0 logarithmic, 1 geometric) or poisson",
            text ? text : "a list or map");
    return SOTTO_OK;
}

static sotto_status read_parameters(const sotto_node *node, parameters *p, sotto_error *err)
{
    const sotto_node *rate = sotto_node_get(node, "sample_rate");
    const sotto_node *noise = sotto_node_get(node, "noise_multiplier");
    const sotto_node *epsilon = sotto_node_get(node, "epsilon"), *rho = sotto_node_get(node, "rho");
    const sotto_node *mean = sotto_node_get(node, "mean"), *shape = sotto_node_get(node, "shape");
    sotto_status status = SOTTO_OK;
    if (rate)
        status = read_above(rate, "sample_rate", 0, 1, &p->sample_rate, err);
    if (status == SOTTO_OK && noise)
        status = read_above(noise, "noise_multiplier", 0, most_figure, &p->noise_multiplier, err);
    if (status == SOTTO_OK && epsilon)
        status = sotto_node_double(epsilon, "epsilon", 0, most_figure, &p->epsilon, err);
    if (status == SOTTO_OK && rho)
        status = sotto_node_double(rho, "rho", 0, most_figure, &p->rho, err);
    if (status == SOTTO_OK && mean)
        status = sotto_node_double(mean, "mean", 1, most_figure, &p->mean, err);
    if (status == SOTTO_OK && shape)
        status = read_shape(shape, &p->shape, err);
    return status;
}

static sotto_status read_count(const sotto_node *node, const char *what, uint64_t *count, sotto_error *err)
{
    size_t value = 1;
    sotto_status status = SOTTO_OK;
    if (node)
        status = sotto_node_size(node, what, 1, (size_t)SOTTO_ACCOUNTANT_MAX_COUNT, &value, err);
    *count = value;
    return status;
}

/* ----------------------------------------------------------------- releases */

/* What holds for a release that does not say otherwise. */
typedef struct scope {
    sotto_adjacency adjacency; /* 0: what the mechanism itself has */
    bool within;               /* a selection's run */
} scope;

static sotto_status read_adjacency(const sotto_node *node, sotto_adjacency *adjacency, sotto_error *err)
{
    const char *names[] = {sotto_adjacency_name(SOTTO_ADJACENCY_ADD_REMOVE),
                           sotto_adjacency_name(SOTTO_ADJACENCY_REPLACE_ONE), NULL};
    size_t choice;
    if (!node)
        return SOTTO_OK;
    const sotto_status status = sotto_node_choice(node, "adjacency", names, &choice, err);
    if (status == SOTTO_OK)
        *adjacency = choice == 0 ? SOTTO_ADJACENCY_ADD_REMOVE : SOTTO_ADJACENCY_REPLACE_ONE;
    return status;
}

static sotto_status read_kind(const sotto_node *node, sotto_mechanism_kind *kind, sotto_error *err)
{
    const char *names[SOTTO_MECHANISM_SELECTION + 1] = {NULL};
    const sotto_node *name = sotto_node_get(node, "mechanism");
    size_t choice;
    for (int i = SOTTO_MECHANISM_GAUSSIAN; i <= SOTTO_MECHANISM_SELECTION; i++)
        names[i - 1] = sotto_mechanism_kind_name((sotto_mechanism_kind)i);
    if (!name)
        return sotto_node_error(node, err,
                                "mechanism is missing; say which, such as gaussian or sampled gaussian");
    const sotto_status status = sotto_node_choice(name, "mechanism", names, &choice, err);
    if (status == SOTTO_OK)
        *kind = (sotto_mechanism_kind)(choice + 1);
    return status;
}

static sotto_status make(sotto_mechanism_kind kind, const parameters *p, const sotto_accountant *run,
                         sotto_mechanism *out, sotto_error *err)
{
    switch (kind) {
    case SOTTO_MECHANISM_GAUSSIAN:
        return sotto_mechanism_gaussian(out, p->noise_multiplier, err);
    case SOTTO_MECHANISM_SAMPLED_GAUSSIAN:
        return sotto_mechanism_sampled_gaussian(out, p->sample_rate, p->noise_multiplier, err);
    case SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT:
        return sotto_mechanism_gaussian_without_replacement(out, p->sample_rate, p->noise_multiplier, err);
    case SOTTO_MECHANISM_DISCRETE_GAUSSIAN:
        return sotto_mechanism_discrete_gaussian(out, p->noise_multiplier, err);
    case SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN:
        return sotto_mechanism_sampled_discrete_gaussian(out, p->sample_rate, p->noise_multiplier, err);
    case SOTTO_MECHANISM_LAPLACE:
        return sotto_mechanism_laplace(out, p->noise_multiplier, err);
    case SOTTO_MECHANISM_PURE:
        return sotto_mechanism_pure(out, p->epsilon, err);
    case SOTTO_MECHANISM_ZCDP:
        return sotto_mechanism_zcdp(out, p->rho, err);
    case SOTTO_MECHANISM_EXPONENTIAL:
        return sotto_mechanism_exponential(out, p->epsilon, err);
    case SOTTO_MECHANISM_SELECTION:
        return sotto_mechanism_selection(out, run, p->shape, p->mean, err);
    }
    return sotto_error_set(err, SOTTO_ERROR_INPUT, "a mechanism of unknown kind %d", (int)kind);
}

static sotto_status read_release(const sotto_node *node, scope around, sotto_release *release,
                                 sotto_error *err);

static void drop_release(sotto_release *release)
{
    sotto_accountant_destroy(release->run);
    *release = (sotto_release){0};
}

static sotto_status compose_one(const sotto_release *release, sotto_accountant *accountant, sotto_error *err)
{
    const sotto_status status =
        sotto_accountant_compose(accountant, &release->mechanism, release->times, err);
    return at_node(release->node, status, err);
}

/* The releases that one run of a selection makes. */
static sotto_status read_run(const sotto_node *list, scope around, sotto_accountant **run, sotto_error *err)
{
    around.within = true;
    if (sotto_node_kind_of(list) != SOTTO_NODE_LIST || sotto_node_count(list) == 0)
        return sotto_node_error(list, err, "run must be a list of the releases that one run makes");
    sotto_status status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, run, err);
    for (size_t i = 0; status == SOTTO_OK && i < sotto_node_count(list); i++) {
        sotto_release part = {0};
        status = read_release(sotto_node_at(list, i), around, &part, err);
        if (status == SOTTO_OK)
            status = compose_one(&part, *run, err);
        drop_release(&part);
    }
    return status;
}

static sotto_status read_mechanism(const sotto_node *node, scope around, sotto_mechanism_kind kind,
                                   sotto_release *release, sotto_error *err)
{
    parameters p = {0};
    uint64_t group = 1;
    sotto_status status = read_parameters(node, &p, err);
    if (status == SOTTO_OK)
        status = read_adjacency(sotto_node_get(node, "adjacency"), &around.adjacency, err);
    if (status == SOTTO_OK)
        status = read_count(sotto_node_get(node, "group"), "group", &group, err);
    if (status == SOTTO_OK && keys_of(kind) & RUN)
        status = read_run(sotto_node_get(node, "run"), around, &release->run, err);
    if (status != SOTTO_OK)
        return status;
    sotto_mechanism *mechanism = &release->mechanism;
    status = make(kind, &p, release->run, mechanism, err);
    if (status == SOTTO_OK && around.adjacency)
        status = sotto_mechanism_with_adjacency(mechanism, mechanism, around.adjacency, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_group(mechanism, mechanism, group, err);
    return at_node(node, status, err);
}

static sotto_status read_release(const sotto_node *node, scope around, sotto_release *release,
                                 sotto_error *err)
{
    static const char *const keys[] = {
        "label",   "mechanism", "times", "group", "adjacency", "sample_rate", "noise_multiplier",
        "epsilon", "rho",       "mean",  "shape", "run",       NULL};
    const sotto_node *label = sotto_node_get(node, "label");
    sotto_mechanism_kind kind = SOTTO_MECHANISM_GAUSSIAN;
    release->node = node;
    sotto_status status = sotto_node_expect_map(node, "a release", keys, err);
    if (status == SOTTO_OK && label)
        status = sotto_node_string(label, "label", &release->label, err);
    if (status == SOTTO_OK)
        status = read_kind(node, &kind, err);
    if (status == SOTTO_OK && around.within && kind == SOTTO_MECHANISM_SELECTION)
        status =
            sotto_node_error(node, err, "a selection is within a selection's run; no price of that is known");
    if (status == SOTTO_OK)
        status = check_keys(node, kind, err);
    if (status == SOTTO_OK)
        status = read_count(sotto_node_get(node, "times"), "times", &release->times, err);
    return status == SOTTO_OK ? read_mechanism(node, around, kind, release, err) : status;
}

/* --------------------------------------------------------------------- file */

static sotto_status read_target(const sotto_node *root, sotto_releases *list, sotto_error *err)
{
    const sotto_node *epsilon = sotto_node_get(root, "epsilon"), *delta = sotto_node_get(root, "delta");
    if (epsilon && delta)
        return sotto_node_error(
            epsilon, err,
            "epsilon and delta are both given; keep delta to be told ε, or epsilon to be told δ");
    if (epsilon)
        return sotto_node_double(epsilon, "epsilon", 0, most_figure, &list->epsilon, err);
    if (!delta)
        return SOTTO_OK;
    const sotto_status status = read_above(delta, "delta", 0, 1, &list->delta, err);
    if (status == SOTTO_OK && list->delta >= 1)
        return sotto_node_error(delta, err, "delta is 1, which promises nothing; wanted a number below that");
    return status;
}

static sotto_status read_accountant(const sotto_node *root, sotto_releases *list, sotto_error *err)
{
    static const char *const names[] = {"rdp", "pld", NULL};
    const sotto_node *node = sotto_node_get(root, "accountant");
    size_t choice = 0;
    if (!node)
        return SOTTO_OK;
    const sotto_status status = sotto_node_choice(node, "accountant", names, &choice, err);
    list->accountant = names[choice];
    return status;
}

/* One sum is about one kind of neighbours. */
static sotto_status check_adjacency(const sotto_release *first, const sotto_release *release,
                                    sotto_error *err)
{
    const char *found = sotto_adjacency_name(release->mechanism.adjacency);
    const char *wanted = sotto_adjacency_name(first->mechanism.adjacency);
    if (found == wanted)
        return SOTTO_OK;
    return sotto_node_error(
        release->node, err,
        "this %s release is under the adjacency %s, but the first one (%s) under %s; measure "
        "all noise under one, and say which with adjacency at the top of the file",
        sotto_mechanism_kind_name(release->mechanism.kind), found,
        sotto_mechanism_kind_name(first->mechanism.kind), wanted);
}

static sotto_status read_list(const sotto_node *root, scope around, sotto_releases *list, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(root, "releases");
    const size_t count = node && sotto_node_kind_of(node) == SOTTO_NODE_LIST ? sotto_node_count(node) : 0;
    if (count == 0)
        return sotto_node_error(node ? node : root, err,
                                "releases must be a list of at least one, such as - {mechanism: gaussian, "
                                "noise_multiplier: 2}");
    list->items = calloc(count, sizeof *list->items);
    if (!list->items)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu releases", count);
    sotto_status status = SOTTO_OK;
    for (; status == SOTTO_OK && list->count < count; list->count++) {
        sotto_release *release = &list->items[list->count];
        status = read_release(sotto_node_at(node, list->count), around, release, err);
        if (status == SOTTO_OK)
            status = check_adjacency(&list->items[0], release, err);
    }
    if (status == SOTTO_OK)
        list->adjacency = list->items[0].mechanism.adjacency;
    return status;
}

sotto_status sotto_releases_load(sotto_releases *list, const char *path, sotto_error *err)
{
    static const char *const keys[] = {"delta", "epsilon", "accountant", "adjacency", "releases", NULL};
    scope around = {0};
    *list = (sotto_releases){.epsilon = NAN, .delta = NAN};
    sotto_status status = sotto_document_load(&list->document, path, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_node *root = sotto_document_root(list->document);
    status = sotto_node_expect_map(root, "a file of releases", keys, err);
    if (status == SOTTO_OK)
        status = read_target(root, list, err);
    if (status == SOTTO_OK)
        status = read_accountant(root, list, err);
    if (status == SOTTO_OK)
        status = read_adjacency(sotto_node_get(root, "adjacency"), &around.adjacency, err);
    return status == SOTTO_OK ? read_list(root, around, list, err) : status;
}

void sotto_releases_release(sotto_releases *list)
{
    for (size_t i = 0; i < list->count; i++)
        drop_release(&list->items[i]);
    free(list->items);
    sotto_document_destroy(list->document);
    *list = (sotto_releases){0};
}

sotto_status sotto_releases_compose(const sotto_releases *list, sotto_accountant *accountant,
                                    sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < list->count; i++)
        status = compose_one(&list->items[i], accountant, err);
    return status;
}
