/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_report_pages.h"

/* ------------------------------------------------------------------ records */

static char *vector_text(const char *name)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[4096], *text;
    size_t length;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/report/%s", root ? root : ".", name);
    ck_assert_msg(sotto_file_read(path, 1 << 24, &text, &length, NULL) == SOTTO_OK, "no %s", path);
    return text;
}

json_t *vector(const char *name)
{
    char *text = vector_text(name);
    json_t *record = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(record);
    free(text);
    return record;
}

/* Every list loses all but its first `most` items. */
static void cut(json_t *value, size_t most)
{
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
        cut(json_object_iter_value(at), most);
    while (json_array_size(value) > most)
        (void)json_array_remove(value, json_array_size(value) - 1);
    for (size_t i = 0; i < json_array_size(value); i++)
        cut(json_array_get(value, i), most);
}

json_t *small_evaluation(void)
{
    json_t *record = vector("evaluation.json");
    cut(record, 2);
    json_t *histogram = (json_t *)sotto_record_get(record, "attacks.distance.histogram");
    (void)json_array_remove(json_object_get(histogram, "train"), 1);
    (void)json_array_remove(json_object_get(histogram, "test"), 1);
    return record;
}

json_t *small_sweep(void)
{
    json_t *record = vector("sweep.json");
    cut(record, 2);
    return record;
}

sotto_status evaluation_page(const char *json, char **out, sotto_error *err)
{
    return sotto_report_evaluation_html(json, NULL, NULL, out, err);
}

form *const forms[FORMS] = {evaluation_page, sotto_report_evaluation_text, sotto_report_sweep_html,
                            sotto_report_sweep_text};

json_t *small_record(size_t i)
{
    return i < 2 ? small_evaluation() : small_sweep();
}

char *page_of(form *make, json_t *record)
{
    char *json = json_dumps(record, JSON_REAL_PRECISION(17)), *out;
    sotto_error err = {0};
    ck_assert_ptr_nonnull(json);
    ck_assert_msg(make(json, &out, &err) == SOTTO_OK, "%s", err.message);
    json_decref(record);
    free(json);
    return out;
}

size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* ------------------------------------------------------------ surroundings */

void look_in(const char *folder)
{
    static char *first;
    if (!first)
        first = strdup(getenv("PATH") ? getenv("PATH") : "");
    ck_assert_int_eq(setenv("PATH", folder ? folder : first, 1), 0);
}

bool have_gnuplot(void)
{
    char *found = sotto_plot_find();
    free(found);
    return found != NULL;
}

