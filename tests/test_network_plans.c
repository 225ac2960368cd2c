/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The architectures that every test of passes runs over. */

#include "test_network.h"

#define LAYER(...)                                                                                           \
    {                                                                                                        \
        .kind = SOTTO_LAYER_##__VA_ARGS__                                                                    \
    }
#define DENSE(n)           LAYER(DENSE, .outputs = (n))
#define LEAKY(s)           LAYER(LEAKY_RELU, .slope = (s))
#define SILU               LAYER(SILU)
#define TANH               LAYER(TANH)
#define NORM               LAYER(NORM)
#define RESIDUAL(l)        LAYER(RESIDUAL, .from = (l))
#define CONCAT(l)          LAYER(CONCAT, .from = (l))
#define BY_CLASS           LAYER(BY_CLASS)
#define DROPOUT(r)         LAYER(DROPOUT, .rate = (r))
#define SAMPLE(b)          LAYER(SAMPLE, .beta = (b))
#define SOFTMAX(s)         LAYER(SOFTMAX, .segments = (s), .segment_count = sizeof(s) / sizeof *(s))
#define IMAGE(h, w, c)     LAYER(IMAGE, .height = (h), .width = (w), .channels = (c))
#define GROUP_NORM(g)      LAYER(GROUP_NORM, .groups = (g))
#define CONV(n, k, s, p)   CONV_GROUPS(n, k, s, p, 1)
#define UPCONV(n, k, s, p) UPCONV_GROUPS(n, k, s, p, 1)
#define CONV_GROUPS(n, k, s, p, g)                                                                           \
    LAYER(CONV, .outputs = (n), .kernel = (k), .stride = (s), .padding = (p), .groups = (g))
#define UPCONV_GROUPS(n, k, s, p, g)                                                                         \
    LAYER(CONV_TRANSPOSED, .outputs = (n), .kernel = (k), .stride = (s), .padding = (p), .groups = (g))
#define INPUT SOTTO_LAYER_INPUT

/* Two neighbours, a gap of one column, a head of one column. */
static const sotto_tensor_segment heads[] = {{0, 3}, {3, 2}, {6, 1}};
static const sotto_tensor_segment one_head[] = {{1, 4}};

