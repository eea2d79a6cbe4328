/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_sent_test.c - what leaves a node, and what it takes for durable: each rule of the oracle, seen to fire, as in
 * oracle_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/codec/message.h"
#include "core/codec/value.h"
#include "core/log/snapshot_file.h"
#include "core/os/crc32c.h"

#include "oracle_crafted.h"

static void vote_in_one_file(void **state)
{
    struct oracle_message grant = message(RAFT_VOTE_RESPONSE, 1, 0, 3);
    struct oracle_durable disk = {.votes_known = true, .term = {3, 3}, .vote = {1, 1}};

    (void)state;
    grant.flags = RAFT_VOTE_GRANTED;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &grant, &disk));
    disk.term[1] = 2;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &grant, &disk));
    disk.term[1] = 3;
    disk.vote[1] = 3;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &grant, &disk));
}

static void candidacy_not_on_disk(void **state)
{
    struct oracle_message asks = message(RAFT_VOTE_REQUEST, 1, 0, 3);
    struct oracle_durable disk = {.votes_known = true, .term = {3, 3}, .vote = {2, 2}, .log = 7, .raft = 7};

    (void)state;
    asks.last_index = 7;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &asks, &disk));
    asks.last_index = 8;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &asks, &disk));
    asks.last_index = 7;
    disk.vote[0] = 1;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &asks, &disk));
}

static void speaks_in_a_term(uint32_t type)
{
    struct oracle_durable disk = {.votes_known = true, .term = {3, 3}};
    struct oracle_node *node = &oracle->nodes[1];
    struct oracle_message sent = message(type, 1, 0, 4);

    fires("persist before send", oracle_persisted(oracle, node, &sent, &disk));
    disk.term[0] = 4;
    fires("persist before send", oracle_persisted(oracle, node, &sent, &disk));
    disk.term[1] = 4;
    holds(oracle_persisted(oracle, node, &sent, &disk));
    assert_false(oracle_term_is_news(node, &sent)); /* and is not asked for again */
    node->disk_term = 0;
    disk = (struct oracle_durable){.votes_known = false}; /* damaged on purpose */
    holds(oracle_persisted(oracle, node, &sent, &disk));
}

/* Messages that hold neither a vote nor an entry. */
static void term_not_on_disk(void **state)
{
    struct oracle_durable disk = {.votes_known = true, .term = {3, 3}};
    struct oracle_message sent = message(RAFT_PREVOTE_RESPONSE, 1, 0, 4);

    (void)state;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &sent, &disk)); /* binds nobody */
    speaks_in_a_term(RAFT_VOTE_RESPONSE);
    speaks_in_a_term(RAFT_APPEND_REQUEST);
    speaks_in_a_term(RAFT_APPEND_RESPONSE);
    speaks_in_a_term(RAFT_READ_REQUEST);
    speaks_in_a_term(RAFT_READ_RESPONSE);
    speaks_in_a_term(RAFT_SNAPSHOT_REQUEST);
    speaks_in_a_term(RAFT_SNAPSHOT_RESPONSE);
    speaks_in_a_term(RAFT_TIMEOUT_NOW);
}

