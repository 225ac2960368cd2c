/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The discrete Gaussian on Z with σ = 2²⁷, by a discrete ziggurat (Marsaglia and Tsang 2000; Buchmann,
 * Cabarcas, Göpfert, Hülsing and Weiden 2013): choose one of 512 layers of equal area, an integer of that
 * layer and a height in it, and keep the integer where the height is below the bell ρ(x) = exp(−x²/2σ²). 48
 * random bits settle 99 draws of 100; heights are compared only in the others, first in double precision and,
 * where that cannot tell, in integers of 128 bits. Why the result is exact, and how nearly:
 * docs/exact-mode.md, "The noise".
 */
#include <math.h>
#include <openssl/crypto.h>

#include "base/noise.h"

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define VECTORS 1
#else
#define VECTORS 0
#endif

static const uint64_t PLACE_MASK = (UINT64_C(1) << SOTTO_PLACE_BITS) - 1;

/* ---- one draw at a time ---- */

static sotto_u128 whole(sotto_fraction fraction)
{
    return (sotto_u128)fraction.high << 64 | fraction.low;
}

/* floor(a·b/2¹²⁸). */
static sotto_u128 high_product(sotto_u128 a, sotto_u128 b)
{
    const uint64_t a0 = (uint64_t)a;
    const uint64_t a1 = (uint64_t)(a >> 64);
    const uint64_t b0 = (uint64_t)b;
    const uint64_t b1 = (uint64_t)(b >> 64);
    const sotto_u128 low = (sotto_u128)a0 * b0;
    const sotto_u128 cross = (sotto_u128)a1 * b0 + (uint64_t)(low >> 64);
    const sotto_u128 other = (sotto_u128)a0 * b1 + (uint64_t)cross;
    return (sotto_u128)a1 * b1 + (uint64_t)(cross >> 64) + (uint64_t)(other >> 64);
}

sotto_u128 sotto_bell_exact(uint64_t square)
{
    sotto_u128 product = ~(sotto_u128)0;
    for (size_t j = 0; j < SOTTO_EXP_BITS; j++)
        if (square >> j & 1)
            product = high_product(product, whole(sotto_exp_bits[j]));
    return product;
}

double sotto_bell_near(uint64_t square)
{
    /* γ = square/2⁵⁵ = a + b/64 + r, 0 ≤ r < 1/64, r exact. */
    const double r = (double)(int64_t)(square & ((UINT64_C(1) << 49) - 1)) * 0x1p-55;
    double series = 1.0 / 720;
    series = 1.0 / 120 - r * series;
    series = 1.0 / 24 - r * series;
    series = 1.0 / 6 - r * series;
    series = 0.5 - r * series;
    series = 1.0 - r * series;
    series = 1.0 - r * series;
    return sotto_exp_wholes[square >> 55] * sotto_exp_parts[square >> 49 & 63] * series;
}

bool sotto_bell_coin(uint32_t layer, uint64_t x, sotto_words *words)
{
    /* The height is bottom + U·area/count, U = (first + …)/2⁶⁴; `near` is what U must stay below. Its error
     * is below 2⁻⁴¹ wherever x is not sure, and the first word leaves U unknown by 2⁻⁶⁴. */
    const double per_height = (double)(uint32_t)sotto_layers[layer] / (double)sotto_layer_area;
    const uint64_t first = words->next(words->context);
    const double bottom = (double)sotto_layer_bottoms[layer].high * 0x1p-64;
    const double near = (sotto_bell_near(x * x) - bottom) * per_height;
    const double difference = (double)first * 0x1p-64 - near;
    if (difference < -0x1p-40)
        return true;
    if (difference > 0x1p-40)
        return false;
    const sotto_u128 height = sotto_bell_exact(x * x);
    const sotto_u128 ground = whole(sotto_layer_bottoms[layer]);
    const sotto_u128 fraction = (sotto_u128)first << 64 | words->next(words->context);
    return height > ground && high_product(fraction, whole(sotto_layer_heights[layer])) < height - ground;
}

