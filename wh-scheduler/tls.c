#include "wh-scheduler/tls.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

struct wh_tls_t {
    const char *cert_file, *key_file;
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

static void drop(wh_tls_t *tls)
{
    X509_free(tls->cert);
    EVP_PKEY_free(tls->key);
    sk_X509_pop_free(tls->chain, X509_free);
    tls->cert = NULL;
    tls->key = NULL;
    tls->chain = NULL;
}

static apr_status_t cleanup(void *data)
{
    drop(data);
    return APR_SUCCESS;
}

static apr_status_t bad(wh_err_t *err, const char *file, const char *what)
{
    ERR_clear_error();
    return wh_err_set(err, 500, "bad_certificate", "%s %s", file, what);
}

static BIO *open_file(const char *path, int private, wh_err_t *err)
{
    struct stat st;
    BIO *bio;

    if (stat(path, &st) != 0) {
        (void)!wh_err_wrap(err, errno, 500, "bad_certificate", "%s cannot be read", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)!bad(err, path, "is no plain file");
        return NULL;
    }
    if (private && (st.st_mode & 037) != 0) {
        (void)!bad(err, path,
                   "can be read by anybody or written by its group: chmod 0600, or 0640 with a "
                   "group of the scheduler's");
        return NULL;
    }
    bio = BIO_new_file(path, "r");
    if (bio == NULL) {
        (void)!bad(err, path, "cannot be read by the scheduler's user");
    }
    return bio;
}

/* Nobody is there to be asked. */
static int no_passphrase(char *buf, int size, int writing, void *baton)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)baton;
    return -1;
}

static apr_status_t read_cert(wh_tls_t *tls, wh_err_t *err)
{
    BIO *bio = open_file(tls->cert_file, 0, err);
    X509 *more;

    if (bio == NULL) {
        return APR_EGENERAL;
    }
    tls->cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    tls->chain = sk_X509_new_null();
    while (tls->cert != NULL && tls->chain != NULL &&
           (more = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(tls->chain, more) == 0) {
            X509_free(more);
            break;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return tls->cert != NULL && tls->chain != NULL
               ? APR_SUCCESS
               : bad(err, tls->cert_file, "holds no certificate (PEM)");
}

static apr_status_t read_key(wh_tls_t *tls, wh_err_t *err)
{
    BIO *bio = open_file(tls->key_file, 1, err);

    if (bio == NULL) {
        return APR_EGENERAL;
    }
    tls->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return tls->key != NULL
               ? APR_SUCCESS
               : bad(err, tls->key_file, "holds no private key without a passphrase (PEM)");
}

static apr_status_t judge(const wh_tls_t *tls, apr_time_t now, wh_err_t *err)
{
    time_t at = (time_t)apr_time_sec(now);

    if (X509_check_private_key(tls->cert, tls->key) != 1) {
        return bad(err, tls->key_file, "is not the key of the certificate");
    }
    if (X509_cmp_time(X509_get0_notAfter(tls->cert), &at) < 0) {
        return bad(err, tls->cert_file, "has ended: get a new certificate");
    }
    if (X509_cmp_time(X509_get0_notBefore(tls->cert), &at) > 0) {
        return bad(err, tls->cert_file, "is not valid yet: is the clock right?");
    }
    return APR_SUCCESS;
}

apr_status_t wh_tls_reload(wh_tls_t *tls, apr_time_t now, wh_err_t *err)
{
    wh_tls_t fresh = {.cert_file = tls->cert_file, .key_file = tls->key_file};
    apr_status_t rv = read_cert(&fresh, err);

    rv = rv == APR_SUCCESS ? read_key(&fresh, err) : rv;
    rv = rv == APR_SUCCESS ? judge(&fresh, now, err) : rv;
    if (rv != APR_SUCCESS) {
        drop(&fresh);
        return rv;
    }
    drop(tls);
    *tls = fresh;
    return APR_SUCCESS;
}

apr_status_t wh_tls_open(apr_pool_t *p, const char *cert_file, const char *key_file, apr_time_t now,
                         wh_tls_t **out, wh_err_t *err)
{
    wh_tls_t *tls = apr_pcalloc(p, sizeof(*tls));
    apr_status_t rv;

    tls->cert_file = apr_pstrdup(p, cert_file);
    tls->key_file = apr_pstrdup(p, key_file);
    rv = wh_tls_reload(tls, now, err);
    if (rv == APR_SUCCESS) {
        apr_pool_cleanup_register(p, tls, cleanup, apr_pool_cleanup_null);
        *out = tls;
    }
    return rv;
}

apr_int64_t wh_tls_left_s(const wh_tls_t *tls, apr_time_t now)
{
    time_t at = (time_t)apr_time_sec(now);
    ASN1_TIME *then = ASN1_TIME_set(NULL, at);
    int days = 0, seconds = 0;

    if (then != NULL) {
        (void)ASN1_TIME_diff(&days, &seconds, then, X509_get0_notAfter(tls->cert));
    }
    ASN1_TIME_free(then);
    return (apr_int64_t)days * 86400 + seconds;
}

/* Each handshake takes the pair that is in force then. */
static int give_pair(SSL *ssl, void *baton)
{
    wh_tls_t *tls = baton;

    SSL_certs_clear(ssl);
    return SSL_use_cert_and_key(ssl, tls->cert, tls->key, tls->chain, 1) == 1;
}

int wh_tls_prepare(wh_tls_t *tls, void *ssl_ctx)
{
    SSL_CTX *ctx = ssl_ctx;

    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1 || SSL_CTX_set_max_early_data(ctx, 0) != 1) {
        return -1;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_cert_cb(ctx, give_pair, tls);
    return 0;
}
