/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "suite.h"

static void nap(long milliseconds)
{
    const struct timespec time = {.tv_nsec = milliseconds * 1000000};
    (void)nanosleep(&time, NULL);
}

static int changed;

static bool add_up(void *context, void *result)
{
    const int *numbers = context;
    long long *sum = result;
    if (sum[0] != 0 || sum[1] != 0)
        return false;
    changed = 1;
    sum[1] = numbers[0] + numbers[1];
    return true;
}

START_TEST(results_come_out_and_nothing_else)
{
    int numbers[] = {40, 2};
    long long sum[2] = {7, 7};
    ck_assert_int_eq(sotto_apart(add_up, numbers, sum, sizeof sum, "a sum", NULL), SOTTO_OK);
    ck_assert_int_eq(sum[0], 0);
    ck_assert_int_eq(sum[1], 42);
    ck_assert_int_eq(changed, 0);
    /* Where nobody is told of the ends of children, the result is still had. */
    ck_assert(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(sotto_apart(add_up, numbers, sum, sizeof sum, "a sum", NULL), SOTTO_OK);
}
END_TEST

static bool die(void *context, void *result)
{
    memset(result, 1, 8);
    (void)raise(*(int *)context);
    return true;
}

static bool refuse(void *context, void *result)
{
    (void)context;
    memset(result, 1, 8);
    return false;
}

static void on_alarm(int number)
{
    (void)number;
}

static bool dawdle(void *context, void *result)
{
    (void)context;
    nap(200);
    memset(result, 1, 8);
    return true;
}

START_TEST(an_end_on_the_way_is_an_error)
{
    int number = SIGKILL;
    char result[8] = {0}, untouched[8] = {0};
    sotto_error err = {0};
    ck_assert_int_eq(sotto_apart(die, &number, result, 8, "a death", &err), SOTTO_ERROR_MEMORY);
    ck_assert_str_eq(err.message, "a death was ended by signal 9, as it is where memory is short");
    ck_assert_int_eq(sotto_apart(refuse, NULL, result, 8, "a refusal", &err), SOTTO_ERROR_MEMORY);
    ck_assert_str_eq(err.message, "a refusal came to no result; memory may be short");
    ck_assert_mem_eq(result, untouched, 8);
}
END_TEST

START_TEST(no_room_and_no_process_are_errors)
{
    char result[8];
    sotto_error err = {0};
    ck_assert_int_eq(sotto_apart(refuse, NULL, result, SIZE_MAX - 8, "a giant", &err), SOTTO_ERROR_MEMORY);
    ck_assert_int_eq(sotto_apart(refuse, NULL, result, SIZE_MAX / 2, "a giant", &err), SOTTO_ERROR_MEMORY);
    ck_assert_str_eq(err.message, "out of memory for what a giant results in");
    const struct rlimit none = {0, 0};
    ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &none), 0);
    if (sotto_apart(dawdle, NULL, result, 8, "a child", &err) == SOTTO_OK)
        ck_assert_uint_eq(geteuid(), 0); /* whom that limit does not bind */
    else
        ck_assert(strncmp(err.message, "no process could be made for a child (", 38) == 0);
}
END_TEST

START_TEST(signals_to_the_parent_do_not_end_its_wait)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const struct itimerval often = {{0, 5000}, {0, 5000}};
    char result[8] = {0};
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    ck_assert_int_eq(sotto_apart(dawdle, NULL, result, 8, "a sleep", NULL), SOTTO_OK);
    ck_assert_int_eq(result[0], 1);
}
END_TEST

static bool look_around(void *context, void *result)
{
    bool *sound = result;
    struct rlimit limit;
    const int file = *(int *)context;
    *sound = fcntl(file, F_GETFD) < 0 && fcntl(STDERR_FILENO, F_GETFD) < 0 &&
             getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
    return true;
}

START_TEST(nothing_is_open_there_and_no_dump_is_made)
{
    int file = open("/dev/null", O_RDONLY);
    bool sound = false;
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(sotto_apart(look_around, &file, &sound, sizeof sound, "a look", NULL), SOTTO_OK);
    ck_assert(sound);
    ck_assert_int_ge(fcntl(file, F_GETFD), 0);
    (void)close(file);
}
END_TEST

static bool count_on(void *context, void *result)
{
    atomic_long *counter = context;
    (void)result;
    for (int i = 0; i < 60000; i++) {
        atomic_fetch_add(counter, 1);
        nap(1);
    }
    return true;
}

/* A run that is killed while it waits leaves no lock behind, nor anyone who works on for nobody. */
START_TEST(a_killed_parent_leaves_no_lock_and_no_child)
{
    atomic_long *counter =
        mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char path[] = "/tmp/sotto-apart-XXXXXX";
    const int other = mkstemp(path);
    ck_assert(counter != MAP_FAILED && other >= 0);
    const pid_t parent = fork();
    if (parent == 0) {
        const int file = open(path, O_RDWR);
        char result;
        if (file >= 0 && flock(file, LOCK_EX) == 0)
            (void)sotto_apart(count_on, counter, &result, 1, "a count", NULL);
        _exit(1);
    }
    ck_assert_int_ge(parent, 0);
    while (atomic_load(counter) == 0 && waitpid(parent, NULL, WNOHANG) == 0)
        nap(1);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
    ck_assert_int_eq(kill(parent, SIGKILL), 0);
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
    (void)unlink(path);
    (void)close(other);
#ifdef __linux__
    long before = -1;
    for (int i = 0; i < 100 && before != atomic_load(counter); i++) {
        before = atomic_load(counter);
        nap(100);
    }
    ck_assert_int_eq(before, atomic_load(counter));
#endif
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("apart");
    tcase_add_test(tests, results_come_out_and_nothing_else);
    tcase_add_test(tests, an_end_on_the_way_is_an_error);
    tcase_add_test(tests, no_room_and_no_process_are_errors);
    tcase_add_test(tests, signals_to_the_parent_do_not_end_its_wait);
    tcase_add_test(tests, nothing_is_open_there_and_no_dump_is_made);
    tcase_add_test(tests, a_killed_parent_leaves_no_lock_and_no_child);
    Suite *suite = suite_create("base-apart");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
