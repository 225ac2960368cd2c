/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_LEDGER_H
#define SOTTO_CLI_LEDGER_H

/** How `sotto ledger` says records of the ledger to people: tables on standard output. */

#include <jansson.h>

void sotto_ledger_print_list(const json_t *record);
/** Of a data set, or of a run. */
void sotto_ledger_print_shown(const json_t *record);
void sotto_ledger_print_verified(const json_t *record);

#endif
