/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - one run of one world in a process of its own; see run.h. */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "commit.h"
#include "core/os/seeded.h"
#include "enumerate.h"
#include "guard.h"
#include "lies.h"
#include "world.h"

#define CPU_S 120        /* a run may take so much, and ... */
#define CPU_S_MINUTE 60  /* ... so much more for each simulated minute: sanitizers take ten times as long */
#define WORDS_MAX 16384  /* of a process's last words */

static struct sim_report *report_here; /* of the run in this process */

const char *sim_commit(void)
{
    return SIM_COMMIT;
}

bool sim_total_named(const struct sim_totals *totals, const char *name, uint64_t *value)
{
#define SIM_TOTAL_FIND(field)                                                                                       \
    if (strcmp(name, #field) == 0)                                                                                  \
        return *value = totals->field, true;
    SIM_TOTALS(SIM_TOTAL_FIND)
#undef SIM_TOTAL_FIND
    return false;
}

void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
{
    struct sim_report *report = report_here;
    va_list arguments;

    guard_off();
    va_start(arguments, format);
    (void)snprintf(report->invariant, sizeof report->invariant, "%s", invariant);
    (void)vsnprintf(report->sentence, sizeof report->sentence, format, arguments);
    va_end(arguments);
    report->totals = sim->totals;
    report->sim_ns = sim->now;
    report->trace_hash = sim->trace_hash;
    report->outcome = SIM_FAILED;
    sim->failed = true;
    if (sim->tracing)
        printf("%s: %s\n", invariant, report->sentence);
    (void)fflush(NULL);
    if (getenv("GAVEL_SIM_ABORT")) /* to look around in a debugger */
        abort();
    _exit(1);
}

static void run_once(const struct sim_run_order *order, bool looks_at_all, struct sim_report *report)
{
    struct sim *sim;

    arena_world_begins();
    sim = sim_new(order->seed, &order->options, order->seconds, order->tracing);
    sim->looks_at_all = looks_at_all;
    if (order->plan)
        enumerate_play(sim, order->plan, report->counts);
    else if (order->lie)
        lies_play(sim, order->lie);
    else
        sim_run(sim);
    report->totals = sim->totals;
    report->sim_ns = sim->now;
    report->trace_hash = sim->trace_hash;
    sim_free(sim);
    arena_world_ends();
}

static void run_here(const struct sim_run_order *order, struct sim_report *report)
{
    uint64_t first;

    report_here = report;
#ifdef GAVEL_SEEDED_BUGS
    seeded_choose(order->bug ? order->bug : getenv("GAVEL_BUG")); /* now, since nobody may look later */
#endif
    run_once(order, false, report);
    if (order->twice) {
        first = report->trace_hash;
        run_once(order, true, report); /* nothing may hang on what a node leaves out (core/node/settle.h), either */
        if (report->trace_hash != first) {
            (void)snprintf(report->invariant, sizeof report->invariant, "determinism");
            (void)snprintf(report->sentence, sizeof report->sentence,
                           "a second run of the same seed left another trace");
            report->outcome = SIM_FAILED;
            return;
        }
    }
    report->outcome = SIM_PASSED;
}

/* ---- processes ----------------------------------------------------------------------------------------- */

static uint64_t cpu_us(void)
{
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000 +
                      usage.ru_stime.tv_usec);
}

static void limit_cpu(const struct sim_run *run)
{
    struct rlimit limit = {.rlim_cur = CPU_S + CPU_S_MINUTE * (run->order.seconds / 60 + 1), .rlim_max = RLIM_INFINITY};

    limit.rlim_cur += cpu_us() / 1000000;
    (void)setrlimit(RLIMIT_CPU, &limit);
}

/* This one has passed: wait for another. False: there is none. */
static bool next_order(struct sim_run *run, int link)
{
    (void)fflush(NULL);
    if (run->output >= 0 && (ftruncate(run->output, 0) || lseek(run->output, 0, SEEK_SET)))
        return false;
    return write(link, "", 1) == 1 && read(link, &run->order, sizeof run->order) == (ssize_t)sizeof run->order;
}

static void in_child(struct sim_run *run, int link)
{
    struct rlimit none = {0};
    uint64_t before = 0;

    (void)signal(SIGTERM, SIG_IGN); /* who asks the campaign to end asks its whole group: this seed ends by itself */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &none);
    if (run->output >= 0) {
        (void)dup2(run->output, STDOUT_FILENO);
        (void)dup2(run->output, STDERR_FILENO);
    }
    if (run->worlds > 1)
        arena_many_worlds();
    do {
        limit_cpu(run);
        run_here(&run->order, run->report);
        run->report->cpu_us = cpu_us() - before;
        before += run->report->cpu_us;
    } while (run->report->outcome == SIM_PASSED && run->worlds-- > 1 && next_order(run, link));
    exit(run->report->outcome == SIM_PASSED ? 0 : 1); /* not _exit: leaks are looked for */
}

