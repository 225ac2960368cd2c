/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs the built command, which the environment names in SOTTO_BINARY, and reads what it says. */
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"
#include "test_cli.h"

extern char **environ;

enum { MOST_WORDS = 128 };

outcome seen;

static void read_back(int descriptor, char *text)
{
    ck_assert_int_eq(lseek(descriptor, 0, SEEK_SET), 0);
    ssize_t length = read(descriptor, text, MOST_OUTPUT - 1);
    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    (void)close(descriptor);
}

static int scratch_file(void)
{
    char name[] = "/tmp/sotto-cli-XXXXXX";
    int descriptor = mkstemp(name);
    ck_assert_int_ge(descriptor, 0);
    (void)unlink(name);
    return descriptor;
}

/* Run sotto with the words of `argv`, which ends in NULL and whose first is set here. */
static int run_words(char **argv)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    int out = scratch_file();
    int err = scratch_file();
    argv[0] = getenv("SOTTO_BINARY");
    ck_assert_msg(argv[0] != NULL, "SOTTO_BINARY must name the built command");
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out, 1);
    (void)posix_spawn_file_actions_adddup2(&actions, err, 2);
    ck_assert_msg(posix_spawn(&child, argv[0], &actions, NULL, argv, environ) == 0, "cannot run %s", argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    read_back(out, seen.out);
    read_back(err, seen.err);
    seen.status = WEXITSTATUS(status);
    return seen.status;
}

int run(const char *format, ...)
{
    static char line[8192];
    char *argv[MOST_WORDS] = {NULL};
    size_t count = 1;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
        ck_assert_uint_lt(count, MOST_WORDS - 1);
        argv[count++] = word;
    }
    return run_words(argv);
}

void expect_usage(const char *part)
{
    ck_assert_msg(seen.status == 2, "status %d: %s", seen.status, seen.err);
    ck_assert_str_eq(seen.out, "");
    ck_assert_msg(strncmp(seen.err, "sotto: ", 7) == 0, "%s", seen.err);
    ck_assert_msg(strchr(seen.err, '\n') == seen.err + strlen(seen.err) - 1, "not one line: %s", seen.err);
    ck_assert_msg(strstr(seen.err, part) != NULL, "\"%s\" does not say %s", seen.err, part);
}

json_t *expect_json(void)
{
    json_error_t at;
    ck_assert_msg(seen.status == 0, "status %d: %s", seen.status, seen.err);
    json_t *record = json_loads(seen.out, JSON_REJECT_DUPLICATES, &at);
    ck_assert_msg(record != NULL, "%s in %s", at.text, seen.out);
    return record;
}

/* ------------------------------------------------------------------- helps */

static const char *const commands[] = {
    "plan",          "train",         "sample",        "report",       "account",     "account epsilon",
    "account delta", "account noise", "account steps", "account rate", "account rdp", "account compose",
    "schema",        "schema draft",  "schema check",  "bench",        "evaluate",    "sweep"};
enum { COMMANDS = sizeof commands / sizeof *commands };

