/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/pld.h"
#include "test_accountant.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_cdf.h>

enum { RATES = 81 };

/* Rates from 0 to 1, half of them small. */
static void fill_rates(double rates[RATES])
{
    for (int i = 0; i < RATES; i++)
        rates[i] = i == 0 ? 0.0 : i <= 40 ? pow(10.0, -8.0 + 7.0 * i / 40.0) : 0.1 + 0.9 * (i - 40) / 40.0;
}

static void curve_of(const sotto_accountant *a, const double rates[RATES], double found[RATES])
{
    ck_assert_int_eq(sotto_accountant_tradeoff(a, rates, RATES, found, NULL), SOTTO_OK);
    for (int i = 0; i < RATES; i++) {
        ck_assert_msg(found[i] >= 0.0 && found[i] <= 1.0 - rates[i], "at %g: %g", rates[i], found[i]);
        ck_assert_msg(i == 0 || found[i] <= found[i - 1], "rises at %g", rates[i]);
    }
}

static void assert_convex(const double rates[RATES], const double found[RATES])
{
    for (int i = 1; i + 1 < RATES; i++) {
        const double share = (rates[i] - rates[i - 1]) / (rates[i + 1] - rates[i - 1]);
        const double chord = (1.0 - share) * found[i - 1] + share * found[i + 1];
        ck_assert_msg(found[i] <= chord + 1e-10, "at %g: %.17g above %.17g", rates[i], found[i], chord);
    }
}

/* Dong, Roth, Su 2022, eq. 6. */
static double gaussian_curve(double mu, double rate)
{
    return rate <= 0.0 ? 1.0 : rate >= 1.0 ? 0.0 : gsl_cdf_ugaussian_P(gsl_cdf_ugaussian_Qinv(rate) - mu);
}

static sotto_mechanism pure_of(double epsilon)
{
    sotto_mechanism m;
    ck_assert_int_eq(sotto_mechanism_pure(&m, epsilon, NULL), SOTTO_OK);
    return m;
}

START_TEST(gaussian_curves_are_exact)
{
    double rates[RATES], found[RATES];
    fill_rates(rates);
    for (double mu = 0.01; mu < 20.0; mu *= 2.0) {
        sotto_accountant *a = composed(gaussian(10.0 / mu), 100);
        curve_of(a, rates, found);
        assert_convex(rates, found);
        for (int i = 0; i < RATES; i++) {
            const double wanted = gaussian_curve(mu, rates[i]);
            ck_assert_msg(found[i] <= wanted * (1.0 + 1e-15) && found[i] >= wanted * (1.0 - 1e-10),
                          "mu %g at %g: %.17g, wanted %.17g", mu, rates[i], found[i], wanted);
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

/* The same by way of the transforms. */
START_TEST(curves_from_transforms_are_near_and_below)
{
    double rates[RATES], found[RATES];
    fill_rates(rates);
    for (double mu = 0.1; mu < 5.0; mu *= 1.7) {
        sotto_accountant *a = composed(gaussian(100.0 / mu), 10000);
        const sotto_mechanism nothing = pure_of(1e-9);
        ck_assert_int_eq(sotto_accountant_compose(a, &nothing, 1, NULL), SOTTO_OK);
        curve_of(a, rates, found);
        assert_convex(rates, found);
        for (int i = 0; i < RATES; i++) {
            const double wanted = gaussian_curve(mu, rates[i]);
            ck_assert_msg(found[i] <= wanted + 1e-15 && found[i] >= wanted - 1e-3,
                          "mu %g at %g: %.17g, wanted %.17g", mu, rates[i], found[i], wanted);
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

/* The best attack on one step is a threshold, seen from either side. */
START_TEST(no_attack_on_one_step_does_better)
{
    double rates[RATES], found[RATES];
    for (int c = 0; c < 4; c++) {
        const double q = (double[]){0.5, 0.1, 0.02, 0.9}[c], sigma = (double[]){1.0, 0.7, 2.0, 3.0}[c];
        sotto_accountant *a = composed(sampled(q, sigma), 1);
        for (int side = 0; side < 2; side++) {
            double missed[RATES];
            for (int i = 0; i < RATES; i++) {
                const double x = 0.5 + sigma * (40 - i) * 0.12; /* rates rise */
                const double with =
                    (1.0 - q) * gsl_cdf_ugaussian_Q(x / sigma) + q * gsl_cdf_ugaussian_Q((x - 1.0) / sigma);
                const double without = gsl_cdf_ugaussian_Q(x / sigma);
                rates[i] = side ? (1.0 - with) : without;
                missed[i] = side ? without : 1.0 - with;
            }
            for (int i = 0; side && i < RATES / 2; i++) { /* in rising order here, too */
                const double r = rates[i], m = missed[i];
                rates[i] = rates[RATES - 1 - i], missed[i] = missed[RATES - 1 - i];
                rates[RATES - 1 - i] = r, missed[RATES - 1 - i] = m;
            }
            curve_of(a, rates, found);
            for (int i = 0; i < RATES; i++)
                ck_assert_msg(found[i] <= missed[i] + 1e-15, "q %g at %g: %.17g, an attack has %.17g", q,
                              rates[i], found[i], missed[i]);
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(divergences_promise_no_more)
{
    double rates[RATES], tight[RATES], loose[RATES];
    fill_rates(rates);
    for (int c = 0; c < 2; c++) {
        sotto_accountant *a = composed(c ? sampled(0.05, 1.5) : gaussian(15.0), 200);
        curve_of(a, rates, tight);
        sotto_mechanism nothing; /* has no distribution, and costs next to nothing */
        ck_assert_int_eq(sotto_mechanism_zcdp(&nothing, 1e-14, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_accountant_compose(a, &nothing, 1, NULL), SOTTO_OK);
        curve_of(a, rates, loose);
        bool said = false;
        for (int i = 0; i < RATES; i++) {
            ck_assert_msg(loose[i] <= tight[i] + 1e-9, "at %g: %.12g by divergences, %.12g", rates[i],
                          loose[i], tight[i]);
            said = said || loose[i] > 0.5;
        }
        ck_assert(said);
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(ends_and_nonsense)
{
    double rates[RATES], found[RATES];
    fill_rates(rates);
    sotto_accountant *a = composed(gaussian(1.0), 0);
    curve_of(a, rates, found);
    for (int i = 0; i < RATES; i++)
        ck_assert_double_eq(found[i], 1.0 - rates[i]);
    const double wrong[] = {-1e-9, 1.0 + 1e-9, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        const double asked[] = {0.5, wrong[i]};
        double kept[] = {7.0, 7.0};
        ck_assert_int_eq(sotto_accountant_tradeoff(a, asked, 2, kept, NULL), SOTTO_ERROR_INPUT);
        ck_assert(kept[0] == 7.0 && kept[1] == 7.0);
    }
    const sotto_mechanism bare = gaussian(0.0);
    ck_assert_int_eq(sotto_accountant_compose(a, &bare, 1, NULL), SOTTO_OK);
    curve_of(a, rates, found);
    for (int i = 0; i < RATES; i++)
        ck_assert_double_eq(found[i], 0.0);
    sotto_accountant_destroy(a);
}
END_TEST

TCase *tradeoff_tests(void)
{
    TCase *tests = tcase_create("tradeoff");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, gaussian_curves_are_exact);
    tcase_add_test(tests, curves_from_transforms_are_near_and_below);
    tcase_add_test(tests, no_attack_on_one_step_does_better);
    tcase_add_test(tests, divergences_promise_no_more);
    tcase_add_test(tests, ends_and_nonsense);
    return tests;
}
