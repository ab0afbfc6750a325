#include "wh-scheduler/forges_text.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_text.h"

static wh_forge_state_e state_of(const wh_deployment_t *d)
{
    switch (d->conclusion) {
    case WH_CONCLUSION_NONE:
        return WH_FORGE_PENDING;
    case WH_CONCLUSION_SUCCEEDED:
        return WH_FORGE_SUCCESS;
    case WH_CONCLUSION_FAILED:
        return WH_FORGE_FAILURE;
    case WH_CONCLUSION_CANCELED:
    case WH_CONCLUSION_SKIPPED:
    default:
        return WH_FORGE_CANCELED;
    }
}

/* Words of our own and codes alone: what a build prints is nobody's comment. */
static const char *words(apr_pool_t *p, const wh_deployment_t *d)
{
    const char *code = d->cause_code[0] != '\0' ? d->cause_code : "no cause";

    switch (d->conclusion) {
    case WH_CONCLUSION_NONE:
        return d->untrusted && d->approved_at == 0 ? "Waits for approval" : "Being deployed";
    case WH_CONCLUSION_SUCCEEDED:
        return "Deployed";
    case WH_CONCLUSION_FAILED:
        return apr_pstrcat(p, "Failed: ", code, NULL);
    case WH_CONCLUSION_CANCELED:
        return "Canceled";
    case WH_CONCLUSION_SKIPPED:
    default:
        return "Skipped: a newer commit took its place";
    }
}

static const char *url_of(apr_pool_t *p, const wh_db_forge_t *f, const wh_deployment_t *d,
                          const char *label)
{
    const char *url = wh_host_site_url(p, d->site, label);

    return url[0] != '\0' ? url : f->url;
}

void wh_forges_status(apr_pool_t *p, const wh_db_forge_t *f, const wh_deployment_t *d,
                      wh_forge_vars_t *vars)
{
    const char *environment = wh_branch_is_preview(d->environment) ? "preview" : d->environment;
    int main_one = strcmp(environment, WH_BRANCH_PRODUCTION) == 0;

    vars->state = state_of(d);
    vars->sha = d->commit_sha;
    vars->target = url_of(p, f, d, wh_host_label_deployment(p, f->slug, d->id, WH_HOST_ID_DIGITS));
    vars->description = wh_text_cap(p, words(p, d), 140);
    vars->context = apr_pstrcat(p, "wisehost/", f->slug, main_one ? "" : "/",
                                main_one ? "" : environment, NULL);
}

const char *wh_forges_marker(apr_pool_t *p, const wh_db_forge_t *f, const char *environment)
{
    return apr_pstrcat(p, "<!-- wisehost:", f->slug, ":", environment, " -->", NULL);
}

const char *wh_forges_comment(apr_pool_t *p, const wh_db_forge_t *f, const wh_db_forge_request_t *r,
                              const wh_deployment_t *d)
{
    const char *head = apr_pstrcat(p, wh_forges_marker(p, f, r->environment), "\n**Preview of ",
                                   f->slug, "**\n\n| | |\n|---|---|\n", NULL);

    if (r->closed) {
        return apr_pstrcat(p, head, "| State | Closed: the preview is gone |\n", NULL);
    }
    if (d == NULL) {
        return apr_pstrcat(p, head, "| State | Waits |\n", NULL);
    }
    return apr_pstrcat(
        p, head, "| State | ", words(p, d), " |\n| Preview | ",
        url_of(p, f, d, wh_host_label_branch(p, f->slug, d->commit_ref)), " |\n| Commit | `",
        d->commit_sha[0] != '\0' ? wh_text_short_sha(p, d->commit_sha) : "-", "` |\n", NULL);
}
