/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_request.c - fuzz target: what is sent to the prometheus observer, and the addresses that it is told to listen
 * on. A request that comes in pieces has the outcome that it has in one, at whatever bytes it is cut; it never takes
 * more than has come, and the path of one that is taken is text. The first byte chooses; the second and third say where
 * a request is cut.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/observers/prometheus/prom.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

/* The head at the beginning of exactly so many bytes. */
static int take(const uint8_t *data, size_t size, size_t seen, struct prom_request *request, const char **why)
{
    char *copy = malloc(size ? size : 1);
    int taken;

    assert(copy);
    if (size)
        memcpy(copy, data, size);
    memset(request, 0x5a, sizeof *request);
    *why = NULL;
    taken = prom_request(copy, size, seen, request, why);
    free(copy);
    return taken;
}

static void check_taken(int taken, size_t size, const struct prom_request *request, const char *why)
{
    if (taken < 0) {
        assert(taken == -400 || taken == -413 || taken == -505);
        assert(why);
        return;
    }
    assert((size_t)taken <= size);
    if (taken == 0)
        return;
    assert(memchr(request->path, 0, sizeof request->path));
    assert(request->format == PROM_TEXT || request->format == PROM_OPENMETRICS);
}

static void same(const struct prom_request *a, const struct prom_request *b)
{
    assert(a->method == b->method);
    assert(a->format == b->format);
    assert(a->verbose == b->verbose);
    assert(a->gzip == b->gzip);
    assert(a->keep == b->keep);
    assert(strcmp(a->path, b->path) == 0);
}

/* As a connection does it: what has come is tried, then a piece more with it. */
static void check_request(struct fuzz_input *input)
{
    size_t piece = 1 + (size_t)fuzz_uint(input, 2) % 512;
    struct prom_request whole, parts;
    const char *why, *why_parts;
    int taken, status = 0;
    size_t seen = 0;

    if (input->size > PROM_HEAD_MAX)
        return;
    taken = take(input->data, input->size, 0, &whole, &why);
    check_taken(taken, input->size, &whole, why);
    for (size_t have = 0; have < input->size && status == 0; seen = have) {
        have = input->size - have < piece ? input->size : have + piece;
        status = take(input->data, have, seen, &parts, &why_parts);
        check_taken(status, have, &parts, why_parts);
    }
    assert(status == taken);
    if (taken > 0)
        same(&whole, &parts);
    if (taken < 0)
        assert(strcmp(why, why_parts) == 0);
}

static void check_addresses(struct fuzz_input *input)
{
    static struct prom_address addresses[PROM_ADDRESSES_MAX];
    struct gavel_slice given[PROM_ADDRESSES_MAX + 2];
    struct gavel_list list = {given, 0, sizeof given[0]};
    struct gavel_error error = {0, ""};
    uint64_t count = 0;

    while (input->size && list.count < PROM_ADDRESSES_MAX + 2) {
        const uint8_t *end = memchr(input->data, ' ', input->size);

        given[list.count++] = fuzz_take(input, end ? (size_t)(end - input->data) : input->size);
        (void)fuzz_u8(input);
    }
    if (prom_addresses(&list, addresses, &count, &error) != GAVEL_OK) {
        assert(error.text[0]);
        return;
    }
    assert(count == list.count);
    for (uint64_t i = 0; i < count; i++) {
        assert(addresses[i].size > 0);
        assert(addresses[i].size <= sizeof addresses[i].socket);
        assert(strlen(addresses[i].text) <= given[i].size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    if (fuzz_u8(&input) % 4 == 3)
        check_addresses(&input);
    else
        check_request(&input);
    return 0;
}
