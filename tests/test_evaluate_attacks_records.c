/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "test_evaluate_attacks.h"

/* Whole records: what a copied table gives away, what an independent one does not, and that all is defined.
 */

static const char *const people =
    "rows: 10\n"
    "missing: '?'\n"
    "columns:\n"
    "  - {name: age, type: integer, min: 0, max: 99}\n"
    "  - {name: pay, type: number, min: 0, max: 5000, decimals: 2}\n"
    "  - {name: rent, type: number, min: 0, max: 2000, decimals: 2, missing: allowed}\n"
    "  - {name: since, type: date, min: 1990-01-01, max: 2019-12-31}\n"
    "  - {name: town, type: category, values: [Xanadu, Ys, Zion, Avalon, Lyonesse]}\n"
    "  - {name: kind, type: category, values: [quux, corge, grault], missing: allowed}\n";

/* Uniform in [0, 1) for each seed and number. */
static double uniform(uint64_t seed, uint64_t number)
{
    return (double)(sotto_mix(sotto_mix(seed) + number) >> 11) * 0x1p-53;
}

/* `rows` people of one population: town goes with age, rent with pay; another seed gives other people. */
static sotto_table *people_of(const sotto_schema *schema, size_t rows, uint64_t seed)
{
    static const char *const towns[] = {"Xanadu", "Ys", "Zion", "Avalon", "Lyonesse"};
    static const char *const kinds[] = {"quux", "corge", "grault", "?"};
    char *text = malloc(96 * (rows + 1)), *end = text;
    end += sprintf(end, "age,pay,rent,since,town,kind\n");
    for (size_t i = 0; i < rows; i++) {
        double u[7];
        for (size_t k = 0; k < 7; k++)
            u[k] = uniform(seed, 7 * i + k);
        const unsigned age = (unsigned)(99 * u[0] * u[1]);
        const double pay = 5000 * u[2] * u[2];
        end += sprintf(end, "%u,%.2f,", age, pay);
        end += u[3] < 0.1 ? sprintf(end, "?,") : sprintf(end, "%.2f,", pay * (0.1 + 0.3 * u[3]));
        end += sprintf(end, "%u-%02u-%02u,%s,%s\n", 1990 + (unsigned)(30 * u[4]), 1 + (unsigned)(12 * u[5]),
                       1 + (unsigned)(28 * u[6]), towns[u[5] < 0.7 ? age / 20 : (unsigned)(5 * u[6])],
                       kinds[(unsigned)(4 * u[3] * u[4])]);
    }
    sotto_table *table = table_of(schema, text);
    free(text);
    return table;
}

enum { ROWS = 1500 };

typedef struct world {
    sotto_schema *schema;
    sotto_table *train, *test, *fresh;
} world;

static world world_of(uint64_t seed)
{
    world w = {.schema = schema_of(people)};
    w.train = people_of(w.schema, ROWS, 3 * seed);
    w.test = people_of(w.schema, ROWS / 2, 3 * seed + 1);
    w.fresh = people_of(w.schema, ROWS, 3 * seed + 2);
    return w;
}

static void drop(world *w)
{
    sotto_table_destroy(w->train);
    sotto_table_destroy(w->test);
    sotto_table_destroy(w->fresh);
    sotto_schema_destroy(w->schema);
}

/* Every number is finite, and every rate lies in its interval, in [0, 1]. */
static void is_sound(const json_t *value)
{
    if (json_is_real(value))
        ck_assert(isfinite(json_real_value(value)));
    for (size_t i = 0; i < json_array_size(value); i++)
        is_sound(json_array_get(value, i));
    for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at))
        is_sound(json_object_iter_value(at));
    if (json_object_get(value, "rate")) {
        ck_assert_double_ge(figure(value, "low"), 0);
        ck_assert_double_le(figure(value, "low"), figure(value, "rate"));
        ck_assert_double_le(figure(value, "rate"), figure(value, "high"));
        ck_assert_double_le(figure(value, "high"), 1);
    }
}

static size_t leaks_in(const json_t *record)
{
    const json_t *attacks = json_object_get(record, "attacks");
    size_t leaks = 0;
    for (size_t i = 0; i < json_array_size(attacks); i++)
        leaks += strcmp(verdict_of(json_array_get(attacks, i)), "leak") == 0;
    leaks += strcmp(verdict_of(json_object_get(record, "distance")), "leak") == 0;
    return leaks + (strcmp(verdict_of(json_object_get(record, "membership")), "leak") == 0);
}

