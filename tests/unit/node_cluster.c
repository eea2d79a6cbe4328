/* SPDX-License-Identifier: Apache-2.0 */
/* node_cluster.c - whole nodes in one thread; see node_cluster.h. */
#include "node_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"

#define STEP_NS UINT64_C(1000000) /* time moves by a millisecond when nothing else can happen */

const struct gavel_plugin *gavel_plugin_counter(void);

/* ---- the host of a node -------------------------------------------------------------------------------- */

static void log_line(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    struct cluster_node *node = self;

    if (text.size > 9 && memcmp(text.data, "Installed", 9) == 0)
        node->installs++;
    if (level >= GAVEL_LOG_WARN)
        snprintf(node->warned, sizeof node->warned, "%.*s", (int)text.size, (const char *)text.data);
    if (node->cluster->loud)
        fprintf(stderr, "%8llu [%s] %llu %s: %.*s\n",
                (unsigned long long)(node->cluster->clock.mono_ns / 1000000), node->name,
                (unsigned long long)level, module, (int)text.size, (const char *)text.data);
}

static bool log_wanted(void *context, uint64_t level, const char *module)
{
    struct cluster_node *node = context;

    (void)module;
    return level >= (node->cluster->loud ? GAVEL_LOG_DEBUG : GAVEL_LOG_INFO);
}

static void deadline(void *context, uint64_t mono_ns)
{
    struct cluster_node *node = context;

    node->deadline = mono_ns;
}

static void fatal(void *context, int exit_code, const char *sentence)
{
    struct cluster_node *node = context;

    node->exit_code = exit_code;
    snprintf(node->fatal, sizeof node->fatal, "%s", sentence);
    if (node->cluster->loud)
        fprintf(stderr, "[%s] FATAL %d: %s\n", node->name, exit_code, sentence);
}

static void stopped(void *context)
{
    struct cluster_node *node = context;

    node->stopped = true;
}

/* ---- a command that only fills the log ----------------------------------------------------------------- */

struct pad_arguments {
    uint64_t present; /* every struct that a table describes begins with it */
    struct gavel_slice bytes;
    struct gavel_list numbers;
};

static const struct gavel_field pad_rows[] = {{.name = "bytes",
                                               .id = 1,
                                               .type = GAVEL_STRING,
                                               .flags = GAVEL_REQUIRED,
                                               .offset = offsetof(struct pad_arguments, bytes),
                                               .min = 1,
                                               .max = 500000,
                                               .help = "anything"},
                                              {.name = "numbers",
                                               .id = 2,
                                               .type = GAVEL_LIST,
                                               .element = GAVEL_UINT,
                                               .offset = offsetof(struct pad_arguments, numbers),
                                               .help = "as many as there is room for"}};
static const struct gavel_fields pad_fields = {pad_rows, 2, sizeof pad_rows[0], sizeof(struct pad_arguments)};

static int32_t run_pad(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    (void)self;
    (void)call;
    (void)arguments;
    (void)reply;
    return GAVEL_OK;
}

/* The machine as an INI file would have made it. */
static void create_machine(struct cluster_node *node)
{
    struct node_machine *machine = &node->machines[0];
    const struct gavel_fields *table = machine->plugin->options;
    struct codec_arena arena = codec_arena(node->strings, sizeof node->strings);
    struct gavel_error error = {0};
    char line[128];

    if (table && codec_fields_defaults(table, node->options, &arena, &error) != GAVEL_OK)
        abort();
    for (const char *at = table ? machine->settings : ""; *at; at += strcspn(at, "\n") + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        line[strcspn(line, "=")] = 0;
        if (codec_fields_set(table, line, line + strlen(line) + 1, node->options, &arena, &error) != GAVEL_OK)
            abort();
    }
    if (machine->plugin->create(&node->host, table ? node->options : NULL, &machine->self, &error) != GAVEL_OK)
        abort();
}

static void set_machine(struct cluster_node *node)
{
    const struct gavel_plugin *plugin = node->plugin ? node->plugin : gavel_plugin_counter();

    node->machines[0] = (struct node_machine){.name = plugin->name,
                                              .plugin = plugin,
                                              .operations = &node->operations,
                                              .settings = node->settings ? node->settings : "",
                                              .given = node->given};
    memcpy(&node->operations, plugin->operations, sizeof node->operations);
    if (node->newest)
        node->operations.state_version = node->newest;
    if (node->oldest)
        node->operations.state_version_oldest = node->oldest;
    if (node->fixed)
        node->operations.configure = NULL;
    if (node->cluster->threaded)
        node->operations.flags = 0;
}

