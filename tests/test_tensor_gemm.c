/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Products of floats: every set of kernels that this CPU can run, bit for bit against the plain loop that is
 * the law. Everything is deterministic.
 */

#include "test_tensor_gemm.h"
#include "suite.h"

#include <stdlib.h>

uint64_t test_state = 1;

/* Memory for the largest shape here, with a guard that no kernel may touch beyond what it is told of. */
enum { MOST = 1024 * 1024 + 4096 };

static float *a_memory, *b_memory, *c, *before, *wanted, *packed, *scratch;
static float *a, *b; /* where they end, their memory ends: so a sanitizer sees who reads on */

static void take_memory(void)
{
    float **all[] = {&a_memory, &b_memory, &c, &before, &wanted, &packed, &scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = aligned_alloc(64, 4 * MOST * sizeof(float));
        ck_assert_ptr_nonnull(*all[i]);
    }
    a = a_memory;
    b = b_memory;
}

static void give_memory(void)
{
    float **all[] = {&a_memory, &b_memory, &c, &before, &wanted, &packed, &scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(*all[i]);
    sotto_gemm_choose_float(NULL);
}

typedef struct shape {
    size_t m, n, k;
    size_t a_gap, b_gap, c_gap; /* floats between the end of a row and the next */
    bool transposed, accumulate;
} shape;

/* Bits, except that any NaN is as good as another. (An assertion is a system call: not one for each number.)
 */
static void same_bits(size_t count, const float *found, const float *right, const shape *s, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(found + i, right + i, sizeof *found) != 0 && !(isnan(found[i]) && isnan(right[i])))
            ck_abort_msg("%s, %s, m %zu n %zu k %zu at %zu: %a, wanted %a", sotto_gemm_float()->name, what,
                         s->m, s->n, s->k, i, (double)found[i], (double)right[i]);
    }
}

/* A guard behind packed or scratch memory of `count` floats, and whether it is whole. */
static void guard(float *memory, size_t count)
{
    memset(memory + count, 0xa5, 64);
}

static void check_guard(const float *memory, size_t count, const shape *s)
{
    unsigned char whole[64];
    memset(whole, 0xa5, sizeof whole);
    ck_assert_msg(memcmp(memory + count, whole, sizeof whole) == 0, "m %zu n %zu k %zu: beyond the end", s->m,
                  s->n, s->k);
}

static void plain_product(const shape *s)
{
    const size_t a_stride = s->k + s->a_gap, c_stride = s->n + s->c_gap;
    const size_t b_stride = (s->transposed ? s->k : s->n) + s->b_gap;
    for (size_t i = 0; i < s->m; i++) {
        for (size_t j = 0; j < s->n; j++) {
            float sum = s->accumulate ? before[i * c_stride + j] : 0.0f;
            for (size_t k = 0; k < s->k; k++)
                sum =
                    fmaf(a[i * a_stride + k], s->transposed ? b[j * b_stride + k] : b[k * b_stride + j], sum);
            wanted[i * c_stride + j] = sum;
        }
    }
}

/* Pack what fill() has left in b, multiply, compare c with the plain loop, gaps included. */
static void check_product(const shape *s)
{
    const size_t a_stride = s->k + s->a_gap, c_stride = s->n + s->c_gap, c_count = s->m * c_stride;
    const size_t b_stride = (s->transposed ? s->k : s->n) + s->b_gap;
    const size_t count = sotto_tensor_packed_count(s->k, s->n);
    fill(c_count, 1.0f, before);
    for (size_t i = 0; !s->accumulate && i < c_count; i++)
        before[i] = NAN; /* must not be read */
    bits_copy(c_count, before, c);
    bits_copy(c_count, before, wanted);
    guard(packed, count);
    if (s->transposed)
        sotto_tensor_pack_transposed(s->k, s->n, b, b_stride, packed);
    else
        sotto_tensor_pack(s->k, s->n, b, b_stride, packed);
    check_guard(packed, count, s);
    sotto_tensor_product(s->m, s->n, s->k, a, a_stride, packed, s->accumulate, c, c_stride);
    plain_product(s);
    same_bits(c_count, c, wanted, s, "product");
}

