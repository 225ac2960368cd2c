/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test_state_scene.h"
#include "patch.h"
#include "run/checkpoint.h"

/*
 * Changed checkpoints, under a digest that is right: facts, and the state of a training of every kind of
 * model or a split. Each is refused, naming the file, or it is one: then training goes on from it and rows
 * are made.
 *
 * An input is which training; then a byte of what is to be put right, and changes.
 */

enum { LIMIT = 1 << 20, ROWS = 64, SPLIT = STATE_SECTIONS, KINDS = SPLIT + 1, MOST_USES = 100 };

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static sotto_checkpoint_facts facts_of(size_t kind)
{
    return (sotto_checkpoint_facts){
        .kind = kind == SPLIT ? SOTTO_CHECKPOINT_SPLIT : SOTTO_CHECKPOINT_STATE,
        .run = "run",
        .attempt = 1,
        .head = {.ledger = "0123456789abcdef0123456789abcdef", .entries = 7, .hash = SHA},
        .config_sha256 = SHA,
        .schema_sha256 = SHA,
        .table_sha256 = SHA,
        .step = 2};
}

/* A sound file in three pieces, and what is read into. */
static struct {
    char *bytes;
    size_t line, facts, state; /* lengths */
    struct training target;
    unsigned uses; /* of the target; 0: there is none */
} all[KINDS];

static void visit_split(sotto_split **split, const struct training *t, sotto_state *state)
{
    sotto_split_state(split, t->table, SOTTO_NONE, 1, state);
}

static void write_sound(size_t kind, struct training *t, sotto_state *state)
{
    if (kind != SPLIT) {
        take_steps(t, 2);
        visit_training(t, state);
        return;
    }
    sotto_split *split;
    sotto_stream *coins;
    REQUIRE(sotto_stream_create(&coins, t->random, SOTTO_PURPOSE_SPLIT, NULL) == SOTTO_OK);
    REQUIRE(sotto_split_create(&split, STATE_UNITS, 0.3, coins, NULL) == SOTTO_OK);
    visit_split(&split, t, state);
    sotto_split_destroy(split);
    sotto_stream_destroy(coins);
}

static void make_sound(size_t kind)
{
    char path[] = "/tmp/sotto-fuzz-XXXXXX";
    const sotto_checkpoint_facts facts = facts_of(kind);
    struct training t;
    sotto_state *state;
    size_t length;
    open_training(&t, kind == SPLIT ? 10 : kind, 7, 0);
    REQUIRE(close(mkstemp(path)) == 0);
    REQUIRE(sotto_state_create_writer(&state, NULL) == SOTTO_OK);
    write_sound(kind, &t, state);
    REQUIRE(sotto_checkpoint_write(path, &facts, state, NULL) == SOTTO_OK);
    REQUIRE(sotto_file_read(path, LIMIT, &all[kind].bytes, &length, NULL) == SOTTO_OK);
    REQUIRE(sscanf(all[kind].bytes, "sotto checkpoint 1 %zu %zu", &all[kind].facts, &all[kind].state) == 2);
    all[kind].line = length - 64 - all[kind].facts - all[kind].state;
    (void)unlink(path);
    sotto_state_destroy(state);
    close_training(&t);
}

/* The file that the input makes of the sound one. */
static patch_text make_file(size_t kind, patch_input *input)
{
    const unsigned right = patch_byte(input);
    char line[80];
    patch_text facts = patch_copy(all[kind].bytes + all[kind].line, all[kind].facts);
    patch_text state = patch_copy(all[kind].bytes + all[kind].line + all[kind].facts, all[kind].state);
    while (input->size > 0)
        patch_change(patch_byte(input) % 8 ? &state : &facts, input, NULL);
    const int length =
        snprintf(line, sizeof line, "sotto checkpoint 1 %zu %zu\n", facts.length, state.length);
    patch_text file = patch_copy(line, (size_t)length);
    file.bytes = realloc(file.bytes, file.room = facts.length + state.length + 4096);
    REQUIRE(file.bytes);
    if (right % 16 == 15) /* sizes too */
        patch_change(&file, &(patch_input){(const uint8_t *)&right, 1}, NULL);
    patch_append(&file, facts.bytes, facts.length);
    patch_append(&file, state.bytes, state.length);
    patch_seal(&file);
    patch_free(&facts);
    patch_free(&state);
    return file;
}

static void make_rows(struct training *t)
{
    static uint16_t slots[ROWS * 16];
    static float values[ROWS * 16];
    sotto_random *random = test_random();
    sotto_stream *stream;
    const size_t blocks = sotto_encoder_block_count(t->scene.encoder);
    REQUIRE(blocks <= 16);
    REQUIRE(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL) == SOTTO_OK);
    REQUIRE(sotto_model_sample(t->scene.model, stream, SOTTO_NONE, ROWS, slots, values, NULL) == SOTTO_OK);
    for (size_t i = 0; i < ROWS * blocks; i++) {
        const size_t count = sotto_encoder_block(t->scene.encoder, i % blocks)->slot_count;
        REQUIRE(slots[i] < (count ? count : 1));
    }
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}

/* Into a training that others were read into before: what a refused one has left must do no harm. */
static void go_on(size_t kind, sotto_state *state)
{
    struct training *t = &all[kind].target;
    if (all[kind].uses == MOST_USES) {
        close_training(t);
        all[kind].uses = 0;
    }
    if (all[kind].uses++ == 0)
        prepare_training(t, kind == SPLIT ? 10 : kind, 8, 0);
    if (kind == SPLIT) {
        sotto_split *split = NULL;
        visit_split(&split, t, state);
        if (split)
            REQUIRE(split->train_count + split->holdout_count == STATE_UNITS);
        (void)sotto_state_end(state, NULL);
        sotto_split_destroy(split);
        return;
    }
    sotto_error err = {0};
    visit_training(t, state);
    const sotto_status status = sotto_state_end(state, &err);
    REQUIRE(status == SOTTO_OK || (status == SOTTO_ERROR_INPUT && err.file[0] && err.message[0]));
    if (status == SOTTO_OK) {
        make_rows(t);
        if (all[kind].uses % 8 == 0)
            take_steps(t, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    patch_input input = {data, size};
    const size_t kind = patch_byte(&input) % KINDS;
    sotto_checkpoint checkpoint;
    sotto_error err = {0};
    if (!all[kind].bytes)
        make_sound(kind);
    patch_text file = make_file(kind, &input);
    const char *path = patch_file(&file);
    const sotto_status status = sotto_checkpoint_read(&checkpoint, path, facts_of(kind).kind, LIMIT, &err);
    REQUIRE(status == SOTTO_OK ||
            (status == SOTTO_ERROR_INPUT && strcmp(err.file, path) == 0 && err.message[0]));
    if (status == SOTTO_OK)
        go_on(kind, checkpoint.state);
    sotto_checkpoint_destroy(&checkpoint);
    patch_free(&file);
    return 0;
}
