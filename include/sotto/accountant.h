/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_ACCOUNTANT_H
#define SOTTO_ACCOUNTANT_H

/**
 * What a release costs: mechanisms, Rényi accounting, budgets, calibration. A library of its own
 * (`libsotto-accountant`, pkg-config `sotto-accountant`).
 *
 * Conventions. All divergences and every ε are in nats. Neighbouring data sets are what a mechanism's
 * adjacency says; one composition has one adjacency. `noise_multiplier` σ is the noise's standard deviation
 * over the L2 sensitivity. Every ε, δ and σ handed out is rounded up and every number of uses down, so that
 * rounding never promises more than is kept; INFINITY means "no guarantee", and NaN is never returned.
 *
 * What it assumes. Composition here is that of mechanisms whose parameters are fixed in advance or at least
 * do not depend on what was released (Mironov 2017, Prop. 1). Parameters chosen after seeing earlier releases
 * need `sotto_budget_create_filter`: elsewhere the order is optimised at the end, and "some order is within
 * budget" is unsound against an adaptive choice of parameters.
 *
 * Threads. Functions that take a const object may be called from several threads at once; the others may not.
 * GSL's error handler, which would abort, is turned off for the process at the first search.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sotto/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A composition of mechanisms. Opaque. No answer depends on the order in which they were composed. */
typedef struct sotto_accountant sotto_accountant;

/* ---- mechanisms ---- */

/** The kinds of release this library can price. 0 is none of them, so that a forgotten `{0}` is refused. */
typedef enum sotto_mechanism_kind {
    /** N(0, σ²) added to a query of L2 sensitivity 1 over all units */
    SOTTO_MECHANISM_GAUSSIAN = 1,
    /** the same over a Poisson sample: each unit is in it with probability q, independently */
    SOTTO_MECHANISM_SAMPLED_GAUSSIAN = 2,
    /** the Gaussian over a batch of fixed size, drawn without replacement; replace one only */
    SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT = 3,
    /** discrete Gaussian noise added to integers of integer sensitivity */
    SOTTO_MECHANISM_DISCRETE_GAUSSIAN = 4,
    /** the same over a Poisson sample */
    SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN = 5,
    /** Laplace noise of scale b added to a query of L1 sensitivity 1 */
    SOTTO_MECHANISM_LAPLACE = 6,
    /** anything that is ε-differentially private */
    SOTTO_MECHANISM_PURE = 7,
    /** anything that is ρ-zero-concentrated differentially private */
    SOTTO_MECHANISM_ZCDP = 8,
    /** an exponential mechanism, or whatever else has a privacy loss of range ε */
    SOTTO_MECHANISM_EXPONENTIAL = 9,
    /** the best of a random number of runs */
    SOTTO_MECHANISM_SELECTION = 10,
} sotto_mechanism_kind;

/** Which data sets count as neighbours. */
typedef enum sotto_adjacency {
    SOTTO_ADJACENCY_ADD_REMOVE = 1,  /**< one unit added or removed */
    SOTTO_ADJACENCY_REPLACE_ONE = 2, /**< one unit replaced by another; how many there are is public */
} sotto_adjacency;

/**
 * One release, fully described. A plain value: copy it, store it, compare it with `sotto_mechanism_equal`.
 * Make it with a constructor below and change no field afterwards; every function that reads one checks it
 * again.
 */
typedef struct sotto_mechanism {
    sotto_mechanism_kind kind;
    sotto_adjacency adjacency;
    double sample_rate;          /**< q in [0, 1]; 1 where nothing is sampled */
    double noise_multiplier;     /**< σ ≥ 0 (Laplace: b), finite; 0 guarantees nothing unless q is 0 */
    uint64_t group_size;         /**< k ≥ 1: how many units make one neighbour's difference */
    double epsilon;              /**< pure, exponential: ε ≥ 0, finite, of one unit; otherwise 0 */
    double rho;                  /**< zCDP: ρ ≥ 0, finite, of one unit; otherwise 0 */
    double shape;                /**< selection: η > −1, or INFINITY for Poisson; otherwise 0 */
    double mean;                 /**< selection: runs on average, ≥ 1; otherwise 0 */
    const sotto_accountant *run; /**< selection: the cost of one run; otherwise NULL. Borrowed: whoever made
                                      the mechanism keeps it; what composes or charges it keeps a copy */
} sotto_mechanism;

