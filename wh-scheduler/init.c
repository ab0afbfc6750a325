#include "wh-scheduler/init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_io.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_id.h"
#include "whdb/wh_db_audit.h"
#include "whdb/wh_db_env.h"
#include "whdb/wh_db_schema.h"
#include "whdb/wh_db_token.h"
#include "wh-scheduler/publish.h"
#include "wh-scheduler/user.h"

/* Who owns a part of the tree. */
typedef enum owner_e { OWNER_ROOT, OWNER_SCHEDULER, OWNER_SHARED, OWNER_HTTPD } owner_e;

typedef struct tree_t {
    const char *name;
    owner_e owner; /* SHARED: the scheduler's, in httpd's group */
    mode_t mode;
} tree_t;

/* The tree that README.md shows; the state directory itself comes first. httpd fills the store, and
 * the scheduler, in its group, clears up in there. */
static const tree_t tree[] = {
    {"", OWNER_SHARED, 02755},         {"/db", OWNER_SHARED, 02770},
    {"/keys", OWNER_ROOT, 0755},       {"/objects", OWNER_HTTPD, 02775},
    {"/releases", OWNER_HTTPD, 02775}, {"/uploads", OWNER_HTTPD, 02775},
    {"/logs", OWNER_SHARED, 02750},    {"/run", OWNER_SHARED, 02750},
    {"/git", OWNER_HTTPD, 02770},
};

typedef struct owners_t {
    int root; /* we are root and may give things away */
    wh_user_t scheduler, httpd;
} owners_t;

static apr_status_t find_owners(const wh_init_t *init, owners_t *out, wh_err_t *err)
{
    apr_status_t rv;

    out->root = geteuid() == 0;
    out->scheduler = (wh_user_t){.uid = geteuid(), .gid = getegid()};
    out->httpd = out->scheduler;
    if (!out->root) {
        return APR_SUCCESS;
    }
    rv = wh_user_find(init->httpd_user, &out->httpd, err);
    if (rv == APR_SUCCESS && init->user != NULL) {
        rv = wh_user_find(init->user, &out->scheduler, err);
    }
    return rv;
}

/* Owner first, mode after: changing the owner takes the setgid bit away. By descriptor, so that
 * nobody can put a link in between. */
static apr_status_t give(int fd, const char *path, const owners_t *owners, owner_e owner,
                         mode_t mode, wh_err_t *err)
{
    uid_t uid = owner == OWNER_ROOT    ? 0
                : owner == OWNER_HTTPD ? owners->httpd.uid
                                       : owners->scheduler.uid;
    gid_t gid = owner == OWNER_ROOT        ? 0
                : owner == OWNER_SCHEDULER ? owners->scheduler.gid
                                           : owners->httpd.gid;

    if (owners->root && fchown(fd, uid, gid) != 0) {
        return wh_err_wrap(err, errno, 500, "init_failed", "owner of %s", path);
    }
    if (fchmod(fd, mode) != 0) {
        return wh_err_wrap(err, errno, 500, "init_failed", "mode of %s", path);
    }
    return APR_SUCCESS;
}

static apr_status_t make_dir(apr_pool_t *p, const char *path, const owners_t *owners,
                             const tree_t *part, wh_err_t *err)
{
    apr_status_t rv;
    int fd;

    if (mkdir(path, 0700) != 0) {
        struct stat st;

        if (errno != EEXIST) {
            return wh_err_wrap(err, errno, 500, "init_failed", "%s", path);
        }
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
            return wh_err_set(err, 500, "init_failed", "%s is in the way: it is no directory",
                              path);
        }
        return APR_SUCCESS; /* whatever it is like: nothing is overwritten; --check judges */
    }
    (void)p;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return wh_err_wrap(err, errno, 500, "init_failed", "%s", path);
    }
    rv = give(fd, path, owners, part->owner, part->mode, err);
    close(fd);
    return rv;
}

