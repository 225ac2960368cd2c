/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_marginals_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double marginals_uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (double)(*state >> 11) * 0x1p-53;
}

/* ---- a table whose law is known ---- */

/* kind follows age, gain follows kind, and all of it the other way round under the other label. */
static void write_table(const char *path, size_t rows, uint64_t state)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,gain,kind,id,label\n", file);
    for (size_t i = 0; i < rows; i++) {
        const bool yes = marginals_uniform(&state) < 0.3;
        const unsigned age = (unsigned)(100 * marginals_uniform(&state));
        const unsigned kind = marginals_uniform(&state) < 0.6 ? (age / 34 + yes) % 3
                                                              : (unsigned)(3 * marginals_uniform(&state));
        const bool gain = marginals_uniform(&state) < (kind == 0 ? 0.8 : 0.1);
        (void)fprintf(file, "%u,%s,%c,p%zu,%s\n", age, gain ? "600" : "0", (int)('a' + kind), i,
                      yes ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
}

void marginals_scene_load(struct marginals_scene *l, uint64_t seed)
{
    char path[] = "/tmp/sotto-marginals-XXXXXX";
    const sotto_table_options any_rows = {.any_row_count = true};
    ck_assert_int_ge(close(mkstemp(path)), 0);
    write_table(path, ROWS, seed);
    sotto_encoded_destroy(l->data);
    sotto_table_destroy(l->table);
    ck_assert_int_eq(sotto_table_load(&l->table, l->scene.schema, path, &any_rows, NULL), SOTTO_OK);
    (void)unlink(path);
    ck_assert_int_eq(sotto_encode(&l->data, l->scene.encoder, l->table, NULL), SOTTO_OK);
}

struct marginals_scene *marginals_scene(const char *section, double sigma, double epsilon)
{
    struct marginals_scene *l = calloc(1, sizeof *l);
    const sotto_training training = {.threads = 1};
    sotto_error err = {0};
    ck_assert_msg(try_model(&l->scene, section, &err) == SOTTO_OK, "%s", err.message);
    marginals_scene_load(l, 3);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, 1e-5, &l->budget, NULL), SOTTO_OK);
    l->random = test_random();
    for (uint32_t i = 0; i < ROWS; i++)
        l->units[i] = i;
    l->door = (sotto_release_door){.count = sotto_model_releases(l->scene.model, l->releases),
                                   .releases = l->releases,
                                   .mechanisms = l->mechanisms,
                                   .made = l->made,
                                   .budget = l->budget,
                                   .random = l->random,
                                   .units = {.rows = l->units, .count = ROWS}};
    for (size_t i = 0; i < l->door.count; i++)
        ck_assert_int_eq(l->releases[i].kind == SOTTO_RELEASE_COUNTS
                             ? sotto_mechanism_gaussian(&l->mechanisms[i], sigma, NULL)
                             : sotto_mechanism_exponential(&l->mechanisms[i], epsilon, NULL),
                         SOTTO_OK);
    ck_assert_int_eq(sotto_model_prepare(l->scene.model, &training, l->random, NULL), SOTTO_OK);
    sotto_model_data(l->scene.model, l->data);
    ck_assert_msg(sotto_model_learn(l->scene.model, &l->door, &err) == SOTTO_OK, "%s", err.message);
    return l;
}

void marginals_scene_close(struct marginals_scene *l)
{
    sotto_encoded_destroy(l->data);
    sotto_table_destroy(l->table);
    sotto_budget_destroy(l->budget);
    sotto_random_destroy(l->random);
    close_scene(&l->scene);
    free(l);
}

/* Slots of `count` rows by a fixed seed; the caller frees. */
uint16_t *marginals_draw(sotto_model *model, size_t blocks, size_t count)
{
    sotto_random *random = test_random();
    sotto_stream *stream;
    uint16_t *slots = calloc(count * blocks, sizeof *slots);
    float *values = calloc(SOTTO_MODEL_ROWS * blocks, sizeof *values);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    for (size_t done = 0; done < count; done += 1000)
        ck_assert_int_eq(
            sotto_model_sample(model, stream, SOTTO_NONE, 1000, slots + done * blocks, values, NULL),
            SOTTO_OK);
    free(values);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
    return slots;
}

/* ---- files ---- */

void marginals_put_file(char *path, const char *bytes, size_t length)
{
    ck_assert_int_ge(close(mkstemp(path)), 0);
    ck_assert_int_eq(sotto_file_write(path, 0600, bytes, length, NULL), SOTTO_OK);
}

/* Put `text` for the line that begins with `key` in the header of a model file, and mend sizes and digest. */
char *marginals_change_file(const char *bytes, size_t length, const char *key, const char *text,
                            size_t *changed)
{
    const char *start = strchr(bytes, '\n') + 1;
    const char *line = strstr(start, key), *end = strchr(line, '\n');
    unsigned long header, schema, parameters;
    ck_assert_int_eq(sscanf(bytes, "sotto model 1 %lu %lu %lu", &header, &schema, &parameters), 3);
    char *out;
    FILE *file = open_memstream(&out, changed);
    (void)fprintf(file, "sotto model 1 %lu %lu %lu\n", header - (unsigned long)(end - line) + strlen(text),
                  schema, parameters);
    (void)fwrite(start, 1, (size_t)(line - start), file);
    (void)fputs(text, file);
    (void)fwrite(end, 1, length - 64 - (size_t)(end - bytes), file);
    ck_assert_int_eq(fflush(file), 0);
    char digest[65];
    sotto_sha256_hex(out, *changed, digest);
    (void)fputs(digest, file);
    ck_assert_int_eq(fclose(file), 0);
    return out;
}
