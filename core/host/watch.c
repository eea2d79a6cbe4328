/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - the looking thread, the handlers, and the last word.
 *
 * The thread keeps the time, so that entering a call costs no clock: it looks several times in the threshold, and what
 * it finds at hand under the same serial as before has not returned since. Of the loop it knows by a ping: a libuv
 * handle that answers when the loop turns.
 */
#define _GNU_SOURCE /* names of threads, the registers in a signal's context */

#include "core/host/watch.h"

#include "core/host/module.h"
#include "core/os/call.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define WATCH_MAGIC 0x4d1fa06bu
#define LOOKS 4             /* in the threshold: what is told is late by a quarter of it at the most */
#define LOOK_MS_MAX 250     /* and never later than this */
#define SIGNAL_STACK 32768u /* of the loop's thread, for a handler when its own stack is used up */
#define NS_PER_MS UINT64_C(1000000)

/* What was seen at one place. */
struct sight {
    uint64_t serial;
    uint64_t since; /* ns */
    uint64_t due;   /* ms after `since` that it is told again */
    bool told;
    struct os_call call;
};

struct host_watch {
    uint32_t magic;
    const struct gavel_host *host;
    uint64_t slow_ms;
    uv_async_t ping;
    _Atomic uint64_t asked;    /* pings sent */
    _Atomic uint64_t answered; /* and seen by the loop */
    bool closed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending; /* under the lock */
    _Atomic uint64_t deadline; /* ns; 0: none */
    struct sight sight[OS_CALL_PLACES];
    struct sight loop; /* of its turning */
};

static uint64_t now_ns(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * UINT64_C(1000000000) + (uint64_t)at.tv_nsec;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* The log waits for the loop and for the observers' lane: when one of them does not return, stderr is left. */
static void tell(const struct host_watch *watch, uint32_t place, const char *text)
{
    if (place == OS_CALL_LOOP || place == OS_LANE_OBSERVER)
        (void)fprintf(stderr, "%s%s\n", os_call_prefixed(), text);
    else
        gavel_log(watch->host, GAVEL_LOG_WARN, "host", "%s", text);
}

static void tell_slow(const struct host_watch *watch, uint32_t place, const struct sight *sight, uint64_t ms)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s, in %s: has not returned for %llu ms; the %s lane waits for it",
                   sight->call.who, sight->call.what, (unsigned long long)ms, os_call_lane_name(place));
    tell(watch, place, text);
}

static void tell_back(const struct host_watch *watch, const struct sight *sight, uint64_t now)
{
    gavel_log(watch->host, GAVEL_LOG_WARN, "host", "%s, in %s: returned after %llu ms", sight->call.who,
              sight->call.what, (unsigned long long)((now - sight->since) / NS_PER_MS));
}

/* One place of the table. */
static void look(struct host_watch *watch, uint32_t place, uint64_t now)
{
    struct os_call_place *at = &os_call_places[place];
    struct sight *sight = &watch->sight[place];
    uint64_t serial = atomic_load_explicit(&at->serial, memory_order_acquire);
    struct os_call call = {.who = atomic_load(&at->who), .what = atomic_load(&at->what)};
    uint64_t ms = (now - sight->since) / NS_PER_MS;

    if (serial != sight->serial) {
        if (sight->told)
            tell_back(watch, sight, now);
        *sight = (struct sight){.serial = serial, .since = now, .due = watch->slow_ms, .call = call};
        return;
    }
    if (!sight->call.who || ms < sight->due)
        return;
    tell_slow(watch, place, sight, ms);
    sight->told = true;
    sight->due *= 2;
}

/* Whether the loop turns. What it does not come back from is told by its place when that is a plugin's call. */
static void look_at_loop(struct host_watch *watch, uint64_t now)
{
    struct sight *loop = &watch->loop;
    uint64_t ms = (now - loop->since) / NS_PER_MS;
    char text[256];

    if (atomic_load(&watch->answered) == atomic_load(&watch->asked)) {
        if (loop->told)
            gavel_log(watch->host, GAVEL_LOG_WARN, "host", "The loop turns again after %llu ms",
                      (unsigned long long)ms);
        *loop = (struct sight){.since = now, .due = watch->slow_ms};
        (void)atomic_fetch_add(&watch->asked, 1);
        (void)uv_async_send(&watch->ping);
        return;
    }
    if (ms < loop->due)
        return;
    loop->due *= 2;
    if (watch->sight[OS_CALL_LOOP].call.who && watch->sight[OS_CALL_LOOP].told)
        return;
    loop->told = true;
    (void)snprintf(text, sizeof text,
                   "The loop has not turned for %llu ms, and is in no call of a plugin: a call-back of a plugin's or a "
                   "library's own, or a machine that is too slow", (unsigned long long)ms);
    tell(watch, OS_CALL_LOOP, text);
}

void host_watch_tell(void)
{
    for (uint32_t place = 0; place < OS_CALL_PLACES; place++) {
        const char *who = atomic_load(&os_call_places[place].who), *what = atomic_load(&os_call_places[place].what);

        if (who && what)
            (void)fprintf(stderr, "%s%s, in %s: has not returned; the %s lane waits for it\n", os_call_prefixed(), who,
                          what, os_call_lane_name(place));
    }
}

/* The loop itself may wait for a lane that never ends: so somebody else has to look at the clock. */
static void look_at_deadline(struct host_watch *watch, uint64_t now)
{
    uint64_t deadline = atomic_load(&watch->deadline);

    if (!deadline || now < deadline)
        return;
    host_watch_tell();
    (void)fputs("gaveld: the stop took too long and is cut short\n", stderr);
    _exit(EX_SOFTWARE);
}

