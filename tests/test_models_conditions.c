/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The adversarial network, conditional on columns besides its target: what they are read from, and what
 * holds. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/gan.h"
#include "suite.h"
#include "test_models.h"

/* Blocks of the scene's schema. */
enum { AGE, GAIN, KIND, LABEL, BLOCKS };
enum { KINDS = 4, LABELS = 2, CELLS = KINDS * LABELS }; /* kinds: missing, a, b, c */

static const char *const sections[] = {
    "{target: label, condition: [kind], generator: {hidden: [8]}, discriminator: {hidden: [8]}}",
    "{target: label, condition: [kind], marginals: {tables: label}, heads: {type: gumbel}, numbers: bounded}",
    "{condition: [label, kind], generator: {hidden: [8]}}",
    "{condition: [kind], target: label, loss: hinge, generator: {hidden: [8]}}",
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static sotto_training small_training(void)
{
    sotto_training training = {.batch = 120,
                               .steps = 6,
                               .discriminator_steps = 2,
                               .learning_rate = 1e-2,
                               .generator_learning_rate = 1e-2,
                               .ema = 0.5,
                               .threads = 2};
    training.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    training.generator_optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    return training;
}

/* ---- cells ---- */

/* Every cell's label and slots give the cell back, and are what the generator is told. */
START_TEST(a_cell_is_a_label_and_values)
{
    struct scene scene;
    ck_assert_int_eq(try_model(&scene, sections[_i], NULL), SOTTO_OK);
    const gan *model = (const gan *)scene.model;
    bool seen[LABELS][KINDS] = {{false}};
    ck_assert_uint_eq(model->cells, CELLS);
    ck_assert_uint_eq(model->told, LABELS + KINDS);
    for (size_t c = 0; c < CELLS; c++) {
        const bool targeted = model->target_block != SOTTO_NONE;
        const size_t label = targeted ? gan_cell_label(model, c) : gan_cell_slot(model, c, 0);
        const size_t kind = gan_cell_slot(model, c, targeted ? 0 : 1);
        float input[LABELS + KINDS];
        ck_assert(label < LABELS && kind < KINDS && !seen[label][kind]);
        seen[label][kind] = true;
        gan_cell_tell(model, c, input);
        for (size_t i = 0; i < LABELS; i++)
            ck_assert_float_eq(input[i], i == label ? 1.0f : 0.0f);
        for (size_t i = 0; i < KINDS; i++)
            ck_assert_float_eq(input[LABELS + i], i == kind ? 1.0f : 0.0f);
    }
    close_scene(&scene);
}
END_TEST

/* Noisy counts of 800 rows, all of them in the cell `only` (NONE: equally in all). A label that has none
 * keeps 1. */
static void give_counts(sotto_model *base, size_t only)
{
    const gan *model = (const gan *)base;
    const sotto_model_counts wanted = sotto_model_counts_wanted(base);
    double counts[400] = {0};
    size_t at = 0, cells = 0;
    for (size_t t = 0; t < wanted.query.tables; t++) {
        const size_t size = wanted.query.table_size[t];
        ck_assert_uint_lt(at + size, 400);
        for (size_t c = 0; c < size; c++) {
            const size_t label = c / (size / model->classes);
            const bool cell = model->table_block[t] == SOTTO_NONE;
            if (only == SOTTO_NONE)
                counts[at + c] = 800.0 / (double)size;
            else if (cell)
                counts[at + c] = c == only ? 800.0 : -5.0;
            else
                counts[at + c] = label == gan_cell_label(model, only)
                                     ? 800.0 / (double)size * (double)model->classes
                                     : -5.0;
        }
        cells += model->table_block[t] == SOTTO_NONE;
        at += size;
    }
    ck_assert_uint_eq(cells, 1);
    ck_assert_int_eq(sotto_model_counts_give(base, counts, NULL), SOTTO_OK);
}

/* χ² of 40,000 draws under the frequencies that the counts give; critical value of 7 degrees of freedom at a
 * false-alarm rate of 1e-6: 40.5. */
START_TEST(cells_are_drawn_by_their_counts)
{
    enum { DRAWS = 40000 };
    struct scene scene;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    double chi2 = 0, counts[400] = {0}, seen[CELLS] = {0}, all = 0;
    static uint32_t cells[DRAWS];
    ck_assert_int_eq(
        try_model(&scene, "{target: label, condition: [kind], marginals: {tables: label}}", NULL), SOTTO_OK);
    gan *model = (gan *)scene.model;
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    const sotto_model_counts wanted = sotto_model_counts_wanted(scene.model);
    ck_assert_uint_eq(wanted.query.tables, 1); /* the labels alone are not bought beside their cells */
    ck_assert_uint_eq(wanted.query.table_size[0], CELLS);
    ck_assert_str_eq(wanted.label, "condition counts");
    for (size_t c = 0; c < CELLS; c++)
        all += counts[c] = 100.0 * (double)(c + 1);
    ck_assert_int_eq(sotto_model_counts_give(scene.model, counts, NULL), SOTTO_OK);
    gan_cells_draw(model, model->stream, NULL, DRAWS, cells);
    for (size_t i = 0; i < DRAWS; i++)
        seen[cells[i]]++;
    for (size_t c = 0; c < CELLS; c++)
        chi2 += pow(seen[c] - DRAWS * counts[c] / all, 2) / (DRAWS * counts[c] / all);
    ck_assert_double_le(chi2, 40.5);
    close_scene(&scene);
    sotto_random_destroy(random);
}
END_TEST

/* ---- training ---- */

static void write_table(const char *path, bool other)
{
    static const char *const kinds[] = {"?", "a", "b", "c"};
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (int i = 0; i < 200; i++)
        (void)fprintf(file, "%d,%s,%s,p%d,%s\n", i % 100, i % 3 ? "0" : "12.5", kinds[other ? i % 2 : i % 4],
                      i, (other ? i / 2 : i / 3) % 2 ? "yes" : "no");
    ck_assert_int_eq(fclose(file), 0);
}

/* Six steps after counts of one cell alone; what the generator's last batch was asked for, and its average.
 */
struct trained {
    uint32_t cells[120];
    uint16_t slots[120 * BLOCKS];
    float *released;
    size_t count;
};

static void train(struct trained *trained, const char *section, bool other, size_t unit_count, size_t only)
{
    char path[] = "/tmp/sotto-test-XXXXXX";
    struct scene scene;
    sotto_table *table;
    sotto_encoded *data;
    sotto_budget *budget;
    sotto_dpsgd *step;
    uint32_t units[200];
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    close(mkstemp(path));
    write_table(path, other);
    ck_assert_int_eq(try_model(&scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_table_load(&table, scene.schema, path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&data, scene.encoder, table, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e9, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    sotto_model_data(scene.model, data);
    give_counts(scene.model, only);
    for (uint32_t i = 0; i < 200; i++)
        units[i] = i;
    const sotto_model_private wanted = sotto_model_private_wanted(scene.model);
    sotto_dpsgd_options options = {.clipping = {.max_grad_norm = 1.0},
                                   .public_units = 200,
                                   .label = wanted.label,
                                   .optimizer = training.optimizer,
                                   .schedule = {.rate = 1e-2, .steps = 6},
                                   .threads = 2,
                                   .units = {.rows = units, .count = unit_count},
                                   .weights = wanted.weights,
                                   .parameters = wanted.parameters,
                                   .budget = budget,
                                   .random = random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 0.5, 0.5, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, NULL), SOTTO_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(sotto_model_step(scene.model, step, NULL), SOTTO_OK);
    const gan *model = (const gan *)scene.model;
    memcpy(trained->cells, model->batch.cells, sizeof trained->cells);
    memcpy(trained->slots, model->batch.slots, sizeof trained->slots);
    const float *released = scene.model->kind->released(scene.model, &trained->count);
    trained->released = malloc(trained->count * sizeof *released);
    ck_assert_ptr_nonnull(trained->released);
    memcpy(trained->released, released, trained->count * sizeof *released);
    sotto_dpsgd_destroy(step);
    sotto_budget_destroy(budget);
    sotto_encoded_destroy(data);
    sotto_table_destroy(table);
    close_scene(&scene);
    sotto_random_destroy(random);
    unlink(path);
}

/* P1, P6: whatever values the rows have, fakes are asked for by the noisy counts alone, which here know one
 * cell: but for the other label's 1 of 801 rows, of which there are 10 in 120 at a chance below 1e-15. */
START_TEST(conditions_of_fakes_come_from_the_counts)
{
    static struct trained trained;
    for (int other = 0; other < 2; other++) {
        size_t of_the_other_label = 0;
        train(&trained, sections[_i], other, 200, 6);
        for (size_t i = 0; i < 120; i++) {
            const uint16_t *slots = trained.slots + i * BLOCKS;
            ck_assert_uint_eq(trained.cells[i], slots[LABEL] * KINDS + slots[KIND]);
            of_the_other_label += slots[LABEL] != 1;
            ck_assert(slots[LABEL] != 1 || slots[KIND] == 2);
        }
        ck_assert_uint_lt(of_the_other_label, 10);
        free(trained.released);
    }
}
END_TEST

/* P1: of a table whose rows are never sampled nothing is left, not even a frequency. */
START_TEST(rows_that_are_not_sampled_leave_no_trace)
{
    static struct trained one, other, sampled;
    train(&one, sections[_i], false, 0, SOTTO_NONE);
    train(&other, sections[_i], true, 0, SOTTO_NONE);
    train(&sampled, sections[_i], true, 200, SOTTO_NONE);
    ck_assert_mem_eq(one.cells, other.cells, sizeof one.cells);
    ck_assert_mem_eq(one.cells, sampled.cells, sizeof one.cells);
    ck_assert_mem_eq(one.released, other.released, one.count * sizeof(float));
    ck_assert(memcmp(one.released, sampled.released, one.count * sizeof(float)) != 0);
    free(one.released);
    free(other.released);
    free(sampled.released);
}
END_TEST

/* The query's sensitivity is that of its tables: each row is in one cell of each, and in the right one of the
 * cells'. */
START_TEST(each_row_is_counted_in_its_own_cell)
{
    char path[] = "/tmp/sotto-test-XXXXXX";
    struct scene scene;
    sotto_table *table;
    sotto_encoded *data;
    close(mkstemp(path));
    write_table(path, false);
    ck_assert_int_eq(try_model(&scene, sections[_i], NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_table_load(&table, scene.schema, path, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&data, scene.encoder, table, NULL), SOTTO_OK);
    sotto_model_data(scene.model, data);
    const gan *model = (const gan *)scene.model;
    const sotto_counts_query query = gan_tables_query(model);
    for (uint32_t unit = 0; unit < 200; unit++)
        for (size_t t = 0; t < query.tables; t++) {
            const size_t cell = query.cell(query.context, unit, t);
            ck_assert_uint_lt(cell, query.table_size[t]);
            ck_assert(model->table_block[t] != KIND && model->table_block[t] != LABEL);
            if (model->table_block[t] == SOTTO_NONE)
                ck_assert_uint_eq(cell, unit / 3 % 2 * KINDS + unit % 4);
        }
    sotto_encoded_destroy(data);
    sotto_table_destroy(table);
    close_scene(&scene);
    unlink(path);
}
END_TEST

/* ---- sampling ---- */

/* Every combination can be asked for, whether the counts hold it or not, and every row has what was asked. */
START_TEST(rows_have_the_values_asked_for)
{
    struct scene scene;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    static uint16_t slots[200 * BLOCKS];
    static float values[200 * BLOCKS];
    ck_assert_int_eq(try_model(&scene, sections[_i], NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    gan *model = (gan *)scene.model;
    give_counts(scene.model, 5);
    ck_assert(sotto_model_conditional(scene.model, KIND) && sotto_model_conditional(scene.model, LABEL));
    ck_assert(!sotto_model_conditional(scene.model, AGE) && !sotto_model_conditional(scene.model, GAIN));
    for (size_t label = 0; label <= LABELS; label++)
        for (size_t kind = 0; kind <= KINDS; kind++) {
            const size_t wanted[] = {SOTTO_NONE, SOTTO_NONE, kind < KINDS ? kind : SOTTO_NONE,
                                     label < LABELS ? label : SOTTO_NONE};
            ck_assert_int_eq(
                sotto_model_sample_given(scene.model, model->stream, wanted, 200, slots, values, NULL),
                SOTTO_OK);
            for (size_t i = 0; i < 200; i++) {
                ck_assert(label == LABELS || slots[i * BLOCKS + LABEL] == label);
                ck_assert(kind == KINDS || slots[i * BLOCKS + KIND] == kind);
                if (label == 1 && kind == KINDS) /* the one cell that the counts hold */
                    ck_assert_uint_eq(slots[i * BLOCKS + KIND], 1);
            }
        }
    const size_t nonsense[][BLOCKS] = {{SOTTO_NONE, SOTTO_NONE, KINDS, SOTTO_NONE},
                                       {SOTTO_NONE, SOTTO_NONE, SOTTO_NONE, LABELS}};
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(
            sotto_model_sample_given(scene.model, model->stream, nonsense[i], 9, slots, values, NULL),
            SOTTO_ERROR_INPUT);
    close_scene(&scene);
    sotto_random_destroy(random);
}
END_TEST

/* The generator hears it: from the same latent vectors another condition makes other rows. */
START_TEST(the_generator_is_told_its_conditions)
{
    struct scene scene;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    float soft[2];
    ck_assert_int_eq(try_model(&scene, sections[0], NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    gan *model = (gan *)scene.model;
    give_counts(scene.model, SOTTO_NONE);
    gan_batch_draw(model, &model->batch, model->stream, NULL, 1);
    for (uint32_t kind = 0; kind < 2; kind++) {
        model->batch.cells[0] = KINDS + kind;
        model->batch.labels[0] = 1;
        gan_generate(model, model->generator_weights, &model->batch, 1, false);
        soft[kind] = model->lane[0].soft[0];
    }
    ck_assert_float_ne(soft[0], soft[1]);
    close_scene(&scene);
    sotto_random_destroy(random);
}
END_TEST

/* ---- sections and files ---- */

START_TEST(conditions_that_cannot_be_are_refused)
{
    static const struct {
        const char *section, *part;
    } cases[] = {
        {"{condition: kind}", "not a list of columns"},
        {"{condition: [sort]}", "has \"sort\", which the schema has no column called"},
        {"{condition: [age]}", "\"age\" is of type integer"},
        {"{condition: [id]}", "must be a category column"},
        {"{condition: [kind, kind]}", "is a condition already"},
        {"{target: label, condition: [label]}", "is a condition already"},
        {"{condition: [[kind]]}", "model.condition"},
        {"{condition: [kind], marginals: {tables: none}}", "model.condition needs the noisy frequencies"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene;
        sotto_error err = {0};
        ck_assert_msg(try_model(&scene, cases[i].section, &err) == SOTTO_ERROR_INPUT, "accepted %s",
                      cases[i].section);
        ck_assert_msg(strstr(err.message, cases[i].part) != NULL, "%s", err.message);
        close_scene(&scene);
    }
    static const char *const without[] = {"{target: label}", "{target: label, condition: none}",
                                          "{target: label, condition: []}"};
    for (size_t i = 0; i < 3; i++) {
        struct scene scene;
        ck_assert_int_eq(try_model(&scene, without[i], NULL), SOTTO_OK);
        ck_assert_uint_eq(((gan *)scene.model)->cells, LABELS);
        close_scene(&scene);
    }
}
END_TEST

/* 17 × 17 × 17 is more than 4096, and 16 × 16 × 16 is not, which is also what a model file can hold. */
START_TEST(combinations_are_limited)
{
    static const char section[] = "{target: c, condition: [a, b]}";
    for (size_t values = 16; values <= 17; values++) {
        char text[2048] = "rows: 9\ncolumns:\n";
        struct scene scene = {0};
        sotto_error err = {0};
        for (const char *name = "abc"; *name; name++) {
            size_t at = strlen(text);
            at += (size_t)snprintf(text + at, sizeof text - at, "  - {name: %c, type: category, values: [",
                                   *name);
            for (size_t v = 0; v < values; v++)
                at += (size_t)snprintf(text + at, sizeof text - at, "%sv%zu", v ? ", " : "", v);
            (void)snprintf(text + at, sizeof text - at, "]}\n");
        }
        ck_assert_int_eq(sotto_schema_parse(&scene.schema, "schema", text, strlen(text), NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_document_parse(&scene.document, "config", section, strlen(section), NULL),
                         SOTTO_OK);
        ck_assert_int_eq(sotto_encoder_create(&scene.encoder, scene.schema, SOTTO_NUMBERS_BINNED, NULL),
                         SOTTO_OK);
        const sotto_status status =
            sotto_model_create(&scene.model, sotto_document_root(scene.document), scene.encoder, &err);
        ck_assert_int_eq(status, values == 16 ? SOTTO_OK : SOTTO_ERROR_INPUT);
        if (values == 17)
            ck_assert_msg(strstr(err.message, "more than 4096 combinations") != NULL, "%s", err.message);
        close_scene(&scene);
    }
}
END_TEST

static char *saved_model(const char *section, size_t *length)
{
    struct scene scene;
    char *bytes;
    sotto_random *random = test_random();
    const sotto_training training = small_training();
    const sotto_model_facts facts = {.epsilon = 1.5, .delta = 1e-6, .not_private = ""};
    ck_assert_int_eq(try_model(&scene, section, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(scene.model, &training, random, NULL), SOTTO_OK);
    give_counts(scene.model, SOTTO_NONE);
    ck_assert_int_eq(sotto_model_save(scene.model, &facts, &bytes, length, NULL), SOTTO_OK);
    close_scene(&scene);
    sotto_random_destroy(random);
    return bytes;
}

static sotto_status load_bytes(sotto_saved_model *saved, const char *bytes, size_t length)
{
    char path[] = "/tmp/sotto-test-XXXXXX";
    close(mkstemp(path));
    ck_assert_int_eq(sotto_file_write(path, 0600, bytes, length, NULL), SOTTO_OK);
    const sotto_status status = sotto_model_load(saved, path, 1, NULL);
    unlink(path);
    return status;
}

/* Byte for byte, and it makes what is asked for. */
START_TEST(a_model_file_keeps_its_conditions)
{
    size_t length, again_length;
    char *again, *bytes = saved_model(sections[_i], &length);
    sotto_saved_model saved;
    uint16_t slots[50 * BLOCKS];
    float values[50 * BLOCKS];
    const size_t wanted[] = {SOTTO_NONE, SOTTO_NONE, 3, 0};
    sotto_random *random = test_random();
    sotto_stream *stream;
    ck_assert_int_eq(load_bytes(&saved, bytes, length), SOTTO_OK);
    ck_assert_int_eq(sotto_model_save(saved.model, &saved.facts, &again, &again_length, NULL), SOTTO_OK);
    ck_assert_uint_eq(length, again_length);
    ck_assert_mem_eq(bytes, again, length);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_model_sample_given(saved.model, stream, wanted, 50, slots, values, NULL),
                     SOTTO_OK);
    for (size_t i = 0; i < 50; i++)
        ck_assert(slots[i * BLOCKS + KIND] == 3 && slots[i * BLOCKS + LABEL] == 0);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    sotto_saved_model_destroy(&saved);
    free(again);
    free(bytes);
}
END_TEST

/* A file with a right checksum and anything else wrong is refused, or is a model that can be sampled from. */
START_TEST(a_hostile_model_file_never_crashes)
{
    size_t length;
    char *bytes = saved_model(sections[_i], &length), *mutant = malloc(length + 1);
    sotto_random *random = test_random();
    sotto_stream *stream;
    size_t read = 0;
    ck_assert_ptr_nonnull(mutant);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    for (int round = 0; round < 250; round++) {
        sotto_saved_model saved;
        char digest[65];
        memcpy(mutant, bytes, length);
        for (size_t edits = 1 + sotto_stream_below(stream, 3); edits > 0; edits--)
            mutant[sotto_stream_below(stream, 900)] = (char)(' ' + sotto_stream_below(stream, 96));
        sotto_sha256_hex(mutant, length - 64, digest);
        memcpy(mutant + length - 64, digest, 64);
        if (load_bytes(&saved, mutant, length) != SOTTO_OK)
            continue;
        const size_t blocks = sotto_encoder_block_count(saved.encoder);
        uint16_t *slots = calloc(20 * blocks, sizeof *slots);
        float *values = calloc(20 * blocks, sizeof *values);
        size_t *wanted = calloc(blocks, sizeof *wanted);
        ck_assert(slots && values && wanted);
        (void)sotto_model_sample_given(saved.model, stream, wanted, 20, slots, values, NULL);
        (void)sotto_model_sample(saved.model, stream, SOTTO_NONE, 20, slots, values, NULL);
        free(slots);
        free(values);
        free(wanted);
        sotto_saved_model_destroy(&saved);
        read++;
    }
    ck_assert_uint_gt(read, 0); /* a changed digit of a frequency, say */
    free(mutant);
    free(bytes);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-conditions");
    TCase *tests = tcase_create("conditions");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_cell_is_a_label_and_values, 0, SECTIONS);
    tcase_add_test(tests, cells_are_drawn_by_their_counts);
    tcase_add_loop_test(tests, conditions_of_fakes_come_from_the_counts, 0, SECTIONS);
    tcase_add_loop_test(tests, rows_that_are_not_sampled_leave_no_trace, 0, SECTIONS);
    tcase_add_loop_test(tests, each_row_is_counted_in_its_own_cell, 0, SECTIONS);
    tcase_add_loop_test(tests, rows_have_the_values_asked_for, 0, SECTIONS);
    tcase_add_test(tests, the_generator_is_told_its_conditions);
    tcase_add_test(tests, conditions_that_cannot_be_are_refused);
    tcase_add_test(tests, combinations_are_limited);
    tcase_add_loop_test(tests, a_model_file_keeps_its_conditions, 0, SECTIONS);
    tcase_add_loop_test(tests, a_hostile_model_file_never_crashes, 0, SECTIONS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
