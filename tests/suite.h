/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

/* How every test program ends. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Is this a build under sanitizers, where large cases take minutes? */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/** Charge runs to a ledger in this folder of a test, and to no other. */
static inline void use_ledger_in(const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/ledger.db", folder);
    ck_assert_int_eq(setenv("SOTTO_LEDGER", path, 1), 0);
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
}

static inline int run_suite_how(Suite *suite, enum fork_status forks)
{
    SRunner *runner = srunner_create(suite);
    if (forks != CK_FORK_GETENV)
        srunner_set_fork_status(runner, forks);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/** Run a suite, as talkative as CK_VERBOSITY asks; the exit status of the program. */
static inline int run_suite(Suite *suite)
{
    return run_suite_how(suite, CK_FORK_GETENV);
}

/** The same in one process: for thousands of short checks, of which each would fork for longer than it takes.
 */
static inline int run_suite_together(Suite *suite)
{
    return run_suite_how(suite, CK_NOFORK);
}

#endif
