/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DATA_H
#define SOTTO_DATA_H

/**
 * data: from a table on disk to the vectors a network reads, and back.
 *
 *     schema (public) ─► encoder (public) ─► widths, blocks
 *     CSV + schema ─► table (compact codes) ─► encoded ─► gathered batches
 *     slots and values from a network ─► CSV writer ─► synthetic rows
 *
 * All that is decided before a row is read comes from the schema alone, so the encoder, the decoder and the
 * shapes of a network are public (contract rule P11). No error quotes a cell (P15): line, column, the
 * declared type or domain.
 */

#include "base/base.h"

/** "There is none", where an index is returned. */
#define SOTTO_NONE SIZE_MAX

/* ------------------------------------------------------------------ schema */

typedef enum sotto_column_type {
    SOTTO_COLUMN_INTEGER,
    SOTTO_COLUMN_NUMBER,
    SOTTO_COLUMN_CATEGORY,
    SOTTO_COLUMN_DATE,
    SOTTO_COLUMN_IDENTIFIER, /**< never modelled; a synthetic row carries a running number. It may tell whose
                                rows are one person's: the unit of privacy */
} sotto_column_type;

/**
 * One declared column. Bounds and spikes are in the column's unit; dates are days since 1970-01-01.
 *
 * Every value of an integer, number or date column lies on a grid: the multiples of 10^-decimals (decimals is
 * 0 for integers and dates). Bounds and spikes lie on it exactly, and `|bound| × 10^decimals` is at most
 * 10^15, so that a double tells all points of the grid apart. What the decoder writes lies on it too.
 */
typedef struct sotto_column {
    const char *name;
    sotto_column_type type;
    bool missing_allowed;
    bool log_scale;            /**< encoded as log(1 + x − min); min is then always a spike */
    unsigned decimals;         /**< digits after the point of a decoded number, 0 to 9 */
    size_t bins;               /**< wanted number of bins, 1 to 1000 */
    double min, max;           /**< public bounds, min ≤ max */
    size_t spike_count;        /**< values inside the bounds that carry an atom of their own */
    const double *spikes;      /**< ascending, distinct */
    size_t value_count;        /**< categories */
    const char *const *values; /**< in declared order, distinct, none empty, none the missing marker */
    size_t other;              /**< index of the category that undeclared ones become; SOTTO_NONE */
    size_t units; /**< identifier: the public number of its different values; 0 where it tells no units */
} sotto_column;

/** What is public about a table. Read-only once made; owns everything it points to. */
typedef struct sotto_schema {
    size_t rows;         /**< the public row count, ≥ 1 */
    const char *missing; /**< marker of a missing cell; an empty cell is missing too */
    size_t column_count; /**< ≥ 1, and at least one is not an identifier */
    const sotto_column *columns;
    sotto_arena *arena; /**< private */
} sotto_schema;

/** Read a schema file. Every impossibility is SOTTO_ERROR_INPUT with file, line and column. Caller destroys.
 */
sotto_status sotto_schema_load(sotto_schema **schema, const char *path, sotto_error *err);

/** The same from `length` bytes of YAML; `name` stands for the file in errors. */
sotto_status sotto_schema_parse(sotto_schema **schema, const char *name, const char *text, size_t length,
                                sotto_error *err);
void sotto_schema_destroy(sotto_schema *schema);

/** The schema as YAML; caller frees. Parsing it gives an equal schema, and formatting that the same bytes. */
sotto_status sotto_schema_format(const sotto_schema *schema, char **text, sotto_error *err);

/** Index of the column called `name`, or SOTTO_NONE. */
size_t sotto_schema_find(const sotto_schema *schema, const char *name);

/** Index of the category called `value` in a category column, or SOTTO_NONE. */
size_t sotto_column_find(const sotto_column *column, const char *value);

/** A short stable name: "integer", "number", "category", "date", "identifier". */
const char *sotto_column_type_name(sotto_column_type type);

/**
 * A first schema for the table at `path` (.csv or .csv.gz), as YAML with comments; caller frees. `missing` is
 * the marker of missing cells ("" for none). It looks at the data, so it is NOT public: its first lines say
 * so, and each line that a person must replace by public knowledge carries a `# check:` comment.
 */
sotto_status sotto_schema_draft(const char *path, const char *missing, char **yaml, sotto_error *err);

/* ------------------------------------------------------------------- table */

