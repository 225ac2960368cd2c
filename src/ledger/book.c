/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The book: what all entries together say. There is one way into it, by an entry's bytes, whether they were
 * read from the file or are about to be written there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/inner.h"

sotto_status ledger_book_create(ledger_book *book, sotto_error *err)
{
    *book = (ledger_book){0};
    return sotto_arena_create(&book->arena, err);
}

void ledger_book_release(ledger_book *book)
{
    for (size_t i = 0; i < book->set_count; i++) {
        free(book->sets[i].versions);
        free(book->sets[i].caps);
    }
    for (size_t i = 0; i < book->run_count; i++)
        free(book->runs[i].charges);
    free(book->sets);
    free(book->runs);
    free(book->adoptions);
    sotto_arena_destroy(book->arena);
    *book = (ledger_book){0};
}

sotto_status ledger_grow(void **list, size_t count, size_t *capacity, size_t size, sotto_error *err)
{
    if (count < *capacity)
        return SOTTO_OK;
    const size_t wanted = *capacity ? 2 * *capacity : 4;
    void *larger = wanted <= SIZE_MAX / 2 / size ? realloc(*list, wanted * size) : NULL;
    if (!larger)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for what is in the ledger");
    *list = larger;
    *capacity = wanted;
    return SOTTO_OK;
}

/* -------------------------------------------------------------------- looking up */

ledger_data_set *ledger_book_set(const ledger_book *book, const char *id)
{
    for (size_t i = 0; i < book->set_count; i++)
        if (strcmp(book->sets[i].id, id) == 0)
            return &book->sets[i];
    return NULL;
}

/* From the end: what is written about is mostly a late one. */
ledger_run_record *ledger_book_run(const ledger_book *book, const char *id)
{
    for (size_t i = book->run_count; i-- > 0;)
        if (strcmp(book->runs[i].id, id) == 0)
            return &book->runs[i];
    return NULL;
}

sotto_charge *ledger_find_line(const sotto_charge *lines, size_t count, const char *label,
                               const sotto_mechanism *mechanism)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(lines[i].label, label) == 0 && sotto_mechanism_equal(&lines[i].mechanism, mechanism))
            return (sotto_charge *)&lines[i];
    return NULL;
}

uint64_t ledger_run_counts(const ledger_run_record *run, const sotto_charge *line, bool held)
{
    const sotto_charge *charged =
        ledger_find_line(run->charges, run->charge_count, line->label, &line->mechanism);
    const sotto_charge *planned =
        held && run->state != LEDGER_RUN_CLOSED /* a statement promises the whole plan */
            ? ledger_find_line(run->plan, run->plan_count, line->label, &line->mechanism)
            : NULL;
    const uint64_t spent = charged ? charged->count : 0, most = planned ? planned->count : 0;
    return spent > most ? spent : most;
}

double ledger_run_draws(const ledger_run_record *run)
{
    return run->draws * (double)run->attempt;
}

/* --------------------------------------------------------------------- taking in */

/* An entry on its way into the book: the first refusal stays. */
typedef struct taking {
    ledger_book *book;
    const ledger_entry *entry;
    ledger_reader reader;
    sotto_error *err;
} taking;

static sotto_status refuse(const taking *t, const char *what)
{
    return sotto_error_set(
        t->err, SOTTO_ERROR_INPUT,
        "entry %llu (%.40s) is not one that sotto writes: %.120s; the ledger was damaged or forged, "
        "or comes from a newer version",
        (unsigned long long)t->entry->seq, t->entry->kind, what);
}

static sotto_status check_read(taking *t)
{
    char what[160];
    if (ledger_read_end(&t->reader))
        return SOTTO_OK;
    (void)snprintf(what, sizeof what, "%s is missing or out of its range", t->reader.wrong);
    return refuse(t, strcmp(t->reader.wrong, "an unknown key") == 0 ? "it has an unknown key" : what);
}

