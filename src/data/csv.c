/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/data.h"

enum { CHUNK = 1 << 16, MAX_ROW_BYTES = 1 << 20, MAX_CELLS = 20000 };

typedef struct reader {
    const char *path;
    struct csv_parser parser;
    sotto_csv_visit *visit;
    void *context;
    sotto_error *err;
    sotto_status status; /* of a visit or an allocation inside libcsv's callbacks, which cannot stop it */
    size_t line;         /* that the next byte lies on */
    size_t row_line, row_number;
    bool between_rows;
    bool stamped;  /* the first line says that the table was made with a test seed */
    bool after_cr; /* the last byte was a CR that ended a line; an LF now belongs to it */
    sotto_hash hash;
    char *text; /* the cells of the row, each with a NUL */
    size_t used, size;
    const char **cells; /* made when the row is whole: `text` moves while it grows */
    size_t *offsets;
    size_t count;
} reader;

/* ------------------------------------------------------------------ a row */

static sotto_status no_memory(const reader *in)
{
    return sotto_error_set_at(in->err, SOTTO_ERROR_MEMORY, in->path, in->line, 0,
                              "out of memory while reading the table");
}

static sotto_status too_long(const reader *in)
{
    return sotto_error_set_at(
        in->err, SOTTO_ERROR_INPUT, in->path, in->row_line, 0,
        "the row that begins here is longer than 1 MiB or has more than 20,000 cells; is a "
        "quote opened in it and never closed?");
}

static void take_cell(void *bytes, size_t length, void *data)
{
    reader *in = data;
    if (in->status)
        return;
    if (in->count == MAX_CELLS || in->used + length > MAX_ROW_BYTES) {
        in->status = too_long(in);
        return;
    }
    if (in->size - in->used < length + 1) {
        size_t size = 2 * (in->used + length + 1);
        char *larger = realloc(in->text, size);
        if (!larger) {
            in->status = no_memory(in);
            return;
        }
        in->text = larger;
        in->size = size;
    }
    if (length)
        memcpy(in->text + in->used, bytes, length);
    in->text[in->used + length] = '\0';
    in->offsets[in->count++] = in->used;
    in->used += length + 1;
}

static void take_row(int terminator, void *data)
{
    (void)terminator;
    reader *in = data;
    if (in->status)
        return;
    for (size_t i = 0; i < in->count; i++)
        in->cells[i] = in->text + in->offsets[i];
    sotto_csv_row row = {.number = in->row_number++,
                         .line = in->row_line,
                         .stamped = in->stamped,
                         .count = in->count,
                         .cells = in->cells};
    in->status = in->visit(in->context, &row, in->err);
    in->used = in->count = 0;
    in->between_rows = true;
}

/* ---------------------------------------------------------------- the lines */

/* Bytes up to and with the first line end, or all of them. */
static size_t line_length(const char *bytes, size_t count)
{
    const char *lf = memchr(bytes, '\n', count);
    size_t length = lf ? (size_t)(lf - bytes) + 1 : count;
    const char *cr = memchr(bytes, '\r', length);
    if (!cr)
        return length;
    size_t to_cr = (size_t)(cr - bytes) + 1;
    return to_cr + 1 == length && lf ? length : to_cr;
}

static void count_line(reader *in, const char *piece, size_t length)
{
    char last = piece[length - 1];
    bool joined = in->after_cr && piece[0] == '\n';
    if ((last == '\n' && !(joined && length == 1)) || last == '\r')
        in->line++;
    in->after_cr = last == '\r';
}

