/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_H
#define SOTTO_BASE_H

/**
 * base: what every room stands on. Arenas, random streams, files. Knows nothing of tables, networks or
 * privacy.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sotto/status.h"

/**
 * Marks a loop-heavy function to be compiled once for each vector width; the dynamic linker chooses. Needs
 * GCC and the GNU C library's indirect functions; sanitizers that run before relocation is done cannot have
 * them.
 */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) &&                 \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SOTTO_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SOTTO_WIDE
#endif

/* ------------------------------------------------------------------ arenas */

/** Memory that is freed all at once. One arena per object; nothing is allocated inside a training step. */
typedef struct sotto_arena sotto_arena;

sotto_status sotto_arena_create(sotto_arena **arena, sotto_error *err);

/** Free everything the arena gave out. NULL is allowed. */
void sotto_arena_destroy(sotto_arena *arena);

/**
 * `count` zeroed elements of `size` bytes, aligned to 64 bytes, owned by the arena.
 * NULL (and `err` filled, SOTTO_ERROR_MEMORY) where memory is short or count × size overflows. A count of 0
 * gives a valid pointer that must not be read.
 */
void *sotto_arena_take(sotto_arena *arena, size_t count, size_t size, sotto_error *err);

/** A copy of the first `length` bytes of `text`, with a terminating NUL, owned by the arena; NULL as above.
 */
char *sotto_arena_copy(sotto_arena *arena, const char *text, size_t length, sotto_error *err);

/* ---------------------------------------------------------- random streams */

/**
 * The root of all randomness of one process: 32 bytes of operating-system entropy in memory that is locked
 * where the system allows, wiped on destruction, zeroed in a forked child and kept out of core dumps.
 * (libcrypto's own copy of a stream's round keys lies on the ordinary heap while the stream lives; it is
 * wiped when the stream is destroyed.)
 */
typedef struct sotto_random sotto_random;

/** What a stream is for. Streams of different purposes, or of one purpose created twice, never share a key.
 */
typedef enum sotto_purpose {
    SOTTO_PURPOSE_SAMPLING = 1,   /**< the coins of Poisson sampling */
    SOTTO_PURPOSE_NOISE,          /**< the noise of a mechanism */
    SOTTO_PURPOSE_GENERATION,     /**< latent vectors, Gumbel draws, decoding: post-processing */
    SOTTO_PURPOSE_INITIALISATION, /**< parameters before training */
    SOTTO_PURPOSE_SPLIT,          /**< train / holdout coins */
} sotto_purpose;

/** One AES-256-CTR key stream. Not thread-safe: one stream, one thread at a time. */
typedef struct sotto_stream sotto_stream;

/** A root keyed by the operating system. SOTTO_ERROR_ENTROPY where it gives none. Caller destroys. */
sotto_status sotto_random_create(sotto_random **random, sotto_error *err);

/**
 * A root keyed by `seed` alone, for tests and benchmarks: whatever is made with it is NOT PRIVATE (rule P9),
 * and `sotto_random_is_private` says so to everyone who writes an artefact.
 */
sotto_status sotto_random_create_insecure_for_tests(sotto_random **random, uint64_t seed, sotto_error *err);

void sotto_random_destroy(sotto_random *random);
bool sotto_random_is_private(const sotto_random *random);

/** A new stream with a key of its own: SHA-256(root, purpose, how many streams were made before). Caller
 * destroys. */
sotto_status sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                 sotto_error *err);
void sotto_stream_destroy(sotto_stream *stream);

/**
 * Replace the stream's key by SHA-256(key, 32 fresh bytes of OS entropy): called once in each private step,
 * so that a captured state tells nothing of later steps. With a test root no entropy is mixed in and the
 * stream goes on.
 */
sotto_status sotto_stream_refresh(sotto_stream *stream, sotto_error *err);

/** Fill `bytes`. Cannot fail: a failure of libcrypto here ends the process (nothing private may go on). */
void sotto_stream_bytes(sotto_stream *stream, void *bytes, size_t count);

/** A uniform 64-bit integer. */
uint64_t sotto_stream_u64(sotto_stream *stream);

/** A uniform double in (0, 1): (k + ½)·2⁻⁵², k in [0, 2⁵²), exact; never 0, and never 1. */
double sotto_stream_uniform(sotto_stream *stream);

/** A uniform integer in [0, bound), bound ≥ 1, without modulo bias. */
uint64_t sotto_stream_below(sotto_stream *stream, uint64_t bound);

/** True with probability floor(probability·2⁶⁴)/2⁶⁴ (exactly 1 for probability ≥ 1): never more often than
 * asked. */
bool sotto_stream_coin(sotto_stream *stream, double probability);

/**
 * `count` floating-point Gaussian draws, mean 0, standard deviation `scale`, written to `out`.
 * Box–Muller on 52-bit uniforms, evaluated in float64, so the tail ends near 8.5 standard deviations.
 */
void sotto_stream_gaussian(sotto_stream *stream, double scale, float *out, size_t count);

/** 2·`pairs` draws from 2·`pairs` 64-bit words: the plain version, libm's logarithm, sine and cosine. */
void sotto_gaussian_plain(const uint64_t *bits, size_t pairs, double scale, float *out);

/** The same, vectorised, the functions by polynomials: within 2 units in the last place of the plain one's
 * floats. */
void sotto_gaussian_fast(const uint64_t *bits, size_t pairs, double scale, float *out);

/* ------------------------------------------------------------------- files */

/** A whole file in memory, NUL-terminated beyond `length`; caller frees. Larger than `limit` bytes is
 * SOTTO_ERROR_INPUT. */
sotto_status sotto_file_read(const char *path, size_t limit, char **bytes, size_t *length, sotto_error *err);

/** A file that appears under its name whole or not at all: written beside it, synced, then renamed. */
typedef struct sotto_atomic_file sotto_atomic_file;

/** Start writing `path`; the final mode is exactly `mode` whatever the umask. */
sotto_status sotto_atomic_file_open(sotto_atomic_file **file, const char *path, unsigned mode,
                                    sotto_error *err);

/** Where to write. Errors are sticky and reported by commit. */
FILE *sotto_atomic_file_stream(sotto_atomic_file *file);

/** Flush, sync, rename, sync the directory; frees `file` in every case. */
sotto_status sotto_atomic_file_commit(sotto_atomic_file *file, sotto_error *err);

/** Remove the unfinished file and free `file`. NULL is allowed. */
void sotto_atomic_file_abandon(sotto_atomic_file *file);

/** Write `length` bytes atomically. */
sotto_status sotto_file_write(const char *path, unsigned mode, const void *bytes, size_t length,
                              sotto_error *err);

/** SHA-256 of `bytes` as 64 hex digits and a NUL. */
void sotto_sha256_hex(const void *bytes, size_t length, char hex[65]);

/** SHA-256 of a file's bytes, read in pieces. */
sotto_status sotto_sha256_file(const char *path, char hex[65], sotto_error *err);

#endif
