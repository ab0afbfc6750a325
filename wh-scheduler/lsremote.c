#include "wh-scheduler/lsremote.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "libwh/wh_address.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_text.h"

#define OUT_MAX 16384
#define SLICE_MS 200
#define SAID_MAX 200

/* By environment, so that no file is read or trusted. */
static const char *const settings[][2] = {
    {"protocol.allow", "never"},       {"core.askPass", ""},        {"credential.helper", ""},
    {"http.followRedirects", "false"}, {"http.proxy", ""},          {"http.maxRequests", "1"},
    {"http.lowSpeedLimit", "1000"},    {"http.lowSpeedTime", "20"}, {"http.sslVerify", "true"},
    {"safe.bareRepository", "all"},
};

static const char *const fixed_env[] = {
    "PATH=/usr/bin:/bin",    "HOME=/nonexistent",           "LC_ALL=C",
    "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",      "GIT_OPTIONAL_LOCKS=0",
};

static void set(apr_pool_t *p, apr_array_header_t *env, int *n, const char *key, const char *value)
{
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_KEY_%d=%s", *n, key);
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_VALUE_%d=%s", *n, value);
    (*n)++;
}

/* One look: of is what was asked, the rest what follows from it. */
typedef struct look_t {
    const wh_lsremote_opt_t *opt;
    const wh_lsremote_of_t *of;
    wh_giturl_kind_e kind;
    const char *url;     /* what git gets */
    const char *pin;     /* http.curloptResolve */
    const char *address; /* of ssh */
    const char *dir;     /* where git runs; "" = anywhere, for it needs nothing there */
} look_t;

static void add_auth(apr_pool_t *p, apr_array_header_t *env, int *n, const look_t *look)
{
    if (look->kind == WH_GITURL_SSH) {
        APR_ARRAY_PUSH(env, const char *) = "GIT_SSH_COMMAND=" WH_GITAUTH_SSH;
        APR_ARRAY_PUSH(env, const char *) = "GIT_SSH_VARIANT=ssh";
    } else if (look->dir[0] != '\0') {
        set(p, env, n, "credential.helper", WH_GITAUTH_HELPER);
    }
}

static char *const *env_of(apr_pool_t *p, const look_t *look)
{
    static const char *const protocols[] = {[WH_GITURL_LOCAL] = "file",
                                            [WH_GITURL_HTTPS] = "https",
                                            [WH_GITURL_SSH] = "ssh",
                                            [WH_GITURL_HUB] = "none"};
    apr_array_header_t *env = apr_array_make(p, 48, sizeof(const char *));
    int n = 0;

    for (size_t i = 0; i < WH_ARRAY_LEN(fixed_env); i++) {
        APR_ARRAY_PUSH(env, const char *) = fixed_env[i];
    }
    APR_ARRAY_PUSH(env, const char *) =
        apr_pstrcat(p, "GIT_ALLOW_PROTOCOL=", protocols[look->kind], NULL);
    for (size_t i = 0; i < WH_ARRAY_LEN(settings); i++) {
        set(p, env, &n, settings[i][0], settings[i][1]);
    }
    add_auth(p, env, &n, look);
    if (*look->pin) {
        set(p, env, &n, "http.curloptResolve", look->pin);
    }
    if (*look->opt->ca_file) {
        set(p, env, &n, "http.sslCAInfo", look->opt->ca_file);
    }
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_COUNT=%d", n);
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (char *const *)env->elts;
}

/* ---- Where it lies ---- */

/* Every address has to be one that may be asked; they are what git then connects to. */
static apr_status_t addresses(apr_pool_t *p, const wh_lsremote_opt_t *opt, const char *host,
                              const char **list, wh_err_t *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    apr_status_t rv = APR_SUCCESS;
    char text[NI_MAXHOST];

    *list = "";
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        return wh_err_set(err, 422, "repository_unreachable", "There is no host %s.", host);
    }
    for (const struct addrinfo *a = found; a != NULL && rv == APR_SUCCESS; a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST)) {
            continue;
        }
        if (!opt->private_ok && !wh_address_public(text)) {
            rv = wh_err_set(err, 422, "repository_refused",
                            "%s is no public address, and git_private_addresses is off.", text);
        }
        *list = apr_pstrcat(p, *list, **list ? "," : "", strchr(text, ':') ? "[" : "", text,
                            strchr(text, ':') ? "]" : "", NULL);
    }
    freeaddrinfo(found);
    return rv;
}

