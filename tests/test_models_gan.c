/* SPDX-License-Identifier: GPL-3.0-or-later */

/* How the adversarial network trains: what decides whose turn it is, and when to give up. */
#include <check.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

/* ---- a training ---- */

/* A model in training on a table whose rows depend on `shift`. */
struct run {
    char path[24];
    struct scene scene;
    sotto_random *random;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_dpsgd *step;
    uint32_t units[200];
};

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

static sotto_training training_of(uint64_t discriminator_steps, double rate)
{
    sotto_training training = {.batch = 100,
                               .steps = 200,
                               .discriminator_steps = discriminator_steps,
                               .learning_rate = rate,
                               .generator_learning_rate = 1e-3,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    return training;
}

static void begin(struct run *run, int shift, const char *section, const sotto_training *training)
{
    *run = (struct run){.path = "/tmp/sotto-test-XXXXXX", .random = test_random()};
    close(mkstemp(run->path));
    write_table(run->path, shift);
    ck_assert_int_eq(try_model(&run->scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_table_load(&run->table, run->scene.schema, run->path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&run->data, run->scene.encoder, run->table, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e9, 1e-5, &run->budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(run->scene.model, training, run->random, NULL), SOTTO_OK);
    sotto_model_data(run->scene.model, run->data);
    for (uint32_t i = 0; i < 200; i++)
        run->units[i] = i;
    const sotto_model_private wanted = sotto_model_private_wanted(run->scene.model);
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 1.0},
                                   .public_units = 200,
                                   .label = wanted.label,
                                   .optimizer = training->optimizer,
                                   .schedule = {.rate = training->learning_rate, .steps = training->steps},
                                   .threads = 2,
                                   .units = {.rows = run->units, .count = 200},
                                   .weights = wanted.weights,
                                   .parameters = wanted.parameters,
                                   .budget = run->budget,
                                   .random = run->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 0.5, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&run->step, &options, NULL), SOTTO_OK);
}

static void take(struct run *run, int steps)
{
    for (int i = 0; i < steps; i++)
        ck_assert_int_eq(sotto_model_step(run->scene.model, run->step, NULL), SOTTO_OK);
}

static gan *model_of(const struct run *run)
{
    return (gan *)run->scene.model;
}

static void end(struct run *run)
{
    sotto_dpsgd_destroy(run->step);
    sotto_budget_destroy(run->budget);
    sotto_encoded_destroy(run->data);
    sotto_table_destroy(run->table);
    close_scene(&run->scene);
    sotto_random_destroy(run->random);
    unlink(run->path);
}

/* ---- the ladder ---- */

START_TEST(the_ladder_has_its_rungs)
{
    static const uint64_t rungs[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                     500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
    gan_ladder ladder = gan_ladder_make(0, 1000000);
    ck_assert_uint_eq(ladder.wait, 200);
    ck_assert_double_eq(ladder.decay, 0.99);
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        ck_assert_uint_eq(ladder.steps, rungs[i]);
        for (int k = 0; k < 199; k++)
            gan_ladder_tell(&ladder, 0.5);
        ck_assert_uint_eq(ladder.steps, rungs[i]); /* one too few */
        gan_ladder_tell(&ladder, 0.5);
    }
    ck_assert_uint_eq(ladder.steps, 100000);
}
END_TEST

