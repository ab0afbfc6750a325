/* A GitHub delivery: the signature header and the body behind it. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_text.h"
#include "t/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    char *text = apr_pstrmemdup(p, (const char *)data, n);
    wh_err_t err = WH_ERR_INIT;
    unsigned char mac[32];
    wh_hook_push_t push;

    if (wh_hook_signature_parse(text, mac, &err) == APR_SUCCESS)
        fuzz_must(strlen(text) == 71);
    fuzz_must(wh_hook_verify("a secret", data, n, text, &err) != APR_SUCCESS);
    fuzz_must(err.http == 401);
    (void)wh_hook_event(text);
    (void)wh_hook_delivery_ok(text);
    if (wh_hook_github_push(p, (const char *)data, n, &push, &err) != APR_SUCCESS) {
        fuzz_must(err.http == 422);
        return 0;
    }
    fuzz_must(strncmp(push.ref, "refs/", 5) == 0);
    fuzz_must(strlen(push.after) == 40 || strlen(push.after) == 64);
    fuzz_must(strlen(push.message) <= WH_HOOK_MESSAGE_MAX);
    fuzz_must(wh_text_utf8_ok(push.message, strlen(push.message)));
    fuzz_must(!strchr(push.message, '\n') && !strchr(push.author, '\n'));
    if (push.branch)
        fuzz_must(wh_host_branch_check(push.branch, NULL) == APR_SUCCESS);
    /* Only a real commit of the very branch is ever built. */
    if (!wh_hook_decide(WH_HOOK_PUSH, &push, "main")) {
        fuzz_must(strcmp(push.branch, "main") == 0 && !push.deleted && !push.tag);
        fuzz_must(wh_host_commit_check(push.after, NULL) == APR_SUCCESS);
    }
    return 0;
}