/**
 * A Gaussian release of noise multiplier σ.
 * \param[out] out written on success only
 * \return SOTTO_ERROR_INPUT where σ is negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_gaussian(sotto_mechanism *out, double noise_multiplier,
                                                sotto_error *err);

/**
 * A Gaussian release over a Poisson sample of rate q.
 * \param[out] out written on success only
 * \return SOTTO_ERROR_INPUT where q is outside [0, 1], or σ negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_sampled_gaussian(sotto_mechanism *out, double sample_rate,
                                                        double noise_multiplier, sotto_error *err);

/**
 * A Gaussian release over a batch of fixed size, drawn without replacement and afresh each time: not a
 * shuffled data set cut into batches, for which nothing is claimed. Under the adjacency "replace one" only.
 * An upper bound (Wang, Balle, Kasiviswanathan 2019, Thm 27), at integer orders, and between them by
 * convexity; up to order 4096, above which a looser one holds.
 * \param sample_rate      the batch's size over the data set's
 * \param noise_multiplier σ: the noise's standard deviation over how far replacing one unit moves the sum:
 *                         twice the clip bound
 * \return SOTTO_ERROR_INPUT where q is outside [0, 1], or σ negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_gaussian_without_replacement(sotto_mechanism *out, double sample_rate,
                                                                    double noise_multiplier,
                                                                    sotto_error *err);

/**
 * A discrete Gaussian release: noise of P(x) ∝ e^{−x²/(2s²)} on the integers, for each coordinate on its own,
 * added to a vector of integers whose L2 sensitivity is Δ. Its Rényi divergence is at most α/(2σ²), which is
 * the Gaussian's, at every order (Canonne, Kamath, Steinke 2020).
 * \param noise_multiplier σ = s/Δ
 * \return SOTTO_ERROR_INPUT where σ is negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_discrete_gaussian(sotto_mechanism *out, double noise_multiplier,
                                                         sotto_error *err);

/**
 * The same over a Poisson sample of rate q. At integer orders the sampled Gaussian's divergence, which bounds
 * it there; between them interpolated, for (α−1)r of the true curve is convex, and below 2 that of 2.
 * \return SOTTO_ERROR_INPUT where q is outside [0, 1], or σ negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_sampled_discrete_gaussian(sotto_mechanism *out, double sample_rate,
                                                                 double noise_multiplier, sotto_error *err);

/**
 * A Laplace release, exactly (Mironov 2017, Prop. 6).
 * \param noise_multiplier the noise's scale b over the L1 sensitivity: the release is 1/b-private
 * \return SOTTO_ERROR_INPUT where b is negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_laplace(sotto_mechanism *out, double noise_multiplier,
                                               sotto_error *err);

/**
 * Any ε-private release. None tells more than randomised response that tells the truth with odds of e^ε
 * (Kairouz, Oh, Viswanath 2015), which is priced exactly: never above ε.
 * \return SOTTO_ERROR_INPUT where ε is negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_pure(sotto_mechanism *out, double epsilon, sotto_error *err);

/**
 * Any release of Rényi divergence at most αρ at every order α (Bun and Steinke 2016, Def. 1.1).
 * \return SOTTO_ERROR_INPUT where ρ is negative, infinite or NaN
 */
SOTTO_API sotto_status sotto_mechanism_zcdp(sotto_mechanism *out, double rho, sotto_error *err);

/**
 * An exponential mechanism: a draw with odds of e^{ε·utility/(2Δ)}, such as report-noisy-max with Gumbel
 * noise. Its privacy loss has a range of at most ε (Dong, Durfee, Rogers 2020), so that it is ε²/8-zCDP
 * (Cesar and Rogers 2021) and ε-private; each order gets the lesser of both.
 * \param epsilon with Δ the utility's sensitivity; where one unit can move all utilities in one direction
 * only, odds of e^{ε·utility/Δ} have the same ε \return SOTTO_ERROR_INPUT where ε is negative, infinite or
 * NaN
 */
SOTTO_API sotto_status sotto_mechanism_exponential(sotto_mechanism *out, double epsilon, sotto_error *err);

