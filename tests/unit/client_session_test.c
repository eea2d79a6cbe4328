/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session_test.c - sessions of libgavel against scripted nodes: the same number on every retry, the window,
 * acked, expiry, and what may be called done or not done afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "client_fake.h"

#define MANY 1000 /* writes in the test of the window */

/* What the scripts share; only the fakes' threads write, the test reads when calls have ended. */
struct script {
    uint64_t next_session;
    uint64_t ttl_ms;
    _Atomic uint64_t session;  /* of the last write */
    _Atomic uint64_t sequence;
    _Atomic uint64_t acked;
    _Atomic uint32_t writes;
    _Atomic uint32_t registers;
    int mood;
    uint64_t held[GAVEL_SESSION_WINDOW + 1]; /* ids of requests that wait for their answer */
    uint32_t held_count;
    uint32_t most_held;
    uint64_t answered;
};

static struct gavel_client *open_client(const struct fake *a, const struct fake *b)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};
    char endpoints[300];

    (void)snprintf(endpoints, sizeof endpoints, "%s%s%s", a->uri, b ? "," : "", b ? b->uri : "");
    options.endpoints = endpoints;
    options.timeout_ms = 10000;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    return client;
}

static int32_t write_in(struct gavel_client *client, struct gavel_session *session, uint64_t timeout_ms,
                        struct gavel_result **result, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();

    request.command = "set";
    request.session = session;
    request.timeout_ms = timeout_ms;
    return gavel_call(client, &request, result, error);
}

static bool common(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (fake_is(request, "session_register"))
        atomic_fetch_add(&script->registers, 1);
    if (fake_node(conn, request, &script->next_session, script->ttl_ms, NULL))
        return true;
    atomic_store(&script->session, request->session);
    atomic_store(&script->sequence, request->sequence);
    atomic_store(&script->acked, request->acked);
    atomic_fetch_add(&script->writes, 1);
    return false;
}

static void answer(struct fake_conn *conn, const struct codec_request *request)
{
    if (!common(conn, request))
        fake_reply_number(conn, request->id, "revision", request->sequence);
}

static void drop_writes(struct fake_conn *conn, const struct codec_request *request)
{
    if (!common(conn, request))
        fake_drop(conn);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;
    uint64_t i;

    (void)state;
    fake->request = answer;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(gavel_session_id(session), 0);
    for (i = 1; i <= 5; i++) {
        assert_int_equal(write_in(client, session, 0, NULL, &error), GAVEL_OK);
        assert_int_equal(atomic_load(&script.session), 100);
        assert_int_equal(atomic_load(&script.sequence), i);
        assert_int_equal(atomic_load(&script.acked), i - 1);
    }
    assert_int_equal(gavel_session_id(session), 100);
    assert_int_equal(atomic_load(&script.registers), 1);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

/* Lost in the middle: the other node gets the same session and the same number. */
static void test_same_number_elsewhere(void **state)
{
    struct script lost = {.ttl_ms = 60000};
    struct script found = {.next_session = 50, .ttl_ms = 60000};
    struct fake *first = fake_start(&lost);
    struct fake *second = fake_start(&found);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error;

    (void)state;
    first->request = drop_writes;
    second->request = answer;
    client = open_client(first, second);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 0, &result, &error), GAVEL_OK);
    assert_int_equal(result->attempts, 2);
    assert_string_equal(result->node, second->uri);
    assert_int_equal(atomic_load(&lost.writes), 1);
    assert_int_equal(atomic_load(&found.session), atomic_load(&lost.session));
    assert_int_equal(atomic_load(&found.sequence), atomic_load(&lost.sequence));
    assert_int_equal(atomic_load(&found.registers), 0);
    gavel_result_free(result);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(first);
    fake_stop(second);
}

static void drop_then_no_leader(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (common(conn, request))
        return;
    if (script->mood++ == 0)
        fake_drop(conn);
    else
        fake_reply(conn, request->id, GAVEL_E_NO_LEADER, "no leader is known here", NULL);
}

/* The first attempt may have been done: "no leader" afterwards does not make it undone. */
static void test_lost_then_no_leader_is_unknown(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = drop_then_no_leader;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 2000, NULL, &error), GAVEL_E_UNKNOWN);
    assert_non_null(strstr(error.text, "unknown"));
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

