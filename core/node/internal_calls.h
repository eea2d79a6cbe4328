/* SPDX-License-Identifier: Apache-2.0 */
/* internal_calls.h - the second half of internal.h, which includes it: what the later files of its list offer. */
#ifndef CORE_NODE_INTERNAL_CALLS_H
#define CORE_NODE_INTERNAL_CALLS_H

#include "core/node/internal.h"

/* ---- work.c -------------------------------------------------------------------------------------------- */

void work_pump(struct node *node);
bool work_idle(const struct node *node);
void work_maintain(struct node *node, uint64_t now);
void work_free(struct node *node);

/* ---- snapshot.c ---------------------------------------------------------------------------------------- */

int32_t snapshots_new(struct node *node);
void snapshots_free(struct node *node);
void snapshot_consider(struct node *node);
int32_t snapshot_take(struct node *node, struct origin origin);
/* The same, and where only the apply lane has the state now, as soon as that lets go: GAVEL_OK when origin is answered
 * then, GAVEL_E_BUSY when nobody waits for an answer. */
int32_t snapshot_want(struct node *node, struct origin origin);
void snapshot_counted(struct node *node, uint64_t entries, uint64_t bytes);
/* Whether one may begin now, as far as earlier ones go. */
bool snapshot_may_take(const struct node *node);
void snapshot_start_sending(struct node *node, uint64_t peer, uint64_t index);
void snapshot_stop_sending(struct node *node, uint64_t peer);
void snapshot_send_chunk(struct node *node, struct peer *peer, const struct raft_message *message);
/* Open snapshots for peers that wait for one. Between steps. */
void snapshot_serve_peers(struct node *node);
/* When the next chunk may go out; UINT64_MAX: none waits. */
uint64_t snapshot_send_deadline(const struct node *node);
void snapshot_send_on(struct node *node, uint64_t now);
void snapshot_store_chunk(struct node *node, const struct raft_snapshot_request *chunk);
/* What is received of a snapshot that the algorithm asked for is let go of: the log takes one at a time, and it may
 * be of a leader that is gone. It is asked for again if it is needed. */
void snapshot_yield(struct node *node);
/* Nothing is being taken, installed or restored. */
bool snapshot_quiet(const struct node *node);
void snapshot_install(struct node *node, const struct raft_snapshot_request *chunk);
/* Restore the machines from a published snapshot, then call done(node, status). */
void snapshot_restore(struct node *node, uint64_t index, void (*done)(struct node *node, int32_t status));
void snapshot_compact(struct node *node);
uint64_t snapshot_index(const struct node *node);
/* The node is stopping: let go of everything that is being taken, sent or received. */
void snapshots_give_up(struct node *node);
/* Do what effects have asked for; only between steps. */
void snapshot_applier_idle(struct node *node);
const char *snapshot_error(const struct node *node);
/* The members that the snapshot which was restored last carried. */
const struct members *snapshot_members(const struct node *node);

/* ---- rebuild.c ----------------------------------------------------------------------------------------- */

/* The commands `rebuild {name}` and, between members, `state_offer` and `state_piece`. */
void rebuild_command(struct conn *conn, const struct codec_request *request, const char *command, struct origin origin,
                     uint64_t deadline_ns);
void rebuild_answer(struct node *node, uint64_t id, const struct codec_reply *reply);
void rebuild_step(struct node *node);
void rebuild_idle(struct node *node); /* between two runs */
bool rebuild_fetches(const struct node *node); /* a snapshot of the leader's comes, or is being restored */
void rebuild_free(struct node *node);
/* The algorithm has installed a snapshot of the leader: the state is another one. */
void rebuild_installed(struct node *node, uint64_t index);

/* ---- event.c ------------------------------------------------------------------------------------------- */

