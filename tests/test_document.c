/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "document/document.h"
#include "suite.h"

static sotto_document *parse(const char *text)
{
    sotto_document *document = NULL;
    sotto_error err = {0};
    sotto_status status = sotto_document_parse(&document, "test.yaml", text, strlen(text), &err);
    ck_assert_msg(status == SOTTO_OK, "line %zu: %s", err.line, err.message);
    return document;
}

static void expect_refusal(const char *text, size_t length, size_t line, size_t column, const char *says)
{
    sotto_document *document = NULL;
    sotto_error err = {0};
    sotto_status status = sotto_document_parse(&document, "test.yaml", text, length, &err);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "accepted: %s", text);
    ck_assert_str_eq(err.file, "test.yaml");
    ck_assert_msg(strstr(err.message, says), "'%s' does not say '%s'", err.message, says);
    ck_assert_msg(err.line == line && err.column == column, "%s: at %zu:%zu, wanted %zu:%zu", err.message,
                  err.line, err.column, line, column);
    ck_assert_ptr_null(document);
}

START_TEST(reads_a_tree_with_its_places)
{
    sotto_document *document =
        parse("# a comment\nrows: 12\nmap:\n  list: [a, \"1\", '', 2.5e-3]\n  empty:\n");
    const sotto_node *root = sotto_document_root(document);
    ck_assert_str_eq(sotto_document_name(document), "test.yaml");
    ck_assert_int_eq(sotto_node_kind_of(root), SOTTO_NODE_MAP);
    ck_assert_uint_eq(sotto_node_count(root), 2);
    ck_assert_str_eq(sotto_node_key(root, 1), "map");
    ck_assert_str_eq(sotto_node_text(sotto_node_get(root, "rows")), "12");
    const sotto_node *map = sotto_node_get(root, "map"), *list = sotto_node_get(map, "list");
    ck_assert_int_eq(sotto_node_kind_of(list), SOTTO_NODE_LIST);
    ck_assert_uint_eq(sotto_node_count(list), 4);
    ck_assert_str_eq(sotto_node_text(sotto_node_at(list, 1)), "1");
    ck_assert_str_eq(sotto_node_text(sotto_node_at(list, 2)), "");
    ck_assert_str_eq(sotto_node_text(sotto_node_get(map, "empty")), "");
    ck_assert_ptr_null(sotto_node_text(list));
    ck_assert_ptr_null(sotto_node_get(map, "absent"));
    ck_assert_ptr_null(sotto_node_get(NULL, "absent"));
    ck_assert_ptr_null(sotto_node_get(list, "absent"));
    sotto_error err;
    ck_assert_int_eq(sotto_node_error(sotto_node_at(list, 3), &err, "no %d", 7), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.message, "no 7");
    ck_assert_uint_eq(err.line, 4);
    ck_assert_uint_eq(err.column, 22);
    sotto_node_error(sotto_node_key_at(root, 1), &err, "key");
    ck_assert_uint_eq(err.line, 3);
    sotto_document_destroy(document);
    sotto_document_destroy(NULL);
}
END_TEST

START_TEST(takes_a_byte_order_mark_and_crlf)
{
    sotto_document *document = parse("\xEF\xBB\xBF"
                                     "a: 1\r\nb: ü\r\n");
    ck_assert_str_eq(sotto_node_key(sotto_document_root(document), 0), "a");
    ck_assert_str_eq(sotto_node_text(sotto_node_get(sotto_document_root(document), "b")), "ü");
    sotto_document_destroy(document);
}
END_TEST

