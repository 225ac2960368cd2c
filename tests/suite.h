/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

/* How every test program ends. */
#include <check.h>
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
