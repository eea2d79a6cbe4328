/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow.h - what the files of the plugin share: the instance, and the steps of which commands are made.
 *
 * keys.c has the commands on keys, flows.c those on workflows and nodes, workflow.c the table of all and the plugin.
 * Workflows and nodes are keys too, behind the byte ff, which no valid UTF-8 begins with and which user keys must not
 * begin with: so one tree, one history, one digest and one snapshot serve all of it.
 */
#ifndef WORKFLOW_WORKFLOW_H
#define WORKFLOW_WORKFLOW_H

#include <gavel/statemachine.h>

#include "document.h"
#include "store.h"

#define RESERVED_BYTE 0xff
#define PREFIX_BYTES 2 /* ff and one letter */
#define PREFIX_WORKFLOW "\xffw"
#define PREFIX_NODE "\xffn"

#define ID_BYTES_MAX 255
#define PAGE_ITEMS_MAX 1000       /* of one answer */
#define PAGE_ITEMS_DEFAULT "100"  /* for field tables */
#define PAGE_BYTES_MAX (256u << 10) /* of one answer, but for its first item */
#define PAGE_LOOKED_AT_MAX 1000   /* keys looked at for one answer: what a filter or a past revision passes over */
#define ENTRY_BYTES_MAX (1u << 20) /* values made by one entry: updates of large values could copy 128 of them */

struct workflow_options {
    uint64_t present;
    uint64_t key_bytes_max;
    uint64_t value_bytes_max;
    uint64_t history_revisions;
    uint64_t history_bytes;
};

struct workflow {
    uint32_t magic;
    const struct gavel_host *host;
    struct workflow_options options;
    struct store store;
    struct store_restore restore;
    struct gavel_buffer scratch; /* a value that is being made; never over value_bytes_max */
    const char *events[STORE_CHANGES_MAX]; /* type of each staged change's event */
    uint64_t staged_bytes;                 /* of the values that are staged */
};

/* What a page answers, found in one walk. */
struct workflow_page {
    uint64_t count;
    const struct item *items[PAGE_ITEMS_MAX];
    struct gavel_slice last; /* the key to go on behind; data NULL: that was all */
};

/* The type of every command's run. */
typedef int32_t workflow_run(void *self, const struct gavel_call *call, const void *arguments,
                             struct gavel_reply *reply);

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* The instance behind `self`, checked. */
struct workflow *workflow_of(void *self);

/* Begin a write. GAVEL_E_LOCAL with a sentence when the log goes back. */
int32_t workflow_begin(struct workflow *self, const struct gavel_call *call, struct gavel_error *error);

/*
 * Stage one change with the type of its event; value data NULL: a deletion. GAVEL_E_LOCAL, GAVEL_E_TOO_LARGE with a
 * sentence. The caller ends with workflow_commit or workflow_abort.
 */
int32_t workflow_stage(struct workflow *self, struct gavel_slice key, struct gavel_slice value, const char *event,
                       struct gavel_error *error);

/* Have memory for what is staged and tell watchers: afterwards only workflow_apply. GAVEL_E_LOCAL: all is forgotten. */
int32_t workflow_commit(struct workflow *self, struct gavel_reply *reply);

/* Apply it. Versions that were read before may be gone. */
void workflow_apply(struct workflow *self);

/* Forget what is staged and answer `status`. */
int32_t workflow_abort(struct workflow *self, int32_t status);

/* The status of a buffer or document that failed, with a sentence: memory is GAVEL_E_LOCAL. */
int32_t workflow_explain(struct workflow *self, int32_t status, struct gavel_error *error);

/*
 * An argument that this one cannot do without. Of what the tables call required the host has seen to that when the
 * command was taken; what is in the log it asks no more, and an entry may be of a leader that lies.
 */
int32_t workflow_missing(const char *name, struct gavel_error *error);

/* The scratch buffer, emptied. */
struct gavel_buffer *workflow_scratch(struct workflow *self);

/*
 * The bound for store_find_at from a `revision` argument (0: now, and *bound is UINT64_MAX). GAVEL_E_INVALID: not yet;
 * GAVEL_E_COMPACTED: too long ago.
 */
int32_t workflow_bound(const struct workflow *self, const struct gavel_call *call, uint64_t revision, uint64_t *bound,
                       struct gavel_error *error);

/* Write a key: a string when it is valid UTF-8, else bytes. */
void workflow_put_key(struct gavel_writer *out, struct gavel_slice key);

/* Write {key, value, create_revision, mod_revision, version}. */
void workflow_put_item(struct gavel_writer *out, const struct item *item);

/* Write a stored document. */
void workflow_put_document(struct gavel_writer *out, struct gavel_slice document);

/* Write "name": number. */
void workflow_put_number(struct gavel_writer *out, const char *name, uint64_t number);

/* ---- commands and their arguments -------------------------------------------------------------------------------- */

extern const struct gavel_fields get_fields, set_fields, delete_fields, update_fields, incr_fields, cas_fields,
    batch_fields, range_fields, prefix_fields, keys_fields, count_fields;
workflow_run run_get, run_set, run_delete, run_update, run_incr, run_cas, run_batch, run_range, run_prefix, run_keys,
    run_count;

extern const struct gavel_fields start_workflow_fields, workflow_fields, update_state_fields, list_workflows_fields,
    register_node_fields, node_fields, list_nodes_fields;
workflow_run run_start_workflow, run_stop_workflow, run_update_state, run_get_workflow, run_list_workflows,
    run_register_node, run_deregister_node, run_list_nodes;

#endif
