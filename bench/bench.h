/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_H
#define SOTTO_BENCH_H

/**
 * bench: what things cost, as ratios measured in one run on one machine. Like `openssl speed`: prints a
 * table.
 */

#include <stdbool.h>

#include "sotto/run.h"

/** Who is told how far a benchmark is. */
typedef struct sotto_bench_watch {
    void (*show)(void *context, const sotto_progress *progress);
    void *context;
} sotto_bench_watch;

/** What `sotto bench step` trains, with Adam on made-up rows. */
typedef enum sotto_bench_case {
    SOTTO_BENCH_DENSE, /**< 128-256-256-1 */
    SOTTO_BENCH_WIDE,  /**< 512-1024-1024-1 */
    SOTTO_BENCH_CONV, /**< images of 28 × 28, two convolutions (32 and 64 channels, 4 × 4, stride 2), dense 1
                       */
    SOTTO_BENCH_GAN,  /**< the first one on as many rows as fakes, then a step of their maker, 128-256-256-128
                       */
    SOTTO_BENCH_CASES
} sotto_bench_case;

/** A case's name on the command line and in records: "dense". */
const char *sotto_bench_case_name(sotto_bench_case which);

/** How a step is taken. */
typedef enum sotto_bench_mode {
    SOTTO_BENCH_PLAIN, /**< without privacy */
    SOTTO_BENCH_FLOAT, /**< the private step with sums in floats */
    SOTTO_BENCH_EXACT, /**< and in exact integers */
    SOTTO_BENCH_MODES
} sotto_bench_mode;

/** A mode's name in records: "plain". */
const char *sotto_bench_mode_name(sotto_bench_mode mode);

/** What `sotto bench step` is asked. */
typedef struct sotto_bench_options {
    sotto_bench_case which;
    size_t batch;     /**< rows; 0: 64, 256, 1024 and 4096 of the dense case, 256 of the others */
    unsigned threads; /**< ≥ 1 */
    bool scaling;     /**< time one thread as well, in turns with `threads` */
    double seconds;   /**< of timing for each line, > 0 */
    const sotto_bench_watch *watch; /**< or NULL */
} sotto_bench_options;

/** One line: one batch size. Seconds are those of one step. */
typedef struct sotto_bench_step {
    size_t batch;
    double operations; /**< floating-point operations in the matrix products of a step without privacy */
    double rate;       /**< of them in a second by OpenBLAS on one thread, squares of its best size */
    double floor;      /**< what those operations take at that rate on all threads */
    double seconds[SOTTO_BENCH_MODES];
    double seconds_alone[SOTTO_BENCH_MODES]; /**< on one thread; 0 unless `scaling` */
    double machine_speedup; /**< `scaling`: what all threads are faster by on registers alone, in pieces as
                               many as a step's chunks; 0 where unknown */
} sotto_bench_step;

enum { SOTTO_BENCH_STEP_LINES = 4 };

typedef struct sotto_bench_steps_figures {
    size_t count;
    sotto_bench_step lines[SOTTO_BENCH_STEP_LINES];
} sotto_bench_steps_figures;

/** The private step and the plain one, in turns. SOTTO_ERROR_MEMORY; SOTTO_ERROR_NUMERIC where this machine
 * fails the exact step's own check. */
sotto_status sotto_bench_steps(const sotto_bench_options *options, sotto_bench_steps_figures *out,
                               sotto_error *err);

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
 * \param watch   or NULL
 */
sotto_status sotto_bench_accountants(double seconds, const sotto_bench_watch *watch,
                                     sotto_bench_accountant *out, sotto_error *err);

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
 * \param watch            or NULL
 * \param[out] nanoseconds for one draw, eight bytes or coin of each kind
 */
sotto_status sotto_bench_noises(double seconds, const sotto_bench_watch *watch,
                                double nanoseconds[SOTTO_BENCH_NOISE_KINDS], sotto_error *err);

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
    double blas_square;  /**< OpenBLAS at squares of its best size: what the machine is said to reach */
    double peak;         /**< fused multiply-adds on registers alone; 0 where unknown */
    const char *kernels; /**< the instructions of our products of floats; static text */
    const char *integer_kernels;  /**< and of integers */
    const char *blas_core;        /**< the kernels that OpenBLAS has chosen */
    const char *blas_core_forced; /**< what OPENBLAS_CORETYPE says, or NULL; the environment's own text */
} sotto_bench_gemm_rates;

/**
 * Matrix products on one thread, all in turns, so that a noisy machine disturbs them alike: a dense layer of
 * 128 × 256, of 256 × 256 and of 1024 × 1024 on 128 rows.
 * \param seconds of timing for each layer, > 0
 * \param watch   or NULL
 */
sotto_status sotto_bench_gemms(double seconds, const sotto_bench_watch *watch, sotto_bench_gemm_rates *out,
                               sotto_error *err);

/** OpenBLAS's rate at squares of its best size alone, 0 where memory is short: for a process with another
 * environment. */
double sotto_bench_gemm_rate(void);

/** A ledger of many charges. Seconds. */
typedef struct sotto_bench_ledger {
    uint64_t runs, charges;
    double bytes;        /**< of its file */
    double open;         /**< all entries verified; of several the median */
    double verify;       /**< the same, and SQLite's own check of the file */
    double begin;        /**< a run, its plan composed with all others against a cap */
    uint64_t reserves;   /**< blocks that were reserved for timing */
    double reserve;      /**< one, its commit to the disk included: on average, */
    double reserve_most; /**< and the longest */
} sotto_bench_ledger;

/**
 * A ledger of runs, each with a mechanism of its own and 1,000 charges, and one data set with a cap.
 * \param folder  where it is made, and removed afterwards: on the disk that is meant
 * \param runs    1 to 1000
 * \param seconds of reserving blocks, > 0
 * \param watch   or NULL
 */
sotto_status sotto_bench_ledgers(const char *folder, size_t runs, double seconds,
                                 const sotto_bench_watch *watch, sotto_bench_ledger *out, sotto_error *err);

#endif
