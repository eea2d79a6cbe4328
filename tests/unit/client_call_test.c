/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_call_test.c - calls of libgavel against scripted nodes: what is done, not done and unknown; retries, hints,
 * deadlines, and the sentences.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "client_fake.h"

static struct gavel_client *open_client(const char *endpoints)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};

    options.endpoints = endpoints;
    options.timeout_ms = 10000;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    return client;
}

static struct gavel_client *open_two(const struct fake *a, const struct fake *b)
{
    char endpoints[300];

    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", a->uri, b->uri);
    return open_client(endpoints);
}

static int32_t call(struct gavel_client *client, const char *command, uint64_t flags, uint64_t timeout_ms,
                    struct gavel_result **result, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();

    request.command = command;
    request.flags = flags;
    request.timeout_ms = timeout_ms;
    return gavel_call(client, &request, result, error);
}

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

static void answer(struct fake_conn *conn, const struct codec_request *request)
{
    fake_reply_number(conn, request->id, "answer", 42);
}

static void drop(struct fake_conn *conn, const struct codec_request *request)
{
    (void)request;
    fake_drop(conn);
}

static void ignore(struct fake_conn *conn, const struct codec_request *request)
{
    (void)conn;
    (void)request;
}

static void no_leader(struct fake_conn *conn, const struct codec_request *request)
{
    fake_reply(conn, request->id, GAVEL_E_NO_LEADER, "no leader is known here", NULL);
}

