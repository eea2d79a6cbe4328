/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.c - the lives of the parts of a process.
 */
#include "core/host/part.h"

#include "core/host/process.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAGIC 0x7a31e6c9u

/* Which state may follow which. */
static const bool allowed[HOST_PART_STATES][HOST_PART_STATES] = {
    [HOST_PART_MADE] = {[HOST_PART_BESIDE] = true},
    [HOST_PART_BESIDE] = {[HOST_PART_SERVING] = true, [HOST_PART_LEAVING] = true, [HOST_PART_QUIET] = true},
    [HOST_PART_SERVING] = {[HOST_PART_LEAVING] = true, [HOST_PART_QUIET] = true},
    [HOST_PART_LEAVING] = {[HOST_PART_QUIET] = true},
};

bool host_part_may(enum host_part_state from, enum host_part_state to)
{
    return allowed[from][to];
}

/* What holds after every move: an instance is alive from the start on, and only one that leaves can be idle. */
static void check(const struct host_part *part)
{
    assert(part->magic == PART_MAGIC);
    assert((part->state == HOST_PART_MADE) == (part->instance.state == HOST_INSTANCE_NEW));
    assert(!part->idle || part->state == HOST_PART_LEAVING || part->state == HOST_PART_QUIET);
    assert(!part->quiesced || part->state == HOST_PART_QUIET);
    assert(part->setup->users > 0);
}

void host_part_move(struct host_part *part, enum host_part_state to)
{
    assert(host_part_may(part->state, to));
    part->state = to;
    check(part);
}

const char *host_part_text(const struct host_part *part, char *text, size_t size)
{
    (void)snprintf(text, size, "%s %s", host_kind_name(part->config->kind), part->config->name);
    return text;
}

struct host_part *host_part_new(struct host_process *process, struct host_setup *setup, unsigned instance)
{
    const struct host_instance_config *config = &setup->config.instance[instance];
    const struct host_plugin *plugin = setup->plugin[instance];
    struct host_part *part = process->part_count < HOST_PARTS_MAX ? calloc(1, sizeof *part) : NULL;

    if (!part)
        return NULL;
    part->magic = PART_MAGIC;
    part->process = process;
    part->setup = setup;
    part->config = config;
    part->plugin = plugin;
    setup->users++;
    process->part[process->part_count++] = part;
    check(part);
    return part;
}

int32_t host_part_start(struct host_part *part, struct gavel_error *error)
{
    struct host_process *process = part->process;
    int32_t status = host_instance_start(&part->instance, part->plugin, part->config->name, part->config->options,
                                         process->services, error);

    if (status != GAVEL_OK) {
        host_part_free(part);
        return status;
    }
    part->transport = (struct node_transport){.name = part->config->name,
                                              .operations = &part->instance.guard.operations.transport,
                                              .self = &part->instance.guard,
                                              .listen = part->config->listen,
                                              .listen_count = part->config->listen_count};
    part->serializer = (struct node_serializer){.name = part->plugin->head.name,
                                                .operations = &part->instance.guard.operations.serializer,
                                                .self = &part->instance.guard};
    host_part_move(part, HOST_PART_BESIDE);
    return GAVEL_OK;
}

static void metrics_due(uv_timer_t *timer)
{
    struct host_part *part = timer->data;
    struct host_sink *sink = host_services_sink(part->process->services);

    host_sink_metrics(sink, host_sink_bit(sink, &part->instance.guard));
}

static void start_timer(struct host_part *part)
{
    uint64_t interval = part->config->observer.metrics_interval;

    if (!(part->plugin->operations.observer.wants & GAVEL_OBSERVE_METRICS))
        return;
    if (!part->timer_open) {
        (void)uv_timer_init(&part->process->loop, &part->timer);
        part->timer.data = part;
        part->timer_open = true;
        uv_unref((uv_handle_t *)&part->timer);
    }
    (void)uv_timer_start(&part->timer, metrics_due, interval, interval);
}

