/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a custodian does: adopting, keeping a mirror, letting somebody look who may do no more. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_ledger.h"

static void declare_some(const char *name, int count)
{
    sotto_ledger *ledger = ledger_at(name, true);
    for (int i = 0; i < count; i++)
        OK(sotto_ledger_declare(ledger, "adult", NULL, 1 + i, 1e-5, &err));
    sotto_ledger_close(ledger);
}

static void expect_same(const char *one, const char *other)
{
    char first[65], second[65];
    OK(sotto_sha256_file(scene_path(one), first, &err));
    OK(sotto_sha256_file(scene_path(other), second, &err));
    ck_assert_str_eq(first, second);
}

static sotto_status adopt(const char *name, const char *mirror, sotto_ledger **ledger)
{
    const sotto_ledger_options options = {.path = scene_path(name), .mirror = mirror, .adopt = true};
    err = (sotto_error){0};
    return sotto_ledger_open(ledger, &options, &err);
}

static void expect_not_adopted(const char *name, const char *mirror, const char *words)
{
    sotto_ledger *ledger = NULL;
    ck_assert_int_eq(adopt(name, mirror, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(ledger);
    ck_assert_msg(strstr(err.message, words), "%s: %s", err.file, err.message);
}

/* -------------------------------------------------------------------- adopting */

/* A mirror that knows more is another's evidence: it stays as it is, until a person moves it away. */
START_TEST(what_a_mirror_knows_is_not_adopted_away)
{
    sotto_ledger *ledger;
    json_t *record = NULL;
    declare_some("ledger.db", 3);
    copy_file("ledger.db", "old.db");
    copy_file("ledger.db-head", "old.db-head");
    ck_assert_int_eq(setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1), 0);
    declare_some("ledger.db", 4);
    copy_file("mirror", "mirror-before");
    copy_file("old.db", "ledger.db"); /* the head file knows better, and so does the mirror */
    copy_file("ledger.db-head", "head-before");
    expect_not_adopted("ledger.db", NULL, "knows of 7 entries");
    ck_assert(strstr(err.message, "has 3") && strstr(err.message, "move the mirror away"));
    expect_same("mirror", "mirror-before");
    expect_same("ledger.db-head", "head-before"); /* its digest, too: the file is as strange as before */
    expect_refused("ledger.db", "digest");
    copy_file("old.db-head", "ledger.db-head"); /* with its head file: the mirror alone */
    expect_not_adopted("ledger.db", NULL, "knows of 7 entries");
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
    expect_not_adopted("ledger.db", scene_path("mirror"), "knows of 7 entries"); /* by the config */
    /* another way from one copy: as many entries, another hash */
    ledger = ledger_at("ledger.db", false);
    for (int i = 0; i < 4; i++)
        OK(sotto_ledger_declare(ledger, "another", NULL, 1, 1e-5, &err));
    sotto_ledger_close(ledger);
    copy_file("ledger.db", "twin.db");
    expect_not_adopted("twin.db", scene_path("mirror"), "without it");
    ck_assert_int_ne(access(scene_path("twin.db-head"), F_OK), 0);
    /* moved away, it is made anew, and what was done is told to whoever reads */
    ck_assert_int_eq(rename(scene_path("mirror"), scene_path("mirror-of-old")), 0);
    OK(adopt("twin.db", scene_path("mirror"), &ledger));
    OK(sotto_ledger_list(ledger, &record, &err));
    const json_t *one = json_array_get(json_object_get(record, "adoptions"), 0);
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(one, "why")), "missing; it had 7 entries"));
    ck_assert_ptr_nonnull(json_object_get(one, "time"));
    json_decref(record);
    sotto_ledger_close(ledger);
    ck_assert_int_eq(access(scene_path("mirror"), F_OK), 0);
}
END_TEST

