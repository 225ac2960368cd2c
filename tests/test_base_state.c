/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States: what is written comes back, and nothing else is taken. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "suite.h"

enum { FLOATS = 5, WHOLES = 3, FLAGS = 4 };

/* One field of each kind. */
struct thing {
    float floats[FLOATS], shares[FLOATS];
    double doubles[WHOLES], positive[WHOLES];
    uint32_t numbers[WHOLES];
    uint64_t counts[WHOLES], steps;
    size_t size;
    bool flags[FLAGS];
    char text[24];
};

static void visit(struct thing *thing, sotto_state *state)
{
    sotto_state_object(state, "thing");
    sotto_state_floats(state, "floats", thing->floats, FLOATS);
    sotto_state_floats_in(state, "shares", thing->shares, FLOATS, 0.0f, 1.0f);
    sotto_state_doubles(state, "doubles", thing->doubles, WHOLES);
    sotto_state_doubles_in(state, "positive", thing->positive, WHOLES, 0.0, DBL_MAX);
    sotto_state_u32s(state, "numbers", thing->numbers, WHOLES);
    sotto_state_u64s(state, "counts", thing->counts, WHOLES);
    sotto_state_u64(state, "steps", &thing->steps, 1, 1000);
    sotto_state_size(state, "size", &thing->size, 0, 7);
    sotto_state_flags(state, "flags", thing->flags, FLAGS);
    sotto_state_text(state, "text", thing->text, sizeof thing->text);
}

static struct thing sound_thing(void)
{
    return (struct thing){.floats = {1.5f, NAN, -INFINITY, 0.0f, FLT_MIN},
                          .shares = {0.0f, 1.0f, 0.25f, 0.5f, FLT_TRUE_MIN},
                          .doubles = {NAN, -1e300, 0.1},
                          .positive = {0.0, DBL_MAX, 1.0},
                          .numbers = {0, UINT32_MAX, 77},
                          .counts = {UINT64_MAX, 0, 1},
                          .steps = 1000,
                          .size = 7,
                          .flags = {true, false, true, true},
                          .text = "what it was \"called\""};
}

/* Its bytes; the caller frees. */
static char *written(struct thing *thing, size_t *length)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    visit(thing, state);
    ck_assert_int_eq(sotto_state_end(state, NULL), SOTTO_OK);
    const void *bytes = sotto_state_bytes(state, length);
    char *copy = malloc(*length);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, *length);
    sotto_state_destroy(state);
    return copy;
}

static sotto_status read_back(struct thing *thing, const void *bytes, size_t length, sotto_error *err)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, "the file", NULL), SOTTO_OK);
    visit(thing, state);
    const sotto_status status = sotto_state_end(state, err);
    sotto_state_destroy(state);
    return status;
}

