/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - metrics and their series.
 */
#include "core/host/registry.h"

#include "core/host/metric_table.h"

#include <gavel/statemachine.h>

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define REGISTRY_MAGIC 0x9a3d17c5u
#define NAME_MAX_BYTES 64 /* of a metric's name */
#define SERIES_BITS 16    /* of a bound series' number: its place within its metric; the rest is the metric */

static_assert(HOST_SERIES_WIDE < 1 << SERIES_BITS, "a number's lower bits are a place");

/* The exemplar of a bucket. Whoever does not get `busy` at once goes without. */
struct exemplar {
    atomic_flag busy;
    struct gavel_exemplar value; /* wall_ms 0: none yet */
};

struct series {
    uint64_t hash;
    uint64_t place; /* in `order` of its metric */
    uint64_t attribute_count;
    struct gavel_attribute attribute[HOST_SERIES_ATTRIBUTES_MAX + 1];
    _Atomic uint64_t value; /* the bits of a double: counter and gauge; a histogram's sum */
    _Atomic uint64_t bucket[HOST_HISTOGRAM_BOUNDS_MAX + 1];
    struct exemplar *_Atomic exemplar; /* of each bucket; NULL: never was a traced value */
};

struct metric {
    uint64_t kind;
    char *name;
    char *unit;
    char *help;
    const double *bounds;
    uint64_t bound_count;
    uint64_t room;                /* series that it may have, beside the overflow */
    uint64_t slots;               /* of the hash table: half full at the most */
    struct series *_Atomic *slot;
    struct series **order;        /* in the order of their birth, the overflow among them */
    _Atomic uint64_t count;       /* of `order` */
    struct series *overflow;
};

struct host_registry {
    uint32_t magic;
    uint64_t start_wall_ns;
    pthread_mutex_t lock; /* births of series */
    struct metric *_Atomic metric[HOST_METRICS_MAX];
    _Atomic uint64_t count;
};

/* A series of attributes that do not fit any more counts under this one, as OpenTelemetry names it. */
static const struct gavel_attribute overflow_attribute = {"otel.metric.overflow", {"true", 4}};

static const double bounds_seconds[] = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                        0.05,    0.1,    0.2,    0.5,    1,     2,     5,     10,   30};
static const double bounds_bytes[] = {64,     256,     1024,    4096,     16384,    65536,
                                      262144, 1048576, 4194304, 16777216, 67108864, 268435456};
