/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sizes.c - what messages weigh on the wire. The fixed messages lie in tests/bench/sizes-messages as compact JSON;
 * each is decoded, encoded again by both serializers, and compared with what we promise. It also states the
 * heartbeat and appends of
 * 1 and of 100 entries of 256 bytes, and how long encoding and decoding take. Exits 1 when a promise does not hold.
 *
 * An append carries whole batches as they lie in the log. Their headers (batch and entry) are the log's, equal on
 * disk and on the wire, and are listed apart from what the message itself adds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/codec/entries.h"
#include "core/codec/message.h"
#include "core/log/batch.h"
#include "plugins/serializers/json/js.h"

_Alignas(16) static unsigned char memory[1 << 20];
static int failures;

static void die(const char *what, const struct gavel_error *error)
{
    fprintf(stderr, "sizes: %s: %s\n", what, error ? error->text : "failed");
    exit(1);
}

static struct gavel_buffer load(const char *name)
{
    const char *top = getenv("top_srcdir");
    struct gavel_buffer text = codec_buffer(1 << 16);
    char path[4096];
    char piece[4096];
    size_t got;
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/tests/bench/sizes-messages/%s.json", top ? top : ".", name);
    file = fopen(path, "r");
    if (!file)
        die(path, NULL);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        if (gavel_buffer_append(&text, piece, got) != GAVEL_OK)
            die(path, NULL);
    (void)fclose(file);
    return text;
}

/* The document as compact JSON. */
static struct gavel_buffer compact(struct gavel_slice text)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    if (codec_transcode(&js_serializer, NULL, text, &limits, &js_serializer, NULL, &out, &error) != GAVEL_OK)
        die("compact", &error);
    return out;
}

static void *decode(const struct gavel_serializer *serializer, struct gavel_slice text, uint64_t *type)
{
    struct gavel_limits limits = codec_limits(1 << 20);
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_error error;
    void *message;

    if (codec_message_decode(serializer, NULL, text, &limits, &arena, type, &message, &error) != GAVEL_OK)
        die("decode", &error);
    return message;
}

static void promise(const char *name, const char *format, uint64_t bytes, uint64_t wanted, int exact)
{
    int holds = exact ? bytes == wanted : bytes <= wanted;

    printf("%-22s %-8s %5" PRIu64 " bytes  (%s %" PRIu64 ")%s\n", name, format, bytes, exact ? "wanted" : "at most",
           wanted,
           holds ? "" : "  BROKEN");
    failures += !holds;
}

/* A message without a tail: the document is exactly what our JSON says, and MessagePack is small. */
static void plain(const char *name, uint64_t json_bytes, uint64_t msgpack_bytes)
{
    struct gavel_buffer text = load(name);
    struct gavel_buffer small = compact(gavel_buffer_slice(&text));
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    uint64_t type = 0;
    void *message = decode(&js_serializer, gavel_buffer_slice(&small), &type);

    if (codec_message_encode(&js_serializer, NULL, type, message, &out, &error) != GAVEL_OK)
        die(name, &error);
    if (!gavel_slice_equal(gavel_buffer_slice(&out), gavel_buffer_slice(&small)))
        die(name, NULL);
    promise(name, "json", out.size, json_bytes, 1);
    out.size = 0;
    if (codec_message_encode(codec_msgpack(), NULL, type, message, &out, &error) != GAVEL_OK)
        die(name, &error);
    promise(name, "msgpack", out.size, msgpack_bytes, 0);
    gavel_buffer_free(&text);
    gavel_buffer_free(&small);
    gavel_buffer_free(&out);
}

