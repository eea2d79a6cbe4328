/* SPDX-License-Identifier: Apache-2.0 */
/* node_probe_test.c - what a node says of its own readiness, from its start to its stop. */
#include "tests/unit/node_cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/codec/value.h"
#include "core/host/probes.h"
#include "core/host/ready.h"
#include "core/log/snapshot.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"

#define PROBE_LAG 2048

/* The reason of a probe; "" when it is well. */
static const char *reason_of(struct cluster *cluster, uint32_t number, const char *name)
{
    static struct node_probe probes[NODE_PROBES_MAX];
    uint32_t count = node_probes(cluster->nodes[number].node, probes);

    assert_int_equal(count, NODE_PROBES_MAX); /* always the same ones */
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(probes[i].ok, probes[i].reason[0] == 0);
        if (strcmp(probes[i].name, name) == 0)
            return probes[i].reason;
    }
    fail_msg("no probe is called %s", name);
    return "";
}

static uint32_t failing(struct cluster *cluster, uint32_t number)
{
    struct node_probe probes[NODE_PROBES_MAX];
    uint32_t count = node_probes(cluster->nodes[number].node, probes), bad = 0;

    for (uint32_t i = 0; i < count; i++)
        bad += !probes[i].ok;
    return bad;
}

static void test_from_start_to_loss_of_the_majority(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    cluster_init(&cluster, 3, 7);
    cluster_start(&cluster, 0);
    cluster_run(&cluster, 500);
    assert_true(failing(&cluster, 0) > 0);
    assert_string_not_equal(reason_of(&cluster, 0, "member"), ""); /* it founds nothing alone */
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    cluster_run(&cluster, 1000);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(failing(&cluster, i), 0);
    leader = (uint32_t)cluster_leader(&cluster);
    cluster_crash(&cluster, leader, OS_MEM_DROP_ALL);
    cluster_crash(&cluster, (leader + 1) % 3, OS_MEM_DROP_ALL);
    cluster_run(&cluster, 3000);
    assert_int_equal(failing(&cluster, (leader + 2) % 3), 1);
    assert_non_null(strstr(reason_of(&cluster, (leader + 2) % 3, "leader"), "no leader is known in term"));
    node_stop(cluster.nodes[(leader + 2) % 3].node);
    assert_string_equal(reason_of(&cluster, (leader + 2) % 3, "running"), "this node is stopping");
    cluster_free(&cluster);
}

/* ---- each row, through each door --------------------------------------------------------------------------- */

static bool disk_full;

static int no_room(void *ctx, enum os_mem_op op, const char *path)
{
    (void)ctx, (void)path;
    return disk_full && op == OS_MEM_OPEN ? -ENOSPC : 0; /* no next file of the log */
}

static bool says_full(struct cluster *cluster)
{
    return reason_of(cluster, 0, "disk")[0] != 0;
}

static bool is_well(struct cluster *cluster)
{
    return failing(cluster, 0) == 0;
}

/* What one trouble has to look like from everywhere. */
static const struct trouble {
    const char *row;
    const char *sentence; /* a part of it */
    bool not_ready;
    bool not_started;
    uint64_t alarm;
} troubles[] = {
    {"restored", "being read back", true, true, HEALTH_ALARM_RESTORING},
    {"member", "was removed", true, false, HEALTH_ALARM_NO_MEMBER},
    {"member", "waits for the listed members", true, false, HEALTH_ALARM_NO_MEMBER},
    {"running", "is stopping", true, false, 0},
    {"leader", "no leader is known in term 1", true, false, HEALTH_ALARM_NO_LEADER},
    {"applied", "committed entries", true, false, 0},
    {"recovered", "are being fetched again", true, false, HEALTH_ALARM_RECOVERING},
    {"state", "differs from the majority's", true, false, HEALTH_ALARM_FENCED},
    {"disk", "disk is full", false, false, HEALTH_ALARM_NO_SPACE},
};

struct shown {
    const struct trouble *trouble;
    bool seen;
    bool ready;
};

/* As the observer prometheus goes through them for /readyz. */
static void show(void *context, const struct gavel_probe *rows, uint64_t count, uint64_t stride)
{
    struct shown *shown = context;

    assert_int_equal(stride, sizeof rows[0]);
    assert_int_equal(count, 1 + NODE_PROBES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        if (!(rows[i].questions & GAVEL_PROBE_READY))
            continue;
        shown->ready = shown->ready && rows[i].ok;
        if (shown->trouble && strcmp(rows[i].name, shown->trouble->row) == 0) {
            shown->seen = true;
            assert_false(rows[i].ok);
            assert_non_null(strstr(rows[i].reason, shown->trouble->sentence));
        } else {
            assert_true(rows[i].ok);
        }
    }
}

