/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The encoder's layout, encode → decode, the writer's promise that every row lies in the declared domain, the
 * split, and the drafted schema. */
#include <math.h>

#include "test_data.h"

static const char mixed[] =
    "rows: 4\nmissing: \"?\"\ncolumns:\n"
    "  - {name: id, type: identifier}\n"
    "  - {name: age, type: integer, min: 17, max: 90, missing: allowed}\n"
    "  - {name: hours, type: integer, min: 1, max: 99, spikes: [40, 99], bins: 10}\n"
    "  - {name: gain, type: integer, min: 0, max: 99999, scale: log, missing: allowed}\n"
    "  - {name: cost, type: number, min: -5, max: 2000.5, scale: log, decimals: 2, spikes: [100]}\n"
    "  - {name: \"ratio, \\\"x\\\"\", type: number, min: -1, max: 1, decimals: 9, bins: 1000}\n"
    "  - {name: few, type: integer, min: 3, max: 5}\n"
    "  - {name: one, type: number, min: 7, max: 7, decimals: 0}\n"
    "  - {name: zero, type: integer, min: 0, max: 0, scale: log}\n"
    "  - {name: flag, type: integer, min: 0, max: 1, spikes: [0, 1], missing: allowed}\n"
    "  - {name: day, type: date, min: 2019-01-01, max: 2024-12-31, spikes: [2020-02-29]}\n"
    "  - {name: huge, type: integer, min: -1000000000000000, max: 1000000000000000}\n"
    "  - {name: job, type: category, values: [a, \"b, c\", \"d\\ne\", \" f\", 'g\"h', \"i \"], missing: "
    "allowed}\n"
    "  - {name: sex, type: category, values: [f, m]}\n";

static sotto_random *root;
static sotto_stream *stream;

static void open_stream(void)
{
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&root, 20240229, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, root, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
}

static void close_stream(void)
{
    sotto_stream_destroy(stream);
    sotto_random_destroy(root);
}

static sotto_encoder *encoder_of(const sotto_schema *schema, sotto_numbers numbers)
{
    sotto_encoder *encoder = NULL;
    ck_assert_int_eq(sotto_encoder_create(&encoder, schema, numbers, NULL), SOTTO_OK);
    return encoder;
}

static const sotto_block *block_of(const sotto_encoder *encoder, const char *name)
{
    size_t block = sotto_encoder_find(encoder, sotto_schema_find(sotto_encoder_schema(encoder), name));
    return sotto_encoder_block(encoder, block);
}

/* ------------------------------------------------------------------- layout */

static void expect_gapless(const sotto_encoder *encoder)
{
    size_t at = 0;
    for (size_t b = 0; b < sotto_encoder_block_count(encoder); b++) {
        const sotto_block *block = sotto_encoder_block(encoder, b);
        ck_assert_uint_eq(block->slot_offset, at);
        at += block->slot_count;
        if (block->has_value)
            ck_assert_uint_eq(block->value_offset, at++);
    }
    ck_assert_uint_eq(sotto_encoder_width(encoder), at);
}

START_TEST(binned_blocks_have_the_promised_slots)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_BINNED);
    ck_assert_uint_eq(sotto_encoder_block_count(encoder), 13);
    ck_assert_uint_eq(sotto_encoder_find(encoder, 0), SOTTO_NONE);
    expect_gapless(encoder);
    const struct {
        const char *name;
        size_t missing, spikes, slots;
    } wanted[] = {{"age", 0, 0, 21},
                  {"hours", SOTTO_NONE, 2, 12},
                  {"few", SOTTO_NONE, 0, 3},
                  {"flag", 0, 2, 3},
                  {"one", SOTTO_NONE, 0, 1},
                  {"zero", SOTTO_NONE, 1, 1},
                  {"job", 0, 0, 7},
                  {"sex", SOTTO_NONE, 0, 2},
                  {"day", SOTTO_NONE, 1, 21},
                  {"huge", SOTTO_NONE, 0, 20},
                  {"ratio, \"x\"", SOTTO_NONE, 0, 1000}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const sotto_block *block = block_of(encoder, wanted[i].name);
        ck_assert_msg(block->slot_count == wanted[i].slots, "%s: %zu", wanted[i].name, block->slot_count);
        ck_assert_uint_eq(block->missing_slot, wanted[i].missing);
        ck_assert_uint_eq(block->spike_count, wanted[i].spikes);
        ck_assert_uint_eq(block->spike_slot, wanted[i].missing == 0);
        ck_assert_uint_eq(block->rest_slot, block->spike_slot + wanted[i].spikes);
        ck_assert(!block->has_value);
    }
    /* log1p(99999) in 20 bins: the first has no integer of its own beside the spike, and falls away. */
    ck_assert_uint_eq(block_of(encoder, "gain")->slot_count, 2 + 19);
    sotto_encoder_destroy(encoder);
    sotto_encoder_destroy(NULL);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(bounded_blocks_have_a_value)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_BOUNDED);
    expect_gapless(encoder);
    const struct {
        const char *name;
        size_t slots;
        bool value;
    } wanted[] = {{"age", 2, true},   {"hours", 3, true}, {"few", 0, true},
                  {"flag", 3, false}, {"one", 0, true},   {"zero", 1, false},
                  {"job", 7, false},  {"gain", 3, true},  {"huge", 0, true}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const sotto_block *block = block_of(encoder, wanted[i].name);
        ck_assert_msg(block->slot_count == wanted[i].slots, "%s: %zu", wanted[i].name, block->slot_count);
        ck_assert(block->has_value == wanted[i].value);
    }
    ck_assert_int_eq(sotto_encoder_numbers(encoder), SOTTO_NUMBERS_BOUNDED);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

