/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The tree of columns: its fits, its tree, what is drawn from it, what is charged, and its files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/marginals.h"
#include "suite.h"
#include "test_marginals_scene.h"

/* ---- fits ---- */

/* A made-up table and its margins. */
static void make_table(size_t rows, size_t columns, uint64_t *state, double *table, double *row_sums,
                       double *column_sums)
{
    memset(row_sums, 0, rows * sizeof *row_sums);
    memset(column_sums, 0, columns * sizeof *column_sums);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const double cell =
                marginals_uniform(state) < 0.4 ? 0.0 : 100.0 * pow(marginals_uniform(state), 3);
            table[i * columns + j] = cell;
            row_sums[i] += cell;
            column_sums[j] += cell;
        }
}

static void expect_margins(const double *table, size_t rows, size_t columns, const double *row_sums,
                           const double *column_sums)
{
    double total = 0, off = 0;
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < columns; j++) {
            ck_assert_double_ge(table[i * columns + j], 0);
            sum += table[i * columns + j];
        }
        off += fabs(sum - row_sums[i]);
        total += row_sums[i];
    }
    for (size_t j = 0; j < columns; j++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++)
            sum += table[i * columns + j];
        off += fabs(sum - column_sums[j]);
    }
    ck_assert_double_le(off, 1e-6 * total);
}

/* The fitted table has the margins, leaves alone what has them, and no table that has them is nearer: moving
 * towards any other does not come nearer to the noisy one. */
START_TEST(a_fit_is_the_nearest_table_with_its_margins)
{
    enum { A = 6, B = 9 };
    double truth[A * B], other[A * B], noisy[A * B], fitted[A * B], rows[A], columns[B], r[A], c[B];
    double scratch[3 * A * B + 2 * B];
    uint64_t state = 17 + (uint64_t)_i;
    make_table(A, B, &state, truth, rows, columns);
    double total = 0;
    for (size_t i = 0; i < A; i++)
        total += rows[i];
    memcpy(fitted, truth, sizeof fitted);
    marginals_fit(fitted, A, B, rows, columns, scratch);
    for (size_t i = 0; i < A * B; i++)
        ck_assert_double_eq_tol(fitted[i], truth[i], 1e-4 * total / (A * B));
    for (size_t i = 0; i < A * B; i++)
        fitted[i] = noisy[i] = truth[i] + 60 * (marginals_uniform(&state) - 0.5);
    marginals_fit(fitted, A, B, rows, columns, scratch);
    expect_margins(fitted, A, B, rows, columns);
    for (int tries = 0; tries < 50; tries++) { /* tables with the same margins: truth, and scaled ones */
        double towards = 0, length = 0;
        make_table(A, B, &state, other, r, c);
        for (size_t i = 0; i < A * B; i++)
            other[i] += 1.0;
        for (int round = 0; round < 2000; round++) {
            for (size_t i = 0; i < A; i++) {
                double sum = 0;
                for (size_t j = 0; j < B; j++)
                    sum += other[i * B + j];
                for (size_t j = 0; j < B; j++)
                    other[i * B + j] *= rows[i] / sum;
            }
            for (size_t j = 0; j < B; j++) {
                double sum = 0;
                for (size_t i = 0; i < A; i++)
                    sum += other[i * B + j];
                for (size_t i = 0; i < A && sum > 0; i++)
                    other[i * B + j] *= columns[j] / sum;
            }
        }
        const double *target = tries ? other : truth;
        for (size_t i = 0; i < A * B; i++) {
            towards += (noisy[i] - fitted[i]) * (target[i] - fitted[i]);
            length += pow(target[i] - fitted[i], 2);
        }
        ck_assert_double_le(towards, 1e-2 * length);
    }
}
END_TEST

/* Where noise is all there is, nothing but the margins is left; where there is none, nothing is touched. */
START_TEST(shrinking_goes_by_the_noise)
{
    enum { A = 5, B = 7 };
    double truth[A * B], table[A * B], rows[A], columns[B], total = 0;
    uint64_t state = 5;
    make_table(A, B, &state, truth, rows, columns);
    for (size_t i = 0; i < A; i++)
        total += rows[i];
    memcpy(table, truth, sizeof table);
    marginals_shrink(table, A, B, rows, columns, 1e12);
    for (size_t i = 0; i < A * B; i++)
        ck_assert_double_eq_tol(table[i], rows[i / B] * columns[i % B] / total, 1e-9);
    memcpy(table, truth, sizeof table);
    marginals_shrink(table, A, B, rows, columns, 1e-12);
    for (size_t i = 0; i < A * B; i++)
        ck_assert_double_eq_tol(table[i], truth[i], 1e-6);
}
END_TEST

