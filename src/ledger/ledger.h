/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_LEDGER_H
#define SOTTO_LEDGER_H

/**
 * ledger: what every run has spent on each data set, in a SQLite file outside the run directories, so that a
 * crash, a second terminal, a restored checkpoint or a renamed file cannot spend the same ε twice or lose a
 * charge. docs/ledger.md says what it is for and what it cannot do.
 *
 * The file is an append-only chain of entries: the hash of each covers the one before. Whoever opens it
 * verifies all of it, and each transaction first verifies what others appended since. A failed call changes
 * nothing, in the file or in memory, unless its message says what is recorded.
 *
 * Threads and processes. A ledger is for one thread at a time; any number of processes may have the file
 * open. A child that is forked while one is open must leave it alone: there every call is refused but
 * `sotto_ledger_close`.
 */

#include <jansson.h>
#include <stdio.h>

#include "base/base.h"
#include "sotto/accountant.h"

/** An open ledger. Opaque. */
typedef struct sotto_ledger sotto_ledger;

/** Which entry was the last one: what statements, checkpoints and mirrors hold a ledger to. */
typedef struct sotto_ledger_head {
    char ledger[33]; /**< the ledger's public id, in hex */
    uint64_t
        entries; /**< how many there are; UINT64_MAX where who knows the hash does not say, as a statement */
    char hash[65]; /**< of the last one, in hex; it tells nothing of what is in the ledger */
} sotto_ledger_head;

/* ------------------------------------------------------------- opening it */

/**
 * Where the ledger is: SOTTO_LEDGER, or what a config says, or sotto/ledger.db in XDG_STATE_HOME
 * (~/.local/state).
 * \param configured may be NULL
 * \param[out] path  the caller's, to free
 * \return SOTTO_ERROR_INPUT where the first two name different files, or there is no home folder
 */
sotto_status sotto_ledger_find(const char *configured, char **path, sotto_error *err);

typedef struct sotto_ledger_options {
    const char *path;
    const char *mirror; /**< a file elsewhere that follows the head; NULL: SOTTO_LEDGER_MIRROR, or none. Two
                           that differ are an error */
    bool create;        /**< where there is none; its folders too, for their owner alone */
    bool read_only; /**< nothing will be recorded; whoever may not write here can look at a closed ledger */
    bool adopt;     /**< go on with a ledger whose head file is missing, or says more than the ledger holds:
                         a copy, or a backup. The chain must be sound, no mirror may know more, and something must
                       be     amiss; that it was done is an entry of its own */
} sotto_ledger_options;

/**
 * Open a ledger and verify all of it.
 * \param[out] ledger the caller's, for `sotto_ledger_close`
 * \return SOTTO_ERROR_INPUT where there is none, its file system cannot keep locks between machines, or it is
 *         not sound or older than its head file or mirror says; SOTTO_ERROR_IO, SOTTO_ERROR_MEMORY
 */
sotto_status sotto_ledger_open(sotto_ledger **ledger, const sotto_ledger_options *options, sotto_error *err);

/** NULL is allowed. Its runs' handles must not be used any more, but for destroying them. */
void sotto_ledger_close(sotto_ledger *ledger);

/** The file, absolute and without links. */
const char *sotto_ledger_path(const sotto_ledger *ledger);

/** The last entry that this process has seen. */
sotto_ledger_head sotto_ledger_last(const sotto_ledger *ledger);

/**
 * Does the ledger hold what `head` says?
 * \param where who says so, such as a file's name
 * \return SOTTO_ERROR_INPUT, naming `where` and what differs, where this is another ledger or an older one
 */
sotto_status sotto_ledger_expect(sotto_ledger *ledger, const sotto_ledger_head *head, const char *where,
                                 sotto_error *err);

/* -------------------------------------------------------------- data sets */

/** What is wrong with a data set's id, to stand behind its name; NULL where nothing is. The one rule for
 * configs and for what is declared: 1 to 100 bytes of UTF-8 without spaces, slashes and control characters,
 * not beginning with
 * "-". */
const char *sotto_ledger_id_trouble(const char *id);

