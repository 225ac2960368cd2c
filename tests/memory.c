/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memory.h"

#include <stdbool.h>

static long asked, failing = -1;

static bool is_short(void)
{
    return asked++ == failing;
}

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_short() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_short() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return is_short() ? NULL : __real_strdup(text);
}

void memory_fail_at(long number)
{
    asked = 0;
    failing = number;
}

long memory_asked(void)
{
    return asked;
}
