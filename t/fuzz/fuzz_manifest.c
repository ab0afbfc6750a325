/* Manifests: the JSON of an agent and the text of a stored one. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_mime.h"
#include "t/fuzz/fuzz.h"

static void check(apr_pool_t *p, const wh_manifest_t *m)
{
    wh_manifest_t *again;
    apr_off_t sum = 0;
    size_t len;
    char *text = wh_manifest_text(p, m, &len);

    fuzz_must(m->n > 0 && m->n <= WH_MANIFEST_FILES_MAX && wh_manifest_id_ok(m->id));
    for (int i = 0; i < m->n; i++) {
        fuzz_must(wh_manifest_path_ok(m->entries[i].path));
        fuzz_must(wh_manifest_find(m, m->entries[i].path) == &m->entries[i]);
        sum += m->entries[i].size;
    }
    fuzz_must(sum == m->bytes && sum <= WH_MANIFEST_BYTES_MAX);
    fuzz_must(wh_manifest_parse(p, text, len, &again, NULL) == APR_SUCCESS);
    fuzz_must(strcmp(again->id, m->id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *text = apr_pstrmemdup(p, (const char *)data, n);
    wh_manifest_t *m;
    json_t *json;

    if (wh_manifest_parse(p, (const char *)data, n, &m, NULL) == APR_SUCCESS)
        check(p, m);
    if (wh_json_load(p, (const char *)data, n, WH_MANIFEST_JSON_LIMITS, &json, NULL) ==
            APR_SUCCESS &&
        wh_manifest_from_json(p, json, NULL, &m, NULL) == APR_SUCCESS)
        check(p, m);
    (void)wh_mime_compressible(wh_mime_type(text));
    return 0;
}
