/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Entries' bodies: JSON, written exactly and read as if an enemy had written it. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"

bool ledger_same_unit(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

bool ledger_is_hex(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return text[digits] == '\0';
}

void ledger_hex(const unsigned char *bytes, size_t count, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

static bool is_plain(const char *text, size_t most)
{
    const size_t length = strnlen(text, most + 1);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return false;
    return length >= 1 && length <= most;
}

bool ledger_is_name(const char *text)
{
    json_t *encoded = is_plain(text, LEDGER_NAME) && text[0] != '-' ? json_string(text) : NULL;
    const bool sound = encoded != NULL; /* jansson refuses what is not UTF-8 */
    json_decref(encoded);
    return sound;
}

const char *sotto_ledger_id_trouble(const char *id)
{
    const size_t length = strnlen(id, LEDGER_NEW_NAME + 1);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)id[i] <= ' ' || id[i] == 0x7f || id[i] == '/')
            return "has a space, a slash or a control character; name the data set by letters, digits and signs, such "
                   "as hospital-2026";
    if (length == 0 || length > LEDGER_NEW_NAME)
        return length == 0 ? "is empty; give it a name of 1 to 100 bytes"
                           : "is too long; give it a name of 1 to 100 bytes";
    if (id[0] == '-')
        return "begins with '-', as an option does; begin it with a letter";
    return ledger_is_name(id) ? NULL : "is not UTF-8; write it in that";
}

char *ledger_readable(const char *text)
{
    json_t *encoded = json_string(text);
    if (encoded) {
        json_decref(encoded);
        return strdup(text);
    }
    const size_t length = strlen(text);
    char *readable = length < SIZE_MAX / 3 ? malloc(3 * length + 1) : NULL;
    size_t used = 0;
    for (size_t i = 0; readable && i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x80 || byte == '%')
            used += (size_t)snprintf(readable + used, 4, "%%%02X", byte);
        else
            readable[used++] = text[i];
    }
    if (readable)
        readable[used] = '\0';
    return readable;
}

/* -------------------------------------------------------------------- figures */

/* "1e-05" to "1e-5". */
static const char *shorten(char *text)
{
    char *zero = strstr(text, "e-0");
    if (zero)
        memmove(zero + 2, zero + 3, strlen(zero + 3) + 1);
    return text;
}

const char *ledger_figure_exact(double value, char text[LEDGER_FIGURE])
{
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, LEDGER_FIGURE, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return shorten(text);
}

/* To four digits, of which the last is one more, or one less, where the nearest is on the other side. */
static const char *figure(double value, int direction, char text[LEDGER_FIGURE])
{
    char shown[LEDGER_FIGURE];
    (void)snprintf(shown, sizeof shown, "%.3e", value);
    double nearest = strtod(shown, NULL);
    if (isfinite(value) && value != 0.0 && (nearest - value) * direction < 0.0)
        nearest += direction * pow(10.0, strtod(strchr(shown, 'e') + 1, NULL) - 3.0);
    (void)snprintf(text, LEDGER_FIGURE, "%.4g", nearest);
    return shorten(text);
}

const char *ledger_figure_up(double value, char text[LEDGER_FIGURE])
{
    return figure(value, 1, text);
}

const char *ledger_figure_down(double value, char text[LEDGER_FIGURE])
{
    return figure(value, -1, text);
}

/* -------------------------------------------------------------------- writing */

bool ledger_put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0; /* drops `value` where it fails, too */
}

