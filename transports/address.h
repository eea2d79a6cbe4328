/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - the URIs that the transports listen on and dial: scheme://host:port[/path], scheme://[v6]:port,
 * unix:///path.
 */
#ifndef TRANSPORTS_ADDRESS_H
#define TRANSPORTS_ADDRESS_H

#include <gavel/abi.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_SCHEME_MAX 8u /* with the NUL; "unix" is the longest there is */
#define ADDRESS_HOST_MAX 254u /* a DNS name has at most 253 characters */
#define ADDRESS_PATH_MAX 512u
#define ADDRESS_TEXT_MAX 832u /* a whole URI made of the parts above */

/* One URI, taken apart. */
struct address {
    char scheme[ADDRESS_SCHEME_MAX];
    char host[ADDRESS_HOST_MAX]; /* a name or a literal, without brackets; "" for unix */
    char path[ADDRESS_PATH_MAX]; /* of a unix socket; of a ws URI with its '/', "/" when it has none */
    uint16_t port;
    bool literal; /* host is a numeric address, in `socket` */
    bool v6;      /* it is an IPv6 literal */
    struct sockaddr_storage socket;
};

/*
 * Take `uri` apart; `schemes` are those allowed, separated by blanks. GAVEL_E_INVALID with a sentence that quotes the
 * URI.
 */
int32_t address_parse(struct gavel_slice uri, const char *schemes, struct address *address, struct gavel_error *error);

/* Write the URI with another port to `text` (ADDRESS_TEXT_MAX bytes). */
void address_format(const struct address *address, uint16_t port, char *text);

/* Write "127.0.0.1:80" or "[::1]:80" to `text` (`size` bytes, 64 are enough); "?" for another family. */
void address_of_socket(const struct sockaddr *socket, char *text, size_t size);

#endif
