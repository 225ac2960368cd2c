/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The arithmetic of noise and sums, what it costs of δ, the kinds of clipping, and what the statement says of
 * them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sotto/accountant.h"
#include "test_run.h"

enum { MOST_SETTINGS = 4 };

static const char *settings[MOST_SETTINGS];

static sotto_run_options options_with(const char *output, const char *a, const char *b, const char *c)
{
    const char *given[] = {a, b, c};
    sotto_run_options options = options_for(output);
    options.settings = settings;
    for (size_t i = 0; i < 3; i++)
        if (given[i])
            settings[options.setting_count++] = given[i];
    return options;
}

static json_t *plan_with(const char *a, const char *b, const char *c)
{
    const sotto_run_options options = options_with(NULL, a, b, c);
    char *text;
    sotto_error err = {0};
    const sotto_status status = sotto_run_plan(&options, &text, &err);
    ck_assert_msg(status == SOTTO_OK, "plan gave %s: %s", sotto_status_name(status), err.message);
    json_t *plan = json_loads(text, 0, NULL);
    free(text);
    return plan;
}

static json_t *statement_with(const char *output, const char *a, const char *b)
{
    char name[64];
    const sotto_run_options options = options_with(output, a, b, NULL);
    json_decref(train_with(&options, SOTTO_OK));
    (void)snprintf(name, sizeof name, "%s/release/privacy.json", output);
    return read_json(name);
}

static const char *text_at(const json_t *json, const char *first, const char *second)
{
    const char *text = json_string_value(json_object_get(json_object_get(json, first), second));
    ck_assert_msg(text != NULL, "no text %s.%s", first, second);
    return text;
}

static bool lists(const json_t *list, const char *part)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strstr(json_string_value(json_array_get(list, i)), part))
            return true;
    return false;
}

/* ---- δ ---- */

/* 2⁻¹¹⁵ for each draw, times 1 + e^ε; what is left and that make up δ, but for one rounding. */
static void expect_parts(double epsilon, double draws, double noise, double accountant)
{
    const double least = (1.0 + exp(epsilon)) * ldexp(draws, -115);
    ck_assert_double_ge(noise, least);
    ck_assert_double_le(noise, 1.001 * least);
    ck_assert_double_le(noise, 1e-5 / 100);
    ck_assert_double_lt(accountant, 1e-5);
    ck_assert_double_le((long double)accountant + (long double)noise, 1e-5);
    ck_assert_double_ge(accountant + noise, 1e-5 * (1 - 1e-15));
}

START_TEST(the_parts_of_delta_add_up)
{
    static const char *const clippings[] = {"privacy.clipping=flat", "privacy.clipping=adaptive"};
    static const char *const accountants[] = {"privacy.accountant=rdp", "privacy.accountant=pld"};
    for (size_t i = 0; i < 2; i++) {
        char output[8];
        (void)snprintf(output, sizeof output, "run%zu", i);
        json_t *plan = plan_with(clippings[i], accountants[i], NULL);
        json_t *statement = statement_with(output, clippings[i], accountants[i]);
        const json_t *shares = json_object_get(plan, "delta_shares");
        const double draws = number(statement, "noise", "draws");
        const double steps = number(plan, "steps", NULL), parameters = number(plan, "parameters", "private");
        /* What is above the parameters' own is the cells of the counts: some, less than one step's worth. */
        const double cells = draws - steps * (parameters + (double)i);
        ck_assert_double_gt(cells, 6);
        ck_assert_double_lt(cells, parameters);
        expect_parts(2.0, draws, number(shares, "noise", NULL), number(shares, "accountant", NULL));
        ck_assert_double_eq(number(shares, "noise", NULL), number(statement, "noise", "delta"));
        ck_assert_double_eq(number(shares, "accountant", NULL),
                            number(statement, "noise", "delta_accountant"));
        ck_assert_double_eq(number(statement, "guarantee", "delta"), 1e-5);
        json_decref(plan);
        json_decref(statement);
    }
}
END_TEST

