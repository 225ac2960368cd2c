/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tensor room's kernels against the same formulas written out plainly in float64. Everything here is
 * deterministic: a fixed linear congruential generator makes the inputs, and no test has a false-alarm rate.
 */

#include "test_tensor.h"
#include "suite.h"

#include <cblas.h>
#include <stdlib.h>

#define MOST 5000

uint64_t test_state = 1;

/* ----------------------------------------------------------------- products */

typedef struct product {
    bool transpose_a, transpose_b;
    size_t m, n, k, padding;
    float alpha, beta;
} product;

static void check_product(const product *p)
{
    static float a[MOST], b[MOST], c[MOST], before[MOST];
    const size_t a_stride = (p->transpose_a ? p->m : p->k) + p->padding;
    const size_t b_stride = (p->transpose_b ? p->k : p->n) + p->padding;
    const size_t c_stride = p->n + p->padding;
    fill(MOST, 1.0f, a);
    fill(MOST, 1.0f, b);
    fill(MOST, 1.0f, c);
    for (size_t i = 0; p->beta == 0.0f && i < p->m * c_stride; i++)
        c[i] = NAN; /* with beta = 0 it must not be read */
    bits_copy(MOST, c, before);
    if (p->transpose_a)
        sotto_tensor_product_tn(p->m, p->n, p->k, p->alpha, a, a_stride, b, b_stride, p->beta, c, c_stride);
    else if (p->transpose_b)
        sotto_tensor_product_nt(p->m, p->n, p->k, p->alpha, a, a_stride, b, b_stride, p->beta, c, c_stride);
    else
        sotto_tensor_product_nn(p->m, p->n, p->k, p->alpha, a, a_stride, b, b_stride, p->beta, c, c_stride);
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < c_stride; j++) {
            const size_t at = i * c_stride + j;
            if (j >= p->n) {
                ck_assert_mem_eq(&c[at], &before[at], sizeof *c);
                continue;
            }
            double wanted = p->beta == 0.0f ? 0.0 : (double)p->beta * before[at];
            for (size_t l = 0; l < p->k; l++) {
                const float left = p->transpose_a ? a[l * a_stride + i] : a[i * a_stride + l];
                const float right = p->transpose_b ? b[j * b_stride + l] : b[l * b_stride + j];
                wanted += (double)p->alpha * left * right;
            }
            close_to(c[at], wanted, 1.0 + (double)p->k, 3e-7, "product", at);
        }
    }
}

START_TEST(products_agree_with_plain_loops)
{
    static const size_t sizes[] = {1, 2, 3, 7, 16, 17, 33, 48};
    const size_t count = sizeof sizes / sizeof *sizes;
    product p = {0};
    for (size_t which = 0; which < 3 * count * count * count; which++) {
        size_t left = which / 3;
        p.transpose_a = which % 3 == 2;
        p.transpose_b = which % 3 == 1;
        p.m = sizes[left % count];
        p.n = sizes[left / count % count];
        p.k = sizes[left / count / count];
        p.padding = which % 4 == 0 ? 3 : 0;
        p.alpha = which % 5 == 0 ? -0.5f : 1.0f;
        p.beta = which % 7 < 3 ? 0.0f : which % 7 < 5 ? 1.0f : 0.25f;
        check_product(&p);
    }
}
END_TEST

START_TEST(an_empty_sum_leaves_beta_times_c)
{
    for (size_t n = 1; n <= 5; n += 4) {
        float a[5] = {1, 1, 1, 1, 1}, c[15];
        for (size_t i = 0; i < 15; i++)
            c[i] = 2.0f;
        sotto_tensor_product_tn(3, n, 0, 1.0f, a, 3, a, n, 0.5f, c, n);
        for (size_t i = 0; i < 3 * n; i++)
            ck_assert_float_eq(c[i], 1.0f);
        sotto_tensor_product_tn(3, n, 0, 1.0f, a, 3, a, n, 0.0f, c, n);
        for (size_t i = 0; i < 3 * n; i++)
            ck_assert_float_eq(c[i], 0.0f);
    }
}
END_TEST

