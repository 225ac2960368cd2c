/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Sweeps: the grid, what it costs, runs as processes, going on after a kill. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/sweep.h"
#include "test_run.h"

static const char section[] = "sweep:\n"
                              "  privacy.epsilon: [0.5, 2]\n"
                              "  training.steps: [10, 20, 30]\n"
                              "  repeats: 2\n"
                              "  evaluate: {test: test.csv, target: ill}\n";

/* config.yaml with a sweep; test.csv beside it. */
static void put_sweep(const char *text)
{
    char whole[4096];
    (void)snprintf(whole, sizeof whole, "%s%s", config, text);
    put("config.yaml", whole);
    char *table = get("table.csv");
    put("test.csv", table);
    free(table);
}

/* Paths of their own: those of `at` do not outlive many others. */
static sotto_sweep_options sweep_options(unsigned jobs)
{
    static char config_path[512], output[512];
    (void)snprintf(config_path, sizeof config_path, "%s", at("config.yaml"));
    (void)snprintf(output, sizeof output, "%s", at("sweep"));
    return (sotto_sweep_options){.run = {.config = config_path, .output = output, .threads = 1},
                                 .jobs = jobs};
}

static sotto_status load(sotto_sweep *sweep, sotto_run_cost **costs, sotto_error *err)
{
    static sotto_run_options options;
    options = options_for(NULL);
    sotto_status status = sotto_sweep_load(sweep, &options, err);
    return status == SOTTO_OK ? sotto_sweep_plan(sweep, costs, err) : status;
}

START_TEST(the_grid_has_every_combination_once)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    bool seen[2][3] = {{false}};
    put_sweep(section);
    ck_assert_int_eq(load(&sweep, &costs, NULL), SOTTO_OK);
    ck_assert_uint_eq(sweep.combinations, 6);
    ck_assert_uint_eq(sweep.cells, 12);
    for (size_t c = 0; c < 6; c++) {
        json_t *settings = sotto_sweep_chosen(&sweep, c);
        const double epsilon = number(settings, "privacy.epsilon", NULL);
        const double steps = number(settings, "training.steps", NULL);
        ck_assert_double_eq(costs[c].epsilon <= epsilon && costs[c].epsilon > 0.9 * epsilon, 1);
        ck_assert_uint_eq(costs[c].steps, (uint64_t)steps);
        bool *one = &seen[epsilon > 1][(int)steps / 10 - 1];
        ck_assert(!*one);
        *one = true;
        json_decref(settings);
    }
    for (size_t i = 0; i < 12; i++)
        ck_assert_uint_eq(sotto_sweep_combination(&sweep, i), i % 6);
    sotto_sweep_destroy(&sweep);
}
END_TEST

/* ε of all runs is what an accountant says of their releases, put together here by hand. */
START_TEST(all_runs_together_cost_what_the_accountant_says)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    const size_t runs[6] = {1, 0, 2, 3, 1, 1};
    double epsilon, alone, none;
    sotto_accountant *accountant;
    put_sweep(section);
    ck_assert_int_eq(load(&sweep, &costs, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_sweep_epsilon(&sweep, costs, runs, &epsilon, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    for (size_t c = 0; c < 6; c++) {
        for (size_t i = 0; i < runs[c]; i++) {
            for (size_t r = 0; r < costs[c].release_count; r++)
                ck_assert_int_eq(
                    sotto_accountant_compose(accountant, &costs[c].releases[r], costs[c].uses[r], NULL),
                    SOTTO_OK);
            for (size_t s = 0; s < costs[c].steps; s++)
                ck_assert_int_eq(sotto_accountant_compose(accountant, &costs[c].step, 1, NULL), SOTTO_OK);
        }
    }
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &alone, NULL, NULL), SOTTO_OK);
    ck_assert_double_ge(epsilon, alone); /* the draws' part of δ */
    ck_assert_double_le(epsilon, alone * (1 + 1e-9));
    sotto_accountant_destroy(accountant);

    const size_t nothing[6] = {0};
    ck_assert_int_eq(sotto_sweep_epsilon(&sweep, costs, nothing, &none, NULL), SOTTO_OK);
    ck_assert_double_eq(none, 0.0);
    sotto_sweep_destroy(&sweep);
}
END_TEST

