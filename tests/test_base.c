/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "suite.h"

static sotto_stream *test_stream(uint64_t seed, sotto_purpose purpose)
{
    sotto_random *random;
    sotto_stream *stream;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, purpose, NULL), SOTTO_OK);
    sotto_random_destroy(random);
    return stream;
}

START_TEST(error_carries_place_and_message)
{
    sotto_error err = {0};
    ck_assert_int_eq(sotto_error_set_at(&err, SOTTO_ERROR_INPUT, "a.yaml", 3, 7, "found %d", 5),
                     SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, "a.yaml");
    ck_assert_uint_eq(err.line, 3);
    ck_assert_uint_eq(err.column, 7);
    ck_assert_str_eq(err.message, "found 5");
    ck_assert_int_eq(sotto_error_set(NULL, SOTTO_ERROR_IO, "no receiver"), SOTTO_ERROR_IO);
}
END_TEST

/* A record of JSON can hold whatever a message says, cut names and foreign bytes too. */
START_TEST(messages_are_text)
{
    static const struct {
        const char *given, *kept;
    } cases[] = {
        {"\u540d\u524d", "\u540d\u524d"},
        {"\u540d\xe5\x89", "\u540d??"},
        {"caf\xe9 \u00e9", "caf? \u00e9"},
        {"\xc0\x80", "??"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xe0\x80\x80", "???"},
        {"\U0001f600", "\U0001f600"},
        {"\xff", "?"},
    };
    char name[3 * 400 + 1] = "";
    sotto_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)sotto_error_set(&err, SOTTO_ERROR_INPUT, "%s", cases[i].given);
        ck_assert_str_eq(err.message, cases[i].kept);
    }
    for (size_t i = 0; i < 400; i++)
        memcpy(name + 3 * i, "\u540d", 3);
    (void)sotto_error_set(&err, SOTTO_ERROR_INPUT, "ab%s", name);
    ck_assert_uint_eq(strlen(err.message), sizeof err.message - 1);
    ck_assert_str_eq(err.message + sizeof err.message - 1 - 4, "\u540d?"); /* 637 = 3·212 + 1 */
}
END_TEST

START_TEST(arena_aligns_zeroes_and_refuses_overflow)
{
    sotto_arena *arena;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_arena_create(&arena, NULL), SOTTO_OK);
    for (size_t count = 0; count < 3000; count += 37) {
        unsigned char *bytes = sotto_arena_take(arena, count, 3, NULL);
        ck_assert_ptr_nonnull(bytes);
        ck_assert_uint_eq((uintptr_t)bytes % 64, 0);
        size_t zeros = 0;
        while (zeros < 3 * count && bytes[zeros] == 0)
            zeros++;
        ck_assert_uint_eq(zeros, 3 * count);
        memset(bytes, 0xAB, 3 * count);
    }
    ck_assert_ptr_nonnull(sotto_arena_take(arena, 1, 1 << 20, NULL));
    ck_assert_ptr_null(sotto_arena_take(arena, SIZE_MAX / 2, 4, &err));
    ck_assert_int_eq(err.code, SOTTO_ERROR_MEMORY);
    ck_assert_str_eq(sotto_arena_copy(arena, "voce", 3, NULL), "voc");
    sotto_arena_destroy(arena);
}
END_TEST

START_TEST(streams_do_not_depend_on_how_bytes_are_asked_for)
{
    unsigned char whole[20000];
    unsigned char parts[20000];
    sotto_stream *a = test_stream(5, SOTTO_PURPOSE_NOISE);
    sotto_stream *b = test_stream(5, SOTTO_PURPOSE_NOISE);
    sotto_stream_bytes(a, whole, sizeof whole);
    size_t sizes[] = {1, 7, 4096, 4095, 1, 64, 5000};
    size_t at = 0;
    for (size_t i = 0; at < sizeof parts; i = (i + 1) % 7) {
        size_t count = sizes[i] < sizeof parts - at ? sizes[i] : sizeof parts - at;
        sotto_stream_bytes(b, parts + at, count);
        at += count;
    }
    ck_assert_mem_eq(whole, parts, sizeof whole);
    sotto_stream_destroy(a);
    sotto_stream_destroy(b);
}
END_TEST

