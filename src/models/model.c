/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/model.h"

#include "models/kind.h"

/* A new kind of model is one file and one line in each of these tables. */
static const sotto_model_kind *const kinds[] = {&sotto_gan_kind};
static const char *const types[] = {"gan", NULL};

const char *const *sotto_model_types(void)
{
    return types;
}

static sotto_status find_kind(const sotto_node *section, const sotto_model_kind **kind, sotto_error *err)
{
    size_t choice = 0;
    const sotto_node *type = sotto_node_get(section, "type");
    if (type) {
        sotto_status status = sotto_node_choice(type, "model.type", types, &choice, err);
        if (status != SOTTO_OK)
            return status;
    }
    *kind = kinds[choice];
    return SOTTO_OK;
}

sotto_status sotto_model_create(sotto_model **model, const sotto_node *section, const sotto_encoder *encoder,
                                sotto_error *err)
{
    const sotto_model_kind *kind;
    *model = NULL;
    sotto_status status = find_kind(section, &kind, err);
    return status == SOTTO_OK ? kind->create(model, section, encoder, err) : status;
}

sotto_status sotto_model_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    const sotto_model_kind *kind;
    sotto_status status = find_kind(section, &kind, err);
    return status == SOTTO_OK ? kind->numbers(section, numbers, err) : status;
}

void sotto_model_destroy(sotto_model *model)
{
    if (model)
        model->kind->destroy(model);
}

const char *sotto_model_type(const sotto_model *model)
{
    return model->kind->type;
}

size_t sotto_model_parameters(const sotto_model *model)
{
    size_t count;
    (void)model->kind->released((sotto_model *)model, &count);
    return count;
}

sotto_status sotto_model_prepare(sotto_model *model, const sotto_training *training, sotto_random *random,
                                 sotto_error *err)
{
    return model->kind->prepare(model, training, random, err);
}

sotto_model_counts sotto_model_counts_wanted(const sotto_model *model)
{
    return model->kind->counts_wanted(model);
}

sotto_status sotto_model_counts_give(sotto_model *model, const double *counts, sotto_error *err)
{
    return model->kind->counts_give(model, counts, err);
}

sotto_model_private sotto_model_private_wanted(const sotto_model *model)
{
    return model->kind->private_wanted(model);
}

void sotto_model_data(sotto_model *model, const sotto_encoded *data)
{
    model->kind->data(model, data);
}

sotto_status sotto_model_step(sotto_model *model, sotto_dpsgd *step, sotto_error *err)
{
    return model->kind->step(model, step, err);
}

sotto_model_losses sotto_model_last_losses(const sotto_model *model)
{
    return model->kind->last_losses(model);
}

sotto_status sotto_model_sample(sotto_model *model, sotto_stream *stream, size_t target_slot, size_t count,
                                uint16_t *slots, float *values, sotto_error *err)
{
    return model->kind->sample(model, stream, target_slot, count, slots, values, err);
}

size_t sotto_model_target(const sotto_model *model)
{
    return model->kind->target(model);
}
