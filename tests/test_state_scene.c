/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_state_scene.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "streams.h"

#define SMALL "generator: {latent: 3, hidden: [8]}, discriminator: {hidden: [8]}"

const char *const state_sections[STATE_SECTIONS] = {
    "{target: label, " SMALL "}",
    "{marginals: {tables: none}, numbers: bounded, " SMALL "}",
    "{target: label, condition: [kind], heads: {type: gumbel}, " SMALL "}",
    "{target: label, loss: wasserstein, gradient_penalty: 3, marginals: {tables: label}, " SMALL "}",
    "{scope: generator, parts: 3, target: label, marginals: {tables: label}, " SMALL "}",
    "{scope: generator, parts: 3, " SMALL "}",
    "{type: ctgan, target: label, generator: {hidden: [8, 5], latent: 4}, discriminator: {hidden: [8]}}",
    "{type: ctgan, heads: {type: gumbel}, generator: {hidden: [8], latent: 4}, discriminator: {hidden: [8]}}",
    "{type: vae, target: label, encoder: [8], decoder: [8]}",
    "{type: vae, numbers: bounded, encoder: [8], decoder: [8]}",
    "{type: independent}",
    "{type: per-label, target: label}",
    "{type: marginals, algorithm: mst, target: label}",
    "{type: marginals, algorithm: mst}",
    "{type: marginals, algorithm: aim, target: label}",
    "{type: marginals, algorithm: aim}",
};

static void write_table(const char *path, int shift)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (int i = 0; i < STATE_UNITS; i++)
        (void)fprintf(file, "%d,%s,%s,p%d,%s\n", (i * 7 + shift) % 100, (i + shift) % 3 ? "0" : "612.5",
                      (i + shift) % 4 ? "a" : "?", i, (i + shift) % 2 ? "yes" : "no");
    ck_assert_int_eq(fclose(file), 0);
}

/* Section number 0 climbs a ladder; parts have rounds of few steps. */
static sotto_training training_of(size_t section)
{
    sotto_training training = {.batch = 50,
                               .steps = 40,
                               .discriminator_steps = section == 0 ? 0 : 2,
                               .learning_rate = 0.02,
                               .decay_fraction = 1.0,
                               .generator_learning_rate = 0.01,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_DP_ADAM);
    training.optimizer.decay = 0.1;
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    training.generator_optimizer.decay = 0.1;
    return training;
}

void learn_from_releases(struct training *t)
{
    sotto_model_release releases[SOTTO_MODEL_RELEASES];
    sotto_mechanism mechanisms[SOTTO_MODEL_RELEASES];
    uint64_t made[SOTTO_MODEL_RELEASES] = {0};
    sotto_error err = {0};
    const sotto_release_door door = {.count = sotto_model_releases(t->scene.model, releases),
                                     .releases = releases,
                                     .mechanisms = mechanisms,
                                     .made = made,
                                     .budget = t->budget,
                                     .random = t->random,
                                     .units = {.rows = t->units, .count = STATE_UNITS}};
    for (size_t i = 0; i < door.count; i++)
        ck_assert_int_eq(releases[i].kind == SOTTO_RELEASE_COUNTS
                             ? sotto_mechanism_gaussian(&mechanisms[i], 4.0, NULL)
                             : sotto_mechanism_exponential(&mechanisms[i], 0.5, NULL),
                         SOTTO_OK);
    ck_assert_msg(sotto_model_learn(t->scene.model, &door, &err) == SOTTO_OK, "%s", err.message);
}

static void make_step(struct training *t, const sotto_training *training)
{
    const sotto_model_private wanted = sotto_model_private_wanted(t->scene.model);
    sotto_dpsgd_options options = {.clipping = {.kind = SOTTO_CLIPPING_ADAPTIVE, .max_grad_norm = 1.0},
                                   .views = wanted.views,
                                   .penalties = wanted.penalties,
                                   .public_units = STATE_UNITS,
                                   .label = wanted.label,
                                   .optimizer = training->optimizer,
                                   .schedule = {.rate = training->learning_rate,
                                                .steps = training->steps,
                                                .decay_fraction = training->decay_fraction},
                                   .threads = 2,
                                   .units = {.rows = t->units, .count = STATE_UNITS},
                                   .weights = wanted.weights,
                                   .parameters = wanted.parameters,
                                   .budget = t->budget,
                                   .random = t->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 0.25, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&t->step, &options, NULL), SOTTO_OK);
}

