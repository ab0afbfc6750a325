#include "libwh/wh_news.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_json.h"
#include "libwh/wh_model.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

#define TEXT_MAX 1000 /* bytes of what somebody wrote */

static const char *const names[WH_NEWS_TYPES] = {
#define WH_NEWS(sym, name) [WH_NEWS_##sym] = (name),
#include "libwh/wh_news.def"
#undef WH_NEWS
};

const char *wh_news_name(wh_news_e type)
{
    return (unsigned)type < WH_NEWS_TYPES ? names[type] : "";
}

static int type_of(const char *name, size_t n, wh_news_e *out)
{
    for (int i = 0; i < WH_NEWS_TYPES; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) {
            *out = (wh_news_e)i;
            return 1;
        }
    }
    return 0;
}

/* A name, or "<beginning>.*". */
static unsigned types_like(const char *name, size_t n)
{
    unsigned bits = 0;
    wh_news_e type;

    if (type_of(name, n, &type)) {
        return 1U << type;
    }
    for (int i = 0; n > 2 && memcmp(name + n - 2, ".*", 2) == 0 && i < WH_NEWS_TYPES; i++) {
        bits |= strncmp(names[i], name, n - 1) == 0 ? 1U << i : 0;
    }
    return bits;
}

unsigned wh_news_types(const char *list)
{
    unsigned all = 0;

    for (;;) {
        size_t n = strcspn(list, ",");
        unsigned bits = types_like(list, n);

        if (bits == 0) {
            return 0;
        }
        all |= bits;
        if (list[n] == '\0') {
            return all;
        }
        list += n + 1;
    }
}

/* ---- from a row ---- */

typedef struct maker_t {
    apr_pool_t *p;
    const wh_news_row_t *row;
    const json_t *data;
    wh_news_t *out;
    int n;
} maker_t;

static const char *text_at(const maker_t *m, const char *key)
{
    const char *text = json_string_value(json_object_get(m->data, key));

    return text != NULL ? wh_text_cap(m->p, text, TEXT_MAX) : "";
}

static apr_int64_t number_at(const maker_t *m, const char *key)
{
    return json_integer_value(json_object_get(m->data, key));
}

static json_t *or_null(const char *text)
{
    return *text != '\0' ? json_string(text) : json_null();
}

static json_t *cause(const maker_t *m)
{
    const char *code = text_at(m, "code");

    return *code == '\0' ? json_null()
                         : json_pack("{s:s, s:s}", "code", code, "detail", text_at(m, "detail"));
}

/* What it is about comes first; doc is stolen. */
static void tell(maker_t *m, wh_news_e type, json_t *doc)
{
    const wh_news_row_t *row = m->row;
    json_t *all = json_object();
    char *json;

    if (doc == NULL) {
        json_decref(all);
        return; /* not UTF-8 */
    }
    if (*row->app_id != '\0') {
        json_object_set_new(all, "app", or_null(row->slug));
    }
    json_object_update(all, doc);
    json_decref(doc);
    wh_json_own(m->p, all);
    json = wh_json_text(m->p, all, NULL);
    if (json != NULL) {
        m->out[m->n++] =
            (wh_news_t){.type = type,
                        .data = all,
                        .text = apr_pstrcat(m->p, names[type], " ",
                                            *row->app_id ? row->app_id : "-", " ", json, NULL)};
    }
}

/* ---- deployments ---- */

typedef enum build_e {
    BUILD_NONE,
    BUILD_QUEUED,
    BUILD_RUNNING,
    BUILD_PASSED,
    BUILD_FAILED
} build_e;