START_TEST(several_sums_are_weighted_by_their_precision)
{
    double mean = 0, precision = 0;
    marginals_combine(&mean, &precision, 10, 4);
    marginals_combine(&mean, &precision, 20, 1);
    ck_assert_double_eq_tol(mean, 18, 1e-12);
    ck_assert_double_eq_tol(precision, 1.25, 1e-12);
}
END_TEST

static const char *const sections[] = {"{type: marginals, algorithm: mst}",
                                       "{type: marginals, target: label, algorithm: mst}"};

/*
 * With hardly any noise, the pairs of the tree (under each label) are drawn as often as they occur. χ² of
 * 40,000 rows against the table's own frequencies; cells that never occur there are drawn next to never. The
 * bound is the mean plus 6 standard deviations and 15: a false alarm in 10⁷ for each of the fixed seed's.
 */
START_TEST(pairs_of_the_tree_are_drawn_as_they_occur)
{
    enum { DRAWS = 40000 };
    struct marginals_scene *l = marginals_scene(sections[_i], 1e-3, 1e3);
    const marginals *model = (const marginals *)l->scene.model;
    const size_t blocks = model->blocks;
    uint16_t *slots = marginals_draw(l->scene.model, blocks, DRAWS);
    for (size_t e = 1; e < model->column_count; e++) {
        const size_t a = model->columns[model->order[e]].block,
                     b = model->columns[model->columns[model->order[e]].parent].block;
        double wanted[2][16][16] = {{{0}}}, seen[2][16][16] = {{{0}}}, chi2 = 0, cells = 0, strays = 0;
        for (size_t i = 0; i < ROWS; i++)
            wanted[model->target_block == SOTTO_NONE ? 0
                                                     : sotto_encoded_slot(l->data, i, model->target_block)]
                  [sotto_encoded_slot(l->data, i, a)][sotto_encoded_slot(l->data, i, b)] +=
                (double)DRAWS / ROWS;
        for (size_t i = 0; i < DRAWS; i++)
            seen[model->target_block == SOTTO_NONE ? 0 : slots[i * blocks + model->target_block]]
                [slots[i * blocks + a]][slots[i * blocks + b]]++;
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < 16; i++)
                for (size_t j = 0; j < 16; j++) {
                    if (wanted[k][i][j] > 0) {
                        chi2 += pow(seen[k][i][j] - wanted[k][i][j], 2) / wanted[k][i][j];
                        cells++;
                    } else {
                        strays += seen[k][i][j];
                    }
                }
        ck_assert_double_lt(chi2, cells + 6 * sqrt(2 * cells) + 15);
        ck_assert_double_le(strays, 20);
    }
    free(slots);
    marginals_scene_close(l);
}
END_TEST

/* The tree of a table where kind follows age and gain follows kind has those two edges. */
START_TEST(the_tree_joins_what_depends)
{
    struct marginals_scene *l = marginals_scene(sections[1], 1e-3, 1e3);
    const marginals *model = (const marginals *)l->scene.model;
    size_t kind = SOTTO_NONE;
    ck_assert_uint_eq(model->column_count, 3);
    for (size_t c = 0; c < 3; c++)
        if (model->columns[c].block == 2)
            kind = c;
    for (size_t c = 0; c < 3; c++)
        ck_assert(c == kind || model->columns[c].parent == kind || model->columns[kind].parent == c);
    marginals_scene_close(l);
}
END_TEST

