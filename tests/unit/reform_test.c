/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reform_test.c - gavel recover over real directories: which one is the source, what is refused, and that it can be cut
 * short before every single change and be gone on with.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/codec/value.h"
#include "core/log/inspect.h"
#include "core/log/renew.h"
#include "core/node/bytes.h"
#include "core/node/members_seen.h"
#include "core/node/record.h"
#include "core/node/reform.h"
#include "core/os/inline.h"
#include "core/os/real.h"

static char top[64] = "/tmp/gavel-reform-XXXXXX";
static char paths[3][128];
static uint32_t priority_of_old; /* of each member, as the founding record has it */
static struct os real_os;
static struct gavel_error error;
static const struct log_cluster_id old_cluster = {.bytes = {0xaa, 1, 2, 3}};

/* ---- a machine that stops working -------------------------------------------------------------------------- */

static struct os_file_ops failing_ops;
static uint64_t calls, calls_max; /* changes made, and how many are let through */

static bool gone(void)
{
    return ++calls > calls_max;
}

static int failing_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                           uint32_t flags)
{
    return gone() ? -EIO : os_real_files.pwritev(self, file, iov, count, offset, flags);
}

static int failing_sync(void *self, struct os_file *file)
{
    return gone() ? -EIO : os_real_files.sync(self, file);
}

static int failing_rename(void *self, const char *from, const char *to)
{
    return gone() ? -EIO : os_real_files.rename(self, from, to);
}

static int failing_unlink(void *self, const char *path)
{
    return gone() ? -EIO : os_real_files.unlink(self, path);
}

static int failing_mkdir(void *self, const char *path, uint32_t mode)
{
    return gone() ? -EIO : os_real_files.mkdir(self, path, mode);
}

static int failing_sync_dir(void *self, const char *path)
{
    return gone() ? -EIO : os_real_files.sync_dir(self, path);
}

static struct os failing_os(uint64_t after)
{
    struct os os = real_os;

    failing_ops = os_real_files;
    failing_ops.pwritev = failing_pwritev;
    failing_ops.sync = failing_sync;
    failing_ops.rename = failing_rename;
    failing_ops.unlink = failing_unlink;
    failing_ops.mkdir = failing_mkdir;
    failing_ops.sync_dir = failing_sync_dir;
    os.files = &failing_ops;
    calls = 0;
    calls_max = after;
    return os;
}

/* ---- directories ------------------------------------------------------------------------------------------- */

static void members_of_old(struct members *members, uint64_t next_id)
{
    memset(members, 0, sizeof *members);
    members->next_id = next_id;
    for (uint32_t i = 0; i < 3; i++) {
        struct member *member = &members->items[members->count++];

        member->id = i + 1;
        member->role = RAFT_VOTER;
        member->priority = priority_of_old;
        member->incarnation = 7; /* the test's directories draw their own: see open_dir */
        (void)snprintf(member->name, sizeof member->name, "n%u", i + 1);
        (void)snprintf(member->addresses[0], sizeof member->addresses[0], "tcp://127.0.0.1:%u", 9000 + i);
        member->address_count = 1;
    }
}

static void done_task(struct log_task *task)
{
    assert_int_equal(task->status, 0);
}

static void on_written(void *ctx, uint64_t io)
{
    (void)ctx, (void)io;
}

static void on_failed(void *ctx, const struct gavel_error *why)
{
    (void)ctx;
    fail_msg("%s", why->text);
}

static void on_stopped(void *ctx)
{
    (void)ctx;
}

struct dir {
    struct os os;
    struct os_inline lanes;
    struct log_pool *pool;
    struct log *log;
    struct log_recovery found;
};

static void open_dir(struct dir *dir, int number)
{
    struct log_events events = {.written = on_written, .failed = on_failed};
    struct log_options options = {.dir = paths[number], .name = number == 0 ? "n1" : number == 1 ? "n2" : "n3",
                                  .segment_bytes = LOG_SEGMENT_BYTES_MIN};

    memset(dir, 0, sizeof *dir);
    dir->os = real_os;
    dir->os.lanes = &os_lanes_inline;
    dir->os.lanes_self = &dir->lanes;
    options.pool = dir->pool = log_pool_new(0);
    assert_int_equal(log_open(&dir->os, &options, &events, &dir->log, &dir->found, &error), 0);
    (void)os_inline_pump(&dir->lanes);
}

