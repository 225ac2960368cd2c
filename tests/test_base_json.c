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

START_TEST(short_memory_is_never_another_record)
{
    json_error_t at;
    json_t *whole, *json;
    json_set_alloc_funcs(take, give);
    lasting = _i != 0;
    ck_assert_int_eq(sotto_json_parse(&whole, text, strlen(text), NULL), SOTTO_OK);
    const size_t all = requests, kept = taken_count;
    ck_assert_uint_gt(all, 60);
    for (refused = 1; refused <= all; refused++) {
        requests = 0;
        ck_assert_int_eq(sotto_json_parse(&json, text, strlen(text), &at), SOTTO_ERROR_MEMORY);
        ck_assert_str_ne(at.text, SOTTO_JSON_RAN_OUT);
        ck_assert_ptr_null(json);
        ck_assert_uint_eq(taken_count, kept);
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
    ck_assert_uint_eq(taken_count, 0);
}
END_TEST

/* Texts that ask for the most memory: each of their last pieces fits what is held in reserve. */
START_TEST(the_reserve_is_large_enough)
{
    enum { LENGTH = 6000 };
    static char hostile[LENGTH + 1];
    static const char *const parts[] = {
        "[", "[],", "{},", "{\"\":{}},", "1,", "\"\",", "\"aaaaaaaaaaaaaaaaaaa\","};
    const char *part = parts[_i];
    json_error_t at;
    json_t *json;
    json_set_alloc_funcs(take, give);
    lasting = true;
    hostile[0] = '[';
    for (size_t i = 1; i < LENGTH; i++)
        hostile[i] = part[(i - 1) % strlen(part)];
    for (size_t length = 16; length <= LENGTH; length = length < 1500 ? length + 301 : length + 1500)
        for (refused = 1; refused < 4000; refused += 1 + refused / 3) {
            requests = 0;
            /* its end is missing, so where no request is refused it is no JSON */
            const sotto_status status = sotto_json_parse(&json, hostile, length, &at);
            ck_assert_str_ne(at.text, SOTTO_JSON_RAN_OUT);
            ck_assert_int_eq(status, requests < refused ? SOTTO_ERROR_INPUT : SOTTO_ERROR_MEMORY);
            ck_assert_uint_eq(taken_count, 0);
        }
}
END_TEST

/* A token that is longer than a piece, and doubles its buffer again and again. */
START_TEST(long_tokens_fit_the_reserve)
{
    enum { LENGTH = 40000 };
    static char token[LENGTH + 3];
    json_error_t at;
    json_t *json;
    json_set_alloc_funcs(take, give);
    lasting = true;
    memset(token, 'a', sizeof token);
    token[0] = '[', token[1] = token[LENGTH] = '"', token[LENGTH + 1] = ']';
    sotto_status status = SOTTO_ERROR_MEMORY;
    for (refused = 1; status == SOTTO_ERROR_MEMORY; refused++) {
        requests = 0;
        status = sotto_json_parse(&json, token, LENGTH + 2, &at);
        json_decref(json);
        ck_assert_str_ne(at.text, SOTTO_JSON_RAN_OUT);
        ck_assert_uint_eq(taken_count, 0);
    }
    ck_assert_int_eq(status, SOTTO_OK);
    ck_assert_uint_gt(refused, 12);
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

/* Any of the requests of the writer, too: a text without a part of it is none. */
START_TEST(no_text_is_written_with_a_part_left_out)
{
    json_t *json;
    json_set_alloc_funcs(take, give);
    lasting = _i != 0;
    ck_assert_int_eq(sotto_json_parse(&json, text, strlen(text), NULL), SOTTO_OK);
    requests = 0;
    char *whole = sotto_json_dump(json, JSON_COMPACT);
    ck_assert_ptr_nonnull(whole);
    const size_t all = requests;
    ck_assert_uint_gt(all, 6);
    for (refused = 1; refused <= all; refused++) {
        requests = 0;
        ck_assert_ptr_null(sotto_json_dump(json, JSON_COMPACT));
    }
    refused = 0;
    json_t *again = sotto_json_read(whole);
    ck_assert(json_equal(json, again));
    free(whole);
    json_decref(again);
    json_decref(json);
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
    tcase_add_loop_test(tests, the_reserve_is_large_enough, 0, 7);
    tcase_add_test(tests, long_tokens_fit_the_reserve);
    tcase_add_test(tests, no_record_is_written_with_a_part_left_out);
    tcase_add_loop_test(tests, no_text_is_written_with_a_part_left_out, 0, 2);
    tcase_add_test(tests, what_is_no_json_is_said_to_be_none);
    Suite *suite = suite_create("base-json");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
