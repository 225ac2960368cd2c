/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/ledger.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"

/* ---------------------------------------------------------------------- tables */

/* A column: what stands above it, and what is in it. */
typedef struct column {
    const char *title;
    void (*cell)(const json_t *row, char *text, size_t size);
} column;

enum { COLUMNS = 8, CELL = 512 };

static void put_padded(const char *text, size_t width, bool last)
{
    sotto_text_put(stdout, text, false);
    for (size_t i = sotto_text_width(text); i < width && !last; i++)
        (void)putchar(' ');
    (void)fputs(last ? "\n" : "  ", stdout);
}

static size_t width_of(const column *which, const json_t *rows)
{
    size_t most = sotto_text_width(which->title);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char text[CELL];
        which->cell(json_array_get(rows, i), text, sizeof text);
        const size_t width = sotto_text_width(text);
        most = width > most ? width : most;
    }
    return most; /* a longer one would put those after it out of their columns */
}

static void print_table(const column *columns, size_t count, const json_t *rows)
{
    size_t widths[COLUMNS];
    for (size_t i = 0; i < count; i++)
        widths[i] = width_of(&columns[i], rows);
    for (size_t i = 0; i < count; i++)
        put_padded(columns[i].title, widths[i], i + 1 == count);
    for (size_t row = 0; row < json_array_size(rows); row++)
        for (size_t i = 0; i < count; i++) {
            char text[CELL];
            columns[i].cell(json_array_get(rows, row), text, sizeof text);
            put_padded(text, widths[i], i + 1 == count);
        }
}

/* ----------------------------------------------------------------------- cells */

static void copy_text(const json_t *row, const char *key, const char *absent, char *text, size_t size)
{
    const char *found = json_string_value(json_object_get(row, key));
    (void)snprintf(text, size, "%s", found ? found : absent);
}

/* An ε, rounded up; "none" where none is proved. */
static void put_epsilon(const json_t *value, char *text, size_t size)
{
    char figure[SOTTO_FIGURE_SIZE] = "none";
    if (json_is_number(value))
        sotto_figure_up(json_number_value(value), 4, figure);
    (void)snprintf(text, size, "%s", figure);
}

static void cell_data_set(const json_t *row, char *text, size_t size)
{
    copy_text(row, "data_set", "", text, size);
}

/* "ε = 3 at δ = 1e-05, by person" */
static void cell_cap(const json_t *row, char *text, size_t size)
{
    const json_t *cap = json_object_get(row, "cap");
    const char *unit = json_string_value(json_object_get(cap, "unit"));
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    if (!json_is_object(cap)) {
        (void)snprintf(text, size, "no cap");
        return;
    }
    sotto_figure_exact(sotto_cli_member(cap, "epsilon"), epsilon);
    sotto_figure_exact(sotto_cli_member(cap, "delta"), delta);
    (void)snprintf(text, size, "ε = %s at δ = %s%s%s", epsilon, delta, unit ? ", by " : "", unit ? unit : "");
}

