/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Memory that runs out and disks that fail, at every single call: each story ends with an error or success,
 * the ledger opens again and is sound, and whatever it was told is done, is there.
 */
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_ledger.h"

/* Which call of its kind fails, counted from 1; 0: none. With `for_good` all later ones too. */
static struct {
    unsigned long calls, fails_at;
    bool for_good, armed;
} memory, disk;
static int disk_code;

static bool fails(unsigned long *calls, unsigned long at, bool for_good)
{
    ++*calls;
    return at > 0 && (*calls == at || (for_good && *calls > at));
}

static bool memory_fails(void)
{
    return memory.armed && fails(&memory.calls, memory.fails_at, memory.for_good);
}

/* -------------------------------------------------------------------- memory */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **text, const char *format, ...) SOTTO_PRINTF(2, 3);

void *__wrap_malloc(size_t size)
{
    return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return memory_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return memory_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_fails() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    if (memory_fails())
        return -1;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

/* SQLite's and jansson's come the same way. */
static void *sqlite_malloc(int size)
{
    return __wrap_malloc((size_t)size);
}

static void *sqlite_realloc(void *old, int size)
{
    return __wrap_realloc(old, (size_t)size);
}

static int sqlite_size(void *memory_of)
{
    return memory_of ? (int)malloc_usable_size(memory_of) : 0;
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_memory_begins(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void sqlite_memory_ends(void *context)
{
    (void)context;
}

/* ---------------------------------------------------------------------- disks */

/* SQLite's own files, behind a door that can be shut. */
typedef struct door {
    sqlite3_file base;
    sqlite3_file real; /* and what follows it */
} door;

static sqlite3_vfs *system_files;
static sqlite3_io_methods door_methods;

static sqlite3_file *behind(sqlite3_file *file)
{
    return &((door *)file)->real;
}

static bool disk_fails(void)
{
    return disk.armed && fails(&disk.calls, disk.fails_at, disk.for_good);
}

#define CALL(name, ...) behind(file)->pMethods->name(behind(file), __VA_ARGS__)

static int door_close(sqlite3_file *file)
{
    return behind(file)->pMethods->xClose(behind(file));
}

static int door_read(sqlite3_file *file, void *to, int count, sqlite3_int64 at)
{
    return CALL(xRead, to, count, at);
}

static int door_write(sqlite3_file *file, const void *from, int count, sqlite3_int64 at)
{
    return disk_fails() ? disk_code : CALL(xWrite, from, count, at);
}

static int door_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return disk_fails() ? SQLITE_IOERR_TRUNCATE : CALL(xTruncate, size);
}

static int door_sync(sqlite3_file *file, int flags)
{
    return disk_fails() ? SQLITE_IOERR_FSYNC : CALL(xSync, flags);
}

static int door_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return CALL(xFileSize, size);
}

static int door_lock(sqlite3_file *file, int level)
{
    return CALL(xLock, level);
}

static int door_unlock(sqlite3_file *file, int level)
{
    return CALL(xUnlock, level);
}

static int door_reserved(sqlite3_file *file, int *reserved)
{
    return CALL(xCheckReservedLock, reserved);
}

static int door_control(sqlite3_file *file, int what, void *argument)
{
    return CALL(xFileControl, what, argument);
}

static int door_sector(sqlite3_file *file)
{
    return behind(file)->pMethods->xSectorSize(behind(file));
}

static int door_traits(sqlite3_file *file)
{
    return behind(file)->pMethods->xDeviceCharacteristics(behind(file));
}

static int door_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    return disk_fails() ? SQLITE_IOERR_SHMMAP : CALL(xShmMap, page, size, extend, map);
}

static int door_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return CALL(xShmLock, offset, count, flags);
}

static void door_shm_barrier(sqlite3_file *file)
{
    behind(file)->pMethods->xShmBarrier(behind(file));
}

static int door_shm_unmap(sqlite3_file *file, int remove)
{
    return CALL(xShmUnmap, remove);
}

static int door_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got)
{
    (void)vfs;
    file->pMethods = NULL;
    if (disk_fails())
        return SQLITE_CANTOPEN;
    const int code = system_files->xOpen(system_files, name, behind(file), flags, got);
    if (behind(file)->pMethods)
        file->pMethods = &door_methods;
    return code;
}

static void install_doors(void)
{
    static sqlite3_vfs doors;
    static const sqlite3_mem_methods methods = {
        sqlite_malloc,      free, sqlite_realloc, sqlite_size, sqlite_roundup, sqlite_memory_begins,
        sqlite_memory_ends, NULL};
    if (system_files)
        return;
    ck_assert_int_eq(sqlite3_shutdown(), SQLITE_OK);
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    json_set_alloc_funcs(__wrap_malloc, free);
    ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
    system_files = sqlite3_vfs_find(NULL);
    doors = *system_files;
    doors.zName = "doors";
    doors.szOsFile += (int)sizeof(sqlite3_file);
    doors.xOpen = door_open;
    door_methods = (sqlite3_io_methods){.iVersion = 2,
                                        .xClose = door_close,
                                        .xRead = door_read,
                                        .xWrite = door_write,
                                        .xTruncate = door_truncate,
                                        .xSync = door_sync,
                                        .xFileSize = door_size,
                                        .xLock = door_lock,
                                        .xUnlock = door_unlock,
                                        .xCheckReservedLock = door_reserved,
                                        .xFileControl = door_control,
                                        .xSectorSize = door_sector,
                                        .xDeviceCharacteristics = door_traits,
                                        .xShmMap = door_shm_map,
                                        .xShmLock = door_shm_lock,
                                        .xShmBarrier = door_shm_barrier,
                                        .xShmUnmap = door_shm_unmap};
    ck_assert_int_eq(sqlite3_vfs_register(&doors, 1), SQLITE_OK);
}