void host_watch_deadline(struct host_watch *watch, uint64_t ms)
{
    if (watch)
        atomic_store(&watch->deadline, now_ns() + ms * NS_PER_MS);
}

static void *watch_main(void *argument)
{
    struct host_watch *watch = argument;
    uint64_t pause = watch->slow_ms / LOOKS < LOOK_MS_MAX ? watch->slow_ms / LOOKS : LOOK_MS_MAX;

    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        uint64_t now = now_ns(), until = now + (pause ? pause : 1) * NS_PER_MS;
        struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};

        (void)pthread_mutex_unlock(&watch->lock);
        for (uint32_t place = 0; place < OS_CALL_PLACES; place++)
            look(watch, place, now);
        look_at_loop(watch, now);
        look_at_deadline(watch, now);
        (void)pthread_mutex_lock(&watch->lock);
        if (!watch->ending)
            (void)pthread_cond_timedwait(&watch->wake, &watch->lock, &at);
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void answer(uv_async_t *ping)
{
    struct host_watch *watch = ping->data;

    assert(watch->magic == WATCH_MAGIC);
    atomic_store(&watch->answered, atomic_load(&watch->asked));
}

/* ---- crashes ----------------------------------------------------------------------------------------------------- */

static uintptr_t pc_of(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* In a handler: no stdio, no memory. */
static void put(const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t wrote = write(STDERR_FILENO, text, left);

        if (wrote <= 0)
            return;
        text += wrote;
        left -= (size_t)wrote;
    }
}

static void put_number(int number)
{
    char text[12];
    size_t at = sizeof text - 1;

    text[at] = 0;
    do
        text[--at] = (char)('0' + number % 10);
    while ((number /= 10) && at);
    put(text + at);
}

static void crashed(int number, siginfo_t *info, void *context)
{
    struct os_call call = os_call_now();
    const char *path = host_module_at((const void *)pc_of(context));

    (void)info;
    if (!os_call_blamed()) {
        put(os_call_prefixed());
        if (call.who) {
            put(call.who);
            put(", in ");
            put(call.what ? call.what : "?");
            put(": ");
        }
        put("signal ");
        put_number(number);
        put(number == SIGABRT ? " (abort)" : number == SIGSEGV ? " (segmentation fault)" : "");
        if (path) {
            put(" in the code of ");
            put(path);
        } else if (!call.who) {
            put(", in no call of a plugin");
        }
        put("; the node stops here\n");
    }
    (void)raise(number); /* SA_RESETHAND: what would have happened happens */
}

void host_watch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    static _Alignas(16) unsigned char memory[SIGNAL_STACK];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER | SA_ONSTACK};

    action.sa_sigaction = crashed;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static atomic_bool staying; /* nobody but gaveld ends the process */

static void leaving(void)
{
    struct os_call call = os_call_now();

    if (!atomic_load(&staying))
        return;
    put(os_call_prefixed());
    if (call.who) {
        put(call.who);
        put(", in ");
        put(call.what ? call.what : "?");
        put(": called exit() inside the node; the node stops here, as if it had crashed\n");
    } else {
        put("a plugin or a library called exit() inside the node; the node stops here, as if it had crashed\n");
    }
    _exit(EX_SOFTWARE);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool start_thread(struct host_watch *watch)
{
    pthread_condattr_t clock;
    sigset_t all, before;
    bool started;

    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->wake, &clock);
    (void)pthread_condattr_destroy(&clock);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&watch->thread, NULL, watch_main, watch) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        (void)pthread_setname_np(watch->thread, "gavel-watch");
    return started;
}

struct host_watch *host_watch_start(uv_loop_t *loop, const struct gavel_host *host, uint64_t slow_ms)
{
    static bool registered;
    struct host_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL;
    watch->magic = WATCH_MAGIC;
    watch->host = host;
    watch->slow_ms = slow_ms;
    watch->loop = (struct sight){.since = now_ns(), .due = slow_ms};
    if (uv_async_init(loop, &watch->ping, answer) != 0) {
        free(watch);
        return NULL;
    }
    watch->ping.data = watch;
    uv_unref((uv_handle_t *)&watch->ping);
    if (!registered && atexit(leaving) == 0)
        registered = true;
    if (!start_thread(watch)) {
        host_watch_stop(watch);
        return watch; /* without its thread: the rest of it is worth having */
    }
    atomic_store(&staying, true);
    return watch;
}

bool host_watch_owns(const struct host_watch *watch, const uv_handle_t *handle)
{
    return watch && handle == (const uv_handle_t *)&watch->ping;
}

static void ping_closed(uv_handle_t *handle)
{
    ((struct host_watch *)handle->data)->closed = true;
}

void host_watch_stop(struct host_watch *watch)
{
    if (!watch || uv_is_closing((uv_handle_t *)&watch->ping))
        return;
    assert(watch->magic == WATCH_MAGIC);
    if (atomic_exchange(&staying, false)) {
        (void)pthread_mutex_lock(&watch->lock);
        watch->ending = true;
        (void)pthread_cond_signal(&watch->wake);
        (void)pthread_mutex_unlock(&watch->lock);
        (void)pthread_join(watch->thread, NULL);
    }
    uv_close((uv_handle_t *)&watch->ping, ping_closed);
}

struct host_watch *host_watch_free(struct host_watch *watch)
{
    if (!watch)
        return NULL;
    assert(watch->magic == WATCH_MAGIC);
    assert(watch->closed);
    (void)pthread_cond_destroy(&watch->wake);
    (void)pthread_mutex_destroy(&watch->lock);
    watch->magic = 0;
    free(watch);
    return NULL;
}
