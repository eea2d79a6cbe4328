/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild.c - the state of this node is dropped, and built again from a snapshot of the leader and this node's own
 * log, whose checksums say that it is the leader's. Votes and log go on meanwhile: nothing that was acknowledged is
 * given up, and the others need not wait.
 *
 *   ASK      the leader for a snapshot that is newer than all of ours, and whose end our log still follows
 *   FETCH    its pieces, one after the other; what has come stays for another attempt
 *   PUBLISH  it is whole: the newest snapshot here, which the next start would begin with
 *   RESTORE  the machines, when the apply lane is idle; then the log from there on, as at a start
 *
 * The fence stays until a digest equals the majority's. A leader that changes, or is lost, is asked anew.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/log/snapshot.h"
#include "core/node/bytes.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define PIECE_BYTES (256u << 10)
#define ASK_WAIT_NS UINT64_C(5000000000)  /* a request to the leader is given up */
#define AGAIN_NS UINT64_C(500000000)      /* and made again, or with the next leader */
#define SERVE_IDLE_NS UINT64_C(30000000000) /* a snapshot that is read for nobody any more is closed */

enum rebuild_state { ASK = 1, FETCH, RECEIVE, PUBLISH, RESTORE };

struct rebuild {
    uint32_t state; /* enum rebuild_state */
    bool asked;     /* and not answered yet */
    uint64_t serial; /* of the last request */
    uint64_t due_ns; /* when it is asked (again) */
    struct log_snapshot_info info;
    struct log_snapshot_receiver *receiver;
    uint64_t offset;
    struct gavel_buffer piece;
    bool ending;
};

/* ---- who is rebuilt ------------------------------------------------------------------------------------------ */

static void again(struct node *node)
{
    struct rebuild *rebuild = node->rebuild;

    log_snapshot_receive_close(rebuild->receiver);
    rebuild->receiver = NULL;
    rebuild->state = ASK;
    rebuild->asked = false;
    rebuild->due_ns = node_now(node) + AGAIN_NS;
}

static void end(struct node *node)
{
    struct rebuild *rebuild = node->rebuild;

    if (!rebuild)
        return;
    log_snapshot_receive_close(rebuild->receiver);
    gavel_buffer_free(&rebuild->piece);
    free(rebuild);
    node->rebuild = NULL;
}

static void ask_leader(struct node *node, const char *command, uint64_t count, const char *const *keys,
                       const uint64_t *numbers)
{
    struct rebuild *rebuild = node->rebuild;
    struct peer *leader = node->leader ? peer_find(node, node->leader) : NULL;
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text(command)};
    struct origin origin = {.id = NODE_ORIGIN_REBUILD | ++rebuild->serial};
    uint64_t deadline = node_now(node) + ASK_WAIT_NS;
    unsigned char bytes[128];
    struct gavel_buffer arguments = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, &arguments);

    rebuild->due_ns = deadline + AGAIN_NS;
    if (!leader || !leader->out || leader->out->state != CONN_READY) {
        rebuild->due_ns = node_now(node) + AGAIN_NS;
        return;
    }
    gavel_put_map(to, count);
    for (uint64_t i = 0; i < count; i++) {
        gavel_put_key(to, keys[i]);
        gavel_put_uint(to, numbers[i]);
    }
    gavel_put_end(to);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK)
        return;
    request.arguments = gavel_buffer_slice(&arguments);
    rebuild->asked = true;
    client_forward(node, leader, &request, origin, deadline);
}

/* Newer than all of ours: a start has to begin with it. And our log has to go on from it. */
static uint64_t lowest(const struct node *node)
{
    uint64_t newest = log_snapshot_newest(node->log).index + 1;
    uint64_t first = log_first(node->log) - 1;

    return newest > first ? newest : first;
}

static void ask_offer(struct node *node)
{
    static const char *const keys[] = {"lowest"};
    const uint64_t numbers[] = {lowest(node)};

    ask_leader(node, "state_offer", 1, keys, numbers);
}

