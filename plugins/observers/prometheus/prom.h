/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom.h - the observer "prometheus" from inside.
 *
 *   prom_plugin.c      options and the life of an instance           prom_address.c   "[::1]:9464", and listening there
 *   prom_server.c      the thread: who is let in, who waits too long
 *   prom_connection.c  one connection, from byte to byte             prom_answer.c    what is answered, kept a moment
 *   prom_request.c     the head of a request, taken apart            prom_tls.c       OpenSSL, where the build has it
 *   prom_text.c        series as text
 *
 * Whoever scrapes is served by a thread of the instance's own that polls its sockets, and asks the host for series
 * and probes when it is asked itself: neither the node's loop nor the lane of the observers has any part in it, however
 * slow, silent or hostile the other side may be. All memory of connections is taken before the first one comes; what an
 * answer costs is bounded by keeping it for a moment.
 */
#ifndef PLUGINS_OBSERVERS_PROMETHEUS_PROM_H
#define PLUGINS_OBSERVERS_PROMETHEUS_PROM_H

#include <gavel/observer.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define PROM_HEAD_MAX 8192u           /* bytes of the head of a request */
#define PROM_ADDRESSES_MAX 8          /* that one instance listens on */
#define PROM_SPEC_MAX 80              /* bytes of one of them as text, with its NUL */
#define PROM_ANSWER_MAX (32u << 20)   /* bytes of one answer */
#define PROM_KEPT_MS 200              /* an answer is good for so long: nobody makes this node render more often */
#define PROM_IDLE_MS 60000            /* a connection without a request */
#define PROM_LINGER_MS 1000           /* for the other side to take what was sent before the end */
#define PROM_DRAIN_MS 1000            /* answers under way when the instance ends */

struct prom_options {
    uint64_t present;
    struct gavel_list listen; /* of struct gavel_slice */
    uint64_t insecure;
    struct gavel_slice certificate;
    struct gavel_slice key;
    struct gavel_slice client_ca;
    uint64_t connections;
    uint64_t timeout;
};

/* ---- addresses --------------------------------------------------------------------------------------------------- */

struct prom_address {
    char text[PROM_SPEC_MAX]; /* as it was given */
    unsigned char socket[128]; /* a sockaddr of some kind ... */
    uint32_t size;             /* ... and its length */
    uint16_t port;
    bool loopback;
    bool six; /* IPv6, and for nobody else: an IPv4 address with the same port is in the list too */
};

/* Take the list apart: GAVEL_E_CONFIG with a sentence. */
int32_t prom_addresses(const struct gavel_list *list, struct prom_address *addresses, uint64_t *count,
                       struct gavel_error *error);

/*
 * Listen, without blocking afterwards. A socket that an older instance of the section (that this one is to replace)
 * listens with is shared with it, so nobody is refused in between: `notes` says where those are found.
 */
int32_t prom_listen(const struct prom_address *address, const char *notes, int *fd, struct gavel_error *error);

/* Leave word of the sockets of an instance: a descriptor to be closed when it ends; -1 where the system has none. */
int prom_note(const char *notes, const struct prom_address *addresses, const int *fds, uint64_t count);

/* "127.0.0.1:9464": where a socket really listens, the port 0 resolved. */
void prom_bound(int fd, char text[PROM_SPEC_MAX]);

/* ---- requests ---------------------------------------------------------------------------------------------------- */

enum prom_format { PROM_TEXT, PROM_OPENMETRICS, PROM_FORMATS };
enum prom_method { PROM_GET, PROM_HEAD, PROM_OTHER };

struct prom_request {
    enum prom_method method;
    enum prom_format format; /* by Accept */
    char path[64];           /* without the query; longer ones are cut, and nowhere */
    bool verbose;            /* ?verbose */
    bool gzip;               /* by Accept-Encoding */
    bool keep;               /* the connection is to stay */
};

/*
 * Take apart what has come of a request. 0: the head is not whole yet; above 0: its bytes; below 0: minus the status to
 * answer with before closing, *why a sentence. `seen` bytes at the beginning were looked at before.
 */
int prom_request(const char *data, size_t size, size_t seen, struct prom_request *request, const char **why);

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Shared by all that are being sent it; thread of the server only. */
struct prom_body {
    unsigned users;
    struct gavel_buffer bytes;
};

struct prom_kept {
    struct prom_body *body; /* NULL: none */
    uint64_t made_ms;
};

struct prom_answer {
    int status;
    const char *type;       /* Content-Type */
    bool gzip;
    struct prom_body *body; /* to be given back; NULL: memory is out */
};

struct prom_server;

void prom_answer(struct prom_server *server, const struct prom_request *request, struct prom_answer *answer);

