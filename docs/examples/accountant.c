/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The accountant from a program of one's own. Good C and good C++:
 *     cc accountant.c $(pkg-config --cflags --libs sotto-accountant)
 */
#include <sotto/accountant.h>
#include <stdio.h>

static int ask(sotto_accountant *accountant, sotto_budget *budget, sotto_error *err)
{
    sotto_mechanism step, counts;
    double lower, upper, noise_multiplier;
    if (sotto_mechanism_sampled_gaussian(&step, 0.01, 1.1, err) || /* q and σ of one training step */
        sotto_mechanism_gaussian(&counts, 40.0, err) ||
        sotto_accountant_compose(accountant, &step, 10000, err) ||
        sotto_accountant_compose(accountant, &counts, 14, err) ||
        sotto_accountant_epsilon_bounds(accountant, 1e-5, SOTTO_ACCOUNTANT_DEFAULT_GAP, &lower, &upper, err))
        return 1;
    printf("epsilon %.17g at delta 1e-5, and certainly no less than %.17g\n", upper, lower);

    if (sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_PLD, 3.0, 1e-5, 0.01, 10000, NULL,
                                         &noise_multiplier, err))
        return 1;
    printf("noise multiplier %.17g keeps epsilon 3\n", noise_multiplier);

    while (sotto_budget_allows(budget, &step, 1000))
        if (sotto_budget_charge(budget, &step, 1000, "training", err)) /* first pay, then look at the data */
            return 1;
    printf("the budget bears %llu steps more\n", (unsigned long long)sotto_budget_remaining(budget, &step));
    return 0;
}

int main(void)
{
    sotto_error err;
    sotto_accountant *accountant = NULL;
    sotto_budget *budget = NULL;
    const int failed = sotto_accountant_create(SOTTO_ACCOUNTANT_PLD, &accountant, &err) ||
                       sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 3.0, 1e-5, &budget, &err) ||
                       ask(accountant, budget, &err);
    if (failed)
        fprintf(stderr, "accountant: %s\n", err.message);
    sotto_budget_destroy(budget);
    sotto_accountant_destroy(accountant);
    return failed;
}
