/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "suite.h"

START_TEST(hashes_come_in_pieces)
{
    char hex[65];
    sotto_hash hash;
    sotto_hash_begin(&hash);
    for (size_t i = 0; i < 1000; i++) /* a million of them, the other example */
        for (size_t j = 0; j < 10; j++)
            sotto_hash_add(&hash,
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaa",
                           100);
    sotto_hash_hex(&hash, hex);
    ck_assert_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t i = 0; i < sizeof hash / sizeof hash.opaque[0]; i++)
        ck_assert_uint_eq(hash.opaque[i], 0); /* it may have been a key */
}
END_TEST

START_TEST(text_is_whole_or_an_error)
{
    char *text = NULL;
    size_t length = 7;
    FILE *file = sotto_memory_open(&text, &length);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(length, 0);
    for (size_t i = 0; i < 100000; i++)
        (void)fprintf(file, "%zu,", i % 10);
    ck_assert_int_eq(fflush(file), 0);
    ck_assert_uint_eq(length, 200000);
    (void)fputs("end", file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_eq(length, 200003);
    ck_assert_uint_eq(strlen(text), 200003);
    ck_assert_str_eq(text + 199998, "9,end" + 0);
    free(text);
    const struct rlimit small = {1 << 20, RLIM_INFINITY}; /* in this child alone: see CK_FORK */
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    file = sotto_memory_open(&text, &length);
    ck_assert_ptr_nonnull(file);
    (void)fputs("begun", file);
    ck_assert_int_eq(fflush(file), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &small), 0);
    int last = 0;
    for (size_t i = 0; i < 4000000 && last >= 0; i++)
        last = fputs("more and more of it, until there is no room for it at all\n", file);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    ck_assert_msg(ferror(file), "what had no room was dropped, and nothing was said");
    ck_assert_int_eq(fclose(file), EOF);
    ck_assert_ptr_null(text);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("memory");
    tcase_add_test(tests, hashes_come_in_pieces);
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    tcase_add_test(tests, text_is_whole_or_an_error);
#endif
    Suite *suite = suite_create("base-memory");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
