/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_machine.c - a state machine that keeps its promises, and with -DBAD_... breaks one of them. tests/check/bad.sh
 * builds each and compares what gavel-check says.
 */
#include <gavel/statemachine.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 32

struct bad {
    const struct gavel_host *host;
    uint64_t total;
    uint64_t size;
    unsigned char text[TEXT_MAX];
    const unsigned char *kept;
    uint64_t reads;
    uint64_t step;    /* replicated option: what `add` adds is multiplied by it */
    uint64_t version; /* in force; as 2, `add` counts one more */
    const struct bad_options *options;
};

struct bad_options {
    uint64_t present;
    uint64_t step;
};
static const struct gavel_field option_rows[] = {
    {.name = "step", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED,
     .offset = offsetof(struct bad_options, step), .fallback = "1", .min = 1, .max = 9, .help = "what to multiply by"}};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct bad_options);

struct put_arguments {
    uint64_t present;
    struct gavel_slice text;
};
static const struct gavel_field put_rows[] = {{.name = "text", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED,
                                               .offset = offsetof(struct put_arguments, text), .max = TEXT_MAX,
                                               .help = "what to keep"}};
static const struct gavel_fields put_fields = GAVEL_FIELDS(put_rows, struct put_arguments);

struct add_arguments {
    uint64_t present;
    int64_t by;
};
static const struct gavel_field add_rows[] = {{.name = "by", .id = 1, .type = GAVEL_INT, .fallback = "1",
                                               .offset = offsetof(struct add_arguments, by), .help = "how much"}};
static const struct gavel_fields add_fields = GAVEL_FIELDS(add_rows, struct add_arguments);

#ifdef BAD_GLOBAL
static uint64_t everybody;
#endif
#ifdef BAD_TIMER
static void fire(void *context) { (void)context; }
#endif
#ifdef BAD_LANE
static void never(void *context) { (void)context; }
#endif
#ifdef BAD_THREAD
static void *idle(void *context)
{
    for (;;)
        (void)pause();
    return context;
}
#endif

static void spoil_add(struct bad *self, const struct gavel_call *call, struct gavel_reply *reply)
{
    (void)self;
    (void)call;
    (void)reply;
#if defined(BAD_CLOCK)
    if (self->total > UINT64_C(1) << 60)
        self->total += (uint64_t)time(NULL);
    (void)time(NULL);
#elif defined(BAD_CLOCK_VALUE)
    self->total += (uint64_t)time(NULL);
#elif defined(BAD_RANDOM)
    (void)rand();
#elif defined(BAD_HOST_CLOCK)
    (void)self->host->wall_ms(self->host->self);
#elif defined(BAD_OPEN)
    (void)close(open("/dev/null", O_RDONLY));
#elif defined(BAD_POINTER)
    self->total += (uintptr_t)self;
#elif defined(BAD_ENVIRONMENT)
    self->total += getenv("TZ") != NULL;
#elif defined(BAD_GLOBAL)
    self->total += everybody++;
#elif defined(BAD_UNINITIALISED)
    uint64_t *made = malloc(64);
    self->total += made ? made[3] : 0;
    free(made);
#elif defined(BAD_LEAK)
    void *volatile lost = malloc(24);
    (void)lost;
#elif defined(BAD_EXIT)
    exit(3);
#elif defined(BAD_ABORT)
    abort();
#elif defined(BAD_CRASH)
    *(volatile int *)self->kept = 1;
#elif defined(BAD_HANG)
    for (;;)
        (void)pause();
#elif defined(BAD_LANE)
    (void)self->host->timer_new(self->host->self, never, NULL);
#elif defined(BAD_TWO)
    gavel_put_nil(reply->out);
#elif defined(BAD_EVENT)
    struct gavel_event event = {.size = GAVEL_END(struct gavel_event, previous), .type = "set",
                                .key = gavel_text("total"), .value = gavel_bytes("\xc1", 1)};
    reply->emit(reply->context, &event);
#endif
}

