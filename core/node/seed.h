/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed.h - founding without a list of members: nodes that know only addresses (seeds) look for each other, and when N
 * empty ones (bootstrap_expect) all see the same N, the one with the lowest name founds. See seed.c. [loop]
 */
#ifndef CORE_NODE_SEED_H
#define CORE_NODE_SEED_H

#include "core/codec/message.h"
#include "core/node/members.h"

struct conn;
struct node;
struct peer;

/* An empty node that is seen: this one, or whoever answers at a seed. */
struct seed_candidate {
    char name[NODE_NAME_MAX];
    uint64_t incarnation;
    struct peer *peer;  /* NULL: this node itself. Valid within one look. */
    uint64_t ask;       /* id of the last question on its connection, and of the last record; 0: none */
    uint64_t record;
    bool granted;       /* it answered: it sees the same */
    bool done;          /* it holds the record, durably */
    uint32_t address_count; /* where it says that it is reached */
    char addresses[NODE_ADDRESSES_MAX][NODE_URI_MAX];
};

struct node_seed {
    uint32_t count;
    uint64_t hash; /* of what is seen, and of how many are expected */
    struct seed_candidate view[NODE_MEMBERS_MAX]; /* sorted by name */
    uint64_t next_ns;  /* when whoever has not answered is asked again */
    bool formed;       /* somebody belongs to a cluster: this node founds nothing any more */
    bool preparing;    /* the record is being written, not yet as a member ... */
    uint64_t caller;   /* ... for the founder on this connection (serial number; 0: this node) ... */
    uint64_t caller_id;
    bool dropped;      /* the record that is held can never count: its founder lost its disk before anybody joined */
    char said[200];    /* how far it has got, for people */
};

/* Make it, if the setup says that this node discovers others. GAVEL_E_NO_MEMORY. */
int32_t seed_new(struct node *node);
void seed_free(struct node *node);

/* Look at who is there, and do what can be done. Any time before the founding. */
void seed_step(struct node *node);

/* What came of the dial at a seed: its welcome, refused or not. */
void seed_met(struct conn *conn, const struct codec_welcome *welcome);

/* The messages of a founding, while this node discovers. */
void seed_ask(struct conn *conn, const struct codec_found_ask *ask, struct codec_found_answer *answer);
void seed_answer(struct conn *conn, const struct codec_found_answer *answer);
void seed_record(struct conn *conn, const struct codec_found_record *record);
void seed_done(struct conn *conn, const struct codec_found_done *done);

/* The record is durable (seed->preparing). */
void seed_saved(struct node *node);

/* Whether this node made the record that is held. */
bool seed_is_founder(const struct node *node);

/* ---- found.c: the record into node->record (false: fatal), onto the disk; and this node is that member ---- */

bool found_make(struct node *node, const struct members *members);
void found_save(struct node *node);
/* Where this node says that it is reached: what its setup says, or where it listens. Into `addresses`. */
struct gavel_list found_addresses(const struct node *node, struct gavel_slice addresses[NODE_ADDRESSES_MAX]);
void found_become(struct node *node, uint64_t id);

#endif
