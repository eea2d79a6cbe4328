/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_call.c - one call: it waits for an endpoint, is sent, answered, sent again where that is safe, and ends once.
 *
 * What may be sent again after an answer that never came: what is repeatable, and what has a number in a session (the
 * thesis, section 6.3: the state machine filters duplicates). Anything else is unknown then. Whatever the last attempt
 * says, a call of which an earlier attempt may have been done is never reported as not done (`maybe`).
 */
#include "client_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/os/seeded.h"

#define PLACES (GAVEL_CLIENT_CALLS * 2u) /* of the table: calls of the program and of the library */
#define PLACE_BITS 17
GAVEL_CHECK_LAYOUT(PLACES == 1u << PLACE_BITS);

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void timer_fired(struct client_timer *timer);

/* A copy of an optional string; false when memory is out. */
static bool copy_text(char **copy, const char *text)
{
    *copy = text ? strdup(text) : NULL;
    return *copy || !text;
}

/* Arguments that are no text are brought into MessagePack here, on the caller's thread. */
static int32_t take_arguments(struct client_call *call, const struct gavel_request *request, struct gavel_error *error)
{
    struct gavel_slice given = request->arguments;
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    int32_t status = GAVEL_OK;

    if (given.size == 0)
        return GAVEL_OK;
    if (request->form == GAVEL_FORM_JSON) {
        status = gavel_document_parse(given, &call->arguments, error);
    } else {
        if (request->form == GAVEL_FORM_MSGPACK)
            status = codec_value_check(given, &limits, error);
        if (status == GAVEL_OK && gavel_buffer_append(&call->arguments, given.data, given.size) != GAVEL_OK)
            status = gavel_fail(error, GAVEL_E_TOO_LARGE, "%" PRIu64 " bytes of arguments", given.size);
    }
    if (status == GAVEL_OK && request->form != GAVEL_FORM_TEXT &&
        codec_value_type(gavel_buffer_slice(&call->arguments)) != GAVEL_TOKEN_MAP)
        status = gavel_fail(error, GAVEL_E_INVALID, "the arguments are not a map");
    return status;
}

/* Everything in a request that can be wrong by itself. */
static int32_t check_request(const struct gavel_client *client, const struct gavel_request *request,
                             struct gavel_error *error)
{
    if (!request->command || !*request->command)
        return gavel_fail(error, GAVEL_E_INVALID, "the request names no command");
    if (request->form > GAVEL_FORM_JSON)
        return gavel_fail(error, GAVEL_E_INVALID, "%" PRIu64 " is no form of arguments", request->form);
    if (request->read > GAVEL_STALE)
        return gavel_fail(error, GAVEL_E_INVALID, "%" PRIu64 " is no read level", request->read);
    if (request->session && request->session->client != client)
        return gavel_fail(error, GAVEL_E_INVALID, "the session belongs to another client");
    return GAVEL_OK;
}

