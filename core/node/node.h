/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/node/node.h - one consensus node: raft + log + machines + sessions + peers + clients, wired.
 *
 * A node owns no thread, takes no lock and waits for nothing. It reaches the machine through `struct os`
 * (files, clocks, random bytes, lanes), the network through transport instances, and its host through the few
 * calls in node_setup. So three whole nodes run in one thread of a test, and the same objects run in gaveld
 * and in a simulator.
 *
 * CHANGING THE MEMBERS: an administrator (a connection through a transport with `admin`) sends a request to the machine
 * "gavel" of any member; it is passed on to the leader.
 *
 *   member_list                                       -> {version, in_flight, next_id, members: [...]}
 *   member_add {name, addresses, role, priority}      role "voter" (default) or "learner"
 *   member_remove {name}
 *   member_promote {name}   member_demote {name}      learner to voter when it has caught up; voter to learner
 *   member_replace {name, addresses}                  the old id goes, an empty node of that name joins with a new one
 *   member_update {name, addresses, priority}
 *   member_change {changes: [{op: "add" ..., name ...} ...]}    several at once, in one step
 *
 * `addresses` is a list of strings, or one string with commas. Each command but the first takes `version`: it is
 * refused with GAVEL_E_CONDITION unless member_list's version is that. The reply {version, id} comes when the change is
 * committed and no joint configuration is left; a new voter is "joining" until it has caught up, and whoever leads
 * promotes it then. GAVEL_E_STATE: another change is in flight, or the change is refused for good reason. GAVEL_E_BUSY:
 * again, in a moment.
 *
 * The new node itself: an empty data directory, its name, and `join`. Nothing else tells it to join: it does so when it
 * is dialled as that member. A node that learns of its own removal stops and calls fatal(78): its data directory is of
 * no use any more, and an empty one may come back under the same name when it is added again.
 *
 * Every function here is [loop], and every call-back is made on [loop]. Whoever made the lanes calls their
 * drain on the loop; completions then reach the node by themselves.
 */
#ifndef GAVEL_CORE_NODE_NODE_H
#define GAVEL_CORE_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <gavel/abi.h>
#include <gavel/host.h>
#include <gavel/plugin.h>
#include <gavel/serializer.h>
#include <gavel/statemachine.h>
#include <gavel/transport.h>

#include "core/node/health.h"
#include "core/os/os.h"

#define NODE_MEMBERS_MAX 32   /* as raft's: more would not make a cluster safer */
#define NODE_ADDRESSES_MAX 4  /* addresses of one member */
#define NODE_SEEDS_MAX 64     /* addresses that are dialled to discover others */
#define NODE_JOIN_MAX 16      /* addresses to join by */
#define NODE_TRANSPORTS_MAX 8 /* instances, the admin socket's included */
#define NODE_SERIALIZERS_MAX 4
#define NODE_MACHINES_MAX 16
#define NODE_NAME_MAX 64 /* bytes of a name with its NUL: [A-Za-z0-9._-] */
#define NODE_URI_MAX 256 /* bytes of an address with its NUL */

/* One transport instance, created and started by the host; the node calls prepare and listen. */
struct node_transport {
    const char *name;                         /* of its INI section */
    const struct gavel_transport *operations; /* the host's zero-filled copy */
    void *self;
    const char *const *listen; /* URIs */
    uint32_t listen_count;
    bool admin; /* the socket in the data directory: what comes in here may be an administrator */
};

struct node_serializer {
    const char *name;
    const struct gavel_serializer *operations;
    void *self;
};

/* One state machine instance. Its number in the cluster is its position + 1, in the order of the founder's
 * INI. */
struct node_machine {
    const char *name; /* of its INI section */
    const struct gavel_plugin *plugin;
    const struct gavel_statemachine *operations;
    void *self;
    /* The replicated options that it was created with, as sorted "key=value\n" lines: what it is founded with. */
    const char *settings;
    /*
     * Those of them that the INI file gives, in the same form; NULL: all. A value that is given and is not the
     * cluster's ends the node (78); where none is given, the cluster's is taken.
     */
    const char *given;
    /* "statemachine main (plugin counter 0.1.0)", for sentences that blame it; lives as long as the process. NULL: its
     * name. */
    const char *who;
};

/* A member as the INI lists it; read only when the cluster is founded: later, members are changed by command. */
struct node_member {
    const char *name;
    const char *const *addresses; /* URIs, the preferred first */
    uint32_t address_count;
};

/* One thing that this node says of itself, for who chooses among nodes; bounds are in core/codec/capability.h. */
struct node_capability {
    const char *name;
    const char *value;
};

/*
 * Every limit is a key of the INI; 0 means the default written behind it. Those marked replicated belong to the cluster
 * once it is founded: a 0 then means whatever its value is, and another number that is not the cluster's ends the node.
 */