static void begin_case(void)
{
    /* thousands of commits: where memory is a file system, they need not wait for a disk */
    if (access("/dev/shm", W_OK) == 0)
        ck_assert_int_eq(setenv("TMPDIR", "/dev/shm", 1), 0);
    install_doors();
    memory.fails_at = disk.fails_at = 0;
    scene_begin();
}

/* ----------------------------------------------------------------------- story */

/* What the ledger said is done. */
typedef struct promise {
    bool began, released;
    char id[LEDGER_RUN_ID + 1];
    uint64_t charged;
    sotto_ledger_head head;
} promise;

/* Charge twice, look, release: as far as it gets, going on after each error. */
static void tell_run(sotto_ledger *ledger, sotto_ledger_run *run, promise *told)
{
    static const sotto_ledger_artefact artefact = {
        "release/synthetic.csv", "rows", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    const sotto_mechanism step = run->ledger->book.runs[0].plan[0].mechanism;
    json_t *record = NULL;
    told->began = true;
    memcpy(told->id, sotto_ledger_run_id(run), sizeof told->id);
    for (int i = 0; i < 2; i++)
        if (sotto_ledger_run_charge(run, &step, 7, "steps", &err) == SOTTO_OK) {
            told->charged += 7;
            told->head = sotto_ledger_last(ledger);
        }
    (void)sotto_ledger_list(ledger, &record, &err);
    json_decref(record);
    told->released = sotto_ledger_run_release(run, &artefact, 1, &err) == SOTTO_OK;
}

/* No check while calls may fail: Check's own allocations go the same way. */
static void tell_story(promise *told)
{
    const sotto_charge charge = {"steps", sampled(0.02, 1.3), 500};
    const sotto_ledger_table table = table_of("adult", "rows", "adult.csv");
    const sotto_ledger_plan plan = plan_of(&charge);
    const sotto_ledger_options options = {.path = scene_path("ledger.db"), .create = true};
    sotto_ledger *ledger = NULL;
    sotto_ledger_run *run = NULL;
    *told = (promise){0};
    err = (sotto_error){0};
    memory.armed = disk.armed = true;
    sotto_status status = sotto_ledger_open(&ledger, &options, &err);
    if (status == SOTTO_OK)
        status = sotto_ledger_run_begin(&run, ledger, &table, &plan, &err);
    if (status == SOTTO_OK)
        tell_run(ledger, run, told);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
    memory.armed = disk.armed = false;
    ck_assert(status == SOTTO_OK || strlen(err.message) > 10);
}

static void stop_failing(void)
{
    memory.fails_at = disk.fails_at = 0;
}

static void expect_told(const promise *told)
{
    sotto_ledger *ledger;
    stop_failing();
    OK(try_ledger_at("ledger.db", true, &ledger));
    const ledger_run_record *run = told->began ? ledger_book_run(&ledger->book, told->id) : NULL;
    if (told->began)
        ck_assert_ptr_nonnull(run);
    if (told->charged > 0) {
        ck_assert_uint_eq(run->charge_count, 1);
        ck_assert_uint_ge(run->charges[0].count, told->charged);
        OK(sotto_ledger_expect(ledger, &told->head, "what was told", &err));
    }
    if (told->released)
        ck_assert_int_eq(run->state, LEDGER_RUN_RELEASED);
    sotto_ledger_close(ledger);
    json_t *record;
    const sotto_ledger_options options = {.path = scene_path("ledger.db")};
    OK(sotto_ledger_verify(&options, &record, &err));
    json_decref(record);
}

static void remove_ledger(void)
{
    static const char *const names[] = {"ledger.db", "ledger.db-head", "ledger.db-wal", "ledger.db-shm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unlink(scene_path(names[i]));
}

START_TEST(memory_runs_out_at_each_allocation)
{
    promise told;
    unsigned long count = 0;
    memory.for_good = _i == 1;
    for (bool reached = true; reached; count++) {
        remove_ledger();
        memory.calls = 0;
        memory.fails_at = count + 1;
        tell_story(&told);
        reached = memory.calls > count;
        ck_assert(reached || (told.began && told.released && told.charged == 14));
        expect_told(&told);
        count += TEST_SANITIZED ? 12 : 2;
    }
    ck_assert_uint_gt(count, 500);
}
END_TEST

START_TEST(the_disk_fails_at_each_call)
{
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
    promise told;
    unsigned long count = 0;
    disk.for_good = _i % 2 == 1;
    disk_code = codes[_i / 2];
    for (bool reached = true; reached; count++) {
        remove_ledger();
        disk.calls = 0;
        disk.fails_at = count + 1;
        tell_story(&told);
        reached = disk.calls > count;
        ck_assert(reached || (told.began && told.released && told.charged == 14));
        expect_told(&told);
    }
    ck_assert_uint_gt(count, 30);
}
END_TEST

/* The system itself refuses to let any file grow beyond some size. */
START_TEST(files_may_not_grow_beyond_each_size)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const rlim_t before = limit.rlim_cur;
    for (rlim_t size = 0; size < 90000; size += 1777) {
        promise told;
        remove_ledger();
        limit.rlim_cur = size;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        tell_story(&told);
        limit.rlim_cur = before;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        expect_told(&told);
    }
}
END_TEST

TCase *ledger_faults_case(void)
{
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 300);
    tcase_add_checked_fixture(faults, begin_case, scene_end);
    tcase_add_loop_test(faults, memory_runs_out_at_each_allocation, 0, 2);
    tcase_add_loop_test(faults, the_disk_fails_at_each_call, 0, 4);
    tcase_add_test(faults, files_may_not_grow_beyond_each_size);
    return faults;
}
