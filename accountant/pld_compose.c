/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_fft_halfcomplex.h>
#include <gsl/gsl_fft_real.h>

/*
 * The composition of releases with masses w_i(l), each taken T_i times, is wanted near one ε in the tail.
 * Tilted masses w_i(l)e^{λl}/M_i, M_i = Σ w_i e^{λl}, compose to tilted masses t(l), and
 *
 *     δ(ε) = Π M_i^{T_i} e^{−λε} Σ_{l>ε} (1 − e^{−(l−ε)}) e^{−λ(l−ε)} t(l)
 *
 * exactly, for any λ > 0. With λ such that the tilted mean is near ε, the sum is of ordinary size and what
 * FFTs do to its last digits is relative to δ however small that is.
 *
 * The t(l) come from Π F_i^{T_i}, F_i the transform of one release, over a window of losses: circular, so
 * what is outside comes back inside. How much that is Chernoff's bound says: the tilted mass above r is at
 * most e^{K(λ+θ) − K(λ) − θr} for each θ > 0, K = Σ T_i log M_i. (And what comes back from below weighs
 * little.)
 *
 * Rounding. Each output of an FFT is a sum of inputs over log₂ N levels, each of which errs by a few units of
 * roundoff (twiddle factors included) of what it adds: at most c = 16 u log₂ N times Σ|inputs|, and Σ|inputs|
 * of a transform forward is 1. A factor F^T is off by T c |F|^{T−1} from that, and 2T√5 u |F|^T from the
 * multiplications; `error_of` adds these up.
 */

static const double UNIT = 0.5 * DBL_EPSILON;

/* ---- exponential tilting ---- */

static double loss_of_first(const pld_atoms *atoms, double spacing)
{
    return atoms->origin + spacing * (double)atoms->first;
}

/* Exponentials are taken once in a block of this many atoms. */
enum { BLOCK = 64 };

/* About the log of the largest w e^{λl}, and not far below it: a scale to sum by. */
static double log_peak(const pld_atoms *atoms, double spacing, double tilt)
{
    double top = -INFINITY;
    for (size_t k = 0; k < atoms->length; k += BLOCK) {
        const size_t end = k + BLOCK < atoms->length ? k + BLOCK : atoms->length;
        double largest = 0.0;
        for (size_t j = k; j < end; j++)
            largest = atoms->weights[j] > largest ? atoms->weights[j] : largest;
        if (largest > 0.0)
            top = fmax(top, log(largest) + tilt * spacing * (double)(tilt < 0.0 ? k : end - 1));
    }
    return top + tilt * loss_of_first(atoms, spacing);
}

/* e^{start + rate·k} for k = 0, 1, … */
typedef struct geometric {
    double start, rate;
    double powers[BLOCK];
} geometric;

static void geometric_begin(geometric *g, double start, double rate)
{
    g->start = start;
    g->rate = rate;
    for (int j = 0; j < BLOCK; j++)
        g->powers[j] = exp(rate * j);
}

/* The factor of a block; finite, so that no mass of 0 becomes NaN. */
static double geometric_block(const geometric *g, size_t k)
{
    return fmin(exp(g->start + g->rate * (double)k), 1e300);
}

static pld_moments tilted_moments(const pld_atoms *atoms, double spacing, double tilt)
{
    const double scale = log_peak(atoms, spacing, tilt);
    if (scale == -INFINITY)
        return (pld_moments){.log_moment = -INFINITY};
    geometric g;
    geometric_begin(&g, tilt * loss_of_first(atoms, spacing) - scale, tilt * spacing);
    double sum = 0.0, first = 0.0, second = 0.0;
    for (size_t k = 0; k < atoms->length; k += BLOCK) {
        const double factor = geometric_block(&g, k);
        for (size_t j = 0; j < BLOCK && k + j < atoms->length; j++) {
            const double w = atoms->weights[k + j] * factor * g.powers[j], place = (double)(k + j);
            sum += w;
            first += w * place;
            second += w * place * place;
        }
    }
    if (!(sum > 0.0)) /* all too small beside the scale */
        return (pld_moments){.log_moment = -INFINITY};
    const double mean = first / sum;
    return (pld_moments){.log_moment = scale + log(sum),
                         .mean = loss_of_first(atoms, spacing) + spacing * mean,
                         .variance = spacing * spacing * fmax(second / sum - mean * mean, 0.0)};
}