START_TEST(a_copied_table_leaks)
{
    world w = world_of(1);
    json_t *record = attack_tables(w.train, w.test, w.train, 2, 7);
    is_sound(record);
    ck_assert_uint_eq(json_array_size(json_object_get(record, "attacks")), 3 + 6);
    ck_assert_uint_eq(leaks_in(record), 3 + 6 + 2);
    const json_t *matches = json_object_get(record, "matches");
    ck_assert_double_eq(figure(matches, "exact_train"), 1);
    ck_assert_double_eq(figure(matches, "near_train"), 1);
    ck_assert_double_eq(figure(matches, "exact_test"), 0);
    const json_t *equal = json_object_get(matches, "equal_size");
    ck_assert_double_eq(figure(equal, "rows"), ROWS / 2);
    ck_assert_double_eq(figure(equal, "exact_train"), 0.5);
    const json_t *alone = attack_in(record, "singling_out_multivariate", NULL);
    ck_assert_double_gt(figure(json_object_get(alone, "whole_train"), "rate"), 0.99);
    ck_assert_double_gt(figure(json_object_get(record, "membership"), "true_positive_rate_at_1_percent"),
                        0.99);
    json_decref(record);
    drop(&w);
}
END_TEST

/* One row in five is copied: the verdicts that see it must not need a whole copy. */
START_TEST(a_fifth_of_a_copy_leaks)
{
    world w = world_of(2);
    sotto_table *part = people_of(w.schema, ROWS / 5, 3 * 2);
    json_t *record = attack_tables(w.train, w.test, part, 2, 7);
    ck_assert_str_eq(verdict_of(attack_in(record, "singling_out_multivariate", NULL)), "leak");
    ck_assert_str_eq(verdict_of(attack_in(record, "linkability", NULL)), "leak");
    ck_assert_str_eq(verdict_of(json_object_get(record, "membership")), "leak");
    json_decref(record);
    sotto_table_destroy(part);
    drop(&w);
}
END_TEST

/* All seeds are fixed. With others there would be a leak in at most 7.5 % of the records: 2.5 % for all
 * attacks jointly, and as much for distance and for membership; 5 of 100 seeds did. */
START_TEST(an_independent_table_does_not_leak)
{
    world w = world_of(3);
    json_t *record = attack_tables(w.train, w.test, w.fresh, 2, 7);
    is_sound(record);
    ck_assert_uint_eq(leaks_in(record), 0);
    ck_assert_double_eq(figure(json_object_get(record, "matches"), "exact_train"), 0);
    json_decref(record);
    drop(&w);
}
END_TEST

