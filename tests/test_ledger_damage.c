/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A ledger that was changed, cut off, copied or put back is refused, and says what does not agree. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_ledger.h"

static const sotto_charge *plan(void)
{
    static sotto_charge charge;
    charge = (sotto_charge){"steps", sampled(0.01, 1.1), 1000};
    return &charge;
}

/* A ledger of a run with so many charges, closed. */
static void make_ledger(const char *name, int charges)
{
    sotto_ledger *ledger = ledger_at(name, true);
    sotto_ledger_run *run = begin(ledger, plan());
    for (int i = 0; i < charges; i++)
        OK(sotto_ledger_run_charge(run, &plan()->mechanism, 1, "steps", &err));
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
}

/* One more entry. */
static void add_entry(const char *name)
{
    sotto_ledger *ledger = ledger_at(name, false);
    OK(sotto_ledger_declare(ledger, "another", NULL, 1, 1e-5, &err));
    sotto_ledger_close(ledger);
}

typedef struct content {
    char *bytes;
    size_t length;
} content;

static content read_file(const char *name)
{
    content file;
    OK(sotto_file_read(scene_path(name), (size_t)1 << 24, &file.bytes, &file.length, &err));
    return file;
}

static void write_file(const char *name, content file)
{
    FILE *out = fopen(scene_path(name), "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(file.bytes, 1, file.length, out), file.length);
    ck_assert_int_eq(fclose(out), 0);
}

static void write_byte(const char *name, size_t place, char byte)
{
    FILE *out = fopen(scene_path(name), "r+b");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(fseek(out, (long)place, SEEK_SET), 0);
    ck_assert_int_eq(fputc((unsigned char)byte, out), (unsigned char)byte);
    ck_assert_int_eq(fclose(out), 0);
}

static bool opens(const char *name)
{
    sotto_ledger *ledger;
    const sotto_status status = try_ledger_at(name, false, &ledger);
    ck_assert_int_eq(status == SOTTO_OK, ledger != NULL);
    ck_assert(status == SOTTO_OK || strlen(err.message) > 20);
    sotto_ledger_close(ledger);
    return status == SOTTO_OK;
}

/* Bits of a file of a ledger at rest: with a step of 9 one of each byte, all eight places in turn. */
static void flip_bits(const char *name, size_t step)
{
    const content file = read_file(name);
    size_t refused = 0, flipped = 0;
    for (size_t i = 0; i < 8 * file.length; i += step, flipped++) {
        write_byte(name, i / 8, file.bytes[i / 8] ^ (char)(1 << i % 8));
        refused += !opens("ledger.db");
        write_byte(name, i / 8, file.bytes[i / 8]);
    }
    ck_assert_uint_eq(refused, flipped);
    ck_assert(opens("ledger.db"));
    free(file.bytes);
}

START_TEST(a_flipped_bit_of_a_rested_ledger_is_refused)
{
    make_ledger("ledger.db", 3);
    flip_bits("ledger.db", TEST_SANITIZED ? 61 : 9);
}
END_TEST

START_TEST(every_flipped_bit_of_its_head_file_is_refused)
{
    make_ledger("ledger.db", 3);
    flip_bits("ledger.db-head", TEST_SANITIZED ? 7 : 1);
}
END_TEST

/* What a reader learns from the ledger. */
static char *learnt(const sotto_ledger *ledger)
{
    json_t *record = NULL;
    OK(sotto_ledger_list((sotto_ledger *)ledger, &record, &err));
    char *text = json_dumps(record, JSON_SORT_KEYS);
    json_decref(record);
    ck_assert_ptr_nonnull(text);
    return text;
}

/* Without the digest, as after a crash, the chain decides: a flip is refused, or in a place that says
 * nothing. */
START_TEST(no_flipped_bit_changes_what_an_unrested_ledger_says)
{
    make_ledger("ledger.db", 3);
    content file = read_file("ledger.db"), head = read_file("ledger.db-head");
    ledger_record record;
    ck_assert(ledger_record_parse(head.bytes, head.length, &record));
    memcpy(record.rest, LEDGER_NO_REST, sizeof record.rest);
    ledger_record_format(&record, head.bytes);
    sotto_ledger *ledger = ledger_at("ledger.db", false);
    char *before = learnt(ledger);
    sotto_ledger_close(ledger);
    size_t refused = 0;
    for (size_t i = 0; i < file.length; i += TEST_SANITIZED ? 97 : 23) {
        file.bytes[i] ^= (char)(1 << i % 8);
        write_file("ledger.db", file);
        write_file("ledger.db-head", head);
        if (try_ledger_at("ledger.db", false, &ledger) == SOTTO_OK) {
            char *after = learnt(ledger);
            ck_assert_str_eq(before, after);
            free(after);
            sotto_ledger_close(ledger);
        } else
            refused++;
        file.bytes[i] ^= (char)(1 << i % 8);
        (void)unlink(scene_path("ledger.db-wal"));
        (void)unlink(scene_path("ledger.db-shm"));
    }
    ck_assert_uint_gt(refused, TEST_SANITIZED ? 5 : 20);
    free(before);
    free(file.bytes);
    free(head.bytes);
}
END_TEST

/* A process that charges and is killed: what it was told is done is in the log alone. */
static void charge_and_die(void)
{
    const pid_t child = fork();
    if (child == 0) {
        sotto_ledger *ledger = NULL;
        sotto_ledger_run *run = NULL;
        if (try_ledger_at("ledger.db", false, &ledger) == SOTTO_OK)
            run = begin(ledger, plan());
        for (int i = 0; run && i < 3; i++)
            if (sotto_ledger_run_charge(run, &plan()->mechanism, 5, "steps", &err) != SOTTO_OK)
                _exit(1);
        _exit(run ? 0 : 1);
    }
    int ended = -1;
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert_int_eq(ended, 0);
}

START_TEST(a_killed_process_loses_no_charge)
{
    make_ledger("ledger.db", 2);
    charge_and_die();
    struct stat about;
    ck_assert_int_eq(stat(scene_path("ledger.db-wal"), &about), 0);
    sotto_ledger *ledger = ledger_at("ledger.db", false);
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, 4 + 4); /* the second run is of a known table */
    ck_assert_uint_eq(ledger->book.runs[1].charges[0].count, 15);
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(a_deleted_or_cut_log_is_refused)
{
    make_ledger("ledger.db", 2);
    charge_and_die();
    const content log = read_file("ledger.db-wal"), file = read_file("ledger.db"),
                  head = read_file("ledger.db-head");
    ck_assert_int_eq(unlink(scene_path("ledger.db-wal")), 0);
    expect_refused("ledger.db", "4 entries");
    ck_assert(strstr(err.message, "ledger.db-head"));
    for (size_t length = 0; length < log.length; length += 997) {
        write_file("ledger.db", file);
        write_file("ledger.db-head", head);
        write_file("ledger.db-wal", (content){log.bytes, length});
        (void)unlink(scene_path("ledger.db-shm"));
        expect_refused("ledger.db", "knows of 8");
    }
    for (size_t i = 0; i < log.length; i += TEST_SANITIZED ? 1009 : 101) {
        log.bytes[i] ^= (char)(1 << i % 8);
        write_file("ledger.db", file);
        write_file("ledger.db-head", head);
        write_file("ledger.db-wal", log);
        (void)unlink(scene_path("ledger.db-shm"));
        ck_assert(!opens("ledger.db"));
        log.bytes[i] ^= (char)(1 << i % 8);
    }
    write_file("ledger.db", file);
    write_file("ledger.db-head", head);
    write_file("ledger.db-wal", log);
    ck_assert(opens("ledger.db"));
    free(log.bytes);
    free(file.bytes);
    free(head.bytes);
}
END_TEST

static sotto_ledger_head head_in(const char *name)
{
    const content file = read_file(name);
    ledger_record record;
    ck_assert(ledger_record_parse(file.bytes, file.length, &record));
    free(file.bytes);
    return record.head;
}

START_TEST(an_older_copy_is_refused_by_all_who_know_better)
{
    sotto_ledger_head head;
    sotto_ledger *ledger;
    make_ledger("ledger.db", 2);
    copy_file("ledger.db", "old.db");
    copy_file("ledger.db-head", "old.db-head");
    ck_assert_int_eq(setenv("SOTTO_LEDGER_MIRROR", scene_path("mirror"), 1), 0);
    add_entry("ledger.db");
    head = head_in("mirror");
    ck_assert_uint_eq(head.entries, 5);
    /* the file alone put back: its head file knows better */
    copy_file("ledger.db", "new.db");
    copy_file("old.db", "ledger.db");
    expect_refused("ledger.db", "4 entries, not 5");
    /* with its head file: the mirror does */
    copy_file("ledger.db-head", "new.db-head");
    copy_file("old.db-head", "ledger.db-head");
    expect_refused("ledger.db", "mirror knows of 5");
    /* and without one, whoever has a statement */
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
    ledger = ledger_at("ledger.db", false);
    REFUSED(sotto_ledger_expect(ledger, &head, "runs/one/release/privacy.json", &err), SOTTO_ERROR_INPUT,
            "privacy.json knows of 5");
    /* which went another way: as many entries, and others */
    OK(sotto_ledger_declare(ledger, "something-else", NULL, 1, 1e-5, &err));
    REFUSED(sotto_ledger_expect(ledger, &head, "a statement", &err), SOTTO_ERROR_INPUT, "different ways");
    head.ledger[0] = head.ledger[0] == '0' ? '1' : '0';
    REFUSED(sotto_ledger_expect(ledger, &head, "a statement", &err), SOTTO_ERROR_INPUT, "another ledger");
    sotto_ledger_close(ledger);
}
END_TEST

START_TEST(head_files_of_others_and_missing_ones_are_refused)
{
    make_ledger("ledger.db", 2);
    make_ledger("other.db", 2);
    copy_file("ledger.db-head", "kept");
    copy_file("other.db-head", "ledger.db-head");
    expect_refused("ledger.db", "another ledger");
    ck_assert_int_eq(unlink(scene_path("ledger.db-head")), 0);
    expect_refused("ledger.db", "head file");
    sotto_ledger *ledger;
    ck_assert_int_eq(try_ledger_at("ledger.db", true, &ledger), SOTTO_ERROR_INPUT); /* nor made anew */
    ck_assert(strstr(err.message, "no head file"));
    copy_file("kept", "ledger.db-head");
    ck_assert(opens("ledger.db"));
    /* a head file whose ledger is gone does not become a new one */
    ck_assert_int_eq(unlink(scene_path("ledger.db")), 0);
    ck_assert_int_eq(try_ledger_at("ledger.db", true, &ledger), SOTTO_ERROR_INPUT);
    ck_assert_int_ne(access(scene_path("ledger.db"), F_OK), 0);
}
END_TEST

START_TEST(an_adopted_copy_says_so)
{
    sotto_ledger *ledger;
    sotto_ledger_head head;
    make_ledger("ledger.db", 2);
    copy_file("ledger.db", "copy.db");
    add_entry("ledger.db");
    head = head_in("ledger.db-head");
    expect_refused("copy.db", "adopt");
    const sotto_ledger_options options = {.path = scene_path("copy.db"), .adopt = true};
    OK(sotto_ledger_open(&ledger, &options, &err));
    ck_assert_uint_eq(sotto_ledger_last(ledger).entries, 5);
    REFUSED(sotto_ledger_expect(ledger, &head, "a statement", &err), SOTTO_ERROR_INPUT, "different ways");
    sotto_ledger_close(ledger);
    ck_assert(opens("copy.db"));
    /* an older file under a newer head */
    copy_file("copy.db", "ledger.db");
    ck_assert(!opens("ledger.db"));
    const sotto_ledger_options older = {.path = scene_path("ledger.db"), .adopt = true};
    OK(sotto_ledger_open(&ledger, &older, &err));
    sotto_ledger_close(ledger);
    ck_assert(opens("ledger.db"));
    /* but not one that is not sound */
    const content file = read_file("ledger.db");
    char *place = memmem(file.bytes, file.length, "\"count\":1", 9);
    ck_assert_ptr_nonnull(place);
    place[8] = '0';
    write_file("ledger.db", file);
    REFUSED(sotto_ledger_open(&ledger, &older, &err), SOTTO_ERROR_INPUT, "entry");
    free(file.bytes);
}
END_TEST

/* ------------------------------------------------------------- by SQL, from outside */

static sqlite3 *database;

static int sql(const char *text)
{
    return sqlite3_exec(database, text, NULL, NULL, NULL);
}

START_TEST(sql_cannot_change_an_entry)
{
    static const char *const forbidden[] = {
        "UPDATE entries SET body = '{}' WHERE seq = 3",
        "UPDATE OR REPLACE entries SET seq = 1 WHERE seq = 3",
        "DELETE FROM entries WHERE seq = 4",
        "DELETE FROM entries",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE seq = 3",
        "REPLACE INTO entries SELECT seq, time, kind, '{}', hash FROM entries WHERE seq = 4",
        "INSERT OR IGNORE INTO entries SELECT seq + 7, time, kind, body, hash FROM entries WHERE seq = 4",
        "INSERT INTO entries (time, kind, body, hash) SELECT time, kind, body, hash FROM entries WHERE seq = 4",
        "INSERT INTO entries VALUES (3, '', 'charge', '{}', zeroblob(32)) ON CONFLICT (seq) DO UPDATE SET body = 'x'",
        "INSERT INTO entries VALUES (5, '', 'charge', '{}', zeroblob(31))",
        "UPDATE origin SET salt = zeroblob(32)",
        "DELETE FROM origin",
        "INSERT OR REPLACE INTO origin SELECT * FROM origin",
    };
    make_ledger("ledger.db", 2);
    ck_assert_int_eq(sqlite3_open(scene_path("ledger.db"), &database), SQLITE_OK);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        ck_assert_msg(sql(forbidden[i]) == SQLITE_CONSTRAINT, "%s: %s", forbidden[i],
                      sqlite3_errmsg(database));
    /* readers may look: the views are there */
    ck_assert_int_eq(sql("SELECT sum(count) FROM charges; SELECT * FROM runs; SELECT * FROM data_sets; "
                         "SELECT * FROM releases"),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
    ck_assert(opens("ledger.db"));
}
END_TEST

/* Whoever takes a trigger away can write; opening finds out, by the schema, the digest or the chain. */
START_TEST(what_was_written_around_the_rules_is_found)
{
    static const struct {
        const char *sql, *words;
    } tampering[] = {
        {"DROP TRIGGER entries_stay", "tables, triggers and views"},
        {"CREATE TABLE more (x)", "tables, triggers and views"},
        {"CREATE TRIGGER evil AFTER INSERT ON entries BEGIN SELECT 1; END", "tables, triggers and views"},
        {"INSERT INTO entries VALUES (5, 'x', 'charge', '{}', zeroblob(32))", "entry 5 does not follow"},
        {"CREATE TEMP TABLE kept AS SELECT sql FROM sqlite_master WHERE name = 'entries_stay'; "
         "DROP TRIGGER entries_stay; UPDATE entries SET body = replace(body, ':1,', ':0,') WHERE seq = 3",
         "tables, triggers and views"},
        {"PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'entries_stay'; "
         "UPDATE sqlite_master SET sql = replace(sql, '>= 1', '>= 0') WHERE name = 'entries'",
         "tables, triggers and views"},
        {"PRAGMA user_version = 2", "format 2"},
        {"PRAGMA application_id = 2", "no ledger"},
    };
    make_ledger("ledger.db", 2);
    const content file = read_file("ledger.db"), head = read_file("ledger.db-head");
    for (size_t i = 0; i < sizeof tampering / sizeof *tampering; i++) {
        write_file("ledger.db", file);
        write_file("ledger.db-head", head);
        ck_assert_int_eq(sqlite3_open(scene_path("ledger.db"), &database), SQLITE_OK);
        ck_assert_msg(sql(tampering[i].sql) == SQLITE_OK, "%s: %s", tampering[i].sql,
                      sqlite3_errmsg(database));
        ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
        expect_refused("ledger.db", "changed since it was last closed");
        /* and without a digest */
        ledger_record record;
        char text[LEDGER_RECORD + 1];
        ck_assert(ledger_record_parse(head.bytes, head.length, &record));
        memcpy(record.rest, LEDGER_NO_REST, sizeof record.rest);
        ledger_record_format(&record, text);
        write_file("ledger.db-head", (content){text, LEDGER_RECORD});
        expect_refused("ledger.db", tampering[i].words);
    }
    free(file.bytes);
    free(head.bytes);
}
END_TEST

TCase *ledger_damage_case(void)
{
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(damage, 300);
    tcase_add_checked_fixture(damage, scene_begin, scene_end);
    tcase_add_test(damage, a_flipped_bit_of_a_rested_ledger_is_refused);
    tcase_add_test(damage, every_flipped_bit_of_its_head_file_is_refused);
    tcase_add_test(damage, no_flipped_bit_changes_what_an_unrested_ledger_says);
    tcase_add_test(damage, a_killed_process_loses_no_charge);
    tcase_add_test(damage, a_deleted_or_cut_log_is_refused);
    tcase_add_test(damage, an_older_copy_is_refused_by_all_who_know_better);
    tcase_add_test(damage, head_files_of_others_and_missing_ones_are_refused);
    tcase_add_test(damage, an_adopted_copy_says_so);
    tcase_add_test(damage, sql_cannot_change_an_entry);
    tcase_add_test(damage, what_was_written_around_the_rules_is_found);
    return damage;
}
