/* SPDX-License-Identifier: GPL-3.0-or-later */
/* P8: no key of a random stream is in any file that a run writes. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "streams.h"
#include "suite.h"
#include "test_run.h"

enum { PIECE = 16, KEY = 32, LIMIT = 1 << 26 };

/* A file in which keys are looked for. */
struct haystack {
    const char *path;
    char *bytes;
    size_t length;
};

/* Are these bytes in it, as they are or in hex? */
static bool holds(const struct haystack *file, const unsigned char *piece)
{
    char hex[2 * PIECE + 1];
    for (size_t i = 0; i < PIECE; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", piece[i]);
    return memmem(file->bytes, file->length, piece, PIECE) ||
           memmem(file->bytes, file->length, hex, sizeof hex - 1);
}

static void expect_no_key(const char *path)
{
    struct haystack file = {.path = path};
    size_t count;
    const unsigned char *keys = streams_keys(&count);
    ck_assert_int_eq(sotto_file_read(path, LIMIT, &file.bytes, &file.length, NULL), SOTTO_OK);
    for (size_t k = 0; k < count; k++)
        for (size_t at = 0; at + PIECE <= KEY; at += PIECE / 2)
            ck_assert_msg(!holds(&file, keys + k * KEY + at), "%s holds a piece of key %zu", path, k);
    if (file.length >= PIECE) { /* they would be found */
        memcpy(file.bytes + file.length - PIECE, keys + 3, PIECE);
        ck_assert(holds(&file, keys + 3));
    }
    free(file.bytes);
}

/* All files of a folder and of those in it; returns how many. */
static size_t expect_no_key_below(const char *folder)
{
    size_t files = 0;
    DIR *directory = opendir(folder);
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry; (entry = readdir(directory));) {
        char path[1024];
        struct stat seen;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || lstat(path, &seen) != 0)
            continue;
        if (S_ISDIR(seen.st_mode))
            files += expect_no_key_below(path);
        else if (S_ISREG(seen.st_mode) && ++files)
            expect_no_key(path);
    }
    (void)closedir(directory);
    return files;
}

static bool stop_after_seven(void *context)
{
    return ++*(int *)context > 7;
}

static const char *const models[] = {
    "{target: ill, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}",
    "{type: vae, target: ill, latent: 4, encoder: [8], decoder: [8]}",
    "{scope: generator, parts: 3, target: ill, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}",
};

/* After a stop, with a checkpoint, and after the end: in the run directory, the ledger, and all beside them.
 */
START_TEST(no_key_is_in_a_file)
{
    char text[1024];
    int asked = 0;
    size_t count;
    (void)snprintf(text, sizeof text,
                   "data: {table: table.csv, schema: schema.yaml}\nprivacy: {epsilon: 8.0, delta: 1.0e-5}\n"
                   "model: %s\ntraining: {expected_batch_size: 150, steps: 12}\nsample: {rows: 100}\n"
                   "output: run\n",
                   models[_i]);
    put("config.yaml", text);
    streams_know_keys();
    sotto_run_options options = options_for(NULL);
    options.stop = stop_after_seven;
    options.stop_context = &asked;
    json_decref(train_with(&options, SOTTO_INTERRUPTED));
    ck_assert(exists("run/private/checkpoint/state") && exists("run/private/checkpoint/split"));
    (void)streams_keys(&count);
    ck_assert_uint_gt(count, 15); /* keys are refreshed in each step */
    ck_assert_uint_gt(expect_no_key_below(at("")), 8);
    options = options_for(NULL);
    options.resume = true;
    json_decref(train_with(&options, SOTTO_OK));
    ck_assert_uint_gt(expect_no_key_below(at("")), 12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run-keys");
    TCase *tests = tcase_create("keys");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, no_key_is_in_a_file, 0, sizeof models / sizeof *models);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
