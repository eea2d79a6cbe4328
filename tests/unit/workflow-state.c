/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow-state.c - the store as a replicated state: two instances agree after each of many random commands; the past
 * reads as it was; a snapshot at every index restores to the same state, also when commands go on below it; no failed
 * allocation leaves a trace; no damaged snapshot does harm.
 */
#define _GNU_SOURCE
#include "tests/unit/effort.h"
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#define PAST_STEPS EFFORT(2000, 600)
#define SMALL_HISTORY "{\"history_revisions\":40,\"history_bytes\":6000,\"value_bytes_max\":2000}"

const struct gavel_plugin *gavel_plugin_workflow(void);

static struct fake_host *host;

static int setup(void **state)
{
    (void)state;
    host = fake_host_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_host_free(host);
    return 0;
}

static struct fake_machine *machine_new(const char *options)
{
    return fake_machine_new(host, gavel_plugin_workflow(), options);
}

/* ---- random commands --------------------------------------------------------------------------------------------- */

struct command {
    const char *name;
    char arguments[4096];
};

static unsigned below(struct fake_random *random, unsigned bound)
{
    return (unsigned)fake_random_below(random, bound);
}

static void random_item(struct fake_random *random, char *text, size_t size)
{
    unsigned key = below(random, 14);
    switch (below(random, 4)) {
    case 0:
        (void)snprintf(text, size, "{\"op\":\"set\",\"key\":\"k%u\",\"value\":{\"n\":%u}}", key, below(random, 1000));
        break;
    case 1: (void)snprintf(text, size, "{\"op\":\"delete\",\"key\":\"k%u\"}", key); break;
    case 2:
        (void)snprintf(text, size, "{\"op\":\"update\",\"key\":\"k%u\",\"patch\":{\"p%u\":{\"x\":[%u]},\"p%u\":null}}",
                       key, key % 3, below(random, 99), (key + 1 + below(random, 2)) % 3);
        break;
    default:
        (void)snprintf(text, size, "{\"op\":\"incr\",\"key\":\"k%u\",\"path\":\"n\",\"by\":%d}", key,
                       (int)below(random, 2000) - 1000);
    }
}

static struct command random_command(struct fake_random *random)
{
    struct command command;
    char *text = command.arguments;
    size_t size = sizeof command.arguments;
    unsigned key = below(random, 14);
    unsigned i;
    size_t length;
    switch (below(random, 12)) {
    case 0: case 1:
        command.name = "set";
        (void)snprintf(text, size, "{\"key\":\"k%u\",\"value\":{\"n\":%u,\"text\":\"%0*d\"}}", key, below(random, 9),
                       (int)below(random, 400) + 1, 0);
        break;
    case 2: command.name = "delete"; (void)snprintf(text, size, "{\"key\":\"k%u\"}", key); break;
    case 3:
        command.name = "update";
        (void)snprintf(text, size, "{\"key\":\"k%u\",\"patch\":{\"a\":%u,\"n\":%s}}", key, below(random, 9),
                       below(random, 3) ? "1" : "null");
        break;
    case 4: command.name = "incr"; (void)snprintf(text, size, "{\"key\":\"k%u\",\"path\":\"n\"}", key); break;
    case 5:
        command.name = "cas";
        (void)snprintf(text, size, "{\"key\":\"k%u\",\"revision\":0,\"value\":\"made\"}", key);
        break;
    case 6: command.name = "start_workflow"; (void)snprintf(text, size, "{\"workflow_id\":\"w%u\"}", key % 4); break;
    case 7: command.name = "stop_workflow"; (void)snprintf(text, size, "{\"workflow_id\":\"w%u\"}", key % 4); break;
    case 8:
        command.name = "update_state";
        (void)snprintf(text, size, "{\"workflow_id\":\"w%u\",\"data\":{\"s%u\":%u}}", key % 4, key, below(random, 99));
        break;
    case 9:
        command.name = below(random, 2) ? "register_node" : "deregister_node";
        (void)snprintf(text, size, "{\"node_id\":\"n%u\"}", key % 3);
        break;
    default:
        command.name = "batch";
        length = (size_t)snprintf(text, size, "{\"items\":[");
        for (i = below(random, 6); ; i--) {
            random_item(random, text + length, size - length);
            length += strlen(text + length);
            if (i == 0)
                break;
            text[length++] = ',';
        }
        memcpy(text + length, "]}", 3);
    }
    return command;
}

