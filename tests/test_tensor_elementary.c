/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exp, log, tanh and softmax against libm in float64; and the digest that all builds of all kernels share. */

#include "test_tensor.h"

/* ----------------------------------------------------- elementary functions */

/* The distance in units of the last place of the true value (of the smallest normal number's at least). */
static double ulps(float found, double wanted)
{
    float nearest = fabsf((float)wanted);
    double unit = nearest < FLT_MIN ? 0x1p-149 : (double)nextafterf(nearest, INFINITY) - nearest;
    return fabs(found - wanted) / unit;
}

/* The worst error over a dense sweep, 512 arguments at a time so that whole vectors and tails are both met.
 */
static double worst(void (*kernel)(size_t, const float *, float *), double (*truth)(double), double low,
                    double high, bool geometric)
{
    double most = 0.0;
    float x[509], y[509];
    const size_t blocks = 2000;
    for (size_t block = 0; block < blocks; block++) {
        for (size_t j = 0; j < 509; j++) {
            double at =
                ((double)block * 509 + (double)j + 0.5 * (1.0 + (double)draw())) / (509.0 * (double)blocks);
            x[j] = (float)(geometric ? low * pow(high / low, at) : low + (high - low) * at);
        }
        kernel(509, x, y);
        for (size_t j = 0; j < 509; j++) {
            double error = ulps(y[j], truth((double)x[j]));
            most = error > most || isnan(error) ? error : most;
        }
    }
    return most;
}

static void tanh_of(size_t count, const float *x, float *y)
{
    static const float zeros[509] = {0};
    sotto_tensor_bias_tanh(1, count, x, zeros, y);
}

START_TEST(elementary_functions_are_within_their_stated_error)
{
    ck_assert_double_le(worst(sotto_tensor_exp, exp, -103.9, 88.72, false), 2.0);
    ck_assert_double_le(worst(sotto_tensor_exp, exp, -1.0, 1.0, false), 2.0);
    ck_assert_double_le(worst(sotto_tensor_log, log, 1.5e-45, 3.4e38, true), 2.0);
    ck_assert_double_le(worst(sotto_tensor_log, log, 0.5, 2.0, false), 2.0);
    ck_assert_double_le(worst(tanh_of, tanh, -10.0, 10.0, false), 3.0);
    ck_assert_double_le(worst(tanh_of, tanh, 1e-30, 1.0, true), 3.0);
}
END_TEST

START_TEST(elementary_functions_keep_the_special_values)
{
    float x[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e4f, -1e4f, 1.0f, -1.0f};
    float y[9];
    sotto_tensor_exp(9, x, y);
    ck_assert(y[0] == 1.0f && y[1] == 1.0f && y[2] == INFINITY && y[3] == 0.0f && isnan(y[4]));
    ck_assert(y[5] == INFINITY && y[6] == 0.0f);
    sotto_tensor_log(9, x, y);
    ck_assert(y[0] == -INFINITY && y[1] == -INFINITY && y[2] == INFINITY && isnan(y[3]) && isnan(y[4]));
    ck_assert(y[7] == 0.0f && isnan(y[8]));
    tanh_of(9, x, y);
    ck_assert(y[0] == 0.0f && y[2] == 1.0f && y[3] == -1.0f && isnan(y[4]) && y[5] == 1.0f && y[6] == -1.0f);
}
END_TEST

START_TEST(a_result_does_not_depend_on_its_place)
{
    for (size_t n = 1; n < 40; n++) {
        float x[40], one[40], many[40];
        fill(n, 3.0f, x);
        for (size_t j = 0; j < n; j++)
            sotto_tensor_exp(1, x + j, one + j);
        sotto_tensor_exp(n, x, many);
        ck_assert_mem_eq(one, many, n * sizeof *one);
        sotto_tensor_exp(n, x, x);
        ck_assert_mem_eq(x, many, n * sizeof *one);
        for (size_t j = 0; j < n; j++)
            sotto_tensor_log(1, x + j, one + j);
        sotto_tensor_log(n, x, many);
        ck_assert_mem_eq(one, many, n * sizeof *one);
    }
}
END_TEST

/* ------------------------------------------------------------------ softmax */

static const sotto_tensor_segment segments[] = {{1, 1}, {2, 5}, {7, 3}, {12, 20}, {32, 40}};
enum { segment_count = 5, width = 74 };

static void plain_softmax(const sotto_tensor_segment *segment, const float *x, double *y)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < segment->count; j++)
        largest = fmax(largest, x[segment->offset + j]);
    for (size_t j = 0; j < segment->count; j++)
        sum += exp(x[segment->offset + j] - largest);
    for (size_t j = 0; j < segment->count; j++)
        y[j] = exp(x[segment->offset + j] - largest) / sum;
}

