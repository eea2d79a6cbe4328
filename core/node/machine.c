/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - enter, call, look, leave; see machine.h. */
#include "core/node/machine.h"

#include <stdlib.h>
#include <string.h>

#include "core/os/call.h"

static const char *who(const struct node_machine *machine)
{
    return machine->who ? machine->who : machine->name;
}

static bool seldom(struct machine_log *log)
{
    return log->host && __builtin_popcountll(++log->strange) == 1;
}

static bool status_known(int32_t status)
{
    return status <= GAVEL_OK && status >= GAVEL_E_NOT_LEADER;
}

/* Of a function other than run: what is no status is a failure all the same. */
static int32_t checked(const struct node_machine *machine, const char *function, int32_t status,
                       struct gavel_error *error)
{
    if (!status_known(status))
        return gavel_fail(error, GAVEL_E_INTERNAL, "%s of %s returned %d, which is no status of gavel/abi.h", function,
                          who(machine), status);
    if (status != GAVEL_OK && error && !error->text[0])
        return gavel_fail(error, status, "%s of %s failed with status %d and gave no reason", function, who(machine),
                          status);
    return status;
}

static void check_word(const struct node_machine *machine, const char *function, uint64_t word, const char *what)
{
    if (word != OS_GUARD_WORD)
        os_call_blame(who(machine), function, "wrote past %s; memory is destroyed, the node stops here", what);
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

static void *resize(void *self, void *old, uint64_t wanted)
{
    struct machine_buffer *buffer = self;
    uint64_t word = OS_GUARD_WORD;
    unsigned char *data;

    if (wanted == 0) {
        free(old);
        buffer->data = NULL;
        buffer->capacity = 0;
        return NULL;
    }
    data = wanted <= UINT64_MAX - sizeof word ? realloc(old, wanted + sizeof word) : NULL;
    if (!data)
        return NULL;
    memcpy(data + wanted, &word, sizeof word);
    buffer->data = data;
    buffer->capacity = wanted;
    return data;
}

void machine_buffer_init(struct machine_buffer *buffer)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->heap = (struct gavel_heap){.size = GAVEL_END(struct gavel_heap, resize), .self = buffer, .resize = resize};
    buffer->buffer.heap = &buffer->heap;
}

void machine_buffer_free(struct machine_buffer *buffer)
{
    gavel_buffer_free(&buffer->buffer);
}

static void check_buffer(const struct node_machine *machine, const char *function, const struct machine_buffer *buffer)
{
    const struct gavel_buffer *now = &buffer->buffer;
    uint64_t word = OS_GUARD_WORD;

    if (now->heap != &buffer->heap || now->data != buffer->data || now->capacity != buffer->capacity)
        os_call_blame(who(machine), function,
                      "put memory of another heap into the buffer it was given; use gavel_buffer_append");
    if (now->size > now->capacity)
        os_call_blame(who(machine), function, "says that its buffer holds %llu bytes, of %llu that it has",
                      (unsigned long long)now->size, (unsigned long long)now->capacity);
    if (buffer->data)
        memcpy(&word, buffer->data + buffer->capacity, sizeof word);
    check_word(machine, function, word, "the buffer it was given");
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* All that a run may write to, between guard words. */
struct desk {
    uint64_t first;
    struct gavel_reply reply;
    uint64_t second;
    struct gavel_error error;
    uint64_t third;
    struct gavel_call call;
    uint64_t fourth;
};

int32_t machine_run(const struct node_machine *machine, const struct gavel_command *command,
                    const struct gavel_call *call, const void *arguments, const struct gavel_reply *reply,
                    struct gavel_error *error, struct machine_log *log)
{
    struct desk desk;
    struct os_call before;
    int32_t status;

    desk.first = desk.second = desk.third = desk.fourth = OS_GUARD_WORD;
    desk.reply = *reply;
    desk.reply.error = &desk.error;
    desk.error.code = 0;
    desk.error.text[0] = 0;
    desk.call = *call;
    before = os_call_enter(who(machine), command->name, OS_LANE_APPLY);
    status = command->run(machine->self, &desk.call, arguments, &desk.reply);
    check_word(machine, command->name, desk.first, "the front of its reply");
    check_word(machine, command->name, desk.second, "its reply");
    check_word(machine, command->name, desk.third, "the sentence of its error");
    check_word(machine, command->name, desk.fourth, "what it was told of its call");
    os_call_set(before);
    if (status == GAVEL_OK)
        return status;
    desk.error.text[sizeof desk.error.text - 1] = 0;
    if (status_known(status)) {
        *error = desk.error;
        return status;
    }
    if (seldom(log))
        gavel_log(log->host, GAVEL_LOG_ERROR, "apply", "%s, in %s: returned %d, which is no status of gavel/abi.h; it "
                  "is answered as an internal error (%llu times by now)", who(machine), command->name, status,
                  (unsigned long long)log->strange);
    return gavel_fail(error, GAVEL_E_INTERNAL, "command '%s' of machine '%s' returned %d, which is no status",
                      command->name, machine->name, status);
}

int32_t machine_result_bad(const struct node_machine *machine, const struct gavel_command *command,
                           struct gavel_error *error, struct machine_log *log)
{
    struct gavel_error why = *error;

    if (seldom(log))
        gavel_log(log->host, GAVEL_LOG_ERROR, "apply", "%s, in %s: wrote a result that is not one whole value: %s; it "
                  "is answered as an internal error (%llu times by now)", who(machine), command->name, why.text,
                  (unsigned long long)log->strange);
    return gavel_fail(error, GAVEL_E_INTERNAL,
                      "command '%s' of machine '%s' wrote a result that is not one whole value: %.200s", command->name,
                      machine->name, why.text);
}

/* ---- state, snapshot, restore ------------------------------------------------------------------------------------ */

void machine_state(const struct node_machine *machine, struct gavel_machine_state *state)
{
    struct {
        uint64_t first;
        struct gavel_machine_state state;
        uint64_t second;
    } desk = {.first = OS_GUARD_WORD, .second = OS_GUARD_WORD};
    struct os_call before = os_call_enter(who(machine), "state", OS_LANE_APPLY);

    desk.state.size = GAVEL_END(struct gavel_machine_state, changelog);
    machine->operations->state(machine->self, &desk.state);
    check_word(machine, "state", desk.first, "the front of the state it was given");
    check_word(machine, "state", desk.second, "the state it was given");
    os_call_set(before);
    *state = desk.state;
}

int32_t machine_snapshot_begin(const struct node_machine *machine, void **snapshot, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "snapshot_begin", OS_LANE_APPLY);
    int32_t status = machine->operations->snapshot_begin(machine->self, snapshot, error);

    os_call_set(before);
    return checked(machine, "snapshot_begin", status, error);
}

