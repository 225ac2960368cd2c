/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs that are stopped, killed, copied and gone on with: what is charged, what is refused, what appears. */
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"
#include "test_run.h"

/* ----------------------------------------------------------------- helpers */

/* How many private steps of all runs, or uses of what else has this label, were charged: by the file itself.
 */
static uint64_t in_ledger(const char *label)
{
    sqlite3 *file;
    sqlite3_stmt *sum;
    sotto_ledger_close(open_ledger()); /* so that it lies in one file */
    ck_assert_int_eq(sqlite3_open_v2(at("ledger.db"), &file, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(file, "SELECT coalesce(sum(count), 0) FROM charges WHERE label = ?",
                                        -1, &sum, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_bind_text(sum, 1, label, -1, SQLITE_STATIC), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(sum), SQLITE_ROW);
    const uint64_t found = (uint64_t)sqlite3_column_int64(sum, 0);
    (void)sqlite3_finalize(sum);
    (void)sqlite3_close(file);
    return found;
}

static const char steps[] = "discriminator steps";

struct stopper {
    int asked, at;
};

static bool stop_at(void *context)
{
    struct stopper *stopper = context;
    return ++stopper->asked > stopper->at;
}

/* Train until it has been asked so often whether to stop. */
static void train_and_stop(int at)
{
    struct stopper stopper = {.at = at};
    sotto_run_options options = options_for(NULL);
    options.stop = stop_at;
    options.stop_context = &stopper;
    json_decref(train_with(&options, SOTTO_INTERRUPTED));
    ck_assert(!exists("run/release"));
}

static json_t *resume(sotto_status wanted)
{
    sotto_run_options options = options_for(NULL);
    options.resume = true;
    return train_with(&options, wanted);
}

static void expect_refusal(const sotto_run_options *options, sotto_status wanted, const char *words)
{
    char *text;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_run_train(options, &text, &err), wanted);
    ck_assert_ptr_null(text);
    ck_assert_msg(strstr(err.message, words) || strstr(err.file, words), "%s: it says: %s", err.file,
                  err.message);
}

static void expect_resume_refused(const char *words)
{
    sotto_run_options options = options_for(NULL);
    options.resume = true;
    expect_refusal(&options, SOTTO_ERROR_INPUT, words);
}

static void shell(const char *format, const char *name, const char *other)
{
    char command[2048];
    (void)snprintf(command, sizeof command, format, at(name), at(other));
    ck_assert_int_eq(system(command), 0);
}

static double statement_number(const char *first, const char *second)
{
    json_t *statement = read_json("run/release/privacy.json");
    const double value = number(statement, first, second);
    json_decref(statement);
    return value;
}

/* ------------------------------------------------------------ going on */

/* What was charged ahead and not taken is lost, so that the budget ends a little before the plan does. */
START_TEST(a_stopped_run_goes_on_to_the_end_of_its_budget)
{
    train_and_stop(7);
    ck_assert_uint_eq(in_ledger(steps), 8); /* blocks of two */
    json_t *summary = resume(SOTTO_OK);
    ck_assert_uint_eq(in_ledger(steps), 30);
    ck_assert_double_eq(number(summary, "steps", NULL), 29);
    check_rows("run/release/synthetic.csv", 400);
    json_t *statement = read_json("run/release/privacy.json");
    check_charges(statement, 2.0);
    ck_assert_double_eq(number(statement, "training", "steps_taken"), 29);
    ck_assert_double_eq(number(statement, "ledger", "attempts"), 2);
    json_decref(statement);
    json_decref(summary);
}
END_TEST

/* More noise than its ε asks for. */
static const char spare[] =
    "data: {table: table.csv, schema: schema.yaml}\n"
    "privacy: {epsilon: 8.0, delta: 1.0e-5, noise_multiplier: 3.0}\n"
    "model: {target: ill, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}\n"
    "training: {expected_batch_size: 150, steps: 30}\n"
    "sample: {rows: 50}\n"
    "output: run\n";

/* With no noise multiplier given, the run's noise is of the plan's; with more noise there is budget to spare,
 * and the planned steps are all taken. */
START_TEST(a_run_with_budget_to_spare_takes_all_its_steps)
{
    put("config.yaml", spare);
    train_and_stop(7);
    json_decref(resume(SOTTO_OK));
    ck_assert_double_eq(statement_number("training", "steps_taken"), 30);
    ck_assert_uint_eq(in_ledger(steps), 31);
    ck_assert_double_le(statement_number("guarantee", "epsilon"), 8.0);
}
END_TEST

/* No step more, and as much is promised as was planned: somebody looked, and chose to end here. */
START_TEST(a_stopped_run_can_be_finished_as_it_is)
{
    train_and_stop(7);
    sotto_run_options options = options_for(NULL);
    options.resume = options.finish = true;
    json_decref(train_with(&options, SOTTO_OK));
    ck_assert_uint_eq(in_ledger(steps), 8);
    ck_assert_double_eq(statement_number("training", "steps_taken"), 7);
    ck_assert_double_gt(statement_number("guarantee", "epsilon"), 1.99);
    check_rows("run/release/synthetic.csv", 400);
}
END_TEST

START_TEST(what_has_no_checkpoint_cannot_be_finished)
{
    train_and_stop(0);
    shell("rm %s", "run/private/checkpoint/state", "");
    sotto_run_options options = options_for(NULL);
    options.resume = options.finish = true;
    expect_refusal(&options, SOTTO_ERROR_INPUT, "no checkpoint");
}
END_TEST

static const char *const kinds[] = {
    "{type: gan, target: ill, marginals: {tables: label}, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}",
    "{type: ctgan, target: ill, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}",
    "{type: vae, target: ill, latent: 4, encoder: [8], decoder: [8]}",
    "{type: marginals, target: ill}",
    "{type: marginals, target: ill, algorithm: mst}",
    "{type: per-label, target: ill}",
    "{type: independent}",
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void put_kind(int i)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "data: {table: table.csv, schema: schema.yaml}\nprivacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                   "model: %s\n%sfigures: {predict: ill}\nsample: {rows: 70000}\noutput: run\n",
                   kinds[i], i < 3 ? "training: {expected_batch_size: 150, steps: 20}\n" : "");
    put("config.yaml", text);
}

