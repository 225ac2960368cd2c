/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "data/data.h"

/* ------------------------------------------------------------------ encoder */

/* Does any bin hold more than one point? Where none does, a bin says all. */
static bool has_width(const sotto_grid *grid)
{
    for (size_t i = 0; i < grid->bin_count; i++)
        if (grid->edges[i + 1] - grid->edges[i] > 1)
            return true;
    return false;
}

/* Lay out one column's block behind what the encoder holds already. */
static void lay_out(sotto_encoder *encoder, sotto_part *part, size_t column)
{
    const sotto_column *of = part->column;
    sotto_block *block = &part->block;
    bool category = of->type == SOTTO_COLUMN_CATEGORY;
    bool bounded = !category && encoder->numbers == SOTTO_NUMBERS_BOUNDED;
    bool modes = !category && encoder->numbers == SOTTO_NUMBERS_MODES;
    size_t rest = category ? of->value_count : part->grid.bin_count;
    block->column = column;
    block->slot_offset = encoder->width;
    block->missing_slot = of->missing_allowed ? 0 : SOTTO_NONE;
    block->spike_slot = of->missing_allowed;
    block->spike_count = part->grid.spike_count;
    block->rest_slot = block->spike_slot + block->spike_count;
    block->has_value = (bounded && rest > 0) || (modes && has_width(&part->grid));
    if (bounded)
        rest = block->has_value && block->rest_slot > 0;
    block->slot_count = block->rest_slot + rest;
    encoder->width += block->slot_count;
    block->value_offset = encoder->width;
    part->value_index = encoder->value_count;
    encoder->width += block->has_value;
    encoder->value_count += block->has_value;
}

static sotto_status add_columns(sotto_encoder *encoder, sotto_error *err)
{
    const sotto_schema *schema = encoder->schema;
    encoder->parts = sotto_arena_take(encoder->arena, schema->column_count, sizeof *encoder->parts, err);
    encoder->part_of_column =
        sotto_arena_take(encoder->arena, schema->column_count, sizeof *encoder->part_of_column, err);
    if (!encoder->parts || !encoder->part_of_column)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < schema->column_count; i++) {
        const sotto_column *column = &schema->columns[i];
        encoder->part_of_column[i] = SOTTO_NONE;
        if (column->type == SOTTO_COLUMN_IDENTIFIER)
            continue;
        sotto_part *part = &encoder->parts[encoder->part_count];
        part->column = column;
        sotto_status status = SOTTO_OK;
        if (column->type != SOTTO_COLUMN_CATEGORY)
            status = sotto_grid_make(&part->grid, column, encoder->arena, err);
        if (status)
            return status;
        encoder->part_of_column[i] = encoder->part_count++;
        lay_out(encoder, part, i);
    }
    return SOTTO_OK;
}

sotto_status sotto_encoder_create(sotto_encoder **encoder, const sotto_schema *schema, sotto_numbers numbers,
                                  sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    sotto_encoder *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (made) {
        *made = (sotto_encoder){.arena = arena, .schema = schema, .numbers = numbers};
        status = add_columns(made, err);
    }
    if (!made || status) {
        sotto_arena_destroy(arena);
        return made ? status : SOTTO_ERROR_MEMORY;
    }
    *encoder = made;
    return SOTTO_OK;
}

void sotto_encoder_destroy(sotto_encoder *encoder)
{
    if (encoder)
        sotto_arena_destroy(encoder->arena);
}

const sotto_schema *sotto_encoder_schema(const sotto_encoder *encoder)
{
    return encoder->schema;
}

sotto_numbers sotto_encoder_numbers(const sotto_encoder *encoder)
{
    return encoder->numbers;
}

size_t sotto_encoder_width(const sotto_encoder *encoder)
{
    return encoder->width;
}

size_t sotto_encoder_block_count(const sotto_encoder *encoder)
{
    return encoder->part_count;
}

const sotto_block *sotto_encoder_block(const sotto_encoder *encoder, size_t block)
{
    return &encoder->parts[block].block;
}

size_t sotto_encoder_find(const sotto_encoder *encoder, size_t column)
{
    return encoder->part_of_column[column];
}

float sotto_encoder_round(const sotto_encoder *encoder, size_t block, size_t slot, float value)
{
    const sotto_part *part = &encoder->parts[block];
    if (encoder->numbers == SOTTO_NUMBERS_BOUNDED)
        return sotto_grid_scalar(&part->grid, sotto_grid_from_scalar(&part->grid, value));
    return sotto_grid_offset(&part->grid,
                             sotto_grid_from_offset(&part->grid, slot - part->block.rest_slot, value));
}

/* ------------------------------------------------------------------ encoded */

