/* SPDX-License-Identifier: GPL-3.0-or-later */

/* AIM: what is drawn, what is picked and charged, and its files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"
#include "test_marginals_scene.h"

static const char *const sections[] = {"{type: marginals}",
                                       "{type: marginals, target: label, algorithm: aim}"};

static size_t label_of(const marginals *model, const uint16_t *row)
{
    return model->target_block == SOTTO_NONE ? 0 : row[model->target_block];
}

/*
 * With hardly any noise, all pairs (under each label) are drawn as often as they occur, since all are
 * counted. χ² of 40,000 rows against the table's own frequencies; cells that never occur there are drawn next
 * to never. The bound is the mean plus 6 standard deviations and 15: a false alarm in 10⁷ for each of the
 * fixed seed's.
 */
START_TEST(pairs_are_drawn_as_they_occur)
{
    enum { DRAWS = 40000 };
    struct marginals_scene *l = marginals_scene(sections[_i], 1e-3, 1e3);
    const marginals *model = (const marginals *)l->scene.model;
    const size_t blocks = model->blocks;
    uint16_t *slots = marginals_draw(l->scene.model, blocks, DRAWS), row[16];
    for (size_t x = 0; x < model->column_count; x++)
        for (size_t y = x + 1; y < model->column_count; y++) {
            const size_t a = model->columns[x].block, b = model->columns[y].block;
            double wanted[2][16][16] = {{{0}}}, seen[2][16][16] = {{{0}}}, chi2 = 0, cells = 0, strays = 0;
            for (size_t i = 0; i < ROWS; i++) {
                for (size_t c = 0; c < blocks; c++)
                    row[c] = sotto_encoded_slot(l->data, i, c);
                wanted[label_of(model, row)][row[a]][row[b]] += (double)DRAWS / ROWS;
            }
            for (size_t i = 0; i < DRAWS; i++)
                seen[label_of(model, slots + i * blocks)][slots[i * blocks + a]][slots[i * blocks + b]]++;
            for (size_t i = 0; i < 512; i++) {
                const double want = wanted[i / 256][i / 16 % 16][i % 16],
                             saw = seen[i / 256][i / 16 % 16][i % 16];
                chi2 += want > 0 ? pow(saw - want, 2) / want : 0;
                cells += want > 0;
                strays += want > 0 ? 0 : saw;
            }
            ck_assert_double_lt(chi2, cells + 6 * sqrt(2 * cells) + 15);
            ck_assert_double_le(strays, 20);
        }
    free(slots);
    marginals_scene_close(l);
}
END_TEST

/* A row's label may be asked for. */
START_TEST(rows_of_one_label_are_of_that_label)
{
    struct marginals_scene *l = marginals_scene(sections[1], 1, 1);
    sotto_random *random = test_random();
    sotto_stream *stream;
    uint16_t slots[4 * 200];
    float values[4 * 200];
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    for (size_t label = 0; label < 2; label++) {
        ck_assert_int_eq(sotto_model_sample(l->scene.model, stream, label, 200, slots, values, NULL),
                         SOTTO_OK);
        for (size_t i = 0; i < 200; i++)
            ck_assert_uint_eq(slots[4 * i + sotto_model_target(l->scene.model)], label);
    }
    ck_assert_int_eq(sotto_model_sample(l->scene.model, stream, 2, 1, slots, values, NULL),
                     SOTTO_ERROR_INPUT);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    marginals_scene_close(l);
}
END_TEST

/* P2, P7: what is declared is what is charged, no more often and no more rarely, whatever was picked. */
START_TEST(rounds_are_charged_as_declared)
{
    static const double sigmas[] = {1e-3, 5, 5000};
    struct marginals_scene *l = marginals_scene(sections[_i % 2], sigmas[_i / 2], 0.5);
    size_t count;
    double all = 0;
    const sotto_charge *charges = sotto_budget_charges(l->budget, &count);
    ck_assert_uint_eq(l->door.count, 3);
    const size_t columns = _i % 2 ? 3 : 4;
    for (size_t i = 0; i < 3; i++) {
        uint64_t uses = 0;
        for (size_t c = 0; c < count; c++)
            if (strcmp(charges[c].label, l->releases[i].label) == 0) {
                uses += charges[c].count;
                ck_assert(sotto_mechanism_equal(&charges[c].mechanism, &l->mechanisms[i]));
            }
        ck_assert_uint_eq(uses, l->releases[i].uses);
        ck_assert_uint_eq(l->made[i], uses);
        ck_assert_uint_eq(uses, i == 0 ? 1U : _i % 2 ? 3U : 6U);
        all += l->releases[i].share;
    }
    ck_assert_uint_eq(l->releases[0].tables, columns);
    ck_assert_uint_eq(l->releases[2].tables, 1);
    ck_assert_double_eq_tol(all, 1, 1e-12);
    marginals_scene_close(l);
}
END_TEST

/* The door gives no further round. */
START_TEST(no_round_is_made_that_was_not_declared)
{
    struct marginals_scene *l = marginals_scene(sections[_i], 5, 0.5);
    size_t before, after;
    (void)sotto_budget_charges(l->budget, &before);
    ck_assert_int_eq(sotto_model_learn(l->scene.model, &l->door, NULL), SOTTO_ERROR_INPUT);
    l->made[0] = 0; /* the columns' counts alone */
    ck_assert_int_eq(sotto_model_learn(l->scene.model, &l->door, NULL), SOTTO_ERROR_INPUT);
    const sotto_charge *charges = sotto_budget_charges(l->budget, &after);
    for (size_t c = 0; c < after; c++)
        if (strcmp(charges[c].label, l->releases[1].label) == 0)
            ck_assert_uint_eq(charges[c].count, l->releases[1].uses);
    marginals_scene_close(l);
}
END_TEST