/* NULL stays NULL. */
static sotto_status keep(const taking *t, const char **place, const char *text)
{
    *place = text ? sotto_arena_copy(t->book->arena, text, strlen(text), t->err) : NULL;
    return text && !*place ? SOTTO_ERROR_MEMORY : SOTTO_OK;
}

static sotto_status make_set(const taking *t, const char *id, size_t *place)
{
    ledger_book *book = t->book;
    ledger_data_set set = {0};
    if (!ledger_is_name(id))
        return refuse(t, "the data set's id is none");
    sotto_status status =
        ledger_grow((void **)&book->sets, book->set_count, &book->set_capacity, sizeof *book->sets, t->err);
    if (status == SOTTO_OK)
        status = keep(t, &set.id, id);
    if (status == SOTTO_OK) {
        *place = book->set_count;
        book->sets[book->set_count++] = set;
    }
    return status;
}

static sotto_status find_or_make_set(const taking *t, const char *id, ledger_data_set **set)
{
    *set = ledger_book_set(t->book, id);
    if (*set)
        return SOTTO_OK;
    size_t place = 0;
    const sotto_status status = make_set(t, id, &place);
    if (status == SOTTO_OK)
        *set = &t->book->sets[place];
    return status;
}

static sotto_status take_table(taking *t)
{
    const char *id = ledger_read_text(&t->reader, "data_set", LEDGER_NAME);
    const char *content = ledger_read_hash(&t->reader, "content");
    const char *path = ledger_read_text(&t->reader, "path", 3 * LEDGER_TEXT);
    ledger_data_set *set;
    ledger_version version = {0};
    sotto_status status = check_read(t);
    if (status == SOTTO_OK)
        status = find_or_make_set(t, id, &set);
    if (status == SOTTO_OK)
        status = ledger_grow((void **)&set->versions, set->version_count, &set->version_capacity,
                             sizeof *set->versions, t->err);
    if (status == SOTTO_OK)
        status = keep(t, &version.content, content);
    if (status == SOTTO_OK)
        status = keep(t, &version.path, path);
    if (status == SOTTO_OK)
        set->versions[set->version_count++] = version;
    return status;
}

/* With the first run under a cap, or with a cap over runs: the order that it is kept by from then on. */
static sotto_status read_order(taking *t, double *order)
{
    *order = 0.0;
    if (!json_object_get(t->reader.object, "order"))
        return SOTTO_OK;
    *order = ledger_read_real(&t->reader, "order");
    return *order > 1.0 && *order <= LEDGER_MOST_ORDER ? SOTTO_OK : refuse(t, "order is out of its range");
}

static sotto_status take_cap(taking *t)
{
    const char *id = ledger_read_text(&t->reader, "data_set", LEDGER_NAME);
    const char *unit = ledger_read_text_or_null(&t->reader, "unit", LEDGER_LABEL);
    const double epsilon = ledger_read_real(&t->reader, "epsilon"),
                 delta = ledger_read_real(&t->reader, "delta");
    ledger_data_set *set;
    double order;
    sotto_status status = read_order(t, &order);
    if (status == SOTTO_OK)
        status = check_read(t);
    if (status == SOTTO_OK && !(epsilon > 0.0 && isfinite(epsilon) && delta > 0.0 && delta < 1.0))
        status = refuse(t, "epsilon or delta is out of its range");
    if (status == SOTTO_OK)
        status = find_or_make_set(t, id, &set);
    if (status == SOTTO_OK && order > 0.0 && set->order > 0.0)
        status = refuse(t, "the order of its data set's cap is fixed already");
    if (status == SOTTO_OK)
        status =
            ledger_grow((void **)&set->caps, set->cap_count, &set->cap_capacity, sizeof *set->caps, t->err);
    if (status == SOTTO_OK)
        status = keep(t, &set->unit, unit);
    ledger_cap cap = {.seq = t->entry->seq, .epsilon = epsilon, .delta = delta};
    if (status == SOTTO_OK)
        status = keep(t, &cap.time, t->entry->time);
    if (status == SOTTO_OK) {
        cap.unit = set->unit;
        set->caps[set->cap_count++] = cap;
        set->capped = true;
        set->epsilon = epsilon;
        set->delta = delta;
        set->order = order > 0.0 ? order : set->order;
        set->changed = t->entry->seq;
    }
    return status;
}

