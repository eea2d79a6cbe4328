/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally-observer.c - a plugin of ABI 1.0: an observer that writes what it is given to a file, a line each, and a count
 * of everything when it is destroyed. Never edit it: it stands for the plugins that are out there.
 */
#include <gavel/observer.h>

#include <stdlib.h>

struct options {
    uint64_t present;
    struct gavel_slice output;
};

static const struct gavel_field option_rows[] = {
    {.name = "output", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED,
     .offset = offsetof(struct options, output), .min = 1, .max = 900, .help = "File to write to"},
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

struct tally {
    const struct options *options;
    FILE *file;
    uint64_t logs;
    uint64_t spans;
    uint64_t series;
};

static void take_log(void *self, const struct gavel_log_event *event)
{
    struct tally *tally = self;

    tally->logs++;
    (void)fprintf(tally->file, "log %llu %s %.*s\n", (unsigned long long)event->level, event->module,
                  (int)event->text.size, (const char *)event->text.data);
}

static void take_span(void *self, const struct gavel_span *span)
{
    struct tally *tally = self;

    tally->spans++;
    (void)fprintf(tally->file, "span %s %lld %llu\n", span->name, (long long)span->status,
                  (unsigned long long)span->attribute_count);
}

static void take_metrics(void *self, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                         uint64_t stride)
{
    struct tally *tally = self;

    (void)wall_ms;
    for (uint64_t i = 0; i < count; i++) {
        const struct gavel_series *one =
            (const struct gavel_series *)(const void *)((const char *)series + i * stride);

        tally->series++;
        (void)fprintf(tally->file, "metric %s %llu %.0f\n", one->name, (unsigned long long)one->kind,
                      one->kind == GAVEL_HISTOGRAM ? one->sum : one->value);
    }
}

static void flush(void *self)
{
    struct tally *tally = self;

    (void)fflush(tally->file);
}

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    struct tally *tally = calloc(1, sizeof *tally);

    (void)host;
    if (!tally)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    tally->options = options;
    *self = tally;
    return GAVEL_OK;
}

static int32_t start(void *self, struct gavel_error *error)
{
    struct tally *tally = self;

    tally->file = fopen((const char *)tally->options->output.data, "ae");
    return tally->file ? GAVEL_OK : gavel_fail(error, GAVEL_E_IO, "the file cannot be opened");
}

static void destroy(void *self)
{
    struct tally *tally = self;

    if (tally->file) {
        (void)fprintf(tally->file, "destroyed %d %d %d\n", tally->logs > 0, tally->spans > 0, tally->series > 0);
        (void)fclose(tally->file);
    }
    free(tally);
}

static const struct gavel_observer operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_SPANS | GAVEL_OBSERVE_METRICS,
    .log = take_log,
    .span = take_span,
    .metrics = take_metrics,
    .flush = flush,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_OBSERVER,
    .name = "tally",
    .version = "1.0",
    .summary = "What was observed, a line each",
    .options = &option_fields,
    .operations = &operations,
    .create = create,
    .start = start,
    .destroy = destroy,
};

GAVEL_PLUGIN(tally)
{
    return &plugin;
}
