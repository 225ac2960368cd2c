/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto bench accountant`: its answers are the library's, and what it prints adds up. No time is judged. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sotto/accountant.h"
#include "test_cli.h"

enum { LINES = 6 };
static const char *const names[LINES] = {"epsilon_rdp", "epsilon_pld", "epsilon_pld_fine",
                                         "noise_rdp",   "noise_pld",   "budget"};

static void expected_answers(double answers[LINES])
{
    sotto_accountant *plan;
    sotto_mechanism step;
    double lower;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &plan, NULL), SOTTO_OK);
    (void)sotto_mechanism_sampled_gaussian(&step, 0.01, 1, NULL);
    ck_assert_int_eq(sotto_accountant_compose(plan, &step, 10000, NULL), SOTTO_OK);
    (void)sotto_accountant_epsilon(plan, 1e-5, &answers[0], NULL, NULL);
    (void)sotto_accountant_epsilon_bounds(plan, 1e-5, 1e-3, &lower, &answers[1], NULL);
    (void)sotto_accountant_epsilon_bounds(plan, 1e-5, 1e-4, &lower, &answers[2], NULL);
    (void)sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 3, 1e-5, 0.01, 10000, NULL, &answers[3],
                                           NULL);
    (void)sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_PLD, 3, 1e-5, 0.01, 10000, NULL, &answers[4],
                                           NULL);
    sotto_accountant_destroy(plan);
}

START_TEST(accountant_is_asked_what_it_says)
{
    double answers[LINES];
    expected_answers(answers);
    (void)run("bench accountant --seconds 0.05 --json");
    json_t *record = expect_json();
    const json_t *lines = json_object_get(record, "lines");
    ck_assert_str_eq(sotto_cli_text(record, "bench"), "accountant");
    ck_assert_uint_eq(json_array_size(lines), LINES);
    for (size_t i = 0; i < LINES; i++) {
        const json_t *line = json_array_get(lines, i);
        ck_assert_str_eq(sotto_cli_text(line, "question"), names[i]);
        ck_assert_double_gt(sotto_cli_member(line, "seconds"), 0);
        if (i < LINES - 1)
            ck_assert_double_eq(sotto_cli_member(line, "answer"), answers[i]);
        ck_assert_ptr_null(json_object_get(line, "ratio"));
    }
    ck_assert_double_gt(sotto_cli_member(record, "peak_bytes"), 1e6);
    ck_assert_ptr_null(json_object_get(record, "peer"));
    json_decref(record);
}
END_TEST

/* A python3 that does what `script` says comes first on the path. */
static void fake_python(char folder[64], const char *script)
{
    char file[128];
    (void)snprintf(folder, 64, "/tmp/sotto-python-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(file, sizeof file, "%s/python3", folder);
    ck_assert_int_eq(sotto_file_write(file, 0700, script, strlen(script), NULL), SOTTO_OK);
    ck_assert_int_eq(setenv("PATH", folder, 1), 0);
}

static void remove_python(const char *folder)
{
    char file[128];
    (void)snprintf(file, sizeof file, "%s/python3", folder);
    (void)unlink(file);
    ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(peers_are_set_beside)
{
    char folder[64];
    fake_python(folder, "#!/bin/sh\n[ \"$1\" = -c ] && [ \"$3\" = 0.05 ] || exit 3\n"
                        "echo '{\"version\": \"9.8\", \"lines\": {\"noise_pld\": {\"seconds\": 5000, "
                        "\"answer\": 1.25}}}'\n");
    (void)run("bench accountant --peers --seconds 0.05 --json");
    remove_python(folder);
    json_t *record = expect_json();
    const json_t *line = json_array_get(json_object_get(record, "lines"), 4);
    ck_assert_str_eq(sotto_cli_text(record, "peer"), "dp_accounting 9.8");
    ck_assert_double_eq(sotto_cli_member(line, "peer_answer"), 1.25);
    ck_assert_double_eq(sotto_cli_member(line, "peer_seconds"), 5000);
    ck_assert_double_eq(sotto_cli_member(line, "ratio"), 5000 / sotto_cli_member(line, "seconds"));
    ck_assert_ptr_null(json_object_get(json_array_get(json_object_get(record, "lines"), 3), "ratio"));
    json_decref(record);
}
END_TEST

START_TEST(peers_that_are_not_there_are_said_so)
{
    static const char *const scripts[] = {"#!/bin/sh\nexit 77\n", "#!/nonexistent\n"};
    char folder[64];
    fake_python(folder, scripts[_i]);
    ck_assert_int_eq(run("bench accountant --peers --seconds 0.05"), 0);
    remove_python(folder);
    ck_assert_ptr_nonnull(strstr(seen.out, "dp_accounting: not installed"));
    ck_assert_ptr_nonnull(strstr(seen.out, "ε by privacy-loss distributions "));
    ck_assert_ptr_nonnull(strstr(seen.out, "peak memory"));
}
END_TEST

START_TEST(peers_that_fail_are_an_error)
{
    static const char *const scripts[] = {"#!/bin/sh\nexit 3\n", "#!/bin/sh\necho '{'\n"};
    char folder[64];
    fake_python(folder, scripts[_i]);
    ck_assert_int_eq(run("bench accountant --peers --seconds 0.05 --quiet"), 1);
    remove_python(folder);
    ck_assert_str_eq(seen.out, "");
    ck_assert_ptr_nonnull(strstr(seen.err, "leave --peers out"));
}
END_TEST

TCase *bench_case(void)
{
    TCase *bench = tcase_create("bench");
    tcase_set_timeout(bench, 300);
    tcase_add_test(bench, accountant_is_asked_what_it_says);
    tcase_add_test(bench, peers_are_set_beside);
    tcase_add_loop_test(bench, peers_that_are_not_there_are_said_so, 0, 2);
    tcase_add_loop_test(bench, peers_that_fail_are_an_error, 0, 2);
    return bench;
}
