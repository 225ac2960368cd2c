/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "patch.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

unsigned patch_byte(patch_input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

patch_text patch_copy(const void *bytes, size_t length)
{
    patch_text text = {.length = length, .room = 2 * length + 4096};
    text.bytes = malloc(text.room);
    REQUIRE(text.bytes);
    memcpy(text.bytes, bytes, length);
    return text;
}

void patch_free(patch_text *text)
{
    free(text->bytes);
    *text = (patch_text){0};
}

/* Anywhere, the end included; small files are addressed by what the first byte says. */
static size_t place(const patch_text *text, patch_input *input)
{
    size_t at = patch_byte(input);
    at = at << 8 | patch_byte(input);
    at = at << 8 | patch_byte(input);
    return at % (text->length + 1);
}

static void overwrite(patch_text *text, size_t at, const void *bytes, size_t count)
{
    const size_t room = text->length - at;
    memcpy(text->bytes + at, bytes, count < room ? count : room);
}

static void insert(patch_text *text, size_t at, const void *bytes, size_t count)
{
    if (count > text->room - text->length)
        return;
    memmove(text->bytes + at + count, text->bytes + at, text->length - at);
    memcpy(text->bytes + at, bytes, count);
    text->length += count;
}

static void leave_out(patch_text *text, size_t at, size_t count)
{
    count = count < text->length - at ? count : text->length - at;
    memmove(text->bytes + at, text->bytes + at + count, text->length - at - count);
    text->length -= count;
}

/* Eight bytes that are an odd number in one way or another. */
static void put_special(patch_text *text, size_t at, unsigned which)
{
    static const uint64_t wholes[] = {
        0, 1, UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 53) + 1, 1 << 16, UINT32_MAX, 255};
    static const double doubles[] = {NAN, INFINITY, -INFINITY, -1.0, DBL_MAX, 1e-320, 0.5, 2.0};
    static const float floats[] = {NAN, INFINITY, -INFINITY, -1.0f, FLT_MAX, 1e-44f, 0.5f, 2.0f};
    switch (which >> 3 & 3) {
    case 0:
        overwrite(text, at, &wholes[which & 7], sizeof *wholes);
        break;
    case 1:
        overwrite(text, at, &doubles[which & 7], sizeof *doubles);
        break;
    case 2:
        overwrite(text, at, &floats[which & 7], sizeof *floats);
        break;
    default:
        overwrite(text, at, &wholes[which & 7], sizeof(uint32_t));
    }
}

static void put_word(patch_text *text, size_t at, unsigned which, const char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    const char *word = words[which % count];
    insert(text, at, word, strlen(word));
}

static void move(patch_text *text, size_t from, size_t to, size_t count)
{
    uint8_t piece[1024];
    count = count < text->length - from ? count : text->length - from;
    memcpy(piece, text->bytes + from, count);
    insert(text, to, piece, count);
}

void patch_change(patch_text *text, patch_input *input, const char *const *words)
{
    const unsigned what = patch_byte(input) % 8;
    const size_t at = place(text, input);
    const uint8_t argument = (uint8_t)patch_byte(input);
    uint8_t flipped;
    switch (what) {
    case 0:
        overwrite(text, at, &argument, 1);
        break;
    case 1:
        flipped = (uint8_t)((at < text->length ? text->bytes[at] : 0) ^ 1 << argument % 8);
        overwrite(text, at, &flipped, 1);
        break;
    case 2:
        put_special(text, at, argument);
        break;
    case 3:
        leave_out(text, at, argument);
        break;
    case 4:
        insert(text, at, &argument, 1);
        break;
    case 5:
        move(text, at, place(text, input), 4 * (size_t)argument);
        break;
    case 6:
        if (words)
            put_word(text, at, argument, words);
        else
            overwrite(text, at, &argument, 1);
        break;
    default: /* cut, but seldom */
        if (argument == 0)
            text->length = at;
        else
            overwrite(text, at, input->data, input->size < argument % 32 ? input->size : argument % 32);
    }
}

void patch_append(patch_text *text, const void *bytes, size_t length)
{
    insert(text, text->length, bytes, length);
}

void patch_seal(patch_text *text)
{
    char digest[65];
    sotto_sha256_hex(text->bytes, text->length, digest);
    patch_append(text, digest, 64);
}

const char *patch_file(const patch_text *text)
{
    static int file = -1;
    static char path[32];
    if (file < 0) {
        file = memfd_create("fuzz", MFD_CLOEXEC);
        REQUIRE(file >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    REQUIRE(ftruncate(file, 0) == 0);
    REQUIRE(pwrite(file, text->bytes, text->length, 0) == (ssize_t)text->length);
    return path;
}
