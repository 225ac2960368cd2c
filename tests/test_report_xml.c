/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <string.h>

#include "test_report.h"

/* The end of the tag whose name begins at `name`: attributes are quoted, and nothing but blanks is between.
 */
static const char *end_of_tag(const char *name)
{
    const char *at = name;
    for (; *at != '>'; at++) {
        EXPECT(*at && *at != '<', "a tag does not end: %.40s", name);
        if (*at == '"')
            for (at++; *at != '"'; at++)
                EXPECT(*at && *at != '<', "an attribute does not end: %.40s", name);
    }
    return at;
}

static bool is_entity(const char *at)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < 5; i++)
        if (strncmp(at, entities[i], strlen(entities[i])) == 0)
            return true;
    return false;
}

/* A small strict reader: every tag that opens closes, in order; no bare & or <; no control characters. */
void expect_well_formed(const char *page)
{
    static const char doctype[] = "<!DOCTYPE html>\n";
    char open[64][32];
    size_t depth = 0;
    EXPECT(strncmp(page, doctype, sizeof doctype - 1) == 0, "no document type");
    for (const char *at = page + sizeof doctype - 1; *at; at++) {
        EXPECT((unsigned char)*at >= 0x20 || *at == '\n', "a control character");
        EXPECT(*at != '&' || is_entity(at), "bare & at %.40s", at);
        if (*at != '<')
            continue;
        bool closes = at[1] == '/';
        const char *name = at + 1 + closes;
        int length = (int)strcspn(name, " />\n");
        EXPECT(length > 0 && length < 32 && islower((unsigned char)*name), "bad tag at %.40s", at);
        at = end_of_tag(name);
        if (closes) {
            EXPECT(depth > 0, "a stray </%.20s", name);
            depth--;
            EXPECT((int)strlen(open[depth]) == length && strncmp(open[depth], name, (size_t)length) == 0,
                   "<%s> closed by </%.20s", open[depth], name);
        } else if (at[-1] != '/') {
            EXPECT(depth < 64, "tags are too deep");
            (void)snprintf(open[depth++], 32, "%.*s", length, name);
        }
    }
    ck_assert_uint_eq(depth, 0);
}
