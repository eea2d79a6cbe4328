/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.h - snapshots that an administrator reads through a connection, see save.c. Part of internal.h.
 */
#ifndef CORE_NODE_SAVE_H
#define CORE_NODE_SAVE_H

#include "core/log/snapshot.h"

struct conn;
struct node;

#define NODE_SAVES_MAX 4
#define NODE_SAVE_PIECE (256u << 10) /* bytes of one answer */

enum save_state {
    SAVE_FREE = 0,
    SAVE_ASKS,  /* what is committed? */
    SAVE_WAITS, /* until that is applied, and in a snapshot */
    SAVE_OPEN,
};

struct node_save {
    uint32_t state; /* enum save_state */
    bool reading;
    struct node *node;
    uint64_t handle;
    uint64_t conn; /* serial number of the connection that it belongs to */
    struct origin origin; /* of the request that is not answered yet */
    uint64_t deadline_ns;
    uint64_t used_ns; /* when it was last read from */
    uint64_t barrier; /* id of the round that it waits for */
    uint64_t index;   /* it has to be at least as new */
    struct log_snapshot_reader *reader;
};

/* The commands snapshot_open, snapshot_read and snapshot_close. */
void save_begin(struct node *node, struct conn *conn, struct origin origin, uint64_t deadline_ns);
void save_read(struct node *node, const struct conn *conn, struct gavel_slice arguments, struct origin origin);
void save_close(struct node *node, const struct conn *conn, struct gavel_slice arguments, struct origin origin);
/* A round of reads has ended. */
void save_barrier(struct node *node, uint64_t id, uint64_t index);
/* Open what is ready to be. Between steps. */
void save_settle(struct node *node);
void save_expire(struct node *node, uint64_t now);
void save_end(struct node_save *save);
void save_end_all(struct node *node);

#endif
