/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs in the ledger: what is recorded is what was charged, in every process, whenever it is opened again. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_ledger.h"

static const sotto_ledger_artefact artefacts[] = {
    {"release/synthetic.csv", "synthetic rows",
     "aaaabbbbccccddddaaaabbbbccccddddaaaabbbbccccddddaaaabbbbccccdddd"},
    {"release/model.sotto", NULL, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
};

START_TEST(a_run_from_its_beginning_to_its_release)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    const sotto_mechanism other = gaussian(0.1 + 0.2); /* a number that needs 17 digits */
    const sotto_ledger_artefact *found;
    size_t count;
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan);
    ck_assert_ptr_nonnull(run);
    ck_assert_str_eq(sotto_ledger_run_data_set(run), "adult");
    ck_assert_uint_eq(sotto_ledger_run_attempt(run), 1);
    for (int i = 0; i < 3; i++)
        OK(sotto_ledger_run_charge(run, &plan.mechanism, 50, "steps", &err));
    OK(sotto_ledger_run_charge(run, &other, 1, "counts", &err));
    OK(sotto_ledger_run_charge(run, &other, 0, "nothing", &err));
    char id[32];
    (void)snprintf(id, sizeof id, "%s", sotto_ledger_run_id(run));
    ck_assert(!sotto_ledger_run_released(ledger, id, &found, &count));
    OK(sotto_ledger_run_release(run, artefacts, 2, &err));
    REFUSED(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err), SOTTO_ERROR_BUDGET, "released");
    sotto_ledger_run_destroy(run);
    const sotto_ledger_head head = sotto_ledger_last(ledger);
    ck_assert_uint_eq(head.entries, 7); /* table, run, four charges, release */
    sotto_ledger_close(ledger);

    ledger = ledger_at("ledger.db", false);
    OK(sotto_ledger_expect(ledger, &head, "a statement", &err));
    const ledger_run_record *record = ledger_book_run(&ledger->book, id);
    ck_assert_uint_eq(record->charge_count, 2);
    ck_assert_uint_eq(record->charges[0].count, 150);
    ck_assert(sotto_mechanism_equal(&record->charges[0].mechanism, &plan.mechanism));
    ck_assert(sotto_mechanism_equal(&record->charges[1].mechanism, &other));
    ck_assert_str_eq(record->charges[1].label, "counts");
    ck_assert_uint_eq(record->plan[0].count, 1000);
    ck_assert(sotto_ledger_run_released(ledger, id, &found, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(found[0].what, "synthetic rows");
    ck_assert_ptr_null(found[1].what);
    ck_assert_str_eq(found[1].sha256, artefacts[1].sha256);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(only_the_newest_attempt_may_charge)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    const char *config = plan_of(&plan).config_sha256;
    size_t count;
    sotto_ledger *ledger = ledger_at("ledger.db", true), *other = ledger_at("ledger.db", false);
    sotto_ledger_run *first = begin(ledger, &plan), *second = NULL;
    OK(sotto_ledger_run_charge(first, &plan.mechanism, 100, "steps", &err));
    OK(sotto_ledger_run_resume(&second, other, sotto_ledger_run_id(first), &table, config, &err));
    ck_assert_uint_eq(sotto_ledger_run_attempt(second), 2);
    OK(sotto_ledger_run_charge(second, &plan.mechanism, 60, "steps", &err));
    REFUSED(sotto_ledger_run_charge(first, &plan.mechanism, 1, "steps", &err), SOTTO_ERROR_BUDGET,
            "attempt 2");
    REFUSED(sotto_ledger_run_release(first, artefacts, 2, &err), SOTTO_ERROR_BUDGET, "attempt 2");
    const sotto_charge *charges = sotto_ledger_run_charges(second, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(charges[0].count, 160);
    OK(sotto_ledger_run_release(second, artefacts, 1, &err));
    sotto_ledger_run *third = NULL;
    REFUSED(sotto_ledger_run_resume(&third, ledger, sotto_ledger_run_id(first), &table, config, &err),
            SOTTO_ERROR_INPUT, "released");
    ck_assert_ptr_null(third);
    sotto_ledger_run_destroy(first);
    sotto_ledger_run_destroy(second);
    sotto_ledger_close(other);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(a_resume_is_of_the_same_table_config_and_units)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    sotto_ledger_table changed = table_of("adult", "other rows", "adult.csv"), person = table;
    person.unit = "person";
    const char *config = plan_of(&plan).config_sha256;
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan), *again = NULL;
    const char *id = sotto_ledger_run_id(run);
    const uint64_t before = sotto_ledger_last(ledger).entries;
    REFUSED(sotto_ledger_run_resume(&again, ledger, "0011223344556677", &table, config, &err),
            SOTTO_ERROR_INPUT, "no run");
    REFUSED(sotto_ledger_run_resume(&again, ledger, id, &changed, config, &err), SOTTO_ERROR_INPUT, "table");
    REFUSED(sotto_ledger_run_resume(&again, ledger, id, &person, config, &err), SOTTO_ERROR_INPUT, "units");
    REFUSED(sotto_ledger_run_resume(&again, ledger, id, &table, table.sha256, &err), SOTTO_ERROR_INPUT,
            "config");
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before);
    OK(sotto_ledger_run_close(ledger, id, "abandoned", &err));
    REFUSED(sotto_ledger_run_resume(&again, ledger, id, &table, config, &err), SOTTO_ERROR_INPUT, "closed");
    REFUSED(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err), SOTTO_ERROR_BUDGET, "closed");
    REFUSED(sotto_ledger_run_close(ledger, id, "abandoned", &err), SOTTO_ERROR_INPUT, "closed already");
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(what_cannot_be_recorded_is_refused)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan);
    sotto_accountant *one;
    sotto_mechanism selection, replaced, none = {0};
    OK(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &one, &err));
    OK(sotto_mechanism_selection(&selection, one, 1, 3, &err));
    const sotto_mechanism wide = gaussian(1);
    OK(sotto_mechanism_with_adjacency(&replaced, &wide, SOTTO_ADJACENCY_REPLACE_ONE, &err));
    const uint64_t before = sotto_ledger_last(ledger).entries;
    REFUSED(sotto_ledger_run_charge(run, &selection, 1, "best", &err), SOTTO_ERROR_INPUT, "selection");
    REFUSED(sotto_ledger_run_charge(run, &replaced, 1, "best", &err), SOTTO_ERROR_INPUT, "adjacency");
    REFUSED(sotto_ledger_run_charge(run, &none, 1, "best", &err), SOTTO_ERROR_INPUT, "kind");
    REFUSED(sotto_ledger_run_charge(run, &wide, 1, "", &err), SOTTO_ERROR_INPUT, "label");
    REFUSED(sotto_ledger_run_charge(run, &wide, 1, NULL, &err), SOTTO_ERROR_INPUT, "label");
    REFUSED(sotto_ledger_run_charge(run, &wide, UINT64_MAX, "x", &err), SOTTO_ERROR_INPUT, "2^53");
    ck_assert_int_ne(sotto_ledger_run_charge(run, &wide, 1, "\xff\xfe", &err), SOTTO_OK);
    OK(sotto_ledger_run_charge(run, &wide, SOTTO_ACCOUNTANT_MAX_COUNT, "x", &err));
    REFUSED(sotto_ledger_run_charge(run, &wide, 1, "x", &err), SOTTO_ERROR_INPUT, "2^53");
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, before + 1);
    sotto_accountant_destroy(one);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(a_forked_child_may_not_use_it)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan);
    const pid_t child = fork();
    if (child == 0) {
        const sotto_status status = sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err);
        sotto_ledger_close(ledger);
        _exit(status == SOTTO_ERROR_INPUT && strstr(err.message, "forked") ? 0 : 1);
    }
    int ended = -1;
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert_int_eq(ended, 0);
    OK(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err)); /* its locks are still its own */
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
    sotto_ledger_close(ledger_at("ledger.db", false));
}
END_TEST

