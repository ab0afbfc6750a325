/* An app's log as a call asks for it: shared by pages (wh_h_applog.c) and streams. */
#ifndef WH_H_APPLOG_H
#define WH_H_APPLOG_H

#include "libwh/wh_logread.h"
#include "mod_wisehost/wh_mod_api.h"

/* Whose lines are wanted; environments are asked of the database once for each deployment. */
typedef struct wh_applog_of_t {
    wh_call_t *call;
    const char *deployment, *environment; /* NULL = any */
    apr_table_t *known;
} wh_applog_of_t;

/* What the call's parameters ask for; of lives as long as q. The database's connection is given
 * back when nothing more is asked of it. Errors: bad_parameter (400). */
apr_status_t wh_h_applog_query(wh_call_t *c, wh_logread_query_t *q,
                               wh_applog_of_t *of) WH_MUST_CHECK;

/* A parameter that is a time: RFC 3339, or seconds since 1970; 0 = it is not given. */
apr_status_t wh_h_applog_time(wh_call_t *c, const char *name, apr_time_t *out) WH_MUST_CHECK;

/* One line as the API shows it: new reference; NULL for one that is no UTF-8. */
json_t *wh_h_applog_line(const wh_logread_line_t *line);

/* Where the next call goes on, new reference: null when there is no more. Forward there may always
 * be more. */
json_t *wh_h_applog_cursor(const wh_logread_query_t *q, const wh_logread_result_t *result);

#endif
