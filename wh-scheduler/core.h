/* What the database thread owns: the connection to the database, the route table, the logs, and who
 * is connected. Everything in wh-scheduler that takes a wh_core_t runs in that thread, and none of
 * it touches the event loop except by posts in the mailbox.
 *
 * Handlers take a pool `p` that is cleared after the message or the tick. What they return as
 * APR_EGENERAL with HTTP 503 (db_busy, db_gone, db_error) may be tried again as a whole: each
 * handler does its writing in one transaction and posts only after its commit.
 */
#ifndef WH_CORE_H
#define WH_CORE_H

#include <apr_hash.h>
#include <apr_thread_proc.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_idmap.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sched.h"
#include "libwh/wh_secret.h"
#include "libwh/wh_stats.h"
#include "wh-scheduler/applog.h"
#include "wh-scheduler/claims.h"
#include "wh-scheduler/decline.h"
#include "wh-scheduler/eventlog.h"
#include "wh-scheduler/httpout.h"
#include "wh-scheduler/logdrains.h"
#include "wh-scheduler/logseg.h"
#include "wh-scheduler/mailbox.h"
#include "wh-scheduler/notices.h"
#include "wh-scheduler/offers.h"
#include "wh-scheduler/poller.h"
#include "wh-scheduler/prover.h"
#include "wh-scheduler/metrics.h"
#include "wh-scheduler/publish.h"
#include "wh-scheduler/say.h"
#include "wh-scheduler/settings.h"
#include "wh-scheduler/watchdog.h"
#include "whdb/wh_dbc.h"

#define WH_CORE_HEARTBEAT_S 30
#define WH_CORE_REFUSES_MAX 200                     /* bytes of a worker's reason that are kept */
#define WH_CORE_STOP_AGAIN_US APR_INT64_C(60000000) /* a stop job that failed is tried again */

typedef struct wh_beat_t wh_beat_t; /* beats.c */
typedef struct wh_alerts_t wh_alerts_t; /* alerts.c */
typedef struct wh_usage_t wh_usage_t;   /* usage.c */

/* A connected worker. */
typedef struct wh_peer_t {
    struct wh_peer_t *next, **at; /* list of all; *at is this one */
    wh_idmap_link_t by_worker, by_conn;
    apr_int64_t worker;
    apr_uint64_t conn;
    int ready;              /* its hello was answered: frames may go out */
    const char *public_id;  /* in the struct's own memory */
    wh_mono_t heard;        /* its hello or last heartbeat, or when it came */
    int has_beaten;         /* a heartbeat of it was taken: the next one must not come too soon */
    int tell;               /* what should run there has changed: desired.c */
    wh_mono_t offer_again;  /* it refused a job: when to ask again, 0 = it did not */
    wh_mono_t last_stats;   /* when its app_stats were last looked at */
    wh_beat_t *beat;        /* its heartbeat that waits to be written, NULL = none */
    apr_time_t rekey_asked; /* workers.rotate_at of the request that it was told of, 0 = none */
    int faults;             /* frames that were answered by an error */
    wh_bucket_t logs;       /* F66, F67 */
    wh_offers_t offers;     /* jobs that wait to be said: assign.c */
    char id_text[32];
} wh_peer_t;

/* The last look at both clocks. */
typedef struct wh_core_times_t {
    apr_time_t wall;
    wh_mono_t mono;
    int seen;    /* 0: there was none yet */
    int sighted; /* 0: we could not look for a while, leases begin anew */
} wh_core_times_t;

