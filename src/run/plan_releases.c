/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the releases before the first private step cost: a model's own, and the figures'. */
#include <math.h>

#include "run/figures.h"

bool sotto_plan_takes_steps(const sotto_plan *plan)
{
    return plan->step.kind != 0;
}

/* ---- settings that would do nothing ---- */

static sotto_status refuse(const sotto_node *node, const char *what, const sotto_plan *plan,
                           const char *remedy, sotto_error *err)
{
    return sotto_node_error(node, err, "%s would do nothing: model.type %s takes no private steps; %s", what,
                            sotto_model_type(plan->model), remedy);
}

sotto_status sotto_plan_refuse_idle(const sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    static const char *const idle[] = {"max_grad_norm", "clipping", "noise_multiplier"};
    const sotto_node *root = sotto_document_root(config->document);
    const sotto_node *privacy = sotto_node_get(root, "privacy"), *training = sotto_node_get(root, "training");
    if (training)
        return refuse(training, "the section `training`", plan, "remove it", err);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        const sotto_node *node = sotto_node_get(privacy, idle[i]);
        char what[48];
        (void)snprintf(what, sizeof what, "privacy.%s", idle[i]);
        if (node)
            return refuse(node, what, plan, "remove it: epsilon alone sets the noise", err);
    }
    if (config->arithmetic != SOTTO_ARITHMETIC_EXACT)
        return refuse(sotto_node_get(privacy, "noise"), "privacy.noise float", plan,
                      "its counts are integers with exact noise in any case; remove it", err);
    return SOTTO_OK;
}

/* ---- prices ---- */

/* One Gaussian release that alone would cost `share` of ε. */
static sotto_status price_alone(const sotto_plan *plan, const sotto_config *config, double share,
                                sotto_mechanism *mechanism, sotto_error *err)
{
    double noise_multiplier;
    sotto_status status = sotto_calibrate_gaussian(config->accountant, share * config->epsilon,
                                                   plan->shares.accountant, &noise_multiplier, err);
    return status == SOTTO_OK ? sotto_mechanism_gaussian(mechanism, noise_multiplier, err) : status;
}

/* Counts of ρ = 1/(2σ²), and uses of exponential mechanisms of ρ = ε²/8 each. */
static sotto_status price_by_rho(const sotto_model_release *release, double rho, sotto_mechanism *mechanism,
                                 sotto_error *err)
{
    const double each = release->share * rho / (double)release->uses;
    return release->kind == SOTTO_RELEASE_COUNTS
               ? sotto_mechanism_gaussian(mechanism, sqrt(0.5 / each), err)
               : sotto_mechanism_exponential(mechanism, sqrt(8.0 * each), err);
}

/* Does the plan keep ε with so large a ρ for the model's releases? */
static sotto_status keeps(sotto_plan *plan, const sotto_config *config, double rho, bool *within,
                          sotto_error *err)
{
    double epsilon = INFINITY;
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < plan->release_count && status == SOTTO_OK; i++)
        status = price_by_rho(&plan->releases[i], rho, &plan->release_mechanisms[i], err);
    if (status == SOTTO_OK)
        status = sotto_plan_epsilon(plan, config, 0, &epsilon, NULL, err);
    *within = epsilon <= config->epsilon;
    return status;
}

/* The largest ρ that keeps ε, to about nine digits, from below. */
static sotto_status price_all(sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    enum { NARROWINGS = 32 };
    double good = 0.0, bad = INFINITY, next = 1.0;
    bool within;
    for (int narrowed = 0; narrowed < NARROWINGS;) {
        sotto_status status = keeps(plan, config, next, &within, err);
        if (status != SOTTO_OK)
            return status;
        good = within ? next : good;
        bad = within ? bad : next;
        const bool between = good > 0.0 && isfinite(bad);
        narrowed += between;
        next = between ? sqrt(good * bad) : within ? 4.0 * next : next / 4.0;
        if (next < 1e-20 || next > 1e20)
            return sotto_error_set_at(
                err, SOTTO_ERROR_BUDGET, config->path, 0, 0,
                "nothing of epsilon %g is left for the model's releases; give the figures less",
                config->epsilon);
    }
    return keeps(plan, config, good, &within, err);
}

