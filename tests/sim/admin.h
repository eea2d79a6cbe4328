/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.h - the administrator of a node, at the socket in its data directory: a transport that loses nothing and takes
 * no time, since both ends are on one machine. One connection for each life of the process, made when it is needed.
 */
#ifndef TESTS_SIM_ADMIN_H
#define TESTS_SIM_ADMIN_H

#include <gavel/transport.h>

#include "sim.h"

struct sim_admin;

extern const struct gavel_transport sim_admin_transport; /* its self is a struct sim_admin */

/* What came of a request: `status` 0 or a GAVEL_E_ code. Called from within the node: it may only take notes. */
typedef void sim_admin_answer(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status,
                              struct gavel_slice text);

struct sim_admin *sim_admin_new(struct sim_node *node);
struct sim_admin *sim_admin_free(struct sim_admin *admin);

/*
 * Ask the node, which is up and not paused: a command of the machine "gavel" with arguments as "key=value" texts,
 * NULL-terminated (NULL: none). `answer` (NULL: nobody cares) is called at most once; not when the process ends before.
 * The number of the request.
 */
uint64_t sim_admin_ask(struct sim_admin *admin, const char *command, const char *const *pairs, uint64_t milliseconds,
                       sim_admin_answer *answer);

/* The same with the arguments as a value. */
uint64_t sim_admin_ask_value(struct sim_admin *admin, const char *command, struct gavel_slice arguments,
                             uint64_t milliseconds, sim_admin_answer *answer);

/* Whether requests wait for their answers. */
bool sim_admin_waits(const struct sim_admin *admin);

struct codec_request;
struct codec_reply;

/* The same with a whole reply, borrowed for the call. */
typedef void sim_admin_whole_answer(struct sim *sim, struct sim_node *node, const struct codec_reply *reply);

/*
 * Any request, of any machine: an administrator is a client too. Its id is filled in; everything else, arguments
 * included, is the caller's. The number of the request; 0: the node does not listen.
 */
uint64_t sim_admin_request(struct sim_admin *admin, struct codec_request *request, sim_admin_whole_answer *answer);

/* The process is gone, and the connection with it. */
void sim_admin_kill(struct sim_admin *admin);

#endif
