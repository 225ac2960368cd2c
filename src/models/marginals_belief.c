/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Sums over all rows that there could be, along a junction tree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/marginals_field.h"

/* What is divided by is above this: its inverse is finite. */
static const double least = 1e-290;

/* ---- tables within tables ---- */

/* How the cells of a table lie in one of fewer columns: dimensions, the last running fastest, and how far a
 * step in each goes in the small table; 0 where it lacks the column. */
typedef struct walk {
    size_t dims, cells;
    size_t size[MARGINALS_MOST_COLUMNS + 1], step[MARGINALS_MOST_COLUMNS + 1];
} walk;

/* Dimensions that run on in both tables, or in the large alone, are one. */
static void walk_push(walk *w, size_t size, size_t step)
{
    if (size == 1)
        return;
    if (w->dims > 0) {
        const size_t last = w->dims - 1;
        const bool joined = step == 0 ? w->step[last] == 0 : w->step[last] == step * size;
        if (joined) {
            w->size[last] *= size;
            w->step[last] = step;
            return;
        }
    }
    w->size[w->dims] = size;
    w->step[w->dims++] = step;
}

static walk walk_make(const marginals_domain *domain, marginals_set large, marginals_set small)
{
    walk w = {.cells = marginals_cells(domain, large)};
    size_t step = marginals_cells(domain, small) / domain->labels;
    walk_push(&w, domain->labels, step);
    for (marginals_set left = large; left; left &= left - 1) {
        const size_t groups = domain->groups[__builtin_ctzll(left)];
        const bool in = (small & left & -left) != 0;
        step = in ? step / groups : step;
        walk_push(&w, groups, in ? step : 0);
    }
    if (w.dims == 0) { /* tables of one cell */
        w.dims = 1;
        w.size[0] = 1;
        w.step[0] = 0;
    }
    return w;
}

typedef enum walk_do { WALK_ADD, WALK_MULTIPLY, WALK_SUM } walk_do;

static inline void walk_line(double *large, double *small, size_t count, size_t step, walk_do what)
{
    if (what == WALK_ADD)
        for (size_t i = 0; i < count; i++)
            large[i] += small[i * step];
    else if (what == WALK_MULTIPLY)
        for (size_t i = 0; i < count; i++)
            large[i] *= small[i * step];
    else if (step == 0) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
            sum += large[i];
        *small += sum;
    } else
        for (size_t i = 0; i < count; i++)
            small[i * step] += large[i];
}

static inline void walk_all(const walk *w, double *large, double *small, walk_do what)
{
    size_t at[MARGINALS_MOST_COLUMNS + 1] = {0}, offset = 0;
    const size_t last = w->dims - 1, line = w->size[last];
    for (size_t done = 0; done < w->cells; done += line) {
        walk_line(large + done, small + offset, line, w->step[last], what);
        for (size_t d = last; d-- > 0;) {
            offset += w->step[d];
            if (++at[d] < w->size[d])
                break;
            offset -= w->step[d] * w->size[d];
            at[d] = 0;
        }
    }
}

static void add_to(const marginals_domain *domain, double *large, marginals_set columns, const double *small,
                   marginals_set fewer)
{
    const walk w = walk_make(domain, columns, fewer);
    walk_all(&w, large, (double *)small, WALK_ADD);
}

static void multiply_by(const marginals_domain *domain, double *large, marginals_set columns,
                        const double *small, marginals_set fewer)
{
    const walk w = walk_make(domain, columns, fewer);
    walk_all(&w, large, (double *)small, WALK_MULTIPLY);
}

static void sum_to(const marginals_domain *domain, const double *large, marginals_set columns, double *small,
                   marginals_set fewer)
{
    const walk w = walk_make(domain, columns, fewer);
    memset(small, 0, marginals_cells(domain, fewer) * sizeof *small);
    walk_all(&w, (double *)large, small, WALK_SUM);
}

/* ---- making ---- */

