/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The conditional GAN: what its conditions are made of, what it reads, and what it leaves behind. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

enum { ROWS = 200, BLOCKS = 4, AGE = 0, GAIN = 1, KIND = 2, LABEL = 3, CELLS = 2 * (10 + 5 + 4) };

/* ---- sections ---- */

/* P13: what the published model does, packing and batch normalisation, cannot be asked for. */
START_TEST(coupling_layers_are_refused_with_a_reason)
{
    static const char *const sections[] = {"{type: ctgan, pac: 10}",
                                           "{type: ctgan, discriminator: {packing: 10}}",
                                           "{type: ctgan, generator: {batch_norm: true}}"};
    struct scene scene;
    sotto_error err = {0};
    ck_assert_int_eq(try_model(&scene, sections[_i], &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "other rows of the batch"));
    ck_assert_uint_gt(err.line, 0);
    close_scene(&scene);
}
END_TEST

static const struct {
    const char *section, *words;
} wrong[] = {
    {"{type: ctgan, numbers: mixture}", "model.numbers"},
    {"{type: ctgan, target: age}", "category"},
    {"{type: ctgan, generator: {residual: true}}", "hands on its input"},
    {"{type: ctgan, generator: {hidden: []}}", "model.generator.hidden"},
    {"{type: ctgan, marginals: {tables: none}}", "draws its conditions"},
    {"{type: ctgan, marginals: {share: 0}}", "model.marginals.share"},
    {"{type: ctgan, condition: [kind]}", "any column can be"},
    {"{type: ctgan, condition_weight: -1}", "model.condition_weight"},
    {"{type: ctgan, conditions: real}", "conditions"},
    {"{type: gan, condition_weight: 1}", "condition_weight"},
};

START_TEST(impossible_options_are_refused)
{
    struct scene scene;
    sotto_error err = {0};
    ck_assert_int_eq(try_model(&scene, wrong[_i].section, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words), "%s: %s", wrong[_i].section, err.message);
    close_scene(&scene);
}
END_TEST

