/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test_state_scene.h"
#include "patch.h"

/*
 * Changed model files, under sizes and a digest that are right: header, schema and parameters of every kind
 * of model. Each is refused, or rows of its schema are made of it.
 *
 * An input is which model; then a byte of what is to be put right, and changes.
 */

enum { ROWS = 64, MOST_BLOCKS = 4096 };

/* What a YAML header and a schema are made of. */
static const char *const words[] = {"\n",
                                    "  ",
                                    "- ",
                                    ": ",
                                    "[",
                                    "]",
                                    "{",
                                    "}",
                                    ", ",
                                    "\"",
                                    "&a ",
                                    "*a",
                                    "!!str ",
                                    "---\n",
                                    ".nan",
                                    "1e308",
                                    "-1",
                                    "0",
                                    "4096",
                                    "65536",
                                    "18446744073709551615",
                                    "null",
                                    "true",
                                    "none",
                                    "label",
                                    "kind",
                                    "age",
                                    "gain",
                                    "mst",
                                    "aim",
                                    "binned",
                                    "bounded",
                                    "modes",
                                    "a",
                                    "b",
                                    "hidden: [8, 8]",
                                    "target: label",
                                    "condition: [kind]",
                                    "missing: allowed",
                                    "spikes: [0]",
                                    "scale: log",
                                    "bins: 1",
                                    "0, ",
                                    "1, ",
                                    "[0, 1], ",
                                    NULL};

/* Sound files in their pieces, made at first use. */
static struct {
    char *bytes;
    size_t header, schema, parameters, line; /* lengths */
} all[STATE_SECTIONS];

static void make_sound(size_t section)
{
    const sotto_model_facts facts = {.epsilon = 1.0, .delta = 1e-5, .not_private = ""};
    struct training t;
    size_t length, parameters;
    open_training(&t, section, 7, 0);
    take_steps(&t, 2);
    REQUIRE(sotto_model_save(t.scene.model, &facts, &all[section].bytes, &length, NULL) == SOTTO_OK);
    REQUIRE(sscanf(all[section].bytes, "sotto model 1 %zu %zu %zu", &all[section].header,
                   &all[section].schema, &parameters) == 3);
    all[section].parameters = parameters * sizeof(float);
    all[section].line = length - 64 - all[section].header - all[section].schema - all[section].parameters;
    close_training(&t);
}

static patch_text make_file(size_t section, patch_input *input)
{
    const unsigned right = patch_byte(input);
    const char *at = all[section].bytes + all[section].line;
    char line[100];
    patch_text header = patch_copy(at, all[section].header);
    patch_text schema = patch_copy(at + all[section].header, all[section].schema);
    patch_text parameters =
        patch_copy(at + all[section].header + all[section].schema, all[section].parameters);
    while (input->size > 0) {
        const unsigned which = patch_byte(input) % 8;
        patch_change(which < 5   ? &header
                     : which < 7 ? &schema
                                 : &parameters,
                     input, which < 7 ? words : NULL);
    }
    const int length = snprintf(line, sizeof line, "sotto model 1 %zu %zu %zu\n", header.length,
                                schema.length, parameters.length / sizeof(float));
    patch_text file = patch_copy(line, (size_t)length);
    file.bytes = realloc(file.bytes, file.room = header.length + schema.length + parameters.length + 4096);
    REQUIRE(file.bytes);
    if (right % 16 == 15) /* sizes too */
        patch_change(&file, &(patch_input){(const uint8_t *)&right, 1}, NULL);
    patch_append(&file, header.bytes, header.length);
    patch_append(&file, schema.bytes, schema.length);
    patch_append(&file, parameters.bytes, parameters.length / sizeof(float) * sizeof(float));
    patch_seal(&file);
    patch_free(&header);
    patch_free(&schema);
    patch_free(&parameters);
    return file;
}

static void make_rows(const sotto_saved_model *saved)
{
    const size_t blocks = sotto_encoder_block_count(saved->encoder);
    uint16_t *slots = calloc(ROWS * blocks, sizeof *slots);
    float *values = calloc(ROWS * blocks, sizeof *values);
    sotto_random *random = test_random();
    sotto_stream *stream;
    REQUIRE(slots && values && blocks <= MOST_BLOCKS);
    REQUIRE(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL) == SOTTO_OK);
    REQUIRE(sotto_model_sample(saved->model, stream, SOTTO_NONE, ROWS, slots, values, NULL) == SOTTO_OK);
    for (size_t i = 0; i < ROWS * blocks; i++) {
        const size_t count = sotto_encoder_block(saved->encoder, i % blocks)->slot_count;
        REQUIRE(slots[i] < (count ? count : 1));
    }
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    free(slots);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    patch_input input = {data, size};
    const size_t section = patch_byte(&input) % STATE_SECTIONS;
    sotto_saved_model saved;
    sotto_error err = {0};
    if (!all[section].bytes)
        make_sound(section);
    patch_text file = make_file(section, &input);
    const sotto_status status = sotto_model_load(&saved, patch_file(&file), 1, &err);
    REQUIRE(status == SOTTO_OK || err.message[0]);
    REQUIRE(status == SOTTO_OK || status == SOTTO_ERROR_INPUT || status == SOTTO_ERROR_MEMORY);
    if (status == SOTTO_OK) {
        make_rows(&saved);
        sotto_saved_model_destroy(&saved);
    }
    patch_free(&file);
    return 0;
}
