#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/engine_json.h"
#include "wh-agent/probe.h"
#include "wh-agent/run.h"
#include "wh-agent/vars.h"

#define PORT_TRIES 50
#define START_TRIES 3
#define PROBE_TIMEOUT_US ((apr_interval_time_t)5 * APR_USEC_PER_SEC)
#define LAST_LINES 40

/* ---- a port ---- */

static int port_is_free(const char *address, apr_int64_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int is6 = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
    int is4 = !is6 && inet_pton(AF_INET, address, &in.sin_addr) == 1;
    int fd, rv;

    if (!is4 && !is6)
        return 0;
    fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    rv = is6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
             : bind(fd, (struct sockaddr *)&in, sizeof(in));
    close(fd);
    return rv == 0;
}

/* Chosen here and not by the engine: some engines choose anew at every start, and the route would
 * then lead to nobody. Outside the range from which the kernel takes ports for outgoing
 * connections. */
static apr_status_t pick_port(const wh_work_t *work, apr_int64_t *port, wh_err_t *err)
{
    const wh_agent_conf_t *conf = work->conf;
    apr_int64_t n = conf->publish_port_max - conf->publish_port_min + 1;

    for (int i = 0; i < PORT_TRIES; i++) {
        *port = conf->publish_port_min + (apr_int64_t)wh_rand_jitter(work->rnd) % n;
        if (port_is_free(conf->address, *port))
            return APR_SUCCESS;
    }
    return wh_err_set(err, 503, "start_failed", "no free port at %s to publish the container on",
                      conf->address);
}

/* ---- making it ---- */

void wh_run_spec(const wh_work_t *work, const char *image, apr_int64_t port, wh_engine_spec_t *spec)
{
    const wh_snapshot_t *snap = &work->job->snapshot;
    apr_array_header_t *labels = wh_work_labels(work);

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){
        .key = WH_ENGINE_LABEL_PUBLISHED,
        .value = apr_psprintf(work->p, "%s:%" APR_INT64_T_FMT, work->conf->address, port)};
    if (wh_vars_secrets(work->p, work->job)[0] != '\0')
        APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){
            .key = WH_ENGINE_LABEL_SECRETS, .value = wh_vars_secrets(work->p, work->job)};
    *spec = (wh_engine_spec_t){
        .name = apr_pstrcat(work->p, "wisehost-", work->job->slug, "-", work->job->job, NULL),
        .image = image,
        .network = wh_work_network(work->p, work->job->app),
        .publish_address = work->conf->address,
        .publish_port = port,
        .port = snap->port,
        .memory_bytes = snap->memory_bytes,
        .cpu_millis = snap->cpu_millis,
        .pids = snap->pids,
        .log_bytes = work->conf->container_log_bytes,
        .labels = labels,
        .env = wh_vars_run(work),
    };
}

