/* GET /v1/apps/{slug}/requests: what this httpd counted of an app's requests. */
#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_json.h"
#include "libwh/wh_time.h"
#include "mod_wisehost/wh_mod_meter.h"

static const char *const names[WH_METERS] = {
#define WH_METER(width, name, field) field,
#include "libwh/wh_meter.def"
#undef WH_METER
};

static json_t *seconds(apr_int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / (double)APR_USEC_PER_SEC);
}

static json_t *took(const wh_meter_sum_t *sum)
{
    apr_uint64_t timed = wh_meter_timed(sum);
    apr_int64_t mean = timed > 0 ? (apr_int64_t)(sum->of[WH_METER_TOOK_US] / timed) : -1;

    return json_pack("{s:o, s:o, s:o, s:o}", "mean", seconds(mean), "p50",
                     seconds(wh_meter_quantile_us(sum, 0.5)), "p95",
                     seconds(wh_meter_quantile_us(sum, 0.95)), "p99",
                     seconds(wh_meter_quantile_us(sum, 0.99)));
}

/* The figures of over seconds; rates are left out where over is nothing. */
static json_t *figures(const wh_meter_sum_t *sum, double over)
{
    json_t *classes = json_object();
    json_t *out = json_pack("{s:I}", "requests", (json_int_t)wh_meter_requests(sum));

    if (over > 0) {
        json_object_set_new(out, "requests_per_s",
                            wh_json_thousandths((double)wh_meter_requests(sum) / over));
        json_object_set_new(out, "bytes_per_s",
                            json_integer((json_int_t)((double)sum->of[WH_METER_BYTES] / over)));
    }
    json_object_set_new(out, "classes", classes);
    for (int i = 0; i < WH_METERS; i++) {
        if (i != WH_METER_TOOK_US) {
            json_object_set_new(names[i][1] == 'x' ? classes : out, names[i],
                                json_integer((json_int_t)sum->of[i]));
        }
    }
    json_object_set_new(out, "duration_s", took(sum));
    return out;
}

static json_t *span(const wh_meter_sum_t *sum, double over)
{
    json_t *out = figures(sum, over);

    json_object_set_new(out, "seconds", wh_json_thousandths(over));
    return out;
}

static json_t *minutes(const wh_mod_meter_t *m)
{
    json_t *out = json_array();

    for (int i = 0; i < m->n_minutes; i++) {
        json_t *item = figures(&m->minutes[i], 0);
        char when[WH_TIME_RFC3339_SIZE];

        wh_time_rfc3339_buf(when, m->minute[i]);
        json_object_set_new(item, "at", json_string(when));
        json_array_append_new(out, item);
    }
    return out;
}

apr_status_t wh_h_requests_get(wh_call_t *c)
{
    char when[WH_TIME_RFC3339_SIZE];
    wh_mod_meter_t m;

    if (!wh_mod_meter_read(c->p, c->app->id, &m)) {
        return wh_mod_call_reply(c, 200,
                                 json_pack("{s:b, s:n, s:n, s:n, s:n, s:n}", "counted", 0, "since",
                                           "now", "hour", "total", "minutes"));
    }
    wh_time_rfc3339_buf(when, m.since);
    return wh_mod_call_reply(c, 200,
                             json_pack("{s:b, s:s, s:o, s:o, s:o, s:o}", "counted", 1, "since",
                                       when, "now", span(&m.now, m.now_s), "hour",
                                       span(&m.hour, m.hour_s), "total", figures(&m.all, 0),
                                       "minutes", minutes(&m)));
}
