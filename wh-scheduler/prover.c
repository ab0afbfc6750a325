#include "wh-scheduler/prover.h"

#include <stdint.h>
#include <string.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "libwh/wh_log.h"
#include "wh-scheduler/prover_dns.h"

#define HTTP_MAX 256
#define HTTP_MS 10000L /* for all addresses of a name together: others wait */
#define HTTP_CONNECT_MS 5000L
#define TRIES 3 /* addresses of a name that are asked */

struct wh_prover_t {
    wh_prover_opt_t opt;
    wh_prover_dns_t *dns;
    wh_asked_t *asked;
};

wh_proof_t *wh_prover_question(void)
{
    return wh_asked_make(sizeof(wh_proof_t), "proof");
}

/* ---- The file ---- */

typedef struct body_t {
    char text[HTTP_MAX + 1];
    size_t n;
    int over;
} body_t;

static size_t take(char *data, size_t size, size_t n, void *baton)
{
    body_t *body = baton;

    (void)size;
    if (n > HTTP_MAX - body->n) {
        body->over = 1;
        return 0;
    }
    memcpy(body->text + body->n, data, n);
    body->n += n;
    return n;
}

static int holds(const char *text, const char *challenge)
{
    size_t n = strlen(challenge);

    return strncmp(text, challenge, n) == 0 && strspn(text + n, " \t\r\n") == strlen(text + n);
}

/* Not 0 = give up. */
static int go_on(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const wh_prover_t *prover = baton;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return __atomic_load_n(wh_asked_stop(prover->asked), __ATOMIC_RELAXED);
}

static void set_up(const wh_prover_t *prover, CURL *curl, const char *url,
                   struct curl_slist *pin, long ms, body_t *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_RESOLVE, pin);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "wisehost-domain-check");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, go_on);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)prover);
}

/* 1 when the file behind this address holds the challenge; else *why says what was there. Takes its
 * time off *ms. */
static int ask_address(const wh_prover_t *prover, wh_proof_t *q, const char *address, long *ms,
                       const char **why)
{
    const char *url = apr_psprintf(q->head.pool, "http://%s:%d" WH_DOMAIN_HTTP_PATH "%s", q->host,
                                   prover->opt.http_port, q->app_id);
    const char *v6 = strchr(address, ':');
    const char *entry = apr_psprintf(q->head.pool, "%s:%d:%s%s%s", q->host, prover->opt.http_port,
                                     v6 ? "[" : "", address, v6 ? "]" : "");
    struct curl_slist *pin = curl_slist_append(NULL, entry);
    CURL *curl = curl_easy_init();
    body_t body = {.n = 0};
    curl_off_t took = 0;
    long status = 0;
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    if (curl != NULL && pin != NULL) {
        set_up(prover, curl, url, pin, *ms, &body);
        rc = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME_T, &took);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    *ms -= (long)(took / 1000);
    curl_easy_cleanup(curl);
    curl_slist_free_all(pin);
    if (rc != CURLE_OK && !body.over) {
        *why = apr_psprintf(q->head.pool, "%s: %s", address, curl_easy_strerror(rc));
    } else if (status != 200) {
        *why = apr_psprintf(q->head.pool, "%s answers %ld", address, status);
    } else if (!holds(body.text, q->challenge)) {
        *why = apr_psprintf(q->head.pool, "%s answers with something else", address);
    } else {
        return 1;
    }
    return 0;
}

static void ask_file(const wh_prover_t *prover, wh_proof_t *q, const char **why)
{
    apr_array_header_t *addresses;
    long left = HTTP_MS;
    int asked = 0;

    *why = wh_prover_dns_addresses(prover->dns, q->head.pool, q->host, &addresses);
    for (int i = 0; i < addresses->nelts && asked < TRIES && left > 0 && !q->finding.http;
         i++) {
        const char *address = APR_ARRAY_IDX(addresses, i, const char *);

        if (!prover->opt.private_ok && !wh_prover_dns_public(address)) {
            *why = apr_psprintf(q->head.pool, "%s is no public address", address);
            continue;
        }
        asked++;
        q->finding.http = ask_address(prover, q, address, &left, why);
    }
}

/* ---- The thread ---- */

static void look(void *baton, wh_asked_item_t *item)
{
    const wh_prover_t *prover = baton;
    wh_proof_t *q = (wh_proof_t *)item;
    const char *dns_why = "", *http_why = "";

    q->finding.rival = q->rival_challenge != NULL;
    dns_why = wh_prover_dns_txt(prover->dns, q->head.pool, q->host, q->challenge,
                                q->rival_challenge, &q->finding);
    if (q->finding.txt != 1) {
        ask_file(prover, q, &http_why);
    }
    q->finding.why = apr_pstrcat(q->head.pool, "DNS: ", dns_why, "; HTTP: ", http_why, ".", NULL);
}

apr_status_t wh_prover_start(apr_pool_t *p, const wh_prover_opt_t *opt, wh_prover_t **out,
                             wh_err_t *err)
{
    wh_prover_t *prover = apr_pcalloc(p, sizeof(*prover));
    const wh_asked_opt_t asked = {.threads = 1,
                                  .look = look,
                                  .look_baton = prover,
                                  .wake = opt->wake,
                                  .wake_baton = opt->baton};
    apr_status_t rv = wh_prover_dns_open(p, opt->resolver, &prover->dns, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    prover->opt = *opt;
    rv = wh_asked_start(p, &asked, &prover->asked, err);
    *out = rv == APR_SUCCESS ? prover : NULL;
    return rv;
}

void wh_prover_ask(wh_prover_t *prover, wh_proof_t *question)
{
    wh_asked_ask(prover->asked, &question->head);
}

int wh_prover_waiting(wh_prover_t *prover)
{
    return wh_asked_waiting(prover->asked);
}

wh_proof_t *wh_prover_answer(wh_prover_t *prover)
{
    return (wh_proof_t *)wh_asked_answer(prover->asked);
}

void wh_prover_stop(wh_prover_t *prover)
{
    wh_asked_halt(prover->asked);
    wh_prover_dns_cancel(prover->dns); /* it may be waiting there */
    wh_asked_end(prover->asked);
    wh_prover_dns_close(prover->dns);
}
