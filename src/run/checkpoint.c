/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "run/checkpoint.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST = 64, MOST_LINE = 80, MOST_FACTS = 4096 };
static const char magic[] = "sotto checkpoint ";
static const char format[] = "1 ";

static const char *const kinds[] = {[SOTTO_CHECKPOINT_STATE] = "state", [SOTTO_CHECKPOINT_SPLIT] = "split"};

/* ------------------------------------------------------------------- facts */

static void visit_hex(sotto_state *state, const char *name, char *text, size_t digits)
{
    sotto_state_text(state, name, text, digits + 1);
    if (sotto_state_is_sound(state) && strspn(text, "0123456789abcdef") != digits)
        sotto_state_refuse(state, "has a \"%s\" that is not of %zu hex digits", name, digits);
}

/* The version comes first: what another one writes after it is its own affair. */
static void visit_version(sotto_state *state)
{
    char version[32] = SOTTO_VERSION;
    sotto_error err;
    sotto_state_text(state, "sotto", version, sizeof version);
    if (sotto_state_is_sound(state) && strcmp(version, SOTTO_VERSION) != 0)
        sotto_state_fail(
            state,
            sotto_error_set(&err, SOTTO_ERROR_INPUT,
                            "is a checkpoint of sotto %s, and this is sotto " SOTTO_VERSION
                            ", which may train otherwise; finish the run with the sotto that began "
                            "it",
                            version),
            &err);
}

static void visit_kind(sotto_state *state, sotto_checkpoint_kind *kind)
{
    char name[8] = "";
    sotto_error err;
    if (!sotto_state_reads(state))
        (void)snprintf(name, sizeof name, "%s", kinds[*kind]);
    sotto_state_text(state, "kind", name, sizeof name);
    if (sotto_state_is_sound(state) && strcmp(name, kinds[*kind]) != 0)
        sotto_state_fail(
            state,
            sotto_error_set(&err, SOTTO_ERROR_INPUT,
                            "is the file \"%s\" of a checkpoint and not the file \"%s\"; give both "
                            "the names they had",
                            name, kinds[*kind]),
            &err);
}

static void visit_facts(sotto_checkpoint_facts *facts, sotto_state *state)
{
    sotto_state_object(state, "the file");
    visit_version(state);
    visit_kind(state, &facts->kind);
    sotto_state_text(state, "run", facts->run, sizeof facts->run);
    sotto_state_u64(state, "attempt", &facts->attempt, 0, SOTTO_STATE_MOST_COUNT);
    visit_hex(state, "ledger", facts->head.ledger, 32);
    sotto_state_u64(state, "entries", &facts->head.entries, 0, SOTTO_STATE_MOST_COUNT);
    visit_hex(state, "hash", facts->head.hash, DIGEST);
    visit_hex(state, "config_sha256", facts->config_sha256, DIGEST);
    visit_hex(state, "schema_sha256", facts->schema_sha256, DIGEST);
    visit_hex(state, "table_sha256", facts->table_sha256, DIGEST);
    sotto_state_u64(state, "step", &facts->step, 0, SOTTO_STATE_MOST_COUNT);
    sotto_state_text(state, "not_private", facts->not_private, sizeof facts->not_private);
}

/* ----------------------------------------------------------------- writing */

/* To the file, and to its digest. */
static void write_piece(FILE *file, sotto_hash *hash, const void *bytes, size_t length)
{
    (void)fwrite(bytes, 1, length, file); /* an error is sticky: commit reports it */
    sotto_hash_add(hash, bytes, length);
}

static sotto_status write_file(const char *path, const sotto_state *header, const sotto_state *state,
                               sotto_error *err)
{
    char line[MOST_LINE], digest[DIGEST + 1];
    size_t facts_bytes, state_bytes;
    const void *facts = sotto_state_bytes(header, &facts_bytes),
               *all = sotto_state_bytes(state, &state_bytes);
    const int length = snprintf(line, sizeof line, "%s%s%zu %zu\n", magic, format, facts_bytes, state_bytes);
    sotto_hash hash;
    sotto_atomic_file *file;
    sotto_status status = sotto_atomic_file_open(&file, path, 0600, err);
    if (status != SOTTO_OK)
        return status;
    FILE *stream = sotto_atomic_file_stream(file);
    sotto_hash_begin(&hash);
    write_piece(stream, &hash, line, (size_t)length);
    write_piece(stream, &hash, facts, facts_bytes);
    write_piece(stream, &hash, all, state_bytes);
    sotto_hash_hex(&hash, digest);
    (void)fwrite(digest, 1, DIGEST, stream);
    return sotto_atomic_file_commit(file, err);
}

