/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.h - one plugin instance of a process, with what the host itself keeps beside it: its place in the INI file, in
 * the node or among the observers, and its timer. Its life is a table of moves:
 *
 *     MADE --start--> BESIDE --swap--> SERVING --replaced--> LEAVING --idle, or late--> QUIET --> (freed)
 *       |                |                |                                             ^
 *       +--(failed)------+----------------+-------------(undone, or the process ends)---+
 *
 * (An undone transport leaves too: somebody may have found it.)
 *
 * BESIDE: it works already, but nobody was told of it; an undone one goes without having been seen. SERVING and BESIDE
 * ones may change their reloadable options in place.
 */
#ifndef CORE_HOST_PART_H
#define CORE_HOST_PART_H

#include "core/host/instance.h"
#include "core/host/setup.h"
#include "core/node/node.h"

struct host_process;

enum host_part_state {
    HOST_PART_MADE,
    HOST_PART_BESIDE,
    HOST_PART_SERVING,
    HOST_PART_LEAVING,
    HOST_PART_QUIET, /* being quiesced, or quiet */
    HOST_PART_STATES
};

struct host_part {
    uint32_t magic;
    enum host_part_state state;
    struct host_process *process;
    struct host_setup *setup;                  /* in which the options lie that it was created with ... */
    struct host_setup *tuned;                  /* ... and those that it has now; NULL: the same */
    const struct host_instance_config *config; /* of the newest */
    struct host_setup *was_tuned;              /* before the last tune, until that is final or undone: as `tuned` ... */
    const struct host_instance_config *was;    /* ... and as `config` */
    const struct host_plugin *plugin;
    struct host_instance instance;
    struct node_transport transport;   /* of a transport */
    struct node_serializer serializer; /* of a serializer */
    const struct node_transport *listening; /* as the node knows it; NULL: it does not */
    const struct node_serializer *offered;  /* the same */
    bool idle;        /* LEAVING: nobody uses it any more */
    bool stuck;       /* LEAVING, QUIET: it does not come to an end, and stays until the process ends */
    bool quiesced;
    uint64_t mark;    /* LEAVING, an observer: see host_sink_replace */
    uint64_t late_ms; /* LEAVING, QUIET: loop time at which it should have come to an end */
    uv_timer_t timer; /* an observer that wants metrics */
    bool timer_open;
};

/* [loop] Whether a part may go from one state to another: the table above. For tests. */
bool host_part_may(enum host_part_state from, enum host_part_state to);

/* [loop] Make its entry in process->part; nothing is started. NULL when there is no room. */
struct host_part *host_part_new(struct host_process *process, struct host_setup *setup, unsigned instance);

/* [loop] Create and start the instance. On failure it is freed, with the sentence. */
int32_t host_part_start(struct host_part *part, struct gavel_error *error);

/* [loop] An observer becomes one of those that records go to (in place of `old`, if it is not NULL). */
int32_t host_part_observe(struct host_part *part, struct host_part *old, struct gavel_error *error);

void host_part_move(struct host_part *part, enum host_part_state to);

/* [loop] Begin to quiesce, whatever its state; part->quiesced says when it is over. */
void host_part_quiesce(struct host_part *part);

/* [loop] Destroy what is quiet or was never started, and take it out of process->part. */
void host_part_free(struct host_part *part);

/* [loop] Its options become those of `config`, in `setup`; the instance is told. On failure nothing has changed. */
int32_t host_part_tune(struct host_part *part, struct host_setup *setup, const struct host_instance_config *config,
                       struct gavel_error *error);

/* [loop] The last tune is final. */
void host_part_tuned(struct host_part *part);

/* [loop] Back to the options before the last tune, which is not final yet. */
int32_t host_part_untune(struct host_part *part, struct gavel_error *error);

/* [loop] "transport main" */
const char *host_part_text(const struct host_part *part, char *text, size_t size);

#endif