static void ask_piece(struct node *node)
{
    static const char *const keys[] = {"index", "offset"};
    const uint64_t numbers[] = {node->rebuild->info.index, node->rebuild->offset};

    ask_leader(node, "state_piece", 2, keys, numbers);
}

static struct gavel_slice bytes_of(struct gavel_slice map, const char *name)
{
    struct gavel_slice bytes = gavel_bytes(NULL, 0);

    (void)codec_get_bytes(codec_map_find(map, name), &bytes);
    return bytes;
}

static void restored(struct node *node, int32_t status)
{
    struct rebuild *rebuild = node->rebuild;
    uint64_t index = rebuild->info.index;

    if (status != GAVEL_OK) {
        node_fatal(node, node_exit_code(status), "the state cannot be rebuilt from the leader's snapshot: %s",
                   snapshot_error(node));
        return;
    }
    node->apply_hold = false;
    divergence_forget(node);
    node->fence_from = index;
    end(node);
    node_log(node, GAVEL_LOG_INFO, "node",
             "Rebuilt from the leader's snapshot at index %llu; the fence goes when a digest equals the majority's",
             (unsigned long long)index);
}

/* The apply lane is idle, and nobody else works on the state: now it is replaced. */
static void restore(struct node *node)
{
    struct rebuild *rebuild = node->rebuild;

    if (log_first(node->log) > rebuild->info.index + 1) {
        again(node);
        return;
    }
    if (node->applied < rebuild->info.index || !work_idle(node) || node->apply_hold || !snapshot_quiet(node))
        return;
    /* One of the wrong state was on its way, and is the newest now: the next start would begin with it. */
    if (log_snapshot_newest(node->log).index != rebuild->info.index && !seeded_bug("node-rebuilt-below-own")) {
        COVER("node-rebuild-overtaken");
        again(node);
        return;
    }
    node->apply_hold = true;
    rebuild->state = RESTORE;
    snapshot_restore(node, rebuild->info.index, restored);
}

void rebuild_idle(struct node *node)
{
    if (node->rebuild && node->rebuild->state == PUBLISH)
        restore(node);
}

bool rebuild_fetches(const struct node *node)
{
    return node->rebuild && node->rebuild->state != ASK;
}

static void published(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .index = node->rebuild->info.index};

    node->rebuild->receiver = NULL;
    node->rebuild->state = PUBLISH;
    (void)engine_step(node, &event);
    directory_prune(&node->directory, node->rebuild->info.index);
    snapshot_compact(node);
}

/* Begin, a piece or the end was stored. */
static void stored(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error)
{
    struct node *node = ctx;
    struct rebuild *rebuild = node->rebuild;

    if (!node_working(node) || !rebuild)
        return;
    if (status != GAVEL_OK) {
        node_log(node, GAVEL_LOG_WARN, "node", "The leader's snapshot cannot be stored: %s", error ? error->text : "");
        again(node);
    } else if (rebuild->ending) {
        published(node);
    } else {
        rebuild->state = FETCH;
        rebuild->offset = offset;
        rebuild->due_ns = node_now(node);
        rebuild_step(node);
    }
    node_settle(node);
}

static void receive_end(struct node *node)
{
    struct rebuild *rebuild = node->rebuild;

    rebuild->ending = true;
    rebuild->state = RECEIVE;
    if (log_snapshot_received_end(rebuild->receiver) != GAVEL_OK)
        again(node);
}