static apr_status_t make_tree(apr_pool_t *p, const wh_init_t *init, const owners_t *owners,
                              wh_err_t *err)
{
    const char *base = init->settings->state_dir;
    const char *slash = strrchr(base, '/');
    apr_status_t rv = APR_SUCCESS;

    if (slash != NULL && slash != base) {
        const char *parent = apr_pstrmemdup(p, base, (apr_size_t)(slash - base));

        rv = apr_dir_make_recursive(parent,
                                    APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE |
                                        APR_FPROT_GREAD | APR_FPROT_GEXECUTE | APR_FPROT_WREAD |
                                        APR_FPROT_WEXECUTE,
                                    p);
        if (rv != APR_SUCCESS) {
            return wh_err_wrap(err, rv, 500, "init_failed", "%s", parent);
        }
    }
    for (size_t i = 0; rv == APR_SUCCESS && i < WH_ARRAY_LEN(tree); i++) {
        rv = make_dir(p, apr_pstrcat(p, base, tree[i].name, NULL), owners, &tree[i], err);
    }
    return rv;
}

/* ---- Keys ---- */

/* A new file, whole and durable before it has its name; one that is there is left alone. */
static apr_status_t make_file(apr_pool_t *p, const char *path, const char *text,
                              const owners_t *owners, owner_e owner, wh_err_t *err)
{
    const char *fresh = apr_psprintf(p, "%s.%ld", path, (long)getpid());
    apr_status_t rv, put;
    int fd;

    if (access(path, F_OK) == 0) {
        return APR_SUCCESS;
    }
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return wh_err_wrap(err, errno, 500, "init_failed", "%s", fresh);
    }
    rv = give(fd, fresh, owners, owner, 0600, err);
    put = rv == APR_SUCCESS ? wh_file_put(fd, text, strlen(text)) : APR_SUCCESS;
    put = put == APR_SUCCESS && fsync(fd) != 0 ? errno : put;
    if (put != APR_SUCCESS) {
        rv = wh_err_wrap(err, put, 500, "init_failed", "%s", fresh);
    }
    close(fd);
    if (rv == APR_SUCCESS && link(fresh, path) != 0 && errno != EEXIST) {
        rv = wh_err_wrap(err, errno, 500, "init_failed", "%s", path);
    }
    (void)unlink(fresh);
    return rv;
}

/* The root key as text. As root we may not read it by wh_keys_read_root (it is another user's, and
 * that reader rightly minds), so it is read here, after it was checked to be a plain private file.
 */
static apr_status_t read_root_text(const char *path, char hex[65], wh_err_t *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        return wh_err_wrap(err, errno, 500, "init_failed", "%s", path);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 ||
        st.st_size != 65) {
        close(fd);
        return wh_err_set(err, 500, "key_content",
                          "%s is there, but it is no key file that only its owner can read", path);
    }
    n = read(fd, hex, 64);
    hex[n == 64 ? 64 : 0] = '\0';
    close(fd);
    return APR_SUCCESS;
}

