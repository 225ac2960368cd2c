/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_MARGINALS_SCENE_H
#define TEST_MARGINALS_SCENE_H

/* What the tests of `model.type: marginals` share: a table whose law is known, and a model that learned it.
 */
#include "models/marginals.h"
#include "test_models.h"

enum { ROWS = 4000 };

/* In [0, 1), by a state that moves on. */
double marginals_uniform(uint64_t *state);

struct marginals_scene {
    struct scene scene;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_random *random;
    uint32_t units[ROWS];
    sotto_model_release releases[SOTTO_MODEL_RELEASES];
    sotto_mechanism mechanisms[SOTTO_MODEL_RELEASES];
    uint64_t made[SOTTO_MODEL_RELEASES];
    sotto_release_door door;
};

/* Learn from the table with noise of multiplier σ, and picks of ε. The caller closes. */
struct marginals_scene *marginals_scene(const char *section, double sigma, double epsilon);
/* Another table, of another seed; the model is not given it. */
void marginals_scene_load(struct marginals_scene *l, uint64_t seed);
void marginals_scene_close(struct marginals_scene *l);

/* Slots of `count` rows by a fixed seed; the caller frees. */
uint16_t *marginals_draw(sotto_model *model, size_t blocks, size_t count);

/* A temporary file of these bytes; `path` is a template as of mkstemp. */
void marginals_put_file(char *path, const char *bytes, size_t length);

/* A model file with `text` for the line of its header that begins with `key`, and its sizes and digest
 * mended; the caller frees. */
char *marginals_change_file(const char *bytes, size_t length, const char *key, const char *text,
                            size_t *changed);

#endif
