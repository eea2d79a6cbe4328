/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - struct node, and what the files of core/node know of each other. Everything is [loop].
 *
 *   node.c      life: new, start, deadline, stop, free      recover.c  from what the disk holds to a running core
 *   engine.c    raft_step and its effects, gates             found.c    the founding of a cluster
 *   conn.c      connections and their hellos                 peer.c     dialling members, the algorithm's messages
 *   directory.c the members of every configuration           join.c     members that join, and one that was removed
 *   change.c    commands that change the members             hostcmd.c  the other commands of the machine "gavel"
 *   client.c    requests: resolve, propose, forward, reply   propose.c  batches in the making, waiters by index
 *   read.c      reads behind their barrier                   work.c     the apply lane: runs, results, maintenance
 *   snapshot.c  taking, receiving, installing                event.c    the ring of events, streams with credit
 *   divergence.c digests compared, the fence                rebuild.c  a state built again from the leader's
 *   majority.c  too many voters recover: stop
 *   status.c    what a node says of itself                  setting_node.c, setting_command.c  replicated settings
 *   roster_node.c, roster_command.c  capabilities of members, and nodes that register themselves
 *   swap.c      transports and serializers that come and go
 *   probe.c     what must be well for it to serve
 *   snapshot_send.c  sending                                save.c     a snapshot read by an administrator
 *   settle.c    the end of every entry point, and what it looks at
 *   publish.c   its own addresses, published through the log  dial.c  connections to members: dialled, lost, exchanged
 *   checkup.c   checks of members, and their health          report.c   what a node observes of itself
 */
#ifndef CORE_NODE_INTERNAL_H
#define CORE_NODE_INTERNAL_H

#include "core/codec/message.h"
#include "core/log/log.h"
#include "core/log/snapshot.h"
#include "core/node/apply.h"
#include "core/node/directory.h"
#include "core/node/figures.h"
#include "core/node/members.h"
#include "core/node/measure.h"
#include "core/node/metrics.h"
#include "core/node/node.h"
#include "core/node/checkup.h"
#include "core/node/roster.h"
#include "core/node/seed.h"
#include "core/node/settings.h"
#include "core/node/settle.h"
#include "core/node/trace.h"
#include "core/os/list.h"
#include "core/raft/raft.h"

#define NODE_MAGIC 0x4e4f4445u
#define CONN_MAGIC 0x434f4e4eu
#define PEER_MAGIC 0x50454552u
#define STREAM_MAGIC 0x5354524du

#define NODE_SCRATCH_BYTES (8u << 20) /* arena for decoding one message; untouched pages cost nothing */
#define NODE_MESSAGE_BYTES (4u << 20) /* of one message: a full batch as base64 with its entries shown */
#define NODE_HELLO_MS 5000            /* a connection without a hello is closed after this */
#define NODE_REQUEST_MS_MAX 3600000   /* no request waits longer than an hour */
#define NODE_PARKED_MAX 4096          /* requests that wait for a leader */
#define NODE_PARKED_BYTES (16u << 20)
#define NODE_READ_BYTES (64u << 20) /* arguments of reads that wait */
#define NODE_OUTBOX_MAX 64               /* appends to one peer that wait for the log to be read back */
#define NODE_GATED_MAX 4096              /* messages that wait for the disk */
#define NODE_ORIGIN_REBUILD (UINT64_C(1) << 62) /* the same, of those that fetch a state from the leader */
#define PEER_DIGESTS 8                   /* samples of a peer that are kept until enough others have come */
#define NODE_DIGESTS 64                  /* samples kept for comparison with slower members */
#define NODE_BATCHES_MAX 65536           /* borders of batches that the core remembers */
#define NODE_APPEND_BATCHES 256          /* of one append request */
#define NODE_REFUSED 16                  /* refused hellos that were logged lately */
#define NODE_REFUSED_NS UINT64_C(60000000000)
#define NODE_TRANSPORT_SLOTS (2 * NODE_TRANSPORTS_MAX) /* new ones beside those that end */
#define NODE_RETIRING_MAX (NODE_TRANSPORT_SLOTS + 2 * NODE_SERIALIZERS_MAX)
#define NODE_LAG_STEPS 64                /* a lag in bytes is known to this part of what is tolerated */
#define NODE_TICK_NS UINT64_C(100000000) /* housekeeping while something can time out */
#define NODE_CHOKED_NS UINT64_C(5000000)
#define NODE_SLOW_TICK_NS UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* What the INI file gives, against the cluster's settings. */
enum node_ini {
    NODE_INI_UNSEEN = 0,
    NODE_INI_ASKS,  /* up to which index was everything committed when this node started? */
    NODE_INI_WAITS, /* until that is applied */
    NODE_INI_SEEN,  /* compared, or nothing is given */
};

