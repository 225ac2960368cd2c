/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The trace of a traced command. SOTTO_TRACE_FILE names the file to which each access to real rows is
 * appended as one record of 64 bytes: how many uses, and the label they were charged by. Beside it, in
 * FILE.noise, lie 16 bytes of SHA-256 of each 1024 bytes of the key streams of noise and of sampling coins.
 * Records go out by one write each, past all of stdio, so that what was traced is on the file when the
 * process is killed at the next instruction.
 *
 * An instrument must not be silent: where it cannot write, the process ends. Its descriptors are moved out of
 * the way of what the process opens, and of the faults that the tests inject (fault.c).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "torture.h"

enum { PIECE = 1024 };

struct access_record {
    uint64_t count;
    char label[56];
};

static int accesses = -1, noise = -1;

static void insist(int sound)
{
    static const char message[] = "sotto-traced: cannot write the trace\n";
    if (sound)
        return;
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written;
    abort();
}

static int open_far(const char *path, const char *ending)
{
    char name[4096];
    insist(snprintf(name, sizeof name, "%s%s", path, ending) < (int)sizeof name);
    const int near = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    insist(near >= 0);
    const int far = fcntl(near, F_DUPFD_CLOEXEC, TORTURE_DESCRIPTORS);
    insist(far >= 0);
    (void)close(near);
    return far;
}

/* Before main, so that no fault meets it. */
__attribute__((constructor)) static void open_trace(void)
{
    const char *path = getenv("SOTTO_TRACE_FILE");
    if (!path)
        return;
    accesses = open_far(path, "");
    noise = open_far(path, ".noise");
}

void sotto_trace_access(const char *label, uint64_t count)
{
    struct access_record record = {.count = count};
    if (accesses < 0)
        return;
    (void)snprintf(record.label, sizeof record.label, "%s", label);
    insist(write(accesses, &record, sizeof record) == sizeof record);
}

/* The first piece of a key's stream is the same 1024 bytes however they are asked for, so a key that is used
 * twice shows. */
void sotto_trace_key_stream(const unsigned char *bytes, size_t count)
{
    unsigned char hashes[16 * 32];
    size_t used = 0;
    if (noise < 0)
        return;
    for (size_t first = 0; first < count; first += PIECE) {
        unsigned char digest[32];
        sotto_hash hash;
        sotto_hash_begin(&hash);
        sotto_hash_add(&hash, bytes + first, count - first < PIECE ? count - first : PIECE);
        sotto_hash_end(&hash, digest);
        insist(used + 16 <= sizeof hashes);
        memcpy(hashes + used, digest, 16);
        used += 16;
    }
    insist(write(noise, hashes, used) == (ssize_t)used);
}
