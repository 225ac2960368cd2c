/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Synthetic rows that meet what is asked of them. What a model is conditional on is asked of it outright;
 * the rest is met by drawing again. Both look at the model alone: post-processing, free of privacy cost.
 *
 * Rows are made in rounds. Where a column is balanced, a round has the same share of each of its values, in
 * random order; else it is one share of whatever rows there are.
 */
#include <stdlib.h>
#include <string.h>

#include "run/run.h"

/* So many draws for a row are giving up. */
static const size_t patience = 2000;

/* Larger where draws are thrown away or asked for value by value, so that little is lost at its end. */
enum { WIDE_ROUND = 8 * SOTTO_MODEL_ROWS };

/* Rows of one value of the balanced column; all rows, where there is none. */
struct share {
    size_t left;   /* to be made yet, before this round */
    size_t wanted; /* in this round */
    size_t got;    /* of them */
    size_t ever;   /* made so far, in all rounds */
    size_t tried;  /* draws that could have been such a row */
};

struct sampler {
    sotto_model *model;
    const sotto_encoder *encoder;
    const sotto_sampling *sampling;
    sotto_stream *stream;
    sotto_csv_writer *writer;
    size_t blocks;
    size_t *wanted;        /* [blocks]: what is asked of the model, SOTTO_NONE for anything */
    bool outright;         /* all conditions are ones that the model takes */
    bool balance_outright; /* and so is each value of the balanced column */
    struct share *shares;  /* [share_count] */
    size_t share_count;
    size_t round;          /* rows of one */
    uint16_t *slots;       /* [SOTTO_MODEL_ROWS, blocks]: of one call */
    float *values;         /* the same */
    uint16_t *round_slots; /* [round, blocks]: rows that are kept */
    float *round_values;   /* the same */
    size_t kept;
    double start, shown;
};

static bool is_balanced(const struct sampler *sampler)
{
    return sampler->sampling->conditions->balance != SOTTO_NONE;
}

/* ---- making ready ---- */

/* As even as can be: the first values in declared order get what division leaves. */
static void share_out(struct sampler *sampler)
{
    const size_t rows = sampler->sampling->rows, count = sampler->share_count;
    for (size_t v = 0; v < count; v++)
        sampler->shares[v].left = rows / count + (v < rows % count);
}

static sotto_status take(struct sampler *s, sotto_error *err)
{
    const sotto_conditions *conditions = s->sampling->conditions;
    s->wanted = calloc(s->blocks, sizeof *s->wanted);
    s->shares = calloc(s->share_count, sizeof *s->shares);
    s->slots = calloc(SOTTO_MODEL_ROWS * s->blocks, sizeof *s->slots);
    s->values = calloc(SOTTO_MODEL_ROWS * s->blocks, sizeof *s->values);
    s->round_slots = calloc(s->round * s->blocks, sizeof *s->round_slots);
    s->round_values = calloc(s->round * s->blocks, sizeof *s->round_values);
    if (!s->wanted || !s->shares || !s->slots || !s->values || !s->round_slots || !s->round_values)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for sampling");
    for (size_t b = 0; b < s->blocks; b++)
        s->wanted[b] = SOTTO_NONE;
    for (size_t i = 0; i < conditions->count; i++)
        s->wanted[conditions->block[i]] = conditions->slot[i];
    share_out(s);
    return SOTTO_OK;
}

static sotto_status make_ready(struct sampler *s, sotto_error *err)
{
    const sotto_conditions *conditions = s->sampling->conditions;
    s->outright = true;
    for (size_t i = 0; i < conditions->count; i++)
        s->outright = s->outright && sotto_model_conditional(s->model, conditions->block[i]);
    s->share_count = 1;
    s->round = s->outright ? SOTTO_MODEL_ROWS : WIDE_ROUND;
    if (is_balanced(s)) {
        const size_t column = sotto_encoder_block(s->encoder, conditions->balance)->column;
        s->share_count = sotto_encoder_schema(s->encoder)->columns[column].value_count;
        s->balance_outright = sotto_model_conditional(s->model, conditions->balance);
        s->round = (WIDE_ROUND / s->share_count + 1) * s->share_count;
    }
    return take(s, err);
}

/* ---- a round ---- */

