/* SPDX-License-Identifier: Apache-2.0 */
/* node_dial.h - clusters whose machine is the dial (tests/cluster/dial.c), for tests of settings and of upgrades. */
#ifndef TESTS_NODE_DIAL_H
#define TESTS_NODE_DIAL_H

#include "node_cluster.h"
#include "node_member.h"

/* Every node has the dial, and an INI file that gives nothing of it. Before cluster_start. */
void dial_setup(struct cluster *cluster);
/* Such a cluster with a leader. */
void dial_begin(struct cluster *cluster, uint32_t count);
/* What `settings` says at a node; valid until the next call. */
struct gavel_slice dial_settings(struct cluster *cluster, uint32_t number);
/* The same of one key. */
struct gavel_slice dial_setting(struct cluster *cluster, uint32_t number, const char *key);
void assert_text(struct gavel_slice map, const char *key, const char *text);
/* A number of the status of a node. */
uint64_t dial_status(struct cluster *cluster, uint32_t number, const char *key);
/* A number of the dial as it stands at a node. */
int64_t dial_look(struct cluster *cluster, uint32_t number, const char *key);
/* Turn it; the status, and if `text` is not NULL the sentence is compared. */
int64_t dial_turn(struct cluster *cluster, uint32_t number, int by, const char *text);
/* Turn it by 1 so often; each has to succeed. */
void member_write_turns(struct cluster *cluster, uint32_t number, int count);
/* All that are up have come to rest with the same state. */
void dial_same_digests(struct cluster *cluster);
/* A snapshot on every node that is up, and a log that begins behind it. */
void dial_compact(struct cluster *cluster);
/* Another member, caught up. */
uint32_t dial_joiner(struct cluster *cluster);

#endif
