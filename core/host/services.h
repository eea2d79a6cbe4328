/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.h - the services of a process behind every `struct gavel_host`: one struct host_services for the process,
 * one struct host_face for each plugin instance and one for the node, each with its own name on what it logs and
 * counts.
 */
#ifndef CORE_HOST_SERVICES_H
#define CORE_HOST_SERVICES_H

#include "core/host/probes.h"
#include "core/host/registry.h"
#include "core/host/sink.h"
#include "core/host/spans.h"
#include "core/os/real.h"

#include <gavel/host.h>
#include <uv.h>

#define HOST_INBOX_MAX 4096  /* delivered calls that wait for the loop */
#define HOST_JOBS_MAX 1024   /* jobs of plugins on the worker lane */

struct host_services;

/* What one instance (or the node) is given. */
struct host_face {
    uint32_t magic;
    struct host_services *services;
    const char *label; /* the metrics attribute "instance"; NULL for the node itself */
    const char *who;   /* of the instance, for sentences that blame it; NULL for the node itself */
    struct gavel_timer *timers; /* [loop] made and not freed */
    uint32_t jobs;     /* [loop] submitted and not done */
    struct gavel_host host;
};

/*
 * [loop] Make the services of a process on `loop`: lanes, registry, sink. `node` is its name, borrowed. NULL when
 * memory or file descriptors are out.
 */
struct host_services *host_services_new(uv_loop_t *loop, const char *node);

/* [any] Its parts, borrowed. */
const struct os *host_services_os(struct host_services *services);
struct host_registry *host_services_registry(struct host_services *services);
struct host_sink *host_services_sink(struct host_services *services);
struct host_probes *host_services_probes(struct host_services *services);

/*
 * [loop] After the observers have been added and before any other face is made: spans exist from here on if one of them
 * wants any.
 */
int32_t host_services_ready(struct host_services *services, struct gavel_error *error);

/* [loop] Spans that have begun and not ended. */
uint64_t host_services_spans_open(struct host_services *services);

/* [loop] Which part of the spans without a parent is sampled, from 0 to 1; 0 until this is called. */
void host_services_trace(struct host_services *services, double ratio);

/* [any] Whether this process keeps metrics: GAVEL_METRICS=off in its environment is for measuring what they cost. */
bool host_services_measured(void);

/* [loop] Fill a face. `instance` is borrowed; `is_node` leaves the instance attribute away. */
void host_face_init(struct host_face *face, struct host_services *services, const char *instance, bool is_node);

/* [loop] What a quiesced instance still holds of these services is told in the log, with kind and count. */
void host_face_leaks(struct host_face *face);

/* [loop] Refuse new deliveries and jobs; what waits still runs. */
void host_services_stopping(struct host_services *services);

/*
 * [loop] Run the lanes to their end and hand the last records to the observers, on this thread. After it, nothing of
 * the services may be used but log (which goes nowhere any more unless host_services_stop is called again).
 */
void host_services_stop(struct host_services *services);

/* [loop] Whether a handle on the loop is the services' own. */
bool host_services_own(const struct host_services *services, const uv_handle_t *handle);

/* [loop] Close the handles on the loop; run the loop once more afterwards, then host_services_free. */
void host_services_close(struct host_services *services);

/* Free everything. Returns NULL; NULL is fine. */
struct host_services *host_services_free(struct host_services *services);

#endif
