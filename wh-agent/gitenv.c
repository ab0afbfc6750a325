#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_giturl.h"
#include "wh-agent/gitenv.h"

/* Configuration by environment, so that no file in the cache has to be trusted or written. */
static const char *const settings[][2] = {
    {"protocol.allow", "never"},
    {"core.hooksPath", "/dev/null"},
    {"core.fsmonitor", "false"},
    {"core.askPass", ""},
    {"core.attributesFile", "/dev/null"},
    {"core.excludesFile", "/dev/null"},
    {"core.fsync", "none"}, /* a cache: what a power cut spoils is fetched again */
    {"core.packedGitLimit", "256m"},
    {"core.packedGitWindowSize", "32m"},
    {"core.bigFileThreshold", "16m"},
    {"credential.helper", ""},
    {"transfer.fsckObjects", "true"},
    {"fetch.fsckObjects", "true"},
    {"fetch.recurseSubmodules", "false"},
    {"fetch.unpackLimit", "1"}, /* always one pack a fetch: what the cache holds can be counted */
    {"submodule.recurse", "false"},
    {"fastimport.unpackLimit", "0"}, /* likewise */
    {"gc.auto", "0"},
    {"maintenance.auto", "false"},
    {"pack.threads", "1"},
    {"http.followRedirects", "false"},
    {"http.proxy", ""},
    {"http.maxRequests", "2"},
    {"http.lowSpeedLimit", "1000"},
    {"http.lowSpeedTime", "30"},
    {"http.sslVerify", "true"},
    {"tar.umask", "0022"},
};

static void add_setting(apr_pool_t *p, apr_array_header_t *env, int *n, const char *key,
                        const char *value)
{
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_KEY_%d=%s", *n, key);
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_VALUE_%d=%s", *n, value);
    (*n)++;
}

/* The one transport that the address names. */
static const char *protocol_of(const wh_source_opts_t *opts)
{
    switch (wh_giturl_kind(opts->url)) {
    case WH_GITURL_LOCAL:
        return "file";
    case WH_GITURL_HUB:
        return opts->hub_url && strncmp(opts->hub_url, "http://", 7) == 0 ? "http" : "https";
    case WH_GITURL_SSH:
        return "ssh";
    case WH_GITURL_HTTPS:
    default:
        return "https";
    }
}

/* Where what the repository asks for lies (wh_gitauth.h): only names stand here. */
static void add_auth(apr_pool_t *p, apr_array_header_t *env, int *n, const wh_source_opts_t *opts)
{
    if (wh_giturl_kind(opts->url) == WH_GITURL_SSH) {
        APR_ARRAY_PUSH(env, const char *) = "GIT_SSH_COMMAND=" WH_GITAUTH_SSH;
        APR_ARRAY_PUSH(env, const char *) = "GIT_SSH_VARIANT=ssh";
    } else if (wh_gitauth_fits(p, opts->auth, opts->url)) {
        add_setting(p, env, n, "credential.helper", WH_GITAUTH_HELPER);
    }
}

const char *const *wh_gitenv_make(apr_pool_t *p, const wh_source_opts_t *opts, const char *pin)
{
    const char *protocol = protocol_of(opts);
    int web = strncmp(protocol, "http", 4) == 0;
    apr_array_header_t *env = apr_array_make(p, 80, sizeof(const char *));
    int n = 0;

    APR_ARRAY_PUSH(env, const char *) = "PATH=/usr/bin:/bin";
    APR_ARRAY_PUSH(env, const char *) = "HOME=/nonexistent";
    APR_ARRAY_PUSH(env, const char *) = "LC_ALL=C";
    APR_ARRAY_PUSH(env, const char *) = "GIT_CONFIG_NOSYSTEM=1";
    APR_ARRAY_PUSH(env, const char *) = "GIT_CONFIG_SYSTEM=/dev/null";
    APR_ARRAY_PUSH(env, const char *) = "GIT_CONFIG_GLOBAL=/dev/null";
    APR_ARRAY_PUSH(env, const char *) = "GIT_ATTR_NOSYSTEM=1";
    APR_ARRAY_PUSH(env, const char *) = "GIT_TERMINAL_PROMPT=0";
    APR_ARRAY_PUSH(env, const char *) = "GIT_ASKPASS=/bin/false";
    APR_ARRAY_PUSH(env, const char *) = "GIT_OPTIONAL_LOCKS=0";
    APR_ARRAY_PUSH(env, const char *) = "GIT_LFS_SKIP_SMUDGE=1";
    APR_ARRAY_PUSH(env, const char *) = "GIT_NO_REPLACE_OBJECTS=1";
    APR_ARRAY_PUSH(env, const char *) = apr_pstrcat(p, "GIT_ALLOW_PROTOCOL=", protocol, NULL);
    if (opts->mark != NULL)
        APR_ARRAY_PUSH(env, const char *) = opts->mark;
    for (size_t i = 0; i < WH_ARRAY_LEN(settings); i++)
        add_setting(p, env, &n, settings[i][0], settings[i][1]);
    if (opts->auth != NULL)
        add_auth(p, env, &n, opts);
    if (web && pin[0] != '\0')
        add_setting(p, env, &n, "http.curloptResolve", pin);
    if (wh_giturl_kind(opts->url) == WH_GITURL_HUB && opts->bearer != NULL)
        add_setting(p, env, &n, "http.extraHeader",
                    apr_pstrcat(p, "Authorization: Bearer ", opts->bearer, NULL));
    if (web && opts->ca_file != NULL && opts->ca_file[0] != '\0')
        add_setting(p, env, &n, "http.sslCAInfo", opts->ca_file);
    APR_ARRAY_PUSH(env, const char *) = apr_psprintf(p, "GIT_CONFIG_COUNT=%d", n);
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (const char *const *)env->elts;
}
