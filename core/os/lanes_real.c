/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes_real.c - lanes as threads, one a lane, started by the lane's first job.
 *
 * Each lane has a queue under its own mutex; a job is signalled only when its lane sleeps. What ran goes to one inbox,
 * and the loop is woken only when that was empty: a wake-up of an idle core costs about 30 us, so a burst pays once.
 */
#define _GNU_SOURCE /* pwritev2, thread names */

#include "core/os/real.h"

#include "core/os/call.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAGIC 0x4e414c52u
#define SIGNAL_STACK 32768u /* for a handler when the lane's own stack is used up */

struct real_lane {
    struct os_lanes *owner;
    uint32_t number;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_t thread;
    struct os_job *head;
    struct os_job *tail;
    bool started; /* loop only */
    bool asleep;  /* under mutex */
    bool ending;  /* under mutex: leave when the queue is empty */
};

struct os_lanes {
    uint32_t magic;
    bool stopped;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_mutex_t inbox_mutex;
    struct os_job *inbox_head; /* under inbox_mutex */
    struct os_job *inbox_tail;
    struct real_lane lane[OS_LANES];
};

static const char *const lane_names[OS_LANES] = {"gavel-log", "gavel-disk", "gavel-apply", "gavel-worker",
                                                 "gavel-observer"};

struct os_lanes *os_lanes_new(void (*wake)(void *ctx), void *ctx)
{
    struct os_lanes *lanes = calloc(1, sizeof *lanes);

    if (!lanes)
        return NULL;
    lanes->magic = LANES_MAGIC;
    lanes->wake = wake;
    lanes->ctx = ctx;
    (void)pthread_mutex_init(&lanes->inbox_mutex, NULL);
    for (int i = 0; i < OS_LANES; i++) {
        lanes->lane[i].owner = lanes;
        (void)pthread_mutex_init(&lanes->lane[i].mutex, NULL);
        (void)pthread_cond_init(&lanes->lane[i].work, NULL);
    }
    return lanes;
}

static void deliver(struct os_lanes *lanes, struct os_job *job)
{
    bool was_empty;

    job->next = NULL;
    (void)pthread_mutex_lock(&lanes->inbox_mutex);
    was_empty = lanes->inbox_head == NULL;
    if (was_empty)
        lanes->inbox_head = job;
    else
        lanes->inbox_tail->next = job;
    lanes->inbox_tail = job;
    (void)pthread_mutex_unlock(&lanes->inbox_mutex);
    if (was_empty)
        lanes->wake(lanes->ctx);
}

static void *lane_main(void *argument)
{
    struct real_lane *lane = argument;
    stack_t stack = {.ss_sp = malloc(SIGNAL_STACK), .ss_size = SIGNAL_STACK};

    if (stack.ss_sp)
        (void)sigaltstack(&stack, NULL);
    os_call_thread(lane->number);
    for (;;) {
        struct os_job *job;

        (void)pthread_mutex_lock(&lane->mutex);
        while (!lane->head && !lane->ending) {
            lane->asleep = true;
            (void)pthread_cond_wait(&lane->work, &lane->mutex);
            lane->asleep = false;
        }
        job = lane->head;
        if (job) {
            lane->head = job->next;
            if (!lane->head)
                lane->tail = NULL;
        }
        (void)pthread_mutex_unlock(&lane->mutex);
        if (!job)
            break;
        job->state = OS_JOB_RUNNING;
        job->run(job);
        job->state = OS_JOB_RAN;
        deliver(lane->owner, job);
    }
    os_call_thread(OS_CALL_PLACES);
    stack.ss_flags = SS_DISABLE;
    (void)sigaltstack(&stack, NULL);
    free(stack.ss_sp);
    return NULL;
}

/*
 * Signals belong to the loop's thread: lanes start with all of them blocked, but for those that a thread brings upon
 * itself. Blocked, these would end the process before a handler could say where.
 */
static void start_lane(struct real_lane *lane, uint32_t number)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigset_t before;
    int error;

    lane->number = number;
    (void)sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        (void)sigdelset(&all, own[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&lane->thread, NULL, lane_main, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        /* No lane, no durability and no answer: there is nobody to return an error to, so say it and end. */
        (void)fprintf(stderr, "gavel: cannot start the thread %s: %s\n", lane_names[number], strerror(error));
        abort();
    }
    (void)pthread_setname_np(lane->thread, lane_names[number]);
    lane->started = true;
}

static void real_submit(void *self, uint32_t number, struct os_job *job)
{
    struct os_lanes *lanes = self;
    struct real_lane *lane;
    bool asleep;

    assert(lanes->magic == LANES_MAGIC);
    assert(!lanes->stopped);
    assert(number < OS_LANES);
    assert(job->run);
    assert(job->done);
    assert(job->state == OS_JOB_IDLE);
    lane = &lanes->lane[number];
    job->lane = number;
    job->state = OS_JOB_QUEUED;
    job->next = NULL;
    (void)pthread_mutex_lock(&lane->mutex);
    if (lane->head)
        lane->tail->next = job;
    else
        lane->head = job;
    lane->tail = job;
    asleep = lane->asleep;
    (void)pthread_mutex_unlock(&lane->mutex);
    if (asleep)
        (void)pthread_cond_signal(&lane->work);
    if (!lane->started)
        start_lane(lane, number);
}

const struct os_lane_ops os_lanes_real = {.submit = real_submit};

int os_lanes_drain(struct os_lanes *lanes)
{
    struct os_job *job;
    int count = 0;

    assert(lanes->magic == LANES_MAGIC);
    (void)pthread_mutex_lock(&lanes->inbox_mutex);
    job = lanes->inbox_head;
    lanes->inbox_head = NULL;
    lanes->inbox_tail = NULL;
    (void)pthread_mutex_unlock(&lanes->inbox_mutex);
    while (job) {
        struct os_job *next = job->next;

        assert(job->state == OS_JOB_RAN);
        job->next = NULL;
        job->state = OS_JOB_IDLE;
        job->done(job); /* may free it or submit it again */
        job = next;
        count++;
    }
    return count;
}

/* Wait until a lane has run all it has, and end its thread. */
static void join_lane(struct real_lane *lane)
{
    if (!lane->started)
        return;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->ending = true;
    (void)pthread_cond_signal(&lane->work);
    (void)pthread_mutex_unlock(&lane->mutex);
    (void)pthread_join(lane->thread, NULL);
    lane->started = false;
    lane->ending = false;
}

void os_lanes_stop(struct os_lanes *lanes)
{
    int count;

    if (!lanes || lanes->stopped)
        return;
    assert(lanes->magic == LANES_MAGIC);
    /* A `done` may submit again and so start a thread anew: go on until a round brings nothing. */
    do {
        for (int i = 0; i < OS_LANES; i++)
            join_lane(&lanes->lane[i]);
        count = os_lanes_drain(lanes);
    } while (count);
    lanes->stopped = true;
}

struct os_lanes *os_lanes_free(struct os_lanes *lanes)
{
    if (!lanes)
        return NULL;
    os_lanes_stop(lanes);
    for (int i = 0; i < OS_LANES; i++) {
        (void)pthread_cond_destroy(&lanes->lane[i].work);
        (void)pthread_mutex_destroy(&lanes->lane[i].mutex);
    }
    (void)pthread_mutex_destroy(&lanes->inbox_mutex);
    lanes->magic = 0;
    free(lanes);
    return NULL;
}