/* The next command on each machine: the same status, answer, events and digest. */
static void run_on_both(struct fake_machine *a, struct fake_machine *b, const struct command *command)
{
    int32_t one = fake_run(a, command->name, command->arguments);
    int32_t other = fake_run(b, command->name, command->arguments);
    assert_int_equal(one, other);
    assert_string_equal(a->result, b->result);
    assert_string_equal(a->events, b->events);
    assert_string_equal(a->error.text, b->error.text);
    fake_assert_same(a, b);
}

/* ---- snapshots as bytes ------------------------------------------------------------------------------------------ */

static void assert_same_bytes(const struct fake_snapshot *a, const struct fake_snapshot *b)
{
    uint64_t i;
    assert_int_equal(a->count, b->count);
    for (i = 0; i < a->count; i++) {
        assert_int_equal(a->chunks[i].size, b->chunks[i].size);
        assert_memory_equal(a->chunks[i].data, b->chunks[i].data, a->chunks[i].size);
    }
}

static void assert_snapshots_equal(struct fake_machine *a, struct fake_machine *b)
{
    struct fake_snapshot *one = fake_snapshot_take(a);
    struct fake_snapshot *other = fake_snapshot_take(b);
    assert_same_bytes(one, other);
    fake_snapshot_free(one);
    fake_snapshot_free(other);
}

/* Make `to` what `from` is, through a snapshot. */
static void copy_state(struct fake_machine *from, struct fake_machine *to)
{
    struct fake_snapshot *snapshot = fake_snapshot_take(from);
    assert_int_equal(fake_restore(to, snapshot), 0);
    fake_snapshot_free(snapshot);
    to->index = from->index;
    to->wall_ms = from->wall_ms;
    fake_assert_same(from, to);
}

/* ---- agreement and the past -------------------------------------------------------------------------------------- */

static void test_two_instances_agree(void **state)
{
    struct fake_random random = fake_random_seeded("agreement");
    struct fake_machine *a = machine_new(SMALL_HISTORY);
    struct fake_machine *b = machine_new(SMALL_HISTORY);
    uint64_t refused = 0;
    int i;
    (void)state;
    for (i = 0; i < 3000; i++) {
        struct command command = random_command(&random);
        run_on_both(a, b, &command);
        refused += a->status != 0;
        assert_true(fake_state(a).changelog <= 40);
        if (i % 7 == 0) { /* what one node alone does (reads, snapshots) leaves no trace in its state */
            fake_run(b, "range", "{}");
            fake_snapshot_free(fake_snapshot_take(b));
        }
    }
    assert_true(refused > 100);
    assert_true(refused < 2000);
    assert_snapshots_equal(a, b);
    fake_machine_free(a);
    fake_machine_free(b);
}

