#include "wh-scheduler/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_log.h"
#include "wh-scheduler/publish_dir.h"

struct wh_publish_t {
    apr_pool_t *pool;     /* the opener's */
    apr_pool_t *env_pool; /* of the environment in force */
    const char *link;
    const char *verifier;
    MDB_env *env;
    MDB_dbi dbi;
    apr_uint64_t generation;
    const char *pending; /* a new directory that the link does not name yet: filled first */
};

static MDB_val table_key(void)
{
    static char key[] = WH_ROUTE_TABLE_KEY;

    return (MDB_val){.mv_size = WH_ROUTE_TABLE_KEY_LEN, .mv_data = key};
}

static apr_status_t mdb_err(wh_err_t *err, const char *code, const char *what, int rc)
{
    return wh_err_set(err, 500, code, "route table: %s: %s", what, mdb_strerror(rc));
}

static apr_status_t close_env(void *data)
{
    mdb_env_close(data);
    return APR_SUCCESS;
}

/* Opens an environment; the pages that its meta page speaks of must all be in the file, for a
 * missing one is a SIGBUS later. */
static apr_status_t open_env(apr_pool_t *p, const char *dir, unsigned flags, MDB_env **out,
                             wh_err_t *err)
{
    MDB_env *env;
    MDB_envinfo info;
    MDB_stat st;
    struct stat file;
    int rc, fd;

    rc = mdb_env_create(&env);
    if (rc != 0) {
        return mdb_err(err, "routes_unusable", "create", rc);
    }
    apr_pool_cleanup_register(p, env, close_env, apr_pool_cleanup_null);
    rc = mdb_env_set_mapsize(env, (size_t)WH_PUBLISH_MAP_BYTES);
    rc = rc != 0 ? rc : mdb_env_set_maxreaders(env, WH_PUBLISH_READERS);
    rc = rc != 0 ? rc : mdb_env_open(env, dir, flags, 0660);
    rc = rc != 0 ? rc : mdb_env_get_fd(env, &fd);
    if (rc != 0) {
        return mdb_err(err, "routes_unusable", dir, rc);
    }
    if (fstat(fd, &file) != 0 || mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &st) != 0 ||
        (apr_uint64_t)file.st_size < ((apr_uint64_t)info.me_last_pgno + 1) * st.ms_psize) {
        return wh_err_set(err, 500, "routes_damaged", "route table %s: the file is cut short", dir);
    }
    *out = env;
    return APR_SUCCESS;
}

/* ---- Verifying ---- */

static apr_status_t verify_walk(apr_pool_t *p, MDB_txn *txn, apr_size_t *names, wh_err_t *err)
{
    MDB_cursor *cursor;
    MDB_val key, val;
    MDB_dbi dbi;
    wh_route_table_t table = {0};
    apr_size_t count = 0;
    int rc, have_table = 0;
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;

    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    rc = rc != 0 ? rc : mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return mdb_err(err, "routes_damaged", "open", rc);
    }
    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && (rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0) {
        wh_route_t route;
        const char *host;

        if (key.mv_size == WH_ROUTE_TABLE_KEY_LEN &&
            memcmp(key.mv_data, WH_ROUTE_TABLE_KEY, WH_ROUTE_TABLE_KEY_LEN) == 0) {
            have_table = wh_route_table_decode(val.mv_data, val.mv_size, &table);
            continue;
        }
        apr_pool_clear(scratch);
        host = apr_pstrmemdup(scratch, key.mv_data, key.mv_size);
        rv = wh_route_decode(scratch, host, val.mv_data, val.mv_size, &route, err);
        count++;
    }
    mdb_cursor_close(cursor);
    apr_pool_destroy(scratch);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (rc != MDB_NOTFOUND) {
        return mdb_err(err, "routes_damaged", "walk", rc);
    }
    if (!have_table || table.count != count) {
        return wh_err_set(err, 500, "routes_damaged",
                          "route table: %" APR_SIZE_T_FMT " names where %" APR_UINT64_T_FMT
                          " should be",
                          count, have_table ? table.count : 0);
    }
    if (names != NULL) {
        *names = count;
    }
    return APR_SUCCESS;
}

apr_status_t wh_publish_verify(apr_pool_t *p, const char *dir, apr_size_t *names, wh_err_t *err)
{
    MDB_env *env;
    MDB_txn *txn;
    apr_status_t rv = open_env(p, dir, MDB_RDONLY, &env, err);
    int rc;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return mdb_err(err, "routes_damaged", "begin", rc);
    }
    rv = verify_walk(p, txn, names, err);
    mdb_txn_abort(txn);
    return rv;
}

/* ---- Writing ---- */