sotto_status marginals_belief_create(marginals_belief *belief, const marginals_domain *domain,
                                     const marginals_set *tables, size_t count, sotto_error *err)
{
    *belief = (marginals_belief){.domain = domain};
    size_t cells = marginals_junction_make(&belief->junction, domain, tables, count), offset = 0;
    const marginals_junction *junction = &belief->junction;
    /* Each separator is smaller than its clique. */
    belief->own = cells < SIZE_MAX / 64 ? calloc(3 * cells, sizeof *belief->own) : NULL;
    if (!belief->own)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for tables of %zu cells", cells);
    for (size_t c = 0; c < junction->count; c++) {
        belief->clique[c] = belief->own + offset;
        offset += marginals_cells(domain, junction->clique[c]);
        belief->separator[c] = belief->own + offset;
        offset += c > 0 ? marginals_cells(domain, junction->separator[c]) : 0;
    }
    belief->ratio = belief->own + offset;
    return SOTTO_OK;
}

void marginals_belief_destroy(marginals_belief *belief)
{
    free(belief->own);
    belief->own = NULL;
}

void marginals_belief_clear(marginals_belief *belief)
{
    const marginals_junction *junction = &belief->junction;
    for (size_t c = 0; c < junction->count; c++)
        memset(belief->clique[c], 0, marginals_cells(belief->domain, junction->clique[c]) * sizeof(double));
}

void marginals_belief_add(marginals_belief *belief, size_t home, marginals_set columns, const double *logs)
{
    add_to(belief->domain, belief->clique[home], belief->junction.clique[home], logs, columns);
}

/* ---- propagating ---- */

static double largest(const double *cells, size_t count)
{
    double most = cells[0];
    for (size_t i = 1; i < count; i++)
        most = cells[i] > most ? cells[i] : most;
    return most;
}

static void scale(double *cells, size_t count, double by)
{
    for (size_t i = 0; i < count; i++)
        cells[i] *= by;
}

/* From the leaves to the root: logarithms, to which those of all that lies below are added, become a table
 * whose largest cell is 1; its sums are left in the separator. `log_sum` is the logarithm of all that is
 * summed. */
static bool collect(marginals_belief *belief, double *log_sum)
{
    const marginals_domain *domain = belief->domain;
    const marginals_junction *junction = &belief->junction;
    for (size_t c = junction->count; c-- > 0;) {
        double *clique = belief->clique[c], *separator = belief->separator[c];
        const size_t cells = marginals_cells(domain, junction->clique[c]), parent = junction->parent[c];
        const double most = largest(clique, cells);
        if (!isfinite(most))
            return false;
        for (size_t i = 0; i < cells; i++)
            clique[i] = exp(clique[i] - most);
        *log_sum = most;
        if (c == 0)
            break;
        sum_to(domain, clique, junction->clique[c], separator, junction->separator[c]);
        for (size_t i = 0; i < marginals_cells(domain, junction->separator[c]); i++)
            belief->ratio[i] = log(separator[i]) + most;
        add_to(domain, belief->clique[parent], junction->clique[parent], belief->ratio,
               junction->separator[c]);
    }
    return true;
}

/* From the root to the leaves: what a separator is in its parent, over what it was. */
static void distribute(marginals_belief *belief, size_t c)
{
    const marginals_junction *junction = &belief->junction;
    const size_t cells = marginals_cells(belief->domain, junction->separator[c]);
    double *separator = belief->separator[c], *ratio = belief->ratio;
    memcpy(ratio, separator, cells * sizeof *ratio);
    marginals_belief_sum(belief, junction->parent[c], junction->separator[c], separator);
    for (size_t i = 0; i < cells; i++)
        ratio[i] = ratio[i] > least ? separator[i] / ratio[i] : 0.0;
    multiply_by(belief->domain, belief->clique[c], junction->clique[c], ratio, junction->separator[c]);
}

bool marginals_belief_propagate(marginals_belief *belief, double total, double *log_sum)
{
    const marginals_junction *junction = &belief->junction;
    const size_t root = marginals_cells(belief->domain, junction->clique[0]);
    double sum = 0.0;
    *log_sum = 0.0;
    if (!collect(belief, log_sum))
        return false;
    for (size_t i = 0; i < root; i++)
        sum += belief->clique[0][i];
    *log_sum += log(sum);
    scale(belief->clique[0], root, total / sum);
    for (size_t c = 1; c < junction->count; c++)
        distribute(belief, c);
    return isfinite(*log_sum);
}

