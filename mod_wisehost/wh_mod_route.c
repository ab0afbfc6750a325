/*
 * The route table, read.
 *
 * One LMDB environment a process, opened after fork as the children's user. A look-up takes an idle
 * read transaction from a free list, renews it, copies the record out and resets it: it is pinned
 * for about a microsecond and never over I/O. The free list (and no thread-local variable) because
 * mod_http2 starts and ends threads of its own.
 *
 * The scheduler never repairs a table in place: it writes a new directory and swaps the symlink
 * `routes`. Once a second one request compares the link's target and opens the new table; the old
 * one is closed when its last reader is done.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <lmdb.h>

#include "libwh/wh_memo.h"
#include "mod_wisehost/wh_mod_data.h"

/* Both sides set the same, or a reader meets MDB_MAP_RESIZED or MDB_READERS_FULL. */
#define WH_ROUTE_MAP_BYTES ((size_t)1 << 30)
#define WH_ROUTE_READERS 4096
#define WH_ROUTE_IDLE_MAX 256
#define WH_ROUTE_LINK_MAX 512

typedef struct wh_table_t {
    MDB_env *env;
    MDB_dbi dbi;
    int users;       /* look-ups under way */
    int retired;     /* replaced: closed by the last user */
    int removed;     /* its file has no name any more: logged once */
    apr_off_t bytes; /* of the file, as far as it was seen to grow */
    int n_idle;
    MDB_txn *idle[WH_ROUTE_IDLE_MAX]; /* reset, ready for renew */
    char target[WH_ROUTE_LINK_MAX];   /* where the link pointed when this was opened */
    apr_uint64_t serial;              /* of this child's tables */
} wh_table_t;

typedef struct wh_route_child_t {
    apr_thread_mutex_t *lock;
    server_rec *server;
    const char *link; /* <state_dir>/routes */
    wh_table_t *table;     /* written under the lock, atomic */
    apr_time_t next_check; /* the same */
    int warned;            /* the absence of the table was logged once */
    wh_memo_t *memo;       /* decoded records, each of one transaction; NULL = none are kept */
    apr_uint64_t serial;
} wh_route_child_t;

static wh_route_child_t child;

static void table_close(wh_table_t *t)
{
    while (t->n_idle > 0) {
        mdb_txn_abort(t->idle[--t->n_idle]);
    }
    mdb_env_close(t->env);
    free(t);
}

/* Where the link points; a plain directory stands for itself. */
static int link_target(const char *link, char *out, size_t size)
{
    ssize_t n = readlink(link, out, size - 1);

    if (n < 0 && errno == EINVAL) {
        apr_cpystrn(out, link, size);
        return 0;
    }
    if (n < 0 || (size_t)n >= size - 1) {
        return -1;
    }
    out[n] = '\0';
    return 0;
}

static int table_begin(wh_table_t *t)
{
    MDB_txn *txn = NULL;
    int dead = 0;
    int rc;

    (void)mdb_reader_check(t->env, &dead);
    rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(txn, NULL, 0, &t->dbi);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    mdb_txn_reset(txn);
    t->idle[t->n_idle++] = txn;
    return 0;
}

/* The directory in force: a relative target lies beside the link. */
static int table_path(const char *link, const char *target, char *out, size_t size)
{
    const char *slash = strrchr(link, '/');
    int beside = *target == '/' || slash == NULL ? 0 : (int)(slash - link) + 1;
    int n = apr_snprintf(out, size, "%.*s%s", beside, link, target);

    return n < 0 || (size_t)n >= size - 1 ? -1 : 0;
}

