/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The adversarial network under a gradient penalty: one example is a row, its fake, and what is asked between
 * them. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

enum { ROWS = 200, LAMBDA = 3 };

static const char *const sections[] = {
    "{target: label, loss: wasserstein, gradient_penalty: 3, marginals: {tables: label}, generator: {hidden: [8]},\n"
    " discriminator: {hidden: [5, 4], activation: tanh}}",
    "{loss: wasserstein, gradient_penalty: 3, marginals: {tables: none}, numbers: bounded, generator: {hidden: [8]},\n"
    " discriminator: {hidden: [6, 6], activation: silu, layer_norm: true, residual: true}}",
};
enum { SECTIONS = sizeof sections / sizeof *sections };

/* ---- a training ---- */

struct wish {
    const char *section;
    int shift;    /* of the table */
    size_t odd;   /* a row that differs, or SIZE_MAX */
    size_t units; /* of ROWS may be sampled */
    double sample_rate, noise_multiplier, rate;
    bool exact;
};

static const struct wish usual = {
    .section = "", .odd = SIZE_MAX, .units = ROWS, .sample_rate = 1.0, .noise_multiplier = 0.5, .rate = 1.0};

struct bench {
    char path[24];
    struct scene scene;
    gan *model;
    sotto_random *random;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_dpsgd *step;
    uint32_t units[ROWS];
};

