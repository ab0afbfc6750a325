/* Live events: one row a write whoever writes it, each told once whatever is killed when. */
#include "t/unit/sched.h"

#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_news.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_outbox.h"
#include "wh-scheduler/events.h"

static apr_array_header_t *lines_of(sched_t *s)
{
    wh_logread_query_t q = {.dir = apr_pstrcat(s->t->p, s->settings.logs_dir, "/events", NULL),
                            .forward = 1,
                            .limit = 100000,
                            .bytes = 64 * WH_MIB,
                            .budget = 64 * WH_MIB};
    wh_logread_result_t found;

    wh_eventlog_wait(s->core.events);
    assert_ok(wh_logread(s->t->p, &q, &found, &s->t->err), &s->t->err);
    return found.lines;
}

static const char *text_of(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));

    return text != NULL ? text : "";
}

/* "type status/phase; …" of what came after line *from, which goes on. */
static const char *told(sched_t *s, int *from)
{
    apr_array_header_t *lines = lines_of(s);
    const char *all = "";

    for (int i = *from; i < lines->nelts; i++) {
        const wh_logread_line_t *line = &APR_ARRAY_IDX(lines, i, wh_logread_line_t);
        wh_news_line_t news;
        json_t *doc;

        assert_int_equal(line->n, i + 1);
        assert_true(wh_news_parse(line->text, strlen(line->text), &news));
        doc = wh_news_json(s->t->p, line->n, line->at, &news);
        assert_non_null(doc);
        all = apr_pstrcat(s->t->p, all, *all ? "; " : "", wh_news_name(news.type), " ",
                          text_of(doc, "status"), news.type == WH_NEWS_DEPLOYMENT ? "/" : "",
                          news.type == WH_NEWS_DEPLOYMENT ? text_of(doc, "phase") : "", NULL);
        json_decref(doc);
    }
    *from = lines->nelts;
    return all;
}

static void look(sched_t *s)
{
    apr_pool_t *p;

    apr_pool_create(&p, s->t->p);
    assert_ok(wh_events_look(&s->core, p, &s->t->err), &s->t->err);
    apr_pool_destroy(p);
    assert_string_equal(db_value(s->t, "SELECT COUNT(*) FROM event_outbox"), "0");
}

/* Another process: what is in memory is forgotten. */
static void restart(sched_t *s)
{
    const wh_applog_limits_t limits = {.bytes = s->settings.event_log_bytes,
                                       .age_s = s->settings.event_log_age_s};

    wh_eventlog_wait(s->core.events);
    s->core.events = wh_eventlog_make(s->t->p, s->settings.logs_dir, s->core.log_writer, &limits);
}

static void test_life(void **state)
{
    sched_t *s = sched_case(*state);
    const char *id = db_id(s->t, 'd', 1);
    int at = 0;

    look(s);
    assert_string_equal(told(s, &at), "worker.registered offline; worker.online online; "
                                      "app.created unknown");
    sched_at_work(s, s->w, s->a);
    assert_int_equal(sched_say(s, s->w->id, WH_MSG_JOB_STATUS,
                               json_pack("{s:s,s:i,s:s}", "job", db_id(s->t, 'j', 1), "epoch", 1,
                                         "phase", "building")),
                     APR_SUCCESS);
    /* Twice the same changes nothing. */
    assert_int_equal(sched_say(s, s->w->id, WH_MSG_JOB_STATUS,
                               json_pack("{s:s,s:i,s:s}", "job", db_id(s->t, 'j', 1), "epoch", 1,
                                         "phase", "building")),
                     APR_SUCCESS);
    assert_int_equal(sched_say(s, s->w->id, WH_MSG_JOB_STATUS,
                               json_pack("{s:s,s:i,s:s}", "job", db_id(s->t, 'j', 1), "epoch", 1,
                                         "phase", "starting")),
                     APR_SUCCESS);
    assert_int_equal(sched_result(s, s->w->id, db_id(s->t, 'j', 1), 1, "succeeded"), APR_SUCCESS);
    look(s);
    assert_string_equal(sched_deployment(s, id), "completed/succeeded/");
    /* F243, F244, F283, F284: exactly one of each write. */
    assert_string_equal(
        told(s, &at),
        "deploymentUpdate prepare/queued; buildStatusUpdate queued; "
        "deploymentUpdate deploy/cloning; buildStatusUpdate running; "
        "deploymentUpdate deploy/building; "
        "deploymentUpdate deploy/starting; buildStatusUpdate passed; "
        "deploymentUpdate finalize/switching; deploymentUpdate completed/done; app.status running");
    sched_end(s);
}

