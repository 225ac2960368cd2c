/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_ROOM_H
#define SOTTO_RUN_ROOM_H

/**
 * run: config, plan, the training loop, the run directory, the privacy statement. What the public header
 * sotto/run.h offers is made of these parts.
 */

#include "ledger/ledger.h"
#include "models/model.h"
#include "sotto/run.h"

/* ------------------------------------------------------------------ config */

/** A config file, read and checked. Everything in it is public. */
typedef struct sotto_config {
    sotto_document *document;
    char *path;  /**< as given */
    char *table; /**< absolute or relative to the current directory */
    char *schema;
    char *output;   /**< NULL where neither config nor command line names one */
    double holdout; /**< share of units that training never sees */
    char *unit;     /**< the identifier whose values are the units of privacy; NULL: each row is one */
    size_t max_rows_per_unit; /**< m ≥ 1 */
    double epsilon;
    double delta;
    sotto_accountant_kind accountant;
    double noise_multiplier; /**< 0 for auto */
    sotto_arithmetic arithmetic;
    sotto_clipping clipping; /**< as given: 0 for defaults */
    size_t expected_batch_size;
    sotto_training training;   /**< steps 0 for auto; batch and threads are set by the plan */
    size_t sample_rows;        /**< 0 for as many as the schema declares */
    const sotto_node *balance; /**< `sample.balance`; may be NULL */
    const sotto_node *model;   /**< the `model` section; may be NULL */
    const sotto_node *sweep;   /**< the `sweep` section; may be NULL */
    const sotto_node *figures; /**< the `figures` section; may be NULL */
    char *data_id;             /**< `data.id`: which data set the table is; may be NULL */
    char *ledger;              /**< `ledger.file`; may be NULL */
    char *mirror;              /**< `ledger.mirror`; may be NULL */
    uint64_t block;            /**< private steps that are charged at once; 0 for auto */
    uint64_t checkpoint;       /**< steps between checkpoints; 0 for auto */
} sotto_config;

/** Read `options->config`, apply its settings and output. Caller destroys, in every case. */
sotto_status sotto_config_load(sotto_config *config, const sotto_run_options *options, sotto_error *err);
void sotto_config_destroy(sotto_config *config);

/** A path of the config file, relative to that file, as one that can be opened; caller frees. */
sotto_status sotto_config_path(const sotto_config *config, const sotto_node *node, const char *what,
                               char **path, sotto_error *err);

/** Read where spending is recorded, and how often a run is saved: `data.id`, `ledger`, `checkpoint`. */
sotto_status sotto_config_read_records(sotto_config *config, const sotto_node *root, sotto_error *err);

/**
 * SHA-256 over all of the config that a run's guarantee depends on, and over the schema's: where it is the
 * same, a run may be gone on with; one of a sweep by that
 * sweep alone. Paths, the number of rows to be made, the ledger and checkpoints are not
 * part of it.
 */
sotto_status sotto_config_digest(const sotto_config *config, const char *schema_sha256, bool in_sweep,
                                 char digest[65], sotto_error *err);

/** The config as it was applied, `--set` included, as YAML; caller frees. */
sotto_status sotto_config_format(const sotto_config *config, char **text, sotto_error *err);

/* -------------------------------------------------------------------- plan */

/**
 * The two parts of a run's δ. The accountant charges continuous Gaussian noise; that exact noise is as good
 * as that but for a proved total variation is paid for out of the same δ. The statement of float noise claims
 * no such proof, and pays for none.
 */
typedef struct sotto_delta_shares {
    double draws;      /**< of exact noise, at most; 0 where it is not paid for */
    double noise;      /**< what they cost of δ at the budget's ε; rounded up */
    double accountant; /**< what is left to the accountant; rounded down */
} sotto_delta_shares;

/** Part the config's δ for so many draws. SOTTO_ERROR_INPUT where noise takes more than a hundredth of it. */
sotto_status sotto_delta_shares_make(sotto_delta_shares *shares, const sotto_config *config, double draws,
                                     sotto_error *err);

