/* SPDX-License-Identifier: Apache-2.0 */
/* disk_test.c - the simulated disk does to its files what it says, and nothing else. */
#include "core/log/format.h"

#include "disk_crafted.h"

#define SEED 20261123
#define BLOCK (8 * OS_MEM_SECTOR)

/* ---- crashes ------------------------------------------------------------------------------------------- */

static void test_crash_takes_only_what_was_not_synced(void **state)
{
    uint32_t kept = 0, dropped = 0, noise = 0, names = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 200; seed++) {
        struct sim_disk *disk;
        struct os_file *a, *b;
        uint32_t new, old;

        (void)begin(seed);
        disk = plug_in();
        a = make(disk, "a");
        assert_int_equal(put(disk, a, 0, 1, BLOCK, 0), 0);
        assert_int_equal(ops->sync(disk, a), 0);
        assert_int_equal(ops->sync_dir(disk, ""), 0);
        assert_int_equal(put(disk, a, 0, 2, BLOCK / 2, 0), 0);
        b = make(disk, "b");
        assert_int_equal(put(disk, b, 0, 3, OS_MEM_SECTOR, OS_WRITE_DURABLE), 0);
        assert_int_equal(ops->rename(disk, "b", "c"), 0);
        sim_disk_crash(disk, SIM_POWER);
        ops->close(disk, a);
        ops->close(disk, b);
        new = filled_with(disk, "a", 2);
        old = filled_with(disk, "a", 1);
        assert_true(old >= 4); /* the half that was not written again */
        kept += new;
        dropped += old - 4;
        noise += 8 - new - old;
        /* A name is there or not; where it is, so are the synced bytes. */
        for (const char *name = "b"; *name; name = *name == 'b' ? "c" : "") {
            if (sim_disk_durable(disk, name, &(uint64_t){0})) {
                assert_int_equal(filled_with(disk, name, 3), 1);
                names++;
            }
        }
        end(disk);
    }
    assert_true(kept > 100);
    assert_true(dropped > 100);
    assert_true(noise > 20);
    assert_true(names > 50);
    assert_true(names < 350);
}

static void test_killed_process_loses_nothing(void **state)
{
    struct sim_disk *disk;
    struct os_file *a;
    uint8_t byte = 0;
    size_t got = 0;

    (void)state;
    (void)begin(SEED);
    disk = plug_in();
    a = make(disk, "a");
    assert_int_equal(put(disk, a, 0, 7, BLOCK, 0), 0);
    sim_disk_crash(disk, SIM_KILL);
    assert_int_equal(ops->pread(disk, a, &byte, 1, 0, &got), -EIO);
    ops->close(disk, a);
    assert_int_equal(ops->open(disk, "a", OS_OPEN_READ, &a), 0);
    assert_int_equal(ops->pread(disk, a, &byte, 1, 100, &got), 0);
    assert_int_equal(got, 1);
    assert_int_equal(byte, 7);
    ops->close(disk, a);
    assert_null(sim_disk_durable(disk, "a", &(uint64_t){0})); /* and it is pending still */
    end(disk);
}

/* Between two writes without a sync the kernel may write the first one back: a crash can leave it. */
static void test_a_version_in_between_can_survive(void **state)
{
    uint32_t first = 0, middle = 0, last = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 400; seed++) {
        struct sim_disk *disk;
        struct os_file *a;

        (void)begin(seed);
        disk = plug_in();
        a = make(disk, "a");
        assert_int_equal(put(disk, a, 0, 1, BLOCK, OS_WRITE_DURABLE), 0);
        assert_int_equal(ops->sync_dir(disk, ""), 0);
        for (uint8_t fill = 2; fill < 10; fill++)
            assert_int_equal(put(disk, a, 0, fill, BLOCK, 0), 0);
        sim_disk_crash(disk, SIM_POWER);
        ops->close(disk, a);
        first += filled_with(disk, "a", 1);
        last += filled_with(disk, "a", 9);
        for (uint8_t fill = 2; fill < 9; fill++)
            middle += filled_with(disk, "a", fill);
        end(disk);
    }
    assert_true(first > 100);
    assert_true(middle > 20);
    assert_true(last > 100);
}