START_TEST(every_command_explains_itself)
{
    char usage[64];
    ck_assert_int_eq(run("%s --help", commands[_i]), 0);
    (void)snprintf(usage, sizeof usage, "Usage: sotto %s", commands[_i]);
    ck_assert_msg(strncmp(seen.out, usage, strlen(usage)) == 0, "%s", seen.out);
    ck_assert_str_eq(seen.err, "");
    const char *example = strstr(seen.out, "Example:\n  sotto ");
    ck_assert_ptr_nonnull(example);
    ck_assert_int_eq(strncmp(example + strlen("Example:\n  sotto "), commands[_i], strlen(commands[_i])), 0);
    for (char *line = strtok(seen.out, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(sotto_text_width(line) <= 105, "too long: %s", line);
}
END_TEST

START_TEST(every_command_names_an_unknown_option)
{
    char hint[64];
    (void)run("%s --frobnicate=3", commands[_i]);
    expect_usage("unknown option --frobnicate;");
    (void)snprintf(hint, sizeof hint, "see sotto %s --help\n", commands[_i]);
    ck_assert_msg(strstr(seen.err, hint) != NULL, "%s", seen.err);
    (void)run("%s -x", commands[_i]);
    expect_usage("unknown option -x;");
}
END_TEST

START_TEST(sotto_explains_itself)
{
    ck_assert_int_eq(run("--help"), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "A first example:\n  sotto "));
    ck_assert_ptr_nonnull(strstr(seen.out, "Exit status: 0 done; 1"));
    for (size_t i = 0; i < COMMANDS; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "\n  %s ", commands[i]);
        ck_assert(strchr(commands[i], ' ') || strstr(seen.out, line));
    }
    ck_assert_int_eq(run("%s", ""), 2);
    ck_assert_str_eq(seen.out, "");
    ck_assert_ptr_nonnull(strstr(seen.err, "Usage: sotto COMMAND"));
    ck_assert_int_eq(run("--version"), 0);
    ck_assert_int_eq(strncmp(seen.out, "sotto ", 6), 0);
    ck_assert_ptr_nonnull(strchr(seen.out, '.'));
}
END_TEST

START_TEST(commands_that_are_not_here_are_unknown)
{
    static const char *const absent[] = {"audit", "ledgers", "Plan", "pla"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        (void)run("%s", absent[i]);
        expect_usage("unknown command '");
        ck_assert_ptr_nonnull(strstr(seen.err, absent[i]));
        ck_assert_ptr_nonnull(strstr(seen.err, "plan, train, sample"));
    }
    (void)run("account decompose releases.yaml");
    expect_usage("unknown question 'decompose'");
    (void)run("schema frob");
    expect_usage("unknown task 'frob'");
    (void)run("--frob");
    expect_usage("unknown option --frob");
}
END_TEST

START_TEST(lines_that_are_wrong_say_why)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"plan", "CONFIG is missing"},
        {"train", "CONFIG is missing"},
        {"train my.yaml --finish", "give it with --resume"},
        {"sample --output x.csv", "RUN|MODEL is missing"},
        {"sample run", "--output is missing"},
        {"sample run --output - --json", "both want standard output"},
        {"sample run --output x --rows 0", "--rows '0' is out of range"},
        {"report", "RUN is missing"},
        {"account", "no question"},
        {"schema", "nothing to do"},
        {"schema draft", "TABLE is missing"},
        {"schema check", "SCHEMA is missing"},
        {"schema check a b c", "'c' is one operand too many"},
        {"plan a b", "'b' is one operand too many"},
        {"plan a --threads", "--threads lacks its value"},
        {"plan a --threads 0", "a whole number from 1 to 1024"},
        {"plan a --threads -1", "not a whole number"},
        {"plan a --threads 2 --threads 2", "--threads is given twice"},
        {"plan a --json=1", "--json takes no value"},
        {"plan a --output=", "--output is empty"},
        {"train a --test-only-insecure-seed 18446744073709551616", "too large"},
        {"train a --test-only-insecure-seed 7x", "not a whole number"},
        {"train a --test-only-insecure-seed 1e3", "not a whole number"},
        {"bench frob", "unknown benchmark 'frob'"},
        {"bench --seconds 0", "a number from 0.05 to 600"},
        {"bench --peers", "--peers is for accountant"},
        {"bench accountant --threads 2", "--threads is for step"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)run("%s", cases[i].line);
        expect_usage(cases[i].part);
        ck_assert_msg(strstr(seen.err, "--help\n") != NULL, "%s", seen.err);
    }
}
END_TEST

START_TEST(configs_that_are_not_there_are_refused)
{
    (void)run("plan /nonexistent/config.yaml");
    expect_usage("sotto: /nonexistent/config.yaml: ");
    (void)run("train /nonexistent/config.yaml");
    expect_usage("sotto: /nonexistent/config.yaml: ");
    (void)run("sample /nonexistent/run --output /nonexistent/x.csv");
    expect_usage("/nonexistent/run");
}
END_TEST

