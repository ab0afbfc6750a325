#include "libwh/wh_alert.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_time.h"

typedef struct kind_t {
    const char *name;
    wh_alert_class_e class;
    const char *unit, *words;
    apr_int64_t most;
    int sustain; /* minutes */
    const char *title;
} kind_t;

static const kind_t kinds[WH_ALERT_KINDS] = {
#define WH_ALERT(sym, text, how, of, read, largest, minutes, said)                                 \
    [WH_ALERT_##sym] = {.name = (text),                                                            \
                        .class = WH_ALERT_CLASS_##how,                                             \
                        .unit = (of),                                                              \
                        .words = (read),                                                           \
                        .most = (largest),                                                         \
                        .sustain = (minutes),                                                      \
                        .title = (said)},
#include "libwh/wh_alert.def"
#undef WH_ALERT
};

static const char *const severities[] = {"info", "warning", "critical"};

/* ---- the edges ---- */

/* The time in which nothing was known is taken out of the count, or ends it. */
static void resume(const wh_alert_rule_t *rule, wh_alert_state_t *state, apr_time_t now)
{
    apr_interval_time_t gap = now - state->missing_since;
    apr_interval_time_t sustain = apr_time_from_sec(rule->sustain_s);

    if (state->since != 0 && gap > 0) {
        state->since = gap > sustain && gap > WH_ALERT_GAP_US ? 0 : state->since + gap;
    }
    state->missing_since = 0;
}

wh_alert_act_e wh_alert_step(const wh_alert_rule_t *rule, wh_alert_state_t *state, int open,
                             const wh_alert_reading_t *reading, apr_time_t now)
{
    int over;

    if (!reading->known) {
        if (state->missing_since == 0) {
            state->missing_since = now;
        }
        return WH_ALERT_STAY;
    }
    if (state->missing_since != 0) {
        resume(rule, state, now);
    }
    over =
        reading->value > (wh_alert_class(rule->kind) == WH_ALERT_CLASS_STATE ? 0 : rule->threshold);
    if (over == (open != 0)) {
        state->since = 0;
        return WH_ALERT_STAY;
    }
    if (state->since == 0 || state->since > now || /* a clock that went back */
        (state->open != 0) != (open != 0)) {
        state->since = now;
        state->open = open != 0;
    }
    if (now - state->since < apr_time_from_sec(rule->sustain_s)) {
        return WH_ALERT_STAY;
    }
    state->since = 0;
    return open ? WH_ALERT_RESOLVE : WH_ALERT_FIRE;
}

/* part / whole in thousandths of a percent, without overflow for whatever a worker says. */
static apr_int64_t percent(apr_int64_t part, apr_int64_t whole)
{
    const apr_int64_t all = 100000, most = APR_INT64_MAX / (2 * all);
    apr_int64_t n = part / whole;

    while (whole > most) {
        whole /= 2;
        part /= 2;
    }
    return n > most ? most * all : n * all + (part - n * whole) * all / whole;
}

wh_alert_reading_t wh_alert_of_use(wh_alert_kind_e kind, const wh_stats_live_t *use)
{
    wh_alert_reading_t r = {.known = use->parts > 0};

    switch (kind) {
    case WH_ALERT_CPU:
        r.value = use->cpu_millis > APR_INT64_MAX / 100 ? APR_INT64_MAX : use->cpu_millis * 100;
        break;
    case WH_ALERT_MEMORY:
        r.known = r.known && use->memory_limit_bytes > 0;
        r.value = r.known ? percent(use->memory_bytes, use->memory_limit_bytes) : 0;
        break;
    case WH_ALERT_NETWORK:
        r.known = r.known && use->rated == use->parts;
        r.value = use->net_rx_per_s / 1000 + use->net_tx_per_s / 1000 +
                  (use->net_rx_per_s % 1000 + use->net_tx_per_s % 1000) / 1000;
        break;
    case WH_ALERT_DISK:
        r.known = r.known && use->rated == use->parts;
        r.value = use->disk_read_per_s / 1000 + use->disk_write_per_s / 1000 +
                  (use->disk_read_per_s % 1000 + use->disk_write_per_s % 1000) / 1000;
        break;
    default:
        r.known = 0;
        break;
    }
    return r;
}

/* ---- words ---- */

const char *wh_alert_kind_text(wh_alert_kind_e kind)
{
    return (unsigned)kind < WH_ALERT_KINDS ? kinds[kind].name : "";
}

