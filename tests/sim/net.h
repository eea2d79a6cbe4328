/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - the simulated network: a transport for the nodes and clients of the world ("sim://n1"), and what can go wrong
 * between two of them. Each directed link has its own stream of random numbers.
 *
 * A connection carries a stream of bytes in the frames of transports/ (so that a frame can be cut in two and a reset
 * can come in the middle of one). What is sent in a turn travels together; a link has a latency and a rate; a sender's
 * queue grows when the two systems hold as much as they may. A link that is cut or clogged holds the stream back, as
 * TCP does: it goes on, late, when the link is whole again, unless one side's keepalive has given it up before.
 *
 * What a link loses, doubles or lets be overtaken are whole messages between nodes. Production transports never do
 * that, but the algorithm must not depend on it, and a message that crosses a reset and a redial looks just so:
 *   the algorithm's own messages   are lost, come twice, overtake each other, once both hellos are over
 *   forwarded requests, replies    are lost (they have a deadline), but never come twice: a write without a session
 *                                  would be executed twice, and core/node may rely on the transport there
 *   hellos, the founding           rely on the contract of gavel/transport.h: their loss is a reset
 *   to and from clients            nothing is lost, doubled or overtaken: the connection is reset instead
 * A message that is late makes those behind it late as well, on every connection.
 */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include <gavel/transport.h>

#include "sim.h"

extern const struct gavel_transport sim_transport; /* its self is a struct sim_side */

struct sim_net *sim_net_new(struct sim *sim);
struct sim_net *sim_net_free(struct sim_net *net);

/* One instance, for a node (`node` not NULL) or for a client (`name` then names it in traces). It lives as long as the
 * net. */
struct sim_side *sim_net_side(struct sim_net *net, struct sim_node *node, const char *name);

/* The process behind a side is gone: its connections end as those of a killed process (or, `silent`, as those of a
 * machine without power: the other side learns it from time-outs only, and dials time out). Without `silent`, dials are
 * refused until it listens again. What it sent and has not flushed is gone. */
void sim_net_kill(struct sim_side *side, bool silent);

/* What passes from node `from` to node `to`: nothing while cut. Clients are on the side of the node they talk to. */
void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
bool sim_net_is_cut(const struct sim_net *net, uint32_t from, uint32_t to);

/* Of a link that is cut: whether a connection was open over it then, or it has held something back or lost it since. */
bool sim_net_cut_felt(const struct sim_net *net, uint32_t from, uint32_t to);

void sim_net_heal(struct sim_net *net); /* all links whole, and no more misfortune (the second phase) */

/* A link stops moving until then: what was sent waits, in order. False: no connection goes over it now. */
bool sim_net_clog(struct sim_net *net, uint32_t from, uint32_t to, uint64_t until);

/* The same for one direction of a connection between a client and a node, all by chance; false: there is none. */
bool sim_net_clog_client(struct sim_net *net, struct sim_random *dice, uint64_t until);

/* Break one connection of this node, picked by the stream; within a frame when it can. */
void sim_net_reset(struct sim_net *net, uint32_t node);

/* A node moves: it has another address besides those that lead to it already, which from now on is the one that it
 * listens at when it starts; into `uri`. Nobody knows of it yet. */
void sim_net_move(struct sim_side *side, char *uri, size_t size);

/* Only the newest address leads to the node any more: connections that were dialled to another one break. */
void sim_net_leave(struct sim_side *side);

/* The node's process is paused or runs on: what arrives meanwhile waits at its door. */
void sim_net_pause(struct sim_side *side, bool paused);

/* Bytes under way. What a node has queued is its transport's to bound; of these no direction of a connection has more
 * than two systems hold, by construction (net_flow.c), so only the tests of the network ask. */
uint64_t sim_net_in_flight(const struct sim_net *net);

#endif
