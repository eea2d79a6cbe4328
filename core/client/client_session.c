/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session.c - one session: registered with its first write, it numbers the writes, so that the cluster does
 * each at most once (the thesis, section 6.3), and tells the cluster up to where the answers have come.
 *
 * A number whose call has ended without an answer counts as answered too: the cluster then never executes it any more,
 * which is as much certainty as can be given after a deadline.
 */
#include "client_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/os/seeded.h"

/* A registration outlives the call that asked for it by little; without a cluster it is tried anew by the next one. */
#define REGISTER_MS 10000

static struct gavel_session *session_of(struct client_job *job)
{
    struct gavel_session *session = os_container(job, struct gavel_session, job);

    assert(session->magic == CLIENT_SESSION_MAGIC);
    return session;
}

/* ---- numbering --------------------------------------------------------------------------------------------------- */

static void number(struct gavel_session *session, struct client_call *call)
{
    assert(session->state == CLIENT_SESSION_OPEN);
    os_list_remove(&call->link);
    call->session_id = atomic_load(&session->id);
    call->sequence = session->next++;
    call->first_sent = 0;
    os_list_push(&session->numbered, &call->member); /* numbers grow, so the list is in order */
    client_call_go(call);
}

/* The window is over numbers, not over calls: one slow call must not let the others run far ahead of it. */
static bool has_room(const struct gavel_session *session)
{
    return os_list_empty(&session->numbered) || seeded_bug("client-no-window") ||
           session->next - os_container(session->numbered.next, struct client_call, member)->sequence <
               GAVEL_SESSION_WINDOW;
}

/* Let in what the window has room for. */
static void admit(struct gavel_session *session)
{
    while (session->state == CLIENT_SESSION_OPEN && has_room(session)) {
        struct os_list *link = os_list_pop(&session->queue);

        if (!link)
            return;
        number(session, os_container(link, struct client_call, link));
    }
}

uint64_t client_session_acked(const struct gavel_session *session, const struct client_call *call)
{
    if (call->session_id != atomic_load(&session->id))
        return 0; /* of an earlier registration: nothing is known to be wrong with saying nothing */
    if (os_list_empty(&session->numbered) || seeded_bug("client-acks-too-much"))
        return session->next - 1;
    return os_container(session->numbered.next, struct client_call, member)->sequence - 1;
}

void client_session_leave(struct client_call *call)
{
    struct gavel_session *session = call->session;

    if (os_list_empty(&call->member))
        return;
    os_list_remove(&call->member);
    if (!call->client->closing)
        admit(session);
}

/* ---- registration ------------------------------------------------------------------------------------------------ */

static void close_session(struct client_job *job);
static void free_session(struct gavel_session *session);

static void registered(void *context, int32_t status, const struct gavel_result *result,
                       const struct gavel_error *error)
{
    struct gavel_session *session = context;
    struct os_list *link;
    uint64_t id = status < 0 ? 0 : gavel_get_uint(result->value, "session", 0);

    assert(session->magic == CLIENT_SESSION_MAGIC);
    assert(session->state == CLIENT_SESSION_REGISTERING);
    if (id != 0) {
        session->state = CLIENT_SESSION_OPEN;
        atomic_store(&session->id, id);
        if (session->closed) {
            close_session(&session->job);
            return;
        }
        session->ttl_ms = gavel_get_uint(result->value, "ttl_ms", 0);
        session->next = 1;
        admit(session);
        return;
    }
    session->state = CLIENT_SESSION_NEW;
    if (session->closed) {
        free_session(session);
        return;
    }
    /* Nothing was numbered, so nothing was sent: all of them are certainly not done. */
    while ((link = os_list_pop(&session->queue)) != NULL) {
        struct client_call *call = os_container(link, struct client_call, link);

        client_call_fail(call, status < 0 ? status : GAVEL_E_INTERNAL, "%s was not sent: no session: %.400s",
                         call->command, status < 0 ? error->text : "the answer holds no number");
    }
}

/* Begin a call of the library's own to the machine of the nodes, about that session (0: none). */
static bool call_node(struct gavel_client *client, const char *command, uint64_t session_id, uint64_t timeout_ms,
                      gavel_called done, void *context)
{
    struct gavel_request request = gavel_request_defaults();
    struct client_call *call;

    request.machine = "gavel";
    request.command = command;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = timeout_ms;
    call = client_call_new(client, &request, done, context, NULL);
    if (!call)
        return false;
    call->session_id = session_id;
    client_call_begin(call);
    return true;
}