static void through_readyz(const struct node *node, const struct trouble *trouble)
{
    struct host_probes *probes = host_probes_new();
    struct shown shown = {.trouble = trouble, .ready = true};
    struct node_probe found[NODE_PROBES_MAX];
    struct gavel_probe rows[NODE_PROBES_MAX];

    assert_non_null(probes);
    host_ready_rows(found, node_probes(node, found), rows);
    host_probes_put(probes, rows, NODE_PROBES_MAX, 1);
    host_probes_show(probes, 1, show, &shown);
    assert_int_equal(shown.ready, !trouble || !trouble->not_ready);
    assert_int_equal(shown.seen, trouble && trouble->not_ready);
    host_probes_free(probes);
}

/* The document that gavel status and gavel health --ready read. */
static void through_status(struct node *node, const struct trouble *trouble)
{
    struct gavel_buffer body = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_slice document, rows, key, row, reason;
    struct codec_walk walk;
    char text[NODE_REASON_MAX];
    bool bad = trouble && trouble->not_ready;
    uint64_t ready = 2;

    node_status(node, codec_writer_begin(&writer, &body));
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    document = gavel_buffer_slice(&body);
    assert_int_equal(codec_get_bool(codec_map_find(document, "ready"), &ready), GAVEL_OK);
    assert_int_equal(ready, !bad);
    rows = codec_map_find(document, "not_ready");
    assert_int_equal(codec_value_count(rows), bad);
    codec_walk_begin(&walk, rows);
    while (codec_walk_next(&walk, &key, &row)) {
        assert_true(gavel_slice_equal(codec_string_or(codec_map_find(row, "probe"), ""), gavel_text(trouble->row)));
        reason = codec_string_or(codec_map_find(row, "reason"), "");
        snprintf(text, sizeof text, "%.*s", (int)reason.size, (const char *)reason.data);
        assert_non_null(strstr(text, trouble->sentence));
    }
    row = codec_map_find(document, "report");
    assert_int_equal(codec_uint_or(codec_map_find(row, "alarms"), 99), trouble ? trouble->alarm : 0);
    gavel_buffer_free(&body);
}

/* READY=1 and STATUS= of sd_notify. */
static void through_notify(const struct node *node, const struct trouble *trouble)
{
    struct node_view view;
    char line[512];

    node_view(node, &view);
    host_ready_line(&view, line, sizeof line);
    assert_int_equal(view.started, !trouble || !trouble->not_started);
    assert_int_equal(view.ready, !trouble || !trouble->not_ready);
    if (trouble && trouble->not_ready)
        assert_non_null(strstr(line, trouble->sentence));
    else
        assert_string_equal(line, "leader, term 1");
}

static void through_all_doors(struct cluster *cluster, const struct trouble *trouble)
{
    struct node *node = cluster->nodes[0].node;

    assert_int_equal(failing(cluster, 0), trouble ? 1 : 0);
    if (trouble)
        assert_non_null(strstr(reason_of(cluster, 0, trouble->row), trouble->sentence));
    assert_int_equal(node_ready(node), !trouble || !trouble->not_ready);
    assert_int_equal(node_well(node, NODE_PROBE_STARTED), !trouble || !trouble->not_started);
    through_readyz(node, trouble);
    through_status(node, trouble);
    through_notify(node, trouble);
}

/* The disk is filled for real: what it says of itself is not a flag. */
static void fill_disk(struct cluster *cluster, struct cluster_client *client, bool full)
{
    struct cluster_reply reply;

    disk_full = full;
    os_mem_set_hook(cluster->nodes[0].disk, no_room, NULL);
    for (int i = 0; full && i < 400 && !says_full(cluster); i++)
        cluster_pad(client, 500000, &reply);
    assert_true(full ? says_full(cluster) : cluster_until(cluster, is_well, 60000));
}