char *make_folder(void)
{
    char *folder = strdup("/tmp/sotto-pages-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    return folder;
}

void remove_folder(char *folder)
{
    char command[256];
    look_in(NULL);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    free(folder);
}

/* ---------------------------------------------------------------- contents */

static void expect_words(const char *text, const char *const *words)
{
    for (; *words; words++)
        ck_assert_msg(strstr(text, *words) != NULL, "\"%s\" is not there", *words);
}

START_TEST(an_evaluation_is_shown)
{
    static const char *const words[] = {"Computed from real data without noise",
                                        "never release it",
                                        "What is good",
                                        "What fell short",
                                        "What to do next",
                                        "Singling out by several columns",
                                        "32,561",
                                        "native_country",
                                        "class=\"verdict leak\"",
                                        "Nearly equal a train row",
                                        "Demographic parity difference",
                                        "pMSE",
                                        "48 s",
                                        NULL};
    look_in("/nowhere");
    char *page = page_of(evaluation_page, vector("evaluation.json"));
    expect_words(page, words);
    expect_well_formed(page);
    ck_assert_ptr_null(strstr(page, "nan"));
    free(page);
    look_in(NULL);
}
END_TEST

/* However little room there is: two inferences are told apart by their columns. */
START_TEST(attacks_are_told_apart_in_text)
{
    char *text = page_of(sotto_report_evaluation_text, vector("evaluation.json"));
    ck_assert_ptr_nonnull(strstr(text, "\n  income: "));
    ck_assert_ptr_nonnull(strstr(text, "\n  occupation: "));
    free(text);
}
END_TEST

START_TEST(what_a_run_spent_is_shown)
{
    char *evaluation = vector_text("evaluation.json"), *metrics = vector_text("evaluation_metrics.json");
    char *privacy = vector_text("privacy.json"), *page;
    look_in("/nowhere");
    ck_assert_int_eq(sotto_report_evaluation_html(evaluation, metrics, privacy, &page, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(strstr(page, "ε = 0.99984 at δ = 1e-5"));
    ck_assert_ptr_nonnull(strstr(page, "<td class=\"number\">4,000</td><td class=\"number\">0.9998</td>"));
    ck_assert_ptr_nonnull(strstr(page, "What an attacker must get wrong"));
    ck_assert_ptr_nonnull(strstr(page, "How training went"));
    ck_assert_ptr_nonnull(strstr(page, "data-label=\"Different rows\""));
    expect_well_formed(page);
    free(page);
    ck_assert_int_eq(sotto_report_evaluation_html(evaluation, NULL, NULL, &page, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(strstr(page, "nothing is known of ε"));
    ck_assert_ptr_null(strstr(page, "#training"));
    free(page);
    ck_assert_int_eq(sotto_report_evaluation_html(evaluation, "{}", NULL, &page, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(page);
    ck_assert_int_eq(sotto_report_evaluation_html(evaluation, NULL, "{}", &page, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(page);
    free(evaluation);
    free(metrics);
    free(privacy);
    look_in(NULL);
}
END_TEST

START_TEST(a_sweep_is_shown)
{
    static const char *const words[] = {"Computed from real data without noise",
                                        "23 of 24",
                                        "28.41",
                                        "logarithmic",
                                        "not enough free memory for the workspace",
                                        "Best by AUC, logistic regression",
                                        "privacy.epsilon 10, model.hidden 128",
                                        "All 24 runs used the same table",
                                        NULL};
    look_in("/nowhere");
    char *page = page_of(sotto_report_sweep_html, vector("sweep.json"));
    expect_words(page, words);
    expect_well_formed(page);
    free(page);
    look_in(NULL);
}
END_TEST

START_TEST(texts_fit_a_terminal)
{
    for (size_t i = 1; i < FORMS; i += 2) {
        char *text = page_of(forms[i], vector(i < 2 ? "evaluation.json" : "sweep.json"));
        ck_assert_ptr_nonnull(strstr(text, "PRIVATE"));
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            ck_assert_msg(sotto_text_width(line) <= 80, "too long: %s", line);
        free(text);
    }
}
END_TEST

START_TEST(what_was_skipped_says_why)
{
    static const char *const parts[] = {"fidelity", "utility", "attacks"};
    look_in("/nowhere");
    for (size_t i = 0; i < 2; i++) {
        json_t *record = small_evaluation();
        for (size_t k = 0; k < 3; k++)
            (void)json_object_set_new(record, parts[k], json_pack("{s:s}", "skipped", "the moon was full"));
        char *page = page_of(forms[i], record);
        ck_assert_uint_eq(occurrences(page, "the moon was full"), 3);
        free(page);
    }
    json_t *record = small_evaluation();
    json_t *attacks = json_object_get(record, "attacks");
    (void)json_object_set_new(attacks, "distance", json_pack("{s:s}", "skipped", "no test table"));
    (void)json_object_set_new(attacks, "membership", json_pack("{s:s}", "skipped", "no test table"));
    (void)json_object_set_new(json_object_get(record, "utility"), "groups", json_null());
    char *page = page_of(evaluation_page, record);
    ck_assert_uint_eq(occurrences(page, "no test table"), 2);
    ck_assert_ptr_nonnull(strstr(page, "no sensitive column was named"));
    free(page);
    look_in(NULL);
}
END_TEST

START_TEST(not_private_is_said)
{
    for (size_t i = 0; i < FORMS; i++) {
        json_t *record = small_record(i);
        (void)json_object_set_new(record, "not_private", json_string("NOT PRIVATE: a fixed seed"));
        char *page = page_of(forms[i], record);
        ck_assert_ptr_nonnull(strstr(page, "NOT PRIVATE"));
        ck_assert_ptr_nonnull(strstr(page, "a fixed seed"));
        free(page);
    }
}
END_TEST

/* ------------------------------------------------------------------ advice */

typedef struct said {
    char text[3][20000];
} said;

static void collect(void *to, sotto_advice kind, const char *sentence)
{
    said *all = to;
    const size_t used = strlen(all->text[kind]);
    (void)snprintf(all->text[kind] + used, sizeof all->text[kind] - used, "%s\n", sentence);
}

static void set_number(json_t *record, const char *path, const char *key, double value)
{
    ck_assert_int_eq(json_object_set_new((json_t *)sotto_record_get(record, path), key, json_real(value)), 0);
}

static void set_score(json_t *record, const char *trained_on, double score)
{
    json_t *results = (json_t *)sotto_record_get(record, "utility.results");
    for (size_t i = 0; i < json_array_size(results); i++)
        if (strcmp(sotto_record_text(json_array_get(results, i), "trained_on"), trained_on) == 0)
            (void)json_object_set_new(json_array_get(results, i), "auc", json_real(score));
}

START_TEST(advice_follows_the_figures)
{
    said *all = calloc(1, sizeof *all);
    json_t *record = vector("evaluation.json");
    sotto_advice_give(record, collect, all);
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_SHORT], "Leak: Singling out by several columns"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_NEXT], "Do not release it before you know why"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_SHORT], "2 of 5 attacks are inconclusive"));
    ck_assert_ptr_null(strstr(all->text[SOTTO_ADVICE_NEXT], "--test"));
    ck_assert_ptr_nonnull(
        strstr(all->text[SOTTO_ADVICE_SHORT], "of the 31 pairs of columns that clearly depend"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_GOOD], "Pairs of columns go together"));

    memset(all, 0, sizeof *all);
    set_number(record, "fidelity", "column_shapes", 0.99);
    /* Good as it is, other real rows are better, and dependences that are all kept are said to be. */
    (void)json_object_set_new((json_t *)sotto_record_get(record, "fidelity"), "control",
                              json_pack("{s:f}", "pair_trends", 0.98));
    (void)json_object_set((json_t *)sotto_record_get(record, "fidelity.mutual_information"), "synthetic",
                          (json_t *)sotto_record_get(record, "fidelity.mutual_information.real"));
    set_score(record, "synthetic", 0.51); /* as the controls */
    (void)json_object_set_new((json_t *)sotto_record_get(record, "rows"), "test", json_null());
    json_t *attacks = (json_t *)sotto_record_get(record, "attacks.attacks");
    for (size_t i = 0; i < json_array_size(attacks); i++)
        (void)json_object_set_new(json_array_get(attacks, i), "verdict", json_string("no excess"));
    sotto_advice_give(record, collect, all);
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_GOOD], "about as much as other real rows"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_GOOD], "None of 5 attacks"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_GOOD], "All 31 pairs"));
    ck_assert_ptr_nonnull(
        strstr(all->text[SOTTO_ADVICE_SHORT], "Relations between columns are kept in part"));
    ck_assert_ptr_nonnull(
        strstr(all->text[SOTTO_ADVICE_SHORT], "no better than where the target has nothing to do"));
    ck_assert_ptr_nonnull(strstr(all->text[SOTTO_ADVICE_NEXT], "--test"));
    ck_assert_ptr_null(strstr(all->text[SOTTO_ADVICE_NEXT], "leak"));
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_null(strcasestr(all->text[i], "safe"));
    json_decref(record);
    free(all);
}
END_TEST

