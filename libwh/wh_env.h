/* wh_env: environment variables of apps: what a name and a value may be, which of several scopes
 * holds, how they are sealed, and the file format ".env".
 *
 * A variable stands in a scope: "" (every environment of the app), "preview" (every preview), or
 * the name of one environment. The nearest holds: environment, preview, "". Names that begin with
 * WISEHOST_ are the system's, and PORT is the app's setting run.port. Pure and thread-safe. */
#ifndef WH_ENV_H
#define WH_ENV_H

#include <apr_tables.h>

#include "libwh/wh_err.h"
#include "libwh/wh_secret.h"

#define WH_ENV_NAME_MAX 128
#define WH_ENV_VALUE_MAX 65536  /* bytes of one value */
#define WH_ENV_TOTAL_MAX 131072 /* names and values that one deployment gets */
#define WH_ENV_VARS_MAX 500     /* of one scope */
#define WH_ENV_FILE_MAX 1048576 /* bytes of a .env file */
#define WH_ENV_SCOPE_PREVIEWS "preview"
#define WH_ENV_RESERVED "WISEHOST"

/* One of an app, or of a deployment. */
typedef struct wh_env_var_t {
    const char *app_id, *scope, *name;
    int secret;         /* its value is never shown again */
    int build;          /* a build may ask for it, too */
    apr_int64_t key_id; /* with which it is sealed */
    const char *sealed;
    apr_int64_t bytes; /* of name and value */
    apr_time_t created_at, updated_at;
} wh_env_var_t;

/* One as it is handed out: to a container, to whoever may read it. */
typedef struct wh_env_pair_t {
    const char *name, *value;
    int secret, build;
    int line; /* of a file */
    int cut;  /* of a file: an unquoted value ended at a '#' right behind other characters */
} wh_env_pair_t;

/* [A-Za-z_][A-Za-z0-9_]{0,127}. Codes (400): env_name_invalid, env_name_reserved. */
apr_status_t wh_env_name_check(const char *name, wh_err_t *err) WH_MUST_CHECK;

/* UTF-8 without NUL, at most WH_ENV_VALUE_MAX bytes. Code: env_value_invalid (400). */
apr_status_t wh_env_value_check(const char *value, size_t n, wh_err_t *err) WH_MUST_CHECK;

/* "" or "preview" or an environment: wh_host_env_check. Code: environment_invalid. */
apr_status_t wh_env_scope_check(const char *scope, wh_err_t *err) WH_MUST_CHECK;

/* Those of vars (wh_env_var_t) that an environment gets, by name; in p. */
apr_array_header_t *wh_env_effective(apr_pool_t *p, const apr_array_header_t *vars,
                                     const char *environment);

/* How much a deployment could get at most: names and values of app-wide variables, and of the
 * largest scope besides. */
apr_int64_t wh_env_largest(const apr_array_header_t *vars);

/* Fills key_id, sealed and bytes of var, which is bound to its app, scope, name and both marks.
 * Errors: those of wh_secret_seal. */
apr_status_t wh_env_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                         wh_env_var_t *var, const char *value, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_env_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_env_var_t *var,
                         const char **value, wh_err_t *err) WH_MUST_CHECK;

/* A .env file, by the rules that the npm package dotenv documents ("What rules does the parsing
 * engine follow?", github.com/motdotla/dotenv, README): NAME=value, `export` before it, '#' begins
 * a comment outside of quotes, blanks around an unquoted value fall away; '…', "…" and `…` keep
 * theirs and may go over several lines; \n and \r are line ends inside "…" alone; nothing is
 * expanded. What dotenv passes over in silence is refused here: a line without '=', a quote that is
 * not closed, text behind a closing quote, a name that is none. Of a name given twice the last
 * holds. *pairs: wh_env_pair_t in p, in the file's order. Codes (400): env_file_syntax,
 * env_file_too_large, env_name_invalid, env_name_reserved, env_value_invalid; the text says the
 * line. */
apr_status_t wh_env_parse(apr_pool_t *p, const char *text, size_t n, apr_array_header_t **pairs,
                          wh_err_t *err) WH_MUST_CHECK;

#endif
