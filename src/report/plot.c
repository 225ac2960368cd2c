/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report/report.h"

/* gnuplot as a process of its own: the script goes in and SVG comes out by one socket, so that nothing of a
 * private page touches a disk. No shell, an empty environment, a time limit. */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS has SO_NOSIGPIPE instead */
#endif

enum {
    SECONDS = 30,           /* for all pictures of a page; they take about one */
    ANSWER_LIMIT = 64 << 20 /* bytes */
};

/* ------------------------------------------------------------- finding it */

static bool is_program(const char *path)
{
    struct stat about;
    return access(path, X_OK) == 0 && stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/* Only absolute folders of PATH: what lies in the working folder is not to be run. */
char *sotto_plot_find(void)
{
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        const size_t length = strcspn(folders, ":");
        char *path = NULL;
        if (*folders == '/' && asprintf(&path, "%.*s/gnuplot", (int)length, folders) < 0)
            return NULL;
        if (path && is_program(path))
            return path;
        free(path);
        folders += length + (folders[length] == ':');
    }
    return NULL;
}

/* --------------------------------------------------------------- starting */

static bool plan_descriptors(posix_spawn_file_actions_t *actions, int theirs)
{
    return posix_spawn_file_actions_adddup2(actions, theirs, STDIN_FILENO) == 0 &&
           posix_spawn_file_actions_adddup2(actions, theirs, STDOUT_FILENO) == 0 &&
           posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0;
}

/* The caller may have blocked or ignored signals; the child starts with none of that. */
static bool plan_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    return posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &defaults) == 0 &&
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0;
}

/* -d: no start-up file of the user's or the system's. */
static bool start(const char *program, int theirs, pid_t *child)
{
    char name[] = "gnuplot", defaults[] = "-d", input[] = "-", locale[] = "LC_ALL=C";
    char *const arguments[] = {name, defaults, input, NULL}, *const environment[] = {locale, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    bool started = posix_spawnattr_init(&attributes) == 0;
    if (started) {
        started = plan_descriptors(&actions, theirs) && plan_signals(&attributes) &&
                  posix_spawn(child, program, &actions, &attributes, arguments, environment) == 0;
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return started;
}

/* ---------------------------------------------------------------- talking */

static long long milliseconds(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sends what the socket takes now; after the last byte, says that no more comes. */
static bool send_some(int socket, const char **script, size_t *left)
{
    const ssize_t sent = send(socket, *script, *left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    *script += sent;
    *left -= (size_t)sent;
    return *left > 0 || shutdown(socket, SHUT_WR) == 0;
}

/* 1: something came; 0: the end; -1: failure. */
static int receive_some(int socket, FILE *answer, size_t *length)
{
    char piece[1 << 14];
    const ssize_t got = recv(socket, piece, sizeof piece, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    *length += (size_t)got;
    if (*length > ANSWER_LIMIT || fwrite(piece, 1, (size_t)got, answer) != (size_t)got)
        return -1;
    return got > 0;
}

static bool talk(int socket, const char *script, FILE *answer)
{
    const long long deadline = milliseconds() + SECONDS * 1000LL;
    size_t left = strlen(script), length = 0;
    if (left == 0)
        return false;
    for (;;) {
        const long long wait = deadline - milliseconds();
        struct pollfd at = {.fd = socket, .events = (short)(POLLIN | (left ? POLLOUT : 0))};
        if (wait <= 0)
            return false;
        if (poll(&at, 1, (int)wait) < 0 && errno != EINTR)
            return false;
        if (left && at.revents & POLLOUT && !send_some(socket, &script, &left))
            return false;
        if (at.revents & (POLLIN | POLLHUP | POLLERR)) {
            const int more = receive_some(socket, answer, &length);
            if (more <= 0)
                return more == 0 && left == 0;
        }
    }
}

/* The child is ours to end: by itself soon after it has answered, else by force. */
static bool finish(pid_t child, bool answered)
{
    const long long deadline = milliseconds() + (answered ? 2000 : 0);
    int status = 0;
    for (;;) {
        const bool late = milliseconds() >= deadline;
        if (late)
            (void)kill(child, SIGKILL);
        const pid_t ended = waitpid(child, &status, late ? 0 : WNOHANG);
        if (ended == child)
            return answered && !late && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (ended < 0 && errno != EINTR)
            return false;
        (void)poll(NULL, 0, 2);
    }
}

static bool converse(const char *program, const char *script, FILE *answer)
{
    int ends[2];
    pid_t child = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return false;
    for (size_t i = 0; i < 2; i++)
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
    const int yes = 1;
    (void)setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
    const bool started = start(program, ends[1], &child);
    (void)close(ends[1]);
    bool answered = started && talk(ends[0], script, answer);
    (void)close(ends[0]);
    return started && finish(child, answered);
}

char *sotto_plot_run(const char *program, const char *script)
{
    char *answer = NULL;
    size_t length;
    FILE *file = sotto_memory_open(&answer, &length);
    if (!file)
        return NULL;
    bool sound = converse(program, script, file) && !ferror(file);
    sound = fclose(file) == 0 && sound && strlen(answer) == length;
    if (sound)
        return answer;
    free(answer);
    return NULL;
}
