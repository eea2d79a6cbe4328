/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_timers.h - many deadlines behind one timer of the host: a binary heap whose items live in what they are
 * about, so that starting and stopping one takes no memory and 65,536 calls cost one system timer. Everything is
 * [loop].
 */
#ifndef CORE_CLIENT_CLIENT_TIMERS_H
#define CORE_CLIENT_CLIENT_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include <gavel/host.h>

#define CLIENT_TIMERS_MAGIC 0x6c637473u
#define CLIENT_TIMER_OFF UINT32_MAX

struct client_timer {
    uint64_t at;    /* client_host_now() milliseconds */
    uint32_t place; /* in the heap; CLIENT_TIMER_OFF: not started */
    void (*fire)(struct client_timer *timer);
};

struct client_timers {
    uint32_t magic;
    const struct gavel_host *host;
    struct gavel_timer *alarm;
    struct client_timer **heap;
    uint32_t count;
    uint32_t room;
    bool firing; /* the alarm is set once, at the end */
};

/* GAVEL_E_NO_MEMORY. */
int32_t client_timers_init(struct client_timers *timers, const struct gavel_host *host);

/* Forget all timers and close the alarm; harmless before init. */
void client_timers_fini(struct client_timers *timers);

/* Prepare one. */
static inline void client_timer_init(struct client_timer *timer, void (*fire)(struct client_timer *timer))
{
    timer->at = 0;
    timer->place = CLIENT_TIMER_OFF;
    timer->fire = fire;
}

/*
 * Fire once at `at`; a started one is moved. Room is reserved by client_timers_reserve, so this cannot fail: an item
 * more than was reserved is an assertion.
 */
void client_timer_start(struct client_timers *timers, struct client_timer *timer, uint64_t at);

/* Harmless for one that is not started. */
void client_timer_stop(struct client_timers *timers, struct client_timer *timer);

/* Make room for `count` timers in all; GAVEL_E_NO_MEMORY. */
int32_t client_timers_reserve(struct client_timers *timers, uint32_t count);

#endif