void client_session_enter(struct client_call *call)
{
    struct gavel_session *session = call->session;

    assert(session->magic == CLIENT_SESSION_MAGIC);
    os_list_remove(&call->link);
    call->state = CLIENT_CALL_SESSION;
    os_list_push(&session->queue, &call->link);
    if (session->state == CLIENT_SESSION_OPEN) {
        admit(session);
    } else if (session->state == CLIENT_SESSION_NEW) {
        session->state = CLIENT_SESSION_REGISTERING;
        if (!call_node(session->client, "session_register", 0, REGISTER_MS, registered, session)) {
            struct gavel_error error;

            (void)gavel_fail(&error, GAVEL_E_NO_MEMORY, "no memory for a call");
            registered(session, GAVEL_E_NO_MEMORY, NULL, &error);
        }
    }
}

/*
 * The answer proves that this attempt did nothing. That no earlier attempt did anything either is certain only if the
 * session cannot have expired since the first one: doing it would have renewed the session.
 */
void client_session_expired(struct client_call *call, const struct gavel_error *why)
{
    struct gavel_session *session = call->session;
    bool fresh = client_host_now() - call->first_sent < session->ttl_ms / 2;

    assert(session->magic == CLIENT_SESSION_MAGIC);
    if (session->state == CLIENT_SESSION_OPEN && call->session_id == atomic_load(&session->id)) {
        client_log(call->client, GAVEL_LOG_INFO, "session %" PRIu64 " has expired; the next write registers a new one",
                   call->session_id);
        session->state = CLIENT_SESSION_NEW;
        atomic_store(&session->id, 0);
        /* The others that were numbered with it wait for answers of their own; they no longer hold the window. */
        while (os_list_pop(&session->numbered) != NULL)
            continue;
    }
    os_list_remove(&call->member);
    if (!fresh && (call->maybe || session->ttl_ms > 0)) {
        client_call_fail(call, GAVEL_E_UNKNOWN, "the outcome of %s is unknown: sent, then its session expired: %s",
                         call->command, why->text);
        return;
    }
    call->maybe = false;
    call->sequence = 0;
    client_call_again(call);
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

static void begin_session(struct client_job *job)
{
    struct gavel_session *session = session_of(job);

    os_list_push(&session->client->sessions, &session->link);
}

int32_t gavel_session_open(struct gavel_client *client, struct gavel_session **session, struct gavel_error *error)
{
    struct gavel_session *made;
    int32_t status;

    assert(client->magic == CLIENT_MAGIC);
    made = calloc(1, sizeof *made);
    if (!made)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a session");
    made->magic = CLIENT_SESSION_MAGIC;
    made->client = client;
    made->next = 1;
    made->job.run = begin_session;
    os_list_init(&made->numbered);
    os_list_init(&made->queue);
    os_list_init(&made->link);
    status = client_host_post(&client->host, &made->job);
    if (status != GAVEL_OK) {
        free(made);
        return gavel_fail(error, status, "the client is closed or full");
    }
    *session = made;
    return GAVEL_OK;
}

uint64_t gavel_session_id(const struct gavel_session *session)
{
    assert(session->magic == CLIENT_SESSION_MAGIC);
    return atomic_load(&session->id);
}

static void free_session(struct gavel_session *session)
{
    assert(session->magic == CLIENT_SESSION_MAGIC);
    assert(atomic_load(&session->calls) == 0);
    assert(os_list_empty(&session->queue));
    os_list_remove(&session->link);
    session->magic = 0;
    free(session);
}

/* Nobody waits for the cluster's answer: what is not closed there expires there. */
static void closed_there(void *context, int32_t status, const struct gavel_result *result,
                         const struct gavel_error *error)
{
    (void)context;
    (void)status;
    (void)result;
    (void)error;
}

static void close_session(struct client_job *job)
{
    struct gavel_session *session = session_of(job);
    uint64_t id = atomic_load(&session->id);

    if (session->state == CLIENT_SESSION_REGISTERING) {
        session->closed = true; /* `registered` comes back to it */
        return;
    }
    if (id != 0 && !session->client->closing)
        (void)call_node(session->client, "session_close", id, session->client->timeout_ms, closed_there, NULL);
    free_session(session);
}

void gavel_session_close(struct gavel_session *session)
{
    if (!session)
        return;
    assert(session->magic == CLIENT_SESSION_MAGIC);
    if (session->client) {
        session->job.run = close_session;
        if (client_host_post(&session->client->host, &session->job) == GAVEL_OK)
            return;
    }
    session->state = CLIENT_SESSION_NEW;
    free_session(session);
}

void client_session_orphan_all(struct gavel_client *client)
{
    struct os_list *link;

    while ((link = os_list_pop(&client->sessions)) != NULL) {
        struct gavel_session *session = os_container(link, struct gavel_session, link);

        if (session->closed) {
            session->state = CLIENT_SESSION_NEW;
            free_session(session);
        } else {
            session->client = NULL;
        }
    }
}