static const struct {
    const char *text;
    size_t line, column;
    const char *says;
} refusals[] = {
    {"", 1, 1, "nothing but blanks"},
    {"# only this\n", 2, 1, "nothing but blanks"},
    {"---\n", 2, 1, "nothing but blanks"},
    {"a:\n\tb: 1\n", 2, 1, "tab"},
    {"a:\n  \tb: 1\n", 2, 3, "tab"},
    {"a: &x 1\nb: *x\n", 1, 4, "anchor"},
    {"a: &x [1]\n", 1, 4, "anchor"},
    {"a: &x {b: 1}\n", 1, 4, "anchor"},
    {"a: *x\n", 1, 4, "alias"},
    {"a: !!str 1\n", 1, 4, "tag"},
    {"a: !evil [1]\n", 1, 4, "tag"},
    {"a: !evil {b: 1}\n", 1, 4, "tag"},
    {"<<: {a: 1}\n", 1, 1, "merge key"},
    {"a: 1\n---\nb: 2\n", 2, 1, "second document"},
    {"%YAML 1.1\n---\na: 1\n", 1, 1, "directive"},
    {"a: 1\nb: 2\na: 3\n", 3, 1, "on line 1 already"},
    {"x: {k: 1, j: 2, k: 3}\n", 1, 17, "on line 1 already"},
    {"? [a, b]\n: 1\n", 1, 3, "list or map as a key"},
    {"\"a\": 1\n", 1, 1, "quoted key"},
    {"?\n: 1\n", 1, 2, "empty key"},
    {"a b: 1\n", 1, 1, "no plain word"},
    {"ü: 1\n", 1, 1, "no plain word"},
    {"-a: 1\n", 1, 1, "no plain word"},
    {"a..b: 1\n", 1, 1, "no plain word"},
    {"a.: 1\n", 1, 1, "no plain word"},
    {"a: \"x\\0y\"\n", 1, 4, "NUL"},
    {"a: [1, 2\nb: 3\n", 2, 2, "not valid YAML"},
    {"a: 'open\n", 2, 1, "not valid YAML"},
    {"a: \x01\n", 1, 4, "control character"},
    {"a: 1\nb: \xff\n", 2, 4, "UTF-8"},
};

START_TEST(refuses_what_is_not_strict)
{
    expect_refusal(refusals[_i].text, strlen(refusals[_i].text), refusals[_i].line, refusals[_i].column,
                   refusals[_i].says);
}
END_TEST

START_TEST(refuses_nul_bytes)
{
    expect_refusal("a: 1\nb: \0\n", 10, 2, 4, "NUL");
}
END_TEST

START_TEST(refuses_depth_beyond_64)
{
    char text[200] = {0};
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    sotto_document_destroy(parse(text));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    expect_refusal(text, strlen(text), 1, 65, "64 levels");
}
END_TEST

START_TEST(refuses_too_many_bytes_and_nodes)
{
    size_t size = (1 << 20) + 1;
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    memcpy(text, "a: 1\n", 5);
    text[size] = '\0';
    expect_refusal(text, size, 0, 0, "1 MiB");
    text[size - 1] = '\0';
    sotto_document_destroy(parse(text));
    /* 100,001 nodes: the list itself and 100,000 elements. */
    char *at = text;
    *at++ = '[';
    for (int i = 0; i < 100000; i++)
        at = stpcpy(at, i % 100 == 99 ? "1,\n" : "1,");
    stpcpy(at, "]");
    expect_refusal(text, strlen(text), 1000, 199, "100,000");
    free(text);
}
END_TEST

/* The check for repeated keys sorts: here the repetition is 40,000 keys away. */
START_TEST(finds_a_repeated_key_far_away)
{
    char *text = malloc(1 << 20), *at = text;
    for (int i = 0; i < 40000; i++)
        at += sprintf(at, "key%05d: 1\n", i);
    sotto_document_destroy(parse(text));
    sprintf(at, "key00001: 2\n");
    expect_refusal(text, strlen(text), 40001, 1, "on line 2 already");
    free(text);
}
END_TEST

START_TEST(loads_files)
{
    char path[] = "/tmp/sotto-test-document-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, "a: 1\na: 2\n", 10), 10);
    sotto_document *document = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_document_load(&document, path, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, path);
    ck_assert_uint_eq(err.line, 2);
    ck_assert_int_eq(ftruncate(descriptor, 5), 0);
    ck_assert_int_eq(sotto_document_load(&document, path, &err), SOTTO_OK);
    sotto_document_destroy(document);
    close(descriptor);
    unlink(path);
    ck_assert_int_eq(sotto_document_load(&document, path, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, path);
}
END_TEST

/* ------------------------------------------------------------ typed readers */

static const sotto_node *first(sotto_document **document, const char *value)
{
    char text[256];
    snprintf(text, sizeof text, "a: %s\n", value);
    *document = parse(text);
    return sotto_node_get(sotto_document_root(*document), "a");
}

START_TEST(reads_numbers)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},         {"-2.5", -2.5}, {"+0.5", 0.5},  {".5", 0.5},
                {"5.", 5},        {"0", 0},       {"1e-5", 1e-5}, {"1.0E+3", 1000.0},
                {"1000000", 1e6}, {"0.1", 0.1},   {"-0", -0.0},   {"1e-400", 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        sotto_document *document;
        double value = NAN;
        ck_assert_int_eq(sotto_node_double(first(&document, good[i].text), "x", -1e9, 1e9, &value, NULL),
                         SOTTO_OK);
        ck_assert_msg(value == good[i].value, "%s", good[i].text);
        sotto_document_destroy(document);
    }
}
END_TEST

