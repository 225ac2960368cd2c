/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "models/gan.h"

static const char *const activations[] = {"leaky_relu", "relu", "silu", "tanh", NULL};
static const char *const losses[] = {"non-saturating", "wasserstein", "hinge", NULL};
static const char *const heads[] = {"straight-through", "gumbel", NULL};
static const char *const tables[] = {"per-label", "label", "none", NULL};
static const char *const scopes[] = {"discriminator", "generator", NULL};
static const char *const numbers[] = {"binned", "bounded", "modes", NULL};

/* Reads what the keys before `residual` say, and `residual` itself where it is known. */
static sotto_status parse_trunk(gan_trunk *trunk, const char *const *known, const sotto_node *node,
                                const char *what, sotto_error *err)
{
    if (!node)
        return SOTTO_OK;
    sotto_status status = sotto_model_refuse_coupling(node, err);
    if (status == SOTTO_OK)
        status = sotto_node_expect_map(node, what, known, err);
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

static sotto_status parse_networks(gan_options *options, const gan_dialect *dialect,
                                   const sotto_node *section, sotto_error *err)
{
    static const char *const plain[] = {"hidden", "activation", "layer_norm", "residual", "latent", NULL};
    static const char *const always[] = {"hidden", "activation", "layer_norm", "latent", NULL};
    static const char *const critic[] = {"hidden", "activation", "layer_norm", "residual", NULL};
    const sotto_node *generator = sotto_node_get(section, "generator");
    const sotto_node *residual = sotto_node_get(generator, "residual");
    const sotto_node *latent = sotto_node_get(generator, "latent");
    if (dialect->conditional && residual)
        return sotto_node_error(
            residual, err,
            "model.generator.residual is not a choice for model.type ctgan, each of whose "
            "layers hands on its input beside its output; remove it");
    sotto_status status = parse_trunk(&options->generator, dialect->conditional ? always : plain, generator,
                                      "model.generator", err);
    if (status == SOTTO_OK && latent)
        status = sotto_node_size(latent, "model.generator.latent", 1, 4096, &options->latent, err);
    return status == SOTTO_OK
               ? parse_trunk(&options->discriminator, critic, sotto_node_get(section, "discriminator"),
                             "model.discriminator", err)
               : status;
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

static sotto_status parse_marginals(gan_options *options, bool conditional, const sotto_node *node,
                                    sotto_error *err)
{
    static const char *const known[] = {"tables", "share", "weight", NULL};
    size_t choice = options->tables;
    const sotto_node *child = sotto_node_get(node, "tables");
    if (conditional && child)
        return sotto_node_error(
            child, err,
            "model.marginals.tables is not a choice for model.type ctgan, which draws its "
            "conditions from the tables of every column; remove it");
    sotto_status status = sotto_node_expect_map(node, "model.marginals", known, err);
    if (status == SOTTO_OK && child) {
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

/* λ; `none` or 0 is none. */
static sotto_status parse_penalty(gan_options *options, const sotto_node *node, sotto_error *err)
{
    const char *text = sotto_node_text(node);
    if (text && strcmp(text, "none") == 0)
        return SOTTO_OK;
    sotto_status status = sotto_node_double(node, "model.gradient_penalty", 0, 1e4, &options->penalty, err);
    if (status == SOTTO_OK && options->penalty > 0 && options->loss != SOTTO_ADVERSARIAL_WASSERSTEIN)
        return sotto_node_error(
            node, err,
            "model.gradient_penalty draws the critic's gradient to norm 1, which is what makes it "
            "measure the Wasserstein distance and nothing that model.loss %s is after; write `loss: "
            "wasserstein`, or remove the penalty",
            losses[options->loss - SOTTO_ADVERSARIAL_CROSS_ENTROPY]);
    return status;
}

static sotto_status refuse_condition(const sotto_node *section, sotto_error *err)
{
    const sotto_node *node = sotto_node_get(section, "condition");
    return node ? sotto_node_error(node, err,
                                   "model.condition is for `type: gan`: any column can be the condition of a "
                                   "ctgan; remove it")
                : SOTTO_OK;
}

sotto_status gan_numbers_parse(sotto_numbers *to, const sotto_node *section, sotto_error *err)
{
    size_t choice = *to;
    const sotto_node *child = sotto_node_get(section, "numbers");
    sotto_status status = child ? sotto_node_choice(child, "model.numbers", numbers, &choice, err) : SOTTO_OK;
    *to = (sotto_numbers)choice;
    return status;
}

sotto_status gan_scope_parse(gan_scope *scope, const sotto_node *section, sotto_error *err)
{
    size_t choice = *scope;
    const sotto_node *node = sotto_node_get(section, "scope");
    const sotto_status status =
        node ? sotto_node_choice(node, "model.scope", scopes, &choice, err) : SOTTO_OK;
    *scope = (gan_scope)choice;
    return status;
}

/* Which is to be private, and of how many discriminators. */
static sotto_status parse_scope(gan_options *options, const sotto_node *section, sotto_error *err)
{
    const sotto_node *parts = sotto_node_get(section, "parts");
    const sotto_status status = gan_scope_parse(&options->scope, section, err);
    if (status != SOTTO_OK)
        return status;
    if (options->scope == GAN_SCOPE_GENERATOR && options->penalty > 0)
        return sotto_node_error(
            sotto_node_get(section, "gradient_penalty"), err,
            "model.gradient_penalty is for the critic of `scope: discriminator`, whose private "
            "step pairs rows with fakes; remove it");
    if (options->scope == GAN_SCOPE_GENERATOR)
        options->latent = 8; /* a vector has as many numbers for each slot */
    else if (parts)
        return sotto_node_error(
            parts, err,
            "model.parts is for `scope: generator`: one discriminator that is trained privately "
            "sees all rows; remove it");
    return parts ? sotto_node_size(parts, "model.parts", 1, 10000, &options->parts, err) : SOTTO_OK;
}

sotto_status gan_options_parse(gan_options *options, const gan_dialect *dialect, const sotto_node *section,
                               const sotto_schema *schema, sotto_error *err)
{
    static const char *const plain[] = {
        "type",      "numbers",       "target", "condition", "loss", "gradient_penalty", "scope", "parts",
        "generator", "discriminator", "heads",  "marginals", NULL};
    static const char *const conditional[] = {
        "type",  "numbers",   "target",           "loss", "generator", "discriminator",
        "heads", "marginals", "condition_weight", NULL};
    *options = dialect->defaults;
    if (!section)
        return SOTTO_OK;
    const sotto_node *child;
    sotto_status status = sotto_model_refuse_coupling(section, err);
    if (status == SOTTO_OK && dialect->conditional)
        status = refuse_condition(section, err);
    if (status == SOTTO_OK)
        status = sotto_node_expect_map(section, "model", dialect->conditional ? conditional : plain, err);
    if (status == SOTTO_OK)
        status = gan_numbers_parse(&options->numbers, section, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "target")))
        status = sotto_model_read_target(child, schema, &options->target, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "condition")))
        status = parse_condition(options, child, schema, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "loss"))) {
        size_t choice = 0;
        status = sotto_node_choice(child, "model.loss", losses, &choice, err);
        options->loss = (sotto_adversarial_loss)(choice + SOTTO_ADVERSARIAL_CROSS_ENTROPY);
    }
    if (status == SOTTO_OK && (child = sotto_node_get(section, "gradient_penalty")))
        status = parse_penalty(options, child, err);
    if (status == SOTTO_OK && !dialect->conditional)
        status = parse_scope(options, section, err);
    if (status == SOTTO_OK)
        status = parse_networks(options, dialect, section, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "heads")))
        status = parse_heads(options, child, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "marginals")))
        status = parse_marginals(options, dialect->conditional, child, err);
    if (status == SOTTO_OK && (child = sotto_node_get(section, "condition_weight")))
        status = sotto_node_double(child, "model.condition_weight", 0, 1000, &options->condition_weight, err);
    return status;
}