static void test_dying_in_every_operation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 12; n++) {
        struct sim_disk *disk;
        struct os_file *a = NULL;
        uint32_t done = 0;

        (void)begin(SEED + n);
        disk = plug_in();
        sim_disk_die_after(disk, n);
        if (ops->open(disk, "a", OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &a) == 0) {
            for (uint8_t i = 0; i < 12; i++)
                done += put(disk, a, (uint64_t)i * OS_MEM_SECTOR, 5, OS_MEM_SECTOR, OS_WRITE_DURABLE) == 0;
            assert_int_equal(ops->sync(disk, a), -EIO);
        }
        assert_true(sim_disk_dying(disk));
        assert_int_equal(sim_disk_operations(disk), n);
        assert_int_equal(done, n < 3 ? 0 : (n - 2) / 2); /* one to open, two (write, sync) for each */
        assert_int_equal(ops->sync_dir(disk, ""), -EIO);
        sim_disk_crash(disk, SIM_POWER);
        assert_false(sim_disk_dying(disk));
        if (a)
            ops->close(disk, a);
        if (sim_disk_durable(disk, "a", &(uint64_t){0}))
            assert_true(filled_with(disk, "a", 5) >= done);
        end(disk);
    }
}

/* In a life of opens, votes and writes to the log: dies where it was aimed, not before; what was synced is there. */
static void test_dying_where_it_is_aimed(void **state)
{
    static const struct {
        enum sim_aim at;
        uint64_t count;
        uint32_t votes, writes; /* that are done */
    } rows[] = {{SIM_AIM_VOTE, 1, 0, 1}, {SIM_AIM_VOTE, 3, 2, 3}, {SIM_AIM_LOG, 1, 0, 0},   {SIM_AIM_LOG, 4, 3, 3},
                {SIM_AIM_NAMES, 1, 3, 3}, {SIM_AIM_ANY, 5, 2, 2},  {SIM_AIM_SNAPSHOT, 1, 4, 4}, {SIM_AIM_ANY, 0, 4, 4}};

    (void)state;
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_disk *disk;
        struct os_file *segment, *vote, *later = NULL;
        uint32_t votes = 0, writes = 0;

        (void)begin(SEED + i);
        disk = plug_in();
        segment = make(disk, "1.seg");
        vote = make(disk, "vote.0");
        assert_int_equal(ops->sync_dir(disk, ""), 0);
        sim_disk_aim(disk, rows[i].at, rows[i].count);
        for (uint8_t n = 0; n < 4; n++) {
            if (n == 3)
                (void)ops->open(disk, "later", OS_OPEN_WRITE | OS_OPEN_CREATE, &later);
            writes += put(disk, segment, (uint64_t)n * OS_MEM_SECTOR, 5, OS_MEM_SECTOR, OS_WRITE_DURABLE) == 0;
            votes += put(disk, vote, 0, n, OS_MEM_SECTOR, OS_WRITE_DURABLE) == 0;
        }
        assert_int_equal(writes, rows[i].writes);
        assert_int_equal(votes, rows[i].votes);
        assert_int_equal(sim_disk_dying(disk), writes < 4);
        assert_true(writes == 4 || sim_disk_unanswered(disk) > 0 || rows[i].count == 0);
        if (sim_disk_dying(disk))
            assert_int_equal(sim_disk_died_in(disk), rows[i].at == SIM_AIM_ANY ? SIM_AIM_LOG : rows[i].at);
        sim_disk_crash(disk, SIM_POWER);
        assert_int_equal(sim_disk_unanswered(disk), 0);
        assert_true(filled_with(disk, "1.seg", 5) >= writes);
        ops->close(disk, segment);
        ops->close(disk, vote);
        if (later)
            ops->close(disk, later);
        segment = make(disk, "1.seg"); /* the next life is none of its business */
        assert_int_equal(put(disk, segment, 0, 5, OS_MEM_SECTOR, OS_WRITE_DURABLE), 0);
        ops->close(disk, segment);
        end(disk);
    }
}

/* ---- a running disk ------------------------------------------------------------------------------------ */

