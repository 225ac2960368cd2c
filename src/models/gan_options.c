/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "models/gan.h"

static const char *const activations[] = {"leaky_relu", "relu", "silu", "tanh", NULL};
static const char *const losses[] = {"non-saturating", "wasserstein", "hinge", NULL};
static const char *const heads[] = {"straight-through", "gumbel", NULL};
static const char *const tables[] = {"per-label", "label", "none", NULL};
static const char *const numbers[] = {"binned", "bounded", NULL};

static sotto_status parse_trunk(gan_trunk *trunk, size_t *latent, const sotto_node *node, const char *what,
                                sotto_error *err)
{
    static const char *const with_latent[] = {"hidden",   "activation", "layer_norm",
                                              "residual", "latent",     NULL};
    static const char *const without[] = {"hidden", "activation", "layer_norm", "residual", NULL};
    if (!node)
        return SOTTO_OK;
    sotto_status status = sotto_model_refuse_coupling(node, err);
    if (status == SOTTO_OK)
        status = sotto_node_expect_map(node, what, latent ? with_latent : without, err);
    const sotto_node *child;
    char name[64];
    if (status == SOTTO_OK && (child = sotto_node_get(node, "hidden"))) {
        (void)snprintf(name, sizeof name, "%s.hidden", what);
        status = sotto_model_read_hidden(child, name, &trunk->hidden, err);
    }
    if (status == SOTTO_OK && (child = sotto_node_get(node, "activation"))) {
        size_t choice = 0;
        (void)snprintf(name, sizeof name, "%s.activation", what);
        status = sotto_node_choice(child, name, activations, &choice, err);
        trunk->activation = (gan_activation)choice;
    }
    if (status == SOTTO_OK && (child = sotto_node_get(node, "layer_norm"))) {
        (void)snprintf(name, sizeof name, "%s.layer_norm", what);
        status = sotto_node_bool(child, name, &trunk->layer_norm, err);
    }
    if (status == SOTTO_OK && (child = sotto_node_get(node, "residual"))) {
        (void)snprintf(name, sizeof name, "%s.residual", what);
        status = sotto_node_bool(child, name, &trunk->residual, err);
    }
    if (status == SOTTO_OK && latent && (child = sotto_node_get(node, "latent")))
        status = sotto_node_size(child, "model.generator.latent", 1, 4096, latent, err);
    return status;
}

/* One condition: like a target, and neither that nor another condition. */
static sotto_status add_condition(gan_options *options, const sotto_node *node, const sotto_schema *schema,
                                  sotto_error *err)
{
    const char *name;
    sotto_status status = sotto_node_string(node, "model.condition", &name, err);
    if (status != SOTTO_OK)
        return status;
    const size_t column = sotto_schema_find(schema, name);
    if (column == SOTTO_NONE)
        return sotto_node_error(node, err,
                                "model.condition has \"%s\", which the schema has no column called", name);
    if (schema->columns[column].type != SOTTO_COLUMN_CATEGORY)
        return sotto_node_error(node, err,
                                "model.condition \"%s\" is of type %s; it must be a category column", name,
                                sotto_column_type_name(schema->columns[column].type));
    bool known = column == options->target;
    for (size_t j = 0; j < options->condition_count; j++)
        known = known || options->condition[j] == column;
    if (known)
        return sotto_node_error(
            node, err,
            "model.condition \"%s\" is a condition already, as model.target or further up; "
            "remove it",
            name);
    if (options->condition_count == GAN_CONDITIONS)
        return sotto_node_error(node, err, "model.condition has more than %d columns; remove some",
                                GAN_CONDITIONS);
    options->condition[options->condition_count++] = column;
    return SOTTO_OK;
}

