/* wh_proto_msg: the payload of every message as a struct, with its encoder and strict decoder
 * (docs/protocol.md has them member by member).
 *
 * Encoders borrow the struct and return a new reference (NULL: memory ran out, or a text that is
 * not UTF-8). Decoders keep the payload alive with p, so strings may point into it; they ignore
 * unknown members, and refuse a missing or mistyped one or a value out of its limits with
 * err->code bad_payload (400) and a pointer. Arrays are apr arrays of the struct named: never NULL
 * after decode (but settings.desired); NULL counts as empty for encoders. Strings are never NULL
 * after decode ("" = absent); NULL counts as "" for encoders where a member is optional.
 * Thread-safe.
 *
 * Identity never comes from a payload: whose job, app or deployment it is, is for the hub to check
 * in the statement that writes.
 *
 * Files: wh_proto_msg.c helpers and wh_proto_msg_link.c hello, welcome, heartbeat, error;
 * wh_proto_msg_job.c everything of a job; wh_proto_msg_log.c build_log, runtime_log, log_ack;
 * wh_proto_msg_app.c app_status, app_stats, violation. */
#ifndef WH_PROTO_MSG_H
#define WH_PROTO_MSG_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_gitauth.h"
#include "libwh/wh_model.h"

#define WH_MSG_RUNNING_MAX 1024   /* running, results: as many as jobs */
#define WH_MSG_INSTANCES_MAX 1024 /* inventory of one worker */
#define WH_MSG_DESIRED_MAX 4096
#define WH_MSG_APPS_MAX 1024   /* app_stats */
#define WH_MSG_JOBS_MAX 1024   /* hello.max_jobs */
#define WH_MSG_CPU_MAX 1024000 /* thousandths of a core */
#define WH_MSG_MEMORY_MAX (APR_INT64_C(65536) << 30)
#define WH_MSG_STATS_S 15      /* of a hub that does not say it */
#define WH_MSG_LINES_MAX 5000  /* F103 */
#define WH_MSG_LINE_BYTES 8192 /* F7 */
#define WH_MSG_TEXT_MAX 1024   /* details, messages, reasons */

/* {job, epoch}: alone it is job_go, job_cancel, result_ack. */
typedef struct wh_msg_ref_t {
    const char *job; /* 26 character id */
    apr_int64_t epoch;
} wh_msg_ref_t;

typedef struct wh_msg_container_t { /* hello.instances */
    const char *deployment, *container, *address;
    apr_int64_t port;
    wh_observed_e state;
} wh_msg_container_t;

typedef struct wh_msg_hello_t {
    const char *version, *name;
    apr_int64_t cpu_millis, memory_bytes;
    const char *labels;  /* JSON text of an object of strings */
    const char *engine;  /* "", "podman 4.3.1", "docker 24.0" */
    const char *zone;    /* "" = none */
    const char *refuses; /* why no new builds are taken, "" = they are */
    apr_int64_t max_jobs;
    apr_array_header_t *running;   /* wh_msg_ref_t */
    apr_array_header_t *results;   /* wh_msg_ref_t: stored and not acknowledged */
    apr_array_header_t *instances; /* wh_msg_container_t */
} wh_msg_hello_t;

typedef struct wh_msg_desired_t {
    const char *deployment, *app; /* ids */
    wh_desired_e desired;
} wh_msg_desired_t;

typedef struct wh_msg_welcome_t {
    const char *worker; /* public id */
    const char *server_version;
    apr_int64_t heartbeat_s;     /* settings.heartbeat_s, 1-300 */
    apr_int64_t stats_s;         /* settings.stats_s, 1-300 */
    apr_array_header_t *desired; /* wh_msg_desired_t */
} wh_msg_welcome_t;

typedef struct wh_msg_heartbeat_t {
    apr_int64_t cpu_used_millis, memory_used_bytes, disk_free_bytes;
    const char *refuses;         /* as in hello */
    apr_array_header_t *running; /* wh_msg_ref_t */
} wh_msg_heartbeat_t;

typedef struct wh_msg_job_t {
    const char *job;
    apr_int64_t epoch;
    wh_job_kind_e kind;
    const char *app, *slug, *deployment, *environment;
    wh_snapshot_t snapshot;              /* read only for WH_JOB_KIND_DEPLOY; sent for both */
    const char *commit_sha, *commit_ref; /* "" = null */
    const char *image_of; /* a deployment whose image is started, without a build; "" = none */
    apr_int64_t clone_s, build_s, start_s, check_s; /* deadlines, 1-86400 */
    apr_array_header_t *env; /* wh_env_pair_t, with values in the clear; NULL = none */
    wh_gitauth_t source;     /* what its repository asks for, in the clear */
    const char *image_digest; /* what of snapshot.image is pulled; "" = as it is now */
} wh_msg_job_t;

typedef struct wh_msg_job_ack_t {
    const char *job;
    apr_int64_t epoch;
    int accepted;
    const char *reason;
} wh_msg_job_ack_t;

