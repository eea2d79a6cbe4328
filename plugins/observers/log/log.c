/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - the observer "log": log events as lines for people or for machines, to stderr, stdout or a file.
 *
 *     2026-11-23T14:20:01.123Z INFO  [node-1] Leader elected: node-1  (raft)
 *     {"time":"2026-11-23T14:20:01.123Z","level":"info","node":"node-1","module":"raft","text":"Leader elected:
 *     node-1"}
 *
 * Lines gather in a buffer while the host's queue is not empty and are written with one call when it is. A line that
 * the system refuses is lost: the log never stops a node. Which levels arrive here is the host's decision (`level`,
 * `levels`). Lines that differ in numbers only are held back when too many of them come, and told together.
 */
#include <gavel/observer.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MAGIC 0x10c0b5e7u
#define LOG_BUFFER (64u * 1024) /* bytes gathered before they are written in any case */
#define LOG_LINE_ROOM 8192u     /* room for one line, escapes included; longer ones are cut */

enum { FORMAT_HUMAN, FORMAT_JSON };
enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

enum { PRIORITY_AUTO, PRIORITY_ALWAYS, PRIORITY_NEVER };

#define REPEATS_MAX 64          /* kinds of lines that are counted at the same time */
#define REPEAT_PROBES 8         /* places of one kind */
#define REPEAT_MODULE_ROOM 64
#define REPEAT_TEXT_ROOM 256    /* of the first such line, for the summary */

struct log_options {
    uint64_t present;
    uint64_t format;
    uint64_t colour;
    struct gavel_slice output;
    uint64_t priority;
    uint64_t repeats;
    uint64_t repeat_window;
};

/* Lines of one module, level and shape within one window. */
struct repeat {
    uint64_t hash; /* 0: nobody */
    uint64_t since_ms, last_ms;
    uint64_t count;
    uint64_t held; /* of them, that were not written */
    uint64_t level;
    char module[REPEAT_MODULE_ROOM];
    char text[REPEAT_TEXT_ROOM];
};

static const char *const format_names[] = {"human", "json", NULL};
static const char *const colour_names[] = {"auto", "always", "never", NULL};
static const char *const priority_names[] = {"auto", "always", "never", NULL};

static const struct gavel_field option_rows[] = {
    {.name = "format", .id = 1, .type = GAVEL_CHOICE, .offset = offsetof(struct log_options, format),
     .choices = format_names, .fallback = "human", .help = "Lines for people, or one JSON object a line"},
    {.name = "colour", .id = 2, .type = GAVEL_CHOICE, .offset = offsetof(struct log_options, colour),
     .choices = colour_names, .fallback = "auto",
     .help = "Colour of the level; auto: on a terminal, unless the variable NO_COLOR is set"},
    {.name = "output", .id = 3, .type = GAVEL_STRING, .offset = offsetof(struct log_options, output), .min = 1,
     .max = 900, .fallback = "stderr",
     .help = "Where lines go: stderr, stdout, or the full path of a file, appended to and opened again on SIGHUP"},
    {.name = "priority", .id = 4, .type = GAVEL_CHOICE, .offset = offsetof(struct log_options, priority),
     .choices = priority_names, .fallback = "auto",
     .help = "Begin a line with its priority, such as <3>; auto: when the output is the journal of systemd"},
    {.name = "repeats", .id = 5, .type = GAVEL_UINT, .offset = offsetof(struct log_options, repeats),
     .fallback = "100", .max = 1000000, .unit = "lines",
     .help = "Lines of one module that differ in numbers only, within repeat_window; more are counted and told "
             "together. 0: no limit; levels other than info and warn have none"},
    {.name = "repeat_window", .id = 6, .type = GAVEL_DURATION, .offset = offsetof(struct log_options, repeat_window),
     .fallback = "10s", .min = 1, .max = 3600000, .help = "The time in which so many lines may come"},
};
static const struct gavel_fields options_table = GAVEL_FIELDS(option_rows, struct log_options);