/* P2, P7: what is charged is what was declared, and each charge's counts have its noise. */
START_TEST(what_is_declared_is_what_is_charged)
{
    struct marginals_scene *l = marginals_scene(sections[_i], 5, 0.5);
    size_t count;
    double all = 0;
    const sotto_charge *charges = sotto_budget_charges(l->budget, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(l->door.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(charges[i].label, l->releases[i].label);
        ck_assert_uint_eq(charges[i].count, l->releases[i].uses);
        ck_assert(sotto_mechanism_equal(&charges[i].mechanism, &l->mechanisms[i]));
        all += l->releases[i].share;
    }
    ck_assert_uint_eq(l->releases[0].tables, _i ? 3 : 4);
    ck_assert_uint_eq(l->releases[1].uses, _i ? 2 : 3);
    ck_assert_uint_eq(l->releases[2].tables, _i ? 2 : 3);
    ck_assert_double_eq_tol(all, 1, 1e-12);
    marginals_scene_close(l);
}
END_TEST

/* P1: rows that were given but are not among the units leave no trace, and neither do rows by any other way
 * than the door: without a row counted, whatever table was given, the same is learned. */
START_TEST(rows_reach_the_model_through_the_door_alone)
{
    uint16_t *drawn[2];
    for (int i = 0; i < 2; i++) {
        struct marginals_scene *l = marginals_scene(sections[1], 4, 0.5);
        sotto_random_destroy(l->random);
        l->random = test_random();
        l->door.random = l->random;
        l->door.units.count = 0;
        memset(l->made, 0, sizeof l->made);
        uint16_t *before = marginals_draw(l->scene.model, 4, 1000);
        free(before);
        if (i)
            sotto_model_data(l->scene.model, l->data);
        ck_assert_int_eq(sotto_model_learn(l->scene.model, &l->door, NULL), SOTTO_OK);
        drawn[i] = marginals_draw(l->scene.model, 4, 1000);
        marginals_scene_close(l);
    }
    ck_assert_mem_eq(drawn[0], drawn[1], 4000 * sizeof(uint16_t));
    free(drawn[0]);
    free(drawn[1]);
}
END_TEST

/* Under so much noise that no slot stands out, groups are made, and still every row is one of the schema's.
 */
START_TEST(noise_alone_gives_rows_too)
{
    struct marginals_scene *l = marginals_scene(sections[_i], 5000, 1e-6);
    const marginals *model = (const marginals *)l->scene.model;
    uint16_t *slots = marginals_draw(l->scene.model, model->blocks, 5000);
    size_t rare = 0;
    for (size_t c = 0; c < model->column_count; c++)
        rare += model->columns[c].rare_count;
    ck_assert_uint_gt(rare, 0);
    for (size_t i = 0; i < 5000 * model->blocks; i++)
        ck_assert_uint_lt(slots[i], sotto_encoder_block(l->scene.encoder, i % model->blocks)->slot_count);
    free(slots);
    marginals_scene_close(l);
}
END_TEST

/* ---- trees and groups ---- */

START_TEST(edges_that_are_no_tree_are_refused)
{
    struct scene scene;
    ck_assert_int_eq(try_model(&scene, sections[0], NULL), SOTTO_OK); /* four columns */
    marginals *model = (marginals *)scene.model;
    static const size_t tree[][2] = {{3, 2}, {1, 0}, {2, 1}}, circle[][2] = {{0, 1}, {1, 2}, {2, 0}},
                        apart[][2] = {{0, 1}, {2, 3}, {3, 2}}, self[][2] = {{0, 0}, {1, 2}, {2, 3}},
                        outside[][2] = {{0, 1}, {1, 2}, {2, 9}}, twice[][2] = {{0, 1}, {0, 1}, {1, 2}};
    ck_assert(marginals_root(model, tree));
    for (size_t c = 1; c < 4; c++) {
        ck_assert_uint_eq(model->order[c], c);
        ck_assert_uint_eq(model->columns[c].parent, c - 1);
    }
    ck_assert(!marginals_root(model, circle));
    ck_assert(!marginals_root(model, apart));
    ck_assert(!marginals_root(model, self));
    ck_assert(!marginals_root(model, outside));
    ck_assert(!marginals_root(model, twice));
    close_scene(&scene);
}
END_TEST

START_TEST(rare_slots_are_one_group)
{
    struct scene scene;
    ck_assert_int_eq(try_model(&scene, sections[0], NULL), SOTTO_OK);
    marginals_column *kind = &((marginals *)scene.model)->columns[2];
    ck_assert_uint_eq(kind->slots, 4);
    const bool one[] = {false, true, false, false}, two[] = {false, true, false, true},
               all[] = {true, true, true, true};
    marginals_group(kind, one);
    ck_assert_uint_eq(kind->groups, 4);
    ck_assert_uint_eq(kind->rare_count, 0);
    marginals_group(kind, two);
    ck_assert_uint_eq(kind->groups, 3);
    ck_assert_uint_eq(kind->rare_count, 2);
    ck_assert(kind->group_of[1] == 2 && kind->group_of[3] == 2 && kind->group_of[2] == 1);
    ck_assert(kind->slot_of[1] == 2 && kind->rare[1] == 3);
    marginals_group(kind, all);
    ck_assert_uint_eq(kind->groups, 1);
    close_scene(&scene);
}
END_TEST

/* ---- files ---- */

START_TEST(a_file_gives_the_tree_back)
{
    struct marginals_scene *l = marginals_scene(sections[_i], 20, 0.5); /* some slots are rare */
    char *bytes, path[] = "/tmp/sotto-marginals-XXXXXX";
    size_t length;
    const sotto_model_facts facts = {.epsilon = 1, .delta = 1e-5, .not_private = ""};
    ck_assert_int_eq(sotto_model_save(l->scene.model, &facts, &bytes, &length, NULL), SOTTO_OK);
    marginals_put_file(path, bytes, length);
    sotto_saved_model saved;
    sotto_error err = {0};
    ck_assert_msg(sotto_model_load(&saved, path, 1, &err) == SOTTO_OK, "%s", err.message);
    uint16_t *before = marginals_draw(l->scene.model, 4, 3000), *after = marginals_draw(saved.model, 4, 3000);
    ck_assert_mem_eq(before, after, 12000 * sizeof *before);
    free(before);
    free(after);
    sotto_saved_model_destroy(&saved);
    (void)unlink(path);
    free(bytes);
    marginals_scene_close(l);
}
END_TEST

static const struct {
    const char *key, *text;
} hostile[] = {
    {"  tree:", "  tree: []"},
    {"  tree:", "  tree: [[0, 1], [1, 2], [2, 0]]"},
    {"  tree:", "  tree: [[0, 1], [1, 2], [2, 99]]"},
    {"  tree:", "  tree: [[0, 1], [1, 2], 3]"},
    {"  tree:", "  tree: [[0, 1], [1, 2], [2, 3, 1]]"},
    {"  rare:", "  rare: []"},
    {"  rare:", "  rare: [[], [], [], 1]"},
    {"  rare:", "  rare: [[99], [], [], []]"},
    {"  rare:", "  rare: [[0, 1, 2], [], [], []]"},
    {"learned:", "learnt:"},
    {"  type:", "  type: independent"},
};

START_TEST(hostile_trees_are_refused)
{
    struct marginals_scene *l = marginals_scene(sections[0], 1e-3, 1e3);
    char *bytes, path[] = "/tmp/sotto-marginals-XXXXXX";
    size_t length, changed;
    const sotto_model_facts facts = {.epsilon = 1, .delta = 1e-5, .not_private = ""};
    ck_assert_int_eq(sotto_model_save(l->scene.model, &facts, &bytes, &length, NULL), SOTTO_OK);
    char *mended = marginals_change_file(bytes, length, hostile[_i].key, hostile[_i].text, &changed);
    marginals_put_file(path, mended, changed);
    sotto_saved_model saved;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_model_load(&saved, path, 1, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "checksum") == NULL, "%s", err.message); /* it was read */
    (void)unlink(path);
    free(mended);
    free(bytes);
    marginals_scene_close(l);
}
END_TEST