START_TEST(a_bad_row_stays_alone_in_a_product)
{
    static const size_t widths[] = {1, 5, 16, 40};
    for (size_t w = 0; w < 4; w++) {
        const size_t m = 37, k = 19, n = widths[w];
        static float a[37 * 19], b[19 * 40], good[37 * 40], bad[37 * 40];
        fill(m * k, 1.0f, a);
        fill(k * n, 1.0f, b);
        sotto_tensor_product_nn(m, n, k, 1.0f, a, k, b, n, 0.0f, good, n);
        a[11 * k + 3] = NAN;
        a[12 * k + 5] = INFINITY;
        sotto_tensor_product_nn(m, n, k, 1.0f, a, k, b, n, 0.0f, bad, n);
        for (size_t i = 0; i < m * n; i++) {
            if (i / n == 11 || i / n == 12)
                ck_assert(!isfinite(bad[i]));
            else
                ck_assert_float_eq(bad[i], good[i]);
        }
    }
}
END_TEST

START_TEST(openblas_runs_on_one_thread)
{
    sotto_tensor_initialise();
    ck_assert_int_eq(openblas_get_num_threads(), 1);
}
END_TEST

/* ------------------------------------------------------------------ vectors */

START_TEST(vector_kernels_agree_with_plain_loops)
{
    enum { rows = 3 };
    for (size_t n = 1; n <= 70; n++) {
        const size_t count = rows * n;
        float x[rows * 70], y[rows * 70], z[rows * 70], bias[70], sums[70] = {0}, columns[70] = {0};
        const float weights[rows] = {0.5f, -3.0f, 1e-3f};
        double norms2[rows];
        fill(count, 2.0f, x);
        fill(count, 2.0f, y);
        fill(n, 1.0f, bias);
        sotto_tensor_axpy(count, 0.75f, x, bits_copy(count, y, z));
        for (size_t i = 0; i < count; i++)
            close_to(z[i], y[i] + 0.75 * x[i], 1.0, 3e-7, "axpy", i);
        sotto_tensor_multiply(count, x, bits_copy(count, y, z));
        for (size_t i = 0; i < count; i++)
            ck_assert_float_eq(z[i], y[i] * x[i]);
        sotto_tensor_bias(rows, n, bias, bits_copy(count, y, z));
        for (size_t i = 0; i < count; i++)
            ck_assert_float_eq(z[i], y[i] + bias[i % n]);
        sotto_tensor_row_squared_norms(rows, n, x, norms2);
        sotto_tensor_scale_rows(rows, n, weights, x, z, sums);
        sotto_tensor_column_sums(rows, n, x, columns);
        double wanted2[rows] = {0}, wanted_sums[70] = {0}, wanted_columns[70] = {0};
        for (size_t i = 0; i < count; i++) {
            ck_assert_float_eq(z[i], weights[i / n] * x[i]);
            wanted2[i / n] += (double)x[i] * x[i];
            wanted_sums[i % n] += (double)weights[i / n] * x[i];
            wanted_columns[i % n] += x[i];
        }
        for (size_t i = 0; i < rows; i++)
            close_to(norms2[i], wanted2[i], 0.0, 1e-14, "norms2", i);
        for (size_t j = 0; j < n; j++) {
            close_to(sums[j], wanted_sums[j], 5.0, 1e-6, "sums", j);
            close_to(columns[j], wanted_columns[j], 5.0, 1e-6, "columns", j);
        }
    }
}
END_TEST

START_TEST(squared_norms_survive_the_ends_of_float32)
{
    float x[33];
    double norm2;
    for (size_t j = 0; j < 33; j++)
        x[j] = FLT_MAX;
    sotto_tensor_row_squared_norms(1, 33, x, &norm2);
    close_to(norm2, 33.0 * FLT_MAX * (double)FLT_MAX, 0.0, 1e-12, "large", 0);
    for (size_t j = 0; j < 33; j++)
        x[j] = 1e-42f;
    sotto_tensor_row_squared_norms(1, 33, x, &norm2);
    close_to(norm2, 33.0 * x[0] * (double)x[0], 0.0, 1e-12, "small", 0);
}
END_TEST

