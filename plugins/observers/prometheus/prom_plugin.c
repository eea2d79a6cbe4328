/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_plugin.c - the observer "prometheus": options, and the life of an instance.
 */
#include "prom.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 5 /* at the thread, while it ends */

static const struct gavel_field option_rows[] = {
    {.name = "listen", .id = 1, .type = GAVEL_LIST, .element = GAVEL_STRING, .min = 1, .max = PROM_ADDRESSES_MAX,
     .offset = offsetof(struct prom_options, listen), .fallback = "127.0.0.1:9464",
     .help = "Addresses with ports to serve HTTP on, such as 127.0.0.1:9464, [::1]:9464 or 0.0.0.0:9464"},
    {.name = "insecure", .id = 2, .type = GAVEL_BOOL, .offset = offsetof(struct prom_options, insecure),
     .fallback = "no", .help = "Without TLS, allow addresses that others can reach; warned about at each start"},
    {.name = "tls_certificate", .id = 3, .type = GAVEL_STRING, .offset = offsetof(struct prom_options, certificate),
     .min = 1, .max = 900,
     .help = "Serve HTTPS with this certificate (a PEM file, its chain behind it); read again on SIGHUP"},
    {.name = "tls_key", .id = 4, .type = GAVEL_STRING, .offset = offsetof(struct prom_options, key), .min = 1,
     .max = 900, .help = "The key of the certificate, a PEM file"},
    {.name = "tls_client_ca", .id = 5, .type = GAVEL_STRING, .offset = offsetof(struct prom_options, client_ca),
     .min = 1, .max = 900, .help = "Serve only who has a certificate of these authorities, a PEM file"},
    {.name = "connections", .id = 6, .type = GAVEL_UINT, .offset = offsetof(struct prom_options, connections),
     .fallback = "64", .min = 1, .max = 1024, .unit = "connections",
     .help = "Connections at the same time; one more takes the place of the one that has waited longest"},
    {.name = "timeout", .id = 7, .type = GAVEL_DURATION, .offset = offsetof(struct prom_options, timeout),
     .fallback = "10s", .min = 100, .max = 600000,
     .help = "The time in which a request must have come whole, and again an answer must have been taken"},
};
static const struct gavel_fields options_table = GAVEL_FIELDS(option_rows, struct prom_options);

static struct prom_server *of(void *self)
{
    struct prom_server *server = self;

    assert(server->magic == PROM_MAGIC);
    return server;
}

/* ---- before the start -------------------------------------------------------------------------------------------- */

static int32_t check_tls(const struct prom_options *options, struct gavel_error *error)
{
    void *tls = NULL;
    int32_t status;

    if (!options->certificate.size && !options->key.size && !options->client_ca.size)
        return GAVEL_OK;
    if (!options->certificate.size || !options->key.size)
        return gavel_fail(error, GAVEL_E_CONFIG, "tls_certificate and tls_key go together%s",
                          options->client_ca.size ? ", and tls_client_ca needs both" : "");
    status = prom_tls_new(options, &tls, error); /* a missing or foreign file is told before anything starts */
    if (status == GAVEL_OK)
        (void)prom_tls_free(tls);
    return status;
}

