/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_ACCOUNTANT_INTERNAL_H
#define SOTTO_ACCOUNTANT_INTERNAL_H

/**
 * What the accountant's sources share. Orders are handed about as t = α − 1, which keeps its digits as α
 * nears 1.
 *
 * A new mechanism is one source file that defines an `accountant_kind`, and its entry in mechanism.c's table.
 */

#include "sotto/accountant.h"

/** Adjacencies as bits. */
enum {
    ACCOUNTANT_ADD_REMOVE = 1 << SOTTO_ADJACENCY_ADD_REMOVE,
    ACCOUNTANT_REPLACE_ONE = 1 << SOTTO_ADJACENCY_REPLACE_ONE,
};

/** Parameters as bits. What a kind does not have must be as the constructors leave it: 1 for the sample rate,
 * 0 for all others. */
enum {
    ACCOUNTANT_SAMPLE_RATE = 1,
    ACCOUNTANT_NOISE_MULTIPLIER = 2,
    ACCOUNTANT_EPSILON = 4,
    ACCOUNTANT_RHO = 8,
    ACCOUNTANT_SELECTION = 16, /**< shape, mean, run */
};

/** One kind of release. */
typedef struct accountant_kind {
    const char *name; /**< stable: records carry it */
    /** The adjacencies it can be measured under, 1 << adjacency each; the lowest is what a constructor sets.
     */
    unsigned adjacencies;
    unsigned parameters; /**< the ones it has */
    bool groups;         /**< can it price groups of more than one unit? */
    /** Rényi divergence of one use at order 1 + t, 0 ≤ t < ∞, of a checked mechanism; INFINITY, never NaN. */
    double (*rdp)(const sotto_mechanism *mechanism, double t);
    /** Its privacy-loss distribution (pld.h); NULL where none is known. */
    const struct accountant_losses *losses;
} accountant_kind;

extern const struct accountant_losses accountant_gaussian_losses;
extern const struct accountant_losses accountant_laplace_losses;
extern const struct accountant_losses accountant_pure_losses;
extern const struct accountant_losses accountant_sampled_gaussian_losses;

extern const accountant_kind accountant_gaussian;
extern const accountant_kind accountant_sampled_gaussian;
extern const accountant_kind accountant_gaussian_without_replacement;
extern const accountant_kind accountant_discrete_gaussian;
extern const accountant_kind accountant_sampled_discrete_gaussian;
extern const accountant_kind accountant_laplace;
extern const accountant_kind accountant_pure;
extern const accountant_kind accountant_zcdp;
extern const accountant_kind accountant_exponential;
extern const accountant_kind accountant_selection;

/* A selection's run is the caller's in a mechanism that the caller made, and a copy in an accountant. */

/** SOTTO_ERROR_INPUT unless shape, mean and run are a selection's. */
sotto_status accountant_check_selection(const sotto_mechanism *mechanism, sotto_error *err);

/** As `accountant_mechanism_compare`, of what two runs have composed; NULL comes first. */
int accountant_run_compare(const sotto_accountant *a, const sotto_accountant *b);

/** Replace the run, where there is one, by a copy, for `accountant_mechanism_release`. */
sotto_status accountant_mechanism_own(sotto_mechanism *mechanism, sotto_error *err);

/** Destroy an owned run, where there is one. */
void accountant_mechanism_release(sotto_mechanism *mechanism);

/**
 * For constructors: `draft` with its kind and parameters, given the kind's first adjacency unless it has one,
 * a group of one and, where nothing is sampled, rate 1; checked.
 */
sotto_status accountant_mechanism_make(sotto_mechanism *out, sotto_mechanism draft, sotto_error *err);

/**
 * A bound between the integer orders at which one is known: (α−1)r of the true curve is convex (van Erven and
 * Harremoës 2014, Cor. 2), so it lies below the line between bounds, and 0 at α = 1 is one.
 */
double accountant_interpolate(double (*at_integer)(const sotto_mechanism *mechanism, double t),
                              const sotto_mechanism *mechanism, double t);

/** "laplace mechanism (noise multiplier 2)", cut off at `size` bytes; of a checked mechanism. */
void accountant_mechanism_describe(const sotto_mechanism *mechanism, char *text, size_t size);

