/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Splits that are written and made again: the same, or refused. */
#include "memory.h"
#include "test_data.h"

enum { ROWS = 60, PEOPLE = 20, MOST = 2 };

static const char text[] = "rows: 60\ncolumns:\n  - {name: who, type: identifier, units: 20}\n"
                           "  - {name: age, type: integer, min: 0, max: 99}\n";

/* 60 rows of 20 people, 3 each, and a split of them. */
struct scene {
    sotto_schema *schema;
    sotto_table *table;
    sotto_split *split;
    size_t column, most;
};

static struct scene open_scene(bool by_person, double holdout)
{
    struct scene scene = {.schema = schema_of(text), .column = by_person ? 0 : SOTTO_NONE, .most = MOST};
    char csv[2000];
    size_t used = (size_t)snprintf(csv, sizeof csv, "who,age\n");
    for (size_t i = 0; i < ROWS; i++)
        used += (size_t)snprintf(csv + used, sizeof csv - used, "p%zu,%zu\n", i * 7 % PEOPLE, i);
    const sotto_table_options by_unit = {.any_row_count = true, .units = true};
    ck_assert_int_eq(load_bytes(&scene.table, scene.schema, csv, used, &by_unit, NULL), SOTTO_OK);
    sotto_random *random;
    sotto_stream *coins;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&coins, random, SOTTO_PURPOSE_SPLIT, NULL), SOTTO_OK);
    ck_assert_int_eq(by_person
                         ? sotto_split_create_units(&scene.split, scene.table, 0, MOST, holdout, coins, NULL)
                         : sotto_split_create(&scene.split, ROWS, holdout, coins, NULL),
                     SOTTO_OK);
    sotto_stream_destroy(coins);
    sotto_random_destroy(random);
    return scene;
}

static void close_scene(struct scene *scene)
{
    sotto_split_destroy(scene->split);
    sotto_table_destroy(scene->table);
    sotto_schema_destroy(scene->schema);
}

static char *written(sotto_split *split, const struct scene *scene, size_t *length)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_writer(&state, NULL), SOTTO_OK);
    sotto_split_state(&split, scene->table, scene->column, scene->most, state);
    ck_assert_int_eq(sotto_state_end(state, NULL), SOTTO_OK);
    const void *bytes = sotto_state_bytes(state, length);
    char *copy = malloc(*length);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, *length);
    sotto_state_destroy(state);
    return copy;
}

static sotto_status read_back(sotto_split **split, const struct scene *scene, const char *bytes,
                              size_t length)
{
    sotto_state *state;
    ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, "split", NULL), SOTTO_OK);
    sotto_split_state(split, scene->table, scene->column, scene->most, state);
    ck_assert_int_eq(*split != NULL, sotto_state_is_sound(state));
    const sotto_status status = sotto_state_end(state, NULL);
    sotto_state_destroy(state);
    return status;
}

/* Rows or people; with a holdout, without, and with hardly anything else. */
START_TEST(splits_come_back)
{
    struct scene scene = open_scene(_i % 2, _i / 2 * 0.45);
    size_t length, again;
    char *bytes = written(scene.split, &scene, &length);
    sotto_split *back;
    ck_assert_int_eq(read_back(&back, &scene, bytes, length), SOTTO_OK);
    char *second = written(back, &scene, &again);
    ck_assert_uint_eq(again, length);
    ck_assert_mem_eq(second, bytes, length);
    ck_assert_mem_eq(back->train, scene.split->train, scene.split->train_count * sizeof *back->train);
    ck_assert_int_eq(back->first != NULL, _i % 2);
    sotto_split_destroy(back);
    free(second);
    free(bytes);
    close_scene(&scene);
}
END_TEST

/* ---- what is no split ---- */

/* A copy of a split whose lists can be spoilt. */
struct spoilt {
    sotto_split split;
    uint32_t train[ROWS + 1], holdout[ROWS + 1], first[PEOPLE + 2];
};

static void copy_of(struct spoilt *to, const sotto_split *split)
{
    *to = (struct spoilt){.split = *split};
    memcpy(to->train, split->train, split->train_count * sizeof *to->train);
    memcpy(to->holdout, split->holdout, split->holdout_count * sizeof *to->holdout);
    if (split->first)
        memcpy(to->first, split->first, (split->train_units + 1) * sizeof *to->first);
    to->split.train = to->train;
    to->split.holdout = to->holdout;
    to->split.first = split->first ? to->first : NULL;
}

static void expect_refused(struct spoilt *spoilt, const struct scene *scene, const char *what)
{
    size_t length;
    sotto_split *back;
    char *bytes = written(&spoilt->split, scene, &length);
    const sotto_status status = read_back(&back, scene, bytes, length);
    sotto_split_destroy(back);
    free(bytes);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "taken: %s", what);
}

START_TEST(what_is_no_split_of_rows_is_refused)
{
    struct scene scene = open_scene(false, 0.4);
    struct spoilt bad;
    copy_of(&bad, scene.split);
    bad.train[3] = bad.train[4];
    expect_refused(&bad, &scene, "a row twice");
    copy_of(&bad, scene.split);
    bad.train[3] = ROWS;
    expect_refused(&bad, &scene, "a row beyond the table");
    copy_of(&bad, scene.split);
    bad.train[0] = UINT32_MAX;
    expect_refused(&bad, &scene, "a row far beyond the table");
    copy_of(&bad, scene.split);
    bad.holdout[0] = bad.train[0];
    expect_refused(&bad, &scene, "a row on both sides");
    copy_of(&bad, scene.split);
    bad.split.train_count--;
    expect_refused(&bad, &scene, "other numbers of units");
    bad.split.train_units--;
    expect_refused(&bad, &scene, "a row on neither side");
    copy_of(&bad, scene.split);
    bad.split.holdout_units++;
    bad.split.train_units--;
    expect_refused(&bad, &scene, "units that are no rows");
    close_scene(&scene);
}
END_TEST

