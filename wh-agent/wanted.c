#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/wanted.h"

#define FILE_MAX ((size_t)(4 * 1024 * 1024))
#define HEARTBEAT_S 30 /* the file is a `settings` payload, which has to have one */

struct wh_wanted_t {
    const char *path;
    apr_pool_t *p; /* of what follows; another one after each change */
    apr_array_header_t *list, *violated;
    int known;
    const char *written; /* "" = nothing yet */
};

static void copy_ids(apr_array_header_t *to, const apr_array_header_t *from)
{
    for (int i = 0; i < from->nelts; i++)
        APR_ARRAY_PUSH(to, const char *) =
            apr_pstrdup(to->pool, APR_ARRAY_IDX(from, i, const char *));
}

static void copy_list(apr_array_header_t *to, const apr_array_header_t *from)
{
    for (int i = 0; i < from->nelts; i++) {
        wh_msg_desired_t d = APR_ARRAY_IDX(from, i, wh_msg_desired_t);

        d.deployment = apr_pstrdup(to->pool, d.deployment);
        d.app = apr_pstrdup(to->pool, d.app);
        APR_ARRAY_PUSH(to, wh_msg_desired_t) = d;
    }
}

/* ---- the file ---- */

static const char *text_of(const wh_wanted_t *wanted, apr_pool_t *p)
{
    wh_msg_settings_t settings = {.heartbeat_s = HEARTBEAT_S, .desired = wanted->list};
    json_t *top = wh_json_own(p, wh_proto_msg_settings_encode(&settings));
    json_t *violated = json_array();

    for (int i = 0; i < wanted->violated->nelts; i++)
        json_array_append_new(violated,
                              json_string(APR_ARRAY_IDX(wanted->violated, i, const char *)));
    json_object_set_new(top, "violated", violated);
    return wh_json_text(p, top, NULL);
}

/* What could not be written is tried again with the next change; until then it is known in memory.
 */
static void write_file(wh_wanted_t *wanted)
{
    const char *text = text_of(wanted, wanted->p);
    wh_err_t err = WH_ERR_INIT;

    if (text == NULL || strcmp(text, wanted->written) == 0)
        return;
    if (wh_fsutil_write(wanted->p, wanted->path, text, strlen(text), WH_FSUTIL_DURABLE, &err) ==
        APR_SUCCESS)
        wanted->written = text;
    else
        wh_log(WH_LOG_ERROR, "WH0720", "what should run is not kept for the next start: %s",
               err.text);
}

static apr_status_t parse(wh_wanted_t *wanted, const char *text, size_t n, wh_err_t *err)
{
    wh_msg_settings_t settings = {0};
    json_t *top = NULL, *v;
    size_t i;
    apr_status_t rv = wh_json_load_object(wanted->p, text, n, NULL, &top, err);

    if (rv == APR_SUCCESS)
        rv = wh_proto_msg_settings_decode(wanted->p, top, &settings, err);
    if (rv != APR_SUCCESS || settings.desired == NULL)
        return rv;
    wanted->list = settings.desired;
    json_array_foreach(json_object_get(top, "violated"), i, v)
    {
        if (json_is_string(v))
            APR_ARRAY_PUSH(wanted->violated, const char *) =
                apr_pstrdup(wanted->p, json_string_value(v));
    }
    wanted->known = 1;
    wanted->written = text;
    return APR_SUCCESS;
}

static apr_status_t wanted_free(void *data)
{
    apr_pool_destroy(((wh_wanted_t *)data)->p);
    return APR_SUCCESS;
}

apr_status_t wh_wanted_open(apr_pool_t *p, const char *state_dir, wh_wanted_t **out, wh_err_t *err)
{
    wh_wanted_t *wanted = apr_pcalloc(p, sizeof(*wanted));
    wh_err_t why = WH_ERR_INIT;
    apr_status_t rv;
    char *text;
    size_t n;

    wanted->p = wh_pool_make("wanted");
    if (wanted->p == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    apr_pool_cleanup_register(p, wanted, wanted_free, apr_pool_cleanup_null);
    wanted->path = apr_pstrcat(p, state_dir, "/wanted", NULL);
    wanted->list = apr_array_make(wanted->p, 8, sizeof(wh_msg_desired_t));
    wanted->violated = apr_array_make(wanted->p, 2, sizeof(const char *));
    wanted->written = "";
    rv = wh_fsutil_read(wanted->p, wanted->path, FILE_MAX, &text, &n, &why);
    if (rv == APR_SUCCESS)
        rv = parse(wanted, text, n, &why);
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND) {
        wh_log(WH_LOG_WARN, "WH0721", "%s cannot be read and is set aside: %s", wanted->path,
               why.text);
        (void)rename(wanted->path, apr_pstrcat(wanted->p, wanted->path, ".bad", NULL));
    }
    *out = wanted;
    return APR_SUCCESS;
}

/* ---- using it ---- */

int wh_wanted_known(const wh_wanted_t *wanted)
{
    return wanted->known;
}

const apr_array_header_t *wh_wanted_list(const wh_wanted_t *wanted)
{
    return wanted->list;
}

const apr_array_header_t *wh_wanted_violated(const wh_wanted_t *wanted)
{
    return wanted->violated;
}

/* Everything into a pool of its own, with room for a change: what was there before is given back.
 */
static void change(wh_wanted_t *wanted, const apr_array_header_t *desired,
                   const apr_array_header_t *violated, const wh_msg_desired_t *more)
{
    apr_pool_t *p = wh_pool_make("wanted"), *old = wanted->p;

    if (p == NULL)
        return;
    wanted->p = p;
    wanted->list = apr_array_make(p, desired->nelts + 1, sizeof(wh_msg_desired_t));
    copy_list(wanted->list, desired);
    if (more != NULL)
        APR_ARRAY_PUSH(wanted->list, wh_msg_desired_t) =
            (wh_msg_desired_t){.deployment = apr_pstrdup(p, more->deployment),
                               .app = apr_pstrdup(p, more->app),
                               .desired = more->desired};
    wanted->violated = apr_array_make(p, violated->nelts + 1, sizeof(const char *));
    copy_ids(wanted->violated, violated);
    wanted->written = apr_pstrdup(p, wanted->written);
    write_file(wanted);
    apr_pool_destroy(old);
}

void wh_wanted_take(wh_wanted_t *wanted, const apr_array_header_t *desired)
{
    wanted->known = 1;
    change(wanted, desired, wanted->violated, NULL);
}

void wh_wanted_add(wh_wanted_t *wanted, const wh_msg_desired_t *one)
{
    change(wanted, wanted->list, wanted->violated, one);
}

void wh_wanted_stop(wh_wanted_t *wanted, const char *deployment)
{
    if (deployment == NULL)
        return;
    for (int i = 0; i < wanted->list->nelts; i++) {
        wh_msg_desired_t *d = &APR_ARRAY_IDX(wanted->list, i, wh_msg_desired_t);

        if (strcmp(d->deployment, deployment) == 0)
            d->desired = WH_DESIRED_STOPPED;
    }
    change(wanted, wanted->list, wanted->violated, NULL);
}

static int same(const apr_array_header_t *a, const apr_array_header_t *b)
{
    if (a->nelts != b->nelts)
        return 0;
    for (int i = 0; i < a->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(a, i, const char *), APR_ARRAY_IDX(b, i, const char *)) != 0)
            return 0;
    return 1;
}

void wh_wanted_violate(wh_wanted_t *wanted, const apr_array_header_t *containers)
{
    if (!same(wanted->violated, containers))
        change(wanted, wanted->list, containers, NULL);
}
