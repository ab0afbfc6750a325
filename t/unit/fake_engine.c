#include <string.h>
#include <apr_strings.h>
#include "t/unit/fake_engine.h"

fake_engine_t fake;

static apr_status_t called(const char *what, wh_err_t *err)
{
    size_t n = strlen(fake.log);

    (void)apr_snprintf(fake.log + n, sizeof(fake.log) - n, "%s ", what);
    if (++fake.calls == fake.fail_at)
        return wh_err_set(err, 502, "engine_error", "the fake engine refuses %s", what);
    return APR_SUCCESS;
}

static fake_container_t *find(const char *id)
{
    for (int i = 0; i < fake.n; i++)
        if (fake.all[i].exists && (!strcmp(fake.all[i].id, id) || !strcmp(fake.all[i].name, id)))
            return &fake.all[i];
    return NULL;
}

static apr_status_t fake_version(wh_engine_t *e, apr_pool_t *p, const char **name, wh_err_t *err)
{
    (void)e;
    (void)p;
    *name = "fake 1";
    return called("version", err);
}

static apr_status_t fake_build(wh_engine_t *e, apr_pool_t *p, const wh_engine_build_t *build,
                               const char **image, wh_err_t *err)
{
    (void)e;
    (void)p;
    *image = "sha256:image";
    *build->settled = 1;
    return called("build", err);
}

static apr_status_t fake_network(wh_engine_t *e, apr_pool_t *p, const char *name,
                                 const apr_array_header_t *labels, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)name;
    (void)labels;
    return called("network", err);
}

static apr_status_t fake_network_remove(wh_engine_t *e, apr_pool_t *p, const char *name,
                                        wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)name;
    fake.networks_removed++;
    return called("network_remove", err);
}

static apr_status_t fake_create(wh_engine_t *e, apr_pool_t *p, const wh_engine_spec_t *spec,
                                const char **id, wh_err_t *err)
{
    apr_status_t rv = called("create", err);
    fake_container_t *c;

    (void)e;
    if (rv != APR_SUCCESS)
        return rv;
    c = fake_engine_add(apr_psprintf(fake.p, "made%d", fake.n), 0, 0,
                        (const wh_engine_label_t *)(const void *)spec->labels->elts,
                        (size_t)spec->labels->nelts);
    apr_cpystrn(c->name, spec->name, sizeof(c->name));
    c->image = apr_pstrdup(fake.p, spec->image);
    c->spec = *spec;
    c->spec.publish_address = apr_pstrdup(fake.p, spec->publish_address);
    *id = apr_pstrdup(p, c->id);
    return APR_SUCCESS;
}

static apr_status_t fake_inspect(wh_engine_t *e, apr_pool_t *p, const char *id,
                                 wh_engine_seen_t *seen, wh_err_t *err)
{
    apr_status_t rv = called("inspect", err);
    fake_container_t *c = find(id);

    (void)e;
    (void)p;
    if (rv != APR_SUCCESS)
        return rv;
    if (c == NULL)
        return APR_NOTFOUND;
    memset(seen, 0, sizeof(*seen));
    seen->id = c->id;
    seen->image = c->image != NULL ? c->image : "";
    seen->running = c->running;
    seen->status = c->running ? "running" : "exited";
    seen->exit_status = c->exit_status;
    seen->restarts = c->restarts;
    seen->labels = c->labels;
    seen->forbidden = fake.forbidden != NULL ? fake.forbidden : "";
    seen->cut_off = fake.cut_off;
    seen->memory_bytes = c->spec.memory_bytes;
    seen->nano_cpus = c->spec.cpu_millis * 1000000;
    seen->pids = c->spec.pids;
    seen->publish_address = c->spec.publish_address != NULL ? c->spec.publish_address : "";
    seen->publish_port = c->spec.publish_port;
    return APR_SUCCESS;
}

static apr_status_t fake_start(wh_engine_t *e, apr_pool_t *p, const char *id, apr_int64_t limit_s,
                               wh_err_t *err)
{
    apr_status_t rv = called("start", err);
    fake_container_t *c = find(id);

    (void)e;
    (void)p;
    fake.start_limit_s = limit_s;
    if (rv == APR_SUCCESS && fake.start_hangs)
        return wh_err_set(err, 504, "deadline", "the engine took too long");
    if (rv == APR_SUCCESS && c != NULL)
        c->running = 1;
    fake.starts++;
    return rv;
}

static apr_status_t fake_wait_begin(wh_engine_t *e, const char *id, wh_err_t *err)
{
    (void)e;
    (void)id;
    return called("wait_begin", err);
}

static apr_status_t fake_wait_check(wh_engine_t *e, apr_interval_time_t us, int *ended,
                                    apr_int64_t *exit_status, wh_err_t *err)
{
    (void)e;
    (void)us;
    (void)err;
    *ended = ++fake.checks == fake.exit_at_check;
    *exit_status = *ended ? fake.exit_status : -1;
    return APR_SUCCESS;
}

static apr_status_t fake_logs(wh_engine_t *e, apr_pool_t *p, const wh_engine_logs_t *what,
                              wh_err_t *err)
{
    (void)e;
    (void)p;
    what->text(what->text_baton, WH_STREAM_ERR, "last word\n", 10);
    return called("logs", err);
}

