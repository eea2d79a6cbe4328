/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_message.c - fuzz target: whatever arrives on a connection, in both formats. The first byte chooses the
 * serializer.
 * What decodes is encoded and decoded again, and must then be the same bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/codec/message.h"
#include "plugins/serializers/json/js.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) static unsigned char memory[2][1 << 18];
    struct gavel_limits limits = codec_limits(1 << 16);
    struct codec_arena arena = codec_arena(memory[0], sizeof memory[0]);
    const struct gavel_serializer *serializer;
    struct gavel_buffer once = codec_buffer(0);
    struct gavel_buffer twice = codec_buffer(0);
    struct gavel_error error;
    uint64_t type;
    void *message;

    if (size == 0)
        return 0;
    serializer = data[0] & 1 ? &js_serializer : codec_msgpack();
    if (codec_message_decode(serializer, NULL, gavel_bytes(data + 1, size - 1), &limits, &arena, &type, &message,
                             &error) !=
        GAVEL_OK)
        return 0;
    if (codec_message_encode(codec_msgpack(), NULL, type, message, &once, NULL) == GAVEL_OK) {
        int32_t status;
        arena = codec_arena(memory[1], sizeof memory[1]);
        status = codec_message_decode(codec_msgpack(), NULL, gavel_buffer_slice(&once), &limits, &arena, &type,
                                      &message,
                                      &error);
        assert(status == GAVEL_OK || status == GAVEL_E_TOO_LARGE);
        if (status == GAVEL_OK) {
            status = codec_message_encode(codec_msgpack(), NULL, type, message, &twice, NULL);
            assert(status == GAVEL_OK);
            assert(gavel_slice_equal(gavel_buffer_slice(&once), gavel_buffer_slice(&twice)));
        }
    }
    gavel_buffer_free(&once);
    gavel_buffer_free(&twice);
    return 0;
}
