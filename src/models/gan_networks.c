/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The two networks, as the options describe them. */
#include "models/gan.h"

sotto_layer gan_activation_layer(gan_activation activation)
{
    switch (activation) {
    case GAN_RELU:
        return sotto_layer_relu();
    case GAN_SILU:
        return sotto_layer_silu();
    case GAN_TANH:
        return sotto_layer_tanh();
    case GAN_LEAKY_RELU:
        break;
    }
    return sotto_layer_leaky_relu(0.2f);
}

size_t gan_add_trunk(const gan_trunk *trunk, sotto_layer *layers, size_t count)
{
    size_t previous = 0;
    for (size_t i = 0; i < trunk->hidden.count; i++) {
        const size_t from = count - 1;
        layers[count++] = sotto_layer_dense(trunk->hidden.width[i]);
        if (trunk->layer_norm)
            layers[count++] = sotto_layer_norm();
        layers[count++] = gan_activation_layer(trunk->activation);
        if (trunk->residual && trunk->hidden.width[i] == previous)
            layers[count++] = sotto_layer_residual(from);
        previous = trunk->hidden.width[i];
    }
    return count;
}

enum { MOST_LAYERS = 4 * SOTTO_MODEL_HIDDEN + 2 };

sotto_status gan_generator(gan *model, sotto_error *err)
{
    sotto_layer layers[MOST_LAYERS];
    const gan_options *options = &model->options;
    const size_t labels = model->classes > 1 ? model->classes : 0;
    size_t count = gan_add_trunk(&options->generator, layers, 0);
    layers[count++] = sotto_layer_by_class();
    layers[count++] = sotto_layer_dense(model->width);
    model->last =
        options->generator.hidden.width[options->generator.hidden.count - 1] * model->classes + labels;
    return sotto_network_create(&model->generator, options->latent + model->told, model->classes, layers,
                                count, err);
}

sotto_status gan_discriminator(gan *model, sotto_error *err)
{
    sotto_layer layers[MOST_LAYERS] = {sotto_layer_by_class()};
    size_t count = gan_add_trunk(&model->options.discriminator, layers, 1);
    layers[count++] = sotto_layer_dense_zero(1);
    return sotto_network_create(&model->discriminator, model->width + model->named.width, model->classes,
                                layers, count, err);
}