static void acknowledgement_not_on_disk(void **state)
{
    struct oracle_message answer = message(RAFT_APPEND_RESPONSE, 1, 0, 3);
    struct oracle_durable disk = {.log = 7, .raft = 7};

    (void)state;
    answer.match = 7;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
    assert_int_equal(oracle->nodes[1].acked, 7);
    answer.match = 8;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
    disk.log = 8; /* and its core has not heard of that */
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
    answer.flags = RAFT_APPEND_REJECTED;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
    answer = message(RAFT_SNAPSHOT_RESPONSE, 1, 0, 3);
    answer.status = RAFT_SNAPSHOT_INSTALLED;
    answer.match = 9;
    fires("persist before send", oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
}

/* A leader asks nobody whether its own log is durable. */
static void own_log_not_on_disk(void **state)
{
    struct oracle_durable disk = {.log = 7, .snapshot = 3};

    (void)state;
    holds(oracle_counted(oracle, &oracle->nodes[0], 7, &disk));
    fires("persist before send", oracle_counted(oracle, &oracle->nodes[0], 8, &disk));
    disk.snapshot = 8; /* just installed: the log begins behind it */
    holds(oracle_counted(oracle, &oracle->nodes[0], 8, &disk));
    fires("persist before send", oracle_counted(oracle, &oracle->nodes[0], 9, &disk));
}

#define META 5
#define PAYLOAD (LOG_SNAPSHOT_DATA + 1000) /* two blocks */

/* The file of a snapshot of 7; returns its size. */
static uint64_t make_snapshot(struct log_snapshot_info *info, uint8_t *bytes)
{
    uint64_t at = log_snapshot_blocks_at(META), end = log_snapshot_foot_at(META, PAYLOAD);

    *info = (struct log_snapshot_info){.index = 7, .term = 2, .chain = 99, .bytes = PAYLOAD};
    memset(bytes, 0, end);
    memcpy(bytes + LOG_SNAPSHOT_HEAD, "meta", META);
    log_snapshot_head_encode(bytes, info, "meta", META);
    for (uint32_t left = PAYLOAD, number = 0; left; number++) {
        uint32_t part = left < LOG_SNAPSHOT_DATA ? left : LOG_SNAPSHOT_DATA;

        memset(bytes + at + 8, 'a' + (int)number, part);
        log_snapshot_block_encode(bytes + at, number, bytes + at + 8, part);
        info->digest = crc32c(info->digest, bytes + at + 8, part);
        at += part + 8;
        left -= part;
    }
    log_snapshot_foot_encode(bytes + end, info);
    return end + LOG_SNAPSHOT_FOOT;
}

static const char *missing(const struct log_snapshot_info *info)
{
    return oracle_snapshot_missing(info, NULL, (const struct os_file *)(const void *)medium);
}

/* Any of its bytes may be one that was not synced. */
static void snapshot_not_on_disk(void **state)
{
    static uint8_t bytes[3 * LOG_SNAPSHOT_BLOCK];
    static const uint64_t places[] = {0, 9, LOG_SNAPSHOT_HEAD + 1, LOG_SNAPSHOT_PAGE, LOG_SNAPSHOT_PAGE + 4,
                                      LOG_SNAPSHOT_PAGE + 8, LOG_SNAPSHOT_PAGE + LOG_SNAPSHOT_BLOCK - 1,
                                      LOG_SNAPSHOT_PAGE + LOG_SNAPSHOT_BLOCK + 100};
    struct log_snapshot_info info, other;

    (void)state;
    medium = bytes;
    medium_size = make_snapshot(&info, bytes);
    medium_named = true;
    medium_pending = false;
    assert_null(missing(&info));
    assert_non_null(oracle_snapshot_missing(&info, NULL, NULL));
    assert_non_null((medium_pending = true, missing(&info)));
    medium_pending = false;
    assert_non_null((medium_named = false, missing(&info)));
    medium_named = true;
    assert_non_null((medium_size--, missing(&info)));
    medium_size++;
    for (size_t i = 0; i <= sizeof places / sizeof places[0]; i++) {
        uint64_t place = i < sizeof places / sizeof places[0] ? places[i] : medium_size - 1;

        bytes[place] ^= 1;
        assert_non_null(missing(&info));
        bytes[place] ^= 1;
    }
    assert_non_null((other = info, other.index++, missing(&other)));
    assert_non_null((other = info, other.term++, missing(&other)));
    assert_non_null((other = info, other.chain++, missing(&other)));
    assert_non_null((other = info, other.digest++, missing(&other)));
    assert_non_null((other = info, other.bytes++, missing(&other)));
    assert_null(missing(&info));
}

static void recovering_node_speaks(void **state)
{
    struct oracle_message grant = message(RAFT_VOTE_RESPONSE, 1, 0, 3);
    struct oracle_message answer = message(RAFT_APPEND_RESPONSE, 1, 0, 3);
    struct oracle_durable disk = {0};

    (void)state;
    oracle->nodes[1].refetching = true;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &grant, &disk));
    grant.flags = RAFT_VOTE_GRANTED;
    fires("a recovering node does not vote", oracle_persisted(oracle, &oracle->nodes[1], &grant, &disk));
    answer.flags = RAFT_APPEND_RECOVERING;
    holds(oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
    answer.flags = 0;
    fires("a recovering node does not count", oracle_persisted(oracle, &oracle->nodes[1], &answer, &disk));
}

static void encode(uint32_t type, const struct codec_raft *wire, struct gavel_buffer *out)
{
    struct gavel_error error = {0};

    out->size = 0;
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_RAFT + type, wire, out, &error), GAVEL_OK);
}

/* The oracle's own reading of messages, against the codec that ships. */
static void messages_are_read(void **state)
{
    struct codec_raft wire = {.id = 9, .term = 77, .prev_index = 300, .match = 70000, .hint_index = 4, .flags = 2};
    struct gavel_buffer out = codec_buffer(0);
    struct oracle_message read = {0};

    (void)state;
    encode(RAFT_APPEND_RESPONSE, &wire, &out);
    assert_true(oracle_message_read(gavel_buffer_slice(&out), &read));
    assert_int_equal(read.type, RAFT_APPEND_RESPONSE);
    assert_int_equal(read.term, 77);
    assert_int_equal(read.match, 70000);
    assert_int_equal(read.flags, 2);
    wire = (struct codec_raft){.term = 5, .for_term = 6, .last_index = 1000, .flags = 1};
    encode(RAFT_VOTE_REQUEST, &wire, &out);
    memset(&read, 0, sizeof read);
    assert_true(oracle_message_read(gavel_buffer_slice(&out), &read));
    assert_int_equal(read.for_term, 6);
    assert_int_equal(read.last_index, 1000);
    wire = (struct codec_raft){.term = 5, .index = 12, .match = 12, .status = RAFT_SNAPSHOT_INSTALLED};
    encode(RAFT_SNAPSHOT_RESPONSE, &wire, &out);
    memset(&read, 0, sizeof read);
    assert_true(oracle_message_read(gavel_buffer_slice(&out), &read));
    assert_int_equal(read.index, 12);
    assert_int_equal(read.match, 12);
    assert_int_equal(read.status, RAFT_SNAPSHOT_INSTALLED);
    wire = (struct codec_raft){.term = 5, .for_term = 6, .flags = RAFT_VOTE_GRANTED};
    encode(RAFT_VOTE_RESPONSE, &wire, &out);
    memset(&read, 0, sizeof read);
    assert_true(oracle_message_read(gavel_buffer_slice(&out), &read));
    assert_int_equal(read.flags, RAFT_VOTE_GRANTED);
    gavel_buffer_free(&out);
    assert_false(oracle_message_read(gavel_text("{\"type\":\"hello\"}"), &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vote_in_one_file), TEST(candidacy_not_on_disk), TEST(term_not_on_disk),
        TEST(acknowledgement_not_on_disk), TEST(own_log_not_on_disk), TEST(snapshot_not_on_disk),
        TEST(recovering_node_speaks), TEST(messages_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
