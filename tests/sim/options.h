/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - what a seed's world is like: one table of numbers, each drawn from the seed or set by --set NAME=VALUE.
 *
 * A swarm (Groce et al., 2012): each fault class is on or off by a coin, and its rows' magnitudes are log-uniform
 * between `low` and `high`, or, where these are few, each alike; one seed in ten has no faults at all.
 * Shrinking a failure sets rows to 0 (off) or to `low`, so 0 must mean "never" in every row of a class; rows outside a
 * class (NONE) are always drawn.
 *
 *   X(name, class, low, high, unit and meaning)
 */
#ifndef TESTS_SIM_OPTIONS_H
#define TESTS_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "random.h"

/* Fault classes: X(symbol, name). Whoever builds a class adds its rows below. */
#define SIM_CLASSES(X) \
    X(NONE, "none") \
    X(DELAY, "delay") \
    X(LOSS, "loss") \
    X(DUPLICATE, "duplicate") \
    X(REORDER, "reorder") \
    X(CLOG, "clog") \
    X(PARTITION, "partition") \
    X(RESET, "reset") \
    X(REFUSE, "refuse") \
    X(ROT, "rot") \
    X(MISDIRECT, "misdirect") \
    X(DISK_ERROR, "disk-error") \
    X(DISK_FULL, "disk-full") \
    X(STALL, "stall") \
    X(CRASH, "crash") \
    X(PAUSE, "pause") \
    X(CLOCK, "clock") \
    X(WIPE, "wipe") \
    X(MEMBERS, "members") \
    X(SNAPSHOT, "snapshot") \
    X(STOP, "stop") \
    X(SETTINGS, "settings") \
    X(ROSTER, "roster") \
    X(FLIP, "flip") \
    X(SEEDS, "seeds")