/**
 * The best of K runs, all told: each run costs what `run` has composed, K is drawn afresh and independent of
 * the data, one of the outcomes is chosen by a score that is part of it, and nothing else is released, K and
 * the other scores included (Papernot and Steinke 2022, Thms 2 and 6). What is always tried in full, such as
 * a grid, is not this: compose all of it.
 *
 * \param run   what one run costs; an empty one costs nothing, however often. Its kind does not matter. The
 *              caller keeps it for as long as the mechanism is used
 * \param shape η of a negative binomial distribution without 0, −1 < η: 0 logarithmic, 1 geometric, or
 *              INFINITY for Poisson, which has no such tail and costs less for few runs and more for many
 * \param mean  E[K] ≥ 1, finite; γ follows from it, P(K=k) ∝ (1−γ)^k·Γ(k+η)/k!
 * \return SOTTO_ERROR_INPUT for parameters out of range, no run, or a run that has a selection in it. Where a
 * search runs out of memory the divergence is INFINITY
 */
SOTTO_API sotto_status sotto_mechanism_selection(sotto_mechanism *out, const sotto_accountant *run,
                                                 double shape, double mean, sotto_error *err);

/**
 * The same release, under another notion of neighbours: its noise measured by the sensitivity under that. No
 * figure is converted: a sum of clipped vectors moves by twice as much where one is replaced as where one is
 * removed, so σ halves, and that is the caller's to say.
 * \param[out] out may be `one`; written on success only
 * \return SOTTO_ERROR_INPUT for an invalid mechanism, or one that cannot be priced under that adjacency:
 *         Poisson samples only under add or remove
 */
SOTTO_API sotto_status sotto_mechanism_with_adjacency(sotto_mechanism *out, const sotto_mechanism *one,
                                                      sotto_adjacency adjacency, sotto_error *err);

/**
 * The same release, seen by groups of `group_size` times as many units that join, leave or change together.
 * Exact where the release is (Gaussian: k/σ; Laplace: k/b; Poisson-sampled: a mixture over how many of them
 * are in the sample, whichever direction is worse; up to 256 units, an upper bound for more or where little
 * noise would make it long), kε for pure and exponential, k²ρ for zCDP.
 * \param[out] out may be `one`; written on success only
 * \param group_size ≥ 1
 * \return SOTTO_ERROR_INPUT for an invalid mechanism, one that cannot be priced for groups (without
 *         replacement, sampled discrete Gaussian, selection: make its run of groups), or more than 2^53 units
 */
SOTTO_API sotto_status sotto_mechanism_group(sotto_mechanism *out, const sotto_mechanism *one,
                                             uint64_t group_size, sotto_error *err);

/** SOTTO_ERROR_INPUT, and why, unless kind, adjacency and parameters are such as the constructors make. */
SOTTO_API sotto_status sotto_mechanism_check(const sotto_mechanism *mechanism, sotto_error *err);

/** The same kind, adjacency and parameters. */
SOTTO_API bool sotto_mechanism_equal(const sotto_mechanism *a, const sotto_mechanism *b);

/** "add or remove one" or "replace one"; NULL where there is no such adjacency. */
SOTTO_API const char *sotto_adjacency_name(sotto_adjacency adjacency);

/** The kind's stable name, for records: "gaussian", "sampled gaussian"; NULL where there is no such kind. */
SOTTO_API const char *sotto_mechanism_kind_name(sotto_mechanism_kind kind);

/**
 * Rényi divergence of one use, the larger of both directions of adjacency, in nats.
 *
 * Gaussian: α/(2σ²) (Mironov 2017, Prop. 7). Sampled Gaussian: the exact divergence, not a bound (Mironov,
 * Talwar, Zhang 2019, Thms 4 and 5), by quadrature. The others as their constructors say.
 *
 * \param order α ≥ 1; at 1 the Kullback–Leibler divergence, which is the limit
 * \return ≥ 0, to about 1e-13 relative; INFINITY where there is no guarantee, the mechanism does not pass
 *         `sotto_mechanism_check`, or the order is below 1, infinite or NaN. It is not rounded up: that is
 * done once, where an ε or δ is handed out.
 */
SOTTO_API double sotto_mechanism_rdp(const sotto_mechanism *mechanism, double order);

/* ---- accountant ---- */