START_TEST(a_row_of_weight_zero_is_exactly_zero)
{
    float x[3 * 21], sums[21] = {0};
    const float weights[3] = {1.0f, 0.0f, 2.0f};
    for (size_t i = 0; i < 63; i++)
        x[i] = i / 21 == 1 ? (i % 2 ? NAN : -INFINITY) : 1.0f;
    sotto_tensor_scale_rows(3, 21, weights, x, x, sums);
    for (size_t i = 0; i < 63; i++)
        ck_assert_float_eq(x[i], weights[i / 21]);
    for (size_t j = 0; j < 21; j++)
        ck_assert_float_eq(sums[j], 3.0f);
}
END_TEST

/* -------------------------------------------------------------- activations */

START_TEST(activations_agree_with_libm)
{
    for (size_t n = 1; n <= 40; n++) {
        float x[80], bias[40], y[80], slope[80], dy[80];
        fill(2 * n, 6.0f, x);
        fill(n, 1.0f, bias);
        sotto_tensor_bias_leaky_relu(2, n, x, bias, 0.2f, y);
        for (size_t i = 0; i < 2 * n; i++) {
            float v = x[i] + bias[i % n];
            ck_assert_float_eq(y[i], v > 0 ? v : 0.2f * v);
            dy[i] = 3.0f;
        }
        sotto_tensor_leaky_relu_backward(2 * n, 0.2f, y, dy);
        for (size_t i = 0; i < 2 * n; i++)
            ck_assert_float_eq(dy[i], x[i] + bias[i % n] > 0 ? 3.0f : 0.2f * 3.0f);
        sotto_tensor_bias_tanh(2, n, x, bias, y);
        for (size_t i = 0; i < 2 * n; i++) {
            close_to(y[i], tanh((double)(x[i] + bias[i % n])), 0.0, 3e-7, "tanh", i);
            dy[i] = 2.0f;
        }
        sotto_tensor_tanh_backward(2 * n, y, dy);
        for (size_t i = 0; i < 2 * n; i++)
            close_to(dy[i], 2.0 * (1.0 - (double)y[i] * y[i]), 2.0, 2e-7, "tanh backward", i);
        sotto_tensor_bias_silu(2, n, x, bias, y, slope);
        for (size_t i = 0; i < 2 * n; i++) {
            double v = x[i] + bias[i % n], sigmoid = 1.0 / (1.0 + exp(-v));
            close_to(y[i], v * sigmoid, 0.0, 1e-6, "silu", i);
            close_to(slope[i], sigmoid + v * sigmoid * (1.0 - sigmoid), 1.0, 5e-7, "silu derivative", i);
        }
    }
}
END_TEST

START_TEST(activations_may_run_in_place)
{
    float x[64], y[64], bias[32], d[64], e[64];
    fill(64, 3.0f, x);
    fill(32, 1.0f, bias);
    float *in = (float[64]){0};
    sotto_tensor_bias_tanh(2, 32, x, bias, y);
    sotto_tensor_bias_tanh(2, 32, bits_copy(64, x, in), bias, in);
    ck_assert_mem_eq(in, y, sizeof y);
    sotto_tensor_bias_leaky_relu(2, 32, x, bias, 0.1f, y);
    sotto_tensor_bias_leaky_relu(2, 32, bits_copy(64, x, in), bias, 0.1f, in);
    ck_assert_mem_eq(in, y, sizeof y);
    sotto_tensor_bias_silu(2, 32, x, bias, y, d);
    sotto_tensor_bias_silu(2, 32, bits_copy(64, x, in), bias, in, e);
    ck_assert_mem_eq(in, y, sizeof y);
    ck_assert_mem_eq(d, e, sizeof d);
}
END_TEST

/* --------------------------------------------------------------- layer norm */

START_TEST(layer_norm_agrees_with_its_formula)
{
    enum { rows = 3 };
    for (size_t n = 1; n <= 50; n++) {
        float x[rows * 50], gain[50], bias[50], hat[rows * 50], inverse[rows], y[rows * 50];
        fill(rows * n, 3.0f, x);
        fill(n, 2.0f, gain);
        fill(n, 1.0f, bias);
        sotto_tensor_norm(rows, n, x, gain, bias, hat, inverse, y);
        for (size_t i = 0; i < rows; i++) {
            double mean = 0.0, variance = 0.0;
            for (size_t j = 0; j < n; j++)
                mean += x[i * n + j] / (double)n;
            for (size_t j = 0; j < n; j++)
                variance += (x[i * n + j] - mean) * (x[i * n + j] - mean) / (double)n;
            const double scale = 1.0 / sqrt(variance + 1e-5);
            close_to(inverse[i], scale, 0.0, 1e-5, "inverse", i);
            for (size_t j = 0; j < n; j++) {
                const double wanted = (x[i * n + j] - mean) * scale;
                close_to(hat[i * n + j], wanted, 1.0, 1e-5, "normalised", j);
                close_to(y[i * n + j], gain[j] * wanted + bias[j], 1.0, 2e-5, "norm", j);
            }
        }
    }
}
END_TEST

