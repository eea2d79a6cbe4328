/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_observer.c - an observer that writes to stderr and keeps its promises, or breaks one of them; see bad.sh.
 */
#include <gavel/observer.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct bad {
    const struct gavel_host *host;
    pthread_mutex_t lock;
    uint64_t seen;
};

static void say(struct bad *self, struct gavel_slice text)
{
    ssize_t wrote;

    (void)pthread_mutex_lock(&self->lock);
    wrote = write(STDERR_FILENO, text.data, text.size);
#ifdef BAD_EXIT
    if (wrote < 0)
        exit(1);
#endif
    (void)pthread_mutex_unlock(&self->lock);
    self->seen += wrote > 0;
}

static void take_log(void *context, const struct gavel_log_event *event)
{
    struct bad *self = context;

#ifdef BAD_LANE
    (void)self->host->metric(self->host->self, GAVEL_COUNTER, "lines", "1", "Lines");
#endif
#ifdef BAD_MEMORY
    char *volatile copy = malloc(event->text.size + 1);
    memcpy(copy, event->text.data, event->text.size);
    free(copy);
#endif
#ifdef BAD_LEAK
    void *volatile lost = malloc(8);
    (void)lost;
#endif
    say(self, event->text);
}

static void take_metrics(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                         uint64_t stride)
{
    (void)wall_ms;
    for (uint64_t i = 0; i < count; i++) {
#ifdef BAD_STRIDE
        const struct gavel_series *one = &series[i];
#else
        const struct gavel_series *one = (const void *)((const char *)series + i * stride);
#endif
        say(context, gavel_text(one->name));
    }
}

static int32_t reload(void *context, const void *options, struct gavel_error *error)
{
    (void)options;
    (void)error;
#ifdef BAD_BLOCK
    struct bad *self = context;
    (void)pthread_mutex_lock(&self->lock);
    (void)pthread_mutex_unlock(&self->lock);
#endif
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **out, struct gavel_error *error)
{
    struct bad *self = calloc(1, sizeof *self);

    (void)options;
    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    self->host = host;
    (void)pthread_mutex_init(&self->lock, NULL);
    *out = self;
    return GAVEL_OK;
}

static const struct gavel_observer operations = {.size = GAVEL_END(struct gavel_observer, flush),
                                                 .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_METRICS,
                                                 .log = take_log, .metrics = take_metrics};
static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy), .abi_major = GAVEL_ABI_MAJOR, .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_OBSERVER, .name = "bad", .version = "1", .summary = "An observer that breaks a promise",
    .operations = &operations, .create = create, .reload = reload, .destroy = free};

GAVEL_PLUGIN(bad)
{
    return &plugin;
}
