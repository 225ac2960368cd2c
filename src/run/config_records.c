/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a config says of a run's records: which data set is charged and in which ledger, and how often the run
 * is saved. And what of it a run's guarantee depends on. */
#include <stdlib.h>
#include <string.h>

#include "run/run.h"

static const size_t most_steps = (size_t)1e12;

static sotto_status read_id(sotto_config *config, const sotto_node *node, sotto_error *err)
{
    const char *text;
    sotto_status status = node ? sotto_node_string(node, "data.id", &text, err) : SOTTO_OK;
    if (!node || status != SOTTO_OK)
        return status;
    const char *trouble = sotto_ledger_id_trouble(text);
    if (trouble)
        return sotto_node_error(node, err, "data.id %s", trouble);
    config->data_id = strdup(text);
    return config->data_id ? SOTTO_OK
                           : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
}

static sotto_status read_auto_or_count(const sotto_node *node, const char *what, uint64_t *value,
                                       sotto_error *err)
{
    const char *text = node ? sotto_node_text(node) : "auto";
    size_t count = 0;
    if (text && strcmp(text, "auto") == 0)
        return SOTTO_OK;
    const sotto_status status = sotto_node_size(node, what, 1, most_steps, &count, err);
    *value = count;
    return status;
}

/* A path, or a map with a path and more. */
static sotto_status read_ledger(sotto_config *config, const sotto_node *node, sotto_error *err)
{
    static const char *const known[] = {"file", "mirror", "block", NULL};
    if (!node)
        return SOTTO_OK;
    if (sotto_node_kind_of(node) == SOTTO_NODE_SCALAR)
        return sotto_config_path(config, node, "ledger", &config->ledger, err);
    sotto_status status = sotto_node_expect_map(node, "ledger", known, err);
    const sotto_node *file = sotto_node_get(node, "file"), *mirror = sotto_node_get(node, "mirror");
    if (status == SOTTO_OK && file)
        status = sotto_config_path(config, file, "ledger.file", &config->ledger, err);
    if (status == SOTTO_OK && mirror)
        status = sotto_config_path(config, mirror, "ledger.mirror", &config->mirror, err);
    return status == SOTTO_OK
               ? read_auto_or_count(sotto_node_get(node, "block"), "ledger.block", &config->block, err)
               : status;
}

sotto_status sotto_config_read_records(sotto_config *config, const sotto_node *root, sotto_error *err)
{
    sotto_status status = read_id(config, sotto_node_get(sotto_node_get(root, "data"), "id"), err);
    if (status == SOTTO_OK)
        status = read_ledger(config, sotto_node_get(root, "ledger"), err);
    return status == SOTTO_OK ? read_auto_or_count(sotto_node_get(root, "checkpoint"), "checkpoint",
                                                   &config->checkpoint, err)
                              : status;
}

/* ------------------------------------------------------------------ digest */

/* A part of the config under its name; a part that is absent is told from an empty one. */
static sotto_status put_part(FILE *file, const char *name, const sotto_node *node, sotto_error *err)
{
    char *text = NULL;
    sotto_status status = node ? sotto_node_format(node, &text, err) : SOTTO_OK;
    if (status == SOTTO_OK)
        (void)fprintf(file, "%s %zu\n%s", name, text ? strlen(text) + 1 : 0, text ? text : "");
    free(text);
    return status;
}

sotto_status sotto_config_digest(const sotto_config *config, const char *schema_sha256, bool in_sweep,
                                 char digest[65], sotto_error *err)
{
    const sotto_node *root = sotto_document_root(config->document);
    const struct {
        const char *name;
        const sotto_node *node;
    } parts[] = {
        {"holdout", sotto_node_get(sotto_node_get(root, "data"), "holdout")},
        {"privacy", sotto_node_get(root, "privacy")},
        {"model", sotto_node_get(root, "model")},
        {"training", sotto_node_get(root, "training")},
        {"figures", sotto_node_get(root, "figures")},
    };
    char *text = NULL;
    size_t length;
    FILE *file = sotto_memory_open(&text, &length);
    if (!file)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
    sotto_status status = SOTTO_OK;
    (void)fprintf(file, "sotto %s\n%sschema %s\n", SOTTO_VERSION, in_sweep ? "a run of a sweep\n" : "",
                  schema_sha256);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == SOTTO_OK; i++)
        status = put_part(file, parts[i].name, parts[i].node, err);
    const bool whole = !ferror(file);
    if ((fclose(file) != 0 || !whole) && status == SOTTO_OK)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the config");
    if (status == SOTTO_OK)
        sotto_sha256_hex(text, length, digest);
    free(text);
    return status;
}
