/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_peers.c - fuzz target: hostile but well-formed peers and clients. One whole node lives in memory, a member of
 * a cluster of three whose other two members, and all clients, are the input: they send every type of message in any
 * order, each well formed, each with contents of the input's choice. Numbers are mostly near the node's
 * own (its term, its last index, the id of its last request), since anything else is refused at the door. The node
 * may close connections, and may die with a sentence and an exit code; it may not crash, hang, or send what cannot be
 * decoded. Bit 0 of the first byte begins before the founding.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/codec/value.h"
#include "core/log/format.h"
#include "core/node/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/unit/node_cluster.h"

#define ENDS_MAX 8
#define STEPS_MAX 120
#define SEGMENT_BYTES 131072 /* making larger ones would be most of the time */

/* One connection that the input holds one end of. */
struct hostile {
    struct cluster *cluster;
    struct net_side *side;
    void *connection;
    uint32_t member; /* 1, 2: n2, n3; 0: a client */
    bool dialled;    /* by the input */
    bool used;
    bool open;
    uint64_t request_type; /* the last that the node sent here, with its id and numbers */
    struct codec_raft request;
};

static struct os_mem *formed;
static struct log_directory_record identities[3];
static struct hostile ends[ENDS_MAX];
static struct hostile sides[3]; /* context of what the node dials */
static _Alignas(16) unsigned char memory[1 << 20];

/* ---- the other ends -------------------------------------------------------------------------------------------- */

static struct hostile *free_end(void)
{
    for (size_t i = 0; i < ENDS_MAX; i++)
        if (!ends[i].used)
            return &ends[i];
    return NULL;
}

static void send_message(struct hostile *end, uint64_t type, const void *message)
{
    struct gavel_buffer out = codec_buffer(4u << 20);
    struct gavel_slice part;

    if (end->open && codec_message_encode(codec_msgpack(), NULL, type, message, &out, NULL) == GAVEL_OK) {
        part = gavel_buffer_slice(&out);
        (void)net_transport.send(end->side, end->connection, &part, 1);
    }
    gavel_buffer_free(&out);
}

static void send_welcome(struct hostile *end)
{
    static const char *const names[] = {"n1", "n2", "n3"};
    const struct log_directory_record *own = &identities[end->member];
    uint8_t incarnation[CODEC_ID_BYTES] = {0};
    struct codec_welcome welcome = {.serializer = gavel_text("msgpack"),
                                    .name = gavel_text(names[end->member]),
                                    .version_major = CODEC_PROTOCOL_MAJOR,
                                    .founded = 1,
                                    .member_id = own->member_id,
                                    .cluster_id = gavel_bytes(own->cluster_id.bytes, CODEC_ID_BYTES),
                                    .message_bytes = NODE_MESSAGE_BYTES};

    for (int i = 0; i < 8; i++)
        incarnation[i] = (uint8_t)(own->incarnation >> 8 * i);
    welcome.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    send_message(end, CODEC_WELCOME, &welcome);
}

static void on_message(void *context, void *cookie, struct gavel_slice bytes)
{
    struct hostile *end = cookie;
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_limits limits = codec_limits(4u << 20);
    struct gavel_error error;
    uint64_t type;
    void *message;

    (void)context;
    if (codec_message_decode(codec_msgpack(), NULL, bytes, &limits, &arena, &type, &message, &error) != GAVEL_OK) {
        (void)fprintf(stderr, "the node sent what cannot be decoded: %s\n", error.text);
        abort();
    }
    if (type == CODEC_HELLO)
        send_welcome(end);
    end->request_type = type;
    if (type > CODEC_RAFT && type <= CODEC_RAFT_LAST)
        end->request = *(struct codec_raft *)message;
    else if (type >= CODEC_FOUND_ASK)
        end->request.id = ((struct codec_found_ask *)message)->id;
    end->request.meta = gavel_bytes(NULL, 0); /* they pointed into the message */
    end->request.tail = gavel_bytes(NULL, 0);
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct hostile *side = context;
    struct hostile *end = free_end();

    (void)peer;
    if (!end)
        return NULL;
    *end = *side;
    end->connection = connection;
    end->used = true;
    end->open = true;
    return end;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    (void)context;
    (void)peer;
    ((struct hostile *)cookie)->open = true;
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct hostile *end = cookie;

    (void)context;
    (void)reason;
    (void)why;
    end->open = false;
    end->used = false;
}

static void on_quiet(void *context)
{
    (void)context;
}