static void close_dir(struct dir *dir)
{
    log_stop(dir->log, on_stopped, NULL);
    (void)os_inline_pump(&dir->lanes);
    (void)log_free(dir->log);
    log_recovery_free(&dir->found);
    (void)log_pool_free(dir->pool);
}

static void record_of(uint64_t incarnations[3], struct gavel_buffer *record)
{
    struct members members;
    int32_t status = 0;

    members_of_old(&members, 4);
    for (int i = 0; i < 3; i++)
        members.items[i].incarnation = incarnations[i];
    bytes_put32(record, &status, RECORD_VERSION);
    bytes_put(record, &status, old_cluster.bytes, sizeof old_cluster.bytes);
    for (int i = 0; i < 4; i++)
        bytes_put64(record, &status, 1);
    bytes_put32(record, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(members_encode(&members, record), GAVEL_OK);
}

/* Each of the three: `entries` entries of term 1, then `more` of term 2. */
static void make(const int entries[3], const int more[3])
{
    uint64_t incarnations[3];
    struct gavel_buffer record = codec_buffer(0);
    char command[200];

    (void)snprintf(command, sizeof command, "rm -rf %s/*", top);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 3; i++) {
        struct dir dir;

        open_dir(&dir, i);
        incarnations[i] = dir.found.incarnation;
        close_dir(&dir);
    }
    record_of(incarnations, &record);
    for (int i = 0; i < 3; i++) {
        struct log_task founding = {.done = done_task}, identity = {.done = done_task};
        struct log_builder builder = {0};
        uint64_t io = 0;
        struct dir dir;

        open_dir(&dir, i);
        assert_int_equal(log_set_founding(dir.log, record.data, record.size, &founding), 0);
        (void)os_inline_pump(&dir.lanes);
        assert_int_equal(log_set_identity(dir.log, &old_cluster, (uint64_t)i + 1, &identity), 0);
        assert_int_equal(log_vote(dir.log, ++io, 2, 1), 0);
        for (int k = 0; k < entries[i] + more[i]; k++) {
            struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .payload = gavel_text("some command")};
            struct log_batch *batch;

            assert_int_equal(log_builder_add(&builder, &entry), 0);
            assert_int_equal(log_builder_seal(&builder, dir.pool, k < entries[i] ? 1 : 2, log_last(dir.log) + 1, 5,
                                              (uint64_t)k + 77, log_chain(dir.log), &batch), 0);
            assert_int_equal(log_append(dir.log, ++io, batch), 0);
            (void)os_inline_pump(&dir.lanes);
            log_batch_unref(batch);
        }
        log_builder_free(&builder);
        close_dir(&dir);
    }
    gavel_buffer_free(&record);
}

static void spoil(int number)
{
    char path[200];
    uint8_t noise = 0xf1;
    int fd;

    (void)snprintf(path, sizeof path, "%s/log/0000000000000001.seg", paths[number]);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &noise, 1, 4096 + 1024 + 100), 1);
    (void)close(fd);
}

/* ---- running it -------------------------------------------------------------------------------------------- */

static char *said;
static size_t said_size;

static int32_t run(const struct os *os, struct reform_options options)
{
    static const char *all[3];
    FILE *out;
    int32_t status;

    for (int i = 0; i < 3; i++)
        all[i] = paths[i];
    if (!options.dirs) {
        options.dirs = all;
        options.dir_count = 3;
    }
    free(said);
    out = open_memstream(&said, &said_size);
    error.text[0] = 0;
    status = reform(os, &options, out, &error);
    (void)fclose(out);
    return status;
}

static void says(const char *text)
{
    if (!strstr(said, text))
        fail_msg("not said: %s\nin: %s", text, said);
}

static bool there(int number, const char *name)
{
    char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", paths[number], name);
    return access(path, F_OK) == 0;
}

static void read_done(struct log_read *read)
{
    (void)read;
}

