/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_pair.c - fixtures of the conformance suite: a fresh loop for each test, two instances, one wire.
 */
#include "transport_pair.h"

#include "transports/framing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

const struct conformance_wire *pair_wire;
char pair_directory[64];
static bool spoiled;

int conformance_setup(void **state)
{
    (void)state;
    return spoiled ? -1 : uv_loop_init(&harness_loop);
}

int conformance_teardown(void **state)
{
    int turns;

    (void)state;
    /* A few turns for what a test closed last, and a lookup that nobody waits for; then nothing may be left. */
    for (turns = 0; harness_alive == 0 && turns < 200 && uv_loop_alive(&harness_loop); turns++)
        harness_turn(turns < 10 ? 0 : 50);
    if (harness_alive == 0 && uv_loop_close(&harness_loop) == 0)
        return 0;
    /* The next test would inherit what this one left: no result of it would mean anything. */
    (void)fprintf(stderr, "the test above left %u instances and what is on the loop; the rest cannot run\n",
                  harness_alive);
    uv_print_all_handles(&harness_loop, stderr);
    spoiled = true;
    return -1;
}

void conformance_uri(const struct conformance_wire *of, char *to)
{
    static unsigned number;

    if (strcmp(of->scheme, "unix") == 0)
        (void)snprintf(to, 200, "unix://%s/%u", pair_directory, number++);
    else
        (void)snprintf(to, 200, "%s://127.0.0.1:0", of->scheme);
}

void pair_start(struct pair *pair)
{
    char uri[200];

    harness_start(&pair->server, pair_wire->plugin());
    harness_start(&pair->client, pair_wire->plugin());
    conformance_uri(pair_wire, uri);
    pair->uri = harness_listen(&pair->server, uri);
}

void pair_stop(struct pair *pair)
{
    harness_stop(&pair->client);
    harness_stop(&pair->server);
}

/* One connection between both: the client's end; the server's end in *accepted. */
struct harness_peer *pair_open(struct pair *pair, struct harness_peer **accepted)
{
    uint64_t opened = pair->server.opened;
    struct harness_peer *peer = harness_open(&pair->client, pair->uri);

    harness_until(&pair->server.opened, opened + 1, "the server accepts");
    *accepted = harness_newest(&pair->server);
    return peer;
}

unsigned char *pair_pattern(size_t size)
{
    unsigned char *data = malloc(size ? size : 1);
    size_t i;

    assert_non_null(data);
    for (i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 131 + (i >> 8));
    return data;
}

/* One message, framed and wrapped, in a buffer of its own. */
unsigned char *pair_wrapped(const void *message, size_t size, size_t *length)
{
    unsigned char *run = malloc(FRAMING_HEADER + size);
    unsigned char *data = malloc(FRAMING_HEADER + size + 16);

    assert_non_null(run);
    assert_non_null(data);
    framing_put32(run, (uint32_t)size);
    memcpy(run + FRAMING_HEADER, message, size);
    *length = pair_wire->raw_wrap(data, run, FRAMING_HEADER + size);
    free(run);
    return data;
}
