/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin-test.c - the plugin as a node sees it: its file is loaded, and its commands are run by the names and
 * tables that it shows. So the test is the same whatever language the plugin is written in.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <gavel/check.h>
#include <gavel/statemachine.h>

/* ---- a host that is just enough for a state machine -------------------------------------------------------------- */

static void *resize(void *self, void *old, uint64_t wanted)
{
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}

static const struct gavel_heap heap = { GAVEL_END(struct gavel_heap, resize), NULL, resize };
static const struct gavel_host host = { .size = GAVEL_END(struct gavel_host, submit), .abi_major = GAVEL_ABI_MAJOR,
                                        .abi_minor = GAVEL_ABI_MINOR, .node = "node-1", .instance = "my-plugin",
                                        .heap = &heap };

/* A writer that keeps the last whole number and counts the values. */
static struct seen {
    struct gavel_writer head;
    uint64_t values;
    int64_t number;
    uint64_t events;
} seen;

static void on_count(struct gavel_writer *writer, uint64_t count) {}
static void on_end(struct gavel_writer *writer) {}
static void on_key(struct gavel_writer *writer, struct gavel_slice name, uint64_t number) {}
static void on_nil(struct gavel_writer *writer) { seen.values++; }
static void on_real(struct gavel_writer *writer, double value) { seen.values++; }
static void on_text(struct gavel_writer *writer, struct gavel_slice text) { seen.values++; }
static void on_uint(struct gavel_writer *writer, uint64_t value)
{
    seen.values++;
    seen.number = (int64_t)value;
}
static void on_sint(struct gavel_writer *writer, int64_t value)
{
    seen.values++;
    seen.number = value;
}
static const struct gavel_writer_ops writer_ops = {
    .size = GAVEL_END(struct gavel_writer_ops, bytes), .map = on_count, .array = on_count, .end = on_end,
    .key = on_key, .nil = on_nil, .boolean = on_uint, .uint = on_uint, .sint = on_sint, .real = on_real,
    .string = on_text, .bytes = on_text,
};

static void on_event(void *context, const struct gavel_event *event)
{
    seen.events++;
}

/* ---- one machine ------------------------------------------------------------------------------------------------- */

static const struct gavel_plugin *plugin;
static const struct gavel_statemachine *machine;
static uint64_t options[8]; /* by the plugin's own table: a `present`, then what its rows say */
static struct gavel_error refusal;

static void *new_machine(void)
{
    void *self = NULL;
    struct gavel_error error = { 0, "" };

    if (plugin->create(&host, options, &self, &error) != GAVEL_OK)
        fail_msg("create: %s", error.text);
    return self;
}

/* Fill one argument by its row. */
static void give(unsigned char *arguments, const struct gavel_fields *fields, const char *name, const void *value)
{
    for (uint64_t i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = (const void *)((const char *)fields->rows + i * fields->stride);

        if (strcmp(row->name, name) != 0)
            continue;
        memcpy(arguments + row->offset, value, row->type == GAVEL_STRING ? sizeof(struct gavel_slice) : 8);
        arguments[i / 8] |= (unsigned char)(1u << i % 8);
    }
}

/* Run a command; what it answered is in `seen` and `refusal`. */
static int32_t run(void *self, const char *name, const char *account, int64_t amount, const char *to)
{
    struct gavel_slice account_text = gavel_text(account), to_text = gavel_text(to);
    unsigned char arguments[256] __attribute__((aligned(16))) = { 0 };
    struct gavel_call call = { .size = GAVEL_END(struct gavel_call, machine), .index = 1, .term = 1 };
    struct gavel_reply reply = { GAVEL_END(struct gavel_reply, emit), NULL, &seen.head, &refusal, on_event };

    seen = (struct seen){ .head.ops = &writer_ops };
    for (uint64_t i = 0; i < machine->command_count; i++) {
        const struct gavel_command *command =
            (const void *)((const char *)machine->commands + i * machine->command_stride);

        if (strcmp(command->name, name) != 0)
            continue;
        give(arguments, command->arguments, "account", &account_text);
        give(arguments, command->arguments, "amount", &amount);
        give(arguments, command->arguments, "to", &to_text);
        return command->run(self, &call, arguments, &reply);
    }
    fail_msg("there is no command \"%s\"", name);
    return GAVEL_E_INVALID;
}

static int64_t balance_of(void *self, const char *account)
{
    assert_int_equal(run(self, "balance", account, 0, ""), GAVEL_OK);
    return seen.number;
}

static struct gavel_machine_state state_of(void *self)
{
    struct gavel_machine_state state = { .size = GAVEL_END(struct gavel_machine_state, changelog) };

    machine->state(self, &state);
    return state;
}

