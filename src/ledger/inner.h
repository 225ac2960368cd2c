/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_LEDGER_INNER_H
#define SOTTO_LEDGER_INNER_H

/* Inside this room: the file, the chain, and the book that is kept of it in memory. */

#include <sqlite3.h>
#include <sys/types.h>

#include "ledger/ledger.h"

enum {
    LEDGER_HASH = 32,       /**< bytes of a hash, and of the salt */
    LEDGER_TEXT = 4096,     /**< bytes of a path at most */
    LEDGER_NAME = 128,      /**< of a data set's id, in an entry */
    LEDGER_NEW_NAME = 100,  /**< of one that is declared */
    LEDGER_LABEL = 1024,    /**< of a label, unit or reason */
    LEDGER_BODY = 4 << 20,  /**< of an entry's body */
    LEDGER_PATIENCE_S = 30, /**< how long to wait for other processes */
    LEDGER_RUN_ID = 16,     /**< hex digits */
    LEDGER_MOST_ORDER = 1000000,
    LEDGER_LINES = 1 << 12, /**< of a plan, or different charges of a run */
};

/* ------------------------------------------------------------------ the book */

/** One file that was a data set at some time. */
typedef struct ledger_version {
    const char *content; /**< HMAC of the file's SHA-256 */
    const char *path;
} ledger_version;

/** What was once declared. */
typedef struct ledger_cap {
    uint64_t seq;
    const char *time, *unit;
    double epsilon, delta;
} ledger_cap;

typedef struct ledger_data_set {
    const char *id;
    bool capped;
    const char *unit; /**< of the cap; NULL: rows */
    double epsilon, delta;
    ledger_version *versions;
    size_t version_count, version_capacity;
    ledger_cap *caps; /**< all of them; the last one holds */
    size_t cap_count, cap_capacity;
    uint64_t changed; /**< the last entry that changed what counts against the cap, or the cap */
    double
        order; /**< of Rényi divergences, by which the cap is kept, fixed before what it counts; 0: not yet */
    uint64_t passed; /**< the value of `changed` when the cap was last found to be kept */
} ledger_data_set;

typedef enum ledger_run_state { LEDGER_RUN_OPEN, LEDGER_RUN_RELEASED, LEDGER_RUN_CLOSED } ledger_run_state;

typedef struct ledger_run_record {
    const char *id, *unit, *content, *path, *config, *output, *version, *began, *ended, *why;
    size_t data_set;
    sotto_adjacency adjacency;
    sotto_charge *plan, *charges;
    size_t plan_count, charge_count, charge_capacity;
    double draws, epsilon, delta;
    bool not_private;
    uint64_t attempt, blocks;
    ledger_run_state state;
    sotto_ledger_artefact *artefacts;
    size_t artefact_count;
} ledger_run_record;

/** That a custodian went on with a copy or a backup. */
typedef struct ledger_adoption {
    const char *time, *why;
} ledger_adoption;

/** All that the entries say. Memory is the arena's but for the lists. */
typedef struct ledger_book {
    sotto_arena *arena;
    ledger_data_set *sets;
    size_t set_count, set_capacity;
    ledger_run_record *runs;
    size_t run_count, run_capacity;
    ledger_adoption *adoptions;
    size_t adoption_count, adoption_capacity;
    uint64_t charges; /**< entries that are one */
} ledger_book;

/** One row of the table `entries`. */
typedef struct ledger_entry {
    uint64_t seq;
    const char *time, *kind, *body;
    size_t body_length;
} ledger_entry;

sotto_status ledger_book_create(ledger_book *book, sotto_error *err);
void ledger_book_release(ledger_book *book);

/** Take in an entry, hostile or not. After a failure the book is good for nothing but release. */
sotto_status ledger_book_apply(ledger_book *book, const ledger_entry *entry, sotto_error *err);

ledger_data_set *ledger_book_set(const ledger_book *book, const char *id);
ledger_run_record *ledger_book_run(const ledger_book *book, const char *id);
/** Room for one more of `size` bytes each in a list on the heap. */
sotto_status ledger_grow(void **list, size_t count, size_t *capacity, size_t size, sotto_error *err);

/** The line of this label and mechanism; NULL where there is none. */
sotto_charge *ledger_find_line(const sotto_charge *lines, size_t count, const char *label,
                               const sotto_mechanism *mechanism);
