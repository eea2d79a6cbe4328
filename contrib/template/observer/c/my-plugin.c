/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin.c - an observer: log events, spans and metrics as lines of one file.
 *
 *     1764417601123 log info raft "Leader elected: node-1 (term 1)"
 *     1764417601123 span command 0 1520us machine="bank"
 *     1764417601123 metric log.syncs 42 device="a"
 *
 * The host calls from a lane of the observers' own, behind a bounded queue, so nothing here can slow a commit; but who
 * blocks loses the events of all others. So the file is never waited for: what it does not take stays in a buffer of a
 * fixed size, and what that does not take is dropped, counted, and told in a line of its own when there is room again.
 */
#include <gavel/observer.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES 65536u
#define LINE_BYTES_MAX 2048u /* a longer line is cut */

struct options {
    uint64_t present; /* begins every struct that a field table describes */
    struct gavel_slice file;
    uint64_t file_bytes;
};
static const struct gavel_field option_rows[] = {
    { .name = "file", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED, .min = 2, .max = 1000,
      .offset = offsetof(struct options, file), .unit = "bytes", .help = "full path of the file, made with mode 0600" },
    { .name = "file_bytes", .id = 2, .type = GAVEL_SIZE, .fallback = "64MiB", .min = 4096, .max = INT64_C(1) << 40,
      .offset = offsetof(struct options, file_bytes),
      .help = "size at which the file becomes FILE.1, in the place of an older one" },
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

struct observer {
    const struct gavel_host *host;
    const struct options *options; /* the host's, valid until destroy */
    char path[1024];
    int fd;          /* -1: it could not be opened; the next flush tries again */
    uint64_t size;   /* of the file */
    uint64_t lines;  /* written or in the buffer */
    uint64_t lost;   /* dropped since the last line about it */
    uint64_t used;
    char buffer[BUFFER_BYTES];
};

/* ---- lines ------------------------------------------------------------------------------------------------------- */

struct line {
    uint64_t used;
    char text[LINE_BYTES_MAX];
};

static void put(struct line *line, const char *format, ...) GAVEL_PRINTF(2, 3);
static void put(struct line *line, const char *format, ...)
{
    uint64_t room = sizeof line->text - 1 - line->used; /* one byte is the line end's */
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line->text + line->used, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        line->used += (uint64_t)size < room ? (uint64_t)size : room ? room - 1 : 0;
}

/* A text in quotes. Control characters, quotes and backslashes become '?': whatever a client sent may be in here. */
static void put_quoted(struct line *line, struct gavel_slice text)
{
    put(line, "\"");
    for (uint64_t i = 0; i < text.size && line->used < sizeof line->text - 64; i++) {
        unsigned char byte = ((const unsigned char *)text.data)[i];

        line->text[line->used++] = (char)(byte < 0x20 || byte == 0x7f || byte == '"' || byte == '\\' ? '?' : byte);
    }
    put(line, "\"");
}

static void put_attributes(struct line *line, const struct gavel_attribute *attributes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        put(line, " %s=", attributes[i].name);
        put_quoted(line, attributes[i].value);
    }
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* O_NONBLOCK: should somebody put a pipe there, its reader must not hold us up either. */
static int open_file(struct observer *self)
{
    struct stat now;

    self->fd = open(self->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    self->size = self->fd >= 0 && fstat(self->fd, &now) == 0 && S_ISREG(now.st_mode) ? (uint64_t)now.st_size : 0;
    return self->fd;
}

static void rotate(struct observer *self)
{
    char old[sizeof self->path + 2];

    (void)snprintf(old, sizeof old, "%s.1", self->path);
    if (rename(self->path, old) != 0)
        return; /* a file that is too long is better than none */
    (void)close(self->fd);
    (void)open_file(self);
}

/* [observer] Write what the file takes at this moment; the rest stays. */
static void flush(void *context)
{
    struct observer *self = context;
    uint64_t done = 0;

    if (self->fd < 0 && open_file(self) < 0)
        return;
    while (done < self->used) {
        ssize_t wrote = write(self->fd, self->buffer + done, self->used - done);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        done += (uint64_t)wrote;
    }
    memmove(self->buffer, self->buffer + done, self->used - done);
    self->used -= done;
    self->size += done;
    if (self->size >= self->options->file_bytes)
        rotate(self);
}

/* Into the buffer, as a whole or not at all. */
static int keep(struct observer *self, struct line *line)
{
    line->text[line->used++] = '\n';
    if (line->used > sizeof self->buffer - self->used)
        flush(self);
    if (line->used > sizeof self->buffer - self->used)
        return 0;
    memcpy(self->buffer + self->used, line->text, line->used);
    self->used += line->used;
    self->lines++;
    return 1;
}

static void end(struct observer *self, struct line *line)
{
    struct line lost = { 0 };

    if (self->lost) {
        put(&lost, "0 lost %llu lines: the file did not take them", (unsigned long long)self->lost);
        if (keep(self, &lost))
            self->lost = 0;
    }
    self->lost += !keep(self, line);
}

/* ---- what the host tells, all [observer] ------------------------------------------------------------------------- */

static void on_log(void *context, const struct gavel_log_event *event)
{
    static const char *const names[] = { "", "trace", "debug", "info", "warn", "error" };
    struct line line = { 0 };

    put(&line, "%llu log %s %s ", (unsigned long long)event->wall_ms, event->level <= 5 ? names[event->level] : "?",
        event->module ? event->module : "");
    put_quoted(&line, event->text);
    end(context, &line);
}

static void on_span(void *context, const struct gavel_span *span)
{
    struct line line = { 0 };
    uint64_t took = span->end_wall_ns > span->start_wall_ns ? span->end_wall_ns - span->start_wall_ns : 0;

    put(&line, "%llu span %s %lld %lluus", (unsigned long long)(span->end_wall_ns / 1000000), span->name,
        (long long)span->status, (unsigned long long)(took / 1000));
    put_attributes(&line, span->attributes, span->attribute_count);
    end(context, &line);
}

/* A histogram is told as its count and its sum: what a reader of lines can work with. */
static void on_metrics(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                       uint64_t stride)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct gavel_series *each = (const void *)((const char *)series + i * stride);
        struct line line = { 0 };

        put(&line, "%llu metric %s ", (unsigned long long)wall_ms, each->name);
        if (each->kind == GAVEL_HISTOGRAM)
            put(&line, "%llu %.17g", (unsigned long long)each->count, each->sum);
        else
            put(&line, "%.17g", each->value);
        put_attributes(&line, each->attributes, each->attribute_count);
        end(context, &line);
    }
}

