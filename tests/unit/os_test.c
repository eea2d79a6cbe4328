/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_test.c - the seam to the machine: checksums, lists, lanes inline and as threads, the disk in memory, real files.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/os/clean.h"
#include "core/os/crc32c.h"
#include "core/os/inline.h"
#include "core/os/list.h"
#include "core/os/mem.h"
#include "core/os/real.h"

/* ---- crc32c, list -------------------------------------------------------------------------------------- */

static void test_crc32c(void **state)
{
    uint8_t bytes[3000];
    uint64_t seed = 5;

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283u);
    memset(bytes, 0, 32); /* RFC 3720, B.4 */
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43u);
    assert_int_equal(crc32c(0, bytes, 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)os_mem_random(&seed);
    for (size_t from = 0; from < 9; from++) {
        for (size_t size = 0; size + from < sizeof bytes; size += size < 300 ? 7 : 61) {
            uint32_t whole = crc32c(77, bytes + from, size);
            uint32_t split;

            assert_int_equal(whole, crc32c_portable(77, bytes + from, size));
            split = crc32c(77, bytes + from, size / 3);
            assert_int_equal(whole, crc32c(split, bytes + from + size / 3, size - size / 3));
        }
    }
}

struct item {
    int number;
    struct os_list link;
};

static void test_list(void **state)
{
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    struct os_list list;
    struct item *item;
    int sum = 0;

    (void)state;
    os_list_init(&list);
    assert_true(os_list_empty(&list));
    assert_null(os_list_pop(&list));
    for (int i = 0; i < 3; i++)
        os_list_push(&list, &items[i].link);
    os_list_remove(&items[1].link);
    os_list_remove(&items[1].link); /* harmless */
    os_list_each(item, &list, struct item, link)
        sum = sum * 10 + item->number;
    assert_int_equal(sum, 13);
    assert_ptr_equal(os_container(os_list_pop(&list), struct item, link), &items[0]);
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

struct work {
    struct os_job job;
    int *order;
    int *at;
    int number;
    int ran;
    int done;
    const struct os *os;
    int again; /* how often `done` submits it again */
};

static void run_work(struct os_job *job)
{
    struct work *work = os_container(job, struct work, job);

    work->ran++;
}

static void done_work(struct os_job *job)
{
    struct work *work = os_container(job, struct work, job);

    work->done++;
    if (work->order)
        work->order[(*work->at)++] = work->number;
    if (work->again) {
        work->again--;
        os_submit(work->os, (enum os_lane)job->lane, job);
    }
}

static void make_work(struct work *work, const struct os *os, int number, int *order, int *at)
{
    memset(work, 0, sizeof *work);
    work->job.run = run_work;
    work->job.done = done_work;
    work->number = number;
    work->order = order;
    work->at = at;
    work->os = os;
}

static void test_inline_lanes(void **state)
{
    struct os_inline lanes = {0};
    struct os os = {.lanes = &os_lanes_inline, .lanes_self = &lanes};
    struct work work[6];
    int order[8];
    int at = 0;

    (void)state;
    for (int i = 0; i < 6; i++) {
        make_work(&work[i], &os, i, order, &at);
        os_submit(&os, i % 2 ? OS_LANE_LOG : OS_LANE_DISK, &work[i].job);
    }
    assert_int_equal(work[0].ran, 0);
    assert_false(os_inline_done(&lanes, OS_LANE_LOG));
    assert_true(os_inline_run(&lanes, OS_LANE_LOG));
    assert_int_equal(work[1].ran, 1);
    assert_int_equal(work[1].done, 0);
    work[1].again = 1;
    assert_int_equal(os_inline_pump(&lanes), 7);
    assert_int_equal(work[1].done, 2);
    assert_int_equal(at, 7);
    assert_int_equal(lanes.submitted, 7);
    for (int i = 0; i < at; i++) /* the order inside each lane is the order of submission */
        for (int j = i + 1; j < at; j++)
            assert_true(order[i] % 2 != order[j] % 2 || order[i] < order[j] || order[j] == 1);
}

/* The pipe stands for the loop's async handle. */
static void wake_pipe(void *ctx)
{
    char byte = 1;

    assert(write(((int *)ctx)[1], &byte, 1) == 1);
}

static void test_real_lanes(void **state)
{
    int pipes[2];
    struct os os;
    struct os_lanes *lanes;
    struct work work[200];
    int order[2000];
    int at = 0;
    int wakes = 0;
    int last[OS_LANES];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    lanes = os_lanes_new(wake_pipe, pipes);
    assert_non_null(lanes);
    os_real_init(&os, lanes);
    for (int i = 0; i < 200; i++) {
        make_work(&work[i], &os, i, order, &at);
        os_submit(&os, (enum os_lane)(i % OS_LANES), &work[i].job);
    }
    while (at < 200) {
        char byte;

        assert_int_equal(read(pipes[0], &byte, 1), 1);
        wakes++;
        (void)os_lanes_drain(lanes);
    }
    assert_true(wakes <= 200);
    memset(last, -1, sizeof last);
    for (int i = 0; i < at; i++) {
        assert_true(order[i] > last[order[i] % OS_LANES]);
        last[order[i] % OS_LANES] = order[i];
    }
    for (int i = 0; i < 200; i++) {
        work[i].again = 3;
        os_submit(&os, OS_LANE_WORKER, &work[i].job);
    }
    os_lanes_stop(lanes); /* what is queued runs to its end, resubmissions too */
    for (int i = 0; i < 200; i++) {
        assert_int_equal(work[i].ran, 5);
        assert_int_equal(work[i].done, 5);
    }
    lanes = os_lanes_free(lanes);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

static void test_lanes_that_never_ran(void **state)
{
    struct os_lanes *lanes = os_lanes_new(wake_pipe, NULL);

    (void)state;
    assert_int_equal(os_lanes_drain(lanes), 0);
    lanes = os_lanes_free(lanes);
    assert_null(os_lanes_free(lanes));
}

/* ---- files: the same test over both implementations ---------------------------------------------------- */

struct names {
    int count;
    bool found;
};

static int see_name(void *ctx, const char *name)
{
    struct names *names = ctx;

    names->count++;
    names->found = names->found || strcmp(name, "b") == 0;
    return 0;
}

static void check_files(const struct os *os, const char *base)
{
    char dir[200];
    char a[220];
    char b[220];
    uint8_t out[100];
    struct os_file *file;
    struct os_file *second;
    struct os_stat stat;
    struct names names = {0};
    struct iovec iov[600]; /* more than one system call takes */
    uint64_t size;
    size_t got;

    (void)snprintf(dir, sizeof dir, "%s%sd", base, base[0] ? "/" : "");
    (void)snprintf(a, sizeof a, "%s/a", dir);
    (void)snprintf(b, sizeof b, "%s/b", dir);
    assert_int_equal(os_mkdir(os, dir, 0700), 0);
    assert_int_equal(os_mkdir(os, dir, 0700), -EEXIST);
    assert_int_equal(os_open(os, a, OS_OPEN_READ, &file), -ENOENT);
    assert_int_equal(os_open(os, a, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file), 0);
    assert_int_equal(os_open(os, a, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &second), -EEXIST);
    assert_int_equal(os_pwrite(os, file, "hello", 5, 3, 0), 0);
    assert_int_equal(os_size(os, file, &size), 0);
    assert_int_equal(size, 8);
    assert_int_equal(os_pread(os, file, out, sizeof out, 1, &got), 0);
    assert_int_equal(got, 7);
    assert_memory_equal(out, "\0\0hello", 7);
    assert_int_equal(os_pread(os, file, out, sizeof out, 100, &got), 0);
    assert_int_equal(got, 0);
    for (int i = 0; i < 600; i++)
        iov[i] = (struct iovec){.iov_base = out + i % 50, .iov_len = (size_t)(i % 3)};
    for (int i = 0; i < 100; i++)
        out[i] = (uint8_t)i;
    assert_int_equal(os_pwritev(os, file, iov, 600, 1000, OS_WRITE_DURABLE), 0);
    assert_int_equal(os_size(os, file, &size), 0);
    assert_int_equal(size, 1600);
    assert_int_equal(os_pread(os, file, out, 3, 1597, &got), 0);
    assert_int_equal(out[2], 599 % 50 + 1);
    assert_int_equal(os_truncate(os, file, 2), 0);
    assert_int_equal(os_size(os, file, &size), 0);
    assert_int_equal(size, 2);
    assert_int_equal(os_sync(os, file), 0);
    assert_int_equal(os_lock(os, file), 0);
    assert_int_equal(os_open(os, a, OS_OPEN_READ, &second), 0);
    assert_int_equal(os_lock(os, second), -EWOULDBLOCK);
    os_close(os, file);
    assert_int_equal(os_lock(os, second), 0);
    os_close(os, second);
    assert_int_equal(os_rename(os, a, b), 0);
    assert_int_equal(os_stat(os, a, &stat), -ENOENT);
    assert_int_equal(os_stat(os, b, &stat), 0);
    assert_int_equal(stat.size, 2);
    assert_int_equal(stat.mode, 0600);
    assert_int_equal(stat.is_dir, 0);
    assert_int_equal(stat.owned, 1);
    assert_int_equal(os_sync_dir(os, dir), 0);
    assert_int_equal(os_list(os, dir, see_name, &names), 0);
    assert_int_equal(names.count, 1);
    assert_true(names.found);
    assert_int_equal(os_chmod(os, dir, 0750), 0);
    assert_int_equal(os_stat(os, dir, &stat), 0);
    assert_int_equal(stat.mode, 0750);
    assert_int_equal(stat.is_dir, 1);
    assert_int_equal(os_unlink(os, b), 0);
    assert_int_equal(os_unlink(os, b), -ENOENT);
    assert_int_equal(os_space(os, dir, &size), 0);
    assert_true(size > 0);
}

static void test_files_in_memory(void **state)
{
    struct os_mem *mem = os_mem_new();
    struct os os = {.files = &os_mem_files, .files_self = mem};

    (void)state;
    check_files(&os, "");
    assert_int_equal(os_mem_open_files(mem), 0);
    mem = os_mem_free(mem);
}

static void test_real_files(void **state)
{
    char base[] = "/tmp/gavel-os-test-XXXXXX";
    char dir[64];
    struct os os;
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    uint64_t before;

    (void)state;
    os_real_init(&os, NULL);
    assert_non_null(mkdtemp(base));
    check_files(&os, base);
    (void)snprintf(dir, sizeof dir, "%s/d", base);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(base), 0);
    before = os_mono_ns(&os);
    assert_true(os_mono_ns(&os) >= before);
    assert_true(os_wall_ms(&os) > 1577836800000u); /* 2020 */
    os_random(&os, a, sizeof a);
    os_random(&os, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* By the numbers of statfs(2): the kernel's type for them may be signed and of 32 bits. */
static void test_file_systems_that_copy(void **state)
{
    struct os os;

    (void)state;
    os_real_init(&os, NULL);
    assert_string_equal(os_real_copying(0x9123683e), "btrfs");
    assert_string_equal(os_real_copying((uint64_t)(int32_t)0x9123683e), "btrfs");
    assert_string_equal(os_real_copying(0xf2f52010), "f2fs");
    assert_null(os_real_copying(0xef53)); /* ext4 */
    assert_null(os_copies_on_write(&os, "/proc"));
    assert_null(os_copies_on_write(&os, "/nowhere"));
}

/* ---- the disk in memory loses power -------------------------------------------------------------------- */

static void put(const struct os *os, const char *path, const char *text, bool sync)
{
    struct os_file *file;

    assert_int_equal(os_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file), 0);
    assert_int_equal(os_pwrite(os, file, text, strlen(text), 0, sync ? OS_WRITE_DURABLE : 0), 0);
    os_close(os, file);
}

static bool has(struct os_mem *mem, const char *path, const char *text)
{
    uint64_t size = 0;
    const uint8_t *bytes = os_mem_peek(mem, path, &size);

    return bytes && size >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static void test_crash(void **state)
{
    struct os_mem *mem = os_mem_new();
    struct os os = {.files = &os_mem_files, .files_self = mem};
    int kept = 0;

    (void)state;
    assert_int_equal(os_mkdir(&os, "d", 0700), 0);
    assert_int_equal(os_sync_dir(&os, "."), 0);
    put(&os, "d/named", "synced", true);
    assert_int_equal(os_sync_dir(&os, "d"), 0);
    put(&os, "d/nameless", "synced", true); /* the bytes are durable, the name is not */
    put(&os, "d/named", "changed", false);
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct os_mem *copy = os_mem_clone(mem);

        os_mem_crash(copy, OS_MEM_RANDOM, seed);
        kept += os_mem_peek(copy, "d/nameless", &(uint64_t){0}) != NULL;
        copy = os_mem_free(copy);
    }
    assert_in_range(kept, 5, 35);
    os_mem_crash(mem, OS_MEM_DROP_ALL, 0);
    assert_true(has(mem, "d/named", "synced"));
    assert_null(os_mem_peek(mem, "d/nameless", &(uint64_t){0}));
    put(&os, "d/named", "changed", false);
    os_mem_crash(mem, OS_MEM_KILL, 0);
    assert_true(has(mem, "d/named", "changed"));
    os_mem_crash(mem, OS_MEM_DROP_ALL, 0);
    assert_true(has(mem, "d/named", "synced"));
    mem = os_mem_free(mem);
}

static int fail_sync(void *ctx, enum os_mem_op op, const char *path)
{
    (void)path;
    return op == OS_MEM_SYNC && *(int *)ctx ? -EIO : 0;
}

/* As Linux does: after a failed sync the pages are clean, a second sync succeeds, and the bytes are lost. */
static void test_failed_sync(void **state)
{
    struct os_mem *mem = os_mem_new();
    struct os os = {.files = &os_mem_files, .files_self = mem};
    struct os_file *file;
    int failing = 0;

    (void)state;
    os_mem_set_hook(mem, fail_sync, &failing);
    put(&os, "f", "before", true);
    assert_int_equal(os_sync_dir(&os, "."), 0);
    assert_int_equal(os_open(&os, "f", OS_OPEN_WRITE, &file), 0);
    assert_int_equal(os_pwrite(&os, file, "after!", 6, 0, 0), 0);
    failing = 1;
    assert_int_equal(os_sync(&os, file), -EIO);
    failing = 0;
    assert_int_equal(os_sync(&os, file), 0);
    os_close(&os, file);
    os_mem_crash(mem, OS_MEM_KEEP_ALL, 0);
    assert_true(has(mem, "f", "before"));
    mem = os_mem_free(mem);
}

static void test_budget_and_stop(void **state)
{
    struct os_mem *mem = os_mem_new();
    struct os os = {.files = &os_mem_files, .files_self = mem};
    struct os_file *file;
    uint8_t bytes[4096] = {1};

    (void)state;
    assert_int_equal(os_open(&os, "f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file), 0);
    os_mem_set_budget(mem, 3 * OS_MEM_SECTOR);
    assert_int_equal(os_pwrite(&os, file, bytes, 4 * OS_MEM_SECTOR, 0, 0), -ENOSPC);
    assert_int_equal(os_pwrite(&os, file, bytes, 3 * OS_MEM_SECTOR, 0, 0), 0);
    assert_int_equal(os_pwrite(&os, file, bytes, OS_MEM_SECTOR, OS_MEM_SECTOR, 0), 0); /* room it has already */
    os_mem_stop_after(mem, 2);
    assert_int_equal(os_pwrite(&os, file, "x", 1, 0, 0), 0);
    assert_false(os_mem_stopped(mem));
    assert_int_equal(os_pwrite(&os, file, "y", 1, 0, 0), -EIO);
    assert_true(os_mem_stopped(mem));
    assert_int_equal(os_sync(&os, file), -EIO);
    os_mem_crash(mem, OS_MEM_KEEP_ALL, 0);
    assert_true(has(mem, "f", "y"));
    assert_int_equal(os_pwrite(&os, file, "z", 1, 0, 0), -EIO); /* opened before the crash */
    os_close(&os, file);
    mem = os_mem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_inline_lanes),
        cmocka_unit_test(test_real_lanes),
        cmocka_unit_test(test_lanes_that_never_ran),
        cmocka_unit_test(test_files_in_memory),
        cmocka_unit_test(test_real_files),
        cmocka_unit_test(test_file_systems_that_copy),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_budget_and_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
