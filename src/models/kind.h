/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MODEL_KIND_H
#define SOTTO_MODEL_KIND_H

/* Inside this room: what a kind of model implements. One file defines one kind; model.c lists them. */

#include "models/model.h"

typedef struct sotto_model_kind {
    const char *type;
    sotto_status (*create)(sotto_model **, const sotto_node *, const sotto_encoder *, sotto_error *);
    void (*destroy)(sotto_model *);
    sotto_status (*numbers)(const sotto_node *, sotto_numbers *, sotto_error *);
    sotto_status (*prepare)(sotto_model *, const sotto_training *, sotto_random *, sotto_error *);
    sotto_model_counts (*counts_wanted)(const sotto_model *);
    sotto_status (*counts_give)(sotto_model *, const double *, sotto_error *);
    sotto_model_private (*private_wanted)(const sotto_model *);
    void (*data)(sotto_model *, const sotto_encoded *);
    sotto_status (*step)(sotto_model *, sotto_dpsgd *, sotto_error *);
    sotto_model_losses (*last_losses)(const sotto_model *);
    sotto_status (*sample)(sotto_model *, sotto_stream *, size_t, size_t, uint16_t *, float *, sotto_error *);
    size_t (*target)(const sotto_model *);

    /* Files: the section as YAML, the learned label frequencies, and the released parameters. */
    void (*format)(const sotto_model *, FILE *);
    float *(*released)(sotto_model *, size_t *count);
    double *(*frequencies)(sotto_model *, size_t *count);
    sotto_status (*prepare_sampling)(sotto_model *, unsigned threads, sotto_error *);
} sotto_model_kind;

struct sotto_model {
    const sotto_model_kind *kind;
    const sotto_encoder *encoder;
};

extern const sotto_model_kind sotto_gan_kind;

#endif
