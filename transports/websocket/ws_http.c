/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_http.c - HTTP requests on the listeners' ports: read whole, handed to the host, answered now or later.
 *
 * Where libwebsockets is silent about a body (a chunked one never ends for it, an empty one is never begun), the head
 * decides. While the host thinks, nothing is read from the connection: libwebsockets would spin over what it does not
 * want.
 */
#include "ws.h"

#include <assert.h>
#include <stdlib.h>

/* Headers that the host gets, when they are there. */
static const struct {
    enum lws_token_indexes token;
    const char *name;
} known[] = {
    {WSI_TOKEN_HOST, "host"},
    {WSI_TOKEN_ORIGIN, "origin"},
    {WSI_TOKEN_HTTP_ACCEPT, "accept"},
    {WSI_TOKEN_HTTP_ACCEPT_ENCODING, "accept-encoding"},
    {WSI_TOKEN_HTTP_ACCEPT_LANGUAGE, "accept-language"},
    {WSI_TOKEN_HTTP_AUTHORIZATION, "authorization"},
    {WSI_TOKEN_HTTP_CONTENT_TYPE, "content-type"},
    {WSI_TOKEN_HTTP_CONTENT_LENGTH, "content-length"},
    {WSI_TOKEN_HTTP_COOKIE, "cookie"},
    {WSI_TOKEN_HTTP_IF_MATCH, "if-match"},
    {WSI_TOKEN_HTTP_IF_NONE_MATCH, "if-none-match"},
    {WSI_TOKEN_HTTP_REFERER, "referer"},
    {WSI_TOKEN_HTTP_USER_AGENT, "user-agent"},
};
static const char *const custom[] = {"traceparent", "tracestate", "x-request-id"};

static const struct {
    enum lws_token_indexes token;
    const char *name;
} methods[] = {
    {WSI_TOKEN_GET_URI, "GET"},     {WSI_TOKEN_POST_URI, "POST"},       {WSI_TOKEN_PUT_URI, "PUT"},
    {WSI_TOKEN_PATCH_URI, "PATCH"}, {WSI_TOKEN_DELETE_URI, "DELETE"},   {WSI_TOKEN_OPTIONS_URI, "OPTIONS"},
    {WSI_TOKEN_HEAD_URI, "HEAD"},
};