/* libcsv does not say where it is, so it is fed line by line. */
static sotto_status feed_line(reader *in, const char *piece, size_t length)
{
    if (in->between_rows)
        in->row_line = in->line;
    in->between_rows = false;
    size_t eaten = csv_parse(&in->parser, piece, length, take_cell, take_row, in);
    if (in->status)
        return in->status;
    if (eaten < length)
        return csv_error(&in->parser) == CSV_EPARSE
                   ? sotto_error_set_at(
                         in->err, SOTTO_ERROR_INPUT, in->path, in->line, 0,
                         "a quote inside a cell without quotes, or text after a closing quote; put "
                         "the whole cell in quotes and double those inside")
                   : no_memory(in);
    if (in->used + in->parser.entry_pos > MAX_ROW_BYTES)
        return too_long(in);
    /* A blank line begins no row. */
    in->between_rows = in->between_rows || (in->count == 0 && in->parser.pstate == 0);
    count_line(in, piece, length);
    return SOTTO_OK;
}

static sotto_status feed(reader *in, const char *bytes, size_t count)
{
    const char *nul = memchr(bytes, '\0', count);
    size_t good = nul ? (size_t)(nul - bytes) : count;
    for (size_t at = 0; at < good;) {
        size_t length = line_length(bytes + at, good - at);
        sotto_status status = feed_line(in, bytes + at, length);
        if (status)
            return status;
        at += length;
    }
    if (nul)
        return sotto_error_set_at(
            in->err, SOTTO_ERROR_INPUT, in->path, in->line, 0,
            "a NUL byte; the table must be plain text (UTF-16 is not read: convert it to "
            "UTF-8)");
    return SOTTO_OK;
}

/* ----------------------------------------------------------------- the file */

static sotto_status read_error(const reader *in, gzFile file)
{
    int code;
    const char *why = gzerror(file, &code);
    if (code == Z_ERRNO)
        return sotto_error_set_at(in->err, errno == EISDIR ? SOTTO_ERROR_INPUT : SOTTO_ERROR_IO, in->path, 0,
                                  0, "cannot read the table: %s", strerror(errno));
    if (code == Z_MEM_ERROR)
        return no_memory(in);
    return sotto_error_set_at(in->err, SOTTO_ERROR_INPUT, in->path, 0, 0,
                              "the compressed table is broken or cut short (%s); fetch it again", why);
}

/*
 * What stands before the header: a byte-order mark, and the line by which a synthetic table says that it was
 * made with a test seed (P9). Such a table can be read and judged like any other.
 */
