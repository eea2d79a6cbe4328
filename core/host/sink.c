/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - the queue to the observer lane. Records are made and filtered by whoever logs; the lane takes the whole
 * list at once, so the lock is held for a few instructions only.
 */
#include "core/host/sink.h"

#include "core/host/schema.h"
#include "core/os/list.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SINK_MAGIC 0x3e8d62b1u

enum { RECORD_LOG, RECORD_SPAN, RECORD_METRICS };

/* One record; its texts follow in the same memory. */
struct record {
    struct record *next;
    uint64_t kind;
    uint64_t bytes;
    uint64_t observers; /* bit i: for the i-th observer */
    struct gavel_log_event log;
    struct gavel_trace trace;
    struct gavel_span span;
    char text[];
};

struct level {
    char module[HOST_SINK_MODULE_MAX];
    uint64_t level;
};

struct observer {
    const struct gavel_observer *operations;
    void *self;
    uint64_t level;
    struct level levels[HOST_SINK_LEVELS_MAX];
    uint64_t count;
};

/* The observers as the lane sees them in one pass: they may be replaced meanwhile. */
struct view {
    const struct gavel_observer *operations;
    void *self;
};

struct host_sink {
    uint32_t magic;
    const struct os *os;
    const char *node;
    struct host_registry *registry;
    void (*wake)(void *context);
    void *context;
    struct observer observer[HOST_SINK_OBSERVERS_MAX]; /* under the lock; `operations` NULL: nobody */
    uint64_t observer_count;
    struct view view[HOST_SINK_OBSERVERS_MAX]; /* [observer] */
    uint64_t view_count;                       /* [observer] */
    uint64_t passes; /* [loop] of the lane, that have ended */
    _Atomic uint64_t least; /* level that any observer wants of any module: the way out for what nobody wants */
    _Atomic uint64_t dropped;
    uint64_t dropped_told; /* [observer] */
    pthread_mutex_t lock;  /* levels, and the queue: */
    struct record *head;
    struct record **tail;
    _Atomic uint64_t waiting;
    uint64_t bytes;
    struct os_job job;
    bool busy; /* [loop] the job is on the lane */
};

const char *const host_log_modules[] = {"apply", "cluster", "discover", "disk", "health", "host", "log", "node", "peer",
                                        "raft", "recover", "settings", "snapshot", "state", NULL};

/* ---- levels ------------------------------------------------------------------------------------------------------ */

static int32_t parse_level(struct gavel_slice text, uint64_t *level, struct gavel_error *error)
{
    for (uint64_t i = 0; host_level_names[i]; i++) {
        if (gavel_slice_equal(text, gavel_text(host_level_names[i]))) {
            *level = i + 1;
            return GAVEL_OK;
        }
    }
    return gavel_fail(error, GAVEL_E_INVALID, "expected a level (trace, debug, info, warn or error), found \"%.*s\"",
                      (int)(text.size < 40 ? text.size : 40), (const char *)text.data);
}

int32_t host_sink_level(struct gavel_slice text, char *module, uint64_t *level, struct gavel_error *error)
{
    const char *colon = memchr(text.data, ':', (size_t)text.size);
    uint64_t size = colon ? (uint64_t)(colon - (const char *)text.data) : 0;

    if (size == 0 || size >= HOST_SINK_MODULE_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "expected module:level such as raft:debug, found \"%.*s\"",
                          (int)(text.size < 40 ? text.size : 40), (const char *)text.data);
    memcpy(module, text.data, (size_t)size);
    module[size] = 0;
    return parse_level(gavel_bytes(colon + 1, text.size - size - 1), level, error);
}

/* The longest name that is the module's own or one above it, up to a '.'. */
static uint64_t level_of(const struct observer *observer, const char *module)
{
    uint64_t level = observer->level;
    size_t longest = 0;

    for (uint64_t i = 0; i < observer->count; i++) {
        size_t size = strlen(observer->levels[i].module);

        if (size > longest && strncmp(module, observer->levels[i].module, size) == 0 &&
            (module[size] == 0 || module[size] == '.')) {
            longest = size;
            level = observer->levels[i].level;
        }
    }
    return level;
}

/* [locked] */
static void find_least(struct host_sink *sink)
{
    uint64_t least = GAVEL_LOG_ERROR + 1;

    for (uint64_t i = 0; i < sink->observer_count; i++) {
        const struct observer *observer = &sink->observer[i];

        if (!observer->operations || !(observer->operations->wants & GAVEL_OBSERVE_LOGS))
            continue;
        least = observer->level < least ? observer->level : least;
        for (uint64_t j = 0; j < observer->count; j++)
            least = observer->levels[j].level < least ? observer->levels[j].level : least;
    }
    atomic_store(&sink->least, least);
}

