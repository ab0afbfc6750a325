#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "wh-agent/caches.h"
#include "wh-agent/keep.h"
#include "wh-agent/made.h"

/* ---- the plan ---- */

typedef struct candidate_t {
    const wh_engine_item_t *image;
    const char *app; /* after the agent's id in the label */
    int stays, goes;
    int preview;
    int rank; /* among its app's, or its app's previews, 0 = the newest */
} candidate_t;

static int newest_first(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;

    if (x->image->created_at != y->image->created_at)
        return x->image->created_at < y->image->created_at ? 1 : -1;
    return strcmp(x->image->id, y->image->id);
}

static int runs_from(const wh_keep_in_t *in, const wh_engine_item_t *image)
{
    for (int i = 0; i < in->containers->nelts; i++) {
        const wh_engine_item_t *c = &APR_ARRAY_IDX(in->containers, i, wh_engine_item_t);

        if (strcmp(wh_engine_hex(c->image), wh_engine_hex(image->id)) == 0)
            return 1;
    }
    return 0;
}

/* A name is "localhost/wisehost/<app>:<deployment>". */
static int belongs(const wh_engine_item_t *image, const char *deployment)
{
    for (int i = 0; i < image->tags->nelts; i++) {
        const char *at = strrchr(APR_ARRAY_IDX(image->tags, i, const char *), ':');

        if (at != NULL && strcmp(at + 1, deployment) == 0)
            return 1;
    }
    return 0;
}

/* Every name that it has is a preview's: what production was built to as well is production's. */
static int of_preview(const wh_keep_in_t *in, const wh_engine_item_t *image)
{
    int found = 0;

    for (int i = 0; in->made != NULL && i < in->made->nelts; i++) {
        const wh_made_t *m = &APR_ARRAY_IDX(in->made, i, wh_made_t);

        found += m->preview && belongs(image, m->deployment);
    }
    return found > 0 && found == image->tags->nelts;
}

static int may_be_built(const wh_keep_in_t *in, const wh_engine_item_t *image)
{
    int n = in->building != NULL ? in->building->nelts : 0;

    if (n > 0 && image->tags->nelts == 0)
        return 1;
    for (int i = 0; i < n; i++)
        if (belongs(image, APR_ARRAY_IDX(in->building, i, const char *)))
            return 1;
    return 0;
}

static apr_array_header_t *candidates(apr_pool_t *p, const wh_keep_in_t *in)
{
    apr_array_header_t *all = apr_array_make(p, in->images->nelts + 1, sizeof(candidate_t));
    size_t n = strlen(in->agent);

    for (int i = 0; i < in->images->nelts; i++) {
        const wh_engine_item_t *image = &APR_ARRAY_IDX(in->images, i, wh_engine_item_t);
        const char *label = wh_engine_label(image->labels, WH_ENGINE_LABEL_IMAGE);

        if (strncmp(label, in->agent, n) == 0 && label[n] == '.')
            APR_ARRAY_PUSH(all, candidate_t) =
                (candidate_t){.image = image,
                              .app = label + n + 1,
                              .preview = of_preview(in, image),
                              .stays = runs_from(in, image) || may_be_built(in, image)};
    }
    qsort(all->elts, (size_t)all->nelts, sizeof(candidate_t), newest_first);
    return all;
}

/* An image is counted among its app's by name; one without belongs to no deployment any more. */
static void rank(apr_array_header_t *all, apr_int64_t kept)
{
    for (int i = 0; i < all->nelts; i++) {
        candidate_t *c = &APR_ARRAY_IDX(all, i, candidate_t);

        for (int k = 0; k < i; k++) {
            const candidate_t *newer = &APR_ARRAY_IDX(all, k, candidate_t);

            c->rank += newer->image->tags->nelts > 0 && newer->preview == c->preview &&
                       strcmp(newer->app, c->app) == 0;
        }
        c->goes = !c->stays && (c->image->tags->nelts == 0 || c->rank >= kept);
    }
}

