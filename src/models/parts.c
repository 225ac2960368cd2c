/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/parts.h"

#include <string.h>

/* ---- sections ---- */

sotto_status sotto_model_read_hidden(const sotto_node *node, const char *what, sotto_hidden *hidden,
                                     sotto_error *err)
{
    const size_t count = sotto_node_kind_of(node) == SOTTO_NODE_LIST ? sotto_node_count(node) : 0;
    if (count < 1 || count > SOTTO_MODEL_HIDDEN)
        return sotto_node_error(node, err, "%s must be a list of 1 to %d layer widths, such as [128, 128]",
                                what, SOTTO_MODEL_HIDDEN);
    hidden->count = count;
    for (size_t i = 0; i < count; i++) {
        sotto_status status = sotto_node_size(sotto_node_at(node, i), what, 1, 8192, &hidden->width[i], err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

void sotto_model_format_hidden(const sotto_hidden *hidden, FILE *file)
{
    for (size_t i = 0; i < hidden->count; i++)
        (void)fprintf(file, "%s%zu", i ? ", " : "[", hidden->width[i]);
    (void)fputc(']', file);
}

sotto_status sotto_model_refuse_coupling(const sotto_node *node, sotto_error *err)
{
    static const char *const coupling[] = {"batch_norm", "batch_normalization", "pac", "packing"};
    for (size_t i = 0; i < sizeof coupling / sizeof *coupling; i++) {
        const sotto_node *found = sotto_node_get(node, coupling[i]);
        if (found)
            return sotto_node_error(
                found, err,
                "%s makes one row's gradient depend on the other rows of the batch, so that "
                "clipping no longer bounds what one row can change; remove it (layer_norm: true, "
                "where there is such a key, normalises within a row)",
                coupling[i]);
    }
    return SOTTO_OK;
}

/* ---- rows ---- */

size_t sotto_entries_of_row(const sotto_encoder *encoder)
{
    size_t entries = 0;
    for (size_t b = 0; b < sotto_encoder_block_count(encoder); b++) {
        const sotto_block *block = sotto_encoder_block(encoder, b);
        entries += (size_t)(block->slot_count > 0) + block->has_value;
    }
    return entries;
}

sotto_status sotto_entries_take(sotto_entries *entries, sotto_arena *arena, size_t each, size_t rows,
                                sotto_error *err)
{
    *entries = (sotto_entries){.columns = sotto_arena_take(arena, rows, each * sizeof(uint32_t), err),
                               .values = sotto_arena_take(arena, rows, each * sizeof(float), err)};
    return entries->columns && entries->values ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

void sotto_entries_add(sotto_entries *to, const sotto_block *block, size_t slot, float value)
{
    if (block->slot_count > 0) {
        to->columns[to->count] = (uint32_t)(block->slot_offset + slot);
        to->values[to->count++] = 1.0f;
    }
    if (block->has_value) {
        to->columns[to->count] = (uint32_t)block->value_offset;
        to->values[to->count++] = value;
    }
}

/* ---- draws ---- */

size_t sotto_model_pick(const float *weights, size_t count, float u)
{
    for (size_t s = 0; s + 1 < count; s++) {
        u -= weights[s];
        if (u < 0.0f)
            return s;
    }
    return count - 1;
}

size_t sotto_model_draw(const double *frequency, size_t count, sotto_stream *stream)
{
    double u = sotto_stream_uniform(stream);
    for (size_t k = 0; k + 1 < count; k++) {
        u -= frequency[k];
        if (u < 0.0)
            return k;
    }
    return count - 1;
}

void sotto_model_uniforms(sotto_stream *stream, float *uniforms, size_t count)
{
    uint32_t bits[512];
    for (size_t first = 0; first < count; first += 512) {
        const size_t piece = count - first < 512 ? count - first : 512;
        sotto_stream_bytes(stream, bits, piece * sizeof *bits);
        for (size_t i = 0; i < piece; i++)
            uniforms[first + i] = ((float)(bits[i] >> 9) + 0.5f) * 0x1p-23f;
    }
}
