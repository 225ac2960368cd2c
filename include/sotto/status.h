/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_STATUS_H
#define SOTTO_STATUS_H

/**
 * Status codes and the error object: how every sotto function that can fail says so.
 *
 * A function that can fail returns `sotto_status` and takes `sotto_error *err` last. `err` may be NULL; where
 * it is not, it is written only on failure. A message names the subject, what was found, what was wanted and
 * the remedy. It never quotes a cell of private data (contract rule P15): row and column numbers and the
 * declared domain only.
 */

#include <stddef.h>

#if defined(__GNUC__)
#define SOTTO_API                __attribute__((visibility("default")))
#define SOTTO_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#define SOTTO_API
#define SOTTO_PRINTF(text, rest)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What became of a call. */
typedef enum sotto_status {
    SOTTO_OK = 0,
    SOTTO_ERROR_INPUT,   /**< the caller's argument, config, schema or table is wrong */
    SOTTO_ERROR_BUDGET,  /**< the privacy budget refuses */
    SOTTO_ERROR_IO,      /**< the operating system could not read or write */
    SOTTO_ERROR_MEMORY,  /**< out of memory, or a size that cannot be addressed */
    SOTTO_ERROR_NUMERIC, /**< a computation could not reach its promised accuracy */
    SOTTO_ERROR_ENTROPY, /**< the operating system gave no randomness; nothing private may go on */
    SOTTO_INTERRUPTED,   /**< the user asked to stop; what is done is saved */
    SOTTO_DIVERGED,      /**< training went nowhere and ended itself; what it spent is written down */
} sotto_status;

/** Where and why something failed. Plain data, owned by the caller; initialise with `{0}`. */
typedef struct sotto_error {
    sotto_status code;
    char file[256];    /**< the input file at fault, or "" */
    size_t line;       /**< 1-based; 0 where there is none */
    size_t column;     /**< 1-based; 0 where there is none */
    char message[640]; /**< one sentence or two, UTF-8, no trailing full stop or newline */
} sotto_error;

/** Fill `err` (may be NULL) and return `code`, so that a failing function can end in `return
 * sotto_error_set(…)`. */
SOTTO_API sotto_status sotto_error_set(sotto_error *err, sotto_status code, const char *format, ...)
    SOTTO_PRINTF(3, 4);

/** The same with the place in an input file; `line` and `column` are 1-based, 0 for "none". */
SOTTO_API sotto_status sotto_error_set_at(sotto_error *err, sotto_status code, const char *file, size_t line,
                                          size_t column, const char *format, ...) SOTTO_PRINTF(6, 7);

/** A short stable name for a status, for logs: "ok", "input", "budget", … Never NULL. */
SOTTO_API const char *sotto_status_name(sotto_status status);

#ifdef __cplusplus
}
#endif

#endif