/** What the run has spent of a line of its plan or charges; with `held`, or holds. */
uint64_t ledger_run_counts(const ledger_run_record *run, const sotto_charge *line, bool held);
/** Draws of exact noise, of all attempts at most. */
double ledger_run_draws(const ledger_run_record *run);

/* ------------------------------------------------------------------ the cap */

/** What would be added. */
typedef struct ledger_extra {
    const sotto_charge *charges;
    size_t count;
    double draws;
} ledger_extra;

/** Which runs are composed: those of a data set that are for one kind of unit. */
typedef struct ledger_choice {
    size_t set;
    const char *unit;          /**< NULL: rows */
    sotto_adjacency adjacency; /**< 0: any */
    bool held;                 /**< with what open runs hold, not only with what was charged */
} ledger_choice;

/**
 * Compose runs, and extras.
 * \param[out] accountant the caller's
 */
sotto_status ledger_compose(const ledger_book *book, const ledger_choice *choice, const ledger_extra *extras,
                            size_t count, sotto_accountant **accountant, double *draws, sotto_error *err);

/**
 * The order that the cap of the data set at `place` is to be kept by, as `set` has it: the one that tells
 * least of as many repetitions of `extras` beside its runs as the cap bears. It is fixed before these are
 * made, and never after: by an order that is chosen in the end, no sum of mechanisms that were chosen while
 * looking at earlier releases is bounded (Feldman and Zrnic 2021, section 3).
 */
sotto_status ledger_cap_order(const ledger_book *book, const ledger_data_set *set, size_t place,
                              const ledger_extra *extras, size_t count, double *order, sotto_error *err);

/** SOTTO_ERROR_BUDGET where runs and extras are beyond the cap by this order; SOTTO_OK where there is none.
 */
sotto_status ledger_cap_check(const ledger_book *book, size_t place, const ledger_extra *extras, size_t count,
                              double order, sotto_error *err);

/** How much of the cap these are: of the divergence that it allows at its order. 1 is all of it. */
double ledger_cap_share(const ledger_data_set *set, const sotto_accountant *accountant, double draws);

/** ε of an accountant and draws of exact noise at δ, rounded up; INFINITY where none is proved. `order`,
 * which may be NULL: which one gave about that. */
sotto_status ledger_epsilon(const sotto_accountant *accountant, double draws, double delta, double *epsilon,
                            double *order, sotto_error *err);

/* --------------------------------------------------------------- their words */

/** Both NULL, or the same. */
bool ledger_same_unit(const char *a, const char *b);
/** New references; NULL where memory is short or a text is not UTF-8. */
json_t *ledger_mechanism_json(const sotto_mechanism *mechanism);
json_t *ledger_charge_json(const sotto_charge *charge);
json_t *ledger_charges_json(const sotto_charge *charges, size_t count);
/** Real numbers; null for what JSON does not have. */
json_t *ledger_real_json(double value);
/** null for NULL. */
json_t *ledger_text_json(const char *text);
/** Set a new reference; false, dropping it, where either is NULL. */
bool ledger_put(json_t *object, const char *key, json_t *value);

/** What every record begins with: the file, and its head. */
json_t *ledger_record_json(const sotto_ledger *ledger);
/** "adoptions": when the ledger was adopted, and why. */
sotto_status ledger_put_adoptions(const ledger_book *book, json_t *record, sotto_error *err);

/** A reader of one object: the first thing amiss stays in `wrong`. */
typedef struct ledger_reader {
    const json_t *object;
    size_t taken;
    const char *wrong; /**< the key at fault, NULL where none is */
} ledger_reader;

const json_t *ledger_read(ledger_reader *reader, const char *key);
/** 1 to `most` bytes. */
const char *ledger_read_text(ledger_reader *reader, const char *key, size_t most);
/** The same, or NULL for null. */
const char *ledger_read_text_or_null(ledger_reader *reader, const char *key, size_t most);
/** 64 lower-case hex digits. */
const char *ledger_read_hash(ledger_reader *reader, const char *key);
uint64_t ledger_read_count(ledger_reader *reader, const char *key, uint64_t least, uint64_t most);
/** Finite; or INFINITY for null. */
double ledger_read_real(ledger_reader *reader, const char *key);
sotto_adjacency ledger_read_adjacency(ledger_reader *reader, const char *key);
/** False, and `wrong` set, where something was amiss or is there that nobody asked for. */
bool ledger_read_end(ledger_reader *reader);
/** label, mechanism and count of a reader's object; the label stays the object's. */
bool ledger_read_charge(ledger_reader *reader, sotto_adjacency adjacency, sotto_charge *charge);