typedef struct wh_core_t {
    const wh_settings_t *settings;
    const wh_clock_t *clock;
    const wh_rand_t *rand;
    wh_mailbox_t *box;
    wh_watchdog_t *dog;   /* NULL = nobody watches */
    apr_pool_t *pool;     /* the thread's */
    apr_pool_t *dbc_pool; /* of the connection in hand */
    wh_dbc_t *dbc;        /* NULL while there is none */
    wh_publish_t *publish;
    wh_segment_t *log_writer;
    wh_logseg_t *logs;      /* of builds */
    wh_applog_t *app_logs;  /* of running apps */
    wh_eventlog_t *events;  /* events.c */
    int events_due;         /* a message came since the last look, or that was not all */
    wh_mono_t events_at, events_prune_at, events_said_at;
    wh_claims_t *claims;    /* who may write which */
    wh_stats_t *stats;      /* live figures of apps: wh_stats_get, in this thread */
    wh_mono_t notes_at;     /* when the logs may say again what they lost */
    apr_int64_t late_lines; /* of jobs and apps that are over: dropped */
    wh_peer_t *peers;
    wh_idmap_t peers_by_worker, peers_by_conn; /* made with the first peer */
    wh_roster_t *roster;                       /* what the event loop was told last */
    apr_int64_t roster_mark;                   /* wh_db_worker_roster_mark when it was read */
    wh_mono_t started; /* nobody is called offline before a whole timeout has passed since (R9) */
    wh_core_times_t times;  /* times.c */
    wh_declines_t declines; /* decline.c */
    wh_says_t says;         /* what workers may make us log */
    int beats;              /* how many wait, of all peers */
    wh_mono_t beats_at;     /* when they may be written */
    int plan_again;         /* something changed that may let a waiting job go */
    int unfinished;         /* some deployment may be left in finalize: look */
    int republish;          /* the whole table is to be written */
    int plan_behind;        /* the look behind the head of a long queue goes on after this job */
    wh_sched_job_t plan_after;
    char plan_after_id[32];
    apr_int64_t removed; /* workers that were removed, as of the last look */
    apr_hash_t *stopped; /* apps that their owners stopped, as of the last look; in stopped_p */
    apr_pool_t *stopped_p;
    apr_array_header_t *deleting; /* ids of deleted apps of which something is left: gone.c */
    wh_mono_t cancels_at, health_at, tend_at, check_at, deleted_at, desired_at, drain_at, roster_at;
    wh_mono_t retire_at; /* retire.c */
    int retiring;        /* a round is under way, from behind this app */
    char retire_after[32];
    const char *conf; /* the path of our configuration, for the collector; NULL = none is run */
    apr_proc_t *collector; /* that runs, in a pool of its own */
    apr_pool_t *collector_pool;
    wh_mono_t collect_at;
    wh_mono_t republish_at, previews_at, domains_at, syncs_at, issuers_at, forges_at;
    wh_prover_t *prover; /* who looks domains up; NULL = nobody (tests) */
    unsigned char env_root[32]; /* the root key: opens env vars, whatever number sealed them */
    apr_int64_t env_key;        /* the number that seals, as of the last look */
    wh_mono_t env_at;
    wh_poller_t *poller; /* who looks branches up; NULL = nobody (tests) */
    wh_httpout_t *http;  /* who sends HTTP to others; NULL = nobody (tests) */
    wh_alerts_t *alerts; /* made with the first look */
    wh_usage_t *usage;   /* likewise */
    wh_mono_t audit_at;  /* audit.c */
    wh_metrics_t metrics;
    wh_notices_t notices;
    wh_logdrains_t *logdrains; /* made with the first look */
    void *db_lock; /* PostgreSQL: non-NULL while the advisory lock is held */
} wh_core_t;

/* What opens all that is sealed, and seals anew. Borrowed from core. */
wh_secret_ring_t wh_core_ring(const wh_core_t *core);

/* Makes what logs and figures need, from core->pool and core->settings, for the connection
 * core->dbc. */
void wh_core_intake(wh_core_t *core);

/* In the transaction that writes a worker's status: those who are notified hear of it. */
apr_status_t wh_core_tell_worker(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                                 wh_worker_status_e status, apr_time_t now,
                                 wh_err_t *err) WH_MUST_CHECK;

/* 1 = something that this worker caused may be logged (say.h). */
int wh_core_may_say(wh_core_t *core, apr_int64_t worker);

/* ---- peers ---- */
wh_peer_t *wh_core_peer(wh_core_t *core, apr_int64_t worker);
wh_peer_t *wh_core_peer_of_conn(wh_core_t *core, apr_uint64_t conn);
/* A new one; an older one of the same worker is forgotten (its connection is closed by the hub). */
wh_peer_t *wh_core_peer_add(wh_core_t *core, apr_int64_t worker, apr_uint64_t conn,
                            const char *public_id);
/* 1 when this connection was the worker's current one (F82). */
int wh_core_peer_drop(wh_core_t *core, apr_uint64_t conn);

/* ---- frames out; payload is stolen, NULL (out of memory) only logged ---- */
void wh_core_send(wh_core_t *core, const wh_peer_t *peer, wh_msg_e type, json_t *payload);
/* {job, epoch}: job_go, job_cancel, result_ack. peer NULL = not connected: nothing happens. */
void wh_core_send_ref(wh_core_t *core, const wh_peer_t *peer, wh_msg_e type, const char *job,
                      apr_int64_t epoch);
void wh_core_send_error(wh_core_t *core, const wh_peer_t *peer, const char *in_reply_to,
                        const char *code, const char *message);
void wh_core_close(wh_core_t *core, apr_uint64_t conn, int code);

/* Reads who is a worker and tells the event loop when that changed: always, once a few seconds;
 * else, at every poke, only where a worker's row was written since. */
apr_status_t wh_core_roster(wh_core_t *core, apr_pool_t *p, int always,
                            wh_err_t *err) WH_MUST_CHECK;

/* True for a failure that the database is to blame for: the same may be tried again. */
int wh_core_may_retry(const wh_err_t *err);

/* For loops over many things: what is wrong with one of them (and is not the database's) is logged
 * and must not keep the others from their turn; so is what has been overtaken (APR_NOTFOUND).
 * Returns rv, or APR_SUCCESS for these. err is cleared then. */
apr_status_t wh_core_only(wh_core_t *core, apr_status_t rv, const char *what, wh_err_t *err);

#endif