/* All combinations are counted in one table, and spread over it the rows must still rise above its noise. */
static sotto_status check_combinations(const gan_options *options, const sotto_node *node,
                                       const sotto_schema *schema, sotto_error *err)
{
    size_t combinations = 1;
    for (size_t j = 0; j <= options->condition_count; j++) {
        const size_t number = j < options->condition_count ? options->condition[j] : options->target;
        if (number == SOTTO_NONE)
            continue;
        const sotto_column *column = &schema->columns[number];
        const size_t values = column->value_count + column->missing_allowed;
        if (values > GAN_CELLS || combinations * values > GAN_CELLS)
            return sotto_node_error(
                node, err,
                "model.condition and model.target have more than %d combinations of values; all "
                "of them are counted, so condition on fewer columns",
                GAN_CELLS);
        combinations *= values;
    }
    return SOTTO_OK;
}

static sotto_status parse_condition(gan_options *options, const sotto_node *node, const sotto_schema *schema,
                                    sotto_error *err)
{
    const char *text = sotto_node_text(node);
    if (text && strcmp(text, "none") == 0)
        return SOTTO_OK;
    if (sotto_node_kind_of(node) != SOTTO_NODE_LIST)
        return sotto_node_error(node, err,
                                "model.condition is not a list of columns; write it like `[education, sex]`");
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < sotto_node_count(node) && status == SOTTO_OK; i++)
        status = add_condition(options, sotto_node_at(node, i), schema, err);
    return status == SOTTO_OK ? check_combinations(options, node, schema, err) : status;
}

static sotto_status parse_heads(gan_options *options, const sotto_node *node, sotto_error *err)
{
    static const char *const known[] = {"type", "temperature", NULL};
    size_t choice = options->heads;
    sotto_status status = sotto_node_expect_map(node, "model.heads", known, err);
    const sotto_node *child;
    if (status == SOTTO_OK && (child = sotto_node_get(node, "type")))
        status = sotto_node_choice(child, "model.heads.type", heads, &choice, err);
    options->heads = (gan_heads)choice;
    if (status == SOTTO_OK && (child = sotto_node_get(node, "temperature")))
        status = sotto_node_double(child, "model.heads.temperature", 0.01, 100, &options->temperature, err);
    return status;
}

static sotto_status parse_marginals(gan_options *options, const sotto_node *node, sotto_error *err)
{
    static const char *const known[] = {"tables", "share", "weight", NULL};
    size_t choice = options->tables;
    sotto_status status = sotto_node_expect_map(node, "model.marginals", known, err);
    const sotto_node *child;
    if (status == SOTTO_OK && (child = sotto_node_get(node, "tables"))) {
        status = sotto_node_choice(child, "model.marginals.tables", tables, &choice, err);
        options->tables = (gan_tables)choice;
        if (options->tables == GAN_TABLES_LABEL)
            options->share = 0.03;
    }
    if (status == SOTTO_OK && options->target != SOTTO_NONE && options->tables == GAN_TABLES_NONE)
        return sotto_node_error(node, err,
                                "model.marginals.tables is none, but model.target needs at least the noisy "
                                "frequencies of its labels; write `tables: label`, or drop the target");
    if (status == SOTTO_OK && options->condition_count > 0 && options->tables == GAN_TABLES_NONE)
        return sotto_node_error(
            node, err,
            "model.marginals.tables is none, but model.condition needs the noisy frequencies of "
            "its values; write `tables: label`, or drop the conditions");
    if (status == SOTTO_OK && (child = sotto_node_get(node, "share")))
        status = sotto_node_double(child, "model.marginals.share", 0.001, 0.99, &options->share, err);
    if (status == SOTTO_OK && (child = sotto_node_get(node, "weight")))
        status = sotto_node_double(child, "model.marginals.weight", 0, 1000, &options->weight, err);
    return status;
}

static const gan_options defaults = {
    .numbers = SOTTO_NUMBERS_BINNED,
    .target = SOTTO_NONE,
    .latent = 32,
    .generator = {.hidden = {.width = {128, 128}, .count = 2}, .activation = GAN_RELU},
    .discriminator = {.hidden = {.width = {128, 128}, .count = 2}, .activation = GAN_LEAKY_RELU},
    .loss = SOTTO_ADVERSARIAL_CROSS_ENTROPY,
    .heads = GAN_STRAIGHT_THROUGH,
    .temperature = 1.0,
    .tables = GAN_TABLES_PER_LABEL,
    .share = 0.4,
    .weight = 3.0,
};

