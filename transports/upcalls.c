/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upcalls.c - copies the host's tables by the rule of the ABI: min(size), what is missing is NULL or the default.
 */
#include "upcalls.h"

#include "framing.h"

int32_t upcalls_take(struct upcalls *upcalls, const struct gavel_transport_events *events,
                     const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct gavel_transport_limits *mine = &upcalls->limits;

    memset(upcalls, 0, sizeof *upcalls);
    memcpy(&upcalls->events, events, events->size < sizeof *events ? (size_t)events->size : sizeof *events);
    if (limits)
        memcpy(mine, limits, limits->size < sizeof *limits ? (size_t)limits->size : sizeof *limits);
    if (!upcalls->events.accepted || !upcalls->events.connected || !upcalls->events.message || !upcalls->events.closed)
        return gavel_fail(error, GAVEL_E_INVALID, "the host misses one of: accepted, connected, message, closed");
    if (mine->message_bytes > FRAMING_LENGTH_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "messages of %llu bytes: at most %u fit in a frame",
                          (unsigned long long)mine->message_bytes, FRAMING_LENGTH_MAX);
    mine->message_bytes = mine->message_bytes ? mine->message_bytes : UPCALLS_MESSAGE_BYTES;
    mine->send_high = mine->send_high ? mine->send_high : UPCALLS_SEND_HIGH;
    mine->dial_ms = mine->dial_ms ? mine->dial_ms : UPCALLS_DIAL_MS;
    mine->keepalive_ms = mine->keepalive_ms ? mine->keepalive_ms : UPCALLS_KEEPALIVE_MS;
    mine->connections = mine->connections ? mine->connections : UPCALLS_CONNECTIONS;
    return GAVEL_OK;
}

const char *upcalls_reason(uint64_t reason)
{
    static const char *const words[] = {
        [GAVEL_CLOSE_NORMAL] = "closed",         [GAVEL_CLOSE_REFUSED] = "refused",
        [GAVEL_CLOSE_LOST] = "lost",             [GAVEL_CLOSE_TIMEOUT] = "timed out",
        [GAVEL_CLOSE_PROTOCOL] = "protocol",     [GAVEL_CLOSE_UNRESOLVED] = "unresolved",
        [GAVEL_CLOSE_TLS] = "TLS",               [GAVEL_CLOSE_SLOW] = "too slow",
    };

    return reason < sizeof words / sizeof words[0] && words[reason] ? words[reason] : "closed for an unknown reason";
}
