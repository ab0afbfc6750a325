/* wh_model_place: where an app may run, in the bodies of apps and deployments and in snapshots. */
#include <string.h>

#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

#define ZONE_MAX 63

static apr_status_t members(apr_pool_t *p, const wh_json_at_t *at,
                            const wh_model_int_place_t *place, wh_err_t *err)
{
    json_t *labels = json_object_get(at->obj, "labels");
    apr_status_t rv = wh_model_int_str(at, "worker", 1, WH_WORKER_NAME_MAX, "", place->worker, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (**place->worker && !wh_model_worker_name_ok(*place->worker))
        return wh_model_int_bad(at, "worker", err, WH_WORKER_NAME_RULE);
    if ((rv = wh_model_int_str(at, "zone", 0, ZONE_MAX, "", place->zone, err)) != APR_SUCCESS ||
        (rv = wh_model_int_honest(at, "zone", *place->zone, err)) != APR_SUCCESS)
        return rv;
    if (!wh_json_has(at, "labels"))
        return APR_SUCCESS;
    return wh_model_int_at(at, "labels", wh_model_labels_decode(p, labels, place->labels, err),
                           err);
}

apr_status_t wh_model_int_placement(apr_pool_t *p, const wh_json_at_t *at, int strict,
                                    const wh_model_int_place_t *place, wh_err_t *err)
{
    static const char *const names[] = {"worker", "zone", "labels"};
    wh_json_at_t part;
    apr_status_t rv;

    if (!wh_json_has(at, "placement"))
        return APR_SUCCESS;
    if ((rv = wh_json_obj(at, "placement", WH_JSON_F_NULL, &part, err)) != APR_SUCCESS)
        return rv;
    if (!part.obj) {
        *place->worker = *place->zone = "";
        *place->labels = "{}";
        return APR_SUCCESS;
    }
    if (strict && (rv = wh_json_only(&part, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS)
        return rv;
    return members(p, &part, place, err);
}

static int set(const char *text)
{
    return text != NULL && *text != '\0';
}

json_t *wh_model_int_placement_json(const char *worker, const char *zone, const char *labels)
{
    return json_pack("{s:o, s:o, s:o}", "worker", wh_model_int_text(worker), "zone",
                     wh_model_int_text(zone), "labels", wh_model_int_object(labels));
}

int wh_model_placed(const char *worker, const char *zone, const char *labels)
{
    return set(worker) || set(zone) || (set(labels) && strcmp(labels, "{}") != 0);
}
