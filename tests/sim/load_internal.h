/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_internal.h - what the files of the load share.
 *
 *   load.c         the whole: how much is asked when, the end, the checks of the end
 *   load_client.c  one client: its connection, the life of a request from the first sending to its outcome
 *   load_ask.c     what to ask next
 *   load_answer.c  what an answer means, and what it says
 *   load_encode.c  requests as bytes
 *   load_scan.c    reads of a range of keys: each key is one more read, all at one index
 *   load_watch.c   streams of events
 *   load_look.c    what the machines hold where nobody answers any more
 *   load_facts.c   what was told of the past never changes, whoever tells it
 *   load_witness.c where the log holds what nobody heard of again
 */
#ifndef TESTS_SIM_LOAD_INTERNAL_H
#define TESTS_SIM_LOAD_INTERNAL_H

#include "core/codec/message.h"
#include "core/os/list.h"
#include "load.h"
#include "net.h"
#include "tests/linear/history.h"

#define LOAD_SLOTS 4          /* requests of one client at a time */
#define LOAD_CLIENTS_MAX 16
#define LOAD_ITEMS_MAX 3      /* of a batch */
#define LOAD_NAME_BYTES 16    /* of a key */
#define LOAD_VALUE_BYTES 8192 /* the largest value, and some more: value_bytes is 8000 at most */
#define LOAD_NO_OP UINT64_MAX
#define LOAD_ARENA_BYTES CODEC_MESSAGE_ARENA(1u << 20)

/* What a key holds, and so what may be asked of it. The first letter of its name. */
enum load_class {
    LOAD_REGISTER = 'k', /* unique values */
    LOAD_COUNTER = 'n',  /* numbers that are added to */
    LOAD_GROUP = 'g',    /* three keys that batches change together: two registers and a counter */
    LOAD_FLOW = 'w'      /* a workflow whose state has one unique value */
};

struct load_key {
    char name[LOAD_NAME_BYTES];
    uint32_t class;
    uint32_t number;   /* in the history */
    bool sums;         /* it holds a number that is added to */
    bool used;         /* something was asked of it: it is read once more at the end */
    uint64_t value;    /* what was seen last, for conditions; 0: nothing */
    uint64_t revision;
};

enum load_what {
    LOAD_COMMAND,  /* of the history */
    LOAD_PAST,     /* a get as of a revision; in the history as a peek */
    LOAD_SCAN,     /* a range of keys; in the history as a get or peek of each */
    LOAD_OPEN,     /* session_register */
    LOAD_KEEP,
    LOAD_CLOSE,
};

enum load_state {
    LOAD_IDLE,
    LOAD_WAITING, /* it was sent, and an answer may come */
    LOAD_RETRY,   /* it waits to be sent again */
    LOAD_PROBE    /* it was answered, and has been sent again: the same answer has to come */
};

struct load_client;

/* One request, from the first sending to its outcome. */
struct load_slot {
    struct sim_event timer; /* gives up waiting, or sends again */
    struct load_client *client;
    uint32_t state; /* enum load_state */
    uint32_t what;  /* enum load_what */
    uint64_t op;    /* number in the history; LOAD_NO_OP */
    struct load_key *key;
    uint64_t id;    /* of the request on the wire */
    uint64_t session;
    uint64_t sequence;
    uint64_t began;
    uint64_t asked;     /* LOAD_PAST: the revision; LOAD_SCAN: or 0 */
    struct load_key *to; /* LOAD_SCAN: the key before which it ends; NULL: at the last one */
    uint64_t invoked;   /* LOAD_SCAN */
    uint32_t limit;     /* LOAD_SCAN: keys */
    bool stale;         /* LOAD_SCAN */
    uint64_t min_index; /* of a peek */
    uint64_t node_gives_up; /* when the node that has it stops trying, at the latest */
    uint64_t floor;     /* of a peek: the connection had seen this index before */
    uint32_t attempts;
    bool unsure; /* an earlier attempt may have been, or may yet be, applied */
    bool last;   /* one of the gets of the end: repeated until it is answered */
    bool closed_session; /* its session was closed before it began */
    uint64_t first_index;  /* LOAD_PROBE: the answer that came before */
    uint64_t first_digest;
    int64_t first_status;
};

