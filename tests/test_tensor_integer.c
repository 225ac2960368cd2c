/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact sums of integers: every set of kernels that this CPU can run against plain loops. */

#include "test_tensor_gemm.h"

#include <stdlib.h>

typedef void with_kernels(void);

static void with_each(with_kernels *f)
{
    size_t tried = 0;
    for (const gemm_kernels *const *k = sotto_gemm_integer_kernels; *k; k++) {
        if (!sotto_gemm_runs(*k))
            continue;
        sotto_gemm_choose_integer(*k);
        f();
        tried++;
    }
    ck_assert_uint_ge(tried, 1);
    sotto_gemm_choose_integer(NULL);
}

/* The definition, through the C library and float64. */
static int32_t plain_quantised(float x, float scale)
{
    if (scale == 0.0f || isnan(x))
        return 0;
    const double scaled = (double)x * (double)scale;
    return scaled > 32767.0 ? 32767 : scaled < -32767.0 ? -32767 : (int32_t)lrint(scaled);
}

enum { MOST = 70000 };

static float x[MOST], y[MOST], x_scales[1024], y_scales[1024];
static int32_t qx[MOST], qy[MOST]; /* by the definition, [rows, columns] */
static _Alignas(64) int32_t left[2 * MOST], right[2 * MOST], sums[MOST], sums_wanted[MOST];
static uint64_t x_squares[1024], y_squares[1024];

static void check_squares(size_t rows, size_t columns, const int32_t *q, const uint64_t *squares)
{
    for (size_t r = 0; r < rows; r++) {
        uint64_t right_sum = 0;
        for (size_t j = 0; j < columns; j++)
            right_sum += (uint64_t)((int64_t)q[r * columns + j] * q[r * columns + j]);
        if (squares[r] != right_sum)
            ck_abort_msg("%s: row %zu of %zu × %zu: %llu, wanted %llu", sotto_gemm_integer()->name, r, rows,
                         columns, (unsigned long long)squares[r], (unsigned long long)right_sum);
    }
}

/* From the definition, quantised already. */
static void check_sums(size_t d, size_t p, size_t rows, bool accumulate, size_t gap)
{
    const size_t stride = p + gap;
    for (size_t i = 0; i < d * stride; i++)
        sums[i] = sums_wanted[i] = (int32_t)(1000.0f * draw());
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j < p; j++) {
            int64_t sum = accumulate ? sums[i * stride + j] : 0;
            for (size_t r = 0; r < rows; r++)
                sum += (int64_t)qx[r * d + i] * qy[r * p + j];
            if (sum < INT32_MIN || sum > INT32_MAX)
                ck_abort_msg("a sum that the test must not make");
            sums_wanted[i * stride + j] = (int32_t)sum;
        }
    }
    sotto_tensor_integer_product(d, p, rows, left, right, accumulate, sums, stride);
    for (size_t i = 0; i < d * stride; i++)
        if (sums[i] != sums_wanted[i])
            ck_abort_msg("%s: d %zu p %zu rows %zu at %zu: %d, wanted %d", sotto_gemm_integer()->name, d, p,
                         rows, i, sums[i], sums_wanted[i]);
}

static void define(size_t rows, size_t columns, const float *from, const float *scales, int32_t *q)
{
    for (size_t i = 0; i < rows * columns; i++)
        q[i] = plain_quantised(from[i], scales[i / columns]);
}

/* Quantise, pack and multiply what lies in x, y and their scales. */
static void check_integers(size_t d, size_t p, size_t rows, bool accumulate, size_t gap)
{
    const size_t left_count = sotto_tensor_left_count(rows, d),
                 right_count = sotto_tensor_right_count(rows, p);
    ck_assert(left_count < 2 * MOST && right_count < 2 * MOST);
    left[left_count] = right[right_count] = 12345;
    define(rows, d, x, x_scales, qx);
    define(rows, p, y, y_scales, qy);
    sotto_tensor_quantise_left(rows, d, x, d, x_scales, left, x_squares);
    sotto_tensor_quantise_right(rows, p, y, p, y_scales, right, y_squares);
    ck_assert_int_eq(left[left_count], 12345);
    ck_assert_int_eq(right[right_count], 12345);
    check_squares(rows, d, qx, x_squares);
    check_squares(rows, p, qy, y_squares);
    check_sums(d, p, rows, accumulate, gap);
}

static void fill_rows(size_t d, size_t p, size_t rows, float size)
{
    fill(rows * d, 1.0f, x);
    fill(rows * p, 1.0f, y);
    for (size_t r = 0; r < rows; r++) {
        x_scales[r] = r % 5 == 2 ? size / 4 : size;
        y_scales[r] = r % 7 == 3 ? 0.0f : size;
    }
}

