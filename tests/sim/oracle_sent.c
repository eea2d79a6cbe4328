/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_sent.c - what leaves a node: read as far as it promises something, and held against the disk of that node at
 * that moment.
 */
#include "oracle_memory.h"

#include <string.h>

#include "core/codec/message.h"

/* ---- reading: MessagePack maps of small numbers to integers, up to the first value that is none -------- */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool read_wide(struct reader *reader, uint64_t *value)
{
    const uint8_t *at = reader->at;
    uint64_t left = (uint64_t)(reader->end - at);
    uint16_t two;
    uint32_t four;

    switch (*value) {
    case 0xcc:
        if (left < 1)
            return false;
        *value = *at;
        reader->at += 1;
        return true;
    case 0xcd:
        if (left < sizeof two)
            return false;
        memcpy(&two, at, sizeof two);
        *value = __builtin_bswap16(two);
        reader->at += sizeof two;
        return true;
    case 0xce:
        if (left < sizeof four)
            return false;
        memcpy(&four, at, sizeof four);
        *value = __builtin_bswap32(four);
        reader->at += sizeof four;
        return true;
    case 0xcf:
        if (left < sizeof *value)
            return false;
        memcpy(value, at, sizeof *value);
        *value = __builtin_bswap64(*value);
        reader->at += sizeof *value;
        return true;
    default: return false;
    }
}

static inline bool read_uint(struct reader *reader, uint64_t *value)
{
    if (reader->at == reader->end)
        return false;
    *value = *reader->at++;
    return *value < 0x80 || read_wide(reader, value);
}

static bool read_map(struct reader *reader, uint32_t *pairs)
{
    uint8_t head;

    if (reader->at == reader->end)
        return false;
    head = *reader->at++;
    *pairs = head & 0x0fu;
    if ((head & 0xf0u) == 0x80u)
        return true;
    if (head != 0xde || reader->end - reader->at < 2)
        return false;
    *pairs = (uint32_t)reader->at[0] << 8 | reader->at[1];
    reader->at += 2;
    return true;
}

/* Where each message keeps what the oracle wants: the numbers of core/codec/message.c. */
static void keep(struct oracle_message *message, uint64_t key, uint64_t value)
{
    switch (message->type << 8 | key) {
    case RAFT_PREVOTE_REQUEST << 8 | 4:
    case RAFT_PREVOTE_RESPONSE << 8 | 4:
    case RAFT_VOTE_REQUEST << 8 | 4:
    case RAFT_VOTE_RESPONSE << 8 | 4: message->for_term = value; break;
    case RAFT_VOTE_REQUEST << 8 | 5: message->last_index = value; break;
    case RAFT_PREVOTE_RESPONSE << 8 | 5:
    case RAFT_VOTE_RESPONSE << 8 | 5:
    case RAFT_APPEND_RESPONSE << 8 | 12:
    case RAFT_READ_RESPONSE << 8 | 6: message->flags = (uint32_t)value; break;
    case RAFT_APPEND_RESPONSE << 8 | 5:
    case RAFT_SNAPSHOT_RESPONSE << 8 | 7: message->match = value; break;
    case RAFT_SNAPSHOT_RESPONSE << 8 | 4:
    case RAFT_READ_RESPONSE << 8 | 5: message->index = value; break;
    case RAFT_READ_REQUEST << 8 | 4:
    case RAFT_READ_RESPONSE << 8 | 4: message->read = value; break;
    case RAFT_SNAPSHOT_RESPONSE << 8 | 8: message->status = (uint32_t)value; break;
    default:
        if (key == 3)
            message->term = value;
        break;
    }
}

bool oracle_message_read(struct gavel_slice bytes, struct oracle_message *message)
{
    struct reader reader = {bytes.data, (const uint8_t *)bytes.data + bytes.size};
    uint32_t pairs;
    uint64_t key, value;

    if (!read_map(&reader, &pairs) || !read_uint(&reader, &key) || key != 1 || !read_uint(&reader, &value))
        return false;
    if (value <= CODEC_RAFT || value > CODEC_RAFT_LAST)
        return false;
    message->type = (uint32_t)(value - CODEC_RAFT);
    for (uint32_t i = 1; i < pairs; i++) {
        if (!read_uint(&reader, &key) || !read_uint(&reader, &value))
            break; /* bytes: batches, or a part of a snapshot */
        keep(message, key, value);
        if (key == 3 && (message->type == RAFT_APPEND_REQUEST || message->type == RAFT_SNAPSHOT_REQUEST))
            break; /* of these the term is wanted only */
    }
    return true;
}

/* ---- what was sent ------------------------------------------------------------------------------------- */

void oracle_message_sent(struct sim_oracle *oracle, const struct oracle_message *message)
{
    bool added;
    uint64_t from = UINT64_C(1) << message->from;
    bool granted = message->flags & RAFT_VOTE_GRANTED;

    switch (message->type) {
    case RAFT_PREVOTE_RESPONSE:
        if (granted && message->for_term)
            *oracle_map_put(&oracle->willing, message->for_term, message->to, &added) |= from;
        break;
    case RAFT_VOTE_REQUEST:
        oracle_one_vote(oracle, message->from, message->from_member, message->term, message->from_member);
        oracle_term(oracle, message->term)->candidates |= from;
        break;
    case RAFT_VOTE_RESPONSE:
        if (granted && message->to_member)
            oracle_one_vote(oracle, message->from, message->from_member, message->term, message->to_member);
        break;
    case RAFT_APPEND_REQUEST:
        oracle_election_safety(oracle, message->term, message->from_member, message->from);
        break;
    case RAFT_READ_REQUEST: oracle_read_requested(oracle, message); break;
    case RAFT_READ_RESPONSE: oracle_read_answered(oracle, message); break;
    case RAFT_TIMEOUT_NOW:
        *oracle_map_put(&oracle->willing, message->term + 1, message->to, &added) |= ORACLE_TOLD;
        break;
    default: break;
    }
}