/* A stop while sampling leaves nothing released and nothing more to be charged: what was learned is kept. */
START_TEST(every_kind_goes_on_after_a_stop_while_sampling)
{
    put_kind(_i);
    train_and_stop(_i < 3 ? 21 : 1);
    const uint64_t figures = in_ledger("figures");
    const uint64_t before = in_ledger(steps) + in_ledger("marginals") + in_ledger("label counts");
    ck_assert_uint_eq(figures, 1);
    json_decref(resume(SOTTO_OK));
    ck_assert_uint_eq(in_ledger("figures"), 1);
    ck_assert_uint_eq(in_ledger("prediction"), 1);
    ck_assert_uint_eq(in_ledger(steps) + in_ledger("marginals") + in_ledger("label counts"), before);
    ck_assert_double_le(statement_number("guarantee", "epsilon"), 2.0);
    check_rows("run/release/synthetic.csv", 70000);
    ck_assert(exists("run/release/figures.json"));
}
END_TEST

/* P8: what is done again is done with other noise. A test seed's would be the same, were it not for attempts.
 */
START_TEST(a_resume_draws_other_noise_even_of_a_test_seed)
{
    char *models[2];
    put("config.yaml", spare);
    for (int i = 0; i < 2; i++) {
        struct stopper stopper = {.at = i ? 0 : 1000};
        sotto_run_options options = options_for(i ? "resumed" : "whole");
        options.insecure_test_only_seed = true;
        options.seed = 5;
        options.stop = stop_at;
        options.stop_context = &stopper;
        json_decref(train_with(&options, i ? SOTTO_INTERRUPTED : SOTTO_OK));
        if (i) {
            shell("rm %s/*", "resumed/private/checkpoint", ""); /* it does all that the other did */
            options.resume = true;
            options.stop = NULL;
            json_decref(train_with(&options, SOTTO_OK));
        }
        models[i] = get(i ? "resumed/release/synthetic.csv" : "whole/release/synthetic.csv");
    }
    ck_assert_str_ne(models[0], models[1]);
    free(models[0]);
    free(models[1]);
}
END_TEST

/* ------------------------------------------------------------ being killed */

