/* SPDX-License-Identifier: Apache-2.0 */
/* instance.c - the handles that every transport instance has on the host's loop; see instance.h. */
#include "instance.h"

#include <assert.h>

/*
 * A sweep looks for silent connections this often within the keepalive time, and at least once a second. Silence is
 * counted in sweeps, not in time: between two sweeps the loop has listened once at least, however long it was held up.
 */
#define SWEEPS_PER_KEEPALIVE 4u
#define SWEEP_MS_MIN 5u
#define SWEEP_MS_MAX 1000u

/* Handles of an instance: prepare, check, idle, sweeper. */
#define OWN_HANDLES 4u

#define BACKLOG 511u
#define NOTE_EVERY_MS 1000u

/* ---- a turn of the loop ------------------------------------------------------------------------------------------ */

/* Only its being active matters: the loop then does not block before the next prepare. */
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void instance_mark(struct instance *instance, struct instance_mark *mark)
{
    if (mark->set)
        return;
    mark->set = true;
    TAILQ_INSERT_TAIL(&instance->marks, mark, link);
    if (instance->mark_count++ == 0)
        (void)uv_idle_start(&instance->idle, on_idle);
}

void instance_unmark(struct instance *instance, struct instance_mark *mark)
{
    if (!mark->set)
        return;
    TAILQ_REMOVE(&instance->marks, mark, link);
    instance->mark_count--;
    mark->set = false;
}

static void tell_quiet(struct instance *instance)
{
    if (!instance->arrived)
        return;
    instance->arrived = false;
    if (instance->up.events.quiet)
        instance->up.events.quiet(instance->up.events.context);
}

