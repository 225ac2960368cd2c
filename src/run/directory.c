/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The run directory: private/ (0700) is there from the start, release/ appears whole at the end (release.c).
 * One process at a time is at work in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/figures.h"

static const char not_covered[] = "computed from real data without noise: not covered by the guarantee";

static bool has(const char *path, const char *name)
{
    char *whole = sotto_path_join(path, name);
    const bool there = whole && access(whole, F_OK) == 0;
    free(whole);
    return there;
}

/* Was a run begun here that has released nothing? It may be at work still. */
static bool is_unfinished(const char *path)
{
    return (has(path, "private/run.json") || has(path, "private/train.log")) && !has(path, "release");
}

sotto_status sotto_run_check_finished(const char *path, sotto_error *err)
{
    return is_unfinished(path)
               ? sotto_error_set_at(
                     err, SOTTO_ERROR_INPUT, path, 0, 0,
                     "this run is not finished and has released nothing: the command that began it goes on with "
                     "--resume, and with --resume --finish it releases what there is")
               : SOTTO_OK;
}

sotto_status sotto_run_directory_check(const char *path, sotto_error *err)
{
    if (is_unfinished(path))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, path, 0, 0,
            "there is a run here that is not finished: --resume goes on with it, --resume --finish releases what "
            "there is; begun anew it would be charged anew, and wants another --output");
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT)
        return SOTTO_OK;
    if (!folder)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                  "cannot be the run directory: %s; choose another --output",
                                  strerror(errno));
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(folder));)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    (void)closedir(folder);
    return empty ? SOTTO_OK
                 : sotto_error_set_at(
                       err, SOTTO_ERROR_INPUT, path, 0, 0,
                       "is not empty, and a run never overwrites another; choose another --output, or "
                       "move this one away");
}

sotto_status sotto_run_directory_converged(const char *path, sotto_error *err)
{
    if (sotto_run_check_finished(path, err) != SOTTO_OK)
        return SOTTO_ERROR_INPUT;
    char *name = sotto_path_join(path, "release/privacy.json");
    json_t *statement = name ? sotto_json_read_file(name) : NULL;
    const json_t *training = json_object_get(statement, "training");
    const char *why = json_string_value(json_object_get(training, "diverged"));
    const sotto_status status =
        why ? sotto_error_set_at(
                  err, SOTTO_ERROR_INPUT, path, 0, 0,
                  "this run diverged and ended itself after step %lld of %lld (%s), so it made neither a table nor a "
                  "model; train again with lower learning rates",
                  (long long)json_integer_value(json_object_get(training, "steps_taken")),
                  (long long)json_integer_value(json_object_get(training, "steps_planned")), why)
            : SOTTO_OK;
    json_decref(statement);
    free(name);
    return status;
}

static sotto_status make_folder(const char *path, mode_t mode, bool may_exist, sotto_error *err)
{
    if (mkdir(path, mode) != 0 && !(may_exist && errno == EEXIST))
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot make the folder: %s",
                                  strerror(errno));
    return SOTTO_OK;
}

/* Every folder on the way to `path`, and `path`. */
sotto_status sotto_make_folders(const char *path, sotto_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    sotto_status status = SOTTO_OK;
    for (char *slash = copy + 1; status == SOTTO_OK && *copy && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        status = make_folder(copy, 0755, true, err);
        *slash = '/';
    }
    if (status == SOTTO_OK)
        status = make_folder(path, 0755, true, err);
    free(copy);
    return status;
}

static char *private_path(const char *path, const char *name)
{
    char *folder = sotto_path_join(path, "private");
    char *whole = folder ? sotto_path_join(folder, name) : NULL;
    free(folder);
    return whole;
}

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
}

