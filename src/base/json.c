/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/*
 * What a reader is given while it is at work. Where the system refuses a request it gets its memory from a
 * reserve that was taken before, so that it never meets a refusal, and its text ends: it takes what is left
 * of one piece of text for broken, gives back what it has, and nobody sees what that was.
 */
struct reader {
    const char *text;
    size_t left;
    unsigned char *reserve;
    size_t size, used;
    bool ran_short, ran_out; /* of the system's memory; of the reserve too */
};

enum {
    PIECE = 1024,   /* bytes of text that jansson asks for at once, at most */
    BY_TEXT = 8,    /* bytes of memory for one of text: a token's buffer, doubled twice, and its copies */
    BY_PIECE = 128, /* for one of the last piece: "[" makes an array of 104 */
    ALIGNMENT = 16,
};

/* All of jansson's requests for memory pass here. */
static json_malloc_t take_before;
static json_free_t give_before;
static atomic_ulong refused, refused_before; /* requests, since ever and up to sotto_json_watch */
static _Thread_local struct reader *reading;

static void *take(size_t size)
{
    void *memory = take_before(size);
    if (memory)
        return memory;
    atomic_fetch_add(&refused, 1);
    if (!reading)
        return NULL;
    reading->ran_short = true;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    reading->ran_out = reading->ran_out || size > reading->size - reading->used;
    if (reading->ran_out)
        return NULL;
    reading->used += size;
    return reading->reserve + reading->used - size;
}

static void give(void *memory)
{
    const uintptr_t at = (uintptr_t)memory, reserve = reading ? (uintptr_t)reading->reserve : 0;
    if (!reading || at < reserve || at >= reserve + reading->size)
        give_before(memory);
}

static void set_functions(void)
{
    json_get_alloc_funcs(&take_before, &give_before);
    json_set_alloc_funcs(take, give);
}

static void pass_here(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_functions);
}

/* -------------------------------------------------------------------- reading */

static size_t next_piece(void *buffer, size_t size, void *context)
{
    struct reader *reader = context;
    const size_t wanted = size < PIECE ? size : PIECE, count = wanted < reader->left ? wanted : reader->left;
    if (reader->ran_short)
        return 0;
    memcpy(buffer, reader->text, count);
    reader->text += count;
    reader->left -= count;
    return count;
}

sotto_status sotto_json_parse(json_t **json, const char *text, size_t length, json_error_t *at)
{
    *json = NULL;
    if (length > SIZE_MAX / 2 / BY_TEXT)
        return SOTTO_ERROR_MEMORY;
    struct reader reader = {.text = text, .left = length};
    reader.size = BY_TEXT * length + BY_PIECE * (length < PIECE ? length : PIECE) + 4 * (size_t)PIECE;
    reader.reserve = malloc(reader.size);
    if (!reader.reserve)
        return SOTTO_ERROR_MEMORY;
    pass_here();
    reading = &reader;
    json_t *read = json_load_callback(next_piece, &reader, JSON_REJECT_DUPLICATES, at);
    if (reader.ran_short) {
        json_decref(read);
        read = NULL;
    }
    reading = NULL;
    free(reader.reserve);
    *json = read;
    if (at && reader.ran_out)
        (void)snprintf(at->text, sizeof at->text, "%s", SOTTO_JSON_RAN_OUT);
    return read ? SOTTO_OK : reader.ran_short ? SOTTO_ERROR_MEMORY : SOTTO_ERROR_INPUT;
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
    refused_before = refused;
}

char *sotto_json_dump(const json_t *json, size_t flags)
{
    pass_here();
    const unsigned long before = refused;
    char *text = json_dumps(json, flags);
    if (!text || refused == before)
        return text;
    free(text); /* jansson leaves out what it has no memory for */
    return NULL;
}

sotto_status sotto_json_text(json_t *json, char **text, sotto_error *err)
{
    *text = NULL;
    char *plain = json && refused == refused_before
                      ? sotto_json_dump(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17))
                      : NULL;
    json_decref(json);
    if (plain) {
        const size_t length = strlen(plain);
        *text = realloc(plain, length + 2);
        if (*text)
            memcpy(*text + length, "\n", 2);
        else
            free(plain);
    }
    return *text ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
}
