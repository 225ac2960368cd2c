/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The laws of the Gaussian samplers, by statistics on fixed streams. Each test would raise a false alarm for
 * at most one stream in 10⁶: χ² of k degrees of freedom is held below its quantile by Wilson and Hilferty's
 * normal approximation at 5 standard deviations (3·10⁻⁷), sums at 6 (2·10⁻⁹ each).
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/noise.h"
#include "suite.h"

enum { PIECE = 4000 };

static sotto_stream *test_stream(uint64_t seed)
{
    sotto_random *random;
    sotto_stream *stream;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    sotto_random_destroy(random);
    return stream;
}

static double chi_square_limit(double freedom)
{
    const double part = 2 / (9 * freedom);
    return freedom * pow(1 - part + 5 * sqrt(part), 3);
}

/* P(|x| > bound·σ) of the normal distribution. */
static double outside(double bound)
{
    return erfc(bound / sqrt(2));
}

/* ---- the fast sampler ---- */

/* |x| in bins that halve the steps between the layers, so that what the coins of one layer do is seen; the
 * bell's steps of 2⁻²⁷ are far below what the draws can show. Bins of fewer than 10 expected draws are one.
 */
START_TEST(fast_draws_fill_the_layers_as_they_should)
{
    enum { BINS = 2 * SOTTO_LAYERS, PIECES = 5000 };
    static uint32_t edges[BINS];
    static uint32_t seen[BINS + 1];
    static int32_t draws[PIECE];
    sotto_stream *stream = test_stream(81);
    for (size_t i = 0; i < SOTTO_LAYERS; i++) { /* rising: bin b is [edges[b], edges[b + 1]) */
        const uint64_t layer = sotto_layers[SOTTO_LAYERS - 1 - i];
        edges[2 * i] = (uint32_t)(layer >> 32);
        edges[2 * i + 1] = (uint32_t)(((layer >> 32) + (uint32_t)layer) / 2);
    }
    for (size_t piece = 0; piece < PIECES; piece++) {
        sotto_stream_discrete_gaussian(stream, draws, PIECE);
        for (size_t i = 0; i < PIECE; i++) {
            const uint32_t x = (uint32_t)abs(draws[i]);
            size_t low = 0;
            for (size_t step = BINS / 2; step > 0; step /= 2)
                low += edges[low + step] <= x ? step : 0;
            seen[low]++;
        }
    }
    double sum = 0;
    double rest_seen = 0;
    double rest_wanted = 0;
    int freedom = 0;
    for (size_t b = 0; b < BINS; b++) {
        const double last = b + 1 < BINS ? outside((edges[b + 1] - 0.5) / SOTTO_NOISE_STD) : 0;
        const double first = b > 0 ? outside((edges[b] - 0.5) / SOTTO_NOISE_STD) : 1;
        const double wanted = (double)PIECE * PIECES * (first - last);
        if (wanted >= 10) {
            sum += (seen[b] - wanted) * (seen[b] - wanted) / wanted;
            freedom++;
        } else {
            rest_seen += seen[b];
            rest_wanted += wanted;
        }
    }
    ck_assert_double_le(sum, chi_square_limit(freedom - 1));
    ck_assert_double_le(rest_seen, rest_wanted + 6 * sqrt(rest_wanted) + 12);
    sotto_stream_destroy(stream);
}
END_TEST

/* Moments to the sixth, the signs, the last bits, the tails and the correlations of near draws, each within 6
 * of its standard deviations; the last byte by χ². */
