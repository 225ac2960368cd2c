/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States of every kind of model: what goes on from one, and the rows it makes, is what would have been, given
 * the same streams; and no key is in it. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "streams.h"
#include "suite.h"
#include "test_state_scene.h"

enum { SOME = 6, DRAWN = 1000 };

/* Rows of a stream of a fixed seed: slots and values of all blocks. */
static void draw(struct training *t, uint16_t *slots, float *values)
{
    sotto_random *random = test_random();
    sotto_stream *stream;
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_sample(t->scene.model, stream, SOTTO_NONE, DRAWN, slots, values, NULL),
                     SOTTO_OK);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}

static void expect_same_rows(struct training *one, struct training *other)
{
    const size_t cells = DRAWN * sotto_encoder_block_count(one->scene.encoder);
    uint16_t *slots = calloc(2 * cells, sizeof *slots);
    float *values = calloc(2 * cells, sizeof *values);
    ck_assert(slots && values);
    draw(one, slots, values);
    draw(other, slots + cells, values + cells);
    ck_assert_mem_eq(slots, slots + cells, cells * sizeof *slots);
    ck_assert_mem_eq(values, values + cells, cells * sizeof *values);
    free(slots);
    free(values);
}

static void expect_same_states(struct training *one, struct training *other)
{
    size_t length, again;
    char *bytes = state_of(one, &length), *twin = state_of(other, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(twin, bytes, length);
    free(bytes);
    free(twin);
}

static void expect_same_losses(struct training *one, struct training *other)
{
    if (!one->health)
        return;
    const sotto_model_losses losses = sotto_model_last_losses(one->scene.model),
                             others = sotto_model_last_losses(other->scene.model);
    ck_assert_mem_eq(&losses, &others, sizeof losses);
}

/*
 * One model is trained; another has other randomness, another table, and may have gone somewhere else. It is
 * given the one's state, rows and, from then on, streams equal to its: then both must go the same way.
 */
START_TEST(models_go_on)
{
    const size_t section = (size_t)_i / 2;
    const bool fresh = _i % 2;
    struct training one, other;
    sotto_error err = {0};
    size_t length;
    open_training(&one, section, 7, 0);
    if (fresh)
        prepare_training(&other, section, 8, 3);
    else
        open_training(&other, section, 8, 3);
    take_steps(&one, SOME);
    take_steps(&other, fresh ? 0 : 2);
    char *bytes = state_of(&one, &length);
    ck_assert_msg(give_state(&other, bytes, length, &err) == SOTTO_OK, "%s: %s", state_sections[section],
                  err.message);
    free(bytes);
    sotto_model_data(other.scene.model, one.data);
    expect_same_states(&one, &other);
    expect_same_losses(&one, &other);
    expect_same_rows(&one, &other);
    streams_renew(one.first, one.streams, 21);
    streams_renew(other.first, other.streams, 21);
    for (int i = 0; i < SOME; i++) {
        take_steps(&one, 1);
        take_steps(&other, 1);
        expect_same_states(&one, &other);
    }
    expect_same_rows(&one, &other);
    close_training(&other);
    close_training(&one);
}
END_TEST

/* A model's own state is no other kind's. (That of another section of the same kind may fit: whoever reads a
 * state knows the config that it is of.) */
START_TEST(other_models_are_refused)
{
    struct training one;
    size_t length;
    open_training(&one, (size_t)_i, 7, 0);
    char *bytes = state_of(&one, &length);
    const char *type = sotto_model_type(one.scene.model);
    close_training(&one);
    for (size_t section = 0; section < STATE_SECTIONS; section++) {
        struct training other;
        sotto_error err = {0};
        if (section % 2 || section == (size_t)_i)
            continue;
        prepare_training(&other, section, 8, 0);
        const sotto_status status = give_state(&other, bytes, length, &err);
        if (strcmp(type, sotto_model_type(other.scene.model)) != 0) {
            ck_assert_msg(status == SOTTO_ERROR_INPUT, "%s takes %s", state_sections[section],
                          state_sections[_i]);
            ck_assert_str_eq(err.file, "a file");
        }
        close_training(&other);
    }
    free(bytes);
}
END_TEST

/* ---- keys ---- */

static bool occurs(const char *bytes, size_t length, const unsigned char *piece, size_t size)
{
    return memmem(bytes, length, piece, size) != NULL;
}

/* P8: of the root and of every stream that training holds, no 16 bytes of the key are in its state. They are
 * found where they are put on purpose. */
START_TEST(no_key_is_in_a_state)
{
    struct training one;
    size_t length;
    streams_know_keys();
    open_training(&one, (size_t)_i, 7, 0);
    take_steps(&one, SOME);
    char *bytes = state_of(&one, &length);
    for (size_t k = 0; k <= one.streams; k++) {
        const unsigned char *key =
            k < one.streams ? streams_key(one.first + k) : (const unsigned char *)one.random;
        for (size_t at = 0; at + 16 <= 32; at++)
            ck_assert_msg(!occurs(bytes, length, key + at, 16), "bytes %zu of key %zu", at, k);
        memcpy(bytes + length / 2, key + 9, 16);
        ck_assert(occurs(bytes, length, key + 9, 16));
        free(bytes);
        bytes = state_of(&one, &length);
    }
    free(bytes);
    close_training(&one);
}
END_TEST

/* ---- hostile states ---- */

/* A generator of bytes to be changed: splitmix64. */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/*
 * States with a few bytes changed are refused, or they are states: training goes on from them, and rows are
 * made. Sanitizers see what is read or written where it must not be.
 */
START_TEST(changed_states_are_refused_or_harmless)
{
    enum { TRIES = 25 };
    struct training one;
    size_t length, taken = 0;
    uint64_t seed = 100 + (uint64_t)_i;
    open_training(&one, (size_t)_i, 7, 0);
    take_steps(&one, 2);
    char *bytes = state_of(&one, &length);
    const size_t cells = DRAWN * sotto_encoder_block_count(one.scene.encoder);
    uint16_t *slots = calloc(cells, sizeof *slots);
    float *values = calloc(cells, sizeof *values);
    ck_assert(slots && values);
    for (int i = 0; i < TRIES; i++) {
        struct training other;
        char *changed = malloc(length);
        ck_assert_ptr_nonnull(changed);
        memcpy(changed, bytes, length);
        for (uint64_t k = 0, times = 1 + next(&seed) % 4; k < times; k++)
            changed[next(&seed) % length] = (char)next(&seed);
        prepare_training(&other, (size_t)_i, 8, 0);
        if (give_state(&other, changed, length, NULL) == SOTTO_OK) {
            taken++;
            take_steps(&other, 2);
            draw(&other, slots, values);
            for (size_t c = 0; c < cells; c++) {
                const size_t count = sotto_encoder_block(one.scene.encoder, c % (cells / DRAWN))->slot_count;
                ck_assert(slots[c] < (count ? count : 1));
            }
        }
        close_training(&other);
        free(changed);
    }
    ck_assert_uint_gt(taken, 0);
    free(slots);
    free(values);
    free(bytes);
    close_training(&one);
}
END_TEST

/* A state in which a field has another value: the caller frees. */
static char *changed_state(size_t section, const char *field, size_t at, const void *value, size_t size,
                           size_t *length)
{
    struct training one;
    char name[64];
    open_training(&one, section, 7, 0);
    take_steps(&one, 2);
    char *bytes = state_of(&one, length);
    const int named = snprintf(name, sizeof name, "%c%s", (int)strlen(field), field);
    char *found = memmem(bytes, *length, name, (size_t)named);
    ck_assert_msg(found != NULL, "%s", field);
    memcpy(found + named + 1 + 8 + at * size, value, size);
    close_training(&one);
    return bytes;
}

static void expect_value_refused(size_t section, const char *field, size_t at, const void *value, size_t size)
{
    struct training other;
    size_t length;
    sotto_error err = {0};
    char *bytes = changed_state(section, field, at, value, size, &length);
    prepare_training(&other, section, 8, 0);
    ck_assert_msg(give_state(&other, bytes, length, &err) == SOTTO_ERROR_INPUT, "%s", field);
    close_training(&other);
    free(bytes);
}

static void expect_value_kept(size_t section, const char *field, const void *value, size_t size)
{
    struct training other;
    size_t length, again;
    sotto_error err = {0};
    char *bytes = changed_state(section, field, 0, value, size, &length);
    prepare_training(&other, section, 8, 0);
    ck_assert_msg(give_state(&other, bytes, length, &err) == SOTTO_OK, "%s: %s", field, err.message);
    char *twin = state_of(&other, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(twin, bytes, length);
    free(twin);
    close_training(&other);
    free(bytes);
}

/* What short trainings leave as it was at first. */
START_TEST(rare_values_come_back)
{
    const uint64_t some = 2, many = 50000;
    const double share = 0.625;
    expect_value_kept(0, "ladder_steps", &many, 8);
    expect_value_kept(1, "ladder_taken", "", 0);
    expect_value_kept(0, "ladder_since", &many, 8);
    expect_value_kept(0, "ladder_accuracy", &share, 8);
    expect_value_kept(0, "discriminator_steps", &many, 8);
    expect_value_kept(8, "faulty", &some, 8);
    expect_value_kept(8, "first_distinct", &some, 8);
    expect_value_kept(8, "first_distance", &share, 8);
    expect_value_kept(8, "loss_real", &share, 8);
    expect_value_kept(8, "loss_fake", &share, 8);
    expect_value_kept(8, "loss_generator", &share, 8);
    expect_value_kept(8, "verdict", "", 0);
    struct training one;
    size_t length;
    open_training(&one, 0, 7, 0);
    char *bytes = state_of(&one, &length), *step = memmem(bytes, length, "public step", 11);
    ck_assert_ptr_nonnull(step);
    ck_assert_mem_eq(step + 11 + 1 + 8, "\5stepsq", 7); /* its own, beside the optimizer's */
    free(bytes);
    close_training(&one);
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    const uint64_t zero = 0, huge = UINT64_MAX, many = SOTTO_STATE_MOST_COUNT + 1, beyond = 250001, one = 1;
    const double none = 0.0 / 0.0, below = -0.5, wide = 1.5;
    const float negative = -1e-3f, endless = 1e38f * 1e38f;
    expect_value_refused(0, "ladder_steps", 0, &zero, 8);
    expect_value_refused(0, "ladder_steps", 0, &beyond, 8);
    expect_value_refused(1, "ladder_steps", 0, &one, 8);
    expect_value_refused(1, "ladder_taken", 0, &huge, 8);
    expect_value_refused(0, "ladder_accuracy", 0, &none, 8);
    expect_value_refused(0, "ladder_since", 0, &huge, 8);
    expect_value_refused(0, "frequency", 1, &below, 8);
    expect_value_refused(0, "marginals", 3, &endless, 4);
    expect_value_refused(6, "marginals", 0, &negative, 4);
    expect_value_refused(8, "label_frequency", 0, &wide, 8);
    expect_value_refused(10, "frequencies", 0, &negative, 4);
    expect_value_refused(12, "tree", 0, &zero, 8);
    expect_value_refused(12, "tree", 0, &huge, 8);
    expect_value_refused(14, "cliques", 0, &zero, 8);
    expect_value_refused(14, "cliques", 0, &huge, 8);
    expect_value_refused(14, "columns", 0, &huge, 8);
    expect_value_refused(14, "columns", 0, &zero, 8);
    expect_value_refused(15, "chances", 0, &endless, 4);
    expect_value_refused(8, "steps", 0, &many, 8);
    expect_value_refused(8, "noise_variance", 0, &below, 8);
    expect_value_refused(8, "faulty", 0, &many, 8);
    expect_value_refused(8, "first_distance", 0, &none, 8);
    expect_value_refused(4, "rounds", 0, &huge, 8);
}
END_TEST

/* What has learned nothing has nothing to be written: it could not be read back. */
START_TEST(nothing_learned_is_no_state)
{
    static const size_t sections[] = {6, 10, 11, 12, 14};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        struct training one, other;
        sotto_state *state;
        size_t length;
        prepare_training(&one, sections[i], 7, 0);
        prepare_training(&other, sections[i], 8, 0);
        ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
        visit_training(&one, state);
        const void *bytes = sotto_state_bytes(state, &length);
        ck_assert_msg(sotto_state_end(state, NULL) != SOTTO_OK ||
                          give_state(&other, bytes, length, NULL) == SOTTO_ERROR_INPUT,
                      "%s", state_sections[sections[i]]);
        sotto_state_destroy(state);
        close_training(&other);
        close_training(&one);
    }
}
END_TEST

/* Each allocation of writing and of reading fails in turn: an error, and what was read into can be destroyed.
 */
START_TEST(short_memory_is_an_error)
{
    struct training one;
    size_t length;
    long failed = 0;
    open_training(&one, (size_t)_i, 7, 0);
    char *bytes = state_of(&one, &length);
    for (sotto_status status = SOTTO_ERROR_MEMORY; status != SOTTO_OK; failed++) {
        sotto_state *state;
        sotto_error err = {0};
        ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
        memory_fail_at(failed);
        visit_training(&one, state);
        memory_fail_at(-1);
        status = sotto_state_end(state, &err);
        ck_assert(status == SOTTO_OK || (status == SOTTO_ERROR_MEMORY && err.message[0]));
        sotto_state_destroy(state);
    }
    ck_assert_int_gt(failed, 1);
    failed = 0;
    for (sotto_status status = SOTTO_ERROR_MEMORY; status != SOTTO_OK; failed++) {
        struct training other;
        sotto_state *state;
        sotto_error err = {0};
        prepare_training(&other, (size_t)_i, 8, 0);
        ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, NULL, NULL), SOTTO_OK);
        memory_fail_at(failed);
        visit_training(&other, state);
        memory_fail_at(-1);
        status = sotto_state_end(state, &err);
        ck_assert(status == SOTTO_OK || (status == SOTTO_ERROR_MEMORY && err.message[0]));
        sotto_state_destroy(state);
        close_training(&other);
    }
    free(bytes);
    close_training(&one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-state");
    TCase *going = tcase_create("going on"), *tests = tcase_create("states");
    tcase_set_timeout(going, 300);
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(going, models_go_on, 0, 2 * STATE_SECTIONS);
    tcase_add_test(going, rare_values_come_back);
    tcase_add_loop_test(tests, other_models_are_refused, 0, STATE_SECTIONS);
    tcase_add_loop_test(tests, no_key_is_in_a_state, 0, STATE_SECTIONS);
    tcase_add_loop_test(tests, changed_states_are_refused_or_harmless, 0, STATE_SECTIONS);
    tcase_add_test(tests, values_out_of_range_are_refused);
    tcase_add_test(tests, nothing_learned_is_no_state);
    tcase_add_loop_test(tests, short_memory_is_an_error, 0, STATE_SECTIONS);
    suite_add_tcase(suite, going);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