static const double bounds_plain[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static double from_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = malloc(size + 1);

    if (copy) {
        memcpy(copy, text, size);
        copy[size] = 0;
    }
    return copy;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_series(struct series *series)
{
    if (!series)
        return;
    for (uint64_t i = 0; i < series->attribute_count; i++) {
        free((void *)(uintptr_t)series->attribute[i].name);
        free((void *)(uintptr_t)series->attribute[i].value.data);
    }
    free(atomic_load(&series->exemplar));
    free(series);
}

static void free_metric(struct metric *metric)
{
    if (!metric)
        return;
    for (uint64_t i = 0; i < atomic_load(&metric->count); i++)
        free_series(metric->order[i]);
    free(metric->slot);
    free(metric->order);
    free(metric->name);
    free(metric->unit);
    free(metric->help);
    free(metric);
}

static uint64_t add_metric(struct host_registry *registry, uint64_t kind, const char *name, const char *unit,
                           const char *help, uint64_t room);

struct host_registry *host_registry_new(void)
{
    struct host_registry *registry = calloc(1, sizeof *registry);
    struct timespec now;

    if (!registry)
        return NULL;
    registry->magic = REGISTRY_MAGIC;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* what observers are told of the beginning: for people, and may jump */
    registry->start_wall_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (pthread_mutex_init(&registry->lock, NULL) != 0) {
        free(registry);
        return NULL;
    }
    for (const struct host_metric *row = host_metrics; row->name; row++) {
        uint64_t metric = add_metric(registry, row->kind, row->name, row->unit, row->help,
                                     strchr(row->attributes, ',') ? HOST_SERIES_WIDE : HOST_SERIES_MAX);

        /* Without attributes it is there from the start, at 0. */
        if (metric == 0 || (!*row->attributes && !host_registry_series(registry, metric, NULL, NULL, 0)))
            return host_registry_free(registry);
    }
    return registry;
}

struct host_registry *host_registry_free(struct host_registry *registry)
{
    if (!registry)
        return NULL;
    assert(registry->magic == REGISTRY_MAGIC);
    for (uint64_t i = 0; i < atomic_load(&registry->count); i++)
        free_metric(atomic_load(&registry->metric[i]));
    (void)pthread_mutex_destroy(&registry->lock);
    registry->magic = 0;
    free(registry);
    return NULL;
}

static void choose_bounds(struct metric *metric)
{
    if (metric->kind != GAVEL_HISTOGRAM)
        return;
    if (strcmp(metric->unit, "s") == 0) {
        metric->bounds = bounds_seconds;
        metric->bound_count = COUNT(bounds_seconds);
    } else if (strcmp(metric->unit, "By") == 0) {
        metric->bounds = bounds_bytes;
        metric->bound_count = COUNT(bounds_bytes);
    } else {
        metric->bounds = bounds_plain;
        metric->bound_count = COUNT(bounds_plain);
    }
    assert(metric->bound_count <= HOST_HISTOGRAM_BOUNDS_MAX);
}

static uint64_t add_metric(struct host_registry *registry, uint64_t kind, const char *name, const char *unit,
                           const char *help, uint64_t room)
{
    uint64_t count = atomic_load(&registry->count);
    struct metric *metric;

    assert(registry->magic == REGISTRY_MAGIC);
    if (kind < GAVEL_COUNTER || kind > GAVEL_HISTOGRAM || !name || !*name || strlen(name) > NAME_MAX_BYTES)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        metric = atomic_load(&registry->metric[i]);
        if (strcmp(metric->name, name) == 0)
            return metric->kind == kind ? i + 1 : 0;
    }
    metric = count < HOST_METRICS_MAX ? calloc(1, sizeof *metric) : NULL;
    if (!metric)
        return 0;
    metric->kind = kind;
    metric->room = room;
    metric->slots = 2 * room;
    metric->slot = calloc(metric->slots, sizeof *metric->slot);
    metric->order = calloc(room + 1, sizeof(*metric->order));
    metric->name = copy_text(name, strlen(name));
    metric->unit = copy_text(unit ? unit : "1", strlen(unit ? unit : "1"));
    metric->help = copy_text(help ? help : "", strlen(help ? help : ""));
    if (!metric->slot || !metric->order || !metric->name || !metric->unit || !metric->help) {
        free_metric(metric);
        return 0;
    }
    choose_bounds(metric);
    atomic_store(&registry->metric[count], metric);
    atomic_store(&registry->count, count + 1);
    return count + 1;
}

uint64_t host_registry_metric(struct host_registry *registry, uint64_t kind, const char *name, const char *unit,
                              const char *help)
{
    return add_metric(registry, kind, name, unit, help, HOST_SERIES_MAX);
}

/* ---- series ------------------------------------------------------------------------------------------------------ */

/* Attributes as they are recorded: those given, cut to our bounds, and the instance. */
struct key {
    struct gavel_attribute attribute[HOST_SERIES_ATTRIBUTES_MAX + 1];
    uint64_t count;
    uint64_t hash;
};

static void make_key(struct key *key, const char *instance, const struct gavel_attribute *attributes, uint64_t count)
{
    key->count = count < HOST_SERIES_ATTRIBUTES_MAX ? count : HOST_SERIES_ATTRIBUTES_MAX;
    for (uint64_t i = 0; i < key->count; i++) {
        key->attribute[i] = attributes[i];
        if (key->attribute[i].value.size > HOST_ATTRIBUTE_VALUE_MAX)
            key->attribute[i].value.size = HOST_ATTRIBUTE_VALUE_MAX;
    }
    if (instance)
        key->attribute[key->count++] = (struct gavel_attribute){"instance", gavel_text(instance)};
    key->hash = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < key->count; i++) {
        key->hash = gavel_mix(key->hash, key->attribute[i].name, strlen(key->attribute[i].name) + 1);
        key->hash = gavel_mix(key->hash ^ key->attribute[i].value.size, key->attribute[i].value.data,
                              key->attribute[i].value.size);
    }
}

static bool same_key(const struct series *series, const struct key *key)
{
    if (series->hash != key->hash || series->attribute_count != key->count)
        return false;
    for (uint64_t i = 0; i < key->count; i++)
        if (strcmp(series->attribute[i].name, key->attribute[i].name) != 0 ||
            !gavel_slice_equal(series->attribute[i].value, key->attribute[i].value))
            return false;
    return true;
}