/* The batch that the entries of the document describe, made by the log itself. */
static struct log_batch *batch_of(struct log_pool *pool, struct gavel_slice entries, struct gavel_buffer *payload)
{
    struct log_builder builder = {0};
    struct gavel_slice first = codec_array_at(entries, 0);
    struct gavel_slice arguments = codec_map_find(first, "arguments");
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;
    struct gavel_slice name;
    struct codec_writer writer;
    struct gavel_writer *w;
    struct log_batch *batch;
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = (uint16_t)codec_uint_or(codec_map_find(first,
                                                                                                     "machine"), 0)};
    unsigned char number[4] = {(unsigned char)codec_uint_or(codec_map_find(first, "command"), 0), 0, 0, 0};

    if (gavel_buffer_append(payload, number, sizeof number) != GAVEL_OK)
        die("payload", NULL);
    w = codec_writer_begin(&writer, payload);
    gavel_put_map(w, codec_value_count(arguments));
    codec_walk_begin(&walk, arguments);
    while (codec_walk_next(&walk, &key, &value)) {
        name = codec_string_or(key, "");
        w->ops->key(w, name, (uint64_t)(*(const char *)name.data - '0')); /* the log has numbers for keys */
        codec_put_value(w, value);
    }
    gavel_put_end(w);
    entry.payload = gavel_buffer_slice(payload);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK || log_builder_add(&builder, &entry) != GAVEL_OK ||
        log_builder_seal(&builder, pool, codec_uint_or(codec_map_find(first, "term"), 1),
                         codec_uint_or(codec_map_find(first, "index"), 1), 0, 0, 0, &batch) != GAVEL_OK)
        die("batch", NULL);
    log_builder_free(&builder);
    return batch;
}

/* Our JSON of the append, without the raw batches, is the document. */
static void same_entries(struct gavel_slice document, const struct codec_raft *wire, struct gavel_slice batch)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    uint64_t apart;
    uint64_t shared = document.size - 1; /* all but the closing brace */

    if (codec_message_encode_tail(&js_serializer, NULL, CODEC_RAFT + RAFT_APPEND_REQUEST, wire, &batch, 1, &out, &apart,
                                  &error) != GAVEL_OK)
        die("append_entries", &error);
    if (out.size < shared || memcmp(out.data, document.data, shared) != 0 ||
        memcmp(out.data + shared, ",\"batches\":", 11) != 0) {
        fprintf(stderr, "%.*s\n", (int)out.size, (const char *)out.data);
        die("append_entries: the document is not what is written", NULL);
    }
    printf("%-22s %-8s %5" PRIu64 " bytes  with the raw batches\n", "append_entries", "json", out.size);
    gavel_buffer_free(&out);
}

static void append_document(struct log_pool *pool)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_buffer text = load("append_entries");
    struct gavel_buffer small = compact(gavel_buffer_slice(&text));
    struct gavel_buffer document = codec_buffer(0);
    struct gavel_buffer payload = codec_buffer(0);
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    struct log_batch *batch;
    struct gavel_slice part;
    uint64_t type = 0;
    uint64_t apart = 0;
    struct codec_raft wire = *(struct codec_raft *)decode(&js_serializer, gavel_buffer_slice(&small), &type);

    promise("append_entries", "json", small.size, 210, 1);
    if (codec_transcode(&js_serializer, NULL, gavel_buffer_slice(&small), &limits, codec_msgpack(), NULL, &document,
                        &error) != GAVEL_OK)
        die("append_entries", &error);
    batch = batch_of(pool, codec_map_find(gavel_buffer_slice(&document), "entries"), &payload);
    part = gavel_bytes(batch->data, batch->head.bytes);
    same_entries(gavel_buffer_slice(&small), &wire, part);
    if (codec_message_encode_tail(codec_msgpack(), NULL, type, &wire, &part, 1, &out, &apart,
                                  &error) != GAVEL_OK || !apart)
        die("append_entries", &error);
    promise("append_entries", "msgpack", out.size + payload.size, 120, 0);
    printf("%-22s          %5d bytes  batch header, %d entry header, %d padding\n", "  apart", LOG_BATCH_HEAD,
           LOG_ENTRY_HEAD,
           (int)(batch->head.bytes - LOG_BATCH_HEAD - LOG_ENTRY_HEAD - payload.size));
    (void)log_batch_unref(batch);
    gavel_buffer_free(&text);
    gavel_buffer_free(&small);
    gavel_buffer_free(&document);
    gavel_buffer_free(&payload);
    gavel_buffer_free(&out);
}