static apr_status_t where(apr_pool_t *p, look_t *look, wh_err_t *err)
{
    wh_giturl_parts_t parts;
    const char *list;
    apr_status_t rv;

    wh_giturl_parts(p, look->url, &parts);
    rv = addresses(p, look->opt, parts.host, &list, err);
    if (look->kind == WH_GITURL_HTTPS) {
        look->pin = apr_pstrcat(p, parts.host, ":", parts.port, ":", list, NULL);
    }
    list += *list == '[';
    look->address = apr_pstrmemdup(p, list, strcspn(list, ",]"));
    return rv;
}

/* A link below the root could lead out of it: what git gets is the real path. */
static apr_status_t real_local(apr_pool_t *p, const wh_lsremote_opt_t *opt, const char **url,
                               wh_err_t *err)
{
    char *root = realpath(opt->local_root, NULL), *path = realpath(*url, NULL);
    size_t n = root != NULL ? strlen(root) : 0;
    apr_status_t rv = APR_SUCCESS;

    if (path == NULL) {
        rv =
            wh_err_set(err, 422, "repository_unreachable", "The repository %s is not there.", *url);
    } else if (root == NULL || strncmp(path, root, n) != 0 || path[n] != '/') {
        rv = wh_err_set(err, 422, "repository_refused",
                        "The repository %s does not lie below local_repo_root.", *url);
    } else {
        *url = apr_pstrdup(p, path);
    }
    free(root);
    free(path);
    return rv;
}

/* ---- Running it ---- */

typedef struct run_t {
    pid_t pid;
    int fd[2]; /* its output and its error output */
    char text[2][OUT_MAX + 1];
    size_t n[2];
    int late;
} run_t;

static void close_all(int *fd, int n)
{
    for (int i = 0; i < n; i++) {
        if (fd[i] >= 0) {
            close(fd[i]);
        }
    }
}

/* It leads a group of its own, with which it ends; of ours it gets the two pipes alone. */
static int start(run_t *run, const char *dir, const char *const *argv, char *const *env)
{
    int out[2] = {-1, -1}, errors[2] = {-1, -1}, rc = EMFILE;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&usual);
    sigdelset(&usual, SIGKILL);
    sigdelset(&usual, SIGSTOP);
    if (pipe2(out, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0) {
        if (*dir != '\0') {
            posix_spawn_file_actions_addchdir_np(&files, dir);
        }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, out[1], 1);
        posix_spawn_file_actions_adddup2(&files, errors[1], 2);
        posix_spawnattr_setpgroup(&attr, 0);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &usual);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
        rc = posix_spawn(&run->pid, argv[0], &files, &attr, (char *const *)(const void *)argv, env);
    }
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    close_all((int[]){out[1], errors[1]}, 2);
    if (rc != 0) {
        close_all((int[]){out[0], errors[0]}, 2);
        return rc;
    }
    run->fd[0] = out[0];
    run->fd[1] = errors[0];
    return 0;
}

/* What does not fit is read and dropped: its first lines say enough. */
static void take(run_t *run, int i)
{
    char drop[4096];
    size_t room = OUT_MAX - run->n[i];
    ssize_t got = read(run->fd[i], room > 0 ? run->text[i] + run->n[i] : drop,
                       room > 0 ? room : sizeof(drop));

    if (got > 0) {
        run->n[i] += room > 0 ? (size_t)got : 0;
    } else if (got == 0 || errno != EINTR) {
        close(run->fd[i]);
        run->fd[i] = -1;
    }
}