struct node_limits {
    uint64_t election_min_ms;     /* 150 */
    uint64_t election_max_ms;     /* 300 */
    uint64_t heartbeat_ms;        /* 50 */
    uint64_t disk_stall_ms;       /* 4 x election_max: so long without progress, and the disk counts as hung */
    uint64_t priority_delay_ms;   /* 32 x election_max: a member of higher priority gets the lead after so long */
    uint64_t append_window_bytes; /* 4 MiB in flight to one peer */
    uint64_t batch_bytes;         /* 256 KiB: a batch is sealed at this size at the latest; at most 1 MiB */
    uint64_t batch_entries;       /* 1,024 */
    uint64_t command_bytes;       /* 960 KiB: arguments of one command in log form */
    uint64_t proposals;           /* 16,384 that wait for their commit on this node; one more is BUSY */
    uint64_t reads;               /* 16,384 that wait for their barrier */
    uint64_t clients;             /* 10,000 connections */
    uint64_t client_in_flight;    /* 1,024 requests of one connection without a reply; reading pauses there */
    uint64_t request_ms;          /* 5,000: a request that states no time of its own */
    uint64_t peer_reply_ms;       /* 2,000: a request to a peer without a reply for so long is given up */
    uint64_t redial_min_ms;       /* 50 */
    uint64_t redial_max_ms;       /* 2,000 */
    uint64_t sessions;            /* 10,000, replicated */
    uint64_t session_window;      /* 1,024 sequence numbers above `acked`, replicated */
    uint64_t session_bytes;       /* 256 KiB of kept replies of one session, replicated */
    uint64_t session_ttl_ms;      /* 600,000 of cluster time, replicated */
    uint64_t streams;             /* 10,000 open ones on this node */
    uint64_t event_ring_bytes;    /* 16 MiB of events kept for streams */
    uint64_t snapshot_entries;    /* 1,000 applied since the last snapshot, and ... */
    uint64_t snapshot_log_min;    /* ... 64 MiB of log since then */
    uint64_t snapshot_keep;       /* 5 */
    uint64_t transfer_rate;       /* bytes a second of snapshots sent to peers, all together; 0: as fast as it goes */
    uint64_t transfer_wait_ms;    /* 60,000 that a peer may get no further with a snapshot before it is let go */
    uint64_t log_segment_bytes;   /* 64 MiB, or what the log's own default is when 0 */
    uint64_t log_trailing_bytes;  /* 32 MiB of log kept behind a snapshot for slow peers */
    uint64_t log_cache_bytes;     /* 8 MiB of recent log in memory */
    uint64_t trace_arguments;     /* 0; 1: arguments of commands that are keys become attributes of spans */
    uint64_t stop_ms;             /* 3,000: a clean stop hands over and drains for at most so long */
    struct health_limits health;
};

/* Whoever waits for an answer that its host gives; all zero: nobody. */
struct node_caller {
    uint64_t conn;
    uint64_t id;
};

/* What the node asks of its host. `context` is the first argument of each. */
struct node_callbacks {
    void *context;
    /* Call node_deadline() at this moment of os_mono_ns, or soon after; UINT64_MAX: not at all. Replaces the
     * last one. */
    void (*deadline)(void *context, uint64_t mono_ns);
    /*
     * The node is dead and has said why: leave the process with this code (65, 70, 74, 77, 78) without
     * touching anything else. Called once; the node does nothing more afterwards, not even answer.
     */
    void (*fatal)(void *context, int exit_code, const char *sentence);
    /* node_stop has finished: node_free may follow (not from within this call). */
    void (*stopped)(void *context);
    /* Whether a log event of that level and module would go anywhere; NULL: always. Makes silence cheap. */
    bool (*log_wanted)(void *context, uint64_t level, const char *module);
    /* Write the registry's present values as one map; NULL: `metrics` is refused. */
    void (*metrics)(void *context, struct gavel_writer *out);
    /* Change a log level at run time (admin); NULL: refused. */
    int32_t (*log_level)(void *context, struct gavel_slice module, struct gavel_slice level,
                         struct gavel_error *error);
    /* Write the levels in force as one list (admin); NULL: refused. */
    void (*log_levels)(void *context, struct gavel_writer *out);
    /* An administrator asked for a reload, as SIGHUP would; the host replies by node_answer. NULL: refused. */
    void (*reload)(void *context, struct node_caller caller);
    /* An administrator asked this node to stop, as SIGTERM would; NULL: refused. */
    void (*stop)(void *context);
};

