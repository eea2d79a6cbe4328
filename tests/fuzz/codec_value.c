/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_value.c - fuzz target: documents. What the scan accepts must be walked, shown, made canonical and carried
 * through JSON and back without harm, and a canonical document must come back as the same bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/codec/value.h"
#include "plugins/serializers/json/js.h"
#include "tests/fuzz/fuzz.h"

static void through_json(struct gavel_slice value)
{
    struct gavel_limits limits = codec_limits(1 << 22);
    struct gavel_buffer text = codec_buffer(1 << 22);
    struct gavel_buffer back = codec_buffer(1 << 22);
    int32_t status = codec_transcode(codec_msgpack(), NULL, value, &limits, &js_serializer, NULL, &text, NULL);

    assert(status == GAVEL_OK || status == GAVEL_E_TOO_LARGE);
    if (status == GAVEL_OK) {
        status = codec_transcode(&js_serializer, NULL, gavel_buffer_slice(&text), &limits, codec_msgpack(), NULL,
                                 &back, NULL);
        assert(status == GAVEL_OK || status == GAVEL_E_TOO_LARGE);
    }
    gavel_buffer_free(&text);
    gavel_buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_slice value = gavel_bytes(data, size);
    struct gavel_buffer text = codec_buffer(1 << 20);
    struct gavel_buffer canonical = codec_buffer(0);
    struct gavel_buffer again = codec_buffer(0);
    int32_t status;

    if (codec_document_check(value, &limits, NULL) != GAVEL_OK)
        return 0;
    assert(mp_value_size(data, size) == size);
    (void)codec_value_text(value, CODEC_TEXT_PRETTY, &text);
    (void)codec_map_find(value, "key");
    (void)codec_array_at(value, 3);
    status = mp_canonical(value, &canonical, NULL);
    assert(status == GAVEL_OK);
    assert(codec_value_canonical(gavel_buffer_slice(&canonical)));
    assert(canonical.size <= size * 2); /* reals of four bytes become eight, nothing else grows */
    status = mp_canonical(gavel_buffer_slice(&canonical), &again, NULL);
    assert(status == GAVEL_OK);
    assert(gavel_slice_equal(gavel_buffer_slice(&canonical), gavel_buffer_slice(&again)));
    through_json(gavel_buffer_slice(&canonical));
    gavel_buffer_free(&text);
    gavel_buffer_free(&canonical);
    gavel_buffer_free(&again);
    return 0;
}
