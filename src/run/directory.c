/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The run directory. private/ (0700) is there from the start; release/ is written under another name and
 * renamed when it is whole, so that no one ever finds half a release (P12).
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/figures.h"

static const char not_covered[] = "computed from real data without noise: not covered by the guarantee";

sotto_status sotto_run_directory_check(const char *path, sotto_error *err)
{
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT)
        return SOTTO_OK;
    if (!folder)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                  "cannot be the run directory: %s; choose another --output",
                                  strerror(errno));
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(folder));)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    (void)closedir(folder);
    return empty ? SOTTO_OK
                 : sotto_error_set_at(
                       err, SOTTO_ERROR_INPUT, path, 0, 0,
                       "is not empty, and a run never overwrites another; choose another --output, or "
                       "move this one away");
}

sotto_status sotto_run_directory_converged(const char *path, sotto_error *err)
{
    char *name = sotto_path_join(path, "release/privacy.json");
    json_t *statement = name ? json_load_file(name, 0, NULL) : NULL;
    const json_t *training = json_object_get(statement, "training");
    const char *why = json_string_value(json_object_get(training, "diverged"));
    const sotto_status status =
        why ? sotto_error_set_at(
                  err, SOTTO_ERROR_INPUT, path, 0, 0,
                  "this run diverged and ended itself after step %lld of %lld (%s), so it made neither a table nor a "
                  "model; train again with lower learning rates",
                  (long long)json_integer_value(json_object_get(training, "steps_taken")),
                  (long long)json_integer_value(json_object_get(training, "steps_planned")), why)
            : SOTTO_OK;
    json_decref(statement);
    free(name);
    return status;
}

static sotto_status make_folder(const char *path, mode_t mode, bool may_exist, sotto_error *err)
{
    if (mkdir(path, mode) != 0 && !(may_exist && errno == EEXIST))
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot make the folder: %s",
                                  strerror(errno));
    return SOTTO_OK;
}

/* Every folder on the way to `path`, and `path`. */
sotto_status sotto_make_folders(const char *path, sotto_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = SOTTO_OK;
    for (char *slash = copy + 1; status == SOTTO_OK && *copy && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        status = make_folder(copy, 0777, true, err);
        *slash = '/';
    }
    if (status == SOTTO_OK)
        status = make_folder(path, 0777, true, err);
    free(copy);
    return status;
}

static sotto_status open_log(sotto_run_directory *directory, const char *folder, const char *not_private,
                             sotto_error *err)
{
    char *path = sotto_path_join(folder, "train.log");
    directory->log = path ? fopen(path, "wxe") : NULL;
    sotto_status status = SOTTO_OK;
    if (!directory->log)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, path ? path : folder, 0, 0,
                                    "cannot write the log: %s", strerror(errno));
    else if (chmod(path, 0600) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot close the log to others: %s",
                                    strerror(errno));
    free(path);
    if (status == SOTTO_OK && not_private[0])
        sotto_run_log(directory, "%s", not_private);
    if (status == SOTTO_OK)
        sotto_run_log(directory, "private: %s", not_covered);
    return status;
}

sotto_status sotto_run_directory_open(sotto_run_directory *directory, const char *path,
                                      const char *not_private, sotto_error *err)
{
    *directory = (sotto_run_directory){.path = strdup(path)};
    char *folder = sotto_path_join(path, "private");
    sotto_status status = directory->path && folder
                              ? sotto_make_folders(path, err)
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory");
    if (status == SOTTO_OK)
        status = make_folder(folder, 0700, false, err);
    if (status == SOTTO_OK && chmod(folder, 0700) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, folder, 0, 0,
                                    "cannot close the folder to others: %s", strerror(errno));
    if (status == SOTTO_OK)
        status = open_log(directory, folder, not_private, err);
    free(folder);
    return status;
}

void sotto_run_directory_close(sotto_run_directory *directory)
{
    if (directory->log)
        (void)fclose(directory->log);
    free(directory->path);
    *directory = (sotto_run_directory){0};
}

