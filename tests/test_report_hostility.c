/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Records that are broken, hostile or incomplete. */
#include <stdlib.h>
#include <string.h>

#include "test_report.h"

/* Neither form takes it, and the message says `part`. Takes the record. */
static void expect_refused(json_t *record, const char *part)
{
    form *const forms[] = {sotto_report_html, sotto_report_text};
    char *json = dump(record);
    for (size_t i = 0; i < 2; i++) {
        sotto_error err = {0};
        char *out = golden;
        ck_assert_int_eq(forms[i](json, &out, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_null(out);
        ck_assert_int_eq(err.code, SOTTO_ERROR_INPUT);
        ck_assert_str_eq(err.file, "privacy.json");
        ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" does not say %s", err.message, part);
    }
    json_decref(record);
    free(json);
}

static const char hostile[] =
    "</style><script>alert(1)</script>\"' onload='x' <!-- ]]> &amp; \342\200\256\033[2J";

/* Runs `act` once for each value in the record, the value replaced by `replacement` (NULL: removed). */
typedef void action(json_t *record, const char *key, bool was_text);

static void for_each_place(json_t *root, json_t *here, const char *name, json_t *replacement, action *act)
{
    void *at = json_is_object(here) ? json_object_iter(here) : NULL;
    for (; at; at = json_object_iter_next(here, at)) {
        const char *key = json_object_iter_key(at);
        json_t *value = json_incref(json_object_iter_value(at));
        for_each_place(root, value, key, replacement, act);
        if (replacement)
            ck_assert_int_eq(json_object_set(here, key, replacement), 0);
        else
            ck_assert_int_eq(json_object_set_new(here, key, json_object()), 0);
        act(root, key, json_is_string(value));
        ck_assert_int_eq(json_object_set_new(here, key, value), 0);
    }
    for (size_t i = 0; i < json_array_size(here); i++) {
        json_t *value = json_incref(json_array_get(here, i));
        for_each_place(root, value, name, replacement, act);
        ck_assert_int_eq(replacement ? json_array_set(here, i, replacement)
                                     : json_array_set_new(here, i, json_object()),
                         0);
        act(root, name, json_is_string(value));
        ck_assert_int_eq(json_array_set_new(here, i, value), 0);
    }
}

static size_t places;

static void expect_escaped(json_t *record, const char *key, bool was_text)
{
    if (!was_text || strcmp(key, "format") == 0)
        return;
    char *page = show(sotto_report_html, json_incref(record));
    expect_well_formed(page);
    ck_assert_msg(strstr(page, "<script") == NULL, "%s", key);
    ck_assert_msg(strstr(page, "&lt;script&gt;") != NULL, "%s", key);
    char *text = show(sotto_report_text, json_incref(record));
    ck_assert_msg(strchr(text, '\033') == NULL && strstr(text, "\342\200\256") == NULL, "%s", key);
    free(page);
    free(text);
    places++;
}

START_TEST(hostile_text_is_escaped_wherever_it_stands)
{
    json_t *record = golden_record();
    json_t *bad = json_string(hostile);
    ck_assert_ptr_nonnull(bad);
    places = 0;
    for_each_place(record, record, "", bad, expect_escaped);
    ck_assert_uint_gt(places, 40);
    ck_assert_int_eq(json_object_set(record, "not_private", bad), 0);
    expect_escaped(record, "not_private", true);
    json_decref(bad);
    json_decref(record);
}
END_TEST

/* An object never fits where a text, a number or a list belongs; nor does it lack its keys unnoticed. */
static void expect_refused_here(json_t *record, const char *key, bool was_text)
{
    (void)was_text;
    expect_refused(json_incref(record), key);
    places++;
}

START_TEST(wrong_types_are_refused_wherever_they_stand)
{
    json_t *record = golden_record();
    json_t *wrong[] = {NULL, json_true(), json_integer(-1)};
    places = 0;
    for (size_t i = 0; i < 3; i++) {
        for_each_place(record, record, "", wrong[i], expect_refused_here);
        json_decref(wrong[i]);
    }
    ck_assert_uint_gt(places, 200);
    json_decref(record);
}
END_TEST

static void expect_keys_needed(json_t *root, json_t *here)
{
    const char *keys[64];
    size_t count = 0;
    void *at = json_is_object(here) ? json_object_iter(here) : NULL;
    for (; at; at = json_object_iter_next(here, at)) {
        ck_assert_uint_lt(count, 64);
        keys[count++] = json_object_iter_key(at);
        expect_keys_needed(root, json_object_iter_value(at));
    }
    for (size_t i = 0; i < count; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "%s", keys[i]);
        json_t *value = json_incref(json_object_get(here, key));
        ck_assert_int_eq(json_object_del(here, key), 0);
        expect_refused(json_incref(root), key);
        ck_assert_int_eq(json_object_set_new(here, key, value), 0);
        keys[i] = "";
    }
    for (size_t i = 0; i < json_array_size(here); i++)
        expect_keys_needed(root, json_array_get(here, i));
}

