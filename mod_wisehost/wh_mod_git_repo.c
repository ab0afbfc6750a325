#include "mod_wisehost/wh_mod_git.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_text.h"

#define DIR_MODE 02775
#define INIT_US (30 * APR_USEC_PER_SEC)
#define LENT_DIR "wisehost-lent"
#define LOCK_FILE "wisehost-push.lock"
#define DEPTH_MAX 32

wh_git_repo_t wh_mod_git_repo(apr_pool_t *p, const server_rec *s, const char *app_id)
{
    wh_git_repo_t repo = {.root = apr_pstrcat(p, wh_mod_conf_state_dir(s), "/git", NULL),
                          .name = apr_pstrcat(p, app_id, ".git", NULL)};

    repo.path = apr_pstrcat(p, repo.root, "/", repo.name, NULL);
    return repo;
}

int wh_mod_git_repo_there(const wh_git_repo_t *repo)
{
    struct stat st;

    return stat(repo->path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- taking away ----------------------------------------------------------------------------- */

/* Below dir, without following a link. */
static void clear_dir(int dir, int depth)
{
    DIR *list = depth < DEPTH_MAX ? fdopendir(dir) : NULL;
    struct dirent *e;

    if (list == NULL) {
        close(dir);
        return;
    }
    while ((e = readdir(list)) != NULL) {
        int sub;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(dirfd(list), e->d_name, 0) == 0) {
            continue;
        }
        sub = openat(dirfd(list), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0) {
            clear_dir(sub, depth + 1);
            (void)unlinkat(dirfd(list), e->d_name, AT_REMOVEDIR);
        }
    }
    closedir(list);
}

static void remove_tree(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir >= 0) {
        clear_dir(dir, 0);
        (void)rmdir(path);
    }
}

/* Out of the way at once, by one rename; then file by file. */
void wh_mod_git_repo_remove(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo)
{
    const char *aside =
        apr_psprintf(p, "%s.gone-%d-%" APR_INT64_T_FMT, repo->path, (int)getpid(), apr_time_now());

    if (rename(repo->path, aside) == 0) {
        remove_tree(aside);
    } else if (errno != ENOENT) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s, "WH0240: %s cannot be removed", repo->path);
    }
}

/* ---- making ---------------------------------------------------------------------------------- */

static apr_status_t failed(wh_err_t *err, const wh_git_repo_t *repo)
{
    apr_status_t rv = APR_FROM_OS_ERROR(errno);

    return wh_err_wrap(err, rv, 503, "storage_error", "The repository %s could not be made",
                       repo->name);
}

static apr_status_t init_in(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *fresh,
                            const char *branch, wh_err_t *err)
{
    const char *argv[] = {wh_mod_git_program(p, s, "git"),
                          "init",
                          "--bare",
                          "--quiet",
                          "--template=",
                          "--shared=group",
                          apr_pstrcat(p, "--initial-branch=", branch, NULL),
                          "--",
                          fresh->path,
                          NULL};
    wh_mod_spawn_opts_t opts = {.argv = argv, .env = wh_mod_git_env(p, s, fresh, NULL)};
    const char *said;
    int status;
    apr_status_t rv = wh_mod_spawn_run(p, &opts, INIT_US, &status, &said, err);

    if (!rv && status != 0) {
        rv = wh_err_set(err, 500, "git_failed", "git init ended with %d: %s", status,
                        wh_text_log_escape(p, said, strlen(said), 200));
    }
    return rv;
}

apr_status_t wh_mod_git_repo_make(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                                  const char *branch, wh_err_t *err)
{
    wh_git_repo_t fresh = *repo;
    const char *id;
    apr_status_t rv = APR_SUCCESS;

    if (wh_mod_git_repo_there(repo)) {
        return APR_SUCCESS;
    }
    id = wh_id_make(p, apr_time_now(), wh_sys_rand());
    if (id == NULL) {
        return wh_err_set(err, 503, "no_random", "This server has no random numbers.");
    }
    fresh.name = apr_pstrcat(p, "new-", id, NULL);
    fresh.path = apr_pstrcat(p, repo->root, "/", fresh.name, NULL);
    if (mkdir(fresh.path, DIR_MODE) != 0) {
        return failed(err, repo);
    }
    rv = init_in(p, s, &fresh, branch, err);
    if (!rv && (mkdir(apr_pstrcat(p, fresh.path, "/" LENT_DIR, NULL), DIR_MODE) != 0 ||
                (rename(fresh.path, repo->path) != 0 && errno != EEXIST && errno != ENOTEMPTY))) {
        rv = failed(err, repo);
    }
    remove_tree(fresh.path); /* it failed, or another request was faster */
    return rv;
}

apr_status_t wh_mod_git_repo_empty(apr_pool_t *p, const server_rec *s, wh_git_repo_t *repo,
                                   wh_err_t *err)
{
    *repo = wh_mod_git_repo(p, s, "empty");
    return wh_mod_git_repo_make(p, s, repo, "main", err);
}

