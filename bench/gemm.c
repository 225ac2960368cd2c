/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Matrix products, ours against OpenBLAS's and against what the CPU could do, by short turns of each; the
 * best half of each one's turns counts.
 */
#include <stdlib.h>

#include "bench/square.h"
#include "bench/timing.h"

enum { TURNS = 24, PEAK_ROUNDS = 20000 };

typedef enum job {
    JOB_FORWARD,
    JOB_BACKWARD,
    JOB_GRADIENT,
    JOB_INTEGER,
    JOB_BLAS_FORWARD,
    JOB_BLAS_BACKWARD,
    JOB_BLAS_GRADIENT,
    JOB_PEAK,
    JOB_BLAS_SQUARE,
    JOBS
} job;

struct scene {
    sotto_arena *arena;
    size_t rows, inputs, outputs;
    float *x;                  /* [rows, inputs] */
    float *y;                  /* [rows, outputs] */
    float *weights, *gradient; /* [inputs, outputs] */
    float *packed, *packed_transposed, *scratch;
    float *result; /* [rows, inputs or outputs] */
    float *scales; /* [rows] */
    int32_t *left, *right, *sums;
    bench_square square;
    float sink;
};

static float *take(struct scene *s, size_t count, sotto_error *err)
{
    float *values = sotto_arena_take(s->arena, count, sizeof *values, err);
    for (size_t i = 0; values && i < count; i++)
        values[i] = (float)(i % 251) / 251 - 0.5f;
    return values;
}

static sotto_status take_square(struct scene *s, sotto_error *err)
{
    sotto_status status = sotto_arena_create(&s->arena, err);
    if (status != SOTTO_OK)
        return status;
    return bench_square_make(&s->square, s->arena, err);
}

static sotto_status take_layer(struct scene *s, sotto_error *err)
{
    const size_t count = s->inputs * s->outputs;
    s->x = take(s, s->rows * s->inputs, err);
    s->y = take(s, s->rows * s->outputs, err);
    s->weights = take(s, count, err);
    s->gradient = take(s, count, err);
    s->packed = take(s, sotto_tensor_packed_count(s->inputs, s->outputs), err);
    s->packed_transposed = take(s, sotto_tensor_packed_count(s->outputs, s->inputs), err);
    s->scratch = take(s, sotto_tensor_rows_scratch(s->rows, s->inputs, s->outputs), err);
    s->result = take(s, s->rows * (s->inputs > s->outputs ? s->inputs : s->outputs), err);
    s->scales = take(s, s->rows, err);
    s->left = sotto_arena_take(s->arena, sotto_tensor_left_count(s->rows, s->inputs), sizeof *s->left, err);
    s->right =
        sotto_arena_take(s->arena, sotto_tensor_right_count(s->rows, s->outputs), sizeof *s->right, err);
    s->sums = sotto_arena_take(s->arena, count, sizeof *s->sums, err);
    if (!s->x || !s->y || !s->weights || !s->gradient || !s->packed || !s->packed_transposed || !s->scratch ||
        !s->result || !s->scales || !s->left || !s->right || !s->sums)
        return SOTTO_ERROR_MEMORY;
    for (size_t r = 0; r < s->rows; r++)
        s->scales[r] = 1024.0f;
    sotto_tensor_pack(s->inputs, s->outputs, s->weights, s->outputs, s->packed);
    sotto_tensor_pack_transposed(s->outputs, s->inputs, s->weights, s->outputs, s->packed_transposed);
    sotto_tensor_quantise_left(s->rows, s->inputs, s->x, s->inputs, s->scales, s->left, NULL);
    sotto_tensor_quantise_right(s->rows, s->outputs, s->y, s->outputs, s->scales, s->right, NULL);
    return SOTTO_OK;
}

/* One of the layer's products: x·W, y·Wᵀ, and the gradient xᵀ·y. */
static void multiply(struct scene *s, job which)
{
    const size_t m = s->rows, n = s->outputs, k = s->inputs;
    switch (which) {
    case JOB_FORWARD:
        sotto_tensor_product(m, n, k, s->x, k, s->packed, false, s->result, n);
        break;
    case JOB_BACKWARD:
        sotto_tensor_product(m, k, n, s->y, n, s->packed_transposed, false, s->result, k);
        break;
    case JOB_GRADIENT:
        sotto_tensor_product_rows(k, n, m, s->x, k, NULL, s->y, n, false, s->gradient, n, NULL, s->scratch);
        break;
    case JOB_INTEGER: /* modulo 2³² after many turns, at the same speed */
        sotto_tensor_integer_product(k, n, m, s->left, s->right, true, s->sums, n);
        break;
    case JOB_BLAS_FORWARD:
        sotto_tensor_product_nn(m, n, k, 1.0f, s->x, k, s->weights, n, 0.0f, s->result, n);
        break;
    case JOB_BLAS_BACKWARD:
        sotto_tensor_product_nt(m, k, n, 1.0f, s->y, n, s->weights, n, 0.0f, s->result, k);
        break;
    case JOB_BLAS_GRADIENT:
        sotto_tensor_product_tn(k, n, m, 1.0f, s->x, k, s->y, n, 0.0f, s->gradient, n);
        break;
    default:
        break;
    }
}

