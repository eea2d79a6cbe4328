/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow-host.c - the machines as the real host drives them: their tables pass its check, arguments travel in its
 * log form, answers are written with its writer and are documents that it accepts. (The other tests use a host of their
 * own.)
 */
#include "core/codec/field.h"
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

const struct gavel_plugin *gavel_plugin_workflow(void);
const struct gavel_plugin *gavel_plugin_counter(void);

static void check_tables(const struct gavel_plugin *plugin)
{
    const struct gavel_statemachine *operations = plugin->operations;
    struct gavel_error error = { 0 };
    uint64_t i;
    if (plugin->options && codec_fields_check(plugin->options, &error) != GAVEL_OK)
        fail_msg("options: %s", error.text);
    for (i = 0; i < operations->command_count; i++) {
        const struct gavel_command *command = &operations->commands[i];
        if (command->arguments && codec_fields_check(command->arguments, &error) != GAVEL_OK)
            fail_msg("%s: %s", command->name, error.text);
    }
}

static void test_tables(void **state)
{
    (void)state;
    check_tables(gavel_plugin_workflow());
    check_tables(gavel_plugin_counter());
}

static uint64_t events;

static void take_event(void *context, const struct gavel_event *event)
{
    struct gavel_limits limits = codec_limits(1 << 20);
    struct gavel_error error;
    (void)context;
    events++;
    if (event->value.data)
        assert_int_equal(codec_value_check(event->value, &limits, &error), 0);
    if (event->previous.data)
        assert_int_equal(codec_value_check(event->previous, &limits, &error), 0);
}

/* What a leader does with a request, and what each node does with the entry; the answer as JSON, or the status. */
static char *run(struct fake_machine *machine, uint64_t id, const char *json, int32_t *status)
{
    static unsigned char memory[1 << 20] __attribute__((aligned(16)));
    static unsigned char object[512] __attribute__((aligned(16)));
    const struct gavel_command *command = &machine->operations->commands[id - 1];
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_slice request = fake_pack(json);
    struct gavel_buffer logged = codec_buffer(1 << 20);
    struct gavel_buffer answer = codec_buffer(1 << 20);
    struct gavel_limits limits = codec_limits(1 << 20);
    struct gavel_error error = { 0 };
    struct gavel_call call = { .size = GAVEL_END(struct gavel_call, machine), .index = machine->index + 1, .term = 1,
                               .wall_ms = 5000 };
    struct gavel_reply reply = { .size = GAVEL_END(struct gavel_reply, emit), .error = &error, .emit = take_event };
    struct codec_writer writer;
    char *text = NULL;

    assert_true(command->arguments->struct_size <= sizeof object);
    *status = codec_arguments_check(command->arguments, command->name, request, &arena, &logged, &error);
    if (*status == GAVEL_OK) {
        codec_arena_reset(&arena);
        assert_int_equal(codec_arguments_load(command->arguments, gavel_buffer_slice(&logged), object, &arena, &error),
                         0);
        reply.out = codec_writer_begin(&writer, &answer);
        if (command->flags & GAVEL_READ) {
            call.index--;
            call.read_only = 1;
            reply.emit = NULL;
        }
        machine->index = call.index;
        *status = command->run(machine->self, &call, object, &reply);
    }
    if (*status == GAVEL_OK) {
        assert_int_equal(codec_writer_end(&writer, &error), 0);
        assert_int_equal(codec_value_check(gavel_buffer_slice(&answer), &limits, &error), 0);
        text = fake_text(gavel_buffer_slice(&answer));
    } else {
        assert_int_equal(error.code, *status);
    }
    gavel_buffer_free(&logged);
    gavel_buffer_free(&answer);
    free((void *)(uintptr_t)request.data);
    return text;
}

