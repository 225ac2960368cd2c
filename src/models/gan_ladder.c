/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * How many private steps the discriminator takes for each step of the generator. Under noise a discriminator
 * falls behind its generator, and the more so the better the generator gets: Bie, Kamath and Zhang 2023 (§5)
 * give it more steps whenever it finds out too few fakes. Only fakes are looked at, so all of it is
 * post-processing (P6): the accuracy on real rows would cost privacy.
 */
#include <math.h>

#include "models/gan.h"

static const uint64_t most_steps = 100000; /* as of `discriminator_steps` itself */
static const double enough = 0.65;         /* share of fakes found out; the paper's are 0.6 to 0.7 */

/* The paper waits for 200 of the generator's steps in runs of 100,000s of private ones, and averages over
 * about 100. A run too short for that waits for a twentieth of its steps, and averages over half of that. */
gan_ladder gan_ladder_make(uint64_t discriminator_steps, uint64_t planned)
{
    uint64_t wait = planned / 20;
    wait = wait < 10 ? 10 : wait > 200 ? 200 : wait;
    return (gan_ladder){.climbs = discriminator_steps == 0,
                        .steps = discriminator_steps ? discriminator_steps : 1,
                        .wait = wait,
                        .decay = 1.0 - 2.0 / (double)wait};
}

bool gan_ladder_turn(gan_ladder *ladder)
{
    if (++ladder->taken < ladder->steps)
        return false;
    ladder->taken = 0;
    return true;
}

/* 1, 2, 5, 10, 20, 50, … */
static uint64_t next_rung(uint64_t steps)
{
    uint64_t digit = steps;
    while (digit >= 10)
        digit /= 10;
    return digit == 2 ? steps / 2 * 5 : steps * 2;
}

void gan_ladder_tell(gan_ladder *ladder, double found_out)
{
    const double decay = ladder->told ? ladder->decay : 0.0;
    ladder->told = true;
    ladder->accuracy = decay * ladder->accuracy + (1.0 - decay) * found_out;
    ladder->since++;
    if (!ladder->climbs || ladder->since < ladder->wait || ladder->accuracy > enough ||
        ladder->steps >= most_steps)
        return;
    ladder->steps = next_rung(ladder->steps);
    ladder->since = 0;
}