/**
 * The ε at which all that `accountant` composed, made with exact noise of so many draws, keeps `delta`;
 * INFINITY where this proves none. 0 draws ask the accountant alone.
 */
sotto_status sotto_noise_epsilon(const sotto_accountant *accountant, double delta, double draws,
                                 double *epsilon, sotto_error *err);

/** The trade-off curve of the same: `missed` rounded down. */
sotto_status sotto_noise_tradeoff(const sotto_accountant *accountant, double draws, const double *wrongly,
                                  size_t count, double *missed, sotto_error *err);

/** Figures to be released about the synthetic rows: run/figures.h. */
typedef struct sotto_figures sotto_figures;
typedef struct sotto_prediction sotto_prediction;

/** What will be done, decided from config and schema alone. */
typedef struct sotto_plan {
    sotto_schema *schema;
    char schema_sha256[65]; /**< of the bytes that were parsed */
    sotto_encoder *encoder;
    sotto_model *model;
    size_t balance; /**< block whose values the synthetic rows have equally often, or SOTTO_NONE */
    sotto_training training;
    size_t unit_column;   /**< the schema's identifier whose values are the units; SOTTO_NONE: rows are */
    size_t units;         /**< how many the schema declares: its `units` of that column, or its rows */
    double public_units;  /**< units that training is expected to see: units × (1 − holdout) */
    size_t release_count; /**< the model's releases before its first step */
    sotto_model_release releases[SOTTO_MODEL_RELEASES];
    sotto_mechanism release_mechanisms[SOTTO_MODEL_RELEASES]; /**< of each use */
    sotto_figures *figures;                                   /**< NULL where none are to be bought */
    sotto_mechanism figures_counts;                           /**< kind 0 where there are no figures */
    sotto_mechanism prediction_counts;                        /**< kind 0 where they tell of none */
    sotto_mechanism step;      /**< kind 0 where the model takes no private steps */
    sotto_clipping clipping;   /**< complete; of a model that takes steps */
    sotto_delta_shares shares; /**< of δ */
    uint64_t steps_allowed;    /**< the most private steps that the budget bears beside the rest */
    double epsilon;            /**< of everything planned, at the config's δ */
    double order;              /**< that gave it; 0 by privacy-loss distributions */
} sotto_plan;

/**
 * SOTTO_ERROR_INPUT where config and schema do not fit, SOTTO_ERROR_BUDGET where the planned steps at the
 * given noise multiplier would cross ε. Caller destroys, in every case.
 */
sotto_status sotto_plan_make(sotto_plan *plan, const sotto_config *config, unsigned threads,
                             sotto_error *err);
void sotto_plan_destroy(sotto_plan *plan);

/** Does the plan take private steps? Where not, all it does is made of releases. */
bool sotto_plan_takes_steps(const sotto_plan *plan);

/**
 * Price the model's releases and the figures, and compose them with `rest`. Where the model takes no private
 * steps, its releases get all that the figures leave of ε, in the shares that it declared.
 */
sotto_status sotto_plan_releases(sotto_plan *plan, const sotto_config *config, sotto_accountant *rest,
                                 sotto_error *err);

/** Compose all that is planned but private steps. */
sotto_status sotto_plan_compose_releases(const sotto_plan *plan, sotto_accountant *accountant,
                                         sotto_error *err);

/** SOTTO_ERROR_INPUT where the model's networks surely take more than `bytes` of memory, saying which column
 * makes them so large. */
sotto_status sotto_plan_check_memory(const sotto_plan *plan, const sotto_config *config, double bytes,
                                     sotto_error *err);

/** Bytes of memory that this machine has; 1e300 where it does not say. */
double sotto_machine_memory(void);

/** Refuse settings of private steps where the model takes none: they would do nothing. */
sotto_status sotto_plan_refuse_idle(const sotto_plan *plan, const sotto_config *config, sotto_error *err);

/** Compose the planned releases, if any, and `steps` private steps, and ask for ε at the config's δ (of which
 * the accountant gets its share). */
sotto_status sotto_plan_epsilon(const sotto_plan *plan, const sotto_config *config, uint64_t steps,
                                double *epsilon, double *order, sotto_error *err);

