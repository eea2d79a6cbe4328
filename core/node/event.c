/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - one ring of events a node, and the streams that read it. A stream is a cursor and a filter, never
 * a queue: a reader that does not read costs its cursor, and when the ring has passed it, it ends with
 * "compacted" and the oldest revision.
 *
 * A revision is (index, ordinal). What this node alone has to say (a leader, a health, a snapshot, an alarm)
 * takes the index that is applied at that moment and ordinals above 2^32, so that revisions only ever rise
 * along the ring.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/event_ring.h"
#include "core/os/cover.h"

#define LOCAL_ORDINAL (UINT64_C(1) << 32)
#define SEND_QUEUE_BYTES (32u << 10) /* of one connection: events wait in the ring rather than there */
#define STREAM_TYPES_MAX 8
#define CREDIT_MAX (UINT64_C(1) << 32)

struct stream {
    uint32_t magic;
    uint32_t type_count;   /* 0: every type */
    struct os_list link;   /* conn->streams */
    struct os_list hungry; /* node_events.hungry while it has credit */
    struct conn *conn;
    uint64_t id;
    uint64_t credit;
    uint64_t next;    /* number of the next event in the ring */
    uint64_t after_index; /* it begins behind this revision, which this node may have yet to reach; 0: anywhere */
    uint64_t after_ordinal;
    uint32_t machine; /* number + 1; 0: every machine */
    char types[STREAM_TYPES_MAX][32];
};

struct node_events {
    struct event_ring ring;
    uint64_t floor_index; /* every event with a revision above this is held */
    uint64_t floor_ordinal;
    uint64_t local; /* counts local ordinals */
    uint64_t streams;
    bool choked; /* a stream has credit and events, but its connection is full */
    bool fresh;      /* a stream has become hungry since the last pump */
    uint64_t pumped; /* `end` at the last pump: nothing has come since is the usual case, whatever the streams */
    struct os_list hungry;
    struct gavel_buffer body;
};

int32_t events_new(struct node *node)
{
    node->events = calloc(1, sizeof *node->events);
    if (!node->events)
        return GAVEL_E_NO_MEMORY;
    os_list_init(&node->events->hungry);
    node->events->body = codec_buffer(0);
    return GAVEL_OK;
}

uint64_t event_stream_count(const struct node *node)
{
    return node->events ? node->events->streams : 0;
}

static void drop_oldest(struct node_events *events)
{
    const struct event *event = event_ring_at(&events->ring, events->ring.first);

    events->floor_index = event->index;
    events->floor_ordinal = event->ordinal;
    event_ring_drop(&events->ring);
}

void events_free(struct node *node)
{
    struct node_events *events = node->events;

    if (!events)
        return;
    event_ring_free(&events->ring);
    gavel_buffer_free(&events->body);
    free(events);
    node->events = NULL;
}

void events_begin_after(struct node *node, uint64_t index)
{
    struct node_events *events = node->events;

    event_ring_gap(&events->ring); /* what was never here is a gap too, also for who has read all that was */
    events->floor_index = index;
    events->floor_ordinal = UINT64_MAX;
}

/* ---- adding -------------------------------------------------------------------------------------------- */

/* An event that cannot be kept. A gap must never pass unseen: whoever has not read everything up to here is told so. */
static void lose(struct node_events *events, const struct event *head)
{
    event_ring_gap(&events->ring);
    events->floor_index = head->index;
    events->floor_ordinal = head->ordinal;
}

static void add(struct node *node, const struct event *head, struct gavel_slice key, struct gavel_slice body,
                struct gavel_slice previous)
{
    struct node_events *events = node->events;
    uint64_t size = sizeof *head + key.size + body.size + previous.size;
    struct event sized = *head;
    struct event *event = NULL;

    sized.key_bytes = (uint32_t)key.size;
    sized.body_bytes = (uint32_t)body.size;
    sized.previous_bytes = (uint32_t)previous.size;
    if (size <= node->limits.event_ring_bytes) {
        while (events->ring.bytes + size > node->limits.event_ring_bytes)
            drop_oldest(events);
        event = event_ring_put(&events->ring, &sized);
    }
    if (!event) {
        lose(events, head);
        return;
    }
    if (key.size)
        memcpy(event->bytes, key.data, key.size);
    if (body.size)
        memcpy(event->bytes + key.size, body.data, body.size);
    if (previous.size)
        memcpy(event->bytes + key.size + body.size, previous.data, previous.size);
}

