/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - every message on the wire as a plain struct and a field table, and one function each way.
 * gavel-protocol(7) describes the same for authors of foreign clients.
 *
 * A message is one map. Its first key is always `type` (number 1); the others are the table's rows: names in JSON,
 * numbers in MessagePack. A zero, an empty slice with data NULL, an empty list are not written, unless the row is
 * required; a receiver finds zero in what was not sent. Unknown keys are skipped, so a message may gain fields;
 * unknown types have a status of their own. Choices and the type travel as names in JSON and as numbers where the
 * serializer is binary.
 *
 * Decoding: the struct lies in the arena; slices point into the input or the arena and live as long as both.
 */
#ifndef GAVEL_CODEC_MESSAGE_H
#define GAVEL_CODEC_MESSAGE_H

#include "core/codec/field.h"
#include "core/raft/message.h"

/* The version of this protocol. MAJOR must be equal; MINOR grows with fields and messages. */
#define CODEC_PROTOCOL_MAJOR 1
#define CODEC_PROTOCOL_MINOR 1

/*
 * The version of what is stored: batches travel as they lie on the disk, and so do snapshots and member lists. MAJOR
 * must be equal among members. MINOR grows with what may stand in them; a leader writes what a minor brought only when
 * all members have told of that minor or a later one, so that a rolling upgrade can be taken back until then.
 */
#define CODEC_DISK_MAJOR 1
#define CODEC_DISK_MINOR 0

/* Whether such a node can be a member beside this one. Who does not tell (0) is from before there was another. */
static inline bool codec_disk_fits(uint64_t major)
{
    return major == 0 || major == CODEC_DISK_MAJOR;
}

/* Types. Numbers are sent: never reused. */
#define CODEC_HELLO 1
#define CODEC_WELCOME 2
#define CODEC_GOODBYE 3
#define CODEC_GOING_AWAY 4
#define CODEC_REQUEST 10
#define CODEC_REPLY 11
#define CODEC_STREAM_OPEN 12
#define CODEC_STREAM_CREDIT 13
#define CODEC_STREAM_EVENT 14
#define CODEC_STREAM_END 15
#define CODEC_STREAM_CLOSE 16
#define CODEC_CHECK 20 /* between peers, since 1.1 */
#define CODEC_CHECK_ANSWER 21
#define CODEC_RAFT 30 /* + RAFT_PREVOTE_REQUEST ...: 31 .. 41; the struct of all is codec_raft */
#define CODEC_RAFT_LAST (CODEC_RAFT + RAFT_READ_RESPONSE)
#define CODEC_FOUND_ASK 50
#define CODEC_FOUND_ANSWER 51
#define CODEC_FOUND_RECORD 52
#define CODEC_FOUND_DONE 53
#define CODEC_TYPE_MAX 63

/* HELLO.role */
#define CODEC_ROLE_PEER 0
#define CODEC_ROLE_CLIENT 1
#define CODEC_ROLE_ADMIN 2

/* REQUEST.read and REPLY.read */
#define CODEC_READ_LINEARIZABLE 0
#define CODEC_READ_STALE 1

/* FOUND_ANSWER.state */
#define CODEC_FOUND_EMPTY 0   /* no data directory of a cluster: can be founded */
#define CODEC_FOUND_FORMED 1  /* belongs to a cluster already: cluster_id */
#define CODEC_FOUND_DIFFERS 2 /* its INI lists other members */
#define CODEC_FOUND_BUSY 3    /* another founder has its word already */

/* Bytes of cluster ids and incarnations. */
#define CODEC_ID_BYTES 16

