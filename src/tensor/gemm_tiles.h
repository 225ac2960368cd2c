/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The matrix product of one kind of number by one set of instructions: a template, included once for each.
 * Before it come
 *   NAME(word)                   the names made here
 *   TARGET                       the attribute that lets a function use the instructions
 *   WORD, VECTOR, WIDTH          a number of the result, a vector of them, and how many it holds
 *   LOAD(p), STORE(p, v), SPLAT(p), ZERO
 *   ADD_PRODUCT(sum, l, r)       sum + l·r, lane by lane, in one rounding where there is rounding at all
 *   TILE_ROWS                    rows of the tallest tile
 *   TILE_PANELS(rows)            panels beside each other in a tile of so many rows
 *   TILE_CASES(CASE)             CASE(rows, panels) for every tile that these can ask for
 *
 * Whatever the tile, each number of the result is one register lane to which the products are added one by
 * one, in rising k: nothing depends on the tile, the row's place in it or the vectors' width.
 */

#if defined(NAME)

#define VECTORS_PER_PANEL (PANEL / WIDTH)

/* One tile, `rows` by `panels` panels, both constants to the compiler. */
GEMM_INLINE TARGET void NAME(tile)(const size_t rows, const size_t panels, size_t depth, const WORD *left,
                                   size_t left_row, size_t left_step, const WORD *right, size_t right_step,
                                   size_t right_panel, bool load, WORD *sums, size_t stride)
{
    const size_t vectors = panels * VECTORS_PER_PANEL;
    VECTOR sum[TILE_ROWS * 2 * VECTORS_PER_PANEL + 4 * VECTORS_PER_PANEL];
    GEMM_UNROLL
    for (size_t i = 0; i < rows; i++) {
        GEMM_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[i * vectors + v] = load ? LOAD(sums + i * stride + v * WIDTH) : ZERO;
    }
    for (size_t k = 0; k < depth; k++) {
        VECTOR r[4 * VECTORS_PER_PANEL];
        GEMM_UNROLL
        for (size_t v = 0; v < vectors; v++)
            r[v] = LOAD(right + v / VECTORS_PER_PANEL * right_panel + v % VECTORS_PER_PANEL * WIDTH);
        GEMM_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const VECTOR l = SPLAT(left + i * left_row);
            GEMM_UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[i * vectors + v] = ADD_PRODUCT(sum[i * vectors + v], l, r[v]);
        }
        left += left_step;
        right += right_step;
    }
    GEMM_UNROLL
    for (size_t i = 0; i < rows; i++) {
        GEMM_UNROLL
        for (size_t v = 0; v < vectors; v++)
            STORE(sums + i * stride + v * WIDTH, sum[i * vectors + v]);
    }
}

#define CASE(ROWS, PANELS)                                                                                   \
    case (ROWS)*8 + (PANELS):                                                                                \
        NAME(tile)                                                                                           \
        (ROWS, PANELS, depth, left, left_row, left_step, right, right_step, right_panel, load, sums,         \
         stride);                                                                                            \
        break;

TARGET static void NAME(any_tile)(size_t rows, size_t panels, size_t depth, const WORD *left, size_t left_row,
                                  size_t left_step, const WORD *right, size_t right_step, size_t right_panel,
                                  bool load, WORD *sums, size_t stride)
{
    switch (rows * 8 + panels) {
        TILE_CASES(CASE)
    default:
        break;
    }
}

#undef CASE

/* A tile of which only the first `columns` columns exist: made in a place of its own. */
TARGET static void NAME(edge_tile)(size_t rows, size_t columns, size_t depth, const WORD *left,
                                   size_t left_row, size_t left_step, const WORD *right, size_t right_step,
                                   bool load, WORD *sums, size_t stride)
{
    WORD tile[TILE_ROWS * PANEL] = {0};
    for (size_t i = 0; load && i < rows; i++) {
        for (size_t j = 0; j < columns; j++)
            tile[i * PANEL + j] = sums[i * stride + j];
    }
    NAME(any_tile)(rows, 1, depth, left, left_row, left_step, right, right_step, 0, load, tile, PANEL);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++)
            sums[i * stride + j] = tile[i * PANEL + j];
    }
}