static const struct command_row *row_of(const struct node *node, uint32_t machine, uint64_t command)
{
    for (uint32_t i = 0; i < node->command_count; i++)
        if (node->commands[i].number == machine && node->commands[i].command->id == command)
            return &node->commands[i];
    return NULL;
}

/* The same with the body that was written; one that could not be written (no memory) is a lost event too. */
static void add_body(struct node *node, const struct event *head, struct codec_writer *writer, struct gavel_slice key,
                     struct gavel_slice previous)
{
    if (codec_writer_end(writer, NULL) == GAVEL_OK)
        add(node, head, key, gavel_buffer_slice(&node->events->body), previous);
    else
        lose(node->events, head);
}

static struct gavel_writer *body_begin(struct node_events *events, struct codec_writer *writer)
{
    events->body.size = 0;
    return codec_writer_begin(writer, &events->body);
}

/* Log lines for people who watch a demonstration or debug: made only when somebody listens. */
static void tell_change(struct node *node, const struct apply_record *record)
{
    struct gavel_buffer text = codec_buffer(400);
    char type[32];

    if (!node_log_wanted(node, GAVEL_LOG_DEBUG, "state"))
        return;
    (void)snprintf(type, sizeof type, "%.*s", (int)record->event.size, (const char *)record->event.data);
    if (record->b.size && codec_value_text(record->b, 0, &text) != GAVEL_OK)
        text.size = text.size < 400 ? text.size : 400;
    node_log(node, GAVEL_LOG_DEBUG, "state", "State %s: %.*s%s%.*s", type, (int)record->a.size,
             (const char *)record->a.data, text.size ? " = " : "", (int)text.size, (const char *)text.data);
    gavel_buffer_free(&text);
}

static void tell_command(struct node *node, const struct command_row *row, const struct apply_record *record)
{
    char name[64];
    size_t length = row->name.size < sizeof name - 1 ? row->name.size : sizeof name - 1;

    if (!node_log_wanted(node, GAVEL_LOG_DEBUG, "apply"))
        return;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)toupper(((const unsigned char *)row->name.data)[i]);
    name[length] = 0;
    node_log(node, GAVEL_LOG_DEBUG, "apply", "Command applied: %s (index %llu%s)", name,
             (unsigned long long)record->index, record->status < 0 ? ", refused" : "");
}

static void applied_command(struct node *node, const struct apply_record *record)
{
    const struct command_row *row = row_of(node, record->machine, record->command);
    struct codec_writer writer;
    struct gavel_writer *out;
    struct event head = {.index = record->index,
                         .ordinal = record->ordinal + UINT64_C(1), /* behind the changes that it made */
                         .wall_ms = os_wall_ms(node->os),
                         .type = "command_applied",
                         .machine = record->machine};

    if (!row)
        return; /* a duplicate, or refused by its session: nothing was applied */
    tell_command(node, row, record);
    out = body_begin(node->events, &writer);
    gavel_put_map(out, 1);
    gavel_put_key(out, "status");
    gavel_put_int(out, record->status);
    gavel_put_end(out);
    add_body(node, &head, &writer, row->name, gavel_bytes(NULL, 0));
}

/* Of the host's own state: the record names the event, and its value is the body. */
static void changed_roster(struct node *node, const struct apply_record *record)
{
    static const char *const types[] = {"capabilities_changed", "node_registered", "node_deregistered"};
    struct event head = {.index = record->index, .ordinal = record->ordinal, .wall_ms = os_wall_ms(node->os)};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (gavel_slice_equal(record->event, gavel_text(types[i])))
            head.type = types[i];
    assert(head.type);
    add(node, &head, record->a, record->b, gavel_bytes(NULL, 0));
}

