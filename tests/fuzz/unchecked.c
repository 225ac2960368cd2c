/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What the tests' scenes assert with, outside of Check, which must be running a test when anything is
 * asserted: here a failure ends the program.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void _mark_point(const char *file, int line)
{
    (void)file, (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expression, const char *message, ...)
{
    (void)message;
    (void)fprintf(stderr, "%s:%d: %s\n", file, line, expression);
    abort();
}
