/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_NOISE_H
#define SOTTO_BASE_NOISE_H

/**
 * The inside of the samplers, for them and their tests. The method and the proof of Gaussian noise:
 * docs/exact-mode.md, "The noise".
 */

#include "base/base.h"

__extension__ typedef unsigned __int128 sotto_u128;

enum {
    SOTTO_LAYERS = 512,
    SOTTO_LAYER_BITS = 9,  /**< a choice's lowest bits are the layer, the next one is the sign, */
    SOTTO_EXTRA_BITS = 6,  /**< and the upper ones stand above a place's 32 */
    SOTTO_PLACE_BITS = 38, /**< in all */
    SOTTO_EXP_BITS = 62,
    SOTTO_EXP_WHOLES = 87,
    SOTTO_EXP_PARTS = 64,
    SOTTO_NOISE_BLOCK = 2048, /**< draws for which the stream is asked at a time */
};

/** A number in [0, 1) in units of 2⁻¹²⁸. */
typedef struct sotto_fraction {
    uint64_t high;
    uint64_t low;
} sotto_fraction;

/**
 * Layer i, from the ground up: `count` integers 0 … count−1, of which the first `sure` lie wholly below the
 * bell, as sure·2³² + count. Between its bottom and its top the layer is area/count high.
 */
extern const uint64_t sotto_layers[SOTTO_LAYERS];
extern const uint32_t sotto_layer_area;
extern const sotto_fraction sotto_layer_bottoms[SOTTO_LAYERS];
extern const sotto_fraction sotto_layer_heights[SOTTO_LAYERS];

extern const sotto_fraction sotto_exp_bits[SOTTO_EXP_BITS]; /**< exp(−2^(j − 55)) */
extern const double sotto_exp_wholes[SOTTO_EXP_WHOLES];     /**< exp(−k) */
extern const double sotto_exp_parts[SOTTO_EXP_PARTS];       /**< exp(−k/64) */

/** Where words beyond a block's own come from. */
typedef struct sotto_words {
    uint64_t (*next)(void *context);
    void *context;
} sotto_words;

/** exp(−square/2⁵⁵) for square < 2⁶², at most 94 units of 2⁻¹²⁸ off. */
sotto_u128 sotto_bell_exact(uint64_t square);

/** The same, with a relative error below 2⁻⁵⁰, for square < 87·2⁵⁵. */
double sotto_bell_near(uint64_t square);

/** True where a uniform height in the layer, its fraction given by one word or two, is below the bell at x.
 */
bool sotto_bell_coin(uint32_t layer, uint64_t x, sotto_words *words);

/** The draw that 48 bits lead to, with whatever further words are needed. */
int32_t sotto_discrete_gaussian_settle(uint32_t place, uint16_t choice, sotto_words *words);

/**
 * Draw `count` ≤ SOTTO_NOISE_BLOCK from as many places and choices: those that want further words take them
 * by turns, from the first to the last.
 */
typedef void sotto_block_sampler(const uint32_t *places, const uint16_t *choices, size_t count, int32_t *out,
                                 sotto_words *words);

sotto_block_sampler sotto_discrete_gaussian_plain;

/** The fastest that this processor has, equal to the plain one to the bit. */
sotto_block_sampler sotto_discrete_gaussian_fast;

/**
 * `count` coins of probability threshold/2⁶⁴ from the upper 16 bits of each; those equal to the threshold's
 * take their lower 48, a word's upper ones, by turns.
 */
void sotto_coins_settle(const uint16_t *upper, size_t count, uint64_t threshold, uint8_t *heads,
                        sotto_words *words);

#endif
