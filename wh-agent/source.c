#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_commit.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_text.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/gitenv.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/netguard.h"
#include "wh-agent/source_int.h"

#define HEAD_REF "refs/wisehost/head"
#define PACKS_MAX 48 /* each fetch brings one; then the cache starts afresh */
#define SPACE_MAX (4 * WH_GIB)

/* ---- running git ---- */

static int cache_too_large(void *baton)
{
    const wh_source_t *source = baton;
    const char *dirs[] = {"/objects/pack", ""};
    char path[1024];
    apr_int64_t bytes = 0;

    for (size_t i = 0; i < WH_ARRAY_LEN(dirs); i++) {
        apr_cpystrn(path, source->git_dir, sizeof(path) - 16);
        apr_cpystrn(path + strlen(path), dirs[i], 16);
        bytes += wh_fsutil_dir_bytes(path, NULL);
    }
    return bytes > source->opts.max_bytes;
}

static const char *const *argv_of(apr_pool_t *p, const wh_source_t *source, const char *const *args)
{
    apr_array_header_t *argv = apr_array_make(p, 16, sizeof(const char *));

    APR_ARRAY_PUSH(argv, const char *) = source->opts.git;
    APR_ARRAY_PUSH(argv, const char *) = apr_pstrcat(p, "--git-dir=", source->git_dir, NULL);
    for (; *args != NULL; args++)
        APR_ARRAY_PUSH(argv, const char *) = *args;
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    return (const char *const *)argv->elts;
}

/* git and its libraries, names and certificates, and the one repository: a repository that borrows
 * objects from elsewhere, or leads there by links, finds nothing. */
static const wh_jail_t *jail_of(apr_pool_t *p, const wh_source_t *source)
{
    static const char *const system[] = {"/usr", "/bin", "/lib", "/lib64", "/etc", "/run", "/dev"};
    const wh_source_opts_t *o = &source->opts;
    apr_array_header_t *read = apr_array_make(p, 12, sizeof(const char *));
    apr_array_header_t *write = apr_array_make(p, 4, sizeof(const char *));
    wh_jail_t *jail = apr_palloc(p, sizeof(*jail));

    for (size_t i = 0; i < WH_ARRAY_LEN(system); i++)
        APR_ARRAY_PUSH(read, const char *) = system[i];
    APR_ARRAY_PUSH(read, const char *) = o->git;
    if (wh_giturl_kind(o->url) == WH_GITURL_LOCAL)
        APR_ARRAY_PUSH(read, const char *) = o->url;
    else if (o->ca_file != NULL && o->ca_file[0] != '\0')
        APR_ARRAY_PUSH(read, const char *) = o->ca_file;
    APR_ARRAY_PUSH(write, const char *) = o->dir;
    APR_ARRAY_PUSH(write, const char *) = "/dev/null";
    APR_ARRAY_PUSH(read, const char *) = NULL;
    APR_ARRAY_PUSH(write, const char *) = NULL;
    jail->read = (const char *const *)read->elts;
    jail->write = (const char *const *)write->elts;
    return jail;
}

static const char *const *env_of(apr_pool_t *p, const wh_source_t *source,
                                 const wh_source_run_t *run)
{
    const char *const *env = wh_gitenv_make(p, &source->opts, source->pin);
    const char **with;
    size_t n = 0;

    if (run->index == NULL)
        return env;
    while (env[n] != NULL)
        n++;
    with = apr_palloc(p, (n + 2) * sizeof(*with));
    memcpy(with, env, n * sizeof(*with));
    with[n] = apr_pstrcat(p, "GIT_INDEX_FILE=", run->index, NULL);
    with[n + 1] = NULL;
    return with;
}

void wh_source_proc_opts(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                         wh_proc_opts_t *opts)
{
    *opts = (wh_proc_opts_t){
        .argv = argv_of(p, source, run->args),
        .env = env_of(p, source, run),
        .dir = source->opts.dir,
        .in_fd = run->in_fd,
        .out = run->out,
        .out_baton = run->baton,
        .watch = cache_too_large,
        .watch_baton = (void *)(uintptr_t)source,
        .deadline = source->opts.deadline,
        .file_max_bytes = source->opts.max_bytes + WH_MIB,
        .space_max_bytes = SPACE_MAX + source->opts.max_bytes,
        .jail = jail_of(p, source),
        .cancel = source->opts.cancel,
        .clock = source->opts.clock,
    };
}

