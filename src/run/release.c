/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What a run leaves. release/ is written under another name, entered into the ledger when it is whole, and
 * then renamed, so that no one ever finds half a release, or one that the ledger does not know (P12, P7).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/figures.h"

static const char not_covered[] = "computed from real data without noise: not covered by the guarantee";

/* ---- what is written ---- */

static sotto_status make_folder(const char *path, sotto_error *err)
{
    return mkdir(path, 0700) == 0 ? SOTTO_OK
                                  : sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0,
                                                       "cannot make the folder: %s", strerror(errno));
}

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

sotto_status sotto_run_directory_write_config(const sotto_run_directory *directory,
                                              const sotto_config *config, const char *not_private,
                                              sotto_error *err)
{
    char *text = NULL, *folder = sotto_path_join(directory->path, "private");
    sotto_status status = folder ? sotto_config_format(config, &text, err)
                                 : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK)
        status = write_text(folder, "config.yaml", 0600, not_private, text, strlen(text), err);
    free(text);
    free(folder);
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
    sotto_status status =
        sotto_run_directory_write_config(directory, record->config, record->not_private, err);
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
    sotto_status status = sotto_statement_promise(record, &facts.epsilon, err);
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
        .stop = options->stop,
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
    if (!sampled.scarce) {
        if (err && status != SOTTO_OK)
            *err = record->scarce;
        record->scarce = (sotto_error){0};
    }
    if (status == SOTTO_OK || sampled.scarce) /* the rest is paid for */
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

/* The last access to real rows: how well the synthetic ones teach what holds of them. Where an attempt that
 * was ended has bought it already, of rows that nobody has, and there is nothing to buy it with again, it is
 * left out. */
static sotto_status buy_prediction(const char *folder, sotto_training_record *record, sotto_random *random,
                                   sotto_error *err)
{
    const sotto_plan *plan = record->plan;
    sotto_prediction *prediction = plan->figures ? sotto_figures_prediction(plan->figures) : NULL;
    if (!prediction || record->synthetic_rows == 0)
        return SOTTO_OK;
    char *table = sotto_path_join(folder, "synthetic.csv");
    if (!table)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    const sotto_real_rows *real = &record->real;
    sotto_status status = SOTTO_OK;
    record->prediction_lost =
        record->attempts > 1 && !sotto_budget_allows(real->budget, &plan->prediction_counts, 1);
    if (!record->prediction_lost)
        status = sotto_prediction_buy(prediction, table, real->table, &plan->prediction_counts, real->budget,
                                      &real->units, random, err);
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

/* ---- publishing ---- */

static sotto_status cannot(const char *path, const char *what, sotto_error *err)
{
    return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "%s: %s", what, strerror(errno));
}

/* What an attempt that was ended has left of a release. It holds files only. */
static sotto_status clear(const char *folder, sotto_error *err)
{
    DIR *directory = opendir(folder);
    sotto_status status = SOTTO_OK;
    if (!directory)
        return errno == ENOENT ? SOTTO_OK : cannot(folder, "cannot look into the unfinished release", err);
    for (struct dirent *entry; status == SOTTO_OK && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            status = cannot(folder, "cannot clear the unfinished release", err);
    (void)closedir(directory);
    return status == SOTTO_OK && rmdir(folder) != 0
               ? cannot(folder, "cannot clear the unfinished release", err)
               : status;
}

sotto_status sotto_release_folder(const char *folder, sotto_error *err)
{
    const sotto_status status = clear(folder, err);
    return status == SOTTO_OK ? make_folder(folder, err) : status;
}

static sotto_status write_release(const char *folder, sotto_training_record *record, sotto_random *random,
                                  const sotto_run_options *options, json_t *released, sotto_error *err)
{
    sotto_status status = sotto_release_folder(folder, err);
    if (record->diverged[0])
        record->synthetic_rows = 0;
    else if (status == SOTTO_OK)
        status = write_made(folder, record, random, options, released, err);
    return status == SOTTO_OK ? write_statement(folder, record, released, err) : status;
}

/* Into the ledger, with the hash of each file: before that nothing is released. */
static sotto_status enter(sotto_ledger_run *run, const json_t *released, sotto_error *err)
{
    const size_t count = json_array_size(released);
    sotto_ledger_artefact *list = calloc(count, sizeof *list);
    if (!list)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory to list what is released");
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(released, i);
        list[i] = (sotto_ledger_artefact){.file = json_string_value(json_object_get(one, "file")),
                                          .what = json_string_value(json_object_get(one, "what")),
                                          .sha256 = json_string_value(json_object_get(one, "sha256"))};
    }
    const sotto_status status = sotto_ledger_run_release(run, list, count, err);
    free(list);
    return status;
}

