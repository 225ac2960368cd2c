/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a network accepts and refuses, how it counts its parameters, and where they start. */

#include "test_network.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void refuse(size_t inputs, size_t classes, const sotto_layer *layers, size_t count, sotto_status code,
                   const char *word)
{
    sotto_network *network = (sotto_network *)&network;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_network_create(&network, inputs, classes, layers, count, &err), code);
    ck_assert_ptr_null(network);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.message, word), "\"%s\" does not say \"%s\"", err.message, word);
    ck_assert_int_eq(sotto_network_create(&network, inputs, classes, layers, count, NULL), code);
}

START_TEST(networks_that_do_not_fit_are_refused)
{
    const sotto_layer dense = sotto_layer_dense(4), nothing = sotto_layer_dense(0);
    const sotto_layer unknown = {.kind = (sotto_layer_kind)99};
    const sotto_layer huge = sotto_layer_dense((size_t)INT_MAX);
    const sotto_layer slope = sotto_layer_leaky_relu(1.5f), no_slope = sotto_layer_leaky_relu(NAN);
    const sotto_layer forward[] = {dense, sotto_layer_residual(1)};
    const sotto_layer unequal[] = {dense, sotto_layer_dense(5), sotto_layer_residual(0)};
    const sotto_layer of_input[] = {dense, sotto_layer_residual(SOTTO_LAYER_INPUT)};
    const sotto_layer expanded[] = {sotto_layer_dense(1u << 20), sotto_layer_by_class()};
    refuse(0, 0, &dense, 1, SOTTO_ERROR_INPUT, "input columns");
    refuse(3, 70000, &dense, 1, SOTTO_ERROR_INPUT, "classes");
    refuse(3, 0, &dense, 0, SOTTO_ERROR_INPUT, "no layers");
    refuse(3, 0, &nothing, 1, SOTTO_ERROR_INPUT, "layer 0");
    refuse(3, 0, &huge, 1, SOTTO_ERROR_INPUT, "layer 0");
    refuse(3, 0, &unknown, 1, SOTTO_ERROR_INPUT, "99");
    refuse(3, 0, &slope, 1, SOTTO_ERROR_INPUT, "[0, 1]");
    refuse(3, 0, &no_slope, 1, SOTTO_ERROR_INPUT, "[0, 1]");
    refuse(3, 0, forward, 2, SOTTO_ERROR_INPUT, "earlier");
    refuse(3, 0, unequal, 3, SOTTO_ERROR_INPUT, "agree");
    refuse(3, 0, of_input, 2, SOTTO_ERROR_INPUT, "agree");
    refuse(3, 1000, expanded, 2, SOTTO_ERROR_INPUT, "by class");
}
END_TEST

