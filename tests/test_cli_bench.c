/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * `sotto bench`: what it prints adds up, and the accountant's answers are the library's. No time is judged,
 * but that it is one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sotto/accountant.h"
#include "suite.h"
#include "test_cli.h"

/* Sanitizers make the largest batches and squares take minutes; all their code runs at smaller sizes too. */
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

START_TEST(ledger_adds_up_and_leaves_nothing_behind)
{
    static const char *const times[] = {"open", "verify", "begin", "reserve", "reserve_most"};
    char folder[] = "/tmp/sotto-bench-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)run("bench ledger --runs 2 --folder %s --seconds 0.05 --json", folder);
    json_t *record = expect_json();
    ck_assert_str_eq(sotto_cli_text(record, "bench"), "ledger");
    ck_assert_double_eq(sotto_cli_member(record, "charges"), 2000);
    ck_assert_double_gt(sotto_cli_member(record, "bytes"), 2000 * 100);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        ck_assert_double_gt(sotto_cli_member(record, times[i]), 0);
    ck_assert_double_le(sotto_cli_member(record, "reserve"), sotto_cli_member(record, "reserve_most"));
    ck_assert_double_ge(sotto_cli_member(record, "verify"), sotto_cli_member(record, "open") / 100);
    json_decref(record);
    ck_assert_int_eq(rmdir(folder), 0); /* it is empty */
    (void)run("bench ledger --folder %s/gone", folder);
    expect_usage("--folder");
    (void)run("bench step --folder /tmp");
    expect_usage("--folder is for ledger");
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

/* --------------------------------------------------------------------------- step */

/* A figure above 0, and no infinity. */
static double positive(const json_t *record, const char *key)
{
    const double value = sotto_cli_member(record, key);
    ck_assert_msg(isfinite(value) && value > 0, "%s is %g", key, value);
    return value;
}

static void expect_close(const json_t *record, const char *key, double wanted)
{
    ck_assert_double_eq_tol(sotto_cli_member(record, key), wanted, 1e-12 * wanted);
}

static const char *const modes[] = {"plain", "float", "exact"};

static double of_mode(const json_t *line, const char *mode, const char *figure, double wanted)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s_%s", mode, figure);
    if (wanted > 0)
        expect_close(line, key, wanted);
    return positive(line, key);
}

/* Each figure of a line follows from its times. */
static void expect_line(const json_t *line, unsigned threads, bool scaling)
{
    const double plain = positive(line, "plain_seconds");
    const double floor = positive(line, "operations") / positive(line, "gemm_rate") / threads;
    expect_close(line, "floor_seconds", floor);
    for (size_t i = 0; i < 3; i++) {
        const double seconds = of_mode(line, modes[i], "seconds", 0);
        (void)of_mode(line, modes[i], "over_floor", seconds / floor);
        if (i > 0)
            (void)of_mode(line, modes[i], "ratio", seconds / plain);
        if (scaling)
            (void)of_mode(line, modes[i], "speedup", of_mode(line, modes[i], "seconds_alone", 0) / seconds);
    }
    ck_assert_ptr_null(json_object_get(line, "plain_ratio"));
    ck_assert_int_eq(json_object_get(line, "plain_speedup") != NULL, scaling);
    const json_t *machine =
        json_object_get(line, "machine_speedup"); /* none where the CPU has no such loop */
    ck_assert(!machine || (scaling && json_real_value(machine) > 0));
}

/*
 * Multiply-adds for each row: all products three times (forward, inputs' gradients, weights'), but no
 * gradient of the inputs of the first. The pair: the discriminator sees two rows for each; the generator runs
 * forward twice and back once, through the discriminator, whose weights stay.
 */
static const struct {
    const char *name;
    double products;
} cases[] = {
    {"dense", 3 * (128 * 256 + 256 * 256 + 256) - 128 * 256},
    {"wide", 3 * (512 * 1024 + 1024 * 1024 + 1024) - 512 * 1024},
    {"conv", 3 * (14 * 14 * 32 * 16 + 7 * 7 * 64 * 16 * 32 + 7 * 7 * 64) - 14 * 14 * 32 * 16},
    {"gan", 2 * (3 * (128 * 256 + 256 * 256 + 256) - 128 * 256) + 2 * (128 * 256 + 256 * 256 + 256) +
                4 * (128 * 256 + 256 * 256 + 256 * 128) - 128 * 256},
};