static void garbage(struct fake_conn *conn, const struct codec_request *request)
{
    (void)request;
    fake_garbage(conn);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_answer(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = answer;
    client = open_client(fake->uri);
    assert_int_equal(call(client, "get", 0, 0, &result, &error), GAVEL_OK);
    assert_int_equal(gavel_get_uint(result->value, "answer", 0), 42);
    assert_int_equal(result->index, 7);
    assert_int_equal(result->attempts, 1);
    assert_string_equal(result->node, fake->uri);
    gavel_result_free(result);
    gavel_client_close(client);
    fake_stop(fake);
}

static void refused(struct fake_conn *conn, const struct codec_request *request)
{
    fake_reply(conn, request->id, GAVEL_E_CONDITION, "the revision is 9, not 8", NULL);
}

static void test_refusal_is_decided(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    fake->request = refused;
    client = open_client(fake->uri);
    assert_int_equal(call(client, "cas", 0, 0, NULL, &error), GAVEL_E_CONDITION);
    assert_string_equal(error.text, "the revision is 9, not 8");
    assert_int_equal(atomic_load(&fake->requests), 1);
    gavel_client_close(client);
    fake_stop(fake);
}

/* A write outside a session that was sent and lost is unknown, and is not sent a second time to anybody. */
static void test_lost_is_unknown(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    first->request = drop;
    second->request = drop;
    client = open_two(first, second);
    assert_int_equal(call(client, "set", 0, 0, NULL, &error), GAVEL_E_UNKNOWN);
    assert_non_null(strstr(error.text, "unknown"));
    assert_non_null(strstr(error.text, first->uri));
    assert_int_equal(atomic_load(&first->requests) + atomic_load(&second->requests), 1);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

static void test_repeatable_goes_elsewhere(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error;

    (void)state;
    first->request = drop;
    second->request = answer;
    client = open_two(first, second);
    assert_int_equal(call(client, "get", GAVEL_REPEATABLE, 0, &result, &error), GAVEL_OK);
    assert_int_equal(result->attempts, 2);
    assert_string_equal(result->node, second->uri);
    gavel_result_free(result);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

/* The welcome of the first names the second as leader: requests go there. */
static void test_follows_the_leader(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error;
    int i;

    (void)state;
    (void)snprintf(first->leader, sizeof first->leader, "%s", second->uri);
    first->request = answer;
    second->request = answer;
    client = open_client(first->uri); /* the second is known from the hint only */
    for (i = 0; i < 1000; i++) {
        bool there;

        assert_int_equal(call(client, "set", 0, 0, &result, &error), GAVEL_OK);
        there = strcmp(result->node, second->uri) == 0;
        gavel_result_free(result);
        if (there)
            break;
    }
    assert_true(i < 1000);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

/* Nobody leads: not done, both are named with what they said, and the tries are few. */
static void test_no_leader(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    first->request = no_leader;
    second->request = no_leader;
    client = open_two(first, second);
    /*
     * Tries 25..50, 50..100, 100..200, ... ms apart: the sixth is at 1550 ms at the latest, the next at 1575 at the
     * earliest. The end lies between, so that hardly ever a try is under way then (which would make it unknown).
     */
    assert_int_equal(call(client, "set", 0, 1570, NULL, &error), GAVEL_E_NO_LEADER);
    assert_non_null(strstr(error.text, first->uri));
    assert_non_null(strstr(error.text, second->uri));
    assert_non_null(strstr(error.text, "no leader is known here"));
    assert_in_range(atomic_load(&first->requests) + atomic_load(&second->requests), 3, 6);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

static void test_refused_ports(void **state)
{
    struct fake *gone = fake_start(NULL);
    char uri[128];
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    (void)snprintf(uri, sizeof uri, "%s", gone->uri);
    fake_stop(gone);
    client = open_client(uri);
    assert_int_equal(call(client, "set", 0, 1000, NULL, &error), GAVEL_E_NO_LEADER);
    assert_non_null(strstr(error.text, uri));
    assert_non_null(strstr(error.text, "nobody listens there"));
    gavel_client_close(client);
}

static _Atomic uint64_t told_ms;

static void remember_remaining(struct fake_conn *conn, const struct codec_request *request)
{
    (void)conn;
    atomic_store(&told_ms, request->remaining_ms);
}

/* No answer: unknown for a write, a time-out for what may be repeated; both in time, and the node is told the time. */
static void test_deadline(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_error error;
    uint64_t begun = client_host_now();

    (void)state;
    fake->request = remember_remaining;
    client = open_client(fake->uri);
    assert_int_equal(call(client, "set", 0, 800, NULL, &error), GAVEL_E_UNKNOWN);
    assert_true(client_host_now() - begun >= 800);
    assert_in_range(atomic_load(&told_ms), 1, 720);
    assert_int_equal(call(client, "get", GAVEL_REPEATABLE, 500, NULL, &error), GAVEL_E_TIMEOUT);
    assert_non_null(strstr(error.text, fake->uri));
    gavel_client_close(client);
    fake_stop(fake);
}

/*
 * A node that takes a request and says nothing more, as one that is stopped: the other one is asked long before the
 * end.
 */
static void test_silent_node(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error;
    uint64_t begun = client_host_now();

    (void)state;
    first->request = ignore;
    second->request = answer;
    client = open_two(first, second);
    assert_int_equal(call(client, "get", GAVEL_REPEATABLE, 20000, &result, &error), GAVEL_OK);
    assert_string_equal(result->node, second->uri);
    assert_true(client_host_now() - begun < 10000);
    gavel_result_free(result);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

static void test_garbage(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error;

    (void)state;
    first->request = garbage;
    second->request = answer;
    client = open_two(first, second);
    assert_int_equal(call(client, "get", GAVEL_REPEATABLE, 0, &result, &error), GAVEL_OK);
    assert_string_equal(result->node, second->uri);
    gavel_result_free(result);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

/* A node that refuses the hello says why, and the next one is asked. */
static void test_refused_hello(void **state)
{
    struct fake *first = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    first->refuse = GAVEL_E_DENIED;
    client = open_client(first->uri);
    assert_int_equal(call(client, "set", 0, 1000, NULL, &error), GAVEL_E_NO_LEADER);
    assert_non_null(strstr(error.text, "this fake takes nobody"));
    gavel_client_close(client);
    fake_stop(first);
}

struct inside {
    struct gavel_client *client;
    _Atomic int32_t status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static void calls_inside(void *context, int32_t status, const struct gavel_result *result,
                         const struct gavel_error *error)
{
    struct inside *inside = context;
    struct gavel_error refused_with;

    (void)status;
    (void)result;
    (void)error;
    atomic_store(&inside->status, call(inside->client, "get", 0, 0, NULL, &refused_with));
    pthread_mutex_lock(&inside->lock);
    inside->done = true;
    pthread_cond_signal(&inside->changed);
    pthread_mutex_unlock(&inside->lock);
}

/* An address before a sentence is said once; what only begins like one is left as it is. */
static void test_address_said_once(void **state)
{
    static const char *const behind[] = {": this node is full", "7 is another one", " is full", ": "};

    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        struct fake *fake = fake_start(NULL);
        struct gavel_client *client = NULL;
        struct gavel_error error;
        char why[192], wanted[384];

        (void)snprintf(why, sizeof why, "%s%s", fake->uri, behind[i]);
        (void)snprintf(wanted, sizeof wanted, "%s: %s", fake->uri, i == 0 ? "this node is full" : why);
        fake->why = why;
        fake->refuse = GAVEL_E_DENIED;
        client = open_client(fake->uri);
        assert_int_equal(call(client, "set", 0, 1000, NULL, &error), GAVEL_E_NO_LEADER);
        if (!strstr(error.text, wanted))
            fail_msg("wanted: %s\nsaid: %s", wanted, error.text);
        gavel_client_close(client);
        fake_stop(fake);
    }
}

/* A callback that waits would wait for itself: it is refused. */
static void test_waiting_inside(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_request request = gavel_request_defaults();
    struct inside inside = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct gavel_error error;

    (void)state;
    fake->request = answer;
    inside.client = open_client(fake->uri);
    request.command = "get";
    assert_int_equal(gavel_call_async(inside.client, &request, calls_inside, &inside, &error), GAVEL_OK);
    pthread_mutex_lock(&inside.lock);
    while (!inside.done)
        (void)pthread_cond_wait(&inside.changed, &inside.lock);
    pthread_mutex_unlock(&inside.lock);
    assert_int_equal(atomic_load(&inside.status), GAVEL_E_STATE);
    gavel_client_close(inside.client);
    fake_stop(fake);
}

struct ending {
    _Atomic int32_t status;
};

static void keep_status(void *context, int32_t status, const struct gavel_result *result,
                        const struct gavel_error *error)
{
    (void)result;
    (void)error;
    atomic_store(&((struct ending *)context)->status, status);
}

/* Closing the client ends what is under way: sent is unknown, not sent is closed. */
static void test_close_ends_calls(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_request request = gavel_request_defaults();
    struct ending sent = {99};
    struct gavel_client *client;
    struct gavel_error error;
    int i;

    (void)state;
    fake->request = ignore;
    client = open_client(fake->uri);
    request.command = "set";
    assert_int_equal(gavel_call_async(client, &request, keep_status, &sent, &error), GAVEL_OK);
    /* It has arrived there when a later one has been answered late: the fake counts both. */
    for (i = 0; i < 1000 && atomic_load(&fake->requests) < 1; i++)
        (void)call(client, "get", GAVEL_REPEATABLE, 20, NULL, &error);
    assert_true(atomic_load(&fake->requests) >= 1);
    gavel_client_close(client);
    assert_int_equal(atomic_load(&sent.status), GAVEL_E_UNKNOWN);
    fake_stop(fake);
}

/* ---- a connection that the transport has begun to close ---------------------------------------------------------- */

/* The client's transport refuses one send, and the `closed` that explains it comes later. */
struct refusing {
    struct client_job arm;
    struct client_job close;
    struct client_transport *transport;
    const struct gavel_transport *real;
    struct gavel_transport operations;
    struct gavel_client *client;
    void *connection;
    char refused[128]; /* URI of the endpoint */
};

static struct refusing refusing;

static void close_refused(struct client_job *job)
{
    (void)job;
    refusing.real->close(refusing.transport->self, refusing.connection, GAVEL_CLOSE_NORMAL, gavel_text("leaving"));
}

static int32_t refuse_once(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct gavel_client *client = refusing.client;
    uint32_t i;

    if (refusing.connection)
        return refusing.real->send(self, connection, parts, count);
    refusing.connection = connection;
    for (i = 0; i < client->endpoint_count; i++)
        if (client->endpoints[i]->connection == connection)
            (void)snprintf(refusing.refused, sizeof refusing.refused, "%s", client->endpoints[i]->uri);
    client_host_later(&client->host, &refusing.close);
    return GAVEL_E_CLOSED;
}

static void arm_refusal(struct client_job *job)
{
    (void)job;
    refusing.transport = &refusing.client->transports[refusing.client->endpoints[0]->transport];
    refusing.real = refusing.transport->operations;
    refusing.operations = *refusing.real;
    refusing.operations.send = refuse_once;
    refusing.transport->operations = &refusing.operations;
}

/* A call that an endpoint takes no more while it is closing goes to another one that is ready, once it has closed. */
static void test_refused_while_closing(void **state)
{
    struct fake *first = fake_start(NULL);
    struct fake *second = fake_start(NULL);
    struct gavel_client *client;
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    bool seen[2] = {false, false};
    int i;

    (void)state;
    /* Each names the other as the leader, so that both get connected, and are asked in turn. */
    (void)snprintf(first->leader, sizeof first->leader, "%s", second->uri);
    (void)snprintf(second->leader, sizeof second->leader, "%s", first->uri);
    first->request = answer;
    second->request = answer;
    client = open_two(first, second);
    for (i = 0; i < 1000 && !(seen[0] && seen[1]); i++) {
        assert_int_equal(call(client, "get", GAVEL_REPEATABLE, 0, &result, &error), GAVEL_OK);
        seen[strcmp(result->node, second->uri) == 0] = true;
        gavel_result_free(result);
    }
    assert_true(seen[0] && seen[1]);
    refusing = (struct refusing){.arm.run = arm_refusal, .close.run = close_refused, .client = client};
    assert_int_equal(client_host_post(&client->host, &refusing.arm), GAVEL_OK);
    if (call(client, "set", 0, 0, &result, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    assert_int_equal(result->attempts, 1);
    assert_string_not_equal(refusing.refused, "");
    assert_string_not_equal(result->node, refusing.refused);
    gavel_result_free(result);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

/* The same over the other serializer, values and all. */
static void test_json(void **state)
{
    struct fake *fake = fake_start(NULL);
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = answer;
    options.endpoints = fake->uri;
    options.serializer = "json";
    assert_int_equal(gavel_client_open(&options, &client, &error), GAVEL_OK);
    assert_int_equal(call(client, "get", 0, 0, &result, &error), GAVEL_OK);
    assert_int_equal(gavel_get_uint(result->value, "answer", 0), 42);
    gavel_result_free(result);
    fake->request = refused;
    assert_int_equal(call(client, "get", 0, 0, NULL, &error), GAVEL_E_CONDITION);
    gavel_client_close(client);
    fake_stop(fake);
}

static void test_bad_options(void **state)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error;

    (void)state;
    assert_int_equal(gavel_client_open(&options, &client, &error), GAVEL_E_INVALID);
    options.endpoints = "gopher://127.0.0.1:70";
    assert_int_equal(gavel_client_open(&options, &client, &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "gopher://127.0.0.1:70"));
    options.endpoints = "tcp://127.0.0.1:1";
    options.serializer = "xml";
    assert_int_equal(gavel_client_open(&options, &client, &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "xml"));
    assert_null(client);
    gavel_client_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_refusal_is_decided),
        cmocka_unit_test(test_lost_is_unknown),
        cmocka_unit_test(test_repeatable_goes_elsewhere),
        cmocka_unit_test(test_follows_the_leader),
        cmocka_unit_test(test_no_leader),
        cmocka_unit_test(test_refused_ports),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_silent_node),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_refused_hello),
        cmocka_unit_test(test_address_said_once),
        cmocka_unit_test(test_waiting_inside),
        cmocka_unit_test(test_close_ends_calls),
        cmocka_unit_test(test_refused_while_closing),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_bad_options),
    };

    return cmocka_run_group_tests_name("client calls", tests, NULL, NULL);
}
