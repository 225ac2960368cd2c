/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "report/report.h"

/* What evaluation.json must hold: docs/records.md. Figures that could not be had are null. */
static const sotto_rule rules[] = {
    {"made_by", SOTTO_VALUE_TEXT, false},
    {"date", SOTTO_VALUE_TEXT, false},
    {"not_private", SOTTO_VALUE_TEXT, true},
    {"notice", SOTTO_VALUE_TEXT, false},
    {"rows.train", SOTTO_VALUE_COUNT, false},
    {"rows.test", SOTTO_VALUE_COUNT, true},
    {"rows.synthetic", SOTTO_VALUE_COUNT, false},
    {"seconds.fidelity", SOTTO_VALUE_POSITIVE, true},
    {"seconds.utility", SOTTO_VALUE_POSITIVE, true},
    {"seconds.attacks", SOTTO_VALUE_POSITIVE, true},

    {"fidelity?.overall", SOTTO_VALUE_SHARE, true},
    {"fidelity?.column_shapes", SOTTO_VALUE_SHARE, true},
    {"fidelity?.pair_trends", SOTTO_VALUE_SHARE, true},
    {"fidelity?.control?.column_shapes", SOTTO_VALUE_SHARE, true},
    {"fidelity?.control?.pair_trends", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].name", SOTTO_VALUE_TEXT, false},
    {"fidelity?.columns[].type", SOTTO_VALUE_TEXT, false},
    {"fidelity?.columns[].measure", SOTTO_VALUE_TEXT, false},
    {"fidelity?.columns[].similarity", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].wasserstein", SOTTO_VALUE_POSITIVE, true},
    {"fidelity?.columns[].wasserstein_scaled", SOTTO_VALUE_POSITIVE, true},
    {"fidelity?.columns[].adherence", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].coverage", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].missing_similarity", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].spike_similarity", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].control", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].marginal.labels[]", SOTTO_VALUE_TEXT, false},
    {"fidelity?.columns[].marginal.real[]", SOTTO_VALUE_SHARE, true},
    {"fidelity?.columns[].marginal.synthetic[]", SOTTO_VALUE_SHARE, true},
    {"fidelity?.correlation?.columns[]", SOTTO_VALUE_TEXT, false},
    {"fidelity?.correlation?.real[][]", SOTTO_VALUE_SIGNED_SHARE, true},
    {"fidelity?.correlation?.synthetic[][]", SOTTO_VALUE_SIGNED_SHARE, true},
    {"fidelity?.correlation?.similarity", SOTTO_VALUE_SHARE, true},
    {"fidelity?.contingency?.columns[]", SOTTO_VALUE_TEXT, false},
    {"fidelity?.contingency?.similarity[][]", SOTTO_VALUE_SHARE, true},
    {"fidelity?.contingency?.mean", SOTTO_VALUE_SHARE, true},
    {"fidelity?.mutual_information?.columns[]", SOTTO_VALUE_TEXT, false},
    {"fidelity?.mutual_information?.real[][]", SOTTO_VALUE_SHARE, true},
    {"fidelity?.mutual_information?.synthetic[][]", SOTTO_VALUE_SHARE, true},
    {"fidelity?.mutual_information?.mean_difference", SOTTO_VALUE_SHARE, true},
    {"fidelity?.ways[].k", SOTTO_VALUE_COUNT, false},
    {"fidelity?.ways[].sets", SOTTO_VALUE_COUNT, false},
    {"fidelity?.ways[].mean_tvd", SOTTO_VALUE_SHARE, true},
    {"fidelity?.ways[].max_tvd", SOTTO_VALUE_SHARE, true},
    {"fidelity?.ways[].worst[]", SOTTO_VALUE_TEXT, false},
    {"fidelity?.ways[].control_mean_tvd", SOTTO_VALUE_SHARE, true},
    {"fidelity?.pmse?.ratio", SOTTO_VALUE_NUMBER, true},
    {"fidelity?.pmse?.value", SOTTO_VALUE_NUMBER, true},
    {"fidelity?.pmse?.expected", SOTTO_VALUE_NUMBER, true},
    {"fidelity?.pmse?.model", SOTTO_VALUE_TEXT, true},

    {"utility?.target", SOTTO_VALUE_TEXT, false},
    {"utility?.task", SOTTO_VALUE_TEXT, false},
    {"utility?.positive", SOTTO_VALUE_TEXT, true},
    {"utility?.results[].model", SOTTO_VALUE_TEXT, false},
    {"utility?.results[].trained_on", SOTTO_VALUE_TEXT, false},
    {"utility?.results[].rows", SOTTO_VALUE_COUNT, true},
    {"utility?.results[].auc", SOTTO_VALUE_SHARE, true},
    {"utility?.results[].f1", SOTTO_VALUE_SHARE, true},
    {"utility?.results[].balanced_accuracy", SOTTO_VALUE_SHARE, true},
    {"utility?.results[].log_loss", SOTTO_VALUE_NUMBER, true},
    {"utility?.results[].r2", SOTTO_VALUE_NUMBER, true},
    {"utility?.results[].rmse", SOTTO_VALUE_POSITIVE, true},
    {"utility?.results[].seconds", SOTTO_VALUE_POSITIVE, true},
    {"utility?.left_out?[].model", SOTTO_VALUE_TEXT, false},
    {"utility?.left_out?[].reason", SOTTO_VALUE_TEXT, false},
    {"utility?.groups?.column", SOTTO_VALUE_TEXT, false},
    {"utility?.groups?.results[].model", SOTTO_VALUE_TEXT, false},
    {"utility?.groups?.results[].trained_on", SOTTO_VALUE_TEXT, false},
    {"utility?.groups?.results[].groups[].group", SOTTO_VALUE_TEXT, false},
    {"utility?.groups?.results[].groups[].rows", SOTTO_VALUE_COUNT, true},
    {"utility?.groups?.results[].groups[].positive_rate", SOTTO_VALUE_SHARE, true},
    {"utility?.groups?.results[].groups[].true_positive_rate", SOTTO_VALUE_SHARE, true},
    {"utility?.groups?.results[].groups[].false_positive_rate", SOTTO_VALUE_SHARE, true},
    {"utility?.groups?.results[].demographic_parity_difference", SOTTO_VALUE_SHARE, true},
    {"utility?.groups?.results[].equalised_odds_difference", SOTTO_VALUE_SHARE, true},

    {"attacks?.attacks[].key", SOTTO_VALUE_TEXT, false},
    {"attacks?.attacks[].name", SOTTO_VALUE_TEXT, false},
    {"attacks?.attacks[].secret", SOTTO_VALUE_TEXT, true},
    {"attacks?.attacks[].attempts", SOTTO_VALUE_COUNT, false},
    {"attacks?.attacks[].train.rate", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].train.low", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].train.high", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].control?.rate", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].control?.low", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].control?.high", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].baseline?.rate", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].baseline?.low", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].baseline?.high", SOTTO_VALUE_SHARE, true},
    {"attacks?.attacks[].risk?.value", SOTTO_VALUE_NUMBER, true},
    {"attacks?.attacks[].risk?.low", SOTTO_VALUE_NUMBER, true},
    {"attacks?.attacks[].risk?.high", SOTTO_VALUE_NUMBER, true},
    {"attacks?.attacks[].verdict", SOTTO_VALUE_TEXT, false},
    {"attacks?.attacks[].explanation", SOTTO_VALUE_TEXT, false},
    {"attacks?.distance?.sampled", SOTTO_VALUE_COUNT, true},
    {"attacks?.distance?.share_closer_to_train", SOTTO_VALUE_SHARE, true},
    {"attacks?.distance?.low", SOTTO_VALUE_SHARE, true},
    {"attacks?.distance?.high", SOTTO_VALUE_SHARE, true},
    {"attacks?.distance?.expected", SOTTO_VALUE_SHARE, true},
    {"attacks?.distance?.median_to_train", SOTTO_VALUE_POSITIVE, true},
    {"attacks?.distance?.median_to_test", SOTTO_VALUE_POSITIVE, true},
    {"attacks?.distance?.histogram.edges[]", SOTTO_VALUE_NUMBER, false},
    {"attacks?.distance?.histogram.train[]", SOTTO_VALUE_POSITIVE, true},
    {"attacks?.distance?.histogram.test[]", SOTTO_VALUE_POSITIVE, true},
    {"attacks?.distance?.verdict", SOTTO_VALUE_TEXT, false},
    {"attacks?.distance?.explanation", SOTTO_VALUE_TEXT, false},
    {"attacks?.matches?.exact_train", SOTTO_VALUE_SHARE, true},
    {"attacks?.matches?.exact_test", SOTTO_VALUE_SHARE, true},
    {"attacks?.matches?.near_train", SOTTO_VALUE_SHARE, true},
    {"attacks?.matches?.near_test", SOTTO_VALUE_SHARE, true},
    {"attacks?.matches?.near", SOTTO_VALUE_TEXT, true},
    {"attacks?.matches?.sampled", SOTTO_VALUE_COUNT, true},
    {"attacks?.membership?.auc", SOTTO_VALUE_SHARE, true},
    {"attacks?.membership?.low", SOTTO_VALUE_SHARE, true},
    {"attacks?.membership?.high", SOTTO_VALUE_SHARE, true},
    {"attacks?.membership?.true_positive_rate_at_1_percent", SOTTO_VALUE_SHARE, true},
    {"attacks?.membership?.verdict", SOTTO_VALUE_TEXT, false},
    {"attacks?.membership?.explanation", SOTTO_VALUE_TEXT, false},
    {"attacks?.membership?.sampled", SOTTO_VALUE_COUNT, true},
};