/* The first message of the side that dialled. Always MessagePack. */
struct codec_hello {
    uint64_t present;
    uint64_t role; /* CODEC_ROLE_... */
    uint64_t version_major;
    uint64_t version_minor;
    struct gavel_slice cluster_id;  /* 16 bytes; absent: not known yet */
    uint64_t member_id;             /* 0: none yet */
    struct gavel_slice incarnation; /* 16 bytes, of the data directory */
    struct gavel_slice name;        /* the node's, or what a client calls itself in log lines */
    struct gavel_list serializers;  /* of struct gavel_slice: names, the best first */
    uint64_t founded;               /* a peer: its data directory belongs to a cluster */
    struct gavel_slice to;          /* the name that the dialling side expects here; absent: whoever */
    uint64_t message_bytes;         /* the largest message that it takes; 0: not told */
    uint64_t disk_major;            /* a peer, since 1.1: CODEC_DISK_...; 0: 1.0 */
    uint64_t disk_minor;
    struct gavel_slice machines;    /* a peer, since 1.1: {NAME: {oldest, newest, configure}}: what it acts as */
    uint64_t recovering;            /* a peer, since 1.1: its log was damaged, it votes for nobody until it is whole */
};

/* The answer to a hello. Always MessagePack; after it both sides use `serializer`. */
struct codec_welcome {
    uint64_t present;
    int64_t status; /* 0, or why not: then the connection is closed */
    struct gavel_slice text;
    struct gavel_slice serializer;
    struct gavel_slice cluster_id;
    uint64_t member_id;
    struct gavel_slice name;
    struct gavel_slice incarnation;
    struct gavel_slice leader;          /* its name; absent: none known */
    struct gavel_list leader_addresses; /* of struct gavel_slice: URIs */
    uint64_t version_major;
    uint64_t version_minor;
    uint64_t founded;
    uint64_t message_bytes;
    uint64_t removed; /* the dialling node was a member of this cluster, and was removed from it */
    uint64_t disk_major;         /* as in a hello, */
    uint64_t disk_minor;
    struct gavel_slice machines; /* as is this */
};

/* Either side is about to close, and why. */
struct codec_goodbye {
    uint64_t present;
    int64_t status;
    struct gavel_slice text;
};

/*
 * The sender will end this connection before long. Whoever dialled opens another one, to one of `addresses` or to
 * another node, while this one goes on working; it closes this one as soon as nothing is under way on it.
 */
struct codec_going_away {
    uint64_t present;
    struct gavel_slice text;
    uint64_t remaining_ms;        /* after which it is closed in any case */
    struct gavel_list addresses;  /* of struct gavel_slice: URIs at which the sender is reached; none: as before */
    uint64_t index;               /* a node, to a client: all events up to this index have been sent; 0: not told */
};

/* A client's command or read; between peers a forwarded one. */
struct codec_request {
    uint64_t present;
    uint64_t id;                   /* of the connection's own numbering, echoed in the reply */
    struct gavel_slice machine;    /* may be absent while the command's name is unique */
    struct gavel_slice command;    /* "set" or "workflow.set" */
    uint64_t command_id;           /* instead of the name; 0: by name */
    struct gavel_slice arguments;  /* a value: map by names or numbers; absent: none */
    uint64_t session;              /* 0: without a session */
    uint64_t sequence;
    uint64_t acked;                /* all replies up to this sequence have come */
    uint64_t read;                 /* CODEC_READ_...; for writes ignored */
    uint64_t remaining_ms;         /* 0: no deadline */
    struct gavel_slice traceparent; /* W3C trace context as text, "00-...": up to 64 bytes */
    struct gavel_slice principal;  /* only between peers: who asked the forwarding node */
    uint64_t forwarded;            /* only between peers */
    uint64_t min_index;            /* a read sees at least this index */
    uint64_t no_forward;           /* answer GAVEL_E_NOT_LEADER instead of forwarding */
};

struct codec_reply {
    uint64_t present;
    uint64_t id;
    int64_t status;
    struct gavel_slice text;   /* the sentence of a status that is not 0 */
    uint64_t index;            /* of the entry, or at which the read was served */
    uint64_t ordinal;          /* with index the revision of the last event that it made */
    struct gavel_slice result; /* a value; absent: nil */
    struct gavel_slice leader;
    struct gavel_list leader_addresses;
    uint64_t read;             /* the level at which it was served */
    uint64_t duplicate;        /* answered from the session's cache */
    uint64_t oldest_index;     /* with GAVEL_E_COMPACTED */
};

