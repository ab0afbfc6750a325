/* wh_headers: the file _headers of a release, in the form of Netlify and Cloudflare Pages.
 *
 *     /assets/+                     ("+" stands for the star, which C would take for more)
 *       Cache-Control: public, max-age=86400
 *       ! X-Frame-Options
 *
 * A path (with placeholders, see wh_pattern), then indented lines: headers for it, or "! Name" to
 * take off what an earlier rule or the server put on. All rules that match hold, in order; a name
 * given twice is joined by ", ". What cannot be taken is left out and told to warn().
 *
 * Not for a file to say: what frames the message or holds for one hop, what is true of the bytes
 * (Content-Length, Content-Encoding, ETag, Vary ...), Set-Cookie (an answer that caches share),
 * X-Content-Type-Options (always nosniff), Basic-Auth (it would be sent to everybody), and what a
 * server or module in front takes as an order to send a file of its own (X-Sendfile, X-Accel-...).
 * Made once, read-only then, any thread may look up. */
#ifndef WH_HEADERS_H
#define WH_HEADERS_H

#include <apr_pools.h>

#define WH_HEADERS_FILE "_headers"
#define WH_HEADERS_RULES_MAX 100
#define WH_HEADERS_FIELDS_MAX 1000
#define WH_HEADERS_LINE_MAX 2000
#define WH_HEADERS_ANSWER_MAX 32768 /* bytes of names and values for one answer */
#define WH_HEADERS_FILLED_MAX 16384 /* and of those with placeholders */
#define WH_HEADERS_BYTES_MAX ((size_t)1 << 20)

typedef struct wh_headers_t wh_headers_t;

/* line counts from 1; text lives for the call. */
typedef void wh_headers_warn_fn(void *baton, int line, const char *text);

/* value NULL = take this one off. Strings live as long as the pool of wh_headers_match. */
typedef void wh_headers_field_fn(void *baton, const char *name, const char *value);

/* Reads n bytes. Never fails: what is wrong is left out. All in p. warn may be NULL. */
wh_headers_t *wh_headers_parse(apr_pool_t *p, const char *text, size_t n, wh_headers_warn_fn *warn,
                               void *baton);

/* How many rules hold. */
int wh_headers_count(const wh_headers_t *rules);

/* Calls field() for every header of every rule that matches path (decoded, begins with '/'). What
 * does not fit into WH_HEADERS_ANSWER_MAX and WH_HEADERS_FILLED_MAX any more is left out. */
void wh_headers_match(const wh_headers_t *rules, apr_pool_t *p, const char *path,
                      wh_headers_field_fn *field, void *baton);

#endif