START_TEST(an_adoption_says_what_is_forgotten)
{
    sotto_ledger *ledger;
    json_t *record = NULL;
    declare_some("ledger.db", 3);
    copy_file("ledger.db", "old.db");
    declare_some("ledger.db", 5);
    copy_file("old.db", "ledger.db");
    OK(adopt("ledger.db", NULL, &ledger));
    OK(sotto_ledger_show(ledger, "adult", &record, &err));
    const json_t *one = json_array_get(json_object_get(record, "adoptions"), 0);
    const char *why = json_string_value(json_object_get(one, "why"));
    ck_assert_msg(strstr(why, "knew of 8 entries") && strstr(why, "it had 3: 5 are forgotten"), "%s", why);
    json_decref(record);
    sotto_ledger_close(ledger);
    const sotto_ledger_options options = {.path = scene_path("ledger.db")};
    OK(sotto_ledger_verify(&options, &record, &err));
    ck_assert_uint_eq(json_array_size(json_object_get(record, "adoptions")), 1);
    json_decref(record);
}
END_TEST

START_TEST(nothing_wrong_is_nothing_to_adopt)
{
    sotto_ledger *ledger;
    declare_some("ledger.db", 3);
    copy_file("ledger.db", "file-before");
    copy_file("ledger.db-head", "head-before");
    expect_not_adopted("ledger.db", NULL, "nothing to adopt");
    expect_same("ledger.db", "file-before");
    expect_same("ledger.db-head", "head-before");
    /* with the same entries in another file there is */
    sqlite3 *database;
    ck_assert_int_eq(sqlite3_open(scene_path("ledger.db"), &database), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(database, "VACUUM", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
    expect_refused("ledger.db", "digest");
    OK(adopt("ledger.db", NULL, &ledger));
    sotto_ledger_close(ledger);
    sotto_ledger_close(ledger_at("ledger.db", false));
}
END_TEST

/* What cannot be adopted gets no head file of nothing. */
START_TEST(an_adoption_that_fails_leaves_no_head_file)
{
    static const char *const names[] = {"text.csv", "empty", "folder", "broken.db"};
    declare_some("ledger.db", 3);
    copy_file("ledger.db", "broken.db");
    OK(sotto_file_write(scene_path("text.csv"), 0600, "age,sex\n", 8, &err));
    OK(sotto_file_write(scene_path("empty"), 0600, "", 0, &err));
    ck_assert_int_eq(mkdir(scene_path("folder"), 0700), 0);
    char *bytes;
    size_t length;
    OK(sotto_file_read(scene_path("broken.db"), (size_t)1 << 24, &bytes, &length, &err));
    char *place = memmem(bytes, length, "\"epsilon\":2", 11);
    ck_assert_ptr_nonnull(place);
    place[10] = '9';
    OK(sotto_file_write(scene_path("broken.db"), 0600, bytes, length, &err));
    free(bytes);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char head[64];
        (void)snprintf(head, sizeof head, "%s-head", names[i]);
        expect_not_adopted(names[i], NULL, "");
        ck_assert_msg(access(scene_path(head), F_OK) != 0, "%s is there", head);
    }
    expect_not_adopted("gone.db", NULL, "no ledger here");
}
END_TEST

_Noreturn static void wait_and_declare(int head, int gate)
{
    sotto_ledger *ledger = NULL;
    (void)close(head); /* the lock is the parent's alone */
    if (write(gate, "x", 1) != 1)
        _exit(2);
    const sotto_status status = try_ledger_at("ledger.db", true, &ledger);
    if (status == SOTTO_OK && sotto_ledger_declare(ledger, "adult", NULL, 1, 1e-5, &err) != SOTTO_OK)
        _exit(3);
    sotto_ledger_close(ledger);
    _exit(status == SOTTO_OK ? 0 : 1);
}

/* Who waits for a head file that is taken away meanwhile does not go on with the one that is gone. */
START_TEST(a_head_file_that_was_taken_away_is_not_used)
{
    int gate[2], ended = -1;
    char byte;
    ck_assert_int_eq(pipe(gate), 0);
    const int head = open(scene_path("ledger.db-head"), O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(flock(head, LOCK_EX), 0);
    const pid_t child = fork();
    if (child == 0)
        wait_and_declare(head, gate[1]);
    ck_assert_int_eq(read(gate[0], &byte, 1), 1);
    (void)usleep(200000);
    ck_assert_int_eq(unlink(scene_path("ledger.db-head")), 0);
    ck_assert_int_eq(close(head), 0);
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert_int_eq(ended, 0);
    sotto_ledger *ledger = ledger_at("ledger.db", false);
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, 1);
    sotto_ledger_close(ledger);
}
END_TEST

/* --------------------------------------------------------------------- mirrors */

static sotto_status open_with(const char *configured, sotto_ledger **ledger)
{
    const sotto_ledger_options options = {.path = scene_path("ledger.db"), .mirror = configured};
    err = (sotto_error){0};
    return sotto_ledger_open(ledger, &options, &err);
}

static void expect_no_mirror(const char *variable, const char *configured, const char *words)
{
    sotto_ledger *ledger = NULL;
    ck_assert_int_eq(variable ? setenv("SOTTO_LEDGER_MIRROR", variable, 1) : unsetenv("SOTTO_LEDGER_MIRROR"),
                     0);
    REFUSED(open_with(configured, &ledger), SOTTO_ERROR_INPUT, words);
    ck_assert_ptr_null(ledger);
    ck_assert_ptr_null(strstr(err.message, "adopt"));
}

START_TEST(a_mirror_is_one_file_elsewhere)
{
    static const char *const own[] = {"ledger.db", "ledger.db-head", "ledger.db-wal", "link", "hard"};
    sotto_ledger *ledger;
    declare_some("ledger.db", 3);
    copy_file("ledger.db-head", "head-before");
    ck_assert_int_eq(symlink(scene_path("ledger.db"), scene_path("link")), 0);
    ck_assert_int_eq(link(scene_path("ledger.db-head"), scene_path("hard")), 0);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        expect_no_mirror(scene_path(own[i]), NULL, "own file");
        expect_no_mirror(NULL, scene_path(own[i]), "own file");
    }
    ck_assert_int_eq(unlink(scene_path("hard")), 0);
    expect_no_mirror("mirror", NULL, "whole path");
    expect_no_mirror(scene_path("mirror"), scene_path("another"), "two mirrors");
    ck_assert_int_ne(access(scene_path("mirror"), F_OK), 0);
    OK(open_with(scene_path("mirror"), &ledger)); /* the same, named twice */
    sotto_ledger_close(ledger);
    ck_assert_int_eq(access(scene_path("mirror"), F_OK), 0);
    OK(open_with(scene_path("./mirror"), &ledger));
    sotto_ledger_close(ledger);
}
END_TEST

