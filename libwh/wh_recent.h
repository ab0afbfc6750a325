/* wh_recent: texts that are costly to make and asked for all the time, kept for as long as they
 * count as fresh, and after that as the last good ones. Bounded in number and bytes; what was asked
 * for longest ago goes first.
 *
 *     switch (wh_recent_find(recent, key, now, &doc)) {
 *     case WH_RECENT_FRESH: answer with doc; break;
 *     case WH_RECENT_MAKE:  make it; then wh_recent_put, or wh_recent_failed for the last one
 *     }
 *
 * Whoever is told to make it is alone with that: others get the last one meanwhile, unless there is
 * none. A maker that never comes back counts as failed after the same time.
 *
 * The time is handed in. Not thread-safe: the owner holds a mutex, and what a doc points to is
 * borrowed until the next call. */
#ifndef WH_RECENT_H
#define WH_RECENT_H

#include "libwh/wh_types.h"

typedef struct wh_recent_t wh_recent_t;

typedef struct wh_recent_doc_t {
    const char *text; /* NULL: there is none */
    size_t len;
    const char *etag; /* with its quotes: the SHA-256 of the text */
    apr_interval_time_t age_us;
} wh_recent_doc_t;

typedef enum wh_recent_e { WH_RECENT_FRESH, WH_RECENT_MAKE } wh_recent_e;

/* Everything is freed with p. */
wh_recent_t *wh_recent_make(apr_pool_t *p, int max, size_t max_bytes,
                            apr_interval_time_t fresh_us);

/* *doc is what there is of key, for both answers. A text is fresh until its age is fresh_us. */
wh_recent_e wh_recent_find(wh_recent_t *recent, const char *key, wh_mono_t now,
                           wh_recent_doc_t *doc);

/* Keeps a copy of the text, and tells of it in *doc. A text beyond max_bytes is not kept: *doc is
 * the caller's own then, without an etag. */
void wh_recent_put(wh_recent_t *recent, const char *key, const char *text, size_t len,
                   wh_mono_t now, wh_recent_doc_t *doc);

/* It could not be made; *doc is the last good one, of whatever age. Whoever asks next is told to
 * make it. */
void wh_recent_failed(wh_recent_t *recent, const char *key, wh_mono_t now, wh_recent_doc_t *doc);

#endif