static const struct {
    const char *section, *words;
} wrong[] = {
    {"{type: marginals, algorithm: best}", "model.algorithm"},
    {"{type: marginals, target: age}", "category"},
    {"{type: marginals, share: 0.5}", "share"},
    {"{type: marginals, numbers: bounded}", "numbers"},
};

START_TEST(sections_that_cannot_be_are_refused)
{
    struct scene scene;
    sotto_error err = {0};
    ck_assert_int_eq(try_model(&scene, wrong[_i].section, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s", err.message);
    close_scene(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-marginals");
    TCase *tests = tcase_create("marginals");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_fit_is_the_nearest_table_with_its_margins, 0, 3);
    tcase_add_test(tests, shrinking_goes_by_the_noise);
    tcase_add_test(tests, several_sums_are_weighted_by_their_precision);
    tcase_add_loop_test(tests, pairs_of_the_tree_are_drawn_as_they_occur, 0, 2);
    tcase_add_test(tests, the_tree_joins_what_depends);
    tcase_add_loop_test(tests, what_is_declared_is_what_is_charged, 0, 2);
    tcase_add_test(tests, rows_reach_the_model_through_the_door_alone);
    tcase_add_loop_test(tests, noise_alone_gives_rows_too, 0, 2);
    tcase_add_test(tests, edges_that_are_no_tree_are_refused);
    tcase_add_test(tests, rare_slots_are_one_group);
    tcase_add_loop_test(tests, a_file_gives_the_tree_back, 0, 2);
    tcase_add_loop_test(tests, hostile_trees_are_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_loop_test(tests, sections_that_cannot_be_are_refused, 0, sizeof wrong / sizeof *wrong);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