struct codec_stream_open {
    uint64_t present;
    uint64_t id; /* in the same numbering as requests */
    struct gavel_slice stream; /* "events", "watch" */
    struct gavel_slice machine;
    struct gavel_slice arguments;
    uint64_t from_index; /* 0: from now on */
    uint64_t from_ordinal;
    uint64_t credit; /* events that may be sent before more credit is given */
};

struct codec_stream_credit {
    uint64_t present;
    uint64_t id;
    uint64_t credit; /* in addition */
};

struct codec_stream_event {
    uint64_t present;
    uint64_t id;
    uint64_t index; /* (index, ordinal) is the revision */
    uint64_t ordinal;
    struct gavel_slice event;
    struct gavel_slice key;
    struct gavel_slice body;     /* a value */
    struct gavel_slice previous; /* a value */
    struct gavel_slice machine;
    uint64_t wall_ms;
};

struct codec_stream_end {
    uint64_t present;
    uint64_t id;
    int64_t status;
    struct gavel_slice text;
    uint64_t oldest_index; /* with GAVEL_E_COMPACTED: what can still be had */
    uint64_t oldest_ordinal;
};

struct codec_stream_close {
    uint64_t present;
    uint64_t id;
};

/* How are you? Answered at once, on the connection that it came by. A peer of 1.0 skips it. */
struct codec_check {
    uint64_t present;
    uint64_t id; /* of the connection's own numbering, echoed in the answer */
};

/* What a node observes of itself. Figures of the last ten seconds where nothing else is said. */
struct codec_check_answer {
    uint64_t present;
    uint64_t id;
    uint64_t alarms; /* HEALTH_ALARM_... of core/node/health.h */
    uint64_t term;
    uint64_t commit;
    uint64_t applied;
    uint64_t last_index;
    uint64_t log_bytes;
    uint64_t disk_bytes; /* of all segments */
    uint64_t snapshot_index;
    uint64_t snapshot_bytes;
    uint64_t sync_p50_us;
    uint64_t sync_p99_us;
    uint64_t sync_slow_ms; /* for how long the p99 has been over its own limit */
    uint64_t commit_p50_us; /* of the batches that it proposed as a leader */
    uint64_t commit_p99_us;
    uint64_t apply_backlog_ms; /* how long the oldest committed entry has waited for being applied */
    uint64_t writes; /* commands applied in a second */
    uint64_t reads;  /* served in a second */
    uint64_t links;  /* members that it is connected to */
    uint64_t clients;
    uint64_t uptime_ms;
    struct gavel_slice role; /* as in its status document */
    struct gavel_slice leader;
    struct gavel_slice version; /* of its program */
};

/*
 * Every message of the algorithm; each type's table writes only its own rows. `from` and `to` do not travel: both
 * ends know them from the hello. Numbers keep the names of core/raft/message.h.
 */
struct codec_raft {
    uint64_t present;
    uint64_t id; /* of a request, echoed by its response: a late one is dropped */
    uint64_t term;
    uint64_t for_term;
    uint64_t flags;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t prev_chain;
    uint64_t commit;
    uint64_t round;
    uint64_t match;
    uint64_t hint_index;
    uint64_t hint_term;
    uint64_t digest_index;
    uint64_t digest;
    uint64_t index;
    uint64_t total;
    uint64_t offset;
    uint64_t length;
    uint64_t chain;
    uint64_t status;
    uint64_t read;         /* id of a read attempt */
    uint64_t ask;          /* install_snapshot and its reply, since 1.1 */
    uint64_t data_digest;  /* install_snapshot: crc32c of `data` */
    struct gavel_slice meta; /* install_snapshot: the log's meta, with the offer (offset 0, length 0) */
    struct gavel_slice traces; /* append_entries, since 1.1: {u64 index, 16 bytes trace id, 8 bytes span id}... */
    struct gavel_slice tail; /* append_entries: whole batches, end to end; install_snapshot: the chunk */
};

/* [any] Wire struct from the algorithm's message: everything but id, digests, meta and tail, which the node adds. */
void codec_raft_put(const struct raft_message *message, struct codec_raft *wire);

