/* The daemons' configuration files: "key = value" lines, '#' starts a comment line. One table of
 * keys feeds the parser, the defaults, --dump-config and the reference file, so none can disagree.
 *
 *     typedef struct { const char *state_dir; apr_int64_t tick_ms; } conf_t;
 *     static const wh_conf_key_t keys[] = {
 *         {.name = "state_dir", .type = WH_CONF_PATH, .offset = offsetof(conf_t, state_dir),
 *          .def = "/var/lib/wisehost", .doc = "Where all state is."},
 *         {.name = "tick_ms", .type = WH_CONF_INT, .offset = offsetof(conf_t, tick_ms),
 *          .min = 10, .max = 60000, .def = "1000", .unit = "ms", .doc = "Pause."},
 *     };
 *
 * The value is the rest of the line as it stands, without quotes. An unknown key, a key given
 * twice, a value outside its range and a line that is none of these are errors "file:line: …",
 * code bad_config (http 500); a file that cannot be read is config_unreadable.
 */
#ifndef WH_CONF_H
#define WH_CONF_H

#include <stdio.h>
#include "libwh/wh_err.h"

typedef enum wh_conf_type_e {
    WH_CONF_STRING, /* const char *; min/max: bytes, max 0 = 1024 */
    WH_CONF_PATH,   /* const char *; absolute, or "" when the default is "" */
    WH_CONF_INT,    /* apr_int64_t; min/max */
    WH_CONF_BYTES,  /* apr_int64_t; 10, 64K, 512M, 2G */
    WH_CONF_BOOL,   /* int; on|off|yes|no|true|false */
    WH_CONF_CHOICE  /* const char *, one of `choices` */
} wh_conf_type_e;

enum {
    WH_CONF_F_REQUIRED = 1, /* no default: must be given */
    WH_CONF_F_SECRET = 2    /* dumped as *** */
};

typedef struct wh_conf_key_t {
    const char *name;
    wh_conf_type_e type;
    unsigned flags;
    size_t offset;        /* of the member in the caller's struct */
    apr_int64_t min, max; /* both 0 = no limit */
    const char *def;      /* default as it would be written; NULL = "" or 0 */
    const char *unit;     /* for people; may be NULL */
    const char *choices;  /* "a|b|c" */
    const char *doc;      /* one sentence */
} wh_conf_key_t;

/* Read the file at path into *out: defaults first, then the file. Strings are in p. On an error
 * *out is not to be used. */
apr_status_t wh_conf_load(apr_pool_t *p, const char *path, const wh_conf_key_t *keys, size_t nkeys,
                          void *out, wh_err_t *err) WH_MUST_CHECK;

/* The same from memory; name stands for the file in messages. text need not end in a NUL. */
typedef struct wh_conf_text_t {
    const char *name;
    const char *text;
    size_t len;
} wh_conf_text_t;
apr_status_t wh_conf_parse(apr_pool_t *p, const wh_conf_text_t *in, const wh_conf_key_t *keys,
                           size_t nkeys, void *out, wh_err_t *err) WH_MUST_CHECK;

/* The configuration in force, as a file that loads to the same. Write errors show in ferror(to). */
void wh_conf_dump(FILE *to, const wh_conf_key_t *keys, size_t nkeys, const void *conf);

/* The reference: each key with its doc, range and default, commented out. */
void wh_conf_reference(FILE *to, const wh_conf_key_t *keys, size_t nkeys);

#endif
