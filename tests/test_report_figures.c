/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whether both forms of the statement show all that is in its record, and how its figures are rounded. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "test_report.h"

/* Blanks of any length become one; the text form breaks lines. */
static char *squeeze(const char *text)
{
    char *out = calloc(strlen(text) + 1, 1);
    ck_assert_ptr_nonnull(out);
    size_t length = 0;
    for (; *text; text++)
        if (!isspace((unsigned char)*text))
            out[length++] = *text;
        else if (length > 0 && out[length - 1] != ' ')
            out[length++] = ' ';
    return out;
}

static void expect_shown(const char *page, const char *value, bool markup)
{
    char shown[4096] = {0};
    FILE *file = fmemopen(shown, sizeof shown, "w");
    sotto_text_put(file, value, markup);
    (void)fclose(file);
    char *squeezed = squeeze(shown);
    ck_assert_msg(strstr(page, squeezed) != NULL, "%s is not shown", squeezed);
    free(squeezed);
}

static void expect_fields_shown(const char *page, const sotto_section *section, const json_t *object,
                                bool markup)
{
    for (size_t i = 0; i < section->field_count; i++) {
        char figure[SOTTO_FIGURE_SIZE];
        const json_t *value = json_object_get(object, section->fields[i].key);
        if (sotto_statement_has(section, i, object))
            expect_shown(page, sotto_statement_figure(section->fields[i].kind, value, figure), markup);
    }
}

static void expect_texts_shown(const char *page, const json_t *value, bool markup)
{
    if (json_is_string(value))
        expect_shown(page, json_string_value(value), markup);
    for (size_t i = 0; i < json_array_size(value); i++)
        expect_texts_shown(page, json_array_get(value, i), markup);
    for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at))
        expect_texts_shown(page, json_object_iter_value(at), markup);
}

static void expect_all_shown(const char *page, const json_t *record, bool markup)
{
    size_t count, shown = 0;
    const sotto_section *sections = sotto_statement_sections(&count);
    expect_texts_shown(page, record, markup);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(record, sections[i].key);
        if (sections[i].shape == SOTTO_SECTION_FIELDS)
            expect_fields_shown(page, &sections[i], value, markup);
        for (size_t j = 0; sections[i].shape == SOTTO_SECTION_TABLE && j < json_array_size(value);
             j++, shown++)
            expect_fields_shown(page, &sections[i], json_array_get(value, j), markup);
    }
    ck_assert_uint_ge(shown, 10);
}

START_TEST(every_figure_and_text_is_shown)
{
    form *const forms[] = {sotto_report_html, sotto_report_text};
    for (size_t i = 0; i < 2; i++) {
        json_t *record = golden_record();
        char *page = show(forms[i], json_incref(record));
        char *squeezed = squeeze(page);
        expect_all_shown(squeezed, record, i == 0);
        free(squeezed);
        free(page);
        json_decref(record);
    }
}
END_TEST

/* No promise looks better than it is, and none has more than six digits. */
START_TEST(figures_for_people_never_flatter)
{
    static const double values[] = {2.99999999999951, 0.015724332790761955, 1.0 / 3.0,     9.9999999e-6, 0.1,
                                    1.2345678e-300,   123456.7891,          0.999999999999};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char figure[SOTTO_FIGURE_SIZE];
        json_t *value = json_real(values[i]);
        for (sotto_field_kind kind = SOTTO_FIELD_EPSILON; kind <= SOTTO_FIELD_NUMBER; kind++) {
            (void)sotto_statement_figure(kind, value, figure);
            const double shown = strtod(figure, NULL);
            ck_assert_msg(strlen(figure) <= 13, "%s", figure);
            if (kind == SOTTO_FIELD_LEAST)
                ck_assert_msg(shown <= values[i] && shown >= values[i] * (1 - 1.1e-5), "%s", figure);
            else
                ck_assert_msg(shown >= values[i] && shown <= values[i] * (1 + 1.1e-5), "%s", figure);
        }
        json_decref(value);
    }
}
END_TEST

/* Charged ahead and lost: said in words, where it is so and only there. */
START_TEST(steps_charged_and_not_taken_are_explained)
{
    form *const forms[] = {sotto_report_html, sotto_report_text};
    for (size_t i = 0; i < 4; i++) {
        json_t *record = golden_record();
        if (i >= 2)
            (void)json_object_set_new(json_object_get(record, "training"), "steps_taken", json_integer(3998));
        char *page = show(forms[i % 2], record), *squeezed = squeeze(page);
        ck_assert_int_eq(strstr(squeezed, "they are charged in blocks ahead") != NULL, i >= 2);
        free(squeezed);
        free(page);
    }
}
END_TEST

TCase *figures_case(void)
{
    TCase *figures = tcase_create("figures");
    tcase_add_unchecked_fixture(figures, read_golden, free_golden);
    tcase_add_test(figures, every_figure_and_text_is_shown);
    tcase_add_test(figures, figures_for_people_never_flatter);
    tcase_add_test(figures, steps_charged_and_not_taken_are_explained);
    return figures;
}
