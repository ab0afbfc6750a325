/* wh_gc: see wh_gc.h. */
#include <stdlib.h>
#include <string.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_gc.h"

/* Of the environment that begins at d. A preview that is closed has nothing to roll back: else each
 * branch that there ever was would keep its files for good. */
static int kept_of(const wh_gc_deployment_t *d, int n, const wh_gc_policy_t *policy)
{
    const char *environment = d->environment;

    if (!wh_branch_is_preview(environment))
        return policy->kept;
    for (int i = 0; i < n && strcmp(d[i].environment, environment) == 0; i++)
        if (d[i].needed)
            return policy->kept;
    return 0;
}

int wh_gc_retire(wh_gc_deployment_t *deployments, int n, apr_time_t deleted_at,
                 const wh_gc_policy_t *policy, apr_time_t now)
{
    const char *environment = "";
    int kept = 0, rank = 0, retired = 0;

    for (int i = 0; i < n; i++) {
        wh_gc_deployment_t *d = &deployments[i];
        int over = d->finished_at > 0 && d->finished_at <= now - policy->kept_us;

        if (strcmp(environment, d->environment) != 0) {
            environment = d->environment;
            kept = kept_of(d, n - i, policy);
            rank = 0;
        }
        rank += d->succeeded;
        d->retire = over && !d->needed && !(d->succeeded && rank <= kept);
        if (deleted_at > 0)
            d->retire = d->finished_at > 0 && deleted_at <= now - policy->kept_us && !d->needed;
        retired += d->retire;
    }
    return retired;
}

struct wh_gc_marks_t {
    apr_array_header_t *keys; /* apr_uint64_t, sorted when it is closed */
    unsigned char *needed;    /* a bit a key */
};

wh_gc_marks_t *wh_gc_marks_make(apr_pool_t *p)
{
    wh_gc_marks_t *marks = apr_pcalloc(p, sizeof(*marks));

    marks->keys = apr_array_make(p, 1024, sizeof(apr_uint64_t));
    return marks;
}

static apr_uint64_t key_of(const char *sha256)
{
    apr_uint64_t key = 0;

    for (int i = 0; i < 16; i++) {
        char c = sha256[i];

        key = key << 4 | (apr_uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return key;
}

static int by_value(const void *a, const void *b)
{
    apr_uint64_t x = *(const apr_uint64_t *)a, y = *(const apr_uint64_t *)b;

    return (x > y) - (x < y);
}

void wh_gc_marks_add(wh_gc_marks_t *marks, const char *sha256)
{
    APR_ARRAY_PUSH(marks->keys, apr_uint64_t) = key_of(sha256);
}

int wh_gc_marks_count(const wh_gc_marks_t *marks)
{
    return marks->keys->nelts;
}

void wh_gc_marks_close(wh_gc_marks_t *marks)
{
    apr_array_header_t *keys = marks->keys;

    qsort(keys->elts, (size_t)keys->nelts, sizeof(apr_uint64_t), by_value);
    marks->needed = apr_pcalloc(keys->pool, (apr_size_t)keys->nelts / 8 + 1);
}

/* Where it stands, or -1. Of equal ones the first, so that they share a bit. */
static int find(const wh_gc_marks_t *marks, const char *sha256)
{
    apr_uint64_t key = key_of(sha256);
    int low = 0, high = marks->keys->nelts;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (APR_ARRAY_IDX(marks->keys, middle, apr_uint64_t) < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < marks->keys->nelts && APR_ARRAY_IDX(marks->keys, low, apr_uint64_t) == key ? low
                                                                                            : -1;
}

void wh_gc_marks_need(wh_gc_marks_t *marks, const char *sha256)
{
    int at = find(marks, sha256);

    if (at >= 0)
        marks->needed[at / 8] |= (unsigned char)(1U << (at % 8));
}

int wh_gc_marks_needless(const wh_gc_marks_t *marks, const char *sha256)
{
    int at = find(marks, sha256);

    return at >= 0 && (marks->needed[at / 8] & (1U << (at % 8))) == 0;
}
