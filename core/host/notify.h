/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - what a service manager is told: the protocol of sd_notify(3), spoken without its library.
 *
 * A process that was started with NOTIFY_SOCKET in its environment sends short datagrams there: READY=1 when its own
 * work of starting is done, STATUS= when the line for people changes, RELOADING=1 and READY=1 around a reload,
 * STOPPING=1, WATCHDOG=1 at half of WATCHDOG_USEC, EXTEND_TIMEOUT_USEC= while a start or a stop takes long.
 *
 * READY means what this node can answer for alone (NODE_PROBE_STARTED of core/node/node.h): it listens, and its
 * snapshot and log are read back. It does not mean that there is a leader: a node that waited for the others before it
 * said so would keep "systemctl start" of the first of three nodes from ever returning. STATUS says the rest.
 *
 * Nothing here waits: a socket whose reader is behind is tried again a little later, with what is true then. Without
 * NOTIFY_SOCKET every function does nothing. Everything is [loop].
 */
#ifndef CORE_HOST_NOTIFY_H
#define CORE_HOST_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#define HOST_NOTIFY_STATUS_MAX 256 /* bytes of the line with its NUL */

struct host_notify {
    uint32_t magic;
    int fd;                  /* -1: nobody wants to be told */
    struct sockaddr_un to;
    socklen_t to_size;
    uv_timer_t again;        /* what is owed, once more */
    uv_timer_t beat;         /* WATCHDOG=1 */
    uv_timer_t extend;       /* EXTEND_TIMEOUT_USEC while restoring */
    uint64_t extend_us;      /* not yet sent */
    uint64_t reloading_us;   /* CLOCK_MONOTONIC of the reload */
    uint32_t state;          /* enum in notify.c: what was reached last, and ... */
    bool state_owed;         /* ... it has not been sent yet */
    bool status_owed;
    bool beat_owed;
    char status[HOST_NOTIFY_STATUS_MAX];
};

/*
 * Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and begin with the watchdog's beat. A value that cannot be used
 * is told on stderr, once, and the node runs without.
 */
void host_notify_open(struct host_notify *notify, uv_loop_t *loop);

/* Whether anybody listens. */
bool host_notify_wanted(const struct host_notify *notify);

/* The start (or the stop) is going to take up to `ms` milliseconds from now: do not end the process before. */
void host_notify_extend(struct host_notify *notify, uint64_t ms);

/* While `restoring`, the start is extended again and again: the loop turns, so the work goes on. */
void host_notify_restoring(struct host_notify *notify, bool restoring);

/* READY=1: the start is done. Sent once. */
void host_notify_ready(struct host_notify *notify);
bool host_notify_is_ready(const struct host_notify *notify);

/*
 * RELOADING=1 with MONOTONIC_USEC, and READY=1 when the reload has ended, well or not. For SIGHUP and for a reload by
 * command alike. Before the start is done neither says anything.
 */
void host_notify_reloading(struct host_notify *notify);
void host_notify_reloaded(struct host_notify *notify);

/* STOPPING=1; nothing leads back. */
void host_notify_stopping(struct host_notify *notify);

/* STATUS=; a line that is the same as the last one is not sent. */
void host_notify_status(struct host_notify *notify, const char *line);

/* Close the handles; the loop runs once more afterwards, by the caller. */
void host_notify_close(struct host_notify *notify);

#endif