static apr_status_t make_keys(apr_pool_t *p, const wh_init_t *init, const owners_t *owners,
                              wh_err_t *err)
{
    const char *dir = init->settings->keys_dir;
    const char *root_path = apr_pstrcat(p, dir, "/root.key", NULL);
    const char *root_hex = wh_rand_hex(p, init->rand, WH_KEY_LEN);
    const char *control = wh_rand_hex(p, init->rand, WH_KEY_LEN);
    unsigned char root[WH_KEY_LEN];
    wh_keys_t keys;
    char hex[65];
    apr_status_t rv;

    if (root_hex == NULL || control == NULL) {
        return wh_err_set(err, 500, "init_failed", "the system gives no random numbers");
    }
    rv =
        make_file(p, root_path, apr_pstrcat(p, root_hex, "\n", NULL), owners, OWNER_SCHEDULER, err);
    rv = rv == APR_SUCCESS ? read_root_text(root_path, hex, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (wh_sign_unhex(hex, 2 * WH_KEY_LEN, root) != 0) {
        return wh_err_set(err, 500, "key_content", "%s does not hold 64 hex digits", root_path);
    }
    wh_keys_derive(root, &keys);
    rv = make_file(p, apr_pstrcat(p, dir, "/module.key", NULL), wh_keys_module_text(p, &keys),
                   owners, OWNER_ROOT, err);
    if (rv == APR_SUCCESS) {
        rv = make_file(p, apr_pstrcat(p, dir, "/control.secret", NULL),
                       apr_pstrcat(p, control, "\n", NULL), owners, OWNER_ROOT, err);
    }
    explicit_bzero(root, sizeof(root));
    explicit_bzero(&keys, sizeof(keys));
    explicit_bzero(hex, sizeof(hex));
    return rv;
}

static apr_status_t replace_file(apr_pool_t *p, const char *path, const char *text, wh_err_t *err)
{
    const wh_file_new_t file = {
        .dir = AT_FDCWD, .path = path, .mode = 0600, .group = WH_FILE_NO_GROUP, .durable = 1};
    apr_status_t rv = wh_file_replace(p, &file, text, strlen(text));

    return rv == APR_SUCCESS ? rv : wh_err_wrap(err, rv, 500, "rotate_failed", "%s", path);
}

apr_status_t wh_init_rotate_file(apr_pool_t *p, const wh_init_t *init, apr_int64_t *id,
                                 wh_err_t *err)
{
    const char *dir = init->settings->keys_dir;
    const char *path = apr_pstrcat(p, dir, "/module.key", NULL);
    unsigned char root[WH_KEY_LEN];
    wh_keys_t keys, own;
    char hex[65];
    apr_status_t rv = wh_keys_read_module(p, path, &keys, err);

    rv = rv == APR_SUCCESS ? read_root_text(apr_pstrcat(p, dir, "/root.key", NULL), hex, err) : rv;
    if (rv == APR_SUCCESS && wh_sign_unhex(hex, 2 * WH_KEY_LEN, root) != 0) {
        rv = wh_err_set(err, 500, "key_content", "root.key does not hold 64 hex digits");
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    wh_keys_derive(root, &own);
    if (!wh_sign_equal(own.worker_jwt, keys.worker_jwt, WH_KEY_LEN)) {
        rv = wh_err_set(err, 500, "key_content", "%s is of another root key", path);
    } else {
        *id = keys.env_seal_id + 1;
        wh_keys_env_derive(root, *id, &own);
        rv = replace_file(p, path, wh_keys_module_text(p, &own), err);
    }
    explicit_bzero(root, sizeof(root));
    explicit_bzero(&own, sizeof(own));
    explicit_bzero(&keys, sizeof(keys));
    explicit_bzero(hex, sizeof(hex));
    return rv;
}

/* ---- Database and tokens ---- */

static apr_status_t open_db(apr_pool_t *p, const wh_init_t *init, wh_dbc_t **dbc, int *from,
                            int *to, wh_err_t *err)
{
    const wh_settings_t *s = init->settings;
    apr_status_t rv = wh_dbc_open(p, s->db_driver, s->db_params, dbc, err);

    if (rv == APR_SUCCESS) {
        rv = wh_db_schema_migrate(*dbc, p, wh_clock_now(init->clock), from, to, err);
    }
    return rv;
}

/* Who may do this on the machine may do all; but it is written down. */
static apr_status_t audit(apr_pool_t *p, const wh_init_t *init, wh_dbc_t *dbc, const char *action,
                          const char *object, wh_err_t *err)
{
    apr_time_t now = wh_clock_now(init->clock);
    wh_db_audit_t row = {.id = wh_id_make(p, now, init->rand),
                         .at = now,
                         .actor_kind = "local",
                         .actor_id = apr_ltoa(p, init->by),
                         .action = action,
                         .object = apr_pstrcat(p, "wh-scheduler", object, NULL),
                         .outcome = "done"};

    return wh_db_audit_insert(dbc, p, &row, err);
}

static apr_status_t print_token(apr_pool_t *p, const wh_init_t *init, wh_dbc_t *dbc,
                                const char *purpose, FILE *out, wh_err_t *err)
{
    const char *token = wh_rand_hex(p, init->rand, 32), *hash;
    unsigned char digest[WH_SHA256_LEN];
    apr_time_t now = wh_clock_now(init->clock);
    wh_db_onetime_t row;
    apr_status_t rv;

    if (token == NULL) {
        return wh_err_set(err, 500, "init_failed", "the system gives no random numbers");
    }
    wh_sign_sha256(token, strlen(token), digest);
    hash = wh_sign_hex(p, digest, sizeof(digest));
    row = (wh_db_onetime_t){.hash = hash,
                            .purpose = purpose,
                            .worker_name = init->worker,
                            .replaces = init->replaces,
                            .created_at = now,
                            .expires_at = now + WH_INIT_TOKEN_LIFE_US};
    rv = wh_dbc_begin(dbc, p, err);
    rv = rv == APR_SUCCESS ? wh_db_token_onetime_insert(dbc, p, &row, err) : rv;
    rv = rv == APR_SUCCESS ? audit(p, init, dbc, apr_pstrcat(p, "token.", purpose, NULL), "", err)
                           : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(dbc);
    } else {
        fprintf(out, "%s_TOKEN=%s\n", strcmp(purpose, "admin") == 0 ? "ADMIN" : "ENROLMENT", token);
        fflush(out);
    }
    return rv;
}

apr_status_t wh_init_token(apr_pool_t *p, const wh_init_t *init, const char *purpose, FILE *out,
                           wh_err_t *err)
{
    wh_dbc_t *dbc;
    const wh_settings_t *s = init->settings;
    apr_status_t rv = wh_dbc_open(p, s->db_driver, s->db_params, &dbc, err);

    rv = rv == APR_SUCCESS ? wh_db_schema_check(dbc, p, err) : rv;
    return rv == APR_SUCCESS ? print_token(p, init, dbc, purpose, out, err) : rv;
}

apr_status_t wh_init_rotate(apr_pool_t *p, const wh_init_t *init, apr_int64_t id, FILE *out,
                            wh_err_t *err)
{
    wh_dbc_t *dbc;
    const wh_settings_t *s = init->settings;
    apr_status_t rv = wh_dbc_open(p, s->db_driver, s->db_params, &dbc, err);

    rv = rv == APR_SUCCESS ? wh_db_schema_check(dbc, p, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_begin(dbc, p, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_env_key_next(dbc, p, id, err);
    rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    if (rv == APR_SUCCESS) {
        rv = audit(p, init, dbc, "env_key.rotate",
                   apr_psprintf(p, " --rotate-env-key: key %" APR_INT64_T_FMT, id), err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(dbc);
    } else {
        fprintf(out,
                "Env vars are sealed with key %" APR_INT64_T_FMT
                " from now on.\nReload httpd, so that it has it too: apachectl graceful\n",
                id);
    }
    return rv;
}

apr_status_t wh_init_migrate(apr_pool_t *p, const wh_init_t *init, FILE *out, wh_err_t *err)
{
    wh_dbc_t *dbc;
    int from = 0, to = 0;
    apr_status_t rv = open_db(p, init, &dbc, &from, &to, err);

    if (rv == APR_SUCCESS && from == to) {
        fprintf(out, "The schema is at %d already.\n", to);
    } else if (rv == APR_SUCCESS) {
        fprintf(out, "The schema was migrated from %d to %d.\n", from, to);
        rv = audit(p, init, dbc, "schema.migrate",
                   apr_psprintf(p, " --migrate: from %d to %d", from, to), err);
    }
    return rv;
}

apr_status_t wh_init_run(apr_pool_t *p, const wh_init_t *init, FILE *out, wh_err_t *err)
{
    const wh_settings_t *s = init->settings;
    owners_t owners;
    wh_dbc_t *dbc;
    int from = 0, to = 0;
    apr_status_t rv = find_owners(init, &owners, err);

    umask(007);
    rv = rv == APR_SUCCESS ? make_tree(p, init, &owners, err) : rv;
    rv = rv == APR_SUCCESS ? make_keys(p, init, &owners, err) : rv;
    /* What follows are files that the scheduler itself will write: it makes them. */
    rv = rv == APR_SUCCESS ? wh_user_become(&owners.scheduler, owners.httpd.gid, err) : rv;
    rv = rv == APR_SUCCESS ? wh_publish_make(p, s->routes, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_schema_create(p, s->db_driver, s->db_params, err) : rv;
    rv = rv == APR_SUCCESS ? open_db(p, init, &dbc, &from, &to, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (from != 0) {
        wh_log(WH_LOG_INFO, NULL,
               "%s was set up before: what was there is as it was. A new "
               "administrator token comes by --admin-token.",
               s->state_dir);
        return APR_SUCCESS;
    }
    return print_token(p, init, dbc, "admin", out, err);
}
