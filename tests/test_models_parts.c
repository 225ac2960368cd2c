/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Scope generator: discriminators without noise, which nobody but the door sees. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

enum { PARTS = 4, MOST_ROWS = 200 };

static const char section[] =
    "{scope: generator, parts: 4, target: label, generator: {latent: 3, hidden: [16]}, "
    "discriminator: {hidden: [16]}, marginals: {tables: label}}";

/* A model in training by rounds of parts. */
struct run {
    char path[24];
    struct scene scene;
    sotto_random *random;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_parts *parts;
    uint32_t units[MOST_ROWS];
};

static void write_table(const char *path, int odd)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (int i = 0; i < MOST_ROWS; i++)
        (void)fprintf(file, "%d,%s,%s,p%d,%s\n", i == odd ? 99 : i * 7 % 90, i % 3 ? "0" : "12.5",
                      i % 4 ? "a" : "?", i, i % 2 ? "yes" : "no");
    ck_assert_int_eq(fclose(file), 0);
}

static double generator_rate = 1e-2;

static sotto_training training_of(double discriminator_rate)
{
    sotto_training training = {.batch = 100,
                               .steps = 50,
                               .discriminator_steps = 2,
                               .learning_rate = discriminator_rate,
                               .generator_learning_rate = generator_rate,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    return training;
}

/* With a table whose row `odd` is unlike the rest, and so much noise. */
static void begin(struct run *run, int odd, double rate, double sigma, double epsilon)
{
    const sotto_training training = training_of(rate);
    *run = (struct run){.path = "/tmp/sotto-test-XXXXXX", .random = test_random()};
    close(mkstemp(run->path));
    write_table(run->path, odd);
    ck_assert_int_eq(try_model(&run->scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_table_load(&run->table, run->scene.schema, run->path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&run->data, run->scene.encoder, run->table, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, 1e-5, &run->budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(run->scene.model, &training, run->random, NULL), SOTTO_OK);
    sotto_model_data(run->scene.model, run->data);
    for (uint32_t i = 0; i < MOST_ROWS; i++)
        run->units[i] = i;
    const sotto_model_private wanted = sotto_model_private_wanted(run->scene.model);
    sotto_parts_options options = {.clipping = {.max_grad_norm = 0.1},
                                   .parts = wanted.parts,
                                   .dimension = wanted.dimension,
                                   .batch = training.batch,
                                   .label = wanted.label,
                                   .network = wanted.network,
                                   .optimizer = training.optimizer,
                                   .schedule = {.rate = training.learning_rate, .steps = training.steps},
                                   .threads = 2,
                                   .units = {.rows = run->units, .count = MOST_ROWS},
                                   .budget = run->budget,
                                   .random = run->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 1.0, sigma, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_parts_create(&run->parts, &options, NULL), SOTTO_OK);
}

static void end(struct run *run)
{
    sotto_parts_destroy(run->parts);
    sotto_budget_destroy(run->budget);
    sotto_encoded_destroy(run->data);
    sotto_table_destroy(run->table);
    close_scene(&run->scene);
    sotto_random_destroy(run->random);
    unlink(run->path);
}

static gan *model_of(const struct run *run)
{
    return (gan *)run->scene.model;
}

static const float *released_of(const struct run *run, size_t *count)
{
    return run->scene.model->kind->released(run->scene.model, count);
}

/*
 * P5: that a round is one use rests on it: a row moves the vector of its own part and no other. With a
 * generator that stands still, so that nothing passes on what was released, the last part's vectors of three
 * rounds are the same to the bit whatever a row of another part is.
 */
START_TEST(a_row_moves_no_vector_of_another_part)
{
    enum { ROUNDS = 3, TRIED = 16, MOST = 512 };
    float before[ROUNDS][MOST];
    size_t apart = 0, within = 0;
    generator_rate = 0.0;
    for (int tried = -1; tried < TRIED; tried++) {
        struct run run;
        size_t moved = 0;
        begin(&run, tried < 0 ? -1 : tried * 12, 1e-2, 1.0, 1e9);
        const size_t dimension = sotto_model_private_wanted(run.scene.model).dimension;
        ck_assert_uint_le(dimension, MOST);
        for (size_t r = 0; r < ROUNDS; r++) {
            ck_assert_int_eq(sotto_model_round(run.scene.model, run.parts, NULL), SOTTO_OK);
            const float *lesson = model_of(&run)->lesson;
            if (tried < 0)
                memcpy(before[r], lesson, dimension * sizeof *lesson);
            else
                moved += memcmp(before[r], lesson, dimension * sizeof *lesson) != 0;
        }
        if (tried >= 0) {
            apart += moved == 0;
            within += moved > 0;
        }
        ck_assert_ptr_null(model_of(&run)->teacher);
        ck_assert_ptr_null(sotto_parts_weights(run.parts));
        end(&run);
    }
    generator_rate = 1e-2;
    ck_assert_uint_ge(apart, TRIED / 2); /* about three in four, by coins of a fixed seed */
    ck_assert_uint_ge(within, 1);
}
END_TEST

START_TEST(nothing_of_a_discriminator_is_in_the_model)
{
    struct run run;
    begin(&run, 0, 1e-2, 1.0, 1e9);
    ck_assert_int_eq(sotto_model_round(run.scene.model, run.parts, NULL), SOTTO_OK);
    const sotto_model_private wanted = sotto_model_private_wanted(run.scene.model);
    ck_assert_ptr_null(wanted.weights);
    ck_assert_ptr_null(wanted.parameters);
    ck_assert_uint_eq(wanted.parts, PARTS);
    ck_assert_ptr_null(model_of(&run)->discriminator_parameters);
    ck_assert_ptr_null(model_of(&run)->discriminator_weights);
    size_t count;
    (void)released_of(&run, &count);
    ck_assert_uint_eq(count, sotto_network_parameters(model_of(&run)->generator));
    end(&run);
}
END_TEST

/* P1: by frozen noise, two tables that differ in a row differ behind what a discriminator has learned, and in
 * nothing that may be seen where it has learned nothing. */
START_TEST(a_row_is_seen_behind_its_part_alone)
{
    struct run run[2];
    size_t differs = 0, count;
    for (int i = 0; i < 2; i++)
        begin(&run[i], i ? 17 : -1, 1e-2, 1.0, 1e9);
    for (int i = 0; i < 2; i++) /* before the first vector there is nothing but what is drawn */
        ck_assert_int_eq(sotto_parts_begin(run[i].parts, NULL), SOTTO_OK);
    const float *one = released_of(&run[0], &count), *other = released_of(&run[1], &count);
    ck_assert_mem_eq(one, other, count * sizeof *one);
    for (int i = 0; i < 2; i++)
        end(&run[i]);
    for (size_t k = 0; k < 2; k++) { /* discriminators that learn, and that stay as they began */
        for (int i = 0; i < 2; i++)
            begin(&run[i], i ? 17 : -1, k ? 0.0 : 1e-2, 1.0, 1e9);
        for (size_t round = 0; round < 3; round++) {
            for (int i = 0; i < 2; i++)
                ck_assert_int_eq(sotto_model_round(run[i].scene.model, run[i].parts, NULL), SOTTO_OK);
            one = released_of(&run[0], &count);
            other = released_of(&run[1], &count);
            if (k == 0)
                differs += memcmp(one, other, count * sizeof *one) != 0;
            else
                ck_assert_mem_eq(one, other, count * sizeof *one);
        }
        for (int i = 0; i < 2; i++)
            end(&run[i]);
    }
    ck_assert_uint_gt(differs, 0); /* the test can see a difference where a vector makes one */
}
END_TEST

/* P6: what decides whether a run goes on is made of the generator alone, whatever discriminators have become.
 */
START_TEST(health_does_not_look_at_discriminators)
{
    struct run run[2];
    sotto_health *health[2];
    for (int i = 0; i < 2; i++) { /* rates at which a network of 16 hidden units explodes, and at which not */
        begin(&run[i], -1, i ? 1e3 : 0.0, 1e4, 1e9);
        ck_assert_int_eq(sotto_health_create(&health[i], run[i].scene.model, run[i].random, NULL), SOTTO_OK);
    }
    for (int i = 0; i < 2; i++) {
        sotto_model_health seen;
        size_t count;
        ck_assert_int_eq(sotto_parts_begin(run[i].parts, NULL), SOTTO_OK);
        gan_batch_draw(model_of(&run[i]), &model_of(&run[i])->batch, model_of(&run[i])->stream, NULL, 100);
        gan_generate(model_of(&run[i]), model_of(&run[i])->generator_weights, &model_of(&run[i])->batch, 100,
                     false);
        for (int k = 0; k < 5; k++)
            ck_assert_int_eq(
                sotto_parts_learn(run[i].parts, 100, gan_discriminator_pass, run[i].scene.model, NULL),
                SOTTO_OK);
        ck_assert_int_eq(sotto_health_examine(health[i], &seen, NULL), SOTTO_OK);
        const float *released = released_of(&run[i], &count);
        double squares = 0.0;
        for (size_t k = 0; k < count; k++)
            squares += (double)released[k] * (double)released[k];
        ck_assert_double_eq_tol(seen.parameters, sqrt(squares / (double)count), 1e-9);
        ck_assert_ptr_null(sotto_health_verdict(health[i]));
    }
    for (int i = 0; i < 2; i++) {
        sotto_health_destroy(health[i]);
        end(&run[i]);
    }
}
END_TEST

/* One use for a round; refused before anything is drawn for a row. */
START_TEST(a_round_is_one_use)
{
    struct run run;
    size_t lines;
    begin(&run, -1, 1e-2, 4.0, 1.7);
    for (uint64_t round = 1; round <= 2; round++) {
        ck_assert_int_eq(sotto_model_round(run.scene.model, run.parts, NULL), SOTTO_OK);
        const sotto_charge *charge = sotto_budget_charges(run.budget, &lines);
        ck_assert_uint_eq(lines, 1);
        ck_assert_uint_eq(charge->count, round);
        ck_assert_str_eq(charge->label, "rounds of discriminators");
        ck_assert_uint_eq(sotto_parts_turns(run.parts), PARTS * round);
    }
    ck_assert_int_eq(sotto_model_round(run.scene.model, run.parts, NULL), SOTTO_ERROR_BUDGET);
    ck_assert_uint_eq(sotto_budget_charges(run.budget, &lines)[0].count, 2);
    end(&run);
}
END_TEST

/* With hardly any noise the generator learns from the vectors: it is what a lesson of noise alone is not. */
START_TEST(the_generator_learns_from_vectors)
{
    double share[2];
    for (int i = 0; i < 2; i++) {
        struct run run;
        uint16_t slots[1000 * 8];
        float values[1000 * 8];
        size_t hits = 0;
        sotto_stream *stream;
        begin(&run, -1, 1e-2, i ? 1e-4 : 1e4, 1e300);
        for (int round = 0; round < 40; round++)
            ck_assert_int_eq(sotto_model_round(run.scene.model, run.parts, NULL), SOTTO_OK);
        const size_t blocks = sotto_encoder_block_count(run.scene.encoder);
        ck_assert_uint_le(blocks, 8);
        ck_assert_int_eq(sotto_stream_create(&stream, run.random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_model_sample(run.scene.model, stream, SOTTO_NONE, 1000, slots, values, NULL),
                         SOTTO_OK);
        for (size_t r = 0; r < 1000;
             r++) /* the table's kinds are a and missing, never b or c, which are slots 2 and 3 */
            hits += slots[r * blocks + 2] >= 2;
        share[i] = (double)hits / 1000;
        sotto_stream_destroy(stream);
        end(&run);
    }
    ck_assert_msg(share[1] < 0.25, "%g of rows have kinds %g", share[1], share[0]);
    ck_assert_double_gt(share[0], share[1] + 0.1); /* noise alone leads nowhere */
}
END_TEST

START_TEST(what_does_not_go_together_is_refused)
{
    static const char *const cases[][2] = {
        {"{parts: 10}", "model.parts"},
        {"{scope: discriminator, parts: 10}", "model.parts"},
        {"{scope: generator, parts: 0}", "model.parts"},
        {"{scope: both}", "model.scope"},
        {"{scope: generator, loss: wasserstein, gradient_penalty: 10}", "model.gradient_penalty"},
        {"{type: ctgan, scope: generator}", "scope"},
        {"{type: vae, scope: generator}", "scope"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_msg(try_model(&scene, cases[i][0], &err) == SOTTO_ERROR_INPUT, "%s", cases[i][0]);
        ck_assert_msg(strstr(err.message, cases[i][1]) != NULL, "%s: %s", cases[i][0], err.message);
        close_scene(&scene);
    }
    struct scene scene;
    sotto_error err = {0};
    sotto_training ladder = training_of(1e-3);
    ladder.discriminator_steps = 0;
    ck_assert_int_eq(try_model(&scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_fits(scene.model, &ladder, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "nobody may look"));
    close_scene(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-parts");
    TCase *tests = tcase_create("parts");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_row_moves_no_vector_of_another_part);
    tcase_add_test(tests, nothing_of_a_discriminator_is_in_the_model);
    tcase_add_test(tests, a_row_is_seen_behind_its_part_alone);
    tcase_add_test(tests, health_does_not_look_at_discriminators);
    tcase_add_test(tests, a_round_is_one_use);
    tcase_add_test(tests, the_generator_learns_from_vectors);
    tcase_add_test(tests, what_does_not_go_together_is_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
