/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.h - addresses as they are written in an INI file: scheme://host:port, scheme://[ipv6]:port, unix:///path. What a
 * scheme means is known to the transport that speaks it; here is only what the host itself must know.
 */
#ifndef CORE_HOST_URI_H
#define CORE_HOST_URI_H

#include <gavel/abi.h>

#include <stdbool.h>

#define HOST_URI_MAX 255 /* bytes: NODE_URI_MAX with its NUL */

/* Whether `uri` is well formed; GAVEL_E_INVALID with a sentence when not. */
int32_t host_uri_check(const char *uri, struct gavel_error *error);

/* The same, of an address that others dial: its port is not 0. */
int32_t host_uri_check_dialled(const char *uri, struct gavel_error *error);

/* Whether the scheme is one that means TLS: wss, tls, https. */
bool host_uri_has_tls(const char *uri);

/* Whether a list of schemes, separated by blanks, holds that of `uri`. */
bool host_uri_spoken(const char *schemes, const char *uri);

/*
 * Whether nobody but this machine, or nobody without a certificate, reaches a listener there: a loopback address, a
 * Unix socket, a scheme with TLS.
 */
bool host_uri_is_private(const char *uri);

#endif
