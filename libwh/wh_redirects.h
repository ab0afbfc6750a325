/* wh_redirects: the file _redirects of a release, in the form of Netlify and Cloudflare Pages.
 *
 *     /old            /new                 301     # the code is optional: 301
 *     /blog/:y/:slug  /posts/:slug?y=:y
 *     /app/+          /index.html          200     # rewritten within the release
 *     /gone/+         /gone.html           410
 *     /shop/+         https://shop.example/:splat  302!
 *
 * ("+" stands for the star, which C would take for more.) One rule a line, the first that matches
 * counts. Without "!" a file that exists goes first. A rule that cannot be taken is left out and told
 * to warn(); the others hold. Made once, read-only
 * then, any thread may look up. */
#ifndef WH_REDIRECTS_H
#define WH_REDIRECTS_H

#include <apr_pools.h>

#define WH_REDIRECTS_FILE "_redirects"
#define WH_REDIRECTS_STATIC_MAX 2000
#define WH_REDIRECTS_DYNAMIC_MAX 100
/* Of good and bad ones, so that a file of nothing but mistakes costs no more than a good one. */
#define WH_REDIRECTS_READ_MAX (2 * (WH_REDIRECTS_STATIC_MAX + WH_REDIRECTS_DYNAMIC_MAX))
#define WH_REDIRECTS_LINE_MAX 2000
#define WH_REDIRECTS_BYTES_MAX ((size_t)4 << 20)

typedef struct wh_redirects_t wh_redirects_t;

/* line counts from 1; text lives for the call. */
typedef void wh_redirects_warn_fn(void *baton, int line, const char *text);

typedef struct wh_redirects_hit_t {
    int code; /* 200, 404, 410: to is a path of the release, decoded; else a Location, encoded */
    const char *to;
    int outside; /* to begins with a scheme: it is not below the mount of the site */
} wh_redirects_hit_t;

/* Reads n bytes. Never fails: what is wrong is left out. All in p. warn may be NULL. */
wh_redirects_t *wh_redirects_parse(apr_pool_t *p, const char *text, size_t n,
                                   wh_redirects_warn_fn *warn, void *baton);

/* How many rules hold. */
int wh_redirects_count(const wh_redirects_t *rules);

/* The first rule for path (decoded, begins with '/'); forced: among those with "!" only. query is
 * put behind a target that has none of its own; NULL = none. 1 and *hit in p, or 0. A Location
 * within the site begins with exactly one '/', whatever the placeholders stood for. A rule that
 * would make more than WH_PATTERN_FILL_MAX bytes of this path has no answer: 0. */
int wh_redirects_match(const wh_redirects_t *rules, apr_pool_t *p, const char *path,
                       const char *query, int forced, wh_redirects_hit_t *hit);

#endif