static void all_shapes(void)
{
    for (size_t d = 1; d <= 40; d++) {
        for (size_t p = 1; p <= 40; p++) {
            const size_t rows = 1 + (d * 5 + p) % 13;
            fill_rows(d, p, rows, 4096.0f);
            check_integers(d, p, rows, (d + p) % 2, d % 3 == 0 ? 5 : 0);
        }
    }
    static const size_t wide[][3] = {{256, 256, 3}, {9, 32, 784},  {64, 32, 49},  {288, 64, 50},
                                     {300, 1, 128}, {1, 300, 128}, {13, 17, 511}, {12, 16, 1023},
                                     {2, 3, 1024},  {0, 4, 3},     {4, 0, 3},     {5, 5, 0},
                                     {230, 231, 4}};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        fill_rows(wide[i][0], wide[i][1], wide[i][2], 512.0f);
        check_integers(wide[i][0], wide[i][1], wide[i][2], i % 2, 0);
    }
}

START_TEST(integer_products_are_exact)
{
    with_each(all_shapes);
}
END_TEST

/* One row at the ends of the range, then two that nearly fill an int32, then many that cancel. */
static void extremes(void)
{
    for (size_t rows = 1; rows <= 6; rows++) {
        const size_t d = 21, p = 35;
        for (size_t i = 0; i < rows * d; i++)
            x[i] = i % 3 ? 1e30f : -INFINITY;
        for (size_t i = 0; i < rows * p; i++)
            y[i] = (i % p % 2 ? 32767.0f : -40000.0f) * (rows > 2 && i / p % 2 ? -1.0f : 1.0f);
        for (size_t r = 0; r < rows; r++)
            x_scales[r] = y_scales[r] = r < 2 || rows > 2 ? 1.0f : 0.0f;
        if (rows > 2) { /* the same row again and again: neighbours cancel */
            for (size_t i = 0; i < rows * d; i++)
                x[i] = i % d % 2 ? 32767.0f : -32768.0f;
        }
        check_integers(d, p, rows, false, 0);
        for (size_t r = 0; r < rows; r++)
            ck_assert_uint_eq(y_squares[r], p * 32767ull * 32767ull);
    }
}

START_TEST(integer_products_survive_their_extremes)
{
    with_each(extremes);
}
END_TEST

/* What lies in an odd place of a packed right side: as the product by a single one reads it. */
static void read_back(size_t rows, size_t columns, int32_t *q)
{
    for (size_t r = 0; r < rows; r++) {
        float one[1024] = {0}, scales[1024];
        static _Alignas(64) int32_t ones[1024];
        one[r] = 1.0f;
        for (size_t i = 0; i < rows; i++)
            scales[i] = 1.0f;
        sotto_tensor_quantise_left(rows, 1, one, 1, scales, ones, NULL);
        sotto_tensor_integer_product(1, columns, rows, ones, right, false, q + r * columns, columns);
    }
}

static void rounding(void)
{
    static const float odd[] = {0.5f,        1.5f,      2.5f,     -0.5f,     -1.5f,    -2.5f,     0.49999997f,
                                0.50000006f, 32766.5f,  32767.0f, 32767.5f,  32768.0f, -32766.5f, -32767.0f,
                                -32767.5f,   -32768.0f, -40000.f, 65536.0f,  4e9f,     -4e9f,     1e38f,
                                FLT_MAX,     -FLT_MAX,  INFINITY, -INFINITY, NAN,      -NAN,      0.0f,
                                -0.0f,       1e-42f,    -1e-42f,  FLT_MIN,   16384.5f, 16385.5f,  8191.25f};
    static const float scales[] = {1.0f, 0.5f, 2.0f, 0x1p-20f, 0x1p+20f, 0x1p+127f, 0x1p-126f, 0.0f};
    const size_t columns = sizeof odd / sizeof *odd, rows = sizeof scales / sizeof *scales;
    static int32_t found[MOST];
    for (size_t i = 0; i < rows * columns; i++) {
        /* A NaN may carry anything in its low bits. */
        const uint32_t marked = i % 2 ? 0x7fc01234u : 0xffc0ffffu;
        y[i] = odd[i % columns];
        if (isnan(y[i]))
            memcpy(&y[i], &marked, sizeof marked);
    }
    memcpy(y_scales, scales, sizeof scales);
    define(rows, columns, y, scales, qy);
    ck_assert(qy[0] == 0 && qy[1] == 2 && qy[2] == 2 && qy[4] == -2 && qy[8] == 32766 && qy[15] == -32767);
    sotto_tensor_quantise_right(rows, columns, y, columns, scales, right, y_squares);
    check_squares(rows, columns, qy, y_squares);
    read_back(rows, columns, found);
    for (size_t i = 0; i < rows * columns; i++)
        if (found[i] != qy[i])
            ck_abort_msg("%s: %a by %a: %d, wanted %d", sotto_gemm_integer()->name, (double)y[i],
                         (double)scales[i / columns], found[i], qy[i]);
    for (size_t j = 0; j < columns; j++)
        ck_assert_int_eq(found[7 * columns + j], 0); /* the scale of 0 */
    ck_assert_uint_eq(y_squares[7], 0);
}

START_TEST(quantisation_rounds_saturates_and_forgets)
{
    with_each(rounding);
}
END_TEST

