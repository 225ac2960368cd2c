/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images, channels last: patches under a sliding kernel, and group norm (Wu, He 2018). Every function works
 * on one row's image after the other.
 */

#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------- patches */

/* Pixels [first, end) of a kernel row that lie within the image, the row starting `left` pixels into the
 * padded image. */
typedef struct span {
    size_t first, end;
} span;

static span clip(const sotto_tensor_patches *p, size_t left)
{
    const size_t right = p->padding + p->width;
    span s = {left < p->padding ? p->padding - left : 0, p->kernel};
    if (left + p->kernel > right)
        s.end = left < right ? right - left : 0;
    if (s.first > s.end)
        s.first = s.end;
    return s;
}

/* The places along a line of the image at which the whole kernel row lies within it: [first, end). */
static span whole_places(const sotto_tensor_patches *p)
{
    const size_t right = p->padding + p->width;
    span s = {(p->padding + p->stride - 1) / p->stride,
              right < p->kernel ? 0 : (right - p->kernel) / p->stride + 1};
    if (s.end > p->out_width)
        s.end = p->out_width;
    if (s.first > s.end)
        s.first = s.end;
    return s;
}

/* Copy `count` runs of `length` floats. */
static inline void copy_runs(size_t count, size_t length, const float *from, size_t from_step, float *to,
                             size_t to_step)
{
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * to_step, from + i * from_step, length * sizeof *to);
}

/* Short runs are most of the work where an image has one channel: no call is made for each. */
static void copy_short_runs(size_t count, size_t length, const float *from, size_t from_step, float *to,
                            size_t to_step)
{
    switch (length) {
    case 1:
        copy_runs(count, 1, from, from_step, to, to_step);
        return;
    case 2:
        copy_runs(count, 2, from, from_step, to, to_step);
        return;
    case 3:
        copy_runs(count, 3, from, from_step, to, to_step);
        return;
    case 4:
        copy_runs(count, 4, from, from_step, to, to_step);
        return;
    case 5:
        copy_runs(count, 5, from, from_step, to, to_step);
        return;
    case 7:
        copy_runs(count, 7, from, from_step, to, to_step);
        return;
    case 9:
        copy_runs(count, 9, from, from_step, to, to_step);
        return;
    default:
        copy_runs(count, length, from, from_step, to, to_step);
    }
}

/* One kernel row at one place, its ends perhaps outside: what is outside is 0. */
static void copy_clipped(const sotto_tensor_patches *p, span s, size_t channels, const float *pixel,
                         float *row)
{
    memset(row, 0, p->kernel * channels * sizeof *row);
    for (size_t i = s.first; i < s.end; i++)
        memcpy(row + i * channels, pixel + (i - s.first) * p->channels, channels * sizeof *row);
}

/* Kernel row after kernel row, at all places along one line: rows [out_width] of a patch apart. */
static void copy_line(const sotto_tensor_patches *p, size_t channels, const float *line, float *rows)
{
    const size_t patch = p->kernel * p->kernel * channels;
    const span whole = channels == p->channels ? whole_places(p) : (span){0, 0};
    for (size_t x = 0; x < p->out_width; x++) {
        if (x == whole.first && whole.end > whole.first) {
            copy_short_runs(whole.end - x, p->kernel * channels,
                            line + (x * p->stride - p->padding) * p->channels, p->stride * p->channels,
                            rows + x * patch, patch);
            x = whole.end - 1;
            continue;
        }
        const span s = clip(p, x * p->stride);
        if (s.first < s.end)
            copy_clipped(p, s, channels, line + (x * p->stride + s.first - p->padding) * p->channels,
                         rows + x * patch);
        else
            memset(rows + x * patch, 0, p->kernel * channels * sizeof *rows);
    }
}

