/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_H
#define SOTTO_BASE_H

/**
 * base: what every room stands on. Arenas, random streams, processes, files. Knows nothing of tables,
 * networks or privacy.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "base/state.h"
#include "base/trace.h"
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
 * where the system allows and kept out of core dumps. It is wiped on destruction, in every forked child and
 * when the process exits, and so are the streams, with libcrypto's own copies of their round keys. Those lie
 * on the ordinary heap while a stream lives: `sotto_random_forbid_dumps` keeps them off disks too.
 *
 * When the process exits no thread may be using a stream.
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
    SOTTO_PURPOSE_MASKS,          /**< seeds of dropout */
    SOTTO_PURPOSE_EVALUATION,     /**< samples, controls and attacks of an evaluation: nothing is released */
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

/**
 * Forbid core dumps of this process for good, and on Linux other processes' looking into it. For a command to
 * call before it makes keys; SOTTO_ERROR_IO where the system refuses.
 */
sotto_status sotto_random_forbid_dumps(sotto_error *err);

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
 * `count` coins, each as `sotto_stream_coin`'s: 1 in `heads` with probability floor(probability·2⁶⁴)/2⁶⁴,
 * else 0. Takes two bytes of the stream for most of them, and does the same work for heads and for tails.
 */
void sotto_stream_coins(sotto_stream *stream, double probability, uint8_t *heads, size_t count);

/**
 * True with probability exp(−(whole + part/of)), part ≤ of, of ≥ 1: exactly, by comparing uniform integers
 * (Canonne, Kamath and Steinke 2020, Algorithm 1). How long it takes grows with what comes out.
 */
bool sotto_stream_exp_coin(sotto_stream *stream, uint64_t whole, uint64_t part, uint64_t of);

/* ------------------------------------------------------------------- noise */

/** The standard deviation of all noise, in grid units: what a grid unit is worth adapts instead. */
#define SOTTO_NOISE_STD_LOG2 27
#define SOTTO_NOISE_STD      (INT32_C(1) << SOTTO_NOISE_STD_LOG2)

/** No draw of noise is farther from zero than this: 13.125 standard deviations. */
#define SOTTO_NOISE_LIMIT (INT32_C(105) << (SOTTO_NOISE_STD_LOG2 - 3))

/**
 * log₂ of an upper bound on the total variation between one draw of `sotto_stream_discrete_gaussian`, its
 * random words being uniform, and the discrete Gaussian. Proof: docs/exact-mode.md, "The noise".
 */
#define SOTTO_NOISE_TOTAL_VARIATION_LOG2 (-117)

/**
 * log₂ of an upper bound on the total variation between one such draw and N(0, σ² − 1/12) rounded to the
 * nearest integer, σ = SOTTO_NOISE_STD: what lets accountants of the continuous Gaussian speak of the draw. η
 * for each of n draws costs (1 + e^ε)·n·η of δ. Proof: the same place.
 */
#define SOTTO_NOISE_ROUNDED_TOTAL_VARIATION_LOG2 (-115)

/**
 * What draws of exact noise cost of δ beyond the continuous mechanism that the accountant charges: each lies
 * within a proved total variation η of rounded continuous noise, and n of them cost (1 + e^ε)·n·η. Rounded
 * up.
 */
double sotto_noise_delta(double epsilon, double draws);

/**
 * `count` draws of the discrete Gaussian on the integers, P(x) ∝ exp(−x²/2σ²), σ = SOTTO_NOISE_STD. What
 * comes out depends on the stream and on `count` alone, not on the processor.
 */
void sotto_stream_discrete_gaussian(sotto_stream *stream, int32_t *out, size_t count);

/**
 * One draw of the discrete Gaussian with any integer variance in [1, 2⁵⁴], in exact rational arithmetic
 * (Canonne, Kamath and Steinke 2020, Algorithms 1 to 3): slow, and what the fast one is held against.
 */
int64_t sotto_stream_discrete_gaussian_reference(sotto_stream *stream, uint64_t variance);

/**
 * `count` floating-point draws: scale/2²⁷ times discrete Gaussian ones, each rounded to float once. They lie
 * on a grid of scale/2²⁷ as far as a float resolves it, and end where SOTTO_NOISE_LIMIT says.
 */
void sotto_stream_gaussian(sotto_stream *stream, double scale, float *out, size_t count);

/* ------------------------------------------------------ a process of its own */

/**
 * Call `work(context, result)` in a forked process, for a library that ends its process where memory is
 * short. What `work` does to memory is lost with that process, but for `result` [bytes], zeroed, which is
 * copied out where `work` gave true. It has the memory of the thread that called and none of its files: it
 * cannot print, nor touch a run's directory or a ledger, nor draw a random number. It leaves no core dump,
 * and dies with its parent where the system can do that (Linux).
 *
 * SOTTO_ERROR_MEMORY where no process could be made, where it ended before `work` did, and where `work` gave
 * false; the message names `what`. Threads may call it at once.
 */
sotto_status sotto_apart(bool (*work)(void *context, void *result), void *context, void *result, size_t bytes,
                         const char *what, sotto_error *err);

/* ------------------------------------------------------------------- files */

/** A whole file in memory, NUL-terminated beyond `length`; caller frees. Larger than `limit` bytes is
 * SOTTO_ERROR_INPUT. */
sotto_status sotto_file_read(const char *path, size_t limit, char **bytes, size_t *length, sotto_error *err);

/**
 * Text that grows as a stream is written; closing the stream ends it. `*text` and `*length`, which must stay
 * where they are till then, hold what was flushed, and a NUL beyond it. Where memory runs short the stream's
 * error is set, and stays; fclose then gives EOF and `*text` is NULL. The caller frees it. NULL where there
 * is no memory to begin with.
 */
FILE *sotto_memory_open(char **text, size_t *length);

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

/** Make the name `path` durable in its folder. SOTTO_ERROR_IO. */
sotto_status sotto_folder_sync(const char *path, sotto_error *err);

/** Remove what writers of `path` that were killed have left beside it, as far as that can be done. For who
 * alone may write there: the unfinished file of another one is not told from theirs. */
void sotto_atomic_file_clear(const char *path);

/** Write `length` bytes atomically. */
sotto_status sotto_file_write(const char *path, unsigned mode, const void *bytes, size_t length,
                              sotto_error *err);

/** SHA-256, of pieces as they come. Allocates nothing and cannot fail. */
typedef struct sotto_hash {
    uint64_t opaque[16];
} sotto_hash;

void sotto_hash_begin(sotto_hash *hash);
void sotto_hash_add(sotto_hash *hash, const void *bytes, size_t length);

/** The digest; wipes the state. */
void sotto_hash_end(sotto_hash *hash, unsigned char digest[32]);

/** The same as 64 hex digits and a NUL. */
void sotto_hash_hex(sotto_hash *hash, char hex[65]);

/** SHA-256 of `bytes` as 64 hex digits and a NUL. */
void sotto_sha256_hex(const void *bytes, size_t length, char hex[65]);

/** SHA-256 of a file's bytes, read in pieces. */
sotto_status sotto_sha256_file(const char *path, char hex[65], sotto_error *err);

#endif