/* 2,000 keys by purpose, running number, and root: the first 16 bytes of all streams differ. */
START_TEST(streams_never_share_a_key)
{
    enum { STREAMS = 2000 };
    static unsigned char heads[STREAMS][16];
    for (size_t i = 0; i < STREAMS;) {
        sotto_random *random;
        ck_assert_int_eq(sotto_random_create(&random, NULL), SOTTO_OK);
        ck_assert(sotto_random_is_private(random));
        for (size_t k = 0; k < 100; k++, i++) {
            sotto_stream *stream;
            sotto_purpose purpose = k % 2 ? SOTTO_PURPOSE_NOISE : SOTTO_PURPOSE_SAMPLING;
            ck_assert_int_eq(sotto_stream_create(&stream, random, purpose, NULL), SOTTO_OK);
            sotto_stream_bytes(stream, heads[i], sizeof heads[i]);
            sotto_stream_destroy(stream);
        }
        sotto_random_destroy(random);
    }
    size_t shared = 0;
    for (size_t i = 0; i < STREAMS; i++)
        for (size_t k = i + 1; k < STREAMS; k++)
            shared += memcmp(heads[i], heads[k], sizeof heads[i]) == 0;
    ck_assert_uint_eq(shared, 0);
}
END_TEST

START_TEST(refresh_changes_a_private_stream)
{
    sotto_random *random;
    sotto_stream *stream;
    unsigned char before[32];
    unsigned char after[32];
    ck_assert_int_eq(sotto_random_create(&random, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    sotto_stream_bytes(stream, before, sizeof before);
    ck_assert_int_eq(sotto_stream_refresh(stream, NULL), SOTTO_OK);
    sotto_stream_bytes(stream, after, sizeof after);
    ck_assert(memcmp(before, after, sizeof before) != 0);
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

/* A child that went on with its parent's stream would reuse noise, and a stream of the wiped root would be
 * known to all: it must die instead. */
START_TEST(forked_child_cannot_use_the_stream)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        sotto_random *random;
        sotto_stream *stream;
        ck_assert_int_eq(sotto_random_create(&random, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            (void)freopen("/dev/null", "w", stderr);
            if (fresh)
                (void)sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL);
            else
                (void)sotto_stream_u64(stream);
            _exit(0);
        }
        int result = 0;
        ck_assert_int_eq(waitpid(child, &result, 0), child);
        ck_assert(!(WIFEXITED(result) && WEXITSTATUS(result) == 0));
        sotto_stream_destroy(stream);
        sotto_random_destroy(random);
    }
}
END_TEST

/* How often `needle`, each byte of it flipped so that it is not found itself, is in the process's writable
 * memory. */
static size_t occurrences(const unsigned char flipped[32])
{
    enum { CHUNK = 1 << 16 };
    static unsigned char bytes[CHUNK + 32];
    char line[512];
    size_t found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    FILE *memory = fopen("/proc/self/mem", "r");
    ck_assert(maps && memory);
    (void)setvbuf(memory, NULL, _IONBF, 0); /* which would hold what it read */
    while (fgets(line, sizeof line, maps)) {
        unsigned long first;
        unsigned long last;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &first, &last, mode) != 3 || strncmp(mode, "rw", 2) != 0)
            continue;
        for (unsigned long at = first; at < last; at += CHUNK) {
            size_t want = last - at < CHUNK + 31 ? last - at : CHUNK + 31;
            if (at <= (unsigned long)bytes && (unsigned long)bytes < at + want)
                continue; /* where this function reads to */
            size_t got = fseeko(memory, (off_t)at, SEEK_SET) == 0 ? fread(bytes, 1, want, memory) : 0;
            for (size_t i = 0; i + 32 <= got; i++) {
                size_t k = 0;
                while (k < 32 && bytes[i + k] == (unsigned char)~flipped[k])
                    k++;
                found += k == 32;
            }
        }
    }
    (void)fclose(maps);
    (void)fclose(memory);
    return found;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_CAN_BE_READ 0 /* the shadow is terabytes */
#elif defined(__linux__)
#define MEMORY_CAN_BE_READ 1
#else
#define MEMORY_CAN_BE_READ 0
#endif

/* A stream begins with its key, and an AES-256 key schedule with the key: the parent's memory has both, that
 * of a forked child neither. */
