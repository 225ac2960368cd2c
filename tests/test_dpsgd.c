/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step and the noisy counts: the contract's rules P1 to P7 and P10, each by a test that fails
 * where the rule is broken. σ near 0 with an absurd budget makes the sum visible; no real run can be
 * configured so.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dpsgd/dpsgd.h"
#include "dpsgd/lanes.h"
#include "suite.h"

enum { INPUTS = 5, UNITS = 700, PUBLIC = 300 };

/* A little network, a table of made-up rows, and everything a private step borrows. */
struct scene {
    float rows[UNITS + PUBLIC][INPUTS];
    uint32_t units[UNITS];
    sotto_random *random;
    sotto_network *network;
    sotto_weights *weights;
    float *parameters;
    size_t count;
    sotto_budget *budget;
    sotto_dpsgd *step;
};

/* Squared error of the network's output against the sum of the inputs: a loss that touches the row itself. */
static void pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const struct scene *scene = context;
    const size_t count = chunk->unit_count + chunk->public_count;
    float targets[SOTTO_CHUNK_ROWS];
    float *input = sotto_workspace_input(chunk->workspace);
    for (size_t i = 0; i < count; i++) {
        size_t row =
            i < chunk->unit_count ? chunk->units[i] : UNITS + chunk->public_first + i - chunk->unit_count;
        memcpy(input + i * INPUTS, scene->rows[row], sizeof scene->rows[row]);
        targets[i] = 0.0f;
        for (size_t k = 0; k < INPUTS; k++)
            targets[i] += scene->rows[row][k];
    }
    const float *outputs = sotto_network_forward(weights, chunk->workspace);
    sotto_loss_squared_error(count, 1, outputs, targets, NULL,
                             sotto_workspace_output_gradient(chunk->workspace));
    sotto_network_backward(weights, chunk->workspace, false);
}

/* A loss of 0 for every row: what a step then does is noise alone. */
static void silent_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    (void)context;
    (void)sotto_network_forward(weights, chunk->workspace);
    memset(sotto_workspace_output_gradient(chunk->workspace), 0, SOTTO_CHUNK_ROWS * sizeof(float));
    sotto_network_backward(weights, chunk->workspace, false);
}

static sotto_status open_lanes(sotto_lanes **lanes, const sotto_weights *weights)
{
    const sotto_lanes_options options = {.weights = weights, .views = 1, .threads = 1};
    return sotto_lanes_create(lanes, &options, NULL);
}

/* Σ c_i ∇_i in floats, clipped to `bound`. */
static sotto_clip_counts float_sum(sotto_lanes *lanes, double bound, const uint32_t *units, size_t unit_count,
                                   size_t public_count, sotto_pass *how, struct scene *scene, float *sum)
{
    const sotto_clipping clipping = {.max_grad_norm = bound};
    const sotto_batch batch = {.clipping = &clipping,
                               .units = units,
                               .unit_count = unit_count,
                               .public_count = public_count,
                               .pass = how,
                               .context = scene};
    const sotto_clip_counts counts = sotto_lanes_sum(lanes, &batch);
    sotto_lanes_floats(lanes, 0, scene->count, sum);
    return counts;
}

static struct scene *open_scene(void)
{
    const sotto_layer layers[] = {sotto_layer_dense(16), sotto_layer_tanh(), sotto_layer_norm(),
                                  sotto_layer_dense(1)};
    struct scene *scene = calloc(1, sizeof *scene);
    sotto_stream *stream;
    ck_assert_ptr_nonnull(scene);
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&scene->random, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_INITIALISATION, NULL),
                     SOTTO_OK);
    ck_assert_int_eq(sotto_network_create(&scene->network, INPUTS, 1, layers, 4, NULL), SOTTO_OK);
    scene->count = sotto_network_parameters(scene->network);
    scene->parameters = calloc(scene->count, sizeof *scene->parameters);
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

static void close_scene(struct scene *scene)
{
    sotto_dpsgd_destroy(scene->step);
    sotto_budget_destroy(scene->budget);
    sotto_weights_destroy(scene->weights);
    sotto_network_destroy(scene->network);
    sotto_random_destroy(scene->random);
    free(scene->parameters);
    free(scene);
}

