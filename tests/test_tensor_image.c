/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Patches, group norm and its tangents, and sums of outer products, against plain loops. Deterministic. */

#include "suite.h"
#include "tensor/tensor.h"
#include "test_numbers.h"

uint64_t test_state = 1;

/* ------------------------------------------------------------------- patches */

enum { MOST_IMAGE = 9 * 8 * 6, MOST_PATCHES = 16 * 15 * 25 * 6 };

static const sotto_tensor_patches geometries[] = {
    {6, 5, 1, 3, 1, 1, 6, 5},  {6, 5, 6, 3, 2, 0, 2, 2}, {9, 8, 1, 5, 2, 2, 5, 4}, {9, 8, 2, 4, 2, 1, 4, 4},
    {3, 3, 4, 1, 1, 0, 3, 3},  {7, 7, 1, 2, 3, 0, 2, 2}, {3, 2, 2, 5, 1, 4, 7, 6}, {5, 8, 1, 5, 1, 0, 1, 4},
    {4, 1, 3, 3, 1, 2, 6, 3},  {8, 8, 1, 4, 4, 3, 3, 3}, {2, 2, 1, 5, 3, 4, 2, 2}, {1, 7, 6, 1, 2, 0, 1, 4},
    {9, 8, 6, 5, 1, 4, 13, 12}};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

/* The pixel under kernel position (ky, kx) at place (y, x), or NULL outside. */
static const float *pixel_under(const sotto_tensor_patches *p, const float *image, size_t place,
                                size_t position)
{
    const size_t y = place / p->out_width * p->stride + position / p->kernel;
    const size_t x = place % p->out_width * p->stride + position % p->kernel;
    if (y < p->padding || y >= p->padding + p->height || x < p->padding || x >= p->padding + p->width)
        return NULL;
    return image + ((y - p->padding) * p->width + x - p->padding) * p->channels;
}

START_TEST(patches_are_what_lies_under_the_kernel)
{
    static float image[MOST_IMAGE], patches[MOST_PATCHES];
    const sotto_tensor_patches *p = &geometries[_i];
    fill(p->height * p->width * p->channels, 1.0f, image);
    for (size_t channels = 1; channels <= p->channels; channels++) {
        for (size_t channel = 0; channel + channels <= p->channels; channel++) {
            const size_t positions = p->kernel * p->kernel, places = p->out_height * p->out_width;
            for (size_t j = 0; j <= places * positions * channels; j++)
                patches[j] = NAN;
            sotto_tensor_to_patches(p, channel, channels, image, patches);
            for (size_t j = 0; j < places * positions * channels; j++) {
                const float *pixel =
                    pixel_under(p, image, j / channels / positions, j / channels % positions);
                close_to((double)patches[j], pixel ? (double)pixel[channel + j % channels] : 0.0, 0.0, 0.0,
                         "patch", j);
            }
            ck_assert(isnan(patches[places * positions * channels]));
        }
    }
}
END_TEST

/* ⟨to_patches(x), q⟩ = ⟨x, from_patches(q)⟩ for all q: here, that each q lands where it came from. */
START_TEST(patches_go_back_where_they_came_from)
{
    static float image[MOST_IMAGE], patches[MOST_PATCHES], wanted[MOST_IMAGE];
    const sotto_tensor_patches *p = &geometries[_i];
    const size_t pixels = p->height * p->width * p->channels;
    for (size_t channels = 1; channels <= p->channels; channels++) {
        const size_t positions = p->kernel * p->kernel, places = p->out_height * p->out_width;
        const size_t channel = p->channels - channels;
        fill(places * positions * channels, 1.0f, patches);
        fill(pixels, 1.0f, image);
        bits_copy(pixels, image, wanted);
        for (size_t j = 0; j < places * positions * channels; j++) {
            const float *pixel = pixel_under(p, wanted, j / channels / positions, j / channels % positions);
            if (pixel)
                wanted[(size_t)(pixel - wanted) + channel + j % channels] += patches[j];
        }
        sotto_tensor_from_patches(p, channel, channels, patches, image);
        for (size_t j = 0; j < pixels; j++)
            close_to((double)image[j], (double)wanted[j], 1.0, 2e-6, "pixel", j);
    }
}
END_TEST

/* ---------------------------------------------------------------- group norm */

enum { PIXELS = 5, MOST_CHANNELS = 150, MOST_NORMED = 2 * PIXELS * MOST_CHANNELS };

static const struct {
    size_t channels, groups;
} norms[] = {{1, 1}, {6, 1}, {6, 2}, {6, 6}, {64, 8}, {70, 1}, {72, 8}, {150, 1}, {150, 2}, {150, 50}};
enum { NORMS = sizeof norms / sizeof *norms };

