/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_stream.c - one stream: opened at an endpoint, fed with credit as its events are taken, opened again behind
 * the last revision where the connection is lost.
 *
 * Without a callback the events queue here until gavel_stream_next takes them: at most `credit` of them, because
 * credit is only given back for what was taken. So a reader that never reads costs bounded memory on both sides.
 */
#include "client_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/os/seeded.h"

#define CREDIT 256        /* events under way, when the program does not say */
#define CREDIT_MAX 65536  /* more would only fill memory */

/* An event that waits for gavel_stream_next; its bytes follow. */
struct stream_item {
    struct os_list link;
    struct gavel_stream_event event;
};

enum stream_state {
    STREAM_WAITING, /* for an endpoint */
    STREAM_OPEN,
    STREAM_ENDED /* or closed by the program */
};

struct gavel_stream {
    uint32_t magic;
    struct gavel_client *client;
    struct client_job begin_job;
    struct client_job credit_job;
    struct client_job close_job;
    char *machine;
    char *name;
    struct gavel_buffer arguments;
    uint64_t credit; /* events that may be under way or queued here */
    void (*event)(void *context, const struct gavel_stream_event *event);
    void (*ended)(void *context, int32_t reason, const struct gavel_error *error);
    void *context;
    /* [loop] */
    enum stream_state state;
    uint64_t id;
    struct client_endpoint *where;
    struct os_list link; /* of client->opened */
    uint64_t index;      /* the revision behind which to begin; moves with each event that has one */
    uint64_t ordinal;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct os_list items;
    uint64_t queued;          /* of them */
    uint64_t owed;            /* taken events whose credit was not yet given back */
    struct stream_item *lent; /* what gavel_stream_next gave out last */
    bool credit_posted;
    bool finished;
    bool released; /* the loop has let go of it */
    struct gavel_error reason;
};

static void finish(struct gavel_stream *stream, int32_t status, const char *format, ...) GAVEL_PRINTF(3, 4);

/* The end, once. */
static void finish(struct gavel_stream *stream, int32_t status, const char *format, ...)
{
    struct gavel_error error;
    va_list arguments;

    if (stream->state == STREAM_ENDED)
        return;
    stream->state = STREAM_ENDED;
    stream->where = NULL;
    error.code = status;
    va_start(arguments, format);
    (void)vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&stream->lock);
    stream->finished = true;
    stream->reason = error;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    if (stream->ended)
        stream->ended(stream->context, status, &error);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void open_at(struct gavel_stream *stream, struct client_endpoint *endpoint)
{
    struct codec_stream_open message = {0};
    struct gavel_error error = {0, ""};
    int32_t status;

    message.id = stream->id = client_call_id(stream->client);
    message.stream = gavel_text(stream->name);
    message.machine = gavel_text(stream->machine);
    if (stream->arguments.size)
        message.arguments = gavel_buffer_slice(&stream->arguments);
    message.from_index = seeded_bug("client-resumes-from-now") ? 0 : stream->index;
    message.from_ordinal = stream->ordinal;
    pthread_mutex_lock(&stream->lock);
    message.credit = stream->credit - stream->queued;
    stream->owed = 0;
    pthread_mutex_unlock(&stream->lock);
    status = client_endpoint_send(endpoint, CODEC_STREAM_OPEN, &message, &error);
    if (status == GAVEL_E_BUSY || status == GAVEL_E_CLOSED)
        return; /* it keeps waiting */
    if (status != GAVEL_OK) {
        finish(stream, status, "%s", error.text);
        return;
    }
    stream->where = endpoint;
    stream->state = STREAM_OPEN;
}

void client_stream_flush(struct gavel_client *client)
{
    struct gavel_stream *stream;

    os_list_each(stream, &client->opened, struct gavel_stream, link) {
        struct client_endpoint *endpoint = stream->state == STREAM_WAITING ? client_endpoint_pick(client) : NULL;

        if (endpoint)
            open_at(stream, endpoint);
    }
}

bool client_stream_waits(const struct gavel_client *client)
{
    const struct gavel_stream *stream;

    os_list_each(stream, &client->opened, const struct gavel_stream, link)
        if (stream->state == STREAM_WAITING)
            return true;
    return false;
}

bool client_stream_at(const struct client_endpoint *endpoint)
{
    const struct gavel_stream *stream;

    os_list_each(stream, &endpoint->client->opened, const struct gavel_stream, link)
        if (stream->state == STREAM_OPEN && stream->where == endpoint)
            return true;
    return false;
}

