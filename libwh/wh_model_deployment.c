/* wh_model_deployment: deployments as JSON, and the body that asks for one. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

/* Of an app of an image: as it was asked for, and what that was when it was pulled. */
static json_t *image_json(apr_pool_t *p, const wh_deployment_t *d)
{
    wh_snapshot_t snapshot;

    if (wh_model_snapshot_parse(p, d->snapshot, &snapshot, NULL) != APR_SUCCESS ||
        !*snapshot.image)
        return json_null();
    return json_pack("{s:s, s:o}", "reference", snapshot.image, "digest",
                     wh_model_int_text(d->image_digest));
}

json_t *wh_model_deployment_json(apr_pool_t *p, const wh_deployment_t *d,
                                 const wh_model_deployment_view_t *view)
{
    json_t *cause = *d->cause_code ? json_pack("{s:s, s:s}", "code", d->cause_code, "detail",
                                               d->cause_detail)
                                   : json_null();
    json_t *commit = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "sha", wh_model_int_text(d->commit_sha), "ref",
        wh_model_int_text(d->commit_ref), "message", wh_model_int_text(d->commit_message),
        "author", wh_model_int_text(d->commit_author), "at", wh_model_int_time(d->commit_at));

    return json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:b,"
        " s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", d->id, "app", view->app_slug, "environment", d->environment, "number",
        (json_int_t)d->number, "status", wh_model_deployment_status_text(d->status),
        "conclusion", wh_model_int_text(wh_model_conclusion_text(d->conclusion)), "phase",
        wh_model_phase_text(d->phase), "cause", cause, "trigger",
        wh_model_trigger_text(d->trigger), "commit", commit, "image", image_json(p, d), "worker",
        wh_model_int_text(view->worker), "release", wh_model_int_text(d->release_id), "url",
        wh_model_int_text(view->url), "urls", wh_model_int_strings(view->urls), "serving",
        wh_model_serving_text(view->serving), "environments",
        wh_model_int_strings(view->environments), "retained", view->retained, "source",
        wh_model_int_text(d->source_id != NULL ? d->source_id : ""), "approval",
        wh_model_int_text(!d->untrusted ? "" : d->approved_at ? "given" : "needed"), "timings",
        wh_model_int_object(d->timings), "created_at", wh_model_int_time(d->created_at),
        "started_at", wh_model_int_time(d->started_at), "finished_at",
        wh_model_int_time(d->finished_at));
}

apr_status_t wh_model_deploy_request_decode(apr_pool_t *p, json_t *body,
                                            wh_deploy_request_t *out, wh_err_t *err)
{
    static const char *const names[] = {"environment", "ref", "commit", "uploaded", "placement"};
    const wh_model_int_place_t place = {
        .worker = &out->place_worker, .zone = &out->place_zone, .labels = &out->place_labels};
    wh_json_at_t at;
    apr_status_t rv;
    char *commit;

    *out = (wh_deploy_request_t){.environment = "production",
                                 .ref = "",
                                 .commit = "",
                                 .place_worker = "",
                                 .place_zone = "",
                                 .place_labels = "{}"};
    if (!body)
        return APR_SUCCESS;
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    at = wh_json_root(wh_json_own(p, json_incref(body)));
    if ((rv = wh_json_only(&at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "environment", 1, WH_HOST_ENV_MAX, "production",
                               &out->environment, err)) != APR_SUCCESS ||
        (rv = wh_host_env_check(out->environment, err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "ref", 1, WH_HOST_BRANCH_MAX, "", &out->ref, err)) !=
            APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "commit", 1, 64, "", &out->commit, err)) != APR_SUCCESS ||
        (rv = wh_json_bool(&at, "uploaded", 0, &out->uploaded, err)) != APR_SUCCESS ||
        (rv = wh_model_int_placement(p, &at, 1, &place, err)) != APR_SUCCESS)
        return rv;
    if (out->uploaded && !*out->commit)
        return wh_err_field(err, "/commit", "no_commit", "name the commit of the upload");
    out->placed = wh_json_has(&at, "placement");
    out->environment_named = json_is_string(json_object_get(body, "environment"));
    if (wh_branch_is_preview(out->environment))
        return wh_err_field(err, "/environment", "environment_invalid",
                            "a preview is deployed by its branch: name ref alone");
    if (*out->ref && *out->commit)
        return wh_err_field(err, "/commit", "both_ref_and_commit",
                            "name a ref or a commit, not both");
    if (*out->ref)
        return wh_model_int_at(&at, "ref", wh_host_branch_check(out->ref, err), err);
    if (*out->commit) {
        commit = apr_pstrdup(p, out->commit);
        for (out->commit = commit; *commit; commit++) {
            if (*commit >= 'A' && *commit <= 'F')
                *commit = (char)(*commit + 32);
        }
        return wh_model_int_at(&at, "commit", wh_host_commit_check(out->commit, err), err);
    }
    return APR_SUCCESS;
}
