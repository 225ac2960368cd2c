/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A distribution over columns as it is released and drawn from: cliques in an order such that what a clique
 * shares with those before it is drawn already; and chances of its other columns, all at once, given these.
 */
#include "models/marginals.h"

marginals_domain marginals_domain_of(const marginals *model)
{
    marginals_domain domain = {.labels = model->labels, .columns = model->column_count};
    for (size_t c = 0; c < model->column_count; c++)
        domain.groups[c] = model->columns[c].groups;
    return domain;
}

bool marginals_cliques_set(marginals *model, const marginals_set *cliques, size_t count)
{
    marginals_set before = 0;
    model->clique_count = 0;
    for (size_t c = 0; c < count; c++) {
        const marginals_set fresh = cliques[c] & ~before;
        if (!fresh || c == model->column_count)
            return false;
        model->cliques[c] = (marginals_clique){.columns = cliques[c], .fresh = fresh};
        before |= cliques[c];
        model->clique_count++;
    }
    return model->column_count <= MARGINALS_MOST_COLUMNS &&
           before == ~(marginals_set)0 >> (MARGINALS_MOST_COLUMNS - model->column_count);
}

bool marginals_cliques_place(marginals *model, size_t *count)
{
    const marginals_domain domain = marginals_domain_of(model);
    size_t all = 0;
    for (size_t c = 0; c < model->clique_count; c++) {
        marginals_clique *clique = &model->cliques[c];
        const size_t cells = marginals_cells(&domain, clique->columns);
        clique->first = *count;
        clique->width = marginals_cells(&domain, clique->fresh) / model->labels;
        if (cells > MARGINALS_MOST_CELLS || (all += cells) > MARGINALS_MOST_CELLS)
            return false;
        clique->rows = cells / clique->width;
        *count += cells;
    }
    return true;
}

/* Where a cell of the clique's table, of label and columns in rising order, lies among its chances: those
 * that are given first, then those that it adds. `digits` are the cell's groups. */
static size_t place_of(const marginals_domain *domain, const marginals_clique *clique, size_t label,
                       const size_t *digits)
{
    size_t place = label;
    for (marginals_set left = clique->columns & ~clique->fresh; left; left &= left - 1) {
        const size_t c = (size_t)__builtin_ctzll(left);
        place = place * domain->groups[c] + digits[c];
    }
    for (marginals_set left = clique->fresh; left; left &= left - 1) {
        const size_t c = (size_t)__builtin_ctzll(left);
        place = place * domain->groups[c] + digits[c];
    }
    return place;
}

/* The groups of a cell of a table of `columns`; returns its label. */
static size_t digits_of(const marginals_domain *domain, marginals_set columns, size_t cell, size_t *digits)
{
    while (columns) {
        const size_t c = MARGINALS_MOST_COLUMNS - 1 - (size_t)__builtin_clzll(columns);
        digits[c] = cell % domain->groups[c];
        cell /= domain->groups[c];
        columns &= ~((marginals_set)1 << c);
    }
    return cell;
}

void marginals_cliques_release(marginals *model, size_t number, const double *table)
{
    const marginals_domain domain = marginals_domain_of(model);
    const marginals_clique *clique = &model->cliques[number];
    float *chances = model->released + clique->first;
    size_t digits[MARGINALS_MOST_COLUMNS];
    double *row = model->cumulative + clique->first; /* scratch until all is added up */
    for (size_t i = 0; i < clique->rows * clique->width; i++) {
        const size_t label = digits_of(&domain, clique->columns, i, digits);
        row[place_of(&domain, clique, label, digits)] = table[i];
    }
    for (size_t r = 0; r < clique->rows; r++, row += clique->width, chances += clique->width)
        marginals_set_shares(chances, row, 1, clique->width, NULL);
}

void marginals_cliques_draw(const marginals *model, sotto_stream *stream, size_t label, size_t *groups)
{
    for (size_t i = 0; i < model->clique_count; i++) {
        const marginals_clique *clique = &model->cliques[i];
        size_t row = label;
        for (marginals_set left = clique->columns & ~clique->fresh; left; left &= left - 1) {
            const size_t c = (size_t)__builtin_ctzll(left);
            row = row * model->columns[c].groups + groups[c];
        }
        size_t cell = sotto_cumulative_draw(model->cumulative + clique->first + row * clique->width,
                                            clique->width, stream);
        for (marginals_set left = clique->fresh; left;) {
            const size_t c = MARGINALS_MOST_COLUMNS - 1 - (size_t)__builtin_clzll(left);
            groups[c] = cell % model->columns[c].groups;
            cell /= model->columns[c].groups;
            left &= ~((marginals_set)1 << c);
        }
    }
}
