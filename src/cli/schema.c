/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "data/data.h"

static const char help[] =
    "Usage: sotto schema draft TABLE [--missing TEXT] [--output FILE]\n"
    "       sotto schema check SCHEMA [TABLE] [--any-row-count] [--strict] [--json]\n"
    "\n"
    "A schema says what is public about a table: its columns, their types, bounds and categories, and the\n"
    "number of rows. Whatever it says is published with the model, so it must not be read off the data.\n"
    "  draft   writes a first version from a table. It looks at the data: replace what it marks\n"
    "  check   is a schema sound, and does a table fit it?\n"
    "\n"
    "Example:\n"
    "  sotto schema draft people.csv --missing '?' --output people.schema.yaml\n"
    "  sotto schema check people.schema.yaml people.csv\n";

static const char draft_help[] =
    "Usage: sotto schema draft TABLE [OPTIONS]\n"
    "\n"
    "Writes a first schema for TABLE (.csv or .csv.gz). It is read off the data and so is NOT public: put\n"
    "public knowledge in place of each line marked `# check:` before you train or publish anything.\n"
    "\n"
    "Options:\n"
    "  --missing TEXT    the marker of a missing cell, beside the empty cell\n"
    "  --output FILE     write to a new file, readable by you alone, instead of standard output\n"
    "  --quiet           no reminder\n"
    "\n"
    "Example:\n"
    "  sotto schema draft people.csv --missing '?' --output people.schema.yaml\n";

static const char check_help[] =
    "Usage: sotto schema check SCHEMA [TABLE] [OPTIONS]\n"
    "\n"
    "Checks SCHEMA and shows what it declares. With TABLE, reads the table under it as training would and\n"
    "counts, column by column, what had to be mapped into the declared domain. Those counts are computed\n"
    "from the real rows: they are private. Where an identifier tells units of privacy apart, they are counted\n"
    "too.\n"
    "\n"
    "Options:\n"
    "  --any-row-count   any number of rows and units: for a test table or synthetic rows\n"
    "  --strict          a value outside the declared domain is an error\n"
    "  --json            print the result as JSON\n"
    "  --quiet           print nothing: the exit status says whether it is sound\n"
    "\n"
    "Example:\n"
    "  sotto schema check people.schema.yaml people.csv --strict\n";

/* -------------------------------------------------------------------- draft */

/* Somebody may have edited an earlier draft for hours. */
static sotto_status write_new(const char *path, const char *text, sotto_error *err)
{
    if (access(path, F_OK) == 0)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "is there already; expected a new file; give another --output or remove it");
    return sotto_file_write(path, 0600, text, strlen(text), err);
}

static int draft(const char *table, const char *missing, const char *output, bool quiet)
{
    sotto_error err = {0};
    char *yaml = NULL;
    sotto_status status = sotto_schema_draft(table, missing ? missing : "", &yaml, &err);
    if (status == SOTTO_OK && output)
        status = write_new(output, yaml, &err);
    else if (status == SOTTO_OK)
        (void)fputs(yaml, stdout);
    free(yaml);
    if (status != SOTTO_OK)
        return sotto_cli_fail(&err);
    if (!quiet)
        (void)fputs(
            "sotto: this draft was read off the data and is not public; put public knowledge in place "
            "of each line marked \"# check:\"\n",
            stderr);
    return sotto_cli_finish();
}

static int command_draft(int argc, char **argv)
{
    static const char *const names[] = {"TABLE"};
    const char *table = NULL, *missing = NULL, *output = NULL;
    bool quiet = false;
    sotto_option options[] = {
        {.name = "missing", .kind = SOTTO_OPTION_TEXT, .value = &missing},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &output},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"schema draft", draft_help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &table);
    if (ended == SOTTO_CLI_GO_ON)
        ended = draft(table, missing, output, quiet);
    sotto_cli_release(&usage);
    return ended;
}

/* -------------------------------------------------------------------- check */

static const char private_words[] = "computed from real data: private, do not publish";

static void put_padded(const char *text, size_t width)
{
    sotto_text_put(stdout, text, false);
    for (size_t i = sotto_text_width(text); i < width; i++)
        (void)putchar(' ');
}

