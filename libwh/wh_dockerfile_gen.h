/* The Dockerfile of an app that has none, from its preset and its settings.
 *
 * The same input makes the same text, so that an engine finds its layers again. What people wrote
 * is one JSON string in an array that ends a line: it reaches `sh -c` in the container, and nothing
 * else reads it. A server gets two stages, one with the tools and one with what runs, as a user
 * without rights; files are made in one stage, out of which they are copied. Pure, thread-safe.
 */
#ifndef WH_DOCKERFILE_GEN_H
#define WH_DOCKERFILE_GEN_H

#include "libwh/wh_env.h"
#include "libwh/wh_preset.h"

#define WH_DOCKERFILE_GEN_DIR "/app"
#define WH_DOCKERFILE_GEN_IMAGE_MAX 255

typedef struct wh_dockerfile_gen_t {
    const wh_preset_found_t *found; /* a preset is there */
    int server;                     /* it is to listen at port; else it makes files */
    /* What was asked for, "" = as the preset has it. */
    const char *install, *build, *start;
    const char *pre_deploy; /* before each start, in the same container */
    const apr_array_header_t *vars; /* const char *: names of variables that the build gets, as
                                     * secrets that no layer keeps; NULL = none */
    const char *vars_mark; /* hex digits, others for other values: what was built with those is
                            * not taken from the engine's cache */
    const char *image_build, *image_run;
    apr_int64_t port;
} wh_dockerfile_gen_t;

/* 1 for what may be an image's name here: letters, digits and ". _ / : @ -", no "..", at most
 * WH_DOCKERFILE_GEN_IMAGE_MAX bytes. */
int wh_dockerfile_gen_image_ok(const char *image);

/* The images of a family: the app's own, else the administrator's (an object "<family>.build",
 * "<family>.run" or "<family>" for both), else the catalogue's. overrides may be "". Codes:
 * settings_invalid. */
apr_status_t wh_dockerfile_gen_images(apr_pool_t *p, const char *overrides, const char *own,
                                      wh_dockerfile_gen_t *how, wh_err_t *err) WH_MUST_CHECK;

/* The administrator's object: known keys, names of images. Codes: invalid_value. */
apr_status_t wh_dockerfile_gen_overrides_check(apr_pool_t *p, const char *overrides,
                                               wh_err_t *err) WH_MUST_CHECK;

/* vars_mark of env (wh_env_pair_t, NULL = none). It stands in the log and in the image, so it is
 * made with a key that the agent alone has: nobody tries guesses at a value on it. */
const char *wh_dockerfile_gen_mark(apr_pool_t *p, const unsigned char key[32],
                                   const apr_array_header_t *env);

/* *text in p. Codes: build_failed when nothing says how the server is started. */
apr_status_t wh_dockerfile_gen(apr_pool_t *p, const wh_dockerfile_gen_t *how, const char **text,
                               wh_err_t *err) WH_MUST_CHECK;

#endif