static void add_pad(struct cluster_node *node)
{
    const char *row = (const char *)node->operations.commands;
    uint64_t count = node->operations.command_count;

    for (uint64_t i = 0; i < count; i++)
        node->commands[i] = *(const struct gavel_command *)(const void *)(row + i * node->operations.command_stride);
    node->commands[count] = (struct gavel_command){
        .name = "pad", .id = 60, .flags = GAVEL_WRITE, .arguments = &pad_fields, .run = run_pad,
            .help = "Fill the log"};
    /* An old plugin has old tables, without what came with a newer version. */
    for (uint64_t i = 0; i < count && node->newest && node->operations.since; i++) {
        struct gavel_command *command = &node->commands[i];
        struct gavel_fields *table = &node->old_tables[i];

        if (command->arguments && node->newest < node->operations.since(command->id, command->arguments->count)) {
            *table = *command->arguments; /* the last row is the newer one */
            table->count--;
            command->arguments = table;
        }
        if (node->newest < node->operations.since(command->id, 0))
            command->flags |= GAVEL_INTERNAL, command->id += 100;
    }
    node->operations.commands = node->commands;
    node->operations.command_count = count + 1;
    node->operations.command_stride = sizeof node->commands[0];
}

/* ---- making -------------------------------------------------------------------------------------------- */

static void fill(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];

    node->cluster = cluster;
    snprintf(node->name, sizeof node->name, "n%u", number + 1);
    snprintf(node->uri, sizeof node->uri, "mem://n%u", number + 1);
    node->listen[0] = node->uri;
    cluster->addresses[number][0] = node->uri;
    cluster->members[number] =
        (struct node_member){.name = node->name, .addresses = cluster->addresses[number], .address_count = 1};
    node->disk = os_mem_new();
    node->os = (struct os){.files = &os_mem_files,
                           .files_self = node->disk,
                           .clock = &os_mem_clock_ops,
                           .clock_self = &cluster->clock,
                           .lanes = &os_lanes_inline,
                           .lanes_self = &node->lanes};
    node->host = (struct gavel_host){.size = GAVEL_END(struct gavel_host, log),
                                     .self = node,
                                     .heap = &codec_heap,
                                     .log = log_line,
                                     .node = node->name,
                                     .instance = "node"};
    node->transport = (struct node_transport){.name = "net",
                                              .operations = &net_transport,
                                              .listen = node->listen,
                                              .listen_count = 1,
                                              .self = net_side(cluster->net, node->name)};
    snprintf(node->admin_uri, sizeof node->admin_uri, "mem://a%u", number + 1);
    node->admin_listen[0] = node->admin_uri;
    node->transports[0] = node->transport;
    node->transports[1] = (struct node_transport){.name = "admin",
                                                  .operations = &net_transport,
                                                  .listen = node->admin_listen,
                                                  .listen_count = 1,
                                                  .self = net_side(cluster->net, node->admin_uri + 6),
                                                  .admin = true};
}

void cluster_init(struct cluster *cluster, uint32_t count, uint64_t seed)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->count = count;
    cluster->founders = count;
    cluster->net = net_new();
    cluster->clock.seed = seed;
    cluster->clock.mono_ns = 1000 * STEP_NS;
    cluster->clock.wall_ms = UINT64_C(1790000000000);
    cluster->loud = getenv("LOUD") != NULL;
    cluster->limits.log_segment_bytes = 2u << 20; /* the least: zeroing more is most of the time that tests take */
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < count; i++)
        fill(cluster, i);
}

void cluster_start(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];
    struct gavel_error error = {0};
    int exit_code = 0;

    memset(&node->lanes, 0, sizeof node->lanes);
    node->exit_code = -1;
    node->stopped = false;
    node->deadline = UINT64_MAX;
    set_machine(node);
    add_pad(node);
    create_machine(node);
    node->setup = (struct node_setup){.os = &node->os,
                                      .host = &node->host,
                                      .name = node->name,
                                      .version = "test",
                                      .data_dir = node->data_dir ? node->data_dir : "data",
                                      .members = cluster->members,
                                      .member_count = node->join_count || node->discovers ? 0 : cluster->founders,
                                      .discovers = node->discovers,
                                      .expect = node->expect,
                                      .seeds = node->seeds,
                                      .seed_count = node->seed_count,
                                      .addresses = node->listen,
                                      .address_count = 1,
                                      .join = node->join,
                                      .join_count = node->join_count,
                                      .capabilities = node->capabilities,
                                      .capability_count = node->capability_count,
                                      .transports = node->transports,
                                      .transport_count = 2,
                                      .machines = node->machines,
                                      .machine_count = 1,
                                      .limits = cluster->limits,
                                      .callbacks = {.context = node,
                                                    .deadline = deadline,
                                                    .fatal = fatal,
                                                    .stopped = stopped,
                                                    .log_wanted = log_wanted}};
    if (node_new(&node->setup, &node->node, &exit_code, &error) != 0) {
        node->exit_code = exit_code;
        snprintf(node->fatal, sizeof node->fatal, "%s", error.text);
        if (cluster->loud)
            fprintf(stderr, "[%s] does not start: %s\n", node->name, error.text);
        net_kill(node->transport.self); /* its listeners are left to the host */
        net_kill(node->transports[1].self);
        node->node = NULL;
        node->machines[0].plugin->destroy(node->machines[0].self);
        return;
    }
    node_start(node->node);
}

