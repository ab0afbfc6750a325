/* wh_channel: whom notifications go to: a name, a sealed target, which events of which app. What is
 * sealed is a small document: the URL, and of a webhook its secrets. Pure and thread-safe. */
#ifndef WH_CHANNEL_H
#define WH_CHANNEL_H

#include <apr_tables.h>

#include "libwh/wh_secret.h"
#include "libwh/wh_shout.h"

#define WH_CHANNEL_FORMER_US apr_time_from_sec(86400) /* how long the secret before signs, too */

typedef struct wh_channel_t {
    const char *id, *name;
    const char *kind;   /* wh_shout_kind_name */
    const char *shown;  /* wh_shout_masked */
    apr_int64_t key_id; /* with which it is sealed */
    const char *sealed;
    const char *app_id, *slug; /* "" = every app */
    const char *events;        /* one a line, "" = all */
    int enabled;
    const char *reason; /* "", "gone", "failing" */
    apr_int64_t failures;
    apr_time_t created_at, updated_at;
} wh_channel_t;

/* What is sealed. */
typedef struct wh_channel_key_t {
    const char *url;
    const char *secret, *former; /* of a webhook, "" = none */
    apr_time_t former_until;
} wh_channel_key_t;

/* 1 to 64 bytes of a-z 0-9 - _ ., the first a letter or digit. Code: name_invalid (400). */
apr_status_t wh_channel_name_check(const char *name, wh_err_t *err) WH_MUST_CHECK;

/* Fills kind, shown, key_id and sealed of c from key; c->id must stand. Errors: target_invalid,
 * secret_invalid, no_random. */
apr_status_t wh_channel_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                             wh_channel_t *c, const wh_channel_key_t *key,
                             wh_err_t *err) WH_MUST_CHECK;
/* Errors: secret_key (503), secret_broken (500). */
apr_status_t wh_channel_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_channel_t *c,
                             wh_channel_key_t *key, wh_err_t *err) WH_MUST_CHECK;

/* The lines of c->events: array of const char *. */
apr_array_header_t *wh_channel_events(apr_pool_t *p, const wh_channel_t *c);

/* 1 = it hears of events of this name and app ("" = of none). */
int wh_channel_takes(apr_pool_t *p, const wh_channel_t *c, const char *event, const char *app_id);

/* {id, name, kind, target, app|null, events[], enabled, reason|null, failures, created_at,
 * updated_at}; secret NULL = it is not shown. New reference. */
json_t *wh_channel_json(apr_pool_t *p, const wh_channel_t *c, const char *secret);

#endif
