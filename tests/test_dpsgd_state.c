/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States of the private step, the public step and parts: what goes on from one is what would have gone on
 * without, given the same streams. */

#include "test_dpsgd.h"

#include "streams.h"
#include "suite.h"

enum { PARTS = 5, DIMENSION = 12, SOME = 4 };

/* ---- what is tested ---- */

/* One of the three, in a scene of its own. */
struct side {
    struct scene *scene;
    sotto_public_step *made_up;
    sotto_parts *parts;
    size_t first, streams; /* which are its own */
};

typedef void taker(struct side *side);
typedef void visitor(struct side *side, sotto_state *state);

static sotto_optimizer_options optimizer_number(int number)
{
    sotto_optimizer_options options = sotto_optimizer_defaults((sotto_optimizer_kind)(number % 3 + 1));
    options.momentum = 0.9;
    options.decay = 0.1;
    return options;
}

static void open_private(struct side *side, int number, bool adaptive)
{
    sotto_dpsgd_options options = step_options(side->scene, SOTTO_ARITHMETIC_EXACT, 0.2, 1.0, UNITS);
    options.optimizer = optimizer_number(number);
    options.schedule = (sotto_schedule){.rate = 0.05, .steps = 3 * SOME, .decay_fraction = 1.0};
    if (adaptive)
        options.clipping.kind = SOTTO_CLIPPING_ADAPTIVE;
    open_step(side->scene, &options, 1e9);
}

static void open_public(struct side *side, int number)
{
    const sotto_public_options options = {
        .optimizer = optimizer_number(number),
        .schedule = {.rate = 0.05, .steps = 3 * SOME, .decay_fraction = 1.0},
        .threads = 1,
        .weights = side->scene->weights,
        .parameters = side->scene->parameters,
        .random = side->scene->random};
    ck_assert_int_eq(sotto_public_step_create(&side->made_up, &options, NULL), SOTTO_OK);
}

static sotto_status make_parts(struct side *side, int number, size_t units)
{
    struct scene *scene = side->scene;
    sotto_parts_options options = {.clipping = {.max_grad_norm = 0.5},
                                   .parts = PARTS,
                                   .dimension = DIMENSION,
                                   .batch = 64,
                                   .label = "rounds",
                                   .network = scene->network,
                                   .optimizer = optimizer_number(number),
                                   .schedule = {.rate = 0.01, .steps = 3 * SOME, .decay_fraction = 1.0},
                                   .threads = 1,
                                   .units = {.rows = scene->units, .count = units},
                                   .random = scene->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 1.0, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e9, 1e-5, &scene->budget, NULL), SOTTO_OK);
    options.budget = scene->budget;
    return sotto_parts_create(&side->parts, &options, NULL);
}

/* A scene of its own rows, parameters and streams for every seed. */
static struct side open_side(uint64_t seed)
{
    const sotto_layer layers[] = {sotto_layer_dense(16), sotto_layer_dropout(0.25f), sotto_layer_tanh(),
                                  sotto_layer_norm(), sotto_layer_dense(1)};
    return (struct side){.scene = open_scene_of(layers, 5, seed), .first = streams_alive()};
}

static void close_side(struct side *side)
{
    sotto_public_step_destroy(side->made_up);
    sotto_parts_destroy(side->parts);
    close_scene(side->scene);
}

/* Training passes of equal seeds drop equal columns; the scenes' rows are not part of a state. */
static void train_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    sotto_workspace_train(chunk->workspace, true);
    pass(context, weights, chunk);
}

static void take_private(struct side *side)
{
    take(side->scene, PUBLIC, train_pass);
}

static void take_public(struct side *side)
{
    sotto_public_step_take(side->made_up, PUBLIC, train_pass, side->scene);
}

