/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.c - one uv_async_t wakes the loop for everything: completions of the lanes, delivered calls, waiting
 * records.
 */
#include "core/host/services.h"

#include "core/host/heap.h"
#include "core/os/call.h"
#include "core/os/list.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_MAGIC 0x51f7c38eu
#define FACE_MAGIC 0xc24a9d06u
#define TIMER_MAGIC 0x08d5b7f2u

/* A delivered call. */
struct call {
    void (*call)(void *context);
    void *context;
    const char *who;
};

/* A job of a plugin on the worker lane. */
struct job {
    struct os_job job;
    struct host_services *services;
    struct host_face *face;
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};

struct gavel_timer {
    uint32_t magic;
    uv_timer_t timer;
    struct host_face *face;
    struct gavel_timer *next, *previous; /* of the face's */
    void (*fire)(void *context);
    void *context;
};

struct host_services {
    uint32_t magic;
    uv_loop_t *loop;
    uv_async_t async;
    const char *node;
    struct os os;
    struct os_lanes *lanes;
    struct host_registry *registry;
    struct host_sink *sink;
    struct host_spans *spans; /* NULL: no observer wants any */
    struct host_probes *probes;
    pthread_mutex_t lock;     /* the inbox: */
    struct call inbox[HOST_INBOX_MAX];
    uint32_t inbox_head;
    uint32_t inbox_count;
    uint32_t jobs; /* [loop] on the worker lane */
    atomic_bool stopping;
    bool placed; /* its loop's thread has a place in the table of calls */
};

/* ---- the loop's side --------------------------------------------------------------------------------------------- */

static void wake_up(void *context)
{
    struct host_services *services = context;

    (void)uv_async_send(&services->async);
}

static bool take_call(struct host_services *services, struct call *call)
{
    bool taken = false;

    (void)pthread_mutex_lock(&services->lock);
    if (services->inbox_count) {
        *call = services->inbox[services->inbox_head];
        services->inbox_head = (services->inbox_head + 1) % HOST_INBOX_MAX;
        services->inbox_count--;
        taken = true;
    }
    (void)pthread_mutex_unlock(&services->lock);
    return taken;
}

/*
 * Calls that are delivered while these run wait for the next turn, or two plugins could keep the loop for themselves.
 */
static void run_inbox(struct host_services *services)
{
    uint32_t count;
    struct call call;

    (void)pthread_mutex_lock(&services->lock);
    count = services->inbox_count;
    (void)pthread_mutex_unlock(&services->lock);
    while (count-- && take_call(services, &call)) {
        struct os_call before = os_call_enter(call.who, "a call of deliver", OS_CALL_LOOP);

        call.call(call.context);
        os_call_set(before);
    }
    (void)pthread_mutex_lock(&services->lock);
    count = services->inbox_count;
    (void)pthread_mutex_unlock(&services->lock);
    if (count)
        wake_up(services);
}

static void awake(uv_async_t *async)
{
    struct host_services *services = async->data;

    assert(services->magic == SERVICES_MAGIC);
    (void)os_lanes_drain(services->lanes);
    run_inbox(services);
    if (!atomic_load(&services->stopping))
        host_sink_pump(services->sink);
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

static struct host_face *face_of(void *self)
{
    struct host_face *face = self;

    assert(face->magic == FACE_MAGIC);
    return face;
}

/*
 * A service of the loop: asked for on another thread, or in an operation of another lane (a BOUNDED machine's commands
 * run on the loop's thread, and are not of it), memory would be destroyed now or on the day that the machine is not
 * BOUNDED any more. A host without places (a test) has one thread.
 */
static struct host_face *loop_face(void *self, const char *service)
{
    struct host_face *face = face_of(self);
    const struct os_call_place *here = os_call_here, *loop = &os_call_places[OS_CALL_LOOP];
    struct os_call call = os_call_now();

    if (here != loop && face->services->placed)
        os_call_blame(face->who, service, "called from the wrong lane (%s); this service belongs to the loop",
                      os_call_lane_name(here ? (uint32_t)(here - os_call_places) : OS_CALL_PLACES));
    if (here == loop && call.who && call.lane != OS_CALL_LOOP)
        os_call_blame(face->who, service, "called from the wrong lane (%s, in %s); this service belongs to the loop",
                      os_call_lane_name(call.lane), call.what);
    return face;
}

static void service_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    host_sink_log(face_of(self)->services->sink, level, module, os_trace_here, text);
}

