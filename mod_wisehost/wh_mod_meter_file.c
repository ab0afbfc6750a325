/*
 * What was asked of each app in the last minute, in a file for the scheduler, which judges alert
 * rules by it (libwh/wh_meter_file.h): every ten seconds or so, by httpd's parent process.
 *
 * That process may be root, and the directory is another user's: nothing there is followed, and a
 * file is made anew, never opened as it is found.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_hash.h"
#include "libwh/wh_meter_file.h"
#include "mod_wisehost/wh_mod_meter.h"

#include <ap_mpm.h>
#include <http_main.h>
#include <mpm_common.h>

typedef struct text_t {
    apr_pool_t *p;
    char *buf;
    size_t n, room;
    int apps;
} text_t;

/* Room for one more line behind it. */
static char *more(text_t *t)
{
    if (t->room - t->n < WH_METER_FILE_LINE) {
        char *buf = apr_palloc(t->p, 2 * t->room);

        memcpy(buf, t->buf, t->n);
        t->buf = buf;
        t->room *= 2;
    }
    return t->buf + t->n;
}

static void take_app(void *baton, const char *app, const wh_meter_sum_t *minute)
{
    text_t *t = baton;

    t->n += wh_meter_file_app(more(t), app, minute);
    t->apps++;
}

/* Of several httpd with one state directory each has its own, the same after a restart. */
static const char *name_of(apr_pool_t *p, const server_rec *s)
{
    char host[APRMAXHOSTLEN + 1] = "";
    const char *conf = apr_psprintf(p, "%s %s", ap_server_root, s->defn_name ? s->defn_name : "");
    apr_uint64_t hash;

    (void)apr_gethostname(host, sizeof(host), p);
    hash = wh_hash_plain(WH_HASH_PLAIN, host, strlen(host) + 1);
    hash = wh_hash_plain(hash, conf, strlen(conf));
    return apr_psprintf(p, WH_METER_FILE_BEGIN "%016" APR_UINT64_T_HEX_FMT WH_METER_FILE_END, hash);
}

/* The scheduler reads it by the group that the directory has. */
static apr_status_t replace(apr_pool_t *p, int dir, const char *name, const text_t *t)
{
    struct stat st;
    wh_file_new_t file = {.dir = dir, .path = name, .mode = 0640};
    apr_status_t rv = fstat(dir, &st) == 0 ? APR_SUCCESS : errno;

    file.group = st.st_gid;
    return rv ? rv : wh_file_replace(p, &file, t->buf, t->n);
}

static void tell(apr_pool_t *p, server_rec *s)
{
    static int failed;
    const char *path = apr_pstrcat(p, wh_mod_conf_state_dir(s), WH_METER_FILE_DIR, NULL);
    text_t t = {.p = p, .room = 16 * WH_METER_FILE_LINE};
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    apr_status_t rv;

    if (dir < 0) {
        return; /* nothing was set up there, so there are no rules */
    }
    t.buf = apr_palloc(p, t.room);
    t.n = wh_meter_file_head(t.buf, apr_time_now());
    if (wh_mod_meter_minute(take_app, &t)) {
        t.n += wh_meter_file_end(more(&t), t.apps);
        rv = replace(p, dir, name_of(p, s), &t);
        if (rv && !failed) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                         "WH0182: the figures of requests cannot be written to %s: rules of error "
                         "rate and latency have none",
                         path);
        }
        failed = rv != APR_SUCCESS;
    }
    close(dir);
}

static int on_monitor(apr_pool_t *p, server_rec *s)
{
    apr_pool_t *scratch;

    if (wh_mod_meter_on()) {
        apr_pool_create(&scratch, p);
        tell(scratch, s);
        apr_pool_destroy(scratch);
    }
    return DECLINED;
}

void wh_mod_meter_file_register(void)
{
    ap_hook_monitor(on_monitor, NULL, NULL, APR_HOOK_LAST);
}
