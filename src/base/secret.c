/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/base.h"

/* The list is on the ordinary heap: in a forked child the secret pages themselves are empty. */
struct secret {
    void *memory;
    size_t bytes;
    bool forks_empty;
    EVP_CIPHER_CTX *cipher; /* NULL until there is one */
    struct secret *next;
};

static struct secret *secrets;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool watching; /* fork and exit */

/* ---- wiping all, at fork and exit ---- */

static void wipe(struct secret *secret)
{
    if (secret->cipher)
        (void)EVP_CIPHER_CTX_reset(secret->cipher); /* cleanses the round keys */
    OPENSSL_cleanse(secret->memory, secret->bytes);
}

static void wipe_all(void)
{
    for (struct secret *secret = secrets; secret; secret = secret->next)
        wipe(secret);
}

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    wipe_all();
    (void)pthread_mutex_unlock(&lock);
}

static void at_exit(void)
{
    (void)pthread_mutex_lock(&lock);
    wipe_all();
    (void)pthread_mutex_unlock(&lock);
}

static void watch(void)
{
    /* libcrypto registers its own clean-up first, so that ours, which needs it, runs before that. */
    watching = OPENSSL_init_crypto(0, NULL) == 1 && atexit(at_exit) == 0 &&
               pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

/* ---- pages ---- */

static size_t page_multiple(size_t bytes)
{
    const long page = sysconf(_SC_PAGESIZE);
    const size_t size = page > 0 ? (size_t)page : 4096;
    return (bytes + size - 1) / size * size;
}

/* Locked and kept out of core dumps and forked children where the system can. */
static void *take_pages(size_t bytes, bool *forks_empty)
{
    const size_t length = page_multiple(bytes);
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)mlock(memory, length); /* a low RLIMIT_MEMLOCK is no reason to refuse to train */
#ifdef MADV_DONTDUMP
    (void)madvise(memory, length, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
    *forks_empty = madvise(memory, length, MADV_WIPEONFORK) == 0;
#else
    *forks_empty = false;
#endif
    return memory;
}

void *sotto_secret_take(size_t bytes)
{
    if (pthread_once(&once, watch) != 0 || !watching)
        return NULL;
    struct secret *secret = calloc(1, sizeof *secret);
    if (!secret)
        return NULL;
    secret->bytes = bytes;
    secret->memory = take_pages(bytes, &secret->forks_empty);
    if (!secret->memory) {
        free(secret);
        return NULL;
    }
    (void)pthread_mutex_lock(&lock);
    secret->next = secrets;
    secrets = secret;
    (void)pthread_mutex_unlock(&lock);
    return secret->memory;
}

/* The link that leads to `memory`: the list is as short as the streams that live. The lock is held. */
static struct secret **find(const void *memory)
{
    struct secret **link = &secrets;
    while ((*link)->memory != memory)
        link = &(*link)->next;
    return link;
}

EVP_CIPHER_CTX *sotto_secret_cipher(void *memory)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    (void)pthread_mutex_lock(&lock);
    (*find(memory))->cipher = cipher;
    (void)pthread_mutex_unlock(&lock);
    return cipher;
}

bool sotto_secret_forks_empty(const void *memory)
{
    (void)pthread_mutex_lock(&lock);
    const bool empty = (*find(memory))->forks_empty;
    (void)pthread_mutex_unlock(&lock);
    return empty;
}

void sotto_secret_give(void *memory)
{
    if (!memory)
        return;
    (void)pthread_mutex_lock(&lock);
    struct secret **link = find(memory);
    struct secret *secret = *link;
    *link = secret->next;
    (void)pthread_mutex_unlock(&lock);
    wipe(secret);
    EVP_CIPHER_CTX_free(secret->cipher);
    (void)munmap(memory, page_multiple(secret->bytes));
    free(secret);
}

/* ---- core dumps ---- */

sotto_status sotto_random_forbid_dumps(sotto_error *err)
{
    const struct rlimit none = {0, 0};
    bool done = setrlimit(RLIMIT_CORE, &none) == 0;
#ifdef __linux__
    /* The limit does not hold for dumps that the kernel hands to a program; this does. */
    done = done && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
#endif
    return done ? SOTTO_OK
                : sotto_error_set(err, SOTTO_ERROR_IO,
                                  "core dumps could not be forbidden (%s); keys might be written to disk",
                                  strerror(errno));
}