int wh_alert_kind_of(const char *text, wh_alert_kind_e *kind)
{
    for (int i = 0; i < WH_ALERT_KINDS; i++) {
        if (strcmp(kinds[i].name, text) == 0) {
            *kind = (wh_alert_kind_e)i;
            return 1;
        }
    }
    return 0;
}

wh_alert_class_e wh_alert_class(wh_alert_kind_e kind)
{
    return kinds[kind].class;
}

const char *wh_alert_unit(wh_alert_kind_e kind)
{
    return kinds[kind].unit;
}

const char *wh_alert_title(wh_alert_kind_e kind)
{
    return kinds[kind].title;
}

const char *wh_alert_source_type(apr_pool_t *p, wh_alert_kind_e kind)
{
    return apr_pstrcat(p, "app.", kinds[kind].name, NULL);
}

const char *wh_alert_number(apr_pool_t *p, apr_int64_t n)
{
    char *text = apr_psprintf(p, "%" APR_INT64_T_FMT ".%03d", n / 1000, (int)(n % 1000));
    size_t len = strlen(text);

    while (text[len - 1] == '0') {
        text[--len] = '\0';
    }
    if (text[len - 1] == '.') {
        text[len - 1] = '\0';
    }
    return text;
}

static const char *minutes(apr_pool_t *p, apr_int64_t s)
{
    return s == 60 ? "a minute" : apr_psprintf(p, "%" APR_INT64_T_FMT " minutes", s / 60);
}

const char *wh_alert_message(apr_pool_t *p, const wh_alert_rule_t *rule, apr_int64_t value)
{
    const kind_t *k = &kinds[rule->kind];
    const char *held =
        rule->sustain_s == 0 ? "" : apr_pstrcat(p, " for ", minutes(p, rule->sustain_s), NULL);

    if (k->class == WH_ALERT_CLASS_STATE) {
        return apr_psprintf(p, "Its worker has not been heard of%s.", held);
    }
    return apr_psprintf(p, "%s is %s %s, above %s%s.", k->name, wh_alert_number(p, value), k->words,
                        wh_alert_number(p, rule->threshold), held);
}

/* ---- rules in and out ---- */

static apr_status_t decode_kind(const json_t *body, wh_alert_rule_t *rule, wh_err_t *err)
{
    const char *text = json_string_value(json_object_get(body, "kind"));

    if (text == NULL || !wh_alert_kind_of(text, &rule->kind)) {
        return wh_err_field(
            err, "/kind", "kind_unknown",
            "a rule is of cpu, memory, network, disk, error_rate, latency, offline, "
            "crashloop or deployment_failed");
    }
    rule->sustain_s = kinds[rule->kind].sustain * 60;
    return APR_SUCCESS;
}

static int has_threshold(const wh_alert_rule_t *rule)
{
    return kinds[rule->kind].most > 0;
}

static apr_status_t decode_threshold(apr_pool_t *p, const json_t *body, int partial,
                                     wh_alert_rule_t *rule, wh_err_t *err)
{
    const json_t *value = json_object_get(body, "threshold");
    apr_int64_t most = kinds[rule->kind].most;
    double n = json_number_value(value) * 1000;

    if (value == NULL || json_is_null(value)) {
        return partial || !has_threshold(rule)
                   ? APR_SUCCESS
                   : wh_err_field(err, "/threshold", "missing_field",
                                  "a rule of %s needs one, in %s", kinds[rule->kind].name,
                                  kinds[rule->kind].words);
    }
    if (!has_threshold(rule)) {
        return wh_err_field(err, "/threshold", "threshold_unasked", "a rule of %s has none",
                            kinds[rule->kind].name);
    }
    if (!(n >= 0 && n <= (double)most)) {
        return wh_err_field(err, "/threshold", "out_of_range", "it is between 0 and %s %s",
                            wh_alert_number(p, most), kinds[rule->kind].words);
    }
    rule->threshold = (apr_int64_t)(n + 0.5);
    return APR_SUCCESS;
}

static apr_status_t decode_severity(const json_t *body, wh_alert_rule_t *rule, wh_err_t *err)
{
    const char *text = json_string_value(json_object_get(body, "severity"));

    for (size_t i = 0; text != NULL && i < WH_ARRAY_LEN(severities); i++) {
        if (strcmp(text, severities[i]) == 0) {
            rule->severity = severities[i];
            return APR_SUCCESS;
        }
    }
    return text == NULL ? APR_SUCCESS
                        : wh_err_field(err, "/severity", "severity_unknown",
                                       "it is info, warning or critical");
}

