/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer_fixture.h - a host for the prometheus observer, with a clock that stands until it is moved, series and
 * probes as a test wants them, and a client with as little sense of order as a test likes.
 */
#ifndef TESTS_UNIT_OBSERVER_FIXTURE_H
#define TESTS_UNIT_OBSERVER_FIXTURE_H

#include "plugins/observers/prometheus/prom.h"

struct fixture {
    struct gavel_host host;
    struct gavel_heap heap;
    struct prom_options options;
    struct gavel_slice listen[PROM_ADDRESSES_MAX];
    const struct gavel_plugin *plugin;
    void *self;
    struct gavel_error error;
    int port;              /* of the first address */
    char logged[4096];     /* its lines */
    atomic_int live;       /* blocks of memory not given back */
    atomic_uint collected; /* calls of collect */
    atomic_uint padding;   /* bytes of one more series: makes a page large */
    _Atomic uint64_t now_ms;
    atomic_bool unready;
    atomic_bool stuck;
    struct gavel_timer *timer;
    void (*fire)(void *context);
    void *fire_context;
    bool timer_set, done;
};

/* Defaults, port 0 on 127.0.0.1; change `options` before fixture_start. `section` is its name. */
void fixture_init(struct fixture *fixture, const char *section);
int32_t fixture_check(struct fixture *fixture);
int32_t fixture_start(struct fixture *fixture);
/* Quiesce, wait for done, destroy; all memory must be back. */
void fixture_stop(struct fixture *fixture);

/* A connection; -1: refused. */
int fixture_connect(const struct fixture *fixture);
void fixture_send(int fd, const char *text);

/* One whole answer (by Content-Length): the status; -1 when the connection ended before. */
struct answer {
    int status;
    size_t size;
    char head[2048];
    char body[1u << 20];
};
int fixture_answer(int fd, struct answer *answer, bool head_only);

/* A request of its own, and its answer. */
int fixture_get(const struct fixture *fixture, const char *path, const char *fields, struct answer *answer);

/* True when the other side closes, within 30 s. */
bool fixture_closed(int fd);

/* The same without reading what was sent before. */
bool fixture_gone(int fd);

#endif
