/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Pictures: what gnuplot is told, what is made of its answer, and what a browser makes of that. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test_report_pages.h"

enum { EVALUATION_PICTURES = 25, SWEEP_PICTURES = 4 };

static size_t pictures_in(const char *page)
{
    return occurrences(page, "<svg class=\"picture\"");
}

/* A program called gnuplot in a folder of its own. */
static char *fake_gnuplot(const char *script)
{
    char *folder = make_folder(), path[256];
    (void)snprintf(path, sizeof path, "%s/gnuplot", folder);
    ck_assert_int_eq(sotto_file_write(path, 0755, script, strlen(script), NULL), SOTTO_OK);
    return folder;
}

START_TEST(pictures_are_drawn)
{
    static const char *const forbidden[] = {"<script", "http:", "https:", "src=",    "url(", "@import",
                                            "<link",   "<use",  "xlink",  "Gnuplot", "rgb("};
    if (!have_gnuplot()) {
        printf("gnuplot is not installed: pictures are not drawn\n");
        return;
    }
    char *pages[] = {page_of(evaluation_page, vector("evaluation.json")),
                     page_of(sotto_report_sweep_html, vector("sweep.json"))};
    ck_assert_uint_eq(pictures_in(pages[0]), EVALUATION_PICTURES);
    ck_assert_uint_eq(pictures_in(pages[1]), SWEEP_PICTURES);
    for (size_t i = 0; i < 2; i++) {
        expect_well_formed(pages[i]);
        for (size_t k = 0; k < sizeof forbidden / sizeof *forbidden; k++)
            ck_assert_msg(strstr(pages[i], forbidden[k]) == NULL, "%s", forbidden[k]);
        ck_assert_uint_eq(occurrences(pages[i], "role=\"img\""), occurrences(pages[i], "<svg"));
        ck_assert_ptr_nonnull(
            strstr(pages[i], "stroke:var(--synthetic)") ? pages[i] : strstr(pages[i], "var(--series-1)"));
        ck_assert_ptr_null(strstr(pages[i], "has no pictures"));
        free(pages[i]);
    }
}
END_TEST

/* Each id once: references go by it. */
START_TEST(ids_are_unique)
{
    char *page = page_of(evaluation_page, vector("evaluation.json"));
    for (const char *at = page; (at = strstr(at, " id=\"")); at++) {
        char id[64];
        (void)snprintf(id, sizeof id, "%.*s", (int)(strcspn(at + 5, "\"") + 6), at);
        ck_assert_msg(occurrences(page, id) == 1, "%s occurs again", id);
    }
    free(page);
}
END_TEST

START_TEST(without_gnuplot_tables_stand)
{
    look_in("/nowhere");
    for (size_t i = 0; i < FORMS; i += 2) {
        char *page = page_of(forms[i], vector(i ? "sweep.json" : "evaluation.json"));
        ck_assert_uint_eq(pictures_in(page), 0);
        ck_assert_uint_eq(occurrences(page, "has no pictures"), 1);
        ck_assert_ptr_null(strstr(page, "<figure"));
        ck_assert_uint_gt(occurrences(page, "<table"), 1);
        expect_well_formed(page);
        free(page);
    }
    look_in(NULL);
}
END_TEST

static const char hostile_name[] =
    "HOSTILE`touch /tmp/x`\"'$(id)\n set output '/tmp/x'\nsystem('id') {/Symbol a}^_<b>&%s @ \\";

/* Texts that say what a record means, and not what it is about. */
static bool is_word(const char *key)
{
    static const char *const words[] = {"format", "task", "measure", "model", "trained_on", "metric", "key"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(key, words[i]) == 0)
            return true;
    return false;
}

static void set_names(json_t *value)
{
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
        json_t *inner = json_object_iter_value(at);
        if (json_is_string(inner) && !is_word(json_object_iter_key(at)))
            (void)json_object_iter_set_new(value, at, json_string(hostile_name));
        else
            set_names(inner);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_is_string(json_array_get(value, i)))
            (void)json_array_set_new(value, i, json_string(hostile_name));
        else
            set_names(json_array_get(value, i));
}