static size_t pass_over(reader *in, const char *chunk, size_t count)
{
    static const char stamp[] = SOTTO_CSV_STAMP;
    size_t skip = count >= 3 && memcmp(chunk, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    if (count - skip < sizeof stamp || memcmp(chunk + skip, stamp, sizeof stamp - 1) != 0)
        return skip;
    const size_t length = line_length(chunk + skip, count - skip);
    in->line = in->row_line = 2;
    in->after_cr = chunk[skip + length - 1] == '\r';
    in->stamped = true;
    return skip + length;
}

/* What the table says, however it is packed and its lines end: so that a copy is known again. */
static void hash_without_returns(sotto_hash *hash, const char *bytes, size_t count)
{
    while (count > 0) {
        const char *next = memchr(bytes, '\r', count);
        const size_t piece = next ? (size_t)(next - bytes) : count;
        sotto_hash_add(hash, bytes, piece);
        bytes += piece + (next != NULL);
        count -= piece + (next != NULL);
    }
}

static sotto_status read_all(reader *in, gzFile file, char *chunk)
{
    bool first = true;
    for (;;) {
        int count = gzread(file, chunk, CHUNK);
        if (count < 0)
            return read_error(in, file);
        hash_without_returns(&in->hash, chunk, (size_t)count);
        size_t skip = first ? pass_over(in, chunk, (size_t)count) : 0;
        first = false;
        sotto_status status = feed(in, chunk + skip, (size_t)count - skip);
        if (status)
            return status;
        if (count < CHUNK)
            break;
    }
    /* To gzread, a compressed stream that was cut short is only an early end. */
    int code;
    (void)gzerror(file, &code);
    if (code != Z_OK && code != Z_STREAM_END)
        return read_error(in, file);
    if (csv_fini(&in->parser, take_cell, take_row, in))
        return in->status ? in->status
                          : sotto_error_set_at(in->err, SOTTO_ERROR_INPUT, in->path, in->row_line, 0,
                                               "a quote opened in the row that begins here is never closed");
    return in->status;
}

static sotto_status open_parser(reader *in)
{
    in->text = malloc(CHUNK);
    in->size = CHUNK;
    in->cells = malloc(MAX_CELLS * sizeof *in->cells);
    in->offsets = malloc(MAX_CELLS * sizeof *in->offsets);
    if (!in->text || !in->cells || !in->offsets)
        return no_memory(in);
    if (csv_init(&in->parser, CSV_STRICT | CSV_STRICT_FINI))
        return no_memory(in);
    csv_set_blk_size(&in->parser, CHUNK);
    return SOTTO_OK;
}

/* Whose fault it is that a file cannot be opened: the path's, or the machine's. */
static sotto_status fault_of(int error)
{
    static const int of_the_path[] = {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, ENXIO};
    for (size_t i = 0; i < sizeof of_the_path / sizeof *of_the_path; i++)
        if (error == of_the_path[i])
            return SOTTO_ERROR_INPUT;
    return error == ENOMEM ? SOTTO_ERROR_MEMORY : SOTTO_ERROR_IO;
}

/* zlib's own way gives up where a signal comes. */
static sotto_status open_table(const char *path, gzFile *file, sotto_error *err)
{
    int descriptor;
    do
        descriptor = open(path, O_RDONLY | O_CLOEXEC);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0)
        return sotto_error_set_at(err, fault_of(errno), path, 0, 0, "cannot open the table: %s%s",
                                  strerror(errno),
                                  fault_of(errno) == SOTTO_ERROR_INPUT ? "; check the path" : "");
    *file = gzdopen(descriptor, "rb");
    if (*file)
        return SOTTO_OK;
    (void)close(descriptor);
    return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, path, 0, 0, "out of memory opening the table");
}

sotto_status sotto_csv_read(const char *path, sotto_csv_visit *visit, void *context, char sha256[65],
                            sotto_error *err)
{
    gzFile file;
    const sotto_status opened = open_table(path, &file, err);
    if (opened != SOTTO_OK)
        return opened;
    reader in = {.path = path,
                 .visit = visit,
                 .context = context,
                 .err = err,
                 .line = 1,
                 .row_line = 1,
                 .between_rows = true};
    char *chunk = malloc(CHUNK);
    sotto_hash_begin(&in.hash);
    sotto_status status = open_parser(&in);
    if (!status)
        status = chunk ? read_all(&in, file, chunk) : no_memory(&in);
    if (!status && sha256)
        sotto_hash_hex(&in.hash, sha256);
    csv_free(&in.parser);
    free(in.text);
    free(in.cells);
    free(in.offsets);
    free(chunk);
    (void)gzclose(file);
    return status;
}

static sotto_status pass_by(void *context, const sotto_csv_row *row, sotto_error *err)
{
    (void)context;
    (void)row;
    (void)err;
    return SOTTO_OK;
}

sotto_status sotto_table_file_sha256(const char *path, char sha256[65], sotto_error *err)
{
    return sotto_csv_read(path, pass_by, NULL, sha256, err);
}

/* ----------------------------------------------------------------- writing */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t sotto_csv_quote(const char *text, char *out)
{
    size_t length = strlen(text), used = 0;
    /* Our own reader, and others, drop blanks around cells without quotes and a mark at the start of the
     * file. */
    bool plain = !strpbrk(text, ",\"\r\n") && strncmp(text, "\xEF\xBB\xBF", 3) != 0 &&
                 (length == 0 || (!is_blank(text[0]) && !is_blank(text[length - 1])));
    if (plain) {
        memcpy(out, text, length);
        return length;
    }
    out[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"')
            out[used++] = '"';
        out[used++] = text[i];
    }
    out[used++] = '"';
    return used;
}
