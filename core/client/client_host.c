/* SPDX-License-Identifier: Apache-2.0 */
/* client_host.c - the services of gavel/host.h over one libuv loop: see client_host.h. */
#include "client_host.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "core/codec/value.h"

#define TIMER_MAGIC 0x6c63746du
#define WORK_MAGIC 0x6c63776bu

struct gavel_timer {
    uint32_t magic;
    uv_timer_t timer;
    void (*fire)(void *context);
    void *context;
};

/* What deliver queues; made and freed here. */
struct host_delivery {
    struct client_job job;
    void (*call)(void *context);
    void *context;
};

struct host_work {
    uint32_t magic;
    uv_work_t work;
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

uint64_t client_host_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t client_host_random(uint64_t bound)
{
    uint64_t number = 0;

    assert(bound > 0);
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = client_host_now() * UINT64_C(0x9fb21c651e98df25) >> 20; /* jitter only: nothing secret hangs on it */
    return number % bound;
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

static void service_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    struct client_host *host = self;
    char line[1152];

    if (!host->log)
        return;
    (void)snprintf(line, sizeof line, "%s: %.*s", module, (int)(text.size < 1024 ? text.size : 1024),
                   (const char *)text.data);
    host->log(host->log_context, level, line);
}

static uint64_t service_monotonic_ns(void *self)
{
    (void)self;
    return uv_hrtime();
}

static uint64_t service_wall_ms(void *self)
{
    struct timespec now;

    (void)self;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void service_random(void *self, void *bytes, uint64_t size)
{
    unsigned char *at = bytes;

    (void)self;
    while (size > 0) {
        size_t wanted = size < 256 ? size : 256; /* so much getrandom gives without being interrupted */
        ssize_t got = getrandom(at, wanted, 0);

        assert(got > 0);
        at += got;
        size -= (uint64_t)got;
    }
}

static void timer_fired(uv_timer_t *handle)
{
    struct gavel_timer *timer = handle->data;

    assert(timer->magic == TIMER_MAGIC);
    timer->fire(timer->context);
}

static struct gavel_timer *service_timer_new(void *self, void (*fire)(void *context), void *context)
{
    struct client_host *host = self;
    struct gavel_timer *timer = calloc(1, sizeof *timer);

    if (!timer)
        return NULL;
    (void)uv_timer_init(&host->loop, &timer->timer); /* cannot fail */
    timer->magic = TIMER_MAGIC;
    timer->timer.data = timer;
    timer->fire = fire;
    timer->context = context;
    return timer;
}

static void service_timer_start(void *self, struct gavel_timer *timer, uint64_t milliseconds)
{
    struct client_host *host = self;

    assert(timer->magic == TIMER_MAGIC);
    uv_update_time(&host->loop); /* a long callback before this one would make the timer early */
    (void)uv_timer_start(&timer->timer, timer_fired, milliseconds, 0);
}

static void service_timer_stop(void *self, struct gavel_timer *timer)
{
    (void)self;
    assert(timer->magic == TIMER_MAGIC);
    (void)uv_timer_stop(&timer->timer);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void service_timer_free(void *self, struct gavel_timer *timer)
{
    (void)self;
    if (!timer)
        return;
    assert(timer->magic == TIMER_MAGIC);
    timer->magic = 0;
    uv_close((uv_handle_t *)&timer->timer, timer_closed);
}

static void delivery_run(struct client_job *job)
{
    struct host_delivery *delivery = os_container(job, struct host_delivery, job);
    void (*call)(void *context) = delivery->call;
    void *context = delivery->context;

    free(delivery);
    call(context);
}

static int32_t service_deliver(void *self, void (*call)(void *context), void *context)
{
    struct host_delivery *delivery = calloc(1, sizeof *delivery);
    int32_t status;

    if (!delivery)
        return GAVEL_E_NO_MEMORY;
    delivery->job.run = delivery_run;
    delivery->call = call;
    delivery->context = context;
    status = client_host_post(self, &delivery->job);
    if (status != GAVEL_OK)
        free(delivery);
    return status;
}

static void service_wake(void *self)
{
    struct client_host *host = self;

    (void)uv_async_send(&host->bell);
}

static void work_run(uv_work_t *request)
{
    struct host_work *work = request->data;

    assert(work->magic == WORK_MAGIC);
    work->run(work->context);
}

static void work_done(uv_work_t *request, int status)
{
    struct host_work *work = request->data;

    (void)status; /* never cancelled */
    assert(work->magic == WORK_MAGIC);
    work->done(work->context);
    work->magic = 0;
    free(work);
}

static int32_t service_submit(void *self, void (*run)(void *context), void (*done)(void *context), void *context)
{
    struct client_host *host = self;
    struct host_work *work = calloc(1, sizeof *work);

    if (!work)
        return GAVEL_E_NO_MEMORY;
    work->magic = WORK_MAGIC;
    work->work.data = work;
    work->run = run;
    work->done = done;
    work->context = context;
    (void)uv_queue_work(&host->loop, &work->work, work_run, work_done); /* fails only without a function */
    return GAVEL_OK;
}

/* ---- the inbox and the thread ------------------------------------------------------------------------------------ */

static void bell_rang(uv_async_t *bell)
{
    struct client_host *host = bell->data;
    struct os_list batch;
    struct os_list *link;

    assert(host->magic == CLIENT_HOST_MAGIC);
    os_list_init(&batch);
    pthread_mutex_lock(&host->lock);
    while ((link = os_list_pop(&host->inbox)) != NULL)
        os_list_push(&batch, link);
    host->waiting = 0;
    pthread_mutex_unlock(&host->lock);
    while ((link = os_list_pop(&batch)) != NULL) {
        struct client_job *job = os_container(link, struct client_job, link);

        job->run(job);
    }
}

static int32_t post(struct client_host *host, struct client_job *job, uint32_t bound)
{
    int32_t status = GAVEL_OK;
    bool first = false;

    assert(host->magic == CLIENT_HOST_MAGIC);
    pthread_mutex_lock(&host->lock);
    if (host->closed) {
        status = GAVEL_E_CLOSED;
    } else if (host->waiting >= bound) {
        status = GAVEL_E_BUSY;
    } else {
        first = host->waiting++ == 0;
        os_list_push(&host->inbox, &job->link);
    }
    pthread_mutex_unlock(&host->lock);
    if (first)
        (void)uv_async_send(&host->bell);
    return status;
}

int32_t client_host_post(struct client_host *host, struct client_job *job)
{
    return post(host, job, CLIENT_HOST_INBOX);
}

void client_host_later(struct client_host *host, struct client_job *job)
{
    (void)post(host, job, UINT32_MAX);
}

static void services_fill(struct client_host *host)
{
    struct gavel_host *services = &host->services;

    services->size = GAVEL_END(struct gavel_host, submit);
    services->self = host;
    services->abi_major = GAVEL_ABI_MAJOR;
    services->abi_minor = GAVEL_ABI_MINOR;
    services->node = "";
    services->instance = "";
    services->loop = &host->loop;
    services->heap = &codec_heap;
    services->log = service_log;
    services->monotonic_ns = service_monotonic_ns;
    services->wall_ms = service_wall_ms;
    services->random = service_random;
    services->timer_new = service_timer_new;
    services->timer_start = service_timer_start;
    services->timer_stop = service_timer_stop;
    services->timer_free = service_timer_free;
    services->deliver = service_deliver;
    services->wake = service_wake;
    services->submit = service_submit;
}

int32_t client_host_init(struct client_host *host, struct gavel_error *error)
{
    int failed;

    memset(host, 0, sizeof *host);
    failed = uv_loop_init(&host->loop);
    if (failed)
        return gavel_fail(error, GAVEL_E_IO, "cannot make an event loop: %s", uv_strerror(failed));
    failed = uv_async_init(&host->loop, &host->bell, bell_rang);
    if (failed) {
        (void)uv_loop_close(&host->loop);
        return gavel_fail(error, GAVEL_E_IO, "cannot make an event loop: %s", uv_strerror(failed));
    }
    (void)pthread_mutex_init(&host->lock, NULL);
    os_list_init(&host->inbox);
    host->bell.data = host;
    host->magic = CLIENT_HOST_MAGIC;
    services_fill(host);
    return GAVEL_OK;
}

static void *host_thread(void *context)
{
    struct client_host *host = context;

    (void)uv_run(&host->loop, UV_RUN_DEFAULT);
    return NULL;
}

int32_t client_host_start(struct client_host *host, struct gavel_error *error)
{
    sigset_t all;
    sigset_t before;
    int failed;

    assert(host->magic == CLIENT_HOST_MAGIC);
    assert(!host->threaded);
    /* Signals belong to the program: none is ever handled on a library's thread. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    failed = pthread_create(&host->thread, NULL, host_thread, host);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return gavel_fail(error, GAVEL_E_IO, "cannot start a thread: %s", strerror(failed));
    host->threaded = true;
    return GAVEL_OK;
}

void client_host_close(struct client_host *host)
{
    assert(host->magic == CLIENT_HOST_MAGIC);
    pthread_mutex_lock(&host->lock);
    host->closed = true;
    pthread_mutex_unlock(&host->lock);
    bell_rang(&host->bell); /* what came in before is still answered */
    uv_close((uv_handle_t *)&host->bell, NULL);
}

void client_host_fini(struct client_host *host)
{
    assert(host->magic == CLIENT_HOST_MAGIC);
    if (host->threaded)
        (void)pthread_join(host->thread, NULL);
    else
        (void)uv_run(&host->loop, UV_RUN_DEFAULT); /* close callbacks still have to run */
    assert(os_list_empty(&host->inbox));
    (void)pthread_mutex_destroy(&host->lock);
    if (uv_loop_close(&host->loop) != 0) {
        uv_print_all_handles(&host->loop, stderr); /* whoever left one open is a bug, here or in a transport */
        assert(!"a handle is still open on the client's loop");
    }
    host->magic = 0;
}

bool client_host_inside(const struct client_host *host)
{
    return host->threaded && pthread_equal(host->thread, pthread_self());
}
