/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_http.c - see otlp_http.h. What is not asked for is off: no redirect (it would carry the headers, and the secrets
 * in them, to another host), no proxy from the environment, no cookie, no netrc, no other scheme.
 */
#include "otlp_http.h"

#include <pthread.h>
#include <stdlib.h>

#define RETRY_AFTER_MAX_MS 300000 /* a collector that asks for more is heard again after this */
#define CONNECT_TIMEOUT_MS 10000L

static pthread_mutex_t global_lock = PTHREAD_MUTEX_INITIALIZER;
static bool global_done;

/* A plugin is never unloaded, so nothing is given back. */
bool otlp_http_global(void)
{
    (void)pthread_mutex_lock(&global_lock);
    if (!global_done)
        global_done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    (void)pthread_mutex_unlock(&global_lock);
    return global_done;
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

/* A short count ends the transfer: the rest of an answer that is too long interests nobody. */
static size_t take_body(char *data, size_t one, size_t size, void *context)
{
    struct otlp_http *http = context;
    size_t left = OTLP_ANSWER_MAX - http->answer_size;

    (void)one;
    if (size > left) {
        memcpy(http->answer + http->answer_size, data, left);
        http->answer_size = OTLP_ANSWER_MAX;
        return 0;
    }
    memcpy(http->answer + http->answer_size, data, size);
    http->answer_size += size;
    return size;
}

static size_t take_header(char *data, size_t one, size_t size, void *context)
{
    struct otlp_http *http = context;

    (void)data;
    (void)one;
    http->header_bytes += size;
    return http->header_bytes <= OTLP_HEADERS_MAX ? size : 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool add_header(struct otlp_http *http, const char *name, const char *value)
{
    struct curl_slist *list;
    char line[9000]; /* a list of headers has at most 8 KiB */

    /* "Name;" is how libcurl spells a header without a value, and "Name:" one that it must leave out. */
    (void)snprintf(line, sizeof line, *value ? "%s: %s" : "%s;", name, value);
    list = curl_slist_append(http->headers, line);
    if (!list)
        return false;
    http->headers = list;
    return true;
}

static bool make_headers(struct otlp_http *http)
{
    const struct otlp_target *target = http->target;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    bool made = list != NULL;

    http->headers = list;
    made = made && add_header(http, "Content-Type", target->json ? "application/json" : "application/x-protobuf");
    if (target->gzip)
        made = made && add_header(http, "Content-Encoding", "gzip");
    for (unsigned i = 0; i < target->headers.count && made; i++)
        made = add_header(http, target->headers.pair[i].name, target->headers.pair[i].value);
    return made;
}

static CURLcode set_tls(CURL *easy, const struct otlp_target *target)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);

    if (code == CURLE_OK && target->ca) {
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, target->ca);
        if (code == CURLE_OK) /* else the system's authorities would be asked as well */
            code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (code == CURLE_OK && target->certificate)
        code = curl_easy_setopt(easy, CURLOPT_SSLCERT, target->certificate);
    if (code == CURLE_OK && target->key)
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, target->key);
    return code;
}

static CURLcode set_options(struct otlp_http *http, const char *proxy)
{
    CURL *easy = http->easy;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, http->target->url);

    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_USERAGENT, "gavel-otlp/" PACKAGE_VERSION);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = set_tls(easy, http->target);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs holds up no end */
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
    return code;
}

bool otlp_http_init(struct otlp_http *http, const struct otlp_target *target, const char *proxy)
{
    memset(http, 0, sizeof *http);
    http->target = target;
    http->answer = malloc(OTLP_ANSWER_MAX);
    http->easy = curl_easy_init();
    if (http->answer && http->easy && make_headers(http) && set_options(http, proxy) == CURLE_OK)
        return true;
    otlp_http_free(http);
    return false;
}

void otlp_http_free(struct otlp_http *http)
{
    curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    free(http->answer);
    memset(http, 0, sizeof *http);
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

bool otlp_http_start(struct otlp_http *http, CURLM *multi, const void *body, size_t size, uint64_t timeout)
{
    http->answer_size = 0;
    http->header_bytes = 0;
    http->error[0] = 0;
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    (void)curl_easy_setopt(http->easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    http->started = curl_multi_add_handle(multi, http->easy) == CURLM_OK;
    return http->started;
}

/* OTLP/HTTP: "Retryable Response Codes". All others say that the data itself is not wanted. */
static bool is_retryable(long status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void judge(struct otlp_http *http, uint64_t sent, struct otlp_outcome *outcome)
{
    const char *type = NULL;
    enum otlp_form form;

    (void)curl_easy_getinfo(http->easy, CURLINFO_CONTENT_TYPE, &type);
    form = otlp_form_of(type, http->target->json ? OTLP_FORM_JSON : OTLP_FORM_PROTOBUF);
    outcome->accepted = outcome->status >= 200 && outcome->status < 300;
    if (outcome->accepted) {
        /* What breaks off after this status was taken all the same: sent again it would be there twice. */
        otlp_answer_success(&outcome->answer, form, http->answer, http->answer_size, sent);
        return;
    }
    outcome->retryable = is_retryable(outcome->status);
    otlp_answer_failure(&outcome->answer, form, http->answer, http->answer_size);
    (void)snprintf(outcome->why, sizeof outcome->why, "HTTP status %ld%s%s", outcome->status,
                   outcome->answer.message[0] ? ": " : "", outcome->answer.message);
}

void otlp_http_finish(struct otlp_http *http, CURLM *multi, CURLcode code, uint64_t sent, struct otlp_outcome *outcome)
{
    curl_off_t retry_after = 0;

    memset(outcome, 0, sizeof *outcome);
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &outcome->status);
    if (outcome->status >= 200) {
        judge(http, sent, outcome);
    } else {
        outcome->status = 0;
        outcome->retryable = true;
        (void)snprintf(outcome->why, sizeof outcome->why, "%s",
                       http->error[0] ? http->error : curl_easy_strerror(code));
    }
    if (outcome->retryable && curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
        retry_after > 0)
        outcome->retry_after = retry_after > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS
                                                                       : (uint64_t)retry_after * 1000;
    (void)curl_multi_remove_handle(multi, http->easy);
    http->started = false;
}

void otlp_http_abort(struct otlp_http *http, CURLM *multi)
{
    if (!http->started)
        return;
    (void)curl_multi_remove_handle(multi, http->easy);
    http->started = false;
}
