#include "wh-scheduler/syslogout.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "wh-scheduler/outaddr.h"
#include "wh-scheduler/threads.h"

#define STEP_MS 100           /* how often a write that waits looks whether it is to end */
#define PATIENCE_NS 500000000 /* with a thread that is to end */

struct wh_syslogout_t {
    wh_syslogout_opt_t opt;
    char host[256], ca_file[1024];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    char *buf; /* the batch; NULL = none */
    int n, stop, over;
    int ended;  /* the thread has done with all of it */
    int orphan; /* nobody waits for the thread: it frees what it was given */
    wh_err_t err;
    /* the thread's own */
    CURL *curl;
    int fd; /* UDP, -1 = none */
    wh_outaddr_t who;
};

static int ending(wh_syslogout_t *out)
{
    int stop;

    pthread_mutex_lock(&out->lock);
    stop = out->stop;
    pthread_mutex_unlock(&out->lock);
    return stop;
}

static int progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return ending(baton);
}

static apr_status_t failed(wh_syslogout_t *out, const char *why, wh_err_t *err)
{
    if (out->who.refused) {
        return wh_err_set(err, 422, "http_refused",
                          "%s has an address where nothing is sent to without TLS, or at all.",
                          out->host);
    }
    return wh_err_set(err, 502, "syslog_unreachable", "%s: %s", out->host, why);
}

/* ---- TCP, TLS ---- */

static void hang_up(wh_syslogout_t *out)
{
    curl_easy_cleanup(out->curl);
    out->curl = NULL;
    if (out->fd >= 0) {
        close(out->fd);
    }
    out->fd = -1;
}

