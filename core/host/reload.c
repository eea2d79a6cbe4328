/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - the steps of a reload; see reload.h.
 */
#include "core/host/reload.h"

#include "core/codec/value.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_MAGIC 0x4d92b7e3u
#define TICK_MS 10            /* between looks at what goes on by itself */
#define PUBLISH_MS 10000      /* for the new addresses to be committed; without a leader it fails */
#define QUIESCE_MS 3000       /* for what ends to call done, or to close its connections when their time is over */

#define STEP(step) (1u << HOST_RELOAD_##step)

/* What may follow on what. */
static const unsigned allowed[HOST_RELOAD_STEPS] = {
    [HOST_RELOAD_IDLE] = STEP(CHECKING),
    [HOST_RELOAD_CHECKING] = STEP(STARTING) | STEP(IDLE),
    [HOST_RELOAD_STARTING] = STEP(PUBLISHING) | STEP(UNDOING),
    [HOST_RELOAD_PUBLISHING] = STEP(SWAPPING) | STEP(UNDOING),
    [HOST_RELOAD_SWAPPING] = STEP(DRAINING),
    [HOST_RELOAD_DRAINING] = STEP(IDLE),
    [HOST_RELOAD_UNDOING] = STEP(IDLE),
};

bool host_reload_may(enum host_reload_step from, enum host_reload_step to)
{
    return allowed[from] >> to & 1;
}

/* Before the swap every old part serves, after it every new one; there is a clone while one may come in force. */
static void check(const struct host_reload *reload)
{
    bool before = reload->step >= HOST_RELOAD_CHECKING && reload->step <= HOST_RELOAD_PUBLISHING;

    assert(reload->magic == RELOAD_MAGIC);
    assert((reload->next != NULL) == (before || reload->step == HOST_RELOAD_UNDOING ||
                                      reload->step == HOST_RELOAD_SWAPPING));
    for (unsigned i = 0; i < reload->change_count; i++) {
        const struct host_change *change = &reload->change[i];

        if (before || reload->step == HOST_RELOAD_UNDOING)
            assert(!change->old || change->old->state == HOST_PART_SERVING);
        else if (reload->step == HOST_RELOAD_DRAINING)
            assert(!change->fresh || change->fresh->state == HOST_PART_SERVING);
    }
}

static void move(struct host_reload *reload, enum host_reload_step to)
{
    assert(host_reload_may(reload->step, to));
    reload->step = to;
    check(reload);
}

static uint64_t now_ms(const struct host_reload *reload)
{
    return uv_now(&reload->process->loop);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void put_list(struct gavel_writer *out, const char *key, const struct host_faults *list)
{
    gavel_put_key(out, key);
    gavel_put_array(out, list->count + (list->beyond > 0));
    for (unsigned i = 0; i < list->count; i++)
        gavel_put_text(out, list->text[i]);
    if (list->beyond)
        gavel_put_text(out, "and more");
    gavel_put_end(out);
}

static void answer(struct host_process *process, struct node_caller caller, bool done,
                   const struct host_faults *changes, const struct host_faults *faults)
{
    struct gavel_buffer body = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &body);

    gavel_put_map(out, 3);
    gavel_put_key(out, "reloaded");
    gavel_put_bool(out, done);
    put_list(out, "changes", changes);
    put_list(out, "faults", faults);
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) == GAVEL_OK)
        node_answer(process->node, caller, GAVEL_OK, "", gavel_buffer_slice(&body));
    else
        node_answer(process->node, caller, GAVEL_E_NO_MEMORY, "memory is out", gavel_bytes(NULL, 0));
    gavel_buffer_free(&body);
}

/* Tell the caller and the log how it went. */
static void conclude(struct host_reload *reload, bool done)
{
    static const struct host_faults none = {.count = 0};
    const struct gavel_host *host = &reload->process->node_face.host;

    for (unsigned i = 0; i < reload->faults.count; i++)
        gavel_log(host, GAVEL_LOG_ERROR, "host", "Reload: %s", reload->faults.text[i]);
    for (unsigned i = 0; done && i < reload->changes.count; i++)
        gavel_log(host, GAVEL_LOG_INFO, "host", "Reload: %s", reload->changes.text[i]);
    gavel_log(host, done ? GAVEL_LOG_INFO : GAVEL_LOG_ERROR, "host",
              done ? "The configuration was read again%s" : "Reload refused: nothing was changed%s",
              done && reload->changes.count == 0 ? ": nothing has changed" : "");
    answer(reload->process, reload->caller, done, done ? &reload->changes : &none, &reload->faults);
    reload->caller = (struct node_caller){0};
    host_notify_reloaded(&reload->process->notify);
}