/* The series of that key, or NULL; *free_slot becomes where it would be. */
static struct series *find(struct metric *metric, const struct key *key, uint64_t *free_slot)
{
    for (uint64_t i = 0; i < metric->slots; i++) {
        uint64_t at = (key->hash + i) % metric->slots;
        struct series *series = atomic_load_explicit(&metric->slot[at], memory_order_acquire);

        if (!series) {
            *free_slot = at;
            return NULL;
        }
        if (same_key(series, key))
            return series;
    }
    *free_slot = metric->slots;
    return NULL;
}

static struct series *make_series(const struct key *key)
{
    struct series *series = calloc(1, sizeof *series);

    if (!series)
        return NULL;
    series->hash = key->hash;
    for (uint64_t i = 0; i < key->count; i++) {
        const struct gavel_attribute *from = &key->attribute[i];

        series->attribute[i].name = copy_text(from->name, strlen(from->name));
        series->attribute[i].value.data = copy_text(from->value.data ? from->value.data : "", from->value.size);
        series->attribute[i].value.size = from->value.size;
        series->attribute_count = i + 1;
        if (!series->attribute[i].name || !series->attribute[i].value.data) {
            free_series(series);
            return NULL;
        }
    }
    return series;
}

/* Find again under the lock, and make what is still missing. NULL when memory is out: that record is lost. */
static struct series *add(struct host_registry *registry, struct metric *metric, const struct key *key)
{
    uint64_t slot, count;
    struct series *series;