/** A total order of mechanisms: below, at or above 0 as a comes before, with or after b. */
int accountant_mechanism_compare(const sotto_mechanism *a, const sotto_mechanism *b);

/** The sampled Gaussian's divergence at order 1 + t for a group, 0 < q < 1 and σ > 0: exact, or from above.
 */
double accountant_sampled_group_rdp(const sotto_mechanism *mechanism, double t);

/** The same from one direction: of the data with the group from those without it (remove), or the reverse;
 * INFINITY where that would take too long. */
double accountant_sampled_group_one_way(const sotto_mechanism *mechanism, double t, bool remove);

/** As `sotto_mechanism_rdp` at order 1 + t, for a checked mechanism. */
double accountant_mechanism_rdp(const sotto_mechanism *mechanism, double t);

/** The privacy-loss distribution of a checked mechanism's kind; NULL where none is known. */
const struct accountant_losses *accountant_mechanism_losses(const sotto_mechanism *mechanism);

/** Distinct mechanisms, in `accountant_mechanism_compare` order: sums do not depend on who came first. */
struct sotto_accountant {
    sotto_accountant_kind kind;
    struct accountant_use {
        sotto_mechanism mechanism;
        uint64_t count;
    } * uses;
    size_t length;
    size_t capacity;
};

/** SOTTO_ERROR_INPUT unless the mechanism is valid, one that this kind of accountant can price, and of the
 * adjacency of what is composed already. */
sotto_status accountant_check_use(const sotto_accountant *accountant, const sotto_mechanism *mechanism,
                                  sotto_error *err);

/** The accountant's own copy of a mechanism that was composed; NULL where it was not. */
const sotto_mechanism *accountant_kept(const sotto_accountant *accountant, const sotto_mechanism *mechanism);

/** How often the mechanism was composed. */
uint64_t accountant_count(const sotto_accountant *accountant, const sotto_mechanism *mechanism);

/** As `sotto_accountant_rdp` at order 1 + t. */
double accountant_rdp(const sotto_accountant *accountant, double t);

/** ε at δ and δ at ε by Rényi divergences, of an accountant of any kind; as the public functions. */
sotto_status accountant_rdp_epsilon(const sotto_accountant *accountant, double delta, double *epsilon,
                                    double *order, sotto_error *err);
sotto_status accountant_rdp_delta(const sotto_accountant *accountant, double epsilon, double *delta,
                                  double *order, sotto_error *err);

/** SOTTO_ERROR_INPUT unless there is such a kind. */
sotto_status accountant_check_kind(sotto_accountant_kind kind, sotto_error *err);

/** SOTTO_ERROR_INPUT unless 0 < δ < 1. */
sotto_status accountant_check_delta(double delta, sotto_error *err);

/** SOTTO_ERROR_INPUT unless 0 < ε < ∞. */
sotto_status accountant_check_target(double epsilon, double delta, sotto_error *err);

/** ε by the accountant of a kind, of `rest` (may be NULL) and `count` further uses of a mechanism: as if they
 * were composed. */
sotto_status accountant_epsilon_with(sotto_accountant_kind kind, const sotto_accountant *rest,
                                     const sotto_mechanism *mechanism, uint64_t count, double delta,
                                     double *epsilon, double *order, sotto_error *err);

/** Turn GSL's aborting error handler off, once; before any call of GSL that could raise. */
void accountant_quiet_gsl(void);

/* Conversion of a Rényi divergence r at order 1 + t, t > 0; each rounds up (conversion.c). */

/** ε at log δ, negative where a smaller δ would do for ε = 0. */
double accountant_epsilon_at(double rdp, double t, double log_delta);

/** log δ at ε, positive where nothing is guaranteed. */
double accountant_log_delta_at(double rdp, double t, double epsilon);

/** The δ that suffices for every ε ≥ 0, from the Kullback–Leibler divergence. */
double accountant_delta_of_kl(double kl);

/** The largest r at order 1 + t that `accountant_epsilon_at` turns into no more than ε, but for rounding. */
double accountant_rdp_within(double epsilon, double t, double log_delta);

/** Orders that are searched: t from the first to the second. */
#define ACCOUNTANT_T_MIN 1e-9
#define ACCOUNTANT_T_MAX 1e9

/** A function of t that falls and then rises. */
typedef double (*accountant_objective)(double t, const void *context);

