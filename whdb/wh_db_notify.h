#ifndef WH_DB_NOTIFY_H
#define WH_DB_NOTIFY_H
/* Channels of notifications and what is on its way to them. Channels are written by the module;
 * deliveries by the scheduler, but for a test and a resend. Targets are sealed throughout: nothing
 * here opens them (libwh/wh_channel.h). Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_channel.h"
#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* conflict: the name is another's. */
apr_status_t wh_db_channel_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *c,
                                  wh_err_t *err) WH_DB_CHECKED;
/* By id or name. */
apr_status_t wh_db_channel_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                               wh_channel_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Up to limit with id > after, by id; array of wh_channel_t*. */
apr_status_t wh_db_channel_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Everything but id and created_at, and failures becomes 0. APR_NOTFOUND: it is not any more what
 * it was at read_at, its updated_at then. */
apr_status_t wh_db_channel_update(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *c,
                                  apr_time_t read_at, wh_err_t *err) WH_DB_CHECKED;
/* It, and what waits for it. In a transaction. */
apr_status_t wh_db_channel_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                  wh_err_t *err) WH_DB_CHECKED;

/* One delivery came to its end: it arrived, or (dead) it did not. */
apr_status_t wh_db_channel_arrived(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_channel_failed(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                  wh_err_t *err) WH_DB_CHECKED;
/* Where it has at least so many failures; what waits for it is dead then. *done (may be NULL) = it
 * was enabled, and is not any more. In a transaction. */
apr_status_t wh_db_channel_disable(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *reason,
                                   apr_int64_t failures, apr_time_t now, int *done,
                                   wh_err_t *err) WH_DB_CHECKED;

/* Those that an older key sealed, and one of them with another key: APR_NOTFOUND when it is not any
 * more what old says. */
apr_status_t wh_db_channel_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t key_id, int limit,
                                 apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_channel_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *old,
                                  const wh_channel_t *fresh, wh_err_t *err) WH_DB_CHECKED;

/* ---- what is on its way ---- */

typedef struct wh_db_untold_t {
    const char *id, *app_id, *kind;
    apr_time_t at;
} wh_db_untold_t;

/* Events that no channel was asked about; array of wh_db_untold_t. */
apr_status_t wh_db_event_untold(wh_dbc_t *dbc, apr_pool_t *p, int limit, apr_array_header_t **out,
                                wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_event_told(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                              wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_notice_t {
    const char *id, *channel_id, *event_id;
    const char *status; /* "pending", "delivered", "dead" */
    apr_int64_t attempts;
    apr_time_t next_at;
    apr_int64_t http_status; /* of the last answer, 0 = none came */
    const char *cause_code, *cause_detail;
    apr_time_t created_at, attempted_at;
    /* of the event */
    const char *kind, *payload;
    int ended;
    apr_time_t at;
} wh_notice_t;

/* Due at once. conflict: the channel has one of this event. */
apr_status_t wh_db_notice_insert(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *channel,
                                 const char *event, apr_time_t now, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_notice_get(wh_dbc_t *dbc, apr_pool_t *p, const char *channel, const char *id,
                              wh_notice_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Newest first, with id < before; status "" = all; array of wh_notice_t*. */
apr_status_t wh_db_notice_list(wh_dbc_t *dbc, apr_pool_t *p, const char *channel,
                               const char *before, const char *status, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Those whose time has come, at most `each` of a channel. */
apr_status_t wh_db_notice_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int each, int limit,
                              apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* One more attempt, which counts as lost at lost_at. APR_NOTFOUND: it is not what was read. */
apr_status_t wh_db_notice_begin(wh_dbc_t *dbc, apr_pool_t *p, const wh_notice_t *n, apr_time_t now,
                                apr_time_t lost_at, wh_err_t *err) WH_DB_CHECKED;
/* What came of attempt n->attempts: status, next_at, http_status, cause. */
apr_status_t wh_db_notice_end(wh_dbc_t *dbc, apr_pool_t *p, const wh_notice_t *n,
                              wh_err_t *err) WH_DB_CHECKED;
/* Once more from the start. APR_NOTFOUND: there is none, or it is pending. */
apr_status_t wh_db_notice_again(wh_dbc_t *dbc, apr_pool_t *p, const char *channel, const char *id,
                                apr_time_t now, wh_err_t *err) WH_DB_CHECKED;
/* What is over since before then, and events that nobody has any more. */
apr_status_t wh_db_notice_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before,
                                wh_err_t *err) WH_DB_CHECKED;

/* Writes the event of a deployment that is over, in the transaction that ends it; some endings are
 * nobody's news: skipped ones, and moves between workers that went well. */
apr_status_t wh_db_deployment_tell(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_conclusion_e conclusion, apr_time_t now,
                                   wh_err_t *err) WH_DB_CHECKED;

/* A worker went, or came (again). id: of the event, wh_id_make. */
typedef struct wh_db_worker_edge_t {
    const char *id;
    apr_int64_t worker;
    wh_worker_status_e status;
    apr_time_t at;
} wh_db_worker_edge_t;

/* The same of a worker: in the transaction that writes its status. */
apr_status_t wh_db_worker_tell(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_worker_edge_t *edge,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
