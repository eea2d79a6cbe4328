/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.c - a snapshot read by an administrator, piece by piece, while the node serves: what `gavel snapshot save` asks.
 *
 *   asked --barrier--> applied that far --newest snapshot is as new, or one is taken--> open --read...--> closed
 *
 * The point is linearizable: the snapshot holds every write that was acknowledged before the request came, whichever
 * node is asked. The open file pins it. Nothing is held of it but one piece. A hold ends with its connection, and when
 * nobody reads for a minute.
 */
#include "core/node/internal.h"

#include <string.h>

#include "core/codec/value.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define IDLE_NS UINT64_C(60000000000)
#define FENCED "the state of this node differs from the majority's: save the snapshot of another one"

void save_end(struct node_save *save)
{
    log_snapshot_close(save->reader);
    memset(save, 0, sizeof *save);
}

void save_end_all(struct node *node)
{
    for (int i = 0; i < NODE_SAVES_MAX; i++)
        save_end(&node->saves[i]);
}

static void refuse(struct node *node, struct node_save *save, int32_t status, const char *why)
{
    struct origin origin = save->origin;

    save_end(save);
    client_refuse(node, origin, status, "%s", why);
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

void save_begin(struct node *node, struct conn *conn, struct origin origin, uint64_t deadline_ns)
{
    struct node_save *save = NULL;

    for (int i = 0; i < NODE_SAVES_MAX && !save; i++)
        if (node->saves[i].state == SAVE_FREE)
            save = &node->saves[i];
    if (node->fenced) {
        client_refuse(node, origin, GAVEL_E_STATE, "%s", FENCED);
        return;
    }
    if (!save || !node->raft || !node->founded) {
        client_refuse(node, origin, save ? GAVEL_E_STATE : GAVEL_E_BUSY, "%s",
                      save ? "this node is in no cluster, or is still starting"
                           : "as many snapshots as may be are being read already");
        return;
    }
    *save = (struct node_save){.state = SAVE_ASKS,
                               .node = node,
                               .handle = ++node->save_handle,
                               .conn = conn->serial,
                               .origin = origin,
                               .deadline_ns = deadline_ns,
                               .used_ns = node_now(node),
                               .barrier = node->read_id + 1};
    node->read_wanted = true;
    if (seeded_bug("node-save-without-barrier"))
        save->state = SAVE_WAITS;
}

void save_barrier(struct node *node, uint64_t id, uint64_t index)
{
    for (int i = 0; i < NODE_SAVES_MAX; i++) {
        struct node_save *save = &node->saves[i];

        if (save->state != SAVE_ASKS || save->barrier > id)
            continue;
        save->state = SAVE_WAITS;
        save->index = index;
    }
}

static void read_done(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                      const struct gavel_error *error);

static void put_bytes(struct gavel_writer *out, const char *key, struct gavel_slice bytes)
{
    gavel_put_key(out, key);
    gavel_put_bytes(out, bytes);
}

static void put_number(struct gavel_writer *out, const char *key, uint64_t number)
{
    gavel_put_key(out, key);
    gavel_put_uint(out, number);
}

static void answer(struct node *node, struct node_save *save, struct codec_writer *writer)
{
    struct codec_reply reply = {.index = node->applied};
    struct origin origin = save->origin;
    struct gavel_error error;

    save->origin = (struct origin){0};
    save->used_ns = node_now(node);
    if (codec_writer_end(writer, &error) != GAVEL_OK) {
        save_end(save);
        client_refuse(node, origin, GAVEL_E_INTERNAL, "the answer cannot be written: %s", error.text);
        return;
    }
    reply.result = gavel_buffer_slice(&node->body);
    client_reply(node, origin, &reply);
}

static void opened(struct node *node, struct node_save *save)
{
    struct codec_writer writer;
    struct gavel_slice meta;
    const struct log_snapshot_info *info = log_snapshot_reader_info(save->reader, &meta);
    struct gavel_writer *out;

    node->body.size = 0;
    out = codec_writer_begin(&writer, &node->body);
    gavel_put_map(out, 11);
    put_number(out, "handle", save->handle);
    put_number(out, "index", info->index);
    put_number(out, "term", info->term);
    put_number(out, "chain", info->chain);
    put_number(out, "bytes", info->bytes);
    put_number(out, "digest", info->digest);
    put_bytes(out, "meta", meta);
    put_bytes(out, "founding", gavel_buffer_slice(&node->record));
    put_bytes(out, "cluster_id", gavel_bytes(node->cluster_id.bytes, sizeof node->cluster_id.bytes));
    gavel_put_key(out, "name");
    gavel_put_text(out, node->setup.name);
    gavel_put_key(out, "version");
    gavel_put_text(out, node->setup.version ? node->setup.version : "");
    gavel_put_end(out);
    save->state = SAVE_OPEN;
    answer(node, save, &writer);
}

/* Applied as far as the barrier says: the newest snapshot is new enough, or another one is needed. */
static void open_when_there(struct node *node, struct node_save *save)
{
    struct log_snapshot_info newest = log_snapshot_newest(node->log);
    int32_t status;

    if (node->fenced) {
        refuse(node, save, GAVEL_E_STATE, FENCED);
        return;
    }
    if (newest.index < save->index || newest.index == 0) {
        status = snapshot_may_take(node) ? snapshot_want(node, (struct origin){0}) : GAVEL_E_BUSY;
        if (status == GAVEL_E_EXISTS && newest.index == 0)
            refuse(node, save, GAVEL_E_STATE, "there is nothing yet to take a snapshot of");
        return;
    }
    status = log_snapshot_open(node->log, newest.index, read_done, save, &save->reader);
    if (status != GAVEL_OK)
        refuse(node, save, status, "the newest snapshot cannot be opened");
    else
        opened(node, save);
}

void save_settle(struct node *node)
{
    for (int i = 0; i < NODE_SAVES_MAX; i++) {
        struct node_save *save = &node->saves[i];

        if (save->state == SAVE_WAITS && node->applied >= save->index && !node->stepping)
            open_when_there(node, save);
        if (save->state == SAVE_WAITS)
            node->look |= NODE_LOOK_SAVES;
    }
}

void save_expire(struct node *node, uint64_t now)
{
    for (int i = 0; i < NODE_SAVES_MAX; i++) {
        struct node_save *save = &node->saves[i];

        if (save->state == SAVE_FREE)
            continue;
        if (!conn_find(node, save->conn) ||
            (save->state == SAVE_OPEN && !save->reading && now - save->used_ns > IDLE_NS))
            save_end(save); /* a piece that a slow disk still reads is waited for */
        else if (save->state == SAVE_ASKS && now - save->used_ns > node->limits.request_ms * NS_PER_MS)
            refuse(node, save, GAVEL_E_NO_LEADER, "no leader confirmed in time what is committed");
        else if (save->state != SAVE_OPEN && now > save->deadline_ns)
            refuse(node, save, GAVEL_E_TIMEOUT, "no snapshot was ready in time: give it more (--timeout)");
        else if (save->state == SAVE_ASKS)
            node->read_wanted = true; /* the round may have been lost with its leader */
    }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static struct node_save *find(struct node *node, const struct conn *conn, uint64_t handle)
{
    for (int i = 0; i < NODE_SAVES_MAX; i++)
        if (node->saves[i].state == SAVE_OPEN && node->saves[i].handle == handle &&
            node->saves[i].conn == conn->serial)
            return &node->saves[i];
    return NULL;
}

static void read_done(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                      const struct gavel_error *error)
{
    struct node_save *save = ctx;
    struct node *node = save->node;
    struct codec_writer writer;
    struct gavel_writer *out;

    if (!node_working(node))
        return;
    if (status != GAVEL_OK) {
        node_log(node, GAVEL_LOG_ERROR, "snapshot", "A snapshot that is saved cannot be read: %s",
                 error ? error->text : "");
        refuse(node, save, status, error ? error->text : "the snapshot cannot be read");
        node_settle(node);
        return;
    }
    node->body.size = 0;
    out = codec_writer_begin(&writer, &node->body);
    gavel_put_map(out, 4);
    put_number(out, "offset", piece->offset);
    put_number(out, "digest", piece->digest);
    gavel_put_key(out, "last");
    gavel_put_bool(out, piece->last != 0);
    put_bytes(out, "data", gavel_bytes(piece->data, piece->size));
    gavel_put_end(out);
    save->reading = false;
    answer(node, save, &writer);
    node_settle(node);
}

void save_read(struct node *node, const struct conn *conn, struct gavel_slice arguments, struct origin origin)
{
    struct node_save *save = find(node, conn, codec_uint_or(codec_map_find(arguments, "handle"), 0));
    uint64_t offset = codec_uint_or(codec_map_find(arguments, "offset"), 0);
    uint64_t bytes = codec_uint_or(codec_map_find(arguments, "bytes"), NODE_SAVE_PIECE);
    int32_t status;

    if (!save) {
        client_refuse(node, origin, GAVEL_E_NOT_FOUND,
                      "no snapshot is open under this handle: it was left alone for too long, or opened elsewhere");
        return;
    }
    if (save->reading) {
        client_refuse(node, origin, GAVEL_E_BUSY, "another piece of it is being read");
        return;
    }
    if (bytes == 0 || bytes > NODE_SAVE_PIECE)
        bytes = NODE_SAVE_PIECE;
    save->origin = origin;
    save->reading = true;
    status = log_snapshot_read(save->reader, offset, bytes);
    if (status == GAVEL_OK)
        return;
    save->reading = false;
    save->origin = (struct origin){0};
    client_refuse(node, origin, status, "there is nothing to read at byte %llu", (unsigned long long)offset);
}

void save_close(struct node *node, const struct conn *conn, struct gavel_slice arguments, struct origin origin)
{
    struct node_save *save = find(node, conn, codec_uint_or(codec_map_find(arguments, "handle"), 0));
    struct codec_reply reply = {.index = node->applied};

    if (save && save->reading) {
        client_refuse(node, origin, GAVEL_E_BUSY, "a piece of it is being read");
        return;
    }
    if (save)
        save_end(save);
    client_reply(node, origin, &reply);
}
