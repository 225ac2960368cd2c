/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "document/document.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------- what is it */

enum { FOUND_SIZE = 80 };

/* What stands there, short and printable, for a message. */
static const char *found(const sotto_node *node, char out[static FOUND_SIZE])
{
    if (node->kind != SOTTO_NODE_SCALAR)
        return node->kind == SOTTO_NODE_LIST ? "a list" : "a map";
    if (node->text[0] == '\0')
        return "empty";
    size_t n = 0;
    const char *at = node->text;
    out[n++] = '\'';
    for (; *at && n < 60; at++)
        out[n++] = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    if (*at) { /* cut, but not inside a UTF-8 sequence */
        while (n > 1 && ((unsigned char)out[n - 1] & 0xC0) == 0x80)
            n--;
        n -= n > 1 && (unsigned char)out[n - 1] >= 0xC0;
    }
    (void)snprintf(out + n, FOUND_SIZE - n, "%s'%s", *at ? "..." : "", node->quoted ? " in quotes" : "");
    return out;
}

static sotto_status refuse(const sotto_node *node, const char *what, const char *wanted, sotto_error *err)
{
    char text[FOUND_SIZE];
    if (!node)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%s is missing; wanted %s", what, wanted);
    return sotto_node_error(node, err, "%s is %s; wanted %s", what, found(node, text), wanted);
}

/* ----------------------------------------------------------------- numbers */

static const char *skip_digits(const char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* [+-]digits[.digits][e[+-]digits] with a digit on at least one side of the point. */
static bool is_decimal(const char *text)
{
    const char *start = text + (*text == '+' || *text == '-');
    const char *at = skip_digits(start);
    ptrdiff_t digits = at - start;
    if (*at == '.') {
        const char *fraction = skip_digits(at + 1);
        digits += fraction - (at + 1);
        at = fraction;
    }
    if (digits == 0)
        return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '+' || at[1] == '-');
        const char *end = skip_digits(at);
        if (end == at)
            return false;
        at = end;
    }
    return *at == '\0';
}

bool sotto_text_double(const char *text, double *value)
{
    if (!is_decimal(text))
        return false;
    /* The caller's program may have set a locale with a decimal comma. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return false;
    *value = strtod_l(text, NULL, plain);
    freelocale(plain);
    return true;
}

/* YAML 1.1 reads 010 as eight; here it is an error, not a surprise. */
static bool has_leading_zero(const char *text)
{
    text += *text == '+' || *text == '-';
    return text[0] == '0' && isdigit((unsigned char)text[1]);
}

sotto_status sotto_node_double(const sotto_node *node, const char *what, double low, double high,
                               double *value, sotto_error *err)
{
    char wanted[96];
    (void)snprintf(wanted, sizeof wanted, "a number from %.10g to %.10g", low, high);
    double read;
    if (!node || node->kind != SOTTO_NODE_SCALAR || node->quoted || has_leading_zero(node->text) ||
        !sotto_text_double(node->text, &read))
        return refuse(node, what, wanted, err);
    if (!isfinite(read) || read < low || read > high)
        return refuse(node, what, wanted, err);
    *value = read;
    return SOTTO_OK;
}

static bool read_size(const char *text, size_t *value)
{
    size_t total = 0;
    if (*text == '\0' || has_leading_zero(text))
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        if (__builtin_mul_overflow(total, (size_t)10, &total) ||
            __builtin_add_overflow(total, (size_t)(*text - '0'), &total))
            return false;
    }
    *value = total;
    return true;
}

sotto_status sotto_node_size(const sotto_node *node, const char *what, size_t low, size_t high, size_t *value,
                             sotto_error *err)
{
    char wanted[96];
    (void)snprintf(wanted, sizeof wanted, "a whole number from %zu to %zu, digits only", low, high);
    size_t read;
    if (!node || node->kind != SOTTO_NODE_SCALAR || node->quoted || !read_size(node->text, &read) ||
        read < low || read > high)
        return refuse(node, what, wanted, err);
    *value = read;
    return SOTTO_OK;
}

sotto_status sotto_node_bool(const sotto_node *node, const char *what, bool *value, sotto_error *err)
{
    bool plain = node && node->kind == SOTTO_NODE_SCALAR && !node->quoted;
    if (!plain || (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
        return refuse(node, what, "true or false", err);
    *value = node->text[0] == 't';
    return SOTTO_OK;
}

/* -------------------------------------------------------------------- words */

sotto_status sotto_node_string(const sotto_node *node, const char *what, const char **value, sotto_error *err)
{
    if (!node || node->kind != SOTTO_NODE_SCALAR || node->text[0] == '\0')
        return refuse(node, what, "a text", err);
    *value = node->text;
    return SOTTO_OK;
}

/* "a, b or c", cut short where it does not fit. */
static void list_names(const char *const *names, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; names[i] && used < size; i++) {
        const char *between = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int written = snprintf(out + used, size - used, "%s%s", between, names[i]);
        used += written > 0 ? (size_t)written : 0;
    }
}

sotto_status sotto_node_choice(const sotto_node *node, const char *what, const char *const *names,
                               size_t *choice, sotto_error *err)
{
    for (size_t i = 0; node && node->kind == SOTTO_NODE_SCALAR && names[i]; i++)
        if (strcmp(node->text, names[i]) == 0) {
            *choice = i;
            return SOTTO_OK;
        }
    char wanted[400];
    list_names(names, wanted, sizeof wanted);
    return refuse(node, what, wanted, err);
}

enum { LONGEST_WORD = 40 };

/* Levenshtein distance of two words of at most LONGEST_WORD bytes; a large number for longer ones. */
static size_t distance(const char *a, const char *b)
{
    size_t length = strlen(b), row[LONGEST_WORD + 1];
    if (length > LONGEST_WORD || strlen(a) > LONGEST_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t insert = row[j] + 1, drop = row[j + 1] + 1;
            row[j + 1] = insert < drop ? insert : drop;
            if (change < row[j + 1])
                row[j + 1] = change;
        }
    }
    return row[length];
}

/* The known word within two typing errors, or NULL. */
static const char *nearest(const char *word, const char *const *known)
{
    const char *best = NULL;
    size_t least = strlen(word) <= 3 ? 2 : 3;
    for (size_t i = 0; known[i]; i++) {
        size_t apart = distance(word, known[i]);
        if (apart < least) {
            least = apart;
            best = known[i];
        }
    }
    return best;
}

static bool is_known(const char *key, const char *const *known)
{
    for (size_t i = 0; known[i]; i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

sotto_status sotto_node_expect_map(const sotto_node *node, const char *what, const char *const *known,
                                   sotto_error *err)
{
    char wanted[400], text[FOUND_SIZE];
    list_names(known, wanted, sizeof wanted);
    if (!node || node->kind != SOTTO_NODE_MAP)
        return refuse(node, what, "a map of settings", err);
    for (size_t i = 0; i < node->count; i++) {
        const sotto_node *key = node->keys[i];
        if (is_known(key->text, known))
            continue;
        const char *near = nearest(key->text, known);
        if (near)
            return sotto_node_error(key, err, "%s has no setting %s; did you mean %s?", what,
                                    found(key, text), near);
        return sotto_node_error(key, err, "%s has no setting %s; wanted %s", what, found(key, text), wanted);
    }
    return SOTTO_OK;
}