struct killer {
    uint64_t step;
};

static void kill_at(void *context, const sotto_progress *progress)
{
    const struct killer *killer = context;
    if (progress->step >= killer->step)
        (void)kill(getpid(), SIGKILL);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* Train in a process that dies at the first sign of progress from this step on. */
static void train_and_die(uint64_t step, bool again)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char *text;
        struct killer killer = {step};
        sotto_run_options options = options_for(NULL);
        options.progress = kill_at;
        options.progress_context = &killer;
        options.stop = never;
        options.resume = again;
        (void)sotto_run_train(&options, &text, NULL);
        _exit(0);
    }
    int ended;
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
}

/* Killed as it begins sampling, killed again when it goes on, and then gone on with: whole, and within ε. */
START_TEST(a_killed_run_goes_on)
{
    train_and_die(1, false);
    const uint64_t before = in_ledger(steps);
    ck_assert_uint_ge(before, 1);
    ck_assert(!exists("run/release"));
    train_and_die(1, true);
    ck_assert_uint_ge(in_ledger(steps), before);
    json_decref(resume(SOTTO_OK));
    ck_assert_uint_le(in_ledger(steps), 30);
    ck_assert_double_le(statement_number("guarantee", "epsilon"), 2.0);
    ck_assert_double_eq(statement_number("ledger", "attempts"), 3);
    check_rows("run/release/synthetic.csv", 400);
}
END_TEST

/* Before its name is on the disk a run has charged nothing, and simply begins. */
START_TEST(a_run_killed_before_it_had_a_name_begins)
{
    ck_assert_int_eq(sotto_make_folders(at("run/private/checkpoint"), NULL), SOTTO_OK);
    sotto_ledger_close(open_ledger());
    json_decref(resume(SOTTO_OK));
    ck_assert_double_eq(statement_number("training", "steps_taken"), 30);
    ck_assert_uint_eq(in_ledger(steps), 30);
}
END_TEST

/* Whoever goes on has a ledger: none is made. */
START_TEST(a_deleted_ledger_is_not_made_anew)
{
    train_and_stop(7);
    shell("rm %s", "ledger.db", "");
    expect_resume_refused("ledger.db");
    shell("rm %s", "ledger.db-head", "");
    expect_resume_refused("ledger.db");
    ck_assert(!exists("ledger.db"));
    ck_assert(!exists("run/release"));
}
END_TEST

/* A run of single releases that was killed before it could save what they told has spent them. */
START_TEST(a_lost_release_is_not_had_twice)
{
    put_kind(3);
    train_and_stop(1);
    shell("rm %s", "run/private/checkpoint/state", "");
    sotto_run_options options = options_for(NULL);
    options.resume = true;
    expect_refusal(&options, SOTTO_ERROR_BUDGET, "above the budget");
    ck_assert(!exists("run/release"));
    ck_assert(exists("run/private/run.json"));
}
END_TEST

/* Between its row in the ledger and its name a release is nobody's; whoever goes on lets it appear. */
START_TEST(a_release_that_was_entered_appears)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    shell("mv %s %s", "run/release", "run/release.unfinished");
    const uint64_t before = in_ledger(steps);
    json_decref(resume(SOTTO_OK));
    ck_assert(exists("run/release/synthetic.csv") && !exists("run/release.unfinished"));
    ck_assert_uint_eq(in_ledger(steps), before);
}
END_TEST

START_TEST(a_release_other_than_was_entered_does_not_appear)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    shell("mv %s %s", "run/release", "run/release.unfinished");
    shell("echo more >> %s", "run/release.unfinished/synthetic.csv", "");
    expect_resume_refused("not the file that the ledger knows");
    ck_assert(!exists("run/release"));
    shell("cp %s %s", "run/private/metrics.json", "run/release.unfinished");
    expect_resume_refused("does not know as released");
    ck_assert(!exists("run/release"));
}
END_TEST

/* -------------------------------------------------------------- refusals */