/* Where everything about one norm lies. */
static struct {
    size_t channels, groups, count;
    float x[MOST_NORMED], dot[MOST_NORMED], dy[MOST_NORMED], dy_dot[MOST_NORMED];
    float gain[MOST_CHANNELS], bias[MOST_CHANNELS];
    float normalised[MOST_NORMED], inverse[2 * MOST_CHANNELS], y[MOST_NORMED], dx[MOST_NORMED];
} n;

static void open_norm(size_t which)
{
    test_state = which + 7;
    n.channels = norms[which].channels;
    n.groups = norms[which].groups;
    n.count = 2 * PIXELS * n.channels;
    fill(n.count, 2.0f, n.x);
    fill(n.count, 1.0f, n.dot);
    fill(n.count, 1.0f, n.dy);
    fill(n.count, 1.0f, n.dy_dot);
    fill(n.channels, 1.0f, n.gain);
    fill(n.channels, 1.0f, n.bias);
    sotto_tensor_group_norm(2, PIXELS, n.channels, n.groups, n.x, n.gain, n.bias, n.normalised, n.inverse,
                            n.y);
    sotto_tensor_group_norm_backward(2, PIXELS, n.channels, n.groups, n.gain, n.normalised, n.inverse, n.dy,
                                     false, n.dx);
}

/* Means of one row and group of `value`, in float64. */
typedef struct group {
    size_t row, group;
} group;

static bool lies_in(group g, size_t j)
{
    return j / (PIXELS * n.channels) == g.row && j % n.channels / (n.channels / n.groups) == g.group;
}

static double mean_in(group g, const double *value)
{
    double sum = 0.0;
    for (size_t j = 0; j < n.count; j++)
        sum += lies_in(g, j) ? value[j] : 0.0;
    return sum / (double)(PIXELS * n.channels / n.groups);
}

/* Normalised, y and dx at x + t·dot and dy + t·dy_dot. */
static void norm_at(double t, double *normalised, double *y, double *dx)
{
    static double x[MOST_NORMED], u[MOST_NORMED], work[MOST_NORMED];
    for (size_t j = 0; j < n.count; j++) {
        x[j] = (double)n.x[j] + t * (double)n.dot[j];
        u[j] = (double)n.gain[j % n.channels] * ((double)n.dy[j] + t * (double)n.dy_dot[j]);
    }
    for (size_t k = 0; k < 2 * n.groups; k++) {
        const group g = {k / n.groups, k % n.groups};
        const double mean = mean_in(g, x);
        for (size_t j = 0; j < n.count; j++)
            work[j] = (x[j] - mean) * (x[j] - mean);
        const double inverse = 1.0 / sqrt(mean_in(g, work) + 1e-5), plain = mean_in(g, u);
        for (size_t j = 0; j < n.count; j++)
            work[j] = u[j] * (x[j] - mean) * inverse;
        const double slope = mean_in(g, work);
        for (size_t j = 0; j < n.count; j++) {
            if (!lies_in(g, j))
                continue;
            normalised[j] = (x[j] - mean) * inverse;
            y[j] = (double)n.gain[j % n.channels] * normalised[j] + (double)n.bias[j % n.channels];
            dx[j] = inverse * (u[j] - plain - normalised[j] * slope);
        }
    }
}

START_TEST(group_norm_agrees_with_its_formulas)
{
    static double normalised[MOST_NORMED], y[MOST_NORMED], dx[MOST_NORMED];
    static float sum[MOST_NORMED];
    open_norm((size_t)_i);
    norm_at(0.0, normalised, y, dx);
    for (size_t j = 0; j < n.count; j++)
        sum[j] = 1.0f;
    sotto_tensor_group_norm_backward(2, PIXELS, n.channels, n.groups, n.gain, n.normalised, n.inverse, n.dy,
                                     true, sum);
    for (size_t j = 0; j < n.count; j++) {
        close_to((double)n.normalised[j], normalised[j], 1.0, 2e-6, "normalised", j);
        close_to((double)n.y[j], y[j], 1.0, 2e-6, "y", j);
        close_to((double)n.dx[j], dx[j], 1.0, 3e-6, "dx", j);
        close_to((double)sum[j], 1.0 + dx[j], 1.0, 3e-6, "1 + dx", j);
    }
}
END_TEST