apr_array_header_t *wh_keep_plan(apr_pool_t *p, const wh_keep_in_t *in, apr_int64_t *bytes)
{
    apr_array_header_t *all = candidates(p, in);
    apr_array_header_t *go = apr_array_make(p, 8, sizeof(const wh_engine_item_t *));

    rank(all, in->kept);
    *bytes = 0;
    for (int i = 0; i < all->nelts; i++)
        if (!APR_ARRAY_IDX(all, i, candidate_t).goes)
            *bytes += APR_ARRAY_IDX(all, i, candidate_t).image->bytes;
    for (int i = all->nelts - 1; i >= 0; i--) {
        candidate_t *c = &APR_ARRAY_IDX(all, i, candidate_t);

        if (!c->goes && in->quota > 0 && *bytes > in->quota && !c->stays &&
            (c->rank > 0 || c->preview)) {
            c->goes = 1;
            *bytes -= c->image->bytes;
        }
        if (c->goes)
            APR_ARRAY_PUSH(go, const wh_engine_item_t *) = c->image;
    }
    return go;
}

/* ---- doing it ---- */

/* A build that began meanwhile and came to the same: the id would take the new name away, too. */
static int was_named(wh_engine_t *e, apr_pool_t *p, const char *id)
{
    wh_engine_image_t now;

    return e->vt->image(e, p, wh_engine_hex(id), &now, NULL) == APR_SUCCESS && now.tags->nelts > 0;
}

static apr_status_t remove_one(wh_engine_t *e, apr_pool_t *p, const wh_engine_item_t *image,
                               wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    wh_log(WH_LOG_DEBUG, NULL,
           "keeping house: the image %.19s of %s goes (%" APR_INT64_T_FMT " MiB)", image->id,
           wh_engine_label(image->labels, WH_ENGINE_LABEL_IMAGE), image->bytes / WH_MIB);
    for (int t = 0; rv == APR_SUCCESS && t < image->tags->nelts; t++)
        rv = e->vt->image_remove(e, p, APR_ARRAY_IDX(image->tags, t, const char *), err);
    if (image->tags->nelts == 0 && !was_named(e, p, image->id))
        rv = e->vt->image_remove(e, p, wh_engine_hex(image->id), err);
    return rv;
}

static int listed(const apr_array_header_t *images, const char *id)
{
    for (int i = 0; i < images->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(images, i, wh_engine_item_t).id, id) == 0)
            return 1;
    return 0;
}

/* One that does not go keeps no other. What somebody else was quicker with is gone all the same:
 * Podman says of an id that it no longer knows that it is no name. The first failure of an image
 * that is still there is returned. */
static apr_status_t remove_all(wh_engine_t *e, apr_pool_t *p, const apr_array_header_t *go,
                               const wh_engine_label_t *with, wh_err_t *err)
{
    apr_array_header_t *stay = apr_array_make(p, 4, sizeof(const char *)), *images;
    wh_err_t first = WH_ERR_INIT, why;
    apr_status_t rv;

    for (int i = 0; i < go->nelts; i++) {
        const wh_engine_item_t *image = APR_ARRAY_IDX(go, i, const wh_engine_item_t *);

        wh_err_clear(&why);
        if (remove_one(e, p, image, &why) == APR_SUCCESS)
            continue;
        if (wh_err_is(&why, "no_engine") || wh_err_is(&why, "canceled")) {
            *err = why;
            return why.rv;
        }
        first = stay->nelts == 0 ? why : first;
        APR_ARRAY_PUSH(stay, const char *) = image->id;
    }
    if (stay->nelts == 0)
        return APR_SUCCESS;
    rv = e->vt->images(e, p, with, &images, err);
    for (int i = 0; rv == APR_SUCCESS && i < stay->nelts; i++) {
        if (listed(images, APR_ARRAY_IDX(stay, i, const char *))) {
            *err = first;
            rv = first.rv;
        }
    }
    return rv;
}

