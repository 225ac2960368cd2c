/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_TRAIN_H
#define SOTTO_RUN_TRAIN_H

/* Inside this room: a run of training, what it does (train.c) and what it says (train_tell.c). */

#include "run/run.h"

/** All that one training holds; train.c makes and releases it. */
struct training {
    sotto_config config;
    sotto_plan plan;
    sotto_table *table;
    sotto_encoded *data;
    sotto_split *split;
    sotto_random *random;
    sotto_budget *budget;
    double epsilon_ahead; /**< of all that the steps logged last will have cost, at most */
    sotto_dpsgd *step;
    sotto_parts *parts; /**< in its place, where the model wants them */
    sotto_health *health;
    sotto_run_directory directory;
    sotto_training_record record;
};

/** Into the private log: how the table was parted, and where it differs from what was declared. Warnings go
 * to whoever watches. Before anything is charged. */
void sotto_training_note(struct training *training, const sotto_run_options *options);

/** The outcome as JSON; caller frees. */
sotto_status sotto_training_summary(const struct training *training, char **json, sotto_error *err);

/** The error of a run that ended itself: why, and what it spent. What was spent stays spent and is written
 * down; what was not is left for another try. */
sotto_status sotto_training_diverged(const struct training *training, sotto_error *err);

#endif