static char *format(const sotto_model *model)
{
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    ck_assert_ptr_nonnull(file);
    model->kind->format(model, file);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

START_TEST(options_survive_writing_and_reading)
{
    static const char *const sections[] = {
        "{type: ctgan}",
        "{type: ctgan, target: label, loss: hinge, heads: {type: gumbel, temperature: 0.7}, numbers: binned,\n"
        " generator: {hidden: [8, 8, 4], activation: silu, layer_norm: true, latent: 3},\n"
        " discriminator: {hidden: [5], activation: tanh, residual: true},\n"
        " marginals: {share: 0.2, weight: 0.25}, condition_weight: 0.5}"};
    struct scene first, second;
    ck_assert_int_eq(try_model(&first, sections[_i], NULL), SOTTO_OK);
    char *once = format(first.model);
    ck_assert_int_eq(try_model(&second, once, NULL), SOTTO_OK);
    char *twice = format(second.model);
    ck_assert_str_eq(once, twice);
    ck_assert_mem_eq(&((gan *)first.model)->options, &((gan *)second.model)->options, sizeof(gan_options));
    ck_assert_uint_eq(sotto_model_parameters(first.model), sotto_model_parameters(second.model));
    free(once);
    free(twice);
    close_scene(&first);
    close_scene(&second);
}
END_TEST

/* ---- a training ---- */

/* A table, a prepared model that has learned made-up counts, and its private step. */
struct bench {
    struct scene scene;
    gan *model;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_random *random;
    sotto_dpsgd *step;
    uint32_t units[ROWS];
};

/* What may be different about it. */
struct wish {
    const char *section;
    size_t shift; /* of the table's cells */
    size_t odd;   /* this row is another one; SIZE_MAX: none */
    size_t units; /* rows that may be sampled: the first so many */
    unsigned threads;
    double sample_rate, noise_multiplier, rate;
    sotto_optimizer_kind optimizer;
};

static const char *const small = "{type: ctgan, target: label, generator: {hidden: [16, 8], latent: 4},\n"
                                 " discriminator: {hidden: [16]}}";

static struct wish usual(void)
{
    return (struct wish){.section = small,
                         .odd = SIZE_MAX,
                         .units = ROWS,
                         .threads = 2,
                         .sample_rate = 0.5,
                         .noise_multiplier = 0.5,
                         .rate = 1e-3,
                         .optimizer = SOTTO_OPTIMIZER_ADAM};
}

static void read_table(struct bench *bench, const struct wish *wish)
{
    static const char *const kinds[] = {"a", "b", "c", "?"};
    char path[] = "/tmp/sotto-test-XXXXXX";
    close(mkstemp(path));
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (size_t i = 0; i < ROWS; i++) {
        const size_t at = i == wish->odd ? 3 * i + 1 : i + wish->shift;
        (void)fprintf(file, "%zu,%s,%s,p%zu,%s\n", at * 7 % 100, at % 3 ? "0" : "512.5", kinds[at / 2 % 4], i,
                      at % 2 ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(sotto_table_load(&bench->table, bench->scene.schema, path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&bench->data, bench->scene.encoder, bench->table, NULL), SOTTO_OK);
    unlink(path);
}

/* Noisy counts, as a release would give them: slot s of S has s + 1 of S(S + 1)/2 parts under the first
 * label, all are alike under the second, which is three times as frequent. */
static void made_up_counts(const sotto_model *model, double counts[CELLS])
{
    const sotto_model_counts wanted = sotto_model_counts_wanted(model);
    const size_t classes = sotto_model_target(model) == SOTTO_NONE ? 1 : 2;
    size_t cell = 0;
    for (size_t t = 0; t < wanted.query.tables; t++) {
        const size_t slots = wanted.query.table_size[t] / classes;
        for (size_t k = 0; k < classes; k++)
            for (size_t s = 0; s < slots; s++)
                counts[cell++] = k == 0 ? 1000.0 * (double)(s + 1) / (double)(slots * (slots + 1) / 2)
                                        : 3000.0 / (double)slots;
    }
    ck_assert_uint_le(cell, CELLS);
}

static void open_step(struct bench *bench, const struct wish *wish)
{
    const sotto_model_private wanted = sotto_model_private_wanted(bench->scene.model);
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 0.1},
                                   .public_units = ROWS,
                                   .label = wanted.label,
                                   .optimizer = sotto_optimizer_defaults(wish->optimizer),
                                   .schedule = {.rate = wish->rate, .steps = 1000000},
                                   .threads = wish->threads,
                                   .units = {.rows = bench->units, .count = wish->units},
                                   .weights = wanted.weights,
                                   .parameters = wanted.parameters,
                                   .budget = bench->budget,
                                   .random = bench->random};
    ck_assert_int_eq(
        sotto_mechanism_sampled_gaussian(&options.mechanism, wish->sample_rate, wish->noise_multiplier, NULL),
        SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&bench->step, &options, NULL), SOTTO_OK);
}

static void open_bench(struct bench *bench, const struct wish *wish)
{
    sotto_training training = {.batch = 150,
                               .steps = 1000,
                               .discriminator_steps = 2,
                               .learning_rate = wish->rate,
                               .generator_learning_rate = 1e-3,
                               .ema = 0.5,
                               .threads = wish->threads};
    double counts[CELLS];
    sotto_error err = {0};
    training.optimizer = sotto_optimizer_defaults(wish->optimizer);
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    *bench = (struct bench){.random = test_random()};
    ck_assert_msg(try_model(&bench->scene, wish->section, &err) == SOTTO_OK, "%s", err.message);
    bench->model = (gan *)bench->scene.model;
    read_table(bench, wish);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, 1e-5, &bench->budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(bench->scene.model, &training, bench->random, NULL), SOTTO_OK);
    sotto_model_data(bench->scene.model, bench->data);
    made_up_counts(bench->scene.model, counts);
    ck_assert_int_eq(sotto_model_counts_give(bench->scene.model, counts, NULL), SOTTO_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        bench->units[i] = i;
    open_step(bench, wish);
}

static void close_bench(struct bench *bench)
{
    sotto_dpsgd_destroy(bench->step);
    sotto_budget_destroy(bench->budget);
    sotto_encoded_destroy(bench->data);
    sotto_table_destroy(bench->table);
    close_scene(&bench->scene);
    sotto_random_destroy(bench->random);
}

static void take_steps(struct bench *bench, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(sotto_model_step(bench->scene.model, bench->step, NULL), SOTTO_OK);
}

static const sotto_block *block_of(const gan *model, size_t b)
{
    return sotto_encoder_block(model->base.encoder, b);
}

