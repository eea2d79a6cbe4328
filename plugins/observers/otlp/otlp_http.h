/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_http.h - one POST after the other to one URL, over libcurl, on the exporter's thread.
 *
 * Why libcurl and not the libwebsockets that the transport has: libwebsockets 4.1 keeps the OpenSSL indices of its
 * connections in variables of the process and draws new ones for each context with TLS, so a second context on another
 * thread breaks the TLS of the first; and its client leaves handles on a loop that it does not own. libcurl is made for
 * many threads, and tells Retry-After in seconds.
 */
#ifndef OTLP_HTTP_H
#define OTLP_HTTP_H

#include "otlp_answer.h"
#include "otlp_config.h"

#include <curl/curl.h>

#define OTLP_HEADERS_MAX 262144u /* bytes of an answer's headers; more ends the request */

struct otlp_http {
    CURL *easy;
    struct curl_slist *headers;
    const struct otlp_target *target;
    char error[CURL_ERROR_SIZE];
    unsigned char *answer; /* OTLP_ANSWER_MAX bytes */
    size_t answer_size;
    size_t header_bytes;
    bool started; /* it is with the multi handle */
};

/* How a request ended. */
struct otlp_outcome {
    bool accepted;        /* 2xx */
    bool retryable;       /* 429, 502, 503, 504, or no answer at all */
    long status;          /* 0: none came */
    uint64_t retry_after; /* ms that the collector asked for; 0: it did not */
    struct otlp_answer answer;
    char why[360]; /* of a failure: one line */
};

/* [any] Once a process. False when libcurl cannot be used. */
bool otlp_http_global(void);

/* Make one for a target, which stays the caller's. False when memory is out or libcurl takes an option for none. */
bool otlp_http_init(struct otlp_http *http, const struct otlp_target *target, const char *proxy);
/* Free it; it must not be started. All zero is fine. */
void otlp_http_free(struct otlp_http *http);

/* Begin to send; `body` is borrowed until the end. False when libcurl refuses: memory. `timeout`: ms for all of it. */
bool otlp_http_start(struct otlp_http *http, CURLM *multi, const void *body, size_t size, uint64_t timeout);

/* It ended with `code`. `sent`: records of the request. */
void otlp_http_finish(struct otlp_http *http, CURLM *multi, CURLcode code, uint64_t sent, struct otlp_outcome *outcome);

/* Give it up, if it is started; no answer will be heard. */
void otlp_http_abort(struct otlp_http *http, CURLM *multi);

#endif
