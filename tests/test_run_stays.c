/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs that fail or are refused after they have begun to spend: what stays of them, what is said of it, and
 * what may be done next. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_run.h"

static void declare_cap(const char *id, double epsilon)
{
    sotto_error err = {0};
    sotto_ledger *ledger = open_ledger();
    ck_assert_msg(sotto_ledger_declare(ledger, id, NULL, epsilon, 1e-4, &err) == SOTTO_OK, "%s", err.message);
    sotto_ledger_close(ledger);
}

/* What happens when training asks for the so-many-th time whether to stop. */
struct event {
    int asked, at;
    void (*happen)(void);
    bool stop;
};

static bool ask(void *context)
{
    struct event *event = context;
    const bool now = ++event->asked > event->at;
    if (now && event->happen && event->asked == event->at + 1)
        event->happen();
    return now && event->stop;
}

static char told[4096]; /* all warnings */

static void hear(void *context, const char *text)
{
    (void)context;
    ck_assert_uint_lt(strlen(told) + strlen(text) + 2, sizeof told);
    (void)strcat(strcat(told, text), "\n");
}

static void expect_told(const char *words)
{
    ck_assert_msg(strstr(told, words) != NULL, "\"%s\" is not in: %s", words, told);
}

static sotto_status train(sotto_run_options options, struct event *event, sotto_error *err)
{
    char *text = NULL;
    told[0] = '\0';
    *err = (sotto_error){0};
    options.warn = hear;
    if (event) {
        options.stop = ask;
        options.stop_context = event;
    }
    const sotto_status status = sotto_run_train(&options, &text, err);
    free(text);
    return status;
}

static sotto_run_options resumed(bool finish)
{
    sotto_run_options options = options_for(NULL);
    options.resume = true;
    options.finish = finish;
    return options;
}

static void stop_after(int steps)
{
    sotto_error err;
    struct event event = {.at = steps, .stop = true};
    ck_assert_int_eq(train(options_for(NULL), &event, &err), SOTTO_INTERRUPTED);
}

static void expect_error(sotto_run_options options, sotto_status wanted, const char *words)
{
    sotto_error err;
    const sotto_status status = train(options, NULL, &err);
    ck_assert_msg(status == wanted && strstr(err.message, words), "%s: %s", sotto_status_name(status),
                  err.message);
}

static void expect_words(const sotto_error *err, const char *words)
{
    ck_assert_msg(strstr(err->message, words) != NULL, "\"%s\" is not in: %s", words, err->message);
}

static double steps_taken(void)
{
    json_t *statement = read_json("run/release/privacy.json");
    const double steps = number(statement, "training", "steps_taken");
    json_decref(statement);
    return steps;
}

/* ------------------------------------------------------- refused on the way */

static void lower_the_cap(void)
{
    declare_cap("table", 0.5);
}

