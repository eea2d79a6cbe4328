/* SPDX-License-Identifier: Apache-2.0 */
/* my-plugin-address.c - addresses, as text and as the system has them. */
#include "my-plugin.h"

int32_t address_parse(struct gavel_slice uri, char host[256], char port[8], struct gavel_error *error)
{
    char text[400];
    char *begin = text + strlen(SCHEME "://"), *end, *colon;
    uint64_t size = uri.size < sizeof text ? uri.size : sizeof text - 1;

    memcpy(text, uri.data, size);
    text[size] = 0;
    if (uri.size != size || strncmp(text, SCHEME "://", strlen(SCHEME "://")) != 0)
        return gavel_fail(error, GAVEL_E_INVALID, "expected " SCHEME "://host:port, found \"%s\"", text);
    end = *begin == '[' ? strchr(begin, ']') : begin;
    colon = end ? strchr(end, ':') : NULL;
    if (*begin == '[' && end) {
        begin++;
        *end = 0;
    }
    if (!colon || colon == begin || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        !colon[1] || strtol(colon + 1, NULL, 10) > 65535 || strlen(begin) >= 256)
        return gavel_fail(error, GAVEL_E_INVALID, "the address \"%.*s\" has no host, or no port of 0 to 65535",
                          (int)uri.size, (const char *)uri.data);
    *colon = 0;
    (void)snprintf(host, 256, "%s", begin);
    (void)snprintf(port, 8, "%s", colon + 1);
    return GAVEL_OK;
}

void address_show(const struct sockaddr *address, char *text, size_t size)
{
    char host[64] = "?";
    unsigned port = 0;

    if (address->sa_family == AF_INET) {
        (void)uv_ip4_name((const struct sockaddr_in *)(const void *)address, host, sizeof host);
        port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    } else if (address->sa_family == AF_INET6) {
        (void)uv_ip6_name((const struct sockaddr_in6 *)(const void *)address, host, sizeof host);
        port = ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    }
    (void)snprintf(text, size, address->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

