/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - no clients yet ask anything; see load.h. */
#include "load.h"

#include <stdlib.h>

struct sim_load {
    struct sim *sim;
};

struct sim_load *sim_load_new(struct sim *sim)
{
    struct sim_load *load = calloc(1, sizeof *load);

    load->sim = sim;
    return load;
}

struct sim_load *sim_load_free(struct sim_load *load)
{
    free(load);
    return NULL;
}

void sim_load_finish(struct sim_load *load)
{
    (void)load;
}

bool sim_load_finished(const struct sim_load *load)
{
    (void)load;
    return true;
}

void sim_load_check(struct sim_load *load)
{
    (void)load;
}
