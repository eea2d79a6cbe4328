/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_look.c - a world that stands still: nobody is left to answer a read, but what the machines hold is there. Each
 * key at each node that runs is one more stale read in the history, at the index that the node has applied. So an
 * acknowledged write that such a state has passed over, or a value that nobody wrote, is found there too.
 */
#include <assert.h>
#include <string.h>

#include "core/node/apply_internal.h"
#include "core/node/internal.h"
#include "load_internal.h"

#define FORM_BYTES (4 + 2 + 2 + LOAD_NAME_BYTES) /* the command's number, and its arguments {1: key} */

/* Whether the node would serve a stale read at this moment. */
static bool can_be_read(const struct sim_node *sim_node)
{
    const struct node *node = sim_node->node;

    return sim_is_up(sim_node) && node && node->raft && node->phase == NODE_RUNNING && !node->fenced &&
           !node->applying && !node->reading && !node->apply_hold && !node->apply->restoring && node->applied &&
           apply_index(node->apply) == node->applied;
}

/* The read as it comes to the machine: a key of the store is bytes, a workflow's name is text. Returns its size. */
static size_t encode_form(const struct node *node, const struct load_key *key, unsigned char *form)
{
    const struct gavel_statemachine *machine = node->setup.machines[0].operations;
    const char *wanted = key->class == LOAD_FLOW ? "get_workflow" : "get";
    const char *row = (const char *)machine->commands;
    size_t size = strlen(key->name);
    uint32_t id = 0;

    for (uint64_t i = 0; i < machine->command_count; i++, row += machine->command_stride) {
        const struct gavel_command *command = (const struct gavel_command *)(const void *)row;

        if (strcmp(command->name, wanted) == 0)
            id = (uint32_t)command->id;
    }
    assert(id);
    assert(size < LOAD_NAME_BYTES);
    memcpy(form, &id, sizeof id);
    form[4] = 0x81;
    form[5] = 1;
    if (key->class == LOAD_FLOW) {
        form[6] = (unsigned char)(0xa0 | size);
        memcpy(form + 7, key->name, size);
        return 7 + size;
    }
    form[6] = 0xc4;
    form[7] = (unsigned char)size;
    memcpy(form + 8, key->name, size);
    return 8 + size;
}

static void look_at(struct sim_load *load, const struct sim_node *sim_node, struct load_key *key)
{
    struct node *node = sim_node->node;
    struct gavel_buffer result = codec_buffer(0);
    struct gavel_error error = {.code = 0};
    unsigned char form[FORM_BYTES];
    size_t size = encode_form(node, key, form);
    int32_t status = apply_read(node->apply, 1, 0, gavel_bytes(form, size), &result, &error);
    struct history_op *op = history_add(&load->history);
    struct load_said said;

    op->client = LOAD_CLIENTS_MAX + 1 + sim_node->number; /* nobody else's */
    op->key = key->number;
    op->kind = HISTORY_PEEK;
    op->invoked = ++load->clock;
    op->returned = ++load->clock;
    op->index = node->applied;
    op->outcome = HISTORY_ABSENT;
    if (status == GAVEL_OK) {
        op->outcome = HISTORY_OK;
        load_listen(gavel_buffer_slice(&result), &said);
        load_note_read(load, key, op, &said);
    } else if (status != GAVEL_E_NOT_FOUND) {
        sim_fail(load->sim, "answer", "%s cannot read key %s: %s", sim_node->name, key->name, error.text);
    }
    gavel_buffer_free(&result);
}

void sim_load_look(struct sim_load *load)
{
    for (uint32_t i = 0; i < load->sim->node_count; i++) {
        if (!can_be_read(&load->sim->nodes[i]))
            continue;
        sim_trace(load->sim, &load->sim->nodes[i], "its state is looked at, at %llu",
                  (unsigned long long)load->sim->nodes[i].node->applied);
        for (uint32_t k = 0; k < load->key_count; k++)
            if (load->keys[k].used)
                look_at(load, &load->sim->nodes[i], &load->keys[k]);
    }
}
