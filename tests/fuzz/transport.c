/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - fuzz target, once for each transport (FUZZ_WEBSOCKET or not): a listener of the shipped code on a real
 * loop and a raw socket that sends what the input says, cut where it says. Whatever comes, the host is told of each
 * connection's end once, no message is over the limit, and the messages are those that a small decoder, which shares
 * nothing with the transport's, finds in what was sent.
 */
#include "tests/unit/transport_harness.h"

#include "transports/framing.h"
#include "transports/transports.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define MESSAGE_MAX 5000 /* small, so that an input can be over it */
#define DEADLINE_NS UINT64_C(20000000000) /* until a connection has ended */
#define WIRE_MAX (1u << 20)

static struct harness_side side;
static char uri[256];

/* The fuzzer's own alarm comes now and then; the call goes on behind it, and is asked for its end by calling again. */
static void connect_to(int fd, const void *to, socklen_t size)
{
    while (connect(fd, to, size) < 0 && errno != EISCONN)
        if (errno != EINTR && errno != EALREADY) {
            perror("fuzz: connect");
            abort();
        }
}

/* ---- what goes over the wire ----------------------------------------------------------------------------------- */

struct wire {
    unsigned char *data;
    size_t size;
    size_t greeting; /* bytes whose answer is waited for before the next ones are sent; 0: none */
};

static void put(struct wire *wire, const void *data, size_t size)
{
    if (size > WIRE_MAX - wire->size)
        size = WIRE_MAX - wire->size;
    if (size)
        memcpy(wire->data + wire->size, data, size);
    wire->size += size;
}

#ifdef FUZZ_WEBSOCKET

#define UPGRADE                                                                                                     \
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                            \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                                  \
    "Sec-WebSocket-Protocol: gavel.v1\r\n\r\n"

static const struct gavel_plugin *plugin(void)
{
    return gavel_plugin_websocket();
}

/* One frame, its mask zero. */
static void put_frame(struct wire *wire, unsigned first, struct gavel_slice payload)
{
    unsigned char head[8] = {(unsigned char)first, 0x80};

    if (payload.size < 126) {
        head[1] |= (unsigned char)payload.size;
        put(wire, head, 2);
    } else {
        head[1] |= 126;
        head[2] = (unsigned char)(payload.size >> 8);
        head[3] = (unsigned char)payload.size;
        put(wire, head, 4);
    }
    put(wire, "\0\0\0\0", 4);
    put(wire, payload.data, payload.size);
}

/* Frames that are well formed, of messages that may be. */
static void put_frames(struct wire *wire, struct fuzz_input *input)
{
    unsigned char run[WIRE_MAX / 64];

    while (input->size) {
        unsigned choice = fuzz_u8(input);
        struct gavel_slice payload = fuzz_take(input, choice & 0x40 ? fuzz_u8(input) : fuzz_uint(input, 2) % 8000);
        unsigned first = choice & 0x20 ? choice & 0x8f : choice & 1 ? 0x82 : choice & 2 ? 0x02 : 0x80;

        if ((choice & 0x38) == 0x18) { /* a little under the limit, or over it */
            size_t size = MESSAGE_MAX - 128 + fuzz_u8(input);

            framing_put32(run, (uint32_t)size);
            for (size_t i = 0; i < size; i++)
                run[FRAMING_HEADER + i] = payload.size ? ((const unsigned char *)payload.data)[i % payload.size] : 0;
            payload = gavel_bytes(run, FRAMING_HEADER + size);
        } else if (choice & 0x10) {
            framing_put32(run, (uint32_t)payload.size);
            if (payload.size)
                memcpy(run + FRAMING_HEADER, payload.data, (size_t)payload.size);
            payload = gavel_bytes(run, FRAMING_HEADER + payload.size);
        }
        put_frame(wire, first, payload);
    }
}

static void fill(struct wire *wire, unsigned mode, struct fuzz_input *input)
{
    if (mode & 3)
        put(wire, UPGRADE, sizeof UPGRADE - 1);
    if ((mode & 0xc0) != 0x40)
        wire->greeting = wire->size;
    if ((mode & 3) > 1)
        put_frames(wire, input);
    else
        put(wire, input->data, input->size);
}

/* What was found so far: the digest after each number of messages, for who is told fewer. */
struct found {
    uint64_t count;
    uint64_t digests[WIRE_MAX / FRAMING_HEADER + 1];
    unsigned char message[WIRE_MAX]; /* the unfinished one, with its length */
    size_t size;
    bool inside;  /* a binary message that goes on in the next frame */
    bool foreign; /* a frame of which nobody here knows what becomes of it */
};