static sotto_status refuse(const char *name, const char *key, const char *wanted, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, name, 0, 0,
        "\"%s\" is not what it should be; expected %s; take the record as the run wrote it", key, wanted);
}

/* Lists of which each item stands for one of another list. */
static sotto_status check_sizes(const json_t *root, const char *name, sotto_error *err)
{
    static const char *const squares[][3] = {{"correlation", "real", "synthetic"},
                                             {"contingency", "similarity", NULL},
                                             {"mutual_information", "real", "synthetic"}};
    const json_t *fidelity = json_object_get(root, "fidelity");
    for (size_t i = 0; i < 3; i++) {
        const json_t *part = json_object_get(fidelity, squares[i][0]);
        const size_t count = json_array_size(json_object_get(part, "columns"));
        for (size_t k = 1; k < 3 && squares[i][k] && !sotto_record_skipped(part); k++)
            if (!sotto_record_fits(json_object_get(part, squares[i][k]), count, count))
                return refuse(name, squares[i][0], "as many rows and columns as its \"columns\"", err);
    }
    const json_t *columns = json_object_get(fidelity, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *marginal = json_object_get(json_array_get(columns, i), "marginal");
        const size_t count = json_array_size(json_object_get(marginal, "labels"));
        if (!sotto_record_fits(json_object_get(marginal, "real"), count, 0) ||
            !sotto_record_fits(json_object_get(marginal, "synthetic"), count, 0))
            return refuse(name, "marginal", "a share for each of its \"labels\"", err);
    }
    const json_t *histogram = sotto_record_get(root, "attacks.distance.histogram");
    const size_t edges = json_array_size(json_object_get(histogram, "edges"));
    if (histogram && (edges < 1 || !sotto_record_fits(json_object_get(histogram, "train"), edges - 1, 0) ||
                      !sotto_record_fits(json_object_get(histogram, "test"), edges - 1, 0)))
        return refuse(name, "histogram", "one share fewer than \"edges\"", err);
    return SOTTO_OK;
}

