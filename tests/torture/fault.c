/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A library to be preloaded into a command: it counts the system calls that touch files and memory, and the
 * allocations, from the start of main to the end of the process, and makes one of them fail.
 *
 * System calls are not caught by the names of C functions, since the C library calls itself by none, but by
 * the kernel: a seccomp filter sends each of them to a handler here, whoever made it, unless it comes from
 * the one instruction by which the handler makes it itself. Allocations all pass malloc and its kin, which
 * are replaced. What a forked process does is counted with the rest: one fault meets one call of all of them.
 */
/* clang-format off
 *
 *   SOTTO_FAULT_REPORT=FILE   where to tell what was counted and done; without it nothing is
 *   SOTTO_FAULT_CALL=K        the first system call from the K-th on that can give the error gives it
 *   SOTTO_FAULT_ERROR=NAME    which: ENOSPC, EIO, EINTR, ENOMEM, EMFILE, ENOLCK, ENOSYS; SHORT writes half of it
 *   SOTTO_FAULT_MEMORY=K      the K-th allocation fails
 *   SOTTO_FAULT_ALWAYS=1      and so does all that could after it
 *   SOTTO_FAULT_STOP=K        at the K-th system call the process is asked to stop, by SIGTERM
 *   SOTTO_FAULT_CLOCK=S       what time it is is S seconds off
 *
 * clang-format on */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "torture.h"

/* ---- the one instruction that the filter lets through ---- */

/* All but the first are the call's own arguments; gives -errno as the kernel does. */
long torture_call(long number, long a, long b, long c, long d, long e, long f);
extern const char torture_called[];

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
__asm__(".text\n.globl torture_call\n.hidden torture_call\n.type torture_call, @function\n"
        "torture_call:\n mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n"
        " mov %r9, %r8\n mov 8(%rsp), %r9\n syscall\n"
        ".globl torture_called\n.hidden torture_called\ntorture_called:\n ret\n"
        ".size torture_call, .-torture_call\n");
#else /* 64-bit ARM: it is built for no other */
#define ARCHITECTURE AUDIT_ARCH_AARCH64
__asm__(".text\n.globl torture_call\n.hidden torture_call\n.type torture_call, %function\n"
        "torture_call:\n mov x8, x0\n mov x0, x1\n mov x1, x2\n mov x2, x3\n mov x3, x4\n mov x4, x5\n"
        " mov x5, x6\n svc #0\n"
        ".globl torture_called\n.hidden torture_called\ntorture_called:\n ret\n"
        ".size torture_call, .-torture_call\n");
#endif

/* ---- what is counted ---- */

enum { SHORT = 4096 }; /* beyond every errno */
#define NO_NUMBER (-1L)

static const struct error {
    const char *name;
    int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EINTR", EINTR},   {"ENOMEM", ENOMEM},
              {"EMFILE", EMFILE}, {"ENOLCK", ENOLCK}, {"ENOSYS", ENOSYS}, {"SHORT", SHORT}};

#define GIVES(...)                                                                                           \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define OPENS  GIVES(EIO, ENOMEM, EINTR, EMFILE)
#define MAKES  GIVES(ENOSPC, EIO, ENOMEM)
#define WRITES GIVES(ENOSPC, EIO, EINTR, SHORT)