static void test_cost_and_stalls(void **state)
{
    struct sim_disk *disk;
    struct os_file *a;
    uint64_t cost;

    (void)state;
    (void)begin(SEED);
    disk = plug_in();
    a = make(disk, "a");
    (void)sim_disk_cost(disk);
    assert_int_equal(put(disk, a, 0, 1, 1, 0), 0);
    cost = sim_disk_cost(disk);
    assert_true(cost > 0);
    assert_true(cost < 10 * SIM_US);
    assert_int_equal(ops->sync(disk, a), 0);
    cost = sim_disk_cost(disk);
    assert_true(cost >= 50 * SIM_US);
    assert_true(cost < 200 * SIM_US);
    assert_int_equal(sim_disk_cost(disk), 0);
    ops->close(disk, a);
    end(disk);

    (void)begin(SEED);
    world->options.stall_per_hour = 60;
    world->options.stall_ms = 5000;
    disk = plug_in();
    a = make(disk, "a");
    while (disk->stalled_until <= world->now)
        run_until(world->now + 1 * SIM_MS);
    (void)sim_disk_cost(disk);
    assert_int_equal(world->totals.stalls, 0); /* nobody has waited for it */
    assert_int_equal(put(disk, a, 0, 1, 1, OS_WRITE_DURABLE), 0);
    assert_int_equal(world->totals.stalls, 1);
    cost = sim_disk_cost(disk);
    assert_true(cost <= 5001 * SIM_MS);
    assert_true(disk->stalled_until <= world->now || cost >= disk->stalled_until - world->now);
    ops->close(disk, a);
    end(disk);

    /* Who has begun to wait for a stall waits for all of it: the oracle goes by its end. */
    (void)begin(SEED);
    world->options.stall_per_hour = 36000;
    world->options.stall_ms = 5000;
    disk = plug_in();
    for (uint32_t more = 0; more < 100;) {
        uint64_t until = disk->stalled_until;

        run_until(world->now + 10 * SIM_MS);
        assert_true(disk->stalled_until >= until);
        more += disk->stalled_until > until;
    }
    end(disk);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

/* A small data directory. */
struct directory {
    struct os_file *segment;
    struct os_file *synced;
    struct os_file *vote[2];
    uint64_t used;
};

static void fill(struct sim_disk *disk, struct directory *directory)
{
    struct os_file *record, *snapshot;

    assert_int_equal(ops->mkdir(disk, "log", 0700), 0);
    assert_int_equal(ops->mkdir(disk, "snap", 0700), 0);
    directory->segment = make(disk, "log/1.seg");
    directory->synced = make(disk, "log/synced");
    directory->vote[0] = make(disk, "vote.0");
    directory->vote[1] = make(disk, "vote.1");
    record = make(disk, "directory");
    snapshot = make(disk, "snap/1-1.snap");
    for (uint64_t at = 0; at < 2 << 20; at += 65536)
        assert_int_equal(put(disk, directory->segment, at, 0, 65536, 0), 0);
    assert_int_equal(ops->sync(disk, directory->segment), 0);
    assert_int_equal(put(disk, directory->synced, 0, 11, BLOCK, OS_WRITE_DURABLE), 0);
    assert_int_equal(put(disk, directory->vote[0], 0, 12, 4096, OS_WRITE_DURABLE), 0);
    assert_int_equal(put(disk, directory->vote[1], 0, 12, 4096, OS_WRITE_DURABLE), 0);
    assert_int_equal(put(disk, record, 0, 13, 128, OS_WRITE_DURABLE), 0);
    assert_int_equal(put(disk, snapshot, 0, 14, 4 * BLOCK, OS_WRITE_DURABLE), 0);
    directory->used = 4096;
    for (uint32_t i = 0; i < 64; i++, directory->used += OS_MEM_SECTOR)
        assert_int_equal(put(disk, directory->segment, directory->used, (uint8_t)(100 + i), 300, OS_WRITE_DURABLE), 0);
    assert_int_equal(ops->sync_dir(disk, ""), 0);
    assert_int_equal(ops->sync_dir(disk, "log"), 0);
    assert_int_equal(ops->sync_dir(disk, "snap"), 0);
    ops->close(disk, record);
    ops->close(disk, snapshot);
}

static void close_all(struct sim_disk *disk, struct directory *directory)
{
    ops->close(disk, directory->segment);
    ops->close(disk, directory->synced);
    ops->close(disk, directory->vote[0]);
    ops->close(disk, directory->vote[1]);
}

/* The last group is sound, and so is one of the votes. */
static void check_spared(struct sim_disk *disk, const struct directory *directory)
{
    uint64_t size = 0;
    const uint8_t *bytes = sim_disk_durable(disk, "log/1.seg", &size);
    uint32_t votes = 0;

    assert_non_null(bytes);
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(bytes[directory->used - OS_MEM_SECTOR + i], 163);
    for (int i = 0; i < 2; i++) {
        bool sound = true;

        bytes = sim_disk_durable(disk, i ? "vote.1" : "vote.0", &size);
        for (uint32_t k = 0; k < 48; k++)
            sound = sound && bytes[k] == 12;
        votes += sound;
    }
    assert_true(votes >= 1);
    assert_int_equal(sim_disk_vote_damaged(disk), votes < 2); /* whatever else is */
}

static void test_rot(void **state)
{
    uint32_t kinds[DISK_RECORD + 1] = {0};
    uint64_t flipped = 0;
    uint64_t zeroed = 0;
    uint64_t all = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        struct directory directory;
        struct sim_disk *disk;

        (void)begin(seed);
        disk = plug_in();
        fill(disk, &directory);
        assert_false(sim_disk_damaged(disk));
        for (int i = 0; i < 20; i++) {
            uint64_t before = os_mem_digest(disk->mem);
            uint32_t marks = disk->mark_count;
            bool hit = sim_disk_rot(disk);

            assert_int_equal(hit, os_mem_digest(disk->mem) != before);
            assert_int_equal(disk->mark_count, marks + hit);
            assert_true(!hit || sim_disk_damaged(disk));
            if (hit)
                kinds[disk->marks[marks].kind]++;
            check_spared(disk, &directory);
        }
        assert_int_equal(damage_told, disk->mark_count);
        flipped += world->totals.flipped_bits;
        zeroed += world->totals.zeroed_sectors;
        all += disk->mark_count;
        close_all(disk, &directory);
        end(disk);
    }
    assert_in_range(flipped, all / 3, all * 2 / 3);
    assert_in_range(zeroed, all / 16, all / 2);
    assert_int_equal(kinds[DISK_OTHER], 0);
    assert_true(kinds[DISK_SEGMENT] > 50);
    assert_true(kinds[DISK_SNAPSHOT] > 50);
    assert_true(kinds[DISK_SYNCED] > 5);
    assert_true(kinds[DISK_VOTE] > 5);
    assert_true(kinds[DISK_RECORD] > 0);
}

