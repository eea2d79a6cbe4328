/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_fail_test.c - operations of the simulated disk that fail, or find no room: what they say, and what they have
 * done.
 */
#include "core/log/format.h"

#include "disk_crafted.h"

#define SEED 20261123
#define BLOCK (8 * OS_MEM_SECTOR)

static void test_failed_sync_reports_once_and_forgets(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        struct sim_disk *disk;
        struct os_file *a;
        uint8_t byte = 0;
        size_t got = 0;

        (void)begin(seed);
        disk = plug_in();
        a = make(disk, "a");
        assert_int_equal(ops->sync_dir(disk, ""), 0);
        assert_int_equal(put(disk, a, 0, 9, BLOCK, 0), 0);
        world->options.disk_error_ppm = 1000000;
        assert_int_equal(ops->sync(disk, a), -EIO);
        world->options.disk_error_ppm = 0;
        assert_int_equal(world->totals.disk_errors, 1);
        assert_int_equal(ops->sync(disk, a), 0); /* the second one lies */
        assert_int_equal(ops->pread(disk, a, &byte, 1, 0, &got), 0);
        assert_int_equal(byte, 9); /* reads see the cache */
        assert_int_equal(ops->refresh(disk, a), 0);
        lost += 8 - filled_with(disk, "a", 9);
        sim_disk_crash(disk, SIM_POWER);
        ops->close(disk, a);
        end(disk);
    }
    assert_true(lost > 40);
    assert_true(lost < 280);
}

static void test_every_operation_can_fail(void **state)
{
    struct sim_disk *disk;
    struct os_file *a, *b = NULL;
    struct os_stat stat;
    uint64_t room = 0;
    uint8_t byte;
    size_t got;

    (void)state;
    (void)begin(SEED);
    disk = plug_in();
    a = make(disk, "a");
    ops->close(disk, make(disk, "z"));
    disk->node->lives = 1;
    assert_false(sim_disk_refused(disk));
    world->options.disk_error_ppm = 1000000;
    assert_int_equal(ops->open(disk, "a", OS_OPEN_READ, &b), -EIO);
    assert_int_equal(put(disk, a, 0, 1, 1, 0), -EIO);
    assert_int_equal(ops->pread(disk, a, &byte, 1, 0, &got), -EIO);
    assert_int_equal(ops->truncate(disk, a, 0), -EIO);
    assert_int_equal(ops->rename(disk, "a", "b"), -EIO);
    assert_int_equal(ops->unlink(disk, "a"), -EIO);
    assert_int_equal(ops->mkdir(disk, "d", 0700), -EIO);
    assert_int_equal(ops->sync_dir(disk, ""), -EIO);
    assert_int_equal(ops->stat(disk, "a", &stat), -EIO);
    assert_int_equal(ops->space(disk, "", &room), -EIO);
    assert_int_equal(ops->refresh(disk, a), -EIO);
    assert_int_equal(world->totals.disk_errors, 11);
    assert_true(sim_disk_refused(disk));
    disk->node->lives++; /* the next life has met none of that */
    assert_false(sim_disk_refused(disk));
    sim_disk_heal(disk);
    assert_int_equal(ops->stat(disk, "z", &stat), 0); /* "a" may have gone all the same */
    assert_int_equal(put(disk, a, 0, 1, 1, 0), 0);
    ops->close(disk, a);
    end(disk);
}

static bool is_there(struct sim_disk *disk, const char *path)
{
    struct os_stat stat;

    return ops->stat(disk, path, &stat) == 0;
}