/* Appends of `count` entries of 256 bytes each, in one batch; 0: the heartbeat. */
static void append_of(struct log_pool *pool, uint32_t count)
{
    static const unsigned char command[256] = {2, 0, 0, 0, 0xc4, 250}; /* its arguments are one bytes value */
    struct codec_raft wire = {.id = 100,
                              .term = 8,
                              .prev_index = 41907,
                              .prev_term = 8,
                              .prev_chain = 0x9e3779b9,
                              .last_index = 41907 + count,
                              .commit = 41907,
                              .round = 77,
                              .flags = RAFT_APPEND_OWN_TERM};
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .payload = {command, sizeof command}};
    struct log_builder builder = {0};
    struct log_batch *batch = NULL;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice part = {NULL, 0};
    struct gavel_error error;
    uint64_t apart;
    uint32_t i;

    for (i = 0; i < count; i++)
        if (log_builder_add(&builder, &entry) != GAVEL_OK)
            die("entry", NULL);
    if (count && log_builder_seal(&builder, pool, 8, 41908, 0, 0, 0, &batch) != GAVEL_OK)
        die("batch", NULL);
    if (batch)
        part = gavel_bytes(batch->data, batch->head.bytes);
    for (i = 0; i < 2; i++) {
        const struct gavel_serializer *serializer = i ? &js_serializer : codec_msgpack();
        out.size = 0;
        if (codec_message_encode_tail(serializer, NULL, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire, &part, count ? 1 : 0,
                                      &out,
                                      &apart, &error) != GAVEL_OK)
            die("append", &error);
        printf("append of %3u x 256 B   %-8s %5" PRIu64 " bytes\n", (unsigned)count, i ? "json" : "msgpack",
               out.size + (apart ? part.size : 0));
    }
    log_builder_free(&builder);
    (void)log_batch_unref(batch);
    gavel_buffer_free(&out);
}

static double now_ns(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/*
 * The way of a request and its reply through a node. No promise is checked: machines differ, and sanitizers are
 * slow.
 */
static void speed(void)
{
    static unsigned char room[4096];
    const uint64_t rounds = 100000;
    struct gavel_buffer text = load("update_state");
    struct gavel_buffer input = codec_buffer(0);
    struct gavel_buffer out = codec_buffer_fixed(room, sizeof room);
    struct codec_reply reply = {.id = 17, .index = 41908, .ordinal = 1, .result = {"\x81\xa8revision\x07", 11}};
    uint64_t type = 0;
    void *message = decode(&js_serializer, gavel_buffer_slice(&text), &type);
    double begin;
    uint64_t i;

    if (codec_message_encode(codec_msgpack(), NULL, type, message, &input, NULL) != GAVEL_OK)
        die("speed", NULL);
    begin = now_ns();
    for (i = 0; i < rounds; i++)
        (void)decode(codec_msgpack(), gavel_buffer_slice(&input), &type);
    printf("request decode         msgpack  %5.0f ns\n", (now_ns() - begin) / (double)rounds);
    begin = now_ns();
    for (i = 0; i < rounds; i++) {
        out.size = 0;
        if (codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, NULL) != GAVEL_OK)
            die("speed", NULL);
    }
    printf("reply encode           msgpack  %5.0f ns\n", (now_ns() - begin) / (double)rounds);
    gavel_buffer_free(&text);
    gavel_buffer_free(&input);
}

int main(void)
{
    struct log_pool *pool = log_pool_new(1 << 20);

    if (!pool)
        die("pool", NULL);
    plain("request_vote", 78, 45);
    append_document(pool);
    plain("update_state", 135, 80);
    append_of(pool, 0);
    append_of(pool, 1);
    append_of(pool, 100);
    speed();
    (void)log_pool_free(pool);
    return failures ? 1 : 0;
}