/* Escape sequences in an argument do not reach the terminal. */
START_TEST(errors_are_harmless_to_a_terminal)
{
    char word[] = "\033[2Jevil";
    char *argv[] = {NULL, word, NULL};
    (void)run_words(argv);
    expect_usage("[2Jevil");
    ck_assert_ptr_null(strchr(seen.err, '\033'));
}
END_TEST

START_TEST(full_disk_is_told)
{
    char command[4200];
    (void)snprintf(command, sizeof command, "'%s' --help >/dev/full 2>/dev/null", getenv("SOTTO_BINARY"));
    int status = system(command);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

/* ---------------------------------------------------------- report, schema */

static char folder[] = "/tmp/sotto-cli-XXXXXX";

static void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/sotto-cli-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_ledger_in(folder);
}

static void remove_folder(void)
{
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void put_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(sotto_file_write(path, 0600, text, strlen(text), NULL), SOTTO_OK);
}

static char *get_file(const char *name)
{
    char path[128];
    char *text;
    size_t length;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(sotto_file_read(path, 1 << 20, &text, &length, NULL), SOTTO_OK);
    return text;
}

START_TEST(report_writes_and_shows_the_statement)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[4200];
    char *record;
    size_t length;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/report/privacy.json", root ? root : ".");
    ck_assert_int_eq(sotto_file_read(path, 1 << 20, &record, &length, NULL), SOTTO_OK);
    (void)snprintf(path, sizeof path, "%s/release", folder);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    (void)run("report %s", folder);
    expect_usage("release/privacy.json");
    put_file("release/privacy.json", record);
    ck_assert_int_eq(run("report %s", folder), 0);
    ck_assert_int_eq(strncmp(seen.out, "Privacy statement\n", 18), 0);
    char *page = get_file("release/privacy.html");
    ck_assert_int_eq(strncmp(page, "<!DOCTYPE html>", 15), 0);
    free(page);
    ck_assert_int_eq(run("report %s --json", folder), 0);
    ck_assert_str_eq(seen.out, record);
    ck_assert_int_eq(run("report %s --quiet", folder), 0);
    ck_assert_str_eq(seen.out, "");
    put_file("release/privacy.json", "{\"format\": 3}");
    (void)run("report %s --json", folder);
    expect_usage("\"format\"");
    free(record);
}
END_TEST

static const char schema_text[] = "rows: 4\n"
                                  "missing: \"?\"\n"
                                  "columns:\n"
                                  "  - {name: age, type: integer, min: 17, max: 90}\n"
                                  "  - {name: job, type: category, values: [a, b], missing: allowed}\n"
                                  "  - {name: seen, type: date, min: 2019-01-01, max: 2024-12-31}\n";

START_TEST(schema_check_shows_what_it_declares)
{
    put_file("s.yaml", schema_text);
    ck_assert_int_eq(run("schema check %s/s.yaml", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "s.yaml: sound; 4 rows, 3 columns\n"));
    ck_assert_ptr_nonnull(strstr(seen.out, "  age     integer     17 to 90\n"));
    ck_assert_ptr_nonnull(strstr(seen.out, "  job     category    2 values, may be missing\n"));
    ck_assert_ptr_nonnull(strstr(seen.out, "  seen    date        2019-01-01 to 2024-12-31\n"));
    ck_assert_ptr_null(strstr(seen.out, "private")); /* no row was read */
    put_file("bad.yaml", "rows: 4\ncolumns:\n  - {name: age, type: integr, min: 17, max: 90}\n");
    (void)run("schema check %s/bad.yaml", folder);
    expect_usage("bad.yaml:3:");
}
END_TEST

