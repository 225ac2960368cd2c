/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_STATE_SCENE_H
#define TEST_STATE_SCENE_H

/* What tests of models' states share: a model of every kind that trains on a little table, and its state. */
#include "test_models.h"

enum { STATE_UNITS = 200, STATE_SECTIONS = 16 };

/* Sections of a model of each kind, with all that has a state of its own. */
extern const char *const state_sections[STATE_SECTIONS];

/* A model in training. All zero: none. */
struct training {
    struct scene scene;
    sotto_random *random;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_dpsgd *step;    /* or */
    sotto_parts *parts;   /* or neither */
    sotto_health *health; /* with either of them */
    uint32_t units[STATE_UNITS];
    size_t first, streams; /* which streams are its own: see streams.h */
};

/* By number of section, prepared but not taught: all randomness of `seed`, and a table whose rows depend on
 * `shift`. The caller closes. */
void prepare_training(struct training *training, size_t section, uint64_t seed, int shift);

/* The same, and taught by its releases. */
void open_training(struct training *training, size_t section, uint64_t seed, int shift);
void close_training(struct training *training);

/* Make the releases. */
void learn_from_releases(struct training *training);

/* Steps, or rounds, and a look at the model after each. */
void take_steps(struct training *training, int count);

/* Visit all of it. */
void visit_training(struct training *training, sotto_state *state);

/* The bytes of its state; the caller frees. */
char *state_of(struct training *training, size_t *length);

/* Read a state into it. */
sotto_status give_state(struct training *training, const void *bytes, size_t length, sotto_error *err);

#endif