/* The best of a random number costs more than one run of the costliest, and less than many composed. */
START_TEST(the_best_of_a_random_number_is_dearer_than_one)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    double epsilon, shape, more;
    put_sweep(section);
    ck_assert_int_eq(load(&sweep, &costs, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_sweep_best_of_random(&sweep, costs, &epsilon, &shape, NULL), SOTTO_OK);
    ck_assert_double_gt(epsilon, 2.0);
    ck_assert_double_lt(epsilon, 12 * 2.0);
    sweep.mean_runs = 100;
    ck_assert_int_eq(sotto_sweep_best_of_random(&sweep, costs, &more, &shape, NULL), SOTTO_OK);
    ck_assert_double_gt(more, epsilon);
    sotto_sweep_destroy(&sweep);
}
END_TEST

static const struct {
    const char *section, *words;
} wrong[] = {
    {"sweep: [1]\n", "must be a map"},
    {"sweep: {privacy.epsilon: 1}\n", "must list the values"},
    {"sweep: {privacy.epsilon: []}\n", "must list the values"},
    {"sweep: {privacy.epsilon: [1, [2]]}\n", "must be numbers or words"},
    {"sweep: {privacy.epsilon: [1, 1]}\n", "twice"},
    {"sweep: {data.table: [a.csv, b.csv]}\n", "over one table"},
    {"sweep: {privacy.epsilon: [1, 2000]}\n", "privacy.epsilon = 2000"},
    {"sweep: {privacy.epsilom: [1]}\n", "epsilom"},
    {"sweep: {privacy.delta: [1.0e-5, 1.0e-4]}\n", "sweep.budget.delta"},
    {"sweep: {repeats: 0}\n", "repeats"},
    {"sweep: {repeats: 3, evaluate: {target: ill}}\n", "test"},
    {"sweep: {repeats: 3, evaluate: {tests: x}}\n", "tests"},
    {"sweep: {repeats: 3, evaluate: {test: nothing.csv, target: ill}}\n", "cannot open"},
    {"sweep: {repeats: 3, evaluate: {test: test.csv, target: nothing}}\n", "no column"},
    {"sweep: {repeats: 3, evaluate: {test: test.csv, target: ill, sensitive: age}}\n", "category column"},
    {"sweep: {repeats: 3, budget: {epsilon: 1, delta: 0.9}}\n", "below 1/rows"},
    {"sweep: {repeats: 3, budget: {delta: 1.0e-5}}\n", "sweep.budget.epsilon is missing"},
    {"", "no section `sweep`"},
};

