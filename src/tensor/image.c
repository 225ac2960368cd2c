/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images, channels last: patches under a sliding kernel, and group norm (Wu, He 2018). Every function works
 * on one row's image after the other.
 */

#include "tensor/lanes.h"
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

/*
 * Channels are worked on side by side, as many as BLOCK at once, since they lie side by side: whole groups
 * where they are narrow, pieces of one where it is wide. Sums run over the pixels in order, then over a
 * group's channels.
 */
enum { BLOCK = 64 };

/* Means over a group's pixels and channels. */
typedef struct moments {
    float plain, along;
} moments;

static size_t groups_at_once(size_t width, size_t groups)
{
    const size_t fit = width < BLOCK ? BLOCK / width : 1;
    return fit < groups ? fit : groups;
}

static size_t block_at(size_t first, size_t channels)
{
    return channels - first < BLOCK ? channels - first : BLOCK;
}

/* plain[c] = Σ x, along[c] = Σ x·y over the pixels. */
SOTTO_WIDE
static void channel_sums(size_t pixels, size_t stride, size_t count, const float *x, const float *y,
                         float *restrict plain, float *restrict along)
{
    memset(plain, 0, count * sizeof *plain);
    memset(along, 0, count * sizeof *along);
    for (size_t i = 0; i < pixels; i++, x += stride, y += stride) {
        for (size_t c = 0; c < count; c++) {
            plain[c] += x[c];
            along[c] += x[c] * y[c];
        }
    }
}

LANE_SUM(float, sum, x[j], const float *x)
LANE_SUM(float, dot, x[j] * y[j], const float *x, const float *y)

/* Of gain·x, plain and along y, for `groups` neighbouring groups: m [groups]. NULL gain: ones. */
SOTTO_WIDE
static void group_moments(size_t pixels, size_t stride, size_t width, size_t groups, const float *gain,
                          const float *x, const float *y, moments *m)
{
    float plain[BLOCK], along[BLOCK];
    memset(m, 0, groups * sizeof *m);
    for (size_t first = 0; first < groups * width; first += BLOCK) {
        const size_t count = block_at(first, groups * width);
        channel_sums(pixels, stride, count, x + first, y + first, plain, along);
        for (size_t c = 0, group = first / width; c < count; group++) {
            const size_t end = (group + 1) * width - first < count ? (group + 1) * width - first : count;
            m[group].plain += gain ? dot(end - c, gain + first + c, plain + c) : sum(end - c, plain + c);
            m[group].along += gain ? dot(end - c, gain + first + c, along + c) : sum(end - c, along + c);
            c = end;
        }
    }
    for (size_t g = 0; g < groups; g++) {
        m[g].plain /= (float)(pixels * width);
        m[g].along /= (float)(pixels * width);
    }
}

/* What is the same for all pixels of a block of channels. */
typedef struct block {
    size_t count;
    float gain[BLOCK], bias[BLOCK], scale[BLOCK], plain[BLOCK], along[BLOCK];
} block;

static void spread(block *b, size_t first, size_t channels, size_t width, const float *gain,
                   const float *scale, const moments *m)
{
    b->count = block_at(first, channels);
    size_t group = first / width, next = (group + 1) * width - first;
    for (size_t c = 0; c < b->count; c++) {
        if (c == next) {
            group++;
            next += width;
        }
        b->gain[c] = gain[first + c];
        b->scale[c] = scale ? scale[group] : 1.0f;
        b->plain[c] = m[group].plain;
        b->along[c] = m[group].along;
    }
}

/* centred = x − mean; they may be the same. */
SOTTO_WIDE
static void centre(size_t pixels, size_t stride, const block *b, const float *x, float *centred)
{
    for (size_t i = 0; i < pixels; i++, x += stride, centred += stride) {
#pragma omp simd
        for (size_t c = 0; c < b->count; c++)
            centred[c] = x[c] - b->plain[c];
    }
}

SOTTO_WIDE
static void scale_and_shift(size_t pixels, size_t stride, const block *b, float *normalised, float *y)
{
    for (size_t i = 0; i < pixels; i++, normalised += stride, y += stride) {
#pragma omp simd
        for (size_t c = 0; c < b->count; c++) {
            const float value = normalised[c] * b->scale[c];
            normalised[c] = value;
            y[c] = b->gain[c] * value + b->bias[c];
        }
    }
}

/* One row's `groups` neighbouring groups of `width` channels. */
static void norm_groups(size_t pixels, size_t stride, size_t width, size_t groups, const float *x,
                        const float *gain, const float *bias, float *normalised, float *inverse, float *y)
{
    const size_t channels = groups * width;
    moments m[BLOCK];
    block b;
    group_moments(pixels, stride, width, groups, NULL, x, x, m);
    for (size_t first = 0; first < channels; first += BLOCK) {
        spread(&b, first, channels, width, gain, NULL, m);
        centre(pixels, stride, &b, x + first, normalised + first);
    }
    group_moments(pixels, stride, width, groups, NULL, normalised, normalised, m);
    for (size_t g = 0; g < groups; g++)
        inverse[g] = 1.0f / sqrtf(m[g].along + EPSILON);
    for (size_t first = 0; first < channels; first += BLOCK) {
        spread(&b, first, channels, width, gain, inverse, m);
        memcpy(b.bias, bias + first, b.count * sizeof *bias);
        scale_and_shift(pixels, stride, &b, normalised + first, y + first);
    }
}

