/* Bodies of the API, and snapshots. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_model.h"
#include "t/fuzz/fuzz.h"

static void try_app(apr_pool_t *p, json_t *body)
{
    wh_model_app_opt_t opt = {.local_repo_root = "/srv/git"};
    wh_err_t err = WH_ERR_INIT;
    wh_snapshot_t s;
    wh_app_t app;

    if (wh_model_app_decode(p, body, &opt, &app, &err) != APR_SUCCESS) {
        fuzz_must(err.http == 400 && err.code[0]);
        return;
    }
    fuzz_must(wh_host_slug_check(app.slug, NULL) == APR_SUCCESS);
    fuzz_must(wh_giturl_check(p, app.repo_url, opt.local_repo_root, NULL) == APR_SUCCESS);
    fuzz_must(wh_host_branch_check(app.repo_branch, NULL) == APR_SUCCESS);
    fuzz_must(app.run_port >= 1 && app.run_port <= 65535 && app.run_health_path[0] == '/');
    fuzz_must(wh_json_own(p, wh_model_app_json(p, &app, NULL)) != NULL);
    fuzz_must(wh_model_snapshot_parse(p, wh_model_snapshot_text(p, &app), &s, &err) == APR_SUCCESS);
    opt.patch = 1; /* the same body again changes nothing and is fine */
    fuzz_must(wh_model_app_decode(p, body, &opt, &app, &err) == APR_SUCCESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    wh_worker_register_t worker;
    wh_deploy_request_t deploy;
    wh_snapshot_t snapshot;
    wh_model_hook_new_t hook;
    const char *a, *b;
    json_t *body;

    if (wh_json_load(p, (const char *)data, n, NULL, &body, NULL) != APR_SUCCESS)
        return 0;
    try_app(p, body);
    if (wh_model_deploy_request_decode(p, body, &deploy, NULL) == APR_SUCCESS) {
        fuzz_must(!*deploy.ref || !*deploy.commit);
        fuzz_must(!*deploy.ref || wh_host_branch_check(deploy.ref, NULL) == APR_SUCCESS);
        fuzz_must(!*deploy.commit || wh_host_commit_check(deploy.commit, NULL) == APR_SUCCESS);
    }
    if (wh_model_worker_register_decode(p, body, &worker, NULL) == APR_SUCCESS)
        fuzz_must(wh_model_address_ok(worker.address) && strlen(worker.api_key) == 64);
    (void)!wh_model_snapshot_decode(p, body, &snapshot, NULL);
    (void)!wh_model_hook_decode(p, body, 1, &hook, NULL);
    (void)!wh_model_login_decode(p, body, &a, &b, NULL);
    return 0;
}