static void make_parts(struct training *t, const sotto_training *training)
{
    const sotto_model_private wanted = sotto_model_private_wanted(t->scene.model);
    sotto_parts_options options = {.clipping = {.max_grad_norm = 0.1},
                                   .parts = wanted.parts,
                                   .dimension = wanted.dimension,
                                   .batch = training->batch,
                                   .label = wanted.label,
                                   .network = wanted.network,
                                   .optimizer = training->optimizer,
                                   .schedule = {.rate = training->learning_rate, .steps = training->steps},
                                   .threads = 2,
                                   .units = {.rows = t->units, .count = STATE_UNITS},
                                   .budget = t->budget,
                                   .random = t->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 1.0, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_parts_create(&t->parts, &options, NULL), SOTTO_OK);
}

static void load_table(struct training *t, int shift)
{
    char path[] = "/tmp/sotto-state-XXXXXX";
    ck_assert_int_ge(close(mkstemp(path)), 0);
    write_table(path, shift);
    ck_assert_int_eq(sotto_table_load(&t->table, t->scene.schema, path, NULL, NULL), SOTTO_OK);
    (void)unlink(path);
    ck_assert_int_eq(sotto_encode(&t->data, t->scene.encoder, t->table, NULL), SOTTO_OK);
}

void prepare_training(struct training *t, size_t section, uint64_t seed, int shift)
{
    const sotto_training training = training_of(section);
    sotto_error err = {0};
    *t = (struct training){.first = streams_alive()};
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&t->random, seed, NULL), SOTTO_OK);
    ck_assert_msg(try_model(&t->scene, state_sections[section], &err) == SOTTO_OK, "%s", err.message);
    load_table(t, shift);
    for (uint32_t i = 0; i < STATE_UNITS; i++)
        t->units[i] = i;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, 1e-5, &t->budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(t->scene.model, &training, t->random, NULL), SOTTO_OK);
    sotto_model_data(t->scene.model, t->data);
    if (sotto_model_takes_steps(t->scene.model)) {
        if (sotto_model_private_wanted(t->scene.model).parts > 0)
            make_parts(t, &training);
        else
            make_step(t, &training);
        ck_assert_int_eq(sotto_health_create(&t->health, t->scene.model, t->random, NULL), SOTTO_OK);
    }
    t->streams = streams_alive() - t->first;
}

void open_training(struct training *t, size_t section, uint64_t seed, int shift)
{
    prepare_training(t, section, seed, shift);
    learn_from_releases(t);
}

void close_training(struct training *t)
{
    sotto_health_destroy(t->health);
    sotto_dpsgd_destroy(t->step);
    sotto_parts_destroy(t->parts);
    sotto_budget_destroy(t->budget);
    sotto_encoded_destroy(t->data);
    sotto_table_destroy(t->table);
    close_scene(&t->scene);
    sotto_random_destroy(t->random);
}

void take_steps(struct training *t, int count)
{
    sotto_model_health seen;
    for (int i = 0; i < count && t->health; i++) {
        ck_assert_int_eq(t->parts ? sotto_model_round(t->scene.model, t->parts, NULL)
                                  : sotto_model_step(t->scene.model, t->step, NULL),
                         SOTTO_OK);
        ck_assert_int_eq(sotto_health_examine(t->health, &seen, NULL), SOTTO_OK);
    }
}

void visit_training(struct training *t, sotto_state *state)
{
    sotto_model_state(t->scene.model, state);
    if (t->step)
        sotto_dpsgd_state(t->step, state);
    if (t->parts)
        sotto_parts_state(t->parts, state);
    if (t->health)
        sotto_health_state(t->health, state);
}

char *state_of(struct training *t, size_t *length)
{
    sotto_state *state;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    visit_training(t, state);
    ck_assert_msg(sotto_state_end(state, &err) == SOTTO_OK, "%s", err.message);
    const void *bytes = sotto_state_bytes(state, length);
    char *copy = malloc(*length);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, *length);
    sotto_state_destroy(state);
    return copy;
}

sotto_status give_state(struct training *t, const void *bytes, size_t length, sotto_error *err)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, "a file", NULL), SOTTO_OK);
    visit_training(t, state);
    const sotto_status status = sotto_state_end(state, err);
    sotto_state_destroy(state);
    return status;
}