/* ---- conditions ---- */

/*
 * A fake's condition names every column but the target alike, and a value as often as the noisy counts have
 * it under its label: χ² of 60,000 draws over 2 × 19 cells, given the labels' own frequencies, at a
 * false-alarm rate of about 1e-6 (critical value 92 for 36 degrees of freedom).
 */
START_TEST(conditions_follow_the_noisy_counts)
{
    struct bench bench;
    struct wish wish = usual();
    double seen[2][64] = {{0}}, labels[2] = {0}, chi2 = 0;
    open_bench(&bench, &wish);
    const gan *model = bench.model;
    for (int round = 0; round < 60; round++) {
        gan_batch_draw(model, &bench.model->batch, model->stream, NULL, 1000);
        for (size_t i = 0; i < 1000; i++) {
            seen[model->batch.labels[i]][model->batch.wanted[i]]++;
            labels[model->batch.labels[i]]++;
        }
    }
    ck_assert_double_eq_tol(labels[0] / 60000, 0.25, 0.01);
    for (size_t k = 0; k < 2; k++)
        for (size_t b = 0; b < LABEL; b++) {
            const size_t slots = block_of(model, b)->slot_count;
            for (size_t s = 0; s < slots; s++) {
                const double law =
                    k == 0 ? (double)(s + 1) / (double)(slots * (slots + 1) / 2) : 1.0 / (double)slots;
                const double wanted = labels[k] * law / 3;
                chi2 += pow(seen[k][block_of(model, b)->slot_offset + s] - wanted, 2) / wanted;
            }
        }
    ck_assert_double_le(chi2, 92);
    close_bench(&bench);
}
END_TEST

/* A real row's condition is its own value in the column that its coin picks: the column by the coin alone,
 * each as often. */
START_TEST(a_row_has_its_own_value_in_the_column_of_its_coin)
{
    struct bench bench;
    struct wish wish = usual();
    size_t columns[BLOCKS] = {0};
    open_bench(&bench, &wish);
    for (uint64_t c = 0; c < 3000; c++) {
        const uint64_t coin = (2 * c + 1) * (UINT64_MAX / 6000);
        size_t picked = BLOCKS;
        for (uint32_t unit = 0; unit < ROWS; unit++) {
            const uint32_t element = ctgan_condition_of(bench.model, unit, coin);
            for (size_t b = 0; b < BLOCKS; b++)
                if (element - block_of(bench.model, b)->slot_offset < block_of(bench.model, b)->slot_count) {
                    ck_assert(unit == 0 || picked == b);
                    picked = b;
                    columns[b] += unit == 0;
                    ck_assert_uint_eq(element - block_of(bench.model, b)->slot_offset,
                                      sotto_encoded_slot(bench.data, unit, b));
                }
        }
        ck_assert_uint_lt(picked, BLOCKS);
    }
    for (size_t b = 0; b < BLOCKS; b++)
        ck_assert_uint_eq(columns[b], b == LABEL ? 0 : 1000);
    close_bench(&bench);
}
END_TEST

/*
 * With weights at 0 but for those that the counts set, each column's softmax is the noisy frequencies under
 * the row's label; of the column that the condition names, nearly all is at the value named. Of one, two and
 * three hidden layers, with a target and without.
 */