/* All tiles below each other on `panels` panels, from step `first` on: the panels stay in the nearest cache.
 */
TARGET static void NAME(column)(const gemm_work *w, size_t panel, size_t panels, size_t first, size_t depth)
{
    const gemm_tiles tiles = gemm_tiles_of(w->rows, TILE_ROWS);
    const size_t left_columns = w->columns - panel * PANEL;
    const WORD *right = (const WORD *)w->right + panel * w->right_panel + first * w->right_step;
    const bool load = w->load || first > 0;
    WORD *sums = (WORD *)w->sums + panel * PANEL;
    for (size_t t = 0, row = 0; t < tiles.count; t++) {
        const size_t height = gemm_tile_height(tiles, t);
        const size_t left_row = w->left_row ? w->left_row : 1;
        const size_t left_step = w->left_row ? w->left_step : height;
        const WORD *left = (const WORD *)w->left + row * (w->left_row ? w->left_row : w->depth);
        left += first * left_step;
        if (left_columns < PANEL)
            NAME(edge_tile)
        (height, left_columns, depth, left, left_row, left_step, right, w->right_step, load,
         sums + row * w->stride, w->stride);
        else NAME(any_tile)(height, panels, depth, left, left_row, left_step, right, w->right_step,
                            w->right_panel, load, sums + row * w->stride, w->stride);
        row += height;
    }
}

/*
 * A depth of 1, the panels of the right-hand side side by side: row by row, with nothing to keep in
 * registers.
 */
TARGET static void NAME(outer)(const gemm_work *w)
{
    const size_t whole = w->columns / PANEL * PANEL;
    for (size_t i = 0; i < w->rows; i++) {
        const WORD *left = (const WORD *)w->left + i * (w->left_row ? w->left_row : 1);
        const WORD *right = (const WORD *)w->right;
        WORD *sums = (WORD *)w->sums + i * w->stride;
        const VECTOR l = SPLAT(left);
        for (size_t j = 0; j < whole; j += WIDTH) {
            const VECTOR sum = w->load ? LOAD(sums + j) : ZERO;
            const VECTOR next = ADD_PRODUCT(sum, l, LOAD(right + j));
            STORE(sums + j, next);
        }
        if (whole < w->columns)
            NAME(edge_tile)
        (1, w->columns - whole, 1, left, 1, 1, right + whole, PANEL, w->load, sums + whole, w->stride);
    }
}

TARGET static void NAME(block)(const gemm_work *w)
{
    if (w->depth == 1 && w->right_panel == PANEL) {
        NAME(outer)(w);
        return;
    }
    const gemm_tiles tiles = gemm_tiles_of(w->rows, TILE_ROWS);
    const size_t together = TILE_PANELS(gemm_tile_height(tiles, 0));
    size_t first = 0;
    do { /* once even where the depth is 0: an empty sum is zero */
        const size_t depth = w->depth - first < DEPTH_BLOCK ? w->depth - first : DEPTH_BLOCK;
        size_t panel = 0;
        while (panel * PANEL < w->columns) {
            const size_t panels = (w->columns - panel * PANEL) / PANEL >= together ? together : 1;
            NAME(column)(w, panel, panels, first, depth);
            panel += panels;
        }
        first += depth;
    } while (first < w->depth);
}

#undef VECTORS_PER_PANEL
#undef NAME
#undef TARGET
#undef WORD
#undef VECTOR
#undef WIDTH
#undef LOAD
#undef STORE
#undef SPLAT
#undef ZERO
#undef ADD_PRODUCT
#undef TILE_ROWS
#undef TILE_PANELS
#undef TILE_CASES

#endif
