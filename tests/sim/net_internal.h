/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_internal.h - what the parts of the simulated network share: sides (one transport instance each), directed links,
 * connections with their two ends, and what is under way to an end.
 *
 *   net.c       the network, its links and its faults
 *   net_wire.c  a connection's life: dialling, accepting, keeping alive, ending
 *   net_flow.c  bytes: sending, the flush at the end of a turn, arriving
 */
#ifndef TESTS_SIM_NET_INTERNAL_H
#define TESTS_SIM_NET_INTERNAL_H

#include "core/os/list.h"
#include "transports/framing.h"
#include "transports/upcalls.h"

#include "net.h"

#define NET_SIDES_MAX 96 /* nodes, clients, and clients that come again under a new name */

/* What the system of the sender and that of the receiver hold of one direction: beyond it the sender's queue grows. */
#define NET_SYSTEM_BYTES (256u << 10)

/* One read of the transports takes this much: a longer run arrives in pieces. */
#define NET_READ_BYTES FRAMING_BATCH

/* A first dial that was lost on the wire is repeated after this long, then after twice that (RFC 6298). */
#define NET_RETRANSMIT_NS SIM_S

/* A closing connection sends and hears what it can for so long; as TCP_LINGER_MS. */
#define NET_LINGER_NS SIM_S

/* One run in so many is cut in two even on a good day, at any byte: a stream has no borders. */
#define NET_CUT_ONE_IN 64u

/* A client's message that is lost means a reset, which costs far more than one message: so many times rarer. */
#define NET_CLIENT_MERCY 16u

struct net_end;
struct net_wire;

/* Misfortunes of single messages, in a million. */
struct net_rates {
    uint64_t delay;
    uint64_t loss;
    uint64_t duplicate;
    uint64_t reorder;
};

/* What goes from one side to another. Made when it is first needed, kept for ever. */
struct net_link {
    struct sim_random random;
    struct net_rates rates; /* those of the options, or of its own: links_differ */
    uint64_t latency_ns;
    uint64_t byte_ns;    /* how long a byte takes, in 1/1024 ns */
    uint64_t busy_until; /* what was sent before leaves first */
    uint64_t clogged_until;
    uint64_t cut_at; /* when it was cut */
    bool cut;
    bool cut_felt; /* sim_net_cut_felt */
};

enum net_what {
    NET_ACCEPT,    /* a dial arrives */
    NET_CONNECTED, /* it was accepted */
    NET_BYTES,
    NET_ENDED      /* the other side's end, or what passes for it: `reason` */
};

/* Something under way to one end. */
struct net_item {
    struct net_item *next;
    uint64_t at; /* when it arrives, if nothing stops the link */
    uint32_t what;
    uint32_t reason;         /* NET_ENDED: GAVEL_CLOSE_... */
    bool brittle;            /* NET_ENDED: a reset, said once: it is lost on a link that is cut */
    struct gavel_buffer run; /* NET_BYTES; kept when the item is used again */
};

/* One message that goes its own way, late or a second time. */
struct net_stray {
    struct sim_event event;
    struct os_list link; /* in the end's */
    struct net_end *to;
    struct gavel_buffer run; /* of one message */
};

/* An end's life. */
enum net_state {
    NET_DIALING,  /* ours, under way */
    NET_PENDING,  /* the accepting side does not know of it yet */
    NET_OPEN,
    NET_DRAINING, /* the host closed it: what is queued goes out, then our end is told */
    NET_OVER,     /* `closed` is to be told */
    NET_GONE      /* nobody holds it any more */
};

struct net_end {
    uint32_t magic;
    uint32_t state; /* enum net_state */
    struct net_wire *wire;
    struct net_end *other;
    struct sim_side *side;
    struct net_link *in; /* from the other's side to this one */
    void *cookie;
    struct sim_event timer; /* the dial's time-out, keepalive, linger, telling `closed`: by state */
    bool timer_missed;      /* it came while the process was paused */
    bool reading_paused;    /* by the host */
    bool high;              /* was over send_high: drained will be told */
    bool ended_sent;        /* DRAINING: our end is on its way */
    bool begun;             /* has been given a message: the hellos are over when both ends have */
    uint64_t reason;        /* why it is over */
    uint64_t heard;         /* when something came last */
    struct os_list dirty;   /* in side's, while there is something to do when the turn ends */
    /* sending */
    struct net_item *out; /* what was sent since the last flush; NULL: nothing */
    uint64_t out_taken;   /* the first bytes of it, which the system has: they are dropped by the half */
    uint64_t late_ns;     /* how much later than others this run arrives */
    /* receiving */
    struct sim_event arrive;
    struct net_item *first;
    struct net_item **last;
    uint64_t last_at;   /* arrival of the last item: the stream keeps its order */
    uint64_t waiting;   /* bytes in the items */
    struct framing_in decoder;
    struct os_list strays;
};

