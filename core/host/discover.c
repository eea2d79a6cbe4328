/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.c - see discover.h. libuv knows A and AAAA only, so SRV goes through the resolver of the C library; when a
 * server is named, all of it does, for getaddrinfo(3) cannot be told whom to ask.
 */
#include "core/host/discover.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX 65535 /* bytes: over TCP when it does not fit a datagram */
#define WAIT_S 2         /* for one server, and so often: */
#define TRIES 2
#define HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
    size_t size = strspn(text, "0123456789");

    return size > 0 && size <= 5 && !text[size] && strtol(text, NULL, 10) > 0 && strtol(text, NULL, 10) <= 65535;
}

static int32_t read_scheme(const char *query, struct host_source *source, struct gavel_error *error)
{
    size_t size;

    if (strncmp(query, "scheme=", 7) != 0)
        return gavel_fail(error, GAVEL_E_INVALID, "\"%s\": behind ? stands scheme=, and the scheme of the addresses",
                          source->text);
    size = strspn(query + 7, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
    if (size == 0 || query[7 + size] || size >= sizeof source->scheme)
        return gavel_fail(error, GAVEL_E_INVALID, "\"%s\": \"%s\" is no scheme", source->text, query + 7);
    memcpy(source->scheme, query + 7, size + 1);
    return GAVEL_OK;
}

int32_t host_source_read(const char *text, struct host_source *source, struct gavel_error *error)
{
    const char *at = strstr(text, "://");
    const char *query, *colon;
    size_t size;

    memset(source, 0, sizeof *source);
    source->text = text;
    source->srv = strncmp(text, "dns+srv://", 10) == 0;
    if (!at || (!source->srv && strncmp(text, "dns://", 6) != 0))
        return gavel_fail(error, GAVEL_E_INVALID,
                          "expected dns://NAME:PORT or dns+srv://_gavel._tcp.NAME, found \"%s\"", text);
    at += 3;
    query = strchr(at, '?');
    size = query ? (size_t)(query - at) : strlen(at);
    if (!source->srv) {
        colon = memchr(at, ':', size);
        if (!colon || (size_t)(at + size - colon) > sizeof source->port)
            return gavel_fail(error, GAVEL_E_INVALID, "\"%s\" names no port: dns://NAME:PORT", text);
        memcpy(source->port, colon + 1, (size_t)(at + size - colon - 1));
        if (!is_port(source->port))
            return gavel_fail(error, GAVEL_E_INVALID, "\"%s\" has no port of 1 to 65535", text);
        size = (size_t)(colon - at);
    }
    if (size == 0 || size >= sizeof source->name || strspn(at, HOST_BYTES) < size)
        return gavel_fail(error, GAVEL_E_INVALID, "\"%s\" has no name that a name server could know%s", text,
                          source->srv ? "; SRV records say the port" : "");
    memcpy(source->name, at, size);
    return query ? read_scheme(query + 1, source, error) : GAVEL_OK;
}

int32_t host_server_read(const char *text, uint32_t *address, uint16_t *port, struct gavel_error *error)
{
    char host[INET_ADDRSTRLEN];
    size_t size = strcspn(text, ":");
    struct in_addr in;

    if (size >= sizeof host || (text[size] == ':' && !is_port(text + size + 1)))
        return gavel_fail(error, GAVEL_E_INVALID, "expected a name server such as 127.0.0.1:8600, found \"%s\"", text);
    memcpy(host, text, size);
    host[size] = 0;
    if (inet_pton(AF_INET, host, &in) != 1)
        return gavel_fail(error, GAVEL_E_INVALID, "expected the IPv4 address of a name server, found \"%s\"", text);
    *address = in.s_addr;
    *port = text[size] ? (uint16_t)strtol(text + size + 1, NULL, 10) : 53;
    return GAVEL_OK;
}

/* ---- what was found ---------------------------------------------------------------------------------------------- */

static void add(struct host_found *found, const char *scheme, const char *host, const char *port)
{
    char uri[HOST_FOUND_BYTES];
    int size = snprintf(uri, sizeof uri, strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", scheme, host, port);

    if (size < 0 || (size_t)size >= sizeof uri || found->count == HOST_FOUND_MAX)
        return;
    for (uint32_t i = 0; i < found->count; i++)
        if (strcmp(found->uri[i], uri) == 0)
            return;
    memcpy(found->uri[found->count++], uri, sizeof uri);
}

static uint32_t load16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* A target becomes a part of an address: what would be read as a port, a path or a query there is no host. */
static bool is_host(const char *name)
{
    return name[0] && !name[strspn(name, HOST_BYTES)];
}

/* One record's data, from `at` on, `size` bytes that lie within the answer. */
static void take_data(const unsigned char *answer, const unsigned char *end, const unsigned char *at, uint32_t type,
                      uint32_t size, const struct host_source *source, const char *scheme, struct host_found *found)
{
    char host[NS_MAXDNAME];
    char port[8];

    if (source->srv && type == ns_t_srv && size > 6) {
        if (dn_expand(answer, end, at + 6, host, sizeof host) <= 0 || !is_host(host) || load16(at + 4) == 0)
            return;
        (void)snprintf(port, sizeof port, "%u", load16(at + 4));
        add(found, scheme, host, port);
    } else if (!source->srv && type == ns_t_a && size == 4) {
        if (inet_ntop(AF_INET, at, host, sizeof host))
            add(found, scheme, host, source->port);
    } else if (!source->srv && type == ns_t_aaaa && size == 16) {
        if (inet_ntop(AF_INET6, at, host, sizeof host))
            add(found, scheme, host, source->port);
    }
}

/* Behind the name that begins at `at`; NULL: there is none. */
static const unsigned char *behind_name(const unsigned char *answer, const unsigned char *end, const unsigned char *at)
{
    char name[NS_MAXDNAME];
    int size = at < end ? dn_expand(answer, end, at, name, sizeof name) : -1;

    return size < 0 ? NULL : at + size;
}

int32_t host_answer_take(const unsigned char *answer, uint64_t size, const struct host_source *source,
                         const char *scheme, struct host_found *found, struct gavel_error *error)
{
    const unsigned char *end = answer + size;
    const unsigned char *at = answer + NS_HFIXEDSZ;
    uint32_t questions, records;

    if (size < NS_HFIXEDSZ)
        return gavel_fail(error, GAVEL_E_IO, "the answer for %s is cut short", source->name);
    questions = load16(answer + 4);
    records = load16(answer + 6);
    for (uint32_t i = 0; i < questions && at; i++) {
        at = behind_name(answer, end, at);
        at = at && end - at >= NS_QFIXEDSZ ? at + NS_QFIXEDSZ : NULL;
    }
    for (uint32_t i = 0; i < records && at; i++) {
        uint32_t length;

        at = behind_name(answer, end, at);
        if (!at || end - at < NS_RRFIXEDSZ)
            break;
        length = load16(at + 8);
        if ((uint64_t)(end - at - NS_RRFIXEDSZ) < length)
            break;
        if (load16(at + 2) == ns_c_in)
            take_data(answer, end, at + NS_RRFIXEDSZ, load16(at), length, source, scheme, found);
        at += NS_RRFIXEDSZ + length;
    }
    return GAVEL_OK;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static int32_t ask_for(struct __res_state *state, int type, const struct host_source *source, const char *scheme,
                       struct host_found *found, struct gavel_error *error)
{
    unsigned char *answer = malloc(ANSWER_MAX);
    int32_t status;
    int size;

    if (!answer)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    size = res_nquery(state, source->name, ns_c_in, type, answer, ANSWER_MAX);
    if (size >= 0)
        status = host_answer_take(answer, (uint64_t)size, source, scheme, found, error);
    else if (state->res_h_errno == HOST_NOT_FOUND || state->res_h_errno == NO_DATA)
        status = gavel_fail(error, GAVEL_E_NOT_FOUND, "%s: %s", source->name, hstrerror(state->res_h_errno));
    else
        status = gavel_fail(error, GAVEL_E_IO, "%s: no name server answers", source->name);
    free(answer);
    return status;
}

static int32_t ask_resolver(const struct host_source *source, const char *scheme, const char *server,
                            struct host_found *found, struct gavel_error *error)
{
    struct __res_state state;
    uint32_t address;
    uint16_t port;
    int32_t status, other;

    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0)
        return gavel_fail(error, GAVEL_E_IO, "the resolver of this machine cannot be used");
    state.retrans = WAIT_S;
    state.retry = TRIES;
    if (server && host_server_read(server, &address, &port, error) == GAVEL_OK) {
        state.nscount = 1;
        state.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                                    .sin_addr = {.s_addr = address}};
    }
    status = ask_for(&state, source->srv ? ns_t_srv : ns_t_a, source, scheme, found, error);
    if (!source->srv && status != GAVEL_E_IO) {
        other = ask_for(&state, ns_t_aaaa, source, scheme, found, status == GAVEL_OK ? NULL : error);
        status = status == GAVEL_OK ? status : other;
    }
    res_nclose(&state);
    return status;
}

/* The hosts file, and whatever else this machine looks names up in. */
static int32_t ask_system(const struct host_source *source, const char *scheme, struct host_found *found,
                          struct gavel_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list;
    char host[NI_MAXHOST];
    int code = getaddrinfo(source->name, source->port, &hints, &list);

    if (code != 0)
        return gavel_fail(error, code == EAI_AGAIN || code == EAI_SYSTEM ? GAVEL_E_IO : GAVEL_E_NOT_FOUND, "%s: %s",
                          source->name, gai_strerror(code));
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        if (getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
            add(found, scheme, host, source->port);
    freeaddrinfo(list);
    return GAVEL_OK;
}

int32_t host_source_ask(const struct host_source *source, const char *scheme, const char *server,
                        struct host_found *found, struct gavel_error *error)
{
    if (source->scheme[0])
        scheme = source->scheme;
    if (source->srv || server)
        return ask_resolver(source, scheme, server, found, error);
    return ask_system(source, scheme, found, error);
}