static bool begin(struct sim_run *run, const struct sim_run_order *order, uint64_t worlds)
{
    int links[2] = {-1, -1};

    *run = (struct sim_run){.order = *order, .output = -1, .link = -1, .worlds = worlds};
    run->report = mmap(NULL, sizeof *run->report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->report == MAP_FAILED) {
        fprintf(stderr, "gavel-sim: no memory: %s\n", strerror(errno));
        return false;
    }
    if (order->inside) {
        run_here(order, run->report);
        return true;
    }
    if (worlds && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, links)) {
        fprintf(stderr, "gavel-sim: no link to a worker: %s\n", strerror(errno));
        return false;
    }
    if (!order->tracing)
        run->output = memfd_create("gavel-sim", MFD_CLOEXEC);
    (void)fflush(NULL);
    run->process = fork();
    if (run->process == 0)
        in_child(run, links[1]);
    if (worlds)
        (void)close(links[1]);
    run->link = links[0];
    if (run->process > 0)
        return true;
    fprintf(stderr, "gavel-sim: no process: %s\n", strerror(errno));
    run->process = 0;
    return false;
}

bool sim_run_begin(struct sim_run *run, const struct sim_run_order *order)
{
    return begin(run, order, 0);
}

bool sim_run_hire(struct sim_run *run, const struct sim_run_order *order, uint64_t worlds)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    worlds = 1;
#endif
    return begin(run, order, worlds);
}

bool sim_run_next(struct sim_run *run, const struct sim_run_order *order)
{
    run->order = *order;
    run->warm = true;
    run->before_us += run->report->cpu_us;
    *run->report = (struct sim_report){0};
    if (send(run->link, order, sizeof *order, MSG_NOSIGNAL) == (ssize_t)sizeof *order)
        return true;
    fprintf(stderr, "gavel-sim: a worker is gone: %s\n", strerror(errno));
    return false;
}

bool sim_run_passed(struct sim_run *run)
{
    char byte;

    return recv(run->link, &byte, sizeof byte, 0) == (ssize_t)sizeof byte;
}

void sim_run_ended(struct sim_run *run, int status, uint64_t whole_us)
{
    struct sim_report *report = run->report;

    run->process = 0;
    report->cpu_us = whole_us > run->before_us ? whole_us - run->before_us : 0;
    if (report->outcome == SIM_FAILED || (report->outcome == SIM_PASSED && WIFEXITED(status) && !WEXITSTATUS(status)))
        return;
    report->outcome = SIM_FAILED;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)) {
        (void)snprintf(report->invariant, sizeof report->invariant, "hang");
        (void)snprintf(report->sentence, sizeof report->sentence, "it took %llu CPU-seconds without an end",
                       (unsigned long long)(report->cpu_us / 1000000));
    } else {
        (void)snprintf(report->invariant, sizeof report->invariant, "crash");
        (void)snprintf(report->sentence, sizeof report->sentence, "the process ended with %s %d",
                       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

bool sim_run_whole(const struct sim_run_order *order, struct sim_report *report)
{
    struct sim_run run;
    struct rusage usage;
    int status;

    if (!sim_run_begin(&run, order))
        return false;
    while (run.process && wait4(run.process, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return false;
    if (run.process)
        sim_run_ended(&run, status, (uint64_t)(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec));
    *report = *run.report;
    sim_run_close(&run);
    return true;
}

void sim_run_close(struct sim_run *run)
{
    if (run->output >= 0)
        (void)close(run->output);
    if (run->link >= 0) {
        (void)shutdown(run->link, SHUT_RDWR); /* workers that came later hold it as well */
        (void)close(run->link);
    }
    (void)munmap(run->report, sizeof *run->report);
    run->report = NULL;
    run->output = run->link = -1;
}

void sim_run_print_order(const struct sim_run_order *order, FILE *to)
{
    if (order->plan) {
        enumerate_print(order->plan, to);
        (void)fputc('\n', to);
        return;
    }
    fprintf(to, "--seed %llu --seconds %llu", (unsigned long long)order->seed, (unsigned long long)order->seconds);
    if (order->twice)
        fprintf(to, " --twice");
    if (order->bug)
        fprintf(to, " --bug %s", order->bug);
    sim_options_print(&order->options, order->seed, to);
}

void sim_run_complain(const struct sim_run *run, FILE *to)
{
    static char words[WORDS_MAX];
    off_t size = run->output >= 0 ? lseek(run->output, 0, SEEK_END) : 0;
    off_t from = size > WORDS_MAX ? size - WORDS_MAX : 0;
    ssize_t got = size > 0 ? pread(run->output, words, sizeof words, from) : 0;

    if (got > 0)
        (void)fwrite(words, 1, (size_t)got, to);
    fprintf(to, "FAILED seed %llu: %s: %s\n  at %llu.%03llu simulated seconds, commit %s\n  gavel-sim --trace ",
            (unsigned long long)run->order.seed, run->report->invariant, run->report->sentence,
            (unsigned long long)(run->report->sim_ns / SIM_S),
            (unsigned long long)(run->report->sim_ns % SIM_S / SIM_MS), sim_commit());
    sim_run_print_order(&run->order, to);
    (void)fflush(to);
}
