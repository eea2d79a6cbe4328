/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - a host name's addresses, without blocking the loop. A lookup that nobody waits for any more goes on by
 * itself, so that neither a connection nor an instance has to wait for a slow name server.
 */
#ifndef TRANSPORTS_LOOKUP_H
#define TRANSPORTS_LOOKUP_H

#include <gavel/abi.h>

#include <sys/socket.h>
#include <uv.h>

/* A host name may have more addresses; no more are tried. */
#define LOOKUP_MAX 8u

struct lookup;

/* `status` is 0 with at least one address, each with its port; or a libuv code and none. Borrowed for the call. */
typedef void (*lookup_done)(void *context, int status, const struct sockaddr_storage *found, uint64_t count);

/*
 * Look `host` up. `done` is called once, later, from the loop, unless lookup_forget came first. A libuv code when it
 * cannot even begin.
 */
int lookup_start(uv_loop_t *loop, const char *host, uint16_t port, lookup_done done, void *context,
                 struct lookup **lookup);

/* Nobody waits any more; the pointer is then no longer the caller's. NULL is allowed. */
void lookup_forget(struct lookup *lookup);

#endif
