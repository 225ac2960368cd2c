/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* "1e-05" to "1e-5", "1e+20" to "1e20". */
static void shorten_exponent(char *text)
{
    char *mark = strchr(text, 'e');
    if (!mark)
        return;
    char *from = mark + 1;
    char *to = mark + 1;
    if (*from == '-')
        *to++ = *from++;
    else if (*from == '+')
        from++;
    while (*from == '0' && from[1] != '\0')
        from++;
    memmove(to, from, strlen(from) + 1);
}

/* "%.{digits}g", but without an exponent below 10^15: 600, not 6e2. */
static void format_digits(double value, int digits, char text[SOTTO_FIGURE_SIZE])
{
    char shown[SOTTO_FIGURE_SIZE];
    int whole = value >= 1 && value < 1e15 ? (int)floor(log10(value)) + 1 : 0;
    (void)snprintf(shown, sizeof shown, "%.*g", digits > whole ? digits : whole, value);
    shorten_exponent(shown);
    memcpy(text, shown, sizeof shown);
}

void sotto_figure_exact(double value, char text[SOTTO_FIGURE_SIZE])
{
    for (int digits = 1; digits <= 17; digits++) {
        format_digits(value, digits, text);
        if (strtod(text, NULL) == value)
            break;
    }
}

void sotto_figure_up(double value, int digits, char text[SOTTO_FIGURE_SIZE])
{
    char shown[SOTTO_FIGURE_SIZE] = "∞";
    if (isfinite(value)) {
        (void)snprintf(shown, sizeof shown, "%.*e", digits - 1, value);
        double nearest = strtod(shown, NULL);
        if (nearest < value) { /* one more in the last digit */
            int exponent = (int)strtol(strchr(shown, 'e') + 1, NULL, 10);
            (void)snprintf(shown, sizeof shown, "1e%d", exponent - (digits - 1));
            nearest += strtod(shown, NULL);
        }
        format_digits(nearest, digits, shown);
    }
    memcpy(text, shown, sizeof shown);
}

void sotto_figure_down(double value, int digits, char text[SOTTO_FIGURE_SIZE])
{
    char shown[SOTTO_FIGURE_SIZE] = "∞";
    if (isfinite(value)) {
        (void)snprintf(shown, sizeof shown, "%.*e", digits - 1, value);
        double nearest = strtod(shown, NULL);
        if (nearest > value) { /* one less in the last digit */
            int exponent = (int)strtol(strchr(shown, 'e') + 1, NULL, 10);
            (void)snprintf(shown, sizeof shown, "1e%d", exponent - (digits - 1));
            nearest -= strtod(shown, NULL);
        }
        format_digits(nearest, digits, shown);
    }
    memcpy(text, shown, sizeof shown);
}

const char *sotto_figure_number(double value, char figure[SOTTO_FIGURE_SIZE])
{
    const double size = fabs(value);
    if (!isfinite(value))
        return "–";
    const int digits = size >= 1e6 || size < 1000 ? 4 : 6;
    if (size >= 1e6 && size < 1e15)
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, "%.0f", value);
    else
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, "%.*g", digits, value);
    shorten_exponent(figure);
    return figure;
}

void sotto_figure_count(uint64_t value, char text[SOTTO_FIGURE_SIZE])
{
    char digits[SOTTO_FIGURE_SIZE];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *to = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
}

void sotto_figure_seconds(double seconds, char text[SOTTO_FIGURE_SIZE])
{
    if (!(seconds >= 0 && seconds < 1e12)) {
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "unknown");
        return;
    }
    if (seconds < 9.95) {
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%.1f s", seconds);
        return;
    }
    long long whole = llround(seconds);
    if (whole < 60)
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%lld s", whole);
    else if (whole < 3600)
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%lld min %lld s", whole / 60, whole % 60);
    else if (whole < 86400)
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%lld h %lld min", whole / 3600, whole % 3600 / 60);
    else
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%lld d %lld h", whole / 86400, whole % 86400 / 3600);
}

void sotto_figure_chance(double chance, char text[SOTTO_FIGURE_SIZE])
{
    /* Rounded down to three digits; 1e-9 lets 1/1e-5 = 99999.99999999999 count as what was meant. */
    double among = (1 / chance) * (1 + 1e-9);
    char count[SOTTO_FIGURE_SIZE];
    if (among < 1e15) {
        double unit = pow(10, fmax(0, floor(log10(among)) - 2));
        sotto_figure_count((uint64_t)(floor(among / unit) * unit), count);
    } else {
        (void)snprintf(count, sizeof count, "1e%d", (int)floor(log10(fmin(among, 1e308))));
    }
    (void)snprintf(text, SOTTO_FIGURE_SIZE, "1 in %.30s", count);
}

/* ------------------------------------------------------------------- texts */

/* The character that begins at `text` and its length in bytes; U+FFFD and 1 where that is not UTF-8. */
static uint32_t next_character(const char *text, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    size_t count = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    uint32_t character = count == 1 ? first : first & (0x7Fu >> count);
    *length = 1;
    if (count == 0)
        return 0xFFFD;
    for (size_t i = 1; i < count; i++) {
        unsigned char more = (unsigned char)text[i];
        if (more >> 6 != 2)
            return 0xFFFD;
        character = character << 6 | (more & 0x3Fu);
    }
    if (character < least[count] || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF))
        return 0xFFFD;
    *length = count;
    return character;
}

static bool deceives(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7F && c <= 0x9F);
    bool direction = c == 0x200E || c == 0x200F || c == 0x061C || (c >= 0x202A && c <= 0x202E) ||
                     (c >= 0x2066 && c <= 0x2069);
    bool line = c == 0x2028 || c == 0x2029;
    return control || direction || line || (c & 0xFFFE) == 0xFFFE || c == 0xFFFD;
}

static const char *markup_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void sotto_text_put(FILE *file, const char *text, bool markup)
{
    while (*text) {
        size_t length;
        uint32_t character = next_character(text, &length);
        const char *escaped = markup ? markup_of(*text) : NULL;
        if (character == '\n' || character == '\t' || character == '\r')
            (void)fputc(' ', file);
        else if (deceives(character))
            (void)fputs("\xEF\xBF\xBD", file);
        else if (escaped)
            (void)fputs(escaped, file);
        else
            (void)fwrite(text, 1, length, file);
        text += length;
    }
}

size_t sotto_text_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        size_t length;
        (void)next_character(text, &length);
        text += length;
        width++;
    }
    return width;
}