static void test_failed(void **state)
{
    sched_t *s = sched_case(*state);
    int at = 0;

    sched_at_work(s, s->w, s->a);
    look(s);
    (void)told(s, &at);
    assert_int_equal(sched_result(s, s->w->id, db_id(s->t, 'j', 1), 1, "failed"), APR_SUCCESS);
    look(s);
    assert_non_null(strstr(told(s, &at), "buildStatusUpdate failed"));
    sched_end(s);
}

/* Whoever writes: by hand here. What is rolled back was not written. */
static void test_writes(void **state)
{
    static const struct {
        const char *sql, *events;
    } table[] = {
        {"UPDATE apps SET observed = 'crashloop', reason = 'exits' WHERE slug = 'app1'",
         "app.status crashloop"},
        {"UPDATE apps SET observed = 'crashloop' WHERE slug = 'app1'", ""},
        {"UPDATE apps SET name = 'x', version = version + 1", ""},
        {"UPDATE apps SET desired = 'stopped'", "app.status crashloop"},
        {"INSERT INTO syncs (app_id, asked_at) SELECT id, 5 FROM apps", ""},
        {"UPDATE syncs SET version = 1, status = 'syncing', trigger_kind = 'poll'", ""},
        {"UPDATE syncs SET version = 2, status = 'success', commit_sha = 'a'",
         "sync.status success"},
        {"UPDATE syncs SET version = 4, status = 'success'", ""},
        {"UPDATE syncs SET version = 6, status = 'failed', failures = 1", "sync.status failed"},
        {"UPDATE syncs SET version = 8, status = 'failed', failures = 2", ""},
        {"UPDATE syncs SET version = 9, status = 'syncing', trigger_kind = 'manual'",
         "sync.status syncing"},
        {"INSERT INTO alerts (id, app_id, rule_id, kind, severity, source_type, source_id, title,"
         " fired_at) SELECT 'a1', id, '00000000000000000000000001', 'offline', 'critical', 'app',"
         " id, 'App \"offline\" <b>', 5 FROM apps",
         "alert.opened active"},
        {"UPDATE alerts SET status = 'acknowledged', acknowledged_at = 6",
         "alert.acknowledged acknowledged"},
        {"UPDATE alerts SET status = 'resolved', resolved_at = 7", "alert.resolved resolved"},
        {"INSERT INTO domains (id, app_id, host, challenge, created_at, updated_at)"
         " SELECT 'm1', id, 'a.example', 'c', 1, 1 FROM apps",
         "domain.status pending"},
        {"UPDATE domains SET attempts = 3, next_at = 4", ""},
        {"UPDATE domains SET status = 'active'", "domain.status active"},
        {"UPDATE workers SET last_heartbeat_at = 99", ""},
        {"UPDATE workers SET status = 'offline'", "worker.offline offline"},
        {"UPDATE workers SET status = 'online'", "worker.online online"},
        {"UPDATE workers SET admin_state = 'draining'", "worker.draining online"},
        {"UPDATE workers SET admin_state = 'active'", "worker.active online"},
        {"UPDATE workers SET revoked_at = 5", "worker.revoked online"},
        {"UPDATE workers SET admin_state = 'removed', status = 'offline', name = 'gone'",
         "worker.removed offline"},
        {"UPDATE apps SET deleted_at = 5, desired = 'stopped'", "app.deleted crashloop"},
        {"UPDATE apps SET observed = 'stopped', reason = 'deleted'", ""},
    };
    sched_t *s = sched_case(*state);
    int at = 0;

    look(s);
    (void)told(s, &at);
    db_sql(s->t, apr_psprintf(s->t->p, "UPDATE apps SET slug = 'app1' WHERE id = '%s'", s->a->id));
    for (size_t i = 0; i < WH_ARRAY_LEN(table); i++) {
        const char *got;

        db_sql(s->t, table[i].sql);
        look(s);
        got = told(s, &at);
        if (strcmp(got, table[i].events) != 0) {
            fail_msg("%s: %s", table[i].sql, got);
        }
    }
    assert_ok(wh_dbc_begin(s->t->dbc, s->t->p, &s->t->err), &s->t->err);
    assert_ok(wh_db_app_set_observed(s->t->dbc, s->t->p, s->a->id, WH_OBSERVED_RUNNING, "", 1,
                                     &s->t->err),
              &s->t->err);
    wh_dbc_rollback(s->t->dbc);
    look(s);
    assert_string_equal(told(s, &at), "");
    sched_end(s);
}