/* Without counts every draw is a parameter's or the adaptive bound's. */
START_TEST(every_draw_of_noise_is_counted)
{
    static const char *const clippings[] = {"privacy.clipping=per-layer", "privacy.clipping=adaptive"};
    put("config.yaml", "data: {table: table.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                       "model:\n"
                       "  generator: {latent: 4, hidden: [16]}\n"
                       "  discriminator: {hidden: [16]}\n"
                       "  marginals: {tables: none}\n"
                       "training: {expected_batch_size: 150, steps: 30}\n");
    for (size_t i = 0; i < 2; i++) {
        json_t *plan = plan_with(clippings[i], NULL, NULL);
        const double each = number(plan, "parameters", "private") + (double)i;
        ck_assert_uint_eq(json_array_size(json_object_get(plan, "releases")), 1);
        expect_parts(2.0, 30 * each, number(plan, "delta_shares", "noise"),
                     number(plan, "delta_shares", "accountant"));
        json_decref(plan);
    }
}
END_TEST

/* Counts that are made in rounds draw as often as there are rounds, of the largest table that one may be of.
 */
START_TEST(every_round_of_counts_is_counted)
{
    put("config.yaml", "data: {table: table.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                       "model: {type: marginals, target: ill}\n");
    json_t *plan = plan_with(NULL, NULL, NULL);
    const json_t *tables = json_array_get(json_object_get(plan, "releases"), 2);
    const double rounds = number(tables, "count", NULL),
                 paid = ldexp(number(plan, "delta_shares", "noise") / (1.0 + exp(2.0)), 115);
    ck_assert_double_ge(rounds, 3);
    ck_assert_double_ge(paid * (1.0 + 1e-9), rounds * 0x1p18);
    ck_assert_double_le(paid, (rounds + 1) * 0x1p18);
    json_decref(plan);
}
END_TEST

/* Steps that the budget decides are not known beforehand: as many as it could bear are paid for, no fewer. */
START_TEST(draws_of_steps_left_to_the_budget_are_bounded)
{
    static const char *const accountants[] = {"privacy.accountant=rdp", "privacy.accountant=pld"};
    for (size_t i = 0; i < 2; i++) {
        json_t *plan = plan_with("privacy.noise_multiplier=6", "training.steps=auto", accountants[i]);
        const double steps = number(plan, "steps", NULL);
        const double paid =
            ldexp(number(plan, "delta_shares", "noise") / (1.0 + exp(2.0)), 115) * (1.0 + 1e-9);
        ck_assert_double_eq(number(plan, "steps_allowed", NULL), steps);
        ck_assert_double_gt(steps, 50);
        ck_assert_double_ge(paid, steps * number(plan, "parameters", "private"));
        ck_assert_double_le(paid, 3 * steps * number(plan, "parameters", "private"));
        json_decref(plan);
    }
}
END_TEST

START_TEST(an_epsilon_whose_noise_would_eat_delta_is_refused)
{
    char *text;
    sotto_error err = {0};
    const sotto_run_options exact = options_with(NULL, "privacy.epsilon=70", NULL, NULL);
    ck_assert_int_eq(sotto_run_plan(&exact, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "privacy.epsilon is 70"));
    ck_assert_ptr_nonnull(strstr(err.message, "hundredth"));
    ck_assert_ptr_nonnull(strstr(err.message, "noise: float"));
    train_with(&exact, SOTTO_ERROR_INPUT);
    ck_assert(!exists("run"));
    json_decref(plan_with("privacy.epsilon=40", NULL, NULL));
    json_t *plan = plan_with("privacy.epsilon=70", "privacy.noise=float", NULL);
    ck_assert_double_eq(number(plan, "delta_shares", "noise"), 0.0);
    ck_assert_double_eq(number(plan, "delta_shares", "accountant"), 1e-5);
    json_decref(plan);
}
END_TEST

/* So many draws that their cost shows: 2¹⁰⁰, which leave 2⁻¹⁵ open. */
START_TEST(what_draws_cost_is_in_every_figure)
{
    static const double wrongly[] = {0.001, 0.1, 0.5, 0.99999, 1.0};
    enum { POINTS = 5 };
    double epsilon, alone, missed[POINTS], missed_alone[POINTS];
    sotto_accountant *accountant;
    sotto_mechanism mechanism;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 3.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &mechanism, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 0.1, &alone, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_noise_epsilon(accountant, 0.1, 0.0, &epsilon, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon, alone);
    ck_assert_int_eq(sotto_noise_epsilon(accountant, 0.1, 0x1p100, &epsilon, NULL), SOTTO_OK);
    ck_assert_double_gt(epsilon, alone);
    ck_assert_double_lt(epsilon, 1.01 * alone);
    double delta;
    ck_assert_int_eq(sotto_accountant_delta(accountant, epsilon, &delta, NULL, NULL), SOTTO_OK);
    ck_assert_double_le(delta + sotto_noise_delta(epsilon, 0x1p100), 0.1 * (1 + 1e-9));
    /* Where they leave more open than a hundredth of δ, nothing is claimed. */
    ck_assert_int_eq(sotto_noise_epsilon(accountant, 0x1p-15, 0x1p100, &epsilon, NULL), SOTTO_OK);
    ck_assert(isinf(epsilon));

    ck_assert_int_eq(sotto_noise_tradeoff(accountant, 0.0, wrongly, POINTS, missed_alone, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_noise_tradeoff(accountant, 0x1p100, wrongly, POINTS, missed, NULL), SOTTO_OK);
    for (size_t i = 0; i + 2 < POINTS; i++) {
        ck_assert_double_le(missed[i], missed_alone[i] - 0x1p-15);
        ck_assert_double_gt(missed[i], missed_alone[i] - 0.01);
    }
    ck_assert_double_eq(missed[POINTS - 2], 0.0);
    ck_assert_double_eq(missed[POINTS - 1], 0.0);
    sotto_accountant_destroy(accountant);
}
END_TEST

/* ---- the statement ---- */

START_TEST(the_statement_says_how_noise_was_made)
{
    json_t *exact = statement_with("exact", NULL, NULL);
    json_t *floating = statement_with("float", "privacy.noise=float", NULL);
    const json_t *of_exact = json_object_get(exact, "not_covered");
    const json_t *of_float = json_object_get(floating, "not_covered");
    ck_assert_str_eq(text_at(exact, "noise", "mode"), "exact");
    ck_assert_str_eq(text_at(floating, "noise", "mode"), "float");
    ck_assert_ptr_null(json_object_get(json_object_get(floating, "noise"), "delta"));
    ck_assert(!lists(of_exact, "floating-point"));
    ck_assert(lists(of_float, "floating-point Gaussian noise"));
    ck_assert(lists(of_float, "floating-point sums"));
    ck_assert(lists(of_exact, "AES-256") && lists(of_float, "AES-256"));
    ck_assert(lists(of_exact, "running time") && lists(of_float, "running time"));
    char *pages[] = {get("exact/release/privacy.html"), get("float/release/privacy.html")};
    ck_assert_ptr_nonnull(strstr(pages[0], "Of δ, left to the accountant"));
    ck_assert_ptr_null(strstr(pages[0], "floating-point"));
    ck_assert_ptr_null(strstr(pages[1], "Of δ, left to the accountant"));
    ck_assert_ptr_nonnull(strstr(pages[1], "floating-point Gaussian noise"));
    free(pages[0]);
    free(pages[1]);
    json_decref(exact);
    json_decref(floating);
}
END_TEST

/* Both arithmetics and every kind of clipping learn from the rows under one promise, and are named. */
START_TEST(every_kind_of_clipping_trains_and_is_named)
{
    static const char *const kinds[][3] = {
        {"privacy.clipping=flat", "flat", "one L2 norm"},
        {"privacy.clipping={type: automatic, stability: 0.5}", "automatic", "L2 norm + 0.5"},
        {"privacy.clipping=per-layer", "per-layer", "2 layers"},
        {"privacy.clipping={type: adaptive, target_quantile: 0.7, learning_rate: 0.3, count_noise: 9}",
         "adaptive", "share of 0.7"},
    };
    static const char *const arithmetics[] = {"privacy.noise=exact", "privacy.noise=float"};
    for (size_t i = 0; i < 8; i++) {
        char output[8];
        (void)snprintf(output, sizeof output, "run%zu", i);
        json_t *plan = plan_with(kinds[i / 2][0], arithmetics[i % 2], NULL);
        json_t *statement = statement_with(output, kinds[i / 2][0], arithmetics[i % 2]);
        const double noise = number(plan, "noise_multiplier", NULL),
                     gradient = number(plan, "gradient_noise_multiplier", NULL);
        ck_assert_str_eq(json_string_value(json_object_get(plan, "clipping")), kinds[i / 2][1]);
        ck_assert_str_eq(json_string_value(json_object_get(plan, "noise")), i % 2 ? "float" : "exact");
        const char *clipping = text_at(statement, "training", "clipping");
        ck_assert_msg(strncmp(clipping, kinds[i / 2][1], strlen(kinds[i / 2][1])) == 0, "%s", clipping);
        ck_assert_msg(strstr(clipping, kinds[i / 2][2]) != NULL, "%s", clipping);
        ck_assert_double_eq(number(statement, "training", "noise_multiplier"), noise);
        ck_assert_double_eq(number(statement, "guarantee", "epsilon"), number(plan, "epsilon", NULL));
        if (i / 2 == SOTTO_CLIPPING_ADAPTIVE) {
            ck_assert_double_ge(1 / (noise * noise), 1 / (18.0 * 18.0) + 1 / (gradient * gradient));
            ck_assert_double_eq_tol(1 / (noise * noise), 1 / (18.0 * 18.0) + 1 / (gradient * gradient), 1e-9);
            ck_assert_ptr_nonnull(strstr(text_at(statement, "accounting", "adaptivity"), "noisy counts"));
            const json_t *access = json_array_get(json_object_get(statement, "accesses"), 1);
            ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(access, "sensitivity")), "count"));
        } else {
            ck_assert_double_eq(noise, gradient);
        }
        json_decref(plan);
        json_decref(statement);
    }
}
END_TEST

