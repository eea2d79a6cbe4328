/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_options.c - the table of options. What a variable of the environment can say has no default here: only so can
 * be told whether the INI file has spoken.
 */
#include "otlp_config.h"

const char *const otlp_signal_names[] = {"metrics", "traces", "logs", NULL};

static const char *const protocol_names[] = {"http/protobuf", "http/json", NULL};
static const char *const compression_names[] = {"none", "gzip", NULL};
static const char *const temporality_names[] = {"cumulative", "delta", "lowmemory", NULL};

#define AT(member) offsetof(struct otlp_options, member)
#define URL_MAX_BYTES 2048
#define PATH_MAX_BYTES 4000
#define LIST_MAX_BYTES 8192
#define HOUR_MS 3600000

static const struct gavel_field rows[] = {
    [OTLP_ROW_ENDPOINT] = {
     .name = "endpoint", .id = 1, .type = GAVEL_STRING, .offset = AT(endpoint), .min = 8, .max = URL_MAX_BYTES,
     .help = "Base URL of the collector, http:// or https://; /v1/metrics, /v1/traces and /v1/logs are added. Without "
             "it OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318"},
    [OTLP_ROW_METRICS_ENDPOINT] = {
     .name = "metrics_endpoint", .id = 2, .type = GAVEL_STRING, .offset = AT(endpoints[OTLP_METRICS]), .min = 8,
     .max = URL_MAX_BYTES, .help = "Whole URL for metrics, taken as it is (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)"},
    [OTLP_ROW_TRACES_ENDPOINT] = {
     .name = "traces_endpoint", .id = 3, .type = GAVEL_STRING, .offset = AT(endpoints[OTLP_TRACES]), .min = 8,
     .max = URL_MAX_BYTES, .help = "Whole URL for traces, taken as it is (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)"},
    [OTLP_ROW_LOGS_ENDPOINT] = {
     .name = "logs_endpoint", .id = 4, .type = GAVEL_STRING, .offset = AT(endpoints[OTLP_LOGS]), .min = 8,
     .max = URL_MAX_BYTES, .help = "Whole URL for logs, taken as it is (OTEL_EXPORTER_OTLP_LOGS_ENDPOINT)"},
    [OTLP_ROW_METRICS] = {
     .name = "metrics", .id = 5, .type = GAVEL_BOOL, .offset = AT(on[OTLP_METRICS]),
     .help = "Whether metrics are sent; yes, unless OTEL_METRICS_EXPORTER is none"},
    [OTLP_ROW_TRACES] = {
     .name = "traces", .id = 6, .type = GAVEL_BOOL, .offset = AT(on[OTLP_TRACES]),
     .help = "Whether traces are sent; yes, unless OTEL_TRACES_EXPORTER is none"},
    [OTLP_ROW_LOGS] = {
     .name = "logs", .id = 7, .type = GAVEL_BOOL, .offset = AT(on[OTLP_LOGS]),
     .help = "Whether logs are sent; yes, unless OTEL_LOGS_EXPORTER is none"},
    [OTLP_ROW_PROTOCOL] = {
     .name = "protocol", .id = 8, .type = GAVEL_CHOICE, .offset = AT(protocol), .choices = protocol_names,
     .help = "Form of the messages. Without it OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf"},
    [OTLP_ROW_COMPRESSION] = {
     .name = "compression", .id = 9, .type = GAVEL_CHOICE, .offset = AT(compression), .choices = compression_names,
     .help = "Compression of the messages. Without it OTEL_EXPORTER_OTLP_COMPRESSION, else none"},
    [OTLP_ROW_HEADERS] = {
     .name = "headers", .id = 10, .type = GAVEL_STRING, .flags = GAVEL_SECRET, .offset = AT(headers),
     .max = LIST_MAX_BYTES,
     .help = "Headers of each request, as name=value,name=value; %20 is a blank. Added to those of "
             "OTEL_EXPORTER_OTLP_HEADERS"},
    [OTLP_ROW_TIMEOUT] = {
     .name = "timeout", .id = 11, .type = GAVEL_DURATION, .offset = AT(timeout), .min = 1, .max = HOUR_MS, .unit = "ms",
     .help = "For one request and its answer. Without it OTEL_EXPORTER_OTLP_TIMEOUT, else 10s"},
    [OTLP_ROW_CA] = {
     .name = "ca", .id = 12, .type = GAVEL_STRING, .offset = AT(ca), .min = 1, .max = PATH_MAX_BYTES,
     .help = "File (PEM) with the authorities that a collector's certificate is to be of, and no others. Without it "
             "OTEL_EXPORTER_OTLP_CERTIFICATE, else those of the system"},
    [OTLP_ROW_CERTIFICATE] = {
     .name = "certificate", .id = 13, .type = GAVEL_STRING, .offset = AT(certificate), .min = 1, .max = PATH_MAX_BYTES,
     .help = "File (PEM) with the certificate that is shown to the collector (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)"},
    [OTLP_ROW_KEY] = {
     .name = "key", .id = 14, .type = GAVEL_STRING, .offset = AT(key), .min = 1, .max = PATH_MAX_BYTES,
     .help = "File (PEM) with its private key (OTEL_EXPORTER_OTLP_CLIENT_KEY)"},
    [OTLP_ROW_PROXY] = {
     .name = "proxy", .id = 15, .type = GAVEL_STRING, .offset = AT(proxy), .min = 8, .max = URL_MAX_BYTES,
     .help = "URL of an HTTP proxy. No variable names one"},
    [OTLP_ROW_SERVICE_NAME] = {
     .name = "service_name", .id = 16, .type = GAVEL_STRING, .offset = AT(service_name), .min = 1, .max = 256,
     .help = "Attribute service.name. Without it OTEL_SERVICE_NAME, else gavel"},
    [OTLP_ROW_SERVICE_NAMESPACE] = {
     .name = "service_namespace", .id = 17, .type = GAVEL_STRING, .offset = AT(service_namespace), .min = 1, .max = 256,
     .help = "Attribute service.namespace: a name for the cluster, the same on all of its nodes"},
    [OTLP_ROW_RESOURCE] = {
     .name = "resource", .id = 18, .type = GAVEL_STRING, .offset = AT(resource), .max = LIST_MAX_BYTES,
     .help = "More attributes of the resource, as name=value,name=value; they win over OTEL_RESOURCE_ATTRIBUTES"},
    [OTLP_ROW_TEMPORALITY] = {
     .name = "temporality", .id = 19, .type = GAVEL_CHOICE, .offset = AT(temporality), .choices = temporality_names,
     .help = "Counters and histograms since the start, or since the last export; lowmemory is delta here. Without it "
             "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, else cumulative"},
    [OTLP_ROW_METRIC_INTERVAL] = {
     .name = "metric_interval", .id = 20, .type = GAVEL_DURATION, .offset = AT(metric_interval), .max = 24 * HOUR_MS,
     .unit = "ms", .help = "Least time between two exports of metrics; they are looked at every metrics_interval. "
                           "Without it OTEL_METRIC_EXPORT_INTERVAL, else 0"},
    [OTLP_ROW_QUEUE_RECORDS] = {
     .name = "queue_records", .id = 21, .type = GAVEL_UINT, .offset = AT(queue_records), .min = 1, .max = 1000000,
     .unit = "records", .help = "Spans, and log records, that may wait; more are dropped and counted. Without it "
                                "OTEL_BSP_MAX_QUEUE_SIZE and OTEL_BLRP_MAX_QUEUE_SIZE, else 16384"},
    [OTLP_ROW_QUEUE_BYTES] = {
     .name = "queue_bytes", .id = 22, .type = GAVEL_SIZE, .offset = AT(queue_bytes), .min = 1 << 16,
     .max = INT64_C(1) << 32, .fallback = "8MiB", .unit = "bytes",
     .help = "Bytes that may wait, for each of the three signals; of metrics the oldest are dropped for new ones"},
    [OTLP_ROW_BATCH_RECORDS] = {
     .name = "batch_records", .id = 23, .type = GAVEL_UINT, .offset = AT(batch_records), .min = 1, .max = 100000,
     .unit = "records", .help = "Spans, or log records, of one request. Without it OTEL_BSP_MAX_EXPORT_BATCH_SIZE and "
                                "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE, else 512"},
    [OTLP_ROW_BATCH_BYTES] = {
     .name = "batch_bytes", .id = 24, .type = GAVEL_SIZE, .offset = AT(batch_bytes), .min = 1 << 12,
     .max = 64 << 20, .fallback = "1MiB", .unit = "bytes",
     .help = "Bytes of one request before compression; a single record may be larger"},
    [OTLP_ROW_BATCH_INTERVAL] = {
     .name = "batch_interval", .id = 25, .type = GAVEL_DURATION, .offset = AT(batch_interval), .min = 1, .max = HOUR_MS,
     .unit = "ms", .help = "How long the first of a batch waits for others. Without it OTEL_BSP_SCHEDULE_DELAY and "
                           "OTEL_BLRP_SCHEDULE_DELAY, else 1s"},
    [OTLP_ROW_RETRY_INITIAL] = {
     .name = "retry_initial", .id = 26, .type = GAVEL_DURATION, .offset = AT(retry_initial), .min = 1, .max = HOUR_MS,
     .fallback = "1s", .unit = "ms",
     .help = "Pause after the first failure; each further one makes it half as long again, give or take a fifth"},
    [OTLP_ROW_RETRY_MAX] = {
     .name = "retry_max", .id = 27, .type = GAVEL_DURATION, .offset = AT(retry_max), .min = 1, .max = HOUR_MS,
     .fallback = "30s", .unit = "ms", .help = "Longest such pause; one that a collector asks for may be 5 minutes"},
    [OTLP_ROW_RETRY_TIME] = {
     .name = "retry_time", .id = 28, .type = GAVEL_DURATION, .offset = AT(retry_time), .max = 24 * HOUR_MS,
     .unit = "ms", .help = "How long a batch is tried before it is dropped; 0: once. Without it "
                           "OTEL_METRIC_EXPORT_TIMEOUT, OTEL_BSP_EXPORT_TIMEOUT and OTEL_BLRP_EXPORT_TIMEOUT, else 1m"},
    [OTLP_ROW_SHUTDOWN_TIMEOUT] = {
     .name = "shutdown_timeout", .id = 29, .type = GAVEL_DURATION, .offset = AT(shutdown_timeout), .max = 2500,
     .fallback = "2s", .unit = "ms", .help = "For what still waits when the node stops or the observer is swapped"},
    [OTLP_ROW_ENABLED] = {
     .name = "enabled", .id = 30, .type = GAVEL_BOOL, .offset = AT(enabled),
     .help = "Whether anything is sent; yes, unless OTEL_SDK_DISABLED is true"},
};

const struct gavel_fields otlp_options_table = GAVEL_FIELDS(rows, struct otlp_options);