/* Whatever the guarantee depends on may not change. */
START_TEST(another_config_is_not_gone_on_with)
{
    static const char *const changes[] = {
        "privacy.epsilon=3", "privacy.max_grad_norm=0.5", "training.steps=40",  "model.generator.latent=5",
        "data.holdout=0.1",  "privacy.noise=float",       "figures.predict=ill"};
    train_and_stop(7);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        sotto_run_options options = options_for(NULL);
        options.resume = true;
        options.settings = &changes[i];
        options.setting_count = 1;
        expect_refusal(&options, SOTTO_ERROR_INPUT, "may not change");
    }
    static const char *const harmless[] = {"sample.rows=30", "ledger.block=5", "checkpoint=3"};
    sotto_run_options options = options_for(NULL);
    options.resume = true;
    options.settings = harmless;
    options.setting_count = 3;
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 30);
}
END_TEST

START_TEST(another_schema_is_not_gone_on_with)
{
    train_and_stop(7);
    shell("sed -i s/max:.99/max:\\ 98/ %s", "schema.yaml", "");
    expect_resume_refused("may not change");
}
END_TEST

START_TEST(another_table_is_not_gone_on_with)
{
    train_and_stop(7);
    put_table(1, SIZE_MAX, "");
    expect_resume_refused("another table");
}
END_TEST

START_TEST(a_test_seed_does_not_go_on_with_a_private_run)
{
    train_and_stop(7);
    sotto_run_options options = options_for(NULL);
    options.resume = options.insecure_test_only_seed = true;
    expect_refusal(&options, SOTTO_ERROR_INPUT, "test seed");
}
END_TEST

START_TEST(there_must_be_a_run_to_go_on_with)
{
    expect_resume_refused("no run to go on with");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    expect_resume_refused("is finished");
}
END_TEST

START_TEST(a_run_is_gone_on_with_by_one_process_at_a_time)
{
    train_and_stop(7);
    sotto_run_directory directory;
    ck_assert_int_eq(sotto_run_directory_reopen(&directory, at("run"), NULL), SOTTO_OK);
    expect_resume_refused("another process is at work");
    sotto_run_directory_close(&directory);
    json_decref(resume(SOTTO_OK));
}
END_TEST

START_TEST(damaged_files_are_refused)
{
    static const char *const files[] = {"run/private/run.json", "run/private/checkpoint/state",
                                        "run/private/checkpoint/split"};
    train_and_stop(7);
    for (size_t i = 0; i < 3; i++) {
        shell("cp %s %s", files[i], "kept");
        shell("printf x | dd of=%s bs=1 seek=40 conv=notrunc 2>/dev/null", files[i], "");
        sotto_run_options options = options_for(NULL);
        char *text;
        options.resume = true;
        ck_assert_int_eq(sotto_run_train(&options, &text, NULL), SOTTO_ERROR_INPUT);
        shell("rm %s", files[i], "");
        if (i != 1) /* without a checkpoint it would begin anew */
            ck_assert_int_eq(sotto_run_train(&options, &text, NULL), SOTTO_ERROR_INPUT);
        shell("cp %s %s", "kept", files[i]);
    }
    json_decref(resume(SOTTO_OK));
}
END_TEST

