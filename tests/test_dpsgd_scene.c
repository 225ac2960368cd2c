/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_dpsgd.h"

#include "network/loss.h"

struct scene *open_scene_of(const sotto_layer *layers, size_t count, uint64_t seed)
{
    struct scene *scene = calloc(1, sizeof *scene);
    sotto_stream *stream;
    ck_assert_ptr_nonnull(scene);
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&scene->random, seed, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_INITIALISATION, NULL),
                     SOTTO_OK);
    ck_assert_int_eq(sotto_network_create(&scene->network, INPUTS, 1, layers, count, NULL), SOTTO_OK);
    scene->count = sotto_network_parameters(scene->network);
    scene->parameters = calloc(scene->count + 1, sizeof *scene->parameters);
    ck_assert_ptr_nonnull(scene->parameters);
    sotto_network_initialise(scene->network, stream, scene->parameters);
    ck_assert_int_eq(sotto_weights_create(&scene->weights, scene->network, scene->parameters, NULL),
                     SOTTO_OK);
    sotto_stream_gaussian(stream, 1.0, &scene->rows[0][0], (UNITS + PUBLIC) * INPUTS);
    for (size_t i = 0; i < UNITS; i++)
        scene->units[i] = (uint32_t)i;
    sotto_stream_destroy(stream);
    return scene;
}

struct scene *open_scene(void)
{
    const sotto_layer layers[] = {sotto_layer_dense(16), sotto_layer_tanh(), sotto_layer_norm(),
                                  sotto_layer_dense(1)};
    return open_scene_of(layers, 4, 3);
}

void close_scene(struct scene *scene)
{
    sotto_dpsgd_destroy(scene->step);
    sotto_budget_destroy(scene->budget);
    sotto_weights_destroy(scene->weights);
    sotto_network_destroy(scene->network);
    sotto_random_destroy(scene->random);
    free(scene->parameters);
    free(scene);
}

size_t row_of(const sotto_chunk *chunk, size_t example)
{
    return example < chunk->unit_count ? chunk->units[example]
                                       : UNITS + chunk->public_first + example - chunk->unit_count;
}

void pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const struct scene *scene = context;
    const size_t rows = (chunk->unit_count + chunk->public_count) * chunk->views;
    float targets[SOTTO_CHUNK_ROWS];
    float *input = sotto_workspace_input(chunk->workspace);
    for (size_t r = 0; r < rows; r++) {
        const float *row = scene->rows[row_of(chunk, r / chunk->views)];
        targets[r] = 0.0f;
        for (size_t k = 0; k < INPUTS; k++) {
            input[r * INPUTS + k] = row[k] / (float)(r % chunk->views + 1);
            targets[r] += row[k];
        }
    }
    const float *outputs = sotto_network_forward(weights, chunk->workspace);
    sotto_loss_squared_error(rows, 1, outputs, targets, NULL,
                             sotto_workspace_output_gradient(chunk->workspace));
    sotto_network_backward(weights, chunk->workspace, false);
}

void silent_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const size_t outputs = sotto_network_outputs(sotto_weights_network(weights));
    (void)context;
    (void)sotto_network_forward(weights, chunk->workspace);
    memset(sotto_workspace_output_gradient(chunk->workspace), 0,
           sotto_workspace_rows(chunk->workspace) * outputs * sizeof(float));
    sotto_network_backward(weights, chunk->workspace, false);
}

sotto_dpsgd_options step_options(struct scene *scene, sotto_arithmetic arithmetic, double sample_rate,
                                 double noise_multiplier, size_t unit_count)
{
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 0.5},
                                   .arithmetic = arithmetic,
                                   .public_units = UNITS,
                                   .label = "steps",
                                   .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                   .schedule = {.rate = 1.0, .steps = 1000000},
                                   .threads = 1,
                                   .units = {.rows = scene->units, .count = unit_count},
                                   .weights = scene->weights,
                                   .parameters = scene->parameters,
                                   .random = scene->random};
    ck_assert_int_eq(
        sotto_mechanism_sampled_gaussian(&options.mechanism, sample_rate, noise_multiplier, NULL), SOTTO_OK);
    return options;
}

void open_step(struct scene *scene, const sotto_dpsgd_options *options, double epsilon)
{
    sotto_dpsgd_options with_budget = *options;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, 1e-5, &scene->budget, NULL),
                     SOTTO_OK);
    with_budget.budget = scene->budget;
    ck_assert_msg(sotto_dpsgd_create(&scene->step, &with_budget, &err) == SOTTO_OK, "%s", err.message);
}

void take(struct scene *scene, size_t public_count, sotto_pass *how)
{
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, public_count, how, scene, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_OK);
}

sotto_clip_counts float_sum(const struct scene *scene, const sotto_clipping *clipping, size_t views,
                            const uint32_t *units, size_t unit_count, size_t public_count, sotto_pass *how,
                            float *sum)
{
    const sotto_lanes_options options = {.weights = scene->weights, .views = views, .threads = 1};
    static const uint64_t seeds[UNITS];
    const sotto_batch batch = {.clipping = clipping,
                               .unit_seeds = seeds,
                               .units = units,
                               .unit_count = unit_count,
                               .public_count = public_count,
                               .pass = how,
                               .context = (void *)scene};
    sotto_lanes *lanes;
    ck_assert_int_eq(sotto_lanes_create(&lanes, &options, NULL), SOTTO_OK);
    const sotto_clip_counts counts = sotto_lanes_sum(lanes, &batch);
    sotto_lanes_floats(lanes, 0, scene->count, sum);
    sotto_lanes_destroy(lanes);
    return counts;
}