/* Everything a node is made from. Borrowed, with all that it points to, until node_free. */
struct node_setup {
    const struct os *os;
    const struct gavel_host
        *host; /* the node's own: log, metric, record and spans are used; may miss any of them */
    const char *name;
    const char *version; /* of the program, for status pages */
    const char *data_dir;
    const struct node_member *members;
    uint32_t member_count;
    /*
     * Addresses of members of a formed cluster: an empty node with these founds nothing. It asks there whether it has
     * been added, and waits until it is. Not looked at once the data directory belongs to a cluster.
     */
    const char *const *join;
    uint32_t join_count;
    /*
     * This node discovers others, instead of being told of members: its seeds are addresses of whoever there may be, at
     * first these, later what node_seeds says. With `expect` it founds a cluster with others of the kind, when that
     * many empty nodes see each other (seed.h); without, an empty node waits to be added, as with `join`. `addresses`
     * are where it is reached itself. None of it is looked at once the data directory belongs to a cluster.
     */
    bool discovers;
    uint32_t expect;
    const char *const *seeds;
    uint32_t seed_count;
    const char *const *addresses;
    uint32_t address_count;
    const struct node_capability *capabilities;
    uint32_t capability_count;
    const struct node_transport *transports;
    uint32_t transport_count;
    const struct node_serializer *serializers; /* the preferred first; MessagePack is always known */
    uint32_t serializer_count;
    const struct node_machine *machines;
    uint32_t machine_count;
    struct node_limits limits;
    struct node_callbacks callbacks;
    bool looks_at_all; /* for tests: look at everything, whatever changed; it costs time, nothing else (settle.h) */
};

struct node;

/*
 * Make a node: listen first, so that a port in use is told before anything is touched; then lock and recover
 * the data directory. *exit_code (with every failure) is what the process should leave with. On failure
 * nothing is left behind but listeners, which the host ends with their instances.
 */
int32_t node_new(const struct node_setup *setup, struct node **node, int *exit_code,
                 struct gavel_error *error);

/* Begin: found or join the others, answer connections. Restoring snapshot and log takes place from here on.
 */
void node_start(struct node *node);

/*
 * These are the seeds now, as a name server says for instance: new ones are dialled, those that are gone and do not
 * answer are not dialled any more. Nothing happens unless the node discovers and is in no cluster yet. At most
 * NODE_SEEDS_MAX count. Copied.
 */
void node_seeds(struct node *node, const char *const *addresses, uint32_t count);

/* Whether it belongs to a cluster: then there is nothing to discover any more. */
bool node_formed(const struct node *node);

/* The moment asked for by callbacks.deadline has come (earlier is fine too). */
void node_deadline(struct node *node);

/* Stop cleanly: hand leadership over, answer what can be answered, end connections, sync; then
 * callbacks.stopped. */
void node_stop(struct node *node);

/* The process is as good as dead: do and say nothing more. For tests and simulators, which drop the lanes
 * too. */
void node_abandon(struct node *node);

/* Free; only after `stopped`, `fatal` or node_abandon, and when no job of it can run any more. NULL is fine.
 */
void node_free(struct node *node);

/* ---- transports and serializers that come and go while it runs -------------------------------------------
 *
 * What is handed over here stays borrowed until it was retired and `done` was called. That call may come from within an
 * up-call of a transport: whoever gets it ends nothing before the loop's next turn.
 */

/* Whether this is a time for it: GAVEL_E_STATE with the reason while the node founds, joins, recovers or stops. */
int32_t node_steady(const struct node *node, struct gavel_error *error);

/* Whether it waits to be founded or added: what is for itself alone may change then, such as its limits. */
bool node_waits(const struct node *node);

/*
 * Prepare a transport and listen. A URI on which `replaces` (NULL: none) listens already goes over: that one stops
 * listening first, and listens again if this one cannot. GAVEL_E_TOO_LARGE: no place for it; or why it cannot listen.
 */
int32_t node_add_transport(struct node *node, const struct node_transport *transport,
                           const struct node_transport *replaces, struct gavel_error *error);

/*
 * It stops listening. Who is connected through it is told that it goes away, goes on being served, and is cut off
 * after `drain_ms`. done(context): no connection uses it any more.
 */
void node_retire_transport(struct node *node, const struct node_transport *transport, uint64_t drain_ms,
                           void (*done)(void *context), void *context);

/*
 * One that was added goes at once, with its connections: nobody was told of it yet. `replaces` as when it was added: it
 * listens again where it had to give way.
 */
void node_drop_transport(struct node *node, const struct node_transport *transport,
                         const struct node_transport *replaces, void (*done)(void *context), void *context);

/* Offer these serializers from now on, the preferred first; connections are negotiated anew within `drain_ms`. */
void node_offer(struct node *node, const struct node_serializer *const *serializers, uint32_t count, uint64_t drain_ms);

/* One that is not offered any more: done(context) when no connection uses it. */
void node_retire_serializer(struct node *node, const struct node_serializer *serializer, void (*done)(void *context),
                            void *context);