/* Hostile text is JSON in one line. */
static void test_text(void **state)
{
    sched_t *s = sched_case(*state);
    apr_array_header_t *lines;
    const wh_logread_line_t *line;
    wh_news_line_t news;
    json_t *doc;

    look(s);
    db_sql(s->t, "UPDATE apps SET reason = 'a\nb<script>\"\\ \x01 é'");
    look(s);
    lines = lines_of(s);
    line = &APR_ARRAY_IDX(lines, lines->nelts - 1, wh_logread_line_t);
    assert_true(wh_news_parse(line->text, strlen(line->text), &news));
    assert_memory_equal(news.app, s->a->id, news.app_n);
    doc = wh_news_json(s->t->p, line->n, line->at, &news);
    assert_string_equal(text_of(doc, "reason"), "a\nb<script>\"\\ \x01 é");
    assert_string_equal(text_of(doc, "app"), s->a->slug);
    assert_null(strchr(wh_json_text_safe(s->t->p, doc, NULL), '\n'));
    assert_null(strchr(wh_json_text_safe(s->t->p, doc, NULL), '<'));
    json_decref(doc);
    sched_end(s);
}

static void many(sched_t *s, int n)
{
    for (int i = 0; i < n; i++) {
        db_sql(s->t, apr_psprintf(s->t->p, "UPDATE apps SET reason = 'r%d'", i));
    }
}

static apr_array_header_t *rows_of(sched_t *s, int limit)
{
    apr_array_header_t *rows;

    assert_ok(wh_db_outbox_list(s->t->dbc, s->t->p, limit, &rows, &s->t->err), &s->t->err);
    return rows;
}

/* Killed between the line and the deletion of its row; and in the middle of a line. */
static void test_kills(void **state)
{
    sched_t *s = sched_case(*state);
    apr_array_header_t *rows;
    const char *path =
        apr_pstrcat(s->t->p, s->settings.logs_dir, "/events/0000000000000001.seg", NULL);
    int at = 0, written = -1;
    struct stat st;

    look(s);
    (void)told(s, &at);
    many(s, 3);
    rows = rows_of(s, 2);
    assert_int_equal(rows->nelts, 2);
    assert_ok(wh_eventlog_append(s->core.events, s->t->p, rows, &written, &s->t->err), &s->t->err);
    assert_int_equal(written, 2);
    restart(s);
    look(s);
    assert_string_equal(told(s, &at), "app.status unknown; app.status unknown; app.status unknown");

    many(s, 2);
    rows = rows_of(s, 9);
    assert_ok(wh_eventlog_append(s->core.events, s->t->p, rows, NULL, &s->t->err), &s->t->err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 5), 0);
    restart(s);
    look(s);
    assert_string_equal(told(s, &at), "app.status unknown; app.status unknown");

    /* The database was gone between the two: the same process meets them again. */
    many(s, 2);
    rows = rows_of(s, 9);
    assert_ok(wh_eventlog_append(s->core.events, s->t->p, rows, NULL, &s->t->err), &s->t->err);
    many(s, 1);
    look(s);
    assert_string_equal(told(s, &at), "app.status unknown; app.status unknown; app.status unknown");
    /* A database that was restored counts from where it was: other events under known numbers. */
    db_sql(s->t, "INSERT INTO event_outbox (id, at, topic, app_id, object_id, status, was, data)"
                 " SELECT 3, 77, 'app', id, id, 'running', 'stopped', '{}' FROM apps");
    look(s);
    assert_string_equal(told(s, &at), "app.status running");
    sched_end(s);
}