/* Something else that was named as a mirror is neither overwritten nor a reason to touch the ledger. */
START_TEST(a_mirror_that_is_something_else_is_refused)
{
    static const char *const names[] = {"table.csv", "large", "empty", "folder"};
    char *text = calloc(1, 100000);
    declare_some("ledger.db", 3);
    OK(sotto_file_write(scene_path("table.csv"), 0600, "age,sex\n", 8, &err));
    OK(sotto_file_write(scene_path("large"), 0600, text, 100000, &err));
    OK(sotto_file_write(scene_path("empty"), 0600, "", 0, &err));
    free(text);
    ck_assert_int_eq(mkdir(scene_path("folder"), 0700), 0);
    copy_file("table.csv", "table-before");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_no_mirror(scene_path(names[i]), NULL, "name another mirror");
    expect_same("table.csv", "table-before");
}
END_TEST

/* ------------------------------------------------------------------ named wrongly */

START_TEST(what_was_named_instead_of_a_ledger_is_said)
{
    declare_some("ledger.db", 3);
    expect_refused("gone.db", "no ledger here yet: the first sotto train or sotto ledger declare");
    expect_refused("no/such/folder.db", "no ledger here yet");
    ck_assert_int_eq(mkdir(scene_path("folder"), 0700), 0);
    expect_refused("folder", "this is a folder");
    OK(sotto_file_write(scene_path("table.csv"), 0600, "age,sex\n", 8, &err));
    expect_refused("table.csv", "no ledger, but a file of another kind");
    ck_assert_ptr_null(strstr(err.message, "adopt"));
    ck_assert_int_eq(link(scene_path("ledger.db"), scene_path("hard.db")), 0);
    expect_refused("hard.db", "hard link");
    ck_assert_ptr_null(strstr(err.message, "adopt"));
    ck_assert_int_eq(unlink(scene_path("hard.db")), 0);
    ck_assert_int_eq(unlink(scene_path("ledger.db")), 0);
    expect_refused("ledger.db", "the ledger is gone: its head file");
    ck_assert(strstr(err.message, "knows of 3 entries") && strstr(err.message, "do not delete"));
}
END_TEST