static apr_status_t create(wh_work_t *work, wh_engine_t *e, const wh_engine_spec_t *spec,
                           const char **id, wh_err_t *err)
{
    apr_array_header_t *own = apr_array_make(work->p, 2, sizeof(wh_engine_label_t));
    wh_engine_seen_t seen;
    const char *differs;
    wh_err_t why = WH_ERR_INIT;
    apr_status_t rv;

    /* Never on the engine's shared bridge instead, where other apps' containers are. */
    APR_ARRAY_PUSH(own, wh_engine_label_t) = (wh_engine_label_t){
        .key = WH_ENGINE_LABEL_AGENT, .value = wh_identity_agent_id(work->identity)};
    APR_ARRAY_PUSH(own, wh_engine_label_t) =
        (wh_engine_label_t){.key = WH_ENGINE_LABEL_APP, .value = work->job->app};
    if (e->vt->network(e, work->p, spec->network, own, &why) != APR_SUCCESS) {
        if (wh_err_is(&why, "canceled") || wh_err_is(&why, "no_engine")) {
            *err = why;
            return APR_EGENERAL;
        }
        return wh_err_set(err, 502, "start_failed",
                          "the app's own network cannot be made, so its container is not started: "
                          "%s",
                          why.text);
    }
    rv = e->vt->create(e, work->p, spec, id, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->inspect(e, work->p, *id, &seen, err);
    if (rv != APR_SUCCESS)
        return rv;
    differs = wh_engine_json_differs(work->p, spec, &seen);
    if (differs[0] != '\0')
        return wh_err_set(err, 502, "start_failed",
                          "the engine made a container that differs from what was asked: %s",
                          differs);
    return APR_SUCCESS;
}

/* ---- watching it come up ---- */

typedef struct coming_t {
    wh_work_t *work;
    wh_engine_t *e;
    const char *id;
    apr_int64_t port;
    wh_mono_t started;
} coming_t;

static apr_status_t exited(coming_t *c, apr_int64_t status, wh_err_t *err)
{
    wh_engine_seen_t seen = {.oom_killed = 0};
    apr_interval_time_t after = wh_mono_diff(wh_clock_mono(c->work->clock), c->started);

    if (c->e->vt->inspect(c->e, c->work->p, c->id, &seen, NULL) != APR_SUCCESS)
        seen.oom_killed = 0;
    return wh_cause_exited(err, status, seen.oom_killed, after);
}

static apr_status_t probe_until(coming_t *c, apr_int64_t check_s, wh_err_t *err)
{
    const wh_snapshot_t *snap = &c->work->job->snapshot;
    wh_mono_t deadline = wh_mono_add(wh_clock_mono(c->work->clock), apr_time_from_sec(check_s));
    wh_probe_t probe = {
        .address = c->work->conf->address, .port = c->port, .path = snap->health_path};
    wh_cause_probe_t sum = {.port = snap->port, .path = snap->health_path, .waited_s = check_s};
    apr_pool_t *scratch;
    apr_status_t rv = apr_pool_create(&scratch, c->work->p);

    for (unsigned n = 0; rv == APR_SUCCESS; n++) {
        apr_interval_time_t left = wh_mono_diff(deadline, wh_clock_mono(c->work->clock));
        apr_interval_time_t pause = wh_probe_pause(n);
        wh_probe_seen_t seen;
        apr_int64_t status = -1;
        int ended = 0;

        if (left <= 0)
            return wh_cause_not_ready(err, &sum);
        probe.timeout_us = left < PROBE_TIMEOUT_US ? left : PROBE_TIMEOUT_US;
        apr_pool_clear(scratch);
        wh_probe_look(scratch, &probe, &seen);
        if (seen.status > 0 && seen.status < 500)
            return APR_SUCCESS;
        sum.connected |= seen.connected;
        if (seen.status > 0)
            sum.last_status = seen.status;
        left = wh_mono_diff(deadline, wh_clock_mono(c->work->clock));
        rv = c->e->vt->wait_check(c->e, pause < left ? pause : left, &ended, &status, err);
        if (rv == APR_SUCCESS && ended)
            return exited(c, status, err);
    }
    return rv;
}

/* ---- what is left when it fails ---- */

typedef struct tail_t {
    wh_logs_t *logs;
    int any;
    wh_logs_half_t out, err;
} tail_t;

static void take_tail(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    tail_t *t = baton;

    if (!t->any)
        wh_logs_say(t->logs, "the container's last lines:");
    t->any = 1;
    wh_logs_feed(t->logs, stream, stream == WH_STREAM_ERR ? &t->err : &t->out, buf, n);
}

/* The session of the job ends with its request to stop; tidying up needs one that does not. */
static apr_status_t fresh_session(const wh_work_t *work, wh_engine_t **e, wh_err_t *err)
{
    wh_engine_open_t open = {.socket = work->conf->engine_socket, .clock = work->clock};

    return work->engine(work->p, &open, e, err);
}

static void clear_away(wh_work_t *work, const char *id, int show_log)
{
    tail_t *tail = apr_pcalloc(work->p, sizeof(*tail));
    wh_engine_logs_t logs = {.id = id, .tail = LAST_LINES, .text = take_tail, .text_baton = tail};
    wh_err_t err = WH_ERR_INIT;
    wh_engine_t *e;
    apr_status_t rv = fresh_session(work, &e, &err);

    tail->logs = work->logs;
    if (rv == APR_SUCCESS && show_log) {
        (void)e->vt->logs(e, work->p, &logs, NULL);
        wh_logs_flush(work->logs, WH_STREAM_OUT, &tail->out);
        wh_logs_flush(work->logs, WH_STREAM_ERR, &tail->err);
    }
    if (rv == APR_SUCCESS)
        rv = e->vt->remove(e, work->p, id, &err);
    if (rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0602", "the container %.12s of %s stays for now: %s", id,
               work->job->slug, err.text);
}

/* ---- all of it ---- */

static int port_was_taken(const wh_err_t *err)
{
    return strstr(err->text, "address already in use") != NULL ||
           strstr(err->text, "port is already allocated") != NULL;
}

static apr_status_t start_once(wh_work_t *work, wh_engine_t *e, const char *image, coming_t *c,
                               wh_err_t *err)
{
    wh_engine_spec_t spec;
    apr_status_t rv = pick_port(work, &c->port, err);

    c->id = NULL;
    if (rv != APR_SUCCESS)
        return rv;
    wh_run_spec(work, image, c->port, &spec);
    /* What a former attempt of this very job may have left under the name. */
    rv = e->vt->remove(e, work->p, spec.name, err);
    if (rv == APR_SUCCESS)
        rv = create(work, e, &spec, &c->id, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->wait_begin(e, c->id, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->start(e, work->p, c->id, work->job->start_s, err);
    c->started = wh_clock_mono(work->clock);
    return rv;
}

static apr_status_t start(wh_work_t *work, wh_engine_t *e, const char *image, coming_t *c,
                          wh_err_t *err)
{
    apr_status_t rv = APR_EGENERAL;

    for (int i = 0; i < START_TRIES; i++) {
        rv = start_once(work, e, image, c, err);
        if (rv == APR_SUCCESS || !port_was_taken(err))
            break;
        if (c->id != NULL)
            clear_away(work, c->id, 0);
        c->id = NULL;
    }
    if (rv != APR_SUCCESS && wh_err_is(err, "deadline"))
        rv = wh_err_set(err, 422, "start_failed", "the engine did not start the container in time");
    return rv;
}

apr_status_t wh_run_container(wh_work_t *work, wh_engine_t *e, const char *image, wh_run_t *run,
                              wh_err_t *err)
{
    coming_t c = {.work = work, .e = e};
    wh_mono_t begin = wh_clock_mono(work->clock), checked;
    apr_status_t rv = start(work, e, image, &c, err);
    int was_started = rv == APR_SUCCESS;

    run->start_ms = wh_mono_diff(wh_clock_mono(work->clock), begin) / 1000;
    checked = wh_clock_mono(work->clock);
    if (rv == APR_SUCCESS) {
        work->phase(work->phase_baton, WH_PHASE_CHECKING, NULL);
        rv = probe_until(&c, work->job->check_s, err);
    }
    run->check_ms = wh_mono_diff(wh_clock_mono(work->clock), checked) / 1000;
    if (rv != APR_SUCCESS && c.id != NULL)
        clear_away(work, c.id, was_started);
    if (rv != APR_SUCCESS)
        return rv;
    run->container = c.id;
    run->address = work->conf->address;
    run->port = c.port;
    return APR_SUCCESS;
}

static apr_status_t remove_labelled(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                    const wh_run_stop_t *what, wh_err_t *err)
{
    apr_array_header_t *items;
    apr_status_t rv = e->vt->list(e, p, with, &items, err);

    for (int i = 0; rv == APR_SUCCESS && i < items->nelts; i++) {
        const wh_engine_item_t *item = &APR_ARRAY_IDX(items, i, wh_engine_item_t);

        if (strcmp(wh_engine_label(item->labels, WH_ENGINE_LABEL_AGENT), what->agent) != 0)
            continue;
        if (item->running && what->grace_s > 0) {
            rv = e->vt->stop(e, p, item->id, what->grace_s, err);
            if (rv == APR_SUCCESS && what->stopped != NULL)
                what->stopped(what->baton, item->id);
        }
        if (rv == APR_SUCCESS)
            rv = e->vt->remove(e, p, item->id, err);
    }
    return rv;
}

apr_status_t wh_run_stop(wh_engine_t *e, apr_pool_t *p, const wh_run_stop_t *what, wh_err_t *err)
{
    wh_engine_label_t deployment = {WH_ENGINE_LABEL_DEPLOYMENT, what->deployment};
    wh_engine_label_t app = {WH_ENGINE_LABEL_APP, what->app};
    apr_array_header_t *left;
    apr_status_t rv = remove_labelled(e, p, &deployment, what, err);

    if (rv == APR_SUCCESS)
        rv = e->vt->list(e, p, &app, &left, err);
    /* Another agent of this engine may serve the same app: then the network is in use, and stays.
     */
    if (rv == APR_SUCCESS && left->nelts == 0)
        (void)e->vt->network_remove(e, p, wh_work_network(p, what->app), NULL);
    return rv;
}

apr_status_t wh_run_remove_job(wh_engine_t *e, apr_pool_t *p, const char *agent, const char *job,
                               wh_err_t *err)
{
    wh_engine_label_t with = {WH_ENGINE_LABEL_JOB, job};
    wh_run_stop_t what = {.agent = agent};

    return remove_labelled(e, p, &with, &what, err);
}