/* More than one look takes; segments are packed, the oldest go, numbers go on. */
static void test_bounds(void **state)
{
    sched_t *s = sched_case(*state);
    apr_array_header_t *lines;
    char *long_text = apr_palloc(s->t->p, 901);
    apr_int64_t last;

    memset(long_text, 'x', 900);
    long_text[900] = '\0';
    for (int i = 0; i < 5; i++) {
        db_sql(s->t, apr_psprintf(s->t->p,
                                  "INSERT INTO alert_rules (id, kind, created_at, updated_at)"
                                  " VALUES ('r%d', 'cpu', 0, 0)",
                                  i));
    }
    for (int i = 0; i < 10; i++) { /* 5120 of about 1 KiB */
        db_sql(s->t,
               apr_pstrcat(s->t->p,
                           "INSERT INTO event_outbox (topic, app_id, object_id, status, was, data)"
                           " SELECT 'domain', a.id, 'm', 'active', 'pending', '{\"reason\":\"",
                           long_text,
                           "\"}' FROM apps a, alert_rules x, alert_rules y, alert_rules z", NULL));
    }
    for (int i = 0; i < 3; i++) {
        assert_ok(wh_events_look(&s->core, s->t->p, &s->t->err), &s->t->err);
        assert_int_equal(s->core.events_due, i == 0);
    }
    lines = lines_of(s);
    assert_int_equal(lines->nelts, 5123);
    assert_int_equal(APR_ARRAY_IDX(lines, 5122, wh_logread_line_t).n, 5123);

    restart(s);
    s->settings.event_log_age_s = 3600;
    restart(s);
    wh_clock_fake_advance(&s->clock, apr_time_from_sec(40000 * 86400LL));
    look(s);
    lines = lines_of(s);
    assert_int_equal(lines->nelts, 0);
    many(s, 1);
    look(s);
    lines = lines_of(s);
    assert_int_equal(lines->nelts, 1);
    last = APR_ARRAY_IDX(lines, 0, wh_logread_line_t).n;
    assert_int_equal(last, 5124);
    sched_end(s);
}

/* What cannot be written stays in the database. */
static void test_unwritable(void **state)
{
    sched_t *s = sched_case(*state);
    const char *dir = apr_pstrcat(s->t->p, s->settings.logs_dir, "/events", NULL);
    int at = 0;

    assert_int_equal(symlink("/nonexistent/x", dir), 0);
    assert_ok(wh_events_look(&s->core, s->t->p, &s->t->err), &s->t->err);
    assert_string_equal(db_value(s->t, "SELECT COUNT(*) FROM event_outbox"), "3");
    assert_int_equal(unlink(dir), 0);
    look(s);
    assert_non_null(strstr(told(s, &at), "app.created"));
    sched_end(s);
}

static void test_types(void **state)
{
    (void)state;
    assert_int_equal(wh_news_types("deploymentUpdate"), 1U << WH_NEWS_DEPLOYMENT);
    assert_int_equal(wh_news_types("alert.*,worker.online"),
                     1U << WH_NEWS_ALERT_OPENED | 1U << WH_NEWS_ALERT_ACKNOWLEDGED |
                         1U << WH_NEWS_ALERT_RESOLVED | 1U << WH_NEWS_WORKER_ONLINE);
    assert_int_equal(wh_news_types(""), 0);
    assert_int_equal(wh_news_types("alert.*,"), 0);
    assert_int_equal(wh_news_types("*"), 0);
    assert_int_equal(wh_news_types("aler*"), 0);
    assert_int_equal(wh_news_types("nonsense"), 0);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F283 F284 the events of a deployment, one a write", test_life),
        DB_CASE("F283 a build that fails", test_failed),
        DB_CASE("F243 F244 one event a write, whoever writes", test_writes),
        DB_CASE("any text is JSON in one line", test_text),
        DB_CASE("F244 killed between line and row nothing is told twice", test_kills),
        DB_CASE("the log is bounded, its numbers go on", test_bounds),
        DB_CASE("what cannot be written stays in the database", test_unwritable),
        DB_CASE("types by name and group", test_types, .only = 's'),
    };

    return DB_RUN(cases);
}
