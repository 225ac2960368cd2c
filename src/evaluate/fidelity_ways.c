/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <string.h>

/* How far the joint distribution of k columns is off, for k = 1, 2, 3. */

typedef size_t columns_set[SOTTO_CELLS_COLUMNS]; /* ascending; the first k hold */

typedef struct way {
    size_t k, count;
    uint64_t of; /* how many sets of k columns there are */
    columns_set *sets;
    double *distance[FIDELITY_SIDES]; /* [count] */
} way;

/* n over k for k ≤ 3 and n ≤ 2²⁰: below 2⁶⁰. */
static uint64_t choose(uint64_t n, size_t k)
{
    uint64_t product = 1;
    for (uint64_t i = 0; i < k; i++)
        product = i < n ? product * (n - i) / (i + 1) : 0;
    return product;
}

/* -------------------------------------------------------------------- choosing */

/* The next set in lexicographic order; false after the last. */
static bool advance(size_t *set, size_t k, size_t columns)
{
    size_t i = k;
    while (i-- > 0) {
        if (set[i] + (k - i) < columns) {
            set[i]++;
            for (size_t j = i + 1; j < k; j++)
                set[j] = set[j - 1] + 1;
            return true;
        }
    }
    return false;
}

static void choose_all(way *made, size_t columns)
{
    columns_set set = {0, 1, 2};
    size_t at = 0;
    do
        memcpy(made->sets[at++], set, sizeof set);
    while (at < made->count && advance(set, made->k, columns));
}

/* As many sets as there is room for, each collection of them as likely as any other: pass through all and
 * take one with probability wanted / left (Knuth, The Art of Computer Programming, volume 2, 3.4.2,
 * algorithm S). */
static void choose_some(way *made, size_t columns, sotto_stream *stream)
{
    columns_set set = {0, 1, 2};
    size_t at = 0;
    for (uint64_t left = made->of; at < made->count; left--) {
        if (sotto_stream_below(stream, left) < made->count - at)
            memcpy(made->sets[at++], set, sizeof set);
        (void)advance(set, made->k, columns);
    }
}

static sotto_status choose_sets(const fidelity *in, way *made, size_t k, sotto_error *err)
{
    const size_t columns = in->codes->column_count;
    *made = (way){.k = k, .of = choose(columns, k)};
    const bool all = k < 3 || made->of <= FIDELITY_TRIPLES;
    made->count = all ? (size_t)made->of : FIDELITY_TRIPLES;
    made->sets = sotto_arena_take(in->arena, made->count, sizeof *made->sets, err);
    for (size_t side = 0; side < FIDELITY_SIDES; side++)
        made->distance[side] = sotto_arena_take(in->arena, made->count, sizeof *made->distance[side], err);
    if (!made->sets || !made->distance[FIDELITY_SYNTHETIC] || !made->distance[FIDELITY_CONTROL])
        return SOTTO_ERROR_MEMORY;
    if (all) {
        choose_all(made, columns);
        return SOTTO_OK;
    }
    sotto_stream *stream;
    sotto_status status = sotto_evaluation_stream(in->evaluation, &stream, err);
    if (status)
        return status;
    choose_some(made, columns, stream);
    sotto_stream_destroy(stream);
    return SOTTO_OK;
}

/* ------------------------------------------------------------------- measuring */

/* One and two columns have been counted for the pairs. */
static void look_up(const fidelity *in, const fidelity_pairs *pairs, way *made)
{
    for (size_t i = 0; i < made->count; i++) {
        const size_t one = made->sets[i][0], other = made->sets[i][made->k - 1];
        for (size_t side = 0; side < FIDELITY_SIDES; side++)
            made->distance[side][i] = 1 - pairs->similarity[side][one * in->codes->column_count + other];
    }
}

static void work(const fidelity *in, void *context, fidelity_lane *lane)
{
    way *made = context;
    for (size_t i = lane->number; !lane->status && i < made->count; i += in->evaluation->threads) {
        lane->status = sotto_cells_count(&lane->cells, in->codes, made->sets[i], made->k, &lane->err);
        for (size_t side = 0; !lane->status && side < FIDELITY_SIDES; side++)
            made->distance[side][i] =
                1 - sotto_cells_similarity(&lane->cells, in->codes, SOTTO_TRAIN, fidelity_table(side));
    }
}

/* ------------------------------------------------------------------- the record */

static json_t *names_of(const fidelity *in, const way *made, size_t set)
{
    json_t *names = json_array();
    for (size_t i = 0; names && i < made->k; i++)
        if (json_array_append_new(names, json_string(fidelity_column(in, made->sets[set][i])->name))) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static json_t *way_record(const fidelity *in, const way *made)
{
    fidelity_mean means[FIDELITY_SIDES] = {{0}};
    size_t worst = 0;
    for (size_t i = 0; i < made->count; i++) {
        for (size_t side = 0; side < FIDELITY_SIDES; side++)
            fidelity_mean_add(&means[side], made->distance[side][i]);
        if (made->distance[FIDELITY_SYNTHETIC][i] > made->distance[FIDELITY_SYNTHETIC][worst])
            worst = i;
    }
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "k", (json_int_t)made->k, "sets",
                     (json_int_t)made->count, "of", (json_int_t)made->of, "mean_tvd",
                     fidelity_number(fidelity_mean_of(&means[FIDELITY_SYNTHETIC])), "max_tvd",
                     fidelity_number(made->distance[FIDELITY_SYNTHETIC][worst]), "worst",
                     names_of(in, made, worst), "control_mean_tvd",
                     fidelity_number(fidelity_mean_of(&means[FIDELITY_CONTROL])));
}

sotto_status fidelity_ways(const fidelity *in, const fidelity_pairs *pairs, json_t **ways, sotto_error *err)
{
    json_t *list = json_array();
    sotto_status status = list ? SOTTO_OK : fidelity_no_memory(err);
    for (size_t k = 1; !status && k <= SOTTO_CELLS_COLUMNS && k <= in->codes->column_count; k++) {
        way made;
        status = choose_sets(in, &made, k, err);
        if (!status && k < 3)
            look_up(in, pairs, &made);
        else if (!status)
            status = fidelity_share(in, false, work, &made, err);
        if (!status && json_array_append_new(list, way_record(in, &made)))
            status = fidelity_no_memory(err);
    }
    if (status)
        json_decref(list);
    else
        *ways = list;
    return status;
}