sotto_status sotto_checkpoint_write(const char *path, const sotto_checkpoint_facts *facts, sotto_state *state,
                                    sotto_error *err)
{
    sotto_checkpoint_facts copy = *facts;
    sotto_state *header;
    sotto_status status = sotto_state_end(state, err);
    if (status == SOTTO_OK)
        status = sotto_state_create_writer(&header, err);
    if (status != SOTTO_OK)
        return status;
    visit_facts(&copy, header);
    status = sotto_state_end(header, err);
    if (status == SOTTO_OK)
        status = write_file(path, header, state, err);
    sotto_state_destroy(header);
    return status;
}

/* ----------------------------------------------------------------- reading */

/* Where facts and state lie in the bytes. */
struct places {
    size_t facts, facts_bytes, state, state_bytes;
};

static sotto_status damaged(const char *path, const char *what, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, path, 0, 0,
        "is not a sound checkpoint: %s; resume from a copy that was not touched, or begin "
        "the run anew (what it has spent stays spent)",
        what);
}

/* Digits without a leading zero or sign, followed by `end`. */
static bool read_size(const char *bytes, size_t length, size_t *at, char end, size_t *value)
{
    const size_t first = *at;
    *value = 0;
    while (*at < length && *at - first < 18 && bytes[*at] >= '0' && bytes[*at] <= '9')
        *value = *value * 10 + (size_t)(bytes[(*at)++] - '0');
    return *at > first && (bytes[first] != '0' || *at - first == 1) && *at < length && bytes[(*at)++] == end;
}

static sotto_status take_apart(const char *path, const char *bytes, size_t length, struct places *places,
                               sotto_error *err)
{
    char digest[DIGEST + 1];
    const size_t begin = sizeof magic - 1, end = begin + sizeof format - 1;
    if (length < end + DIGEST || memcmp(bytes, magic, begin) != 0)
        return damaged(path, "it does not begin as one, or is cut", err);
    if (memcmp(bytes + begin, format, sizeof format - 1) != 0)
        return damaged(
            path, "its format is not the one of this sotto, which writes and reads \"sotto checkpoint 1\"",
            err);
    const size_t all = length - DIGEST;
    sotto_sha256_hex(bytes, all, digest);
    if (memcmp(digest, bytes + all, DIGEST) != 0)
        return damaged(path, "its checksum does not agree with its content, so it was cut or changed", err);
    size_t at = end;
    if (!read_size(bytes, all, &at, ' ', &places->facts_bytes) ||
        !read_size(bytes, all, &at, '\n', &places->state_bytes) || places->facts_bytes > MOST_FACTS ||
        places->state_bytes > all || at + places->facts_bytes + places->state_bytes != all)
        return damaged(path, "its sizes do not agree with its length", err);
    places->facts = at;
    places->state = at + places->facts_bytes;
    return SOTTO_OK;
}

static sotto_status read_facts(sotto_checkpoint *checkpoint, const char *path, const struct places *places,
                               sotto_error *err)
{
    sotto_state *header;
    sotto_status status =
        sotto_state_create_reader(&header, checkpoint->bytes + places->facts, places->facts_bytes, path, err);
    if (status != SOTTO_OK)
        return status;
    visit_facts(&checkpoint->facts, header);
    status = sotto_state_end(header, err);
    sotto_state_destroy(header);
    return status;
}

sotto_status sotto_checkpoint_read(sotto_checkpoint *checkpoint, const char *path, sotto_checkpoint_kind kind,
                                   size_t limit, sotto_error *err)
{
    struct places places = {0};
    size_t length;
    *checkpoint = (sotto_checkpoint){.facts.kind = kind};
    sotto_status status = sotto_file_read(path, limit, &checkpoint->bytes, &length, err);
    if (status == SOTTO_OK)
        status = take_apart(path, checkpoint->bytes, length, &places, err);
    if (status == SOTTO_OK)
        status = read_facts(checkpoint, path, &places, err);
    if (status == SOTTO_OK)
        status = sotto_state_create_reader(&checkpoint->state, checkpoint->bytes + places.state,
                                           places.state_bytes, path, err);
    if (status != SOTTO_OK)
        sotto_checkpoint_destroy(checkpoint);
    return status;
}

void sotto_checkpoint_destroy(sotto_checkpoint *checkpoint)
{
    sotto_state_destroy(checkpoint->state);
    free(checkpoint->bytes);
    *checkpoint = (sotto_checkpoint){0};
}

sotto_status sotto_run_checkpoint_head(const char *directory, char run[17], sotto_ledger_head *head,
                                       sotto_error *err)
{
    static const size_t most = (size_t)1 << 34;
    sotto_checkpoint checkpoint = {0};
    char *path = sotto_path_join(directory, "private/checkpoint/state");
    const sotto_status status =
        path ? sotto_checkpoint_read(&checkpoint, path, SOTTO_CHECKPOINT_STATE, most, err)
             : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (status == SOTTO_OK) {
        (void)snprintf(run, 17, "%.16s", checkpoint.facts.run);
        *head = checkpoint.facts.head;
    }
    sotto_checkpoint_destroy(&checkpoint);
    free(path);
    return status;
}
