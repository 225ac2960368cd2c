/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Text written through a stream. The C library's own open_memstream may drop what it has no memory for
 * without setting the stream's error, so that a page would end in its middle and be called whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#ifdef __GLIBC__

struct memory {
    char **text;
    size_t *length;
    size_t capacity;
    bool failed;
};

static bool make_room(struct memory *memory, size_t more)
{
    if (more >= SIZE_MAX / 4 - *memory->length)
        return false;
    const size_t wanted = *memory->length + more + 1;
    if (wanted <= memory->capacity)
        return true;
    const size_t capacity = wanted < 2 * memory->capacity ? 2 * memory->capacity : wanted;
    char *larger = realloc(*memory->text, capacity);
    if (!larger)
        return false;
    *memory->text = larger;
    memory->capacity = capacity;
    return true;
}

/* Giving 0 sets the stream's error, and it stays set. */
static ssize_t put(void *cookie, const char *bytes, size_t count)
{
    struct memory *memory = cookie;
    memory->failed = memory->failed || !make_room(memory, count);
    if (memory->failed)
        return 0;
    memcpy(*memory->text + *memory->length, bytes, count);
    *memory->length += count;
    (*memory->text)[*memory->length] = '\0';
    return (ssize_t)count;
}

static int finish(void *cookie)
{
    struct memory *memory = cookie;
    const bool failed = memory->failed;
    if (failed) {
        free(*memory->text);
        *memory->text = NULL;
    }
    free(memory);
    return failed ? EOF : 0;
}

FILE *sotto_memory_open(char **text, size_t *length)
{
    const cookie_io_functions_t functions = {.write = put, .close = finish};
    struct memory *memory = calloc(1, sizeof *memory);
    *text = calloc(1, 1);
    *length = 0;
    if (memory)
        *memory = (struct memory){.text = text, .length = length, .capacity = 1};
    FILE *file = memory && *text ? fopencookie(memory, "w", functions) : NULL;
    if (!file) {
        free(memory);
        free(*text);
        *text = NULL;
    }
    return file;
}

#else

FILE *sotto_memory_open(char **text, size_t *length)
{
    *text = NULL;
    return open_memstream(text, length);
}

#endif