static int32_t run_add(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct bad *self = context;
    const struct add_arguments *wanted = arguments;
    void *scratch = malloc(16);

    if (!scratch)
#if defined(BAD_MEMORY)
        return gavel_fail(reply->error, GAVEL_E_NO_MEMORY, "no memory to add");
#elif defined(BAD_MEMORY_CRASH)
        *(volatile char *)scratch = 0;
#else
        return gavel_fail(reply->error, GAVEL_E_LOCAL, "no memory to add");
#endif
    free(scratch);
#ifdef BAD_LOCAL
    return gavel_fail(reply->error, GAVEL_E_LOCAL, "not today");
#endif
    if (wanted->by < 0) {
#ifdef BAD_FAILED_WRITE
        self->total++;
#endif
#ifdef BAD_SILENT
        return GAVEL_E_INVALID;
#endif
        return gavel_fail(reply->error, GAVEL_E_INVALID, "the total only grows");
    }
    self->total += (uint64_t)wanted->by * self->step + (call->state_version > 1 && self->version > 1);
    spoil_add(self, call, reply);
    gavel_put_uint(reply->out, self->total);
    return GAVEL_OK;
}

static int32_t run_put(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct bad *self = context;
    const struct put_arguments *wanted = arguments;

    (void)call;
    if (wanted->text.size)
        memcpy(self->text, wanted->text.data, wanted->text.size);
    self->size = wanted->text.size;
    self->kept = wanted->text.data;
#ifdef BAD_HIDDEN_READ
    gavel_put_uint(reply->out, self->reads);
    return GAVEL_OK;
#endif
    gavel_put_nil(reply->out);
    return GAVEL_OK;
}

static int32_t run_get(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct bad *self = context;

    (void)call;
    (void)arguments;
    self->reads++;
#ifdef BAD_READ
    self->total++;
#endif
#ifdef BAD_EMIT
    {
        struct gavel_event event = {.size = GAVEL_END(struct gavel_event, previous), .type = "read"};
        reply->emit(reply->context, &event);
    }
#endif
#ifdef BAD_KEEP
    gavel_put_uint(reply->out, self->kept && self->size ? self->kept[0] : 0);
    return GAVEL_OK;
#endif
    gavel_put_bytes(reply->out, gavel_bytes(self->text, self->size));
    return GAVEL_OK;
}

static int32_t run_next(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    (void)call;
    (void)arguments;
    (void)reply;
    ((struct bad *)context)->total++;
    return GAVEL_OK;
}

static const struct gavel_command commands[] = {
    {"add", 1, GAVEL_WRITE, &add_fields, run_add, "Add to the total", "by=2"},
    {"put", 2, GAVEL_WRITE, &put_fields, run_put, "Keep a text", "text=hello"},
    {"get", 3, GAVEL_READ, NULL, run_get, "Answer the text", NULL},
    {"next", 4, GAVEL_WRITE | GAVEL_INTERNAL, NULL, run_next, "What maintain asks for", NULL},
};

static void state(void *context, struct gavel_machine_state *out)
{
    struct bad *self = context;

    out->digest[0] = out->digest[1] = 0;
    gavel_digest_add(out->digest, gavel_text("total"), gavel_bytes(&self->total, sizeof self->total));
    gavel_digest_add(out->digest, gavel_text("text"), gavel_bytes(self->text, self->size));
    out->entries = 2;
}

static int32_t begin(void *context, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = context;
    return GAVEL_OK;
}

static int32_t next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct bad *self = context;
    int32_t status;

    (void)snapshot;
#ifdef BAD_CONCURRENT
    (void)usleep(20000); /* sleep-allowed: it is a slow snapshot, which waits for nothing */
#endif
    status = gavel_buffer_append(chunk, &self->total, 8);
    if (status == GAVEL_OK)
        status = gavel_buffer_append(chunk, &self->size, 8);
#ifndef BAD_SNAPSHOT
    if (status == GAVEL_OK)
        status = gavel_buffer_append(chunk, self->text, self->size);
#endif
    return status == GAVEL_OK ? status : gavel_fail(error, status, "no memory for a chunk");
}

static void end(void *context, void *snapshot)
{
    (void)context;
    (void)snapshot;
}