/* The URI that a transport listens on under `listener`; "" when there is none. */
const char *node_transport_bound(const struct node *node, const struct node_transport *transport, uint32_t listener);

/* Its own addresses by the newest committed configuration; how many. */
uint32_t node_addresses(const struct node *node, const char *addresses[NODE_ADDRESSES_MAX]);

/*
 * Have these addresses in the configuration. The node asks the leader, again and again, until that is committed or
 * cannot be: then done (may be NULL) is called with a status and a sentence. A later call takes the place of this one,
 * whose `done` is not called any more.
 */
void node_publish(struct node *node, const char *const *addresses, uint32_t count,
                  void (*done)(void *context, int32_t status, const char *why), void *context);

/*
 * From now on this node declares these capabilities, in place of those of its setup: it asks the leader for an entry
 * until they are replicated. GAVEL_E_INVALID, GAVEL_E_TOO_LARGE with the reason: nothing changed. Copied.
 */
int32_t node_declare(struct node *node, const struct node_capability *pairs, uint32_t count, struct gavel_error *error);

/* Why the last attempt to publish has not done it; "" when there was none. */
const char *node_publish_said(const struct node *node);

/*
 * Whether with these transports alone every other member could be dialled, and could dial back: GAVEL_E_STATE names one
 * that could not.
 */
int32_t node_would_reach(const struct node *node, const struct node_transport *const *transports, uint32_t count,
                         struct gavel_error *error);

/* Take over the limits that may change at run time: see [raft], [snapshot] and [client] of gavel.ini(5). */
void node_change_limits(struct node *node, const struct node_limits *limits);

/* Answer an administrator: a status with its sentence, or `result`, one document. */
void node_answer(struct node *node, struct node_caller caller, int32_t status, const char *text,
                 struct gavel_slice result);

/* Write the status of design 5 as one map. The names in it are those of gavel-protocol(7). */
void node_status(struct node *node, struct gavel_writer *out);

#define NODE_REASON_MAX 232 /* bytes of a reason with its NUL */

/* What fits on one line of a service manager. The texts are borrowed until the node does something. */
struct node_view {
    const char *role;   /* as in the status document */
    const char *leader; /* its name; "" while none is known */
    uint64_t term;
    bool started;   /* NODE_PROBE_STARTED; what it waits for then, if anything, is others */
    bool ready;     /* NODE_PROBE_READY */
    char reason[NODE_REASON_MAX]; /* of the first row that keeps it from being ready; "" when it is */
};

void node_view(const struct node *node, struct node_view *view);

/*
 * Whether this node is well, one thing after the other: one table (probe_rows in probe.c), which is all that anybody
 * who asks from outside is answered from.
 *
 *   row        decides  alarm       fails while
 *   restored   S R      restoring   snapshot and log are read back
 *   member     R        no_member   it is in no cluster: it waits to be founded or added, or was removed
 *   running    R                    it is stopping
 *   leader     R        no_leader   it knows no leader; the alarm: for longer than a check of health may take
 *   applied    R                    it is behind what it knows to be committed: at all until it has applied
 *                                   once what that was when it began to, then by more than 2,048 entries
 *   recovered  R        recovering  damaged entries of its log are fetched again
 *   state      R        fenced      its state differs from the majority's
 *   disk                no_space    its disk is full: writes are refused, but reads go on, and where all disks are full
 *                                   a supervisor that took every node out of service would end those too
 *
 * S, started: sd_notify's READY=1, for nobody may wait for others there. R, ready: status, gavel health --ready, the
 * STATUS of sd_notify, /readyz. The alarm: what it says of itself in answers to checks, hence gavel health.
 */
#define NODE_PROBE_STARTED 1u
#define NODE_PROBE_READY 2u
#define NODE_PROBES_MAX 8

struct node_probe {
    const char *name;
    uint32_t decides; /* a sum of NODE_PROBE_... */
    bool ok;
    char reason[NODE_REASON_MAX]; /* one sentence; "" when it is well */
};

/* Look at each; how many there are, always the same ones in the same order. */
uint32_t node_probes(const struct node *node, struct node_probe probes[NODE_PROBES_MAX]);

/* Whether all those rows are well that decide one of these. */
bool node_well(const struct node *node, uint32_t decides);
bool node_ready(const struct node *node); /* NODE_PROBE_READY */

/* Small views, for tests. */
bool node_is_leader(const struct node *node);
uint64_t node_applied(const struct node *node);
uint64_t node_commit(const struct node *node);

/* The URI that transport number `transport` listens on under `listener`, with the real port; "" when there is
 * none. */
const char *node_bound(const struct node *node, uint32_t transport, uint32_t listener);

#endif