/* ---- persist before send ------------------------------------------------------------------------------- */

static void not_persisted(struct sim_oracle *oracle, const struct oracle_message *message, const char *what,
                          uint64_t said, uint64_t durable)
{
    sim_fail(oracle->sim, "persist before send", "n%u sends n%u %s %llu in term %llu; on its disk is %llu",
             message->from + 1, message->to + 1, what, (unsigned long long)said, (unsigned long long)message->term,
             (unsigned long long)durable);
}

static bool names_its_term(const struct oracle_message *message)
{
    return message->type != RAFT_PREVOTE_REQUEST && message->type != RAFT_PREVOTE_RESPONSE;
}

bool oracle_term_is_news(const struct oracle_node *node, const struct oracle_message *message)
{
    return message->term > node->disk_term && names_its_term(message);
}

static void both_hold(struct sim_oracle *oracle, const struct oracle_message *message,
                      const struct oracle_durable *durable)
{
    for (int i = 0; i < 2; i++)
        if (durable->term[i] < message->term)
            not_persisted(oracle, message, i ? "the term (second vote file)" : "the term", message->term,
                          durable->term[i]);
}

/* Whatever names a term, be it a refusal: who forgets that it spoke in it would take an older one for the newest. */
static void term_persisted(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_message *message,
                           const struct oracle_durable *durable)
{
    if (!durable->votes_known || !oracle_term_is_news(node, message))
        return;
    both_hold(oracle, message, durable);
    node->disk_term = message->term;
}

static void vote_persisted(struct sim_oracle *oracle, const struct oracle_message *message, uint64_t candidate,
                           const struct oracle_durable *durable)
{
    if (!durable->votes_known)
        return;
    both_hold(oracle, message, durable);
    for (int i = 0; i < 2; i++)
        if (durable->term[i] == message->term && durable->vote[i] != candidate)
            not_persisted(oracle, message, i ? "a vote (second vote file) for" : "a vote for", candidate,
                          durable->vote[i]);
}

/* The end of what its disk holds, by the word of its log. */
static uint64_t end_of(const struct oracle_durable *durable)
{
    return durable->log > durable->snapshot ? durable->log : durable->snapshot;
}

void oracle_counted(struct sim_oracle *oracle, const struct oracle_node *node, uint64_t counted,
                    const struct oracle_durable *durable)
{
    if (counted > end_of(durable))
        sim_fail(oracle->sim, "persist before send",
                 "n%u counts its own log as durable up to %llu; its log says up to %llu, its newest snapshot %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)counted, (unsigned long long)durable->log,
                 (unsigned long long)durable->snapshot);
}

static void log_persisted(struct sim_oracle *oracle, const struct oracle_message *message, const char *what,
                          uint64_t index, const struct oracle_durable *durable)
{
    uint64_t log = end_of(durable);

    if (index > log)
        not_persisted(oracle, message, what, index, log);
    if (index > durable->raft)
        not_persisted(oracle, message, what, index, durable->raft);
}

/*
 * "Persistent state on all servers (updated on stable storage before responding to RPCs): currentTerm, votedFor, log[]"
 * (figure 3.1). "Each server also persists new log entries before they are counted towards the entries' commitment;
 * this prevents committed entries from being lost or `uncommitted' when servers restart." (3.8)
 */
void oracle_persisted(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_message *message,
                      const struct oracle_durable *durable)
{
    bool granted = message->flags & RAFT_VOTE_GRANTED;

    if (names_its_term(message) && message->term > node->sent_term)
        node->sent_term = message->term;
    term_persisted(oracle, node, message, durable);
    if (node->refetching && (message->type == RAFT_VOTE_REQUEST || (message->type == RAFT_VOTE_RESPONSE && granted)))
        sim_fail(oracle->sim, "a recovering node does not vote", "n%u sends a vote in term %llu", message->from + 1,
                 (unsigned long long)message->term);
    switch (message->type) {
    case RAFT_VOTE_REQUEST:
        vote_persisted(oracle, message, message->from_member, durable);
        log_persisted(oracle, message, "a candidacy with a log up to", message->last_index, durable);
        break;
    case RAFT_VOTE_RESPONSE:
        if (granted && message->to_member)
            vote_persisted(oracle, message, message->to_member, durable);
        break;
    case RAFT_APPEND_RESPONSE:
        if (message->flags & RAFT_APPEND_REJECTED)
            break;
        log_persisted(oracle, message, "that it holds the log up to", message->match, durable);
        if (node->refetching && !(message->flags & RAFT_APPEND_RECOVERING))
            sim_fail(oracle->sim, "a recovering node does not count", "n%u acknowledges %llu as if it were whole",
                     message->from + 1, (unsigned long long)message->match);
        if (message->match > node->acked)
            node->acked = message->match;
        break;
    case RAFT_SNAPSHOT_RESPONSE:
        if (message->status != RAFT_SNAPSHOT_INSTALLED)
            break;
        log_persisted(oracle, message, "that it has installed", message->match, durable);
        if (message->match > node->acked)
            node->acked = message->match;
        break;
    default: break;
    }
}