static int32_t prom_check(const struct gavel_host *host, const void *given, struct gavel_error *error)
{
    const struct prom_options *options = given;
    struct prom_address address[PROM_ADDRESSES_MAX];
    uint64_t count;
    int32_t status = prom_addresses(&options->listen, address, &count, error);

    (void)host;
    for (uint64_t i = 0; status == GAVEL_OK && i < count; i++)
        if (!address[i].loopback && !options->certificate.size && !options->insecure)
            status = gavel_fail(error, GAVEL_E_CONFIG, "listen: %s has no TLS, so it must be a loopback address; give "
                                "tls_certificate and tls_key, or write insecure = yes if everybody who can reach it "
                                "may read the metrics", address[i].text);
    return status == GAVEL_OK ? check_tls(options, error) : status;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void *grow(const struct gavel_host *host, uint64_t size)
{
    void *memory = host->heap->resize(host->heap->self, NULL, size);

    if (memory)
        memset(memory, 0, size);
    return memory;
}

static void look_whether_ended(void *context);

static void prom_destroy(void *self)
{
    struct prom_server *server = self;
    const struct gavel_heap *heap;

    if (!server)
        return;
    assert(server->magic == PROM_MAGIC);
    assert(!server->running);
    heap = server->host->heap;
    for (uint64_t i = 0; i < server->address_count; i++)
        if (server->listener[i] >= 0)
            (void)close(server->listener[i]);
    if (server->wake >= 0)
        (void)close(server->wake);
    if (server->note >= 0)
        (void)close(server->note);
    (void)prom_tls_free(atomic_load(&server->next_tls));
    (void)prom_tls_free(server->tls);
    if (server->timer)
        server->host->timer_free(server->host->self, server->timer);
    (void)heap->resize(heap->self, server->connection, 0);
    (void)heap->resize(heap->self, server->poll, 0);
    server->magic = 0;
    (void)heap->resize(heap->self, server, 0);
}

static int32_t prom_create(const struct gavel_host *host, const void *given, void **self, struct gavel_error *error)
{
    const struct prom_options *options = given;
    struct prom_server *server = grow(host, sizeof *server);

    if (!server)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    server->magic = PROM_MAGIC;
    server->host = host;
    server->options = options;
    server->wake = server->note = -1;
    for (unsigned i = 0; i < PROM_ADDRESSES_MAX; i++)
        server->listener[i] = -1;
    (void)snprintf(server->module, sizeof server->module, "observer.%s", host->instance);
    (void)snprintf(server->notes, sizeof server->notes, "gavel-prometheus:%.80s:%.80s", host->node, host->instance);
    server->connection = grow(host, options->connections * sizeof *server->connection);
    server->poll = grow(host, prom_poll_bytes(options->connections + PROM_ADDRESSES_MAX + 1));
    server->timer = host->timer_new(host->self, look_whether_ended, server);
    if (!server->connection || !server->poll || !server->timer) {
        prom_destroy(server);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    }
    for (uint64_t i = 0; i < options->connections; i++)
        server->connection[i].fd = -1;
    *self = server;
    return GAVEL_OK;
}

static void announce(const struct prom_server *server)
{
    for (uint64_t i = 0; i < server->address_count; i++) {
        char bound[PROM_SPEC_MAX];

        prom_bound(server->listener[i], bound);
        gavel_log(server->host, GAVEL_LOG_INFO, server->module, "Metrics at %s://%s/metrics",
                  server->tls ? "https" : "http", bound);
        if (!server->address[i].loopback && !server->tls)
            gavel_log(server->host, GAVEL_LOG_WARN, server->module,
                      "%s has no TLS and can be reached by others (insecure = yes)", bound);
    }
}

static int32_t prom_start(void *self, struct gavel_error *error)
{
    struct prom_server *server = of(self);
    uint64_t count;
    int32_t status = prom_addresses(&server->options->listen, server->address, &count, error);

    for (; status == GAVEL_OK && server->address_count < count; server->address_count++)
        status = prom_listen(&server->address[server->address_count], server->notes,
                             &server->listener[server->address_count], error);
    if (status == GAVEL_OK && server->options->certificate.size)
        status = prom_tls_new(server->options, &server->tls, error);
    if (status != GAVEL_OK)
        return status;
    server->note = prom_note(server->notes, server->address, server->listener, server->address_count);
    announce(server); /* before the thread has them */
    return prom_server_start(server, error);
}

/* [loop] SIGHUP: the files of TLS may be new ones. */
static int32_t prom_reload(void *self, const void *options, struct gavel_error *error)
{
    struct prom_server *server = of(self);
    void *next = NULL;
    int32_t status;

    (void)options; /* none of them may change in place */
    if (!server->options->certificate.size)
        return GAVEL_OK;
    status = prom_tls_new(server->options, &next, error);
    if (status != GAVEL_OK)
        return status;
    next = atomic_exchange(&server->next_tls, next);
    (void)prom_tls_free(next); /* of a reload before, which the thread has not seen */
    prom_server_wake(server);
    return GAVEL_OK;
}

static void look_whether_ended(void *context)
{
    struct prom_server *server = of(context);

    if (!atomic_load(&server->ended)) {
        server->host->timer_start(server->host->self, server->timer, LOOK_MS);
        return;
    }
    prom_server_join(server);
    server->host->timer_free(server->host->self, server->timer);
    server->timer = NULL;
    server->done(server->done_context);
}

/* [loop] A socket that is noted may be shared; from here on not any more. */
static void prom_quiesce(void *self, void (*done)(void *context), void *context)
{
    struct prom_server *server = of(self);

    if (server->note >= 0)
        (void)close(server->note);
    server->note = -1;
    server->done = done;
    server->done_context = context;
    if (!server->running)
        atomic_store(&server->ended, true);
    else
        prom_server_stop(server);
    look_whether_ended(server);
}

static const struct gavel_observer operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_ASKS,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = 1, /* collect, probe */
    .kind = GAVEL_KIND_OBSERVER,
    .name = "prometheus",
    .version = GAVEL_VERSION,
    .summary = "Metrics for Prometheus and OpenMetrics, and probes of health, over HTTP",
    .options = &options_table,
    .operations = &operations,
    .check = prom_check,
    .create = prom_create,
    .start = prom_start,
    .reload = prom_reload,
    .quiesce = prom_quiesce,
    .destroy = prom_destroy,
};

GAVEL_PLUGIN(prometheus)
{
    return &plugin;
}