START_TEST(threads_change_no_figure)
{
    world w = world_of(4);
    char *texts[3];
    for (unsigned i = 0; i < 3; i++) {
        json_t *record = attack_tables(w.train, w.test, w.fresh, i + 1, 9);
        texts[i] = json_dumps(record, JSON_SORT_KEYS);
        json_decref(record);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    ck_assert_str_eq(texts[0], texts[2]);
    for (unsigned i = 0; i < 3; i++)
        free(texts[i]);
    drop(&w);
}
END_TEST

/* Contract rule P15: the record names columns, never what is in them. */
START_TEST(no_cell_is_quoted)
{
    world w = world_of(5);
    json_t *record = attack_tables(w.train, w.test, w.train, 2, 9);
    char *text = json_dumps(record, 0);
    static const char *const cells[] = {"Xanadu",   "Ys",   "Zion",  "Avalon",
                                        "Lyonesse", "quux", "corge", "grault"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        ck_assert_ptr_null(strstr(text, cells[i]));
    free(text);
    json_decref(record);
    drop(&w);
}
END_TEST

START_TEST(without_a_test_table_nothing_is_concluded)
{
    world w = world_of(6);
    json_t *record = attack_tables(w.train, NULL, w.train, 2, 9);
    const json_t *attacks = json_object_get(record, "attacks");
    is_sound(record);
    for (size_t i = 0; i < json_array_size(attacks); i++) {
        const json_t *attack = json_array_get(attacks, i);
        ck_assert(json_is_null(json_object_get(attack, "control")));
        ck_assert(json_is_null(json_object_get(attack, "risk")));
        ck_assert_str_eq(verdict_of(attack), "inconclusive");
    }
    ck_assert(json_is_string(json_object_get(json_object_get(record, "distance"), "skipped")));
    ck_assert(json_is_string(json_object_get(json_object_get(record, "membership"), "skipped")));
    const json_t *matches = json_object_get(record, "matches");
    ck_assert_double_eq(figure(matches, "exact_train"), 1);
    ck_assert(json_is_null(json_object_get(matches, "exact_test")));
    ck_assert(json_is_null(json_object_get(matches, "near_test")));
    json_decref(record);
    drop(&w);
}
END_TEST

/* One row, all missing, one column: everything is defined. */
START_TEST(tiny_tables_are_defined)
{
    static const struct {
        const char *schema, *csv;
    } tiny[] = {
        {"rows: 1\nmissing: '?'\ncolumns:\n  - {name: a, type: integer, min: 0, max: 9, missing: allowed}\n"
         "  - {name: b, type: category, values: [u, v], missing: allowed}\n",
         "a,b\n3,u\n"},
        {"rows: 1\nmissing: '?'\ncolumns:\n  - {name: a, type: integer, min: 0, max: 9, missing: allowed}\n"
         "  - {name: b, type: category, values: [u, v], missing: allowed}\n",
         "a,b\n?,?\n?,?\n?,?\n"},
        {"rows: 1\ncolumns:\n  - {name: a, type: integer, min: 4, max: 4}\n", "a\n4\n4\n"},
        {"rows: 1\ncolumns:\n  - {name: a, type: category, values: [only]}\n", "a\nonly\n"},
    };
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        sotto_schema *schema = schema_of(tiny[i].schema);
        sotto_table *table = table_of(schema, tiny[i].csv);
        for (int control = 0; control < 2; control++) {
            json_t *record = attack_tables(table, control ? table : NULL, table, 2, 9);
            is_sound(record);
            ck_assert_double_eq(figure(json_object_get(record, "matches"), "exact_train"), 1);
            ck_assert(json_object_get(json_object_get(record, "membership"), "skipped") != NULL);
            json_decref(record);
        }
        sotto_table_destroy(table);
        sotto_schema_destroy(schema);
    }
}
END_TEST

/* `rows` rows of text, made of `odd` and `even` ones in turn. */
static char *alternating(const char *header, const char *even, const char *odd, size_t rows)
{
    char *text = malloc(strlen(header) + rows * 16 + 1), *end = text;
    end += sprintf(end, "%s", header);
    for (size_t i = 0; i < rows; i++)
        end += sprintf(end, "%s", i % 2 ? odd : even);
    return text;
}

static double inferred(const char *schema_text, const char *synthetic_csv, const char *real_csv,
                       const char *secret)
{
    sotto_schema *schema = schema_of(schema_text);
    sotto_table *synthetic = table_of(schema, synthetic_csv), *real = table_of(schema, real_csv);
    json_t *record = attack_tables(real, NULL, synthetic, 2, 9);
    const double rate =
        figure(json_object_get(attack_in(record, "attribute_inference", secret), "train"), "successes") /
        figure(attack_in(record, "attribute_inference", secret), "attempts");
    json_decref(record);
    sotto_table_destroy(synthetic);
    sotto_table_destroy(real);
    sotto_schema_destroy(schema);
    return rate;
}

static const char *const signed_pay =
    "rows: 2\nmissing: '?'\ncolumns:\n"
    "  - {name: pay, type: integer, min: -1000, max: 1000, missing: allowed}\n"
    "  - {name: c, type: category, values: [u, v]}\n"
    "  - {name: day, type: date, min: 2000-01-01, max: 2000-01-21}\n";

/* A negative guess is no better than any other: its error is a share of its absolute value. */
START_TEST(negative_guesses_must_be_right)
{
    const char *head = "pay,c,day\n";
    char guess[64], truth[64];
    static const struct {
        const char *guess, *truth;
        double rate;
    } tries[] = {{"-100", "-50", 0}, {"-100", "-95", 1}, {"-100", "-94", 0}, {"100", "105", 1},
                 {"100", "106", 0},  {"0", "1", 0},      {"0", "0", 1},      {"?", "?", 1},
                 {"?", "0", 0},      {"0", "?", 0}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        (void)snprintf(guess, sizeof guess, "%s%s,u,2000-01-01\n", head, tries[i].guess);
        (void)snprintf(truth, sizeof truth, "%s%s,u,2000-01-01\n", head, tries[i].truth);
        ck_assert_double_eq(inferred(signed_pay, guess, truth, "pay"), tries[i].rate);
    }
}
END_TEST

/* Dates take part: 5 % of 20 days is one. */
START_TEST(dates_are_guessed_by_their_range)
{
    const char *guess = "pay,c,day\n1,u,2000-01-05\n";
    ck_assert_double_eq(inferred(signed_pay, guess, "pay,c,day\n1,u,2000-01-06\n", "day"), 1);
    ck_assert_double_eq(inferred(signed_pay, guess, "pay,c,day\n1,u,2000-01-07\n", "day"), 0);
}
END_TEST

/* The synthetic rows are alike but for c, u first: guesses by the first row would all be right. ± 5.5
 * standard deviations: a false alarm in fewer than one of 10^7 runs, were the seed not fixed. */
START_TEST(ties_are_not_broken_by_order)
{
    char *synthetic = alternating("pay,c,day\n", "1,u,2000-01-05\n", "1,v,2000-01-05\n", 1000);
    char *real = alternating("pay,c,day\n", "1,u,2000-01-05\n", "1,u,2000-01-05\n", 1000);
    ck_assert_double_eq_tol(inferred(signed_pay, synthetic, real, "c"), 0.5, 5.5 * 0.5 / sqrt(1000));
    free(synthetic);
    free(real);
}
END_TEST

/* One column called x, from 0 to 100. */
static json_t *attack_numbers(const char *train, const char *test, const char *synthetic)
{
    sotto_schema *schema = schema_of("rows: 2\nmissing: '?'\ncolumns:\n"
                                     "  - {name: x, type: integer, min: 0, max: 100, missing: allowed}\n");
    sotto_table *a = table_of(schema, train), *b = test ? table_of(schema, test) : NULL;
    sotto_table *c = table_of(schema, synthetic);
    json_t *record = attack_tables(a, b, c, 2, 9);
    sotto_table_destroy(a);
    sotto_table_destroy(b);
    sotto_table_destroy(c);
    sotto_schema_destroy(schema);
    return record;
}

/* Of 4 synthetic rows 2 are closer to the train table and 50 is 40 from both: (2 + 1/2) / 4. */
START_TEST(closest_records_by_hand)
{
    json_t *record = attack_numbers("x\n0\n10\n", "x\n100\n90\n", "x\n0\n1\n99\n50\n");
    const json_t *distance = json_object_get(record, "distance");
    ck_assert_double_eq(figure(distance, "share_closer_to_train"), 0.625);
    ck_assert_double_eq_tol(figure(distance, "median_to_train"), 0.205, 1e-6);
    ck_assert_double_eq_tol(figure(distance, "median_to_test"), 0.645, 1e-6);
    /* 0 and 1 are closest to the same row, so that the four are worth 4² / (2² + 1 + 1). */
    const sotto_rate share = sotto_wilson_worth(2.5, 4, 16. / 6);
    ck_assert_double_eq_tol(figure(distance, "low"), share.low, 1e-12);
    ck_assert_double_eq_tol(figure(distance, "high"), share.high, 1e-12);
    json_decref(record);
}
END_TEST

/* Matches of 0, 1, 50 and a missing cell: 0 exactly, 1 by one hundredth, missing as missing; 50 is 40 off. */
START_TEST(matches_by_hand)
{
    json_t *record = attack_numbers("x\n0\n10\n?\n", "x\n100\n90\n2\n", "x\n0\n1\n50\n?\n");
    const json_t *matches = json_object_get(record, "matches");
    ck_assert_double_eq(figure(matches, "exact_train"), 0.5);
    ck_assert_double_eq(figure(matches, "near_train"), 0.75);
    ck_assert_double_eq(figure(matches, "exact_test"), 0);
    ck_assert_double_eq(figure(matches, "near_test"), 0.25);
    json_decref(record);
}
END_TEST

static void counts(const json_t *record, const char *key, double attempts, double successes, double worth)
{
    const json_t *train = json_object_get(attack_in(record, key, NULL), "train");
    ck_assert_double_eq(figure(train, "attempts"), attempts);
    ck_assert_double_eq(figure(train, "successes"), successes);
    ck_assert_double_eq_tol(figure(train, "worth"), worth, 1e-12);
}

/* Unique in 3, 5, 5, 9: = 3, ≤ 3, = 9, ≥ 9, of which all but the first hold for one of 2, 9; the last two for
 * the same, so that 4 attempts are worth 4 · 3 / (1 + 4). A missing cell may be unique too. */
START_TEST(singling_out_by_hand)
{
    json_t *record = attack_numbers("x\n2\n9\n", NULL, "x\n3\n5\n9\n5\n");
    counts(record, "singling_out_univariate", 4, 3, 4 * 3 / 5.);
    json_decref(record);
    record = attack_numbers("x\n?\n9\n9\n", NULL, "x\n?\n5\n5\n");
    counts(record, "singling_out_univariate", 1, 1, 1);
    json_decref(record);
    record = attack_numbers("x\n?\n9\n9\n", NULL, "x\n?\n5\n5\n?\n");
    counts(record, "singling_out_univariate", 0, 0, 0);
    json_decref(record);
}
END_TEST

/* Two columns, one in each half: who has both values of one synthetic row is linked, who has them of two is
 * not. */
START_TEST(linking_by_hand)
{
    sotto_schema *schema = schema_of("rows: 2\ncolumns:\n  - {name: x, type: integer, min: 0, max: 99}\n"
                                     "  - {name: y, type: integer, min: 0, max: 99}\n");
    char whole[2048] = "x,y\n", torn[2048] = "x,y\n";
    for (int i = 0; i < 100; i++) {
        (void)sprintf(whole + strlen(whole), "%d,%d\n", i, i * 7 % 100);
        (void)sprintf(torn + strlen(torn), "%d,%d\n", i, (i + 3) * 7 % 100);
    }
    sotto_table *one = table_of(schema, whole), *other = table_of(schema, torn);
    json_t *record = attack_tables(one, other, one, 2, 9);
    const json_t *attack = attack_in(record, "linkability", NULL);
    ck_assert_double_eq(figure(json_object_get(attack, "train"), "successes"), 100);
    ck_assert_double_eq(figure(json_object_get(attack, "control"), "successes"), 0);
    ck_assert_str_eq(verdict_of(attack), "leak");
    json_decref(record);
    sotto_table_destroy(one);
    sotto_table_destroy(other);
    sotto_schema_destroy(schema);
}
END_TEST

static sotto_rate rate_in(const json_t *attack, const char *key)
{
    const json_t *rate = json_object_get(attack, key);
    return sotto_wilson_worth(figure(rate, "successes"), figure(rate, "attempts"), figure(rate, "worth"));
}

/* Nine attacks and joint intervals; rates as they follow from the counts, and many predicates for one row. */
START_TEST(figures_follow_from_counts)
{
    world w = world_of(7);
    json_t *record = attack_tables(w.train, w.test, w.fresh, 2, 9);
    const json_t *attacks = json_object_get(record, "attacks");
    for (size_t i = 0; i < json_array_size(attacks); i++) {
        const json_t *attack = json_array_get(attacks, i), *given = json_object_get(attack, "risk");
        const sotto_rate train = rate_in(attack, "train"), control = rate_in(attack, "control");
        const sotto_risk risk = sotto_risk_of(&train, &control, sotto_joint_z(9));
        ck_assert_double_eq_tol(figure(given, "value"), risk.value, 1e-12);
        ck_assert_double_eq_tol(figure(given, "low"), risk.low, 1e-12);
        ck_assert_double_eq_tol(figure(given, "high"), risk.high, 1e-12);
        ck_assert_double_eq_tol(figure(json_object_get(attack, "train"), "low"), train.low, 1e-12);
        ck_assert_double_eq(figure(attack, "attempts"), train.attempts);
    }
    const sotto_rate many = rate_in(attack_in(record, "singling_out_multivariate", NULL), "train");
    ck_assert_double_lt(many.worth, 0.9 * many.attempts);
    json_decref(record);
    drop(&w);
}
END_TEST

Suite *records_suite(void)
{
    Suite *suite = suite_create("records of attacks");
    TCase *verdicts = tcase_create("verdicts");
    tcase_set_timeout(verdicts, 120);
    tcase_add_test(verdicts, a_copied_table_leaks);
    tcase_add_test(verdicts, a_fifth_of_a_copy_leaks);
    tcase_add_test(verdicts, an_independent_table_does_not_leak);
    tcase_add_test(verdicts, threads_change_no_figure);
    tcase_add_test(verdicts, no_cell_is_quoted);
    tcase_add_test(verdicts, without_a_test_table_nothing_is_concluded);
    tcase_add_test(verdicts, tiny_tables_are_defined);
    suite_add_tcase(suite, verdicts);
    TCase *guesses = tcase_create("guesses");
    tcase_set_timeout(guesses, 120);
    tcase_add_test(guesses, negative_guesses_must_be_right);
    tcase_add_test(guesses, dates_are_guessed_by_their_range);
    tcase_add_test(guesses, ties_are_not_broken_by_order);
    suite_add_tcase(suite, guesses);
    TCase *hand = tcase_create("by hand");
    tcase_set_timeout(hand, 120);
    tcase_add_test(hand, closest_records_by_hand);
    tcase_add_test(hand, matches_by_hand);
    tcase_add_test(hand, singling_out_by_hand);
    tcase_add_test(hand, linking_by_hand);
    tcase_add_test(hand, figures_follow_from_counts);
    suite_add_tcase(suite, hand);
    return suite;
}
