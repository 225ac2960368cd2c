/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "document/document.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

sotto_status sotto_document_parse(sotto_document **document, const char *name, const char *text,
                                  size_t length, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    sotto_document *made = sotto_arena_take(arena, 1, sizeof *made, err);
    char *copy = made ? sotto_arena_copy(arena, name, strlen(name), err) : NULL;
    if (!copy) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->name = copy;
    status = sotto_document_read_text(made, copy, text, length, 0, &made->root, err);
    if (status)
        sotto_arena_destroy(arena);
    else
        *document = made;
    return status;
}

sotto_status sotto_document_load(sotto_document **document, const char *path, sotto_error *err)
{
    char *text;
    size_t length;
    sotto_status status = sotto_file_read(path, SOTTO_DOCUMENT_MAX_BYTES, &text, &length, err);
    if (status)
        return status;
    status = sotto_document_parse(document, path, text, length, err);
    free(text);
    return status;
}

void sotto_document_destroy(sotto_document *document)
{
    if (document)
        sotto_arena_destroy(document->arena);
}

/* -------------------------------------------------------------------- set */

static sotto_node *plain_node(sotto_document *document, sotto_node_kind kind, const char *place,
                              sotto_error *err)
{
    sotto_node *node = sotto_arena_take(document->arena, 1, sizeof *node, err);
    if (node) {
        node->kind = kind;
        node->place = place;
        node->line = node->column = 1;
    }
    return node;
}

static sotto_status append(sotto_document *document, sotto_node *map, const char *key, size_t key_length,
                           sotto_node *value, sotto_error *err)
{
    sotto_node *name = plain_node(document, SOTTO_NODE_SCALAR, value->place, err);
    sotto_node **keys = sotto_arena_take(document->arena, map->count + 1, sizeof *keys, err);
    sotto_node **items = sotto_arena_take(document->arena, map->count + 1, sizeof *items, err);
    if (!name || !keys || !items)
        return SOTTO_ERROR_MEMORY;
    name->text = sotto_arena_copy(document->arena, key, key_length, err);
    if (!name->text)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < map->count; i++) {
        keys[i] = map->keys[i];
        items[i] = map->items[i];
    }
    keys[map->count] = name;
    items[map->count] = value;
    map->keys = keys;
    map->items = items;
    map->count++;
    return SOTTO_OK;
}

static size_t find_key(const sotto_node *map, const char *key, size_t length)
{
    for (size_t i = 0; i < map->count; i++)
        if (strlen(map->keys[i]->text) == length && memcmp(map->keys[i]->text, key, length) == 0)
            return i;
    return map->count;
}

/* Hang `value` under `path` below `map`, making the maps between; nothing changes on failure. */
static sotto_status attach(sotto_document *document, sotto_node *map, const char *path, sotto_node *value,
                           sotto_error *err)
{
    const char *dot = strchr(path, '.');
    /* A sweep's keys have dots in them: the whole rest wins where it is a key already. */
    size_t whole = find_key(map, path, strlen(path));
    if (whole < map->count || !dot) {
        if (whole == map->count)
            return append(document, map, path, strlen(path), value, err);
        map->items[whole] = value;
        return SOTTO_OK;
    }
    size_t length = (size_t)(dot - path), i = find_key(map, path, length);
    if (i < map->count && map->items[i]->kind != SOTTO_NODE_MAP)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, value->place, 0, 0,
                                  "'%.*s' is not a map, so nothing can be set inside it; set it as a whole",
                                  (int)(length < 60 ? length : 60), path);
    if (i < map->count)
        return attach(document, map->items[i], dot + 1, value, err);
    sotto_node *between = plain_node(document, SOTTO_NODE_MAP, value->place, err);
    if (!between)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = attach(document, between, dot + 1, value, err);
    return status ? status : append(document, map, path, length, between, err);
}

/* Levels that `path` goes down; 0 where it is not words between single dots. */
static size_t path_levels(const char *path)
{
    size_t levels = 0;
    for (const char *at = path;; at++) {
        size_t length = sotto_document_word(at);
        if (length == 0)
            return 0;
        levels++;
        at += length;
        if (*at == '\0')
            return levels;
        if (*at != '.')
            return 0;
    }
}

sotto_status sotto_document_set(sotto_document *document, const char *path, const char *value,
                                sotto_error *err)
{
    size_t levels = path_levels(path);
    if (levels == 0 || levels > SOTTO_DOCUMENT_MAX_DEPTH)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "--set wants KEY=VALUE, the key being words between dots, such as privacy.epsilon");
    if (document->root->kind != SOTTO_NODE_MAP)
        return sotto_node_error(document->root, err, "not a map of settings, so nothing can be set in it");
    size_t size = strlen(path) + sizeof "--set ";
    char *place = sotto_arena_take(document->arena, size, 1, err);
    if (!place)
        return SOTTO_ERROR_MEMORY;
    (void)snprintf(place, size, "--set %s", path);
    sotto_node *node = NULL;
    sotto_status status = sotto_document_read_text(document, place, value, strlen(value), levels, &node, err);
    return status ? status : attach(document, document->root, path, node, err);
}

/* -------------------------------------------------------------- accessors */

const sotto_node *sotto_document_root(const sotto_document *document)
{
    return document->root;
}

const char *sotto_document_name(const sotto_document *document)
{
    return document->name;
}

sotto_node_kind sotto_node_kind_of(const sotto_node *node)
{
    return node->kind;
}

size_t sotto_node_count(const sotto_node *node)
{
    return node->count;
}

const sotto_node *sotto_node_at(const sotto_node *node, size_t i)
{
    return node->items[i];
}

const char *sotto_node_key(const sotto_node *map, size_t i)
{
    return map->keys[i]->text;
}

const sotto_node *sotto_node_key_at(const sotto_node *map, size_t i)
{
    return map->keys[i];
}

const sotto_node *sotto_node_get(const sotto_node *map, const char *key)
{
    if (!map || map->kind != SOTTO_NODE_MAP)
        return NULL;
    size_t i = find_key(map, key, strlen(key));
    return i < map->count ? map->items[i] : NULL;
}

const char *sotto_node_text(const sotto_node *node)
{
    return node->text;
}

sotto_status sotto_node_error(const sotto_node *node, sotto_error *err, const char *format, ...)
{
    char message[sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!node)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%s", message);
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, node->place, node->line, node->column, "%s", message);
}