enum node_phase {
    NODE_NEW = 1,
    NODE_FOUNDING,  /* no cluster yet: asks and answers, knows no term */
    NODE_RESTORING, /* a snapshot and the configurations of the log are being read back */
    NODE_RUNNING,
    NODE_HANDING, /* stopping: leadership is being handed over */
    NODE_CLOSING, /* stopping: the log is finishing */
    NODE_STOPPED,
    NODE_DEAD, /* fatal was called */
};

#define NODE_ORIGIN_DECLARE (UINT64_C(1) << 63) /* in origin.id, of this node's own requests that declare */

/* Who asked: enough to find the connection again, or to notice that it has gone. */
struct origin {
    uint64_t conn; /* serial number of a struct conn; 0: the node itself */
    uint64_t id;   /* the request's, on that connection */
    uint64_t arrived_ns;
    uint64_t trace; /* of trace.h; 0: it is not traced */
    uint16_t kind; /* enum measure_kind */
    bool reads;    /* it answers with what was read, of a machine or by an administrator; nothing was done */
};

/* The digest of a state, after an index. */
struct digest_sample {
    uint64_t index; /* 0: none */
    uint64_t digest;
};

#include "core/node/save.h" /* which needs an origin */

/* ---- connections --------------------------------------------------------------------------------------- */

enum conn_state { CONN_DIALING = 1, CONN_GREETING, CONN_READY, CONN_CLOSING };

/* One transport of this node; a place of which `transport` is NULL is free. */
struct listener {
    struct node *node;
    const struct node_transport *transport;
    uint64_t conns; /* that are not freed yet */
    bool leaving;   /* no new connection goes through it */
    struct gavel_transport_events events;
    struct gavel_slice bound[8];
};

struct conn {
    uint32_t magic;
    uint32_t state; /* enum conn_state */
    uint64_t serial;
    struct os_list link; /* node->conns */
    struct node *node;
    const struct node_transport *transport;
    void *handle;
    const struct node_serializer *serializer; /* chosen in the hello */
    uint32_t role;                            /* CODEC_ROLE_... */
    bool dialled;
    bool up;      /* dialled and welcomed */
    bool counted; /* among the clients */
    bool removed; /* a peer that is refused because it was removed */
    bool paused;
    uint64_t leave_at; /* it is to end; this is when at the latest. 0: it stays */
    /*
     * Of role PEER, once it is known. NULL for a guest: a member of a formed cluster that calls on a node without one,
     * and may bring it the record. Also NULL once the peer was dropped: then the connection is closing.
     */
    struct peer *peer;
    uint64_t opened_ns;
    uint64_t in_flight;
    struct os_list streams;
    char name[NODE_NAME_MAX];
    char address[72];
};

/* ---- peers --------------------------------------------------------------------------------------------- */

/* A request's age is known to this part of the time after which it is given up: so many marks, and a few to spare. */
#define PEER_STEPS 16
#define PEER_SENT_MARKS (PEER_STEPS + 4)