/* The slots of bins; a value where a bin holds more than one point, and so says more than its slot. */
START_TEST(modes_have_bins_and_a_value_in_them)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_MODES);
    sotto_encoder *binned = encoder_of(schema, SOTTO_NUMBERS_BINNED);
    expect_gapless(encoder);
    static const struct {
        const char *name;
        bool value;
    } wanted[] = {{"age", true},  {"hours", true}, {"few", false}, {"flag", false}, {"one", false},
                  {"cost", true}, {"job", false},  {"gain", true}, {"huge", true},  {"zero", false}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const sotto_block *block = block_of(encoder, wanted[i].name);
        ck_assert_msg(block->has_value == wanted[i].value, "%s", wanted[i].name);
        ck_assert_uint_eq(block->slot_count, block_of(binned, wanted[i].name)->slot_count);
        ck_assert_uint_eq(block->rest_slot, block_of(binned, wanted[i].name)->rest_slot);
    }
    sotto_encoder_destroy(binned);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

/* --------------------------------------------------------------------- grid */

static void make_grid(sotto_grid *grid, const sotto_schema *schema, const char *name, sotto_arena *arena)
{
    const sotto_column *column = &schema->columns[sotto_schema_find(schema, name)];
    ck_assert_int_eq(sotto_grid_make(grid, column, arena, NULL), SOTTO_OK);
}

/* Every point of small grids: in exactly one spike or bin, bins in order, sizes as even as they can be. */
START_TEST(bins_partition_the_points)
{
    static const char *const names[] = {"age", "hours", "few", "day", "one"};
    sotto_schema *schema = schema_of(mixed);
    sotto_arena *arena;
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        sotto_grid grid;
        size_t sizes[1000] = {0}, last = 0, least = SIZE_MAX, most = 0;
        make_grid(&grid, schema, names[n], arena);
        for (int64_t point = grid.low; point <= grid.high; point++) {
            if (sotto_grid_spike(&grid, point) != SOTTO_NONE)
                continue;
            size_t bin = sotto_grid_bin(&grid, point);
            EXPECT(bin < grid.bin_count && bin >= last, "%s: bin %zu after %zu", names[n], bin, last);
            sizes[last = bin]++;
        }
        for (size_t i = 0; i < grid.bin_count; i++) {
            least = sizes[i] < least ? sizes[i] : least;
            most = sizes[i] > most ? sizes[i] : most;
        }
        ck_assert_msg(least >= 1 && most - least <= 1, "%s: %zu to %zu", names[n], least, most);
    }
    sotto_arena_destroy(arena);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(log_bins_are_even_in_the_logarithm)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_arena *arena;
    sotto_grid grid;
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    make_grid(&grid, schema, "gain", arena);
    double width = log1p(100000) / 20;
    for (int64_t x = 1; x <= 99999; x++) {
        size_t bin = sotto_grid_bin(&grid, x);
        /* The first of the 20 fell away, so bin k is the (k+1)-th of them. */
        double low = expm1(width * (double)(bin + 1)), high = expm1(width * (double)(bin + 2));
        EXPECT((double)x >= low - 1e-6 && (double)x < high + 1e-6, "%lld in bin %zu", (long long)x, bin);
    }
    sotto_arena_destroy(arena);
    sotto_schema_destroy(schema);
}
END_TEST

/* 60,000 draws of a bin of 5 (hours 37 to 42 without the spike 40): each 12,000 ± 6σ = 588; false alarm <
 * 1e-7. */
START_TEST(draws_are_uniform_and_skip_spikes)
{
    sotto_schema *schema = schema_of(
        "rows: 1\ncolumns:\n  - {name: hours, type: integer, min: 37, max: 42, spikes: [40], bins: 1}\n");
    sotto_arena *arena;
    sotto_grid grid;
    size_t counts[6] = {0};
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    make_grid(&grid, schema, "hours", arena);
    for (int i = 0; i < 60000; i++)
        counts[sotto_grid_draw(&grid, 0, stream) - 37]++;
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(i == 3 ? counts[i] == 0 : counts[i] > 11412 && counts[i] < 12588, "%zu: %zu", i + 37,
                      counts[i]);
    sotto_arena_destroy(arena);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(scalars_come_back)
{
    static const char *const names[] = {"age", "hours", "gain", "cost", "few", "one", "zero", "day"};
    static const float odd[] = {-1,    1,        0,         -1.0000001f, 2,      -3e38f,
                                3e38f, INFINITY, -INFINITY, NAN,         1e-45f, 0.99999994f};
    sotto_schema *schema = schema_of(mixed);
    sotto_arena *arena;
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        sotto_grid grid;
        make_grid(&grid, schema, names[n], arena);
        for (int64_t point = grid.low; point <= grid.high; point++) {
            float x = sotto_grid_scalar(&grid, point);
            EXPECT(x >= -1 && x <= 1, "%s: scalar %g", names[n], (double)x);
            int64_t back = sotto_grid_from_scalar(&grid, x);
            /* A float carries 24 bits: over cost's 200,551 points on a log scale that can be off by one. */
            EXPECT(llabs(back - point) <= (strcmp(names[n], "cost") == 0), "%s: %lld came back as %lld",
                   names[n], (long long)point, (long long)back);
        }
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            int64_t point = sotto_grid_from_scalar(&grid, odd[i]);
            ck_assert(point >= grid.low && point <= grid.high);
        }
        ck_assert_int_eq(sotto_grid_from_scalar(&grid, NAN), sotto_grid_from_scalar(&grid, 0));
    }
    sotto_arena_destroy(arena);
    sotto_schema_destroy(schema);
}
END_TEST

