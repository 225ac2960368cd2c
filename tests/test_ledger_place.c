/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Which data set a table is, where a ledger may be, and who may read it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_ledger.h"

static sotto_charge plan;

static void begin_case(void)
{
    scene_begin();
    plan = (sotto_charge){"steps", sampled(0.02, 1.3), 500};
}

/* The data set that a run on the table is recorded for; "" where it is refused. */
static const char *set_of(sotto_ledger *ledger, const char *id, const char *content, const char *file)
{
    static char name[LEDGER_NAME + 1];
    sotto_ledger_run *run = begin_on(ledger, table_of(id, content, file), &plan);
    (void)snprintf(name, sizeof name, "%s", run ? sotto_ledger_run_data_set(run) : "");
    sotto_ledger_run_destroy(run);
    return name;
}

START_TEST(a_table_is_known_by_id_content_and_path)
{
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    ck_assert_str_eq(set_of(ledger, "adult", "a", "one.csv"), "adult");
    ck_assert_str_eq(set_of(ledger, NULL, "a", "copy.csv"), "adult");    /* renamed */
    ck_assert_str_eq(set_of(ledger, NULL, "b", "one.csv"), "adult");     /* changed in place */
    ck_assert_str_eq(set_of(ledger, NULL, "c", "copy.csv"), "adult");    /* changed after it was renamed */
    ck_assert_str_eq(set_of(ledger, "adult", "d", "else.csv"), "adult"); /* a new version, by its word */
    ck_assert_str_eq(set_of(ledger, NULL, "d", "nowhere.csv"), "adult");
    ck_assert_str_eq(set_of(ledger, "people", "d", "x.csv"), "");
    ck_assert(strstr(err.message, "data.id: adult"));
    ck_assert_str_eq(set_of(ledger, "people", "e", "x.csv"), "people");
    ck_assert_str_eq(set_of(ledger, "adult", "e", "x.csv"), "");
    ck_assert(strstr(err.message, "data.id: people"));
    ck_assert_str_eq(set_of(ledger, "-x", "f", "y.csv"), "");
    ck_assert(strstr(err.message, "data.id"));
    /* named after the file, each its own name */
    ck_assert_str_eq(set_of(ledger, NULL, "g", "adult.csv"), "adult-2");
    ck_assert_str_eq(set_of(ledger, NULL, "h", "sub/adult.csv"), "adult-3");
    ck_assert_str_eq(set_of(ledger, NULL, "i", "-odd name\xc3\xa9.tar.gz"), "_odd_name__.tar");
    ck_assert_str_eq(set_of(ledger, NULL, "j", ".csv"), ".csv");
    sotto_ledger_close(ledger);
}
END_TEST

/* A cap that was declared before the first run binds the table of that name, with data.id or without. */
START_TEST(a_declared_set_takes_the_first_table_of_its_name)
{
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 1e-3, 1e-5, &err));
    ck_assert_str_eq(set_of(ledger, NULL, "a", "adult.csv"), "");
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert_str_eq(set_of(ledger, "adult", "a", "adult.csv"), "");
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    sotto_ledger_close(ledger);
}
END_TEST

/* No plain hash of the table is anywhere in the ledger's files, nor is its salt in what is exported. */
START_TEST(the_content_is_kept_under_a_key)
{
    char hash[65], salt[2 * LEDGER_HASH + 1], *bytes, *text = NULL;
    size_t length, size;
    sotto_sha256_hex("a", 1, hash);
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    ck_assert_str_eq(set_of(ledger, "adult", "a", "one.csv"), "adult");
    ledger_hex(ledger->salt, LEDGER_HASH, salt);
    FILE *file = open_memstream(&text, &size);
    OK(sotto_ledger_export(ledger, file, &err));
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_ptr_null(strstr(text, hash));
    ck_assert_ptr_null(strstr(text, salt));
    ck_assert_ptr_nonnull(strstr(text, "\"kind\":\"table\""));
    free(text);
    sotto_ledger_close(ledger);
    OK(sotto_file_read(scene_path("ledger.db"), 1 << 24, &bytes, &length, &err));
    ck_assert_ptr_null(memmem(bytes, length, hash, 64));
    free(bytes);
    /* two ledgers keep the same table differently */
    ledger = ledger_at("other.db", true);
    sotto_ledger *first = ledger_at("ledger.db", false);
    ck_assert_str_eq(set_of(ledger, "adult", "a", "one.csv"), "adult");
    ck_assert_str_ne(ledger->book.sets[0].versions[0].content, first->book.sets[0].versions[0].content);
    sotto_ledger_close(first);
    sotto_ledger_close(ledger);
}
END_TEST