apr_status_t wh_alert_rule_decode(apr_pool_t *p, const json_t *body, int partial,
                                  wh_alert_rule_t *rule, wh_err_t *err)
{
    const json_t *sustain = json_object_get(body, "sustain_minutes");
    const json_t *enabled = json_object_get(body, "enabled");
    apr_status_t rv = APR_SUCCESS;

    if (!partial) {
        rule->severity = "warning";
        rule->enabled = 1;
        rv = decode_kind(body, rule, err);
    } else if (json_object_get(body, "kind") != NULL) {
        return wh_err_field(err, "/kind", "kind_fixed", "a rule stays of its kind");
    }
    rv = rv == APR_SUCCESS ? decode_threshold(p, body, partial, rule, err) : rv;
    rv = rv == APR_SUCCESS ? decode_severity(body, rule, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (json_is_integer(sustain)) {
        if (kinds[rule->kind].class == WH_ALERT_CLASS_EVENT && json_integer_value(sustain) != 0) {
            return wh_err_field(err, "/sustain_minutes", "out_of_range",
                                "%s is told at once: it is 0", kinds[rule->kind].name);
        }
        rule->sustain_s = json_integer_value(sustain) * 60;
    }
    if (json_is_boolean(enabled)) {
        rule->enabled = json_is_true(enabled);
    }
    return APR_SUCCESS;
}

static json_t *thousandths(apr_int64_t n)
{
    return n % 1000 == 0 ? json_integer((json_int_t)(n / 1000)) : json_real((double)n / 1000);
}

static json_t *when(apr_pool_t *p, apr_time_t at)
{
    return at == 0 ? json_null() : json_string(wh_time_rfc3339(p, at));
}

/* firing, pending (to fire), recovering (to resolve), missing, ok */
static json_t *state_json(apr_pool_t *p, const wh_alert_state_t *s, int open)
{
    const char *text = open ? "firing" : "ok";

    if (s->missing_since != 0) {
        text = "missing";
    } else if (s->since != 0) {
        text = open ? "recovering" : "pending";
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "status", text, "firing", open, "since",
                     when(p, s->since), "missing_since", when(p, s->missing_since));
}

json_t *wh_alert_rule_json(apr_pool_t *p, const wh_alert_rule_t *r, const char *slug,
                           const wh_alert_state_t *state, int open)
{
    return json_pack("{s:s, s:s?, s:s, s:o, s:s?, s:I, s:s, s:b, s:o, s:o, s:o}", "id", r->id,
                     "app", slug, "kind", kinds[r->kind].name, "threshold",
                     has_threshold(r) ? thousandths(r->threshold) : json_null(), "unit",
                     has_threshold(r) ? kinds[r->kind].unit : NULL, "sustain_minutes",
                     (json_int_t)(r->sustain_s / 60), "severity", r->severity, "enabled",
                     r->enabled, "state", state != NULL ? state_json(p, state, open) : json_null(),
                     "created_at", when(p, r->created_at), "updated_at", when(p, r->updated_at));
}

/* ---- alerts out ---- */

json_t *wh_alert_json(apr_pool_t *p, const wh_alert_t *a)
{
    int measured = *a->unit != '\0';
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s}", "id", a->id,
                            "app", a->slug, "rule", a->rule_id, "kind", a->kind, "severity",
                            a->severity, "status", a->status, "source", "type", a->source_type,
                            "id", a->source_id, "title", a->title, "message", a->message);

    json_object_set_new(out, "value", measured ? thousandths(a->value) : json_null());
    json_object_set_new(out, "threshold", measured ? thousandths(a->threshold) : json_null());
    json_object_set_new(out, "unit", measured ? json_string(a->unit) : json_null());
    json_object_set_new(out, "missing_since", when(p, a->missing_since));
    json_object_set_new(out, "fired_at", when(p, a->fired_at));
    json_object_set_new(out, "acknowledged_at", when(p, a->acknowledged_at));
    json_object_set_new(out, "acknowledged_by",
                        *a->acknowledged_by ? json_string(a->acknowledged_by) : json_null());
    json_object_set_new(out, "resolved_at", when(p, a->resolved_at));
    json_object_set_new(out, "reason", *a->reason ? json_string(a->reason) : json_null());
    return out;
}

json_t *wh_alert_event_json(apr_pool_t *p, const wh_alert_t *a)
{
    json_t *alert = wh_alert_json(p, a);

    json_object_del(alert, "app");
    return json_pack("{s:{s:s, s:s}, s:o}", "app", "id", a->app_id, "slug", a->slug, "alert",
                     alert);
}
