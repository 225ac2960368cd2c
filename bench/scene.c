/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/scene.h"

#include <string.h>

static const float slope = 0.2f;

/* inputs-hidden-hidden-outputs. */
static bench_shape perceptron(size_t inputs, size_t hidden, size_t outputs)
{
    return (bench_shape){.inputs = inputs,
                         .count = 5,
                         .layers = {sotto_layer_dense(hidden), sotto_layer_leaky_relu(slope),
                                    sotto_layer_dense(hidden), sotto_layer_leaky_relu(slope),
                                    sotto_layer_dense(outputs)}};
}

/* 28 × 28 pixels to 14 × 14 and 7 × 7, in 32 and 64 channels. */
static bench_shape convolutions(void)
{
    return (bench_shape){.inputs = (size_t)28 * 28,
                         .count = 6,
                         .layers = {sotto_layer_image(28, 28, 1), sotto_layer_conv(32, 4, 2, 1),
                                    sotto_layer_leaky_relu(slope), sotto_layer_conv(64, 4, 2, 1),
                                    sotto_layer_leaky_relu(slope), sotto_layer_dense(1)}};
}

bench_scene bench_scene_make(sotto_bench_case which)
{
    switch (which) {
    case SOTTO_BENCH_WIDE:
        return (bench_scene){.discriminator = perceptron(512, 1024, 1), .least_rows = 16384};
    case SOTTO_BENCH_CONV:
        return (bench_scene){.discriminator = convolutions(), .least_rows = 4096};
    case SOTTO_BENCH_GAN:
        return (bench_scene){.discriminator = perceptron(128, 256, 1),
                             .generator = perceptron(128, 256, 128),
                             .least_rows = 16384};
    case SOTTO_BENCH_DENSE:
    case SOTTO_BENCH_CASES:
        break;
    }
    return (bench_scene){.discriminator = perceptron(128, 256, 1), .least_rows = 16384};
}

/* ------------------------------------------------------------------- operations */

/* Multiply-adds for one row: of all layers, and of the first one that has any. */
struct products {
    double all, first;
};

/* Multiply-adds of one layer on `columns` columns, which become the layer's outputs. */
static double layer_products(const sotto_layer *layer, sotto_layer *image, size_t *columns)
{
    double count = 0;
    if (layer->kind == SOTTO_LAYER_IMAGE)
        *image = *layer;
    if (layer->kind == SOTTO_LAYER_DENSE) {
        count = (double)*columns * (double)layer->outputs;
        *columns = layer->outputs;
    }
    if (layer->kind == SOTTO_LAYER_CONV) {
        const double patch = (double)(layer->kernel * layer->kernel * image->channels);
        image->height = (image->height + 2 * layer->padding - layer->kernel) / layer->stride + 1;
        image->width = (image->width + 2 * layer->padding - layer->kernel) / layer->stride + 1;
        image->channels = layer->outputs;
        *columns = image->height * image->width * image->channels;
        count = patch * (double)*columns;
    }
    return count;
}

static struct products shape_products(const bench_shape *shape)
{
    struct products sum = {0, 0};
    sotto_layer image = {.channels = 1};
    size_t columns = shape->inputs;
    for (size_t i = 0; i < shape->count; i++) {
        const double count = layer_products(&shape->layers[i], &image, &columns);
        sum.first = sum.all > 0 ? sum.first : count;
        sum.all += count;
    }
    return sum;
}

double bench_scene_operations(const bench_scene *scene, size_t batch)
{
    const double rows = (double)batch;
    const struct products d = shape_products(&scene->discriminator);
    const struct products g = shape_products(&scene->generator);
    if (scene->generator.count == 0)
        return 2 * rows * (3 * d.all - d.first);
    const double fakes = g.all;
    const double discriminator = 2 * (3 * d.all - d.first);
    const double generator =
        3 * g.all - g.first + 2 * d.all; /* the weights of d stay: no gradient for them */
    return 2 * rows * (fakes + discriminator + generator);
}

/* ------------------------------------------------------------------------- pool */

void bench_pool_leave(bench_pool *pool)
{
    sotto_random_destroy(pool->random);
    sotto_arena_destroy(pool->arena);
    *pool = (bench_pool){0};
}

sotto_status bench_pool_enter(bench_pool *pool, const bench_scene *scene, size_t batch, sotto_error *err)
{
    const size_t rows = 4 * batch > scene->least_rows ? 4 * batch : scene->least_rows;
    *pool = (bench_pool){.rows = rows, .inputs = scene->discriminator.inputs};
    sotto_stream *stream;
    sotto_status status = sotto_arena_create(&pool->arena, err);
    if (status != SOTTO_OK)
        return status;
    pool->x = sotto_arena_take(pool->arena, rows, pool->inputs * sizeof *pool->x, err);
    pool->units = sotto_arena_take(pool->arena, rows, sizeof *pool->units, err);
    if (!pool->x || !pool->units)
        return SOTTO_ERROR_MEMORY;
    status = sotto_random_create_insecure_for_tests(&pool->random, 1, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&stream, pool->random, SOTTO_PURPOSE_GENERATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_stream_gaussian(stream, 1.0, pool->x, rows * pool->inputs);
    for (size_t i = 0; i < rows; i++)
        pool->units[i] = (uint32_t)i;
    sotto_stream_destroy(stream);
    return SOTTO_OK;
}