static size_t name_width(const sotto_schema *schema)
{
    size_t most = 6;
    for (size_t i = 0; i < schema->column_count; i++) {
        size_t width = sotto_text_width(schema->columns[i].name);
        most = width > most ? width : most;
    }
    return most < 32 ? most : 32;
}

static void print_date(double days)
{
    char text[32];
    const time_t time = (time_t)(days * 86400);
    struct tm parts;
    if (gmtime_r(&time, &parts) && strftime(text, sizeof text, "%Y-%m-%d", &parts) > 0)
        (void)fputs(text, stdout);
}

static void print_domain(const sotto_column *column)
{
    char low[SOTTO_FIGURE_SIZE], high[SOTTO_FIGURE_SIZE];
    switch (column->type) {
    case SOTTO_COLUMN_CATEGORY:
        (void)printf("%zu values%s", column->value_count,
                     column->other == SOTTO_NONE ? "" : ", others allowed");
        break;
    case SOTTO_COLUMN_IDENTIFIER:
        (void)printf("never modelled");
        if (column->units)
            (void)printf("; tells %zu units apart", column->units);
        break;
    case SOTTO_COLUMN_INTEGER:
    case SOTTO_COLUMN_NUMBER:
        sotto_figure_exact(column->min, low);
        sotto_figure_exact(column->max, high);
        (void)printf("%s to %s%s", low, high, column->log_scale ? ", on a log scale" : "");
        break;
    case SOTTO_COLUMN_DATE:
        print_date(column->min);
        (void)fputs(" to ", stdout);
        print_date(column->max);
        break;
    }
    (void)printf("%s\n", column->missing_allowed ? ", may be missing" : "");
}

static void print_schema(const char *path, const sotto_schema *schema)
{
    size_t width = name_width(schema);
    sotto_text_put(stdout, path, false);
    (void)printf(": sound; %zu rows, %zu columns\n", schema->rows, schema->column_count);
    for (size_t i = 0; i < schema->column_count; i++) {
        (void)fputs("  ", stdout);
        put_padded(schema->columns[i].name, width);
        (void)printf("  %-10s  ", sotto_column_type_name(schema->columns[i].type));
        print_domain(&schema->columns[i]);
    }
}

static void print_units(const sotto_table *table)
{
    const sotto_schema *schema = sotto_table_schema(table);
    for (size_t i = 0; i < schema->column_count; i++) {
        if (sotto_table_units(table, i) == 0)
            continue;
        (void)fputs("Units by ", stdout);
        sotto_text_put(stdout, schema->columns[i].name, false);
        (void)printf(": %zu; %zu rows without one, each a unit of its own (private as well)\n",
                     sotto_table_units(table, i), sotto_table_counts(table, i)->missing);
    }
}

static void print_table(const char *path, const sotto_table *table)
{
    const sotto_schema *schema = sotto_table_schema(table);
    size_t width = name_width(schema);
    (void)putchar('\n');
    sotto_text_put(stdout, path, false);
    (void)printf(": fits; %zu rows\nCells mapped into the declared domain (%s)\n  ", sotto_table_rows(table),
                 private_words);
    put_padded("column", width);
    (void)printf("  %9s  %9s  %9s  %9s  %10s  %10s\n", "missing", "below min", "above max", "NaN",
                 "undeclared", "first line");
    for (size_t i = 0; i < schema->column_count; i++) {
        const sotto_column_counts *counts = sotto_table_counts(table, i);
        if (schema->columns[i].type == SOTTO_COLUMN_IDENTIFIER)
            continue;
        (void)fputs("  ", stdout);
        put_padded(schema->columns[i].name, width);
        (void)printf("  %9zu  %9zu  %9zu  %9zu  %10zu  ", counts->missing, counts->clamped_low,
                     counts->clamped_high, counts->not_a_number, counts->undeclared);
        if (counts->first_line)
            (void)printf("%10zu\n", counts->first_line);
        else
            (void)printf("%10s\n", "-");
    }
    print_units(table);
}

