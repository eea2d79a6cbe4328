/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_schema_test.c - arguments as text, typed by the command tables that a scripted node describes; and
 * gavel_update, which needs to know which machine is a store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include <gavel/statemachine.h>

#include "client_fake.h"

struct set_arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice value;
    uint64_t revision;
};

static const struct gavel_field rows[] = {
    {.name = "key", .id = 1, .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED | GAVEL_KEY,
     .offset = offsetof(struct set_arguments, key), .help = "the key"},
    {.name = "value", .id = 2, .type = GAVEL_VALUE, .offset = offsetof(struct set_arguments, value)},
    {.name = "revision", .id = 3, .type = GAVEL_UINT, .offset = offsetof(struct set_arguments, revision)},
};
static const struct gavel_fields fields = GAVEL_FIELDS(rows, struct set_arguments);

static void describe_one(struct gavel_writer *w, const char *name, uint64_t flags)
{
    gavel_put_map(w, 3);
    gavel_put_key(w, "name");
    gavel_put_text(w, name);
    gavel_put_key(w, "flags");
    gavel_put_uint(w, flags);
    gavel_put_key(w, "arguments");
    codec_fields_describe(&fields, w);
    gavel_put_end(w);
}

/* Two machines: a store, and a counter that has a get too. */
static struct gavel_buffer described(void)
{
    struct gavel_buffer out = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    int i;

    gavel_put_map(w, 1);
    gavel_put_key(w, "machines");
    gavel_put_array(w, 2);
    for (i = 0; i < 2; i++) {
        gavel_put_map(w, 2);
        gavel_put_key(w, "name");
        gavel_put_text(w, i == 0 ? "counter" : "main");
        gavel_put_key(w, "commands");
        gavel_put_array(w, i == 0 ? 1 : 3);
        describe_one(w, "get", GAVEL_READ);
        if (i == 1) {
            describe_one(w, "set", GAVEL_WRITE);
            describe_one(w, "cas", GAVEL_WRITE);
        }
        gavel_put_end(w);
        gavel_put_end(w);
    }
    gavel_put_end(w);
    gavel_put_end(w);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    return out;
}

/* A store of one key: its value and revision, and somebody else who writes `rivals` times. */
struct store {
    struct gavel_buffer tables;
    uint64_t next_session;
    uint64_t revision;
    uint64_t value;
    uint32_t rivals;
    char arguments[512]; /* of the last request, as JSON */
    char machine[32];
};

static void on_request(struct fake_conn *conn, const struct codec_request *request)
{
    struct store *store = conn->fake->context;
    struct gavel_buffer text = codec_buffer(sizeof store->arguments - 1);
    struct gavel_error error;

    if (fake_node(conn, request, &store->next_session, 60000, &store->tables))
        return;
    (void)gavel_document_json(request->arguments, 0, &text, &error);
    (void)snprintf(store->arguments, sizeof store->arguments, "%.*s", (int)text.size, (const char *)text.data);
    gavel_buffer_free(&text);
    (void)snprintf(store->machine, sizeof store->machine, "%.*s", (int)request->machine.size,
                   request->machine.size ? (const char *)request->machine.data : "");
    if (fake_is(request, "get")) {
        struct gavel_buffer out = codec_buffer(0);
        struct codec_writer writer;
        struct gavel_writer *w = codec_writer_begin(&writer, &out);

        gavel_put_map(w, 2);
        gavel_put_key(w, "value");
        gavel_put_uint(w, store->value);
        gavel_put_key(w, "revision");
        gavel_put_uint(w, store->revision);
        gavel_put_end(w);
        (void)codec_writer_end(&writer, NULL);
        fake_reply(conn, request->id, GAVEL_OK, NULL, &out);
        gavel_buffer_free(&out);
        if (store->rivals > 0) {
            store->rivals--;
            store->revision++;
            store->value += 100;
        }
    } else if (fake_is(request, "cas")) {
        if (gavel_get_uint(request->arguments, "revision", 0) != store->revision) {
            fake_reply(conn, request->id, GAVEL_E_CONDITION, "another revision", NULL);
            return;
        }
        store->revision++;
        store->value = gavel_get_uint(request->arguments, "value", 0);
        fake_reply_number(conn, request->id, "revision", store->revision);
    } else {
        fake_reply(conn, request->id, GAVEL_OK, NULL, NULL);
    }
}

static struct gavel_client *open_client(const struct fake *fake)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};

    options.endpoints = fake->uri;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    return client;
}

static int32_t call_text(struct gavel_client *client, const char *command, const char *text, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();

    request.command = command;
    request.form = GAVEL_FORM_TEXT;
    request.arguments = gavel_text(text);
    return gavel_call(client, &request, NULL, error);
}

