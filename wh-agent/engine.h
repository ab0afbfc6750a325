/* The container engine as the agent sees it: few calls, typed arguments, no way to ask for anything
 * else (R33). One real implementation (engine_docker.c: any engine with the Docker API) and a fake
 * in the tests.
 *
 * A wh_engine_t is one session: one thread, one kept connection. Strings that come out are in the
 * pool given. Codes, unless said otherwise: no_engine (it does not answer), engine_error (it
 * refused), canceled, deadline, internal.
 */
#ifndef WH_AGENT_ENGINE_H
#define WH_AGENT_ENGINE_H

#include <apr_tables.h>
#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_model.h"
#include "wh-agent/cancel.h"

#define WH_ENGINE_LABEL_AGENT                                                                      \
    "wisehost.agent" /* whose it is: nothing without it is ever touched                            \
                      */
#define WH_ENGINE_LABEL_APP "wisehost.app"
#define WH_ENGINE_LABEL_SLUG "wisehost.slug"
#define WH_ENGINE_LABEL_DEPLOYMENT "wisehost.deployment"
#define WH_ENGINE_LABEL_ENVIRONMENT "wisehost.environment"
#define WH_ENGINE_LABEL_JOB "wisehost.job"
#define WH_ENGINE_LABEL_HOLD "wisehost.hold"           /* of containers: a build's, see hold.h */
#define WH_ENGINE_LABEL_SOURCE "wisehost.source"       /* whose image it runs, where not its own */
#define WH_ENGINE_LABEL_IMAGE "wisehost.image"         /* of images: "<agent>.<app>" */
#define WH_ENGINE_LABEL_RUN "wisehost.run"             /* of images: see recipe.h */
#define WH_ENGINE_LABEL_SECRETS "wisehost.secrets" /* names of its secret variables, by commas */
#define WH_ENGINE_LABEL_PUBLISHED "wisehost.published" /* "address:port" on the machine */

typedef struct wh_engine_label_t {
    const char *key, *value;
} wh_engine_label_t;

/* Everything a container is made from. There is no member for what must never be asked (D3). */
typedef struct wh_engine_spec_t {
    const char *name;
    const char *image;   /* "sha256:…": what was built, not a name that can move */
    const char *network; /* a network of ours; "" = the engine's default bridge */
    const char *publish_address;
    apr_int64_t publish_port;
    apr_int64_t port; /* inside; also in the environment as PORT; 0 = no network at all */
    apr_int64_t memory_bytes, cpu_millis, pids;
    apr_int64_t cpu_weight; /* of one without a port; 0 = the engine's default */
    apr_int64_t log_bytes;  /* the engine's file of what it prints; 0 = as the engine has it */
    const apr_array_header_t *labels; /* wh_engine_label_t */
    const apr_array_header_t *env;    /* wh_env_pair_t, besides PORT; NULL = none */
} wh_engine_spec_t;

/* What a container uses: memory now, the rest since its start. */
typedef struct wh_engine_use_t {
    apr_int64_t cpu_ns;
    apr_int64_t memory_bytes, memory_limit_bytes;
    int cache_unknown; /* the engine did not say what of the memory is page cache */
    apr_int64_t net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes;
} wh_engine_use_t;

/* What the engine says a container is. */
typedef struct wh_engine_seen_t {
    const char *id;
    const char *image; /* "sha256:…" */
    int running;
    const char *status; /* "created", "running", "exited", … */
    apr_int64_t exit_status;
    int oom_killed;
    apr_int64_t pid;                    /* of its first process, 0 = none runs */
    apr_time_t started_at, finished_at; /* 0 = not said */
    apr_int64_t restarts;
    apr_time_t created_at;
    const char *publish_address; /* "" = not published */
    apr_int64_t publish_port;
    int cut_off;                /* it has networks, and an address in none of them */
    apr_array_header_t *env;    /* const char *: NAME=VALUE */
    apr_array_header_t *labels; /* wh_engine_label_t */
    apr_size_t label_bytes;     /* what they take in a list, about */
    const char *forbidden; /* the first thing that our spec could not have asked for, "" = none */
    apr_int64_t memory_bytes, nano_cpus, pids;
} wh_engine_seen_t;

/* One line of the list of containers or images. */
typedef struct wh_engine_item_t {
    const char *id;
    int running;
    apr_time_t created_at;
    apr_array_header_t *labels; /* wh_engine_label_t */
    apr_array_header_t *tags;   /* const char *; of images */
    const char *image;          /* of containers: "sha256:…" */
    apr_int64_t bytes;          /* of images */
} wh_engine_item_t;

