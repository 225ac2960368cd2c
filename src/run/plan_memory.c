/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Is there memory for the model that a schema asks for? Better said before a day of swapping than after. */
#include <unistd.h>

#include "run/run.h"

/* Parameters, gradients, moments, averages and what chunks work in: measured, 47 bytes for each parameter of
 * an autoencoder and 100 of an adversarial pair, so that what is refused could not have been. */
static const double bytes_of_parameter = 46.0;

/* Of each parameter of a part's own network: itself and two moments. */
static const double bytes_of_part = 12.0;

static const double gibibyte = 1073741824.0;

static double parameters_of(const sotto_plan *plan)
{
    return (double)sotto_model_parameters(plan->model) +
           (double)sotto_network_parameters(sotto_model_private_wanted(plan->model).network);
}

static double parts_of(const sotto_plan *plan)
{
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    return (double)wanted.parts * (double)sotto_network_parameters(wanted.network);
}

/* The column that takes the most slots: where to save. */
static const sotto_block *widest(const sotto_plan *plan)
{
    const sotto_block *most = sotto_encoder_block(plan->encoder, 0);
    for (size_t b = 1; b < sotto_encoder_block_count(plan->encoder); b++) {
        const sotto_block *block = sotto_encoder_block(plan->encoder, b);
        most = block->slot_count > most->slot_count ? block : most;
    }
    return most;
}

sotto_status sotto_plan_check_memory(const sotto_plan *plan, const sotto_config *config, double bytes,
                                     sotto_error *err)
{
    if (!sotto_model_takes_steps(plan->model))
        return SOTTO_OK;
    const double parameters = parameters_of(plan),
                 needed = bytes_of_parameter * parameters + bytes_of_part * parts_of(plan);
    if (needed <= bytes)
        return SOTTO_OK;
    const sotto_block *most = widest(plan);
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, config->path, 0, 0,
        "model.type %s takes at least %.3g GiB of memory here, and this machine has %.3g: its networks have %.3g "
        "parameters, since the schema's columns make a row of %zu numbers, of which \"%s\" alone makes %zu; declare "
        "fewer bins or values, or narrower hidden layers, or take a model without networks",
        sotto_model_type(plan->model), needed / gibibyte, bytes / gibibyte, parameters,
        sotto_encoder_width(plan->encoder), plan->schema->columns[most->column].name, most->slot_count);
}

double sotto_machine_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (double)pages * (double)size : 1e300;
}