static void follow(run_t *run, const wh_lsremote_opt_t *opt)
{
    int left = opt->deadline_ms;

    while ((run->fd[0] >= 0 || run->fd[1] >= 0) && left > 0 &&
           !(opt->stop != NULL && __atomic_load_n(opt->stop, __ATOMIC_RELAXED))) {
        struct pollfd on[2] = {{run->fd[0], POLLIN, 0}, {run->fd[1], POLLIN, 0}};
        int n = poll(on, 2, SLICE_MS);

        left -= n == 0 ? SLICE_MS : 0;
        for (int i = 0; i < 2 && n > 0; i++) {
            if (on[i].revents != 0) {
                take(run, i);
            }
        }
    }
    run->late = run->fd[0] >= 0 || run->fd[1] >= 0;
}

/* Its exit status, -1 when it was ended. */
static int end(run_t *run)
{
    int status = 0;

    if (run->late) {
        kill(-run->pid, SIGKILL);
    }
    close_all(run->fd, 2);
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR) {
    }
    run->text[0][run->n[0]] = run->text[1][run->n[1]] = '\0';
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A local one is read where it lies: it mostly belongs to another user, whose repository git would
 * not serve to us. Both say "commit TAB ref". */
static const char *const *argv_of(apr_pool_t *p, const look_t *look)
{
    const char **argv = apr_pcalloc(p, 8 * sizeof(*argv)), *url = look->url;
    const char *inner = apr_pstrcat(p, url, "/.git", NULL);
    int n = 0;

    argv[n++] = look->opt->git;
    if (look->kind == WH_GITURL_LOCAL) {
        argv[n++] = apr_pstrcat(p, "--git-dir=", access(inner, F_OK) == 0 ? inner : url, NULL);
        argv[n++] = "for-each-ref";
        argv[n++] = "--format=%(objectname)%09%(refname)";
    } else {
        argv[n++] = "ls-remote";
        argv[n++] = "--heads";
        argv[n++] = "--";
        argv[n++] = url;
    }
    argv[n] = apr_pstrcat(p, "refs/heads/", look->of->branch, NULL);
    return argv;
}

/* ---- What it says ---- */

int wh_lsremote_find(const char *out, const char *branch, char sha[WH_LSREMOTE_SHA])
{
    static const char heads[] = "refs/heads/";

    for (const char *line = out; *line != '\0';) {
        size_t n = strcspn(line, "\n"), hex = strspn(line, "0123456789abcdef");
        const char *ref = line + hex + 1;

        if ((hex == 40 || hex == 64) && n == hex + 1 + sizeof(heads) - 1 + strlen(branch) &&
            line[hex] == '\t' && strncmp(ref, heads, sizeof(heads) - 1) == 0 &&
            strncmp(ref + sizeof(heads) - 1, branch, strlen(branch)) == 0) {
            apr_cpystrn(sha, line, hex + 1);
            return strspn(sha, "0") != hex;
        }
        line += n + (line[n] == '\n');
    }
    return 0;
}

/* Its first "fatal:" or "error:" line. */
static const char *said(apr_pool_t *p, const char *text)
{
    const char *at = strstr(text, "fatal: ");

    at = at != NULL ? at : strstr(text, "error: ");
    return at != NULL ? wh_text_clean_line(p, at + 7, strcspn(at + 7, "\n"), SAID_MAX)
                      : "git said nothing.";
}

