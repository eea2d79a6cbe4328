/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - a gaveld that runs: the loop, the services, the instances and the node, and the order in which they come
 * and go.
 */
#ifndef CORE_HOST_PROCESS_H
#define CORE_HOST_PROCESS_H

#include "core/host/part.h"
#include "core/host/meter.h"
#include "core/host/notify.h"
#include "core/host/scout.h"
#include "core/host/watch.h"

#include <limits.h>

#define HOST_ADMIN_SOCKET "admin.sock" /* in the data directory */
#define HOST_PARTS_MAX (2 * HOST_INSTANCES_MAX) /* new ones beside those that they replace */

struct host_reload;

struct host_process {
    uint32_t magic;
    struct host_setup *setup;       /* in force */
    struct host_setup *first;       /* that it was started with; it lives as long as the process */
    const char *name;               /* of the node */
    const char *version;            /* of the program */
    char data_dir[PATH_MAX];        /* in full */
    bool made_data_dir;             /* by this run: removed again when nothing came of it */
    uv_loop_t loop;
    uv_timer_t deadline;            /* the node's next one */
    unsigned probed;                /* times */
    bool in_deadline;               /* its call-back runs */
    uv_timer_t guard;               /* a stop that takes too long */
    uv_timer_t patience;            /* with instances that quiesce */
    uv_timer_t probe;               /* the next look at what others may ask for */
    struct host_meter *meter;       /* NULL before the node runs */
    struct host_watch *watch;       /* NULL before the node runs */
    uv_signal_t signal[3];          /* TERM, INT, HUP */
    struct host_services *services;
    struct host_face node_face;
    struct host_part *part[HOST_PARTS_MAX];
    unsigned part_count;
    struct host_reload *reload;
    struct host_scout scout;        /* while it is in no cluster */
    const char *seed[HOST_FOUND_MAX];
    const char *advertised[NODE_ADDRESSES_MAX];
    char private_dir[PATH_MAX + 8]; /* of plugins that a reload loads */
    struct host_plugin admin_plugin; /* a copy of its own, for the INI file may name a tcp module */
    struct host_instance admin;     /* the tcp transport on the admin socket */
    char admin_uri[PATH_MAX + 32];
    const char *admin_listen[1];
    struct node *node;
    bool admin_quiet;
    bool stopping;                  /* TERM was seen, or an administrator asked */
    bool running;                   /* the node was started */
    int exit_code;
    struct host_notify notify;      /* the service manager */
    uv_prepare_t look;              /* at the node, for it */
    uint64_t looked_ms;

    /* What the node is made from. */
    struct node_member member[NODE_MEMBERS_MAX];
    struct node_capability capability[CAPABILITY_PAIRS_MAX];
    struct node_transport transport[NODE_TRANSPORTS_MAX];
    uint32_t transport_count;
    struct node_serializer serializer[NODE_SERIALIZERS_MAX];
    uint32_t serializer_count;
    struct node_machine machine[NODE_MACHINES_MAX];
    uint32_t machine_count;
};

/*
 * [loop] Run a node until it is told to stop. Returns the exit code of the process. What goes wrong is told on stderr.
 * `setup` has been read without faults; `version` is the program's.
 */
int host_process_run(struct host_setup *setup, const char *version);

/* ---- between the files of the process ---------------------------------------------------------------------------- */

/* [loop] Gather started instances into the node's arrays and make the node. Tells on stderr; 0 or an exit code. */
int host_process_make_node(struct host_process *process);

/* [loop] Say what the probes of observers (host_probes) are told; `begin`: from now on again and again. */
void host_process_probe(struct host_process *process, bool begin);

/* [loop] One of a setup's users is gone; the setup too, if it was the last. */
void host_process_let_go(struct host_process *process, struct host_setup *setup);

/* [loop] The limits of a node by a configuration. */
struct node_limits host_process_limits(const struct host_config *config);

/* [loop] What a configuration says that the node can do, borrowed from it; how many. */
uint32_t host_process_capabilities(const struct host_config *config,
                                   struct node_capability capabilities[CAPABILITY_PAIRS_MAX]);

/* [loop] Open log files again: every observer is given its options once more. */
void host_process_reopen(struct host_process *process);

/* [loop] Begin a clean stop; a second call does nothing. */
void host_process_stop(struct host_process *process);

/* ---- supervise.c: the service manager ---------------------------------------------------------------------------- */

/* [loop] Begin to tell it, if there is one; the process's handles are on the loop from here on. */
void host_supervise_open(struct host_process *process);

/* [loop] The log is about to be read, which may take a while in which the loop does not turn. */
void host_supervise_reading(struct host_process *process);

/* [loop] The process is going to leave, for the reason in `line`, within so many milliseconds. */
void host_supervise_stopping(struct host_process *process, uint64_t ms, const char *line);

/* [loop] Close the handles; the loop runs once more afterwards. */
void host_supervise_close(struct host_process *process);

#endif
