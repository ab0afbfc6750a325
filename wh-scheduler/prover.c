#include "wh-scheduler/prover.h"

#include <pthread.h>
#include <signal.h>
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
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    wh_proof_t *questions, **last, *answers;
    int waiting;
    int stop; /* atomic: read without the lock too */
};

wh_proof_t *wh_prover_question(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *p;
    wh_proof_t *q;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_ex(&p, NULL, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, p); /* another thread destroys it */
    apr_pool_tag(p, "proof");
    q = apr_pcalloc(p, sizeof(*q));
    q->pool = p;
    return q;
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
    return __atomic_load_n(&prover->stop, __ATOMIC_RELAXED);
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
    const char *url = apr_psprintf(q->pool, "http://%s:%d" WH_DOMAIN_HTTP_PATH "%s", q->host,
                                   prover->opt.http_port, q->app_id);
    const char *v6 = strchr(address, ':');
    const char *entry = apr_psprintf(q->pool, "%s:%d:%s%s%s", q->host, prover->opt.http_port,
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
        *why = apr_psprintf(q->pool, "%s: %s", address, curl_easy_strerror(rc));
    } else if (status != 200) {
        *why = apr_psprintf(q->pool, "%s answers %ld", address, status);
    } else if (!holds(body.text, q->challenge)) {
        *why = apr_psprintf(q->pool, "%s answers with something else", address);
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

    *why = wh_prover_dns_addresses(prover->dns, q->pool, q->host, &addresses);
    for (int i = 0; i < addresses->nelts && asked < TRIES && left > 0 && !q->finding.http;
         i++) {
        const char *address = APR_ARRAY_IDX(addresses, i, const char *);

        if (!prover->opt.private_ok && !wh_prover_dns_public(address)) {
            *why = apr_psprintf(q->pool, "%s is no public address", address);
            continue;
        }
        asked++;
        q->finding.http = ask_address(prover, q, address, &left, why);
    }
}

/* ---- The thread ---- */

static void look(const wh_prover_t *prover, wh_proof_t *q)
{
    const char *dns_why = "", *http_why = "";

    q->finding.rival = q->rival_challenge != NULL;
    dns_why = wh_prover_dns_txt(prover->dns, q->pool, q->host, q->challenge, q->rival_challenge,
                                &q->finding);
    if (q->finding.txt != 1) {
        ask_file(prover, q, &http_why);
    }
    q->finding.why = apr_pstrcat(q->pool, "DNS: ", dns_why, "; HTTP: ", http_why, ".", NULL);
}

static void *run(void *baton)
{
    wh_prover_t *prover = baton;

    pthread_mutex_lock(&prover->lock);
    while (!prover->stop) {
        wh_proof_t *q = prover->questions;

        if (q == NULL) {
            pthread_cond_wait(&prover->more, &prover->lock);
            continue;
        }
        prover->questions = q->next;
        if (prover->questions == NULL) {
            prover->last = &prover->questions;
        }
        pthread_mutex_unlock(&prover->lock);
        look(prover, q);
        pthread_mutex_lock(&prover->lock);
        prover->waiting--;
        q->next = prover->answers;
        prover->answers = q;
        pthread_mutex_unlock(&prover->lock);
        prover->opt.wake(prover->opt.baton);
        pthread_mutex_lock(&prover->lock);
    }
    pthread_mutex_unlock(&prover->lock);
    return NULL;
}

apr_status_t wh_prover_start(apr_pool_t *p, const wh_prover_opt_t *opt, wh_prover_t **out,
                             wh_err_t *err)
{
    wh_prover_t *prover = apr_pcalloc(p, sizeof(*prover));
    sigset_t all, old;
    apr_status_t rv = wh_prover_dns_open(p, opt->resolver, &prover->dns, err);
    int rc;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    prover->opt = *opt;
    prover->last = &prover->questions;
    pthread_mutex_init(&prover->lock, NULL);
    pthread_cond_init(&prover->more, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    rc = pthread_create(&prover->thread, NULL, run, prover);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        return wh_err_wrap(err, rc, 500, "no_thread", "the thread for domains cannot be started");
    }
    *out = prover;
    return APR_SUCCESS;
}

void wh_prover_ask(wh_prover_t *prover, wh_proof_t *question)
{
    pthread_mutex_lock(&prover->lock);
    question->next = NULL;
    *prover->last = question;
    prover->last = &question->next;
    prover->waiting++;
    pthread_cond_signal(&prover->more);
    pthread_mutex_unlock(&prover->lock);
}

int wh_prover_waiting(wh_prover_t *prover)
{
    int n;

    pthread_mutex_lock(&prover->lock);
    n = prover->waiting;
    pthread_mutex_unlock(&prover->lock);
    return n;
}

wh_proof_t *wh_prover_answer(wh_prover_t *prover)
{
    wh_proof_t *answer;

    pthread_mutex_lock(&prover->lock);
    answer = prover->answers;
    if (answer != NULL) {
        prover->answers = answer->next;
    }
    pthread_mutex_unlock(&prover->lock);
    return answer;
}

static void drop(wh_proof_t *list)
{
    while (list != NULL) {
        wh_proof_t *next = list->next;

        apr_pool_destroy(list->pool);
        list = next;
    }
}

void wh_prover_stop(wh_prover_t *prover)
{
    pthread_mutex_lock(&prover->lock);
    __atomic_store_n(&prover->stop, 1, __ATOMIC_RELAXED);
    pthread_cond_signal(&prover->more);
    pthread_mutex_unlock(&prover->lock);
    wh_prover_dns_cancel(prover->dns);
    pthread_join(prover->thread, NULL);
    drop(prover->questions);
    drop(prover->answers);
    wh_prover_dns_close(prover->dns);
    pthread_cond_destroy(&prover->more);
    pthread_mutex_destroy(&prover->lock);
}