static void on_check(uv_check_t *check)
{
    tell_quiet(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct instance *instance = prepare->data;
    struct instance_mark *mark;
    uint64_t left;

    tell_quiet(instance); /* for what came outside of the poll phase, which may now block */
    left = instance->mark_count;
    /* What `drained` makes the host send waits for the next turn, so that one connection cannot hold the loop. */
    while (left-- > 0 && (mark = TAILQ_FIRST(&instance->marks))) {
        instance_unmark(instance, mark);
        instance->operations->look(instance->transport, mark);
    }
    if (instance->operations->turned)
        instance->operations->turned(instance->transport);
    if (instance->mark_count == 0)
        (void)uv_idle_stop(&instance->idle);
    instance_quiesce_step(instance);
}

static void on_sweep(uv_timer_t *timer)
{
    struct instance *instance = timer->data;

    if (!instance->operations->sweep(instance->transport))
        (void)uv_timer_stop(timer);
}

void instance_sweep(struct instance *instance)
{
    uint64_t period = instance->up.limits.keepalive_ms / SWEEPS_PER_KEEPALIVE;

    if (uv_is_active((uv_handle_t *)&instance->sweeper))
        return;
    period = period < SWEEP_MS_MIN ? SWEEP_MS_MIN : period;
    period = period > SWEEP_MS_MAX ? SWEEP_MS_MAX : period;
    instance->sweeps = (instance->up.limits.keepalive_ms + period - 1) / period;
    (void)uv_timer_start(&instance->sweeper, on_sweep, period, period);
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

int32_t instance_init(struct instance *instance, const struct instance_operations *operations, void *transport,
                      const struct gavel_host *host, uint64_t backlog, struct gavel_error *error)
{
    if (!host->loop)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "this host has no event loop: the transport needs libuv's");
    instance->operations = operations;
    instance->transport = transport;
    instance->host = host;
    instance->loop = host->loop;
    instance->backlog = backlog ? backlog : BACKLOG;
    TAILQ_INIT(&instance->marks);
    return GAVEL_OK;
}

int32_t instance_prepare(struct instance *instance, const struct gavel_transport_events *events,
                         const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    int32_t status;

    if (!instance->operations->empty(instance->transport))
        return gavel_fail(error, GAVEL_E_STATE, "the up-calls must be set before the first connection");
    status = upcalls_take(&instance->up, events, limits, error);
    instance->prepared = status == GAVEL_OK;
    return status;
}

void instance_start(struct instance *instance)
{
    const struct gavel_host *host = instance->host;

    assert(!instance->started);
    (void)uv_prepare_init(instance->loop, &instance->prepare);
    (void)uv_check_init(instance->loop, &instance->check);
    (void)uv_idle_init(instance->loop, &instance->idle);
    (void)uv_timer_init(instance->loop, &instance->sweeper);
    instance->prepare.data = instance;
    instance->check.data = instance;
    instance->idle.data = instance;
    instance->sweeper.data = instance;
    (void)uv_prepare_start(&instance->prepare, on_prepare);
    (void)uv_check_start(&instance->check, on_check);
    /* Connections and listeners keep the loop alive, not these. */
    uv_unref((uv_handle_t *)&instance->prepare);
    uv_unref((uv_handle_t *)&instance->check);
    uv_unref((uv_handle_t *)&instance->sweeper);
    instance->own_handles = OWN_HANDLES;
    if (host->metric)
        instance->refused_metric = host->metric(host->self, GAVEL_COUNTER, "transport.connections.refused",
                                                "{connection}", "connections refused because too many were open");
    instance->started = true;
}

int32_t instance_running(const struct instance *instance, struct gavel_error *error)
{
    if (!instance->started || !instance->prepared || instance->quiescing)
        return gavel_fail(error, GAVEL_E_STATE, "the transport is not running");
    return GAVEL_OK;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void on_own_closed(uv_handle_t *handle)
{
    struct instance *instance = handle->data;

    instance->own_handles--;
    instance_quiesce_step(instance);
}

/* Connections first, then what else the transport has on the loop, which must turn for it (the idle handle sees to
 * that), then our own handles. */
void instance_quiesce_step(struct instance *instance)
{
    const struct instance_operations *operations = instance->operations;

    if (!instance->quiescing || instance->quiesced || instance->listening ||
        !operations->empty(instance->transport))
        return;
    if (!uv_is_closing((uv_handle_t *)&instance->prepare)) {
        if (operations->release && !operations->release(instance->transport)) {
            (void)uv_idle_start(&instance->idle, on_idle); /* the next prepare asks again */
            return;
        }
        uv_close((uv_handle_t *)&instance->prepare, on_own_closed);
        uv_close((uv_handle_t *)&instance->check, on_own_closed);
        uv_close((uv_handle_t *)&instance->idle, on_own_closed);
        uv_close((uv_handle_t *)&instance->sweeper, on_own_closed);
    }
    if (instance->own_handles)
        return;
    instance->quiesced = true;
    instance->done(instance->done_context);
}

void instance_quiesce(struct instance *instance, void (*done)(void *context), void *context)
{
    assert(!instance->quiescing);
    instance->quiescing = true;
    instance->done = done;
    instance->done_context = context;
    if (!instance->started) {
        instance->quiesced = true;
        done(context);
        return;
    }
    instance->operations->close_all(instance->transport);
    instance_quiesce_step(instance);
}

/* ---- strangers --------------------------------------------------------------------------------------------------- */

void instance_note_stranger(struct instance *instance, const char *peer, const char *what)
{
    uint64_t now = uv_now(instance->loop);

    if (instance->noted_ms && now - instance->noted_ms < NOTE_EVERY_MS) {
        instance->unnoted++;
        return;
    }
    gavel_log(instance->host, GAVEL_LOG_WARN, instance->operations->module,
              "refused %s: %s (%llu more since the last such line)", peer, what,
              (unsigned long long)instance->unnoted);
    instance->noted_ms = now;
    instance->unnoted = 0;
}

void instance_count_refused(struct instance *instance)
{
    const struct gavel_host *host = instance->host;

    if (instance->refused_metric && host->record)
        host->record(host->self, instance->refused_metric, 1, NULL, 0);
}
