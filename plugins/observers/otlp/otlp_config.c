/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_config.c - see otlp_config.h.
 */
#include "otlp_config.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define DEFAULT_ENDPOINT "http://localhost:4318"

static const char *const paths[] = {"v1/metrics", "v1/traces", "v1/logs"};
static const char *const upper[] = {"METRICS", "TRACES", "LOGS"};

/* Whatever a configuration is made from. */
struct maker {
    struct otlp_config *config;
    const struct otlp_options *options;
    struct gavel_error *error;
};

/* ---- the environment --------------------------------------------------------------------------------------------- */

/* An empty variable counts as none, says the specification. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static void warn(struct maker *maker, const char *format, ...) GAVEL_PRINTF(2, 3);
static void warn(struct maker *maker, const char *format, ...)
{
    struct otlp_config *config = maker->config;
    char text[300];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (unsigned i = 0; i < config->warnings; i++)
        if (strcmp(config->warning[i], text) == 0)
            return;
    if (config->warnings < OTLP_WARNINGS_MAX &&
        (config->warning[config->warnings] = otlp_copy(&config->memory, gavel_text(text))))
        config->warnings++;
}

/* OTEL_EXPORTER_OTLP_TRACES_TIMEOUT wins over OTEL_EXPORTER_OTLP_TIMEOUT. *name is the one that was found. */
static const char *exporter_variable(unsigned signal, const char *what, char name[64])
{
    const char *value;

    (void)snprintf(name, 64, "OTEL_EXPORTER_OTLP_%s_%s", upper[signal], what);
    value = variable(name);
    if (value)
        return value;
    (void)snprintf(name, 64, "OTEL_EXPORTER_OTLP_%s", what);
    return variable(name);
}

static uint64_t number_of(struct maker *maker, const char *name, uint64_t least, uint64_t most, uint64_t otherwise)
{
    const char *value = variable(name);
    unsigned long long number;
    char *end;

    if (!value)
        return otherwise;
    errno = 0;
    number = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && *end == 0 && errno == 0 && number >= least && number <= most)
        return number;
    warn(maker, "%s is ignored: expected a number from %llu to %llu, found \"%.40s\"", name, (unsigned long long)least,
         (unsigned long long)most, value);
    return otherwise;
}

static uint64_t choice_of(struct maker *maker, const char *name, const char *value, const char *const *choices,
                          uint64_t otherwise)
{
    for (uint64_t i = 0; value && choices[i]; i++)
        if (strcasecmp(value, choices[i]) == 0)
            return i;
    if (value)
        warn(maker, "%s is ignored: \"%.40s\" is not offered, %s is taken", name, value, choices[otherwise]);
    return otherwise;
}

static bool truth_of(struct maker *maker, const char *name)
{
    const char *value = variable(name);

    if (!value || strcasecmp(value, "false") == 0)
        return false;
    if (strcasecmp(value, "true") == 0)
        return true;
    warn(maker, "%s is ignored: expected true or false, found \"%.40s\"", name, value);
    return false;
}

/* ---- endpoints --------------------------------------------------------------------------------------------------- */

/* As libcurl will read it; a password in it would be in each log line. */
static int32_t check_url(struct maker *maker, const char *url, const char *where)
{
    CURLU *parsed = curl_url();
    char *user = NULL, *scheme = NULL;
    CURLUcode code;
    bool http;

    if (!parsed)
        return gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    code = curl_url_set(parsed, CURLUPART_URL, url, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
    (void)curl_url_get(parsed, CURLUPART_USER, &user, 0);
    http = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parsed);
    if (code == CURLUE_OUT_OF_MEMORY) {
        curl_free(user);
        return gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    }
    if (user) {
        curl_free(user);
        return gavel_fail(maker->error, GAVEL_E_CONFIG, "%s: a name or password in the URL would be logged; put it "
                          "into headers, such as Authorization=Basic%%20...", where);
    }
    if (code != CURLUE_OK || !http)
        return gavel_fail(maker->error, GAVEL_E_CONFIG, "%s: expected a URL such as http://localhost:4318 or "
                          "https://collector.example, found \"%.100s\"", where,
                          strchr(url, '@') ? "..." : url); /* a password may be what makes it none */
    return GAVEL_OK;
}

/* BASE with the signal's path; a query string has no place in it. */
static const char *join(struct maker *maker, const char *base, const char *path)
{
    size_t size = strlen(base) + strlen(path) + 2;
    char *url = otlp_take(&maker->config->memory, size);

    if (url)
        (void)snprintf(url, size, "%s%s%s", base, base[strlen(base) - 1] == '/' ? "" : "/", path);
    return url;
}