void sotto_tensor_to_patches(const sotto_tensor_patches *p, size_t channel, size_t channels,
                             const float *image, float *patches)
{
    const size_t row = p->kernel * channels, patch = p->kernel * row;
    for (size_t y = 0; y < p->out_height; y++) {
        float *line_patches = patches + y * p->out_width * patch;
        for (size_t k = 0; k < p->kernel; k++) {
            const size_t line = y * p->stride + k;
            if (line >= p->padding && line < p->padding + p->height) {
                copy_line(p, channels, image + (line - p->padding) * p->width * p->channels + channel,
                          line_patches + k * row);
                continue;
            }
            for (size_t x = 0; x < p->out_width; x++)
                memset(line_patches + x * patch + k * row, 0, row * sizeof *patches);
        }
    }
}

SOTTO_WIDE
static void add_pixels(size_t pixels, size_t channels, size_t stride, const float *restrict from,
                       float *restrict to)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            to[i * stride + c] += from[i * channels + c];
}

/* As add_pixels, of so few floats that a choice of instructions would take longer than they do. */
static inline void add_few(size_t count, const float *restrict from, float *restrict to)
{
    for (size_t j = 0; j < count; j++)
        to[j] += from[j];
}

static void add_line(const sotto_tensor_patches *p, size_t channels, const float *rows, float *line)
{
    const size_t patch = p->kernel * p->kernel * channels;
    const bool contiguous = channels == p->channels;
    for (size_t x = 0; x < p->out_width; x++) {
        const span s = clip(p, x * p->stride);
        if (s.first == s.end)
            continue;
        const float *from = rows + x * patch + s.first * channels;
        float *to = line + (x * p->stride + s.first - p->padding) * p->channels;
        const size_t pixels = s.end - s.first, count = pixels * channels;
        if (contiguous && count < 16)
            add_few(count, from, to);
        else if (contiguous)
            add_pixels(1, count, count, from, to);
        else
            add_pixels(pixels, channels, p->channels, from, to);
    }
}

void sotto_tensor_from_patches(const sotto_tensor_patches *p, size_t channel, size_t channels,
                               const float *patches, float *image)
{
    const size_t row = p->kernel * channels, patch = p->kernel * row;
    for (size_t y = 0; y < p->out_height; y++) {
        for (size_t k = 0; k < p->kernel; k++) {
            const size_t line = y * p->stride + k;
            if (line >= p->padding && line < p->padding + p->height)
                add_line(p, channels, patches + y * p->out_width * patch + k * row,
                         image + (line - p->padding) * p->width * p->channels + channel);
        }
    }
}

/* ---------------------------------------------------------------- group norm */

#define EPSILON 1e-5f

/* What is summed over a group's pixels and channels, pixel by pixel, channel by channel. */
typedef struct moments {
    float plain, along;
} moments;

static float mean_of(size_t pixels, size_t stride, size_t width, const float *x)
{
    float sum = 0.0f;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < width; c++)
            sum += x[i * stride + c];
    return sum / (float)(pixels * width);
}

static float variance_of(size_t pixels, size_t stride, size_t width, const float *x, float mean)
{
    float sum = 0.0f;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < width; c++)
            sum += (x[i * stride + c] - mean) * (x[i * stride + c] - mean);
    return sum / (float)(pixels * width);
}

void sotto_tensor_group_norm(size_t rows, size_t pixels, size_t channels, size_t groups, const float *x,
                             const float *gain, const float *bias, float *normalised, float *inverse,
                             float *y)
{
    const size_t width = channels / groups;
    for (size_t r = 0; r < rows * groups; r++) {
        const size_t channel = r % groups * width, start = r / groups * pixels * channels + channel;
        const float mean = mean_of(pixels, channels, width, x + start);
        const float scale = 1.0f / sqrtf(variance_of(pixels, channels, width, x + start, mean) + EPSILON);
        inverse[r] = scale;
        for (size_t i = 0; i < pixels; i++) {
            for (size_t c = 0; c < width; c++) {
                const size_t at = start + i * channels + c;
                const float value = (x[at] - mean) * scale;
                normalised[at] = value;
                y[at] = gain[channel + c] * value + bias[channel + c];
            }
        }
    }
}