/* System calls, and the errors that each can give. `file`: the first argument is a descriptor. */
static const struct kind {
    const char *name;
    long number;
    bool file;
    int gives[5];
} kinds[] = {
#ifdef SYS_open
    {"open", SYS_open, false, OPENS},
    {"creat", SYS_creat, false, OPENS},
    {"mkdir", SYS_mkdir, false, MAKES},
    {"rename", SYS_rename, false, MAKES},
    {"unlink", SYS_unlink, false, GIVES(EIO, ENOMEM)},
    {"link", SYS_link, false, MAKES},
    {"chmod", SYS_chmod, false, GIVES(EIO, ENOMEM)},
    {"stat", SYS_stat, false, GIVES(EIO, ENOMEM)},
    {"lstat", SYS_lstat, false, GIVES(EIO, ENOMEM)},
    {"access", SYS_access, false, GIVES(EIO, ENOMEM)},
    {"readlink", SYS_readlink, false, GIVES(EIO, ENOMEM)},
#endif
#ifdef SYS_renameat
    {"renameat", SYS_renameat, false, MAKES},
#endif
    {"openat", SYS_openat, false, OPENS},
    {"mkdirat", SYS_mkdirat, false, MAKES},
    {"renameat2", SYS_renameat2, false, MAKES},
    {"unlinkat", SYS_unlinkat, false, GIVES(EIO, ENOMEM)},
    {"linkat", SYS_linkat, false, MAKES},
    {"fchmodat", SYS_fchmodat, false, GIVES(EIO, ENOMEM)},
    {"fchmod", SYS_fchmod, true, GIVES(EIO)},
    {"newfstatat", SYS_newfstatat, false, GIVES(EIO, ENOMEM)},
    {"fstat", SYS_fstat, true, GIVES(EIO, ENOMEM)},
    {"statx", SYS_statx, false, GIVES(EIO, ENOMEM)},
    {"fstatfs", SYS_fstatfs, true, GIVES(EIO)},
    {"statfs", SYS_statfs, false, GIVES(EIO)},
    {"faccessat", SYS_faccessat, false, GIVES(EIO, ENOMEM)},
    {"faccessat2", SYS_faccessat2, false, GIVES(EIO, ENOMEM)},
    {"readlinkat", SYS_readlinkat, false, GIVES(EIO, ENOMEM)},
    {"getdents64", SYS_getdents64, true, GIVES(EIO)},
    {"read", SYS_read, true, GIVES(EIO, EINTR)},
    {"pread64", SYS_pread64, true, GIVES(EIO, EINTR)},
    {"write", SYS_write, true, WRITES},
    {"pwrite64", SYS_pwrite64, true, WRITES},
    {"writev", SYS_writev, true, GIVES(ENOSPC, EIO, EINTR)},
    {"pwritev", SYS_pwritev, true, GIVES(ENOSPC, EIO, EINTR)},
    {"fsync", SYS_fsync, true, GIVES(ENOSPC, EIO, EINTR)},
    {"fdatasync", SYS_fdatasync, true, GIVES(ENOSPC, EIO, EINTR)},
    {"sync_file_range", SYS_sync_file_range, true, GIVES(ENOSPC, EIO, ENOMEM)},
    {"ftruncate", SYS_ftruncate, true, GIVES(ENOSPC, EIO, EINTR)},
    {"fallocate", SYS_fallocate, true, GIVES(ENOSPC, EIO, EINTR)},
    {"close", SYS_close, true, GIVES(ENOSPC, EIO, EINTR)},
    {"flock", SYS_flock, true, GIVES(EINTR, ENOMEM, ENOLCK)},
    {"fcntl", SYS_fcntl, true, GIVES(EIO, EINTR, ENOLCK)}, /* of locks */
    {"mmap", SYS_mmap, false, GIVES(ENOMEM)},
    {"mremap", SYS_mremap, false, GIVES(ENOMEM)},
    {"getrandom", SYS_getrandom, false, GIVES(EINTR, ENOSYS)},
    {"wait4", SYS_wait4, false, GIVES(EINTR)},
    {"fork", NO_NUMBER, false, GIVES(ENOMEM)}, /* caught by its name: a handler cannot make it */
};
enum { KINDS = sizeof kinds / sizeof *kinds, MOST_CALLS = 1 << 18 };

static const char *report;
static long call_at, memory_at, stop_at;
static int wanted;
static bool always, armed;
static long clock_off, started_as; /* the process that was started; those that it makes are counted with it */

static struct counted {
    atomic_long calls, allocations;
    atomic_bool hit;
    uint8_t seen[MOST_CALLS]; /* the kind of each call, while nothing is to fail */
    uint8_t seen_create[MOST_CALLS];
} * counted;

static bool gives(const struct kind *kind, int error, const long *arguments)
{
    if (kind->number == SYS_openat && error == ENOSPC)
        return (arguments[2] & O_CREAT) != 0;
    for (size_t i = 0; i < sizeof kind->gives / sizeof *kind->gives; i++)
        if (kind->gives[i] == error && error != 0)
            return true;
    return false;
}

/* ---- telling ---- */

static void tell(const char *text, size_t length)
{
    const long file =
        torture_call(SYS_openat, AT_FDCWD, (long)report, O_WRONLY | O_CREAT | O_APPEND, 0600, 0, 0);
    if (file < 0)
        return;
    (void)torture_call(SYS_write, file, (long)text, (long)length, 0, 0, 0);
    (void)torture_call(SYS_close, file, 0, 0, 0, 0, 0);
}

static void append(char *line, size_t size, const char *text)
{
    const size_t used = strlen(line);
    for (size_t i = 0; used + i + 1 < size && text[i]; i++) {
        line[used + i] = text[i];
        line[used + i + 1] = '\0';
    }
}

static void append_number(char *line, size_t size, unsigned long number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    append(line, size, digits + at);
}

/* Once for each fault: "hit WHAT NUMBER DETAIL". */
static void tell_hit(const char *what, long number, const char *detail, unsigned long value, unsigned base)
{
    char line[256] = "hit ";
    if (atomic_exchange(&counted->hit, true))
        return;
    append(line, sizeof line, what);
    append(line, sizeof line, " "); /* then the descriptor, or which allocation */
    append_number(line, sizeof line, (unsigned long)number, 10);
    append(line, sizeof line, detail);
    append_number(line, sizeof line, value, base);
    append(line, sizeof line, "\n");
    tell(line, strlen(line));
}

