/* SPDX-License-Identifier: Apache-2.0 */
/* node_probe_test.c - what a node says of its own readiness, from its start to its stop. */
#include "tests/unit/node_cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/internal.h"

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

/* What is wrong with one node fails one probe, and no other. */
static void test_one_trouble_one_probe(void **state)
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
    assert_int_equal(failing(&cluster, 0), 0);
    node->fenced = true;
    assert_int_equal(failing(&cluster, 0), 1);
    assert_non_null(strstr(reason_of(&cluster, 0, "state"), "differs from the majority's"));
    node->fenced = false;
    node->removed = true;
    assert_int_equal(failing(&cluster, 0), 1);
    assert_non_null(strstr(reason_of(&cluster, 0, "member"), "was removed"));
    node->removed = false;
    node->phase = NODE_RESTORING;
    assert_int_equal(failing(&cluster, 0), 1);
    assert_non_null(strstr(reason_of(&cluster, 0, "restored"), "being read back"));
    node->phase = NODE_RUNNING;

    /* A machine that does not follow: more is committed than it has applied by two full batches. */
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    for (int i = 0; i < 2100; i++)
        cluster_pad(client, 1, &reply);
    node->applied -= 2049;
    assert_int_equal(failing(&cluster, 0), 1);
    assert_non_null(strstr(reason_of(&cluster, 0, "applied"), "committed entries"));
    node->applied++;
    assert_int_equal(failing(&cluster, 0), 0);
    node->applied += 2048;

    disk_full = true;
    os_mem_set_hook(cluster.nodes[0].disk, no_room, NULL);
    for (int i = 0; i < 400 && !says_full(&cluster); i++)
        cluster_pad(client, 500000, &reply);
    assert_true(says_full(&cluster));
    assert_int_equal(failing(&cluster, 0), 1);
    disk_full = false;
    assert_true(cluster_until(&cluster, is_well, 60000));
    cluster_client_free(client);
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_trouble_one_probe),
        cmocka_unit_test(test_from_start_to_loss_of_the_majority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
