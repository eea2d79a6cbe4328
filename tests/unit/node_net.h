/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_net.h - a network in memory that is a transport: mem://NAME. Messages wait in one queue and are
 * delivered by hand, in order; a side can be cut off, its listener closed, its connections broken. One
 * thread.
 */
#ifndef TESTS_NODE_NET_H
#define TESTS_NODE_NET_H

#include <gavel/transport.h>
#include <stdbool.h>

struct net;
struct net_side; /* one transport instance: struct gavel_transport's self */

extern const struct gavel_transport net_transport;

struct net *net_new(void);
struct net *net_free(struct net *net);

/* A transport instance that listens as mem://name when the node says so. Lives as long as the net. */
struct net_side *net_side(struct net *net, const char *name);

/* Deliver one waiting event; false when there is none. */
bool net_deliver(struct net *net);

/* The process behind a side is gone: its connections break, dials to it are refused until it listens again.
 */
void net_kill(struct net_side *side);

/* Whoever holds this connection is gone: no up-call for it any more. */
void net_forget(void *connection);

/* Cut or heal the wire between two sides: messages and dials vanish, nothing is told to anybody. */
void net_cut(struct net *net, const char *a, const char *b, bool cut);

/* Whoever dialled from this side does not read at present: what is sent to it stays queued with its sender. */
void net_pause(struct net_side *side, bool paused);

/* What is sent to this side from now on comes so much later, by a clock that outlives the net. */
void net_delay(struct net_side *side, const uint64_t *now_ns, uint64_t delay_ns);

/* What this side sends goes through that, as if another version had sent it: it may change and shorten it. */
void net_rewrite(struct net_side *side, size_t (*rewrite)(unsigned char *bytes, size_t size));

/* What it sends may have so many bytes from now on; its node knows nothing of it. */
void net_message_bytes(struct net_side *side, uint64_t bytes);

/* Bytes that were sent to a side and wait for it. */
uint64_t net_waiting(const struct net_side *side);

/* Events that wait to be delivered, to anybody. */
uint64_t net_length(const struct net *net);

/* Messages delivered so far. */
uint64_t net_delivered(const struct net *net);

#endif