static struct gavel_transport_events events_of(struct hostile *side)
{
    return (struct gavel_transport_events){.size = sizeof(struct gavel_transport_events),
                                           .context = side,
                                           .accepted = on_accepted,
                                           .connected = on_connected,
                                           .message = on_message,
                                           .quiet = on_quiet,
                                           .closed = on_closed};
}

/* ---- contents -------------------------------------------------------------------------------------------------- */

/* A number that means something, or any. */
static uint64_t number(const struct node *node, const struct hostile *end, struct fuzz_input *input)
{
    unsigned choice = fuzz_u8(input);
    uint64_t by = choice / 16;

    switch (choice % 16) {
    case 0: return by;
    case 1: return node->term + by;
    case 2: return node->term - by;
    case 3: return (node->log ? log_last(node->log) : 0) + by;
    case 4: return (node->log ? log_last(node->log) : 0) - by;
    case 5: return node->applied + by;
    case 6: return node->applied - by;
    case 7: return end->request.id + by;
    case 8: return end->request.term - by;
    case 9: return end->request.last_index - by;
    case 10: return end->request.prev_index + by;
    case 11: return end->request.round + by;
    case 12: return UINT64_MAX - by;
    case 13: return UINT64_C(1) << (fuzz_u8(input) & 63);
    case 14: return fuzz_uint(input, 2);
    default: return fuzz_uint(input, 8);
    }
}

static struct gavel_slice text(struct fuzz_input *input)
{
    static const char *const pool[] = {"n1", "n2", "n3", "counter", "increment", "get", "counter.increment", "events",
                                       "pad",
                                       "gavel", "session_register", "session_keep", "session_close", "describe",
                                       "status", "members", "msgpack", "transfer", "snapshot", "log_level", "watch",
                                       "json", "metrics", ""};
    unsigned choice = fuzz_u8(input);

    if (choice < sizeof pool / sizeof pool[0])
        return gavel_text(pool[choice]);
    return fuzz_take(input, choice % 32);
}

static struct gavel_slice value(struct fuzz_input *input)
{
    static const unsigned char pool[][12] = {
        {1, 0xc0}, {1, 0x80}, {8, 0x81, 0xa4, 'n', 'a', 'm', 'e', 0xa1, 'x'}, {5, 0x81, 0xa2, 'b', 'y', 1},
        {5, 0x81, 0xa2, 't', 'o', 0xc0}, {7, 0x81, 0xa2, 't', 'o', 0xa2, 'n', '2'},
        {9, 0x81, 0xa5, 'b', 'y', 't', 'e', 's', 0xa1, 'x'}};
    struct gavel_limits limits = codec_limits(1 << 16);
    unsigned choice = fuzz_u8(input);
    struct gavel_slice slice;

    if (choice < sizeof pool / sizeof pool[0])
        slice = gavel_bytes(pool[choice] + 1, pool[choice][0]);
    else
        slice = fuzz_slice(input);
    return codec_value_check(slice, &limits, NULL) == GAVEL_OK ? slice : gavel_bytes("\xc0", 1);
}

/* Sixteen bytes that a member is known by, or any bytes. */
static struct gavel_slice bytes(struct fuzz_input *input)
{
    static uint8_t id[CODEC_ID_BYTES];
    unsigned choice = fuzz_u8(input);
    const struct log_directory_record *of = &identities[choice % 3];

    if (choice < 64)
        return gavel_bytes(of->cluster_id.bytes, CODEC_ID_BYTES);
    if (choice >= 192)
        return fuzz_slice(input);
    memset(id, 0, sizeof id);
    for (int i = 0; i < 8; i++)
        id[i] = (uint8_t)(of->incarnation >> 8 * i);
    return gavel_bytes(id, sizeof id);
}

/* Fill the struct of any message by its own table. */
static void fill(const struct node *node, const struct hostile *end, const struct gavel_fields *fields, void *object,
                 struct gavel_slice names[4], struct fuzz_input *input)
{
    uint64_t wanted = fuzz_uint(input, 3); /* a bit for each row */

