/* SPDX-License-Identifier: Apache-2.0 */
/* apply_internal.h - the inside of struct apply, for apply.c and apply_snapshot.c alone. */
#ifndef CORE_NODE_APPLY_INTERNAL_H
#define CORE_NODE_APPLY_INTERNAL_H

#include "core/node/apply.h"
#include "core/node/bytes.h"
#include "core/node/machine.h"

#define APPLY_MAGIC 0x4150504cu

/* What to do about an entry that only another plugin understands. */
#define APPLY_RECIPE "install the plugin version that the other members run, then start again"

/* The largest record of a snapshot that is believed: a machine's chunk is some 64 KiB, but may hold one large
 * value. */
#define APPLY_RECORD_MAX (16u << 20)

/* The span of the command at hand. */
struct apply_tracing {
    uint64_t span; /* 0: none */
    struct gavel_trace context;
    const struct gavel_trace *outside; /* of this thread, before */
    bool arguments;
    struct trace_attributes attributes;
};

struct apply {
    uint32_t magic;
    uint32_t machine_count;
    const struct node_machine *machines;
    const char *node;
    struct machine_log log;
    uint64_t session_ttl_ms;
    struct settings *founding; /* as the cluster was founded */
    struct settings *settings; /* in force */
    struct {
        bool unfit;                    /* its plugin cannot act as the version in force */
        uint64_t hash;                 /* of the values that it was created or configured with */
        struct setting_options kept;   /* what it was configured with last */
    } parts[NODE_MACHINES_MAX];
    struct sessions *sessions;
    struct roster *roster;
    uint64_t index; /* of the last applied entry */
    uint64_t tick;
    struct gavel_buffer result; /* of the command at hand */
    struct apply_tracing tracing; /* the same */
    uint8_t *arena;
    bool held; /* a snapshot is being walked */
    bool restoring;
    /* Restoring: bytes of an unfinished record, and the part that the stream is in. */
    struct gavel_buffer pending;
    struct gavel_buffer host_in;          /* part 0, until it is complete */
    uint32_t part;
    bool part_open;
    bool ended;
};

/* ---- apply.c ------------------------------------------------------------------------------------------- */

/* Add a record of type EVENT; without memory for it the run fails. */
void apply_put_event(struct apply_run *run, struct apply_record *record);

/* ---- apply_roster.c: who there is, and what they can do; [apply] ---------------------------------------- */

/* A configuration is committed: whoever left takes its set along, a new member's name is nobody else's. */
void apply_config_entry(struct apply *apply, struct apply_run *run, const struct log_entry *entry, uint64_t term);

/* The entries APPLY_DECLARE, _NODE_REGISTER, and the three others of nodes, behind their kind. */
void apply_declare_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                         struct apply_record *record, struct gavel_error *error);
void apply_register_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                          struct apply_record *record, struct gavel_error *error);
void apply_node_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                      struct apply_record *record, struct gavel_error *error);

/* ---- apply_trace.c: [apply] ---------------------------------------------------------------------------- */

/* The entry at apply->index is about to run: if the run says so its span begins. */
void apply_trace_begin(struct apply *apply, const struct apply_run *run, uint64_t term,
                       const struct gavel_command *command);
/* Its arguments that are keys; while a span is under way that wants them. */
void apply_trace_arguments(struct apply *apply, const struct gavel_command *command, const void *arguments);
void apply_trace_end(struct apply *apply, int32_t status);

/* ---- apply_settings.c: entries that change what is in force; [apply] ----------------------------------- */

/* Let the table in force take effect: limits of sessions, options of machines, which of them are fit. */
int32_t apply_settings_take(struct apply *apply, struct gavel_error *error);

/* An entry APPLY_SETTINGS or APPLY_UPGRADE, behind its kind. Fills *record; what stops the node is in run->error. */
void apply_settings_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                          struct apply_record *record, struct gavel_error *error);
void apply_upgrade_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                         struct apply_record *record, struct gavel_error *error);

void apply_settings_free(struct apply *apply);

#endif