static void take_turn(struct side *side)
{
    double vector[DIMENSION];
    float released[DIMENSION];
    ck_assert_int_eq(sotto_parts_begin(side->parts, NULL), SOTTO_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(sotto_parts_learn(side->parts, PUBLIC, train_pass, side->scene, NULL), SOTTO_OK);
    for (size_t j = 0; j < DIMENSION; j++)
        vector[j] = (double)j;
    ck_assert_int_eq(sotto_parts_release(side->parts, vector, released, NULL), SOTTO_OK);
    for (size_t j = 0; j < DIMENSION; j++) /* what it tells, where it will be looked for */
        side->scene->parameters[j] += released[j];
}

static void take_round(struct side *side)
{
    for (size_t k = 0; k < PARTS; k++)
        take_turn(side);
}

/* The parameters are the model's, which writes them itself. */
static void visit_parameters(struct side *side, sotto_state *state)
{
    sotto_state_floats(state, "parameters", side->scene->parameters, side->scene->count);
    sotto_weights_refresh(side->scene->weights);
}

static void visit_private(struct side *side, sotto_state *state)
{
    visit_parameters(side, state);
    sotto_dpsgd_state(side->scene->step, state);
}

static void visit_public(struct side *side, sotto_state *state)
{
    visit_parameters(side, state);
    sotto_public_step_state(side->made_up, state);
}

static void visit_parts(struct side *side, sotto_state *state)
{
    visit_parameters(side, state);
    sotto_parts_state(side->parts, state);
}

/* ---- there and back ---- */

/* Bytes of a side's state; the caller frees. */
static char *written(struct side *side, visitor *visit, size_t *length)
{
    sotto_state *state;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    visit(side, state);
    ck_assert_msg(sotto_state_end(state, &err) == SOTTO_OK, "%s", err.message);
    const void *bytes = sotto_state_bytes(state, length);
    char *copy = malloc(*length);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, *length);
    sotto_state_destroy(state);
    return copy;
}

static sotto_status read_into(struct side *side, visitor *visit, const void *bytes, size_t length,
                              sotto_error *err)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, "a file", NULL), SOTTO_OK);
    visit(side, state);
    const sotto_status status = sotto_state_end(state, err);
    sotto_state_destroy(state);
    return status;
}

/*
 * One side goes so far, the other somewhere else, with other parameters and rows; it is given the one's
 * state, and both get equal new streams: then they must go the same way.
 */
