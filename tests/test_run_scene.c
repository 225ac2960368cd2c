/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_run.h"

const char sentinel[] = "Xq7SECRETq7X";

static char folder[] = "/tmp/sotto-run-XXXXXX";

const char *at(const char *name)
{
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void put(const char *name, const char *text)
{
    ck_assert_int_eq(sotto_file_write(at(name), 0644, text, strlen(text), NULL), SOTTO_OK);
}

char *get(const char *name)
{
    char *bytes = NULL;
    size_t length = 0;
    ck_assert_msg(sotto_file_read(at(name), 1 << 26, &bytes, &length, NULL) == SOTTO_OK, "cannot read %s",
                  name);
    return bytes;
}

bool exists(const char *name)
{
    return access(at(name), F_OK) == 0;
}

const char schema[] = "rows: 600\n"
                      "missing: NA\n"
                      "columns:\n"
                      "  - {name: id, type: identifier}\n"
                      "  - {name: age, type: integer, min: 0, max: 99}\n"
                      "  - {name: pay, type: number, min: 0, max: 1000, scale: log, decimals: 1}\n"
                      "  - {name: town, type: category, values: [north, south, east], missing: allowed}\n"
                      "  - {name: day, type: date, min: 2020-01-01, max: 2020-12-31}\n"
                      "  - {name: ill, type: category, values: [no, yes]}\n";

const char config[] = "data: {table: table.csv, schema: schema.yaml}\n"
                      "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                      "model:\n"
                      "  target: ill\n"
                      "  generator: {latent: 4, hidden: [16]}\n"
                      "  discriminator: {hidden: [16]}\n"
                      "training: {expected_batch_size: 150, steps: 30, discriminator_steps: 2}\n"
                      "sample: {rows: 400}\n"
                      "output: run\n";

void put_table(size_t shift, size_t odd, const char *cell)
{
    static const char *const towns[] = {"north", "south", "east", "NA"};
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("id,age,pay,town,day,ill\n", file);
    for (size_t i = 0; i < ROWS; i++) {
        size_t k = i + shift;
        (void)fprintf(file, "p%zu,%zu,", i, k * 7 % 100);
        if (i == odd)
            (void)fputs(cell, file);
        else
            (void)fprintf(file, "%zu.5", k % 3 ? k * 13 % 1000 : 0);
        (void)fprintf(file, ",%s,2020-%02zu-%02zu,%s\n", towns[k % 4], k % 12 + 1, k % 28 + 1,
                      k * 7 % 100 > 60 ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    if (directory) {
        for (struct dirent *entry; (entry = readdir(directory));) {
            char child[1024];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            remove_tree(child);
        }
        (void)closedir(directory);
    }
    (void)remove(path);
}

void set_up(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_ledger_in(folder);
    put("schema.yaml", schema);
    put("config.yaml", config);
    put_table(0, SIZE_MAX, "");
}

void tear_down(void)
{
    remove_tree(folder);
}

sotto_run_options options_for(const char *output)
{
    return (sotto_run_options){
        .config = at("config.yaml"), .output = output ? at(output) : NULL, .threads = 1};
}

json_t *train_with(const sotto_run_options *options, sotto_status wanted)
{
    char *text;
    sotto_error err = {0};
    sotto_status status = sotto_run_train(options, &text, &err);
    ck_assert_msg(status == wanted, "train gave %s: %s", sotto_status_name(status), err.message);
    json_t *summary = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return summary;
}

json_t *read_json(const char *name)
{
    json_error_t where;
    json_t *json = json_load_file(at(name), 0, &where);
    ck_assert_msg(json != NULL, "%s: %s", name, where.text);
    return json;
}

sotto_ledger *open_ledger(void)
{
    sotto_ledger *ledger;
    sotto_error err = {0};
    const sotto_ledger_options options = {.path = at("ledger.db"), .create = true};
    ck_assert_msg(sotto_ledger_open(&ledger, &options, &err) == SOTTO_OK, "%s", err.message);
    return ledger;
}

void use_fresh_ledger(const char *name)
{
    ck_assert_int_eq(setenv("SOTTO_LEDGER", at(name), 1), 0);
}

/* What a statement says of its ledger that is drawn at random. */
static json_t *ledger_of(const json_t *statement, const char *texts[3])
{
    json_t *ledger = json_object_get(statement, "ledger");
    const char *const found[] = {json_string_value(json_object_get(ledger, "run")),
                                 json_string_value(json_object_get(ledger, "ledger")),
                                 json_string_value(json_object_get(ledger, "hash"))};
    static const size_t digits[] = {16, 32, 64};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(found[i]);
        ck_assert_uint_eq(strlen(found[i]), digits[i]);
        ck_assert_uint_eq(strspn(found[i], "0123456789abcdef"), digits[i]);
        texts[i] = found[i];
    }
    ck_assert_uint_eq(json_object_size(ledger), 5);
    return ledger;
}

json_t *read_statement(const char *run)
{
    char name[128];
    const char *texts[3];
    (void)snprintf(name, sizeof name, "%s/release/privacy.json", run);
    json_t *statement = read_json(name), *ledger = ledger_of(statement, texts);
    (void)json_object_del(ledger, "run");
    (void)json_object_del(ledger, "ledger");
    (void)json_object_del(ledger, "hash");
    return statement;
}

char *get_crossed(const char *run, const char *file, size_t *length)
{
    char name[128], *bytes;
    const char *texts[3];
    (void)snprintf(name, sizeof name, "%s/release/privacy.json", run);
    json_t *statement = read_json(name);
    (void)ledger_of(statement, texts);
    (void)snprintf(name, sizeof name, "%s/%s", run, file);
    ck_assert_int_eq(sotto_file_read(at(name), 1 << 26, &bytes, length, NULL), SOTTO_OK);
    for (size_t i = 0; i < 3; i++)
        for (char *found; (found = memmem(bytes, *length, texts[i], strlen(texts[i])));)
            memset(found, 'x', strlen(texts[i]));
    json_decref(statement);
    return bytes;
}

double number(const json_t *json, const char *first, const char *second)
{
    const json_t *child = json_object_get(json, first);
    return json_number_value(second ? json_object_get(child, second) : child);
}

void check_rows(const char *name, size_t rows)
{
    sotto_schema *read;
    sotto_table *table;
    sotto_error err = {0};
    const sotto_table_options strict = {.any_row_count = true, .strict = true};
    ck_assert_int_eq(sotto_schema_load(&read, at("schema.yaml"), NULL), SOTTO_OK);
    ck_assert_msg(sotto_table_load(&table, read, at(name), &strict, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(sotto_table_rows(table), rows);
    sotto_table_destroy(table);
    sotto_schema_destroy(read);
}

static sotto_mechanism mechanism_of(const json_t *access)
{
    sotto_mechanism one;
    const double rate = number(access, "sample_rate", NULL), sigma = number(access, "noise_multiplier", NULL);
    const char *kind = json_string_value(json_object_get(access, "mechanism"));
    ck_assert_int_eq(strcmp(kind, "gaussian") == 0
                         ? sotto_mechanism_gaussian(&one, sigma, NULL)
                         : sotto_mechanism_sampled_gaussian(&one, rate, sigma, NULL),
                     SOTTO_OK);
    return one;
}

void check_charges(const json_t *statement, double budget)
{
    sotto_accountant *accountant;
    const json_t *access;
    double epsilon;
    size_t i;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    json_array_foreach(json_object_get(statement, "accesses"), i, access)
    {
        const sotto_mechanism one = mechanism_of(access);
        ck_assert_int_eq(
            sotto_accountant_compose(accountant, &one, (uint64_t)number(access, "count", NULL), NULL),
            SOTTO_OK);
    }
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, number(statement, "noise", "delta_accountant"),
                                              &epsilon, NULL, NULL),
                     SOTTO_OK);
    ck_assert_double_eq(epsilon, number(statement, "guarantee", "epsilon"));
    ck_assert_double_le(epsilon, budget);
    ck_assert_double_gt(epsilon, 0.99 * budget);
    sotto_accountant_destroy(accountant);
}

/* Bytes of a model file before what a mechanism made: sizes, stamp, ε and δ. */
static size_t texts_of(const char *model)
{
    const char *frequencies = strstr(model, "frequencies:");
    ck_assert_ptr_nonnull(frequencies);
    return (size_t)(frequencies - model);
}

void check_neighbours(void)
{
    json_t *statements[2];
    char *models[2];
    for (size_t i = 0; i < 2; i++) {
        size_t k;
        const json_t *file;
        put_table(0, i ? 17 : SIZE_MAX, "999.5");
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        models[i] = get(i ? "b/release/model.sotto" : "a/release/model.sotto");
        json_array_foreach(json_object_get(statements[i], "released"), k, file)(void)
            json_object_del((json_t *)file, "sha256");
    }
    ck_assert(json_equal(statements[0], statements[1]));
    ck_assert_mem_eq(models[0], models[1], texts_of(models[0])); /* but for the parameters */
    for (size_t i = 0; i < 2; i++) {
        json_decref(statements[i]);
        free(models[i]);
    }
}