static void changed_state(struct node *node, const struct apply_record *record)
{
    struct codec_writer writer;
    struct gavel_writer *out = body_begin(node->events, &writer);
    struct event head = {.index = record->index,
                         .ordinal = record->ordinal,
                         .wall_ms = os_wall_ms(node->os),
                         .type = "state_changed",
                         .machine = record->machine};

    tell_change(node, record);
    gavel_put_map(out, record->b.data ? 2 : 1);
    gavel_put_key(out, "type");
    gavel_put_string(out, record->event);
    if (record->b.data) {
        gavel_put_key(out, "value");
        codec_put_value(out, record->b);
    }
    gavel_put_end(out);
    add_body(node, &head, &writer, record->a, record->c);
}

void event_applied(struct node *node, const struct apply_record *record)
{
    if (record->type == APPLY_RECORD_EVENT && !record->machine)
        changed_roster(node, record);
    else if (record->type == APPLY_RECORD_EVENT)
        changed_state(node, record);
    else if (record->kind == LOG_COMMAND)
        applied_command(node, record);
}

void event_local(struct node *node, const char *type, const char *key, const char *const *pairs)
{
    struct codec_writer writer;
    struct gavel_writer *out;
    uint64_t count = 0;
    struct event head = {.index = node->applied, .wall_ms = os_wall_ms(node->os), .type = type};

    if (!node->events)
        return;
    head.ordinal = LOCAL_ORDINAL + ++node->events->local;
    while (pairs[count])
        count += 2;
    out = body_begin(node->events, &writer);
    gavel_put_map(out, count / 2);
    for (uint64_t i = 0; i < count; i += 2) {
        gavel_put_key(out, pairs[i]);
        gavel_put_text(out, pairs[i + 1]);
    }
    gavel_put_end(out);
    add_body(node, &head, &writer, gavel_text(key), gavel_bytes(NULL, 0));
}

/* ---- streams ------------------------------------------------------------------------------------------- */

static void stream_end(struct stream *stream, int32_t status, const char *why)
{
    struct conn *conn = stream->conn;
    struct node_events *events = conn->node->events;
    struct codec_stream_end end = {.id = stream->id, .status = status, .text = gavel_text(why)};

    if (status == GAVEL_E_COMPACTED) {
        end.oldest_index = events->floor_index;
        end.oldest_ordinal = events->floor_ordinal;
    }
    (void)conn_send(conn, CODEC_STREAM_END, &end);
    node_record(conn->node, conn->node->metric.streams_ended, 1, "reason", measure_status(status));
    os_list_remove(&stream->link);
    os_list_remove(&stream->hungry);
    stream->magic = 0;
    free(stream);
    events->streams--;
}

static bool passes(const struct stream *stream, const struct event *event)
{
    if (event->index < stream->after_index ||
        (event->index == stream->after_index && event->ordinal <= stream->after_ordinal))
        return false;
    if (stream->machine && event->machine + 1 != stream->machine)
        return false;
    for (uint32_t i = 0; i < stream->type_count; i++)
        if (strcmp(stream->types[i], event->type) == 0)
            return true;
    return stream->type_count == 0;
}

static bool send_event(struct stream *stream, const struct event *event)
{
    struct node *node = stream->conn->node;
    struct codec_stream_event message = {
        .id = stream->id,
        .index = event->index,
        .ordinal = event->ordinal,
        .event = gavel_text(event->type),
        .key = gavel_bytes(event->bytes, event->key_bytes),
        .body = gavel_bytes(event->bytes + event->key_bytes, event->body_bytes),
        .wall_ms = event->wall_ms,
    };

    if (event->previous_bytes)
        message.previous =
            gavel_bytes(event->bytes + event->key_bytes + event->body_bytes, event->previous_bytes);
    if (event->machine)
        message.machine = gavel_text(node->setup.machines[event->machine - 1].name);
    if (!conn_send(stream->conn, CODEC_STREAM_EVENT, &message))
        return false;
    node_observe(node, node->series.events, 1);
    return true;
}

