/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - reads: one round to a quorum serves every read that waits (thesis 6.4); a stale read, which is
 * asked for by name, waits for none. Then the machine runs them, on the apply lane, between two runs of
 * entries.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/os/call.h"
#include "core/os/seeded.h"

#define RESULTS_BYTES (4u << 20) /* of results after which a run of reads ends: they lie in memory until all are sent */
#define NO_ROUND UINT64_MAX /* a read that no round was asked for yet */

void read_add(struct node *node, struct origin origin, uint32_t machine, struct gavel_slice form,
              uint64_t level, uint64_t min_index, uint64_t deadline_ns)
{
    struct waiting_read *read;
    bool stale = level == CODEC_READ_STALE;

    if (node->read_count >= node->limits.reads || node->read_bytes + form.size > NODE_READ_BYTES) {
        client_refuse(node, origin, GAVEL_E_BUSY, "this node has as many reads under way as it may");
        return;
    }
    read = malloc(sizeof *read + form.size);
    if (!read) {
        client_refuse(node, origin, GAVEL_E_BUSY, "this node is out of memory");
        return;
    }
    *read = (struct waiting_read){.origin = origin,
                                  .deadline_ns = deadline_ns,
                                  .barrier = stale ? 0 : NO_ROUND,
                                  .min_index = min_index,
                                  .machine = machine,
                                  .size = (uint32_t)form.size};
    if (trace_of(node, &origin))
        read->trace = *trace_of(node, &origin);
    memcpy(read->bytes, form.data, form.size);
    node->read_count++;
    node->read_bytes += form.size;
    os_list_push(stale ? &node->ready_reads : &node->reads, &read->link);
    if (stale)
        node->look |= NODE_LOOK_APPLIER;
    else
        node->read_wanted = true;
}

void read_refuse_all(struct node *node)
{
    struct os_list *lists[] = {&node->reads, &node->ready_reads};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct os_list *at = lists[i]->next;

        while (at != lists[i]) {
            struct waiting_read *read = os_container(at, struct waiting_read, link);

            at = at->next;
            client_refuse(node, read->origin, GAVEL_E_BUSY,
                          "the state of this node differs from the majority's: it serves no reads; ask another one");
            os_list_remove(&read->link);
            node->read_count--;
            node->read_bytes -= read->size;
            free(read);
        }
    }
}

void read_flush(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_READ};
    struct waiting_read *read;

    if (!node->read_wanted || !node->raft)
        return;
    node->read_wanted = false;
    event.read.id = ++node->read_id;
    /* They came in order: those without a round are the last ones. */
    for (struct os_list *at = node->reads.prev; at != &node->reads; at = at->prev) {
        read = os_container(at, struct waiting_read, link);
        if (read->barrier != NO_ROUND)
            break;
        read->barrier = node->read_id;
    }
    (void)engine_step(node, &event);
}

void read_barrier(struct node *node, uint64_t id, uint64_t index)
{
    struct os_list *at = node->reads.next;

    settings_barrier(node, index);
    save_barrier(node, id, index);
    while (at != &node->reads) {
        struct waiting_read *read = os_container(at, struct waiting_read, link);

        at = at->next;
        if (read->barrier > id)
            break;
        if (read->min_index < index)
            read->min_index = index;
        os_list_remove(&read->link);
        os_list_push(&node->ready_reads, &read->link);
    }
}

static void finish(struct node *node, struct waiting_read *read, int32_t status, struct gavel_slice result,
                   const char *text)
{
    struct codec_reply reply = {.status = status,
                                .index = node->applied,
                                .result = status == GAVEL_OK && result.size ? result : gavel_bytes(NULL, 0),
                                .read = read->barrier ? CODEC_READ_LINEARIZABLE : CODEC_READ_STALE};

    if (status != GAVEL_OK)
        reply.text = gavel_text(text);
    if (read->ran) {
        node_record(node, node->metric.reads, 1, "level", read->barrier ? "linearizable" : "stale");
        client_count(node, read->machine, read->bytes, read->size);
    }
    client_reply(node, read->origin, &reply);
    if (status == GAVEL_OK)
        figures_count(&node->figures->reads, node_now(node), 1);
    os_list_remove(&read->link);
    node->read_count--;
    node->read_bytes -= read->size;
    free(read);
}