int32_t machine_snapshot_next(const struct node_machine *machine, void *snapshot, struct machine_buffer *chunk,
                              struct gavel_error *error)
{
    uint32_t lane = machine->operations->flags & GAVEL_CONCURRENT ? OS_LANE_WORKER : OS_LANE_APPLY;
    struct os_call before = os_call_enter(who(machine), "snapshot_next", lane);
    int32_t status = machine->operations->snapshot_next(machine->self, snapshot, &chunk->buffer, error);

    check_buffer(machine, "snapshot_next", chunk);
    os_call_set(before);
    return status == 1 ? 1 : checked(machine, "snapshot_next", status, error);
}

void machine_snapshot_end(const struct node_machine *machine, void *snapshot)
{
    struct os_call before = os_call_enter(who(machine), "snapshot_end", OS_LANE_APPLY);

    machine->operations->snapshot_end(machine->self, snapshot);
    os_call_set(before);
}

int32_t machine_restore_begin(const struct node_machine *machine, uint64_t state_version, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "restore_begin", OS_LANE_APPLY);
    int32_t status = machine->operations->restore_begin(machine->self, state_version, error);

    os_call_set(before);
    return checked(machine, "restore_begin", status, error);
}

int32_t machine_restore_chunk(const struct node_machine *machine, struct gavel_slice chunk, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "restore_chunk", OS_LANE_APPLY);
    int32_t status = machine->operations->restore_chunk(machine->self, chunk, error);

    os_call_set(before);
    return checked(machine, "restore_chunk", status, error);
}

int32_t machine_restore_end(const struct node_machine *machine, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "restore_end", OS_LANE_APPLY);
    int32_t status = machine->operations->restore_end(machine->self, error);

    os_call_set(before);
    return checked(machine, "restore_end", status, error);
}

uint64_t machine_since(const struct node_machine *machine, uint64_t command, uint64_t field)
{
    struct os_call before;
    uint64_t version;

    if (!machine->operations->since)
        return 0;
    before = os_call_enter(who(machine), "since", OS_CALL_LOOP);
    version = machine->operations->since(command, field);
    os_call_set(before);
    return version;
}

int32_t machine_act_as(const struct node_machine *machine, uint64_t state_version, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "act_as", OS_LANE_APPLY);
    int32_t status = machine->operations->act_as(machine->self, state_version, error);

    os_call_set(before);
    return checked(machine, "act_as", status, error);
}

int32_t machine_configure(const struct node_machine *machine, const void *options, struct gavel_error *error)
{
    struct os_call before = os_call_enter(who(machine), "configure", OS_LANE_APPLY);
    int32_t status = machine->operations->configure(machine->self, options, error);

    os_call_set(before);
    return checked(machine, "configure", status, error);
}

/* ---- maintenance ------------------------------------------------------------------------------------------------- */

uint64_t machine_maintain(const struct node_machine *machine, uint64_t tick_ms, struct machine_buffer *arguments)
{
    struct os_call before;
    uint64_t command;

    if (!machine->operations->maintain)
        return 0;
    before = os_call_enter(who(machine), "maintain", OS_LANE_APPLY);
    command = machine->operations->maintain(machine->self, tick_ms, &arguments->buffer);
    check_buffer(machine, "maintain", arguments);
    os_call_set(before);
    return command;
}

void machine_maintain_bad(const struct node_machine *machine, uint64_t command, const char *why,
                          struct machine_log *log)
{
    if (seldom(log))
        gavel_log(log->host, GAVEL_LOG_ERROR, "apply", "%s, in maintain: asked for command %llu, which is left out: %s "
                  "(%llu times by now)", who(machine), (unsigned long long)command, why,
                  (unsigned long long)log->strange);
}
