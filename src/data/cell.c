/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "data/data.h"
#include "document/document.h"

/* ----------------------------------------------------------------- numbers */

double sotto_power_of_ten(unsigned decimals)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    return powers[decimals];
}

bool sotto_grid_point(double value, unsigned decimals, int64_t *point)
{
    double power = sotto_power_of_ten(decimals), scaled = nearbyint(value * power);
    if (!(fabs(scaled) <= (double)SOTTO_GRID_LIMIT))
        return false;
    *point = (int64_t)scaled;
    /* Both operands are exact, so the quotient is the double that the decimal text reads as. */
    return scaled / power == value;
}

bool sotto_cell_number(const char *text, double *value)
{
    if (sotto_text_double(text, value))
        return true;
    bool negative = *text == '-';
    text += *text == '+' || *text == '-';
    if (strcasecmp(text, "nan") == 0)
        *value = NAN;
    else if (strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0)
        *value = negative ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

static size_t format_unsigned(uint64_t value, char *out)
{
    char reversed[20];
    size_t count = 0;
    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

size_t sotto_cell_format_point(int64_t point, unsigned decimals, char *out)
{
    uint64_t power = (uint64_t)sotto_power_of_ten(decimals);
    uint64_t size = point < 0 ? -(uint64_t)point : (uint64_t)point;
    size_t used = 0;
    if (point < 0)
        out[used++] = '-';
    used += format_unsigned(size / power, out + used);
    if (decimals == 0)
        return used;
    out[used++] = '.';
    uint64_t fraction = size % power;
    for (size_t i = decimals; i-- > 0; fraction /= 10)
        out[used + i] = (char)('0' + fraction % 10);
    return used + decimals;
}

/* ------------------------------------------------------------------- dates */

/* Days since 1970-01-01 of a day in the proleptic Gregorian calendar, years counted from March (H. Hinnant,
 * "chrono-compatible low-level date algorithms", 2013: days_from_civil and civil_from_days). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : lengths[month - 1];
}

static int two_digits(const char *at)
{
    return (at[0] - '0') * 10 + at[1] - '0';
}

bool sotto_cell_date(const char *text, int64_t *days)
{
    for (size_t i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? text[i] != '-' : !isdigit((unsigned char)text[i]))
            return false;
    int year = two_digits(text) * 100 + two_digits(text + 2);
    int month = two_digits(text + 5), day = two_digits(text + 8);
    if (text[10] != '\0' || year < 1 || month < 1 || month > 12 || day < 1 || day > month_length(year, month))
        return false;
    *days = days_of(year, month, day);
    return true;
}

static void write_digits(int64_t value, size_t count, char *out)
{
    for (size_t i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
}

size_t sotto_cell_format_date(int64_t days, char *out)
{
    int64_t shifted = days + 719468, era = shifted / 146097, day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    write_digits(year_of_era + era * 400 + (month <= 2), 4, out);
    out[4] = '-';
    write_digits(month, 2, out + 5);
    out[7] = '-';
    write_digits(day_of_year - (153 * march_month + 2) / 5 + 1, 2, out + 8);
    return 10;
}

size_t sotto_column_format_point(const sotto_column *column, int64_t point, char *out)
{
    if (column->type == SOTTO_COLUMN_DATE)
        return sotto_cell_format_date(point, out);
    return sotto_cell_format_point(point, column->decimals, out);
}
