/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Random streams: AES-256 in counter mode, the key of each stream derived by SHA-256 from one root of
 * operating-system entropy, the stream's purpose and a running number, so that no two streams share a key
 * (rule P8: keys are never stored; every process start draws a new root).
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/base.h"
#include "base/secret.h"

enum {
    KEY_BYTES = 32,
    BLOCK_BYTES = 16, /* of AES */
    BUFFER_BYTES = 4096,
    DIRECT_BYTES = 1024, /* from here on bytes go straight to the caller */
};

/* The process that a key was made in: a forked child must not repeat its parent's randomness, nor use a wiped
 * key that all would know. */
struct owner {
    pid_t process; /* 0 once the memory was wiped */
    bool ask;      /* the kernel does not wipe it in a forked child: ask each time whether this is one */
};

struct sotto_random {
    unsigned char key[KEY_BYTES];
    uint64_t streams; /* how many were made: part of the next one's key */
    bool private;
    struct owner owner;
};

struct sotto_stream {
    unsigned char key[KEY_BYTES];
    unsigned char buffer[BUFFER_BYTES];
    size_t used; /* bytes of the buffer already given out */
    EVP_CIPHER_CTX *cipher;
    SOTTO_TRACED(bool traced;)
    bool private;
    struct owner owner;
};

/* Nothing private may go on with a cipher that does not work: there is no status to ignore here. */
static void insist(bool condition)
{
    if (!condition) {
        static const char message[] =
            "sotto: libcrypto's AES failed, or a random stream crossed a fork; stopping\n";
        ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
        (void)written;
        abort();
    }
}

static struct owner owner_of(const void *memory)
{
    return (struct owner){.process = getpid(), .ask = !sotto_secret_forks_empty(memory)};
}

static void insist_on_owner(const struct owner *owner)
{
    insist(owner->process != 0 && (!owner->ask || owner->process == getpid()));
}

static sotto_status entropy(void *bytes, size_t count, sotto_error *err)
{
    if (getentropy(bytes, count) != 0)
        return sotto_error_set(err, SOTTO_ERROR_ENTROPY,
                               "the operating system gave no randomness (%s); nothing private may go on",
                               strerror(errno));
    return SOTTO_OK;
}

static void digest(const void *bytes, size_t length, unsigned char key[KEY_BYTES])
{
    sotto_hash hash;
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, bytes, length);
    sotto_hash_end(&hash, key);
}

/* ---- roots ---- */

sotto_status sotto_random_create(sotto_random **random, sotto_error *err)
{
    *random = NULL;
    sotto_random *made = sotto_secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for random keys");
    sotto_status status = entropy(made->key, KEY_BYTES, err);
    if (status != SOTTO_OK) {
        sotto_secret_give(made);
        return status;
    }
    made->private = true;
    made->owner = owner_of(made);
    *random = made;
    return SOTTO_OK;
}

sotto_status sotto_random_create_insecure_for_tests(sotto_random **random, uint64_t seed, sotto_error *err)
{
    *random = NULL;
    sotto_random *made = sotto_secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for random keys");
    unsigned char text[] = "sotto insecure test seed\0\0\0\0\0\0\0\0";
    for (size_t i = 0; i < 8; i++)
        text[sizeof text - 9 + i] = (unsigned char)(seed >> (8 * i));
    digest(text, sizeof text, made->key);
    made->private = false;
    made->owner = owner_of(made);
    *random = made;
    return SOTTO_OK;
}

void sotto_random_destroy(sotto_random *random)
{
    sotto_secret_give(random);
}

bool sotto_random_is_private(const sotto_random *random)
{
    return random->private;
}

/* ---- streams ---- */

/*
 * AES-256-CTR, found once: finding it takes memory, and what EVP_aes_256_ctr() gives would be looked for
 * again in each step. In a context of our own, since libcrypto's is left unusable, and its next user crashes,
 * where memory is short when it is first used. NULL where that happens here; asking again may help.
 */
static const EVP_CIPHER *find_cipher(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static OSSL_LIB_CTX *context;
    static EVP_CIPHER *cipher;
    (void)pthread_mutex_lock(&lock);
    if (!context)
        context = OSSL_LIB_CTX_new();
    if (context && !cipher)
        cipher = EVP_CIPHER_fetch(context, "AES-256-CTR", NULL);
    const EVP_CIPHER *found = cipher;
    (void)pthread_mutex_unlock(&lock);
    return found;
}

/* By its key, from the first block on. `cipher` is NULL where the stream has one already; then it cannot fail
 * for want of memory. */
static bool start_cipher(sotto_stream *stream, const EVP_CIPHER *cipher)
{
    static const unsigned char counter[16] = {0};
    stream->used = BUFFER_BYTES;
    return EVP_EncryptInit_ex2(stream->cipher, cipher, stream->key, counter, NULL) == 1;
}