struct peer {
    uint32_t magic;
    uint32_t address_count;
    struct os_list link; /* node->peers, or node->gone */
    struct node *node;
    uint64_t id;          /* 0 until the cluster is founded, and for an address of `join` */
    uint64_t incarnation; /* 0: not known */
    /* Together, since each step looks at them in all peers. */
    struct conn *out;   /* dialled by us; requests go out on it */
    struct conn *in;    /* dialled by it; its requests come in on it */
    bool reader_wanted; /* a snapshot is to be sent to it */
    bool chunk_wanted;  /* and the core has asked for a piece of it, ... */
    bool chunk_reading; /* ... which is being read */
    char name[NODE_NAME_MAX];
    char addresses[NODE_ADDRESSES_MAX][NODE_URI_MAX];
    uint32_t address_next; /* which one the next dial takes */
    bool refresh;          /* `out` is to end: another is wanted to take its place ... */
    struct conn *fresh;    /* ... which is being dialled ... */
    uint64_t fresh_at;     /* ... or will be, at this moment */
    uint64_t redial_at;    /* monotonic; UINT64_MAX: no dial is wanted now */
    uint64_t backoff_ms;
    bool quick; /* the dial under way is the immediate one after a break */
    struct watched watched;
    bool complained; /* the reason of a failure was logged, until it works again */
    bool asked;      /* founding */
    bool empty;
    bool blank;       /* what answers there has joined no cluster yet ... */
    bool record_sent; /* ... and was sent the record */
    bool stranger;    /* newer than any configuration that is known here: it can only be answered */
    bool gone;        /* dropped, but a read for it is under way */
    bool recovers;    /* by its newest hello, which counts while it is connected ... */
    uint64_t recovers_until; /* ... and until then */
    uint64_t blank_incarnation;
    struct {
        bool told;     /* in the newest hello or welcome of it */
        bool settings; /* its gaveld knows entries that change settings */
        bool checks;   /* and answers checks */
        uint64_t protocol_minor;
        uint64_t disk_minor; /* of what it reads and writes: nothing newer goes into the log before all have it */
        bool configure[NODE_MACHINES_MAX];
        uint64_t oldest[NODE_MACHINES_MAX]; /* state versions that its plugins act as */
        uint64_t newest[NODE_MACHINES_MAX];
    } can;
    uint64_t next_id;
    struct {
        uint64_t id; /* the first that was sent at this moment or soon after */
        uint64_t ns;
    } sent[PEER_SENT_MARKS];
    uint32_t sent_at; /* the newest */
    uint64_t last_request[CODEC_TYPE_MAX + 1]; /* newest id that came in, by type: what a later answer echoes */
    /* Appends whose batches had to be read back. */
    struct raft_message outbox[NODE_OUTBOX_MAX];
    uint32_t outbox_count;
    uint32_t unread; /* reads for it that failed in a row */
    bool reading;
    struct log_read read;
    /* A snapshot on its way to it. */
    struct log_snapshot_reader *reader;
    uint64_t reader_index; /* it needs one at least as new */
    uint64_t chunk_sent_ns; /* when the newest one went out */
    struct raft_message chunk;
    struct digest_sample digests[PEER_DIGESTS]; /* as told with its append responses */
    bool diverged; /* its state differs from the majority's: said */
    struct measure_traffic traffic;
    struct trace_span checking; /* a check of its health */
    uint64_t send_ns; /* when the snapshot that is sent to it began; 0: none */
    bool was_up; /* a connection to it was lost once */
};

/* ---- requests ------------------------------------------------------------------------------------------ */

/* A proposal that waits for its index to be applied. Lives in a ring by index. */
struct waiter {
    struct origin origin;
    uint64_t index; /* 0: free */
    uint64_t term;
    uint64_t deadline_ns;
};

/* A write that another node was asked to do. */
struct forwarded {
    struct os_list link; /* node->forwards */
    struct origin origin;
    uint64_t peer;    /* member id */
    uint64_t conn;    /* serial number of the connection that it went out on */
    uint64_t peer_id; /* the id of the request there */
    uint64_t deadline_ns;
};

/* A request that waits for a leader: the encoded message follows. */
struct parked {
    struct os_list link;
    struct origin origin;
    uint64_t deadline_ns;
    uint64_t size;
    unsigned char bytes[];
};

/* A read that waits for its barrier; the log form of its arguments follows. */
struct waiting_read {
    struct os_list link;
    struct origin origin;
    uint64_t deadline_ns;
    uint64_t barrier; /* id of the round that it joined; 0: stale, served at once */
    uint64_t min_index;
    struct gavel_trace trace; /* of its span; not sampled: none */
    uint32_t machine;
    bool ran;           /* false: there was no room for its result yet */
    int32_t status;     /* once it has run ... */
    uint64_t result_at; /* ... and where in node->read_results its result or sentence lies */
    uint64_t result_size;
    uint32_t size;
    unsigned char bytes[];
};

/* ---- commands ------------------------------------------------------------------------------------------ */

struct command_row {
    struct gavel_slice machine;
    struct gavel_slice name;
    char owner[128]; /* "workflow.set", for errors */
    uint32_t number;
    const struct gavel_command *command;
    uint64_t count; /* applied in the run at hand */
    bool ambiguous; /* another machine has a command of that name */
};

/* ---- the node ------------------------------------------------------------------------------------------ */

struct refused {
    uint64_t hash; /* of name and reason */
    uint64_t said_ns;
};

/* A transport or a serializer that ends when no connection needs it any more. */
struct retiring {
    const void *what;
    void (*done)(void *context);
    void *context;
};

