/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Synthetic rows from a trained model: post-processing, free of privacy cost. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/run.h"

/* Conditions outside the model's own target are met by drawing again; this many draws for a row is giving up.
 */
static const size_t patience = 2000;

static bool meets(const sotto_conditions *conditions, const uint16_t *slots)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (slots[conditions->block[i]] != conditions->slot[i])
            return false;
    return true;
}

static size_t wanted_label(const sotto_model *model, const sotto_conditions *conditions)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (conditions->block[i] == sotto_model_target(model))
            return conditions->slot[i];
    return SOTTO_NONE;
}

struct sampler {
    sotto_model *model;
    sotto_stream *stream;
    sotto_csv_writer *writer;
    uint16_t *slots;
    float *values;
    size_t blocks;
};

static void show_progress(const sotto_sampling *sampling, size_t written, double start)
{
    const double rate = (double)written / (sotto_seconds() - start + 1e-9);
    const sotto_progress facts = {.phase = "sampling",
                                  .step = written,
                                  .steps = sampling->rows,
                                  .steps_per_second = rate,
                                  .seconds_left = written ? (double)(sampling->rows - written) / rate : -1.0};
    sampling->progress(sampling->progress_context, &facts);
}

static sotto_status write_rows(struct sampler *sampler, const sotto_sampling *sampling, size_t *written,
                               sotto_error *err)
{
    const sotto_conditions *conditions = sampling->conditions;
    const size_t label = wanted_label(sampler->model, conditions);
    const bool all_fit = conditions->count == (label != SOTTO_NONE);
    const double start = sotto_seconds();
    double shown = start;
    for (size_t tried = 0; *written < sampling->rows;) {
        const size_t left = sampling->rows - *written;
        const size_t count = all_fit && left < SOTTO_MODEL_ROWS ? left : SOTTO_MODEL_ROWS;
        sotto_status status = sotto_model_sample(sampler->model, sampler->stream, label, count,
                                                 sampler->slots, sampler->values, err);
        for (size_t i = 0; i < count && *written < sampling->rows && status == SOTTO_OK; i++) {
            if (!meets(conditions, sampler->slots + i * sampler->blocks))
                continue;
            status = sotto_csv_writer_row(sampler->writer, sampler->slots + i * sampler->blocks,
                                          sampler->values + i * sampler->blocks, err);
            ++*written;
        }
        if (status != SOTTO_OK)
            return status;
        tried += count;
        if (tried > patience * (*written + 50))
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "only %zu of %zu rows met all conditions in %zu draws: the model almost never "
                "makes such rows; ask for fewer conditions",
                *written, sampling->rows, tried);
        if (sampling->progress && (sotto_seconds() - shown > 0.2 || *written == sampling->rows)) {
            show_progress(sampling, *written, start);
            shown = sotto_seconds();
        }
        if (sampling->stop && *written < sampling->rows && sampling->stop(sampling->stop_context))
            return sotto_error_set(err, SOTTO_INTERRUPTED, "stopped on request after %zu of %zu rows",
                                   *written, sampling->rows);
    }
    return SOTTO_OK;
}

sotto_status sotto_sample_write(sotto_model *model, const sotto_encoder *encoder, sotto_random *random,
                                const sotto_sampling *sampling, FILE *file, size_t *written, sotto_error *err)
{
    struct sampler sampler = {.model = model, .blocks = sotto_encoder_block_count(encoder)};
    *written = 0;
    sampler.slots = calloc(SOTTO_MODEL_ROWS * sampler.blocks, sizeof *sampler.slots);
    sampler.values = calloc(SOTTO_MODEL_ROWS * sampler.blocks, sizeof *sampler.values);
    sotto_status status = sampler.slots && sampler.values
                              ? SOTTO_OK
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for sampling");
    if (status == SOTTO_OK)
        status = sotto_stream_create(&sampler.stream, random, SOTTO_PURPOSE_GENERATION, err);
    if (status == SOTTO_OK && sampling->not_private[0])
        (void)fprintf(file, "# %s\n", sampling->not_private);
    if (status == SOTTO_OK)
        status = sotto_csv_writer_create(&sampler.writer, encoder, sampler.stream, file, err);
    if (status == SOTTO_OK)
        status = write_rows(&sampler, sampling, written, err);
    if (status == SOTTO_OK || status == SOTTO_INTERRUPTED) {
        sotto_status flushed = sotto_csv_writer_flush(sampler.writer, err);
        status = flushed == SOTTO_OK ? status : flushed;
    }
    sotto_csv_writer_destroy(sampler.writer);
    sotto_stream_destroy(sampler.stream);
    free(sampler.slots);
    free(sampler.values);
    return status;
}

/* ---- the command ---- */

static sotto_status find_model(const char *name, char **path, sotto_error *err)
{
    struct stat facts;
    const bool folder = stat(name, &facts) == 0 && S_ISDIR(facts.st_mode);
    *path = folder ? sotto_path_join(name, "release/model.sotto") : strdup(name);
    return *path ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory finding the model");
}

