/* SPDX-License-Identifier: Apache-2.0 */
/* core/raft/raft.c - birth of a core, and questions to it that change nothing. */
#include <string.h>

#include "internal.h"

#define MILLISECOND UINT64_C(1000000)

#define DEFAULT_TO(field, value) \
    do { \
        if (options->field == 0) \
            options->field = (value); \
    } while (0)

void raft_take_defaults(struct raft_options *options)
{
    DEFAULT_TO(election_min_ns, 150 * MILLISECOND);
    DEFAULT_TO(election_max_ns, 2 * options->election_min_ns);
    DEFAULT_TO(heartbeat_ns, options->election_min_ns / 3);
    DEFAULT_TO(commit_notify_ns, 2 * MILLISECOND);
    DEFAULT_TO(disk_stall_ns, 4 * options->election_max_ns);
    DEFAULT_TO(priority_delay_ns, 32 * options->election_max_ns);
    DEFAULT_TO(batches_max, 131072);
    DEFAULT_TO(ios_max, 1024);
    DEFAULT_TO(append_batches_max, 1024);
    DEFAULT_TO(append_bytes_max, 256u << 10);
    DEFAULT_TO(chunk_bytes, 256u << 10);
    DEFAULT_TO(window_bytes, 4u << 20);
    DEFAULT_TO(uncommitted_bytes, 64u << 20);
    DEFAULT_TO(apply_window, 4096);
    DEFAULT_TO(promote_lag, 1024);
    DEFAULT_TO(members_max, RAFT_MEMBERS_MAX);
    DEFAULT_TO(snapshot_wait_ns, 200 * options->election_max_ns);
}

