/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/lanes.h"

struct sotto_public_step {
    sotto_arena *arena;
    sotto_public_options options;
    uint64_t steps;
    sotto_lanes *lanes;
    sotto_optimizer *optimizer;
    float *gradient; /* [parameters] */
};

void sotto_public_step_destroy(sotto_public_step *step)
{
    if (!step)
        return;
    sotto_lanes_destroy(step->lanes);
    sotto_optimizer_destroy(step->optimizer);
    sotto_arena_destroy(step->arena);
}

sotto_status sotto_public_step_create(sotto_public_step **step, const sotto_public_options *options,
                                      sotto_error *err)
{
    *step = NULL;
    const size_t parameters = sotto_network_parameters(options->network);
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_public_step *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->options = *options;
    made->gradient = sotto_arena_take(arena, parameters, sizeof *made->gradient, err);
    status = made->gradient ? SOTTO_OK : SOTTO_ERROR_MEMORY;
    if (status == SOTTO_OK)
        status = sotto_lanes_create(&made->lanes, options->network, options->threads, err);
    if (status == SOTTO_OK)
        status = sotto_optimizer_create(&made->optimizer, &options->optimizer, parameters,
                                        options->parameters, err);
    if (status != SOTTO_OK) {
        sotto_public_step_destroy(made);
        return status;
    }
    *step = made;
    return SOTTO_OK;
}

void sotto_public_step_take(sotto_public_step *step, size_t count, sotto_pass *pass, void *context)
{
    const size_t parameters = sotto_network_parameters(step->options.network);
    const float scale = 1.0f / (float)count;
    (void)sotto_lanes_sum(step->lanes, step->options.parameters, 0.0, NULL, 0, count, pass, context,
                          step->gradient);
    for (size_t i = 0; i < parameters; i++)
        step->gradient[i] *= scale;
    sotto_optimizer_step(step->optimizer, sotto_schedule_rate(&step->options.schedule, step->steps), 0.0,
                         step->gradient, step->options.parameters);
    step->steps++;
}