START_TEST(fast_draws_have_the_moments_of_a_gaussian)
{
    enum { PIECES = 2500, LAGS = 9 };
    static const double even[7] = {1, 1, 3, 15, 105, 945, 10395}; /* E z^(2k) */
    static int32_t draws[PIECE];
    const double count = (double)PIECE * PIECES;
    double moments[7] = {0};
    double lags[LAGS] = {0};
    double square_lags[LAGS] = {0};
    double bytes[256] = {0};
    double beyond[5] = {0};
    double negative = 0;
    sotto_stream *stream = test_stream(82);
    for (size_t piece = 0; piece < PIECES; piece++) {
        sotto_stream_discrete_gaussian(stream, draws, PIECE);
        for (size_t i = 0; i < PIECE; i++) {
            const double z = draws[i] * 0x1p-27;
            double power = 1;
            for (size_t k = 1; k <= 6; k++)
                moments[k] += power *= z;
            for (size_t lag = 1; lag < LAGS && lag <= i; lag++) {
                const double other = draws[i - lag] * 0x1p-27;
                lags[lag] += z * other;
                square_lags[lag] += (z * z - 1) * (other * other - 1) / 2;
            }
            bytes[(uint32_t)draws[i] & 255]++;
            for (size_t k = 1; k < 5; k++)
                beyond[k] += fabs(z) > (double)k;
            negative += z < 0;
        }
    }
    for (size_t k = 1; k <= 6; k++) {
        const double mean = k % 2 ? 0 : even[k / 2];
        ck_assert_double_le(fabs(moments[k] / count - mean), 6 * sqrt((even[k] - mean * mean) / count));
    }
    for (size_t lag = 1; lag < LAGS; lag++) {
        ck_assert_double_le(fabs(lags[lag]), 6 * sqrt(count));
        ck_assert_double_le(fabs(square_lags[lag]), 6 * sqrt(count));
    }
    for (size_t k = 1; k < 5; k++) {
        const double p = outside((double)k);
        ck_assert_double_le(fabs(beyond[k] - count * p), 6 * sqrt(count * p * (1 - p)));
    }
    ck_assert_double_le(fabs(negative - count / 2), 3 * sqrt(count));
    double sum = 0;
    for (size_t b = 0; b < 256; b++)
        sum += (bytes[b] - count / 256) * (bytes[b] - count / 256) / (count / 256);
    ck_assert_double_le(sum, chi_square_limit(255));
    sotto_stream_destroy(stream);
}
END_TEST

/* The stream and the count alone say what comes out: a piece at a time is what the words' order is defined
 * by. */