/* LMDB opens a file that was cut short, and reading a missing page is a SIGBUS: looked at first. */
static int whole(wh_table_t *t)
{
    MDB_env *env = t->env;
    MDB_envinfo info;
    MDB_stat st;
    struct stat file;
    int fd = -1;
    int rc = mdb_env_get_fd(env, &fd);

    rc = rc != 0 ? rc : mdb_env_info(env, &info);
    rc = rc != 0 ? rc : mdb_env_stat(env, &st);
    if (rc == 0 && fstat(fd, &file) != 0) {
        rc = errno;
    }
    if (rc == 0 && (apr_uint64_t)file.st_size / st.ms_psize <= info.me_last_pgno) {
        rc = MDB_CORRUPTED;
    }
    t->bytes = rc == 0 ? file.st_size : 0;
    return rc;
}

static int table_open(const char *link, wh_table_t **out)
{
    wh_table_t *t = calloc(1, sizeof(*t));
    char path[2 * WH_ROUTE_LINK_MAX];
    int rc;

    if (t == NULL) {
        return ENOMEM;
    }
    if (link_target(link, t->target, sizeof(t->target)) != 0) {
        rc = errno;
        free(t);
        return rc != 0 ? rc : EINVAL;
    }
    rc = mdb_env_create(&t->env);
    if (rc != 0) {
        free(t);
        return rc;
    }
    /* By the directory and not by the link, so that what is opened is what was compared. */
    if (table_path(link, t->target, path, sizeof(path)) != 0) {
        table_close(t);
        return ENAMETOOLONG;
    }
    rc = mdb_env_set_mapsize(t->env, WH_ROUTE_MAP_BYTES);
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(t->env, WH_ROUTE_READERS);
    }
    if (rc == 0) {
        rc = mdb_env_open(t->env, path, MDB_NOTLS | MDB_RDONLY | MDB_NORDAHEAD, 0660);
    }
    if (rc == 0) {
        rc = whole(t);
    }
    if (rc == 0) {
        rc = table_begin(t);
    }
    if (rc != 0) {
        table_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

/* The child's table is another one by now: who looks at this one's version is waited for. */
static void retire(wh_route_child_t *c, wh_table_t *t)
{
    if (c->memo != NULL) {
        wh_memo_sync(c->memo);
    }
    t->retired = 1;
    if (t->users == 0) {
        table_close(t);
    }
}

/* LMDB's file never shrinks: one that did was cut short, and reading what is missing kills this
 * child. Looked at once a second, so a cut may cost each child one request, and no more. */
static int still_whole(wh_route_child_t *c, wh_table_t *t)
{
    struct stat st;
    int fd = -1;

    if (mdb_env_get_fd(t->env, &fd) != 0 || fstat(fd, &st) != 0) {
        return 1;
    }
    if (st.st_size < t->bytes) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, c->server,
                     "WH0126: route table %s was cut short: not read any more", t->target);
        return 0;
    }
    if (st.st_nlink == 0 && !t->removed) {
        t->removed = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, c->server,
                     "WH0127: the file of route table %s was removed: served as it was until "
                     "wh-scheduler has written another (at its start, or within the hour)",
                     t->target);
    }
    t->bytes = st.st_size;
    return 1;
}

/* Holding the lock: opens the table when there is none, or another when the link moved. */
static void refresh(wh_route_child_t *c, apr_time_t now)
{
    char target[WH_ROUTE_LINK_MAX];
    wh_table_t *fresh = NULL;
    wh_table_t *old = c->table;
    int rc;

    __atomic_store_n(&c->next_check, now + apr_time_from_sec(1), __ATOMIC_RELAXED);
    if (old != NULL && !still_whole(c, old)) {
        __atomic_store_n(&c->table, NULL, __ATOMIC_SEQ_CST);
        retire(c, old);
        old = NULL;
    }
    if (old != NULL &&
        (link_target(c->link, target, sizeof(target)) != 0 || strcmp(target, old->target) == 0)) {
        return;
    }
    rc = table_open(c->link, &fresh);
    if (rc != 0) {
        if (!c->warned) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, c->server,
                         "WH0120: no route table at %s: %s: names under the base domain get 503 "
                         "until wh-scheduler has written one",
                         c->link, mdb_strerror(rc));
        }
        c->warned = 1;
        return;
    }
    if (old != NULL || c->warned) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, c->server, "WH0121: route table %s opened",
                     fresh->target);
    }
    c->warned = 0;
    fresh->serial = ++c->serial;
    __atomic_store_n(&c->table, fresh, __ATOMIC_SEQ_CST);
    if (old != NULL) {
        retire(c, old);
    }
}