sotto_status sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                 sotto_error *err)
{
    *stream = NULL;
    insist_on_owner(&random->owner);
    sotto_stream *made = sotto_secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a random stream");
    const EVP_CIPHER *cipher = find_cipher();
    made->cipher = cipher ? sotto_secret_cipher(made) : NULL;
    if (!made->cipher) {
        sotto_secret_give(made);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a random stream");
    }
    made->private = random->private;
    SOTTO_TRACED(made->traced = purpose == SOTTO_PURPOSE_NOISE || purpose == SOTTO_PURPOSE_SAMPLING;)
    made->owner = owner_of(made);
    unsigned char text[KEY_BYTES + 16];
    uint64_t number = random->streams++;
    memcpy(text, random->key, KEY_BYTES);
    for (size_t i = 0; i < 8; i++) {
        text[KEY_BYTES + i] = (unsigned char)((uint64_t)purpose >> (8 * i));
        text[KEY_BYTES + 8 + i] = (unsigned char)(number >> (8 * i));
    }
    digest(text, sizeof text, made->key);
    OPENSSL_cleanse(text, sizeof text);
    if (!start_cipher(made, cipher)) {
        sotto_secret_give(made);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                               "libcrypto could not start AES, out of memory perhaps");
    }
    *stream = made;
    return SOTTO_OK;
}

void sotto_stream_destroy(sotto_stream *stream)
{
    sotto_secret_give(stream);
}

sotto_status sotto_stream_refresh(sotto_stream *stream, sotto_error *err)
{
    if (!stream->private)
        return SOTTO_OK;
    unsigned char text[2 * KEY_BYTES];
    memcpy(text, stream->key, KEY_BYTES);
    sotto_status status = entropy(text + KEY_BYTES, KEY_BYTES, err);
    if (status == SOTTO_OK) {
        digest(text, sizeof text, stream->key);
        insist(start_cipher(stream, NULL)); /* which takes no memory */
    }
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

static void encrypt_zeros(sotto_stream *stream, unsigned char *bytes, size_t count)
{
    while (count > 0) {
        int piece = count > (1 << 14) ? 1 << 14 : (int)count; /* the zeros stay in the nearest cache */
        int written = 0;
        memset(bytes, 0, (size_t)piece);
        insist(EVP_EncryptUpdate(stream->cipher, bytes, &written, bytes, piece) == 1 && written == piece);
        SOTTO_TRACED(if (stream->traced) sotto_trace_key_stream(bytes, (size_t)piece);)
        bytes += piece;
        count -= (size_t)piece;
    }
}

/* Bytes that the buffer holds, and no longer. All that a stream gives out comes by here first. */
static inline void take_buffered(sotto_stream *stream, unsigned char *bytes, size_t count)
{
    insist_on_owner(&stream->owner);
    memcpy(bytes, stream->buffer + stream->used, count);
    memset(stream->buffer + stream->used, 0, count); /* never elided, for the buffer is read later */
    stream->used += count;
}

void sotto_stream_bytes(sotto_stream *stream, void *bytes, size_t count)
{
    unsigned char *out = bytes;
    const size_t ready = BUFFER_BYTES - stream->used;
    if (count <= ready) {
        take_buffered(stream, out, count);
        return;
    }
    take_buffered(stream, out, ready); /* perhaps none */
    const size_t rest = count - ready;
    const size_t direct = rest >= DIRECT_BYTES ? rest / BLOCK_BYTES * BLOCK_BYTES : 0;
    encrypt_zeros(stream, out + ready, direct);
    if (direct < rest) {
        encrypt_zeros(stream, stream->buffer, BUFFER_BYTES);
        stream->used = 0;
        take_buffered(stream, out + ready + direct, rest - direct);
    }
}

uint64_t sotto_stream_u64(sotto_stream *stream)
{
    uint64_t value;
    if (BUFFER_BYTES - stream->used >= sizeof value) {
        take_buffered(stream, (unsigned char *)&value, sizeof value);
    } else {
        sotto_stream_bytes(stream, &value, sizeof value);
    }
    return value;
}

double sotto_stream_uniform(sotto_stream *stream)
{
    return ((double)(sotto_stream_u64(stream) >> 12) + 0.5) * 0x1p-52;
}

uint64_t sotto_stream_below(sotto_stream *stream, uint64_t bound)
{
    uint64_t threshold = (0 - bound) % bound; /* 2^64 mod bound: the draws that would favour small values */
    for (;;) {
        uint64_t draw = sotto_stream_u64(stream);
        if (draw >= threshold)
            return draw % bound;
    }
}

bool sotto_stream_coin(sotto_stream *stream, double probability)
{
    uint64_t draw = sotto_stream_u64(stream);
    if (probability >= 1.0)
        return true;
    if (!(probability > 0.0))
        return false;
    return draw < (uint64_t)(probability * 0x1p64);
}