/* A rate "per hour" is of simulated time and of the whole cluster unless it says otherwise. */
#define SIM_OPTIONS(X) \
    X(nodes, NONE, 1, 7, "voters at founding") \
    X(apply_lane, NONE, 1, 2, "2: the machine may block, and its commands run on the apply lane") \
    X(clients, NONE, 1, 16, "clients, each with four requests at a time at most") \
    X(heals, NONE, 1, 2, "2: in the end a random majority only is healed; 1: everybody more often than not") \
    X(keys, NONE, 1, 1000, "keys that they share") \
    X(rate, NONE, 20, 400, "operations a second of all clients together") \
    X(value_bytes, NONE, 1, 8000, "bytes of a value at most") \
    X(link_us, NONE, 20, 2000, "one way over a link without misfortune, microseconds") \
    X(links_differ, NONE, 1, 2, "2: each directed link has rates of its own around the four below") \
    X(sync_us, NONE, 50, 4000, "a durable write without misfortune, microseconds") \
    X(snapshot_entries, NONE, 50, 5000, "the key of that name") \
    X(snapshot_log_kib, NONE, 16, 4096, "snapshot_log_min, KiB") \
    X(snapshot_keep, NONE, 1, 5, "the key of that name") \
    X(trailing_kib, NONE, 16, 4096, "log_trailing_bytes, KiB") \
    X(cache_kib, NONE, 16, 2048, "log_cache_bytes, KiB") \
    X(ring_kib, NONE, 16, 4096, "event_ring_bytes, KiB") \
    X(session_ttl_ms, NONE, 20000, 600000, "session_ttl, ms") \
    X(delay_ppm, DELAY, 1000, 200000, "messages that are late, in a million") \
    X(delay_ms, DELAY, 1, 1000, "how late at most, ms") \
    X(loss_ppm, LOSS, 100, 200000, "messages lost, in a million") \
    X(duplicate_ppm, DUPLICATE, 100, 100000, "messages that come twice, in a million") \
    X(reorder_ppm, REORDER, 100, 200000, "messages that overtake the one before, in a million") \
    X(clog_per_hour, CLOG, 6, 600, "links that stop moving for a while") \
    X(client_clog_per_hour, CLOG, 6, 600, "of a client's connection with a node, one direction that does") \
    X(clog_ms, CLOG, 10, 10000, "for how long at most, ms") \
    X(partition_per_hour, PARTITION, 6, 400, "partitions begun") \
    X(partition_ms, PARTITION, 100, 20000, "how long one lasts at most, ms") \
    X(reset_per_hour, RESET, 6, 2000, "connections reset, half of them within a frame") \
    X(refuse_ppm, REFUSE, 1000, 300000, "dials refused although somebody listens, in a million") \
    X(rot_per_hour, ROT, 6, 300, "sectors at rest that change: bits, zeros, older content") \
    X(rot_joined_ppm, ROT, 100000, 800000, "of them, those on disks of nodes that joined, in a million") \
    X(misdirect_ppm, MISDIRECT, 1, 1000, "writes that land elsewhere, in a million") \
    X(disk_error_ppm, DISK_ERROR, 1, 2000, "operations that answer EIO, in a million") \
    X(short_write_ppm, DISK_ERROR, 1, 2000, "writes that end half-way with EIO; 16 times as many of first frames") \
    X(full_per_hour, DISK_FULL, 6, 600, "disks that fill up") \
    X(full_ms, DISK_FULL, 100, 30000, "until space returns, at most, ms") \
    X(stall_per_hour, STALL, 6, 600, "disks that stop for a while") \
    X(stall_ms, STALL, 10, 5000, "for how long at most, ms") \
    X(crash_per_hour, CRASH, 6, 600, "power cuts and kills of one node, or now and then of all") \
    X(down_ms, CRASH, 1, 20000, "until it is started again, at most, ms") \
    X(within_ppm, CRASH, 300000, 900000, "crashes that wait for an operation of the disk to fall into, in a million") \
    X(pause_per_hour, PAUSE, 6, 400, "processes stopped (SIGSTOP)") \
    X(pause_ms, PAUSE, 10, 10000, "for how long at most, ms") \
    X(drift_ppm, CLOCK, 10, 50000, "difference of a node's clock rate at most, in a million") \
    X(jump_per_hour, CLOCK, 6, 200, "wall clocks that jump by up to a day") \
    X(wipe_per_hour, WIPE, 4, 120, "disks lost whole") \
    X(members_per_hour, MEMBERS, 30, 400, "membership changes asked for") \
    X(snapshot_per_hour, SNAPSHOT, 6, 600, "snapshots asked for beside the node's own") \
    X(stop_per_hour, STOP, 6, 200, "clean stops and restarts") \
    X(transfer_per_hour, STOP, 6, 200, "leaders asked to hand over") \
    X(settings_per_hour, SETTINGS, 60, 1200, "changes of settings asked for, upgrades of the machine among them") \
    X(register_per_hour, ROSTER, 60, 1800, "nodes that register, or go; members have capabilities") \
    X(flip_per_hour, FLIP, 60, 3600, "states that change by themselves, one at a time; only when asked for") \
    X(seeds, SEEDS, 1, 2, "founded by nodes that know addresses only; 2: under crashes") \
    X(segment_kib, NONE, 64, 2048, "log_segment_bytes, KiB: 64 is less than a user may ask for")

struct sim_options {
#define SIM_OPTION_FIELD(name, class, low, high, text) uint64_t name;
    SIM_OPTIONS(SIM_OPTION_FIELD)
#undef SIM_OPTION_FIELD
    /* Correlated faults (all copies of something damaged): safety and a loud stop are asserted, liveness is not. */
    uint64_t correlated;
};

/* Draw everything from the seed. */
void sim_options_draw(struct sim_options *options, uint64_t seed);

/* "name=value" or "class=off"; false, and a sentence on stderr, when there is no such row or it is no number. */
bool sim_options_set(struct sim_options *options, const char *assignment);

/*
 * As arguments, " --set NAME=VALUE" each, and the end of the line: every row that is not 0, or that the seed would have
 * made another.
 */
void sim_options_print(const struct sim_options *options, uint64_t seed, FILE *to);

/* The table, for --help. */
void sim_options_help(FILE *to);

/* ---- the table itself, for shrinking ------------------------------------------------------------------- */

struct sim_option {
    const char *name;
    uint32_t class;
    uint64_t low;
    uint64_t high;
    const char *help;
};

uint64_t sim_options_count(void);
const struct sim_option *sim_options_row(uint64_t row); /* NULL beyond the end */
uint64_t *sim_options_value(struct sim_options *options, uint64_t row);
const char *sim_options_class(uint32_t number); /* "none" is 0; NULL beyond the end */

#endif