/* A private step by SGD at rate 1, so that parameters move by exactly −(sum + noise)/B̄. */
static void open_step(struct scene *scene, double sample_rate, double noise_multiplier, size_t unit_count,
                      double epsilon, unsigned threads)
{
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 0.5},
                                   .public_units = UNITS,
                                   .label = "steps",
                                   .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                   .schedule = {.rate = 1.0, .steps = 1000000},
                                   .threads = threads,
                                   .units = scene->units,
                                   .unit_count = unit_count,
                                   .weights = scene->weights,
                                   .parameters = scene->parameters,
                                   .random = scene->random};
    ck_assert_int_eq(
        sotto_mechanism_sampled_gaussian(&options.mechanism, sample_rate, noise_multiplier, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, 1e-5, &scene->budget, NULL),
                     SOTTO_OK);
    options.budget = scene->budget;
    ck_assert_int_eq(sotto_dpsgd_create(&scene->step, &options, NULL), SOTTO_OK);
}

static void take(struct scene *scene, size_t public_count, sotto_pass *how)
{
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, public_count, how, scene, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_OK);
}

/* P3: a unit's rate is q whatever its place, and the batch size is random. Each count within 6 standard
 * deviations of Binomial(2000, q): false-alarm rate below 2e-6 for all 700 units. */
START_TEST(each_unit_has_its_own_coin)
{
    enum { STEPS = 2000 };
    const double q = 0.1;
    struct scene *scene = open_scene();
    sotto_stream *stream;
    uint32_t sample[UNITS];
    static int seen[UNITS];
    double sizes = 0;
    double squares = 0;
    double neighbours = 0;
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_SAMPLING, NULL), SOTTO_OK);
    for (int step = 0; step < STEPS; step++) {
        size_t size = sotto_poisson_sample(stream, q, scene->units, UNITS, sample);
        for (size_t i = 0; i < size; i++) {
            seen[sample[i]]++;
            neighbours += i > 0 && sample[i] == sample[i - 1] + 1;
            ck_assert(i == 0 || sample[i] > sample[i - 1]);
        }
        sizes += (double)size / STEPS;
        squares += (double)size * (double)size / STEPS;
    }
    const double variance = UNITS * q * (1 - q);
    for (size_t i = 0; i < UNITS; i++)
        ck_assert_double_le(fabs(seen[i] - STEPS * q), 6 * sqrt(STEPS * q * (1 - q)));
    ck_assert_double_le(fabs(sizes - UNITS * q), 6 * sqrt(variance / STEPS));
    /* A batch of fixed size would have no variance; sd of the sample variance is about v·√(2/STEPS). */
    ck_assert_double_le(fabs(squares - sizes * sizes - variance), 7 * variance * sqrt(2.0 / STEPS));
    /* Pairs of neighbours come together with probability q². */
    ck_assert_double_le(fabs(neighbours - STEPS * (UNITS - 1) * q * q), 8 * sqrt(STEPS * UNITS * q * q));
    ck_assert_uint_eq(sotto_poisson_sample(stream, 1.0, scene->units, UNITS, sample), UNITS);
    ck_assert_uint_eq(sotto_poisson_sample(stream, 0.0, scene->units, UNITS, sample), 0);
    ck_assert_uint_eq(sotto_poisson_sample(stream, 0.5, scene->units, 0, sample), 0);
    sotto_stream_destroy(stream);
    close_scene(scene);
}
END_TEST

/* P2: the batches of the step itself have the rate of its mechanism: 300 sizes, their mean within 6 standard
 * errors (false-alarm rate 2e-9). */
START_TEST(the_step_samples_at_the_rate_it_charges)
{
    enum { STEPS = 300 };
    struct scene *scene = open_scene();
    double mean = 0;
    open_step(scene, 0.2, 5.0, UNITS, 1e9, 1);
    for (int step = 0; step < STEPS; step++) {
        take(scene, 0, silent_pass);
        mean += (double)sotto_dpsgd_last(scene->step).batch / STEPS;
    }
    ck_assert_double_le(fabs(mean - 0.2 * UNITS), 6 * sqrt(UNITS * 0.2 * 0.8 / STEPS));
    close_scene(scene);
}
END_TEST