START_TEST(the_ladder_rests_while_fakes_are_found_out)
{
    gan_ladder ladder = gan_ladder_make(0, 500);
    ck_assert_uint_eq(ladder.wait, 25);
    ck_assert_uint_eq(gan_ladder_make(0, 30).wait, 10);
    for (int k = 0; k < 1000; k++)
        gan_ladder_tell(&ladder, 0.9);
    ck_assert_uint_eq(ladder.steps, 1);
    ck_assert_double_eq_tol(ladder.accuracy, 0.9, 1e-12);
    int steps = 0;
    double average = 0.9;
    while (ladder.steps == 1) {
        gan_ladder_tell(&ladder, 0.2);
        average = 0.92 * average + 0.08 * 0.2;
        steps++;
    }
    ck_assert_double_eq_tol(ladder.accuracy, average, 1e-12);
    ck_assert_double_le(average, 0.65);
    ck_assert_int_eq(steps, 6); /* 0.2 + 0.7·0.92⁵ = 0.661, and a step later 0.624 */
    for (int k = 0; k < 24; k++)
        gan_ladder_tell(&ladder, 0.2);
    ck_assert_uint_eq(ladder.steps, 2); /* it waits again after each move */
    gan_ladder fixed = gan_ladder_make(3, 500);
    for (int k = 0; k < 500; k++)
        gan_ladder_tell(&fixed, 0.0);
    ck_assert_uint_eq(fixed.steps, 3);
    const bool turns[] = {gan_ladder_turn(&fixed), gan_ladder_turn(&fixed), gan_ladder_turn(&fixed),
                          gan_ladder_turn(&fixed)};
    ck_assert(!turns[0] && !turns[1] && turns[2] && !turns[3]);
}
END_TEST

/* Give the discriminator something to say, and train it at rate 0: real rows then move no parameter. */
static void freeze_discriminator(struct run *run)
{
    const sotto_model_private wanted = sotto_model_private_wanted(run->scene.model);
    const size_t count = sotto_network_parameters(wanted.network);
    for (size_t i = count - 129; i + 1 < count; i++) /* the weights of the last layer */
        wanted.parameters[i] = 0.3f * sinf((float)(i + 129 - count) * 1.3f);
    sotto_weights_refresh(wanted.weights);
}

/* P6: where real rows move no parameter, they do not move the ladder either, whatever they are. */
START_TEST(the_ladder_looks_at_fakes_alone)
{
    const sotto_training training = training_of(0, 0.0);
    struct run one, other;
    begin(&one, 0, "{marginals: {tables: none}}", &training);
    begin(&other, 1, "{marginals: {tables: none}}", &training);
    freeze_discriminator(&one);
    freeze_discriminator(&other);
    bool told_apart = false;
    double accuracy = 0.0;
    for (int i = 0; i < 60; i++) {
        take(&one, 1);
        take(&other, 1);
        const gan_ladder *a = &model_of(&one)->ladder, *b = &model_of(&other)->ladder;
        ck_assert_double_eq(a->accuracy, b->accuracy);
        ck_assert_uint_eq(a->steps, b->steps);
        ck_assert_uint_eq(a->since, b->since);
        told_apart = told_apart || model_of(&one)->losses.real != model_of(&other)->losses.real;
        accuracy = a->accuracy;
    }
    ck_assert(told_apart);
    ck_assert(accuracy > 0.0 && accuracy < 1.0);
    end(&one);
    end(&other);
}
END_TEST

/* The average is that of the fakes of each generator step; a discriminator that calls nothing a fake makes
 * the ladder climb, and the generator's turns become rarer. */
START_TEST(a_blind_discriminator_gets_more_steps)
{
    const sotto_training training = training_of(0, 0.0);
    struct run run;
    begin(&run, 0, "{marginals: {tables: none}}", &training);
    take(&run, 10); /* its outputs are all 0: it finds nobody out */
    const gan_ladder *ladder = &model_of(&run)->ladder;
    ck_assert_double_eq(ladder->accuracy, 0.0);
    ck_assert_uint_eq(ladder->steps, 2);
    take(&run, 19);
    ck_assert_uint_eq(ladder->since, 9);
    take(&run, 1);
    ck_assert_uint_eq(ladder->steps, 5);
    end(&run);
}
END_TEST

