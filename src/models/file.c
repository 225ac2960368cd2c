/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Model files. One line of sizes, then a YAML header (what the model is, for whom it was trained), the schema
 * as YAML, the released parameters as little-endian float32, and the SHA-256 of everything before it as 64
 * hex digits:
 *
 *     sotto model 1 HEADER_BYTES SCHEMA_BYTES PARAMETERS\n header schema parameters digest
 *
 * A file is read as hostile input: sizes are checked against the file's length and the architecture before
 * anything large is made, and no parameter may be NaN or infinite.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/kind.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files hold little-endian floats; this machine's are not"
#endif

enum { DIGEST = 64 };
static const size_t most_bytes = (size_t)1 << 30;

/* ---- writing ---- */

static sotto_status format_header(const sotto_model *model, const sotto_model_facts *facts, char **text,
                                  sotto_error *err)
{
    size_t length;
    FILE *file = sotto_memory_open(text, &length);
    if (!file)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a model file");
    size_t count;
    const double *frequencies = model->kind->frequencies((sotto_model *)model, &count);
    (void)fprintf(file, "not_private: \"%s\"\nepsilon: %.17g\ndelta: %.17g\nfrequencies: [",
                  facts->not_private, facts->epsilon, facts->delta);
    for (size_t k = 0; k < count; k++)
        (void)fprintf(file, "%s%.17g", k ? ", " : "", frequencies[k]);
    (void)fputs("]\nmodel:\n", file);
    model->kind->format(model, file);
    if (model->kind->format_learned) {
        (void)fputs("learned:\n", file);
        model->kind->format_learned(model, file);
    }
    bool sound = !ferror(file);
    sound = fclose(file) == 0 && sound;
    if (!sound) {
        free(*text);
        *text = NULL;
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a model file");
    }
    return SOTTO_OK;
}

static bool all_finite(const float *parameters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(parameters[i]))
            return false;
    return true;
}

bool sotto_model_is_finite(const sotto_model *model)
{
    size_t count;
    const float *parameters = model->kind->released((sotto_model *)model, &count);
    return all_finite(parameters, count);
}

sotto_status sotto_model_save(const sotto_model *model, const sotto_model_facts *facts, char **bytes,
                              size_t *length, sotto_error *err)
{
    char *header = NULL;
    char *schema = NULL;
    size_t parameter_count;
    *bytes = NULL;
    sotto_status status = format_header(model, facts, &header, err);
    if (status == SOTTO_OK)
        status = sotto_schema_format(sotto_encoder_schema(model->encoder), &schema, err);
    if (status != SOTTO_OK)
        goto done;
    const float *parameters = model->kind->released((sotto_model *)model, &parameter_count);
    FILE *file = sotto_memory_open(bytes, length);
    bool sound = file != NULL;
    if (sound) {
        (void)fprintf(file, "sotto model 1 %zu %zu %zu\n%s%s", strlen(header), strlen(schema),
                      parameter_count, header, schema);
        (void)fwrite(parameters, sizeof *parameters, parameter_count, file);
        char digest[DIGEST + 1];
        sound = fflush(file) == 0;
        if (sound) {
            sotto_sha256_hex(*bytes, *length, digest);
            (void)fputs(digest, file);
        }
        sound = sound && !ferror(file);
        sound = fclose(file) == 0 && sound;
    }
    if (!sound) {
        free(*bytes);
        *bytes = NULL;
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a model file");
    }
done:
    free(header);
    free(schema);
    return status;
}

/* ---- reading ---- */

/* The parts of a model file, inside its bytes. */
struct parts {
    const char *header, *schema, *parameters;
    size_t header_bytes, schema_bytes, parameter_count;
};

static sotto_status damaged(const char *path, const char *what, sotto_error *err)
{
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                              "is not a sound model file: %s; use the model.sotto of a finished run", what);
}

static bool read_size(const char **at, size_t most, size_t *value)
{
    if (**at < '0' || **at > '9')
        return false;
    char *end;
    unsigned long long number = strtoull(*at, &end, 10);
    *at = end;
    *value = (size_t)number;
    return number <= most;
}

static sotto_status take_apart(const char *path, const char *bytes, size_t length, struct parts *parts,
                               sotto_error *err)
{
    static const char magic[] = "sotto model 1 ";
    const size_t magic_bytes = sizeof magic - 1;
    if (length < magic_bytes + DIGEST || memcmp(bytes, magic, magic_bytes) != 0)
        return damaged(path, "it does not begin with \"sotto model 1\"", err);
    char digest[DIGEST + 1];
    sotto_sha256_hex(bytes, length - DIGEST, digest);
    if (memcmp(digest, bytes + length - DIGEST, DIGEST) != 0)
        return damaged(path, "its checksum does not agree with its content, so it was cut or changed", err);
    const char *at = bytes + magic_bytes;
    bool sound = read_size(&at, length, &parts->header_bytes) && *at++ == ' ';
    sound = sound && read_size(&at, length, &parts->schema_bytes) && *at++ == ' ';
    sound = sound && read_size(&at, length / sizeof(float), &parts->parameter_count) && *at++ == '\n';
    const size_t first = sound ? (size_t)(at - bytes) : 0;
    /* Each term is at most the file's length, which is at most 2³⁰: the sum cannot wrap. */
    if (!sound ||
        first + parts->header_bytes + parts->schema_bytes + parts->parameter_count * sizeof(float) + DIGEST !=
            length)
        return damaged(path, "its sizes do not agree with its length", err);
    parts->header = at;
    parts->schema = at + parts->header_bytes;
    parts->parameters = parts->schema + parts->schema_bytes;
    return SOTTO_OK;
}