START_TEST(clip_factor_never_exceeds_the_bound)
{
    for (double norm = 1e-30; norm < 1e30; norm *= 1.0173) {
        double clipped = (double)sotto_clip_factor(0.7, SOTTO_MARGIN_FLOAT, norm * norm) * norm;
        ck_assert_double_le(clipped, 0.7);
        ck_assert_double_ge(clipped, norm < 0.7 ? norm * (1 - 1e-6) : 0.7 * (1 - 2e-6));
    }
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, 0.25), 1.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, INFINITY), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, NAN), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, DBL_MAX), 0.0f);
}
END_TEST

/* P5: whatever one unit holds, at whatever place, the clipped sum moves by at most C. */
START_TEST(one_unit_moves_the_sum_by_at_most_the_bound)
{
    const double bound = 0.5;
    const float hostile[] = {0.0f, 1.0f, 1e4f, 1e30f, FLT_MAX, 1e-42f, INFINITY, -INFINITY, NAN};
    struct scene *scene = open_scene();
    sotto_lanes *lanes;
    float *with = calloc(scene->count, sizeof *with);
    float *without = calloc(scene->count, sizeof *without);
    uint32_t rest[UNITS];
    ck_assert_int_eq(open_lanes(&lanes, scene->weights), SOTTO_OK);
    for (size_t h = 0; h < sizeof hostile / sizeof *hostile; h++)
        for (size_t place = 3; place < 300; place += 61) {
            size_t left = 0;
            for (size_t k = 0; k < INPUTS; k++)
                scene->rows[place][k] = k == h % INPUTS || h < 3 ? hostile[h] : 1.0f;
            for (size_t i = 0; i < 300; i++)
                if (i != place)
                    rest[left++] = (uint32_t)i;
            sotto_clip_counts counts = float_sum(lanes, bound, scene->units, 300, 40, pass, scene, with);
            (void)float_sum(lanes, bound, rest, left, 40, pass, scene, without);
            double distance2 = 0;
            for (size_t i = 0; i < scene->count; i++) {
                ck_assert(isfinite(with[i]));
                distance2 += pow((double)with[i] - without[i], 2);
            }
            /* The sums themselves are float32: about 340 terms of norm ≤ 0.5 round by some 1e-5. */
            ck_assert_double_le(sqrt(distance2), bound + 1e-4);
            ck_assert(h < 6 || counts.non_finite == 1);
            for (size_t k = 0; k < INPUTS; k++)
                scene->rows[place][k] = 0.5f;
        }
    sotto_lanes_destroy(lanes);
    free(with);
    free(without);
    close_scene(scene);
}
END_TEST

/* One example alone: its contribution has a norm of at most C, and of C where it was clipped. */
START_TEST(a_clipped_example_has_the_norm_of_the_bound)
{
    struct scene *scene = open_scene();
    sotto_lanes *lanes;
    float *sum = calloc(scene->count, sizeof *sum);
    ck_assert_int_eq(open_lanes(&lanes, scene->weights), SOTTO_OK);
    for (uint32_t unit = 0; unit < 200; unit++) {
        double norm2 = 0;
        sotto_clip_counts counts = float_sum(lanes, 0.01, &unit, 1, 0, pass, scene, sum);
        for (size_t i = 0; i < scene->count; i++)
            norm2 += (double)sum[i] * sum[i];
        ck_assert_double_le(sqrt(norm2), 0.01);
        if (counts.clipped)
            ck_assert_double_ge(sqrt(norm2), 0.01 * (1 - 1e-5));
    }
    sotto_lanes_destroy(lanes);
    free(sum);
    close_scene(scene);
}
END_TEST