struct client_call *client_call_new(struct gavel_client *client, const struct gavel_request *request,
                                    gavel_called done, void *context, struct gavel_error *error)
{
    struct client_call *call;

    if (check_request(client, request, error) != GAVEL_OK)
        return NULL;
    call = calloc(1, sizeof *call);
    if (!call) {
        (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a call");
        return NULL;
    }
    call->magic = CLIENT_CALL_MAGIC;
    call->client = client;
    call->arguments = codec_buffer(GAVEL_CLIENT_MESSAGE);
    os_list_init(&call->link);
    os_list_init(&call->every);
    os_list_init(&call->member);
    client_timer_init(&call->timer, timer_fired);
    call->form = request->arguments.size ? request->form : GAVEL_FORM_MSGPACK; /* no text, no need for tables */
    call->read = request->read;
    call->min_index = request->min_index;
    call->repeatable = (request->flags & GAVEL_REPEATABLE) != 0;
    call->timeout_ms = request->timeout_ms ? request->timeout_ms : client->timeout_ms;
    call->deadline = client_host_now() + call->timeout_ms;
    call->backoff_ms = CLIENT_RETRY_MIN_MS;
    call->done = done;
    call->context = context;
    if (!copy_text(&call->machine, request->machine) || !copy_text(&call->command, request->command) ||
        !copy_text(&call->traceparent, request->traceparent)) {
        (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a call");
        goto free_call;
    }
    if (take_arguments(call, request, error) != GAVEL_OK)
        goto free_call;
    call->session = request->session;
    atomic_fetch_add(&client->calls, 1);
    if (call->session)
        atomic_fetch_add(&call->session->calls, 1);
    return call;

free_call:
    call->state = CLIENT_CALL_DONE;
    client_call_free(call);
    return NULL;
}

/* Free what was counted by nobody, or is counted no more. */
void client_call_free(struct client_call *call)
{
    if (!call)
        return;
    assert(call->magic == CLIENT_CALL_MAGIC);
    assert(call->id == 0);
    assert(call->timer.place == CLIENT_TIMER_OFF);
    call->magic = 0;
    gavel_buffer_free(&call->arguments);
    free(call->machine);
    free(call->command);
    free(call->traceparent);
    free(call);
}

/* ---- the table of ids -------------------------------------------------------------------------------------------- */

static bool table_grow(struct gavel_client *client)
{
    uint32_t size = client->table_size ? client->table_size * 2 : 64;
    struct client_call **table;

    if (size > PLACES)
        return false;
    table = realloc(client->table, size * sizeof *table);
    if (!table)
        return false;
    memset(table + client->table_size, 0, (size - client->table_size) * sizeof *table);
    client->table = table;
    client->table_size = size;
    return true;
}

/* Give the call an id that no earlier one had; false: no room. */
static bool table_put(struct gavel_client *client, struct client_call *call)
{
    uint32_t tried;

    for (tried = 0; tried < client->table_size; tried++) {
        uint32_t place = (client->table_next + tried) & (client->table_size - 1);

        if (client->table[place])
            continue;
        client->table[place] = call;
        client->table_next = place + 1;
        call->id = ++client->round << PLACE_BITS | place;
        return true;
    }
    client->table_next = client->table_size; /* the first of the new places */
    return table_grow(client) && table_put(client, call);
}

static void table_remove(struct client_call *call)
{
    uint64_t place = call->id & (PLACES - 1);

    if (call->id == 0)
        return;
    assert(call->client->table[place] == call);
    call->client->table[place] = NULL;
    call->id = 0;
}

static struct client_call *table_find(const struct gavel_client *client, uint64_t id)
{
    uint64_t place = id & (PLACES - 1);
    struct client_call *call = place < client->table_size ? client->table[place] : NULL;

    return call && call->id == id ? call : NULL;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

void client_call_finish(struct client_call *call, int32_t status, const struct gavel_result *result,
                        const struct gavel_error *error)
{
    struct gavel_client *client = call->client;

    assert(call->magic == CLIENT_CALL_MAGIC);
    assert(call->state != CLIENT_CALL_DONE);
    client_timer_stop(&client->timers, &call->timer);
    os_list_remove(&call->link);
    os_list_remove(&call->every);
    table_remove(call);
    call->state = CLIENT_CALL_DONE;
    if (call->session) {
        client_session_leave(call);
        atomic_fetch_sub(&call->session->calls, 1);
    }
    atomic_fetch_sub(&client->calls, 1);
    call->done(call->context, status, status < 0 ? NULL : result, error);
    client_call_free(call);
}

void client_call_fail(struct client_call *call, int32_t status, const char *format, ...)
{
    struct gavel_error error;
    va_list arguments;

    error.code = status;
    va_start(arguments, format);
    (void)vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    client_call_finish(call, status, NULL, &error);
}

/* End it as not done; or as unknown, when an earlier attempt may have been. */
static void not_done(struct client_call *call, int32_t status, const char *what)
{
    char tried[sizeof(struct gavel_error)];

    client_tried(call->client, tried, sizeof tried, "; ");
    if (call->maybe && !seeded_bug("client-lost-is-failed"))
        client_call_fail(call, GAVEL_E_UNKNOWN, "the outcome of %s is unknown: sent %" PRIu64 " times, then %s (%s)",
                         call->command, call->attempts, what, tried);
    else
        client_call_fail(call, status, "%s: %s (%s)", call->command, what, tried);
}

/* Its time is over. */
static void expire(struct client_call *call)
{
    bool silent = call->state == CLIENT_CALL_SENT && !call->told;

    if (silent && !call->repeatable) {
        call->maybe = true;
        not_done(call, GAVEL_E_UNKNOWN, "no answer in time");
    } else if (silent) {
        not_done(call, call->last ? call->last : GAVEL_E_TIMEOUT, "no answer in time");
    } else if (call->last == GAVEL_E_BUSY) {
        not_done(call, GAVEL_E_BUSY, "busy until the time was over");
    } else {
        not_done(call, GAVEL_E_NO_LEADER, "no node that has a leader answered in time");
    }
}

/* When to look at a sent call again. */
static void watch(struct client_call *call, uint64_t milliseconds)
{
    uint64_t at = client_host_now() + milliseconds;

    client_timer_start(&call->client->timers, &call->timer, at < call->deadline ? at : call->deadline);
}

/*
 * A sent call has waited for long. If its endpoint has said nothing at all since (a process that is stopped, a
 * machine that is gone without a word), what may be sent again goes to another one; keep-alive would find out only
 * much later.
 */
static void suspect(struct client_call *call)
{
    struct client_endpoint *silent = call->where;
    struct client_endpoint *other;

    if (silent->heard > call->sent || (!call->repeatable && call->sequence == 0)) {
        watch(call, CLIENT_SILENCE_MS);
        return;
    }
    client_endpoint_rotate(call->client, silent);
    other = client_endpoint_pick(call->client);
    if (!other || other == silent) {
        client_endpoint_demand(call->client);
        watch(call, CLIENT_HEDGE_MS);
        return;
    }
    client_endpoint_said(silent, gavel_text("connected, but silent"));
    call->maybe = !call->repeatable;
    client_call_go(call);
}

static void timer_fired(struct client_timer *timer)
{
    struct client_call *call = os_container(timer, struct client_call, timer);

    assert(call->magic == CLIENT_CALL_MAGIC);
    if (timer->at >= call->deadline)
        expire(call);
    else if (call->state == CLIENT_CALL_SENT)
        suspect(call);
    else
        client_call_go(call);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* By how much less a node is told, so that its own answer is here before the time is over. */
static uint64_t margin_of(uint64_t left)
{
    return left / CLIENT_MARGIN_PART < CLIENT_MARGIN_MS ? left / CLIENT_MARGIN_PART : CLIENT_MARGIN_MS;
}

static void fill_request(struct client_call *call, struct codec_request *request)
{
    uint64_t now = client_host_now();
    uint64_t left = call->deadline > now ? call->deadline - now : 1;

    memset(request, 0, sizeof *request);
    request->id = call->id;
    request->machine = gavel_text(call->machine);
    request->command = gavel_text(call->command);
    if (call->arguments.size)
        request->arguments = gavel_buffer_slice(&call->arguments);
    request->session = call->session_id;
    request->sequence = call->sequence;
    if (call->sequence)
        request->acked = client_session_acked(call->session, call);
    request->read = call->read == GAVEL_STALE ? CODEC_READ_STALE : CODEC_READ_LINEARIZABLE;
    request->remaining_ms = left - margin_of(left);
    request->traceparent = gavel_text(call->traceparent);
    request->min_index = call->min_index;
}

/* Send a waiting call; false when it has to wait on. It may end here. */
static bool try_send(struct client_call *call)
{
    struct client_endpoint *endpoint = client_endpoint_pick(call->client);
    struct codec_request request;
    struct gavel_error error = {0, ""};
    int32_t status;

    assert(call->state == CLIENT_CALL_WAITING);
    if (client_host_now() >= call->deadline) {
        expire(call); /* sent now, it would end as unknown although nothing had come of it */
        return true;
    }
    if (!endpoint)
        return false;
    if (!table_put(call->client, call)) {
        client_call_fail(call, GAVEL_E_NO_MEMORY, "no memory for a call");
        return true;
    }
    fill_request(call, &request);
    status = client_endpoint_send(endpoint, CODEC_REQUEST, &request, &error);
    if (status == GAVEL_E_BUSY || status == GAVEL_E_CLOSED) {
        table_remove(call);
        return false; /* `drained` or `closed` follows */
    }
    if (status != GAVEL_OK) {
        client_call_finish(call, status, NULL, &error);
        return true;
    }
    os_list_remove(&call->link);
    os_list_push(&endpoint->sent, &call->link);
    call->state = CLIENT_CALL_SENT;
    call->told = false;
    call->where = endpoint;
    call->sent = client_host_now();
    if (call->attempts++ == 0 || call->first_sent == 0)
        call->first_sent = call->sent;
    watch(call, CLIENT_SILENCE_MS);
    return true;
}

void client_call_flush(struct gavel_client *client)
{
    while (!os_list_empty(&client->waiting)) {
        if (!try_send(os_container(client->waiting.next, struct client_call, link))) {
            client_endpoint_demand(client);
            return;
        }
    }
}

void client_call_go(struct client_call *call)
{
    struct gavel_client *client = call->client;

    assert(call->magic == CLIENT_CALL_MAGIC);
    os_list_remove(&call->link);
    table_remove(call);
    call->where = NULL;
    call->state = CLIENT_CALL_WAITING;
    client_timer_start(&client->timers, &call->timer, call->deadline);
    os_list_push(&client->waiting, &call->link);
    client_call_flush(client);
}

void client_call_again(struct client_call *call)
{
    assert(call->session);
    os_list_remove(&call->link);
    table_remove(call);
    call->where = NULL;
    client_timer_start(&call->client->timers, &call->timer, call->deadline); /* it was to look after a sent call */
    client_session_enter(call);
}

void client_call_begin(struct client_call *call)
{
    struct gavel_client *client = call->client;

    assert(call->magic == CLIENT_CALL_MAGIC);
    if (client->closing) {
        client_call_fail(call, GAVEL_E_CLOSED, "%s was not sent: the client is closed", call->command);
        return;
    }
    os_list_push(&client->every, &call->every);
    client_timer_start(&client->timers, &call->timer, call->deadline);
    client_schema_prepare(call);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Come again a little later. */
static void back_off(struct client_call *call)
{
    uint64_t wait = call->backoff_ms / 2 + client_host_random(call->backoff_ms / 2 + 1);
    uint64_t at = client_host_now() + wait;

    os_list_remove(&call->link);
    table_remove(call);
    call->where = NULL;
    call->state = CLIENT_CALL_BACKING;
    call->backoff_ms = call->backoff_ms * 2 < CLIENT_RETRY_MAX_MS ? call->backoff_ms * 2 : CLIENT_RETRY_MAX_MS;
    client_timer_start(&call->client->timers, &call->timer, at < call->deadline ? at : call->deadline);
}

/* An answer that decides: the command ran, or was refused by itself. */
static void decided(struct client_call *call, const struct client_endpoint *from, const struct codec_reply *reply)
{
    struct gavel_result result;
    struct gavel_error error;
    int32_t status = reply->status < INT32_MIN || reply->status > INT32_MAX ? GAVEL_E_INTERNAL
                                                                           : (int32_t)reply->status;

    if (status < 0) {
        (void)gavel_fail(&error, status, "%.*s", (int)(reply->text.size < 500 ? reply->text.size : 500),
                         reply->text.size ? (const char *)reply->text.data : "");
        if (error.text[0] == 0)
            (void)gavel_fail(&error, status, "%s answered with status %d and no sentence", from->uri, status);
        client_call_finish(call, status, NULL, &error);
        return;
    }
    memset(&result, 0, sizeof result);
    result.size = GAVEL_END(struct gavel_result, node);
    result.index = reply->index;
    result.ordinal = reply->ordinal;
    result.value = reply->result;
    result.stale = reply->read == CODEC_READ_STALE;
    result.duplicate = reply->duplicate;
    result.attempts = call->attempts;
    result.node = from->uri;
    client_call_finish(call, status, &result, NULL);
}

/* The node could not help now: another one, or later. */
static void told_to_wait(struct client_call *call, struct client_endpoint *from, const struct codec_reply *reply)
{
    if (reply->text.size)
        client_endpoint_said(from, reply->text);
    call->last = (int32_t)reply->status;
    call->told = true;
    if (reply->status != GAVEL_E_BUSY)
        client_endpoint_rotate(call->client, from);
    /* Too late for another answer: sent once more, the outcome would only become unknown. */
    if (client_host_now() + 2 * margin_of(call->timeout_ms) >= call->deadline) {
        expire(call);
        return;
    }
    if (reply->status == GAVEL_E_NOT_LEADER && call->attempts == 1)
        client_call_go(call); /* the hint says whom to ask */
    else
        back_off(call);
}

/* The node itself does not know what became of it; or, with an index, it was done, but its result is not to be had. */
static void told_unknown(struct client_call *call, struct client_endpoint *from, const struct codec_reply *reply)
{
    if (reply->index != 0 || (!call->repeatable && call->sequence == 0)) {
        decided(call, from, reply);
        return;
    }
    if (reply->text.size)
        client_endpoint_said(from, reply->text);
    call->maybe = !call->repeatable;
    back_off(call);
}

void client_call_reply(struct client_endpoint *from, const struct codec_reply *reply)
{
    struct client_call *call = table_find(from->client, reply->id);
    struct gavel_error error;

    if (!call || call->where != from)
        return; /* too late: its call has ended or was sent elsewhere */
    assert(call->state == CLIENT_CALL_SENT);
    if (reply->status == GAVEL_E_NOT_LEADER && from->client->role == CODEC_ROLE_ADMIN) {
        decided(call, from, reply); /* an administrator speaks to this node, not to the cluster */
        return;
    }
    switch (reply->status) {
    case GAVEL_E_NO_LEADER:
    case GAVEL_E_NOT_LEADER:
    case GAVEL_E_BUSY:
    case GAVEL_E_CLOSED:
        told_to_wait(call, from, reply);
        return;
    case GAVEL_E_UNKNOWN:
        told_unknown(call, from, reply);
        return;
    case GAVEL_E_TIMEOUT:
        if (reply->text.size)
            client_endpoint_said(from, reply->text);
        not_done(call, GAVEL_E_TIMEOUT, "the node gave up in time");
        return;
    case GAVEL_E_EXPIRED:
        if (call->sequence == 0)
            break;
        (void)gavel_fail(&error, GAVEL_E_EXPIRED, "%.*s", (int)(reply->text.size < 300 ? reply->text.size : 300),
                         reply->text.size ? (const char *)reply->text.data : "");
        client_session_expired(call, &error);
        return;
    default:
        break;
    }
    client_endpoint_said(from, gavel_text("answered"));
    decided(call, from, reply);
}

void client_call_lost(struct client_endpoint *endpoint, struct os_list *lost)
{
    struct os_list *link;

    while ((link = os_list_pop(lost)) != NULL) {
        struct client_call *call = os_container(link, struct client_call, link);

        assert(call->state == CLIENT_CALL_SENT);
        assert(call->where == endpoint);
        if (endpoint->client->closing ||
            (!call->repeatable && call->sequence == 0 && !seeded_bug("client-resends-unsafe"))) {
            call->maybe = !call->repeatable;
            not_done(call, GAVEL_E_CLOSED, "the connection was lost before the answer");
            continue;
        }
        call->maybe = !call->repeatable;
        client_call_go(call);
    }
}

void client_call_end_all(struct gavel_client *client)
{
    assert(client->closing);
    while (!os_list_empty(&client->every)) {
        struct client_call *call = os_container(client->every.next, struct client_call, every);

        if (call->state == CLIENT_CALL_SENT)
            call->maybe = !call->repeatable;
        not_done(call, GAVEL_E_CLOSED, "the client is closed");
    }
}

uint64_t client_call_id(struct gavel_client *client)
{
    return ++client->round << PLACE_BITS | (PLACES - 1);
}
