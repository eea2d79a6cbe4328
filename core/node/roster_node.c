/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster_node.c - what this node can do, brought into the log: its host says it once and may say another thing after a
 * reload; where the replicated set differs, the node asks the leader for an entry. What counts is the set that comes
 * back through the log, so an answer that is lost costs nothing but another attempt, seconds later.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/cover.h"

#define DECLARE_WAIT_NS UINT64_C(2000000000)  /* for the leader's answer */
#define DECLARE_AGAIN_NS UINT64_C(5000000000) /* between two attempts: the leader is one for all */
#define DECLARE_SOON_NS UINT64_C(500000000)   /* no leader could be asked: nothing was sent */

static int32_t write_pairs(const struct node_capability *pairs, uint32_t count, struct gavel_buffer *out)
{
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, out);

    gavel_put_map(to, count);
    for (uint32_t i = 0; i < count; i++) {
        gavel_put_key(to, pairs[i].name);
        gavel_put_text(to, pairs[i].value);
    }
    gavel_put_end(to);
    return codec_writer_end(&writer, NULL);
}

static int32_t make_set(const struct node_capability *pairs, uint32_t count, struct gavel_buffer *set,
                        struct gavel_error *error)
{
    struct gavel_buffer map = codec_buffer(0);
    int32_t status = write_pairs(pairs, count, &map);

    if (status == GAVEL_OK)
        status = codec_capabilities(gavel_buffer_slice(&map), set, error);
    else
        (void)gavel_fail(error, status, "the capabilities of this node cannot be written");
    gavel_buffer_free(&map);
    return status;
}

static int32_t declare_pairs(struct node *node, const struct node_capability *pairs, uint32_t count,
                             struct gavel_error *error)
{
    struct gavel_buffer set = codec_buffer(0);
    int32_t status = make_set(pairs, count, &set, error);

    if (status != GAVEL_OK) {
        gavel_buffer_free(&set);
        return status;
    }
    gavel_buffer_free(&node->declare.set);
    node->declare.set = set;
    node->declare.settled = false;
    node->declare.complained = false;
    node->declare.next_ns = 0;
    return GAVEL_OK;
}

int32_t declare_begin(struct node *node, struct gavel_error *error)
{
    node->declare.set = codec_buffer(0);
    return declare_pairs(node, node->setup.capabilities, node->setup.capability_count, error);
}

int32_t node_declare(struct node *node, const struct node_capability *pairs, uint32_t count, struct gavel_error *error)
{
    int32_t status = declare_pairs(node, pairs, count, error);

    node_settle(node);
    return status;
}

void declare_free(struct node *node)
{
    gavel_buffer_free(&node->declare.set);
}

void roster_changed(struct node *node)
{
    if (roster_copy(node->roster, apply_roster(node->apply)) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the list of nodes");
        return;
    }
    node->declare.settled = false;
    node->look |= NODE_LOOK_MEMBERS;
}

/* Nobody ever declared anything: then there is nothing to declare where nothing is to be said. */
static bool is_done(const struct node *node, const struct roster_member *self)
{
    struct gavel_slice set = gavel_buffer_slice(&node->declare.set);

    if (!self)
        return codec_value_count(set) == 0;
    return gavel_slice_equal(gavel_bytes(self->set, self->set_bytes), set);
}

static int32_t write_arguments(const struct node *node, struct gavel_buffer *out)
{
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, out);

    gavel_put_map(to, 2);
    gavel_put_key(to, "id");
    gavel_put_uint(to, node->member_id);
    gavel_put_key(to, "capabilities");
    codec_put_value(to, gavel_buffer_slice(&node->declare.set));
    gavel_put_end(to);
    return codec_writer_end(&writer, NULL);
}

/* False: there was nobody to ask. */
static bool ask(struct node *node)
{
    unsigned char bytes[CAPABILITY_SET_MAX + 64];
    struct gavel_buffer arguments = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("member_declare")};
    struct origin origin = {.conn = 0, .id = NODE_ORIGIN_DECLARE | ++node->declare.asked};
    struct peer *leader = node->leader ? peer_find(node, node->leader) : NULL;
    uint64_t deadline = node_now(node) + DECLARE_WAIT_NS;

    if (node->role == RAFT_LEADER) {
        declare_propose(node, node->member_id, gavel_buffer_slice(&node->declare.set), origin, deadline);
        return true;
    }
    if (!leader || !leader->out || leader->out->state != CONN_READY ||
        write_arguments(node, &arguments) != GAVEL_OK)
        return false;
    COVER("node-declares-through-the-leader");
    request.arguments = gavel_buffer_slice(&arguments);
    client_forward(node, leader, &request, origin, deadline);
    return true;
}

void declare_step(struct node *node)
{
    uint64_t now;

    if (node->declare.settled || node->phase != NODE_RUNNING || !node->leader || node->applied < engine_commit(node))
        return;
    if (is_done(node, roster_member(node->roster, node->member_id))) {
        node->declare.settled = true;
        return;
    }
    now = node_now(node);
    if (node->declare.next_ns > now)
        return;
    node->declare.next_ns = now + (ask(node) ? DECLARE_AGAIN_NS : DECLARE_SOON_NS);
}

void declare_answer(struct node *node, const struct codec_reply *reply)
{
    int shown = (int)(reply->text.size < 250 ? reply->text.size : 250);

    if (reply->status == GAVEL_OK || reply->status == GAVEL_E_UNKNOWN || reply->status == GAVEL_E_NO_LEADER ||
        node->declare.complained)
        return;
    node->declare.complained = true;
    node_log(node, GAVEL_LOG_WARN, "cluster", "The capabilities of this node are not in the cluster yet: %.*s", shown,
             reply->text.data ? (const char *)reply->text.data : "");
}
