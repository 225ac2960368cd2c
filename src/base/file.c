/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

/* ---- reading ---- */

static sotto_status open_error(const char *path, sotto_error *err)
{
    bool absent = errno == ENOENT || errno == ENOTDIR || errno == EISDIR || errno == EACCES;
    return sotto_error_set_at(err, absent ? SOTTO_ERROR_INPUT : SOTTO_ERROR_IO, path, 0, 0,
                              "cannot open the file: %s; check the path", strerror(errno));
}

static sotto_status slurp(FILE *file, const char *path, size_t limit, char **bytes, size_t *length,
                          sotto_error *err)
{
    size_t capacity = 1 << 16;
    size_t used = 0;
    char *buffer = malloc(capacity + 1);
    while (buffer) {
        used += fread(buffer + used, 1, capacity - used, file);
        if (used < capacity || used > limit)
            break;
        capacity *= 2;
        char *larger = realloc(buffer, capacity + 1);
        if (!larger)
            free(buffer);
        buffer = larger;
    }
    if (!buffer)
        return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, path, 0, 0, "out of memory reading the file");
    if (ferror(file)) {
        free(buffer);
        return errno == EISDIR ? sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                                    "is a directory, not a file; check the path")
                               : sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0,
                                                    "cannot read the file: %s", strerror(errno));
    }
    if (used > limit) {
        free(buffer);
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                  "the file is larger than %zu bytes, the most that is read here", limit);
    }
    buffer[used] = '\0';
    *bytes = buffer;
    *length = used;
    return SOTTO_OK;
}

sotto_status sotto_file_read(const char *path, size_t limit, char **bytes, size_t *length, sotto_error *err)
{
    *bytes = NULL;
    *length = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return open_error(path, err);
    sotto_status status = slurp(file, path, limit, bytes, length, err);
    (void)fclose(file);
    return status;
}

/* ---- writing ---- */

struct sotto_atomic_file {
    FILE *stream;
    char *path;
    char *temporary;
    int folder; /* what holds the name; −1: not open */
    unsigned mode;
};

static void release(sotto_atomic_file *file)
{
    if (!file)
        return;
    if (file->stream)
        (void)fclose(file->stream);
    if (file->folder >= 0)
        (void)close(file->folder);
    free(file->path);
    free(file->temporary);
    free(file);
}

/* The folder is opened before anything is written: once the file has its name, little may still go wrong. */
static bool open_parts(sotto_atomic_file *file, char *folder)
{
    file->folder = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder < 0)
        return false;
    int descriptor = mkostemp(file->temporary, O_CLOEXEC); /* made 0600: private until it is whole */
    if (descriptor < 0)
        return false;
    file->stream = fdopen(descriptor, "wb");
    if (!file->stream) {
        int cause = errno;
        (void)close(descriptor);
        (void)unlink(file->temporary);
        errno = cause;
    }
    return file->stream != NULL;
}

sotto_status sotto_atomic_file_open(sotto_atomic_file **file, const char *path, unsigned mode,
                                    sotto_error *err)
{
    *file = NULL;
    sotto_atomic_file *made = calloc(1, sizeof *made);
    size_t length = strlen(path);
    char *folder = strdup(path);
    if (made) {
        made->mode = mode;
        made->folder = -1;
        made->path = strdup(path);
        made->temporary = malloc(length + sizeof ".XXXXXX");
    }
    if (!made || !folder || !made->path || !made->temporary) {
        free(folder);
        release(made);
        return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, path, 0, 0, "out of memory opening the file");
    }
    memcpy(made->temporary, path, length);
    memcpy(made->temporary + length, ".XXXXXX", sizeof ".XXXXXX");
    bool opened = open_parts(made, folder);
    int cause = errno;
    free(folder);
    if (!opened) {
        release(made);
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0,
                                  "cannot write here: %s; choose a folder that exists and can be written",
                                  strerror(cause));
    }
    *file = made;
    return SOTTO_OK;
}

FILE *sotto_atomic_file_stream(sotto_atomic_file *file)
{
    return file->stream;
}

