/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checkpoint files: what was written, and nothing else. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "run/checkpoint.h"
#include "suite.h"

enum { VALUES = 6, LIMIT = 1 << 20, DIGEST = 64 };

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const sotto_checkpoint_facts facts = {
    .kind = SOTTO_CHECKPOINT_STATE,
    .run = "2026-03-01-7f3a",
    .attempt = 3,
    .head = {.ledger = "0123456789abcdef0123456789abcdef", .entries = 1234, .hash = SHA_A},
    .config_sha256 = SHA_B,
    .schema_sha256 = SHA_A,
    .table_sha256 = SHA_B,
    .step = 800,
    .not_private = SOTTO_NOT_PRIVATE};

static char folder[] = "/tmp/sotto-checkpoint-XXXXXX", path[64];

static void set_up(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/state", folder);
}

static void tear_down(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left there */
}

static void visit(float *values, sotto_state *state)
{
    sotto_state_object(state, "values");
    sotto_state_floats(state, "values", values, VALUES);
}

static sotto_status write_file(const sotto_checkpoint_facts *of, sotto_error *err)
{
    float values[VALUES] = {0, 1, 2, 3, 4, 5};
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    visit(values, state);
    const sotto_status status = sotto_checkpoint_write(path, of, state, err);
    sotto_state_destroy(state);
    return status;
}

static char *file_bytes(size_t *length)
{
    char *bytes;
    ck_assert_int_eq(sotto_file_read(path, LIMIT, &bytes, length, NULL), SOTTO_OK);
    return bytes;
}

static void put_bytes(const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

/* The same of one byte alone, or more, of a file that is there: many changes in little time. */
static void put_at(size_t at, const char *bytes, size_t length)
{
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pwrite(file, bytes, length, (off_t)at), (ssize_t)length);
    ck_assert_int_eq(close(file), 0);
}

/* Put the digest right, so that what is behind it is reached. */
static void seal(char *bytes, size_t length)
{
    char digest[DIGEST + 1];
    sotto_sha256_hex(bytes, length - DIGEST, digest);
    memcpy(bytes + length - DIGEST, digest, DIGEST);
}

/* Read, and want to be refused with the name of the file. */
static void expect_refused(const char *why)
{
    sotto_checkpoint back;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_checkpoint_read(&back, path, SOTTO_CHECKPOINT_STATE, LIMIT, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, path);
    ck_assert_msg(strstr(err.message, why) != NULL, "%s", err.message);
    ck_assert(!back.state && !back.bytes);
}