struct net_wire {
    struct net_wire *next_free;
    struct os_list link; /* in the net's, in the order of dialling */
    struct sim_net *net;
    uint64_t number;        /* for traces */
    uint32_t busy;          /* an up-call for it is under way */
    uint32_t generation;    /* of the address that was dialled */
    struct net_end ends[2]; /* who dialled, who accepted */
};

struct sim_side {
    uint32_t magic;
    uint32_t number;
    struct sim_net *net;
    struct sim_node *node; /* NULL: a client */
    char name[24];
    char address[32];
    char uri[40];        /* the newest */
    uint32_t generation; /* of it: how often it has moved */
    uint32_t oldest;     /* of the addresses that still lead here */
    struct upcalls up;
    bool prepared; /* the up-calls are those of a living process */
    bool listening;
    bool dark;     /* its machine is without power: what is sent there has no answer at all */
    bool paused;
    uint64_t accepted;     /* open connections that others dialled */
    struct sim_event turn; /* the end of the turn: flush what was sent */
    struct os_list dirty;  /* of struct net_end */
};

struct sim_net {
    uint32_t magic;
    struct sim *sim;
    struct sim_random random;
    bool calm; /* healed: no more misfortune */
    bool rough; /* single messages may be lost, doubled, reordered or late */
    uint32_t side_count;
    struct sim_side *sides[NET_SIDES_MAX];
    struct sim_side *nodes[SIM_NODES_MAX]; /* the sides of nodes, by their number */
    struct net_link *links[NET_SIDES_MAX][NET_SIDES_MAX]; /* from, to */
    struct os_list wires;
    uint64_t wire_count; /* so far */
    struct net_wire *free_wires;
    struct net_item *free_items;
    struct gavel_heap heap;
    uint64_t in_flight; /* bytes */
};

#define SIM_NET_MAGIC 0x736e6574u
#define SIM_SIDE_MAGIC 0x73736964u
#define NET_END_MAGIC 0x73656e64u

/* Have the oracle look at the node whose side this is, if it is one's. */
static inline void net_looked_at(const struct sim_side *side)
{
    if (side->node)
        sim_looked_at(side->net->sim, side->node);
}

/* net.c */

/* Memory that must be there: a simulator that runs out of it has nothing to say. All zero. */
void *net_must(size_t size);

struct net_link *net_link(struct sim_net *net, const struct sim_side *from, const struct sim_side *to);

/* How long `size` bytes that are sent now take on the link. */
uint64_t net_travel(struct sim_net *net, struct net_link *link, uint64_t size);

/* net_wire.c */

/* Where an address leads, and which of that one's addresses it is; NULL: nowhere (any more). */
struct sim_side *net_side_at(const struct sim_net *net, struct gavel_slice uri, uint32_t *generation);

int32_t net_connect(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error);
void net_close(void *self, void *connection, uint64_t reason, struct gavel_slice why);

/* This end is over for `reason`; the host hears of it when its timer has run. */
void net_end_over(struct net_end *end, uint64_t reason);

/* Nobody holds this end any more and nothing will be told: its process is gone, or `closed` has been told. */
void net_end_gone(struct net_end *end);

/* Tell the other end that this one has ended. */
void net_end_tell(struct net_end *end, uint64_t reason, bool brittle);

/* Give the connection back when both ends are gone and no up-call of it is under way. */
void net_wire_release(struct net_wire *wire);
void net_wire_free(struct net_wire *wire); /* at the net's own end */

/* Both ends are reset by something between them; `cut`: in the middle of what is under way, if there is anything. */
void net_wire_break(struct net_wire *wire, bool cut);

/* The process runs on: what it missed is done now. */
void net_end_resume(struct net_end *end);

/* A NET_ACCEPT, NET_CONNECTED or NET_ENDED has arrived. */
void net_end_take(struct net_end *end, const struct net_item *item);

/* net_flow.c */

int32_t net_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count);
uint64_t net_queued(void *self, void *connection);
void net_pause_reading(void *self, void *connection, uint64_t on);

/* Have the end of the turn look at this end. */
void net_mark_dirty(struct net_end *end);
void net_turn(struct sim *sim, struct sim_event *event);

/* Put an item without bytes behind all that is under way to `end`. */
void net_push(struct net_end *end, enum net_what what, uint64_t reason, bool brittle);

/* The event of `end`'s arrivals, and having it look again. */
void net_arrive(struct sim *sim, struct sim_event *event);
void net_look_again(struct net_end *end);

/* Drop what is under way to `end`: its strays, and all items from `keep` on (NULL: all). */
void net_drop(struct net_end *end, struct net_item **from);

/* A reset in the middle: keep a part of what is under way, the last run cut at any byte. False: nothing was. */
bool net_truncate(struct net_end *end);

struct net_item *net_item_new(struct sim_net *net);
void net_item_free(struct sim_net *net, struct net_item *item);

#endif