static void assert_same(void *a, void *b)
{
    struct gavel_machine_state one = state_of(a), other = state_of(b);

    assert_int_equal(one.entries, other.entries);
    assert_true(one.digest[0] == other.digest[0]);
    assert_true(one.digest[1] == other.digest[1]);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void money_moves(void **state)
{
    void *self = new_machine();

    assert_int_equal(run(self, "open", "ann", 0, ""), GAVEL_OK);
    assert_int_equal(seen.events, 1);
    assert_int_equal(run(self, "open", "bob", 0, ""), GAVEL_OK);
    assert_int_equal(run(self, "deposit", "ann", 100, ""), GAVEL_OK);
    assert_int_equal(seen.number, 100);
    assert_int_equal(run(self, "transfer", "ann", 30, "bob"), GAVEL_OK);
    assert_int_equal(seen.number, 70);
    assert_int_equal(seen.events, 2);
    assert_int_equal(balance_of(self, "ann"), 70);
    assert_int_equal(balance_of(self, "bob"), 30);
    assert_int_equal(run(self, "list", "", 0, ""), GAVEL_OK);
    assert_int_equal(seen.values, 4);
    assert_int_equal(state_of(self).entries, 2);
    plugin->destroy(self);
}

/* A refusal has its code and a sentence, changes nothing, and tells watchers nothing. */
static void refusals_change_nothing(void **state)
{
    static const struct {
        const char *command, *account, *to;
        int64_t amount;
        int32_t code;
    } cases[] = {
        { "open", "ann", "", 0, GAVEL_E_EXISTS },
        { "deposit", "eve", "", 1, GAVEL_E_NOT_FOUND },
        { "balance", "eve", "", 0, GAVEL_E_NOT_FOUND },
        { "transfer", "ann", "bob", 101, GAVEL_E_CONDITION },
        { "transfer", "ann", "eve", 1, GAVEL_E_NOT_FOUND },
        { "transfer", "eve", "ann", 1, GAVEL_E_NOT_FOUND },
        { "transfer", "ann", "ann", 1, GAVEL_E_INVALID },
    };
    void *self = new_machine(), *before = new_machine();

    for (size_t i = 0; i < 2; i++) {
        void *each = i ? self : before;

        assert_int_equal(run(each, "open", "ann", 0, ""), GAVEL_OK);
        assert_int_equal(run(each, "open", "bob", 0, ""), GAVEL_OK);
        assert_int_equal(run(each, "deposit", "ann", 100, ""), GAVEL_OK);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refusal.text[0] = 0;
        assert_int_equal(run(self, cases[i].command, cases[i].account, cases[i].amount, cases[i].to), cases[i].code);
        assert_true(strlen(refusal.text) > 0);
        assert_int_equal(seen.events, 0);
        assert_same(self, before);
    }
    plugin->destroy(self);
    plugin->destroy(before);
}

static void overdraft_is_an_option(void **state)
{
    void *self;

    options[1] = 50;
    self = new_machine();
    assert_int_equal(run(self, "open", "ann", 0, ""), GAVEL_OK);
    assert_int_equal(run(self, "open", "bob", 0, ""), GAVEL_OK);
    assert_int_equal(run(self, "transfer", "ann", 51, "bob"), GAVEL_E_CONDITION);
    assert_int_equal(run(self, "transfer", "ann", 50, "bob"), GAVEL_OK);
    assert_int_equal(balance_of(self, "ann"), -50);
    plugin->destroy(self);
    options[1] = 0;
}

/* What a snapshot holds is all there is; and one that was cut or altered is refused. */
static void snapshot_holds_everything(void **state)
{
    struct gavel_buffer chunk = { .heap = &heap };
    struct gavel_error error = { 0, "" };
    void *self = new_machine(), *other = new_machine(), *snapshot = NULL;
    char name[16];

    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "%d", i * 7919 % 300);
        assert_int_equal(run(self, "open", name, 0, ""), GAVEL_OK);
        assert_int_equal(run(self, "deposit", name, i + 1, ""), GAVEL_OK);
    }
    assert_int_equal(machine->snapshot_begin(self, &snapshot, &error), GAVEL_OK);
    while (machine->snapshot_next(self, snapshot, &chunk, &error) == 1)
        assert_true(chunk.size < 1 << 20);
    machine->snapshot_end(self, snapshot);

    assert_int_equal(run(other, "open", "gone after restore", 0, ""), GAVEL_OK);
    assert_int_equal(machine->restore_begin(other, machine->state_version, &error), GAVEL_OK);
    assert_int_equal(machine->restore_chunk(other, gavel_buffer_slice(&chunk), &error), GAVEL_OK);
    assert_int_equal(machine->restore_end(other, &error), GAVEL_OK);
    assert_same(self, other);

    assert_int_equal(machine->restore_begin(other, machine->state_version, &error), GAVEL_OK);
    assert_true(machine->restore_chunk(other, gavel_bytes(chunk.data, chunk.size - 1), &error) < 0);
    chunk.data[8] = 0xff; /* a name of 255 bytes */
    assert_int_equal(machine->restore_begin(other, machine->state_version, &error), GAVEL_OK);
    assert_true(machine->restore_chunk(other, gavel_buffer_slice(&chunk), &error) < 0);
    assert_true(machine->restore_begin(other, machine->state_version + 1, &error) < 0);
    gavel_buffer_free(&chunk);
    plugin->destroy(self);
    plugin->destroy(other);
}

/* gavel's own conformance kit: what every state machine must keep, tried in processes of their own. */
static void conforms(void **state)
{
    gavel_check_assert(PLUGIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_moves),
        cmocka_unit_test(refusals_change_nothing),
        cmocka_unit_test(overdraft_is_an_option),
        cmocka_unit_test(snapshot_holds_everything),
        cmocka_unit_test(conforms),
    };
    void *file = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    gavel_plugin_entry entry;

    if (!file) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&entry = dlsym(file, "gavel_plugin_my_plugin");
    plugin = entry ? entry() : NULL;
    if (!plugin || plugin->kind != GAVEL_KIND_STATEMACHINE)
        return 1;
    machine = plugin->operations;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
