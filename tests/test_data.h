/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_DATA_H
#define TEST_DATA_H

/* What the data room's tests share: schemas from text, tables from bytes. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"
#include "suite.h"

/* For loops of millions: Check's own assertions send a message even where they hold. */
#define EXPECT(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg(__VA_ARGS__);                                                                       \
    } while (0)

static inline sotto_schema *schema_of(const char *text)
{
    sotto_schema *schema = NULL;
    sotto_error err = {0};
    sotto_status status = sotto_schema_parse(&schema, "test.yaml", text, strlen(text), &err);
    ck_assert_msg(status == SOTTO_OK, "%zu:%zu: %s", err.line, err.column, err.message);
    return schema;
}

/* A file that holds `bytes`, at a path the caller frees after unlinking it. */
static inline char *file_of(const void *bytes, size_t length)
{
    char *path = strdup("/tmp/sotto-test-data-XXXXXX");
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, bytes, length), (ssize_t)length);
    close(descriptor);
    return path;
}

static inline void drop_file(char *path)
{
    unlink(path);
    free(path);
}

static inline sotto_status load_bytes(sotto_table **table, const sotto_schema *schema, const void *bytes,
                                      size_t length, const sotto_table_options *options, sotto_error *err)
{
    char *path = file_of(bytes, length);
    sotto_status status = sotto_table_load(table, schema, path, options, err);
    drop_file(path);
    return status;
}

#endif
