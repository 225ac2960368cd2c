/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum { BUFFER = 1 << 16 };

typedef struct cell {
    const char *text;
    size_t length;
} cell;

struct sotto_csv_writer {
    sotto_arena *arena;
    const sotto_encoder *encoder;
    sotto_stream *stream;
    FILE *file;
    cell **categories; /* for each part, its categories as they stand in a file */
    cell missing;
    uint64_t rows;  /* written so far: the identifiers */
    size_t longest; /* bytes that one row can need */
    char *buffer;
    size_t used, size;
};

static sotto_status flush(sotto_csv_writer *writer, sotto_error *err)
{
    size_t used = writer->used;
    writer->used = 0;
    if (fwrite(writer->buffer, 1, used, writer->file) != used)
        return sotto_error_set(err, SOTTO_ERROR_IO, "cannot write synthetic rows: %s", strerror(errno));
    return SOTTO_OK;
}

static void put_cell(sotto_csv_writer *writer, cell what)
{
    memcpy(writer->buffer + writer->used, what.text, what.length);
    writer->used += what.length;
}

static void put_char(sotto_csv_writer *writer, char c)
{
    writer->buffer[writer->used++] = c;
}

/* ------------------------------------------------------------------ texts */

static sotto_status quote(sotto_csv_writer *writer, const char *text, cell *out, sotto_error *err)
{
    char *quoted = sotto_arena_take(writer->arena, 2 * strlen(text) + 2, 1, err);
    if (!quoted)
        return SOTTO_ERROR_MEMORY;
    out->length = sotto_csv_quote(text, quoted);
    out->text = quoted;
    return SOTTO_OK;
}

/* An empty line would be no row to a reader. */
static sotto_status quote_missing(sotto_csv_writer *writer, sotto_error *err)
{
    const sotto_schema *schema = writer->encoder->schema;
    if (schema->missing[0] == '\0' && schema->column_count == 1) {
        writer->missing = (cell){"\"\"", 2};
        return SOTTO_OK;
    }
    return quote(writer, schema->missing, &writer->missing, err);
}

static sotto_status quote_categories(sotto_csv_writer *writer, size_t part, sotto_error *err)
{
    const sotto_column *column = writer->encoder->parts[part].column;
    size_t longest = writer->missing.length > SOTTO_CELL_SIZE ? writer->missing.length : SOTTO_CELL_SIZE;
    writer->categories[part] = sotto_arena_take(writer->arena, column->value_count, sizeof(cell), err);
    if (!writer->categories[part])
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < column->value_count; i++) {
        cell *to = &writer->categories[part][i];
        sotto_status status = quote(writer, column->values[i], to, err);
        if (status)
            return status;
        if (to->length > longest)
            longest = to->length;
    }
    writer->longest += longest;
    return SOTTO_OK;
}

static sotto_status write_header(sotto_csv_writer *writer, sotto_error *err)
{
    const sotto_schema *schema = writer->encoder->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        cell name;
        sotto_status status = quote(writer, schema->columns[i].name, &name, err);
        if (status)
            return status;
        if (fwrite(name.text, 1, name.length, writer->file) != name.length ||
            fputc(i + 1 < schema->column_count ? ',' : '\n', writer->file) == EOF)
            return sotto_error_set(err, SOTTO_ERROR_IO, "cannot write the header: %s", strerror(errno));
    }
    return SOTTO_OK;
}

static sotto_status prepare(sotto_csv_writer *writer, sotto_error *err)
{
    const sotto_encoder *encoder = writer->encoder;
    writer->categories = sotto_arena_take(writer->arena, encoder->part_count, sizeof(cell *), err);
    sotto_status status = writer->categories ? quote_missing(writer, err) : SOTTO_ERROR_MEMORY;
    /* A comma or line end for each column, and a running number in each identifier. */
    writer->longest = encoder->schema->column_count * (SOTTO_CELL_SIZE + 1);
    for (size_t i = 0; !status && i < encoder->part_count; i++)
        status = quote_categories(writer, i, err);
    if (status)
        return status;
    writer->size = BUFFER + writer->longest;
    writer->buffer = sotto_arena_take(writer->arena, writer->size, 1, err);
    return writer->buffer ? write_header(writer, err) : SOTTO_ERROR_MEMORY;
}