/* The last row has no gap behind it. */
static void place(size_t a_rows, size_t a_columns, size_t a_gap, size_t b_rows, size_t b_columns,
                  size_t b_gap)
{
    const size_t a_count = a_rows ? a_rows * (a_columns + a_gap) - a_gap : 0;
    const size_t b_count = b_rows ? b_rows * (b_columns + b_gap) - b_gap : 0;
    a = a_memory + 4 * MOST - a_count;
    b = b_memory + 4 * MOST - b_count;
    fill(a_count, 1.0f, a);
    fill(b_count, 1.0f, b);
}

static void check_filled_product(const shape *s)
{
    place(s->m, s->k, s->a_gap, s->transposed ? s->n : s->k, s->transposed ? s->k : s->n, s->b_gap);
    check_product(s);
}

typedef void with_kernels(void);

static void with_each(with_kernels *f)
{
    size_t tried = 0;
    for (const gemm_kernels *const *k = sotto_gemm_float_kernels; *k; k++) {
        if (!sotto_gemm_runs(*k))
            continue;
        sotto_gemm_choose_float(*k);
        f();
        tried++;
    }
    ck_assert_uint_ge(tried, 1);
    sotto_gemm_choose_float(NULL);
}

/* --------------------------------------------------------------------- shapes */

static void all_small_shapes(void)
{
    for (size_t m = 1; m <= 40; m++) {
        for (size_t n = 1; n <= 40; n++) {
            const size_t which = m * 41 + n, k = 1 + (m * 7 + n * 3) % 23;
            check_filled_product(&(shape){.m = m,
                                          .n = n,
                                          .k = k,
                                          .a_gap = which % 3 == 0 ? 5 : 0,
                                          .b_gap = which % 4 == 0 ? 3 : 0,
                                          .c_gap = which % 5 == 0 ? 7 : 0,
                                          .transposed = which % 2,
                                          .accumulate = which % 7 < 3});
        }
    }
}

START_TEST(small_products_keep_the_law)
{
    with_each(all_small_shapes);
}
END_TEST

static void all_depths(void)
{
    static const size_t depths[] = {1,   2,   3,   4,   5,   7,   15,  16,  17,   31,  33,
                                    255, 256, 257, 511, 512, 513, 600, 768, 1023, 1024};
    static const size_t widths[] = {1, 9, 16, 33, 66};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            check_filled_product(&(shape){.m = d % 2 ? 7 : 35,
                                          .n = widths[w],
                                          .k = depths[d],
                                          .transposed = d % 3 == 0,
                                          .accumulate = w % 2});
    }
}

START_TEST(deep_products_keep_the_law)
{
    with_each(all_depths);
}
END_TEST

static void wide_shapes(void)
{
    check_filled_product(&(shape){.m = 3, .n = 1024, .k = 1024, .transposed = true});
    check_filled_product(&(shape){.m = 128, .n = 64, .k = 1024});
    check_filled_product(&(shape){.m = 1, .n = 1000, .k = 70});
    check_filled_product(&(shape){.m = 130, .n = 1, .k = 1024, .accumulate = true});
    check_filled_product(&(shape){.m = 130, .n = 100, .k = 1, .accumulate = true});
    check_filled_product(&(shape){.m = 130, .n = 257, .k = 1, .transposed = true});
}

START_TEST(wide_products_keep_the_law)
{
    with_each(wide_shapes);
}
END_TEST

static void nothing_to_add(void)
{
    for (size_t n = 1; n <= 20; n += 19) {
        check_filled_product(&(shape){.m = 4, .n = n, .k = 0, .accumulate = true});
        check_filled_product(&(shape){.m = 4, .n = n, .k = 0});
    }
    sotto_tensor_product(0, 3, 3, a, 3, packed, false, NULL, 3);
    sotto_tensor_product(3, 0, 3, a, 3, packed, false, NULL, 0);
}

