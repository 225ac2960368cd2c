/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "document/document.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static int write_bytes(void *file, unsigned char *bytes, size_t count)
{
    return fwrite(bytes, 1, count, file) == count;
}

/* The emitter owns the event whether or not it could be written. */
static bool emit_scalar(yaml_emitter_t *yaml, const sotto_node *node)
{
    yaml_event_t event;
    /* Quoted stays quoted: a reader of ours takes a plain 1 for a number and a quoted one for a text. */
    return yaml_scalar_event_initialize(
               &event, NULL, NULL, (const yaml_char_t *)node->text, (int)strlen(node->text), 1, 1,
               node->quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE) &&
           yaml_emitter_emit(yaml, &event);
}

/* Lists of scalars fit on one line; anything else is laid out. */
static bool is_short(const sotto_node *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->kind != SOTTO_NODE_SCALAR)
            return false;
    return true;
}

static bool emit_node(yaml_emitter_t *yaml, const sotto_node *node);

static bool emit_list(yaml_emitter_t *yaml, const sotto_node *list)
{
    yaml_event_t event;
    yaml_sequence_style_t style = is_short(list) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style) ||
        !yaml_emitter_emit(yaml, &event))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!emit_node(yaml, list->items[i]))
            return false;
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(yaml, &event);
}

static bool emit_map(yaml_emitter_t *yaml, const sotto_node *map)
{
    yaml_event_t event;
    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
        !yaml_emitter_emit(yaml, &event))
        return false;
    for (size_t i = 0; i < map->count; i++)
        if (!emit_scalar(yaml, map->keys[i]) || !emit_node(yaml, map->items[i]))
            return false;
    return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(yaml, &event);
}

static bool emit_node(yaml_emitter_t *yaml, const sotto_node *node)
{
    switch (node->kind) {
    case SOTTO_NODE_LIST:
        return emit_list(yaml, node);
    case SOTTO_NODE_MAP:
        return emit_map(yaml, node);
    case SOTTO_NODE_SCALAR:
        break;
    }
    return emit_scalar(yaml, node);
}

static bool emit_document(yaml_emitter_t *yaml, const sotto_node *root)
{
    yaml_event_t event;
    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
           yaml_emitter_emit(yaml, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
           yaml_emitter_emit(yaml, &event) && emit_node(yaml, root) &&
           yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(yaml, &event) &&
           yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(yaml, &event) &&
           yaml_emitter_flush(yaml);
}

sotto_status sotto_document_format(const sotto_document *document, char **text, sotto_error *err)
{
    return sotto_node_format(document->root, text, err);
}

sotto_status sotto_node_format(const sotto_node *node, char **text, sotto_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    yaml_emitter_t yaml;
    bool whole = false;
    FILE *file = sotto_memory_open(&bytes, &length);
    if (file && yaml_emitter_initialize(&yaml)) {
        yaml_emitter_set_output(&yaml, write_bytes, file);
        yaml_emitter_set_unicode(&yaml, 1);
        yaml_emitter_set_width(&yaml, -1);
        whole = emit_document(&yaml, node);
        yaml_emitter_delete(&yaml);
    }
    if (file && fclose(file))
        whole = false;
    if (!whole) {
        free(bytes);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory while writing %s as YAML",
                               node->place);
    }
    *text = bytes;
    return SOTTO_OK;
}