/* "by LIBRARY+OFFSET" for each of those who asked. */
static void tell_callers(void)
{
    void *frames[12];
    const int count = backtrace(frames, 12);
    for (int i = 2; i < count; i++) {
        Dl_info of;
        char line[512] = "by ";
        if (dladdr(frames[i], &of) == 0 || !of.dli_fname)
            continue;
        append(line, sizeof line, of.dli_fname);
        append(line, sizeof line, "+0x");
        append_number(line, sizeof line, (unsigned long)((uintptr_t)frames[i] - (uintptr_t)of.dli_fbase), 16);
        append(line, sizeof line, "\n");
        tell(line, strlen(line));
    }
}

/* At the end of a run in which nothing was to fail: each call by name, and the errors it can give. */
static void tell_counts(void)
{
    static char text[MOST_CALLS * 8];
    size_t used = 0;
    for (long k = 0; k < counted->calls && k < MOST_CALLS; k++) {
        const struct kind *kind = &kinds[counted->seen[k]];
        char line[160] = "call ";
        append(line, sizeof line, kind->name);
        const long arguments[6] = {0, 0, counted->seen_create[k] ? O_CREAT : 0, 0, 0, 0};
        for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
            if (gives(kind, errors[e].number, arguments)) {
                append(line, sizeof line, " ");
                append(line, sizeof line, errors[e].name);
            }
        append(line, sizeof line, "\n");
        if (used + strlen(line) > sizeof text)
            break;
        memcpy(text + used, line, strlen(line));
        used += strlen(line);
    }
    tell(text, used);
    char line[64] = "allocations ";
    append_number(line, sizeof line, (unsigned long)counted->allocations, 10);
    append(line, sizeof line, "\n");
    tell(line, strlen(line));
}

/* ---- system calls ---- */

static const struct kind *kind_of(long number)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].number == number)
            return &kinds[i];
    return NULL;
}

static bool is_lock(long command)
{
    return (command >= F_GETLK && command <= F_SETLKW) || (command >= F_OFD_GETLK && command <= F_OFD_SETLKW);
}

static bool is_the_first(void)
{
    return torture_call(SYS_getpid, 0, 0, 0, 0, 0, 0) == started_as;
}

