/*
 * An archive as the source of a deployment. It becomes a commit of the app's own bare repository
 * (wh-unpack), so all that is behind it is the way of a git push: one snapshot, one fetch by the
 * agent, one set of rules for what a tree may hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_text.h"
#include "mod_wisehost/wh_mod_git.h"

#define FILE_SLACK ((apr_int64_t)16 << 20)
#define UNPACKED_TIMES 4 /* of what may be sent */

typedef struct spool_t {
    const char *path;
    int fd;
} spool_t;

static apr_status_t drop(void *data)
{
    spool_t *spool = data;

    if (spool->fd >= 0) {
        close(spool->fd);
        spool->fd = -1;
    }
    (void)unlink(spool->path); /* wh-unpack has done so already, if it began */
    return APR_SUCCESS;
}

/* Under a name that git itself tidies up, should this process be killed. */
static apr_status_t begin(wh_call_t *c, const wh_git_repo_t *repo, spool_t *spool)
{
    const char *id = wh_id_make(c->p, apr_time_now(), wh_sys_rand());

    if (id == NULL) {
        return wh_mod_call_no_random(c);
    }
    spool->path = apr_pstrcat(c->p, repo->path, "/objects/tmp_upload_", id, NULL);
    spool->fd = open(spool->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (spool->fd < 0) {
        return wh_err_wrap(&c->err, APR_FROM_OS_ERROR(errno), 503, "storage_error",
                           "The upload cannot be stored");
    }
    apr_pool_cleanup_register(c->p, spool, drop, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static apr_status_t add(void *baton, const char *data, apr_size_t n, wh_err_t *err)
{
    const spool_t *spool = baton;
    apr_status_t rv = wh_file_put(spool->fd, data, n);

    return rv ? wh_err_wrap(err, rv, 503, "storage_error", "The upload cannot be stored") : rv;
}

/* "commit OID FILES BYTES" */
static apr_status_t taken(wh_call_t *c, const char *said)
{
    char *at = apr_pstrdup(c->p, said), *last = NULL;
    const char *word = apr_strtok(at, " ", &last);
    const char *oid = apr_strtok(NULL, " ", &last);
    const char *files = apr_strtok(NULL, " ", &last);
    const char *bytes = apr_strtok(NULL, " ", &last);

    if (word == NULL || strcmp(word, "commit") != 0 || bytes == NULL) {
        return wh_err_set(&c->err, 500, "git_failed", "The upload could not be taken.");
    }
    return wh_mod_call_reply(c, 201,
                             json_pack("{s:s, s:I, s:I}", "commit", oid, "files",
                                       (json_int_t)apr_atoi64(files), "bytes",
                                       (json_int_t)apr_atoi64(bytes)));
}

/* "code text": 1 = it is the archive's fault. */
static apr_status_t refused(wh_call_t *c, int status, const char *said)
{
    const char *space = strchr(said, ' ');

    if (status == 1 && space != NULL) {
        const char *code = apr_pstrmemdup(c->p, said, (apr_size_t)(space - said));

        return wh_err_set(&c->err, strcmp(code, "archive_too_large") == 0 ? 413 : 422, code, "%s",
                          space + 1);
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, c->r, "WH0249: wh-unpack ended with %d: %s", status,
                  wh_text_log_escape(c->p, said, strlen(said), 300));
    return wh_err_set(&c->err, 500, "git_failed",
                      "The upload could not be taken; the server's log says why.");
}

static apr_status_t unpack(wh_call_t *c, const wh_git_repo_t *repo, const char *path,
                           apr_interval_time_t within)
{
    const server_rec *s = c->r->server;
    apr_int64_t most = (apr_int64_t)wh_mod_conf_git_max_size(s) * UNPACKED_TIMES << 20;
    const char *argv[] = {WH_UNPACK_PROGRAM,
                          wh_mod_git_program(c->p, s, "git"),
                          repo->path,
                          path,
                          apr_psprintf(c->p, "%" APR_INT64_T_FMT, most),
                          NULL};
    wh_mod_spawn_opts_t opts = {
        .argv = argv, .env = wh_mod_git_env(c->p, s, repo, NULL), .file_max = most + FILE_SLACK};
    const char *said = "";
    int status = -1;
    apr_status_t rv = wh_mod_spawn_run(c->p, &opts, within, &status, &said, &c->err);

    if (rv) {
        return rv;
    }
    return status == 0 ? taken(c, said) : refused(c, status, said);
}

static apr_status_t take(wh_call_t *c)
{
    const server_rec *s = c->r->server;
    const apr_time_t until = apr_time_now() + apr_time_from_sec(wh_mod_conf_git_timeout(s));
    const apr_off_t most = (apr_off_t)wh_mod_conf_git_max_size(s) << 20;
    wh_git_repo_t repo = wh_mod_git_repo(c->p, s, c->app->id);
    spool_t *spool = apr_pcalloc(c->p, sizeof(*spool));
    apr_off_t got = 0;
    apr_status_t rv = APR_SUCCESS;

    if (wh_mod_req_length(c->r) > most) { /* before anything is made for it */
        return wh_err_set(&c->err, 413, "too_large",
                          "An upload has at most %" APR_OFF_T_FMT " MiB.", most >> 20);
    }
    rv = wh_mod_git_repo_make(c->p, s, &repo, c->app->repo_branch, &c->err);
    rv = rv ? rv : begin(c, &repo, spool);
    rv = rv ? rv : wh_mod_req_stream(c->r, most, add, spool, &got, &c->err);
    if (rv) {
        return rv;
    }
    if (apr_time_now() >= until) {
        return wh_err_set(&c->err, 408, "timeout", "This took too long.");
    }
    rv = unpack(c, &repo, spool->path, until - apr_time_now());
    if (!rv) {
        wh_mod_git_repo_tidy(c->p, s, &repo);
    }
    return rv;
}

apr_status_t wh_h_upload(wh_call_t *c)
{
    apr_status_t rv;

    if (!wh_mod_conf_git(c->r->server)) {
        return wh_err_set(&c->err, 409, "git_off",
                          "This server takes no uploads: WiseHostGit is off.");
    }
    if (!wh_mod_git_enter(c)) {
        return wh_err_set(&c->err, 503, "busy",
                          "Too many pushes and uploads are under way: try again in a moment.");
    }
    wh_mod_db_release(c->r); /* the body may come slowly */
    c->dbc = NULL;
    rv = take(c);
    wh_mod_git_leave(c);
    return rv;
}
