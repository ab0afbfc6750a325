#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/made.h"

#define PREVIEW ".preview"

const char *wh_made_tag(apr_pool_t *p, const char *app, const char *deployment)
{
    return apr_pstrcat(p, "localhost/wisehost/", app, ":", deployment, NULL);
}

static const char *dir_of(apr_pool_t *p, const char *state_dir, const wh_made_t *made)
{
    return apr_pstrcat(p, state_dir, "/images/", made->app, made->preview ? PREVIEW : "", NULL);
}

apr_status_t wh_made_note(apr_pool_t *p, const char *state_dir, const wh_made_t *made,
                          wh_err_t *err)
{
    const char *dir = dir_of(p, state_dir, made);
    apr_status_t rv = wh_fsutil_mkdir(p, dir, err);

    return rv == APR_SUCCESS ? wh_fsutil_write(p, apr_pstrcat(p, dir, "/", made->deployment, NULL),
                                               "", 0, WH_FSUTIL_QUICK, err)
                             : rv;
}

void wh_made_forget(apr_pool_t *p, const char *state_dir, const wh_made_t *made)
{
    const char *dir = dir_of(p, state_dir, made);

    (void)unlink(apr_pstrcat(p, dir, "/", made->deployment, NULL));
    (void)rmdir(dir);
}

/* ---- the list ---- */

/* An id, with what may stand behind it: an id alone, or NULL. */
static const char *id_of(apr_pool_t *p, const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    const char *id;

    if (n <= m || strcmp(name + n - m, suffix) != 0)
        return NULL;
    id = apr_pstrmemdup(p, name, n - m);
    return wh_id_ok(id) ? id : NULL;
}

/* Names of a directory that are ids with this suffix, as ids. */
static apr_array_header_t *ids_in(apr_pool_t *p, const char *path, const char *suffix)
{
    apr_array_header_t *all = apr_array_make(p, 8, sizeof(const char *));
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS)
        return all;
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        const char *id = id_of(p, info.name, suffix);

        if (id != NULL)
            APR_ARRAY_PUSH(all, const char *) = id;
    }
    apr_dir_close(dir);
    return all;
}

static int newest_first(const void *a, const void *b)
{
    const wh_made_t *x = a, *y = b;
    int by_app = strcmp(y->app, x->app);

    if (by_app != 0)
        return by_app;
    return x->preview != y->preview ? x->preview - y->preview
                                    : strcmp(y->deployment, x->deployment);
}

apr_array_header_t *wh_made_list(apr_pool_t *p, const char *state_dir)
{
    apr_array_header_t *all = apr_array_make(p, 16, sizeof(wh_made_t));
    const char *dir = state_dir != NULL ? apr_pstrcat(p, state_dir, "/images", NULL) : NULL;

    for (int preview = 0; dir != NULL && preview <= 1; preview++) {
        apr_array_header_t *apps = ids_in(p, dir, preview ? PREVIEW : "");

        for (int a = 0; a < apps->nelts; a++) {
            wh_made_t made = {.app = APR_ARRAY_IDX(apps, a, const char *), .preview = preview};
            apr_array_header_t *ids = ids_in(p, dir_of(p, state_dir, &made), "");

            for (int i = 0; i < ids->nelts; i++) {
                made.deployment = APR_ARRAY_IDX(ids, i, const char *);
                APR_ARRAY_PUSH(all, wh_made_t) = made;
            }
        }
    }
    qsort(all->elts, (size_t)all->nelts, sizeof(wh_made_t), newest_first);
    return all;
}

/* ---- the plan ---- */

int wh_made_in_use(const wh_made_in_t *in, const char *deployment)
{
    for (int i = 0; in->building != NULL && i < in->building->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(in->building, i, const char *), deployment) == 0)
            return 1;
    for (int i = 0; i < in->containers->nelts; i++) {
        const wh_engine_item_t *c = &APR_ARRAY_IDX(in->containers, i, wh_engine_item_t);

        if (strcmp(wh_engine_label(c->labels, WH_ENGINE_LABEL_DEPLOYMENT), deployment) == 0 ||
            strcmp(wh_engine_label(c->labels, WH_ENGINE_LABEL_SOURCE), deployment) == 0)
            return 1;
    }
    return 0;
}

int wh_made_together(const wh_made_t *a, const wh_made_t *b)
{
    return strcmp(a->app, b->app) == 0 && a->preview == b->preview;
}

apr_array_header_t *wh_made_superseded(apr_pool_t *p, const wh_made_in_t *in)
{
    apr_array_header_t *go = apr_array_make(p, 8, sizeof(wh_made_t));
    const wh_made_t *before = NULL;
    apr_int64_t rank = 0;

    for (int i = 0; i < in->made->nelts; i++) {
        const wh_made_t *m = &APR_ARRAY_IDX(in->made, i, wh_made_t);

        rank = before != NULL && wh_made_together(before, m) ? rank + 1 : 0;
        before = m;
        if (rank >= in->kept && !wh_made_in_use(in, m->deployment))
            APR_ARRAY_PUSH(go, wh_made_t) = *m;
    }
    for (int i = 0; i < go->nelts / 2; i++) {
        wh_made_t *a = &APR_ARRAY_IDX(go, i, wh_made_t);
        wh_made_t *b = &APR_ARRAY_IDX(go, go->nelts - 1 - i, wh_made_t), swap = *a;

        *a = *b;
        *b = swap;
    }
    return go;
}
