/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish.c - this node's own addresses, brought into the configuration: it asks the leader to update the member that
 * it is, until the committed configuration says so. The answer alone proves nothing, since it may be lost; the
 * committed configuration is what counts.
 */
#include "core/node/internal.h"

#include <string.h>

#include "core/codec/value.h"

#define PUBLISH_AGAIN_NS UINT64_C(500000000) /* the leader was busy, unknown, or has not answered */
#define PUBLISH_WAIT_NS UINT64_C(2000000000) /* for its answer */

static const struct member *committed_self(const struct node *node)
{
    const struct members *members = directory_at(&node->directory, engine_commit(node));

    return members ? members_find(members, node->member_id) : NULL;
}

uint32_t node_addresses(const struct node *node, const char *addresses[NODE_ADDRESSES_MAX])
{
    const struct member *self = committed_self(node);
    uint32_t count = self ? self->address_count : 0;

    for (uint32_t i = 0; i < count; i++)
        addresses[i] = self->addresses[i];
    return count;
}

static bool is_done(const struct node *node)
{
    const struct member *self = committed_self(node);

    if (!self || self->address_count != node->wish.count || node->wish.unsure)
        return false;
    for (uint32_t i = 0; i < self->address_count; i++)
        if (strcmp(self->addresses[i], node->wish.addresses[i]) != 0)
            return false;
    return true;
}

static void finish(struct node *node, int32_t status, const char *why)
{
    struct wish *wish = &node->wish;

    wish->active = false;
    if (wish->done)
        wish->done(wish->context, status, why);
}

static int32_t write_arguments(const struct node *node, struct gavel_buffer *out)
{
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, out);

    gavel_put_map(to, 2);
    gavel_put_key(to, "name");
    gavel_put_text(to, node->setup.name);
    gavel_put_key(to, "addresses");
    gavel_put_array(to, node->wish.count);
    for (uint32_t i = 0; i < node->wish.count; i++)
        gavel_put_text(to, node->wish.addresses[i]);
    gavel_put_end(to);
    gavel_put_end(to);
    return codec_writer_end(&writer, NULL);
}

static void ask(struct node *node)
{
    unsigned char bytes[NODE_ADDRESSES_MAX * NODE_URI_MAX + 256];
    struct gavel_buffer arguments = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("member_update")};
    struct origin origin = {.conn = 0, .id = node->wish.id};
    struct peer *leader = node->leader ? peer_find(node, node->leader) : NULL;
    uint64_t deadline = node_now(node) + PUBLISH_WAIT_NS;

    if (write_arguments(node, &arguments) != GAVEL_OK)
        return;
    request.arguments = gavel_buffer_slice(&arguments);
    if (node->role == RAFT_LEADER) {
        node->wish.asked = true;
        change_ask(node, "member_update", &request, origin, deadline);
    } else if (leader && leader->out && leader->out->state == CONN_READY) {
        node->wish.asked = true;
        client_forward(node, leader, &request, origin, deadline);
    } else {
        (void)snprintf(node->wish.said, sizeof node->wish.said, "no leader is known");
    }
}

/* Between steps. */
void publish_step(struct node *node)
{
    struct wish *wish = &node->wish;
    uint64_t now = node_now(node);

    if (!node->raft)
        return;
    if (is_done(node)) {
        finish(node, GAVEL_OK, "");
        return;
    }
    if (wish->next_ns > now)
        return;
    wish->next_ns = now + (wish->asked ? PUBLISH_WAIT_NS + PUBLISH_AGAIN_NS : PUBLISH_AGAIN_NS);
    ask(node);
}

void publish_answer(struct node *node, uint64_t id, const struct codec_reply *reply)
{
    struct wish *wish = &node->wish;

    if (!wish->active || wish->id != id)
        return;
    wish->asked = false;
    if (reply->status == GAVEL_OK)
        wish->unsure = false;
    (void)snprintf(wish->said, sizeof wish->said, "%.*s", (int)(reply->text.size < 250 ? reply->text.size : 250),
                   reply->text.data ? (const char *)reply->text.data : "");
    wish->next_ns = node_now(node) + PUBLISH_AGAIN_NS / 5;
    /* These do not change by asking again: an address that is another member's, or none at all. */
    if (reply->status == GAVEL_E_EXISTS || reply->status == GAVEL_E_INVALID || reply->status == GAVEL_E_DENIED ||
        reply->status == GAVEL_E_TOO_LARGE || reply->status == GAVEL_E_NOT_FOUND)
        finish(node, (int32_t)reply->status, wish->said);
}

void node_publish(struct node *node, const char *const *addresses, uint32_t count,
                  void (*done)(void *context, int32_t status, const char *why), void *context)
{
    struct wish *wish = &node->wish;

    /* An earlier one that was asked for may be in the log, or on its way there, whatever is committed now. */
    *wish = (struct wish){.active = true, .unsure = wish->active, .id = wish->id + 1, .done = done,
                          .context = context};
    for (uint32_t i = 0; i < count && i < NODE_ADDRESSES_MAX; i++)
        if (members_copy_text(wish->addresses[wish->count], NODE_URI_MAX, gavel_text(addresses[i])))
            wish->count++;
    node->tick_at = node_now(node); /* from now on it is looked at each tick */
    node_settle(node);
}

const char *node_publish_said(const struct node *node)
{
    return node->wish.said;
}