sotto_status sotto_evaluation_parse(json_t **root, const char *name, const char *text, sotto_error *err)
{
    sotto_status status = sotto_record_parse(root, name, text, SOTTO_REPORT_EVALUATION_FORMAT, rules,
                                             sizeof rules / sizeof *rules, err);
    if (status == SOTTO_OK)
        status = check_sizes(*root, name, err);
    if (status != SOTTO_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return status;
}

/* ----------------------------------------------------------------- utility */

const char *sotto_utility_measure(const json_t *utility)
{
    return strcmp(sotto_record_text(utility, "task"), "regression") == 0 ? "r2" : "auc";
}

double sotto_utility_score(const json_t *utility, const char *model, const char *trained_on)
{
    const json_t *results = json_object_get(utility, "results");
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        if (strcmp(sotto_record_text(result, "model"), model) == 0 &&
            strcmp(sotto_record_text(result, "trained_on"), trained_on) == 0)
            return sotto_record_number(result, sotto_utility_measure(utility));
    }
    return (double)NAN;
}

const char *sotto_utility_best(const json_t *utility)
{
    const json_t *results = json_object_get(utility, "results");
    const char *best = NULL;
    double most = -HUGE_VAL;
    for (size_t i = 0; i < json_array_size(results); i++) {
        const char *model = sotto_record_text(json_array_get(results, i), "model");
        const double score = sotto_utility_score(utility, model, "real");
        if (score > most) {
            most = score;
            best = model;
        }
    }
    return best;
}