static int ended_too_large(const wh_proc_result_t *result)
{
    return result->end == WH_PROC_WATCHED ||
           (result->end == WH_PROC_SIGNALED && result->status == SIGXFSZ) ||
           strstr(result->errors, "File too large") != NULL;
}

apr_status_t wh_source_git(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                           wh_proc_result_t *result, wh_err_t *err)
{
    wh_proc_opts_t opts;
    apr_status_t rv;

    wh_source_proc_opts(p, source, run, &opts);
    rv = wh_proc_run(p, &opts, result, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (result->end == WH_PROC_CANCELED)
        return wh_err_set(err, 409, "canceled", "the deployment was canceled");
    if (result->end == WH_PROC_DEADLINE)
        return wh_err_set(err, 422, "clone_failed",
                          "the repository was not there within %" APR_INT64_T_FMT " s",
                          source->opts.limit_s);
    if (ended_too_large(result))
        return wh_err_set(err, 422, "too_large",
                          "the repository brings more than %" APR_INT64_T_FMT " MiB",
                          source->opts.max_bytes / WH_MIB);
    return APR_SUCCESS;
}

int wh_source_git_exited(const wh_proc_result_t *result, int status)
{
    return result->end == WH_PROC_EXITED && result->status == status;
}

/* ---- bringing it here ---- */

/* A link below the root could lead out of it: what git gets is the real path, looked at again. */
static apr_status_t real_local(apr_pool_t *p, wh_source_opts_t *opts, wh_err_t *err)
{
    char *root = realpath(opts->local_root, NULL), *path = realpath(opts->url, NULL);
    size_t n = root != NULL ? strlen(root) : 0;
    int inside = root != NULL && path != NULL && strncmp(path, root, n) == 0 && path[n] == '/';

    if (inside)
        opts->url = apr_pstrdup(p, path);
    else if (path == NULL)
        (void)wh_err_set(err, 422, "clone_failed", "the repository %s is not there", opts->url);
    else
        (void)wh_err_set(err, 422, "repository_refused",
                         "the repository %s does not lie below local_repo_root", opts->url);
    free(root);
    free(path);
    return inside ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t check_address(apr_pool_t *p, wh_source_t *source, wh_err_t *err)
{
    wh_source_opts_t *o = &source->opts;
    const char *root = o->local_root != NULL && o->local_root[0] != '\0' ? o->local_root : NULL;
    apr_status_t rv = wh_giturl_check(p, o->url, root, err);
    wh_giturl_parts_t parts;

    source->pin = source->address = "";
    if (rv != APR_SUCCESS)
        return rv;
    if (wh_giturl_kind(o->url) == WH_GITURL_HUB) /* our own server, as the settings name it */
        return o->hub_url != NULL ? APR_SUCCESS
                                  : wh_err_set(err, 500, "internal", "where is the hub?");
    if (wh_giturl_kind(o->url) == WH_GITURL_LOCAL)
        return real_local(p, o, err);
    if (wh_giturl_kind(o->url) == WH_GITURL_HTTPS)
        return wh_netguard_pin(p, o->url, o->allow_private, &source->pin, err);
    wh_giturl_parts(p, o->url, &parts);
    return wh_netguard_address(p, parts.host, o->allow_private, &source->address, err);
}

static apr_status_t unlock(void *data)
{
    close((int)(intptr_t)data);
    return APR_SUCCESS;
}

/* Two jobs never work in one cache: the second waits, within its deadline. */
static apr_status_t lock_cache(apr_pool_t *p, const wh_source_t *source, wh_err_t *err)
{
    const char *path = apr_pstrcat(p, source->opts.dir, "/lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot open %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (wh_cancel_wait(source->opts.cancel, 50000) ||
            wh_mono_reached(wh_clock_mono(source->opts.clock), source->opts.deadline)) {
            close(fd);
            return wh_cancel_is_set(source->opts.cancel)
                       ? wh_err_set(err, 409, "canceled", "the deployment was canceled")
                       : wh_err_set(err, 422, "clone_failed",
                                    "another job of this app held the cache");
        }
    }
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, unlock, apr_pool_cleanup_null);
    (void)futimens(fd, NULL); /* when it was last used (caches.c) */
    return APR_SUCCESS;
}

