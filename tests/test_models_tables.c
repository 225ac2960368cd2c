/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The models of counts alone: what is counted comes out, given the label, and files survive. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"
#include "test_models.h"

/* The counts of a made-up law: under label k the slots of a table go as (s + 1), or evenly. */
static void make_counts(const sotto_model_counts *wanted, size_t classes, double *counts)
{
    for (size_t t = 0; t < wanted->query.tables; t++) {
        const size_t slots = wanted->query.table_size[t] / classes;
        for (size_t k = 0; k < classes; k++)
            for (size_t s = 0; s < slots; s++)
                *counts++ = k == 0 ? 1000.0 * (double)(s + 1) / (double)(slots * (slots + 1) / 2)
                                   : 3000.0 / (double)slots;
    }
}

/*
 * χ² of 20,000 draws of every block under each label against the law; the critical value holds a false alarm
 * to about 1e-7 for each of the fixed seed's blocks.
 */
static void expect_law(struct scene *scene, size_t classes)
{
    enum { DRAWS = 20000 };
    sotto_random *random = test_random();
    sotto_stream *stream;
    const size_t blocks = sotto_encoder_block_count(scene->encoder);
    const size_t target = sotto_model_target(scene->model);
    uint16_t *slots = calloc(SOTTO_MODEL_ROWS * blocks, sizeof *slots);
    float *values = calloc(SOTTO_MODEL_ROWS * blocks, sizeof *values);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    for (size_t k = 0; k < classes; k++) {
        double seen[8][32] = {{0}};
        for (size_t done = 0; done < DRAWS; done += 1000) {
            ck_assert_int_eq(sotto_model_sample(scene->model, stream, target == SOTTO_NONE ? SOTTO_NONE : k,
                                                1000, slots, values, NULL),
                             SOTTO_OK);
            for (size_t i = 0; i < 1000 * blocks; i++)
                seen[i % blocks][slots[i]]++;
        }
        for (size_t b = 0; b < blocks; b++) {
            const size_t n = sotto_encoder_block(scene->encoder, b)->slot_count;
            double chi2 = 0;
            if (b == target) {
                ck_assert_double_eq(seen[b][k], DRAWS);
                continue;
            }
            for (size_t s = 0; s < n; s++) {
                const double wanted =
                    DRAWS * (k == 0 ? (double)(s + 1) / (double)(n * (n + 1) / 2) : 1.0 / (double)n);
                chi2 += pow(seen[b][s] - wanted, 2) / wanted;
            }
            ck_assert_double_lt(chi2, (double)n + 6 * sqrt(2.0 * (double)n) + 15);
        }
    }
    free(slots);
    free(values);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}

static const char *const sections[] = {"{type: independent}", "{type: per-label, target: label}"};

START_TEST(what_was_counted_is_what_is_drawn)
{
    struct scene scene;
    double counts[200];
    const size_t classes = _i ? 2 : 1;
    ck_assert_int_eq(try_model(&scene, sections[_i], NULL), SOTTO_OK);
    ck_assert(!sotto_model_takes_steps(scene.model));
    const sotto_model_counts wanted = sotto_model_counts_wanted(scene.model);
    ck_assert_uint_eq(wanted.query.tables, _i ? 3 : 4);
    sotto_model_release release[SOTTO_MODEL_RELEASES];
    ck_assert_uint_eq(sotto_model_releases(scene.model, release), 1);
    ck_assert_double_eq(release[0].share, 1.0);
    make_counts(&wanted, classes, counts);
    ck_assert_int_eq(sotto_model_counts_give(scene.model, counts, NULL), SOTTO_OK);
    expect_law(&scene, classes);
    size_t known;
    const double *frequency = scene.model->kind->frequencies(scene.model, &known);
    ck_assert_uint_eq(known, classes);
    ck_assert_double_eq_tol(frequency[0], _i ? 0.25 : 1.0, 1e-9);

    /* And as well from the model's file. */
    char *bytes;
    size_t length;
    char path[] = "/tmp/sotto-tables-XXXXXX";
    const sotto_model_facts facts = {.epsilon = 1, .delta = 1e-5, .not_private = ""};
    ck_assert_int_eq(sotto_model_save(scene.model, &facts, &bytes, &length, NULL), SOTTO_OK);
    ck_assert_int_ge(close(mkstemp(path)), 0);
    ck_assert_int_eq(sotto_file_write(path, 0600, bytes, length, NULL), SOTTO_OK);
    sotto_saved_model saved;
    sotto_error err = {0};
    ck_assert_msg(sotto_model_load(&saved, path, 1, &err) == SOTTO_OK, "%s", err.message);
    struct scene read = {.encoder = saved.encoder, .model = saved.model};
    expect_law(&read, classes);
    sotto_saved_model_destroy(&saved);
    (void)unlink(path);
    free(bytes);
    close_scene(&scene);
}
END_TEST

/* Counts that are all noise still give a law: nothing below 0, nothing that is not a number. */
START_TEST(counts_below_zero_give_a_law)
{
    struct scene scene;
    double counts[200];
    ck_assert_int_eq(try_model(&scene, sections[_i], NULL), SOTTO_OK);
    for (size_t i = 0; i < 200; i++)
        counts[i] = -5.0 - (double)(i % 7);
    ck_assert_int_eq(sotto_model_counts_give(scene.model, counts, NULL), SOTTO_OK);
    size_t count;
    const float *frequency = scene.model->kind->released(scene.model, &count);
    for (size_t k = 0; k < (_i ? 2U : 1U); k++)
        for (size_t b = 0; b < sotto_encoder_block_count(scene.encoder); b++) {
            const sotto_block *block = sotto_encoder_block(scene.encoder, b);
            double sum = 0;
            for (size_t s = 0; s < block->slot_count; s++) {
                const float one = frequency[k * sotto_encoder_width(scene.encoder) + block->slot_offset + s];
                ck_assert(one >= 0.0f && one <= 1.0f);
                sum += (double)one;
            }
            ck_assert_double_eq_tol(sum, 1.0, 1e-5);
        }
    close_scene(&scene);
}
END_TEST

