/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/commit.c - majorities, what is committed, what may be applied (thesis 3.5, 3.6.2, 4.3).
 *
 * While a joint configuration is in force every decision needs a majority of the old voters and a majority of
 * the new ones. A leader that is no voter of a set does not count in it, whoever it is.
 */
#include "cover.h"
#include "internal.h"

static bool in_set(const struct raft_member *member, bool outgoing)
{
    return outgoing ? member->outgoing != 0 : member->role == RAFT_VOTER;
}

static bool majority(struct raft *r, bool outgoing, bool (*has)(struct raft *r, uint64_t id))
{
    const struct raft_configuration *now = raft_in_force(r);
    uint32_t voters = 0, agree = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        if (!in_set(&now->members[i], outgoing))
            continue;
        voters++;
        agree += has(r, now->members[i].id);
    }
    if (voters == 0)
        return outgoing; /* no old set: it agrees with everything; no new set: there is no cluster yet */
    return agree > voters / 2;
}

bool raft_quorum(struct raft *r, bool (*has)(struct raft *r, uint64_t id))
{
    if (raft_bug(r, RAFT_BUG_JOINT_ONE_MAJORITY))
        return majority(r, false, has);
    return majority(r, false, has) && majority(r, true, has);
}

/* What this voter is known to hold durably. The leader's own log counts only as far as it is on its disk. */
static uint64_t held_by(struct raft *r, uint64_t id)
{
    if (id == r->options.self) {
        bool ungated = raft_bug(r, RAFT_BUG_OWN_ENTRY_UNGATED) ||
                       (raft_bug(r, RAFT_BUG_ALONE_UNGATED) && r->peer_count == 0);
        return ungated ? raft_log_last(&r->log) : r->durable_index;
    }
    const struct raft_peer *peer = raft_find_peer(r, id);
    if (!peer || (peer->recovering && !raft_bug(r, RAFT_BUG_RECOVERING_ACKS)))
        return 0;
    return peer->match;
}

/* The highest index that a majority of the set holds. */
static uint64_t majority_index(struct raft *r, bool outgoing)
{
    const struct raft_configuration *now = raft_in_force(r);
    uint64_t held[RAFT_MEMBERS_MAX + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        if (!in_set(&now->members[i], outgoing))
            continue;
        uint64_t index = held_by(r, now->members[i].id);
        uint32_t at = n++;
        for (; at > 0 && held[at - 1] > index && !raft_bug(r, RAFT_BUG_COMMIT_UNSORTED); at--)
            held[at] = held[at - 1];
        held[at] = index;
    }
    if (raft_bug(r, RAFT_BUG_COMMIT_COUNTS_REMOVED) && !raft_is_voter(r) && n > 0 && !outgoing)
        return raft_max(held[(n - 1) / 2], n > 1 ? held[(n - 1) / 2 + 1] : raft_log_last(&r->log));
    if (n == 0)
        return outgoing ? UINT64_MAX : 0;
    return held[(n - 1) / 2];
}

bool raft_own_term_committed(const struct raft *r)
{
    return r->role == RAFT_LEADER && r->own_first != 0 && r->commit >= r->own_first;
}

void raft_commit_to(struct raft *r, uint64_t index)
{
    assert(index <= raft_log_last(&r->log));
    if (index <= r->commit)
        return;
    r->commit = index;
    r->verified = raft_max(r->verified, index);
    if (r->role == RAFT_LEADER && r->commit_due == 0)
        r->commit_due = r->now + r->options.commit_notify_ns;
}

/*
 * The leader's rule: a majority holds it, and it is of the own term. An entry of an earlier term is never
 * committed by counting (3.6.2, figure 3.7 there, known as figure 8): it commits along with a later one.
 */
void raft_commit_advance(struct raft *r)
{
    assert(r->role == RAFT_LEADER);
    uint64_t index = majority_index(r, false);
    if (!raft_bug(r, RAFT_BUG_JOINT_ONE_MAJORITY))
        index = raft_min(index, majority_index(r, true));
    if (index <= r->commit)
        return;
    if (raft_log_term(&r->log, index) != r->term && !raft_bug(r, RAFT_BUG_COMMIT_OLD_TERM)) {
        RAFT_COVER(OLD_TERM);
        return;
    }
    raft_commit_to(r, index);
}

int raft_applied(struct raft *r, uint64_t index)
{
    if (index > r->apply_sent)
        return RAFT_E_INVALID;
    r->applied = raft_max(r->applied, index);
    return RAFT_OK;
}

/*
 * Hands the machines whole batches, as long as not too much is on its way to them, and never beside an
 * install.
 */
void raft_apply_pump(struct raft *r)
{
    if (r->apply_sent >= r->commit)
        return;
    if (r->incoming.installing && !raft_bug(r, RAFT_BUG_APPLY_DURING_INSTALL))
        return;
    uint64_t last = r->commit;
    if (last - r->applied > r->options.apply_window) {
        RAFT_COVER(APPLY_WINDOW);
        last = raft_log_floor(&r->log, r->applied + r->options.apply_window);
        if (last <= r->apply_sent && r->applied == r->apply_sent) {
            uint32_t at; /* a batch that is larger than the window goes alone */
            bool found = raft_log_find(&r->log, r->apply_sent + 1, &at);
            assert(found);
            last = r->apply_sent + raft_log_slot(&r->log, at)->count;
        }
    }
    if (last <= r->apply_sent)
        return;
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_APPLY);
    effect->range.first = r->apply_sent + 1;
    effect->range.last = last;
    r->apply_sent = last;
}