/** A table, as a run finds it. */
typedef struct sotto_ledger_table {
    const char *id;     /**< declared; or NULL: known by its content, then by its path */
    const char *sha256; /**< of its bytes, 64 hex digits; the ledger keeps a keyed hash of it. For
                             `sotto_ledger_bears` alone also NULL, where nothing was read */
    const char *path;   /**< where it is */
    const char *unit;   /**< the column whose values are the units of privacy; NULL: each row is one */
    sotto_adjacency adjacency;
} sotto_ledger_table;

/** What a run intends, all of it. */
typedef struct sotto_ledger_plan {
    const sotto_charge *charges;
    size_t count;
    double draws;          /**< of exact noise, at most, in one attempt */
    double epsilon, delta; /**< what the run itself promises, for readers */
    const char *config_sha256, *output, *version;
    const char *run;  /**< by the name of `sotto_ledger_name`; NULL: by a new one */
    bool not_private; /**< its noise can be foretold: refused where there is a cap */
} sotto_ledger_plan;

/**
 * Declare the cap of a data set, known yet or not, or another one; its custodian does.
 * \param id      as `sotto_ledger_id_trouble` has it
 * \param unit    the column whose values are the units, NULL for rows
 * \param epsilon > 0, finite
 * \param delta   in (0, 1)
 * \return SOTTO_ERROR_INPUT too where runs were charged for other units, or under two adjacencies
 */
sotto_status sotto_ledger_declare(sotto_ledger *ledger, const char *id, const char *unit, double epsilon,
                                  double delta, sotto_error *err);

#define SOTTO_LEDGER_ID_SIZE 129 /* of a data set, with its NUL */

/**
 * Which data set would the table be charged to? Records nothing; as of what this process has seen.
 * \param[out] known false where it would be a new one
 * \return SOTTO_ERROR_INPUT as `sotto_ledger_run_begin`
 */
sotto_status sotto_ledger_data_set(const sotto_ledger *ledger, const sotto_ledger_table *table,
                                   char id[SOTTO_LEDGER_ID_SIZE], bool *known, sotto_error *err);

/**
 * Would the cap bear these plans together? Records nothing. Where no cap is declared, yes.
 * \return SOTTO_ERROR_BUDGET where it would not; SOTTO_ERROR_INPUT as `sotto_ledger_run_begin`
 */
sotto_status sotto_ledger_bears(sotto_ledger *ledger, const sotto_ledger_table *table,
                                const sotto_ledger_plan *plans, size_t count, sotto_error *err);

/* ------------------------------------------------------------------- runs */

/** A run's name, 16 hex digits, before the ledger knows of it: whoever writes it down first can tell after a
 * crash whether the run was begun. SOTTO_ERROR_ENTROPY. */
sotto_status sotto_ledger_name(char name[17], sotto_error *err);

/** Does the ledger know the run? And is it neither released nor closed? As of what this process has seen. */
bool sotto_ledger_knows(const sotto_ledger *ledger, const char *run);
bool sotto_ledger_is_open(const sotto_ledger *ledger, const char *run);

/** Is a process at work on the run, in the directory that is recorded for it? Of a copy of that elsewhere
 * nobody knows. */
bool sotto_ledger_is_at_work(const sotto_ledger *ledger, const char *run);

/** One attempt at a run. Opaque. It uses the ledger that it was begun with. */
typedef struct sotto_ledger_run sotto_ledger_run;

/**
 * Record a run with its plan, which it holds against the cap while it is open.
 * \return SOTTO_ERROR_BUDGET where the cap does not bear it; SOTTO_ERROR_INPUT where the table is known under
 *         another id, a mechanism cannot be recorded (selection), or is of another adjacency than the table
 */
sotto_status sotto_ledger_run_begin(sotto_ledger_run **run, sotto_ledger *ledger,
                                    const sotto_ledger_table *table, const sotto_ledger_plan *plan,
                                    sotto_error *err);

/**
 * Another attempt at an open run; older ones may not charge from then on.
 * \return SOTTO_ERROR_INPUT where there is no such run, it is closed, or table or config are not its own
 */
