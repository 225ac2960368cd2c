/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A sweep and the ledger. Each run of a sweep charges its data set itself, as any run does; here is what
 * concerns them together: whether the cap bears them all, what earlier tries still hold of it, and the
 * release of the one that was chosen.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/sweep_work.h"

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
}

/* --------------------------------------------------------------- before it */

enum { CHARGES = SOTTO_MODEL_RELEASES + 3 };

static size_t charges_of(const sotto_run_cost *cost, sotto_charge charges[CHARGES])
{
    size_t count = 0;
    for (size_t i = 0; i < cost->release_count; i++)
        charges[count++] = (sotto_charge){"a release", cost->releases[i], cost->uses[i]};
    if (cost->step.kind != 0)
        charges[count++] = (sotto_charge){"steps", cost->step, cost->steps};
    return count;
}

/* Before any run: the first would make a data set of it. */
static sotto_status check_data_set(const sotto_sweep_work *work, sotto_ledger *ledger,
                                   const sotto_ledger_table *table, sotto_error *err)
{
    const sotto_run_options *options = &work->options->run;
    sotto_ledger_table read = *table;
    char sha256[65];
    const sotto_status status = sotto_table_file_sha256(work->sweep.config.table, sha256, err);
    read.sha256 = sha256;
    return status == SOTTO_OK ? sotto_config_check_data_set(&work->sweep.config, ledger, &read, options->warn,
                                                            options->warn_context, err)
                              : status;
}

sotto_status sotto_sweep_check_cap(const sotto_sweep_work *work, const size_t *runs, sotto_error *err)
{
    const sotto_sweep *sweep = &work->sweep;
    const sotto_config *config = &sweep->config;
    sotto_ledger *ledger = NULL;
    sotto_ledger_table table;
    char *path = NULL;
    size_t count = 0;
    sotto_charge(*charges)[CHARGES] = calloc(sweep->combinations, sizeof *charges);
    sotto_ledger_plan *plans = calloc(sweep->cells + 1, sizeof *plans);
    sotto_status status =
        charges && plans ? sotto_config_table(config, NULL, &table, &path, err) : no_memory(err);
    for (size_t i = 0; i < sweep->combinations && status == SOTTO_OK; i++) {
        const sotto_run_cost *cost = &work->costs[i];
        const size_t lines = charges_of(cost, charges[i]);
        for (size_t r = 0; r < runs[i] && count < sweep->cells; r++, count++)
            plans[count] = (sotto_ledger_plan){.charges = charges[i],
                                               .count = lines,
                                               .draws = cost->draws,
                                               .epsilon = cost->epsilon,
                                               .delta = config->delta,
                                               .not_private = work->options->run.insecure_test_only_seed};
    }
    if (status == SOTTO_OK && count > 0)
        status = sotto_config_ledger(config, !work->options->resume, &ledger, err);
    if (status == SOTTO_OK && count > 0)
        status = check_data_set(work, ledger, &table, err);
    if (status == SOTTO_OK && count > 0)
        status = sotto_ledger_bears(ledger, &table, plans, count, err);
    sotto_ledger_close(ledger);
    free(path);
    free(plans);
    free(charges);
    return status;
}

/* The run that an earlier try left in a cell's folder; "" where there is none. */
static void left_in(const sotto_sweep_work *work, size_t cell, sotto_run_identity *identity)
{
    char id[SOTTO_SWEEP_ID_SIZE], name[64];
    sotto_sweep_id(cell, id);
    (void)snprintf(name, sizeof name, "cells/%s/run", id);
    sotto_run_directory directory = {.path = sotto_path_join(work->directory, name)};
    *identity = (sotto_run_identity){0};
    if (directory.path && sotto_run_identity_read(&directory, identity, NULL) != SOTTO_OK)
        *identity = (sotto_run_identity){0};
    free(directory.path);
}

sotto_status sotto_sweep_let_go(const sotto_sweep_work *work, sotto_error *err)
{
    sotto_ledger *ledger = NULL;
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < work->sweep.cells && status == SOTTO_OK; i++) {
        sotto_run_identity identity;
        if (work->begun[i] == 0 || sotto_sweep_cell_trained(work->directory, i))
            continue;
        left_in(work, i, &identity);
        if (identity.run[0] && !ledger)
            status = sotto_config_ledger(&work->sweep.config, false, &ledger, err);
        if (status == SOTTO_OK && identity.run[0] && sotto_ledger_is_open(ledger, identity.run))
            status =
                sotto_ledger_run_close(ledger, identity.run, "interrupted; the sweep begins it anew", err);
    }
    sotto_ledger_close(ledger);
    return status;
}

/* ---------------------------------------------------------------- after it */

sotto_status sotto_sweep_enroll_choice(const sotto_sweep *sweep, const char *directory, double epsilon,
                                       sotto_sweep_choice *choice, sotto_error *err)
{
    const sotto_config *config = &sweep->config;
    sotto_ledger_table table;
    char sha256[65], digest[65], run[17], *path = NULL, *text = NULL;
    char *output = realpath(directory, NULL);
    const sotto_ledger_plan plan = {.epsilon = epsilon,
                                    .delta = sweep->delta,
                                    .config_sha256 = digest,
                                    .output = output ? output : directory,
                                    .version = SOTTO_VERSION,
                                    .run = run,
                                    .not_private = sweep->options->insecure_test_only_seed};
    sotto_status status = sotto_config_table(config, NULL, &table, &path, err);
    if (status == SOTTO_OK)
        status = sotto_table_file_sha256(config->table, sha256, err);
    table.sha256 = sha256;
    if (status == SOTTO_OK)
        status = sotto_config_format(config, &text, err);
    if (status == SOTTO_OK)
        sotto_sha256_hex(text, strlen(text), digest);
    if (status == SOTTO_OK)
        status = sotto_ledger_name(run, err);
    if (status == SOTTO_OK)
        status = sotto_config_ledger(config, false, &choice->ledger, err);
    if (status == SOTTO_OK)
        status = sotto_ledger_run_begin(&choice->run, choice->ledger, &table, &plan, err);
    free(output);
    free(path);
    free(text);
    return status;
}

void sotto_sweep_choice_destroy(sotto_sweep_choice *choice)
{
    sotto_ledger_run_destroy(choice->run);
    sotto_ledger_close(choice->ledger);
    *choice = (sotto_sweep_choice){0};
}