/* Seven steps are paid for and were taken; the eighth's block is refused. With room again they go on. */
START_TEST(what_was_paid_for_is_kept_when_a_charge_is_refused)
{
    static const char *const settings[] = {"checkpoint=1000", "ledger.block=7"};
    sotto_error err;
    struct event event = {.at = 7, .happen = lower_the_cap};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    declare_cap("table", 5.0);
    ck_assert_int_eq(train(options, &event, &err), SOTTO_ERROR_BUDGET);
    expect_words(&err, "cap");
    expect_words(&err, "what was charged stays charged, and 7 of 30 steps are saved");
    expect_words(&err, "--resume --finish");
    ck_assert(!exists("run/release"));
    declare_cap("table", 5.0);
    sotto_run_options again = resumed(_i == 1);
    ck_assert_msg(train(again, NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_double_eq(steps_taken(), _i == 1 ? 7 : 30);
    check_rows("run/release/synthetic.csv", 400);
}
END_TEST

/* No file of this process may grow beyond so many bytes: what a full disk does to the ledger's log. */
static rlim_t room;
static void fill_the_disk(void)
{
    struct stat log;
    struct rlimit limit;
    ck_assert_int_eq(stat(at("ledger.db-wal"), &log), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    room = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)log.st_size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void fill_the_disk_to_the_brim(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    room = limit.rlim_cur;
    limit.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void make_room(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = room;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Of a disk that holds no checkpoint either, the ledger's error is told, and no step is claimed to be saved.
 */
START_TEST(what_was_paid_for_is_kept_when_the_ledger_cannot_be_written)
{
    static const char *const settings[] = {"checkpoint=1000", "ledger.block=1", "model.generator.hidden=[2]",
                                           "model.discriminator.hidden=[2]"};
    sotto_error err;
    struct event event = {.at = 14, .happen = _i == 0 ? fill_the_disk : fill_the_disk_to_the_brim};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 4;
    (void)signal(SIGXFSZ, SIG_IGN);
    const sotto_status status = train(options, &event, &err);
    make_room();
    ck_assert_msg(status == SOTTO_ERROR_IO, "%s: %s", sotto_status_name(status), err.message);
    ck_assert_msg(strstr(err.file, "ledger") || strstr(err.message, "ledger"), "%s: %s", err.file,
                  err.message);
    expect_words(&err, _i == 0 ? "14 of 30 steps are saved" : "0 of 30 steps are saved");
    options.resume = true;
    ck_assert_msg(train(options, NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_double_ge(steps_taken(), _i == 0 ? 29 : 15);
}
END_TEST

/* --------------------------------------------------------- nothing learned */

START_TEST(an_untrained_network_is_not_released)
{
    stop_after(0);
    expect_error(resumed(true), SOTTO_ERROR_INPUT, "no step was taken yet");
    ck_assert(!exists("run/release"));
    sotto_error err;
    ck_assert_msg(train(resumed(false), NULL, &err) == SOTTO_OK, "%s", err.message);
}
END_TEST

/* The whole plan was charged ahead and lost: no step is left to pay for, and nothing was learned. */
START_TEST(a_budget_that_bears_no_step_makes_no_release)
{
    static const char *const settings[] = {"checkpoint=1000", "ledger.block=30"};
    char command[1024];
    sotto_error err;
    struct event event = {.at = 3, .stop = true};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    stop_after(0);
    (void)snprintf(command, sizeof command, "cp %s %s", at("run/private/checkpoint/state"), at("early"));
    ck_assert_int_eq(system(command), 0);
    options.resume = true;
    ck_assert_int_eq(train(options, &event, &err), SOTTO_INTERRUPTED);
    ck_assert_int_eq(rename(at("early"), at("run/private/checkpoint/state")), 0);
    expect_error(resumed(false), SOTTO_ERROR_BUDGET, "bears no step");
    expect_error(resumed(false), SOTTO_ERROR_BUDGET, "sotto ledger close ");
    ck_assert(!exists("run/release"));
}
END_TEST

/* ------------------------------------------------------- never saved at all */

static const char singles[] = "data: {table: table.csv, schema: schema.yaml}\n"
                              "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                              "model: {type: per-label, target: ill}\n"
                              "sample: {rows: 70000}\n"
                              "output: run\n";

/* Its releases are spent, and what they told is nowhere: closing it is the way. */
START_TEST(a_run_that_was_never_saved_names_the_way_out)
{
    put("config.yaml", singles);
    stop_after(1); /* while it makes rows */
    ck_assert_int_eq(unlink(at("run/private/checkpoint/state")), 0);
    expect_error(resumed(true), SOTTO_ERROR_INPUT, "sotto ledger close ");
    expect_error(resumed(false), SOTTO_ERROR_BUDGET, "sotto ledger close ");
    expect_told("was never saved");
    json_t *identity = read_json("run/private/run.json");
    sotto_error err;
    (void)train(resumed(false), NULL, &err);
    expect_words(&err, json_string_value(json_object_get(identity, "run")));
    json_decref(identity);
}
END_TEST

/* A disk with room for the ledger, and not for a network of a megabyte. */
START_TEST(a_first_checkpoint_that_cannot_be_written_says_what_stays)
{
    static const char *const settings[] = {"model.generator.hidden=[400, 400]"};
    sotto_error err;
    struct rlimit limit;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    room = limit.rlim_cur;
    limit.rlim_cur = 400000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const sotto_status status = train(options, NULL, &err);
    make_room();
    ck_assert_msg(status == SOTTO_ERROR_IO && strstr(err.file, "checkpoint/state"), "%s: %s", err.file,
                  err.message);
    expect_words(&err, "what was charged stays charged, and what it told is not saved");
    expect_words(&err, "--resume begins again");
    expect_words(&err, "sotto ledger close ");
}
END_TEST

/* ------------------------------------------------------------ going on */

START_TEST(a_resume_tells_first_what_is_lost)
{
    stop_after(7); /* blocks of two: eight are charged */
    sotto_error err;
    ck_assert_int_eq(train(resumed(false), NULL, &err), SOTTO_OK);
    expect_told("1 step that were charged ahead or lost");
    expect_told("the run will end after step 29 of 30");
    ck_assert_double_eq(steps_taken(), 29);
}
END_TEST

START_TEST(a_resume_that_lost_nothing_warns_of_nothing)
{
    stop_after(8);
    sotto_error err;
    ck_assert_int_eq(train(resumed(false), NULL, &err), SOTTO_OK);
    ck_assert_ptr_null(strstr(told, "lost"));
    ck_assert_double_eq(steps_taken(), 30);
}
END_TEST

/* ------------------------------------------------------ of almost its name */

static sotto_run_options on_table(const char *output, const char *const *settings, size_t count)
{
    sotto_run_options options = options_for(output);
    options.settings = settings;
    options.setting_count = count;
    return options;
}

/* New rows at another place, called as a capped data set is: refused until data.id says what they are. */
START_TEST(a_table_called_as_a_capped_one_is_asked_about)
{
    static const char *const names[] = {"table.csv", "Table.csv"};
    char folder[512], table[640];
    sotto_error err;
    put("config.yaml", singles);
    const char *few[] = {"sample.rows=10", table, "data.id=table"},
               *others[] = {few[0], table, "data.id=table-2"};
    declare_cap("table", 20.0);
    (void)snprintf(table, sizeof table, "data.table=%s", at("table.csv"));
    ck_assert_msg(train(on_table("first", few, 2), NULL, &err) == SOTTO_OK, "%s", err.message);
    (void)snprintf(folder, sizeof folder, "%s", at("other"));
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    put_table(5, SIZE_MAX, "");
    (void)snprintf(table, sizeof table, "%s/%s", folder, names[_i]);
    ck_assert_int_eq(rename(at("table.csv"), table), 0);
    (void)snprintf(table, sizeof table, "data.table=%s/%s", folder, names[_i]);
    ck_assert_int_eq(train(on_table("second", few, 2), NULL, &err), SOTTO_ERROR_INPUT);
    expect_words(&err, "set data.id: table if it is");
    ck_assert(!exists("second"));
    ck_assert_msg(train(on_table("second", few, 3), NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_str_eq(told, "");
    ck_assert_msg(train(on_table("third", few, 2), NULL, &err) == SOTTO_OK, "%s",
                  err.message); /* it is known */
    ck_assert_str_eq(told, "");
    put_table(9, SIZE_MAX, "");
    (void)snprintf(table, sizeof table, "data.table=%s/more.csv", folder);
    ck_assert_int_eq(rename(at("table.csv"), table + strlen("data.table=")), 0);
    ck_assert_msg(train(on_table("fourth", others, 3), NULL, &err) == SOTTO_OK, "%s", err.message);
    expect_told("data.id names a new data set, table-2, which has no cap, and table has one");
    ck_assert_msg(train(on_table("fifth", others, 3), NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_str_eq(told, "");
}
END_TEST

/* ------------------------------------------------------- files of others */

static bool make_file(void *context)
{
    (void)context;
    put("more.csv", "precious\n");
    return false;
}

/* What has come where rows are to appear, while they were made, is not replaced. */
START_TEST(sample_replaces_no_file_that_came_meanwhile)
{
    static const char *const settings[] = {"training.steps=2", "sample.rows=10"};
    char *text;
    sotto_error err = {0};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    json_decref(train_with(&options, SOTTO_OK));
    const sotto_sample_options sample = {
        .model = at("run"), .output = at("more.csv"), .rows = 200000, .stop = make_file};
    ck_assert_int_eq(sotto_run_sample(&sample, &text, &err), SOTTO_ERROR_INPUT);
    expect_words(&err, "is there already");
    text = get("more.csv");
    ck_assert_str_eq(text, "precious\n");
    free(text);
}
END_TEST

TCase *stays_tests(void)
{
    TCase *tests = tcase_create("stays");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, what_was_paid_for_is_kept_when_a_charge_is_refused, 0, 2);
    tcase_add_loop_test(tests, what_was_paid_for_is_kept_when_the_ledger_cannot_be_written, 0, 2);
    tcase_add_test(tests, an_untrained_network_is_not_released);
    tcase_add_test(tests, a_budget_that_bears_no_step_makes_no_release);
    tcase_add_test(tests, a_run_that_was_never_saved_names_the_way_out);
    tcase_add_test(tests, a_first_checkpoint_that_cannot_be_written_says_what_stays);
    tcase_add_test(tests, a_resume_tells_first_what_is_lost);
    tcase_add_test(tests, a_resume_that_lost_nothing_warns_of_nothing);
    tcase_add_loop_test(tests, a_table_called_as_a_capped_one_is_asked_about, 0, 2);
    tcase_add_test(tests, sample_replaces_no_file_that_came_meanwhile);
    return tests;
}
