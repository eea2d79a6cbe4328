/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_fake.h - a node that a test scripts: it listens on a real socket of this machine, greets, and hands each
 * request to the test's function, which answers when and how it likes. It runs on a thread and a loop of its own.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_H
#define TESTS_UNIT_CLIENT_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/client/client_core.h"

#define FAKE_MAGIC 0x66616b65u
#define FAKE_LEADER_MAX 512

struct fake;

struct fake_conn {
    struct fake *fake;
    void *connection;
    bool greeted;
    bool json;
    struct os_list link;
};

struct fake {
    uint32_t magic;
    struct client_host host;
    const struct gavel_plugin *plugin;
    const struct gavel_transport *wire;
    void *self;
    void *options;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    struct os_list conns;
    struct client_job stop;
    struct client_job finish;
    char uri[128];
    /* Set by the test before it dials. */
    void *context;
    /* [fake's thread] A request; answer with fake_reply, now or from a later one, or not at all. */
    void (*request)(struct fake_conn *conn, const struct codec_request *request);
    void (*stream)(struct fake_conn *conn, const struct codec_stream_open *open);
    void (*credit)(struct fake_conn *conn, const struct codec_stream_credit *credit);
    void (*stream_close)(struct fake_conn *conn, const struct codec_stream_close *close);
    char leader[FAKE_LEADER_MAX]; /* URI that welcomes and replies name as the leader's; "": none */
    int64_t refuse;               /* status of the welcome */
    const char *why;              /* its sentence; NULL: one of the fake's */
    _Atomic uint32_t requests;
    _Atomic uint32_t hellos;
};

/* Start one; it listens at fake->uri. Set its functions before anybody dials. Never NULL: it asserts. */
struct fake *fake_start(void *context);

/* End it, as a process dies: connections break, the port refuses. NULL is fine. */
void fake_stop(struct fake *fake);

/* [fake's thread] Send a message. */
void fake_send(struct fake_conn *conn, uint64_t type, const void *message);

/* [fake's thread] Answer with a status and its sentence, or with a result (MessagePack; NULL: nil). */
void fake_reply(struct fake_conn *conn, uint64_t id, int64_t status, const char *text,
                const struct gavel_buffer *result);

/* [fake's thread] Answer {name: number}. */
void fake_reply_number(struct fake_conn *conn, uint64_t id, const char *name, uint64_t number);

/* [fake's thread] Break the connection. */
void fake_drop(struct fake_conn *conn);

/* [fake's thread] Close it once everything is sent. */
void fake_leave(struct fake_conn *conn);

/* [fake's thread] Send bytes that are no message. */
void fake_garbage(struct fake_conn *conn);

/* The commands of the node itself that every script needs: session_register (ids from 100 on), session_close, describe.
 * True when it was one of them and is answered. `described` may be NULL. */
bool fake_node(struct fake_conn *conn, const struct codec_request *request, uint64_t *next_session, uint64_t ttl_ms,
               const struct gavel_buffer *described);

/* True when the request's command is that one. */
bool fake_is(const struct codec_request *request, const char *command);

#endif
