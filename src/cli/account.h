/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_CLI_ACCOUNT_H
#define SOTTO_CLI_ACCOUNT_H

/**
 * What the questions of `sotto account` share: asking an accountant of either kind, and saying its answer.
 */

#include "cli/cli.h"
#include "sotto/accountant.h"

/** Everything that there is to ask of a composition. */
typedef struct sotto_account_wish {
    sotto_accountant_kind kind;
    double gap;     /**< pld: how far apart the certified sides may be, as a share of ε */
    bool for_delta; /**< δ at `epsilon` is wanted, not ε at `delta` */
    double epsilon, delta;
} sotto_account_wish;

/** A figure and what proves it. */
typedef struct sotto_account_answer {
    double figure; /**< rounded up */
    double order;  /**< rdp: the order that gave it */
    double lower;  /**< pld: no smaller one is kept */
} sotto_account_answer;

/** An `sotto_account_wish` of the rdp accountant's. */
sotto_account_wish sotto_account_wish_default(void);

/**
 * Read the values of --accountant and --gap, each NULL or NAN where it was not given.
 * \return SOTTO_CLI_GO_ON, or the exit status of wrong usage
 */
int sotto_account_read_kind(const char *command, const char *name, double gap, sotto_account_wish *wish);

/** The figure that is wished for. */
sotto_status sotto_account_find(const sotto_accountant *accountant, const sotto_account_wish *wish,
                                sotto_account_answer *answer, sotto_error *err);

/** A figure as JSON, which knows no infinity: null is "no guarantee". */
json_t *sotto_account_figure_json(double figure);

/** Add `order`, or `epsilon_lower` or `delta_lower`, to a record. */
bool sotto_account_put_proof(json_t *record, const sotto_account_wish *wish,
                             const sotto_account_answer *answer);

/** Add `accountant`, and `gap` where there is one. */
bool sotto_account_put_kind(json_t *record, const sotto_account_wish *wish, bool with_gap);

/** Print a record, whose reference is taken, unless it is NULL or not `sound`; the exit status. */
int sotto_account_print_record(json_t *record, bool sound);

/** "ε = 1.04 at δ = 1e-5 (Rényi accountant, order 17.2)" and a newline. */
void sotto_account_print_words(const sotto_account_wish *wish, const sotto_account_answer *answer);

/** A figure for people, rounded down to `digits` significant digits. */
void sotto_account_figure_down(double value, int digits, char text[SOTTO_FIGURE_SIZE]);

/* ---- compose ---- */

/** One line of a list of releases. */
typedef struct sotto_release {
    const char *label; /**< NULL where it has none; the document's */
    sotto_mechanism mechanism;
    uint64_t times;
    sotto_accountant *run;         /**< of a selection; owned */
    const struct sotto_node *node; /**< its place */
} sotto_release;

/** A list of releases, as a file says it. */
typedef struct sotto_releases {
    struct sotto_document *document;
    sotto_release *items;
    size_t count;
    double epsilon, delta;     /**< NAN where the file does not say */
    const char *accountant;    /**< NULL where it does not */
    sotto_adjacency adjacency; /**< of all of them */
} sotto_releases;

/**
 * Read a file of releases; docs/commands.md says what is in it.
 * \param[out] list the caller's, for `sotto_releases_release`, after a failure too
 * \param err not NULL
 */
sotto_status sotto_releases_load(sotto_releases *list, const char *path, sotto_error *err);
void sotto_releases_release(sotto_releases *list);

/** Compose all of them; an error has the place of the release that is at fault. */
sotto_status sotto_releases_compose(const sotto_releases *list, sotto_accountant *accountant,
                                    sotto_error *err);

/** `sotto account compose`. */
sotto_command sotto_command_account_compose;

#endif
