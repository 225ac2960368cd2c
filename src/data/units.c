/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * From the cells of an identifier to numbers of units. Cells are texts that anybody may have written, so they
 * are sorted and compared as they stand: no hash whose collisions could be made on purpose, no merging of two
 * people, and n log n comparisons whatever they are.
 */
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

/* No place among the texts: a row without an identifier. */
static const size_t none = SIZE_MAX;

typedef struct entry {
    const char *text;
    uint32_t row;
} entry;

static sotto_status no_memory(size_t rows, sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the identifiers of %zu rows", rows);
}

static bool make_room(sotto_unit_texts *texts, size_t length)
{
    if (texts->rows == texts->capacity) {
        const size_t capacity = texts->capacity ? texts->capacity + texts->capacity / 2 : 1024;
        size_t *larger = realloc(texts->at, capacity * sizeof *larger);
        if (!larger)
            return false;
        texts->at = larger;
        texts->capacity = capacity;
    }
    if (texts->size - texts->used < length) {
        const size_t size = 2 * (texts->used + length);
        char *larger = realloc(texts->bytes, size);
        if (!larger)
            return false;
        texts->bytes = larger;
        texts->size = size;
    }
    return true;
}

sotto_status sotto_unit_texts_add(sotto_unit_texts *texts, const char *text, sotto_error *err)
{
    const size_t length = text ? strlen(text) + 1 : 0;
    if (!make_room(texts, length))
        return no_memory(texts->rows, err);
    texts->at[texts->rows++] = text ? texts->used : none;
    if (text)
        memcpy(texts->bytes + texts->used, text, length);
    texts->used += length;
    return SOTTO_OK;
}

void sotto_unit_texts_release(sotto_unit_texts *texts)
{
    free(texts->bytes);
    free(texts->at);
    *texts = (sotto_unit_texts){0};
}

/* By text, and rows with the same text in the order of the table. */
static int by_text(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    const int order = strcmp(a->text, b->text);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

/* To `units` goes the first row that has the same text: the row itself where it has none. */
static void find_first_rows(const sotto_unit_texts *texts, entry *entries, uint32_t *units)
{
    size_t count = 0;
    for (size_t row = 0; row < texts->rows; row++) {
        units[row] = (uint32_t)row;
        if (texts->at[row] != none)
            entries[count++] = (entry){texts->bytes + texts->at[row], (uint32_t)row};
    }
    if (count > 0)
        qsort(entries, count, sizeof *entries, by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(entries[i - 1].text, entries[i].text) == 0)
            units[entries[i].row] = units[entries[i - 1].row];
}

sotto_status sotto_unit_texts_number(const sotto_unit_texts *texts, uint32_t **units, size_t *count,
                                     sotto_error *err)
{
    entry *entries = malloc(texts->rows * sizeof *entries + 1);
    uint32_t *numbers = malloc(texts->rows * sizeof *numbers + 1);
    if (!entries || !numbers) {
        free(entries);
        free(numbers);
        return no_memory(texts->rows, err);
    }
    find_first_rows(texts, entries, numbers);
    free(entries);
    *count = 0;
    for (size_t row = 0; row < texts->rows; row++)
        numbers[row] = numbers[row] == row ? (uint32_t)(*count)++ : numbers[numbers[row]];
    *units = numbers;
    return SOTTO_OK;
}