static const char *method_of(struct lws *wsi)
{
    size_t i;

    for (i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (lws_hdr_total_length(wsi, methods[i].token))
            return methods[i].name;
    return NULL;
}

/* ---- the request's memory ---------------------------------------------------------------------------------------- */

static void request_free(struct ws_request *request)
{
    if (!request)
        return;
    assert(request->magic == WS_REQUEST_MAGIC);
    if (request->connection)
        request->connection->request = NULL;
    LIST_REMOVE(request, all);
    gavel_buffer_free(&request->text);
    gavel_buffer_free(&request->body);
    gavel_buffer_free(&request->reply);
    request->magic = 0;
    free(request);
}

void ws_requests_free(struct ws_transport *transport)
{
    while (!LIST_EMPTY(&transport->requests))
        request_free(LIST_FIRST(&transport->requests));
}

void ws_http_gone(struct ws_connection *connection)
{
    struct ws_request *request = connection->request;

    if (!request)
        return;
    if (request->complete && !request->answered) {
        request->connection = NULL; /* the host still has it, and its answer ends it */
        connection->request = NULL;
        return;
    }
    request_free(request);
}

static struct ws_request *request_new(struct ws_connection *connection)
{
    struct ws_request *request = calloc(1, sizeof *request);

    if (!request)
        return NULL;
    request->magic = WS_REQUEST_MAGIC;
    request->transport = connection->transport;
    request->connection = connection;
    request->text.heap = connection->transport->instance.host->heap;
    request->body.heap = connection->transport->instance.host->heap;
    request->reply.heap = connection->transport->instance.host->heap;
    request->body.limit = WS_BODY_MAX;
    connection->request = request;
    LIST_INSERT_HEAD(&connection->transport->requests, request, all);
    return request;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static const char *phrase(uint64_t status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return status < 400 ? "OK" : "Error";
    }
}

/* A header that would break the lines of the head is left out. */
static bool clean(const char *name, struct gavel_slice value)
{
    const unsigned char *at = value.data;
    uint64_t i;

    if (!name || !name[0])
        return false;
    for (i = 0; name[i]; i++)
        if (name[i] <= ' ' || name[i] >= 127 || name[i] == ':')
            return false;
    for (i = 0; i < value.size; i++)
        if (at[i] < ' ' || at[i] == 127)
            return false;
    return true;
}

static int32_t build_reply(struct ws_request *request, uint64_t status, const struct gavel_attribute *headers,
                           uint64_t count, struct gavel_slice body)
{
    static const unsigned char room[LWS_PRE];
    struct gavel_buffer *reply = &request->reply;
    char line[256];
    uint64_t i;
    int length;
    int32_t result = gavel_buffer_append(reply, room, sizeof room);

    length = snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\ncontent-length: %llu\r\n%s", (unsigned)(status % 1000),
                      phrase(status), (unsigned long long)body.size, request->last ? "connection: close\r\n" : "");
    result |= gavel_buffer_append(reply, line, (uint64_t)length);
    for (i = 0; i < count; i++) {
        if (!clean(headers[i].name, headers[i].value))
            continue;
        result |= gavel_buffer_append(reply, headers[i].name, strlen(headers[i].name));
        result |= gavel_buffer_append(reply, ": ", 2);
        result |= gavel_buffer_append(reply, headers[i].value.data, headers[i].value.size);
        result |= gavel_buffer_append(reply, "\r\n", 2);
    }
    result |= gavel_buffer_append(reply, "\r\n", 2);
    if (strcmp(request->what.method.data, "HEAD") != 0)
        result |= gavel_buffer_append(reply, body.data, body.size);
    request->sent = LWS_PRE;
    return result == 0 ? GAVEL_OK : GAVEL_E_NO_MEMORY;
}

static void answer(struct ws_request *request, uint64_t status, const struct gavel_attribute *headers, uint64_t count,
                   struct gavel_slice body)
{
    struct ws_connection *connection = request->connection;

    assert(!request->answered);
    request->answered = true;
    if (!connection || connection->state == WS_CLOSED || !connection->wsi) {
        request_free(request);
        return;
    }
    if (build_reply(request, status, headers, count, body) != GAVEL_OK) {
        ws_end(connection, GAVEL_CLOSE_LOST, "memory ran out");
        return;
    }
    ws_timer(connection, WS_HTTP_WRITE_MS);
    /* While reading is off, libwebsockets does not write HTTP either. */
    (void)lws_rx_flow_control(connection->wsi, 1);
    (void)lws_callback_on_writable(connection->wsi);
}

void ws_respond(void *self, void *pointer, uint64_t status, const struct gavel_attribute *headers,
                uint64_t header_count, struct gavel_slice body)
{
    struct ws_request *request = pointer;

    assert(request->magic == WS_REQUEST_MAGIC);
    assert(self == request->transport);
    answer(request, status, headers, header_count, body);
}

/* An answer of our own, which ends the connection: what follows on it cannot be understood. */
static void refuse(struct ws_request *request, uint64_t status)
{
    request->last = true;
    answer(request, status, NULL, 0, gavel_text(phrase(status)));
}