/* A uniform integer below count, 1 ≤ count < 2³¹: floor(place·count/2³⁸), without bias by drawing the place
 * again where the product's low part is among the first 2³⁸ mod count (Lemire 2019). */
static uint64_t uniform_below(uint64_t place, uint32_t count, sotto_words *words)
{
    sotto_u128 product = (sotto_u128)place * count;
    uint64_t low = (uint64_t)product & PLACE_MASK;
    if (low < count) {
        const uint64_t uneven = (PLACE_MASK + 1) % count;
        while (low < uneven) {
            product = (sotto_u128)(words->next(words->context) >> (64 - SOTTO_PLACE_BITS)) * count;
            low = (uint64_t)product & PLACE_MASK;
        }
    }
    return (uint64_t)(product >> SOTTO_PLACE_BITS);
}

int32_t sotto_discrete_gaussian_settle(uint32_t place, uint16_t choice, sotto_words *words)
{
    for (;;) {
        const uint32_t layer = choice % SOTTO_LAYERS;
        const bool negative = choice >> SOTTO_LAYER_BITS & 1;
        const uint64_t upper = choice >> (16 - SOTTO_EXTRA_BITS);
        const uint64_t entry = sotto_layers[layer];
        const uint64_t x = uniform_below(upper << 32 | place, (uint32_t)entry, words);
        const bool counts = x > 0 || !negative; /* zero has no sign: half of its draws do not count */
        if (counts && (x < entry >> 32 || sotto_bell_coin(layer, x, words)))
            return negative ? -(int32_t)x : (int32_t)x;
        const uint64_t word = words->next(words->context);
        place = (uint32_t)(word >> 32);
        choice = (uint16_t)word;
    }
}

/* ---- blocks ---- */

void sotto_discrete_gaussian_plain(const uint32_t *places, const uint16_t *choices, size_t count,
                                   int32_t *out, sotto_words *words)
{
    for (size_t i = 0; i < count; i++)
        out[i] = sotto_discrete_gaussian_settle(places[i], choices[i], words);
}

#if VECTORS
#define AVX2 __attribute__((target("avx2")))

/* The layers of every other of eight draws. Four loads are quicker than a gather. */
AVX2 static inline __m256i every_other_layer(const uint16_t *choices)
{
    return _mm256_set_epi64x((long long)sotto_layers[choices[6] % SOTTO_LAYERS],
                             (long long)sotto_layers[choices[4] % SOTTO_LAYERS],
                             (long long)sotto_layers[choices[2] % SOTTO_LAYERS],
                             (long long)sotto_layers[choices[0] % SOTTO_LAYERS]);
}

/* floor(place·count/2³²) of four draws, all in the lower halves; `biased` is negative where the low part of
 * place·count is below count, so that the place may have to be drawn again. */
AVX2 static inline __m256i multiply(__m256i places, __m256i extras, __m256i layers, __m256i *biased)
{
    const __m256i count = _mm256_and_si256(layers, _mm256_set1_epi64x(0xFFFFFFFF));
    const __m256i lower = _mm256_mul_epu32(places, layers);
    const __m256i upper = _mm256_mul_epu32(extras, layers);
    const __m256i product = _mm256_add_epi64(lower, _mm256_slli_epi64(upper, 32));
    const __m256i low = _mm256_and_si256(product, _mm256_set1_epi64x((long long)PLACE_MASK));
    *biased = _mm256_sub_epi64(low, count);
    return _mm256_add_epi64(upper, _mm256_srli_epi64(lower, 32));
}