/* ----------------------------------------------------------------- writing */

static void put_file(const char *folder, const char *name, const char *vector_name)
{
    char path[512], *text = vector_text(vector_name);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(sotto_file_write(path, 0600, text, strlen(text), NULL), SOTTO_OK);
    free(text);
}

static void expect_private_file(const char *folder, const char *name, const char *words)
{
    char path[512], *text;
    struct stat about;
    size_t length;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0600);
    ck_assert_int_eq(sotto_file_read(path, 1 << 24, &text, &length, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(strstr(text, words));
    free(text);
}

START_TEST(pages_are_written_for_the_owner_alone)
{
    char *folder = make_folder(), release[300], private[300];
    sotto_error err = {0};
    (void)snprintf(release, sizeof release, "%s/release", folder);
    (void)snprintf(private, sizeof private, "%s/private", folder);
    ck_assert_int_eq(mkdir(release, 0700), 0);
    ck_assert_int_eq(mkdir(private, 0700), 0);
    look_in("/nowhere");
    ck_assert_int_eq(sotto_report_evaluation_write(private, &err), SOTTO_ERROR_INPUT);
    put_file(private, "evaluation.json", "evaluation.json");
    ck_assert_int_eq(sotto_report_evaluation_write(private, &err), SOTTO_OK);
    expect_private_file(private, "report.html", "nothing is known of ε");
    put_file(private, "metrics.json", "evaluation_metrics.json");
    put_file(release, "privacy.json", "privacy.json");
    ck_assert_int_eq(sotto_report_evaluation_write(private, &err), SOTTO_OK);
    expect_private_file(private, "report.html", "ε = 0.99984 at δ = 1e-5");
    ck_assert_int_eq(sotto_report_sweep_write(folder, &err), SOTTO_ERROR_INPUT);
    put_file(folder, "sweep.json", "sweep.json");
    ck_assert_int_eq(sotto_report_sweep_write(folder, &err), SOTTO_OK);
    expect_private_file(folder, "sweep.html", "28.41");
    put_file(folder, "sweep.json", "privacy.json");
    ck_assert_int_eq(sotto_report_sweep_write(folder, &err), SOTTO_ERROR_INPUT);
    expect_private_file(folder, "sweep.html", "28.41"); /* the old page stays whole */
    remove_folder(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report-pages");
    TCase *contents = tcase_create("contents");
    tcase_add_test(contents, an_evaluation_is_shown);
    tcase_add_test(contents, what_a_run_spent_is_shown);
    tcase_add_test(contents, attacks_are_told_apart_in_text);
    tcase_add_test(contents, a_sweep_is_shown);
    tcase_add_test(contents, texts_fit_a_terminal);
    tcase_add_test(contents, what_was_skipped_says_why);
    tcase_add_test(contents, not_private_is_said);
    tcase_add_test(contents, advice_follows_the_figures);
    tcase_add_test(contents, pages_are_written_for_the_owner_alone);
    tcase_set_timeout(contents, 120);
    suite_add_tcase(suite, contents);
    suite_add_tcase(suite, drawn_case());
    suite_add_tcase(suite, pages_hostility_case());
    return run_suite(suite);
}