/* One trouble, made or undone. */
static void make(struct cluster *cluster, struct cluster_client *client, size_t number, bool on)
{
    struct node *node = cluster->nodes[0].node;
    const char *row = troubles[number].row;

    if (strcmp(row, "restored") == 0)
        node->phase = on ? NODE_RESTORING : NODE_RUNNING;
    else if (strcmp(row, "member") == 0 && strstr(troubles[number].sentence, "removed"))
        node->removed = on;
    else if (strcmp(row, "member") == 0)
        node->phase = on ? NODE_FOUNDING : NODE_RUNNING;
    else if (strcmp(row, "running") == 0)
        node->phase = on ? NODE_HANDING : NODE_RUNNING;
    else if (strcmp(row, "leader") == 0) {
        node->leader = on ? 0 : node->member_id;
        node->leaderless_ns = on ? 1 : 0; /* for long */
    } else if (strcmp(row, "applied") == 0)
        node->applied = on ? node->applied - PROBE_LAG - 1 : node->applied + PROBE_LAG + 1;
    else if (strcmp(row, "recovered") == 0)
        node->raft->recovering = on;
    else if (strcmp(row, "state") == 0)
        node->fenced = on;
    else
        fill_disk(cluster, client, on);
}

static void test_each_row_through_each_door(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    struct node *node;

    (void)state;
    cluster_init(&cluster, 1, 7);
    cluster_start(&cluster, 0);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    node = cluster.nodes[0].node;
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    for (int i = 0; i < 2100; i++)
        cluster_pad(client, 1, &reply);
    through_all_doors(&cluster, NULL);
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        make(&cluster, client, i, true);
        through_all_doors(&cluster, &troubles[i]);
        make(&cluster, client, i, false);
        through_all_doors(&cluster, NULL);
    }

    /* Who lags by what it may is well, but not before it has caught up once. */
    node->applied -= PROBE_LAG;
    through_all_doors(&cluster, NULL);
    node->caught_up = false;
    assert_string_not_equal(reason_of(&cluster, 0, "applied"), "");
    node->applied += PROBE_LAG;
    through_all_doors(&cluster, NULL);
    /* A passing election is no alarm. */
    node->leader = 0;
    assert_false(node_ready(node));
    assert_int_equal(report_make(node).alarms, 0);
    node->leader = node->member_id;
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* ---- under load -------------------------------------------------------------------------------------------- */

/* Everything but the apply lane, until nothing is left to do. */
static void all_but_apply(struct cluster *cluster)
{
    struct os_inline *lanes = &cluster->nodes[0].lanes;
    bool busy = true;

    while (busy) {
        busy = net_deliver(cluster->net);
        busy |= os_inline_run(lanes, OS_LANE_LOG) | os_inline_done(lanes, OS_LANE_LOG);
        busy |= os_inline_run(lanes, OS_LANE_DISK) | os_inline_done(lanes, OS_LANE_DISK);
        busy |= os_inline_run(lanes, OS_LANE_WORKER) | os_inline_done(lanes, OS_LANE_WORKER);
    }
}

static void post_write(struct cluster *cluster, struct cluster_client *client, uint64_t id)
{
    struct codec_request request = {.command = gavel_text("increment"),
                                    .arguments = gavel_bytes("\x81\xa4name\xa1n", 8),
                                    .remaining_ms = 60000};

    cluster_post(client, id, &request);
    all_but_apply(cluster);
}

/* Complete what the apply lane is at. */
static void complete_apply(struct cluster *cluster)
{
    assert_true(os_inline_run(&cluster->nodes[0].lanes, OS_LANE_APPLY));
    assert_true(os_inline_done(&cluster->nodes[0].lanes, OS_LANE_APPLY));
    all_but_apply(cluster);
}

static struct cluster_client *lane_node(struct cluster *cluster)
{
    cluster->threaded = true;
    cluster_start(cluster, 0);
    assert_true(cluster_until(cluster, cluster_has_leader, 10000));
    return cluster_client(cluster, 0, CODEC_ROLE_CLIENT);
}

static struct codec_request stale_get(void)
{
    return (struct codec_request){.command = gavel_text("get"),
                                  .arguments = gavel_bytes("\x81\xa4name\xa1n", 8),
                                  .read = CODEC_READ_STALE,
                                  .remaining_ms = 60000};
}

#define READS 30 /* ids of reads from here on: small ones can be asked after */

/* While some reads run on the lane others come in, always; a write has its turn all the same, and so have the reads. */
static void test_reads_without_a_gap_do_not_starve_writes(void **state)
{
    struct codec_request get = stale_get();
    struct cluster cluster;
    struct cluster_client *client;

    (void)state;
    cluster_init(&cluster, 1, 7);
    client = lane_node(&cluster);
    cluster_post(client, READS, &get);
    all_but_apply(&cluster);
    for (uint64_t i = 1; i <= 10; i++) {
        post_write(&cluster, client, i);
        cluster_post(client, READS + i, &get);
        all_but_apply(&cluster);
        complete_apply(&cluster); /* reads before i */
        complete_apply(&cluster); /* this write */
        assert_true(cluster_client_answered(client, i));
        assert_true(cluster_client_answered(client, READS + i - 1));
        assert_false(cluster_client_answered(client, READS + i));
    }
    cluster_client_free(client);
    cluster_free(&cluster);
}

