/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Records of private pages that are broken, hostile or incomplete. No picture is drawn here. */
#include <stdlib.h>
#include <string.h>

#include "test_report_pages.h"

static const char hostile[] =
    "SECRET</style><script>alert(1)</script>\"' onload='x' <!-- ]]> &amp; \342\200\256\033[2J`rm -rf`\nset output";

static size_t places, refused;

/* All forms of the kind: a well-formed page, or an error that quotes nothing. */
static void feed(const json_t *record, size_t first)
{
    char *json = json_dumps(record, JSON_REAL_PRECISION(17));
    ck_assert_ptr_nonnull(json);
    for (size_t i = first; i < first + 2; i++) {
        sotto_error err = {0};
        char *out = NULL;
        const sotto_status status = forms[i](json, &out, &err);
        if (status == SOTTO_OK) {
            EXPECT(i % 2 || strstr(out, "Keep it inside"), "no notice");
            EXPECT((i % 2 || !strstr(out, "<script")) && !strchr(out, '\033') && !strstr(out, "\342\200\256"),
                   "not escaped");
            if (i % 2 == 0)
                expect_well_formed(out);
        } else {
            EXPECT(status == SOTTO_ERROR_INPUT && strlen(err.message) > 10 && !out, "%s", err.message);
            EXPECT(!strstr(err.message, "SECRET"), "quoted: %s", err.message);
            refused++;
        }
        free(out);
    }
    places++;
    free(json);
}

/* Each value in turn replaced (NULL: taken away), and put back. */
static void replace_each(json_t *root, json_t *here, const json_t *replacement, size_t first)
{
    char keys[64][64]; /* copies: an object's own move as it changes */
    size_t count = 0;
    for (void *at = json_object_iter(here); at; at = json_object_iter_next(here, at)) {
        EXPECT(count < 64 && strlen(json_object_iter_key(at)) < 64, "too many keys, or too long a one");
        (void)snprintf(keys[count++], sizeof keys[0], "%s", json_object_iter_key(at));
    }
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_incref(json_object_get(here, keys[i]));
        replace_each(root, value, replacement, first);
        if (replacement)
            (void)json_object_set_new(here, keys[i], json_deep_copy(replacement));
        else
            (void)json_object_del(here, keys[i]);
        feed(root, first);
        (void)json_object_set_new(here, keys[i], value);
    }
    for (size_t i = 0; i < json_array_size(here); i++) {
        json_t *value = json_incref(json_array_get(here, i));
        replace_each(root, value, replacement, first);
        (void)json_array_set_new(here, i, replacement ? json_deep_copy(replacement) : json_null());
        feed(root, first);
        (void)json_array_set_new(here, i, value);
    }
}

static void replace_everywhere(const json_t *replacement)
{
    look_in("/nowhere");
    for (size_t first = 0; first < FORMS; first += 2) {
        json_t *record = small_record(first);
        replace_each(record, record, replacement, first);
        json_decref(record);
    }
    look_in(NULL);
}

START_TEST(any_value_may_be_of_any_type)
{
    json_t *others[] = {json_null(),      json_true(),           json_integer(-1),
                        json_real(1e300), json_string(hostile),  json_object(),
                        json_array(),     json_pack("[[i]]", 1), json_pack("{s:s}", "skipped", hostile)};
    places = refused = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        replace_everywhere(others[i]);
        json_decref(others[i]);
    }
    ck_assert_uint_gt(places, 2000);
    ck_assert_uint_gt(refused, 1000);
}
END_TEST