/* The rename is durable only once the folder that holds the name is. */
static sotto_status sync_folder(const sotto_atomic_file *file, sotto_error *err)
{
    if (fsync(file->folder) == 0 || errno == EINVAL)
        return SOTTO_OK;
    return sotto_error_set_at(err, SOTTO_ERROR_IO, file->path, 0, 0,
                              "the file is written, but its folder could not be synced, so that it may be "
                              "gone after a power failure: %s",
                              strerror(errno));
}

sotto_status sotto_atomic_file_commit(sotto_atomic_file *file, sotto_error *err)
{
    bool sound = !ferror(file->stream) && fflush(file->stream) == 0;
    sound = sound && fchmod(fileno(file->stream), (mode_t)file->mode) == 0;
    sound = sound && fsync(fileno(file->stream)) == 0;
    int cause = errno;
    bool closed = fclose(file->stream) == 0;
    file->stream = NULL;
    if (sound && !closed)
        cause = errno;
    sound = sound && closed;
    if (sound && rename(file->temporary, file->path) != 0) {
        cause = errno;
        sound = false;
    }
    sotto_status status;
    if (sound) {
        status = sync_folder(file, err);
    } else {
        (void)unlink(file->temporary);
        status = sotto_error_set_at(err, SOTTO_ERROR_IO, file->path, 0, 0, "cannot write the file: %s",
                                    strerror(cause));
    }
    release(file);
    return status;
}

sotto_status sotto_folder_sync(const char *path, sotto_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return sotto_error_set_at(err, SOTTO_ERROR_MEMORY, path, 0, 0, "out of memory syncing the folder");
    const int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool done = folder >= 0 && (fsync(folder) == 0 || errno == EINVAL);
    const int cause = errno;
    if (folder >= 0)
        (void)close(folder);
    free(copy);
    return done ? SOTTO_OK
                : sotto_error_set_at(
                      err, SOTTO_ERROR_IO, path, 0, 0,
                      "is there, but its folder could not be synced, so that it may be gone after "
                      "a power failure: %s",
                      strerror(cause));
}

void sotto_atomic_file_abandon(sotto_atomic_file *file)
{
    if (file)
        (void)unlink(file->temporary);
    release(file);
}

/* `name` with the ending of a temporary file? */
static bool is_leftover(const char *found, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t length = strlen(name);
    return strncmp(found, name, length) == 0 && found[length] == '.' &&
           strspn(found + length + 1, letters) == 6 && found[length + 7] == '\0';
}

void sotto_atomic_file_clear(const char *path)
{
    char *folder = strdup(path), *name = strdup(path);
    const char *last = name ? basename(name) : NULL;
    DIR *directory = folder && last ? opendir(dirname(folder)) : NULL;
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        if (is_leftover(entry->d_name, last))
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        (void)closedir(directory);
    free(folder);
    free(name);
}

sotto_status sotto_file_write(const char *path, unsigned mode, const void *bytes, size_t length,
                              sotto_error *err)
{
    sotto_atomic_file *file;
    sotto_status status = sotto_atomic_file_open(&file, path, mode, err);
    if (status != SOTTO_OK)
        return status;
    (void)fwrite(bytes, 1, length, file->stream); /* an error is sticky: commit reports it */
    return sotto_atomic_file_commit(file, err);
}

/* ---- hashing ---- */

sotto_status sotto_sha256_file(const char *path, char hex[65], sotto_error *err)
{
    unsigned char piece[1 << 14];
    sotto_hash hash;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return open_error(path, err);
    sotto_hash_begin(&hash);
    for (size_t count; (count = fread(piece, 1, sizeof piece, file)) > 0;)
        sotto_hash_add(&hash, piece, count);
    const bool sound = !ferror(file);
    (void)fclose(file);
    if (!sound)
        return sotto_error_set_at(err, SOTTO_ERROR_IO, path, 0, 0, "cannot read the file to hash it");
    sotto_hash_hex(&hash, hex);
    return SOTTO_OK;
}