/* Of the whole composition. */
pld_moments pld_total_moments(const pld_use *uses, size_t count, double spacing, int direction, int side,
                              double tilt)
{
    pld_moments total = {0};
    for (size_t i = 0; i < count; i++) {
        const pld_moments one = tilted_moments(&uses[i].release.atoms[direction][side], spacing, tilt);
        const double times = (double)uses[i].count;
        total.log_moment += times * one.log_moment;
        total.mean += times * one.mean;
        total.variance += times * one.variance;
    }
    return total;
}

/* ---- window ---- */

typedef struct window {
    int64_t first; /* its low end: above the origin, over h */
    size_t length;
} window;

/* The least length of the form 2^a 3^b 5^c that is at least `least`; GSL is quick for these. */
static size_t good_length(double least)
{
    size_t best = SIZE_MAX;
    for (size_t five = 1; five < 4 * PLD_MAX_CELLS; five *= 5)
        for (size_t three = five; three < 4 * PLD_MAX_CELLS; three *= 3) {
            size_t length = three;
            while ((double)length < least)
                length *= 2;
            if (length < best)
                best = length;
        }
    return best;
}

typedef struct problem {
    const pld_use *uses;
    size_t count;
    double spacing;
    int direction, side;
    const pld_aim *aim;
    pld_moments at;  /* of the composition at the tilt */
    double origin;   /* of its losses: they are this and multiples of the spacing */
    double log_leak; /* log of the tilted mass that may be outside the window on a side */
    bool chernoff;   /* is that so on the low side, too? */
} problem;

static double log_moment(const problem *p, double tilt)
{
    return pld_total_moments(p->uses, p->count, p->spacing, p->direction, p->side, tilt).log_moment;
}

/* Chernoff's bound at one θ: how far from the mean the tilted mass on one side is below e^log_leak. */
static double reach_at(const problem *p, double log_leak, int sign, double theta)
{
    const double risen = log_moment(p, p->aim->tilt + sign * theta) - p->at.log_moment;
    const double reach = (risen - log_leak) / theta - sign * p->at.mean;
    return reach >= 0.0 ? reach : INFINITY; /* rounding, or NaN */
}

/* The least of these, θ changing by factors of two for as long as that helps. A tilt so large that it would
 * overflow within a block of atoms makes moments too small. */
static double reach(const problem *p, double log_leak, int sign)
{
    double theta = fmin(sqrt(-2.0 * log_leak / fmax(p->at.variance, 1e-300)), 8.0 / p->spacing);
    double best = reach_at(p, log_leak, sign, theta);
    for (int i = 0; i < 60; i++) {
        theta *= 0.5;
        const double next = reach_at(p, log_leak, sign, theta);
        if (next > best)
            break;
        best = next;
    }
    return best;
}

/*
 * The low end. What lies below it comes back n window lengths W higher, where it adds to δ at most e^{−λnW}
 * of the mass it has untilted, in all e^{−λW}/(1 − e^{−λW}): the window may begin right below the answer if
 * it is as long as that needs. Or else the tilted mass below it is to be small.
 */
static double choose_low(problem *p, double high, double log_leak)
{
    const double tilt = p->aim->tilt, log_alias = p->aim->log_delta + log(p->aim->share);
    const double near = fmin(p->at.mean, p->aim->epsilon) - 1.5 * sqrt(p->at.variance) - 4.0 * p->spacing;
    const double long_enough = high - (1.0 - log_alias) / tilt;
    double low = fmin(near, long_enough);
    p->chernoff = long_enough < near;
    if (p->chernoff) {
        const double bounded = p->at.mean - reach(p, log_leak, -1);
        p->chernoff = bounded > low;
        low = fmax(low, fmin(bounded, near));
    }
    return low;
}

