/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - one instance of a transport on the host's loop, as far as that is the same for all of them: its place in
 * a turn of the loop, its sweeps for silence, its beginning and its end. It is embedded in the transport's own struct.
 *
 * In a turn of the loop: reads give messages up; then `check` gives `quiet` up; then `prepare`, the last thing before
 * the loop blocks, looks at every connection that was marked during the turn.
 */
#ifndef TRANSPORTS_INSTANCE_H
#define TRANSPORTS_INSTANCE_H

#include "transports/upcalls.h"

#include <gavel/host.h>

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

/* In a connection: while it is marked, the end of the turn looks at it. All zero: not marked. */
struct instance_mark {
    TAILQ_ENTRY(instance_mark) link;
    bool set;
};

/* What a transport does for its instance; `transport` is what instance_init was given. */
struct instance_operations {
    const char *module; /* of its log lines: "transport.tcp" */
    /* The turn ends, and this connection was marked during it. */
    void (*look)(void *transport, struct instance_mark *mark);
    /* All marked ones were looked at. NULL: nothing to do. */
    void (*turned)(void *transport);
    /* Look at all connections for silence, and at listeners that are stuck. False: there is no connection. */
    bool (*sweep)(void *transport);
    /* Whether there is neither a connection nor a listener (not even one that is closing). */
    bool (*empty)(void *transport);
    /* Stop listening, and close all connections: the instance is to end. */
    void (*close_all)(void *transport);
    /* Let go of whatever else is on the loop, asked once a turn until it answers true. NULL: there is nothing. */
    bool (*release)(void *transport);
};

struct instance {
    const struct instance_operations *operations;
    void *transport;
    const struct gavel_host *host;
    uv_loop_t *loop;
    uint64_t backlog; /* of listen(2) */
    struct upcalls up;
    bool prepared;
    bool started;
    bool arrived; /* messages were given since the last quiet: for the transport to set */
    bool quiescing;
    bool quiesced;
    uint64_t sweeps;    /* that make a keepalive time */
    uint64_t accepted;  /* connections accepted and not yet closed: for the transport to count */
    uint64_t listening; /* listener handles not yet closed: for the transport to count */
    /* instance.c's own */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while something is marked, so that the loop does not block over it */
    uv_timer_t sweeper;
    TAILQ_HEAD(instance_marks, instance_mark) marks;
    uint64_t mark_count;
    uint64_t own_handles; /* not yet closed, while it quiesces */
    uint64_t noted_ms;    /* loop time of the last line about a stranger */
    uint64_t unnoted;     /* strangers since that line */
    uint64_t refused_metric;
    void (*done)(void *context);
    void *done_context;
};

/* The option that both transports have. */
#define INSTANCE_OPTION_BACKLOG(record, member) \
    {.name = "backlog", .id = 1, .type = GAVEL_UINT, .offset = offsetof(record, member), .fallback = "511", .min = 1, \
     .max = 65535, .unit = "connections", .help = "how many connections may wait in the system to be accepted"}

/* Everything else of `instance` is zero. `backlog` 0: the default. GAVEL_E_UNSUPPORTED when the host has no loop. */
int32_t instance_init(struct instance *instance, const struct instance_operations *operations, void *transport,
                      const struct gavel_host *host, uint64_t backlog, struct gavel_error *error);

/* The transport's `prepare`. */
int32_t instance_prepare(struct instance *instance, const struct gavel_transport_events *events,
                         const struct gavel_transport_limits *limits, struct gavel_error *error);

/* The plugin's `start`: from now on the instance is part of the loop. */
void instance_start(struct instance *instance);

/* GAVEL_E_STATE with a sentence unless connections and listeners may be made now. */
int32_t instance_running(const struct instance *instance, struct gavel_error *error);

/* The plugin's `quiesce`: close_all, then release, then `done`. */
void instance_quiesce(struct instance *instance, void (*done)(void *context), void *context);

/* To be called whenever a handle or a connection of an instance that may be quiescing is gone. */
void instance_quiesce_step(struct instance *instance);

/* Have the end of this turn look at the connection; no more. Both are harmless a second time. */
void instance_mark(struct instance *instance, struct instance_mark *mark);
void instance_unmark(struct instance *instance, struct instance_mark *mark);

/* Sweep from now on, until `sweep` finds no connection. */
void instance_sweep(struct instance *instance);

/* One line a second about strangers at most: whoever scans ports must not fill the log. */
void instance_note_stranger(struct instance *instance, const char *peer, const char *what);

/* One connection was refused because too many are open. */
void instance_count_refused(struct instance *instance);

#endif