/* P4: half of the declared units are there, all of them sampled; the divisor is still the declared number. */
START_TEST(the_divisor_is_the_public_batch_size)
{
    struct scene *scene = open_scene();
    sotto_lanes *lanes;
    float *before = calloc(scene->count, sizeof *before);
    float *sum = calloc(scene->count, sizeof *sum);
    memcpy(before, scene->parameters, scene->count * sizeof *before);
    ck_assert_int_eq(open_lanes(&lanes, scene->weights), SOTTO_OK);
    (void)float_sum(lanes, 0.5, scene->units, UNITS / 2, 0, pass, scene, sum);
    open_step(scene, 1.0, 1e-4, UNITS / 2, 1e15, 1);
    ck_assert_double_eq(sotto_dpsgd_expected_batch_size(scene->step), UNITS);
    take(scene, 0, pass);
    for (size_t i = 0; i < scene->count; i++)
        ck_assert_double_le(fabs((double)before[i] - scene->parameters[i] - (double)sum[i] / UNITS), 2e-4);
    sotto_lanes_destroy(lanes);
    free(before);
    free(sum);
    close_scene(scene);
}
END_TEST

/*
 * The noise: standard deviation σC/B̄ in each coordinate, drawn once however many chunks the batch has, also
 * for an empty batch, and never the same twice. The pooled variance of 200 steps lies within 6 standard
 * errors (false-alarm rate 2e-9 each); lag-one products of steps and of coordinates likewise.
 */
START_TEST(noise_is_drawn_once_for_each_step)
{
    enum { STEPS = 200 };
    const size_t publics[] = {0, 300};
    for (size_t p = 0; p < 2; p++) {
        struct scene *scene = open_scene();
        const double sigma = 3.0 * 0.5 / (0.5 * UNITS);
        double squares = 0;
        double across_steps = 0;
        double across_coordinates = 0;
        float *before = calloc(scene->count, sizeof *before);
        float *last = calloc(scene->count, sizeof *last);
        open_step(scene, 0.5, 3.0, p == 0 ? 0 : UNITS, 1e9, 1);
        for (int step = 0; step < STEPS; step++) {
            memcpy(before, scene->parameters, scene->count * sizeof *before);
            take(scene, publics[p], silent_pass);
            double previous = 0;
            for (size_t i = 0; i < scene->count; i++) {
                double move = ((double)scene->parameters[i] - before[i]) / sigma;
                squares += move * move;
                across_steps += move * last[i];
                across_coordinates += move * previous;
                last[i] = (float)move;
                previous = move;
            }
        }
        const double draws = STEPS * (double)scene->count;
        ck_assert_double_le(fabs(squares / draws - 1), 6 * sqrt(2 / draws));
        ck_assert_double_le(fabs(across_steps / draws), 6 / sqrt(draws));
        ck_assert_double_le(fabs(across_coordinates / draws), 6 / sqrt(draws));
        free(before);
        free(last);
        close_scene(scene);
    }
}
END_TEST

/* P2, P10: the budget that the step asks is that of its own q and σ; it takes what the accountant allows, no
 * more. */
START_TEST(the_step_stops_at_the_budget)
{
    struct scene *scene = open_scene();
    sotto_error err = {0};
    sotto_mechanism mechanism;
    uint64_t allowed;
    uint64_t taken = 0;
    open_step(scene, 0.05, 1.5, UNITS, 1.0, 1);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&mechanism, 0.05, 1.5, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 1.0, 1e-5, &mechanism, NULL, &allowed, NULL),
                     SOTTO_OK);
    ck_assert_uint_gt(allowed, 3);
    while (sotto_dpsgd_begin(scene->step, &err) == SOTTO_OK) {
        ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, 10, pass, scene, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_OK);
        taken++;
        ck_assert_uint_le(taken, allowed);
    }
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert_uint_eq(taken, allowed);
    ck_assert_uint_eq(sotto_dpsgd_steps(scene->step), allowed);
    double epsilon;
    ck_assert_int_eq(sotto_budget_epsilon(scene->budget, &epsilon, NULL, NULL), SOTTO_OK);
    ck_assert_double_le(epsilon, 1.0);
    /* The refused step changed nothing. */
    ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, 0, pass, scene, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(sotto_dpsgd_steps(scene->step), allowed);
    close_scene(scene);
}
END_TEST

