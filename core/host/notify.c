/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - sd_notify(3) without its library: one datagram, made from what is owed when it is sent.
 *
 * What is owed is state, not a queue of messages: when the reader was behind, "RELOADING=1" and the "READY=1" after it
 * become one "READY=1", which is all that anybody wants to know by then.
 */
#include "core/host/notify.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOTIFY_MAGIC 0x5d407149u
#define AGAIN_MS 50            /* a full socket is tried again after this */
#define EXTEND_EVERY_MS 10000  /* while restoring, and by how much: three of them may come late */
#define EXTEND_BY_MS 40000
#define US_PER_MS 1000u

enum { STATE_STARTING, STATE_READY, STATE_RELOADING, STATE_STOPPING };

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void again_due(uv_timer_t *timer);

static uint64_t monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* the clock that the protocol names */
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static size_t compose(const struct host_notify *notify, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    if (notify->state_owed && notify->state == STATE_READY)
        used += (size_t)snprintf(text + used, size - used, "READY=1\n");
    if (notify->state_owed && notify->state == STATE_RELOADING)
        used += (size_t)snprintf(text + used, size - used, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                                 (unsigned long long)notify->reloading_us);
    if (notify->state_owed && notify->state == STATE_STOPPING)
        used += (size_t)snprintf(text + used, size - used, "STOPPING=1\n");
    if (notify->extend_us)
        used += (size_t)snprintf(text + used, size - used, "EXTEND_TIMEOUT_USEC=%llu\n",
                                 (unsigned long long)notify->extend_us);
    if (notify->beat_owed)
        used += (size_t)snprintf(text + used, size - used, "WATCHDOG=1\n");
    if (notify->status_owed)
        used += (size_t)snprintf(text + used, size - used, "STATUS=%s\n", notify->status);
    assert(used < size);
    return used;
}

/* All that is owed in one datagram. One that the reader has no room for stays owed; one that nobody takes is gone. */
static void flush(struct host_notify *notify)
{
    char text[HOST_NOTIFY_STATUS_MAX + 160];
    size_t size = compose(notify, text, sizeof text);

    if (notify->fd < 0 || size == 0)
        return;
    if (sendto(notify->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&notify->to,
               notify->to_size) < 0 &&
        (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)) {
        (void)uv_timer_start(&notify->again, again_due, AGAIN_MS, 0);
        return;
    }
    notify->state_owed = notify->status_owed = notify->beat_owed = false;
    notify->extend_us = 0;
    (void)uv_timer_stop(&notify->again);
}

static void again_due(uv_timer_t *timer)
{
    flush(timer->data);
}

static void beat_due(uv_timer_t *timer)
{
    struct host_notify *notify = timer->data;

    notify->beat_owed = true;
    flush(notify);
}

static void extend_due(uv_timer_t *timer)
{
    host_notify_extend(timer->data, EXTEND_BY_MS);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* A path, or a name without a file that begins with '@'. */
static bool take_address(struct host_notify *notify, const char *name)
{
    size_t size = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof notify->to.sun_path)
        return false;
    notify->to.sun_family = AF_UNIX;
    memcpy(notify->to.sun_path, name, size + 1);
    notify->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'));
    if (name[0] == '@')
        notify->to.sun_path[0] = 0;
    return true;
}

/* Microseconds between two signs of life that this very process owes; 0: none. */
static uint64_t watchdog_us(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    char *end = NULL;
    unsigned long long us;

    if (!text || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    errno = 0;
    us = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end || us == 0) {
        (void)fprintf(stderr, "gaveld: WATCHDOG_USEC=%s is no number of microseconds; no watchdog is fed\n", text);
        return 0;
    }
    return us;
}

void host_notify_open(struct host_notify *notify, uv_loop_t *loop)
{
    const char *name = getenv("NOTIFY_SOCKET");
    uv_timer_t *timers[] = {&notify->again, &notify->beat, &notify->extend};
    uint64_t us;

    *notify = (struct host_notify){.magic = NOTIFY_MAGIC, .fd = -1};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        (void)uv_timer_init(loop, timers[i]);
        timers[i]->data = notify;
        uv_unref((uv_handle_t *)timers[i]);
    }
    if (!name || !*name)
        return;
    if (!take_address(notify, name)) {
        (void)fprintf(stderr, "gaveld: NOTIFY_SOCKET=%s is neither a path nor @name of at most %zu bytes; the service "
                      "manager is told nothing\n", name, sizeof notify->to.sun_path - 1);
        return;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0) {
        (void)fprintf(stderr, "gaveld: no socket for the service manager: %s\n", strerror(errno));
        return;
    }
    us = watchdog_us();
    if (us) {
        uint64_t half = us / 2 / US_PER_MS ? us / 2 / US_PER_MS : 1;

        (void)uv_timer_start(&notify->beat, beat_due, half, half);
    }
}

bool host_notify_wanted(const struct host_notify *notify)
{
    return notify->magic == NOTIFY_MAGIC && notify->fd >= 0;
}

/* ---- what there is to tell --------------------------------------------------------------------------------------- */

static void move(struct host_notify *notify, uint32_t from, uint32_t to)
{
    if (!host_notify_wanted(notify) || notify->state != from)
        return;
    notify->state = to;
    notify->state_owed = true;
    flush(notify);
}

void host_notify_extend(struct host_notify *notify, uint64_t ms)
{
    if (!host_notify_wanted(notify))
        return;
    notify->extend_us = ms * US_PER_MS;
    flush(notify);
}

void host_notify_restoring(struct host_notify *notify, bool restoring)
{
    if (!host_notify_wanted(notify) || restoring == !!uv_is_active((uv_handle_t *)&notify->extend))
        return;
    if (restoring)
        (void)uv_timer_start(&notify->extend, extend_due, 0, EXTEND_EVERY_MS);
    else
        (void)uv_timer_stop(&notify->extend);
}

void host_notify_ready(struct host_notify *notify)
{
    move(notify, STATE_STARTING, STATE_READY);
}

bool host_notify_is_ready(const struct host_notify *notify)
{
    return notify->state != STATE_STARTING;
}

void host_notify_reloading(struct host_notify *notify)
{
    notify->reloading_us = monotonic_us();
    move(notify, STATE_READY, STATE_RELOADING);
}

void host_notify_reloaded(struct host_notify *notify)
{
    move(notify, STATE_RELOADING, STATE_READY);
}

void host_notify_stopping(struct host_notify *notify)
{
    if (notify->state != STATE_STOPPING)
        move(notify, notify->state, STATE_STOPPING);
}

/* A control character would begin another assignment: the line comes with names that others chose. */
void host_notify_status(struct host_notify *notify, const char *line)
{
    char text[HOST_NOTIFY_STATUS_MAX];

    if (!host_notify_wanted(notify))
        return;
    (void)snprintf(text, sizeof text, "%s", line);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    if (strcmp(text, notify->status) == 0)
        return;
    memcpy(notify->status, text, sizeof text);
    notify->status_owed = true;
    flush(notify);
}

void host_notify_close(struct host_notify *notify)
{
    if (notify->magic != NOTIFY_MAGIC)
        return;
    flush(notify);
    uv_close((uv_handle_t *)&notify->again, NULL);
    uv_close((uv_handle_t *)&notify->beat, NULL);
    uv_close((uv_handle_t *)&notify->extend, NULL);
    if (notify->fd >= 0)
        (void)close(notify->fd);
    notify->fd = -1;
    notify->magic = 0;
}
