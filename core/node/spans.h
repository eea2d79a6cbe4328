/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h - every span that gaveld makes, once: gavel-metrics(7) is made from this table, and a test sees each of them.
 *
 *     SPAN(symbol, name, kind, attributes, help)
 *
 * `kind` is a GAVEL_SPAN_... of gavel/observer.h.
 * Every one also has the attribute node.id, the node's name. "state.COMMAND" stands for a command of a state machine.
 */
#ifndef GAVEL_CORE_NODE_SPANS_H
#define GAVEL_CORE_NODE_SPANS_H

#define NODE_SPANS(SPAN) \
    SPAN(REPLICATE, "raft.replicateCommand", SERVER, "command, index, term", \
         "On the leader: a write, from the moment it is taken up to its reply") \
    SPAN(FORWARD, "raft.forwardCommand", SERVER, "command, peer", \
         "On another node: a write that is sent on to the leader, until its reply is back") \
    SPAN(READ, "raft.readIndex", SERVER, "command, level, index", "A read, from its arrival to its reply") \
    SPAN(WRITE, "log.write", INTERNAL, "index, term", \
         "An entry on its way to this node's disk, until its sync has returned") \
    SPAN(SEND, "transport.send", PRODUCER, "peer, index, term", \
         "On the leader: an append with the entry in it is written and given to the transport") \
    SPAN(COMMAND, "state.COMMAND", INTERNAL, "command, index, term", \
         "A command runs in its state machine, on every node: state.set, state.delete, state.update and so on by the " \
         "name of the command; its key arguments are attributes too if [trace] arguments says so") \
    SPAN(ELECTION, "raft.election", INTERNAL, "term, result", \
         "An election that this node has started, until it is over") \
    SPAN(RAFT_INITIALIZE, "raft.initialize", INTERNAL, "term, index", \
         "From a founded data directory to an algorithm that runs: what was recovered is read back") \
    SPAN(STATE_INITIALIZE, "state.initialize", INTERNAL, "index", \
         "The state machines get their state: from the newest snapshot, if there is one") \
    SPAN(CLUSTER_INITIALIZE, "cluster.initialize", INTERNAL, "", \
         "A node without a cluster, until it has founded or joined one") \
    SPAN(ADD, "cluster.addNode", SERVER, "member, index", \
         "On the leader: a change that adds members, until it is over; in the trace of whoever asked for it") \
    SPAN(REMOVE, "cluster.removeNode", SERVER, "member, index", "On the leader: a change that removes members") \
    SPAN(CHANGE, "cluster.changeNode", SERVER, "member, index", "On the leader: any other change of members") \
    SPAN(HEALTH, "cluster.healthCheck", CLIENT, "peer", \
         "This node checks the health of another, until its answer; by the ratio of [trace]") \
    SPAN(START, "transport.start", INTERNAL, "transport", "A transport begins to listen") \
    SPAN(SAVE, "snapshot.save", INTERNAL, "index, bytes", \
         "A snapshot is taken, from the held state to the published file") \
    SPAN(INSTALL, "snapshot.install", INTERNAL, "index, bytes", \
         "A snapshot that the leader has sent takes the state's place")

#endif