static sotto_status take_plan(taking *t, ledger_run_record *run)
{
    const json_t *list = ledger_read(&t->reader, "plan");
    const size_t count = json_array_size(list);
    if (!json_is_array(list) || count > LEDGER_LINES)
        return refuse(t, "plan is no list, or too long");
    run->plan = sotto_arena_take(t->book->arena, count, sizeof *run->plan, t->err);
    if (!run->plan)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        ledger_reader reader = {.object = json_array_get(list, i)};
        sotto_charge line;
        if (!ledger_read_charge(&reader, run->adjacency, &line) || !ledger_read_end(&reader))
            return refuse(t, "a line of the plan is none");
        if (ledger_find_line(run->plan, run->plan_count, line.label, &line.mechanism))
            return refuse(t, "two lines of the plan are the same");
        const sotto_status status = keep(t, &line.label, line.label);
        if (status != SOTTO_OK)
            return status;
        run->plan[run->plan_count++] = line;
    }
    return SOTTO_OK;
}

static sotto_status keep_run_texts(taking *t, ledger_run_record *run)
{
    const struct {
        const char **place, *text;
    } texts[] = {
        {&run->id, ledger_read_text(&t->reader, "run", LEDGER_RUN_ID)},
        {&run->unit, ledger_read_text_or_null(&t->reader, "unit", LEDGER_LABEL)},
        {&run->content, ledger_read_hash(&t->reader, "content")},
        {&run->path, ledger_read_text(&t->reader, "path", 3 * LEDGER_TEXT)},
        {&run->config, ledger_read_hash(&t->reader, "config")},
        {&run->output, ledger_read_text_or_null(&t->reader, "output", 3 * LEDGER_TEXT)},
        {&run->version, ledger_read_text_or_null(&t->reader, "version", LEDGER_LABEL)},
        {&run->began, t->entry->time},
    };
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < sizeof texts / sizeof *texts; i++)
        status = keep(t, texts[i].place, texts[i].text);
    return status;
}

static sotto_status read_run(taking *t, ledger_run_record *run, double *order)
{
    const char *id = ledger_read_text(&t->reader, "data_set", LEDGER_NAME);
    const ledger_data_set *set = id ? ledger_book_set(t->book, id) : NULL;
    run->adjacency = ledger_read_adjacency(&t->reader, "adjacency");
    run->draws = ledger_read_real(&t->reader, "draws");
    run->epsilon = ledger_read_real(&t->reader, "epsilon");
    run->delta = ledger_read_real(&t->reader, "delta");
    const json_t *not_private = ledger_read(&t->reader, "not_private");
    run->not_private = json_is_true(not_private);
    sotto_status status = keep_run_texts(t, run);
    if (status == SOTTO_OK)
        status = read_order(t, order);
    if (status == SOTTO_OK)
        status = take_plan(t, run);
    if (status == SOTTO_OK)
        status = check_read(t);
    if (status != SOTTO_OK)
        return status;
    if (!set)
        return refuse(t, "its data set is not known");
    run->data_set = (size_t)(set - t->book->sets);
    if (!json_is_boolean(not_private) || !(run->draws >= 0.0 && isfinite(run->draws)))
        return refuse(t, "not_private or draws is out of its range");
    if (!ledger_is_hex(run->id, LEDGER_RUN_ID) || ledger_book_run(t->book, run->id))
        return refuse(t, "the run's id is none, or used already");
    if (*order > 0.0 && (!set->capped || set->order > 0.0))
        return refuse(t, "the order of its data set's cap is fixed already, or there is no cap");
    return SOTTO_OK;
}

