/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"
#include "patch.h"

/*
 * Changed entries of a ledger, as an insider would chain them, and changed head files. Entries are refused as
 * input, or are ones that could have been written: then the book composes, and its charges can be counted.
 *
 * An input is pairs: which entry, and a change of its body; entry 9 is a head file.
 */

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define RUN "\"run\":\"0123456789abcdef\",\"attempt\":"

static const struct {
    const char *kind, *body;
} sound[] = {
    {"table", "{\"data_set\":\"adult\",\"content\":\"" SHA "\",\"path\":\"/data/adult.csv\"}"},
    {"cap", "{\"data_set\":\"adult\",\"unit\":null,\"epsilon\":3.0,\"delta\":1e-5}"},
    {"run",
     "{\"run\":\"0123456789abcdef\",\"data_set\":\"adult\",\"unit\":null,\"adjacency\":\"add or remove one\","
     "\"content\":\"" SHA
     "\",\"path\":\"/data/adult.csv\",\"plan\":[{\"label\":\"steps\",\"mechanism\":{\"kind\":"
     "\"sampled gaussian\",\"sample_rate\":0.01,\"noise_multiplier\":1.1},\"count\":100},{\"label\":\"counts\","
     "\"mechanism\":{\"kind\":\"gaussian\",\"noise_multiplier\":9.0,\"group\":2},\"count\":3}],\"draws\":1e9,"
     "\"epsilon\":1.0,\"delta\":1e-5,\"config\":\"" SHA "\",\"output\":\"runs/a\",\"version\":\"0.1.0\","
     "\"not_private\":false}"},
    {"charge",
     "{\"label\":\"counts\",\"mechanism\":{\"kind\":\"gaussian\",\"noise_multiplier\":9.0,\"group\":2},"
     "\"count\":3," RUN "1}"},
    {"charge",
     "{\"label\":\"other\",\"mechanism\":{\"kind\":\"laplace\",\"noise_multiplier\":2.0},\"count\":1," RUN
     "1}"},
    {"attempt", "{" RUN "2}"},
    {"charge",
     "{\"label\":\"pick\",\"mechanism\":{\"kind\":\"exponential\",\"epsilon\":0.1},\"count\":7," RUN "2}"},
    {"release", "{" RUN "2,\"after\":\"" SHA
                "\",\"artefacts\":[{\"file\":\"rows.csv\",\"what\":null,\"sha256\":\"" SHA "\"}]}"},
    {"adopted", "{\"why\":\"a backup\"}"},
};
enum { ENTRIES = sizeof sound / sizeof *sound, MOST_CHANGES = 24 };

static const char *const words[] = {"\"run\"",
                                    "\"count\":",
                                    "\"plan\":[]",
                                    "null",
                                    "true",
                                    "{}",
                                    "[]",
                                    "\"\"",
                                    "\"zcdp\"",
                                    "\"rho\":1",
                                    "1e308",
                                    "-1",
                                    "0",
                                    "1e999",
                                    "\\u0000",
                                    "9007199254740992",
                                    "\"pure\"",
                                    "replace one",
                                    "\"gaussian without replacement\"",
                                    "\"discrete gaussian\"",
                                    "\"sampled discrete gaussian\"",
                                    NULL};

/* What is in a book that took everything in. */
static void look(const ledger_book *book)
{
    for (size_t i = 0; i < book->run_count; i++) {
        const ledger_run_record *run = &book->runs[i];
        REQUIRE(run->data_set < book->set_count && strlen(run->id) == LEDGER_RUN_ID);
        for (size_t j = 0; j < run->charge_count; j++) {
            const uint64_t counted = ledger_run_counts(run, &run->charges[j], true);
            REQUIRE(counted >= run->charges[j].count && counted >= 1 &&
                    counted <= SOTTO_ACCOUNTANT_MAX_COUNT);
            REQUIRE(sotto_mechanism_check(&run->charges[j].mechanism, NULL) == SOTTO_OK);
        }
    }
    for (size_t i = 0; i < book->set_count; i++) {
        sotto_accountant *accountant = NULL;
        const ledger_choice choice = {.set = i, .unit = book->sets[i].unit, .held = true};
        double draws;
        if (ledger_compose(book, &choice, NULL, 0, &accountant, &draws, NULL) == SOTTO_OK)
            REQUIRE(draws >= 0.0 && sotto_accountant_rdp(accountant, 3.0) >= 0.0);
        sotto_accountant_destroy(accountant);
    }
}

static void take_all(const patch_text *bodies)
{
    ledger_book book;
    sotto_error err = {0};
    sotto_status status = ledger_book_create(&book, &err);
    for (size_t i = 0; status == SOTTO_OK && i < ENTRIES; i++) {
        const ledger_entry entry = {.seq = i + 1,
                                    .time = "2026-01-01T00:00:00Z",
                                    .kind = sound[i].kind,
                                    .body = (const char *)bodies[i].bytes,
                                    .body_length = bodies[i].length};
        status = ledger_book_apply(&book, &entry, &err);
    }
    REQUIRE(status == SOTTO_OK || status == SOTTO_ERROR_INPUT);
    REQUIRE(status == SOTTO_OK || strlen(err.message) > 20);
    if (status == SOTTO_OK)
        look(&book);
    ledger_book_release(&book);
}

/* A head file is refused, or it is what would be written of it. */
static void read_head(const patch_text *text)
{
    ledger_record record;
    char again[LEDGER_RECORD + 1];
    if (!ledger_record_parse((const char *)text->bytes, text->length, &record))
        return;
    ledger_record_format(&record, again);
    REQUIRE(memcmp(again, text->bytes, LEDGER_RECORD) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    patch_input input = {data, size};
    patch_text bodies[ENTRIES + 1];
    const ledger_record record = {
        .head = {.ledger = "0123456789abcdef0123456789abcdef", .entries = 7, .hash = SHA},
        .rest = LEDGER_NO_REST};
    char head[LEDGER_RECORD + 1];
    ledger_record_format(&record, head);
    for (size_t i = 0; i < ENTRIES; i++)
        bodies[i] = patch_copy(sound[i].body, strlen(sound[i].body));
    bodies[ENTRIES] = patch_copy(head, LEDGER_RECORD);
    for (int i = 0; i < MOST_CHANGES && input.size > 0; i++) {
        const size_t which = patch_byte(&input) % (ENTRIES + 1);
        patch_change(&bodies[which], &input, words);
    }
    take_all(bodies);
    read_head(&bodies[ENTRIES]);
    for (size_t i = 0; i <= ENTRIES; i++)
        patch_free(&bodies[i]);
    return 0;
}