/* Against the Jacobian written out: d hat_k/d x_j = inverse·(δ_jk − 1/n − hat_j·hat_k/n). */
START_TEST(layer_norm_backward_agrees_with_its_jacobian)
{
    for (size_t n = 1; n <= 50; n++) {
        float x[50], gain[50], hat[50], inverse, y[50], dy[50], dx[50], added[50];
        const float zeros[50] = {0};
        fill(n, 3.0f, x);
        fill(n, 2.0f, gain);
        fill(n, 1.0f, dy);
        sotto_tensor_norm(1, n, x, gain, zeros, hat, &inverse, y);
        for (size_t j = 0; j < n; j++)
            added[j] = 10.0f;
        sotto_tensor_norm_backward(1, n, gain, hat, &inverse, dy, false, dx);
        sotto_tensor_norm_backward(1, n, gain, hat, &inverse, dy, true, added);
        for (size_t j = 0; j < n; j++) {
            double wanted = 0.0;
            for (size_t k = 0; k < n; k++)
                wanted += ((j == k) - 1.0 / (double)n - (double)hat[j] * hat[k] / (double)n) * inverse *
                          (double)gain[k] * dy[k];
            close_to(dx[j], wanted, 1.0 + inverse, 2e-6, "norm backward", j);
            close_to(added[j], 10.0 + wanted, 1.0 + inverse, 2e-6, "norm backward, added", j);
        }
    }
}
END_TEST

START_TEST(layer_norm_gradients_agree)
{
    enum { rows = 4 };
    for (size_t n = 1; n <= 50; n++) {
        float hat[rows * 50], dy[rows * 50], gain[50] = {0}, bias[50] = {0};
        const float weights[rows] = {0.5f, 0.0f, 2.0f, 1.0f};
        fill(rows * n, 2.0f, hat);
        fill(rows * n, 2.0f, dy);
        for (size_t j = 0; j < n; j++)
            hat[n + j] = NAN; /* the row of weight 0 */
        sotto_tensor_norm_gradient(rows, n, weights, hat, dy, gain, bias);
        for (size_t j = 0; j < n; j++) {
            double wanted_gain = 0.0, wanted_bias = 0.0;
            for (size_t i = 0; i < rows; i++) {
                if (weights[i] == 0.0f)
                    continue;
                wanted_gain += (double)weights[i] * dy[i * n + j] * hat[i * n + j];
                wanted_bias += (double)weights[i] * dy[i * n + j];
            }
            close_to(gain[j], wanted_gain, 5.0, 1e-6, "gain", j);
            close_to(bias[j], wanted_bias, 5.0, 1e-6, "bias", j);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *tests = tcase_create("kernels");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, products_agree_with_plain_loops);
    tcase_add_test(tests, an_empty_sum_leaves_beta_times_c);
    tcase_add_test(tests, a_bad_row_stays_alone_in_a_product);
    tcase_add_test(tests, openblas_runs_on_one_thread);
    tcase_add_test(tests, vector_kernels_agree_with_plain_loops);
    tcase_add_test(tests, squared_norms_survive_the_ends_of_float32);
    tcase_add_test(tests, a_row_of_weight_zero_is_exactly_zero);
    tcase_add_test(tests, activations_agree_with_libm);
    tcase_add_test(tests, activations_may_run_in_place);
    tcase_add_test(tests, layer_norm_agrees_with_its_formula);
    tcase_add_test(tests, layer_norm_backward_agrees_with_its_jacobian);
    tcase_add_test(tests, layer_norm_gradients_agree);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, elementary_tests());
    return run_suite(suite);
}
