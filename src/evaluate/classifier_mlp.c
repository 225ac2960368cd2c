/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/classifier.h"

#include <math.h>
#include <string.h>

#include "network/network.h"

/* A small network, trained for a fixed time: Adam, batches of 256, the rate falling to 0 over the second
 * half. */
enum { HIDDEN = 64, BATCH = 256, EXAMPLES = 300000, EPOCHS_LEAST = 8, EPOCHS_MOST = 60 };
#define RATE 2e-3

typedef struct mlp {
    size_t classes;
    sotto_network *network;
    sotto_weights *weights;
    float *parameters;
    sotto_arena *arena;
} mlp;

/* What training alone needs. */
typedef struct training {
    const sotto_features *features;
    const double *targets;
    sotto_workspace *workspace;
    sotto_optimizer *optimizer;
    float *gradient;
    uint32_t *order;   /* [rows] */
    uint32_t *columns; /* [BATCH, entries] */
    float *values;     /* [BATCH, entries] */
    sotto_arena *arena;
} training;

static void mlp_destroy(void *state)
{
    mlp *made = state;
    if (!made)
        return;
    sotto_weights_destroy(made->weights);
    sotto_network_destroy(made->network);
    sotto_arena_destroy(made->arena);
}

static sotto_status mlp_create(mlp **state, size_t inputs, size_t classes, sotto_stream *stream,
                               sotto_error *err)
{
    const sotto_layer layers[] = {sotto_layer_dense(HIDDEN), sotto_layer_relu(), sotto_layer_dense(HIDDEN),
                                  sotto_layer_relu(), sotto_layer_dense(classes > 0 ? classes : 1)};
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    mlp *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (mlp){.classes = classes, .arena = arena};
    status = sotto_network_create(&made->network, inputs, 0, layers, sizeof layers / sizeof *layers, err);
    if (status == SOTTO_OK) {
        made->parameters =
            sotto_arena_take(arena, sotto_network_parameters(made->network), sizeof *made->parameters, err);
        status = made->parameters ? SOTTO_OK : SOTTO_ERROR_MEMORY;
    }
    if (status == SOTTO_OK) {
        sotto_network_initialise(made->network, stream, made->parameters);
        status = sotto_weights_create(&made->weights, made->network, made->parameters, err);
    }
    if (status != SOTTO_OK) {
        mlp_destroy(made);
        return status;
    }
    *state = made;
    return SOTTO_OK;
}

/* ---------------------------------------------------------------- training */

static void training_destroy(training *run)
{
    sotto_workspace_destroy(run->workspace);
    sotto_optimizer_destroy(run->optimizer);
    sotto_arena_destroy(run->arena);
}

static sotto_status training_create(training *run, const mlp *model, sotto_error *err)
{
    const sotto_optimizer_options adam = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    const size_t parameters = sotto_network_parameters(model->network), rows = run->features->rows;
    const size_t row = run->features->plan->entries;
    sotto_status status = sotto_arena_create(&run->arena, err);
    if (status != SOTTO_OK)
        return status;
    run->gradient = sotto_arena_take(run->arena, parameters, sizeof *run->gradient, err);
    run->order = sotto_arena_take(run->arena, rows, sizeof *run->order, err);
    run->columns = sotto_arena_take(run->arena, row, BATCH * sizeof *run->columns, err);
    run->values = sotto_arena_take(run->arena, row, BATCH * sizeof *run->values, err);
    if (!run->gradient || !run->order || !run->columns || !run->values)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < rows; i++)
        run->order[i] = (uint32_t)i;
    status = sotto_optimizer_create(&run->optimizer, &adam, parameters, model->parameters, err);
    if (status != SOTTO_OK)
        return status;
    return sotto_workspace_create(&run->workspace, model->network, BATCH, 1, err);
}

/* The gradient of the mean loss of a batch: softmax minus one-hot, or prediction minus target. */
static void write_gradient(const training *run, const uint32_t *rows, size_t count, size_t classes,
                           const float *output)
{
    float *gradient = sotto_workspace_output_gradient(run->workspace);
    const float share = 1.0f / (float)count;
    if (classes == 0) {
        for (size_t i = 0; i < count; i++)
            gradient[i] = (output[i] - (float)run->targets[rows[i]]) * share;
        return;
    }
    const sotto_tensor_segment all = {0, classes};
    memcpy(gradient, output, count * classes * sizeof *gradient);
    sotto_tensor_softmax(count, classes, &all, 1, gradient);
    for (size_t i = 0; i < count; i++) {
        gradient[i * classes + (size_t)run->targets[rows[i]]] -= 1;
        for (size_t k = 0; k < classes; k++)
            gradient[i * classes + k] *= share;
    }
}

