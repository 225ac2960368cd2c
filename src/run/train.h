/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_TRAIN_H
#define SOTTO_RUN_TRAIN_H

/* Inside this room: a run of training, what it does (train.c), where it is charged (enroll.c), how it is gone
 * on with (save.c), and what it says (train_tell.c). */

#include "run/checkpoint.h"
#include "run/run.h"

/** All that one training holds; train.c makes and releases it. */
struct training {
    sotto_config config;
    sotto_plan plan;
    sotto_table *table;
    sotto_encoded *data;
    bool in_sweep;
    sotto_run_identity identity;
    sotto_ledger *ledger;
    sotto_ledger_run *ledger_run; /**< NULL where it was released already, and is only to appear */
    sotto_run_directory directory;
    sotto_checkpoint checkpoint; /**< of an earlier attempt */
    sotto_split *split;
    sotto_random *random;
    sotto_budget *budget;
    double epsilon; /**< of all that was charged, while that is known */
    bool epsilon_known;
    sotto_dpsgd *step;
    sotto_parts *parts; /**< in its place, where the model wants them */
    sotto_health *health;
    bool restored;       /**< from a checkpoint: no release is made again */
    bool can_go_on;      /**< there is a checkpoint on disk */
    bool charge_failed;  /**< the last one that was asked for */
    uint64_t first_step; /**< that an earlier attempt has taken, and this goes on from */
    uint64_t last_step;  /**< to be taken */
    double saved_at;     /**< the time of the last checkpoint, */
    double saving_took;  /**< in seconds */
    uint64_t saved_step;
    size_t step_room, look_room; /**< for records */
    sotto_training_record record;
};

/* ---------------------------------------------------------------- ledger */

/** Open the ledger and the run directory, and begin the run, or another attempt at it. Where the run was
 * released already, `ledger_run` stays NULL. */
sotto_status sotto_training_enroll(struct training *training, const sotto_run_options *options,
                                   sotto_error *err);

/** A run that has failed before anything was charged leaves neither a folder nor a hold on the budget. Does
 * nothing to any other. */
void sotto_training_withdraw(struct training *training);

/** The budget, with what earlier attempts were charged, and the ledger as its journal. */
sotto_status sotto_training_open_budget(struct training *training, sotto_error *err);

/** Up to which step the budget lasts, once it is known how many were taken and charged. Warns of what was
 * lost. */
sotto_status sotto_training_settle_last_step(struct training *training, const sotto_run_options *options,
                                             sotto_error *err);

/* ------------------------------------------------------------ checkpoints */

/** Read and check the checkpoint of an earlier attempt, where there is one, and that the ledger is not older
 * than it. */
sotto_status sotto_training_look_for_checkpoint(struct training *training, sotto_error *err);

/** Everything that is known, so that another process can go on: on SOTTO_OK it is on disk, whole. */
sotto_status sotto_training_save(struct training *training, sotto_error *err);

/** Is it time to? */
bool sotto_training_is_to_be_saved(const struct training *training);

/** What was looked for, into all that was set up. `restored` is false afterwards where there was none. */
sotto_status sotto_training_restore(struct training *training, sotto_error *err);

/** Who is in training and who is held out: tossed once, kept by all attempts. */
sotto_status sotto_training_save_split(struct training *training, sotto_error *err);
sotto_status sotto_training_restore_split(struct training *training, bool *found, sotto_error *err);

/* ------------------------------------------------------------------ words */

/** Into the private log: how the table was parted, and where it differs from what was declared. Warnings go
 * to whoever watches. Before anything is charged. */
void sotto_training_note(struct training *training, const sotto_run_options *options);

/**
 * What may be shown to anyone: steps, time and the accountant's ε of all that was charged, steps to come
 * included; no loss, no batch size. `start`: when this attempt began its steps.
 */
sotto_status sotto_training_show(struct training *training, const sotto_run_options *options, uint64_t step,
                                 double start, sotto_error *err);

/**
 * Adds to the error of a run that had begun to spend: what stays, and the ways on. \return `status`
 */
sotto_status sotto_training_failed(const struct training *training, sotto_status status, sotto_error *err);

/** The outcome as JSON, which the caller frees; and where the run did not end as it was planned, how it
 * ended, in the words of an error. Of a run that ended itself: why, and what it spent. What was spent stays
 * spent and is written down; what was not is left for another try. */
sotto_status sotto_training_conclude(const struct training *training, char **json, sotto_error *err);

/** The outcome of a run whose release an earlier attempt made. */
sotto_status sotto_training_appeared(const struct training *training, char **json, sotto_error *err);

#endif