/* The directory is the one voter of a new cluster, and its log has everything that it had, and the new members. */
static void check_source(int number, uint64_t last, uint64_t next_id, uint32_t count)
{
    struct members members;
    struct record record;
    struct log_read read = {.max_bytes = 1, .max_batches = 1};
    struct log_entries entries;
    struct log_entry entry;
    struct dir dir;

    open_dir(&dir, number);
    assert_memory_not_equal(dir.found.cluster_id.bytes, old_cluster.bytes, sizeof old_cluster.bytes);
    assert_int_equal(dir.found.last, last + 1);
    assert_int_equal(dir.found.last_term, 3);
    assert_int_equal(dir.found.term, 3);
    assert_int_equal(dir.found.vote, 0);
    assert_int_equal(record_read(gavel_bytes(dir.found.founding, dir.found.founding_bytes), &record, &error), 0);
    assert_memory_equal(record.cluster_id.bytes, dir.found.cluster_id.bytes, sizeof record.cluster_id.bytes);
    read.from = last + 1;
    read.done = read_done;
    if (log_read(dir.log, &read) == 0)
        (void)os_inline_pump(&dir.lanes);
    assert_int_equal(read.count, 1);
    assert_int_equal(read.batches[0]->kind, LOG_CONFIG);
    assert_true(read.batches[0]->head.tick >= 77); /* cluster time does not go back */
    log_entries_begin(&entries, read.batches[0]->data);
    assert_true(log_entries_next(&entries, &entry));
    assert_int_equal(members_decode(entry.payload, &members, &error), 0);
    log_read_release(&read);
    assert_int_equal(members.version, last + 1);
    assert_int_equal(members.next_id, next_id);
    assert_int_equal(members.count, count);
    for (uint32_t i = 0; i < members.count; i++) {
        bool self = members.items[i].id == dir.found.member_id;

        assert_true(!self || members.items[i].priority != RAFT_PRIORITY_NEVER);
        assert_int_equal(members.items[i].role, self ? RAFT_VOTER : RAFT_JOINING);
        assert_int_equal(members.items[i].incarnation, self ? dir.found.incarnation : 0);
    }
    close_dir(&dir);
}

static void check_empty(int number)
{
    struct dir dir;

    open_dir(&dir, number);
    assert_int_equal(dir.found.start, LOG_START_FRESH);
    close_dir(&dir);
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

static const int same[3] = {4, 4, 4}, none[3] = {0, 0, 0};

/* (last term, last index), compared lexicographically: a longer log of an older term is behind. */
static void test_source(void **state)
{
    static const int long_old[3] = {4, 9, 4}, newer[3] = {0, 0, 2};

    (void)state;
    make(long_old, newer);
    assert_int_equal(run(&real_os, (struct reform_options){.dry_run = true, .json = true}), 0);
    says("\"source\":\"");
    says("n3\",\"directories\"");
    says("\"lost\":5"); /* of n2, index 5 to 9 of term 1 */
    says("\"complete\":true");
    assert_false(there(0, LOG_RENEWING));
    assert_false(there(2, LOG_RENEWING));
    assert_int_equal(run(&real_os, (struct reform_options){0}), 0);
    says("lost: 5 entries, index 5 to 9, which the source does not hold");
    assert_true(there(2, LOG_RENEWED));
    check_source(2, 6, 7, 3);
    check_empty(0);
    check_empty(1);
    /* Nothing has happened since: a second run says so, and does nothing. */
    make(same, none);
    assert_int_equal(run(&real_os, (struct reform_options){0}), 0);
    assert_int_equal(run(&real_os, (struct reform_options){0}), 0);
    says("first member of a new cluster already");
    check_source(0, 4, 7, 3);
}

static void test_loss(void **state)
{
    const char *one[1] = {paths[1]};
    const char *two[2] = {paths[1], paths[2]};

    (void)state;
    make(same, none);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = one, .dir_count = 1, .dry_run = true}), 0);
    says("1 of 3 of the old cluster are here");
    says("acknowledged ones too");
    says("2 of them were not named with --data-dir, and may be enough to go on alone"); /* the old cluster's majority */
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = two, .dir_count = 2, .dry_run = true}), 0);
    assert_null(strstr(said, "warning")); /* the third one can do nothing alone */
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = one, .dir_count = 1,
                                                           .members = "n2,n9=tcp://10.0.0.9:1|ws://10.0.0.9:2"}), 0);
    says("n9 voter");
    check_source(1, 4, 6, 2);
}