/* [apply] Run the machine's commands of all reads that were handed over; results lie end to end in one
 * buffer. */
static void run_reads(struct os_job *job)
{
    struct node *node = os_container(job, struct node, read_job);
    struct waiting_read *read;

    node->read_results.size = 0;
    os_list_each (read, &node->running_reads, struct waiting_read, link) {
        const struct gavel_trace *outside = os_trace_here;
        struct gavel_error error = {0};
        uint64_t at = node->read_results.size;

        read->ran = at < RESULTS_BYTES;
        if (!read->ran)
            continue;
        if (read->trace.flags)
            os_trace_here = &read->trace; /* what the machine logs belongs to it */
        read->status = apply_read(node->apply, read->machine, 0, gavel_bytes(read->bytes, read->size),
                                  &node->read_results, &error);
        os_trace_here = outside;
        if (read->status != GAVEL_OK)
            (void)gavel_buffer_append(&node->read_results, error.text, strlen(error.text));
        read->result_at = at;
        read->result_size = node->read_results.size - at;
    }
}

static void reads_done(struct os_job *job)
{
    struct node *node = os_container(job, struct node, read_job);
    struct os_list *front = node->ready_reads.next; /* those came while these ran */

    node->reading = false;
    if (!node_working(node))
        return; /* dead nodes answer nothing, and who stops has ended its connections */
    while (!os_list_empty(&node->running_reads)) {
        struct waiting_read *read = os_container(node->running_reads.next, struct waiting_read, link);
        struct gavel_slice result = gavel_bytes(node->read_results.data + read->result_at, read->result_size);
        char text[512];

        if (!read->ran) { /* its turn comes with the next */
            os_list_remove(&read->link);
            os_list_push(seeded_bug("node-reads-to-the-end") ? &node->ready_reads : front, &read->link);
            continue;
        }
        text[0] = 0;
        if (read->status != GAVEL_OK)
            (void)snprintf(text, sizeof text, "%.*s", (int)result.size, (const char *)result.data);
        finish(node, read, read->status, result, text);
    }
    if (node->read_results.size > RESULTS_BYTES)
        gavel_buffer_free(&node->read_results);
    if (!node->bounded)
        node_settle(node);
}

static bool gather(struct node *node)
{
    struct os_list *at = node->ready_reads.next;

    while (at != &node->ready_reads) {
        struct waiting_read *read = os_container(at, struct waiting_read, link);

        at = at->next;
        if (read->min_index > node->applied)
            continue;
        os_list_remove(&read->link);
        os_list_push(&node->running_reads, &read->link);
    }
    return !os_list_empty(&node->running_reads);
}

void read_serve(struct node *node)
{
    while (!node->reading && !node->apply_hold && !node->applying && gather(node)) {
        node->reading = true;
        node->read_job.run = run_reads;
        node->read_job.done = reads_done;
        if (node->bounded) {
            run_reads(&node->read_job);
            reads_done(&node->read_job);
        } else {
            node->read_last = true;
            os_submit(node->os, OS_LANE_APPLY, &node->read_job);
        }
    }
}

static void expire_list(struct node *node, struct os_list *list, uint64_t now)
{
    struct os_list *at = list->next;

    while (at != list) {
        struct waiting_read *read = os_container(at, struct waiting_read, link);

        at = at->next;
        if (read->deadline_ns <= now)
            finish(node, read, read->barrier == 0 ? GAVEL_E_TIMEOUT : GAVEL_E_NO_LEADER, gavel_bytes(NULL, 0),
                   "no majority confirmed this read in time; a stale read can be asked for by name");
    }
}

void read_expire(struct node *node, uint64_t now)
{
    expire_list(node, &node->reads, now);
    expire_list(node, &node->ready_reads, now);
}

static void free_list(struct os_list *list)
{
    while (!os_list_empty(list)) {
        struct waiting_read *read = os_container(list->next, struct waiting_read, link);

        os_list_remove(&read->link);
        free(read);
    }
}

void read_free_all(struct node *node)
{
    free_list(&node->reads);
    free_list(&node->ready_reads);
    free_list(&node->running_reads);
    gavel_buffer_free(&node->read_results);
}
