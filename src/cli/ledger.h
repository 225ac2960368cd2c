/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_LEDGER_H
#define SOTTO_CLI_LEDGER_H

/** `sotto ledger`: what was asked, and how records of the ledger are said to people: tables on standard
 * output. */

#include <jansson.h>

#include "base/base.h"

/** What was asked. */
typedef struct sotto_ledger_request {
    const char *ledger, *unit, *why;
    double epsilon, delta;
    bool as_json, quiet;
    const char **operands; /**< the first is what to do; NULL after the last */
} sotto_ledger_request;

/** The ledger's path; the caller frees. */
sotto_status sotto_ledger_request_path(const sotto_ledger_request *wish, char **path, sotto_error *err);

/** The last word: a record, whose reference is taken, or an error. The exit status. */
int sotto_ledger_request_finish(const sotto_ledger_request *wish, sotto_status status, json_t *record,
                                void (*words)(const json_t *record), const sotto_error *err);

/** `sotto ledger verify`: the ledger, and each artefact, to the end. */
int sotto_ledger_request_verify(const sotto_ledger_request *wish);

void sotto_ledger_print_list(const json_t *record);
/** Of a data set, or of a run. */
void sotto_ledger_print_shown(const json_t *record);
/** Of a run, and what closing it gave back. */
void sotto_ledger_print_closed(const json_t *record);
void sotto_ledger_print_verified(const json_t *record);

#endif