const plan plans[] = {
    {"dense", 5, 0, 1, {DENSE(3)}},
    {"discriminator", 9, 0, 5, {DENSE(17), LEAKY(0.2f), DENSE(16), LEAKY(0.2f), DENSE(1)}},
    {"relu", 6, 0, 3, {DENSE(8), LEAKY(0.0f), DENSE(2)}},
    {"silu", 6, 0, 4, {DENSE(8), SILU, DENSE(7), SILU}},
    {"tanh", 6, 0, 4, {DENSE(8), TANH, DENSE(3), TANH}},
    {"norm", 6, 0, 4, {DENSE(18), NORM, LEAKY(0.2f), DENSE(2)}},
    {"norm at both ends", 7, 0, 3, {NORM, DENSE(19), NORM}},
    {"residual of the input", 8, 0, 4, {DENSE(8), RESIDUAL(INPUT), TANH, DENSE(2)}},
    {"residual norm block",
     4,
     0,
     8,
     {DENSE(9), NORM, SILU, DENSE(11), SILU, DENSE(9), RESIDUAL(0), DENSE(3)}},
    {"two residuals of one layer",
     4,
     0,
     9,
     {DENSE(6), TANH, DENSE(6), RESIDUAL(1), LEAKY(0.1f), DENSE(6), RESIDUAL(1), SILU, DENSE(2)}},
    {"residual of a residual", 5, 0, 6, {DENSE(5), RESIDUAL(INPUT), DENSE(5), RESIDUAL(1), NORM, DENSE(1)}},
    {"residual of the layer before", 5, 0, 4, {DENSE(4), RESIDUAL(0), LEAKY(0.3f), DENSE(2)}},
    {"residual of what is activated next", 5, 0, 5, {DENSE(4), SILU, DENSE(4), RESIDUAL(0), DENSE(2)}},
    {"residual of what is leaky next", 5, 0, 5, {DENSE(4), LEAKY(0.2f), DENSE(4), RESIDUAL(0), TANH}},
    {"residual around an activation", 5, 0, 4, {DENSE(4), TANH, RESIDUAL(0), DENSE(3)}},
    {"residual of what is normed next", 5, 0, 5, {DENSE(4), NORM, DENSE(4), RESIDUAL(0), DENSE(2)}},
    {"residual onto tanh", 5, 0, 5, {DENSE(4), DENSE(4), TANH, RESIDUAL(0), DENSE(2)}},
    {"activation first", 6, 0, 3, {TANH, LEAKY(0.2f), DENSE(3)}},
    {"residual before any parameter", 6, 0, 4, {SILU, RESIDUAL(INPUT), DENSE(6), RESIDUAL(0)}},
    {"activations in a row", 6, 0, 5, {DENSE(5), SILU, TANH, LEAKY(0.2f), DENSE(2)}},
    {"by class", 6, 3, 4, {DENSE(7), LEAKY(0.2f), BY_CLASS, DENSE(2)}},
    {"by class first", 4, 3, 4, {BY_CLASS, DENSE(7), TANH, DENSE(1)}},
    {"by class last", 4, 2, 3, {DENSE(5), TANH, BY_CLASS}},
    {"by class twice", 3, 2, 5, {BY_CLASS, DENSE(5), SILU, BY_CLASS, DENSE(2)}},
    {"by class beside a residual", 4, 3, 6, {DENSE(5), BY_CLASS, DENSE(5), RESIDUAL(0), TANH, DENSE(2)}},
    {"by class without classes", 4, 1, 6, {BY_CLASS, DENSE(5), BY_CLASS, TANH, RESIDUAL(2), DENSE(2)}},
    {"wide", 40, 0, 5, {DENSE(48), LEAKY(0.2f), DENSE(33), SILU, DENSE(1)}},

    {"concat of the input", 5, 0, 4, {DENSE(4), TANH, CONCAT(INPUT), DENSE(2)}},
    {"concat first", 5, 0, 2, {CONCAT(INPUT), DENSE(3)}},
    {"concat of the layer before", 5, 0, 4, {DENSE(4), CONCAT(0), TANH, DENSE(2)}},
    {"concat last", 5, 0, 4, {DENSE(4), SILU, DENSE(3), CONCAT(1)}},
    {"concat twice of one layer",
     5,
     0,
     7,
     {DENSE(4), TANH, DENSE(3), CONCAT(1), DENSE(3), CONCAT(1), DENSE(2)}},
    {"concat and residual of one layer",
     4,
     0,
     6,
     {DENSE(4), LEAKY(0.2f), DENSE(4), RESIDUAL(1), CONCAT(1), DENSE(2)}},
    {"concat by class", 4, 3, 6, {DENSE(5), SILU, CONCAT(INPUT), BY_CLASS, DENSE(3), TANH}},
    {"generator of a table",
     6,
     0,
     10,
     {DENSE(7), NORM, LEAKY(0.0f), CONCAT(INPUT), DENSE(5), NORM, LEAKY(0.0f), CONCAT(3), DENSE(8),
      SOFTMAX(heads)}},

    {"softmax heads", 5, 0, 2, {DENSE(8), SOFTMAX(heads)}},
    {"softmax first", 6, 0, 2, {SOFTMAX(one_head), DENSE(3)}},
    {"softmax between", 5, 0, 5, {DENSE(7), SOFTMAX(heads), TANH, RESIDUAL(1), DENSE(2)}},
    {"softmax of what is activated next", 5, 0, 4, {DENSE(7), SOFTMAX(heads), SILU, DENSE(2)}},
    {"softmax of nothing", 5, 0, 2, {DENSE(3), {.kind = SOTTO_LAYER_SOFTMAX}}},
    {"dropout", 6, 0, 6, {DENSE(9), LEAKY(0.2f), DROPOUT(0.5f), DENSE(8), DROPOUT(0.25f), DENSE(2)}},
    {"dropout first", 6, 0, 3, {DROPOUT(0.5f), DENSE(4), SILU}},
    {"dropout of none", 6, 0, 3, {DENSE(4), DROPOUT(0.0f), TANH}},
    {"dropout beside joins",
     5,
     2,
     7,
     {DENSE(5), TANH, DROPOUT(0.5f), RESIDUAL(1), CONCAT(2), BY_CLASS, DENSE(2)}},

    {"sample", 6, 0, 4, {DENSE(8), SAMPLE(1.0f), TANH, DENSE(3)}},
    {"sample without divergence", 6, 0, 4, {DENSE(6), LEAKY(0.2f), SAMPLE(0.0f), DENSE(2)}},
    {"sample last", 5, 0, 4, {DENSE(7), SILU, DENSE(10), SAMPLE(0.5f)}},
    {"sample of an odd number", 4, 0, 3, {DENSE(6), SAMPLE(2.0f), NORM}},
    {"sample first", 6, 0, 2, {SAMPLE(1.0f), DENSE(3)}},
    {"sample twice", 5, 0, 5, {DENSE(8), SAMPLE(1.0f), DENSE(4), SAMPLE(0.25f), DENSE(3)}},
    {"sample beside joins",
     4,
     0,
     8,
     {DENSE(6), SAMPLE(0.7f), CONCAT(0), TANH, DENSE(3), RESIDUAL(1), DROPOUT(0.25f), DENSE(2)}},
    {"variational autoencoder",
     9,
     3,
     8,
     {DENSE(7), LEAKY(0.0f), DENSE(6), SAMPLE(1.0f), BY_CLASS, DENSE(8), LEAKY(0.0f), DENSE(9)}},

    {"conv", 60, 0, 2, {IMAGE(6, 5, 2), CONV(3, 3, 1, 1)}},
    {"conv with strides", 42, 0, 4, {IMAGE(7, 6, 1), CONV(4, 3, 2, 0), LEAKY(0.2f), DENSE(2)}},
    {"conv of even kernels",
     36,
     0,
     6,
     {IMAGE(6, 6, 1), CONV(4, 4, 2, 1), LEAKY(0.2f), CONV(5, 3, 1, 0), SILU, DENSE(1)}},
    {"conv in groups", 80, 0, 3, {IMAGE(4, 5, 4), CONV_GROUPS(6, 3, 1, 1, 2), TANH}},
    {"conv of each channel", 48, 0, 4, {IMAGE(4, 4, 3), CONV_GROUPS(6, 2, 1, 0, 3), SILU, DENSE(2)}},
    {"conv of single pixels", 30, 0, 4, {IMAGE(3, 2, 5), CONV(4, 1, 1, 0), TANH, CONV(2, 1, 2, 0)}},
    {"conv mostly of padding", 9, 0, 2, {IMAGE(3, 3, 1), CONV(2, 5, 1, 4)}},
    {"conv that skips pixels", 64, 0, 3, {IMAGE(8, 8, 1), CONV(3, 2, 3, 0), DENSE(2)}},
    {"conv of one column", 18, 0, 2, {IMAGE(9, 1, 2), CONV(3, 3, 2, 1)}},
    {"conv of the whole image", 64, 0, 2, {IMAGE(4, 4, 4), CONV(17, 4, 1, 0)}},
    {"conv of many channels", 90, 0, 4, {IMAGE(3, 3, 10), CONV(33, 2, 1, 0), LEAKY(0.2f), DENSE(1)}},
    {"conv, group norm, SiLU",
     40,
     0,
     6,
     {IMAGE(5, 4, 2), CONV(6, 3, 1, 1), GROUP_NORM(3), SILU, CONV(4, 3, 2, 1), DENSE(1)}},
    {"residual conv block",
     48,
     0,
     7,
     {IMAGE(4, 4, 3), CONV(4, 3, 1, 1), SILU, CONV(4, 3, 1, 1), RESIDUAL(1), LEAKY(0.2f), DENSE(2)}},
    {"residual of an image", 24, 0, 5, {IMAGE(4, 3, 2), CONV(2, 3, 1, 1), RESIDUAL(INPUT), TANH, DENSE(1)}},
    {"conv by class", 9, 3, 5, {IMAGE(3, 3, 1), CONV(2, 2, 1, 0), LEAKY(0.2f), BY_CLASS, DENSE(1)}},
    {"conv behind an activation", 16, 0, 4, {TANH, IMAGE(4, 4, 1), CONV(3, 3, 1, 0), DENSE(2)}},
    {"conv with dropout",
     32,
     0,
     6,
     {IMAGE(4, 4, 2), CONV(3, 3, 1, 1), LEAKY(0.2f), DROPOUT(0.3f), CONV(3, 2, 2, 0), DENSE(1)}},
    {"discriminator of images",
     64,
     0,
     6,
     {IMAGE(8, 8, 1), CONV(4, 4, 2, 1), LEAKY(0.2f), CONV(8, 4, 2, 1), LEAKY(0.2f), DENSE(1)}},

    {"group norm of one group", 24, 0, 3, {IMAGE(2, 3, 4), GROUP_NORM(1), CONV(2, 2, 1, 0)}},
    {"group norm of every channel", 24, 0, 4, {IMAGE(2, 3, 4), CONV(4, 1, 1, 0), GROUP_NORM(4), DENSE(3)}},
    {"group norm of columns", 12, 0, 4, {DENSE(18), GROUP_NORM(2), LEAKY(0.2f), DENSE(2)}},
    {"group norm of many channels",
     5,
     0,
     5,
     {DENSE(210), IMAGE(1, 3, 70), GROUP_NORM(1), SILU, CONV(2, 1, 1, 0)}},
    {"residual of what is group normed next",
     18,
     0,
     5,
     {IMAGE(3, 3, 2), CONV(2, 3, 1, 1), GROUP_NORM(1), TANH, RESIDUAL(1)}},

    {"transposed conv", 24, 0, 3, {IMAGE(3, 2, 4), UPCONV(3, 4, 2, 1), TANH}},
    {"transposed conv in groups", 24, 0, 2, {IMAGE(2, 3, 4), UPCONV_GROUPS(6, 3, 2, 0, 2)}},
    {"transposed conv of single pixels",
     12,
     0,
     4,
     {IMAGE(2, 2, 3), UPCONV(2, 1, 1, 0), LEAKY(0.2f), DENSE(2)}},
    {"transposed conv with gaps", 12, 0, 3, {IMAGE(2, 3, 2), UPCONV(2, 2, 3, 0), DENSE(1)}},
    {"transposed conv of the layer before, joined",
     8,
     0,
     6,
     {IMAGE(2, 2, 2), CONV(2, 1, 1, 0), UPCONV(2, 3, 1, 1), RESIDUAL(1), TANH, DENSE(2)}},
    {"generator of images",
     5,
     0,
     8,
     {DENSE(24), IMAGE(2, 2, 6), GROUP_NORM(2), LEAKY(0.0f), UPCONV(4, 4, 2, 1), LEAKY(0.0f),
      UPCONV(2, 4, 2, 1), TANH}},
    {"generator of images by class",
     4,
     3,
     5,
     {BY_CLASS, DENSE(12), IMAGE(2, 2, 3), UPCONV(2, 2, 2, 0), TANH}},
};
const size_t plan_count = sizeof plans / sizeof *plans;

size_t plan_named(const char *name)
{
    size_t which = 0;
    while (which < plan_count && strcmp(plans[which].name, name) != 0)
        which++;
    ck_assert_msg(which < plan_count, "no plan \"%s\"", name);
    return which;
}
