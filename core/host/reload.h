/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - the INI file is read again while the node runs (SIGHUP, or `gavel reload`). A table of moves:
 *
 *     IDLE -> CHECKING -> STARTING -> PUBLISHING -> SWAPPING -> DRAINING -> IDLE
 *                |            |            |
 *                v            +--> UNDOING <+
 *              (IDLE)                 +--> IDLE
 *
 *   CHECKING    a clone of the configuration is read and checked whole; nothing of what runs is touched
 *   STARTING    what is new is created and started beside the old; reloadable options are handed over
 *   PUBLISHING  the new addresses go through the log
 *   SWAPPING    from one moment to the next the new serves, and the clone is in force; nothing here can fail
 *   DRAINING    who uses the old is told to move, and it ends when nobody is left, or drain_timeout is over
 *   UNDOING     any failure up to PUBLISHING: the new goes again, and the old has served all the time
 *
 * Invariant: up to SWAPPING every old part is SERVING and the old configuration is in force; after it every new one is,
 * and the new one.
 *
 * One reload at a time: another one is refused while one runs, but a signal that came meanwhile is remembered and taken
 * up when it is over.
 */
#ifndef CORE_HOST_RELOAD_H
#define CORE_HOST_RELOAD_H

#include "core/host/process.h"

enum host_reload_step {
    HOST_RELOAD_IDLE,
    HOST_RELOAD_CHECKING,
    HOST_RELOAD_STARTING,
    HOST_RELOAD_PUBLISHING,
    HOST_RELOAD_SWAPPING,
    HOST_RELOAD_DRAINING,
    HOST_RELOAD_UNDOING,
    HOST_RELOAD_STEPS
};

enum host_change_what { HOST_KEEP, HOST_TUNE, HOST_REPLACE, HOST_ADD, HOST_REMOVE };

/* What becomes of one instance. */
struct host_change {
    enum host_change_what what;
    struct host_part *old;   /* NULL: ADD */
    struct host_part *fresh; /* REPLACE and ADD, once it is started */
    unsigned index;          /* in the new configuration; REMOVE: none */
    bool tuned;
};

struct host_reload {
    uint32_t magic;
    enum host_reload_step step;
    struct host_process *process;
    struct host_setup *next; /* from CHECKING to SWAPPING, and while it is undone */
    struct host_change change[HOST_PARTS_MAX];
    unsigned change_count;
    struct host_faults changes; /* sentences for the caller */
    struct host_faults faults;
    struct node_caller caller;
    bool by_signal;
    bool again; /* a signal came meanwhile */
    uv_timer_t timer;
    uint64_t give_up_ms; /* loop time */
    bool published;      /* the answer has come: */
    int32_t publish_status;
    char publish_why[256];
};

/* [loop] Whether one step may follow another: the table above. For tests. */
bool host_reload_may(enum host_reload_step from, enum host_reload_step to);

/* [loop] NULL when memory is out: then a reload is refused. */
struct host_reload *host_reload_new(struct host_process *process);

/* [loop] The process begins to stop: whoever waits for the outcome is told that there is none. NULL is fine. */
void host_reload_stopping(struct host_reload *reload);

/* [loop] The parts are the process's to end. Returns NULL; NULL is fine. */
struct host_reload *host_reload_free(struct host_reload *reload);

/* [loop] Begin; the caller is answered once, at once or later. */
void host_reload_begin(struct host_process *process, struct node_caller caller, bool by_signal);

/* ---- between the files of the reload --------------------------------------------------------------------------- */

/*
 * [loop] Compare what runs with reload->next: fill the changes, or find faults. reload_check.c.
 */
void host_reload_compare(struct host_reload *reload);

/* [loop] Whether a transport comes, goes or is reached at other addresses. */
bool host_reload_moves(const struct host_reload *reload);

/*
 * [loop] What is new is started, nothing is tuned yet: the addresses that this node has once the changes are in force.
 * They are its member's, without those of transports that go, with those of transports that come. How many; 0 with a
 * fault. `texts` are kept in the arena of reload->next. reload_address.c.
 */
uint32_t host_reload_addresses(struct host_reload *reload, const char *texts[NODE_ADDRESSES_MAX]);

/* [any] Whether two values of a row of a table are the same, as their text is. */
bool host_reload_same(const struct gavel_fields *table, uint64_t row, const void *a, const void *b);

#endif
