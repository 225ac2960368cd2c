/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Which real rows a logistic regression guesses rightly that learned from synthetic ones. */
#include <stdlib.h>

#include "evaluate/classifier.h"

enum { LEARN_FROM = 100000 }; /* synthetic rows, which are alike: more take time and tell no more */

/* What was learned. `model` is NULL where no synthetic row tells the target: then the guess is 0. */
struct learned {
    const sotto_table *synthetic;
    size_t target, classes;
    uint32_t *rows; /* [LEARN_FROM] */
    double *targets;
    bool *left_out;
    sotto_features_plan *plan;
    sotto_classifier *model;
};

static void forget(struct learned *learned)
{
    sotto_classifier_destroy(learned->model);
    sotto_features_plan_destroy(learned->plan);
    free(learned->rows);
    free(learned->targets);
    free(learned->left_out);
}

static size_t gather(struct learned *learned)
{
    const size_t rows = sotto_table_rows(learned->synthetic);
    size_t count = 0;
    for (size_t i = 0; i < rows && count < LEARN_FROM; i++) {
        const size_t value = sotto_table_category(learned->synthetic, i, learned->target);
        if (value == SOTTO_NONE)
            continue;
        learned->rows[count] = (uint32_t)i;
        learned->targets[count++] = (double)value;
    }
    return count;
}

static sotto_status fit(struct learned *learned, size_t count, sotto_error *err)
{
    const sotto_features_source source = {learned->synthetic, learned->rows, count};
    const sotto_classifier_options options = {.kind = SOTTO_CLASSIFIER_LINEAR, .classes = learned->classes};
    sotto_features *features = NULL;
    sotto_status status = sotto_features_plan_create(&learned->plan, &source, 1, learned->left_out, err);
    if (status == SOTTO_OK)
        status = sotto_features_create(&features, learned->plan, count, err);
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, 0, &source, NULL, err);
    if (status == SOTTO_OK)
        status = sotto_classifier_fit(&learned->model, &options, features, learned->targets, err);
    sotto_features_destroy(features);
    return status;
}

static sotto_status learn(struct learned *learned, sotto_error *err)
{
    learned->rows = calloc(LEARN_FROM, sizeof *learned->rows);
    learned->targets = calloc(LEARN_FROM, sizeof *learned->targets);
    learned->left_out =
        calloc(sotto_table_schema(learned->synthetic)->column_count, sizeof *learned->left_out);
    if (!learned->rows || !learned->targets || !learned->left_out)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    learned->left_out[learned->target] = true;
    const size_t count = gather(learned);
    return count > 0 ? fit(learned, count, err) : SOTTO_OK;
}

static size_t likeliest(const double *probabilities, size_t classes)
{
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (probabilities[k] > probabilities[best])
            best = k;
    return best;
}

/* Some real rows at once: each is guessed by itself. */
static sotto_status guess(const struct learned *learned, const sotto_features_source *real,
                          double *probabilities, uint8_t *right, sotto_error *err)
{
    sotto_features *features = NULL;
    sotto_status status = SOTTO_OK;
    if (learned->model) {
        status = sotto_features_create(&features, learned->plan, real->count, err);
        if (status == SOTTO_OK)
            status = sotto_features_fill(features, 0, real, NULL, err);
        if (status == SOTTO_OK)
            status = sotto_classifier_predict(learned->model, features, probabilities, err);
        sotto_features_destroy(features);
    }
    for (size_t i = 0; i < real->count && status == SOTTO_OK; i++)
        right[real->rows[i]] = sotto_table_category(real->table, real->rows[i], learned->target) ==
                               likeliest(probabilities + i * learned->classes, learned->classes);
    return status;
}

const char *sotto_evaluate_no_guesses(void)
{
    return sotto_classifier_unavailable(SOTTO_CLASSIFIER_LINEAR);
}

sotto_status sotto_evaluate_guesses(const sotto_table *synthetic, const sotto_table *real,
                                    const uint32_t *rows, size_t count, size_t target, uint8_t *right,
                                    sotto_error *err)
{
    enum { AT_ONCE = 8192 };
    struct learned learned = {.synthetic = synthetic,
                              .target = target,
                              .classes = sotto_table_schema(synthetic)->columns[target].value_count};
    double *probabilities = calloc(AT_ONCE, learned.classes * sizeof *probabilities);
    sotto_status status = probabilities
                              ? learn(&learned, err)
                              : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    for (size_t first = 0; first < count && status == SOTTO_OK; first += AT_ONCE) {
        const size_t here = count - first < AT_ONCE ? count - first : AT_ONCE;
        const sotto_features_source some = {real, rows + first, here};
        status = guess(&learned, &some, probabilities, right, err);
    }
    free(probabilities);
    forget(&learned);
    return status;
}
