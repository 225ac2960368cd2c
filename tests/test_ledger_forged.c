/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Entries by an insider, who has the salt: a chain that is right, of bodies that are not. Each is refused,
 * and none harms who reads it.
 */
#include <stdlib.h>
#include <string.h>

#include "test_ledger.h"

/* Append an entry past all checks. */
static void append_raw(sotto_ledger *ledger, const char *kind, const char *body)
{
    unsigned char hash[LEDGER_HASH];
    sqlite3_stmt *row;
    const ledger_entry entry = {
        .seq = ledger->known + 1, .time = "now", .kind = kind, .body = body, .body_length = strlen(body)};
    ledger_chain(ledger->known_hash, &entry, hash);
    ck_assert_int_eq(sqlite3_prepare_v2(ledger->database, "INSERT INTO entries VALUES (?, 'now', ?, ?, ?)",
                                        -1, &row, NULL),
                     SQLITE_OK);
    (void)sqlite3_bind_int64(row, 1, (sqlite3_int64)entry.seq);
    (void)sqlite3_bind_text(row, 2, kind, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(row, 3, body, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(row, 4, hash, LEDGER_HASH, SQLITE_STATIC);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_DONE);
    ck_assert_int_eq(sqlite3_finalize(row), SQLITE_OK);
}

#define RUN   "\"run\":\"0123456789abcdef\""
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CHARGE(mechanism, count)                                                                             \
    "{" RUN ",\"attempt\":1,\"label\":\"x\",\"mechanism\":" mechanism ",\"count\":" count "}"
#define GAUSSIAN "{\"kind\":\"gaussian\",\"noise_multiplier\":1.0}"
#define NEW_RUN(id, plan, draws)                                                                             \
    "{\"run\":\"" id                                                                                         \
    "\",\"data_set\":\"d\",\"unit\":null,\"adjacency\":\"add or remove one\",\"content\":\"" HEX64           \
    "\",\"path\":\"/p\",\"plan\":" plan ",\"draws\":" draws                                                  \
    ",\"epsilon\":1.0,\"delta\":1e-5,\"config\":\"" HEX64                                                    \
    "\",\"output\":null,\"version\":null,\"not_private\":false}"

START_TEST(forged_entries_are_refused_each_for_its_reason)
{
    static const struct {
        const char *kind, *body;
    } forged[] = {
        {"spell", "{}"},
        {"charge", ""},
        {"charge", "["},
        {"charge", "[]"},
        {"charge", "3"},
        {"charge", "{}"},
        {"charge", "{\"run\":\"0123456789abcdef\"}"},
        {"charge", CHARGE(GAUSSIAN, "0")},
        {"charge", CHARGE(GAUSSIAN, "-1")},
        {"charge", CHARGE(GAUSSIAN, "1.5")},
        {"charge", CHARGE(GAUSSIAN, "9007199254740993")},
        {"charge", CHARGE(GAUSSIAN, "99999999999999999999999")},
        {"charge", CHARGE(GAUSSIAN, "\"1\"")},
        {"charge", CHARGE("{\"kind\":\"selection\"}", "1")},
        {"charge", CHARGE("{\"kind\":\"\"}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":-1}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":1e999}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":null}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":1,\"sample_rate\":0.5}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":1,\"group\":0}", "1")},
        {"charge", CHARGE("{\"kind\":\"gaussian\",\"noise_multiplier\":1,\"extra\":0}", "1")},
        {"charge", CHARGE("[]", "1")},
        {"charge", "{" RUN ",\"attempt\":2,\"label\":\"x\",\"mechanism\":" GAUSSIAN ",\"count\":1}"},
        {"charge", "{" RUN ",\"attempt\":1,\"label\":\"\",\"mechanism\":" GAUSSIAN ",\"count\":1}"},
        {"charge", "{" RUN ",\"attempt\":1,\"label\":\"x\\u0000y\",\"mechanism\":" GAUSSIAN ",\"count\":1}"},
        {"charge", "{" RUN "," RUN ",\"attempt\":1,\"label\":\"x\",\"mechanism\":" GAUSSIAN ",\"count\":1}"},
        {"charge", "{\"run\":\"ffffffffffffffff\",\"attempt\":1,\"label\":\"x\",\"mechanism\":" GAUSSIAN
                   ",\"count\":1}"},
        {"attempt", "{" RUN ",\"attempt\":1}"},
        {"attempt", "{" RUN ",\"attempt\":3}"},
        {"attempt", "{" RUN ",\"attempt\":2,\"more\":1}"},
        {"release", "{" RUN ",\"attempt\":1,\"after\":\"" HEX64 "\",\"artefacts\":{}}"},
        {"release", "{" RUN ",\"attempt\":1,\"after\":\"no\",\"artefacts\":[]}"},
        {"release", "{" RUN ",\"attempt\":1,\"after\":\"" HEX64 "\",\"artefacts\":[{}]}"},
        {"close", "{" RUN "}"},
        {"run", NEW_RUN("0123456789abcdef", "[]", "0")},
        {"run", NEW_RUN("0123456789ABCDEF", "[]", "0")},
        {"run", NEW_RUN("0123456789abcde", "[]", "0")},
        {"run", NEW_RUN("1123456789abcdef", "{}", "0")},
        {"run", NEW_RUN("1123456789abcdef", "[3]", "0")},
        {"run", NEW_RUN("1123456789abcdef", "[]", "-1")},
        {"run", NEW_RUN("1123456789abcdef", "[]", "null")},
        {"run", NEW_RUN("1123456789abcdef",
                        "[{\"label\":\"x\",\"mechanism\":" GAUSSIAN ",\"count\":1},"
                        "{\"label\":\"x\",\"mechanism\":" GAUSSIAN ",\"count\":1}]",
                        "0")},
        {"table", "{\"data_set\":\"-d\",\"content\":\"" HEX64 "\",\"path\":\"/p\"}"},
        {"table", "{\"data_set\":\"d\",\"content\":\"\",\"path\":\"/p\"}"},
        {"cap", "{\"data_set\":\"d\",\"unit\":null,\"epsilon\":0,\"delta\":0.1}"},
        {"cap", "{\"data_set\":\"d\",\"unit\":null,\"epsilon\":null,\"delta\":0.1}"},
        {"cap", "{\"data_set\":\"d\",\"unit\":\"\",\"epsilon\":1,\"delta\":0.1}"},
        {"cap", "{\"data_set\":\"d\",\"unit\":null,\"epsilon\":1,\"delta\":1}"},
        {"adopted", "{\"why\":3}"},
    };
    sotto_ledger *ledger = ledger_at("ledger.db", true);
    append_raw(ledger, "table", "{\"data_set\":\"d\",\"content\":\"" HEX64 "\",\"path\":\"/p\"}");
    sotto_ledger_close(ledger);
    ledger = ledger_at("ledger.db", false);
    append_raw(ledger, "run", NEW_RUN("0123456789abcdef", "[]", "0"));
    sotto_ledger_close(ledger);
    sotto_ledger_close(ledger_at("ledger.db", false)); /* so far it is a ledger */
    copy_file("ledger.db", "sound.db");
    copy_file("ledger.db-head", "sound.db-head");
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        copy_file("sound.db", "ledger.db");
        copy_file("sound.db-head", "ledger.db-head");
        ledger = ledger_at("ledger.db", false);
        append_raw(ledger, forged[i].kind, forged[i].body);
        sotto_ledger_close(ledger);
        sotto_ledger *opened = NULL;
        ck_assert_msg(try_ledger_at("ledger.db", false, &opened) == SOTTO_ERROR_INPUT, "%s %s",
                      forged[i].kind, forged[i].body);
        ck_assert_msg(strstr(err.message, "entry 3"), "%s", err.message);
    }
}
END_TEST