START_TEST(what_no_sweep_can_be_is_refused_before_anything_is_made)
{
    sotto_error err = {0};
    char *json;
    put_sweep(wrong[_i].section);
    sotto_sweep_options options = sweep_options(1);
    ck_assert_int_eq(sotto_run_sweep(&options, &json, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s: %s", wrong[_i].section, err.message);
    ck_assert_ptr_null(json);
    ck_assert(!exists("sweep"));
}
END_TEST

START_TEST(a_sweep_over_its_budget_is_refused)
{
    sotto_error err = {0};
    char *json;
    put_sweep("sweep: {repeats: 9, budget: {epsilon: 2.5}}\n");
    sotto_sweep_options options = sweep_options(1);
    ck_assert_int_eq(sotto_run_sweep(&options, &json, &err), SOTTO_ERROR_BUDGET);
    ck_assert_ptr_nonnull(strstr(err.message, "sweep.budget"));
    ck_assert(!exists("sweep"));
}
END_TEST

START_TEST(train_refuses_a_sweep)
{
    put_sweep(section);
    sotto_run_options options = options_for("run");
    ck_assert_ptr_null(train_with(&options, SOTTO_ERROR_INPUT));
    ck_assert(!exists("run"));
}
END_TEST

static json_t *sweep_with(sotto_sweep_options *options, sotto_status wanted)
{
    sotto_error err = {0};
    char *text;
    const sotto_status status = sotto_run_sweep(options, &text, &err);
    ck_assert_msg(status == wanted, "sweep gave %s: %s", sotto_status_name(status), err.message);
    json_t *record = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return record;
}

static size_t with_status(const json_t *record, const char *status)
{
    size_t count = 0, i;
    const json_t *cell;
    json_array_foreach(json_object_get(record, "cells"), i, cell)
    {
        count += strcmp(json_string_value(json_object_get(cell, "status")), status) == 0;
    }
    return count;
}

/* Without a target: models that learn one take most of a sweep's time. */
static const char small[] = "sweep:\n"
                            "  privacy.epsilon: [0.5, 2]\n"
                            "  repeats: 2\n"
                            "  evaluate: {test: test.csv}\n"
                            "  budget: {epsilon: 30}\n";

static const char small_with_target[] = "sweep:\n"
                                        "  privacy.epsilon: [0.5, 2]\n"
                                        "  repeats: 2\n"
                                        "  evaluate: {test: test.csv, target: ill}\n"
                                        "  budget: {epsilon: 30}\n";

/* ε of so many runs of the small sweep's two combinations. */
static double small_epsilon(size_t first, size_t second)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    const size_t runs[2] = {first, second};
    double epsilon;
    ck_assert_int_eq(load(&sweep, &costs, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_sweep_epsilon(&sweep, costs, runs, &epsilon, NULL), SOTTO_OK);
    sotto_sweep_destroy(&sweep);
    return epsilon;
}

START_TEST(a_sweep_makes_every_run_and_says_what_all_cost)
{
    put_sweep(small_with_target);
    sotto_sweep_options options = sweep_options(2);
    json_t *record = sweep_with(&options, SOTTO_OK);
    struct stat facts;
    ck_assert_uint_eq(with_status(record, "done"), 4);
    ck_assert_double_eq_tol(json_number_value(json_object_get(json_object_get(record, "privacy"), "all")),
                            small_epsilon(2, 2), 1e-12);
    ck_assert_uint_eq(json_array_size(json_object_get(record, "groups")), 2);
    ck_assert_int_eq(stat(at("sweep"), &facts), 0);
    ck_assert_int_eq(facts.st_mode & 0777, 0700);
    const char *files[] = {"sweep/sweep.json", "sweep/sweep.csv", "sweep/sweep.html",
                           "sweep/cells/004/cell.json"};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(stat(at(files[i]), &facts), 0);
        ck_assert_int_eq(facts.st_mode & 0777, 0600);
    }
    /* A run's own statement says that it is one of several (P14). */
    char *statement = get("sweep/cells/001/run/release/privacy.json");
    ck_assert_ptr_nonnull(strstr(statement, "one of 4 of a sweep"));
    free(statement);
    char *csv = get("sweep/sweep.csv");
    size_t lines = 0;
    for (const char *c = csv; *c; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, 6);
    ck_assert_int_eq(strncmp(csv, "# Computed from real rows", 25), 0); /* P12 */
    ck_assert_ptr_nonnull(strstr(csv, "\nrun,privacy.epsilon,repeat,status,epsilon,seconds,"));
    free(csv);
    json_decref(record);

    /* Nothing is made twice, and nothing charged. */
    options.resume = true;
    char *before = get("sweep/begun");
    record = sweep_with(&options, SOTTO_OK);
    char *after = get("sweep/begun");
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    json_decref(record);

    options.resume = false;
    ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
    options.resume = true;
    put_sweep("sweep: {privacy.epsilon: [0.5, 3], repeats: 2}\n");
    ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
}
END_TEST

/* Long enough to be stopped in the middle. */
static void put_long_sweep(void)
{
    put_sweep(small);
    char *text = get("config.yaml"), *steps = strstr(text, "steps: 30,"), longer[4096];
    ck_assert_ptr_nonnull(steps);
    (void)snprintf(longer, sizeof longer, "%.*ssteps: 900%s", (int)(steps - text), text, steps + 9);
    put("config.yaml", longer);
    free(text);
}

static bool stop_now(void *context)
{
    (void)context;
    return exists("sweep/cells/002/run"); /* the second has begun */
}

/* P7, P14: a run that was interrupted stays charged, and its work is done anew. */
START_TEST(an_interrupted_sweep_goes_on_and_charges_what_was_lost)
{
    put_long_sweep();
    sotto_sweep_options options = sweep_options(1);
    options.run.stop = stop_now;
    json_t *record = sweep_with(&options, SOTTO_INTERRUPTED);
    ck_assert_uint_eq(with_status(record, "done"), 1);
    ck_assert_uint_eq(with_status(record, "missing"), 3);
    json_decref(record);

    options.run.stop = NULL;
    options.resume = true;
    record = sweep_with(&options, SOTTO_OK);
    ck_assert_uint_eq(with_status(record, "done"), 4);
    ck_assert(exists("sweep/cells/002.interrupted-1"));
    ck_assert_double_eq_tol(json_number_value(json_object_get(json_object_get(record, "privacy"), "all")),
                            small_epsilon(2, 3), 1e-12);
    json_decref(record);
}
END_TEST

/* The whole family is killed outright: what was on the disk counts. */
START_TEST(a_killed_sweep_goes_on)
{
    put_sweep(small);
    const struct timespec nap = {.tv_nsec = 20000000};
    const pid_t process = fork();
    sotto_sweep_options options = sweep_options(2);
    if (process == 0) {
        char *text;
        (void)sotto_run_sweep(&options, &text, NULL);
        _exit(0);
    }
    for (int i = 0; i < 1500 && !exists("sweep/cells/002/run"); i++)
        (void)nanosleep(&nap, NULL);
    ck_assert_int_eq(kill(process, SIGKILL), 0);
    ck_assert_int_eq(waitpid(process, NULL, 0), process);
    options.resume = true;
    char *text = NULL;
    sotto_error err = {0};
    sotto_status status = SOTTO_ERROR_INPUT;
    for (int i = 0; i < 500 && status == SOTTO_ERROR_INPUT; i++) { /* until its children have let go */
        status = sotto_run_sweep(&options, &text, &err);
        (void)nanosleep(&nap, NULL);
    }
    ck_assert_msg(status == SOTTO_OK, "%s", err.message);
    json_t *record = json_loads(text, 0, NULL);
    free(text);
    ck_assert_uint_eq(with_status(record, "done"), 4);
    size_t begun = 0;
    char *list = get("sweep/begun");
    for (const char *c = list; *c; c++)
        begun += *c == '\n';
    free(list);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(record, "privacy"), "runs")),
                        (double)begun);
    ck_assert_uint_ge(begun, 4);
    json_decref(record);
}
END_TEST

