/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scout.h - while a node belongs to no cluster: name servers are asked again and again, on a thread of the loop's pool,
 * and the node is told what they say. Once it belongs to one nobody is asked any more, in this life and all later ones.
 */
#ifndef CORE_HOST_SCOUT_H
#define CORE_HOST_SCOUT_H

#include "core/host/config.h"

#include <uv.h>

struct host_process;

/* One round of questions; the thread alone has it while it asks, and the loop between two rounds. */
struct host_scout_round {
    uv_work_t work;
    struct host_process *process; /* NULL: the process is ending, and nobody wants the answer */
    struct host_source source[HOST_SOURCES_MAX];
    unsigned count;
    char scheme[32];
    const char *server; /* NULL: the machine's */
    struct host_found found;
    struct gavel_error error[HOST_SOURCES_MAX];
    int32_t status[HOST_SOURCES_MAX];
};

/* Lies in the process, so that its timer is one of the process's own. */
struct host_scout {
    uv_timer_t timer;
    struct host_scout_round *round; /* NULL: nothing is to be asked */
    bool asking;
    bool failed[HOST_SOURCES_MAX]; /* and it was said */
    uint64_t wait_ms;
};

/* [loop] The timer only. */
int host_scout_open(struct host_process *process);
/* [loop] The node was started: ask, if it is in no cluster and the file names somebody to ask. */
void host_scout_start(struct host_process *process);
/* [loop] Ask nobody any more. True: a thread waits for a name server still; its round is left to it. */
bool host_scout_stop(struct host_process *process);

#endif