/* "ε = 1.234 (2.5 with what is held) at δ = 1e-5, 41 % of the cap", and so on for further units. */
static void cell_spent(const json_t *row, char *text, size_t size)
{
    const json_t *spent = json_object_get(row, "spent");
    size_t used = 0;
    (void)snprintf(text, size, "nothing");
    for (size_t i = 0; i < json_array_size(spent) && used < size; i++) {
        const json_t *one = json_array_get(spent, i);
        const char *unit = json_string_value(json_object_get(one, "unit"));
        char charged[SOTTO_FIGURE_SIZE], held[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
        sotto_figure_exact(sotto_cli_member(one, "delta"), delta);
        put_epsilon(json_object_get(one, "epsilon"), charged, sizeof charged);
        put_epsilon(json_object_get(one, "epsilon_with_held"), held, sizeof held);
        const bool more = strcmp(charged, held) != 0;
        const double share = sotto_cli_member(one, "share_of_cap");
        char part[48] = "";
        if (share >= 0)
            (void)snprintf(part, sizeof part, ", %.3g %% of the cap", ceil(1000 * share) / 10);
        const int length =
            snprintf(text + used, size - used, "%sε = %s%s%s%s at δ = %s%s%s%s", i ? "; " : "", charged,
                     more ? " (" : "", more ? held : "", more ? " with what is held)" : "", delta, part,
                     unit ? ", by " : "", unit ? unit : "");
        used += length > 0 ? (size_t)length : 0;
    }
}

static void cell_runs(const json_t *row, char *text, size_t size)
{
    const double open = sotto_cli_member(row, "open"), not_private = sotto_cli_member(row, "not_private");
    char some[48] = "", stamped[64] = "";
    if (open > 0)
        (void)snprintf(some, sizeof some, ", %.0f open", open);
    if (not_private > 0) /* which no ε bounds */
        (void)snprintf(stamped, sizeof stamped, ", %.0f NOT PRIVATE", not_private);
    (void)snprintf(text, size, "%.0f%s%s", sotto_cli_member(row, "runs"), some, stamped);
}

static void cell_run(const json_t *row, char *text, size_t size)
{
    copy_text(row, "run", "", text, size);
}

static void cell_state(const json_t *row, char *text, size_t size)
{
    const double attempt = sotto_cli_member(row, "attempt");
    copy_text(row, "state", "", text, size);
    const size_t used = strlen(text);
    if (attempt > 1)
        (void)snprintf(text + used, size - used, ", attempt %.0f", attempt);
}

static void cell_began(const json_t *row, char *text, size_t size)
{
    copy_text(row, "began", "", text, size);
}

static void cell_plan(const json_t *row, char *text, size_t size)
{
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    if (json_is_true(json_object_get(row, "not_private"))) {
        (void)snprintf(text, size, "NOT PRIVATE");
        return;
    }
    put_epsilon(json_object_get(row, "epsilon"), epsilon, sizeof epsilon);
    sotto_figure_exact(sotto_cli_member(row, "delta"), delta);
    (void)snprintf(text, size, "ε = %s at δ = %s", epsilon, delta);
}

static void cell_output(const json_t *row, char *text, size_t size)
{
    copy_text(row, "output", "-", text, size);
}

static void cell_label(const json_t *row, char *text, size_t size)
{
    copy_text(row, "label", "", text, size);
}

static void put_count(const json_t *row, const char *key, char *text, size_t size)
{
    char figure[SOTTO_FIGURE_SIZE];
    const json_int_t count = json_integer_value(json_object_get(row, key));
    sotto_figure_count(count > 0 ? (uint64_t)count : 0, figure);
    (void)snprintf(text, size, "%s", figure);
}

static void cell_planned(const json_t *row, char *text, size_t size)
{
    put_count(row, "planned", text, size);
}

static void cell_charged(const json_t *row, char *text, size_t size)
{
    put_count(row, "charged", text, size);
}

/* "sampled gaussian, q = 0.01, σ = 1.1" */
static void cell_mechanism(const json_t *row, char *text, size_t size)
{
    static const char *const parts[][2] = {{"sample_rate", "q"},
                                           {"noise_multiplier", "σ"},
                                           {"epsilon", "ε"},
                                           {"rho", "ρ"},
                                           {"group", "group of"}};
    const json_t *mechanism = json_object_get(row, "mechanism");
    copy_text(mechanism, "kind", "", text, size);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t used = strlen(text);
        const double value = sotto_cli_member(mechanism, parts[i][0]);
        if (!isnan(value))
            (void)snprintf(text + used, size - used, ", %s = %.6g", parts[i][1], value);
    }
}

static void cell_file(const json_t *row, char *text, size_t size)
{
    copy_text(row, "file", "", text, size);
}

static void cell_sha256(const json_t *row, char *text, size_t size)
{
    copy_text(row, "sha256", "", text, size);
}

static void cell_itself(const json_t *row, char *text, size_t size)
{
    const char *found = json_string_value(row);
    (void)snprintf(text, size, "%s", found ? found : "");
}

static void cell_declared(const json_t *row, char *text, size_t size)
{
    copy_text(row, "declared", "", text, size);
}

/* A row that is the cap itself. */
static void cell_own_cap(const json_t *row, char *text, size_t size)
{
    json_t *around = json_object();
    if (json_object_set(around, "cap", (json_t *)row) == 0)
        cell_cap(around, text, size);
    else
        (void)snprintf(text, size, "-");
    json_decref(around);
}

