/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.c - the tables of all messages. Ids are the keys in MessagePack: 1 is the type, so rows begin at 2; ids are
 * never reused within a message. gavel-protocol(7) holds the same tables for people.
 */
#include "core/codec/message.h"

/* Bounds of what travels in messages, where a table can state them. */
#define NAME_BYTES_MAX 255        /* names of nodes, machines, commands, streams, serializers */
#define SENTENCE_BYTES_MAX 1024   /* sentences that go with a status */
#define ADDRESSES_MAX 16          /* of one node */
#define SERIALIZERS_MAX 16        /* offered in a hello */
#define PRINCIPAL_BYTES_MAX 1024  /* as in the log */
#define TRACEPARENT_BYTES_MAX 64  /* 55 in version 00 of W3C Trace Context */
#define TRACES_BYTES_MAX 1024     /* 32 traced entries of an append */
#define HASH_BYTES_MAX 64         /* of the member list */

/* Rows. `ROW(struct, id, member, type)`, and the same with more said. */
#define ROW(s, number, member, kind) \
    {.name = #member, .id = (number), .type = (kind), .offset = offsetof(struct s, member)}
#define ROW_REQUIRED(s, number, member, kind) \
    {.name = #member, .id = (number), .type = (kind), .offset = offsetof(struct s, member), .flags = GAVEL_REQUIRED}
#define ROW_UPTO(s, number, member, kind, most) \
    {.name = #member, .id = (number), .type = (kind), .offset = offsetof(struct s, member), .max = (most)}
#define ROW_ID(s, number, member) \
    {.name = #member, \
     .id = (number), \
     .type = GAVEL_BYTES, \
     .offset = offsetof(struct s, member), \
     .min = CODEC_ID_BYTES, \
     .max = CODEC_ID_BYTES}
#define ROW_CHOICE(s, number, member, names, most) \
    {.name = #member, \
     .id = (number), \
     .type = GAVEL_CHOICE, \
     .offset = offsetof(struct s, member), \
     .choices = (names), \
     .flags = (most)}
#define ROW_STRINGS(s, number, member, most) \
    {.name = #member, \
     .id = (number), \
     .type = GAVEL_LIST, \
     .offset = offsetof(struct s, member), \
     .element = GAVEL_STRING, \
     .max = (most)}

static const char *const roles[] = {"peer", "client", "admin", NULL};
static const char *const reads[] = {"linearizable", "stale", NULL};
static const char *const founds[] = {"empty", "formed", "differs", "busy", NULL};

/* ---- hello ------------------------------------------------------------------------------------------------------- */

static const struct gavel_field hello_rows[] = {
    ROW_CHOICE(codec_hello, 2, role, roles, GAVEL_REQUIRED),
    ROW_REQUIRED(codec_hello, 3, version_major, GAVEL_UINT),
    ROW_REQUIRED(codec_hello, 4, version_minor, GAVEL_UINT),
    ROW_ID(codec_hello, 5, cluster_id),
    ROW(codec_hello, 6, member_id, GAVEL_UINT),
    ROW_ID(codec_hello, 7, incarnation),
    ROW_UPTO(codec_hello, 8, name, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_STRINGS(codec_hello, 9, serializers, SERIALIZERS_MAX),
    ROW(codec_hello, 10, founded, GAVEL_BOOL),
    ROW_UPTO(codec_hello, 11, to, GAVEL_STRING, NAME_BYTES_MAX),
    ROW(codec_hello, 12, message_bytes, GAVEL_UINT),
    ROW(codec_hello, 13, machines, GAVEL_VALUE),
    ROW(codec_hello, 14, recovering, GAVEL_BOOL),
    ROW(codec_hello, 20, disk_major, GAVEL_UINT),
    ROW(codec_hello, 21, disk_minor, GAVEL_UINT),
};
static const struct gavel_fields hello_fields = GAVEL_FIELDS(hello_rows, struct codec_hello);

static const struct gavel_field welcome_rows[] = {
    ROW_REQUIRED(codec_welcome, 2, status, GAVEL_INT),
    ROW_UPTO(codec_welcome, 3, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
    ROW_UPTO(codec_welcome, 4, serializer, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_ID(codec_welcome, 5, cluster_id),
    ROW(codec_welcome, 6, member_id, GAVEL_UINT),
    ROW_UPTO(codec_welcome, 7, name, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_ID(codec_welcome, 8, incarnation),
    ROW_UPTO(codec_welcome, 9, leader, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_STRINGS(codec_welcome, 10, leader_addresses, ADDRESSES_MAX),
    ROW_REQUIRED(codec_welcome, 11, version_major, GAVEL_UINT),
    ROW_REQUIRED(codec_welcome, 12, version_minor, GAVEL_UINT),
    ROW(codec_welcome, 13, founded, GAVEL_BOOL),
    ROW(codec_welcome, 14, message_bytes, GAVEL_UINT),
    ROW(codec_welcome, 15, removed, GAVEL_BOOL),
    ROW(codec_welcome, 16, machines, GAVEL_VALUE),
    ROW(codec_welcome, 20, disk_major, GAVEL_UINT),
    ROW(codec_welcome, 21, disk_minor, GAVEL_UINT),
};
static const struct gavel_fields welcome_fields = GAVEL_FIELDS(welcome_rows, struct codec_welcome);

static const struct gavel_field goodbye_rows[] = {
    ROW_REQUIRED(codec_goodbye, 2, status, GAVEL_INT),
    ROW_UPTO(codec_goodbye, 3, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
};
static const struct gavel_fields goodbye_fields = GAVEL_FIELDS(goodbye_rows, struct codec_goodbye);

static const struct gavel_field going_away_rows[] = {
    ROW_UPTO(codec_going_away, 2, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
    ROW(codec_going_away, 3, remaining_ms, GAVEL_UINT),
    ROW_STRINGS(codec_going_away, 4, addresses, ADDRESSES_MAX),
    ROW(codec_going_away, 5, index, GAVEL_UINT),
};
static const struct gavel_fields going_away_fields = GAVEL_FIELDS(going_away_rows, struct codec_going_away);

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static const struct gavel_field request_rows[] = {
    ROW_REQUIRED(codec_request, 2, id, GAVEL_UINT),
    ROW_UPTO(codec_request, 3, machine, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_UPTO(codec_request, 4, command, GAVEL_STRING, NAME_BYTES_MAX),
    ROW(codec_request, 5, command_id, GAVEL_UINT),
    ROW(codec_request, 6, arguments, GAVEL_VALUE),
    ROW(codec_request, 7, session, GAVEL_UINT),
    ROW(codec_request, 8, sequence, GAVEL_UINT),
    ROW(codec_request, 9, acked, GAVEL_UINT),
    ROW_CHOICE(codec_request, 10, read, reads, 0),
    ROW(codec_request, 11, remaining_ms, GAVEL_UINT),
    ROW_UPTO(codec_request, 12, traceparent, GAVEL_STRING, TRACEPARENT_BYTES_MAX),
    ROW_UPTO(codec_request, 13, principal, GAVEL_STRING, PRINCIPAL_BYTES_MAX),
    ROW(codec_request, 14, forwarded, GAVEL_BOOL),
    ROW(codec_request, 15, min_index, GAVEL_UINT),
    ROW(codec_request, 16, no_forward, GAVEL_BOOL),
};
static const struct gavel_fields request_fields = GAVEL_FIELDS(request_rows, struct codec_request);

static const struct gavel_field reply_rows[] = {
    ROW_REQUIRED(codec_reply, 2, id, GAVEL_UINT),
    ROW(codec_reply, 3, status, GAVEL_INT),
    ROW_UPTO(codec_reply, 4, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
    ROW(codec_reply, 5, index, GAVEL_UINT),
    ROW(codec_reply, 6, ordinal, GAVEL_UINT),
    ROW(codec_reply, 7, result, GAVEL_VALUE),
    ROW_UPTO(codec_reply, 8, leader, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_STRINGS(codec_reply, 9, leader_addresses, ADDRESSES_MAX),
    ROW_CHOICE(codec_reply, 10, read, reads, 0),
    ROW(codec_reply, 11, duplicate, GAVEL_BOOL),
    ROW(codec_reply, 12, oldest_index, GAVEL_UINT),
};
static const struct gavel_fields reply_fields = GAVEL_FIELDS(reply_rows, struct codec_reply);

static const struct gavel_field stream_open_rows[] = {
    ROW_REQUIRED(codec_stream_open, 2, id, GAVEL_UINT),
    ROW_UPTO(codec_stream_open, 3, stream, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_UPTO(codec_stream_open, 4, machine, GAVEL_STRING, NAME_BYTES_MAX),
    ROW(codec_stream_open, 5, arguments, GAVEL_VALUE),
    ROW(codec_stream_open, 6, from_index, GAVEL_UINT),
    ROW(codec_stream_open, 7, from_ordinal, GAVEL_UINT),
    ROW(codec_stream_open, 8, credit, GAVEL_UINT),
};
static const struct gavel_fields stream_open_fields = GAVEL_FIELDS(stream_open_rows, struct codec_stream_open);

static const struct gavel_field stream_credit_rows[] = {
    ROW_REQUIRED(codec_stream_credit, 2, id, GAVEL_UINT),
    ROW_REQUIRED(codec_stream_credit, 3, credit, GAVEL_UINT),
};
static const struct gavel_fields stream_credit_fields = GAVEL_FIELDS(stream_credit_rows, struct codec_stream_credit);

static const struct gavel_field stream_event_rows[] = {
    ROW_REQUIRED(codec_stream_event, 2, id, GAVEL_UINT),
    ROW(codec_stream_event, 3, index, GAVEL_UINT),
    ROW(codec_stream_event, 4, ordinal, GAVEL_UINT),
    ROW_UPTO(codec_stream_event, 5, event, GAVEL_STRING, NAME_BYTES_MAX),
    ROW(codec_stream_event, 6, key, GAVEL_BYTES),
    ROW(codec_stream_event, 7, body, GAVEL_VALUE),
    ROW(codec_stream_event, 8, previous, GAVEL_VALUE),
    ROW_UPTO(codec_stream_event, 9, machine, GAVEL_STRING, NAME_BYTES_MAX),
    ROW(codec_stream_event, 10, wall_ms, GAVEL_UINT),
};
static const struct gavel_fields stream_event_fields = GAVEL_FIELDS(stream_event_rows, struct codec_stream_event);

static const struct gavel_field stream_end_rows[] = {
    ROW_REQUIRED(codec_stream_end, 2, id, GAVEL_UINT),
    ROW(codec_stream_end, 3, status, GAVEL_INT),
    ROW_UPTO(codec_stream_end, 4, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
    ROW(codec_stream_end, 5, oldest_index, GAVEL_UINT),
    ROW(codec_stream_end, 6, oldest_ordinal, GAVEL_UINT),
};
static const struct gavel_fields stream_end_fields = GAVEL_FIELDS(stream_end_rows, struct codec_stream_end);

static const struct gavel_field stream_close_rows[] = {
    ROW_REQUIRED(codec_stream_close, 2, id, GAVEL_UINT),
};
static const struct gavel_fields stream_close_fields = GAVEL_FIELDS(stream_close_rows, struct codec_stream_close);

/* ---- the algorithm ----------------------------------------------------------------------------------------------- */

/* What each of its messages begins with. */
#define RAFT_HEAD ROW(codec_raft, 2, id, GAVEL_UINT), ROW_REQUIRED(codec_raft, 3, term, GAVEL_UINT)
#define RAFT_ROW(number, member) ROW(codec_raft, number, member, GAVEL_UINT)

static const struct gavel_field vote_rows[] = {
    RAFT_HEAD, RAFT_ROW(4, for_term), RAFT_ROW(5, last_index), RAFT_ROW(6, last_term), RAFT_ROW(7, flags)};
static const struct gavel_fields vote_fields = GAVEL_FIELDS(vote_rows, struct codec_raft);

static const struct gavel_field vote_reply_rows[] = {RAFT_HEAD, RAFT_ROW(4, for_term), RAFT_ROW(5, flags)};
static const struct gavel_fields vote_reply_fields = GAVEL_FIELDS(vote_reply_rows, struct codec_raft);

/* `batches` is last, so that its bytes can be sent apart. */
static const struct gavel_field append_rows[] = {
    RAFT_HEAD,
    RAFT_ROW(4, prev_index),
    RAFT_ROW(5, prev_term),
    RAFT_ROW(6, prev_chain),
    RAFT_ROW(7, last_index),
    RAFT_ROW(8, commit),
    RAFT_ROW(9, round),
    RAFT_ROW(10, flags),
    RAFT_ROW(13, digest_index),
    RAFT_ROW(14, digest),
    /* 11 is `entries`, which only JSON writes and nobody reads */
    ROW_UPTO(codec_raft, 15, traces, GAVEL_BYTES, TRACES_BYTES_MAX),
    {.name = "batches", .id = 12, .type = GAVEL_BYTES, .offset = offsetof(struct codec_raft, tail)},
};
static const struct gavel_fields append_fields = GAVEL_FIELDS(append_rows, struct codec_raft);

static const struct gavel_field append_reply_rows[] = {
    RAFT_HEAD,
    RAFT_ROW(4, prev_index),
    RAFT_ROW(5, match),
    RAFT_ROW(6, hint_index),
    RAFT_ROW(7, hint_term),
    RAFT_ROW(8, last_index),
    RAFT_ROW(9, round),
    RAFT_ROW(10, digest_index),
    RAFT_ROW(11, digest),
    RAFT_ROW(12, flags),
};
static const struct gavel_fields append_reply_fields = GAVEL_FIELDS(append_reply_rows, struct codec_raft);

/* `data` is last, for the same reason. */
static const struct gavel_field snapshot_rows[] = {
    RAFT_HEAD,
    RAFT_ROW(4, index),
    RAFT_ROW(5, last_term),
    RAFT_ROW(6, total),
    RAFT_ROW(7, digest),
    RAFT_ROW(8, offset),
    RAFT_ROW(9, length),
    RAFT_ROW(10, chain),
    RAFT_ROW(11, data_digest),
    ROW(codec_raft, 12, meta, GAVEL_BYTES),
    RAFT_ROW(14, ask),
    {.name = "data", .id = 13, .type = GAVEL_BYTES, .offset = offsetof(struct codec_raft, tail)},
};
static const struct gavel_fields snapshot_fields = GAVEL_FIELDS(snapshot_rows, struct codec_raft);

static const struct gavel_field snapshot_reply_rows[] = {
    RAFT_HEAD,           RAFT_ROW(4, index), RAFT_ROW(5, digest),
    RAFT_ROW(6, offset), RAFT_ROW(7, match), RAFT_ROW(8, status), RAFT_ROW(9, ask),
};
static const struct gavel_fields snapshot_reply_fields = GAVEL_FIELDS(snapshot_reply_rows, struct codec_raft);

static const struct gavel_field timeout_now_rows[] = {RAFT_HEAD};
static const struct gavel_fields timeout_now_fields = GAVEL_FIELDS(timeout_now_rows, struct codec_raft);

static const struct gavel_field read_rows[] = {RAFT_HEAD, RAFT_ROW(4, read)};
static const struct gavel_fields read_fields = GAVEL_FIELDS(read_rows, struct codec_raft);

static const struct gavel_field read_reply_rows[] = {
    RAFT_HEAD, RAFT_ROW(4, read), RAFT_ROW(5, index), RAFT_ROW(6, flags)};
static const struct gavel_fields read_reply_fields = GAVEL_FIELDS(read_reply_rows, struct codec_raft);

/* ---- health ------------------------------------------------------------------------------------------------------ */

static const struct gavel_field check_rows[] = {
    ROW_REQUIRED(codec_check, 2, id, GAVEL_UINT),
};
static const struct gavel_fields check_fields = GAVEL_FIELDS(check_rows, struct codec_check);

static const struct gavel_field check_answer_rows[] = {
    ROW_REQUIRED(codec_check_answer, 2, id, GAVEL_UINT),
    ROW(codec_check_answer, 3, alarms, GAVEL_UINT),
    ROW(codec_check_answer, 4, term, GAVEL_UINT),
    ROW(codec_check_answer, 5, commit, GAVEL_UINT),
    ROW(codec_check_answer, 6, applied, GAVEL_UINT),
    ROW(codec_check_answer, 7, last_index, GAVEL_UINT),
    ROW(codec_check_answer, 8, log_bytes, GAVEL_UINT),
    ROW(codec_check_answer, 9, disk_bytes, GAVEL_UINT),
    ROW(codec_check_answer, 10, snapshot_index, GAVEL_UINT),
    ROW(codec_check_answer, 11, snapshot_bytes, GAVEL_UINT),
    ROW(codec_check_answer, 12, sync_p50_us, GAVEL_UINT),
    ROW(codec_check_answer, 13, sync_p99_us, GAVEL_UINT),
    ROW(codec_check_answer, 14, sync_slow_ms, GAVEL_UINT),
    ROW(codec_check_answer, 15, commit_p50_us, GAVEL_UINT),
    ROW(codec_check_answer, 16, commit_p99_us, GAVEL_UINT),
    ROW(codec_check_answer, 17, apply_backlog_ms, GAVEL_UINT),
    ROW(codec_check_answer, 18, writes, GAVEL_UINT),
    ROW(codec_check_answer, 19, reads, GAVEL_UINT),
    ROW(codec_check_answer, 20, links, GAVEL_UINT),
    ROW(codec_check_answer, 21, clients, GAVEL_UINT),
    ROW(codec_check_answer, 22, uptime_ms, GAVEL_UINT),
    ROW_UPTO(codec_check_answer, 23, role, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_UPTO(codec_check_answer, 24, leader, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_UPTO(codec_check_answer, 25, version, GAVEL_STRING, NAME_BYTES_MAX),
};
static const struct gavel_fields check_answer_fields = GAVEL_FIELDS(check_answer_rows, struct codec_check_answer);

/* ---- founding ---------------------------------------------------------------------------------------------------- */

static const struct gavel_field found_ask_rows[] = {
    ROW(codec_found_ask, 2, id, GAVEL_UINT),
    ROW_UPTO(codec_found_ask, 3, members, GAVEL_BYTES, HASH_BYTES_MAX),
    ROW_UPTO(codec_found_ask, 4, name, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_ID(codec_found_ask, 5, incarnation),
};
static const struct gavel_fields found_ask_fields = GAVEL_FIELDS(found_ask_rows, struct codec_found_ask);

static const struct gavel_field found_answer_rows[] = {
    ROW(codec_found_answer, 2, id, GAVEL_UINT),
    ROW_CHOICE(codec_found_answer, 3, state, founds, GAVEL_REQUIRED),
    ROW_ID(codec_found_answer, 4, incarnation),
    ROW_ID(codec_found_answer, 5, cluster_id),
    ROW_UPTO(codec_found_answer, 6, name, GAVEL_STRING, NAME_BYTES_MAX),
    ROW_UPTO(codec_found_answer, 7, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
    ROW_STRINGS(codec_found_answer, 8, addresses, ADDRESSES_MAX),
};
static const struct gavel_fields found_answer_fields = GAVEL_FIELDS(found_answer_rows, struct codec_found_answer);

static const struct gavel_field found_record_rows[] = {
    ROW(codec_found_record, 2, id, GAVEL_UINT),
    ROW_REQUIRED(codec_found_record, 3, record, GAVEL_BYTES),
    ROW(codec_found_record, 4, member_id, GAVEL_UINT),
    ROW_ID(codec_found_record, 5, incarnation),
    ROW(codec_found_record, 6, prepare, GAVEL_BOOL),
};
static const struct gavel_fields found_record_fields = GAVEL_FIELDS(found_record_rows, struct codec_found_record);

static const struct gavel_field found_done_rows[] = {
    ROW(codec_found_done, 2, id, GAVEL_UINT),
    ROW_REQUIRED(codec_found_done, 3, status, GAVEL_INT),
    ROW_UPTO(codec_found_done, 4, text, GAVEL_STRING, SENTENCE_BYTES_MAX),
};
static const struct gavel_fields found_done_fields = GAVEL_FIELDS(found_done_rows, struct codec_found_done);

/* ---- the table of tables ----------------------------------------------------------------------------------------- */

#define TAIL offsetof(struct codec_raft, tail)
#define TEXT(message) offsetof(struct codec_##message, text)

static const struct codec_message messages[CODEC_TYPE_MAX + 1] = {
    [CODEC_HELLO] = {CODEC_HELLO, "hello", &hello_fields, 0, 0},
    [CODEC_WELCOME] = {CODEC_WELCOME, "welcome", &welcome_fields, 0, TEXT(welcome)},
    [CODEC_GOODBYE] = {CODEC_GOODBYE, "goodbye", &goodbye_fields, 0, TEXT(goodbye)},
    [CODEC_GOING_AWAY] = {CODEC_GOING_AWAY, "going_away", &going_away_fields, 0, TEXT(going_away)},
    [CODEC_REQUEST] = {CODEC_REQUEST, "request", &request_fields, 0, 0},
    [CODEC_REPLY] = {CODEC_REPLY, "reply", &reply_fields, 0, TEXT(reply)},
    [CODEC_STREAM_OPEN] = {CODEC_STREAM_OPEN, "stream_open", &stream_open_fields, 0, 0},
    [CODEC_STREAM_CREDIT] = {CODEC_STREAM_CREDIT, "stream_credit", &stream_credit_fields, 0, 0},
    [CODEC_STREAM_EVENT] = {CODEC_STREAM_EVENT, "stream_event", &stream_event_fields, 0, 0},
    [CODEC_STREAM_END] = {CODEC_STREAM_END, "stream_end", &stream_end_fields, 0, TEXT(stream_end)},
    [CODEC_STREAM_CLOSE] = {CODEC_STREAM_CLOSE, "stream_close", &stream_close_fields, 0, 0},
    [CODEC_CHECK] = {CODEC_CHECK, "check", &check_fields, 0, 0},
    [CODEC_CHECK_ANSWER] = {CODEC_CHECK_ANSWER, "check_answer", &check_answer_fields, 0, 0},
    [CODEC_RAFT + RAFT_PREVOTE_REQUEST] = {CODEC_RAFT + RAFT_PREVOTE_REQUEST, "request_prevote", &vote_fields, 0, 0},
    [CODEC_RAFT + RAFT_PREVOTE_RESPONSE] = {CODEC_RAFT + RAFT_PREVOTE_RESPONSE, "request_prevote_reply",
                                            &vote_reply_fields, 0, 0},
    [CODEC_RAFT + RAFT_VOTE_REQUEST] = {CODEC_RAFT + RAFT_VOTE_REQUEST, "request_vote", &vote_fields, 0, 0},
    [CODEC_RAFT + RAFT_VOTE_RESPONSE] = {CODEC_RAFT + RAFT_VOTE_RESPONSE, "request_vote_reply", &vote_reply_fields, 0,
                                         0},
    [CODEC_RAFT + RAFT_APPEND_REQUEST] = {CODEC_RAFT + RAFT_APPEND_REQUEST, "append_entries", &append_fields, TAIL, 0},
    [CODEC_RAFT + RAFT_APPEND_RESPONSE] = {CODEC_RAFT + RAFT_APPEND_RESPONSE, "append_entries_reply",
                                           &append_reply_fields, 0, 0},
    [CODEC_RAFT + RAFT_SNAPSHOT_REQUEST] = {CODEC_RAFT + RAFT_SNAPSHOT_REQUEST, "install_snapshot", &snapshot_fields,
                                            TAIL, 0},
    [CODEC_RAFT + RAFT_SNAPSHOT_RESPONSE] = {CODEC_RAFT + RAFT_SNAPSHOT_RESPONSE, "install_snapshot_reply",
                                             &snapshot_reply_fields, 0, 0},
    [CODEC_RAFT + RAFT_TIMEOUT_NOW] = {CODEC_RAFT + RAFT_TIMEOUT_NOW, "timeout_now", &timeout_now_fields, 0, 0},
    [CODEC_RAFT + RAFT_READ_REQUEST] = {CODEC_RAFT + RAFT_READ_REQUEST, "read_index", &read_fields, 0, 0},
    [CODEC_RAFT + RAFT_READ_RESPONSE] = {CODEC_RAFT + RAFT_READ_RESPONSE, "read_index_reply", &read_reply_fields, 0, 0},
    [CODEC_FOUND_ASK] = {CODEC_FOUND_ASK, "found_ask", &found_ask_fields, 0, 0},
    [CODEC_FOUND_ANSWER] = {CODEC_FOUND_ANSWER, "found_answer", &found_answer_fields, 0, TEXT(found_answer)},
    [CODEC_FOUND_RECORD] = {CODEC_FOUND_RECORD, "found_record", &found_record_fields, 0, 0},
    [CODEC_FOUND_DONE] = {CODEC_FOUND_DONE, "found_done", &found_done_fields, 0, TEXT(found_done)},
};

_Static_assert(CODEC_RAFT_LAST < CODEC_FOUND_ASK, "the algorithm's messages end before the founding's begin");
_Static_assert(CODEC_FOUND_DONE <= CODEC_TYPE_MAX, "every type has a row");

const struct codec_message *codec_message_find(uint64_t type)
{
    return type <= CODEC_TYPE_MAX && messages[type].fields ? &messages[type] : NULL;
}

const char *codec_message_name(uint64_t type)
{
    const struct codec_message *message = codec_message_find(type);

    return message ? message->name : "unknown";
}
