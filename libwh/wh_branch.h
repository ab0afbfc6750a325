/* wh_branch: which environment a branch belongs to (F190, F191, F221).
 *
 * A pattern is a branch in which, segment by segment between slashes, '*' stands for any run of
 * bytes, and a segment that is "**" for one or more whole segments (docs/names.md has examples).
 * Pure and thread-safe. */
#ifndef WH_BRANCH_H
#define WH_BRANCH_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_BRANCH_PRODUCTION "production"
#define WH_BRANCH_PREVIEW "preview-" /* an environment that begins so belongs to one branch */
#define WH_BRANCH_RULES_MAX 100      /* of one app */

typedef struct wh_branch_rule_t {
    const char *environment;
    const char *pattern;
    apr_int64_t position; /* the lowest that matches takes the branch */
    apr_time_t created_at, updated_at;
} wh_branch_rule_t;

/* 1-255 bytes, and a branch once its stars are letters. Code: pattern_invalid (400, /pattern). */
apr_status_t wh_branch_pattern_check(const char *pattern, wh_err_t *err) WH_MUST_CHECK;

/* 1 or 0. In time proportional to the product of both lengths at most. */
int wh_branch_match(const char *pattern, const char *branch);

/* 1 for an environment that only a preview may have. */
int wh_branch_is_preview(const char *environment);

/* The environment of a branch's preview: "preview-", as much of the branch as fits, and 7 hex
 * digits of its SHA-256; wh_host_env_check holds for it. In p. */
const char *wh_branch_preview(apr_pool_t *p, const char *branch);

/* Where an environment of an app answers, below a site ("https://apps.example"); ref = the branch,
 * for a preview. "" without a site. In p. */
const char *wh_branch_url(apr_pool_t *p, const char *site, const char *slug,
                          const char *environment, const char *ref);

/* Where a branch goes: own (the app's branch) to production; else to the first of the rules
 * (wh_branch_rule_t, in their order; NULL = none) that matches; else, if the app has previews, to
 * the preview of the branch; else NULL. */
const char *wh_branch_environment(apr_pool_t *p, const char *branch, const char *own,
                                  const apr_array_header_t *rules, int previews);

#endif
