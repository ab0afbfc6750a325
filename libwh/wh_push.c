/* wh_push: see wh_push.h. */
#include <stddef.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_push.h"
#include "libwh/wh_text.h"

#define HEADS "refs/heads/"

static const struct {
    const char *name;
    size_t offset;
} switches[] = {
    {"preview", offsetof(wh_push_opts_t, preview)},
    {"no-wait", offsetof(wh_push_opts_t, no_wait)},
    {"no-deploy", offsetof(wh_push_opts_t, no_deploy)},
    {"strict", offsetof(wh_push_opts_t, strict)},
};

static apr_status_t unknown(apr_pool_t *p, const char *text, wh_err_t *err)
{
    return wh_err_set(err, 400, "push_option",
                      "There is no push option \"%s\"; there are preview, environment=NAME, "
                      "strict, no-wait, no-deploy and kind=static|container.",
                      wh_text_log_escape(p, text, strlen(text), 80));
}

/* "name=value" */
static const char *value_of(const char *text, const char *name)
{
    size_t n = strlen(name);

    return strncmp(text, name, n) == 0 && text[n] == '=' ? text + n + 1 : NULL;
}

apr_status_t wh_push_option(apr_pool_t *p, const char *text, wh_push_opts_t *opts, wh_err_t *err)
{
    const char *value;
    wh_kind_e kind;

    for (size_t i = 0; i < WH_ARRAY_LEN(switches); i++) {
        if (strcmp(text, switches[i].name) == 0) {
            *(int *)(void *)((char *)opts + switches[i].offset) = 1;
            return APR_SUCCESS;
        }
    }
    value = value_of(text, "environment");
    if (value != NULL) {
        if (wh_host_env_check(value, err) != APR_SUCCESS)
            return APR_EGENERAL;
        if (wh_branch_is_preview(value))
            return wh_err_set(err, 400, "push_option",
                              "An environment that begins with \"" WH_BRANCH_PREVIEW
                              "\" is a preview's: use -o preview.");
        opts->environment = apr_pstrdup(p, value);
        return APR_SUCCESS;
    }
    value = value_of(text, "kind");
    if (value != NULL && wh_model_kind_of(value, &kind)) {
        opts->kind = wh_model_kind_text(kind);
        return APR_SUCCESS;
    }
    return unknown(p, text, err);
}

apr_status_t wh_push_options_check(const wh_push_opts_t *opts, wh_err_t *err)
{
    if (opts->preview && *opts->environment)
        return wh_err_set(err, 400, "push_option",
                          "preview and environment say two places: give one.");
    if (opts->strict && opts->no_wait)
        return wh_err_set(err, 400, "push_option",
                          "strict waits for the deployment: it does not go with no-wait.");
    if (opts->strict && opts->no_deploy)
        return wh_err_set(err, 400, "push_option",
                          "strict wants a deployment: it does not go with no-deploy.");
    return APR_SUCCESS;
}

apr_status_t wh_push_branch(apr_pool_t *p, const char *ref, const char **branch, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;

    *branch = "";
    if (strncmp(ref, HEADS, sizeof(HEADS) - 1) != 0)
        return wh_err_set(err, 400, "push_ref", "Only branches are taken here, and %s is none.",
                          wh_text_log_escape(p, ref, strlen(ref), 120));
    *branch = ref + sizeof(HEADS) - 1;
    if (wh_host_branch_check(*branch, &why) != APR_SUCCESS)
        return wh_err_set(err, 400, "push_ref", "The branch %s is not taken: %s.",
                          wh_text_log_escape(p, *branch, strlen(*branch), 120), why.text);
    return APR_SUCCESS;
}

int wh_push_none(const char *oid)
{
    return oid[strspn(oid, "0")] == '\0';
}

const char *wh_push_own_branch(const apr_array_header_t *branches)
{
    static const char *const usual[] = {"main", "master"};

    for (size_t u = 0; u < WH_ARRAY_LEN(usual); u++) {
        for (int i = 0; i < branches->nelts; i++) {
            if (strcmp(APR_ARRAY_IDX(branches, i, const char *), usual[u]) == 0)
                return usual[u];
        }
    }
    return APR_ARRAY_IDX(branches, 0, const char *);
}
