/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_crafted.h - what the load calls: a world that only notes what fails, a transport that keeps nothing, an oracle
 * that knows up to where commands are committed; for load_test.c, which includes it once.
 */
#ifndef TESTS_SIM_LOAD_CRAFTED_H
#define TESTS_SIM_LOAD_CRAFTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "guard.h"
#include "load_internal.h"
#include "oracle.h"
#include "tests/linear/linear.h"

static jmp_buf failed;
static char fired[64];
static char sentence[512];
static void *cookie;
static int handle; /* its address stands for the connection */

void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
{
    va_list arguments;

    (void)sim;
    va_start(arguments, format);
    (void)snprintf(fired, sizeof fired, "%s", invariant);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    longjmp(failed, 1);
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    (void)sim;
    (void)node;
    (void)format;
}

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at)
{
    (void)sim;
    event->at = at;
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->at = 0;
}

struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number)
{
    return sim_split(sim->seed + stream, number);
}

static bool undecided; /* the search comes to no end */

enum linear_verdict __real_linear_check(const struct history *history, const struct linear_limits *limits, FILE *out,
                                        struct linear_result *result);
enum linear_verdict __wrap_linear_check(const struct history *history, const struct linear_limits *limits, FILE *out,
                                        struct linear_result *result);
enum linear_verdict __wrap_linear_check(const struct history *history, const struct linear_limits *limits, FILE *out,
                                        struct linear_result *result)
{
    enum linear_verdict verdict = __real_linear_check(history, limits, out, result);

    return undecided ? LINEAR_UNDECIDED : verdict;
}

static uint64_t committed; /* what the oracle knows of */

void sim_oracle_acknowledged(struct sim_oracle *oracle, uint64_t index)
{
    (void)oracle;
    if (index > committed)
        sim_fail(NULL, "acknowledged", "%llu", (unsigned long long)index);
}

#define NOT_COMMITTED 0 /* the number of a batch */

bool sim_oracle_has_committed(const struct sim_oracle *oracle, uint64_t batch)
{
    (void)oracle;
    return batch != NOT_COMMITTED;
}

struct sim_side *sim_net_side(struct sim_net *net, struct sim_node *node, const char *name)
{
    (void)net;
    (void)node;
    (void)name;
    return NULL;
}

void guard_on(struct sim *world)
{
    (void)world;
}

void guard_off(void)
{
}

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    (void)self;
    (void)events;
    (void)limits;
    (void)error;
    return GAVEL_OK;
}

static int32_t connect_fake(void *self, struct gavel_slice uri, void *given, void **connection,
                            struct gavel_error *error)
{
    (void)self;
    (void)uri;
    (void)error;
    cookie = given;
    *connection = &handle;
    return GAVEL_OK;
}

static int32_t send_fake(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    (void)self;
    (void)connection;
    (void)parts;
    (void)count;
    return GAVEL_OK;
}

static void close_fake(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    (void)self;
    (void)connection;
    (void)reason;
    (void)why;
}

const struct gavel_transport sim_transport = {.size = GAVEL_END(struct gavel_transport, respond),
                                              .schemes = "sim",
                                              .prepare = prepare,
                                              .connect = connect_fake,
                                              .send = send_fake,
                                              .close = close_fake};

#endif
