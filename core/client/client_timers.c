/* SPDX-License-Identifier: Apache-2.0 */
/* client_timers.c - the heap of deadlines: see client_timers.h. */
#include "client_timers.h"

#include <assert.h>
#include <stdlib.h>

#include "client_host.h"

static void put(struct client_timers *timers, uint32_t place, struct client_timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct client_timers *timers, uint32_t place)
{
    struct client_timer *timer = timers->heap[place];

    while (place > 0 && timers->heap[(place - 1) / 2]->at > timer->at) {
        put(timers, place, timers->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(timers, place, timer);
}

static void sift_down(struct client_timers *timers, uint32_t place)
{
    struct client_timer *timer = timers->heap[place];

    for (;;) {
        uint32_t child = 2 * place + 1;

        if (child >= timers->count)
            break;
        if (child + 1 < timers->count && timers->heap[child + 1]->at < timers->heap[child]->at)
            child++;
        if (timers->heap[child]->at >= timer->at)
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static void set_alarm(struct client_timers *timers)
{
    uint64_t now;

    if (timers->firing)
        return;
    if (timers->count == 0) {
        timers->host->timer_stop(timers->host->self, timers->alarm);
        return;
    }
    now = client_host_now();
    timers->host->timer_start(timers->host->self, timers->alarm,
                              timers->heap[0]->at > now ? timers->heap[0]->at - now : 0);
}

static void alarm_rang(void *context)
{
    struct client_timers *timers = context;
    uint64_t now = client_host_now();

    assert(timers->magic == CLIENT_TIMERS_MAGIC);
    timers->firing = true;
    /* A timer that fires may start itself again, but not for the past: `now` is fixed, so this ends. */
    while (timers->count > 0 && timers->heap[0]->at <= now) {
        struct client_timer *timer = timers->heap[0];

        client_timer_stop(timers, timer);
        timer->fire(timer);
    }
    timers->firing = false;
    set_alarm(timers);
}

int32_t client_timers_init(struct client_timers *timers, const struct gavel_host *host)
{
    memset(timers, 0, sizeof *timers);
    timers->host = host;
    timers->alarm = host->timer_new(host->self, alarm_rang, timers);
    if (!timers->alarm)
        return GAVEL_E_NO_MEMORY;
    timers->magic = CLIENT_TIMERS_MAGIC;
    return GAVEL_OK;
}

void client_timers_fini(struct client_timers *timers)
{
    if (timers->magic == 0)
        return;
    assert(timers->magic == CLIENT_TIMERS_MAGIC);
    while (timers->count > 0)
        timers->heap[--timers->count]->place = CLIENT_TIMER_OFF;
    timers->host->timer_free(timers->host->self, timers->alarm);
    free(timers->heap);
    timers->heap = NULL;
    timers->magic = 0;
}

int32_t client_timers_reserve(struct client_timers *timers, uint32_t count)
{
    struct client_timer **heap;
    uint32_t room = timers->room ? timers->room : 64;

    while (room < count)
        room *= 2;
    if (room == timers->room)
        return GAVEL_OK;
    heap = realloc(timers->heap, room * sizeof *heap);
    if (!heap)
        return GAVEL_E_NO_MEMORY;
    timers->heap = heap;
    timers->room = room;
    return GAVEL_OK;
}

void client_timer_start(struct client_timers *timers, struct client_timer *timer, uint64_t at)
{
    struct client_timer *head = timers->count ? timers->heap[0] : NULL;
    uint64_t head_at = head ? head->at : 0;

    assert(timers->magic == CLIENT_TIMERS_MAGIC);
    timer->at = at;
    if (timer->place == CLIENT_TIMER_OFF) {
        assert(timers->count < timers->room);
        put(timers, timers->count++, timer);
    }
    sift_up(timers, timer->place);
    sift_down(timers, timer->place);
    if (!head || timers->heap[0] != head || timers->heap[0]->at != head_at)
        set_alarm(timers);
}

void client_timer_stop(struct client_timers *timers, struct client_timer *timer)
{
    uint32_t place = timer->place;
    struct client_timer *last;

    if (place == CLIENT_TIMER_OFF)
        return;
    assert(timers->magic == CLIENT_TIMERS_MAGIC);
    assert(place < timers->count);
    assert(timers->heap[place] == timer);
    timer->place = CLIENT_TIMER_OFF;
    last = timers->heap[--timers->count];
    if (last == timer)
        return; /* an alarm too early finds nothing due, and is set again then */
    put(timers, place, last);
    sift_up(timers, place);
    sift_down(timers, last->place);
}
