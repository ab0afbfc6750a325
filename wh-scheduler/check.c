#include "wh-scheduler/check.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_keys.h"
#include "whdb/wh_db_schema.h"
#include "wh-scheduler/publish_dir.h"
#include "wh-scheduler/tls.h"
#include "wh-scheduler/user.h"

typedef struct check_t {
    apr_pool_t *p;
    const wh_settings_t *settings;
    FILE *out;
    int wrong;
} check_t;

static void wrong(check_t *c, const char *fmt, ...) WH_PRINTF(2, 3);
static void wrong(check_t *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(c->out, "%s\n", apr_pvsprintf(c->p, fmt, ap));
    va_end(ap);
    c->wrong++;
}

static const char *at(check_t *c, const char *name)
{
    return apr_pstrcat(c->p, c->settings->state_dir, name, NULL);
}

/* A directory that is there, whose group (0 = any) may do what `need` says. */
static int dir_ok(check_t *c, const char *name, gid_t gid, mode_t need)
{
    const char *path = at(c, name);
    struct stat st;

    if (stat(path, &st) != 0) {
        wrong(c, "%s is missing: run wh-scheduler --init.", path);
        return 0;
    }
    if (!S_ISDIR(st.st_mode)) {
        wrong(c, "%s is no directory.", path);
        return 0;
    }
    if (gid != 0 && (st.st_gid != gid || (st.st_mode & need) != need)) {
        wrong(c,
              "httpd cannot use %s: its group must be %s's and its mode have %04o (chgrp %s %s; "
              "chmod %04o %s).",
              path, c->settings->httpd_user, (unsigned)need, c->settings->httpd_user, path,
              (unsigned)((st.st_mode & 07777) | need), path);
    }
    if ((st.st_mode & 02) != 0) {
        wrong(c, "%s can be written by anybody: chmod o-w %s.", path, path);
    }
    return 1;
}

/* A part of the store: httpd fills it, the collector clears up in there, by httpd's group. */
static void store_ok(check_t *c, const char *name, gid_t gid)
{
    const char *path = at(c, name);
    struct stat st;

    if (dir_ok(c, name, 0, 0) && gid != 0 && stat(path, &st) == 0 &&
        (st.st_gid != gid || (st.st_mode & 02070) != 02070)) {
        wrong(c,
              "What nothing needs cannot be removed from %s: chgrp -R %s %s; chmod -R g+w %s; "
              "chmod g+s %s.",
              path, c->settings->httpd_user, path, path, path);
    }
}

/* A file that only its owner may read; content is checked where we may read it. */
static void private_file(check_t *c, const char *name)
{
    const char *path = at(c, name);
    struct stat st;

    if (lstat(path, &st) != 0) {
        wrong(c, "%s is missing: run wh-scheduler --init as root.", path);
    } else if (!S_ISREG(st.st_mode)) {
        wrong(c, "%s is no plain file.", path);
    } else if ((st.st_mode & 077) != 0) {
        wrong(c, "%s can be read by others than its owner: chmod 0600 %s.", path, path);
    }
}

static void keys(check_t *c)
{
    wh_err_t err = WH_ERR_INIT;
    unsigned char root[WH_KEY_LEN];

    private_file(c, "/keys/module.key");
    private_file(c, "/keys/control.secret");
    if (wh_keys_read_root(c->p, at(c, "/keys/root.key"), root, &err) != APR_SUCCESS) {
        wrong(c, "%s", err.text);
    }
    explicit_bzero(root, sizeof(root));
}

static void listener(check_t *c)
{
    const wh_settings_t *s = c->settings;
    wh_err_t err = WH_ERR_INIT;
    wh_tls_t *tls;

    if (s->listen_host != NULL && wh_tls_open(c->p, s->listen_cert, s->listen_key, apr_time_now(),
                                              &tls, &err) != APR_SUCCESS) {
        wrong(c, "listen: %s", err.text);
    }
}

static void database(check_t *c)
{
    const wh_settings_t *s = c->settings;
    wh_err_t err = WH_ERR_INIT;
    wh_dbc_t *dbc;
    apr_status_t rv;

    rv = wh_dbc_open(c->p, s->db_driver, s->db_params, &dbc, &err);
    rv = rv == APR_SUCCESS ? wh_db_schema_check(dbc, c->p, &err) : rv;
    if (rv != APR_SUCCESS) {
        wrong(c, "Database: %s", err.text);
    }
}

/* Only what a scheduler that runs would rest on as well: it may be running now. */
static void routes(check_t *c, const char *verifier)
{
    struct stat st;

    if (lstat(c->settings->routes, &st) != 0) {
        wrong(c, "%s is missing: run wh-scheduler --init.", c->settings->routes);
    } else if (!S_ISLNK(st.st_mode)) {
        wrong(c, "%s is no link to a routes.N directory.", c->settings->routes);
    } else if (verifier != NULL && !wh_publish_dir_sound(c->p, verifier, c->settings->routes)) {
        wrong(c, "The route table %s is damaged: start wh-scheduler, it makes a new one beside it.",
              c->settings->routes);
    }
}

int wh_check_run(apr_pool_t *p, const wh_settings_t *settings, const char *verifier, FILE *out)
{
    check_t c = {.p = p, .settings = settings, .out = out};
    wh_err_t err = WH_ERR_INIT;
    wh_user_t httpd = {0};
    gid_t group;

    if (wh_user_find(settings->httpd_user, &httpd, &err) != APR_SUCCESS) {
        wrong(&c, "httpd_user: %s", err.text);
    }
    group = geteuid() == 0 ? httpd.gid : 0; /* somebody's private trial has no groups to share */
    if (!dir_ok(&c, "", 0, 0)) {
        return c.wrong;
    }
    dir_ok(&c, "/db", group, 02070);
    dir_ok(&c, "/logs", group, 02050);
    dir_ok(&c, "/run", group, 02050);
    dir_ok(&c, "/keys", 0, 0);
    store_ok(&c, "/objects", group);
    store_ok(&c, "/releases", group);
    store_ok(&c, "/uploads", group);
    dir_ok(&c, "/git", group, 02070);
    if (wh_user_become_owner(settings->state_dir, httpd.gid, &err) != APR_SUCCESS) {
        wrong(&c, "%s", err.text);
        return c.wrong;
    }
    keys(&c);
    listener(&c);
    routes(&c, verifier);
    database(&c);
    return c.wrong;
}
