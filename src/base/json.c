/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* All of jansson's requests for memory pass here. */
static json_malloc_t take_before;
static atomic_bool ran_short;
static _Thread_local jmp_buf *way_out; /* of this thread's reader */

static void *take(size_t size)
{
    void *memory = take_before(size);
    if (memory)
        return memory;
    ran_short = true;
    if (way_out)
        longjmp(*way_out, 1); /* past the reader, which would go on without it */
    return NULL;
}

static void set_functions(void)
{
    json_free_t give;
    json_get_alloc_funcs(&take_before, &give);
    json_set_alloc_funcs(take, give);
}

static void pass_here(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_functions);
}

/* -------------------------------------------------------------------- reading */

sotto_status sotto_json_parse(json_t **json, const char *text, size_t length, json_error_t *at)
{
    jmp_buf here;
    *json = NULL;
    pass_here();
    if (setjmp(here) != 0) {
        way_out = NULL;
        return SOTTO_ERROR_MEMORY;
    }
    way_out = &here;
    json_t *read = json_loadb(text, length, JSON_REJECT_DUPLICATES, at);
    way_out = NULL;
    *json = read;
    return read ? SOTTO_OK : SOTTO_ERROR_INPUT;
}

json_t *sotto_json_read(const char *text)
{
    json_t *json = NULL;
    if (text)
        (void)sotto_json_parse(&json, text, strlen(text), NULL);
    return json;
}

json_t *sotto_json_read_file(const char *path)
{
    enum { MOST = 1 << 28 };
    char *text;
    size_t length;
    json_t *json;
    if (sotto_file_read(path, MOST, &text, &length, NULL) != SOTTO_OK)
        return NULL;
    (void)sotto_json_parse(&json, text, length, NULL);
    free(text);
    return json;
}

/* -------------------------------------------------------------------- writing */

void sotto_json_watch(void)
{
    pass_here();
    ran_short = false;
}

sotto_status sotto_json_text(json_t *json, char **text, sotto_error *err)
{
    *text = NULL;
    char *plain = json && !ran_short ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (plain) {
        const size_t length = strlen(plain);
        *text = realloc(plain, length + 2);
        if (*text)
            memcpy(*text + length, "\n", 2);
        else
            free(plain);
    }
    if (*text && ran_short) { /* while it was written */
        free(*text);
        *text = NULL;
    }
    return *text ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
}