static void expired_once(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (common(conn, request))
        return;
    if (script->mood++ == 0)
        fake_reply(conn, request->id, GAVEL_E_EXPIRED, "there is no session 100", NULL);
    else
        fake_reply_number(conn, request->id, "revision", 1);
}

/* Expired at the first attempt: it was certainly not done, so a new session may do it. */
static void test_expired_is_registered_anew(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = expired_once;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 0, NULL, &error), GAVEL_OK);
    assert_int_equal(atomic_load(&script.registers), 2);
    assert_int_equal(atomic_load(&script.session), 101);
    assert_int_equal(atomic_load(&script.sequence), 1);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

/* Expired, and the next registration is not answered. */
static void expired_for_good(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (fake_is(request, "session_register") && script->mood > 0)
        return;
    if (common(conn, request))
        return;
    script->mood++;
    fake_reply(conn, request->id, GAVEL_E_EXPIRED, "there is no session 100", NULL);
}

/* What waits for its new session is not sent without one, however long that takes: a node would say "expired" again,
 * and that is nothing to tell who wrote. */
static void test_expired_waits_for_its_new_session(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = expired_for_good;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    /* Longer than a node may be silent until what may be sent elsewhere is. */
    assert_int_equal(write_in(client, session, 1800, NULL, &error), GAVEL_E_NO_LEADER);
    assert_int_equal(atomic_load(&script.writes), 1);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

static void drop_then_expired(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (common(conn, request))
        return;
    if (script->mood++ == 0)
        fake_drop(conn);
    else
        fake_reply(conn, request->id, GAVEL_E_EXPIRED, "there is no session 100", NULL);
}

/* Sent and lost, and then the session was gone: it may have been done before. A life of 0 ms is over at once. */
static void test_lost_then_expired_is_unknown(void **state)
{
    struct script script = {.ttl_ms = 0};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = drop_then_expired;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 0, NULL, &error), GAVEL_E_UNKNOWN);
    assert_non_null(strstr(error.text, "expired"));
    assert_int_equal(atomic_load(&script.writes), 2);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

/* Done, and its result is not to be had: larger than a message may be, or not kept. */
static void done_without_result(struct fake_conn *conn, const struct codec_request *request)
{
    struct codec_reply reply = {.id = request->id, .status = GAVEL_E_UNKNOWN, .index = 17,
                                .text = gavel_text("it was done at index 17, but its result is too large")};

    if (common(conn, request))
        return;
    fake_send(conn, CODEC_REPLY, &reply);
}

/* To ask again would bring the same answer until the time is over. */
static void test_done_without_its_result_is_not_asked_again(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake->request = done_without_result;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 2000, NULL, &error), GAVEL_E_UNKNOWN);
    assert_non_null(strstr(error.text, "it was done at index 17"));
    assert_int_equal(atomic_load(&script.writes), 1);
    gavel_session_close(session);
    gavel_client_close(client);
    fake_stop(fake);
}

/* Hold every write until the window is full or all have come; then answer all that are held, the last one first. */
static void hold(struct fake_conn *conn, const struct codec_request *request)
{
    struct script *script = conn->fake->context;

    if (common(conn, request))
        return;
    if (request->sequence - request->acked > GAVEL_SESSION_WINDOW || script->held_count == GAVEL_SESSION_WINDOW)
        abort(); /* over the window: not on cmocka's thread, so not its assertions */
    script->held[script->held_count++] = request->id;
    if (script->held_count > script->most_held)
        script->most_held = script->held_count;
    /* The last answers of a round let no new write in before the first one has its own, so rounds are full. */
    if (script->held_count < GAVEL_SESSION_WINDOW && script->answered + script->held_count < MANY)
        return;
    script->answered += script->held_count;
    while (script->held_count > 0)
        fake_reply_number(conn, script->held[--script->held_count], "revision", 1);
}

struct counting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t ended;
    uint32_t failed;
};

static void count_end(void *context, int32_t status, const struct gavel_result *result,
                      const struct gavel_error *error)
{
    struct counting *counting = context;

    (void)result;
    (void)error;
    pthread_mutex_lock(&counting->lock);
    counting->ended++;
    counting->failed += status != GAVEL_OK;
    pthread_cond_signal(&counting->changed);
    pthread_mutex_unlock(&counting->lock);
}

