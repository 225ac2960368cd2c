/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A parameter vector with its matrices laid out for the products, each once for every direction. */

#include "network/plan.h"

sotto_status sotto_weights_create(sotto_weights **weights, const sotto_network *network,
                                  const float *parameters, sotto_error *err)
{
    sotto_arena *arena = NULL;
    *weights = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_weights *made = sotto_arena_take(arena, 1, sizeof *made, err);
    float *packed = sotto_arena_take(arena, network->packed, sizeof *packed, err);
    if (!made || !packed) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_weights){.arena = arena, .network = network, .parameters = parameters, .packed = packed};
    sotto_weights_refresh(made);
    *weights = made;
    return SOTTO_OK;
}

void sotto_weights_destroy(sotto_weights *weights)
{
    if (weights)
        sotto_arena_destroy(weights->arena);
}

void sotto_weights_refresh(sotto_weights *weights)
{
    const sotto_network *network = weights->network;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        for (size_t g = 0; g < op->groups; g++) {
            const float *matrix = weights->parameters + op->offset + g * op->left * op->right;
            float *straight = weights->packed + op->packed + g * packed_floats(op);
            float *transposed = straight + sotto_tensor_packed_count(op->left, op->right);
            sotto_tensor_pack(op->left, op->right, matrix, op->right, straight);
            sotto_tensor_pack_transposed(op->right, op->left, matrix, op->right, transposed);
        }
    }
}

const sotto_network *sotto_weights_network(const sotto_weights *weights)
{
    return weights->network;
}