START_TEST(an_empty_sum_is_zero)
{
    with_each(nothing_to_add);
}
END_TEST

/* Sums that cancel, subnormal results, overflow and values that are no numbers. */
static void awkward_numbers(void)
{
    static const float odd[] = {
        0.0f,     -0.0f,    0x1p-149f, -0x1p-149f, 0x1.8p-130f,   0x1p-75f, 0x1.000002p-75f,
        FLT_MAX,  -FLT_MAX, INFINITY,  NAN,        1.0f,          -1.0f,    0x1.fffffep-1f,
        0x1p+24f, 0x1p-24f, 0x1p+60f,  -0x1p+60f,  0x1.000002p+0f};
    const size_t count = sizeof odd / sizeof *odd;
    for (size_t turn = 0; turn < 400; turn++) {
        const shape s = {.m = 9, .n = 18, .k = 2 + turn % 5, .accumulate = turn % 2};
        place(s.m, s.k, 0, s.k, s.n, 0);
        for (size_t i = 0; i < s.m * s.k; i++)
            a[i] = odd[(size_t)((draw() + 1.0f) * 0.4999f * (float)(turn % 4 ? count : 5))];
        for (size_t i = 0; i < s.n * s.k; i++)
            b[i] = turn % 3 ? odd[(size_t)((draw() + 1.0f) * 0.4999f * (float)count)] : draw();
        check_product(&s);
    }
}

/* Products of all sizes added to sums of all sizes: the fused rounding at every distance. */
static void all_exponents(void)
{
    for (int from = -149; from < 60; from++) {
        const shape s = {.m = 6, .n = 20, .k = 3, .accumulate = true};
        place(s.m, s.k, 0, s.k, s.n, 0);
        for (size_t i = 0; i < s.m * s.k; i++)
            a[i] = ldexpf(1.0f + roundf(8.0f * draw()) / 8.0f, from / 2);
        for (size_t i = 0; i < s.n * s.k; i++)
            b[i] = ldexpf(draw(), from - from / 2 + (int)(i % 60) - 30);
        check_product(&s);
    }
}

/*
 * A product that is half a last place of the sum, and a hair more or less: (1 + x)(1 − x) and (1 + x)(1 − x +
 * x²), so little that it is lost in float64. Rounded there first, it would look like a tie.
 */
static void near_ties(void)
{
    static const float starts[] = {1.0f, 0x1.000002p+0f, 0x1.fffffep+0f, 0x1.8p+0f, 0x1.000006p+0f};
    const shape s = {.m = 20, .n = 12, .k = 2};
    for (int exponent = -60; exponent <= 60; exponent += 5) {
        place(s.m, s.k, 0, s.k, s.n, 0);
        for (size_t i = 0; i < s.m; i++) {
            const float x = i / 10 ? 0x1p-11f : 0x1p-21f;
            a[2 * i] = ldexpf(i % 2 ? -starts[i / 2 % 5] : starts[i / 2 % 5], exponent);
            a[2 * i + 1] = ldexpf(1.0f + x, exponent - 24);
        }
        for (size_t j = 0; j < s.n; j++) {
            const float x = j % 2 ? 0x1p-11f : 0x1p-21f, sign = j / 2 % 2 ? -1.0f : 1.0f;
            b[j] = 1.0f;
            b[s.n + j] = sign * (j < 4 ? 1.0f - x : j < 8 ? 1.0f - x + (x == 0x1p-11f ? x * x : 0.0f) : 1.0f);
        }
        check_product(&s);
    }
}

START_TEST(awkward_numbers_keep_the_law)
{
    with_each(near_ties);
    with_each(awkward_numbers);
    with_each(all_exponents);
}
END_TEST

/* ----------------------------------------------------------- rows and neighbours */