START_TEST(what_is_written_comes_back)
{
    sotto_checkpoint back;
    sotto_error err = {0};
    float values[VALUES] = {9};
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    ck_assert_msg(sotto_checkpoint_read(&back, path, SOTTO_CHECKPOINT_STATE, LIMIT, &err) == SOTTO_OK, "%s",
                  err.message);
    size_t length, again;
    char *bytes = file_bytes(&length);
    ck_assert_int_eq(write_file(&back.facts, NULL), SOTTO_OK);
    char *twin = file_bytes(&again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(twin, bytes, length);
    ck_assert_str_eq(back.facts.run, facts.run);
    ck_assert_uint_eq(back.facts.head.entries, 1234);
    ck_assert_str_eq(back.facts.head.hash, SHA_A);
    ck_assert_str_eq(back.facts.not_private, SOTTO_NOT_PRIVATE);
    free(twin);
    free(bytes);
    visit(values, back.state);
    ck_assert_int_eq(sotto_state_end(back.state, NULL), SOTTO_OK);
    ck_assert(values[0] == 0.0f && values[5] == 5.0f);
    sotto_checkpoint_destroy(&back);
    sotto_checkpoint_destroy(&back);
}
END_TEST

/* Only for its owner, whatever the umask and whatever was there before. */
START_TEST(nobody_else_may_read_it)
{
    struct stat seen;
    put_bytes("old", 3);
    ck_assert_int_eq(chmod(path, 0666), 0);
    (void)umask(0);
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    ck_assert_int_eq(stat(path, &seen), 0);
    ck_assert_uint_eq(seen.st_mode & 07777, 0600);
    (void)umask(0777);
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    (void)umask(022);
    ck_assert_int_eq(stat(path, &seen), 0);
    ck_assert_uint_eq(seen.st_mode & 07777, 0600);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
    size_t length;
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    for (size_t at = 0; at < length; at++)
        for (int bit = 0; bit < 8; bit++) {
            const char flipped = (char)(bytes[at] ^ 1 << bit);
            put_at(at, &flipped, 1);
            expect_refused("is not a sound checkpoint");
            put_at(at, bytes + at, 1);
        }
    free(bytes);
}
END_TEST

START_TEST(every_other_length_is_refused)
{
    size_t length;
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    for (size_t cut = 0; cut < length; cut++) {
        put_bytes(bytes, cut);
        expect_refused("is not a sound checkpoint");
    }
    char *longer = calloc(1, length + 100);
    ck_assert_ptr_nonnull(longer);
    memcpy(longer, bytes, length);
    for (size_t more = 1; more <= 100; more += 33) {
        put_bytes(longer, length + more);
        expect_refused("is not a sound checkpoint");
    }
    ck_assert_int_eq(
        sotto_checkpoint_read(&(sotto_checkpoint){0}, path, SOTTO_CHECKPOINT_STATE, length, NULL),
        SOTTO_ERROR_INPUT);
    free(longer);
    free(bytes);
}
END_TEST

/* A file of another format or version, the other of the two files, and one that is not there. */
START_TEST(other_files_say_what_to_do)
{
    sotto_checkpoint_facts split = facts;
    size_t length;
    expect_refused("cannot open");
    split.kind = SOTTO_CHECKPOINT_SPLIT;
    ck_assert_int_eq(write_file(&split, NULL), SOTTO_OK);
    expect_refused("is the file \"split\" of a checkpoint and not the file \"state\"");
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    bytes[strlen("sotto checkpoint ")] = '2';
    seal(bytes, length);
    put_bytes(bytes, length);
    expect_refused("which writes and reads \"sotto checkpoint 1\"");
    bytes[strlen("sotto checkpoint ")] = '1';
    char *version = memmem(bytes, length, "\x05sottot", 7);
    ck_assert_ptr_nonnull(version);
    version[7 + 8] = '9';
    seal(bytes, length);
    put_bytes(bytes, length);
    expect_refused("finish the run with the sotto that began it");
    free(bytes);
}
END_TEST

/* Sizes that lie under a digest that is right. */
START_TEST(sizes_that_lie_are_refused)
{
    static const char *const lies[] = {"0 0",
                                       "1 1",
                                       "-1 5",
                                       "18446744073709551615 2",
                                       "18446744073709551616 1",
                                       "999999999999999999 1",
                                       "1e2 4",
                                       " 1 1",
                                       "01 1",
                                       "4096 999999",
                                       "x",
                                       "1 1 1"};
    size_t length;
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    size_t end = 0;
    while (bytes[end] != '\n')
        end++;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *other = malloc(length + 100);
        ck_assert_ptr_nonnull(other);
        const size_t head = (size_t)sprintf(other, "sotto checkpoint 1 %s", lies[i]);
        const size_t rest = length - end;
        memcpy(other + head, bytes + end, rest);
        seal(other, head + rest);
        put_bytes(other, head + rest);
        expect_refused("its sizes do not agree with its length");
        free(other);
    }
    free(bytes);
}
END_TEST

/* Facts that are none, under a digest that is right: each byte takes other values, and what is taken is of
 * the kind that facts are. */