void marginals_belief_sum(const marginals_belief *belief, size_t home, marginals_set columns, double *cells)
{
    sum_to(belief->domain, belief->clique[home], belief->junction.clique[home], cells, columns);
}

/* ---- any table ---- */

/* Of clique `c` and what hangs on it: the chances of `columns` below it, given its separator; at the top,
 * where `given` is false, the table of `columns` itself. NULL where memory is out. */
static double *gather(const marginals_belief *belief, size_t c, bool given, marginals_set columns,
                      marginals_set *over)
{
    const marginals_domain *domain = belief->domain;
    const marginals_junction *junction = &belief->junction;
    const marginals_set separator = given ? junction->separator[c] : 0;
    marginals_set needed = separator | (columns & junction->clique[c]), all = needed;
    double *part[MARGINALS_MOST_COLUMNS], *table = NULL, *result = NULL;
    marginals_set part_over[MARGINALS_MOST_COLUMNS];
    size_t parts = 0;
    bool complete = true;
    for (size_t child = c + 1; child < junction->count && complete; child++)
        if (junction->parent[child] == c && (columns & junction->below[child] & ~junction->clique[c])) {
            part[parts] = gather(belief, child, true, columns & junction->below[child], &part_over[parts]);
            complete = part[parts] != NULL;
            needed |= junction->separator[child];
            all |= complete ? part_over[parts++] : 0;
        }
    all |= needed;
    *over = separator | columns;
    const size_t cells = marginals_cells(domain, all);
    double *own = complete ? calloc(marginals_cells(domain, needed), sizeof *own) : NULL;
    table = own && cells < SIZE_MAX / 16 ? calloc(cells, sizeof *table) : NULL;
    double *inverse = table ? calloc(marginals_cells(domain, separator), sizeof *inverse) : NULL;
    result = inverse ? calloc(marginals_cells(domain, *over), sizeof *result) : NULL;
    if (result) {
        for (size_t i = 0; given && i < marginals_cells(domain, separator); i++)
            inverse[i] = belief->separator[c][i] > least ? 1.0 / belief->separator[c][i] : 0.0;
        sum_to(domain, belief->clique[c], junction->clique[c], own, needed);
        add_to(domain, table, all, own, needed);
        for (size_t i = 0; i < parts; i++)
            multiply_by(domain, table, all, part[i], part_over[i]);
        sum_to(domain, table, all, result, *over);
        if (given)
            multiply_by(domain, result, *over, inverse, separator);
    }
    for (size_t i = 0; i < parts; i++)
        free(part[i]);
    free(inverse);
    free(table);
    free(own);
    return result;
}

/* As above, without the tables: the most cells of one. */
static size_t weigh(const marginals_belief *belief, size_t c, bool given, marginals_set columns)
{
    const marginals_junction *junction = &belief->junction;
    marginals_set all = (given ? junction->separator[c] : 0) | columns;
    size_t most = 0;
    for (size_t child = c + 1; child < junction->count; child++)
        if (junction->parent[child] == c && (columns & junction->below[child] & ~junction->clique[c])) {
            const size_t below = weigh(belief, child, true, columns & junction->below[child]);
            all |= junction->separator[child];
            most = below > most ? below : most;
        }
    const size_t cells = marginals_cells(belief->domain, all);
    return cells > most ? cells : most;
}

/* The lowest clique that has all of the columns at or below it. */
static size_t top_of(const marginals_belief *belief, marginals_set columns)
{
    size_t top = 0;
    for (size_t c = 1; c < belief->junction.count; c++)
        if ((columns & ~belief->junction.below[c]) == 0)
            top = c;
    return top;
}

size_t marginals_belief_work(const marginals_belief *belief, marginals_set columns)
{
    return weigh(belief, top_of(belief, columns), false, columns);
}

sotto_status marginals_belief_table(const marginals_belief *belief, marginals_set columns, double *cells,
                                    sotto_error *err)
{
    marginals_set over;
    double *table = gather(belief, top_of(belief, columns), false, columns, &over);
    if (!table)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a table of columns");
    memcpy(cells, table, marginals_cells(belief->domain, columns) * sizeof *cells);
    free(table);
    return SOTTO_OK;
}