START_TEST(counts_become_the_output_and_the_condition_is_met)
{
    static const char *const sections[] = {
        "{type: ctgan, target: label, generator: {hidden: [8]}}",
        "{type: ctgan, target: label, generator: {hidden: [8, 5]}}",
        "{type: ctgan, target: label, generator: {hidden: [8, 5, 7], layer_norm: true}}",
        "{type: ctgan, generator: {hidden: [8, 5]}, heads: {type: gumbel}}"};
    struct bench bench;
    struct wish wish = usual();
    double counts[CELLS];
    size_t met = 0;
    wish.section = sections[_i];
    open_bench(&bench, &wish);
    gan *model = bench.model;
    memset(model->generator_parameters, 0, sotto_network_parameters(model->generator) * sizeof(float));
    made_up_counts(bench.scene.model, counts);
    ck_assert_int_eq(sotto_model_counts_give(bench.scene.model, counts, NULL), SOTTO_OK);
    const gan_lane *lane = &model->lane[0];
    for (int round = 0; round < 50; round++) {
        gan_batch_draw(model, &model->batch, model->stream, NULL, 64);
        gan_generate(model, model->generator_weights, &model->batch, 64, false);
        for (size_t i = 0; i < 64; i++)
            for (size_t b = 0; b < BLOCKS; b++) {
                const sotto_block *block = block_of(model, b);
                const float *soft = lane->soft + i * model->width + block->slot_offset;
                const float *law =
                    model->marginals + model->batch.labels[i] * model->width + block->slot_offset;
                const size_t slot = model->batch.wanted[i] - block->slot_offset;
                if (slot < block->slot_count) {
                    ck_assert_float_gt(soft[slot], 0.99f);
                    met += model->batch.slots[i * BLOCKS + b] == slot;
                } else if (b != model->target_block)
                    for (size_t s = 0; s < block->slot_count; s++)
                        ck_assert_float_eq_tol(soft[s], law[s], 1e-5f);
            }
    }
    ck_assert_uint_gt(met, 50 * 64 * 98 / 100);
    close_bench(&bench);
}
END_TEST

/* ---- heads ---- */

/* The loss of one row as a function of its logits, its draws held: Σ g·softmax + Σ g·value, the anchor, and
 * the condition's cross-entropy. */
static double head_loss(const gan *model, const double *logits, const float *g, const float *uniforms)
{
    const size_t wanted = model->batch.wanted[0];
    double loss = 0;
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = block_of(model, b);
        double sum = 0;
        for (size_t at = block->slot_offset; at < block->slot_offset + block->slot_count; at++)
            sum += exp(logits[at] + (at == wanted ? (double)model->named.pull[wanted] : 0));
        for (size_t at = block->slot_offset; at < block->slot_offset + block->slot_count; at++) {
            const double soft =
                exp(logits[at] + (at == wanted ? (double)model->named.pull[wanted] : 0)) / sum;
            loss +=
                ((double)g[at] - 0.5 * fmin((double)model->marginals[at] / model->means[at], 20.0)) * soft;
            if (at == wanted)
                loss -= 0.75 * log(soft);
        }
        if (block->has_value && model->batch.slots[b] >= block->rest_slot) {
            const double u = (double)uniforms[model->batch.draws - model->blocks + b];
            loss += (double)g[block->value_offset] * tanh(logits[block->value_offset] + atanh(2 * u - 1));
        }
    }
    return loss;
}

/* In modes, with a condition: what the heads hand back is the gradient of that loss. */
START_TEST(heads_backward_agrees_with_finite_differences)
{
    struct bench bench;
    struct wish wish = usual();
    wish.section = "{type: ctgan, marginals: {weight: 0.5}, condition_weight: 0.75,\n"
                   " generator: {hidden: [8]}, discriminator: {hidden: [8]}}";
    open_bench(&bench, &wish);
    gan *model = bench.model;
    const size_t width = model->width, spoken = model->blocks;
    float g[64], x[64], out[64];
    double logits[64];
    size_t values = 0;
    float *biases = model->generator_parameters + sotto_network_parameters(model->generator) - width;
    memset(model->generator_parameters, 0, sotto_network_parameters(model->generator) * sizeof(float));
    for (size_t j = 0; j < width; j++) {
        logits[j] = (double)(biases[j] = sinf((float)j * 1.7f));
        g[j] = cosf((float)j * 2.3f);
        model->means[j] = 0.1 + 0.02 * (double)(j % 3);
    }
    sotto_weights_refresh(model->generator_weights);
    for (int round = 0; round < 20; round++) {
        gan_batch_draw(model, &model->batch, model->stream, NULL, 1);
        gan_fakes_forward(model, model->generator_weights, &model->batch, 0, 1, &model->lane[0],
                          model->lane[0].generator, x, model->batch.slots);
        gan_heads_backward(model, &model->lane[0], &model->batch, 0, 1, g, true, out);
        for (size_t j = 0; j < width; j++) {
            double sides[2];
            for (int side = 0; side < 2; side++) {
                logits[j] += side ? 2e-4 : -1e-4;
                sides[side] = head_loss(model, logits, g, model->batch.uniforms);
            }
            logits[j] -= 1e-4;
            ck_assert_double_eq_tol((double)out[j], (sides[1] - sides[0]) / 2e-4, 3e-4);
        }
        for (size_t b = 0; b < spoken; b++)
            values += block_of(model, b)->has_value && out[block_of(model, b)->value_offset] != 0.0f;
    }
    ck_assert_uint_gt(values, 10);
    close_bench(&bench);
}
END_TEST

