/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Another accountant, asked the same in the same run. It is a Python library, so a process of its own runs
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

extern char **environ;

/* Made from bench/peers_accounting.py. */
extern const char bench_peers_script[];

enum { MOST_OUTPUT = 65536, NOT_INSTALLED = 77, NO_PROGRAM = 127 };

/* Start python3 on the script, its standard output to `descriptor`. False where there is no python3. */
static bool start(double seconds, int descriptor, pid_t *child)
{
    char budget[32];
    char program[] = "python3", from_text[] = "-c"; /* argv is not const, though nobody writes to it */
    char *argv[] = {program, from_text, (char *)bench_peers_script, budget, NULL};
    posix_spawn_file_actions_t actions;
    (void)snprintf(budget, sizeof budget, "%.6g", seconds);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    bool started = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
                   posix_spawn_file_actions_adddup2(&actions, descriptor, 1) == 0 &&
                   posix_spawnp(child, program, &actions, NULL, argv, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    return started;
}

/* All that comes, as a text; NULL where that is too much, or out of memory. */
static char *read_all(int descriptor)
{
    size_t length = 0;
    char *text = malloc(MOST_OUTPUT);
    while (text && length < MOST_OUTPUT) {
        const ssize_t got = read(descriptor, text + length, MOST_OUTPUT - length);
        if (got == 0) {
            text[length] = '\0';
            return text;
        }
        if (got < 0 && errno != EINTR)
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    free(text);
    return NULL;
}

sotto_status sotto_bench_peers(double seconds, char **json, sotto_error *err)
{
    int ends[2], status = 0;
    pid_t child;
    *json = NULL;
    if (pipe(ends) != 0)
        return sotto_error_set(err, SOTTO_ERROR_IO, "cannot make a pipe: %s", strerror(errno));
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const bool started = start(seconds, ends[1], &child);
    (void)close(ends[1]);
    char *text = started ? read_all(ends[0]) : NULL;
    (void)close(ends[0]);
    if (!started)
        return SOTTO_OK;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    const int ended = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (ended == 0 && text) {
        *json = text;
        return SOTTO_OK;
    }
    free(text);
    if (ended == NOT_INSTALLED || ended == NO_PROGRAM)
        return SOTTO_OK;
    return sotto_error_set(
        err, SOTTO_ERROR_IO,
        "dp_accounting is installed, but its benchmark failed (status %d); leave --peers out, or "
        "see what python3 says above",
        ended);
}
