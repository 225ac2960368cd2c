/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_ATTACKS_H
#define SOTTO_EVALUATE_ATTACKS_H

/**
 * Private to evaluate: what the attacks share. Each is tried on people of the train table, on people of the
 * test table (the control: the synthetic table cannot know them) and by guessing (the baseline), after Giomi,
 * Boenisch, Wehmeyer and Tasnádi, "A Unified Framework for Quantifying Privacy Risk in Synthetic Data"
 * (PoPETs 2023). What an attack gains on the train table beyond its control is the table's own leak; the rest
 * holds for the whole population.
 */

#include "evaluate/evaluate.h"
#include "evaluate/neighbours.h"

/** A 95 % interval is ± so many standard deviations. */
#define SOTTO_Z95 1.959963984540054

/** A rate of success and its Wilson interval; no attempts give ½ in [0, 1]. */
typedef struct sotto_rate {
    double successes, attempts;
    double worth;       /**< how many independent attempts they are worth */
    double rate, error; /**< Wilson's centre (s + z²/2) / (n + z²), and half-width, with n = worth */
    double low, high;   /**< centre ± half-width */
} sotto_rate;

sotto_rate sotto_wilson(double successes, double attempts);

/** The same of attempts of which many succeed or fail together; worth ≤ attempts. */
sotto_rate sotto_wilson_worth(double successes, double attempts, double worth);

/** Σ over different numbers of (how often it occurs)²; sorts. */
double sotto_sum_of_squares(uint32_t *numbers, size_t count);

/** The share of what was to be gained beyond the control: (train − control) / (1 − control), at most 1. */
typedef struct sotto_risk {
    double value, low, high;
} sotto_risk;

/** The interval has `z` propagated standard deviations: those of Giomi et al. with z = SOTTO_Z95. */
sotto_risk sotto_risk_of(const sotto_rate *train, const sotto_rate *control, double z);

/** The z at which the `tests` intervals hold jointly with 95 % (Bonferroni); tests ≥ 1. */
double sotto_joint_z(size_t tests);

/** The tables as codes, and how to work. */
typedef struct sotto_scene {
    const sotto_evaluation *evaluation;
    sotto_stream *stream;
    sotto_points *train, *test, *synthetic; /**< whole tables; test may be NULL */
    sotto_points *train_part, *test_part; /**< random rows of both, as many of each: min(train, test), so that
                                            no rate is larger for a larger table; NULL without a test table */
    size_t attempts;                      /**< of each attack, where there are rows enough */
    size_t secrets;                       /**< columns tried as secrets */
    double joint_z;                       /**< of the risks' intervals */
    sotto_arena *arena;
} sotto_scene;

/** `count` of `total` rows, ascending, all sets being as likely; owned by `arena`. count ≤ total. */
uint32_t *sotto_sample_rows(sotto_stream *stream, size_t total, size_t count, sotto_arena *arena,
                            sotto_error *err);

/** What became of one attack. */
typedef struct sotto_attack {
    const char *key, *name;
    const char *secret; /**< the column that was inferred, or NULL */
    sotto_rate train, baseline;
    sotto_rate control;     /**< where has_control */
    sotto_rate whole_train; /**< where has_whole: against all rows, where `train` is against a part of them */
    bool has_control, has_whole;
} sotto_attack;

/** Add the attack's record to a JSON array. */
sotto_status sotto_attack_report(const sotto_scene *scene, const sotto_attack *attack, json_t *attacks,
                                 sotto_error *err);

/** A rate as {"rate", "low", "high", "successes", "attempts", "worth"}; NULL where memory is short. */
json_t *sotto_rate_record(const sotto_rate *rate);

/** `made` if it was made, else SOTTO_ERROR_MEMORY; for what json_pack gave. */
sotto_status sotto_json_made(const json_t *made, sotto_error *err);

/** Each adds its attacks to the array. */
sotto_status sotto_attack_singling_out(sotto_scene *scene, json_t *attacks, sotto_error *err);
sotto_status sotto_attack_linkability(sotto_scene *scene, json_t *attacks, sotto_error *err);
sotto_status sotto_attack_inference(sotto_scene *scene, json_t *attacks, sotto_error *err);

/** Distance to the closest record of the train and of the test table; new reference. */
sotto_status sotto_attack_distance(sotto_scene *scene, json_t **record, sotto_error *err);

/** Exact and near matches; new reference. */
sotto_status sotto_attack_matches(sotto_scene *scene, json_t **record, sotto_error *err);

/** Membership inference by a density ratio; new reference. */
sotto_status sotto_attack_membership(sotto_scene *scene, json_t **record, sotto_error *err);

/** How well scores tell members from others. */
typedef struct sotto_roc {
    double auc, low, high;     /**< 95 % after DeLong, DeLong and Clarke-Pearson 1988 */
    double true_positive_rate; /**< at most 1 % of the others score as high */
} sotto_roc;

/** Sorts both arrays; each has at least one score and no NaN. */
sotto_roc sotto_roc_of(double *members, size_t member_count, double *others, size_t other_count);

#endif
