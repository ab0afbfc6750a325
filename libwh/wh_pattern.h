/* wh_pattern: paths with placeholders, as _redirects and _headers have them.
 *
 * ":name" stands for one segment that is not empty, one "*" for anything, as much as possible, also
 * for nothing; a path that ends with a slash and "*" is also the path without them. What they stood
 * for can be put into another text, as ":name" and ":splat". Patterns are read-only once made, any thread may match.
 * Compared are decoded paths; a '/' at the end makes no difference. */
#ifndef WH_PATTERN_H
#define WH_PATTERN_H

#include <apr_pools.h>

#define WH_PATTERN_NAMES_MAX 16
#define WH_PATTERN_FILL_MAX 32768 /* a path of httpd's, each of its bytes encoded, and some more */

typedef struct wh_pattern_t wh_pattern_t;

typedef struct wh_pattern_part_t {
    const char *s; /* within the path that was matched */
    size_t n;
} wh_pattern_part_t;

typedef struct wh_pattern_hit_t {
    wh_pattern_part_t parts[WH_PATTERN_NAMES_MAX];
} wh_pattern_hit_t;

/* Makes one in p of n bytes at text (percent-encoding is decoded). NULL and *why (a static text)
 * when it is none. */
wh_pattern_t *wh_pattern_make(apr_pool_t *p, const char *text, size_t n, const char **why);

/* 1 when it has neither placeholder nor "*": then wh_pattern_text() is the one path, decoded,
 * without '/' at its end ("" for the top). */
int wh_pattern_fixed(const wh_pattern_t *pattern);
const char *wh_pattern_text(const wh_pattern_t *pattern);

/* 1 and *hit when path (decoded, begins with '/') is of that form. */
int wh_pattern_match(const wh_pattern_t *pattern, const char *path, wh_pattern_hit_t *hit);

/* NULL when every placeholder of text is one of the pattern's, else the first that is not, in p. */
const char *wh_pattern_unknown(apr_pool_t *p, const wh_pattern_t *pattern, const char *text);

/* text with its placeholders filled in, in p; each value goes through encode() first when that is
 * not NULL. Control bytes of values are left out, so that no header can be split by a path. NULL
 * when it would be longer than WH_PATTERN_FILL_MAX: a text may name one placeholder many times. */
typedef const char *wh_pattern_encode_fn(apr_pool_t *p, const char *value);
char *wh_pattern_fill(apr_pool_t *p, const wh_pattern_t *pattern, const wh_pattern_hit_t *hit,
                      const char *text, wh_pattern_encode_fn *encode);

#endif