/* --------------------------------------------------------------------- looking */

static sotto_status look(sotto_ledger **ledger)
{
    const sotto_ledger_options options = {.path = scene_path("ledger.db"), .read_only = true};
    err = (sotto_error){0};
    return sotto_ledger_open(ledger, &options, &err);
}

/* As an account that may read and no more; gives what the child says, 77 where there is no such account. */
static int as_another(int (*does)(void))
{
    int ended = -1;
    const pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(77);
        const int found = does();
        if (found != 0)
            (void)fprintf(stderr, "%s: %s\n", err.file, err.message);
        _exit(found);
    }
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert(WIFEXITED(ended));
    return WEXITSTATUS(ended);
}

static int looks_at(sotto_ledger *ledger, FILE *nowhere)
{
    json_t *record = NULL;
    if (sotto_ledger_list(ledger, &record, &err) != SOTTO_OK ||
        json_array_size(json_object_get(record, "data_sets")) != 1)
        return 2;
    json_decref(record);
    if (sotto_ledger_show(ledger, "adult", &record, &err) != SOTTO_OK ||
        sotto_ledger_export(ledger, nowhere, &err) != SOTTO_OK)
        return 3;
    json_decref(record);
    return sotto_ledger_declare(ledger, "adult", NULL, 9, 1e-5, &err) == SOTTO_ERROR_INPUT ? 0 : 4;
}

static int looks(void)
{
    sotto_ledger *ledger = NULL;
    if (access(scene_path("ledger.db"), W_OK) == 0 || look(&ledger) != SOTTO_OK || !ledger->looking)
        return 1;
    FILE *nowhere = fopen("/dev/null", "w");
    const int found = nowhere ? looks_at(ledger, nowhere) : 5;
    if (nowhere)
        (void)fclose(nowhere);
    sotto_ledger_close(ledger);
    if (found != 0)
        return found;
    json_t *record = NULL;
    const sotto_ledger_options options = {.path = scene_path("ledger.db")};
    if (sotto_ledger_verify(&options, &record, &err) != SOTTO_OK)
        return 6;
    json_decref(record);
    return 0;
}

static int is_another(void)
{
    return 0;
}

static int is_told_to_ask(void)
{
    sotto_ledger *ledger = NULL;
    return look(&ledger) == SOTTO_ERROR_IO && strstr(err.message, "sotto ledger export") ? 0 : 1;
}

static int finds_another_digest(void)
{
    sotto_ledger *ledger = NULL;
    return look(&ledger) == SOTTO_ERROR_INPUT && strstr(err.message, "digest") ? 0 : 1;
}

static int finds_a_mirror_that_knows_more(void)
{
    sotto_ledger *ledger = NULL;
    (void)setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1);
    return look(&ledger) == SOTTO_ERROR_INPUT && strstr(err.message, "knows of 5") ? 0 : 1;
}