/* ---------------------------------------------------------------------- modes */

static mode_t mode_of(const char *name)
{
    struct stat about;
    ck_assert_msg(stat(scene_path(name), &about) == 0, "%s", name);
    return about.st_mode & 07777;
}

START_TEST(new_files_are_their_owners_alone)
{
    static const char *const files[] = {"a/b/ledger.db", "a/b/ledger.db-wal", "a/b/ledger.db-shm",
                                        "a/b/ledger.db-head", "mirror"};
    const mode_t masks[] = {0, 022, 0777};
    (void)umask(masks[_i]);
    ck_assert_int_eq(setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1), 0);
    sotto_ledger *ledger = ledger_at("a/b/ledger.db", true);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 1, 1e-5, &err));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        ck_assert_msg(mode_of(files[i]) == 0600, "%s: %o", files[i], (unsigned)mode_of(files[i]));
    ck_assert_int_eq(mode_of("a"), 0700);
    ck_assert_int_eq(mode_of("a/b"), 0700);
    sotto_ledger_close(ledger);
    ck_assert_int_eq(mode_of("a/b/ledger.db"), 0600);
    (void)umask(022);
}
END_TEST

/* Whoever shares a ledger chose its modes: they stay, and its log has them. */
START_TEST(a_shared_ledger_stays_shared)
{
    sotto_ledger_close(ledger_at("ledger.db", true));
    ck_assert_int_eq(chmod(scene_path("ledger.db"), 0660), 0);
    ck_assert_int_eq(chmod(scene_path("ledger.db-head"), 0660), 0);
    (void)umask(077);
    sotto_ledger *ledger = ledger_at("ledger.db", false);
    OK(sotto_ledger_declare(ledger, "adult", NULL, 1, 1e-5, &err));
    ck_assert_int_eq(mode_of("ledger.db"), 0660);
    ck_assert_int_eq(mode_of("ledger.db-wal"), 0660);
    sotto_ledger_close(ledger);
    ck_assert_int_eq(mode_of("ledger.db-head"), 0660);
    (void)umask(022);
}
END_TEST

/* --------------------------------------------------------------------- places */

START_TEST(the_ledger_is_found_where_it_is_said_to_be)
{
    char *path;
    sotto_ledger_close(ledger_at("ledger.db", true));
    ck_assert_int_eq(symlink(scene_path("ledger.db"), scene_path("link")), 0);
    ck_assert_int_eq(setenv("SOTTO_LEDGER", scene_path("ledger.db"), 1), 0);
    OK(sotto_ledger_find(NULL, &path, &err));
    ck_assert_str_eq(path, scene_path("ledger.db"));
    free(path);
    OK(sotto_ledger_find(scene_path("link"), &path, &err)); /* another name of the same */
    free(path);
    REFUSED(sotto_ledger_find(scene_path("other.db"), &path, &err), SOTTO_ERROR_INPUT, "two ledgers");
    ck_assert_ptr_null(path);
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER"), 0);
    OK(sotto_ledger_find(scene_path("other.db"), &path, &err));
    free(path);
    ck_assert_int_eq(setenv("XDG_STATE_HOME", "/state", 1), 0);
    OK(sotto_ledger_find(NULL, &path, &err));
    ck_assert_str_eq(path, "/state/sotto/ledger.db");
    free(path);
    ck_assert_int_eq(setenv("XDG_STATE_HOME", "relative", 1), 0);
    ck_assert_int_eq(setenv("HOME", "/home/anna", 1), 0);
    OK(sotto_ledger_find(NULL, &path, &err));
    ck_assert_str_eq(path, "/home/anna/.local/state/sotto/ledger.db");
    free(path);
    ck_assert_int_eq(unsetenv("HOME"), 0);
    REFUSED(sotto_ledger_find(NULL, &path, &err), SOTTO_ERROR_INPUT, "SOTTO_LEDGER");
}
END_TEST

/* Through a link it is the same ledger with the same head file; a hard link would be a second log. */
START_TEST(links_are_followed_or_refused)
{
    sotto_ledger_close(ledger_at("ledger.db", true));
    ck_assert_int_eq(symlink(scene_path("ledger.db"), scene_path("link")), 0);
    sotto_ledger *ledger = ledger_at("link", false);
    ck_assert_ptr_nonnull(strstr(sotto_ledger_path(ledger), "ledger.db"));
    OK(sotto_ledger_declare(ledger, "adult", NULL, 1, 1e-5, &err));
    sotto_ledger_close(ledger);
    ck_assert_int_ne(access(scene_path("link-head"), F_OK), 0);
    ck_assert_int_eq(link(scene_path("ledger.db"), scene_path("hard.db")), 0);
    expect_refused("ledger.db", "hard link");
    ck_assert_int_eq(link(scene_path("ledger.db-head"), scene_path("hard.db-head")), 0);
    expect_refused("hard.db", "hard link");
}
END_TEST

