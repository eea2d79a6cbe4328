/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_tls.c - TLS 1.2 and newer by OpenSSL, on sockets that do not block. The thread that uses it has every signal
 * blocked, SIGPIPE included.
 */
#include "prom.h"

#ifdef PROM_WITH_TLS

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

/* Why a file was not taken: the first thing that went wrong, for what OpenSSL adds to it says only where. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_reason_error_string(code);

    if (ERR_GET_LIB(code) == ERR_LIB_SYS)
        text = strerror(ERR_GET_REASON(code));
    else if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
        text = "what it should hold is not there in PEM form";
    ERR_clear_error();
    return text ? text : "the system refused";
}

static void copy(char *to, size_t room, struct gavel_slice text)
{
    (void)snprintf(to, room, "%.*s", (int)text.size, (const char *)text.data);
}

static int32_t load(const struct prom_options *options, SSL_CTX *context, struct gavel_error *error)
{
    char certificate[1024], key[1024], ca[1024];

    copy(certificate, sizeof certificate, options->certificate);
    copy(key, sizeof key, options->key);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return gavel_fail(error, GAVEL_E_CONFIG, "tls_certificate: %s: %s", certificate, reason());
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return gavel_fail(error, GAVEL_E_CONFIG, "tls_key: %s: %s", key, reason());
    if (SSL_CTX_check_private_key(context) != 1)
        return gavel_fail(error, GAVEL_E_CONFIG, "tls_key: %s is not the key of %s", key, certificate);
    if (!options->client_ca.size)
        return GAVEL_OK;
    copy(ca, sizeof ca, options->client_ca);
    if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        return gavel_fail(error, GAVEL_E_CONFIG, "tls_client_ca: %s: %s", ca, reason());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return GAVEL_OK;
}

int32_t prom_tls_new(const struct prom_options *options, void **context, struct gavel_error *error)
{
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    int32_t status;

    if (!made)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    (void)SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    status = load(options, made, error);
    if (status != GAVEL_OK) {
        SSL_CTX_free(made);
        return status;
    }
    *context = made;
    return GAVEL_OK;
}

void *prom_tls_free(void *context)
{
    SSL_CTX_free(context);
    return NULL;
}

void *prom_tls_open(void *context, int fd)
{
    SSL *session = SSL_new(context);

    if (session && SSL_set_fd(session, fd) == 1) {
        SSL_set_accept_state(session);
        return session;
    }
    SSL_free(session);
    return NULL;
}

void *prom_tls_close(void *session)
{
    if (session) {
        ERR_clear_error();
        if (SSL_is_init_finished(session))
            (void)SSL_shutdown(session);
        SSL_free(session);
        ERR_clear_error();
    }
    return NULL;
}

static long outcome(SSL *session, int result, bool *write_next)
{
    int code = SSL_get_error(session, result);

    ERR_clear_error();
    *write_next = code == SSL_ERROR_WANT_WRITE;
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
        return PROM_AGAIN;
    return code == SSL_ERROR_ZERO_RETURN ? 0 : PROM_GONE;
}

long prom_tls_read(void *session, void *bytes, size_t size, bool *write_next)
{
    int result = SSL_read(session, bytes, (int)size);

    return result > 0 ? result : outcome(session, result, write_next);
}

long prom_tls_write(void *session, const void *bytes, size_t size, bool *write_next)
{
    int result = SSL_write(session, bytes, size < 65536 ? (int)size : 65536);

    return result > 0 ? result : outcome(session, result, write_next);
}

#else

int32_t prom_tls_new(const struct prom_options *options, void **context, struct gavel_error *error)
{
    (void)options;
    (void)context;
    return gavel_fail(error, GAVEL_E_UNSUPPORTED,
                      "tls_certificate: this build knows no TLS (libssl-dev was missing when it was configured)");
}

void *prom_tls_free(void *context)
{
    (void)context;
    return NULL;
}

void *prom_tls_open(void *context, int fd)
{
    (void)context;
    (void)fd;
    return NULL;
}

void *prom_tls_close(void *session)
{
    (void)session;
    return NULL;
}

long prom_tls_read(void *session, void *bytes, size_t size, bool *write_next)
{
    (void)session;
    (void)bytes;
    (void)size;
    (void)write_next;
    return PROM_GONE;
}

long prom_tls_write(void *session, const void *bytes, size_t size, bool *write_next)
{
    (void)session;
    (void)bytes;
    (void)size;
    (void)write_next;
    return PROM_GONE;
}

#endif
