/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockets.h - listening internet sockets for a URI, without blocking behaviour and closed on exec.
 */
#ifndef TRANSPORTS_SOCKETS_H
#define TRANSPORTS_SOCKETS_H

#include "address.h"

#define SOCKETS_MAX 8u /* a name may stand for several addresses; no more are listened on */

/*
 * Listen on `address`, a literal or a name, which may stand for several addresses, as localhost does: then on all of
 * them that this machine has, on one port. At most SOCKETS_MAX descriptors go to `fds`, how many to *count, the real
 * port to *port. GAVEL_E_IO with a sentence; then nothing is open. A name is looked up in place: this is for start.
 */
int32_t sockets_listen(const struct address *address, uint64_t backlog, int *fds, uint64_t *count, uint16_t *port,
                       struct gavel_error *error);

/*
 * How many bytes of a TCP connection have been read from it so far; the end of the stream, once it came, counts as one
 * more. 0: the system does not say.
 */
uint64_t sockets_bytes_read(int fd);

#endif