/* An identity entry for the whole of log/1.seg so far, in the last sector of log/synced. */
static void put_identity(struct sim_disk *disk, const struct directory *directory, uint64_t incarnation)
{
    struct log_identity identity = {.group = 64, .segment = 1, .end = directory->used};
    uint8_t bytes[LOG_IDENTITY_BYTES];
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};

    log_identity_encode(bytes, &identity, incarnation);
    assert_int_equal(ops->pwritev(disk, directory->synced, &iov, 1, BLOCK - OS_MEM_SECTOR, 0), 0);
}

/* The last group is spared until a durable identity entry proves it; from then on it may be hit, and then the entries
 * are spared. */
static void test_rot_of_a_proved_tail(void **state)
{
    uint32_t hits = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        struct log_directory_record record = {.format = LOG_FORMAT_VERSION, .incarnation = 77};
        struct directory directory;
        struct sim_disk *disk;
        uint8_t bytes[LOG_DIRECTORY_BYTES];
        bool hit = false;

        (void)begin(seed);
        disk = plug_in();
        fill(disk, &directory);
        log_directory_encode(bytes, &record);
        assert_int_equal(os_mem_poke(disk->mem, "directory", 0, bytes, sizeof bytes), 0);
        put_identity(disk, &directory, record.incarnation);
        for (int i = 0; i < 5; i++)
            (void)sim_disk_rot(disk);
        check_spared(disk, &directory);
        assert_int_equal(world->totals.proved_tails, 0);
        assert_int_equal(ops->sync(disk, directory.synced), 0);
        for (int i = 0; i < 20; i++) {
            uint32_t marks = disk->mark_count;

            if (!sim_disk_rot(disk))
                continue;
            assert_false(hit && disk->marks[marks].kind == DISK_SYNCED);
            hit = hit || (disk->marks[marks].kind == DISK_SEGMENT &&
                          disk->marks[marks].sector == directory.used / OS_MEM_SECTOR - 1);
        }
        hits += hit;
        assert_int_equal(world->totals.proved_tails > 0, hit);
        close_all(disk, &directory);
        end(disk);
    }
    assert_true(hits > 20);
}