START_TEST(steps_add_up)
{
    (void)run("bench step --case %s --batch 24 --seconds 0.05 --json", cases[_i].name);
    json_t *record = expect_json();
    const json_t *lines = json_object_get(record, "lines");
    ck_assert_str_eq(seen.err, "");
    ck_assert_str_eq(sotto_cli_text(record, "bench"), "step");
    ck_assert_str_eq(sotto_cli_text(record, "case"), cases[_i].name);
    ck_assert_double_eq(sotto_cli_member(record, "threads"), 1);
    ck_assert_double_eq(sotto_cli_member(record, "seconds"), 0.05);
    ck_assert_uint_eq(json_array_size(lines), 1);
    const json_t *line = json_array_get(lines, 0);
    ck_assert_double_eq(sotto_cli_member(line, "batch"), 24);
    ck_assert_double_eq(sotto_cli_member(line, "operations"), 2 * 24 * cases[_i].products);
    expect_line(line, 1, false);
    json_decref(record);
}
END_TEST

START_TEST(dense_has_four_batches)
{
    static const double batches[] = {64, 256, 1024, 4096};
    (void)run("bench --seconds 0.05 --json");
    json_t *record = expect_json();
    const json_t *lines = json_object_get(record, "lines");
    ck_assert_str_eq(sotto_cli_text(record, "case"), "dense");
    ck_assert_uint_eq(json_array_size(lines), 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_double_eq(sotto_cli_member(json_array_get(lines, i), "batch"), batches[i]);
        expect_line(json_array_get(lines, i), 1, false);
    }
    json_decref(record);
}
END_TEST

START_TEST(scaling_compares_with_one_thread)
{
    (void)run("bench --batch 300 --threads 2 --scaling --seconds 0.05 --json");
    json_t *record = expect_json();
    ck_assert_double_eq(sotto_cli_member(record, "threads"), 2);
    expect_line(json_array_get(json_object_get(record, "lines"), 0), 2, true);
    json_decref(record);
}
END_TEST

/* How many numbers there are on standard output, and nothing else. */
static size_t count_numbers(void)
{
    size_t count = 0;
    for (char *word = strtok(seen.out, " \n"); word; word = strtok(NULL, " \n"), count++) {
        char *end;
        const double value = strtod(word, &end);
        ck_assert_msg(*end == '\0' && isfinite(value) && value > 0, "%s", word);
    }
    ck_assert_str_eq(seen.err, "");
    return count;
}

START_TEST(quiet_prints_bare_figures)
{
    static const struct {
        const char *line;
        size_t figures;
    } benchmarks[] = {{"step --batch 16", 2}, {"noise", 5}, {"gemm", 13}};
    (void)unsetenv("OPENBLAS_CORETYPE");
    ck_assert_int_eq(run("bench %s --quiet --seconds 0.05", benchmarks[_i].line), 0);
    ck_assert_uint_eq(count_numbers(), benchmarks[_i].figures);
}
END_TEST

