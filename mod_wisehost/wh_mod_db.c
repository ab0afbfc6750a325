/*
 * One connection of mod_dbd for one request.
 *
 * mod_dbd hands out the database of the server_rec that it is asked for, and statements prepared
 * for one server are unknown in another: so exactly one server_rec is asked, the one found here.
 */
#include "mod_wisehost/mod_wisehost.h"
#include "mod_wisehost/wh_mod_counters.h"

#include <apu.h>
#include <apr_optional.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <mod_dbd.h>

static APR_OPTIONAL_FN_TYPE(ap_dbd_open) * dbd_open;
static APR_OPTIONAL_FN_TYPE(ap_dbd_close) * dbd_close;
static server_rec *dbd_server; /* set while the configuration is checked, before children */

typedef struct wh_lent_t {
    apr_pool_t *pool; /* lives as long as the connection is lent */
    ap_dbd_t *rec;
    wh_dbc_t *dbc;
} wh_lent_t;

static const char lent_key[] = "wisehost-dbc";

/* Where DBDParams stand: *in_main, and for virtual hosts the one of s by file and line. */
static int has_params(const ap_directive_t *dir)
{
    for (; dir != NULL; dir = dir->next) {
        if (ap_cstr_casecmp(dir->directive, "DBDParams") == 0) {
            return 1;
        }
    }
    return 0;
}

static int server_has_params(const server_rec *s)
{
    const ap_directive_t *dir;

    for (dir = ap_conftree; dir != NULL; dir = dir->next) {
        if (ap_cstr_casecmp(dir->directive, "<VirtualHost") == 0 && s->defn_name != NULL &&
            dir->line_num == (int)s->defn_line_number && strcmp(dir->filename, s->defn_name) == 0) {
            return has_params(dir->first_child);
        }
    }
    return 0;
}

int wh_mod_db_find_server(server_rec *main_server)
{
    server_rec *s;
    server_rec *own = NULL;
    int n_api = 0;
    int n_own = 0;

    dbd_server = NULL;
    for (s = main_server; s != NULL; s = s->next) {
        if (!wh_mod_conf_api(s)) {
            continue;
        }
        n_api++;
        if (s != main_server && server_has_params(s)) {
            own = s;
            n_own++;
        }
    }
    if (n_own > 1 || (n_own == 1 && n_api > 1)) {
        ap_log_error(
            APLOG_MARK, APLOG_EMERG, 0, main_server,
            "WH0110: the virtual hosts with WiseHostAPI share one database: give DBDParams "
            "once, outside of them");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (own == NULL && !has_params(ap_conftree)) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server,
                     "WH0111: WiseHostAPI needs DBDriver and DBDParams of mod_dbd");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    dbd_server = own != NULL ? own : main_server;
    return OK;
}

/*
 * SQLite forgets foreign_keys with every connection, and setting it makes statements that were
 * prepared before expire for good. So it is set right here, and what mod_dbd prepared for others is
 * prepared again.
 */
static apr_status_t post_connect(apr_pool_t *pool, dbd_cfg_t *cfg, ap_dbd_t *rec)
{
    apr_hash_index_t *hi;
    int nrows = 0;
    int ret;

    if (dbd_server == NULL || cfg->server != dbd_server ||
        strcmp(apr_dbd_name(rec->driver), "sqlite3") != 0) {
        return DECLINED;
    }
    ret = apr_dbd_query(rec->driver, rec->handle, &nrows, "PRAGMA foreign_keys=ON");
    if (ret != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, cfg->server, "WH0112: foreign keys not enforced: %s",
                     apr_dbd_error(rec->driver, rec->handle, ret));
        return OK;
    }
    for (hi = apr_hash_first(pool, cfg->queries); hi != NULL; hi = apr_hash_next(hi)) {
        const char *label = apr_hash_this_key(hi);
        const char *query = apr_hash_this_val(hi);
        apr_dbd_prepared_t *stmt = NULL;

        if (strcmp(query, "") != 0 &&
            apr_dbd_prepare(rec->driver, pool, rec->handle, query, label, &stmt) == 0) {
            apr_hash_set(rec->prepared, label, APR_HASH_KEY_STRING, stmt);
        }
    }
    return OK;
}

void wh_mod_db_register(void)
{
    APR_OPTIONAL_HOOK(dbd, post_connect, post_connect, NULL, NULL, APR_HOOK_LAST);
}

void wh_mod_db_retrieve(void)
{
    dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
}

/* Runs after the cleanup of wh_dbc_wrap, which belongs to the same pool but was registered later:
 * the transaction is rolled back before the connection goes back. */
static apr_status_t give_back(void *data)
{
    wh_lent_t *lent = data;

    if (lent->rec != NULL) {
        dbd_close(dbd_server, lent->rec);
        lent->rec = NULL;
    }
    lent->dbc = NULL;
    return APR_SUCCESS;
}

static apr_status_t lend(request_rec *r, wh_lent_t *lent, wh_err_t *err)
{
    apr_pool_create(&lent->pool, r->pool);
    apr_pool_tag(lent->pool, "wisehost_dbc");
    lent->rec = dbd_open(lent->pool, dbd_server);
    if (lent->rec == NULL) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "db_gone",
                          "The database does not answer.");
    }
    apr_pool_cleanup_register(lent->pool, lent, give_back, apr_pool_cleanup_null);
    return wh_dbc_wrap(lent->pool, lent->rec->driver, lent->rec->handle, lent->rec->pool,
                       lent->rec->prepared, &lent->dbc, err);
}

apr_status_t wh_mod_dbc(request_rec *r, wh_dbc_t **out, wh_err_t *err)
{
    void *found = NULL;
    wh_lent_t *lent;
    apr_status_t rv = APR_EGENERAL;
    int attempt;

    *out = NULL;
    apr_pool_userdata_get(&found, lent_key, r->pool);
    lent = found;
    if (lent != NULL && lent->dbc != NULL && !wh_dbc_gone(lent->dbc)) {
        *out = lent->dbc;
        return APR_SUCCESS;
    }
    if (dbd_open == NULL || dbd_server == NULL) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "db_gone", "No database is configured.");
    }
    if (lent == NULL) {
        lent = apr_pcalloc(r->pool, sizeof(*lent));
        apr_pool_userdata_setn(lent, lent_key, NULL, r->pool);
    }
    wh_mod_db_release(r);
    /* A pooled connection may have died since its last use: mod_dbd drops it, so the second attempt
     * gets a fresh one. */
    for (attempt = 0; attempt < 2 && rv != APR_SUCCESS; attempt++) {
        rv = lend(r, lent, err);
        if (rv != APR_SUCCESS) {
            apr_pool_destroy(lent->pool);
            lent->pool = NULL;
        }
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0113: no database connection: %s",
                      err != NULL ? err->text : "");
        wh_mod_count(WH_COUNT_DB_GONE);
        return rv;
    }
    if (err != NULL) {
        wh_err_clear(err);
    }
    wh_mod_count(WH_COUNT_DB_BORROWED);
    *out = lent->dbc;
    return APR_SUCCESS;
}

void wh_mod_db_release(request_rec *r)
{
    void *found = NULL;
    wh_lent_t *lent;

    apr_pool_userdata_get(&found, lent_key, r->pool);
    lent = found;
    if (lent != NULL && lent->pool != NULL) {
        apr_pool_destroy(lent->pool);
        lent->pool = NULL;
        lent->rec = NULL;
        lent->dbc = NULL;
    }
}
