/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "document/document.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_NODES = 100000 };

/* One run over the events of one text. */
typedef struct reader {
    yaml_parser_t yaml;
    sotto_document *document;
    const char *place;
    const char *text;
    size_t length;
    sotto_error *err;
} reader;

/* --------------------------------------------------------------- refusals */

static sotto_status refuse(const reader *in, yaml_mark_t mark, const char *what)
{
    return sotto_error_set_at(in->err, SOTTO_ERROR_INPUT, in->place, mark.line + 1, mark.column + 1, "%s",
                              what);
}

static sotto_status refuse_byte(const reader *in, size_t offset, const char *what)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < in->length; i++) {
        mark.column++;
        if (in->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return refuse(in, mark, what);
}

/* What libyaml would take and we do not, seen in the bytes alone. */
static sotto_status check_bytes(const reader *in)
{
    if (in->length > SOTTO_DOCUMENT_MAX_BYTES)
        return sotto_error_set_at(in->err, SOTTO_ERROR_INPUT, in->place, 0, 0,
                                  "%zu bytes are too many; at most 1 MiB is read", in->length);
    const char *nul = memchr(in->text, '\0', in->length);
    if (nul)
        return refuse_byte(in, (size_t)(nul - in->text), "a NUL byte; this must be plain UTF-8 text");
    bool indentation = true;
    for (size_t i = 0; i < in->length; i++) {
        if (indentation && in->text[i] == '\t')
            return refuse_byte(in, i, "a tab in the indentation; indent with blanks");
        if (in->text[i] == '\n')
            indentation = true;
        else if (in->text[i] != ' ')
            indentation = false;
    }
    return SOTTO_OK;
}

static sotto_status refuse_syntax(const reader *in)
{
    const yaml_parser_t *yaml = &in->yaml;
    if (yaml->error == YAML_MEMORY_ERROR)
        return sotto_error_set(in->err, SOTTO_ERROR_MEMORY, "out of memory while reading %s", in->place);
    if (yaml->error == YAML_READER_ERROR)
        return refuse_byte(in, yaml->problem_offset, "not valid UTF-8 text, or a control character");
    return sotto_error_set_at(in->err, SOTTO_ERROR_INPUT, in->place, yaml->problem_mark.line + 1,
                              yaml->problem_mark.column + 1,
                              "not valid YAML: %s%s%s; check indentation, colons, brackets and quotes",
                              yaml->problem ? yaml->problem : "syntax error", yaml->context ? " " : "",
                              yaml->context ? yaml->context : "");
}

/* The next event; the caller deletes it. */
static sotto_status next_event(reader *in, yaml_event_t *event)
{
    if (!yaml_parser_parse(&in->yaml, event))
        return refuse_syntax(in);
    return SOTTO_OK;
}

/* Anchors and tags ride on three kinds of event. */
static sotto_status check_event(const reader *in, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return refuse(in, event->start_mark, "an alias; write the value out");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return refuse(in, event->start_mark, "an anchor; write the value out where it is needed");
    if (tag)
        return refuse(in, event->start_mark, "a tag; leave it out, the reader knows each setting's type");
    return SOTTO_OK;
}

/* --------------------------------------------------------------- the tree */

static sotto_node *new_node(reader *in, sotto_node_kind kind, yaml_mark_t mark)
{
    if (in->document->nodes >= MAX_NODES) {
        refuse(in, mark, "more than 100,000 values; this is not a config or a schema");
        return NULL;
    }
    sotto_node *node = sotto_arena_take(in->document->arena, 1, sizeof *node, in->err);
    if (!node)
        return NULL;
    in->document->nodes++;
    node->kind = kind;
    node->line = mark.line + 1;
    node->column = mark.column + 1;
    node->place = in->place;
    return node;
}

/* Why new_node gave NULL. */
static sotto_status no_node(const reader *in)
{
    return in->document->nodes >= MAX_NODES ? SOTTO_ERROR_INPUT : SOTTO_ERROR_MEMORY;
}

static sotto_status read_scalar(reader *in, const yaml_event_t *event, sotto_node **node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(text, '\0', length))
        return refuse(in, event->start_mark, "an escaped NUL; texts hold none");
    *node = new_node(in, SOTTO_NODE_SCALAR, event->start_mark);
    if (!*node)
        return no_node(in);
    (*node)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    (*node)->text = sotto_arena_copy(in->document->arena, text, length, in->err);
    return (*node)->text ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status read_node(reader *in, const yaml_event_t *event, size_t depth, sotto_node **node);

/* `count` chained nodes as an array. */
static sotto_node **unchain(reader *in, sotto_node *first, size_t count)
{
    sotto_node **items = sotto_arena_take(in->document->arena, count, sizeof *items, in->err);
    for (size_t i = 0; items && i < count; i++, first = first->next)
        items[i] = first;
    return items;
}

static sotto_status read_list(reader *in, size_t depth, sotto_node *list)
{
    sotto_node *first = NULL, **tail = &first;
    for (;;) {
        yaml_event_t event;
        sotto_status status = next_event(in, &event);
        if (status)
            return status;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            status = read_node(in, &event, depth + 1, tail);
        yaml_event_delete(&event);
        if (status)
            return status;
        if (end)
            break;
        tail = &(*tail)->next;
        list->count++;
    }
    list->items = unchain(in, first, list->count);
    return list->items ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

size_t sotto_document_word(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return *text == '-' ? 0 : strspn(text, letters);
}

/* Words with dots between: what the formatter can write without quotes. */
static bool is_key(const char *text)
{
    size_t length = sotto_document_word(text);
    for (; length && text[length] == '.'; length = sotto_document_word(text))
        text += length + 1;
    return length && text[length] == '\0';
}

static sotto_status check_key(const reader *in, const yaml_event_t *event)
{
    if (event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT)
        return refuse(in, event->start_mark, "a list or map as a key; keys are plain words");
    if (event->type != YAML_SCALAR_EVENT)
        return SOTTO_OK;
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return refuse(in, event->start_mark, "a quoted key; keys are plain words");
    if (event->data.scalar.length == 0)
        return refuse(in, event->start_mark, "an empty key; write its name before the colon");
    if (strcmp((const char *)event->data.scalar.value, "<<") == 0)
        return refuse(in, event->start_mark, "a merge key; write the values out");
    if (!is_key((const char *)event->data.scalar.value))
        return refuse(in, event->start_mark,
                      "a key that is no plain word; keys are made of letters, digits, _, - and dots between");
    return SOTTO_OK;
}

static int by_text_then_place(const void *left, const void *right)
{
    const sotto_node *a = *(sotto_node *const *)left, *b = *(sotto_node *const *)right;
    int order = strcmp(a->text, b->text);
    if (order)
        return order;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

/* Sorted, not compared pairwise: a map of 50,000 keys must not take seconds. */
static sotto_status check_repeated(const reader *in, const sotto_node *map)
{
    sotto_node **sorted = sotto_arena_take(in->document->arena, map->count, sizeof *sorted, in->err);
    if (!sorted)
        return SOTTO_ERROR_MEMORY;
    if (map->count)
        memcpy(sorted, map->keys, map->count * sizeof *sorted);
    qsort(sorted, map->count, sizeof *sorted, by_text_then_place);
    for (size_t i = 1; i < map->count; i++)
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0)
            return sotto_node_error(sorted[i], in->err, "key '%.60s' was given on line %zu already; keep one",
                                    sorted[i]->text, sorted[i - 1]->line);
    return SOTTO_OK;
}

/* One key and its value; *end where the map closes instead. */
static sotto_status read_pair(reader *in, size_t depth, sotto_node **key, sotto_node **value, bool *end)
{
    yaml_event_t event;
    sotto_status status = next_event(in, &event);
    if (status)
        return status;
    *end = event.type == YAML_MAPPING_END_EVENT;
    if (!*end) {
        status = check_key(in, &event);
        if (!status)
            status = read_node(in, &event, depth + 1, key);
    }
    yaml_event_delete(&event);
    if (status || *end)
        return status;
    status = next_event(in, &event);
    if (status)
        return status;
    status = read_node(in, &event, depth + 1, value);
    yaml_event_delete(&event);
    return status;
}

static sotto_status read_map(reader *in, size_t depth, sotto_node *map)
{
    sotto_node *keys = NULL, *values = NULL, **key = &keys, **value = &values;
    for (;;) {
        bool end = false;
        sotto_status status = read_pair(in, depth, key, value, &end);
        if (status)
            return status;
        if (end)
            break;
        key = &(*key)->next;
        value = &(*value)->next;
        map->count++;
    }
    map->keys = unchain(in, keys, map->count);
    map->items = map->keys ? unchain(in, values, map->count) : NULL;
    return map->items ? check_repeated(in, map) : SOTTO_ERROR_MEMORY;
}

static sotto_status read_node(reader *in, const yaml_event_t *event, size_t depth, sotto_node **node)
{
    sotto_status status = check_event(in, event);
    if (status)
        return status;
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(in, event, node);
    if (depth >= SOTTO_DOCUMENT_MAX_DEPTH)
        return refuse(in, event->start_mark, "lists and maps nested more than 64 levels deep");
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    *node = new_node(in, list ? SOTTO_NODE_LIST : SOTTO_NODE_MAP, event->start_mark);
    if (!*node)
        return no_node(in);
    return list ? read_list(in, depth, *node) : read_map(in, depth, *node);
}

/* ---------------------------------------------------------- one whole text */

static sotto_status read_root(reader *in, const yaml_event_t *start, size_t depth, sotto_node **root)
{
    static const char nothing[] = "nothing but blanks and comments; settings were expected";
    if (start->type == YAML_STREAM_END_EVENT)
        return refuse(in, start->start_mark, nothing);
    if (start->data.document_start.version_directive ||
        start->data.document_start.tag_directives.start != start->data.document_start.tag_directives.end)
        return refuse(in, start->start_mark, "a directive; leave lines that begin with % out");
    yaml_event_t event;
    sotto_status status = next_event(in, &event);
    if (status)
        return status;
    if (event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 0 &&
        event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        status = refuse(in, event.start_mark, nothing);
    else
        status = read_node(in, &event, depth, root);
    yaml_event_delete(&event);
    return status;
}

/* Between the root's end and the stream's end there must be the document's end and nothing else. */
static sotto_status read_end(reader *in)
{
    for (;;) {
        yaml_event_t event;
        sotto_status status = next_event(in, &event);
        if (status)
            return status;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT)
            status = refuse(in, event.start_mark, "a second document; only one is read");
        yaml_event_delete(&event);
        if (status || type == YAML_STREAM_END_EVENT)
            return status;
    }
}

static sotto_status read_events(reader *in, size_t depth, sotto_node **root)
{
    yaml_event_t event;
    sotto_status status = next_event(in, &event); /* the stream's start */
    if (status)
        return status;
    yaml_event_delete(&event);
    status = next_event(in, &event);
    if (status)
        return status;
    status = read_root(in, &event, depth, root);
    yaml_event_delete(&event);
    return status ? status : read_end(in);
}

sotto_status sotto_document_read_text(sotto_document *document, const char *place, const char *text,
                                      size_t length, size_t depth, sotto_node **root, sotto_error *err)
{
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        length -= 3;
    }
    reader in = {.document = document, .place = place, .text = text, .length = length, .err = err};
    sotto_status status = check_bytes(&in);
    if (status)
        return status;
    if (!yaml_parser_initialize(&in.yaml))
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory while reading %s", place);
    yaml_parser_set_encoding(&in.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.yaml, (const unsigned char *)text, length);
    status = read_events(&in, depth, root);
    yaml_parser_delete(&in.yaml);
    return status;
}
