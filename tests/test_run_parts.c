/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whole runs with `scope: generator`: what is planned, charged, stated and released. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test_run.h"

static const char parted[] =
    "data: {table: table.csv, schema: schema.yaml}\n"
    "privacy: {epsilon: 2.0, delta: 1.0e-5, max_grad_norm: 0.1}\n"
    "model: {scope: generator, parts: 6, target: ill, generator: {latent: 3, hidden: [16]}, "
    "discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 64, steps: 5, discriminator_steps: 2}\n"
    "sample: {rows: 400}\n"
    "output: run\n";

static json_t *plan_with(const char *setting, sotto_status wanted, const char *words)
{
    char *text = NULL;
    sotto_error err = {0};
    sotto_run_options options = options_for(NULL);
    options.settings = &setting;
    options.setting_count = setting != NULL;
    const sotto_status status = sotto_run_plan(&options, &text, &err);
    ck_assert_msg(status == wanted, "plan gave %s: %s", sotto_status_name(status), err.message);
    ck_assert_msg(!words || strstr(err.message, words), "%s", err.message);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return plan;
}

static const char *text_at(const json_t *json, const char *first, const char *second)
{
    const json_t *child = json_object_get(json, first);
    const char *text = json_string_value(second ? json_object_get(child, second) : child);
    ck_assert_ptr_nonnull(text);
    return text;
}

/* P2, P7: ⌈T/K⌉ uses, one for each round of K turns, and those are what is stated and composed. */
START_TEST(rounds_are_what_is_charged_and_stated)
{
    put("config.yaml", parted);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 400);
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), 2);
    const json_t *rounds = json_array_get(accesses, 1);
    ck_assert_str_eq(text_at(rounds, "name", NULL), "rounds of discriminators");
    ck_assert_uint_eq((uint64_t)number(rounds, "count", NULL), 5);
    ck_assert_double_eq(number(rounds, "sample_rate", NULL), 1.0);
    ck_assert_ptr_nonnull(strstr(text_at(rounds, "sensitivity", NULL), "2·0.1: each vector"));
    ck_assert_ptr_nonnull(strstr(text_at(rounds, "sensitivity", NULL), "one of 6 parts"));
    ck_assert_ptr_nonnull(strstr(text_at(rounds, "what", NULL), "without noise on one part"));
    ck_assert_ptr_nonnull(strstr(text_at(statement, "sampling", "assumed"), "no reduction of epsilon"));
    ck_assert_ptr_nonnull(strstr(text_at(statement, "sampling", "actual"), "one coin"));
    ck_assert(json_is_null(json_object_get(json_object_get(statement, "sampling"), "sample_rate")));
    check_charges(statement, 2.0);
    json_decref(statement);
}
END_TEST

/* What the noise of all turns costs of δ: vectors of 3 latent numbers by all slots, and the cells of counts.
 */
START_TEST(every_number_of_every_vector_is_a_draw)
{
    put("config.yaml", parted);
    json_t *with = plan_with(NULL, SOTTO_OK, NULL);
    json_t *more = plan_with("training.steps=6", SOTTO_OK, NULL);
    ck_assert_uint_eq((uint64_t)number(with, "parts", NULL), 6);
    ck_assert_double_eq(number(with, "sample_rate", NULL), 1.0);
    const double vector = number(with, "vector", NULL);
    ck_assert_double_gt(vector, 3 * 20);
    ck_assert_double_eq(fmod(vector, 3), 0);
    const double round = number(more, "delta_shares", "noise") - number(with, "delta_shares", "noise");
    ck_assert_double_eq_tol(round, (1 + exp(2.0)) * ldexp(6 * vector, -115), 1e-3 * round);
    const double signal = 1 / (2 * number(with, "noise_multiplier", NULL) * sqrt(vector));
    ck_assert_double_eq_tol(number(with, "signal_to_noise", NULL), signal, 1e-12);
    json_decref(with);
    json_decref(more);
}
END_TEST

START_TEST(what_parts_cannot_do_is_refused)
{
    static const char *const cases[][2] = {
        {"privacy.clipping=automatic", "privacy.clipping is automatic"},
        {"privacy.clipping=adaptive", "privacy.clipping is adaptive"},
        {"privacy.noise=float", "privacy.noise float would do nothing"},
        {"model.parts=700", "model.parts is 700"},
        {"training.discriminator_steps=auto", "nobody may look"},
    };
    put("config.yaml", parted);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        plan_with(cases[i][0], SOTTO_ERROR_INPUT, cases[i][1]);
    json_t *rest = plan_with("privacy.noise_multiplier=0.1", SOTTO_ERROR_BUDGET, "rounds of parts");
    ck_assert_ptr_null(rest);
    const char *setting = "privacy.noise_multiplier=0.1";
    sotto_run_options options = options_for(NULL);
    options.settings = &setting;
    options.setting_count = 1;
    train_with(&options, SOTTO_ERROR_BUDGET);
    ck_assert(!exists("run"));
}
END_TEST

/* With frozen noise and one row that differs, nothing of release/ does but what a mechanism made (P12). */
START_TEST(neighbours_differ_behind_vectors_alone)
{
    put("config.yaml", parted);
    check_neighbours();
}
END_TEST

/* The model file holds the generator's parameters, and as many bytes: no discriminator's. */
START_TEST(the_model_file_holds_the_generator_alone)
{
    char *bytes;
    size_t length, header, schema_size, parameters;
    sotto_saved_model saved;
    put("config.yaml", parted);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *plan = plan_with(NULL, SOTTO_OK, NULL);
    ck_assert_int_eq(sotto_file_read(at("run/release/model.sotto"), 1 << 26, &bytes, &length, NULL),
                     SOTTO_OK);
    ck_assert_int_eq(sscanf(bytes, "sotto model 1 %zu %zu %zu", &header, &schema_size, &parameters), 3);
    const size_t first = (size_t)(strchr(bytes, '\n') + 1 - bytes);
    ck_assert_uint_eq(parameters, (size_t)number(plan, "parameters", "generator"));
    ck_assert_uint_eq(length, first + header + schema_size + 4 * parameters + 64); /* its digest */
    ck_assert_ptr_nonnull(strstr(bytes, "scope: generator\n  parts: 6\n"));
    ck_assert_int_eq(sotto_model_load(&saved, at("run/release/model.sotto"), 1, NULL), SOTTO_OK);
    sotto_saved_model_destroy(&saved);
    json_decref(plan);
    free(bytes);
    json_t *metrics = read_json("run/private/metrics.json");
    const json_t *steps = json_object_get(metrics, "steps");
    ck_assert_uint_eq(json_array_size(steps), 5);
    ck_assert(json_is_number(json_object_get(json_array_get(steps, 4), "loss_real")));
    json_decref(metrics);
}
END_TEST

TCase *parts_tests(void)
{
    TCase *tests = tcase_create("parts");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, rounds_are_what_is_charged_and_stated);
    tcase_add_test(tests, every_number_of_every_vector_is_a_draw);
    tcase_add_test(tests, what_parts_cannot_do_is_refused);
    tcase_add_test(tests, neighbours_differ_behind_vectors_alone);
    tcase_add_test(tests, the_model_file_holds_the_generator_alone);
    return tests;
}
