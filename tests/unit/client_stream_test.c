/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_stream_test.c - streams of libgavel against scripted nodes: credit bounds what is under way, a lost
 * connection is resumed without a gap or a double, the end has its reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "client_fake.h"

#define EVENTS 500

/* One open stream on a fake: it sends events of revisions 1.. as far as credit goes. */
struct source {
    uint64_t id;
    uint64_t credit;
    uint64_t next;
    uint64_t last;       /* after which it ends with `reason`, or drops the connection (0) */
    int64_t reason;
    _Atomic uint64_t most_credit;
    _Atomic uint64_t from_index;
    _Atomic uint32_t opened;
    _Atomic uint32_t closes;
};

static void pour(struct fake_conn *conn, struct source *source)
{
    while (source->credit > 0 && source->next <= source->last) {
        struct codec_stream_event event = {0};

        event.id = source->id;
        event.index = source->next++;
        event.event = gavel_text("set");
        event.key = gavel_text("color");
        event.wall_ms = 1;
        fake_send(conn, CODEC_STREAM_EVENT, &event);
        source->credit--;
    }
    if (source->next <= source->last)
        return;
    if (source->reason) {
        struct codec_stream_end end = {0};

        end.id = source->id;
        end.status = source->reason;
        end.text = gavel_text("that far back is gone");
        end.oldest_index = 400;
        fake_send(conn, CODEC_STREAM_END, &end);
    } else if (source->credit > 0) {
        fake_leave(conn);
    }
}

static void on_open(struct fake_conn *conn, const struct codec_stream_open *open)
{
    struct source *source = conn->fake->context;

    if (!gavel_slice_equal(open->stream, gavel_text("events")))
        abort(); /* not on cmocka's thread, so not its assertions */
    source->id = open->id;
    source->credit = open->credit;
    atomic_store(&source->most_credit, open->credit);
    atomic_store(&source->from_index, open->from_index);
    atomic_fetch_add(&source->opened, 1);
    if (open->from_index) /* the last one again: a node may count from there, the client has to know its own */
        source->next = open->from_index;
    pour(conn, source);
}

static void on_credit(struct fake_conn *conn, const struct codec_stream_credit *credit)
{
    struct source *source = conn->fake->context;

    if (credit->id != source->id)
        return;
    source->credit += credit->credit;
    if (source->credit > atomic_load(&source->most_credit))
        atomic_store(&source->most_credit, source->credit);
    pour(conn, source);
}

static void on_close(struct fake_conn *conn, const struct codec_stream_close *close)
{
    struct source *source = conn->fake->context;

    if (close->id == source->id)
        atomic_fetch_add(&source->closes, 1);
}

static struct fake *start_source(struct source *source)
{
    struct fake *fake = fake_start(source);

    fake->stream = on_open;
    fake->credit = on_credit;
    fake->stream_close = on_close;
    return fake;
}

static struct gavel_client *open_client(const struct fake *a, const struct fake *b)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};
    char endpoints[300];

    (void)snprintf(endpoints, sizeof endpoints, "%s%s%s", a->uri, b ? "," : "", b ? b->uri : "");
    options.endpoints = endpoints;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    return client;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* All events in order, never more under way than was asked for, and the end with its sentence. */
static void test_events(void **state)
{
    struct source source = {.next = 1, .last = EVENTS, .reason = GAVEL_E_COMPACTED};
    struct fake *fake = start_source(&source);
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream_event event;
    struct gavel_stream *stream = NULL;
    struct gavel_client *client;
    struct gavel_error error;
    uint64_t i;

    (void)state;
    client = open_client(fake, NULL);
    options.name = "events";
    options.credit = 16;
    assert_int_equal(gavel_stream_open(client, &options, &stream, &error), GAVEL_OK);
    for (i = 1; i <= EVENTS; i++) {
        assert_int_equal(gavel_stream_next(stream, 10000, &event, &error), GAVEL_OK);
        assert_int_equal(event.index, i);
        assert_true(gavel_slice_equal(event.type, gavel_text("set")));
        assert_true(gavel_slice_equal(event.key, gavel_text("color")));
    }
    assert_int_equal(gavel_stream_next(stream, 10000, &event, &error), GAVEL_E_COMPACTED);
    assert_non_null(strstr(error.text, "that far back is gone"));
    assert_non_null(strstr(error.text, "400"));
    assert_in_range(atomic_load(&source.most_credit), 1, 16);
    gavel_stream_close(stream);
    gavel_client_close(client);
    fake_stop(fake);
}

static void test_no_event(void **state)
{
    struct source source = {.next = 2, .last = 10000};
    struct fake *fake = start_source(&source);
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream_event event;
    struct gavel_stream *stream = NULL;
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    client = open_client(fake, NULL);
    options.name = "watch"; /* the fake asserts "events"; this one has no script at all */
    fake->stream = NULL;
    assert_int_equal(gavel_stream_open(client, &options, &stream, &error), GAVEL_OK);
    assert_int_equal(gavel_stream_next(stream, 50, &event, &error), GAVEL_E_TIMEOUT);
    gavel_stream_close(stream);
    gavel_client_close(client);
    fake_stop(fake);
}

/* The first node breaks half-way: the second one is asked for what follows, and nothing is seen twice. */
static void test_resume(void **state)
{
    struct source first = {.next = 1, .last = 100};
    struct source second = {.next = 1, .last = EVENTS, .reason = GAVEL_E_CLOSED};
    struct fake *one = start_source(&first);
    struct fake *two = start_source(&second);
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream_event event;
    struct gavel_stream *stream = NULL;
    struct gavel_client *client;
    struct gavel_error error;
    uint64_t i;

    (void)state;
    client = open_client(one, two);
    options.name = "events";
    assert_int_equal(gavel_stream_open(client, &options, &stream, &error), GAVEL_OK);
    for (i = 1; i <= EVENTS; i++) {
        assert_int_equal(gavel_stream_next(stream, 10000, &event, &error), GAVEL_OK);
        assert_int_equal(event.index, i);
    }
    assert_int_equal(gavel_stream_next(stream, 10000, &event, &error), GAVEL_E_CLOSED);
    assert_int_equal(atomic_load(&second.from_index), 100);
    gavel_stream_close(stream);
    gavel_client_close(client);
    fake_stop(one);
    fake_stop(two);
}

/* A stream that is never read holds its credit back: the node is stopped after that many. */
static void test_unread(void **state)
{
    struct source source = {.next = 1, .last = 1000000};
    struct fake *fake = start_source(&source);
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream *stream = NULL;
    struct gavel_client *client;
    struct gavel_error error;
    struct gavel_stream_event event;
    int i;

    (void)state;
    client = open_client(fake, NULL);
    options.name = "events";
    options.credit = 8;
    assert_int_equal(gavel_stream_open(client, &options, &stream, &error), GAVEL_OK);
    for (i = 1; i <= 3; i++)
        assert_int_equal(gavel_stream_next(stream, 10000, &event, &error), GAVEL_OK);
    gavel_stream_close(stream);
    gavel_client_close(client);
    fake_stop(fake);
    assert_int_equal(source.next, 9); /* three taken are less than half of the window */
    assert_int_equal(atomic_load(&source.closes), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_no_event),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_unread),
    };

    return cmocka_run_group_tests_name("client streams", tests, NULL, NULL);
}