/* --------------------------------------------------------------------- records */

static void put_line(const char *what, const char *text)
{
    put_padded(what, 9, false);
    sotto_text_put(stdout, text, false);
    (void)putchar('\n');
}

static void put_head(const json_t *record)
{
    const json_t *head = json_object_get(record, "head");
    char text[CELL];
    put_line("ledger", sotto_cli_text(record, "file"));
    (void)snprintf(text, sizeof text, "%.0f, the last one %s", sotto_cli_member(head, "entries"),
                   sotto_cli_text(head, "hash"));
    put_line("entries", text);
    const json_t *adoptions = json_object_get(record, "adoptions");
    for (size_t i = 0; i < json_array_size(adoptions); i++) {
        const json_t *one = json_array_get(adoptions, i);
        (void)snprintf(text, sizeof text, "%s: %s", sotto_cli_text(one, "time"), sotto_cli_text(one, "why"));
        put_line("adopted", text);
    }
}

static void print_runs(const json_t *runs)
{
    static const column columns[] = {{"run", cell_run},          {"data set", cell_data_set},
                                     {"state", cell_state},      {"began", cell_began},
                                     {"by its plan", cell_plan}, {"directory", cell_output}};
    (void)putchar('\n');
    if (json_array_size(runs) == 0)
        (void)puts("no run yet");
    else
        print_table(columns, sizeof columns / sizeof *columns, runs);
}

void sotto_ledger_print_list(const json_t *record)
{
    static const column columns[] = {
        {"data set", cell_data_set}, {"cap", cell_cap}, {"spent", cell_spent}, {"runs", cell_runs}};
    const json_t *sets = json_object_get(record, "data_sets");
    put_head(record);
    (void)putchar('\n');
    if (json_array_size(sets) == 0) {
        (void)puts("no data set yet");
        return;
    }
    print_table(columns, sizeof columns / sizeof *columns, sets);
    print_runs(json_object_get(record, "runs"));
}

/* No run is let in, or goes on, where so much is taken that nothing is left. */
static void put_excess(const json_t *record)
{
    const double cap = sotto_cli_member(json_object_get(record, "cap"), "epsilon");
    const json_t *spent = json_object_get(record, "spent");
    for (size_t i = 0; i < json_array_size(spent); i++) {
        const json_t *one = json_array_get(spent, i);
        const bool charged = sotto_cli_member(one, "epsilon") > cap;
        if (charged || sotto_cli_member(one, "share_of_cap") > 1 ||
            sotto_cli_member(one, "epsilon_with_held") > cap)
            put_line("exceeded",
                     charged ? "what was charged is above the cap: no run is let in, charges or is released"
                             : "what is spent and held is above the cap: no run is let in, charges or is "
                               "released; closing a run gives back what it holds");
    }
}

static void put_no_table(const json_t *record)
{
    const json_t *tables = json_object_get(record, "tables");
    if (json_array_size(tables) > 0)
        return;
    char text[CELL];
    (void)snprintf(text, sizeof text,
                   "none carries this id yet; write `data: {id: %s}` in the config of each that is "
                   "about it",
                   sotto_cli_text(record, "data_set"));
    put_line("tables", text);
}

static void print_set(const json_t *record)
{
    static const column tables[] = {{"tables", cell_itself}};
    static const column caps[] = {{"cap", cell_own_cap}, {"declared", cell_declared}};
    char text[CELL];
    put_line("data set", sotto_cli_text(record, "data_set"));
    cell_cap(record, text, sizeof text);
    put_line("cap", text);
    cell_spent(record, text, sizeof text);
    put_line("spent", text);
    put_excess(record);
    put_no_table(record);
    if (sotto_cli_member(record, "not_private") > 0)
        (void)puts("           some of its runs were NOT PRIVATE: no ε bounds what those gave away");
    if (json_array_size(json_object_get(record, "caps")) > 1) {
        (void)putchar('\n');
        print_table(caps, 2, json_object_get(record, "caps"));
    }
    if (json_array_size(json_object_get(record, "tables")) > 0) {
        (void)putchar('\n');
        print_table(tables, 1, json_object_get(record, "tables"));
    }
    print_runs(json_object_get(record, "its_runs"));
}