static void finish(struct host_reload *reload)
{
    struct host_process *process = reload->process;

    (void)uv_timer_stop(&reload->timer);
    if (reload->next)
        host_process_let_go(process, reload->next);
    reload->next = NULL;
    reload->change_count = 0;
    host_faults_free(&reload->changes);
    host_faults_free(&reload->faults);
    move(reload, HOST_RELOAD_IDLE);
    if (!reload->again || process->stopping)
        return;
    reload->again = false;
    host_reload_begin(process, (struct node_caller){0}, true);
}

/* ---- ending what is not wanted any more -------------------------------------------------------------------------- */

static void unused(void *context)
{
    struct host_part *part = context;

    part->idle = true; /* the next tick ends it: this may be an up-call of its own */
}

static void quiesce(struct host_reload *reload, struct host_part *part)
{
    part->late_ms = now_ms(reload) + QUIESCE_MS;
    host_part_quiesce(part);
}

/* What a plugin owes and does not do costs no later reload: it is left behind, until the process ends. */
static void leave_behind(struct host_reload *reload, struct host_part *part)
{
    const struct gavel_host *host = &reload->process->node_face.host;

    part->stuck = true;
    if (part->state == HOST_PART_LEAVING) {
        gavel_log(host, GAVEL_LOG_ERROR, "host", "%s: has not closed all of its connections; it is left behind",
                  part->instance.who);
        return;
    }
    gavel_log(host, GAVEL_LOG_ERROR, "host", "%s, in quiesce: has not called done within %d ms; it is left behind",
              part->instance.who, QUIESCE_MS);
    host_instance_give_up(&part->instance);
    part->quiesced = true;
}

static bool is_late(const struct host_reload *reload, const struct host_part *part)
{
    if (part->state == HOST_PART_QUIET)
        return !part->quiesced && now_ms(reload) >= part->late_ms;
    return part->config->kind == GAVEL_KIND_TRANSPORT && !part->idle && now_ms(reload) >= part->late_ms + QUIESCE_MS;
}

static void end_part(struct host_reload *reload, struct host_part *part)
{
    char text[96];

    if (part->state == HOST_PART_LEAVING && part->config->kind == GAVEL_KIND_OBSERVER && !part->idle) {
        part->idle = host_sink_past(host_services_sink(reload->process->services), part->mark);
        part->stuck = !part->idle && now_ms(reload) >= part->late_ms;
        if (part->stuck)
            gavel_log(&reload->process->node_face.host, GAVEL_LOG_ERROR, "host",
                      "The %s does not come back from a call: it is left as it is until the process ends",
                      host_part_text(part, text, sizeof text));
    }
    if (part->state == HOST_PART_LEAVING && part->idle)
        quiesce(reload, part);
    if (is_late(reload, part))
        leave_behind(reload, part);
    if (part->state == HOST_PART_QUIET && part->quiesced && !part->stuck) {
        gavel_log(&reload->process->node_face.host, GAVEL_LOG_INFO, "host", "The old %s has ended",
                  host_part_text(part, text, sizeof text));
        host_part_free(part);
    }
}

/* True when nothing that was to end is left. */
static bool end_parts(struct host_reload *reload)
{
    bool left = false;

    for (unsigned i = reload->process->part_count; i-- > 0;)
        if (reload->process->part[i]->state >= HOST_PART_LEAVING && !reload->process->part[i]->stuck)
            end_part(reload, reload->process->part[i]);
    for (unsigned i = 0; i < reload->process->part_count; i++)
        left = left || (reload->process->part[i]->state >= HOST_PART_LEAVING && !reload->process->part[i]->stuck);
    return !left;
}

/* ---- undoing ----------------------------------------------------------------------------------------------------- */

static void undo_change(struct host_reload *reload, struct host_change *change)
{
    struct host_part *fresh = change->fresh;
    struct gavel_error error;

    change->fresh = NULL;
    if (change->tuned && host_part_untune(change->old, &error) != GAVEL_OK)
        host_fault(&reload->faults, "the old options could not be restored: %s", error.text);
    if (!fresh)
        return;
    if (fresh->listening) {
        fresh->late_ms = now_ms(reload);
        host_part_move(fresh, HOST_PART_LEAVING);
        node_drop_transport(reload->process->node, fresh->listening, change->old ? change->old->listening : NULL,
                            unused, fresh);
    } else {
        quiesce(reload, fresh);
    }
}

