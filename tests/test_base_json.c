/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "suite.h"

/* Tokens longer than any first buffer, with what needs another one: escapes and long numbers. */
static const char text[] =
    "{\"a name of more than sixteen letters\": 123456789012345678, \"r\": 0.12345678901234567890123456789,"
    " \"escaped\": \"\\u540d\\u524d and \\\"quotes\\\" \\\\ and so on, until it is longer than sixty-four\","
    " \"list\": [[], {}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], true, false, null],"
    " \"object\": {\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4, \"e\": 5, \"f\": 6, \"g\": 7, \"h\": 8, \"i\": 9}}";

/* ---- memory of which the k-th request is refused, and all after it where that is wished ---- */

enum { MOST = 4096 };
static void *taken[MOST];
static size_t taken_count, requests, refused;
static bool lasting;

static void *take(size_t size)
{
    requests++;
    if (refused != 0 && (requests == refused || (lasting && requests > refused)))
        return NULL;
    ck_assert_uint_lt(taken_count, MOST);
    return taken[taken_count++] = malloc(size);
}

static void give(void *memory)
{
    for (size_t i = taken_count; memory && i > 0; i--)
        if (taken[i - 1] == memory)
            taken[i - 1] = taken[--taken_count];
    free(memory);
}

static void give_all(void)
{
    while (taken_count > 0)
        free(taken[--taken_count]);
}

START_TEST(short_memory_is_never_another_record)
{
    json_t *whole, *json;
    json_set_alloc_funcs(take, give);
    lasting = _i != 0;
    ck_assert_int_eq(sotto_json_parse(&whole, text, strlen(text), NULL), SOTTO_OK);
    const size_t all = requests, kept = taken_count;
    ck_assert_uint_gt(all, 60);
    for (refused = 1; refused <= all; refused++) {
        requests = 0;
        ck_assert_int_eq(sotto_json_parse(&json, text, strlen(text), NULL), SOTTO_ERROR_MEMORY);
        ck_assert_ptr_null(json);
        while (taken_count > kept)
            free(taken[--taken_count]);
    }
    refused = 0;
    ck_assert_int_eq(sotto_json_parse(&json, text, strlen(text), NULL), SOTTO_OK);
    ck_assert(json_equal(json, whole));
    /* Outside the reader a want of memory is told as jansson tells it. */
    requests = 0, refused = 1;
    ck_assert_ptr_null(json_object());
    refused = 0;
    json_decref(json);
    json_decref(whole);
    give_all();
}
END_TEST

START_TEST(no_record_is_written_with_a_part_left_out)
{
    char *written;
    json_set_alloc_funcs(take, give);
    sotto_json_watch();
    refused = requests + 1;
    json_t *part = json_string("left out"), *record = json_pack("{s:i}", "kept", 1);
    ck_assert_ptr_null(part);
    ck_assert_ptr_nonnull(record);
    ck_assert_int_eq(sotto_json_text(record, &written, NULL), SOTTO_ERROR_MEMORY);
    ck_assert_ptr_null(written);
    sotto_json_watch();
    ck_assert_int_eq(sotto_json_text(json_pack("{s:f}", "kept", 0.1), &written, NULL), SOTTO_OK);
    ck_assert_str_eq(written, "{\n  \"kept\": 0.10000000000000001\n}\n");
    free(written);
}
END_TEST

START_TEST(what_is_no_json_is_said_to_be_none)
{
    json_t *json;
    json_error_t at;
    ck_assert_int_eq(sotto_json_parse(&json, "{\"a\": 1,\n \"a\": 2}", 17, &at), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(json);
    ck_assert_int_eq(at.line, 2);
    ck_assert_int_eq(sotto_json_parse(&json, "[1, 2", 5, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(sotto_json_read(NULL));
    ck_assert_ptr_null(sotto_json_read("[1, 2"));
    ck_assert_ptr_null(sotto_json_read_file("no such folder/file"));
    char path[] = "/tmp/sotto-json-XXXXXX";
    const int file = mkstemp(path);
    ck_assert(file >= 0 && write(file, "[1, 2]", 6) == 6);
    json = sotto_json_read_file(path);
    ck_assert_uint_eq(json_array_size(json), 2);
    json_decref(json);
    (void)close(file);
    (void)unlink(path);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("json");
    tcase_add_loop_test(tests, short_memory_is_never_another_record, 0, 2);
    tcase_add_test(tests, no_record_is_written_with_a_part_left_out);
    tcase_add_test(tests, what_is_no_json_is_said_to_be_none);
    Suite *suite = suite_create("base-json");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
