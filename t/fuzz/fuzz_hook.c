/* Deliveries: the value of the signature header, and the body behind it, as every forge would send
 * it. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "t/fuzz/fuzz.h"

static void one(apr_pool_t *p, const wh_hook_event_t *event)
{
    wh_hook_want_t want = {.branch = "main", .previews = 1};
    wh_hook_plan_t plan;
    wh_hook_event_t back;
    char *text = wh_json_text(p, wh_json_own(p, wh_hook_event_json(event)), NULL);

    fuzz_must(text && strlen(text) <= 256 * 1024);
    fuzz_must(wh_hook_event_load(p, text, &back, NULL) == APR_SUCCESS && back.kind == event->kind);
    fuzz_must(strlen(event->message) <= WH_HOOK_MESSAGE_MAX);
    fuzz_must(wh_text_utf8_ok(event->message, strlen(event->message)));
    fuzz_must(!strchr(event->message, '\n') && !strchr(event->author, '\n'));
    if (event->branch)
        fuzz_must(wh_host_branch_check(event->branch, NULL) == APR_SUCCESS);
    wh_hook_plan(p, event, &want, &plan);
    if (plan.reason)
        return;
    /* Only a real commit of a branch of git's is ever built, and a stranger's only when approved.
     */
    fuzz_must(wh_host_branch_check(plan.ref, NULL) == APR_SUCCESS);
    fuzz_must(wh_host_env_check(plan.environment, NULL) == APR_SUCCESS);
    fuzz_must(event->head ? !*event->sha : wh_host_commit_check(event->sha, NULL) == APR_SUCCESS);
    fuzz_must(event->kind == WH_HOOK_PUSH || event->kind == WH_HOOK_REQUEST_OPEN ||
              event->kind == WH_HOOK_REQUEST_SYNC);
    fuzz_must(plan.hold == event->fork);
}

static const char *const names[] = {
    "push",      "pull_request",        "delete", "Push Hook", "Merge Request Hook",
    "repo:push", "pullrequest:updated", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    char *text = apr_pstrmemdup(p, (const char *)data, n);
    const char *const secrets[] = {"a secret", "another"};
    const wh_hook_provider_t *provider;
    wh_err_t err = WH_ERR_INIT;

    (void)wh_hook_delivery_ok(text);
    for (int i = 0; (provider = wh_hook_provider_at(i)) != NULL; i++) {
        if (wh_hook_verify(provider, text, data, n, secrets, 2, &err) != APR_SUCCESS)
            fuzz_must(err.http == 401);
        for (size_t k = 0; k < WH_ARRAY_LEN(names); k++) {
            wh_hook_decoded_t out;

            if (wh_hook_decode(p, provider, names[k], (const char *)data, n, &out, &err) !=
                APR_SUCCESS) {
                fuzz_must(err.http == 422);
                continue;
            }
            fuzz_must(out.events->nelts >= 1 && out.events->nelts <= WH_HOOK_CHANGES_MAX);
            for (int j = 0; j < out.events->nelts; j++)
                one(p, &APR_ARRAY_IDX(out.events, j, wh_hook_event_t));
        }
    }
    return 0;
}
