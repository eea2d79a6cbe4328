/* SPDX-License-Identifier: Apache-2.0 */
/*
 * face.h - the host that a plugin under check sees: all services, over one libuv loop. Each looks at the lane that it
 * is called from; a clock or chance that is asked for in `run` is noted. Timers, deliveries and workers that are left
 * behind are counted.
 */
#ifndef CORE_CHECK_FACE_H
#define CORE_CHECK_FACE_H

#include <gavel/host.h>

#include <stdbool.h>
#include <uv.h>

extern uv_loop_t face_loop;

/* The instance of a plugin, as far as its life goes. */
struct face {
    struct gavel_host host;
    const char *instance;
    uint64_t warnings; /* log events at WARN and above */
    uint64_t logged;
    char last[256]; /* the last of them */
    uint64_t timers; /* not freed */
    uint64_t submitted; /* workers that are not done */
    void *self;
    bool created;
    bool started;
};

/* Begin and end with the loop: before the first face; again is no harm. face_end tells what is left on it, or NULL. */
void face_begin(void);
const char *face_end(void);

/* A table of services; `instance` is its section's name. */
void face_init(struct face *face, const char *instance);

/* create and start. On failure the instance is gone again, and the status returned. `options` NULL: kit.values. */
int32_t face_open(struct face *face, struct gavel_error *error);

/* quiesce, wait for its done, destroy; fails the check when done does not come or comes twice. */
void face_close(struct face *face);

/* Let the loop turn until nothing is ready, and until `*what` reaches `wanted` or the deadline passes. */
void face_turn(void);
bool face_until(const uint64_t *what, uint64_t wanted, uint64_t deadline_ms);

#endif