/* Every layer that has conditions says which of them does not hold, and where. */
START_TEST(layers_that_do_not_fit_are_refused)
{
    const sotto_tensor_segment overlap[] = {{0, 3}, {2, 1}}, empty[] = {{0, 0}};
    const sotto_tensor_segment far[] = {{SIZE_MAX, 2}};
    const sotto_layer image = sotto_layer_image(4, 4, 6);
    const struct {
        sotto_layer layer;
        const char *words[2];
    } wrong[] = {
        {sotto_layer_concat(1), {"layer 1 (concat)", "not an earlier one"}},
        {sotto_layer_dropout(1.0f), {"layer 1 (dropout): rate 1", "[0, 1)"}},
        {sotto_layer_dropout(-0.1f), {"layer 1 (dropout)", "[0, 1)"}},
        {sotto_layer_dropout(NAN), {"layer 1 (dropout)", "[0, 1)"}},
        {sotto_layer_sample(-0.5f), {"layer 1 (sample): beta -0.5", "at least 0"}},
        {sotto_layer_sample(NAN), {"layer 1 (sample): beta", "at least 0"}},
        {sotto_layer_sample(INFINITY), {"layer 1 (sample): beta", "finite"}},
        {sotto_layer_softmax(overlap, 2), {"layer 1 (softmax): segment 1", "ascending"}},
        {sotto_layer_softmax(empty, 1), {"layer 1 (softmax): segment 0", "not empty"}},
        {sotto_layer_softmax((const sotto_tensor_segment[]){{95, 2}}, 1), {"95 to 97", "within 96 columns"}},
        {sotto_layer_softmax(far, 1), {"layer 1 (softmax): segment 0", "within 96 columns"}},
        {sotto_layer_image(4, 4, 5), {"layer 1 (image): 96 columns", "4 × 4 pixels and 5 channels"}},
        {sotto_layer_image(SIZE_MAX, SIZE_MAX, 2), {"layer 1 (image)", "2 channels"}},
        {sotto_layer_group_norm(0), {"layer 1 (group norm): 0 groups", "divide"}},
        {sotto_layer_group_norm(4), {"layer 1 (group norm): 4 groups of 6 channels", "divide"}},
        {sotto_layer_conv(3, 0, 1, 0), {"layer 1 (conv): kernel 0", "at least 1"}},
        {sotto_layer_conv(3, 2, 0, 0), {"stride 0", "at least 1"}},
        {sotto_layer_conv(3, 2, 1, 2), {"padding 2", "below the kernel"}},
        {sotto_layer_conv(0, 2, 1, 0), {"layer 1", "columns"}},
        {sotto_layer_conv(3, 5, 1, 0), {"kernel of 5 does not fit", "4 × 4"}},
        {sotto_layer_conv(3, SIZE_MAX, 1, 0), {"layer 1 (conv)", "does not fit"}},
        {sotto_layer_conv(3, SIZE_MAX, 1, SIZE_MAX / 2), {"layer 1 (conv)", "fit"}},
        {sotto_layer_conv((size_t)INT_MAX, 2, 1, 0), {"layer 1", "columns"}},
        {{.kind = SOTTO_LAYER_CONV, .outputs = 6, .kernel = 2, .stride = 1, .groups = 4},
         {"4 groups of 6 channels in and 6 out", "divide both"}},
        {{.kind = SOTTO_LAYER_CONV, .outputs = 5, .kernel = 2, .stride = 1, .groups = 2},
         {"2 groups of 6 channels in and 5 out", "divide both"}},
        {{.kind = SOTTO_LAYER_CONV, .outputs = 6, .kernel = 2, .stride = 1}, {"0 groups", "divide both"}},
        {sotto_layer_conv_transposed(3, 0, 1, 0), {"layer 1 (transposed conv): kernel 0", "at least 1"}},
        {sotto_layer_conv_transposed(3, 4, 1, 7), {"padding 7", "below the kernel"}},
        {sotto_layer_conv_transposed(3, 6, 1, 5), {"layer 1 (transposed conv)", "make no image of 4 × 4"}},
        {sotto_layer_conv_transposed(3, 2, SIZE_MAX / 2, 0), {"layer 1 (transposed conv)", "make no image"}},
        {sotto_layer_conv_transposed(3, 2, 1u << 20, 0), {"layer 1", "columns"}},
        {sotto_layer_conv_transposed(1, SIZE_MAX, 1, 0), {"layer 1 (transposed conv)", "make no image"}},
        {{.kind = SOTTO_LAYER_CONV_TRANSPOSED, .outputs = 5, .kernel = 2, .stride = 1, .groups = 2},
         {"2 groups of 6 channels in and 5 out", "divide both"}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const sotto_layer layers[] = {image, wrong[i].layer};
        refuse(96, 0, layers, 2, SOTTO_ERROR_INPUT, wrong[i].words[0]);
        refuse(96, 0, layers, 2, SOTTO_ERROR_INPUT, wrong[i].words[1]);
    }
    const sotto_layer odd = sotto_layer_sample(1.0f);
    refuse(5, 0, &odd, 1, SOTTO_ERROR_INPUT, "layer 0 (sample): 5 columns");
}
END_TEST

/* A patch that is too large for a product, in an image that is not. */
START_TEST(patches_that_are_too_large_are_refused)
{
    const sotto_layer layers[] = {sotto_layer_image(1, 1, 1 << 20), sotto_layer_conv(1, 13, 1, 12)};
    refuse(1 << 20, 0, layers, 2, SOTTO_ERROR_INPUT, "13 × 13 pixels is too large");
}
END_TEST

enum { DRAWS = 1000, DRAWN_ROWS = 20 };

/* What a chain that ends in a sample layer makes of rows of `mean` and `x`, seeds 0, 1, … */
static void draw_samples(const sotto_layer *layers, size_t count, float mean, float x, bool training,
                         float z[DRAWN_ROWS * DRAWS])
{
    static const float none[1];
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    sotto_weights *weights = NULL;
    ck_assert_int_eq(sotto_network_create(&network, 2 * (size_t)DRAWS, 0, layers, count, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, DRAWN_ROWS, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_weights_create(&weights, network, none, NULL), SOTTO_OK);
    for (size_t j = 0; j < 2 * (size_t)DRAWS * DRAWN_ROWS; j++)
        sotto_workspace_input(workspace)[j] = j / DRAWS % 2 == 0 ? mean : x;
    for (size_t r = 0; r < DRAWN_ROWS; r++)
        sotto_workspace_seeds(workspace)[r] = r;
    sotto_workspace_train(workspace, training);
    memcpy(z, sotto_network_forward(weights, workspace), (size_t)DRAWN_ROWS * DRAWS * sizeof *z);
    sotto_weights_destroy(weights);
    sotto_workspace_destroy(workspace);
    sotto_network_destroy(network);
}

/* Of fixed seeds, so that it fails always or never; the bounds are six standard deviations of normal draws.
 */
START_TEST(samples_are_normal_and_independent)
{
    enum { count = DRAWN_ROWS * DRAWS };
    static float z[count], other[count];
    const sotto_layer layers[] = {sotto_layer_silu(), sotto_layer_sample(1.0f)};
    double moments[4] = {0},
           pairs[4] = {0}; /* with the draw after it, two after, the next row, the other layer */
    draw_samples(layers + 1, 1, 0.0f, 0.0f, true, z);
    draw_samples(layers, 2, 0.0f, 0.0f, true, other);
    for (size_t j = 0; j < count; j++) {
        const double x = (double)z[j];
        for (size_t m = 0; m < 4; m++)
            moments[m] += pow(x, (double)m + 1.0) / count;
        pairs[0] += x * (double)z[(j + 1) % count] / count;
        pairs[1] += x * (double)z[(j + 2) % count] / count;
        pairs[2] += x * (double)z[(j + DRAWS) % count] / count;
        pairs[3] += x * (double)other[j] / count;
    }
    const double wanted[] = {0.0, 1.0, 0.0, 3.0}, variance[] = {1.0, 2.0, 15.0, 96.0};
    for (size_t m = 0; m < 4; m++) {
        ck_assert_double_le(fabs(moments[m] - wanted[m]), 6.0 * sqrt(variance[m] / count));
        ck_assert_double_le(fabs(pairs[m]), 6.0 / sqrt(count));
    }
}
END_TEST

/* The deviation follows its column but never out of range, and nothing is drawn outside training. */
START_TEST(samples_have_the_deviation_they_are_told)
{
    enum { count = DRAWN_ROWS * DRAWS };
    static float standard[count], z[count];
    const sotto_layer layer = sotto_layer_sample(1.0f);
    const float columns[] = {-3.0f, 2.0f, 1e30f, -1e30f, INFINITY, -INFINITY};
    draw_samples(&layer, 1, 0.0f, 0.0f, true, standard);
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        const double deviation = exp(4.0 * tanh((double)columns[c] / 8.0));
        draw_samples(&layer, 1, 0.5f, columns[c], true, z);
        for (size_t j = 0; j < count; j += 97)
            close_to((double)z[j], 0.5 + deviation * (double)standard[j], 1.0, 1e-6, "draw", j);
        draw_samples(&layer, 1, 0.5f, columns[c], false, z);
        for (size_t j = 0; j < count; j += 97)
            ck_assert_double_eq((double)z[j], 0.5);
    }
}
END_TEST

/* The masks of dropout: as many zeros as asked for, none where nothing drops, and different ones everywhere.
 */
START_TEST(dropout_drops_its_share_in_training_alone)
{
    enum { columns = 1000, rows = 20 };
    static float ones[rows * columns];
    const sotto_layer layers[] = {sotto_layer_dropout(0.3f), sotto_layer_dropout(0.3f)};
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    sotto_weights *weights = NULL;
    size_t dropped[3] = {0}; /* by one layer or both; by neither; of a row's like the row before */
    ck_assert_int_eq(sotto_network_create(&network, columns, 0, layers, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, rows, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_weights_create(&weights, network, ones, NULL), SOTTO_OK);
    for (size_t j = 0; j < rows * columns; j++)
        sotto_workspace_input(workspace)[j] = ones[j] = 1.0f;
    for (size_t r = 0; r < rows; r++)
        sotto_workspace_seeds(workspace)[r] = r;
    ck_assert_mem_eq(sotto_network_forward(weights, workspace), ones, sizeof ones);
    sotto_workspace_train(workspace, true);
    const float *y = sotto_network_forward(weights, workspace);
    for (size_t j = 0; j < rows * columns; j++) {
        const bool gone = y[j] == 0.0f;
        if (!gone)
            close_to((double)y[j], 1.0 / 0.49, 0.0, 1e-6, "kept", j);
        dropped[gone ? 0 : 1]++;
        dropped[2] += j >= columns && gone == (y[j - columns] == 0.0f);
    }
    /* Binomial with fixed seeds; six standard deviations of 71 either way. */
    ck_assert_uint_eq(dropped[0] + dropped[1], rows * columns);
    ck_assert_double_le(fabs((double)dropped[0] - 0.51 * rows * columns), 430.0);
    ck_assert_double_le(fabs((double)dropped[2] - (0.51 * 0.51 + 0.49 * 0.49) * (rows - 1) * columns), 430.0);
    sotto_workspace_train(workspace, false);
    ck_assert_mem_eq(sotto_network_forward(weights, workspace), ones, sizeof ones);
    sotto_weights_destroy(weights);
    sotto_workspace_destroy(workspace);
    sotto_network_destroy(network);
}
END_TEST

START_TEST(more_parameters_than_can_be_addressed_are_refused)
{
    sotto_layer layers[200];
    for (size_t i = 0; i < 200; i++)
        layers[i] = sotto_layer_dense((size_t)INT_MAX / 16);
    refuse(3, 0, layers, 200, SOTTO_ERROR_MEMORY, "parameters");
}
END_TEST

START_TEST(a_workspace_needs_rows)
{
    const sotto_layer dense = sotto_layer_dense(4);
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_network_create(&network, 3, 0, &dense, 1, &err), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, 0, 1, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(workspace);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, 5, 0, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, (size_t)INT_MAX + 1, 1, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, SIZE_MAX / 2, 4, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, 5, 3, &err), SOTTO_OK);
    ck_assert_uint_eq(sotto_workspace_rows(workspace), 15);
    ck_assert_uint_eq(sotto_workspace_views(workspace), 3);
    sotto_workspace_destroy(workspace);
    sotto_network_destroy(network);
    sotto_workspace_destroy(NULL);
    sotto_network_destroy(NULL);
}
END_TEST

