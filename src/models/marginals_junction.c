/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Junction trees over columns (Lauritzen and Spiegelhalter 1988), as sets of up to 64. */
#include "models/marginals_field.h"

size_t marginals_cells(const marginals_domain *domain, marginals_set columns)
{
    const size_t most = (size_t)1 << 40;
    size_t cells = domain->labels;
    for (marginals_set left = columns; left; left &= left - 1)
        if (__builtin_mul_overflow(cells, domain->groups[__builtin_ctzll(left)], &cells) || cells > most)
            return SIZE_MAX;
    return cells;
}

static size_t add_cells(size_t sum, size_t cells)
{
    return __builtin_add_overflow(sum, cells, &sum) ? SIZE_MAX : sum;
}

/* The column whose elimination makes the smallest clique, of those that are left. */
static size_t cheapest(const marginals_domain *domain, const marginals_set *near, marginals_set left)
{
    size_t best = (size_t)__builtin_ctzll(left), least = SIZE_MAX;
    for (marginals_set rest = left; rest; rest &= rest - 1) {
        const size_t column = (size_t)__builtin_ctzll(rest);
        const size_t cells = marginals_cells(domain, (near[column] & left) | (rest & -rest));
        if (cells < least) {
            best = column;
            least = cells;
        }
    }
    return best;
}

/* The cliques of the graph in which the columns of each table are all joined, made chordal; how many. */
static size_t eliminate(const marginals_domain *domain, const marginals_set *tables, size_t count,
                        marginals_set *cliques)
{
    marginals_set near[MARGINALS_MOST_COLUMNS] = {0};
    marginals_set left = domain->columns == MARGINALS_MOST_COLUMNS
                             ? ~(marginals_set)0
                             : ((marginals_set)1 << domain->columns) - 1;
    size_t made = 0;
    for (size_t t = 0; t < count; t++)
        for (marginals_set rest = tables[t]; rest; rest &= rest - 1)
            near[__builtin_ctzll(rest)] |= tables[t];
    while (left) {
        const size_t column = cheapest(domain, near, left);
        const marginals_set clique = (near[column] & left) | (marginals_set)1 << column;
        bool new = true;
        for (marginals_set rest = clique; rest; rest &= rest - 1)
            near[__builtin_ctzll(rest)] |= clique;
        for (size_t i = 0; i < made && new; i++)
            new = (clique & ~cliques[i]) != 0;
        if (new)
            cliques[made++] = clique;
        left &= ~((marginals_set)1 << column);
    }
    return made;
}

size_t marginals_junction_cells(const marginals_domain *domain, const marginals_set *tables, size_t count)
{
    marginals_set cliques[MARGINALS_MOST_COLUMNS];
    const size_t made = eliminate(domain, tables, count, cliques);
    size_t cells = 0;
    for (size_t i = 0; i < made; i++)
        cells = add_cells(cells, marginals_cells(domain, cliques[i]));
    return cells;
}

/* Of cliques not yet in the tree the one that shares most columns with one that is: a tree with most shared
 * in all is a junction tree. */
static void place_next(marginals_junction *junction, marginals_set *waiting, size_t *left)
{
    size_t best = 0, parent = 0;
    int most = -1;
    for (size_t w = 0; w < *left; w++)
        for (size_t p = 0; p < junction->count; p++) {
            const int shared = __builtin_popcountll(waiting[w] & junction->clique[p]);
            if (shared > most) {
                most = shared;
                best = w;
                parent = p;
            }
        }
    const size_t c = junction->count++;
    junction->clique[c] = waiting[best];
    junction->parent[c] = parent;
    junction->separator[c] = waiting[best] & junction->clique[parent];
    waiting[best] = waiting[--*left];
}

size_t marginals_junction_make(marginals_junction *junction, const marginals_domain *domain,
                               const marginals_set *tables, size_t count)
{
    marginals_set waiting[MARGINALS_MOST_COLUMNS];
    size_t left = eliminate(domain, tables, count, waiting), cells = 0;
    *junction = (marginals_junction){.count = 1};
    junction->clique[0] = waiting[--left];
    while (left > 0)
        place_next(junction, waiting, &left);
    for (size_t c = junction->count; c-- > 0;) {
        junction->below[c] |= junction->clique[c];
        if (c > 0)
            junction->below[junction->parent[c]] |= junction->below[c];
        cells = add_cells(cells, marginals_cells(domain, junction->clique[c]));
    }
    return cells;
}

size_t marginals_junction_find(const marginals_junction *junction, marginals_set columns)
{
    size_t c = 0;
    while (c < junction->count && (columns & ~junction->clique[c]))
        c++;
    return c;
}