static bool meets(const sotto_conditions *conditions, const uint16_t *slots)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (slots[conditions->block[i]] != conditions->slot[i])
            return false;
    return true;
}

/* The share that a row belongs to; SOTTO_NONE for a row without a declared value. */
static size_t share_of(const struct sampler *s, const uint16_t *slots)
{
    if (!is_balanced(s))
        return 0;
    const size_t block = s->sampling->conditions->balance;
    const size_t first = sotto_encoder_block(s->encoder, block)->rest_slot;
    const size_t value = (size_t)slots[block] - first; /* missing wraps to far above */
    return value < s->share_count ? value : SOTTO_NONE;
}

static void keep(struct sampler *s, size_t row)
{
    const uint16_t *slots = s->slots + row * s->blocks;
    const size_t v = share_of(s, slots);
    if (v == SOTTO_NONE || s->shares[v].got == s->shares[v].wanted || !meets(s->sampling->conditions, slots))
        return;
    memcpy(s->round_slots + s->kept * s->blocks, slots, s->blocks * sizeof *slots);
    memcpy(s->round_values + s->kept * s->blocks, s->values + row * s->blocks, s->blocks * sizeof *s->values);
    s->kept++;
    s->shares[v].got++;
    s->shares[v].ever++;
}

/* One call of the model for rows of share `v`. */
static sotto_status draw(struct sampler *s, size_t v, sotto_error *err)
{
    const struct share *share = &s->shares[v];
    const size_t missing = share->wanted - share->got;
    const bool certain = s->outright && (!is_balanced(s) || s->balance_outright);
    const size_t count = certain && missing < SOTTO_MODEL_ROWS ? missing : SOTTO_MODEL_ROWS;
    if (s->balance_outright) {
        const size_t block = s->sampling->conditions->balance;
        s->wanted[block] = sotto_encoder_block(s->encoder, block)->rest_slot + v;
    }
    const sotto_status status =
        sotto_model_sample_given(s->model, s->stream, s->wanted, count, s->slots, s->values, err);
    for (size_t i = 0; i < count && status == SOTTO_OK; i++)
        keep(s, i);
    for (size_t k = 0; k < s->share_count; k++)
        s->shares[k].tried += !s->balance_outright || k == v ? count : 0;
    return status;
}

static sotto_status give_up(const struct sampler *s, size_t v, size_t written, sotto_error *err)
{
    const struct share *share = &s->shares[v];
    if (!is_balanced(s))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "only %zu of %zu rows met all conditions in %zu draws: the model almost never "
                               "makes such rows; ask for fewer conditions",
                               share->ever, s->sampling->rows, share->tried);
    const sotto_block *block = sotto_encoder_block(s->encoder, s->sampling->conditions->balance);
    const sotto_column *column = &sotto_encoder_schema(s->encoder)->columns[block->column];
    return sotto_error_set(
        err, SOTTO_ERROR_INPUT,
        "%s cannot be balanced: only %zu of %zu draws met what was asked and had its value "
        "\"%s\", so %zu of %zu rows are made; balance another column, ask for fewer "
        "conditions, or train a model that is conditional on %s",
        column->name, share->ever, share->tried, column->values[v], written, s->sampling->rows, column->name);
}

static sotto_status interrupted(const struct sampler *s, size_t written, sotto_error *err)
{
    const sotto_sampling *sampling = s->sampling;
    if (!sampling->stop || !sampling->stop(sampling->stop_context))
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_INTERRUPTED, "stopped on request after %zu of %zu rows", written,
                           sampling->rows);
}

/* Keep as many rows of each share as the round wants. */
static sotto_status fill_round(struct sampler *s, sotto_sampled *sampled, sotto_error *err)
{
    s->kept = 0;
    for (size_t v = 0; v < s->share_count; v++) {
        struct share *share = &s->shares[v];
        const size_t most = s->round / s->share_count;
        share->wanted = share->left < most ? share->left : most;
        share->got = 0;
        share->left -= share->wanted;
    }
    for (size_t v = 0; v < s->share_count; v++)
        while (s->shares[v].got < s->shares[v].wanted) {
            sotto_status status = draw(s, v, err);
            sampled->scarce = status == SOTTO_OK && s->shares[v].tried > patience * (s->shares[v].ever + 50);
            if (sampled->scarce)
                return give_up(s, v, sampled->rows, err);
            if (status == SOTTO_OK && s->shares[v].got < s->shares[v].wanted)
                status = interrupted(s, sampled->rows, err);
            if (status != SOTTO_OK)
                return status;
        }
    return SOTTO_OK;
}

