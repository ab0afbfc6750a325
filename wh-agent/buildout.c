#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/buildout.h"

#define STEP_MAX 200 /* bytes of a step in the engine's sentence */

apr_status_t wh_buildout_init(apr_pool_t *p, wh_buildout_t *out, wh_buildout_fn *fn, void *baton)
{
    memset(out, 0, sizeof(*out));
    out->fn = fn;
    out->baton = baton;
    out->line = apr_palloc(p, WH_BUILDOUT_LINE_MAX);
    return apr_pool_create(&out->scratch, p);
}

static const char *text_of(json_t *obj, const char *key)
{
    const char *text = json_string_value(json_object_get(obj, key));

    return text != NULL ? text : "";
}

static void take_image(wh_buildout_t *out, json_t *obj)
{
    const char *hex = wh_engine_hex(text_of(json_object_get(obj, "aux"), "ID"));

    if (wh_sign_is_hex(hex, 64) && strlen(hex) == 64)
        (void)apr_snprintf(out->image, sizeof(out->image), "sha256:%s", hex);
}

/* Podman repeats the whole step, however long, in front of what went wrong with it. */
static const char *shorten(apr_pool_t *p, const char *error)
{
    static const char start[] = "building at STEP \"";
    size_t n = strlen(error);
    const char *end = NULL;

    if (n <= STEP_MAX || strncmp(error, start, sizeof(start) - 1) != 0)
        return error;
    for (const char *at = strstr(error, "\": "); at != NULL; at = strstr(at + 1, "\": "))
        end = at;
    if (end == NULL || (size_t)(end - error) <= STEP_MAX)
        return error;
    return apr_pstrcat(p, apr_pstrmemdup(p, error, STEP_MAX), "...", end, NULL);
}

static void take_error(wh_buildout_t *out, json_t *obj)
{
    const char *error = text_of(obj, "error"), *inner;

    if (error[0] == '\0')
        error = text_of(json_object_get(obj, "errorDetail"), "message");
    if (error[0] == '\0')
        return;
    /* Podman shows a structure of its own behind some messages. */
    inner = strstr(error, " &imagebuilder.");
    if (inner != NULL)
        error = apr_pstrmemdup(out->scratch, error, (apr_size_t)(inner - error));
    error = shorten(out->scratch, error);
    apr_cpystrn(out->error,
                wh_text_clean_line(out->scratch, error, strlen(error), sizeof(out->error) - 1),
                sizeof(out->error));
    out->fn(out->baton, WH_STREAM_ERR, error, strlen(error));
    out->fn(out->baton, WH_STREAM_ERR, "\n", 1);
}

/* The progress of pulls comes many times a second: only its plain states are lines. */
static void take_status(wh_buildout_t *out, json_t *obj)
{
    const char *status = text_of(obj, "status"), *id = text_of(obj, "id");
    const char *line;

    if (status[0] == '\0' || text_of(obj, "progress")[0] != '\0')
        return;
    line = apr_pstrcat(out->scratch, id, id[0] != '\0' ? ": " : "", status, "\n", NULL);
    out->fn(out->baton, WH_STREAM_OUT, line, strlen(line));
}

static void line_done(wh_buildout_t *out)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_BUILDOUT_LINE_MAX, .depth = 16, .values = 1000};
    size_t n = out->have;
    const char *stream;
    json_t *obj;

    out->have = 0;
    while (n > 0 && (out->line[n - 1] == '\r' || out->line[n - 1] == ' '))
        n--;
    if (n == 0)
        return;
    if (wh_json_load_object(out->scratch, out->line, n, &limits, &obj, NULL) != APR_SUCCESS) {
        out->fn(out->baton, WH_STREAM_OUT, out->line, n);
        out->fn(out->baton, WH_STREAM_OUT, "\n", 1);
    } else {
        stream = text_of(obj, "stream");
        if (stream[0] != '\0')
            out->fn(out->baton, WH_STREAM_OUT, stream, strlen(stream));
        if (out->seen != NULL)
            out->seen(out->seen_baton, obj);
        if (out->layers != NULL)
            wh_layers_feed(out->layers, stream);
        take_status(out, obj);
        take_image(out, obj);
        take_error(out, obj);
    }
    apr_pool_clear(out->scratch);
}

int wh_buildout_feed(void *baton, const char *buf, size_t n)
{
    wh_buildout_t *out = baton;

    for (size_t i = 0; i < n; i++) {
        if (buf[i] == '\n') {
            if (!out->skipping)
                line_done(out);
            out->have = 0;
            out->skipping = 0;
        } else if (out->have < WH_BUILDOUT_LINE_MAX) {
            out->line[out->have++] = buf[i];
        } else {
            out->skipping = 1;
        }
    }
    return 0;
}

void wh_buildout_end(wh_buildout_t *out)
{
    if (out->have > 0 && !out->skipping)
        line_done(out);
    out->have = 0;
}