/** A table in memory as compact column codes: 1 or 2 bytes a category, 4 or 8 a number. Of identifiers no
 * text is kept: at most which rows have the same. */
typedef struct sotto_table sotto_table;

typedef struct sotto_table_options {
    bool any_row_count; /**< do not ask for the schema's row count (a test or a synthetic table) */
    bool strict; /**< a value that would have been clamped or mapped is an error, counted over the whole table
                  */
    bool units;  /**< number the units of each identifier for which the schema declares `units` */
} sotto_table_options;

/** What was mapped into the declared domain while reading one column. Computed from real data: for private/
 * only. */
typedef struct sotto_column_counts {
    size_t missing;      /**< cells that are missing after all mapping */
    size_t clamped_low;  /**< below min, set to min */
    size_t clamped_high; /**< above max, set to max */
    size_t not_a_number; /**< NaN: missing where allowed, else min */
    size_t undeclared;   /**< unknown category: `other`, else missing */
    size_t
        first_line; /**< line of the first value counted above other than `missing`; 0 where there is none */
} sotto_column_counts;

/**
 * Read `path` (.csv, or gzip by its first bytes) under `schema`, which must outlive the table. `options` may
 * be NULL for none. RFC 4180 with CRLF or LF; a UTF-8 byte-order mark, blank lines and blanks around unquoted
 * cells are dropped. The header names exactly the schema's columns in any order. `err->line` is the line on
 * which the row begins and `err->column` the number of the cell in it. Caller destroys.
 */
sotto_status sotto_table_load(sotto_table **table, const sotto_schema *schema, const char *path,
                              const sotto_table_options *options, sotto_error *err);
void sotto_table_destroy(sotto_table *table);

const sotto_schema *sotto_table_schema(const sotto_table *table);

/** Rows in the table, 1 to 2^32 − 2. */
size_t sotto_table_rows(const sotto_table *table);

/** Does the table say that it was made with a test seed (P9)? What is made of it is not private either. */
bool sotto_table_stamped(const sotto_table *table);

/** SHA-256 of what was read, 64 hex digits: of the file's bytes, unpacked where they were packed, and without
 * carriage returns, so that a packed copy or one from another system is known again. */
const char *sotto_table_sha256(const sotto_table *table);

/** The same of a .csv or .csv.gz that nobody needs to hold. Bytes that are no CSV at all are an error. */
sotto_status sotto_table_file_sha256(const char *path, char sha256[65], sotto_error *err);

/**
 * Different values of an identifier, by which rows are told apart byte for byte; each row without one is a
 * unit of its own, where the schema allows it. 0 where the table was not read with `units`, or the schema
 * declares none of the column. Computed from real data: private.
 */
size_t sotto_table_units(const sotto_table *table, size_t column);

/** Which unit a row is of: numbers from 0, in the order in which units first come. Where there are units. */
uint32_t sotto_table_unit(const sotto_table *table, size_t row, size_t column);

/** True where the cell is missing; identifiers are always missing. */
bool sotto_table_missing(const sotto_table *table, size_t row, size_t column);

/** The category's index into the column's `values`; SOTTO_NONE where missing. Category columns only. */
size_t sotto_table_category(const sotto_table *table, size_t row, size_t column);

/** An integer, number or date (in days) inside the declared bounds; NaN where missing. */
double sotto_table_number(const sotto_table *table, size_t row, size_t column);

/** Never NULL; of identifiers nothing is counted but what is missing where units are told. */
const sotto_column_counts *sotto_table_counts(const sotto_table *table, size_t column);

/* ----------------------------------------------------------------- encoder */

/** How integers, numbers and dates become vector elements. */
typedef enum sotto_numbers {
    SOTTO_NUMBERS_BINNED,  /**< one slot for each of N bins of equal width on the column's scale */
    SOTTO_NUMBERS_BOUNDED, /**< one scalar in [−1, 1], linear on the column's scale */
    SOTTO_NUMBERS_MODES,   /**< binned, and one scalar in [−1, 1]: where in its bin a number lies */
} sotto_numbers;

/**
 * The elements of a row vector that belong to one modelled column: a one-hot of `slot_count` slots and
 * perhaps one bounded value. Slots in order: [missing], [each spike], then bins, or categories, or the one
 * "value" slot. A bounded column with neither missing nor spikes has no slots, only the value. Where there is
 * a value, it speaks in the slots from `rest_slot` on: the "value" slot, or every bin.
 */
