/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries.c - batches for people: see entries.h.
 */
#include "core/codec/entries.h"

#include "core/codec/value.h"
#include "core/log/batch.h"

static uint64_t little(const unsigned char *at, int width)
{
    uint64_t value = 0;

    while (width-- > 0)
        value = value << 8 | at[width];
    return value;
}

/* Where we are in a run of batches. */
struct entries {
    const unsigned char *batch; /* the next one */
    const unsigned char *end;   /* of all batches */
    const unsigned char *at;    /* the next entry */
    const unsigned char *last;  /* the end of this batch */
    uint64_t term;
    uint64_t index;
};

/* Step into the next batch; 0 when there is no sound header. */
static int next_batch(struct entries *entries)
{
    uint64_t left = (uint64_t)(entries->end - entries->batch);
    uint64_t bytes;

    if (left < LOG_BATCH_HEAD || little(entries->batch, 4) != LOG_BATCH_MAGIC)
        return 0;
    bytes = little(entries->batch + 28, 4);
    if (bytes < LOG_BATCH_HEAD || bytes > left)
        return 0;
    entries->term = little(entries->batch + 8, 8);
    entries->index = little(entries->batch + 16, 8) - 1;
    entries->at = entries->batch + LOG_BATCH_HEAD;
    entries->last = entries->batch + bytes;
    entries->batch = entries->last;
    return 1;
}

/* The next entry's bytes; 0 at the end, or where its lengths contradict each other. */
static int next_entry(struct entries *entries, struct gavel_slice *entry)
{
    uint64_t left;
    uint64_t bytes;

    while (entries->at == entries->last)
        if (!next_batch(entries))
            return 0;
    left = (uint64_t)(entries->last - entries->at);
    if (left < LOG_ENTRY_HEAD)
        return 0;
    bytes = little(entries->at, 4);
    if (bytes > left || bytes < LOG_ENTRY_HEAD ||
        little(entries->at + 12, 2) + little(entries->at + 4, 4) > bytes - LOG_ENTRY_HEAD)
        return 0;
    *entry = gavel_bytes(entries->at, bytes);
    entries->at += bytes;
    entries->index++;
    return 1;
}

static struct entries begin(struct gavel_slice batches)
{
    static const unsigned char nothing[1];
    struct entries entries = {.batch = batches.size ? batches.data : nothing};

    entries.end = entries.batch + batches.size;
    entries.at = entries.batch;
    entries.last = entries.batch;
    return entries;
}

uint64_t codec_entries_count(struct gavel_slice batches)
{
    struct entries entries = begin(batches);
    struct gavel_slice entry;
    uint64_t count = 0;

    while (next_entry(&entries, &entry))
        count++;
    return count;
}

/*
 * A command's payload: its number in 4 bytes, then its arguments. The size of the number, or 0 when it is none of
 * these.
 */
static uint64_t command_head(uint64_t kind, struct gavel_slice payload)
{
    struct gavel_limits limits = codec_limits(LOG_BATCH_MAX);

    if (kind != LOG_COMMAND || payload.size <= 4)
        return 0;
    return codec_value_check(gavel_bytes((const unsigned char *)payload.data + 4, payload.size - 4), &limits, NULL) ==
                   GAVEL_OK
               ? 4
               : 0;
}

static void write_payload(struct gavel_slice payload, uint64_t head, struct gavel_writer *writer)
{
    const unsigned char *at = payload.data;

    if (head) {
        gavel_put_key(writer, "command");
        gavel_put_uint(writer, little(at, 4));
        gavel_put_key(writer, "arguments");
        codec_put_value(writer, gavel_bytes(at + head, payload.size - head));
    } else if (payload.size) {
        gavel_put_key(writer, "payload");
        gavel_put_bytes(writer, payload);
    }
}

static void write_entry(const struct entries *entries, const unsigned char *entry, struct gavel_writer *writer)
{
    static const char *const kinds[LOG_KINDS] = {"noop", "config", "command", "host"};
    uint64_t principal = little(entry + 12, 2);
    struct gavel_slice payload = gavel_bytes(entry + LOG_ENTRY_HEAD + principal, little(entry + 4, 4));
    uint64_t kind = little(entry + 8, 2);
    uint64_t session = little(entry + 16, 8);
    uint64_t head = command_head(kind, payload);

    gavel_put_map(writer, 2 + (head == 0) + (kind == LOG_COMMAND) + (session ? 2 : 0) +
                              (head ? 2 : payload.size ? 1 : 0));
    gavel_put_key(writer, "index");
    gavel_put_uint(writer, entries->index);
    gavel_put_key(writer, "term");
    gavel_put_uint(writer, entries->term);
    if (!head) {
        gavel_put_key(writer, "kind");
        gavel_put_text(writer, kind < LOG_KINDS ? kinds[kind] : "other");
    }
    if (kind == LOG_COMMAND) {
        gavel_put_key(writer, "machine");
        gavel_put_uint(writer, little(entry + 10, 2));
    }
    if (session) {
        gavel_put_key(writer, "session");
        gavel_put_uint(writer, session);
        gavel_put_key(writer, "sequence");
        gavel_put_uint(writer, little(entry + 24, 8));
    }
    write_payload(payload, head, writer);
    gavel_put_end(writer);
}

void codec_entries_write(struct gavel_slice batches, uint64_t count, struct gavel_writer *writer)
{
    struct entries entries = begin(batches);
    struct gavel_slice entry;

    gavel_put_array(writer, count);
    while (count > 0 && next_entry(&entries, &entry)) {
        write_entry(&entries, entry.data, writer);
        count--;
    }
    gavel_put_end(writer);
}
