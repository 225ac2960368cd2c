/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench.h"

extern char **environ;

static const char forcing[] = "OPENBLAS_CORETYPE";
enum { PATIENCE_MILLISECONDS = 60000 };

/* ----------------------------------------------- this program, in another environment */

/* The environment but for one variable; the texts are the environment's own. Caller frees. */
static char **environment_without(const char *name)
{
    const size_t length = strlen(name);
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++)
        if (strncmp(environ[i], name, length) != 0 || environ[i][length] != '=')
            copy[kept++] = environ[i];
    return copy;
}

/* Start this program to print OpenBLAS's rate into `out`; 0 where that fails. */
static pid_t start_itself(int out)
{
    char *const line[] = {(char[]){"sotto"}, (char[]){"bench"}, (char[]){SOTTO_CLI_GEMM_RATE}, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    char **environment = environment_without(forcing);
    if (!environment || posix_spawn_file_actions_init(&actions) != 0) {
        free(environment);
        return 0;
    }
    if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) != 0 ||
        posix_spawn(&child, "/proc/self/exe", &actions, NULL, line, environment) != 0)
        child = 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return child;
}

/* What comes before the end, as text; false where it is too long, or takes too long. */
static bool read_all(int in, char *text, size_t size)
{
    size_t used = 0;
    while (used + 1 < size) {
        struct pollfd wait = {.fd = in, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MILLISECONDS) <= 0)
            return false;
        const ssize_t got = read(in, text + used, size - 1 - used);
        if (got < 0)
            return false;
        if (got == 0) {
            text[used] = '\0';
            return true;
        }
        used += (size_t)got;
    }
    return false;
}

/* OpenBLAS's rate where nothing forces its kernels; 0 where that cannot be found out. */
static double rate_without_force(void)
{
    char text[64];
    double rate;
    int ends[2], status = 1;
    if (pipe(ends) != 0)
        return 0;
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const pid_t child = start_itself(ends[1]);
    (void)close(ends[1]);
    const bool heard = child > 0 && read_all(ends[0], text, sizeof text);
    (void)close(ends[0]);
    if (child > 0 && !heard)
        (void)kill(child, SIGKILL);
    if (child <= 0 || waitpid(child, &status, 0) != child || status != 0 || !heard)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return sotto_cli_number(text, &rate) == NULL && rate > 0 ? rate : 0;
}

int sotto_cli_bench_gemm_rate(const sotto_cli_bench *wish)
{
    (void)wish;
    const double rate = sotto_bench_gemm_rate();
    if (rate <= 0)
        return SOTTO_EXIT_FAILED;
    (void)printf("%.17g\n", rate);
    return sotto_cli_finish();
}

/* ---------------------------------------------------------------------- printing */

static json_t *figures_json(double seconds, const sotto_bench_gemm_rates *rates, double unforced)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SOTTO_BENCH_GEMM_LINES; i++) {
        const sotto_bench_gemm *line = &rates->lines[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", (json_int_t)line->rows,
                      "inputs", (json_int_t)line->inputs, "outputs", (json_int_t)line->outputs, "forward",
                      line->forward, "backward", line->backward, "gradient", line->gradient, "integer",
                      line->integer, "blas_forward", line->blas_forward, "blas_backward", line->blas_backward,
                      "blas_gradient", line->blas_gradient));
    }
    json_t *record =
        json_pack("{s:s, s:f, s:s, s:s, s:s, s:f, s:o}", "bench", "gemm", "seconds", seconds, "kernels",
                  rates->kernels, "integer_kernels", rates->integer_kernels, "blas_core", rates->blas_core,
                  "blas_square", rates->blas_square, "lines", list);
    if (record)
        (void)json_object_set_new(record, "peak", rates->peak > 0 ? json_real(rates->peak) : json_null());
    if (record && rates->blas_core_forced) {
        (void)json_object_set_new(record, "blas_core_forced", json_string(rates->blas_core_forced));
        (void)json_object_set_new(record, "blas_square_unforced",
                                  unforced > 0 ? json_real(unforced) : json_null());
    }
    return record;
}

static void print_rates(const sotto_bench_gemm_rates *rates, double unforced)
{
    (void)printf("GFLOP/s on one thread\n");
    if (rates->peak > 0)
        (void)printf("%8.1f  multiply-adds on registers alone: the CPU's peak\n", rates->peak);
    (void)printf("%8.1f  OpenBLAS at large squares, its kernels for %s\n", rates->blas_square,
                 rates->blas_core);
    if (rates->blas_core_forced && unforced > 0)
        (void)printf("%8.1f  the same if %s were not set\n", unforced, forcing);
    if (rates->blas_core_forced && unforced <= 0)
        (void)printf("%8s  the same if %s were not set: this system does not let a program ask itself\n", "?",
                     forcing);
    (void)printf(
        "\nDense layers on 128 rows: forward, gradient of inputs, of weights, the last in exact integers\n"
        "%20s%36s%30s\n%20s%9s%9s%9s%9s%12s%9s%9s\n",
        "", "ours, which training uses", "OpenBLAS", "inputs x outputs", "forward", "inputs", "weights",
        "exact", "forward", "inputs", "weights");
    for (size_t i = 0; i < SOTTO_BENCH_GEMM_LINES; i++) {
        const sotto_bench_gemm *line = &rates->lines[i];
        (void)printf("%13zu x %4zu%9.1f%9.1f%9.1f%9.1f%12.1f%9.1f%9.1f\n", line->inputs, line->outputs,
                     line->forward, line->backward, line->gradient, line->integer, line->blas_forward,
                     line->blas_backward, line->blas_gradient);
    }
    (void)printf(
        "Our kernels: %s for floats, %s for integers. Training uses them alone; %s does not touch them.\n",
        rates->kernels, rates->integer_kernels, forcing);
}

static void print_bare(const sotto_bench_gemm_rates *rates)
{
    for (size_t i = 0; i < SOTTO_BENCH_GEMM_LINES; i++)
        (void)printf("%.17g %.17g %.17g %.17g\n", rates->lines[i].forward, rates->lines[i].backward,
                     rates->lines[i].gradient, rates->lines[i].integer);
    (void)printf("%.17g\n", rates->blas_square);
}

static void warn(const sotto_bench_gemm_rates *rates, double unforced)
{
    char text[320];
    if (unforced < 2 * rates->blas_square)
        return;
    (void)snprintf(
        text, sizeof text,
        "%s=%.40s makes OpenBLAS %.1f times as slow as it would be without; unset it. Training does "
        "not use OpenBLAS's products.",
        forcing, rates->blas_core_forced, unforced / rates->blas_square);
    sotto_cli_warning(text);
}

int sotto_cli_bench_gemm(const sotto_cli_bench *wish)
{
    sotto_error err = {0};
    sotto_bench_gemm_rates rates;
    if (sotto_bench_gemms(wish->step.seconds, wish->step.watch, &rates, &err) != SOTTO_OK)
        return sotto_cli_fail(&err);
    const double unforced = rates.blas_core_forced ? rate_without_force() : 0;
    if (rates.blas_core_forced)
        warn(&rates, unforced);
    if (wish->as_json)
        return sotto_cli_bench_print(figures_json(wish->step.seconds, &rates, unforced));
    if (wish->quiet)
        print_bare(&rates);
    else
        print_rates(&rates, unforced);
    return sotto_cli_finish();
}