sotto_status sotto_ledger_run_resume(sotto_ledger_run **run, sotto_ledger *ledger, const char *id,
                                     const sotto_ledger_table *table, const char *config_sha256,
                                     sotto_error *err);

const char *sotto_ledger_run_id(const sotto_ledger_run *run);
uint64_t sotto_ledger_run_attempt(const sotto_ledger_run *run); /**< from 1 */
const char *sotto_ledger_run_data_set(const sotto_ledger_run *run);

/**
 * What was charged in all attempts, one line for each label and mechanism.
 * \return the ledger's own, valid until the next call with this ledger; NULL where there is none
 */
const sotto_charge *sotto_ledger_run_charges(const sotto_ledger_run *run, size_t *count);

/**
 * Charge `count` uses before they are made: on SOTTO_OK they are on disk. 0 charges nothing.
 * \return SOTTO_ERROR_BUDGET where the cap does not bear them; SOTTO_ERROR_INPUT where a newer attempt goes
 * on with the run, or it is closed
 */
sotto_status sotto_ledger_run_charge(sotto_ledger_run *run, const sotto_mechanism *mechanism, uint64_t count,
                                     const char *label, sotto_error *err);

/** The same for several at once: all of them or none, with one wait for the disk. */
sotto_status sotto_ledger_run_charge_all(sotto_ledger_run *run, const sotto_charge *charges, size_t count,
                                         sotto_error *err);

/** Something that is published. */
typedef struct sotto_ledger_artefact {
    const char *file;   /**< within the run directory */
    const char *what;   /**< "synthetic rows" */
    const char *sha256; /**< of its bytes, 64 hex digits */
} sotto_ledger_artefact;

/** Record what is about to be published, and close the run. For its newest attempt. */
sotto_status sotto_ledger_run_release(sotto_ledger_run *run, const sotto_ledger_artefact *artefacts,
                                      size_t count, sotto_error *err);

/** Close a run that will not be gone on with: what it holds and has not charged is free again. A process that
 * is at work on it is refused from then on. */
sotto_status sotto_ledger_run_close(sotto_ledger *ledger, const char *id, const char *why, sotto_error *err);

/**
 * Was it released, and what?
 * \param[out] artefacts the ledger's own, valid until the next call with it
 */
bool sotto_ledger_run_released(sotto_ledger *ledger, const char *id, const sotto_ledger_artefact **artefacts,
                               size_t *count);

/** NULL is allowed; the run stays as it is. */
void sotto_ledger_run_destroy(sotto_ledger_run *run);

/* ---------------------------------------------------------------- records */

/*
 * For people and machines: docs/records.md says what is in them. New references. Of an ε null means that none
 * is proved.
 */

/** Every data set and every run, in few words. */
sotto_status sotto_ledger_list(sotto_ledger *ledger, json_t **record, sotto_error *err);

/** All about one data set or run. SOTTO_ERROR_INPUT where `id` is neither. */
sotto_status sotto_ledger_show(sotto_ledger *ledger, const char *id, json_t **record, sotto_error *err);

/** All entries, as lines of JSON: the ledger's id and head first. Not the secret salt. */
sotto_status sotto_ledger_export(sotto_ledger *ledger, FILE *file, sotto_error *err);

/**
 * What was found by opening the ledger, which verifies every entry, and by SQLite's own check of the file's
 * structure. SOTTO_ERROR_INPUT where something is amiss.
 */
sotto_status sotto_ledger_verify(const sotto_ledger_options *options, json_t **record, sotto_error *err);

/**
 * Hold the ledger to an artefact, a head file (beside a ledger, or a mirror), a statement (privacy.json) or a
 * run directory: to its head; and of a run directory, that its run was released, that each file of release/
 * is the one that was entered, and that there is no other. \param[out] head  the artefact's \param[out] files
 * how many were compared \return SOTTO_ERROR_INPUT, naming what does not agree
 */
sotto_status sotto_ledger_hold(sotto_ledger *ledger, const char *artefact, sotto_ledger_head *head,
                               size_t *files, sotto_error *err);

#endif
