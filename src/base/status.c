/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sotto/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 character that begins at `at`; 0 where none does (RFC 3629: no overlong forms, no
 * surrogates, nothing beyond U+10FFFF). */
static size_t character_at(const unsigned char *at)
{
    const unsigned char lead = at[0], next = lead ? at[1] : 0;
    const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead > 0xF4 || (lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F) ||
        (lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

/* A name that was cut within a character would make of a message what no JSON record may hold. */
static void mend_characters(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at;) {
        const size_t length = character_at(at);
        if (length == 0)
            *at = '?';
        at += length ? length : 1;
    }
}

static void fill(sotto_error *err, sotto_status code, const char *file, size_t line, size_t column,
                 const char *format, va_list arguments)
{
    err->code = code;
    (void)snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    err->line = line;
    err->column = column;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    mend_characters(err->message);
}

sotto_status sotto_error_set(sotto_error *err, sotto_status code, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code, NULL, 0, 0, format, arguments);
        va_end(arguments);
    }
    return code;
}

sotto_status sotto_error_set_at(sotto_error *err, sotto_status code, const char *file, size_t line,
                                size_t column, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code, file, line, column, format, arguments);
        va_end(arguments);
    }
    return code;
}

const char *sotto_status_name(sotto_status status)
{
    switch (status) {
    case SOTTO_OK:
        return "ok";
    case SOTTO_ERROR_INPUT:
        return "input";
    case SOTTO_ERROR_BUDGET:
        return "budget";
    case SOTTO_ERROR_IO:
        return "io";
    case SOTTO_ERROR_MEMORY:
        return "memory";
    case SOTTO_ERROR_NUMERIC:
        return "numeric";
    case SOTTO_ERROR_ENTROPY:
        return "entropy";
    case SOTTO_INTERRUPTED:
        return "interrupted";
    case SOTTO_DIVERGED:
        return "diverged";
    }
    return "unknown";
}