static void test_the_past_reads_as_it_was(void **state)
{
    struct fake_random random = fake_random_seeded("past");
    struct fake_machine *machine = machine_new(SMALL_HISTORY);
    static char *seen[PAST_STEPS + 1];
    uint64_t in_reach = 0;
    uint64_t i;
    (void)state;
    for (i = 1; i <= PAST_STEPS; i++) {
        struct command command = random_command(&random);
        uint64_t then = i > 80 ? i - fake_random_below(&random, 80) : 1 + fake_random_below(&random, i);
        fake_run(machine, command.name, command.arguments);
        assert_int_equal(machine->index, i);
        assert_int_equal(fake_run(machine, "range", "{\"limit\":1000}"), 0);
        seen[i] = strdup(machine->result);
        fake_runf(machine, "range", "{\"limit\":1000,\"revision\":%llu}", (unsigned long long)then);
        if (machine->status == 0) {
            assert_string_equal(machine->result, seen[then]);
            in_reach++;
        } else {
            assert_int_equal(machine->status, GAVEL_E_COMPACTED);
            assert_true(i > 20);
        }
    }
    assert_true(in_reach > PAST_STEPS / 7);
    for (i = 1; i <= PAST_STEPS; i++)
        free(seen[i]);
    fake_machine_free(machine);
}

/* Random keys, a page at a time with random limits: together they are the whole range. */
static void test_pages_join(void **state)
{
    struct fake_random random = fake_random_seeded("pages");
    struct fake_machine *machine = machine_new(NULL);
    char after[64];
    char line[64];
    unsigned i;
    (void)state;
    for (i = 0; i < 900; i++)
        fake_runf(machine, "set", "{\"key\":\"k%03u\",\"value\":%u}", i, i);
    for (i = 0; i < 900; i += 3)
        fake_runf(machine, "delete", "{\"key\":\"k%03u\"}", i);
    for (int past = 0; past < 2; past++) {
        unsigned next = past ? 0 : 1;
        int more = 1;
        after[0] = 0;
        while (more) {
            const char *at;
            fake_runf(machine, "keys", "{\"prefix\":\"k\",\"limit\":%u,\"after\":\"%s\",\"revision\":%d}",
                      1 + below(&random, 50), after, past ? 900 : 0);
            assert_int_equal(machine->status, 0);
            for (at = strstr(machine->result, "[\"k"); at && *at != ']'; at = strpbrk(at + 1, ",]")) {
                (void)snprintf(line, sizeof line, "\"k%03u\"", next);
                assert_memory_equal(at + 1, line, strlen(line));
                next += past || next % 3 == 1 ? 1 : 2;
            }
            at = strstr(machine->result, "\"after\":\"");
            more = at != NULL;
            if (more)
                (void)snprintf(after, sizeof after, "%.4s", at + 9);
        }
        assert_int_equal(next, past ? 900 : 901);
    }
    fake_machine_free(machine);
}

/* A page looks at 1,000 keys at the most, whatever the filter passes over. */
static void test_filters_are_bounded(void **state)
{
    struct fake_machine *machine = machine_new(NULL);
    unsigned i;
    (void)state;
    for (i = 0; i < 1100; i++) {
        fake_runf(machine, "start_workflow", "{\"workflow_id\":\"w%04u\"}", i);
        if (i != 1050)
            fake_runf(machine, "stop_workflow", "{\"workflow_id\":\"w%04u\"}", i);
    }
    assert_int_equal(fake_run(machine, "list_workflows", "{\"status\":\"running\"}"), 0);
    assert_non_null(strstr(machine->result, "\"after\":\"w0999\""));
    assert_non_null(strstr(machine->result, "\"workflows\":[]"));
    assert_int_equal(fake_run(machine, "list_workflows", "{\"status\":\"running\",\"after\":\"w0999\"}"), 0);
    assert_non_null(strstr(machine->result, "w1050"));
    assert_null(strstr(machine->result, "after"));
    fake_machine_free(machine);
}

static void test_history_is_bounded_in_bytes(void **state)
{
    struct fake_machine *machine = machine_new("{\"history_bytes\":20000,\"value_bytes_max\":4096}");
    int i;
    (void)state;
    for (i = 0; i < 100; i++)
        fake_runf(machine, "set", "{\"key\":\"a\",\"value\":\"%01900d\"}", i);
    assert_int_equal(fake_state(machine).changelog, 10); /* ten replaced values of some 2,000 bytes */
    for (i = 0; i < 300; i++) /* keys that replace nothing cost no bytes */
        fake_runf(machine, "set", "{\"key\":\"b%d\",\"value\":\"%01900d\"}", i, i);
    assert_int_equal(fake_state(machine).changelog, 310);
    fake_machine_free(machine);
}

