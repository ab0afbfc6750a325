#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_portable.h>
#include <httpd.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_ssl.h>
#include <apu.h>
#include <apr_optional_hooks.h>
#include <openssl/ssl.h>

#include "mod_wisehost/wh_mod_stream_int.h"

#define SSL_KEY "wisehost_ssl"

/* mod_ssl's, whose header not every system has. */
typedef int ssl_HOOK_pre_handshake_t(conn_rec *c, SSL *ssl, int is_proxy);

typedef struct session_t {
    SSL *ssl;
    apr_status_t (*over)(void *baton); /* NULL = it was not taken over */
    void *baton;
} session_t;

static apr_status_t session_over(void *data)
{
    session_t *session = data;

    return session->over != NULL ? session->over(session->baton) : APR_SUCCESS;
}

/* Before mod_ssl registers its own cleanup, so that ours comes after that. */
static int note_session(conn_rec *c, SSL *ssl, int is_proxy)
{
    session_t *session;

    if (!is_proxy && c->master == NULL) {
        session = apr_pcalloc(c->pool, sizeof(*session));
        session->ssl = ssl;
        apr_pool_userdata_setn(session, SSL_KEY, NULL, c->pool);
        apr_pool_cleanup_register(c->pool, session, session_over, apr_pool_cleanup_null);
    }
    return OK;
}

void wh_wire_register(void)
{
    APR_OPTIONAL_HOOK(ssl, pre_handshake, note_session, NULL, NULL, APR_HOOK_MIDDLE);
}

int wh_wire_take(conn_rec *c, wh_wire_t *wire, apr_status_t (*over)(void *baton), void *baton)
{
    apr_os_sock_t fd = -1;
    void *noted = NULL;
    session_t *session;

    *wire = (wh_wire_t){.fd = -1};
    (void)apr_pool_userdata_get(&noted, SSL_KEY, c->pool);
    session = noted;
    if ((session == NULL) != !ap_ssl_conn_is_ssl(c) ||
        apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS) {
        return 0; /* another module's TLS: nobody but it can write */
    }
    wire->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (wire->fd < 0) {
        return 0;
    }
    if (session != NULL && !SSL_up_ref(session->ssl)) {
        close(wire->fd);
        return 0;
    }
    if (session != NULL) {
        wire->ssl = session->ssl;
        session->over = over;
        session->baton = baton;
    } else {
        apr_pool_cleanup_register(c->pool, baton, over, apr_pool_cleanup_null);
    }
    c->keepalive = AP_CONN_CLOSE;
    c->aborted = 1; /* nothing is written any more, no end is told, the socket is only closed */
    return 1;
}

void wh_wire_own(wh_wire_t *wire)
{
    int flags = fcntl(wire->fd, F_GETFL);

    (void)fcntl(wire->fd, F_SETFL, flags | O_NONBLOCK);
    if (wire->ssl != NULL) {
        SSL_set_app_data(wire->ssl, NULL); /* the conn_rec, which is no more */
        SSL_set_info_callback(wire->ssl, NULL);
        SSL_set_shutdown(wire->ssl, 0);
        (void)SSL_set_fd(wire->ssl, wire->fd); /* in place of mod_ssl's filters */
        SSL_set_mode(wire->ssl,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
}

/* How many bytes went, 0 = none at the moment, -1 = the client has gone. */
static long write_some(wh_wire_t *wire, const char *text, apr_size_t n)
{
    ssize_t done;
    size_t sent = 0;

    if (wire->ssl != NULL) {
        int ok = SSL_write_ex(wire->ssl, text, n, &sent);
        int why = ok == 1 ? SSL_ERROR_NONE : SSL_get_error(wire->ssl, ok);

        return ok == 1 ? (long)sent : why == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    do {
        done = send(wire->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    return done >= 0 ? (long)done : errno == EAGAIN ? 0 : -1;
}

int wh_wire_flush(wh_wire_t *wire)
{
    while (wire->rest_at < wire->rest_n) {
        long n = write_some(wire, wire->rest + wire->rest_at, wire->rest_n - wire->rest_at);

        if (n <= 0) {
            return (int)n;
        }
        wire->rest_at += (apr_size_t)n;
    }
    free(wire->rest);
    wire->rest = NULL;
    wire->rest_n = wire->rest_at = 0;
    return 1;
}

int wh_wire_send(wh_wire_t *wire, const char *text, apr_size_t n)
{
    while (n > 0) {
        long done = write_some(wire, text, n);

        if (done < 0) {
            return 0;
        }
        if (done == 0) {
            wire->rest = malloc(n);
            if (wire->rest == NULL) {
                return 0;
            }
            memcpy(wire->rest, text, n);
            wire->rest_n = n;
            wire->rest_at = 0;
            return 1;
        }
        text += done;
        n -= (apr_size_t)done;
    }
    return 1;
}

void wh_wire_close(wh_wire_t *wire, int in_order)
{
    if (wire->ssl != NULL) {
        if (in_order && wire->rest == NULL) {
            (void)SSL_shutdown(wire->ssl);
        } else {
            SSL_set_shutdown(wire->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
        SSL_free(wire->ssl);
    }
    free(wire->rest);
    close(wire->fd);
    *wire = (wh_wire_t){.fd = -1};
}
