#include <string.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "libwh/wh_httpurl.h"
#include "wh-agent/lfshttp.h"
#include "wh-agent/netguard.h"

#define SLOW_BYTES 1000L
#define HEADS_MAX 65536 /* bytes of the headers of an answer */
#define SLOW_S 30L

typedef struct run_t {
    const wh_lfshttp_t *call;
    CURL *easy;
    int refused; /* the sink had enough */
    size_t heads;
} run_t;

/* Of libcurl's own accord there is no bound to them (before 8.3), and it keeps them all. */
static size_t on_head(char *buf, size_t size, size_t n, void *baton)
{
    run_t *run = baton;

    (void)buf;
    run->heads += size * n;
    return run->heads > HEADS_MAX ? 0 : size * n;
}

static size_t on_body(char *buf, size_t size, size_t n, void *baton)
{
    run_t *run = baton;
    long status = 0;

    n *= size;
    curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return n;
    run->refused = run->call->sink(run->call->baton, buf, n) != 0;
    return run->refused ? 0 : n;
}

static int on_progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const wh_source_opts_t *o = ((const run_t *)baton)->call->opts;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return wh_cancel_is_set(o->cancel) || wh_mono_reached(wh_clock_mono(o->clock), o->deadline);
}

/* "host:port:addresses" of an address that may be asked. */
static apr_status_t pin(apr_pool_t *p, const wh_lfshttp_t *call, struct curl_slist **pins,
                        wh_err_t *err)
{
    const char *text = NULL;
    wh_httpurl_t at;
    apr_status_t rv = wh_httpurl_parse(p, call->url, 0, &at, err);

    if (rv != APR_SUCCESS)
        return wh_err_set(err, 422, "repository_refused",
                          "the LFS server names an address that is not taken: https://host/…");
    rv = wh_netguard_pin(p, apr_psprintf(p, "https://%s:%d/", at.host, at.port),
                         call->opts->allow_private, &text, err);
    if (rv == APR_SUCCESS)
        *pins = curl_slist_append(NULL, text);
    return rv;
}

static struct curl_slist *headers_of(const wh_lfshttp_t *call)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    if (call->body != NULL) {
        list = curl_slist_append(list, "Accept: application/vnd.git-lfs+json");
        list = curl_slist_append(list, "Content-Type: application/vnd.git-lfs+json");
    }
    for (size_t i = 0; call->headers != NULL && call->headers[i] != NULL; i++)
        list = curl_slist_append(list, call->headers[i]);
    return list;
}

static void set_up(run_t *run, struct curl_slist *pins, struct curl_slist *headers)
{
    const wh_lfshttp_t *call = run->call;
    CURL *e = run->easy;

    curl_easy_setopt(e, CURLOPT_URL, call->url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (call->opts->ca_file != NULL && call->opts->ca_file[0] != '\0')
        curl_easy_setopt(e, CURLOPT_CAINFO, call->opts->ca_file);
    curl_easy_setopt(e, CURLOPT_RESOLVE, pins);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, SLOW_S);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, run);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, run);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, run);
    if (call->body != NULL)
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body);
    if (call->user != NULL) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(e, CURLOPT_PASSWORD, call->password);
    }
}

static apr_status_t failed(const run_t *run, CURLcode rc, wh_err_t *err)
{
    const wh_source_opts_t *o = run->call->opts;

    if (wh_cancel_is_set(o->cancel))
        return wh_err_set(err, 409, "canceled", "the deployment was canceled");
    if (run->refused)
        return wh_err_set(err, 422, "clone_failed", "the LFS server sent more than it should");
    return wh_err_set(err, 422, "clone_failed", "the LFS server could not be asked: %s",
                      curl_easy_strerror(rc));
}

apr_status_t wh_lfshttp(apr_pool_t *p, const wh_lfshttp_t *call, long *status, wh_err_t *err)
{
    run_t run = {.call = call};
    struct curl_slist *pins = NULL, *headers;
    apr_status_t rv = pin(p, call, &pins, err);
    CURLcode rc;

    if (rv != APR_SUCCESS)
        return rv;
    run.easy = curl_easy_init();
    if (run.easy == NULL) {
        curl_slist_free_all(pins);
        return wh_err_set(err, 500, "internal", "cannot make a session with the LFS server");
    }
    headers = headers_of(call);
    set_up(&run, pins, headers);
    rc = curl_easy_perform(run.easy);
    curl_easy_getinfo(run.easy, CURLINFO_RESPONSE_CODE, status);
    rv = rc == CURLE_OK ? APR_SUCCESS : failed(&run, rc, err);
    curl_easy_cleanup(run.easy);
    curl_slist_free_all(headers);
    curl_slist_free_all(pins);
    return rv;
}
