/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

/* How every test program ends. */
#include <check.h>
#include <stdlib.h>

/** Run a suite, as talkative as CK_VERBOSITY asks; the exit status of the program. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