/** An ε or δ for people: exactly, or to four digits rounded up or down. Give `text`. */
enum { LEDGER_FIGURE = 40 };
const char *ledger_figure_exact(double value, char text[LEDGER_FIGURE]);
const char *ledger_figure_up(double value, char text[LEDGER_FIGURE]);
const char *ledger_figure_down(double value, char text[LEDGER_FIGURE]);

bool ledger_is_hex(const char *text, size_t digits);
void ledger_hex(const unsigned char *bytes, size_t count, char *hex);
/** A data set's id that an entry may have, which is more than can be declared by now: 1 to LEDGER_NAME bytes
 * of UTF-8 without control characters, not beginning with "-". */
bool ledger_is_name(const char *text);

/* ---------------------------------------------------------------- the files */

/** What a head file holds. */
typedef struct ledger_record {
    sotto_ledger_head head;
    char rest[65]; /**< the ledger file's SHA-256 while nobody has it open; else 64 zeros */
} ledger_record;

#define LEDGER_NO_REST "0000000000000000000000000000000000000000000000000000000000000000"

/** Read a head file's bytes; false where they are no head file's, all of them. */
bool ledger_record_parse(const char *bytes, size_t length, ledger_record *record);
/** As a head file; `text` has room for LEDGER_RECORD + 1 bytes. */
void ledger_record_format(const ledger_record *record, char *text);
enum { LEDGER_RECORD = 20 + 40 + 29 + 70 + 70 + 71 };

/** The head file beside the ledger. `empty`: there is none yet, or nothing in it. */
sotto_status ledger_sidecar_read(const sotto_ledger *ledger, ledger_record *record, bool *empty,
                                 sotto_error *err);
sotto_status ledger_sidecar_write(const sotto_ledger *ledger, const ledger_record *record, bool sync,
                                  sotto_error *err);
/** Wait to be the only one to write head files, or let the next one. */
void ledger_sidecar_hold(const sotto_ledger *ledger, bool hold);
/** Open it and share it with all who have the ledger open, comparing the digest where one is recorded. */
sotto_status ledger_sidecar_enter(sotto_ledger *ledger, bool create, sotto_error *err);
/** Let go of it; who was alone records the ledger file's digest. The database is closed already. */
void ledger_sidecar_leave(sotto_ledger *ledger);

/**
 * The head file elsewhere that follows the ledger at the settled path `ledger`: what a config says, or
 * SOTTO_LEDGER_MIRROR; NULL where there is none. The caller frees. SOTTO_ERROR_INPUT where they name two
 * files, or one of the ledger's own.
 */
sotto_status ledger_mirror_find(const char *configured, const char *ledger, char **mirror, sotto_error *err);
/** A head file elsewhere, whole or not at all. `absent` where there is none. */
sotto_status ledger_mirror_read(const char *path, ledger_record *record, bool *absent, sotto_error *err);
sotto_status ledger_mirror_write(const char *path, const sotto_ledger_head *head, sotto_error *err);

/** Do two names name one file, there or not? */
sotto_status ledger_path_same(const char *a, const char *b, bool *same, sotto_error *err);
/** Is there what can be a ledger, or room for one where `create`? Says what is there instead. */
sotto_status ledger_path_check(const sotto_ledger *ledger, bool create, sotto_error *err);
/** The path, absolute and without links; new folders made where `create`. The caller frees. */
sotto_status ledger_path_settle(const char *path, bool create, char **settled, sotto_error *err);
/** Why locks on such a file system do not hold between machines, by its magic number: its name, or NULL. */
const char *ledger_file_system_trouble(unsigned long magic);
/** SOTTO_ERROR_INPUT unless locks of the open file hold. */
sotto_status ledger_path_check_locks(const char *path, int descriptor, sotto_error *err);

/** The process that is writing to the ledger at this moment; 0 where none is, or the system does not tell. */
long ledger_who_writes(const sotto_ledger *ledger);

/* ------------------------------------------------------------ the database */

