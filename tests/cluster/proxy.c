/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.c - the network between the nodes of the torture. Each node lives in a network namespace of its own that has
 * nothing but a loopback device; in the namespace of node I this program listens on the address of every other node
 * J, and dials the real J in J's namespace. So every byte between two nodes passes here, each directed link has rules
 * of its own, and no node notices that its peers are elsewhere.
 *
 * usage: proxy CONTROL PORT[+MORE] FD0 FD1 ... FDn
 *
 * FD0 is the namespace of the clients, FD1 to FDn those of the nodes; node J listens on 127.0.0.J:PORT, and perhaps on
 * some of the MORE ports behind it: who dials one of them comes to the same one. CONTROL is the
 * path of a Unix socket: one command a line, answered by "ok ..." or "no ...". FROM and TO are numbers or '*':
 *
 *     drop FROM TO             nothing passes, no end of a connection either; the kernels hold what was sent
 *     open FROM TO             all rules of that direction are lifted; what was held goes on, as TCP would go on
 *     delay FROM TO MS JITTER  each piece arrives so much later, in order
 *     rate FROM TO BYTES       so many bytes a second on each connection
 *     refuse FROM TO 0|1       connections that FROM opens to TO are reset at once, as where nobody listens
 *     reset FROM TO            every connection between the two is reset
 *     cut FROM TO              the next piece on each connection is sent in part, then the connection is reset
 *     stats                    connections made, refused, reset, cut; bytes
 *     felt VERB FROM TO        how often one of the verbs above but open has met something on these links: a number
 *                              that never falls. A drop counts when this is asked, and something is held
 */
#define _GNU_SOURCE /* setns, accept4 */

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SIDES_MAX 9            /* the clients and eight nodes */
#define PORTS_MAX 4            /* of each node */
#define CONNECTIONS_MAX 1024   /* 16 clients and 5 nodes need some 130; more are closed at once */
#define PIPE_BYTES (256 << 10) /* held in one direction; then the sender is not read any more */
#define PIECES_MAX 128         /* reads that wait in one direction */
#define RATE_STEP_MS 20        /* a slow link sends that often */
#define LINE_BYTES 256

enum verb { DROP, DELAY, RATE, REFUSE, RESET, CUT, VERBS };
static const char *const verbs[VERBS] = {"drop", "delay", "rate", "refuse", "reset", "cut"};

struct rule {
    bool drop;
    bool refuse;
    uint64_t delay_ms;
    uint64_t jitter_ms;
    uint64_t rate; /* bytes a second; 0: no limit */
};

/* What was read at one time. */
struct piece {
    uint64_t due;
    uint32_t size;
};

/* One direction of a connection. */
struct pipe_state {
    struct piece pieces[PIECES_MAX];
    unsigned first;
    unsigned count;
    uint8_t *data; /* PIPE_BYTES, the first byte of the first piece at `begin` */
    uint32_t begin;
    uint32_t size;
    uint64_t next_send; /* a slow link may send again */
    bool ended;         /* the sender has said its last */
    bool told;          /* and the receiver has heard it */
    bool cut;           /* the next piece is the last one, and not whole */
};

/* side 0 dialled this program, side 1 was dialled by it. pipes[0] goes from side 0 to side 1. */
struct connection {
    bool used;
    bool dialled;   /* side 1 exists */
    bool connected; /* and its connect has ended well */
    int fd[2];      /* -1: that side broke, and the other one has not heard of it yet */
    int node[2];
    int port; /* that was dialled: so many behind the first */
    struct pipe_state pipes[2];
};

static struct rule rules[SIDES_MAX][SIDES_MAX];
static struct connection connections[CONNECTIONS_MAX];
/* No empty places: poll counts them. */
static struct pollfd polls[1 + SIDES_MAX * SIDES_MAX * PORTS_MAX + CONNECTIONS_MAX * 2];
static size_t listener_place[SIDES_MAX][SIDES_MAX][PORTS_MAX]; /* in polls; 0, the control's: none */
static size_t place[CONNECTIONS_MAX][2];
static int spaces[SIDES_MAX];
static int listeners[SIDES_MAX][SIDES_MAX][PORTS_MAX];
static int sides;
static unsigned first_port;
static int ports;
static uint64_t felt[VERBS][SIDES_MAX][SIDES_MAX];
static uint64_t total_made, total_refused, total_reset, total_cut, total_bytes;
static uint64_t dice = 88172645463325252u;

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t random_below(uint64_t bound)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return bound ? dice % bound : 0;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address_of(int node, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(first_port + (unsigned)port))};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)node);
    return address;
}