/* Address sanitizers reserve terabytes beforehand, and a limit on the address space ends the process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW true
#elif defined(__has_feature)
#define HAS_SHADOW (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define HAS_SHADOW false
#endif

/* About 90 MB in a dozen matrices, under limits that grow by 4 MB until there is room: each of them fails
 * once. */
START_TEST(a_workspace_without_room_is_an_error)
{
    const sotto_layer layers[] = {sotto_layer_dense(1024), sotto_layer_norm(), sotto_layer_silu(),
                                  sotto_layer_dense(1024), sotto_layer_tanh()};
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    struct rlimit before, limit;
    size_t failures = 0;
    ck_assert_int_eq(sotto_network_create(&network, 64, 0, layers, 5, NULL), SOTTO_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    for (limit.rlim_cur = 0; !HAS_SHADOW && !workspace; limit.rlim_cur += 4 << 20) {
        sotto_error err = {0};
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
        const sotto_status status = sotto_workspace_create(&workspace, network, 2048, 1, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
        ck_assert(status == SOTTO_OK || status == SOTTO_ERROR_MEMORY);
        ck_assert((status == SOTTO_OK) == (workspace != NULL));
        ck_assert_int_eq(err.code, status);
        failures += status != SOTTO_OK;
    }
    ck_assert(HAS_SHADOW || failures > 12);
    sotto_workspace_destroy(workspace);
    sotto_network_destroy(network);
}
END_TEST

START_TEST(parameters_are_counted)
{
    const sotto_layer layers[] = {sotto_layer_dense(8),     sotto_layer_norm(),   sotto_layer_silu(),
                                  sotto_layer_by_class(),   sotto_layer_dense(8), sotto_layer_residual(2),
                                  sotto_layer_dense_zero(2)};
    sotto_network *network = NULL;
    ck_assert_int_eq(sotto_network_create(&network, 5, 3, layers, 7, NULL), SOTTO_OK);
    ck_assert_uint_eq(sotto_network_inputs(network), 5);
    ck_assert_uint_eq(sotto_network_outputs(network), 2);
    ck_assert_uint_eq(sotto_network_classes(network), 3);
    ck_assert_uint_eq(sotto_network_parameters(network), (5 + 1) * 8 + 2 * 8 + (9 * 3 + 1) * 8 + (8 + 1) * 2);
    sotto_network_destroy(network);
    ck_assert_int_eq(sotto_network_create(&network, 5, 0, layers, 7, NULL), SOTTO_OK);
    ck_assert_uint_eq(sotto_network_classes(network), 1);
    ck_assert_uint_eq(sotto_network_parameters(network), (5 + 1) * 8 + 2 * 8 + (8 + 1) * 8 + (8 + 1) * 2);
    sotto_network_destroy(network);
}
END_TEST

/* A class that does not exist expands to zeros, and its row's gradient stops there. */
START_TEST(a_class_that_does_not_exist_is_none)
{
    const sotto_layer layers[] = {sotto_layer_dense(2), sotto_layer_by_class(), sotto_layer_dense(1)};
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    float parameters[6 + 10], gradient[16];
    ck_assert_int_eq(sotto_network_create(&network, 2, 3, layers, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, 1, 1, NULL), SOTTO_OK);
    ck_assert_uint_eq(sotto_network_parameters(network), 16);
    fill(16, 1.0f, parameters);
    sotto_weights *weights = NULL;
    ck_assert_int_eq(sotto_weights_create(&weights, network, parameters, NULL), SOTTO_OK);
    fill(2, 1.0f, sotto_workspace_input(workspace));
    sotto_workspace_classes(workspace)[0] = 3;
    ck_assert_float_eq(*sotto_network_forward(weights, workspace), parameters[15]);
    *sotto_workspace_output_gradient(workspace) = 1.0f;
    sotto_network_backward(weights, workspace, true);
    sotto_network_weighted_gradient(network, workspace, NULL, false, gradient, false);
    for (size_t j = 0; j < 16; j++)
        ck_assert_float_eq(gradient[j], j == 15 ? 1.0f : 0.0f);
    ck_assert_float_eq(sotto_workspace_input_gradient(workspace)[0], 0.0f);
    sotto_weights_destroy(weights);
    sotto_workspace_destroy(workspace);
    sotto_network_destroy(network);
}
END_TEST

/* Largest size and variance of weights [first, first + count). */
static void check_uniform(const float *weights, size_t count, double fan_in)
{
    const double bound = sqrt(3.0 / fan_in);
    double most = 0.0, squares = 0.0;
    for (size_t j = 0; j < count; j++) {
        most = fmax(most, fabs((double)weights[j]));
        squares += (double)weights[j] * (double)weights[j] / (double)count;
    }
    ck_assert_double_le(most, bound * (1.0 + 1e-6));
    ck_assert_double_ge(most, bound * 0.98);
    ck_assert_double_le(fabs(squares * fan_in - 1.0), 0.1);
}

/* The seed is fixed, so this cannot fail by chance; with a fresh one it would in fewer than 1 of 10⁶ runs. */
START_TEST(parameters_start_where_they_should)
{
    const sotto_layer layers[] = {sotto_layer_dense(80),  sotto_layer_norm(),    sotto_layer_leaky_relu(0.2f),
                                  sotto_layer_by_class(), sotto_layer_dense(50), sotto_layer_dense_zero(30)};
    enum { NORM = 61 * 80, SECOND = NORM + 160, THIRD = SECOND + 325 * 50, ALL = THIRD + 51 * 30 };
    static float parameters[ALL];
    sotto_network *network = NULL;
    sotto_random *random = NULL;
    sotto_stream *stream = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 7, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_INITIALISATION, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_network_create(&network, 60, 4, layers, 6, NULL), SOTTO_OK);
    /* 81 = 80 columns and the class's own: (80 + 1)·4 columns behind the by-class layer, and the bias. */
    ck_assert_uint_eq(sotto_network_parameters(network), ALL);
    for (size_t j = 0; j < ALL; j++)
        parameters[j] = NAN;
    sotto_network_initialise(network, stream, parameters);
    check_uniform(parameters, 60 * 80, 60.0);
    check_uniform(parameters + SECOND, 324 * 50, 81.0);
    for (size_t j = 0; j < 80; j++) {
        ck_assert_float_eq(parameters[60 * 80 + j], 0.0f);
        ck_assert_float_eq(parameters[NORM + j], 1.0f);
        ck_assert_float_eq(parameters[NORM + 80 + j], 0.0f);
    }
    for (size_t j = THIRD - 50; j < ALL; j++)
        ck_assert_float_eq(parameters[j], 0.0f);
    sotto_network_destroy(network);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

/* Bytes of address space in use; 0 where the system does not say. */
static size_t address_space(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%zu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The same of the room for penalties, in a workspace that is there. */
START_TEST(penalties_without_room_are_an_error)
{
    const sotto_layer layers[] = {sotto_layer_dense(1024), sotto_layer_norm(), sotto_layer_silu(),
                                  sotto_layer_dense(1024), sotto_layer_tanh()};
    sotto_network *network = NULL;
    sotto_workspace *workspace = NULL;
    sotto_status status = SOTTO_ERROR_MEMORY;
    struct rlimit before, limit;
    size_t failures = 0;
    ck_assert_int_eq(sotto_network_create(&network, 64, 0, layers, 5, NULL), SOTTO_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    for (size_t room = 0; !HAS_SHADOW && status != SOTTO_OK; room += 4 << 20) {
        sotto_error err = {0};
        ck_assert_int_eq(sotto_workspace_create(&workspace, network, 1024, 1, &err), SOTTO_OK);
        limit.rlim_cur = address_space() + room;
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
        status = sotto_workspace_penalty(workspace, 1, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
        ck_assert(status == SOTTO_OK || status == SOTTO_ERROR_MEMORY);
        ck_assert_int_eq(err.code, status);
        failures += status != SOTTO_OK;
        sotto_workspace_destroy(workspace);
    }
    ck_assert(HAS_SHADOW || failures > 10);
    sotto_network_destroy(network);
}
END_TEST

TCase *shape_tests(void)
{
    TCase *tests = tcase_create("shapes");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, networks_that_do_not_fit_are_refused);
    tcase_add_test(tests, layers_that_do_not_fit_are_refused);
    tcase_add_test(tests, patches_that_are_too_large_are_refused);
    tcase_add_test(tests, samples_are_normal_and_independent);
    tcase_add_test(tests, samples_have_the_deviation_they_are_told);
    tcase_add_test(tests, dropout_drops_its_share_in_training_alone);
    tcase_add_test(tests, more_parameters_than_can_be_addressed_are_refused);
    tcase_add_test(tests, a_workspace_needs_rows);
    tcase_add_test(tests, a_workspace_without_room_is_an_error);
    tcase_add_test(tests, penalties_without_room_are_an_error);
    tcase_add_test(tests, parameters_are_counted);
    tcase_add_test(tests, a_class_that_does_not_exist_is_none);
    tcase_add_test(tests, parameters_start_where_they_should);
    return tests;
}