/* reached = the phase in which it ended, for what is over. */
static build_e build_of(const char *status, const char *phase, const char *conclusion,
                        const char *reached)
{
    wh_deployment_status_e s;
    wh_phase_e at = WH_PHASE_QUEUED;
    int built;

    if (!wh_model_deployment_status_of(status, &s)) {
        return BUILD_NONE;
    }
    (void)wh_model_phase_of(s == WH_DEPLOYMENT_COMPLETED ? reached : phase, &at);
    built = at > WH_PHASE_BUILDING && at < WH_PHASE_DONE;
    switch (s) {
    case WH_DEPLOYMENT_PREPARE:
        return BUILD_QUEUED;
    case WH_DEPLOYMENT_DEPLOY:
    case WH_DEPLOYMENT_FINALIZE:
        return built || s == WH_DEPLOYMENT_FINALIZE ? BUILD_PASSED : BUILD_RUNNING;
    case WH_DEPLOYMENT_FAIL:
    case WH_DEPLOYMENT_COMPLETED:
        return built || strcmp(conclusion, "succeeded") == 0 ? BUILD_PASSED : BUILD_FAILED;
    default:
        return BUILD_NONE;
    }
}

/* As the API writes it. */
static json_t *url_of(const maker_t *m, const char *environment)
{
    const char *url =
        wh_branch_url(m->p, text_at(m, "site"), m->row->slug, environment, text_at(m, "ref"));

    return *url != '\0' ? json_string(apr_pstrcat(m->p, url, "/", NULL)) : json_null();
}

static void deployment(maker_t *m)
{
    static const char *const builds[] = {"", "queued", "running", "passed", "failed"};
    const wh_news_row_t *row = m->row;
    const char *phase = text_at(m, "phase"), *was = text_at(m, "was_phase");
    const char *conclusion = text_at(m, "conclusion"), *environment = text_at(m, "environment");
    json_int_t number = number_at(m, "number");
    build_e build = build_of(row->status, phase, conclusion, was);

    tell(m, WH_NEWS_DEPLOYMENT,
         json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:s, s:o, s:o}", "deployment",
                   row->object_id, "environment", environment, "number", number, "status",
                   row->status, "phase", phase, "conclusion", or_null(conclusion), "cause",
                   cause(m), "trigger", text_at(m, "trigger"), "commit", or_null(text_at(m, "sha")),
                   "url", url_of(m, environment)));
    /* What is made as one that is over took its build from another. */
    if (*row->was != '\0' ? build != build_of(row->was, was, "", was) : build == BUILD_QUEUED) {
        tell(m, WH_NEWS_BUILD,
             json_pack("{s:s, s:s, s:I, s:s, s:o, s:o}", "deployment", row->object_id,
                       "environment", environment, "number", number, "status", builds[build],
                       "conclusion", or_null(conclusion), "cause", cause(m)));
    }
}

/* ---- all else ---- */

static void app(maker_t *m)
{
    wh_news_e type = *m->row->was == '\0'              ? WH_NEWS_APP_CREATED
                     : number_at(m, "deleted_at") != 0 ? WH_NEWS_APP_DELETED
                                                       : WH_NEWS_APP_STATUS;

    tell(m, type,
         json_pack("{s:s, s:s, s:o}", "status", m->row->status, "desired", text_at(m, "desired"),
                   "reason", or_null(text_at(m, "reason"))));
}

static void synced(maker_t *m)
{
    tell(m, WH_NEWS_SYNC_STATUS,
         json_pack("{s:s, s:o, s:o, s:o, s:o}", "status", m->row->status, "cause", cause(m),
                   "trigger", or_null(text_at(m, "trigger")), "commit", or_null(text_at(m, "sha")),
                   "ref", or_null(text_at(m, "ref"))));
}

static void alert(maker_t *m)
{
    wh_news_e type = strcmp(m->row->status, "resolved") == 0       ? WH_NEWS_ALERT_RESOLVED
                     : strcmp(m->row->status, "acknowledged") == 0 ? WH_NEWS_ALERT_ACKNOWLEDGED
                                                                   : WH_NEWS_ALERT_OPENED;

    tell(m, type,
         json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:o}", "alert", m->row->object_id,
                   "status", m->row->status, "kind", text_at(m, "kind"), "severity",
                   text_at(m, "severity"), "title", text_at(m, "title"), "message",
                   text_at(m, "message"), "source", "type", text_at(m, "source_type"), "id",
                   text_at(m, "source_id"), "reason", or_null(text_at(m, "reason"))));
}

static void domain(maker_t *m)
{
    tell(m, WH_NEWS_DOMAIN_STATUS,
         json_pack("{s:s, s:s, s:s, s:s, s:o}", "domain", m->row->object_id, "host",
                   text_at(m, "host"), "environment", text_at(m, "environment"), "status",
                   m->row->status, "reason", or_null(text_at(m, "reason"))));
}