static json_t *column_json(const sotto_column *column, const sotto_column_counts *counts)
{
    if (!counts)
        return json_pack("{s:s, s:s, s:b}", "name", column->name, "type",
                         sotto_column_type_name(column->type), "missing_allowed", column->missing_allowed);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", column->name, "missing",
                     (json_int_t)counts->missing, "clamped_low", (json_int_t)counts->clamped_low,
                     "clamped_high", (json_int_t)counts->clamped_high, "not_a_number",
                     (json_int_t)counts->not_a_number, "undeclared", (json_int_t)counts->undeclared,
                     "first_line", (json_int_t)counts->first_line);
}

/* The schema's columns; or, where there is a table, the table's counts. Units where they are told. */
static json_t *columns_json(const sotto_schema *schema, const sotto_table *table)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < schema->column_count; i++) {
        const sotto_column_counts *counts = table ? sotto_table_counts(table, i) : NULL;
        const size_t units = table ? sotto_table_units(table, i) : schema->columns[i].units;
        json_t *column = column_json(&schema->columns[i], counts);
        if (column && units)
            (void)json_object_set_new(column, "units", json_integer((json_int_t)units));
        if (json_array_append_new(list, column) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static sotto_status print_check_json(const char *path, const sotto_schema *schema, const sotto_table *table,
                                     sotto_error *err)
{
    json_t *record = json_pack("{s:s, s:I, s:o}", "schema", path, "rows", (json_int_t)schema->rows, "columns",
                               columns_json(schema, NULL));
    if (record && table) {
        json_t *part = json_pack("{s:s, s:I, s:s, s:o}", "covered", private_words, "rows",
                                 (json_int_t)sotto_table_rows(table), "sha256", sotto_table_sha256(table),
                                 "columns", columns_json(schema, table));
        if (json_object_set_new(record, "table", part) != 0) {
            json_decref(record);
            record = NULL;
        }
    }
    if (!record)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                               "cannot write the result as JSON: out of memory, or a name is not UTF-8");
    sotto_cli_print_json(record);
    json_decref(record);
    return SOTTO_OK;
}

typedef struct check_wish {
    const char *paths[2]; /* schema; table, or NULL */
    sotto_table_options reading;
    bool as_json, quiet;
} check_wish;

static int check(const check_wish *wish)
{
    sotto_error err = {0};
    sotto_schema *schema = NULL;
    sotto_table *table = NULL;
    sotto_status status = sotto_schema_load(&schema, wish->paths[0], &err);
    if (status == SOTTO_OK && wish->paths[1])
        status = sotto_table_load(&table, schema, wish->paths[1], &wish->reading, &err);
    if (status == SOTTO_OK && wish->as_json)
        status = print_check_json(wish->paths[0], schema, table, &err);
    else if (status == SOTTO_OK && !wish->quiet) {
        print_schema(wish->paths[0], schema);
        if (table)
            print_table(wish->paths[1], table);
    }
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
    return status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
}

static int command_check(int argc, char **argv)
{
    static const char *const names[] = {"SCHEMA", "TABLE"};
    check_wish wish = {.reading = {.units = true}};
    sotto_option options[] = {
        {.name = "any-row-count", .kind = SOTTO_OPTION_FLAG, .value = &wish.reading.any_row_count},
        {.name = "strict", .kind = SOTTO_OPTION_FLAG, .value = &wish.reading.strict},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &wish.as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &wish.quiet},
    };
    sotto_usage usage = {"schema check", check_help, options, sizeof options / sizeof *options, names, 2, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, wish.paths);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check(&wish);
    sotto_cli_release(&usage);
    return ended;
}

int sotto_command_schema(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "draft") == 0)
        return command_draft(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return command_check(argc - 1, argv + 1);
    sotto_usage usage = {.command = "schema", .help = help};
    if (argc > 1 && argv[1][0] != '-')
        return sotto_cli_usage("schema", "unknown task '%.60s'; expected draft or check", argv[1]);
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON)
        ended = sotto_cli_usage("schema", "nothing to do; expected draft or check");
    return ended;
}
