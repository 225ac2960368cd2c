/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto account` says what the accountant says, and refuses nonsense. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sotto/accountant.h"
#include "test_cli.h"

static const double rates[] = {1e-4, 0.01, 0.3, 1};
static const double noises[] = {0.7, 1.1, 8};
static const uint64_t steps[] = {1, 1000, 20000};

static double answer_by(const char *accountant, const char *key)
{
    json_t *record = expect_json();
    const json_t *value = json_object_get(record, key);
    ck_assert_msg(json_is_number(value), "no %s in %s", key, seen.out);
    double number = json_number_value(value);
    ck_assert_str_eq(json_string_value(json_object_get(record, "accountant")), accountant);
    ck_assert_int_eq(json_object_get(record, "order") != NULL, strcmp(accountant, "rdp") == 0);
    json_decref(record);
    return number;
}

static double answer_of(const char *key)
{
    return answer_by("rdp", key);
}

static sotto_accountant *composed_of(sotto_mechanism step, uint64_t count)
{
    sotto_accountant *accountant;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &step, count, NULL), SOTTO_OK);
    return accountant;
}

static sotto_accountant *composed(double rate, double noise, uint64_t count)
{
    sotto_mechanism step;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, rate, noise, NULL), SOTTO_OK);
    return composed_of(step, count);
}

START_TEST(epsilon_and_delta_are_the_accountants)
{
    double rate = rates[_i % 4];
    double noise = noises[_i / 4 % 3];
    uint64_t count = steps[_i / 12];
    double epsilon, delta, order;
    sotto_accountant *accountant = composed(rate, noise, count);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-6, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_delta(accountant, 1.5, &delta, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);

    const char *plan = "--sample-rate %.17g --noise-multiplier %.17g --steps %llu";
    char given[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(given, sizeof given, plan, rate, noise, (unsigned long long)count);
#pragma GCC diagnostic pop
    (void)run("account epsilon %s --delta 1e-6 --json", given);
    ck_assert_double_eq(answer_of("epsilon"), epsilon);
    ck_assert_double_eq(answer_of("order"), order);
    ck_assert_double_eq(answer_of("sample_rate"), rate);
    ck_assert_double_eq(answer_of("noise_multiplier"), noise);
    ck_assert_double_eq(answer_of("steps"), (double)count);
    ck_assert_double_eq(answer_of("delta"), 1e-6);
    ck_assert_int_eq(run("account epsilon %s --delta 1e-6 --quiet --accountant rdp", given), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), epsilon);
    (void)run("account delta %s --epsilon 1.5 --json", given);
    ck_assert_double_eq(answer_of("delta"), delta);
    ck_assert_double_eq(answer_of("epsilon"), 1.5);
}
END_TEST

START_TEST(noise_and_steps_are_the_accountants)
{
    double noise;
    uint64_t count;
    sotto_mechanism step;
    ck_assert_int_eq(
        sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 2, 1e-5, 0.02, 3000, NULL, &noise, NULL),
        SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, 0.02, 1.3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 2, 1e-5, &step, NULL, &count, NULL),
                     SOTTO_OK);
    (void)run("account noise --sample-rate 0.02 --steps 3000 --epsilon 2 --delta 1e-5 --json");
    ck_assert_double_eq(answer_of("noise_multiplier"), noise);
    ck_assert_double_gt(answer_of("order"), 1);
    (void)run("account steps --sample-rate 0.02 --noise-multiplier 1.3 --epsilon 2 --delta 1e-5 --json");
    ck_assert_double_eq(answer_of("steps"), (double)count);
    ck_assert_ptr_nonnull(strstr(seen.out, "\"steps\": "));
    ck_assert_uint_gt(count, 10);
    ck_assert_int_eq(
        run("account steps --sample-rate 1 --noise-multiplier 0.1 --epsilon 1 --delta 1e-5 --quiet"), 0);
    ck_assert_str_eq(seen.out, "0\n");
}
END_TEST

START_TEST(rates_are_the_accountants)
{
    double rate;
    ck_assert_int_eq(sotto_calibrate_sample_rate(SOTTO_ACCOUNTANT_RDP, 2, 1e-5, 1.3, 3000, NULL, &rate, NULL),
                     SOTTO_OK);
    (void)run("account rate --noise-multiplier 1.3 --steps 3000 --epsilon 2 --delta 1e-5 --json");
    ck_assert_double_eq(answer_of("sample_rate"), rate);
    ck_assert_double_gt(answer_of("order"), 1);
    ck_assert_int_eq(run("account rate --noise-multiplier 1.3 --steps 3000 --epsilon 2 --delta 1e-5"), 0);
    const double shown = strtod(seen.out + strlen("sample rate "), NULL);
    ck_assert_double_le(shown, rate); /* down */
    ck_assert_double_ge(shown, rate * (1 - 1e-5));
    ck_assert_ptr_nonnull(strstr(seen.out, " keeps ε = 2 at δ = 1e-5 (Rényi accountant, order "));
    ck_assert_int_eq(run("account rate --noise-multiplier 1e-9 --steps 9 --epsilon 1 --delta 1e-9 --quiet"),
                     0);
    ck_assert_double_lt(strtod(seen.out, NULL), 1e-9);
}
END_TEST

/* The certified sides, of ε and of δ, at the gap that is asked for. */
START_TEST(privacy_loss_distributions_answer)
{
    double lower, upper;
    const char *plan = "--sample-rate 0.02 --noise-multiplier 1.1 --steps 800 --accountant pld";
    sotto_accountant *accountant = composed(0.02, 1.1, 800);
    ck_assert_int_eq(sotto_accountant_epsilon_bounds(accountant, 1e-6, 1e-3, &lower, &upper, NULL), SOTTO_OK);
    (void)run("account epsilon %s --delta 1e-6 --json", plan);
    ck_assert_double_eq(answer_by("pld", "epsilon"), upper);
    ck_assert_double_eq(answer_by("pld", "epsilon_lower"), lower);
    ck_assert_double_eq(answer_by("pld", "gap"), 1e-3);
    ck_assert_int_eq(run("account epsilon %s --delta 1e-6", plan), 0);
    const char *certified = strstr(seen.out, " (certified: no less than ");
    ck_assert_ptr_nonnull(certified);
    ck_assert_double_ge(strtod(seen.out + strlen("ε = "), NULL), upper);
    const double shown = strtod(certified + strlen(" (certified: no less than "), NULL);
    ck_assert_double_le(shown, lower);
    ck_assert_double_ge(shown, lower * (1 - 1e-5));

    ck_assert_int_eq(sotto_accountant_epsilon_bounds(accountant, 1e-6, 0.05, &lower, &upper, NULL), SOTTO_OK);
    (void)run("account epsilon %s --delta 1e-6 --gap 0.05 --json", plan);
    ck_assert_double_eq(answer_by("pld", "epsilon"), upper);
    ck_assert_double_eq(answer_by("pld", "epsilon_lower"), lower);
    ck_assert_int_eq(sotto_accountant_delta_bounds(accountant, 1.5, 1e-2, &lower, &upper, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    (void)run("account delta %s --epsilon 1.5 --gap 1e-2 --json", plan);
    ck_assert_double_eq(answer_by("pld", "delta"), upper);
    ck_assert_double_eq(answer_by("pld", "delta_lower"), lower);
}
END_TEST

START_TEST(privacy_loss_distributions_calibrate)
{
    const sotto_accountant_kind pld = SOTTO_ACCOUNTANT_PLD;
    double noise, rate;
    uint64_t count;
    sotto_mechanism step;
    ck_assert_int_eq(sotto_calibrate_noise_multiplier(pld, 2, 1e-5, 0.02, 300, NULL, &noise, NULL), SOTTO_OK);
    (void)run(
        "account noise --accountant pld --sample-rate 0.02 --steps 300 --epsilon 2 --delta 1e-5 --json");
    ck_assert_double_eq(answer_by("pld", "noise_multiplier"), noise);
    ck_assert_double_le(answer_by("pld", "epsilon_lower"), 2);
    ck_assert_double_ge(answer_by("pld", "epsilon_lower"), 1.99);
    ck_assert_int_eq(sotto_calibrate_sample_rate(pld, 2, 1e-5, 1.3, 300, NULL, &rate, NULL), SOTTO_OK);
    (void)run(
        "account rate --accountant pld --noise-multiplier 1.3 --steps 300 --epsilon 2 --delta 1e-5 --json");
    ck_assert_double_eq(answer_by("pld", "sample_rate"), rate);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, 0.02, 1.3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_calibrate_steps(pld, 2, 1e-5, &step, NULL, &count, NULL), SOTTO_OK);
    (void)run("account steps --accountant pld --sample-rate 0.02 --noise-multiplier 1.3 --epsilon 2 --delta "
              "1e-5 --json");
    ck_assert_double_eq(answer_by("pld", "steps"), (double)count);
    ck_assert_int_eq(run("account steps --accountant pld --sample-rate 1 --noise-multiplier 0.1 --epsilon 1 "
                         "--delta 1e-5 --quiet"),
                     0);
    ck_assert_str_eq(seen.out, "0\n");
}
END_TEST

static void expect_text(const char *key, const char *text)
{
    json_t *record = expect_json();
    ck_assert_str_eq(sotto_cli_text(record, key), text);
    json_decref(record);
}

/* Other neighbours than one row more or less are named wherever they are asked about. */
START_TEST(groups_and_fixed_batches_are_priced)
{
    const char *plan = "--sample-rate 0.02 --noise-multiplier 3 --steps 500 --delta 1e-6";
    double epsilon;
    sotto_mechanism step;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, 0.02, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_group(&step, &step, 3, NULL), SOTTO_OK);
    sotto_accountant *accountant = composed_of(step, 500);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-6, &epsilon, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    (void)run("account epsilon %s --group 3 --json", plan);
    ck_assert_double_eq(answer_of("epsilon"), epsilon);
    ck_assert_double_eq(answer_of("group"), 3);
    expect_text("adjacency", "add or remove one");
    expect_text("sampling", "poisson");
    ck_assert_int_eq(run("account epsilon %s --group 3", plan), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "\nfor any 3 rows that join or leave together\n"));

    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&step, 0.02, 3, NULL), SOTTO_OK);
    accountant = composed_of(step, 500);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-6, &epsilon, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    (void)run("account epsilon %s --sampling without-replacement --json", plan);
    ck_assert_double_eq(answer_of("epsilon"), epsilon);
    expect_text("adjacency", "replace one");
    expect_text("sampling", "without-replacement");
    ck_assert_int_eq(run("account epsilon %s --sampling without-replacement", plan), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "one row is replaced by another"));
    ck_assert_int_eq(run("account epsilon %s --sampling poisson --group 1", plan), 0);
    ck_assert_ptr_null(strstr(seen.out, "\nfor"));
}
END_TEST

START_TEST(divergences_are_the_accountants)
{
    static const double orders[] = {1, 2, 4.5, 32};
    sotto_mechanism step;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, 0.01, 1, NULL), SOTTO_OK);
    (void)run("account rdp --sample-rate 0.01 --noise-multiplier 1 --order 1,2,4.5,32 --json");
    json_t *record = expect_json();
    ck_assert_uint_eq(json_array_size(json_object_get(record, "rdp")), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *order = json_array_get(json_object_get(record, "order"), i);
        const json_t *divergence = json_array_get(json_object_get(record, "rdp"), i);
        ck_assert_double_eq(json_number_value(order), orders[i]);
        ck_assert_double_eq(json_number_value(divergence), sotto_mechanism_rdp(&step, orders[i]));
    }
    json_decref(record);
    ck_assert_int_eq(run("account rdp --sample-rate 0.01 --noise-multiplier 1 --order 2 --quiet"), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), sotto_mechanism_rdp(&step, 2));
}
END_TEST

START_TEST(words_round_up)
{
    double epsilon;
    sotto_accountant *accountant = composed(0.01, 4, 10000);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    ck_assert_int_eq(
        run("account epsilon --sample-rate 0.01 --noise-multiplier 4 --steps 10000 --delta 1e-5"), 0);
    ck_assert_int_eq(strncmp(seen.out, "ε = ", strlen("ε = ")), 0);
    double shown = strtod(seen.out + strlen("ε = "), NULL);
    ck_assert_double_ge(shown, epsilon);
    ck_assert_double_le(shown, epsilon * (1 + 1e-5));
    ck_assert_ptr_nonnull(strstr(seen.out, " at δ = 1e-5 (Rényi accountant, order "));
}
END_TEST

START_TEST(no_guarantee_is_said_so)
{
    ck_assert_int_eq(run("account epsilon --sample-rate 1 --noise-multiplier 1e-200 --steps 1 --delta 1e-5"),
                     0);
    ck_assert_ptr_nonnull(strstr(seen.out, "ε = ∞"));
    ck_assert_ptr_nonnull(strstr(seen.out, "no guarantee"));
    (void)run("account epsilon --sample-rate 1 --noise-multiplier 1e-200 --steps 1 --delta 1e-5 --json");
    json_t *record = expect_json();
    ck_assert(json_is_null(json_object_get(record, "epsilon")));
    json_decref(record);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const struct {
        const char *option, *good;
    } options[] = {{"sample-rate", "0.01"}, {"noise-multiplier", "1"}, {"steps", "10"}, {"delta", "1e-5"}};
    static const char *const bad[] = {"nan", "NaN",  "inf", "-inf",  "-1",    "1e400", "0x1",
                                      "1,5", "1.5x", "--5", "1e",    "0.5.5", "ten",   "1e-400",
                                      "+-1", "0",    "-0",  "1e999", "1_000"};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            char given[256] = "";
            for (size_t j = 0; j < 4; j++) {
                size_t used = strlen(given);
                (void)snprintf(given + used, sizeof given - used, "--%s %s ", options[j].option,
                               i == j ? bad[k] : options[j].good);
            }
            (void)run("account epsilon %s", given);
            expect_usage(options[i].option);
            ck_assert_msg(strstr(seen.err, "expected a") != NULL, "%s", seen.err);
        }
}
END_TEST

START_TEST(impossible_questions_are_refused)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"epsilon --noise-multiplier 1 --steps 1 --delta 1e-5", "--sample-rate is missing"},
        {"epsilon --sample-rate 1 --steps 1 --delta 1e-5", "--noise-multiplier is missing"},
        {"epsilon --sample-rate 1 --noise-multiplier 1 --delta 1e-5", "--steps is missing"},
        {"epsilon --sample-rate 1 --noise-multiplier 1 --steps 1", "--delta is missing"},
        {"delta --sample-rate 1 --noise-multiplier 1 --steps 1", "--epsilon is missing"},
        {"noise --sample-rate 1 --steps 1 --delta 0.1", "--epsilon is missing"},
        {"steps --sample-rate 1 --epsilon 1 --delta 0.1", "--noise-multiplier is missing"},
        {"rdp --sample-rate 1 --noise-multiplier 1", "--order is missing"},
        {"rdp --sample-rate 1 --noise-multiplier 1 --order 0.9", "below 1"},
        {"rdp --sample-rate 1 --noise-multiplier 1 --order 2,,3", "not a decimal number"},
        {"rdp --sample-rate 1 --noise-multiplier 1 --order 2,", "not a decimal number"},
        {"rdp --sample-rate 1 --noise-multiplier 1 --order nan", "not a decimal number"},
        {"rdp --sample-rate 1 --noise-multiplier 1 --order 1e400", "too large"},
        {"epsilon --sample-rate 1.01 --noise-multiplier 1 --steps 1 --delta 1e-5", "above 0 and at most 1"},
        {"epsilon --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 1", "both excluded"},
        {"epsilon --sample-rate 1 --noise-multiplier 1 --steps 9007199254740993 --delta 0.1", "out of range"},
        {"epsilon --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1 --epsilon 1", "unknown option"},
        {"noise --sample-rate 1 --steps 1 --delta 0.1 --epsilon 0", "a number above 0"},
        {"delta --sample-rate 1 --noise-multiplier 1 --steps 1 --epsilon -1", "of at least 0"},
        {"epsilon --accountant prv --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1",
         "--accountant 'prv' is unknown; expected rdp or pld"},
        {"rdp --accountant pld --sample-rate 1 --noise-multiplier 1 --order 2", "expected rdp"},
        {"epsilon --gap 0.1 --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1",
         "--gap is for --accountant pld"},
        {"epsilon --accountant pld --gap 1e-6 --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1",
         "from 1e-5 to 1"},
        {"noise --accountant pld --gap 0.1 --sample-rate 1 --steps 1 --epsilon 1 --delta 0.1",
         "unknown option --gap"},
        {"noise --group 2 --sample-rate 1 --steps 1 --epsilon 1 --delta 0.1", "unknown option --group"},
        {"rate --noise-multiplier 1 --steps 1 --epsilon 1", "--delta is missing"},
        {"rate --sample-rate 1 --noise-multiplier 1 --steps 1 --epsilon 1 --delta 0.1", "unknown option --s"},
        {"epsilon --group 0 --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1", "of at least 1"},
        {"epsilon --sampling shuffled --sample-rate 1 --noise-multiplier 1 --steps 1 --delta 0.1",
         "expected poisson or without-replacement"},
        {"epsilon --sampling without-replacement --accountant pld --sample-rate 1 --noise-multiplier 1 --steps "
         "1 --delta 0.1",
         "is for --accountant rdp"},
        {"epsilon --sampling without-replacement --group 2 --sample-rate 0.1 --noise-multiplier 1 --steps 1 "
         "--delta 0.1",
         "cannot be priced for groups"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)run("account %s", cases[i].line);
        expect_usage(cases[i].part);
    }
}
END_TEST

TCase *account_case(void)
{
    TCase *account = tcase_create("account");
    tcase_set_timeout(account, 120);
    tcase_add_loop_test(account, epsilon_and_delta_are_the_accountants, 0, 36);
    tcase_add_test(account, noise_and_steps_are_the_accountants);
    tcase_add_test(account, rates_are_the_accountants);
    tcase_add_test(account, privacy_loss_distributions_answer);
    tcase_add_test(account, privacy_loss_distributions_calibrate);
    tcase_add_test(account, groups_and_fixed_batches_are_priced);
    tcase_add_test(account, divergences_are_the_accountants);
    tcase_add_test(account, words_round_up);
    tcase_add_test(account, no_guarantee_is_said_so);
    tcase_add_test(account, nonsense_is_refused);
    tcase_add_test(account, impossible_questions_are_refused);
    return account;
}
