/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_ledger.h"

sotto_error err;
static char folder[256];

void scene_begin(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/sotto-ledger-XXXXXX", base && *base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER"), 0);
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
    err = (sotto_error){0};
}

static void remove_all(const char *path)
{
    DIR *open = opendir(path);
    struct dirent *entry;
    while (open && (entry = readdir(open))) {
        char name[1024];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (lstat(name, &about) == 0 && S_ISDIR(about.st_mode))
            remove_all(name);
        else
            (void)unlink(name);
    }
    if (open)
        (void)closedir(open);
    (void)rmdir(path);
}

void scene_end(void)
{
    remove_all(folder);
}

const char *scene_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

sotto_status try_ledger_at(const char *name, bool create, sotto_ledger **ledger)
{
    const sotto_ledger_options options = {.path = scene_path(name), .create = create};
    err = (sotto_error){0};
    return sotto_ledger_open(ledger, &options, &err);
}

void copy_file(const char *from, const char *to)
{
    char *bytes;
    size_t length;
    OK(sotto_file_read(scene_path(from), (size_t)1 << 24, &bytes, &length, &err));
    OK(sotto_file_write(scene_path(to), 0600, bytes, length, &err));
    free(bytes);
}

sotto_ledger *ledger_at(const char *name, bool create)
{
    sotto_ledger *ledger;
    OK(try_ledger_at(name, create, &ledger));
    return ledger;
}

void expect_refused(const char *name, const char *words)
{
    sotto_ledger *ledger = NULL;
    const sotto_status status = try_ledger_at(name, false, &ledger);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "%d %s", (int)status, err.message);
    ck_assert_ptr_null(ledger);
    ck_assert_msg(strstr(err.message, words), "%s: %s", err.file, err.message);
}

sotto_mechanism sampled(double rate, double noise)
{
    sotto_mechanism made;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&made, rate, noise, NULL), SOTTO_OK);
    return made;
}

sotto_mechanism gaussian(double noise)
{
    sotto_mechanism made;
    ck_assert_int_eq(sotto_mechanism_gaussian(&made, noise, NULL), SOTTO_OK);
    return made;
}

sotto_ledger_table table_of(const char *id, const char *content, const char *file)
{
    static char hashes[8][65];
    static unsigned next;
    char *hash = hashes[next++ % 8];
    sotto_sha256_hex(content, strlen(content), hash);
    return (sotto_ledger_table){
        .id = id, .sha256 = hash, .path = scene_path(file), .adjacency = SOTTO_ADJACENCY_ADD_REMOVE};
}

sotto_ledger_plan plan_of(const sotto_charge *charge)
{
    return (sotto_ledger_plan){.charges = charge,
                               .count = 1,
                               .epsilon = 1,
                               .delta = 1e-5,
                               .config_sha256 =
                                   "1234567812345678123456781234567812345678123456781234567812345678",
                               .output = "runs/one",
                               .version = "0.1.0"};
}

sotto_ledger_run *begin_on(sotto_ledger *ledger, sotto_ledger_table table, const sotto_charge *charge)
{
    const sotto_ledger_plan plan = plan_of(charge);
    sotto_ledger_run *run = NULL;
    err = (sotto_error){0};
    const sotto_status status = sotto_ledger_run_begin(&run, ledger, &table, &plan, &err);
    ck_assert_int_eq(run != NULL, status == SOTTO_OK);
    return run;
}

sotto_ledger_run *begin(sotto_ledger *ledger, const sotto_charge *charge)
{
    return begin_on(ledger, table_of("adult", "rows", "adult.csv"), charge);
}