static sotto_status choose_window(problem *p, size_t ready, window *out, sotto_error *err)
{
    /* No farther than losses go at all. */
    double lowest = 0.0, highest = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        const pld_atoms *atoms = &p->uses[i].release.atoms[p->direction][p->side];
        const double times = (double)p->uses[i].count;
        lowest += times * (double)atoms->first;
        highest += times * (double)(atoms->first + (int64_t)atoms->length - 1);
    }
    /* the end before the low end: how long the window must be is counted from there */
    const double high_loss = fmin(p->at.mean + reach(p, p->log_leak, 1), p->origin + p->spacing * highest);
    const double low_loss = choose_low(p, high_loss, p->log_leak);
    const double low = fmax(floor((low_loss - p->origin) / p->spacing), lowest);
    const double high = fmin(ceil((high_loss - p->origin) / p->spacing), highest);
    const double least = fmax(high - low + 2.0, 16.0);
    if (!(least <= 2.0 * (double)PLD_MAX_CELLS && fabs(low) < 0x1p60))
        return sotto_error_set(err, SOTTO_ERROR_NUMERIC,
                               "a composition of %zu mechanisms needs a window of %g privacy losses",
                               p->count, least);
    /* tables for a length that is about right are worth more than the best length */
    out->length = least <= (double)ready && (double)ready < 1.7 * least ? ready : good_length(least);
    out->first = (int64_t)low;
    return SOTTO_OK;
}

/* ---- transforms ---- */

void pld_workspace_free(pld_workspace *workspace)
{
    free(workspace->sum);
    if (workspace->forward)
        gsl_fft_real_wavetable_free(workspace->forward);
    if (workspace->backward)
        gsl_fft_halfcomplex_wavetable_free(workspace->backward);
    if (workspace->scratch)
        gsl_fft_real_workspace_free(workspace->scratch);
    *workspace = (pld_workspace){0};
}

static sotto_status prepare(pld_workspace *workspace, size_t length, sotto_error *err)
{
    if (workspace->length == length)
        return SOTTO_OK;
    pld_workspace_free(workspace);
    accountant_quiet_gsl();
    workspace->sum = malloc(2 * length * sizeof *workspace->sum);
    workspace->forward = gsl_fft_real_wavetable_alloc(length);
    workspace->backward = gsl_fft_halfcomplex_wavetable_alloc(length);
    workspace->scratch = gsl_fft_real_workspace_alloc(length);
    if (!workspace->sum || !workspace->forward || !workspace->backward || !workspace->scratch) {
        pld_workspace_free(workspace);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a transform of %zu privacy losses",
                               length);
    }
    workspace->length = length;
    workspace->factor = workspace->sum + length;
    return SOTTO_OK;
}

/* Some complex numbers, real and imaginary parts apart. */
enum { NUMBERS = 128 };
typedef struct numbers {
    double re[NUMBERS], im[NUMBERS];
} numbers;

static void multiply(numbers *y, const numbers *x)
{
    for (size_t j = 0; j < NUMBERS; j++) {
        const double re = y->re[j] * x->re[j] - y->im[j] * x->im[j];
        y->im[j] = y->re[j] * x->im[j] + y->im[j] * x->re[j];
        y->re[j] = re;
    }
}

/* Squares; those of what is below 1e-50 become 0: denormal numbers would cost dearly. False where all are 0.
 */
static bool square(numbers *x)
{
    double largest = 0.0;
    for (size_t j = 0; j < NUMBERS; j++) {
        const double a = x->re[j], b = x->im[j], modulus = a * a + b * b;
        const double keep = modulus > 1e-100 ? 1.0 : 0.0;
        x->re[j] = keep * (a * a - b * b);
        x->im[j] = keep * 2.0 * a * b;
        largest = modulus * keep > largest ? modulus * keep : largest;
    }
    return largest > 0.0;
}

/* y ← y·x^count by squaring. High frequencies of a tilted release soon vanish. */
static void multiply_power(numbers *y, numbers *x, uint64_t count)
{
    for (; count; count >>= 1) {
        if (count & 1)
            multiply(y, x);
        if (count > 1 && !square(x)) {
            *y = (numbers){0};
            return;
        }
    }
}

