/* The environment of git on a repository: made from nothing, with all settings in it. */
#include "mod_wisehost/wh_mod_git.h"

#include <string.h>

#include <apr_strings.h>

const char *wh_mod_git_program(apr_pool_t *p, const server_rec *s, const char *name)
{
    return apr_pstrcat(p, wh_mod_conf_git_exec_path(s), "/", name, NULL);
}

/* Configuration by environment: what a file in a repository says is overruled, and no other file is
 * read. */
static const char *const settings[][2] = {
    {"core.hooksPath", WH_GIT_HOOKS_DIR},
    {"core.fsmonitor", "false"},
    {"core.askPass", ""},
    {"core.attributesFile", "/dev/null"},
    {"core.sharedRepository", "group"},
    {"core.packedGitLimit", "256m"},
    {"core.bigFileThreshold", "16m"},
    {"credential.helper", ""},
    {"protocol.allow", "never"},
    {"http.getanyfile", "false"},
    {"http.uploadpack", "true"},
    {"pack.threads", "1"},
    {"pack.windowMemory", "64m"},
    {"receive.advertisePushOptions", "true"},
    {"receive.autogc", "false"},       /* behind the answer: wh_mod_git_repo_tidy */
    {"receive.shallowUpdate", "true"}, /* who builds elsewhere has a shallow clone, mostly */
    {"receive.fsckObjects", "true"},
    /* Old and harmless, and in the history of many. */
    {"receive.fsck.badTimezone", "ignore"},
    {"receive.fsck.missingSpaceBeforeDate", "ignore"},
    {"receive.fsck.zeroPaddedFilemode", "ignore"},
};

static void add(apr_pool_t *p, apr_array_header_t *env, const char *name, const char *value)
{
    APR_ARRAY_PUSH(env, const char *) = apr_pstrcat(p, name, "=", value, NULL);
}

static void add_setting(apr_pool_t *p, apr_array_header_t *env, int *n, const char *key,
                        const char *value)
{
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_KEY_%d=%s", *n, key);
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_VALUE_%d=%s", *n, value);
    (*n)++;
}

/* more: "NAME=value", or "key.name value" for a setting. */
const char *const *wh_mod_git_env(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                                  const char *const *more)
{
    apr_array_header_t *env = apr_array_make(p, 80, sizeof(const char *));
    int n = 0;

    (void)s;
    add(p, env, "PATH", "/usr/bin:/bin");
    add(p, env, "HOME", "/nonexistent");
    add(p, env, "LC_ALL", "C");
    add(p, env, "GIT_CONFIG_NOSYSTEM", "1");
    add(p, env, "GIT_CONFIG_SYSTEM", "/dev/null");
    add(p, env, "GIT_CONFIG_GLOBAL", "/dev/null");
    add(p, env, "GIT_ATTR_NOSYSTEM", "1");
    add(p, env, "GIT_TERMINAL_PROMPT", "0");
    add(p, env, "GIT_ASKPASS", "/bin/false");
    add(p, env, "GIT_NO_REPLACE_OBJECTS", "1");
    add(p, env, "GIT_ALLOC_LIMIT", "1g"); /* an object is as large as it says it is */
    for (apr_size_t i = 0; i < WH_ARRAY_LEN(settings); i++) {
        add_setting(p, env, &n, settings[i][0], settings[i][1]);
    }
    add_setting(p, env, &n, "safe.directory", repo->path);
    for (; more != NULL && *more != NULL; more++) {
        const char *space = strchr(*more, ' ');

        if (space != NULL && memchr(*more, '=', (apr_size_t)(space - *more)) == NULL) {
            add_setting(p, env, &n, apr_pstrmemdup(p, *more, (apr_size_t)(space - *more)),
                        space + 1);
        } else {
            APR_ARRAY_PUSH(env, const char *) = *more;
        }
    }
    add(p, env, "GIT_CONFIG_COUNT", apr_itoa(p, n));
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (const char *const *)env->elts;
}