START_TEST(what_is_no_split_of_people_is_refused)
{
    struct scene scene = open_scene(true, 0.4);
    struct spoilt bad;
    const uint32_t units = (uint32_t)scene.split->train_units;
    copy_of(&bad, scene.split);
    bad.train[0] = bad.train[1];
    expect_refused(&bad, &scene, "a row twice");
    copy_of(&bad, scene.split);
    const uint32_t moved = bad.train[1];
    bad.train[1] = bad.train[2];
    bad.train[2] = moved;
    expect_refused(&bad, &scene, "rows of two people as one's");
    copy_of(&bad, scene.split);
    bad.first[1] = 1;
    expect_refused(&bad, &scene, "a person twice, or rows of two people");
    copy_of(&bad, scene.split);
    bad.first[2] = bad.first[1];
    expect_refused(&bad, &scene, "a person without rows");
    copy_of(&bad, scene.split);
    bad.first[1] = UINT32_MAX;
    expect_refused(&bad, &scene, "more rows than there are");
    copy_of(&bad, scene.split);
    bad.first[0] = 1;
    expect_refused(&bad, &scene, "a row that is nobody's");
    copy_of(&bad, scene.split);
    bad.first[units]--;
    expect_refused(&bad, &scene, "an end before the end");
    copy_of(&bad, scene.split);
    bad.holdout[0] = bad.train[0];
    expect_refused(&bad, &scene, "a row on both sides");
    copy_of(&bad, scene.split);
    bad.split.holdout_units--;
    bad.split.train_units++;
    bad.first[units + 1] = bad.first[units];
    expect_refused(&bad, &scene, "other numbers of units");
    scene.most = 1;
    copy_of(&bad, scene.split);
    expect_refused(&bad, &scene, "more rows of a person than are charged for");
    scene.most = MOST;
    /* in the place of all rows of one that was held out the third row of a person in training, which the
     * split left out: as many people as before */
    bool in_training[PEOPLE] = {false}, kept[ROWS] = {false};
    copy_of(&bad, scene.split);
    for (size_t i = 0; i < bad.split.train_count; i++) {
        in_training[sotto_table_unit(scene.table, bad.train[i], 0)] = true;
        kept[bad.train[i]] = true;
    }
    bad.split.holdout_count -= ROWS / PEOPLE - 1; /* rows of a person lie side by side */
    for (uint32_t row = 0; row < ROWS; row++)
        if (in_training[sotto_table_unit(scene.table, row, 0)] && !kept[row])
            bad.holdout[bad.split.holdout_count - 1] = row;
    expect_refused(&bad, &scene, "a person on both sides");
    close_scene(&scene);
}
END_TEST

/* Every byte in turn, and every length: a split is refused, or it is one. */
START_TEST(every_change_is_refused_or_a_split)
{
    struct scene scene = open_scene(_i, 0.4);
    size_t length;
    char *bytes = written(scene.split, &scene, &length);
    static const int others[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    for (size_t at = 0; at < length; at++)
        for (size_t k = 0; k < 9; k++) {
            sotto_split *back;
            bytes[at] = (char)(bytes[at] ^ others[k]);
            if (read_back(&back, &scene, bytes, length) == SOTTO_OK) {
                bool seen[ROWS] = {false};
                for (size_t i = 0; i < back->train_count; i++) {
                    EXPECT(back->train[i] < ROWS && !seen[back->train[i]], "byte %zu", at);
                    seen[back->train[i]] = true;
                }
            }
            sotto_split_destroy(back);
            bytes[at] = (char)(bytes[at] ^ others[k]);
        }
    for (size_t cut = 0; cut < length; cut++) {
        sotto_split *back;
        ck_assert_int_eq(read_back(&back, &scene, bytes, cut), SOTTO_ERROR_INPUT);
    }
    free(bytes);
    close_scene(&scene);
}
END_TEST

/* Each allocation of reading fails in turn: an error, and no split. */
START_TEST(short_memory_is_an_error)
{
    struct scene scene = open_scene(true, 0.4);
    size_t length;
    long failed = 0;
    char *bytes = written(scene.split, &scene, &length);
    for (sotto_status status = SOTTO_ERROR_MEMORY; status != SOTTO_OK; failed++) {
        sotto_state *state;
        sotto_split *back;
        sotto_error err = {0};
        ck_assert_int_eq(sotto_state_create_reader(&state, bytes, length, NULL, NULL), SOTTO_OK);
        memory_fail_at(failed);
        sotto_split_state(&back, scene.table, scene.column, scene.most, state);
        memory_fail_at(-1);
        status = sotto_state_end(state, &err);
        ck_assert(status == SOTTO_OK || (status == SOTTO_ERROR_MEMORY && err.message[0] && !back));
        sotto_split_destroy(back);
        sotto_state_destroy(state);
    }
    ck_assert_int_gt(failed, 4);
    free(bytes);
    close_scene(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data-state");
    TCase *tests = tcase_create("splits");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, splits_come_back, 0, 6);
    tcase_add_test(tests, what_is_no_split_of_rows_is_refused);
    tcase_add_test(tests, what_is_no_split_of_people_is_refused);
    tcase_add_loop_test(tests, every_change_is_refused_or_a_split, 0, 2);
    tcase_add_test(tests, short_memory_is_an_error);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
