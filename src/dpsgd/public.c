/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/lanes.h"

enum { BLOCK = 2048 };

struct sotto_public_step {
    sotto_arena *arena;
    sotto_public_options options;
    uint64_t steps;
    sotto_lanes *lanes;
    sotto_optimizer *optimizer;
    sotto_stream *masks; /* seeds of dropout */
};

void sotto_public_step_destroy(sotto_public_step *step)
{
    if (!step)
        return;
    sotto_lanes_destroy(step->lanes);
    sotto_optimizer_destroy(step->optimizer);
    sotto_stream_destroy(step->masks);
    sotto_arena_destroy(step->arena);
}

sotto_status sotto_public_step_create(sotto_public_step **step, const sotto_public_options *options,
                                      sotto_error *err)
{
    *step = NULL;
    const size_t parameters = sotto_network_parameters(sotto_weights_network(options->weights));
    const sotto_lanes_options lanes = {
        .weights = options->weights, .views = 1, .threads = options->threads, .exact = false};
    sotto_arena *arena;
    if (options->threads == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a public step needs at least one thread");
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
    status = sotto_lanes_create(&made->lanes, &lanes, err);
    if (status == SOTTO_OK)
        status = sotto_optimizer_create(&made->optimizer, &options->optimizer, parameters,
                                        options->parameters, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&made->masks, options->random, SOTTO_PURPOSE_MASKS, err);
    if (status != SOTTO_OK) {
        sotto_public_step_destroy(made);
        return status;
    }
    *step = made;
    return SOTTO_OK;
}

/* Part `number` of SOTTO_LANES of the parameters, block by block. */
static void apply_part(const sotto_public_step *step, size_t number, float scale)
{
    const size_t count = step->optimizer->count, blocks = (count + BLOCK - 1) / BLOCK;
    float gradient[BLOCK];
    for (size_t b = blocks * number / SOTTO_LANES; b < blocks * (number + 1) / SOTTO_LANES; b++) {
        const size_t first = b * BLOCK, piece = count - first < BLOCK ? count - first : BLOCK;
        sotto_lanes_floats(step->lanes, first, piece, gradient);
        for (size_t j = 0; j < piece; j++)
            gradient[j] *= scale;
        sotto_optimizer_apply(step->optimizer, first, piece, gradient, step->options.parameters + first);
    }
}

void sotto_public_step_seek(sotto_public_step *step, uint64_t number)
{
    step->steps = number;
}

void sotto_public_step_take(sotto_public_step *step, size_t count, sotto_pass *pass, void *context)
{
    const unsigned threads = step->options.threads < SOTTO_LANES ? step->options.threads : SOTTO_LANES;
    const float scale = 1.0f / (float)count;
    const sotto_batch batch = {.public_count = count,
                               .public_seed = sotto_stream_u64(step->masks),
                               .pass = pass,
                               .context = context};
    (void)sotto_lanes_sum(step->lanes, &batch);
    sotto_optimizer_advance(step->optimizer, sotto_schedule_rate(&step->options.schedule, step->steps), 0.0);
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (size_t number = 0; number < SOTTO_LANES; number++)
        apply_part(step, number, scale);
    sotto_weights_refresh(step->options.weights);
    step->steps++;
}

void sotto_public_step_state(sotto_public_step *step, sotto_state *state)
{
    sotto_state_object(state, "public step");
    sotto_state_u64(state, "steps", &step->steps, 0, SOTTO_STATE_MOST_COUNT);
    sotto_optimizer_state(step->optimizer, state);
}