START_TEST(more_uses_than_can_be_counted_are_refused)
{
    sotto_ledger *ledger = ledger_at("ledger.db", true), *opened;
    append_raw(ledger, "table", "{\"data_set\":\"d\",\"content\":\"" HEX64 "\",\"path\":\"/p\"}");
    sotto_ledger_close(ledger);
    ledger = ledger_at("ledger.db", false);
    append_raw(ledger, "run", NEW_RUN("0123456789abcdef", "[]", "0"));
    sotto_ledger_close(ledger);
    for (int i = 0; i < 2; i++) {
        ledger = ledger_at("ledger.db", false);
        append_raw(ledger, "charge", CHARGE(GAUSSIAN, "9007199254740992"));
        sotto_ledger_close(ledger);
    }
    ck_assert_int_eq(try_ledger_at("ledger.db", false, &opened), SOTTO_ERROR_INPUT);
    ck_assert(strstr(err.message, "2^53"));
}
END_TEST

TCase *ledger_forged_case(void)
{
    TCase *forged = tcase_create("forged");
    tcase_set_timeout(forged, 120);
    tcase_add_checked_fixture(forged, scene_begin, scene_end);
    tcase_add_test(forged, forged_entries_are_refused_each_for_its_reason);
    tcase_add_test(forged, more_uses_than_can_be_counted_are_refused);
    return forged;
}