void cluster_start_all(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        cluster_start(cluster, i);
}

/* What a process takes with it when it dies: the test frees what the kernel would. */
static void bury(struct cluster_node *node)
{
    net_kill(node->transport.self);
    net_kill(node->transports[1].self);
    os_inline_drop(&node->lanes);
    if (node->node) {
        node_abandon(node->node);
        node_free(node->node);
    }
    node->node = NULL;
    node->deadline = UINT64_MAX;
    node->machines[0].plugin->destroy(node->machines[0].self);
}

void cluster_crash(struct cluster *cluster, uint32_t number, enum os_mem_crash how)
{
    struct cluster_node *node = &cluster->nodes[number];

    bury(node);
    os_mem_crash(node->disk, how, os_mem_random(&cluster->clock.seed));
}

uint32_t cluster_joiner(struct cluster *cluster)
{
    uint32_t number = cluster->count;
    struct cluster_node *node = &cluster->nodes[number];

    fill(cluster, number);
    for (uint32_t i = 0; i < number; i++)
        node->join[node->join_count++] = cluster->nodes[i].uri;
    cluster->count++;
    return number;
}

void cluster_wipe(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];

    os_mem_free(node->disk);
    node->disk = os_mem_new();
    node->os.files_self = node->disk;
}

void cluster_end(struct cluster *cluster, uint32_t number)
{
    bury(&cluster->nodes[number]);
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].node)
            bury(&cluster->nodes[i]);
        os_mem_free(cluster->nodes[i].disk);
    }
    net_free(cluster->net);
}

/* ---- running ------------------------------------------------------------------------------------------- */

static bool step(struct cluster *cluster)
{
    bool busy = net_deliver(cluster->net);

    for (uint32_t i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];

        if (!node->node)
            continue;
        if (node->stalled_until <= cluster->clock.mono_ns)
            busy |= os_inline_step(&node->lanes, &cluster->clock.seed);
        if (node->exit_code < 0 && !node->stopped && node->deadline <= cluster->clock.mono_ns) {
            node->deadline = UINT64_MAX;
            node_deadline(node->node);
            busy = true;
        }
    }
    return busy;
}

void cluster_steps(struct cluster *cluster, uint32_t count)
{
    while (count--)
        (void)step(cluster);
}

static void quiesce(struct cluster *cluster)
{
    for (int i = 0; i < 1000000; i++)
        if (!step(cluster))
            return;
    fprintf(stderr, "the cluster never comes to rest\n");
    abort();
}

bool cluster_until(struct cluster *cluster, bool (*condition)(struct cluster *cluster), uint64_t milliseconds)
{
    uint64_t end = cluster->clock.mono_ns + milliseconds * STEP_NS;

    for (;;) {
        quiesce(cluster);
        if (condition && condition(cluster))
            return true;
        if (cluster->clock.mono_ns >= end)
            return false;
        cluster->clock.mono_ns += STEP_NS;
        cluster->clock.wall_ms++;
        if (cluster->tick)
            cluster->tick(cluster);
    }
}

void cluster_run(struct cluster *cluster, uint64_t milliseconds)
{
    (void)cluster_until(cluster, NULL, milliseconds);
}