/** No mechanism can be composed more often than this in all: the integers that a double counts exactly. */
#define SOTTO_ACCOUNTANT_MAX_COUNT ((uint64_t)1 << 53)

/** By what an accountant answers. */
typedef enum sotto_accountant_kind {
    /** Rényi divergences: every mechanism has them, every answer takes microseconds */
    SOTTO_ACCOUNTANT_RDP = 1,
    /** privacy-loss distributions: tight, certified from both sides, milliseconds; not every mechanism has
       one */
    SOTTO_ACCOUNTANT_PLD = 2,
} sotto_accountant_kind;

/** "rdp" or "pld"; NULL where there is no such kind. */
SOTTO_API const char *sotto_accountant_kind_name(sotto_accountant_kind kind);

/**
 * An accountant that has seen nothing.
 * \param[out] out the caller's, for `sotto_accountant_destroy`
 * \return SOTTO_ERROR_INPUT for an unknown kind, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_create(sotto_accountant_kind kind, sotto_accountant **out,
                                               sotto_error *err);

/** NULL is allowed. */
SOTTO_API void sotto_accountant_destroy(sotto_accountant *accountant);

/**
 * Add `count` uses of a mechanism; 0 adds nothing. On failure nothing is added.
 * \return SOTTO_ERROR_INPUT for an invalid mechanism, one of another adjacency than what is composed already,
 *         or more than SOTTO_ACCOUNTANT_MAX_COUNT uses of it, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_compose(sotto_accountant *accountant,
                                                const sotto_mechanism *mechanism, uint64_t count,
                                                sotto_error *err);

/** Rényi divergence of all that was composed, at order α ≥ 1 (1: KL), in nats, as `sotto_mechanism_rdp`. */
SOTTO_API double sotto_accountant_rdp(const sotto_accountant *accountant, double order);

/**
 * The ε kept at δ: the least over all orders of Canonne, Kamath, Steinke 2020, Prop. 12, and 0 where
 * δ ≥ √(1 − e^−KL) (Bretagnolle–Huber). Rounded up, by about 1e-9 relative. 0 where nothing was composed.
 *
 * \param delta          in (0, 1), both ends excluded
 * \param[out] epsilon   ≥ 0; INFINITY where no order gives a guarantee
 * \param[out] order     may be NULL; the order that gave ε: 1 where ε is 0 by KL or by an empty composition,
 *                       INFINITY where ε is
 * \return SOTTO_ERROR_INPUT for a δ outside (0, 1), SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_epsilon(const sotto_accountant *accountant, double delta,
                                                double *epsilon, double *order, sotto_error *err);

/**
 * The δ kept at ε: the inverse of the above, in [0, 1], rounded up by about 1e-9 relative. 0 where nothing
 * was composed, 1 where there is no guarantee.
 *
 * \param epsilon       ≥ 0 and finite
 * \param[out] order    may be NULL; the order that gave δ, as above
 * \return SOTTO_ERROR_INPUT for an ε that is negative, infinite or NaN, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_delta(const sotto_accountant *accountant, double epsilon,
                                              double *delta, double *order, sotto_error *err);

/** By default ε by privacy-loss distributions is at most this much, relatively, above the truth. */
#define SOTTO_ACCOUNTANT_DEFAULT_GAP 1e-3

/** No gap below this can be asked for. */
#define SOTTO_ACCOUNTANT_LEAST_GAP 1e-5

/**
 * Certified bounds of the ε kept at δ, by privacy-loss distributions (docs/accounting.md): `upper` is kept,
 * and no ε below `lower` is, by the worst release that each mechanism describes. What an accountant of kind
 * SOTTO_ACCOUNTANT_PLD calls ε is `upper` at the default gap. Works on an accountant of either kind; takes
 * milliseconds.
 *
 * \param gap           wanted: upper − lower ≤ max(gap·ε, gap/10), from SOTTO_ACCOUNTANT_LEAST_GAP to 1.
 * Where memory (some 100 MB) does not suffice the bounds are wider, and as true \param[out] lower    ≥ 0; 0
 * also says that nothing could be proved \param[out] upper    at most what Rényi divergences give; INFINITY
 * where there is no guarantee \return SOTTO_ERROR_INPUT for a δ or gap out of range, or a mechanism that has
 * no known privacy-loss distribution; SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_epsilon_bounds(const sotto_accountant *accountant, double delta,
                                                       double gap, double *lower, double *upper,
                                                       sotto_error *err);

/** The same for the δ kept at ε; wanted: upper ≤ (1 + 10·gap)·lower, or 1e-18. */
SOTTO_API sotto_status sotto_accountant_delta_bounds(const sotto_accountant *accountant, double epsilon,
                                                     double gap, double *lower, double *upper,
                                                     sotto_error *err);

