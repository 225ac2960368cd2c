/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/classifier.h"

/* Gradient-boosted trees by XGBoost (Chen and Guestrin 2016), on histograms and in one thread. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

/* Each round grows a tree for each class: with many classes there are fewer rounds. */
enum { ROUNDS = 150, ROUNDS_LEAST = 30, TREES = 450 };

typedef struct trees {
    BoosterHandle booster;
    size_t outputs; /* floats predicted for a row: 1 for two classes or a number */
    size_t classes;
    sotto_arena *arena;
} trees;

/* Every call goes through here: 0, or the first line of XGBoost's complaint as our error. */
static sotto_status checked(int code, const char *what, sotto_error *err)
{
    if (code == 0)
        return SOTTO_OK;
    const char *why = XGBGetLastError();
    return sotto_error_set(err, SOTTO_ERROR_NUMERIC, "XGBoost could not %s: %.*s", what,
                           (int)strcspn(why, "\n"), why);
}

static sotto_status matrix_create(DMatrixHandle *matrix, const sotto_features *features, sotto_error *err)
{
    const size_t columns = features->plan->field_count;
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    float *dense = sotto_arena_take(scratch, features->rows, columns * sizeof *dense, err);
    if (dense) {
        sotto_features_dense(features, dense);
        status = checked(XGDMatrixCreateFromMat_omp(dense, features->rows, columns, NAN, matrix, 1),
                         "read the features", err);
    } else {
        status = SOTTO_ERROR_MEMORY;
    }
    sotto_arena_destroy(scratch);
    return status;
}

static sotto_status set_labels(DMatrixHandle matrix, const double *targets, size_t rows, sotto_error *err)
{
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    float *labels = sotto_arena_take(scratch, rows, sizeof *labels, err);
    for (size_t i = 0; labels && i < rows; i++)
        labels[i] = (float)targets[i];
    status = labels ? checked(XGDMatrixSetFloatInfo(matrix, "label", labels, rows), "read the targets", err)
                    : SOTTO_ERROR_MEMORY;
    sotto_arena_destroy(scratch);
    return status;
}

static sotto_status set_parameters(const trees *made, sotto_error *err)
{
    char classes[32];
    snprintf(classes, sizeof classes, "%zu", made->classes);
    const char *const parameters[][2] = {
        {"verbosity", "0"},
        {"nthread", "1"},
        {"objective", made->classes == 0   ? "reg:squarederror"
                      : made->classes == 2 ? "binary:logistic"
                                           : "multi:softprob"},
        {"tree_method", "hist"},
        {"max_depth", "6"},
        {"eta", "0.1"},
        {"seed", "0"},
        /* The last one, for three classes and more only. */
        {"num_class", classes},
    };
    const size_t count = sizeof parameters / sizeof *parameters - (made->classes > 2 ? 0 : 1);
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < count; i++)
        status = checked(XGBoosterSetParam(made->booster, parameters[i][0], parameters[i][1]),
                         "take a parameter", err);
    return status;
}

static void trees_destroy(void *state)
{
    trees *made = state;
    if (made->booster)
        XGBoosterFree(made->booster);
    sotto_arena_destroy(made->arena);
}

static sotto_status grow(trees *made, const sotto_features *features, const double *targets, sotto_error *err)
{
    DMatrixHandle matrix = NULL;
    sotto_status status = matrix_create(&matrix, features, err);
    if (status == SOTTO_OK)
        status = set_labels(matrix, targets, features->rows, err);
    if (status == SOTTO_OK)
        status = checked(XGBoosterCreate(&matrix, 1, &made->booster), "start", err);
    if (status == SOTTO_OK)
        status = set_parameters(made, err);
    size_t rounds = made->outputs * ROUNDS > TREES ? TREES / made->outputs : ROUNDS;
    rounds = rounds < ROUNDS_LEAST ? ROUNDS_LEAST : rounds;
    for (size_t i = 0; status == SOTTO_OK && i < rounds; i++)
        status = checked(XGBoosterUpdateOneIter(made->booster, (int)i, matrix), "grow a tree", err);
    if (matrix)
        XGDMatrixFree(matrix);
    return status;
}

static sotto_status trees_fit(void **state, const sotto_classifier_options *options, size_t classes,
                              const sotto_features *features, const double *targets, sotto_error *err)
{
    (void)options;
    sotto_arena *arena = NULL;
    /* The setting is this thread's own: nothing is printed before a booster knows its verbosity either. */
    sotto_status status = checked(XGBSetGlobalConfig("{\"verbosity\": 0}"), "be silent", err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    trees *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (trees){.classes = classes, .outputs = classes > 2 ? classes : 1, .arena = arena};
    status = grow(made, features, targets, err);
    if (status != SOTTO_OK) {
        trees_destroy(made);
        return status;
    }
    *state = made;
    return SOTTO_OK;
}

static sotto_status trees_predict(const void *state, const sotto_features *features, double *out,
                                  sotto_error *err)
{
    static const char how[] =
        "{\"type\": 0, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
        "\"strict_shape\": true}";
    const trees *made = state;
    DMatrixHandle matrix = NULL;
    const bst_ulong *shape = NULL;
    bst_ulong dimensions = 0;
    const float *predicted = NULL;
    sotto_status status = checked(XGBSetGlobalConfig("{\"verbosity\": 0}"), "be silent", err);
    if (status == SOTTO_OK)
        status = matrix_create(&matrix, features, err);
    if (status == SOTTO_OK)
        status =
            checked(XGBoosterPredictFromDMatrix(made->booster, matrix, how, &shape, &dimensions, &predicted),
                    "predict", err);
    for (size_t i = 0; status == SOTTO_OK && i < features->rows * made->outputs; i++) {
        const double value = (double)predicted[i];
        if (made->classes == 2) {
            out[2 * i] = 1 - value;
            out[2 * i + 1] = value;
        } else {
            out[i] = value;
        }
    }
    if (matrix)
        XGDMatrixFree(matrix);
    return status;
}

const sotto_learner sotto_learner_trees = {trees_fit, trees_predict, trees_destroy};