    memset(object, 0, fields->struct_size);
    for (uint64_t i = 0; i < fields->count; i++) {
        const struct gavel_field *row =
            (const struct gavel_field *)(const void *)((const char *)fields->rows + i * fields->stride);
        unsigned char *at = (unsigned char *)object + row->offset;
        struct gavel_slice slice;
        struct gavel_list list = {names, fuzz_u8(input) % 4u, sizeof names[0]};
        uint64_t plain;

        if (!(wanted >> i % 24 & 1) && !(row->flags & GAVEL_REQUIRED))
            continue;
        switch (row->type) {
        case GAVEL_STRING:
        case GAVEL_BYTES:
        case GAVEL_VALUE:
            slice = row->type == GAVEL_STRING ? text(input) : row->type == GAVEL_VALUE ? value(input) : bytes(input);
            memcpy(at, &slice, sizeof slice);
            break;
        case GAVEL_LIST:
            for (uint64_t k = 0; k < list.count; k++)
                names[k] = text(input);
            memcpy(at, &list, sizeof list);
            break;
        default:
            plain = row->type == GAVEL_CHOICE || row->type == GAVEL_BOOL ? fuzz_u8(input) % 4u
                                                                        : number(node, end, input);
            memcpy(at, &plain, sizeof plain);
            break;
        }
    }
}

static void any_message(const struct node *node, struct hostile *end, struct fuzz_input *input)
{
    static const uint8_t of_clients[] = {CODEC_REQUEST, CODEC_REQUEST, CODEC_REQUEST, CODEC_STREAM_OPEN,
                                         CODEC_STREAM_CREDIT, CODEC_STREAM_CLOSE};
    _Alignas(16) unsigned char object[512];
    struct gavel_slice names[4];
    unsigned choice = fuzz_u8(input);
    const struct codec_message *message;

    if (choice >= 240)
        message = codec_message_find(choice & CODEC_TYPE_MAX);
    else if (end->member)
        message = codec_message_find(CODEC_RAFT + 1 + choice % (RAFT_READ_RESPONSE));
    else
        message = codec_message_find(of_clients[choice % sizeof of_clients]);
    if (!message)
        return;
    assert(message->fields->struct_size <= sizeof object);
    fill(node, end, message->fields, object, names, input);
    send_message(end, message->type, object);
}

/* A founding message, its ids and the rest likewise. */
static void founding(const struct node *node, struct hostile *end, struct fuzz_input *input)
{
    _Alignas(16) unsigned char object[512];
    struct gavel_slice names[4];
    const struct codec_message *message = codec_message_find(CODEC_FOUND_ASK + fuzz_u8(input) % 4u);

    fill(node, end, message->fields, object, names, input);
    send_message(end, message->type, object);
}

/* ---- what a peer says that knows the algorithm ----------------------------------------------------------------- */

/* The answer to the node's last request, kind and nearly right: so it becomes a leader, and goes on from there. */
static void agree(struct hostile *end, struct fuzz_input *input)
{
    struct codec_raft wire = {.id = end->request.id, .term = end->request.term};
    unsigned spoil = fuzz_u8(input);
    uint64_t type = end->request_type + 1;

    switch (end->request_type) {
    case CODEC_RAFT + RAFT_PREVOTE_REQUEST:
    case CODEC_RAFT + RAFT_VOTE_REQUEST:
        wire.for_term = end->request.for_term;
        wire.flags = RAFT_VOTE_GRANTED;
        if (end->request_type == CODEC_RAFT + RAFT_VOTE_REQUEST)
            wire.term = wire.for_term;
        break;
    case CODEC_RAFT + RAFT_APPEND_REQUEST:
        wire.prev_index = end->request.prev_index;
        wire.match = end->request.last_index;
        wire.last_index = end->request.last_index;
        wire.round = end->request.round;
        break;
    case CODEC_RAFT + RAFT_SNAPSHOT_REQUEST:
        wire.index = end->request.index;
        wire.digest = end->request.digest;
        wire.offset = end->request.offset + end->request.length;
        break;
    case CODEC_RAFT + RAFT_READ_REQUEST:
        wire.read = end->request.read;
        break;
    default:
        return;
    }
    if (spoil & 1)
        wire.term += spoil >> 4;
    if (spoil & 2)
        wire.match += spoil >> 4;
    if (spoil & 4)
        wire.flags ^= 1u << (spoil >> 4 & 3);
    if (spoil & 8)
        wire.offset -= spoil >> 4;
    send_message(end, type, &wire);
}