static void test_damaged(void **state)
{
    static const int longer[3] = {9, 4, 4};
    const char *one[1] = {paths[0]};

    (void)state;
    make(longer, none);
    spoil(0);
    assert_int_equal(run(&real_os, (struct reform_options){.dry_run = true}), 0);
    says("damaged");
    says("n2");
    says("lost: "); /* what only the damaged one had */
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = one, .dir_count = 1}), GAVEL_E_CORRUPT);
    assert_non_null(strstr(error.text, "--source"));
    assert_int_equal(run(&real_os, (struct reform_options){.source = paths[0], .dry_run = true}), 0);
    says("lost with its damage");
    assert_int_equal(run(&real_os, (struct reform_options){.source = paths[0]}), 0);
    check_source(0, 2, 7, 3);
}

static void test_refused(void **state)
{
    const char *two[2] = {paths[0], paths[1]};
    const char *twice[2] = {paths[0], paths[0]};
    const char *nowhere[1] = {"/nonexistent/at-all"};
    const char *tmp[1] = {"/usr"};
    struct dir dir;

    (void)state;
    make(same, none);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = twice, .dir_count = 2}), GAVEL_E_INVALID);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = nowhere, .dir_count = 1}), GAVEL_E_CONFIG);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = tmp, .dir_count = 1}), GAVEL_E_CONFIG);
    assert_int_equal(run(&real_os, (struct reform_options){.source = "/tmp"}), GAVEL_E_INVALID);
    assert_int_equal(run(&real_os, (struct reform_options){.members = "n2,n3"}), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "has to be among the members"));
    assert_int_equal(run(&real_os, (struct reform_options){.members = "n1,n1"}), GAVEL_E_INVALID);
    assert_int_equal(run(&real_os, (struct reform_options){.members = "n1,n8"}), GAVEL_E_INVALID);
    assert_int_equal(run(&real_os, (struct reform_options){.members = "n1,n8=nonsense"}), GAVEL_E_INVALID);
    open_dir(&dir, 1);
    assert_int_equal(run(&real_os, (struct reform_options){0}), GAVEL_E_BUSY);
    close_dir(&dir);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = two, .dir_count = 1}), 0);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = two + 1, .dir_count = 1}), 0);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = two, .dir_count = 2}), GAVEL_E_CONFIG);
    assert_non_null(strstr(error.text, "different clusters"));
}

/* What log_set_fence writes: the state of that node was not the majority's. */
static void fence(int number)
{
    struct log_task fenced = {.done = done_task};
    struct dir dir;

    open_dir(&dir, number);
    assert_int_equal(log_set_fence(dir.log, 3, &fenced), 0);
    close_dir(&dir);
    assert_true(there(number, "fenced"));
}

/* A wrong state is no source, however far its log is; named, it is one that can lead. */
static void test_fenced(void **state)
{
    static const int longer[3] = {9, 4, 4};
    const char *one[1] = {paths[0]};

    (void)state;
    make(longer, none);
    fence(0);
    assert_int_equal(run(&real_os, (struct reform_options){.dry_run = true, .json = true}), 0);
    says("n2\",\"directories\"");
    says("\"state\":\"fenced\"");
    says("\"voters_here\":2");
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = one, .dir_count = 1}), GAVEL_E_CORRUPT);
    assert_non_null(strstr(error.text, "--source"));
    assert_true(there(0, "fenced"));
    assert_int_equal(run(&real_os, (struct reform_options){.source = paths[0]}), 0);
    says("fenced: its state differed from that of the majority");
    assert_false(there(0, "fenced"));
    check_source(0, 9, 7, 3);
}

/* Who was never to lead is the only one that can. */
static void test_priority(void **state)
{
    (void)state;
    priority_of_old = RAFT_PRIORITY_NEVER;
    make(same, none);
    priority_of_old = 0;
    assert_int_equal(run(&real_os, (struct reform_options){0}), 0);
    check_source(0, 4, 7, 3);
}

