/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { ALIGNMENT = 64, BLOCK_BYTES = 1 << 16 };

/* A block's usable bytes follow it at the next multiple of ALIGNMENT. */
struct block {
    struct block *next;
    size_t capacity;
    size_t used;
};

struct sotto_arena {
    struct block *blocks;
};

static const size_t header_bytes = (sizeof(struct block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

sotto_status sotto_arena_create(sotto_arena **arena, sotto_error *err)
{
    *arena = calloc(1, sizeof **arena);
    if (!*arena)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for an arena");
    return SOTTO_OK;
}

void sotto_arena_destroy(sotto_arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->blocks; block;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

static struct block *add_block(sotto_arena *arena, size_t bytes)
{
    size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    if (capacity > SIZE_MAX - header_bytes - ALIGNMENT)
        return NULL;
    struct block *block = aligned_alloc(ALIGNMENT, header_bytes + capacity);
    if (!block)
        return NULL;
    *block = (struct block){.next = arena->blocks, .capacity = capacity};
    arena->blocks = block;
    return block;
}

void *sotto_arena_take(sotto_arena *arena, size_t count, size_t size, sotto_error *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        sotto_error_set(err, SOTTO_ERROR_MEMORY, "%zu elements of %zu bytes cannot be addressed", count,
                        size);
        return NULL;
    }
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes == 0)
        bytes = ALIGNMENT;
    struct block *block = arena->blocks;
    if (!block || block->capacity - block->used < bytes)
        block = add_block(arena, bytes);
    if (!block) {
        sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory: %zu bytes asked for", bytes);
        return NULL;
    }
    void *memory = (char *)block + header_bytes + block->used;
    block->used += bytes;
    memset(memory, 0, bytes);
    return memory;
}

char *sotto_arena_copy(sotto_arena *arena, const char *text, size_t length, sotto_error *err)
{
    if (length == SIZE_MAX) {
        sotto_error_set(err, SOTTO_ERROR_MEMORY, "a text of %zu bytes cannot be copied", length);
        return NULL;
    }
    char *copy = sotto_arena_take(arena, length + 1, 1, err);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}