static void test_text(void **state)
{
    struct store store = {.tables = described()};
    struct fake *fake = fake_start(&store);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    fake->request = on_request;
    client = open_client(fake);
    assert_int_equal(call_text(client, "set", "key=42 value=42 revision=7", &error), GAVEL_OK);
    assert_string_equal(store.arguments, "{\"key\":\"42\",\"value\":42,\"revision\":7}");
    assert_int_equal(call_text(client, "main.set", "key='two words' value=\"it's\" ", &error), GAVEL_OK);
    assert_string_equal(store.arguments, "{\"key\":\"two words\",\"value\":\"it's\"}");
    assert_int_equal(call_text(client, "set", "key=k value='{\"a\": [1]}'", &error), GAVEL_OK);
    assert_string_equal(store.arguments, "{\"key\":\"k\",\"value\":{\"a\":[1]}}");
    gavel_client_close(client);
    fake_stop(fake);
    gavel_buffer_free(&store.tables);
}

/* What the table refuses is never sent. */
static void test_text_refused(void **state)
{
    struct store store = {.tables = described()};
    struct fake *fake = fake_start(&store);
    struct gavel_client *client;
    struct gavel_error error;

    (void)state;
    fake->request = on_request;
    client = open_client(fake);
    assert_int_equal(call_text(client, "set", "key=1 valeu=2", &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "valeu"));
    assert_non_null(strstr(error.text, "did you mean 'value'"));
    assert_int_equal(call_text(client, "set", "key=1 revision=x", &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "revision"));
    assert_int_equal(call_text(client, "set", "key='1", &error), GAVEL_E_INVALID);
    assert_int_equal(call_text(client, "sett", "key=1", &error), GAVEL_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "did you mean 'set'"));
    assert_int_equal(call_text(client, "get", "key=1", &error), GAVEL_E_INVALID); /* two machines have it */
    assert_non_null(strstr(error.text, "counter"));
    assert_string_equal(store.arguments, "");
    gavel_client_close(client);
    fake_stop(fake);
    gavel_buffer_free(&store.tables);
}

static int32_t add_one(void *context, const struct gavel_current *current, struct gavel_writer *next,
                       struct gavel_error *error)
{
    uint32_t *called = context;

    (void)error;
    ++*called;
    assert_int_equal(current->attempt, *called);
    gavel_put_uint(next, gavel_get_uint(current->value, NULL, 0) + 1);
    return 0;
}

static int32_t leave_it(void *context, const struct gavel_current *current, struct gavel_writer *next,
                        struct gavel_error *error)
{
    (void)context;
    (void)current;
    (void)next;
    (void)error;
    return 1;
}

/* Two rivals come between: the third attempt holds, on top of what they wrote. */
static void test_update(void **state)
{
    struct store store = {.tables = described(), .revision = 5, .value = 1, .rivals = 2};
    struct fake *fake = fake_start(&store);
    struct gavel_client *client;
    struct gavel_error error;
    uint64_t revision = 0;
    uint32_t called = 0;

    (void)state;
    fake->request = on_request;
    client = open_client(fake);
    assert_int_equal(gavel_update(client, gavel_text("n"), add_one, &called, NULL, &revision, &error), GAVEL_OK);
    assert_int_equal(called, 3);
    assert_int_equal(store.value, 202);
    assert_int_equal(revision, 8);
    assert_string_equal(store.machine, "main"); /* the only one with get and cas */
    assert_int_equal(gavel_update(client, gavel_text("n"), leave_it, NULL, NULL, &revision, &error), GAVEL_OK);
    assert_int_equal(revision, 8);
    assert_int_equal(store.value, 202);
    gavel_client_close(client);
    fake_stop(fake);
    gavel_buffer_free(&store.tables);
}

/* A table of one field with so many choices, and back. */
static int32_t rebuild_choices(unsigned count)
{
    static unsigned char memory[1 << 17] __attribute__((aligned(16)));
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error = {0, ""};
    const struct gavel_fields *table;
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    int32_t status;
    char name[8];

    gavel_put_array(w, 1);
    gavel_put_map(w, 4);
    gavel_put_key(w, "name");
    gavel_put_text(w, "mode");
    gavel_put_key(w, "id");
    gavel_put_uint(w, 1);
    gavel_put_key(w, "type");
    gavel_put_text(w, "choice");
    gavel_put_key(w, "choices");
    gavel_put_array(w, count);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        gavel_put_text(w, name);
    }
    gavel_put_end(w);
    gavel_put_end(w);
    gavel_put_end(w);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    status = codec_fields_rebuild(gavel_buffer_slice(&out), &arena, &table, &error);
    if (status != GAVEL_OK)
        assert_string_equal(error.text, "a described field has at most 1024 choices");
    else
        assert_string_equal(table->rows[0].choices[count - 1], name);
    gavel_buffer_free(&out);
    return status;
}

/* A million of them, which fit into one message, would each be looked for from the first one on. */
static void test_choices(void **state)
{
    (void)state;
    assert_int_equal(rebuild_choices(1024), GAVEL_OK);
    assert_int_equal(rebuild_choices(1025), GAVEL_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_refused),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_choices),
    };

    return cmocka_run_group_tests_name("client tables", tests, NULL, NULL);
}