/* The addresses that this node shall have in the configuration. */
struct wish {
    bool active;
    bool asked; /* and not answered yet */
    bool unsure; /* what an earlier wish asked for may yet come: this one has to be answered, with OK, behind it */
    uint64_t id; /* origin.id of its requests */
    uint32_t count;
    char addresses[NODE_ADDRESSES_MAX][NODE_URI_MAX];
    uint64_t next_ns; /* when it is asked for again */
    void (*done)(void *context, int32_t status, const char *why); /* NULL: nobody waits */
    void *context;
    char said[256]; /* why not yet */
};

struct gated {
    struct raft_message message;
    uint64_t gate;
    uint64_t wire_id;
};

/* A number for each metric; 0 where the host has no registry. */
struct node_metrics {
#define METRIC(symbol, kind, name, unit, attributes, help) uint64_t symbol;
    NODE_METRICS(METRIC)
#undef METRIC
};

struct node {
    uint32_t magic;
    uint32_t phase; /* enum node_phase */
    struct node_setup setup;
    struct node_limits limits;
    const struct os *os;
    uint64_t seed; /* of jitter */
    uint64_t started_ns;
    uint64_t armed_ns; /* what callbacks.deadline was told last */
    uint64_t tick_at;  /* housekeeping */
    uint64_t stop_at;
    bool inside; /* an entry point is running: settle at its end, once */
    uint32_t look;      /* enum node_look: what there is to look at when it settles */
    uint64_t peers_due; /* the first moment at which something is due for a peer, by the last look */

    /* identity */
    uint64_t member_id;
    uint64_t incarnation;
    struct log_cluster_id cluster_id;
    bool founded;
    bool founding_saving;
    bool record_taken; /* the founding record came from another node */
    bool record_new;   /* it became this node's in this life */
    uint64_t member_hash;
    struct directory directory;     /* who is a member, by the log */
    struct members founding_members; /* of the record */
    const struct members *wanted;    /* while a change is being proposed: what it leads to */
    bool blanks;                     /* some peer may be blank */
    bool removed;                    /* this node is no member any more: it is stopping */
    uint64_t synced_first;          /* what the peers were last brought in line with: the committed configuration ... */
    uint64_t synced_last;            /* ... and the newest */
    bool peers_stale;
    char waits[NODE_REASON_MAX];     /* a node without a cluster: what it was told last */
    struct {
        bool active;
        struct origin origin;
        uint64_t deadline_ns;
        uint64_t index; /* of the entry that began it */
        uint64_t id;    /* of the member that it adds; 0: none */
    } change; /* of members, whose end a client waits for */
    struct gavel_buffer record;  /* the founding record */
    struct log_task task_identity;
    struct log_task task_founding;
    struct node_seed *scout; /* NULL: it does not discover others */

    /* log and core */
    struct log_pool *pool;
    struct log *log;
    struct log_recovery recovery;
    struct log_task task_recovered;
    bool recovering_saving;
    bool recovers;             /* the log was damaged, and is not whole yet */
    uint64_t majority_lost_ns; /* since when too many of the voters are known to recover; 0: they are not */
    struct replay *replay; /* while configurations of the log are being read back */
    bool space_ok;
    bool disk_stalls; /* as the alarm was told of last */
    bool handed;      /* stopping, and another member took the lead over: what is parked goes there */
    struct raft *raft;
    void *raft_memory;
    struct raft_effects effects;
    bool stepping;
    uint64_t written_raft; /* the newest io that is durable */
    struct gated *gated;
    uint32_t gated_first;
    uint32_t gated_count;
    /* context of the step under way */
    struct log_batch *incoming[NODE_APPEND_BATCHES]; /* of the append request at hand */
    uint32_t incoming_count;
    struct log_batch *proposing;
    struct peer *answering;
    uint64_t answering_id;
    uint32_t answering_type;
    struct gavel_slice chunk_bytes;
    struct gavel_slice chunk_meta;
    uint64_t chunk_digest;
    /* asked for by effects, done after the step */
    uint32_t propose_kind;
    struct raft_configuration propose_configuration;
    struct raft_configuration in_force; /* as last told to watchers */
    uint32_t role;
    uint64_t term;
    uint64_t leader;
    uint64_t tick_base;    /* cluster tick when we became leader ... */
    uint64_t tick_base_ns; /* ... and our monotonic clock then */
    bool fenced;
    bool caught_up;   /* it has applied all that it knew to be committed when it began to, once */
    bool run_reaches; /* the run that is being applied ends with all that */
    bool transfer_asked;
    struct origin transfer_origin;