/*
 * y ← y·x^count, frequency by frequency, of halfcomplex arrays: the real part of frequency 0, then real and
 * imaginary part of each frequency, then, where the length is even, the real part of the last one.
 */
static void multiply_spectrum(double *y, const double *x, size_t length, uint64_t count)
{
    const size_t pairs = (length - 1) / 2;
    for (size_t from = 0; from < pairs; from += NUMBERS) {
        const size_t some = pairs - from < NUMBERS ? pairs - from : NUMBERS;
        numbers to = {0}, factor = {0};
        for (size_t j = 0; j < some; j++) {
            const size_t at = 2 * (from + j) + 1;
            to.re[j] = y[at], to.im[j] = y[at + 1];
            factor.re[j] = x[at], factor.im[j] = x[at + 1];
        }
        multiply_power(&to, &factor, count);
        for (size_t j = 0; j < some; j++)
            y[2 * (from + j) + 1] = to.re[j], y[2 * (from + j) + 2] = to.im[j];
    }
    numbers to = {.re = {y[0], y[length - 1]}}, factor = {.re = {x[0], x[length - 1]}};
    multiply_power(&to, &factor, count);
    y[0] = to.re[0];
    if (length % 2 == 0)
        y[length - 1] = to.re[1];
}

/* (1/N) Σ|F| over all frequencies of a halfcomplex array. */
static double mean_modulus(const double *x, size_t length)
{
    double sum = fabs(x[0]);
    for (size_t j = 0; j < (length - 1) / 2; j++)
        sum += 2.0 * sqrt(x[2 * j + 1] * x[2 * j + 1] + x[2 * j + 2] * x[2 * j + 2]);
    if (length % 2 == 0)
        sum += fabs(x[length - 1]);
    return sum / (double)length;
}

/* One release's tilted masses, folded onto the window's length. */
static void fold(const pld_atoms *atoms, double spacing, double tilt, double log_sum, double *out,
                 size_t length)
{
    for (size_t k = 0; k < length; k++)
        out[k] = 0.0;
    geometric g;
    geometric_begin(&g, tilt * loss_of_first(atoms, spacing) - log_sum, tilt * spacing);
    for (size_t k = 0, at = 0; k < atoms->length; k += BLOCK) {
        const double factor = geometric_block(&g, k);
        for (size_t j = 0; j < BLOCK && k + j < atoms->length; j++) {
            out[at] += atoms->weights[k + j] * factor * g.powers[j];
            if (++at == length)
                at = 0;
        }
    }
}

/* The bound of the head of this file on the error of each composed mass. */
static double error_of(const problem *p, size_t length, double modulus)
{
    const double c = 16.0 * UNIT * log2((double)length);
    double uses = 0.0, small = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        const double times = (double)p->uses[i].count;
        uses += times;
        /* where |F| < 1/2 the error is not relative to it: T c |F|^{T−1} ≤ T c 2^{1−T} */
        small += c * times * exp2(1.0 - times);
    }
    const double relative = uses * (c + 3.0 * UNIT);
    return (expm1(relative) + c) * modulus + small;
}

static sotto_status transform(const problem *p, pld_workspace *ws, size_t length, double *error,
                              sotto_error *err)
{
    sotto_status status = prepare(ws, length, err);
    if (status != SOTTO_OK)
        return status;
    /* the transform of a unit mass at 0 */
    for (size_t j = 0; j < length; j++)
        ws->sum[j] = j == 0 || j % 2 ? 1.0 : 0.0;
    for (size_t i = 0; i < p->count; i++) {
        const pld_atoms *atoms = &p->uses[i].release.atoms[p->direction][p->side];
        const double log_sum = tilted_moments(atoms, p->spacing, p->aim->tilt).log_moment;
        fold(atoms, p->spacing, p->aim->tilt, log_sum, ws->factor, length);
        gsl_fft_real_transform(ws->factor, 1, length, ws->forward, ws->scratch);
        multiply_spectrum(ws->sum, ws->factor, length, p->uses[i].count);
    }
    *error = error_of(p, length, mean_modulus(ws->sum, length));
    gsl_fft_halfcomplex_inverse(ws->sum, 1, length, ws->backward, ws->scratch);
    return SOTTO_OK;
}