START_TEST(schema_check_counts_what_it_mapped)
{
    put_file("s.yaml", schema_text);
    put_file("t.csv", "age,job,seen\n17,a,2019-01-01\n99,?,2020-01-01\n1,z,2025-01-01\n40,b,2024-01-01\n");
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv", folder, folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "private, do not publish"));
    (void)run("schema check %s/s.yaml %s/t.csv --json", folder, folder);
    json_t *record = expect_json();
    json_t *table = json_object_get(record, "table");
    json_t *age = json_array_get(json_object_get(table, "columns"), 0);
    ck_assert_ptr_nonnull(strstr(sotto_cli_text(table, "covered"), "private"));
    ck_assert_double_eq(sotto_cli_member(table, "rows"), 4);
    ck_assert_double_eq(sotto_cli_member(age, "clamped_low"), 1);
    ck_assert_double_eq(sotto_cli_member(age, "clamped_high"), 1);
    ck_assert_uint_eq(strlen(sotto_cli_text(table, "sha256")), 64);
    json_decref(record);
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv --quiet", folder, folder), 0);
    ck_assert_str_eq(seen.out, "");
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv --strict", folder, folder), 2);
    put_file("t.csv", "age,job,seen\n17,a,2019-01-01\n");
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv", folder, folder), 2);
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv --any-row-count", folder, folder), 0);
}
END_TEST

/* Units are shown by their number, never by a value; another number than is declared is found. */
START_TEST(units_are_counted_and_planned_for)
{
    put_file("s.yaml", "rows: 4\ncolumns:\n  - {name: who, type: identifier, units: 3}\n"
                       "  - {name: ill, type: category, values: [no, yes]}\n");
    put_file("t.csv", "who,ill\nanna,no\nbert,yes\nanna,yes\ncleo,no\n");
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv", folder, folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "tells 3 units apart"));
    ck_assert_ptr_nonnull(strstr(seen.out, "Units by who: 3; 0 rows without one"));
    ck_assert_ptr_null(strstr(seen.out, "anna"));
    (void)run("schema check %s/s.yaml %s/t.csv --json", folder, folder);
    json_t *record = expect_json();
    json_t *table = json_object_get(record, "table");
    ck_assert_double_eq(sotto_cli_member(json_array_get(json_object_get(table, "columns"), 0), "units"), 3);
    ck_assert_double_eq(sotto_cli_member(json_array_get(json_object_get(record, "columns"), 0), "units"), 3);
    json_decref(record);
    put_file("t.csv", "who,ill\nanna,no\nbert,yes\ndora,yes\ncleo,no\n");
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv", folder, folder), 2);
    ck_assert_ptr_nonnull(strstr(seen.err, "4 units by column 'who'"));
    ck_assert_int_eq(run("schema check %s/s.yaml %s/t.csv --any-row-count", folder, folder), 0);
    put_file("c.yaml", "data: {table: t.csv, schema: s.yaml}\n"
                       "privacy: {epsilon: 1, delta: 1e-5, unit: who, max_rows_per_unit: 2}\n"
                       "model: {type: independent}\n");
    ck_assert_int_eq(run("plan %s/c.yaml", folder), 0);
    ck_assert_ptr_nonnull(
        strstr(seen.out, "all rows with one value of who, of which at most 2 are read: 3 units"));
}
END_TEST

START_TEST(schema_draft_is_private_and_never_overwrites)
{
    char path[128];
    struct stat facts;
    put_file("t.csv", "age,job\n17,a\n99,?\n31,b\n40,b\n");
    ck_assert_int_eq(run("schema draft %s/t.csv --missing ?", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "columns:"));
    ck_assert_ptr_nonnull(strstr(seen.err, "not public"));
    ck_assert_int_eq(run("schema draft %s/t.csv --missing ? --output %s/d.yaml --quiet", folder, folder), 0);
    ck_assert_str_eq(seen.out, "");
    ck_assert_str_eq(seen.err, "");
    (void)snprintf(path, sizeof path, "%s/d.yaml", folder);
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_int_eq(facts.st_mode & 0777, 0600);
    ck_assert_int_eq(run("schema check %s %s/t.csv", path, folder), 0);
    put_file("d.yaml", "edited for hours");
    (void)run("schema draft %s/t.csv --output %s", folder, path);
    expect_usage("is there already");
    char *kept = get_file("d.yaml");
    ck_assert_str_eq(kept, "edited for hours");
    free(kept);
}
END_TEST

