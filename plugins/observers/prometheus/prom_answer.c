/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_answer.c - what is answered. A page of metrics is good for PROM_KEPT_MS: whoever asks within that time shares
 * its bytes, so the node renders only so often, however many ask.
 */
#include "prom.h"

#include <assert.h>
#include <stdlib.h>

#ifdef PROM_WITH_GZIP
#include <zlib.h>
#endif

static const char *const types[PROM_FORMATS] = {
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
};
static const char plain[] = "text/plain; charset=utf-8";

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static struct prom_body *body_new(struct prom_server *server)
{
    const struct gavel_heap *heap = server->host->heap;
    struct prom_body *body = heap->resize(heap->self, NULL, sizeof *body);

    if (body)
        *body = (struct prom_body){.users = 1, .bytes = {.heap = heap, .limit = PROM_ANSWER_MAX}};
    return body;
}

struct prom_body *prom_body_release(struct prom_server *server, struct prom_body *body)
{
    if (!body)
        return NULL;
    assert(body->users > 0);
    if (--body->users == 0) {
        gavel_buffer_free(&body->bytes);
        (void)server->host->heap->resize(server->host->heap->self, body, 0);
    }
    return NULL;
}

void prom_answer_text(struct prom_server *server, int status, const char *text, struct prom_answer *answer)
{
    *answer = (struct prom_answer){.status = status, .type = plain, .body = body_new(server)};
    if (answer->body && (gavel_buffer_append(&answer->body->bytes, text, strlen(text)) != GAVEL_OK ||
                         gavel_buffer_append(&answer->body->bytes, "\n", 1) != GAVEL_OK))
        answer->body = prom_body_release(server, answer->body);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static void show_series(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                        uint64_t stride)
{
    (void)wall_ms;
    prom_text(context, series, count, stride);
}

static void tell_left_out(struct prom_server *server, uint64_t left_out)
{
    if (left_out == 0 || server->told_left_out)
        return;
    server->told_left_out = true;
    gavel_log(server->host, GAVEL_LOG_WARN, server->module, "%llu metrics have the name of another one in Prometheus "
              "and are left out", (unsigned long long)left_out);
}

static struct prom_body *render(struct prom_server *server, enum prom_format format)
{
    struct prom_body *body = body_new(server);
    struct prom_page page = {.format = format, .node = server->host->node, .version = GAVEL_VERSION,
                             .out = body ? &body->bytes : NULL, .status = GAVEL_E_NO_MEMORY};

    if (body && server->host->collect(server->host->self, show_series, &page) != GAVEL_OK)
        page.status = GAVEL_E_NO_MEMORY;
    if (page.status != GAVEL_OK)
        return prom_body_release(server, body);
    tell_left_out(server, page.left_out);
    return body;
}

#ifdef PROM_WITH_GZIP
static void *zip_alloc(void *opaque, unsigned count, unsigned size)
{
    const struct gavel_heap *heap = opaque;

    return heap->resize(heap->self, NULL, (uint64_t)count * size);
}

static void zip_free(void *opaque, void *block)
{
    const struct gavel_heap *heap = opaque;

    (void)heap->resize(heap->self, block, 0);
}

/* The same as gzip; NULL when memory is out. */
static struct prom_body *compress_body(struct prom_server *server, const struct prom_body *from)
{
    z_stream stream = {.zalloc = zip_alloc, .zfree = zip_free, .opaque = (void *)(uintptr_t)server->host->heap};
    struct prom_body *body = body_new(server);
    int status;

    if (!body || deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return prom_body_release(server, body);
    status = Z_MEM_ERROR;
    if (gavel_buffer_reserve(&body->bytes, deflateBound(&stream, from->bytes.size)) == GAVEL_OK) {
        stream.next_in = from->bytes.data;
        stream.avail_in = (unsigned)from->bytes.size;
        stream.next_out = body->bytes.data;
        stream.avail_out = (unsigned)body->bytes.capacity;
        status = deflate(&stream, Z_FINISH);
        body->bytes.size = stream.total_out;
    }
    (void)deflateEnd(&stream);
    return status == Z_STREAM_END ? body : prom_body_release(server, body);
}
#else
static struct prom_body *compress_body(struct prom_server *server, const struct prom_body *from)
{
    (void)server;
    (void)from;
    return NULL;
}
#endif

/* The page of a format, kept or made; the caller's to give back. NULL when memory is out. */
static struct prom_body *page_of(struct prom_server *server, enum prom_format format, bool gzip)
{
    struct prom_kept *kept = &server->kept[format][gzip];
    struct prom_body *whole;

    if (!kept->body || server->now_ms - kept->made_ms >= PROM_KEPT_MS) {
        kept->body = prom_body_release(server, kept->body);
        if (gzip) {
            whole = page_of(server, format, false);
            kept->body = whole ? compress_body(server, whole) : NULL;
            kept->made_ms = server->kept[format][false].made_ms; /* it is no fresher than that one */
            (void)prom_body_release(server, whole);
        } else {
            kept->body = render(server, format);
            kept->made_ms = server->now_ms;
        }
    }
    if (kept->body)
        kept->body->users++;
    return kept->body;
}

static void answer_metrics(struct prom_server *server, const struct prom_request *request, struct prom_answer *answer)
{
    *answer = (struct prom_answer){.status = 200, .type = types[request->format]};
    if (request->gzip && (answer->body = page_of(server, request->format, true)))
        answer->gzip = true;
    else
        answer->body = page_of(server, request->format, false);
    if (!answer->body)
        prom_answer_text(server, 503, "memory is out, or the page would be too large", answer);
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

struct asked {
    struct gavel_buffer *out;
    uint64_t question;
    bool verbose;
    bool ok;
    int32_t status;
};

static void say(struct asked *asked, const char *text)
{
    if (asked->status == GAVEL_OK)
        asked->status = gavel_buffer_append(asked->out, text, strlen(text));
}

static void show_probes(void *context, const struct gavel_probe *probes, uint64_t count, uint64_t stride)
{
    struct asked *asked = context;
    const char *row = (const char *)probes;

    for (uint64_t i = 0; i < count; i++) {
        struct gavel_probe probe;

        memcpy(&probe, row + i * stride, sizeof probe);
        if (!(probe.questions & asked->question))
            continue;
        asked->ok = asked->ok && probe.ok;
        if (probe.ok && !asked->verbose)
            continue;
        say(asked, probe.ok ? "[+]" : "[-]");
        say(asked, probe.name);
        say(asked, probe.ok ? " ok" : " failed: ");
        say(asked, probe.ok ? "" : probe.reason);
        say(asked, "\n");
    }
}

static void answer_probe(struct prom_server *server, const struct prom_request *request, const char *name,
                         uint64_t question, struct prom_answer *answer)
{
    struct asked asked = {.question = question, .verbose = request->verbose, .ok = true};

    *answer = (struct prom_answer){.status = 503, .type = plain, .body = body_new(server)};
    if (!answer->body)
        return;
    asked.out = &answer->body->bytes;
    asked.status = server->host->probe(server->host->self, show_probes, &asked);
    answer->status = asked.ok && asked.status == GAVEL_OK ? 200 : 503;
    if (!asked.verbose && answer->status == 200) {
        say(&asked, "ok\n");
        return;
    }
    say(&asked, name);
    say(&asked, answer->status == 200 ? " check passed\n" : " check failed\n");
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

void prom_answer(struct prom_server *server, const struct prom_request *request, struct prom_answer *answer)
{
    if (request->method == PROM_OTHER)
        prom_answer_text(server, 405, "only GET and HEAD are served here", answer);
    else if (strcmp(request->path, "/metrics") == 0)
        answer_metrics(server, request, answer);
    else if (strcmp(request->path, "/livez") == 0)
        answer_probe(server, request, "livez", GAVEL_PROBE_LIVE, answer);
    else if (strcmp(request->path, "/readyz") == 0)
        answer_probe(server, request, "readyz", GAVEL_PROBE_READY, answer);
    else if (strcmp(request->path, "/") == 0)
        prom_answer_text(server, 200, "gavel: /metrics, /livez, /readyz; ?verbose tells each check", answer);
    else
        prom_answer_text(server, 404, "there are /metrics, /livez and /readyz here", answer);
}
