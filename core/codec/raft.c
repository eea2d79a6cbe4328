/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft.c - the algorithm's messages to their wire form and back. The wire's numbers have 64 bits; what does not fit a
 * narrower member is refused, not cut.
 */
#include <assert.h>

#include "core/codec/message.h"

static void put_append(const struct raft_message *message, struct codec_raft *wire)
{
    const struct raft_append_request *request = &message->append_request;
    const struct raft_append_response *response = &message->append_response;

    if (message->type == RAFT_APPEND_REQUEST) {
        wire->prev_index = request->prev_index;
        wire->prev_term = request->prev_term;
        wire->prev_chain = request->prev_chain;
        wire->last_index = request->last_index;
        wire->commit = request->commit;
        wire->round = request->round;
        wire->flags = request->flags;
    } else {
        wire->prev_index = response->prev_index;
        wire->match = response->match;
        wire->hint_index = response->hint_index;
        wire->hint_term = response->hint_term;
        wire->last_index = response->last_index;
        wire->round = response->round;
        wire->digest_index = response->digest_index;
        wire->digest = response->digest;
        wire->flags = response->flags;
    }
}

static void put_snapshot(const struct raft_message *message, struct codec_raft *wire)
{
    const struct raft_snapshot_request *request = &message->snapshot_request;
    const struct raft_snapshot_response *response = &message->snapshot_response;

    if (message->type == RAFT_SNAPSHOT_REQUEST) {
        wire->index = request->index;
        wire->last_term = request->last_term;
        wire->total = request->total;
        wire->digest = request->digest;
        wire->offset = request->offset;
        wire->length = request->length;
        wire->chain = request->chain;
        wire->ask = request->ask;
    } else {
        wire->index = response->index;
        wire->digest = response->digest;
        wire->offset = response->offset;
        wire->match = response->match;
        wire->status = response->status;
        wire->ask = response->ask;
    }
}

void codec_raft_put(const struct raft_message *message, struct codec_raft *wire)
{
    memset(wire, 0, sizeof *wire);
    wire->term = message->term;
    switch (message->type) {
    case RAFT_PREVOTE_REQUEST:
    case RAFT_VOTE_REQUEST:
        wire->for_term = message->vote_request.for_term;
        wire->last_index = message->vote_request.last_index;
        wire->last_term = message->vote_request.last_term;
        wire->flags = message->vote_request.flags;
        break;
    case RAFT_PREVOTE_RESPONSE:
    case RAFT_VOTE_RESPONSE:
        wire->for_term = message->vote_response.for_term;
        wire->flags = message->vote_response.flags;
        break;
    case RAFT_APPEND_REQUEST:
    case RAFT_APPEND_RESPONSE:
        put_append(message, wire);
        break;
    case RAFT_SNAPSHOT_REQUEST:
    case RAFT_SNAPSHOT_RESPONSE:
        put_snapshot(message, wire);
        break;
    case RAFT_READ_REQUEST:
        wire->read = message->read_request.id;
        break;
    case RAFT_READ_RESPONSE:
        wire->read = message->read_response.id;
        wire->index = message->read_response.index;
        wire->flags = message->read_response.flags;
        break;
    default:
        assert(message->type == RAFT_TIMEOUT_NOW);
        break;
    }
}

/* The members of 32 bits: each is below 2^32, or the message is refused. */
static int32_t narrow(const struct codec_raft *wire, struct gavel_error *error)
{
    const char *name;

    if ((wire->flags | wire->prev_chain | wire->length | wire->chain | wire->status) <= UINT32_MAX)
        return GAVEL_OK;
    if (wire->flags > UINT32_MAX)
        name = "flags";
    else if (wire->prev_chain > UINT32_MAX)
        name = "prev_chain";
    else if (wire->length > UINT32_MAX)
        name = "length";
    else if (wire->chain > UINT32_MAX)
        name = "chain";
    else
        name = "status";
    return gavel_fail(error, GAVEL_E_INVALID, "field '%s' is over 32 bits", name);
}

static void get_append(const struct codec_raft *wire, struct raft_message *message)
{
    struct raft_append_request *request = &message->append_request;
    struct raft_append_response *response = &message->append_response;

    if (message->type == RAFT_APPEND_REQUEST) {
        request->prev_index = wire->prev_index;
        request->prev_term = wire->prev_term;
        request->prev_chain = (uint32_t)wire->prev_chain;
        request->last_index = wire->last_index;
        request->commit = wire->commit;
        request->round = wire->round;
        request->flags = (uint32_t)wire->flags;
    } else {
        response->prev_index = wire->prev_index;
        response->match = wire->match;
        response->hint_index = wire->hint_index;
        response->hint_term = wire->hint_term;
        response->last_index = wire->last_index;
        response->round = wire->round;
        response->digest_index = wire->digest_index;
        response->digest = wire->digest;
        response->flags = (uint32_t)wire->flags;
    }
}

static void get_snapshot(const struct codec_raft *wire, struct raft_message *message)
{
    struct raft_snapshot_request *request = &message->snapshot_request;
    struct raft_snapshot_response *response = &message->snapshot_response;

    if (message->type == RAFT_SNAPSHOT_REQUEST) {
        request->index = wire->index;
        request->last_term = wire->last_term;
        request->total = wire->total;
        request->digest = wire->digest;
        request->offset = wire->offset;
        request->length = (uint32_t)wire->length;
        request->chain = (uint32_t)wire->chain;
        request->ask = wire->ask;
    } else {
        response->index = wire->index;
        response->digest = wire->digest;
        response->offset = wire->offset;
        response->match = wire->match;
        response->status = (uint32_t)wire->status;
        response->ask = wire->ask;
    }
}

int32_t codec_raft_get(uint64_t type, const struct codec_raft *wire, uint64_t from, uint64_t to,
                       struct raft_message *message, struct gavel_error *error)
{
    int32_t status = narrow(wire, error);

    if (status != GAVEL_OK)
        return status;
    assert(type > CODEC_RAFT);
    assert(type <= CODEC_RAFT_LAST);
    memset(message, 0, sizeof *message);
    message->type = (uint32_t)(type - CODEC_RAFT);
    message->from = from;
    message->to = to;
    message->term = wire->term;
    switch (message->type) {
    case RAFT_PREVOTE_REQUEST:
    case RAFT_VOTE_REQUEST:
        message->vote_request.for_term = wire->for_term;
        message->vote_request.last_index = wire->last_index;
        message->vote_request.last_term = wire->last_term;
        message->vote_request.flags = (uint32_t)wire->flags;
        break;
    case RAFT_PREVOTE_RESPONSE:
    case RAFT_VOTE_RESPONSE:
        message->vote_response.for_term = wire->for_term;
        message->vote_response.flags = (uint32_t)wire->flags;
        break;
    case RAFT_APPEND_REQUEST:
    case RAFT_APPEND_RESPONSE:
        get_append(wire, message);
        break;
    case RAFT_SNAPSHOT_REQUEST:
    case RAFT_SNAPSHOT_RESPONSE:
        get_snapshot(wire, message);
        break;
    case RAFT_READ_REQUEST:
        message->read_request.id = wire->read;
        break;
    case RAFT_READ_RESPONSE:
        message->read_response.id = wire->read;
        message->read_response.index = wire->index;
        message->read_response.flags = (uint32_t)wire->flags;
        break;
    default:
        break;
    }
    return GAVEL_OK;
}
