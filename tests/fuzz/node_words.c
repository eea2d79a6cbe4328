/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_words.c - fuzz target: small things that a node takes from others: the trace context of a request, sets of
 * capabilities, lists of members, addresses. The first byte chooses. What is taken is what it says, and has one form
 * that is taken again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/capability.h"
#include "core/codec/value.h"
#include "core/node/members.h"
#include "core/node/trace.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "transports/address.h"

static void check_trace(struct gavel_slice text)
{
    static const struct gavel_trace none;
    char form[TRACE_PARENT_BYTES];
    struct gavel_trace trace;
    struct gavel_trace again;

    memset(&trace, 0x5a, sizeof trace);
    if (!trace_parse(text, &trace)) {
        assert(memcmp(&trace, &none, sizeof trace) == 0);
        return;
    }
    assert(memcmp(trace.trace_id, none.trace_id, sizeof none.trace_id) != 0);
    assert(memcmp(trace.span_id, none.span_id, sizeof none.span_id) != 0);
    assert(trace.flags <= 1);
    trace_format(&trace, form);
    assert(strlen(form) == TRACE_PARENT_BYTES - 1);
    assert(memcmp(form + 2, (const char *)text.data + 2, 51) == 0); /* the ids, as they were written */
    assert(trace_parse(gavel_text(form), &again));
    assert(memcmp(trace.trace_id, again.trace_id, sizeof again.trace_id) == 0);
    assert(memcmp(trace.span_id, again.span_id, sizeof again.span_id) == 0);
    assert(trace.flags == again.flags);
}

static void check_capabilities(struct gavel_slice map)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_buffer set = codec_buffer(0);
    struct gavel_buffer again = codec_buffer(0);
    struct gavel_error error = {0, ""};

    if (codec_capabilities_valid(map)) {
        assert(codec_capabilities(map, &set, &error) == GAVEL_OK);
        assert(gavel_slice_equal(gavel_buffer_slice(&set), map));
    } else if (codec_value_check(map, &limits, NULL) == GAVEL_OK) {
        if (codec_capabilities(map, &set, &error) == GAVEL_OK) {
            assert(codec_capabilities_valid(gavel_buffer_slice(&set)));
            assert(codec_capabilities(gavel_buffer_slice(&set), &again, &error) == GAVEL_OK);
            assert(gavel_slice_equal(gavel_buffer_slice(&set), gavel_buffer_slice(&again)));
        } else {
            assert(error.text[0]);
        }
    }
    gavel_buffer_free(&set);
    gavel_buffer_free(&again);
}

static void check_members(struct gavel_slice bytes)
{
    static struct members members, again;
    struct raft_configuration configuration;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error = {0, ""};

    if (members_decode(bytes, &members, &error) != GAVEL_OK) {
        assert(error.text[0]);
        return;
    }
    assert(members.count <= NODE_MEMBERS_MAX);
    for (uint32_t i = 0; i < members.count; i++) {
        assert(memchr(members.items[i].name, 0, NODE_NAME_MAX));
        assert(members.items[i].address_count <= NODE_ADDRESSES_MAX);
    }
    assert(members_encode(&members, &out) == GAVEL_OK);
    assert(members_decode(gavel_buffer_slice(&out), &again, &error) == GAVEL_OK);
    assert(again.count == members.count);
    assert(again.next_id == members.next_id);
    for (uint32_t i = 0; i < members.count; i++) {
        assert(again.items[i].id == members.items[i].id);
        assert(strcmp(again.items[i].name, members.items[i].name) == 0);
    }
    members_configuration(&members, &configuration);
    assert(configuration.count <= members.count);
    gavel_buffer_free(&out);
}

static void check_address(struct gavel_slice uri)
{
    struct gavel_error error = {0, ""};
    struct address address, again;
    char text[ADDRESS_TEXT_MAX];

    if (address_parse(uri, "tcp ws unix", &address, &error) != GAVEL_OK) {
        assert(error.text[0]);
        return;
    }
    address_format(&address, address.port, text);
    assert(strlen(text) < ADDRESS_TEXT_MAX);
    assert(address_parse(gavel_text(text), "tcp ws unix", &again, &error) == GAVEL_OK);
    assert(strcmp(address.scheme, again.scheme) == 0);
    assert(strcmp(address.host, again.host) == 0);
    assert(strcmp(address.path, again.path) == 0);
    assert(address.port == again.port);
    assert(address.literal == again.literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_u8(&input) % 4;
    unsigned char *copy = malloc(input.size ? input.size : 1);
    struct gavel_slice bytes = gavel_bytes(copy, input.size);

    assert(copy);
    if (input.size)
        memcpy(copy, input.data, input.size); /* a byte too far is seen by the sanitizer */
    if (choice == 0)
        check_trace(bytes);
    else if (choice == 1)
        check_capabilities(bytes);
    else if (choice == 2)
        check_members(bytes);
    else
        check_address(bytes);
    free(copy);
    return 0;
}
