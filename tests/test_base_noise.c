/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The inside of the exact noise: its tables derived anew, each branch by words made for it, and its bounds.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/noise.h"
#include "suite.h"

enum { BELL_UNITS = 94 /* that the exact bell may be off */, LAST = SOTTO_LAYERS - 1 };

static const uint64_t PLACES = UINT64_C(1) << SOTTO_PLACE_BITS;

/* ---- words made for a test ---- */

struct script {
    const uint64_t *words;
    size_t count;
    size_t used;
};

static uint64_t scripted(void *context)
{
    struct script *script = context;
    ck_assert_uint_lt(script->used, script->count);
    return script->words[script->used++];
}

/* Marsaglia's xorshift: inputs that depend on nothing else. */
static uint64_t shuffled(void *context)
{
    uint64_t *state = context;
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t count_of(size_t layer)
{
    return (uint32_t)sotto_layers[layer];
}

static uint32_t sure_of(size_t layer)
{
    return (uint32_t)(sotto_layers[layer] >> 32);
}

static sotto_u128 whole(sotto_fraction fraction)
{
    return (sotto_u128)fraction.high << 64 | fraction.low;
}

static sotto_u128 apart(sotto_u128 a, sotto_u128 b)
{
    return a > b ? a - b : b - a;
}

/* The integer of a layer that a place leads to, and the place's low part. */
static uint64_t place_low(uint64_t place, size_t layer)
{
    return (uint64_t)((sotto_u128)place * count_of(layer) & (PLACES - 1));
}

/* The first place that leads to x. */
static uint64_t place_of(uint64_t x, size_t layer)
{
    const sotto_u128 line = (sotto_u128)x << SOTTO_PLACE_BITS;
    return (uint64_t)((line + count_of(layer) - 1) / count_of(layer));
}

static int32_t settle(uint64_t place, size_t layer, bool negative, struct script *script)
{
    sotto_words words = {scripted, script};
    const uint64_t choice =
        place >> 32 << (16 - SOTTO_EXTRA_BITS) | (uint64_t)negative << SOTTO_LAYER_BITS | layer;
    return sotto_discrete_gaussian_settle((uint32_t)place, (uint16_t)choice, &words);
}

/* A word that leads to x in a layer for sure, as a wholly new proposal. */
static uint64_t proposal(uint64_t x, size_t layer, bool negative)
{
    const uint64_t place = place_of(x, layer) + 1; /* past the low parts that may be drawn again */
    return place << 32 | place >> 32 << (16 - SOTTO_EXTRA_BITS) | (uint64_t)negative << SOTTO_LAYER_BITS |
           layer;
}

/* ---- tables ---- */

/* floor(area·2¹⁹²/count): 128 bits, and 64 below them. */
static sotto_u128 height_of(size_t layer, uint64_t *below)
{
    const uint32_t count = count_of(layer);
    const sotto_u128 first = (sotto_u128)sotto_layer_area << 64;
    const sotto_u128 second = first % count << 64;
    *below = (uint64_t)((second % count << 64) / count);
    return first / count << 64 | second / count;
}

START_TEST(layers_have_equal_areas_and_touch)
{
    sotto_u128 bottom = 0;
    uint64_t below = 0;
    for (size_t i = 0; i < SOTTO_LAYERS; i++) {
        uint64_t part;
        const sotto_u128 height = height_of(i, &part);
        ck_assert(whole(sotto_layer_heights[i]) == height + (part >> 63));
        ck_assert(whole(sotto_layer_bottoms[i]) == bottom + (below >> 63));
        below += part;
        const sotto_u128 next = bottom + height + (below < part);
        ck_assert_msg(next > bottom || i == LAST, "the bell's top is passed at layer %zu", i);
        if (i == LAST)
            ck_assert(next < bottom); /* over 1, where 128 bits end */
        bottom = next;
    }
}
END_TEST

/* From its count on all integers lie below a layer, and up to its sure ones above it: the bell falls. */
START_TEST(layers_cover_the_bell)
{
    ck_assert_uint_eq(count_of(0), (uint32_t)SOTTO_NOISE_LIMIT + 1);
    ck_assert_uint_eq(sure_of(LAST), 0);
    for (size_t i = 1; i < SOTTO_LAYERS; i++) {
        const uint64_t count = count_of(i);
        const sotto_u128 bottom = whole(sotto_layer_bottoms[i]);
        ck_assert_uint_lt(count, count_of(i - 1));
        ck_assert_uint_eq(sure_of(i - 1), count);
        ck_assert(sotto_bell_exact(count * count) + BELL_UNITS + 1 < bottom);
        ck_assert(sotto_bell_exact((count - 1) * (count - 1)) > bottom + BELL_UNITS + 1);
    }
}
END_TEST

/* The square of a fraction of 192 bits, rounded down; the highest bits first. */
static void square(uint64_t x[3])
{
    uint64_t product[6] = {0};
    for (size_t i = 3; i-- > 0;) {
        uint64_t carry = 0;
        for (size_t k = 3; k-- > 0;) {
            const sotto_u128 sum = (sotto_u128)x[i] * x[k] + product[i + k + 1] + carry;
            product[i + k + 1] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        product[i] = carry;
    }
    memcpy(x, product, 3 * sizeof *x);
}

/* exp(−2⁻⁵⁵) = 1 − 2⁻⁵⁵ + 2⁻¹¹¹ − 2⁻¹⁶⁵/6 + …, squared again and again with 64 bits to spare: what is lost
 * stays below 2⁻¹³⁷. */
START_TEST(powers_of_e_are_squares_of_each_other)
{
    uint64_t x[3] = {UINT64_MAX - (1 << 9) + 1, 1 << 17, UINT64_MAX - 22369621};
    x[1]--; /* what the third limb borrows */
    for (size_t j = 0; j < SOTTO_EXP_BITS; j++, square(x)) {
        const sotto_u128 found = whole(sotto_exp_bits[j]);
        const sotto_u128 wanted = (sotto_u128)x[0] << 64 | x[1];
        const bool near_half = x[2] >> 56 == 0x7F || x[2] >> 56 == 0x80;
        ck_assert_msg(found == wanted + (x[2] >> 63) || (near_half && apart(found, wanted) <= 1),
                      "exp(-2^(%zu - 55))", j);
    }
}
END_TEST

/* exp(−a)·exp(−b) = exp(−a − b), to the error that the sampler's proof allows each. */
START_TEST(exact_bell_is_an_exponential)
{
    uint64_t state = 71;
    for (int i = 0; i < 20000; i++) {
        const uint64_t a = shuffled(&state) >> (3 + state % 40);
        const uint64_t b = shuffled(&state) >> (3 + state % 40);
        const sotto_u128 x = sotto_bell_exact(a);
        const sotto_u128 y = sotto_bell_exact(b);
        const sotto_u128 high = (x >> 64) * (y >> 64);
        const sotto_u128 cross = ((x >> 64) * (uint64_t)y >> 64) + ((uint64_t)x * (y >> 64) >> 64);
        ck_assert(apart(sotto_bell_exact(a + b), high + cross) <= 3 * BELL_UNITS + 3);
    }
    ck_assert(apart(sotto_bell_exact(UINT64_C(1) << 55),
                    ((sotto_u128)0x5E2D58D8B3BCDF1A << 64) + 0xBADEC7829054F90D) <= BELL_UNITS + 1); /* 1/e */
}
END_TEST

/* The double's relative error is below 2⁻⁵⁰ all over the range, and so each coin's below 2⁻⁴¹. */
START_TEST(near_bell_is_near)
{
    const uint64_t limit = (uint64_t)SOTTO_NOISE_LIMIT * SOTTO_NOISE_LIMIT;
    uint64_t state = 72;
    ck_assert_int_ge(LDBL_MANT_DIG, 64);
    ck_assert_uint_lt(limit >> 55, SOTTO_EXP_WHOLES);
    for (int i = 0; i < 200000; i++) {
        const uint64_t at =
            i < 2 * SOTTO_EXP_WHOLES ? ((uint64_t)i / 2 << 55) - (i & 1) : shuffled(&state) >> (2 + i % 9);
        if (at > limit)
            continue;
        const long double wanted = expl(-(long double)at * 0x1p-55L);
        ck_assert(fabsl(sotto_bell_near(at) - wanted) <= 0x1p-50L * wanted);
    }
    for (size_t i = 0; i < SOTTO_LAYERS; i++) {
        const double top =
            (double)whole(sotto_layer_bottoms[i]) * 0x1p-128 + (double)sotto_layer_area / count_of(i);
        ck_assert_double_le(top * count_of(i) / sotto_layer_area, 250);
    }
}
END_TEST

/* What all layers give an integer, in heights: the bell there, but for half a unit in each table entry. */
START_TEST(layers_add_up_to_the_bell)
{
    uint64_t state = 76;
    for (size_t k = 0; k < 20000; k++) {
        const uint64_t x = shuffled(&state) % ((uint64_t)SOTTO_NOISE_LIMIT + 1) >> k % 8;
        const sotto_u128 bell = sotto_bell_exact(x * x);
        sotto_u128 sum = 0;
        for (size_t i = 0; i < SOTTO_LAYERS && x < count_of(i); i++) {
            const sotto_u128 bottom = whole(sotto_layer_bottoms[i]);
            sum += x < sure_of(i) ? whole(sotto_layer_heights[i]) : bell > bottom ? bell - bottom : 0;
        }
        ck_assert(apart(sum, bell) <= SOTTO_LAYERS);
    }
}
END_TEST

/* ---- branches ---- */

/* floor((bell − bottom)·2¹²⁸/height): the fraction of the layer's height that lies below the bell, and from
 * where on the coin shows tails. */
static sotto_u128 edge_of(size_t layer, uint64_t x)
{
    const sotto_u128 bell = sotto_bell_exact(x * x);
    const sotto_u128 bottom = whole(sotto_layer_bottoms[layer]);
    const sotto_u128 height = whole(sotto_layer_heights[layer]);
    sotto_u128 rest = bell > bottom ? bell - bottom : 0;
    sotto_u128 quotient = 0;
    for (int bit = 0; bit < 128; bit++) {
        quotient <<= 1;
        rest <<= 1;
        if (rest >= height) {
            rest -= height;
            quotient |= 1;
        }
    }
    return quotient;
}

static bool coin(size_t layer, uint64_t x, sotto_u128 fraction, size_t words_wanted)
{
    const uint64_t halves[2] = {(uint64_t)(fraction >> 64), (uint64_t)fraction};
    struct script script = {halves, 2, 0};
    sotto_words words = {scripted, &script};
    const bool heads = sotto_bell_coin((uint32_t)layer, x, &words);
    ck_assert_uint_eq(script.used, words_wanted);
    return heads;
}

/* Far from the edge one word decides, by doubles; near it two, in 128 bits; and both ways alike. */
START_TEST(coins_turn_at_the_bell)
{
    const sotto_u128 far = (sotto_u128)1 << 89; /* 2⁻³⁹ */
    const sotto_u128 near = (sotto_u128)1 << 86;
    const sotto_u128 nearest = 1 << 16;
    uint64_t state = 73;
    size_t tried = 0;
    for (size_t i = 0; i < 20000; i++) {
        const size_t layer = i % 4 == 0 ? 0 : shuffled(&state) % SOTTO_LAYERS;
        const uint64_t x = sure_of(layer) + shuffled(&state) % (count_of(layer) - sure_of(layer));
        const sotto_u128 edge = edge_of(layer, x);
        if (edge < 2 * far || edge > ~(2 * far))
            continue;
        ck_assert(coin(layer, x, edge - far, 1));
        ck_assert(!coin(layer, x, edge + far, 1));
        ck_assert(coin(layer, x, edge - near, 2));
        ck_assert(!coin(layer, x, edge + near, 2));
        ck_assert(coin(layer, x, edge - nearest, 2));
        ck_assert(!coin(layer, x, edge + nearest, 2));
        tried++;
    }
    ck_assert_uint_gt(tried, 10000);
}
END_TEST

START_TEST(sure_places_need_no_further_word)
{
    struct script none = {NULL, 0, 0};
    for (size_t layer = 0; layer < LAST; layer++) {
        const uint64_t x = sure_of(layer) - 1;
        ck_assert_int_eq(settle(place_of(x, layer) + 1, layer, false, &none), (int64_t)x);
        ck_assert_int_eq(settle(place_of(x, layer) + 1, layer, true, &none), -(int64_t)x);
        ck_assert_int_eq(settle(place_of(1, layer) + 1, layer, true, &none), -1);
        ck_assert_int_eq(settle(place_of(0, layer) + 1, layer, false, &none), 0);
    }
}
END_TEST

START_TEST(zero_counts_once)
{
    const uint64_t words[] = {proposal(0, 7, true), proposal(12345, 7, true)};
    struct script script = {words, 2, 0};
    ck_assert_int_eq(settle(1, 3, true, &script), -12345);
    ck_assert_uint_eq(script.used, 2);
}
END_TEST

/* A place whose low part is among the first 2³⁸ mod count is drawn again, in the same layer with the same
 * sign; one just past them is kept. */
START_TEST(places_are_without_bias)
{
    size_t kept = 0;
    for (size_t layer = 0; layer < LAST; layer++) {
        const uint64_t uneven = PLACES % count_of(layer);
        uint64_t x = 1;
        const uint64_t words[] = {(place_of(77, layer) + 1) << 26};
        struct script script = {words, 1, 0};
        ck_assert_uint_gt(uneven, 0);
        ck_assert_int_eq(settle(0, layer, true, &script), -77);
        ck_assert_uint_eq(script.used, 1);
        for (; x < 50 && place_low(place_of(x, layer), layer) < uneven; x++) {
            script.used = 0;
            ck_assert_int_eq(settle(place_of(x, layer), layer, false, &script), 77);
        }
        if (x < 50 && place_low(place_of(x, layer), layer) < count_of(layer)) {
            ck_assert_int_eq(settle(place_of(x, layer), layer, false, &script), (int64_t)x);
            kept++;
        }
    }
    ck_assert_uint_gt(kept, 100);
}
END_TEST

/* Above the bell a whole new proposal is made; the highest layer is never sure. */
START_TEST(heights_above_the_bell_are_refused)
{
    for (size_t layer = 0; layer < SOTTO_LAYERS; layer++) {
        const uint64_t x = sure_of(layer) + (count_of(layer) - sure_of(layer)) / 4;
        const uint64_t words[] = {UINT64_MAX, proposal(99, 0, true)};
        struct script refused = {words, 2, 0};
        const uint64_t zero = 0;
        struct script kept = {&zero, 1, 0};
        ck_assert_int_eq(settle(place_of(x, layer) + 1, layer, false, &refused), -99);
        ck_assert_uint_eq(refused.used, 2);
        if (sotto_bell_exact(x * x) > whole(sotto_layer_bottoms[layer]) + ((sotto_u128)1 << 92)) {
            ck_assert_int_eq(settle(place_of(x, layer) + 1, layer, true, &kept), -(int64_t)x);
            ck_assert_uint_eq(kept.used, 1);
        }
    }
}
END_TEST

/* ---- the fast sampler is the plain one ---- */

START_TEST(fast_equals_plain_to_the_bit)
{
    static uint32_t places[SOTTO_NOISE_BLOCK];
    static uint16_t choices[SOTTO_NOISE_BLOCK];
    static int32_t fast[SOTTO_NOISE_BLOCK];
    static int32_t plain[SOTTO_NOISE_BLOCK];
    uint64_t state = 74;
    for (size_t round = 0; round < 2000; round++) {
        const size_t count = round < 70 ? round : 1 + shuffled(&state) % SOTTO_NOISE_BLOCK;
        for (size_t i = 0; i < count; i++) {
            const uint64_t word = shuffled(&state);
            places[i] = (uint32_t)(word >> 32);
            choices[i] = (uint16_t)word;
            if (round % 3 == 1) { /* places at the edges of layers, and at small and large integers */
                const size_t layer = word % SOTTO_LAYERS;
                const uint64_t x =
                    word >> 62 == 0 ? word >> 16 & 3 : count_of((layer + (word >> 16 & 1)) % SOTTO_LAYERS);
                const uint64_t place = place_of(x, layer) + (word >> 20 & 3) - 2;
                places[i] = (uint32_t)place;
                choices[i] = (uint16_t)((place >> 32 & 63) << 10 | (word & 1023));
            }
        }
        uint64_t fast_state = state;
        uint64_t plain_state = state;
        sotto_words fast_words = {shuffled, &fast_state};
        sotto_words plain_words = {shuffled, &plain_state};
        sotto_discrete_gaussian_fast(places, choices, count, fast, &fast_words);
        sotto_discrete_gaussian_plain(places, choices, count, plain, &plain_words);
        ck_assert_mem_eq(fast, plain, count * sizeof *fast);
        ck_assert_uint_eq(fast_state, plain_state);
    }
}
END_TEST

/* ---- bounds ---- */

/* The proof's sum: 98 units of 2⁻¹²⁸ for each integer that is not sure, over the accepted area, and the tail.
 */
START_TEST(total_variation_is_as_stated)
{
    double unsure = 0;
    for (size_t i = 0; i < SOTTO_LAYERS; i++)
        unsure += count_of(i) - sure_of(i);
    const double accepted =
        SOTTO_NOISE_STD * sqrt(acos(-1.0) / 2); /* ≤ Σ ρ(x) over x ≥ 0, and zero by half */
    const double z = (double)SOTTO_NOISE_LIMIT / SOTTO_NOISE_STD;
    const double tail = 2 * exp(-z * z / 2) / (z * sqrt(2 * acos(-1.0)));
    ck_assert_double_le(tail, 0x1p-128);
    ck_assert_double_le(98 * 0x1p-128 * unsure / accepted + tail, pow(2, SOTTO_NOISE_TOTAL_VARIATION_LOG2));
    const double rounded = pow(2, -4 * SOTTO_NOISE_STD_LOG2) / 256;
    ck_assert_double_le(pow(2, SOTTO_NOISE_TOTAL_VARIATION_LOG2) + rounded,
                        pow(2, SOTTO_NOISE_ROUNDED_TOTAL_VARIATION_LOG2));
}
END_TEST

/* The total variation between the discrete Gaussian of variance S² and N(0, S² − 1/12) rounded. */
static long double rounding_distance(int std)
{
    const long double variance = (long double)std * std;
    const long double root = sqrtl(2 * (variance - 1.0L / 12));
    const int reach = 15 * std;
    long double mass = 0;
    long double sum = 0;
    for (int k = -reach; k <= reach; k++)
        mass += expl(-(long double)k * k / (2 * variance));
    for (int k = -reach; k <= reach; k++) {
        const long double near = (fabsl((long double)k) - 0.5L) / root;
        const long double cell = k == 0 ? erfl(0.5L / root) : (erfcl(near) - erfcl(near + 1 / root)) / 2;
        sum += fabsl(expl(-(long double)k * k / (2 * variance)) / mass - cell);
    }
    return sum / 2;
}

/* Below S⁻⁴/128 as proved, and near its leading term, E|Z⁴ − 6Z² + 3|/5760 = 0.000486 for normal Z, which the
 * proof bounds more loosely; without the 1/12 it would be S⁻² instead. */
START_TEST(rounding_a_continuous_gaussian_is_as_near_as_proved)
{
    for (int std = 2; std <= 16; std *= 2) {
        const long double scaled = rounding_distance(std) * powl(std, 4);
        ck_assert_ldouble_le(scaled, 1.0L / 128);
        if (std >= 4)
            ck_assert_ldouble_eq_tol(scaled, 0.00048621533L, 0.00001L);
    }
}
END_TEST

/* ---- coins ---- */

START_TEST(coins_are_64_bits_below_a_threshold)
{
    static const uint64_t thresholds[] = {0, 1, UINT64_C(1) << 48, UINT64_C(0x028F5C28F5C28F5C), UINT64_MAX};
    enum { COINS = 300 };
    uint64_t state = 75;
    for (size_t round = 0; round < 600; round++) {
        const uint64_t threshold = round % 6 < 5 ? thresholds[round % 6] : shuffled(&state);
        const uint64_t below = (UINT64_C(1) << 48) - 1;
        uint16_t upper[COINS];
        uint8_t heads[COINS];
        uint64_t words[COINS];
        size_t ties = 0;
        for (size_t i = 0; i < COINS; i++) {
            const uint64_t word = shuffled(&state);
            upper[i] = (uint16_t)(word % 5 < 3 ? (threshold >> 48) + word % 5 - 1 : word >> 40);
            if (upper[i] == threshold >> 48) /* the lower bits are the threshold's, one less, or any */
                words[ties++] =
                    word % 2 ? word : (((threshold & below) - (word >> 8 & 1)) << 16 | word >> 48);
        }
        struct script script = {words, ties, 0};
        sotto_words source = {scripted, &script};
        sotto_coins_settle(upper, COINS, threshold, heads, &source);
        ck_assert_uint_eq(script.used, ties);
        ties = 0;
        size_t right = 0;
        for (size_t i = 0; i < COINS; i++) {
            const bool tie = upper[i] == threshold >> 48;
            const uint64_t draw = (uint64_t)upper[i] << 48 | (tie ? words[ties] >> 16 : 0);
            ties += tie;
            right += heads[i] == (draw < threshold);
        }
        ck_assert_uint_eq(right, COINS);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base-noise");
    TCase *tests = tcase_create("base-noise");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, layers_have_equal_areas_and_touch);
    tcase_add_test(tests, layers_cover_the_bell);
    tcase_add_test(tests, powers_of_e_are_squares_of_each_other);
    tcase_add_test(tests, exact_bell_is_an_exponential);
    tcase_add_test(tests, near_bell_is_near);
    tcase_add_test(tests, layers_add_up_to_the_bell);
    tcase_add_test(tests, coins_turn_at_the_bell);
    tcase_add_test(tests, sure_places_need_no_further_word);
    tcase_add_test(tests, zero_counts_once);
    tcase_add_test(tests, places_are_without_bias);
    tcase_add_test(tests, heights_above_the_bell_are_refused);
    tcase_add_test(tests, fast_equals_plain_to_the_bit);
    tcase_add_test(tests, total_variation_is_as_stated);
    tcase_add_test(tests, rounding_a_continuous_gaussian_is_as_near_as_proved);
    tcase_add_test(tests, coins_are_64_bits_below_a_threshold);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