static void service_log_traced(void *self, uint64_t level, const char *module, const struct gavel_trace *trace,
                               struct gavel_slice text)
{
    host_sink_log(face_of(self)->services->sink, level, module, trace ? trace : os_trace_here, text);
}

static uint64_t service_metric(void *self, uint64_t kind, const char *name, const char *unit, const char *help)
{
    return host_registry_metric(loop_face(self, "metric")->services->registry, kind, name, unit, help);
}

static void service_record(void *self, uint64_t metric, double value, const struct gavel_attribute *attributes,
                           uint64_t count)
{
    struct host_face *face = face_of(self);

    host_registry_record(face->services->registry, metric, value, face->label, attributes, count);
}

static void service_record_traced(void *self, uint64_t metric, double value, const struct gavel_attribute *attributes,
                                  uint64_t count, const struct gavel_trace *trace)
{
    struct host_face *face = face_of(self);

    host_registry_record_traced(face->services->registry, metric, value, face->label, attributes, count, trace,
                                trace ? os_wall_ms(&face->services->os) : 0);
}

static int32_t service_collect(void *self,
                               void (*show)(void *context, uint64_t wall_ms, const struct gavel_series *series,
                                            uint64_t count, uint64_t stride),
                               void *context)
{
    struct host_services *services = face_of(self)->services;
    struct host_snapshot snapshot;
    int32_t status = host_registry_snapshot(services->registry, &snapshot);

    if (status != GAVEL_OK)
        return status;
    show(context, os_wall_ms(&services->os), snapshot.series, snapshot.count, sizeof *snapshot.series);
    host_snapshot_free(&snapshot);
    return GAVEL_OK;
}

static int32_t service_probe(void *self,
                             void (*show)(void *context, const struct gavel_probe *probes, uint64_t count,
                                          uint64_t stride),
                             void *context)
{
    struct host_services *services = face_of(self)->services;

    host_probes_show(services->probes, os_mono_ns(&services->os) / 1000000, show, context);
    return GAVEL_OK;
}

static uint64_t service_series(void *self, uint64_t metric, const struct gavel_attribute *attributes, uint64_t count)
{
    struct host_face *face = face_of(self);

    return host_registry_series(face->services->registry, metric, face->label, attributes, count);
}

static void service_observe(void *self, uint64_t series, double value)
{
    host_registry_observe(face_of(self)->services->registry, series, value);
}

static uint64_t service_span_begin(void *self, const char *name, const struct gavel_trace *parent,
                                   struct gavel_trace *context)
{
    return host_spans_begin(face_of(self)->services->spans, name, parent, context);
}

static void service_span_end(void *self, uint64_t span, int64_t status, const struct gavel_attribute *attributes,
                             uint64_t count)
{
    host_spans_end(face_of(self)->services->spans, span, status, attributes, count);
}

static uint64_t service_monotonic(void *self)
{
    return os_mono_ns(&face_of(self)->services->os);
}

static uint64_t service_wall(void *self)
{
    return os_wall_ms(&face_of(self)->services->os);
}

static void service_random(void *self, void *bytes, uint64_t size)
{
    os_random(&face_of(self)->services->os, bytes, (size_t)size);
}

static void timer_fired(uv_timer_t *handle)
{
    struct gavel_timer *timer = handle->data;

    struct os_call before = os_call_enter(timer->face->who, "a timer", OS_CALL_LOOP);

    assert(timer->magic == TIMER_MAGIC);
    timer->fire(timer->context);
    os_call_set(before);
}

static struct gavel_timer *service_timer_new(void *self, void (*fire)(void *context), void *context)
{
    struct host_face *face = loop_face(self, "timer_new");
    struct gavel_timer *timer = calloc(1, sizeof *timer);

    if (!timer)
        return NULL;
    (void)uv_timer_init(face->services->loop, &timer->timer);
    timer->face = face;
    timer->next = face->timers;
    if (timer->next)
        timer->next->previous = timer;
    face->timers = timer;
    timer->timer.data = timer;
    timer->magic = TIMER_MAGIC;
    timer->fire = fire;
    timer->context = context;
    return timer;
}

