/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/data.h"

/* ------------------------------------------------------------------- texts */

/* The code point at *at, which is valid UTF-8, and *at moved beyond it. */
static uint32_t next_code(const char **at)
{
    const unsigned char *bytes = (const unsigned char *)*at;
    unsigned more = bytes[0] < 0x80 ? 0 : bytes[0] < 0xE0 ? 1 : bytes[0] < 0xF0 ? 2 : 3;
    uint32_t code = more ? bytes[0] & (0x3Fu >> more) : bytes[0];
    for (unsigned i = 1; i <= more; i++)
        code = code << 6 | (bytes[i] & 0x3Fu);
    *at += more + 1;
    return code;
}

/* What YAML takes between quotes as it is, without folding it as a line break. */
static bool is_literal(uint32_t code)
{
    if (code == '"' || code == '\\' || code == 0x2028 || code == 0x2029 || code == 0xFEFF)
        return false;
    return (code >= 0x20 && code < 0x7F) || (code >= 0xA0 && code < 0xD800) ||
           (code >= 0xE000 && code <= 0xFFFD) || (code >= 0x10000 && code <= 0x10FFFF);
}

static void write_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    while (*text) {
        const char *start = text;
        uint32_t code = next_code(&text);
        if (is_literal(code))
            (void)fwrite(start, 1, (size_t)(text - start), out);
        else if (code == '"' || code == '\\')
            (void)fprintf(out, "\\%c", (char)code);
        else
            (void)fprintf(out, code > 0xFFFF ? "\\U%08X" : "\\u%04X", (unsigned)code);
    }
    (void)fputc('"', out);
}

/* Plain where no YAML reader could take it for anything but this text. */
static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"y",   "n",    "yes", "no",  "true",     "false", "on",
                                           "off", "null", "nan", "inf", "infinity", NULL};
    if (!isalpha((unsigned char)text[0]))
        return false;
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("_-./+", *at))
            return false;
    for (size_t i = 0; reserved[i]; i++)
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    return true;
}

static void write_text(FILE *out, const char *text)
{
    if (is_plain(text))
        (void)fputs(text, out);
    else
        write_quoted(out, text);
}

/* ------------------------------------------------------------------ columns */

static void write_value(FILE *out, const sotto_column *column, double value)
{
    char text[SOTTO_CELL_SIZE];
    int64_t point = 0;
    (void)sotto_grid_point(value, column->decimals, &point);
    size_t length = sotto_column_format_point(column, point, text);
    if (column->decimals) { /* 2.50 is 2.5, and 3.00 is 3 */
        while (text[length - 1] == '0')
            length--;
        length -= text[length - 1] == '.';
    }
    (void)fwrite(text, 1, length, out);
}

static void write_numeric(FILE *out, const sotto_column *column)
{
    (void)fputs(", min: ", out);
    write_value(out, column, column->min);
    (void)fputs(", max: ", out);
    write_value(out, column, column->max);
    if (column->log_scale)
        (void)fputs(", scale: log", out);
    if (column->type == SOTTO_COLUMN_NUMBER)
        (void)fprintf(out, ", decimals: %u", column->decimals);
    for (size_t i = 0; i < column->spike_count; i++) {
        (void)fputs(i == 0 ? ", spikes: [" : ", ", out);
        write_value(out, column, column->spikes[i]);
    }
    (void)fprintf(out, "%s, bins: %zu", column->spike_count ? "]" : "", column->bins);
}

static void write_category(FILE *out, const sotto_column *column)
{
    for (size_t i = 0; i < column->value_count; i++) {
        (void)fputs(i == 0 ? ", values: [" : ", ", out);
        write_text(out, column->values[i]);
    }
    (void)fputc(']', out);
    if (column->other != SOTTO_NONE) {
        (void)fputs(", other: ", out);
        write_text(out, column->values[column->other]);
    }
}

static void write_column(FILE *out, const sotto_column *column, const char *note)
{
    (void)fputs("  - {name: ", out);
    write_text(out, column->name);
    (void)fprintf(out, ", type: %s", sotto_column_type_name(column->type));
    if (column->type == SOTTO_COLUMN_CATEGORY)
        write_category(out, column);
    else if (column->type != SOTTO_COLUMN_IDENTIFIER)
        write_numeric(out, column);
    else if (column->units)
        (void)fprintf(out, ", units: %zu", column->units);
    (void)fprintf(out, "%s}%s%s\n", column->missing_allowed ? ", missing: allowed" : "", note ? "  # " : "",
                  note ? note : "");
}

/* --------------------------------------------------------------- the schema */

sotto_status sotto_schema_write(const sotto_schema *schema, const sotto_schema_notes *notes, char **text,
                                sotto_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    FILE *out = sotto_memory_open(&bytes, &length);
    if (!out)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory while writing a schema");
    (void)fputs(notes->head ? notes->head : "", out);
    (void)fprintf(out, "rows: %zu%s%s\nmissing: ", schema->rows, notes->rows ? "  # " : "",
                  notes->rows ? notes->rows : "");
    write_text(out, schema->missing);
    (void)fputs("\ncolumns:\n", out);
    for (size_t i = 0; i < schema->column_count; i++)
        write_column(out, &schema->columns[i], notes->columns ? notes->columns[i] : NULL);
    bool failed = ferror(out) != 0;
    if (fclose(out) || failed) {
        free(bytes);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory while writing a schema");
    }
    *text = bytes;
    return SOTTO_OK;
}

sotto_status sotto_schema_format(const sotto_schema *schema, char **text, sotto_error *err)
{
    return sotto_schema_write(schema, &(sotto_schema_notes){0}, text, err);
}