sotto_status sotto_csv_writer_create(sotto_csv_writer **writer, const sotto_encoder *encoder,
                                     sotto_stream *stream, FILE *file, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    sotto_csv_writer *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (made) {
        *made = (sotto_csv_writer){.arena = arena, .encoder = encoder, .stream = stream, .file = file};
        status = prepare(made, err);
    }
    if (!made || status) {
        sotto_arena_destroy(arena);
        return made ? status : SOTTO_ERROR_MEMORY;
    }
    *writer = made;
    return SOTTO_OK;
}

void sotto_csv_writer_destroy(sotto_csv_writer *writer)
{
    if (writer)
        sotto_arena_destroy(writer->arena);
}

/* ------------------------------------------------------------------- rows */

static void put_point(sotto_csv_writer *writer, const sotto_part *part, int64_t point)
{
    writer->used += sotto_column_format_point(part->column, point, writer->buffer + writer->used);
}

/* In a block without slots the value speaks, whatever the slot: its `rest_slot` is 0. */
static void put_block(sotto_csv_writer *writer, size_t index, size_t slot, float value)
{
    const sotto_part *part = &writer->encoder->parts[index];
    const sotto_block *block = &part->block;
    if (slot < block->rest_slot && slot == block->missing_slot)
        put_cell(writer, writer->missing);
    else if (slot < block->rest_slot)
        put_point(writer, part, part->grid.spikes[slot - block->spike_slot]);
    else if (part->column->type == SOTTO_COLUMN_CATEGORY)
        put_cell(writer, writer->categories[index][slot - block->rest_slot]);
    else if (block->has_value && writer->encoder->numbers == SOTTO_NUMBERS_BOUNDED)
        put_point(writer, part, sotto_grid_from_scalar(&part->grid, value));
    else if (block->has_value)
        put_point(writer, part, sotto_grid_from_offset(&part->grid, slot - block->rest_slot, value));
    else
        put_point(writer, part, sotto_grid_draw(&part->grid, slot - block->rest_slot, writer->stream));
}

static sotto_status check_slots(const sotto_csv_writer *writer, const uint16_t *slots, sotto_error *err)
{
    for (size_t b = 0; b < writer->encoder->part_count; b++) {
        size_t count = writer->encoder->parts[b].block.slot_count;
        if (count && slots[b] >= count)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "slot %u of block %zu; it has %zu slots", slots[b],
                                   b, count);
    }
    return SOTTO_OK;
}

sotto_status sotto_csv_writer_row(sotto_csv_writer *writer, const uint16_t *slots, const float *values,
                                  sotto_error *err)
{
    const sotto_encoder *encoder = writer->encoder;
    sotto_status status = check_slots(writer, slots, err);
    if (!status && writer->size - writer->used < writer->longest)
        status = flush(writer, err);
    if (status)
        return status;
    writer->rows++;
    for (size_t i = 0; i < encoder->schema->column_count; i++) {
        size_t b = encoder->part_of_column[i];
        if (b == SOTTO_NONE)
            writer->used += sotto_cell_format_point((int64_t)writer->rows, 0, writer->buffer + writer->used);
        else
            put_block(writer, b, slots[b], values ? values[b] : 0);
        put_char(writer, i + 1 < encoder->schema->column_count ? ',' : '\n');
    }
    return SOTTO_OK;
}

sotto_status sotto_csv_writer_flush(sotto_csv_writer *writer, sotto_error *err)
{
    sotto_status status = flush(writer, err);
    if (!status && fflush(writer->file))
        status = sotto_error_set(err, SOTTO_ERROR_IO, "cannot write synthetic rows: %s", strerror(errno));
    return status;
}
