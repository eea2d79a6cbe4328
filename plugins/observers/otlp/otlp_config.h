/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_config.h - what an instance does, from three sources: its section of the INI file wins over the variables
 * OTEL_*, and these win over the defaults. Variables that are no values are told and ignored, as OpenTelemetry's
 * specification wants it; an INI file is never guessed at.
 */
#ifndef OTLP_CONFIG_H
#define OTLP_CONFIG_H

#include "otlp_pairs.h"

#include <gavel/plugin.h>

enum otlp_signal { OTLP_METRICS, OTLP_TRACES, OTLP_LOGS, OTLP_SIGNALS };
enum { OTLP_PROTOBUF, OTLP_JSON };
enum { OTLP_PLAIN, OTLP_GZIP };
enum { OTLP_CUMULATIVE, OTLP_DELTA, OTLP_LOWMEMORY };

/* Rows of the table, for gavel_present. */
enum {
    OTLP_ROW_ENDPOINT, OTLP_ROW_METRICS_ENDPOINT, OTLP_ROW_TRACES_ENDPOINT, OTLP_ROW_LOGS_ENDPOINT,
    OTLP_ROW_METRICS, OTLP_ROW_TRACES, OTLP_ROW_LOGS, OTLP_ROW_PROTOCOL, OTLP_ROW_COMPRESSION, OTLP_ROW_HEADERS,
    OTLP_ROW_TIMEOUT, OTLP_ROW_CA, OTLP_ROW_CERTIFICATE, OTLP_ROW_KEY, OTLP_ROW_PROXY, OTLP_ROW_SERVICE_NAME,
    OTLP_ROW_SERVICE_NAMESPACE, OTLP_ROW_RESOURCE, OTLP_ROW_TEMPORALITY, OTLP_ROW_METRIC_INTERVAL,
    OTLP_ROW_QUEUE_RECORDS, OTLP_ROW_QUEUE_BYTES, OTLP_ROW_BATCH_RECORDS, OTLP_ROW_BATCH_BYTES,
    OTLP_ROW_BATCH_INTERVAL, OTLP_ROW_RETRY_INITIAL, OTLP_ROW_RETRY_MAX, OTLP_ROW_RETRY_TIME,
    OTLP_ROW_SHUTDOWN_TIMEOUT, OTLP_ROW_ENABLED,
};

/* The options as the table has them; absent ones are asked of the environment. */
struct otlp_options {
    uint64_t present;
    uint64_t enabled;
    uint64_t on[OTLP_SIGNALS];
    struct gavel_slice endpoint;
    struct gavel_slice endpoints[OTLP_SIGNALS];
    uint64_t protocol;
    uint64_t compression;
    struct gavel_slice headers;
    uint64_t timeout;
    struct gavel_slice ca;
    struct gavel_slice certificate;
    struct gavel_slice key;
    struct gavel_slice proxy;
    struct gavel_slice service_name;
    struct gavel_slice service_namespace;
    struct gavel_slice resource;
    uint64_t temporality;
    uint64_t metric_interval;
    uint64_t queue_records;
    uint64_t queue_bytes;
    uint64_t batch_records;
    uint64_t batch_bytes;
    uint64_t batch_interval;
    uint64_t retry_initial;
    uint64_t retry_max;
    uint64_t retry_time;
    uint64_t shutdown_timeout;
};
extern const struct gavel_fields otlp_options_table;

/* What holds for one signal. Texts are the configuration's. */
struct otlp_target {
    bool on;
    const char *url;
    bool json;
    bool gzip;
    struct otlp_pairs headers;
    const char *ca, *certificate, *key; /* paths; NULL: none */
    uint64_t timeout;                   /* ms, of one request */
    uint64_t queue_records;
    uint64_t batch_records;
    uint64_t batch_interval; /* ms */
    uint64_t retry_time;     /* ms, from the first try of a batch to the last */
};

#define OTLP_WARNINGS_MAX 16u

struct otlp_config {
    struct otlp_memory memory;
    bool enabled;
    struct otlp_target target[OTLP_SIGNALS];
    struct otlp_pairs resource;
    const char *proxy; /* "": none */
    uint64_t temporality;
    uint64_t metric_interval; /* ms; 0: whenever the host tells them */
    uint64_t queue_bytes;
    uint64_t batch_bytes;
    uint64_t retry_initial, retry_max; /* ms */
    uint64_t shutdown_timeout;         /* ms */
    const char *warning[OTLP_WARNINGS_MAX]; /* about the environment */
    unsigned warnings;
};

/* "metrics", "traces", "logs" */
extern const char *const otlp_signal_names[];

/*
 * [loop] Make a configuration; otlp_config_free gives it back, after a failure too. GAVEL_E_CONFIG with a sentence,
 * GAVEL_E_NO_MEMORY. `node` becomes service.instance.id. Files are looked at, and not opened for good.
 */
int32_t otlp_config_make(struct otlp_config *config, const struct otlp_options *options, const char *node,
                         struct gavel_error *error);
void otlp_config_free(struct otlp_config *config);

#endif
