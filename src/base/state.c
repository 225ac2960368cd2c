/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Fields one after the other, each as
 *
 *     1 byte   length of the name
 *              the name
 *     1 byte   kind: o object, f float32, d float64, u uint32, q uint64, b flags, t text
 *     8 bytes  how many values; of a text, bytes
 *              the values
 *
 * all little-endian, as the machine has them, floats by IEEE 754.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "states hold little-endian numbers; this machine's are not"
#endif

struct sotto_state {
    bool reads;
    char *written; /* a writer's */
    size_t capacity;
    const char *bytes; /* a writer's own, or a reader's borrowed ones */
    size_t length;
    size_t at;       /* a reader's: how many were read */
    char object[64]; /* the last that was visited, for errors */
    char *name;      /* of the file, for errors; or NULL */
    sotto_error failure;
};

/* ------------------------------------------------------------------- life */

static sotto_status create(sotto_state **state, sotto_error *err)
{
    *state = calloc(1, sizeof **state);
    return *state ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a state");
}

sotto_status sotto_state_create_writer(sotto_state **state, sotto_error *err)
{
    return create(state, err);
}

sotto_status sotto_state_create_reader(sotto_state **state, const void *bytes, size_t length,
                                       const char *name, sotto_error *err)
{
    const sotto_status status = create(state, err);
    if (status != SOTTO_OK)
        return status;
    (*state)->reads = true;
    (*state)->bytes = bytes;
    (*state)->length = length;
    (*state)->name = name ? strdup(name) : NULL;
    if (name && !(*state)->name) {
        sotto_state_destroy(*state);
        *state = NULL;
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a state");
    }
    return SOTTO_OK;
}

void sotto_state_destroy(sotto_state *state)
{
    if (!state)
        return;
    free(state->written);
    free(state->name);
    free(state);
}

bool sotto_state_reads(const sotto_state *state)
{
    return state->reads;
}

bool sotto_state_is_sound(const sotto_state *state)
{
    return state->failure.code == SOTTO_OK;
}

/* --------------------------------------------------------------- failures */

void sotto_state_fail(sotto_state *state, sotto_status status, const sotto_error *err)
{
    if (status == SOTTO_OK || !sotto_state_is_sound(state))
        return;
    if (err && err->code != SOTTO_OK) {
        state->failure = *err;
        if (status == SOTTO_ERROR_INPUT && state->name && !err->file[0])
            (void)snprintf(state->failure.file, sizeof state->failure.file, "%s", state->name);
    } else
        (void)sotto_error_set(&state->failure, status, "the state of %s: %s", state->object,
                              sotto_status_name(status));
}

void sotto_state_refuse(sotto_state *state, const char *format, ...)
{
    char what[256];
    va_list arguments;
    if (!sotto_state_is_sound(state))
        return;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (state->reads)
        (void)sotto_error_set_at(&state->failure, SOTTO_ERROR_INPUT, state->name, 0, 0,
                                 "is not a state of this training: of %s, it %s; use the one that this very "
                                 "run has written",
                                 state->object[0] ? state->object : "it all", what);
    else
        (void)sotto_error_set(&state->failure, SOTTO_ERROR_INPUT, "no state of %s can be written: it %s",
                              state->object, what);
}

sotto_status sotto_state_end(sotto_state *state, sotto_error *err)
{
    if (state->reads && state->at < state->length)
        sotto_state_refuse(state, "has %zu bytes too many", state->length - state->at);
    if (err && !sotto_state_is_sound(state))
        *err = state->failure;
    return state->failure.code;
}

const void *sotto_state_bytes(const sotto_state *state, size_t *length)
{
    *length = state->length;
    return state->bytes;
}

/* ------------------------------------------------------------------ bytes */

static void put(sotto_state *state, const void *bytes, size_t count)
{
    if (!sotto_state_is_sound(state) || count == 0)
        return;
    size_t needed;
    const bool over = __builtin_add_overflow(state->length, count, &needed) || needed > SIZE_MAX / 2;
    if (!over && needed > state->capacity) {
        const size_t larger = needed + needed / 2 + 256;
        char *moved = realloc(state->written, larger);
        if (moved) {
            state->bytes = state->written = moved;
            state->capacity = larger;
        }
    }
    if (over || needed > state->capacity) {
        (void)sotto_error_set(&state->failure, SOTTO_ERROR_MEMORY, "out of memory for a state");
        return;
    }
    memcpy(state->written + state->length, bytes, count);
    state->length = needed;
}

/* The next `count` bytes of a reader; NULL where there are not as many. */
static const char *get(sotto_state *state, size_t count)
{
    if (!sotto_state_is_sound(state))
        return NULL;
    if (count > state->length - state->at) {
        sotto_state_refuse(state, "ends too early");
        return NULL;
    }
    const char *bytes = state->bytes + state->at;
    state->at += count;
    return bytes;
}