START_TEST(tangents_of_group_norm_are_derivatives)
{
    static double above[3][MOST_NORMED], below[3][MOST_NORMED];
    static float normalised_dot[MOST_NORMED], slope[MOST_CHANNELS], y_dot[MOST_NORMED], dx_dot[MOST_NORMED];
    const double step = 1e-5;
    const size_t row = PIXELS * norms[_i].channels;
    open_norm((size_t)_i);
    norm_at(step, above[0], above[1], above[2]);
    norm_at(-step, below[0], below[1], below[2]);
    for (size_t j = 0; j < n.count; j++)
        dx_dot[j] = j < row ? NAN : 1.0f;
    for (size_t r = 0; r < 2; r++) {
        const float *inverse = n.inverse + r * n.groups;
        const sotto_tensor_norm_point point = {n.gain, n.normalised + r * row, inverse, n.dy + r * row};
        sotto_tensor_group_norm_tangent(PIXELS, n.channels, n.groups, n.gain, n.normalised + r * row, inverse,
                                        n.dot + r * row, normalised_dot + r * row, slope, y_dot + r * row);
        sotto_tensor_group_norm_backward_tangent(PIXELS, n.channels, n.groups, &point,
                                                 normalised_dot + r * row, slope, n.dy_dot + r * row, r == 1,
                                                 dx_dot + r * row);
    }
    for (size_t j = 0; j < n.count; j++) {
        close_to((double)normalised_dot[j], (above[0][j] - below[0][j]) / (2.0 * step), 1.0, 5e-6, "ḣ", j);
        close_to((double)y_dot[j], (above[1][j] - below[1][j]) / (2.0 * step), 1.0, 5e-6, "ẏ", j);
        close_to((double)dx_dot[j], (above[2][j] - below[2][j]) / (2.0 * step) + (j < row ? 0.0 : 1.0), 2.0,
                 1e-5, "dẋ", j);
    }
}
END_TEST

/* --------------------------------------------------------- sums of outer products */

START_TEST(ghost_norms_and_entries_keep_their_laws)
{
    enum { LEFT = 37, RIGHT = 21, COUNT = 6, ENTRIES = 5 };
    static float a[COUNT * LEFT], b[COUNT * RIGHT], matrix[LEFT * RIGHT], sum[RIGHT], wanted[RIGHT];
    static float scattered[LEFT * RIGHT], row[LEFT];
    const uint32_t at[ENTRIES] = {0, 3, 16, 31, 36};
    double norm2 = 0.0, of_entries = 0.0, of_row = 0.0;
    test_state = 5;
    fill(COUNT * LEFT, 1.0f, a);
    fill(COUNT * RIGHT, 1.0f, b);
    fill(LEFT * RIGHT, 1.0f, matrix);
    for (size_t j = 0; j < LEFT * RIGHT; j++) {
        double inner = 0.0;
        for (size_t t = 0; t < COUNT; t++)
            inner += (double)a[t * LEFT + j / RIGHT] * (double)b[t * RIGHT + j % RIGHT];
        norm2 += inner * inner;
    }
    close_to(sotto_tensor_ghost_norm(COUNT, LEFT, a, LEFT, RIGHT, b, RIGHT), norm2, 0.0, 1e-13, "ghost", 0);
    for (size_t e = 0; e < ENTRIES; e++)
        row[at[e]] = a[e];
    sotto_tensor_entry_squared_norms(1, LEFT, ENTRIES, at, a, &of_entries);
    sotto_tensor_row_squared_norms(1, LEFT, row, &of_row);
    ck_assert_double_eq(of_entries, of_row);
    sotto_tensor_gather(RIGHT, ENTRIES, at, a, matrix, sum);
    for (size_t j = 0; j < RIGHT; j++)
        for (size_t k = 0; k < LEFT; k++)
            wanted[j] = fmaf(row[k], matrix[k * RIGHT + j], wanted[j]);
    ck_assert_mem_eq(sum, wanted, sizeof sum);
    bits_copy(LEFT * RIGHT, matrix, scattered);
    sotto_tensor_scatter(RIGHT, ENTRIES, at, a, b, scattered);
    for (size_t j = 0; j < LEFT * RIGHT; j++)
        matrix[j] = fmaf(row[j / RIGHT], b[j % RIGHT], matrix[j]);
    ck_assert_mem_eq(scattered, matrix, sizeof matrix);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("images");
    TCase *tests = tcase_create("images");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, patches_are_what_lies_under_the_kernel, 0, GEOMETRIES);
    tcase_add_loop_test(tests, patches_go_back_where_they_came_from, 0, GEOMETRIES);
    tcase_add_loop_test(tests, group_norm_agrees_with_its_formulas, 0, NORMS);
    tcase_add_loop_test(tests, tangents_of_group_norm_are_derivatives, 0, NORMS);
    tcase_add_test(tests, ghost_norms_and_entries_keep_their_laws);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
