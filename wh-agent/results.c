#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/results.h"

#define FILE_MAX ((size_t)(256 * 1024))

typedef struct item_t item_t;
struct item_t {
    item_t *next;
    char job[WH_ID_LEN + 1];
    apr_int64_t epoch;
    json_t *payload;
    int sent; /* on the present connection */
};

struct wh_results_t {
    const char *state_dir;
    item_t *first;
};

static const char *path_of(apr_pool_t *p, const char *state_dir, const char *kind, const char *job)
{
    return apr_pstrcat(p, state_dir, "/", kind, "/", job, NULL);
}

static apr_status_t free_all(void *data)
{
    wh_results_t *results = data;

    while (results->first != NULL) {
        item_t *item = results->first;

        results->first = item->next;
        json_decref(item->payload);
        free(item);
    }
    return APR_SUCCESS;
}

/* The names in a directory that are ids. */
static apr_array_header_t *ids_in(apr_pool_t *p, const char *path)
{
    apr_array_header_t *ids = apr_array_make(p, 8, sizeof(const char *));
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS)
        return ids;
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS)
        if (wh_id_ok(info.name))
            APR_ARRAY_PUSH(ids, const char *) = apr_pstrdup(p, info.name);
    apr_dir_close(dir);
    return ids;
}

static void load_one(wh_results_t *results, apr_pool_t *p, const char *job)
{
    const char *path = path_of(p, results->state_dir, "results", job);
    wh_msg_job_result_t msg = {.job = ""};
    wh_err_t err = WH_ERR_INIT;
    json_t *payload = NULL;
    char *text;
    size_t n;
    apr_status_t rv = wh_fsutil_read(p, path, FILE_MAX, &text, &n, &err);

    if (rv == APR_SUCCESS)
        rv = wh_json_load_object(p, text, n, NULL, &payload, &err);
    if (rv == APR_SUCCESS)
        rv = wh_proto_msg_job_result_decode(p, payload, &msg, &err);
    if (rv == APR_SUCCESS && strcmp(msg.job, job) == 0) {
        wh_msg_ref_t ref = {.job = msg.job, .epoch = msg.epoch};

        wh_results_add(results, &ref, json_incref(payload));
        return;
    }
    wh_log(WH_LOG_WARN, "WH0610", "the result in %s cannot be read and is set aside: %s", path,
           err.text);
    (void)rename(path, apr_pstrcat(p, path, ".bad", NULL));
}