static void test_window(void **state)
{
    struct script script = {.ttl_ms = 60000};
    struct fake *fake = fake_start(&script);
    struct counting counting = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client *client;
    struct gavel_error error;
    int i;

    (void)state;
    fake->request = hold;
    client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(client, &request.session, &error), GAVEL_OK);
    request.command = "set";
    for (i = 0; i < MANY; i++)
        assert_int_equal(gavel_call_async(client, &request, count_end, &counting, &error), GAVEL_OK);
    pthread_mutex_lock(&counting.lock);
    while (counting.ended < MANY)
        (void)pthread_cond_wait(&counting.changed, &counting.lock);
    pthread_mutex_unlock(&counting.lock);
    assert_int_equal(counting.failed, 0);
    gavel_session_close(request.session);
    gavel_client_close(client);
    fake_stop(fake);
    assert_int_equal(script.most_held, GAVEL_SESSION_WINDOW);
}

/* ---- many threads, one client, one session ----------------------------------------------------------------------- */

#define THREADS 4
#define EACH 250

/* A node that does each number once, and breaks the connection now and then before it has answered. */
struct ledger {
    uint64_t next_session;
    uint32_t requests;
    uint32_t executed;
    bool seen[THREADS * EACH + 1];
};

static void execute(struct fake_conn *conn, const struct codec_request *request)
{
    struct ledger *ledger = conn->fake->context;

    if (fake_node(conn, request, &ledger->next_session, 60000, NULL))
        return;
    if (request->session != 100 || request->sequence == 0 || request->sequence > THREADS * EACH)
        abort();
    if (!ledger->seen[request->sequence]) {
        ledger->seen[request->sequence] = true;
        ledger->executed++;
    }
    if (++ledger->requests % 97 == 0)
        fake_drop(conn);
    else
        fake_reply_number(conn, request->id, "revision", request->sequence);
}

struct sharing {
    struct gavel_client *client;
    struct gavel_session *session;
    _Atomic uint32_t done;
};

static void *share(void *context)
{
    struct sharing *sharing = context;
    struct gavel_error error;
    int i;

    for (i = 0; i < EACH; i++)
        if (write_in(sharing->client, sharing->session, 0, NULL, &error) == GAVEL_OK)
            atomic_fetch_add(&sharing->done, 1);
    return NULL;
}

static void test_threads(void **state)
{
    struct ledger ledger = {.next_session = 0};
    struct fake *fake = fake_start(&ledger);
    struct sharing sharing = {.client = NULL};
    struct gavel_error error;
    pthread_t threads[THREADS];
    int i;

    (void)state;
    fake->request = execute;
    sharing.client = open_client(fake, NULL);
    assert_int_equal(gavel_session_open(sharing.client, &sharing.session, &error), GAVEL_OK);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share, &sharing), 0);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&sharing.done), THREADS * EACH);
    gavel_session_close(sharing.session);
    gavel_client_close(sharing.client);
    fake_stop(fake);
    assert_int_equal(ledger.executed, THREADS * EACH);
    assert_true(ledger.requests > THREADS * EACH); /* some came twice, and were done once */
}

/* No cluster, no session, so nothing was sent: not done. */
static void test_no_registration(void **state)
{
    struct fake *gone = fake_start(NULL);
    struct fake copy = *gone;
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error;

    (void)state;
    fake_stop(gone);
    client = open_client(&copy, NULL);
    assert_int_equal(gavel_session_open(client, &session, &error), GAVEL_OK);
    assert_int_equal(write_in(client, session, 1000, NULL, &error), GAVEL_E_NO_LEADER);
    gavel_session_close(session);
    gavel_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_same_number_elsewhere),
        cmocka_unit_test(test_lost_then_no_leader_is_unknown),
        cmocka_unit_test(test_expired_is_registered_anew),
        cmocka_unit_test(test_expired_waits_for_its_new_session),
        cmocka_unit_test(test_lost_then_expired_is_unknown),
        cmocka_unit_test(test_done_without_its_result_is_not_asked_again),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_registration),
    };

    return cmocka_run_group_tests_name("client sessions", tests, NULL, NULL);
}