/* A connection; lives until the transport has told its end. */
struct load_link {
    struct os_list link; /* load.links */
    struct load_client *client;
    void *handle;
    uint64_t floor; /* the highest index that a read on it was served at */
    uint32_t node;
};

enum load_conn { LOAD_DOWN, LOAD_DIALING, LOAD_GREETING, LOAD_READY };

struct load_watch {
    bool wanted;
    bool open;      /* it was asked for on the present connection */
    bool exact;     /* (index, ordinal) is an event that was seen, or the place that the stream was opened behind */
    uint64_t id;
    uint64_t index; /* of the last event, or where it begins */
    uint64_t ordinal;
    uint64_t credit;
    uint64_t seen;  /* events since it was opened */
    struct sim_event timer;
};

struct load_client {
    struct sim *sim;
    struct sim_load *load;
    uint32_t number;
    uint32_t state; /* enum load_conn */
    char name[16];
    struct sim_side *side;
    struct gavel_transport_events events;
    struct load_link *conn; /* NULL: none */
    struct sim_event timer; /* redials */
    struct sim_random dice;
    uint64_t next_id;
    uint32_t aim;       /* the node that it would like next; SIM_NODES_MAX: any */
    uint32_t timeouts;  /* in a row */
    bool likes_sessions;
    uint64_t session;   /* 0: none */
    uint64_t closed;    /* a session that it has closed */
    uint64_t sequence;  /* the last that was used */
    uint64_t spare;     /* one that was left out, to be used later; 0: none */
    uint64_t touched;   /* when the last command that was answered in the session was sent first */
    uint64_t nap_until;
    struct load_slot slots[LOAD_SLOTS];
    struct load_watch watch;
};

struct load_facts;
struct load_witnesses;

struct sim_load {
    struct sim *sim;
    struct sim_random dice;
    struct history history;
    struct load_facts *facts;
    struct load_witnesses *witnesses; /* NULL: none yet */
    struct load_key *keys; /* by class */
    uint32_t registers;
    uint32_t counters;
    uint32_t groups; /* three keys each */
    uint32_t flows;
    uint32_t key_count;
    uint64_t clock;  /* order of calls and returns */
    uint64_t values; /* the last unique value */
    uint64_t highest; /* index that any answer has told */
    bool finishing;
    uint64_t quiet_at; /* until then a node may be busy with a request that its client gave up */
    uint32_t last_key; /* the next key to be read at the end */
    struct sim_event arrival;
    struct os_list links;
    uint32_t client_count;
    struct load_client clients[LOAD_CLIENTS_MAX];
    unsigned char *arena; /* LOAD_ARENA_BYTES: what comes is decoded here */
};

/* ---- load_client.c ------------------------------------------------------------------------------------- */

void load_client_init(struct load_client *client, struct sim_load *load, uint32_t number);

/* A slot that is free on a connected client; NULL: none. */
struct load_slot *load_client_slot(struct load_client *client);

/* Send what was put into the slot for the first time. */
void load_begin(struct load_slot *slot);

/* The sequence up to which this client has every answer in a session; 0 for one that it has left. */
uint64_t load_acked(const struct load_client *client, uint64_t session);

/* Close the connection: nothing that is on its way counts any more. */
void load_hang_up(struct load_client *client, const char *why);

/* Send bytes on the connection; false when that is not possible. */
bool load_send(struct load_client *client, const unsigned char *bytes, size_t size);

/* ---- load_ask.c ---------------------------------------------------------------------------------------- */

void load_make_keys(struct sim_load *load);
struct load_key *load_key_named(struct sim_load *load, struct gavel_slice name);

/* Put something to ask into a free slot; false: nothing just now. */
bool load_choose(struct load_slot *slot);

/* The get of the end for the next key; false: all have been asked for. */
bool load_choose_last(struct load_slot *slot);

/* ---- load_encode.c ------------------------------------------------------------------------------------- */