/* Whether it is the key, the token or the host's key. */
static int refused_us(const char *text)
{
    static const char *const says[] = {"Host key verification failed", "Permission denied (",
                                       "Authentication failed for", "could not read Username",
                                       "could not read Password"};

    for (size_t i = 0; i < WH_ARRAY_LEN(says); i++) {
        if (strstr(text, says[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t judge(apr_pool_t *p, run_t *run, int status, const char *branch, char *sha,
                          wh_err_t *err)
{
    if (run->late) {
        return wh_err_set(err, 422, "repository_unreachable", "git was not done in time.");
    }
    if (status != 0 && refused_us(run->text[1])) {
        return wh_err_set(err, 422, "repository_auth",
                          "The repository is not to be had with what the app has: %s",
                          said(p, run->text[1]));
    }
    if (status != 0) {
        return wh_err_set(err, 422, "repository_unreachable", "%s", said(p, run->text[1]));
    }
    if (!wh_lsremote_find(run->text[0], branch, sha)) {
        return wh_err_set(err, 422, "ref_not_found", "There is no branch %s.", branch);
    }
    return APR_SUCCESS;
}

/* ---- What it needs beside it ---- */

apr_status_t wh_lsremote_tidy(apr_pool_t *p, const char *auth_dir, wh_err_t *err)
{
    apr_finfo_t info;
    apr_dir_t *dir;

    if (mkdir(auth_dir, 0700) != 0 && errno != EEXIST) {
        return wh_err_wrap(err, errno, 500, "internal", "cannot make %s", auth_dir);
    }
    if (apr_dir_open(&dir, auth_dir, p) != APR_SUCCESS) {
        return wh_err_wrap(err, errno, 500, "internal", "cannot read %s", auth_dir);
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        const char *left = apr_pstrcat(p, auth_dir, "/", info.name, NULL);

        if (info.name[0] != '.') {
            wh_gitauth_drop(p, left);
            (void)rmdir(left);
        }
    }
    apr_dir_close(dir);
    return APR_SUCCESS;
}

/* A directory of this look's own, with what the repository asks for. */
static apr_status_t arm(apr_pool_t *p, look_t *look, wh_err_t *err)
{
    char *dir = apr_pstrcat(p, look->opt->auth_dir, "/XXXXXX", NULL);
    apr_status_t rv;

    if (look->kind != WH_GITURL_SSH && !wh_gitauth_fits(p, look->of->auth, look->url)) {
        return APR_SUCCESS;
    }
    if (mkdtemp(dir) == NULL) {
        return wh_err_wrap(err, errno, 500, "internal", "cannot make %s", dir);
    }
    rv = wh_gitauth_put(p, dir, look->url, look->address, look->of->auth, err);
    if (rv != APR_SUCCESS) {
        (void)rmdir(dir);
        return rv;
    }
    look->dir = dir;
    return APR_SUCCESS;
}

static void disarm(apr_pool_t *p, const look_t *look)
{
    if (look->dir[0] != '\0') {
        wh_gitauth_drop(p, look->dir);
        (void)rmdir(look->dir);
    }
}

static apr_status_t prepare(apr_pool_t *p, look_t *look, wh_err_t *err)
{
    const char *root = look->opt->local_root;
    apr_status_t rv = wh_giturl_check(p, look->url, *root ? root : NULL, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    look->kind = wh_giturl_kind(look->url);
    if (look->kind == WH_GITURL_HUB) {
        return wh_err_set(err, 422, "repository_refused",
                          "What is pushed to this server itself is not polled.");
    }
    if (look->kind == WH_GITURL_LOCAL) {
        return real_local(p, look->opt, &look->url, err);
    }
    rv = where(p, look, err);
    return rv == APR_SUCCESS ? arm(p, look, err) : rv;
}

apr_status_t wh_lsremote(apr_pool_t *p, const wh_lsremote_opt_t *opt, const wh_lsremote_of_t *of,
                         char sha[WH_LSREMOTE_SHA], wh_err_t *err)
{
    look_t look = {.opt = opt, .of = of, .url = of->url, .pin = "", .address = "", .dir = ""};
    run_t *run = apr_pcalloc(p, sizeof(*run));
    apr_status_t rv = prepare(p, &look, err);
    int rc;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = start(run, look.dir, argv_of(p, &look), env_of(p, &look));
    if (rc != 0) {
        disarm(p, &look);
        return wh_err_wrap(err, rc, 500, "internal", "%s cannot be started", opt->git);
    }
    follow(run, opt);
    rc = end(run);
    disarm(p, &look);
    return judge(p, run, rc, of->branch, sha, err);
}
