/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Keys stay in memory. */
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"
#include "test_cli.h"

extern char **environ;

/* Does /proc say of the process that its core dumps are limited to nothing? */
static bool forbids_dumps(pid_t process)
{
    char path[64], line[256];
    bool forbidden = false;
    (void)snprintf(path, sizeof path, "/proc/%d/limits", (int)process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long soft, hard;
        if (sscanf(line, "Max core file size %llu %llu", &soft, &hard) == 2)
            forbidden = soft == 0 && hard == 0;
    }
    if (file)
        (void)fclose(file);
    return forbidden;
}

/* The table is a pipe that nobody writes to: training waits there, and must have forbidden dumps before. */
START_TEST(train_forbids_core_dumps)
{
    char folder[] = "/tmp/sotto-cli-XXXXXX", table[64], output[64], set[96], config[512];
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char train[] = "train", with[] = "--set", into[] = "--output";
    char *argv[] = {getenv("SOTTO_BINARY"), train, config, with, set, into, output, NULL};
    struct rlimit limit;
    pid_t child;
    int status;
    if (access("/proc/self/limits", R_OK) != 0) {
        puts("no /proc/self/limits: left out");
        return;
    }
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    if (limit.rlim_max == 0) {
        puts("core dumps are forbidden anyway: left out");
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_CORE, &limit), 0);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_ledger_in(folder);
    (void)snprintf(table, sizeof table, "%s/table.csv", folder);
    (void)snprintf(output, sizeof output, "%s/run", folder);
    (void)snprintf(set, sizeof set, "data.table=%s", table);
    (void)snprintf(config, sizeof config, "%s/configs/quickstart/clinic.yaml", root ? root : ".");
    ck_assert_int_eq(mkfifo(table, 0600), 0);
    ck_assert_int_eq(posix_spawn(&child, argv[0], NULL, NULL, argv, environ), 0);
    bool forbidden = false;
    for (int tenths = 0; tenths < 300 && !forbidden; tenths++) {
        const struct timespec tenth = {.tv_nsec = 100000000};
        ck_assert_msg(waitpid(child, &status, WNOHANG) == 0, "ended by itself");
        forbidden = forbids_dumps(child);
        (void)nanosleep(&tenth, NULL);
    }
    (void)kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    (void)unlink(table);
    (void)rmdir(folder);
    ck_assert(forbidden);
}
END_TEST

TCase *keys_case(void)
{
    TCase *tests = tcase_create("keys");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, train_forbids_core_dumps);
    return tests;
}
