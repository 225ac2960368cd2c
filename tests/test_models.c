/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

static sotto_training small_training(void)
{
    sotto_training training = {.batch = 150,
                               .steps = 6,
                               .discriminator_steps = 2,
                               .learning_rate = 1e-3,
                               .generator_learning_rate = 1e-3,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    return training;
}

/* ---- options ---- */

/* P13: layers that couple the rows of a batch cannot be configured, and the message says why. */
START_TEST(coupling_layers_are_refused_with_a_reason)
{
    const char *sections[] = {"{type: gan, batch_norm: true}", "{discriminator: {batch_norm: true}}",
                              "{generator: {batch_normalization: true}}", "{discriminator: {pac: 10}}",
                              "{packing: 8}"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_int_eq(try_model(&scene, sections[i], &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, "other rows of the batch"));
        ck_assert_uint_gt(err.line, 0);
        close_scene(&scene);
    }
}
END_TEST

START_TEST(impossible_options_are_refused)
{
    const char *sections[] = {
        "{type: mirror}",
        "{numbers: words}",
        "{target: nothing}",
        "{target: age}",
        "{target: id}",
        "{loss: least-squares}",
        "{generator: {hidden: []}}",
        "{generator: {hidden: 128}}",
        "{generator: {hidden: [0]}}",
        "{generator: {hidden: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}",
        "{discriminator: {latent: 3}}",
        "{discriminator: {activation: step}}",
        "{heads: {type: hard}}",
        "{heads: {temperature: 0}}",
        "{target: label, marginals: {tables: none}}",
        "{marginals: {share: 1}}",
        "{marginals: {weight: -1}}",
        "{marginal: {}}",
        "{generator: [1]}",
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_msg(try_model(&scene, sections[i], &err) == SOTTO_ERROR_INPUT, "accepted %s", sections[i]);
        ck_assert_uint_gt(strlen(err.message), 20);
        close_scene(&scene);
    }
}
END_TEST

static char *format(const struct scene *scene)
{
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    ck_assert_ptr_nonnull(file);
    scene->model->kind->format(scene->model, file);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

START_TEST(options_survive_writing_and_reading)
{
    const char *sections[] = {
        "{}",
        "{target: label, loss: wasserstein, heads: {type: gumbel, temperature: 0.7}}",
        "{numbers: modes}",
        "{numbers: bounded, loss: hinge, marginals: {tables: none, share: 0.1, weight: 0.25},\n"
        " generator: {hidden: [8, 8, 4], activation: silu, layer_norm: true, residual: true, latent: 3},\n"
        " discriminator: {hidden: [5], activation: tanh}}",
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        struct scene first;
        struct scene second;
        ck_assert_int_eq(try_model(&first, sections[i], NULL), SOTTO_OK);
        char *once = format(&first);
        ck_assert_int_eq(try_model(&second, once, NULL), SOTTO_OK);
        char *twice = format(&second);
        ck_assert_str_eq(once, twice);
        ck_assert_uint_eq(sotto_model_parameters(first.model), sotto_model_parameters(second.model));
        free(once);
        free(twice);
        close_scene(&first);
        close_scene(&second);
    }
}
END_TEST

/* ---- marginals ---- */

START_TEST(simplex_projection_is_the_nearest_point)
{
    double order[4];
    double inside[] = {0.1, 0.2, 0.3, 0.4};
    double outside[] = {5.0, -3.0, 1.0, -0.5};
    sotto_simplex_project(inside, 4, 1.0, order);
    ck_assert_double_eq_tol(inside[0], 0.1, 1e-15);
    ck_assert_double_eq_tol(inside[3], 0.4, 1e-15);
    sotto_simplex_project(outside, 4, 3.0, order);
    /* Worked out by hand: the threshold is 2, so only the first survives, at 3. */
    ck_assert_double_eq_tol(outside[0], 3.0, 1e-12);
    ck_assert_double_eq_tol(outside[1] + outside[2] + outside[3], 0.0, 1e-12);
}
END_TEST

/* With all weights at 0 but those that the counts set, the generator's softmax is the counted frequencies by
 * label. */
START_TEST(counts_become_the_output_under_each_label)
{
    struct scene scene;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    ck_assert_int_eq(try_model(&scene, "{target: label}", NULL), SOTTO_OK);
    gan *model = (gan *)scene.model;
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    const sotto_model_counts wanted = sotto_model_counts_wanted(scene.model);
    ck_assert_uint_eq(wanted.query.tables, 3);
    double counts[200];
    size_t cells = 0;
    for (size_t t = 0; t < 3; t++) {
        size_t slots = wanted.query.table_size[t] / 2;
        for (size_t k = 0; k < 2; k++)
            for (size_t s = 0; s < slots; s++)
                counts[cells++] = k == 0 ? 1000.0 * (double)(s + 1) / (double)(slots * (slots + 1) / 2)
                                         : 3000.0 / (double)slots;
    }
    memset(model->generator_parameters, 0, sotto_network_parameters(model->generator) * sizeof(float));
    ck_assert_int_eq(sotto_model_counts_give(scene.model, counts, NULL), SOTTO_OK);
    ck_assert_double_eq_tol(model->frequency[0], 0.25, 1e-9);
    for (uint16_t label = 0; label < 2; label++) {
        size_t asked[] = {SOTTO_NONE, SOTTO_NONE, SOTTO_NONE, label};
        gan_batch_draw(model, &model->batch, model->stream, asked, 64);
        gan_generate(model, model->generator_weights, &model->batch, 64, true);
        for (size_t b = 0; b < 3; b++) {
            const sotto_block *block = sotto_encoder_block(scene.encoder, b);
            const double slots = (double)block->slot_count;
            for (size_t s = 0; s < block->slot_count; s++) {
                double frequency = label == 0 ? (double)(s + 1) / (slots * (slots + 1) / 2) : 1 / slots;
                ck_assert_double_eq_tol(model->means[label * model->width + block->slot_offset + s],
                                        frequency, 1e-5);
            }
        }
    }
    close_scene(&scene);
    sotto_random_destroy(random);
}
END_TEST

/* ---- heads ---- */

/* What the heads hand back is the gradient of Σ g·softmax(l) + Σ g·tanh(l) and of the anchor's cross-entropy.
 */
START_TEST(heads_backward_agrees_with_finite_differences)
{
    struct scene scene;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    ck_assert_int_eq(try_model(&scene, "{numbers: bounded, marginals: {weight: 0.5}}", NULL), SOTTO_OK);
    gan *model = (gan *)scene.model;
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    const size_t width = model->width;
    gan_lane *lane = &model->lane[0];
    float logits[64];
    float g[64];
    float out[64];
    for (size_t j = 0; j < width; j++) {
        logits[j] = sinf((float)j * 1.7f);
        g[j] = cosf((float)j * 2.3f);
        model->marginals[j] = 0.05f + 0.01f * (float)j;
        model->means[j] = 0.1 + 0.02 * (double)(j % 3);
        lane->soft[j] = logits[j];
    }
    sotto_tensor_softmax(1, width, model->segments, model->segment_count, lane->soft);
    for (size_t b = 0; b < model->blocks; b++) { /* every value speaks */
        const sotto_block *block = sotto_encoder_block(scene.encoder, b);
        if (block->has_value) {
            lane->relaxed[block->value_offset] = tanhf(logits[block->value_offset]);
            model->batch.slots[b] = (uint16_t)block->rest_slot;
        }
    }
    gan_heads_backward(model, lane, &model->batch, 0, 1, g, true, out);
    for (size_t j = 0; j < width; j++) {
        double losses[2] = {0, 0};
        for (int side = 0; side < 2; side++)
            for (size_t b = 0; b < model->blocks; b++) {
                const sotto_block *block = sotto_encoder_block(scene.encoder, b);
                double sum = 0;
                for (size_t s = 0; s < block->slot_count; s++) {
                    size_t at = block->slot_offset + s;
                    sum += exp((double)logits[at] + (at == j ? (side ? 1e-4 : -1e-4) : 0));
                }
                for (size_t s = 0; s < block->slot_count; s++) {
                    size_t at = block->slot_offset + s;
                    double soft = exp((double)logits[at] + (at == j ? (side ? 1e-4 : -1e-4) : 0)) / sum;
                    losses[side] += (double)g[at] * soft;
                    if (block->slot_count > 1)
                        losses[side] -=
                            0.5 * fmin((double)model->marginals[at] / model->means[at], 20.0) * soft;
                }
                if (block->has_value) {
                    double shift = block->value_offset == j ? (side ? 1e-4 : -1e-4) : 0;
                    losses[side] +=
                        (double)g[block->value_offset] * tanh((double)logits[block->value_offset] + shift);
                }
            }
        ck_assert_double_eq_tol((double)out[j], (losses[1] - losses[0]) / 2e-4, 2e-4);
    }
    close_scene(&scene);
    sotto_random_destroy(random);
}
END_TEST

/*
 * Both kinds of heads draw from the softmax: χ² of 20,000 draws of the 4-slot block under the law that the
 * generator's own logits give, at a false-alarm rate of about 1e-6 (critical value 30.7 for 3 degrees of
 * freedom).
 */
START_TEST(heads_draw_from_the_softmax)
{
    const char *sections[] = {"{marginals: {tables: none}}",
                              "{marginals: {tables: none}, heads: {type: gumbel}}"};
    for (size_t i = 0; i < 2; i++) {
        struct scene scene;
        sotto_random *random = test_random();
        sotto_training training = small_training();
        training.batch = 20000;
        ck_assert_int_eq(try_model(&scene, sections[i], NULL), SOTTO_OK);
        gan *model = (gan *)scene.model;
        ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
        const size_t parameters = sotto_network_parameters(model->generator);
        memset(model->generator_parameters, 0, parameters * sizeof(float));
        const sotto_block *block = sotto_encoder_block(scene.encoder, 2);
        ck_assert_uint_eq(block->slot_count, 4);
        const double law[4] = {0.1, 0.2, 0.3, 0.4};
        for (size_t s = 0; s < 4; s++)
            model->generator_parameters[parameters - model->width + block->slot_offset + s] =
                logf((float)law[s]);
        gan_batch_draw(model, &model->batch, model->stream, NULL, 20000);
        sotto_weights_refresh(model->generator_weights);
        gan_generate(model, model->generator_weights, &model->batch, 20000, false);
        double seen[4] = {0};
        for (size_t row = 0; row < 20000; row++)
            seen[model->batch.slots[row * model->blocks + 2]]++;
        double chi2 = 0;
        for (size_t s = 0; s < 4; s++)
            chi2 += pow(seen[s] - 20000 * law[s], 2) / (20000 * law[s]);
        ck_assert_double_le(chi2, 30.7);
        close_scene(&scene);
        sotto_random_destroy(random);
    }
}
END_TEST

/* ---- training ---- */

static void write_table(const char *path, int shift)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (int i = 0; i < 200; i++)
        (void)fprintf(file, "%d,%s,%s,p%d,%s\n", (i * 7 + shift) % 100, (i + shift) % 3 ? "0" : "12.5",
                      (i + shift) % 4 ? "a" : "?", i, (i + shift) % 2 ? "yes" : "no");
    ck_assert_int_eq(fclose(file), 0);
}

/* What a little training leaves behind: the released parameters, and the last latent vectors that were drawn.
 */
struct trained {
    size_t count;
    float *released;
    size_t latent_count;
    float *latent;
};

static float *copy_of(const float *values, size_t count)
{
    float *copy = malloc(count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

static void forget(struct trained *trained)
{
    free(trained->released);
    free(trained->latent);
}

/* Train on a table of which only the first `unit_count` rows may be sampled. */
static struct trained train(int shift, const char *section, size_t unit_count, double sample_rate,
                            sotto_numbers numbers)
{
    char path[] = "/tmp/sotto-test-XXXXXX";
    struct scene scene;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_dpsgd *step;
    uint32_t units[200];
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    close(mkstemp(path));
    write_table(path, shift);
    ck_assert_int_eq(try_model(&scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encoder_numbers(scene.encoder), numbers);
    ck_assert_int_eq(sotto_table_load(&table, scene.schema, path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&data, scene.encoder, table, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e9, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    sotto_model_data(scene.model, data);
    for (uint32_t i = 0; i < 200; i++)
        units[i] = i;
    const sotto_model_private wanted = sotto_model_private_wanted(scene.model);
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 1.0},
                                   .public_units = 200,
                                   .label = wanted.label,
                                   .optimizer = training.optimizer,
                                   .schedule = {.rate = 1e-3, .steps = 6},
                                   .threads = 2,
                                   .units = {.rows = units, .count = unit_count},
                                   .weights = wanted.weights,
                                   .parameters = wanted.parameters,
                                   .budget = budget,
                                   .random = random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, sample_rate, 0.5, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, NULL), SOTTO_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(sotto_model_step(scene.model, step, NULL), SOTTO_OK);
    struct trained trained;
    const gan *model = (const gan *)scene.model;
    const float *released = scene.model->kind->released(scene.model, &trained.count);
    trained.released = copy_of(released, trained.count);
    trained.latent_count = training.batch * model->options.latent;
    trained.latent = copy_of(model->batch.latent, trained.latent_count);
    for (size_t i = 0; i < trained.count; i++)
        ck_assert(isfinite(trained.released[i]));
    sotto_dpsgd_destroy(step);
    sotto_budget_destroy(budget);
    sotto_encoded_destroy(data);
    sotto_table_destroy(table);
    close_scene(&scene);
    sotto_random_destroy(random);
    unlink(path);
    return trained;
}

/* P1: rows reach a parameter only as sampled units. A table whose rows are never sampled leaves no trace in a
 * bit. */
START_TEST(rows_that_are_not_sampled_leave_no_trace)
{
    const char *sections[] = {"{marginals: {tables: none}}", "{target: label, marginals: {tables: label}}",
                              "{numbers: bounded, loss: wasserstein, marginals: {tables: none}}",
                              "{numbers: modes, marginals: {tables: none}}"};
    const sotto_numbers all[] = {SOTTO_NUMBERS_BINNED, SOTTO_NUMBERS_BINNED, SOTTO_NUMBERS_BOUNDED,
                                 SOTTO_NUMBERS_MODES};
    for (size_t i = 0; i < 4; i++) {
        const sotto_numbers numbers = all[i];
        struct trained one = train(0, sections[i], 0, 0.5, numbers);
        struct trained other = train(1, sections[i], 0, 0.5, numbers);
        struct trained sampled = train(1, sections[i], 200, 0.5, numbers);
        ck_assert_mem_eq(one.released, other.released, one.count * sizeof(float));
        ck_assert(memcmp(one.released, sampled.released, one.count * sizeof(float)) != 0);
        forget(&one);
        forget(&other);
        forget(&sampled);
    }
}
END_TEST

/* P6: how many fakes are drawn, and from what, does not depend on how many rows the coins chose. */
START_TEST(fakes_are_drawn_without_a_look_at_the_batch)
{
    struct trained none = train(0, "{marginals: {tables: none}}", 0, 0.5, SOTTO_NUMBERS_BINNED);
    struct trained some = train(0, "{marginals: {tables: none}}", 120, 0.5, SOTTO_NUMBERS_BINNED);
    struct trained all = train(0, "{marginals: {tables: none}}", 200, 0.5, SOTTO_NUMBERS_BINNED);
    ck_assert_mem_eq(none.latent, some.latent, none.latent_count * sizeof(float));
    ck_assert_mem_eq(none.latent, all.latent, none.latent_count * sizeof(float));
    forget(&none);
    forget(&some);
    forget(&all);
}
END_TEST

/* ---- files ---- */

static char *saved_model(size_t *length, const char *stamp)
{
    struct scene scene;
    char *bytes;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    const sotto_model_facts facts = {.epsilon = 1.5, .delta = 1e-6, .not_private = stamp};
    ck_assert_int_eq(try_model(&scene, "{target: label, generator: {hidden: [8]}}", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_save(scene.model, &facts, &bytes, length, NULL), SOTTO_OK);
    close_scene(&scene);
    sotto_random_destroy(random);
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

START_TEST(a_model_file_gives_the_model_back)
{
    size_t length;
    char *bytes = saved_model(&length, "");
    sotto_saved_model saved;
    ck_assert_int_eq(load_bytes(&saved, bytes, length, NULL), SOTTO_OK);
    ck_assert_double_eq(saved.facts.epsilon, 1.5);
    ck_assert_double_eq(saved.facts.delta, 1e-6);
    ck_assert_str_eq(saved.facts.not_private, "");
    ck_assert_str_eq(sotto_model_type(saved.model), "gan");
    char *again;
    size_t again_length;
    ck_assert_int_eq(sotto_model_save(saved.model, &saved.facts, &again, &again_length, NULL), SOTTO_OK);
    ck_assert_uint_eq(length, again_length);
    ck_assert_mem_eq(bytes, again, length);

    sotto_random *random = test_random();
    sotto_stream *stream;
    uint16_t slots[100 * 4];
    float values[100 * 4];
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_sample(saved.model, stream, 1, 100, slots, values, NULL), SOTTO_OK);
    const size_t target = sotto_model_target(saved.model);
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(slots[i * 4 + target], 1);
    ck_assert_int_eq(sotto_model_sample(saved.model, stream, 2, 100, slots, values, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_model_sample(saved.model, stream, 1, SOTTO_MODEL_ROWS + 1, slots, values, NULL),
                     SOTTO_ERROR_INPUT);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    sotto_saved_model_destroy(&saved);
    free(again);
    free(bytes);
}
END_TEST

START_TEST(a_damaged_model_file_is_refused)
{
    size_t length;
    char *bytes = saved_model(&length, "NOT PRIVATE: test");
    sotto_saved_model saved;
    for (size_t i = 0; i < length; i += 1 + length / 400) {
        sotto_error err = {0};
        bytes[i] ^= 1;
        ck_assert_int_eq(load_bytes(&saved, bytes, length, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_null(saved.model);
        bytes[i] ^= 1;
    }
    for (size_t cut = 0; cut < length; cut += 1 + length / 60)
        ck_assert_int_eq(load_bytes(&saved, bytes, cut, NULL), SOTTO_ERROR_INPUT);
    free(bytes);
}
END_TEST

/* The checksum keeps accidents out; a hostile file has a right one, so the rest must hold without it. */
START_TEST(a_hostile_model_file_never_crashes_the_reader)
{
    size_t length;
    char *bytes = saved_model(&length, "");
    sotto_random *random = test_random();
    sotto_stream *stream;
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    char *mutant = malloc(length + 1);
    ck_assert_ptr_nonnull(mutant);
    for (int round = 0; round < 500; round++) {
        sotto_saved_model saved;
        memcpy(mutant, bytes, length);
        const size_t edits = 1 + sotto_stream_below(stream, 4);
        for (size_t k = 0; k < edits; k++) {
            /* Mostly in the texts, where the structure is. */
            size_t at = sotto_stream_below(stream, sotto_stream_below(stream, 8) ? 1100 : length - 64);
            mutant[at] = (char)sotto_stream_below(stream, 256);
        }
        char digest[65];
        sotto_sha256_hex(mutant, length - 64, digest);
        memcpy(mutant + length - 64, digest, 64);
        if (load_bytes(&saved, mutant, length, NULL) == SOTTO_OK)
            sotto_saved_model_destroy(&saved);
    }
    free(mutant);
    free(bytes);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models");
    TCase *tests = tcase_create("models");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, coupling_layers_are_refused_with_a_reason);
    tcase_add_test(tests, impossible_options_are_refused);
    tcase_add_test(tests, options_survive_writing_and_reading);
    tcase_add_test(tests, simplex_projection_is_the_nearest_point);
    tcase_add_test(tests, counts_become_the_output_under_each_label);
    tcase_add_test(tests, heads_backward_agrees_with_finite_differences);
    tcase_add_test(tests, heads_draw_from_the_softmax);
    tcase_add_test(tests, rows_that_are_not_sampled_leave_no_trace);
    tcase_add_test(tests, fakes_are_drawn_without_a_look_at_the_batch);
    tcase_add_test(tests, a_model_file_gives_the_model_back);
    tcase_add_test(tests, a_damaged_model_file_is_refused);
    tcase_add_test(tests, a_hostile_model_file_never_crashes_the_reader);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
