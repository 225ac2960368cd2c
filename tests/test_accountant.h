/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_TEST_ACCOUNTANT_H
#define SOTTO_TEST_ACCOUNTANT_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "sotto/accountant.h"

/** Rows of a table of tests/vectors/accounting, read one by one. */
typedef struct table table;

/** Ends the test with a message where the table is not there. */
table *table_open(const char *name);

/** The next row; false at the end, where the table is closed and at least `rows` rows must have been read. */
bool table_next(table *t, int rows);

/** A column of the row as text; "" where the field is empty. Ends the test where there is no such column. */
const char *table_text(const table *t, const char *column);

/** The same as a number; NAN where the field is empty. */
double table_number(const table *t, const char *column);

/** Constructors that must not fail. */
sotto_mechanism gaussian(double noise_multiplier);
sotto_mechanism sampled(double sample_rate, double noise_multiplier);

/** An accountant of one mechanism, or of none where count is 0. */
sotto_accountant *composed(sotto_mechanism mechanism, uint64_t count);

/** Compose what a table writes: "sgm:q:σ:steps", "gauss:σ:count", "laplace:b:count", joined by |. */
void compose_spec(sotto_accountant *accountant, const char *spec);

double epsilon_of(const sotto_accountant *accountant, double delta);
double delta_of(const sotto_accountant *accountant, double epsilon);

/** ε of `count` uses of one mechanism. */
double epsilon_for(sotto_mechanism mechanism, uint64_t count, double delta);

/** A reproducible number between low and high, uniform. */
double between(uint64_t *state, double low, double high);

/** 10 to a power between low and high. */
double power_between(uint64_t *state, double low, double high);

/** value / wanted − 1; 0 where both are the same, zero and infinity included. */
double excess(double value, double wanted);

/** H(e^loss) of one release in closed form, whichever way its privacy-loss distribution is seen (pld.h);
 * groups of at most 8. */
long double true_curve(const sotto_mechanism *mechanism, int direction, long double loss);

TCase *rdp_tests(void);
TCase *mechanism_tests(void);
TCase *group_tests(void);
TCase *selection_tests(void);
TCase *composition_tests(void);
TCase *budget_tests(void);
TCase *journal_tests(void);
TCase *calibration_tests(void);
TCase *cover_tests(void);
TCase *filter_tests(void);
TCase *hostility_tests(void);
TCase *pld_tests(void);
TCase *pld_grid_tests(void);
TCase *conformance_tests(void);
TCase *tradeoff_tests(void);

#endif
