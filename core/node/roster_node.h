/* SPDX-License-Identifier: Apache-2.0 */
/* roster_node.h - the part of internal.h about capabilities and registered nodes. Everything is [loop]. */
#ifndef CORE_NODE_ROSTER_NODE_H
#define CORE_NODE_ROSTER_NODE_H

#include "core/node/internal.h"

/* ---- roster_node.c --------------------------------------------------------------------------------------- */

/* What the setup gives; GAVEL_E_INVALID or _TOO_LARGE: it is no set. */
int32_t declare_begin(struct node *node, struct gavel_error *error);
void declare_free(struct node *node);
/* Ask for what the cluster does not have yet. Between steps. */
void declare_step(struct node *node);
/* To a request of the node itself. */
void declare_answer(struct node *node, const struct codec_reply *reply);
/* The apply lane has changed some, or restored a snapshot; it is idle. */
void roster_changed(struct node *node);

/* ---- roster_command.c ------------------------------------------------------------------------------------ */

/* This node leads: an entry with what that member declares. */
void declare_propose(struct node *node, uint64_t id, struct gavel_slice map, struct origin origin,
                     uint64_t deadline_ns);
void declare_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                     uint64_t deadline_ns);
/* node_register, node_keep, node_deregister. */
void roster_node_command(struct conn *conn, const struct codec_request *request, const char *command,
                         struct origin origin, uint64_t deadline_ns);
/* Propose the end of registrations whose time is over; the apply lane is idle, and this node leads. */
void roster_expire(struct node *node);
/* A pair "capabilities" of a map; and the array of registered nodes. */
void roster_put_capabilities(const struct node *node, uint64_t id, struct gavel_writer *out);
void roster_put_nodes(const struct node *node, struct gavel_writer *out);

#endif
