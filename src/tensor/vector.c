/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vectors and rows: what needs no transcendental function. */

#include "tensor/lanes.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

SOTTO_WIDE
void sotto_tensor_axpy(size_t count, float alpha, const float *restrict x, float *restrict y)
{
    for (size_t j = 0; j < count; j++)
        y[j] += alpha * x[j];
}

SOTTO_WIDE
void sotto_tensor_multiply(size_t count, const float *restrict x, float *restrict y)
{
    for (size_t j = 0; j < count; j++)
        y[j] *= x[j];
}

SOTTO_WIDE
void sotto_tensor_bias(size_t rows, size_t columns, const float *restrict bias, float *restrict x)
{
    for (size_t i = 0; i < rows; i++) {
        float *restrict row = x + i * columns;
        for (size_t j = 0; j < columns; j++)
            row[j] += bias[j];
    }
}

LANE_SUM(double, squared_norm, (double)x[j] * (double)x[j], const float *x)

SOTTO_WIDE
void sotto_tensor_row_squared_norms(size_t rows, size_t columns, const float *x, double *norms2)
{
    for (size_t i = 0; i < rows; i++)
        norms2[i] = squared_norm(columns, x + i * columns);
}

SOTTO_WIDE
void sotto_tensor_scale_rows(size_t rows, size_t columns, const float *weights, const float *x, float *scaled,
                             float *restrict sums)
{
    for (size_t i = 0; i < rows; i++) {
        const float weight = weights[i];
        const float *from = x + i * columns;
        float *to = scaled + i * columns;
        if (weight == 0.0f) { /* 0 × NaN is NaN: nothing of this row may be multiplied */
            memset(to, 0, columns * sizeof *to);
            continue;
        }
#pragma omp simd
        for (size_t j = 0; j < columns; j++) {
            float value = weight * from[j];
            to[j] = value;
            sums[j] += value;
        }
    }
}

SOTTO_WIDE
void sotto_tensor_column_sums(size_t rows, size_t columns, const float *restrict x, float *restrict sums)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++)
            sums[j] += x[i * columns + j];
    }
}

SOTTO_WIDE
void sotto_tensor_bias_leaky_relu(size_t rows, size_t columns, const float *x, const float *bias, float slope,
                                  float *y)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = x + i * columns;
        float *to = y + i * columns;
#pragma omp simd
        for (size_t j = 0; j < columns; j++) {
            float value = from[j] + bias[j];
            to[j] = value > 0.0f ? value : slope * value;
        }
    }
}

SOTTO_WIDE
void sotto_tensor_leaky_relu_backward(size_t count, float slope, const float *restrict y, float *restrict dy)
{
    for (size_t j = 0; j < count; j++)
        dy[j] = y[j] > 0.0f ? dy[j] : slope * dy[j];
}

SOTTO_WIDE
void sotto_tensor_tanh_backward(size_t count, const float *restrict y, float *restrict dy)
{
    for (size_t j = 0; j < count; j++)
        dy[j] *= 1.0f - y[j] * y[j];
}

SOTTO_WIDE
void sotto_tensor_quantise(size_t count, const float *restrict x, float scale, int32_t *restrict q)
{
    for (size_t j = 0; j < count; j++) {
        float value = x[j] * scale;
        value = value > 0x1p30f ? 0x1p30f : value;
        value = value < -0x1p30f ? -0x1p30f : value;
        value = value == value ? value : 0.0f; /* a NaN differs from itself */
        q[j] = (int32_t)rintf(value);
    }
}
