/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer-prometheus.c - unit test of the prometheus observer over real sockets: answers, probes, those who are slow
 * or say nothing, instances that share an address, TLS.
 */
#include "tests/unit/observer_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef PROM_WITH_GZIP
#include <zlib.h>
#endif
#ifdef PROM_WITH_TLS
#include "tests/unit/observer_tls.h"
#include <openssl/ssl.h>
#endif

static struct fixture fixture;
static struct answer answer;

static int make(void **state)
{
    (void)state;
    fixture_init(&fixture, "prometheus");
    return fixture_start(&fixture) == GAVEL_OK ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static void later(uint64_t milliseconds)
{
    (void)atomic_fetch_add(&fixture.now_ms, milliseconds);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void test_answers(void **state)
{
    (void)state;
    assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
    assert_non_null(strstr(answer.head, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(answer.body, "\nthings_total 3\n"));
    assert_int_equal(fixture_get(&fixture, "/metrics", "Accept: application/openmetrics-text\r\n", &answer), 200);
    assert_non_null(strstr(answer.head,
                           "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    assert_string_equal(answer.body + answer.size - 6, "# EOF\n");
    assert_int_equal(fixture_get(&fixture, "/", "", &answer), 200);
    assert_int_equal(fixture_get(&fixture, "/metrics/", "", &answer), 404);
    assert_int_equal(fixture_get(&fixture, "/metrics", "Content-Length: 3\r\n", &answer), 413);
    assert_non_null(strstr(answer.head, "\r\nConnection: close\r\n"));
}

#define REQUEST "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_one_connection(void **state)
{
    char many[64 * sizeof REQUEST] = "";
    int fd = fixture_connect(&fixture);

    (void)state;
    for (int i = 0; i < 3; i++) { /* one after the other */
        fixture_send(fd, REQUEST);
        assert_int_equal(fixture_answer(fd, &answer, false), 200);
    }
    for (int i = 0; i < 64; i++) /* and all at once: more than are answered in one turn */
        (void)strncat(many, REQUEST, sizeof many - strlen(many) - 1);
    fixture_send(fd, many);
    for (int i = 0; i < 64; i++)
        assert_int_equal(fixture_answer(fd, &answer, false), 200);
    fixture_send(fd, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(fixture_answer(fd, &answer, true), 200);
    fixture_send(fd, "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(fixture_answer(fd, &answer, false), 405);
    assert_non_null(strstr(answer.head, "\r\nAllow: GET, HEAD\r\n"));
    fixture_send(fd, "GET /metrics HTTP/1.0\r\n\r\n");
    assert_int_equal(fixture_answer(fd, &answer, false), 200);
    assert_true(fixture_closed(fd));
    (void)close(fd);
}

/* A head that is too long is refused, and the sentence arrives although more was sent than is ever read. */
static void test_too_long(void **state)
{
    char line[1024];
    int fd = fixture_connect(&fixture);

    (void)state;
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "X: ", 3);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    fixture_send(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 20; i++)
        fixture_send(fd, line);
    assert_int_equal(fixture_answer(fd, &answer, false), 431);
    assert_true(fixture_closed(fd));
    (void)close(fd);
}

static void test_gzip(void **state)
{
    (void)state;
    assert_int_equal(fixture_get(&fixture, "/metrics", "Accept-Encoding: gzip\r\n", &answer), 200);
#ifdef PROM_WITH_GZIP
    static char plain[65536];
    z_stream stream = {.next_in = (unsigned char *)answer.body, .avail_in = (unsigned)answer.size,
                       .next_out = (unsigned char *)plain, .avail_out = sizeof plain};

    assert_non_null(strstr(answer.head, "\r\nContent-Encoding: gzip\r\n"));
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(inflateEnd(&stream), Z_OK);
    assert_non_null(strstr(plain, "\nthings_total 3\n"));
    assert_int_equal(atomic_load(&fixture.collected), 1);
    assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200); /* the same page, and not compressed */
    assert_string_equal(answer.body, plain);
#endif
    assert_int_equal(atomic_load(&fixture.collected), 1);
}

/* However many ask, a page is rendered once in PROM_KEPT_MS. */
static void test_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
    assert_int_equal(atomic_load(&fixture.collected), 1);
    later(PROM_KEPT_MS);
    assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
    assert_int_equal(atomic_load(&fixture.collected), 2);
}

static void test_probes(void **state)
{
    (void)state;
    assert_int_equal(fixture_get(&fixture, "/livez", "", &answer), 200);
    assert_string_equal(answer.body, "ok\n");
    assert_int_equal(fixture_get(&fixture, "/readyz?verbose", "", &answer), 200);
    assert_string_equal(answer.body, "[+]loop ok\n[+]leader ok\nreadyz check passed\n");
    atomic_store(&fixture.unready, true);
    assert_int_equal(fixture_get(&fixture, "/readyz", "", &answer), 503);
    assert_string_equal(answer.body, "[-]leader failed: no leader is known\nreadyz check failed\n");
    assert_int_equal(fixture_get(&fixture, "/livez?verbose", "", &answer), 200); /* a restart would help nobody */
    assert_string_equal(answer.body, "[+]loop ok\nlivez check passed\n");
    atomic_store(&fixture.stuck, true);
    assert_int_equal(fixture_get(&fixture, "/livez", "", &answer), 503);
    assert_string_equal(answer.body, "[-]loop failed: it stands\nlivez check failed\n");
}

/* ---- who is slow, and who says nothing --------------------------------------------------------------------------- */

static void test_silent_crowd(void **state)
{
    int silent[40];

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        silent[i] = fixture_connect(&fixture);
        assert_true(silent[i] >= 0);
        fixture_send(silent[i], i % 2 ? "GET /met" : "");
        if (i % 4 == 0)
            assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
    }
    assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
    for (size_t i = 0; i < 40; i++)
        (void)close(silent[i]);
    assert_non_null(strstr(fixture.logged, "all 8 places for connections were taken"));
}

/* A byte now and then is no way to stay. */
static void test_trickle(void **state)
{
    int fd = fixture_connect(&fixture), idle = fixture_connect(&fixture), kept = fixture_connect(&fixture);

    (void)state;
    fixture_send(kept, REQUEST);
    assert_int_equal(fixture_answer(kept, &answer, false), 200);
    for (int i = 0; i < 12; i++) {
        fixture_send(fd, "G");
        later(1000);
        assert_int_equal(fixture_get(&fixture, "/livez", "", &answer), 200); /* the thread has looked */
    }
    assert_true(fixture_closed(fd));
    assert_true(fixture_closed(idle));
    fixture_send(kept, REQUEST); /* who has asked before may rest a while */
    assert_int_equal(fixture_answer(kept, &answer, false), 200);
    later(PROM_IDLE_MS);
    assert_true(fixture_closed(kept));
    (void)close(fd);
    (void)close(idle);
    (void)close(kept);
}

/* A page that is not read is held for a while and costs nobody else anything. */
static void test_slow_reader(void **state)
{
    int slow[8], small = 4096;

    (void)state;
    atomic_store(&fixture.padding, 900000);
    for (size_t i = 0; i < 8; i++) {
        slow[i] = fixture_connect(&fixture);
        (void)setsockopt(slow[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (int j = 0; j < 8; j++) /* several pages: more than the system's buffers take */
            fixture_send(slow[i], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    do { /* all are busy: a newcomer is served as soon as one of them has been slow for two seconds */
        int fd = fixture_connect(&fixture);

        fixture_send(fd, REQUEST);
        (void)fixture_answer(fd, &answer, false);
        (void)close(fd);
        later(500);
    } while (answer.status != 200);
    later(60000);
    for (int i = 0; i < 2; i++) /* the thread has looked at the clock */
        assert_int_equal(fixture_get(&fixture, "/livez", "", &answer), 200);
    for (size_t i = 0; i < 8; i++) {
        assert_true(fixture_gone(slow[i]));
        (void)close(slow[i]);
    }
    atomic_store(&fixture.padding, 0);
    assert_int_equal(fixture_get(&fixture, "/metrics", "", &answer), 200);
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

static void test_swap(void **state)
{
    static struct fixture other, stranger;
    char address[64];
    int fd;

    (void)state;
    fixture_init(&other, "prometheus");
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", fixture.port);
    fixture_init(&stranger, "another");
    stranger.listen[0] = gavel_text(address);
    assert_int_equal(fixture_start(&stranger), GAVEL_E_IO);
    assert_non_null(strstr(stranger.error.text, "Address already in use"));
    assert_non_null(strstr(stranger.error.text, address));
    assert_int_equal(fixture_start(&other), GAVEL_OK); /* "127.0.0.1:0" of the same section: the same socket */
    assert_int_equal(other.port, fixture.port);
    fd = fixture_connect(&fixture);
    fixture_stop(&fixture);
    assert_int_equal(fixture_get(&other, "/metrics", "", &answer), 200);
    fixture_send(fd, REQUEST);
    if (fixture_answer(fd, &answer, false) != 200) /* whoever took it */
        assert_true(fixture_closed(fd));
    (void)close(fd);
    fixture_stop(&other);
    assert_int_equal(make(NULL), 0);
}

static void test_check(void **state)
{
    static const struct {
        const char *listen, *certificate, *key, *sentence;
    } rows[] = {
        {"127.0.0.1:9464", NULL, NULL, NULL},
        {"localhost:0", NULL, NULL, NULL},
        {"[::1]:9464", NULL, NULL, NULL},
        {"0.0.0.0:9464", NULL, NULL, "0.0.0.0:9464 has no TLS, so it must be a loopback address"},
        {"[::]:9464", NULL, NULL, "[::]:9464 has no TLS"},
        {"9464", NULL, NULL, "expected an address and a port"},
        {"example.org:9464", NULL, NULL, "expected an address and a port"},
        {"127.0.0.1:65536", NULL, NULL, "expected an address and a port"},
        {"[::1:9464", NULL, NULL, "expected an address and a port"},
        {"127.0.0.1:9464", "/nonexistent", NULL, "tls_certificate and tls_key go together"},
        {"127.0.0.1:9464", "/nonexistent", "/nonexistent", "tls_certificate: /nonexistent: No such file"},
        {"127.0.0.1:9464", "/dev/null", "/dev/null", "/dev/null: what it should hold is not there in PEM form"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct fixture one;
        int32_t status;

        fixture_init(&one, "x");
        one.listen[0] = gavel_text(rows[i].listen);
        one.options.certificate = gavel_text(rows[i].certificate);
        one.options.key = gavel_text(rows[i].key);
        status = fixture_check(&one);
        assert_int_equal(status == GAVEL_OK, rows[i].sentence == NULL);
        if (rows[i].sentence && !strstr(one.error.text, rows[i].sentence))
            fail_msg("%s: %s", rows[i].listen, one.error.text);
        one.options.insecure = 1;
        if (rows[i].sentence && strstr(rows[i].sentence, "no TLS"))
            assert_int_equal(fixture_check(&one), GAVEL_OK);
    }
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

#ifdef PROM_WITH_TLS

static char directory[] = "/tmp/gavel-observer-XXXXXX";

static struct gavel_slice write_file(char path[64], const char *name, const char *text)
{
    FILE *file;

    (void)snprintf(path, 64, "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return gavel_text(path);
}

/* GET /livez with `trusted` as the only authority, and a certificate of one's own; the status, -1: no. */
static int get_secure(const char *trusted, const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int fd = fixture_connect(&fixture), status = -1, got;
    char text[512] = "";
    SSL *session;

    assert_int_equal(SSL_CTX_load_verify_locations(context, trusted, NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (certificate) {
        assert_int_equal(SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    }
    session = SSL_new(context);
    assert_int_equal(SSL_set_fd(session, fd), 1);
    if (SSL_connect(session) == 1 && SSL_write(session, REQUEST, sizeof REQUEST - 1) > 0 &&
        (got = SSL_read(session, text, sizeof text - 1)) > 12)
        status = (int)strtol(text + 9, NULL, 10);
    SSL_free(session);
    SSL_CTX_free(context);
    (void)close(fd);
    return status;
}

static void test_tls(void **state)
{
    char file[5][64];
    int fd;

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(directory));
    fixture_stop(&fixture);
    fixture_init(&fixture, "prometheus");
    fixture.options.certificate = write_file(file[0], "certificate", certificate_1);
    fixture.options.key = write_file(file[1], "key", key_1);
    (void)write_file(file[2], "other", certificate_2);
    (void)write_file(file[3], "other-key", key_2);
    assert_int_equal(fixture_check(&fixture), GAVEL_OK);
    assert_int_equal(fixture_start(&fixture), GAVEL_OK);
    assert_int_equal(get_secure(file[0], NULL, NULL), 200);
    assert_int_equal(get_secure(file[2], NULL, NULL), -1); /* an authority that has not signed it */
    fd = fixture_connect(&fixture);
    fixture_send(fd, REQUEST); /* without TLS */
    assert_true(fixture_closed(fd));
    (void)close(fd);
    /* SIGHUP: the new certificate; one that does not fit leaves the old one in force. */
    (void)write_file(file[0], "certificate", certificate_2);
    assert_int_equal(fixture.plugin->reload(fixture.self, &fixture.options, &fixture.error), GAVEL_E_CONFIG);
    (void)write_file(file[4], "first", certificate_1);
    assert_int_equal(get_secure(file[4], NULL, NULL), 200);
    (void)write_file(file[1], "key", key_2);
    assert_int_equal(fixture.plugin->reload(fixture.self, &fixture.options, &fixture.error), GAVEL_OK);
    while (get_secure(file[2], NULL, NULL) != 200)
        ;
    fixture_stop(&fixture);
    /* Only who has a certificate of that authority. */
    fixture_init(&fixture, "prometheus");
    fixture.options.certificate = write_file(file[0], "certificate", certificate_1);
    fixture.options.key = write_file(file[1], "key", key_1);
    fixture.options.client_ca = write_file(file[2], "other", certificate_2);
    assert_int_equal(fixture_start(&fixture), GAVEL_OK);
    assert_int_equal(get_secure(file[0], NULL, NULL), -1);
    assert_int_equal(get_secure(file[0], file[0], file[1]), -1);
    assert_int_equal(get_secure(file[0], file[2], file[3]), 200);
    for (int i = 0; i < 5; i++)
        (void)unlink(file[i]);
    (void)rmdir(directory);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, make, forget),
        cmocka_unit_test_setup_teardown(test_one_connection, make, forget),
        cmocka_unit_test_setup_teardown(test_too_long, make, forget),
        cmocka_unit_test_setup_teardown(test_gzip, make, forget),
        cmocka_unit_test_setup_teardown(test_kept, make, forget),
        cmocka_unit_test_setup_teardown(test_probes, make, forget),
        cmocka_unit_test_setup_teardown(test_silent_crowd, make, forget),
        cmocka_unit_test_setup_teardown(test_trickle, make, forget),
        cmocka_unit_test_setup_teardown(test_slow_reader, make, forget),
        cmocka_unit_test_setup_teardown(test_swap, make, forget),
        cmocka_unit_test(test_check),
#ifdef PROM_WITH_TLS
        cmocka_unit_test_setup_teardown(test_tls, make, forget),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
