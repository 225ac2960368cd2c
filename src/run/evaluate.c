/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto evaluate`: three tables under one schema, judged by the evaluate room, written into a closed folder.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "evaluate/evaluate.h"
#include "report/report.h"
#include "run/run.h"

static const char notice[] =
    "Computed from real rows without noise: not covered by the guarantee. Keep it where the rows are.";

struct job {
    const sotto_evaluate_options *options;
    sotto_schema *schema;
    sotto_table *train, *test, *synthetic;
    sotto_random *random;
    char *synthetic_path, *folder;
    bool stamped; /* the synthetic table was made with a test seed */
};

static void release(struct job *job)
{
    sotto_table_destroy(job->train);
    sotto_table_destroy(job->test);
    sotto_table_destroy(job->synthetic);
    sotto_schema_destroy(job->schema);
    sotto_random_destroy(job->random);
    free(job->synthetic_path);
    free(job->folder);
}

/* -------------------------------------------------------------------------- input */

static sotto_status find_paths(struct job *job, sotto_error *err)
{
    const sotto_evaluate_options *options = job->options;
    if (!options->schema || !options->train)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "an evaluation needs a schema and the train table");
    if (!options->synthetic && !options->run)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "there is no synthetic table; name one, or the run directory that has one");
    if (!options->output && !options->run)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "there is no output; name a directory, or the run directory that it belongs to");
    job->synthetic_path = options->synthetic ? strdup(options->synthetic)
                                             : sotto_path_join(options->run, "release/synthetic.csv");
    job->folder = options->output ? strdup(options->output) : sotto_path_join(options->run, "private");
    return job->synthetic_path && job->folder
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
}

static sotto_status load(struct job *job, const char *path, sotto_table **table, sotto_error *err)
{
    const sotto_table_options any_rows = {.any_row_count = true};
    return path ? sotto_table_load(table, job->schema, path, &any_rows, err) : SOTTO_OK;
}

static bool begins_with_stamp(const char *path)
{
    char start[sizeof SOTTO_CSV_STAMP] = "";
    FILE *file = fopen(path, "re");
    if (file) {
        (void)fread(start, 1, sizeof start - 1, file);
        (void)fclose(file);
    }
    return strcmp(start, SOTTO_CSV_STAMP) == 0;
}

static sotto_status read_input(struct job *job, sotto_error *err)
{
    const sotto_evaluate_options *options = job->options;
    sotto_status status = find_paths(job, err);
    if (status == SOTTO_OK)
        status = sotto_schema_load(&job->schema, options->schema, err);
    if (status == SOTTO_OK)
        status = load(job, options->train, &job->train, err);
    if (status == SOTTO_OK)
        status = load(job, options->test, &job->test, err);
    if (status == SOTTO_OK)
        status = load(job, job->synthetic_path, &job->synthetic, err);
    if (status == SOTTO_OK)
        status = sotto_run_random(&job->random, options->insecure_test_only_seed, options->seed, err);
    job->stamped = status == SOTTO_OK && begins_with_stamp(job->synthetic_path);
    return status;
}

static sotto_status find_column(const struct job *job, const char *name, const char *what, size_t *column,
                                sotto_error *err)
{
    *column = name ? sotto_schema_find(job->schema, name) : SOTTO_NONE;
    if (name && *column == SOTTO_NONE)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, job->options->schema, 0, 0,
                                  "%s: the schema has no column \"%s\"; write one of its columns", what,
                                  name);
    if (name && job->schema->columns[*column].type == SOTTO_COLUMN_IDENTIFIER)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, job->options->schema, 0, 0,
                                  "%s: column \"%s\" is an identifier, of which nothing is kept; write "
                                  "another",
                                  what, name);
    return SOTTO_OK;
}

static sotto_status find_columns(const struct job *job, sotto_utility_options *utility, sotto_error *err)
{
    const sotto_evaluate_options *options = job->options;
    sotto_status status = find_column(job, options->target, "target", &utility->target, err);
    if (status == SOTTO_OK)
        status = find_column(job, options->sensitive, "sensitive", &utility->sensitive, err);
    if (status == SOTTO_OK && options->sensitive &&
        job->schema->columns[utility->sensitive].type != SOTTO_COLUMN_CATEGORY)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, options->schema, 0, 0,
                                  "sensitive: column \"%s\" is a %s; groups are those of a category column",
                                  options->sensitive,
                                  sotto_column_type_name(job->schema->columns[utility->sensitive].type));
    if (status == SOTTO_OK && options->target && !options->test)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a model that learns the target must be tested on other rows; give a test "
                               "table, or no target");
    if (status == SOTTO_OK && options->sensitive && !options->target)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "sensitive compares how models treat groups, and there is none without a target");
    return status;
}

/* ------------------------------------------------------------------------- output */

/* Made where it is absent, closed to others in any case. */
static sotto_status open_folder(const struct job *job, sotto_error *err)
{
    if (mkdir(job->folder, 0700) != 0 && errno != EEXIST)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, job->folder, 0, 0, "cannot make the directory: %s",
                                  strerror(errno));
    if (chmod(job->folder, 0700) != 0)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, job->folder, 0, 0,
                                  "cannot close the directory to others: %s", strerror(errno));
    return SOTTO_OK;
}

static void show(void *context, const char *phase, size_t done, size_t total)
{
    const struct job *job = context;
    const sotto_progress facts = {.phase = phase, .step = done, .steps = total, .seconds_left = -1.0};
    if (job->options->progress)
        job->options->progress(job->options->progress_context, &facts);
}

/* What the record says of itself goes before what was found. */
static json_t *head(const struct job *job)
{
    char date[16];
    const time_t now = time(NULL);
    struct tm parts;
    const bool stamped = job->stamped || job->options->insecure_test_only_seed;
    (void)strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &parts));
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:{s:I, s:o, s:I}}", "format", SOTTO_EVALUATION_FORMAT,
                     "made_by", "sotto " SOTTO_VERSION, "date", date, "not_private",
                     stamped ? SOTTO_NOT_PRIVATE : NULL, "notice", notice, "rows", "train",
                     (json_int_t)sotto_table_rows(job->train), "test",
                     job->test ? json_integer((json_int_t)sotto_table_rows(job->test)) : json_null(),
                     "synthetic", (json_int_t)sotto_table_rows(job->synthetic));
}

static sotto_status write_record(const struct job *job, const char *text, sotto_error *err)
{
    char *path = sotto_path_join(job->folder, "evaluation.json");
    sotto_status status = path ? sotto_file_write(path, 0600, text, strlen(text), err)
                               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    free(path);
    return status == SOTTO_OK ? sotto_report_evaluation_write(job->folder, err) : status;
}

static sotto_status judge(struct job *job, const sotto_utility_options *utility, char **json,
                          sotto_error *err)
{
    const sotto_evaluate_options *options = job->options;
    const sotto_evaluation evaluation = {.train = job->train,
                                         .test = job->test,
                                         .synthetic = job->synthetic,
                                         .threads = sotto_run_threads(options->threads),
                                         .random = job->random,
                                         .progress = show,
                                         .context = job};
    json_t *found = NULL, *record = head(job);
    sotto_status status =
        sotto_evaluate(&evaluation, options->target ? utility : NULL, !options->no_attacks, &found, err);
    if (status == SOTTO_OK && (!record || json_object_update(record, found) != 0))
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the record");
    json_decref(found);
    if (status == SOTTO_OK)
        return sotto_json_text(record, json, err);
    json_decref(record);
    return status;
}

sotto_status sotto_run_evaluate(const sotto_evaluate_options *options, char **json, sotto_error *err)
{
    struct job job = {.options = options};
    sotto_utility_options utility;
    *json = NULL;
    sotto_status status = read_input(&job, err);
    if (status == SOTTO_OK)
        status = find_columns(&job, &utility, err);
    if (status == SOTTO_OK)
        status = open_folder(&job, err);
    if (status == SOTTO_OK)
        status = judge(&job, &utility, json, err);
    if (status == SOTTO_OK)
        status = write_record(&job, *json, err);
    if (status != SOTTO_OK) {
        free(*json);
        *json = NULL;
    }
    release(&job);
    return status;
}