/* P7: the charge stands as soon as the batch is drawn, whatever becomes of the step. */
START_TEST(the_charge_comes_before_the_batch)
{
    struct scene *scene = open_scene();
    size_t lines;
    open_step(scene, 0.05, 1.5, UNITS, 1.0, 1);
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_OK);
    const sotto_charge *charges = sotto_budget_charges(scene->budget, &lines);
    ck_assert_uint_eq(lines, 1);
    ck_assert_uint_eq(charges[0].count, 1);
    ck_assert_double_eq(charges[0].mechanism.noise_multiplier, 1.5);
    ck_assert_double_eq(charges[0].mechanism.sample_rate, 0.05);
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_ERROR_INPUT);
    charges = sotto_budget_charges(scene->budget, &lines);
    ck_assert_uint_eq(charges[0].count, 1);
    close_scene(scene);
}
END_TEST

/* P9: threads change speed, not results. */
START_TEST(threads_do_not_change_a_bit)
{
    float *reference = NULL;
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct scene *scene = open_scene();
        open_step(scene, 0.6, 1.0, UNITS, 1e9, threads);
        for (int step = 0; step < 5; step++)
            take(scene, PUBLIC, pass);
        if (!reference) {
            reference = calloc(scene->count, sizeof *reference);
            memcpy(reference, scene->parameters, scene->count * sizeof *reference);
        }
        ck_assert_mem_eq(reference, scene->parameters, scene->count * sizeof *reference);
        close_scene(scene);
    }
    free(reference);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct scene *scene = open_scene();
    sotto_error err = {0};
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 1.0},
                                   .public_units = UNITS,
                                   .label = "steps",
                                   .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                   .schedule = {.rate = 1.0, .steps = 10},
                                   .threads = 1,
                                   .weights = scene->weights,
                                   .parameters = scene->parameters,
                                   .random = scene->random};
    sotto_dpsgd *step;
    ck_assert_int_eq(sotto_mechanism_gaussian(&options.mechanism, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 0.1, 1.0, NULL), SOTTO_OK);
    sotto_mechanism single = options.mechanism;
    ck_assert_int_eq(sotto_mechanism_group(&options.mechanism, &single, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    options.mechanism = single;
    const double norms[] = {0.0, -1.0, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        options.clipping.max_grad_norm = norms[i];
        ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    }
    options.clipping.max_grad_norm = 1.0;
    options.public_units = NAN;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(step);
    close_scene(scene);
}
END_TEST

/* The public step: the mean gradient, unclipped; checked against lanes that clip at a bound nothing reaches.
 */
START_TEST(public_step_takes_the_mean_gradient)
{
    struct scene *scene = open_scene();
    sotto_lanes *lanes;
    sotto_public_step *step;
    float *sum = calloc(scene->count, sizeof *sum);
    float *before = calloc(scene->count, sizeof *before);
    const sotto_public_options options = {.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                          .schedule = {.rate = 1.0, .steps = 10},
                                          .threads = 2,
                                          .weights = scene->weights,
                                          .parameters = scene->parameters,
                                          .random = scene->random};
    memcpy(before, scene->parameters, scene->count * sizeof *before);
    ck_assert_int_eq(open_lanes(&lanes, scene->weights), SOTTO_OK);
    (void)float_sum(lanes, 1e9, NULL, 0, PUBLIC, pass, scene, sum);
    ck_assert_int_eq(sotto_public_step_create(&step, &options, NULL), SOTTO_OK);
    sotto_public_step_take(step, PUBLIC, pass, scene);
    for (size_t i = 0; i < scene->count; i++)
        ck_assert_double_le(fabs((double)before[i] - scene->parameters[i] - (double)sum[i] / PUBLIC), 2e-6);
    sotto_public_step_destroy(step);
    sotto_lanes_destroy(lanes);
    free(sum);
    free(before);
    close_scene(scene);
}
END_TEST

/* ---- noisy counts ---- */

static size_t parity_cell(const void *context, uint32_t unit, size_t table)
{
    (void)context;
    return table == 0 ? unit % 2 : unit % 5;
}

/* Residuals of 400 releases: mean 0 and variance σ²·tables within 6 standard errors (false-alarm rate 4e-9).
 */
START_TEST(counts_carry_the_noise_of_their_sensitivity)
{
    enum { RELEASES = 400 };
    const size_t sizes[] = {2, 5};
    const double truth[] = {350, 350, 140, 140, 140, 140, 140};
    const sotto_counts_query query = {.tables = 2, .table_size = sizes, .cell = parity_cell};
    struct scene *scene = open_scene();
    sotto_mechanism mechanism;
    sotto_budget *budget;
    double sum = 0;
    double squares = 0;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 10.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e6, 1e-5, &budget, NULL), SOTTO_OK);
    for (int release = 0; release < RELEASES; release++) {
        double counts[7];
        ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts", scene->units, UNITS,
                                              scene->random, counts, NULL),
                         SOTTO_OK);
        for (size_t i = 0; i < 7; i++) {
            /* On the integers' own grid: low-order bits of the noise would tell the count beneath it. */
            ck_assert_double_eq(counts[i], nearbyint(counts[i]));
            sum += counts[i] - truth[i];
            squares += pow(counts[i] - truth[i], 2);
        }
    }
    const double draws = 7 * RELEASES;
    const double variance = 10.0 * 10.0 * 2;
    ck_assert_double_le(fabs(sum / draws), 6 * sqrt(variance / draws));
    ck_assert_double_le(fabs(squares / draws / variance - 1), 6 * sqrt(2 / draws));
    size_t lines;
    ck_assert_uint_eq(sotto_budget_charges(budget, &lines)[0].count, RELEASES);
    sotto_budget_destroy(budget);
    close_scene(scene);
}
END_TEST

