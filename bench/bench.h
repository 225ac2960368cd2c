/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_H
#define SOTTO_BENCH_H

/**
 * bench: what things cost, as ratios measured in one run on one machine. Like `openssl speed`: prints a
 * table.
 */

#include <stdbool.h>

#include "sotto/status.h"

/** What `sotto bench step` is asked. */
typedef struct sotto_bench_options {
    unsigned threads; /**< ≥ 1 */
    double seconds;   /**< of timing for each line, > 0 */
} sotto_bench_options;

/** One line: a private step against the same network's step without privacy. */
typedef struct sotto_bench_step {
    size_t batch;
    double private_steps_per_second;
    double plain_steps_per_second;
    double ratio; /**< time of the private step over time of the plain one */
} sotto_bench_step;

enum { SOTTO_BENCH_STEP_LINES = 4 };

/** The discriminator 128-256-256-1 with Adam at batches of 64, 256, 1024 and 4096 made-up rows. */
sotto_status sotto_bench_steps(const sotto_bench_options *options,
                               sotto_bench_step lines[SOTTO_BENCH_STEP_LINES], sotto_error *err);

/** What `sotto bench accountant` times. */
typedef enum sotto_bench_question {
    SOTTO_BENCH_EPSILON_RDP,      /**< ε of T steps at δ, by Rényi divergences */
    SOTTO_BENCH_EPSILON_PLD,      /**< the same by privacy-loss distributions, at the default gap */
    SOTTO_BENCH_EPSILON_PLD_FINE, /**< and at a gap of 1e-4 */
    SOTTO_BENCH_NOISE_RDP,        /**< σ that keeps (3, δ) over T steps */
    SOTTO_BENCH_NOISE_PLD,
    SOTTO_BENCH_BUDGET, /**< may I, and charge: what training asks before each step */
    SOTTO_BENCH_QUESTIONS
} sotto_bench_question;

/** One question's time and answer. */
typedef struct sotto_bench_line {
    double seconds; /**< for one answer */
    double answer;  /**< ε or σ; of the budget 0 */
} sotto_bench_line;

typedef struct sotto_bench_accountant {
    sotto_bench_line lines[SOTTO_BENCH_QUESTIONS];
    double peak_bytes; /**< of a process that asks for ε by privacy-loss distributions at T = 10^6 */
} sotto_bench_accountant;

/** A question's stable name, for records: "epsilon_rdp". */
const char *sotto_bench_question_name(sotto_bench_question question);

/**
 * The accountant at q = 0.01, σ = 1, T = 10^4, δ = 1e-5. The questions take turns, so that a noisy machine
 * disturbs all of them.
 * \param seconds of timing for each question, > 0; each is asked nine times at least
 */
sotto_status sotto_bench_accountants(double seconds, sotto_bench_accountant *out, sotto_error *err);

/**
 * The same questions, asked of Google's dp_accounting by python3 in a process of its own.
 * \param[out] json  {"version": text, "lines": {name: {"seconds": …, "answer": …}}}; caller frees. NULL where
 *                   python3 or dp_accounting is not installed, which is no failure
 */
sotto_status sotto_bench_peers(double seconds, char **json, sotto_error *err);

/** What `sotto_bench_noises` times. */
typedef enum sotto_bench_noise_kind {
    SOTTO_BENCH_NOISE_EXACT,     /**< one coordinate of discrete Gaussian noise, its cipher included */
    SOTTO_BENCH_NOISE_FLOAT,     /**< one of floating-point noise: the same, scaled */
    SOTTO_BENCH_NOISE_REFERENCE, /**< one by exact rational arithmetic, which the tests trust */
    SOTTO_BENCH_NOISE_CIPHER,    /**< 8 bytes of a random stream alone */
    SOTTO_BENCH_NOISE_COINS,     /**< one unit's coin of Poisson sampling */
    SOTTO_BENCH_NOISE_KINDS
} sotto_bench_noise_kind;

/** A kind's stable name, for records: "noise_exact". */
const char *sotto_bench_noise_name(sotto_bench_noise_kind kind);

/**
 * Noise on one thread.
 * \param seconds          of timing for each kind, > 0; each has sixty turns at least
 * \param[out] nanoseconds for one draw, eight bytes or coin of each kind
 */
sotto_status sotto_bench_noises(double seconds, double nanoseconds[SOTTO_BENCH_NOISE_KINDS],
                                sotto_error *err);

/** One dense layer's products, in 10⁹ floating-point operations per second (of integers, multiply-adds × 2).
 */
typedef struct sotto_bench_gemm {
    size_t rows, inputs, outputs;
    double forward, backward, gradient; /**< in the one fixed order that training uses */
    double integer;                     /**< the gradient, exactly, from 16-bit integers */
    double blas_forward, blas_backward, blas_gradient;
} sotto_bench_gemm;

enum { SOTTO_BENCH_GEMM_LINES = 3 };

typedef struct sotto_bench_gemm_rates {
    sotto_bench_gemm lines[SOTTO_BENCH_GEMM_LINES];
    double blas_square;           /**< OpenBLAS at 1024 × 1024 × 1024: what the machine is said to reach */
    double peak;                  /**< fused multiply-adds on registers alone; 0 where unknown */
    const char *kernels;          /**< the instructions of our products of floats; static text */
    const char *integer_kernels;  /**< and of integers */
    const char *blas_core;        /**< the kernels that OpenBLAS has chosen */
    const char *blas_core_forced; /**< what OPENBLAS_CORETYPE says, or NULL; the environment's own text */
} sotto_bench_gemm_rates;

/**
 * Matrix products on one thread, all in turns, so that a noisy machine disturbs them alike: a dense layer of
 * 128 × 256, of 256 × 256 and of 1024 × 1024 on 128 rows.
 * \param seconds of timing for each layer, > 0
 */
sotto_status sotto_bench_gemms(double seconds, sotto_bench_gemm_rates *out, sotto_error *err);

/** OpenBLAS's rate at 1024 × 1024 × 1024 alone, 0 where memory is short: for a process with another
 * environment. */
double sotto_bench_gemm_rate(void);

#endif
