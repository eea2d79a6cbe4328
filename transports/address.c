/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c - URIs of listeners and peers: strict, so that a typing error is a sentence and not a dial to elsewhere.
 */
#include "address.h"

#include <arpa/inet.h>
#include <assert.h>

static int32_t refuse(struct gavel_slice uri, const char *why, struct gavel_error *error)
{
    int length = uri.size < 200 ? (int)uri.size : 200;

    return gavel_fail(error, GAVEL_E_INVALID, "address '%.*s': %s", length, (const char *)uri.data, why);
}

static bool one_of(const char *scheme, const char *schemes)
{
    size_t length = strlen(scheme);
    const char *at = schemes;

    while (at && *at) {
        if (strncmp(at, scheme, length) == 0 && (at[length] == ' ' || at[length] == 0))
            return true;
        at = strchr(at, ' ');
        if (at)
            at++;
    }
    return false;
}

static int32_t parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t i;

    if (!text[0])
        return GAVEL_E_INVALID;
    for (i = 0; text[i]; i++) {
        if (text[i] < '0' || text[i] > '9' || i > 4)
            return GAVEL_E_INVALID;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value > 65535)
        return GAVEL_E_INVALID;
    *port = (uint16_t)value;
    return GAVEL_OK;
}

static void find_literal(struct address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->socket;

    if (address->v6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        address->literal = inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1;
    } else if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        address->literal = true;
    }
}

/* `rest` is what stands behind "scheme://", up to the path. */
static const char *parse_host(char *rest, struct address *address)
{
    char *host = rest;
    char *colon;
    size_t i;

    if (rest[0] == '[') {
        char *end = strchr(rest, ']');
        if (!end)
            return "an IPv6 address must end with ']'";
        *end = 0;
        host = rest + 1;
        colon = end + 1;
        address->v6 = true;
        if (*colon != ':')
            return "a port is missing: say [address]:port";
    } else {
        colon = strrchr(rest, ':');
        if (!colon)
            return "a port is missing: say host:port";
        if (memchr(rest, ':', (size_t)(colon - rest)))
            return "an IPv6 address belongs in brackets: [address]:port";
    }
    *colon = 0;
    if (!host[0])
        return "the host is missing";
    if (strlen(host) >= sizeof address->host)
        return "the host name is too long";
    for (i = 0; host[i]; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:", host[i]))
            return "the host has a character that no host name has";
    memcpy(address->host, host, strlen(host) + 1);
    if (parse_port(colon + 1, &address->port) != GAVEL_OK)
        return "the port must be a number from 0 to 65535";
    find_literal(address);
    if (address->v6 && !address->literal)
        return "the IPv6 address is malformed";
    return NULL;
}

static const char *parse_rest(char *rest, struct address *address)
{
    char *slash = strchr(rest, '/');

    if (strcmp(address->scheme, "unix") == 0) {
        if (slash != rest)
            return "a socket path must be absolute: unix:///path";
        if (strlen(rest) >= sizeof address->path)
            return "the path is too long";
        memcpy(address->path, rest, strlen(rest) + 1);
        return NULL;
    }
    memcpy(address->path, "/", 2);
    if (slash && strncmp(address->scheme, "ws", 2) != 0 && slash[1])
        return "this scheme takes no path";
    if (slash && strlen(slash) >= sizeof address->path)
        return "the path is too long";
    if (slash) {
        memcpy(address->path, slash, strlen(slash) + 1);
        *slash = 0;
    }
    return parse_host(rest, address);
}

int32_t address_parse(struct gavel_slice uri, const char *schemes, struct address *address, struct gavel_error *error)
{
    char text[ADDRESS_TEXT_MAX];
    const char *why;
    char *mark;

    assert(schemes);
    memset(address, 0, sizeof *address);
    if (uri.size == 0 || uri.size >= sizeof text || memchr(uri.data, 0, (size_t)uri.size))
        return refuse(uri, "it is empty or too long", error);
    memcpy(text, uri.data, (size_t)uri.size);
    text[uri.size] = 0;
    mark = strstr(text, "://");
    if (!mark || mark == text || (size_t)(mark - text) >= sizeof address->scheme)
        return refuse(uri, "it has no scheme: say scheme://host:port", error);
    memcpy(address->scheme, text, (size_t)(mark - text));
    if (!one_of(address->scheme, schemes))
        return gavel_fail(error, GAVEL_E_INVALID, "address '%s': this transport speaks: %s", text, schemes);
    why = parse_rest(mark + 3, address);
    return why ? refuse(uri, why, error) : GAVEL_OK;
}

void address_format(const struct address *address, uint16_t port, char *text)
{
    const char *path = strncmp(address->scheme, "ws", 2) == 0 && address->path[1] ? address->path : "";

    if (strcmp(address->scheme, "unix") == 0)
        (void)snprintf(text, ADDRESS_TEXT_MAX, "unix://%s", address->path);
    else
        (void)snprintf(text, ADDRESS_TEXT_MAX, address->v6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s", address->scheme,
                       address->host, (unsigned)port, path);
}

void address_of_socket(const struct sockaddr *socket, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];

    if (socket->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)socket;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(text, size, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    } else if (socket->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)socket;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(text, size, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    } else {
        (void)snprintf(text, size, "?");
    }
}
