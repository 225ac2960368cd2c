/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_CLI_H
#define TEST_CLI_H

/* What the tests of the command share: running it, and what it said. */
#include <check.h>

#include "cli/cli.h"

enum { MOST_OUTPUT = 1 << 16 };

typedef struct outcome {
    int status;
    char out[MOST_OUTPUT], err[MOST_OUTPUT];
} outcome;

/** Of the last run. */
extern outcome seen;

/** Run sotto with the words of one line, apart by blanks; gives the exit status. */
SOTTO_PRINTF(1, 2) int run(const char *format, ...);

/** A refusal: exit 2, one line on standard error that says `part`, nothing on standard output. */
void expect_usage(const char *part);

/** Exit 0 and JSON on standard output; the caller's reference. */
json_t *expect_json(void);

TCase *account_case(void);
TCase *bench_case(void);
TCase *compose_case(void);
TCase *evaluate_case(void);
TCase *keys_case(void);
TCase *ledger_case(void);
TCase *sample_case(void);

#endif
