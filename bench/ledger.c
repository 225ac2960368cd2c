/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A ledger of many charges, on a disk: what opening it and reserving a block cost. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/timing.h"
#include "ledger/ledger.h"

enum { CHARGES = 1000, OPENINGS = 5 };

static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char label[] = "discriminator steps";

struct ground {
    char folder[512], path[544];
    sotto_ledger *ledger;
    sotto_ledger_run *run;
};

/* Each run's mechanism is another one, so that the cap's sum has as many different parts as it can. */
static sotto_charge charge_of(size_t run, uint64_t count)
{
    sotto_charge charge = {.label = label, .count = count};
    (void)sotto_mechanism_sampled_gaussian(&charge.mechanism, 0.01, 2.0 + 0.01 * (double)run, NULL);
    return charge;
}

static sotto_status begin_run(struct ground *ground, size_t number, uint64_t planned, sotto_error *err)
{
    const sotto_charge charge = charge_of(number, planned);
    const sotto_ledger_table table = {
        .id = "table", .sha256 = hash, .path = "table.csv", .adjacency = SOTTO_ADJACENCY_ADD_REMOVE};
    const sotto_ledger_plan plan = {.charges = &charge,
                                    .count = 1,
                                    .draws = 1e9,
                                    .epsilon = 1,
                                    .delta = 1e-6,
                                    .config_sha256 = hash,
                                    .output = "runs/one"};
    return sotto_ledger_run_begin(&ground->run, ground->ledger, &table, &plan, err);
}

static void end_run(struct ground *ground)
{
    sotto_ledger_run_destroy(ground->run);
    ground->run = NULL;
}

static sotto_status open_ground(struct ground *ground, bool create, sotto_error *err)
{
    const sotto_ledger_options options = {.path = ground->path, .create = create};
    return sotto_ledger_open(&ground->ledger, &options, err);
}

static void close_ground(struct ground *ground)
{
    end_run(ground);
    sotto_ledger_close(ground->ledger);
    ground->ledger = NULL;
}

static sotto_status fill(struct ground *ground, size_t runs, const bench_meter *meter, sotto_error *err)
{
    sotto_charge *charges = calloc(CHARGES, sizeof *charges);
    sotto_status status = charges ? sotto_ledger_declare(ground->ledger, "table", NULL, 30, 1e-5, err)
                                  : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for charges");
    for (size_t i = 0; status == SOTTO_OK && i < runs; i++) {
        for (size_t j = 0; j < CHARGES; j++)
            charges[j] = charge_of(i, 1);
        status = begin_run(ground, i, CHARGES, err);
        if (status == SOTTO_OK)
            status = sotto_ledger_run_charge_all(ground->run, charges, CHARGES, err);
        end_run(ground);
        bench_meter_show(meter, i + 1);
    }
    free(charges);
    return status;
}

static sotto_status time_openings(struct ground *ground, sotto_bench_ledger *out, sotto_error *err)
{
    double opening[OPENINGS], verifying[OPENINGS];
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < OPENINGS; i++) {
        const sotto_ledger_options options = {.path = ground->path};
        json_t *record = NULL;
        double start = bench_now();
        status = open_ground(ground, false, err);
        opening[i] = bench_now() - start;
        close_ground(ground);
        if (status != SOTTO_OK)
            break;
        start = bench_now();
        status = sotto_ledger_verify(&options, &record, err);
        verifying[i] = bench_now() - start;
        json_decref(record);
    }
    if (status == SOTTO_OK) {
        out->open = bench_typical(opening, OPENINGS);
        out->verify = bench_typical(verifying, OPENINGS);
    }
    return status;
}

static sotto_status time_reserves(struct ground *ground, double seconds, sotto_bench_ledger *out,
                                  sotto_error *err)
{
    const sotto_charge block = charge_of((size_t)out->runs, 1);
    sotto_status status = open_ground(ground, false, err);
    double before = bench_now();
    if (status == SOTTO_OK)
        status = begin_run(ground, (size_t)out->runs, 100000, err);
    out->begin = bench_now() - before;
    const double start = bench_now();
    for (before = start; status == SOTTO_OK && before - start < seconds;) {
        status = sotto_ledger_run_charge(ground->run, &block.mechanism, 1, label, err);
        const double after = bench_now();
        out->reserve_most = after - before > out->reserve_most ? after - before : out->reserve_most;
        out->reserves++;
        before = after;
    }
    out->reserve = out->reserves > 0 ? (before - start) / (double)out->reserves : 0;
    close_ground(ground);
    return status;
}

static sotto_status make_folder(struct ground *ground, const char *folder, sotto_error *err)
{
    const int length = snprintf(ground->folder, sizeof ground->folder, "%s/sotto-bench-XXXXXX", folder);
    if (length < 0 || (size_t)length >= sizeof ground->folder || !mkdtemp(ground->folder))
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, folder, 0, 0,
                                  "cannot make a folder for a ledger here; name another one with --folder");
    (void)snprintf(ground->path, sizeof ground->path, "%s/ledger.db", ground->folder);
    return SOTTO_OK;
}

static void remove_folder(const struct ground *ground)
{
    static const char *const endings[] = {"", "-head", "-wal", "-shm"};
    char name[576];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        (void)snprintf(name, sizeof name, "%s%s", ground->path, endings[i]);
        (void)unlink(name);
    }
    (void)rmdir(ground->folder);
}

sotto_status sotto_bench_ledgers(const char *folder, size_t runs, double seconds,
                                 const sotto_bench_watch *watch, sotto_bench_ledger *out, sotto_error *err)
{
    struct ground ground = {.ledger = NULL};
    struct stat about;
    const bench_meter meter = bench_meter_start(watch, "ledger", runs);
    *out = (sotto_bench_ledger){.runs = runs, .charges = (uint64_t)runs * CHARGES};
    sotto_status status = make_folder(&ground, folder, err);
    if (status != SOTTO_OK)
        return status;
    status = open_ground(&ground, true, err);
    if (status == SOTTO_OK)
        status = fill(&ground, runs, &meter, err);
    close_ground(&ground);
    if (status == SOTTO_OK && stat(ground.path, &about) == 0)
        out->bytes = (double)about.st_size;
    if (status == SOTTO_OK)
        status = time_openings(&ground, out, err);
    if (status == SOTTO_OK)
        status = time_reserves(&ground, seconds, out, err);
    remove_folder(&ground);
    return status;
}
