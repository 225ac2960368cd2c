/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto account compose`: what a file of releases costs is what the library says of the same composition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sotto/accountant.h"
#include "test_cli.h"

static char path[] = "/tmp/sotto-compose-XXXXXX";

static void make_path(void)
{
    (void)snprintf(path, sizeof path, "/tmp/sotto-compose-XXXXXX");
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    (void)close(descriptor);
}

static void remove_path(void)
{
    (void)unlink(path);
}

static void put(const char *text)
{
    ck_assert_int_eq(sotto_file_write(path, 0600, text, strlen(text), NULL), SOTTO_OK);
}

static sotto_accountant *fresh(sotto_accountant_kind kind)
{
    sotto_accountant *accountant;
    ck_assert_int_eq(sotto_accountant_create(kind, &accountant, NULL), SOTTO_OK);
    return accountant;
}

static void add(sotto_accountant *accountant, sotto_mechanism mechanism, uint64_t count)
{
    ck_assert_int_eq(sotto_accountant_compose(accountant, &mechanism, count, NULL), SOTTO_OK);
}

static double number(const json_t *record, const char *key)
{
    ck_assert_msg(json_is_number(json_object_get(record, key)), "no %s in %s", key, seen.out);
    return json_number_value(json_object_get(record, key));
}

/* What docs/examples/compose.yaml lists, one after another. */
static size_t list_example(sotto_mechanism *list, uint64_t *times)
{
    size_t count = 0;
    ck_assert_int_eq(sotto_mechanism_laplace(&list[count], 20, NULL), SOTTO_OK);
    times[count++] = 1;
    ck_assert_int_eq(sotto_mechanism_gaussian(&list[count], 40, NULL), SOTTO_OK);
    times[count++] = 14;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&list[count], 0.015, 1.3, NULL), SOTTO_OK);
    times[count++] = 4000;
    ck_assert_int_eq(sotto_mechanism_pure(&list[count], 0.05, NULL), SOTTO_OK);
    times[count++] = 1;
    ck_assert_int_eq(sotto_mechanism_exponential(&list[count], 0.1, NULL), SOTTO_OK);
    times[count++] = 1;
    return count;
}

static void check_figure(const json_t *record, const sotto_accountant *accountant, bool pld)
{
    double lower, epsilon, order;
    if (pld) {
        ck_assert_int_eq(sotto_accountant_epsilon_bounds(accountant, 1e-5, 1e-3, &lower, &epsilon, NULL),
                         SOTTO_OK);
        ck_assert_double_eq(number(record, "epsilon_lower"), lower);
        ck_assert_ptr_null(json_object_get(record, "order"));
    } else {
        ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, &order, NULL), SOTTO_OK);
        ck_assert_double_eq(number(record, "order"), order);
        ck_assert_ptr_null(json_object_get(record, "epsilon_lower"));
    }
    ck_assert_double_eq(number(record, "epsilon"), epsilon);
}

START_TEST(example_costs_what_the_library_says)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    sotto_mechanism list[8];
    uint64_t times[8];
    const bool pld = _i == 1;
    const sotto_accountant_kind kind = pld ? SOTTO_ACCOUNTANT_PLD : SOTTO_ACCOUNTANT_RDP;
    const size_t count = list_example(list, times);
    (void)run("account compose %s/docs/examples/compose.yaml %s --json", root ? root : ".",
              pld ? "" : "--accountant rdp");
    json_t *record = expect_json();
    const json_t *releases = json_object_get(record, "releases");
    ck_assert_uint_eq(json_array_size(releases), count);
    sotto_accountant *all = fresh(kind);
    for (size_t i = 0; i < count; i++) {
        const json_t *release = json_array_get(releases, i);
        sotto_accountant *one = fresh(kind);
        add(one, list[i], times[i]);
        add(all, list[i], times[i]);
        check_figure(release, one, pld);
        ck_assert_double_eq(number(release, "times"), (double)times[i]);
        ck_assert_str_eq(sotto_cli_text(release, "mechanism"), sotto_mechanism_kind_name(list[i].kind));
        sotto_accountant_destroy(one);
    }
    check_figure(record, all, pld);
    ck_assert_str_eq(sotto_cli_text(record, "accountant"), sotto_accountant_kind_name(kind));
    ck_assert_str_eq(sotto_cli_text(record, "adjacency"), "add or remove one");
    ck_assert_str_eq(sotto_cli_text(json_array_get(releases, 0), "label"), "number of rows");
    ck_assert_double_eq(number(record, "delta"), 1e-5);
    sotto_accountant_destroy(all);
    json_decref(record);
}
END_TEST

/* Each kind that has no place in the example, with groups and the other adjacency. */
START_TEST(every_kind_can_be_listed)
{
    sotto_mechanism m;
    double delta;
    put("epsilon: 4\n"
        "adjacency: replace one\n"
        "releases:\n"
        "  - {mechanism: gaussian without replacement, sample_rate: 0.1, noise_multiplier: 4, times: 10}\n"
        "  - {mechanism: discrete gaussian, noise_multiplier: 5, group: 2}\n"
        "  - {mechanism: zcdp, rho: 0.01, times: 3, adjacency: replace one}\n"
        "  - {mechanism: selection, mean: 3, shape: 0.5, run: [{mechanism: gaussian, noise_multiplier: 9}]}\n"
        "  - mechanism: selection\n"
        "    mean: 2\n"
        "    shape: poisson\n"
        "    times: 2\n"
        "    run:\n"
        "      - {label: part, mechanism: laplace, noise_multiplier: 50, times: 2}\n"
        "      - {mechanism: pure, epsilon: 0.01, group: 3}\n");
    sotto_accountant *all = fresh(SOTTO_ACCOUNTANT_RDP), *run_of = fresh(SOTTO_ACCOUNTANT_RDP),
                     *other = fresh(SOTTO_ACCOUNTANT_RDP);
    const sotto_adjacency replace = SOTTO_ADJACENCY_REPLACE_ONE;
    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&m, 0.1, 4, NULL), SOTTO_OK);
    add(all, m, 10);
    (void)sotto_mechanism_discrete_gaussian(&m, 5, NULL);
    (void)sotto_mechanism_with_adjacency(&m, &m, replace, NULL);
    (void)sotto_mechanism_group(&m, &m, 2, NULL);
    add(all, m, 1);
    (void)sotto_mechanism_zcdp(&m, 0.01, NULL);
    (void)sotto_mechanism_with_adjacency(&m, &m, replace, NULL);
    add(all, m, 3);
    (void)sotto_mechanism_gaussian(&m, 9, NULL);
    (void)sotto_mechanism_with_adjacency(&m, &m, replace, NULL);
    add(run_of, m, 1);
    ck_assert_int_eq(sotto_mechanism_selection(&m, run_of, 0.5, 3, NULL), SOTTO_OK);
    add(all, m, 1);
    (void)sotto_mechanism_laplace(&m, 50, NULL);
    (void)sotto_mechanism_with_adjacency(&m, &m, replace, NULL);
    add(other, m, 2);
    (void)sotto_mechanism_pure(&m, 0.01, NULL);
    (void)sotto_mechanism_with_adjacency(&m, &m, replace, NULL);
    (void)sotto_mechanism_group(&m, &m, 3, NULL);
    add(other, m, 1);
    ck_assert_int_eq(sotto_mechanism_selection(&m, other, INFINITY, 2, NULL), SOTTO_OK);
    add(all, m, 2);
    ck_assert_int_eq(sotto_accountant_delta(all, 4, &delta, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(all);
    sotto_accountant_destroy(run_of);
    sotto_accountant_destroy(other);

    ck_assert_int_eq(run("account compose %s --quiet", path), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), delta);
    (void)run("account compose %s --json", path);
    json_t *record = expect_json();
    ck_assert_double_eq(number(record, "delta"), delta);
    ck_assert_double_eq(number(record, "epsilon"), 4);
    ck_assert_str_eq(sotto_cli_text(record, "adjacency"), "replace one");
    const json_t *releases = json_object_get(record, "releases");
    ck_assert_double_eq(number(json_array_get(releases, 1), "group"), 2);
    ck_assert_double_eq(number(json_array_get(releases, 2), "rho"), 0.01);
    ck_assert_double_eq(number(json_array_get(releases, 3), "shape"), 0.5);
    ck_assert_str_eq(sotto_cli_text(json_array_get(releases, 4), "shape"), "poisson");
    json_decref(record);
}
END_TEST

#define GAUSSIAN "{mechanism: gaussian, noise_multiplier: 5}"

START_TEST(command_line_goes_before_the_file)
{
    double epsilon, delta, lower;
    sotto_mechanism m;
    put("delta: 1e-5\nreleases: [" GAUSSIAN "]\n");
    sotto_accountant *all = fresh(SOTTO_ACCOUNTANT_RDP);
    (void)sotto_mechanism_gaussian(&m, 5, NULL);
    add(all, m, 1);
    (void)sotto_accountant_epsilon(all, 1e-7, &epsilon, NULL, NULL);
    (void)sotto_accountant_delta(all, 1, &delta, NULL, NULL);
    ck_assert_int_eq(run("account compose --delta 1e-7 %s --quiet", path), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), epsilon);
    ck_assert_int_eq(run("account compose --epsilon 1 %s --quiet", path), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), delta);
    (void)sotto_accountant_delta_bounds(all, 1, 0.1, &lower, &delta, NULL);
    ck_assert_int_eq(run("account compose --accountant pld --gap 0.1 --epsilon 1 %s --quiet", path), 0);
    ck_assert_double_eq(strtod(seen.out, NULL), delta);
    sotto_accountant_destroy(all);
    (void)run("account compose --delta 1e-7 --epsilon 1 %s", path);
    expect_usage("--delta and --epsilon are both given");
    (void)run("account compose --gap 0.1 %s", path);
    expect_usage("--gap is for --accountant pld");
    (void)run("account compose --accountant prv %s", path);
    expect_usage("expected rdp or pld");
    (void)run("account compose");
    expect_usage("FILE is missing");
    (void)run("account compose /nonexistent/list.yaml");
    expect_usage("sotto: /nonexistent/list.yaml: ");
    put("releases: [" GAUSSIAN "]\n");
    (void)run("account compose %s", path);
    expect_usage("neither delta nor epsilon");
}
END_TEST

START_TEST(table_is_for_people)
{
    put("delta: 1e-5\n"
        "releases:\n"
        "  - {label: \"caf\xc3\xa9s\", mechanism: gaussian, noise_multiplier: 5, times: 12000, group: 2}\n"
        "  - {label: \"a\\eb\", mechanism: pure, epsilon: 0.5}\n"
        "  - " GAUSSIAN "\n");
    ck_assert_int_eq(run("account compose %s", path), 0);
    ck_assert_int_eq(strncmp(seen.out, "release         times  ε alone ", 25), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "\ncafés          12,000  "));
    ck_assert_ptr_nonnull(strstr(seen.out, "  gaussian, groups of 2\n"));
    ck_assert_ptr_nonnull(strstr(seen.out, "\n-                   1  "));
    ck_assert_ptr_nonnull(strstr(seen.out, "\nε = "));
    ck_assert_ptr_nonnull(strstr(seen.out, " at δ = 1e-5 (Rényi accountant, order "));
    ck_assert_ptr_null(strchr(seen.out, '\033'));
}
END_TEST

START_TEST(wrong_files_are_refused_at_their_place)
{
    static const struct {
        const char *text, *place, *part;
    } cases[] = {
        {"delta: 1e-5\n", ":1:1: ", "releases must be a list"},
        {"delta: 1e-5\nreleases: []\n", ":2:11: ", "releases must be a list"},
        {"delta: 1e-5\nreleases: {a: 1}\n", ":2:11: ", "releases must be a list"},
        {"[1]\n", ":1:1: ", "a file of releases"},
        {"delta: 1e-5\nepsilon: 1\nreleases: [" GAUSSIAN "]\n", ":2:10: ", "both given"},
        {"delta: 1e-5\ndelta: 1e-6\nreleases: [" GAUSSIAN "]\n", ":2:1: ", "delta"},
        {"detla: 1e-5\nreleases: [" GAUSSIAN "]\n", ":1:1: ", "did you mean delta?"},
        {"delta: 0\nreleases: [" GAUSSIAN "]\n", ":1:8: ", "above"},
        {"delta: 1\nreleases: [" GAUSSIAN "]\n", ":1:8: ", "below"},
        {"epsilon: -1\nreleases: [" GAUSSIAN "]\n", ":1:10: ", "a number from 0"},
        {"delta: 1e-5\naccountant: prv\nreleases: [" GAUSSIAN "]\n", ":2:13: ", "rdp or pld"},
        {"delta: 1e-5\nadjacency: swap\nreleases: [" GAUSSIAN "]\n",
         ":2:12: ", "add or remove one or replace one"},
        {"delta: 1e-5\nreleases: [7]\n", ":2:12: ", "a release"},
        {"delta: 1e-5\nreleases:\n  - {noise_multiplier: 1}\n", ":3:5: ", "mechanism is missing"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gauss, noise_multiplier: 1}\n",
         ":3:17: ", "sampled discrete gaussian"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian}\n", ":3:5: ", "noise_multiplier is missing"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise: 1}\n", ":3:27: ", "no setting 'noise'"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, rho: 1}\n",
         ":3:48: ", "rho is not for a gaussian release"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 0}\n", ":3:45: ", "above"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: \"1\"}\n",
         ":3:45: ", "a number"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: .nan}\n",
         ":3:45: ", "a number"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: [1]}\n", ":3:45: ", "a number"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, times: 0}\n",
         ":3:55: ", "a whole number from 1"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, times: 1.5}\n",
         ":3:55: ", "a whole number"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, group: 0}\n",
         ":3:55: ", "a whole number from 1"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, label: \"\"}\n",
         ":3:55: ", "label"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: sampled gaussian, noise_multiplier: 1, sample_rate: 1.1}\n",
         ":3:69: ", "from 0 to 1"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: selection, mean: 1, shape: -1, run: [" GAUSSIAN "]}\n",
         ":3:44: ", "above -1"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: selection, mean: 0.9, shape: 0, run: [" GAUSSIAN "]}\n",
         ":3:34: ", "from 1"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: selection, mean: 1, shape: 0, run: []}\n",
         ":3:52: ", "run must be a list"},
        {"delta: 1e-5\nreleases:\n  - mechanism: selection\n    mean: 2\n    shape: 0\n    run:\n"
         "      - {mechanism: selection, mean: 2, shape: 0, run: [" GAUSSIAN "]}\n",
         ":7:9: ", "within a selection's run"},
        {"delta: 1e-5\nreleases:\n  - mechanism: selection\n    mean: 2\n    shape: 0\n    run:\n"
         "      - " GAUSSIAN "\n      - {mechanism: gaussian, noise_multiplier: 2, adjacency: replace one}\n",
         ":8:9: ", "adjacency"},
        {"delta: 1e-5\nreleases:\n  - " GAUSSIAN "\n"
         "  - {mechanism: gaussian without replacement, noise_multiplier: 1, sample_rate: 0.1}\n",
         ":4:5: ",
         "is under the adjacency replace one, but the first one (gaussian) under add or remove one"},
        {"delta: 1e-5\nadjacency: replace one\nreleases:\n  - " GAUSSIAN "\n"
         "  - {mechanism: sampled gaussian, noise_multiplier: 1, sample_rate: 0.1}\n",
         ":5:5: ", "cannot be priced under the adjacency replace one"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian without replacement, noise_multiplier: 1, "
         "sample_rate: 0.1, group: 2}\n",
         ":3:5: ", "cannot be priced for groups"},
        {"delta: 1e-5\naccountant: pld\nreleases:\n  - " GAUSSIAN "\n  - {mechanism: zcdp, rho: 1}\n",
         ":5:5: ", "no privacy-loss distribution"},
        {"delta: 1e-5\nreleases:\n  - {mechanism: gaussian, noise_multiplier: 1, times: 9007199254740992}\n"
         "  - {mechanism: gaussian, noise_multiplier: 1}\n",
         ":4:5: ", "2^53"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].text);
        (void)run("account compose %s", path);
        expect_usage(cases[i].part);
        ck_assert_msg(strstr(seen.err, cases[i].place) != NULL, "not at %s: %s", cases[i].place, seen.err);
        ck_assert_msg(strncmp(seen.err + strlen("sotto: "), path, strlen(path)) == 0, "%s", seen.err);
    }
}
END_TEST

TCase *compose_case(void)
{
    TCase *compose = tcase_create("compose");
    tcase_set_timeout(compose, 120);
    tcase_add_checked_fixture(compose, make_path, remove_path);
    tcase_add_loop_test(compose, example_costs_what_the_library_says, 0, 2);
    tcase_add_test(compose, every_kind_can_be_listed);
    tcase_add_test(compose, command_line_goes_before_the_file);
    tcase_add_test(compose, table_is_for_people);
    tcase_add_test(compose, wrong_files_are_refused_at_their_place);
    return compose;
}
