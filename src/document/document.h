/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DOCUMENT_H
#define SOTTO_DOCUMENT_H

/**
 * document: strict YAML as a tree that remembers its lines. The one reader of configs and schemas.
 *
 * Stricter than YAML: one document; no anchors, aliases, tags or merge keys; no repeated keys; keys are plain
 * words; at most 64 levels, 1 MiB and 100,000 nodes; no NUL, no tab in indentation. Each is refused with
 * line and column.
 */

#include "base/base.h"

typedef struct sotto_document sotto_document;
typedef struct sotto_node sotto_node;

typedef enum sotto_node_kind { SOTTO_NODE_SCALAR, SOTTO_NODE_LIST, SOTTO_NODE_MAP } sotto_node_kind;

/** Read and parse `path`. Caller destroys. */
sotto_status sotto_document_load(sotto_document **document, const char *path, sotto_error *err);

/** Parse `length` bytes; `name` stands for the file in errors. */
sotto_status sotto_document_parse(sotto_document **document, const char *name, const char *text,
                                  size_t length, sotto_error *err);
void sotto_document_destroy(sotto_document *document);

const sotto_node *sotto_document_root(const sotto_document *document);
const char *sotto_document_name(const sotto_document *document);

/**
 * Set the node at a dotted path ("privacy.epsilon") to the YAML in `value`, making maps on the way where
 * there are none: what `--set` does. The node's place in later errors is "--set PATH".
 */
sotto_status sotto_document_set(sotto_document *document, const char *path, const char *value,
                                sotto_error *err);

/** A part of the tree as YAML of its own, comments gone; caller frees. */
sotto_status sotto_node_format(const sotto_node *node, char **text, sotto_error *err);

/** The whole tree as YAML again, comments gone; caller frees. */
sotto_status sotto_document_format(const sotto_document *document, char **text, sotto_error *err);

sotto_node_kind sotto_node_kind_of(const sotto_node *node);

/** Lists and maps: how many children. Scalars: 0. */
size_t sotto_node_count(const sotto_node *node);

/** The i-th element of a list, or the i-th value of a map. */
const sotto_node *sotto_node_at(const sotto_node *node, size_t i);

/** The i-th key of a map. */
const char *sotto_node_key(const sotto_node *map, size_t i);

/** The same key as a scalar that knows its place, for errors about the key itself. */
const sotto_node *sotto_node_key_at(const sotto_node *map, size_t i);

/** The value under `key`, or NULL where the map has none (or is NULL, or is not a map). */
const sotto_node *sotto_node_get(const sotto_node *map, const char *key);

/** A scalar's text as written (quotes removed, escapes resolved); NULL for lists and maps. */
const char *sotto_node_text(const sotto_node *node);

/** Fail at `node`'s place: SOTTO_ERROR_INPUT with file, line and column. */
sotto_status sotto_node_error(const sotto_node *node, sotto_error *err, const char *format, ...)
    SOTTO_PRINTF(3, 4);

/**
 * `node` must be a map whose keys are all in `known` (NULL-terminated); `what` names it ("privacy"). An
 * unknown key is an error at the key's place that names the nearest known one, or lists them all.
 */
sotto_status sotto_node_expect_map(const sotto_node *node, const char *what, const char *const *known,
                                   sotto_error *err);

/**
 * A decimal number, the whole of `text`: [+-]digits[.digits][e[+-]digits], no blanks, whatever the locale.
 * False for anything else, NaN and infinities among them. What is too large for a double becomes infinite, as
 * strtod has it.
 */
bool sotto_text_double(const char *text, double *value);

/**
 * Typed readers. `what` names the setting in errors ("privacy.epsilon"). Numbers are decimal floats that must
 * be finite and lie in [low, high]; hexadecimal, octal, NaN, infinities, booleans and quoted numbers are
 * refused.
 */
sotto_status sotto_node_double(const sotto_node *node, const char *what, double low, double high,
                               double *value, sotto_error *err);
sotto_status sotto_node_size(const sotto_node *node, const char *what, size_t low, size_t high, size_t *value,
                             sotto_error *err);
sotto_status sotto_node_bool(const sotto_node *node, const char *what, bool *value, sotto_error *err);

/** A non-empty scalar; the text belongs to the document. */
sotto_status sotto_node_string(const sotto_node *node, const char *what, const char **value,
                               sotto_error *err);

/** One of `names` (NULL-terminated); `*choice` is its index. The error lists the names. */
sotto_status sotto_node_choice(const sotto_node *node, const char *what, const char *const *names,
                               size_t *choice, sotto_error *err);

/* ---------------------------------------------------- private to this room */

enum { SOTTO_DOCUMENT_MAX_DEPTH = 64, SOTTO_DOCUMENT_MAX_BYTES = 1 << 20 };

struct sotto_node {
    sotto_node_kind kind;
    bool quoted;
    size_t line, column;
    const char *place; /* the file, or "--set PATH" */
    const char *text;  /* scalars */
    size_t count;
    sotto_node **items, **keys;
    sotto_node *next; /* chains children while their number is unknown */
};

struct sotto_document {
    sotto_arena *arena;
    const char *name;
    sotto_node *root;
    size_t nodes; /* read so far: the limit is for the document, not for each text set into it */
};

/* Length of the word that `text` begins with: letters, digits, _ and, not first, -. 0 where it begins with
 * none. */
size_t sotto_document_word(const char *text);

/* The tree of one text, whose root lies `depth` levels below the document's. */
sotto_status sotto_document_read_text(sotto_document *document, const char *place, const char *text,
                                      size_t length, size_t depth, sotto_node **root, sotto_error *err);

#endif