static sotto_status parse_numbers(gan_options *options, const sotto_node *section, sotto_error *err)
{
    size_t choice = options->numbers;
    const sotto_node *child = sotto_node_get(section, "numbers");
    sotto_status status = child ? sotto_node_choice(child, "model.numbers", numbers, &choice, err) : SOTTO_OK;
    options->numbers = (sotto_numbers)choice;
    return status;
}

sotto_status gan_options_parse(gan_options *options, const sotto_node *section, const sotto_schema *schema,
                               sotto_error *err)
{
    static const char *const known[] = {"type",      "numbers",       "target", "condition", "loss",
                                        "generator", "discriminator", "heads",  "marginals", NULL};
    *options = defaults;
    if (!section)
        return SOTTO_OK;
    const sotto_node *child;
    sotto_status status = sotto_model_refuse_coupling(section, err);
    if (status == SOTTO_OK)
        status = sotto_node_expect_map(section, "model", known, err);
    if (status == SOTTO_OK)
        status = parse_numbers(options, section, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "target")))
        status = sotto_model_read_target(child, schema, &options->target, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "condition")))
        status = parse_condition(options, child, schema, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "loss"))) {
        size_t choice = 0;
        status = sotto_node_choice(child, "model.loss", losses, &choice, err);
        options->loss = (sotto_adversarial_loss)(choice + SOTTO_ADVERSARIAL_CROSS_ENTROPY);
    }
    if (status == SOTTO_OK)
        status = parse_trunk(&options->generator, &options->latent, sotto_node_get(section, "generator"),
                             "model.generator", err);
    if (status == SOTTO_OK)
        status = parse_trunk(&options->discriminator, NULL, sotto_node_get(section, "discriminator"),
                             "model.discriminator", err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "heads")))
        status = parse_heads(options, child, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "marginals")))
        status = parse_marginals(options, child, err);
    return status;
}

static void format_trunk(const gan_trunk *trunk, const char *name, size_t latent, FILE *file)
{
    (void)fprintf(file, "  %s:\n    hidden: ", name);
    sotto_model_format_hidden(&trunk->hidden, file);
    (void)fprintf(file, "\n    activation: %s\n    layer_norm: %s\n    residual: %s\n",
                  activations[trunk->activation], trunk->layer_norm ? "true" : "false",
                  trunk->residual ? "true" : "false");
    if (latent)
        (void)fprintf(file, "    latent: %zu\n", latent);
}

void gan_options_format(const gan_options *options, const sotto_schema *schema, FILE *file)
{
    (void)fprintf(file, "  type: gan\n  numbers: %s\n", numbers[options->numbers]);
    if (options->target != SOTTO_NONE) {
        (void)fputs("  target: ", file);
        sotto_model_format_quoted(schema->columns[options->target].name, file);
        (void)fputc('\n', file);
    }
    for (size_t j = 0; j < options->condition_count; j++) {
        (void)fputs(j == 0 ? "  condition: [" : ", ", file);
        sotto_model_format_quoted(schema->columns[options->condition[j]].name, file);
    }
    if (options->condition_count > 0)
        (void)fputs("]\n", file);
    (void)fprintf(file, "  loss: %s\n", losses[options->loss - SOTTO_ADVERSARIAL_CROSS_ENTROPY]);
    format_trunk(&options->generator, "generator", options->latent, file);
    format_trunk(&options->discriminator, "discriminator", 0, file);
    (void)fprintf(file, "  heads: {type: %s, temperature: %.17g}\n", heads[options->heads],
                  options->temperature);
    (void)fprintf(file, "  marginals: {tables: %s, share: %.17g, weight: %.17g}\n", tables[options->tables],
                  options->share, options->weight);
}