/* [locked] */
static int32_t put_level(struct observer *observer, const char *module, uint64_t level, struct gavel_error *error)
{
    for (uint64_t i = 0; i < observer->count; i++) {
        if (strcmp(observer->levels[i].module, module) == 0) {
            observer->levels[i].level = level;
            return GAVEL_OK;
        }
    }
    if (observer->count == HOST_SINK_LEVELS_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d modules with a level of their own",
                          HOST_SINK_LEVELS_MAX);
    (void)snprintf(observer->levels[observer->count].module, HOST_SINK_MODULE_MAX, "%s", module);
    observer->levels[observer->count++].level = level;
    return GAVEL_OK;
}

static bool wants(const struct observer *observer, uint64_t what)
{
    return observer->operations && observer->operations->wants & what;
}

/* [locked] The observers that want an event. */
static uint64_t wanting(const struct host_sink *sink, uint64_t level, const char *module)
{
    uint64_t observers = 0;

    for (uint64_t i = 0; i < sink->observer_count; i++)
        if (wants(&sink->observer[i], GAVEL_OBSERVE_LOGS) && level >= level_of(&sink->observer[i], module))
            observers |= UINT64_C(1) << i;
    return observers;
}

bool host_sink_wanted(struct host_sink *sink, uint64_t level, const char *module)
{
    bool wanted;

    assert(sink->magic == SINK_MAGIC);
    if (level < atomic_load_explicit(&sink->least, memory_order_relaxed))
        return false;
    (void)pthread_mutex_lock(&sink->lock);
    wanted = wanting(sink, level, module) != 0;
    (void)pthread_mutex_unlock(&sink->lock);
    return wanted;
}

int32_t host_sink_set_level(struct host_sink *sink, struct gavel_slice module, struct gavel_slice level,
                            struct gavel_error *error)
{
    char name[HOST_SINK_MODULE_MAX];
    uint64_t number;
    int32_t status = parse_level(level, &number, error);

    assert(sink->magic == SINK_MAGIC);
    if (status != GAVEL_OK)
        return status;
    if (module.size >= sizeof name)
        return gavel_fail(error, GAVEL_E_INVALID, "a module's name has at most %d bytes", HOST_SINK_MODULE_MAX - 1);
    if (module.size)
        memcpy(name, module.data, (size_t)module.size);
    name[module.size] = 0;
    (void)pthread_mutex_lock(&sink->lock);
    for (uint64_t i = 0; i < sink->observer_count && status == GAVEL_OK; i++) {
        if (module.size == 0)
            sink->observer[i].level = number;
        else
            status = put_level(&sink->observer[i], name, number, error);
    }
    find_least(sink);
    (void)pthread_mutex_unlock(&sink->lock);
    return status;
}

