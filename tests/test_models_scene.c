/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_models.h"

#include <string.h>

static const char schema_text[] = "rows: 200\n"
                                  "missing: '?'\n"
                                  "columns:\n"
                                  "  - {name: age, type: integer, min: 0, max: 99, bins: 10}\n"
                                  "  - {name: gain, type: number, min: 0, max: 1000, spikes: [0], bins: 4}\n"
                                  "  - {name: kind, type: category, values: [a, b, c], missing: allowed}\n"
                                  "  - {name: id, type: identifier}\n"
                                  "  - {name: label, type: category, values: [no, yes]}\n";

sotto_status try_model(struct scene *scene, const char *section, sotto_error *err)
{
    sotto_numbers numbers;
    *scene = (struct scene){0};
    ck_assert_int_eq(sotto_schema_parse(&scene->schema, "schema", schema_text, strlen(schema_text), NULL),
                     SOTTO_OK);
    ck_assert_int_eq(sotto_document_parse(&scene->document, "config", section, strlen(section), err),
                     SOTTO_OK);
    const sotto_node *root = sotto_document_root(scene->document);
    sotto_status status = sotto_model_numbers(root, &numbers, err);
    if (status != SOTTO_OK)
        return status;
    ck_assert_int_eq(sotto_encoder_create(&scene->encoder, scene->schema, numbers, NULL), SOTTO_OK);
    return sotto_model_create(&scene->model, root, scene->encoder, err);
}

void close_scene(struct scene *scene)
{
    sotto_model_destroy(scene->model);
    sotto_encoder_destroy(scene->encoder);
    sotto_document_destroy(scene->document);
    sotto_schema_destroy(scene->schema);
}

sotto_random *test_random(void)
{
    sotto_random *random;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 7, NULL), SOTTO_OK);
    return random;
}
