/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What several kinds of model need. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/kind.h"

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x < y) - (x > y);
}

void sotto_simplex_project(double *values, size_t count, double total, double *order)
{
    memcpy(order, values, count * sizeof *order);
    qsort(order, count, sizeof *order, descending);
    double sum = 0.0;
    double threshold = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += order[i];
        double candidate = (sum - total) / (double)(i + 1);
        if (order[i] > candidate)
            threshold = candidate;
    }
    for (size_t i = 0; i < count; i++)
        values[i] = fmax(values[i] - threshold, 0.0);
}

void sotto_label_totals(const double *counts, const size_t *table_size, size_t tables, size_t classes,
                        double *totals)
{
    double weight = 0.0;
    for (size_t k = 0; k < classes; k++)
        totals[k] = 0.0;
    for (size_t t = 0; t < tables; t++) {
        const size_t slots = table_size[t] / classes;
        weight += 1.0 / (double)slots;
        for (size_t k = 0; k < classes; k++) {
            double sum = 0.0;
            for (size_t s = 0; s < slots; s++)
                sum += counts[k * slots + s];
            totals[k] += sum / (double)slots;
        }
        counts += table_size[t];
    }
    for (size_t k = 0; k < classes; k++)
        totals[k] = fmax(totals[k] / weight, 1.0);
}

size_t sotto_cumulative_draw(const double *cumulative, size_t count, sotto_stream *stream)
{
    if (count < 2)
        return 0;
    const double all = cumulative[count - 1];
    const double at = fmin(sotto_stream_uniform(stream) * all, nextafter(all, 0.0));
    size_t low = 0, high = count - 1; /* the first whose cumulative weight is above `at` */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (cumulative[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

sotto_status sotto_model_read_target(const sotto_node *node, const sotto_schema *schema, size_t *target,
                                     sotto_error *err)
{
    const char *name;
    sotto_status status = sotto_node_string(node, "model.target", &name, err);
    if (status != SOTTO_OK)
        return status;
    *target = sotto_schema_find(schema, name);
    if (*target == SOTTO_NONE && strcmp(name, "none") == 0)
        return SOTTO_OK;
    if (*target == SOTTO_NONE)
        return sotto_node_error(node, err, "model.target is \"%s\", which the schema has no column called",
                                name);
    const sotto_column *column = &schema->columns[*target];
    if (column->type != SOTTO_COLUMN_CATEGORY)
        return sotto_node_error(node, err, "model.target \"%s\" is of type %s; it must be a category column",
                                name, sotto_column_type_name(column->type));
    if (column->value_count + column->missing_allowed > SOTTO_MODEL_CLASSES)
        return sotto_node_error(node, err,
                                "model.target \"%s\" has %zu values; at most %d can be conditioned on", name,
                                column->value_count + column->missing_allowed, SOTTO_MODEL_CLASSES);
    return SOTTO_OK;
}

void sotto_model_losses_state(sotto_model_losses *losses, sotto_state *state)
{
    sotto_state_doubles(state, "loss_real", &losses->real, 1);
    sotto_state_doubles(state, "loss_fake", &losses->fake, 1);
    sotto_state_doubles(state, "loss_generator", &losses->generator, 1);
    sotto_state_u64(state, "discriminator_steps", &losses->discriminator_steps, 0, SOTTO_STATE_MOST_COUNT);
}

void sotto_model_format_quoted(const char *text, FILE *file)
{
    (void)fputc('"', file);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            (void)fprintf(file, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            (void)fprintf(file, "\\x%02X", *at);
        else
            (void)fputc(*at, file);
    }
    (void)fputc('"', file);
}
