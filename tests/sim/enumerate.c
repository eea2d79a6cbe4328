/* SPDX-License-Identifier: Apache-2.0 */
/* enumerate.c - all scenes, at every place; see enumerate.h. */
#define _GNU_SOURCE
#include "enumerate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "disk.h"
#include "run.h"

#define JOBS_MAX 64
#define SEED 1
#define SECONDS 3600 /* the first phase, which no scene ever leaves */

#define VARIANTS 3

static const char *const modes[ENUMERATE_MODES] = {"clean", "crash", "kill", "error", "memory"};
static const char *const variants[ENUMERATE_MODES][VARIANTS] = {
    [ENUMERATE_CLEAN] = {"any"},
    [ENUMERATE_CRASH] = {[SIM_DISK_ANY] = "any", [SIM_DISK_DROP] = "drop", [SIM_DISK_KEEP] = "keep"},
    [ENUMERATE_KILL] = {[POWER_LATE] = "late", [POWER_SOON] = "soon", [POWER_WITHIN] = "within"},
    [ENUMERATE_ERROR] = {"any"},
    [ENUMERATE_MEMORY] = {"any"}};
_Static_assert(sizeof((struct sim_report *)0)->counts == ENUMERATE_MODES * sizeof(uint64_t), "one for each mode");

struct job {
    struct sim_run run;
    struct enumerate_plan plan;
};

struct campaign {
    const struct enumerate_order *order;
    struct job jobs[JOBS_MAX];
    uint32_t only; /* enum enumerate_mode; CLEAN: all */
    uint64_t runs;
    uint64_t failures;
    uint64_t cpu_us;
    struct sim_totals met; /* by all disturbed runs of a scene together */
};

void enumerate_print(const struct enumerate_plan *plan, FILE *to)
{
    fprintf(to, "--enumerate %s:%s:%llu:%s", plan->scene->name, modes[plan->mode], (unsigned long long)plan->at,
            variants[plan->mode][plan->variant]);
}

static bool begin(struct campaign *campaign, struct job *job, const struct enumerate_plan *plan)
{
    struct sim_run_order order = {.seed = SEED,
                                  .seconds = SECONDS,
                                  .tracing = campaign->order->tracing,
                                  .bug = campaign->order->bug,
                                  .plan = &job->plan};

    job->plan = *plan;
    enumerate_options(plan, &order.options);
    return sim_run_begin(&job->run, &order);
}

static void end(struct campaign *campaign, struct job *job, int status, const struct rusage *usage, uint64_t *counts)
{
    sim_run_ended(&job->run, status,
                  (uint64_t)(usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec +
                             usage->ru_stime.tv_sec * 1000000 + usage->ru_stime.tv_usec));
    campaign->runs++;
    campaign->cpu_us += job->run.report->cpu_us;
    if (job->plan.mode != ENUMERATE_CLEAN) {
#define SIM_TOTAL_ADD(name) campaign->met.name += job->run.report->totals.name;
        SIM_TOTALS(SIM_TOTAL_ADD)
#undef SIM_TOTAL_ADD
    }
    if (job->run.report->outcome != SIM_PASSED) {
        campaign->failures++;
        sim_run_complain(&job->run, stdout);
    }
    if (counts)
        memcpy(counts, job->run.report->counts, sizeof job->run.report->counts);
    sim_run_close(&job->run);
}

/* Wait for one of them. */
static void reap(struct campaign *campaign, uint64_t *counts)
{
    struct rusage usage = {0};
    int status = 0;
    pid_t ended = wait4(-1, &status, 0, &usage);

    for (uint64_t i = 0; ended > 0 && i < JOBS_MAX; i++) {
        if (campaign->jobs[i].run.process == ended)
            end(campaign, &campaign->jobs[i], status, &usage, counts);
    }
}

static uint64_t running(const struct campaign *campaign)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < JOBS_MAX; i++)
        count += campaign->jobs[i].run.process != 0;
    return count;
}

static bool enough(const struct campaign *campaign)
{
    return campaign->order->failures_max && campaign->failures >= campaign->order->failures_max;
}

static bool submit(struct campaign *campaign, const struct enumerate_plan *plan)
{
    while (running(campaign) >= campaign->order->jobs)
        reap(campaign, NULL);
    for (uint64_t i = 0; i < JOBS_MAX; i++) {
        if (!campaign->jobs[i].run.process)
            return begin(campaign, &campaign->jobs[i], plan);
    }
    return false;
}

static bool one(struct campaign *campaign, const struct enumerate_plan *plan, uint64_t *counts)
{
    uint64_t before = campaign->failures;

    if (!begin(campaign, &campaign->jobs[0], plan))
        return false;
    reap(campaign, counts);
    return campaign->failures == before;
}