/* Eight draws; bits of those that are not sure: zero, perhaps above the bell, or perhaps biased. */
AVX2 static inline unsigned draw_eight(const uint32_t *places, const uint16_t *choices, int32_t *out)
{
    enum { ODD = 0xAA }; /* the upper halves of four 64-bit lanes, where the odd draws go */
    const __m256i place = _mm256_loadu_si256((const __m256i *)places);
    const __m256i choice = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)choices));
    const __m256i extra = _mm256_srli_epi32(choice, 16 - SOTTO_EXTRA_BITS);
    const __m256i even = every_other_layer(choices);
    const __m256i odd = every_other_layer(choices + 1);
    __m256i even_biased;
    __m256i odd_biased;
    const __m256i even_upper = multiply(place, extra, even, &even_biased);
    const __m256i odd_upper =
        multiply(_mm256_srli_epi64(place, 32), _mm256_srli_epi64(extra, 32), odd, &odd_biased);
    const __m256i x = _mm256_blend_epi32(_mm256_srli_epi64(even_upper, SOTTO_EXTRA_BITS),
                                         _mm256_slli_epi64(odd_upper, 32 - SOTTO_EXTRA_BITS), ODD);
    const __m256i sure = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, ODD);
    const __m256i biased = _mm256_blend_epi32(_mm256_srli_epi64(even_biased, 32), odd_biased, ODD);
    const __m256i inside =
        _mm256_and_si256(_mm256_cmpgt_epi32(sure, x), _mm256_cmpgt_epi32(x, _mm256_setzero_si256()));
    const __m256i sign = _mm256_srai_epi32(_mm256_slli_epi32(choice, 31 - SOTTO_LAYER_BITS), 31);
    _mm256_storeu_si256((__m256i *)out, _mm256_sub_epi32(_mm256_xor_si256(x, sign), sign));
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(biased, inside))) ^ 0xFF;
}

AVX2 static void by_eights(const uint32_t *places, const uint16_t *choices, size_t count, int32_t *out,
                           sotto_words *words)
{
    uint16_t later[SOTTO_NOISE_BLOCK];
    size_t unsettled = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (unsigned mask = draw_eight(places + i, choices + i, out + i); mask != 0; mask &= mask - 1)
            later[unsettled++] = (uint16_t)(i + (size_t)__builtin_ctz(mask));
    for (; i < count; i++)
        later[unsettled++] = (uint16_t)i;
    for (size_t k = 0; k < unsettled; k++)
        out[later[k]] = sotto_discrete_gaussian_settle(places[later[k]], choices[later[k]], words);
}
#endif

void sotto_discrete_gaussian_fast(const uint32_t *places, const uint16_t *choices, size_t count, int32_t *out,
                                  sotto_words *words)
{
#if VECTORS
    if (__builtin_cpu_supports("avx2")) {
        by_eights(places, choices, count, out, words);
        return;
    }
#endif
    sotto_discrete_gaussian_plain(places, choices, count, out, words);
}

/* ---- from a stream ---- */

static uint64_t next_word(void *stream)
{
    return sotto_stream_u64(stream);
}

void sotto_stream_discrete_gaussian(sotto_stream *stream, int32_t *out, size_t count)
{
    uint32_t places[SOTTO_NOISE_BLOCK];
    uint16_t choices[SOTTO_NOISE_BLOCK];
    sotto_words words = {next_word, stream};
    const size_t used = count < SOTTO_NOISE_BLOCK ? count : SOTTO_NOISE_BLOCK;
    while (count > 0) {
        const size_t piece = count < SOTTO_NOISE_BLOCK ? count : SOTTO_NOISE_BLOCK;
        sotto_stream_bytes(stream, places, piece * sizeof *places);
        sotto_stream_bytes(stream, choices, piece * sizeof *choices);
        sotto_discrete_gaussian_fast(places, choices, piece, out, &words);
        out += piece;
        count -= piece;
    }
    OPENSSL_cleanse(places, used * sizeof *places);
    OPENSSL_cleanse(choices, used * sizeof *choices);
}

double sotto_noise_delta(double epsilon, double draws)
{
    const double cost =
        (1.0 + exp(epsilon)) * ldexp(draws, SOTTO_NOISE_ROUNDED_TOTAL_VARIATION_LOG2) * (1.0 + 0x1p-40);
    return cost < 1.0 ? cost : 1.0;
}
