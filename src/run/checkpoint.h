/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_CHECKPOINT_H
#define SOTTO_RUN_CHECKPOINT_H

/*
 * Inside this room: the files from which a run is taken up again.
 *
 *     sotto checkpoint 1 FACTS_BYTES STATE_BYTES\n  facts  state  digest
 *
 * Facts and state are fields as base/state.h writes them; the digest is the SHA-256 of all before, as 64 hex
 * digits. A run has two such files in private/checkpoint: `split`, which is written once, and `state`, which
 * is written over and over. Both are private, of mode 0600, and have no key of a random stream (P8).
 */

#include "ledger/ledger.h"
#include "run/run.h"

/** Which of a run's two files. */
typedef enum sotto_checkpoint_kind {
    SOTTO_CHECKPOINT_STATE = 1,
    SOTTO_CHECKPOINT_SPLIT
} sotto_checkpoint_kind;

/** What a file is of. Texts are of printable ASCII; digests of 64 hex digits. */
typedef struct sotto_checkpoint_facts {
    sotto_checkpoint_kind kind;
    char run[64];           /**< its id in the ledger */
    uint64_t attempt;       /**< which one of the run wrote this */
    sotto_ledger_head head; /**< of the ledger, when this was written: an older one is another one */
    char config_sha256[65]; /**< of all in the config that privacy depends on */
    char schema_sha256[65];
    char table_sha256[65];
    uint64_t step;         /**< private steps, or rounds of parts, that were ended */
    char not_private[256]; /**< "" or the stamp (P9) */
} sotto_checkpoint_facts;

/**
 * Write a file, whole or not at all, synced, of mode 0600, over one that is there. `state` is a writer that
 * has visited everything; what went wrong in it is returned from here. SOTTO_ERROR_IO, SOTTO_ERROR_MEMORY.
 */
sotto_status sotto_checkpoint_write(const char *path, const sotto_checkpoint_facts *facts, sotto_state *state,
                                    sotto_error *err);

/** A file that was read. All zero: none. */
typedef struct sotto_checkpoint {
    sotto_checkpoint_facts facts;
    sotto_state *state; /**< a reader of what was visited; sotto_state_end says whether all fitted */
    char *bytes;        /**< private to these functions */
} sotto_checkpoint;

/**
 * Read a file, whose bytes are taken for hostile. SOTTO_ERROR_INPUT, naming the file, where it is not one, or
 * was cut or changed, or is not of this `kind`, or was written by another version of sotto, or is larger than
 * `limit` bytes. Whether its facts are this run's is for the caller to see, and above all that the split is
 * of the same run as the state. Caller destroys, in every case.
 */
sotto_status sotto_checkpoint_read(sotto_checkpoint *checkpoint, const char *path, sotto_checkpoint_kind kind,
                                   size_t limit, sotto_error *err);
void sotto_checkpoint_destroy(sotto_checkpoint *checkpoint);

#endif
