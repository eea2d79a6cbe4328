/* SPDX-License-Identifier: Apache-2.0 */
/* node_member.h - what tests of members ask of a cluster. Each fails the test by itself when it gets something else. */
#ifndef TESTS_NODE_MEMBER_H
#define TESTS_NODE_MEMBER_H

#include "node_cluster.h"

/* Whole nodes that found a cluster and have a leader. */
void member_begin(struct cluster *cluster, uint32_t count);
/* One request of an administrator at that node. */
void member_ask(struct cluster *cluster, uint32_t number, const char *command, struct cluster_reply *reply,
                const char *const *pairs);
/* Who leads, or will within five seconds. */
uint32_t member_leader_of(struct cluster *cluster);
/* Ask the leader; it has to agree. */
void member_must(struct cluster *cluster, const char *command, struct cluster_reply *reply, const char *const *pairs);
/* What member_list says at a node; valid until the next call. */
struct gavel_slice member_list_at(struct cluster *cluster, uint32_t number);
/* One member of such a list. */
struct gavel_slice member_entry(struct gavel_slice list, const char *name);
/* Whether the member has that role there; "none" when it is no member. */
bool member_has_role(struct cluster *cluster, uint32_t at, const char *name, const char *role);
/* 0: no member. */
uint64_t member_id_of(struct cluster *cluster, uint32_t at, const char *name);
/* Of the list. */
uint64_t member_version_of(struct cluster *cluster, uint32_t at);
/* One of the alarms in its status holds these words. */
bool member_status_says(struct cluster *cluster, uint32_t number, const char *words);
/* Of members. */
uint64_t member_count_of(struct cluster *cluster, uint32_t at);
/* Wait until the leader has the member in that role. */
void member_role_comes(struct cluster *cluster, const char *name, const char *role);
/* Add a node that exists, by its name and address. */
void member_add(struct cluster *cluster, uint32_t number, const char *role);
/* Add another node, start it, and wait until it votes. */
uint32_t member_grow(struct cluster *cluster);
/* By name. */
void member_remove(struct cluster *cluster, const char *name);
/* That many increments of the counter, through a node. */
void member_write_some(struct cluster *cluster, uint32_t at, int count);
/* Of the counter. */
int64_t member_value_at(struct cluster *cluster, uint32_t number);
/* The process has left by itself, as one that was removed. */
void member_gone(struct cluster *cluster, uint32_t number);
/* From all others, or not any more. */
void member_cut_off(struct cluster *cluster, uint32_t number, bool cut);
/* By its status. */
uint64_t member_term_at(struct cluster *cluster, uint32_t number);

#endif