/* Closed to others from the moment it is there, whatever the umask. */
static sotto_status open_log(sotto_run_directory *directory, bool fresh, sotto_error *err)
{
    char *path = private_path(directory->path, "train.log");
    if (!path)
        return no_memory(err);
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_EXCL : 0);
    const int descriptor = open(path, flags, 0600);
    directory->log = descriptor >= 0 && fchmod(descriptor, 0600) == 0 ? fdopen(descriptor, "a") : NULL;
    sotto_status status = SOTTO_OK;
    if (!directory->log) {
        status =
            sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot write the log: %s", strerror(errno));
        if (descriptor >= 0)
            (void)close(descriptor);
    }
    free(path);
    return status;
}

/* One process at a time; the kernel lets go of it when the process ends, however it ends. */
static sotto_status lock(sotto_run_directory *directory, sotto_error *err)
{
    char *path = sotto_path_join(directory->path, "private");
    if (!path)
        return no_memory(err);
    sotto_status status = SOTTO_OK;
    directory->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->lock < 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot open the folder: %s",
                                    strerror(errno));
    else if (flock(directory->lock, LOCK_EX | LOCK_NB) != 0)
        status = errno == EWOULDBLOCK
                     ? sotto_error_set_at(err, SOTTO_ERROR_INPUT, directory->path, 0, 0,
                                          "another process is at work on this run; let it end, or stop it")
                     : sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot lock the folder: %s",
                                          strerror(errno));
    free(path);
    return status;
}

/* private/ and what lies in it is for the custodian alone. */
static sotto_status make_private(const char *path, const char *name, sotto_error *err)
{
    char *folder = name ? private_path(path, name) : sotto_path_join(path, "private");
    if (!folder)
        return no_memory(err);
    sotto_status status = make_folder(folder, 0700, false, err);
    if (status == SOTTO_OK && chmod(folder, 0700) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, folder, 0, 0,
                                    "cannot close the folder to others: %s", strerror(errno));
    free(folder);
    return status;
}

sotto_status sotto_run_directory_open(sotto_run_directory *directory, const char *path,
                                      const char *not_private, sotto_error *err)
{
    struct stat facts;
    *directory = (sotto_run_directory){.path = strdup(path), .lock = -1, .fresh = true};
    directory->made = stat(path, &facts) != 0;
    sotto_status status = directory->path ? sotto_make_folders(path, err) : no_memory(err);
    if (status == SOTTO_OK)
        status = make_private(path, NULL, err);
    if (status == SOTTO_OK)
        status = lock(directory, err);
    if (status == SOTTO_OK)
        status = make_private(path, "checkpoint", err);
    if (status == SOTTO_OK)
        status = open_log(directory, true, err);
    if (status == SOTTO_OK && not_private[0])
        sotto_run_log(directory, "%s", not_private);
    if (status == SOTTO_OK)
        sotto_run_log(directory, "private: %s", not_covered);
    return status;
}

sotto_status sotto_run_directory_reopen(sotto_run_directory *directory, const char *path, sotto_error *err)
{
    struct stat facts;
    *directory = (sotto_run_directory){.path = strdup(path), .lock = -1};
    char *inner = sotto_path_join(path, "private"), *release = sotto_path_join(path, "release");
    sotto_status status = directory->path && inner && release ? SOTTO_OK : no_memory(err);
    if (status == SOTTO_OK && stat(inner, &facts) != 0)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "there is no run to go on with; leave --resume away to begin one");
    if (status == SOTTO_OK)
        status = lock(directory, err);
    if (status == SOTTO_OK && stat(release, &facts) == 0)
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, release, 0, 0,
                               "this run is finished; `sotto sample` makes further rows of its model, and "
                               "another run wants another --output");
    if (status == SOTTO_OK)
        status = open_log(directory, false, err);
    free(inner);
    free(release);
    return status;
}

void sotto_run_directory_close(sotto_run_directory *directory)
{
    if (directory->log)
        (void)fclose(directory->log);
    if (directory->path && directory->lock >= 0)
        (void)close(directory->lock);
    free(directory->path);
    *directory = (sotto_run_directory){0};
}

