/* HTTP to others: forges, those who are notified, issuers of tokens. One thread around libcurl's
 * multi interface; the database thread gives requests and takes answers, and each answer's own
 * callback runs there, never in the HTTP thread.
 *
 * Whoever names an address must not make this machine talk to what only it can reach: an address is
 * judged after its name was resolved, when it is connected to. Public ones alone, by https (mail as
 * the request says); where
 * private_ok says so also those of private networks and this machine, and these by http:// too.
 * Link-local ones (where clouds keep their secrets), multicast and the like never. No redirects, no
 * proxies, no cookies, nothing of the user's own configuration.
 *
 * Addresses, headers and bodies hold secrets: nothing of them is logged, and no error text has more
 * of them than the host. */
#ifndef WH_HTTPOUT_H
#define WH_HTTPOUT_H

#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_HTTPOUT_WAITING 256      /* requests that wait or are under way, at most */
#define WH_HTTPOUT_RUNNING 32       /* of them under way */
#define WH_HTTPOUT_HOST 4           /* of them to one host: who hangs does not hold up the others */
#define WH_HTTPOUT_TIMEOUT_MS 15000 /* unless the request says otherwise */
#define WH_HTTPOUT_HEADS 65536      /* bytes of headers: more is no answer */
#define WH_HTTPOUT_ANSWER 65536     /* likewise, bytes of a body that are kept */

struct wh_core_t;
typedef struct wh_httpout_t wh_httpout_t;
typedef struct wh_httpout_req_t wh_httpout_req_t;

/* Runs in the database thread; the request is destroyed afterwards. A failure that is the
 * database's (wh_core_may_retry) brings the same answer again. */
typedef apr_status_t wh_httpout_done_fn(struct wh_core_t *core, apr_pool_t *p,
                                        const wh_httpout_req_t *answer, apr_time_t now,
                                        wh_err_t *err);

/* A mail instead of HTTP: url is smtp[s]://host:port and body the message, its lines ended by CR
 * LF. The answer's status is that of the server's last reply: 250 when it was taken. */
typedef enum wh_httpout_tls_e {
    WH_HTTPOUT_TLS_NONE,
    WH_HTTPOUT_TLS_TRY, /* STARTTLS where the server has it */
    WH_HTTPOUT_TLS_MUST
} wh_httpout_tls_e;
typedef struct wh_httpout_mail_t {
    const char *from;
    const apr_array_header_t *to;       /* const char * */
    const char *user, *password;        /* "" = none */
    wh_httpout_tls_e tls;               /* of smtp:// */
} wh_httpout_mail_t;

/* A request, and then its answer. All is in the request's own pool; the texts are filled in by the
 * caller as such of that pool. */
struct wh_httpout_req_t {
    wh_httpout_req_t *next;
    apr_pool_t *pool;
    const char *what;   /* for our log: whose request it is, without a secret; not NULL */
    const char *method; /* "GET" unless it is said */
    const char *url;
    const char *body; /* NULL = none */
    apr_size_t body_len;
    const wh_httpout_mail_t *mail; /* NULL = HTTP */
    int timeout_ms;        /* for all of it, 0 = WH_HTTPOUT_TIMEOUT_MS */
    apr_size_t answer_max; /* 0 = WH_HTTPOUT_ANSWER */
    wh_httpout_done_fn *done;
    void *baton; /* the caller's, in the request's pool */

    /* The answer. */
    int status; /* of HTTP, redirects too; 0 = none came, and err says why: http_refused (the
                   address), http_tls, http_timeout, http_unreachable */
    const char *answer; /* ends with NUL, which is not counted */
    apr_size_t answer_len;
    int cut;            /* the body went on behind answer_max */
    apr_table_t *heads; /* of the answer, at most 64 */
    wh_err_t err;
};

typedef struct wh_httpout_opt_t {
    const char *ca_file; /* "" = the system's */
    int private_ok;
    void (*wake)(void *baton); /* called by the thread when an answer is there */
    void *baton;
} wh_httpout_opt_t;

/* Starts the thread; the pool must outlive wh_httpout_stop. Errors: no_thread. */
apr_status_t wh_httpout_start(apr_pool_t *p, const wh_httpout_opt_t *opt, wh_httpout_t **out,
                              wh_err_t *err) WH_MUST_CHECK;

/* A request in a pool of its own, NULL = no memory. Not sent yet. */
wh_httpout_req_t *wh_httpout_request(const char *what, wh_httpout_done_fn *done);
/* A header for it; 0 = the name or the value has a character that it may not have, and it was not
 * taken. */
int wh_httpout_header(wh_httpout_req_t *req, const char *name, const char *value) WH_MUST_CHECK;

/* How many requests may be given now. */
int wh_httpout_room(wh_httpout_t *out);
/* Takes ownership, also where there is no room: then, as with every other fault, the answer says
 * so (http_busy). */
void wh_httpout_send(wh_httpout_t *out, wh_httpout_req_t *req);
/* The next answer, NULL = none; the oldest first. The tick hands it to its callback and destroys
 * its pool, or gives it back to have it again. */
wh_httpout_req_t *wh_httpout_answer(wh_httpout_t *out);
void wh_httpout_again(wh_httpout_t *out, wh_httpout_req_t *answer);

/* Ends the thread at once; what waits or is under way is dropped without a callback. */
void wh_httpout_stop(wh_httpout_t *out);

#endif
