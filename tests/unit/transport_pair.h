/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_pair.h - what the files of the conformance suite share: the wire under test, a server and a client on it.
 */
#ifndef TESTS_UNIT_TRANSPORT_PAIR_H
#define TESTS_UNIT_TRANSPORT_PAIR_H

#include "transport_conformance.h"

/* The wire under test, and a directory for its socket files. */
extern const struct conformance_wire *pair_wire;
extern char pair_directory[64];

/* A server and a client with a listener between them. Zeroed, or with limits and habits set, before pair_start. */
struct pair {
    struct harness_side server;
    struct harness_side client;
    const char *uri;
};

void pair_start(struct pair *pair);
void pair_stop(struct pair *pair);

/* One connection between both: the client's end; the server's end in *accepted. */
struct harness_peer *pair_open(struct pair *pair, struct harness_peer **accepted);

/* `size` bytes of a pattern; the caller frees them. */
unsigned char *pair_pattern(size_t size);

/* One message, framed and wrapped for the wire, in a buffer that the caller frees. */
unsigned char *pair_wrapped(const void *message, size_t size, size_t *length);

/* Test cases of transport_conformance_life.c; how many failed. */
int conformance_life(void);

#define CONFORMANCE_CASE(name) cmocka_unit_test_setup_teardown(name, conformance_setup, conformance_teardown)

#endif