static sotto_status train_batch(training *run, mlp *model, const uint32_t *rows, size_t count, double rate,
                                sotto_error *err)
{
    const size_t row = run->features->plan->entries;
    for (size_t i = 0; i < count; i++) {
        memcpy(run->columns + i * row, run->features->columns + rows[i] * row, row * sizeof *run->columns);
        memcpy(run->values + i * row, run->features->values + rows[i] * row, row * sizeof *run->values);
    }
    sotto_workspace_use(run->workspace, count);
    sotto_status status = sotto_workspace_entries(run->workspace, count, row, run->columns, run->values, err);
    if (status != SOTTO_OK)
        return status;
    const float *output = sotto_network_forward(model->weights, run->workspace);
    write_gradient(run, rows, count, model->classes, output);
    sotto_network_backward(model->weights, run->workspace, false);
    sotto_network_weighted_gradient(model->network, run->workspace, NULL, false, run->gradient, false);
    sotto_optimizer_step(run->optimizer, rate, 0, run->gradient, model->parameters);
    sotto_weights_refresh(model->weights);
    return SOTTO_OK;
}

/* About EXAMPLES rows in all, so that a small table is seen more often; the rows in a new order each time. */
static sotto_status train_epochs(training *run, mlp *model, sotto_stream *stream, sotto_error *err)
{
    const size_t rows = run->features->rows, batches = (rows + BATCH - 1) / BATCH;
    size_t epochs = EXAMPLES / rows;
    epochs = epochs < EPOCHS_LEAST ? EPOCHS_LEAST : epochs > EPOCHS_MOST ? EPOCHS_MOST : epochs;
    const sotto_schedule schedule = {.rate = RATE, .steps = epochs * batches, .decay_fraction = 0.5};
    sotto_status status = SOTTO_OK;
    for (size_t step = 0; status == SOTTO_OK && step < epochs * batches; step++) {
        const size_t first = step % batches * BATCH;
        if (first == 0)
            sotto_rows_shuffle(run->order, rows, stream);
        const size_t count = rows - first < BATCH ? rows - first : BATCH;
        status =
            train_batch(run, model, run->order + first, count, sotto_schedule_rate(&schedule, step), err);
    }
    return status;
}

static sotto_status mlp_fit(void **state, const sotto_classifier_options *options, size_t classes,
                            const sotto_features *features, const double *targets, sotto_error *err)
{
    if (!options->stream)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a network was to be trained without random numbers");
    mlp *made = NULL;
    training run = {.features = features, .targets = targets};
    sotto_status status = mlp_create(&made, features->plan->width, classes, options->stream, err);
    if (status == SOTTO_OK)
        status = training_create(&run, made, err);
    if (status == SOTTO_OK)
        status = train_epochs(&run, made, options->stream, err);
    training_destroy(&run);
    if (status != SOTTO_OK) {
        mlp_destroy(made);
        return status;
    }
    *state = made;
    return SOTTO_OK;
}

/* -------------------------------------------------------------- prediction */

static void write_outputs(const mlp *model, const float *output, size_t count, double *out)
{
    if (model->classes == 0) {
        for (size_t i = 0; i < count; i++)
            out[i] = (double)output[i];
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const float *logits = output + i * model->classes;
        double *at = out + i * model->classes, highest = -INFINITY, sum = 0;
        for (size_t k = 0; k < model->classes; k++)
            highest = fmax(highest, (double)logits[k]);
        for (size_t k = 0; k < model->classes; k++)
            sum += at[k] = exp((double)logits[k] - highest);
        for (size_t k = 0; k < model->classes; k++)
            at[k] /= sum;
    }
}

static sotto_status mlp_predict(const void *state, const sotto_features *features, double *out,
                                sotto_error *err)
{
    const mlp *model = state;
    const size_t row = features->plan->entries, columns = model->classes > 0 ? model->classes : 1;
    sotto_workspace *workspace = NULL;
    sotto_status status = sotto_workspace_create(&workspace, model->network, BATCH, 1, err);
    for (size_t first = 0; status == SOTTO_OK && first < features->rows; first += BATCH) {
        const size_t count = features->rows - first < BATCH ? features->rows - first : BATCH;
        sotto_workspace_use(workspace, count);
        status = sotto_workspace_entries(workspace, count, row, features->columns + first * row,
                                         features->values + first * row, err);
        if (status == SOTTO_OK)
            write_outputs(model, sotto_network_forward(model->weights, workspace), count,
                          out + first * columns);
    }
    sotto_workspace_destroy(workspace);
    return status;
}

const sotto_learner sotto_learner_mlp = {mlp_fit, mlp_predict, mlp_destroy};