/* ---- the config ---- */

static sotto_config load(const char *name, const char *setting)
{
    sotto_config read;
    sotto_error err = {0};
    sotto_run_options options = options_with(NULL, setting, NULL, NULL);
    options.config = at(name);
    ck_assert_msg(sotto_config_load(&read, &options, &err) == SOTTO_OK, "%s", err.message);
    return read;
}

/* The config that a run keeps says the same again. */
START_TEST(a_kept_config_reads_back)
{
    static const char *const given[] = {
        "privacy.noise=float",
        "privacy.clipping=automatic",
        "privacy.clipping={type: automatic, stability: 0.03}",
        "privacy.clipping={type: adaptive, target_quantile: 0.7, learning_rate: 0.3, count_noise: 9}",
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        char *text;
        sotto_config first = load("config.yaml", given[i]);
        ck_assert_int_eq(sotto_config_format(&first, &text, NULL), SOTTO_OK);
        put("kept.yaml", text);
        sotto_config second = load("kept.yaml", NULL);
        ck_assert_int_eq(first.arithmetic, i == 0 ? SOTTO_ARITHMETIC_FLOAT : SOTTO_ARITHMETIC_EXACT);
        ck_assert_int_eq(first.arithmetic, second.arithmetic);
        ck_assert_int_eq(first.clipping.kind, i == 0   ? SOTTO_CLIPPING_FLAT
                                              : i == 3 ? SOTTO_CLIPPING_ADAPTIVE
                                                       : SOTTO_CLIPPING_AUTOMATIC);
        ck_assert_int_eq(first.clipping.kind, second.clipping.kind);
        ck_assert_double_eq(first.clipping.stability, i == 2 ? 0.03 : 0);
        ck_assert_double_eq(first.clipping.stability, second.clipping.stability);
        ck_assert_double_eq(first.clipping.target_quantile, i == 3 ? 0.7 : 0);
        ck_assert_double_eq(first.clipping.target_quantile, second.clipping.target_quantile);
        ck_assert_double_eq(first.clipping.learning_rate, i == 3 ? 0.3 : 0);
        ck_assert_double_eq(first.clipping.learning_rate, second.clipping.learning_rate);
        ck_assert_double_eq(first.clipping.count_noise, i == 3 ? 9 : 0);
        ck_assert_double_eq(first.clipping.count_noise, second.clipping.count_noise);
        sotto_config_destroy(&first);
        sotto_config_destroy(&second);
        free(text);
    }
}
END_TEST

