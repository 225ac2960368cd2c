/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_TRACE_H
#define SOTTO_BASE_TRACE_H

/*
 * What the torture tests hold the ledger against: each access to real rows, told once it has been made, and
 * the key stream behind each block of noise. Nobody's but `sotto-traced`, a build of the command for those
 * tests; in the product every line of it compiles to nothing.
 */
#ifdef SOTTO_TRACE

#include <stddef.h>
#include <stdint.h>

/* Compiles what it is given in the traced command alone. */
#define SOTTO_TRACED(...) __VA_ARGS__

/* Rows were touched under a charge of `count` uses by this label: asked of no budget and no ledger. */
void sotto_trace_access(const char *label, uint64_t count);

/* `count` bytes of the key stream of noise or of sampling coins are about to be used. */
void sotto_trace_key_stream(const unsigned char *bytes, size_t count);

#else
#define SOTTO_TRACED(...)
#endif

#endif
