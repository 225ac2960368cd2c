/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto sample`: further rows from a trained model, as asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/run.h"

/* ---- the command ---- */

static sotto_status find_model(const char *name, char **path, sotto_error *err)
{
    struct stat facts;
    const bool folder = stat(name, &facts) == 0 && S_ISDIR(facts.st_mode);
    if (folder && sotto_run_directory_converged(name, err) != SOTTO_OK)
        return SOTTO_ERROR_INPUT;
    *path = folder ? sotto_path_join(name, "release/model.sotto") : strdup(name);
    return *path ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory finding the model");
}

/* Whatever lies there may be somebody's only copy of a table, a release or a ledger. A name that leads
 * nowhere is taken, too. */
static sotto_status check_output(const char *path, sotto_error *err)
{
    struct stat facts;
    return strcmp(path, "-") != 0 && lstat(path, &facts) == 0
               ? sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "is there already; choose another --output, or remove it first")
               : SOTTO_OK;
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

/* Looks again where the file is to appear: making rows may have taken hours. */
static sotto_status close_output(const char *path, sotto_atomic_file *atomic, FILE *file, sotto_status status,
                                 sotto_error *err)
{
    if (atomic && status == SOTTO_OK)
        status = check_output(path, err);
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
    sotto_conditions conditions = {.balance = SOTTO_NONE};
    const double start = sotto_seconds();
    *json = NULL;
    sotto_status status = check_output(options->output, err);
    if (status == SOTTO_OK)
        status = find_model(options->model, &path, err);
    if (status == SOTTO_OK)
        status = sotto_model_load(&saved, path, sotto_run_threads(0), err);
    if (status != SOTTO_OK)
        goto done;
    status = sotto_conditions_make(&conditions, saved.encoder, options->where, options->where_count,
                                   options->balance, err);
    if (status == SOTTO_OK)
        status = sotto_run_random(&random, options->insecure_test_only_seed, options->seed, err);
    if (status != SOTTO_OK)
        goto done;
    const char *stamp = saved.facts.not_private[0]         ? saved.facts.not_private
                        : options->insecure_test_only_seed ? SOTTO_NOT_PRIVATE
                                                           : "";
    const size_t rows = options->rows ? options->rows : saved.schema->rows;
    sotto_sampled sampled;
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
                                    file, &sampled, err);
    status = close_output(options->output, atomic, file, status, err);
    if (status == SOTTO_OK)
        status =
            sotto_json_text(json_pack("{s:s, s:s, s:I, s:s?, s:f, s:f, s:f, s:s?}", "model", path, "output",
                                      options->output, "rows", (json_int_t)rows, "balance", options->balance,
                                      "seconds", sotto_seconds() - start, "epsilon", saved.facts.epsilon,
                                      "delta", saved.facts.delta, "not_private", stamp[0] ? stamp : NULL),
                            json, err);
done:
    sotto_random_destroy(random);
    sotto_saved_model_destroy(&saved);
    sotto_conditions_destroy(&conditions);
    free(path);
    return status;
}