/* Bytes of a binary message, unmasked. False: the other side must not read on. */
static bool find_bytes(struct found *found, const unsigned char *data, const unsigned char *mask, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint32_t length = 0;

        found->message[found->size++] = data[i] ^ mask[i % 4];
        if (found->size >= FRAMING_HEADER)
            length = framing_get32(found->message);
        if (length > MESSAGE_MAX)
            return false; /* too long, or a control, of which there are none here */
        if (found->size < FRAMING_HEADER || found->size < FRAMING_HEADER + length)
            continue;
        found->digests[found->count + 1] = harness_digest(found->digests[found->count],
                                                          found->message + FRAMING_HEADER, length);
        found->count++;
        found->size = 0;
    }
    return true;
}

/* One frame of RFC 6455, or the part that is there; its size, 0 when nothing behind it is to be read. */
static size_t find_frame(struct found *found, const unsigned char *at, size_t left)
{
    unsigned opcode = left >= 2 ? at[0] & 0xfu : 0xfu;
    bool last = left >= 2 && (at[0] & 0x80);
    uint64_t size = left >= 2 ? at[1] & 0x7fu : 0;
    size_t length = size == 126 ? 4 : 2;
    size_t head = length + 4;

    /* libwebsockets takes frames without a mask, and has its own mind about extensions and sizes: only raw input has
     * such. */
    if (left >= 2 && ((at[0] & 0x70) || !(at[1] & 0x80) || size == 127))
        found->foreign = true;
    if (left < head || found->foreign)
        return 0;
    if (opcode >= 9 && opcode <= 10) /* a ping or a pong */
        return last && size < 126 && left >= head + size ? head + (size_t)size : 0;
    if (opcode != (found->inside ? 0u : 2u))
        return 0; /* a close, a text, or one that has no place here */
    if (length > 2) {
        size = 0;
        for (size_t i = 2; i < length; i++)
            size = size << 8 | at[i];
    }
    found->inside = true;
    if (!find_bytes(found, at + head, at + length, size < left - head ? (size_t)size : left - head) ||
        size > left - head)
        return 0;
    if (last && found->size > 0)
        return 0; /* it ends within a message */
    found->inside = !last;
    return head + (size_t)size;
}

/* The messages up to the first thing that ends it. What comes before its upgrade was answered, which RFC 6455 forbids,
 * is partly overwritten by that answer (libwebsockets 4.1.6 has one buffer for both): nobody can tell what is found. */
static void check(const struct wire *wire, const struct harness_peer *peer)
{
    static struct found found;
    size_t at = sizeof UPGRADE - 1;
    size_t step = 1;

    if (!wire->greeting)
        return;
    assert(peer);
    found.count = found.size = 0;
    found.inside = found.foreign = false;
    for (; step && at < wire->size; at += step)
        step = find_frame(&found, wire->data + at, wire->size - at);
    if (found.foreign)
        return;
    assert(peer->messages <= found.count);
    assert(peer->digest == found.digests[peer->messages]);
    if (!peer->close_on_message && !peer->pause_on_message)
        assert(peer->messages == found.count);
}

/* From an address of 127/8 that changes: the ports of one would be used up by connections in TIME_WAIT. */
static int dial(void)
{
    static uint32_t number = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *port = strrchr(uri, ':');

    assert(port);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (number++ % 0xfffff0u));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    assert(fd >= 0);
    if (bind(fd, (const struct sockaddr *)&from, sizeof from) < 0) {
        perror("fuzz: bind");
        abort();
    }
    connect_to(fd, &to, sizeof to);
    return fd;
}

#else

static const struct gavel_plugin *plugin(void)
{
    return gavel_plugin_tcp();
}

static void fill(struct wire *wire, unsigned mode, struct fuzz_input *input)
{
    unsigned char head[FRAMING_HEADER];

    if (mode & 1)
        put(wire, framing_preamble, FRAMING_PREAMBLE);
    if (mode & 2) {
        while (input->size) { /* whole messages, of any size that there are bytes for */
            struct gavel_slice payload = fuzz_take(input, fuzz_uint(input, 2) % (MESSAGE_MAX + 100));

            framing_put32(head, (uint32_t)payload.size);
            put(wire, head, sizeof head);
            put(wire, payload.data, payload.size);
        }
    }
    put(wire, input->data, input->size);
}

/* Messages of the stream up to the first thing that ends it, by a decoder that shares nothing with the transport's. */
static void check(const struct wire *wire, const struct harness_peer *peer)
{
    uint64_t messages = 0;
    uint64_t digest = 0;
    size_t at = FRAMING_PREAMBLE;

    if (wire->size < at || memcmp(wire->data, "gavel\x01\r\n", at) != 0) {
        assert(!peer);
        return;
    }
    assert(peer);
    while (wire->size - at >= 4) {
        uint32_t word = framing_get32(wire->data + at);
        uint32_t length = word & 0x80000000u ? word & 0x00ffffffu : word;

        if (length > (word & 0x80000000u ? 256u : MESSAGE_MAX) || wire->size - at - 4 < length)
            break;
        if (word & 0x80000000u) {
            if ((word >> 24 & 0x7f) == 3)
                break;
        } else {
            digest = harness_digest(digest, wire->data + at + 4, length);
            messages++;
        }
        at += 4 + length;
    }
    if (peer->close_on_message || peer->pause_on_message) {
        assert(peer->messages <= messages);
    } else {
        assert(peer->messages == messages);
        assert(peer->digest == digest);
    }
}

