/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - every metric of gaveld and of the plugins that come with it, once: the registry has them from its first
 * moment, gavel-metrics(7) is made from them, and a test reads each of them from running nodes.
 *
 *     METRIC(symbol, kind, name, unit, attributes, help)
 *
 * `unit` is UCUM; "{thing}" counts things. `attributes` names those that its series have, with commas; "": one series
 * without any, which is there from the start. NODE_METRICS are recorded by core/node, HOST_METRICS by core/host and by
 * plugins. How Prometheus calls them is not written here: plugins/observers/names.h derives it.
 */
#ifndef GAVEL_CORE_NODE_METRICS_H
#define GAVEL_CORE_NODE_METRICS_H

#define NODE_METRICS_CONSENSUS(METRIC) \
    METRIC(commands, COUNTER, "consensus.commands.total", "{command}", "", \
           "Commands committed, as this node has applied them") \
    METRIC(elections, COUNTER, "consensus.elections.total", "{election}", "result", \
           "Elections that this node has started, by how they ended: won, lost, timeout") \
    METRIC(state, GAUGE, "consensus.node.state", "{state}", "", \
           "Role of this node: 0 follower, 1 candidate or pre-candidate, 2 leader, 3 learner, 5 recovering") \
    METRIC(term, GAUGE, "consensus.term", "{term}", "", "Term that this node is in") \
    METRIC(leader_known, GAUGE, "consensus.leader.known", "1", "", "1 while this node knows who leads, else 0") \
    METRIC(leader_changes, COUNTER, "consensus.leader.changes", "{change}", "", \
           "How often this node has heard of another leader, or of one in another term") \
    METRIC(commit_index, GAUGE, "consensus.index.commit", "{entry}", "", "Index of the last committed entry") \
    METRIC(applied_index, GAUGE, "consensus.index.applied", "{entry}", "", "Index of the last applied entry") \
    METRIC(last_index, GAUGE, "consensus.index.last", "{entry}", "", "Index of the last entry of the log") \
    METRIC(durable_index, GAUGE, "consensus.index.durable", "{entry}", "", \
           "Index of the last entry that is on this node's own disk") \
    METRIC(snapshot_index, GAUGE, "consensus.index.snapshot", "{entry}", "", "Index of the newest snapshot") \
    METRIC(commit_seconds, HISTOGRAM, "consensus.commit.duration", "s", "", \
           "Time of a batch of this leader from its proposal to its commit") \
    METRIC(apply_seconds, HISTOGRAM, "consensus.apply.duration", "s", "", \
           "Time in which the state machines applied one run of committed entries") \
    METRIC(apply_entries, HISTOGRAM, "consensus.apply.entries", "{entry}", "", "Entries of one such run") \
    METRIC(waiting, GAUGE, "consensus.commands.waiting", "{command}", "", \
           "Commands of clients of this node that wait: for their commit, for a leader, for the answer of one") \
    METRIC(reads, COUNTER, "consensus.reads.total", "{read}", "level", \
           "Reads that this node has served, by level: linearizable, stale")

#define NODE_METRICS_LOG(METRIC) \
    METRIC(batch_entries, HISTOGRAM, "log.batch.entries", "{entry}", "", \
           "Entries of a batch that this leader proposed") \
    METRIC(batch_bytes, HISTOGRAM, "log.batch.size", "By", "", "Bytes of such a batch") \
    METRIC(sync_seconds, HISTOGRAM, "log.sync.duration", "s", "", "One write of the log with its sync") \
    METRIC(log_bytes, GAUGE, "log.size", "By", "", "Bytes of the log from its first to its last entry") \
    METRIC(log_disk, GAUGE, "log.disk.usage", "By", "", "Bytes of the log's files, those prepared for later included") \
    METRIC(log_free, GAUGE, "log.disk.free", "By", "", "Bytes that are free where the data directory lies") \
    METRIC(log_queue, GAUGE, "log.queue.size", "By", "", "Bytes that wait to be written to the log") \
    METRIC(log_cache, GAUGE, "log.cache.size", "By", "", "Bytes of the log that are kept in memory") \
    METRIC(log_segments, GAUGE, "log.segments", "{segment}", "", "Files of the log that hold entries")

#define NODE_METRICS_CLUSTER(METRIC) \
    METRIC(nodes, GAUGE, "cluster.nodes.total", "{node}", "", "Members of the cluster") \
    METRIC(healthy, GAUGE, "cluster.nodes.healthy", "{node}", "", \
           "Members that this node finds healthy, itself included") \
    METRIC(voters, GAUGE, "cluster.voters", "{node}", "", \
           "Members that vote; while a change of them is under way those of before and after") \
    METRIC(voters_healthy, GAUGE, "cluster.voters.healthy", "{node}", "", \
           "Voters that this node finds healthy, itself included") \
    METRIC(changes, COUNTER, "cluster.membership.changes", "{change}", "", "Configurations that took effect") \
    METRIC(peer_connected, GAUGE, "peer.connected", "1", "peer", \
           "1 while this node has a connection to the peer, else 0") \
    METRIC(peer_reconnects, COUNTER, "peer.reconnects", "{connection}", "peer", \
           "Connections to the peer that were made again after one was lost") \
    METRIC(peer_match, GAUGE, "peer.index.match", "{entry}", "peer", \
           "On the leader: up to where the peer's log is known to be this one's") \
    METRIC(peer_lag, GAUGE, "peer.lag", "{entry}", "peer", "On the leader: entries that the peer is behind") \
    METRIC(peer_silence, GAUGE, "peer.silence", "s", "peer", "On the leader: time since the peer has answered last") \
    METRIC(late_replies, COUNTER, "peer.replies.late", "{reply}", "", \
           "Replies of peers that came after their time, and were dropped") \
    METRIC(peer_drops, COUNTER, "peer.messages.dropped", "{message}", "queue", \
           "Messages to peers that found a queue full, by queue: disk, outbox, connection") \
    METRIC(messages_sent, COUNTER, "transport.messages.sent", "{message}", "peer, type", \
           "Messages sent, by peer (client and admin stand for all of these) and type") \
    METRIC(messages_received, COUNTER, "transport.messages.received", "{message}", "peer, type", "Messages received") \
    METRIC(bytes_sent, COUNTER, "transport.bytes.sent", "By", "peer, type", "Bytes of messages sent") \
    METRIC(bytes_received, COUNTER, "transport.bytes.received", "By", "peer, type", "Bytes of messages received")

