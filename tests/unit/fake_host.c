/* SPDX-License-Identifier: Apache-2.0 */
/* fake_host.c - see fake_host.h: the heap, chance, and driving a machine. Documents are in fake_document.c. */
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_document.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define TEXT_MAX (1u << 20)

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static void *heap_resize(void *context, void *old, uint64_t wanted)
{
    struct fake_host *host = context;
    void *memory;
    if (wanted == 0) {
        host->live -= old != NULL;
        free(old);
        return NULL;
    }
    if (++host->allocations == host->fail_at)
        return NULL;
    memory = realloc(old, wanted);
    assert(memory);
    host->live += old == NULL;
    return memory;
}

struct fake_host *fake_host_new(void)
{
    struct fake_host *host = calloc(1, sizeof *host);
    assert(host);
    host->heap.size = GAVEL_END(struct gavel_heap, resize);
    host->heap.self = host;
    host->heap.resize = heap_resize;
    host->host.size = GAVEL_END(struct gavel_host, submit);
    host->host.self = host;
    host->host.abi_major = GAVEL_ABI_MAJOR;
    host->host.abi_minor = GAVEL_ABI_MINOR;
    host->host.node = "";
    host->host.instance = "test";
    host->host.heap = &host->heap;
    return host;
}

void fake_host_free(struct fake_host *host)
{
    assert(host->live == 0);
    free(host);
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct fake_random fake_random_seeded(const char *what)
{
    const char *given = getenv("GAVEL_TEST_SEED");
    struct fake_random random;
    random.state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("%s: GAVEL_TEST_SEED=%" PRIu64 "\n", what, random.state);
    return random;
}

uint64_t fake_random_next(struct fake_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fake_random_below(struct fake_random *random, uint64_t bound)
{
    return fake_random_next(random) % bound;
}

/* ---- a machine --------------------------------------------------------------------------------------------------- */

struct fake_machine *fake_machine_new(struct fake_host *host, const struct gavel_plugin *plugin, const char *options)
{
    struct fake_machine *machine = calloc(1, sizeof *machine);
    int32_t status;
    assert(machine);
    assert(plugin->abi_major == GAVEL_ABI_MAJOR);
    assert(plugin->kind == GAVEL_KIND_STATEMACHINE);
    machine->host = host;
    machine->plugin = plugin;
    machine->operations = plugin->operations;
    machine->wall_ms = 1000;
    if (plugin->options) {
        machine->options = calloc(1, plugin->options->struct_size);
        status = fake_fill(plugin->options, options ? options : "{}", machine->options, &machine->memory,
                           &machine->error);
        assert(status == GAVEL_OK);
        machine->memory = NULL; /* options hold no slices here */
    }
    status = plugin->create(&host->host, machine->options, &machine->self, &machine->error);
    assert(status == GAVEL_OK);
    return machine;
}

void fake_machine_free(struct fake_machine *machine)
{
    machine->plugin->destroy(machine->self);
    fake_memory_free(machine->memory);
    free(machine->options);
    free(machine->result);
    free(machine->events);
    free(machine);
}

static const struct gavel_command *command_named(const struct fake_machine *machine, const char *name)
{
    uint64_t i;
    for (i = 0; i < machine->operations->command_count; i++) {
        const struct gavel_command *command = &machine->operations->commands[i];
        if (!strcmp(command->name, name))
            return command;
    }
    fprintf(stderr, "no command '%s'\n", name);
    abort();
}

static char *text_or_dash(struct gavel_slice value)
{
    return value.data ? fake_text(value) : strdup("-");
}

static void take_event(void *context, const struct gavel_event *event)
{
    struct fake_machine *machine = context;
    char *value = text_or_dash(event->value);
    char *previous = text_or_dash(event->previous);
    char *line = NULL;
    assert(event->size == GAVEL_END(struct gavel_event, previous));
    if (asprintf(&line, "%s%s %.*s %s %s\n", machine->events, event->type, (int)event->key.size,
                 (const char *)event->key.data, value, previous) < 0)
        abort();
    free(machine->events);
    machine->events = line;
    machine->event_count++;
    free(value);
    free(previous);
}

static int32_t run_filled(struct fake_machine *machine, const struct gavel_command *command, const void *arguments)
{
    int read_only = (command->flags & GAVEL_READ) != 0;
    struct gavel_call call = { .size = GAVEL_END(struct gavel_call, machine), .term = 1 };
    struct fake_writer writer;
    struct gavel_reply reply = { .size = GAVEL_END(struct gavel_reply, emit), .context = machine };

    if (!read_only)
        machine->index++;
    machine->wall_ms += !read_only;
    call.index = machine->index;
    call.wall_ms = call.tick_ms = machine->wall_ms;
    call.seed = machine->index * 77;
    call.principal = gavel_text("");
    call.read_only = (uint64_t)read_only;
    reply.out = fake_writer_begin(&writer);
    reply.error = &machine->error;
    reply.emit = read_only ? NULL : take_event;
    memset(&machine->error, 0, sizeof machine->error);
    machine->status = command->run(machine->self, &call, arguments, &reply);
    machine->result = fake_writer_end(&writer, machine->status == GAVEL_OK);
    if (machine->status != GAVEL_OK) {
        assert(machine->error.code == machine->status); /* every refusal has its sentence */
        assert(machine->error.text[0]);
        assert(machine->events[0] == 0); /* and changes nothing */
    }
    return machine->status;
}

static void forget_last_run(struct fake_machine *machine)
{
    free(machine->result);
    free(machine->events);
    machine->result = NULL;
    machine->events = strdup("");
    machine->event_count = 0;
}

int32_t fake_run(struct fake_machine *machine, const char *name, const char *arguments)
{
    const struct gavel_command *command = command_named(machine, name);
    struct fake_memory *memory = NULL;
    void *object = NULL;

    forget_last_run(machine);
    if (command->arguments) {
        object = calloc(1, command->arguments->struct_size);
        machine->status = fake_fill(command->arguments, arguments ? arguments : "{}", object, &memory, &machine->error);
        if (machine->status != GAVEL_OK) {
            machine->result = strdup("null");
            goto free_object;
        }
    }
    run_filled(machine, command, object);
free_object:
    free(object);
    fake_memory_free(memory);
    return machine->status;
}

int32_t fake_runf(struct fake_machine *machine, const char *command, const char *format, ...)
{
    char *text = malloc(TEXT_MAX);
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(text, TEXT_MAX, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    assert((unsigned)length < TEXT_MAX);
    (void)fake_run(machine, command, text);
    free(text);
    return machine->status;
}

struct gavel_machine_state fake_state(struct fake_machine *machine)
{
    struct gavel_machine_state state = { .size = GAVEL_END(struct gavel_machine_state, changelog) };
    machine->operations->state(machine->self, &state);
    return state;
}

int fake_maintain(struct fake_machine *machine)
{
    struct gavel_buffer arguments = { .heap = &machine->host->heap };
    uint64_t id = machine->operations->maintain(machine->self, machine->wall_ms, &arguments);
    uint64_t i;
    forget_last_run(machine);
    machine->result = strdup("null");
    for (i = 0; id && i < machine->operations->command_count; i++) {
        const struct gavel_command *command = &machine->operations->commands[i];
        if (command->id == id) {
            struct fake_memory *memory = NULL;
            void *object = command->arguments ? calloc(1, command->arguments->struct_size) : NULL;
            assert(command->flags & GAVEL_INTERNAL);
            if (object)
                assert(fake_fill_numbered(command->arguments, gavel_buffer_slice(&arguments), object, &memory) == 0);
            free(machine->result);
            run_filled(machine, command, object);
            assert(machine->status == GAVEL_OK);
            fake_memory_free(memory);
            free(object);
        }
    }
    gavel_buffer_free(&arguments);
    return id != 0;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct fake_snapshot *fake_snapshot_take(struct fake_machine *machine)
{
    struct fake_snapshot *snapshot = calloc(1, sizeof *snapshot);
    void *held = NULL;
    int32_t status = machine->operations->snapshot_begin(machine->self, &held, &machine->error);
    assert(status == GAVEL_OK);
    for (;;) {
        struct gavel_buffer *chunk = &snapshot->chunks[snapshot->count++];
        assert(snapshot->count < 4096);
        chunk->heap = &machine->host->heap;
        status = machine->operations->snapshot_next(machine->self, held, chunk, &machine->error);
        assert(status >= 0);
        assert(chunk->size < (1u << 20) + (64u << 10));
        if (status == 0)
            break;
    }
    machine->operations->snapshot_end(machine->self, held);
    return snapshot;
}

void fake_snapshot_free(struct fake_snapshot *snapshot)
{
    uint64_t i;
    for (i = 0; i < snapshot->count; i++)
        gavel_buffer_free(&snapshot->chunks[i]);
    free(snapshot);
}

int32_t fake_restore(struct fake_machine *machine, const struct fake_snapshot *snapshot)
{
    uint64_t i;
    int32_t status = machine->operations->restore_begin(machine->self, machine->operations->state_version,
                                                        &machine->error);
    for (i = 0; status == GAVEL_OK && i < snapshot->count; i++) {
        /* An exact copy, so that a sanitizer sees a read behind the end; never aligned by chance. */
        unsigned char *copy = malloc(snapshot->chunks[i].size + 1);
        if (snapshot->chunks[i].size)
            memcpy(copy + 1, snapshot->chunks[i].data, snapshot->chunks[i].size);
        status = machine->operations->restore_chunk(machine->self, gavel_bytes(copy + 1, snapshot->chunks[i].size),
                                                    &machine->error);
        free(copy);
    }
    return status == GAVEL_OK ? machine->operations->restore_end(machine->self, &machine->error) : status;
}

void fake_assert_same(struct fake_machine *a, struct fake_machine *b)
{
    struct gavel_machine_state one = fake_state(a);
    struct gavel_machine_state other = fake_state(b);
    assert(one.digest[0] == other.digest[0]);
    assert(one.digest[1] == other.digest[1]);
    assert(one.entries == other.entries);
    assert(one.changelog == other.changelog);
}