/* What the images leave of the quota is for the git caches. */
static apr_status_t trim_caches(apr_pool_t *p, const wh_keep_opts_t *opts, apr_int64_t bytes,
                                wh_err_t *err)
{
    apr_int64_t left;
    int gone;
    apr_status_t rv =
        wh_caches_trim(p, opts->conf->state_dir, bytes > 0 ? bytes : 0, &left, &gone, err);

    wh_log(WH_LOG_DEBUG, NULL,
           "keeping house: %d git caches went, %" APR_INT64_T_FMT " MiB are kept", gone,
           left / WH_MIB);
    return rv;
}

apr_status_t wh_keep_run(apr_pool_t *p, const wh_keep_opts_t *opts, wh_err_t *err)
{
    wh_engine_open_t open = {
        .socket = opts->conf->engine_socket, .cancel = opts->cancel, .clock = opts->clock};
    wh_engine_label_t any = {WH_ENGINE_LABEL_IMAGE, NULL},
                      ours = {WH_ENGINE_LABEL_AGENT, opts->agent};
    wh_keep_in_t in = {.agent = opts->agent,
                       .building = opts->building,
                       .made = wh_made_list(p, opts->conf->state_dir),
                       .kept = opts->conf->images_kept,
                       .quota = opts->conf->storage_quota_bytes};
    apr_array_header_t *images, *containers, *go;
    apr_int64_t bytes;
    wh_engine_t *e;
    apr_status_t rv = opts->engine(p, &open, &e, err);

    if (rv == APR_SUCCESS)
        rv = e->vt->images(e, p, &any, &images, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->list(e, p, &ours, &containers, err);
    if (rv != APR_SUCCESS)
        return rv;
    in.images = images;
    in.containers = containers;
    go = wh_keep_plan(p, &in, &bytes);
    if (opts->building != NULL && opts->building->nelts > 0 && go->nelts > WH_KEEP_BURST)
        go->nelts = WH_KEEP_BURST;
    rv = remove_all(e, p, go, &any, err);
    wh_log(WH_LOG_DEBUG, NULL,
           "keeping house: %d of %d images with our label went, %" APR_INT64_T_FMT " MiB are kept",
           go->nelts, images->nelts, bytes / WH_MIB);
    return rv == APR_SUCCESS && in.quota > 0 ? trim_caches(p, opts, in.quota - bytes, err) : rv;
}

/* ---- by the marks ---- */

#define MARK_YOUNG_US ((apr_time_t)3600 * APR_USEC_PER_SEC) /* longer than any build */

/* A mark whose build came to nothing, or whose image somebody else removed, is none: it would push
 * a good one out. Looked at only where an app has more marks than images are kept, and only until
 * as many are found. Returns the marks that are left. */
static apr_array_header_t *marked(wh_engine_t *e, apr_pool_t *p, const wh_keep_opts_t *opts,
                                  const wh_made_in_t *in)
{
    apr_array_header_t *left = apr_array_make(p, in->made->nelts + 1, sizeof(wh_made_t));
    const wh_made_t *before = NULL;
    apr_int64_t found = 0;

    for (int i = 0; i < in->made->nelts; i++) {
        const wh_made_t *m = &APR_ARRAY_IDX(in->made, i, wh_made_t);
        apr_int64_t last = i + in->kept;
        wh_engine_image_t image;

        if (before == NULL || !wh_made_together(before, m)) {
            found = last < in->made->nelts &&
                            wh_made_together(&APR_ARRAY_IDX(in->made, last, wh_made_t), m)
                        ? 0
                        : in->kept;
        }
        before = m;
        if (found < in->kept && !wh_made_in_use(in, m->deployment) &&
            APR_STATUS_IS_NOTFOUND(
                e->vt->image(e, p, wh_made_tag(p, m->app, m->deployment), &image, NULL))) {
            /* A build that a former life began may yet bring it. */
            if (wh_id_time(m->deployment) + MARK_YOUNG_US < wh_clock_now(opts->clock))
                wh_made_forget(p, opts->conf->state_dir, m);
            continue;
        }
        found++;
        APR_ARRAY_PUSH(left, wh_made_t) = *m;
    }
    return left;
}

static apr_status_t remove_marked(wh_engine_t *e, apr_pool_t *p, const wh_keep_opts_t *opts,
                                  const apr_array_header_t *go, wh_err_t *err)
{
    wh_err_t first = WH_ERR_INIT, why;

    for (int i = 0; i < go->nelts && i < WH_KEEP_BURST; i++) {
        const wh_made_t *m = &APR_ARRAY_IDX(go, i, wh_made_t);
        const char *tag = wh_made_tag(p, m->app, m->deployment);

        wh_err_clear(&why);
        wh_log(WH_LOG_DEBUG, NULL, "keeping house: the image %s goes", tag);
        if (e->vt->image_remove(e, p, tag, &why) == APR_SUCCESS)
            wh_made_forget(p, opts->conf->state_dir, m);
        else if (first.rv == APR_SUCCESS)
            first = why;
        if (wh_err_is(&why, "no_engine") || wh_err_is(&why, "canceled"))
            break;
    }
    if (first.rv != APR_SUCCESS)
        *err = first;
    return first.rv;
}

apr_status_t wh_keep_superseded(apr_pool_t *p, const wh_keep_opts_t *opts, int *more, wh_err_t *err)
{
    wh_engine_open_t open = {
        .socket = opts->conf->engine_socket, .cancel = opts->cancel, .clock = opts->clock};
    wh_engine_label_t ours = {WH_ENGINE_LABEL_AGENT, opts->agent};
    wh_made_in_t in = {.made = wh_made_list(p, opts->conf->state_dir),
                       .building = opts->building,
                       .kept = opts->conf->images_kept};
    apr_array_header_t *containers, *go;
    wh_engine_t *e;
    apr_status_t rv;

    if (more != NULL)
        *more = 0;
    if (in.made->nelts == 0)
        return APR_SUCCESS;
    rv = opts->engine(p, &open, &e, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->list(e, p, &ours, &containers, err);
    if (rv != APR_SUCCESS)
        return rv;
    in.containers = containers;
    in.made = marked(e, p, opts, &in);
    go = wh_made_superseded(p, &in);
    if (more != NULL)
        *more = go->nelts > WH_KEEP_BURST;
    return remove_marked(e, p, opts, go, err);
}

/* ---- when ---- */

static wh_mono_t later(wh_mono_t a, wh_mono_t b)
{
    return wh_mono_reached(a, b) ? a : b;
}

void wh_keep_when_soon(wh_keep_when_t *when, wh_mono_t now)
{
    wh_mono_t at = wh_mono_add(now, WH_KEEP_SOON_US);

    when->again = when->running;
    if (when->ended.us != 0)
        at = later(
            at, wh_mono_add(when->ended, when->failed > 0 ? WH_KEEP_RETRY_US : WH_KEEP_APART_US));
    if (!wh_mono_reached(at, when->due))
        when->due = at;
}

void wh_keep_when_begins(wh_keep_when_t *when)
{
    when->running = 1;
    when->again = 0;
}

void wh_keep_when_ended(wh_keep_when_t *when, wh_mono_t now, int failed)
{
    apr_interval_time_t wait = WH_KEEP_EVERY_US;

    when->failed = failed ? when->failed + 1 : 0;
    if (failed) {
        wait = WH_KEEP_RETRY_US;
        for (unsigned i = 1; i < when->failed && wait < WH_KEEP_EVERY_US; i++)
            wait *= 2;
        wait = wait < WH_KEEP_EVERY_US ? wait : WH_KEEP_EVERY_US;
    }
    when->running = 0;
    when->ended = now;
    when->due = wh_mono_add(now, wait);
    if (when->again)
        wh_keep_when_soon(when, now);
}

void wh_keep_when_looked(wh_keep_when_t *when, wh_mono_t now, apr_interval_time_t took)
{
    apr_interval_time_t wait =
        took < WH_KEEP_EVERY_US / WH_KEEP_LOOK_SHARE ? took * WH_KEEP_LOOK_SHARE : WH_KEEP_EVERY_US;

    when->look_due = wh_mono_add(now, wait);
}