/** Warnings about a plan that will hardly learn, or costs too much, as a JSON list of texts. */
json_t *sotto_plan_warnings(const sotto_plan *plan, const sotto_config *config);

/** What a record says of one use of a mechanism: its noise multiplier; null and its ε where it is
 * exponential. */
void sotto_mechanism_facts(const sotto_mechanism *mechanism, json_t *record);

/** "exact" or "float"; "flat", "automatic", "per-layer" or "adaptive": the config's own words. */
const char *sotto_arithmetic_name(sotto_arithmetic arithmetic);
const char *sotto_clipping_name(sotto_clipping_kind kind);

/** The noise multiplier of the gradient alone. */
double sotto_plan_gradient_noise(const sotto_plan *plan);

/** The private step of a plan, but for what it works on: units, weights, budget and random are the caller's.
 */
sotto_dpsgd_options sotto_plan_step_options(const sotto_plan *plan, const sotto_config *config);

/** The same of a plan whose model wants parts. */
sotto_parts_options sotto_plan_parts_options(const sotto_plan *plan, const sotto_config *config);

/** B̄·C/(σ·C·√parameters), or C/(2σ·C·√dimension) of a part's vector: the largest possible signal over the
 * noise's length in one step. */
double sotto_plan_signal_to_noise(const sotto_plan *plan);

/* ---------------------------------------------------------------- training */

/** What one step saw of real rows: for private/ only. */
typedef struct sotto_step_record {
    uint64_t step;
    sotto_dpsgd_private seen;
    sotto_model_losses losses;
} sotto_step_record;

/** The real rows once more, for the one figure that is made after the synthetic ones. */
typedef struct sotto_real_rows {
    const sotto_table *table;
    sotto_units units;
    sotto_budget *budget; /**< that pays */
} sotto_real_rows;

/** What a finished (or cleanly stopped) training leaves to be written. */
typedef struct sotto_training_record {
    const sotto_config *config;
    const sotto_plan *plan;
    const sotto_budget *budget;
    sotto_real_rows real;
    uint64_t steps_taken;
    const sotto_ledger *ledger; /**< borrowed, and the run in it */
    sotto_ledger_run *ledger_run;
    uint64_t attempts;       /**< processes that have been at work on this run, this one included */
    uint64_t steps_intended; /**< in all, those charged to earlier attempts and lost included */
    bool finished_early;     /**< asked to take no more steps than an earlier attempt took */
    bool spent;              /**< the budget, before the planned steps: lost work was charged */
    bool interrupted;        /**< nothing is released, and the run can be gone on with */
    bool prediction_lost;    /**< bought by an attempt that was ended, and not to be paid for again */
    sotto_error scarce;      /**< its code is not SOTTO_OK where rows to be balanced were too scarce: why */
    char diverged[SOTTO_HEALTH_VERDICT]; /**< why training ended itself; "" where it did not */
    const char *not_private;             /**< "" or the stamp */
    const char *tuning;                  /**< what the statement says of it */
    size_t synthetic_rows;
    double seconds;
    char table_sha256[65];    /**< private */
    const sotto_split *split; /**< private: how many rows and units are on which side */
    sotto_step_record *steps; /**< private: taken at the start, filled in without a further allocation */
    size_t step_count;
    sotto_model_health *health; /**< one for each look at the model, as `steps`; public, shown in private/ */
    size_t health_count;
    uint64_t stride; /**< every stride-th step is recorded, so that a long run fits in memory */
    json_t *columns; /**< private: what was mapped into the declared domain */
} sotto_training_record;

/** The stamp on every artefact that was made with a test seed (P9). */
#define SOTTO_NOT_PRIVATE                                                                                    \
    "NOT PRIVATE: made with a fixed seed for tests; the noise can be computed again by anyone, so there is " \
    "no "                                                                                                    \
    "privacy guarantee"