void sotto_run_log(sotto_run_directory *directory, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(directory->log, format, arguments);
    va_end(arguments);
    (void)fputc('\n', directory->log);
    (void)fflush(directory->log);
}

/* ---- what is written ---- */

static sotto_status write_text(const char *folder, const char *name, unsigned mode, const char *stamp,
                               const char *text, size_t length, sotto_error *err)
{
    sotto_atomic_file *file;
    char *path = sotto_path_join(folder, name);
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = sotto_atomic_file_open(&file, path, mode, err);
    if (status == SOTTO_OK) {
        if (stamp[0])
            (void)fprintf(sotto_atomic_file_stream(file), "# %s\n", stamp);
        (void)fwrite(text, 1, length, sotto_atomic_file_stream(file));
        status = sotto_atomic_file_commit(file, err);
    }
    free(path);
    return status;
}

/* JSON has no infinity and no NaN, which a hostile row can make of a loss. */
static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *step_records(const sotto_training_record *record)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->step_count; i++) {
        const sotto_step_record *step = &record->steps[i];
        (void)json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "step", (json_int_t)step->step,
                            "batch", (json_int_t)step->seen.batch, "clipped", (json_int_t)step->seen.clipped,
                            "non_finite", (json_int_t)step->seen.non_finite, "loss_real",
                            number_or_null(step->losses.real), "loss_fake", number_or_null(step->losses.fake),
                            "loss_generator", number_or_null(step->losses.generator), "discriminator_steps",
                            step->losses.discriminator_steps
                                ? json_integer((json_int_t)step->losses.discriminator_steps)
                                : json_null()));
    }
    return list;
}

/* How made rows looked on the way. */
static json_t *health_records(const sotto_training_record *record)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->health_count; i++) {
        const sotto_model_health *seen = &record->health[i];
        (void)json_array_append_new(
            list, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)seen->step, "parameters",
                            number_or_null(seen->parameters), "entropy", number_or_null(seen->entropy),
                            "wanted_entropy", number_or_null(seen->wanted_entropy), "distance",
                            number_or_null(seen->distance), "distinct", number_or_null(seen->distinct)));
    }
    return list;
}

/* ε after about forty stretches of equal length, from before the first step to after the last. */
static sotto_status epsilon_records(const sotto_training_record *record, json_t **list, sotto_error *err)
{
    const uint64_t steps = record->steps_taken, stretches = steps < 40 ? steps : 40;
    sotto_status status = SOTTO_OK;
    *list = json_array();
    for (uint64_t i = 0; i <= stretches && status == SOTTO_OK; i++) {
        const uint64_t step = stretches == 0 ? 0 : (uint64_t)((double)steps * (double)i / (double)stretches);
        double epsilon, order;
        status = sotto_plan_epsilon(record->plan, record->config, step, &epsilon, &order, err);
        if (status == SOTTO_OK)
            (void)json_array_append_new(*list,
                                        json_pack("[I, o]", (json_int_t)step, number_or_null(epsilon)));
    }
    return status;
}

static sotto_status write_private(const sotto_run_directory *directory, const sotto_training_record *record,
                                  sotto_error *err)
{
    char *text = NULL;
    json_t *epsilons = NULL;
    char *folder = sotto_path_join(directory->path, "private");
    if (!folder)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = sotto_config_format(record->config, &text, err);
    if (status == SOTTO_OK)
        status = write_text(folder, "config.yaml", 0600, record->not_private, text, strlen(text), err);
    free(text);
    text = NULL;
    if (status == SOTTO_OK)
        status = epsilon_records(record, &epsilons, err);
    if (status == SOTTO_OK)
        status = sotto_json_text(
            json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:O, s:O, s:s?, s:o, s:o}", "format",
                      "sotto metrics 1", "not_private", record->not_private[0] ? record->not_private : NULL,
                      "covered", not_covered, "balance", sotto_plan_balance(record->plan), "data_sha256",
                      record->table_sha256, "train_rows", (json_int_t)record->split->train_count,
                      "holdout_rows", (json_int_t)record->split->holdout_count, "train_units",
                      (json_int_t)record->split->train_units, "holdout_units",
                      (json_int_t)record->split->holdout_units, "columns", record->columns, "epsilon_by_step",
                      epsilons, "diverged", record->diverged[0] ? record->diverged : NULL, "health",
                      health_records(record), "steps", step_records(record)),
            &text, err);
    if (status == SOTTO_OK)
        status = write_text(folder, "metrics.json", 0600, "", text, strlen(text), err);
    json_decref(epsilons);
    free(text);
    free(folder);
    return status;
}

