/* wh_actions: which workflow runs of GitHub Actions may deploy an app, by the claims of a token
 * that wh_oidc_verify let through. What a run says of its commit is read like any delivery
 * (wh_hook_provider.def). Pure and thread-safe. */
#ifndef WH_ACTIONS_H
#define WH_ACTIONS_H

#include "libwh/wh_json.h"

#define WH_ACTIONS_ISSUER "https://token.actions.githubusercontent.com"
#define WH_ACTIONS_PROVIDER "github-actions"

/* Texts: "" = not asked for. */
typedef struct wh_actions_rule_t {
    const char *issuer, *audience;
    const char *repository;    /* "owner/name" */
    const char *repository_id; /* a repository that is deleted and made anew has another one */
    const char *workflows;     /* patterns, one a line: of the file, or of its path from the top */
    const char *branches;      /* patterns as wh_branch.h has them, one a line */
} wh_actions_rule_t;

/* Reads "actions" of a hook's body; NULL = it is not there, and all is as by default: GitHub,
 * the audience "wisehost-" and the hook's id, and the repository that repo_url names on github.com.
 * Codes: those of wh_json.h, invalid_value (400, /actions/…). */
apr_status_t wh_actions_rule_decode(apr_pool_t *p, const json_t *actions, const char *hook_id,
                                    const char *repo_url, wh_actions_rule_t *out,
                                    wh_err_t *err) WH_MUST_CHECK;

/* {issuer, audience, repository, repository_id|null, workflows[], branches[]}: a new reference. */
json_t *wh_actions_rule_json(const wh_actions_rule_t *rule);

/* As it is stored, and back; all texts "" when it is none. */
const char *wh_actions_rule_text(apr_pool_t *p, const wh_actions_rule_t *rule);
void wh_actions_rule_load(apr_pool_t *p, const char *text, wh_actions_rule_t *out);

/* Whether it is the repository that is asked for: 1 or 0. Whoever is of another one is a stranger.
 */
int wh_actions_own(const wh_actions_rule_t *rule, const json_t *claims);

/* The rest: requests are refused whatever the rule says, for they run what somebody proposes.
 * Code: token_refused (403). */
apr_status_t wh_actions_allows(apr_pool_t *p, const wh_actions_rule_t *rule, const json_t *claims,
                               wh_err_t *err) WH_MUST_CHECK;

#endif
