/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Random streams: AES-256 in counter mode, the key of each stream derived by SHA-256 from one root of
 * operating-system entropy, the stream's purpose and a running number, so that no two streams share a key
 * (rule P8: keys are never stored; every process start draws a new root).
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/base.h"

enum { KEY_BYTES = 32, BUFFER_BYTES = 4096 };

struct sotto_random {
    unsigned char key[KEY_BYTES];
    uint64_t streams; /* how many were made: part of the next one's key */
    bool private;
    pid_t owner; /* in a forked child the key is wiped, and a stream of it would be known to all */
};

struct sotto_stream {
    unsigned char key[KEY_BYTES];
    unsigned char buffer[BUFFER_BYTES];
    size_t used; /* bytes of the buffer already given out */
    EVP_CIPHER_CTX *cipher;
    bool private;
    pid_t owner; /* a forked child must not repeat its parent's randomness */
};

/* ---- memory that secrets live in ---- */

static size_t page_multiple(size_t bytes)
{
    long page = sysconf(_SC_PAGESIZE);
    size_t size = page > 0 ? (size_t)page : 4096;
    return (bytes + size - 1) / size * size;
}

/* Pages of their own: locked and kept out of core dumps and forked children where the system can. */
static void *secret_take(size_t bytes)
{
    size_t length = page_multiple(bytes);
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)mlock(memory, length); /* a low RLIMIT_MEMLOCK is no reason to refuse to train */
#ifdef MADV_DONTDUMP
    (void)madvise(memory, length, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
    (void)madvise(memory, length, MADV_WIPEONFORK);
#endif
    return memory;
}

static void secret_give(void *memory, size_t bytes)
{
    if (!memory)
        return;
    OPENSSL_cleanse(memory, bytes);
    (void)munmap(memory, page_multiple(bytes));
}

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

static sotto_status entropy(void *bytes, size_t count, sotto_error *err)
{
    if (getentropy(bytes, count) != 0)
        return sotto_error_set(err, SOTTO_ERROR_ENTROPY,
                               "the operating system gave no randomness (%s); nothing private may go on",
                               strerror(errno));
    return SOTTO_OK;
}

/* ---- roots ---- */

sotto_status sotto_random_create(sotto_random **random, sotto_error *err)
{
    *random = NULL;
    sotto_random *made = secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for random keys");
    sotto_status status = entropy(made->key, KEY_BYTES, err);
    if (status != SOTTO_OK) {
        secret_give(made, sizeof *made);
        return status;
    }
    made->private = true;
    made->owner = getpid();
    *random = made;
    return SOTTO_OK;
}

sotto_status sotto_random_create_insecure_for_tests(sotto_random **random, uint64_t seed, sotto_error *err)
{
    *random = NULL;
    sotto_random *made = secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for random keys");
    unsigned char text[] = "sotto insecure test seed\0\0\0\0\0\0\0\0";
    for (size_t i = 0; i < 8; i++)
        text[sizeof text - 9 + i] = (unsigned char)(seed >> (8 * i));
    SHA256(text, sizeof text, made->key);
    made->private = false;
    made->owner = getpid();
    *random = made;
    return SOTTO_OK;
}

void sotto_random_destroy(sotto_random *random)
{
    secret_give(random, sizeof *random);
}

bool sotto_random_is_private(const sotto_random *random)
{
    return random->private;
}

/* ---- streams ---- */

static void start_cipher(sotto_stream *stream)
{
    static const unsigned char counter[16] = {0};
    insist(EVP_EncryptInit_ex2(stream->cipher, EVP_aes_256_ctr(), stream->key, counter, NULL) == 1);
    stream->used = BUFFER_BYTES;
}

sotto_status sotto_stream_create(sotto_stream **stream, sotto_random *random, sotto_purpose purpose,
                                 sotto_error *err)
{
    *stream = NULL;
    insist(random->owner == getpid());
    sotto_stream *made = secret_take(sizeof *made);
    if (!made)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a random stream");
    made->cipher = EVP_CIPHER_CTX_new();
    if (!made->cipher) {
        secret_give(made, sizeof *made);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a random stream");
    }
    made->private = random->private;
    made->owner = getpid();
    unsigned char text[KEY_BYTES + 16];
    uint64_t number = random->streams++;
    memcpy(text, random->key, KEY_BYTES);
    for (size_t i = 0; i < 8; i++) {
        text[KEY_BYTES + i] = (unsigned char)((uint64_t)purpose >> (8 * i));
        text[KEY_BYTES + 8 + i] = (unsigned char)(number >> (8 * i));
    }
    SHA256(text, sizeof text, made->key);
    OPENSSL_cleanse(text, sizeof text);
    start_cipher(made);
    *stream = made;
    return SOTTO_OK;
}

void sotto_stream_destroy(sotto_stream *stream)
{
    if (!stream)
        return;
    EVP_CIPHER_CTX_free(stream->cipher);
    secret_give(stream, sizeof *stream);
}

sotto_status sotto_stream_refresh(sotto_stream *stream, sotto_error *err)
{
    if (!stream->private)
        return SOTTO_OK;
    unsigned char text[2 * KEY_BYTES];
    memcpy(text, stream->key, KEY_BYTES);
    sotto_status status = entropy(text + KEY_BYTES, KEY_BYTES, err);
    if (status == SOTTO_OK) {
        SHA256(text, sizeof text, stream->key);
        start_cipher(stream);
    }
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

static void encrypt_zeros(sotto_stream *stream, unsigned char *bytes, size_t count)
{
    while (count > 0) {
        int piece = count > (1 << 20) ? 1 << 20 : (int)count;
        int written = 0;
        memset(bytes, 0, (size_t)piece);
        insist(EVP_EncryptUpdate(stream->cipher, bytes, &written, bytes, piece) == 1 && written == piece);
        bytes += piece;
        count -= (size_t)piece;
    }
}

void sotto_stream_bytes(sotto_stream *stream, void *bytes, size_t count)
{
    insist(stream->owner == getpid());
    unsigned char *out = bytes;
    size_t ready = BUFFER_BYTES - stream->used;
    size_t first = count < ready ? count : ready;
    memcpy(out, stream->buffer + stream->used, first);
    OPENSSL_cleanse(stream->buffer + stream->used, first);
    stream->used += first;
    if (first == count)
        return;
    size_t whole = (count - first) / BUFFER_BYTES * BUFFER_BYTES;
    encrypt_zeros(stream, out + first, whole);
    size_t rest = count - first - whole;
    if (rest > 0) {
        encrypt_zeros(stream, stream->buffer, BUFFER_BYTES);
        memcpy(out + first + whole, stream->buffer, rest);
        OPENSSL_cleanse(stream->buffer, rest);
        stream->used = rest;
    }
}

uint64_t sotto_stream_u64(sotto_stream *stream)
{
    uint64_t value;
    sotto_stream_bytes(stream, &value, sizeof value);
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