/**
 * The trade-off curve of hypothesis testing (f-DP; Dong, Roth, Su 2022): how often an attacker who knows all
 * but one unit must miss that it is there, given how often he may take it to be there wrongly. 1 − rate is as
 * good as guessing. By privacy-loss distributions where all that was composed has them, exactly where all of
 * it is Gaussian, or else by Rényi divergences; whatever the accountant's kind. Milliseconds for any number
 * of rates.
 *
 * \param false_positive_rates  `count` of them, in [0, 1]
 * \param[out] false_negative_rates `count`, rounded down: no attack has a lower one. 0 where there is no
 * guarantee. Untouched on failure \return SOTTO_ERROR_INPUT for a rate out of range, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_accountant_tradeoff(const sotto_accountant *accountant,
                                                 const double *false_positive_rates, size_t count,
                                                 double *false_negative_rates, sotto_error *err);

/* ---- budget ---- */

/** A target (ε, δ) and what has been charged against it. Opaque. */
typedef struct sotto_budget sotto_budget;

/** One line of a budget's record. */
typedef struct sotto_charge {
    const char *label; /**< the caller's words, copied; owned by the budget */
    sotto_mechanism mechanism;
    uint64_t count; /**< uses, ≥ 1 */
} sotto_charge;

/**
 * An untouched budget for a plan whose mechanisms are fixed in advance: which ones, in which order, and how
 * many are intended may not depend on what was released, what each releases may (Mironov 2017, Prop. 1). It
 * is safe to stop where the budget is used up, since that depends on the parameters alone; and safe to stop
 * sooner, for whatever reason, if ε of all that was planned is reported. For parameters that are chosen on
 * the way there is `sotto_budget_create_filter`.
 * \param kind       by what the ε of all charges is found
 * \param epsilon    > 0, finite
 * \param delta      in (0, 1), both ends excluded
 * \param[out] out   the caller's, for `sotto_budget_destroy`
 */
SOTTO_API sotto_status sotto_budget_create(sotto_accountant_kind kind, double epsilon, double delta,
                                           sotto_budget **out, sotto_error *err);

/**
 * An untouched budget for parameters that are chosen while looking at earlier releases: a privacy filter
 * (Feldman and Zrnic 2021, Thms 3.1 and 4.3).
 *
 * The plan's own Rényi curve, scaled up as far as it keeps (ε, δ), is the share of each of 41 orders: the
 * plan's best, and 40 over those that are best for it at some δ' from √δ to δ². A use is refused where at any
 * of them what was spent and it would exceed the share. So the shares bound the whole interaction whatever
 * was chosen, and with them the least ε over these orders, at this δ and every other. A use that resembles
 * the plan is borne as often as by a budget of fixed parameters, within some percent; less noise or a larger
 * sample rate than planned cost more than that: plan what is likely, on the noisy side's account.
 *
 * All of the functions below work on it. It answers by Rényi divergences, and counts exactly by its own rule.
 *
 * \param epsilon    > 0, finite
 * \param delta      in (0, 1), both ends excluded
 * \param plan       what is intended, fixed before anything is released, of whatever kind of accountant; only
 *                   read
 * \param[out] out   the caller's, for `sotto_budget_destroy`
 * \return SOTTO_ERROR_BUDGET where the plan itself does not keep (ε, δ) by Rényi divergences;
 *         SOTTO_ERROR_INPUT where it is empty, costs nothing or has no guarantee, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_budget_create_filter(double epsilon, double delta, const sotto_accountant *plan,
                                                  sotto_budget **out, sotto_error *err);

/** NULL is allowed. */
SOTTO_API void sotto_budget_destroy(sotto_budget *budget);