/* One directory under two names, or a copy of it, is one: it counts once, and is not set aside for itself. */
static void test_same_directory(void **state)
{
    static char again[200], copy[200];
    const char *slash[2] = {paths[0], again}, *twin[2] = {paths[0], copy};
    char command[500];

    (void)state;
    make(same, none);
    (void)snprintf(again, sizeof again, "%s/", paths[0]);
    (void)snprintf(copy, sizeof copy, "%s/copy", top);
    (void)snprintf(command, sizeof command, "cp -a %s %s", paths[0], copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = slash, .dir_count = 2, .members = "n1"}),
                     GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "the same"));
    assert_int_equal(run(&real_os, (struct reform_options){.dirs = twin, .dir_count = 2, .members = "n1"}),
                     GAVEL_E_INVALID);
    assert_false(there(0, LOG_RENEWING));
    assert_true(there(0, "directory"));
}

/* As root on the directory of a user: its node could not read what would be written, and not even start again. */
static void test_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make(same, none);
    assert_int_equal(chown(paths[0], 65534, 65534), 0);
    assert_int_equal(run(&real_os, (struct reform_options){0}), GAVEL_E_DENIED);
    assert_non_null(strstr(error.text, "belongs to another user"));
    assert_false(there(0, LOG_RENEWING));
    assert_int_equal(run(&real_os, (struct reform_options){.dry_run = true}), GAVEL_E_DENIED);
}

/* A plan that was cut short is gone on with, or the run is refused: never with another source than was named. */
static void test_other_source(void **state)
{
    struct os os;

    (void)state;
    make(same, none);
    os = failing_os(5); /* the plan is written, and not carried out */
    assert_int_not_equal(run(&os, (struct reform_options){0}), 0);
    assert_true(there(0, LOG_RENEWING));
    assert_int_equal(run(&real_os, (struct reform_options){.source = paths[1]}), GAVEL_E_CONFIG);
    assert_non_null(strstr(error.text, "earlier run"));
    assert_true(there(0, LOG_RENEWING));
    assert_int_equal(run(&real_os, (struct reform_options){.source = paths[0]}), 0);
    check_source(0, 4, 7, 3);
}

/* What log_open says to a node that is started now. */
static int start_node(int number)
{
    static const struct log_events events = {.written = on_written, .failed = on_failed};
    struct log_options options = {.dir = paths[number], .name = number == 0 ? "n1" : number == 1 ? "n2" : "n3"};
    struct log_recovery found = {0};
    struct log *log = NULL;
    int status;

    options.pool = log_pool_new(0);
    status = log_open(&real_os, &options, &events, &log, &found, &error);
    (void)log_free(log);
    log_recovery_free(&found);
    (void)log_pool_free(options.pool);
    return status;
}

static uint32_t started; /* so many tries of a node to start while it is being done */

static void try_to_start(void)
{
    for (int i = 0; i < 3; i++) {
        int status = start_node(i);

        /* Until something is changed the lock is all that stands in its way; then what is there may as well. */
        if (started == 0 || status != GAVEL_E_CONFIG)
            assert_int_equal(status, GAVEL_E_BUSY);
    }
    started++;
}

static int starting_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                            uint32_t flags)
{
    try_to_start();
    return os_real_files.pwritev(self, file, iov, count, offset, flags);
}

static int starting_rename(void *self, const char *from, const char *to)
{
    try_to_start();
    return os_real_files.rename(self, from, to);
}

/* From the look to the end no node starts on any of them: what was found is what is changed. */
static void test_no_start_between(void **state)
{
    struct os_file_ops starting = os_real_files;
    struct os os = real_os;

    (void)state;
    make(same, none);
    starting.pwritev = starting_pwritev;
    starting.rename = starting_rename;
    os.files = &starting;
    started = 0;
    assert_int_equal(run(&os, (struct reform_options){0}), 0);
    assert_in_range(started, 5, 1000);
    check_source(0, 4, 7, 3);
    check_empty(1);
    check_empty(2);
    make(same, none);
    started = 0;
    assert_int_equal(run(&os, (struct reform_options){.dry_run = true}), 0);
    assert_int_equal(started, 0);
    assert_int_equal(run(&os, (struct reform_options){.source = paths[1]}), 0); /* and the locks are let go of */
    check_source(1, 4, 7, 3);
}