struct sotto_encoded {
    sotto_arena *arena;
    const sotto_encoder *encoder;
    size_t rows;
    uint16_t *slots; /* [rows][blocks] */
    float *values;   /* [rows][blocks that have a value] */
};

static void encode_category(const sotto_part *part, const sotto_table *table, size_t row, uint16_t *slot)
{
    size_t category = sotto_table_category(table, row, part->block.column);
    *slot = (uint16_t)(category == SOTTO_NONE ? part->block.missing_slot : part->block.rest_slot + category);
}

static void encode_number(const sotto_part *part, bool bounded, const sotto_table *table, size_t row,
                          uint16_t *slot, float *value)
{
    const sotto_block *block = &part->block;
    double number = sotto_table_number(table, row, block->column);
    if (isnan(number)) {
        *slot = (uint16_t)block->missing_slot;
        return;
    }
    int64_t point = sotto_grid_nearest(&part->grid, number);
    size_t spike = sotto_grid_spike(&part->grid, point);
    if (spike != SOTTO_NONE) {
        *slot = (uint16_t)(block->spike_slot + spike);
        return;
    }
    /* In a block without slots this is 0. */
    *slot = (uint16_t)block->rest_slot;
    if (!bounded)
        *slot = (uint16_t)(block->rest_slot + sotto_grid_bin(&part->grid, point));
    if (block->has_value)
        *value = bounded ? sotto_grid_scalar(&part->grid, point) : sotto_grid_offset(&part->grid, point);
}

static void encode_row(sotto_encoded *to, const sotto_table *table, size_t row)
{
    const sotto_encoder *encoder = to->encoder;
    for (size_t b = 0; b < encoder->part_count; b++) {
        const sotto_part *part = &encoder->parts[b];
        uint16_t *slot = &to->slots[row * encoder->part_count + b];
        if (part->column->type == SOTTO_COLUMN_CATEGORY)
            encode_category(part, table, row, slot);
        else
            encode_number(part, encoder->numbers == SOTTO_NUMBERS_BOUNDED, table, row, slot,
                          &to->values[row * encoder->value_count + part->value_index]);
    }
}

sotto_status sotto_encode(sotto_encoded **encoded, const sotto_encoder *encoder, const sotto_table *table,
                          sotto_error *err)
{
    if (sotto_table_schema(table) != encoder->schema)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "the table was read under another schema than the encoder's; load both with one");
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    size_t rows = sotto_table_rows(table);
    sotto_encoded *made = sotto_arena_take(arena, 1, sizeof *made, err);
    uint16_t *slots = sotto_arena_take(arena, rows, encoder->part_count * sizeof *slots, err);
    /* One element more: blocks without a value point behind the last row's. */
    float *values = sotto_arena_take(arena, rows + 1, (encoder->value_count + 1) * sizeof *values, err);
    if (!made || !slots || !values) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made =
        (sotto_encoded){.arena = arena, .encoder = encoder, .rows = rows, .slots = slots, .values = values};
    for (size_t row = 0; row < rows; row++)
        encode_row(made, table, row);
    *encoded = made;
    return SOTTO_OK;
}

void sotto_encoded_destroy(sotto_encoded *encoded)
{
    if (encoded)
        sotto_arena_destroy(encoded->arena);
}

const sotto_encoder *sotto_encoded_encoder(const sotto_encoded *encoded)
{
    return encoded->encoder;
}

size_t sotto_encoded_rows(const sotto_encoded *encoded)
{
    return encoded->rows;
}

size_t sotto_encoded_slot(const sotto_encoded *encoded, size_t row, size_t block)
{
    return encoded->slots[row * encoded->encoder->part_count + block];
}

float sotto_encoded_value(const sotto_encoded *encoded, size_t row, size_t block)
{
    const sotto_part *part = &encoded->encoder->parts[block];
    if (!part->block.has_value)
        return 0;
    return encoded->values[row * encoded->encoder->value_count + part->value_index];
}

void sotto_encoded_gather(const sotto_encoded *encoded, const uint32_t *rows, size_t count, float *out,
                          size_t stride)
{
    const sotto_encoder *encoder = encoded->encoder;
    for (size_t i = 0; i < count; i++) {
        float *vector = out + i * stride;
        const uint16_t *slots = encoded->slots + (size_t)rows[i] * encoder->part_count;
        memset(vector, 0, encoder->width * sizeof *vector);
        for (size_t b = 0; b < encoder->part_count; b++) {
            const sotto_block *block = &encoder->parts[b].block;
            if (block->slot_count)
                vector[block->slot_offset + slots[b]] = 1;
            if (block->has_value)
                vector[block->value_offset] = sotto_encoded_value(encoded, rows[i], b);
        }
    }
}