/*
 * In modes a value is uniform in its bin while its logit is 0, leans the way the logit says, and is always
 * one that a row can have: of ages, ten to a bin, each offset as often, χ² of about 10,000 draws at a
 * false-alarm rate of about 1e-6 (critical value 45 for 9 degrees of freedom).
 */
START_TEST(values_lean_as_their_logits_say)
{
    static const float leanings[] = {0.0f, 1.0f, -1.0f};
    struct bench bench;
    struct wish wish = usual();
    double seen[10] = {0}, all = 0, sum = 0, chi2 = 0;
    open_bench(&bench, &wish);
    gan *model = bench.model;
    const sotto_block *block = block_of(model, AGE);
    ck_assert(block->has_value && block->slot_count == 10);
    memset(model->generator_parameters, 0, sotto_network_parameters(model->generator) * sizeof(float));
    model->generator_parameters[sotto_network_parameters(model->generator) - model->width +
                                block->value_offset] = leanings[_i];
    sotto_weights_refresh(model->generator_weights);
    for (int round = 0; round < 10; round++) {
        gan_batch_draw(model, &model->batch, model->stream, NULL, 1000);
        gan_generate(model, model->generator_weights, &model->batch, 1000, false);
        for (size_t i = 0; i < 1000; i++) {
            const double value = (double)model->batch.x[i * model->width + block->value_offset];
            const double place = (value + 1) / 2 * 10 - 0.5;
            ck_assert_double_eq_tol(place, nearbyint(place), 1e-5);
            seen[(int)nearbyint(place)]++;
            sum += value;
            all++;
        }
    }
    for (size_t i = 0; i < 10; i++)
        chi2 += pow(seen[i] - all / 10, 2) / (all / 10);
    if (_i == 0)
        ck_assert_double_le(chi2, 45);
    else
        ck_assert_double_gt(sum / all * (double)leanings[_i], 0.3);
    close_bench(&bench);
}
END_TEST

/* ---- training ---- */

/* A copy of what a few steps leave: of what is released, or of the discriminator. */
static float *trained(const struct wish *wish, int steps, bool released, size_t *count)
{
    struct bench bench;
    open_bench(&bench, wish);
    take_steps(&bench, steps);
    const float *from = bench.model->discriminator_parameters;
    *count = sotto_network_parameters(bench.model->discriminator);
    if (released)
        from = bench.scene.model->kind->released(bench.scene.model, count);
    float *copy = malloc(*count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, from, *count * sizeof *copy);
    close_bench(&bench);
    return copy;
}

/* P1: rows reach a parameter only as sampled units, and conditions only by the noisy counts. A table whose
 * rows are never sampled leaves no trace in a bit. */
START_TEST(rows_that_are_not_sampled_leave_no_trace)
{
    static const char *const sections[] = {
        "{type: ctgan, target: label, generator: {hidden: [16, 8], latent: 4}, discriminator: {hidden: [16]}}",
        "{type: ctgan, numbers: binned, generator: {hidden: [16, 8], latent: 4}, discriminator: {hidden: [16]}}",
        "{type: ctgan, loss: wasserstein, heads: {type: gumbel}, generator: {hidden: [16], latent: 4},\n"
        " discriminator: {hidden: [16]}}"};
    struct wish wish = usual();
    size_t count;
    wish.section = sections[_i];
    wish.units = 0;
    float *one = trained(&wish, 6, true, &count);
    wish.shift = 1;
    float *other = trained(&wish, 6, true, &count);
    wish.units = ROWS;
    float *sampled = trained(&wish, 6, true, &count);
    ck_assert_mem_eq(one, other, count * sizeof *one);
    ck_assert(memcmp(one, sampled, count * sizeof *one) != 0);
    for (size_t j = 0; j < count; j++)
        ck_assert(isfinite(sampled[j]));
    free(one);
    free(other);
    free(sampled);
}
END_TEST

