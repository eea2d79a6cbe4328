/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upcalls.h - what a transport instance knows of its host: its copy of the up-calls and limits, checked once, so that
 * the rest of a transport may call without asking.
 */
#ifndef TRANSPORTS_UPCALLS_H
#define TRANSPORTS_UPCALLS_H

#include <gavel/transport.h>

/* What limits a host that states none gets. */
#define UPCALLS_MESSAGE_BYTES (16u << 20)
#define UPCALLS_SEND_HIGH (8u << 20)
#define UPCALLS_DIAL_MS 2000u
#define UPCALLS_KEEPALIVE_MS 10000u
#define UPCALLS_CONNECTIONS 1024u

struct upcalls {
    struct gavel_transport_events events; /* accepted, connected, message and closed are never NULL */
    struct gavel_transport_limits limits; /* never 0 */
};

/*
 * Copy what the host handed to `prepare`. GAVEL_E_INVALID with a sentence when an up-call that must be there is
 * missing.
 */
int32_t upcalls_take(struct upcalls *upcalls, const struct gavel_transport_events *events,
                     const struct gavel_transport_limits *limits, struct gavel_error *error);

/* A word for a GAVEL_CLOSE_ reason, for sentences. */
const char *upcalls_reason(uint64_t reason);

#endif
