/* wh_alert: rules about apps, and the alerts that come of them.
 *
 * A rule is of one app, or of every app that has no rule of that kind of its own ("" as app_id). An
 * alert is what people see: active, acknowledged, resolved; of each user and source there is one
 * that is not resolved (F154).
 *
 * Both edges are debounced (F22): a rule at rest whose value is over its threshold begins to count,
 * and fires when it was over for as long as the rule says; one that fired counts the same way while
 * the value is not over, and resolves then. "Over" is greater than the threshold, never equal. One
 * value on the other side ends the count.
 *
 * Where nothing is known (no figures for 45 s, F3) the count stands still: such time counts for
 * neither edge, and the state says since when it is so (W9). When the gap was longer than what the
 * rule asks for and than WH_ALERT_GAP_US, the count is not gone on with: nobody knows what was in
 * between. A restart of the scheduler is such a gap.
 *
 * Thresholds and values are integers, thousandths of the unit. Pure and thread-safe: the time is
 * an argument. */
#ifndef WH_ALERT_H
#define WH_ALERT_H

#include <apr_pools.h>
#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_stats.h"

#define WH_ALERT_EVERY_US APR_INT64_C(30000000) /* F158 */
#define WH_ALERT_GAP_US WH_STATS_TTL_US
#define WH_ALERT_SUSTAIN_MAX 1440 /* minutes */
#define WH_ALERT_RULES_MAX 64     /* of an app; as many of all apps */

typedef enum wh_alert_kind_e {
#define WH_ALERT(sym, name, class, unit, words, most, sustain, title) WH_ALERT_##sym,
#include "libwh/wh_alert.def"
#undef WH_ALERT
    WH_ALERT_KINDS
} wh_alert_kind_e;

typedef enum wh_alert_class_e {
    WH_ALERT_CLASS_USE,
    WH_ALERT_CLASS_REQUEST,
    WH_ALERT_CLASS_STATE,
    WH_ALERT_CLASS_EVENT
} wh_alert_class_e;

typedef struct wh_alert_rule_t {
    const char *id, *user_id;
    const char *app_id; /* "" = every app without one of its own */
    wh_alert_kind_e kind;
    apr_int64_t threshold; /* thousandths */
    apr_int64_t sustain_s;
    const char *severity;
    int enabled;
    apr_int64_t revision;
    apr_time_t created_at, updated_at, deleted_at;
} wh_alert_rule_t;

/* Between the edges; all zero = at rest. */
typedef struct wh_alert_state_t {
    apr_time_t since;         /* it has been on the other side since then; gaps do not count */
    apr_time_t missing_since; /* nothing is known since then */
    int open; /* of since: which edge is counted to; somebody may resolve an alert by hand meanwhile
               */
} wh_alert_state_t;

typedef struct wh_alert_reading_t {
    int known;
    apr_int64_t value; /* thousandths; of a STATE: 1 = so, 0 = not */
} wh_alert_reading_t;

typedef enum wh_alert_act_e { WH_ALERT_STAY, WH_ALERT_FIRE, WH_ALERT_RESOLVE } wh_alert_act_e;

/* One tick of one rule on one app. open: its alert is not resolved. *state goes on (all zero after
 * an edge). */
wh_alert_act_e wh_alert_step(const wh_alert_rule_t *rule, wh_alert_state_t *state, int open,
                             const wh_alert_reading_t *reading, apr_time_t now);

/* What the agents' figures say of a USE kind: not known without figures, without a rate yet (net,
 * disk), without a limit (memory). */
wh_alert_reading_t wh_alert_of_use(wh_alert_kind_e kind, const wh_stats_live_t *use);

/* ---- words ---- */
const char *wh_alert_kind_text(wh_alert_kind_e kind); /* "cpu" */
int wh_alert_kind_of(const char *text, wh_alert_kind_e *kind);
wh_alert_class_e wh_alert_class(wh_alert_kind_e kind);
const char *wh_alert_unit(wh_alert_kind_e kind);  /* "percent_of_core" */
const char *wh_alert_title(wh_alert_kind_e kind); /* "CPU above its limit" */
/* "app.cpu" (F164): the type of its source and the name of its event. In p. */
const char *wh_alert_source_type(apr_pool_t *p, wh_alert_kind_e kind);
/* One sentence of why it fired. In p. */
const char *wh_alert_message(apr_pool_t *p, const wh_alert_rule_t *rule, apr_int64_t value);
/* 1250 -> "1.25". In p. */
const char *wh_alert_number(apr_pool_t *p, apr_int64_t thousandths);

/* ---- documents ---- */

/* Fills rule from a checked request body: of a new rule (partial = 0) all that has no default is
 * asked for; else only what is named changes, and "kind" may not be named. Codes (400, with
 * pointer): missing_field, kind_unknown, severity_unknown, out_of_range, threshold_unasked;
 * kind_fixed. */
apr_status_t wh_alert_rule_decode(apr_pool_t *p, const json_t *body, int partial,
                                  wh_alert_rule_t *rule, wh_err_t *err) WH_MUST_CHECK;

/* slug: of its app, NULL = every app. state NULL = not known (it is of every app). A new
 * reference. */
json_t *wh_alert_rule_json(apr_pool_t *p, const wh_alert_rule_t *rule, const char *slug,
                           const wh_alert_state_t *state, int open);

typedef struct wh_alert_t {
    const char *id, *user_id, *app_id, *slug, *rule_id, *kind, *severity, *source_type, *source_id;
    const char *title, *message, *unit;
    apr_int64_t value, threshold;
    const char *status, *reason; /* reason: why it is resolved */
    apr_time_t fired_at, acknowledged_at, resolved_at;
    const char *acknowledged_by;
    apr_time_t missing_since; /* nothing is known of its value since then, 0 = it is */
} wh_alert_t;

/* New reference. */
json_t *wh_alert_json(apr_pool_t *p, const wh_alert_t *alert);
/* What is told of an edge of it: {"app":{"id","slug"},"alert":…}. New reference. */
json_t *wh_alert_event_json(apr_pool_t *p, const wh_alert_t *alert);

#endif