static moments moments_of(size_t pixels, size_t stride, size_t width, const float *gain, const float *hat,
                          const float *dy)
{
    moments m = {0.0f, 0.0f};
    for (size_t i = 0; i < pixels; i++) {
        for (size_t c = 0; c < width; c++) {
            const float value = gain[c] * dy[i * stride + c];
            m.plain += value;
            m.along += value * hat[i * stride + c];
        }
    }
    const float count = (float)(pixels * width);
    return (moments){m.plain / count, m.along / count};
}

void sotto_tensor_group_norm_backward(size_t rows, size_t pixels, size_t channels, size_t groups,
                                      const float *gain, const float *normalised, const float *inverse,
                                      const float *dy, bool accumulate, float *dx)
{
    const size_t width = channels / groups;
    for (size_t r = 0; r < rows * groups; r++) {
        const size_t channel = r % groups * width, start = r / groups * pixels * channels + channel;
        const moments m = moments_of(pixels, channels, width, gain + channel, normalised + start, dy + start);
        for (size_t i = 0; i < pixels; i++) {
            for (size_t c = 0; c < width; c++) {
                const size_t at = start + i * channels + c;
                const float value =
                    inverse[r] * (gain[channel + c] * dy[at] - m.plain - normalised[at] * m.along);
                dx[at] = accumulate ? dx[at] + value : value;
            }
        }
    }
}

/* ------------------------------------------------------- group norm, tangents */

/*
 * With h the normalised x, r the inverse deviation, ẋ the tangent and means over a group: s = mean(h·ẋ),
 * ḣ = r(ẋ − mean ẋ − h·s) and ṙ = −r²s. The way back is dx = r(u − m − h·n), u = gain·dy, m = mean u,
 * n = mean(u·h); so its tangent is −r·s·dx + r(u̇ − ṁ − ḣ·n − h·ṅ).
 */
void sotto_tensor_group_norm_tangent(size_t pixels, size_t channels, size_t groups, const float *gain,
                                     const float *normalised, const float *inverse, const float *dot,
                                     float *normalised_dot, float *along, float *y_dot)
{
    const size_t width = channels / groups;
    for (size_t g = 0; g < groups; g++) {
        moments m = {0.0f, 0.0f};
        for (size_t i = 0; i < pixels; i++) {
            for (size_t at = i * channels + g * width; at < i * channels + (g + 1) * width; at++) {
                m.plain += dot[at];
                m.along += dot[at] * normalised[at];
            }
        }
        m.plain /= (float)(pixels * width);
        m.along /= (float)(pixels * width);
        along[g] = m.along;
        for (size_t i = 0; i < pixels; i++) {
            for (size_t c = g * width; c < (g + 1) * width; c++) {
                const size_t at = i * channels + c;
                normalised_dot[at] = inverse[g] * (dot[at] - m.plain - normalised[at] * m.along);
                y_dot[at] = gain[c] * normalised_dot[at];
            }
        }
    }
}

void sotto_tensor_group_norm_backward_tangent(size_t pixels, size_t channels, size_t groups,
                                              const sotto_tensor_norm_point *point,
                                              const float *normalised_dot, const float *along,
                                              const float *dy_dot, bool accumulate, float *dx_dot)
{
    const size_t width = channels / groups;
    for (size_t g = 0; g < groups; g++) {
        const size_t first = g * width;
        const float *gain = point->gain + first, *hat = point->normalised + first, *dy = point->dy + first;
        const moments m = moments_of(pixels, channels, width, gain, hat, dy);
        moments dot = moments_of(pixels, channels, width, gain, hat, dy_dot + first);
        dot.along += moments_of(pixels, channels, width, gain, normalised_dot + first, dy).along;
        for (size_t i = 0; i < pixels; i++) {
            for (size_t c = 0; c < width; c++) {
                const size_t at = i * channels + c;
                const float back = gain[c] * dy[at] - m.plain - hat[at] * m.along;
                const float change = gain[c] * dy_dot[first + at] - dot.plain -
                                     normalised_dot[first + at] * m.along - hat[at] * dot.along;
                const float value = point->inverse[g] * (change - point->inverse[g] * along[g] * back);
                dx_dot[first + at] = accumulate ? dx_dot[first + at] + value : value;
            }
        }
    }
}
