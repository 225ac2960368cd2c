/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_FUZZ_PATCH_H
#define SOTTO_FUZZ_PATCH_H

/*
 * Fuzzing of files that are larger than the inputs: an input is a list of changes to a sound file that the
 * target made itself, so that few bytes reach deep into it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Stop the program where something is not as it must be. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/** What is left of an input. */
typedef struct patch_input {
    const uint8_t *data;
    size_t size;
} patch_input;

/** The next byte; 0 where none is left. */
unsigned patch_byte(patch_input *input);

/** A file, or a piece of one, that changes. */
typedef struct patch_text {
    uint8_t *bytes;
    size_t length, room;
} patch_text;

/** A copy with room to grow by as much again and more. */
patch_text patch_copy(const void *bytes, size_t length);
void patch_free(patch_text *text);

/** One change, as the input says: bytes set, flipped, put in, left out, moved, or words of `words`
 * (NULL-terminated; may be NULL) put in. */
void patch_change(patch_text *text, patch_input *input, const char *const *words);

/** Append; what there is no room for is left out. */
void patch_append(patch_text *text, const void *bytes, size_t length);

/** Append the SHA-256 of all that is there, as 64 hex digits. */
void patch_seal(patch_text *text);

/** The path of a file in memory that holds the text, until the next call. */
const char *patch_file(const patch_text *text);

#endif