/* ----------------------------------------------------- errors and progress */

/* Standard error goes to a file until `stop_listening` gives what came. The test has a process of its own. */
static int listen_to_stderr(void)
{
    int descriptor = scratch_file();
    (void)fflush(stderr);
    ck_assert_int_eq(dup2(descriptor, 2), 2);
    return descriptor;
}

static const char *stop_listening(int descriptor)
{
    (void)fflush(stderr);
    read_back(descriptor, seen.err);
    return seen.err;
}

START_TEST(errors_have_place_and_status)
{
    static const struct {
        sotto_error err;
        int status;
        const char *text;
    } cases[] = {
        {{SOTTO_ERROR_INPUT, "a.yaml", 3, 7, "wrong"}, 2, "sotto: a.yaml:3:7: wrong\n"},
        {{SOTTO_ERROR_INPUT, "a.yaml", 3, 0, "wrong"}, 2, "sotto: a.yaml:3: wrong\n"},
        {{SOTTO_ERROR_BUDGET, "", 0, 0, "spent"}, 3, "sotto: spent\n"},
        {{SOTTO_ERROR_IO, "x", 0, 0, "no"}, 1, "sotto: x: no\n"},
        {{SOTTO_ERROR_MEMORY, "", 0, 0, ""}, 1, "sotto: memory\n"},
        {{SOTTO_ERROR_NUMERIC, "", 0, 0, "n"}, 1, "sotto: n\n"},
        {{SOTTO_ERROR_ENTROPY, "", 0, 0, "e"}, 1, "sotto: e\n"},
        {{SOTTO_INTERRUPTED, "", 0, 0, "stopped"}, 130, "sotto: stopped\n"},
        {{SOTTO_DIVERGED, "", 0, 0, "gone"}, 1, "sotto: gone\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int descriptor = listen_to_stderr();
        ck_assert_int_eq(sotto_cli_fail(&cases[i].err), cases[i].status);
        ck_assert_str_eq(stop_listening(descriptor), cases[i].text);
    }
}
END_TEST

START_TEST(bar_fits_every_width)
{
    sotto_progress progress = {"training", 1680, 4000, 0.63141, 1, 12.34, 125};
    char line[512];
    for (size_t width = 1; width <= 300; width++)
        for (uint64_t step = 0; step <= 4000; step += 400) {
            progress.step = step;
            sotto_bar_compose(&progress, width, line, sizeof line);
            ck_assert_uint_le(sotto_text_width(line), width);
        }
    progress.step = 1680;
    sotto_bar_compose(&progress, 80, line, sizeof line);
    ck_assert_str_eq(line,
                     "training  42% [######----------] 1680/4000  ε 0.632 of 1  2 min 5 s left  12.3/s");
    sotto_bar_compose(&progress, 36, line, sizeof line); /* one column short of what 40 shows */
    ck_assert_str_eq(line, "training  42% [###------] 1680/4000");
    sotto_bar_compose(&progress, 40, line, sizeof line);
    ck_assert_str_eq(line, "training  42% 1680/4000  ε 0.632 of 1");
    progress = (sotto_progress){"sampling", 0, 0, 0, 1, 0, -1};
    sotto_bar_compose(&progress, 80, line, sizeof line);
    ck_assert_str_eq(line, "sampling 100% [####################] 0/0");
}
END_TEST

static void go_through(sotto_bar *bar)
{
    for (uint64_t step = 0; step <= 1000; step++) {
        sotto_progress progress = {"training", step, 1000, (double)step / 2000, 1, 10, 5};
        sotto_bar_show(bar, &progress);
    }
    sotto_bar_finish(bar);
}

START_TEST(plain_progress_is_a_line_for_each_tenth)
{
    sotto_bar bar;
    int descriptor = listen_to_stderr();
    sotto_bar_start(&bar);
    go_through(&bar);
    const char *text = stop_listening(descriptor);
    size_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    ck_assert_uint_eq(lines, 11);
    ck_assert_ptr_nonnull(strstr(text, "training 0%: 0/1000, 5.0 s left, 10/s\n"));
    ck_assert_ptr_nonnull(strstr(text, "training 70%: 700/1000, ε 0.35 of 1, 5.0 s left, 10/s\n"));
    ck_assert_ptr_null(strchr(text, '\r'));
}
END_TEST

/* A thousand steps in an instant are drawn at most a few times, the last of them in any case. */
START_TEST(terminal_progress_is_drawn_seldom)
{
    sotto_bar bar;
    char drawn[4096] = {0};
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        printf("no pseudo-terminal: the bar's drawing is skipped\n");
        return;
    }
    int end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(end, 0);
    ck_assert_int_eq(dup2(end, 2), 2);
    ck_assert_int_eq(setenv("TERM", "xterm", 1), 0);
    sotto_bar_start(&bar);
    ck_assert(bar.terminal);
    go_through(&bar);
    (void)fflush(stderr);
    ck_assert_int_eq(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
    size_t length = 0;
    for (ssize_t got; (got = read(terminal, drawn + length, sizeof drawn - 1 - length)) > 0;)
        length += (size_t)got;
    size_t times = 0;
    for (size_t i = 0; i + 1 < length; i++)
        times += drawn[i] == '\r' && drawn[i + 1] != '\n' && drawn[i + 1] != '\r';
    ck_assert_uint_ge(times, 2);
    ck_assert_uint_le(times, 20); /* 5 a second: these thousand calls would take 4 s */
    ck_assert_ptr_nonnull(strstr(drawn, "training 100%"));
    ck_assert_int_eq(drawn[length - 1], '\n');
}
END_TEST

static Suite *cli_suite(void)
{
    Suite *suite = suite_create("cli");
    TCase *usage = tcase_create("usage");
    tcase_set_timeout(usage, 120);
    tcase_add_loop_test(usage, every_command_explains_itself, 0, COMMANDS);
    tcase_add_loop_test(usage, every_command_names_an_unknown_option, 0, COMMANDS);
    tcase_add_test(usage, sotto_explains_itself);
    tcase_add_test(usage, commands_that_are_not_here_are_unknown);
    tcase_add_test(usage, lines_that_are_wrong_say_why);
    tcase_add_test(usage, configs_that_are_not_there_are_refused);
    tcase_add_test(usage, errors_are_harmless_to_a_terminal);
    tcase_add_test(usage, full_disk_is_told);
    suite_add_tcase(suite, usage);
    suite_add_tcase(suite, account_case());
    suite_add_tcase(suite, bench_case());
    suite_add_tcase(suite, compose_case());
    suite_add_tcase(suite, evaluate_case());
    suite_add_tcase(suite, keys_case());
    suite_add_tcase(suite, ledger_case());
    suite_add_tcase(suite, sample_case());
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, report_writes_and_shows_the_statement);
    tcase_add_test(files, schema_check_shows_what_it_declares);
    tcase_add_test(files, schema_check_counts_what_it_mapped);
    tcase_add_test(files, units_are_counted_and_planned_for);
    tcase_add_test(files, schema_draft_is_private_and_never_overwrites);
    suite_add_tcase(suite, files);
    TCase *words = tcase_create("words");
    tcase_add_test(words, errors_have_place_and_status);
    tcase_add_test(words, bar_fits_every_width);
    tcase_add_test(words, plain_progress_is_a_line_for_each_tenth);
    tcase_add_test(words, terminal_progress_is_drawn_seldom);
    suite_add_tcase(suite, words);
    return suite;
}

int main(void)
{
    return run_suite(cli_suite());
}
