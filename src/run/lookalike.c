/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A table that the ledger has not seen would begin a data set of its own, out of sight of any cap. Where a
 * capped one is called almost the same, both may be about the same people: whoever begins the run is asked.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "run/run.h"

/* A name without "-2" to "-99" at its end, as the ledger makes new ones of a file's that is taken. */
static size_t stem(const char *id)
{
    const size_t length = strlen(id);
    size_t digits = 0;
    while (digits < 3 && digits < length && isdigit((unsigned char)id[length - 1 - digits]))
        digits++;
    const size_t rest = length - digits;
    const bool numbered = digits >= 1 && digits <= 2 && rest >= 2 && id[rest - 1] == '-' && id[rest] != '0';
    return numbered ? rest - 1 : length;
}

static bool is_alike(const char *a, const char *b)
{
    const size_t length = stem(a);
    return length == stem(b) && strncasecmp(a, b, length) == 0;
}

/* A data set with a cap that is called almost as `id` is; borrowed from the list. */
static const char *find_alike(const json_t *list, const char *id)
{
    const json_t *sets = json_object_get(list, "data_sets");
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *set = json_array_get(sets, i);
        const char *name = json_string_value(json_object_get(set, "data_set"));
        if (name && json_is_object(json_object_get(set, "cap")) && strcmp(name, id) != 0 &&
            is_alike(name, id))
            return name;
    }
    return NULL;
}

sotto_status sotto_config_check_data_set(const sotto_config *config, sotto_ledger *ledger,
                                         const sotto_ledger_table *table,
                                         void (*warn)(void *context, const char *text), void *context,
                                         sotto_error *err)
{
    char id[SOTTO_LEDGER_ID_SIZE], text[640];
    bool known = true;
    json_t *list = NULL;
    sotto_status status = sotto_ledger_data_set(ledger, table, id, &known, err);
    if (status != SOTTO_OK || known)
        return status;
    status = sotto_ledger_list(ledger, &list, err);
    const char *alike = status == SOTTO_OK ? find_alike(list, id) : NULL;
    if (alike && !config->data_id) {
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, config->table, 0, 0,
            "the ledger has not seen this table, and a data set of almost its name, %s, has a cap; say whether "
            "it is about the same people: set data.id: %s if it is, or data.id: %s for a data set of its own, "
            "without a cap",
            alike, alike, id);
    } else if (alike && warn) {
        (void)snprintf(
            text, sizeof text,
            "data.id names a new data set, %s, which has no cap, and %s has one; if these are the "
            "same people, what this run spends is missing there: sotto ledger declare %s gives it a "
            "cap of its own",
            id, alike, id);
        warn(context, text);
    }
    json_decref(list);
    return status;
}