static void test_written_over_is_no_damage(void **state)
{
    struct directory directory;
    struct sim_disk *disk;
    uint64_t sector;

    (void)state;
    (void)begin(SEED);
    disk = plug_in();
    fill(disk, &directory);
    do {
        assert_true(disk->mark_count < DISK_MARKS);
        disk->mark_count = 0;
        (void)sim_disk_rot(disk);
    } while (!disk->mark_count || disk->marks[0].kind != DISK_SYNCED);
    sector = disk->marks[0].sector;
    /* Not by a write that a crash takes back ... */
    assert_int_equal(put(disk, directory.synced, sector * OS_MEM_SECTOR, 50, OS_MEM_SECTOR, 0), 0);
    assert_true(sim_disk_damaged(disk));
    assert_true(sim_disk_spoiled(disk, directory.synced));
    sim_disk_crash(disk, SIM_POWER);
    assert_true(sim_disk_damaged(disk));
    close_all(disk, &directory);
    /* ... but by one that is synced, or when the file goes. */
    directory.synced = make(disk, "log/synced");
    assert_int_equal(put(disk, directory.synced, sector * OS_MEM_SECTOR, 50, OS_MEM_SECTOR, 0), 0);
    assert_int_equal(ops->sync(disk, directory.synced), 0);
    assert_false(sim_disk_damaged(disk));
    while (!sim_disk_rot(disk) || disk->marks[0].kind != DISK_SNAPSHOT)
        disk->mark_count = 0;
    assert_false(sim_disk_spoiled(disk, directory.synced)); /* another file is */
    assert_int_equal(ops->unlink(disk, "snap/1-1.snap"), 0);
    assert_true(sim_disk_damaged(disk)); /* it may come back */
    assert_int_equal(ops->sync_dir(disk, "snap"), 0);
    assert_false(sim_disk_damaged(disk));
    ops->close(disk, directory.synced);
    end(disk);
}

/* A misdirected write damages something else, and is itself missing once a later one proves that it had been there. */
static void test_misdirected_write(void **state)
{
    uint32_t elsewhere = 0, missing = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 50; seed++) {
        struct directory directory;
        struct sim_disk *disk;
        const uint8_t *bytes;
        uint64_t size = 0;

        (void)begin(seed);
        disk = plug_in();
        fill(disk, &directory);
        world->options.misdirect_ppm = 1000000;
        assert_int_equal(put(disk, directory.segment, directory.used, 200, OS_MEM_SECTOR, OS_WRITE_DURABLE), 0);
        world->options.misdirect_ppm = 0;
        elsewhere += disk->mark_count == 1;
        bytes = sim_disk_durable(disk, "log/1.seg", &size);
        assert_int_equal(bytes[directory.used], 200); /* nothing can prove it yet */
        if (seed & 1) { /* a crash: it was never lost */
            sim_disk_crash(disk, SIM_POWER);
            close_all(disk, &directory);
            directory.segment = make(disk, "log/1.seg");
        }
        assert_int_equal(put(disk, directory.segment, directory.used + OS_MEM_SECTOR, 201, 300, OS_WRITE_DURABLE), 0);
        bytes = sim_disk_durable(disk, "log/1.seg", &size);
        if (seed & 1)
            assert_int_equal(bytes[directory.used], 200);
        else
            missing += bytes[directory.used] == 0;
        assert_int_equal(world->totals.lost_writes, !(seed & 1) && bytes[directory.used] == 0);
        if (seed & 1)
            ops->close(disk, directory.segment);
        else
            close_all(disk, &directory);
        end(disk);
    }
    assert_true(elsewhere > 40);
    assert_true(missing > 20);
}