static void undo(struct host_reload *reload)
{
    const char *own[NODE_ADDRESSES_MAX];
    uint32_t count = node_addresses(reload->process->node, own);

    if (reload->step == HOST_RELOAD_PUBLISHING && !reload->published)
        node_publish(reload->process->node, own, count, NULL, NULL); /* should the other one be committed yet */
    for (unsigned i = reload->change_count; i-- > 0;)
        undo_change(reload, &reload->change[i]);
    move(reload, HOST_RELOAD_UNDOING);
    (void)uv_timer_again(&reload->timer);
}

/* ---- swapping ---------------------------------------------------------------------------------------------------- */

/* No record goes to it any more; one that another takes the place of has no place. */
static void unobserve(struct host_reload *reload, struct host_part *old)
{
    struct host_sink *sink = host_services_sink(reload->process->services);
    struct gavel_error error;

    if (host_sink_bit(sink, &old->instance.guard))
        (void)host_sink_replace(sink, &old->instance.guard, NULL, NULL, 0, NULL, 0, &old->mark, &error);
}

static void leave(struct host_reload *reload, struct host_part *old, uint64_t drain_ms)
{
    old->late_ms = now_ms(reload) + drain_ms;
    host_part_move(old, HOST_PART_LEAVING);
    if (old->config->kind == GAVEL_KIND_TRANSPORT)
        node_retire_transport(reload->process->node, old->listening, drain_ms, unused, old);
    else if (old->config->kind == GAVEL_KIND_SERIALIZER)
        node_retire_serializer(reload->process->node, old->offered, unused, old);
    else
        unobserve(reload, old);
    if (old->timer_open)
        (void)uv_timer_stop(&old->timer);
}

/* Records go to the new observers from here on; the bounds were checked, so there is a place for each. */
static void swap_observers(struct host_reload *reload)
{
    struct gavel_error error;

    for (unsigned i = 0; i < reload->change_count; i++)
        if (reload->change[i].what == HOST_REMOVE && reload->change[i].old->config->kind == GAVEL_KIND_OBSERVER)
            unobserve(reload, reload->change[i].old);
    for (unsigned i = 0; i < reload->change_count; i++) {
        struct host_change *change = &reload->change[i];

        if (change->fresh && change->fresh->config->kind == GAVEL_KIND_OBSERVER &&
            host_part_observe(change->fresh, change->old, &error) != GAVEL_OK)
            gavel_log(&reload->process->node_face.host, GAVEL_LOG_ERROR, "host", "%s", error.text);
    }
}

static void swap_serializers(struct host_reload *reload, uint64_t drain_ms)
{
    const struct node_serializer *offered[NODE_SERIALIZERS_MAX];
    uint32_t count = 0;

    for (unsigned i = 0; i < reload->change_count; i++) {
        struct host_change *change = &reload->change[i];
        struct host_part *part = change->fresh ? change->fresh : change->what == HOST_REMOVE ? NULL : change->old;

        if (!part || part->config->kind != GAVEL_KIND_SERIALIZER)
            continue;
        if (!part->offered)
            part->offered = &part->serializer;
        offered[count++] = part->offered;
    }
    node_offer(reload->process->node, offered, count, drain_ms);
}

/* The set was checked when the file was read; what it takes is memory for a copy. */
static void declare(struct host_reload *reload)
{
    struct node_capability capabilities[CAPABILITY_PAIRS_MAX];
    uint32_t count = host_process_capabilities(&reload->next->config, capabilities);
    struct gavel_error error;

    if (!host_capabilities_same(&reload->process->setup->config.capabilities, &reload->next->config.capabilities) &&
        node_declare(reload->process->node, capabilities, count, &error) != GAVEL_OK)
        gavel_log(&reload->process->node_face.host, GAVEL_LOG_ERROR, "host", "[capabilities]: %s", error.text);
}

