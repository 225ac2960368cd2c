/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_REPORT_PAGES_H
#define TEST_REPORT_PAGES_H

/* What the tests of the private pages share. */
#include "test_report.h"

/** A record of tests/vectors/report, the caller's to release; and one cut to two items of each list. */
json_t *vector(const char *name);
json_t *small_evaluation(void);
json_t *small_sweep(void);

/** The four forms: page and text of an evaluation and of a sweep. */
sotto_status evaluation_page(const char *json, char **out, sotto_error *err);
enum { FORMS = 4 };
extern form *const forms[FORMS];

/** A record of the kind that form `i` shows. */
json_t *small_record(size_t i);

/** One form of a record, the caller's to free. Takes the record. */
char *page_of(form *make, json_t *record);

/** How often a text occurs. */
size_t occurrences(const char *text, const char *part);

/** Look for programs in one folder alone; NULL: where the tests were started with. */
void look_in(const char *folder);
bool have_gnuplot(void);

/** A folder for scratch, and to remove it with all that is in it. */
char *make_folder(void);
void remove_folder(char *folder);

TCase *drawn_case(void);
TCase *pages_hostility_case(void);

#endif