/* A figure of the wrong type is refused by name, wherever it stands. */
START_TEST(figures_of_the_wrong_type_are_refused)
{
    static const char *const paths[][2] = {{"rows", "train"},
                                           {"seconds", "attacks"},
                                           {"fidelity", "column_shapes"},
                                           {"fidelity.pmse", "ratio"},
                                           {"fidelity.correlation", "real"},
                                           {"utility", "task"},
                                           {"utility", "results"},
                                           {"attacks.matches", "exact_train"},
                                           {"attacks.membership", "auc"},
                                           {"attacks.distance", "histogram"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        json_t *record = small_evaluation();
        json_t *part = (json_t *)sotto_record_get(record, paths[i][0]);
        ck_assert_int_eq(json_object_set_new(part, paths[i][1], json_true()), 0);
        char *json = json_dumps(record, 0), *out;
        sotto_error err = {0};
        ck_assert_msg(evaluation_page(json, &out, &err) == SOTTO_ERROR_INPUT, "%s", paths[i][1]);
        ck_assert_msg(strstr(err.message, paths[i][1]) != NULL, "%s: %s", paths[i][1], err.message);
        ck_assert_str_eq(err.file, "evaluation.json");
        json_decref(record);
        free(json);
    }
}
END_TEST

START_TEST(keys_may_be_absent)
{
    places = refused = 0;
    replace_everywhere(NULL);
    ck_assert_uint_gt(places, 150);
    ck_assert_uint_gt(refused, 60);
    static const char *const needed[] = {"format", "made_by", "date", "not_private", "notice", "rows"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        json_t *record = small_evaluation();
        (void)json_object_del(record, needed[i]);
        char *json = json_dumps(record, 0), *out;
        sotto_error err = {0};
        ck_assert_int_eq(evaluation_page(json, &out, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, needed[i]));
        json_decref(record);
        free(json);
    }
}
END_TEST

/* Lists of which each item stands for one of another list. */
START_TEST(lists_must_fit_one_another)
{
    static const char *const lists[] = {"fidelity.correlation.real", "fidelity.contingency.similarity",
                                        "fidelity.mutual_information.synthetic",
                                        "attacks.distance.histogram.test"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *record = small_evaluation();
        (void)json_array_remove((json_t *)sotto_record_get(record, lists[i]), 0);
        char *json = json_dumps(record, 0), *out;
        ck_assert_msg(evaluation_page(json, &out, NULL) == SOTTO_ERROR_INPUT, "%s", lists[i]);
        json_decref(record);
        free(json);
    }
    json_t *record = small_evaluation();
    json_t *column = json_array_get(sotto_record_get(record, "fidelity.columns"), 0);
    (void)json_array_clear((json_t *)sotto_record_get(column, "marginal.synthetic"));
    char *json = json_dumps(record, 0), *out;
    ck_assert_int_eq(evaluation_page(json, &out, NULL), SOTTO_ERROR_INPUT);
    json_decref(record);
    free(json);
}
END_TEST

START_TEST(broken_texts_never_crash)
{
    look_in("/nowhere");
    for (size_t kind = 0; kind < FORMS; kind++) {
        json_t *record = small_record(kind);
        char *json = json_dumps(record, 0);
        const size_t length = strlen(json);
        char *copy = malloc(length + 1);
        uint32_t state = 20261122;
        for (int round = 0; round < 1500; round++) {
            memcpy(copy, json, length + 1);
            for (int change = 0; change <= round % 4; change++) {
                state = state * 1664525u + 1013904223u;
                static const char bytes[] = "{}[]\",:0-9e.\\u\377\001x ";
                copy[state % length] = bytes[(state >> 16) % (sizeof bytes - 1)];
            }
            char *out = NULL;
            const sotto_status status = forms[kind](copy, &out, NULL);
            EXPECT((status == SOTTO_OK) == (out != NULL), "neither page nor error");
            if (out && kind % 2 == 0)
                expect_well_formed(out);
            free(out);
        }
        free(copy);
        free(json);
        json_decref(record);
    }
    look_in(NULL);
}
END_TEST

TCase *pages_hostility_case(void)
{
    TCase *hostility = tcase_create("hostility");
    tcase_set_timeout(hostility, 300);
    tcase_add_test(hostility, any_value_may_be_of_any_type);
    tcase_add_test(hostility, figures_of_the_wrong_type_are_refused);
    tcase_add_test(hostility, keys_may_be_absent);
    tcase_add_test(hostility, lists_must_fit_one_another);
    tcase_add_test(hostility, broken_texts_never_crash);
    return hostility;
}
