/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/vae.h"

static const char *const numbers[] = {"binned", "bounded", NULL};

static const vae_options defaults = {
    .numbers = SOTTO_NUMBERS_BINNED,
    .target = SOTTO_NONE,
    .latent = 8,
    .encoder = {.width = {128}, .count = 1},
    .decoder = {.width = {128}, .count = 1},
    .beta = 1.0,
    .deviation = 0.1,
    .share = 0.03,
};

static sotto_status parse_numbers(const sotto_node *section, vae_options *options, sotto_error *err)
{
    size_t choice = options->numbers;
    const sotto_node *node = sotto_node_get(section, "numbers");
    sotto_status status = node ? sotto_node_choice(node, "model.numbers", numbers, &choice, err) : SOTTO_OK;
    options->numbers = (sotto_numbers)choice;
    return status;
}

static sotto_status parse_labels(const sotto_node *section, vae_options *options, sotto_error *err)
{
    static const char *const known[] = {"share", NULL};
    const sotto_node *labels = sotto_node_get(section, "labels");
    if (!labels)
        return SOTTO_OK;
    sotto_status status = sotto_node_expect_map(labels, "model.labels", known, err);
    if (status == SOTTO_OK && options->target == SOTTO_NONE)
        return sotto_node_error(labels, err,
                                "model.labels is for the label counts of a target, and there is no "
                                "model.target; name one, or remove model.labels");
    const sotto_node *share = sotto_node_get(labels, "share");
    return status == SOTTO_OK && share
               ? sotto_node_double(share, "model.labels.share", 0.001, 0.99, &options->share, err)
               : status;
}

static sotto_status parse_networks(const sotto_node *section, vae_options *options, sotto_error *err)
{
    const sotto_node *encoder = sotto_node_get(section, "encoder");
    const sotto_node *decoder = sotto_node_get(section, "decoder");
    const sotto_node *latent = sotto_node_get(section, "latent");
    sotto_status status = sotto_model_refuse_coupling(encoder, err);
    if (status == SOTTO_OK)
        status = sotto_model_refuse_coupling(decoder, err);
    if (status == SOTTO_OK && encoder)
        status = sotto_model_read_hidden(encoder, "model.encoder", &options->encoder, err);
    if (status == SOTTO_OK && decoder)
        status = sotto_model_read_hidden(decoder, "model.decoder", &options->decoder, err);
    if (status == SOTTO_OK && latent)
        status = sotto_node_size(latent, "model.latent", 1, 1024, &options->latent, err);
    return status;
}

static sotto_status parse_weights(const sotto_node *section, vae_options *options, sotto_error *err)
{
    const sotto_node *beta = sotto_node_get(section, "beta");
    const sotto_node *deviation = sotto_node_get(section, "deviation");
    sotto_status status =
        beta ? sotto_node_double(beta, "model.beta", 0.0, 1000.0, &options->beta, err) : SOTTO_OK;
    if (status == SOTTO_OK && deviation && options->numbers != SOTTO_NUMBERS_BOUNDED)
        return sotto_node_error(deviation, err,
                                "model.deviation is for `numbers: bounded`, and numbers are %s; remove it",
                                numbers[options->numbers]);
    return status == SOTTO_OK && deviation
               ? sotto_node_double(deviation, "model.deviation", 0.001, 1.0, &options->deviation, err)
               : status;
}

sotto_status vae_options_parse(vae_options *options, const sotto_node *section, const sotto_schema *schema,
                               sotto_error *err)
{
    static const char *const known[] = {"type",    "numbers", "target",    "latent", "encoder",
                                        "decoder", "beta",    "deviation", "labels", NULL};
    *options = defaults;
    sotto_status status = sotto_model_refuse_coupling(section, err);
    if (status == SOTTO_OK)
        status = sotto_node_expect_map(section, "model", known, err);
    if (status == SOTTO_OK)
        status = parse_numbers(section, options, err);
    const sotto_node *target = sotto_node_get(section, "target");
    if (status == SOTTO_OK && target)
        status = sotto_model_read_target(target, schema, &options->target, err);
    if (status == SOTTO_OK)
        status = parse_labels(section, options, err);
    if (status == SOTTO_OK)
        status = parse_networks(section, options, err);
    return status == SOTTO_OK ? parse_weights(section, options, err) : status;
}

void vae_options_format(const vae_options *options, const sotto_schema *schema, FILE *file)
{
    (void)fprintf(file, "  type: vae\n  numbers: %s\n", numbers[options->numbers]);
    if (options->target != SOTTO_NONE) {
        (void)fputs("  target: ", file);
        sotto_model_format_quoted(schema->columns[options->target].name, file);
        (void)fprintf(file, "\n  labels: {share: %.17g}\n", options->share);
    }
    (void)fprintf(file, "  latent: %zu\n  encoder: ", options->latent);
    sotto_model_format_hidden(&options->encoder, file);
    (void)fputs("\n  decoder: ", file);
    sotto_model_format_hidden(&options->decoder, file);
    (void)fprintf(file, "\n  beta: %.17g\n", options->beta);
    if (options->numbers == SOTTO_NUMBERS_BOUNDED)
        (void)fprintf(file, "  deviation: %.17g\n", options->deviation);
}
