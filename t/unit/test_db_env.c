#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_env.h"
#include "whdb/wh_db_gc.h"
#include "whdb/wh_db_source.h"

static void put(db_t *t, const wh_app_t *app, const char *scope, const char *name, int secret,
                const char *sealed)
{
    wh_env_var_t v = {.app_id = app->id,
                      .scope = scope,
                      .name = name,
                      .secret = secret,
                      .key_id = 1,
                      .sealed = sealed,
                      .bytes = 7,
                      .created_at = DB_T(1),
                      .updated_at = DB_T(2)};

    assert_ok(wh_db_env_put(t->dbc, t->p, &v, &t->err), &t->err);
}

static const char *text_of(db_t *t, const apr_array_header_t *vars)
{
    const char *text = "";

    for (int i = 0; i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        text = apr_pstrcat(t->p, text, i ? " " : "", v->scope, *v->scope ? "/" : "", v->name, "=",
                           v->sealed, v->secret ? "!" : "", NULL);
    }
    return text;
}

static const char *of(db_t *t, const char *deployment)
{
    apr_array_header_t *vars;

    assert_ok(wh_db_env_of(t->dbc, t->p, deployment, &vars, &t->err), &t->err);
    return text_of(t, vars);
}

static const char *make(db_t *t, const wh_app_t *app, int n, const wh_db_deployment_new_t *like)
{
    wh_db_deployment_new_t d = *like;
    apr_int64_t number;

    d.id = db_id(t, 'd', n);
    d.job_id = db_id(t, 'j', n);
    d.app_id = app->id;
    d.commit_sha = d.commit_ref = d.commit_message = d.commit_author = "";
    d.trigger = WH_TRIGGER_API;
    d.snapshot = wh_model_snapshot_text(t->p, app);
    d.now = DB_T(n);
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_deployment_create(t->dbc, t->p, &d, &number, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    return d.id;
}

static void test_vars(void **state)
{
    db_t *t = *state;
    wh_app_t *app = db_app(t, 1, WH_KIND_CONTAINER), *other = db_app(t, 2, WH_KIND_CONTAINER);
    apr_array_header_t *vars;

    put(t, app, "", "B", 1, "one");
    put(t, app, "", "A", 0, "two");
    put(t, app, "production", "A", 1, "three");
    put(t, app, "", "B", 0, "four");
    put(t, other, "", "A", 1, "five");
    assert_ok(wh_db_env_list(t->dbc, t->p, app->id, &vars, &t->err), &t->err);
    assert_string_equal(text_of(t, vars), "A=two B=four production/A=three!");
    assert_int_equal(APR_ARRAY_IDX(vars, 0, wh_env_var_t).bytes, 7);
    assert_true(APR_ARRAY_IDX(vars, 0, wh_env_var_t).updated_at == DB_T(2));
    assert_ok(wh_db_env_delete(t->dbc, t->p, app->id, "", "A", &t->err), &t->err);
    assert_int_equal(wh_db_env_delete(t->dbc, t->p, app->id, "", "A", &t->err), APR_NOTFOUND);
    assert_ok(wh_db_env_list(t->dbc, t->p, app->id, &vars, &t->err), &t->err);
    assert_string_equal(text_of(t, vars), "B=four production/A=three!");
}

static void test_taken(void **state)
{
    db_t *t = *state;
    wh_app_t *app = db_app(t, 1, WH_KIND_CONTAINER), *other = db_app(t, 2, WH_KIND_CONTAINER);
    const wh_db_deployment_new_t production = {.environment = "production"},
                                 staging = {.environment = "staging"},
                                 preview = {.environment = "preview-x-1234567"},
                                 fork = {.environment = "preview-x-1234567", .env_public = 1};
    wh_db_deployment_new_t copy = {.environment = "staging"};
    const char *first, *id;

    put(t, other, "", "A", 1, "others");
    put(t, app, "", "A", 0, "app");
    put(t, app, "", "B", 1, "b");
    put(t, app, "", "C", 0, "c");
    put(t, app, "production", "A", 1, "prod");
    put(t, app, "preview", "A", 0, "pre");
    put(t, app, "preview", "C", 1, "cpre");
    put(t, app, "preview-x-1234567", "D", 0, "d");
    first = make(t, app, 1, &production);
    assert_string_equal(of(t, first), "production/A=prod! B=b! C=c");
    assert_string_equal(of(t, make(t, app, 2, &staging)), "A=app B=b! C=c");
    assert_string_equal(of(t, make(t, app, 3, &preview)),
                        "preview/A=pre B=b! preview/C=cpre! preview-x-1234567/D=d");
    /* No secret, and nothing that a secret hides. */
    assert_string_equal(of(t, make(t, app, 4, &fork)), "preview/A=pre preview-x-1234567/D=d");
    put(t, app, "production", "A", 1, "changed");
    assert_string_equal(of(t, first), "production/A=prod! B=b! C=c");
    copy.env_of = first;
    id = make(t, app, 5, &copy);
    assert_string_equal(of(t, id), "production/A=prod! B=b! C=c");
    assert_ok(wh_db_env_forget(t->dbc, t->p, id, &t->err), &t->err);
    assert_string_equal(of(t, id), "");
    assert_ok(wh_db_env_delete_by_app(t->dbc, t->p, app->id, &t->err), &t->err);
    assert_string_equal(of(t, first), "");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM env_vars"), "1");
}

static int stale(db_t *t, apr_int64_t key, int limit, apr_array_header_t **list)
{
    assert_ok(wh_db_env_stale(t->dbc, t->p, key, limit, list, &t->err), &t->err);
    return (*list)->nelts;
}

static void test_keys(void **state)
{
    db_t *t = *state;
    wh_app_t *app = db_app(t, 1, WH_KIND_CONTAINER);
    const wh_db_deployment_new_t production = {.environment = "production"};
    apr_array_header_t *list;
    apr_int64_t key = 0;
    int rounds = 0;

    assert_ok(wh_db_env_key(t->dbc, t->p, &key, &t->err), &t->err);
    assert_int_equal(key, 1);
    assert_ok(wh_db_env_key_next(t->dbc, t->p, 2, &t->err), &t->err);
    assert_int_equal(wh_db_env_key_next(t->dbc, t->p, 2, &t->err), APR_NOTFOUND);
    put(t, app, "", "A", 1, "a");
    put(t, app, "", "B", 1, "b");
    put(t, app, "", "C", 1, "c");
    (void)make(t, app, 1, &production);
    assert_int_equal(stale(t, 1, 10, &list), 0);
    assert_int_equal(stale(t, 2, 10, &list), 6);
    while (stale(t, 2, 2, &list) > 0 && ++rounds < 10) {
        for (int i = 0; i < list->nelts; i++) {
            const wh_db_env_stale_t *s = &APR_ARRAY_IDX(list, i, wh_db_env_stale_t);
            wh_env_var_t fresh = {.key_id = 2,
                                  .sealed = apr_pstrcat(t->p, s->var.sealed, "2", NULL)};

            assert_string_equal(s->var.app_id, app->id);
            assert_ok(wh_db_env_reseal(t->dbc, t->p, s, &fresh, &t->err), &t->err);
            assert_int_equal(wh_db_env_reseal(t->dbc, t->p, s, &fresh, &t->err), APR_NOTFOUND);
        }
    }
    assert_int_equal(rounds, 3);
    assert_string_equal(of(t, db_id(t, 'd', 1)), "A=a2! B=b2! C=c2!");
    assert_string_equal(db_value(t, "SELECT MIN(key_id) FROM env_vars"), "2");
}

/* ---- what private repositories ask for ---- */

static void source(db_t *t, const wh_app_t *app, const char *kind, const char *sealed, int until)
{
    wh_gitauth_row_t row = {.app_id = app->id,
                            .kind = kind,
                            .site = "h",
                            .shown = "k",
                            .key_id = 1,
                            .sealed = sealed,
                            .until = until ? DB_T(until) : 0,
                            .created_at = DB_T(1)};

    assert_ok(wh_db_source_put(t->dbc, t->p, &row, &t->err), &t->err);
}

static const char *sources(db_t *t, const wh_app_t *app, int now)
{
    apr_array_header_t *rows;
    const char *text = "";

    assert_ok(wh_db_source_list(t->dbc, t->p, app->id, DB_T(now), &rows, &t->err), &t->err);
    for (int i = 0; i < rows->nelts; i++) {
        const wh_gitauth_row_t *r = &APR_ARRAY_IDX(rows, i, wh_gitauth_row_t);

        text = apr_pstrcat(t->p, text, i ? " " : "", r->kind, "=", r->sealed, NULL);
    }
    return text;
}

static void test_sources(void **state)
{
    db_t *t = *state;
    wh_app_t *app = db_app(t, 1, WH_KIND_CONTAINER), *other = db_app(t, 2, WH_KIND_CONTAINER);
    apr_array_header_t *rows;
    const char *hosts;

    source(t, app, WH_GITAUTH_FORMER_KEY, "s0", 5);
    source(t, app, WH_GITAUTH_DEPLOY_KEY, "s1", 0);
    source(t, app, WH_GITAUTH_DEPLOY_KEY, "s2", 0);
    source(t, other, WH_GITAUTH_CREDENTIALS, "s3", 0);
    assert_string_equal(sources(t, app, 4), "deploy_key=s2 former_key=s0");
    assert_string_equal(sources(t, app, 5), "deploy_key=s2");
    assert_ok(wh_db_source_expire(t->dbc, t->p, DB_T(5), &t->err), &t->err);
    assert_string_equal(sources(t, app, 4), "deploy_key=s2");
    assert_ok(wh_db_source_stale(t->dbc, t->p, 2, 10, &rows, &t->err), &t->err);
    assert_int_equal(rows->nelts, 2);
    for (int i = 0; i < rows->nelts; i++) {
        const wh_gitauth_row_t *r = &APR_ARRAY_IDX(rows, i, wh_gitauth_row_t);
        wh_gitauth_row_t fresh = {.key_id = 2, .sealed = apr_pstrcat(t->p, r->sealed, "+", NULL)};

        assert_ok(wh_db_source_reseal(t->dbc, t->p, r, &fresh, &t->err), &t->err);
        assert_int_equal(wh_db_source_reseal(t->dbc, t->p, r, &fresh, &t->err), APR_NOTFOUND);
    }
    assert_string_equal(sources(t, app, 4), "deploy_key=s2+");
    assert_ok(wh_db_source_hosts_put(t->dbc, t->p, app->id, "h k\n", DB_T(1), &t->err), &t->err);
    assert_ok(wh_db_source_hosts_put(t->dbc, t->p, app->id, "i k\n", DB_T(1), &t->err), &t->err);
    assert_ok(wh_db_source_hosts(t->dbc, t->p, app->id, &hosts, &t->err), &t->err);
    assert_string_equal(hosts, "i k\n");
    assert_ok(wh_db_source_delete_by_app(t->dbc, t->p, app->id, &t->err), &t->err);
    assert_string_equal(sources(t, app, 4), "");
    assert_ok(wh_db_source_hosts(t->dbc, t->p, app->id, &hosts, &t->err), &t->err);
    assert_string_equal(hosts, "");
    assert_ok(wh_db_source_delete(t->dbc, t->p, other->id, "credentials", &t->err), &t->err);
    assert_int_equal(wh_db_source_delete(t->dbc, t->p, other->id, "credentials", &t->err),
                     APR_NOTFOUND);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F226 variables of an app, by scope and name", test_vars),
        DB_CASE("F227 a deployment keeps what was in force when it was made", test_taken),
        DB_CASE("what an older key sealed is sealed anew in batches, and goes on where it was",
                test_keys),
        DB_CASE("keys and tokens of repositories, sealed, one of a kind", test_sources),
    };

    return DB_RUN(cases);
}