bool host_sink_show_levels(struct host_sink *sink, const void *self, struct gavel_writer *out)
{
    struct observer found = {.operations = NULL};

    assert(sink->magic == SINK_MAGIC);
    (void)pthread_mutex_lock(&sink->lock);
    for (uint64_t i = 0; i < sink->observer_count; i++)
        if (sink->observer[i].self == self && wants(&sink->observer[i], GAVEL_OBSERVE_LOGS))
            found = sink->observer[i];
    (void)pthread_mutex_unlock(&sink->lock);
    if (!found.operations)
        return false;
    gavel_put_key(out, "level");
    gavel_put_text(out, host_level_names[found.level - 1]);
    gavel_put_key(out, "levels");
    gavel_put_map(out, found.count);
    for (uint64_t i = 0; i < found.count; i++) {
        gavel_put_key(out, found.levels[i].module);
        gavel_put_text(out, host_level_names[found.levels[i].level - 1]);
    }
    gavel_put_end(out);
    return true;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void run(struct os_job *job);
static void done(struct os_job *job);

struct host_sink *host_sink_new(const struct os *os, const char *node, struct host_registry *registry,
                                void (*wake)(void *context), void *context)
{
    struct host_sink *sink = calloc(1, sizeof *sink);

    if (!sink)
        return NULL;
    if (pthread_mutex_init(&sink->lock, NULL) != 0) {
        free(sink);
        return NULL;
    }
    sink->magic = SINK_MAGIC;
    sink->os = os;
    sink->node = node;
    sink->registry = registry;
    sink->wake = wake;
    sink->context = context;
    sink->tail = &sink->head;
    sink->job.run = run;
    sink->job.done = done;
    atomic_store(&sink->least, GAVEL_LOG_ERROR + 1);
    return sink;
}

static int32_t make_observer(struct observer *observer, const struct gavel_observer *operations, void *self,
                             uint64_t level, const struct gavel_slice *levels, uint64_t count,
                             struct gavel_error *error)
{
    memset(observer, 0, sizeof *observer);
    observer->operations = operations;
    observer->self = self;
    observer->level = level;
    for (uint64_t i = 0; i < count; i++) {
        char module[HOST_SINK_MODULE_MAX];
        uint64_t number;
        int32_t status = host_sink_level(levels[i], module, &number, error);

        if (status == GAVEL_OK)
            status = put_level(observer, module, number, error);
        if (status != GAVEL_OK)
            return status;
    }
    return GAVEL_OK;
}

/* Put it in, in place of `old` (NULL: of nobody). */
static int32_t put_observer(struct host_sink *sink, const void *old, const struct observer *observer,
                            struct gavel_error *error)
{
    uint64_t at = 0;

    while (at < sink->observer_count &&
           (old ? sink->observer[at].self != old || !sink->observer[at].operations
                : sink->observer[at].operations != NULL))
        at++;
    if (at == HOST_SINK_OBSERVERS_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d observers", HOST_SINK_OBSERVERS_MAX);
    (void)pthread_mutex_lock(&sink->lock);
    sink->observer[at] = *observer;
    sink->observer_count += at == sink->observer_count;
    find_least(sink);
    (void)pthread_mutex_unlock(&sink->lock);
    return GAVEL_OK;
}

int32_t host_sink_add(struct host_sink *sink, const struct gavel_observer *operations, void *self, uint64_t level,
                      const struct gavel_slice *levels, uint64_t count, struct gavel_error *error)
{
    struct observer made;
    int32_t status = make_observer(&made, operations, self, level, levels, count, error);

    assert(sink->magic == SINK_MAGIC);
    return status == GAVEL_OK ? put_observer(sink, NULL, &made, error) : status;
}

int32_t host_sink_replace(struct host_sink *sink, const void *old, const struct gavel_observer *operations, void *self,
                          uint64_t level, const struct gavel_slice *levels, uint64_t count, uint64_t *mark,
                          struct gavel_error *error)
{
    struct observer made;
    int32_t status = make_observer(&made, operations, self, level, levels, count, error);

    assert(sink->magic == SINK_MAGIC);
    if (status == GAVEL_OK)
        status = put_observer(sink, old, &made, error);
    if (status == GAVEL_OK && mark)
        *mark = sink->passes + sink->busy;
    return status;
}

bool host_sink_past(const struct host_sink *sink, uint64_t mark)
{
    return sink->passes >= mark;
}

uint64_t host_sink_bit(const struct host_sink *sink, const void *self)
{
    for (uint64_t i = 0; i < sink->observer_count; i++)
        if (sink->observer[i].operations && sink->observer[i].self == self)
            return UINT64_C(1) << i;
    return 0;
}

bool host_sink_wants_spans(const struct host_sink *sink)
{
    for (uint64_t i = 0; i < sink->observer_count; i++)
        if (wants(&sink->observer[i], GAVEL_OBSERVE_SPANS))
            return true;
    return false;
}

uint64_t host_sink_waiting(const struct host_sink *sink)
{
    return atomic_load_explicit(&sink->waiting, memory_order_relaxed);
}

uint64_t host_sink_dropped(const struct host_sink *sink)
{
    return atomic_load(&sink->dropped);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* Queue a record, or drop it. */
static void push(struct host_sink *sink, struct record *record)
{
    bool first = false;

    (void)pthread_mutex_lock(&sink->lock);
    if (sink->waiting == HOST_SINK_RECORDS_MAX || sink->bytes + record->bytes > HOST_SINK_BYTES_MAX) {
        (void)pthread_mutex_unlock(&sink->lock);
        (void)atomic_fetch_add(&sink->dropped, 1);
        free(record);
        return;
    }
    first = sink->head == NULL;
    record->next = NULL;
    *sink->tail = record;
    sink->tail = &record->next;
    sink->waiting++;
    sink->bytes += record->bytes;
    (void)pthread_mutex_unlock(&sink->lock);
    if (first)
        sink->wake(sink->context);
}

static struct record *record_new(struct host_sink *sink, uint64_t kind, uint64_t text_bytes)
{
    struct record *record = malloc(sizeof *record + text_bytes);

    if (!record) {
        (void)atomic_fetch_add(&sink->dropped, 1);
        return NULL;
    }
    memset(record, 0, sizeof *record);
    record->kind = kind;
    record->bytes = sizeof *record + text_bytes;
    return record;
}

/* Bytes of the well-formed UTF-8 character at `at`, control characters excluded; 0 when there is none. */
static size_t character(const unsigned char *at, size_t room)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

    if (size == 0 || size > room || *at < 0x20 || *at == 0x7f)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) || (*at == 0xf0 && at[1] < 0x90) ||
        (*at == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

/* Copy one line of text; a sentence with a line break in it could forge the next line. Returns the bytes. */
static uint64_t copy_line(char *to, struct gavel_slice text)
{
    const unsigned char *from = text.data;
    uint64_t used = 0;

    for (uint64_t i = 0; i < text.size && used + 4 <= HOST_SINK_TEXT_MAX;) {
        size_t size = character(from + i, (size_t)(text.size - i));

        if (size == 0) {
            to[used++] = '?';
            i++;
        } else {
            memcpy(to + used, from + i, size);
            used += size;
            i += size;
        }
    }
    return used;
}

void host_sink_log(struct host_sink *sink, uint64_t level, const char *module, const struct gavel_trace *trace,
                   struct gavel_slice text)
{
    uint64_t room = text.size < HOST_SINK_TEXT_MAX ? text.size : HOST_SINK_TEXT_MAX, observers;
    size_t module_size = strnlen(module ? module : "", HOST_SINK_MODULE_MAX - 1);
    struct record *record;
    char *name;

    assert(sink->magic == SINK_MAGIC);
    if (level < atomic_load_explicit(&sink->least, memory_order_relaxed))
        return;
    (void)pthread_mutex_lock(&sink->lock);
    observers = wanting(sink, level, module ? module : "");
    (void)pthread_mutex_unlock(&sink->lock);
    record = observers ? record_new(sink, RECORD_LOG, room + module_size + 1) : NULL;
    if (!record)
        return;
    record->observers = observers;
    name = record->text + room;
    memcpy(name, module ? module : "", module_size);
    name[module_size] = 0;
    record->log = (struct gavel_log_event){
        .size = GAVEL_END(struct gavel_log_event, trace),
        .wall_ms = os_wall_ms(sink->os),
        .level = level,
        .node = sink->node,
        .module = name,
        .text = gavel_bytes(record->text, copy_line(record->text, text)),
    };
    if (trace) {
        record->trace = *trace;
        record->log.trace = &record->trace;
    }
    push(sink, record);
}

/* Take `size` bytes from a record's text. */
static char *carve(char **at, const void *from, uint64_t size)
{
    char *copy = *at;

    if (size)
        memcpy(copy, from, (size_t)size);
    copy[size] = 0;
    *at += size + 1;
    return copy;
}

void host_sink_span(struct host_sink *sink, const struct gavel_span *span)
{
    uint64_t bytes = strlen(span->name) + 1 + 16, observers = 0;
    struct gavel_attribute *attributes;
    struct record *record;
    char *at;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint64_t i = 0; i < sink->observer_count; i++)
        if (wants(&sink->observer[i], GAVEL_OBSERVE_SPANS))
            observers |= UINT64_C(1) << i;
    (void)pthread_mutex_unlock(&sink->lock);
    for (uint64_t i = 0; i < span->attribute_count; i++)
        bytes += sizeof *attributes + strlen(span->attributes[i].name) + 1 + span->attributes[i].value.size + 1;
    record = observers ? record_new(sink, RECORD_SPAN, bytes) : NULL;
    if (!record)
        return;
    record->observers = observers;
    record->span = *span;
    /* `text` follows 8-byte members, so the attributes are aligned at its beginning. */
    attributes = (struct gavel_attribute *)(void *)record->text;
    at = record->text + span->attribute_count * sizeof *attributes;
    record->span.name = carve(&at, span->name, strlen(span->name));
    for (uint64_t i = 0; i < span->attribute_count; i++) {
        attributes[i].name = carve(&at, span->attributes[i].name, strlen(span->attributes[i].name));
        attributes[i].value.data = carve(&at, span->attributes[i].value.data, span->attributes[i].value.size);
        attributes[i].value.size = span->attributes[i].value.size;
    }
    record->span.attributes = attributes;
    push(sink, record);
}

void host_sink_metrics(struct host_sink *sink, uint64_t observers)
{
    struct record *record = record_new(sink, RECORD_METRICS, 0);

    if (!record)
        return;
    record->observers = observers;
    push(sink, record);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static void give_metrics(const struct host_sink *sink, const struct record *record)
{
    struct host_snapshot snapshot;

    if (host_registry_snapshot(sink->registry, &snapshot) != GAVEL_OK)
        return;
    for (uint64_t i = 0; i < sink->view_count; i++) {
        const struct view *observer = &sink->view[i];

        if (record->observers >> i & 1 && observer->operations && observer->operations->metrics)
            observer->operations->metrics(observer->self, os_wall_ms(sink->os), snapshot.series, snapshot.count,
                                          sizeof *snapshot.series);
    }
    host_snapshot_free(&snapshot);
}

static void give(const struct host_sink *sink, const struct record *record)
{
    if (record->kind == RECORD_METRICS) {
        give_metrics(sink, record);
        return;
    }
    for (uint64_t i = 0; i < sink->view_count; i++) {
        const struct view *observer = &sink->view[i];

        if (!(record->observers >> i & 1) || !observer->operations)
            continue;
        if (record->kind == RECORD_LOG && observer->operations->log)
            observer->operations->log(observer->self, &record->log);
        if (record->kind == RECORD_SPAN && observer->operations->span)
            observer->operations->span(observer->self, &record->span);
    }
}

/* [observer] What was dropped shows up in the log itself, once it flows again. */
static void tell_dropped(struct host_sink *sink)
{
    uint64_t dropped = atomic_load(&sink->dropped);
    char text[96];
    struct gavel_log_event event = {
        .size = GAVEL_END(struct gavel_log_event, trace),
        .wall_ms = os_wall_ms(sink->os),
        .level = GAVEL_LOG_WARN,
        .node = sink->node,
        .module = "host",
    };

    if (dropped == sink->dropped_told)
        return;
    (void)snprintf(text, sizeof text, "%llu log events or spans were dropped: the observers are slow",
                   (unsigned long long)(dropped - sink->dropped_told));
    sink->dropped_told = dropped;
    event.text = gavel_text(text);
    for (uint64_t i = 0; i < sink->view_count; i++)
        if (sink->view[i].operations && sink->view[i].operations->log)
            sink->view[i].operations->log(sink->view[i].self, &event);
}

/* [observer] Take all that waits and hand it over. */
static void hand_over(struct host_sink *sink)
{
    struct record *record, *next;

    (void)pthread_mutex_lock(&sink->lock);
    record = sink->head;
    sink->head = NULL;
    sink->tail = &sink->head;
    sink->waiting = 0;
    sink->bytes = 0;
    sink->view_count = sink->observer_count;
    for (uint64_t i = 0; i < sink->view_count; i++)
        sink->view[i] = (struct view){sink->observer[i].operations, sink->observer[i].self};
    (void)pthread_mutex_unlock(&sink->lock);
    for (; record; record = next) {
        next = record->next;
        give(sink, record);
        free(record);
    }
    tell_dropped(sink);
    for (uint64_t i = 0; i < sink->view_count; i++)
        if (sink->view[i].operations && sink->view[i].operations->flush)
            sink->view[i].operations->flush(sink->view[i].self);
}

static void run(struct os_job *job)
{
    hand_over(os_container(job, struct host_sink, job));
}

static void done(struct os_job *job)
{
    struct host_sink *sink = os_container(job, struct host_sink, job);

    sink->busy = false;
    sink->passes++;
    host_sink_pump(sink);
}

static bool anything_waits(struct host_sink *sink)
{
    bool waits;

    (void)pthread_mutex_lock(&sink->lock);
    waits = sink->head != NULL;
    (void)pthread_mutex_unlock(&sink->lock);
    return waits;
}

void host_sink_pump(struct host_sink *sink)
{
    assert(sink->magic == SINK_MAGIC);
    if (sink->busy || !anything_waits(sink))
        return;
    sink->busy = true;
    os_submit(sink->os, OS_LANE_OBSERVER, &sink->job);
}

void host_sink_tick(struct host_sink *sink)
{
    bool flushed = false;

    assert(sink->magic == SINK_MAGIC);
    for (uint64_t i = 0; i < sink->observer_count; i++)
        flushed = flushed || (sink->observer[i].operations && sink->observer[i].operations->flush);
    if (sink->busy || !flushed)
        return;
    sink->busy = true;
    os_submit(sink->os, OS_LANE_OBSERVER, &sink->job);
}

void host_sink_drain(struct host_sink *sink)
{
    assert(sink->magic == SINK_MAGIC);
    if (!sink->busy)
        hand_over(sink);
}

struct host_sink *host_sink_free(struct host_sink *sink)
{
    if (!sink)
        return NULL;
    assert(sink->magic == SINK_MAGIC);
    assert(!sink->busy);
    for (struct record *record = sink->head, *next; record; record = next) {
        next = record->next;
        free(record);
    }
    (void)pthread_mutex_destroy(&sink->lock);
    sink->magic = 0;
    free(sink);
    return NULL;
}