int cluster_leader(struct cluster *cluster)
{
    int found = -1;

    for (uint32_t i = 0; i < cluster->count; i++) {
        if (!cluster->nodes[i].node || cluster->nodes[i].exit_code >= 0 ||
            !node_is_leader(cluster->nodes[i].node))
            continue;
        if (!node_ready(cluster->nodes[i].node))
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

bool cluster_has_leader(struct cluster *cluster)
{
    return cluster_leader(cluster) >= 0;
}

/* ---- a client ------------------------------------------------------------------------------------------ */

struct cluster_client {
    struct cluster *cluster;
    struct net_side *side;
    void *connection;
    bool open;
    bool welcomed;
    int64_t welcome; /* status, 1: none yet */
    char welcome_text[256];
    uint64_t next_id;
    uint64_t wanted;
    struct cluster_reply *reply;
    uint64_t event_count;
    struct codec_stream_event last; /* its numbers; of the stream that was opened last */
    uint64_t replies;
    int64_t number;
    uint64_t answered; /* a bit for each small id */
    struct codec_stream_end end;
    bool ended;
    _Alignas(16) unsigned char arena[1 << 20];
};

/* Revisions of a stream rise: whoever goes on behind the last one that it has seen would miss a lower one. */
static void take_event(struct cluster_client *client, const struct codec_stream_event *event)
{
    client->event_count++;
    if (event->id != client->last.id)
        return;
    if (event->index < client->last.index ||
        (event->index == client->last.index && event->ordinal <= client->last.ordinal)) {
        fprintf(stderr, "the event (%llu, %llu) comes behind (%llu, %llu)\n", (unsigned long long)event->index,
                (unsigned long long)event->ordinal, (unsigned long long)client->last.index,
                (unsigned long long)client->last.ordinal);
        abort();
    }
    client->last.index = event->index;
    client->last.ordinal = event->ordinal;
}

static void client_message(void *context, void *cookie, struct gavel_slice bytes)
{
    struct cluster_client *client = cookie;
    struct codec_arena arena = codec_arena(client->arena, sizeof client->arena);
    struct gavel_limits limits = codec_limits(4u << 20);
    struct gavel_error error;
    uint64_t type;
    void *message;

    (void)context;
    if (codec_message_decode(codec_msgpack(), NULL, bytes, &limits, &arena, &type, &message, &error) != 0) {
        fprintf(stderr, "client: %s\n", error.text);
        abort();
    }
    if (type == CODEC_WELCOME) {
        const struct codec_welcome *welcome = message;

        client->welcomed = welcome->status == 0;
        client->welcome = welcome->status;
        snprintf(client->welcome_text, sizeof client->welcome_text, "%.*s", (int)welcome->text.size,
                 welcome->text.data ? (const char *)welcome->text.data : "");
    } else if (type == CODEC_STREAM_EVENT) {
        take_event(client, message);
    } else if (type == CODEC_STREAM_END) {
        client->end = *(struct codec_stream_end *)message;
        client->ended = true;
    } else if (type == CODEC_REPLY) {
        const struct codec_reply *reply = message;
        struct cluster_reply *to = client->reply;

        client->replies++;
        if (reply->id < 64)
            client->answered |= UINT64_C(1) << reply->id;
        if (!to || reply->id != client->wanted) {
            client->number = reply->status == 0 && reply->result.size ? codec_int_or(reply->result, -1) : -1;
            return;
        }
        to->came = true;
        to->status = reply->status;
        to->index = reply->index;
        snprintf(to->text, sizeof to->text, "%.*s", (int)reply->text.size,
                 reply->text.data ? (const char *)reply->text.data : "");
        to->result_size = reply->result.size < sizeof to->result ? reply->result.size : 0;
        if (to->result_size)
            memcpy(to->result, reply->result.data, to->result_size);
        to->session = codec_uint_or(codec_map_find(reply->result, "session"), 0);
        to->number = reply->result.size ? codec_int_or(reply->result, -1) : -1;
    }
}

static void client_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    (void)context;
    (void)peer;
    ((struct cluster_client *)cookie)->open = true;
}

static void client_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    (void)context;
    (void)reason;
    (void)why;
    ((struct cluster_client *)cookie)->open = false;
}

static void client_quiet(void *context)
{
    (void)context;
}

static const struct gavel_transport_events client_events = {.size = sizeof client_events,
                                                            .connected = client_connected,
                                                            .message = client_message,
                                                            .quiet = client_quiet,
                                                            .closed = client_closed};

struct cluster_client *cluster_client(struct cluster *cluster, uint32_t number, uint64_t role)
{
    return cluster_client_as(cluster, number, role, "client");
}

static struct cluster_client *dial(struct cluster *cluster, const char *uri, const char *side)
{
    struct cluster_client *client = aligned_alloc(16, sizeof *client);
    struct gavel_error error;