/* gnuplot is told numbers and tokens; no text of the record reaches it. */
START_TEST(no_text_of_a_record_reaches_gnuplot)
{
    for (size_t i = 0; i < FORMS; i += 2) {
        char script[512], *told;
        size_t length;
        char *folder = fake_gnuplot("#!/bin/sh\nexec /bin/cat >\"${0%/*}/told\"\n");
        json_t *record = vector(i ? "sweep.json" : "evaluation.json");
        set_names(record);
        look_in(folder);
        free(page_of(forms[i], record));
        (void)snprintf(script, sizeof script, "%s/told", folder);
        ck_assert_int_eq(sotto_file_read(script, 1 << 24, &told, &length, NULL), SOTTO_OK);
        ck_assert_uint_gt(occurrences(told, "set terminal svg"), 3);
        ck_assert_ptr_null(strstr(told, "HOSTILE"));
        ck_assert_ptr_null(strpbrk(told, "`@\\{}&"));
        ck_assert_ptr_null(strstr(told, "system"));
        ck_assert_ptr_null(strstr(told, "output"));
        for (const char *at = told; *at; at++)
            EXPECT((*at >= 0x20 && *at < 0x7F) || *at == '\n', "byte %d", *at);
        free(told);
        remove_folder(folder);
    }
}
END_TEST

START_TEST(hostile_names_are_drawn_as_they_are)
{
    json_t *record = vector("evaluation.json");
    set_names(record);
    char *page = page_of(evaluation_page, record);
    expect_well_formed(page);
    ck_assert_uint_eq(pictures_in(page), have_gnuplot() ? EVALUATION_PICTURES : 0);
    if (have_gnuplot()) /* a label of a picture, cut and escaped */
        ck_assert_ptr_nonnull(strstr(page, "<text>HOSTILE`touch…</text>"));
    free(page);
}
END_TEST

/* What answers in gnuplot's place is not believed. */
START_TEST(a_false_gnuplot_does_no_harm)
{
    static const char *const scripts[] = {
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\nexec /bin/cat >/dev/null\n",
        "#!/bin/sh\n/bin/cat >/dev/null; echo '<svg><script>alert(1)</script></svg>'\n",
        "#!/bin/sh\n/bin/cat >/dev/null; for i in 1 2 3 4; do echo '<svg><g></svg>'; done\n",
        "#!/bin/sh\n/bin/cat >/dev/null; for i in 1 2 3 4; do echo '<svg><g></path></svg>'; done\n",
        "#!/bin/sh\nexec 0<&- 1>&-; exec /bin/sleep 1000\n",
        "no program at all",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char *folder = fake_gnuplot(scripts[i]);
        const time_t start = time(NULL);
        look_in(folder);
        char *page = page_of(sotto_report_sweep_html, vector("sweep.json"));
        ck_assert_msg(pictures_in(page) == 0, "script %zu", i);
        ck_assert_ptr_null(strstr(page, "alert"));
        expect_well_formed(page);
        ck_assert_int_lt(time(NULL) - start, 20);
        free(page);
        remove_folder(folder);
    }
}
END_TEST

/* Known shapes and harmless attributes are written again, and nothing else. */
START_TEST(svg_is_taken_apart)
{
    char *folder = fake_gnuplot(
        "#!/bin/sh\n/bin/cat >/dev/null; for i in 1 2 3 4; do /bin/cat <<'END'\n"
        "<?xml version='1.0'?><svg x='1'><!-- c --><style>*{}</style><defs><path d='M0'/></defs>\n"
        "<g onclick='alert(1)' id='a' fill='url(#x)' stroke='rgb(  4, 100,  90)'><path d='M1,1 L2,2' class='k' "
        "style='x:y'/><a href='http://x'>no</a><use xlink:href='#gpPt6' transform='translate(1,2)' color='black'/>"
        "<text>Q0Q</text><text>alert 12 %</text><image src='x'/></g></svg>\nEND\ndone\n");
    look_in(folder);
    char *page = page_of(sotto_report_sweep_html, vector("sweep.json"));
    ck_assert_uint_eq(pictures_in(page), SWEEP_PICTURES);
    ck_assert_uint_eq(occurrences(page, "<path d=\"M1,1 L2,2\"/>"), SWEEP_PICTURES);
    ck_assert_uint_eq(occurrences(page, "stroke:var(--real);"), SWEEP_PICTURES);
    static const char *const gone[] = {"alert", "onclick", "#x",          "http:", "<image",
                                       "<defs", "*{}",     "class=\"k\"", "x:y"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        ck_assert_msg(strstr(page, gone[i]) == NULL, "%s", gone[i]);
    expect_well_formed(page);
    free(page);
    remove_folder(folder);
}
END_TEST

/* A program in the working folder, or in a relative one, is nobody's gnuplot. */
START_TEST(only_absolute_folders_are_searched)
{
    char *folder = fake_gnuplot("#!/bin/sh\n"), path[300], here[4096];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(folder), 0);
    look_in(".");
    ck_assert(!have_gnuplot());
    look_in(":../:");
    ck_assert(!have_gnuplot());
    (void)snprintf(path, sizeof path, ".:%s", folder);
    look_in(path);
    ck_assert(have_gnuplot());
    ck_assert_int_eq(chdir(here), 0);
    remove_folder(folder);
}
END_TEST

