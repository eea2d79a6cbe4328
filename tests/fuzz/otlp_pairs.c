/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_pairs.c - fuzz target: headers and resource attributes as an INI file or the environment gives them. What is
 * taken fits a header of HTTP: it has a name, and neither of the two ends a line.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/observers/otlp/otlp_pairs.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const char *text, size_t size)
{
    assert(strlen(text) <= size);
    for (; *text; text++) {
        assert((unsigned char)*text >= 0x20);
        assert(*text != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otlp_memory memory = {.first = NULL};
    struct gavel_error error = {0, ""};
    char *copy = malloc(size ? size : 1);
    struct otlp_pairs pairs;
    int32_t status;

    assert(copy);
    memset(&pairs, 0, sizeof pairs);
    if (size)
        memcpy(copy, data, size); /* a byte too far is seen by the sanitizer */
    status = otlp_pairs_parse(&pairs, gavel_bytes(copy, size), "headers", &memory, &error);
    free(copy);
    assert(status == GAVEL_OK || error.text[0]);
    assert(pairs.count <= OTLP_PAIRS_MAX);
    for (unsigned i = 0; i < pairs.count; i++) {
        assert(pairs.pair[i].name[0]);
        check_text(pairs.pair[i].name, size);
        check_text(pairs.pair[i].value, size);
        for (unsigned j = 0; j < i; j++)
            assert(strcmp(pairs.pair[i].name, pairs.pair[j].name) != 0);
    }
    otlp_memory_free(&memory);
    return 0;
}
