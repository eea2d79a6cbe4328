/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transports.h - the heads of the transports for those who link them statically: gaveld's admin socket, libgavel,
 * tests. Link $(TRANSPORT_TCP) or $(TRANSPORT_WEBSOCKET) and $(TRANSPORT_SHARED), which transports/tcp/Module.am
 * defines. A host should have SIGPIPE ignored, or blocked on the loop's thread: libuv's own writes, which tcp falls
 * back to for a peer that is slow and then gone, raise it.
 */
#ifndef TRANSPORTS_TRANSPORTS_H
#define TRANSPORTS_TRANSPORTS_H

#include <gavel/plugin.h>
#include <gavel/transport.h>

/* Schemes tcp and unix. */
const struct gavel_plugin *gavel_plugin_tcp(void);

/* Scheme ws. Only where the build has libwebsockets. */
const struct gavel_plugin *gavel_plugin_websocket(void);

#endif