/* A stream that began with what happens from now on, and has brought nothing yet, goes on behind what was told. */
void client_stream_seen(struct client_endpoint *endpoint, uint64_t index)
{
    struct gavel_stream *stream;

    os_list_each(stream, &endpoint->client->opened, struct gavel_stream, link) {
        if (stream->state != STREAM_OPEN || stream->where != endpoint || stream->index || index == 0)
            continue;
        stream->index = index;
        stream->ordinal = UINT64_MAX;
    }
}

void client_stream_move(struct client_endpoint *endpoint)
{
    struct gavel_stream *stream;

    os_list_each(stream, &endpoint->client->opened, struct gavel_stream, link) {
        if (stream->state != STREAM_OPEN || stream->where != endpoint || stream->index == 0)
            continue; /* one that cannot be opened again where it was stays until it has a revision */
        (void)client_endpoint_send(endpoint, CODEC_STREAM_CLOSE, &(struct codec_stream_close){.id = stream->id}, NULL);
        stream->where = NULL;
        stream->state = STREAM_WAITING;
    }
    client_stream_flush(endpoint->client);
}

void client_stream_lost(struct client_endpoint *endpoint)
{
    struct gavel_stream *stream;

    os_list_each(stream, &endpoint->client->opened, struct gavel_stream, link) {
        if (stream->where != endpoint)
            continue;
        stream->where = NULL;
        if (stream->index == 0 || endpoint->client->closing)
            finish(stream, GAVEL_E_CLOSED, "the connection to %s was lost: %s", endpoint->uri, endpoint->said);
        else
            stream->state = STREAM_WAITING;
    }
    if (!endpoint->client->closing)
        client_stream_flush(endpoint->client);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static struct gavel_stream *find(struct client_endpoint *from, uint64_t id)
{
    struct gavel_stream *stream;

    os_list_each(stream, &from->client->opened, struct gavel_stream, link)
        if (stream->state == STREAM_OPEN && stream->where == from && stream->id == id)
            return stream;
    return NULL; /* closed by the program meanwhile */
}

/* Give back what is owed once it is half of the window: few messages, and the node never runs dry. */
static void give_credit(struct gavel_stream *stream)
{
    struct codec_stream_credit message = {0};

    pthread_mutex_lock(&stream->lock);
    stream->credit_posted = false;
    if (stream->state == STREAM_OPEN && stream->owed >= (stream->credit + 1) / 2) {
        message.credit = seeded_bug("client-credits-twice") ? 2 * stream->owed : stream->owed;
        stream->owed = 0;
    }
    pthread_mutex_unlock(&stream->lock);
    if (message.credit == 0)
        return;
    message.id = stream->id;
    if (client_endpoint_send(stream->where, CODEC_STREAM_CREDIT, &message, NULL) == GAVEL_E_BUSY) {
        pthread_mutex_lock(&stream->lock);
        stream->owed += message.credit; /* with the next event that is taken */
        pthread_mutex_unlock(&stream->lock);
    }
}

static void credit_run(struct client_job *job)
{
    give_credit(os_container(job, struct gavel_stream, credit_job));
}

static struct gavel_slice copy_into(unsigned char **at, struct gavel_slice from)
{
    struct gavel_slice copy = {from.data ? *at : NULL, from.size};

    if (from.size)
        memcpy(*at, from.data, from.size);
    *at += from.size;
    return copy;
}

static struct stream_item *item_new(const struct gavel_stream_event *event)
{
    uint64_t size = event->type.size + event->key.size + event->value.size + event->previous.size +
                    event->machine.size;
    struct stream_item *item = malloc(sizeof *item + size);
    unsigned char *at = (unsigned char *)(item + 1);

    if (!item)
        return NULL;
    item->event = *event;
    item->event.type = copy_into(&at, event->type);
    item->event.key = copy_into(&at, event->key);
    item->event.value = copy_into(&at, event->value);
    item->event.previous = copy_into(&at, event->previous);
    item->event.machine = copy_into(&at, event->machine);
    return item;
}

static void queue_event(struct gavel_stream *stream, const struct gavel_stream_event *event)
{
    struct stream_item *item = item_new(event);
    bool over;

    if (!item) {
        finish(stream, GAVEL_E_NO_MEMORY, "no memory for an event");
        return;
    }
    pthread_mutex_lock(&stream->lock);
    over = stream->queued >= stream->credit;
    if (!over) {
        os_list_push(&stream->items, &item->link);
        stream->queued++;
        pthread_cond_signal(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    if (!over)
        return;
    free(item);
    finish(stream, GAVEL_E_INTERNAL, "the node sent more events than it had credit for: %" PRIu64, stream->credit);
}

/* At or below the revision that was seen last: after a resume a node may begin with it. */
static bool seen(const struct gavel_stream *stream, const struct gavel_stream_event *event)
{
    return event->index && (event->index < stream->index ||
                            (event->index == stream->index && event->ordinal <= stream->ordinal && stream->index));
}

void client_stream_event(struct client_endpoint *from, const struct codec_stream_event *message)
{
    struct gavel_stream *stream = find(from, message->id);
    struct gavel_stream_event event;

    if (!stream)
        return;
    memset(&event, 0, sizeof event);
    event.size = GAVEL_END(struct gavel_stream_event, wall_ms);
    event.index = message->index;
    event.ordinal = message->ordinal;
    event.type = message->event;
    event.key = message->key;
    event.value = message->body;
    event.previous = message->previous;
    event.machine = message->machine;
    event.wall_ms = message->wall_ms;
    if (seen(stream, &event) || stream->event) {
        if (!seen(stream, &event))
            stream->event(stream->context, &event);
        pthread_mutex_lock(&stream->lock);
        stream->owed++;
        pthread_mutex_unlock(&stream->lock);
        give_credit(stream);
    } else {
        queue_event(stream, &event);
    }
    if (event.index && !seen(stream, &event)) {
        stream->index = event.index;
        stream->ordinal = event.ordinal;
    }
}

void client_stream_end(struct client_endpoint *from, const struct codec_stream_end *end)
{
    struct gavel_stream *stream = find(from, end->id);
    int32_t status = end->status < 0 && end->status > INT32_MIN ? (int32_t)end->status : GAVEL_E_CLOSED;

    if (!stream)
        return;
    if (end->text.size == 0 || *(const char *)end->text.data == 0)
        finish(stream, status, "%s ended it with status %d and no sentence", from->uri, status);
    else if (status == GAVEL_E_COMPACTED)
        finish(stream, status, "%.*s (the oldest revision is %" PRIu64 ".%" PRIu64 ")",
               (int)(end->text.size < 300 ? end->text.size : 300), (const char *)end->text.data,
               end->oldest_index, end->oldest_ordinal);
    else
        finish(stream, status, "%.*s", (int)(end->text.size < 480 ? end->text.size : 480),
               (const char *)end->text.data);
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

static void begin_run(struct client_job *job)
{
    struct gavel_stream *stream = os_container(job, struct gavel_stream, begin_job);
    struct client_endpoint *endpoint;

    assert(stream->magic == CLIENT_STREAM_MAGIC);
    os_list_push(&stream->client->opened, &stream->link);
    if (stream->client->closing) {
        finish(stream, GAVEL_E_CLOSED, "the client is closed");
        return;
    }
    endpoint = client_endpoint_pick(stream->client);
    if (endpoint)
        open_at(stream, endpoint);
    else
        client_endpoint_demand(stream->client);
}

static void stream_free(struct gavel_stream *stream)
{
    struct os_list *link;

    while ((link = os_list_pop(&stream->items)) != NULL)
        free(os_container(link, struct stream_item, link));
    free(stream->lent);
    gavel_buffer_free(&stream->arguments);
    (void)pthread_mutex_destroy(&stream->lock);
    (void)pthread_cond_destroy(&stream->changed);
    free(stream->machine);
    free(stream->name);
    stream->magic = 0;
    free(stream);
}

/* Copy the options; NULL when memory is out. */
static struct gavel_stream *stream_new(struct gavel_client *client, const struct gavel_stream_options *options)
{
    struct gavel_stream *stream = calloc(1, sizeof *stream);

    if (!stream)
        return NULL;
    stream->magic = CLIENT_STREAM_MAGIC;
    stream->client = client;
    stream->begin_job.run = begin_run;
    stream->credit_job.run = credit_run;
    stream->arguments = codec_buffer(GAVEL_CLIENT_MESSAGE);
    stream->credit = options->credit ? options->credit : CREDIT;
    if (stream->credit > CREDIT_MAX)
        stream->credit = CREDIT_MAX;
    stream->event = options->event;
    stream->ended = options->ended;
    stream->context = options->context;
    stream->index = options->resume ? options->index : 0;
    stream->ordinal = options->resume ? options->ordinal : 0;
    os_list_init(&stream->items);
    os_list_init(&stream->link);
    (void)pthread_mutex_init(&stream->lock, NULL);
    client_condition_init(&stream->changed);
    stream->name = strdup(options->name);
    stream->machine = options->machine ? strdup(options->machine) : NULL;
    if (stream->name && (stream->machine || !options->machine) &&
        gavel_buffer_append(&stream->arguments, options->arguments.data, options->arguments.size) == GAVEL_OK)
        return stream;
    stream_free(stream);
    return NULL;
}

int32_t gavel_stream_open(struct gavel_client *client, const struct gavel_stream_options *options,
                          struct gavel_stream **stream, struct gavel_error *error)
{
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    struct gavel_stream *made;
    int32_t status;

    assert(client->magic == CLIENT_MAGIC);
    if (!options->name || !*options->name)
        return gavel_fail(error, GAVEL_E_INVALID, "the stream has no name");
    if (options->arguments.size && codec_value_check(options->arguments, &limits, error) != GAVEL_OK)
        return gavel_wrap(error, "the stream's arguments");
    if (atomic_fetch_add(&client->streams, 1) >= GAVEL_CLIENT_STREAMS) {
        atomic_fetch_sub(&client->streams, 1);
        return gavel_fail(error, GAVEL_E_BUSY, "%d streams are open already", GAVEL_CLIENT_STREAMS);
    }
    made = stream_new(client, options);
    if (!made) {
        atomic_fetch_sub(&client->streams, 1);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a stream");
    }
    status = client_host_post(&client->host, &made->begin_job);
    if (status != GAVEL_OK) {
        atomic_fetch_sub(&client->streams, 1);
        stream_free(made);
        return gavel_fail(error, status, "the client is closed or full");
    }
    *stream = made;
    return GAVEL_OK;
}

/* The credit of one taken event; the lock is held. */
static void taken(struct gavel_stream *stream)
{
    stream->queued--;
    stream->owed++;
    if (stream->client && !stream->credit_posted && !stream->finished && stream->owed >= (stream->credit + 1) / 2)
        stream->credit_posted = client_host_post(&stream->client->host, &stream->credit_job) == GAVEL_OK;
}

int32_t gavel_stream_next(struct gavel_stream *stream, uint64_t timeout_ms, struct gavel_stream_event *event,
                          struct gavel_error *error)
{
    uint64_t now = client_host_now();
    uint64_t until = timeout_ms > UINT64_MAX / 4 ? UINT64_MAX : now + timeout_ms;
    int32_t status = GAVEL_OK;
    struct os_list *link;

    assert(stream->magic == CLIENT_STREAM_MAGIC);
    assert(!stream->event);
    pthread_mutex_lock(&stream->lock);
    free(stream->lent);
    stream->lent = NULL;
    while (os_list_empty(&stream->items) && !stream->finished && status == GAVEL_OK)
        status = client_condition_wait(&stream->changed, &stream->lock, until);
    link = os_list_pop(&stream->items);
    if (link) {
        stream->lent = os_container(link, struct stream_item, link);
        *event = stream->lent->event;
        taken(stream);
        status = GAVEL_OK;
    } else if (stream->finished) {
        if (error)
            *error = stream->reason;
        status = (int32_t)stream->reason.code;
    } else {
        status = gavel_fail(error, GAVEL_E_TIMEOUT, "no event within %" PRIu64 " ms", timeout_ms);
    }
    pthread_mutex_unlock(&stream->lock);
    return status;
}

/* The loop lets go of it; the program frees it. */
static void release(struct gavel_stream *stream)
{
    os_list_remove(&stream->link);
    atomic_fetch_sub(&stream->client->streams, 1);
    stream->state = STREAM_ENDED;
    pthread_mutex_lock(&stream->lock);
    stream->client = NULL;
    stream->finished = true;
    stream->released = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void close_run(struct client_job *job)
{
    struct gavel_stream *stream = os_container(job, struct gavel_stream, close_job);
    struct codec_stream_close message = {0};

    assert(stream->magic == CLIENT_STREAM_MAGIC);
    if (stream->released)
        return;
    message.id = stream->id;
    if (stream->state == STREAM_OPEN)
        (void)client_endpoint_send(stream->where, CODEC_STREAM_CLOSE, &message, NULL);
    release(stream);
}

void gavel_stream_close(struct gavel_stream *stream)
{
    bool posted = false;

    if (!stream)
        return;
    assert(stream->magic == CLIENT_STREAM_MAGIC);
    pthread_mutex_lock(&stream->lock);
    if (stream->client) {
        assert(!client_host_inside(&stream->client->host));
        stream->close_job.run = close_run;
        posted = client_host_post(&stream->client->host, &stream->close_job) == GAVEL_OK;
    }
    while (posted && !stream->released)
        (void)pthread_cond_wait(&stream->changed, &stream->lock);
    pthread_mutex_unlock(&stream->lock);
    stream_free(stream);
}

void client_stream_end_all(struct gavel_client *client)
{
    while (!os_list_empty(&client->opened)) {
        struct gavel_stream *stream = os_container(client->opened.next, struct gavel_stream, link);

        finish(stream, GAVEL_E_CLOSED, "the client is closed");
        release(stream);
    }
}
