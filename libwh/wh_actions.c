/* wh_actions: see wh_actions.h. */
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_actions.h"
#include "libwh/wh_branch.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_oidc.h"
#include "libwh/wh_text.h"

#define REPOSITORY_MAX 140
#define LINES_MAX 4096

static const char *claim(const json_t *claims, const char *name)
{
    const char *text = json_string_value(json_object_get(claims, name));

    return text != NULL ? text : "";
}

/* ---- the rule ---- */

/* "owner/name": letters, digits, '-', '_' and '.', as GitHub has them. */
static int repository_ok(const char *s)
{
    const char *slash = strchr(s, '/');
    size_t n = strlen(s);

    if (slash == NULL || slash == s || slash[1] == '\0' || strchr(slash + 1, '/') != NULL) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!apr_isalnum(s[i]) && strchr("-_./", s[i]) == NULL) {
            return 0;
        }
    }
    return n <= REPOSITORY_MAX;
}

/* "" when the address is none of GitHub's. */
static const char *repository_of(apr_pool_t *p, const char *url)
{
    const char *name = wh_giturl_name(p, url);
    wh_giturl_parts_t parts;

    if (*wh_giturl_site(p, url) == '\0') {
        return "";
    }
    wh_giturl_parts(p, url, &parts);
    if (strcasecmp(parts.host, "github.com") != 0) {
        return "";
    }
    return repository_ok(name) ? name : "";
}

static apr_status_t invalid(const wh_json_at_t *at, const char *name, const char *why,
                            wh_err_t *err)
{
    char pointer[128];

    return wh_err_field(err, wh_json_pointer(at, name, pointer), "invalid_value", "%s", why);
}

static int lines_ok(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        if (n > 255 || !wh_text_plain(text, n)) {
            return 0;
        }
        text += n + (text[n] == '\n');
    }
    return 1;
}

static apr_status_t check(apr_pool_t *p, const wh_json_at_t *at, const wh_actions_rule_t *r,
                          wh_err_t *err)
{
    if (!wh_oidc_issuer_ok(p, r->issuer)) {
        return invalid(at, "issuer", "an issuer is an https address without a slash at its end",
                       err);
    }
    if (!repository_ok(r->repository)) {
        return invalid(at, "repository", "name the repository on GitHub: owner/name", err);
    }
    if (strspn(r->repository_id, "0123456789") != strlen(r->repository_id)) {
        return invalid(at, "repository_id", "a repository's id is a number", err);
    }
    if (!lines_ok(r->workflows)) {
        return invalid(at, "workflows", "patterns of workflow files, one a line", err);
    }
    return lines_ok(r->branches) ? APR_SUCCESS
                                 : invalid(at, "branches", "patterns of branches, one a line", err);
}

apr_status_t wh_actions_rule_decode(apr_pool_t *p, const json_t *actions, const char *hook_id,
                                    const char *repo_url, wh_actions_rule_t *out, wh_err_t *err)
{
    static const wh_json_field_t fields[] = {
        {"issuer",
         WH_JSON_T_STR,
         {.min = 1, .max = WH_OIDC_ISSUER_MAX},
         offsetof(wh_actions_rule_t, issuer)},
        {"audience",
         WH_JSON_T_STR,
         {.min = 1, .max = WH_OIDC_AUDIENCE_MAX},
         offsetof(wh_actions_rule_t, audience)},
        {"repository",
         WH_JSON_T_STR,
         {.min = 1, .max = REPOSITORY_MAX},
         offsetof(wh_actions_rule_t, repository)},
        {"repository_id",
         WH_JSON_T_STR,
         {.min = 1, .max = 20},
         offsetof(wh_actions_rule_t, repository_id)},
        {"workflows",
         WH_JSON_T_STR,
         {.flags = WH_JSON_F_LINES, .min = 0, .max = LINES_MAX},
         offsetof(wh_actions_rule_t, workflows)},
        {"branches",
         WH_JSON_T_STR,
         {.flags = WH_JSON_F_LINES, .min = 0, .max = LINES_MAX},
         offsetof(wh_actions_rule_t, branches)}};
    wh_actions_rule_t rule = {.issuer = WH_ACTIONS_ISSUER,
                              .audience = apr_pstrcat(p, "wisehost-", hook_id, NULL),
                              .repository = repository_of(p, repo_url),
                              .repository_id = "",
                              .workflows = "",
                              .branches = ""};
    const wh_json_at_t at = {.obj = actions, .pointer = "/actions"};
    apr_status_t rv = APR_SUCCESS;

    if (actions != NULL) {
        rv = wh_json_fields(&at, fields, WH_ARRAY_LEN(fields), WH_JSON_STRICT, &rule, err);
    }
    rv = rv == APR_SUCCESS ? check(p, &at, &rule, err) : rv;
    if (rv == APR_SUCCESS) {
        *out = rule;
    }
    return rv;
}