/** What one run does to the table, as it was planned and is charged. */
typedef struct sotto_run_cost {
    size_t release_count; /**< all but the steps: the model's, then the figures' */
    sotto_mechanism releases[SOTTO_MODEL_RELEASES + 2];
    uint64_t uses[SOTTO_MODEL_RELEASES + 2];
    sotto_mechanism step; /**< kind 0 where no private step is taken */
    uint64_t steps;
    double draws;       /**< of exact noise */
    double epsilon;     /**< at the run's own δ */
    size_t unit_column; /**< as of a plan: whom all this is charged for */
    size_t max_rows_per_unit;
    char schema_sha256[65]; /**< of the schema that all this follows from */
} sotto_run_cost;

enum { SOTTO_PLAN_CHARGES = SOTTO_MODEL_RELEASES + 3 };

/** All that a plan will charge, in the order in which it does; returns how many. Valid as long as the plan.
 */
size_t sotto_plan_charges(const sotto_plan *plan, sotto_charge charges[SOTTO_PLAN_CHARGES]);

/** The table as the ledger is told of it; `sha256` (borrowed) may be NULL, where nothing was read. The caller
 * frees `*path`, which is the table's. */
sotto_status sotto_config_table(const sotto_config *config, const char *sha256, sotto_ledger_table *table,
                                char **path, sotto_error *err);

/**
 * Of a table that the ledger would take for a new data set, while a capped one has almost its name: refused
 * with SOTTO_ERROR_INPUT, saying how to answer, where no data.id says which it is; warned of (`warn` may be
 * NULL) where one does. To be asked before a run is begun: afterwards the table is the new data set's.
 */
sotto_status sotto_config_check_data_set(const sotto_config *config, sotto_ledger *ledger,
                                         const sotto_ledger_table *table,
                                         void (*warn)(void *context, const char *text), void *context,
                                         sotto_error *err);

/** Open the ledger that config and surroundings name. Where there is none it is made, if `create` allows:
 * whoever goes on with something has one. */
sotto_status sotto_config_ledger(const sotto_config *config, bool create, sotto_ledger **ledger,
                                 sotto_error *err);

sotto_run_cost sotto_plan_cost(const sotto_plan *plan, const sotto_config *config);

/** A run's place in a sweep: what it was charged as, and what its statement says. */
typedef struct sotto_sweep_part {
    const sotto_run_cost *cost;
    const char *tuning;
} sotto_sweep_part;

/**
 * sotto_run_train, as part of a sweep: the section `sweep` is passed over, and a plan that is not to the
 * letter what was charged for (since a file was changed meanwhile) is refused before a row is read. With
 * NULL, a config with such a section is refused.
 */
sotto_status sotto_train(const sotto_run_options *options, const sotto_sweep_part *part, char **json,
                         sotto_error *err);

/** privacy.json, from the charges that were made. `released` is a JSON list of {file, what, sha256}. New
 * reference. */
sotto_status sotto_statement_make(const sotto_training_record *record, json_t *released, json_t **statement,
                                  sotto_error *err);

/**
 * What a statement says of where it is charged: the run, and the hash of the ledger's last entry, to which an
 * auditor holds a ledger. How many entries there are, and to which data set the ledger found the table to
 * belong, depend on the table's bytes, and are not told (P11): `id` is what the config declares, or NULL. New
 * reference.
 */
json_t *sotto_statement_ledger(const sotto_ledger_run *run, const sotto_ledger *ledger, const char *id);

/** The ε that a run's statement, its model file and its outcome promise. */
sotto_status sotto_statement_promise(const sotto_training_record *record, double *epsilon, sotto_error *err);

/** What a statement of one run says of choosing it. */
extern const char sotto_statement_choices[];

/** What was spent, as an accountant composed it: all that a statement promises follows from it. */
typedef struct sotto_spending {
    sotto_accountant_kind kind;
    const sotto_accountant *accountant;
    double epsilon, order; /**< order: 0 by privacy-loss distributions */
    double delta;
    double draws;                         /**< of exact noise, at most; 0 where it is not paid for */
    double noise_delta, accountant_delta; /**< the parts of delta: `sotto_delta_shares` */
} sotto_spending;

/** Find ε, order and the parts of δ from the rest; ε is rounded up, INFINITY where none can be proved. */
sotto_status sotto_spending_find(sotto_spending *spending, sotto_error *err);