/* What the config says reaches the private step. */
START_TEST(the_step_is_made_as_the_config_says)
{
    static const char *const given[] = {"privacy.noise=float", "privacy.clipping=automatic",
                                        "privacy.clipping=per-layer",
                                        "privacy.clipping={type: adaptive, count_noise: 9}"};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        sotto_plan plan;
        sotto_config read = load("config.yaml", given[i]);
        ck_assert_int_eq(sotto_plan_make(&plan, &read, 1, NULL), SOTTO_OK);
        const sotto_dpsgd_options options = sotto_plan_step_options(&plan, &read);
        ck_assert_int_eq(options.arithmetic, i == 0 ? SOTTO_ARITHMETIC_FLOAT : SOTTO_ARITHMETIC_EXACT);
        ck_assert_int_eq(options.clipping.kind, (int)i); /* flat with float noise, then in their order */
        ck_assert_double_eq(options.clipping.max_grad_norm, 1.0);
        if (i == SOTTO_CLIPPING_ADAPTIVE)
            ck_assert_double_eq(options.clipping.count_noise, 9);
        sotto_plan_destroy(&plan);
        sotto_config_destroy(&read);
    }
}
END_TEST

/* Each with its line, what was found, what was wanted, and what to write instead. */
START_TEST(wrong_clipping_says_where_and_what)
{
    static const char *const cases[][3] = {
        {"noise: floating", "floating", "exact"},
        {"noise: [exact]", "privacy.noise", "exact"},
        {"clipping: flatt", "flatt", "per-layer"},
        {"clipping: {stability: 1}", "privacy.clipping.type", "missing"},
        {"clipping: {type: round}", "round", "adaptive"},
        {"clipping: {type: flat, stability: 1}", "privacy.clipping.stability", "automatic"},
        {"clipping: {type: automatic, target_quantile: 0.5}", "privacy.clipping.target_quantile", "adaptive"},
        {"clipping: {type: automatic, stability: 0}", "privacy.clipping.stability", "1e-09"},
        {"clipping: {type: adaptive, target_quantile: 1}", "privacy.clipping.target_quantile", "0.999"},
        {"clipping: {type: adaptive, quantile: 0.5}", "quantile", "target_quantile"},
        {"clipping: {type: adaptive, count_noise: 0.2}", "count_noise is 0.2", "more"},
        {"clipping: [flat]", "privacy.clipping", "flat"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024], *json;
        sotto_error err = {0};
        const char *line = strstr(config, "privacy: {");
        ck_assert_ptr_nonnull(line);
        (void)snprintf(text, sizeof text, "%.*sprivacy: {%s, %s", (int)(line - config), config, cases[i][0],
                       line + strlen("privacy: {"));
        put("config.yaml", text);
        const sotto_run_options options = options_for(NULL);
        ck_assert_msg(sotto_run_plan(&options, &json, &err) == SOTTO_ERROR_INPUT, "%s", cases[i][0]);
        ck_assert_msg(strstr(err.message, cases[i][1]) && strstr(err.message, cases[i][2]), "%s: %s",
                      cases[i][0], err.message);
        ck_assert_uint_eq(err.line, 2);
        ck_assert_ptr_nonnull(strstr(err.file, "config.yaml"));
        train_with(&options, SOTTO_ERROR_INPUT);
        ck_assert(!exists("run"));
    }
}
END_TEST

TCase *noise_tests(void)
{
    TCase *tests = tcase_create("noise");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_parts_of_delta_add_up);
    tcase_add_test(tests, every_draw_of_noise_is_counted);
    tcase_add_test(tests, every_round_of_counts_is_counted);
    tcase_add_test(tests, draws_of_steps_left_to_the_budget_are_bounded);
    tcase_add_test(tests, an_epsilon_whose_noise_would_eat_delta_is_refused);
    tcase_add_test(tests, what_draws_cost_is_in_every_figure);
    tcase_add_test(tests, the_statement_says_how_noise_was_made);
    tcase_add_test(tests, every_kind_of_clipping_trains_and_is_named);
    tcase_add_test(tests, a_kept_config_reads_back);
    tcase_add_test(tests, the_step_is_made_as_the_config_says);
    tcase_add_test(tests, wrong_clipping_says_where_and_what);
    return tests;
}