START_TEST(softmax_agrees_with_its_formula)
{
    enum { rows = 5 };
    float x[rows * width], y[rows * width], dy[rows * width], d[rows * width];
    fill(rows * width, 8.0f, x);
    fill(rows * width, 1.0f, dy);
    x[2 * width + 13] = 3e38f;
    x[2 * width + 33] = -3e38f;
    sotto_tensor_softmax(rows, width, segments, segment_count, bits_copy(rows * width, x, y));
    sotto_tensor_softmax_backward(rows, width, segments, segment_count, y, bits_copy(rows * width, dy, d));
    for (size_t i = 0; i < rows; i++) {
        bool covered[width] = {false};
        for (size_t s = 0; s < segment_count; s++) {
            double wanted[width], mean = 0.0;
            plain_softmax(&segments[s], x + i * width, wanted);
            for (size_t j = 0; j < segments[s].count; j++)
                mean += wanted[j] * dy[i * width + segments[s].offset + j];
            for (size_t j = 0; j < segments[s].count; j++) {
                const size_t at = i * width + segments[s].offset + j;
                covered[segments[s].offset + j] = true;
                close_to(y[at], wanted[j], 1e-30, 3e-6, "softmax", at);
                close_to(d[at], wanted[j] * (dy[at] - mean), 1.0, 1e-6, "softmax backward", at);
            }
        }
        for (size_t j = 0; j < width; j++) {
            ck_assert(covered[j] ||
                      (y[i * width + j] == x[i * width + j] && d[i * width + j] == dy[i * width + j]));
        }
    }
}
END_TEST

START_TEST(a_bad_row_stays_alone_in_a_softmax)
{
    float x[3 * width], good[3 * width];
    fill(3 * width, 2.0f, x);
    sotto_tensor_softmax(3, width, segments, segment_count, bits_copy(3 * width, x, good));
    for (size_t j = 0; j < width; j++)
        x[width + j] = j % 2 ? NAN : INFINITY;
    sotto_tensor_softmax(3, width, segments, segment_count, x);
    ck_assert_mem_eq(x, good, width * sizeof *x);
    ck_assert_mem_eq(x + 2 * width, good + 2 * width, width * sizeof *x);
}
END_TEST

/* --------------------------------------------------------------- same bits */

static uint64_t digest;

/* FNV-1a over the bytes. */
static void absorb(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++)
        digest = (digest ^ bytes[i]) * 1099511628211u;
}

/*
 * Every kernel on one odd shape. The digest was taken from scalar, SSE, AVX2 and AVX2 with FMA builds by two
 * compilers, which agreed. Where a kernel's order of operations is changed on purpose, it changes.
 */
START_TEST(every_build_gives_the_same_bits)
{
    enum { rows = 7, columns = 77, count = rows * columns };
    float a[count], b[count], c[count], d[count], s[columns], t[columns], w[rows];
    double norms2[rows];
    test_state = 2026;
    digest = 14695981039346656037u;
    fill(count, 9.0f, a);
    fill(count, 9.0f, b);
    fill(columns, 2.0f, s);
    fill(rows, 1.0f, w);
    bits_copy(columns, s, t);
    sotto_tensor_axpy(count, 0.3f, a, b);
    absorb(b, sizeof b);
    sotto_tensor_bias_tanh(rows, columns, a, s, c);
    absorb(c, sizeof c);
    sotto_tensor_bias_silu(rows, columns, a, s, c, d);
    absorb(d, sizeof d);
    sotto_tensor_exp(count, a, c);
    absorb(c, sizeof c);
    sotto_tensor_log(count, c, c);
    absorb(c, sizeof c);
    sotto_tensor_row_squared_norms(rows, columns, a, norms2);
    absorb(norms2, sizeof norms2);
    sotto_tensor_scale_rows(rows, columns, w, a, c, t);
    absorb(t, sizeof t);
    sotto_tensor_softmax(rows, width, segments, segment_count, c);
    sotto_tensor_softmax_backward(rows, width, segments, segment_count, c, b);
    absorb(b, sizeof b);
    sotto_tensor_norm(rows, columns, a, s, t, c, w, d);
    absorb(d, sizeof d);
    sotto_tensor_norm_backward(rows, columns, s, c, w, a, false, d);
    absorb(d, sizeof d);
    sotto_tensor_norm_gradient(rows, columns, w, c, a, s, t);
    absorb(s, sizeof s);
    sotto_tensor_product_nn(rows, 1, columns, 1.0f, a, columns, s, 1, 0.0f, w, 1);
    sotto_tensor_product_nt(rows, columns, 1, 0.5f, w, 1, s, 1, 1.0f, c, columns);
    sotto_tensor_product_tn(columns, 1, rows, 1.0f, c, columns, w, 1, 0.0f, s, 1);
    absorb(s, sizeof s);
    ck_assert_msg(digest == 0xbf6a2f57dab4c897u, "digest %016llx", (unsigned long long)digest);
}
END_TEST

TCase *elementary_tests(void)
{
    TCase *tests = tcase_create("elementary");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, elementary_functions_are_within_their_stated_error);
    tcase_add_test(tests, elementary_functions_keep_the_special_values);
    tcase_add_test(tests, a_result_does_not_depend_on_its_place);
    tcase_add_test(tests, softmax_agrees_with_its_formula);
    tcase_add_test(tests, a_bad_row_stays_alone_in_a_softmax);
    tcase_add_test(tests, every_build_gives_the_same_bits);
    return tests;
}