static void expect(struct fake_machine *machine, uint64_t id, const char *json, const char *wanted)
{
    int32_t status;
    char *text = run(machine, id, json, &status);
    assert_int_equal(status, 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_through_the_log_form(void **state)
{
    struct fake_host *host = fake_host_new();
    struct fake_machine *machine = fake_machine_new(host, gavel_plugin_workflow(), NULL);
    int32_t status;
    (void)state;
    events = 0;
    expect(machine, 2, "{\"key\":\"a\",\"value\":{\"z\":1,\"b\":[1.5,\"x\",null]}}", "{\"revision\":1,\"version\":1}");
    expect(machine, 4, "{\"key\":\"a\",\"patch\":{\"b\":null,\"c\":{\"d\":-7}}}", "{\"revision\":2,\"version\":2}");
    expect(machine, 5, "{\"key\":\"a\",\"path\":\"c.d\",\"by\":-300}", "{\"revision\":3,\"value\":-307,\"version\":3}");
    expect(machine, 1, "{\"key\":\"a\"}",
           "{\"create_revision\":1,\"key\":\"a\",\"mod_revision\":3,\"value\":{\"c\":{\"d\":-307},\"z\":1},"
           "\"version\":3}");
    expect(machine, 6, "{\"key\":\"a\",\"expect\":{\"z\":1,\"c\":{\"d\":-307}},\"value\":2}",
           "{\"revision\":4,\"version\":4}");
    expect(machine, 7,
           "{\"items\":[{\"op\":\"set\",\"key\":\"b\",\"value\":[]},{\"op\":\"incr\",\"key\":\"n\"},"
           "{\"op\":\"update\",\"key\":\"u\",\"patch\":{\"x\":1}},{\"op\":\"delete\",\"key\":\"a\"}]}",
           "{\"items\":[{\"version\":1},{\"value\":1,\"version\":1},{\"version\":1},{\"version\":0}],\"revision\":5}");
    assert_int_equal(events, 8);
    expect(machine, 10, "{}", "{\"keys\":[\"b\",\"n\",\"u\"],\"revision\":5}");
    expect(machine, 9, "{\"prefix\":\"\",\"limit\":1}",
           "{\"after\":\"b\",\"items\":[{\"create_revision\":5,\"key\":\"b\",\"mod_revision\":5,\"value\":[],"
           "\"version\":1}],\"revision\":5}");
    expect(machine, 12, "{\"workflow_id\":\"w\",\"data\":{\"step\":1}}",
           "{\"revision\":6,\"started_ms\":5000,\"status\":\"running\",\"updated_ms\":5000,\"version\":1,"
           "\"workflow_id\":\"w\"}");
    expect(machine, 14, "{\"workflow_id\":\"w\",\"data\":{\"step\":2}}",
           "{\"revision\":7,\"started_ms\":5000,\"status\":\"running\",\"updated_ms\":5000,\"version\":2,"
           "\"workflow_id\":\"w\"}");
    expect(machine, 16, "{\"status\":\"running\"}",
           "{\"revision\":7,\"workflows\":[{\"data\":{\"step\":2},\"revision\":7,\"started_ms\":5000,"
           "\"status\":\"running\",\"updated_ms\":5000,\"version\":2,\"workflow_id\":\"w\"}]}");
    assert_null(run(machine, 2, "{\"key\":\"a\"}", &status));
    assert_int_equal(status, GAVEL_E_INVALID);
    assert_null(run(machine, 6, "{\"key\":\"b\",\"revision\":1,\"value\":1}", &status));
    assert_int_equal(status, GAVEL_E_CONDITION);
    fake_machine_free(machine);
    fake_host_free(host);
}

static void test_counter_through_the_log_form(void **state)
{
    struct fake_host *host = fake_host_new();
    struct fake_machine *machine = fake_machine_new(host, gavel_plugin_counter(), NULL);
    int32_t status;
    (void)state;
    expect(machine, 1, "{\"name\":\"visits\"}", "1");
    expect(machine, 1, "{\"name\":\"visits\",\"by\":-1000}", "-999");
    expect(machine, 2, "{\"name\":\"visits\"}", "-999");
    assert_null(run(machine, 2, "{\"name\":\"nobody\"}", &status));
    assert_int_equal(status, GAVEL_E_NOT_FOUND);
    fake_machine_free(machine);
    fake_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_through_the_log_form),
        cmocka_unit_test(test_counter_through_the_log_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
