/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_STATEMENT_H
#define SOTTO_RUN_STATEMENT_H

/* Inside this room: the parts of the privacy statement that tell of the real rows. */

#include "run/figures.h"

enum { SOTTO_STATEMENT_CLIPPING_SIZE = 480 };

/** Is each row a unit of privacy? */
bool sotto_statement_by_row(const sotto_training_record *record);

/** Whose presence is hidden, and which tables are neighbours. New references. */
json_t *sotto_statement_unit(const sotto_training_record *record);
json_t *sotto_statement_adjacency(const sotto_training_record *record);

/** What telling people apart by a column leaves open; nothing where each row is a unit. */
void sotto_statement_unit_gaps(const sotto_training_record *record, json_t *list);

/** How a unit's gradient is kept to its bound. */
void sotto_statement_clipping(const sotto_training_record *record, char text[SOTTO_STATEMENT_CLIPPING_SIZE]);

/** Every charge that was made: what for, how far one unit can move it, what it would cost alone. */
sotto_status sotto_statement_accesses(const sotto_training_record *record, json_t *list, sotto_error *err);

/** What else looks at real rows, and why it costs nothing. New reference. */
json_t *sotto_statement_uncharged(const sotto_training_record *record);

#endif
