/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Going on with a copy or a backup: where nothing speaks against it that a person has not moved away, and
 * with an entry that says what was forgotten. */
#include <string.h>

#include "ledger/inner.h"

/* What a mirror knows and the ledger does not is evidence of another's: it is not overwritten. */
static sotto_status check_mirror(sotto_ledger *ledger, sotto_error *err)
{
    ledger_record mirror;
    bool absent = true;
    sotto_status status =
        ledger->mirror ? ledger_mirror_read(ledger->mirror, &mirror, &absent, err) : SOTTO_OK;
    if (status != SOTTO_OK || absent)
        return status;
    sotto_error why = {0};
    status = ledger_compare(ledger, &mirror.head, ledger->mirror, &why);
    if (status == SOTTO_ERROR_INPUT)
        return sotto_error_set_at(
            err, status, ledger->mirror, 0, 0,
            "this mirror knows of %llu entries, the last one %.16s…, and the ledger to be adopted has %llu without it: "
            "restore the newest copy; or move the mirror away, knowing that what the lost entries spent is then "
            "counted by nobody, and declare lower caps",
            (unsigned long long)mirror.head.entries, mirror.head.hash, (unsigned long long)ledger->known);
    if (status != SOTTO_OK && err)
        *err = why;
    return status;
}

/* Why it had to be adopted; false where nothing is wrong with it. */
static bool describe(sotto_ledger *ledger, const ledger_record *record, bool missing, char *why, size_t size)
{
    const unsigned long long knew = record->head.entries, has = ledger->known;
    if (missing)
        (void)snprintf(why, size, "its head file was missing; it had %llu entries", has);
    else if (strcmp(record->head.ledger, ledger->id) != 0)
        (void)snprintf(why, size, "its head file was of another ledger, %.32s; it had %llu entries",
                       record->head.ledger, has);
    else if (knew > has)
        (void)snprintf(
            why, size,
            "its head file knew of %llu entries, the last one %.16s, and it had %llu: %llu are forgotten",
            knew, record->head.hash, has, knew - has);
    else if (ledger_compare(ledger, &record->head, ledger->sidecar, NULL) != SOTTO_OK)
        (void)snprintf(
            why, size,
            "its head file knew entry %llu by another hash, %.16s, than it has: entries are forgotten", knew,
            record->head.hash);
    else if (ledger->changed)
        (void)snprintf(
            why, size,
            "its file was changed since it was closed; its head file knew of %llu entries, and it has "
            "them",
            knew);
    else
        return false;
    return true;
}

static sotto_status append(sotto_ledger *ledger, const char *why, sotto_error *err)
{
    json_t *body = json_object();
    if (ledger_put(body, "why", json_string(why)))
        return ledger_append(ledger, "adopted", body, err);
    json_decref(body);
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory adopting the ledger");
}

sotto_status ledger_adopt(sotto_ledger *ledger, sotto_error *err)
{
    ledger_record record = {0};
    bool missing;
    char why[256];
    memcpy(ledger->known_hash, ledger->origin, LEDGER_HASH);
    sotto_status status = ledger_sidecar_read(ledger, &record, &missing, err);
    if (status == SOTTO_OK)
        status = ledger_begin(ledger, true, err);
    if (status != SOTTO_OK)
        return status;
    status = check_mirror(ledger, err);
    if (status == SOTTO_OK && describe(ledger, &record, missing, why, sizeof why))
        status = append(ledger, why, err);
    else if (status == SOTTO_OK)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, ledger->path, 0, 0,
            "there is nothing to adopt: the head file is there, and this ledger has the %llu entries that it knows of",
            (unsigned long long)record.head.entries);
    return ledger_end(ledger, status, err);
}