/* From this moment on the new serves. */
static void swap(struct host_reload *reload)
{
    struct host_process *process = reload->process;
    struct host_setup *before = process->setup;
    struct node_limits limits = host_process_limits(&reload->next->config);
    uint64_t drain_ms = reload->next->config.node.drain_timeout;

    move(reload, HOST_RELOAD_SWAPPING);
    swap_observers(reload);
    swap_serializers(reload, drain_ms);
    for (unsigned i = 0; i < reload->change_count; i++) {
        struct host_change *change = &reload->change[i];

        if (change->fresh)
            host_part_move(change->fresh, HOST_PART_SERVING);
        if (change->tuned)
            host_part_tuned(change->old);
        if (change->what == HOST_REPLACE || change->what == HOST_REMOVE)
            leave(reload, change->old, drain_ms);
    }
    node_change_limits(process->node, &limits);
    declare(reload);
    host_services_trace(process->services, reload->next->config.trace.ratio);
    process->setup = reload->next;
    process->setup->running = NULL;
    reload->next = NULL; /* its use goes over to the process */
    host_process_let_go(process, before);
    move(reload, HOST_RELOAD_DRAINING);
    conclude(reload, true);
    if (end_parts(reload))
        finish(reload);
    else
        (void)uv_timer_again(&reload->timer);
}

/* ---- starting and publishing ------------------------------------------------------------------------------------- */

static int32_t start_change(struct host_reload *reload, struct host_change *change, struct gavel_error *error)
{
    struct host_process *process = reload->process;
    struct host_part *part = host_part_new(process, reload->next, change->index);
    int32_t status;

    if (!part)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    status = host_part_start(part, error);
    if (status != GAVEL_OK)
        return status;
    change->fresh = part;
    if (part->config->kind != GAVEL_KIND_TRANSPORT)
        return GAVEL_OK;
    status = node_add_transport(process->node, &part->transport, change->old ? change->old->listening : NULL, error);
    if (status == GAVEL_OK)
        part->listening = &part->transport;
    return status;
}

static int32_t start_all(struct host_reload *reload, struct gavel_error *error)
{
    int32_t status = GAVEL_OK;

    for (unsigned i = 0; i < reload->change_count && status == GAVEL_OK; i++)
        if (reload->change[i].what == HOST_REPLACE || reload->change[i].what == HOST_ADD)
            status = start_change(reload, &reload->change[i], error);
    return status;
}

static int32_t tune_all(struct host_reload *reload, struct gavel_error *error)
{
    int32_t status = GAVEL_OK;

    for (unsigned i = 0; i < reload->change_count && status == GAVEL_OK; i++) {
        struct host_change *change = &reload->change[i];

        if (change->what != HOST_TUNE)
            continue;
        status = host_part_tune(change->old, reload->next, &reload->next->config.instance[change->index], error);
        change->tuned = status == GAVEL_OK;
    }
    return status;
}

static void published(void *context, int32_t status, const char *why)
{
    struct host_reload *reload = context;

    reload->published = true;
    reload->publish_status = status;
    (void)snprintf(reload->publish_why, sizeof reload->publish_why, "%s", why);
}

static bool same_addresses(const struct host_reload *reload, const char *const *texts, uint32_t count)
{
    const char *own[NODE_ADDRESSES_MAX];
    uint32_t own_count = node_addresses(reload->process->node, own);
    bool same = own_count == count;

    for (uint32_t i = 0; same && i < count; i++)
        same = strcmp(own[i], texts[i]) == 0;
    return same;
}

