/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct {
    const char *name;
    sotto_command *run;
    const char *help;
} commands[] = {
    {"plan", sotto_command_plan, "what a config would do and cost; touches no data"},
    {"train", sotto_command_train, "train under the budget; writes synthetic rows, model and statement"},
    {"sample", sotto_command_sample, "more synthetic rows from a trained model, free of cost"},
    {"evaluate", sotto_command_evaluate, "how good a synthetic table is, and what it gives away"},
    {"sweep", sotto_command_sweep, "many runs over a grid of settings: what privacy costs in utility"},
    {"report", sotto_command_report, "write a run's or sweep's pages again, and show them"},
    {"account", sotto_command_account,
     "ε, δ, noise, steps of a plan or a list of releases, by the accountant alone"},
    {"ledger", sotto_command_ledger, "what every run has spent on each data set, and the caps on them"},
    {"schema", sotto_command_schema, "draft or check the public description of a table"},
    {"bench", sotto_command_bench, "how fast this machine is"},
};
static const size_t command_count = sizeof commands / sizeof *commands;

static const char head[] =
    "sotto trains generative models on private tables under differential privacy. What it hands back\n"
    "may leave the building: synthetic rows, a model, and a privacy statement that is true.\n"
    "\n"
    "Usage: sotto COMMAND [OPTIONS]\n"
    "\n"
    "A first example:\n"
    "  sotto schema draft people.csv --output people.schema.yaml   then replace its bounds by what is "
    "public\n"
    "  sotto plan people.yaml                                      what it will cost, and whether it can "
    "work\n"
    "  sotto train people.yaml                                     runs/people/release/ is what you may "
    "share\n"
    "\n"
    "Commands:\n";

static const char tail[] =
    "\n"
    "`sotto COMMAND --help` explains a command and gives an example. All of them take --quiet, and --json\n"
    "where they print figures.\n"
    "\n"
    "Exit status: 0 done; 1 the job failed; 2 wrong usage, config, schema or table; 3 the privacy budget\n"
    "refuses; 130 stopped by Ctrl-C; a run is saved.\n";

static void put_help(FILE *file)
{
    (void)fputs(head, file);
    for (size_t i = 0; i < command_count; i++)
        (void)fprintf(file, "  %-9s %s\n", commands[i].name, commands[i].help);
    (void)fputs(tail, file);
}

static int unknown(const char *name)
{
    char known[256] = "";
    for (size_t i = 0; i < command_count; i++) {
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", commands[i].name);
    }
    return sotto_cli_usage("", "unknown command '%.60s'; expected one of %s", name, known);
}

/*
 * OpenBLAS starts a thread for each processor before main. Nothing here uses them; but each wants 128 MB of
 * addresses, tries for ever to get them where they are limited, and is waited for at each fork and in the
 * end. There the command begins once more, without them.
 */
static void begin_without_idle_threads(char **argv)
{
    static const char threads[] = "OPENBLAS_NUM_THREADS";
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && !getenv(threads) &&
        setenv(threads, "1", 1) == 0)
        (void)execv("/proc/self/exe", argv); /* where it comes back, it goes on as it is */
}

int main(int argc, char **argv)
{
    begin_without_idle_threads(argv);
    if (argc < 2) {
        put_help(stderr);
        return SOTTO_EXIT_USAGE;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        put_help(stdout);
        return sotto_cli_finish();
    }
    if (strcmp(name, "--version") == 0) {
        (void)puts("sotto " SOTTO_VERSION);
        return sotto_cli_finish();
    }
    return name[0] == '-' ? sotto_cli_usage("", "unknown option %.60s", name) : unknown(name);
}