static void expect_the_same_way(struct side *one, struct side *other, taker *step, visitor *visit)
{
    size_t length, again;
    sotto_error err = {0};
    for (int i = 0; i < SOME; i++)
        step(one);
    step(other);
    memcpy(other->scene->rows, one->scene->rows, sizeof one->scene->rows);
    char *bytes = written(one, visit, &length);
    ck_assert_msg(read_into(other, visit, bytes, length, &err) == SOTTO_OK, "%s", err.message);
    char *twin = written(other, visit, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(twin, bytes, length);
    free(twin);
    streams_renew(one->first, one->streams, 21);
    streams_renew(other->first, other->streams, 21);
    for (int i = 0; i < SOME; i++) {
        step(one);
        step(other);
        ck_assert_mem_eq(one->scene->parameters, other->scene->parameters, one->scene->count * sizeof(float));
    }
    free(bytes);
    bytes = written(one, visit, &length);
    twin = written(other, visit, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(twin, bytes, length);
    free(bytes);
    free(twin);
}

START_TEST(private_steps_go_on)
{
    struct side one = open_side(3), other;
    open_private(&one, _i / 2, _i % 2);
    one.streams = streams_alive() - one.first;
    other = open_side(4);
    open_private(&other, _i / 2, _i % 2);
    other.streams = streams_alive() - other.first;
    ck_assert_uint_eq(one.streams, 2 + SOTTO_LANES);
    expect_the_same_way(&one, &other, take_private, visit_private);
    ck_assert_uint_eq(sotto_dpsgd_steps(other.scene->step), 2 * SOME);
    if (_i % 2)
        ck_assert_double_ne(sotto_dpsgd_max_grad_norm(other.scene->step), 0.5);
    close_side(&other);
    close_side(&one);
}
END_TEST

START_TEST(public_steps_go_on)
{
    struct side one = open_side(3), other;
    open_public(&one, _i);
    one.streams = streams_alive() - one.first;
    other = open_side(4);
    open_public(&other, _i);
    other.streams = streams_alive() - other.first;
    expect_the_same_way(&one, &other, take_public, visit_public);
    close_side(&other);
    close_side(&one);
}
END_TEST

START_TEST(parts_go_on)
{
    struct side one = open_side(3), other;
    ck_assert_int_eq(make_parts(&one, _i, UNITS), SOTTO_OK);
    one.streams = streams_alive() - one.first;
    other = open_side(4);
    ck_assert_int_eq(make_parts(&other, _i, UNITS), SOTTO_OK);
    other.streams = streams_alive() - other.first;
    expect_the_same_way(&one, &other, take_round, visit_parts);
    ck_assert_uint_eq(sotto_parts_turns(other.parts), 2 * SOME * PARTS);
    close_side(&other);
    close_side(&one);
}
END_TEST

/* ---- what is refused ---- */

static sotto_status try_to_write(struct side *side, visitor *visit, sotto_error *err)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    visit(side, state);
    const sotto_status status = sotto_state_end(state, err);
    sotto_state_destroy(state);
    return status;
}

/* In the middle of a step, and of a round: it is charged with its first turn, so that its others could be
 * told again and again. */
START_TEST(nothing_is_written_or_read_in_the_middle)
{
    struct side step = open_side(3), parts = open_side(4);
    sotto_error err = {0};
    size_t length;
    open_private(&step, 0, false);
    char *bytes = written(&step, visit_private, &length);
    ck_assert_int_eq(sotto_dpsgd_begin(step.scene->step, NULL), SOTTO_OK);
    ck_assert_int_eq(try_to_write(&step, visit_private, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "in the middle"));
    ck_assert_int_eq(read_into(&step, visit_private, bytes, length, NULL), SOTTO_ERROR_INPUT);
    free(bytes);
    ck_assert_int_eq(make_parts(&parts, 0, UNITS), SOTTO_OK);
    bytes = written(&parts, visit_parts, &length);
    for (size_t k = 0; k < PARTS; k++) {
        ck_assert_int_eq(try_to_write(&parts, visit_parts, &err), k ? SOTTO_ERROR_INPUT : SOTTO_OK);
        ck_assert_int_eq(read_into(&parts, visit_parts, bytes, length, NULL),
                         k ? SOTTO_ERROR_INPUT : SOTTO_OK);
        ck_assert_uint_eq(sotto_parts_turns(parts.parts), k);
        take_turn(&parts);
    }
    ck_assert_int_eq(try_to_write(&parts, visit_parts, &err), SOTTO_OK);
    free(bytes);
    close_side(&parts);
    close_side(&step);
}
END_TEST

/* States of other optimizers, clippings and tables; a bound beyond all bounds; a unit of no part. */
START_TEST(what_does_not_fit_is_refused)
{
    struct side one = open_side(3), other = open_side(3), parts = open_side(3), fewer = open_side(3);
    size_t length;
    open_private(&one, 0, false);
    char *bytes = written(&one, visit_private, &length);
    open_private(&other, 1, false);
    ck_assert_int_eq(read_into(&other, visit_private, bytes, length, NULL), SOTTO_ERROR_INPUT);
    sotto_dpsgd_destroy(other.scene->step);
    sotto_budget_destroy(other.scene->budget);
    open_private(&other, 0, true);
    ck_assert_int_eq(read_into(&other, visit_private, bytes, length, NULL), SOTTO_ERROR_INPUT);
    free(bytes);
    bytes = written(&other, visit_private, &length);
    const double wide = 0x1p61;
    char *at = memmem(bytes, length, "max_grad_norm", 13);
    ck_assert_ptr_nonnull(at);
    memcpy(at + 13 + 1 + 8, &wide, sizeof wide);
    ck_assert_int_eq(read_into(&other, visit_private, bytes, length, NULL), SOTTO_ERROR_INPUT);
    free(bytes);
    ck_assert_int_eq(make_parts(&parts, 0, UNITS), SOTTO_OK);
    ck_assert_int_eq(make_parts(&fewer, 0, UNITS - 1), SOTTO_OK);
    bytes = written(&parts, visit_parts, &length);
    ck_assert_int_eq(read_into(&fewer, visit_parts, bytes, length, NULL), SOTTO_ERROR_INPUT);
    at = memmem(bytes, length, "part_of", 7);
    ck_assert_ptr_nonnull(at);
    at[7 + 1 + 8] = PARTS;
    sotto_error err = {0};
    ck_assert_int_eq(read_into(&parts, visit_parts, bytes, length, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "a part that there is not"));
    free(bytes);
    close_side(&fewer);
    close_side(&parts);
    close_side(&other);
    close_side(&one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dpsgd-state");
    TCase *tests = tcase_create("states");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, private_steps_go_on, 0, 6);
    tcase_add_loop_test(tests, public_steps_go_on, 0, 3);
    tcase_add_loop_test(tests, parts_go_on, 0, 3);
    tcase_add_test(tests, nothing_is_written_or_read_in_the_middle);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