int32_t host_part_observe(struct host_part *part, struct host_part *old, struct gavel_error *error)
{
    const struct host_observer_options *options = &part->config->observer;
    struct host_sink *sink = host_services_sink(part->process->services);
    const struct gavel_observer *operations = &part->instance.guard.operations.observer;
    int32_t status;

    if (old)
        status = host_sink_replace(sink, &old->instance.guard, operations, &part->instance.guard, options->level + 1,
                                   options->levels.items, options->levels.count, &old->mark, error);
    else
        status = host_sink_add(sink, operations, &part->instance.guard, options->level + 1, options->levels.items,
                               options->levels.count, error);
    if (status == GAVEL_OK)
        start_timer(part);
    return status;
}

/* Give the instance the options of `config`; the old ones when it refuses. */
static int32_t apply(struct host_part *part, const struct host_instance_config *config, struct gavel_error *error)
{
    const struct host_instance_config *before = part->config;
    struct gavel_error ignored;
    int32_t status;

    part->instance.options = config->options;
    part->config = config;
    status = host_instance_reload(&part->instance, error);
    if (status == GAVEL_OK && config->kind == GAVEL_KIND_OBSERVER)
        status = host_part_observe(part, part, error);
    if (status == GAVEL_OK)
        return GAVEL_OK;
    part->instance.options = before->options;
    part->config = before;
    (void)host_instance_reload(&part->instance, &ignored);
    return status;
}

int32_t host_part_tune(struct host_part *part, struct host_setup *setup, const struct host_instance_config *config,
                       struct gavel_error *error)
{
    const struct host_instance_config *before = part->config;
    int32_t status = apply(part, config, error);

    if (status != GAVEL_OK)
        return status;
    setup->users++;
    part->was = before;
    part->was_tuned = part->tuned;
    part->tuned = setup;
    check(part);
    return GAVEL_OK;
}

void host_part_tuned(struct host_part *part)
{
    if (part->was_tuned)
        host_process_let_go(part->process, part->was_tuned);
    part->was_tuned = NULL;
    part->was = NULL;
}

int32_t host_part_untune(struct host_part *part, struct gavel_error *error)
{
    struct host_setup *undone = part->tuned;
    int32_t status = apply(part, part->was, error);

    if (status != GAVEL_OK)
        return status; /* it has the new ones, and its setup stays */
    part->tuned = part->was_tuned;
    part->was_tuned = NULL;
    part->was = NULL;
    host_process_let_go(part->process, undone);
    return GAVEL_OK;
}

static void quiet(void *context)
{
    struct host_part *part = context;

    assert(part->magic == PART_MAGIC);
    part->quiesced = true;
}

void host_part_quiesce(struct host_part *part)
{
    if (part->state == HOST_PART_MADE || part->state == HOST_PART_QUIET)
        return;
    host_part_move(part, HOST_PART_QUIET);
    host_instance_quiesce(&part->instance, quiet, part);
}

static void timer_closed(uv_handle_t *handle)
{
    struct host_part *part = handle->data;

    if (!part->instance.given_up) /* what was given up may still call, and is heard by its guard */
        free(part);
}

void host_part_free(struct host_part *part)
{
    struct host_process *process = part->process;
    struct host_setup *setups[] = {part->setup, part->tuned, part->was_tuned};
    unsigned at = 0;

    assert(part->magic == PART_MAGIC);
    while (process->part[at] != part)
        at++;
    memmove(&process->part[at], &process->part[at + 1], (--process->part_count - at) * sizeof process->part[0]);
    host_instance_destroy(&part->instance);
    part->magic = 0;
    for (unsigned i = 0; i < 3; i++)
        if (setups[i])
            host_process_let_go(process, setups[i]);
    if (part->timer_open)
        uv_close((uv_handle_t *)&part->timer, timer_closed);
    else if (!part->instance.given_up)
        free(part);
}