START_TEST(refuses_what_is_no_number)
{
    static const char *const bad[] = {
        "nan",   ".nan", "NaN",    "inf", ".inf", "-.inf", "1e400", "yes", "true", "0x10",  "010", "-010",
        "1_000", "1,5",  "\"1\"",  "'1'", "",     "~",     "null",  "1e",  "e5",   ".",     "+",   "1.2.3",
        "1 2",   "[1]",  "{b: 1}", "1e+", "--1",  "1e5x",  "12abc", "1e9", "-1e9", "9.5e8", "0b1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sotto_document *document;
        sotto_error err = {0};
        double value = 42;
        const sotto_node *node = first(&document, bad[i]);
        ck_assert_msg(sotto_node_double(node, "privacy.epsilon", -9e8, 9e8, &value, &err) ==
                          SOTTO_ERROR_INPUT,
                      "accepted %s", bad[i]);
        ck_assert(value == 42);
        ck_assert_uint_eq(err.line, 1);
        ck_assert_ptr_nonnull(strstr(err.message, "privacy.epsilon"));
        sotto_document_destroy(document);
    }
    sotto_error err = {0};
    double value;
    sotto_document *document;
    ck_assert_int_eq(sotto_node_double(first(&document, "1e400"), "x", 0, INFINITY, &value, &err),
                     SOTTO_ERROR_INPUT);
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_double(NULL, "privacy.delta", 0, 1, &value, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "privacy.delta is missing"));
}
END_TEST

START_TEST(reads_sizes_and_booleans)
{
    sotto_document *document;
    sotto_error err = {0};
    size_t size = 0;
    ck_assert_int_eq(sotto_node_size(first(&document, "32561"), "rows", 1, 100000, &size, NULL), SOTTO_OK);
    ck_assert_uint_eq(size, 32561);
    sotto_document_destroy(document);
    static const char *const bad[] = {"0",
                                      "100001",
                                      "-1",
                                      "+1",
                                      "1.0",
                                      "1e3",
                                      "010",
                                      "0x1",
                                      "''",
                                      "\"5\"",
                                      "yes",
                                      "1 000",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(sotto_node_size(first(&document, bad[i]), "rows", 1, 100000, &size, &err) ==
                          SOTTO_ERROR_INPUT,
                      "accepted %s", bad[i]);
        ck_assert_ptr_nonnull(strstr(err.message, "1 to 100000"));
        sotto_document_destroy(document);
    }
    bool flag = false;
    ck_assert_int_eq(sotto_node_bool(first(&document, "true"), "flag", &flag, NULL), SOTTO_OK);
    ck_assert(flag);
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_bool(first(&document, "false"), "flag", &flag, NULL), SOTTO_OK);
    ck_assert(!flag);
    sotto_document_destroy(document);
    static const char *const no_flag[] = {"yes", "no", "on", "1", "True", "\"true\"", "[true]", ""};
    for (size_t i = 0; i < sizeof no_flag / sizeof *no_flag; i++) {
        ck_assert_int_eq(sotto_node_bool(first(&document, no_flag[i]), "flag", &flag, &err),
                         SOTTO_ERROR_INPUT);
        sotto_document_destroy(document);
    }
}
END_TEST