START_TEST(facts_are_checked)
{
    size_t length, taken = 0;
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    for (size_t at = strlen("sotto checkpoint 1 "); at < length - DIGEST; at++)
        for (int value = 0; value < 256; value += 31) {
            const char kept = bytes[at];
            sotto_checkpoint back;
            sotto_error err = {0};
            bytes[at] = (char)value;
            seal(bytes, length);
            put_at(at, bytes + at, 1);
            put_at(length - DIGEST, bytes + length - DIGEST, DIGEST);
            if (sotto_checkpoint_read(&back, path, SOTTO_CHECKPOINT_STATE, LIMIT, &err) == SOTTO_OK) {
                taken++;
                ck_assert_uint_eq(strspn(back.facts.head.ledger, "0123456789abcdef"), 32);
                ck_assert_uint_eq(strspn(back.facts.table_sha256, "0123456789abcdef"), 64);
                ck_assert_uint_le(back.facts.step, SOTTO_STATE_MOST_COUNT);
                for (const char *c = back.facts.not_private; *c; c++)
                    ck_assert(*c >= ' ' && *c <= '~');
                float values[VALUES];
                visit(values, back.state);
                (void)sotto_state_end(back.state, NULL);
            } else {
                ck_assert_str_eq(err.file, path);
            }
            sotto_checkpoint_destroy(&back);
            bytes[at] = kept;
            put_at(at, bytes + at, 1);
        }
    ck_assert_uint_gt(taken, 100);
    free(bytes);
}
END_TEST

/* What cannot be written changes nothing: neither a state that is none, nor facts that are none. */
START_TEST(a_failed_write_leaves_the_old_file)
{
    sotto_checkpoint_facts bad = facts;
    sotto_error err = {0};
    sotto_state *state;
    size_t length, again;
    ck_assert_int_eq(write_file(&facts, NULL), SOTTO_OK);
    char *bytes = file_bytes(&length);
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    sotto_state_object(state, "a step");
    sotto_state_refuse(state, "is in the middle of one");
    ck_assert_int_eq(sotto_checkpoint_write(path, &facts, state, &err), SOTTO_ERROR_INPUT);
    sotto_state_destroy(state);
    bad.table_sha256[5] = 'x';
    ck_assert_int_eq(write_file(&bad, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "table_sha256"));
    char *after = file_bytes(&again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(after, bytes, length);
    free(after);
    free(bytes);
    char kept[sizeof path];
    memcpy(kept, path, sizeof path);
    (void)snprintf(path, sizeof path, "%s/absent/state", folder);
    ck_assert_int_eq(write_file(&facts, &err), SOTTO_ERROR_IO);
    memcpy(path, kept, sizeof path);
}
END_TEST

/* Each allocation fails in turn: an error, nothing half done, and the old file stays. */
START_TEST(short_memory_is_an_error)
{
    float values[VALUES] = {0, 1, 2, 3, 4, 5};
    long failed = 0;
    for (sotto_status status = SOTTO_ERROR_MEMORY; status != SOTTO_OK; failed++) {
        sotto_state *state = NULL;
        sotto_error err = {0};
        memory_fail_at(failed);
        status = sotto_state_create_writer(&state, &err);
        if (status == SOTTO_OK) {
            visit(values, state);
            status = sotto_checkpoint_write(path, &facts, state, &err);
        }
        sotto_state_destroy(state);
        memory_fail_at(-1);
        ck_assert(status == SOTTO_OK || (status == SOTTO_ERROR_MEMORY && err.message[0]));
        ck_assert_int_eq(access(path, F_OK) == 0, status == SOTTO_OK);
    }
    ck_assert_int_gt(failed, 5);
    failed = 0;
    for (sotto_status status = SOTTO_ERROR_MEMORY; status != SOTTO_OK; failed++) {
        sotto_checkpoint back;
        sotto_error err = {0};
        memory_fail_at(failed);
        status = sotto_checkpoint_read(&back, path, SOTTO_CHECKPOINT_STATE, LIMIT, &err);
        memory_fail_at(-1);
        ck_assert(status == SOTTO_OK || (status == SOTTO_ERROR_MEMORY && err.message[0] && !back.bytes));
        sotto_checkpoint_destroy(&back);
    }
    ck_assert_int_gt(failed, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run-checkpoint");
    TCase *tests = tcase_create("checkpoints");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_is_written_comes_back);
    tcase_add_test(tests, nobody_else_may_read_it);
    tcase_add_test(tests, every_flipped_bit_is_refused);
    tcase_add_test(tests, every_other_length_is_refused);
    tcase_add_test(tests, other_files_say_what_to_do);
    tcase_add_test(tests, sizes_that_lie_are_refused);
    tcase_add_test(tests, facts_are_checked);
    tcase_add_test(tests, a_failed_write_leaves_the_old_file);
    tcase_add_test(tests, short_memory_is_an_error);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