static void on_offer(struct node *node, struct gavel_slice map)
{
    struct rebuild *rebuild = node->rebuild;
    struct log_snapshot_info *info = &rebuild->info;
    struct gavel_slice meta = bytes_of(map, "meta");
    struct log_descriptor held;
    int status;

    *info = (struct log_snapshot_info){.index = codec_uint_or(codec_map_find(map, "index"), 0),
                                       .term = codec_uint_or(codec_map_find(map, "term"), 0),
                                       .chain = (uint32_t)codec_uint_or(codec_map_find(map, "chain"), 0),
                                       .digest = (uint32_t)codec_uint_or(codec_map_find(map, "digest"), 0),
                                       .bytes = codec_uint_or(codec_map_find(map, "bytes"), 0)};
    /* Its end is the end of a batch that we hold: the rest of our log follows from it. An own one that is on its way
     * would be the newer one in the end. */
    if (!snapshot_quiet(node) || info->index < lowest(node) || info->index > node->applied ||
        (info->index >= log_first(node->log) &&
         (log_describe(node->log, info->index, &held) != GAVEL_OK || held.chain != info->chain ||
          held.first + held.count - 1 != info->index))) {
        again(node);
        return;
    }
    rebuild->ending = false;
    rebuild->state = RECEIVE;
    snapshot_yield(node);
    status = log_snapshot_receive(node->log, info, meta.data, meta.size, stored, node, &rebuild->receiver);
    if (status != GAVEL_OK)
        again(node);
}

static void on_piece(struct node *node, struct gavel_slice map)
{
    struct rebuild *rebuild = node->rebuild;
    struct gavel_slice data = bytes_of(map, "data");
    uint32_t digest = (uint32_t)codec_uint_or(codec_map_find(map, "digest"), 0);

    rebuild->piece.size = 0;
    rebuild->state = RECEIVE;
    if (log_snapshot_newest(node->log).index >= rebuild->info.index || /* worthless by now, whatever comes */
        codec_uint_or(codec_map_find(map, "offset"), UINT64_MAX) != rebuild->offset || data.size == 0 ||
        gavel_buffer_append(&rebuild->piece, data.data, data.size) != GAVEL_OK ||
        log_snapshot_piece(rebuild->receiver, rebuild->offset, rebuild->piece.data, rebuild->piece.size, digest) !=
            GAVEL_OK)
        again(node);
}

void rebuild_answer(struct node *node, uint64_t id, const struct codec_reply *reply)
{
    struct rebuild *rebuild = node->rebuild;

    if (!rebuild || id != (NODE_ORIGIN_REBUILD | rebuild->serial) || !rebuild->asked)
        return;
    rebuild->asked = false;
    if (reply->status != GAVEL_OK) {
        if (rebuild->state == ASK)
            rebuild->due_ns = node_now(node) + AGAIN_NS;
        else
            again(node);
    } else if (rebuild->state == ASK) {
        on_offer(node, reply->result);
    } else if (rebuild->state == FETCH) {
        on_piece(node, reply->result);
    }
}

static int32_t begin(struct node *node)
{
    if (node->rebuild)
        return GAVEL_OK; /* under way */
    node->rebuild = calloc(1, sizeof *node->rebuild);
    if (!node->rebuild)
        return GAVEL_E_NO_MEMORY;
    node->rebuild->state = ASK;
    node->rebuild->piece = codec_buffer(0);
    node->tick_at = node_now(node);
    divergence_fence(node, "its state is to be rebuilt");
    node_log(node, GAVEL_LOG_WARN, "node", "The state of this node is being rebuilt from the leader's");
    return GAVEL_OK;
}

/* ---- who serves ---------------------------------------------------------------------------------------------- */

struct rebuild_serve {
    struct log_snapshot_reader *reader;
    uint64_t index;
    struct origin origin; /* of the piece that is being read */
    bool reading;
    uint64_t used_ns;
};

static void stop_serving(struct node *node)
{
    if (!node->rebuild_serve)
        return;
    log_snapshot_close(node->rebuild_serve->reader);
    free(node->rebuild_serve);
    node->rebuild_serve = NULL;
}