typedef struct wh_engine_image_t {
    const char *id;
    apr_array_header_t *labels;  /* wh_engine_label_t */
    apr_array_header_t *onbuild; /* const char *: what a build on it does first */
    apr_array_header_t *tags;    /* const char * */
    apr_array_header_t *digests; /* const char *: "name@sha256:…" */
    apr_time_t created_at;
    apr_int64_t bytes;
} wh_engine_image_t;

/* The tar stream of a build: bytes put into buf, 0 = the end, -1 = it failed (the build ends). */
typedef apr_ssize_t wh_engine_read_fn(void *baton, char *buf, size_t n);

/* Bytes of a log or of a build's output. */
typedef void wh_engine_text_fn(void *baton, wh_stream_e stream, const char *buf, size_t n);

/* A container has ended; which one is to be looked up. */
typedef void wh_engine_event_fn(void *baton);

typedef struct wh_layers_t wh_layers_t; /* layers.h */

typedef struct wh_engine_build_t {
    const char *dockerfile; /* inside the stream */
    const char *tag;
    const apr_array_header_t *labels;
    apr_int64_t memory_bytes, cpu_weight;
    const char *pid_ns; /* the steps' process namespace: a path; "" = a new one each */
    const char *cgroup; /* the steps' control group, where it may be named; "" = a new one each */
    apr_int64_t file_max_bytes; /* that a step may write, where it can be limited; 0 = any */
    const char *secrets; /* Podman's own parameter: a JSON array of "id=…,src=…"; "" = none */
    wh_engine_read_fn *read;
    void *read_baton;
    wh_engine_text_fn *text;
    void *text_baton;
    wh_layers_t *layers; /* what it made on its way, also when it fails; may be NULL */
    wh_mono_t deadline;
    /* Asked again and again: 1 ends the build (code over_limit), 2 does not wait until the engine
     * has cleared it away. NULL = nobody looks. */
    int (*watch)(void *baton);
    void *watch_baton;
    /* Cancel, deadline or watch: end what runs of it. The engine then still has a while to say that
     * the build is over; whether it did comes back in *settled. */
    void (*over)(void *baton);
    void *over_baton;
    int *settled;
} wh_engine_build_t;

typedef struct wh_engine_logs_t {
    const char *id;
    int tail; /* lines */
    wh_engine_text_fn *text;
    void *text_baton;
} wh_engine_logs_t;

/* Bytes of a tar stream; a result other than 0 breaks it off (engine_error). */
typedef int wh_engine_bytes_fn(void *baton, const char *buf, size_t n);

typedef struct wh_engine_archive_t {
    const char *id, *path; /* a container, and what of it, absolute */
    wh_engine_bytes_fn *fn;
    void *baton;
    wh_mono_t deadline;
} wh_engine_archive_t;

typedef struct wh_engine_pull_t {
    const char *name;
    const char *auth; /* the value of X-Registry-Auth, "" = none; nowhere else */
    wh_engine_text_fn *text;
    void *text_baton;
    apr_int64_t max_bytes; /* as it travels; 0 = no limit */
    wh_mono_t deadline;
} wh_engine_pull_t;

typedef struct wh_engine_t wh_engine_t;

