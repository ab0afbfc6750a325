/* What the wh_model_*.c share; nobody else includes it. JSON makers return new references. */
#ifndef WH_MODEL_INT_H
#define WH_MODEL_INT_H

#include "libwh/wh_json.h"
#include "libwh/wh_model.h"

/* A string, or null when it is empty. */
json_t *wh_model_int_text(const char *s);

/* RFC 3339, or null for 0. */
json_t *wh_model_int_time(apr_time_t us);

/* The object in a text of our own, {} when it is none. */
json_t *wh_model_int_object(const char *text);

/* An array of strings; NULL counts as empty. */
json_t *wh_model_int_strings(const apr_array_header_t *array);

/* Puts the pointer at/key on an error that a check without JSON made. Returns rv. */
apr_status_t wh_model_int_at(const wh_json_at_t *at, const char *key, apr_status_t rv,
                             wh_err_t *err) WH_MUST_CHECK;

/* wh_json_str / wh_json_int, where null means the default and absent means "as it is". */
apr_status_t wh_model_int_str(const wh_json_at_t *at, const char *key, apr_int64_t min,
                              apr_int64_t max, const char *def, const char **out,
                              wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_model_int_strf(const wh_json_at_t *at, const char *key,
                               const wh_json_rule_t *rule, const char *def, const char **out,
                               wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_model_int_num(const wh_json_at_t *at, const char *key, const wh_json_rule_t *rule,
                              apr_int64_t def, apr_int64_t *out, wh_err_t *err) WH_MUST_CHECK;

/* A switch where null means off and absent "as it is". */
apr_status_t wh_model_int_flag(const wh_json_at_t *at, const char *key, int *out,
                               wh_err_t *err) WH_MUST_CHECK;

/* invalid_value at at/key. */
apr_status_t wh_model_int_bad(const wh_json_at_t *at, const char *key, wh_err_t *err,
                              const char *what);

/* bad_characters at at/key unless wh_text_honest. */
apr_status_t wh_model_int_honest(const wh_json_at_t *at, const char *key, const char *text,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Where something may run. Reads "placement" of at: absent leaves all three as they are, null makes
 * them defaults, a member alike; labels are replaced as a whole. strict refuses unknown members. */
typedef struct wh_model_int_place_t {
    const char **worker, **zone, **labels;
} wh_model_int_place_t;
apr_status_t wh_model_int_placement(apr_pool_t *p, const wh_json_at_t *at, int strict,
                                    const wh_model_int_place_t *place, wh_err_t *err) WH_MUST_CHECK;

/* {worker|null, zone|null, labels{}}; the texts may be NULL. */
json_t *wh_model_int_placement_json(const char *worker, const char *zone, const char *labels);

/* Build, run and repository parts, alike in app bodies and snapshots: where each is to go. */
typedef struct wh_model_int_parts_t {
    const char **url, **branch, **root;
    const char **command, **dockerfile, **output;
    wh_recipe_t *recipe;
    apr_int64_t *port, *replicas, *cpu_millis, *memory_bytes, *pids;
    const char **health_path;
} wh_model_int_parts_t;

/* The members of "build"; all = also those that nothing was said of, as null. */
json_t *wh_model_int_build_json(const char *command, const char *dockerfile, const char *output,
                                const wh_recipe_t *recipe, int all);

/* Nothing said. */
#define WH_MODEL_INT_RECIPE                                                                        \
    (wh_recipe_t)                                                                                  \
    {                                                                                              \
        .preset = "", .install = "", .start = "", .pre_deploy = "", .image = ""                    \
    }

/* "build" and "run" alone, each absent or an object. */
apr_status_t wh_model_int_run(const wh_json_at_t *at, int strict, const wh_model_int_parts_t *parts,
                              wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_model_int_build(const wh_json_at_t *at, int strict,
                                const wh_model_int_parts_t *parts, wh_err_t *err) WH_MUST_CHECK;

/* Reads "repository", "build" and "run" of at; strict refuses unknown members. The address of the
 * repository is checked for length alone. */
apr_status_t wh_model_int_parts(const wh_json_at_t *at, int strict,
                                const wh_model_int_parts_t *parts, wh_err_t *err) WH_MUST_CHECK;

#endif
