/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto evaluate --schema FILE --train TABLE (--synthetic TABLE --output DIR | --run RUN) [OPTIONS]\n"
    "\n"
    "Is a synthetic table any good, and what does it give away? Compares it with the table it was learned from\n"
    "and with other rows of the same population: how alike columns, pairs and triples are; how well models\n"
    "trained on it do on real rows; what known attacks learn from it. Writes evaluation.json and report.html.\n"
    "\n"
    "All of it is computed from real rows without noise: it belongs into private/ and must not leave the\n"
    "building. An attack that fails proves nothing; the guarantee is the privacy statement's.\n"
    "\n"
    "Options:\n"
    "  --schema FILE      the public schema of all the tables\n"
    "  --train TABLE      the table that the synthetic one was learned from\n"
    "  --test TABLE       other rows of the same population, never trained on: needed for utility, and the\n"
    "                     yardstick of the attacks\n"
    "  --synthetic TABLE  the synthetic table\n"
    "  --output DIR       where to write; made where it is absent, mode 0700\n"
    "  --run RUN          a run directory: its release/synthetic.csv, written to its private/\n"
    "  --target COLUMN    train models to predict it: a category, or a number\n"
    "  --sensitive COLUMN compare how those models treat the groups of this column\n"
    "  --no-attacks       leave the attacks out, which take the longest\n"
    "  --threads N        without it, as many as the machine has; no figure depends on it\n"
    "  --test-only-insecure-seed N\n"
    "                     take all randomness from N, for tests; the record is stamped\n"
    "  --json             print the record\n"
    "  --quiet            no progress and no closing words\n"
    "\n"
    "Example:\n"
    "  sotto evaluate --schema adult.schema.yaml --train adult_train.csv --test adult_test.csv \\\n"
    "                 --run runs/adult --target income --sensitive sex\n";

static int report(const char *json, bool as_json, bool quiet)
{
    sotto_error err = {0};
    const sotto_status status =
        quiet && !as_json ? SOTTO_OK : sotto_cli_show(json, sotto_report_evaluation_text, as_json, &err);
    return status == SOTTO_OK ? sotto_cli_finish() : sotto_cli_fail(&err);
}

static int evaluate(const sotto_evaluate_options *asked, bool as_json, bool quiet)
{
    sotto_evaluate_options options = *asked;
    sotto_error err = {0};
    char *json = NULL;
    sotto_bar bar;
    sotto_bar_start(&bar);
    if (!quiet) {
        options.progress = sotto_bar_show;
        options.progress_context = &bar;
    }
    const sotto_status status = sotto_run_evaluate(&options, &json, &err);
    sotto_bar_finish(&bar);
    const int ended = status == SOTTO_OK ? report(json, as_json, quiet) : sotto_cli_fail(&err);
    free(json);
    return ended;
}

int sotto_command_evaluate(int argc, char **argv)
{
    sotto_evaluate_options asked = {0};
    uint64_t threads = 0;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "schema", .kind = SOTTO_OPTION_TEXT, .value = &asked.schema, .required = true},
        {.name = "train", .kind = SOTTO_OPTION_TEXT, .value = &asked.train, .required = true},
        {.name = "test", .kind = SOTTO_OPTION_TEXT, .value = &asked.test},
        {.name = "synthetic", .kind = SOTTO_OPTION_TEXT, .value = &asked.synthetic},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &asked.output},
        {.name = "run", .kind = SOTTO_OPTION_TEXT, .value = &asked.run},
        {.name = "target", .kind = SOTTO_OPTION_TEXT, .value = &asked.target},
        {.name = "sensitive", .kind = SOTTO_OPTION_TEXT, .value = &asked.sensitive},
        {.name = "no-attacks", .kind = SOTTO_OPTION_FLAG, .value = &asked.no_attacks},
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "test-only-insecure-seed",
         .kind = SOTTO_OPTION_COUNT,
         .value = &asked.seed,
         .high = HUGE_VAL},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"evaluate", help, options, sizeof options / sizeof *options, NULL, 0, 0};
    int ended = sotto_cli_parse(&usage, argc, argv, NULL);
    if (ended == SOTTO_CLI_GO_ON) {
        asked.threads = (unsigned)threads;
        asked.insecure_test_only_seed = options[10].given;
        if (!asked.run && (!asked.synthetic || !asked.output))
            ended = sotto_cli_usage("evaluate", "expected --synthetic TABLE and --output DIR, or --run RUN");
        else
            ended = evaluate(&asked, as_json, quiet);
    }
    sotto_cli_release(&usage);
    return ended;
}