typedef struct sotto_block {
    size_t column;       /**< index into the schema's columns */
    size_t slot_offset;  /**< first slot's element in the row vector */
    size_t slot_count;   /**< 0 or more; a softmax over one slot is allowed */
    size_t missing_slot; /**< slot number, from 0, of "missing"; SOTTO_NONE */
    size_t spike_slot;   /**< slot number of the first spike */
    size_t spike_count;  /**< how many spike slots */
    size_t rest_slot;    /**< slot number of the first bin or category, or of the "value" slot */
    bool has_value;
    size_t value_offset; /**< the bounded value's element in the row vector, where has_value */
} sotto_block;

/** The map between rows and vectors, built from the schema alone. Read-only; may be shared between threads.
 */
typedef struct sotto_encoder sotto_encoder;

/** `schema` must outlive the encoder. Caller destroys. */
sotto_status sotto_encoder_create(sotto_encoder **encoder, const sotto_schema *schema, sotto_numbers numbers,
                                  sotto_error *err);
void sotto_encoder_destroy(sotto_encoder *encoder);

const sotto_schema *sotto_encoder_schema(const sotto_encoder *encoder);
sotto_numbers sotto_encoder_numbers(const sotto_encoder *encoder);

/** Elements of a row vector: all slots and all bounded values. Blocks lie in schema order, each block's value
 * after its slots, without gaps. */
size_t sotto_encoder_width(const sotto_encoder *encoder);
size_t sotto_encoder_block_count(const sotto_encoder *encoder);
const sotto_block *sotto_encoder_block(const sotto_encoder *encoder, size_t block);

/** The block of a schema column, or SOTTO_NONE for identifiers. */
size_t sotto_encoder_find(const sotto_encoder *encoder, size_t column);

/** The value, of a block that has one and in a slot in which it speaks, of the point that a decoder writes
 * for `value`: what a row's own value can be. Any float gives one in [−1, 1]. */
float sotto_encoder_round(const sotto_encoder *encoder, size_t block, size_t slot, float value);

/* ----------------------------------------------------------------- encoded */

/** A table as one slot (and perhaps one bounded value) for each row and block: 2 (6) bytes each. */
typedef struct sotto_encoded sotto_encoded;

/** The table may be destroyed afterwards; the encoder must outlive the result. Caller destroys. */
sotto_status sotto_encode(sotto_encoded **encoded, const sotto_encoder *encoder, const sotto_table *table,
                          sotto_error *err);
void sotto_encoded_destroy(sotto_encoded *encoded);

const sotto_encoder *sotto_encoded_encoder(const sotto_encoded *encoded);
size_t sotto_encoded_rows(const sotto_encoded *encoded);

/** The slot number within the block; 0 for a block without slots. */
size_t sotto_encoded_slot(const sotto_encoded *encoded, size_t row, size_t block);

/** The bounded value in [−1, 1]; 0 where the block has none or it does not speak. */
float sotto_encoded_value(const sotto_encoded *encoded, size_t row, size_t block);

/**
 * Write the vectors of `rows[0 … count−1]` to `out`: row i begins at out + i × stride, stride ≥ width;
 * elements beyond the width are left alone. Indices may repeat. Reads only; may run in several threads at
 * once.
 */
void sotto_encoded_gather(const sotto_encoded *encoded, const uint32_t *rows, size_t count, float *out,
                          size_t stride);

/* ----------------------------------------------------------------- decoder */

/** Writes synthetic rows as CSV: RFC 4180, LF, header in schema order. Not thread-safe. */
typedef struct sotto_csv_writer sotto_csv_writer;

/**
 * Write the header to `file`. The encoder, the stream (draws within bins) and the file stay the caller's and
 * must outlive the writer. Caller destroys.
 */
sotto_status sotto_csv_writer_create(sotto_csv_writer **writer, const sotto_encoder *encoder,
                                     sotto_stream *stream, FILE *file, sotto_error *err);

/**
 * Write one row: `slots[b]` is a slot number of block b (ignored where it has no slots), `values[b]` its
 * bounded value (ignored where it has none or does not speak; NULL where no block has one). Whatever the
 * numbers, the row lies in the declared domain: values are clamped to [−1, 1], NaN becomes 0. A slot out of
 * range is SOTTO_ERROR_INPUT. A bin's draw is uniform over the grid values in it; spikes belong to no bin.
 */