static int read_table(MDB_txn *txn, MDB_dbi dbi, wh_route_table_t *table)
{
    MDB_val key = table_key(), val;
    int rc = mdb_get(txn, dbi, &key, &val);

    if (rc == 0 && !wh_route_table_decode(val.mv_data, val.mv_size, table)) {
        return MDB_CORRUPTED;
    }
    return rc;
}

static int write_table(MDB_txn *txn, MDB_dbi dbi, apr_uint64_t generation)
{
    unsigned char bytes[WH_ROUTE_TABLE_BYTES];
    MDB_val key = table_key(), val = {.mv_size = WH_ROUTE_TABLE_BYTES, .mv_data = bytes};
    wh_route_table_t table = {.generation = generation};
    MDB_stat st;
    int rc;

    /* Put first, so that the count of entries holds the record itself for certain. */
    wh_route_table_encode(&table, bytes);
    rc = mdb_put(txn, dbi, &key, &val, 0);
    rc = rc != 0 ? rc : mdb_stat(txn, dbi, &st);
    if (rc != 0) {
        return rc;
    }
    table.count = st.ms_entries - 1;
    wh_route_table_encode(&table, bytes);
    return mdb_put(txn, dbi, &key, &val, 0);
}

static apr_status_t put_items(wh_publish_t *pub, apr_pool_t *ptemp, MDB_txn *txn,
                              const apr_array_header_t *items, wh_err_t *err)
{
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&scratch, ptemp);
    for (int i = 0; rv == APR_SUCCESS && i < items->nelts; i++) {
        const wh_publish_item_t *item = &APR_ARRAY_IDX(items, i, wh_publish_item_t);
        char *host = apr_pstrdup(scratch, item->host);
        MDB_val key = {.mv_size = strlen(host), .mv_data = host}, val;
        int rc;

        if (item->route == NULL) {
            rc = mdb_del(txn, pub->dbi, &key, NULL);
            rc = rc == MDB_NOTFOUND ? 0 : rc;
        } else {
            wh_route_t route = *item->route;

            route.generation = pub->generation + 1;
            rv = wh_route_encode(scratch, host, &route, &val.mv_data, &val.mv_size, err);
            rc = rv == APR_SUCCESS ? mdb_put(txn, pub->dbi, &key, &val, 0) : 0;
        }
        if (rc != 0) {
            rv = mdb_err(err, "routes_failed", host, rc);
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    return rv;
}

static apr_status_t write_all(wh_publish_t *pub, apr_pool_t *ptemp, const apr_array_header_t *items,
                              int drop, wh_err_t *err)
{
    MDB_txn *txn;
    apr_status_t rv;
    int rc = mdb_txn_begin(pub->env, NULL, 0, &txn);

    if (rc != 0) {
        return mdb_err(err, "routes_failed", "begin", rc);
    }
    rc = drop ? mdb_drop(txn, pub->dbi, 0) : 0;
    rv = rc == 0 ? put_items(pub, ptemp, txn, items, err)
                 : mdb_err(err, "routes_failed", "drop", rc);
    if (rv == APR_SUCCESS && (rc = write_table(txn, pub->dbi, pub->generation + 1)) != 0) {
        rv = mdb_err(err, "routes_failed", "table record", rc);
    }
    if (rv != APR_SUCCESS) {
        mdb_txn_abort(txn);
        return rv;
    }
    wh_fault("routes.written");
    rc = mdb_txn_commit(txn);
    if (rc != 0) {
        return mdb_err(err, "routes_failed", "commit", rc);
    }
    wh_fault("routes.committed");
    pub->generation++;
    return APR_SUCCESS;
}

apr_status_t wh_publish_items(wh_publish_t *pub, apr_pool_t *ptemp, const apr_array_header_t *items,
                              wh_err_t *err)
{
    return write_all(pub, ptemp, items, 0, err);
}

void wh_publish_tend(wh_publish_t *pub)
{
    int dead = 0;
    int rc = mdb_reader_check(pub->env, &dead);

    if (rc != 0) {
        wh_log(WH_LOG_WARN, "WH0410", "route table: reader check: %s", mdb_strerror(rc));
    } else if (dead > 0) {
        wh_log(WH_LOG_INFO, NULL, "route table: %d slots of dead readers freed", dead);
    }
}

/* ---- Opening ---- */

static apr_status_t use_dir(wh_publish_t *pub, const char *dir, wh_err_t *err)
{
    apr_pool_t *p;
    MDB_env *env = NULL;
    MDB_txn *txn;
    MDB_dbi dbi = 0;
    wh_route_table_t table = {0};
    apr_status_t rv;
    int rc;

    apr_pool_create(&p, pub->pool);
    rv = open_env(p, dir, 0, &env, err);
    if (rv == APR_SUCCESS) {
        rc = mdb_txn_begin(env, NULL, 0, &txn);
        if (rc == 0) {
            rc = mdb_dbi_open(txn, NULL, 0, &dbi);
            rc = rc != 0 ? rc : read_table(txn, dbi, &table);
            rc = rc == MDB_NOTFOUND ? write_table(txn, dbi, 0) : rc;
            if (rc == 0) {
                rc = mdb_txn_commit(txn);
            } else {
                mdb_txn_abort(txn);
            }
        }
        rv = rc == 0 ? APR_SUCCESS : mdb_err(err, "routes_unusable", dir, rc);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_publish_dir_modes(p, dir, err);
    }
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(p);
        return rv;
    }
    if (pub->env_pool != NULL) {
        apr_pool_destroy(pub->env_pool);
    }
    pub->env_pool = p;
    pub->env = env;
    pub->dbi = dbi;
    pub->pending = NULL;
    /* Never backwards, also when a fresh table takes the place of a damaged one. */
    pub->generation = table.generation > pub->generation ? table.generation : pub->generation;
    return APR_SUCCESS;
}

