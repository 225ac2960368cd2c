/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_SECRET_H
#define SOTTO_BASE_SECRET_H

/**
 * Memory that keys live in: pages of their own, locked and kept out of core dumps where the system can, and a
 * list of all of them. What is on the list is wiped in every forked child and when the process exits,
 * libcrypto's copies of the keys with it.
 */

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

/** `bytes` zeroed bytes on the list; NULL where memory is short. Thread-safe, like the other two. */
void *sotto_secret_take(size_t bytes);

/**
 * A cipher that belongs to `memory`: reset whenever that is wiped, freed when that is given back. NULL where
 * memory is short.
 */
EVP_CIPHER_CTX *sotto_secret_cipher(void *memory);

/** True where the kernel itself wipes `memory` in whatever is forked, even past the C library. */
bool sotto_secret_forks_empty(const void *memory);

/** Wipe and free. NULL is allowed. */
void sotto_secret_give(void *memory);

#endif
