/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.c - splitting an address.
 */
#include "core/host/uri.h"

#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define PORT_MAX 65535

/* The part behind "scheme://"; NULL when there is no scheme (RFC 3986, 3.1; a plugin's name can be one). */
static const char *behind_scheme(const char *uri)
{
    size_t size = strspn(uri, LETTERS "0123456789+-.");

    if (size == 0 || !strchr(LETTERS, *uri) || strncmp(uri + size, "://", 3) != 0)
        return NULL;
    return uri + size + 3;
}

static bool has_scheme(const char *uri, const char *scheme)
{
    size_t size = strlen(scheme);

    return strncmp(uri, scheme, size) == 0 && strncmp(uri + size, "://", 3) == 0;
}

/* The ':' before the port; NULL when there is none. */
static const char *port_colon(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : host;

    return end ? strchr(end, ':') : NULL;
}

int32_t host_uri_check(const char *uri, struct gavel_error *error)
{
    const char *host = behind_scheme(uri), *colon;
    char *end;
    long port;

    if (strlen(uri) > HOST_URI_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "the address \"%.40s...\" has more than %d bytes", uri, HOST_URI_MAX);
    if (!host)
        return gavel_fail(error, GAVEL_E_INVALID,
                          "expected an address such as ws://127.0.0.1:8080 or tcp://[::1]:8080, found \"%s\"", uri);
    if (has_scheme(uri, "unix"))
        return *host == '/' ? GAVEL_OK
                            : gavel_fail(error, GAVEL_E_INVALID, "expected unix:///absolute/path, found \"%s\"", uri);
    colon = port_colon(host);
    if (!colon || colon == host)
        return gavel_fail(error, GAVEL_E_INVALID, "the address \"%s\" has no host or no port; write scheme://host:port",
                          uri);
    port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || (*end != 0 && *end != '/') || port < 0 || port > PORT_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "the address \"%s\" has no port of 0 to %d", uri, PORT_MAX);
    return GAVEL_OK;
}

int32_t host_uri_check_dialled(const char *uri, struct gavel_error *error)
{
    int32_t status = host_uri_check(uri, error);

    if (status != GAVEL_OK || has_scheme(uri, "unix") || strtol(port_colon(behind_scheme(uri)) + 1, NULL, 10) != 0)
        return status;
    return gavel_fail(error, GAVEL_E_INVALID, "nobody can dial port 0, in \"%s\": write the port that is listened on",
                      uri);
}

bool host_uri_has_tls(const char *uri)
{
    return has_scheme(uri, "wss") || has_scheme(uri, "tls") || has_scheme(uri, "https");
}

bool host_uri_spoken(const char *schemes, const char *uri)
{
    size_t wanted = strcspn(uri, ":");

    for (const char *at = schemes + strspn(schemes, " "); *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");

        if (size == wanted && strncmp(at, uri, size) == 0)
            return true;
        at += size;
    }
    return false;
}

bool host_uri_is_private(const char *uri)
{
    const char *host = behind_scheme(uri), *colon;
    size_t size;

    if (!host || has_scheme(uri, "unix"))
        return true;
    if (host_uri_has_tls(uri))
        return true;
    colon = port_colon(host);
    size = colon ? (size_t)(colon - host) : strlen(host);
    if (size == 9 && strncmp(host, "localhost", 9) == 0)
        return true;
    if (size == 5 && strncmp(host, "[::1]", 5) == 0)
        return true;
    /* 127.0.0.0/8 and nothing that only begins like it, such as 127.example.com */
    return size > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size;
}