static void test_no_history_at_all(void **state)
{
    struct fake_random random = fake_random_seeded("no history");
    struct fake_machine *machine = machine_new("{\"history_revisions\":0}");
    struct fake_machine *other = machine_new("{\"history_revisions\":0}");
    int i;
    (void)state;
    for (i = 0; i < 500; i++) {
        struct command command = random_command(&random);
        fake_run(machine, command.name, command.arguments);
        assert_int_equal(fake_state(machine).changelog, 0);
        copy_state(machine, other);
    }
    fake_machine_free(machine);
    fake_machine_free(other);
}

/* A node restores into lower limits: the leader asks for compaction until the history fits again. */
static void test_lowered_limits_are_worked_off(void **state)
{
    struct fake_machine *large = machine_new(NULL);
    struct fake_machine *small = machine_new("{\"history_revisions\":100}");
    int rounds = 0;
    int i;
    (void)state;
    for (i = 0; i < 1000; i++)
        fake_runf(large, "set", "{\"key\":\"k%d\",\"value\":%d}", i % 50, i);
    copy_state(large, small);
    assert_int_equal(fake_state(small).changelog, 1000);
    while (fake_maintain(small))
        rounds++;
    assert_int_equal(fake_state(small).changelog, 100);
    assert_int_equal(rounds, 15); /* 64 each */
    assert_int_equal(fake_run(small, "get", "{\"key\":\"k7\",\"revision\":899}"), GAVEL_E_COMPACTED);
    assert_int_equal(fake_run(small, "get", "{\"key\":\"k7\",\"revision\":900}"), 0);
    fake_machine_free(large);
    fake_machine_free(small);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void test_snapshot_at_every_index(void **state)
{
    struct fake_random random = fake_random_seeded("snapshots");
    struct fake_machine *machine = machine_new(SMALL_HISTORY);
    struct fake_machine *other = machine_new(SMALL_HISTORY);
    int i;
    (void)state;
    for (i = 0; i < EFFORT(1000, 400); i++) {
        struct command command;
        copy_state(machine, other);
        if (i % 20 == 0)
            assert_snapshots_equal(machine, other);
        command = random_command(&random); /* and it goes on the same way */
        run_on_both(machine, other, &command);
        fake_runf(machine, "range", "{\"revision\":%d,\"limit\":1000}", i / 2 + 1);
        fake_runf(other, "range", "{\"revision\":%d,\"limit\":1000}", i / 2 + 1);
        assert_int_equal(machine->status, other->status);
        assert_string_equal(machine->result, other->result);
    }
    fake_machine_free(machine);
    fake_machine_free(other);
}

/* Commands between begin, each chunk and end change nothing of what the snapshot has. */
static void test_snapshot_below_commands(void **state)
{
    struct fake_random random = fake_random_seeded("below commands");
    struct fake_machine *machine = machine_new("{\"history_revisions\":200}");
    struct fake_machine *twin = machine_new("{\"history_revisions\":200}");
    int round;
    int i;
    (void)state;
    for (i = 0; i < 400; i++) {
        fake_runf(machine, "set", "{\"key\":\"big%03d\",\"value\":\"%02000d\"}", i % 300, i);
        fake_runf(twin, "set", "{\"key\":\"big%03d\",\"value\":\"%02000d\"}", i % 300, i);
    }
    for (round = 0; round < 20; round++) {
        struct fake_snapshot *at_once = fake_snapshot_take(twin);
        struct fake_snapshot *slow = calloc(1, sizeof *slow);
        int32_t status = 1;
        void *held;
        assert_int_equal(machine->operations->snapshot_begin(machine->self, &held, &machine->error), 0);
        while (status == 1) {
            for (i = 0; i < 30; i++) {
                struct command command = random_command(&random);
                if (i % 3 == 0) {
                    command.name = "set";
                    (void)snprintf(command.arguments, sizeof command.arguments,
                                   "{\"key\":\"big%03u\",\"value\":%u}", below(&random, 300), below(&random, 99));
                    if (round % 2) {
                        command.name = "delete";
                        (void)snprintf(command.arguments, sizeof command.arguments, "{\"key\":\"big%03u\"}",
                                       below(&random, 300));
                    }
                }
                run_on_both(machine, twin, &command);
            }
            slow->chunks[slow->count].heap = host->host.heap;
            status = machine->operations->snapshot_next(machine->self, held, &slow->chunks[slow->count++],
                                                        &machine->error);
            assert_true(status >= 0);
        }
        if (round == 7)
            copy_state(twin, machine); /* a restore changes nothing of it either */
        machine->operations->snapshot_end(machine->self, held);
        assert_same_bytes(at_once, slow);
        fake_snapshot_free(at_once);
        fake_snapshot_free(slow);
        for (i = 0; i < 50; i++) {
            struct command command = random_command(&random);
            run_on_both(machine, twin, &command);
        }
        for (i = 0; i < 50; i++) {
            struct command command = { .name = "set" };
            (void)snprintf(command.arguments, sizeof command.arguments, "{\"key\":\"big%03u\",\"value\":\"%02000d\"}",
                           below(&random, 300), i);
            run_on_both(machine, twin, &command);
        }
    }
    fake_machine_free(machine);
    fake_machine_free(twin);
}

/* A snapshot from a leader is installed while one of our own is half written. */
static void test_restore_below_a_held_snapshot(void **state)
{
    struct fake_machine *machine = machine_new(NULL);
    struct fake_machine *other = machine_new(NULL);
    struct fake_snapshot *at_once;
    struct fake_snapshot *slow = calloc(1, sizeof *slow);
    int32_t status = 1;
    void *held;
    int i;
    (void)state;
    for (i = 0; i < 200; i++)
        fake_runf(machine, "set", "{\"key\":\"k%d\",\"value\":\"%01500d\"}", i % 150, i);
    fake_run(other, "set", "{\"key\":\"x\",\"value\":1}");
    at_once = fake_snapshot_take(machine);
    assert_int_equal(machine->operations->snapshot_begin(machine->self, &held, &machine->error), 0);
    while (status == 1) {
        slow->chunks[slow->count].heap = host->host.heap;
        status = machine->operations->snapshot_next(machine->self, held, &slow->chunks[slow->count++], &machine->error);
        if (slow->count == 2)
            copy_state(other, machine);
    }
    machine->operations->snapshot_end(machine->self, held);
    assert_same_bytes(at_once, slow);
    fake_assert_same(machine, other);
    fake_snapshot_free(at_once);
    fake_snapshot_free(slow);
    fake_machine_free(machine);
    fake_machine_free(other);
}

static void test_large_snapshots_have_many_chunks(void **state)
{
    struct fake_machine *machine = machine_new(NULL);
    struct fake_machine *other = machine_new(NULL);
    struct fake_snapshot *snapshot;
    char *text = malloc(600000);
    int i;
    (void)state;
    memset(text, 'x', 600000);
    for (i = 0; i < 5; i++) { /* values as large as allowed: 512 KiB with their header of 5 bytes */
        static const char format[] = "{\"key\":\"large%d\",\"value\":\"%.*s\"}";
        assert_int_equal(fake_runf(machine, "set", format, i, (512 << 10) - 5, text), 0);
        assert_int_equal(fake_runf(machine, "set", format, i, (512 << 10) - 4, text), GAVEL_E_TOO_LARGE);
    }
    for (i = 0; i < 3000; i++)
        assert_int_equal(fake_runf(machine, "set", "{\"key\":\"%d\",\"value\":%d}", i, i), 0);
    snapshot = fake_snapshot_take(machine);
    assert_true(snapshot->count >= 6);
    for (i = 0; i + 1 < (int)snapshot->count; i++)
        assert_true(snapshot->chunks[i].size >= 64 << 10);
    fake_snapshot_free(snapshot);
    copy_state(machine, other);
    free(text);
    fake_machine_free(machine);
    fake_machine_free(other);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Each command with the n-th allocation failing, for every n, with and without a held snapshot. */
static void test_failed_allocations_leave_no_trace(void **state)
{
    struct fake_random random = fake_random_seeded("allocations");
    struct fake_machine *machine = machine_new(SMALL_HISTORY);
    uint64_t failures = 0;
    int i;
    (void)state;
    for (i = 0; i < 300; i++) {
        struct command command = random_command(&random);
        struct fake_machine *reference = machine_new(SMALL_HISTORY);
        struct fake_snapshot *snapshot = fake_snapshot_take(machine);
        uint64_t n;
        copy_state(machine, reference);
        fake_run(reference, command.name, command.arguments);
        for (n = 1; ; n++) {
            struct fake_machine *victim = machine_new(SMALL_HISTORY);
            struct fake_snapshot *after;
            void *held = NULL;
            uint64_t fail_at;
            assert_int_equal(fake_restore(victim, snapshot), 0);
            victim->index = machine->index;
            victim->wall_ms = machine->wall_ms;
            if (i % 2)
                assert_int_equal(victim->operations->snapshot_begin(victim->self, &held, &victim->error), 0);
            fail_at = host->fail_at = host->allocations + n;
            fake_run(victim, command.name, command.arguments);
            host->fail_at = 0;
            if (held)
                victim->operations->snapshot_end(victim->self, held);
            if (host->allocations < fail_at) { /* it needed fewer */
                assert_int_equal(victim->status, reference->status);
                fake_assert_same(victim, reference);
                fake_machine_free(victim);
                break;
            }
            failures++;
            assert_int_equal(victim->status, GAVEL_E_LOCAL);
            after = fake_snapshot_take(victim);
            assert_same_bytes(snapshot, after);
            fake_snapshot_free(after);
            victim->index = machine->index; /* the same entry again */
            victim->wall_ms = machine->wall_ms;
            assert_int_equal(fake_run(victim, command.name, command.arguments), reference->status);
            assert_string_equal(victim->result, reference->result);
            fake_assert_same(victim, reference);
            fake_machine_free(victim);
        }
        fake_snapshot_free(snapshot);
        fake_machine_free(reference);
        fake_run(machine, command.name, command.arguments);
    }
    assert_true(failures > 300);
    fake_machine_free(machine);
}

static void test_failed_allocations_of_snapshots(void **state)
{
    struct fake_machine *machine = machine_new(NULL);
    struct fake_machine *other = machine_new(NULL);
    struct fake_snapshot *snapshot;
    void *held;
    uint64_t n;
    int i;
    (void)state;
    for (i = 0; i < 300; i++)
        fake_runf(machine, "set", "{\"key\":\"k%d\",\"value\":\"%0100d\"}", i % 90, i);
    host->fail_at = host->allocations + 1;
    assert_int_equal(machine->operations->snapshot_begin(machine->self, &held, &machine->error), GAVEL_E_NO_MEMORY);
    assert_int_equal(machine->operations->snapshot_begin(machine->self, &held, &machine->error), 0);
    for (n = 1; n < 8; n++) { /* each growth of a chunk; a failed chunk is dropped with its snapshot */
        struct gavel_buffer chunk = { .heap = host->host.heap };
        host->fail_at = host->allocations + n;
        assert_int_equal(machine->operations->snapshot_next(machine->self, held, &chunk, &machine->error),
                         GAVEL_E_NO_MEMORY);
        host->fail_at = 0;
        machine->operations->snapshot_end(machine->self, held);
        gavel_buffer_free(&chunk);
        assert_int_equal(machine->operations->snapshot_begin(machine->self, &held, &machine->error), 0);
    }
    machine->operations->snapshot_end(machine->self, held);
    snapshot = fake_snapshot_take(machine);
    for (n = 1; ; n++) {
        int32_t status;
        uint64_t fail_at = host->fail_at = host->allocations + n;
        status = fake_restore(other, snapshot);
        host->fail_at = 0;
        if (host->allocations < fail_at) {
            assert_int_equal(status, 0);
            break;
        }
        assert_int_equal(status, GAVEL_E_NO_MEMORY);
        assert_true(other->error.text[0]);
        assert_int_equal(fake_state(other).entries, 0); /* nothing of it stays */
    }
    assert_true(n > 20);
    fake_assert_same(machine, other);
    fake_snapshot_free(snapshot);
    fake_machine_free(machine);
    fake_machine_free(other);
}

/* ---- damaged snapshots ------------------------------------------------------------------------------------------- */

/* It is refused, or it is taken and the machine works on: never a crash, which the sanitizers watch. */
static void feed(struct fake_machine *victim, const struct fake_snapshot *snapshot, struct fake_random *random)
{
    int32_t status = fake_restore(victim, snapshot);
    int i;
    assert_true(status == 0 || status == GAVEL_E_CORRUPT);
    if (status)
        assert_true(victim->error.text[0]);
    for (i = 0; i < 6; i++) {
        struct command command = random_command(random);
        victim->index += 1000;
        fake_run(victim, command.name, command.arguments);
        fake_runf(victim, "range", "{\"revision\":%llu}", (unsigned long long)victim->index - 1);
        fake_run(victim, "list_workflows", "{}");
    }
    fake_snapshot_free(fake_snapshot_take(victim));
}

static void test_damaged_snapshots(void **state)
{
    struct fake_random random = fake_random_seeded("damage");
    struct fake_machine *machine = machine_new(SMALL_HISTORY);
    struct fake_machine *victim = machine_new(SMALL_HISTORY);
    struct fake_snapshot *snapshot;
    struct gavel_buffer *chunk;
    uint64_t size;
    uint64_t i;
    (void)state;
    for (i = 0; i < 200; i++) {
        struct command command = random_command(&random);
        fake_run(machine, command.name, command.arguments);
    }
    snapshot = fake_snapshot_take(machine);
    assert_int_equal(snapshot->count, 1);
    chunk = &snapshot->chunks[0];
    size = chunk->size;
    for (i = 0; i < size; i += 1 + fake_random_below(&random, 8)) { /* cut short anywhere */
        chunk->size = i;
        assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    }
    chunk->size = size;
    for (i = 0; i < size; i += 1 + fake_random_below(&random, EFFORT(12, 50))) { /* single bytes */
        unsigned char was = chunk->data[i];
        chunk->data[i] = (unsigned char)fake_random_next(&random);
        feed(victim, snapshot, &random);
        chunk->data[i] = was;
    }
    for (i = 0; i < EFFORT(800, 200); i++) { /* several bytes: small numbers and the greatest ones, where they hurt */
        static const unsigned char nasty[] = { 0, 1, 2, 3, 4, 0x7f, 0x80, 0xff };
        unsigned char was[8];
        uint64_t at = fake_random_below(&random, size - 8);
        uint64_t count = 1 + fake_random_below(&random, 8);
        memcpy(was, chunk->data + at, sizeof was);
        memset(chunk->data + at, nasty[fake_random_below(&random, sizeof nasty)], count);
        feed(victim, snapshot, &random);
        memcpy(chunk->data + at, was, sizeof was);
    }
    assert_int_equal(fake_restore(victim, snapshot), 0);
    fake_assert_same(machine, victim);
    assert_int_equal(victim->operations->restore_begin(victim->self, 2, &victim->error), GAVEL_E_VERSION);
    fake_snapshot_free(snapshot);
    fake_machine_free(machine);
    fake_machine_free(victim);
}

/* A document, but not one of a workflow or a node: what a command made of it would be no document any more. */
static void test_records_without_data(void **state)
{
    static const char *const made[][2] = {
        { "start_workflow", "{\"workflow_id\":\"w\"}" },
        { "register_node", "{\"node_id\":\"n\"}" },
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fake_machine *machine = machine_new(NULL);
        struct fake_machine *victim = machine_new(NULL);
        struct fake_snapshot *snapshot;
        unsigned char *name;
        fake_run(machine, made[i][0], made[i][1]);
        snapshot = fake_snapshot_take(machine);
        assert_int_equal(fake_restore(victim, snapshot), 0);
        name = memmem(snapshot->chunks[0].data, snapshot->chunks[0].size, "\xa4" "data", 5);
        assert_non_null(name);
        name[4] = 'b'; /* "datb": still before all other names */
        assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
        fake_snapshot_free(snapshot);
        fake_machine_free(machine);
        fake_machine_free(victim);
    }
}

static void test_records_out_of_place(void **state)
{
    struct fake_machine *machine = machine_new("{\"history_revisions\":1}");
    struct fake_machine *victim = machine_new(NULL);
    struct fake_snapshot *snapshot;
    struct gavel_buffer *chunk;
    struct gavel_buffer *more;
    (void)state;
    fake_run(machine, "set", "{\"key\":\"a\",\"value\":1}");
    fake_run(machine, "set", "{\"key\":\"b\",\"value\":2}");
    snapshot = fake_snapshot_take(machine);
    chunk = &snapshot->chunks[0];
    /* head 17, kept 33 + 2, change 17 + 2, end 17 */
    assert_int_equal(chunk->size, 17 + 35 + 19 + 17);
    more = &snapshot->chunks[1];
    more->heap = host->host.heap;
    snapshot->count = 2;
    assert_int_equal(gavel_buffer_append(more, chunk->data + 71, 17), 0); /* a second end */
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    assert_non_null(strstr(victim->error.text, "out of place"));
    chunk->size = 71; /* chunks may be cut between any records */
    assert_int_equal(fake_restore(victim, snapshot), 0);
    fake_assert_same(machine, victim);
    more->size = 0;
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    assert_non_null(strstr(victim->error.text, "end is missing"));
    assert_int_equal(gavel_buffer_append(more, chunk->data + 17, 35), 0); /* a kept record behind a change */
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    chunk->size = 52;
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT); /* the same key twice */
    assert_non_null(strstr(victim->error.text, "twice"));
    more->size = 0;
    chunk->size = 88;
    chunk->data[17 + 24] = 0x01; /* a version that would soon wrap to 0, which is a tombstone */
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    chunk->data[17 + 24] = 0;
    memset(chunk->data + 52 + 13, 0xff, 4); /* the change becomes a deletion, of a key that does not exist */
    assert_int_equal(fake_restore(victim, snapshot), GAVEL_E_CORRUPT);
    assert_non_null(strstr(victim->error.text, "deletion"));
    fake_snapshot_free(snapshot);
    fake_machine_free(machine);
    fake_machine_free(victim);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_two_instances_agree),
        TEST(test_the_past_reads_as_it_was),
        TEST(test_pages_join),
        TEST(test_filters_are_bounded),
        TEST(test_history_is_bounded_in_bytes),
        TEST(test_no_history_at_all),
        TEST(test_lowered_limits_are_worked_off),
        TEST(test_snapshot_at_every_index),
        TEST(test_snapshot_below_commands),
        TEST(test_restore_below_a_held_snapshot),
        TEST(test_large_snapshots_have_many_chunks),
        TEST(test_failed_allocations_leave_no_trace),
        TEST(test_failed_allocations_of_snapshots),
        TEST(test_damaged_snapshots),
        TEST(test_records_out_of_place),
        TEST(test_records_without_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