/* What HEAD says now is that branch. */
static int head_is(apr_pool_t *p, const wh_git_repo_t *repo, const char *branch)
{
    const char *want = apr_pstrcat(p, "ref: refs/heads/", branch, "\n", NULL);
    int fd = open(apr_pstrcat(p, repo->path, "/HEAD", NULL), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char now[512];
    ssize_t n;

    if (fd < 0) {
        return 0;
    }
    n = read(fd, now, sizeof(now) - 1);
    close(fd);
    now[n > 0 ? n : 0] = '\0';
    return strcmp(now, want) == 0;
}

void wh_mod_git_repo_head(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                          const char *branch)
{
    const char *argv[] = {wh_mod_git_program(p, s, "git"),
                          apr_pstrcat(p, "--git-dir=", repo->path, NULL),
                          "symbolic-ref",
                          "HEAD",
                          apr_pstrcat(p, "refs/heads/", branch, NULL),
                          NULL};
    wh_mod_spawn_opts_t opts = {.argv = argv, .env = wh_mod_git_env(p, s, repo, NULL)};
    wh_err_t err = WH_ERR_INIT;
    const char *said = "";
    int status = -1;

    if (head_is(p, repo, branch)) {
        return;
    }
    if (wh_mod_spawn_run(p, &opts, INIT_US, &status, &said, &err) || status != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "WH0241: the HEAD of %s stays: %s %s",
                     repo->name, err.text, wh_text_log_escape(p, said, strlen(said), 200));
    }
}

void wh_mod_git_repo_tidy(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo)
{
    const char *argv[] = {wh_mod_git_program(p, s, "git"),
                          apr_pstrcat(p, "--git-dir=", repo->path, NULL),
                          "gc",
                          "--auto",
                          "--quiet",
                          NULL};
    wh_mod_spawn_opts_t opts = {.argv = argv, .env = wh_mod_git_env(p, s, repo, NULL)};
    wh_err_t err = WH_ERR_INIT;
    const char *said = "";
    int status = -1;

    if (wh_mod_spawn_run(p, &opts, INIT_US, &status, &said, &err) || status != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "WH0248: git gc of %s: %s %s", repo->name,
                     err.text, wh_text_log_escape(p, said, strlen(said), 200));
    }
}

/* ---- lock ------------------------------------------------------------------------------------ */

int wh_mod_git_repo_lock(const wh_git_repo_t *repo, apr_pool_t *p, int *fd)
{
    if (*fd < 0) {
        *fd = open(apr_pstrcat(p, repo->path, "/" LOCK_FILE, NULL),
                   O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660);
    }
    if (*fd < 0) {
        return -1;
    }
    return flock(*fd, LOCK_EX | LOCK_NB) == 0 ? 1 : errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

/* ---- objects on loan ------------------------------------------------------------------------- */

static const char *loan_path(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment)
{
    return apr_pstrcat(p, repo->path, "/" LENT_DIR "/", deployment, NULL);
}

/* Where git put what is pushed: the last part of the name that its hook was told, looked for where
 * it must be. git 2.35 and later say "tmp_objdir-incoming-XXXXXX", earlier ones "incoming-XXXXXX".
 */
static const char *quarantine_of(apr_pool_t *p, const wh_git_repo_t *repo, const char *told)
{
    static const char *const begin[] = {"tmp_objdir-incoming-", "incoming-"};
    const char *name = strrchr(told, '/') != NULL ? strrchr(told, '/') + 1 : told;
    const char *path = apr_pstrcat(p, repo->path, "/objects/", name, NULL);
    struct stat st;

    for (apr_size_t i = 0; i < WH_ARRAY_LEN(begin); i++) {
        if (strncmp(name, begin[i], strlen(begin[i])) == 0 && lstat(path, &st) == 0 &&
            S_ISDIR(st.st_mode)) {
            return path;
        }
    }
    return NULL;
}

apr_status_t wh_mod_git_repo_lend(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment,
                                  const char *quarantine, wh_err_t *err)
{
    const char *path = quarantine_of(p, repo, quarantine);

    if (path == NULL) {
        return wh_err_set(err, 500, "git_failed",
                          "This git keeps what is pushed elsewhere than is known here: strict "
                          "cannot be had.");
    }
    return symlink(path, loan_path(p, repo, deployment)) == 0 ? APR_SUCCESS : failed(err, repo);
}

void wh_mod_git_repo_unlend(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment)
{
    (void)unlink(loan_path(p, repo, deployment));
}

const char *wh_mod_git_repo_lent(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment)
{
    char target[1024];
    ssize_t n = readlink(loan_path(p, repo, deployment), target, sizeof(target) - 1);

    if (n <= 0) {
        return NULL;
    }
    target[n] = '\0';
    return quarantine_of(p, repo, target);
}