json_t *ledger_real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *ledger_text_json(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* The fields that a kind of mechanism does not have are left out; a selection's are not recorded at all. */
json_t *ledger_mechanism_json(const sotto_mechanism *m)
{
    json_t *object = json_object();
    bool sound = ledger_put(object, "kind", json_string(sotto_mechanism_kind_name(m->kind)));
    if (sound && m->sample_rate != 1.0)
        sound = ledger_put(object, "sample_rate", json_real(m->sample_rate));
    if (sound && m->noise_multiplier != 0.0)
        sound = ledger_put(object, "noise_multiplier", json_real(m->noise_multiplier));
    if (sound && m->epsilon != 0.0)
        sound = ledger_put(object, "epsilon", json_real(m->epsilon));
    if (sound && m->rho != 0.0)
        sound = ledger_put(object, "rho", json_real(m->rho));
    if (sound && m->group_size != 1)
        sound = ledger_put(object, "group", json_integer((json_int_t)m->group_size));
    if (sound)
        return object;
    json_decref(object);
    return NULL;
}

json_t *ledger_charge_json(const sotto_charge *charge)
{
    json_t *object = json_object();
    if (ledger_put(object, "label", json_string(charge->label)) &&
        ledger_put(object, "mechanism", ledger_mechanism_json(&charge->mechanism)) &&
        ledger_put(object, "count", json_integer((json_int_t)charge->count)))
        return object;
    json_decref(object);
    return NULL;
}

json_t *ledger_charges_json(const sotto_charge *charges, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, ledger_charge_json(&charges[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

/* -------------------------------------------------------------------- reading */

static void amiss(ledger_reader *reader, const char *key)
{
    if (!reader->wrong)
        reader->wrong = key;
}

const json_t *ledger_read(ledger_reader *reader, const char *key)
{
    const json_t *value = json_object_get(reader->object, key);
    if (value)
        reader->taken++;
    else
        amiss(reader, key);
    return value;
}

static const char *text_of(ledger_reader *reader, const json_t *value, const char *key, size_t most)
{
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    if (!text || length < 1 || length > most || strlen(text) != length) {
        amiss(reader, key);
        return NULL;
    }
    return text;
}

const char *ledger_read_text(ledger_reader *reader, const char *key, size_t most)
{
    return text_of(reader, ledger_read(reader, key), key, most);
}

const char *ledger_read_text_or_null(ledger_reader *reader, const char *key, size_t most)
{
    const json_t *value = ledger_read(reader, key);
    return json_is_null(value) ? NULL : text_of(reader, value, key, most);
}

const char *ledger_read_hash(ledger_reader *reader, const char *key)
{
    const char *text = ledger_read_text(reader, key, 64);
    if (text && strlen(text) == 64 && ledger_is_hex(text, 64))
        return text;
    amiss(reader, key);
    return NULL;
}

uint64_t ledger_read_count(ledger_reader *reader, const char *key, uint64_t least, uint64_t most)
{
    const json_t *value = ledger_read(reader, key);
    const json_int_t found = json_integer_value(value);
    if (json_is_integer(value) && found >= 0 && (uint64_t)found >= least && (uint64_t)found <= most)
        return (uint64_t)found;
    amiss(reader, key);
    return least;
}

double ledger_read_real(ledger_reader *reader, const char *key)
{
    const json_t *value = ledger_read(reader, key);
    if (json_is_null(value))
        return INFINITY;
    if (!json_is_number(value))
        amiss(reader, key);
    return json_number_value(value);
}

sotto_adjacency ledger_read_adjacency(ledger_reader *reader, const char *key)
{
    static const sotto_adjacency all[] = {SOTTO_ADJACENCY_ADD_REMOVE, SOTTO_ADJACENCY_REPLACE_ONE};
    const char *name = ledger_read_text(reader, key, LEDGER_LABEL);
    for (size_t i = 0; name && i < sizeof all / sizeof *all; i++)
        if (strcmp(name, sotto_adjacency_name(all[i])) == 0)
            return all[i];
    amiss(reader, key);
    return SOTTO_ADJACENCY_ADD_REMOVE;
}

bool ledger_read_end(ledger_reader *reader)
{
    if (!reader->wrong && reader->taken != json_object_size(reader->object))
        reader->wrong = "an unknown key";
    return !reader->wrong;
}

/* A field of a mechanism, as the constructors leave it where it is not there. */
static double field(ledger_reader *reader, const char *key, double absent)
{
    return json_object_get(reader->object, key) ? ledger_read_real(reader, key) : absent;
}

static bool read_mechanism(const json_t *object, sotto_adjacency adjacency, sotto_mechanism *mechanism)
{
    ledger_reader reader = {.object = object};
    const char *name = ledger_read_text(&reader, "kind", LEDGER_LABEL);
    sotto_mechanism found = {.adjacency = adjacency, .group_size = 1};
    for (int kind = SOTTO_MECHANISM_GAUSSIAN; name && kind < SOTTO_MECHANISM_SELECTION; kind++)
        if (strcmp(name, sotto_mechanism_kind_name((sotto_mechanism_kind)kind)) == 0)
            found.kind = (sotto_mechanism_kind)kind;
    found.sample_rate = field(&reader, "sample_rate", 1.0);
    found.noise_multiplier = field(&reader, "noise_multiplier", 0.0);
    found.epsilon = field(&reader, "epsilon", 0.0);
    found.rho = field(&reader, "rho", 0.0);
    if (json_object_get(object, "group"))
        found.group_size = ledger_read_count(&reader, "group", 2, SOTTO_ACCOUNTANT_MAX_COUNT);
    if (!ledger_read_end(&reader) || sotto_mechanism_check(&found, NULL) != SOTTO_OK)
        return false;
    *mechanism = found;
    return true;
}

bool ledger_read_charge(ledger_reader *reader, sotto_adjacency adjacency, sotto_charge *charge)
{
    charge->label = ledger_read_text(reader, "label", LEDGER_LABEL);
    charge->count = ledger_read_count(reader, "count", 1, SOTTO_ACCOUNTANT_MAX_COUNT);
    const json_t *mechanism = ledger_read(reader, "mechanism");
    if (mechanism && !read_mechanism(mechanism, adjacency, &charge->mechanism))
        amiss(reader, "mechanism");
    return !reader->wrong;
}
