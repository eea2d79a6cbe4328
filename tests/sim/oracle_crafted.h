/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_crafted.h - three nodes made of observations alone, and what the oracle calls; for the oracle*_test.c, each of
 * which includes it once.
 */
#ifndef TESTS_SIM_ORACLE_CRAFTED_H
#define TESTS_SIM_ORACLE_CRAFTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/log/log.h"

#include "disk.h"
#include "load.h"
#include "oracle_memory.h"

/* ---- what the oracle calls ----------------------------------------------------------------------------- */

static jmp_buf failed;
static char fired[64];
static char sentence[512];

void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
{
    va_list arguments;

    (void)sim;
    va_start(arguments, format);
    (void)snprintf(fired, sizeof fired, "%s", invariant);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    longjmp(failed, 1);
}

bool sim_disk_damaged(struct sim_disk *disk)
{
    (void)disk;
    return false;
}

bool sim_disk_vote_damaged(struct sim_disk *disk)
{
    (void)disk;
    return false;
}

bool sim_disk_refused(const struct sim_disk *disk)
{
    (void)disk;
    return false;
}

bool sim_disk_spoiled(struct sim_disk *disk, const struct os_file *file)
{
    (void)disk;
    (void)file;
    return false;
}

void sim_load_logged(struct sim_load *load, uint64_t batch, const struct log_entry *entry, const char *command,
                     struct gavel_slice arguments)
{
    (void)load;
    (void)batch;
    (void)entry;
    (void)command;
    (void)arguments;
}

void sim_load_refused(struct sim_load *load, uint64_t index, uint64_t first)
{
    (void)load;
    (void)index;
    (void)first;
}

bool sim_disk_dying(const struct sim_disk *disk)
{
    (void)disk;
    return false;
}

/* The file that is looked at: what is durable of it. */
static const uint8_t *medium;
static uint64_t medium_size;
static bool medium_pending, medium_named;

bool sim_disk_medium(const struct os_file *file, uint64_t offset, uint64_t size, uint8_t *bytes)
{
    (void)file;
    if (offset > medium_size || size > medium_size - offset)
        return false;
    memcpy(bytes, medium + offset, size);
    return true;
}

bool sim_disk_pending(const struct os_file *file)
{
    (void)file;
    return medium_pending;
}

bool sim_disk_named(const struct sim_disk *disk, const struct os_file *file)
{
    (void)disk;
    (void)file;
    return medium_named;
}

struct os_file *sim_disk_look(struct sim_disk *disk, const char *path)
{
    (void)disk;
    (void)path;
    return NULL;
}

bool sim_disk_list(struct sim_disk *disk, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    (void)disk;
    (void)path;
    (void)each;
    (void)ctx;
    return false;
}

void sim_disk_looked(struct sim_disk *disk, struct os_file *file)
{
    (void)disk;
    (void)file;
}

const uint8_t *sim_disk_durable(struct sim_disk *disk, const char *path, uint64_t *size)
{
    (void)disk;
    (void)path;
    *size = 0;
    return NULL;
}

/* ---- crafted nodes ------------------------------------------------------------------------------------- */

#define NODES 3
#define BATCHES 32

struct crafted {
    struct raft_status status;
    struct raft_configuration configuration;
    struct raft_configuration changed; /* what the last configuration batch holds */
    struct raft_batch log[BATCHES];    /* one entry each: log[i] is index i + 1 */
    uint64_t unsound;                  /* a member, as this node knows it; 0: nobody */
};

static struct sim sim;
static struct sim_oracle *oracle;
static struct crafted nodes[NODES];

static bool batch_at(const void *ctx, uint64_t index, struct raft_batch *batch)
{
    const struct crafted *node = ctx;

    if (index <= node->status.base_index || index > node->status.last_index)
        return false;
    *batch = node->log[index - 1];
    batch->configuration = batch->kind == RAFT_BATCH_CONFIGURATION ? &node->changed : NULL;
    return true;
}

static bool unsound(const void *ctx, uint64_t id)
{
    const struct crafted *node = ctx;

    return node->unsound == id;
}

static inline struct oracle_view view_of(uint32_t number)
{
    return (struct oracle_view){.number = number,
                                .core = true,
                                .status = nodes[number].status,
                                .configuration = &nodes[number].configuration,
                                .batch_at = batch_at,
                                .unsound = unsound,
                                .ctx = &nodes[number]};
}

static inline void look(uint32_t number)
{
    struct oracle_view view = view_of(number);

    oracle_observe(oracle, &view);
}

static inline void append(uint32_t number, uint64_t term, uint32_t kind)
{
    struct raft_status *status = &nodes[number].status;
    uint32_t chain = status->last_chain * 31 + (uint32_t)term * 7 + 1;

    nodes[number].log[status->last_index] = (struct raft_batch){
        .first = status->last_index + 1, .term = term, .count = 1, .bytes = 64, .chain = chain, .kind = kind};
    status->last_index++;
    status->last_term = term;
    status->last_chain = chain;
    if (kind == RAFT_BATCH_CONFIGURATION)
        status->configuration_index = status->last_index;
}