static void format_trunk(const gan_trunk *trunk, const char *name, bool residual, size_t latent, FILE *file)
{
    (void)fprintf(file, "  %s:\n    hidden: ", name);
    sotto_model_format_hidden(&trunk->hidden, file);
    (void)fprintf(file, "\n    activation: %s\n    layer_norm: %s\n", activations[trunk->activation],
                  trunk->layer_norm ? "true" : "false");
    if (residual)
        (void)fprintf(file, "    residual: %s\n", trunk->residual ? "true" : "false");
    if (latent)
        (void)fprintf(file, "    latent: %zu\n", latent);
}

void gan_options_format(const gan_options *options, const gan_dialect *dialect, const sotto_schema *schema,
                        FILE *file)
{
    (void)fprintf(file, "  type: %s\n  numbers: %s\n", dialect->type, numbers[options->numbers]);
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
    if (options->penalty > 0)
        (void)fprintf(file, "  gradient_penalty: %.17g\n", options->penalty);
    if (options->scope == GAN_SCOPE_GENERATOR)
        (void)fprintf(file, "  scope: generator\n  parts: %zu\n", options->parts);
    format_trunk(&options->generator, "generator", !dialect->conditional, options->latent, file);
    format_trunk(&options->discriminator, "discriminator", true, 0, file);
    (void)fprintf(file, "  heads: {type: %s, temperature: %.17g}\n", heads[options->heads],
                  options->temperature);
    if (dialect->conditional)
        (void)fprintf(file, "  marginals: {share: %.17g, weight: %.17g}\n  condition_weight: %.17g\n",
                      options->share, options->weight, options->condition_weight);
    else
        (void)fprintf(file, "  marginals: {tables: %s, share: %.17g, weight: %.17g}\n",
                      tables[options->tables], options->share, options->weight);
}