/* P1: rows that were given but are not among the units leave no trace. */
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
        if (i)
            marginals_scene_load(l, 99);
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

/* Under so much noise that nothing stands out, every row is still one of the schema's. */
START_TEST(noise_alone_gives_rows_too)
{
    struct marginals_scene *l = marginals_scene(sections[_i], 5000, 1e-6);
    const marginals *model = (const marginals *)l->scene.model;
    uint16_t *slots = marginals_draw(l->scene.model, model->blocks, 5000);
    for (size_t i = 0; i < 5000 * model->blocks; i++)
        ck_assert_uint_lt(slots[i], sotto_encoder_block(l->scene.encoder, i % model->blocks)->slot_count);
    free(slots);
    marginals_scene_close(l);
}
END_TEST

/* ---- files ---- */

START_TEST(a_file_gives_the_cliques_back)
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
    {"  cliques:", "  cliques: []"},
    {"  cliques:", "  cliques: 4"},
    {"  cliques:", "  cliques: [[0, 1], [1, 2]]"},
    {"  cliques:", "  cliques: [[0, 1], [1, 2], [2, 99]]"},
    {"  cliques:", "  cliques: [[0, 1], [1, 2], [2, -1]]"},
    {"  cliques:", "  cliques: [[0, 1], [1, 2], 3]"},
    {"  cliques:", "  cliques: [[0, 1], [0, 1], [2, 3]]"},
    {"  cliques:", "  cliques: [[0, 1, 2, 3], []]"},
    {"  cliques:", "  cliques: [[0], [1], [2], [3], [3]]"},
    {"  cliques:", "  cliques: [[0], [1], [2], [3]]"}, /* sound, but not for as many numbers */
    {"  cliques:", "  tree: [[0, 1], [1, 2], [2, 3]]"},
    {"  rare:", "  rare: []"},
    {"  rare:", "  rare: [[99], [], [], []]"},
    {"  rare:", "  rare: [[0, 1, 2], [], [], []]"},
    {"learned:", "learnt:"},
    {"  algorithm:", "  algorithm: mst"},
};

START_TEST(hostile_cliques_are_refused)
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

/* ---- what it does not hold ---- */

/* A model of `columns` columns of `bins` bins each, and a label of 60 values. */
static sotto_status try_wide(const char *section, size_t columns, size_t bins, sotto_error *err)
{
    struct scene scene = {0};
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    (void)fputs("rows: 100\ncolumns:\n", file);
    for (size_t c = 0; c < columns; c++)
        (void)fprintf(file, "  - {name: c%zu, type: integer, min: 0, max: 999999, bins: %zu}\n", c, bins);
    (void)fputs("  - {name: label, type: category, values: [v0", file);
    for (int v = 1; v < 60; v++)
        (void)fprintf(file, ", v%d", v);
    (void)fputs("]}\n", file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(sotto_schema_parse(&scene.schema, "schema", text, length, err), SOTTO_OK);
    ck_assert_int_eq(sotto_document_parse(&scene.document, "config", section, strlen(section), err),
                     SOTTO_OK);
    ck_assert_int_eq(sotto_encoder_create(&scene.encoder, scene.schema, SOTTO_NUMBERS_BINNED, err), SOTTO_OK);
    const sotto_status status =
        sotto_model_create(&scene.model, sotto_document_root(scene.document), scene.encoder, err);
    close_scene(&scene);
    free(text);
    return status;
}

START_TEST(what_cannot_be_held_is_refused_with_a_reason)
{
    sotto_error err = {0};
    ck_assert_int_eq(try_wide("{type: marginals, target: label}", 64, 50, &err), SOTTO_OK);
    ck_assert_int_eq(try_wide("{type: marginals}", 64, 50, &err), SOTTO_ERROR_INPUT); /* and the label */
    ck_assert_msg(strstr(err.message, "65") && strstr(err.message, "algorithm: mst"), "%s", err.message);
    ck_assert_int_eq(try_wide("{type: marginals, algorithm: mst}", 64, 50, &err), SOTTO_OK);
    ck_assert_int_eq(try_wide("{type: marginals, target: label}", 10, 500, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "60 labels") && strstr(err.message, "fewer bins"), "%s", err.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-aim");
    TCase *tests = tcase_create("aim");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, pairs_are_drawn_as_they_occur, 0, 2);
    tcase_add_test(tests, rows_of_one_label_are_of_that_label);
    tcase_add_loop_test(tests, rounds_are_charged_as_declared, 0, 6);
    tcase_add_loop_test(tests, no_round_is_made_that_was_not_declared, 0, 2);
    tcase_add_test(tests, rows_reach_the_model_through_the_door_alone);
    tcase_add_loop_test(tests, noise_alone_gives_rows_too, 0, 2);
    tcase_add_loop_test(tests, a_file_gives_the_cliques_back, 0, 2);
    tcase_add_loop_test(tests, hostile_cliques_are_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(tests, what_cannot_be_held_is_refused_with_a_reason);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
