/* What a container engine answers: descriptions, lists, versions, and a build's output in pieces.
 */
#include <string.h>
#include <apr_strings.h>
#include "t/fuzz/fuzz.h"
#include "wh-agent/buildout.h"
#include "wh-agent/engine_json.h"

typedef struct sum_t {
    size_t n;
} sum_t;

static void take(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    sum_t *sum = baton;

    (void)stream;
    for (size_t i = 0; i < n; i++)
        sum->n += (unsigned char)buf[i];
}

static void build(apr_pool_t *p, const char *text, size_t n, size_t step, sum_t *sum,
                  wh_buildout_t *out)
{
    fuzz_must(wh_buildout_init(p, out, take, sum) == APR_SUCCESS);
    for (size_t at = 0; at < n; at += step)
        fuzz_must(wh_buildout_feed(out, text + at, n - at < step ? n - at : step) == 0);
    wh_buildout_end(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *text = (const char *)data, *name, *api;
    apr_array_header_t *items;
    wh_engine_seen_t seen;
    wh_buildout_t whole, pieces;
    sum_t a = {0}, b = {0};

    if (wh_engine_json_seen(p, text, n, &seen, NULL) == APR_SUCCESS) {
        fuzz_must(seen.id[0] != '\0' && seen.forbidden != NULL);
        fuzz_must(seen.publish_port >= 0 && seen.publish_port <= 65535);
        fuzz_must((seen.publish_port == 0) == (seen.publish_address[0] == '\0') ||
                  seen.publish_port > 0);
    }
    if (wh_engine_json_list(p, text, n, &items, NULL) == APR_SUCCESS)
        for (int i = 0; i < items->nelts; i++)
            fuzz_must(APR_ARRAY_IDX(items, i, wh_engine_item_t).id[0] != '\0');
    if (wh_engine_json_version(p, text, n, &name, &api, NULL) == APR_SUCCESS)
        fuzz_must(api[0] == 'v' && strspn(api + 1, "0123456789.") == strlen(api + 1));
    fuzz_must(strpbrk(wh_engine_json_message(p, text, n), "\n\r\033") == NULL);
    /* However the bytes are cut, the outcome is the same. */
    build(p, text, n, n + 1, &a, &whole);
    build(p, text, n, 3, &b, &pieces);
    fuzz_must(a.n == b.n && strcmp(whole.image, pieces.image) == 0);
    fuzz_must(strcmp(whole.error, pieces.error) == 0);
    fuzz_must(whole.image[0] == '\0' || strlen(whole.image) == 71);
    return 0;
}
