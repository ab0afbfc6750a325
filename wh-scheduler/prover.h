/* Looks domains up and asks for their files: DNS by c-ares, HTTP by libcurl, in a thread of its
 * own, for both take their time. The database thread gives questions and takes answers.
 *
 * A file is asked for at an address that was looked at first, pinned, without proxies, redirects or
 * cookies, at most 256 bytes in 10 seconds: whoever names a domain must not make this machine talk
 * to what only it can reach (wh_address.h; domain_private lets it). */
#ifndef WH_PROVER_H
#define WH_PROVER_H

#include "libwh/wh_domain.h"
#include "wh-scheduler/asked.h"

typedef struct wh_prover_t wh_prover_t;

/* A question, and with its finding the answer. The texts are in the question's own pool. */
typedef struct wh_proof_t {
    wh_asked_item_t head;
    const char *id, *app_id, *host, *challenge;
    const char *rival, *rival_challenge; /* of another app's domain that has the name, or NULL */
    wh_domain_finding_t finding;
} wh_proof_t;

typedef struct wh_prover_opt_t {
    const char *resolver; /* see settings: "" = the system's */
    int http_port;
    int private_ok;
    void (*wake)(void *baton); /* called by the thread when an answer is there */
    void *baton;
} wh_prover_opt_t;

/* Starts the thread; the pool must outlive wh_prover_stop. Errors: no_thread, bad_config. */
apr_status_t wh_prover_start(apr_pool_t *p, const wh_prover_opt_t *opt, wh_prover_t **out,
                             wh_err_t *err) WH_MUST_CHECK;

/* A question in a pool of its own, filled by the caller with texts of that pool. */
wh_proof_t *wh_prover_question(void);
/* Takes ownership. */
void wh_prover_ask(wh_prover_t *prover, wh_proof_t *question);
/* How many questions wait or are being looked at. */
int wh_prover_waiting(wh_prover_t *prover);
/* The next answer, NULL = none; destroy its pool. */
wh_proof_t *wh_prover_answer(wh_prover_t *prover);

/* Ends the thread, within the time that a look takes at most; what waits is dropped. */
void wh_prover_stop(wh_prover_t *prover);

#endif
