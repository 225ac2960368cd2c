/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Which data set a table is: by what it is declared to be, by its content, by where it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"

/* The latest data set that had such a version; SIZE_MAX where none had. */
static size_t find_version(const ledger_book *book, const char *content, const char *path)
{
    for (size_t i = book->set_count; i-- > 0;)
        for (size_t j = 0; j < book->sets[i].version_count; j++) {
            const ledger_version *version = &book->sets[i].versions[j];
            if ((!content || strcmp(version->content, content) == 0) &&
                (!path || strcmp(version->path, path) == 0))
                return i;
        }
    return SIZE_MAX;
}

/* The data set of the last run that found its table at this path. Which set is the newest says nothing, and
 * a table that comes back to a place writes no new version. */
static size_t find_last_at(const ledger_book *book, const char *path)
{
    for (size_t i = book->run_count; i-- > 0;)
        if (strcmp(book->runs[i].path, path) == 0)
            return book->runs[i].data_set;
    return find_version(book, NULL, path);
}

/* A capped data set that ever had a table at this path; SIZE_MAX where there is none. */
static size_t find_capped_at(const ledger_book *book, const char *path)
{
    for (size_t i = book->set_count; i-- > 0;)
        for (size_t j = 0; book->sets[i].capped && j < book->sets[i].version_count; j++)
            if (strcmp(book->sets[i].versions[j].path, path) == 0)
                return i;
    return SIZE_MAX;
}

static size_t place_of(const ledger_book *book, const char *id)
{
    const ledger_data_set *set = ledger_book_set(book, id);
    return set ? (size_t)(set - book->sets) : SIZE_MAX;
}

static bool has_version(const ledger_data_set *set, const char *content, const char *path)
{
    for (size_t i = 0; i < set->version_count; i++)
        if (strcmp(set->versions[i].content, content) == 0 && strcmp(set->versions[i].path, path) == 0)
            return true;
    return false;
}

/* The file's name without its ending, as an id: what an id may not have becomes "_". */
static void name_after(const char *path, char id[LEDGER_NEW_NAME - 16])
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    size_t length = strlen(name);
    const char *ending = strrchr(name, '.');
    if (ending && ending != name)
        length = (size_t)(ending - name);
    if (length > LEDGER_NEW_NAME - 17)
        length = LEDGER_NEW_NAME - 17;
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)name[i];
        id[i] = byte > 0x20 && byte < 0x7F && !(i == 0 && byte == '-') ? name[i] : '_';
    }
    id[length] = '\0';
    if (length == 0)
        (void)strcpy(id, "table");
}

/* A new id of the file's name; or a data set's of that name which was declared and has no table yet. */
static void find_new_name(const ledger_book *book, ledger_identity *identity)
{
    char name[LEDGER_NEW_NAME - 16];
    name_after(identity->path, name);
    (void)snprintf(identity->id, sizeof identity->id, "%s", name);
    for (uint64_t number = 2;; number++) {
        identity->set = place_of(book, identity->id);
        if (identity->set == SIZE_MAX || book->sets[identity->set].version_count == 0)
            return;
        (void)snprintf(identity->id, sizeof identity->id, "%s-%llu", name,
                       (unsigned long long)number % 1000000000);
    }
}

static sotto_status use_declared(const ledger_book *book, const char *id, size_t by_content,
                                 ledger_identity *identity, sotto_error *err)
{
    const char *trouble = sotto_ledger_id_trouble(id);
    if (trouble)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "data.id '%.110s' %s", id, trouble);
    if (by_content != SIZE_MAX && strcmp(book->sets[by_content].id, id) != 0)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "this table is the data set %s in the ledger, and data.id calls it %s; a table has one "
            "budget whatever it is called: write data.id: %s",
            book->sets[by_content].id, id, book->sets[by_content].id);
    (void)snprintf(identity->id, sizeof identity->id, "%s", id);
    identity->set = place_of(book, id);
    /* Edited in place and called otherwise, it would be out of the cap's sight. */
    const size_t capped = by_content == SIZE_MAX ? find_capped_at(book, identity->path) : SIZE_MAX;
    if (capped == SIZE_MAX || capped == identity->set ||
        (identity->set != SIZE_MAX && identity->set == find_last_at(book, identity->path)))
        return SOTTO_OK;
    return sotto_error_set(
        err, SOTTO_ERROR_INPUT,
        "a table of the data set %s, which has a cap, was at this path, and data.id calls what is there now %s; "
        "write data.id: %s, or, where it is about other people, give it another place",
        book->sets[capped].id, id, book->sets[capped].id);
}

/* Known by its content; or else by its place, where that tells one data set, or at least not past a cap. */
static sotto_status find_undeclared(const ledger_book *book, size_t by_content, ledger_identity *identity,
                                    sotto_error *err)
{
    identity->set = by_content;
    if (by_content == SIZE_MAX) {
        identity->set = find_last_at(book, identity->path);
        const size_t capped = find_capped_at(book, identity->path);
        if (capped != SIZE_MAX && !book->sets[identity->set].capped)
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "tables of the data sets %s, which has a cap, and %s were at this path, and what is there now is "
                "new; say by data.id which of them it is",
                book->sets[capped].id, book->sets[identity->set].id);
    }
    if (identity->set == SIZE_MAX)
        find_new_name(book, identity);
    else
        (void)snprintf(identity->id, sizeof identity->id, "%s", book->sets[identity->set].id);
    return SOTTO_OK;
}

/* Absolute and without links where the file is there, and as it was given where not. */
static char *canonical(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real && errno == ENOMEM)
        return NULL;
    char *readable = ledger_readable(real ? real : path);
    free(real);
    return readable;
}

sotto_status ledger_identify(const sotto_ledger *ledger, const sotto_ledger_table *table,
                             ledger_identity *identity, sotto_error *err)
{
    const ledger_book *book = &ledger->book;
    *identity = (ledger_identity){.set = SIZE_MAX};
    if (!sotto_adjacency_name(table->adjacency))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a table's adjacency is none");
    if (table->sha256 && (strlen(table->sha256) != 64 || !ledger_is_hex(table->sha256, 64)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a table's SHA-256 is none: expected 64 hex digits");
    identity->path = canonical(table->path);
    if (!identity->path)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a table's path");
    size_t by_content = SIZE_MAX;
    if (table->sha256) {
        ledger_keyed(ledger, table->sha256, identity->content);
        by_content = find_version(book, identity->content, NULL);
    }
    const sotto_status status = table->id ? use_declared(book, table->id, by_content, identity, err)
                                          : find_undeclared(book, by_content, identity, err);
    identity->tell = identity->set == SIZE_MAX ||
                     !has_version(&book->sets[identity->set], identity->content, identity->path);
    return status;
}

void ledger_identity_release(ledger_identity *identity)
{
    free(identity->path);
    identity->path = NULL;
}

sotto_status sotto_ledger_data_set(const sotto_ledger *ledger, const sotto_ledger_table *table,
                                   char id[SOTTO_LEDGER_ID_SIZE], bool *known, sotto_error *err)
{
    ledger_identity identity;
    const sotto_status status = ledger_identify(ledger, table, &identity, err);
    *known = identity.set != SIZE_MAX;
    (void)snprintf(id, SOTTO_LEDGER_ID_SIZE, "%s", identity.id);
    ledger_identity_release(&identity);
    return status;
}