    (void)pthread_mutex_lock(&registry->lock);
    series = find(metric, key, &slot);
    count = atomic_load(&metric->count);
    if (!series && count >= metric->room) {
        struct key beyond;

        make_key(&beyond, NULL, &overflow_attribute, 1);
        if (!metric->overflow && (metric->overflow = make_series(&beyond))) {
            metric->overflow->place = count;
            metric->order[count] = metric->overflow;
            atomic_store(&metric->count, count + 1);
        }
        series = metric->overflow;
    } else if (!series && (series = make_series(key))) {
        assert(slot < metric->slots);
        series->place = count;
        metric->order[count] = series;
        atomic_store(&metric->count, count + 1);
        atomic_store_explicit(&metric->slot[slot], series, memory_order_release);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return series;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void add_double(_Atomic uint64_t *bits, double value)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(bits, &old, to_bits(from_bits(old) + value), memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* The exemplars of a series, made with the first traced value; NULL when memory is out. */
static struct exemplar *exemplars_of(struct series *series, uint64_t count)
{
    struct exemplar *there = atomic_load_explicit(&series->exemplar, memory_order_acquire), *made;

    if (there)
        return there;
    made = calloc(count, sizeof *made); /* all zero is a cleared flag */
    if (made && !atomic_compare_exchange_strong(&series->exemplar, &there, made)) {
        free(made);
        made = there;
    }
    return made;
}

static void keep_exemplar(const struct metric *metric, struct series *series, double value,
                          const struct gavel_trace *trace, uint64_t wall_ms)
{
    struct exemplar *exemplar = exemplars_of(series, metric->bound_count + 1);
    uint64_t i = 0;

    while (i < metric->bound_count && value > metric->bounds[i])
        i++;
    if (!exemplar || atomic_flag_test_and_set_explicit(&exemplar[i].busy, memory_order_acquire))
        return;
    exemplar[i].value = (struct gavel_exemplar){.size = GAVEL_END(struct gavel_exemplar, trace), .wall_ms = wall_ms,
                                                .value = value, .trace = *trace};
    atomic_flag_clear_explicit(&exemplar[i].busy, memory_order_release);
}

static void observe(const struct metric *metric, struct series *series, double value)
{
    uint64_t i = 0;

    while (i < metric->bound_count && value > metric->bounds[i])
        i++;
    (void)atomic_fetch_add_explicit(&series->bucket[i], 1, memory_order_relaxed);
    add_double(&series->value, value);
}

/* Any thread may come with any number. */
static struct metric *metric_of(struct host_registry *registry, uint64_t number)
{
    assert(registry->magic == REGISTRY_MAGIC);
    if (number == 0 || number > atomic_load_explicit(&registry->count, memory_order_acquire))
        return NULL;
    return atomic_load_explicit(&registry->metric[number - 1], memory_order_acquire);
}

static void take_value(const struct metric *metric, struct series *series, double value,
                       const struct gavel_trace *trace, uint64_t wall_ms)
{
    if (!isfinite(value) || (metric->kind == GAVEL_COUNTER && value < 0))
        return;
    if (metric->kind == GAVEL_COUNTER)
        add_double(&series->value, value);
    else if (metric->kind == GAVEL_GAUGE)
        atomic_store_explicit(&series->value, to_bits(value), memory_order_relaxed);
    else
        observe(metric, series, value);
    if (metric->kind == GAVEL_HISTOGRAM && trace && trace->flags & 1 && wall_ms)
        keep_exemplar(metric, series, value, trace, wall_ms);
}

static struct series *series_of(struct host_registry *registry, struct metric *metric, const char *instance,
                                const struct gavel_attribute *attributes, uint64_t count)
{
    struct series *series;
    struct key key;
    uint64_t slot;

    make_key(&key, instance, attributes, count);
    series = find(metric, &key, &slot);
    return series ? series : add(registry, metric, &key);
}

void host_registry_record_traced(struct host_registry *registry, uint64_t number, double value, const char *instance,
                                 const struct gavel_attribute *attributes, uint64_t count,
                                 const struct gavel_trace *trace, uint64_t wall_ms)
{
    struct metric *metric = metric_of(registry, number);
    struct series *series;

    if (!metric || !isfinite(value) || (metric->kind == GAVEL_COUNTER && value < 0))
        return; /* and no series is born of it */
    series = series_of(registry, metric, instance, attributes, count);
    if (series)
        take_value(metric, series, value, trace, wall_ms);
}

void host_registry_record(struct host_registry *registry, uint64_t number, double value, const char *instance,
                          const struct gavel_attribute *attributes, uint64_t count)
{
    host_registry_record_traced(registry, number, value, instance, attributes, count, NULL, 0);
}

uint64_t host_registry_series(struct host_registry *registry, uint64_t number, const char *instance,
                              const struct gavel_attribute *attributes, uint64_t count)
{
    struct metric *metric = metric_of(registry, number);
    struct series *series = metric ? series_of(registry, metric, instance, attributes, count) : NULL;

    return series ? number << SERIES_BITS | (series->place + 1) : 0;
}

void host_registry_observe(struct host_registry *registry, uint64_t number, double value)
{
    struct metric *metric = metric_of(registry, number >> SERIES_BITS);
    uint64_t place = number & ((UINT64_C(1) << SERIES_BITS) - 1);

    if (metric && place && place <= atomic_load_explicit(&metric->count, memory_order_acquire))
        take_value(metric, metric->order[place - 1], value, NULL, 0);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void read_exemplars(const struct metric *metric, struct series *from, struct gavel_series *series,
                           struct gavel_exemplar *exemplars)
{
    struct exemplar *exemplar = atomic_load_explicit(&from->exemplar, memory_order_acquire);

    if (!exemplar || !exemplars)
        return;
    for (uint64_t i = 0; i <= metric->bound_count; i++) {
        if (atomic_flag_test_and_set_explicit(&exemplar[i].busy, memory_order_acquire))
            continue; /* it is being written: this time without */
        exemplars[i] = exemplar[i].value;
        atomic_flag_clear_explicit(&exemplar[i].busy, memory_order_release);
    }
    series->exemplars = exemplars;
    series->exemplar_stride = sizeof *exemplars;
}

static void read_series(const struct metric *metric, struct series *from, struct gavel_series *series,
                        uint64_t *buckets)
{
    *series = (struct gavel_series){
        .size = GAVEL_END(struct gavel_series, exemplar_stride),
        .kind = metric->kind,
        .name = metric->name,
        .unit = metric->unit,
        .help = metric->help,
        .attributes = from->attribute,
        .attribute_count = from->attribute_count,
    };
    if (metric->kind != GAVEL_HISTOGRAM) {
        series->value = from_bits(atomic_load_explicit(&from->value, memory_order_relaxed));
        return;
    }
    series->bounds = metric->bounds;
    series->bound_count = metric->bound_count;
    series->buckets = buckets;
    series->sum = from_bits(atomic_load_explicit(&from->value, memory_order_relaxed));
    for (uint64_t i = 0; i <= metric->bound_count; i++) {
        buckets[i] = atomic_load_explicit(&from->bucket[i], memory_order_relaxed);
        series->count += buckets[i];
    }
}

int32_t host_registry_snapshot(struct host_registry *registry, struct host_snapshot *snapshot)
{
    uint64_t metrics = atomic_load(&registry->count), total = 0;
    uint64_t counts[HOST_METRICS_MAX], traced = 0, taken = 0;
    struct host_snapshot made = {.count = 0};

    for (uint64_t i = 0; i < metrics; i++) {
        struct metric *metric = atomic_load(&registry->metric[i]);

        counts[i] = atomic_load(&metric->count);
        total += counts[i];
        for (uint64_t j = 0; j < counts[i]; j++)
            traced += atomic_load(&metric->order[j]->exemplar) != NULL;
    }
    made.series = calloc(total + 1, sizeof *made.series);
    made.buckets = calloc((total + 1) * (HOST_HISTOGRAM_BOUNDS_MAX + 1), sizeof *made.buckets);
    made.exemplars = calloc((traced + 1) * (HOST_HISTOGRAM_BOUNDS_MAX + 1), sizeof *made.exemplars);
    if (!made.series || !made.buckets || !made.exemplars) {
        host_snapshot_free(&made);
        return GAVEL_E_NO_MEMORY;
    }
    for (uint64_t i = 0; i < metrics; i++) {
        struct metric *metric = atomic_load(&registry->metric[i]);

        for (uint64_t j = 0; j < counts[i]; j++, made.count++) {
            read_series(metric, metric->order[j], &made.series[made.count],
                        made.buckets + made.count * (HOST_HISTOGRAM_BOUNDS_MAX + 1));
            made.series[made.count].start_wall_ns = registry->start_wall_ns;
            if (taken < traced)
                read_exemplars(metric, metric->order[j], &made.series[made.count],
                               made.exemplars + taken * (HOST_HISTOGRAM_BOUNDS_MAX + 1));
            taken += made.series[made.count].exemplars != NULL;
        }
    }
    *snapshot = made;
    return GAVEL_OK;
}

void host_snapshot_free(struct host_snapshot *snapshot)
{
    free(snapshot->series);
    free(snapshot->buckets);
    free(snapshot->exemplars);
    *snapshot = (struct host_snapshot){.count = 0};
}

static void write_number(struct gavel_writer *out, double value)
{
    if (value >= 0 && value < 9e15 && value == (double)(uint64_t)value)
        gavel_put_uint(out, (uint64_t)value);
    else
        gavel_put_real(out, value);
}

static void write_histogram(const struct gavel_series *series, struct gavel_writer *out)
{
    gavel_put_key(out, "count");
    gavel_put_uint(out, series->count);
    gavel_put_key(out, "sum");
    gavel_put_real(out, series->sum);
    gavel_put_key(out, "bounds");
    gavel_put_array(out, series->bound_count);
    for (uint64_t i = 0; i < series->bound_count; i++)
        gavel_put_real(out, series->bounds[i]);
    gavel_put_end(out);
    gavel_put_key(out, "buckets");
    gavel_put_array(out, series->bound_count + 1);
    for (uint64_t i = 0; i <= series->bound_count; i++)
        gavel_put_uint(out, series->buckets[i]);
    gavel_put_end(out);
}

static void write_series(const struct gavel_series *series, struct gavel_writer *out)
{
    gavel_put_map(out, series->kind == GAVEL_HISTOGRAM ? 5 : 2);
    gavel_put_key(out, "attributes");
    gavel_put_map(out, series->attribute_count);
    for (uint64_t i = 0; i < series->attribute_count; i++) {
        gavel_put_key(out, series->attributes[i].name);
        gavel_put_string(out, series->attributes[i].value);
    }
    gavel_put_end(out);
    if (series->kind == GAVEL_HISTOGRAM) {
        write_histogram(series, out);
    } else {
        gavel_put_key(out, "value");
        write_number(out, series->value);
    }
    gavel_put_end(out);
}

void host_registry_write(struct host_registry *registry, struct gavel_writer *out)
{
    static const char *const kinds[] = {"", "counter", "gauge", "histogram"};
    uint64_t metrics = atomic_load(&registry->count);
    uint64_t buckets[HOST_HISTOGRAM_BOUNDS_MAX + 1];

    gavel_put_map(out, metrics);
    for (uint64_t i = 0; i < metrics; i++) {
        struct metric *metric = atomic_load(&registry->metric[i]);
        uint64_t count = atomic_load(&metric->count);

        gavel_put_key(out, metric->name);
        gavel_put_map(out, 3);
        gavel_put_key(out, "kind");
        gavel_put_text(out, kinds[metric->kind]);
        gavel_put_key(out, "unit");
        gavel_put_text(out, metric->unit);
        gavel_put_key(out, "series");
        gavel_put_array(out, count);
        for (uint64_t j = 0; j < count; j++) {
            struct gavel_series series;

            read_series(metric, metric->order[j], &series, buckets);
            write_series(&series, out);
        }
        gavel_put_end(out);
        gavel_put_end(out);
    }
    gavel_put_end(out);
}