/* Do the job once; how many floating-point operations it was. */
static double work(struct scene *s, job which)
{
    if (which == JOB_PEAK)
        return sotto_tensor_peak(PEAK_ROUNDS, &s->sink);
    if (which == JOB_BLAS_SQUARE)
        return bench_square_multiply(&s->square);
    multiply(s, which);
    return 2.0 * (double)s->rows * (double)s->inputs * (double)s->outputs;
}

/* Seconds for 10⁹ operations, over one turn of about `seconds`; 0 where the job does nothing. */
static double turn(struct scene *s, job which, double seconds)
{
    double operations = 0;
    const double start = bench_now();
    double now;
    do {
        operations += work(s, which);
        now = bench_now();
    } while (now - start < seconds);
    return operations > 0 ? (now - start) / operations * 1e9 : 0;
}

/* Rates of all jobs, in 10⁹ operations per second. */
static void measure(struct scene *s, double seconds, const bench_meter *meter, size_t done,
                    double rates[JOBS])
{
    double times[JOBS][TURNS];
    for (job which = 0; which < JOBS; which++)
        (void)turn(s, which, 0);
    for (size_t i = 0; i < TURNS; i++) {
        for (job which = 0; which < JOBS; which++)
            times[which][i] = turn(s, which, seconds / (TURNS * JOBS));
        bench_meter_show(meter, done + i + 1);
    }
    for (job which = 0; which < JOBS; which++) {
        const double typical = bench_typical(times[which], TURNS);
        rates[which] = typical > 0 ? 1 / typical : 0;
    }
}

static sotto_status measure_layer(size_t number, double seconds, const bench_meter *meter,
                                  sotto_bench_gemm_rates *out, sotto_error *err)
{
    static const size_t layers[SOTTO_BENCH_GEMM_LINES][2] = {{128, 256}, {256, 256}, {1024, 1024}};
    struct scene scene = {.rows = 128, .inputs = layers[number][0], .outputs = layers[number][1]};
    sotto_status status = take_square(&scene, err);
    if (status == SOTTO_OK)
        status = take_layer(&scene, err);
    if (status == SOTTO_OK) {
        double rates[JOBS];
        measure(&scene, seconds, meter, number * TURNS, rates);
        out->lines[number] = (sotto_bench_gemm){.rows = scene.rows,
                                                .inputs = scene.inputs,
                                                .outputs = scene.outputs,
                                                .forward = rates[JOB_FORWARD],
                                                .backward = rates[JOB_BACKWARD],
                                                .gradient = rates[JOB_GRADIENT],
                                                .integer = rates[JOB_INTEGER],
                                                .blas_forward = rates[JOB_BLAS_FORWARD],
                                                .blas_backward = rates[JOB_BLAS_BACKWARD],
                                                .blas_gradient = rates[JOB_BLAS_GRADIENT]};
        out->blas_square =
            rates[JOB_BLAS_SQUARE] > out->blas_square ? rates[JOB_BLAS_SQUARE] : out->blas_square;
        out->peak = rates[JOB_PEAK] > out->peak ? rates[JOB_PEAK] : out->peak;
    }
    sotto_arena_destroy(scene.arena);
    return status;
}

sotto_status sotto_bench_gemms(double seconds, const sotto_bench_watch *watch, sotto_bench_gemm_rates *out,
                               sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    *out = (sotto_bench_gemm_rates){.kernels = sotto_tensor_kernels(false),
                                    .integer_kernels = sotto_tensor_kernels(true),
                                    .blas_core = sotto_tensor_blas_core(),
                                    .blas_core_forced = getenv("OPENBLAS_CORETYPE")};
    const bench_meter meter =
        bench_meter_start(watch, "timing products", (size_t)SOTTO_BENCH_GEMM_LINES * TURNS);
    for (size_t i = 0; i < SOTTO_BENCH_GEMM_LINES && status == SOTTO_OK; i++)
        status = measure_layer(i, seconds, &meter, out, err);
    return status;
}

double sotto_bench_gemm_rate(void)
{
    struct scene scene = {0};
    double times[TURNS];
    const sotto_status status = take_square(&scene, NULL);
    for (size_t i = 0; i < TURNS && status == SOTTO_OK; i++)
        times[i] = turn(&scene, JOB_BLAS_SQUARE, 0.01);
    const double rate = status == SOTTO_OK ? 1 / bench_typical(times, TURNS) : 0;
    sotto_arena_destroy(scene.arena);
    return rate;
}
