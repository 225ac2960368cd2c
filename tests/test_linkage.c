/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * GSL's own pkg-config file brings gslcblas, which defines the same names as OpenBLAS and is many times
 * slower. The dynamic linker is asked which library answered for the command's cblas_sgemm.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

START_TEST(openblas_answers_for_matrix_products)
{
#ifdef __GLIBC__
    const char *binary = getenv("SOTTO_BINARY");
    char command[2048];
    char line[2048];
    int bound = 0;
    ck_assert_msg(binary != NULL, "SOTTO_BINARY is not set");
    (void)snprintf(command, sizeof command, "LD_BIND_NOW=1 LD_DEBUG=bindings '%s' --version 2>&1", binary);
    FILE *output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    while (fgets(line, sizeof line, output)) {
        const char *from = strstr(line, "binding file ");
        if (!from || !strstr(line, "cblas_sgemm'") || strncmp(from + 13, binary, strlen(binary)) != 0)
            continue;
        const char *to = strstr(from + 13 + strlen(binary), " to ");
        ck_assert_msg(to && strstr(to, "openblas"), "another library answers: %s", line);
        bound++;
    }
    (void)pclose(output);
    ck_assert_int_ge(bound, 1);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linkage");
    TCase *tests = tcase_create("linkage");
    tcase_add_test(tests, openblas_answers_for_matrix_products);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
