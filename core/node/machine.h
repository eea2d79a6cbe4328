/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the one place through which a state machine's functions are called.
 *
 * Each call is said to be at hand (core/os/call.h), and is looked at when it has returned. What a machine was given to
 * write into lies between guard words: one that wrote past it has destroyed memory that nobody knows, so the process
 * ends at once, with the machine's name. A status that no header knows, or a result that is no value, comes out the
 * same on every node, so it is replicated as GAVEL_E_INTERNAL; that it happened is told in the log, ever more seldom.
 */
#ifndef CORE_NODE_MACHINE_H
#define CORE_NODE_MACHINE_H

#include "core/node/node.h"

/* A buffer that a machine fills, on a heap of its own that puts a guard word behind it. Lies still while in use. */
struct machine_buffer {
    struct gavel_buffer buffer;
    struct gavel_heap heap;
    const unsigned char *data; /* what the heap gave last ... */
    uint64_t capacity;         /* ... and how much of it */
};

/* Where the log goes, and how often something was told; all zero tells nobody. */
struct machine_log {
    const struct gavel_host *host;
    uint64_t strange;
};

void machine_buffer_init(struct machine_buffer *buffer);
void machine_buffer_free(struct machine_buffer *buffer);

/*
 * [apply] `reply` is filled but for its error. On a negative status *error has its sentence. GAVEL_E_INTERNAL when the
 * machine returned what is no status.
 */
int32_t machine_run(const struct node_machine *machine, const struct gavel_command *command,
                    const struct gavel_call *call, const void *arguments, const struct gavel_reply *reply,
                    struct gavel_error *error, struct machine_log *log);

/* [apply] What came of a result that is not one whole value: GAVEL_E_INTERNAL with a sentence, and in the log. */
int32_t machine_result_bad(const struct node_machine *machine, const struct gavel_command *command,
                           struct gavel_error *error, struct machine_log *log);

/* [apply] The others, as gavel/statemachine.h has them; machine_snapshot_next on [worker] when it is CONCURRENT. */
void machine_state(const struct node_machine *machine, struct gavel_machine_state *state);
int32_t machine_snapshot_begin(const struct node_machine *machine, void **snapshot, struct gavel_error *error);
int32_t machine_snapshot_next(const struct node_machine *machine, void *snapshot, struct machine_buffer *chunk,
                              struct gavel_error *error);
void machine_snapshot_end(const struct node_machine *machine, void *snapshot);
int32_t machine_restore_begin(const struct node_machine *machine, uint64_t state_version, struct gavel_error *error);
int32_t machine_restore_chunk(const struct node_machine *machine, struct gavel_slice chunk, struct gavel_error *error);
int32_t machine_restore_end(const struct node_machine *machine, struct gavel_error *error);

/* [loop] Since which state version it has a command (field 0), or a field of it; 0: always. */
uint64_t machine_since(const struct node_machine *machine, uint64_t command, uint64_t field);

/* [apply] Only when the plugin has them. */
int32_t machine_act_as(const struct node_machine *machine, uint64_t state_version, struct gavel_error *error);
int32_t machine_configure(const struct node_machine *machine, const void *options, struct gavel_error *error);

/* [apply] 0: nothing. A command of the machine's own is still to be checked by the caller. */
uint64_t machine_maintain(const struct node_machine *machine, uint64_t tick_ms, struct machine_buffer *arguments);

/* [apply] maintain asked for what this machine cannot be asked. */
void machine_maintain_bad(const struct node_machine *machine, uint64_t command, const char *why,
                          struct machine_log *log);

#endif