/* What one of the disturbed runs must have come to, where all of them were played: a few may well have missed it. */
static void met_somewhere(struct campaign *campaign, const struct enumerate_scene *scene)
{
    const char *at = scene->meets;
    uint64_t value, least;
    bool somewhere;
    char name[32];

    while (at && *at && !campaign->only && campaign->order->every <= 1 && !enough(campaign)) {
        at = enumerate_meets(at, name, &somewhere, &least);
        if (!at || !somewhere || !sim_total_named(&campaign->met, name, &value) || value >= least)
            continue; /* came_to has looked at the words */
        campaign->failures++;
        printf("FAILED scene %s: of all its runs together, %s must be %llu at the least, and is %llu\n", scene->name,
               name, (unsigned long long)least, (unsigned long long)value);
    }
}

/* Every place of one scene. */
static bool whole_scene(struct campaign *campaign, const struct enumerate_scene *scene)
{
    struct enumerate_plan plan = {.scene = scene};
    uint64_t counts[ENUMERATE_MODES] = {0};
    uint64_t before = campaign->failures;
    uint64_t cpu_before = campaign->cpu_us;
    uint64_t every = campaign->order->every ? campaign->order->every : 1;

    campaign->met = (struct sim_totals){0};
    if (!one(campaign, &plan, counts))
        return false;
    for (plan.mode = ENUMERATE_CRASH; plan.mode < ENUMERATE_MODES; plan.mode++) {
        if (campaign->only && plan.mode != campaign->only)
            continue;
        for (plan.variant = 0; plan.variant < VARIANTS && variants[plan.mode][plan.variant]; plan.variant++) {
            /* The places that a bounded run leaves out are others for each variant. */
            for (plan.at = 1 + plan.variant % every; plan.at <= counts[plan.mode] && !enough(campaign);
                 plan.at += every) {
                if (!submit(campaign, &plan))
                    return false;
            }
        }
    }
    while (running(campaign))
        reap(campaign, NULL);
    met_somewhere(campaign, scene);
    printf("%-24s %6llu operations %6llu calls %6llu allocations %4llu failures %5llu.%01llu CPU-seconds\n",
           scene->name,
           (unsigned long long)counts[ENUMERATE_CRASH], (unsigned long long)counts[ENUMERATE_ERROR],
           (unsigned long long)counts[ENUMERATE_MEMORY],
           (unsigned long long)(campaign->failures - before),
           (unsigned long long)((campaign->cpu_us - cpu_before) / 1000000),
           (unsigned long long)((campaign->cpu_us - cpu_before) / 100000 % 10));
    (void)fflush(stdout);
    return true;
}

static uint32_t find(const char *name, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return i;
    }
    return count;
}

static const struct enumerate_scene *scene_named(const char *name, size_t length)
{
    for (const struct enumerate_scene *scene = enumerate_scenes; scene->name; scene++) {
        if (strlen(scene->name) == length && memcmp(scene->name, name, length) == 0)
            return scene;
    }
    return NULL;
}

/* "NAME:MODE:AT:VARIANT". */
static bool read_plan(const char *which, struct enumerate_plan *plan)
{
    char mode[16];
    char variant[16];
    unsigned long long at;
    size_t length = strcspn(which, ":");

    plan->scene = scene_named(which, length);
    if (!plan->scene || sscanf(which + length, ":%15[a-z]:%llu:%15[a-z]", mode, &at, variant) != 3)
        return false;
    plan->mode = find(mode, modes, ENUMERATE_MODES);
    plan->at = at;
    if (plan->mode == ENUMERATE_MODES)
        return false;
    plan->variant = find(variant, variants[plan->mode], VARIANTS);
    return plan->variant < VARIANTS;
}

/* "NAME" or "NAME:MODE", NAME "all" or a scene's. */
static bool some_scenes(struct campaign *campaign)
{
    const char *which = campaign->order->which;
    size_t length = strcspn(which, ":");
    const struct enumerate_scene *named = scene_named(which, length);
    bool all = length == 3 && memcmp(which, "all", 3) == 0;
    bool good = true;

    if (which[length])
        campaign->only = find(which + length + 1, modes, ENUMERATE_MODES);
    if ((!named && !all) || campaign->only == ENUMERATE_MODES) {
        fprintf(stderr,
                "gavel-sim: no scene and mode are called '%s'; the modes are crash, kill, error, memory, the scenes:",
                which);
        for (const struct enumerate_scene *scene = enumerate_scenes; scene->name; scene++)
            fprintf(stderr, " %s", scene->name);
        (void)fputc('\n', stderr);
        return false;
    }
    for (const struct enumerate_scene *scene = enumerate_scenes; scene->name && good; scene++) {
        if (!named || named == scene)
            good = whole_scene(campaign, scene) && !enough(campaign);
    }
    printf("%llu runs, %llu failures, %llu.%03llu CPU-seconds, commit %s\n", (unsigned long long)campaign->runs,
           (unsigned long long)campaign->failures, (unsigned long long)(campaign->cpu_us / 1000000),
           (unsigned long long)(campaign->cpu_us / 1000 % 1000), sim_commit());
    return good && campaign->failures == 0;
}

bool enumerate_run(const struct enumerate_order *order)
{
    static struct campaign campaign;
    struct enumerate_plan plan = {0};

    campaign = (struct campaign){.order = order};
    if (read_plan(order->which, &plan))
        return one(&campaign, &plan, NULL);
    return some_scenes(&campaign);
}