static int32_t restore_begin(void *context, uint64_t version, struct gavel_error *error)
{
    struct bad *self = context;

    if (version < 1 || version > 2)
        return gavel_fail(error, GAVEL_E_VERSION, "state version %llu", (unsigned long long)version);
#ifndef BAD_VERSION
    self->version = version;
#endif
    self->total = 0;
    self->size = 0;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    struct bad *self = context;
    const unsigned char *data = chunk.data;

    if (chunk.size < 16)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a chunk of %llu bytes", (unsigned long long)chunk.size);
    memcpy(&self->total, data, 8);
    memcpy(&self->size, data + 8, 8);
#ifdef BAD_SNAPSHOT
    return GAVEL_OK;
#endif
#ifdef BAD_DAMAGE
    memcpy(malloc(self->size), data + 16, self->size);
#endif
    if (self->size > TEXT_MAX || chunk.size != 16 + self->size) {
        self->size = 0;
        return gavel_fail(error, GAVEL_E_CORRUPT, "a text that cannot be");
    }
    memcpy(self->text, data + 16, self->size);
    return GAVEL_OK;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    (void)context;
    (void)error;
    return GAVEL_OK;
}

static uint64_t maintain(void *context, uint64_t tick_ms, struct gavel_buffer *arguments)
{
    struct bad *self = context;

    (void)tick_ms;
    (void)arguments;
#if defined(BAD_MAINTAIN)
    self->total++;
#elif defined(BAD_MAINTAIN_ID)
    return 99;
#endif
    return self->total % 2 ? 4 : 0;
}

static int32_t act_as(void *context, uint64_t version, struct gavel_error *error)
{
    struct bad *self = context;

    (void)error;
#ifdef BAD_ACT_AS
    if (version == 2)
        self->total += (uintptr_t)self;
#endif
    self->version = version;
    return GAVEL_OK;
}

static int32_t configure(void *context, const void *options, struct gavel_error *error)
{
    struct bad *self = context;

    (void)error;
    self->options = options;
#if defined(BAD_CONFIGURE)
    self->step += self->options->step;
#elif defined(BAD_CONFIGURE_POINTER)
    self->step = self->options->step + (uintptr_t)self;
#else
    self->step = self->options->step;
#endif
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **out, struct gavel_error *error)
{
    struct bad *self = calloc(1, sizeof *self);

    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    self->host = host;
    self->options = options;
    self->step = self->options->step;
    self->version = 2;
    *out = self;
    return GAVEL_OK;
}

static int32_t start(void *context, struct gavel_error *error)
{
    struct bad *self = context;

    (void)self;
    (void)error;
#if defined(BAD_TIMER)
    (void)self->host->timer_new(self->host->self, fire, self);
#elif defined(BAD_DESCRIPTOR)
    (void)!open("/dev/null", O_RDONLY);
#elif defined(BAD_THREAD)
    {
        pthread_t thread;
        (void)pthread_create(&thread, NULL, idle, NULL);
    }
#endif
    return GAVEL_OK;
}

static void quiesce(void *context, void (*done)(void *context), void *argument)
{
    (void)context;
#ifdef BAD_QUIESCE_TWICE
    done(argument);
#endif
#ifdef BAD_QUIESCE_NEVER
    return;
#endif
    done(argument);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, configure),
#ifdef BAD_CONCURRENT
    .flags = GAVEL_BOUNDED | GAVEL_CONCURRENT,
#else
    .flags = GAVEL_BOUNDED,
#endif
    .state_version = 2, .commands = commands, .command_count = 4, .command_stride = sizeof(struct gavel_command),
    .state = state, .snapshot_begin = begin, .snapshot_next = next, .snapshot_end = end,
    .restore_begin = restore_begin, .restore_chunk = restore_chunk, .restore_end = restore_end, .maintain = maintain,
    .state_version_oldest = 1, .act_as = act_as, .configure = configure};
static const struct gavel_plugin plugin = {
#ifdef BAD_SIZE
    .size = 16,
#else
    .size = GAVEL_END(struct gavel_plugin, destroy),
#endif
    .abi_major = GAVEL_ABI_MAJOR, .abi_minor = GAVEL_ABI_TARGET, .kind = GAVEL_KIND_STATEMACHINE, .name = "bad",
    .version = "1", .summary = "A machine that breaks a promise", .options = &option_fields, .operations = &operations,
    .create = create, .start = start, .quiesce = quiesce, .destroy = free};

GAVEL_PLUGIN(bad)
{
    return &plugin;
}
