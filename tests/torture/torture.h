/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TORTURE_H
#define TORTURE_H

/* Descriptors from here on are the instruments' own: the trace's, which injected faults must leave alone. */
enum { TORTURE_DESCRIPTORS = 900 };

#endif
