/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_report.h"

char *golden; /* tests/vectors/report/privacy.json */

void read_golden(void)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[4096];
    size_t length;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/report/privacy.json", root ? root : ".");
    ck_assert_msg(sotto_file_read(path, 1 << 20, &golden, &length, NULL) == SOTTO_OK, "no %s", path);
}

void free_golden(void)
{
    free(golden);
}

json_t *golden_record(void)
{
    json_t *record = json_loads(golden, 0, NULL);
    ck_assert_ptr_nonnull(record);
    return record;
}

char *dump(const json_t *record)
{
    char *text = json_dumps(record, JSON_REAL_PRECISION(17));
    ck_assert_ptr_nonnull(text);
    return text;
}

/* One form of a record; takes the record. */
char *show(form *make, json_t *record)
{
    char *json = dump(record);
    char *out;
    sotto_error err = {0};
    ck_assert_msg(make(json, &out, &err) == SOTTO_OK, "%s", err.message);
    json_decref(record);
    free(json);
    return out;
}

/* ------------------------------------------------------------------ figures */

static const char *up(double value, int digits)
{
    static char text[SOTTO_FIGURE_SIZE];
    sotto_figure_up(value, digits, text);
    return text;
}

START_TEST(privacy_figures_are_rounded_up)
{
    ck_assert_str_eq(up(0.99983721, 4), "0.9999");
    ck_assert_str_eq(up(0.99999, 4), "1");
    ck_assert_str_eq(up(1.0, 4), "1");
    ck_assert_str_eq(up(1.00001, 4), "1.001");
    ck_assert_str_eq(up(1.0000000001, 3), "1.01");
    ck_assert_str_eq(up(0.0, 4), "0");
    ck_assert_str_eq(up(1.23401e-7, 4), "1.235e-7");
    ck_assert_str_eq(up(999.9, 3), "1000");
    ck_assert_str_eq(up(599.1, 2), "600");
    ck_assert_str_eq(up(HUGE_VAL, 4), "∞");
    for (double value = 1e-300; value < 1e300; value *= 1.37)
        for (int digits = 1; digits <= 15; digits++) {
            double shown = strtod(up(value, digits), NULL);
            EXPECT(shown >= value, "%g became %g", value, shown);
            EXPECT(shown <= value * (1 + 1.001 * pow(10, 1 - digits)), "%g became %g", value, shown);
        }
}
END_TEST

START_TEST(exact_figures_read_back)
{
    char text[SOTTO_FIGURE_SIZE];
    const double values[] = {0, 0.1, 1e-5, 1.0 / 3, 4.8712345678901234, 1e300, 5e-324, 123456789.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        sotto_figure_exact(values[i], text);
        ck_assert_double_eq(strtod(text, NULL), values[i]);
    }
    sotto_figure_exact(1e-5, text);
    ck_assert_str_eq(text, "1e-5");
    sotto_figure_exact(0.1, text);
    ck_assert_str_eq(text, "0.1");
    sotto_figure_exact(600, text);
    ck_assert_str_eq(text, "600");
    sotto_figure_exact(1e20, text);
    ck_assert_str_eq(text, "1e20");
    sotto_figure_exact(1e-10, text);
    ck_assert_str_eq(text, "1e-10");
    sotto_figure_count(1234567, text);
    ck_assert_str_eq(text, "1,234,567");
    sotto_figure_count(999, text);
    ck_assert_str_eq(text, "999");
}
END_TEST

START_TEST(chances_are_never_made_smaller)
{
    char text[SOTTO_FIGURE_SIZE];
    sotto_figure_chance(1e-5, text);
    ck_assert_str_eq(text, "1 in 100,000");
    sotto_figure_chance(1.0 / 48842, text);
    ck_assert_str_eq(text, "1 in 48,800");
    sotto_figure_chance(0.999, text);
    ck_assert_str_eq(text, "1 in 1");
    sotto_figure_chance(5e-324, text);
    ck_assert_str_eq(text, "1 in 1e308");
    sotto_figure_chance(1e-20, text);
    ck_assert_str_eq(text, "1 in 1e20");
}
END_TEST