/* Every point of a bin has its own offset, in order, in (−1, 1) and as even as can be; any float is a point
 * of the bin. */
START_TEST(offsets_come_back)
{
    static const char *const names[] = {"age", "hours", "gain", "cost", "few", "one", "day"};
    static const float odd[] = {-1, 1, 0, -2, 2, 3e38f, INFINITY, -INFINITY, NAN, 1e-45f, 0.99999994f};
    sotto_schema *schema = schema_of(mixed);
    sotto_arena *arena;
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        sotto_grid grid;
        make_grid(&grid, schema, names[n], arena);
        size_t last = SIZE_MAX;
        float before = 0;
        for (int64_t point = grid.low; point <= grid.high; point++) {
            if (sotto_grid_spike(&grid, point) != SOTTO_NONE)
                continue;
            const size_t bin = sotto_grid_bin(&grid, point);
            const float x = sotto_grid_offset(&grid, point);
            EXPECT(x > -1 && x < 1 && (bin != last || x > before), "%s: offset %g", names[n], (double)x);
            EXPECT(sotto_grid_from_offset(&grid, bin, x) == point, "%s: %lld does not come back", names[n],
                   (long long)point);
            last = bin;
            before = x;
        }
        for (size_t bin = 0; bin < grid.bin_count; bin++) {
            for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
                ck_assert_uint_eq(sotto_grid_bin(&grid, sotto_grid_from_offset(&grid, bin, odd[i])), bin);
            const int64_t first = sotto_grid_from_offset(&grid, bin, -1),
                          end = sotto_grid_from_offset(&grid, bin, 1);
            const double middle =
                (double)sotto_grid_offset(&grid, first) + (double)sotto_grid_offset(&grid, end);
            ck_assert_double_eq_tol(middle, 0, 1e-6);
            ck_assert(bin == 0 || sotto_grid_spike(&grid, first - 1) != SOTTO_NONE ||
                      sotto_grid_bin(&grid, first - 1) != bin);
        }
    }
    sotto_arena_destroy(arena);
    sotto_schema_destroy(schema);
}
END_TEST

/* A made value is rounded to one that a row can have: rounding twice is rounding once, and what is written
 * and read again has the value that was rounded to. */