/**
 * How many further uses of the mechanism the budget bears: that many keep ε(δ), or a filter's shares, within
 * the target, one more does not, by the accountant's own figures; never fewer than are known to be allowed.
 * The first question about a mechanism after another was charged costs some ε evaluations; asking again,
 * charging it in between or not, costs nanoseconds.
 * \return 0 for an invalid mechanism or where the answer could not be computed; where the uses cost nothing,
 *         what is left of SOTTO_ACCOUNTANT_MAX_COUNT
 */
SOTTO_API uint64_t sotto_budget_remaining(sotto_budget *budget, const sotto_mechanism *mechanism);

/**
 * May I? True where `count` further uses keep within the target: where the accountant says so of all that was
 * charged and these, or of something larger. Nanoseconds in a training loop, whether one mechanism is charged
 * or several take turns: T turns ask for a number of ε evaluations in the order of log T.
 */
SOTTO_API bool sotto_budget_allows(sotto_budget *budget, const sotto_mechanism *mechanism, uint64_t count);

/**
 * Charge `count` uses, before they are released (P7). Charges of the same mechanism under the same label are
 * merged into one line. A count of 0 charges nothing.
 *
 * \param label what it pays for, such as "discriminator steps"; copied; never NULL or empty
 * \return SOTTO_ERROR_BUDGET where that would cross the target, SOTTO_ERROR_INPUT for an invalid mechanism or
 *         label, SOTTO_ERROR_MEMORY; in each of these cases nothing is charged. Whatever a journal that it
 *         keeps (below) answers
 */
SOTTO_API sotto_status sotto_budget_charge(sotto_budget *budget, const sotto_mechanism *mechanism,
                                           uint64_t count, const char *label, sotto_error *err);

/**
 * Where charges are made durable before they count (contract rule P7): a ledger's end of a budget. Uses may
 * be committed in blocks, ahead of their being made: those that never are stay charged.
 */
typedef struct sotto_journal {
    void *context;
    /** How many uses to commit at once, where at least `count` ≥ 1 must be: from public facts alone. Fewer
     * are committed where the budget bears no more. NULL: as many as are wanted. */
    uint64_t (*block)(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label);
    /** Put the charge where no crash of this process or machine can lose it, or say why not. */
    sotto_status (*commit)(void *context, const sotto_mechanism *mechanism, uint64_t count, const char *label,
                           sotto_error *err);
} sotto_journal;

/**
 * From now on each charge is committed to `journal` before `sotto_budget_charge` returns; charges under the
 * same label then draw on what was committed ahead. The budget's charges and ε are of all that was committed,
 * made or not. Where a commit fails, so does the charge, and whatever was charged with it may not be
 * released; but whether it is durable nobody can know, so that it counts all the same. \param journal copied;
 * its context is borrowed as long as the budget lives
 */
SOTTO_API void sotto_budget_keep(sotto_budget *budget, const sotto_journal *journal);

/**
 * Take over charges that an earlier process committed. Whether they keep the target is not asked: they were
 * made. Nothing is committed again, and nothing is drawn ahead.
 * \return SOTTO_ERROR_INPUT for an invalid mechanism or label or a filter, SOTTO_ERROR_MEMORY; then nothing
 * is taken over
 */
SOTTO_API sotto_status sotto_budget_recall(sotto_budget *budget, const sotto_mechanism *mechanism,
                                           uint64_t count, const char *label, sotto_error *err);

/**
 * The ε at the budget's δ of what has been charged; `order` may be NULL. As `sotto_accountant_epsilon`.
 *
 * Of a filter it is what the shares guarantee, at most the target, from the first charge to the last. Not the
 * ε of what happens to be spent: how much that is was chosen by looking at releases, and no theorem lets one
 * convert a divergence that depends on the outcome. (At a fixed order it takes an odometer, which pays for
 * every value it could have shown.)
 */
SOTTO_API sotto_status sotto_budget_epsilon(const sotto_budget *budget, double *epsilon, double *order,
                                            sotto_error *err);

/** The target ε, as created. */
SOTTO_API double sotto_budget_target_epsilon(const sotto_budget *budget);

/** The target δ, as created. */
SOTTO_API double sotto_budget_delta(const sotto_budget *budget);

/**
 * The charges made, in the order in which their lines first appeared.
 * \param[out] count number of lines
 * \return the budget's own array, valid until its next charge or its end; NULL where there is none
 */
