/* The certificate of the scheduler's own listener: read, checked, read again while it is in use.
 * Knows OpenSSL and files, no sockets. Belongs to the event loop's thread.
 *
 * Errors (500): bad_certificate, with a text that says which file and what to do. */
#ifndef WH_TLS_H
#define WH_TLS_H

#include "libwh/wh_err.h"

typedef struct wh_tls_t wh_tls_t;

/* Reads both files (PEM; the certificate with its chain). Refused: a key that others than its owner
 * and group may read or that anybody but the owner may write, one with a passphrase, one that is
 * not the certificate's, a certificate that has ended or has not begun. */
apr_status_t wh_tls_open(apr_pool_t *p, const char *cert_file, const char *key_file, apr_time_t now,
                         wh_tls_t **out, wh_err_t *err) WH_MUST_CHECK;

/* Reads them again; on a failure what was in use stays in use. */
apr_status_t wh_tls_reload(wh_tls_t *tls, apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

/* Seconds until the certificate ends, negative when it has. */
apr_int64_t wh_tls_left_s(const wh_tls_t *tls, apr_time_t now);

/* An SSL_CTX that is to use it: TLS 1.3 alone, no tickets, no early data. 0, or -1. */
int wh_tls_prepare(wh_tls_t *tls, void *ssl_ctx);

#endif