START_TEST(tables_have_what_they_say)
{
    static const struct {
        const char *line, *parts[3];
    } benchmarks[] = {
        {"step --batch 16 --threads 2 --scaling", {"dense, 2 threads\n", "times the floor", "\n       16 "}},
        {"noise", {"exact noise, one coordinate  ", "coin of Poisson sampling", " ns\n"}},
        {"gemm", {"OpenBLAS at large squares", "\n         1024 x 1024", "Our kernels: "}},
    };
    (void)unsetenv("OPENBLAS_CORETYPE");
    ck_assert_int_eq(run("bench %s --seconds 0.05", benchmarks[_i].line), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(strstr(seen.out, benchmarks[_i].parts[i]) != NULL, "%s", seen.out);
    ck_assert_ptr_null(strstr(seen.out, "nan"));
    ck_assert_ptr_null(strstr(seen.out, "inf"));
    ck_assert_str_eq(seen.err, ""); /* no progress where there is no terminal */
}
END_TEST

START_TEST(options_of_another_benchmark_are_refused)
{
    static const char *const lines[][2] = {
        {"bench noise --case wide", "--case is for step; expected sotto bench noise without it"},
        {"bench gemm --batch 3", "--batch is for step"},
        {"bench accountant --scaling", "--scaling is for step"},
        {"bench gemm --peers", "--peers is for accountant"},
        {"bench --case narrow", "unknown case 'narrow'; expected dense, wide, conv or gan"},
        {"bench --scaling", "--scaling compares several threads with one; expected --threads N too"},
        {"bench --batch 0", "--batch"},
        {"bench --batch 65537", "--batch"},
    };
    (void)run("%s", lines[_i][0]);
    expect_usage(lines[_i][1]);
}
END_TEST

/* ------------------------------------------------------------------ noise and gemm */

START_TEST(noise_is_timed_by_kind)
{
    static const char *const kinds[] = {"noise_exact", "noise_float", "noise_reference", "cipher_8_bytes",
                                        "sampling_coin"};
    (void)run("bench noise --seconds 0.05 --json");
    json_t *record = expect_json();
    const json_t *lines = json_object_get(record, "lines");
    ck_assert_str_eq(sotto_cli_text(record, "bench"), "noise");
    ck_assert_uint_eq(json_array_size(lines), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(sotto_cli_text(json_array_get(lines, i), "kind"), kinds[i]);
        (void)positive(json_array_get(lines, i), "nanoseconds");
    }
    json_decref(record);
}
END_TEST

static json_t *ask_gemm(void)
{
    static const char *const rates[] = {"forward",      "backward",      "gradient",     "integer",
                                        "blas_forward", "blas_backward", "blas_gradient"};
    (void)run("bench gemm --seconds 0.05 --json");
    json_t *record = expect_json();
    const json_t *lines = json_object_get(record, "lines");
    ck_assert_str_eq(sotto_cli_text(record, "bench"), "gemm");
    (void)positive(record, "blas_square");
    ck_assert_str_ne(sotto_cli_text(record, "blas_core"), "");
    ck_assert_str_ne(sotto_cli_text(record, "kernels"), "");
    ck_assert_str_ne(sotto_cli_text(record, "integer_kernels"), "");
    ck_assert_ptr_nonnull(json_object_get(record, "peak"));
    ck_assert_uint_eq(json_array_size(lines), 3);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
            (void)positive(json_array_get(lines, i), rates[k]);
    return record;
}

START_TEST(gemm_measures_what_openblas_chose)
{
    (void)unsetenv("OPENBLAS_CORETYPE");
    json_t *record = ask_gemm();
    ck_assert_ptr_null(json_object_get(record, "blas_core_forced"));
    ck_assert_ptr_null(json_object_get(record, "blas_square_unforced"));
    json_decref(record);
}
END_TEST

/* The same program is asked again without the variable; the warning is there if the figures say so. */
START_TEST(gemm_tells_what_a_forced_kernel_costs)
{
    (void)setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    json_t *record = ask_gemm();
    ck_assert_str_eq(sotto_cli_text(record, "blas_core_forced"), "Prescott");
    const double unforced = positive(record, "blas_square_unforced");
    const bool warned = strstr(seen.err, "warning: OPENBLAS_CORETYPE=Prescott makes OpenBLAS ") != NULL;
    ck_assert_int_eq(warned, unforced >= 2 * sotto_cli_member(record, "blas_square"));
    json_decref(record);
}
END_TEST

/* What the program asks itself for. */
START_TEST(gemm_rate_is_one_number)
{
    ck_assert_int_eq(run("bench gemm-rate"), 0);
    ck_assert_uint_eq(count_numbers(), 1);
}
END_TEST

TCase *bench_case(void)
{
    TCase *bench = tcase_create("bench");
    tcase_set_timeout(bench, 300);
    tcase_add_test(bench, accountant_is_asked_what_it_says);
    tcase_add_test(bench, ledger_adds_up_and_leaves_nothing_behind);
    tcase_add_test(bench, peers_are_set_beside);
    tcase_add_loop_test(bench, peers_that_are_not_there_are_said_so, 0, 2);
    tcase_add_loop_test(bench, peers_that_fail_are_an_error, 0, 2);
    tcase_add_loop_test(bench, steps_add_up, 0, TEST_SANITIZED ? 1 : (int)(sizeof cases / sizeof *cases));
    if (!TEST_SANITIZED)
        tcase_add_test(bench, dense_has_four_batches);
    tcase_add_test(bench, scaling_compares_with_one_thread);
    tcase_add_loop_test(bench, quiet_prints_bare_figures, 0, TEST_SANITIZED ? 2 : 3);
    tcase_add_loop_test(bench, tables_have_what_they_say, 0, TEST_SANITIZED ? 2 : 3);
    tcase_add_loop_test(bench, options_of_another_benchmark_are_refused, 0, 8);
    tcase_add_test(bench, noise_is_timed_by_kind);
    if (!TEST_SANITIZED) {
        tcase_add_test(bench, gemm_measures_what_openblas_chose);
        tcase_add_test(bench, gemm_tells_what_a_forced_kernel_costs);
    }
    tcase_add_test(bench, gemm_rate_is_one_number);
    return bench;
}
