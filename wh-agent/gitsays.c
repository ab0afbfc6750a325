#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_user.h>
#include "libwh/wh_giturl.h"
#include "libwh/wh_text.h"
#include "wh-agent/gitsays.h"

/* What is wrong with an object stands in front of the last word, which names no cause. */
static const char *bad_object(apr_pool_t *p, const char *errors)
{
    const char *at = strstr(errors, "error: object ");

    if (at == NULL || strstr(errors, "fsck error") == NULL)
        return NULL;
    at += sizeof("error: ") - 1;
    return wh_text_clean_line(p, at, strcspn(at, "\n"), 300);
}

const char *wh_gitsays_line(apr_pool_t *p, const char *errors)
{
    static const char *const starts[] = {"fatal: ", "error: ", "ERROR: "};
    const char *object = bad_object(p, errors);

    if (object != NULL)
        return object;
    for (size_t i = 0; i < WH_ARRAY_LEN(starts); i++) {
        const char *at = strstr(errors, starts[i]);

        if (at != NULL && (at == errors || at[-1] == '\n' || at[-1] == '\r')) {
            at += strlen(starts[i]);
            return wh_text_clean_line(p, at, strcspn(at, "\n"), 300);
        }
    }
    return "";
}

/* git takes a local repository from its own user only: who has this one, and how that is mended. */
static apr_status_t not_ours(apr_pool_t *p, const char *path, wh_err_t *err)
{
    const char *const places[] = {path, apr_pstrcat(p, path, "/.git", NULL)};
    char *owner = NULL, *me = NULL;
    struct stat st;
    size_t i = 0;

    while (i < WH_ARRAY_LEN(places) && (lstat(places[i], &st) != 0 || st.st_uid == geteuid()))
        i++;
    if (i == WH_ARRAY_LEN(places) || apr_uid_name_get(&me, geteuid(), p) != APR_SUCCESS)
        return wh_err_set(err, 422, "clone_failed",
                          "git does not take %s: everything in it must belong to the agent's user",
                          path);
    if (apr_uid_name_get(&owner, st.st_uid, p) != APR_SUCCESS)
        owner = apr_psprintf(p, "the user with number %ld", (long)st.st_uid);
    return wh_err_set(err, 422, "clone_failed",
                      "git does not take %s: it belongs to %s, and must belong to %s, the agent's "
                      "user: chown -R %s %s",
                      path, owner, me, me, path);
}

/* What ssh, and git over https, say when it is the key, the token or the host's key. */
static const struct {
    const char *said, *means;
} refusals[] = {
    {"Host key verification failed",
     "the key of its host is not the one that is known, or none is known: see wh apps known-hosts"},
    {"Permission denied (", "it does not take the app's deploy key: see wh apps deploy-key"},
    {"Load key \"", "ssh cannot read the app's deploy key: give another one"},
    {"Authentication failed for", "it does not take the app's credentials: see wh apps credentials"},
    {"could not read Username", "it asks for credentials: see wh apps credentials"},
    {"could not read Password", "it asks for credentials: see wh apps credentials"},
};

static int refused_us(apr_pool_t *p, const wh_source_opts_t *opts, const char *errors,
                      wh_err_t *err)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(refusals); i++) {
        if (strstr(errors, refusals[i].said) == NULL)
            continue;
        (void)wh_err_set(err, 422, "repository_auth", "the repository at %s was not to be had: %s",
                         wh_giturl_site(p, opts->url), refusals[i].means);
        return 1;
    }
    return 0;
}

apr_status_t wh_gitsays_fetch_failed(apr_pool_t *p, const wh_source_opts_t *opts,
                                     const char *errors, wh_err_t *err)
{
    const char *says = wh_gitsays_line(p, errors);
    int is_commit = opts->sha[0] != '\0';

    if (strstr(errors, "couldn't find remote ref") != NULL ||
        strstr(errors, "not our ref") != NULL || strstr(errors, "no such remote ref") != NULL)
        return wh_err_set(err, 422, "ref_not_found", "the repository has no %s %s",
                          is_commit ? "commit" : "branch", is_commit ? opts->sha : opts->branch);
    if (refused_us(p, opts, errors, err))
        return APR_EGENERAL;
    if (wh_giturl_kind(opts->url) == WH_GITURL_HUB && strstr(errors, "returned error: 409") != NULL)
        return wh_err_set(err, 422, "clone_failed",
                          "nothing was pushed or uploaded to this app yet: wh git remote, then git "
                          "push; or wh deploy --upload");
    if (strstr(errors, "dubious ownership") != NULL && wh_giturl_kind(opts->url) == WH_GITURL_LOCAL)
        return not_ours(p, opts->url, err);
    return wh_err_set(err, 422, "clone_failed", "git could not fetch the repository%s%s",
                      says[0] != '\0' ? ": " : "", says);
}