struct log_observer {
    uint32_t magic;
    const struct gavel_host *host;
    const struct log_options *options;
    int fd;     /* -1: the file cannot be opened now; tried again with the next line */
    int colour; /* 1: escape sequences around the level */
    int priority; /* 1: "<3>" in front */
    struct repeat repeat[REPEATS_MAX];
    atomic_int reopen; /* set by the loop, seen by the observer lane */
    size_t used;
    char buffer[LOG_BUFFER + LOG_LINE_ROOM];
};

static int output_is(const struct log_options *options, const char *word)
{
    return gavel_slice_equal(options->output, gavel_text(word));
}

static int is_file(const struct log_options *options)
{
    return !output_is(options, "stderr") && !output_is(options, "stdout");
}

static int open_file(const struct log_options *options)
{
    char path[1024];

    (void)snprintf(path, sizeof path, "%.*s", (int)options->output.size, (const char *)options->output.data);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* systemd names the device and inode of its journal to whoever writes to it. */
static int is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat found;
    char *end;

    if (!stream || fstat(fd, &found) != 0)
        return 0;
    device = strtoull(stream, &end, 10);
    if (*end != ':')
        return 0;
    inode = strtoull(end + 1, &end, 10);
    return *end == 0 && device == (unsigned long long)found.st_dev && inode == (unsigned long long)found.st_ino;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t log_check(const struct gavel_host *host, const void *options, struct gavel_error *error)
{
    const struct log_options *log = options;

    (void)host;
    if (is_file(log) && *(const char *)log->output.data != '/')
        return gavel_fail(error, GAVEL_E_CONFIG, "output: expected stderr, stdout or a full path, found \"%.*s\"",
                          (int)log->output.size, (const char *)log->output.data);
    return GAVEL_OK;
}

static int32_t log_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    struct log_observer *log = host->heap->resize(host->heap->self, NULL, sizeof *log);

    if (!log)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    memset(log, 0, sizeof *log);
    log->magic = LOG_MAGIC;
    log->host = host;
    log->options = options;
    log->fd = -1;
    atomic_init(&log->reopen, 0);
    *self = log;
    return GAVEL_OK;
}

static int32_t log_start(void *self, struct gavel_error *error)
{
    struct log_observer *log = self;

    assert(log->magic == LOG_MAGIC);
    if (is_file(log->options))
        log->fd = open_file(log->options);
    else
        log->fd = output_is(log->options, "stdout") ? STDOUT_FILENO : STDERR_FILENO;
    if (log->fd < 0)
        return gavel_fail(error, GAVEL_E_IO, "%.*s cannot be opened: %s", (int)log->options->output.size,
                          (const char *)log->options->output.data,
                          errno == ENOENT ? "its directory does not exist" : strerror(errno));
    log->colour = log->options->colour == COLOUR_ALWAYS ||
                  (log->options->colour == COLOUR_AUTO && isatty(log->fd) == 1 && !getenv("NO_COLOR"));
    log->priority = log->options->priority == PRIORITY_ALWAYS ||
                    (log->options->priority == PRIORITY_AUTO && is_journal(log->fd));
    return GAVEL_OK;
}

/* [loop] SIGHUP: the file may have been moved away. The observer lane owns the descriptor, so it only hears of it. */
static int32_t log_reload(void *self, const void *options, struct gavel_error *error)
{
    struct log_observer *log = self;

    (void)options;
    (void)error;
    assert(log->magic == LOG_MAGIC);
    atomic_store(&log->reopen, 1);
    return GAVEL_OK;
}

static void log_flush(struct log_observer *log);
static void tell_repeats(struct log_observer *log, uint64_t now_ms);

