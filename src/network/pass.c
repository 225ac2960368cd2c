/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forward and backward through the chain of operations. Each works on each row by itself. */

#include "network/plan.h"

const float *sotto_network_forward(const sotto_weights *weights, sotto_workspace *workspace)
{
    const sotto_network *network = workspace->network;
    for (size_t i = 0; i < network->count; i++)
        network->operations[i].class->forward(&network->operations[i], weights, workspace);
    return workspace->values[network->count];
}

void sotto_network_backward(const sotto_weights *weights, sotto_workspace *workspace,
                            bool want_input_gradient)
{
    /* Values at or below this one lead to no parameter. */
    const sotto_network *network = workspace->network;
    const bool to_input = want_input_gradient || (workspace->tangents && !workspace->tangents->is_short);
    const size_t lowest = to_input ? 0 : network->first_parametric + 1;
    for (size_t i = network->count; i-- > lowest;) {
        const operation *op = &network->operations[i];
        if (workspace->tangents && op->class->bend)
            keep_upstream(op, workspace);
        op->class->backward(op, weights, workspace);
    }
    workspace->penalised = false;
    workspace->lowest = lowest < network->count ? lowest : network->count;
}
