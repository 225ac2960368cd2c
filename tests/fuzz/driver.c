/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Drives a fuzz target where there is no libFuzzer:
 *
 *     fuzz-accountant [--seconds N] CORPUS_DIRECTORY
 *
 * plays every file of the corpus once, and then for N seconds inputs spliced and mutated from it, at random
 * and blindly: it sees no coverage. The input that broke something is left in ./fuzz-crash.
 */

enum { MOST_BYTES = 512, MOST_FILES = 1024 };

typedef struct input {
    size_t size;
    uint8_t data[MOST_BYTES];
} input;

static input corpus[MOST_FILES];
static int files;
static input current; /* for the signal handler */
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % below;
}

static void keep_input(int signal_number)
{
    const int file = open("fuzz-crash", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file >= 0 && write(file, current.data, current.size) == (ssize_t)current.size)
        (void)close(file);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static bool read_corpus(const char *directory)
{
    DIR *listing = opendir(directory);
    if (!listing)
        return false;
    for (const struct dirent *entry; files < MOST_FILES && (entry = readdir(listing));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        FILE *file = fopen(path, "rb");
        if (!file)
            continue;
        corpus[files].size = fread(corpus[files].data, 1, MOST_BYTES, file);
        files++;
        (void)fclose(file);
    }
    (void)closedir(listing);
    return files > 0;
}

static void mutate(input *one)
{
    *one = corpus[draw((uint64_t)files)];
    if (draw(4) == 0) { /* the end of another behind the beginning of this */
        const input *other = &corpus[draw((uint64_t)files)];
        const size_t head = draw(one->size + 1), tail = draw(other->size + 1);
        const size_t length = tail < MOST_BYTES - head ? tail : MOST_BYTES - head;
        memcpy(one->data + head, other->data + other->size - tail, length);
        one->size = head + length;
    }
    for (uint64_t i = 0, times = 1 + draw(8); i < times; i++) {
        if (one->size < MOST_BYTES && draw(4) == 0)
            one->data[one->size++] = (uint8_t)draw(256);
        if (one->size > 0)
            one->data[draw(one->size)] = draw(4) ? (uint8_t)draw(256) : (uint8_t)draw(16);
    }
}

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void play(const input *one)
{
    current = *one;
    /* a block of its own size, so that a sanitizer sees what is read behind it */
    uint8_t *data = malloc(one->size ? one->size : 1);
    if (!data)
        return;
    memcpy(data, one->data, one->size);
    (void)LLVMFuzzerTestOneInput(data, one->size);
    free(data);
}

int main(int argc, char **argv)
{
    const bool timed = argc == 4 && strcmp(argv[1], "--seconds") == 0;
    const double seconds = timed ? strtod(argv[2], NULL) : 0.0;
    if (!(timed || argc == 2) || !read_corpus(argv[argc - 1])) {
        (void)fprintf(stderr, "usage: %s [--seconds N] CORPUS_DIRECTORY\n", argv[0]);
        return 2;
    }
    const int deadly[] = {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        (void)signal(deadly[i], keep_input);
    for (int i = 0; i < files; i++)
        play(&corpus[i]);
    seed = (uint64_t)time(NULL);
    unsigned long tried = 0;
    for (const double end = now() + seconds; now() < end; tried++) {
        static input one;
        mutate(&one);
        play(&one);
    }
    (void)printf("%d inputs of the corpus and %lu others were survived\n", files, tried);
    return 0;
}