START_TEST(what_is_no_ledger_is_refused)
{
    const char *text = "hello", *schema = "CREATE TABLE t (x)";
    sotto_ledger *ledger = NULL;
    sqlite3 *other;
    ck_assert_int_eq(mkdir(scene_path("folder"), 0700), 0);
    ck_assert_int_eq(mkfifo(scene_path("pipe"), 0600), 0);
    OK(sotto_file_write(scene_path("text"), 0600, text, 5, &err));
    ck_assert_int_eq(sqlite3_open(scene_path("other"), &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, schema, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    ck_assert_int_ne(try_ledger_at("folder", true, &ledger), SOTTO_OK);
    ck_assert_int_ne(try_ledger_at("pipe", true, &ledger), SOTTO_OK);
    ck_assert_int_eq(try_ledger_at("text", true, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(try_ledger_at("other", true, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(try_ledger_at("folder/", true, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(try_ledger_at("absent/ledger.db", false, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_int_ne(access(scene_path("absent"), F_OK), 0);
    /* what had been there is as it was */
    char *bytes;
    size_t length;
    OK(sotto_file_read(scene_path("text"), 100, &bytes, &length, &err));
    ck_assert_str_eq(bytes, text);
    free(bytes);
}
END_TEST

/* Names that mean something to SQLite are files like any other. */
START_TEST(odd_names_are_names)
{
    static const char *const names[] = {":memory:", "file:x?mode=memory", "a b%20c#d", "\xc3\xa9",
                                        "\xff\xfe"};
    char before[1024];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_int_eq(chdir(scene_path("")), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const sotto_ledger_options options = {.path = names[i], .create = true};
        sotto_ledger *ledger;
        json_t *record = NULL;
        OK(sotto_ledger_open(&ledger, &options, &err));
        OK(sotto_ledger_declare(ledger, "adult", NULL, 1, 1e-5, &err));
        OK(sotto_ledger_list(ledger, &record, &err));
        json_decref(record);
        sotto_ledger_close(ledger);
        ck_assert_int_eq(access(names[i], F_OK), 0);
        OK(sotto_ledger_verify(&options, &record, &err));
        json_decref(record);
    }
    ck_assert_int_eq(chdir(before), 0);
}
END_TEST

START_TEST(file_systems_without_locks_are_refused)
{
    static const unsigned long refused[] = {0x6969,     0x517B,     0xFF534D42, 0xFE534D42,
                                            0x5346414F, 0x73757245, 0x01021997, 0x65735546};
    static const unsigned long fine[] = {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0x2FC12FC1};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_ptr_nonnull(ledger_file_system_trouble(refused[i]));
        /* a signed word of 32 bits says the same */
        ck_assert_ptr_nonnull(ledger_file_system_trouble((unsigned long)(long)(int)(unsigned)refused[i]));
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        ck_assert_ptr_null(ledger_file_system_trouble(fine[i]));
    OK(sotto_file_write(scene_path("file"), 0600, "x", 1, &err));
    const int descriptor = open(scene_path("file"), O_RDWR);
    OK(ledger_path_check_locks(scene_path("file"), descriptor, &err));
    /* two different files share no lock: as where none is kept */
    OK(sotto_file_write(scene_path("else"), 0600, "x", 1, &err));
    REFUSED(ledger_path_check_locks(scene_path("else"), descriptor, &err), SOTTO_ERROR_INPUT,
            "locks do not hold");
    (void)close(descriptor);
}
END_TEST

TCase *ledger_place_case(void)
{
    TCase *place = tcase_create("place");
    tcase_add_checked_fixture(place, begin_case, scene_end);
    tcase_add_test(place, a_table_is_known_by_id_content_and_path);
    tcase_add_test(place, a_declared_set_takes_the_first_table_of_its_name);
    tcase_add_test(place, the_content_is_kept_under_a_key);
    tcase_add_loop_test(place, new_files_are_their_owners_alone, 0, 3);
    tcase_add_test(place, a_shared_ledger_stays_shared);
    tcase_add_test(place, the_ledger_is_found_where_it_is_said_to_be);
    tcase_add_test(place, links_are_followed_or_refused);
    tcase_add_test(place, what_is_no_ledger_is_refused);
    tcase_add_test(place, odd_names_are_names);
    tcase_add_test(place, file_systems_without_locks_are_refused);
    return place;
}