/* What fails may be done all the same, and half of it is; of a write a part. */
static void test_what_fails_may_be_done(void **state)
{
    uint32_t opened = 0, renamed = 0, unlinked = 0, made = 0, cut = 0, written = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        struct sim_disk *disk;
        struct os_file *a, *b = NULL;
        uint64_t size = 0;

        (void)begin(seed);
        disk = plug_in();
        a = make(disk, "a");
        ops->close(disk, make(disk, "c"));
        assert_int_equal(put(disk, a, 0, 1, 100, 0), 0);
        world->options.disk_error_ppm = 1000000;
        assert_int_equal(ops->truncate(disk, a, 50), -EIO);
        assert_int_equal(ops->open(disk, "b", OS_OPEN_WRITE | OS_OPEN_CREATE, &b), -EIO);
        assert_null(b);
        assert_int_equal(ops->rename(disk, "a", "d"), -EIO);
        assert_int_equal(ops->unlink(disk, "c"), -EIO);
        assert_int_equal(ops->mkdir(disk, "e", 0700), -EIO);
        world->options.disk_error_ppm = 0;
        opened += is_there(disk, "b");
        renamed += is_there(disk, "d");
        assert_true(is_there(disk, "a") != is_there(disk, "d"));
        unlinked += !is_there(disk, "c");
        made += is_there(disk, "e");
        assert_int_equal(ops->size(disk, a, &size), 0);
        assert_true(size == 50 || size == 100);
        cut += size == 50;
        world->options.disk_error_ppm = 1000000;
        assert_int_equal(put(disk, a, 100, 1, BLOCK, 0), -EIO);
        assert_int_equal(ops->size(disk, a, &size), 0);
        assert_true(size < 100 + BLOCK);
        written += size > 100;
        assert_int_equal(world->totals.disk_errors, 6);
        assert_int_equal(os_mem_open_files(disk->mem), 1); /* who was told that it failed closes nothing */
        ops->close(disk, a);
        end(disk);
    }
    assert_in_range(opened, 8, 32);
    assert_in_range(renamed, 8, 32);
    assert_in_range(unlinked, 8, 32);
    assert_in_range(made, 8, 32);
    assert_in_range(cut, 8, 32);
    assert_in_range(written, 8, 32);
}

/* A full disk may have no room for a name, either; for what takes none there always is. */
static void test_names_on_a_full_disk(void **state)
{
    uint32_t opened = 0, renamed = 0, made = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        struct sim_disk *disk;
        struct os_file *a, *b = NULL;
        uint32_t refused;
        int result;

        (void)begin(seed);
        disk = plug_in();
        a = make(disk, "a");
        ops->close(disk, make(disk, "c"));
        assert_int_equal(put(disk, a, 0, 1, OS_MEM_SECTOR, 0), 0);
        sim_disk_fill(disk, 2 * OS_MEM_SECTOR);
        disk->node->lives = 1;
        for (int i = 0; i < 20; i++) { /* not full yet */
            assert_int_equal(ops->mkdir(disk, "d", 0700), 0);
            assert_int_equal(ops->unlink(disk, "d"), 0);
        }
        assert_false(sim_disk_refused(disk));
        assert_int_equal(ops->truncate(disk, a, 4 * OS_MEM_SECTOR), -ENOSPC);
        assert_true(sim_disk_refused(disk));
        assert_int_equal(world->totals.full_names, 1);
        assert_int_equal(ops->truncate(disk, a, 2 * OS_MEM_SECTOR), 0);
        sim_disk_fill(disk, 0);
        result = ops->open(disk, "b", OS_OPEN_WRITE | OS_OPEN_CREATE, &b);
        assert_int_equal(result, is_there(disk, "b") ? 0 : -ENOSPC);
        refused = result != 0;
        opened += result == 0;
        if (result == 0)
            ops->close(disk, b);
        result = ops->mkdir(disk, "d", 0700);
        assert_int_equal(result, is_there(disk, "d") ? 0 : -ENOSPC);
        refused += result != 0;
        made += result == 0;
        result = ops->rename(disk, "a", "e");
        assert_int_equal(result, is_there(disk, "e") ? 0 : -ENOSPC);
        assert_int_equal(result, is_there(disk, "a") ? -ENOSPC : 0);
        refused += result != 0;
        renamed += result == 0;
        assert_int_equal(world->totals.full_names, 1 + refused);
        assert_int_equal(ops->open(disk, "c", OS_OPEN_WRITE | OS_OPEN_CREATE, &b), 0); /* it is there */
        ops->close(disk, b);
        assert_int_equal(ops->rename(disk, is_there(disk, "e") ? "e" : "a", "c"), 0); /* takes the place of another */
        assert_int_equal(ops->unlink(disk, "c"), 0);
        sim_disk_heal(disk);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(ops->mkdir(disk, "f", 0700), 0);
            assert_int_equal(ops->unlink(disk, "f"), 0);
        }
        assert_int_equal(world->totals.full_names, 1 + refused);
        ops->close(disk, a);
        end(disk);
    }
    assert_in_range(opened, 8, 32);
    assert_in_range(renamed, 8, 32);
    assert_in_range(made, 8, 32);
}

static void test_short_write(void **state)
{
    uint32_t some = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 20; seed++) {
        struct sim_disk *disk;
        struct os_file *a;
        uint64_t size = 0;

        (void)begin(seed);
        world->options.short_write_ppm = 1000000;
        disk = plug_in();
        a = make(disk, "a");
        assert_int_equal(put(disk, a, 0, 4, BLOCK, OS_WRITE_DURABLE), -EIO);
        assert_int_equal(ops->size(disk, a, &size), 0);
        assert_true(size < BLOCK);
        some += size > 0;
        ops->close(disk, a);
        end(disk);
    }
    assert_true(some > 10);
}