/* An answer that is one sentence. */
void prom_answer_text(struct prom_server *server, int status, const char *text, struct prom_answer *answer);

/* Returns NULL; NULL is fine. */
struct prom_body *prom_body_release(struct prom_server *server, struct prom_body *body);

/* ---- text -------------------------------------------------------------------------------------------------------- */

struct prom_page {
    enum prom_format format;
    const char *node;    /* its name */
    const char *version; /* of the program */
    struct gavel_buffer *out;
    int32_t status;      /* the first that was not GAVEL_OK; what was written is then of no use */
    uint64_t left_out;   /* metrics whose name another one has already */
};

/* The whole page of these series. */
void prom_text(struct prom_page *page, const struct gavel_series *series, uint64_t count, uint64_t stride);

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

#define PROM_AGAIN (-1) /* wait until the socket is readable, or writable */
#define PROM_GONE (-2)

/* GAVEL_E_CONFIG with a sentence; GAVEL_E_UNSUPPORTED: this build knows no TLS. */
int32_t prom_tls_new(const struct prom_options *options, void **context, struct gavel_error *error);
void *prom_tls_free(void *context);

/* A session on a socket; NULL when memory is out. */
void *prom_tls_open(void *context, int fd);
void *prom_tls_close(void *session);

/* Bytes, or PROM_AGAIN with *write_next set to what the session waits for, or PROM_GONE. 0 at the orderly end. */
long prom_tls_read(void *session, void *bytes, size_t size, bool *write_next);
long prom_tls_write(void *session, const void *bytes, size_t size, bool *write_next);

/* ---- connections ------------------------------------------------------------------------------------------------- */

/*
 * FREE -> READING -> WRITING -> READING ...; WRITING -> LINGERING -> FREE when it is the last answer; any -> FREE when
 * the other side is gone or out of time.
 */
enum prom_state { PROM_FREE, PROM_READING, PROM_WRITING, PROM_LINGERING, PROM_STATES };

struct prom_connection {
    enum prom_state state;
    int fd;
    void *tls;            /* NULL: none */
    short wait;           /* what poll(2) is to wait for: POLLIN, POLLOUT */
    uint64_t since_ms;    /* READING: the first byte of this request, or the beginning; else of the state */
    size_t used;          /* bytes in `head` */
    size_t seen;
    struct prom_body *body;
    size_t sent;          /* of the head and the body of the answer together */
    size_t header_size;
    bool keep;            /* after the answer */
    bool head_only;
    char header[512];
    char head[PROM_HEAD_MAX];
};

void prom_connection_open(struct prom_server *server, struct prom_connection *connection, int fd);
void prom_connection_close(struct prom_server *server, struct prom_connection *connection);

/* What it waits for has come. */
void prom_connection_ready(struct prom_server *server, struct prom_connection *connection);

/* Close it if it has been too long in its state. */
void prom_connection_sweep(struct prom_server *server, struct prom_connection *connection);

/* ---- the server -------------------------------------------------------------------------------------------------- */

#define PROM_MAGIC 0x70b1a5e4u

struct prom_server {
    uint32_t magic;
    const struct gavel_host *host;
    const struct prom_options *options;
    char module[80]; /* "observer.NAME" */
    char notes[200];
    struct prom_address address[PROM_ADDRESSES_MAX];
    int listener[PROM_ADDRESSES_MAX];
    uint64_t address_count;
    int note; /* see prom_note */
    int wake; /* an eventfd: look at what follows */
    atomic_bool stop;
    atomic_bool ended;
    void *_Atomic next_tls; /* from a reload, on its way to the thread */
    pthread_t thread;
    bool running;
    struct gavel_timer *timer; /* [loop] while the thread ends */
    void (*done)(void *context);
    void *done_context;

    /* The thread's own: */
    void *tls; /* NULL: none */
    uint64_t now_ms;
    uint64_t stop_ms; /* 0: it goes on */
    struct prom_kept kept[PROM_FORMATS][2];
    bool told_left_out;
    uint64_t refused; /* connections, not told yet */
    uint64_t refused_told_ms;
    struct prom_connection *connection; /* options->connections of them */
    void *poll;                         /* struct pollfd, as many and those of the listeners and `wake` */
};

/* [loop] Its thread begins; GAVEL_E_IO. */
int32_t prom_server_start(struct prom_server *server, struct gavel_error *error);

/* [loop] Begin to end; server->ended says when the thread has no more to do. */
void prom_server_stop(struct prom_server *server);

/* [any] Look at what changed. */
void prom_server_wake(struct prom_server *server);

/* Bytes of `poll` for so many sockets. */
uint64_t prom_poll_bytes(uint64_t count);

/* [loop] Wait for it: at once when it has ended. */
void prom_server_join(struct prom_server *server);

#endif