static void rows_alone(void)
{
    static const size_t widths[] = {1, 13, 64, 100};
    enum { rows = 61, depth = 300 };
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const shape s = {.m = rows, .n = widths[w], .k = depth};
        check_filled_product(&s);
        sotto_tensor_product(rows, s.n, depth, a, depth, packed, false, c, s.n);
        for (size_t count = 1; count <= rows; count += count < 8 ? 1 : 9) {
            for (size_t i = 0; i + count <= rows; i += 3) {
                sotto_tensor_product(count, s.n, depth, a + i * depth, depth, packed, false, wanted, s.n);
                same_bits(count * s.n, wanted, c + i * s.n, &s, "some rows");
            }
        }
        /* A row among others of any kind. */
        bits_copy(rows * s.n, c, wanted);
        for (size_t i = 0; i < rows * depth; i++)
            a[i] = i / depth == 17 ? a[i] : i % 3 ? NAN : INFINITY;
        sotto_tensor_product(rows, s.n, depth, a, depth, packed, false, c, s.n);
        same_bits(s.n, c + 17 * s.n, wanted + 17 * s.n, &s, "a row among bad ones");
    }
}

START_TEST(a_row_does_not_depend_on_its_neighbours)
{
    with_each(rows_alone);
}
END_TEST

/* -------------------------------------------------------------- sums over rows */

typedef struct weighted {
    float weights[1024], sums[1024], sums_wanted[1024];
    bool with_weights, with_sums;
} weighted;

static void plain_rows(const shape *s, weighted *w)
{
    const size_t a_stride = s->m + s->a_gap, b_stride = s->n + s->b_gap, c_stride = s->n + s->c_gap;
    for (size_t i = 0; !s->accumulate && i < s->m * s->n; i++)
        wanted[i / s->n * c_stride + i % s->n] = 0.0f;
    for (size_t r = 0; r < s->k; r++) {
        const float weight = w->with_weights ? w->weights[r] : 1.0f;
        if (weight == 0.0f)
            continue;
        for (size_t j = 0; j < s->n; j++) {
            const float scaled = weight * b[r * b_stride + j];
            w->sums_wanted[j] += scaled;
            for (size_t i = 0; i < s->m; i++)
                wanted[i * c_stride + j] = fmaf(a[r * a_stride + i], scaled, wanted[i * c_stride + j]);
        }
    }
}

static void check_rows(const shape *s, weighted *w)
{
    const size_t a_stride = s->m + s->a_gap, b_stride = s->n + s->b_gap, c_stride = s->n + s->c_gap;
    const size_t count = sotto_tensor_rows_scratch(s->k, s->m, s->n), c_count = s->m * c_stride;
    fill(s->n, 1.0f, w->sums);
    bits_copy(s->n, w->sums, w->sums_wanted);
    fill(c_count, 1.0f, before);
    for (size_t i = 0; !s->accumulate && i < c_count; i++)
        before[i] = NAN;
    bits_copy(c_count, before, c);
    bits_copy(c_count, before, wanted);
    guard(scratch, count);
    sotto_tensor_product_rows(s->m, s->n, s->k, a, a_stride, w->with_weights ? w->weights : NULL, b, b_stride,
                              s->accumulate, c, c_stride, w->with_sums ? w->sums : NULL, scratch);
    check_guard(scratch, count, s);
    plain_rows(s, w);
    same_bits(c_count, c, wanted, s, "sum over rows");
    if (w->with_sums)
        same_bits(s->n, w->sums, w->sums_wanted, s, "column sums");
}

/* `zeros`: of so many rows in 8 the weight is 0, and they hold nothing that is a number. */
static void check_filled_rows(const shape *s, weighted *w, size_t zeros)
{
    place(s->k, s->m, s->a_gap, s->k, s->n, s->b_gap);
    fill(s->k, 1.0f, w->weights);
    for (size_t r = 0; w->with_weights && r < s->k; r++) {
        if ((r * 5 + s->m) % 8 >= zeros)
            continue;
        w->weights[r] = r % 2 ? 0.0f : -0.0f;
        for (size_t i = 0; i < s->m; i++)
            a[r * (s->m + s->a_gap) + i] = i % 2 ? NAN : INFINITY;
        for (size_t j = 0; j < s->n; j++)
            b[r * (s->n + s->b_gap) + j] = j % 2 ? NAN : -INFINITY;
    }
    check_rows(s, w);
}