START_TEST(counts_are_refused_beyond_the_budget)
{
    const size_t size = 2;
    const sotto_counts_query query = {.tables = 1, .table_size = &size, .cell = parity_cell};
    struct scene *scene = open_scene();
    sotto_mechanism mechanism;
    sotto_budget *budget;
    double counts[2] = {-1.0, -1.0};
    size_t lines;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 0.1, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts", scene->units, UNITS,
                                          scene->random, counts, NULL),
                     SOTTO_ERROR_BUDGET);
    ck_assert_double_eq(counts[0], -1.0);
    /* priced for another neighbourhood than the noise is made for */
    sotto_mechanism wide, replaced;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 1000.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_group(&wide, &mechanism, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&replaced, &mechanism, SOTTO_ADJACENCY_REPLACE_ONE, NULL),
                     SOTTO_OK);
    const sotto_mechanism others[] = {wide, replaced};
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(sotto_counts_release(&query, &others[i], budget, "counts", scene->units, UNITS,
                                              scene->random, counts, NULL),
                         SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&mechanism, 0.1, 100.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts", scene->units, UNITS,
                                          scene->random, counts, NULL),
                     SOTTO_ERROR_INPUT);
    (void)sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 0);
    sotto_budget_destroy(budget);
    close_scene(scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dpsgd");
    TCase *tests = tcase_create("dpsgd");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, each_unit_has_its_own_coin);
    tcase_add_test(tests, the_step_samples_at_the_rate_it_charges);
    tcase_add_test(tests, clip_factor_never_exceeds_the_bound);
    tcase_add_test(tests, one_unit_moves_the_sum_by_at_most_the_bound);
    tcase_add_test(tests, a_clipped_example_has_the_norm_of_the_bound);
    tcase_add_test(tests, the_divisor_is_the_public_batch_size);
    tcase_add_test(tests, noise_is_drawn_once_for_each_step);
    tcase_add_test(tests, the_step_stops_at_the_budget);
    tcase_add_test(tests, the_charge_comes_before_the_batch);
    tcase_add_test(tests, threads_do_not_change_a_bit);
    tcase_add_test(tests, nonsense_is_refused);
    tcase_add_test(tests, public_step_takes_the_mean_gradient);
    tcase_add_test(tests, counts_carry_the_noise_of_their_sensitivity);
    tcase_add_test(tests, counts_are_refused_beyond_the_budget);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