static sotto_status take_run(taking *t)
{
    ledger_book *book = t->book;
    ledger_run_record run = {.attempt = 1};
    sotto_status status =
        ledger_grow((void **)&book->runs, book->run_count, &book->run_capacity, sizeof *book->runs, t->err);
    double order = 0.0;
    if (status == SOTTO_OK)
        status = read_run(t, &run, &order);
    if (status != SOTTO_OK)
        return status;
    if (order > 0.0)
        book->sets[run.data_set].order = order;
    book->runs[book->run_count++] = run;
    book->sets[run.data_set].changed = t->entry->seq;
    return SOTTO_OK;
}

/* The open run that the entry is about. */
static sotto_status read_open_run(taking *t, ledger_run_record **run)
{
    const char *id = ledger_read_text(&t->reader, "run", LEDGER_RUN_ID);
    *run = id ? ledger_book_run(t->book, id) : NULL;
    if (!*run)
        return refuse(t, "its run is not known");
    return (*run)->state == LEDGER_RUN_OPEN ? SOTTO_OK : refuse(t, "its run is closed");
}

static sotto_status take_attempt(taking *t)
{
    ledger_run_record *run;
    sotto_status status = read_open_run(t, &run);
    if (status != SOTTO_OK)
        return status;
    (void)ledger_read_count(&t->reader, "attempt", run->attempt + 1, run->attempt + 1);
    status = check_read(t);
    if (status == SOTTO_OK) {
        run->attempt++;
        t->book->sets[run->data_set].changed = t->entry->seq;
    }
    return status;
}

static sotto_status add_charge(const taking *t, ledger_run_record *run, const sotto_charge *charge)
{
    sotto_charge *line = ledger_find_line(run->charges, run->charge_count, charge->label, &charge->mechanism);
    const sotto_charge *planned =
        ledger_find_line(run->plan, run->plan_count, charge->label, &charge->mechanism);
    const uint64_t before = line ? line->count : 0;
    if (charge->count > SOTTO_ACCOUNTANT_MAX_COUNT - before)
        return refuse(t, "more than 2^53 uses of one mechanism");
    if (!line) {
        sotto_charge made = {.mechanism = charge->mechanism};
        sotto_status status = run->charge_count < LEDGER_LINES ? SOTTO_OK : refuse(t, "too many lines");
        if (status == SOTTO_OK)
            status = ledger_grow((void **)&run->charges, run->charge_count, &run->charge_capacity,
                                 sizeof *run->charges, t->err);
        if (status == SOTTO_OK)
            status = keep(t, &made.label, charge->label);
        if (status != SOTTO_OK)
            return status;
        line = &run->charges[run->charge_count++];
        *line = made;
    }
    line->count = before + charge->count;
    run->blocks++;
    t->book->charges++;
    if (!planned || line->count > planned->count)
        t->book->sets[run->data_set].changed = t->entry->seq;
    return SOTTO_OK;
}

static sotto_status take_charge(taking *t)
{
    ledger_run_record *run;
    sotto_charge charge;
    sotto_status status = read_open_run(t, &run);
    if (status != SOTTO_OK)
        return status;
    (void)ledger_read_count(&t->reader, "attempt", run->attempt, run->attempt);
    (void)ledger_read_charge(&t->reader, run->adjacency, &charge);
    status = check_read(t);
    return status == SOTTO_OK ? add_charge(t, run, &charge) : status;
}

static sotto_status end_run(const taking *t, ledger_run_record *run, ledger_run_state state)
{
    const sotto_status status = keep(t, &run->ended, t->entry->time);
    if (status == SOTTO_OK) {
        run->state = state;
        t->book->sets[run->data_set].changed = t->entry->seq;
    }
    return status;
}

