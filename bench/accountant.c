/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The accountant's questions, timed in turns; the faster half of each one's turns counts. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/timing.h"
#include "sotto/accountant.h"

enum { TURNS = 9 };

static const double sample_rate = 0.01, noise_multiplier = 1.0, delta = 1e-5, target_epsilon = 3.0;
static const uint64_t steps = 10000;

/* As many charges as one look at the clock is made for. */
enum { CHARGES = 1000 };

struct scene {
    sotto_mechanism step;
    sotto_accountant *plan;
    sotto_budget *budget;
};

const char *sotto_bench_question_name(sotto_bench_question question)
{
    switch (question) {
    case SOTTO_BENCH_EPSILON_RDP:
        return "epsilon_rdp";
    case SOTTO_BENCH_EPSILON_PLD:
        return "epsilon_pld";
    case SOTTO_BENCH_EPSILON_PLD_FINE:
        return "epsilon_pld_fine";
    case SOTTO_BENCH_NOISE_RDP:
        return "noise_rdp";
    case SOTTO_BENCH_NOISE_PLD:
        return "noise_pld";
    case SOTTO_BENCH_BUDGET:
        return "budget";
    case SOTTO_BENCH_QUESTIONS:
        break;
    }
    return NULL;
}

static sotto_status enter(struct scene *scene, uint64_t count, sotto_error *err)
{
    sotto_status status = sotto_mechanism_sampled_gaussian(&scene->step, sample_rate, noise_multiplier, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &scene->plan, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_compose(scene->plan, &scene->step, count, err);
    if (status == SOTTO_OK) /* so large that no benchmark uses it up */
        status = sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, delta, &scene->budget, err);
    return status;
}

static void leave(struct scene *scene)
{
    sotto_accountant_destroy(scene->plan);
    sotto_budget_destroy(scene->budget);
}

static sotto_status charge(struct scene *scene, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (int i = 0; i < CHARGES && status == SOTTO_OK; i++)
        status = sotto_budget_allows(scene->budget, &scene->step, 1)
                     ? sotto_budget_charge(scene->budget, &scene->step, 1, "benchmark", err)
                     : sotto_error_set(err, SOTTO_ERROR_BUDGET, "the benchmark's budget is used up");
    return status;
}

static sotto_status find_noise(sotto_accountant_kind kind, double *answer, sotto_error *err)
{
    return sotto_calibrate_noise_multiplier(kind, target_epsilon, delta, sample_rate, steps, NULL, answer,
                                            err);
}

/* Ask once; the budget CHARGES times. */
static sotto_status ask(struct scene *scene, sotto_bench_question question, double *answer, sotto_error *err)
{
    double lower;
    switch (question) {
    case SOTTO_BENCH_EPSILON_RDP:
        return sotto_accountant_epsilon(scene->plan, delta, answer, NULL, err);
    case SOTTO_BENCH_EPSILON_PLD:
        return sotto_accountant_epsilon_bounds(scene->plan, delta, SOTTO_ACCOUNTANT_DEFAULT_GAP, &lower,
                                               answer, err);
    case SOTTO_BENCH_EPSILON_PLD_FINE:
        return sotto_accountant_epsilon_bounds(scene->plan, delta, 1e-4, &lower, answer, err);
    case SOTTO_BENCH_NOISE_RDP:
        return find_noise(SOTTO_ACCOUNTANT_RDP, answer, err);
    case SOTTO_BENCH_NOISE_PLD:
        return find_noise(SOTTO_ACCOUNTANT_PLD, answer, err);
    case SOTTO_BENCH_BUDGET:
    case SOTTO_BENCH_QUESTIONS:
        break;
    }
    return charge(scene, err);
}

/* Seconds for each answer over one turn of about `seconds`. */
static sotto_status turn(struct scene *scene, sotto_bench_question question, double seconds, double *each,
                         double *answer, sotto_error *err)
{
    size_t asked = 0;
    const double start = bench_now();
    sotto_status status;
    do {
        status = ask(scene, question, answer, err);
        asked += question == SOTTO_BENCH_BUDGET ? CHARGES : 1;
    } while (status == SOTTO_OK && bench_now() - start < seconds);
    *each = (bench_now() - start) / (double)asked;
    return status;
}

/* What the child of `measure_peak` does. */
static int ask_the_largest(void)
{
    struct scene scene = {.plan = NULL};
    double answer;
    sotto_status status = enter(&scene, 1000000, NULL);
    if (status == SOTTO_OK)
        status = ask(&scene, SOTTO_BENCH_EPSILON_PLD, &answer, NULL);
    leave(&scene);
    return status == SOTTO_OK ? 0 : 1;
}

/* The most memory that a process had which did one thing only. */
static sotto_status measure_peak(double *bytes, sotto_error *err)
{
    struct rusage used;
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(ask_the_largest());
    if (child < 0 || wait4(child, &status, 0, &used) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        return sotto_error_set(
            err, SOTTO_ERROR_IO,
            "cannot measure the accountant's memory in a process of its own; is memory short?");
#ifdef __APPLE__
    const double unit = 1.0;
#else
    const double unit = 1024.0;
#endif
    *bytes = unit * (double)used.ru_maxrss;
    return SOTTO_OK;
}

sotto_status sotto_bench_accountants(double seconds, const sotto_bench_watch *watch,
                                     sotto_bench_accountant *out, sotto_error *err)
{
    double times[SOTTO_BENCH_QUESTIONS][TURNS];
    struct scene scene = {.plan = NULL};
    *out = (sotto_bench_accountant){.peak_bytes = 0};
    sotto_status status = measure_peak(&out->peak_bytes, err); /* first: while this process is small */
    if (status == SOTTO_OK)
        status = enter(&scene, steps, err);
    const bench_meter meter = bench_meter_start(watch, "timing answers", TURNS);
    for (size_t i = 0; i < TURNS && status == SOTTO_OK; i++) {
        for (size_t k = 0; k < SOTTO_BENCH_QUESTIONS && status == SOTTO_OK; k++)
            status = turn(&scene, (sotto_bench_question)k, seconds / TURNS, &times[k][i],
                          &out->lines[k].answer, err);
        bench_meter_show(&meter, i + 1);
    }
    for (size_t k = 0; k < SOTTO_BENCH_QUESTIONS && status == SOTTO_OK; k++)
        out->lines[k].seconds = bench_typical(times[k], TURNS);
    leave(&scene);
    return status;
}