/** Write into a statement (or over what it says): sentence, ε and δ, accounting, curve, attack, draws. */
sotto_status sotto_statement_spend(json_t *statement, const sotto_spending *spending, sotto_error *err);

/** Write it into `folder` as privacy.json and privacy.html. Steals `statement`. */
sotto_status sotto_statement_write(const char *folder, json_t *statement, sotto_error *err);

/** Would the evaluation's columns and test table do? Reads schema and test table, and nothing else of the
 * options but target and sensitive: before anything is spent. */
sotto_status sotto_evaluate_check(const sotto_evaluate_options *options, sotto_error *err);

/* ----------------------------------------------------------- run directory */

/** A run directory while a process is at work in it: DIR/private/ from the start, DIR/release/ whole at the
 * end. */
typedef struct sotto_run_directory {
    char *path;
    FILE *log;  /**< private/train.log */
    int lock;   /**< DIR/private, held as long as the process is at work */
    bool fresh; /**< begun by this process */
    bool made;  /**< with DIR itself */
} sotto_run_directory;

/** Which run lies in a directory: private/run.json. */
typedef struct sotto_run_identity {
    char run[17];    /**< its name in the ledger */
    char ledger[33]; /**< the ledger's own */
    char config[65]; /**< `sotto_config_digest` */
    bool private;    /**< false: its noise is from a test seed */
} sotto_run_identity;

/** Is the path free: absent, or an empty directory? SOTTO_ERROR_INPUT where not. Makes nothing. */
sotto_status sotto_run_directory_check(const char *path, sotto_error *err);

/** Make DIR, DIR/private (0700), lock it, and open its log; the caller closes in every case. */
sotto_status sotto_run_directory_open(sotto_run_directory *directory, const char *path,
                                      const char *not_private, sotto_error *err);

/** Go on in a directory: SOTTO_ERROR_INPUT where there is no run, a finished one, or one that another process
 * is at work on. The caller closes in every case. */
sotto_status sotto_run_directory_reopen(sotto_run_directory *directory, const char *path, sotto_error *err);
void sotto_run_directory_close(sotto_run_directory *directory);

/** Take away what `open` and the beginning of a run made, where nothing was charged. Close it afterwards. */
void sotto_run_directory_discard(sotto_run_directory *directory);

sotto_status sotto_run_identity_write(const sotto_run_directory *directory,
                                      const sotto_run_identity *identity, sotto_error *err);

/** private/config.yaml: what the run was begun with. */
sotto_status sotto_run_directory_write_config(const sotto_run_directory *directory,
                                              const sotto_config *config, const char *not_private,
                                              sotto_error *err);

/** Has a run there had a name, or anything that it writes after it has one? Without, nothing was charged. */
bool sotto_run_identity_is_there(const sotto_run_directory *directory);

/** Bytes are taken for hostile. SOTTO_ERROR_INPUT where there is none, or it is damaged. */
sotto_status sotto_run_identity_read(const sotto_run_directory *directory, sotto_run_identity *identity,
                                     sotto_error *err);

/**
 * Of the checkpoint in a run's directory, the run's name and the ledger's head when it was written.
 * SOTTO_ERROR_INPUT where it is not sound.
 */
sotto_status sotto_run_checkpoint_head(const char *directory, char run[17], sotto_ledger_head *head,
                                       sotto_error *err);

/** SOTTO_ERROR_INPUT, saying why, where the run at `path` is not finished, or has a statement of having
 * diverged: it made neither table nor model. Whatever else may be missing there is for others to find. */
sotto_status sotto_run_directory_converged(const char *path, sotto_error *err);

/** A line of the private log. */
void sotto_run_log(sotto_run_directory *directory, const char *format, ...) SOTTO_PRINTF(2, 3);

/**
 * Sample, and write everything (`record` is told of rows too scarce): private/ files, then release/ under
 * another name, then its row in the ledger, then the rename. SOTTO_INTERRUPTED where a stop came while
 * sampling: nothing is released then.
 */
sotto_status sotto_run_directory_finish(sotto_run_directory *directory, sotto_training_record *record,
                                        sotto_random *random, const sotto_run_options *options,
                                        sotto_error *err);