static void switched(maker_t *m)
{
    tell(m, WH_NEWS_SWITCH_STATUS,
         json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "switch", m->row->object_id, "kind",
                   text_at(m, "kind"), "environment", text_at(m, "environment"), "deployment",
                   text_at(m, "deployment"), "status", *m->row->status ? m->row->status : "asked",
                   "result", or_null(text_at(m, "result")), "cause", cause(m)));
}

static wh_news_e worker_type(const maker_t *m, const char *admin)
{
    static const wh_news_e states[] = {[WH_WORKER_ACTIVE] = WH_NEWS_WORKER_ACTIVE,
                                       [WH_WORKER_DRAINING] = WH_NEWS_WORKER_DRAINING,
                                       [WH_WORKER_REMOVED] = WH_NEWS_WORKER_REMOVED};
    int revoked = number_at(m, "revoked_at") != 0;
    wh_worker_admin_e state;

    if (*m->row->was == '\0') {
        return WH_NEWS_WORKER_REGISTERED;
    }
    if (strcmp(admin, text_at(m, "was_admin")) != 0 && wh_model_worker_admin_of(admin, &state)) {
        return states[state];
    }
    if (revoked != (number_at(m, "was_revoked") != 0)) {
        return revoked ? WH_NEWS_WORKER_REVOKED : WH_NEWS_WORKER_REGISTERED;
    }
    return strcmp(m->row->status, "online") == 0 ? WH_NEWS_WORKER_ONLINE : WH_NEWS_WORKER_OFFLINE;
}

static void worker(maker_t *m)
{
    const char *admin = text_at(m, "admin_state");

    tell(m, worker_type(m, admin),
         json_pack("{s:s, s:s, s:s, s:s}", "worker", m->row->object_id, "name", text_at(m, "name"),
                   "status", m->row->status, "admin_state", admin));
}

int wh_news_of(apr_pool_t *p, const wh_news_row_t *row, wh_news_t out[WH_NEWS_MAX])
{
    static const struct {
        const char *topic;
        void (*make)(maker_t *m);
    } topics[] = {{"deployment", deployment}, {"app", app},       {"sync", synced},
                  {"alert", alert},           {"domain", domain}, {"switch", switched},
                  {"worker", worker}};
    wh_err_t err = WH_ERR_INIT;
    json_t *data;
    maker_t m = {.p = p, .row = row, .out = out};

    if (wh_json_load_object(p, row->data, strlen(row->data), NULL, &data, &err) != APR_SUCCESS) {
        return 0;
    }
    m.data = data;
    for (size_t i = 0; i < WH_ARRAY_LEN(topics); i++) {
        if (strcmp(topics[i].topic, row->topic) == 0) {
            topics[i].make(&m);
        }
    }
    return m.n;
}

/* ---- from a line ---- */

int wh_news_parse(const char *text, size_t n, wh_news_line_t *out)
{
    const char *space = memchr(text, ' ', n), *end = text + n;

    if (space == NULL || !type_of(text, (size_t)(space - text), &out->type)) {
        return 0;
    }
    out->app = space + 1;
    space = memchr(out->app, ' ', (size_t)(end - out->app));
    if (space == NULL) {
        return 0;
    }
    out->app_n = (size_t)(space - out->app);
    out->json = space + 1;
    out->json_n = (size_t)(end - out->json);
    return 1;
}

json_t *wh_news_json(apr_pool_t *p, apr_int64_t id, apr_time_t at, const wh_news_line_t *line)
{
    wh_err_t err = WH_ERR_INIT;
    char when[WH_TIME_RFC3339_SIZE];
    json_t *data, *doc;

    if (wh_json_load_object(p, line->json, line->json_n, NULL, &data, &err) != APR_SUCCESS) {
        return NULL;
    }
    wh_time_rfc3339_buf(when, at);
    doc = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)id, "at", when, "type", names[line->type]);
    if (doc != NULL) {
        json_object_update(doc, data);
    }
    return doc;
}