static sotto_status read_frequencies(sotto_model *model, const sotto_node *node, const char *path,
                                     sotto_error *err)
{
    size_t count;
    double *frequencies = model->kind->frequencies(model, &count);
    if (!node || sotto_node_kind_of(node) != SOTTO_NODE_LIST || sotto_node_count(node) != count)
        return damaged(path, "its label frequencies do not fit its schema", err);
    for (size_t k = 0; k < count; k++) {
        sotto_status status =
            sotto_node_double(sotto_node_at(node, k), "frequencies", 0, 1, &frequencies[k], err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

static sotto_status read_learned(sotto_model *model, const sotto_node *node, const char *path,
                                 sotto_error *err)
{
    if (!node != !model->kind->read_learned)
        return damaged(path, "what was learned does not fit its model", err);
    return node && model->kind->read_learned(model, node, err) != SOTTO_OK
               ? damaged(path, "what was learned is not of such a model", err)
               : SOTTO_OK;
}

static sotto_status read_facts(sotto_saved_model *saved, const sotto_node *root, sotto_error *err)
{
    static const char *const known[] = {"not_private", "epsilon", "delta", "frequencies",
                                        "model",       "learned", NULL};
    sotto_status status = sotto_node_expect_map(root, "the header", known, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_node *stamp = sotto_node_get(root, "not_private");
    const sotto_node *epsilon = sotto_node_get(root, "epsilon");
    const sotto_node *delta = sotto_node_get(root, "delta");
    if (!stamp || !sotto_node_text(stamp) || !epsilon || !delta)
        return sotto_node_error(root, err, "the header lacks its privacy facts");
    saved->facts.not_private = sotto_node_text(stamp);
    /* The stamp becomes the first line of a table: it must be one line, and say what it is for. */
    if (saved->facts.not_private[0] && (strncmp(saved->facts.not_private, "NOT PRIVATE", 11) != 0 ||
                                        strpbrk(saved->facts.not_private, "\r\n")))
        return sotto_node_error(stamp, err, "the header's NOT PRIVATE stamp is not one");
    status = sotto_node_double(epsilon, "epsilon", 0, 1e300, &saved->facts.epsilon, err);
    return status == SOTTO_OK ? sotto_node_double(delta, "delta", 0, 1, &saved->facts.delta, err) : status;
}

static sotto_status read_parameters(sotto_model *model, const struct parts *parts, const char *path,
                                    sotto_error *err)
{
    size_t count;
    float *parameters = model->kind->released(model, &count);
    memcpy(parameters, parts->parameters, count * sizeof *parameters);
    if (!all_finite(parameters, count))
        return damaged(path, "a parameter is not finite", err);
    return model->kind->loaded && model->kind->loaded(model, err) != SOTTO_OK
               ? damaged(path, "its parameters are not of such a model", err)
               : SOTTO_OK;
}

static sotto_status build(sotto_saved_model *saved, const char *path, const struct parts *parts,
                          unsigned threads, sotto_error *err)
{
    sotto_numbers numbers;
    sotto_status status = sotto_document_parse(&saved->header, path, parts->header, parts->header_bytes, err);
    if (status == SOTTO_OK)
        status = sotto_schema_parse(&saved->schema, path, parts->schema, parts->schema_bytes, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_node *root = sotto_document_root(saved->header);
    const sotto_node *section = sotto_node_get(root, "model");
    status = read_facts(saved, root, err);
    if (status == SOTTO_OK)
        status = sotto_model_numbers(section, &numbers, err);
    if (status == SOTTO_OK)
        status = sotto_encoder_create(&saved->encoder, saved->schema, numbers, err);
    if (status == SOTTO_OK)
        status = sotto_model_create(&saved->model, section, saved->encoder, err);
    if (status == SOTTO_OK)
        status = read_frequencies(saved->model, sotto_node_get(root, "frequencies"), path, err);
    if (status == SOTTO_OK)
        status = read_learned(saved->model, sotto_node_get(root, "learned"), path, err);
    if (status == SOTTO_OK && sotto_model_parameters(saved->model) != parts->parameter_count)
        status = damaged(path, "it holds another number of parameters than its architecture has", err);
    if (status == SOTTO_OK && saved->model->kind->prepare_sampling)
        status = saved->model->kind->prepare_sampling(saved->model, threads, err);
    return status == SOTTO_OK ? read_parameters(saved->model, parts, path, err) : status;
}

sotto_status sotto_model_load(sotto_saved_model *saved, const char *path, unsigned threads, sotto_error *err)
{
    char *bytes;
    size_t length;
    struct parts parts = {0};
    *saved = (sotto_saved_model){0};
    sotto_status status = sotto_file_read(path, most_bytes, &bytes, &length, err);
    if (status != SOTTO_OK)
        return status;
    status = take_apart(path, bytes, length, &parts, err);
    if (status == SOTTO_OK)
        status = build(saved, path, &parts, threads, err);
    if (status != SOTTO_OK)
        sotto_saved_model_destroy(saved);
    free(bytes);
    return status;
}

void sotto_saved_model_destroy(sotto_saved_model *saved)
{
    sotto_model_destroy(saved->model);
    sotto_encoder_destroy(saved->encoder);
    sotto_schema_destroy(saved->schema);
    sotto_document_destroy(saved->header);
    *saved = (sotto_saved_model){0};
}
