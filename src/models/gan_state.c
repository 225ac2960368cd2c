/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What is left of a training between two of its steps. All else that the model has room for is made anew in
 * each step, or follows from its section and from the noisy frequencies.
 */
#include "models/gan.h"

/* A ladder that climbs may stand anywhere on its way, another one where its config put it; beyond the
 * former's end are twice and a half as many steps. */
static void visit_ladder(gan_ladder *ladder, sotto_state *state)
{
    const uint64_t least = ladder->climbs ? 1 : ladder->steps, most = ladder->climbs ? 250000 : ladder->steps;
    sotto_state_u64(state, "ladder_steps", &ladder->steps, least, most);
    sotto_state_u64(state, "ladder_taken", &ladder->taken, 0, ladder->steps - 1);
    sotto_state_u64(state, "ladder_since", &ladder->since, 0, SOTTO_STATE_MOST_COUNT);
    sotto_state_doubles_in(state, "ladder_accuracy", &ladder->accuracy, 1, 0.0, 1.0 + 1e-6);
    sotto_state_flags(state, "ladder_told", &ladder->told, 1);
}

static void visit_networks(gan *model, sotto_state *state)
{
    const size_t generator = sotto_network_parameters(model->generator);
    const size_t discriminator =
        model->discriminator_parameters ? sotto_network_parameters(model->discriminator) : 0;
    sotto_state_floats(state, "generator", model->generator_parameters, generator);
    sotto_state_floats(state, "discriminator", model->discriminator_parameters, discriminator);
    sotto_state_floats(state, "average", model->average, generator);
}

/* Frequencies are above 1 by a rounding at most. */
static void visit_frequencies(gan *model, sotto_state *state)
{
    sotto_state_doubles_in(state, "frequency", model->frequency, model->cells, 0.0, 1.0 + 1e-6);
    sotto_state_floats_in(state, "marginals", model->marginals, model->classes * model->width, 0.0f,
                          1.0f + 1e-5f);
}

void gan_state(sotto_model *base, sotto_state *state)
{
    gan *model = (gan *)base;
    visit_networks(model, state);
    visit_frequencies(model, state);
    visit_ladder(&model->ladder, state);
    sotto_model_losses_state(&model->losses, state);
    sotto_public_step_state(model->step, state);
    if (!sotto_state_reads(state) || !sotto_state_is_sound(state))
        return;
    if (model->dialect->conditional && !ctgan_learn(model))
        sotto_state_refuse(state, "has frequencies that are none");
    sotto_weights_refresh(model->generator_weights); /* those of the average are by whoever samples */
    if (model->discriminator_weights)
        sotto_weights_refresh(model->discriminator_weights);
}