static long make(long number, const long *a)
{
    return torture_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long fail(const struct kind *kind, const long *a)
{
    tell_hit(kind->name, kind->file ? a[0] : -1L & 0xFFFF, " ", (unsigned long)wanted, 10);
    if (wanted == SHORT) {
        long half[6] = {a[0], a[1], a[2] / 2, a[3], a[4], a[5]};
        return a[2] > 1 ? make(kind->number, half) : -ENOSPC;
    }
    if (kind->number == SYS_close)
        (void)make(kind->number, a); /* the descriptor is gone in any case */
    return -wanted;
}

/* Counts a call; is it the one to fail? */
static bool meets(const struct kind *kind, const long *a)
{
    const long k = atomic_fetch_add(&counted->calls, 1);
    if (k < MOST_CALLS) {
        counted->seen[k] = (uint8_t)(kind - kinds);
        counted->seen_create[k] = kind->number == SYS_openat && (a[2] & O_CREAT);
    }
    if (k + 1 == stop_at)
        (void)torture_call(SYS_kill, started_as, SIGTERM, 0, 0, 0, 0);
    if (!call_at || k + 1 < call_at || (atomic_load(&counted->hit) && !always) || !gives(kind, wanted, a))
        return false;
    /* a full disk leaves the terminal alone */
    return !(always && kind->file && a[0] <= STDERR_FILENO);
}

static long on_call(long number, const long *a)
{
    const struct kind *kind = kind_of(number);
    if (number == SYS_exit_group && !call_at && !memory_at && is_the_first())
        tell_counts();
    if (!kind || (kind->file && a[0] >= TORTURE_DESCRIPTORS) || (number == SYS_fcntl && !is_lock(a[1])))
        return make(number, a);
    return meets(kind, a) ? fail(kind, a) : make(number, a);
}

static void handler(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    (void)number;
#if defined(__x86_64__)
    greg_t *r = machine->gregs;
    const long arguments[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    r[REG_RAX] = on_call(info->si_syscall, arguments);
#else
    const long arguments[6] = {(long)machine->regs[0], (long)machine->regs[1], (long)machine->regs[2],
                               (long)machine->regs[3], (long)machine->regs[4], (long)machine->regs[5]};
    machine->regs[0] = (unsigned long long)on_call(info->si_syscall, arguments);
#endif
}

static bool install_filter(void)
{
    enum { HEAD = 6 };
    struct sock_filter filter[HEAD + KINDS + 4];
    const uint64_t at = (uint64_t)(uintptr_t)torture_called;
    const uint32_t load = BPF_LD | BPF_W | BPF_ABS, equal = BPF_JMP | BPF_JEQ | BPF_K;
    size_t n = 0;
    /* how far it is to "let it pass" from instruction i, and to "trap" */
#define PASS(i) ((uint8_t)(HEAD + KINDS + 1 - (i)))
#define TRAP(i) ((uint8_t)(HEAD + KINDS + 2 - (i)))
    filter[n++] = (struct sock_filter)BPF_STMT(load, offsetof(struct seccomp_data, arch));
    filter[n] = (struct sock_filter)BPF_JUMP(equal, ARCHITECTURE, 0, PASS(1));
    n++;
    filter[n++] = (struct sock_filter)BPF_STMT(load, offsetof(struct seccomp_data, instruction_pointer));
    filter[n++] = (struct sock_filter)BPF_JUMP(equal, (uint32_t)at, 0, 2);
    filter[n++] = (struct sock_filter)BPF_STMT(load, offsetof(struct seccomp_data, instruction_pointer) + 4);
    filter[n] = (struct sock_filter)BPF_JUMP(equal, (uint32_t)(at >> 32), PASS(5), 0);
    n++;
    filter[n++] = (struct sock_filter)BPF_STMT(load, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < KINDS; i++, n++)
        filter[n] = (struct sock_filter)BPF_JUMP(equal, (uint32_t)kinds[i].number, TRAP(n), 0);
    filter[n] = (struct sock_filter)BPF_JUMP(equal, (uint32_t)SYS_exit_group, 1, 0);
    n++;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* ---- new processes ---- */

pid_t fork(void)
{
    static const long no_arguments[6];
    static pid_t (*next)(void);
    if (!next) {
        void *found = dlsym(RTLD_NEXT, "fork");
        memcpy(&next, &found, sizeof next);
    }
    const struct kind *kind = kind_of(NO_NUMBER);
    if (!armed || !meets(kind, no_arguments))
        return next();
    errno = (int)-fail(kind, no_arguments);
    return -1;
}

/* ---- allocations ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool refuses(const void *caller)
{
    if (!armed)
        return false;
    const long k = atomic_fetch_add(&counted->allocations, 1) + 1;
    if (!memory_at || k < memory_at || (k > memory_at && !always))
        return false;
    if (!atomic_load(&counted->hit))
        tell_callers();
    tell_hit("allocation", k, " 0x", (unsigned long)(uintptr_t)caller, 16);
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    return refuses(CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return refuses(CALLER) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return refuses(CALLER) ? NULL : __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    return refuses(CALLER) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refuses(CALLER) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *made = refuses(CALLER) ? NULL : __libc_memalign(alignment, size);
    if (made)
        *memory = made;
    return made ? 0 : ENOMEM;
}

/* ---- the clock ---- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const long result = torture_call(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += clock_off;
    errno = result < 0 ? (int)-result : errno;
    return result < 0 ? -1 : 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict moment, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *moment = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

/* ---- from the start of main ---- */

static long number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static void arm(void)
{
    const char *error = getenv("SOTTO_FAULT_ERROR");
    report = getenv("SOTTO_FAULT_REPORT");
    call_at = number_of("SOTTO_FAULT_CALL");
    memory_at = number_of("SOTTO_FAULT_MEMORY");
    stop_at = number_of("SOTTO_FAULT_STOP");
    always = number_of("SOTTO_FAULT_ALWAYS") != 0;
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
        if (error && strcmp(error, errors[e].name) == 0)
            wanted = errors[e].number;
    /* Seen by strace: what comes after this is what is counted. */
    (void)torture_call(SYS_getpriority, 0, 7777777, 0, 0, 0, 0);
    if (!report || number_of("SOTTO_FAULT_MARK_ONLY"))
        return;
    started_as = torture_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counted == MAP_FAILED || !install_filter()) {
        static const char words[] = "fault: this kernel refuses the filter\n";
        (void)torture_call(SYS_write, STDERR_FILENO, (long)words, sizeof words - 1, 0, 0, 0);
        (void)torture_call(SYS_exit_group, 77, 0, 0, 0, 0, 0);
    }
    void *frames[1];
    (void)backtrace(frames, 1); /* which loads what it needs */
    armed = true;
}

static int (*true_main)(int, char **, char **);

static int armed_main(int argc, char **argv, char **environment)
{
    arm();
    return true_main(argc, argv, environment);
}

typedef int start(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                  void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

start __libc_start_main;

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start *next;
    void *found = dlsym(RTLD_NEXT, "__libc_start_main");
    memcpy(&next, &found, sizeof next);
    true_main = main;
    clock_off = number_of("SOTTO_FAULT_CLOCK");
    return next(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
