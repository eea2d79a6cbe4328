/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - the simulated disk of one node: a durable and a present image, and all that can go wrong with either.
 *
 * Operations happen at once and cost time that the lanes take into account (sim_disk_cost): a job's completion comes
 * so much later. Faults come from the options' classes misdirect, disk-error, disk-full and stall by themselves, from
 * this disk's own stream; only for rot fate asks (sim_disk_rot).
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include "sim.h"

extern const struct os_file_ops sim_disk_files; /* its object is a struct sim_disk */

struct sim_disk *sim_disk_new(struct sim *sim, struct sim_node *node);
struct sim_disk *sim_disk_free(struct sim_disk *disk);

/* The simulated ns that the operations since the last call took, stalls included; 0 afterwards. */
uint64_t sim_disk_cost(struct sim_disk *disk);

/* The process is gone. SIM_KILL: what it wrote stays, pending; SIM_POWER: each pending sector, rename and directory
 * entry is kept, dropped or damaged, in any order. Nothing that was synced changes. */
void sim_disk_crash(struct sim_disk *disk, enum sim_crash how);

/* The machine dies within its n-th changing operation from now (1: the next): that one happens in part or not, it and
 * all that follow answer -EIO, and sim_disk_dying is true until sim_disk_crash. 0: never. For crashes inside recovery
 * and the enumerating mode. */
void sim_disk_die_after(struct sim_disk *disk, uint64_t operations);
bool sim_disk_dying(const struct sim_disk *disk);
uint64_t sim_disk_operations(const struct sim_disk *disk); /* changing ones so far */

/*
 * The machine dies within an operation of its present life: the `count`-th changing one from now (1: the next) of those
 * aimed at, by what they work on. Otherwise as sim_disk_die_after, which it does not touch; a crash undoes it.
 *
 *   SIM_AIM_LOG        writes and syncs of segments and of log/synced
 *   SIM_AIM_VOTE       the same of the two vote files
 *   SIM_AIM_SNAPSHOT   the same of snapshots, and of what is to become one
 *   SIM_AIM_NAMES      files and directories that are made, renamed or taken away, and the syncs of directories
 *   SIM_AIM_ANY        all of these, and whatever else changes
 */
enum sim_aim { SIM_AIM_ANY, SIM_AIM_LOG, SIM_AIM_VOTE, SIM_AIM_SNAPSHOT, SIM_AIM_NAMES, SIM_AIMS };
void sim_disk_aim(struct sim_disk *disk, enum sim_aim at, uint64_t count);

/* Of a disk that is dying: within which kind of operation. SIM_AIM_ANY: one of none of the other kinds. */
enum sim_aim sim_disk_died_in(const struct sim_disk *disk);

/* How many were asked for since, the one within which it died left out. */
uint64_t sim_disk_unanswered(const struct sim_disk *disk);

/* For the enumerating mode. What the next loss of power does to what was not synced, if it is by sim_disk_die_after or
 * `any` is: all of it is dropped, kept, or each piece as the stream decides. */
enum sim_disk_fate { SIM_DISK_ANY, SIM_DISK_DROP, SIM_DISK_KEEP };
void sim_disk_choose(struct sim_disk *disk, enum sim_disk_fate fate, bool any);

/* The call number `call` of all (1: the first since the disk was made, reading ones included) answers -EIO, as it does
 * by itself where the class disk-error is on. 0: none. */
void sim_disk_fail_at(struct sim_disk *disk, uint64_t call);
uint64_t sim_disk_calls(const struct sim_disk *disk); /* so far */

/* Whether an operation of the node's present or last life has failed or found no room: then it may leave with 74. */
bool sim_disk_refused(const struct sim_disk *disk);

/* The disk is full but for so many bytes; UINT64_MAX: not at all any more. */
void sim_disk_fill(struct sim_disk *disk, uint64_t room);

/* Damage one sector of the first durable file whose name ends so, if it may be damaged. */
bool sim_disk_hit(struct sim_disk *disk, const char *name_end, uint64_t sector);

/* Everything is gone: a new, empty disk. Every file must have been closed (node_free). */
void sim_disk_wipe(struct sim_disk *disk);

/* Whether a node's identity is durably on it: wiping one that has none loses nothing. */
bool sim_disk_has_identity(const struct sim_disk *disk);

/* Faults of the running disk on or off (the second phase heals a majority). */
void sim_disk_heal(struct sim_disk *disk);

/* Rot: change one sector at rest, picked and damaged by the disk's stream. The atlas (disk_atlas.c) has been asked and
 * allows it. False when there was nothing to damage. */
bool sim_disk_rot(struct sim_disk *disk);

/* Whether something has been damaged on this disk and not been written over since, nor met by a start that got over it:
 * the oracle asks before it judges a recovery. */
bool sim_disk_damaged(struct sim_disk *disk);

/* Whether one of its vote files is. */
bool sim_disk_vote_damaged(struct sim_disk *disk);

/* Whether some of a file's bytes are, which is open. */
bool sim_disk_spoiled(struct sim_disk *disk, const struct os_file *file);

/* The durable bytes of a file, borrowed until the next operation; NULL when it is not durably there. */
const uint8_t *sim_disk_durable(struct sim_disk *disk, const char *path, uint64_t *size);

/* A file by its present name, to be looked at as one that is open, and closed again: no operation of the node's, so it
 * costs no time and nothing goes wrong with it. NULL: there is none, or the disk is dying. */
struct os_file *sim_disk_look(struct sim_disk *disk, const char *path);
void sim_disk_looked(struct sim_disk *disk, struct os_file *file);

/* The names in a directory, in the same way. False: nobody can tell. */
bool sim_disk_list(struct sim_disk *disk, const char *path, int (*each)(void *ctx, const char *name), void *ctx);

/* What the medium holds of a file that is open: `size` bytes at `offset`. False when some of them are not durable. */
bool sim_disk_medium(const struct os_file *file, uint64_t offset, uint64_t size, uint8_t *bytes);

/* Whether anything of it is not. */
bool sim_disk_pending(const struct os_file *file);

/* Whether a file that is open would still be there, by its present name, if the power went now. */
bool sim_disk_named(const struct sim_disk *disk, const struct os_file *file);

/* ---- the atlas: how much of the cluster may be damaged at the same time ---------------------------------- */

/*
 * Damage on a majority of voters could make what was acknowledged unrecoverable, and no algorithm would be at fault. So
 * at any time fewer than half of the voters of each configuration in force may carry damage (rot, misdirected or lost
 * writes, a wiped disk). True: this node's disk may be damaged now.
 * In the correlated mode everything is allowed.
 */
bool sim_atlas_may_damage(struct sim *sim, struct sim_node *node);

/* Whether this node counts as damaged now: its disk is (sim_disk_damaged), or it is still recovering from it, or it
 * has left with status 65, or its state has flipped. What a start has met and got over is no damage any more, so this
 * becomes false by itself; a disk that was wiped has no identity, so its old member counts as lost as long as it is
 * one. */
bool sim_atlas_damaged(struct sim *sim, struct sim_node *node);

/* Whether the cluster may do without this member: without it (or with it wiped) every configuration in force still has
 * a majority of undamaged voters. For whoever takes members out or chooses the majority that is healed. */
bool sim_atlas_may_lose(struct sim *sim, struct sim_node *node);

/* Whether this learner may become a voter: with it every configuration still has a majority of undamaged voters. Damage
 * to a learner is no matter as long as it is one. In the correlated mode everything is allowed. */
bool sim_atlas_may_promote(struct sim *sim, struct sim_node *node);

#endif
