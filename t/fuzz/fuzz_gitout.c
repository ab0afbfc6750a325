/* What git prints about a repository: a tree listing and objects, in pieces. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_sign.h"
#include "t/fuzz/fuzz.h"
#include "wh-agent/catfile.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/lstree.h"
#include "wh-agent/source.h"

typedef struct sum_t {
    size_t entries, bytes;
} sum_t;

static int take_entry(void *baton, const wh_lstree_entry_t *e)
{
    sum_t *sum = baton;
    size_t noid = strlen(e->oid);

    fuzz_must((noid == 40 || noid == 64) && wh_sign_is_hex(e->oid, noid));
    fuzz_must(e->path[0] != '\0' && e->size >= -1);
    fuzz_must(e->kind != WH_LSTREE_FILE || e->size >= 0);
    sum->entries++;
    sum->bytes += strlen(e->path);
    return 0;
}

static int take_object(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    sum_t *sum = baton;

    (void)buf;
    fuzz_must(o->size >= 0 && strlen(o->type) < sizeof(o->type));
    sum->entries += n == 0;
    sum->bytes += n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *text = (const char *)data;
    sum_t sums[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    static wh_lstree_t ls;
    static wh_catfile_t cat;
    int complete[2];

    for (int i = 0; i < 2; i++) {
        size_t step = i == 0 ? n + 1 : 1;

        wh_lstree_init(&ls, take_entry, &sums[i]);
        wh_catfile_init(&cat, take_object, &sums[2 + i]);
        for (size_t at = 0; at < n; at += step) {
            size_t take = n - at < step ? n - at : step;

            (void)wh_lstree_feed(&ls, text + at, take);
            (void)wh_catfile_feed(&cat, text + at, take);
        }
        complete[i] = wh_lstree_complete(&ls);
    }
    fuzz_must(complete[0] == complete[1]);
    fuzz_must(sums[0].entries == sums[1].entries && sums[0].bytes == sums[1].bytes);
    fuzz_must(sums[2].entries == sums[3].entries && sums[2].bytes == sums[3].bytes);
    fuzz_must(strpbrk(wh_gitsays_line(fuzz_pool(), apr_pstrmemdup(fuzz_pool(), text, n)),
                      "\n\r\033") == NULL);
    return 0;
}