/*
 * [any] The way back: `type` is the wire's (31..41), from and to are the ends of the connection. Batches are NULL:
 * the node describes those that lie in `tail`. GAVEL_E_INVALID when a number does not fit its member.
 */
int32_t codec_raft_get(uint64_t type, const struct codec_raft *wire, uint64_t from, uint64_t to,
                       struct raft_message *message, struct gavel_error *error);

/* Founding. */
struct codec_found_ask {
    uint64_t present;
    uint64_t id;
    struct gavel_slice members; /* hash of the member list in the INI */
    struct gavel_slice name;
    struct gavel_slice incarnation;
};

struct codec_found_answer {
    uint64_t present;
    uint64_t id;
    uint64_t state; /* CODEC_FOUND_... */
    struct gavel_slice incarnation;
    struct gavel_slice cluster_id;
    struct gavel_slice name;
    struct gavel_slice text;
    struct gavel_list addresses; /* since 1.1: of slices; where it is reached, when it discovers others */
};

struct codec_found_record {
    uint64_t present;
    uint64_t id;
    struct gavel_slice record;
    uint64_t member_id; /* the receiver's */
    struct gavel_slice incarnation; /* the receiver's, as the cluster knows it: for one that joins */
    uint64_t prepare; /* since 1.1, 1: hold it durably, and say so; nobody is a member by it yet */
};

struct codec_found_done {
    uint64_t present;
    uint64_t id;
    int64_t status;
    struct gavel_slice text;
};

/* One type of message. */
struct codec_message {
    uint64_t type;
    const char *name;
    const struct gavel_fields *fields;
    uint64_t tail; /* offset in the struct of the slice that may be sent apart; 0: none */
    uint64_t text; /* offset of the sentence of a status, which is made valid UTF-8 when it is sent; 0: none */
};

/* [any] By number; NULL: unknown. */
const struct codec_message *codec_message_find(uint64_t type);
/* [any] The name of a type, "unknown" for the others. */
const char *codec_message_name(uint64_t type);

/*
 * [any] Append the message to *out. GAVEL_E_TOO_LARGE, GAVEL_E_NO_MEMORY (the buffer), GAVEL_E_INVALID (a string
 * that is not UTF-8, an unknown type). On failure *out has the size that it had. `self` is the serializer's
 * instance (NULL for codec_msgpack()). Takes no memory of its own.
 */
int32_t codec_message_encode(const struct gavel_serializer *serializer, void *self, uint64_t type, const void *message,
                             struct gavel_buffer *out, struct gavel_error *error);

/*
 * [any] Encode an append_entries or install_snapshot whose tail is gathered from `parts` (wire->tail is ignored).
 * *apart = 1: *out holds all but the tail's bytes, so send {*out, parts...} as one message; nothing of them was
 * copied. *apart = 0: the serializer cannot do that (JSON), and *out holds the whole message; append_entries then
 * also lists its entries under `entries`, for people; receivers skip that key.
 */
int32_t codec_message_encode_tail(const struct gavel_serializer *serializer, void *self, uint64_t type,
                                  const struct codec_raft *wire, const struct gavel_slice *parts, uint64_t part_count,
                                  struct gavel_buffer *out, uint64_t *apart, struct gavel_error *error);

/*
 * [any] Decode one message: *type and the struct of that type, in the arena. GAVEL_E_INVALID: not a message (the
 * sentence says where); GAVEL_E_TOO_LARGE: over `limits` or the arena; GAVEL_E_UNSUPPORTED: a type that this
 * version does not know (*type is set when it is a number). The arena needs some 4 KiB beside what JSON input
 * needs (its own size).
 */
int32_t codec_message_decode(const struct gavel_serializer *serializer, void *self, struct gavel_slice input,
                             const struct gavel_limits *limits, struct codec_arena *arena, uint64_t *type,
                             void **message, struct gavel_error *error);

/* Arena for decoding input of `size` bytes in any format. */
#define CODEC_MESSAGE_ARENA(size) (UINT64_C(8192) + 4 * (uint64_t)(size))

#endif