static void start(struct host_reload *reload)
{
    const char *texts[NODE_ADDRESSES_MAX];
    uint32_t count = 0;
    struct gavel_error error;
    bool moves = host_reload_moves(reload);
    int32_t status;

    move(reload, HOST_RELOAD_STARTING);
    status = start_all(reload, &error);
    if (status == GAVEL_OK && moves)
        count = host_reload_addresses(reload, texts);
    if (status == GAVEL_OK && reload->faults.count == 0)
        status = tune_all(reload, &error);
    if (status != GAVEL_OK)
        host_fault(&reload->faults, "%s", error.text);
    if (reload->faults.count) {
        undo(reload);
        return;
    }
    move(reload, HOST_RELOAD_PUBLISHING);
    reload->published = !moves || same_addresses(reload, texts, count);
    reload->publish_status = GAVEL_OK;
    reload->give_up_ms = now_ms(reload) + PUBLISH_MS;
    if (reload->published) {
        swap(reload);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        host_fault(&reload->changes, "this node is reached at %s", texts[i]);
    node_publish(reload->process->node, texts, count, published, reload);
    (void)uv_timer_again(&reload->timer);
}

static void publish_goes_on(struct host_reload *reload)
{
    if (reload->published && reload->publish_status == GAVEL_OK) {
        swap(reload);
    } else if (reload->published || now_ms(reload) >= reload->give_up_ms) {
        host_fault(&reload->faults, "the new addresses cannot be published: %s",
                   reload->published ? reload->publish_why : node_publish_said(reload->process->node));
        undo(reload);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct host_reload *reload = timer->data;

    assert(reload->magic == RELOAD_MAGIC);
    if (reload->process->stopping)
        return; /* the parts end with the process */
    if (reload->step == HOST_RELOAD_PUBLISHING) {
        publish_goes_on(reload);
    } else if (reload->step == HOST_RELOAD_DRAINING && end_parts(reload)) {
        finish(reload);
    } else if (reload->step == HOST_RELOAD_UNDOING && end_parts(reload)) {
        conclude(reload, false);
        finish(reload);
    }
}

/* ---- beginning and ending ---------------------------------------------------------------------------------------- */

/* Why it cannot be now; NULL: it can. */
static const char *refusal(const struct host_process *process, struct gavel_error *error)
{
    const struct host_reload *reload = process->reload;

    if (!reload)
        return "memory is out";
    if (process->stopping)
        return "this node is stopping";
    if (reload->step == HOST_RELOAD_DRAINING)
        return "a reload is running: what it has replaced is still being drained, no longer than [node] "
               "drain_timeout: ask again then";
    if (reload->step != HOST_RELOAD_IDLE)
        return "a reload is running; nothing was changed";
    if (!process->setup->file)
        return "this node was not started from an INI file";
    if (node_waits(process->node))
        return NULL; /* observers, levels and limits: host_reload_compare refuses what others have to know of */
    return node_steady(process->node, error) == GAVEL_OK ? NULL : error->text;
}

void host_reload_begin(struct host_process *process, struct node_caller caller, bool by_signal)
{
    struct host_reload *reload = process->reload;
    struct gavel_error error;
    const char *refused = refusal(process, &error);
    bool good;
    struct host_setup *next = refused ? NULL : calloc(1, sizeof *next);

    host_notify_reloading(&process->notify);
    if (!refused && !next)
        refused = "memory is out";
    if (refused) {
        gavel_log(&process->node_face.host, GAVEL_LOG_WARN, "host", "Reload refused: %s", refused);
        node_answer(process->node, caller, GAVEL_E_STATE, refused, gavel_bytes(NULL, 0));
        if (by_signal && reload && reload->step != HOST_RELOAD_IDLE)
            reload->again = true;
        if (!reload || reload->step == HOST_RELOAD_IDLE || reload->step == HOST_RELOAD_DRAINING)
            host_notify_reloaded(&process->notify);
        return;
    }
    reload->caller = caller;
    reload->by_signal = by_signal;
    reload->next = next;
    move(reload, HOST_RELOAD_CHECKING);
    good = host_setup_again(next, process->setup, process->private_dir);
    next->users++; /* this reload */
    if (good)
        host_reload_compare(reload);
    for (unsigned i = 0; i < next->faults.count; i++)
        host_fault(&reload->faults, "%s", next->faults.text[i]);
    for (unsigned i = 0; i < next->warnings.count; i++)
        host_fault(&reload->changes, "warning: %s", next->warnings.text[i]);
    if (reload->faults.count) {
        conclude(reload, false);
        finish(reload);
        return;
    }
    start(reload);
}

struct host_reload *host_reload_new(struct host_process *process)
{
    struct host_reload *reload = calloc(1, sizeof *reload);

    if (!reload)
        return NULL;
    reload->magic = RELOAD_MAGIC;
    reload->process = process;
    (void)uv_timer_init(&process->loop, &reload->timer);
    reload->timer.data = reload;
    (void)uv_timer_start(&reload->timer, on_tick, TICK_MS, TICK_MS);
    (void)uv_timer_stop(&reload->timer); /* uv_timer_again starts it with the same */
    return reload;
}

void host_reload_stopping(struct host_reload *reload)
{
    if (!reload || (reload->step != HOST_RELOAD_PUBLISHING && reload->step != HOST_RELOAD_UNDOING))
        return;
    host_fault(&reload->faults, "this node is stopping: its next start reads the file");
    conclude(reload, false);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct host_reload *host_reload_free(struct host_reload *reload)
{
    if (!reload)
        return NULL;
    assert(reload->magic == RELOAD_MAGIC);
    host_faults_free(&reload->changes);
    host_faults_free(&reload->faults);
    if (reload->next)
        host_process_let_go(reload->process, reload->next); /* when its last part goes */
    reload->magic = 0;
    uv_close((uv_handle_t *)&reload->timer, timer_closed);
    return NULL;
}
