#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/made.h"

const char *wh_made_tag(apr_pool_t *p, const char *app, const char *deployment)
{
    return apr_pstrcat(p, "localhost/wisehost/", app, ":", deployment, NULL);
}

static const char *dir_of(apr_pool_t *p, const char *state_dir, const char *app)
{
    return apr_pstrcat(p, state_dir, "/images/", app, NULL);
}

apr_status_t wh_made_note(apr_pool_t *p, const char *state_dir, const char *app,
                          const char *deployment, wh_err_t *err)
{
    const char *dir = dir_of(p, state_dir, app);
    apr_status_t rv = wh_fsutil_mkdir(p, dir, err);

    return rv == APR_SUCCESS ? wh_fsutil_write(p, apr_pstrcat(p, dir, "/", deployment, NULL), "", 0,
                                               WH_FSUTIL_QUICK, err)
                             : rv;
}

void wh_made_forget(apr_pool_t *p, const char *state_dir, const wh_made_t *made)
{
    const char *dir = dir_of(p, state_dir, made->app);

    (void)unlink(apr_pstrcat(p, dir, "/", made->deployment, NULL));
    (void)rmdir(dir);
}

/* ---- the list ---- */

/* Names of a directory that are ids. */
static apr_array_header_t *ids_in(apr_pool_t *p, const char *path)
{
    apr_array_header_t *all = apr_array_make(p, 8, sizeof(const char *));
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS)
        return all;
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS)
        if (wh_id_ok(info.name))
            APR_ARRAY_PUSH(all, const char *) = apr_pstrdup(p, info.name);
    apr_dir_close(dir);
    return all;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(*(const char *const *)b, *(const char *const *)a);
}

apr_array_header_t *wh_made_list(apr_pool_t *p, const char *state_dir)
{
    apr_array_header_t *all = apr_array_make(p, 16, sizeof(wh_made_t));
    apr_array_header_t *apps = state_dir != NULL ? ids_in(p, dir_of(p, state_dir, ""))
                                                 : apr_array_make(p, 1, sizeof(char *));

    qsort(apps->elts, (size_t)apps->nelts, sizeof(const char *), newest_first);
    for (int a = 0; a < apps->nelts; a++) {
        const char *app = APR_ARRAY_IDX(apps, a, const char *);
        apr_array_header_t *ids = ids_in(p, dir_of(p, state_dir, app));

        qsort(ids->elts, (size_t)ids->nelts, sizeof(const char *), newest_first);
        for (int i = 0; i < ids->nelts; i++)
            APR_ARRAY_PUSH(all, wh_made_t) =
                (wh_made_t){.app = app, .deployment = APR_ARRAY_IDX(ids, i, const char *)};
    }
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

apr_array_header_t *wh_made_superseded(apr_pool_t *p, const wh_made_in_t *in)
{
    apr_array_header_t *go = apr_array_make(p, 8, sizeof(wh_made_t));
    const char *app = "";
    apr_int64_t rank = 0;

    for (int i = 0; i < in->made->nelts; i++) {
        const wh_made_t *m = &APR_ARRAY_IDX(in->made, i, wh_made_t);

        rank = strcmp(app, m->app) == 0 ? rank + 1 : 0;
        app = m->app;
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