/* Rows that lie apart, and no sums of squares wanted. */
static void strides(void)
{
    enum { rows = 9, columns = 11, stride = 14 };
    static int32_t found[MOST];
    fill(rows * stride, 100.0f, y);
    for (size_t r = 0; r < rows; r++) {
        y_scales[r] = 8.0f;
        for (size_t j = 0; j < columns; j++)
            qy[r * columns + j] = plain_quantised(y[r * stride + j], 8.0f);
    }
    sotto_tensor_quantise_right(rows, columns, y, stride, y_scales, right, NULL);
    read_back(rows, columns, found);
    ck_assert_mem_eq(found, qy, rows * columns * sizeof *qy);
}

START_TEST(quantisation_follows_the_stride)
{
    with_each(strides);
}
END_TEST

static void scaled_rows(void)
{
    static const uint32_t numerators[] = {0, 1, 65536, 1u << 30, 0x7fffffffu, 1u << 31, 1234567890u};
    static int32_t found[MOST];
    const size_t rows = 7, columns = 37;
    for (size_t n = 0; n < sizeof numerators / sizeof *numerators; n++) {
        const size_t row = n % rows;
        fill(rows * columns, 40000.0f, y);
        for (size_t r = 0; r < rows; r++)
            y_scales[r] = 1.0f;
        define(rows, columns, y, y_scales, qy);
        sotto_tensor_quantise_right(rows, columns, y, columns, y_scales, right, y_squares);
        for (size_t j = 0; j < columns; j++)
            qy[row * columns + j] =
                (int32_t)((int64_t)qy[row * columns + j] * numerators[n] / ((int64_t)1 << 31));
        y_squares[row] = sotto_tensor_scale_right_row(rows, columns, row, numerators[n], right);
        check_squares(rows, columns, qy, y_squares);
        read_back(rows, columns, found);
        ck_assert_mem_eq(found, qy, rows * columns * sizeof *qy);
    }
}

START_TEST(a_packed_row_is_scaled_towards_zero)
{
    with_each(scaled_rows);
}
END_TEST

/* -------------------------------------------------------------------- vectors */

static void vectors(void)
{
    static const uint32_t numerators[] = {0, 1, 3, 1u << 30, 0x7fffffffu, 1u << 31, 987654321u};
    for (size_t count = 0; count <= 70; count++) {
        int32_t some[70], added[70];
        int64_t totals[70];
        sotto_uint128 squares = 0;
        for (size_t j = 0; j < count; j++) {
            some[j] = count % 3 == 0 ? (int32_t)(2147483520.0f * draw()) : j % 2 ? INT32_MIN : INT32_MAX;
            squares += (sotto_uint128)((int64_t)some[j] * some[j]);
        }
        ck_assert(sotto_tensor_integer_squares(count, some) == squares);
        for (size_t n = 0; n < sizeof numerators / sizeof *numerators; n++) {
            memcpy(added, some, sizeof some);
            sotto_tensor_integer_scale(count, numerators[n], added);
            for (size_t j = 0; j < count; j++)
                ck_assert_int_eq(added[j], (int64_t)some[j] * numerators[n] / ((int64_t)1 << 31));
        }
        for (size_t j = 0; j < count; j++) {
            added[j] = (int32_t)j;
            some[j] = j % 2 ? INT32_MIN : INT32_MAX - (int32_t)j;
            totals[j] = INT64_C(1) << 40;
        }
        sotto_tensor_integer_add(count, some, added);
        for (size_t j = 0; j < count; j++)
            ck_assert_int_eq(added[j], j % 2 ? INT32_MIN + (int32_t)j : INT32_MAX);
        sotto_tensor_integer_flush(count, added, totals);
        for (size_t j = 0; j < count; j++) {
            ck_assert_int_eq(totals[j], (INT64_C(1) << 40) + (j % 2 ? INT32_MIN + (int64_t)j : INT32_MAX));
            ck_assert_int_eq(added[j], 0);
        }
    }
}

/* Many of the largest: past 64 bits. */
static void large_squares(void)
{
    enum { count = 50001 };
    int32_t *most = malloc(count * sizeof *most);
    ck_assert_ptr_nonnull(most);
    for (size_t j = 0; j < count; j++)
        most[j] = INT32_MIN;
    const sotto_uint128 sum = sotto_tensor_integer_squares(count, most);
    ck_assert(sum == (sotto_uint128)count << 62);
    free(most);
}

START_TEST(vectors_of_integers_agree_with_plain_loops)
{
    with_each(vectors);
    with_each(large_squares);
}
END_TEST

TCase *integer_tests(void)
{
    TCase *tests = tcase_create("integers");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, integer_products_are_exact);
    tcase_add_test(tests, integer_products_survive_their_extremes);
    tcase_add_test(tests, quantisation_rounds_saturates_and_forgets);
    tcase_add_test(tests, quantisation_follows_the_stride);
    tcase_add_test(tests, a_packed_row_is_scaled_towards_zero);
    tcase_add_test(tests, vectors_of_integers_agree_with_plain_loops);
    return tests;
}