static void piece_read(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                       const struct gavel_error *error)
{
    struct node *node = ctx;
    struct rebuild_serve *serve = node->rebuild_serve;
    struct codec_reply reply = {.index = serve->index};
    struct codec_writer writer;
    struct gavel_writer *out;

    serve->reading = false;
    if (!node_working(node))
        return;
    if (status != GAVEL_OK) {
        client_refuse(node, serve->origin, status, "the snapshot cannot be read: %s", error ? error->text : "");
        stop_serving(node);
        node_settle(node);
        return;
    }
    node->body.size = 0;
    out = codec_writer_begin(&writer, &node->body);
    gavel_put_map(out, 3);
    gavel_put_key(out, "offset");
    gavel_put_uint(out, piece->offset);
    gavel_put_key(out, "digest");
    gavel_put_uint(out, piece->digest);
    gavel_put_key(out, "data");
    gavel_put_bytes(out, gavel_bytes(piece->data, piece->size));
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) == GAVEL_OK) {
        reply.result = gavel_buffer_slice(&node->body);
        client_reply(node, serve->origin, &reply);
    } else {
        client_refuse(node, serve->origin, GAVEL_E_BUSY, "no memory");
    }
    node_settle(node);
}

/*
 * A snapshot behind everything that is there is wanted, and nobody writes: an entry that changes nothing, a sign of
 * life of a session that there is not.
 */
static void move_on(struct node *node)
{
    uint8_t payload[4];
    struct log_entry entry = {.kind = LOG_HOST, .session = UINT64_MAX,
                              .payload = gavel_bytes(payload, sizeof payload)};

    bytes_store32(payload, APPLY_SESSION_KEEP);
    (void)propose_add(node, &entry, (struct origin){0}, UINT64_MAX);
}

/* Open the newest one that is new enough; take one first, if there is none. */
static void offer(struct node *node, uint64_t lowest_index, struct origin origin)
{
    struct log_snapshot_info newest = log_snapshot_newest(node->log);
    struct codec_reply reply = {.index = newest.index};
    struct gavel_slice meta;
    struct codec_writer writer;
    struct gavel_writer *out;

    if (newest.index == 0 || newest.index < lowest_index) {
        if (node->applied < lowest_index)
            move_on(node);
        else
            (void)snapshot_want(node, (struct origin){0});
        client_refuse(node, origin, GAVEL_E_BUSY, "a snapshot is being taken");
        return;
    }
    if (node->rebuild_serve && node->rebuild_serve->reading) /* for another member, or for an older question of this */
        client_refuse(node, node->rebuild_serve->origin, GAVEL_E_BUSY, "another member rebuilds its state as well");
    stop_serving(node);
    node->rebuild_serve = calloc(1, sizeof *node->rebuild_serve);
    if (!node->rebuild_serve ||
        log_snapshot_open(node->log, newest.index, piece_read, node, &node->rebuild_serve->reader) != GAVEL_OK) {
        stop_serving(node);
        client_refuse(node, origin, GAVEL_E_BUSY, "the snapshot cannot be opened");
        return;
    }
    node->rebuild_serve->index = newest.index;
    node->rebuild_serve->used_ns = node_now(node);
    (void)log_snapshot_reader_info(node->rebuild_serve->reader, &meta);
    node->body.size = 0;
    out = codec_writer_begin(&writer, &node->body);
    gavel_put_map(out, 6);
    gavel_put_key(out, "index");
    gavel_put_uint(out, newest.index);
    gavel_put_key(out, "term");
    gavel_put_uint(out, newest.term);
    gavel_put_key(out, "chain");
    gavel_put_uint(out, newest.chain);
    gavel_put_key(out, "digest");
    gavel_put_uint(out, newest.digest);
    gavel_put_key(out, "bytes");
    gavel_put_uint(out, newest.bytes);
    gavel_put_key(out, "meta");
    gavel_put_bytes(out, meta);
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK) {
        client_refuse(node, origin, GAVEL_E_BUSY, "no memory");
        return;
    }
    reply.result = gavel_buffer_slice(&node->body);
    client_reply(node, origin, &reply);
}