static size_t round_up(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

size_t raft_size(const struct raft_options *given)
{
    struct raft_options options = *given;
    raft_take_defaults(&options);
    return round_up(sizeof(struct raft)) + round_up((size_t)options.batches_max * sizeof(struct raft_slot)) +
           round_up((size_t)options.ios_max * sizeof(uint64_t));
}

static bool sound(const struct raft_options *o, const struct raft_recovered *recovered)
{
    if (o->self == 0 || o->members_max > RAFT_MEMBERS_MAX || o->ios_max < 4 * RAFT_IOS_PER_EVENT)
        return false;
    if (o->election_max_ns < o->election_min_ns || o->heartbeat_ns >= o->election_min_ns || !o->batches_max)
        return false;
    if (!recovered->configuration || recovered->configuration->count > o->members_max)
        return false;
    if (recovered->configuration->count > 0 &&
        !raft_configuration_valid(recovered->configuration, o->members_max))
        return false;
    if (recovered->base_index > recovered->snapshot_index || recovered->base_term > recovered->snapshot_term)
        return false;
    if (recovered->base_index == recovered->snapshot_index &&
        (recovered->base_term != recovered->snapshot_term ||
         recovered->base_chain != recovered->snapshot_chain))
        return false;
    return recovered->snapshot_term <= recovered->term;
}

int raft_init(void *memory, size_t size, const struct raft_options *options,
              const struct raft_recovered *recovered, struct raft **raft)
{
    struct raft_options taken = *options;
    raft_take_defaults(&taken);
    if (((uintptr_t)memory & 15) != 0 || size < raft_size(&taken) || !sound(&taken, recovered))
        return RAFT_E_INVALID;
    struct raft *r = memory;
    unsigned char *rest = (unsigned char *)memory + round_up(sizeof *r);
    memset(r, 0, sizeof *r);
    r->options = taken;
    r->random = taken.seed ^ taken.self * 0x9e3779b97f4a7c15u;
    r->log.slots = (struct raft_slot *)(void *)rest;
    r->log.capacity = taken.batches_max;
    rest += round_up((size_t)taken.batches_max * sizeof(struct raft_slot));
    r->pending = (uint64_t *)(void *)rest;
    memset(r->pending, 0, (size_t)taken.ios_max * sizeof r->pending[0]);
    raft_log_reset(&r->log, recovered->base_index, recovered->base_term, recovered->base_chain);
    r->term = recovered->term;
    r->vote = recovered->vote;
    r->snapshot_index = recovered->snapshot_index;
    r->commit = r->verified = r->applied = r->apply_sent = r->told_commit = recovered->snapshot_index;
    r->role = RAFT_FOLLOWER;
    r->recovering = recovered->recovering;
    r->stack_count = 1;
    r->stack[0].index = recovered->snapshot_index;
    r->stack[0].configuration = *recovered->configuration;
    r->magic = RAFT_MAGIC;
    *raft = r;
    return RAFT_OK;
}

int raft_load(struct raft *r, const struct raft_batch *batches, size_t count)
{
    assert(r->magic == RAFT_MAGIC);
    for (size_t i = 0; i < count; i++) {
        const struct raft_batch *batch = &batches[i];
        uint64_t last = batch->first + batch->count - 1;
        bool configuration = batch->kind == RAFT_BATCH_CONFIGURATION;
        if (r->started || batch->count == 0 || batch->bytes == 0)
            return RAFT_E_INVALID;
        if (batch->first != raft_log_last(&r->log) + 1)
            return RAFT_E_INVALID;
        if (batch->term < raft_log_last_term(&r->log) || batch->term == 0 || batch->term > r->term)
            return RAFT_E_INVALID;
        if (configuration && (batch->count != 1 || !batch->configuration ||
                              !raft_configuration_valid(batch->configuration, r->options.members_max)))
            return RAFT_E_INVALID;
        if (!raft_log_room(&r->log, r->snapshot_index))
            return RAFT_E_BUSY;
        raft_log_append(&r->log, batch);
        if (configuration && last > r->snapshot_index)
            raft_push_configuration(r, last, batch->configuration);
    }
    return RAFT_OK;
}

const char *raft_error_text(int code)
{
    static const char *const texts[] = {
        "ok",
        "the event or message breaks the rules",
        "this node is not the leader",
        "too much is under way already",
        "no space is reserved for the log",
        "the proposal was made for another term or another end of the log",
        "the leader has not committed an entry of its own term yet",
        "another change of members is under way",
        "the configuration is in force already",
        "a write failed, this node has stopped",
        "the leader contradicts what is committed here",
    };
    unsigned at = code <= 0 ? 0u - (unsigned)code : UINT32_MAX;
    return at < sizeof texts / sizeof texts[0] ? texts[at] : "unknown error";
}

uint64_t raft_commit(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    return r->commit;
}

bool raft_transferring(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    return r->transfer.target != 0;
}

uint32_t raft_batches(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    return r->log.used;
}

uint32_t raft_batches_above_snapshot(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    return raft_log_above(&r->log, r->snapshot_index);
}

void raft_status(const struct raft *r, struct raft_status *status)
{
    assert(r->magic == RAFT_MAGIC);
    *status = (struct raft_status){
        .self = r->options.self,
        .role = r->role,
        .recovering = r->recovering,
        .fenced = r->fenced,
        .voter = raft_is_voter(r),
        .own_term_committed = raft_own_term_committed(r),
        .transferring = r->transfer.target != 0,
        .installing = r->incoming.installing,
        .disk_stalls = raft_disk_stalls(r),
        .term = r->term,
        .vote = r->vote,
        .leader = r->leader,
        .commit = r->commit,
        .applied = r->applied,
        .last_index = raft_log_last(&r->log),
        .last_term = raft_log_last_term(&r->log),
        .last_chain = raft_log_last_chain(&r->log),
        .durable_index = r->durable_index,
        .base_index = r->log.base_index,
        .snapshot_index = r->snapshot_index,
        .configuration_index = raft_in_force_index(r),
        .disk_waits_ns = r->io > r->durable_io ? r->now - r->disk_progress : 0,
        .io = r->io,
    };
}

int raft_progress(const struct raft *r, uint64_t id, struct raft_progress_status *status)
{
    assert(r->magic == RAFT_MAGIC);
    if (r->role != RAFT_LEADER)
        return RAFT_E_NOT_LEADER;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *peer = &r->peers[i];
        if (peer->id != id)
            continue;
        *status = (struct raft_progress_status){
            .id = id,
            .state = peer->state,
            .recovering = peer->recovering,
            .active = raft_peer_alive(r, peer),
            .disk_stalls = peer->stalled,
            .fenced = peer->fenced,
            .match = peer->match,
            .next = peer->next,
            .last_index = peer->last_index,
            .heard_ns = peer->heard,
        };
        return RAFT_OK;
    }
    return RAFT_E_INVALID;
}

const struct raft_configuration *raft_configuration(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    return raft_in_force(r);
}

const struct raft_configuration *raft_configuration_at(const struct raft *r, uint64_t index)
{
    assert(r->magic == RAFT_MAGIC);
    for (uint32_t i = r->stack_count; i-- > 0;)
        if (r->stack[i].index <= index)
            return &r->stack[i].configuration;
    return NULL;
}

bool raft_batch_at(const struct raft *r, uint64_t index, struct raft_batch *batch)
{
    uint32_t at;
    assert(r->magic == RAFT_MAGIC);
    if (!raft_log_find(&r->log, index, &at))
        return false;
    const struct raft_slot *slot = raft_log_slot(&r->log, at);
    *batch = (struct raft_batch){
        .first = slot->first,
        .term = slot->term,
        .count = slot->count,
        .bytes = slot->bytes,
        .chain = slot->chain,
        .kind = slot->kind,
    };
    for (uint32_t i = 0; slot->kind == RAFT_BATCH_CONFIGURATION && i < r->stack_count; i++)
        if (r->stack[i].index == slot->first)
            batch->configuration = &r->stack[i].configuration;
    return true;
}
