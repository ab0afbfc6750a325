#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/layers.h"

#define ID_MIN 10
#define ID_MAX 64

void wh_layers_init(apr_pool_t *p, wh_layers_t *layers)
{
    layers->ids = apr_array_make(p, 16, sizeof(const char *));
    layers->cached = 0;
}

/* "--> 0123456789a" (Podman), " ---> 0123456789ab" (Docker); "--> Using cache …" goes before one
 * that was there. */
static void take_line(wh_layers_t *layers, const char *line, size_t n)
{
    size_t at = 0, digits;

    while (at < n && line[at] == ' ')
        at++;
    if (n - at < 4 || line[at] != '-')
        return;
    while (at < n && line[at] == '-')
        at++;
    if (n - at < 3 || line[at] != '>' || line[at + 1] != ' ')
        return;
    at += 2;
    if (n - at >= 11 && memcmp(line + at, "Using cache", 11) == 0) {
        layers->cached = 1;
        return;
    }
    for (digits = 0; at + digits < n && strchr("0123456789abcdef", line[at + digits]) != NULL;)
        digits++;
    if (at + digits != n || digits < ID_MIN || digits > ID_MAX)
        return;
    if (!layers->cached && layers->ids->nelts < WH_LAYERS_MAX)
        APR_ARRAY_PUSH(layers->ids, const char *) =
            apr_pstrmemdup(layers->ids->pool, line + at, digits);
    layers->cached = 0;
}

void wh_layers_feed(wh_layers_t *layers, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n"), end = n;

        while (end > 0 && (text[end - 1] == '\r' || text[end - 1] == ' '))
            end--;
        take_line(layers, text, end);
        text += n + (text[n] == '\n');
    }
}

/* Engines tell the time of creation in whole seconds, some of them. */
static int is_ours(const wh_engine_image_t *image, const char *id, apr_time_t since)
{
    return image->tags->nelts == 0 && strncmp(wh_engine_hex(image->id), id, strlen(id)) == 0 &&
           image->created_at >= since - APR_USEC_PER_SEC;
}

void wh_layers_remove(const wh_work_t *work, const wh_layers_t *layers, apr_time_t since)
{
    /* Without the job's request to stop: that may be why the build ended. */
    wh_engine_open_t open = {.socket = work->conf->engine_socket, .clock = work->clock};
    wh_err_t err = WH_ERR_INIT;
    wh_engine_t *e;
    apr_status_t rv = layers->ids->nelts > 0 ? work->engine(work->p, &open, &e, &err) : APR_SUCCESS;

    for (int i = layers->ids->nelts - 1; rv == APR_SUCCESS && i >= 0; i--) {
        const char *id = APR_ARRAY_IDX(layers->ids, i, const char *);
        wh_engine_image_t image;

        if (e->vt->image(e, work->p, id, &image, NULL) == APR_SUCCESS && is_ours(&image, id, since))
            rv = e->vt->layer_remove(e, work->p, image.id, &err);
    }
    if (rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0686", "layers of a build of %s that came to nothing stay: %s",
               work->job->slug, err.text);
}