static int32_t get_much(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    static const char much[900000];

    (void)self, (void)call, (void)arguments;
    gavel_put_bytes(reply->out, gavel_bytes(much, sizeof much));
    return GAVEL_OK;
}

/* What did not fit into a run of reads comes first in the next one: before those that came meanwhile. */
static void test_reads_without_a_gap_do_not_starve_reads(void **state)
{
    struct codec_request get = stale_get();
    struct cluster cluster;
    struct cluster_client *client;
    uint64_t next = 1;

    (void)state;
    cluster_init(&cluster, 1, 7);
    client = lane_node(&cluster);
    for (uint64_t i = 0; i < cluster.nodes[0].operations.command_count; i++)
        if (strcmp(cluster.nodes[0].commands[i].name, "get") == 0)
            cluster.nodes[0].commands[i].run = get_much;
    for (int run = 0; run < 6; run++) { /* there are always fifteen */
        while (next - cluster_client_replies(client) <= 15)
            cluster_post(client, next++, &get);
        all_but_apply(&cluster);
        complete_apply(&cluster);
    }
    for (uint64_t id = 1; id <= 15; id++)
        assert_true(cluster_client_answered(client, id));
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* A snapshot that somebody asks for while the lane has the state is taken as soon as it lets go. */
static void test_a_snapshot_under_load_without_a_gap(void **state)
{
    struct codec_request take = {.machine = gavel_text("gavel"), .command = gavel_text("snapshot"),
                                 .arguments = gavel_bytes("\x80", 1), .remaining_ms = 60000};
    struct codec_request save = take;
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_client *admin;
    struct node *node;

    (void)state;
    cluster_init(&cluster, 1, 7);
    client = lane_node(&cluster);
    node = cluster.nodes[0].node;
    admin = cluster_client(&cluster, 0, CODEC_ROLE_ADMIN);
    save.command = gavel_text("snapshot_open");
    post_write(&cluster, client, 1);
    for (uint64_t i = 2; i < 40 && !cluster_client_answered(admin, 2); i++) {
        assert_true(!work_idle(node) || node->apply_hold);
        if (i == 4)
            cluster_post(admin, 1, &take);
        if (cluster_client_answered(admin, 1) && i % 10 == 0)
            cluster_post(admin, 2, &save);
        post_write(&cluster, client, i);
        complete_apply(&cluster);
        cluster.clock.mono_ns += UINT64_C(10000000);
        node_deadline(node);
        all_but_apply(&cluster);
    }
    assert_true(cluster_client_answered(admin, 1));
    assert_true(cluster_client_answered(admin, 2));
    assert_int_equal(log_snapshot_count(node->log), 2);
    cluster_client_free(admin);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* Nor is what is due each second put off for ever: a session expires although the lane is busy whenever one looks. */
static void test_a_session_expires_under_load_without_a_gap(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    struct node *node;
    uint64_t sessions = 0;

    (void)state;
    cluster_init(&cluster, 1, 7);
    cluster.limits.session_ttl_ms = 2000;
    client = lane_node(&cluster);
    node = cluster.nodes[0].node;
    cluster_command(client, "gavel.session_register", 0, 0, &reply, NULL);
    assert_int_equal(reply.status, 0);
    assert_int_equal(sessions_count(apply_sessions(node->apply)), 1);
    post_write(&cluster, client, 100);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_true(node->applying);
        cluster.clock.mono_ns += UINT64_C(100000000);
        cluster.clock.wall_ms += 100;
        node_deadline(node);
        post_write(&cluster, client, 100 + i);
        complete_apply(&cluster);
        sessions = sessions_count(apply_sessions(node->apply));
    }
    assert_int_equal(sessions, 0);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* While one run is applied the next write is committed, always: a node that keeps up is ready all the same. */
static void test_ready_under_load_without_a_gap(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct node *node;

    (void)state;
    cluster_init(&cluster, 1, 7);
    client = lane_node(&cluster);
    node = cluster.nodes[0].node;
    node->caught_up = false; /* as after a start into the middle of it */
    post_write(&cluster, client, 100);
    for (int i = 0; i < 3; i++) {
        assert_true(node->applying);
        post_write(&cluster, client, 100);
        assert_true(node_commit(node) > node->run.last);
        complete_apply(&cluster);
        assert_true(node_applied(node) < node_commit(node));
        assert_true(node_ready(node));
    }
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* ---- what others say --------------------------------------------------------------------------------------- */

static struct net_side *odd; /* it answers every hello with `odd_text` */
static char odd_text[512];

static void *odd_accepted(void *context, void *handle, const struct gavel_peer *from)
{
    (void)context, (void)from;
    return handle;
}

static void odd_message(void *context, void *cookie, struct gavel_slice bytes)
{
    struct codec_welcome welcome = {.status = GAVEL_E_DENIED, .founded = 1, .name = gavel_text("odd"),
                                    .version_major = CODEC_PROTOCOL_MAJOR, .text = gavel_text(odd_text)};
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice part;

    (void)context, (void)bytes;
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_WELCOME, &welcome, &out, NULL), GAVEL_OK);
    part = gavel_buffer_slice(&out);
    (void)net_transport.send(odd, cookie, &part, 1);
    gavel_buffer_free(&out);
}

static void odd_quiet(void *context)
{
    (void)context;
}

static void odd_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    (void)context, (void)cookie, (void)reason, (void)why;
}

