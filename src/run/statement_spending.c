/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What follows in a statement from what was spent: the promise, its curve, how it was found. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "run/run.h"

static sotto_status curve(const sotto_spending *spending, json_t *list, sotto_error *err)
{
    for (int power = 3; power <= 12; power++) {
        const double delta = pow(10.0, -power);
        double epsilon;
        sotto_status status =
            sotto_noise_epsilon(spending->accountant, delta, spending->draws, &epsilon, err);
        if (status != SOTTO_OK)
            return status;
        if (isfinite(epsilon))
            (void)json_array_append_new(list, json_pack("{s:f, s:f}", "delta", delta, "epsilon", epsilon));
    }
    return SOTTO_OK;
}

/* What an attacker who knows all rows but one must get wrong. */
static sotto_status attack(const sotto_spending *spending, json_t *list, sotto_error *err)
{
    enum { POINTS = 13 };
    static const double wrongly[POINTS] = {0.001, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2,
                                           0.3,   0.4,  0.5,  0.6,  0.7, 0.9};
    double missed[POINTS];
    const sotto_status status =
        sotto_noise_tradeoff(spending->accountant, spending->draws, wrongly, POINTS, missed, err);
    for (int i = 0; status == SOTTO_OK && i < POINTS; i++)
        (void)json_array_append_new(list, json_pack("{s:f, s:f}", "false_positive_rate", wrongly[i],
                                                    "false_negative_rate", floor(1e4 * missed[i]) / 1e4));
    return status;
}

static json_t *rdp_facts(double order)
{
    return json_pack("{s:s, s:f, s:s, s:s, s:s}", "accountant", "rdp", "order", order, "orders",
                     "all orders above 1, minimised continuously", "conversion",
                     "Canonne, Kamath, Steinke 2020, Proposition 12", "rounding",
                     "epsilon and the noise multiplier are rounded up");
}

static json_t *pld_facts(double lower)
{
    return json_pack(
        "{s:s, s:f, s:s, s:s}", "accountant", "pld", "epsilon_lower", lower, "conversion",
        "privacy-loss distributions put on a grid above the truth (connect the dots; Doroshenko et al. "
        "2022), composed by FFT, both directions of adjacency, every error bounded and added; by the "
        "same means from below, Gaussian noise of these multipliers keeps no epsilon under the lower bound",
        "rounding", "epsilon and the noise multiplier are rounded up");
}

static sotto_status put_accounting(const sotto_spending *spending, json_t *facts, sotto_error *err)
{
    json_t *found;
    if (spending->kind == SOTTO_ACCOUNTANT_RDP) {
        found = rdp_facts(spending->order);
    } else {
        double lower, upper;
        const sotto_status status = sotto_accountant_epsilon_bounds(
            spending->accountant, spending->delta, SOTTO_ACCOUNTANT_DEFAULT_GAP, &lower, &upper, err);
        if (status != SOTTO_OK)
            return status;
        found = pld_facts(lower);
    }
    (void)json_object_update(facts, found);
    json_decref(found);
    return SOTTO_OK;
}

static void put_sentence(const sotto_spending *spending, const char *not_private, json_t *guarantee)
{
    char sentence[640];
    char epsilon[SOTTO_FIGURE_SIZE];
    char delta[SOTTO_FIGURE_SIZE];
    const bool by_row = strcmp(json_string_value(json_object_get(guarantee, "unit")), "row") == 0;
    sotto_figure_up(spending->epsilon, 6, epsilon);
    sotto_figure_up(spending->delta, 6, delta);
    if (not_private)
        (void)snprintf(sentence, sizeof sentence, "There is no guarantee. %s.", not_private);
    else
        (void)snprintf(
            sentence, sizeof sentence,
            "Whatever is made from the files in release/, adding %s to the table or taking %s away "
            "changes the probability of any outcome by a factor of at most e^%s, up to an additional "
            "probability of %s.",
            by_row ? "one row" : "all rows of one unit", by_row ? "one" : "them", epsilon, delta);
    (void)json_object_set_new(guarantee, "sentence", json_string(sentence));
    (void)json_object_set_new(guarantee, "epsilon", json_real(spending->epsilon));
    (void)json_object_set_new(guarantee, "delta", json_real(spending->delta));
}

static void put_draws(const sotto_spending *spending, json_t *noise)
{
    if (spending->draws == 0.0)
        return; /* of float noise nothing is claimed */
    (void)json_object_set_new(noise, "draws", json_real(spending->draws));
    (void)json_object_set_new(noise, "delta", json_real(spending->noise_delta));
    (void)json_object_set_new(noise, "delta_accountant", json_real(spending->accountant_delta));
}

sotto_status sotto_statement_spend(json_t *statement, const sotto_spending *spending, sotto_error *err)
{
    json_t *points = json_array(), *tests = json_array();
    sotto_status status = curve(spending, points, err);
    if (status == SOTTO_OK)
        status = attack(spending, tests, err);
    if (status == SOTTO_OK)
        status = put_accounting(spending, json_object_get(statement, "accounting"), err);
    if (status != SOTTO_OK) {
        json_decref(points);
        json_decref(tests);
        return status;
    }
    put_sentence(spending, json_string_value(json_object_get(statement, "not_private")),
                 json_object_get(statement, "guarantee"));
    put_draws(spending, json_object_get(statement, "noise"));
    (void)json_object_set_new(statement, "curve", points);
    (void)json_object_set_new(statement, "attack", tests);
    return SOTTO_OK;
}

static sotto_status write_file(const char *folder, const char *name, const char *text, sotto_error *err)
{
    char *path = sotto_path_join(folder, name);
    const sotto_status status = path ? sotto_file_write(path, 0644, text, strlen(text), err)
                                     : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    free(path);
    return status;
}

sotto_status sotto_statement_write(const char *folder, json_t *statement, sotto_error *err)
{
    char *text = NULL, *html = NULL;
    sotto_status status = sotto_json_text(statement, &text, err);
    if (status == SOTTO_OK)
        status = sotto_report_html(text, &html, err);
    if (status == SOTTO_OK)
        status = write_file(folder, "privacy.json", text, err);
    if (status == SOTTO_OK)
        status = write_file(folder, "privacy.html", html, err);
    free(text);
    free(html);
    return status;
}