START_TEST(rounded_values_are_those_of_rows)
{
    static const sotto_numbers numbers[] = {SOTTO_NUMBERS_BOUNDED, SOTTO_NUMBERS_MODES};
    sotto_schema *schema = schema_of(
        "rows: 1\ncolumns:\n  - {name: x, type: integer, min: 0, max: 99, bins: 7, spikes: [50]}\n");
    sotto_encoder *encoder = encoder_of(schema, numbers[_i]);
    const sotto_block *block = sotto_encoder_block(encoder, 0);
    const sotto_table_options any = {.any_row_count = true};
    for (int i = 0; i < 100; i++) {
        const uint16_t slot =
            (uint16_t)(block->rest_slot + sotto_stream_below(stream, block->slot_count - block->rest_slot));
        const float value = (float)(2.4 * sotto_stream_uniform(stream) - 1.2);
        const float rounded = sotto_encoder_round(encoder, 0, slot, value);
        ck_assert(rounded >= -1 && rounded <= 1);
        ck_assert(sotto_encoder_round(encoder, 0, slot, rounded) == rounded);
        char *path = file_of("", 0);
        FILE *file = fopen(path, "wb");
        sotto_csv_writer *writer = NULL;
        ck_assert_int_eq(sotto_csv_writer_create(&writer, encoder, stream, file, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_csv_writer_row(writer, &slot, &value, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_csv_writer_flush(writer, NULL), SOTTO_OK);
        sotto_csv_writer_destroy(writer);
        fclose(file);
        sotto_table *table = NULL;
        sotto_encoded *encoded = NULL;
        ck_assert_int_eq(sotto_table_load(&table, schema, path, &any, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_encode(&encoded, encoder, table, NULL), SOTTO_OK);
        if (sotto_encoded_slot(encoded, 0, 0) == slot) /* a bounded value may land on the spike */
            ck_assert(sotto_encoded_value(encoded, 0, 0) == rounded);
        else
            ck_assert(numbers[_i] == SOTTO_NUMBERS_BOUNDED && sotto_encoded_value(encoded, 0, 0) == 0);
        sotto_encoded_destroy(encoded);
        sotto_table_destroy(table);
        drop_file(path);
    }
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

/* Near 10^15, exp(log(x)) is off by whole units: the ends must hold all the same. */
START_TEST(wide_scalars_stay_inside)
{
    for (int i = 0; i < 200; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "rows: 1\ncolumns:\n  - {name: x, type: integer, min: %d, max: %lld, scale: log}\n", i,
                 1000000000000000LL - 37 * i);
        sotto_schema *schema = schema_of(text);
        sotto_arena *arena;
        sotto_grid grid;
        ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
        make_grid(&grid, schema, "x", arena);
        int64_t top = sotto_grid_from_scalar(&grid, 1);
        ck_assert(top <= grid.high && top > grid.high - 100);
        ck_assert_int_eq(sotto_grid_from_scalar(&grid, -1), i);
        sotto_arena_destroy(arena);
        sotto_schema_destroy(schema);
    }
}
END_TEST

/* ------------------------------------------------------------ encode, decode */

/* A row's slots and values for the writer, drawn at random; values from the whole float range, NaN among
 * them. */
static void draw_row(const sotto_encoder *encoder, uint16_t *slots, float *values)
{
    for (size_t b = 0; b < sotto_encoder_block_count(encoder); b++) {
        size_t count = sotto_encoder_block(encoder, b)->slot_count;
        slots[b] = count ? (uint16_t)sotto_stream_below(stream, count) : 65535;
        switch (sotto_stream_below(stream, 8)) {
        case 0:
            values[b] = NAN;
            break;
        case 1:
            values[b] = sotto_stream_coin(stream, 0.5) ? -1 : 1;
            break;
        case 2: {
            uint32_t bits = (uint32_t)sotto_stream_u64(stream);
            memcpy(&values[b], &bits, sizeof bits);
            break;
        }
        default:
            values[b] = (float)(2 * sotto_stream_uniform(stream) - 1);
        }
    }
}

enum { ROWS = 100000, MOST_BLOCKS = 16 };

/* Write ROWS random rows; the file's path, for the caller to drop, and the slots that were written. */
static char *write_rows(const sotto_encoder *encoder, uint16_t *slots, size_t rows)
{
    char *path = file_of("", 0);
    FILE *file = fopen(path, "wb");
    sotto_csv_writer *writer = NULL;
    sotto_error err = {0};
    float values[MOST_BLOCKS];
    size_t blocks = sotto_encoder_block_count(encoder);
    ck_assert_int_eq(sotto_csv_writer_create(&writer, encoder, stream, file, &err), SOTTO_OK);
    for (size_t i = 0; i < rows; i++) {
        draw_row(encoder, slots + i * blocks, values);
        ck_assert_msg(sotto_csv_writer_row(writer, slots + i * blocks, values, &err) == SOTTO_OK, "%s",
                      err.message);
    }
    ck_assert_int_eq(sotto_csv_writer_flush(writer, NULL), SOTTO_OK);
    sotto_csv_writer_destroy(writer);
    fclose(file);
    return path;
}

/* What the writer wrote is in the declared domain (strict, no finding), and reads back as the slots it was
 * given. */
static void expect_rows_in_domain(sotto_numbers numbers)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, numbers);
    size_t blocks = sotto_encoder_block_count(encoder);
    uint16_t *slots = malloc(ROWS * blocks * sizeof *slots);
    char *path = write_rows(encoder, slots, ROWS);
    sotto_table *table = NULL;
    sotto_encoded *encoded = NULL;
    sotto_error err = {0};
    const sotto_table_options options = {.any_row_count = true, .strict = true};
    ck_assert_msg(sotto_table_load(&table, schema, path, &options, &err) == SOTTO_OK, "%zu:%zu: %s", err.line,
                  err.column, err.message);
    ck_assert_uint_eq(sotto_table_rows(table), ROWS);
    ck_assert_int_eq(sotto_encode(&encoded, encoder, table, NULL), SOTTO_OK);
    ck_assert_uint_eq(sotto_encoded_rows(encoded), ROWS);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t b = 0; b < blocks; b++) {
            const sotto_block *block = sotto_encoder_block(encoder, b);
            size_t back = sotto_encoded_slot(encoded, i, b),
                   was = block->slot_count ? slots[i * blocks + b] : 0;
            /* A bounded value may happen to land on a spike. */
            bool on_spike =
                block->has_value && was == block->rest_slot && back < was && back >= block->spike_slot;
            EXPECT(back == was || on_spike, "block %zu: slot %zu came back as %zu", b, was, back);
        }
    sotto_encoded_destroy(encoded);
    sotto_table_destroy(table);
    drop_file(path);
    free(slots);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}

START_TEST(random_binned_rows_lie_in_the_domain)
{
    expect_rows_in_domain(SOTTO_NUMBERS_BINNED);
}
END_TEST

