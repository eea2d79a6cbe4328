/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.c - a table of slots with a free list; a number holds the slot and how often it was used, so that an ended
 * number means nothing any more.
 */
#include "core/host/spans.h"

#include "core/host/metric_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SPANS_MAGIC 0x74b1e0a9u
#define SLOT_BITS 12 /* HOST_SPANS_MAX slots */

static_assert(HOST_SPANS_MAX == 1 << SLOT_BITS, "a number's lower bits are its slot");

struct slot {
    uint64_t use;  /* counts; odd while open */
    uint32_t next; /* free list */
    char name[HOST_SPAN_NAME_MAX];
    struct gavel_trace context;
    unsigned char parent[8];
    uint64_t start_wall_ns;
    uint64_t start_mono_ns;
};

struct host_spans {
    uint32_t magic;
    const struct os *os;
    struct host_sink *sink;
    _Atomic uint64_t below;  /* of 2^64 drawn numbers so many are sampled; UINT64_MAX: all */
    _Atomic uint64_t drawn;  /* state of the generator */
    _Atomic int64_t wall_ns; /* wall clock less the one that does not jump */
    pthread_mutex_t lock;
    uint32_t free; /* the first free slot; HOST_SPANS_MAX: none */
    uint64_t open;
    struct slot slot[HOST_SPANS_MAX];
};

struct host_spans *host_spans_new(const struct os *os, struct host_sink *sink)
{
    struct host_spans *spans = calloc(1, sizeof *spans);
    uint64_t seed;

    if (!spans)
        return NULL;
    if (pthread_mutex_init(&spans->lock, NULL) != 0) {
        free(spans);
        return NULL;
    }
    spans->magic = SPANS_MAGIC;
    spans->os = os;
    spans->sink = sink;
    os_random(os, &seed, sizeof seed);
    atomic_init(&spans->below, 0);
    atomic_init(&spans->drawn, seed);
    atomic_init(&spans->wall_ns, 0);
    for (uint32_t i = 0; i < HOST_SPANS_MAX; i++)
        spans->slot[i].next = i + 1;
    return spans;
}

struct host_spans *host_spans_free(struct host_spans *spans)
{
    if (!spans)
        return NULL;
    assert(spans->magic == SPANS_MAGIC);
    (void)pthread_mutex_destroy(&spans->lock);
    spans->magic = 0;
    free(spans);
    return NULL;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

void host_spans_ratio(struct host_spans *spans, double ratio)
{
    assert(spans->magic == SPANS_MAGIC);
    atomic_store(&spans->below, ratio >= 1 ? UINT64_MAX : ratio > 0 ? (uint64_t)(ratio * 18446744073709551616.0) : 0);
}

/* splitmix64: what decides need not be hard to guess, and has to be cheap. */
static bool draw(struct host_spans *spans)
{
    uint64_t below = atomic_load_explicit(&spans->below, memory_order_relaxed);
    uint64_t z;

    if (below == 0 || below == UINT64_MAX)
        return below != 0;
    z = atomic_fetch_add_explicit(&spans->drawn, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) < below;
}

/*
 * The wall clock in nanoseconds. It is read in milliseconds, which would put spans that follow each other into any
 * order: so it is the other clock that counts on, until the two differ by more than their reading explains.
 */
static uint64_t wall_ns(struct host_spans *spans, uint64_t mono_ns)
{
    int64_t read = (int64_t)(os_wall_ms(spans->os) * 1000000);
    int64_t told = (int64_t)mono_ns + atomic_load_explicit(&spans->wall_ns, memory_order_relaxed);

    if (told > read + 2000000 || told < read - 1000000) {
        atomic_store_explicit(&spans->wall_ns, read - (int64_t)mono_ns, memory_order_relaxed);
        told = read;
    }
    return (uint64_t)told;
}

static uint64_t kind_of(const char *name)
{
    for (const struct host_span *row = host_span_rows; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->kind;
    return GAVEL_SPAN_INTERNAL;
}

/* Take a slot; HOST_SPANS_MAX when all are open. */
static uint32_t take(struct host_spans *spans)
{
    uint32_t at;

    (void)pthread_mutex_lock(&spans->lock);
    at = spans->free;
    if (at < HOST_SPANS_MAX) {
        spans->free = spans->slot[at].next;
        spans->open++;
    }
    (void)pthread_mutex_unlock(&spans->lock);
    return at;
}

uint64_t host_spans_begin(struct host_spans *spans, const char *name, const struct gavel_trace *parent,
                          struct gavel_trace *context)
{
    bool child = parent && !is_zero(parent->trace_id, sizeof parent->trace_id);
    struct slot *slot;
    uint64_t number;
    uint32_t at;

    assert(spans->magic == SPANS_MAGIC);
    if (child && !(parent->flags & 1)) {
        *context = *parent; /* not sampled above, so not here either */
        return 0;
    }
    if (!child && !(parent && parent->flags & 1) && !draw(spans)) {
        memset(context, 0, sizeof *context);
        return 0;
    }
    at = take(spans);
    if (at == HOST_SPANS_MAX) {
        memset(context, 0, sizeof *context);
        return 0;
    }
    slot = &spans->slot[at];
    (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    memset(slot->parent, 0, sizeof slot->parent);
    slot->context.flags = 1;
    if (child) {
        memcpy(slot->context.trace_id, parent->trace_id, sizeof parent->trace_id);
        memcpy(slot->parent, parent->span_id, sizeof parent->span_id);
    } else {
        os_random(spans->os, slot->context.trace_id, sizeof slot->context.trace_id);
    }
    os_random(spans->os, slot->context.span_id, sizeof slot->context.span_id);
    slot->start_mono_ns = os_mono_ns(spans->os);
    slot->start_wall_ns = wall_ns(spans, slot->start_mono_ns);
    *context = slot->context;
    (void)pthread_mutex_lock(&spans->lock);
    slot->use++;
    assert(slot->use & 1);
    number = slot->use << SLOT_BITS | at;
    (void)pthread_mutex_unlock(&spans->lock);
    return number;
}

void host_spans_end(struct host_spans *spans, uint64_t number, int64_t status,
                    const struct gavel_attribute *attributes, uint64_t count)
{
    uint32_t at = (uint32_t)(number & (HOST_SPANS_MAX - 1));
    struct slot copy;

    assert(spans->magic == SPANS_MAGIC);
    (void)pthread_mutex_lock(&spans->lock);
    if (number == 0 || spans->slot[at].use != number >> SLOT_BITS) {
        (void)pthread_mutex_unlock(&spans->lock);
        return;
    }
    copy = spans->slot[at];
    spans->slot[at].use++;
    spans->slot[at].next = spans->free;
    spans->free = at;
    spans->open--;
    (void)pthread_mutex_unlock(&spans->lock);

    struct gavel_span span = {
        .size = GAVEL_END(struct gavel_span, kind),
        .name = copy.name,
        .context = copy.context,
        .start_wall_ns = copy.start_wall_ns,
        /* The length comes from the clock that does not jump. */
        .end_wall_ns = copy.start_wall_ns + (os_mono_ns(spans->os) - copy.start_mono_ns),
        .status = status,
        .attributes = attributes,
        .attribute_count = count,
        .kind = kind_of(copy.name),
    };
    memcpy(span.parent, copy.parent, sizeof span.parent);
    host_sink_span(spans->sink, &span);
}

uint64_t host_spans_open(struct host_spans *spans)
{
    uint64_t open;

    (void)pthread_mutex_lock(&spans->lock);
    open = spans->open;
    (void)pthread_mutex_unlock(&spans->lock);
    return open;
}