static const struct gavel_observer operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_SPANS | GAVEL_OBSERVE_METRICS,
    .log = on_log,
    .span = on_span,
    .metrics = on_metrics,
    .flush = flush,
};

/* ---- life, all [loop] -------------------------------------------------------------------------------------------- */

/* What the table cannot say. Called by gaveld --check-config too, so without any effect. */
static int32_t check(const struct gavel_host *host, const void *options, struct gavel_error *error)
{
    const struct options *given = options;
    const char *path = given->file.data;

    if (path[0] != '/' || memchr(path, 0, given->file.size))
        return gavel_fail(error, GAVEL_E_CONFIG, "file: expected a full path, found \"%.*s\"", (int)given->file.size,
                          path);
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct observer *self = host->heap->resize(host->heap->self, NULL, sizeof *self);

    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a buffer of %u bytes", BUFFER_BYTES);
    memset(self, 0, sizeof *self);
    self->host = host;
    self->options = options;
    self->fd = -1;
    memcpy(self->path, self->options->file.data, self->options->file.size); /* the table bounds its size */
    *instance = self;
    return GAVEL_OK;
}

/* Nothing is opened before start; and whoever starts a node wants to hear now that the file cannot be written. */
static int32_t start(void *context, struct gavel_error *error)
{
    struct observer *self = context;

    if (open_file(self) < 0)
        return gavel_fail(error, GAVEL_E_IO, "%s: %s", self->path, strerror(errno));
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct observer *self = context;

    if (self->fd >= 0) {
        flush(self);
        (void)close(self->fd);
    }
    (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_OBSERVER,
    .name = "my-plugin",
    .version = PACKAGE_VERSION,
    .summary = "Log events, spans and metrics as lines of one file",
    .options = &option_fields,
    .operations = &operations,
    .check = check,
    .create = create,
    .start = start,
    .destroy = destroy,
};

GAVEL_PLUGIN(my_plugin)
{
    return &plugin;
}
