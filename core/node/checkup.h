/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkup.h - checks of the other members, what is known of their health, and what a node observes of itself. [loop]
 */
#ifndef CORE_NODE_CHECKUP_H
#define CORE_NODE_CHECKUP_H

#include "core/codec/message.h"
#include "core/node/health.h"
#include "core/node/node.h"

struct conn;
struct peer;

/* How a member is seen from here: each peer, and the node itself. */
struct watched {
    struct health_observation seen;
    struct health_verdict verdict;
    uint64_t since_ns; /* it is in that state; 0: since the start */
    uint64_t next_ns;  /* the next check */
    uint64_t serial;
    uint64_t check_id; /* of the check under way; 0: none */
    uint64_t sent_ns;
    bool heard;    /* anything came from it since the last check */
    bool reported; /* `report` is its newest answer */
    uint64_t report_ns;
    uint64_t lag_entries; /* behind what was committed when it answered last */
    uint64_t lag_bytes;
    struct codec_check_answer report;
    char why[128]; /* of the last failure */
    char role[16];
    char leader[NODE_NAME_MAX];
    char version[64];
};

/* ---- checkup.c --------------------------------------------------------------------------------------------- */

/* Checks that are due, and those whose time is over. */
void checkup_step(struct node *node, uint64_t now);
uint64_t checkup_deadline(const struct node *node);
/* Each tick: what may have changed without a check. */
void checkup_look(struct node *node, uint64_t now);
/* The connection that we dialled is up, is lost, or cannot be had. */
void checkup_up(struct peer *peer);
void checkup_down(struct peer *peer, const char *why);
void checkup_unreachable(struct peer *peer, const char *why);
/* It is not the member any more that it was. */
void checkup_forget(struct peer *peer);
/* A check, or the answer to one; the connection has a peer. */
void checkup_message(struct conn *conn, uint64_t type, const void *message);

/* ---- report.c -------------------------------------------------------------------------------------------- */

/* What this node observes of itself; texts are borrowed until it does something. */
struct codec_check_answer report_make(struct node *node);
/* Note what a member said, with copies of its texts. */
void report_keep(struct watched *watched, struct codec_check_answer report, uint64_t now);
/* Write it as one map. */
void report_put(const struct codec_check_answer *report, uint64_t age_ms, struct gavel_writer *out);
/* Four keys of a map: health, reason, cause, health_ms. */
#define REPORT_HEALTH_KEYS 4
void report_put_health(const struct node *node, const struct watched *watched, struct gavel_writer *out);

#endif
