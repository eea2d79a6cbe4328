/* SPDX-License-Identifier: Apache-2.0 */
/* campaign.c - many seeds; see campaign.h. */
#define _GNU_SOURCE
#include "campaign.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define TWICE_EVERY 100
#define WORLDS 100 /* in one process: if one of them has left something behind, not too many are looked at */
#define FLOOR_SECONDS UINT64_C(300000) /* floors are for so many simulated seconds: 1,000 seeds of five minutes */

bool campaign_order(const struct campaign *campaign, uint64_t seed, struct sim_run_order *order)
{
    *order = (struct sim_run_order){.seed = seed,
                                    .seconds = campaign->seconds,
                                    .tracing = campaign->tracing,
                                    .twice = campaign->twice || seed % TWICE_EVERY == 0,
                                    .inside = campaign->inside,
                                    .bug = campaign->bug};
    sim_options_draw(&order->options, seed);
    order->options.correlated = campaign->correlated;
    for (uint32_t i = 0; i < campaign->set_count; i++)
        if (!sim_options_set(&order->options, campaign->sets[i]))
            return false;
    return true;
}

/* A failure in the memory of other worlds must be the same in memory of its own. */
static void confirm(const struct sim_run *run)
{
    struct sim_report alone = {0};

    if (!run->warm || strcmp(run->report->invariant, "hang") == 0 || !sim_run_whole(&run->order, &alone))
        return;
    if (alone.outcome != run->report->outcome || alone.trace_hash != run->report->trace_hash)
        printf("FAILED determinism: it has another end in a process of its own: a world before it has left something "
               "behind\n");
}

static void add(struct campaign *campaign, struct sim_run *run)
{
    const struct sim_report *report = run->report;

    campaign->runs++;
    campaign->cpu_us += report->cpu_us;
    campaign->sim_ns += report->sim_ns;
    campaign->trace_sum += report->trace_hash;
#define SIM_TOTAL_ADD(name) campaign->totals.name += report->totals.name;
    SIM_TOTALS(SIM_TOTAL_ADD)
#undef SIM_TOTAL_ADD
    if (report->outcome != SIM_PASSED) {
        campaign->failures++;
        sim_run_complain(run, stdout);
        confirm(run);
    }
}

/* ---- workers ------------------------------------------------------------------------------------------- */

struct worker {
    struct sim_run run; /* its process: 0 when there is none */
    bool busy;
};

/* Its process has ended, or is about to: returns the status, and the CPU time that it took. */
static int collect(struct worker *worker, uint64_t *cpu_us)
{
    struct rusage usage = {0};
    int status = 0;

    while (wait4(worker->run.process, &status, 0, &usage) < 0)
        if (errno != EINTR)
            break;
    *cpu_us = (uint64_t)(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000 +
                         usage.ru_stime.tv_usec);
    return status;
}

/* A seed for whoever has none. */
static bool employ(struct campaign *campaign, struct worker *worker, uint64_t seed)
{
    struct sim_run_order order;

    if (!campaign_order(campaign, seed, &order))
        return false;
    if (worker->run.process)
        return worker->busy = sim_run_next(&worker->run, &order);
    if (!sim_run_hire(&worker->run, &order, WORLDS))
        return false;
    worker->busy = !order.inside;
    if (order.inside) {
        add(campaign, &worker->run);
        sim_run_close(&worker->run);
    }
    return true;
}

/* Its seed is over. */
static void finish(struct campaign *campaign, struct worker *worker)
{
    uint64_t cpu_us;
    int status;

    worker->busy = false;
    if (sim_run_passed(&worker->run)) {
        add(campaign, &worker->run);
        return;
    }
    status = collect(worker, &cpu_us);
    sim_run_ended(&worker->run, status, cpu_us);
    add(campaign, &worker->run);
    sim_run_close(&worker->run);
}

/* Nothing more to do: what a worker took beside its seeds counts as well. */
static void dismiss(struct campaign *campaign, struct worker *worker)
{
    uint64_t cpu_us;
    uint64_t counted = worker->run.before_us;

    if (!worker->run.process)
        return;
    counted += worker->run.report->cpu_us;
    sim_run_close(&worker->run);
    (void)collect(worker, &cpu_us);
    campaign->cpu_us += cpu_us > counted ? cpu_us - counted : 0;
    worker->run.process = 0;
}

/* Wait until at least one of them is over with its seed. */
static void reap(struct campaign *campaign, struct worker *workers)
{
    struct pollfd links[CAMPAIGN_JOBS_MAX];

    for (uint64_t i = 0; i < campaign->jobs; i++)
        links[i] = (struct pollfd){.fd = workers[i].busy ? workers[i].run.link : -1, .events = POLLIN};
    if (poll(links, campaign->jobs, -1) <= 0)
        return;
    for (uint64_t i = 0; i < campaign->jobs; i++)
        if (links[i].revents)
            finish(campaign, &workers[i]);
}

/* Asked to end (SIGTERM, as timeout(1) does): no new seeds, and the totals of those that have run. */
static volatile sig_atomic_t asked_to_end;

static void on_term(int number)
{
    (void)number;
    asked_to_end = 1;
}

static bool has_enough(const struct campaign *campaign)
{
    return asked_to_end || (campaign->failures_max && campaign->failures >= campaign->failures_max);
}

