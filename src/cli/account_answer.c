/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/account.h"

/* ------------------------------------------------------------------ asking */

sotto_account_wish sotto_account_wish_default(void)
{
    return (sotto_account_wish){.kind = SOTTO_ACCOUNTANT_RDP, .gap = SOTTO_ACCOUNTANT_DEFAULT_GAP};
}

int sotto_account_read_kind(const char *command, const char *name, double gap, sotto_account_wish *wish)
{
    if (name && strcmp(name, "pld") == 0)
        wish->kind = SOTTO_ACCOUNTANT_PLD;
    else if (name && strcmp(name, "rdp") != 0)
        return sotto_cli_usage(command, "--accountant '%.60s' is unknown; expected rdp or pld", name);
    if (isnan(gap))
        return SOTTO_CLI_GO_ON;
    if (wish->kind != SOTTO_ACCOUNTANT_PLD)
        return sotto_cli_usage(command, "--gap is for --accountant pld; add that, or leave --gap out");
    wish->gap = gap;
    return SOTTO_CLI_GO_ON;
}

static sotto_status find_bounds(const sotto_accountant *accountant, const sotto_account_wish *wish,
                                sotto_account_answer *answer, sotto_error *err)
{
    if (wish->for_delta)
        return sotto_accountant_delta_bounds(accountant, wish->epsilon, wish->gap, &answer->lower,
                                             &answer->figure, err);
    return sotto_accountant_epsilon_bounds(accountant, wish->delta, wish->gap, &answer->lower,
                                           &answer->figure, err);
}

sotto_status sotto_account_find(const sotto_accountant *accountant, const sotto_account_wish *wish,
                                sotto_account_answer *answer, sotto_error *err)
{
    *answer = (sotto_account_answer){0};
    if (wish->kind == SOTTO_ACCOUNTANT_PLD)
        return find_bounds(accountant, wish, answer, err);
    if (wish->for_delta)
        return sotto_accountant_delta(accountant, wish->epsilon, &answer->figure, &answer->order, err);
    return sotto_accountant_epsilon(accountant, wish->delta, &answer->figure, &answer->order, err);
}

/* -------------------------------------------------------------------- JSON */

json_t *sotto_account_figure_json(double figure)
{
    return isfinite(figure) ? json_real(figure) : json_null();
}

bool sotto_account_put_proof(json_t *record, const sotto_account_wish *wish,
                             const sotto_account_answer *answer)
{
    const bool by_order = wish->kind == SOTTO_ACCOUNTANT_RDP;
    const char *key = by_order ? "order" : wish->for_delta ? "delta_lower" : "epsilon_lower";
    json_t *proof = sotto_account_figure_json(by_order ? answer->order : answer->lower);
    return json_object_set_new(record, key, proof) == 0;
}

bool sotto_account_put_kind(json_t *record, const sotto_account_wish *wish, bool with_gap)
{
    const char *name = sotto_accountant_kind_name(wish->kind);
    if (json_object_set_new(record, "accountant", json_string(name)) != 0)
        return false;
    return !with_gap || wish->kind != SOTTO_ACCOUNTANT_PLD ||
           json_object_set_new(record, "gap", json_real(wish->gap)) == 0;
}

int sotto_account_print_record(json_t *record, bool sound)
{
    sotto_error err = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
    sound = sound && record;
    if (sound)
        sotto_cli_print_json(record);
    json_decref(record);
    return sound ? sotto_cli_finish() : sotto_cli_fail(&err);
}

/* ------------------------------------------------------------------- words */

void sotto_account_figure_down(double value, int digits, char text[SOTTO_FIGURE_SIZE])
{
    char shown[SOTTO_FIGURE_SIZE];
    (void)snprintf(shown, sizeof shown, "%.*e", digits - 1, value);
    double nearest = strtod(shown, NULL);
    if (nearest > value) { /* one less in the last digit */
        const int exponent = (int)strtol(strchr(shown, 'e') + 1, NULL, 10);
        (void)snprintf(shown, sizeof shown, "1e%d", exponent - (digits - 1));
        nearest -= strtod(shown, NULL);
        (void)snprintf(shown, sizeof shown, "%.*e", digits - 1, nearest);
    }
    sotto_figure_exact(strtod(shown, NULL), text);
}

void sotto_account_print_words(const sotto_account_wish *wish, const sotto_account_answer *answer)
{
    char figure[SOTTO_FIGURE_SIZE], given[SOTTO_FIGURE_SIZE], lower[SOTTO_FIGURE_SIZE];
    const bool none = !isfinite(answer->figure) || (wish->for_delta && answer->figure >= 1);
    sotto_figure_up(answer->figure, 6, figure);
    sotto_figure_exact(wish->for_delta ? wish->epsilon : wish->delta, given);
    (void)printf("%s = %s at %s = %s", wish->for_delta ? "δ" : "ε", figure, wish->for_delta ? "ε" : "δ",
                 given);
    if (wish->kind == SOTTO_ACCOUNTANT_RDP && none)
        (void)printf(": no guarantee (Rényi accountant)\n");
    else if (wish->kind == SOTTO_ACCOUNTANT_RDP)
        (void)printf(" (Rényi accountant, order %.6g)\n", answer->order);
    else if (none)
        (void)printf(": no guarantee (privacy-loss distributions)\n");
    else {
        sotto_account_figure_down(answer->lower, 6, lower);
        (void)printf(" (certified: no less than %s; privacy-loss distributions)\n", lower);
    }
}
