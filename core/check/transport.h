/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - the checks of a transport. Each is the body of one child process.
 */
#ifndef CORE_CHECK_TRANSPORT_H
#define CORE_CHECK_TRANSPORT_H

/* Messages keep their borders, bytes and order, whatever their sizes, both ways. */
void transport_order(void);
/* The stream comes byte by byte, and in any other pieces. */
void transport_partial(void);
/* At the limit of a message's size, and one above. */
void transport_limits(void);
/* A reader that stands still fills a bounded queue, and loses nothing. */
void transport_slow_reader(void);
/* What is held by pause does not come, and comes afterwards. */
void transport_pause(void);
/* Silence is asked about, and only the dead are given up. */
void transport_keep_alive(void);
/* Several listeners, the limit of connections, a port in use, nothing before start. */
void transport_listeners(void);
/* Requests and answers, where the transport speaks HTTP. */
void transport_http(void);
/* Resets at any place, refused and silent dials, strangers. */
void transport_resets(void);
/* Thousands of connections, one after the other and many at once. */
void transport_connects(void);
/* Closes from within up-calls, refusals, unlisten, quiesce with everything open. */
void transport_life(void);
/* A life leaves nothing behind. */
void transport_leaks(void);

#endif