/* Whoever is given a model file can tell whether it is the one that was released. */
START_TEST(every_flipped_bit_of_a_model_file_is_refused)
{
    put_kind(KINDS - 1);
    static const char *const settings[] = {"sample.rows=10"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    json_decref(train_with(&options, SOTTO_OK));
    char *bytes;
    size_t length;
    sotto_saved_model saved;
    ck_assert_int_eq(sotto_file_read(at("run/release/model.sotto"), 1 << 20, &bytes, &length, NULL),
                     SOTTO_OK);
    FILE *file = fopen(at("flipped"), "wb+");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fflush(file), 0);
    ck_assert_int_eq(sotto_model_load(&saved, at("flipped"), 1, NULL), SOTTO_OK);
    sotto_saved_model_destroy(&saved);
    for (size_t bit = 0; bit < 8 * length; bit += TEST_SANITIZED ? 13 : 1) {
        const char flipped = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        ck_assert_int_eq(pwrite(fileno(file), &flipped, 1, (off_t)(bit / 8)), 1);
        ck_assert_int_eq(sotto_model_load(&saved, at("flipped"), 1, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(pwrite(fileno(file), &bytes[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    ck_assert_int_eq(fclose(file), 0);
    free(bytes);
}
END_TEST

/* ---------------------------------------------------------------- ledgers */

START_TEST(another_ledger_is_refused)
{
    train_and_stop(7);
    use_fresh_ledger("other.db");
    expect_resume_refused("there is no ledger");
    json_decref(train_with(&(sotto_run_options){.config = at("config.yaml"), .output = at("a")}, SOTTO_OK));
    expect_resume_refused("name the right one");
}
END_TEST

START_TEST(an_older_ledger_is_refused)
{
    train_and_stop(3);
    shell("cp %s %s", "ledger.db", "older.db");
    shell("cp %s %s", "ledger.db-head", "older.db-head");
    shell("mv %s %s", "run", "first");
    train_and_stop(7);
    shell("cp %s %s", "older.db", "ledger.db");
    shell("cp %s %s", "older.db-head", "ledger.db-head");
    expect_resume_refused("older");
}
END_TEST

/* A copy goes on after the original has finished, or in its place; never beyond the run's ε. */
START_TEST(a_copied_run_is_charged_or_refused)
{
    train_and_stop(7);
    shell("cp -r %s %s", "run", "copy");
    json_decref(resume(SOTTO_OK));
    sotto_run_options options = options_for("copy");
    options.resume = true;
    expect_refusal(&options, SOTTO_ERROR_INPUT, "was released");
    ck_assert(!exists("copy/release"));
    ck_assert_uint_eq(in_ledger(steps), 30);
}
END_TEST

static mode_t mode_of(const char *name)
{
    struct stat facts;
    ck_assert_msg(lstat(at(name), &facts) == 0, "%s", name);
    return facts.st_mode & 07777;
}

START_TEST(private_files_are_closed_whatever_the_umask)
{
    static const char *const files[] = {"run/private/run.json",
                                        "run/private/train.log",
                                        "run/private/checkpoint/state",
                                        "run/private/checkpoint/split",
                                        "ledger.db",
                                        "ledger.db-head"};
    const mode_t before = umask(0);
    train_and_stop(7);
    (void)umask(before);
    ck_assert_uint_eq(mode_of("run/private"), 0700);
    ck_assert_uint_eq(mode_of("run/private/checkpoint"), 0700);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        ck_assert_uint_eq(mode_of(files[i]), 0600);
}
END_TEST

TCase *resume_tests(void)
{
    TCase *tests = tcase_create("resume");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_stopped_run_goes_on_to_the_end_of_its_budget);
    tcase_add_test(tests, a_run_with_budget_to_spare_takes_all_its_steps);
    tcase_add_test(tests, a_stopped_run_can_be_finished_as_it_is);
    tcase_add_test(tests, what_has_no_checkpoint_cannot_be_finished);
    tcase_add_loop_test(tests, every_kind_goes_on_after_a_stop_while_sampling, 0, KINDS);
    tcase_add_test(tests, a_resume_draws_other_noise_even_of_a_test_seed);
    tcase_add_test(tests, a_killed_run_goes_on);
    tcase_add_test(tests, a_run_killed_before_it_had_a_name_begins);
    tcase_add_test(tests, a_deleted_ledger_is_not_made_anew);
    tcase_add_test(tests, a_lost_release_is_not_had_twice);
    tcase_add_test(tests, a_release_that_was_entered_appears);
    tcase_add_test(tests, a_release_other_than_was_entered_does_not_appear);
    tcase_add_test(tests, another_config_is_not_gone_on_with);
    tcase_add_test(tests, another_schema_is_not_gone_on_with);
    tcase_add_test(tests, another_table_is_not_gone_on_with);
    tcase_add_test(tests, a_test_seed_does_not_go_on_with_a_private_run);
    tcase_add_test(tests, there_must_be_a_run_to_go_on_with);
    tcase_add_test(tests, a_run_is_gone_on_with_by_one_process_at_a_time);
    tcase_add_test(tests, damaged_files_are_refused);
    tcase_add_test(tests, every_flipped_bit_of_a_model_file_is_refused);
    tcase_add_test(tests, another_ledger_is_refused);
    tcase_add_test(tests, an_older_ledger_is_refused);
    tcase_add_test(tests, a_copied_run_is_charged_or_refused);
    tcase_add_test(tests, private_files_are_closed_whatever_the_umask);
    return tests;
}