/* Write how a field begins, or see that it begins so; `*count` is read only where it is not known. */
static void head(sotto_state *state, const char *name, char kind, uint64_t *count, bool known)
{
    char expected[1 + 255 + 1];
    const size_t length = strlen(name) <= 255 ? strlen(name) : 255;
    expected[0] = (char)(unsigned char)length;
    memcpy(expected + 1, name, length);
    expected[1 + length] = kind;
    if (!state->reads) {
        put(state, expected, length + 2);
        put(state, count, sizeof *count);
        return;
    }
    uint64_t found;
    const char *bytes = get(state, length + 2);
    if (bytes && memcmp(bytes, expected, length + 2) != 0)
        sotto_state_refuse(state, "does not have \"%s\" where that belongs", name);
    bytes = get(state, sizeof found);
    if (!bytes)
        return;
    memcpy(&found, bytes, sizeof found);
    if (known && found != *count)
        sotto_state_refuse(state, "has %llu values of \"%s\" and not %llu", (unsigned long long)found, name,
                           (unsigned long long)*count);
    *count = found;
}

/* A field of values; where it reads, their bytes, or NULL where they are not there. */
static const char *field(sotto_state *state, const char *name, char kind, const void *values, size_t count,
                         size_t size)
{
    uint64_t expected = count;
    size_t bytes;
    if (!sotto_state_is_sound(state))
        return NULL;
    head(state, name, kind, &expected, true);
    if (__builtin_mul_overflow(count, size, &bytes)) {
        sotto_state_refuse(state, "has too many values of \"%s\"", name);
        return NULL;
    }
    if (state->reads)
        return get(state, bytes);
    put(state, values, bytes);
    return NULL;
}

static void copy_field(sotto_state *state, const char *name, char kind, void *values, size_t count,
                       size_t size)
{
    const char *bytes = field(state, name, kind, values, count, size);
    if (bytes && count > 0)
        memcpy(values, bytes, count * size);
}

/* ----------------------------------------------------------------- fields */

void sotto_state_object(sotto_state *state, const char *name)
{
    if (!sotto_state_is_sound(state))
        return;
    (void)snprintf(state->object, sizeof state->object, "%s", name);
    (void)field(state, name, 'o', NULL, 0, 1);
}

void sotto_state_floats(sotto_state *state, const char *name, float *values, size_t count)
{
    copy_field(state, name, 'f', values, count, sizeof *values);
}

void sotto_state_doubles(sotto_state *state, const char *name, double *values, size_t count)
{
    copy_field(state, name, 'd', values, count, sizeof *values);
}

void sotto_state_u32s(sotto_state *state, const char *name, uint32_t *values, size_t count)
{
    copy_field(state, name, 'u', values, count, sizeof *values);
}

void sotto_state_u64s(sotto_state *state, const char *name, uint64_t *values, size_t count)
{
    copy_field(state, name, 'q', values, count, sizeof *values);
}

void sotto_state_floats_in(sotto_state *state, const char *name, float *values, size_t count, float least,
                           float most)
{
    sotto_state_floats(state, name, values, count);
    for (size_t i = 0; state->reads && sotto_state_is_sound(state) && i < count; i++)
        if (!(values[i] >= least && values[i] <= most))
            sotto_state_refuse(state, "has a value of \"%s\" that lies outside of [%g, %g]", name,
                               (double)least, (double)most);
}

void sotto_state_doubles_in(sotto_state *state, const char *name, double *values, size_t count, double least,
                            double most)
{
    sotto_state_doubles(state, name, values, count);
    for (size_t i = 0; state->reads && sotto_state_is_sound(state) && i < count; i++)
        if (!(values[i] >= least && values[i] <= most))
            sotto_state_refuse(state, "has a value of \"%s\" that lies outside of [%g, %g]", name, least,
                               most);
}

void sotto_state_u64(sotto_state *state, const char *name, uint64_t *value, uint64_t least, uint64_t most)
{
    uint64_t found = *value;
    sotto_state_u64s(state, name, &found, 1);
    if (state->reads && (found < least || found > most))
        sotto_state_refuse(state, "has a \"%s\" that lies outside of [%llu, %llu]", name,
                           (unsigned long long)least, (unsigned long long)most);
    if (sotto_state_is_sound(state))
        *value = found;
}

void sotto_state_size(sotto_state *state, const char *name, size_t *value, size_t least, size_t most)
{
    uint64_t found = *value;
    sotto_state_u64(state, name, &found, least, most);
    *value = (size_t)found;
}

void sotto_state_flags(sotto_state *state, const char *name, bool *values, size_t count)
{
    _Static_assert(sizeof *values == 1, "a flag is a byte");
    const char *bytes = field(state, name, 'b', values, count, 1);
    for (size_t i = 0; bytes && i < count; i++) {
        if (bytes[i] != 0 && bytes[i] != 1) {
            sotto_state_refuse(state, "has a \"%s\" that is neither yes nor no", name);
            return;
        }
        values[i] = bytes[i] == 1;
    }
}

void sotto_state_text(sotto_state *state, const char *name, char *text, size_t size)
{
    uint64_t length = state->reads ? 0 : strnlen(text, size - 1);
    if (!sotto_state_is_sound(state))
        return;
    head(state, name, 't', &length, false);
    if (!state->reads) {
        put(state, text, (size_t)length);
        return;
    }
    if (length >= size)
        sotto_state_refuse(state, "has a \"%s\" of %llu bytes", name, (unsigned long long)length);
    const char *bytes = sotto_state_is_sound(state) ? get(state, (size_t)length) : NULL;
    for (size_t i = 0; bytes && i < length; i++)
        if (bytes[i] < ' ' || bytes[i] > '~')
            sotto_state_refuse(state, "has a \"%s\" that is no text", name);
    if (!sotto_state_is_sound(state) || !bytes)
        return;
    memcpy(text, bytes, (size_t)length);
    text[length] = '\0';
}