/**
 * Its least value over the orders searched.
 * \param start     where the search begins; any value but NaN
 * \param[out] t    where it was found
 * \param[out] value the objective there, exactly as computed; INFINITY where it is so everywhere
 */
sotto_status accountant_minimise(accountant_objective objective, const void *context, double start, double *t,
                                 double *value, sotto_error *err);

/* ---- what is known of a budget (cover.c) ---- */

/** One mechanism of a budget; all but the first are numbers of uses. */
typedef struct accountant_cover_line {
    sotto_mechanism mechanism; /**< owned */
    uint64_t charged;          /**< the caller adds to it what it charges */
    uint64_t covered;          /**< in the composition that was found to keep the target */
    uint64_t base;             /**< charged when that one last grew */
    uint64_t refused; /**< with so many the target was found not to be kept; 0 where none was found */
} accountant_cover_line;

/** A composition that was found to keep a target, and how it grows. Initialise with {0}. */
typedef struct accountant_cover {
    accountant_cover_line *lines; /**< in `accountant_mechanism_compare` order */
    size_t length, capacity;
    double factor; /**< the next growth over what was charged since the last */
} accountant_cover;

/** Does a composition keep the target? The kind of the accountant that it is shown in means nothing. */
typedef sotto_status (*accountant_judge)(const sotto_accountant *composition, const void *context,
                                         bool *keeps, sotto_error *err);

void accountant_cover_free(accountant_cover *cover);

/**
 * The line of a checked mechanism; made where there is none, and then another one that was never charged is
 * gone.
 * \param[out] line the cover's, until a line is made
 */
sotto_status accountant_cover_line_of(accountant_cover *cover, const sotto_mechanism *mechanism,
                                      accountant_cover_line **line, sotto_error *err);

/** Is it known without asking whether `count` more uses are allowed? */
bool accountant_cover_knows(const accountant_cover *cover, const accountant_cover_line *line, uint64_t count,
                            bool *allowed);

/** Was this mechanism, and nothing else, charged since the cover last grew? */
bool accountant_cover_is_streak(const accountant_cover *cover, const accountant_cover_line *line);

/** How many more uses are known to be allowed. */
uint64_t accountant_cover_room(const accountant_cover *cover, const accountant_cover_line *line);

/** What was charged and `count` more uses were found to keep the target. */
void accountant_cover_extend(accountant_cover *cover, accountant_cover_line *line, uint64_t count);

/**
 * Ask the judge, at most twice, whether `count` more uses, of which nothing is known, are allowed: the answer
 * is the judge's of what was charged and these.
 * \return the judge's status, SOTTO_ERROR_MEMORY; nothing is learnt then
 */
sotto_status accountant_cover_ask(accountant_cover *cover, accountant_cover_line *line, uint64_t count,
                                  accountant_judge judge, const void *context, bool *allowed,
                                  sotto_error *err);

/* ---- privacy filter (filter.c) ---- */

/**
 * How many uses of a release keep what is spent within its share at every order: the largest n ≤ most with
 * spent[i] + n·rdp[i] ≤ share[i] for all i; 0 where there is none. All ≥ 0; an rdp may be infinite.
 */
uint64_t accountant_filter_uses(size_t orders, const long double *spent, const double *rdp,
                                const long double *share, uint64_t most);

/** Shares of a target over orders, and what was taken of each. */
typedef struct accountant_filter accountant_filter;

/** As `sotto_budget_create_filter`, of a target already checked. */
sotto_status accountant_filter_create(const sotto_accountant *plan, double epsilon, double delta,
                                      accountant_filter **out, sotto_error *err);

void accountant_filter_destroy(accountant_filter *filter);

/** The ε that the shares guarantee at the target's δ, whatever is chosen, and the order that gave it. */
double accountant_filter_epsilon(const accountant_filter *filter, double *order);

/** How many more uses, at most `most`, every share bears. */
sotto_status accountant_filter_remaining(accountant_filter *filter, const sotto_mechanism *mechanism,
                                         uint64_t most, uint64_t *remaining, sotto_error *err);

/** Take `count` uses, no more than remain, of a checked mechanism. */
void accountant_filter_take(accountant_filter *filter, const sotto_mechanism *mechanism, uint64_t count);

#endif
