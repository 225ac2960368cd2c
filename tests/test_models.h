/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

/* What the tests of models share: a little schema, and a model for it. */
#include <check.h>

#include "models/kind.h"

struct scene {
    sotto_schema *schema;
    sotto_document *document;
    sotto_encoder *encoder;
    sotto_model *model;
};

/* A model by the section's text, for columns age, gain, kind, id and label. The caller closes in every case.
 */
sotto_status try_model(struct scene *scene, const char *section, sotto_error *err);
void close_scene(struct scene *scene);

/* Random numbers from a fixed seed; the caller destroys. */
sotto_random *test_random(void);

#endif