/* P6: which fakes are drawn, and under which conditions, does not depend on how many rows the coins chose. */
START_TEST(conditions_are_drawn_without_a_look_at_the_batch)
{
    uint32_t wanted[3][150];
    static const size_t units[] = {0, 120, ROWS};
    for (size_t i = 0; i < 3; i++) {
        struct bench bench;
        struct wish wish = usual();
        wish.units = units[i];
        open_bench(&bench, &wish);
        take_steps(&bench, 4);
        memcpy(wanted[i], bench.model->batch.wanted, sizeof wanted[i]);
        close_bench(&bench);
    }
    ck_assert_mem_eq(wanted[0], wanted[1], sizeof wanted[0]);
    ck_assert_mem_eq(wanted[0], wanted[2], sizeof wanted[0]);
}
END_TEST

static double distance(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t j = 0; j < count; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

/*
 * P5, with all coins and noise frozen: the last row of the table, its condition with it, there or not moves
 * what a step leaves of the discriminator by no more than C over the expected batch; another row in its place
 * by no more than twice that. The learning rate is 1, so what is left is what was released.
 */
START_TEST(one_row_moves_a_step_by_at_most_the_bound)
{
    struct wish wish = usual();
    size_t count;
    wish.optimizer = SOTTO_OPTIMIZER_SGD;
    wish.rate = 1.0;
    wish.sample_rate = 1.0;
    float *with = trained(&wish, 1, false, &count);
    wish.units = ROWS - 1;
    float *without = trained(&wish, 1, false, &count);
    wish.units = ROWS;
    wish.odd = ROWS - 1;
    float *other = trained(&wish, 1, false, &count);
    const double bound = 0.1 / ROWS, rounding = 1e-5 / ROWS;
    ck_assert_double_le(distance(with, without, count), bound + rounding);
    ck_assert_double_gt(distance(with, without, count), 0.9 * bound); /* it is clipped, and seen */
    ck_assert_double_le(distance(with, other, count), 2.0 * bound + rounding);
    ck_assert_double_gt(distance(with, other, count), 0.01 * bound);
    free(with);
    free(without);
    free(other);
}
END_TEST

START_TEST(threads_change_nothing)
{
    struct wish wish = usual();
    float *left[3];
    size_t count;
    for (unsigned i = 0; i < 3; i++) {
        wish.threads = 1U << i;
        left[i] = trained(&wish, 6, true, &count);
    }
    ck_assert_mem_eq(left[0], left[1], count * sizeof(float));
    ck_assert_mem_eq(left[0], left[2], count * sizeof(float));
    for (size_t i = 0; i < 3; i++)
        free(left[i]);
}
END_TEST

/* What is looked at between steps is every column but the target: a condition names it, and the generator
 * makes it all the same. */
START_TEST(health_looks_at_every_column_that_is_made)
{
    struct bench bench;
    struct wish wish = usual();
    sotto_health *health;
    sotto_model_health first, later;
    open_bench(&bench, &wish);
    gan *model = bench.model;
    const size_t count = sotto_network_parameters(model->generator);
    ck_assert_int_eq(sotto_health_create(&health, bench.scene.model, bench.random, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_health_examine(health, &first, NULL), SOTTO_OK);
    ck_assert_double_gt(first.entropy, 1.0);
    ck_assert_double_lt(first.distance, 0.4);
    for (size_t b = 0; b < BLOCKS; b++) /* every row but where it is told otherwise has the first slot */
        model->average[count - model->width + block_of(model, b)->slot_offset] = 50.0f;
    ck_assert_int_eq(sotto_health_examine(health, &later, NULL), SOTTO_OK);
    ck_assert_double_gt(later.distance, first.distance + 0.2);
    ck_assert_double_lt(later.entropy, first.entropy);
    sotto_health_destroy(health);
    close_bench(&bench);
}
END_TEST

/* ---- sampling and files ---- */

static char *saved_model(size_t *length, float marginal)
{
    struct bench bench;
    struct wish wish = usual();
    char *bytes;
    const sotto_model_facts facts = {.epsilon = 1.5, .delta = 1e-6, .not_private = ""};
    open_bench(&bench, &wish);
    take_steps(&bench, 2);
    if (marginal != 0.0f)
        bench.model->marginals[block_of(bench.model, KIND)->slot_offset] = marginal;
    ck_assert_int_eq(sotto_model_save(bench.scene.model, &facts, &bytes, length, NULL), SOTTO_OK);
    close_bench(&bench);
    return bytes;
}

static sotto_status load_bytes(sotto_saved_model *saved, const char *bytes, size_t length, sotto_error *err)
{
    char path[] = "/tmp/sotto-test-XXXXXX";
    close(mkstemp(path));
    ck_assert_int_eq(sotto_file_write(path, 0600, bytes, length, NULL), SOTTO_OK);
    sotto_status status = sotto_model_load(saved, path, 1, err);
    unlink(path);
    return status;
}

enum { DRAWS = 1000 };

static void draw(sotto_model *model, size_t label, size_t kind, uint16_t slots[DRAWS * BLOCKS])
{
    const size_t wanted[BLOCKS] = {SOTTO_NONE, SOTTO_NONE, kind, label};
    float values[DRAWS * BLOCKS];
    sotto_stream *stream;
    sotto_random *random = test_random();
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_sample_given(model, stream, wanted, DRAWS, slots, values, NULL), SOTTO_OK);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}

/* What is read from a file has the same bytes and makes the same rows as what was written. */
START_TEST(a_model_file_gives_the_model_back)
{
    static uint16_t slots[2][DRAWS * BLOCKS];
    size_t length, again_length;
    char *again, *bytes = saved_model(&length, 0.0f);
    sotto_saved_model saved, twice;
    ck_assert_int_eq(load_bytes(&saved, bytes, length, NULL), SOTTO_OK);
    ck_assert_str_eq(sotto_model_type(saved.model), "ctgan");
    ck_assert_int_eq(sotto_model_save(saved.model, &saved.facts, &again, &again_length, NULL), SOTTO_OK);
    ck_assert_uint_eq(length, again_length);
    ck_assert_mem_eq(bytes, again, length);
    ck_assert_int_eq(load_bytes(&twice, again, length, NULL), SOTTO_OK);
    draw(saved.model, SOTTO_NONE, SOTTO_NONE, slots[0]);
    draw(twice.model, SOTTO_NONE, SOTTO_NONE, slots[1]);
    ck_assert_mem_eq(slots[0], slots[1], sizeof slots[0]);
    sotto_saved_model_destroy(&saved);
    sotto_saved_model_destroy(&twice);
    free(again);
    free(bytes);
}
END_TEST

/* The law of conditions is read as hostile input too. */
START_TEST(marginals_that_are_none_are_refused)
{
    static const float none[] = {-0.1f, NAN, INFINITY};
    sotto_saved_model saved;
    size_t length;
    char *bytes = saved_model(&length, none[_i]);
    sotto_error err = {0};
    ck_assert_int_eq(load_bytes(&saved, bytes, length, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "not a sound model file"));
    ck_assert_ptr_null(saved.model);
    free(bytes);
}
END_TEST

/* The checksum keeps accidents out; a hostile file has a right one, so the rest must hold without it: nothing
 * is read that cannot be sampled from. */
START_TEST(a_hostile_model_file_never_crashes_the_reader)
{
    static uint16_t slots[DRAWS * BLOCKS];
    size_t length, read = 0;
    char *bytes = saved_model(&length, 0.0f), *mutant = malloc(length);
    sotto_random *random = test_random();
    sotto_stream *stream;
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(mutant);
    for (int round = 0; round < 300; round++) {
        sotto_saved_model saved;
        memcpy(mutant, bytes, length);
        for (size_t k = 0; k < 1 + sotto_stream_below(stream, 4); k++) {
            const size_t at = sotto_stream_below(stream, round % 2 ? 1100 : length - 64);
            mutant[at] = (char)sotto_stream_below(stream, 256);
        }
        char digest[65];
        sotto_sha256_hex(mutant, length - 64, digest);
        memcpy(mutant + length - 64, digest, 64);
        if (load_bytes(&saved, mutant, length, NULL) != SOTTO_OK)
            continue;
        if (sotto_encoder_block_count(saved.encoder) == BLOCKS && sotto_model_target(saved.model) == LABEL)
            draw(saved.model, SOTTO_NONE, SOTTO_NONE, slots);
        sotto_saved_model_destroy(&saved);
        read++;
    }
    ck_assert_uint_gt(read, 20);
    free(mutant);
    free(bytes);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

/*
 * One column is asked for outright: nearly all rows have it, and labels come as they do beside it: kind's
 * last slot has 4/10 under the first label, which has a quarter of the rows, and 1/4 under the second, so the
 * first has 0.1/(0.1 + 0.1875) = 0.348 of those rows; 1,000 draws, ± 5 deviations of 0.015. A label is given
 * beside it.
 */
START_TEST(rows_are_sampled_by_condition)
{
    static uint16_t slots[DRAWS * BLOCKS];
    struct bench bench;
    struct wish wish = usual();
    size_t met = 0, first = 0;
    open_bench(&bench, &wish);
    sotto_model *model = bench.scene.model;
    draw(model, SOTTO_NONE, 3, slots);
    for (size_t i = 0; i < DRAWS; i++) {
        met += slots[i * BLOCKS + KIND] == 3;
        first += slots[i * BLOCKS + LABEL] == 0;
    }
    ck_assert_uint_gt(met, DRAWS * 95 / 100);
    ck_assert_double_eq_tol((double)first / DRAWS, 0.348, 0.075);
    draw(model, 1, 2, slots);
    for (size_t i = met = 0; i < DRAWS; i++) {
        met += slots[i * BLOCKS + KIND] == 2;
        ck_assert_uint_eq(slots[i * BLOCKS + LABEL], 1);
    }
    ck_assert_uint_gt(met, DRAWS * 95 / 100);
    for (size_t b = 0; b < BLOCKS; b++)
        ck_assert(sotto_model_conditional(model, b));
    close_bench(&bench);
}
END_TEST

/* Of several conditions the rarest is given to the generator, under the label that is wanted; a slot that is
 * none is refused. Of the first label age's first slot has 1/55 and kind's last 4/10, of the second 1/10 and
 * 1/4. */
START_TEST(the_rarest_of_several_conditions_is_given)
{
    struct bench bench;
    struct wish wish = usual();
    uint16_t slots[BLOCKS];
    float values[BLOCKS];
    open_bench(&bench, &wish);
    const gan *model = bench.model;
    const size_t both[BLOCKS] = {0, SOTTO_NONE, 3, SOTTO_NONE}, labelled[BLOCKS] = {9, SOTTO_NONE, 0, 0},
                 none[BLOCKS] = {SOTTO_NONE, SOTTO_NONE, 4, SOTTO_NONE};
    gan_batch_draw(model, &bench.model->batch, model->stream, both, 100);
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(model->batch.wanted[i], block_of(model, AGE)->slot_offset);
    gan_batch_draw(model, &bench.model->batch, model->stream, labelled, 100); /* 10/55 against 1/10 */
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(model->batch.wanted[i], block_of(model, KIND)->slot_offset);
    ck_assert_int_eq(sotto_model_sample_given(bench.scene.model, model->stream, none, 1, slots, values, NULL),
                     SOTTO_ERROR_INPUT);
    close_bench(&bench);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-ctgan");
    TCase *tests = tcase_create("ctgan");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, coupling_layers_are_refused_with_a_reason, 0, 3);
    tcase_add_loop_test(tests, impossible_options_are_refused, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_loop_test(tests, options_survive_writing_and_reading, 0, 2);
    tcase_add_test(tests, conditions_follow_the_noisy_counts);
    tcase_add_test(tests, a_row_has_its_own_value_in_the_column_of_its_coin);
    tcase_add_loop_test(tests, counts_become_the_output_and_the_condition_is_met, 0, 4);
    tcase_add_test(tests, heads_backward_agrees_with_finite_differences);
    tcase_add_loop_test(tests, values_lean_as_their_logits_say, 0, 3);
    tcase_add_loop_test(tests, rows_that_are_not_sampled_leave_no_trace, 0, 3);
    tcase_add_test(tests, conditions_are_drawn_without_a_look_at_the_batch);
    tcase_add_test(tests, one_row_moves_a_step_by_at_most_the_bound);
    tcase_add_test(tests, threads_change_nothing);
    tcase_add_test(tests, health_looks_at_every_column_that_is_made);
    tcase_add_test(tests, a_model_file_gives_the_model_back);
    tcase_add_loop_test(tests, marginals_that_are_none_are_refused, 0, 3);
    tcase_add_test(tests, a_hostile_model_file_never_crashes_the_reader);
    tcase_add_test(tests, rows_are_sampled_by_condition);
    tcase_add_test(tests, the_rarest_of_several_conditions_is_given);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
