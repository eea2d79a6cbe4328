/* SPDX-License-Identifier: Apache-2.0 */
/* scout.c - see scout.h. */
#include "core/host/process.h"

#include "core/host/scout.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_MS 500 /* between two rounds, at first: pods and their names come within seconds of each other ... */
#define LAST_MS 5000 /* ... and after a while */

int host_scout_open(struct host_process *process)
{
    process->scout.timer.data = process;
    return uv_timer_init(&process->loop, &process->scout.timer);
}

/* On a thread of the pool. */
static void ask(uv_work_t *work)
{
    struct host_scout_round *round = work->data;

    for (unsigned i = 0; i < round->count; i++)
        round->status[i] = host_source_ask(&round->source[i], round->scheme, round->server, &round->found,
                                           &round->error[i]);
}

/* Said once, and once more when it is well again. */
static void tell(struct host_process *process)
{
    struct host_scout *scout = &process->scout;
    const struct gavel_host *host = &process->node_face.host;

    for (unsigned i = 0; i < scout->round->count; i++) {
        bool failed = scout->round->status[i] != GAVEL_OK;

        if (failed && !scout->failed[i])
            gavel_log(host, GAVEL_LOG_WARN, "discover", "%s: nobody is found: %s; it is asked again until somebody is",
                      scout->round->source[i].text, scout->round->error[i].text);
        else if (!failed && scout->failed[i])
            gavel_log(host, GAVEL_LOG_INFO, "discover", "%s: is answered now", scout->round->source[i].text);
        scout->failed[i] = failed;
    }
}

static void begin(uv_timer_t *timer);

static void answered(uv_work_t *work, int cancelled)
{
    struct host_scout_round *round = work->data;
    struct host_process *process = round->process;
    const char *seeds[HOST_FOUND_MAX];

    if (!process || cancelled) {
        free(round);
        return;
    }
    process->scout.asking = false;
    tell(process);
    for (uint32_t i = 0; i < round->found.count; i++)
        seeds[i] = round->found.uri[i];
    node_seeds(process->node, seeds, round->found.count);
    (void)uv_timer_start(&process->scout.timer, begin, process->scout.wait_ms, 0);
    process->scout.wait_ms = process->scout.wait_ms * 2 < LAST_MS ? process->scout.wait_ms * 2 : LAST_MS;
}

static void add_seeds(struct host_scout_round *round, const struct host_config *config)
{
    const struct gavel_slice *seeds = config->cluster.seeds.items;

    round->found.count = 0;
    for (uint64_t i = 0; i < config->cluster.seeds.count && i < HOST_FOUND_MAX; i++)
        (void)snprintf(round->found.uri[round->found.count++], HOST_FOUND_BYTES, "%s", (const char *)seeds[i].data);
}

static void begin(uv_timer_t *timer)
{
    struct host_process *process = timer->data;
    struct host_scout *scout = &process->scout;

    if (process->stopping || node_formed(process->node))
        return; /* for good: the timer is not started again */
    add_seeds(scout->round, &process->first->config);
    scout->round->work.data = scout->round;
    scout->asking = uv_queue_work(&process->loop, &scout->round->work, ask, answered) == 0;
    if (!scout->asking)
        (void)uv_timer_start(timer, begin, LAST_MS, 0);
}

/* What a name's addresses speak, unless the source says it: as the first transport. */
static void choose_scheme(const struct host_config *config, struct host_scout_round *round)
{
    for (unsigned i = 0; i < config->instance_count && !round->scheme[0]; i++)
        if (config->instance[i].kind == GAVEL_KIND_TRANSPORT && config->instance[i].listen_count)
            (void)snprintf(round->scheme, sizeof round->scheme, "%.*s",
                           (int)strcspn(config->instance[i].listen[0], ":"), config->instance[i].listen[0]);
}

void host_scout_start(struct host_process *process)
{
    const struct host_config *config = &process->first->config;
    struct host_scout *scout = &process->scout;

    if (config->source_count == 0 || node_formed(process->node))
        return;
    scout->round = calloc(1, sizeof *scout->round);
    if (!scout->round)
        return;
    scout->round->process = process;
    scout->round->count = config->source_count;
    memcpy(scout->round->source, config->source, sizeof scout->round->source);
    scout->round->server = config->cluster.discover_server.size ? config->cluster.discover_server.data : NULL;
    choose_scheme(config, scout->round);
    scout->wait_ms = FIRST_MS;
    begin(&scout->timer);
}

bool host_scout_stop(struct host_process *process)
{
    struct host_scout *scout = &process->scout;
    bool asks = scout->asking && uv_cancel((uv_req_t *)&scout->round->work) != 0;

    (void)uv_timer_stop(&scout->timer);
    if (scout->round && asks)
        scout->round->process = NULL;
    else if (!scout->asking)
        free(scout->round);
    scout->round = NULL;
    return asks;
}