int32_t events_new(struct node *node);
void events_free(struct node *node);
/* A snapshot of `index` was restored: events up to it cannot be had here. */
void events_begin_after(struct node *node, uint64_t index);
/* From the log: `record` of an apply run. */
void event_applied(struct node *node, const struct apply_record *record);
/* Of this node alone, now: writes a map of name/value pairs (text), NULL-terminated. */
void event_local(struct node *node, const char *type, const char *key, const char *const *pairs);
void event_pump(struct node *node);
/* Some stream waits for its connection to take more: pump again in NODE_CHOKED_NS. */
bool event_choked(const struct node *node);
void event_open(struct conn *conn, const struct codec_stream_open *open);
void event_credit(struct conn *conn, const struct codec_stream_credit *credit);
void event_close(struct conn *conn, const struct codec_stream_close *close);
void event_conn_gone(struct conn *conn);
void event_end_all(struct node *node, int32_t status, const char *why);
uint64_t event_stream_count(const struct node *node);

/* ---- probe.c ------------------------------------------------------------------------------------------- */

/* What the table says for answers to checks: a sum of HEALTH_ALARM_.... */
uint64_t probe_alarms(const struct node *node, uint64_t now);
/* The reason of the first row that fails and decides one of these; "" when all are well. */
void probe_first(const struct node *node, uint32_t decides, char reason[NODE_REASON_MAX]);
/* The rows that keep it from being ready, as an array of maps: probe, reason. */
void probe_put_not_ready(const struct node *node, struct gavel_writer *out);

/* ---- status.c ------------------------------------------------------------------------------------------ */

/* "leader", "follower" ...; a constant. */
const char *status_role(const struct node *node);
void status_members(const struct node *node, struct gavel_writer *out);
/* The same with the version that a change may be made conditional on. */
void status_member_list(const struct node *node, struct gavel_writer *out);
void status_describe(const struct node *node, struct gavel_writer *out);

/* ---- found.c: the rest is in internal.h ------------------------------------------------------------------- */

/* One of those by whom the cluster was founded; not one that gavel recover has put into the record, to join by it. */
bool found_took_part(const struct node *node);

/* ---- setting_node.c -------------------------------------------------------------------------------------- */

struct setting_scope setting_scope(const struct node *node);
/* The value that the INI file gives a key, by its one spelling, into *out; false: none. */
bool setting_given(const struct node *node, const char *key, const struct setting_row *row, struct gavel_buffer *out);
/* The core runs: what the INI file gives is to be compared, once this node has caught up. */
void settings_begin(struct node *node);
/* Ask for a round of reads, if one is still needed; again from time to time, for rounds get lost with their leader. */
void settings_ask(struct node *node);
void settings_barrier(struct node *node, uint64_t index);
void settings_settle(struct node *node);
/* The apply lane has changed some, or restored a snapshot; it is idle. */
void settings_changed(struct node *node);
int32_t settings_abilities(struct node *node);
/* From a hello or a welcome of it. */
void settings_learn(struct peer *peer, uint64_t protocol_minor, uint64_t disk_minor, struct gavel_slice machines);

/* ---- setting_command.c ----------------------------------------------------------------------------------- */

void settings_show(struct node *node, struct gavel_writer *out);
void settings_set_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                          uint64_t deadline_ns);
void settings_upgrade_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                              uint64_t deadline_ns);
/* Whether what its plugins can do is known now. */
bool settings_known(const struct peer *peer);

/* ---- hostcmd.c ----------------------------------------------------------------------------------------- */

bool hostcmd_is(struct gavel_slice machine, struct gavel_slice *command);
void hostcmd_request(struct conn *conn, const struct codec_request *request, struct gavel_slice command,
                     struct origin origin, uint64_t deadline_ns);
/* What became of a snapshot that an administrator asked for, unless it was begun: then its end is the answer. */
void hostcmd_snapshot_answer(struct node *node, struct origin origin, int32_t status);
void hostcmd_transfer_ended(struct node *node, bool done);

#include "core/node/roster_node.h"

#endif