static apr_status_t dial(wh_syslogout_t *out, wh_err_t *err)
{
    int v6 = strchr(out->host, ':') != NULL;
    char url[320];
    CURLcode rc;

    out->curl = curl_easy_init();
    if (out->curl == NULL) {
        return failed(out, "out of memory", err);
    }
    apr_snprintf(url, sizeof(url), "%s://%s%s%s:%d/",
                 out->opt.way == WH_LOGDRAIN_BY_TLS ? "https" : "http", v6 ? "[" : "", out->host,
                 v6 ? "]" : "", out->opt.port);
    curl_easy_setopt(out->curl, CURLOPT_URL, url);
    curl_easy_setopt(out->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(out->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(out->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(out->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(out->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(out->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)WH_SYSLOGOUT_TIMEOUT_MS);
    curl_easy_setopt(out->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(out->curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(out->curl, CURLOPT_XFERINFODATA, out);
    curl_easy_setopt(out->curl, CURLOPT_OPENSOCKETFUNCTION, wh_outaddr_socket);
    curl_easy_setopt(out->curl, CURLOPT_OPENSOCKETDATA, &out->who);
    if (out->ca_file[0] != '\0') {
        curl_easy_setopt(out->curl, CURLOPT_CAINFO, out->ca_file);
        curl_easy_setopt(out->curl, CURLOPT_CAPATH, NULL);
    }
    rc = curl_easy_perform(out->curl);
    return rc == CURLE_OK ? APR_SUCCESS : failed(out, curl_easy_strerror(rc), err);
}

/* A server that has gone says so before it is written to: nothing else ever comes from it. */
static int still_there(wh_syslogout_t *out)
{
    char byte;
    size_t n = 0;

    return out->curl != NULL && curl_easy_recv(out->curl, &byte, 1, &n) == CURLE_AGAIN;
}

static apr_status_t put(wh_syslogout_t *out, const char *s, size_t n, wh_err_t *err)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    int waited = 0;

    curl_easy_getinfo(out->curl, CURLINFO_ACTIVESOCKET, &fd);
    while (n > 0) {
        size_t put = 0;
        CURLcode rc = curl_easy_send(out->curl, s, n, &put);
        struct pollfd at = {.fd = (int)fd, .events = POLLOUT};

        if (rc != CURLE_OK && rc != CURLE_AGAIN) {
            return failed(out, curl_easy_strerror(rc), err);
        }
        s += put;
        n -= put;
        if (rc == CURLE_AGAIN) {
            waited += poll(&at, 1, STEP_MS) == 0 ? STEP_MS : 0;
        } else {
            waited = 0;
        }
        if (waited >= WH_SYSLOGOUT_TIMEOUT_MS || ending(out)) {
            return failed(out, "it does not take what is sent", err);
        }
    }
    return APR_SUCCESS;
}

/* ---- UDP ---- */

static apr_status_t dial_udp(wh_syslogout_t *out, wh_err_t *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *all = NULL;
    char port[8];

    apr_snprintf(port, sizeof(port), "%d", out->opt.port);
    if (getaddrinfo(out->host, port, &hints, &all) != 0) {
        return failed(out, "there is no such host", err);
    }
    for (struct addrinfo *a = all; a != NULL && out->fd < 0; a = a->ai_next) {
        if (!wh_outaddr_ok(&out->who, a->ai_addr, a->ai_addrlen)) {
            continue;
        }
        out->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (out->fd >= 0 && connect(out->fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(out->fd);
            out->fd = -1;
        }
    }
    freeaddrinfo(all);
    return out->fd >= 0 ? APR_SUCCESS : failed(out, "it cannot be sent to", err);
}

/* ---- the thread ---- */

static apr_status_t open_way(wh_syslogout_t *out, wh_err_t *err)
{
    out->who.refused = 0;
    if (out->opt.way == WH_LOGDRAIN_BY_UDP) {
        return out->fd >= 0 ? APR_SUCCESS : dial_udp(out, err);
    }
    if (still_there(out)) {
        return APR_SUCCESS;
    }
    hang_up(out);
    return dial(out, err);
}

static apr_status_t deliver(wh_syslogout_t *out, const char *buf, int n, wh_err_t *err)
{
    apr_status_t rv = open_way(out, err);

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        size_t len = strlen(buf);

        if (out->fd >= 0) {
            /* Nobody says whether a datagram arrived; a port that is closed is told by the next. */
            rv = send(out->fd, buf, len, MSG_NOSIGNAL) >= 0
                     ? APR_SUCCESS
                     : failed(out, "nobody takes what is sent", err);
        } else {
            rv = put(out, buf, len, err);
        }
        buf += len + 1;
    }
    if (rv != APR_SUCCESS) {
        hang_up(out);
    }
    return rv;
}

static void dispose(wh_syslogout_t *out)
{
    pthread_cond_destroy(&out->more);
    pthread_mutex_destroy(&out->lock);
    free(out->buf);
    free(out);
}

static void *run(void *baton)
{
    wh_syslogout_t *out = baton;
    int orphan;

    pthread_mutex_lock(&out->lock);
    while (!out->stop) {
        wh_err_t err = WH_ERR_INIT;

        if (out->buf == NULL) {
            pthread_cond_wait(&out->more, &out->lock);
            continue;
        }
        pthread_mutex_unlock(&out->lock);
        (void)deliver(out, out->buf, out->n, &err);
        pthread_mutex_lock(&out->lock);
        free(out->buf);
        out->buf = NULL;
        out->err = err;
        out->over = 1;
        if (!out->stop) {
            out->opt.wake(out->opt.baton);
        }
    }
    pthread_mutex_unlock(&out->lock);
    hang_up(out);
    pthread_mutex_lock(&out->lock);
    out->ended = 1;
    orphan = out->orphan;
    pthread_cond_signal(&out->more);
    pthread_mutex_unlock(&out->lock);
    if (orphan) {
        dispose(out);
    }
    return NULL;
}

apr_status_t wh_syslogout_start(const wh_syslogout_opt_t *opt, wh_syslogout_t **result,
                                wh_err_t *err)
{
    wh_syslogout_t *out = calloc(1, sizeof(*out));
    int rc;

    if (out == NULL) {
        return wh_err_set(err, 503, "no_thread", "There is no memory left.");
    }
    out->opt = *opt;
    out->who = (wh_outaddr_t){.public_ok = opt->way == WH_LOGDRAIN_BY_TLS,
                              .private_ok = opt->private_ok};
    out->fd = -1;
    apr_cpystrn(out->host, opt->host, sizeof(out->host));
    apr_cpystrn(out->ca_file, opt->ca_file, sizeof(out->ca_file));
    out->opt.host = out->host;
    out->opt.ca_file = out->ca_file;
    pthread_mutex_init(&out->lock, NULL);
    pthread_cond_init(&out->more, NULL);
    rc = wh_threads_start(&out->thread, run, out);
    if (rc != 0) {
        free(out);
        return wh_err_wrap(err, rc, 503, "no_thread", "no thread for a syslog drain");
    }
    *result = out;
    return APR_SUCCESS;
}

void wh_syslogout_send(wh_syslogout_t *out, char *buf, int n)
{
    pthread_mutex_lock(&out->lock);
    out->buf = buf;
    out->n = n;
    out->over = 0;
    pthread_cond_signal(&out->more);
    pthread_mutex_unlock(&out->lock);
}

int wh_syslogout_done(wh_syslogout_t *out, apr_status_t *rv, wh_err_t *err)
{
    int over;

    pthread_mutex_lock(&out->lock);
    over = out->over;
    out->over = 0;
    if (over) {
        *rv = out->err.code[0] != '\0' ? APR_EGENERAL : APR_SUCCESS;
        *err = out->err;
    }
    pthread_mutex_unlock(&out->lock);
    return over;
}

/* A name that nobody answers for is waited for by the resolver, which cannot be told to stop: its
 * thread is left to itself. */
void wh_syslogout_stop(wh_syslogout_t *out)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + PATIENCE_NS) / 1000000000;
    until.tv_nsec = (until.tv_nsec + PATIENCE_NS) % 1000000000;
    pthread_mutex_lock(&out->lock);
    out->stop = 1;
    pthread_cond_signal(&out->more);
    while (!out->ended && rc == 0) {
        rc = pthread_cond_timedwait(&out->more, &out->lock, &until);
    }
    out->orphan = !out->ended;
    if (out->orphan) {
        pthread_detach(out->thread);
    }
    rc = out->orphan;
    pthread_mutex_unlock(&out->lock);
    if (!rc) {
        pthread_join(out->thread, NULL);
        dispose(out);
    }
}
