/* wh_notify: an event and a target make a request: one function a service, from a table. Chats get
 * the compact text (F174, F175), webhooks the signed JSON document; a mail has the headline as its
 * subject. And what an answer means: delivered, try again (when), give up, never again.
 * Pure and thread-safe. */
#ifndef WH_NOTIFY_H
#define WH_NOTIFY_H

#include "libwh/wh_event.h"
#include "libwh/wh_shout.h"

typedef enum wh_notify_tls_e {
    WH_NOTIFY_TLS_NONE,
    WH_NOTIFY_TLS_TRY,  /* STARTTLS where the server has it */
    WH_NOTIFY_TLS_MUST, /* or nothing is sent */
    WH_NOTIFY_TLS_FIRST /* smtps:// */
} wh_notify_tls_e;

/* What is sent. All in the pool of wh_notify_format. */
typedef struct wh_notify_out_t {
    const char *method; /* "POST", "PUT"; "MAIL" for smtp */
    const char *url;    /* https://…, smtp://host:port: it may hold a token, and is never logged */
    apr_table_t *headers;
    const char *body; /* of a mail: the message with its header, lines ended by CR LF */
    size_t n;
    /* mail alone */
    const char *from;
    apr_array_header_t *to; /* const char * */
    const char *user, *password;
    wh_notify_tls_e tls;
} wh_notify_out_t;

/* The sending, as far as it goes into what is sent. */
typedef struct wh_notify_sending_t {
    const char *id;             /* of the delivery: the same in every attempt */
    const char *secret, *former; /* of a webhook: "whsec_…"; former: NULL, "" = none */
    apr_time_t now;
} wh_notify_sending_t;

/* Codes: secret_invalid (400: a webhook without its secret). */
apr_status_t wh_notify_format(apr_pool_t *p, const wh_shout_t *target, const wh_event_t *event,
                              const wh_notify_sending_t *sending, wh_notify_out_t *out,
                              wh_err_t *err) WH_MUST_CHECK;

typedef enum wh_notify_verdict_e {
    WH_NOTIFY_DELIVERED,
    WH_NOTIFY_AGAIN,
    WH_NOTIFY_DEAD, /* a day has passed: to the dead letters */
    WH_NOTIFY_GONE  /* 410: whoever was there does not want to hear of us any more */
} wh_notify_verdict_e;

#define WH_NOTIFY_ATTEMPTS 12 /* over a day: 5 s, 30 s, 2 min … 7 h apart */

/* What follows from the status of an answer, 0 = there was none. attempt: how many there were,
 * this one too (1 = the first). *wait_us, when it is to be tried again: the plan's wait, a tenth
 * more or less; random: wh_rand_jitter. */
wh_notify_verdict_e wh_notify_judge(int status, unsigned attempt, uint32_t random,
                                    apr_interval_time_t *wait_us);

#endif
