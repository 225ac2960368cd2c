/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_EXACT_CHECK_H
#define SOTTO_DPSGD_EXACT_CHECK_H

/* Inside this room: what exact arithmetic rests on, looked at where it runs. */

#include "dpsgd/dpsgd.h"

/**
 * Whether on this CPU one example's contribution is the same bits alone and at other places of a chunk, among
 * neighbours of any kind: the premise of exact sums. With made-up parameters, rows given whole and by their
 * entries, and dropout on. Takes milliseconds. SOTTO_ERROR_NUMERIC where it is not:
 * exact arithmetic is then refused, never replaced by another.
 */
sotto_status sotto_exact_check(const sotto_network *network, size_t views, size_t penalties,
                               sotto_error *err);

#endif