int ws_http_write(struct ws_connection *connection)
{
    struct ws_request *request = connection->request;
    uint64_t left;
    uint64_t piece;
    bool last;

    if (!request || !request->answered)
        return 0;
    left = request->reply.size - request->sent;
    if (left) {
        piece = left < WS_READ_BYTES ? left : WS_READ_BYTES;
        if (lws_write(connection->wsi, request->reply.data + request->sent, (size_t)piece,
                      piece == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
            return -1;
        request->sent += piece;
        if (piece < left || lws_partial_buffered(connection->wsi)) {
            (void)lws_callback_on_writable(connection->wsi);
            return 0;
        }
    }
    last = request->last;
    request_free(request);
    if (last) {
        /* What is not read makes a reset of the end: leave the other side time to read the answer first. */
        (void)lws_rx_flow_control(connection->wsi, 0);
        ws_timer(connection, WS_LINGER_MS);
        return 0;
    }
    ws_timer(connection, WS_HTTP_IDLE_MS);
    return lws_http_transaction_completed(connection->wsi) ? -1 : 0;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* How many bytes of the connection libwebsockets has read so far; 0: nobody knows. */
static uint64_t bytes_read(const struct ws_connection *connection)
{
    int fd = lws_get_socket_fd(connection->wsi);

    return fd < 0 ? 0 : sockets_bytes_read(fd);
}

/* Hand the whole request to the host. */
static int hand_over(struct ws_request *request)
{
    struct ws_connection *connection = request->connection;
    const struct gavel_transport_events *events = &connection->transport->instance.up.events;

    request->complete = true;
    connection->taken = bytes_read(connection);
    request->what.body = gavel_buffer_slice(&request->body);
    (void)lws_rx_flow_control(connection->wsi, 0);
    lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
    ws_timer(connection, WS_HTTP_THINK_MS);
    if (events->http)
        events->http(events->context, request, &request->what);
    else
        answer(request, 404, NULL, 0, gavel_text("nothing is served over HTTP here; the observer prometheus has "
                                                    "/metrics, /livez and /readyz\n"));
    return 0;
}

/* Append NUL-terminated text; offsets, because the buffer moves while it grows. */
static int64_t keep(struct ws_request *request, const char *text, size_t size)
{
    uint64_t at = request->text.size;

    if (gavel_buffer_append(&request->text, text, size) != GAVEL_OK ||
        gavel_buffer_append(&request->text, "", 1) != GAVEL_OK)
        return -1;
    return (int64_t)at;
}

/* libwebsockets has decoded the arguments: encode what would be taken for a border. */
static int64_t keep_query(struct ws_request *request, struct lws *wsi)
{
    static const char digits[] = "0123456789ABCDEF";
    uint64_t at = request->text.size;
    char part[1024];
    char encoded[3];
    bool value;
    int length;
    int i;
    int n;

    for (n = 0; (length = lws_hdr_copy_fragment(wsi, part, sizeof part, WSI_TOKEN_HTTP_URI_ARGS, n)) > 0; n++) {
        value = false;
        if (n && gavel_buffer_append(&request->text, "&", 1) != GAVEL_OK)
            return -1;
        for (i = 0; i < length; i++) {
            unsigned char c = (unsigned char)part[i];
            bool border = c == '=' && !value;
            bool plain = border || (c < 128 && (strchr("-._~:@!$'()*,;/?", c) != NULL || (c >= '0' && c <= '9') ||
                                                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')));
            value = value || border;
            encoded[0] = plain && c ? (char)c : '%';
            encoded[1] = digits[c >> 4];
            encoded[2] = digits[c & 15];
            if (gavel_buffer_append(&request->text, encoded, plain && c ? 1 : 3) != GAVEL_OK)
                return -1;
        }
    }
    return gavel_buffer_append(&request->text, "", 1) == GAVEL_OK ? (int64_t)at : -1;
}

static void keep_headers(struct ws_request *request, struct lws *wsi, int64_t *offsets)
{
    char value[1024];
    char name[32];
    size_t i;
    int length;

    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        length = lws_hdr_copy(wsi, value, sizeof value, known[i].token);
        if (length <= 0 || request->what.header_count >= WS_HEADERS_MAX)
            continue;
        offsets[request->what.header_count] = keep(request, value, (size_t)length);
        request->headers[request->what.header_count].name = known[i].name;
        request->headers[request->what.header_count++].value.size = (uint64_t)length;
    }
    for (i = 0; i < sizeof custom / sizeof custom[0]; i++) {
        length = snprintf(name, sizeof name, "%s:", custom[i]);
        length = lws_hdr_custom_copy(wsi, value, sizeof value, name, length);
        if (length <= 0 || request->what.header_count >= WS_HEADERS_MAX)
            continue;
        offsets[request->what.header_count] = keep(request, value, (size_t)length);
        request->headers[request->what.header_count].name = custom[i];
        request->headers[request->what.header_count++].value.size = (uint64_t)length;
    }
}

/* Everything that the head says, copied: libwebsockets' own copy goes when the connection moves on. */
static bool read_head(struct ws_request *request, struct lws *wsi, const char *method, const char *path, size_t size)
{
    int64_t offsets[WS_HEADERS_MAX];
    int64_t path_at = keep(request, path, size);
    int64_t query_at = keep_query(request, wsi);
    uint64_t query_size = request->text.size - (uint64_t)(query_at < 0 ? 0 : query_at) - 1;
    uint64_t i;

    keep_headers(request, wsi, offsets);
    if (path_at < 0 || query_at < 0)
        return false;
    request->what.size = GAVEL_END(struct gavel_http_request, header_count);
    request->what.method = gavel_text(method);
    request->what.path = gavel_bytes(request->text.data + path_at, size);
    request->what.query = gavel_bytes(request->text.data + query_at, query_size);
    for (i = 0; i < request->what.header_count; i++) {
        if (offsets[i] < 0)
            return false;
        request->headers[i].value.data = request->text.data + offsets[i];
    }
    request->what.headers = request->headers;
    return true;
}

static bool has_body(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
}

/*
 * Of a request that it read together with the one before it libwebsockets (4.1.6) takes the head for the body, and
 * where that is too short it never leaves its loop, and the whole process with it. Such a connection is closed: who
 * pipelines must expect that of any server (RFC 9112, 9.3.2). Nothing was read since the last request then, but perhaps
 * the end of the stream, which counts as one byte. Where the system does not say, nothing counts as read.
 */
static bool was_read_already(const struct ws_connection *connection)
{
    return connection->taken && bytes_read(connection) <= connection->taken + 1;
}

int ws_http_head(struct ws_connection *connection, const char *path, size_t size)
{
    struct lws *wsi = connection->wsi;
    const char *method = wsi ? method_of(wsi) : NULL;
    struct ws_request *request;
    char text[24] = "";
    char *end = text;
    unsigned long long length = 0;

    if (connection->state == WS_SHAKING)
        ws_move(connection, WS_HTTP);
    if (!method || connection->request || connection->state != WS_HTTP)
        return -1;
    ws_timer(connection, WS_HTTP_IDLE_MS);
    request = request_new(connection);
    if (!request || !read_head(request, wsi, method, path, size))
        return -1;
    if (has_body(wsi) && was_read_already(connection))
        return -1;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING)) {
        refuse(request, 411);
        return 0;
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0)
        length = strtoull(text, &end, 10);
    if (*end || lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) >= (int)sizeof text)
        refuse(request, 400);
    else if (length > WS_BODY_MAX)
        refuse(request, 413);
    else if (length == 0)
        return hand_over(request);
    request->expected = length;
    return 0;
}

int ws_http_body(struct ws_connection *connection, const void *data, size_t size)
{
    struct ws_request *request = connection->request;

    if (!request || request->answered || request->complete)
        return 0;
    if (request->body.size + size > request->expected ||
        gavel_buffer_append(&request->body, data, size) != GAVEL_OK)
        return -1;
    return 0;
}

int ws_http_complete(struct ws_connection *connection)
{
    struct ws_request *request = connection->request;

    if (!request || request->answered || request->complete)
        return 0;
    return hand_over(request);
}