START_TEST(what_is_written_comes_back)
{
    struct thing thing = sound_thing(), back = {.size = 1};
    size_t length, again;
    char *bytes = written(&thing, &length);
    ck_assert_int_eq(read_back(&back, bytes, length, NULL), SOTTO_OK);
    char *second = written(&back, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(second, bytes, length);
    ck_assert_mem_eq(back.floats, thing.floats, sizeof thing.floats);
    ck_assert_mem_eq(back.doubles, thing.doubles, sizeof thing.doubles);
    ck_assert_mem_eq(back.flags, thing.flags, sizeof thing.flags);
    ck_assert_uint_eq(back.counts[0], UINT64_MAX);
    ck_assert_uint_eq(back.steps, 1000);
    ck_assert_str_eq(back.text, thing.text);
    free(bytes);
    free(second);
}
END_TEST

/* A cut state, one with something behind it, and one of another object: none ends well, each error names the
 * file and nothing is read behind the bytes (which lie alone, so that a sanitizer sees it). */
START_TEST(other_lengths_are_refused)
{
    struct thing thing = sound_thing();
    size_t length;
    char *bytes = written(&thing, &length);
    for (size_t cut = 0; cut < length; cut++) {
        struct thing back = {.size = 1};
        sotto_error err = {0};
        char *piece = malloc(cut ? cut : 1);
        ck_assert_ptr_nonnull(piece);
        memcpy(piece, bytes, cut);
        ck_assert_int_eq(read_back(&back, piece, cut, &err), SOTTO_ERROR_INPUT);
        ck_assert_str_eq(err.file, "the file");
        ck_assert_ptr_nonnull(strstr(err.message, "ends too early"));
        free(piece);
    }
    struct thing back = {.size = 1};
    sotto_error err = {0};
    char *longer = calloc(1, length + 1);
    ck_assert_ptr_nonnull(longer);
    memcpy(longer, bytes, length);
    ck_assert_int_eq(read_back(&back, longer, length + 1, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "1 bytes too many"));
    free(longer);
    free(bytes);
}
END_TEST

/* Every byte in turn takes every value: what is taken is written back as it was, and what is refused has
 * changed nothing that comes after. */
START_TEST(every_other_byte_is_taken_as_it_is_or_refused)
{
    struct thing thing = sound_thing();
    size_t length, refused = 0, again;
    char *bytes = written(&thing, &length);
    for (size_t at = 0; at < length; at++)
        for (int value = 0; value < 256; value++) {
            const char kept = bytes[at];
            struct thing back = {.size = 1, .text = "before"};
            bytes[at] = (char)value;
            if (read_back(&back, bytes, length, NULL) == SOTTO_OK) {
                char *second = written(&back, &again);
                ck_assert_uint_eq(again, length);
                ck_assert_mem_eq(second, bytes, length);
                free(second);
            } else {
                ck_assert(back.size == 1 || back.size <= 7);
                refused++;
            }
            bytes[at] = kept;
        }
    ck_assert_uint_gt(refused, length * 150); /* names, kinds and sizes are most of it */
    free(bytes);
}
END_TEST

/* Values out of their range are refused where they are read, and do not reach a counter. */
START_TEST(ranges_hold)
{
    struct thing bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = sound_thing();
    bad[0].shares[4] = 1.0000001f;
    bad[1].shares[0] = NAN;
    bad[2].positive[1] = INFINITY;
    bad[3].positive[2] = -1e-300;
    bad[4].steps = 0;
    bad[5].steps = 1001;
    bad[6].size = 8;
    memcpy(bad[7].text, "line\nline", 10);
    for (size_t i = 0; i < 8; i++) {
        struct thing back = {.size = 3, .steps = 5};
        sotto_error err = {0};
        size_t length;
        char *bytes = written(&bad[i], &length);
        ck_assert_int_eq(read_back(&back, bytes, length, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, "of thing"));
        ck_assert(back.steps == 5 || back.steps == 1000);
        ck_assert(back.size == 3 || back.size == 7);
        free(bytes);
    }
}
END_TEST

/* The first thing that went wrong is what is told, and nothing is done after it. */
START_TEST(the_first_failure_stays)
{
    struct thing thing = sound_thing();
    const sotto_error cause = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory for a tree"};
    sotto_error err = {0};
    sotto_state *state;
    size_t length;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    sotto_state_object(state, "thing");
    sotto_state_fail(state, SOTTO_OK, NULL);
    ck_assert(sotto_state_is_sound(state) && !sotto_state_reads(state));
    (void)sotto_state_bytes(state, &length);
    sotto_state_fail(state, SOTTO_ERROR_MEMORY, &cause);
    sotto_state_refuse(state, "is in the middle of %s", "a step");
    visit(&thing, state);
    size_t after;
    (void)sotto_state_bytes(state, &after);
    ck_assert_uint_eq(after, length);
    ck_assert_int_eq(sotto_state_end(state, &err), SOTTO_ERROR_MEMORY);
    ck_assert_str_eq(err.message, "out of memory for a tree");
    sotto_state_destroy(state);
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    sotto_state_object(state, "a step");
    sotto_state_refuse(state, "is in the middle of %s", "one");
    ck_assert_int_eq(sotto_state_end(state, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.message, "no state of a step can be written: it is in the middle of one");
    sotto_state_destroy(state);
    sotto_state_destroy(NULL);
}
END_TEST

/* A million values, and none. */
START_TEST(large_states_come_back)
{
    enum { MANY = 1 << 20 };
    float *values = calloc(MANY, sizeof *values), *back = calloc(MANY, sizeof *back);
    sotto_state *state;
    size_t length;
    ck_assert(values && back);
    for (size_t i = 0; i < MANY; i++)
        values[i] = (float)i;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    sotto_state_floats(state, "values", values, MANY);
    sotto_state_floats(state, "none", NULL, 0);
    ck_assert_int_eq(sotto_state_end(state, NULL), SOTTO_OK);
    const char *bytes = sotto_state_bytes(state, &length);
    sotto_state *reader;
    ck_assert_int_eq(sotto_state_create_reader(&reader, bytes, length, NULL, NULL), SOTTO_OK);
    sotto_state_floats(reader, "values", back, MANY);
    sotto_state_floats(reader, "none", NULL, 0);
    ck_assert_int_eq(sotto_state_end(reader, NULL), SOTTO_OK);
    ck_assert_mem_eq(back, values, MANY * sizeof *values);
    sotto_state_destroy(reader);
    sotto_state_destroy(state);
    free(values);
    free(back);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base-state");
    TCase *tests = tcase_create("states");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_is_written_comes_back);
    tcase_add_test(tests, other_lengths_are_refused);
    tcase_add_test(tests, every_other_byte_is_taken_as_it_is_or_refused);
    tcase_add_test(tests, ranges_hold);
    tcase_add_test(tests, the_first_failure_stays);
    tcase_add_test(tests, large_states_come_back);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
