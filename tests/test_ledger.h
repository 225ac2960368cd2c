/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_LEDGER_H
#define TEST_LEDGER_H

/* What the tests of the ledger share: a folder of their own, a table, plans, and what was refused. */
#include <check.h>

#include "ledger/inner.h"
#include "ledger/ledger.h"
#include "suite.h"

/** A new empty folder under TMPDIR, and no ledger named by the environment. */
void scene_begin(void);
/** Its files and itself. */
void scene_end(void);
/** "FOLDER/name", of the last few calls. */
const char *scene_path(const char *name);

/** The last error of any of the calls below. */
extern sotto_error err;

/** A copy of "FOLDER/from" as "FOLDER/to". */
void copy_file(const char *from, const char *to);

/** Open "FOLDER/name", which must succeed; with `create` make it. */
sotto_ledger *ledger_at(const char *name, bool create);
/** Opening it, which may fail. */
sotto_status try_ledger_at(const char *name, bool create, sotto_ledger **ledger);
/** Opening it is refused with these words. */
void expect_refused(const char *name, const char *words);

sotto_mechanism sampled(double rate, double noise);
sotto_mechanism gaussian(double noise);

/** A table in the scene: the hash is that of `content`. */
sotto_ledger_table table_of(const char *id, const char *content, const char *file);
/** A plan of one line, "steps". */
sotto_ledger_plan plan_of(const sotto_charge *charge);

/** Begin a run of the standard table and this charge; NULL with `err` where that is refused. */
sotto_ledger_run *begin(sotto_ledger *ledger, const sotto_charge *charge);
/** The same of another table. */
sotto_ledger_run *begin_on(sotto_ledger *ledger, sotto_ledger_table table, const sotto_charge *charge);

/** A call succeeds, and says why where not. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        err = (sotto_error){0};                                                                              \
        const sotto_status got_ = (call);                                                                    \
        ck_assert_msg(got_ == SOTTO_OK, "%s: %s: %s", #call, err.file, err.message);                         \
    } while (0)

/** A call is refused so, in these words. */
#define REFUSED(call, status, words)                                                                         \
    do {                                                                                                     \
        err = (sotto_error){0};                                                                              \
        ck_assert_int_eq(call, status);                                                                      \
        ck_assert_msg(strstr(err.message, words) || strstr(err.file, words), "%s: %s", err.file,             \
                      err.message);                                                                          \
    } while (0)

TCase *ledger_cap_case(void);
TCase *ledger_custody_case(void);
TCase *ledger_damage_case(void);
TCase *ledger_faults_case(void);
TCase *ledger_forged_case(void);
TCase *ledger_place_case(void);
TCase *ledger_run_case(void);

#endif