/* Figures at the ends of what is allowed still give pictures, or leave out their own alone. */
START_TEST(extreme_figures_are_drawn)
{
    if (!have_gnuplot())
        return;
    static const double values[] = {0, 1, 5e-324, 1e-12};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
        json_t *record = vector("sweep.json"), *groups = json_object_get(record, "groups");
        for (size_t i = 0; i < json_array_size(groups); i++) {
            json_t *figures = json_object_get(json_array_get(groups, i), "figures");
            for (void *at = json_object_iter(figures); at; at = json_object_iter_next(figures, at))
                (void)json_object_set_new(json_object_iter_value(at), "mean", json_real(values[k]));
        }
        char *page = page_of(sotto_report_sweep_html, record);
        ck_assert_uint_eq(pictures_in(page), SWEEP_PICTURES);
        free(page);
    }
    static const double extremes[] = {1e300, -1e300, 1e15, 1e-300};
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
        json_t *record = vector("sweep.json");
        json_t *spread =
            (json_t *)sotto_record_get(json_array_get(json_object_get(record, "groups"), 0), "figures.auc");
        (void)json_object_set_new(spread, "mean", json_real(extremes[k]));
        char *page = page_of(sotto_report_sweep_html, record);
        ck_assert_msg(pictures_in(page) >= SWEEP_PICTURES - 1, "%g: %zu pictures", extremes[k],
                      pictures_in(page));
        expect_well_formed(page);
        free(page);
    }
}
END_TEST

static void save(const char *folder, const char *name, char *page)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(sotto_file_write(path, 0600, page, strlen(page), NULL), SOTTO_OK);
    free(page);
}

static char *whole_evaluation(void)
{
    json_t *record = vector("evaluation.json"), *metrics = vector("evaluation_metrics.json");
    json_t *privacy = vector("privacy.json");
    char *texts[] = {json_dumps(record, 0), json_dumps(metrics, 0), json_dumps(privacy, 0)}, *page;
    ck_assert_int_eq(sotto_report_evaluation_html(texts[0], texts[1], texts[2], &page, NULL), SOTTO_OK);
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
    json_decref(record);
    json_decref(metrics);
    json_decref(privacy);
    return page;
}

/* As people see them: scripts/check-pages says what it looks for. */
START_TEST(a_browser_finds_no_fault)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char *folder = make_folder(), command[1024];
    if (!have_gnuplot()) {
        printf("gnuplot is not installed: the browser's look is skipped\n");
        remove_folder(folder);
        return;
    }
    save(folder, "evaluation.html", whole_evaluation());
    save(folder, "sweep.html", page_of(sotto_report_sweep_html, vector("sweep.json")));
    (void)snprintf(command, sizeof command, "'%s/scripts/check-pages' --charts %d '%s'/*.html",
                   root ? root : ".", SWEEP_PICTURES, folder);
    const int status = system(command);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 77 || code == 127)
        printf("no Chromium or no Python is installed: the browser's look is skipped\n");
    else
        ck_assert_int_eq(code, 0);
    remove_folder(folder);
}
END_TEST

TCase *drawn_case(void)
{
    TCase *drawn = tcase_create("drawn");
    tcase_set_timeout(drawn, 180);
    tcase_add_test(drawn, pictures_are_drawn);
    tcase_add_test(drawn, ids_are_unique);
    tcase_add_test(drawn, without_gnuplot_tables_stand);
    tcase_add_test(drawn, no_text_of_a_record_reaches_gnuplot);
    tcase_add_test(drawn, hostile_names_are_drawn_as_they_are);
    tcase_add_test(drawn, a_false_gnuplot_does_no_harm);
    tcase_add_test(drawn, svg_is_taken_apart);
    tcase_add_test(drawn, only_absolute_folders_are_searched);
    tcase_add_test(drawn, extreme_figures_are_drawn);
    tcase_add_test(drawn, a_browser_finds_no_fault);
    return drawn;
}