START_TEST(times_are_for_people)
{
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0.0 s"},          {9.94, "9.9 s"},         {12.4, "12 s"},      {59.7, "1 min 0 s"},
                 {200, "3 min 20 s"},   {7500, "2 h 5 min"},     {356400, "4 d 3 h"}, {-1, "unknown"},
                 {HUGE_VAL, "unknown"}, {(double)NAN, "unknown"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[SOTTO_FIGURE_SIZE];
        sotto_figure_seconds(cases[i].seconds, text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(odds_are_rounded_up_and_fit)
{
    char text[SOTTO_FIGURE_SIZE];
    sotto_statement_odds(1, text); /* e = 2.71828… */
    ck_assert_str_eq(text, "2.72 times");
    sotto_statement_odds(0, text);
    ck_assert_str_eq(text, "1 times");
    sotto_statement_odds(8, text); /* e^8 = 2980.957… */
    ck_assert_str_eq(text, "2980.96 times");
    sotto_statement_odds(1e308, text);
    ck_assert_str_eq(text, "more than a million times");
    ck_assert_double_eq_tol(sotto_statement_posterior(0), 50, 1e-9);
    ck_assert_double_eq_tol(sotto_statement_posterior(1), 73.2, 1e-9); /* 73.106 up */
    ck_assert_double_eq_tol(sotto_statement_posterior(1e308), 100, 1e-9);
}
END_TEST

START_TEST(text_of_unknown_origin_is_made_harmless)
{
    char out[512] = {0};
    FILE *file = fmemopen(out, sizeof out, "w");
    /* escape, C1, right-to-left override, isolate, line separator, bad UTF-8 of four kinds, NEL */
    sotto_text_put(file,
                   "a\033[2Jb\302\233c\342\200\256d\342\201\246e\342\200\250f\377g\300\257h\355\240\200i"
                   "\342\202j\302\205k\nl",
                   false);
    (void)fclose(file);
    for (const char *at = out; *at; at++)
        EXPECT((unsigned char)*at >= 0x20, "a control character");
    ck_assert_ptr_nonnull(strstr(out, "a\xEF\xBF\xBD[2Jb"));
    ck_assert_ptr_null(strstr(out, "\342\200\256"));
    ck_assert_ptr_null(strstr(out, "\302\233"));
    ck_assert_ptr_null(strstr(out, "\377"));
    ck_assert_ptr_null(strstr(out, "\300"));
    ck_assert_ptr_nonnull(strstr(out, "k l"));
    ck_assert_uint_eq(sotto_text_width("ε = 1"), 5);

    char escaped[64] = {0};
    file = fmemopen(escaped, sizeof escaped, "w");
    sotto_text_put(file, "<a b=\"c\" d='e'>&", true);
    (void)fclose(file);
    ck_assert_str_eq(escaped, "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
}
END_TEST

/* ----------------------------------------------------------- what is shown */

START_TEST(guarantee_is_told_in_words)
{
    form *const forms[] = {sotto_report_html, sotto_report_text};
    for (size_t i = 0; i < 2; i++) {
        char *page = show(forms[i], golden_record());
        ck_assert_ptr_nonnull(strstr(page, "2.72 times")); /* e^0.9998 = 2.71784… */
        ck_assert_ptr_nonnull(strstr(page, "1 in 100,000"));
        ck_assert_ptr_nonnull(strstr(page, "What this does not cover"));
        ck_assert_ptr_null(strstr(page, "NOT PRIVATE"));
        free(page);
    }
}
END_TEST

START_TEST(lines_of_text_fit_a_terminal)
{
    char *page = show(sotto_report_text, golden_record());
    for (char *line = strtok(page, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(sotto_text_width(line) <= 80, "too long: %s", line);
    free(page);
}
END_TEST

/* ------------------------------------------------------------ well-formed */

START_TEST(page_is_well_formed_and_alone)
{
    static const char *const forbidden[] = {"<script", "http://", "https://", "src=", "url(",
                                            "@import", "<link",   "<iframe",  " on"};
    char *page = show(sotto_report_html, golden_record());
    expect_well_formed(page);
    for (size_t i = 0; i + 1 < sizeof forbidden / sizeof *forbidden; i++)
        ck_assert_msg(strstr(page, forbidden[i]) == NULL, "%s", forbidden[i]);
    ck_assert_ptr_nonnull(strstr(page, "default-src 'none'"));
    ck_assert_ptr_nonnull(strstr(page, "prefers-color-scheme: dark"));
    ck_assert_ptr_nonnull(strstr(page, "@media print"));
    ck_assert_ptr_nonnull(strstr(page, "<title id=\"curve-title\">"));
    ck_assert_ptr_nonnull(strstr(page, "<desc id=\"curve-words\">"));
    free(page);
}
END_TEST

static bool have_xmllint(void)
{
    return system("command -v xmllint >/dev/null 2>&1") == 0;
}

/* A second opinion, by somebody else's parser. */
static void expect_xmllint(const char *page)
{
    FILE *pipe = popen("xmllint --noout - 2>&1", "w");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_ge(fputs(page, pipe), 0);
    ck_assert_int_eq(pclose(pipe), 0);
}

START_TEST(xmllint_agrees)
{
    if (!have_xmllint()) {
        printf("xmllint is not installed: its opinion is skipped\n");
        return;
    }
    char *page = show(sotto_report_html, golden_record());
    expect_xmllint(page);
    free(page);
}
END_TEST

/* ------------------------------------------------------------------ extremes */

START_TEST(extreme_records_are_shown)
{
    static const double epsilons[] = {0, 5e-324, 1e-12, 50, 1e4, 1e308};
    for (size_t i = 0; i < sizeof epsilons / sizeof *epsilons; i++) {
        json_t *record = golden_record();
        json_t *guarantee = json_object_get(record, "guarantee");
        json_t *curve = json_object_get(record, "curve");
        ck_assert_int_eq(json_object_set_new(guarantee, "epsilon", json_real(epsilons[i])), 0);
        ck_assert_int_eq(json_object_set_new(guarantee, "delta", json_real(i % 2 ? 5e-324 : 0.999)), 0);
        for (size_t k = 0; k < json_array_size(curve); k++)
            (void)json_object_set_new(json_array_get(curve, k), "epsilon", json_real(epsilons[i]));
        char *page = show(sotto_report_html, record);
        expect_well_formed(page);
        ck_assert_ptr_null(strstr(page, "nan"));
        ck_assert_ptr_null(strstr(page, "\"inf"));
        free(page);
    }
}
END_TEST

START_TEST(empty_lists_are_said_to_be_empty)
{
    static const char *const lists[] = {"accesses", "uncharged_accesses", "released",   "curve",
                                        "attack",   "preprocessing",      "not_covered"};
    json_t *record = golden_record();
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        ck_assert_int_eq(json_array_clear(json_object_get(record, lists[i])), 0);
    char *text = show(sotto_report_text, json_incref(record));
    char *page = show(sotto_report_html, record);
    expect_well_formed(page);
    size_t none = 0;
    for (const char *at = page; (at = strstr(at, "<p>None.</p>")); at++)
        none++;
    ck_assert_uint_eq(none, 7);
    ck_assert_ptr_null(strstr(page, "<svg"));
    ck_assert_ptr_nonnull(strstr(text, "  None.\n"));
    free(text);
    free(page);
}
END_TEST

/* Which keys of the accounting are demanded depends on the accountant. */
START_TEST(either_accountant_is_shown)
{
    json_t *record = golden_record();
    json_t *accounting = json_object_get(record, "accounting");
    ck_assert_int_eq(json_object_set_new(accounting, "accountant", json_string("pld")), 0);
    sotto_error err = {0};
    char *text = json_dumps(record, 0), *page = NULL;
    ck_assert_int_eq(sotto_report_html(text, &page, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "epsilon_lower"));
    free(text);
    ck_assert_int_eq(json_object_set_new(accounting, "epsilon_lower", json_real(0.99925)), 0);
    (void)json_object_del(accounting, "order");
    (void)json_object_del(accounting, "orders");
    page = show(sotto_report_html, json_incref(record));
    text = show(sotto_report_text, record);
    ck_assert_ptr_nonnull(strstr(page, "No smaller ε is kept than"));
    ck_assert_ptr_nonnull(strstr(text, "0.99925"));
    ck_assert_ptr_null(strstr(page, "Order that gave ε"));
    free(page);
    free(text);
}
END_TEST

/* Exact noise says what it costs of δ; float noise has no such keys. */
START_TEST(either_noise_is_shown)
{
    json_t *record = golden_record();
    json_t *noise = json_object_get(record, "noise");
    char *page = show(sotto_report_html, json_incref(record));
    ck_assert_ptr_nonnull(strstr(page, "1.14124e-26"));
    ck_assert_ptr_nonnull(strstr(page, "Of δ, left to the accountant"));
    free(page);
    ck_assert_int_eq(json_object_set_new(noise, "mode", json_string("float")), 0);
    (void)json_object_del(noise, "draws");
    (void)json_object_del(noise, "delta");
    (void)json_object_del(noise, "delta_accountant");
    page = show(sotto_report_html, record);
    ck_assert_ptr_null(strstr(page, "left to the accountant"));
    free(page);
}
END_TEST

START_TEST(a_long_word_is_shown_whole)
{
    enum { LENGTH = 300000 };
    json_t *record = golden_record();
    char *word = malloc(2 * LENGTH + 1);
    ck_assert_ptr_nonnull(word);
    for (size_t i = 0; i < LENGTH; i++)
        memcpy(word + 2 * i, "ε", 2);
    word[2 * LENGTH] = '\0';
    ck_assert_int_eq(json_object_set_new(record, "tuning", json_string(word)), 0);
    char *text = show(sotto_report_text, record);
    size_t found = 0;
    for (const char *at = strstr(text, "\nTuning\n"); *at; at++)
        found += at[0] == word[0] && at[1] == word[1];
    ck_assert_uint_ge(found, LENGTH);
    ck_assert_ptr_null(strstr(text, "\xEF\xBF\xBD"));
    free(word);
    free(text);
}
END_TEST

/* ----------------------------------------------------------- NOT PRIVATE */

START_TEST(not_private_cannot_be_missed)
{
    json_t *record = golden_record();
    json_t *stamp = json_string("NOT PRIVATE: made with a fixed seed");
    ck_assert_int_eq(json_object_set_new(record, "not_private", stamp), 0);
    char *text = show(sotto_report_text, json_incref(record));
    char *page = show(sotto_report_html, record);
    expect_well_formed(page);
    ck_assert_ptr_nonnull(strstr(page, "<title>NOT PRIVATE: Privacy statement"));
    char *body = strstr(page, "<body class=\"not-private\">\n");
    ck_assert_ptr_nonnull(body);
    body += strlen("<body class=\"not-private\">\n");
    ck_assert_ptr_eq(strstr(body, "<div class=\"banner\""), body); /* before anything else */
    ck_assert_ptr_nonnull(strstr(body, "<strong>NOT PRIVATE</strong> made with a fixed seed"));
    ck_assert_ptr_null(strstr(body, "<h2>What this guarantees</h2>"));
    ck_assert_ptr_null(strstr(page, "2.72 times")); /* no word of a promise */
    ck_assert_ptr_null(strstr(page, "The guarantee covers"));
    ck_assert_ptr_null(strstr(text, "2.72 times"));
    ck_assert_ptr_eq(strstr(text, "!!! NOT PRIVATE !!!"), text);
    ck_assert_ptr_null(strstr(text, "\nWhat this guarantees\n"));
    free(page);
    free(text);
}
END_TEST

/* Even where the reason does not say it. */
START_TEST(banner_says_not_private_whatever_the_reason)
{
    json_t *record = golden_record();
    ck_assert_int_eq(json_object_set_new(record, "not_private", json_string("")), 0);
    char *text = show(sotto_report_text, json_incref(record));
    char *page = show(sotto_report_html, record);
    ck_assert_ptr_nonnull(strstr(page, "<strong>NOT PRIVATE</strong>"));
    ck_assert_ptr_eq(strstr(text, "!!! NOT PRIVATE !!!"), text);
    free(page);
    free(text);
}
END_TEST

/* ------------------------------------------------------------------- files */

START_TEST(writes_the_page_beside_the_record)
{
    char run[] = "/tmp/sotto-report-XXXXXX";
    char path[128];
    char *written, *made;
    size_t length;
    struct stat facts;
    sotto_error err = {0};
    ck_assert_ptr_nonnull(mkdtemp(run));
    ck_assert_int_eq(sotto_report_write(run, &err), SOTTO_ERROR_INPUT); /* no record */
    ck_assert_ptr_nonnull(strstr(err.file, "release/privacy.json"));

    (void)snprintf(path, sizeof path, "%s/release", run);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/release/privacy.json", run);
    ck_assert_int_eq(sotto_file_write(path, 0644, golden, strlen(golden), NULL), SOTTO_OK);
    mode_t mask = umask(077);
    ck_assert_int_eq(sotto_report_write(run, &err), SOTTO_OK);
    (void)umask(mask);
    (void)snprintf(path, sizeof path, "%s/release/privacy.html", run);
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_int_eq(facts.st_mode & 0777, 0644);
    ck_assert_int_eq(sotto_file_read(path, 1 << 20, &written, &length, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_report_html(golden, &made, NULL), SOTTO_OK);
    ck_assert_str_eq(written, made);

    /* A broken record leaves the page as it was; a NUL byte does not hide what follows it. */
    (void)snprintf(path, sizeof path, "%s/release/privacy.json", run);
    ck_assert_int_eq(sotto_file_write(path, 0644, golden, strlen(golden) + 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_report_write(run, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_file_write(path, 0644, "{", 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_report_write(run, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, path);
    ck_assert_int_eq(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/release/privacy.html", run);
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_int_eq(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/release", run);
    ck_assert_int_eq(rmdir(path), 0); /* nothing else was left */
    ck_assert_int_eq(rmdir(run), 0);
    free(written);
    free(made);
}
END_TEST

static Suite *report_suite(void)
{
    Suite *suite = suite_create("report");
    TCase *figures = tcase_create("figures");
    tcase_add_test(figures, privacy_figures_are_rounded_up);
    tcase_add_test(figures, exact_figures_read_back);
    tcase_add_test(figures, chances_are_never_made_smaller);
    tcase_add_test(figures, times_are_for_people);
    tcase_add_test(figures, odds_are_rounded_up_and_fit);
    tcase_add_test(figures, text_of_unknown_origin_is_made_harmless);
    suite_add_tcase(suite, figures);
    TCase *shown = tcase_create("shown");
    tcase_add_unchecked_fixture(shown, read_golden, free_golden);
    tcase_set_timeout(shown, 300);
    tcase_add_test(shown, guarantee_is_told_in_words);
    tcase_add_test(shown, lines_of_text_fit_a_terminal);
    tcase_add_test(shown, page_is_well_formed_and_alone);
    tcase_add_test(shown, xmllint_agrees);
    tcase_add_test(shown, extreme_records_are_shown);
    tcase_add_test(shown, empty_lists_are_said_to_be_empty);
    tcase_add_test(shown, either_accountant_is_shown);
    tcase_add_test(shown, either_noise_is_shown);
    tcase_add_test(shown, a_long_word_is_shown_whole);
    tcase_add_test(shown, not_private_cannot_be_missed);
    tcase_add_test(shown, banner_says_not_private_whatever_the_reason);
    tcase_add_test(shown, writes_the_page_beside_the_record);
    suite_add_tcase(suite, shown);
    suite_add_tcase(suite, figures_case());
    suite_add_tcase(suite, hostility_case());
    return suite;
}

int main(void)
{
    return run_suite(report_suite());
}