void sotto_run_directory_discard(sotto_run_directory *directory)
{
    static const char *const files[] = {"train.log", "config.yaml", "run.json", "checkpoint/split",
                                        "checkpoint/state"};
    static const char *const folders[] = {"checkpoint", ""};
    if (!directory->fresh || !directory->path || directory->lock < 0)
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = private_path(directory->path, files[i]);
        if (path)
            (void)unlink(path);
        free(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = private_path(directory->path, folders[i]);
        if (path)
            (void)rmdir(path);
        free(path);
    }
    if (directory->made)
        (void)rmdir(directory->path);
}

/* --------------------------------------------------------------- which run */

static const char identity_format[] = "sotto run 1";

sotto_status sotto_run_identity_write(const sotto_run_directory *directory,
                                      const sotto_run_identity *identity, sotto_error *err)
{
    char *text = NULL, *path = private_path(directory->path, "run.json");
    sotto_status status =
        path ? sotto_json_text(json_pack("{s:s, s:s, s:s, s:s, s:b}", "format", identity_format, "run",
                                         identity->run, "ledger", identity->ledger, "config",
                                         identity->config, "private_noise", identity->private),
                               &text, err)
             : no_memory(err);
    if (status == SOTTO_OK)
        status = sotto_file_write(path, 0600, text, strlen(text), err);
    free(text);
    free(path);
    return status;
}

/* Lower-case hex digits, as many as there is room for. */
static bool copy_hex(const json_t *value, char *to, size_t size)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != size - 1 || strspn(text, "0123456789abcdef") != size - 1)
        return false;
    memcpy(to, text, size);
    return true;
}

/* Is there a file of this name in private/? */
static bool is_there(const sotto_run_directory *directory, const char *name)
{
    char *path = private_path(directory->path, name);
    const bool there = !path || access(path, F_OK) == 0;
    free(path);
    return there;
}

bool sotto_run_identity_is_there(const sotto_run_directory *directory)
{
    return is_there(directory, "run.json") || is_there(directory, "checkpoint/state") ||
           is_there(directory, "checkpoint/split") || is_there(directory, "metrics.json");
}

sotto_status sotto_run_identity_read(const sotto_run_directory *directory, sotto_run_identity *identity,
                                     sotto_error *err)
{
    enum { MOST = 4096 };
    char *text = NULL, *path = private_path(directory->path, "run.json");
    size_t length = 0;
    *identity = (sotto_run_identity){0};
    if (!path)
        return no_memory(err);
    sotto_status status =
        access(path, F_OK) == 0
            ? sotto_file_read(path, MOST, &text, &length, err)
            : sotto_error_set_at(
                  err, SOTTO_ERROR_INPUT, path, 0, 0,
                  "is missing, so which run this is cannot be known; move the folder away and begin anew");
    json_t *json = NULL;
    if (text && sotto_json_parse(&json, text, length, NULL) == SOTTO_ERROR_MEMORY)
        status = no_memory(err);
    const char *format = json_string_value(json_object_get(json, "format"));
    const json_t *private = json_object_get(json, "private_noise");
    identity->private = json_is_true(private);
    if (status == SOTTO_OK &&
        (!format || strcmp(format, identity_format) != 0 || !json_is_boolean(private) ||
         !copy_hex(json_object_get(json, "run"), identity->run, sizeof identity->run) ||
         !copy_hex(json_object_get(json, "ledger"), identity->ledger, sizeof identity->ledger) ||
         !copy_hex(json_object_get(json, "config"), identity->config, sizeof identity->config)))
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "is damaged, so which run this is cannot be known; begin anew in another "
                                    "--output");
    json_decref(json);
    free(text);
    free(path);
    return status;
}

/* --------------------------------------------------------------------- log */

void sotto_run_log(sotto_run_directory *directory, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(directory->log, format, arguments);
    va_end(arguments);
    (void)fputc('\n', directory->log);
    (void)fflush(directory->log);
}
