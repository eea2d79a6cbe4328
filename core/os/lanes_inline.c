/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes_inline.c - lanes that a test pumps by hand.
 */
#include "core/os/inline.h"

#include <assert.h>
#include <string.h>

static void push(struct os_job **head, struct os_job **tail, struct os_job *job)
{
    job->next = NULL;
    if (*head)
        (*tail)->next = job;
    else
        *head = job;
    *tail = job;
}

static struct os_job *pop(struct os_job **head, struct os_job **tail)
{
    struct os_job *job = *head;

    if (!job)
        return NULL;
    *head = job->next;
    if (!*head)
        *tail = NULL;
    job->next = NULL;
    return job;
}

static void inline_submit(void *self, uint32_t lane, struct os_job *job)
{
    struct os_inline *lanes = self;

    assert(lane < OS_LANES);
    assert(job->run);
    assert(job->done);
    assert(job->state == OS_JOB_IDLE);
    job->lane = lane;
    job->state = OS_JOB_QUEUED;
    lanes->submitted++;
    push(&lanes->lane[lane].waiting_head, &lanes->lane[lane].waiting_tail, job);
}

const struct os_lane_ops os_lanes_inline = {.submit = inline_submit};

bool os_inline_run(struct os_inline *lanes, enum os_lane lane)
{
    struct os_inline_lane *at = &lanes->lane[lane];
    struct os_job *job = pop(&at->waiting_head, &at->waiting_tail);

    if (!job)
        return false;
    assert(job->state == OS_JOB_QUEUED);
    job->state = OS_JOB_RUNNING;
    job->run(job);
    job->state = OS_JOB_RAN;
    push(&at->ran_head, &at->ran_tail, job);
    return true;
}

bool os_inline_done(struct os_inline *lanes, enum os_lane lane)
{
    struct os_inline_lane *at = &lanes->lane[lane];
    struct os_job *job = pop(&at->ran_head, &at->ran_tail);

    if (!job)
        return false;
    assert(job->state == OS_JOB_RAN);
    job->state = OS_JOB_IDLE;
    job->done(job); /* may free it or submit it again */
    return true;
}

int os_inline_pump(struct os_inline *lanes)
{
    int total = 0;
    int before;

    do {
        before = total;
        for (uint32_t lane = 0; lane < OS_LANES; lane++) {
            while (os_inline_run(lanes, (enum os_lane)lane)) {
            }
            while (os_inline_done(lanes, (enum os_lane)lane))
                total++;
        }
    } while (total != before);
    return total;
}

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool os_inline_step(struct os_inline *lanes, uint64_t *seed)
{
    uint32_t first = (uint32_t)(next_random(seed) % (2 * OS_LANES));

    for (uint32_t i = 0; i < 2 * OS_LANES; i++) {
        uint32_t pick = (first + i) % (2 * OS_LANES);
        enum os_lane lane = (enum os_lane)(pick / 2);

        if (pick % 2 ? os_inline_run(lanes, lane) : os_inline_done(lanes, lane))
            return true;
    }
    return false;
}

void os_inline_drop(struct os_inline *lanes)
{
    uint64_t submitted = lanes->submitted;

    memset(lanes, 0, sizeof *lanes);
    lanes->submitted = submitted;
}
