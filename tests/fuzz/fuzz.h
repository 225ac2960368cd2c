/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_FUZZ_H
#define SOTTO_FUZZ_H

/**
 * What a fuzz target is to whoever drives it: libFuzzer (clang -fsanitize=fuzzer) or driver.c beside this.
 */

#include <stddef.h>
#include <stdint.h>

/** Try one input; 0. Aborts where something is not as it must be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