/* Many writes end where a piece of them does: there a head stands without what it is the head of. */
static void test_short_write_of_pieces(void **state)
{
    char text[3][100] = {{0}};
    struct iovec pieces[3];
    uint32_t whole = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        pieces[i] = (struct iovec){.iov_base = text[i], .iov_len = sizeof text[i]};
    for (uint64_t seed = SEED; seed < SEED + 100; seed++) {
        struct sim_disk *disk;
        struct os_file *a;
        uint64_t size = 0;

        (void)begin(seed);
        world->options.short_write_ppm = 1000000;
        disk = plug_in();
        a = make(disk, "a");
        assert_int_equal(ops->pwritev(disk, a, pieces, 3, 0, OS_WRITE_DURABLE), -EIO);
        assert_int_equal(ops->size(disk, a, &size), 0);
        assert_true(size < sizeof text);
        whole += size > 0 && size % sizeof text[0] == 0;
        ops->close(disk, a);
        end(disk);
    }
    assert_in_range(whole, 30, 70);
}

/* Where a segment begins short writes come more often; those with an old payload behind the header are counted. */
static void test_short_starts_of_segments(void **state)
{
    uint8_t text[2][100];
    struct iovec pieces[2];
    uint32_t first = 0;
    uint32_t later = 0;
    uint32_t starts = 0;

    (void)state;
    for (int i = 0; i < 2; i++)
        pieces[i] = (struct iovec){.iov_base = memset(text[i], 7, sizeof text[i]), .iov_len = sizeof text[i]};
    for (uint64_t seed = SEED; seed < SEED + 200; seed++) {
        struct sim_disk *disk;
        struct os_file *a;
        bool used = seed & 1;

        (void)begin(seed);
        disk = plug_in();
        assert_int_equal(ops->mkdir(disk, "log", 0700), 0);
        a = make(disk, "log/0000000000000001.seg");
        assert_int_equal(put(disk, a, 0, used, 3 * LOG_SEGMENT_HEAD, OS_WRITE_DURABLE), 0);
        world->options.short_write_ppm = 40000;
        later += ops->pwritev(disk, a, pieces, 2, 2 * LOG_SEGMENT_HEAD, OS_WRITE_DURABLE) != 0;
        assert_int_equal(world->totals.short_starts, 0);
        first += ops->pwritev(disk, a, pieces, 2, LOG_SEGMENT_HEAD, OS_WRITE_DURABLE) != 0;
        assert_true(used || !world->totals.short_starts);
        starts += (uint32_t)world->totals.short_starts;
        ops->close(disk, a);
        end(disk);
    }
    assert_in_range(later, 1, 30);
    assert_in_range(first, 100, 150);
    assert_in_range(starts, 15, 50);
}

static void test_full_and_back(void **state)
{
    struct sim_disk *disk;
    struct os_file *a;
    uint64_t at = 0;
    int result = 0;

    (void)state;
    (void)begin(SEED);
    world->options.full_per_hour = 60;
    world->options.full_ms = 1000;
    disk = plug_in();
    a = make(disk, "a");
    for (uint64_t t = 0; !disk->room.at; t += SIM_S)
        run_until(t);
    disk->node->lives = 1;
    for (int i = 0; i < 100 && result == 0; i++, at += BLOCK)
        result = put(disk, a, at, 1, BLOCK, 0);
    for (int i = 0; i < 100 && result == 0; i++, at += 32768)
        result = put(disk, a, at, 1, 32768, 0);
    if (world->now < disk->room.at) /* it has not come back already */
        assert_int_equal(result, -ENOSPC);
    assert_int_equal(world->totals.full_writes, result == -ENOSPC);
    assert_int_equal(sim_disk_refused(disk), result == -ENOSPC);
    assert_int_equal(world->totals.disks_full, 0); /* no node runs here */
    assert_int_equal(put(disk, a, 0, 2, 1, 0), 0); /* what is there may be written over */
    run_until(world->now + 2 * SIM_S);
    assert_int_equal(put(disk, a, at, 1, BLOCK, 0), 0);
    ops->close(disk, a);
    end(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_sync_reports_once_and_forgets),
        cmocka_unit_test(test_every_operation_can_fail),
        cmocka_unit_test(test_what_fails_may_be_done),
        cmocka_unit_test(test_names_on_a_full_disk),
        cmocka_unit_test(test_short_write),
        cmocka_unit_test(test_short_write_of_pieces),
        cmocka_unit_test(test_short_starts_of_segments),
        cmocka_unit_test(test_full_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