static void add_entry(struct log_builder *builder, const struct node *node, struct fuzz_input *input)
{
    struct gavel_buffer bytes_of = codec_buffer(0);
    unsigned choice = fuzz_u8(input);
    struct log_entry entry = {.kind = choice % 8, .machine = choice / 8 % 4, .session = fuzz_u8(input) % 4u,
                              .sequence = fuzz_u8(input) % 8u, .acked = fuzz_u8(input) % 4u};

    if (entry.kind == LOG_CONFIG && choice & 0x80 && directory_now(&node->directory)) {
        struct members members = *directory_now(&node->directory);
        struct member *item = &members.items[fuzz_u8(input) % 4u % (members.count ? members.count : 1)];

        members.count -= fuzz_u8(input) % 8u == 7 && members.count;
        item->role = fuzz_u8(input) % 5u;
        item->outgoing = fuzz_u8(input) % 4u == 3;
        item->id += fuzz_u8(input) % 16u == 15;
        (void)members_encode(&members, &bytes_of);
        entry.payload = gavel_buffer_slice(&bytes_of);
    } else if (entry.kind == LOG_NOOP) {
        entry.machine = 0;
    } else {
        entry.payload = choice & 0x40 ? fuzz_slice(input) : value(input);
    }
    (void)log_builder_add(builder, &entry);
    gavel_buffer_free(&bytes_of);
}

/* An append with real batches, whose chain begins at what the node holds. */
static void append(struct node *node, struct hostile *end, struct fuzz_input *input)
{
    struct codec_raft wire = {.id = number(node, end, input)};
    struct gavel_buffer tail = codec_buffer(1u << 20);
    struct log_builder builder = {0};
    unsigned batches = fuzz_u8(input) % 4u;
    struct log_descriptor previous = {0};
    uint64_t term;
    uint64_t first;
    uint32_t chain;

    wire.term = number(node, end, input);
    wire.prev_index = number(node, end, input);
    wire.commit = number(node, end, input);
    wire.round = fuzz_u8(input);
    if (node->log && wire.prev_index && log_describe(node->log, wire.prev_index, &previous) == 0) {
        wire.prev_index = previous.first + previous.count - 1;
        wire.prev_term = previous.term;
        wire.prev_chain = previous.chain;
    } else {
        wire.prev_term = number(node, end, input);
    }
    chain = (uint32_t)wire.prev_chain;
    first = wire.prev_index + 1;
    term = wire.term;
    for (unsigned i = 0; i < batches && term && first && first < UINT64_MAX - 16; i++) {
        unsigned count = 1 + fuzz_u8(input) % 3u;
        struct log_batch *batch = NULL;

        while (count--)
            add_entry(&builder, node, input);
        if (builder.count == 0 ||
            log_builder_seal(&builder, node->pool, term - (fuzz_u8(input) > 250 && term > 1), first, 1234,
                             fuzz_u8(input), chain, &batch) != 0)
            break;
        (void)gavel_buffer_append(&tail, batch->data, batch->head.bytes);
        first += batch->head.count;
        chain = batch->head.chain;
        (void)log_batch_unref(batch);
    }
    log_builder_free(&builder);
    wire.last_index = first - 1;
    wire.tail = gavel_buffer_slice(&tail);
    send_message(end, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire);
    gavel_buffer_free(&tail);
}

/* ---- connections ----------------------------------------------------------------------------------------------- */

static void say_hello(struct hostile *end, unsigned spoil, struct fuzz_input *input, const struct node *node)
{
    static const char *const names[] = {"client", "n2", "n3"};
    const struct log_directory_record *own = &identities[end->member];
    struct gavel_slice serializers[1] = {gavel_text("msgpack")};
    uint8_t incarnation[CODEC_ID_BYTES] = {0};
    struct codec_hello hello = {.role = end->member ? CODEC_ROLE_PEER : CODEC_ROLE_CLIENT,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .name = gavel_text(names[end->member]),
                                .serializers = {serializers, 1, sizeof serializers[0]},
                                .message_bytes = NODE_MESSAGE_BYTES};

    for (int i = 0; i < 8; i++)
        incarnation[i] = (uint8_t)(own->incarnation >> 8 * i);
    if (end->member && !(spoil & 2)) {
        hello.founded = 1;
        hello.member_id = own->member_id;
        hello.cluster_id = gavel_bytes(own->cluster_id.bytes, CODEC_ID_BYTES);
        hello.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    }
    if (spoil & 1) {
        struct gavel_slice names_of[4];

        fill(node, end, codec_message_find(CODEC_HELLO)->fields, &hello, names_of, input);
        send_message(end, CODEC_HELLO, &hello);
        return;
    }
    send_message(end, CODEC_HELLO, &hello);
}