/* A socket that lives in the namespace of that node for ever, wherever this thread goes next. */
static int socket_in(int node)
{
    int fd;

    if (setns(spaces[node], CLONE_NEWNET) != 0)
        die("setns");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

static int listen_in(int in, int as, int port)
{
    struct sockaddr_in address = address_of(as, port);
    int one = 1;
    int fd = socket_in(in);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0)
        die("listen");
    return fd;
}

static void listen_all(void)
{
    for (int in = 0; in < sides; in++)
        for (int as = 1; as < sides; as++)
            for (int port = 0; port < ports && in != as; port++)
                listeners[in][as][port] = listen_in(in, as, port);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* The peer sees a reset, not an orderly end. */
static void close_hard(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
}

static void forget(struct connection *at)
{
    for (int i = 0; i < 2; i++) {
        free(at->pipes[i].data);
        if (at->fd[i] >= 0)
            (void)close(at->fd[i]);
    }
    memset(at, 0, sizeof *at);
}

static void reset_both(struct connection *at)
{
    close_hard(at->fd[0]);
    close_hard(at->fd[1]);
    at->fd[0] = at->fd[1] = -1;
    forget(at);
}

/* Side `side` broke. The other one hears it now, or when that direction is open again. */
static void broke(struct connection *at, int side)
{
    close_hard(at->fd[side]);
    at->fd[side] = -1;
    if (at->fd[!side] < 0)
        forget(at);
    else if (!rules[at->node[side]][at->node[!side]].drop)
        reset_both(at);
    else
        felt[DROP][at->node[side]][at->node[!side]]++;
}

static void take(int in, int as, int port)
{
    int fd = accept4(listeners[in][as][port], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *at = NULL;
    int one = 1;

    if (fd < 0)
        return;
    for (unsigned i = 0; i < CONNECTIONS_MAX && !at; i++)
        if (!connections[i].used)
            at = &connections[i];
    if (!at || rules[in][as].refuse) {
        total_refused++;
        felt[REFUSE][in][as] += rules[in][as].refuse;
        close_hard(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    memset(at, 0, sizeof *at);
    at->used = true;
    at->fd[0] = fd;
    at->fd[1] = -1;
    at->node[0] = in;
    at->node[1] = as;
    at->port = port;
    for (int i = 0; i < 2; i++) {
        at->pipes[i].data = malloc(PIPE_BYTES);
        if (!at->pipes[i].data)
            die("memory");
    }
}

/* Dial on, once the way there and back is open: before, a SYN or its answer would have been lost. */
static void dial(struct connection *at)
{
    struct sockaddr_in address = address_of(at->node[1], at->port);
    int one = 1;

    for (int side = 0; side < 2; side++)
        felt[DROP][at->node[side]][at->node[!side]] += rules[at->node[side]][at->node[!side]].drop;
    if (rules[at->node[0]][at->node[1]].drop || rules[at->node[1]][at->node[0]].drop)
        return;
    at->dialled = true;
    at->fd[1] = socket_in(at->node[1]);
    (void)setsockopt(at->fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(at->fd[1], (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        total_refused++;
        reset_both(at);
    }
}

/* The connect has ended. */
static void dialled(struct connection *at)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(at->fd[1], SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        total_refused++;
        reset_both(at);
        return;
    }
    at->connected = true;
    total_made++;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static bool can_read(const struct connection *at, int side)
{
    const struct pipe_state *pipe = &at->pipes[side];

    return at->fd[side] >= 0 && at->fd[!side] >= 0 && at->connected && !pipe->ended && pipe->size < PIPE_BYTES &&
           pipe->count < PIECES_MAX && !rules[at->node[side]][at->node[!side]].drop;
}

static void read_some(struct connection *at, int side)
{
    struct pipe_state *pipe = &at->pipes[side];
    const struct rule *rule = &rules[at->node[side]][at->node[!side]];
    uint32_t end = (pipe->begin + pipe->size) % PIPE_BYTES;
    uint32_t room = PIPE_BYTES - pipe->size;
    struct piece *last = pipe->count ? &pipe->pieces[(pipe->first + pipe->count - 1) % PIECES_MAX] : NULL;
    struct piece *piece = &pipe->pieces[(pipe->first + pipe->count) % PIECES_MAX];
    ssize_t got;

    if (room > PIPE_BYTES - end)
        room = PIPE_BYTES - end;
    got = recv(at->fd[side], pipe->data + end, room, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            broke(at, side);
        return;
    }
    if (got == 0) {
        pipe->ended = true;
        return;
    }
    piece->size = (uint32_t)got;
    piece->due = now_ms() + rule->delay_ms + random_below(rule->jitter_ms + 1);
    felt[DELAY][at->node[side]][at->node[!side]] += rule->delay_ms > 0;
    if (last && piece->due < last->due)
        piece->due = last->due;
    pipe->size += piece->size;
    pipe->count++;
}

/* When may this direction send its first piece, or its end; UINT64_MAX: it has nothing, or must not. */
static uint64_t due_at(const struct connection *at, int side)
{
    const struct pipe_state *pipe = &at->pipes[side];
    uint64_t due;

    if (at->fd[!side] < 0 || !at->connected || rules[at->node[side]][at->node[!side]].drop)
        return UINT64_MAX;
    if (pipe->count == 0)
        return pipe->ended && !pipe->told ? 0 : UINT64_MAX;
    due = pipe->pieces[pipe->first].due;
    return due > pipe->next_send ? due : pipe->next_send;
}

static void taken(struct pipe_state *pipe, uint32_t size)
{
    struct piece *piece = &pipe->pieces[pipe->first];

    assert(size <= piece->size);
    piece->size -= size;
    pipe->begin = (pipe->begin + size) % PIPE_BYTES;
    pipe->size -= size;
    if (piece->size == 0) {
        pipe->first = (pipe->first + 1) % PIECES_MAX;
        pipe->count--;
    }
}

static void send_some(struct connection *at, int side)
{
    struct pipe_state *pipe = &at->pipes[side];
    const struct rule *rule = &rules[at->node[side]][at->node[!side]];
    uint32_t size;
    ssize_t sent;

    if (pipe->count == 0) {
        pipe->told = true;
        (void)shutdown(at->fd[!side], SHUT_WR);
        if (at->pipes[!side].told)
            forget(at);
        return;
    }
    size = pipe->pieces[pipe->first].size;
    if (size > PIPE_BYTES - pipe->begin)
        size = PIPE_BYTES - pipe->begin;
    if (rule->rate && size > 1 + rule->rate * RATE_STEP_MS / 1000)
        size = (uint32_t)(1 + rule->rate * RATE_STEP_MS / 1000);
    if (pipe->cut)
        size = (uint32_t)random_below(size);
    sent = size ? send(at->fd[!side], pipe->data + pipe->begin, size, MSG_NOSIGNAL) : 0;
    if (pipe->cut) {
        total_cut++;
        felt[CUT][at->node[side]][at->node[!side]]++;
        reset_both(at);
        return;
    }
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            broke(at, !side);
        return;
    }
    total_bytes += (uint64_t)sent;
    taken(pipe, (uint32_t)sent);
    felt[RATE][at->node[side]][at->node[!side]] += rule->rate > 0;
    if (rule->rate)
        pipe->next_send = now_ms() + (uint64_t)sent * 1000 / rule->rate;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static bool between(const struct connection *at, int from, int to)
{
    return at->used && ((at->node[0] == from && at->node[1] == to) || (at->node[0] == to && at->node[1] == from));
}

static void each_connection(const char *verb, int from, int to)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *at = &connections[i];

        if (!between(at, from, to))
            continue;
        if (strcmp(verb, "cut") == 0) {
            at->pipes[at->node[0] == from ? 0 : 1].cut = true;
        } else if (strcmp(verb, "reset") == 0) {
            total_reset++;
            felt[RESET][from][to]++;
            reset_both(at);
        } else if (strcmp(verb, "open") == 0) {
            at->pipes[0].cut = at->pipes[1].cut = false;
            if (at->dialled && (at->fd[0] < 0 || at->fd[1] < 0))
                reset_both(at); /* the end of one side, which the other one could not hear */
        }
    }
}

static bool apply(const char *verb, int from, int to, uint64_t one, uint64_t two)
{
    struct rule *rule = &rules[from][to];

    if (strcmp(verb, "drop") == 0)
        rule->drop = true;
    else if (strcmp(verb, "open") == 0)
        *rule = (struct rule){0};
    else if (strcmp(verb, "delay") == 0)
        rule->delay_ms = one, rule->jitter_ms = two;
    else if (strcmp(verb, "rate") == 0)
        rule->rate = one;
    else if (strcmp(verb, "refuse") == 0)
        rule->refuse = one != 0;
    else if (strcmp(verb, "reset") != 0 && strcmp(verb, "cut") != 0)
        return false;
    each_connection(verb, from, to);
    return true;
}

/* '*' is every side. */
static bool covers(const char *word, int side)
{
    return strcmp(word, "*") == 0 || (int)strtol(word, NULL, 10) == side;
}

/* Does anything wait for that direction: bytes, or the end of a connection? */
static bool holds(const struct connection *at, int side)
{
    char byte;

    if (at->pipes[side].count > 0 || at->fd[side] < 0)
        return true;
    return recv(at->fd[side], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static uint64_t felt_by(enum verb verb, int from, int to)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX && verb == DROP && rules[from][to].drop; i++)
        for (int side = 0; side < 2 && connections[i].used && connections[i].connected; side++)
            if (connections[i].node[side] == from && connections[i].node[!side] == to)
                felt[DROP][from][to] += holds(&connections[i], side);
    return felt[verb][from][to];
}

static bool tell_felt(const char *name, const char *from, const char *to, char *answer, size_t size)
{
    uint64_t sum = 0;
    int verb = 0;

    while (verb < VERBS && strcmp(verbs[verb], name) != 0)
        verb++;
    for (int i = 0; i < sides && verb < VERBS; i++)
        for (int k = 0; k < sides; k++)
            if (i != k && covers(from, i) && covers(to, k))
                sum += felt_by((enum verb)verb, i, k);
    (void)snprintf(answer, size, "ok %" PRIu64 "\n", sum);
    return verb < VERBS;
}

static void command(char *line, char *answer, size_t size)
{
    char verb[16] = "";
    char from[16] = "";
    char to[16] = "";
    uint64_t one = 0;
    uint64_t two = 0;
    bool good = true;
    int words = sscanf(line, "%15s %15s %15s %" SCNu64 " %" SCNu64, verb, from, to, &one, &two);

    if (words == 1 && strcmp(verb, "stats") == 0) {
        (void)snprintf(answer, size,
                       "ok %" PRIu64 " made, %" PRIu64 " refused, %" PRIu64 " reset, %" PRIu64 " cut, %" PRIu64
                       " bytes\n", total_made, total_refused, total_reset, total_cut, total_bytes);
        return;
    }
    if (sscanf(line, "felt %15s %15s %15s", verb, from, to) == 3 && tell_felt(verb, from, to, answer, size))
        return;
    for (int i = 0; i < sides && words >= 3; i++)
        for (int k = 0; k < sides; k++)
            if (i != k && covers(from, i) && covers(to, k))
                good = apply(verb, i, k, one, two) && good;
    (void)snprintf(answer, size, good && words >= 3 ? "ok\n" : "no such command\n");
}

/* All whole lines that have come; false when the controller has gone. */
static bool obey(int fd)
{
    static char line[LINE_BYTES];
    static size_t have;
    ssize_t got = recv(fd, line + have, sizeof line - 1 - have, 0);
    char *end;

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    have += (size_t)got;
    line[have] = 0;
    while ((end = strchr(line, '\n')) != NULL) {
        char answer[LINE_BYTES];

        *end = 0;
        command(line, answer, sizeof answer);
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            return false;
        have -= (size_t)(end + 1 - line);
        memmove(line, end + 1, have + 1);
    }
    return have < sizeof line - 1;
}

static int open_control(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int control;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)
        die(path);
    control = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (control < 0)
        die("accept");
    (void)close(fd);
    return control;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static size_t watch(size_t *count, int fd, short events)
{
    polls[*count] = (struct pollfd){.fd = fd, .events = events};
    return (*count)++;
}

/* Fill `polls`: the control, the listeners, up to two a connection. Returns the milliseconds until something is due. */
static int prepare(int control, size_t *count)
{
    uint64_t now = now_ms();
    uint64_t next = UINT64_MAX;

    *count = 0;
    (void)watch(count, control, POLLIN);
    for (int i = 0; i < sides; i++)
        for (int k = 1; k < sides; k++)
            for (int port = 0; port < ports; port++)
                listener_place[i][k][port] = i == k ? 0 : watch(count, listeners[i][k][port], POLLIN);
    for (unsigned c = 0; c < CONNECTIONS_MAX; c++) {
        const struct connection *one = &connections[c];
        short events[2] = {0, 0};

        for (int side = 0; side < 2 && one->used; side++) {
            uint64_t due = due_at(one, side);

            if (can_read(one, side))
                events[side] |= POLLIN;
            if (due <= now)
                events[!side] |= POLLOUT;
            else if (due < next)
                next = due;
        }
        if (one->used && one->dialled && !one->connected)
            events[1] |= POLLOUT;
        for (int side = 0; side < 2; side++)
            place[c][side] = one->used && events[side] ? watch(count, one->fd[side], events[side]) : 0;
    }
    return next == UINT64_MAX ? -1 : (int)(next - now);
}

static void serve(struct connection *at, const short *ready)
{
    uint64_t now = now_ms();

    if (at->dialled && !at->connected) {
        if (ready[1])
            dialled(at);
        return;
    }
    for (int side = 0; side < 2 && at->used; side++)
        if ((ready[side] & (POLLIN | POLLHUP | POLLERR)) && can_read(at, side))
            read_some(at, side);
    for (int side = 0; side < 2 && at->used; side++)
        if (due_at(at, side) <= now)
            send_some(at, side);
}

static void turn(int control)
{
    size_t count = 0;
    int wait = prepare(control, &count);

    if (poll(polls, count, wait) < 0 && errno != EINTR)
        die("poll");
    if (polls[0].revents && !obey(control)) /* before the dials below, which may have waited for just that */
        exit(0);                            /* the test is over, or was killed */
    for (int i = 0; i < sides; i++)
        for (int k = 1; k < sides; k++)
            for (int port = 0; port < ports; port++)
                if (listener_place[i][k][port] && (polls[listener_place[i][k][port]].revents & POLLIN))
                    take(i, k, port);
    for (unsigned c = 0; c < CONNECTIONS_MAX; c++) {
        short ready[2];

        for (int side = 0; side < 2; side++)
            ready[side] = place[c][side] ? polls[place[c][side]].revents : 0;
        if (connections[c].used && (ready[0] || ready[1] || connections[c].connected))
            serve(&connections[c], ready);
        if (connections[c].used && !connections[c].dialled)
            dial(&connections[c]);
    }
}

int main(int count, char **words)
{
    char *more = NULL;
    int control;

    if (count >= 5 && count - 3 <= SIDES_MAX) {
        first_port = (unsigned)strtoul(words[2], &more, 10);
        ports = 1 + (*more == '+' ? (int)strtol(more + 1, NULL, 10) : 0);
    }
    if (ports < 1 || ports > PORTS_MAX) {
        (void)fprintf(stderr, "usage: proxy CONTROL PORT[+MORE] FD0 FD1 ...\n");
        return 64;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    sides = count - 3;
    for (int i = 0; i < sides; i++)
        spaces[i] = (int)strtol(words[3 + i], NULL, 10);
    listen_all();
    control = open_control(words[1]);
    for (;;)
        turn(control);
}
