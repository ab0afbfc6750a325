/* wh-sim: many agents in one process, over the agent's own channel code (wh-agent/link, libwh's
 * codecs). It runs nothing: a job is taken, held or answered as the options say. For load and fault
 * tests; not installed.
 *
 * One thread, one loop, one tick of 10 ms in which every agent looks at its due times: that costs
 * less than thousands of timers in libwebsockets' sorted list.
 */
#ifndef WH_SIM_H
#define WH_SIM_H

#include <apr_hash.h>
#include "libwh/wh_backoff.h"
#include "libwh/wh_id.h"
#include "libwh/wh_proto_msg.h"
#include "wh-agent/conf.h"
#include "wh-agent/link.h"

#define WH_SIM_TICK_US ((apr_interval_time_t)10000)

typedef enum wh_sim_logs_e {
    WH_SIM_LOGS_BUILD,
    WH_SIM_LOGS_RUNTIME,
    WH_SIM_LOGS_BOTH
} wh_sim_logs_e;

typedef struct wh_sim_opts_t {
    const char *hub, *ca_file, *workers_file, *api_url, *secret_file, *out_file, *prefix, *release;
    const char *hold; /* jobs of apps whose slug begins so are held; NULL = none */
    int agents, by_token;
    int seconds;              /* 0 = until a signal */
    int connect_rate;         /* a second */
    int heartbeat_s, stats_s; /* 0 = as the hub says; -1 = none */
    int lines_s;              /* of all agents together */
    int line_bytes, log_every_ms;
    wh_sim_logs_e logs;
    int quiet; /* no lines until SIGUSR1 */
    int max_jobs, ack_ms, finish_ms, refuse_percent, fail_percent, repeat, deaf;
    double cuts_s; /* lines cut off at random, a second, of all together */
} wh_sim_opts_t;

typedef struct wh_sim_count_t {
    apr_int64_t frames_in, frames_out, connects, refused, lost, cut;
    apr_int64_t closes[10]; /* 1000, 1009, 1012, 4001, 4002, 4003, 4008, 4009, 4010, other */
    apr_int64_t errors;     /* error frames of the hub */
    apr_int64_t offered, offered_again, acked, refusals, started, go_again, canceled;
    apr_int64_t results, result_acks;
    apr_int64_t lines_made, lines_sent, lines_again, lines_acked, lines_dropped;
    apr_int64_t heartbeats, stats, rotations;
} wh_sim_count_t;

typedef enum wh_sim_state_e {
    WH_SIM_OFFERED, /* its ack is due */
    WH_SIM_ACKED,   /* waits for its go */
    WH_SIM_RUNNING,
    WH_SIM_DONE /* its result waits to be acknowledged */
} wh_sim_state_e;

/* What lines are written for: a running job, or an app. */
typedef struct wh_sim_source_t {
    apr_int64_t seq, acked, dropped;
} wh_sim_source_t;

typedef struct wh_sim_job_t wh_sim_job_t;
struct wh_sim_job_t {
    wh_sim_job_t *next;
    char job[WH_ID_LEN + 1], app[WH_ID_LEN + 1], deployment[WH_ID_LEN + 1];
    apr_int64_t epoch;
    wh_job_kind_e kind;
    int is_static, held, repeats;
    wh_sim_state_e state;
    wh_mono_t due; /* of the ack, the end, or the next repeat; 0 = nothing */
    wh_outcome_e outcome;
    wh_sim_source_t log;
    int row; /* in the ledger */
};

typedef struct wh_sim_app_t wh_sim_app_t;
struct wh_sim_app_t {
    wh_sim_app_t *next;
    char app[WH_ID_LEN + 1], deployment[WH_ID_LEN + 1];
    int port;
    wh_sim_source_t log;
};

typedef struct wh_sim_ledger_row_t {
    char job[WH_ID_LEN + 1];
    apr_int64_t epoch;
    int agent;
    const char *outcome;
    wh_mono_t offered, acked, started, finished, settled; /* 0 = not yet */
    int sent;                                             /* how often its result went out */
} wh_sim_ledger_row_t;

typedef struct wh_sim_t wh_sim_t;

typedef struct wh_sim_agent_t {
    wh_sim_t *sim;
    int number;
    const char *name;
    char key[65];
    const char *token; /* heap; NULL = the key itself */
    wh_mono_t token_until;
    wh_link_t *link;
    wh_backoff_t backoff;
    int connecting, ready;
    int heartbeat_s, stats_s;
    wh_mono_t connect_at, beat_at, stats_at, log_at, logged;
    double credit; /* lines due and not yet made */
    wh_sim_job_t *jobs;
    wh_sim_app_t *apps;
    unsigned turn;
} wh_sim_agent_t;

struct wh_sim_t {
    wh_sim_opts_t opts;
    apr_pool_t *p, *scratch;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    wh_agent_conf_t conf; /* for the API calls and addresses */
    wh_link_loop_t *loop;
    wh_sim_agent_t *agents;
    int n, ready, talkers;
    int talking, ending;
    double connects_left, cuts_left;
    wh_mono_t now, begun, said, end_at;
    wh_sim_count_t count;
    apr_array_header_t *ledger; /* wh_sim_ledger_row_t */
    volatile int stop, toggle;
};

/* ---- agent.c ---- */
extern const wh_link_events_t wh_sim_agent_events;
void wh_sim_agent_tick(wh_sim_agent_t *agent);
/* A moment within the interval, at random: a thousand agents must not speak in step. */
wh_mono_t wh_sim_agent_phase(wh_sim_agent_t *agent, apr_interval_time_t interval);
int wh_sim_agent_talks(const wh_sim_agent_t *agent); /* has something to write lines for */

/* ---- job.c: what an agent does with jobs ---- */
void wh_sim_job_message(wh_sim_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg);
void wh_sim_job_tick(wh_sim_agent_t *agent);
void wh_sim_job_connected(wh_sim_agent_t *agent); /* welcomed: results again, lines again */
void wh_sim_job_lost(wh_sim_agent_t *agent);

/* ---- talk.c: lines and figures ---- */
void wh_sim_talk_begin(wh_sim_agent_t *agent); /* from now on, each at its own moment */
void wh_sim_talk_tick(wh_sim_agent_t *agent);
void wh_sim_talk_rewind(wh_sim_agent_t *agent);
void wh_sim_talk_acked(wh_sim_agent_t *agent, wh_sim_job_t *job, apr_int64_t seq);
void wh_sim_talk_stats(wh_sim_agent_t *agent);
int wh_sim_talk_settled(const wh_sim_agent_t *agent); /* every line of its jobs is acknowledged */

/* ---- enrol.c ---- */
apr_status_t wh_sim_enrol(wh_sim_t *sim, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_sim_enrol_token(wh_sim_agent_t *agent, wh_err_t *err) WH_MUST_CHECK;

/* ---- ledger.c ---- */
int wh_sim_ledger_add(wh_sim_t *sim, const char *job, apr_int64_t epoch, int agent);
wh_sim_ledger_row_t *wh_sim_ledger_row(wh_sim_t *sim, int row);
/* Counters and ledger as JSON. Returns 0, or -1 when the file cannot be written. */
int wh_sim_ledger_write(const wh_sim_t *sim, const char *path);

/* Sends and counts. */
void wh_sim_send(wh_sim_agent_t *agent, wh_msg_e type, json_t *payload);

#endif