SOTTO_API const sotto_charge *sotto_budget_charges(const sotto_budget *budget, size_t *count);

/**
 * The composition of all charges, for curves; the budget's own, valid as long as it. A filter's is a record
 * of what was taken and not a guarantee: see `sotto_budget_epsilon`.
 */
SOTTO_API const sotto_accountant *sotto_budget_accountant(const sotto_budget *budget);

/* ---- calibration ---- */

/*
 * Whatever is handed out was itself found to keep the target by the accountant asked for, `rest` included: a
 * budget of that kind, ε and δ, charged with `rest`, bears it. By Rényi divergences searches end within 1e-12
 * of the border, relatively; privacy-loss distributions are asked some ten times and waver by 1e-5, so that
 * their searches end within 1e-6 of *a* border. `rest` is what else is spent; it may be NULL; only its
 * composition is read, its own kind does not matter.
 */

/**
 * The smallest noise multiplier at which `steps` uses of the sampled Gaussian at `sample_rate`, composed with
 * `rest`, keep `epsilon` at `delta`.
 *
 * \param kind         by which accountant
 * \param epsilon      > 0, finite
 * \param delta        in (0, 1)
 * \param sample_rate  in (0, 1]
 * \param steps        ≥ 1
 * \param[out] noise_multiplier rounded up; 1e-9 where less would do
 * \return SOTTO_ERROR_BUDGET where no noise multiplier up to 1e15 keeps it, as where `rest` alone crosses ε;
 *         SOTTO_ERROR_INPUT, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_calibrate_noise_multiplier(sotto_accountant_kind kind, double epsilon,
                                                        double delta, double sample_rate, uint64_t steps,
                                                        const sotto_accountant *rest,
                                                        double *noise_multiplier, sotto_error *err);

/** The smallest noise multiplier at which one unsampled Gaussian release keeps ε at δ; as above. */
SOTTO_API sotto_status sotto_calibrate_gaussian(sotto_accountant_kind kind, double epsilon, double delta,
                                                double *noise_multiplier, sotto_error *err);

/**
 * The largest sample rate at which `steps` uses of the sampled Gaussian of this noise multiplier, composed
 * with `rest`, keep `epsilon` at `delta`.
 * \param noise_multiplier ≥ 0, finite
 * \param[out] sample_rate in [0, 1], rounded down; 0 where not even 1e-15 keeps it
 * \return SOTTO_ERROR_BUDGET where `rest` alone crosses ε; SOTTO_ERROR_INPUT, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_calibrate_sample_rate(sotto_accountant_kind kind, double epsilon, double delta,
                                                   double noise_multiplier, uint64_t steps,
                                                   const sotto_accountant *rest, double *sample_rate,
                                                   sotto_error *err);

/**
 * The largest number of uses of a mechanism that, composed with `rest`, keeps `epsilon` at `delta`: that many
 * were found within it, one more was not. (By privacy-loss distributions ε may waver in its fifth digit, and
 * some larger number just beyond the border be found within as well: it is not looked for.) 0 where none is;
 * what is left of SOTTO_ACCOUNTANT_MAX_COUNT where the uses cost nothing.
 * \return SOTTO_ERROR_INPUT, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_calibrate_steps(sotto_accountant_kind kind, double epsilon, double delta,
                                             const sotto_mechanism *mechanism, const sotto_accountant *rest,
                                             uint64_t *steps, sotto_error *err);

/**
 * The smallest δ at which `steps` uses of the sampled Gaussian, composed with `rest`, keep `epsilon`: the
 * accountant's δ, raised where that is needed for its ε at that δ to be no more than `epsilon`.
 * \param epsilon     > 0, finite
 * \param[out] delta  in (0, 1), rounded up; 0 where nothing is spent at all
 * \return SOTTO_ERROR_BUDGET where no δ below 1 is kept; SOTTO_ERROR_INPUT, SOTTO_ERROR_MEMORY
 */
SOTTO_API sotto_status sotto_calibrate_delta(sotto_accountant_kind kind, double epsilon, double sample_rate,
                                             double noise_multiplier, uint64_t steps,
                                             const sotto_accountant *rest, double *delta, sotto_error *err);

#ifdef __cplusplus
}
#endif

#endif
