/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* ------------------------------------------------------------------ reading */

sotto_status sotto_record_load(const char *name, const char *text, json_t **root, sotto_error *err)
{
    json_error_t at;
    const sotto_status status = sotto_json_parse(root, text, strlen(text), &at);
    if (status == SOTTO_OK)
        return SOTTO_OK;
    if (status == SOTTO_ERROR_MEMORY)
        return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, name, 0, 0, "out of memory reading the record");
    /* the parser's own words may quote the text */
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, at.line > 0 ? (size_t)at.line : 0,
                              at.column > 0 ? (size_t)at.column : 0,
                              "not valid JSON, or a key given twice; take the record as the run wrote it");
}

const json_t *sotto_record_get(const json_t *here, const char *path)
{
    char name[64];
    while (*path && here) {
        const size_t length = strcspn(path, ".");
        if (length >= sizeof name)
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        here = json_object_get(here, name);
        path += length + (path[length] == '.');
    }
    return here;
}

double sotto_record_number(const json_t *here, const char *path)
{
    const json_t *value = sotto_record_get(here, path);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *sotto_record_text(const json_t *here, const char *path)
{
    const char *text = json_string_value(sotto_record_get(here, path));
    return text ? text : "";
}

const char *sotto_record_skipped(const json_t *part)
{
    if (!part || json_is_null(part))
        return "";
    return json_string_value(json_object_get(part, "skipped"));
}

/* ----------------------------------------------------------------- checking */

/* Where the walk stands: "fidelity.columns[2].name"; every piece of it is our own text. */
typedef struct walk {
    const char *name; /* of the file */
    const sotto_rule *rule;
    char place[200];
    sotto_error *err;
} walk;

static sotto_status refuse(const walk *at, const json_t *found, const char *wanted)
{
    return sotto_error_set_at(at->err, SOTTO_ERROR_INPUT, at->name, 0, 0,
                              "\"%s\" %s; expected %s; take the record as the run wrote it", at->place,
                              found ? "is not what it should be" : "is absent", wanted);
}

static bool in_range(const json_t *value, double low, double high)
{
    const double number = json_number_value(value);
    return json_is_number(value) && number >= low && number <= high;
}

static bool is_scalar(const json_t *value)
{
    return json_is_string(value) || json_is_number(value) || json_is_boolean(value) || json_is_null(value);
}

/* One value; what was wanted where it is not that. */
static const char *wanted_instead(const json_t *value, sotto_value_kind kind)
{
    const double slack = 1e-6;              /* of sums of shares */
    const double most = 9007199254740992.0; /* 2^53 */
    switch (kind) {
    case SOTTO_VALUE_TEXT:
        return json_is_string(value) ? NULL : "text";
    case SOTTO_VALUE_NUMBER:
        return json_is_number(value) ? NULL : "a number";
    case SOTTO_VALUE_POSITIVE:
        return in_range(value, 0, HUGE_VAL) ? NULL : "a number of 0 or more";
    case SOTTO_VALUE_SHARE:
        return in_range(value, -slack, 1 + slack) ? NULL : "a number from 0 to 1";
    case SOTTO_VALUE_SIGNED_SHARE:
        return in_range(value, -1 - slack, 1 + slack) ? NULL : "a number from -1 to 1";
    case SOTTO_VALUE_COUNT:
        return in_range(value, 0, most) && floor(json_number_value(value)) == json_number_value(value)
                   ? NULL
                   : "a whole number of 0 or more";
    case SOTTO_VALUE_LIST:
        return json_is_array(value) ? NULL : "a list";
    case SOTTO_VALUE_OBJECT:
        return json_is_object(value) ? NULL : "an object";
    case SOTTO_VALUE_SCALAR:
        return is_scalar(value) ? NULL : "a number or a text";
    }
    return "nothing";
}

static sotto_status check_value(walk *at, const json_t *value, const char *rest);

/* The named part of an object that `rest` begins with, and what is below it. */
static sotto_status check_member(walk *at, const json_t *object, const char *rest)
{
    char name[64];
    const size_t length = strcspn(rest, ".[?"), used = strlen(at->place);
    if (!json_is_object(object))
        return refuse(at, object, "an object");
    if (length >= sizeof name)
        return refuse(at, object, "another key");
    memcpy(name, rest, length);
    name[length] = '\0';
    (void)snprintf(at->place + used, sizeof at->place - used, "%s%s", used ? "." : "", name);
    const json_t *value = json_object_get(object, name);
    rest += length;
    sotto_status status = SOTTO_OK;
    if (*rest == '?' && sotto_record_skipped(value))
        value = NULL;
    else
        status = check_value(at, value, rest + (*rest == '?'));
    at->place[used] = '\0';
    return status;
}

static sotto_status check_items(walk *at, const json_t *list, const char *rest)
{
    const size_t used = strlen(at->place);
    sotto_status status = json_is_array(list) ? SOTTO_OK : refuse(at, list, "a list");
    for (size_t i = 0; i < json_array_size(list) && status == SOTTO_OK; i++) {
        (void)snprintf(at->place + used, sizeof at->place - used, "[%zu]", i);
        status = check_value(at, json_array_get(list, i), rest);
        if (status == SOTTO_OK)
            at->place[used] = '\0';
    }
    return status;
}

static sotto_status check_value(walk *at, const json_t *value, const char *rest)
{
    if (rest[0] == '[')
        return check_items(at, value, rest + 2);
    if (rest[0] == '.')
        return check_member(at, value, rest + 1);
    if (at->rule->open && (!value || json_is_null(value)))
        return SOTTO_OK;
    const char *wanted = wanted_instead(value, at->rule->kind);
    return wanted ? refuse(at, value, wanted) : SOTTO_OK;
}

sotto_status sotto_record_check(const json_t *root, const char *name, const sotto_rule *rules, size_t count,
                                sotto_error *err)
{
    for (size_t i = 0; i < count; i++) {
        walk at = {.name = name, .rule = &rules[i], .err = err};
        sotto_status status = check_member(&at, root, rules[i].path);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

sotto_status sotto_record_parse(json_t **root, const char *name, const char *text, const char *format,
                                const sotto_rule *rules, size_t count, sotto_error *err)
{
    sotto_status status = sotto_record_load(name, text, root, err);
    if (status == SOTTO_OK && !json_is_object(*root))
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, 0, 0,
                                    "holds no object; expected a record of format \"%s\"", format);
    if (status == SOTTO_OK && strcmp(sotto_record_text(*root, "format"), format) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, 0, 0,
                                    "\"format\" is absent or another one; this version reads \"%s\"; use the "
                                    "version that wrote the record",
                                    format);
    /* Must be there: a record that lost the key must not pass for a private one. */
    if (status == SOTTO_OK && !json_object_get(*root, "not_private"))
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, 0, 0,
                               "\"not_private\" is absent; expected null or text; take the record as the "
                               "run wrote it");
    if (status == SOTTO_OK)
        status = sotto_record_check(*root, name, rules, count, err);
    if (status != SOTTO_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return status;
}

bool sotto_record_fits(const json_t *list, size_t rows, size_t columns)
{
    if (json_array_size(list) != rows)
        return false;
    for (size_t i = 0; i < rows && columns; i++)
        if (json_array_size(json_array_get(list, i)) != columns)
            return false;
    return true;
}