/* a modulo length, in [0, length) */
static int64_t modulo(int64_t a, int64_t length)
{
    return (a % length + length) % length;
}

/* Where in the circular result the window's low end is. */
static size_t rotation(const problem *p, const window *w)
{
    const int64_t length = (int64_t)w->length; /* below 2^22, so that products of remainders fit */
    int64_t at = modulo(w->first, length);
    for (size_t i = 0; i < p->count; i++) {
        const int64_t times = (int64_t)(p->uses[i].count % w->length);
        at -= times * modulo(p->uses[i].release.atoms[p->direction][p->side].first, length) % length;
    }
    return (size_t)modulo(at, length);
}

/* What rounding of the exponents of e^{λl} does to a mass. */
static double exponent_error(const problem *p, size_t use)
{
    const pld_atoms *atoms = &p->uses[use].release.atoms[p->direction][p->side];
    const double low = loss_of_first(atoms, p->spacing), high = low + p->spacing * (double)atoms->length;
    const double farthest = fmax(fabs(low), fabs(high));
    return 4.0 * UNIT * (4.0 + p->aim->tilt * farthest);
}

static void describe(problem *p)
{
    const pld_aim *aim = p->aim;
    for (size_t i = 0; i < p->count; i++)
        p->origin += (double)p->uses[i].count * p->uses[i].release.atoms[p->direction][p->side].origin;
    p->at = pld_total_moments(p->uses, p->count, p->spacing, p->direction, p->side, aim->tilt);
    /* A tilted mass adds at most e^{K − λε}/(1 + λ) of it to δ. */
    const double log_factor = p->at.log_moment - aim->tilt * aim->epsilon - log1p(aim->tilt);
    p->log_leak = fmin(aim->log_delta - log_factor, 0.0) + log(aim->share);
}

static void copy_curve(const problem *p, const window *w, const double *circular, double error,
                       pld_curve *curve)
{
    size_t from = rotation(p, w);
    for (size_t k = 0; k < w->length; k++) {
        curve->mass[k] = circular[from] > 0.0 ? circular[from] : 0.0;
        if (++from == w->length)
            from = 0;
    }
    const double tilt = p->aim->tilt, leak = fmax(exp(p->log_leak), DBL_MIN);
    const double alias = exp(-tilt * p->spacing * (double)w->length);
    curve->spacing = p->spacing;
    curve->tilt = tilt;
    curve->log_scale = p->at.log_moment;
    curve->low = p->origin + p->spacing * (double)w->first;
    curve->length = w->length;
    curve->error = error;
    curve->missing = leak;
    curve->wrapped = p->chernoff ? 2.0 * leak : leak;
    curve->aliased = p->chernoff ? 0.0 : fmax(alias / (1.0 - alias), DBL_MIN);
    for (size_t i = 0; i < p->count; i++) {
        const double times = (double)p->uses[i].count;
        curve->infinite += times * p->uses[i].release.atoms[p->direction][p->side].infinite;
        curve->slack += times * (p->uses[i].release.slack + exponent_error(p, i));
    }
}

sotto_status pld_compose(const pld_use *uses, size_t count, double spacing, int direction, int side,
                         const pld_aim *aim, pld_workspace *workspace, pld_curve *curve, sotto_error *err)
{
    problem p = {
        .uses = uses, .count = count, .spacing = spacing, .direction = direction, .side = side, .aim = aim};
    describe(&p);
    if (!isfinite(p.at.log_moment))
        return sotto_error_set(err, SOTTO_ERROR_NUMERIC,
                               "a composition of %zu mechanisms has no losses on a grid", count);
    window w = {0};
    double error;
    sotto_status status = choose_window(&p, workspace->length, &w, err);
    if (status == SOTTO_OK)
        status = transform(&p, workspace, w.length, &error, err);
    if (status != SOTTO_OK)
        return status;
    pld_curve made = {.mass = malloc(w.length * sizeof *made.mass)};
    if (!made.mass)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu privacy losses", w.length);
    copy_curve(&p, &w, workspace->sum, error, &made);
    *curve = made;
    return SOTTO_OK;
}