/* Cut short before every change; no node starts in between; the second run ends it. */
static void test_cut_short(void **state)
{
    uint64_t at;

    (void)state;
    for (at = 0; at < 1000; at++) {
        struct os os;
        bool planned;

        make(same, none);
        os = failing_os(at);
        if (run(&os, (struct reform_options){0}) == 0)
            break;
        planned = there(0, LOG_RENEWING);
        if (planned) {
            assert_int_equal(start_node(0), GAVEL_E_CONFIG);
            assert_non_null(strstr(error.text, "gavel recover"));
        }
        assert_int_equal(run(&real_os, (struct reform_options){0}), 0);
        check_source(0, 4, 7, 3);
        check_empty(1);
        check_empty(2);
    }
    assert_in_range(at, 10, 999);
    print_message("cut short before each of %d changes\n", (int)at);
}

/* ---- who else there is ------------------------------------------------------------------------------------- */

/* An entry of that term: a configuration of the first `voters` members, or a command when that is 0. */
static void put_entry(struct dir *dir, uint64_t io, uint64_t term, uint32_t voters)
{
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .payload = gavel_text("some command")};
    struct gavel_buffer bytes = codec_buffer(0);
    struct log_builder builder = {0};
    struct log_batch *batch;
    struct members members;

    if (voters) {
        members_of_old(&members, 4);
        members.count = voters;
        assert_int_equal(members_encode(&members, &bytes), GAVEL_OK);
        entry = (struct log_entry){.kind = LOG_CONFIG, .payload = gavel_buffer_slice(&bytes)};
    }
    assert_int_equal(log_builder_add(&builder, &entry), 0);
    assert_int_equal(log_builder_seal(&builder, dir->pool, term, log_last(dir->log) + 1, 5, 99, log_chain(dir->log),
                                      &batch), 0);
    assert_int_equal(log_append(dir->log, io, batch), 0);
    (void)os_inline_pump(&dir->lanes);
    log_batch_unref(batch);
    log_builder_free(&builder);
    gavel_buffer_free(&bytes);
}

/*
 * Whether others may hold what is damaged here goes by the members that were written last: a truncation does not undo
 * them, and what stood at a higher index before it does not come back.
 */
static void test_others_by_what_was_written_last(void **state)
{
    struct dir dir;

    (void)state;
    make(same, none);
    assert_int_equal(members_seen_others(&real_os, paths[0]), 2); /* as it was founded */
    open_dir(&dir, 0);
    put_entry(&dir, 101, 1, 0);
    put_entry(&dir, 102, 1, 2);
    close_dir(&dir);
    assert_int_equal(members_seen_others(&real_os, paths[0]), 1);
    open_dir(&dir, 0);
    assert_int_equal(log_truncate(dir.log, 101, 5), 0);
    (void)os_inline_pump(&dir.lanes);
    close_dir(&dir);
    assert_int_equal(members_seen_others(&real_os, paths[0]), 1);
    open_dir(&dir, 0);
    put_entry(&dir, 101, 2, 1); /* at 5, and the one before was at 6 */
    close_dir(&dir);
    assert_int_equal(members_seen_others(&real_os, paths[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source), cmocka_unit_test(test_loss), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_fenced), cmocka_unit_test(test_priority),
        cmocka_unit_test(test_same_directory), cmocka_unit_test(test_owner), cmocka_unit_test(test_other_source),
        cmocka_unit_test(test_no_start_between), cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_others_by_what_was_written_last),
    };
    char command[100];
    int failed;

    os_real_init(&real_os, NULL);
    if (!mkdtemp(top))
        return 99;
    for (int i = 0; i < 3; i++)
        (void)snprintf(paths[i], sizeof paths[i], "%s/n%d", top, i + 1);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(said);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command) || failed ? 1 : 0;
}
