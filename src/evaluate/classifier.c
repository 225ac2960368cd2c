/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/classifier.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "tensor/tensor.h"

/* What all kinds have in common: which classes occur, and the scale of a number. */
struct sotto_classifier {
    size_t classes;
    size_t present;   /* classes that occur */
    size_t *class_of; /* [present] */
    double *shares;   /* [classes] */
    double mean, deviation;
    const sotto_learner *learner; /* NULL: the shares, or the mean, are all there is to say */
    void *state;
    sotto_arena *arena;
};

const char *sotto_classifier_name(sotto_classifier_kind kind, bool number)
{
    if (kind == SOTTO_CLASSIFIER_LINEAR)
        return number ? "ridge" : "logistic";
    return kind == SOTTO_CLASSIFIER_TREES ? "trees" : "mlp";
}

const char *sotto_classifier_unavailable(sotto_classifier_kind kind)
{
#ifndef SOTTO_LIBLINEAR
    if (kind == SOTTO_CLASSIFIER_LINEAR)
        return "this sotto was built without liblinear";
#endif
#ifndef SOTTO_XGBOOST
    if (kind == SOTTO_CLASSIFIER_TREES)
        return "this sotto was built without XGBoost";
#endif
    (void)kind;
    return NULL;
}

static const sotto_learner *learner_of(sotto_classifier_kind kind)
{
#ifdef SOTTO_LIBLINEAR
    if (kind == SOTTO_CLASSIFIER_LINEAR)
        return &sotto_learner_linear;
#endif
#ifdef SOTTO_XGBOOST
    if (kind == SOTTO_CLASSIFIER_TREES)
        return &sotto_learner_trees;
#endif
    return kind == SOTTO_CLASSIFIER_MLP ? &sotto_learner_mlp : NULL;
}

/* ---------------------------------------------------------------- targets */

static sotto_status check_targets(const sotto_classifier_options *options, const sotto_features *features,
                                  const double *targets, sotto_error *err)
{
    const size_t classes = options->classes;
    if (features->rows == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a model cannot be fitted to no rows");
    if (classes == 1)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a model of 1 class was asked for; at least 2 are needed");
    if (!learner_of(options->kind)) {
        const char *why = sotto_classifier_unavailable(options->kind);
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "no such model: %s", why ? why : "unknown kind");
    }
    for (size_t i = 0; i < features->rows; i++) {
        const bool fine =
            classes == 0 ? isfinite(targets[i]) != 0
                         : targets[i] >= 0 && targets[i] < (double)classes && targets[i] == floor(targets[i]);
        if (!fine)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "the target of row %zu is not %s", i,
                                   classes == 0 ? "a finite number" : "one of the classes");
    }
    return SOTTO_OK;
}

static void measure_classes(sotto_classifier *model, const double *targets, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        model->shares[(size_t)targets[i]] += 1;
    for (size_t k = 0; k < model->classes; k++) {
        if (model->shares[k] > 0)
            model->class_of[model->present++] = k;
        model->shares[k] /= (double)rows;
    }
}

static void measure_number(sotto_classifier *model, const double *targets, size_t rows)
{
    double squares = 0;
    bool constant = true;
    for (size_t i = 0; i < rows; i++) {
        model->mean += targets[i] / (double)rows;
        constant = constant && targets[i] == targets[0];
    }
    if (constant)
        model->mean = targets[0];
    for (size_t i = 0; i < rows; i++)
        squares += (targets[i] - model->mean) * (targets[i] - model->mean);
    model->deviation = constant ? 0 : sqrt(squares / (double)rows);
}

/* Targets as learners want them: classes numbered without gaps, numbers of mean 0 and deviation 1. */
static sotto_status translate(const sotto_classifier *model, const double *targets, size_t rows,
                              double *translated, sotto_arena *scratch, sotto_error *err)
{
    double *number_of = sotto_arena_take(scratch, model->classes, sizeof *number_of, err);
    if (!number_of)
        return SOTTO_ERROR_MEMORY;
    for (size_t k = 0; k < model->present; k++)
        number_of[model->class_of[k]] = (double)k;
    for (size_t i = 0; i < rows; i++)
        translated[i] = model->classes > 0 ? number_of[(size_t)targets[i]]
                                           : (targets[i] - model->mean) / model->deviation;
    return SOTTO_OK;
}