typedef struct wh_engine_vt_t {
    /* "podman 4.3.1". Podman's name begins so: it leaves a build's step that is under way to itself
     * when the client has gone (hold.h). */
    apr_status_t (*version)(wh_engine_t *e, apr_pool_t *p, const char **name, wh_err_t *err);
    /* Code build_failed with the engine's own last word; *image is "sha256:…". */
    apr_status_t (*build)(wh_engine_t *e, apr_pool_t *p, const wh_engine_build_t *build,
                          const char **image, wh_err_t *err);
    /* Make sure that a bridge network of that name is there. */
    apr_status_t (*network)(wh_engine_t *e, apr_pool_t *p, const char *name,
                            const apr_array_header_t *labels, wh_err_t *err);
    apr_status_t (*network_remove)(wh_engine_t *e, apr_pool_t *p, const char *name, wh_err_t *err);
    apr_status_t (*create)(wh_engine_t *e, apr_pool_t *p, const wh_engine_spec_t *spec,
                           const char **id, wh_err_t *err);
    /* APR_NOTFOUND when there is none. */
    apr_status_t (*inspect)(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_seen_t *seen,
                            wh_err_t *err);
    /* What it uses just now. APR_NOTFOUND when there is none. */
    apr_status_t (*use)(wh_engine_t *e, apr_pool_t *p, const char *id, wh_engine_use_t *use,
                        wh_err_t *err);
    /* limit_s: how long it may take; 0 = two minutes. */
    apr_status_t (*start)(wh_engine_t *e, apr_pool_t *p, const char *id, apr_int64_t limit_s,
                          wh_err_t *err);
    /* Begin to listen for the next end of a container; one at a time in a session. */
    apr_status_t (*wait_begin)(wh_engine_t *e, const char *id, wh_err_t *err);
    /* Sleep for at most us, less when it ended (*ended, *exit_status) or on cancel. */
    apr_status_t (*wait_check)(wh_engine_t *e, apr_interval_time_t us, int *ended,
                               apr_int64_t *exit_status, wh_err_t *err);
    apr_status_t (*logs)(wh_engine_t *e, apr_pool_t *p, const wh_engine_logs_t *what,
                         wh_err_t *err);
    /* A part of a container's files, running or not; APR_NOTFOUND when there is no such path. */
    apr_status_t (*archive)(wh_engine_t *e, apr_pool_t *p, const wh_engine_archive_t *what,
                            wh_err_t *err);
    /* Ask it to end, kill it after grace_s. Fine when it is not running or not there. */
    apr_status_t (*stop)(wh_engine_t *e, apr_pool_t *p, const char *id, int grace_s, wh_err_t *err);
    /* Kill and remove. Fine when it is not there. */
    apr_status_t (*remove)(wh_engine_t *e, apr_pool_t *p, const char *id, wh_err_t *err);
    /* Where it keeps its things, "" = it does not say. */
    apr_status_t (*root)(wh_engine_t *e, apr_pool_t *p, const char **dir, wh_err_t *err);
    /* All containers, running or not, that carry the label with that value, NULL for any value;
     * wh_engine_item_t. */
    apr_status_t (*list)(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                         apr_array_header_t **items, wh_err_t *err);
    apr_status_t (*images)(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                           apr_array_header_t **items, wh_err_t *err);
    /* Stay until the stream breaks off or the session is told to stop; fn for each container with
     * that label that ended or was killed for want of memory. */
    apr_status_t (*events)(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                           wh_engine_event_fn *fn, void *baton, wh_err_t *err);
    /* What a name or an id means here now; APR_NOTFOUND when nothing. */
    apr_status_t (*image)(wh_engine_t *e, apr_pool_t *p, const char *name, wh_engine_image_t *image,
                          wh_err_t *err);
    /* Fetch an image from where it is published, also when there is one of that name. Codes
     * build_failed, too_large. */
    apr_status_t (*pull)(wh_engine_t *e, apr_pool_t *p, const wh_engine_pull_t *what,
                         wh_err_t *err);
    /* Take a tag away, and the image with its last one. Fine when it is in use or not there: it
     * stays then. */
    apr_status_t (*image_remove)(wh_engine_t *e, apr_pool_t *p, const char *tag, wh_err_t *err);
    /* A nameless image by its id, and nothing that is below it. Fine as above. */
    apr_status_t (*layer_remove)(wh_engine_t *e, apr_pool_t *p, const char *id, wh_err_t *err);
} wh_engine_vt_t;

struct wh_engine_t {
    const wh_engine_vt_t *vt;
    void *impl;
};

typedef struct wh_engine_open_t {
    const char *socket;
    const wh_cancel_t *cancel; /* may be NULL */
    const wh_clock_t *clock;
} wh_engine_open_t;

/* How sessions are made: the real one is wh_engine_docker. The session ends with p. */
typedef apr_status_t wh_engine_open_fn(apr_pool_t *p, const wh_engine_open_t *open,
                                       wh_engine_t **engine, wh_err_t *err);
wh_engine_open_fn wh_engine_docker_open;

/* The value of a label, "" when it is not there. */
const char *wh_engine_label(const apr_array_header_t *labels, const char *key);

/* The hex digits of an image's id, which engines write with and without "sha256:"; points into id.
 */
const char *wh_engine_hex(const char *id);

/* A text function for what nobody wants to read. */
wh_engine_text_fn wh_engine_no_text;

#endif