apr_status_t wh_results_open(apr_pool_t *p, const char *state_dir, wh_results_t **out,
                             wh_err_t *err)
{
    wh_results_t *results = apr_pcalloc(p, sizeof(*results));
    apr_pool_t *scratch;
    apr_array_header_t *ids;
    apr_status_t rv;

    results->state_dir = apr_pstrdup(p, state_dir);
    apr_pool_cleanup_register(p, results, free_all, apr_pool_cleanup_null);
    rv = wh_fsutil_mkdir(p, apr_pstrcat(p, state_dir, "/results", NULL), err);
    if (rv == APR_SUCCESS)
        rv = wh_fsutil_mkdir(p, apr_pstrcat(p, state_dir, "/jobs", NULL), err);
    if (rv != APR_SUCCESS)
        return rv;
    scratch = wh_pool_make("results");
    if (scratch == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    ids = ids_in(scratch, apr_pstrcat(scratch, state_dir, "/results", NULL));
    for (int i = 0; i < ids->nelts; i++)
        load_one(results, scratch, APR_ARRAY_IDX(ids, i, const char *));
    apr_pool_destroy(scratch);
    *out = results;
    return APR_SUCCESS;
}

apr_status_t wh_results_store(const char *state_dir, apr_pool_t *p, const wh_msg_ref_t *ref,
                              const json_t *payload, wh_err_t *err)
{
    size_t n = 0;
    const char *text = wh_json_text(p, payload, &n);

    if (text == NULL || !wh_id_ok(ref->job))
        return wh_err_set(err, 500, "internal", "a result cannot be written");
    return wh_fsutil_write(p, path_of(p, state_dir, "results", ref->job), text, n,
                           WH_FSUTIL_DURABLE, err);
}

void wh_results_add(wh_results_t *results, const wh_msg_ref_t *ref, json_t *payload)
{
    item_t **at = &results->first;
    item_t *item = calloc(1, sizeof(*item));

    if (item == NULL) {
        json_decref(payload); /* it is on disk: the next life sends it */
        return;
    }
    apr_cpystrn(item->job, ref->job, sizeof(item->job));
    item->epoch = ref->epoch;
    item->payload = payload;
    /* A new result of the same job takes the place of the old one. */
    while (*at != NULL && strcmp((*at)->job, item->job) != 0)
        at = &(*at)->next;
    if (*at != NULL) {
        item_t *old = *at;

        item->next = old->next;
        json_decref(old->payload);
        free(old);
    }
    *at = item;
}

json_t *wh_results_find(const wh_results_t *results, const char *job, apr_int64_t epoch)
{
    for (const item_t *i = results->first; i != NULL; i = i->next)
        if (strcmp(i->job, job) == 0 && (epoch == 0 || i->epoch == epoch))
            return i->payload;
    return NULL;
}

int wh_results_drop(wh_results_t *results, const wh_msg_ref_t *ref)
{
    for (item_t **at = &results->first; *at != NULL; at = &(*at)->next) {
        item_t *item = *at;
        char path[4096];

        if (strcmp(item->job, ref->job) != 0 || item->epoch != ref->epoch)
            continue;
        (void)apr_snprintf(path, sizeof(path), "%s/results/%s", results->state_dir, item->job);
        (void)unlink(path);
        *at = item->next;
        json_decref(item->payload);
        free(item);
        return 1;
    }
    return 0;
}

static apr_array_header_t *refs_of(const wh_results_t *results, apr_pool_t *p, int unsent_only)
{
    apr_array_header_t *refs = apr_array_make(p, 4, sizeof(wh_msg_ref_t));

    for (const item_t *i = results->first; i != NULL; i = i->next)
        if (!unsent_only || !i->sent)
            APR_ARRAY_PUSH(refs, wh_msg_ref_t) =
                (wh_msg_ref_t){.job = apr_pstrdup(p, i->job), .epoch = i->epoch};
    return refs;
}

apr_array_header_t *wh_results_refs(const wh_results_t *results, apr_pool_t *p)
{
    return refs_of(results, p, 0);
}

apr_array_header_t *wh_results_unsent(const wh_results_t *results, apr_pool_t *p)
{
    return refs_of(results, p, 1);
}

void wh_results_sent(wh_results_t *results, const char *job)
{
    for (item_t *i = results->first; i != NULL; i = i->next)
        if (strcmp(i->job, job) == 0)
            i->sent = 1;
}

void wh_results_rewind(wh_results_t *results)
{
    for (item_t *i = results->first; i != NULL; i = i->next)
        i->sent = 0;
}

/* Written without waiting for the disk: a mark has to outlive the process, and after a power cut
 * nothing runs any more that it could tell of. */
apr_status_t wh_results_mark(const char *state_dir, apr_pool_t *p, const wh_msg_job_t *job,
                             wh_err_t *err)
{
    const char *text = apr_psprintf(p, "%s %" APR_INT64_T_FMT "\n", job->deployment, job->epoch);

    if (!wh_id_ok(job->job))
        return wh_err_set(err, 500, "internal", "a job without an id");
    return wh_fsutil_write(p, path_of(p, state_dir, "jobs", job->job), text, strlen(text),
                           WH_FSUTIL_QUICK, err);
}

void wh_results_unmark(const char *state_dir, apr_pool_t *p, const char *job)
{
    if (wh_id_ok(job))
        (void)unlink(path_of(p, state_dir, "jobs", job));
}

apr_array_header_t *wh_results_marked(const char *state_dir, apr_pool_t *p)
{
    return ids_in(p, apr_pstrcat(p, state_dir, "/jobs", NULL));
}
