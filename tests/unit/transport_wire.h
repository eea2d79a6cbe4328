/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_wire.h - what gavel-check cannot ask of a transport because it must know the wire's raw form, a resolver or
 * our own words: a few cases for each of our wires, and fixtures for those that only one wire has.
 *
 * What every transport owes its host is asked by the conformance kit (core/check/transport*.c), over 127.0.0.1 and over
 * unix sockets: order, limits, back-pressure, keep-alive, resets, closes, listeners, HTTP. It goes there, not here.
 */
#ifndef TESTS_UNIT_TRANSPORT_WIRE_H
#define TESTS_UNIT_TRANSPORT_WIRE_H

#include "transport_harness.h"

struct wire_form {
    const char *name;
    const char *scheme;
    const struct gavel_plugin *(*plugin)(void);
    /* Shake hands as a client on a raw socket; the listener's side is then accepted. */
    void (*raw_greet)(int fd, const char *uri);
    /* Wrap a run of framed messages for the wire into `to` (`size` + 16 bytes at least); returns how many bytes. */
    size_t (*raw_wrap)(unsigned char *to, const void *run, size_t size);
};

/* Run the cases that all wires share; the number of failed tests. */
int wire_run(const struct wire_form *form);

/* Fixtures for further tests of one wire: a fresh loop, and the loop empty and closed again. */
int wire_setup(void **state);
int wire_teardown(void **state);

#define WIRE_CASE(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

#endif
