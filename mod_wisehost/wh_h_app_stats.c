/*
 * GET /v1/apps/{slug}/stats: what an app's containers use, as its workers said last. The scheduler
 * has it in memory and writes it into a file every few seconds; so nobody waits for it, and nothing
 * is shown that is older than F3 has it.
 */
#include <fcntl.h>

#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_json.h"
#include "libwh/wh_stats.h"
#include "libwh/wh_time.h"
#include "mod_wisehost/wh_mod_api.h"

#define LIVE "/run/apps.live"
#define LIVE_BYTES_MAX (16 << 20)
#define MBIT 125000.0 /* bytes of a megabit (R6) */

/* The file, with a NUL behind it; NULL when there is none. */
static char *read_file(request_rec *r)
{
    const char *path = apr_pstrcat(r->pool, wh_mod_conf_state_dir(r->server), LIVE, NULL);
    wh_file_text_t file;

    return wh_file_read(r->pool, AT_FDCWD, path, LIVE_BYTES_MAX, &file) ? NULL : file.text;
}

/* The line of an app into *out; 0 when there is none. */
static int find(char *text, const char *app, wh_stats_live_t *out)
{
    apr_size_t n = strlen(app);
    apr_int64_t parts = 0;
    apr_int64_t *to[] = {&out->updated_at,         &parts,
                         &out->cpu_millis,         &out->memory_bytes,
                         &out->memory_limit_bytes, &out->net_rx_per_s,
                         &out->net_tx_per_s,       &out->disk_read_per_s,
                         &out->disk_write_per_s,   &out->net_bytes,
                         &out->disk_bytes};
    char *end;

    for (char *line = text; *line != '\0';) {
        char *next = strchr(line, '\n');

        if (strncmp(line, app, n) == 0 && line[n] == ' ') {
            line += n;
            for (size_t i = 0; i < WH_ARRAY_LEN(to); i++) {
                *to[i] = apr_strtoi64(line, &end, 10);
                if (end == line) {
                    return 0;
                }
                line = end;
            }
            out->parts = (int)parts;
            return parts > 0;
        }
        if (next == NULL) {
            break;
        }
        line = next + 1;
    }
    return 0;
}

/* Why there are no figures. */
static const char *missing(const wh_call_t *c, const char *text, int expired)
{
    if (c->app->kind == WH_KIND_STATIC) {
        return "static"; /* files: httpd serves them, nothing runs */
    }
    if (c->app->observed != WH_OBSERVED_RUNNING) {
        return "not_running";
    }
    return text == NULL ? "no_scheduler" : expired ? "expired" : "no_report";
}

/* F4: nothing is known, and that is said. */
static apr_status_t not_live(wh_call_t *c, const char *why)
{
    static const char *const names[] = {"updated_at",
                                        "containers",
                                        "cpu_millis",
                                        "cpu_percent",
                                        "memory_bytes",
                                        "memory_limit_bytes",
                                        "memory_percent",
                                        "net_bytes_per_s",
                                        "net_rx_bytes_per_s",
                                        "net_tx_bytes_per_s",
                                        "net_mbps",
                                        "net_total_bytes",
                                        "disk_bytes_per_s",
                                        "disk_read_bytes_per_s",
                                        "disk_write_bytes_per_s",
                                        "disk_mbps",
                                        "disk_total_bytes"};
    json_t *out = json_pack("{s:b, s:s}", "live", 0, "reason", why);

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        json_object_set_new(out, names[i], json_null());
    }
    return wh_mod_call_reply(c, 200, out);
}

static void rates(json_t *out, const char *what, const char *in, apr_int64_t in_per_s,
                  const char *to, apr_int64_t out_per_s)
{
    double all = (double)in_per_s + (double)out_per_s;
    char name[48];

    apr_snprintf(name, sizeof(name), "%s_bytes_per_s", what);
    json_object_set_new(out, name, json_integer((json_int_t)all));
    apr_snprintf(name, sizeof(name), "%s_%s_bytes_per_s", what, in);
    json_object_set_new(out, name, json_integer(in_per_s));
    apr_snprintf(name, sizeof(name), "%s_%s_bytes_per_s", what, to);
    json_object_set_new(out, name, json_integer(out_per_s));
    apr_snprintf(name, sizeof(name), "%s_mbps", what);
    json_object_set_new(out, name, wh_json_thousandths(all / MBIT));
}

apr_status_t wh_h_app_stats_get(wh_call_t *c)
{
    wh_stats_live_t l = {.parts = 0};
    char when[WH_TIME_RFC3339_SIZE];
    char *text = read_file(c->r);
    int there = text != NULL && find(text, c->app->id, &l);
    int expired = there && c->now - l.updated_at > WH_STATS_TTL_US;
    json_t *out;

    if (!there || expired) {
        return not_live(c, missing(c, text, expired));
    }
    wh_time_rfc3339_buf(when, l.updated_at);
    out = json_pack("{s:b, s:n, s:s, s:i, s:I, s:f, s:I, s:I, s:o}", "live", 1, "reason",
                    "updated_at", when, "containers", l.parts, "cpu_millis",
                    (json_int_t)l.cpu_millis, "cpu_percent", (double)l.cpu_millis / 10,
                    "memory_bytes", (json_int_t)l.memory_bytes, "memory_limit_bytes",
                    (json_int_t)l.memory_limit_bytes, "memory_percent",
                    l.memory_limit_bytes > 0
                        ? wh_json_thousandths(100.0 * (double)l.memory_bytes /
                                              (double)l.memory_limit_bytes)
                        : json_null());
    rates(out, "net", "rx", l.net_rx_per_s, "tx", l.net_tx_per_s);
    rates(out, "disk", "read", l.disk_read_per_s, "write", l.disk_write_per_s);
    json_object_set_new(out, "net_total_bytes", json_integer(l.net_bytes));
    json_object_set_new(out, "disk_total_bytes", json_integer(l.disk_bytes));
    return wh_mod_call_reply(c, 200, out);
}