static sotto_status parse_condition(const sotto_encoder *encoder, const char *text, size_t *block,
                                    size_t *slot, sotto_error *err)
{
    const sotto_schema *schema = sotto_encoder_schema(encoder);
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "--where \"%s\" is not COLUMN=VALUE", text);
    char *name = strndup(text, (size_t)(equals - text));
    if (!name)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading --where");
    const size_t column = sotto_schema_find(schema, name);
    sotto_status status = SOTTO_OK;
    if (column == SOTTO_NONE || schema->columns[column].type != SOTTO_COLUMN_CATEGORY)
        status =
            sotto_error_set(err, SOTTO_ERROR_INPUT,
                            "--where \"%s\": the model has no category column called \"%s\"", text, name);
    free(name);
    if (status != SOTTO_OK)
        return status;
    *block = sotto_encoder_find(encoder, column);
    const sotto_block *facts = sotto_encoder_block(encoder, *block);
    const size_t value = sotto_column_find(&schema->columns[column], equals + 1);
    if (value != SOTTO_NONE)
        *slot = facts->rest_slot + value;
    else if (facts->missing_slot != SOTTO_NONE && strcmp(equals + 1, schema->missing) == 0)
        *slot = facts->missing_slot;
    else
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "--where \"%s\": the schema declares no such value; see the schema's list of values", text);
    return SOTTO_OK;
}

static sotto_status parse_conditions(sotto_conditions *conditions, const sotto_encoder *encoder,
                                     const char *const *where, sotto_error *err)
{
    conditions->block = calloc(conditions->count + 1, sizeof *conditions->block);
    conditions->slot = calloc(conditions->count + 1, sizeof *conditions->slot);
    if (!conditions->block || !conditions->slot)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading --where");
    for (size_t i = 0; i < conditions->count; i++) {
        sotto_status status =
            parse_condition(encoder, where[i], &conditions->block[i], &conditions->slot[i], err);
        if (status != SOTTO_OK)
            return status;
        for (size_t k = 0; k < i; k++)
            if (conditions->block[k] == conditions->block[i] && conditions->slot[k] != conditions->slot[i])
                return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                       "--where \"%s\" and --where \"%s\" cannot hold together; drop one",
                                       where[k], where[i]);
    }
    return SOTTO_OK;
}

static sotto_status open_output(const char *path, sotto_atomic_file **atomic, FILE **file, sotto_error *err)
{
    if (strcmp(path, "-") != 0) {
        sotto_status status = sotto_atomic_file_open(atomic, path, 0644, err);
        *file = status == SOTTO_OK ? sotto_atomic_file_stream(*atomic) : NULL;
        return status;
    }
    int descriptor = dup(STDOUT_FILENO);
    *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (!*file && descriptor >= 0)
        (void)close(descriptor);
    return *file
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_IO, "cannot write to standard output: %s", strerror(errno));
}

static sotto_status close_output(sotto_atomic_file *atomic, FILE *file, sotto_status status, sotto_error *err)
{
    if (atomic && status == SOTTO_OK)
        return sotto_atomic_file_commit(atomic, err);
    if (atomic)
        sotto_atomic_file_abandon(atomic);
    else if (file && fclose(file) != 0 && status == SOTTO_OK)
        status = sotto_error_set(err, SOTTO_ERROR_IO, "cannot write to standard output: %s", strerror(errno));
    return status;
}

sotto_status sotto_run_sample(const sotto_sample_options *options, char **json, sotto_error *err)
{
    char *path = NULL;
    FILE *file = NULL;
    sotto_atomic_file *atomic = NULL;
    sotto_random *random = NULL;
    sotto_saved_model saved = {0};
    sotto_conditions conditions = {.count = options->where_count};
    const double start = sotto_seconds();
    *json = NULL;
    sotto_status status = find_model(options->model, &path, err);
    if (status == SOTTO_OK)
        status = sotto_model_load(&saved, path, sotto_run_threads(0), err);
    if (status != SOTTO_OK)
        goto done;
    status = parse_conditions(&conditions, saved.encoder, options->where, err);
    if (status == SOTTO_OK)
        status = sotto_run_random(&random, options->insecure_test_only_seed, options->seed, err);
    if (status != SOTTO_OK)
        goto done;
    const char *stamp = saved.facts.not_private[0]         ? saved.facts.not_private
                        : options->insecure_test_only_seed ? SOTTO_NOT_PRIVATE
                                                           : "";
    const size_t rows = options->rows ? options->rows : saved.schema->rows;
    size_t written;
    status = open_output(options->output, &atomic, &file, err);
    if (status == SOTTO_OK)
        status = sotto_sample_write(saved.model, saved.encoder, random,
                                    &(sotto_sampling){.conditions = &conditions,
                                                      .not_private = stamp,
                                                      .rows = rows,
                                                      .progress = options->progress,
                                                      .progress_context = options->progress_context,
                                                      .stop = options->stop,
                                                      .stop_context = options->stop_context},
                                    file, &written, err);
    status = close_output(atomic, file, status, err);
    if (status == SOTTO_OK)
        status = sotto_json_text(json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:s?}", "model", path, "output",
                                           options->output, "rows", (json_int_t)rows, "seconds",
                                           sotto_seconds() - start, "epsilon", saved.facts.epsilon, "delta",
                                           saved.facts.delta, "not_private", stamp[0] ? stamp : NULL),
                                 json, err);
done:
    sotto_random_destroy(random);
    sotto_saved_model_destroy(&saved);
    free(conditions.block);
    free(conditions.slot);
    free(path);
    return status;
}