START_TEST(random_bounded_rows_lie_in_the_domain)
{
    expect_rows_in_domain(SOTTO_NUMBERS_BOUNDED);
}
END_TEST

START_TEST(random_moded_rows_lie_in_the_domain)
{
    expect_rows_in_domain(SOTTO_NUMBERS_MODES);
}
END_TEST

START_TEST(writes_the_text_that_is_meant)
{
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_BOUNDED);
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    sotto_csv_writer *writer = NULL;
    /*                         age hours gain cost ratio few one zero flag day huge job sex */
    const uint16_t first[] = {0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 2, 1},
                   second[] = {1, 2, 2, 2, 0, 0, 0, 0, 0, 1, 0, 4, 0};
    const float low[] = {0, 0, 0, 0, -1, -1, 0, 0, 0, 0, -1, 0, 0};
    const float high[] = {1, 1, 1, 1, 0.5f, 1, 0, 0, 0, 1, 1, 0, 0};
    ck_assert_int_eq(sotto_csv_writer_create(&writer, encoder, stream, file, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_row(writer, first, low, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_row(writer, second, high, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_flush(writer, NULL), SOTTO_OK);
    fclose(file);
    ck_assert_str_eq(text,
                     "id,age,hours,gain,cost,\"ratio, \"\"x\"\"\",few,one,zero,flag,day,huge,job,sex\n"
                     "1,?,40,0,100.00,-1.000000000,3,7,0,0,2020-02-29,-1000000000000000,\"b, c\",m\n"
                     "2,90,99,99999,2000.50,0.500000000,5,7,0,?,2024-12-31,1000000000000000,\" f\",f\n");
    uint16_t bad[13];
    sotto_error err = {0};
    memcpy(bad, first, sizeof bad);
    bad[12] = 2;
    ck_assert_int_eq(sotto_csv_writer_row(writer, bad, low, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "slot 2 of block 12"));
    sotto_csv_writer_destroy(writer);
    sotto_csv_writer_destroy(NULL);
    free(text);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

/* One column that may be missing under an empty marker: an empty line would be no row. */
START_TEST(a_lonely_missing_cell_is_a_row)
{
    sotto_schema *schema =
        schema_of("rows: 2\ncolumns:\n  - {name: x, type: category, values: [a], missing: allowed}\n");
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_BINNED);
    char *path = file_of("", 0);
    FILE *file = fopen(path, "wb");
    sotto_csv_writer *writer = NULL;
    ck_assert_int_eq(sotto_csv_writer_create(&writer, encoder, stream, file, NULL), SOTTO_OK);
    for (uint16_t slot = 0; slot < 2; slot++)
        ck_assert_int_eq(sotto_csv_writer_row(writer, &slot, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_flush(writer, NULL), SOTTO_OK);
    fclose(file);
    sotto_csv_writer_destroy(writer);
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_msg(sotto_table_load(&table, schema, path, NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert(sotto_table_missing(table, 0, 0) && !sotto_table_missing(table, 1, 0));
    sotto_table_destroy(table);
    drop_file(path);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(reports_a_full_disk)
{
    FILE *full = fopen("/dev/full", "wb");
    if (!full) {
        printf("skipped: no /dev/full here\n");
        return;
    }
    sotto_schema *schema = schema_of(mixed);
    sotto_encoder *encoder = encoder_of(schema, SOTTO_NUMBERS_BINNED);
    sotto_csv_writer *writer = NULL;
    uint16_t slots[MOST_BLOCKS] = {0};
    sotto_error err = {0};
    ck_assert_int_eq(sotto_csv_writer_create(&writer, encoder, stream, full, &err), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_row(writer, slots, NULL, &err), SOTTO_OK);
    ck_assert_int_eq(sotto_csv_writer_flush(writer, &err), SOTTO_ERROR_IO);
    sotto_csv_writer_destroy(writer);
    fclose(full);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(gathers_vectors)
{
    static const char text[] =
        "id,age,hours,gain,cost,\"ratio, \"\"x\"\"\",few,one,zero,flag,day,huge,job,sex\n"
        "9,?,40,0,100,-1,3,7,0,0,2020-02-29,-1e15,a,m\n"
        "9,90,99,99999,2000.5,0,5,7,0,1,2024-12-31,0,?,f\n"
        "9,17,1,1,-5,1,4,7,0,?,2019-01-01,1e15,\"d\ne\",f\n";
    const uint32_t rows[] = {2, 0, 2, 1};
    sotto_schema *schema = schema_of(mixed);
    for (int n = 0; n < 2; n++) {
        sotto_encoder *encoder = encoder_of(schema, n ? SOTTO_NUMBERS_BOUNDED : SOTTO_NUMBERS_BINNED);
        sotto_table *table = NULL;
        sotto_encoded *encoded = NULL;
        const sotto_table_options any = {.any_row_count = true, .strict = true};
        size_t width = sotto_encoder_width(encoder), stride = width + 3;
        float *out = malloc(4 * stride * sizeof *out);
        for (size_t i = 0; i < 4 * stride; i++)
            out[i] = -77;
        ck_assert_int_eq(load_bytes(&table, schema, text, sizeof text - 1, &any, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_encode(&encoded, encoder, table, NULL), SOTTO_OK);
        sotto_table_destroy(table);
        sotto_encoded_gather(encoded, rows, 4, out, stride);
        for (size_t i = 0; i < 4; i++) {
            float *vector = out + i * stride;
            for (size_t b = 0; b < sotto_encoder_block_count(encoder); b++) {
                const sotto_block *block = sotto_encoder_block(encoder, b);
                for (size_t s = 0; s < block->slot_count; s++)
                    ck_assert(vector[block->slot_offset + s] ==
                              (s == sotto_encoded_slot(encoded, rows[i], b)));
                if (block->has_value)
                    ck_assert(vector[block->value_offset] == sotto_encoded_value(encoded, rows[i], b));
            }
            ck_assert(vector[width] == -77 && vector[width + 2] == -77);
        }
        const sotto_block *age = block_of(encoder, "age"), *ratio = block_of(encoder, "ratio, \"x\"");
        ck_assert(out[stride + age->slot_offset] == 1); /* row 0: missing */
        if (n) {
            ck_assert(out[age->value_offset] == -1 && out[stride + age->value_offset] == 0);
            ck_assert(out[3 * stride + age->value_offset] == 1);
            ck_assert(out[ratio->value_offset] == 1 && out[3 * stride + ratio->value_offset] == 0);
        }
        free(out);
        sotto_encoded_destroy(encoded);
        sotto_encoder_destroy(encoder);
    }
    sotto_encoded_destroy(NULL);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(refuses_a_table_of_another_schema)
{
    sotto_schema *one = schema_of("rows: 1\ncolumns:\n  - {name: x, type: integer, min: 0, max: 9}\n");
    sotto_schema *two = schema_of("rows: 1\ncolumns:\n  - {name: x, type: integer, min: 0, max: 5}\n");
    sotto_encoder *encoder = encoder_of(two, SOTTO_NUMBERS_BINNED);
    sotto_table *table = NULL;
    sotto_encoded *encoded = NULL;
    ck_assert_int_eq(load_bytes(&table, one, "x\n9\n", 4, NULL, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_encode(&encoded, encoder, table, NULL), SOTTO_ERROR_INPUT);
    sotto_table_destroy(table);
    sotto_encoder_destroy(encoder);
    sotto_schema_destroy(one);
    sotto_schema_destroy(two);
}
END_TEST

/* -------------------------------------------------------------------- split */

static sotto_split *split_of(size_t rows, double fraction, uint64_t seed)
{
    sotto_random *random;
    sotto_stream *coins;
    sotto_split *split = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&coins, random, SOTTO_PURPOSE_SPLIT, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_split_create(&split, rows, fraction, coins, NULL), SOTTO_OK);
    sotto_stream_destroy(coins);
    sotto_random_destroy(random);
    return split;
}

/* 100,000 coins of 0.2: 20,000 ± 6σ = 759. Pairs of neighbours both held out: 4,000 ± 6σ ≈ 440, were they
 * independent (σ² < n p²(1−p²) + 2 n p³(1−p)). Together they raise a false alarm with probability below 1e-8.
 */
START_TEST(splits_by_independent_coins)
{
    sotto_split *split = split_of(100000, 0.2, 7), *shorter = split_of(99999, 0.2, 7);
    ck_assert_uint_eq(split->train_count + split->holdout_count, 100000);
    ck_assert_uint_gt(split->holdout_count, 20000 - 759);
    ck_assert_uint_lt(split->holdout_count, 20000 + 759);
    size_t t = 0, h = 0, pairs = 0;
    for (uint32_t row = 0; row < 100000; row++) { /* each row in exactly one list, both ascending */
        bool held = h < split->holdout_count && split->holdout[h] == row;
        EXPECT(held || split->train[t] == row, "row %u is in neither list", row);
        pairs += held && h > 0 && split->holdout[h - 1] == row - 1;
        h += held;
        t += !held;
    }
    ck_assert_uint_gt(pairs, 3560);
    ck_assert_uint_lt(pairs, 4440);
    /* The table without its last row: the same coins for all others. */
    ck_assert_uint_le(split->train_count - shorter->train_count, 1);
    ck_assert_mem_eq(split->train, shorter->train, shorter->train_count * sizeof(uint32_t));
    ck_assert_mem_eq(split->holdout, shorter->holdout, shorter->holdout_count * sizeof(uint32_t));
    sotto_split_destroy(split);
    sotto_split_destroy(shorter);
    sotto_split_destroy(NULL);
}
END_TEST

START_TEST(splits_at_the_ends)
{
    sotto_split *split = split_of(50, 0, 1);
    ck_assert_uint_eq(split->train_count, 50);
    sotto_split_destroy(split);
    static const double bad[] = {-0.1, 1, 2, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(sotto_split_create(&split, 10, bad[i], stream, NULL), SOTTO_ERROR_INPUT);
}
END_TEST

/* -------------------------------------------------------------------- draft */

static sotto_schema *draft_of(const char *text, size_t length, const char *missing, char **yaml)
{
    char *path = file_of(text, length);
    sotto_error err = {0};
    ck_assert_msg(sotto_schema_draft(path, missing, yaml, &err) == SOTTO_OK, "%zu: %s", err.line,
                  err.message);
    sotto_schema *schema = schema_of(*yaml);
    sotto_table *table = NULL;
    const sotto_table_options options = {.strict = true};
    ck_assert_msg(sotto_table_load(&table, schema, path, &options, &err) == SOTTO_OK, "%zu: %s", err.line,
                  err.message);
    sotto_table_destroy(table);
    drop_file(path);
    return schema;
}

START_TEST(drafts_what_it_sees)
{
    char *text = malloc(1 << 16),
         *at = text + sprintf(text, "id,no,\"a, b\",code,pay,rate,day,note,empty,spread\n");
    for (int i = 0; i < 400; i++)
        at += sprintf(at, "p%d,%d,%s,%d,%d,%d.%03d,20%02d-03-0%d,%s,,%d\n", i, 1000 + i,
                      i % 3 ? "yes" : "\"n,o\"", i % 4, i % 5 ? 0 : i * i * i, i % 7 - 3, i, 10 + i % 9,
                      1 + i % 9, i % 2 ? "NA" : "x", 20 + i % 61);
    char *yaml = NULL;
    sotto_schema *schema = draft_of(text, (size_t)(at - text), "NA", &yaml);
    const sotto_column *column = schema->columns;
    ck_assert_uint_eq(schema->rows, 400);
    ck_assert_int_eq(column[0].type, SOTTO_COLUMN_IDENTIFIER);
    ck_assert_int_eq(column[1].type, SOTTO_COLUMN_IDENTIFIER);
    ck_assert_int_eq(column[2].type, SOTTO_COLUMN_CATEGORY);
    ck_assert_uint_eq(column[2].value_count, 2);
    ck_assert_int_eq(column[3].type, SOTTO_COLUMN_CATEGORY);
    ck_assert_str_eq(column[3].values[3], "3");
    ck_assert_int_eq(column[4].type, SOTTO_COLUMN_INTEGER);
    ck_assert(column[4].log_scale && column[4].spike_count == 1 && column[4].spikes[0] == 0);
    ck_assert(column[4].min == 0 && column[4].max >= 395.0 * 395 * 395 && column[4].max <= 7e7);
    ck_assert_int_eq(column[5].type, SOTTO_COLUMN_NUMBER);
    ck_assert_uint_eq(column[5].decimals, 3);
    ck_assert_int_eq(column[6].type, SOTTO_COLUMN_DATE);
    ck_assert(column[6].min == 14610 && column[6].max == 17896); /* 2010-01-01, 2018-12-31 */
    ck_assert(column[7].missing_allowed && column[7].value_count == 1);
    ck_assert_int_eq(column[8].type, SOTTO_COLUMN_IDENTIFIER);
    ck_assert(column[9].type == SOTTO_COLUMN_INTEGER && column[9].min == 20 && column[9].max == 80);
    /* It says what it is, and every line that needs an eye says so. */
    ck_assert_ptr_nonnull(strstr(yaml, "NOT PUBLIC"));
    size_t checks = 0;
    for (const char *hit = yaml; (hit = strstr(hit, "# check: ")); hit++)
        checks++;
    ck_assert_uint_eq(checks, 11); /* rows, and each column */
    free(yaml);
    free(text);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(drafts_hard_numbers)
{
    static const char text[] =
        "a,b,c,d\n1e300,nan,-0.5,1\n-1e300,1.25,1e-9,1\n0,inf,3,1\n7,-2,x,1\n8,3,y,2\n9,4,z,3\n"
        "10,5,z,4\n11,6,z,5\n12,7,z,6\n13,8,z,7\n14,9,z,8\n15,10,z,9\n16,11,z,10\n17,12,z,11\n";
    char *yaml = NULL, *path = file_of(text, sizeof text - 1);
    sotto_error err = {0};
    ck_assert_int_eq(sotto_schema_draft(path, "", &yaml, &err), SOTTO_OK);
    sotto_schema *schema = schema_of(yaml);
    ck_assert(schema->columns[0].min == -1e15 && schema->columns[0].max == 1e15);
    ck_assert(schema->columns[1].missing_allowed && schema->columns[1].min <= -2 &&
              schema->columns[1].max >= 12);
    ck_assert_int_eq(schema->columns[2].type, SOTTO_COLUMN_CATEGORY);
    ck_assert_int_eq(schema->columns[3].type, SOTTO_COLUMN_INTEGER);
    sotto_schema_destroy(schema);
    free(yaml);
    drop_file(path);
}
END_TEST

START_TEST(drafts_numbers_beyond_the_grid)
{
    char text[2000] = "high,low\n", *yaml = NULL;
    for (int i = 10; i < 30; i++)
        sprintf(text + strlen(text), "%de300,-%de300\n", i, i);
    char *path = file_of(text, strlen(text));
    sotto_error err = {0};
    ck_assert_int_eq(sotto_schema_draft(path, "", &yaml, &err), SOTTO_OK);
    sotto_schema *schema = schema_of(yaml);
    ck_assert(schema->columns[0].min == 1e15 && schema->columns[0].max == 1e15);
    ck_assert(schema->columns[1].min == -1e15 && schema->columns[1].max == -1e15);
    sotto_schema_destroy(schema);
    free(yaml);
    drop_file(path);
}
END_TEST

START_TEST(drafts_refuse_without_quoting)
{
    static const struct {
        const char *text;
        size_t line;
        const char *says;
    } bad[] = {{"", 0, "no rows"},
               {"a,b\n", 0, "no rows"},
               {"a,\n1,2\n", 1, "cell 2 is empty"},
               {"a,\xff\n1,2\n", 1, "no UTF-8"},
               {"a,b\n1,2\nXyZZy\n", 3, "1 cells in this row"},
               {"a\nXyZZy\xff\n", 0, "no UTF-8"},
               {"a\nXyZZy\xed\xa0\x80\n", 0, "no UTF-8"},
               {"a\n\"XyZZy\n", 2, "never closed"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *yaml = NULL, *path = file_of(bad[i].text, strlen(bad[i].text));
        sotto_error err = {0};
        ck_assert_int_eq(sotto_schema_draft(path, "", &yaml, &err), SOTTO_ERROR_INPUT);
        ck_assert_msg(strstr(err.message, bad[i].says), "%s", err.message);
        ck_assert_ptr_null(strstr(err.message, "XyZZy"));
        ck_assert_uint_eq(err.line, bad[i].line);
        drop_file(path);
    }
}
END_TEST

START_TEST(drafts_the_quickstart)
{
    const char *source = getenv("SOTTO_SOURCE_ROOT");
    char path[4096], *yaml = NULL;
    snprintf(path, sizeof path, "%s/configs/quickstart/clinic.csv", source ? source : ".");
    sotto_error err = {0};
    ck_assert_msg(sotto_schema_draft(path, "", &yaml, &err) == SOTTO_OK, "%s", err.message);
    sotto_schema *drafted = schema_of(yaml), *declared = NULL;
    snprintf(path, sizeof path, "%s/configs/quickstart/clinic.schema.yaml", source ? source : ".");
    ck_assert_int_eq(sotto_schema_load(&declared, path, NULL), SOTTO_OK);
    /* The draft finds the types that a person declared. */
    ck_assert_uint_eq(drafted->column_count, declared->column_count);
    for (size_t i = 0; i < drafted->column_count; i++) {
        ck_assert_str_eq(drafted->columns[i].name, declared->columns[i].name);
        ck_assert_int_eq(drafted->columns[i].type, declared->columns[i].type);
        ck_assert_int_eq(drafted->columns[i].missing_allowed, declared->columns[i].missing_allowed);
    }
    snprintf(path, sizeof path, "%s/configs/quickstart/clinic.csv", source ? source : ".");
    sotto_table *table = NULL;
    const sotto_table_options options = {.strict = true};
    ck_assert_msg(sotto_table_load(&table, declared, path, &options, &err) == SOTTO_OK, "%s", err.message);
    sotto_table_destroy(table);
    sotto_schema_destroy(drafted);
    sotto_schema_destroy(declared);
    free(yaml);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data-encoder");
    TCase *encoder = tcase_create("encoder");
    tcase_set_timeout(encoder, 120);
    tcase_add_checked_fixture(encoder, open_stream, close_stream);
    tcase_add_test(encoder, binned_blocks_have_the_promised_slots);
    tcase_add_test(encoder, bounded_blocks_have_a_value);
    tcase_add_test(encoder, modes_have_bins_and_a_value_in_them);
    tcase_add_test(encoder, bins_partition_the_points);
    tcase_add_test(encoder, log_bins_are_even_in_the_logarithm);
    tcase_add_test(encoder, draws_are_uniform_and_skip_spikes);
    tcase_add_test(encoder, scalars_come_back);
    tcase_add_test(encoder, offsets_come_back);
    tcase_add_loop_test(encoder, rounded_values_are_those_of_rows, 0, 2);
    tcase_add_test(encoder, wide_scalars_stay_inside);
    tcase_add_test(encoder, random_binned_rows_lie_in_the_domain);
    tcase_add_test(encoder, random_bounded_rows_lie_in_the_domain);
    tcase_add_test(encoder, random_moded_rows_lie_in_the_domain);
    tcase_add_test(encoder, writes_the_text_that_is_meant);
    tcase_add_test(encoder, a_lonely_missing_cell_is_a_row);
    tcase_add_test(encoder, reports_a_full_disk);
    tcase_add_test(encoder, gathers_vectors);
    tcase_add_test(encoder, refuses_a_table_of_another_schema);
    tcase_add_test(encoder, splits_by_independent_coins);
    tcase_add_test(encoder, splits_at_the_ends);
    suite_add_tcase(suite, encoder);
    TCase *draft = tcase_create("draft");
    tcase_add_test(draft, drafts_what_it_sees);
    tcase_add_test(draft, drafts_hard_numbers);
    tcase_add_test(draft, drafts_numbers_beyond_the_grid);
    tcase_add_test(draft, drafts_refuse_without_quoting);
    tcase_add_test(draft, drafts_the_quickstart);
    suite_add_tcase(suite, draft);
    return run_suite(suite);
}