static void swap_rows(struct sampler *s, size_t i, size_t k)
{
    for (size_t b = 0; b < s->blocks; b++) {
        const size_t at = i * s->blocks + b, other = k * s->blocks + b;
        const uint16_t slot = s->round_slots[at];
        const float value = s->round_values[at];
        s->round_slots[at] = s->round_slots[other];
        s->round_values[at] = s->round_values[other];
        s->round_slots[other] = slot;
        s->round_values[other] = value;
    }
}

/* Fisher and Yates: rows of one value lie together until then. */
static void shuffle(struct sampler *s)
{
    for (size_t left = s->kept; left > 1; left--) {
        const size_t k = (size_t)(sotto_stream_uniform(s->stream) * (double)left);
        swap_rows(s, left - 1, k < left ? k : left - 1);
    }
}

static sotto_status write_round(struct sampler *s, sotto_sampled *sampled, sotto_error *err)
{
    if (is_balanced(s))
        shuffle(s);
    for (size_t i = 0; i < s->kept; i++) {
        const sotto_status status = sotto_csv_writer_row(s->writer, s->round_slots + i * s->blocks,
                                                         s->round_values + i * s->blocks, err);
        if (status != SOTTO_OK)
            return status;
        sampled->rows++;
    }
    return SOTTO_OK;
}

/* ---- all rounds ---- */

static void show_progress(struct sampler *s, size_t written)
{
    const sotto_sampling *sampling = s->sampling;
    const double now = sotto_seconds();
    if (!sampling->progress || (now - s->shown <= 0.2 && written < sampling->rows))
        return;
    const double rate = (double)written / (now - s->start + 1e-9);
    const sotto_progress facts = {.phase = "sampling",
                                  .step = written,
                                  .steps = sampling->rows,
                                  .steps_per_second = rate,
                                  .seconds_left = written ? (double)(sampling->rows - written) / rate : -1.0};
    sampling->progress(sampling->progress_context, &facts);
    s->shown = now;
}

static sotto_status write_rows(struct sampler *s, sotto_sampled *sampled, sotto_error *err)
{
    s->start = s->shown = sotto_seconds();
    while (sampled->rows < s->sampling->rows) {
        sotto_status status = fill_round(s, sampled, err);
        if (status == SOTTO_OK)
            status = write_round(s, sampled, err);
        if (status != SOTTO_OK)
            return status;
        show_progress(s, sampled->rows);
        if (sampled->rows < s->sampling->rows)
            status = interrupted(s, sampled->rows, err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

static void release(struct sampler *s)
{
    sotto_csv_writer_destroy(s->writer);
    sotto_stream_destroy(s->stream);
    free(s->wanted);
    free(s->shares);
    free(s->slots);
    free(s->values);
    free(s->round_slots);
    free(s->round_values);
}

sotto_status sotto_sample_write(sotto_model *model, const sotto_encoder *encoder, sotto_random *random,
                                const sotto_sampling *sampling, FILE *file, sotto_sampled *sampled,
                                sotto_error *err)
{
    struct sampler sampler = {.model = model,
                              .encoder = encoder,
                              .sampling = sampling,
                              .blocks = sotto_encoder_block_count(encoder)};
    *sampled = (sotto_sampled){0};
    sotto_status status = make_ready(&sampler, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&sampler.stream, random, SOTTO_PURPOSE_GENERATION, err);
    if (status == SOTTO_OK && sampling->not_private[0])
        (void)fprintf(file, "# %s\n", sampling->not_private);
    if (status == SOTTO_OK)
        status = sotto_csv_writer_create(&sampler.writer, encoder, sampler.stream, file, err);
    if (status == SOTTO_OK)
        status = write_rows(&sampler, sampled, err);
    if (status == SOTTO_OK || sampled->scarce) {
        sotto_error flush_error = {0};
        const sotto_status flushed = sotto_csv_writer_flush(sampler.writer, &flush_error);
        if (flushed != SOTTO_OK) {
            if (err)
                *err = flush_error;
            sampled->scarce = false;
            status = flushed;
        }
    }
    release(&sampler);
    return status;
}