static json_t *lines(const char *text)
{
    json_t *list = json_array();

    while (*text) {
        size_t n = strcspn(text, "\n");

        (void)json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return list;
}

json_t *wh_actions_rule_json(const wh_actions_rule_t *rule)
{
    return json_pack("{s:s, s:s, s:s, s:s*, s:o, s:o}", "issuer", rule->issuer, "audience",
                     rule->audience, "repository", rule->repository, "repository_id",
                     *rule->repository_id ? rule->repository_id : NULL, "workflows",
                     lines(rule->workflows), "branches", lines(rule->branches));
}

const char *wh_actions_rule_text(apr_pool_t *p, const wh_actions_rule_t *rule)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "issuer", rule->issuer, "audience",
                  rule->audience, "repository", rule->repository, "repository_id",
                  rule->repository_id, "workflows", rule->workflows, "branches", rule->branches);

    return wh_json_text(p, wh_json_own(p, json), NULL);
}

void wh_actions_rule_load(apr_pool_t *p, const char *text, wh_actions_rule_t *out)
{
    json_t *doc;

    if (wh_json_load_object(p, text, strlen(text), NULL, &doc, NULL) != APR_SUCCESS) {
        doc = NULL;
    }
    *out = (wh_actions_rule_t){.issuer = claim(doc, "issuer"),
                               .audience = claim(doc, "audience"),
                               .repository = claim(doc, "repository"),
                               .repository_id = claim(doc, "repository_id"),
                               .workflows = claim(doc, "workflows"),
                               .branches = claim(doc, "branches")};
}

/* ---- a run ---- */

int wh_actions_own(const wh_actions_rule_t *rule, const json_t *claims)
{
    return *rule->repository && strcasecmp(claim(claims, "repository"), rule->repository) == 0 &&
           (!*rule->repository_id ||
            strcmp(claim(claims, "repository_id"), rule->repository_id) == 0);
}

static int one_fits(apr_pool_t *p, const char *patterns, const char *name)
{
    while (*patterns) {
        size_t n = strcspn(patterns, "\n");

        if (n > 0 && wh_branch_match(apr_pstrmemdup(p, patterns, n), name)) {
            return 1;
        }
        patterns += n + (patterns[n] == '\n');
    }
    return 0;
}

/* The workflow's file: "owner/name/.github/workflows/deploy.yml@refs/heads/main" without what is in
 * front and behind; "" when it is not of this repository. */
static const char *workflow_of(apr_pool_t *p, const json_t *claims)
{
    const char *repository = claim(claims, "repository"), *ref = claim(claims, "workflow_ref");
    size_t n = strlen(repository);

    if (strncasecmp(ref, repository, n) != 0 || ref[n] != '/') {
        return "";
    }
    return apr_pstrmemdup(p, ref + n + 1, strcspn(ref + n + 1, "@"));
}

static int workflow_fits(apr_pool_t *p, const char *patterns, const json_t *claims)
{
    const char *path = workflow_of(p, claims), *file = strrchr(path, '/');

    return one_fits(p, patterns, path) || one_fits(p, patterns, file != NULL ? file + 1 : path);
}

static apr_status_t refuse(wh_err_t *err, const char *why)
{
    return wh_err_set(err, 403, "token_refused", "%s", why);
}

apr_status_t wh_actions_allows(apr_pool_t *p, const wh_actions_rule_t *rule, const json_t *claims,
                               wh_err_t *err)
{
    const char *event = claim(claims, "event_name"), *ref = claim(claims, "ref");
    int branch = strncmp(ref, "refs/heads/", 11) == 0;

    if (strncmp(event, "pull_request", 12) == 0 || strncmp(ref, "refs/pull/", 10) == 0) {
        return refuse(err, "Runs of pull requests do not deploy: a webhook makes their previews.");
    }
    if (*rule->workflows && !workflow_fits(p, rule->workflows, claims)) {
        return refuse(err, "This workflow is none of those that may deploy.");
    }
    if (*rule->branches && !(branch && one_fits(p, rule->branches, ref + 11))) {
        return refuse(err, "This branch is none of those that may deploy by Actions.");
    }
    return APR_SUCCESS;
}