/* ------------------------------------------------------------ fit, predict */

static sotto_status learn(sotto_classifier *model, const sotto_classifier_options *options,
                          const sotto_features *features, const double *targets, sotto_error *err)
{
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    double *translated = sotto_arena_take(scratch, features->rows, sizeof *translated, err);
    status =
        translated ? translate(model, targets, features->rows, translated, scratch, err) : SOTTO_ERROR_MEMORY;
    if (status == SOTTO_OK)
        status = model->learner->fit(&model->state, options, model->present, features, translated, err);
    sotto_arena_destroy(scratch);
    return status;
}

sotto_status sotto_classifier_fit(sotto_classifier **model, const sotto_classifier_options *options,
                                  const sotto_features *features, const double *targets, sotto_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, sotto_tensor_initialise); /* liblinear may call the same BLAS */
    sotto_arena *arena = NULL;
    sotto_status status = check_targets(options, features, targets, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_classifier *made = sotto_arena_take(arena, 1, sizeof *made, err);
    size_t *class_of = sotto_arena_take(arena, options->classes, sizeof *class_of, err);
    double *shares = sotto_arena_take(arena, options->classes, sizeof *shares, err);
    if (!made || !class_of || !shares) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_classifier){
        .classes = options->classes, .class_of = class_of, .shares = shares, .arena = arena};
    if (made->classes > 0)
        measure_classes(made, targets, features->rows);
    else
        measure_number(made, targets, features->rows);
    const bool varies = made->classes > 0 ? made->present > 1 : made->deviation > 0;
    if (varies && features->plan->width > 0) {
        made->learner = learner_of(options->kind);
        status = learn(made, options, features, targets, err);
    }
    if (status != SOTTO_OK) {
        sotto_classifier_destroy(made);
        return status;
    }
    *model = made;
    return SOTTO_OK;
}

/* The learner's `present` probabilities of a row, which sum to about 1, among all classes. */
static void spread(const sotto_classifier *model, const double *learned, double *out)
{
    double sum = 0;
    memset(out, 0, model->classes * sizeof *out);
    for (size_t k = 0; k < model->present; k++)
        sum += learned[k];
    for (size_t k = 0; k < model->present; k++)
        out[model->class_of[k]] = sum > 0 ? learned[k] / sum : 1.0 / (double)model->present;
}

static void predict_shares(const sotto_classifier *model, size_t rows, double *out)
{
    for (size_t i = 0; i < rows; i++)
        if (model->classes > 0)
            memcpy(out + i * model->classes, model->shares, model->classes * sizeof *out);
        else
            out[i] = model->mean;
}

sotto_status sotto_classifier_predict(const sotto_classifier *model, const sotto_features *features,
                                      double *out, sotto_error *err)
{
    if (!model->learner) {
        predict_shares(model, features->rows, out);
        return SOTTO_OK;
    }
    if (model->classes == 0) {
        sotto_status status = model->learner->predict(model->state, features, out, err);
        for (size_t i = 0; status == SOTTO_OK && i < features->rows; i++)
            out[i] = model->mean + model->deviation * out[i];
        return status;
    }
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    double *learned = sotto_arena_take(scratch, features->rows, model->present * sizeof *learned, err);
    status = learned ? model->learner->predict(model->state, features, learned, err) : SOTTO_ERROR_MEMORY;
    for (size_t i = 0; status == SOTTO_OK && i < features->rows; i++)
        spread(model, learned + i * model->present, out + i * model->classes);
    sotto_arena_destroy(scratch);
    return status;
}

void sotto_classifier_destroy(sotto_classifier *model)
{
    if (!model)
        return;
    if (model->learner && model->state)
        model->learner->destroy(model->state);
    sotto_arena_destroy(model->arena);
}