/* A cache of another address, or one that has grown old, is made anew. *fresh says so. */
static apr_status_t prepare_cache(apr_pool_t *p, const wh_source_t *source, int anew, int *fresh,
                                  wh_err_t *err)
{
    const char *url_file = apr_pstrcat(p, source->opts.dir, "/url", NULL);
    const char *args[] = {"init", "--bare", "--quiet", "--template=", NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1};
    wh_proc_result_t result;
    char *text = NULL;
    size_t n = 0;
    int packs = 0;
    apr_status_t rv;
    struct stat st;

    (void)wh_fsutil_dir_bytes(apr_pstrcat(p, source->git_dir, "/objects/pack", NULL), &packs);
    *fresh = anew || packs / 2 >= PACKS_MAX || cache_too_large((void *)(uintptr_t)source) ||
             stat(apr_pstrcat(p, source->git_dir, "/HEAD", NULL), &st) != 0 ||
             wh_fsutil_read(p, url_file, WH_GITURL_MAX, &text, &n, NULL) != APR_SUCCESS ||
             strcmp(text, source->opts.url) != 0;
    if (!*fresh)
        return APR_SUCCESS;
    rv = wh_fsutil_remove_tree(p, source->git_dir, err);
    if (rv == APR_SUCCESS)
        rv = wh_source_git(p, source, &run, &result, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (!wh_source_git_exited(&result, 0))
        return wh_err_set(err, 500, "internal", "git init failed: %s",
                          wh_gitsays_line(p, result.errors));
    return wh_fsutil_write(p, url_file, source->opts.url, strlen(source->opts.url), WH_FSUTIL_QUICK,
                           err);
}

static apr_status_t fetch_spec(apr_pool_t *p, const wh_source_t *source, const char *depth,
                               const char *spec, wh_proc_result_t *result, wh_err_t *err)
{
    const wh_source_opts_t *o = &source->opts;
    const char *args[] = {"fetch",
                          "--quiet",
                          depth,
                          "--no-tags",
                          "--no-write-fetch-head",
                          "--no-auto-gc",
                          "--no-recurse-submodules",
                          "--no-show-forced-updates",
                          "--",
                          o->hub_url != NULL ? o->hub_url : o->url,
                          spec,
                          NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1};

    return wh_source_git(p, source, &run, result, err);
}

/* A server that gives no commit by its name (an old protocol, or its owner's wish) gives its
 * branches: the commit is among what they lead to, or is not to be had. */
static apr_status_t fetch_all(apr_pool_t *p, const wh_source_t *source, const char *ref,
                              wh_proc_result_t *result, wh_err_t *err)
{
    const char *args[] = {"update-ref", ref, source->opts.sha, NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1};
    wh_proc_result_t updated;
    apr_status_t rv = fetch_spec(p, source, "--depth=1000", "+refs/heads/*:refs/wisehost/all/*",
                                 result, err);

    if (rv != APR_SUCCESS || !wh_source_git_exited(result, 0))
        return rv;
    rv = wh_source_git(p, source, &run, &updated, err);
    if (rv == APR_SUCCESS && !wh_source_git_exited(&updated, 0))
        rv = wh_err_set(err, 422, "ref_not_found",
                        "the repository gives no commit by its name, and %s is not among the last "
                        "1000 of a branch",
                        source->opts.sha);
    return rv;
}

static apr_status_t fetch_once(apr_pool_t *p, const wh_source_t *source, const char *ref,
                               wh_err_t *err)
{
    const wh_source_opts_t *o = &source->opts;
    const char *spec = o->sha[0] != '\0' ? apr_pstrcat(p, "+", o->sha, ":", ref, NULL)
                                         : apr_pstrcat(p, "+refs/heads/", o->branch, ":", ref, NULL);
    wh_proc_result_t result;
    apr_status_t rv = fetch_spec(p, source, "--depth=1", spec, &result, err);

    if (rv == APR_SUCCESS && o->sha[0] != '\0' &&
        strstr(result.errors, "not allow request for unadvertised object") != NULL)
        rv = fetch_all(p, source, ref, &result, err);
    if (rv != APR_SUCCESS)
        return rv;
    return wh_source_git_exited(&result, 0)
               ? APR_SUCCESS
               : wh_gitsays_fetch_failed(p, &source->opts, result.errors, err);
}

/* ---- the commit ---- */

typedef struct commit_t {
    size_t n;
    char type[12];
    char oid[65];
    char text[WH_COMMIT_TEXT_MAX + 1];
} commit_t;

static int take_commit(void *baton, const wh_catfile_object_t *object, const char *buf, size_t n)
{
    commit_t *commit = baton;
    size_t room = WH_COMMIT_TEXT_MAX - commit->n, take = n < room ? n : room;

    memcpy(commit->text + commit->n, buf, take);
    commit->n += take;
    apr_cpystrn(commit->type, object->type, sizeof(commit->type));
    apr_cpystrn(commit->oid, object->oid, sizeof(commit->oid));
    return 0;
}

static apr_status_t resolve(apr_pool_t *p, wh_source_t *source, wh_err_t *err)
{
    static const char *const names[] = {HEAD_REF "^{commit}"};
    commit_t *commit = apr_pcalloc(p, sizeof(*commit));
    wh_source_read_t what = {.oids = names, .n = 1, .fn = take_commit, .baton = commit};
    wh_commit_t said;
    apr_status_t rv = wh_source_read(p, source, &what, NULL, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (strcmp(commit->type, "commit") != 0)
        return wh_err_set(err, 422, "ref_not_found", "the reference does not lead to a commit");
    if (source->opts.sha[0] != '\0' && strcmp(source->opts.sha, commit->oid) != 0)
        return wh_err_set(err, 422, "ref_not_found", "%s is not a commit", source->opts.sha);
    apr_cpystrn(source->sha, commit->oid, sizeof(source->sha));
    source->tree = source->sha;
    wh_commit_parse(p, commit->text, &said);
    source->message = said.message;
    source->author = said.author;
    source->at = said.at;
    return APR_SUCCESS;
}

/* What the repository asks for lies there as long as git may need it. A former life of the agent
 * may have left something. */
static apr_status_t arm(apr_pool_t *p, const wh_source_t *source, wh_err_t *err)
{
    static const wh_gitauth_t none = {.known_hosts = "", .site = "", .user = "", .token = ""};
    const wh_source_opts_t *o = &source->opts;

    return wh_gitauth_put(p, o->dir, o->url, source->address, o->auth != NULL ? o->auth : &none,
                          err);
}

apr_status_t wh_source_reach(apr_pool_t *p, wh_source_t *source, wh_err_t *err)
{
    apr_status_t rv = check_address(p, source, err);

    return rv == APR_SUCCESS ? arm(p, source, err) : rv;
}

apr_status_t wh_source_fetch_to(apr_pool_t *p, wh_source_t *source, const char *ref, wh_err_t *err)
{
    apr_status_t rv = wh_source_reach(p, source, err);

    return rv == APR_SUCCESS ? fetch_once(p, source, ref, err) : rv;
}

static apr_status_t bring(apr_pool_t *p, wh_source_t *source, int fresh, wh_err_t *err)
{
    apr_status_t rv = fetch_once(p, source, HEAD_REF, err);

    if (rv == APR_SUCCESS)
        rv = resolve(p, source, err);
    /* A cache that a crash or a full disk has spoiled must not fail for ever: once more from
     * nothing. */
    if (rv == APR_SUCCESS || fresh ||
        !(wh_err_is(err, "clone_failed") || wh_err_is(err, "too_large")))
        return rv;
    wh_err_clear(err);
    rv = prepare_cache(p, source, 1, &fresh, err);
    if (rv == APR_SUCCESS)
        rv = fetch_once(p, source, HEAD_REF, err);
    return rv == APR_SUCCESS ? resolve(p, source, err) : rv;
}

static apr_status_t check_wanted(const wh_source_opts_t *opts, wh_err_t *err)
{
    if (opts->sha[0] != '\0')
        return wh_host_commit_check(opts->sha, err);
    return wh_host_branch_check(opts->branch, err);
}

apr_status_t wh_source_fetch(apr_pool_t *p, const wh_source_opts_t *opts, wh_source_t **out,
                             wh_err_t *err)
{
    wh_source_t *source = apr_pcalloc(p, sizeof(*source));
    int fresh = 0;
    apr_status_t rv;

    source->opts = *opts;
    source->git_dir = apr_pstrcat(p, opts->dir, "/git", NULL);
    rv = check_wanted(opts, err);
    if (rv == APR_SUCCESS)
        rv = check_address(p, source, err);
    if (rv == APR_SUCCESS)
        rv = wh_fsutil_mkdir(p, opts->dir, err);
    if (rv == APR_SUCCESS)
        rv = lock_cache(p, source, err);
    if (rv == APR_SUCCESS)
        rv = prepare_cache(p, source, 0, &fresh, err);
    if (rv == APR_SUCCESS)
        rv = arm(p, source, err);
    if (rv != APR_SUCCESS)
        return rv;
    rv = bring(p, source, fresh, err);
    wh_gitauth_drop(p, opts->dir);
    source->opts.bearer = NULL; /* what reads the objects needs neither token nor key */
    source->opts.auth = NULL;
    *out = source;
    return rv;
}