/* Steals `what`. A file that could not be listed would not be covered. */
static sotto_status list_released(const char *folder, const char *name, json_t *what, json_t *released,
                                  sotto_error *err)
{
    char hex[65];
    char *path = sotto_path_join(folder, name);
    sotto_status status = path ? sotto_sha256_file(path, hex, err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && json_array_append_new(released, json_pack("{s:s, s:O, s:s}", "file", name,
                                                                        "what", what, "sha256", hex)) != 0)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory to list %s", name);
    json_decref(what);
    free(path);
    return status;
}

/* That shares were evened out is a public fact: whoever reads the rows must not take them for the table's. */
static sotto_status list_synthetic(const char *folder, const sotto_training_record *record, json_t *released,
                                   sotto_error *err)
{
    const char *column = sotto_plan_balance(record->plan);
    json_t *what =
        column ? json_sprintf(
                     "synthetic rows, rebalanced: each value of the column %s is made equally often, however "
                     "often the table has it",
                     column)
               : json_string("synthetic rows");
    return list_released(folder, "synthetic.csv", what, released, err);
}

static sotto_status write_model(const char *folder, const sotto_training_record *record, sotto_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    sotto_model_facts facts = {.delta = record->config->delta, .not_private = record->not_private};
    sotto_status status = sotto_budget_epsilon(record->budget, &facts.epsilon, NULL, err);
    if (status == SOTTO_OK)
        status = sotto_model_save(record->plan->model, &facts, &bytes, &length, err);
    if (status == SOTTO_OK)
        status = write_text(folder, "model.sotto", 0644, "", bytes, length, err);
    free(bytes);
    return status;
}