/* Once a second, and when the clock was set back. */
static int due(apr_time_t next, apr_time_t now)
{
    return now >= next || now + apr_time_from_sec(2) < next;
}

/* A table and a transaction to read it with; *txn is NULL when none is idle. */
static wh_table_t *checkout(wh_route_child_t *c, apr_time_t now, MDB_txn **txn)
{
    wh_table_t *t;

    *txn = NULL;
    apr_thread_mutex_lock(c->lock);
    if (due(c->next_check, now)) {
        refresh(c, now);
    }
    t = c->table;
    if (t != NULL) {
        t->users++;
        if (t->n_idle > 0) {
            *txn = t->idle[--t->n_idle];
        }
    }
    apr_thread_mutex_unlock(c->lock);
    return t;
}

static void checkin(wh_route_child_t *c, wh_table_t *t, MDB_txn *txn)
{
    MDB_txn *surplus = NULL;

    apr_thread_mutex_lock(c->lock);
    if (txn != NULL) {
        if (t->n_idle < WH_ROUTE_IDLE_MAX) {
            t->idle[t->n_idle++] = txn;
        } else {
            surplus = txn;
        }
    }
    t->users--;
    if (t->retired && t->users == 0) {
        if (surplus != NULL) {
            mdb_txn_abort(surplus);
            surplus = NULL;
        }
        table_close(t);
    } else if (surplus != NULL) {
        mdb_txn_abort(surplus);
    }
    apr_thread_mutex_unlock(c->lock);
}

/* Makes *txn readable. A full reader table is cleaned of dead processes once. */
static int txn_ready(wh_table_t *t, MDB_txn **txn)
{
    int dead = 0;
    int rc;

    if (*txn != NULL) {
        rc = mdb_txn_renew(*txn);
        if (rc == 0) {
            return 0;
        }
        mdb_txn_abort(*txn);
        *txn = NULL;
    }
    rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, txn);
    if (rc == MDB_READERS_FULL) {
        (void)mdb_reader_check(t->env, &dead);
        rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, txn);
    }
    if (rc != 0) {
        *txn = NULL;
    }
    return rc;
}

