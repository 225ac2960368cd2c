/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_RUN_H
#define TEST_RUN_H

/* What the run room's tests share: a scratch folder with a little table, its schema and a config. */
#include <check.h>
#include <jansson.h>

#include "run/run.h"

enum { ROWS = 600 };
extern const char sentinel[]; /* stands in bad cells; must never be quoted */
extern const char schema[];
extern const char config[];

/* A path in the scratch folder; the last eight stay valid. */
const char *at(const char *name);

/* Write and read a file there. */
void put(const char *name, const char *text);
char *get(const char *name);
bool exists(const char *name);

/* The table of ROWS rows; row `odd` (SIZE_MAX: none) gets `cell` in the pay column. */
void put_table(size_t shift, size_t odd, const char *cell);

/* A fresh folder with schema.yaml, config.yaml and table.csv. */
void set_up(void);
void tear_down(void);
sotto_run_options options_for(const char *output);

/* Train, want this status, give the summary (NULL: none). */
json_t *train_with(const sotto_run_options *options, sotto_status wanted);
json_t *read_json(const char *name);

/* The scene's ledger.db, made where it is not there; the caller closes it. */
sotto_ledger *open_ledger(void);

/* Charge what follows to a ledger of its own, of this name. */
void use_fresh_ledger(const char *name);

/* The statement of a run, without what a ledger draws at random: the names of run and ledger, and hashes. */
json_t *read_statement(const char *run);

/* A file of a run's directory in which these are crossed out; caller frees. */
char *get_crossed(const char *run, const char *file, size_t *length);

/* The number at json[first], or json[first][second]. */
double number(const json_t *json, const char *first, const char *second);

/* Every synthetic row is valid under the schema by the strict reader, and there are as many as asked for. */
void check_rows(const char *name, size_t rows);

/* What a statement says was done with the rows, composed anew, is the ε it says, and about the budget (P2,
 * P7). Of Gaussian mechanisms alone, accounted for by Rényi curves. */
void check_charges(const json_t *statement, double budget);

/* Train as config.yaml says on two tables that differ in one row, with frozen noise: of all that lies in
 * release/ nothing may differ but what a mechanism made, and the hashes of that (P12). */
void check_neighbours(void);

TCase *input_tests(void);     /* test_run_input.c */
TCase *noise_tests(void);     /* test_run_noise.c */
TCase *figures_tests(void);   /* test_run_figures.c */
TCase *select_tests(void);    /* test_run_select.c */
TCase *sweep_tests(void);     /* test_run_sweep.c */
TCase *releases_tests(void);  /* test_run_releases.c */
TCase *vae_tests(void);       /* test_run_vae.c */
TCase *balance_tests(void);   /* test_run_balance.c */
TCase *units_tests(void);     /* test_run_units.c */
TCase *gan_tests(void);       /* test_run_gan.c */
TCase *parts_tests(void);     /* test_run_parts.c */
TCase *diverging_tests(void); /* test_run_diverging.c */
TCase *ctgan_tests(void);     /* test_run_ctgan.c */
TCase *resume_tests(void);    /* test_run_resume.c */
TCase *stays_tests(void);     /* test_run_stays.c */
TCase *caps_tests(void);      /* test_run_caps.c */

#endif