static const char *own(struct maker *maker, struct gavel_slice text)
{
    return otlp_copy(&maker->config->memory, text);
}

/* The first that is there: the signal's key, the key, the signal's variable, the variable, the default. */
static int32_t find_url(struct maker *maker, unsigned signal)
{
    struct otlp_target *target = &maker->config->target[signal];
    const struct otlp_options *options = maker->options;
    const char *value = NULL, *found;
    char name[64], generic[64];
    bool whole = true;
    int32_t status;

    if (options->endpoints[signal].data) {
        (void)snprintf(name, sizeof name, "%s_endpoint", otlp_signal_names[signal]);
        found = own(maker, options->endpoints[signal]);
    } else if (options->endpoint.data) {
        (void)snprintf(name, sizeof name, "endpoint");
        found = own(maker, options->endpoint);
        whole = false;
    } else {
        value = exporter_variable(signal, "ENDPOINT", name);
        (void)snprintf(generic, sizeof generic, "OTEL_EXPORTER_OTLP_ENDPOINT");
        whole = value && strcmp(name, generic) != 0;
        found = own(maker, gavel_text(value ? value : DEFAULT_ENDPOINT));
    }
    if (found && !whole && strpbrk(found, "?#"))
        return gavel_fail(maker->error, GAVEL_E_CONFIG, "%s: a path is added to this URL, so it has no query; give "
                          "%s_endpoint, which is taken whole, or put it into headers", name, otlp_signal_names[signal]);
    if (!found)
        return gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    status = check_url(maker, found, name); /* as it was given: an error names what the user wrote */
    if (status != GAVEL_OK)
        return status;
    if (!whole)
        found = join(maker, found, paths[signal]);
    if (!found)
        return gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    target->url = found;
    return check_url(maker, found, name);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A path from the INI file or the environment; it must be readable now, for nobody looks at it later. */
static int32_t find_file(struct maker *maker, unsigned signal, struct gavel_slice given, const char *key,
                         const char *what, const char **path)
{
    char name[64];
    const char *value = NULL;

    *path = NULL;
    if (given.data)
        (void)snprintf(name, sizeof name, "%s", key);
    else if (!(value = exporter_variable(signal, what, name)))
        return GAVEL_OK;
    *path = own(maker, given.data ? given : gavel_text(value));
    if (!*path)
        return gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    if (access(*path, R_OK) != 0)
        return gavel_fail(maker->error, GAVEL_E_CONFIG, "%s: %.200s cannot be read: %s", name, *path, strerror(errno));
    return GAVEL_OK;
}

static int32_t find_files(struct maker *maker, unsigned signal)
{
    struct otlp_target *target = &maker->config->target[signal];
    const struct otlp_options *options = maker->options;
    int32_t status = find_file(maker, signal, options->ca, "ca", "CERTIFICATE", &target->ca);

    if (status == GAVEL_OK)
        status = find_file(maker, signal, options->certificate, "certificate", "CLIENT_CERTIFICATE",
                           &target->certificate);
    if (status == GAVEL_OK)
        status = find_file(maker, signal, options->key, "key", "CLIENT_KEY", &target->key);
    if (status == GAVEL_OK && !target->certificate != !target->key)
        status = gavel_fail(maker->error, GAVEL_E_CONFIG, "certificate and key go together, and only the %s is there",
                            target->key ? "key" : "certificate");
    return status;
}

/* ---- one signal -------------------------------------------------------------------------------------------------- */

static bool is_on(struct maker *maker, unsigned signal)
{
    static const char *const kinds[] = {"otlp", "none", NULL};
    char name[64];

    if (gavel_present(maker->options, OTLP_ROW_METRICS + (uint64_t)signal))
        return maker->options->on[signal] != 0;
    (void)snprintf(name, sizeof name, "OTEL_%s_EXPORTER", upper[signal]);
    return choice_of(maker, name, variable(name), kinds, 0) == 0;
}

static int32_t find_headers(struct maker *maker, unsigned signal)
{
    struct otlp_target *target = &maker->config->target[signal];
    char name[64];
    const char *value = exporter_variable(signal, "HEADERS", name);
    int32_t status = GAVEL_OK;

    if (value)
        status = otlp_pairs_parse(&target->headers, gavel_text(value), name, &maker->config->memory, maker->error);
    if (status == GAVEL_E_CONFIG) {
        warn(maker, "%.250s; what follows in it is ignored", maker->error->text);
        status = GAVEL_OK;
    }
    if (status == GAVEL_OK)
        status = otlp_pairs_parse(&target->headers, maker->options->headers, "headers", &maker->config->memory,
                                  maker->error);
    for (unsigned i = 0; i < target->headers.count && status == GAVEL_OK; i++)
        if (strpbrk(target->headers.pair[i].name, " :\t"))
            status = gavel_fail(maker->error, GAVEL_E_CONFIG, "headers: \"%.60s\" is no name of a header",
                                target->headers.pair[i].name);
    return status;
}

/* The section's value in place of what is there, if it has one. */
static void pick(const struct otlp_options *options, uint64_t row, uint64_t given, uint64_t *value)
{
    if (gavel_present(options, row))
        *value = given;
}

/* Batches: the two processors of the specification have variables of their own; metrics are sent as they come. */
static void find_bounds(struct maker *maker, unsigned signal)
{
    static const char *const processor[] = {NULL, "BSP", "BLRP"};
    struct otlp_target *target = &maker->config->target[signal];
    const struct otlp_options *options = maker->options;
    char name[64];

    target->queue_records = 16384;
    target->batch_records = 512;
    target->batch_interval = 1000;
    if (signal == OTLP_METRICS) {
        target->retry_time = number_of(maker, "OTEL_METRIC_EXPORT_TIMEOUT", 0, INT_MAX, 60000);
    } else {
        (void)snprintf(name, sizeof name, "OTEL_%s_MAX_QUEUE_SIZE", processor[signal]);
        target->queue_records = number_of(maker, name, 1, 1000000, target->queue_records);
        (void)snprintf(name, sizeof name, "OTEL_%s_MAX_EXPORT_BATCH_SIZE", processor[signal]);
        target->batch_records = number_of(maker, name, 1, 100000, target->batch_records);
        (void)snprintf(name, sizeof name, "OTEL_%s_SCHEDULE_DELAY", processor[signal]);
        target->batch_interval = number_of(maker, name, 0, INT_MAX, target->batch_interval);
        (void)snprintf(name, sizeof name, "OTEL_%s_EXPORT_TIMEOUT", processor[signal]);
        target->retry_time = number_of(maker, name, 0, INT_MAX, 60000);
    }
    pick(options, OTLP_ROW_QUEUE_RECORDS, options->queue_records, &target->queue_records);
    pick(options, OTLP_ROW_BATCH_RECORDS, options->batch_records, &target->batch_records);
    pick(options, OTLP_ROW_BATCH_INTERVAL, options->batch_interval, &target->batch_interval);
    pick(options, OTLP_ROW_RETRY_TIME, options->retry_time, &target->retry_time);
    if (target->batch_records > target->queue_records)
        target->batch_records = target->queue_records;
}

static int32_t make_target(struct maker *maker, unsigned signal)
{
    static const char *const protocols[] = {"http/protobuf", "http/json", NULL};
    static const char *const compressions[] = {"none", "gzip", NULL};
    struct otlp_target *target = &maker->config->target[signal];
    const struct otlp_options *options = maker->options;
    const char *value;
    char name[64];
    int32_t status;

    target->on = is_on(maker, signal);
    if (!target->on)
        return GAVEL_OK;
    value = exporter_variable(signal, "PROTOCOL", name);
    target->json = (gavel_present(options, OTLP_ROW_PROTOCOL) ? options->protocol
                                              : choice_of(maker, name, value, protocols, OTLP_PROTOBUF)) == OTLP_JSON;
    value = exporter_variable(signal, "COMPRESSION", name);
    target->gzip = (gavel_present(options, OTLP_ROW_COMPRESSION) ? options->compression
                                              : choice_of(maker, name, value, compressions, OTLP_PLAIN)) == OTLP_GZIP;
    (void)exporter_variable(signal, "TIMEOUT", name);
    target->timeout = number_of(maker, name, 1, INT_MAX, 10000);
    pick(options, OTLP_ROW_TIMEOUT, options->timeout, &target->timeout);
    find_bounds(maker, signal);
    status = find_url(maker, signal);
    if (status == GAVEL_OK)
        status = find_headers(maker, signal);
    return status == GAVEL_OK ? find_files(maker, signal) : status;
}

/* ---- the resource ------------------------------------------------------------------------------------------------ */

static const char *host_name(struct maker *maker)
{
    char name[HOST_NAME_MAX + 1];

    if (gethostname(name, sizeof name) != 0)
        return "";
    name[sizeof name - 1] = 0;
    return own(maker, gavel_text(name));
}

/* From the weakest to the strongest; each one takes the place of what was there. */
static int32_t make_resource(struct maker *maker, const char *node)
{
    struct otlp_pairs *resource = &maker->config->resource;
    struct otlp_memory *memory = &maker->config->memory;
    const struct otlp_options *options = maker->options;
    const char *name = variable("OTEL_SERVICE_NAME"), *attributes = variable("OTEL_RESOURCE_ATTRIBUTES");
    char pid[24];
    int32_t status;

    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    (void)otlp_pairs_put(resource, "service.name", "gavel");
    (void)otlp_pairs_put(resource, "service.version", PACKAGE_VERSION);
    (void)otlp_pairs_put(resource, "service.instance.id", own(maker, gavel_text(node)));
    (void)otlp_pairs_put(resource, "host.name", host_name(maker));
    (void)otlp_pairs_put(resource, "process.pid", own(maker, gavel_text(pid)));
    (void)otlp_pairs_put(resource, "telemetry.sdk.name", "gavel");
    (void)otlp_pairs_put(resource, "telemetry.sdk.version", PACKAGE_VERSION);
    status = otlp_pairs_parse(resource, gavel_text(attributes), "OTEL_RESOURCE_ATTRIBUTES", memory, maker->error);
    if (status == GAVEL_E_CONFIG) {
        warn(maker, "%.250s; what follows in it is ignored", maker->error->text);
        status = GAVEL_OK;
    }
    if (name)
        (void)otlp_pairs_put(resource, "service.name", own(maker, gavel_text(name)));
    if (status == GAVEL_OK)
        status = otlp_pairs_parse(resource, options->resource, "resource", memory, maker->error);
    if (options->service_name.data)
        (void)otlp_pairs_put(resource, "service.name", own(maker, options->service_name));
    if (options->service_namespace.data)
        (void)otlp_pairs_put(resource, "service.namespace", own(maker, options->service_namespace));
    for (unsigned i = 0; i < resource->count && status == GAVEL_OK; i++)
        if (!resource->pair[i].value)
            status = gavel_fail(maker->error, GAVEL_E_NO_MEMORY, "memory is out");
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

int32_t otlp_config_make(struct otlp_config *config, const struct otlp_options *options, const char *node,
                         struct gavel_error *error)
{
    static const char *const temporalities[] = {"cumulative", "delta", "lowmemory", NULL};
    static const char preference[] = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    struct gavel_error ignored;
    struct maker maker = {.config = config, .options = options, .error = error ? error : &ignored};
    uint64_t enabled;
    int32_t status;

    memset(config, 0, sizeof *config);
    enabled = !truth_of(&maker, "OTEL_SDK_DISABLED");
    pick(options, OTLP_ROW_ENABLED, options->enabled, &enabled);
    config->enabled = enabled != 0;
    config->queue_bytes = options->queue_bytes;
    config->batch_bytes = options->batch_bytes < options->queue_bytes ? options->batch_bytes : options->queue_bytes;
    config->retry_initial = options->retry_initial;
    config->retry_max = options->retry_max > options->retry_initial ? options->retry_max : options->retry_initial;
    config->shutdown_timeout = options->shutdown_timeout;
    config->temporality = gavel_present(options, OTLP_ROW_TEMPORALITY)
                              ? options->temporality
                              : choice_of(&maker, preference, variable(preference), temporalities, OTLP_CUMULATIVE);
    config->metric_interval = gavel_present(options, OTLP_ROW_METRIC_INTERVAL)
                                  ? options->metric_interval
                                  : number_of(&maker, "OTEL_METRIC_EXPORT_INTERVAL", 0, INT_MAX, 0);
    config->proxy = options->proxy.data ? own(&maker, options->proxy) : "";
    if (!config->proxy)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    status = options->proxy.data ? check_url(&maker, config->proxy, "proxy") : GAVEL_OK;
    for (unsigned signal = 0; signal < OTLP_SIGNALS && status == GAVEL_OK; signal++)
        status = make_target(&maker, signal);
    return status == GAVEL_OK ? make_resource(&maker, node ? node : "") : status;
}

void otlp_config_free(struct otlp_config *config)
{
    otlp_memory_free(&config->memory);
    memset(config, 0, sizeof *config);
}