static void service_timer_start(void *self, struct gavel_timer *timer, uint64_t milliseconds)
{
    uv_loop_t *loop = loop_face(self, "timer_start")->services->loop;
    uint64_t now = uv_hrtime() / 1000000, stale = now > uv_now(loop) ? now - uv_now(loop) : 0;

    assert(timer->magic == TIMER_MAGIC);
    /* libuv counts from the turn's beginning; a turn may have been long, and a timer must not come early. */
    (void)uv_timer_start(&timer->timer, timer_fired, milliseconds + stale, 0);
}

static void service_timer_stop(void *self, struct gavel_timer *timer)
{
    (void)loop_face(self, "timer_stop");
    assert(timer->magic == TIMER_MAGIC);
    (void)uv_timer_stop(&timer->timer);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void service_timer_free(void *self, struct gavel_timer *timer)
{
    struct host_face *face = loop_face(self, "timer_free");

    if (!timer)
        return;
    assert(timer->magic == TIMER_MAGIC);
    timer->magic = 0;
    if (timer->next)
        timer->next->previous = timer->previous;
    *(timer->previous ? &timer->previous->next : &face->timers) = timer->next;
    uv_close((uv_handle_t *)&timer->timer, timer_closed);
}

static int32_t service_deliver(void *self, void (*call)(void *context), void *context)
{
    struct host_services *services = face_of(self)->services;
    int32_t status = GAVEL_OK;

    if (atomic_load(&services->stopping))
        return GAVEL_E_CLOSED;
    (void)pthread_mutex_lock(&services->lock);
    if (services->inbox_count == HOST_INBOX_MAX) {
        status = GAVEL_E_BUSY;
    } else {
        services->inbox[(services->inbox_head + services->inbox_count) % HOST_INBOX_MAX] =
            (struct call){call, context, face_of(self)->who};
        services->inbox_count++;
    }
    (void)pthread_mutex_unlock(&services->lock);
    wake_up(services);
    return status;
}

static void service_wake(void *self)
{
    wake_up(face_of(self)->services);
}

static void job_run(struct os_job *os_job)
{
    struct job *job = os_container(os_job, struct job, job);

    struct os_call before = os_call_enter(job->face->who, "a job of submit", OS_LANE_WORKER);

    job->work(job->context);
    os_call_set(before);
}

static void job_done(struct os_job *os_job)
{
    struct job *job = os_container(os_job, struct job, job);

    assert(job->services->jobs > 0);
    struct os_call before;

    job->services->jobs--;
    job->face->jobs--;
    before = os_call_enter(job->face->who, "done of submit", OS_CALL_LOOP);
    job->done(job->context);
    os_call_set(before);
    free(job);
}

static int32_t service_submit(void *self, void (*work)(void *context), void (*done)(void *context), void *context)
{
    struct host_face *face = loop_face(self, "submit");
    struct host_services *services = face->services;
    struct job *job;

    if (atomic_load(&services->stopping))
        return GAVEL_E_CLOSED;
    job = services->jobs < HOST_JOBS_MAX ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return GAVEL_E_BUSY;
    job->job.run = job_run;
    job->job.done = job_done;
    job->services = services;
    job->face = face;
    face->jobs++;
    job->work = work;
    job->done = done;
    job->context = context;
    services->jobs++;
    os_submit(&services->os, OS_LANE_WORKER, &job->job);
    return GAVEL_OK;
}

bool host_services_measured(void)
{
    const char *choice = getenv("GAVEL_METRICS");

    return !choice || strcmp(choice, "off") != 0;
}

void host_face_init(struct host_face *face, struct host_services *services, const char *instance, bool is_node)
{
    bool spans = services->spans != NULL, metrics = host_services_measured();

    *face = (struct host_face){.magic = FACE_MAGIC, .services = services, .label = is_node ? NULL : instance};
    face->host = (struct gavel_host){
        .size = GAVEL_END(struct gavel_host, log_traced),
        .self = face,
        .abi_major = GAVEL_ABI_MAJOR,
        .abi_minor = GAVEL_ABI_MINOR,
        .node = services->node,
        .instance = instance,
        .loop = services->loop,
        .heap = &host_heap,
        .log = service_log,
        .metric = metrics ? service_metric : NULL,
        .record = metrics ? service_record : NULL,
        .span_begin = spans ? service_span_begin : NULL,
        .span_end = spans ? service_span_end : NULL,
        .monotonic_ns = service_monotonic,
        .wall_ms = service_wall,
        .random = service_random,
        .timer_new = service_timer_new,
        .timer_start = service_timer_start,
        .timer_stop = service_timer_stop,
        .timer_free = service_timer_free,
        .deliver = service_deliver,
        .wake = service_wake,
        .submit = service_submit,
        .record_traced = metrics ? service_record_traced : NULL,
        .collect = service_collect,
        .probe = service_probe,
        .series = metrics ? service_series : NULL,
        .observe = metrics ? service_observe : NULL,
        .log_traced = service_log_traced,
    };
}

void host_face_leaks(struct host_face *face)
{
    unsigned timers = 0;

    for (; face->timers; timers++) /* they would fire into an instance that is gone */
        service_timer_free(face, face->timers);
    if (timers)
        gavel_log(&face->host, GAVEL_LOG_WARN, "host", "%s, in quiesce: left %u timers of the host unfreed; the host "
                  "frees them", face->who, timers);
    if (face->jobs)
        gavel_log(&face->host, GAVEL_LOG_WARN, "host", "%s, in quiesce: left %u jobs of submit undone", face->who,
                  face->jobs);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct host_services *host_services_new(uv_loop_t *loop, const char *node)
{
    struct host_services *services = calloc(1, sizeof *services);

    if (!services)
        return NULL;
    services->magic = SERVICES_MAGIC;
    services->loop = loop;
    services->node = node;
    services->placed = os_call_here == &os_call_places[OS_CALL_LOOP];
    atomic_init(&services->stopping, false);
    if (pthread_mutex_init(&services->lock, NULL) != 0) {
        free(services);
        return NULL;
    }
    services->lanes = os_lanes_new(wake_up, services);
    services->registry = host_registry_new();
    services->probes = host_probes_new();
    os_real_init(&services->os, services->lanes);
    services->sink = services->registry
                         ? host_sink_new(&services->os, node, services->registry, wake_up, services)
                         : NULL;
    if (!services->lanes || !services->sink || !services->probes || uv_async_init(loop, &services->async, awake) != 0) {
        (void)host_services_free(services);
        return NULL;
    }
    services->async.data = services;
    return services;
}

const struct os *host_services_os(struct host_services *services)
{
    return &services->os;
}

struct host_registry *host_services_registry(struct host_services *services)
{
    return services->registry;
}

struct host_sink *host_services_sink(struct host_services *services)
{
    return services->sink;
}

struct host_probes *host_services_probes(struct host_services *services)
{
    return services->probes;
}

int32_t host_services_ready(struct host_services *services, struct gavel_error *error)
{
    if (!host_sink_wants_spans(services->sink))
        return GAVEL_OK;
    services->spans = host_spans_new(&services->os, services->sink);
    return services->spans ? GAVEL_OK : gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
}

uint64_t host_services_spans_open(struct host_services *services)
{
    return services->spans ? host_spans_open(services->spans) : 0;
}

void host_services_trace(struct host_services *services, double ratio)
{
    if (services->spans)
        host_spans_ratio(services->spans, ratio);
}

void host_services_stopping(struct host_services *services)
{
    atomic_store(&services->stopping, true);
}

void host_services_stop(struct host_services *services)
{
    host_services_stopping(services);
    os_lanes_stop(services->lanes);
    run_inbox(services);
    host_sink_drain(services->sink);
}

bool host_services_own(const struct host_services *services, const uv_handle_t *handle)
{
    return handle == (const uv_handle_t *)&services->async;
}

void host_services_close(struct host_services *services)
{
    uv_close((uv_handle_t *)&services->async, NULL);
}

struct host_services *host_services_free(struct host_services *services)
{
    if (!services)
        return NULL;
    assert(services->magic == SERVICES_MAGIC);
    services->lanes = os_lanes_free(services->lanes);
    services->spans = host_spans_free(services->spans);
    services->sink = host_sink_free(services->sink);
    services->registry = host_registry_free(services->registry);
    services->probes = host_probes_free(services->probes);
    (void)pthread_mutex_destroy(&services->lock);
    services->magic = 0;
    free(services);
    return NULL;
}