typedef struct wh_msg_commit_t {
    int present;
    const char *sha, *message, *author; /* sha 40 or 64 hex; message ≤ 1 KiB */
    apr_time_t at;
} wh_msg_commit_t;

typedef struct wh_msg_job_status_t {
    const char *job;
    apr_int64_t epoch;
    wh_phase_e phase; /* SWITCHING is "uploading" on the wire; queued and done are refused */
    wh_msg_commit_t commit;
    apr_time_t started_at;
} wh_msg_job_status_t;

typedef struct wh_msg_instance_t {
    const char *container, *address;
    apr_int64_t port;
} wh_msg_instance_t;

typedef struct wh_msg_timings_t {
    apr_int64_t clone_ms, build_ms, start_ms, check_ms, upload_ms; /* 0 when absent */
} wh_msg_timings_t;

typedef struct wh_msg_job_result_t {
    const char *job;
    apr_int64_t epoch;
    wh_outcome_e outcome;
    const char *cause_code, *cause_detail; /* required unless succeeded */
    wh_msg_commit_t commit;
    const char *release;           /* 40 hex digits or "" */
    const char *image_digest;      /* what was pulled, "sha256:…" or "" */
    int site;                      /* of a site, as its files have it: spa and clean_urls hold */
    int spa, clean_urls;
    apr_array_header_t *instances; /* wh_msg_instance_t, ≤ 16 */
    wh_msg_timings_t timings;
} wh_msg_job_result_t;

typedef struct wh_msg_line_t {
    apr_int64_t seq; /* from 1 */
    apr_time_t at;
    wh_stream_e stream;
    const char *text; /* ≤ 8 KiB; the hub cleans it again: wh_text_clean_line */
} wh_msg_line_t;

typedef struct wh_msg_build_log_t {
    const char *job;
    apr_int64_t epoch;
    apr_array_header_t *lines; /* wh_msg_line_t, ≤ 5000, rising seq */
    apr_int64_t dropped;
} wh_msg_build_log_t;

typedef struct wh_msg_log_ack_t {
    const char *job;
    apr_int64_t seq; /* last stored line, 0 = none */
} wh_msg_log_ack_t;

typedef struct wh_msg_app_status_t {
    const char *app, *deployment, *container;
    wh_observed_e state;
    const char *reason;
    apr_int64_t restarts;
} wh_msg_app_status_t;

typedef struct wh_msg_app_use_t {
    const char *app, *deployment;
    apr_int64_t cpu_millis; /* the use now */
    apr_int64_t memory_bytes, memory_limit_bytes;
    apr_int64_t net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes; /* since its start */
} wh_msg_app_use_t;

typedef struct wh_msg_app_stats_t {
    apr_array_header_t *apps; /* wh_msg_app_use_t, ≤ 1024 */
} wh_msg_app_stats_t;

/* A line's number counts the lines of this container since the agent looks at it, those left out
 * included; so a gap is a loss. */
typedef struct wh_msg_runtime_log_t {
    const char *app, *deployment, *container;
    apr_array_header_t *lines; /* wh_msg_line_t, ≤ 5000, rising seq */
    apr_int64_t dropped;       /* how many the agent left out since its last frame */
} wh_msg_runtime_log_t;

typedef struct wh_msg_violation_t {
    const char *app, *deployment, *container;
    wh_rule_e rule; /* R34 */
    const char *detail;
} wh_msg_violation_t;

typedef struct wh_msg_settings_t {
    apr_int64_t heartbeat_s;
    apr_array_header_t *desired; /* wh_msg_desired_t: the whole list anew; NULL = not said */
} wh_msg_settings_t;

/* Codes on the wire: unknown_type, bad_payload, clock_skew, not_yours, stale_epoch, too_much. */
typedef struct wh_msg_error_t {
    const char *in_reply_to; /* 32 hex, "" when unknown */
    const char *code;
    const char *message;
} wh_msg_error_t;

#define WH_MSG_CODEC(type)                                                                         \
    json_t *wh_proto_msg_##type##_encode(const wh_msg_##type##_t *m);                              \
    apr_status_t wh_proto_msg_##type##_decode(apr_pool_t *p, json_t *payload,                      \
                                              wh_msg_##type##_t *m, wh_err_t *err) WH_MUST_CHECK;

WH_MSG_CODEC(hello)
WH_MSG_CODEC(welcome)
WH_MSG_CODEC(heartbeat)
WH_MSG_CODEC(job)
WH_MSG_CODEC(ref) /* job_go, job_cancel, result_ack */
WH_MSG_CODEC(job_ack)
WH_MSG_CODEC(job_status)
WH_MSG_CODEC(job_result)
WH_MSG_CODEC(build_log)
WH_MSG_CODEC(log_ack)
WH_MSG_CODEC(app_status)
WH_MSG_CODEC(app_stats)
WH_MSG_CODEC(runtime_log)
WH_MSG_CODEC(violation)
WH_MSG_CODEC(settings)
WH_MSG_CODEC(error)
/* reconnect and rotate_key have an empty payload: json_object(). */

#endif
