/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_host.h - the library's own small host: one thread with one libuv loop, and the services of gavel/host.h on it,
 * so that the transports which gaveld loads as modules run here unchanged, linked in.
 *
 * [loop] is the host's thread. Jobs reach it through client_host_post from any thread.
 */
#ifndef CORE_CLIENT_CLIENT_HOST_H
#define CORE_CLIENT_CLIENT_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <gavel/host.h>

#include "core/os/list.h"

#define CLIENT_HOST_MAGIC 0x6c63686fu
#define CLIENT_HOST_INBOX 131072 /* jobs that may wait for the loop: every call twice over */

/* A job for the loop; lives in whatever it is about, and may be posted again once it has begun to run. */
struct client_job {
    struct os_list link;
    void (*run)(struct client_job *job);
};

struct client_host {
    uint32_t magic;
    struct gavel_host services; /* copied for each plugin, with its `instance` */
    uv_loop_t loop;
    uv_async_t bell;
    pthread_t thread;
    bool threaded; /* client_host_start has made the thread */
    pthread_mutex_t lock; /* guards inbox, waiting and closed */
    struct os_list inbox;
    uint32_t waiting;
    bool closed; /* nothing is taken any more */
    /* Where log events go; may be NULL. */
    void (*log)(void *context, uint64_t level, const char *text);
    void *log_context;
};

/* [any] Prepare the loop, without a thread yet. A negative code with a sentence. */
int32_t client_host_init(struct client_host *host, struct gavel_error *error);

/* [any] Run the loop on a thread of its own. */
int32_t client_host_start(struct client_host *host, struct gavel_error *error);

/* [any] Queue a job; GAVEL_E_CLOSED after client_host_close, GAVEL_E_BUSY when CLIENT_HOST_INBOX wait. */
int32_t client_host_post(struct client_host *host, struct client_job *job);

/* [loop] The same for the library's own few jobs, which are never refused before client_host_close. */
void client_host_later(struct client_host *host, struct client_job *job);

/* [loop] Take no more jobs, close the bell: the loop ends when everything else on it is closed too. */
void client_host_close(struct client_host *host);

/* [any but loop] Wait for the thread to end, and free what init made. */
void client_host_fini(struct client_host *host);

/* [any] True on the host's own thread. */
bool client_host_inside(const struct client_host *host);

/* [any] Milliseconds of the monotonic clock, and random numbers below `bound`. */
uint64_t client_host_now(void);
uint64_t client_host_random(uint64_t bound);

#endif