START_TEST(draws_are_those_of_the_plain_sampler)
{
    enum { COUNT = 5001 };
    static int32_t whole[COUNT];
    static int32_t again[COUNT];
    static float floats[COUNT];
    for (uint64_t seed = 83; seed < 90; seed++) {
        sotto_stream *a = test_stream(seed);
        sotto_stream *b = test_stream(seed);
        sotto_stream *c = test_stream(seed);
        sotto_stream_discrete_gaussian(a, whole, COUNT);
        for (size_t at = 0; at < COUNT; at += SOTTO_NOISE_BLOCK)
            sotto_stream_discrete_gaussian(b, again + at,
                                           COUNT - at < SOTTO_NOISE_BLOCK ? COUNT - at : SOTTO_NOISE_BLOCK);
        ck_assert_mem_eq(whole, again, sizeof whole);
        sotto_stream_gaussian(c, 1.7, floats, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            ck_assert(floats[i] == (float)(whole[i] * (1.7 / 0x1p27)));
        sotto_stream_discrete_gaussian(a, whole, 0);
        ck_assert_uint_eq(sotto_stream_u64(a), sotto_stream_u64(b));
        sotto_stream_destroy(a);
        sotto_stream_destroy(b);
        sotto_stream_destroy(c);
    }
}
END_TEST

/* ---- the reference ---- */

/* χ² against the exact masses at small variances, the tails in one bin each. */
START_TEST(reference_has_the_exact_masses)
{
    static const uint64_t variances[] = {1, 2, 4, 7, 100};
    enum { DRAWS = 200000, REACH = 60 };
    sotto_stream *stream = test_stream(91);
    for (size_t k = 0; k < 5; k++) {
        const double variance = (double)variances[k];
        double seen[2 * REACH + 1] = {0};
        double mass = 0;
        double sum = 0;
        int freedom = 0;
        double rest_seen = DRAWS;
        double rest_wanted = DRAWS;
        for (int x = -200; x <= 200; x++)
            mass += exp(-x * x / (2 * variance));
        for (int i = 0; i < DRAWS; i++) {
            const int64_t x = sotto_stream_discrete_gaussian_reference(stream, variances[k]);
            if (x >= -REACH && x <= REACH)
                seen[x + REACH]++;
        }
        for (int x = -REACH; x <= REACH; x++) {
            const double wanted = DRAWS * exp(-x * x / (2 * variance)) / mass;
            if (wanted < 10)
                continue;
            sum += pow(seen[x + REACH] - wanted, 2) / wanted;
            rest_seen -= seen[x + REACH];
            rest_wanted -= wanted;
            freedom++;
        }
        ck_assert_double_le(sum, chi_square_limit(freedom - 1));
        ck_assert_double_le(rest_seen, rest_wanted + 6 * sqrt(rest_wanted) + 12);
    }
    sotto_stream_destroy(stream);
}
END_TEST

/* Two samples at σ = 2²⁷: in 128 bins alike by χ², and the same variance and fourth moment. */
START_TEST(fast_and_reference_agree)
{
    enum { BINS = 128, DRAWS = 400000 };
    static int32_t draws[DRAWS];
    static double seen[2][BINS];
    double moments[2][2] = {{0}};
    sotto_stream *stream = test_stream(92);
    sotto_stream_discrete_gaussian(stream, draws, DRAWS);
    for (size_t i = 0; i < DRAWS; i++) {
        const int64_t slow = sotto_stream_discrete_gaussian_reference(stream, UINT64_C(1) << 54);
        const double z[2] = {draws[i] * 0x1p-27, (double)slow * 0x1p-27};
        for (size_t k = 0; k < 2; k++) {
            const double cdf = 0.5 * erfc(-z[k] / sqrt(2));
            seen[k][cdf < 1 ? (size_t)(cdf * BINS) : BINS - 1]++;
            moments[k][0] += z[k] * z[k] / DRAWS;
            moments[k][1] += pow(z[k], 4) / DRAWS;
        }
    }
    double sum = 0;
    for (size_t b = 0; b < BINS; b++)
        sum += pow(seen[0][b] - seen[1][b], 2) / (seen[0][b] + seen[1][b]);
    ck_assert_double_le(sum, chi_square_limit(BINS - 1));
    ck_assert_double_le(fabs(moments[0][0] - moments[1][0]), 6 * sqrt(2 * 2.0 / DRAWS));
    ck_assert_double_le(fabs(moments[0][1] - moments[1][1]), 6 * sqrt(2 * 96.0 / DRAWS));
    sotto_stream_destroy(stream);
}
END_TEST

/* ---- coins ---- */

/* Binomial(10⁶, p) within 6 standard deviations, at every p also where the upper 16 bits alone would say 0.
 */
START_TEST(many_coins_are_fair)
{
    enum { COINS = 1000000 };
    static const double probabilities[] = {0, 1e-6, 1e-3, 0.01, 0.25, 0.5, 0.9, 1 - 1e-5, 1, 2};
    static uint8_t heads[COINS];
    sotto_stream *stream = test_stream(93);
    for (size_t k = 0; k < sizeof probabilities / sizeof *probabilities; k++) {
        const double p = fmin(probabilities[k], 1);
        double sum = 0;
        sotto_stream_coins(stream, probabilities[k], heads, COINS);
        for (size_t i = 0; i < COINS; i++)
            sum += heads[i];
        ck_assert_double_le(fabs(sum - COINS * p), 6 * sqrt(COINS * p * (1 - p)) + (p == 1e-6 ? 6 : 0));
    }
    sotto_stream_coins(stream, NAN, heads, COINS);
    ck_assert_ptr_null(memchr(heads, 1, COINS));
    sotto_stream_destroy(stream);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base-gaussian");
    TCase *tests = tcase_create("base-gaussian");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, fast_draws_fill_the_layers_as_they_should);
    tcase_add_test(tests, fast_draws_have_the_moments_of_a_gaussian);
    tcase_add_test(tests, draws_are_those_of_the_plain_sampler);
    tcase_add_test(tests, reference_has_the_exact_masses);
    tcase_add_test(tests, fast_and_reference_agree);
    tcase_add_test(tests, many_coins_are_fair);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