static weighted the_weighted;

static void all_row_shapes(void)
{
    for (size_t m = 1; m <= 40; m++) {
        for (size_t n = 1; n <= 40; n++) {
            const size_t which = m * 41 + n;
            the_weighted.with_weights = which % 3 > 0;
            the_weighted.with_sums = which % 4 > 0;
            check_filled_rows(&(shape){.m = m,
                                       .n = n,
                                       .k = 1 + (m * 5 + n) % 19,
                                       .a_gap = which % 3 == 0 ? 5 : 0,
                                       .b_gap = which % 4 == 0 ? 3 : 0,
                                       .c_gap = which % 5 == 0 ? 7 : 0,
                                       .accumulate = which % 7 < 3},
                              &the_weighted, which % 9);
        }
    }
}

static void deep_row_shapes(void)
{
    static const size_t rows[] = {0, 1, 64, 128, 255, 256, 257, 784, 1024};
    static const size_t widths[][2] = {{1, 1}, {256, 1}, {250, 1}, {1, 256}, {70, 33}, {9, 32}, {15, 1}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            the_weighted.with_weights = (r + w) % 3 > 0;
            the_weighted.with_sums = w % 2;
            check_filled_rows(
                &(shape){.m = widths[w][0], .n = widths[w][1], .k = rows[r], .accumulate = r % 2},
                &the_weighted, (r + w) % 9);
        }
    }
}

START_TEST(sums_over_rows_keep_the_law)
{
    with_each(all_row_shapes);
    with_each(deep_row_shapes);
}
END_TEST

/* Left out to the bit: the rest gives what it gives by itself. */
static void rows_left_out(void)
{
    enum { rows = 33, m = 41 };
    static float kept_a[rows * m], kept_b[rows * 19], sums[19], sums_wanted[19];
    for (size_t n = 1; n <= 19; n += 18) {
        size_t kept = 0;
        const shape s = {.m = m, .n = n, .k = rows};
        place(rows, m, 0, rows, n, 0);
        memset(sums, 0, sizeof sums);
        memset(sums_wanted, 0, sizeof sums_wanted);
        for (size_t r = 0; r < rows; r++) {
            the_weighted.weights[r] = r % 4 == 1 || r == 0 || r == 32 ? 0.0f : 1.0f;
            if (the_weighted.weights[r] == 0.0f) {
                a[r * m] = NAN;
                b[r * n] = INFINITY;
                continue;
            }
            memcpy(kept_a + kept * m, a + r * m, m * sizeof *a);
            memcpy(kept_b + kept++ * n, b + r * n, n * sizeof *b);
        }
        sotto_tensor_product_rows(m, n, rows, a, m, the_weighted.weights, b, n, false, c, n, sums, scratch);
        sotto_tensor_product_rows(m, n, kept, kept_a, m, NULL, kept_b, n, false, wanted, n, sums_wanted,
                                  scratch);
        same_bits(m * n, c, wanted, &s, "rows left out");
        same_bits(n, sums, sums_wanted, &s, "column sums of rows left out");
    }
}

START_TEST(a_row_of_weight_zero_is_left_out)
{
    with_each(rows_left_out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor products");
    TCase *tests = tcase_create("floats");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, take_memory, give_memory);
    tcase_add_test(tests, small_products_keep_the_law);
    tcase_add_test(tests, deep_products_keep_the_law);
    tcase_add_test(tests, wide_products_keep_the_law);
    tcase_add_test(tests, an_empty_sum_is_zero);
    tcase_add_test(tests, awkward_numbers_keep_the_law);
    tcase_add_test(tests, a_row_does_not_depend_on_its_neighbours);
    tcase_add_test(tests, sums_over_rows_keep_the_law);
    tcase_add_test(tests, a_row_of_weight_zero_is_left_out);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, integer_tests());
    suite_add_tcase(suite, check_tests());
    return run_suite(suite);
}