struct sotto_ledger {
    char *path, *sidecar, *mirror;
    int descriptor; /**< of the sidecar; −1 where it is not open */
    bool read_only, adopt;
    bool alone;   /**< nobody else has it open, or can: the sidecar is locked exclusively */
    bool looking; /**< nothing can be written here: the file is read as it lies there */
    bool made;    /**< the head file is new: it is taken away again where it comes to nothing */
    bool changed; /**< the file was not the one that was closed */
    ledger_record
        rested;    /**< the head file as it was before its digest was forgotten; "" in `rest`: none was */
    bool sound;    /**< it was opened and verified, so that its file may be vouched for when it is closed */
    bool poisoned; /**< what the file holds is not known */
    bool stale;    /**< the book must be made anew */
    pid_t process;
    sqlite3 *database;
    sqlite3_stmt *select, *insert, *hash_at;
    unsigned char salt[LEDGER_HASH], origin[LEDGER_HASH];
    char id[33];
    ledger_book book;
    uint64_t known; /**< the last entry in the book */
    unsigned char known_hash[LEDGER_HASH];
};

struct sotto_ledger_run {
    sotto_ledger *ledger;
    char id[LEDGER_RUN_ID + 1];
    char data_set[LEDGER_NAME + 1];
    uint64_t attempt;
};

/** SQLite's code as an error of ours, with what to do. `doing`: "reading". */
sotto_status ledger_sqlite_error(const sotto_ledger *ledger, int code, const char *doing, sotto_error *err);

/** Open the database, or make it; nothing of its entries is read. */
sotto_status ledger_store_open(sotto_ledger *ledger, bool create, sotto_error *err);
void ledger_store_close(sotto_ledger *ledger);
/** Of a file that nobody has open, its id and number of entries as they stand there, nothing checked or
 * changed; false where it does not tell. */
bool ledger_store_peek(const char *path, char id[33], uint64_t *entries);

/** What is in the ledger, held to what its head says; within a transaction. `where`: who says it. */
sotto_status ledger_compare(sotto_ledger *ledger, const sotto_ledger_head *head, const char *where,
                            sotto_error *err);
/** Go on with a copy or a backup, whatever its head file says, and write that down. */
sotto_status ledger_adopt(sotto_ledger *ledger, sotto_error *err);

/** Begin a transaction, to write or to read, and read what others appended since: the book is up to date. */
sotto_status ledger_begin(sotto_ledger *ledger, bool write, sotto_error *err);
/** Append an entry within it, in the file and in the book. Takes the reference to `body`. */
sotto_status ledger_append(sotto_ledger *ledger, const char *kind, json_t *body, sotto_error *err);
/** Where `status` is SOTTO_OK commit, and write the head files; else undo everything. Gives what became of
 * it. */
sotto_status ledger_end(sotto_ledger *ledger, sotto_status status, sotto_error *err);
/** The hash of an entry that there is, or of what comes before all of them; within a transaction. */
sotto_status ledger_hash_at(sotto_ledger *ledger, uint64_t seq, unsigned char hash[LEDGER_HASH],
                            sotto_error *err);
/** Is there an entry of this hash, in hex? Reads all of them; within a transaction. */
sotto_status ledger_has_hash(sotto_ledger *ledger, const char *hash, bool *found, sotto_error *err);

/** SHA-256 of an entry that follows `before`. */
void ledger_chain(const unsigned char before[LEDGER_HASH], const ledger_entry *entry,
                  unsigned char after[LEDGER_HASH]);
/** The hash that the first entry follows. */
void ledger_chain_origin(const unsigned char salt[LEDGER_HASH], const char *id,
                         unsigned char origin[LEDGER_HASH]);
/** HMAC-SHA-256 of the text by the ledger's salt, in hex. */
void ledger_keyed(const sotto_ledger *ledger, const char *text, char hex[65]);

/* --------------------------------------------------------------- identities */

/** Which data set a table is; and what the ledger must be told of it first. */
typedef struct ledger_identity {
    char id[LEDGER_NAME + 1];
    size_t set; /**< SIZE_MAX: a new one */
    bool tell;  /**< a version that the ledger does not know */
    char content[65];
    char *path; /**< canonical; owned */
} ledger_identity;

/** To be released after failure too. */
sotto_status ledger_identify(const sotto_ledger *ledger, const sotto_ledger_table *table,
                             ledger_identity *identity, sotto_error *err);
void ledger_identity_release(ledger_identity *identity);
/** A path or other text of the system's as UTF-8, percent-encoded where it is not; the caller frees. */
char *ledger_readable(const char *text);

#endif