/* Another process in the middle of a transaction is waited for; and would be named. */
START_TEST(a_busy_ledger_is_waited_for)
{
    const sotto_charge plan = {"steps", sampled(0.01, 1.1), 1000};
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    sotto_ledger_run *run = begin(ledger, &plan);
    int gate[2], ended = -1;
    char byte, words[64];
    ck_assert_int_eq(pipe(gate), 0);
    const pid_t child = fork();
    if (child == 0) {
        sqlite3 *other;
        if (sqlite3_open(scene_path("ledger.db"), &other) != SQLITE_OK ||
            sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
            write(gate[1], "x", 1) != 1)
            _exit(1);
        (void)usleep(300000);
        _exit(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK ? 0 : 1);
    }
    ck_assert_int_eq(read(gate[0], &byte, 1), 1);
    ck_assert_int_eq(ledger_sqlite_error(ledger, SQLITE_BUSY, "writing", &err), SOTTO_ERROR_IO);
    if (access("/proc/locks", R_OK) == 0) {
        (void)snprintf(words, sizeof words, "process %ld has been writing", (long)child);
        ck_assert_msg(strstr(err.message, words), "%s, not %s", err.message, words);
    }
    OK(sotto_ledger_run_charge(run, &plan.mechanism, 1, "steps", &err));
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert_int_eq(ended, 0);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}
END_TEST

TCase *ledger_run_case(void)
{
    TCase *runs = tcase_create("runs");
    tcase_add_checked_fixture(runs, scene_begin, scene_end);
    tcase_add_test(runs, a_run_from_its_beginning_to_its_release);
    tcase_add_test(runs, only_the_newest_attempt_may_charge);
    tcase_add_test(runs, a_resume_is_of_the_same_table_config_and_units);
    tcase_add_test(runs, what_cannot_be_recorded_is_refused);
    tcase_add_test(runs, a_forked_child_may_not_use_it);
    tcase_add_test(runs, a_busy_ledger_is_waited_for);
    return runs;
}

int main(void)
{
    Suite *suite = suite_create("ledger");
    suite_add_tcase(suite, ledger_run_case());
    suite_add_tcase(suite, ledger_cap_case());
    suite_add_tcase(suite, ledger_place_case());
    suite_add_tcase(suite, ledger_custody_case());
    suite_add_tcase(suite, ledger_damage_case());
    suite_add_tcase(suite, ledger_forged_case());
    suite_add_tcase(suite, ledger_faults_case());
    return run_suite(suite);
}
