/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layer norm (Ba, Kiros, Hinton 2016): statistics of one row at a time, never of a batch (contract rule P13).
 */

#include "tensor/lanes.h"
#include "tensor/tensor.h"

#include <math.h>

#define EPSILON 1e-5f

LANE_SUM(float, sum, x[j], const float *x)
LANE_SUM(float, squared_differences, (x[j] - mean) * (x[j] - mean), const float *x, float mean)
LANE_SUM(float, dot, x[j] * y[j], const float *x, const float *y)
LANE_SUM(float, triple, x[j] * y[j] * z[j], const float *x, const float *y, const float *z)

SOTTO_WIDE
void sotto_tensor_norm(size_t rows, size_t columns, const float *x, const float *gain, const float *bias,
                       float *normalised, float *inverse, float *y)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = x + i * columns;
        float *hat = normalised + i * columns;
        float *to = y + i * columns;
        float mean = sum(columns, from) / (float)columns;
        float variance = squared_differences(columns, from, mean) / (float)columns;
        float scale = 1.0f / sqrtf(variance + EPSILON);
        inverse[i] = scale;
#pragma omp simd
        for (size_t j = 0; j < columns; j++) {
            float value = (from[j] - mean) * scale;
            hat[j] = value;
            to[j] = gain[j] * value + bias[j];
        }
    }
}

SOTTO_WIDE
void sotto_tensor_norm_backward(size_t rows, size_t columns, const float *gain, const float *normalised,
                                const float *inverse, const float *dy, bool accumulate, float *dx)
{
    for (size_t i = 0; i < rows; i++) {
        const float *hat = normalised + i * columns;
        const float *from = dy + i * columns;
        float *to = dx + i * columns;
        const float plain = dot(columns, gain, from) / (float)columns;
        const float along = triple(columns, gain, from, hat) / (float)columns;
        const float scale = inverse[i];
        if (accumulate) {
#pragma omp simd
            for (size_t j = 0; j < columns; j++)
                to[j] += scale * (gain[j] * from[j] - plain - hat[j] * along);
        } else {
#pragma omp simd
            for (size_t j = 0; j < columns; j++)
                to[j] = scale * (gain[j] * from[j] - plain - hat[j] * along);
        }
    }
}

SOTTO_WIDE
void sotto_tensor_norm_gradient(size_t rows, size_t columns, const float *weights, const float *normalised,
                                const float *dy, float *restrict gain_gradient, float *restrict bias_gradient)
{
    for (size_t i = 0; i < rows; i++) {
        const float weight = weights ? weights[i] : 1.0f;
        if (weight == 0.0f)
            continue;
        const float *hat = normalised + i * columns, *from = dy + i * columns;
#pragma omp simd
        for (size_t j = 0; j < columns; j++) {
            float value = weight * from[j];
            gain_gradient[j] += value * hat[j];
            bias_gradient[j] += value;
        }
    }
}