    memset(client, 0, sizeof *client);
    client->cluster = cluster;
    client->number = -1;
    client->welcome = 1;
    client->side = net_side(cluster->net, side);
    net_transport.prepare(client->side, &client_events, NULL, &error); /* one side serves many clients */
    net_transport.connect(client->side, gavel_text(uri), client, &client->connection, &error);
    for (int i = 0; i < 50 && !client->open; i++)
        cluster_run(cluster, 1);
    return client;
}

struct cluster_client *cluster_dial(struct cluster *cluster, uint32_t number, const char *side)
{
    return dial(cluster, cluster->nodes[number].uri, side);
}

struct cluster_client *cluster_client_as(struct cluster *cluster, uint32_t number, uint64_t role, const char *side)
{
    const struct cluster_node *node = &cluster->nodes[number];
    struct cluster_client *client = dial(cluster, role == CODEC_ROLE_ADMIN ? node->admin_uri : node->uri, side);
    struct gavel_slice names[1] = {gavel_text("msgpack")};
    struct codec_hello hello = {.role = role,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .name = gavel_text("test"),
                                .serializers = {.items = names, .count = 1, .stride = sizeof names[0]}};

    cluster_send(client, CODEC_HELLO, &hello);
    for (int i = 0; i < 50 && !client->welcomed && client->open; i++)
        cluster_run(cluster, 1);
    return client;
}

int64_t cluster_client_welcome(const struct cluster_client *client, const char **text)
{
    *text = client->welcome_text;
    return client->welcome;
}

void cluster_client_free(struct cluster_client *client)
{
    /* Also one that is still being dialled. */
    net_transport.close(client->side, client->connection, GAVEL_CLOSE_NORMAL, gavel_text("done"));
    cluster_run(client->cluster, 1);
    net_forget(client->connection);
    free(client);
}

void cluster_send_raw(struct cluster_client *client, struct gavel_slice bytes)
{
    net_transport.send(client->side, client->connection, &bytes, 1);
}

void cluster_send(struct cluster_client *client, uint64_t type, const void *message)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    if (codec_message_encode(codec_msgpack(), NULL, type, message, &out, &error) != 0) {
        fprintf(stderr, "client: %s\n", error.text);
        abort();
    }
    if (type == CODEC_STREAM_OPEN)
        client->last = (struct codec_stream_event){.id = ((const struct codec_stream_open *)message)->id};
    cluster_send_raw(client, gavel_buffer_slice(&out));
    gavel_buffer_free(&out);
}

void cluster_call(struct cluster_client *client, struct codec_request *request, struct cluster_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    request->id = ++client->next_id;
    client->wanted = request->id;
    client->reply = reply;
    cluster_send(client, CODEC_REQUEST, request);
    for (int i = 0; i < 8000 && !reply->came && client->open; i++)
        cluster_run(client->cluster, 1);
    client->reply = NULL;
}

void cluster_command(struct cluster_client *client, const char *command, uint64_t session, uint64_t sequence,
                     struct cluster_reply *reply, const char *const *pairs)
{
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_request request = {.command = gavel_text(command), .session = session, .sequence = sequence};
    struct gavel_error error;
    uint64_t count = 0;

    while (pairs && pairs[count])
        count++;
    if (codec_pairs(NULL, command, pairs, count, NULL, NULL, &arguments, &error) != 0) {
        fprintf(stderr, "client: %s\n", error.text);
        abort();
    }
    request.arguments = gavel_buffer_slice(&arguments);
    cluster_call(client, &request, reply);
    gavel_buffer_free(&arguments);
}

void cluster_pad(struct cluster_client *client, uint32_t size, struct cluster_reply *reply)
{
    char *pair = malloc(size + 7);
    const char *const pairs[] = {pair, NULL};

    memcpy(pair, "bytes=", 6);
    memset(pair + 6, 'x', size);
    pair[size + 6] = 0;
    cluster_command(client, "pad", 0, 0, reply, pairs);
    free(pair);
}

void cluster_post(struct cluster_client *client, uint64_t id, struct codec_request *request)
{
    request->id = id;
    cluster_send(client, CODEC_REQUEST, request);
}

bool cluster_client_answered(const struct cluster_client *client, uint64_t id)
{
    return client->answered >> id & 1;
}

int64_t cluster_client_number(const struct cluster_client *client)
{
    return client->number;
}

uint64_t cluster_client_replies(const struct cluster_client *client)
{
    return client->replies;
}

bool cluster_client_open(const struct cluster_client *client)
{
    return client->open;
}

uint64_t cluster_client_events(const struct cluster_client *client)
{
    return client->event_count;
}

struct codec_stream_end *cluster_client_end(struct cluster_client *client)
{
    return client->ended ? &client->end : NULL;
}
