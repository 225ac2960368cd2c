/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto evaluate`: three tables under one schema, judged by the evaluate room, written into a closed folder.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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
    bool stamped; /* one of the tables was made with a test seed */
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
    if (options->run && sotto_run_check_finished(options->run, err) != SOTTO_OK)
        return SOTTO_ERROR_INPUT;
    if (!options->synthetic && sotto_run_directory_converged(options->run, err) != SOTTO_OK)
        return SOTTO_ERROR_INPUT;
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

/* With a run goes the table that it was trained on: figures of another would be filed under its name. */
static sotto_status check_train(const struct job *job, sotto_error *err)
{
    if (!job->options->run)
        return SOTTO_OK;
    char *path = sotto_path_join(job->options->run, "private/metrics.json");
    json_t *metrics = path ? sotto_json_read_file(path) : NULL;
    const char *hash = json_string_value(json_object_get(metrics, "data_sha256"));
    sotto_status status = SOTTO_OK;
    if (!hash)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, job->options->run, 0, 0,
            "there is no private/metrics.json that says which table was trained on; name a run "
            "directory, or give --synthetic and --output instead");
    else if (strcmp(hash, sotto_table_sha256(job->train)) != 0)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, job->options->train, 0, 0,
            "this is not the table that the run was trained on (its hash is another); give "
            "that one, or --synthetic and --output instead of --run");
    json_decref(metrics);
    free(path);
    return status;
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
    if (status == SOTTO_OK)
        status = check_train(job, err);
    job->stamped =
        status == SOTTO_OK && (sotto_table_stamped(job->synthetic) || sotto_table_stamped(job->train) ||
                               (job->test && sotto_table_stamped(job->test)));
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

enum { MOST_COLUMNS = 2000 /* pairs of them are kept in memory */ };

static sotto_status find_columns(const struct job *job, sotto_utility_options *utility, sotto_error *err)
{
    const sotto_evaluate_options *options = job->options;
    if (job->schema->column_count > MOST_COLUMNS)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, options->schema, 0, 0,
            "the schema has %zu columns, and an evaluation compares every two of %d at most",
            job->schema->column_count, (int)MOST_COLUMNS);
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

/* A folder of releases must never hold what is computed from real rows (P12). */
static bool is_release(const char *path)
{
    static const char *const names[] = {"release", "release.unfinished"};
    char *real = realpath(path, NULL);
    bool found = false;
    for (char *part = strtok(real, "/"); part; part = strtok(NULL, "/"))
        for (size_t i = 0; i < 2; i++)
            found = found || strcmp(part, names[i]) == 0;
    free(real);
    return found;
}

/* An earlier evaluation is written over, and nothing else. */
static sotto_status check_replaced(const struct job *job, sotto_error *err)
{
    char *record = sotto_path_join(job->folder, "evaluation.json");
    char *page = sotto_path_join(job->folder, "report.html");
    sotto_status status =
        record && page ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    json_t *found = status == SOTTO_OK ? sotto_json_read_file(record) : NULL;
    const char *format = json_string_value(json_object_get(found, "format"));
    const bool ours = format && strncmp(format, "sotto evaluation ", 17) == 0;
    const char *other = status != SOTTO_OK || ours  ? NULL
                        : access(record, F_OK) == 0 ? record
                        : access(page, F_OK) == 0   ? page
                                                    : NULL;
    if (other)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, other, 0, 0,
                                    "is there already, and is no earlier evaluation's; choose another "
                                    "--output, or remove it first");
    json_decref(found);
    free(record);
    free(page);
    return status;
}

/* Made where it is absent; one that is there must be closed to others already, since whose it is is not
 * known. */
static sotto_status open_folder(const struct job *job, sotto_error *err)
{
    struct stat facts;
    const bool made = mkdir(job->folder, 0700) == 0;
    if (!made && errno != EEXIST)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, job->folder, 0, 0, "cannot make the directory: %s",
                                  strerror(errno));
    if (is_release(job->folder)) {
        if (made)
            (void)rmdir(job->folder);
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, job->folder, 0, 0,
            "this lies in a folder called release, and what an evaluation writes is private: it "
            "is computed from real rows without noise; name another --output");
    }
    if (stat(job->folder, &facts) != 0 || !S_ISDIR(facts.st_mode))
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, job->folder, 0, 0,
                                  "the output is no directory; name another --output");
    if (facts.st_mode & 077)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, job->folder, 0, 0,
            "others may look into this directory, and what an evaluation writes is private; close "
            "it (chmod 700), or name one that does not exist yet");
    return check_replaced(job, err);
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
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:{s:s, s:s?, s:s}, s:{s:I, s:o, s:I}}", "format",
                     SOTTO_EVALUATION_FORMAT, "made_by", "sotto " SOTTO_VERSION, "date", date, "not_private",
                     stamped ? SOTTO_NOT_PRIVATE : NULL, "notice", notice, "sha256", "train",
                     sotto_table_sha256(job->train), "test", job->test ? sotto_table_sha256(job->test) : NULL,
                     "synthetic", sotto_table_sha256(job->synthetic), "rows", "train",
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

sotto_status sotto_evaluate_check(const sotto_evaluate_options *options, sotto_error *err)
{
    struct job job = {.options = options};
    sotto_utility_options utility;
    sotto_status status = sotto_schema_load(&job.schema, options->schema, err);
    if (status == SOTTO_OK)
        status = find_columns(&job, &utility, err);
    if (status == SOTTO_OK)
        status = load(&job, options->test, &job.test, err);
    release(&job);
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