#define NODE_METRICS_STATE(METRIC) \
    METRIC(size, GAUGE, "state.size", "{key}", "", "Live keys of all state machines") \
    METRIC(changelog, GAUGE, "state.changelog.size", "{revision}", "", "Revisions that the state machines keep") \
    METRIC(operations, COUNTER, "state.operations.total", "{operation}", "operation", \
           "Commands that the state machines of this node have run, reads included, as machine.command") \
    METRIC(snapshot_seconds, HISTOGRAM, "snapshot.duration", "s", "operation", \
           "Time that a snapshot took, by operation: save, send, install, restore") \
    METRIC(snapshot_bytes, HISTOGRAM, "snapshot.size", "By", "operation", "Bytes of such a snapshot") \
    METRIC(snapshot_failures, COUNTER, "snapshot.failures", "{snapshot}", "operation", \
           "Snapshots that came to nothing, by operation") \
    METRIC(alarms, GAUGE, "alarms", "{alarm}", "alarm", \
           "1 while the alarm is raised on this node, else 0: no_space, disk_stall, recovering, divergence")

#define NODE_METRICS_CLIENTS(METRIC) \
    METRIC(clients, GAUGE, "client.connections", "{connection}", "", "Clients that are connected to this node") \
    METRIC(sessions, GAUGE, "client.sessions", "{session}", "", "Sessions of the cluster that have not ended") \
    METRIC(streams, GAUGE, "client.streams", "{stream}", "", "Open streams of clients of this node") \
    METRIC(events, COUNTER, "client.events.sent", "{event}", "", "Events sent on streams") \
    METRIC(streams_ended, COUNTER, "client.streams.ended", "{stream}", "reason", \
           "Streams that this node has ended, by the name of their status") \
    METRIC(request_seconds, HISTOGRAM, "client.request.duration", "s", "kind", \
           "Time from a request's arrival on this node to its reply, by kind: write, read, admin, forwarded") \
    METRIC(errors, COUNTER, "client.errors", "{error}", "code", \
           "Requests that were refused or failed, by the name of their status")

#define NODE_METRICS(METRIC) \
    NODE_METRICS_CONSENSUS(METRIC) NODE_METRICS_LOG(METRIC) NODE_METRICS_CLUSTER(METRIC) NODE_METRICS_STATE(METRIC) \
    NODE_METRICS_CLIENTS(METRIC)

#define HOST_METRICS(METRIC) \
    METRIC(process_cpu, COUNTER, "process.cpu", "s", "", "Time that the process has spent on processors, of user and " \
           "system together") \
    METRIC(process_memory, GAUGE, "process.resident.memory", "By", "", "Memory of the process that is resident") \
    METRIC(process_virtual, GAUGE, "process.virtual.memory", "By", "", "Address space of the process") \
    METRIC(process_fds, GAUGE, "process.open.fds", "{file}", "", "File descriptors that are open") \
    METRIC(process_fds_max, GAUGE, "process.max.fds", "{file}", "", "File descriptors that may be open") \
    METRIC(process_threads, GAUGE, "process.threads", "{thread}", "", "Threads of the process") \
    METRIC(process_start, GAUGE, "process.start.time", "s", "", "When the process started, since 1970, UTC") \
    METRIC(version, GAUGE, "node.version", "1", "version", "1, with the version of the program") \
    METRIC(loop_lag, HISTOGRAM, "loop.lag", "s", "", \
           "How late a timer of the event loop fires: what anything that comes meanwhile waits") \
    METRIC(loop_turns, COUNTER, "loop.turns", "{turn}", "", "Turns of the event loop") \
    METRIC(loop_idle, COUNTER, "loop.idle", "s", "", "Time that the event loop had nothing to do") \
    METRIC(call_seconds, HISTOGRAM, "plugin.call.duration", "s", "plugin, call", \
           "Time of calls of plugins, as kind.name of their section: one of every 64 short ones is measured") \
    METRIC(observer_drops, COUNTER, "observer.records.dropped", "{record}", "", \
           "Log events and spans that found the queue to the observers full") \
    METRIC(observer_waiting, GAUGE, "observer.records.waiting", "{record}", "", \
           "Log events and spans that wait for the observers") \
    METRIC(spans_open, GAUGE, "observer.spans.open", "{span}", "", "Spans that have begun and not ended") \
    METRIC(refused, COUNTER, "transport.connections.refused", "{connection}", "instance", \
           "Connections refused because too many were open")

#endif