static sotto_status write_synthetic(const char *folder, sotto_training_record *record, sotto_random *random,
                                    const sotto_run_options *options, sotto_error *err)
{
    sotto_atomic_file *file = NULL;
    char *path = sotto_path_join(folder, "synthetic.csv");
    const sotto_conditions conditions = {.balance = record->plan->balance};
    sotto_sampled sampled;
    const sotto_sampling sampling = {
        .conditions = &conditions,
        .not_private = record->not_private,
        .rows = record->synthetic_rows,
        .progress = options->progress,
        .progress_context = options->progress_context,
        .stop = record->interrupted ? NULL : options->stop, /* who stopped the training wants its release */
        .stop_context = options->stop_context,
    };
    if (!path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = sotto_atomic_file_open(&file, path, 0644, err);
    free(path);
    if (status != SOTTO_OK)
        return status;
    status = sotto_sample_write(record->plan->model, record->plan->encoder, random, &sampling,
                                sotto_atomic_file_stream(file), &sampled, &record->scarce);
    record->synthetic_rows = sampled.rows;
    record->sampling_stopped = status == SOTTO_INTERRUPTED;
    if (!sampled.scarce) {
        if (err && status != SOTTO_OK)
            *err = record->scarce;
        record->scarce = (sotto_error){0};
    }
    if (status == SOTTO_OK || status == SOTTO_INTERRUPTED || sampled.scarce) /* the rest is paid for */
        return sotto_atomic_file_commit(file, err);
    sotto_atomic_file_abandon(file);
    return status;
}

static sotto_status write_statement(const char *folder, const sotto_training_record *record, json_t *released,
                                    sotto_error *err)
{
    json_t *statement = NULL;
    const sotto_status status = sotto_statement_make(record, released, &statement, err);
    return status == SOTTO_OK ? sotto_statement_write(folder, statement, err) : status;
}

/* The last access to real rows: how well the synthetic ones teach what holds of them. */
static sotto_status buy_prediction(const char *folder, const sotto_training_record *record,
                                   sotto_random *random, sotto_error *err)
{
    const sotto_plan *plan = record->plan;
    sotto_prediction *prediction = plan->figures ? sotto_figures_prediction(plan->figures) : NULL;
    if (!prediction || record->synthetic_rows == 0)
        return SOTTO_OK;
    char *table = sotto_path_join(folder, "synthetic.csv");
    if (!table)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const sotto_real_rows *real = &record->real;
    const sotto_status status = sotto_prediction_buy(prediction, table, real->table, &plan->prediction_counts,
                                                     real->budget, &real->units, random, err);
    free(table);
    return status;
}

/* What was bought to be told of the synthetic rows. */
static sotto_status write_figures(const char *folder, const sotto_training_record *record, json_t *released,
                                  sotto_error *err)
{
    char *text = NULL, *table = sotto_path_join(folder, "synthetic.csv");
    json_t *figures = NULL;
    sotto_status status =
        table ? sotto_figures_record(record->plan->figures, table, record->not_private, &figures, err)
              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = sotto_json_text(figures, &text, err);
    if (status == SOTTO_OK)
        status = write_text(folder, "figures.json", 0644, "", text, strlen(text), err);
    if (status == SOTTO_OK)
        status =
            list_released(folder, "figures.json",
                          json_string("how near the synthetic rows come, column by column"), released, err);
    free(text);
    free(table);
    return status;
}

/* Everything that is made of the model; of one that diverged, nothing. */
static sotto_status write_made(const char *folder, sotto_training_record *record, sotto_random *random,
                               const sotto_run_options *options, json_t *released, sotto_error *err)
{
    sotto_status status = write_synthetic(folder, record, random, options, err);
    if (status == SOTTO_OK)
        status = buy_prediction(folder, record, random, err);
    if (status == SOTTO_OK)
        status = write_model(folder, record, err);
    if (status == SOTTO_OK)
        status = list_synthetic(folder, record, released, err);
    if (status == SOTTO_OK)
        status = list_released(
            folder, "model.sotto",
            json_string("what makes further rows: its parameters, the label frequencies and the schema"),
            released, err);
    if (status == SOTTO_OK && record->plan->figures && record->synthetic_rows > 0)
        status = write_figures(folder, record, released, err);
    return status;
}

static sotto_status write_release(const char *folder, sotto_training_record *record, sotto_random *random,
                                  const sotto_run_options *options, sotto_error *err)
{
    json_t *released = json_array();
    sotto_status status = make_folder(folder, 0755, false, err);
    if (status == SOTTO_OK && chmod(folder, 0755) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, folder, 0, 0, "cannot set the folder's mode: %s",
                                    strerror(errno));
    if (record->diverged[0])
        record->synthetic_rows = 0;
    else if (status == SOTTO_OK)
        status = write_made(folder, record, random, options, released, err);
    if (status == SOTTO_OK)
        status = write_statement(folder, record, released, err);
    json_decref(released);
    return status;
}

sotto_status sotto_run_directory_finish(sotto_run_directory *directory, sotto_training_record *record,
                                        sotto_random *random, const sotto_run_options *options,
                                        sotto_error *err)
{
    char *unfinished = sotto_path_join(directory->path, "release.unfinished");
    char *finished = sotto_path_join(directory->path, "release");
    sotto_status status = unfinished && finished
                              ? write_private(directory, record, err)
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = write_release(unfinished, record, random, options, err);
    if (status == SOTTO_OK && rename(unfinished, finished) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, finished, 0, 0, "cannot publish the release: %s",
                                    strerror(errno));
    if (status == SOTTO_OK)
        sotto_run_log(directory, "release/ is whole: %zu synthetic rows after %llu private steps",
                      record->synthetic_rows, (unsigned long long)record->steps_taken);
    free(unfinished);
    free(finished);
    return status;
}
