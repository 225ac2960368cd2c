/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What is asked of synthetic rows, in words that the schema declares. */
#include <stdlib.h>
#include <string.h>

#include "run/run.h"

/* ---- --where COLUMN=VALUE ---- */

static sotto_status parse_condition(const sotto_encoder *encoder, const char *text, size_t *block,
                                    size_t *slot, sotto_error *err)
{
    const sotto_schema *schema = sotto_encoder_schema(encoder);
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "--where \"%s\" is not COLUMN=VALUE", text);
    char *name = strndup(text, (size_t)(equals - text));
    if (!name)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading --where");
    const size_t column = sotto_schema_find(schema, name);
    sotto_status status = SOTTO_OK;
    if (column == SOTTO_NONE || schema->columns[column].type != SOTTO_COLUMN_CATEGORY)
        status =
            sotto_error_set(err, SOTTO_ERROR_INPUT,
                            "--where \"%s\": the model has no category column called \"%s\"", text, name);
    free(name);
    if (status != SOTTO_OK)
        return status;
    *block = sotto_encoder_find(encoder, column);
    const sotto_block *facts = sotto_encoder_block(encoder, *block);
    const size_t value = sotto_column_find(&schema->columns[column], equals + 1);
    if (value != SOTTO_NONE)
        *slot = facts->rest_slot + value;
    else if (facts->missing_slot != SOTTO_NONE && strcmp(equals + 1, schema->missing) == 0)
        *slot = facts->missing_slot;
    else
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "--where \"%s\": the schema declares no such value; see the schema's list of values", text);
    return SOTTO_OK;
}

static sotto_status parse_conditions(sotto_conditions *conditions, const sotto_encoder *encoder,
                                     const char *const *where, size_t count, sotto_error *err)
{
    conditions->count = count;
    conditions->block = calloc(count + 1, sizeof *conditions->block);
    conditions->slot = calloc(count + 1, sizeof *conditions->slot);
    if (!conditions->block || !conditions->slot)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading --where");
    for (size_t i = 0; i < count; i++) {
        sotto_status status =
            parse_condition(encoder, where[i], &conditions->block[i], &conditions->slot[i], err);
        if (status != SOTTO_OK)
            return status;
        for (size_t k = 0; k < i; k++)
            if (conditions->block[k] == conditions->block[i] && conditions->slot[k] != conditions->slot[i])
                return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                       "--where \"%s\" and --where \"%s\" cannot hold together; drop one",
                                       where[k], where[i]);
    }
    return SOTTO_OK;
}

/* ---- balance ---- */

sotto_status sotto_balance_find(const sotto_encoder *encoder, const char *name, size_t *block,
                                sotto_error *err)
{
    const sotto_schema *schema = sotto_encoder_schema(encoder);
    const size_t column = sotto_schema_find(schema, name);
    if (column == SOTTO_NONE)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "balance is \"%s\", which the schema has no column called", name);
    const sotto_column *facts = &schema->columns[column];
    if (facts->type != SOTTO_COLUMN_CATEGORY)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "balance \"%s\" is of type %s; only the values of a category column can be made "
            "equally often",
            name, sotto_column_type_name(facts->type));
    if (facts->value_count < 2)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "balance \"%s\": the column has one value, so there is nothing to balance",
                               name);
    *block = sotto_encoder_find(encoder, column);
    return SOTTO_OK;
}

/* All rows would have the one value that is asked for. */
static sotto_status refuse_both(const sotto_conditions *conditions, const char *const *where,
                                const char *balance, sotto_error *err)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (conditions->block[i] == conditions->balance)
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "--where \"%s\" and --balance \"%s\" cannot hold together: the first wants "
                "one value of the column, the second all of them; drop one",
                where[i], balance);
    return SOTTO_OK;
}

sotto_status sotto_conditions_make(sotto_conditions *conditions, const sotto_encoder *encoder,
                                   const char *const *where, size_t count, const char *balance,
                                   sotto_error *err)
{
    *conditions = (sotto_conditions){.balance = SOTTO_NONE};
    sotto_status status = parse_conditions(conditions, encoder, where, count, err);
    if (status == SOTTO_OK && balance)
        status = sotto_balance_find(encoder, balance, &conditions->balance, err);
    return status == SOTTO_OK && balance ? refuse_both(conditions, where, balance, err) : status;
}

void sotto_conditions_destroy(sotto_conditions *conditions)
{
    free(conditions->block);
    free(conditions->slot);
    *conditions = (sotto_conditions){.balance = SOTTO_NONE};
}
