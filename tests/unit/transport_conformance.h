/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_conformance.h - the one suite that every transport passes, and what it must know of each wire to play a
 * peer of its own on a raw socket.
 */
#ifndef TESTS_UNIT_TRANSPORT_CONFORMANCE_H
#define TESTS_UNIT_TRANSPORT_CONFORMANCE_H

#include "transport_harness.h"

struct conformance_wire {
    const char *name;
    const char *scheme;
    const struct gavel_plugin *(*plugin)(void);
    /* Shake hands as a client on a raw socket; the listener's side is then accepted. */
    void (*raw_greet)(int fd, const char *uri);
    /* Wrap a run of framed messages for the wire into `to` (`size` + 16 bytes at least); returns how many bytes. */
    size_t (*raw_wrap)(unsigned char *to, const void *run, size_t size);
    /* The complete first words of a client on this wire, for sending byte by byte; into `to` (1 KiB). */
    size_t (*raw_hello)(char *to, const char *uri);
};

/* Where a listener of this wire may listen: port 0, or a socket file in a directory of this process. In `to` (200). */
void conformance_uri(const struct conformance_wire *wire, char *to);

/* Run the suite; the number of failed tests. */
int conformance_run(const struct conformance_wire *wire);

/* Fixtures for further tests of one wire: a fresh loop, and the loop empty and closed again. */
int conformance_setup(void **state);
int conformance_teardown(void **state);

#endif
