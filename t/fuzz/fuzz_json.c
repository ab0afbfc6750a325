/* The strict JSON loader and its getters. What is accepted must survive writing and reading again.
 */
#include <string.h>
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "t/fuzz/fuzz.h"

static void check_error(const wh_err_t *err)
{
    fuzz_must(err->code[0] != '\0' && err->http >= 400 && err->http < 500);
    fuzz_must(wh_text_utf8_ok(err->text, WH_TEXT_NUL) && wh_text_plain(err->text, WH_TEXT_NUL));
    fuzz_must(wh_text_utf8_ok(err->pointer, WH_TEXT_NUL) &&
              wh_text_plain(err->pointer, WH_TEXT_NUL));
}

/* Every getter on every name, whatever stands there. */
static void try_getters(const wh_json_at_t *at, int depth)
{
    static const char *const names[] = {"name", "port", "spa", "repository", "labels", "a/b~c"};
    static const wh_json_rule_t rule = {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = 64};
    wh_err_t err = WH_ERR_INIT;

    if (wh_json_only(at, names, WH_ARRAY_LEN(names), &err) != APR_SUCCESS)
        check_error(&err);
    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        const json_t *array = NULL;
        const char *text = NULL;
        apr_int64_t number = 0;
        wh_json_at_t sub = {.obj = NULL};
        int flag = 0;

        if (wh_json_str(at, names[i], &rule, &text, &err) == APR_SUCCESS)
            fuzz_must(strlen(text) <= 64 && wh_text_plain(text, WH_TEXT_NUL));
        else
            check_error(&err);
        if (wh_json_int(at, names[i], &rule, &number, &err) == APR_SUCCESS)
            fuzz_must(number >= 1 && number <= 64);
        if (wh_json_bool(at, names[i], WH_JSON_F_NULL, &flag, &err) == APR_SUCCESS)
            fuzz_must(flag == 0 || flag == 1);
        if (wh_json_arr(at, names[i], &rule, &array, &err) == APR_SUCCESS)
            fuzz_must(json_array_size(array) <= 64);
        if (wh_json_obj(at, names[i], WH_JSON_F_NULL, &sub, &err) == APR_SUCCESS &&
            sub.obj != NULL && depth < 8)
            try_getters(&sub, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    wh_err_t err = WH_ERR_INIT;
    wh_json_at_t at;
    json_t *doc, *again;
    char *text;
    size_t len = 0;

    if (wh_json_load(p, (const char *)data, n, NULL, &doc, &err) != APR_SUCCESS) {
        fuzz_must(doc == NULL);
        check_error(&err);
        return 0;
    }
    text = wh_json_text_safe(p, doc, &len);
    fuzz_must(text != NULL && strlen(text) == len && strpbrk(text, "<>&") == NULL);
    fuzz_must((again = json_loadb(text, len, JSON_DECODE_ANY, NULL)) != NULL);
    fuzz_must(json_equal(doc, again));
    json_decref(again);
    if (json_is_object(doc)) {
        at = wh_json_root(doc);
        try_getters(&at, 0);
    }
    return 0;
}