static const struct gavel_transport_events odd_events = {.size = sizeof odd_events,
                                                         .accepted = odd_accepted,
                                                         .message = odd_message,
                                                         .quiet = odd_quiet,
                                                         .closed = odd_closed};

/* However long a sentence is and wherever it has to be cut, the documents that show it are whole. */
static void test_sentences_of_others(void **state)
{
    (void)state;
    for (int lead = 0; lead < 4; lead++) {
        struct gavel_buffer body = codec_buffer(0);
        struct codec_writer writer;
        struct cluster cluster;
        struct gavel_slice bound;
        struct node_view view;

        (void)snprintf(odd_text, sizeof odd_text, "%.*s\n", lead, "....");
        for (size_t at = strlen(odd_text); at < 400; at += 3)
            memcpy(odd_text + at, "\xe2\x82\xac", 4);
        cluster_init(&cluster, 1, 7);
        odd = net_side(cluster.net, "odd");
        assert_int_equal(net_transport.prepare(odd, &odd_events, NULL, NULL), GAVEL_OK);
        assert_int_equal(net_transport.listen(odd, gavel_text("mem://odd"), &bound, NULL), GAVEL_OK);
        cluster.nodes[0].join[0] = "mem://odd";
        cluster.nodes[0].join_count = 1;
        cluster_start(&cluster, 0);
        cluster_run(&cluster, 3000);
        assert_non_null(strstr(reason_of(&cluster, 0, "member"), "says: "));
        node_view(cluster.nodes[0].node, &view);
        assert_true(mp_utf8(view.reason, strlen(view.reason)));
        assert_null(strchr(view.reason, '\n'));
        node_status(cluster.nodes[0].node, codec_writer_begin(&writer, &body));
        assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
        gavel_buffer_free(&body);
        cluster_free(&cluster);
    }
}

static void test_text_to_show(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\nb\x7f", "a b "},
        {"\xff\xc3\xa9\xe2\x82", "?\xc3\xa9??"}, /* no character, one, and one that is cut */
        {"1234567", "1234567"},
        {"12345678", "1234567"},
        {"12345\xe2\x82\xac", "12345??"},
        {"1234\xe2\x82\xac", "1234\xe2\x82\xac"},
    };
    char shown[8];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        members_show_text(shown, sizeof shown, gavel_text(rows[i].text));
        assert_string_equal(shown, rows[i].shown);
    }
    members_show_text(shown, sizeof shown, gavel_bytes(NULL, 0));
    assert_string_equal(shown, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_to_show),
        cmocka_unit_test(test_sentences_of_others),
        cmocka_unit_test(test_ready_under_load_without_a_gap),
        cmocka_unit_test(test_reads_without_a_gap_do_not_starve_writes),
        cmocka_unit_test(test_reads_without_a_gap_do_not_starve_reads),
        cmocka_unit_test(test_a_snapshot_under_load_without_a_gap),
        cmocka_unit_test(test_a_session_expires_under_load_without_a_gap),
        cmocka_unit_test(test_each_row_through_each_door),
        cmocka_unit_test(test_from_start_to_loss_of_the_majority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
