/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_STREAMS_H
#define TEST_STREAMS_H

/*
 * The random streams that are alive in a test program, which is linked with --wrap of what makes and destroys
 * them: so that a test can change them under the objects that hold them, as a new process would, and look at
 * their keys.
 */

#include <check.h>

#include "base/base.h"

/** Of the linker, for every program that has streams.c. */
sotto_status __real_sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                        sotto_error *err);
void __real_sotto_stream_destroy(sotto_stream *stream);
sotto_status __wrap_sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                        sotto_error *err);
void __wrap_sotto_stream_destroy(sotto_stream *stream);
sotto_status __real_sotto_stream_refresh(sotto_stream *stream, sotto_error *err);
sotto_status __wrap_sotto_stream_refresh(sotto_stream *stream, sotto_error *err);

/** How many streams were made so far that are alive. */
size_t streams_alive(void);

/** Put in the place of each stream that is alive, from number `first` on, a new one of a root of `seed`:
 * equal ones for equal numbers of equal purposes. Their owners destroy them. */
void streams_renew(size_t first, size_t count, uint64_t seed);

/** The first 32 bytes that stream `number` points to: its key, as streams_know_keys makes sure. */
const unsigned char *streams_key(size_t number);

/** All keys that there ever were, of roots and of streams, those that a stream was given later among them: 32
 * bytes each. */
const unsigned char *streams_keys(size_t *count);

/** Fail where streams do not begin with their keys. */
void streams_know_keys(void);

#endif