START_TEST(forked_child_has_no_key)
{
    sotto_random *random;
    sotto_stream *stream;
    unsigned char flipped[32];
    unsigned char nothing[32] = {0};
    ck_assert_int_eq(sotto_random_create(&random, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    (void)sotto_stream_u64(stream);
    for (size_t i = 0; i < 32; i++)
        flipped[i] = (unsigned char)~((unsigned char *)stream)[i];
    ck_assert(!MEMORY_CAN_BE_READ || occurrences(flipped) >= 2);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        bool wiped = memcmp(stream, nothing, 32) == 0 && memcmp(random, nothing, 32) == 0;
        bool gone = !MEMORY_CAN_BE_READ || occurrences(flipped) == 0;
        sotto_stream_destroy(stream); /* what a child is left with it may free */
        sotto_random_destroy(random);
        _exit(wiped && gone ? 0 : 1);
    }
    int result = 0;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    (void)sotto_stream_u64(stream); /* and the parent goes on */
    sotto_stream_destroy(stream);
    sotto_random_destroy(random);
}
END_TEST

static sotto_stream *left_behind;
static unsigned char key_left_behind[32];

static void look_after_exit(void)
{
    unsigned char nothing[32] = {0};
    bool wiped = memcmp(left_behind, nothing, 32) == 0;
    _exit(wiped && (!MEMORY_CAN_BE_READ || occurrences(key_left_behind) == 0) ? 0 : 1);
}

/* Handlers of exit run last first: this one, registered before the first key, sees what the keys' left. */
START_TEST(exit_wipes_what_was_not_destroyed)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        sotto_random *random;
        if (atexit(look_after_exit) != 0 || sotto_random_create(&random, NULL) != SOTTO_OK ||
            sotto_stream_create(&left_behind, random, SOTTO_PURPOSE_NOISE, NULL) != SOTTO_OK)
            _exit(2);
        for (size_t i = 0; i < 32; i++)
            key_left_behind[i] = (unsigned char)~((unsigned char *)left_behind)[i];
        exit(MEMORY_CAN_BE_READ && occurrences(key_left_behind) < 2 ? 3 : 4);
    }
    int result = 0;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
}
END_TEST

START_TEST(dumps_can_be_forbidden)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct rlimit limit;
        bool done = sotto_random_forbid_dumps(NULL) == SOTTO_OK && getrlimit(RLIMIT_CORE, &limit) == 0 &&
                    limit.rlim_cur == 0 && limit.rlim_max == 0;
#ifdef __linux__
        done = done && prctl(PR_GET_DUMPABLE) == 0;
#endif
        _exit(done ? 0 : 1);
    }
    int result = 0;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}
END_TEST

/* Binomial(10^5, p) within 6 standard deviations: false-alarm rate below 1e-8 for each p. */
START_TEST(coins_are_fair)
{
    static const double probabilities[] = {0.0, 1e-3, 0.25, 0.5, 0.9, 1.0};
    sotto_stream *stream = test_stream(11, SOTTO_PURPOSE_SAMPLING);
    for (size_t k = 0; k < 6; k++) {
        double p = probabilities[k];
        int heads = 0;
        for (int i = 0; i < 100000; i++)
            heads += sotto_stream_coin(stream, p);
        ck_assert_double_le(fabs(heads - 1e5 * p), 6 * sqrt(1e5 * p * (1 - p)));
    }
    ck_assert(!sotto_stream_coin(stream, NAN));
    sotto_stream_destroy(stream);
}
END_TEST

/* Each of 7 faces within 6 standard deviations of 10^5/7: false-alarm rate below 2e-8. */
START_TEST(below_is_uniform)
{
    int faces[7] = {0};
    sotto_stream *stream = test_stream(12, SOTTO_PURPOSE_GENERATION);
    for (int i = 0; i < 100000; i++)
        faces[sotto_stream_below(stream, 7)]++;
    for (size_t i = 0; i < 7; i++)
        ck_assert_double_le(fabs(faces[i] - 1e5 / 7), 6 * sqrt(1e5 / 7 * 6 / 7));
    ck_assert_uint_eq(sotto_stream_below(stream, 1), 0);
    sotto_stream_destroy(stream);
}
END_TEST

/*
 * 10^6 draws: mean and second moment within 6 standard errors, fourth within 7, and the Kolmogorov–Smirnov
 * distance under 2.8/√n (false-alarm rate about 3e-7 in all).
 */
static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

START_TEST(gaussian_draws_are_gaussian)
{
    enum { DRAWS = 1000000 };
    float *draws = malloc(DRAWS * sizeof *draws);
    sotto_stream *stream = test_stream(14, SOTTO_PURPOSE_NOISE);
    double moments[5] = {0};
    ck_assert_ptr_nonnull(draws);
    for (size_t at = 0, size = 1; at < DRAWS; at += size, size = size * 3 % 1009 + 1) {
        size = size < DRAWS - at ? size : DRAWS - at;
        sotto_stream_gaussian(stream, 2.0, draws + at, size);
    }
    for (size_t i = 0; i < DRAWS; i++) {
        double z = draws[i] / 2.0;
        for (int k = 1; k <= 4; k++)
            moments[k] += pow(z, k) / DRAWS;
    }
    ck_assert_double_le(fabs(moments[1]), 6 / sqrt(DRAWS));
    ck_assert_double_le(fabs(moments[2] - 1), 6 * sqrt(2.0 / DRAWS));
    ck_assert_double_le(fabs(moments[3]), 6 * sqrt(15.0 / DRAWS));
    ck_assert_double_le(fabs(moments[4] - 3), 7 * sqrt(96.0 / DRAWS));
    qsort(draws, DRAWS, sizeof *draws, ascending);
    double distance = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        double cdf = 0.5 * erfc(-draws[i] / 2.0 / sqrt(2));
        distance = fmax(distance, fmax(fabs(cdf - (double)i / DRAWS), fabs(cdf - (i + 1.0) / DRAWS)));
    }
    ck_assert_double_le(distance, 2.8 / sqrt(DRAWS));
    sotto_stream_destroy(stream);
    free(draws);
}
END_TEST

