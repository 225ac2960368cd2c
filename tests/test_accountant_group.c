/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <math.h>
#include <string.h>

#include "../accountant/internal.h"

static sotto_mechanism grouped(sotto_mechanism one, uint64_t size)
{
    sotto_mechanism group;
    ck_assert_int_eq(sotto_mechanism_group(&group, &one, size, NULL), SOTTO_OK);
    ck_assert_uint_eq(group.group_size, one.group_size * size);
    return group;
}

START_TEST(groups_meet_the_reference)
{
    for (table *t = table_open("group_poisson.csv"); table_next(t, 8);) {
        const sotto_mechanism one = sampled(table_number(t, "q"), table_number(t, "sigma"));
        const sotto_mechanism m = grouped(one, (uint64_t)table_number(t, "group_size"));
        const double rdp = sotto_mechanism_rdp(&m, table_number(t, "alpha"));
        ck_assert_double_le(fabs(excess(rdp, table_number(t, "rdp_one_step"))), 1e-10);
    }
}
END_TEST

START_TEST(groups_meet_our_own_reference_both_ways)
{
    for (table *t = table_open("group_corners.csv"); table_next(t, 80);) {
        const sotto_mechanism one = sampled(table_number(t, "q"), table_number(t, "sigma"));
        sotto_mechanism m = grouped(one, (uint64_t)table_number(t, "group_size"));
        const double wanted = fmax(table_number(t, "remove_25_digits"), table_number(t, "add_25_digits"));
        const double rdp = accountant_sampled_group_rdp(&m, table_number(t, "t"));
        for (int remove = 0; remove < 2; remove++) {
            const double one_way = accountant_sampled_group_one_way(&m, table_number(t, "t"), remove);
            const double truth = table_number(t, remove ? "remove_25_digits" : "add_25_digits");
            ck_assert_msg(fabs(excess(one_way, truth)) <= 1e-11,
                          "q %.17g sigma %.17g group %g t %.17g, remove %d: %.17g, not %.17g",
                          one.sample_rate, one.noise_multiplier, (double)m.group_size, table_number(t, "t"),
                          remove, one_way, truth);
        }
        ck_assert_msg(excess(rdp, wanted) >= -1e-12 && excess(rdp, wanted) <= 1e-11,
                      "q %.17g sigma %.17g group %g t %.17g: %.17g, not %.17g", one.sample_rate,
                      one.noise_multiplier, (double)m.group_size, table_number(t, "t"), rdp, wanted);
    }
}
END_TEST

/* Two ways to the same figure, which share nothing but the idea. */
START_TEST(a_group_of_one_is_one)
{
    uint64_t state = 31;
    int exact = 0;
    for (int i = 0; i < 1000; i++) {
        const sotto_mechanism one = sampled(power_between(&state, -9, 0), power_between(&state, -1.3, 4));
        const double t = power_between(&state, -6, 5);
        const double wanted = sotto_mechanism_rdp(&one, 1 + t), rdp = accountant_sampled_group_rdp(&one, t);
        ck_assert_msg(excess(rdp, wanted) >= -1e-11, "q %.17g sigma %.17g t %.17g: %.17g, not %.17g",
                      one.sample_rate, one.noise_multiplier, t, rdp, wanted);
        exact += fabs(excess(rdp, wanted)) <= 1e-9;
        const sotto_mechanism still = grouped(one, 1);
        ck_assert(sotto_mechanism_equal(&one, &still));
    }
    ck_assert_int_ge(exact, 800); /* the others are bounded from above */
}
END_TEST

START_TEST(sampled_groups_are_monotone_and_never_nan)
{
    uint64_t state = 32;
    const uint64_t sizes[] = {2, 3, 7, 20, 100, 256, 257, 5000, 100000, (uint64_t)1 << 53};
    for (int i = 0; i < 500; i++) {
        const sotto_mechanism one = sampled(power_between(&state, -9, 0), power_between(&state, -1.3, 4));
        const double t = power_between(&state, -6, 6), step = between(&state, 1, 1.5);
        const uint64_t size = sizes[i % (i < 250 ? 5 : 10)];
        const sotto_mechanism m = grouped(one, size), plain = grouped(gaussian(one.noise_multiplier), size);
        const double here = accountant_mechanism_rdp(&m, t);
        sotto_mechanism less[3] = {m, m, m};
        less[0].sample_rate /= step;
        less[1].noise_multiplier *= step;
        less[2].group_size -= 1;
        for (int k = 0; k < 4; k++) {
            const double lower =
                k < 3 ? accountant_mechanism_rdp(&less[k], t) : accountant_mechanism_rdp(&m, t / step);
            ck_assert_msg(lower >= 0 && lower <= here * (1 + 1e-11),
                          "q %.17g sigma %.17g group %g t %.17g step %.17g: %d gives %.17g above %.17g",
                          one.sample_rate, one.noise_multiplier, (double)size, t, step, k, lower, here);
        }
        ck_assert_double_le(here, accountant_mechanism_rdp(&plain, t) * (1 + 1e-11));
    }
}
END_TEST

