/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_entry.c - the traced entries of the log: on their way to the disk, to the others, and through their machine.
 */
#include "core/node/trace_internal.h"

#include <string.h>

#include "core/node/bytes.h"

static void end_write(struct node *node, struct traced_entry *entry, int64_t status)
{
    struct trace_attributes attributes;

    trace_attributes(&attributes, node->setup.name);
    trace_number(&attributes, "index", entry->index);
    trace_number(&attributes, "term", entry->term);
    trace_end(node, &entry->write, status, &attributes);
    entry->written = true;
}

static void forget(struct node *node, struct traced_entry *entry)
{
    if (entry->write.number)
        end_write(node, entry, GAVEL_E_UNKNOWN);
    *entry = (struct traced_entry){.index = 0};
    node->traces->entry_count--;
}

static struct traced_entry *find(struct traces *traces, uint64_t index)
{
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX; i++)
        if (traces->entries[i].index == index)
            return &traces->entries[i];
    return NULL;
}

static void add(struct node *node, uint64_t index, uint64_t term, const struct gavel_trace *context)
{
    struct traces *traces = node->traces;
    struct traced_entry *entry = find(traces, index);

    if (entry && entry->term == term)
        return; /* an append that came twice */
    if (entry)
        forget(node, entry);
    entry = find(traces, 0);
    if (!entry)
        return;
    *entry = (struct traced_entry){.index = index, .term = term, .context = *context};
    traces->entry_count++;
}

void trace_proposed(struct node *node, const struct origin *origin, uint64_t index, uint64_t term)
{
    const struct gavel_trace *context = trace_of(node, origin);

    if (!context)
        return;
    trace_note_index(node, origin, index, term);
    add(node, index, term, context);
}

void trace_writing(struct node *node, uint64_t first, uint64_t last, uint64_t io)
{
    if (!node->traces || !node->traces->entry_count)
        return;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX; i++) {
        struct traced_entry *entry = &node->traces->entries[i];

        if (entry->index < first || entry->index > last || !entry->index || entry->io)
            continue;
        entry->io = io;
        entry->write = trace_child(node, SPAN_WRITE, &entry->context);
    }
}

void trace_written(struct node *node, uint64_t io)
{
    if (!node->traces || !node->traces->entry_count)
        return;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX; i++) {
        struct traced_entry *entry = &node->traces->entries[i];

        if (!entry->index || !entry->io || entry->io > io)
            continue;
        if (!entry->written)
            end_write(node, entry, GAVEL_OK);
        if (entry->applied)
            forget(node, entry);
    }
}

void trace_truncated(struct node *node, uint64_t from)
{
    if (!node->traces || !node->traces->entry_count)
        return;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX; i++)
        if (node->traces->entries[i].index >= from && node->traces->entries[i].index)
            forget(node, &node->traces->entries[i]);
}

void trace_applied(struct node *node, uint64_t index)
{
    if (!node->traces || !node->traces->entry_count)
        return;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX; i++) {
        struct traced_entry *entry = &node->traces->entries[i];

        if (!entry->index || entry->index > index)
            continue;
        entry->applied = true;
        if (entry->written || !entry->io)
            forget(node, entry);
    }
}

/* ---- to the others and from the leader ----------------------------------------------------------------- */

void trace_send(struct node *node, uint64_t first, uint64_t last, struct codec_raft *wire)
{
    struct traces *traces = node->traces;
    uint32_t count = 0;

    if (!traces || !traces->entry_count)
        return;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX && count < TRACE_WIRE_MAX; i++) {
        const struct traced_entry *entry = &traces->entries[i];
        unsigned char *to = traces->wire + (size_t)count * TRACE_WIRE_BYTES;

        if (!entry->index || entry->index < first || entry->index > last)
            continue;
        traces->sending[count] = trace_child(node, SPAN_SEND, &entry->context);
        if (!traces->sending[count].number)
            continue;
        traces->sending_index[count] = entry->index;
        traces->sending_term[count] = entry->term;
        bytes_store64(to, entry->index);
        memcpy(to + 8, traces->sending[count].context.trace_id, 16);
        memcpy(to + 24, traces->sending[count].context.span_id, 8);
        count++;
    }
    traces->sending_count = count;
    if (count)
        wire->traces = gavel_bytes(traces->wire, (uint64_t)count * TRACE_WIRE_BYTES);
}

void trace_sent(struct node *node, const struct peer *peer)
{
    struct traces *traces = node->traces;

    for (uint32_t i = 0; traces && i < traces->sending_count; i++) {
        struct trace_attributes attributes;

        trace_attributes(&attributes, node->setup.name);
        trace_text(&attributes, "peer", gavel_text(peer->name));
        trace_number(&attributes, "index", traces->sending_index[i]);
        trace_number(&attributes, "term", traces->sending_term[i]);
        trace_end(node, &traces->sending[i], GAVEL_OK, &attributes);
    }
    if (traces)
        traces->sending_count = 0;
}

/* The term of an entry of the append at hand; 0: it is not in it. */
static uint64_t term_in(const struct log_batch *const *batches, uint32_t count, uint64_t index)
{
    for (uint32_t i = 0; i < count; i++)
        if (index >= batches[i]->head.first && index - batches[i]->head.first < batches[i]->head.count)
            return batches[i]->head.term;
    return 0;
}

void trace_received(struct node *node, const struct codec_raft *wire, const struct log_batch *const *batches,
                    uint32_t count)
{
    struct bytes_cursor cursor = bytes_read(wire->traces);

    if (!node->traces || wire->traces.size % TRACE_WIRE_BYTES)
        return;
    while (cursor.left >= TRACE_WIRE_BYTES) {
        struct gavel_trace context = {.flags = 1};
        uint64_t index = bytes_get64(&cursor);
        uint64_t term = term_in(batches, count, index);

        memcpy(context.trace_id, cursor.at, 16);
        memcpy(context.span_id, cursor.at + 16, 8);
        cursor.at += TRACE_WIRE_BYTES - 8;
        cursor.left -= TRACE_WIRE_BYTES - 8;
        if (term && index > node->applied)
            add(node, index, term, &context);
    }
}

/* ---- the apply lane ------------------------------------------------------------------------------------ */

void trace_run(struct node *node, struct apply_run *run)
{
    struct traces *traces = node->traces;

    run->trace_count = 0;
    if (!traces || !traces->entry_count)
        return;
    run->trace_arguments = node->limits.trace_arguments != 0;
    for (uint32_t i = 0; i < TRACE_ENTRIES_MAX && run->trace_count < TRACE_RUN_MAX; i++) {
        const struct traced_entry *entry = &traces->entries[i];

        if (entry->index && entry->index >= run->from && entry->index <= run->last)
            run->traces[run->trace_count++] =
                (struct apply_trace){.index = entry->index, .term = entry->term, .context = entry->context};
    }
}
