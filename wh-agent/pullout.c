#include "wh-agent/pullout.h"

#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_types.h"

static wh_pullout_layer_t *layer_of(wh_pullout_t *out, const char *id)
{
    wh_pullout_layer_t *layer;

    for (int i = 0; i < out->n; i++)
        if (strcmp(out->layers[i].id, id) == 0)
            return &out->layers[i];
    if (out->n == WH_PULLOUT_LAYERS_MAX || strlen(id) >= sizeof(layer->id))
        return NULL;
    layer = &out->layers[out->n++];
    *layer = (wh_pullout_layer_t){.total = 0};
    apr_cpystrn(layer->id, id, sizeof(layer->id));
    return layer;
}

/* Layers over the maximum are not counted. What is unpacked afterwards is told in the same way, and
 * is not on its way any more. */
static void count(wh_pullout_t *out, const json_t *obj)
{
    const char *status = json_string_value(json_object_get(obj, "status"));
    const char *id = json_string_value(json_object_get(obj, "id"));
    const json_t *detail = json_object_get(obj, "progressDetail");
    apr_int64_t total = json_integer_value(json_object_get(detail, "total"));
    apr_int64_t now = json_integer_value(json_object_get(detail, "current"));
    wh_pullout_layer_t *layer;

    if (status == NULL || id == NULL || strcmp(status, "Downloading") != 0 || total <= 0 ||
        now < 0 || total > APR_INT64_MAX / (2 * WH_PULLOUT_LAYERS_MAX))
        return;
    layer = layer_of(out, id);
    if (layer == NULL)
        return;
    now = now < total ? now : total;
    out->total += total - layer->total;
    out->now += now - layer->now;
    layer->total = total;
    layer->now = now;
}

/* The sum of all layers, now and then, for the many lines of each say little. */
static void on_object(void *baton, const json_t *obj)
{
    wh_pullout_t *out = baton;
    wh_mono_t now = wh_clock_mono(out->clock);
    char line[80];

    count(out, obj);
    if (out->total == 0 || !wh_mono_reached(now, wh_mono_add(out->said, WH_PULLOUT_SAY_US)))
        return;
    out->said = now;
    (void)apr_snprintf(line, sizeof(line), "%" APR_INT64_T_FMT " of %" APR_INT64_T_FMT " MiB\n",
                       out->now / WH_MIB, out->total / WH_MIB);
    out->what->text(out->what->text_baton, WH_STREAM_OUT, line, strlen(line));
}

apr_status_t wh_pullout_init(apr_pool_t *p, wh_pullout_t *out, const wh_engine_pull_t *what,
                             const wh_clock_t *clock, wh_err_t *err)
{
    apr_status_t rv = wh_buildout_init(p, &out->lines, what->text, what->text_baton);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "cannot read what a pull says");
    out->what = what;
    out->clock = clock;
    out->said = wh_clock_mono(clock);
    out->n = 0;
    out->total = out->now = 0;
    out->lines.seen = on_object;
    out->lines.seen_baton = out;
    return APR_SUCCESS;
}

static int too_much(const wh_pullout_t *out)
{
    return out->what->max_bytes > 0 && out->total > out->what->max_bytes;
}

int wh_pullout_feed(void *baton, const char *buf, size_t n)
{
    wh_pullout_t *out = baton;

    (void)wh_buildout_feed(&out->lines, buf, n);
    return too_much(out);
}

apr_status_t wh_pullout_end(wh_pullout_t *out, apr_status_t rv, wh_err_t *err)
{
    wh_buildout_end(&out->lines);
    if (too_much(out))
        return wh_err_set(err, 422, "too_large",
                          "the image has more than %" APR_INT64_T_FMT " MiB (image_max_bytes)",
                          out->what->max_bytes / WH_MIB);
    if (rv == APR_SUCCESS && out->lines.error[0] != '\0')
        return wh_err_set(err, 422, "build_failed", "the image %s cannot be had: %s",
                          out->what->name, out->lines.error);
    return rv;
}