/* ---- noise that cannot be drawn ---- */

static sotto_status check_counts(const sotto_config *config, const char *label,
                                 const sotto_mechanism *mechanism, size_t tables, sotto_error *err)
{
    sotto_error reason = {0};
    const size_t most = config->max_rows_per_unit;
    if (sotto_counts_check(mechanism, tables, most, &reason) == SOTTO_OK)
        return SOTTO_OK;
    const sotto_node *privacy = sotto_node_get(sotto_document_root(config->document), "privacy");
    const sotto_node *node = sotto_node_get(privacy, most > 1 ? "max_rows_per_unit" : "epsilon");
    return sotto_node_error(node ? node : privacy, err,
                            "the release \"%.60s\" cannot be made of %zu row%s of a unit: %s; %sgive it a "
                            "larger share, or raise privacy.epsilon",
                            label, most, most > 1 ? "s" : "", reason.message,
                            most > 1 ? "lower privacy.max_rows_per_unit, " : "");
}

/* Whatever cannot be drawn is refused here, before anything is made or charged. */
static sotto_status check_all_counts(const sotto_plan *plan, const sotto_config *config, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < plan->release_count && status == SOTTO_OK; i++)
        if (plan->releases[i].kind == SOTTO_RELEASE_COUNTS)
            status = check_counts(config, plan->releases[i].label, &plan->release_mechanisms[i],
                                  plan->releases[i].tables, err);
    if (status == SOTTO_OK && plan->figures)
        status = check_counts(config, SOTTO_FIGURES_LABEL, &plan->figures_counts,
                              sotto_figures_tables(plan->figures), err);
    return status == SOTTO_OK && plan->prediction_counts.kind != 0
               ? check_counts(config, SOTTO_PREDICTION_LABEL, &plan->prediction_counts, 1, err)
               : status;
}

sotto_status sotto_plan_releases(sotto_plan *plan, const sotto_config *config, sotto_accountant *rest,
                                 sotto_error *err)
{
    const bool steps = sotto_model_takes_steps(plan->model);
    sotto_status status = SOTTO_OK;
    if (plan->figures)
        status = price_alone(plan, config, sotto_figures_share(plan->figures), &plan->figures_counts, err);
    if (status == SOTTO_OK && plan->figures && sotto_figures_prediction(plan->figures))
        status = price_alone(plan, config, sotto_prediction_share(sotto_figures_prediction(plan->figures)),
                             &plan->prediction_counts, err);
    for (size_t i = 0; i < plan->release_count && status == SOTTO_OK && steps; i++)
        status = price_alone(plan, config, plan->releases[i].share, &plan->release_mechanisms[i], err);
    if (status == SOTTO_OK && !steps)
        status = price_all(plan, config, err);
    if (status == SOTTO_OK)
        status = check_all_counts(plan, config, err);
    return status == SOTTO_OK ? sotto_plan_compose_releases(plan, rest, err) : status;
}

sotto_status sotto_plan_compose_releases(const sotto_plan *plan, sotto_accountant *accountant,
                                         sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < plan->release_count && status == SOTTO_OK; i++)
        status =
            sotto_accountant_compose(accountant, &plan->release_mechanisms[i], plan->releases[i].uses, err);
    if (status == SOTTO_OK && plan->figures)
        status = sotto_accountant_compose(accountant, &plan->figures_counts, 1, err);
    return status == SOTTO_OK && plan->prediction_counts.kind != 0
               ? sotto_accountant_compose(accountant, &plan->prediction_counts, 1, err)
               : status;
}