void sotto_tensor_group_norm(size_t rows, size_t pixels, size_t channels, size_t groups, const float *x,
                             const float *gain, const float *bias, float *normalised, float *inverse,
                             float *y)
{
    const size_t width = channels / groups, step = groups_at_once(width, groups);
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g += step) {
            const size_t at = r * pixels * channels + g * width;
            norm_groups(pixels, channels, width, groups - g < step ? groups - g : step, x + at,
                        gain + g * width, bias + g * width, normalised + at, inverse + r * groups + g,
                        y + at);
        }
    }
}

/* dx (+)= scale·(gain·dy − plain − hat·along) */
SOTTO_WIDE
static void back(size_t pixels, size_t stride, const block *b, const float *hat, const float *dy,
                 bool accumulate, float *dx)
{
    for (size_t i = 0; i < pixels; i++, hat += stride, dy += stride, dx += stride) {
        if (accumulate) {
#pragma omp simd
            for (size_t c = 0; c < b->count; c++)
                dx[c] += b->scale[c] * (b->gain[c] * dy[c] - b->plain[c] - hat[c] * b->along[c]);
        } else {
#pragma omp simd
            for (size_t c = 0; c < b->count; c++)
                dx[c] = b->scale[c] * (b->gain[c] * dy[c] - b->plain[c] - hat[c] * b->along[c]);
        }
    }
}

void sotto_tensor_group_norm_backward(size_t rows, size_t pixels, size_t channels, size_t groups,
                                      const float *gain, const float *normalised, const float *inverse,
                                      const float *dy, bool accumulate, float *dx)
{
    const size_t width = channels / groups, step = groups_at_once(width, groups);
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g += step) {
            const size_t at = r * pixels * channels + g * width, some = groups - g < step ? groups - g : step;
            moments m[BLOCK];
            group_moments(pixels, channels, width, some, gain + g * width, dy + at, normalised + at, m);
            for (size_t first = 0; first < some * width; first += BLOCK) {
                block b;
                spread(&b, first, some * width, width, gain + g * width, inverse + r * groups + g, m);
                back(pixels, channels, &b, normalised + at + first, dy + at + first, accumulate,
                     dx + at + first);
            }
        }
    }
}

/* ------------------------------------------------------- group norm, tangents */

/*
 * With h the normalised x, r the inverse deviation, ẋ the tangent and means over a group: s = mean(h·ẋ),
 * ḣ = r(ẋ − mean ẋ − h·s) and ṙ = −r²s. The way back is dx = r(u − m − h·n), u = gain·dy, m = mean u,
 * n = mean(u·h); so its tangent is r(u̇ − ṁ − ḣ·n − h·ṅ) − r·s·dx.
 */
SOTTO_WIDE
void sotto_tensor_group_norm_tangent(size_t pixels, size_t channels, size_t groups, const float *gain,
                                     const float *normalised, const float *inverse, const float *dot,
                                     float *normalised_dot, float *along, float *y_dot)
{
    const size_t width = channels / groups;
    for (size_t g = 0; g < groups; g++) {
        moments m;
        group_moments(pixels, channels, width, 1, NULL, dot + g * width, normalised + g * width, &m);
        along[g] = m.along;
        for (size_t i = 0; i < pixels; i++) {
            const size_t at = i * channels + g * width;
#pragma omp simd
            for (size_t c = 0; c < width; c++) {
                const float value = inverse[g] * (dot[at + c] - m.plain - normalised[at + c] * m.along);
                normalised_dot[at + c] = value;
                y_dot[at + c] = gain[g * width + c] * value;
            }
        }
    }
}

/* One group of the tangent of the way back: of the gradient, and of what it is the tangent of. */
typedef struct turn {
    float inverse, along;
    moments plain, dot;
} turn;

SOTTO_WIDE
void sotto_tensor_group_norm_backward_tangent(size_t pixels, size_t channels, size_t groups,
                                              const sotto_tensor_norm_point *point,
                                              const float *normalised_dot, const float *along,
                                              const float *dy_dot, bool accumulate, float *dx_dot)
{
    const size_t width = channels / groups;
    for (size_t g = 0; g < groups; g++) {
        const size_t first = g * width;
        const float *gain = point->gain + first;
        turn t = {point->inverse[g], along[g], {0.0f, 0.0f}, {0.0f, 0.0f}};
        moments bent;
        group_moments(pixels, channels, width, 1, gain, point->dy + first, point->normalised + first,
                      &t.plain);
        group_moments(pixels, channels, width, 1, gain, dy_dot + first, point->normalised + first, &t.dot);
        group_moments(pixels, channels, width, 1, gain, point->dy + first, normalised_dot + first, &bent);
        t.dot.along += bent.along;
        for (size_t i = 0; i < pixels; i++) {
            const size_t at = i * channels + first;
            const float *hat = point->normalised + at, *dy = point->dy + at;
#pragma omp simd
            for (size_t c = 0; c < width; c++) {
                const float straight = gain[c] * dy[c] - t.plain.plain - hat[c] * t.plain.along;
                const float change = gain[c] * dy_dot[at + c] - t.dot.plain -
                                     normalised_dot[at + c] * t.plain.along - hat[c] * t.dot.along;
                const float value = t.inverse * (change - t.inverse * t.along * straight);
                dx_dot[at + c] = accumulate ? dx_dot[at + c] + value : value;
            }
        }
    }
}