/* A file whose numbers are no frequencies is refused, not sampled from. */
START_TEST(files_without_frequencies_are_refused)
{
    struct scene scene;
    double counts[200];
    ck_assert_int_eq(try_model(&scene, sections[1], NULL), SOTTO_OK);
    const sotto_model_counts wanted = sotto_model_counts_wanted(scene.model);
    make_counts(&wanted, 2, counts);
    for (int how = 0; how < 2; how++) {
        ck_assert_int_eq(sotto_model_counts_give(scene.model, counts, NULL), SOTTO_OK);
        size_t count;
        float *frequency = scene.model->kind->released(scene.model, &count);
        for (size_t i = 0; i < count; i++)
            frequency[i] = how ? 0.0f : i == 3 ? -0.25f : frequency[i];
        char *bytes;
        size_t length;
        char path[] = "/tmp/sotto-tables-XXXXXX";
        const sotto_model_facts facts = {.epsilon = 1, .delta = 1e-5, .not_private = ""};
        ck_assert_int_eq(sotto_model_save(scene.model, &facts, &bytes, &length, NULL), SOTTO_OK);
        ck_assert_int_ge(close(mkstemp(path)), 0);
        ck_assert_int_eq(sotto_file_write(path, 0600, bytes, length, NULL), SOTTO_OK);
        sotto_saved_model saved;
        ck_assert_int_eq(sotto_model_load(&saved, path, 1, NULL), SOTTO_ERROR_INPUT);
        (void)unlink(path);
        free(bytes);
    }
    close_scene(&scene);
}
END_TEST

/* The door lets through what was declared and nothing else; what it refuses is not charged. */
START_TEST(the_door_refuses_what_was_not_declared)
{
    struct scene scene;
    sotto_mechanism mechanism;
    sotto_budget *budget;
    sotto_random *random = test_random();
    sotto_model_release releases[SOTTO_MODEL_RELEASES];
    uint64_t made[SOTTO_MODEL_RELEASES] = {0};
    double counts[200];
    size_t charges;
    ck_assert_int_eq(try_model(&scene, sections[0], NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 10, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 10, 1e-5, &budget, NULL), SOTTO_OK);
    sotto_release_door door = {.count = sotto_model_releases(scene.model, releases),
                               .releases = releases,
                               .mechanisms = &mechanism,
                               .made = made,
                               .budget = budget,
                               .random = random};
    const sotto_model_counts wanted = sotto_model_counts_wanted(scene.model);
    sotto_counts_query fewer = wanted.query;
    fewer.tables--;
    ck_assert_int_eq(sotto_release_counts(&door, 0, &fewer, counts, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_release_counts(&door, 1, &wanted.query, counts, NULL), SOTTO_ERROR_INPUT);
    releases[0].cells--;
    ck_assert_int_eq(sotto_release_counts(&door, 0, &wanted.query, counts, NULL), SOTTO_ERROR_INPUT);
    (void)sotto_budget_charges(budget, &charges);
    ck_assert_uint_eq(charges, 0);
    releases[0].cells++;
    ck_assert_int_eq(sotto_model_learn(scene.model, &door, NULL), SOTTO_OK); /* a table of no rows */
    (void)sotto_budget_charges(budget, &charges);
    ck_assert_uint_eq(charges, 1);
    ck_assert_int_eq(sotto_release_counts(&door, 0, &wanted.query, counts, NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(sotto_budget_charges(budget, &charges)[0].count, 1); /* once, as declared */
    ck_assert_double_eq_tol(sotto_release_deviation(&door, 0), 20, 1e-12);
    sotto_budget_destroy(budget);
    sotto_random_destroy(random);
    close_scene(&scene);
}
END_TEST

static const struct {
    const char *section, *words;
} wrong[] = {
    {"{type: independent, target: label}", "on its own"},
    {"{type: independent, target: nothing}", "no column"},
    {"{type: independent, numbers: binned}", "numbers"},
    {"{type: per-label}", "model.target is missing"},
    {"{type: per-label, target: none}", "model.target is missing"},
    {"{type: per-label, target: age}", "category"},
    {"{type: per-label, target: label, share: 0.5}", "share"},
};

START_TEST(sections_that_cannot_be_are_refused)
{
    struct scene scene;
    sotto_error err = {0};
    ck_assert_int_eq(try_model(&scene, wrong[_i].section, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s", err.message);
    close_scene(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-tables");
    TCase *tests = tcase_create("tables");
    tcase_add_loop_test(tests, what_was_counted_is_what_is_drawn, 0, 2);
    tcase_add_loop_test(tests, counts_below_zero_give_a_law, 0, 2);
    tcase_add_test(tests, files_without_frequencies_are_refused);
    tcase_add_test(tests, the_door_refuses_what_was_not_declared);
    tcase_add_loop_test(tests, sections_that_cannot_be_are_refused, 0, sizeof wrong / sizeof *wrong);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
