/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

/* What both processes see. */
struct shared {
    atomic_bool done;
    _Alignas(64) unsigned char result[];
};

/* A file that stays open here would hold its lock beyond the death of the process that took it; and what a
 * library says as it dies is nobody's output. */
static void close_all(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 0U, ~0U, 0U) == 0)
        return;
#endif
    const long most = sysconf(_SC_OPEN_MAX);
    for (int file = 0; file < (most > 0 && most < 65536 ? (int)most : 65536); file++)
        (void)close(file);
}

static void live(struct shared *shared, bool (*work)(void *context, void *result), void *context,
                 pid_t parent)
{
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent)
        _exit(1); /* it died before this process could ask to die with it */
    close_all();
    (void)sotto_random_forbid_dumps(NULL);
    if (work(context, shared->result))
        atomic_store(&shared->done, true);
    _exit(0);
}

/* How it ended is said by what it left: who ignores the ends of its children is not told of them. */
static sotto_status wait_for(pid_t child, const struct shared *shared, const char *what, sotto_error *err)
{
    int ended = 0;
    pid_t found;
    do
        found = waitpid(child, &ended, 0);
    while (found < 0 && errno == EINTR);
    if (atomic_load(&shared->done))
        return SOTTO_OK;
    if (found == child && WIFSIGNALED(ended))
        return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                               "%s was ended by signal %d, as it is where memory is short", what,
                               WTERMSIG(ended));
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "%s came to no result; memory may be short", what);
}

sotto_status sotto_apart(bool (*work)(void *context, void *result), void *context, void *result, size_t bytes,
                         const char *what, sotto_error *err)
{
    const size_t length = sizeof(struct shared) + bytes;
    struct shared *shared = MAP_FAILED;
    if (length > bytes)
        shared = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for what %s results in", what);
    const pid_t parent = getpid(), child = fork();
    if (child == 0)
        live(shared, work, context, parent);
    sotto_status status =
        child > 0 ? wait_for(child, shared, what, err)
                  : sotto_error_set(err, SOTTO_ERROR_MEMORY, "no process could be made for %s (%s)", what,
                                    strerror(errno));
    if (status == SOTTO_OK)
        memcpy(result, shared->result, bytes);
    (void)munmap(shared, length);
    return status;
}