static void for_readers(mode_t folder)
{
    static const char *const files[] = {"ledger.db", "ledger.db-head", "ledger.db-wal", "ledger.db-shm",
                                        "mirror"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)chmod(scene_path(files[i]), folder == 0555 ? 0444 : 0600);
    ck_assert_int_eq(chmod(scene_path("."), folder), 0);
}

/* Without a right to write, anywhere: what was closed is read, and nothing changes. */
START_TEST(whoever_may_only_read_can_look)
{
    declare_some("ledger.db", 3);
    copy_file("ledger.db", "file-before");
    copy_file("ledger.db-head", "head-before");
    for_readers(0555);
    const int found = as_another(looks);
    if (found == 77)
        (void)puts("no other account to look as: skipped");
    else
        ck_assert_int_eq(found, 0);
    for_readers(0755);
    expect_same("ledger.db", "file-before");
    expect_same("ledger.db-head", "head-before");
    ck_assert_int_ne(access(scene_path("ledger.db-wal"), F_OK), 0);
}
END_TEST

START_TEST(who_only_looks_is_told_what_stands_in_the_way)
{
    declare_some("ledger.db", 3);
    if (as_another(is_another) == 77)
        return;
    sotto_ledger *ledger = ledger_at("ledger.db", false); /* somebody has it open, with a log or without */
    for_readers(0555);
    ck_assert_int_eq(as_another(is_told_to_ask), 0);
    for_readers(0755);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 7, 1e-5, &err));
    for_readers(0555);
    ck_assert_int_eq(as_another(is_told_to_ask), 0);
    for_readers(0755);
    sotto_ledger_close(ledger);
    copy_file("ledger.db", "kept");
    const int file = open(scene_path("ledger.db"), O_RDWR);
    ck_assert_int_eq(pwrite(file, "x", 1, 5000), 1);
    ck_assert_int_eq(close(file), 0);
    for_readers(0555);
    ck_assert_int_eq(as_another(finds_another_digest), 0);
    for_readers(0755);
    copy_file("kept", "ledger.db");
    copy_file("ledger.db-head", "kept-head");
    ck_assert_int_eq(setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1), 0);
    declare_some("ledger.db", 1);
    copy_file("kept", "ledger.db");
    copy_file("kept-head", "ledger.db-head");
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
    for_readers(0555);
    ck_assert_int_eq(as_another(finds_a_mirror_that_knows_more), 0);
    for_readers(0755);
}
END_TEST

/* Colleagues who share a ledger share its mirror, which each commit replaces. */
START_TEST(a_mirror_stays_open_to_whom_it_was_opened)
{
    struct stat about;
    ck_assert_int_eq(setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1), 0);
    declare_some("ledger.db", 1);
    ck_assert_int_eq(stat(scene_path("mirror"), &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0600);
    ck_assert_int_eq(chmod(scene_path("mirror"), 0660), 0);
    declare_some("ledger.db", 1);
    ck_assert_int_eq(stat(scene_path("mirror"), &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0660);
}
END_TEST

TCase *ledger_custody_case(void)
{
    TCase *custody = tcase_create("custody");
    tcase_add_checked_fixture(custody, scene_begin, scene_end);
    tcase_add_test(custody, what_a_mirror_knows_is_not_adopted_away);
    tcase_add_test(custody, an_adoption_says_what_is_forgotten);
    tcase_add_test(custody, nothing_wrong_is_nothing_to_adopt);
    tcase_add_test(custody, an_adoption_that_fails_leaves_no_head_file);
    tcase_add_test(custody, a_head_file_that_was_taken_away_is_not_used);
    tcase_add_test(custody, a_mirror_is_one_file_elsewhere);
    tcase_add_test(custody, a_mirror_stays_open_to_whom_it_was_opened);
    tcase_add_test(custody, a_mirror_that_is_something_else_is_refused);
    tcase_add_test(custody, what_was_named_instead_of_a_ledger_is_said);
    tcase_add_test(custody, whoever_may_only_read_can_look);
    tcase_add_test(custody, who_only_looks_is_told_what_stands_in_the_way);
    return custody;
}