sotto_status sotto_csv_writer_row(sotto_csv_writer *writer, const uint16_t *slots, const float *values,
                                  sotto_error *err);

/** Flush to the file and report what could not be written. Rows may follow. */
sotto_status sotto_csv_writer_flush(sotto_csv_writer *writer, sotto_error *err);

/** Free; does not flush. NULL is allowed. */
void sotto_csv_writer_destroy(sotto_csv_writer *writer);

/* ------------------------------------------------------------------- split */

/**
 * A partition of a table's units. Where each row is a unit, both lists are ascending and together all rows.
 * Where units have several rows, those kept of one for training lie side by side, and `holdout` has all rows
 * of the units held out; rows that are in neither list were dropped and are not to be read.
 */
typedef struct sotto_split {
    size_t train_count, holdout_count;
    const uint32_t *train, *holdout; /**< rows */
    size_t train_units, holdout_units;
    const uint32_t *first; /**< [train_units + 1]: unit u has train[first[u]] to train[first[u + 1] − 1]; NULL
                              where each row is a unit */
    sotto_arena *arena;    /**< private */
} sotto_split;

/**
 * Each of `rows` rows goes to the holdout by an independent coin of probability `holdout_fraction`, in [0,
 * 1). The coins do not depend on one another or on how many rows there are, so tables that differ in one row
 * give train sets that differ in at most that row; the list sizes are random, and private. Caller destroys.
 */
sotto_status sotto_split_create(sotto_split **split, size_t rows, double holdout_fraction,
                                sotto_stream *stream, sotto_error *err);

/**
 * The same for units of several rows, those that `table` tells apart by the identifier `column`: one coin for
 * each unit, so that all its rows lie on one side, and of each unit for training at most `most` ≥ 1 rows,
 * drawn uniformly without replacement. Which rows of a unit are kept follows from coins that are tossed for
 * its rows alone: a unit more or less in the table changes the law of no other unit's. Coins are tossed row
 * by row, so for rows added at the end every coin before them is the same. Caller destroys.
 */
sotto_status sotto_split_create_units(sotto_split **split, const sotto_table *table, size_t column,
                                      size_t most, double holdout_fraction, sotto_stream *stream,
                                      sotto_error *err);

/**
 * Write the split, or make the one that was written: `*split` is then new, and NULL where it is refused since
 * it is no split of `table`. `column` tells units apart, SOTTO_NONE where each row is one; `most` are the
 * rows of a unit for training. No unit is on both sides, none has more rows than that, and no row stands
 * twice. Caller destroys.
 */
void sotto_split_state(sotto_split **split, const sotto_table *table, size_t column, size_t most,
                       sotto_state *state);
void sotto_split_destroy(sotto_split *split);

/* ---------------------------------------------------- private to this room */

/* Points of a column's grid are int64_t: value × 10^decimals. */
#define SOTTO_GRID_LIMIT INT64_C(1000000000000000)

/* 10^decimals, for decimals from 0 to 9. */
double sotto_power_of_ten(unsigned decimals);

/* True, and the point, where `value` is a grid point of at most SOTTO_GRID_LIMIT (or the double nearest to
 * one). */
bool sotto_grid_point(double value, unsigned decimals, int64_t *point);

/* Any number or date cell: the decimal grammar of `sotto_text_double`, or nan, inf, infinity in any case and
 * sign. */
bool sotto_cell_number(const char *text, double *value);

/* YYYY-MM-DD, a day of the Gregorian calendar from 0001-01-01 to 9999-12-31, as days since 1970-01-01. */
bool sotto_cell_date(const char *text, int64_t *days);

/* The inverse; both write no NUL and return the bytes written, at most SOTTO_CELL_SIZE. */
enum { SOTTO_CELL_SIZE = 32 };
size_t sotto_cell_format_date(int64_t days, char *out);
size_t sotto_cell_format_point(int64_t point, unsigned decimals, char *out);

/* The text of a grid point of `column`, a date or a number with all its decimals. */
size_t sotto_column_format_point(const sotto_column *column, int64_t point, char *out);

/* Comments for a person to read beside a schema; each may be NULL. */
typedef struct sotto_schema_notes {
    const char *head; /* whole comment lines */
    const char *rows; /* one comment without its # */
    const char *const *columns;
} sotto_schema_notes;