static void dial(struct cluster *cluster, struct fuzz_input *input)
{
    static const char *const names[] = {"client", "n2", "n3"};
    struct hostile *end = free_end();
    unsigned choice = fuzz_u8(input);
    struct gavel_error error;

    if (!end)
        return;
    memset(end, 0, sizeof *end);
    end->cluster = cluster;
    end->member = choice % 3;
    end->dialled = true;
    end->used = true;
    end->side = net_side(cluster->net, names[end->member]);
    (void)net_transport.connect(end->side, gavel_text(cluster->nodes[0].uri), end, &end->connection, &error);
    cluster_steps(cluster, 4);
    say_hello(end, choice / 3, input, cluster->nodes[0].node);
}

/* ---- one input ------------------------------------------------------------------------------------------------- */

/* A cluster of three is founded, a leader is elected and some commands are done; then n1's disk is the start of all. */
static void form(void)
{
    static const char *const one[] = {"name=x", NULL};
    static struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;

    cluster_init(&cluster, 3, 1);
    cluster.limits.log_segment_bytes = SEGMENT_BYTES;
    cluster_start_all(&cluster);
    if (!cluster_until(&cluster, cluster_has_leader, 10000))
        abort();
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 0; i < 5; i++)
        cluster_command(client, "increment", 0, 0, &reply, one);
    cluster_client_free(client);
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t size;
        const uint8_t *record;

        cluster_crash(&cluster, i, OS_MEM_KEEP_ALL);
        record = os_mem_peek(cluster.nodes[i].disk, "data/directory", &size);
        if (!record || log_directory_decode(record, size, &identities[i]) != 0)
            abort();
    }
    formed = os_mem_clone(cluster.nodes[0].disk);
    assert(formed);
    cluster_free(&cluster);
}

static void begin(struct cluster *cluster, bool founded)
{
    static struct gavel_transport_events events[3];
    static const char *const names[] = {"client", "n2", "n3"};
    struct gavel_error error;

    memset(ends, 0, sizeof ends);
    cluster_init(cluster, 3, 7);
    cluster->limits.log_segment_bytes = SEGMENT_BYTES;
    if (founded) {
        os_mem_free(cluster->nodes[0].disk);
        cluster->nodes[0].disk = os_mem_clone(formed);
        cluster->nodes[0].os.files_self = cluster->nodes[0].disk;
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct gavel_slice bound;

        sides[i] = (struct hostile){.cluster = cluster, .member = i, .side = net_side(cluster->net, names[i])};
        events[i] = events_of(&sides[i]);
        (void)net_transport.prepare(sides[i].side, &events[i], NULL, &error);
        if (i)
            (void)net_transport.listen(sides[i].side, gavel_text(cluster->nodes[i].uri), &bound, &error);
    }
    cluster_start(cluster, 0);
    assert(cluster->nodes[0].node);
}

static void act(struct cluster *cluster, struct fuzz_input *input)
{
    struct node *node = cluster->nodes[0].node;
    unsigned what = fuzz_u8(input);
    struct hostile *end = &ends[what / 16 % ENDS_MAX];

    switch (what % 16) {
    case 0:
    case 1:
        cluster_run(cluster, what / 16 + 1);
        return;
    case 2:
        cluster_run(cluster, 40u * (what / 16 + 1));
        return;
    case 3:
        dial(cluster, input);
        return;
    case 4:
        if (end->used)
            net_transport.close(end->side, end->connection, GAVEL_CLOSE_NORMAL, gavel_text("enough"));
        return;
    case 5:
        cluster_steps(cluster, what / 16 + 1);
        return;
    default:
        break;
    }
    if (!end->open)
        return;
    if (what % 16 < 8)
        agree(end, input);
    else if (what % 16 < 10 && end->member)
        append(node, end, input);
    else if (what % 16 == 10 && end->member)
        founding(node, end, input);
    else
        any_message(node, end, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cluster cluster;
    struct fuzz_input input = {data, size};

    fuzz_hush(true);
    if (!formed)
        form();
    begin(&cluster, !(fuzz_u8(&input) & 1));
    for (int i = 0; i < STEPS_MAX && input.size && cluster.nodes[0].exit_code < 0; i++)
        act(&cluster, &input);
    if (cluster.nodes[0].exit_code < 0)
        cluster_run(&cluster, 20);
    else
        assert(cluster.nodes[0].fatal[0]);
    cluster_free(&cluster);
    fuzz_hush(false);
    return 0;
}