static wh_mod_route_rc_e read_record(request_rec *r, apr_pool_t *p, wh_table_t *t, MDB_txn *txn,
                                     const char *name, const wh_route_t **out)
{
    /* Read only: LMDB's type has no const. */
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
    MDB_val val;
    wh_err_t err = WH_ERR_INIT;
    wh_route_t *route;
    int rc;

    rc = mdb_get(txn, t->dbi, &key, &val);
    if (rc == MDB_NOTFOUND) {
        return WH_MOD_ROUTE_NONE;
    }
    if (rc != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0122: route table: %s", mdb_strerror(rc));
        return WH_MOD_ROUTE_ERROR;
    }
    route = apr_palloc(p, sizeof(*route));
    if (wh_route_decode(p, name, val.mv_data, val.mv_size, route, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0123: route of %s: %s", name, err.text);
        return WH_MOD_ROUTE_ERROR;
    }
    *out = route;
    return WH_MOD_ROUTE_FOUND;
}

/* ---- decoded records ---- */

/* Under a lock of the memo, so that the table cannot go meanwhile: retire() waits. */
static int version(void *baton, wh_memo_version_t *out)
{
    const wh_route_child_t *c = baton;
    const wh_table_t *t = __atomic_load_n(&c->table, __ATOMIC_SEQ_CST);
    MDB_envinfo info;

    if (t == NULL || mdb_env_info(t->env, &info) != 0) {
        return 0;
    }
    out->of[0] = t->serial;
    out->of[1] = info.me_last_txnid;
    return 1;
}

const wh_route_t *wh_mod_route_known(request_rec *r, const char *name)
{
    const void *from = NULL;
    wh_route_t *route;

    if (child.memo == NULL || APLOGrtrace4(r) ||
        due(__atomic_load_n(&child.next_check, __ATOMIC_RELAXED), r->request_time)) {
        return NULL;
    }
    route = wh_memo_find(child.memo, r->pool, name, strlen(name), version, &child, &from);
    if (route != NULL) {
        wh_route_moved(route, from);
    }
    return route;
}

static void keep(request_rec *r, const wh_table_t *t, MDB_txn *txn, const char *name,
                 const wh_route_t *route)
{
    wh_memo_version_t of = {{t->serial, mdb_txn_id(txn)}};
    const wh_route_t *flat;
    size_t n = 0;

    if (child.memo == NULL || !wh_memo_wants(child.memo, name, strlen(name))) {
        return;
    }
    flat = wh_route_flat(r->pool, route, &n);
    wh_memo_keep(child.memo, name, strlen(name), &of, flat, n);
}

static wh_mod_route_rc_e find(request_rec *r, const char *name, const wh_route_t **out)
{
    return wh_mod_route_find_in(r, r->pool, r->request_time, name, out);
}

wh_mod_route_rc_e wh_mod_route_find_in(request_rec *r, apr_pool_t *p, apr_time_t now,
                                       const char *name, const wh_route_t **out)
{
    wh_mod_route_rc_e found = WH_MOD_ROUTE_ERROR;
    MDB_txn *txn;
    wh_table_t *t;
    int rc;

    *out = NULL;
    if (child.lock == NULL) {
        return WH_MOD_ROUTE_ERROR;
    }
    t = checkout(&child, now, &txn);
    if (t == NULL) {
        return WH_MOD_ROUTE_ERROR;
    }
    rc = txn_ready(t, &txn);
    if (rc != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0124: route table: %s", mdb_strerror(rc));
    } else {
        found = read_record(r, p, t, txn, name, out);
        if (found == WH_MOD_ROUTE_FOUND) {
            keep(r, t, txn, name, *out);
        }
        mdb_txn_reset(txn);
    }
    checkin(&child, t, txn);
    return found;
}

/* At LogLevel wisehost:trace4 with the time that it took, which is what bench/run routes reads. */
wh_mod_route_rc_e wh_mod_route_find(request_rec *r, const char *name, const wh_route_t **out)
{
    struct timespec began;
    struct timespec ended;
    wh_mod_route_rc_e found;

    if (!APLOGrtrace4(r)) {
        return find(r, name, out);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    found = find(r, name, out);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    ap_log_rerror(APLOG_MARK, APLOG_TRACE4, 0, r, "route of %s: looked up in %ld ns", name,
                  (long)(ended.tv_sec - began.tv_sec) * 1000000000L + ended.tv_nsec -
                      began.tv_nsec);
    return found;
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void table_info(apr_pool_t *p, const char *link, const wh_table_t *t, MDB_txn *txn,
                       wh_mod_table_t *out)
{
    char path[2 * WH_ROUTE_LINK_MAX];
    MDB_val key = {.mv_size = WH_ROUTE_TABLE_KEY_LEN};
    MDB_val val;
    wh_route_table_t table = {0};
    struct stat st;
    int fd = -1;

    key.mv_data = apr_pstrmemdup(p, WH_ROUTE_TABLE_KEY, WH_ROUTE_TABLE_KEY_LEN);
    if (mdb_get(txn, t->dbi, &key, &val) == 0) {
        (void)wh_route_table_decode(val.mv_data, val.mv_size, &table);
    }
    out->names = table.count;
    out->generation = table.generation;
    if (table_path(link, t->target, path, sizeof(path)) == 0) {
        out->path = apr_pstrdup(p, path);
    }
    if (mdb_env_get_fd(t->env, &fd) == 0 && fstat(fd, &st) == 0) {
        out->written = apr_time_from_sec(st.st_mtime);
    }
}

void wh_mod_route_info(request_rec *r, wh_mod_table_t *out)
{
    MDB_txn *txn;
    wh_table_t *t;

    memset(out, 0, sizeof(*out));
    t = child.lock != NULL ? checkout(&child, r->request_time, &txn) : NULL;
    if (t == NULL) {
        return;
    }
    if (txn_ready(t, &txn) == 0) {
        table_info(r->pool, child.link, t, txn, out);
        mdb_txn_reset(txn);
    }
    checkin(&child, t, txn);
}

static int walk(apr_pool_t *p, const wh_table_t *t, MDB_txn *txn, wh_mod_route_fn *fn, void *baton)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val val;
    apr_pool_t *each = NULL;
    int rc = mdb_cursor_open(txn, t->dbi, &cursor);

    if (rc != 0) {
        return rc;
    }
    apr_pool_create(&each, p);
    while ((rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0) {
        const char *name = apr_pstrmemdup(each, key.mv_data, key.mv_size);
        wh_route_t route = {0};
        wh_err_t err = WH_ERR_INIT;

        if (*name != '\0') {
            fn(baton, name,
               wh_route_decode(each, name, val.mv_data, val.mv_size, &route, &err) == APR_SUCCESS
                   ? &route
                   : NULL);
        }
        apr_pool_clear(each);
    }
    mdb_cursor_close(cursor);
    apr_pool_destroy(each);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

const char *wh_mod_route_walk(apr_pool_t *p, const server_rec *s, wh_mod_route_fn *fn, void *baton,
                              wh_mod_table_t *out)
{
    const char *link = apr_pstrcat(p, wh_mod_conf_state_dir(s), "/routes", NULL);
    wh_table_t *t = NULL;
    MDB_txn *txn = NULL;
    int rc;

    memset(out, 0, sizeof(*out));
    /* LMDB would make the lock file, as root's: the scheduler could not use it. */
    if (access(apr_pstrcat(p, link, "/lock.mdb", NULL), R_OK | W_OK) != 0) {
        return apr_psprintf(p, "%s: %s", link, strerror(errno));
    }
    rc = table_open(link, &t);
    if (rc != 0) {
        return apr_psprintf(p, "%s: %s", link, mdb_strerror(rc));
    }
    rc = txn_ready(t, &txn);
    if (rc == 0) {
        table_info(p, link, t, txn, out);
        rc = walk(p, t, txn, fn, baton);
        mdb_txn_abort(txn);
    }
    table_close(t);
    return rc != 0 ? apr_psprintf(p, "%s: %s", link, mdb_strerror(rc)) : NULL;
}

/* The threads of this child are gone when pchild is cleaned. */
static apr_status_t child_exit(void *data)
{
    wh_route_child_t *c = data;

    if (c->table != NULL && c->table->users == 0) {
        table_close(c->table);
    }
    c->table = NULL;
    c->lock = NULL;
    c->memo = NULL;
    return APR_SUCCESS;
}

void wh_mod_route_child_init(apr_pool_t *pchild, server_rec *s)
{
    const server_rec *any;

    memset(&child, 0, sizeof(child));
    if (apr_thread_mutex_create(&child.lock, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS) {
        child.lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "WH0125: no mutex for the route table");
        return;
    }
    child.memo = wh_memo_make(pchild);
    child.server = s;
    child.link = apr_pstrcat(pchild, wh_mod_conf_state_dir(s), "/routes", NULL);
    /* Without an engine (the module is loaded, nothing more) the table is opened on first use. */
    for (any = s; any != NULL && !wh_mod_conf_engine(any); any = any->next) {
    }
    if (any != NULL) {
        refresh(&child, apr_time_now());
    }
    apr_pool_cleanup_register(pchild, &child, child_exit, apr_pool_cleanup_null);
}