sotto_status sotto_schema_write(const sotto_schema *schema, const sotto_schema_notes *notes, char **text,
                                sotto_error *err);

/* One record of a CSV file; the texts are NUL-terminated, hold no other NUL, and live until the visit
 * returns. */
typedef struct sotto_csv_row {
    size_t number; /* 0 for the header */
    size_t line;   /* on which it begins, from 1 */
    bool stamped;  /* the table says that it was made with a test seed */
    size_t count;
    const char *const *cells;
} sotto_csv_row;

typedef sotto_status sotto_csv_visit(void *context, const sotto_csv_row *row, sotto_error *err);

/* An identifier's cells while a table is read. All zero to begin with. */
typedef struct sotto_unit_texts {
    char *bytes; /* texts, each with its NUL */
    size_t used, size;
    size_t *at; /* [rows]: where each row's begins */
    size_t rows, capacity;
} sotto_unit_texts;

/* The next row's cell; NULL where it is missing. */
sotto_status sotto_unit_texts_add(sotto_unit_texts *texts, const char *text, sotto_error *err);

/* Number the units in the order in which they first come: `*units` [rows], which the caller frees. */
sotto_status sotto_unit_texts_number(const sotto_unit_texts *texts, uint32_t **units, size_t *count,
                                     sotto_error *err);
void sotto_unit_texts_release(sotto_unit_texts *texts);

/* How the first line of a table made with a test seed begins; such a line is passed over. */
#define SOTTO_CSV_STAMP "# NOT PRIVATE: "

/* Visit each record of a .csv or .csv.gz in order, until a visit fails. `sha256` (may be NULL) is that of
 * `sotto_table_sha256`. */
sotto_status sotto_csv_read(const char *path, sotto_csv_visit *visit, void *context, char sha256[65],
                            sotto_error *err);

/* A category's (or NULL's: the missing marker's) text with RFC 4180 quotes where it needs them; `out` holds
 * at least 2 × strlen + 2 bytes. Returns the bytes written, without a NUL. */
size_t sotto_csv_quote(const char *text, char *out);

/* The public partition of a column's grid into spikes and bins. */
typedef struct sotto_grid {
    int64_t low, high;
    unsigned decimals;
    bool log_scale;
    double span; /* of the scale, from low to high */
    size_t spike_count;
    const int64_t *spikes;
    size_t bin_count; /* 0 where every point is a spike */
    const uint64_t
        *edges; /* bin i holds the ranks from edges[i] to edges[i+1] − 1; a rank counts points, not spikes */
} sotto_grid;

sotto_status sotto_grid_make(sotto_grid *grid, const sotto_column *column, sotto_arena *arena,
                             sotto_error *err);

/* The grid point nearest to a value inside the bounds. */
int64_t sotto_grid_nearest(const sotto_grid *grid, double value);

/* Which spike `point` is, or SOTTO_NONE; if none, which bin it lies in. */
size_t sotto_grid_spike(const sotto_grid *grid, int64_t point);
size_t sotto_grid_bin(const sotto_grid *grid, int64_t point);

/* A uniform point of a bin. */
int64_t sotto_grid_draw(const sotto_grid *grid, size_t bin, sotto_stream *stream);

/* A point as a scalar in [−1, 1] on the column's scale, and back; any float gives a point inside the bounds.
 */
float sotto_grid_scalar(const sotto_grid *grid, int64_t point);
int64_t sotto_grid_from_scalar(const sotto_grid *grid, float scalar);

/* Where a point that is no spike lies in its bin: of the bin's points in order, each has an equal part of
 * [−1, 1], and this is the middle of its part. And back; any float gives a point of the bin. */
float sotto_grid_offset(const sotto_grid *grid, int64_t point);
int64_t sotto_grid_from_offset(const sotto_grid *grid, size_t bin, float offset);

/* A block and what its slots stand for. */
typedef struct sotto_part {
    sotto_block block;
    const sotto_column *column;
    sotto_grid grid;    /* not for categories */
    size_t value_index; /* among the blocks that have a value */
} sotto_part;

struct sotto_encoder {
    sotto_arena *arena;
    const sotto_schema *schema;
    sotto_numbers numbers;
    size_t width, part_count, value_count;
    sotto_part *parts;
    size_t *part_of_column;
};

#endif