static inline void truncate_to(uint32_t number, uint64_t index)
{
    struct raft_status *status = &nodes[number].status;

    status->last_index = index;
    status->last_term = index ? nodes[number].log[index - 1].term : 0;
    status->last_chain = index ? nodes[number].log[index - 1].chain : 0;
    if (status->durable_index > index)
        status->durable_index = index;
}

static inline void voters(struct raft_configuration *configuration, uint64_t first, uint64_t last)
{
    memset(configuration, 0, sizeof *configuration);
    for (uint64_t id = first; id <= last; id++)
        configuration->members[configuration->count++] = (struct raft_member){.id = id, .role = RAFT_VOTER};
}

static inline struct oracle_message message(uint32_t type, uint32_t from, uint32_t to, uint64_t term)
{
    return (struct oracle_message){.type = type,
                                   .from = from,
                                   .to = to,
                                   .from_member = from + UINT64_C(1),
                                   .to_member = to + UINT64_C(1),
                                   .term = term,
                                   .for_term = term};
}

static inline void prevotes(uint32_t to, uint64_t term)
{
    for (uint32_t i = 0; i < NODES; i++) {
        struct oracle_message granted = message(RAFT_PREVOTE_RESPONSE, i, to, term - 1);

        granted.for_term = term;
        granted.flags = RAFT_VOTE_GRANTED;
        oracle_message_sent(oracle, &granted);
    }
}

/* Whoever has not voted in that term votes for this node. */
static inline void vote_for(uint32_t number, uint64_t term)
{
    for (uint32_t i = 0; i < NODES; i++) {
        struct oracle_message granted = message(i == number ? RAFT_VOTE_REQUEST : RAFT_VOTE_RESPONSE, i, number, term);

        granted.flags = RAFT_VOTE_GRANTED;
        if (!oracle_map_find(&oracle->votes, i + UINT64_C(1), term))
            oracle_message_sent(oracle, &granted);
    }
}

/* The node stands for a term and is elected. */
static inline void elect(uint32_t number, uint64_t term)
{
    struct raft_status *status = &nodes[number].status;

    prevotes(number, term);
    status->term = term;
    status->vote = status->self;
    status->role = RAFT_CANDIDATE;
    look(number);
    vote_for(number, term);
    status->role = RAFT_LEADER;
    look(number);
}

static inline void follow(uint32_t number, uint64_t term)
{
    nodes[number].status.term = term;
    nodes[number].status.vote = 0;
    nodes[number].status.role = RAFT_FOLLOWER;
    look(number);
}

static inline void durable(uint32_t number, uint64_t index)
{
    nodes[number].status.durable_index = index;
    look(number);
}

static inline void commit(uint32_t number, uint64_t index)
{
    nodes[number].status.commit = index;
    look(number);
}

/* n1 leads term 1; `entries` of it lie on n1 and n2 and are committed there. */
static inline void committed_world(uint64_t entries)
{
    elect(0, 1);
    for (uint64_t i = 0; i < entries; i++)
        append(0, 1, i ? RAFT_BATCH_COMMAND : RAFT_BATCH_NOOP);
    look(0);
    follow(1, 1);
    for (uint64_t i = 0; i < entries; i++)
        append(1, 1, i ? RAFT_BATCH_COMMAND : RAFT_BATCH_NOOP);
    durable(1, entries);
    durable(0, entries);
    commit(0, entries);
    commit(1, entries);
}

static int setup(void **state)
{
    (void)state;
    memset(&sim, 0, sizeof sim);
    memset(nodes, 0, sizeof nodes);
    sim.node_count = NODES;
    oracle = sim_oracle_new(&sim);
    for (uint32_t i = 0; i < NODES; i++) {
        nodes[i].status.self = i + UINT64_C(1);
        nodes[i].status.role = RAFT_FOLLOWER;
        nodes[i].status.voter = true;
        voters(&nodes[i].configuration, 1, NODES);
        oracle->nodes[i].alive = true;
        look(i);
    }
    fired[0] = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    oracle = sim_oracle_free(oracle);
    return 0;
}

/* The statement must make just this invariant fire. */
#define fires(invariant, statement) \
    do { \
        if (setjmp(failed) == 0) { \
            statement; \
            fail_msg("nothing fired, wanted: %s", (invariant)); \
        } \
        if (strcmp(fired, (invariant)) != 0) \
            fail_msg("wanted: %s; fired: %s: %s", (invariant), fired, sentence); \
    } while (0)

/* What is before the planted violation must be accepted. */
#define holds(statement) \
    do { \
        if (setjmp(failed) == 0) { \
            statement; \
        } else { \
            fail_msg("%s fired: %s", fired, sentence); \
        } \
    } while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
