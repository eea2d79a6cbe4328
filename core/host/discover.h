/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.h - where others may be found by name: A and AAAA records, SRV records. It feeds the founding and the
 * joining of a cluster and nothing else: who is a member is never read from a name server.
 *
 *   dns://NAME:PORT[?scheme=S]     every address of NAME, at PORT
 *   dns+srv://NAME[?scheme=S]      the targets and ports of the SRV records of NAME (_gavel._tcp.example)
 */
#ifndef CORE_HOST_DISCOVER_H
#define CORE_HOST_DISCOVER_H

#include <stdbool.h>
#include <stdint.h>

#include <gavel/abi.h>

#define HOST_SOURCES_MAX 8    /* of one file */
#define HOST_FOUND_MAX 64     /* NODE_SEEDS_MAX: addresses, the file's own seeds among them */
#define HOST_FOUND_BYTES 256  /* NODE_URI_MAX */

struct host_source {
    const char *text; /* as the file has it; borrowed */
    bool srv;
    char name[254]; /* RFC 1035, 2.3.4 */
    char port[6];
    char scheme[32]; /* of the addresses that are made; "": the first transport's */
};

/* The addresses that were found, as URIs. */
struct host_found {
    uint32_t count;
    char uri[HOST_FOUND_MAX][HOST_FOUND_BYTES];
};

/* Read one; GAVEL_E_INVALID with the reason. *source keeps `text`. */
int32_t host_source_read(const char *text, struct host_source *source, struct gavel_error *error);

/* Read "IPv4:port" or "IPv4" of a name server; GAVEL_E_INVALID. */
int32_t host_server_read(const char *text, uint32_t *address, uint16_t *port, struct gavel_error *error);

/*
 * [worker] Ask, and add what was found; it waits for name servers, some seconds when they do not answer. `server` NULL:
 * those of this machine, and its hosts file; else that one alone. GAVEL_E_NOT_FOUND: there is no such name, or nothing
 * of the kind; GAVEL_E_IO: nobody answered. *found keeps what it had.
 */
int32_t host_source_ask(const struct host_source *source, const char *scheme, const char *server,
                        struct host_found *found, struct gavel_error *error);

/* Add what the SRV, A and AAAA records of an answer say. For host_source_ask, and for tests. */
int32_t host_answer_take(const unsigned char *answer, uint64_t size, const struct host_source *source,
                         const char *scheme, struct host_found *found, struct gavel_error *error);

#endif
