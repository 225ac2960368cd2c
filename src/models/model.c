/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/model.h"

#include <stdlib.h>

#include "models/kind.h"

/* A new kind of model is one file and one entry here; docs/adding-a-model.md walks through one. */
static const sotto_model_kind *const kinds[] = {
    &sotto_gan_kind,         &sotto_ctgan_kind,     &sotto_vae_kind,
    &sotto_independent_kind, &sotto_per_label_kind, &sotto_marginals_kind,
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const char *const *sotto_model_types(void)
{
    static const char *types[KINDS + 1]; /* the same whenever it is written */
    for (size_t i = 0; i < KINDS; i++)
        types[i] = kinds[i]->type;
    return types;
}

static sotto_status find_kind(const sotto_node *section, const sotto_model_kind **kind, sotto_error *err)
{
    size_t choice = 0;
    const sotto_node *type = sotto_node_get(section, "type");
    if (type) {
        sotto_status status = sotto_node_choice(type, "model.type", sotto_model_types(), &choice, err);
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

sotto_status sotto_model_training(const sotto_node *section, const sotto_node *training_section,
                                  sotto_training *training, sotto_error *err)
{
    const sotto_model_kind *kind;
    sotto_status status = find_kind(section, &kind, err);
    return status == SOTTO_OK && kind->training ? kind->training(section, training_section, training, err)
                                                : status;
}

sotto_status sotto_model_fits(const sotto_model *model, const sotto_training *training, sotto_error *err)
{
    if (model->kind->fits)
        return model->kind->fits(model, training, err);
    return training->discriminator_steps > 0
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "training.discriminator_steps: auto is for `type: gan`; remove it");
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
    return model->kind->counts_wanted ? model->kind->counts_wanted(model) : (sotto_model_counts){0};
}

static size_t cells_of(const sotto_counts_query *query)
{
    size_t cells = 0;
    for (size_t t = 0; t < query->tables; t++)
        cells += query->table_size[t];
    return cells;
}

size_t sotto_model_releases(const sotto_model *model, sotto_model_release releases[SOTTO_MODEL_RELEASES])
{
    if (model->kind->releases)
        return model->kind->releases(model, releases);
    const sotto_model_counts counts = sotto_model_counts_wanted(model);
    if (counts.query.tables == 0)
        return 0;
    releases[0] = (sotto_model_release){.label = counts.label,
                                        .what = counts.what,
                                        .kind = SOTTO_RELEASE_COUNTS,
                                        .share = counts.share,
                                        .uses = 1,
                                        .tables = counts.query.tables,
                                        .cells = cells_of(&counts.query)};
    return 1;
}

sotto_status sotto_model_learn(sotto_model *model, const sotto_release_door *door, sotto_error *err)
{
    if (model->kind->learn)
        return model->kind->learn(model, door, err);
    const sotto_model_counts wanted = sotto_model_counts_wanted(model);
    if (wanted.query.tables == 0)
        return SOTTO_OK;
    double *counts = calloc(cells_of(&wanted.query), sizeof *counts);
    if (!counts)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for noisy counts");
    sotto_status status = sotto_release_counts(door, 0, &wanted.query, counts, err);
    if (status == SOTTO_OK)
        status = sotto_model_counts_give(model, counts, err);
    free(counts);
    return status;
}

sotto_status sotto_model_counts_give(sotto_model *model, const double *counts, sotto_error *err)
{
    return model->kind->counts_give(model, counts, err);
}

sotto_model_private sotto_model_private_wanted(const sotto_model *model)
{
    return model->kind->private_wanted ? model->kind->private_wanted(model) : (sotto_model_private){0};
}

bool sotto_model_takes_steps(const sotto_model *model)
{
    return model->kind->private_wanted != NULL;
}

void sotto_model_data(sotto_model *model, const sotto_encoded *data)
{
    model->kind->data(model, data);
}

sotto_status sotto_model_step(sotto_model *model, sotto_dpsgd *step, sotto_error *err)
{
    return model->kind->step(model, step, err);
}

sotto_status sotto_model_round(sotto_model *model, sotto_parts *parts, sotto_error *err)
{
    return model->kind->round(model, parts, err);
}

void sotto_model_state(sotto_model *model, sotto_state *state)
{
    sotto_state_object(state, model->kind->type);
    model->kind->state(model, state);
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

bool sotto_model_conditional(const sotto_model *model, size_t block)
{
    if (model->kind->conditional)
        return model->kind->conditional(model, block);
    return block == sotto_model_target(model) && block != SOTTO_NONE;
}

sotto_status sotto_model_sample_given(sotto_model *model, sotto_stream *stream, const size_t *wanted,
                                      size_t count, uint16_t *slots, float *values, sotto_error *err)
{
    const size_t target = sotto_model_target(model);
    if (model->kind->sample_given)
        return model->kind->sample_given(model, stream, wanted, count, slots, values, err);
    return sotto_model_sample(model, stream, target == SOTTO_NONE ? SOTTO_NONE : wanted[target], count, slots,
                              values, err);
}

size_t sotto_model_target(const sotto_model *model)
{
    return model->kind->target(model);
}
