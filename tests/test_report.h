/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_REPORT_H
#define TEST_REPORT_H

/* What the tests of the report share. */
#include <check.h>

#include "report/report.h"

/* Check takes note of every assertion that holds; here there is one for each character. */
#define EXPECT(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg(__VA_ARGS__);                                                                       \
    } while (0)

/** tests/vectors/report/privacy.json, a sound record; read and freed by the two fixtures. */
extern char *golden;
void read_golden(void);
void free_golden(void);
json_t *golden_record(void);

/** sotto_report_html or sotto_report_text. */
typedef sotto_status form(const char *json, char **out, sotto_error *err);

/** One form of a record, the caller's to free; takes the record. */
char *show(form *make, json_t *record);

/** A record as JSON, the caller's to free. */
char *dump(const json_t *record);

/** A small strict reader: every tag that opens closes, in order; no bare & or <; no control characters. */
void expect_well_formed(const char *page);

TCase *figures_case(void);
TCase *hostility_case(void);

#endif