static bool run_all(struct campaign *campaign)
{
    struct sigaction action = {.sa_handler = on_term};
    static struct worker workers[CAMPAIGN_JOBS_MAX];
    uint64_t seed = campaign->first;
    uint64_t running;
    bool good = true;

    memset(workers, 0, sizeof workers);
    (void)sigaction(SIGTERM, &action, NULL);
    do {
        running = 0;
        for (uint64_t i = 0; i < campaign->jobs; i++) {
            bool is_left = seed <= campaign->last && seed >= campaign->first;

            if (!workers[i].busy && is_left && !has_enough(campaign) && good)
                good = employ(campaign, &workers[i], seed++);
            running += workers[i].busy;
        }
        if (running)
            reap(campaign, workers);
    } while (running || (seed <= campaign->last && seed > campaign->first && good && !has_enough(campaign)));
    for (uint64_t i = 0; i < campaign->jobs; i++)
        dismiss(campaign, &workers[i]);
    (void)signal(SIGTERM, SIG_DFL);
    return good;
}

static void print_totals(const struct campaign *campaign)
{
    uint64_t column = 0;

    printf("%llu seeds, %llu simulated seconds, %llu.%03llu CPU-seconds, %llu failures, commit %s\n",
           (unsigned long long)campaign->runs, (unsigned long long)(campaign->sim_ns / SIM_S),
           (unsigned long long)(campaign->cpu_us / 1000000), (unsigned long long)(campaign->cpu_us / 1000 % 1000),
           (unsigned long long)campaign->failures, sim_commit());
#define SIM_TOTAL_PRINT(name)                                                                                       \
    printf("  %-20s %12llu%s", #name, (unsigned long long)campaign->totals.name, ++column % 3 ? "" : "\n");
    SIM_TOTALS(SIM_TOTAL_PRINT)
#undef SIM_TOTAL_PRINT
    if (column % 3)
        (void)putchar('\n');
    if (campaign->cpu_us)
        printf("  %llu events a CPU-second, %llu simulated seconds a CPU-second\n",
               (unsigned long long)(campaign->totals.events * 1000000 / campaign->cpu_us),
               (unsigned long long)(campaign->sim_ns / 1000 / campaign->cpu_us));
    printf("  traces %016llx\n", (unsigned long long)campaign->trace_sum);
}

/* Lines "name least [seconds]": what 1,000 seeds of five minutes must reach, scaled to what was run; with `seconds`,
 * only where each seed has so many; all of these by the share that --share says. "name N%": so many of a hundred seeds,
 * however long; "name <N%": at the most. */
static bool check_floors(const struct campaign *campaign)
{
    FILE *file = fopen(campaign->floors, "r");
    uint64_t share = campaign->share ? campaign->share : 100;
    bool good = file != NULL;
    char line[256];

    if (!file)
        fprintf(stderr, "gavel-sim: %s: %s\n", campaign->floors, strerror(errno));
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long least = 0;
        unsigned long long seconds = 0;
        char name[64];
        char percent = 0;
        uint64_t got = 0;
        bool known;

        if (sscanf(line, "%63s <%llu%c", name, &least, &percent) == 3 && percent == '%') {
            known = sim_total_named(&campaign->totals, name, &got);
            if (!known || got > least * campaign->runs / 100) {
                printf("FLOOR %s: %llu are more than %llu%% of the seeds\n", name, (unsigned long long)got, least);
                good = false;
            }
            continue;
        }
        if (line[0] == '#' || sscanf(line, "%63s %llu %llu", name, &least, &seconds) < 2 || campaign->seconds < seconds)
            continue;
        known = sim_total_named(&campaign->totals, name, &got);
        if (sscanf(line, "%*s %*u%c", &percent) == 1 && percent == '%')
            least = least * campaign->runs / 100;
        else
            least = least * campaign->runs * campaign->seconds * share / 100 / FLOOR_SECONDS;
        if (!known || got < least) {
            printf(known ? "FLOOR %s: %llu are fewer than %llu\n" : "FLOOR %s: there is no such total\n", name,
                   (unsigned long long)got, least);
            good = false;
        }
    }
    if (file)
        (void)fclose(file);
    return good;
}

const char *campaign_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return "address";
#elif defined(__SANITIZE_THREAD__)
    return "thread";
#else
    return "none";
#endif
}

static void write_ledger(const struct campaign *campaign)
{
    FILE *file = fopen(campaign->ledger, "a");
#ifdef GAVEL_SEEDED_BUGS
    const char *bug = campaign->bug ? campaign->bug : getenv("GAVEL_BUG");
#else
    const char *bug = NULL;
#endif
    time_t now = time(NULL);
    struct tm at;
    char date[32] = "";

    if (!file) {
        fprintf(stderr, "gavel-sim: %s: %s\n", campaign->ledger, strerror(errno));
        return;
    }
    if (gmtime_r(&now, &at))
        (void)strftime(date, sizeof date, "%Y-%m-%d", &at);
    fprintf(file, "%s %s %llu..%llu seconds=%llu%s%s", date, sim_commit(), (unsigned long long)campaign->first,
            (unsigned long long)(campaign->first + campaign->runs - 1), (unsigned long long)campaign->seconds,
            campaign->correlated ? " correlated" : "", campaign->twice ? " twice" : "");
    if (bug)
        fprintf(file, " bug=%s", bug);
    if (strcmp(campaign_sanitizer(), "none") != 0)
        fprintf(file, " sanitizer=%s", campaign_sanitizer());
    for (uint32_t i = 0; i < campaign->set_count; i++)
        fprintf(file, " %s", campaign->sets[i]);
    fprintf(file, " cpu_s=%llu events=%llu failures=%llu\n", (unsigned long long)(campaign->cpu_us / 1000000),
            (unsigned long long)campaign->totals.events, (unsigned long long)campaign->failures);
    (void)fclose(file);
}

bool campaign_run(struct campaign *campaign)
{
    bool good = run_all(campaign);

    if (!campaign->quiet)
        print_totals(campaign);
    if (campaign->ledger)
        write_ledger(campaign);
    if (good && campaign->floors)
        good = check_floors(campaign);
    return good && campaign->failures == 0 && campaign->runs > 0;
}
