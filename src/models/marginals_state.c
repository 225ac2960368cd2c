/* SPDX-License-Identifier: GPL-3.0-or-later */

/* All that was learned: which slots are one group, which columns go together, and the chances. */
#include "models/marginals.h"

#include <float.h>
#include <stdlib.h>

static void visit_edges(marginals *model, sotto_state *state)
{
    const size_t columns = model->column_count;
    uint64_t(*edges)[2] = calloc(columns, sizeof *edges); /* one less, and never none */
    size_t(*read)[2] = calloc(columns, sizeof *read);
    sotto_error err;
    if (!edges || !read) {
        sotto_state_fail(state, sotto_error_set(&err, SOTTO_ERROR_MEMORY, "out of memory for a tree"), &err);
        goto done;
    }
    for (size_t i = 1; i < columns && !sotto_state_reads(state); i++) {
        edges[i - 1][0] = model->order[i];
        edges[i - 1][1] = model->columns[model->order[i]].parent;
    }
    sotto_state_u64s(state, "tree", edges[0], 2 * (columns - 1));
    for (size_t e = 0; e + 1 < columns; e++)
        for (size_t i = 0; i < 2; i++)
            read[e][i] = (size_t)edges[e][i];
    if (sotto_state_reads(state) && sotto_state_is_sound(state) &&
        !marginals_root(model, (const size_t(*)[2])read))
        sotto_state_refuse(state, "has a tree that is none");
done:
    free(edges);
    free(read);
}

static void visit_cliques(marginals *model, sotto_state *state)
{
    marginals_set cliques[MARGINALS_MOST_COLUMNS] = {0};
    size_t count = model->clique_count;
    for (size_t c = 0; c < count && !sotto_state_reads(state); c++)
        cliques[c] = model->cliques[c].columns;
    sotto_state_size(state, "cliques", &count, 1, model->column_count);
    if (!sotto_state_is_sound(state))
        return;
    sotto_state_u64s(state, "columns", cliques, count);
    if (sotto_state_reads(state) && sotto_state_is_sound(state) &&
        !marginals_cliques_set(model, cliques, count))
        sotto_state_refuse(state, "has cliques that do not add up to all columns");
}

/* Slots that are joined to one group. */
static void visit_groups(marginals_column *column, bool *is_rare, sotto_state *state)
{
    for (size_t s = 0; s < column->slots; s++)
        is_rare[s] = false;
    for (size_t i = 0; i < column->rare_count; i++)
        is_rare[column->rare[i]] = true;
    sotto_state_flags(state, "rare", is_rare, column->slots);
    if (sotto_state_reads(state) && sotto_state_is_sound(state))
        marginals_group(column, is_rare);
}

static void visit_all_groups(marginals *model, sotto_state *state)
{
    bool *is_rare = calloc((size_t)UINT16_MAX + 1, sizeof *is_rare);
    sotto_error err;
    if (!is_rare)
        sotto_state_fail(state, sotto_error_set(&err, SOTTO_ERROR_MEMORY, "out of memory for a model"), &err);
    for (size_t c = 0; c < model->column_count && is_rare; c++)
        visit_groups(&model->columns[c], is_rare, state);
    free(is_rare);
}

void marginals_state(sotto_model *base, sotto_state *state)
{
    marginals *model = (marginals *)base;
    sotto_error err;
    if (!sotto_state_reads(state) && !model->released)
        sotto_state_refuse(state, "has learned nothing yet");
    visit_all_groups(model, state);
    if (model->algorithm == MARGINALS_MST)
        visit_edges(model, state);
    else
        visit_cliques(model, state);
    if (sotto_state_reads(state) && sotto_state_is_sound(state))
        sotto_state_fail(state, marginals_take(model, &err), &err);
    sotto_state_doubles_in(state, "label_frequency", model->label_frequency, model->labels, 0.0, 1.0 + 1e-6);
    if (!sotto_state_is_sound(state))
        return;
    sotto_state_floats_in(state, "chances", model->released, model->released_count, 0.0f, FLT_MAX);
    if (sotto_state_reads(state) && sotto_state_is_sound(state) && !marginals_add_up(model))
        sotto_state_refuse(state, "has chances that are none");
}
