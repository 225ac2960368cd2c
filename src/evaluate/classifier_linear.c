/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/classifier.h"

/* Logistic regression and ridge by liblinear: min ½‖w‖² + cost·Σ loss (Fan et al. 2008). */

#include <limits.h>
#include <linear.h>
#include <math.h>

typedef struct linear {
    size_t outputs; /* 1 for two classes or a number, else one for each class */
    size_t classes;
    double *weights; /* [width + 1, outputs], the last row the bias */
    sotto_arena *arena;
} linear;

static void say_nothing(const char *text)
{
    (void)text;
}

/* Rows as lists of features that are not zero, the bias last; each ends with the index −1. */
static void write_nodes(const sotto_features *features, struct feature_node *node,
                        struct feature_node **starts)
{
    const size_t entries = features->plan->entries;
    for (size_t i = 0; i < features->rows; i++) {
        starts[i] = node;
        for (size_t e = i * entries; e < (i + 1) * entries; e++)
            if (features->values[e] != 0)
                *node++ = (struct feature_node){(int)features->columns[e] + 1, (double)features->values[e]};
        *node++ = (struct feature_node){(int)features->plan->width + 1, 1};
        *node++ = (struct feature_node){-1, 0};
    }
}

/* What liblinear is to learn, and where in the parent's memory it may note down what. */
typedef struct linear_task {
    struct problem problem;
    struct parameter parameter;
    size_t classes, outputs;
    int *labels; /* [classes] */
} linear_task;

static void copy_weights(const linear_task *task, const struct model *model, double *weights)
{
    const size_t width = (size_t)task->problem.n - 1;
    if (task->classes > 0)
        get_labels(model, task->labels);
    for (size_t k = 0; k < task->outputs; k++) {
        /* With two classes the one output speaks for class 1, wherever liblinear has put it. */
        const size_t wanted = task->classes == 2 ? 1 : k;
        size_t at = 0;
        while (at + 1 < task->classes && task->labels[at] != (int)wanted)
            at++;
        for (size_t j = 0; j < width; j++)
            weights[j * task->outputs + k] = get_decfun_coef(model, (int)j + 1, (int)at);
        weights[width * task->outputs + k] = get_decfun_bias(model, (int)at);
    }
}

/* In a process of its own: liblinear takes no heed of memory that it does not get, and would take all with
 * it. Nothing is freed there. */
static bool learn(void *context, void *weights)
{
    linear_task *task = context;
    set_print_string_function(say_nothing);
    const struct model *model = train(&task->problem, &task->parameter);
    if (!model)
        return false;
    copy_weights(task, model, weights);
    return true;
}

static sotto_status solve(linear *made, const sotto_classifier_options *options,
                          const sotto_features *features, double *targets, sotto_arena *scratch,
                          sotto_error *err)
{
    const size_t rows = features->rows, width = features->plan->width;
    struct feature_node **starts = sotto_arena_take(scratch, rows, sizeof *starts, err);
    struct feature_node *nodes =
        sotto_arena_take(scratch, rows, (features->plan->entries + 2) * sizeof *nodes, err);
    int *labels = sotto_arena_take(scratch, made->classes, sizeof *labels, err);
    if (!starts || !nodes || !labels)
        return SOTTO_ERROR_MEMORY;
    write_nodes(features, nodes, starts);
    /* Both solvers are trust-region Newton methods without random numbers. p = 0 makes the regression's loss
     * the plain square. */
    linear_task task = {
        .problem = {.l = (int)rows, .n = (int)width + 1, .y = targets, .x = starts, .bias = 1},
        .parameter = {.solver_type = made->classes > 0 ? L2R_LR : L2R_L2LOSS_SVR,
                      .eps = 1e-4,
                      .C = options->cost > 0 ? options->cost : 1},
        .classes = made->classes,
        .outputs = made->outputs,
        .labels = labels,
    };
    const char *wrong = check_parameter(&task.problem, &task.parameter);
    if (wrong)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "liblinear refuses: %s", wrong);
    return sotto_apart(learn, &task, made->weights, (width + 1) * made->outputs * sizeof *made->weights,
                       "a logistic or ridge regression by liblinear", err);
}

static void linear_destroy(void *state)
{
    linear *made = state;
    sotto_arena_destroy(made->arena);
}

static sotto_status linear_fit(void **state, const sotto_classifier_options *options, size_t classes,
                               const sotto_features *features, const double *targets, sotto_error *err)
{
    if (features->rows > INT_MAX || features->plan->width >= INT_MAX || classes > INT_MAX)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%zu rows of %zu features are too many for liblinear",
                               features->rows, features->plan->width);
    const size_t outputs = classes > 2 ? classes : 1;
    sotto_arena *arena = NULL, *scratch = NULL;
    linear *made = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&scratch, err);
    double *weights = NULL, *copy = NULL;
    if (status == SOTTO_OK) {
        made = sotto_arena_take(arena, 1, sizeof *made, err);
        weights = sotto_arena_take(arena, features->plan->width + 1, outputs * sizeof *weights, err);
        copy = sotto_arena_take(scratch, features->rows, sizeof *copy, err);
        status = made && weights && copy ? SOTTO_OK : SOTTO_ERROR_MEMORY;
    }
    if (status == SOTTO_OK) {
        *made = (linear){.outputs = outputs, .classes = classes, .weights = weights, .arena = arena};
        for (size_t i = 0; i < features->rows; i++)
            copy[i] = targets[i];
        status = solve(made, options, features, copy, scratch, err);
    }
    sotto_arena_destroy(scratch);
    if (status != SOTTO_OK) {
        sotto_arena_destroy(arena);
        return status;
    }
    *state = made;
    return SOTTO_OK;
}

static sotto_status linear_predict(const void *state, const sotto_features *features, double *out,
                                   sotto_error *err)
{
    (void)err;
    const linear *made = state;
    const size_t entries = features->plan->entries, width = features->plan->width;
    const size_t columns = made->classes > 0 ? made->classes : 1;
    for (size_t i = 0; i < features->rows; i++)
        for (size_t k = 0; k < made->outputs; k++) {
            double sum = made->weights[width * made->outputs + k];
            for (size_t e = i * entries; e < (i + 1) * entries; e++)
                sum += made->weights[features->columns[e] * made->outputs + k] * (double)features->values[e];
            double *at = out + i * columns + k;
            if (made->classes == 0) {
                *at = sum;
            } else if (made->classes == 2) {
                at[0] = 1 / (1 + exp(sum));
                at[1] = 1 / (1 + exp(-sum));
            } else {
                *at = 1 / (1 + exp(-sum));
            }
        }
    return SOTTO_OK;
}

const sotto_learner sotto_learner_linear = {linear_fit, linear_predict, linear_destroy};