static void test_older_content_comes_back(void **state)
{
    uint32_t older = 0;

    (void)state;
    for (uint64_t seed = SEED; seed < SEED + 20; seed++) {
        struct directory directory;
        struct sim_disk *disk;

        (void)begin(seed);
        world->options.rot_per_hour = 1;
        disk = plug_in();
        fill(disk, &directory);
        for (int i = 0; i < 40; i++)
            assert_int_equal(put(disk, directory.segment, 4096, (uint8_t)(1 + i), 20 * 512, OS_WRITE_DURABLE), 0);
        assert_int_equal(put(disk, directory.segment, 1 << 20, 1, 512, OS_WRITE_DURABLE), 0);
        for (int i = 0; i < 30; i++)
            (void)sim_disk_rot(disk);
        for (uint8_t i = 1; i < 40; i++)
            older += filled_with(disk, "log/1.seg", i);
        close_all(disk, &directory);
        end(disk);
    }
    assert_true(older > 20);
}

static void test_wipe(void **state)
{
    struct directory directory;
    struct sim_disk *disk;

    (void)state;
    (void)begin(SEED);
    disk = plug_in();
    fill(disk, &directory);
    while (!sim_disk_rot(disk))
        ;
    sim_disk_crash(disk, SIM_KILL);
    close_all(disk, &directory);
    assert_true(sim_disk_has_identity(disk));
    sim_disk_wipe(disk);
    assert_false(sim_disk_has_identity(disk));
    assert_null(sim_disk_durable(disk, "directory", &(uint64_t){0}));
    assert_false(sim_disk_damaged(disk));
    fill(disk, &directory);
    close_all(disk, &directory);
    end(disk);
}

/* ---- all of it, twice ---------------------------------------------------------------------------------- */

static uint64_t live(uint64_t seed)
{
    struct directory directory;
    struct sim_disk *disk;
    uint64_t hash;

    (void)begin(seed);
    disk = plug_in();
    fill(disk, &directory);
    world->options.rot_per_hour = 600;
    world->options.misdirect_ppm = 1000;
    world->options.disk_error_ppm = 5000;
    world->options.short_write_ppm = 5000;
    for (uint64_t i = 0; i < 2000; i++) {
        (void)put(disk, directory.segment, 8192 + i * OS_MEM_SECTOR, (uint8_t)i, 300, OS_WRITE_DURABLE);
        (void)put(disk, directory.synced, i % 64 * 64, (uint8_t)i, 64, 0);
        if (i % 50 == 0)
            (void)sim_disk_rot(disk);
        if (i % 500 == 499) {
            sim_disk_crash(disk, SIM_POWER);
            close_all(disk, &directory);
            directory.segment = make(disk, "log/1.seg");
            directory.synced = make(disk, "log/synced");
            directory.vote[0] = make(disk, "vote.0");
            directory.vote[1] = make(disk, "vote.1");
        }
        world->now += sim_disk_cost(disk);
    }
    hash = os_mem_digest(disk->mem) ^ world->trace_hash ^ world->now;
    close_all(disk, &directory);
    end(disk);
    return hash;
}

static void test_the_same_seed_is_the_same_disk(void **state)
{
    (void)state;
    assert_true(live(SEED) == live(SEED));
    assert_true(live(SEED) != live(SEED + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_takes_only_what_was_not_synced),
        cmocka_unit_test(test_killed_process_loses_nothing),
        cmocka_unit_test(test_a_version_in_between_can_survive),
        cmocka_unit_test(test_dying_in_every_operation),
        cmocka_unit_test(test_dying_where_it_is_aimed),
        cmocka_unit_test(test_cost_and_stalls),
        cmocka_unit_test(test_rot),
        cmocka_unit_test(test_rot_of_a_proved_tail),
        cmocka_unit_test(test_written_over_is_no_damage),
        cmocka_unit_test(test_misdirected_write),
        cmocka_unit_test(test_older_content_comes_back),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_the_same_seed_is_the_same_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