static void write_table(const struct wish *wish, const char *path)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (int i = 0; i < ROWS; i++) {
        const int k = (size_t)i == wish->odd ? i + 51 : i + wish->shift;
        (void)fprintf(file, "%d,%s,%s,p%d,%s\n", k * 7 % 100, k % 3 ? "0" : "12.5", k % 4 ? "a" : "?", i,
                      k % 2 ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* A critic whose weights are not those before training, where it has no gradient. */
static void stir(struct bench *bench)
{
    const size_t count = sotto_network_parameters(bench->model->discriminator);
    for (size_t j = 0; j < count; j++)
        bench->model->discriminator_parameters[j] += 0.4f * sinf(1.3f * (float)j + 0.2f);
    sotto_weights_refresh(bench->model->discriminator_weights);
}

static void open_bench(struct bench *bench, const struct wish *wish)
{
    sotto_training training = {.batch = 90,
                               .steps = 20,
                               .discriminator_steps = 2,
                               .learning_rate = wish->rate,
                               .generator_learning_rate = 1e-3,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD);
    training.optimizer.momentum = 0.0;
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    *bench = (struct bench){.path = "/tmp/sotto-test-XXXXXX", .random = test_random()};
    close(mkstemp(bench->path));
    write_table(wish, bench->path);
    ck_assert_int_eq(try_model(&bench->scene, wish->section, NULL), SOTTO_OK);
    bench->model = (gan *)bench->scene.model;
    ck_assert_int_eq(sotto_table_load(&bench->table, bench->scene.schema, bench->path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&bench->data, bench->scene.encoder, bench->table, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e9, 1e-5, &bench->budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(bench->scene.model, &training, bench->random, NULL), SOTTO_OK);
    sotto_model_data(bench->scene.model, bench->data);
    stir(bench);
    for (uint32_t i = 0; i < ROWS; i++)
        bench->units[i] = i;
    const sotto_model_private wanted = sotto_model_private_wanted(bench->scene.model);
    ck_assert_uint_eq(wanted.views, GAN_PAIR_ROWS);
    ck_assert_uint_eq(wanted.penalties, 1);
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 1.0},
                                   .arithmetic =
                                       wish->exact ? SOTTO_ARITHMETIC_EXACT : SOTTO_ARITHMETIC_FLOAT,
                                   .views = wanted.views,
                                   .penalties = wanted.penalties,
                                   .public_units = ROWS,
                                   .label = wanted.label,
                                   .optimizer = training.optimizer,
                                   .schedule = {.rate = wish->rate, .steps = 20},
                                   .threads = 2,
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

static void close_bench(struct bench *bench)
{
    sotto_dpsgd_destroy(bench->step);
    sotto_budget_destroy(bench->budget);
    sotto_encoded_destroy(bench->data);
    sotto_table_destroy(bench->table);
    close_scene(&bench->scene);
    sotto_random_destroy(bench->random);
    unlink(bench->path);
}

static float *copy_of(const float *values, size_t count)
{
    float *copy = malloc(count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

/* What a few steps leave of the critic, or of the released generator. */
static float *trained(const struct wish *wish, int steps, bool released, size_t *count)
{
    struct bench bench;
    open_bench(&bench, wish);
    for (int i = 0; i < steps; i++)
        ck_assert_int_eq(sotto_model_step(bench.scene.model, bench.step, NULL), SOTTO_OK);
    const float *values = bench.scene.model->kind->released(bench.scene.model, count);
    if (!released) {
        values = bench.model->discriminator_parameters;
        *count = sotto_network_parameters(bench.model->discriminator);
    }
    float *copy = copy_of(values, *count);
    close_bench(&bench);
    return copy;
}

/* ---- one example ---- */

/* A workspace with the examples of these units, after the pass. */
static sotto_workspace *passed(struct bench *bench, const uint32_t *units, const uint64_t *seeds,
                               size_t count, size_t room)
{
    sotto_workspace *workspace;
    gan *model = bench->model;
    ck_assert_int_eq(sotto_workspace_create(&workspace, model->discriminator, room, GAN_PAIR_ROWS, NULL),
                     SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_penalty(workspace, 1, NULL), SOTTO_OK);
    sotto_workspace_use(workspace, count);
    for (size_t i = 0; i < count; i++)
        sotto_workspace_seeds(workspace)[i * GAN_PAIR_ROWS] = seeds[i];
    const sotto_chunk chunk = {
        .units = units, .unit_count = count, .views = GAN_PAIR_ROWS, .workspace = workspace};
    gan_pairs_pass(model, model->discriminator_weights, &chunk);
    return workspace;
}

static void make_fakes(struct bench *bench)
{
    gan *model = bench->model;
    gan_batch_draw(model, &model->batch, model->stream, NULL, 90);
    gan_generate(model, model->generator_weights, &model->batch, 90, false);
    gan_pairs_sort(model, 90);
}

/* −D(real) + D(fake) + λ(‖∇D(between)‖ − 1)² of three given rows, by passes without a penalty. */
static double loss_of(gan *model, sotto_workspace *plain, const float *rows, const uint16_t *classes)
{
    const size_t width = model->width;
    double norm2 = 0;
    memcpy(sotto_workspace_input(plain), rows, GAN_PAIR_ROWS * width * sizeof *rows);
    memcpy(sotto_workspace_classes(plain), classes, GAN_PAIR_ROWS * sizeof *classes);
    const float *out = sotto_network_forward(model->discriminator_weights, plain);
    const double ends = (double)out[1] - (double)out[0];
    for (size_t i = 0; i < GAN_PAIR_ROWS; i++)
        sotto_workspace_output_gradient(plain)[i] = 1.0f;
    sotto_network_backward(model->discriminator_weights, plain, true);
    const float *gradient = sotto_workspace_input_gradient(plain) + 2 * width;
    for (size_t j = 0; j < width; j++)
        norm2 += (double)gradient[j] * (double)gradient[j];
    return ends + LAMBDA * (sqrt(norm2) - 1) * (sqrt(norm2) - 1);
}

/* The gradient that is clipped is that of the whole example's loss, penalty and all. Central differences over
 * 2⁻⁷ of float32 values; they agree to about 1e-4. */
START_TEST(the_gradient_is_that_of_the_whole_loss)
{
    struct bench bench;
    struct wish wish = usual;
    const uint32_t unit = 17;
    const uint64_t seed = 0x123456789abcdefu;
    wish.section = sections[_i];
    open_bench(&bench, &wish);
    gan *model = bench.model;
    make_fakes(&bench);
    sotto_workspace *workspace = passed(&bench, &unit, &seed, 1, 1), *plain;
    const size_t count = sotto_network_parameters(model->discriminator);
    float *rows = copy_of(sotto_workspace_input(workspace), GAN_PAIR_ROWS * model->width);
    float *gradient = calloc(count, sizeof *gradient), *parameters = model->discriminator_parameters;
    ck_assert_ptr_nonnull(gradient);
    sotto_network_weighted_gradient(model->discriminator, workspace, NULL, false, gradient, false);
    ck_assert_int_eq(sotto_workspace_create(&plain, model->discriminator, GAN_PAIR_ROWS, 1, NULL), SOTTO_OK);
    double largest = 0;
    for (size_t j = 0; j < count; j++) {
        const float kept = parameters[j];
        double loss[2];
        for (int side = 0; side < 2; side++) {
            parameters[j] = kept + (side ? 0x1p-8f : -0x1p-8f);
            sotto_weights_refresh(model->discriminator_weights);
            loss[side] = loss_of(model, plain, rows, sotto_workspace_classes(workspace));
        }
        parameters[j] = kept;
        const double wanted = (loss[1] - loss[0]) / 0x1p-7;
        ck_assert_double_eq_tol((double)gradient[j], wanted, 2e-3 * (1 + fabs(wanted)));
        largest = fmax(largest, fabs(wanted));
    }
    ck_assert_double_gt(largest, 0.5);
    sotto_workspace_destroy(workspace);
    sotto_workspace_destroy(plain);
    free(gradient);
    free(rows);
    close_bench(&bench);
}
END_TEST

/* Real, fake and between: the first is the table's row, the second a fake of its label, the third lies on the
 * line. */
START_TEST(an_example_is_a_row_its_fake_and_one_between)
{
    enum { COUNT = 60 };
    struct bench bench;
    struct wish wish = usual;
    uint64_t seeds[COUNT];
    double sum = 0;
    wish.section = sections[_i];
    open_bench(&bench, &wish);
    gan *model = bench.model;
    const size_t width = model->width;
    make_fakes(&bench);
    for (size_t i = 0; i < COUNT; i++)
        seeds[i] = sotto_stream_u64(model->stream);
    sotto_workspace *workspace = passed(&bench, bench.units, seeds, COUNT, COUNT);
    const float *x = sotto_workspace_input(workspace);
    const uint16_t *classes = sotto_workspace_classes(workspace);
    for (size_t i = 0; i < COUNT; i++, x += GAN_PAIR_ROWS * width, classes += GAN_PAIR_ROWS) {
        const size_t label = model->target_block == SOTTO_NONE
                                 ? 0
                                 : sotto_encoded_slot(bench.data, (uint32_t)i, model->target_block);
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(bench.scene.encoder, b);
            if (block->slot_count > 0)
                ck_assert_float_eq(x[block->slot_offset + sotto_encoded_slot(bench.data, (uint32_t)i, b)],
                                   1.0f);
            if (block->has_value)
                ck_assert_float_eq(x[block->value_offset], sotto_encoded_value(bench.data, (uint32_t)i, b));
        }
        const size_t fake = gan_pairs_fake(model, label, seeds[i]);
        ck_assert_mem_eq(x + width, model->batch.x + fake * width, width * sizeof *x);
        for (size_t v = 0; v < GAN_PAIR_ROWS; v++)
            ck_assert_uint_eq(classes[v], label);
        double place = NAN;
        for (size_t j = 0; j < width; j++)
            if (x[j] != x[width + j]) {
                const double here = (double)(x[2 * width + j] - x[width + j]) / (double)(x[j] - x[width + j]);
                ck_assert(isnan(place) || fabs(place - here) < 1e-5);
                place = here;
            }
        ck_assert(place > 0 && place < 1);
        sum += place / COUNT;
    }
    ck_assert_double_le(fabs(sum - 0.5), 6 * sqrt(1.0 / 12 / COUNT)); /* false-alarm rate 2e-9 */
    sotto_workspace_destroy(workspace);
    close_bench(&bench);
}
END_TEST

/* Every fake of a label is somebody's: χ² of 45,000 pairs over 90 fakes or fewer; 10 deviations above the
 * mean have a false-alarm rate below 1e-12. Where no fake has the label, any will do. */
START_TEST(fakes_are_paired_evenly)
{
    enum { PAIRS = 45000 };
    struct bench bench;
    struct wish wish = usual;
    size_t seen[90] = {0}, of_label = 0;
    double chi2 = 0;
    wish.section = sections[0];
    open_bench(&bench, &wish);
    gan *model = bench.model;
    make_fakes(&bench);
    for (size_t i = 0; i < PAIRS; i++)
        seen[gan_pairs_fake(model, 1, sotto_stream_u64(model->stream))]++;
    for (size_t i = 0; i < 90; i++)
        of_label += model->batch.labels[i] == 1;
    ck_assert(of_label > 10 && of_label < 80);
    for (size_t i = 0; i < 90; i++) {
        const double wanted = (double)PAIRS / (double)of_label;
        ck_assert(model->batch.labels[i] == 1 || seen[i] == 0);
        if (model->batch.labels[i] == 1)
            chi2 += ((double)seen[i] - wanted) * ((double)seen[i] - wanted) / wanted;
    }
    ck_assert_double_le(chi2, (double)of_label + 10 * sqrt(2.0 * (double)of_label));
    for (size_t i = 0; i < 90; i++)
        model->batch.labels[i] = 0;
    gan_pairs_sort(model, 90);
    bool others = false;
    for (size_t i = 0; i < 100; i++) {
        const size_t fake = gan_pairs_fake(model, 1, sotto_stream_u64(model->stream));
        ck_assert_uint_lt(fake, 90);
        others = others || fake > 45;
    }
    ck_assert(others);
    close_bench(&bench);
}
END_TEST

/* P5: what a unit contributes is decided by its own row and seed, not by its place or who else is there. */
START_TEST(a_unit_contributes_the_same_in_any_company)
{
    enum { COUNT = 20, AT = 13 };
    struct bench bench;
    struct wish wish = usual;
    uint32_t units[COUNT];
    uint64_t seeds[COUNT];
    wish.section = sections[_i];
    open_bench(&bench, &wish);
    make_fakes(&bench);
    for (uint32_t i = 0; i < COUNT; i++) {
        units[i] = 3 * i;
        seeds[i] = 77777 * (uint64_t)i + 5;
    }
    sotto_workspace *alone = passed(&bench, &units[AT], &seeds[AT], 1, COUNT);
    sotto_workspace *among = passed(&bench, units, seeds, COUNT, COUNT);
    const size_t width = GAN_PAIR_ROWS * bench.model->width,
                 blocks = sotto_network_blocks(bench.model->discriminator);
    ck_assert_mem_eq(sotto_workspace_input(alone), sotto_workspace_input(among) + AT * width,
                     width * sizeof(float));
    double one[16], all[16 * COUNT];
    ck_assert_uint_le(blocks, 16);
    sotto_network_squared_norms(bench.model->discriminator, alone, one);
    sotto_network_squared_norms(bench.model->discriminator, among, all);
    for (size_t block = 0; block < blocks; block++)
        ck_assert_double_eq_tol(one[block], all[block * COUNT + AT], 1e-5 * (1 + one[block]));
    sotto_workspace_destroy(alone);
    sotto_workspace_destroy(among);
    close_bench(&bench);
}
END_TEST

/* ---- steps ---- */

static double distance(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t j = 0; j < count; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

/*
 * P5, with all coins, draws and noise frozen: the last row of the table, which every step samples, there or
 * not moves what one step leaves by no more than C over the expected batch, with its fake and its penalty;
 * another row in its place by no more than twice that. The learning rate is 1, so what is left is what was
 * released.
 */
START_TEST(one_row_moves_a_step_by_at_most_the_bound)
{
    struct wish wish = usual;
    size_t count;
    wish.section = sections[_i / 2];
    wish.exact = _i % 2;
    float *with = trained(&wish, 1, false, &count);
    wish.units = ROWS - 1;
    float *without = trained(&wish, 1, false, &count);
    wish.units = ROWS;
    wish.odd = ROWS - 1;
    float *other = trained(&wish, 1, false, &count);
    const double bound = 1.0 / ROWS, rounding = 1e-4 / ROWS;
    ck_assert_double_le(distance(with, without, count), bound + rounding);
    ck_assert_double_gt(distance(with, without, count), 0.9 * bound); /* it is clipped, and seen */
    ck_assert_double_le(distance(with, other, count), 2.0 * bound + rounding);
    ck_assert_double_gt(distance(with, other, count), 0.02 * bound);
    free(with);
    free(without);
    free(other);
}
END_TEST

/* P1, P6: rows that are never sampled leave no trace, and rows that are leave one. */
START_TEST(rows_that_are_not_sampled_leave_no_trace)
{
    struct wish wish = usual;
    size_t count;
    wish.section = sections[_i];
    wish.rate = 1e-2;
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

/* What the penalty is for: with next to no noise, a critic that is too steep between rows and fakes becomes
 * less so.
 */
START_TEST(the_penalty_draws_the_gradient_towards_norm_1)
{
    struct bench bench;
    struct wish wish = usual;
    uint64_t seeds[20];
    double off[2] = {0};
    wish.section = sections[0];
    wish.noise_multiplier = 0.01;
    wish.rate = 0.1;
    open_bench(&bench, &wish);
    gan *model = bench.model;
    for (size_t j = 0; j < sotto_network_parameters(model->discriminator); j++)
        model->discriminator_parameters[j] *= 1.7f;
    sotto_weights_refresh(model->discriminator_weights);
    for (size_t i = 0; i < 20; i++)
        seeds[i] = sotto_stream_u64(model->stream);
    for (int after = 0; after < 2; after++) {
        for (int i = 0; after && i < 100; i++)
            ck_assert_int_eq(sotto_model_step(bench.scene.model, bench.step, NULL), SOTTO_OK);
        make_fakes(&bench);
        sotto_workspace *workspace = passed(&bench, bench.units, seeds, 20, 20), *plain;
        ck_assert_int_eq(sotto_workspace_create(&plain, model->discriminator, 60, 1, NULL), SOTTO_OK);
        memcpy(sotto_workspace_input(plain), sotto_workspace_input(workspace),
               60 * model->width * sizeof(float));
        memcpy(sotto_workspace_classes(plain), sotto_workspace_classes(workspace), 60 * sizeof(uint16_t));
        (void)sotto_network_forward(model->discriminator_weights, plain);
        for (size_t i = 0; i < 60; i++)
            sotto_workspace_output_gradient(plain)[i] = 1.0f;
        sotto_network_backward(model->discriminator_weights, plain, true);
        for (size_t i = 2; i < 60; i += GAN_PAIR_ROWS) {
            double norm2 = 0;
            for (size_t j = 0; j < model->width; j++)
                norm2 += pow((double)sotto_workspace_input_gradient(plain)[i * model->width + j], 2);
            off[after] += fabs(sqrt(norm2) - 1) / 20;
        }
        sotto_workspace_destroy(workspace);
        sotto_workspace_destroy(plain);
    }
    ck_assert_msg(off[1] < 0.7 * off[0], "off by %g, then by %g", off[0], off[1]);
    close_bench(&bench);
}
END_TEST

/* ---- sections ---- */

START_TEST(penalties_that_cannot_be_are_refused)
{
    static const struct {
        const char *section, *part;
    } cases[] = {
        {"{gradient_penalty: 10}", "model.loss non-saturating is after"},
        {"{loss: hinge, gradient_penalty: 10}", "write `loss: wasserstein`"},
        {"{loss: wasserstein, gradient_penalty: -1}", "model.gradient_penalty"},
        {"{loss: wasserstein, gradient_penalty: much}", "model.gradient_penalty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_msg(try_model(&scene, cases[i].section, &err) == SOTTO_ERROR_INPUT, "accepted %s",
                      cases[i].section);
        ck_assert_msg(strstr(err.message, cases[i].part) != NULL, "%s", err.message);
        close_scene(&scene);
    }
    static const char *const without[] = {"{loss: wasserstein}", "{loss: hinge, gradient_penalty: 0}",
                                          "{gradient_penalty: none}"};
    for (size_t i = 0; i < 3; i++) {
        struct scene scene;
        ck_assert_int_eq(try_model(&scene, without[i], NULL), SOTTO_OK);
        ck_assert_uint_eq(sotto_model_private_wanted(scene.model).views, 1);
        close_scene(&scene);
    }
}
END_TEST

START_TEST(a_penalty_survives_writing_and_reading)
{
    struct scene first, second;
    char *text;
    size_t length;
    ck_assert_int_eq(try_model(&first, sections[0], NULL), SOTTO_OK);
    FILE *file = open_memstream(&text, &length);
    ck_assert_ptr_nonnull(file);
    first.model->kind->format(first.model, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(try_model(&second, text, NULL), SOTTO_OK);
    ck_assert_double_eq(((gan *)second.model)->options.penalty, 3.0);
    free(text);
    close_scene(&first);
    close_scene(&second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-penalty");
    TCase *tests = tcase_create("penalty");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, the_gradient_is_that_of_the_whole_loss, 0, SECTIONS);
    tcase_add_loop_test(tests, an_example_is_a_row_its_fake_and_one_between, 0, SECTIONS);
    tcase_add_test(tests, fakes_are_paired_evenly);
    tcase_add_loop_test(tests, a_unit_contributes_the_same_in_any_company, 0, SECTIONS);
    tcase_add_loop_test(tests, one_row_moves_a_step_by_at_most_the_bound, 0, 2 * SECTIONS);
    tcase_add_loop_test(tests, rows_that_are_not_sampled_leave_no_trace, 0, SECTIONS);
    tcase_add_test(tests, the_penalty_draws_the_gradient_towards_norm_1);
    tcase_add_test(tests, penalties_that_cannot_be_are_refused);
    tcase_add_test(tests, a_penalty_survives_writing_and_reading);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