static sotto_status read_artefact(const taking *t, const json_t *object, sotto_ledger_artefact *artefact)
{
    ledger_reader reader = {.object = object};
    const char *file = ledger_read_text(&reader, "file", 3 * LEDGER_TEXT);
    const char *what = ledger_read_text_or_null(&reader, "what", LEDGER_LABEL);
    const char *sha256 = ledger_read_hash(&reader, "sha256");
    if (!ledger_read_end(&reader))
        return refuse(t, "an artefact is none");
    sotto_status status = keep(t, &artefact->file, file);
    if (status == SOTTO_OK)
        status = keep(t, &artefact->what, what);
    return status == SOTTO_OK ? keep(t, &artefact->sha256, sha256) : status;
}

static sotto_status take_release(taking *t)
{
    ledger_run_record *run;
    sotto_status status = read_open_run(t, &run);
    if (status != SOTTO_OK)
        return status;
    (void)ledger_read_count(&t->reader, "attempt", run->attempt, run->attempt);
    (void)ledger_read_hash(&t->reader, "after");
    const json_t *list = ledger_read(&t->reader, "artefacts");
    const size_t count = json_array_size(list);
    status = check_read(t);
    if (status == SOTTO_OK && (!json_is_array(list) || count > LEDGER_LINES))
        status = refuse(t, "artefacts is no list, or too long");
    if (status != SOTTO_OK)
        return status;
    run->artefacts = sotto_arena_take(t->book->arena, count, sizeof *run->artefacts, t->err);
    if (!run->artefacts)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; status == SOTTO_OK && i < count; i++)
        status = read_artefact(t, json_array_get(list, i), &run->artefacts[i]);
    run->artefact_count = count;
    return status == SOTTO_OK ? end_run(t, run, LEDGER_RUN_RELEASED) : status;
}

static sotto_status take_close(taking *t)
{
    ledger_run_record *run;
    sotto_status status = read_open_run(t, &run);
    if (status != SOTTO_OK)
        return status;
    const char *why = ledger_read_text(&t->reader, "why", LEDGER_LABEL);
    status = check_read(t);
    if (status == SOTTO_OK)
        status = keep(t, &run->why, why);
    return status == SOTTO_OK ? end_run(t, run, LEDGER_RUN_CLOSED) : status;
}

/* That the ledger's custodian went on with a copy or a backup of it. */
static sotto_status take_adopted(taking *t)
{
    ledger_book *book = t->book;
    ledger_adoption one;
    const char *why = ledger_read_text(&t->reader, "why", LEDGER_LABEL);
    sotto_status status = check_read(t);
    if (status == SOTTO_OK)
        status = ledger_grow((void **)&book->adoptions, book->adoption_count, &book->adoption_capacity,
                             sizeof *book->adoptions, t->err);
    if (status == SOTTO_OK)
        status = keep(t, &one.why, why);
    if (status == SOTTO_OK)
        status = keep(t, &one.time, t->entry->time);
    if (status == SOTTO_OK)
        book->adoptions[book->adoption_count++] = one;
    return status;
}

static const struct {
    const char *kind;
    sotto_status (*take)(taking *t);
} kinds[] = {
    {"table", take_table},   {"cap", take_cap},         {"run", take_run},     {"attempt", take_attempt},
    {"charge", take_charge}, {"release", take_release}, {"close", take_close}, {"adopted", take_adopted},
};

sotto_status ledger_book_apply(ledger_book *book, const ledger_entry *entry, sotto_error *err)
{
    taking t = {.book = book, .entry = entry, .err = err};
    size_t kind = 0;
    while (kind < sizeof kinds / sizeof *kinds && strcmp(kinds[kind].kind, entry->kind) != 0)
        kind++;
    if (kind == sizeof kinds / sizeof *kinds)
        return refuse(&t, "there is no such kind of entry");
    json_t *body;
    if (sotto_json_parse(&body, entry->body, entry->body_length, NULL) == SOTTO_ERROR_MEMORY)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory reading the ledger");
    t.reader.object = body;
    const sotto_status status =
        json_is_object(body) ? kinds[kind].take(&t) : refuse(&t, "its body is no JSON");
    json_decref(body);
    return status;
}
