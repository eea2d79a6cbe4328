/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/effects.c - emitting effects; io numbers, gates, and what they say is on the disk.
 *
 * A change of term or vote is only marked (raft_set_term) and becomes one WRITE_VOTE right before the next
 * effect, or at the end of the step. So term and vote are always one record, an entry of a term never reaches
 * the disk before the term, and whatever is emitted afterwards can name the record as its gate.
 */
#include <string.h>

#include "internal.h"

uint32_t raft_effects_max(const struct raft_options *options)
{
    uint32_t members = options->members_max ? options->members_max : RAFT_MEMBERS_MAX;
    return members * RAFT_EFFECTS_PER_MEMBER + RAFT_EFFECTS_BESIDES;
}

static struct raft_effect *take(struct raft *r, uint32_t type)
{
    struct raft_effects *effects = r->effects;
    assert(effects != NULL);
    assert(effects->count < effects->capacity);
    struct raft_effect *effect = &effects->items[effects->count++];
    memset(effect, 0, sizeof *effect);
    effect->type = type;
    return effect;
}

static struct raft_effect *take_durable(struct raft *r, uint32_t type, uint64_t makes_durable)
{
    assert(r->io - r->durable_io < r->options.ios_max);
    if (r->io == r->durable_io)
        r->disk_progress = r->now;
    struct raft_effect *effect = take(r, type);
    effect->io = ++r->io;
    r->pending[effect->io % r->options.ios_max] = makes_durable;
    return effect;
}

void raft_flush_vote(struct raft *r)
{
    if (!r->vote_dirty)
        return;
    struct raft_effect *effect = take_durable(r, RAFT_EFFECT_WRITE_VOTE, 0);
    effect->vote.term = r->term;
    effect->vote.candidate = r->vote;
    r->vote_io = effect->io;
    r->vote_dirty = false;
}

void raft_set_term(struct raft *r, uint64_t term, uint64_t vote)
{
    assert(term > r->term || (term == r->term && (r->vote == 0 || r->vote == vote ||
                                                  raft_bug(r, RAFT_BUG_VOTE_TWICE) ||
                                                  raft_bug(r, RAFT_BUG_VOTE_FORGOTTEN))));
    if (term == r->term && vote == r->vote)
        return;
    r->term = term;
    r->vote = vote;
    r->vote_dirty = true;
}

bool raft_term_durable(const struct raft *r)
{
    return !r->vote_dirty && r->vote_io <= r->durable_io;
}

struct raft_effect *raft_emit(struct raft *r, uint32_t type)
{
    if (!raft_bug(r, RAFT_BUG_TERM_AFTER_ENTRY) || type != RAFT_EFFECT_APPEND)
        raft_flush_vote(r);
    return take(r, type);
}

/* A pre-vote binds nobody, so neither side of it waits for the disk. */
static bool waits_for_term(const struct raft *r, uint32_t type)
{
    if (raft_bug(r, RAFT_BUG_TERM_UNGATED) && type != RAFT_VOTE_REQUEST && type != RAFT_VOTE_RESPONSE)
        return false;
    return type != RAFT_PREVOTE_REQUEST && type != RAFT_PREVOTE_RESPONSE && !raft_term_durable(r);
}

/* A message of the current term, gated on that term being on the disk. */
struct raft_message *raft_send(struct raft *r, uint32_t type, uint64_t to)
{
    assert(to != 0);
    assert(to != r->options.self);
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_SEND);
    if (waits_for_term(r, type))
        effect->gate = r->vote_io;
    effect->message.type = type;
    effect->message.from = r->options.self;
    effect->message.to = to;
    effect->message.term = r->term;
    return &effect->message;
}

void raft_send_gate(struct raft *r, uint64_t index)
{
    assert(r->effects->count > 0);
    struct raft_effect *effect = &r->effects->items[r->effects->count - 1];
    assert(effect->type == RAFT_EFFECT_SEND || effect->type == RAFT_EFFECT_RECOVERY_REACHED);
    if (index <= r->durable_index)
        return;
    for (uint64_t io = r->durable_io + 1; io <= r->io; io++) {
        if (r->pending[io % r->options.ios_max] >= index) {
            effect->gate = raft_max(effect->gate, io);
            return;
        }
    }
    assert(!"what is in the log is durable or on its way to the disk");
}

uint32_t raft_io_free(const struct raft *r)
{
    return r->options.ios_max - (uint32_t)(r->io - r->durable_io);
}

void raft_emit_append(struct raft *r, uint64_t first, uint64_t last)
{
    assert(first <= last);
    assert(last == raft_log_last(&r->log));
    if (!raft_bug(r, RAFT_BUG_TERM_AFTER_ENTRY))
        raft_flush_vote(r);
    struct raft_effect *effect = take_durable(r, RAFT_EFFECT_APPEND, last);
    effect->range.first = first;
    effect->range.last = last;
}

/*
 * What was appended and is cut off again must not count when its write completes late: append of one term,
 * overwritten by another, then the same indexes again (ABA). So a pending write from now on vouches only for
 * what is below the cut.
 */
void raft_emit_truncate(struct raft *r, uint64_t from)
{
    assert(from > r->commit);
    raft_log_truncate(&r->log, from);
    raft_pop_configurations(r, from);
    if (!raft_bug(r, RAFT_BUG_LATE_COMPLETION)) {
        for (uint64_t io = r->durable_io + 1; io <= r->io; io++) {
            uint64_t *last = &r->pending[io % r->options.ios_max];
            *last = raft_min(*last, from - 1);
        }
    }
    r->durable_index = raft_min(r->durable_index, from - 1);
    r->verified = raft_min(r->verified, from - 1);
    raft_flush_vote(r);
    struct raft_effect *effect = take_durable(r, RAFT_EFFECT_TRUNCATE, 0);
    effect->range.first = from;
    effect->range.last = from;
}

int raft_written(struct raft *r, uint64_t io)
{
    if (io > r->io)
        return RAFT_E_INVALID;
    if (io <= r->durable_io)
        return RAFT_OK;
    uint64_t last = r->durable_index;
    for (uint64_t done = r->durable_io + 1; done <= io; done++)
        last = raft_max(last, r->pending[done % r->options.ios_max]);
    r->durable_index = last;
    if (!raft_bug(r, RAFT_BUG_LATE_COMPLETION))
        assert(r->durable_index <= raft_log_last(&r->log));
    r->durable_io = io;
    r->disk_progress = r->now;
    if (r->role == RAFT_CANDIDATE)
        raft_election_count(r); /* the own vote may count now */
    if (r->role == RAFT_LEADER)
        raft_commit_advance(r); /* so may the own entries */
    return RAFT_OK;
}

/* splitmix64: the whole state is one word, which is enough to keep elections apart. */
uint64_t raft_random(struct raft *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