    /* settings */
    struct settings *settings;     /* those in force at `applied`: a copy of the apply lane's */
    struct gavel_buffer abilities; /* what this node's plugins can act as, for hellos */
    uint32_t ini_state;            /* enum node_ini */
    uint64_t ini_index;

    /* capabilities and registered nodes */
    struct roster *roster; /* as it is at `applied`: a copy of the apply lane's */
    struct roster_wish declare;

    /* the apply lane */
    struct apply *apply;
    bool bounded;
    struct os_job apply_job;
    struct apply_run run;
    struct log_read apply_read;
    bool applying, apply_reading; /* a run is on the lane; the log is read for one */
    bool apply_hold; /* a snapshot without CONCURRENT is being walked, or one is being restored */
    uint64_t apply_to;
    uint64_t apply_asked; /* apply_to when the read under way began: what lies above may have been replaced since */
    uint64_t applied;
    uint64_t applied_tick; /* the tick at `applied`: the lane may be further */
    uint64_t commit_at_start;
    uint64_t maintain_at;
    bool maintain_missed; /* the lane had the state */
    uint64_t expire_after;
    struct digest_sample digests[NODE_DIGESTS]; /* own ones; the oldest goes */
    uint64_t digest_index;                      /* the newest of them */
    uint64_t digest;
    struct digest_sample agreed; /* what a majority of the voters has */
    bool disagreed;              /* that there is none was said */
    uint64_t looked;             /* `applied` at the last look */
    uint64_t look_again_ns;
    uint64_t fence_index;        /* fenced: since where */
    uint64_t fence_from;         /* samples from here on say whether it still has to be */
    uint64_t fence_saved;        /* what the disk holds: 0, or that */
    uint64_t fence_wanted;       /* what is being written */
    bool fence_saving;
    struct log_task task_fence;
    struct rebuild *rebuild; /* while the state is being fetched from the leader */
    struct rebuild_serve *rebuild_serve; /* while it is being read for another one */

    /* connections and peers */
    struct listener listeners[NODE_TRANSPORT_SLOTS];
    struct retiring retiring[NODE_RETIRING_MAX]; /* `what` NULL: free */
    bool leaving; /* something is to end: look at it each tick */
    struct wish wish;
    struct os_list conns;
    struct refused refused[NODE_REFUSED];
    struct os_list peers;
    struct os_list gone; /* peers that were dropped while something still points at them */
    uint64_t conn_serial;
    struct conn **conn_slots;
    uint32_t *conn_free;
    uint32_t conn_slot_count;
    uint32_t conn_slot_capacity;
    uint32_t conn_free_count;
    uint64_t client_count;
    const struct node_serializer *serializers[NODE_SERIALIZERS_MAX + 1];
    uint32_t serializer_count; /* that are offered */
    struct node_serializer native; /* MessagePack, which every node knows */
    void *scratch;            /* arena for the message at hand */
    void *arguments;          /* arena for the arguments at hand */
    struct gavel_buffer out;  /* one message being encoded */
    struct gavel_buffer body; /* one result or log form being written */

    /* requests */
    struct command_row *commands;
    uint32_t command_count;
    struct log_builder builder;
    struct log_builder special; /* entries that the algorithm asks for */
    struct waiter *building;    /* waiters of the entries in the builder */
    uint32_t building_count;
    struct waiter *waiters; /* ring by index, limits.proposals of them, a power of two */
    uint64_t waiting;
    uint64_t last_own_io; /* of the newest batch that this node made as a leader */
    struct os_list forwards;
    uint64_t forward_count;
    struct os_list parked;
    uint64_t parked_count;
    uint64_t parked_bytes;
    struct os_list reads;       /* waiting for a barrier */
    struct os_list ready_reads; /* barrier passed */
    uint64_t read_count;
    uint64_t read_bytes; /* of their arguments */
    uint64_t read_id; /* of the last round asked for */
    bool read_wanted; /* reads have come that no round was asked for yet */
    struct os_job read_job;
    struct os_list running_reads;
    struct gavel_buffer read_results;
    bool redispatch; /* a leader is known: look at what is parked */
    bool reading, read_last; /* reads are on the lane; of reads and runs it was given reads last: a run has its turn */

    /* snapshots */
    struct node_snapshots *snapshots;
    struct {
        uint64_t unreadable; /* index of the newest one that could not be read for a peer: a newer one is needed */
        uint64_t next_at;    /* before this moment no chunk goes out, by the rate */
        uint64_t bytes;      /* of chunks, to all peers, since the start */
        bool wanted;         /* some peer may have reader_wanted */
    } sending;
    struct node_save saves[NODE_SAVES_MAX];
    uint64_t save_handle; /* the last given out */
    /* events */
    struct node_events *events;