static int dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert(fd >= 0);
    assert(strlen(uri + strlen("unix://")) < sizeof to.sun_path);
    memcpy(to.sun_path, uri + strlen("unix://"), strlen(uri + strlen("unix://")) + 1);
    connect_to(fd, &to, sizeof to);
    return fd;
}

static char directory[64];

static void tidy(void)
{
    (void)unlink(uri + strlen("unix://"));
    (void)rmdir(directory);
}

#endif

/* ---- one connection -------------------------------------------------------------------------------------------- */

static void answer(struct harness_side *which, void *request, const struct gavel_http_request *what)
{
    assert(what->body.size <= 1u << 20);
    which->wire->respond(which->self, request, 200, NULL, 0, what->body);
}

static void start(void)
{
    side.limits.message_bytes = MESSAGE_MAX;
    side.limits.send_high = 64u << 20; /* of echoes: harness_send of them must not fail */
    side.limits.keepalive_ms = 60000;
    side.limits.connections = 1000;
    side.answer = answer;
    if (uv_loop_init(&harness_loop) < 0)
        abort();
    harness_start(&side, plugin());
#ifdef FUZZ_WEBSOCKET
    (void)snprintf(uri, sizeof uri, "%s", harness_listen(&side, "ws://127.0.0.1:0"));
#else
    (void)snprintf(directory, sizeof directory, "/tmp/gavel-fuzz-XXXXXX");
    if (!mkdtemp(directory))
        abort();
    (void)snprintf(uri, sizeof uri, "unix://%s/s", directory);
    (void)harness_listen(&side, uri);
    (void)atexit(tidy);
#endif
}

static void go_on_reading(void)
{
    for (struct harness_peer *peer = side.peers; peer; peer = peer->next)
        if (peer->open)
            side.wire->pause(side.self, peer->connection, 0);
}

static void drain(int fd)
{
    char waste[65536];

    while (recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0)
        ;
}

/* All of it in pieces, the loop turned after each; what comes back is thrown away. */
static void send_pieces(int fd, const struct wire *wire, size_t piece)
{
    uint64_t begin = uv_hrtime();
    uint64_t opened = side.opened;
    size_t at = 0;

    while (at < wire->size && uv_hrtime() - begin < DEADLINE_NS) {
        size_t end = at < wire->greeting ? wire->greeting : wire->size;
        size_t left = end - at < piece ? end - at : piece;
        ssize_t done = send(fd, wire->data + at, left, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (done < 0 && errno != EAGAIN)
            break; /* the other side has seen enough */
        at += done > 0 ? (size_t)done : 0;
        do
            harness_poll();
        while (at && at == wire->greeting && side.opened == opened && !side.refuse &&
               uv_hrtime() - begin < DEADLINE_NS);
        if (side.pause_on_message)
            go_on_reading();
        drain(fd);
    }
}

/* Our end is said; theirs follows, and everybody who was opened is closed. */
static void finish(int fd)
{
    uint64_t begin = uv_hrtime();
    char byte;
    ssize_t done;

    (void)shutdown(fd, SHUT_WR);
    do {
        harness_poll();
        go_on_reading();
        done = recv(fd, &byte, 1, MSG_DONTWAIT);
        drain(fd);
    } while ((done > 0 || (done < 0 && errno == EAGAIN)) && uv_hrtime() - begin < DEADLINE_NS);
    (void)close(fd);
    while (side.closed < side.opened && uv_hrtime() - begin < DEADLINE_NS)
        harness_poll();
    assert(side.closed == side.opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire wire;
    struct fuzz_input input = {data, size};
    unsigned mode = fuzz_u8(&input);
    unsigned piece = fuzz_u8(&input);
    int fd;

    if (!wire.data) {
        wire.data = malloc(WIRE_MAX);
        assert(wire.data);
        start();
    }
    wire.size = wire.greeting = 0;
    fill(&wire, mode, &input);
    side.echo = mode & 8;
    side.close_on_message = mode & 16 && mode & 4;
    side.pause_on_message = mode & 32 && mode & 4;
    side.refuse = (mode & 0xc0) == 0xc0;
    fd = dial();
    send_pieces(fd, &wire, piece < 200 ? piece + 1u : (piece - 199u) * 1024u);
    finish(fd);
    if (!side.refuse)
        check(&wire, side.peers);
    for (const struct harness_peer *peer = side.peers; peer; peer = peer->next)
        assert(peer->largest <= MESSAGE_MAX);
    while (side.peers) {
        struct harness_peer *peer = side.peers;

        assert(peer->closed == 1);
        side.peers = peer->next;
        free(peer);
    }
    return 0;
}