START_TEST(absurd_groups_give_no_nan)
{
    const double sizes[] = {0, 4.9e-324, 1e-300, 1e-160, 1e-20, 0.5, 1e20, 1e160, 1.7e308};
    const double rates[] = {0, 4.9e-324, 1e-200, 1e-20, 0.5, 1 - 0x1p-53, 1};
    const double ts[] = {0, 1e-300, 0x1p-52, 0.5, 1, 1e9, 1e100, 1.7e308};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof rates / sizeof *rates; j++)
            for (size_t k = 0; k < sizeof ts / sizeof *ts; k++) {
                const sotto_mechanism m = grouped(sampled(rates[j], sizes[i]), k % 2 ? 300 : 3);
                const double rdp = accountant_mechanism_rdp(&m, ts[k]);
                ck_assert_msg(rdp >= 0, "q %g sigma %g t %g: %g", rates[j], sizes[i], ts[k], rdp);
            }
}
END_TEST

START_TEST(other_groups_scale)
{
    sotto_mechanism one, wanted;
    const sotto_mechanism three = grouped(gaussian(2.0), 3), plain = gaussian(2.0 / 3);
    const double order = 4.5;
    ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&three, order), sotto_mechanism_rdp(&plain, order))),
                        1e-15);
    const sotto_mechanism six = grouped(three, 2), at_once = grouped(gaussian(2.0), 6);
    ck_assert(sotto_mechanism_equal(&six, &at_once) && !sotto_mechanism_equal(&six, &three));
    static sotto_status (*const make[])(sotto_mechanism *, double, sotto_error *) = {
        sotto_mechanism_discrete_gaussian, sotto_mechanism_laplace, sotto_mechanism_pure,
        sotto_mechanism_exponential, sotto_mechanism_zcdp};
    const double factor[] = {1.0 / 3, 1.0 / 3, 3, 3, 9};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(make[i](&one, 0.7, NULL), SOTTO_OK);
        ck_assert_int_eq(make[i](&wanted, 0.7 * factor[i], NULL), SOTTO_OK);
        const sotto_mechanism group = grouped(one, 3);
        ck_assert_double_le(
            fabs(excess(sotto_mechanism_rdp(&group, order), sotto_mechanism_rdp(&wanted, order))), 1e-14);
    }
}
END_TEST

START_TEST(groups_that_cannot_be_priced_are_refused)
{
    sotto_mechanism m, before;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&m, 0.1, 1.0, NULL), SOTTO_OK);
    before = m;
    ck_assert_int_eq(sotto_mechanism_group(&m, &m, 2, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "without replacement"));
    ck_assert(sotto_mechanism_equal(&m, &before));
    ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&m, 0.1, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_group(&m, &m, 2, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "sampled discrete gaussian"));
    m = gaussian(1.0);
    ck_assert_int_eq(sotto_mechanism_group(&m, &m, 0, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_group(&m, &m, UINT64_MAX, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_group(&m, NULL, 2, NULL), SOTTO_ERROR_INPUT);
}
END_TEST

TCase *group_tests(void)
{
    TCase *tests = tcase_create("groups");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, groups_meet_the_reference);
    tcase_add_test(tests, groups_meet_our_own_reference_both_ways);
    tcase_add_test(tests, a_group_of_one_is_one);
    tcase_add_test(tests, sampled_groups_are_monotone_and_never_nan);
    tcase_add_test(tests, absurd_groups_give_no_nan);
    tcase_add_test(tests, other_groups_scale);
    tcase_add_test(tests, groups_that_cannot_be_priced_are_refused);
    return tests;
}