/* A damaged list of charges is no licence to forget them. */
START_TEST(a_damaged_list_of_runs_is_refused)
{
    put_sweep("sweep: {repeats: 2}\n");
    sotto_sweep_options options = sweep_options(2);
    json_decref(sweep_with(&options, SOTTO_OK));
    static const char *const lists[] = {"1\nx\n",    "1\n2",    "0\n1\n2\n",
                                        "1\n2\n3\n", "",        "1\n",
                                        "+1\n2\n",   " 1\n2\n", "-18446744073709551615\n2\n"};
    options.resume = true;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        put("sweep/begun", lists[i]);
        ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
    }
    static const char holes[] = "1\n\0\0\0\n2\n"; /* as a crash may leave them */
    ck_assert_int_eq(sotto_file_write(at("sweep/begun"), 0600, holes, sizeof holes - 1, NULL), SOTTO_OK);
    ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
    put("sweep/begun", "1\n2\n");
    json_decref(sweep_with(&options, SOTTO_OK));
}
END_TEST

/* P2: what is trained is what was charged, though a file be changed under the sweep's hands. */
START_TEST(a_config_changed_on_the_way_trains_nothing_else)
{
    put_sweep("sweep: {repeats: 2}\n");
    sotto_run_options options = options_for(NULL);
    sotto_sweep sweep;
    sotto_run_cost *costs;
    ck_assert_int_eq(sotto_sweep_load(&sweep, &options, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_sweep_plan(&sweep, &costs, NULL), SOTTO_OK);
    const sotto_sweep_part part = {.cost = &costs[0], .tuning = "words"};
    static const char *const changes[][2] = {
        {"config.yaml", "epsilon: 2.0"}, {"config.yaml", "steps: 30"}, {"schema.yaml", "max: 99"}};
    static const char *const into[] = {"epsilon: 9.0", "steps: 31", "max: 98"};
    for (size_t i = 0; i < 3; i++) {
        char *before = get(changes[i][0]), *place = strstr(before, changes[i][1]);
        char *after = strdup(before), *json;
        ck_assert_ptr_nonnull(place);
        memcpy(after + (place - before), into[i], strlen(into[i]));
        put(changes[i][0], after);
        sotto_error err = {0};
        options = options_for("run");
        ck_assert_int_eq(sotto_train(&options, &part, &json, &err), SOTTO_ERROR_INPUT);
        ck_assert_msg(strstr(err.message, "changed after the sweep began") != NULL, "%s", err.message);
        ck_assert(!exists("run"));
        put(changes[i][0], before);
        free(before);
        free(after);
    }
    char *json;
    options = options_for("run");
    ck_assert_int_eq(sotto_train(&options, &part, &json, NULL), SOTTO_OK);
    free(json);
    sotto_sweep_destroy(&sweep);
}
END_TEST

/* P14: past runs cannot be priced anew by another schema, and a stamp cannot be shaken off (P9). */
START_TEST(a_resumed_sweep_is_the_same_sweep)
{
    put_sweep("sweep: {repeats: 1}\n");
    sotto_sweep_options options = sweep_options(1);
    options.run.insecure_test_only_seed = true;
    json_t *record = sweep_with(&options, SOTTO_OK);
    ck_assert(json_is_string(json_object_get(record, "not_private")));
    json_decref(record);
    char *csv = get("sweep/sweep.csv"), *cell = get("sweep/cells/001/cell.json");
    ck_assert_int_eq(strncmp(csv, SOTTO_CSV_STAMP, strlen(SOTTO_CSV_STAMP)), 0);
    ck_assert_ptr_nonnull(strstr(cell, "NOT PRIVATE"));
    ck_assert_ptr_nonnull(strstr(cell, "real rows"));
    free(csv);
    free(cell);
    options.resume = true;
    options.run.insecure_test_only_seed = false;
    ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
    options.run.insecure_test_only_seed = true;
    char *text = get("schema.yaml"), *rows = strstr(text, "rows: 600");
    memcpy(rows, "rows: 900", 9);
    put("schema.yaml", text);
    ck_assert_ptr_null(sweep_with(&options, SOTTO_ERROR_INPUT));
    memcpy(rows, "rows: 600", 9);
    put("schema.yaml", text);
    free(text);
    json_decref(sweep_with(&options, SOTTO_OK));
}
END_TEST

/* A run whose release is whole is evaluated, not trained and charged again. */
START_TEST(a_trained_cell_is_charged_once)
{
    put_sweep(small);
    sotto_sweep_options options = sweep_options(1);
    json_decref(sweep_with(&options, SOTTO_OK));
    char *before = get("sweep/begun");
    ck_assert_int_eq(unlink(at("sweep/cells/003/cell.json")), 0);
    options.resume = true;
    json_t *record = sweep_with(&options, SOTTO_OK);
    ck_assert_uint_eq(with_status(record, "done"), 4);
    char *after = get("sweep/begun");
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    json_decref(record);
}
END_TEST

TCase *sweep_tests(void)
{
    TCase *tests = tcase_create("sweep");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, the_grid_has_every_combination_once);
    tcase_add_test(tests, all_runs_together_cost_what_the_accountant_says);
    tcase_add_test(tests, the_best_of_a_random_number_is_dearer_than_one);
    tcase_add_loop_test(tests, what_no_sweep_can_be_is_refused_before_anything_is_made, 0,
                        sizeof wrong / sizeof *wrong);
    tcase_add_test(tests, a_sweep_over_its_budget_is_refused);
    tcase_add_test(tests, train_refuses_a_sweep);
    tcase_add_test(tests, a_sweep_makes_every_run_and_says_what_all_cost);
    tcase_add_test(tests, an_interrupted_sweep_goes_on_and_charges_what_was_lost);
    tcase_add_test(tests, a_killed_sweep_goes_on);
    tcase_add_test(tests, a_damaged_list_of_runs_is_refused);
    tcase_add_test(tests, a_config_changed_on_the_way_trains_nothing_else);
    tcase_add_test(tests, a_resumed_sweep_is_the_same_sweep);
    tcase_add_test(tests, a_trained_cell_is_charged_once);
    return tests;
}