/* Where in the ring a reader of (index, ordinal) goes on: a search, for revisions rise along it. */
static uint64_t place_after(struct node_events *events, uint64_t index, uint64_t ordinal)
{
    uint64_t low = events->ring.first;
    uint64_t high = events->ring.end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct event *event = event_ring_at(&events->ring, middle);

        if (event->index < index || (event->index == index && event->ordinal <= ordinal))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Whether something behind this revision is gone. Behind a restored snapshot the floor's ordinal is the largest: how
 * many events its last entry made is not known any more, so only who has seen something later at that index, of this
 * node's own, has surely seen them all.
 */
static bool is_below_floor(const struct node_events *events, uint64_t index, uint64_t ordinal)
{
    if (index != events->floor_index)
        return index < events->floor_index;
    return ordinal < events->floor_ordinal && !(events->floor_ordinal == UINT64_MAX && ordinal >= LOCAL_ORDINAL);
}

/*
 * The ring has passed what the stream would look at next. That is a gap, but for a stream that waits for a revision
 * that this node has yet to reach (it replays its log, or lags): nothing that it asked for is gone.
 */
static bool has_gap(struct stream *stream)
{
    struct node_events *events = stream->conn->node->events;

    if (stream->next >= events->ring.first)
        return false;
    if (!stream->after_index || is_below_floor(events, stream->after_index, stream->after_ordinal))
        return true;
    stream->next = events->ring.first;
    return false;
}

/* Give a stream what it may have now. */
static void feed(struct stream *stream)
{
    struct conn *conn = stream->conn;
    struct node_events *events = conn->node->events;
    const struct gavel_transport *transport = conn->transport->operations;

    if (has_gap(stream)) {
        COVER("node-stream-gap");
        stream_end(stream, GAVEL_E_COMPACTED,
                   "the reader was too slow: events that it has not read are gone");
        return;
    }
    while (stream->credit && stream->next < events->ring.end && conn->state == CONN_READY) {
        const struct event *event = event_ring_at(&events->ring, stream->next);

        if (transport->queued(conn->transport->self, conn->handle) > SEND_QUEUE_BYTES) {
            COVER("node-stream-slow-reader");
            events->choked = true;
            return;
        }
        if (passes(stream, event)) {
            if (!send_event(stream, event)) {
                if (conn->state == CONN_READY) /* it would be the same the next time: never in silence */
                    stream_end(stream, GAVEL_E_TOO_LARGE, "an event is larger than a message may be here");
                return;
            }
            stream->credit--;
        }
        stream->next++;
    }
    if (!stream->credit) {
        COVER("node-stream-without-credit");
        os_list_remove(&stream->hungry);
        os_list_init(&stream->hungry);
    }
}

void event_pump(struct node *node)
{
    struct os_list *at;

    if (!node->events)
        return;
    if (!node->events->choked && !node->events->fresh && node->events->pumped == node->events->ring.end)
        return;
    node->events->choked = false;
    node->events->fresh = false;
    node->events->pumped = node->events->ring.end;
    at = node->events->hungry.next;
    while (at != &node->events->hungry) {
        struct stream *stream = os_container(at, struct stream, hungry);

        at = at->next;
        feed(stream);
    }
}

bool event_choked(const struct node *node)
{
    return node->events && node->events->choked;
}

static struct stream *stream_find(struct conn *conn, uint64_t id)
{
    struct stream *stream;

    os_list_each (stream, &conn->streams, struct stream, link)
        if (stream->id == id)
            return stream;
    return NULL;
}

static void refuse_stream(struct conn *conn, uint64_t id, int32_t status, const char *why)
{
    struct node_events *events = conn->node->events;
    struct codec_stream_end end = {.id = id, .status = status, .text = gavel_text(why)};

    if (status == GAVEL_E_COMPACTED) {
        end.oldest_index = events->floor_index;
        end.oldest_ordinal = events->floor_ordinal;
    }
    (void)conn_send(conn, CODEC_STREAM_END, &end);
}

/* The filter: {types: [...]} and the machine. Returns why it is refused, or NULL. */
static const char *read_filter(struct stream *stream, const struct codec_stream_open *open)
{
    struct node *node = stream->conn->node;
    struct gavel_slice types = codec_map_find(open->arguments, "types");
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;

    codec_walk_begin(&walk, types);
    while (codec_walk_next(&walk, &key, &value)) {
        struct gavel_slice text;

        if (stream->type_count == STREAM_TYPES_MAX || codec_get_string(value, &text) != GAVEL_OK ||
            !members_copy_text(stream->types[stream->type_count++], sizeof stream->types[0], text))
            return "'types' has to be a list of at most 8 names of events";
    }
    for (uint32_t i = 0; open->machine.size && i < node->setup.machine_count; i++)
        if (gavel_slice_equal(open->machine, gavel_text(node->setup.machines[i].name)))
            stream->machine = i + 2;
    return open->machine.size && !stream->machine ? "this cluster has no machine of that name" : NULL;
}

void event_open(struct conn *conn, const struct codec_stream_open *open)
{
    struct node *node = conn->node;
    struct node_events *events = node->events;
    struct stream *stream;
    const char *refused;

    if (!gavel_slice_equal(open->stream, gavel_text("events"))) {
        refuse_stream(conn, open->id, GAVEL_E_NOT_FOUND,
                      "there is no stream of that name; there is 'events'");
        return;
    }
    if (node->fenced) {
        refuse_stream(conn, open->id, GAVEL_E_CLOSED, "the state of this node differs from the majority's");
        return;
    }
    if (stream_find(conn, open->id)) {
        refuse_stream(conn, open->id, GAVEL_E_EXISTS, "a stream of that id is open on this connection");
        return;
    }
    if (events->streams >= node->limits.streams) {
        refuse_stream(conn, open->id, GAVEL_E_BUSY, "this node has as many streams as it may");
        return;
    }
    if (open->from_index && is_below_floor(events, open->from_index, open->from_ordinal)) {
        COVER("node-stream-compacted");
        refuse_stream(conn, open->id, GAVEL_E_COMPACTED,
                      "events that far back are gone: read the state, then follow from "
                      "its revision");
        return;
    }
    stream = calloc(1, sizeof *stream);
    if (!stream) {
        refuse_stream(conn, open->id, GAVEL_E_BUSY, "this node is out of memory");
        return;
    }
    stream->magic = STREAM_MAGIC;
    stream->conn = conn;
    stream->id = open->id;
    os_list_init(&stream->hungry);
    refused = read_filter(stream, open);
    if (refused) {
        refuse_stream(conn, open->id, GAVEL_E_INVALID, refused);
        free(stream);
        return;
    }
    stream->after_index = open->from_index;
    stream->after_ordinal = open->from_index ? open->from_ordinal : 0;
    stream->next = open->from_index ? place_after(events, open->from_index, open->from_ordinal) : events->ring.end;
    os_list_push(&conn->streams, &stream->link);
    events->streams++;
    event_credit(conn, &(struct codec_stream_credit){.id = open->id, .credit = open->credit});
}

void event_credit(struct conn *conn, const struct codec_stream_credit *credit)
{
    struct stream *stream = stream_find(conn, credit->id);

    if (!stream || credit->credit == 0)
        return;
    if (stream->credit == 0) {
        os_list_push(&conn->node->events->hungry, &stream->hungry);
        conn->node->events->fresh = true;
    }
    stream->credit =
        credit->credit > CREDIT_MAX - stream->credit ? CREDIT_MAX : stream->credit + credit->credit;
}

void event_close(struct conn *conn, const struct codec_stream_close *close)
{
    struct stream *stream = stream_find(conn, close->id);

    if (stream)
        stream_end(stream, GAVEL_OK, "closed");
}

void event_conn_gone(struct conn *conn)
{
    while (!os_list_empty(&conn->streams)) {
        struct stream *stream = os_container(conn->streams.next, struct stream, link);

        os_list_remove(&stream->link);
        os_list_remove(&stream->hungry);
        stream->magic = 0;
        free(stream);
        conn->node->events->streams--;
    }
}

void event_end_all(struct node *node, int32_t status, const char *why)
{
    struct conn *conn;

    os_list_each (conn, &node->conns, struct conn, link)
        while (!os_list_empty(&conn->streams))
            stream_end(os_container(conn->streams.next, struct stream, link), status, why);
}
