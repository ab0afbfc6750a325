/* wh_shout: where a notification goes: one URL, in the forms that Shoutrrr made known
 * (docs/notifications.md has them all), read once into a struct whose parts are decoded and
 * checked: no control byte, nothing that is not UTF-8, hosts and ports that can be some. A URL
 * with a part that the service has no use for is refused, so that nobody believes it did something.
 *
 * The URL is a secret as a whole: it is sealed where it is stored, and shown by wh_shout_masked
 * alone. Pure and thread-safe. */
#ifndef WH_SHOUT_H
#define WH_SHOUT_H

#include <apr_tables.h>

#include "libwh/wh_err.h"

#define WH_SHOUT_URL_MAX 2048

typedef enum wh_shout_e {
    WH_SHOUT_DISCORD,
    WH_SHOUT_SLACK,
    WH_SHOUT_TEAMS,
    WH_SHOUT_TELEGRAM,
    WH_SHOUT_NTFY,
    WH_SHOUT_GOTIFY,
    WH_SHOUT_MATRIX,
    WH_SHOUT_MATTERMOST,
    WH_SHOUT_SMTP,
    WH_SHOUT_GENERIC,
    WH_SHOUT_WEBHOOK,
    WH_SHOUT_KINDS
} wh_shout_e;

typedef struct wh_shout_t {
    wh_shout_e kind;
    const char *scheme;         /* as it was written, lower case */
    const char *user, *password; /* decoded, "" = none */
    const char *host;           /* an IPv6 address stands in brackets */
    int port;                   /* 0 = the scheme's own */
    apr_array_header_t *parts;  /* decoded segments of the path (const char *) */
    apr_table_t *params;        /* the table's, decoded, by their first name */
    apr_table_t *headers;       /* generic: "@Name=value" */
    const char *address;        /* raw ones: "https://host:port/path?query"; else NULL */
} wh_shout_t;

/* Everything in p. Code: target_invalid (400, at /target); the text says what is wrong, and repeats
 * nothing that could be secret. */
apr_status_t wh_shout_parse(apr_pool_t *p, const char *url, wh_shout_t **out,
                             wh_err_t *err) WH_MUST_CHECK;

/* "discord", "webhook" … */
const char *wh_shout_kind_name(wh_shout_e kind);

/* A parameter, or otherwise when it was not given. */
const char *wh_shout_param(const wh_shout_t *t, const char *name, const char *otherwise);
/* 1 for "yes", "true", "1"; otherwise when it was not given. */
int wh_shout_yes(const wh_shout_t *t, const char *name, int otherwise);

/* The URL as people may see it: who and where, never a token. In p. */
const char *wh_shout_masked(apr_pool_t *p, const wh_shout_t *t);

/* Everything but A-Z a-z 0-9 - . _ ~ as %XX. In p. */
const char *wh_shout_escape(apr_pool_t *p, const char *s);

#endif