START_TEST(a_ladder_needs_a_discriminator_that_names_fakes)
{
    static const struct {
        const char *section, *words;
    } cases[] = {{"{loss: wasserstein}", "Wasserstein critic calls none a fake"},
                 {"{type: vae}", "auto is for `type: gan`"}};
    const sotto_training ladder = training_of(0, 1e-3), fixed = training_of(1, 1e-3);
    for (size_t i = 0; i < 2; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_int_eq(try_model(&scene, cases[i].section, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_model_fits(scene.model, &ladder, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, cases[i].words));
        ck_assert_int_eq(sotto_model_fits(scene.model, &fixed, NULL), SOTTO_OK);
        close_scene(&scene);
    }
}
END_TEST

/* ---- health ---- */

static sotto_model_health look(sotto_health *health)
{
    sotto_model_health seen;
    ck_assert_int_eq(sotto_health_examine(health, &seen, NULL), SOTTO_OK);
    return seen;
}

static sotto_health *health_of(struct run *run)
{
    sotto_health *health;
    ck_assert_int_eq(sotto_health_create(&health, run->scene.model, run->random, NULL), SOTTO_OK);
    return health;
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* P6: where real rows move no parameter, they move nothing that decides whether a run goes on. */
START_TEST(health_looks_at_what_is_private_already)
{
    const sotto_training training = training_of(2, 0.0);
    struct run one, other;
    begin(&one, 0, "{marginals: {tables: none}}", &training);
    begin(&other, 1, "{marginals: {tables: none}}", &training);
    freeze_discriminator(&one);
    freeze_discriminator(&other);
    sotto_health *first = health_of(&one), *second = health_of(&other);
    bool told_apart = false;
    for (int i = 0; i < 12; i++) {
        take(&one, 1);
        take(&other, 1);
        const sotto_model_health a = look(first), b = look(second);
        ck_assert(same(a.parameters, b.parameters) && same(a.entropy, b.entropy));
        ck_assert(same(a.distance, b.distance) && same(a.distinct, b.distinct));
        ck_assert(same(a.wanted_entropy, b.wanted_entropy));
        told_apart = told_apart || model_of(&one)->losses.real != model_of(&other)->losses.real;
    }
    ck_assert(told_apart);
    ck_assert_ptr_null(sotto_health_verdict(first));
    sotto_health_destroy(first);
    sotto_health_destroy(second);
    end(&one);
    end(&other);
}
END_TEST

/* Training goes on as if nobody had looked. */
START_TEST(looking_changes_nothing)
{
    const sotto_training training = training_of(1, 1e-3);
    struct run seen, unseen;
    begin(&seen, 0, "{target: label, marginals: {tables: label}}", &training);
    begin(&unseen, 0, "{target: label, marginals: {tables: label}}", &training);
    sotto_health *healths[] = {health_of(&seen), health_of(&unseen)};
    for (int i = 0; i < 5; i++) {
        take(&seen, 1);
        take(&unseen, 1);
        (void)look(healths[0]);
    }
    size_t count;
    const float *a = seen.scene.model->kind->released(seen.scene.model, &count);
    const float *b = unseen.scene.model->kind->released(unseen.scene.model, &count);
    ck_assert_mem_eq(a, b, count * sizeof *a);
    sotto_health_destroy(healths[0]);
    sotto_health_destroy(healths[1]);
    end(&seen);
    end(&unseen);
}
END_TEST

/* Parameters end a run at once, be they of the network that is trained privately or of the one released. */
START_TEST(parameters_that_explode_end_a_run)
{
    static const float values[] = {101.0f, NAN, INFINITY};
    const sotto_training training = training_of(1, 1e-3);
    for (size_t k = 0; k < 6; k++) {
        struct run run;
        begin(&run, 0, "{marginals: {tables: none}}", &training);
        sotto_health *health = health_of(&run);
        size_t count;
        float *released = run.scene.model->kind->released(run.scene.model, &count);
        const sotto_model_private wanted = sotto_model_private_wanted(run.scene.model);
        float *parameters = k < 3 ? released : wanted.parameters;
        count = k < 3 ? count : sotto_network_parameters(wanted.network);
        (void)look(health);
        ck_assert_ptr_null(sotto_health_verdict(health));
        for (size_t i = 0; i < (k % 3 ? 1 : count); i++)
            parameters[i] = values[k % 3];
        (void)look(health);
        const char *verdict = sotto_health_verdict(health);
        ck_assert_ptr_nonnull(verdict);
        ck_assert_ptr_nonnull(strstr(verdict, k % 3 ? "no numbers" : "grown to 101"));
        sotto_health_destroy(health);
        end(&run);
    }
}
END_TEST

/* Set the generator that rows are drawn from: slot `slot` of each block nearly always, or any slot alike. */
static void set_rows(struct run *run, bool collapsed, size_t slot)
{
    gan *model = model_of(run);
    const size_t count = sotto_network_parameters(model->generator);
    memset(model->average, 0, count * sizeof *model->average);
    for (size_t b = 0; b < model->blocks && collapsed; b++) {
        const sotto_block *block = sotto_encoder_block(run->scene.encoder, b);
        model->average[count - model->width + block->slot_offset + (slot < block->slot_count ? slot : 0)] =
            30.0f;
    }
}

/* Counts in which each slot of a column is as frequent as the next, or the first alone is there. */
static void give_counts(struct run *run, bool constant)
{
    const sotto_model_counts wanted = sotto_model_counts_wanted(run->scene.model);
    double counts[400] = {0};
    for (size_t t = 0, at = 0; t < wanted.query.tables; at += wanted.query.table_size[t++])
        for (size_t s = 0; s < wanted.query.table_size[t]; s++)
            counts[at + s] = constant ? (s == 0) * 1000.0 : 1000.0 / (double)wanted.query.table_size[t];
    ck_assert_int_eq(sotto_model_counts_give(run->scene.model, counts, NULL), SOTTO_OK);
}

/* Rows that collapse end a run at the fifth look in a row, and no sooner; they may recover. */
START_TEST(rows_that_collapse_end_a_run)
{
    static const char *const sections[] = {"{marginals: {tables: none}}", "{}"};
    const sotto_training training = training_of(1, 1e-3);
    for (size_t k = 0; k < 2; k++) {
        struct run run;
        begin(&run, 0, sections[k], &training);
        if (k == 1)
            give_counts(&run, false);
        sotto_health *health = health_of(&run);
        set_rows(&run, false, 0);
        ck_assert_double_gt(look(health).distinct, 0.1);
        for (int i = 0; i < 9; i++) {
            set_rows(&run, i != 4, 1); /* four looks, a recovery, four looks */
            (void)look(health);
            ck_assert_ptr_null(sotto_health_verdict(health));
        }
        const sotto_model_health seen = look(health);
        ck_assert_double_lt(seen.entropy, 0.01);
        ck_assert(k == 1 ? seen.distance > 0.5 && seen.wanted_entropy > 1.0 : isnan(seen.distance));
        ck_assert_ptr_nonnull(sotto_health_verdict(health));
        sotto_health_destroy(health);
        end(&run);
    }
}
END_TEST

/* Where noisy counts say that all rows are alike, rows that are alike are right; where they say which, rows
 * of another kind are wrong, though not before they have moved there. */
START_TEST(noisy_counts_say_what_rows_should_be)
{
    const sotto_training training = training_of(1, 1e-3);
    struct run run;
    begin(&run, 0, "{}", &training);
    give_counts(&run, true);
    sotto_health *health = health_of(&run);
    set_rows(&run, true, 0);
    for (int i = 0; i < 10; i++)
        ck_assert_double_lt(look(health).distance, 0.01);
    ck_assert_ptr_null(sotto_health_verdict(health));
    set_rows(&run, true, 1);
    for (int i = 0; i < 4; i++)
        ck_assert_double_gt(look(health).distance, 0.99);
    ck_assert_ptr_null(sotto_health_verdict(health));
    (void)look(health);
    ck_assert_ptr_nonnull(strstr(sotto_health_verdict(health), "far from the noisy counts"));
    sotto_health_destroy(health);
    end(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-gan");
    TCase *tests = tcase_create("models-gan");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_ladder_has_its_rungs);
    tcase_add_test(tests, the_ladder_rests_while_fakes_are_found_out);
    tcase_add_test(tests, the_ladder_looks_at_fakes_alone);
    tcase_add_test(tests, a_blind_discriminator_gets_more_steps);
    tcase_add_test(tests, a_ladder_needs_a_discriminator_that_names_fakes);
    tcase_add_test(tests, health_looks_at_what_is_private_already);
    tcase_add_test(tests, looking_changes_nothing);
    tcase_add_test(tests, parameters_that_explode_end_a_run);
    tcase_add_test(tests, rows_that_collapse_end_a_run);
    tcase_add_test(tests, noisy_counts_say_what_rows_should_be);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