START_TEST(every_key_is_needed)
{
    json_t *record = golden_record();
    /* Keys of a jansson object live in it: work on names that are looked up anew each time. */
    expect_keys_needed(record, record);
    json_decref(record);
}
END_TEST

START_TEST(figures_out_of_range_are_refused)
{
    static const struct {
        const char *section, *key;
        double value;
    } cases[] = {{"guarantee", "epsilon", -1e-9},     {"guarantee", "delta", 0},
                 {"guarantee", "delta", 1},           {"sampling", "sample_rate", 1.5},
                 {"training", "steps_taken", 0.5},    {"training", "steps_taken", 1e300},
                 {"training", "noise_multiplier", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *record = golden_record();
        json_t *section = json_object_get(record, cases[i].section);
        ck_assert_int_eq(json_object_set_new(section, cases[i].key, json_real(cases[i].value)), 0);
        expect_refused(record, cases[i].key);
    }
}
END_TEST

START_TEST(another_format_is_refused)
{
    json_t *record = golden_record();
    ck_assert_int_eq(json_object_set_new(record, "format", json_string("sotto privacy statement 2")), 0);
    expect_refused(record, "format");
}
END_TEST

/* Of a key that is given twice one value would be shown and the other believed. */
START_TEST(repeated_keys_are_refused)
{
    char *twice = NULL;
    char *out;
    ck_assert_int_gt(asprintf(&twice, "{\"not_private\": \"yes\",%s", golden + 1), 0);
    ck_assert_int_eq(sotto_report_html(twice, &out, NULL), SOTTO_ERROR_INPUT);
    free(twice);
}
END_TEST

/* An error must not carry text of the record to a terminal. */
START_TEST(errors_quote_nothing)
{
    char *out;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_report_html("{\"SECRET\": SECRET }", &out, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(strstr(err.message, "SECRET"));
    ck_assert_uint_eq(err.line, 1);
    ck_assert_uint_gt(err.column, 0);
}
END_TEST

/* What the fuzzer feeds: whatever comes of it, no crash, and a page only if it is well-formed. */
static void feed(const char *json)
{
    form *const forms[] = {sotto_report_html, sotto_report_text};
    for (size_t i = 0; i < 2; i++) {
        sotto_error err = {0};
        char *out = NULL;
        sotto_status status = forms[i](json, &out, &err);
        if (status == SOTTO_OK && i == 0)
            expect_well_formed(out);
        if (status != SOTTO_OK) {
            ck_assert_int_eq(status, SOTTO_ERROR_INPUT);
            ck_assert_uint_gt(strlen(err.message), 10);
            ck_assert_ptr_null(out);
        }
        free(out);
    }
}

START_TEST(broken_records_never_crash)
{
    size_t length = strlen(golden);
    char *copy = malloc(length + 2);
    ck_assert_ptr_nonnull(copy);
    for (size_t cut = 0; cut < length; cut += 7) {
        memcpy(copy, golden, cut);
        copy[cut] = '\0';
        feed(copy);
    }
    uint32_t state = 20261121;
    for (int round = 0; round < 4000; round++) {
        memcpy(copy, golden, length + 1);
        for (int change = 0; change <= round % 4; change++) {
            state = state * 1664525u + 1013904223u;
            size_t at = state % length;
            static const char bytes[] = "{}[]\",:0-9e.\\u\377\001x ";
            if (state >> 24 & 1)
                memmove(copy + at, copy + at + 1, strlen(copy + at));
            else
                copy[at] = bytes[(state >> 16) % (sizeof bytes - 1)];
        }
        feed(copy);
    }
    free(copy);
}
END_TEST

TCase *hostility_case(void)
{
    TCase *hostility = tcase_create("hostility");
    tcase_add_unchecked_fixture(hostility, read_golden, free_golden);
    tcase_set_timeout(hostility, 300);
    tcase_add_test(hostility, hostile_text_is_escaped_wherever_it_stands);
    tcase_add_test(hostility, wrong_types_are_refused_wherever_they_stand);
    tcase_add_test(hostility, every_key_is_needed);
    tcase_add_test(hostility, figures_out_of_range_are_refused);
    tcase_add_test(hostility, another_format_is_refused);
    tcase_add_test(hostility, repeated_keys_are_refused);
    tcase_add_test(hostility, errors_quote_nothing);
    tcase_add_test(hostility, broken_records_never_crash);
    return hostility;
}