static void log_destroy(void *self)
{
    struct log_observer *log = self;

    if (!log)
        return;
    assert(log->magic == LOG_MAGIC);
    tell_repeats(log, UINT64_MAX);
    if (log->fd >= 0)
        log_flush(log);
    if (log->fd > STDERR_FILENO)
        (void)close(log->fd);
    log->magic = 0;
    (void)log->host->heap->resize(log->host->heap->self, log, 0);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* A line that is being written into the buffer's end; what does not fit is cut. */
struct line {
    char *at;
    size_t used;
};

static void put(struct line *line, const char *text, size_t size)
{
    size_t room = LOG_LINE_ROOM - 1 - line->used; /* the newline always fits */

    if (size > room)
        size = room;
    memcpy(line->at + line->used, text, size);
    line->used += size;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* "2026-11-23T14:20:01.123Z" */
static void put_time(struct line *line, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[64];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm))
        return;
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(wall_ms % 1000));
    put_text(line, text);
}

/* Bytes of the character at `at`, of which `left` are there: 1 to 4, or 0 for what is no UTF-8 (RFC 3629, 4). */
static size_t character(const unsigned char *at, uint64_t left)
{
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

    if (size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if (size < 3)
        return size;
    /* Longer than need be, a half of a pair of UTF-16, or beyond the last character. */
    return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
                   (at[0] == 0xf4 && at[1] > 0x8f)
               ? 0
               : size;
}

/* What drives a terminal; those above 0x7f have two bytes. */
static int is_control(const unsigned char *at, size_t size)
{
    return size == 1 ? *at < 0x20 || *at == 0x7f : size == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static uint64_t known_level(uint64_t level)
{
    return level >= GAVEL_LOG_TRACE && level <= GAVEL_LOG_ERROR ? level : GAVEL_LOG_ERROR;
}

static void write_human(const struct log_observer *log, struct line *line, const struct gavel_log_event *event)
{
    static const char *const names[] = {"", "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR"};
    static const char *const colours[] = {"", "\033[2m", "\033[36m", "\033[32m", "\033[33m", "\033[1;31m"};
    uint64_t level = known_level(event->level);

    put_time(line, event->wall_ms);
    put_text(line, " ");
    put_text(line, log->colour ? colours[level] : "");
    put_text(line, names[level]);
    put_text(line, log->colour ? "\033[0m" : "");
    put_text(line, " [");
    put_text(line, event->node ? event->node : "");
    put_text(line, "] ");
    /* Control characters could move a terminal's cursor over other lines: whatever a client sent may be in here. */
    for (uint64_t i = 0; i < event->text.size;) {
        const unsigned char *c = (const unsigned char *)event->text.data + i;
        size_t size = character(c, event->text.size - i);

        if (size == 0 || is_control(c, size))
            put_text(line, "?");
        else
            put(line, (const char *)c, size);
        i += size ? size : 1;
    }
    put_text(line, "  (");
    put_text(line, event->module ? event->module : "");
    put_text(line, ")");
}

/* A line of JSON is UTF-8, whatever a plugin or a client said. */
static void put_quoted(struct line *line, const char *key, struct gavel_slice value)
{
    put_text(line, line->at[line->used - 1] == '{' ? "\"" : ",\"");
    put_text(line, key);
    put_text(line, "\":\"");
    for (uint64_t i = 0; i < value.size;) {
        const unsigned char *c = (const unsigned char *)value.data + i;
        size_t size = character(c, value.size - i);
        char escape[8];

        if (line->used > LOG_LINE_ROOM - 64)
            break; /* what closes the object must fit */
        if (size == 0)
            (void)snprintf(escape, sizeof escape, "\\ufffd");
        else if (is_control(c, size))
            (void)snprintf(escape, sizeof escape, "\\u%04x", size == 2 ? c[1] : c[0]);
        else
            (void)snprintf(escape, sizeof escape, "%s%.*s", *c == '"' || *c == '\\' ? "\\" : "", (int)size,
                           (const char *)c);
        put_text(line, escape);
        i += size ? size : 1;
    }
    put_text(line, "\"");
}

static void put_hex(struct line *line, const char *key, const unsigned char *bytes, size_t size)
{
    char text[33];

    assert(size <= 16);
    for (size_t i = 0; i < size; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    put_quoted(line, key, gavel_bytes(text, 2 * size));
}

static void write_json(struct line *line, const struct gavel_log_event *event)
{
    static const char *const names[] = {"", "trace", "debug", "info", "warn", "error"};
    char text[64];
    struct line stamp = {.at = text, .used = 0};

    put_time(&stamp, event->wall_ms);
    put_text(line, "{");
    put_quoted(line, "time", gavel_bytes(text, stamp.used));
    put_quoted(line, "level", gavel_text(names[known_level(event->level)]));
    put_quoted(line, "node", gavel_text(event->node));
    put_quoted(line, "module", gavel_text(event->module));
    if (event->trace) {
        put_hex(line, "trace_id", event->trace->trace_id, sizeof event->trace->trace_id);
        put_hex(line, "span_id", event->trace->span_id, sizeof event->trace->span_id);
    }
    put_quoted(line, "text", event->text);
    put_text(line, "}");
}

/* ---- the observer lane ------------------------------------------------------------------------------------------- */

/* [observer] After SIGHUP, or while the file could not be opened. */
static void reopen(struct log_observer *log)
{
    int fd;

    if (!is_file(log->options))
        return;
    fd = open_file(log->options);
    if (fd < 0 && log->fd >= 0)
        return; /* better the old file than none */
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = fd;
}

static void write_out(struct log_observer *log)
{
    size_t done = 0;

    while (log->fd >= 0 && done < log->used) {
        ssize_t wrote = write(log->fd, log->buffer + done, log->used - done);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    log->used = 0;
}

static void log_flush(struct log_observer *log)
{
    assert(log->magic == LOG_MAGIC);
    if (atomic_exchange(&log->reopen, 0) || log->fd < 0)
        reopen(log);
    write_out(log);
}

/* [observer] Nothing waits; that may go on for long, and what was held back is told when its window is over. */
static void log_quiet(void *self)
{
    struct log_observer *log = self;

    assert(log->magic == LOG_MAGIC);
    tell_repeats(log, log->host->wall_ms(log->host->self));
    log_flush(log);
}

static void write_event(struct log_observer *log, const struct gavel_log_event *event)
{
    static const char *const priorities[] = {"", "<7>", "<7>", "<6>", "<4>", "<3>"};
    struct line line = {.at = log->buffer + log->used};

    if (log->priority)
        put_text(&line, priorities[known_level(event->level)]);
    if (log->options->format == FORMAT_JSON)
        write_json(&line, event);
    else
        write_human(log, &line, event);
    line.at[line.used++] = '\n';
    log->used += line.used;
    assert(log->used <= sizeof log->buffer);
    if (log->used >= LOG_BUFFER)
        log_flush(log);
}

/* ---- lines that repeat ------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, unsigned char c)
{
    return (hash ^ c) * UINT64_C(0x100000001b3);
}

/* Of module, level and text, a run of digits counting as one: "Lost n3 after 17 ms" is "Lost n after  ms". */
static uint64_t shape_of(const struct gavel_log_event *event)
{
    const unsigned char *text = event->text.data;
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), (unsigned char)event->level);

    for (const char *c = event->module ? event->module : ""; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    hash = mix(hash, 0);
    for (uint64_t i = 0; i < event->text.size; i++)
        if (text[i] < '0' || text[i] > '9')
            hash = mix(hash, text[i]);
    return hash ? hash : 1;
}

/* What was held back of one kind is told in one line, and forgotten. */
static void tell_repeat(struct log_observer *log, struct repeat *repeat)
{
    struct gavel_log_event event = {.size = GAVEL_END(struct gavel_log_event, trace), .wall_ms = repeat->last_ms,
                                    .level = repeat->level, .node = log->host->node, .module = repeat->module};
    char text[REPEAT_TEXT_ROOM + 64];

    if (repeat->held) {
        (void)snprintf(text, sizeof text, "repeated %llu times: %s", (unsigned long long)repeat->held, repeat->text);
        event.text = gavel_text(text);
        write_event(log, &event);
    }
    repeat->hash = 0;
    repeat->held = 0;
}

static int window_is_over(const struct log_observer *log, const struct repeat *repeat, uint64_t now_ms)
{
    /* The wall clock may be set back: then a window begins anew. */
    return now_ms < repeat->since_ms || now_ms - repeat->since_ms >= log->options->repeat_window;
}

static void tell_repeats(struct log_observer *log, uint64_t now_ms)
{
    for (unsigned i = 0; i < REPEATS_MAX; i++)
        if (log->repeat[i].hash && window_is_over(log, &log->repeat[i], now_ms))
            tell_repeat(log, &log->repeat[i]);
}

static void begin_repeat(struct repeat *repeat, const struct gavel_log_event *event, uint64_t hash)
{
    size_t room = sizeof repeat->text - 1;
    size_t size = event->text.size < room ? (size_t)event->text.size : room;

    *repeat = (struct repeat){.hash = hash, .since_ms = event->wall_ms, .level = event->level};
    (void)snprintf(repeat->module, sizeof repeat->module, "%s", event->module ? event->module : "");
    while (size < event->text.size && size && (((const unsigned char *)event->text.data)[size] & 0xc0) == 0x80)
        size--; /* not within a character */
    if (size)
        memcpy(repeat->text, event->text.data, size);
    repeat->text[size] = 0;
}

/* The place of a kind: its own, a free one, or that of the kind whose window began first. */
static struct repeat *place_of(struct log_observer *log, uint64_t hash)
{
    struct repeat *oldest = &log->repeat[hash % REPEATS_MAX];

    for (unsigned i = 0; i < REPEAT_PROBES; i++) {
        struct repeat *repeat = &log->repeat[(hash + i) % REPEATS_MAX];

        if (repeat->hash == hash)
            return repeat;
        if (!repeat->hash || (oldest->hash && repeat->since_ms < oldest->since_ms))
            oldest = repeat;
    }
    return oldest;
}

/* Whether this line is one too many. An error never is, nor what somebody asked for who looks closely. */
static int is_held(struct log_observer *log, const struct gavel_log_event *event)
{
    uint64_t level = known_level(event->level), hash;
    struct repeat *repeat;

    if (log->options->repeats == 0 || level >= GAVEL_LOG_ERROR || level < GAVEL_LOG_INFO)
        return 0;
    hash = shape_of(event);
    repeat = place_of(log, hash);
    if (repeat->hash != hash || window_is_over(log, repeat, event->wall_ms)) {
        if (repeat->hash)
            tell_repeat(log, repeat);
        begin_repeat(repeat, event, hash);
    }
    repeat->last_ms = event->wall_ms;
    if (++repeat->count <= log->options->repeats)
        return 0;
    repeat->held++;
    return 1;
}

static void log_event(void *self, const struct gavel_log_event *event)
{
    struct log_observer *log = self;

    assert(log->magic == LOG_MAGIC);
    tell_repeats(log, event->wall_ms);
    if (!is_held(log, event))
        write_event(log, event);
}

static const struct gavel_observer log_operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_LOGS,
    .log = log_event,
    .flush = log_quiet,
};

static const struct gavel_plugin log_plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_OBSERVER,
    .name = "log",
    .version = "0.1.0",
    .summary = "Log events as lines of text or JSON",
    .options = &options_table,
    .operations = &log_operations,
    .check = log_check,
    .create = log_create,
    .start = log_start,
    .reload = log_reload,
    .destroy = log_destroy,
};

GAVEL_PLUGIN(log)
{
    return &log_plugin;
}