/* Under its own name, for all to see, and so that no power loss takes it back. */
static sotto_status publish(const char *unfinished, const char *finished, sotto_error *err)
{
    if (chmod(unfinished, 0755) != 0)
        return cannot(unfinished, "cannot set the folder's mode", err);
    if (rename(unfinished, finished) != 0)
        return cannot(finished, "cannot publish the release", err);
    return sotto_folder_sync(finished, err);
}

sotto_status sotto_release_publish(sotto_ledger_run *run, json_t *released, const char *unfinished,
                                   const char *finished, sotto_error *err)
{
    sotto_status status =
        list_released(unfinished, "privacy.json", json_string("the privacy statement"), released, err);
    if (status == SOTTO_OK)
        status = list_released(unfinished, "privacy.html", json_string("the privacy statement, to be read"),
                               released, err);
    if (status == SOTTO_OK)
        status = enter(run, released, err);
    return status == SOTTO_OK ? publish(unfinished, finished, err) : status;
}

static sotto_status names(const sotto_run_directory *directory, char **unfinished, char **finished,
                          sotto_error *err)
{
    *unfinished = sotto_path_join(directory->path, "release.unfinished");
    *finished = sotto_path_join(directory->path, "release");
    return *unfinished && *finished ? SOTTO_OK
                                    : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
}

sotto_status sotto_run_directory_finish(sotto_run_directory *directory, sotto_training_record *record,
                                        sotto_random *random, const sotto_run_options *options,
                                        sotto_error *err)
{
    char *unfinished, *finished;
    json_t *released = json_array();
    sotto_status status = names(directory, &unfinished, &finished, err);
    if (status == SOTTO_OK)
        status = write_private(directory, record, err);
    if (status == SOTTO_OK)
        status = write_release(unfinished, record, random, options, released, err);
    if (status == SOTTO_OK)
        status = sotto_release_publish(record->ledger_run, released, unfinished, finished, err);
    if (status == SOTTO_OK)
        sotto_run_log(directory, "release/ is whole: %zu synthetic rows after %llu private steps",
                      record->synthetic_rows, (unsigned long long)record->steps_taken);
    json_decref(released);
    free(unfinished);
    free(finished);
    return status;
}

/* Is the file what was entered? */
static sotto_status check_artefact(const char *folder, const sotto_ledger_artefact *artefact,
                                   sotto_error *err)
{
    char hex[65];
    char *path = sotto_path_join(folder, artefact->file);
    sotto_status status = path ? sotto_sha256_file(path, hex, err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK && strcmp(hex, artefact->sha256) != 0)
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                               "is not the file that the ledger knows as released, so it is not published");
    free(path);
    return status;
}

static bool is_entered(const char *name, const sotto_ledger_artefact *artefacts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(artefacts[i].file, name) == 0)
            return true;
    return false;
}

/* Is nothing there but plain files that were entered? */
static sotto_status check_folder(const char *folder, const sotto_ledger_artefact *artefacts, size_t count,
                                 sotto_error *err)
{
    DIR *directory = opendir(folder);
    sotto_status status = SOTTO_OK;
    if (!directory)
        return errno == ENOENT
                   ? sotto_error_set_at(
                         err, SOTTO_ERROR_INPUT, folder, 0, 0,
                         "is not here: this run was released from another copy of this directory, and its budget "
                         "is closed; begin another run, which is charged for itself")
                   : cannot(folder, "cannot look into the unfinished release", err);
    for (struct dirent *entry; status == SOTTO_OK && (entry = readdir(directory));) {
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_entered(entry->d_name, artefacts, count) ||
            fstatat(dirfd(directory), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(facts.st_mode))
            status =
                sotto_error_set_at(err, SOTTO_ERROR_INPUT, folder, 0, 0,
                                   "holds something that the ledger does not know as released, so it is not "
                                   "published; take it away");
    }
    (void)closedir(directory);
    return status;
}

sotto_status sotto_run_directory_publish(sotto_run_directory *directory,
                                         const sotto_ledger_artefact *artefacts, size_t count,
                                         sotto_error *err)
{
    char *unfinished, *finished;
    sotto_status status = names(directory, &unfinished, &finished, err);
    if (status == SOTTO_OK)
        status = check_folder(unfinished, artefacts, count, err);
    for (size_t i = 0; i < count && status == SOTTO_OK; i++)
        status = check_artefact(unfinished, &artefacts[i], err);
    if (status == SOTTO_OK)
        status = publish(unfinished, finished, err);
    if (status == SOTTO_OK)
        sotto_run_log(directory, "release/ is whole: it was entered into the ledger before");
    free(unfinished);
    free(finished);
    return status;
}