START_TEST(files_appear_whole_or_not_at_all)
{
    char folder[] = "/tmp/sotto-test-XXXXXX";
    char path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/file", folder);
    sotto_atomic_file *file;
    ck_assert_int_eq(sotto_atomic_file_open(&file, path, 0600, NULL), SOTTO_OK);
    (void)fputs("first", sotto_atomic_file_stream(file));
    ck_assert_int_ne(access(path, F_OK), 0);
    sotto_atomic_file_abandon(file);
    ck_assert_int_ne(access(path, F_OK), 0);
    mode_t old = umask(077);
    ck_assert_int_eq(sotto_file_write(path, 0644, "second", 6, NULL), SOTTO_OK);
    umask(old);
    struct stat facts;
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_int_eq(facts.st_mode & 0777, 0644);
    char *bytes;
    size_t length;
    ck_assert_int_eq(sotto_file_read(path, 100, &bytes, &length, NULL), SOTTO_OK);
    ck_assert_uint_eq(length, 6);
    ck_assert_str_eq(bytes, "second");
    free(bytes);
    sotto_error err = {0};
    ck_assert_int_eq(sotto_file_read(path, 5, &bytes, &length, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_file_read(folder, 5, &bytes, &length, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(sotto_file_read(path, 5, &bytes, &length, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, path);
    ck_assert_int_eq(rmdir(folder), 0); /* no temporary file is left behind */
    ck_assert_int_eq(sotto_file_write(path, 0600, "x", 1, &err), SOTTO_ERROR_IO);
}
END_TEST

/* A full disk is reported at commit, and nothing appears. */
START_TEST(full_disk_is_an_error)
{
    sotto_error err = {0};
    sotto_atomic_file *file;
    char folder[] = "/tmp/sotto-test-XXXXXX";
    char path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/file", folder);
    ck_assert_int_eq(sotto_atomic_file_open(&file, path, 0600, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(freopen("/dev/full", "wb", sotto_atomic_file_stream(file)));
    (void)fputs("lost", sotto_atomic_file_stream(file));
    ck_assert_int_eq(sotto_atomic_file_commit(file, &err), SOTTO_ERROR_IO);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* What a killed writer leaves can be cleared away; nothing else is. */
START_TEST(leftovers_are_cleared)
{
    static const char *const others[6] = {"file",         "file.ABC",    "file.ABCDEFG",
                                          "other.ABCDEF", "file.ABCDE~", "afile.ABCDEF"};
    char folder[] = "/tmp/sotto-test-XXXXXX", path[64], other[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/file", folder);
    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(other, sizeof other, "%s/%s", folder, others[i]);
        ck_assert_int_eq(sotto_file_write(other, 0600, "x", 1, NULL), SOTTO_OK);
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)sotto_atomic_file_open(&(sotto_atomic_file *){NULL}, path, 0600, NULL);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    sotto_atomic_file_clear(path);
    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(other, sizeof other, "%s/%s", folder, others[i]);
        ck_assert_int_eq(unlink(other), 0);
    }
    ck_assert_int_eq(rmdir(folder), 0); /* and that was all */
}
END_TEST

START_TEST(hashes_match_published_values)
{
    char hex[65];
    sotto_sha256_hex("abc", 3, hex); /* FIPS 180-4's example */
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, error_carries_place_and_message);
    tcase_add_test(tests, messages_are_text);
    tcase_add_test(tests, arena_aligns_zeroes_and_refuses_overflow);
    tcase_add_test(tests, streams_do_not_depend_on_how_bytes_are_asked_for);
    tcase_add_test(tests, streams_never_share_a_key);
    tcase_add_test(tests, refresh_changes_a_private_stream);
    tcase_add_test(tests, forked_child_cannot_use_the_stream);
    tcase_add_test(tests, forked_child_has_no_key);
    tcase_add_test(tests, exit_wipes_what_was_not_destroyed);
    tcase_add_test(tests, dumps_can_be_forbidden);
    tcase_add_test(tests, coins_are_fair);
    tcase_add_test(tests, below_is_uniform);
    tcase_add_test(tests, gaussian_draws_are_gaussian);
    tcase_add_test(tests, files_appear_whole_or_not_at_all);
    tcase_add_test(tests, full_disk_is_an_error);
    tcase_add_test(tests, leftovers_are_cleared);
    tcase_add_test(tests, hashes_match_published_values);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