static apr_status_t fake_stop(wh_engine_t *e, apr_pool_t *p, const char *id, int grace_s,
                              wh_err_t *err)
{
    apr_status_t rv = called("stop", err);
    fake_container_t *c = find(id);

    (void)e;
    (void)p;
    (void)grace_s;
    if (rv == APR_SUCCESS && c != NULL)
        c->running = 0;
    fake.stops++;
    return rv;
}

static apr_status_t fake_remove(wh_engine_t *e, apr_pool_t *p, const char *id, wh_err_t *err)
{
    apr_status_t rv = called("remove", err);
    fake_container_t *c = find(id);

    (void)e;
    (void)p;
    if (rv == APR_SUCCESS && c != NULL) {
        c->exists = c->running = 0;
        fake.removes++;
    }
    return rv;
}

static apr_status_t fake_root(wh_engine_t *e, apr_pool_t *p, const char **dir, wh_err_t *err)
{
    (void)e;
    (void)p;
    *dir = "";
    return called("root", err);
}

static apr_status_t fake_use(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_use_t *use,
                             wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)id;
    *use = (wh_engine_use_t){.cpu_ns = 1, .memory_bytes = 1};
    return called("use", err);
}

static apr_status_t fake_list(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                              apr_array_header_t **items, wh_err_t *err)
{
    apr_status_t rv = called("list", err);

    (void)e;
    *items = apr_array_make(p, 4, sizeof(wh_engine_item_t));
    for (int i = 0; rv == APR_SUCCESS && i < fake.n; i++) {
        fake_container_t *c = &fake.all[i];

        if (c->exists && strcmp(wh_engine_label(c->labels, with->key), with->value) == 0)
            APR_ARRAY_PUSH(*items, wh_engine_item_t) =
                (wh_engine_item_t){.id = c->id,
                                   .running = c->running,
                                   .created_at = c->created_at,
                                   .labels = c->labels,
                                   .tags = apr_array_make(p, 1, sizeof(const char *))};
    }
    return rv;
}

static apr_status_t fake_images(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                apr_array_header_t **items, wh_err_t *err)
{
    (void)e;
    (void)with;
    *items = apr_array_make(p, 1, sizeof(wh_engine_item_t));
    return called("images", err);
}

static apr_status_t fake_events(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                wh_engine_event_fn *fn, void *baton, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)with;
    (void)fn;
    (void)baton;
    return called("events", err);
}

static apr_status_t fake_image(wh_engine_t *e, apr_pool_t *p, const char *name,
                               wh_engine_image_t *image, wh_err_t *err)
{
    (void)e;
    image->id = name;
    image->labels = apr_array_make(p, 1, sizeof(wh_engine_label_t));
    image->onbuild = apr_array_make(p, 1, sizeof(const char *));
    image->digests = apr_array_make(p, 1, sizeof(const char *));
    return called("image", err);
}

static apr_status_t fake_pull(wh_engine_t *e, apr_pool_t *p, const wh_engine_pull_t *what,
                              wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)what;
    return called("pull", err);
}

static apr_status_t fake_image_remove(wh_engine_t *e, apr_pool_t *p, const char *tag, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)tag;
    return called("image_remove", err);
}

static const wh_engine_vt_t vt = {.version = fake_version,
                                  .build = fake_build,
                                  .network = fake_network,
                                  .network_remove = fake_network_remove,
                                  .create = fake_create,
                                  .inspect = fake_inspect,
                                  .use = fake_use,
                                  .start = fake_start,
                                  .wait_begin = fake_wait_begin,
                                  .wait_check = fake_wait_check,
                                  .logs = fake_logs,
                                  .stop = fake_stop,
                                  .remove = fake_remove,
                                  .root = fake_root,
                                  .list = fake_list,
                                  .images = fake_images,
                                  .events = fake_events,
                                  .image = fake_image,
                                  .pull = fake_pull,
                                  .image_remove = fake_image_remove,
                                  .layer_remove = fake_image_remove};

void fake_engine_reset(apr_pool_t *p)
{
    memset(&fake, 0, sizeof(fake));
    fake.p = p;
    fake.engine.vt = &vt;
}

fake_container_t *fake_engine_add(const char *id, int running, apr_time_t created_at,
                                  const wh_engine_label_t *labels, size_t nlabels)
{
    fake_container_t *c = &fake.all[fake.n++];

    memset(c, 0, sizeof(*c));
    apr_cpystrn(c->id, id, sizeof(c->id));
    c->exists = 1;
    c->running = running;
    c->created_at = created_at;
    c->labels = apr_array_make(fake.p, 4, sizeof(wh_engine_label_t));
    for (size_t i = 0; i < nlabels; i++)
        APR_ARRAY_PUSH(c->labels, wh_engine_label_t) =
            (wh_engine_label_t){.key = apr_pstrdup(fake.p, labels[i].key),
                                .value = apr_pstrdup(fake.p, labels[i].value)};
    return c;
}

apr_status_t fake_engine_open(apr_pool_t *p, const wh_engine_open_t *open, wh_engine_t **engine,
                              wh_err_t *err)
{
    (void)p;
    (void)open;
    (void)err;
    *engine = &fake.engine;
    return APR_SUCCESS;
}