struct load_bytes {
    size_t size;
    unsigned char data[4 * LOAD_VALUE_BYTES];
};

void load_encode(const struct load_slot *slot, uint64_t remaining_ms, bool no_forward, struct load_bytes *out);
void load_encode_watch(uint64_t id, uint64_t index, uint64_t ordinal, uint64_t credit, struct load_bytes *out);
void load_encode_credit(uint64_t id, uint64_t credit, struct load_bytes *out);
void load_encode_close(uint64_t id, struct load_bytes *out);

/* The number in a value of ours: its bytes are checked, what is damaged or not ours fails the run. */
uint64_t load_value(struct sim_load *load, const struct load_key *key, struct gavel_slice value);

/* ---- load_witness.c ------------------------------------------------------------------------------------ */

/* The whole history is there: writes without an answer get the index of an entry that asks for the same. */
void load_witnesses_ask(struct sim_load *load);
struct load_witnesses *load_witnesses_free(struct load_witnesses *witnesses);

/* ---- load_answer.c ------------------------------------------------------------------------------------- */

enum load_verdict {
    LOAD_DONE,    /* this is the outcome */
    LOAD_REFUSED, /* nothing was done by this attempt */
    LOAD_UNSURE,  /* it may have been done, or may yet be */
    LOAD_GONE     /* the session is gone: nothing was done by this attempt, nor will ever be */
};

enum load_verdict load_judge(struct load_slot *slot, const struct codec_reply *reply);

/* The outcome of a command goes into the history, and is held against all that is known. `reply` is NULL unless it
 * is LOAD_DONE. */
void load_note(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply);

/* Hold a read that need not be fresh against what it was to see. */
void load_check_stale(const struct load_slot *slot, const struct codec_reply *reply);
void load_raise_floor(struct load_slot *slot, const struct codec_reply *reply);
void load_count(struct sim_totals *totals, bool read, enum load_verdict verdict, const struct codec_reply *reply);

/* What a result says; parts that are not there are 0 or absent. */
struct load_said {
    uint64_t revision;
    uint64_t version;
    bool has_version;
    struct gavel_slice value; /* of get, incr */
    struct gavel_slice data;  /* of a workflow */
    struct gavel_slice items;
    struct gavel_slice key;
    struct gavel_slice after; /* of a page */
    bool stopped;
};
void load_listen(struct gavel_slice result, struct load_said *said);

/* A read saw this in a key; into the operation, which is one of the history's. */
void load_note_read(struct sim_load *load, struct load_key *key, struct history_op *op, const struct load_said *said);

/* ---- load_scan.c --------------------------------------------------------------------------------------- */

/* Put a read of some range into a free slot; the arguments of one; its outcome. */
void load_choose_scan(struct load_slot *slot, struct load_key *first, struct load_key *second);
void load_note_scan(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply);

/* ---- load_watch.c -------------------------------------------------------------------------------------- */

void load_watch_init(struct load_client *client);
void load_watch_connected(struct load_client *client);
void load_watch_lost(struct load_client *client);
void load_watch_event(struct load_client *client, const struct codec_stream_event *event);
void load_watch_end(struct load_client *client, const struct codec_stream_end *end);

/* ---- load_facts.c -------------------------------------------------------------------------------------- */

#define LOAD_DELETED UINT64_MAX /* the value of a key at the revision that deleted it */

struct load_facts *load_facts_new(struct sim_load *load);
struct load_facts *load_facts_free(struct load_facts *facts);

/* The change at this index left the key with this value. */
void load_fact(struct sim_load *load, const struct load_key *key, uint64_t index, uint64_t value);

/* A stream brought (index, ordinal) as the next event behind (from_index, from_ordinal). `exact`: that was an event. */
void load_fact_next(struct sim_load *load, uint64_t from_index, uint64_t from_ordinal, bool exact, uint64_t index,
                    uint64_t ordinal);

/* The end: nothing that failed was seen, nothing acknowledged was left out by a stream. */
void load_facts_check(struct sim_load *load);

#endif