static void piece(struct node *node, uint64_t index, uint64_t offset, struct origin origin)
{
    struct rebuild_serve *serve = node->rebuild_serve;

    if (!serve || serve->index != index || serve->reading ||
        offset >= log_snapshot_reader_info(serve->reader, NULL)->bytes) {
        client_refuse(node, origin, GAVEL_E_BUSY, "that snapshot is not open: ask for an offer");
        return;
    }
    serve->origin = origin;
    serve->used_ns = node_now(node);
    serve->reading = log_snapshot_read(serve->reader, offset, PIECE_BYTES) == GAVEL_OK;
    if (!serve->reading)
        client_refuse(node, origin, GAVEL_E_BUSY, "the snapshot cannot be read");
}

/* ---- commands ------------------------------------------------------------------------------------------------ */

/* Of this node, or passed on to the member that is named. */
static void rebuild(struct conn *conn, const struct codec_request *request, struct origin origin, uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct gavel_slice name = codec_string_or(codec_map_find(request->arguments, "name"), node->setup.name);
    struct codec_reply reply = {.index = node->applied};
    char text[NODE_NAME_MAX];
    struct peer *peer;

    if (gavel_slice_equal(name, gavel_text(node->setup.name))) {
        if (!node->raft || node->phase != NODE_RUNNING)
            client_refuse(node, origin, GAVEL_E_STATE, "%s is starting", node->setup.name);
        else if (node->role == RAFT_LEADER)
            client_refuse(node, origin, GAVEL_E_STATE, "%s leads, and others rebuild from it: gavel leader transfer "
                          "first", node->setup.name);
        else if (begin(node) != GAVEL_OK)
            client_refuse(node, origin, GAVEL_E_BUSY, "no memory");
        else
            client_reply(node, origin, &reply);
        return;
    }
    peer = members_copy_text(text, sizeof text, name) ? peer_named(node, text) : NULL;
    if (!peer || !peer->id)
        client_refuse(node, origin, GAVEL_E_NOT_FOUND, "no member has the name '%.*s'", (int)name.size,
                      (const char *)name.data);
    else if (request->forwarded || !peer->out || peer->out->state != CONN_READY)
        client_refuse(node, origin, GAVEL_E_STATE, "%s is not connected to %s", node->setup.name, text);
    else
        client_forward(node, peer, request, origin, deadline_ns);
}

void rebuild_command(struct conn *conn, const struct codec_request *request, const char *command, struct origin origin,
                     uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct gavel_slice arguments = request->arguments;

    if (strcmp(command, "rebuild") == 0)
        rebuild(conn, request, origin, deadline_ns);
    else if (conn->role != CODEC_ROLE_PEER)
        client_refuse(node, origin, GAVEL_E_DENIED, "'%s' is for members of the cluster", command);
    else if (node->role != RAFT_LEADER || node->fenced || !node->raft)
        client_refuse(node, origin, GAVEL_E_NOT_LEADER, "%s does not lead", node->setup.name);
    else if (strcmp(command, "state_offer") == 0)
        offer(node, codec_uint_or(codec_map_find(arguments, "lowest"), 0), origin);
    else
        piece(node, codec_uint_or(codec_map_find(arguments, "index"), 0),
              codec_uint_or(codec_map_find(arguments, "offset"), 0), origin);
}

void rebuild_step(struct node *node)
{
    struct rebuild *rebuild = node->rebuild;
    uint64_t now = node_now(node);

    if (node->rebuild_serve && !node->rebuild_serve->reading && now - node->rebuild_serve->used_ns > SERVE_IDLE_NS)
        stop_serving(node);
    if (!rebuild || !node_working(node) || node->phase != NODE_RUNNING)
        return;
    if (rebuild->state == PUBLISH)
        restore(node);
    else if (rebuild->state == ASK && now >= rebuild->due_ns)
        ask_offer(node);
    else if (rebuild->state == FETCH && rebuild->offset == rebuild->info.bytes)
        receive_end(node);
    else if (rebuild->state == FETCH && now >= rebuild->due_ns)
        ask_piece(node);
}

void rebuild_installed(struct node *node, uint64_t index)
{
    end(node);
    divergence_forget(node);
    node->fence_from = index;
}

void rebuild_free(struct node *node)
{
    stop_serving(node);
    end(node);
}