START_TEST(reads_words_and_choices)
{
    static const char *const names[] = {"rdp", "pld", NULL};
    sotto_document *document;
    sotto_error err = {0};
    const char *text;
    size_t choice = 9;
    ck_assert_int_eq(sotto_node_string(first(&document, "'a b'"), "name", &text, NULL), SOTTO_OK);
    ck_assert_str_eq(text, "a b");
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_string(first(&document, ""), "name", &text, &err), SOTTO_ERROR_INPUT);
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_choice(first(&document, "pld"), "accountant", names, &choice, NULL),
                     SOTTO_OK);
    ck_assert_uint_eq(choice, 1);
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_choice(first(&document, "moments"), "accountant", names, &choice, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.message, "accountant is 'moments'; wanted rdp or pld");
    sotto_document_destroy(document);
    ck_assert_int_eq(sotto_node_choice(first(&document, "[pld]"), "accountant", names, &choice, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "a list"));
    sotto_document_destroy(document);
}
END_TEST

START_TEST(names_the_nearest_setting)
{
    static const char *const known[] = {"epsilon", "delta", "noise_multiplier", NULL};
    sotto_error err = {0};
    sotto_document *document = parse("delta: 1\nepsilom: 2\n");
    const sotto_node *root = sotto_document_root(document);
    ck_assert_int_eq(sotto_node_expect_map(root, "privacy", known, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.message, "privacy has no setting 'epsilom'; did you mean epsilon?");
    ck_assert_uint_eq(err.line, 2);
    sotto_document_destroy(document);
    document = parse("sigma: 1\n");
    ck_assert_int_eq(sotto_node_expect_map(sotto_document_root(document), "privacy", known, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.message,
                     "privacy has no setting 'sigma'; wanted epsilon, delta or noise_multiplier");
    sotto_document_destroy(document);
    document = parse("delta: 1\nepsilon: 2\n");
    ck_assert_int_eq(sotto_node_expect_map(sotto_document_root(document), "privacy", known, NULL), SOTTO_OK);
    const sotto_node *scalar = sotto_node_get(sotto_document_root(document), "delta");
    ck_assert_int_eq(sotto_node_expect_map(scalar, "privacy", known, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_node_expect_map(NULL, "privacy", known, &err), SOTTO_ERROR_INPUT);
    sotto_document_destroy(document);
}
END_TEST

START_TEST(messages_stay_printable_and_short)
{
    sotto_document *document;
    sotto_error err = {0};
    double value;
    char text[250] = "\"\\e[31m";
    for (int i = 0; i < 60; i++)
        strcat(text, "ü");
    strcat(text, "\"");
    ck_assert_int_eq(sotto_node_double(first(&document, text), "x", 0, 1, &value, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(strchr(err.message, '\x1b'));
    ck_assert_ptr_nonnull(strstr(err.message, "'?[31mü"));
    ck_assert_ptr_nonnull(strstr(err.message, "ü...' in quotes; wanted"));
    sotto_document_destroy(document);
}
END_TEST

/* ------------------------------------------------------------------- --set */

static void expect_format(const sotto_document *document, const char *wanted)
{
    char *text = NULL;
    ck_assert_int_eq(sotto_document_format(document, &text, NULL), SOTTO_OK);
    ck_assert_str_eq(text, wanted);
    free(text);
}

START_TEST(sets_values)
{
    sotto_document *document = parse("privacy:\n  epsilon: 1\nsweep:\n  privacy.epsilon: [1, 2]\n");
    ck_assert_int_eq(sotto_document_set(document, "privacy.epsilon", "3.5", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_document_set(document, "model.generator.hidden", "[64, 32]", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_document_set(document, "model.type", "gan", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_document_set(document, "sweep.privacy.epsilon", "[3]", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_document_set(document, "seed", "", NULL), SOTTO_ERROR_INPUT);
    expect_format(document, "privacy:\n  epsilon: 3.5\nsweep:\n  privacy.epsilon: [3]\n"
                            "model:\n  generator:\n    hidden: [64, 32]\n  type: gan\n");
    const sotto_node *privacy = sotto_node_get(sotto_document_root(document), "privacy");
    sotto_error err = {0};
    double value;
    ck_assert_int_eq(
        sotto_node_double(sotto_node_get(privacy, "epsilon"), "privacy.epsilon", 0, 1, &value, &err),
        SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, "--set privacy.epsilon");
    sotto_document_destroy(document);
}
END_TEST

START_TEST(refuses_bad_sets_and_changes_nothing)
{
    static const struct {
        const char *path, *value;
    } bad[] = {{"", "1"},           {".", "1"},
               {"a.", "1"},         {".a", "1"},
               {"a..b", "1"},       {"a b", "1"},
               {"a\tb", "1"},       {"a.b.c", "1"}, /* a.b is a number */
               {"list.0", "1"},     {"a.b", "{c: 1, c: 2}"},
               {"a.b", "*alias"},   {"a.b", "[1"},
               {"a.b", "1\n---\n2"}};
    sotto_document *document = parse("a:\n  b: 1\nlist: [1]\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sotto_error err = {0};
        ck_assert_msg(sotto_document_set(document, bad[i].path, bad[i].value, &err) == SOTTO_ERROR_INPUT,
                      "accepted %s=%s", bad[i].path, bad[i].value);
        ck_assert_uint_gt(strlen(err.message), 0);
    }
    char nested[200] = {0};
    memset(nested, '[', 63);
    memset(nested + 63, ']', 63);
    ck_assert_int_eq(sotto_document_set(document, "a.b", nested, NULL), SOTTO_ERROR_INPUT); /* 65 levels */
    expect_format(document, "a:\n  b: 1\nlist: [1]\n");
    sotto_document_destroy(document);
    document = parse("[1, 2]");
    ck_assert_int_eq(sotto_document_set(document, "a", "1", NULL), SOTTO_ERROR_INPUT);
    sotto_document_destroy(document);
}
END_TEST

START_TEST(formatting_is_read_back)
{
    sotto_document *document =
        parse("a: \"1\" # text\nb: 'yes'\nc: yes\nd: \"x: [y] # z\"\ne: \"line\\nbreak\\ttab \\\" ü\"\nf: "
              "[]\ng: {}\n"
              "h: [{i: 1, j: [2, 3]}, [4, [5, six seven]], \"\"]\nk:\nl: |\n  block\n  text\nm: a, b\n");
    char *once = NULL, *twice = NULL;
    ck_assert_int_eq(sotto_document_format(document, &once, NULL), SOTTO_OK);
    sotto_document *again = parse(once);
    ck_assert_int_eq(sotto_document_format(again, &twice, NULL), SOTTO_OK);
    ck_assert_str_eq(once, twice);
    const sotto_node *a = sotto_document_root(document), *b = sotto_document_root(again);
    ck_assert_uint_eq(sotto_node_count(a), sotto_node_count(b));
    for (size_t i = 0; i < sotto_node_count(a); i++) {
        ck_assert_str_eq(sotto_node_key(a, i), sotto_node_key(b, i));
        const char *left = sotto_node_text(sotto_node_at(a, i)),
                   *right = sotto_node_text(sotto_node_at(b, i));
        ck_assert_int_eq(left == NULL, right == NULL);
        if (left)
            ck_assert_str_eq(left, right);
    }
    double value;
    ck_assert_int_eq(sotto_node_double(sotto_node_get(b, "a"), "a", 0, 9, &value, NULL), SOTTO_ERROR_INPUT);
    free(once);
    free(twice);
    sotto_document_destroy(document);
    sotto_document_destroy(again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("document");
    TCase *tree = tcase_create("tree");
    tcase_set_timeout(tree, 120);
    tcase_add_test(tree, reads_a_tree_with_its_places);
    tcase_add_test(tree, takes_a_byte_order_mark_and_crlf);
    tcase_add_loop_test(tree, refuses_what_is_not_strict, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(tree, refuses_nul_bytes);
    tcase_add_test(tree, refuses_depth_beyond_64);
    tcase_add_test(tree, refuses_too_many_bytes_and_nodes);
    tcase_add_test(tree, finds_a_repeated_key_far_away);
    tcase_add_test(tree, loads_files);
    suite_add_tcase(suite, tree);
    TCase *typed = tcase_create("typed");
    tcase_add_test(typed, reads_numbers);
    tcase_add_test(typed, refuses_what_is_no_number);
    tcase_add_test(typed, reads_sizes_and_booleans);
    tcase_add_test(typed, reads_words_and_choices);
    tcase_add_test(typed, names_the_nearest_setting);
    tcase_add_test(typed, messages_stay_printable_and_short);
    suite_add_tcase(suite, typed);
    TCase *change = tcase_create("set");
    tcase_add_test(change, sets_values);
    tcase_add_test(change, refuses_bad_sets_and_changes_nothing);
    tcase_add_test(change, formatting_is_read_back);
    suite_add_tcase(suite, change);
    return run_suite(suite);
}
