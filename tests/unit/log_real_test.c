/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_real_test.c - the log over real files and real lanes: a process that appends is killed at any moment, and what it
 * had reported as durable is there when the next one opens the directory.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log/inspect.h"
#include "core/log/log.h"
#include "core/os/real.h"

#define ROUNDS 6
#define APPENDS_BEFORE_KILL 40 /* acknowledged ones, times the round */

struct node {
    struct os os;
    struct os_lanes *lanes;
    int wake[2];
    struct log_pool *pool;
    struct log *log;
    struct log_recovery recovery;
    struct gavel_error error;
    uint64_t io;
    uint64_t written;
    bool failed;
    bool stopped;
};

static void on_wake(void *ctx)
{
    struct node *node = ctx;
    char byte = 1;

    assert(write(node->wake[1], &byte, 1) == 1);
}

static void on_written(void *ctx, uint64_t io)
{
    ((struct node *)ctx)->written = io;
}

static void on_failed(void *ctx, const struct gavel_error *error)
{
    (void)fprintf(stderr, "%s\n", error->text);
    ((struct node *)ctx)->failed = true;
}

static void on_stopped(void *ctx)
{
    ((struct node *)ctx)->stopped = true;
}

static int node_open(struct node *node, const char *dir)
{
    struct log_events events = {.ctx = node, .written = on_written, .failed = on_failed};
    struct log_options options = {.dir = dir, .name = "real", .segment_bytes = 131072, .cache_bytes = 4096};

    memset(node, 0, sizeof *node);
    assert(pipe(node->wake) == 0);
    node->lanes = os_lanes_new(on_wake, node);
    node->pool = log_pool_new(1 << 20);
    options.pool = node->pool;
    os_real_init(&node->os, node->lanes);
    return log_open(&node->os, &options, &events, &node->log, &node->recovery, &node->error);
}

/* One turn of the loop: wait for a lane, take its news. */
static void node_turn(struct node *node)
{
    char bytes[64];

    assert(read(node->wake[0], bytes, sizeof bytes) > 0);
    (void)os_lanes_drain(node->lanes);
}

static void node_close(struct node *node)
{
    if (node->log) {
        log_stop(node->log, on_stopped, node);
        while (!node->stopped)
            node_turn(node);
    }
    node->lanes = os_lanes_free(node->lanes);
    node->log = log_free(node->log);
    log_recovery_free(&node->recovery);
    node->pool = log_pool_free(node->pool);
    (void)close(node->wake[0]);
    (void)close(node->wake[1]);
}

static void node_append(struct node *node, uint64_t term)
{
    struct log_builder builder = {0};
    struct log_entry entry = {.kind = LOG_COMMAND};
    struct log_batch *batch;
    char text[200];
    uint64_t index = log_last(node->log) + 1;

    memset(text, 'x', sizeof text);
    (void)snprintf(text, sizeof text, "entry %llu", (unsigned long long)index);
    entry.payload = gavel_bytes(text, sizeof text);
    assert(log_builder_add(&builder, &entry) == 0);
    assert(log_builder_seal(&builder, node->pool, term, index, 1, 1, log_chain(node->log), &batch) == 0);
    assert(log_append(node->log, ++node->io, batch) == 0);
    (void)log_batch_unref(batch);
    log_builder_free(&builder);
}

/* The life that is going to be killed: appends for ever, a few at a time, and reports each durable index. */
static void live(const char *dir, int report)
{
    struct node node;
    uint64_t told = 0;
    uint64_t term;

    if (node_open(&node, dir))
        _exit(1);
    term = node.recovery.term + 1;
    assert(log_vote(node.log, ++node.io, term, 1) == 0);
    for (;;) {
        for (int i = 0; i < 3; i++)
            node_append(&node, term);
        node_turn(&node);
        if (log_durable(node.log) > told) {
            told = log_durable(node.log);
            if (write(report, &told, sizeof told) != sizeof told)
                _exit(2);
        }
    }
}

static void on_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

static void check_all(struct node *node)
{
    for (uint64_t index = log_first(node->log); index <= log_last(node->log); index++) {
        bool done = false;
        struct log_read read = {.from = index, .max_bytes = 1, .done = on_read, .ctx = &done};
        struct log_entries entries;
        struct log_entry entry;
        char text[64];

        if (log_read(node->log, &read) == 0) {
            while (!done)
                node_turn(node);
        }
        assert_int_equal(read.status, 0);
        log_entries_begin(&entries, read.batches[0]->data);
        assert_true(log_entries_next(&entries, &entry));
        (void)snprintf(text, sizeof text, "entry %llu", (unsigned long long)index);
        assert_memory_equal(entry.payload.data, text, strlen(text) + 1);
        log_read_release(&read);
    }
}

static void remove_tree(const char *dir)
{
    char command[300];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static void test_killed(void **state)
{
    char base[] = "/tmp/gavel-log-test-XXXXXX";
    char dir[64];
    uint64_t promised = 0;

    (void)state;
    assert_non_null(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/data", base);
    for (int round = 1; round <= ROUNDS; round++) {
        struct node node;
        struct stat stat_of_dir;
        int report[2];
        uint64_t index;
        pid_t child;
        int status;

        assert_int_equal(pipe(report), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(report[0]);
            live(dir, report[1]);
        }
        (void)close(report[1]);
        for (int i = 0; i < APPENDS_BEFORE_KILL * round; i++) {
            if (read(report[0], &index, sizeof index) != sizeof index)
                break;
            promised = index;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(report[0], &index, sizeof index) == sizeof index)
            promised = index; /* told before it died */
        (void)close(report[0]);
        assert_int_equal(node_open(&node, dir), 0);
        assert_true(node.recovery.start == LOG_START_OK || node.recovery.start == LOG_START_TORN);
        assert_true(log_last(node.log) >= promised);
        check_all(&node);
        node_close(&node);
        assert_int_equal(stat(dir, &stat_of_dir), 0);
        assert_int_equal(stat_of_dir.st_mode & 07777, 0700);
    }
    remove_tree(base);
}

/* Two processes never run on one directory. */
static void test_locked(void **state)
{
    char base[] = "/tmp/gavel-log-test-XXXXXX";
    char dir[64];
    struct node node;
    struct node second;

    (void)state;
    assert_non_null(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/data", base);
    assert_int_equal(node_open(&node, dir), 0);
    assert_int_equal(node_open(&second, dir), GAVEL_E_BUSY);
    assert_non_null(strstr(second.error.text, "in use"));
    node_close(&second);
    node_close(&node);
    remove_tree(base);
}

static void test_no_parent(void **state)
{
    struct node node;

    (void)state;
    assert_int_equal(node_open(&node, "/nonexistent/gavel/data"), GAVEL_E_IO);
    assert_non_null(strstr(node.error.text, "/nonexistent/gavel/data"));
    node_close(&node);
}

static void test_inspect(void **state)
{
    char base[] = "/tmp/gavel-log-test-XXXXXX";
    char dir[64];
    struct node node;
    struct os os;
    struct gavel_error error;
    FILE *sink = fopen("/dev/null", "w");

    (void)state;
    assert_non_null(sink);
    assert_non_null(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/data", base);
    assert_int_equal(node_open(&node, dir), 0);
    node_close(&node);
    os_real_init(&os, NULL);
    assert_int_equal(log_inspect_check(&os, dir, true, sink, &error), 0);
    assert_int_equal(log_inspect_check(&os, base, true, sink, &error), GAVEL_E_CONFIG);
    (void)fclose(sink);
    remove_tree(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_no_parent),
        cmocka_unit_test(test_inspect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