/** An empty folder, closed to others, for a release that is to be published from it; what an attempt that was
 * ended left there is gone. */
sotto_status sotto_release_folder(const char *folder, sotto_error *err);

/** Enter the files of the folder `unfinished` into the ledger, `released` (a JSON list of {file, what,
 * sha256}) and the privacy statement, and then let it appear as `finished`. */
sotto_status sotto_release_publish(sotto_ledger_run *run, json_t *released, const char *unfinished,
                                   const char *finished, sotto_error *err);

/** Publish what an earlier attempt wrote and entered into the ledger, but was ended before it appeared.
 * SOTTO_ERROR_INPUT where a file is not what was entered. */
sotto_status sotto_run_directory_publish(sotto_run_directory *directory,
                                         const sotto_ledger_artefact *artefacts, size_t count,
                                         sotto_error *err);

/* ---------------------------------------------------------------- sampling */

/** Rows that are wanted. `balance` is SOTTO_NONE, not 0, where nothing is balanced. */
typedef struct sotto_conditions {
    size_t count; /**< all of `slot[i]` in block `block[i]` */
    size_t *block;
    size_t *slot;
    size_t balance; /**< a category block, each of whose declared values is wanted equally often; or
                       SOTTO_NONE */
} sotto_conditions;

/** The block of a category column of two values or more. SOTTO_ERROR_INPUT where `name` is none. */
sotto_status sotto_balance_find(const sotto_encoder *encoder, const char *name, size_t *block,
                                sotto_error *err);

/** The name of a plan's balanced column; NULL where there is none. */
const char *sotto_plan_balance(const sotto_plan *plan);

/** From "COLUMN=VALUE" texts and a column to be balanced, or NULL. SOTTO_ERROR_INPUT where the schema has no
 * such column or value, or two of them cannot hold together. Caller destroys, in every case. */
sotto_status sotto_conditions_make(sotto_conditions *conditions, const sotto_encoder *encoder,
                                   const char *const *where, size_t count, const char *balance,
                                   sotto_error *err);
void sotto_conditions_destroy(sotto_conditions *conditions);

/** What is to be sampled, and who watches. */
typedef struct sotto_sampling {
    const sotto_conditions *conditions;
    const char *not_private; /**< "" or the stamp, which becomes the first line */
    size_t rows;
    void (*progress)(void *context, const sotto_progress *progress); /**< may be NULL */
    void *progress_context;
    bool (*stop)(void *context); /**< may be NULL */
    void *stop_context;
} sotto_sampling;

/** What came of it. */
typedef struct sotto_sampled {
    size_t rows; /**< written */
    bool scarce; /**< fewer than asked for, since the model hardly ever makes such rows */
} sotto_sampled;

/**
 * Write synthetic rows as CSV. Fewer than asked for, all of them whole, with SOTTO_ERROR_INPUT where such
 * rows are too scarce; with SOTTO_INTERRUPTED after a stop, when what is in the file is good for nothing.
 * Where a column is balanced, what is written is balanced in every case.
 */
sotto_status sotto_sample_write(sotto_model *model, const sotto_encoder *encoder, sotto_random *random,
                                const sotto_sampling *sampling, FILE *file, sotto_sampled *sampled,
                                sotto_error *err);

/* ------------------------------------------------------------------- helps */

/** Make every folder on the way to `path`, and `path`, where they are missing. */
sotto_status sotto_make_folders(const char *path, sotto_error *err);

/** Seconds of a clock that only goes forward. */
double sotto_seconds(void);

/** `root`/`name`, or `name` alone where it is absolute or root is empty; caller frees. NULL: out of memory.
 */
char *sotto_path_join(const char *root, const char *name);

/** A root of randomness as the options ask for. */
sotto_status sotto_run_random(sotto_random **random, bool insecure_test_only_seed, uint64_t seed,
                              sotto_error *err);

/** How many threads: `wanted`, or as many as the machine has, at most SOTTO_LANES since more would find no
 * work. */
unsigned sotto_run_threads(unsigned wanted);

#endif