    /* health */
    struct watched self;
    struct figures *figures;
    uint64_t sync_slow_ms;
    uint64_t leaderless_ns; /* no leader is known since; 0: one is */

    struct node_metrics metric; /* those with attributes, for node_record */
    struct node_metrics series; /* those without, for node_observe */
    struct measures *measures;  /* NULL: the host has no registry */
    struct traces *traces;      /* NULL: the host has no spans */
    struct {                    /* spans that the node itself has under way */
        struct trace_span election, initialize, state, cluster, change, save, install;
    } spans;
    const struct gavel_trace *logging; /* the trace that log events belong to at this moment; NULL: none */
    uint64_t commands_total;
    uint64_t elections_total;
    struct gavel_error last_fatal;
};

/* ---- node.c -------------------------------------------------------------------------------------------- */

uint64_t node_now(const struct node *node);
/* Say why and die. */
void node_fatal(struct node *node, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool node_alive(const struct node *node)
{
    return node->phase != NODE_DEAD && node->phase != NODE_STOPPED;
}
/* Alive, and the log still takes work: what a completion has to know before it goes on. */
static inline bool node_working(const struct node *node)
{
    return node->phase < NODE_CLOSING;
}
void node_log(struct node *node, uint64_t level, const char *module, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool node_log_wanted(const struct node *node, uint64_t level, const char *module);
/* Record a value with one attribute; and the quick way, for a bound series. */
void node_record(struct node *node, uint64_t metric, double value, const char *attribute, const char *text);
void node_observe(struct node *node, uint64_t series, double value);
void node_gauges(struct node *node);
uint64_t node_random(struct node *node);
void node_stop_step(struct node *node);

/* ---- recover.c ----------------------------------------------------------------------------------------- */

/* Open the log and understand what it holds; nothing is sent yet. */
int32_t recover_open(struct node *node, int *exit_code, struct gavel_error *error);

/* What a node leaves with that runs already: 65 only for damage, 74 for a disk that refuses, 78 for what does not fit,
 * 70 for the rest. */
int node_exit_code(int32_t status);
/* From a founded directory to a running core; goes on by completions. */
void recover_begin(struct node *node);
void recover_free(struct node *node);

/* ---- engine.c ------------------------------------------------------------------------------------------ */

/* One step of the core at this moment (into event->now), and what comes of it; the core's answer. */
int engine_step(struct node *node, struct raft_event *event);
void engine_written(void *ctx, uint64_t io);
void engine_failed(void *ctx, const struct gavel_error *error);
uint64_t engine_tick(const struct node *node);
struct raft_status engine_status(const struct node *node);
/* Its commit alone, which is asked for in every step; 0 without a core. */
uint64_t engine_commit(const struct node *node);

/* ---- conn.c -------------------------------------------------------------------------------------------- */

int32_t conn_listen(struct node *node, struct gavel_error *error);
/* Prepare and listen on all its URIs. */
int32_t conn_listen_on(struct listener *listener, struct gavel_error *error);
struct conn *conn_find(struct node *node, uint64_t serial);
struct conn *conn_dial(struct node *node, struct peer *peer, const char *uri, struct gavel_error *error);
/* Encode with the connection's serializer and queue; false: it is gone or too slow, and is being closed. */
bool conn_send(struct conn *conn, uint64_t type, const void *message);
bool conn_send_parts(struct conn *conn, const struct gavel_slice *parts, uint64_t count);
void conn_close(struct conn *conn, uint64_t reason, const char *why);
void conn_goodbye(struct conn *conn, int32_t status, const char *why);
void conn_expire(struct node *node, uint64_t now);
void conn_release(struct conn *conn); /* one request of it was answered */
/* Close all that other nodes have to this one, and the other way round. */
void conn_close_peers(struct node *node, const char *why);
/* Forget every connection without a word: their transports are the host's to end. */
void conn_free_all(struct node *node);

/* ---- peer.c -------------------------------------------------------------------------------------------- */

int32_t peers_from_setup(struct node *node);
/* Know everyone whom the directory names. */
void peers_learn(struct node *node);
/* The same, and let go of everyone whose removal is committed. Only between steps. */
void peers_sync(struct node *node);
/* A peer of this cluster that is newer than all that is known here; NULL: there are too many of them. */
struct peer *peer_stranger(struct node *node, uint64_t id, const char *name);
/* Dial another connection that takes the place of `out`, which goes on working until then. */
void peer_refresh(struct peer *peer, uint64_t leave_at);
/* The fresh one was welcomed. */
void peer_refreshed(struct peer *peer);
/* It says where it listens from now on. */
void peer_moves(struct peer *peer, struct gavel_list addresses);
/* Dial it now, if nothing is under way. */
void peer_wake(struct peer *peer);
struct peer *peer_find(const struct node *node, uint64_t id);
struct peer *peer_named(struct node *node, const char *name);
void peers_dial(struct node *node, uint64_t now);
uint64_t peers_deadline(const struct node *node);
void peer_up(struct peer *peer, const struct codec_welcome *welcome);
void peer_down(struct peer *peer, struct conn *conn, uint64_t reason, const char *why);
void peer_message(struct conn *conn, uint64_t type, void *message);
void peer_send(struct node *node, const struct raft_message *message, uint64_t wire_id);
void peer_free(struct peer *peer);
/* Number a request to a peer; false: there is no connection for it now. */
bool peer_mark_sent(struct peer *peer, uint64_t *id);
/* What the algorithm has to know of a batch; of a configuration batch also who is named in it. */
int32_t peer_describe_batch(const struct log_batch *batch, struct raft_batch *described,
                            struct raft_configuration *configuration, struct gavel_error *error);
/* The members that a configuration batch holds. */
int32_t peer_batch_members(const struct log_batch *batch, struct members *members, struct gavel_error *error);
/* Send an append or a chunk of a snapshot with its bytes. */
void peer_send_tail(struct conn *conn, uint64_t type, const struct codec_raft *wire,
                    const struct gavel_slice *parts, uint32_t count);

/* ---- swap.c -------------------------------------------------------------------------------------------- */

/* Prepare and listen in a free place. */
int32_t swap_listen(struct node *node, const struct node_transport *transport, struct gavel_error *error);
/* Whether a list of schemes with blanks between them holds the first `length` bytes of `uri`. */
bool node_speaks(const char *schemes, const char *uri, size_t length);
struct listener *swap_listener(struct node *node, const struct node_transport *transport);
/* End what has to leave and is idle or late; tell whoever retired it. Each tick while node->leaving. */
void swap_expire(struct node *node, uint64_t now);
/* The other side goes away, or leaves this connection. */
void swap_message(struct conn *conn, const struct codec_going_away *message);

/* ---- publish.c ----------------------------------------------------------------------------------------- */

void publish_step(struct node *node);
/* To a request of the node itself: origin.conn is 0, and `id` is origin.id. */
void publish_answer(struct node *node, uint64_t id, const struct codec_reply *reply);

/* ---- found.c ------------------------------------------------------------------------------------------- */

void found_hash(struct node *node);
int32_t found_load(struct node *node, struct gavel_slice record, struct gavel_error *error);
void found_step(struct node *node);
void found_message(struct conn *conn, uint64_t type, void *message);
void found_peer_up(struct peer *peer);

/* ---- divergence.c -------------------------------------------------------------------------------------- */

/* A digest of this node's own state; what a follower tells; what the leader says that a majority has. */
void divergence_sample(struct node *node, uint64_t index, uint64_t digest);
void divergence_told(struct peer *peer, uint64_t index, uint64_t digest);
void divergence_agreed(struct node *node, uint64_t index, uint64_t digest);
/* Whether this node leads, and found no majority of equal digests: nobody is fenced, but people have to know. */
bool divergence_undecided(const struct node *node);
/* From time to time. */
void divergence_look(struct node *node);
/* The state was replaced: no sample of the old one counts. */
void divergence_forget(struct node *node);
/* Fence this node, whoever says so; what the disk says at start (0: it is not); write down what is so. */
void divergence_fence(struct node *node, const char *why);
void divergence_restart(struct node *node, uint64_t index);
void divergence_settle(struct node *node);
/* Whether a read is not for this node, for it is fenced: then it was sent on, or refused. */
bool divergence_read(struct conn *conn, const struct codec_request *request, struct origin origin,
                     uint64_t deadline_ns);

/* ---- majority.c ---------------------------------------------------------------------------------------- */

/* What a peer says of itself in a hello; its connection was lost. */
void majority_heard(struct peer *peer, bool recovers);
void majority_lost(struct peer *peer);
/* From time to time: stop when a majority of the voters recovers. */
void majority_watch(struct node *node, uint64_t now);
/* This node's log is whole again: the others have to know. */
void majority_recovered(struct node *node);

/* ---- join.c -------------------------------------------------------------------------------------------- */

/* Bring in those that are members and have not joined yet. Between steps. */
void join_settle(struct node *node);
/* This node learns that it is no member any more: it stops. */
void join_removed(struct node *node);

/* ---- change.c ------------------------------------------------------------------------------------------ */

/* The commands member_add ... member_change of the machine "gavel"; `command` is the name without its machine. */
void change_command(struct conn *conn, const struct codec_request *request, const char *command, struct origin origin,
                    uint64_t deadline_ns);
/* The leader notes the incarnation of a member that answers for the first time. False: not now. */
bool change_incarnation(struct node *node, uint64_t id, uint64_t incarnation);
/* One of them on the node's own behalf; it leads. */
void change_ask(struct node *node, const char *command, const struct codec_request *request, struct origin origin,
                uint64_t deadline_ns);
/* Answer whoever waits for a change that is over. */
void change_settle(struct node *node);
void change_expire(struct node *node, uint64_t now);
/* The log lost, or a snapshot took the place of, the entry of the change. */
void change_lost(struct node *node, int32_t status, const char *why);

/* ---- propose.c ----------------------------------------------------------------------------------------- */

/* Add one entry to the batch in the making. GAVEL_E_BUSY, _TOO_LARGE, _NO_MEMORY: nothing was added. */
int32_t propose_add(struct node *node, const struct log_entry *entry, struct origin origin,
                    uint64_t deadline_ns);
/* Seal and propose what collected, if it is time. */
void propose_flush(struct node *node);
/* The same without waiting for the disk: before leadership is handed over, after which nothing is proposed. */
void propose_now(struct node *node);
void propose_special(struct node *node);
void propose_drop(struct node *node, int32_t status, const char *why);
struct waiter *propose_waiter(struct node *node, uint64_t index);
void propose_truncated(struct node *node, uint64_t from);
void propose_passed(struct node *node, uint64_t index);
void propose_expire(struct node *node, uint64_t now);

/* ---- client.c ------------------------------------------------------------------------------------------ */

int32_t client_commands(struct node *node, struct gavel_error *error);
void client_request(struct conn *conn, const struct codec_request *request);
/* Whether this node leads; if not, the request was sent on, parked or refused, and is not the caller's any
 * more. */
bool client_leads(struct conn *conn, const struct codec_request *request, struct origin origin,
                  uint64_t deadline_ns);
/* The same for what is to be proposed: during a hand-over it is parked, too. */
bool client_writes(struct conn *conn, const struct codec_request *request, struct origin origin,
                   uint64_t deadline_ns);
/* Propose one entry, or refuse. */
void client_add(struct node *node, const struct log_entry *entry, struct origin origin, uint64_t deadline_ns);
void client_reply(struct node *node, struct origin origin, struct codec_reply *reply);
void client_refuse(struct node *node, struct origin origin, int32_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void client_forward_reply(struct peer *peer, struct codec_reply *reply);
/* What was sent on to a peer over that connection (0: over any) will not be answered. */
void client_forward_lost(struct node *node, uint64_t peer, uint64_t conn);
/* Whether an answer is still awaited over that connection. */
bool client_forwarded_over(const struct node *node, uint64_t conn);
/* Send a request on to a peer; `origin` gets its answer. */
void client_forward(struct node *node, struct peer *peer, const struct codec_request *request, struct origin origin,
                    uint64_t deadline_ns);
void client_leader_known(struct node *node);
void client_expire(struct node *node, uint64_t now);
void client_free(struct node *node);
/* A read command in its log form has run. */
void client_count(struct node *node, uint32_t machine, const unsigned char *form, uint64_t size);
const char *client_leader(struct node *node, struct codec_reply *reply, struct gavel_slice *addresses);

/* ---- read.c -------------------------------------------------------------------------------------------- */

void read_add(struct node *node, struct origin origin, uint32_t machine, struct gavel_slice form,
              uint64_t level, uint64_t min_index, uint64_t deadline_ns);
/* This node may not serve any more: refuse all that wait. Those that a lane runs are answered. */
void read_refuse_all(struct node *node);
void read_flush(struct node *node);
void read_barrier(struct node *node, uint64_t id, uint64_t index);
void read_serve(struct node *node);
void read_expire(struct node *node, uint64_t now);
void read_free_all(struct node *node);

#include "core/node/internal_calls.h"

#endif