static void print_run(const json_t *record)
{
    static const column charges[] = {{"charge", cell_label},
                                     {"planned", cell_planned},
                                     {"charged", cell_charged},
                                     {"mechanism", cell_mechanism}};
    static const column artefacts[] = {{"released", cell_file}, {"SHA-256", cell_sha256}};
    char text[CELL];
    put_line("run", sotto_cli_text(record, "run"));
    put_line("data set", sotto_cli_text(record, "data_set"));
    cell_state(record, text, sizeof text);
    put_line("state", text);
    if (*sotto_cli_text(record, "why"))
        put_line("why", sotto_cli_text(record, "why"));
    put_line("began", sotto_cli_text(record, "began"));
    if (*sotto_cli_text(record, "ended"))
        put_line("ended", sotto_cli_text(record, "ended"));
    cell_plan(record, text, sizeof text);
    put_line("plan", text);
    put_line("table", sotto_cli_text(record, "table"));
    put_line("unit", *sotto_cli_text(record, "unit") ? sotto_cli_text(record, "unit") : "each row");
    cell_output(record, text, sizeof text);
    put_line("directory", text);
    (void)putchar('\n');
    print_table(charges, sizeof charges / sizeof *charges, json_object_get(record, "charges"));
    if (json_array_size(json_object_get(record, "artefacts")) > 0) {
        (void)putchar('\n');
        print_table(artefacts, 2, json_object_get(record, "artefacts"));
    }
}

void sotto_ledger_print_shown(const json_t *record)
{
    put_head(record);
    (void)putchar('\n');
    if (json_object_get(record, "run"))
        print_run(record);
    else
        print_set(record);
}

/* ε of the data set, before and after. */
void sotto_ledger_print_closed(const json_t *record)
{
    const json_t *epsilon = json_object_get(record, "data_set_epsilon");
    char before[SOTTO_FIGURE_SIZE], after[SOTTO_FIGURE_SIZE];
    put_epsilon(json_object_get(epsilon, "before"), before, sizeof before);
    put_epsilon(json_object_get(epsilon, "after"), after, sizeof after);
    sotto_ledger_print_shown(record);
    (void)putchar('\n');
    if (strcmp(before, after) == 0)
        (void)printf("It gave nothing back: what it held was charged. ");
    else
        (void)printf("With it its data set had come to ε = %s, and comes to %s now. ", before, after);
    (void)puts("Whoever is still at work on it in a copy charges and releases nothing more.");
}

/* "holds what RUN says (entry 12); its 3 files are those that were released" */
static void print_finding(const json_t *one)
{
    const char *state = sotto_cli_text(one, "state");
    const double files = sotto_cli_member(one, "files"), entries = sotto_cli_member(one, "entries");
    if (!json_is_true(json_object_get(one, "sound")))
        return; /* it was told as an error */
    (void)fputs(strcmp(state, "begun") == 0 ? "nothing to hold in " : "holds what ", stdout);
    sotto_text_put(stdout, sotto_cli_text(one, "artefact"), false);
    if (strcmp(state, "begun") != 0)
        (void)fputs(" says", stdout);
    if (entries >= 0)
        (void)printf(" (entry %.0f)", entries);
    if (files > 0)
        (void)printf("; its %.0f files are those that were released", files);
    if (strcmp(state, "stopped") == 0)
        (void)fputs(" in its checkpoint: it is not released yet", stdout);
    else if (strcmp(state, "begun") == 0)
        (void)fputs(": it is not released yet, and has no checkpoint", stdout);
    else if (strcmp(state, "closed") == 0)
        (void)fputs(": it was closed, and not released", stdout);
    (void)putchar('\n');
}

void sotto_ledger_print_verified(const json_t *record)
{
    put_head(record);
    (void)printf("sound: every entry follows from the one before; %.0f data sets, %.0f runs, %.0f charges\n",
                 sotto_cli_member(record, "data_sets"), sotto_cli_member(record, "runs"),
                 sotto_cli_member(record, "charges"));
    const json_t *held = json_object_get(record, "artefacts");
    for (size_t i = 0; i < json_array_size(held); i++)
        print_finding(json_array_get(held, i));
}
