/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

/* Memory that runs short on purpose, in a test program that is linked with --wrap of what allocates. What the
 * libraries it uses allocate themselves is not counted. */

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

/** From here on allocation number `number`, counted from 0, fails, and no other; −1: none does. */
void memory_fail_at(long number);

/** How many were asked for since. */
long memory_asked(void);

#endif
