/* Host headers, slugs, branches and the labels made of them. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "t/fuzz/fuzz.h"

static void check_label(const char *label)
{
    fuzz_must(strlen(label) <= WH_HOST_LABEL_MAX && wh_host_domain_ok(label));
    fuzz_must(strchr(label, '.') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    char *text = apr_pstrmemdup(p, (const char *)data, n);
    const char *name, *again, *label;

    if (wh_host_normalise(p, text, &name, NULL) == APR_SUCCESS) {
        fuzz_must(strlen(name) <= WH_HOST_NAME_MAX + 2 && strpbrk(name, "/%\\ @") == NULL);
        fuzz_must(wh_host_normalise(p, name, &again, NULL) == APR_SUCCESS);
        fuzz_must(strcmp(name, again) == 0);
        if (wh_host_label_of(p, name, "localhost", &label) == WH_HOST_LABEL)
            fuzz_must(*label && strchr(label, '.') == NULL);
    }
    if (wh_host_slug_check(text, NULL) == APR_SUCCESS) {
        check_label(wh_host_label_app(p, text));
        check_label(wh_host_label_env(p, text, "staging"));
        check_label(wh_host_label_deployment(p, text, "x", 40));
    }
    if (wh_host_env_check(text, NULL) == APR_SUCCESS)
        check_label(wh_host_label_env(p, "abcdefghijklmnopqrstuvwxyzabcdefghijklmn", text));
    if (wh_host_branch_check(text, NULL) == APR_SUCCESS) {
        fuzz_must(text[0] != '-');
        check_label(wh_host_label_branch(p, "blog", text));
    }
    if (wh_host_commit_check(text, NULL) == APR_SUCCESS)
        fuzz_must(strlen(text) == 40 || strlen(text) == 64);
    if (wh_model_address_ok(text))
        fuzz_must(strpbrk(text, " /@%[]\n") == NULL);
    return 0;
}