/* A new directory beside the bad one. The link goes over to it when it has been filled (pending),
 * or at once when there is nothing to fill it with. */
static apr_status_t replace(wh_publish_t *pub, apr_pool_t *ptemp, int at_once, wh_err_t *err)
{
    const char *dir;
    apr_status_t rv = wh_publish_dir_next(ptemp, pub->link, &dir, err);

    rv = rv == APR_SUCCESS ? use_dir(pub, dir, err) : rv;
    if (rv == APR_SUCCESS && at_once) {
        return wh_publish_dir_swap(ptemp, pub->link, dir, err);
    }
    if (rv == APR_SUCCESS) {
        pub->pending = apr_pstrdup(pub->env_pool, dir);
    }
    return rv;
}

apr_status_t wh_publish_all(wh_publish_t *pub, apr_pool_t *ptemp, const apr_array_header_t *items,
                            wh_err_t *err)
{
    apr_status_t rv = write_all(pub, ptemp, items, 1, err);

    if (rv == APR_SUCCESS && pub->pending != NULL) {
        rv = wh_publish_dir_swap(ptemp, pub->link, pub->pending, err);
        pub->pending = rv == APR_SUCCESS ? NULL : pub->pending;
    }
    return rv;
}

apr_status_t wh_publish_check(wh_publish_t *pub, apr_pool_t *ptemp, int *fresh, wh_err_t *err)
{
    *fresh = 0;
    if (pub->verifier == NULL || wh_publish_dir_sound(ptemp, pub->verifier, pub->link)) {
        return APR_SUCCESS;
    }
    wh_log(WH_LOG_ERROR, "WH0411", "the route table is damaged: a new one is made beside it");
    *fresh = 1;
    return replace(pub, ptemp, 0, err);
}

apr_status_t wh_publish_open(apr_pool_t *p, const char *link, const char *verifier,
                             wh_publish_t **out, int *fresh, wh_err_t *err)
{
    wh_publish_t *pub = apr_pcalloc(p, sizeof(*pub));
    apr_pool_t *ptemp;
    apr_status_t rv;
    int sound;

    pub->pool = p;
    pub->link = apr_pstrdup(p, link);
    pub->verifier = verifier;
    apr_pool_create(&ptemp, p);
    rv = wh_publish_make(ptemp, link, err);
    if (rv == APR_SUCCESS) {
        wh_publish_dir_sweep(ptemp, link);
        sound = verifier == NULL || wh_publish_dir_sound(ptemp, verifier, link);
        rv = sound ? use_dir(pub, link, err) : APR_EGENERAL;
        *fresh = rv != APR_SUCCESS;
        if (rv != APR_SUCCESS) {
            wh_log(WH_LOG_ERROR, "WH0412",
                   "the route table is damaged or unusable (%s): a new one is made beside it",
                   sound && err != NULL ? err->text : "it failed its check");
            rv = replace(pub, ptemp, 0, err);
        }
    }
    apr_pool_destroy(ptemp);
    *out = pub;
    return rv;
}

apr_status_t wh_publish_make(apr_pool_t *p, const char *link, wh_err_t *err)
{
    wh_publish_t *pub;
    struct stat st;
    apr_status_t rv;

    if (lstat(link, &st) == 0) {
        return APR_SUCCESS;
    }
    pub = apr_pcalloc(p, sizeof(*pub));
    apr_pool_create(&pub->pool, p);
    pub->link = link;
    rv = replace(pub, p, 1, err);
    apr_pool_destroy(pub->pool);
    return rv;
}
