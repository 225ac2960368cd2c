/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sotto/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(sotto_error *err, sotto_status code, const char *file, size_t line, size_t column,
                 const char *format, va_list arguments)
{
    err->code = code;
    (void)snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    err->line = line;
    err->column = column;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
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
