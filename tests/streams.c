/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "streams.h"

#include <openssl/sha.h>
#include <string.h>

enum { MOST = 512, MOST_KEYS = 8192, KEY = 32 };

static struct {
    sotto_stream **place; /* where its owner keeps it */
    sotto_stream *stream;
    sotto_purpose purpose;
} alive[MOST];
static size_t count_alive;

static unsigned char keys[MOST_KEYS][KEY];
static size_t key_count;

/* What begins with a key: a root or a stream. */
static void note(const void *holder)
{
    if (key_count > 0 && memcmp(keys[key_count - 1], holder, KEY) == 0)
        return;
    ck_assert_uint_lt(key_count, MOST_KEYS);
    memcpy(keys[key_count++], holder, KEY);
}

const unsigned char *streams_keys(size_t *count)
{
    *count = key_count;
    return keys[0];
}

sotto_status __wrap_sotto_stream_refresh(sotto_stream *stream, sotto_error *err)
{
    const sotto_status status = __real_sotto_stream_refresh(stream, err);
    note(stream);
    return status;
}

sotto_status __wrap_sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                        sotto_error *err)
{
    const sotto_status status = __real_sotto_stream_create(stream, random, purpose, err);
    if (status == SOTTO_OK) {
        ck_assert_uint_lt(count_alive, MOST);
        alive[count_alive].place = stream;
        alive[count_alive].stream = *stream;
        alive[count_alive++].purpose = purpose;
        note(random);
        note(*stream);
    }
    return status;
}

void __wrap_sotto_stream_destroy(sotto_stream *stream)
{
    size_t kept = 0;
    for (size_t i = 0; i < count_alive; i++)
        if (alive[i].stream != stream)
            alive[kept++] = alive[i];
    count_alive = kept;
    __real_sotto_stream_destroy(stream);
}

size_t streams_alive(void)
{
    return count_alive;
}

void streams_renew(size_t first, size_t count, uint64_t seed)
{
    sotto_random *random;
    ck_assert_uint_le(first + count, count_alive);
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    for (size_t i = first; i < first + count; i++) {
        ck_assert_ptr_eq(*alive[i].place, alive[i].stream);
        __real_sotto_stream_destroy(alive[i].stream);
        ck_assert_int_eq(__real_sotto_stream_create(alive[i].place, random, alive[i].purpose, NULL),
                         SOTTO_OK);
        alive[i].stream = *alive[i].place;
    }
    sotto_random_destroy(random);
}

const unsigned char *streams_key(size_t number)
{
    ck_assert_uint_lt(number, count_alive);
    return (const unsigned char *)alive[number].stream;
}

void streams_know_keys(void)
{
    unsigned char text[32 + 16] = {0}, key[32];
    sotto_random *random;
    sotto_stream *stream;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 5, NULL), SOTTO_OK);
    memcpy(text, random, 32);
    text[32] = SOTTO_PURPOSE_NOISE;
    SHA256(text, sizeof text, key);
    ck_assert_int_eq(__real_sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    ck_assert_mem_eq(stream, key, sizeof key);
    __real_sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
