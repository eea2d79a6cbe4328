/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_crafted.h - the world around a simulated disk, faked: a clock, a short list of events, and a hash of what was
 * traced; for disk_test.c and disk_fail_test.c.
 */
#ifndef TESTS_SIM_DISK_CRAFTED_H
#define TESTS_SIM_DISK_CRAFTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "disk_state.h"
#include "oracle.h"

#define EVENTS 16

/* ---- a world ------------------------------------------------------------------------------------------- */

static struct sim *world;
static struct sim_event *queue[EVENTS];
static uint32_t damage_told;

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at)
{
    uint32_t free_place = EVENTS;

    event->at = at < sim->now ? sim->now : at;
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (queue[i] == event)
            return;
        if (!queue[i])
            free_place = i;
    }
    assert_true(free_place < EVENTS);
    queue[free_place] = event;
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (queue[i] == event)
            queue[i] = NULL;
    }
}

static void run_until(uint64_t end)
{
    for (;;) {
        struct sim_event *next = NULL;

        for (uint32_t i = 0; i < EVENTS; i++) {
            if (queue[i] && queue[i]->at <= end && (!next || queue[i]->at < next->at))
                next = queue[i];
        }
        if (!next)
            break;
        world->now = next->at;
        sim_cancel(world, next);
        next->run(world, next);
    }
    world->now = end;
}

struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number)
{
    struct sim_random part = sim_split(sim->seed, stream);

    return sim_split(part.state, number);
}

uint64_t sim_magnitude(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_below(random, high - low + 1);
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    char line[512];
    va_list arguments;

    (void)node;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (const char *at = line; *at; at++)
        sim->trace_hash = (sim->trace_hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    if (sim->tracing)
        print_message("%llu %s\n", (unsigned long long)sim->now, line);
}

void sim_oracle_damaged(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle;
    (void)node;
    damage_told++;
}

/* A disk alone; `correlated`, so that the atlas allows what these tests ask for. */
static struct sim_disk *begin(uint64_t seed)
{
    static int anything;

    world = calloc(1, sizeof *world);
    assert_non_null(world);
    memset(queue, 0, sizeof queue);
    world->seed = seed;
    world->options.nodes = 1;
    world->options.sync_us = 100;
    world->options.correlated = 1;
    world->node_count = 1;
    world->nodes[0].sim = world;
    world->nodes[0].exit_code = -1;
    world->oracle = (void *)&anything; /* somebody listens */
    damage_told = 0;
    return NULL;
}

static struct sim_disk *plug_in(void)
{
    world->nodes[0].disk = sim_disk_new(world, &world->nodes[0]);
    return world->nodes[0].disk;
}

static void end(struct sim_disk *disk)
{
    assert_null(sim_disk_free(disk));
    free(world);
}

/* ---- shorthands ---------------------------------------------------------------------------------------- */

static const struct os_file_ops *const ops = &sim_disk_files;

static struct os_file *make(struct sim_disk *disk, const char *path)
{
    struct os_file *file = NULL;
    int result;

    do {
        result = ops->open(disk, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file);
    } while (result == -EIO && !sim_disk_dying(disk));
    assert_int_equal(result, 0);
    return file;
}

static int put(struct sim_disk *disk, struct os_file *file, uint64_t offset, uint8_t fill, size_t size, uint32_t flags)
{
    static uint8_t bytes[64 * 1024];
    struct iovec iov = {.iov_base = bytes, .iov_len = size};

    memset(bytes, fill, size);
    return ops->pwritev(disk, file, &iov, 1, offset, flags);
}

/* How many of the file's durable sectors are filled with `fill`. */
static uint32_t filled_with(struct sim_disk *disk, const char *path, uint8_t fill)
{
    uint64_t size = 0;
    const uint8_t *bytes = sim_disk_durable(disk, path, &size);
    uint32_t count = 0;

    for (uint64_t at = 0; bytes && at + OS_MEM_SECTOR <= size; at += OS_MEM_SECTOR)
        count += bytes[at] == fill && memcmp(bytes + at, bytes + at + 1, OS_MEM_SECTOR - 1) == 0;
    return count;
}

#endif
